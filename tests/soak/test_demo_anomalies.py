"""A hundred demo companies of a year each: what their anomalies find, and what they should not have."""

from datetime import date, timedelta

import pytest

from connectors.demo.company import Calendar
from finops.pipeline.anomaly_search import search
from tests.demo_spend import daily_spend
from tests.demo_truth import Verdict, judge

COMPANIES, MONTHS, MONTH_DAYS = 100, 13, 30.4


def company(seed: int) -> Verdict:
    """The verdict on one company; its newest day moves over the month with the seed."""
    today = date(2026, 11, 21) - timedelta(days=seed * 11 % 29)
    daily = daily_spend(months=MONTHS, seed=seed, today=today)
    return judge(search(daily), daily, Calendar.of(months=MONTHS, today=today))


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_hundred_companies() -> None:
    """Recall of planted incidents within two days is 95 % at least, with at most one false anomaly a month each."""
    verdicts = [company(seed) for seed in range(100, 100 + COMPANIES)]
    told, missed = (
        sum(len(kinds) for kinds in side) for side in zip(*((v.told, v.missed) for v in verdicts), strict=True)
    )
    false, days = sum(len(v.false) for v in verdicts), sum(v.days for v in verdicts)
    print(f"recall {told / (told + missed):.3f} of {told + missed}, {false / days * MONTH_DAYS:.2f} false a month")
    assert told / (told + missed) >= 0.95
    assert false / days * MONTH_DAYS <= 1
