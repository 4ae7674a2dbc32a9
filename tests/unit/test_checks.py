"""Quality: each finding fires on the rows that it is for, and only on those."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import checks
from finops import schema as s
from finops.pipeline import quality
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.conftest import focus_rows

Load = Callable[..., list[Batch]]
AI = {"ServiceName": "Amazon SageMaker", "Tags": "{}", "SubAccountId": "7"}
COMMITTED = {"CommitmentDiscountId": "sp-1", "ChargeCategory": "Purchase", "ChargeFrequency": "One-Time"}


def found(tmp_path: Path, load: Load, lake: Lake, *rows: dict[str, object]) -> dict[str, tuple[int, Decimal]]:
    """Rows and cost of each finding about a bill of these rows."""
    every = sorted({key for row in rows for key in row})
    focus_rows(*({key: None for key in every if key not in focus_rows({}).columns} | row for row in rows)).write_csv(
        tmp_path / "bill.csv"
    )
    load(tmp_path / "bill.csv")
    rows_found = quality.quality(lake).select("check", "rows", "cost").iter_rows()
    return {check: (count, cost) for check, count, cost in rows_found}


def test_a_plain_bill_has_no_finding(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Usage of a known team with all four costs is quiet."""
    assert found(tmp_path, load, lake, {}, {}) == {}


@pytest.mark.parametrize(
    ("check", "row"),
    [
        ("commitment_counted_twice", {**COMMITTED, "EffectiveCost": "5", "ListCost": "5"}),
        ("charge_category_unknown", {"ChargeCategory": "Fee", "EffectiveCost": "1.5"}),
        ("charge_category_unknown", {"ChargeCategory": None}),
        ("service_category_unknown", {"ServiceCategory": "Cloudy"}),
        ("list_cost_missing", {"ListCost": None}),
        ("list_cost_missing", {"ContractedCost": "NULL"}),
        ("effective_above_list", {"ListCost": "1"}),
        ("effective_without_billed", {"BilledCost": "1.25"}),
        ("ai_spend_without_owner", AI),
    ],
)
def test_a_finding_fires_on_its_row_alone(
    check: str, row: dict[str, object], tmp_path: Path, load: Load, lake: Lake
) -> None:
    """The odd row among plain ones is found, with its cost, and nothing else is."""
    cost = Decimal(str(row.get("EffectiveCost", "1.5")))
    assert found(tmp_path, load, lake, {}, row, {}) == {check: (1, cost)}


def test_spend_that_reads_like_ai_and_no_rule_decided_is_found(tmp_path: Path, load: Load, lake: Lake) -> None:
    """A charge that only its kind of service classified, but whose words say GPU, is listed with its cost."""
    odd = {"ServiceName": "Colocation", "ServiceCategory": "Compute", "ChargeDescription": "GPU rack, monthly"}
    assert found(tmp_path, load, lake, {}, odd) == {"suspected_ai": (1, Decimal("1.5"))}


def test_quarantined_rows_are_findings_with_their_reason(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Rows of one reason are one finding that names the first of them."""
    focus_rows({}, {"EffectiveCost": "x"}, {"EffectiveCost": "x"}).write_csv(tmp_path / "bill.csv")
    load(tmp_path / "bill.csv")
    (finding,) = quality.quality(lake).to_dicts()
    assert (finding["check"], finding["rows"], finding["cost"]) == ("quarantined", 2, Decimal(3))
    assert finding["message"] == 'EffectiveCost is "x", which is no number (first at bill.csv row 2)'


def test_an_account_in_two_bills_is_counted_twice() -> None:
    """The same sub account of one provider in two billed sources is an error; in a derived one it is not."""
    columns = s.TABLES["charges"].columns
    rows = [
        dict.fromkeys(columns)
        | {s.SOURCE_ID: source, s.LEDGER_ROLE: role, s.SUB_ACCOUNT_ID: account, s.BILLED_COST: Decimal(1)}
        for source, role, account in (
            ("a", "billed", "1"),
            ("b", "billed", "1"),
            ("b", "billed", "2"),
            ("c", "derived", "2"),
        )
    ]
    charges = pl.LazyFrame(rows, schema=columns)
    twice = [
        f for f in checks.quality(charges, pl.LazyFrame(schema=s.TABLES["quarantine"].columns)) if f.severity == "error"
    ]
    assert [(f.check, f.source_id, f.rows, f.cost) for f in twice] == [("counted_twice", "a + b", 2, Decimal(2))]
