"""How far each source has billed, whatever fees reach ahead of it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl

from finops import schema as s
from finops.freshness import billed_to, delays, running, settled_until, visibility
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


def test_a_day_is_as_late_as_the_load_that_made_it_complete() -> None:
    """Days of one load have the delays from its day on; of the first load only the newest day was waited for."""
    first, second, third = date(2026, 11, 3), date(2026, 11, 5), date(2026, 11, 6)
    seen = [(first, date(2026, 11, 1)), (second, date(2026, 11, 4)), (third, date(2026, 11, 4))]
    assert delays(seen[:1]) == [2]
    assert sorted(delays(seen)) == [1, 2, 2, 3]
    assert sorted(delays(seen[::-1])) == [1, 2, 2, 3]
    assert delays([(first, date(2026, 11, 30))]) == [0], "a fee that reaches ahead is there at once"


def test_a_source_is_stale_beside_its_own_usual_delay() -> None:
    """A source two days later than nine in ten of its days is stale; one that always was so late is not, nor is one
    that is not known long enough, nor one that has ended."""
    end = date(2026, 11, 17)
    prompt = [(date(2026, 11, n + 1), date(2026, 11, n)) for n in range(1, 18)]
    slow = [(date(2026, 11, n + 4), date(2026, 11, n)) for n in range(1, 18)]
    ends = {"prompt": end, "slow": end, "new": end, "ended": date(2026, 9, 1)}
    seen = {"prompt": prompt, "slow": slow, "new": prompt[-2:], "ended": prompt}
    found = {v.source_id: v for v in visibility(ends, seen, TODAY)}
    assert [name for name, v in found.items() if v.is_stale] == ["prompt"]
    assert (found["prompt"].days_behind, found["prompt"].median_days, found["prompt"].p90_days) == (4, 1, 1)
    assert (found["slow"].p90_days, found["new"].loads, found["ended"].ended) == (4, 2, True)
    on_time = visibility({"prompt": date(2026, 11, 19)}, {"prompt": prompt}, TODAY)
    assert not on_time[0].is_stale, "one day more than usual is no news"
