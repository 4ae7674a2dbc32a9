"""Why token cost changed: the parts sum to the change, and each factor answers for what it alone moved."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import schema as s
from finops.token_factors import FACTORS, NOT_METERED, factors

D = Decimal
PARTS = (*FACTORS, NOT_METERED)
SCHEMA = {
    "day": pl.Date(), "provider": pl.String(), "model": pl.String(), "service_tier": pl.String(), "kind": pl.String(),
    "team": pl.String(), "use_case": pl.String(), "currency": pl.String(), "tokens": s.MONEY, "cost": s.MONEY,
}  # fmt: skip
MODELS = ("haiku", "opus", None)
KINDS = ("uncached_input", "cache_read", "output")
Cell = tuple[str | None, str | None, str]

amounts = st.decimals(min_value=D(-(10**6)), max_value=D(10**7), places=18)
counts = st.none() | st.decimals(min_value=D(-5), max_value=D(10**10), places=2)
cells = st.tuples(st.sampled_from(("Ada", "Bea", None)), st.sampled_from(MODELS), st.sampled_from(KINDS))
periods = st.lists(st.tuples(cells, counts, amounts), max_size=12)


def facts(*rows: tuple[Cell, Decimal | None, Decimal]) -> pl.DataFrame:
    """Token facts of one day: team, model and kind with tokens and cost."""
    day = date(2026, 10, 1)
    full = [
        (day, "anthropic", model, "standard", kind, team, "chat", "USD", tokens, cost)
        for (team, model, kind), tokens, cost in rows
    ]
    return pl.DataFrame(full, schema=SCHEMA, orient="row")


def priced(tokens: dict[Cell, Decimal], price: Callable[[Cell], Decimal]) -> pl.DataFrame:
    """Facts whose cost is tokens x price, exactly."""
    return facts(*((cell, count, count * price(cell)) for cell, count in tokens.items()))


def list_price(cell: Cell) -> Decimal:
    """A price per token that differs by model and kind."""
    return D(1 + MODELS.index(cell[1]) * 3 + KINDS.index(cell[2])) / 8


def total(found: pl.DataFrame) -> dict[str, Decimal]:
    """The sums of all amounts."""
    return found.select(pl.col("prior", "cost", "change", *PARTS).sum()).row(0, named=True)


tokens_by_cell = st.dictionaries(
    cells, st.integers(min_value=1, max_value=10**12).map(D), min_size=1, max_size=8
)  # fmt: skip


@given(periods, periods, st.sampled_from([(), ("team",), ("team", "use_case")]), st.data())
def test_the_parts_sum_to_the_change(prior: list, current: list, within: tuple[str, ...], data: st.DataObject) -> None:
    """Of every group, the factors and what is not metered sum to cost - prior, to the 18th decimal."""
    by = data.draw(st.sampled_from([(), within, ("model",), (*within, "model", "kind")]))
    found = factors(facts(*prior), facts(*current), within=within, by=by)
    parts = pl.sum_horizontal(PARTS)
    assert found.filter((pl.col("cost") - pl.col("prior") != pl.col("change")) | (parts != pl.col("change"))).is_empty()
    assert total(found)["prior"] == facts(*prior)["cost"].sum()
    assert total(found)["cost"] == facts(*current)["cost"].sum()


@given(periods, periods)
def test_every_grouping_has_the_same_totals(prior: list, current: list) -> None:
    """Whatever the result is grouped by, each factor's total over all groups is the same."""
    of = [
        total(factors(facts(*prior), facts(*current), within=("team", "use_case"), by=by))
        for by in ((), ("team",), ("use_case",), ("model",), ("team", "kind"))
    ]
    assert all(one == of[0] for one in of)


@given(periods, periods)
def test_swapping_the_periods_turns_every_sign(prior: list, current: list) -> None:
    """Seen from the other end, each effect is the same amount with the other sign."""
    there = factors(facts(*prior), facts(*current), within=("team",), by=("team", "model", "kind"))
    back = factors(facts(*current), facts(*prior), within=("team",), by=("team", "model", "kind"))
    assert there.select("team", "model", "kind", *(-pl.col(p) for p in PARTS)).rows() == (
        back.select("team", "model", "kind", *PARTS).rows()
    )


@given(periods, periods, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(prior: list, current: list, random: object) -> None:
    """Shuffled facts give the same figures in the same order."""
    found = factors(facts(*prior), facts(*current), within=("team",), by=("team",))
    random.shuffle(prior)  # type: ignore[attr-defined]
    random.shuffle(current)  # type: ignore[attr-defined]
    assert factors(facts(*prior), facts(*current), within=("team",), by=("team",)).equals(found)


@given(tokens_by_cell, tokens_by_cell)
def test_equal_prices_have_no_price_effect(prior: dict, current: dict) -> None:
    """Where every token costs what it did, nothing is put down to price."""
    found = factors(priced(prior, list_price), priced(current, list_price), within=("team",), by=("team", "model"))
    assert found["price"].to_list() == [0] * len(found)


@given(tokens_by_cell, st.integers(min_value=1, max_value=50))
def test_more_of_the_same_is_volume(prior: dict, times: int) -> None:
    """Where all tokens of a workload grow alike, the whole change is volume."""
    current = {cell: count * times for cell, count in prior.items()}
    found = total(factors(priced(prior, list_price), priced(current, list_price), within=("team",)))
    assert found["volume"] == found["change"]
    assert [found[p] for p in PARTS[1:]] == [0] * 4


@given(tokens_by_cell, st.integers(min_value=2, max_value=9))
def test_a_new_price_is_price(tokens: dict, times: int) -> None:
    """Where the same tokens cost more, the whole change is price."""
    found = total(
        factors(priced(tokens, list_price), priced(tokens, lambda c: times * list_price(c)), within=("team",))
    )
    assert found["price"] == found["change"] > 0
    assert [found[p] for p in ("volume", "mix", "cache", NOT_METERED)] == [0] * 4


@given(st.integers(min_value=1, max_value=10**12), st.integers(min_value=0, max_value=100))
def test_a_better_cache_is_cache(tokens: int, hits: int) -> None:
    """Where the same tokens of the same model are only read from the cache more or less, the whole change is cache."""

    def period(hit_ratio: int) -> pl.DataFrame:
        read = D(tokens) * hit_ratio / 100
        return priced(
            {("Ada", "opus", "cache_read"): read, ("Ada", "opus", "uncached_input"): tokens - read}, list_price
        )

    found = total(factors(period(20), period(hits), within=("team",)))
    assert found["cache"] == found["change"]
    assert [found[p] for p in ("volume", "mix", "price", NOT_METERED)] == [0] * 4


@given(st.integers(min_value=1, max_value=10**12), st.integers(min_value=0, max_value=100))
def test_another_model_is_mix(tokens: int, moved: int) -> None:
    """Where the same tokens go to another model, the whole change is mix, also for a model that is new or ended."""

    def period(opus_ratio: int) -> pl.DataFrame:
        opus = D(tokens) * opus_ratio / 100
        return priced({("Ada", "opus", "output"): opus, ("Ada", "haiku", "output"): tokens - opus}, list_price)

    found = total(factors(period(100), period(moved), within=("team",)))
    assert found["mix"] == found["change"]
    assert [found[p] for p in ("volume", "cache", "price", NOT_METERED)] == [0] * 4


@pytest.mark.parametrize("tokens", [None, D(0), D(-3)])
def test_cost_without_tokens_is_not_metered(tokens: Decimal | None) -> None:
    """What no meter counts is a part of its own, whatever else changes."""
    cell = ("Ada", "opus", "output")
    found = total(factors(facts((cell, tokens, D(70))), facts((cell, tokens, D(90))), within=("team",)))
    assert found[NOT_METERED] == found["change"] == 20
