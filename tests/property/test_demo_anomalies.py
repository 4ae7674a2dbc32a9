"""What is planted in demo companies is told in time, and little else is."""

from datetime import date

import pytest

from connectors.demo.company import Calendar
from finops.pipeline.anomaly_search import search
from tests.demo_spend import daily_spend
from tests.demo_truth import judge

MONTHS, MONTH_DAYS = 12, 30.4


@pytest.mark.parametrize(("seed", "today"), [(20, date(2026, 11, 21)), (27, date(2026, 11, 5))])
def test_planted_incidents_are_told_and_little_else(seed: int, today: date) -> None:
    """Every incident is told within two days of being visible; at most one false anomaly a month."""
    daily = daily_spend(months=MONTHS, seed=seed, today=today)
    verdict = judge(search(daily), daily, Calendar.of(months=MONTHS, today=today))
    assert not verdict.missed
    assert len(verdict.told) >= 5
    assert len(verdict.false) <= verdict.days / MONTH_DAYS
