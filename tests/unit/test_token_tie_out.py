"""Bill and usage tie out, and what does not is put under one cause whose amounts sum to the residual."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops import token_ledger as ledger
from finops import token_tie_out as ties
from tests.unit.test_token_ledger import OPUS, charges, usage

NEXT = date(2026, 10, 6)
"""A million tokens of uncached input cost 4 USD by the book."""
FOUR = {s.EFFECTIVE_COST: Decimal(4)}
IMAGES = {"uncached_input_tokens": None, "other_quantity": Decimal(4), "other_unit": "Images"}
OTHER_LINE = {s.TOKEN_DIRECTION: None, s.TOKEN_CACHE_ACTION: None}


def tied(bill: pl.DataFrame, used: pl.DataFrame) -> tuple[dict[str, Any], dict[str, str]]:
    """The one row of the tie-out, and its causes with their amounts."""
    metered = ledger.metered(used)
    (row,) = ties.tie_out(bill, metered).to_dicts()
    causes = ties.causes(bill, metered)
    assert (causes["amount"].sum() or 0) == row["residual"] == row["billed"] - row["priced"]
    return row, {name: f"{amount.normalize():f}" for name, amount in causes.select("cause", "amount").iter_rows()}


def test_what_agrees_is_tied_out() -> None:
    """The book's price of the usage is the bill, and nothing needs a cause."""
    row, causes = tied(charges(FOUR), usage({}))
    assert (row["billed"], row["priced"], row["residual"], row["status"]) == (4, 4, 0, "tied_out")
    assert (row["source_id"], row["billing_period"], row["currency"]) == ("anthropic", "2026-10", "USD")
    assert causes == {}


@pytest.mark.parametrize(
    ("lines", "used", "cause", "status"),
    [
        ([{s.CHARGE_CATEGORY: "Credit", s.EFFECTIVE_COST: Decimal(-3)}], [], ("credits", "-3"), "tied_out"),
        ([{s.CHARGE_CATEGORY: "Purchase"}], [], ("no_token_price", "8"), "tied_out"),
        ([OTHER_LINE], [IMAGES], ("no_token_price", "8"), "tied_out"),
        ([OTHER_LINE | {s.MODEL_ID: None}], [], ("no_token_price", "8"), "tied_out"),
        ([{s.MODEL_ID: "claude-new-9"}], [{"model": "claude-new-9"}], ("unpriced_model", "8"), "tied_out"),
        ([{s.MODEL_ID: "claude-haiku-4-5"}], [], ("usage_missing", "8"), "residual"),
        ([], [{"output_tokens": Decimal(100_000), "uncached_input_tokens": None}], ("cost_missing", "-2"), "residual"),
        ([{s.CHARGE_DATE: NEXT} | FOUR], [], ("late", "4"), "open"),
        ([], [{"day": NEXT}], ("late", "-4"), "open"),
        ([{s.EFFECTIVE_COST: Decimal("0.4")}], [], ("price_difference", "0.4"), "residual"),
        ([{s.EFFECTIVE_COST: Decimal("-0.009")}], [], ("rounding", "-0.009"), "tied_out"),
    ],
)  # fmt: skip
def test_each_difference_has_its_cause(
    lines: list[dict[str, Any]], used: list[dict[str, Any]], cause: tuple[str, str], status: str
) -> None:
    """Beside a cell that agrees, one more line of the bill or of usage is put where it belongs."""
    row, causes = tied(charges(FOUR, *lines), usage({}, *used))
    assert causes == dict([cause])
    assert row["status"] == status


def test_the_priority_tier_is_left_out_by_the_report() -> None:
    """Usage of that tier that a bill with tiers does not have is no missing cost."""
    bill = charges(FOUR | {s.SERVICE_TIER: "standard"})
    used = usage({}, {"service_tier": "priority"}).with_columns(
        # the list has no price for it: as if a contract gave one
        price_reason=pl.lit(None, pl.String), cost=pl.lit(Decimal(4), s.MONEY),
        uncached_input_cost_usd=(pl.col("uncached_input_tokens") / 250_000).cast(s.MONEY),
    )  # fmt: skip
    row, causes = tied(bill, used)
    assert causes == {"priority_tier": "-4"}
    assert row["status"] == "tied_out"


def test_too_much_of_one_model_does_not_hide_too_little_of_another() -> None:
    """The two differences cancel in the residual, and the period is still not tied out."""
    bill = charges({s.EFFECTIVE_COST: Decimal(5)}, {s.MODEL_ID: "claude-haiku-4-5", s.EFFECTIVE_COST: Decimal(0)})
    row, causes = tied(bill, usage({}, {"model": "claude-haiku-4-5"}))
    assert (row["residual"], row["unexplained"], row["status"]) == (0, 2, "residual")
    assert causes == {"price_difference": "0"}


@pytest.mark.parametrize(("more", "cause"), [("0.39", "rounding"), ("0.41", "price_difference")])
def test_rounding_is_a_ten_thousandth_of_the_cell(more: str, cause: str) -> None:
    """Of a cell of 4,000 USD, 40 cents are the rounding of many prices."""
    bill = charges({s.EFFECTIVE_COST: Decimal(4000) + Decimal(more)})
    row, causes = tied(bill, usage({"uncached_input_tokens": Decimal(10**9)}))
    assert (causes, row["status"]) == ({cause: more}, "tied_out")


def test_notes_name_models_ratios_and_days() -> None:
    """The cause says where to look."""
    bill = charges({s.EFFECTIVE_COST: Decimal("4.4")}, {s.CHARGE_DATE: NEXT, s.MODEL_ID: "claude-haiku-4-5"})
    metered = ledger.metered(usage({}, {"day": date(2026, 10, 7)}))
    notes = dict(ties.causes(bill, metered).select("cause", "note").iter_rows())
    assert notes["price_difference"].endswith(f": {OPUS}, uncached input 1.100 x the book")
    assert notes["usage_missing"].endswith(": claude-haiku-4-5, uncached input (2026-10-06)")


def test_only_sources_with_cost_and_usage_are_compared() -> None:
    """A cloud bill without usage and a gateway's log without a bill are no tie-out."""
    bill = charges({s.SOURCE_ID: "aws"})
    metered = ledger.metered(usage({}, {"source_id": "litellm", "ledger_role": s.DERIVED}))
    assert ties.tie_out(bill, metered).is_empty()
    assert ties.causes(bill, metered).is_empty()


def test_another_currency_is_not_compared() -> None:
    """The book is in USD; a bill in euros has no residual, and says so."""
    metered = ledger.metered(usage({}))
    rows = ties.tie_out(charges({s.BILLING_CURRENCY: "EUR"}), metered).to_dicts()
    assert [(r["currency"], r["residual"], r["status"]) for r in rows] == [("EUR", None, "other_currency")]
