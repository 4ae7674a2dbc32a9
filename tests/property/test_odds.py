"""The odds of an amount: they fall as it rises, and the day it runs out agrees with them."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finops.pipeline import odds
from finops.scope import parse_period
from forecasting.odds import continuations, extended, odds_of
from forecasting.paths import totals
from forecasting.series import Floats

money = st.floats(-50, 1000, width=32)
days_spent = arrays(np.float64, st.integers(0, 20), elements=money)
courses = arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(1, 25)), elements=money)


@settings(deadline=None)
@given(days_spent, courses, st.floats(0, 10_000), st.floats(0, 10_000))
def test_a_larger_amount_is_passed_no_more_likely_and_no_earlier(
    spent: Floats, paths: Floats, one: float, other: float
) -> None:
    """The probability falls with the amount; where cost never falls back, so does every day by which it is passed."""
    small = odds_of(min(one, other), spent=spent, paths=paths)
    large = odds_of(max(one, other), spent=spent, paths=paths)
    assert small.over >= large.over
    if (spent >= 0).all() and (paths >= 0).all():
        for less, more in (
            (small.run_out_early, large.run_out_early), (small.run_out, large.run_out),
            (small.run_out_late, large.run_out_late),
        ):  # fmt: skip
            assert more is None or (less is not None and less <= more)


@settings(deadline=None)
@example(np.zeros(2), np.array([[100.0, 20.0, -60.0]]), 80.0)  # a credit on the last day brings it back
@given(days_spent, courses, st.floats(0, 10_000))
def test_an_amount_runs_out_before_the_end_exactly_where_it_is_passed_with_more_than_one_half(
    spent: Floats, paths: Floats, amount: float
) -> None:
    """run_out, its early and its late day exist with more than 50 %, 10 % and 90 %, in this order."""
    found = odds_of(amount, spent=spent, paths=paths)
    assert (found.run_out is not None) == (found.over > 0.5)
    assert (found.run_out_early is not None) == (found.over > 0.1)
    assert (found.run_out_late is not None) == (found.over > 0.9)
    known = [day for day in (found.run_out_early, found.run_out, found.run_out_late) if day is not None]
    assert known == sorted(known)
    assert all(0 <= day < len(spent) + paths.shape[1] for day in known)


@settings(deadline=None)
@given(courses, st.floats(0, 10_000), st.dates(date(2026, 10, 1), date(2026, 10, 30)))
def test_saving_what_is_asked_brings_the_budget_to_even_odds(paths: Floats, budget: float, today: date) -> None:
    """With each day from tomorrow on cheaper by the amount, the middle course costs no more than the budget."""
    period = parse_period("2026-10")
    days = (period.end - today).days - 1
    drawn = extended(np.abs(paths), days) if days else np.zeros((1, 0))
    spent = np.zeros(31 - days)
    found = odds.odds(
        Decimal(budget), period, spent=spent, courses=odds.Courses(today + timedelta(days=1), drawn, "x"), today=today
    )
    if not days:
        assert found["save_per_day"] is None
        return
    for share, column in ((0.5, "save_per_day"), (0.8, "save_per_day_80")):
        saved = found[column]
        assert isinstance(saved, Decimal)
        assert np.quantile(drawn.sum(axis=1), share) - float(saved) * days <= budget + 0.02 * days
        if saved:
            assert np.quantile(drawn.sum(axis=1), share) - float(saved) * days >= budget - 0.02 * days


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.just(8), st.integers(20, 400)), elements=money),
    st.dates(date(2024, 1, 1), date(2026, 1, 1)),
)
def test_totals_of_parts_make_the_whole(paths: Floats, first: date) -> None:
    """A quarter or year that begins after the cutoff is on average the sum of its months."""
    found = totals(paths, first=first)
    means = dict(found.select("period", "mean").iter_rows())
    for period, mean in means.items():
        start = parse_period(period).start
        if start < first:
            continue
        end = parse_period(period).end
        months = [m for m in means if "Q" not in m and len(m) == 7 and start <= parse_period(m).start < end]
        assert mean == pytest.approx(sum(means[m] for m in months), abs=1e-6)
    assert (found["p025"] <= found["p50"]).all()
    assert (found["p50"] <= found["p975"]).all()


@settings(max_examples=50, deadline=None)
@given(
    arrays(np.float64, st.integers(1, 200), elements=st.floats(-5, 1000)),
    st.integers(1, 100),
    st.floats(0, 500),
)
def test_courses_of_the_past_are_finite_and_deterministic(history: Floats, days: int, rate: float) -> None:
    """Whatever history they are drawn from; of a short one, their mean is the rate; the same seed draws them again."""
    drawn = continuations(history, days, rate=rate, seed="a")
    assert drawn.shape == (400, days)
    assert np.isfinite(drawn).all()
    if len(history) < 77:
        assert drawn.mean() == pytest.approx(rate, abs=1e-6 * max(1, np.abs(drawn).max()))
    np.testing.assert_array_equal(drawn, continuations(history, days, rate=rate, seed="a"))


def test_a_spike_long_ago_moves_the_upper_band_and_not_the_middle() -> None:
    """One day of ten times the usual among 300 leaves the middle course at the rate."""
    history = np.full(300, 100.0) + np.random.default_rng(1).normal(0, 2, 300)
    history[150] = 1000
    total = continuations(history, 28, rate=100.0, seed="a").sum(axis=1)
    assert np.median(total) == pytest.approx(2800, rel=0.005)
    assert total.max() > 3500


def test_levels_that_moved_keep_moving() -> None:
    """A history whose level wanders gives wider totals than one that stands still with the same days' noise."""
    random = np.random.default_rng(3)
    still = random.lognormal(3, 0.1, 300)
    moving = still * np.exp(np.cumsum(random.normal(0, 0.03, 300)))
    widths = []
    for history in (still, moving):
        total = continuations(history, 90, rate=20.0, seed="a").sum(axis=1)
        widths.append((np.quantile(total, 0.9) - np.quantile(total, 0.1)) / total.mean())
    assert widths[0] < 0.12
    assert widths[1] > 2.5 * widths[0]


def test_paths_beyond_the_horizon_stay_at_its_mean_and_widen() -> None:
    """Days after the last one cost the horizon's mean; each path keeps its side, further out with time."""
    paths = np.linspace(5, 15, 11)[:, None] + np.zeros((11, 40))
    longer = extended(paths, 100)
    assert longer.shape == (11, 100)
    np.testing.assert_allclose(longer[:, :40], paths)
    np.testing.assert_allclose(longer.mean(axis=0), 10)
    spread = longer.std(axis=0)
    assert (np.diff(spread[40:]) > 0).all()
    np.testing.assert_allclose(extended(paths, 7), paths[:, :7])


def test_courses_of_a_forecast_begin_where_the_budget_is_open() -> None:
    """Paths of days that are billed by now are left out; days before the first path cost its first week's mean."""
    rows = pl.DataFrame(
        {"date": [date(2026, 10, 10) + timedelta(days=k) for k in range(10)], "paths": [[1.0, 3.0]] * 10}
    )
    later = odds.forecast_courses(rows, date(2026, 10, 15), date(2026, 10, 20))
    assert later is not None
    np.testing.assert_allclose(later.paths, [[1.0] * 5, [3.0] * 5])
    earlier = odds.forecast_courses(rows, date(2026, 10, 8), date(2026, 10, 12))
    assert earlier is not None
    np.testing.assert_allclose(earlier.paths, [[1.0] * 4, [3.0] * 4])
    assert odds.forecast_courses(rows, date(2026, 10, 20), date(2026, 10, 31)) is None
