"""Intermittent cost: what it is, and the courses drawn for it."""

from datetime import date, timedelta

import numpy as np
import pytest

from forecasting.bursts import MODEL, draws, is_intermittent
from forecasting.intervals import no_reach, quantiles
from forecasting.method import forecast_path
from forecasting.series import DailySeries, Floats

FIRST = date(2025, 1, 1)
HORIZON = 30


def bursts(seed: int, days: int = 490) -> Floats:
    """Training runs of some days at about the same cost, with pauses of random length between."""
    random = np.random.default_rng(seed)
    values = np.zeros(days)
    pause, length = random.uniform(8, 30), random.uniform(2, 12)
    day = int(random.integers(0, 20))
    while day < days:
        end = min(days, day + max(1, int(random.gamma(2, length / 2))))
        values[day:end] = 1000 * random.lognormal(0, 0.4) * random.lognormal(0, 0.15, end - day)
        day = end + 1 + int(random.gamma(1.2, pause / 1.2))
    return values


def series(values: Floats) -> DailySeries:
    """A daily series from FIRST on."""
    return DailySeries("training", FIRST, values)


def test_bursts_are_told_from_what_a_calendar_foretells() -> None:
    """Runs at random times are intermittent; weekends off, a monthly fee, steady cost and credits are not."""
    days = [FIRST + timedelta(days=k) for k in range(400)]
    noise = np.random.default_rng(1).lognormal(0, 0.1, 400)
    assert is_intermittent(series(bursts(1)))
    assert not is_intermittent(series(noise * [day.weekday() < 5 for day in days]))
    assert not is_intermittent(series(noise * [day.day == 1 for day in days]))
    assert not is_intermittent(series(noise))
    assert not is_intermittent(series(-bursts(1)))
    assert not is_intermittent(series(np.zeros(400)))


def test_idle_days_may_cost_a_little_but_not_nearly_as_much() -> None:
    """A small base under bursts leaves them bursts; a base of half their size does not."""
    assert is_intermittent(series(bursts(2) + 20))
    assert not is_intermittent(series(bursts(2) + 500))


def test_a_burst_that_outlasts_all_others_is_a_new_level() -> None:
    """Cost that has run for 70 days, where bursts took at most two weeks, is not expected to end; nor to come back."""
    values = np.where(np.arange(400) % 37 < 9, 1000.0, 0.0)
    values[330:] = 400.0
    assert not is_intermittent(series(values))
    values[300:] = 0.0
    assert not is_intermittent(series(values))


def test_totals_are_as_uncertain_as_few_bursts_leave_them() -> None:
    """Over 100 histories four of five totals of 30 days lie within the middle 80 % of the courses' totals."""
    inside = 0
    for seed in range(100):
        values = bursts(seed, 300 + HORIZON)
        made = draws(series(values[:-HORIZON]), HORIZON).sum(axis=1)
        inside += np.quantile(made, 0.1) <= values[-HORIZON:].sum() <= np.quantile(made, 0.9)
    assert 72 <= inside <= 88


def test_drawn_means_beat_the_mean_of_the_last_90_days() -> None:
    """Over 60 histories the drawn mean errs less by day and in the total of 30 days."""
    by_day, in_total = np.zeros(2), np.zeros(2)
    for seed in range(60):
        values = bursts(seed, 400 + HORIZON)
        known, came = values[:-HORIZON], values[-HORIZON:]
        for k, mean in enumerate((draws(series(known), HORIZON).mean(axis=0), np.full(HORIZON, known[-90:].mean()))):
            by_day[k] += np.abs(mean - came).sum()
            in_total[k] += abs((mean - came).sum())
    assert by_day[0] < 0.98 * by_day[1]
    assert in_total[0] < 0.97 * in_total[1]


def test_the_forecast_of_bursts_gives_their_own_quantiles() -> None:
    """p50 is an idle day's where idling is usual, p90 a burst's, and four of five days came inside."""
    inside = 0
    for seed in range(20):
        values = bursts(seed, 400 + HORIZON)
        path = forecast_path(series(values[:-HORIZON]), horizon=HORIZON)
        assert path.model == MODEL
        bands = quantiles(path, no_reach())
        inside += int(((bands["p10"] <= values[-HORIZON:]) & (values[-HORIZON:] <= bands["p90"])).sum())
        assert (np.diff(np.array(list(bands.values())), axis=0) >= 0).all()
    assert 0.72 <= inside / (20 * HORIZON) <= 0.93


def test_draws_are_the_same_every_time() -> None:
    """They depend on the series alone."""
    one = series(bursts(3))
    np.testing.assert_array_equal(draws(one, HORIZON), draws(one, HORIZON))
    assert draws(one, HORIZON).mean() == pytest.approx(draws(one, 60)[:, :HORIZON].mean(), rel=0.2)
