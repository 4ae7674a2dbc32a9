"""The change of token cost by cause, on figures that a person can follow."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import polars as pl

from finops.token_factors import FACTORS, NOT_METERED, factors
from tests.property.test_token_factors import facts

D = Decimal
CHAT, MAIL = "chat", "mail"


def amounts(frame: pl.DataFrame, **group: object) -> dict[str, Decimal]:
    """The parts of one group that are not zero."""
    row = frame.filter(pl.lit(True), **group).row(0, named=True)
    return {part: row[part] for part in (*FACTORS, NOT_METERED) if row[part]}


def test_two_factors_share_what_they_do_together() -> None:
    """Tokens double and the price triples: 10 becomes 60, and each has half of what only both bring."""
    cell = ("Ada", "opus", "output")
    found = factors(facts((cell, D(10), D(10))), facts((cell, D(20), D(60))), within=("team",))
    # alone: volume +10, price +20; together +20 more, of which each has half
    assert amounts(found) == {"volume": D(20), "price": D(30)}


def test_four_factors_against_all_orders() -> None:
    """The effects are the averages over the 24 orders in which volume, mix, cache and price can change."""
    prior = facts(
        (("Ada", "opus", "output"), D(30), D(90)), (("Ada", "opus", "cache_read"), D(30), D(15)),
        (("Ada", "haiku", "output"), D(40), D(20)),
    )  # fmt: skip
    current = facts(
        (("Ada", "opus", "output"), D(40), D(100)), (("Ada", "opus", "cache_read"), D(120), D(60)),
        (("Ada", "haiku", "output"), D(40), D(30)),
    )  # fmt: skip
    found = factors(prior, current, within=("team",))
    expected = dict.fromkeys(FACTORS, D(0))
    # volume; then of opus output, opus cache_read, haiku output: share of the model, of the kind in it, and price
    values = {
        "volume": (D(100), D(200)), "mix": ((D(".6"), D(".6"), D(".4")), (D(".8"), D(".8"), D(".2"))),
        "cache": ((D(".5"), D(".5"), D(1)), (D(".25"), D(".75"), D(1))),
        "price": ((D(3), D(".5"), D(".5")), (D("2.5"), D(".5"), D(".75"))),
    }  # fmt: skip
    for order in permutations(FACTORS):
        at = dict.fromkeys(FACTORS, 0)
        for factor in order:
            before = _cost(values, at)
            at[factor] = 1
            expected[factor] += (_cost(values, at) - before) / 24
    assert _cost(values, at) == 190
    assert {k: round(v, 9) for k, v in amounts(found).items()} == {k: round(v, 9) for k, v in expected.items()}


def _cost(values: dict[str, Any], at: dict[str, int]) -> Decimal:
    volume, *lines = (values[factor][at[factor]] for factor in FACTORS)
    return volume * sum(mix * share * price for mix, share, price in zip(*lines, strict=True))


def test_a_new_workload_is_volume_and_an_ended_one_too() -> None:
    """A team that starts or stops is volume, whatever it uses; what moved between teams nets out."""
    one = facts((("Ada", "opus", "output"), D(10), D(50)))
    other = facts((("Bea", "haiku", "output"), D(40), D(30)))
    found = factors(one, other, within=("team",), by=("team",))
    assert amounts(found, team="Ada") == {"volume": D(-50)}
    assert amounts(found, team="Bea") == {"volume": D(30)}
    assert amounts(factors(one, other)) == {"volume": D("86.25"), "mix": D("-106.25")}


def test_a_new_model_at_a_new_price_is_mix() -> None:
    """A model without a price before takes that of now: its arrival is mix, and no price changed."""
    prior = facts((("Ada", "opus", "output"), D(10), D(50)))
    current = facts((("Ada", "opus", "output"), D(5), D(25)), (("Ada", "haiku", "output"), D(5), D(5)))
    found = factors(prior, current, within=("team",))
    assert amounts(found) == {"mix": D(-20)}
    assert amounts(factors(prior, current, within=("team",), by=("model",)), model="haiku") == {"mix": D(5)}


def test_a_move_to_batch_is_mix() -> None:
    """The same model in a cheaper service tier is another item of the mix: no price fell."""
    prior = facts((("Ada", "opus", "output"), D(10), D(50)))
    batch = facts((("Ada", "opus", "output"), D(10), D(25))).with_columns(service_tier=pl.lit("batch"))
    assert amounts(factors(prior, batch, within=("team",))) == {"mix": D(-25)}


def test_currencies_stay_apart() -> None:
    """Cost in another currency is another workload, and never added."""
    one = facts((("Ada", "opus", "output"), D(10), D(50)))
    euro = one.with_columns(currency=pl.lit("EUR"))
    found = factors(one, pl.concat([one, euro]), within=("team",))
    assert dict(found.select("currency", "change").iter_rows()) == {"EUR": D(50), "USD": D(0)}


def test_nothing_gives_nothing() -> None:
    """Two periods without usage have no rows, in the columns of the others."""
    found = factors(facts(), facts(), within=("team",), by=("team",))
    assert found.is_empty()
    assert {"team", "currency", "prior", "cost", "change", *FACTORS, NOT_METERED} <= {*found.columns}
