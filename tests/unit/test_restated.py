"""Months that are loaded again: both versions stay, their difference is what changed, and loads tell the delay."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import schema as s
from finops.checks import stale
from finops.pipeline import reconciliation
from finops.pipeline.daily import spend_daily
from finops.pipeline.totals import Batch
from finops.restatement import by_month, moved
from finops.store import Lake
from tests.conftest import focus_rows

Load = Callable[..., list[Batch]]


def bill(path: Path, *days: int, cost: str = "10", **odd: str) -> Path:
    """A bill of September with three charges a day, the last one as `odd` says."""
    rows = [
        {"ChargePeriodStart": f"2026-09-{d:02d}T00:00:00Z", "ChargePeriodEnd": f"2026-09-{d + 1:02d}T00:00:00Z",
         "BilledCost": cost, "ServiceName": service}
        for d in days
        for service in ("Compute", "Storage", "Network")
    ]  # fmt: skip
    focus_rows(*rows[:-1], {**rows[-1], **odd}).write_csv(path)
    return path


def test_a_month_that_changed_is_shown_with_both_versions(tmp_path: Path, load: Load, lake: Lake) -> None:
    """A later load's new days are told from what changed on days that were there, by service and account."""
    load(bill(tmp_path / "bill.csv", *range(1, 21)))
    load(bill(tmp_path / "bill.csv", *range(1, 23), BilledCost="4"))
    load(bill(tmp_path / "bill.csv", *range(1, 23), BilledCost="4", ServiceName="Database"))
    (row,) = by_month(reconciliation.restated(lake)).to_dicts()
    assert (row["billing_period"], row["old"], row["new"], row["change"]) == ("2026-09", 654, 654, 0)
    rows = moved(reconciliation.restated(lake, period="2026-09"))
    assert {r["service"]: (r["change"], r["new_days"], r["restated"]) for r in rows.to_dicts()} == {
        "Database": (4, 0, 4), "Network": (-4, 0, -4),
    }  # fmt: skip
    assert rows["account_id"].unique().to_list() == ["012345678901"]
    assert reconciliation.restated(lake, period="2026-08").is_empty()


def test_new_days_are_no_restatement(tmp_path: Path, load: Load, lake: Lake) -> None:
    """What comes after the last complete day of the version before is a new day."""
    load(bill(tmp_path / "bill.csv", *range(1, 21)))
    load(bill(tmp_path / "bill.csv", *range(1, 23)))
    (row,) = by_month(reconciliation.restated(lake)).to_dicts()
    assert (row["change"], row["new_days"], row["restated"]) == (60, 60, 0)


def test_the_same_bill_again_restates_nothing(tmp_path: Path, load: Load, lake: Lake) -> None:
    """Another file with the same charges is another load without a change; history that is gone ends the search."""
    load(bill(tmp_path / "bill.csv", 1, 2))
    load(bill(tmp_path / "bill.csv", 1, 2))
    assert by_month(reconciliation.restated(lake)).is_empty()
    load(bill(tmp_path / "bill.csv", 1, 2, BilledCost="4"))
    assert len(by_month(reconciliation.restated(lake))) == 1
    lake.vacuum(keep_snapshots=1)
    assert by_month(reconciliation.restated(lake)).is_empty()
    assert [v.newest_day for v in reconciliation.freshness(lake, today=date(2026, 9, 5))] == [date(2026, 9, 2)]


def test_a_source_that_stops_is_a_finding(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads of five days, each complete to the day before, are the usual delay; silence afterwards is stale."""
    columns = s.TABLES["charges"].columns
    first = datetime(2026, 9, 1, tzinfo=UTC)
    for n in range(20, 25):
        rows = [
            dict.fromkeys(columns)
            | {s.SOURCE_ID: "bill", s.BILLING_PERIOD: "2026-09", s.LEDGER_ROLE: s.BILLED, s.BILLED_COST: Decimal(1),
               s.CHARGE_PERIOD_START: first + timedelta(days=d), s.CHARGE_PERIOD_END: first + timedelta(days=d + 1)}
            for d in range(n)
        ]  # fmt: skip
        with lake.transaction("ingest bill") as tx:
            tx.replace("spend_daily", spend_daily(pl.LazyFrame(rows, schema=columns)))
    made = [datetime(2026, 9, 21 + n, tzinfo=UTC) for n in range(5)]
    snapshots = lake.snapshots().sort("snapshot_id")
    dated = snapshots.with_columns(made_at=pl.Series(made))
    monkeypatch.setattr(Lake, "snapshots", lambda _: dated.sort("snapshot_id", descending=True))
    (now,) = reconciliation.freshness(lake, today=date(2026, 9, 26))
    assert (now.loads, now.median_days, now.p90_days, now.days_behind, now.is_stale) == (5, 1, 1, 2, False)
    later = reconciliation.freshness(lake, today=date(2026, 9, 27))
    (finding,) = stale(later)
    assert (finding.check, finding.severity, finding.source_id) == ("source_stale", "warning", "bill")
    assert finding.message == "complete to 2026-09-24, 3 days ago; nine in ten of its days were there after 1"
