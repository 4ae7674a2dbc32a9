"""How far each source has billed, whatever fees reach ahead of it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl

from finops import schema as s
from finops.freshness import billed_to, running, settled_until
from finops.pipeline.daily import spend_daily

TODAY = date(2026, 11, 21)


def charges(source: str, start: date, days: int, times: int, role: str = s.BILLED) -> pl.LazyFrame:
    """So many charges in a row, each over so many days."""
    columns = s.TABLES["charges"].columns
    first = datetime(start.year, start.month, start.day, tzinfo=UTC)
    rows = [
        dict.fromkeys(columns)
        | {
            s.SOURCE_ID: source,
            s.LEDGER_ROLE: role,
            s.BILLED_COST: Decimal(1),
            s.CHARGE_PERIOD_START: first + timedelta(days=days * i),
            s.CHARGE_PERIOD_END: first + timedelta(days=days * (i + 1)),
        }
        for i in range(times)
    ]
    return pl.LazyFrame(rows, schema=columns)


def daily(*parts: pl.LazyFrame) -> pl.LazyFrame:
    """spend_daily of them all."""
    return spend_daily(pl.concat(parts)).collect().lazy()


def test_a_fee_that_reaches_ahead_does_not_count_as_billed() -> None:
    """A monthly fee beside daily usage leaves the source billed to its newest usage day."""
    usage, fee = charges("aws", date(2026, 11, 1), 1, 19), charges("aws", date(2026, 11, 1), 30, 1)
    assert billed_to(daily(usage, fee)) == {"aws": date(2026, 11, 19)}


def test_a_source_that_bills_by_the_month_reaches_as_far_as_its_charges() -> None:
    """Monthly charges alone are known to the end of the month."""
    assert billed_to(daily(charges("support", date(2026, 11, 1), 30, 1))) == {"support": date(2026, 11, 30)}


def test_all_running_sources_must_have_billed() -> None:
    """The slowest running source decides; one that ended long ago and one that is derived do not."""
    parts = daily(
        charges("fast", date(2026, 10, 1), 1, 51),
        charges("slow", date(2026, 10, 1), 1, 47),
        charges("ended", date(2026, 1, 1), 1, 40),
        charges("gateway", date(2026, 10, 1), 1, 20, role=s.DERIVED),
    )
    assert set(running(billed_to(parts))) == {"fast", "slow"}
    assert settled_until(parts, TODAY) == date(2026, 11, 17)


def test_nothing_is_settled_after_today() -> None:
    """A ledger that is charged ahead settles no day that has not ended, and an empty lake none at all."""
    assert settled_until(daily(charges("ledger", date(2026, 10, 1), 1, 90)), TODAY) == TODAY
    assert settled_until(daily(charges("ledger", date(2026, 10, 1), 1, 0)), TODAY) == TODAY
