"""What must hold of any forecast: no leakage, ordered finite quantiles, the same result however it is computed."""

import resource
import time
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting import fits
from forecasting.backtest import backtest, backtest_task, judge
from forecasting.fits import Fitted, fit_all
from forecasting.forecast import Forecast, forecast
from forecasting.intervals import OFFSETS_DAYS, QUANTILES, Reach, no_reach, quantiles, reach_of
from forecasting.level import follow, rolling_median, spread_by_lead
from forecasting.method import DEFAULT, Path, forecast_path
from forecasting.series import DailySeries, Floats
from forecasting.trust import AVOID, GOOD

FIRST = date(2025, 1, 1)
FINITE = st.floats(-1e12, 1e12, allow_subnormal=False)


def series(values: Floats | list[float], name: str = "a") -> DailySeries:
    """A daily series from FIRST on."""
    return DailySeries(name, FIRST, np.asarray(values, dtype=np.float64))


def frame(**columns: Floats | list[float]) -> pl.DataFrame:
    """Rows `series,date,value` of several series; NaN as null."""
    parts = [
        pl.DataFrame(
            {"date": [FIRST + timedelta(days=k) for k in range(len(values))], "value": np.array(values, float)}
        )
        .with_columns(pl.lit(name).alias("series"), pl.col("value").fill_nan(None))
        .select("series", "date", "value")
        for name, values in columns.items()
    ]
    return pl.concat(parts)


def weekly(days: int, *, seed: int = 1, noise: float = 0.05) -> Floats:
    """Cost with half as much at weekends and some noise."""
    at = np.arange(days)
    weekend = np.where((at + FIRST.weekday()) % 7 >= 5, 0.5, 1.0)
    values: Floats = 100 * weekend * np.exp(np.random.default_rng(seed).normal(0, noise, days))
    return values


def assert_sane(made: Forecast) -> None:
    """Every number is finite and the quantiles of every row rise with p50 among them."""
    numbers = made.rows.select("mean", *QUANTILES).to_numpy()
    assert np.isfinite(numbers).all()
    assert (np.diff(numbers[:, 1:], axis=1) >= 0).all()


@settings(max_examples=100, deadline=None)
@example(values=np.array([1235.0, 6.9e-306, 6.9e-306]), horizon=1, reaches=[0.0, 0.0, 0.0])
@given(
    values=arrays(np.float64, st.integers(1, 27), elements=FINITE),
    horizon=st.integers(1, 100),
    reaches=st.lists(st.floats(0, 50), min_size=3, max_size=3).map(sorted),
)
def test_quantiles_of_any_history_are_finite_and_ordered(values: Floats, horizon: int, reaches: list[float]) -> None:
    """Whatever the values and the calibration, p025 <= ... <= p50 <= ... <= p975 and all are finite."""
    reach: Reach = {band: np.full(5, r) for band, r in zip((0.80, 0.90, 0.95), reaches, strict=True)}
    path = forecast_path(series(values), horizon=horizon)
    found = np.array(list(quantiles(path, reach).values()))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=0) >= 0).all()
    assert np.isfinite(path.mean).all()
    if (values >= 0).all():
        assert (found >= 0).all()


@settings(max_examples=15, deadline=None)
@given(values=arrays(np.float64, st.integers(28, 70), elements=FINITE | st.just(0.0)), horizon=st.integers(1, 100))
def test_the_whole_method_stands_any_values(values: Floats, horizon: int) -> None:
    """Path, spread and mean of histories that Prophet does fit are finite, too."""
    path = forecast_path(series(values), horizon=horizon)
    for part in (path.center, path.mean, path.spread, *quantiles(path, no_reach()).values()):
        assert np.isfinite(part).all()


@settings(max_examples=50, deadline=None)
@given(
    values=arrays(np.float64, st.integers(28, 120), elements=FINITE),
    missing=st.sets(st.integers(0, 119), max_size=60),
    horizon=st.integers(1, 60),
)
def test_the_level_is_finite_whatever_is_missing(values: Floats, missing: set[int], horizon: int) -> None:
    """Rolling median, smoothed level and spread stay finite with any gaps, as long as 28 values are left."""
    gone = [day for day in missing if day < len(values)][: len(values) - 28]
    values = np.arcsinh(values)
    values[gone] = np.nan
    assert np.isfinite(rolling_median(values)).all()
    level = follow(values, horizon)
    assert np.isfinite(level).all()
    assert np.isfinite(spread_by_lead(values, level, horizon)).all()


@settings(max_examples=40, deadline=None)
@given(future=arrays(np.float64, 60, elements=FINITE), cutoff=st.integers(90, 140))
def test_calibration_never_sees_beyond_its_cutoff(future: Floats, cutoff: int) -> None:
    """Changing every value from the cutoff on leaves the reach of the bands at that cutoff unchanged."""
    past = np.random.default_rng(0).normal(100, 5, cutoff)
    path = Path(DEFAULT, 100.0, np.full(90, np.arcsinh(1.0)), np.full(90, 100.0), np.full(90, 0.05), -3.0, 3.0)
    paths = {cutoff - gap: {DEFAULT: path} for gap in OFFSETS_DAYS}

    def at_cutoff(after: Floats) -> Reach:
        known = Fitted(series(np.concatenate([past, after])), 90, paths)
        return reach_of([known], DEFAULT, gaps=OFFSETS_DAYS, newest={"a": cutoff})

    for one, other in zip(at_cutoff(future).values(), at_cutoff(future * -2 + 7).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_changing_the_future_never_changes_a_past_forecast() -> None:
    """Paths and bands at a past origin are the same after every later value was replaced."""
    values = weekly(170)
    changed = values.copy()
    changed[140:] = 1e6
    found = []
    for history in (values, changed):
        task = backtest_task(series(history), horizon=30, origins=1)
        assert task is not None
        (fitted,), _ = fit_all([task], workers=1)
        reach = reach_of([fitted], DEFAULT, gaps=(26, 52, 78), newest={"a": 140})
        found.append({name: quantiles(path, reach) for name, path in fitted.paths[140].items()})
        assert judge([fitted], horizon=30, origins=1).pooled["model"].n_unique() == 6
    for model, bands in found[0].items():
        for name, expected in bands.items():
            np.testing.assert_array_equal(found[1][model][name], expected, err_msg=f"{model} {name}")


def test_the_result_does_not_depend_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process and three give the same rows and grades to the last bit, bursts and fallbacks among them."""
    burst = np.where(np.random.default_rng(5).random(70) < 0.2, 900.0, 0.0)
    rows = frame(a=weekly(60), b=weekly(75, seed=2), c=[5.0] * 40, d=burst)
    alone = forecast(rows, horizon=10, workers=1)
    monkeypatch.setattr(fits, "POOL_FITS", 1)
    together = forecast(rows, horizon=10, workers=3)
    assert together.rows.equals(alone.rows)
    assert together.trust == alone.trust


def test_figures_and_choices_do_not_depend_on_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The baselines, too, are the same in one process and two, so their figures are, and what is chosen by them."""
    rows = frame(a=weekly(75), b=weekly(80, seed=2), c=[5.0] * 90)
    monkeypatch.setattr(fits, "POOL_FITS", 1)
    monkeypatch.setattr("forecasting.selection.LEAST_FOLDS", 1)
    monkeypatch.setattr("forecasting.selection.CLEAR_MARGIN_RATIO", 0.0)
    alone, together = (backtest(rows, horizon=7, origins=1, workers=workers) for workers in (1, 2))
    assert together.series.equals(alone.series)
    assert together.pooled.equals(alone.pooled)
    assert together.choices == alone.choices
    assert together.choices["c"] == DEFAULT


def test_ten_years_are_forecast_like_their_last_ones() -> None:
    """What is older than the method looks back does not move the path, and costs no more to fit."""
    long = weekly(3650)
    newest = forecast_path(series(long), horizon=10)
    same = forecast_path(series(long).last(400), horizon=10)
    np.testing.assert_array_equal(newest.center, same.center)
    assert_sane(forecast(frame(a=long), horizon=10, workers=1))


def test_unusable_rows_refuse_their_series_and_the_rest_go_on() -> None:
    """A repeated date, a row without a date, an infinite value, only NaN, a mistyped year: each says what is wrong."""
    good = frame(good=weekly(40))
    twice = pl.concat([frame(twice=weekly(40)), frame(twice=[1.0])])
    undated = frame(undated=weekly(40)).with_columns(
        pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("date").alias("date")
    )
    endless = frame(endless=weekly(40)).with_columns(pl.col("value") * float("inf"))
    missing = frame(missing=np.full(40, np.nan))
    mistyped = pl.concat([frame(mistyped=[1.0]), frame(mistyped=[2.0]).with_columns(date=date(2225, 1, 1))])
    made = forecast(pl.concat([good, twice, undated, endless, missing, mistyped]), horizon=5, workers=1)
    assert made.rows["series"].unique().to_list() == ["good"]
    reasons = {refusal.series: refusal.reason for refusal in made.refused}
    assert reasons == {
        "endless": "a value is infinite",
        "missing": "it has no value",
        "mistyped": "it spans 2025-01-01 to 2225-01-01, more than 20,000 days",
        "twice": "1 date(s) occur more than once, first 2025-01-01",
        "undated": "a row has no date",
    }


def test_ten_thousand_series_are_forecast_in_seconds_and_little_memory() -> None:
    """New and constant ones, which nothing is fitted for: what is around the fits must not take longer than they do."""
    random = np.random.default_rng(1)
    new, old = [f"new {k}" for k in range(9_500)], [f"old {k}" for k in range(500)]
    days = pl.Series([FIRST + timedelta(days=k) for k in range(80)])
    rows = pl.concat(
        pl.DataFrame(
            {"series": np.repeat(names, count), "date": pl.concat([days[:count]] * len(names)), "value": values}
        )
        for names, count, values in (
            (new, 14, random.lognormal(3, 0.3, 14 * len(new))),
            (old, 80, np.repeat(random.lognormal(3, 0.3, len(old)), 80)),
        )
    )
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    made = forecast(rows, horizon=30, workers=1)
    assert time.process_time() - started < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000, "kilobytes"
    assert_sane(made)
    assert (made.rows.height, len(made.refused), len(made.trust)) == (300_000, 0, 10_000)
    assert {one.grade for one in made.trust} == {GOOD, AVOID}


def test_odd_series_get_a_sane_forecast_and_the_rest_go_on() -> None:
    """Zeros, constants, one point, negatives, gaps, bursts, huge and tiny values: all finite and ordered."""
    rng = np.random.default_rng(3)
    gappy = weekly(80)
    gappy[rng.random(80) < 0.4] = np.nan
    burst = np.where(np.arange(70) % 17 == 0, 900.0, 0.0)
    blow_up = np.exp(np.arange(70) / 2.0)
    rows = frame(
        zeros=np.zeros(60),
        constant=np.full(60, 7.5),
        one=[3.0],
        two_values=np.where(np.arange(60) == 30, 4.0, 0.0),
        negative=-weekly(60),
        mixed=rng.normal(0, 1, 60),
        gappy=gappy,
        burst=burst,
        blow_up=blow_up,
        tiny=weekly(60) * 1e-15,
        empty_end=np.concatenate([weekly(60), np.full(40, np.nan)]),
        nothing=[np.nan, np.nan],
    )
    made = forecast(rows, horizon=35, workers=1)
    assert_sane(made)
    assert [refusal.series for refusal in made.refused] == ["nothing"]
    assert made.fallbacks == {
        "zeros": "median_14 (constant)",
        "constant": "median_14 (constant)",
        "one": "median_14 (short history)",
        "two_values": "median_14 (under 3 non-zero days)",
        "gappy": "prophet_robust_level (short history)",
    }
    last = made.rows.group_by("series").agg(pl.all().sort_by("date").last())
    by_name = {row["series"]: row for row in last.iter_rows(named=True)}
    assert by_name["zeros"]["p975"] == 0
    assert by_name["constant"]["p025"] == by_name["constant"]["p975"] == pytest.approx(7.5)
    assert by_name["negative"]["p90"] < 0
    assert by_name["blow_up"]["p975"] < 10 * blow_up[-1]
    assert made.rows.filter(pl.col("series") == "empty_end")["date"][0] == FIRST + timedelta(days=100)


def test_a_seasonal_series_is_followed() -> None:
    """Weekends at half the cost stay at half the cost, within 5 % on every day of four weeks."""
    values = weekly(228, noise=0.02)
    made = forecast(frame(a=values[:200]), horizon=28, workers=1)
    assert made.rows["model"].unique().to_list() == [DEFAULT]
    at = np.arange(200, 228)
    expected = np.where((at + FIRST.weekday()) % 7 >= 5, 50.0, 100.0)
    np.testing.assert_allclose(made.rows["p50"].to_numpy(), expected, rtol=0.05)
    np.testing.assert_allclose(made.rows["mean"].to_numpy(), expected, rtol=0.05)


def test_a_series_that_stan_cannot_fit_is_refused_and_the_rest_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimiser's failure becomes the reason of that series."""

    def failing(*_: object) -> dict[str, Floats]:
        raise RuntimeError("line search failed")

    monkeypatch.setattr("forecasting.method.fit_prophet", failing)
    made = forecast(frame(a=weekly(60), b=[1.0, 2.0]), horizon=5, workers=1)
    assert made.rows["series"].unique().to_list() == ["b"]
    assert "line search failed" in made.refused[0].reason
