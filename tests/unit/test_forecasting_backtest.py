"""Baselines, calibration, backtest figures and selection on values that can be computed by hand."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from forecasting.backtest import STEP_DAYS, backtest, backtest_task, judge, origin_lengths
from forecasting.baselines import BASELINES, baseline_path, drift, filled, run_rate, seasonal_naive
from forecasting.fits import Fitted, Task, fit_all, usable_cutoffs
from forecasting.intervals import SIMPLE_REACH, no_reach, quantiles, reach_of
from forecasting.method import DEFAULT, Path, forecast_path
from forecasting.selection import LEAST_FOLDS, choose_model
from forecasting.series import DailySeries, Floats


def series(values: Floats) -> DailySeries:
    return DailySeries("a", date(2026, 1, 1), values)


def path(level: float, *, model: str = DEFAULT, horizon: int = 30, spread: float = 0.1) -> Path:
    """A flat path at `level` in units of 100."""
    z = np.full(horizon, np.arcsinh(level / 100))
    return Path(model, 100.0, z, np.full(horizon, level), np.full(horizon, spread), -9.0, 9.0)


def test_baselines_say_what_a_spreadsheet_would() -> None:
    """The last week again; the mean of the last 30 days; the line through the first and the last value."""
    line = np.arange(1.0, 41.0)
    np.testing.assert_array_equal(seasonal_naive(line, 9), [34, 35, 36, 37, 38, 39, 40, 34, 35])
    np.testing.assert_array_equal(run_rate(line, 2), [25.5, 25.5])
    np.testing.assert_array_equal(drift(line, 3), [41, 42, 43])


def test_a_baseline_takes_nothing_but_the_scale_from_the_default() -> None:
    """Neither quantiles that the default states itself nor how it was used."""
    own = np.tile(np.linspace(1, 2, 7)[:, None], 30)
    found = baseline_path("run_rate_30", series(np.full(40, 100.0)), horizon=30, default=replace(
        path(300), variant="price_x_volume", fixed=own
    ))  # fmt: skip
    assert (found.name, found.mean[0]) == ("run_rate_30", pytest.approx(100))
    assert quantiles(found, no_reach())["p50"][0] == pytest.approx(100)


def test_missing_days_are_filled_with_the_same_weekday() -> None:
    """A gap repeats the week before it, and the median where there is none before it."""
    values = np.array([np.nan, 2.0, 3, 4, 5, 6, 7, 8, np.nan, 10, 11])
    np.testing.assert_array_equal(filled(values), [6.0, 2, 3, 4, 5, 6, 7, 8, 2, 10, 11])


def test_a_baseline_that_explodes_is_clipped_to_the_range_of_the_history() -> None:
    """AutoETS, AutoTheta and drift on an exponential history stay within the default's bounds."""
    history = series(np.exp(np.arange(60) / 4.0))
    default = forecast_path(history, horizon=365)
    for name in BASELINES:
        found = baseline_path(name, history, horizon=365, default=default)
        assert np.isfinite(found.mean).all(), name
        assert found.mean.max() < 10 * history.values.max(), name


def test_cutoffs_need_a_full_history_before_them() -> None:
    """Missing days do not count as history; a cutoff beyond the end is none."""
    values = np.ones(90)
    values[:10] = np.nan
    assert usable_cutoffs(series(values), [65, 66, 90, 91, -5, 90]) == (66, 90)


def test_reach_is_the_quantile_of_past_misses_blended_with_the_simple_one() -> None:
    """20 fits that each missed by 5 spreads in two of five buckets count as 20 there, and as their mean, 8, in all."""
    values = np.full(100, 100 * np.sinh(np.arcsinh(1) + 0.5))
    members = [
        Fitted(DailySeries(str(k), date(2026, 1, 1), values), 14, {86: {DEFAULT: path(100, horizon=14)}})
        for k in range(20)
    ]
    reach = reach_of(members, DEFAULT, gaps=(14,), newest={str(k): 100 for k in range(20)})
    for band, simple in SIMPLE_REACH.items():
        seen, unseen = (28 * 5 + 10 * simple) / 38, (8 * 5 + 10 * simple) / 18
        np.testing.assert_allclose(reach[band], [seen, seen, unseen, unseen, unseen])


def test_a_fallback_path_calibrates_nobody() -> None:
    """Past fits that fell back to a simple model do not count."""
    short = path(100, model="median_14 (short history)")
    fitted = Fitted(series(np.full(100, 500.0)), 30, {86: {DEFAULT: short}})
    reach = reach_of([fitted], DEFAULT, gaps=(14,), newest={"a": 100})
    assert {band: list(r) for band, r in reach.items()} == {band: list(r) for band, r in no_reach().items()}


def test_quantiles_are_spreads_around_the_centre() -> None:
    """p10 and p90 lie 1.6 spreads from p50 on the asinh scale, p025 and p975 lie 2.6."""
    found = {name: np.arcsinh(v[0] / 100) for name, v in quantiles(path(100), no_reach()).items()}
    centre = np.arcsinh(1)
    assert found["p50"] == pytest.approx(centre)
    assert found["p90"] - centre == pytest.approx(centre - found["p10"]) == pytest.approx(0.16)
    assert found["p975"] - centre == pytest.approx(centre - found["p025"]) == pytest.approx(0.26)


def test_backtest_figures_are_those_of_the_folds() -> None:
    """A forecast of 110 against 100 on every day: WAPE and bias 10 %; two origins, both inside the band or not."""
    values = np.tile([90.0, 110.0, 90.0, 110.0, 90.0, 110.0, 110.0], 40)[:250]
    values[-56:] = 100.0
    lengths = origin_lengths(series(values), horizon=30, origins=2)
    assert lengths == (220, 220 - STEP_DAYS)
    paths = {length: {DEFAULT: path(110, spread=0.01)} for length in lengths}
    done = judge([Fitted(series(values), 30, paths)], horizon=30, origins=2)
    (row,) = done.series.filter(pl.col("days_ahead") == "all").to_dicts()
    assert (row["model"], row["chosen"], row["horizon"], row["origins"]) == (DEFAULT, True, 30, 2)
    assert row["wape"] == pytest.approx(0.1)
    assert row["bias"] == pytest.approx(0.1)
    assert row["smape"] == pytest.approx(2 * 10 / 210)
    assert row["coverage95"] == 0.0
    assert done.pooled["folds"].to_list() == [2, 2, 2, 2], "all days, 1 to 7, 8 to 30, to the month's end"


def test_models_are_compared_where_both_were_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant series that only the default served neither helps it in the pool nor goes without a chosen model."""
    values = np.tile([90.0, 110.0, 90.0, 110.0, 90.0, 110.0, 110.0], 40)[:250]
    both = {220: {DEFAULT: path(120), "drift": path(100, model="drift")}}
    alone = {220: {DEFAULT: path(100, model="median_14 (constant)")}}
    members = [
        Fitted(DailySeries("both", date(2026, 1, 1), values), 30, both),
        Fitted(DailySeries("alone", date(2026, 1, 1), np.full(250, 100.0)), 30, alone),
    ]
    monkeypatch.setattr("forecasting.selection.choose_model", lambda pooled: "drift")
    done = judge(members, horizon=30, origins=1)
    pooled = done.pooled.filter(pl.col("days_ahead") == "all")
    assert dict(pooled.select("model", "folds").iter_rows()) == {DEFAULT: 1, "drift": 1}
    assert dict(pooled.select("model", "wins_ratio").iter_rows()) == {DEFAULT: 0.0, "drift": 1.0}
    chosen = done.series.filter(pl.col("chosen")).select("series", "model")
    assert dict(chosen.iter_rows()) == {"alone": DEFAULT, "both": "drift"}


def test_a_series_too_short_for_an_origin_is_named() -> None:
    """No figures, no guess: the refusal says how far ahead it was asked for."""
    assert backtest_task(series(np.ones(80)), horizon=30, origins=3) is None
    days = pl.date_range(date(2026, 1, 1), date(2026, 3, 21), eager=True)
    done = backtest(pl.DataFrame({"series": "a", "date": days, "value": 1.0}), horizon=30, origins=3)
    assert done.series.is_empty()
    assert done.chosen == DEFAULT
    assert "30 days ahead" in done.refused[0].reason


def test_fits_of_a_task_come_back_under_their_cutoffs() -> None:
    """A flat history falls back at each cutoff, and beside it stands only what a person would say."""
    (fitted,), refused = fit_all([Task(series(np.full(60, 3.0)), 5, (40, 60), compared=(60,))], workers=1)
    assert not refused
    assert {cutoff: list(paths) for cutoff, paths in fitted.paths.items()} == {
        40: [DEFAULT],
        60: [DEFAULT, "seasonal_naive", "run_rate_30"],
    }


def pooled(*, folds: int = LEAST_FOLDS, wins: float = 0.7, mase: float, wape: float) -> pl.DataFrame:
    """Pooled figures of the default (1.0, 0.1) and of one baseline."""
    return pl.DataFrame(
        {
            "model": [DEFAULT, "run_rate_30"],
            "folds": folds,
            "wins_ratio": [0.0, wins],
            "mase": [1.0, mase],
            "wape": [0.1, wape],
        }
    )


@pytest.mark.parametrize(
    ("figures", "chosen"),
    [
        (pooled(mase=0.89, wape=0.089), "run_rate_30"),
        (pooled(mase=0.91, wape=0.05), DEFAULT),
        (pooled(mase=0.5, wape=0.091), DEFAULT),
        (pooled(mase=0.5, wape=0.05, wins=0.6), DEFAULT),
        (pooled(mase=0.5, wape=0.05, folds=LEAST_FOLDS - 1), DEFAULT),
        (pooled(mase=0.5, wape=0.05).filter(pl.col("model") != DEFAULT), DEFAULT),
    ],
)
def test_only_a_clearly_better_baseline_replaces_the_default(figures: pl.DataFrame, chosen: str) -> None:
    """It must win by 10 % in both MASE and WAPE, in two of three folds, over enough of them."""
    assert choose_model(figures) == chosen
