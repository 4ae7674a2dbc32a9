"""What is learnt later never changes a past forecast: neither later days nor restated ones."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting import fits
from forecasting.backtest import EARLIER_STEPS, STEP_DAYS, backtest_task
from forecasting.fits import fit_all
from forecasting.intervals import OFFSETS_DAYS, quantiles, reach_of
from forecasting.method import DEFAULT, Path
from forecasting.series import DailySeries, Floats

FIRST = date(2026, 1, 1)
DAYS, ORIGIN, HORIZON = 240, 200, 30
FINITE = st.floats(0, 1e9, allow_subnormal=False)


def history(days: int = DAYS) -> Floats:
    """Cost with a weekly rhythm and noise."""
    at = np.arange(days)
    values: Floats = 100 * np.where(at % 7 < 5, 1.0, 0.5) * np.exp(np.random.default_rng(5).normal(0, 0.1, days))
    return values


def restated(today: Floats, *, first: int = 0) -> DailySeries:
    """A series of which the first ORIGIN days were loaded once, 60 days of them before that, and all today anew."""
    old = history()[first:]
    start = FIRST + timedelta(days=first)
    loads = (DailySeries("a", start, old[: 140 - first]), DailySeries("a", start, 1.1 * old[: ORIGIN - first]))
    return DailySeries("a", FIRST, today, vintages=loads)


def said(series: DailySeries) -> list[Floats]:
    """Every number that the forecasts from ORIGIN said: paths and bands of all models."""
    task = backtest_task(series, horizon=DAYS - ORIGIN, origins=1)
    assert task is not None
    assert ORIGIN in task.compared
    (fitted,), refused = fit_all([task], workers=1)
    assert not refused
    gaps = [STEP_DAYS * step for step in range(1, EARLIER_STEPS + 1)]
    numbers = []
    for model, path in sorted(fitted.paths[ORIGIN].items()):
        reach = reach_of([fitted], model, gaps=gaps, newest={"a": ORIGIN})
        numbers += [path.center, path.mean, path.spread, *reach.values(), *quantiles(path, reach).values()]
    return numbers


@pytest.mark.parametrize("first", [0, 20])
def test_restating_the_past_never_changes_a_past_forecast(first: int) -> None:
    """Paths, spreads, reaches and quantiles from an origin are equal to the last bit whatever today says of any day."""
    random = np.random.default_rng(7)
    today = np.where(random.random(DAYS) < 0.3, np.nan, random.lognormal(3, 2, DAYS))
    expected, found = (said(restated(values, first=first)) for values in (history(), today))
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_was_said_is_judged_by_what_is_known_today() -> None:
    """The truth of a fold is today's, whatever a vintage holds of its days."""
    today = history() * 3
    np.testing.assert_array_equal(restated(today).billed[ORIGIN:], today[ORIGIN:])


@settings(max_examples=60, deadline=None)
@given(today=arrays(np.float64, DAYS, elements=FINITE | st.just(np.nan)), length=st.integers(30, DAYS - 1))
def test_of_a_past_day_nothing_is_known_but_the_first_vintage_that_reaches_it(today: Floats, length: int) -> None:
    """Known days are those of that vintage, cut at the day; beyond the last vintage they are today's."""
    known = restated(today).known_at(length)
    source = history() if length <= 140 else 1.1 * history() if length <= ORIGIN else today
    np.testing.assert_array_equal(known.values, source[:length])
    assert known.vintages == ()
    reached = replace(restated(today), vintages=(DailySeries("a", FIRST, history()),))
    np.testing.assert_array_equal(reached.known_at(DAYS).values, today, err_msg="of today's days all is known today")


@settings(max_examples=60, deadline=None)
@given(today=arrays(np.float64, DAYS, elements=FINITE), estimated=st.integers(0, 9))
def test_bands_of_a_past_origin_are_calibrated_on_data_of_then(today: Floats, estimated: int) -> None:
    """Errors before the origin are measured against the values that were known at it."""
    path = Path(DEFAULT, 100.0, np.full(90, np.arcsinh(1.0)), np.full(90, 100.0), np.full(90, 0.05), -3.0, 3.0)
    paths = {ORIGIN - gap: {DEFAULT: path} for gap in OFFSETS_DAYS}
    found = [
        reach_of(
            [fits.Fitted(replace(restated(values), estimated=estimated), 90, paths)],
            DEFAULT, gaps=OFFSETS_DAYS, newest={"a": ORIGIN},
        )
        for values in (today, history())
    ]  # fmt: skip
    for band, expected in found[1].items():
        np.testing.assert_array_equal(found[0][band], expected)
