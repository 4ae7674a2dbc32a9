"""Whatever was metered, the facts cost what the bill says, to the last decimal, and no token is counted twice."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import schema as s
from finops import token_ledger as ledger
from finops import token_tie_out as ties

DAYS = (date(2026, 10, 5), date(2026, 10, 6))
WHO: dict[str, st.SearchStrategy[Any]] = {
    "day": st.sampled_from(DAYS),
    "account_id": st.sampled_from([None, "w1", "w2"]),
    "key": st.sampled_from([None, "k1", "k2"]),
    "model": st.sampled_from([None, "claude-opus-5-5", "claude-nonexistent-9"]),
    "kind": st.sampled_from(ledger.KINDS),
    "service_tier": st.sampled_from([None, "standard", "batch"]),
    "team": st.sampled_from([None, "Search", "Support"]),
}
AMOUNTS = st.decimals(Decimal("-1e6"), Decimal("1e6"), places=18)
COUNTS = st.decimals(Decimal("0.001"), Decimal("1e12"), places=3)
BILLS = st.lists(
    st.fixed_dictionaries(
        WHO
        | {
            "source_id": st.sampled_from(["anthropic", "openai"]),
            "currency": st.sampled_from(["USD", "EUR"]),
            "cost": AMOUNTS,
            "tokens": st.none() | COUNTS,
        }
    ),
    max_size=12,
)
USAGE = st.lists(
    st.fixed_dictionaries(
        WHO
        | {
            "source_id": st.sampled_from(["anthropic", "openai", "litellm"]),
            "service_tier": st.sampled_from(["standard", "batch"]),
            "volume": COUNTS,
            "list_cost": st.none() | st.decimals(0, Decimal("1e6"), places=18),
            "requests": st.none() | COUNTS,
        }
    ),
    max_size=15,
)
SPLITS = st.sampled_from([{}, {"litellm": ("openai", None)}, {"litellm": ("openai", "k1")}])


def bill_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of ledger.bill."""
    names = dict.fromkeys((*ledger.WHO, "billing_period", "category"), pl.String())
    schema = names | {"day": pl.Date(), "tokens": s.MONEY, "billed": s.MONEY, "cost": s.MONEY}
    return pl.DataFrame([{"provider": "Anthropic", **row} for row in rows], schema=schema)


def usage_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of ledger.metered; a key, day, model and kind at most once a source and account."""
    schema = dict.fromkeys(ledger.METERED, pl.String()) | {"day": pl.Date()}
    schema |= dict.fromkeys(("volume", "tokens", "requests", "list_cost"), s.MONEY)
    full = [
        row
        | {"ledger_role": s.DERIVED if row["source_id"] == "litellm" else s.BILLED}
        | {"tokens": None if row["kind"] == ledger.OTHER else row["volume"]}
        for row in rows
    ]
    return pl.DataFrame(full, schema=schema)


@settings(max_examples=150, deadline=None)
@given(BILLS, USAGE, SPLITS)
def test_facts_cost_what_the_bill_says(
    charged: list[dict[str, Any]], used: list[dict[str, Any]], splits: dict[str, tuple[str, str | None]]
) -> None:
    """Per source, day and currency the costs sum to the bill's, exactly; tokens are never more than bill and usage
    count together, and metered tokens of cells that were billed are all there."""
    bill, metered = bill_of(charged), usage_of(used)
    found = ledger.facts(bill, metered, splits)
    by = ("source_id", "day", "currency")
    assert_same(bill.group_by(by).agg(pl.col("cost").sum()), found.group_by(by).agg(pl.col("cost").sum()))
    attributed = found.filter(pl.col("basis") == ledger.ATTRIBUTED)
    own = metered.filter(pl.col("ledger_role") == s.BILLED)
    assert total(found.join(attributed, on=found.columns, how="anti", nulls_equal=True), "tokens") <= total(
        bill, "tokens"
    )
    assert total(found, "tokens") <= total(own, "tokens") + total(bill, "tokens")
    assert total(found, "requests") <= total(own, "requests")


@settings(max_examples=100, deadline=None)
@given(BILLS, USAGE)
def test_causes_sum_to_the_residual(charged: list[dict[str, Any]], used: list[dict[str, Any]]) -> None:
    """Billed less priced is the residual, and its causes are all of it, exactly; all billed money is compared."""
    bill = bill_of([row | {"billed": row["cost"], "billing_period": "2026-10"} for row in charged])
    metered = usage_of([row | {"billing_period": "2026-10", "provider": "anthropic"} for row in used])
    tied, causes = ties.tie_out(bill, metered), ties.causes(bill, metered)
    why = dict(causes.group_by("source_id").agg(pl.col("amount").sum()).iter_rows())
    for row in tied.filter(pl.col("currency") == "USD").to_dicts():
        source = pl.col("source_id") == row["source_id"]
        assert row["billed"] == total(bill.filter(source, pl.col("currency") == "USD"), "billed")
        assert row["priced"] == total(metered.filter(source, pl.col("ledger_role") == s.BILLED), "list_cost")
        assert row["billed"] - row["priced"] == row["residual"] == why.get(row["source_id"], 0)


@settings(max_examples=100, deadline=None)
@given(USAGE)
def test_every_metered_token_is_once_in_the_facts(used: list[dict[str, Any]]) -> None:
    """Where each metered cell was billed, also twice, the facts count the tokens of the usage."""
    metered = usage_of([row for row in used if row["source_id"] != "litellm"])
    cells = metered.select("source_id", "day", "account_id", "key", "model", "kind", "service_tier").unique()
    charged = [
        row | {"currency": "USD", "cost": cost} for row in cells.to_dicts() for cost in (Decimal(7), Decimal(-2))
    ]
    found = ledger.facts(bill_of(charged), metered, {})
    assert total(found, "tokens") == total(metered, "tokens")
    assert total(found, "requests") == total(metered, "requests")
    assert total(found, "cost") == 5 * cells.height


def total(rows: pl.DataFrame, column: str) -> Decimal:
    """The sum of a column, 0 where there is nothing."""
    return Decimal(rows[column].sum() or 0)


def assert_same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    """The same rows in any order."""
    assert sorted(left.rows(), key=str) == sorted(right.rows(), key=str)
