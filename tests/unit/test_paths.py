"""Sample paths of forecasts: each day as its quantiles say, days tied as past errors were, totals covered."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forecasting.fits import Fitted
from forecasting.intervals import QUANTILES, no_reach, quantiles
from forecasting.method import DEFAULT, Path, forecast_path
from forecasting.paths import (
    PRIOR,
    Dependence,
    courses,
    day_values,
    dependence_of,
    paths_of,
    totals,
)
from forecasting.series import DATE, MODEL, SERIES, DailySeries, Floats

FIRST = date(2026, 1, 1)
HORIZON = 56


def path(level: float, *, horizon: int = HORIZON, spread: float = 0.1, rise: float = 0.0) -> Path:
    """A flat path whose error grows by `rise` spreads a day."""
    z = np.full(horizon, np.arcsinh(level / 100.0))
    return Path(DEFAULT, 100.0, z, np.full(horizon, level), spread * (1 + rise * np.arange(horizon)), -9.0, 9.0)


def fitted(name: str, values: Floats, *, cutoffs: list[int]) -> Fitted:
    """A series at a level of 100 with fits that all say 100."""
    return Fitted(DailySeries(name, FIRST, values), HORIZON, {at: {DEFAULT: path(100.0)} for at in cutoffs})


def drawn_from(values: Floats, ahead: Path, ties: Dependence, *, name: str = "a") -> Floats:
    """The courses of a series of that name whose newest day is the first of January."""
    return courses(values, DailySeries(name, FIRST, np.ones(1)), ahead, ties)


def rows(portfolio: list[Fitted]) -> pl.DataFrame:
    """The final rows of a portfolio with the simple reach."""
    frames = []
    for one in portfolio:
        newest = one.paths[len(one.series.values)][DEFAULT]
        first = one.series.end + timedelta(days=1)
        days = pl.date_range(first, first + timedelta(days=one.horizon - 1), eager=True)
        bands = quantiles(newest, no_reach())
        frames.append(pl.DataFrame({SERIES: one.series.name, DATE: days, MODEL: DEFAULT, "mean": newest.mean, **bands}))
    return pl.concat(frames)


def portfolio(seed: int, *, shared: float, persistence: float = 0.0, count: int = 12) -> list[Fitted]:
    """Series of 400 days around 100 whose fits err by a level that all days of a fit share, and by noise."""
    random = np.random.default_rng(seed)
    made = []
    for k in range(count):
        noise = random.normal(0, 1, 400)
        for day in range(1, 400):
            noise[day] = persistence * noise[day - 1] + np.sqrt(1 - persistence**2) * noise[day]
        level = np.repeat(random.normal(0, 1, 8), 50)
        # 1.6 spreads are the simple reach of the 80 % band: errors of the size that the bands expect
        z = np.arcsinh(1.0) + 0.125 * (np.sqrt(shared) * level + np.sqrt(1 - shared) * noise)
        made.append(fitted(f"s{k}", 100 * np.sinh(z), cutoffs=[200, 250, 300, 350, 400]))
    return made


def dependence(found: list[Fitted]) -> Dependence:
    """Calibrated on the four fits that ended 50 to 200 days before the newest day."""
    return dependence_of(found, DEFAULT, gaps=(50, 100, 150, 200), newest={one.series.name: 400 for one in found})


def test_paths_have_the_quantiles_and_the_mean_of_each_day() -> None:
    """Every quantile shown and the mean are those of the drawn paths, whatever ties the days."""
    bands = quantiles(path(100.0, rise=0.05), no_reach())
    mean = bands["p50"] * 1.03
    values = day_values(bands, mean)
    drawn = drawn_from(values, path(100.0, rise=0.05), PRIOR)
    assert drawn.shape == (400, HORIZON)
    np.testing.assert_allclose(drawn.mean(axis=0), mean, rtol=1e-9)
    shares = {"p025": 0.025, "p05": 0.05, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p975": 0.975}
    for name in QUANTILES:
        below = (drawn < bands[name]).mean(axis=0)
        assert np.abs(below - shares[name]).max() <= 0.02, name


def test_a_mean_far_above_the_median_lifts_rare_days_first() -> None:
    """A mean 10 % above p50 leaves p90 where it is and lengthens the tail beyond p975."""
    bands = {name: np.array([value]) for name, value in zip(QUANTILES, (90, 92, 95, 100, 105, 108, 110), strict=True)}
    values = day_values(bands, np.array([100.4]))
    assert np.quantile(values, 0.9) == pytest.approx(105, abs=0.3)
    assert values[-1, 0] > 125
    assert day_values(bands, np.array([100.0]))[-1, 0] < 120


def test_values_of_a_day_do_not_fall_below_zero_where_its_band_does_not() -> None:
    """Paths of a cost that was never negative stay at or above 0, with any mean."""
    bands = {name: np.array([value]) for name, value in zip(QUANTILES, (0, 0, 0, 5, 40, 60, 90), strict=True)}
    for mean in (2.0, 15.0, 30.0):
        values = day_values(bands, np.array([mean]))
        assert values.min() >= 0
        assert values.mean() == pytest.approx(mean)


def test_paths_are_the_same_in_every_process_and_differ_by_series() -> None:
    """Seeds come from series and cutoff alone: order and company of the series change nothing."""
    known = portfolio(1, shared=0.3, count=3)
    first, second = paths_of(known, rows(known)), paths_of(known[::-1], rows(known[::-1]))
    assert first.keys() == second.keys() == {"s0", "s1", "s2"}
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert not np.array_equal(first["s0"], first["s1"])


def test_paths_follow_rows_that_were_reconciled() -> None:
    """Rows moved up by a tenth move the paths by a tenth."""
    known = portfolio(1, shared=0.3, count=2)
    before = paths_of(known, rows(known))
    moved = rows(known).with_columns(pl.col("mean", *QUANTILES) * 1.1)
    np.testing.assert_allclose(paths_of(known, moved)["s1"], before["s1"] * 1.1)


@pytest.mark.parametrize("shared", [0.0, 0.4, 0.8])
def test_the_level_that_past_errors_shared_is_found(shared: float) -> None:
    """Portfolios whose days err together get a higher level; independent days get almost none."""
    found = [dependence(portfolio(seed, shared=shared)) for seed in range(4)]
    assert np.mean([one.level for one in found]) == pytest.approx(shared, abs=0.15)


def test_errors_that_last_some_days_are_no_level() -> None:
    """They are persistence, which averages out over a month."""
    found = [dependence(portfolio(seed, shared=0.0, persistence=0.7)) for seed in range(4)]
    assert np.mean([one.level for one in found]) < 0.15
    assert np.mean([one.persistence for one in found]) > 0.4


@pytest.mark.parametrize(("shared", "persistence"), [(0.1, 0.5), (0.3, 0.0), (0.6, 0.0)])
def test_totals_are_covered_as_they_say(shared: float, persistence: float) -> None:
    """Of totals over 7, 28 and 50 days after the newest fit, about four in five lie between p10 and p90."""
    inside = []
    for seed in range(20, 28):
        known = portfolio(seed, shared=shared, persistence=persistence)
        ties = dependence_of(known, DEFAULT, gaps=(50, 100, 150), newest={one.series.name: 350 for one in known})
        for one in known:
            values = day_values(quantiles(path(100.0), no_reach()), np.full(HORIZON, 100.8))
            drawn = drawn_from(values, path(100.0), ties, name=f"{seed}{one.series.name}")
            for days in (7, 28, 50):
                low, high = np.quantile(drawn[:, :days].sum(axis=1), [0.1, 0.9])
                inside.append(low <= one.series.values[350 : 350 + days].sum() <= high)
    assert np.mean(inside) == pytest.approx(0.8, abs=0.07)


def test_series_that_err_together_are_drawn_together() -> None:
    """A common factor is found, and totals of two series then move together; without one they do not."""
    random = np.random.default_rng(5)
    shared = 0.125 * np.repeat(random.normal(0, 1, 40), 10)
    cutoffs = list(range(60, 401, 20))
    together = [
        fitted(f"s{k}", 100 * np.sinh(np.arcsinh(1.0) + shared + random.normal(0, 0.03, 400)), cutoffs=cutoffs)
        for k in range(6)
    ]
    gaps = tuple(range(20, 341, 20))
    ties = dependence_of(together, DEFAULT, gaps=gaps, newest={one.series.name: 400 for one in together})
    assert ties.common > 0.5
    values = day_values(quantiles(path(100.0), no_reach()), np.full(HORIZON, 100.0))
    drawn = [
        drawn_from(values, path(100.0), Dependence(0.3, 0.0, common), name=name).sum(axis=1)
        for common in (ties.common, 0.0)
        for name in ("a", "b")
    ]
    assert np.corrcoef(drawn[0], drawn[1])[0, 1] > 0.4
    assert abs(np.corrcoef(drawn[2], drawn[3])[0, 1]) < 0.2


def test_a_portfolio_without_past_fits_takes_the_prior() -> None:
    """Short histories have no past fits to learn from."""
    assert dependence_of([fitted("s", np.full(60, 1.0), cutoffs=[60])], DEFAULT, newest={"s": 60}) == PRIOR


def test_totals_are_of_periods_that_the_horizon_ends_and_parts_sum() -> None:
    """From 11 November: November, December, the fourth quarter and the year end in 60 days, January does not."""
    drawn = np.random.default_rng(0).lognormal(3, 1, (400, 60))
    found = totals(drawn, first=date(2026, 11, 11))
    assert found["period"].to_list() == ["2026", "2026-11", "2026-12", "2026-Q4"]
    mean = dict(found.select("period", "mean").iter_rows())
    assert mean["2026-Q4"] == mean["2026"] == pytest.approx(mean["2026-11"] + mean["2026-12"])
    wide = dict(found.select("period", pl.col("p90") - pl.col("p10")).iter_rows())
    assert wide["2026-Q4"] < wide["2026-11"] + wide["2026-12"], "independent months do not add their bands"
    november = drawn[:, :20].sum(axis=1)
    assert found.filter(period="2026-11")["p10"].item() == pytest.approx(np.quantile(november, 0.1))


def test_a_constant_series_has_constant_paths() -> None:
    """Nothing is drawn where nothing varies."""
    flat = Path(DEFAULT, 1.0, np.full(5, 1.0), np.full(5, np.sinh(1.0)), np.zeros(5), 0.0, 1.0)
    values = day_values(quantiles(flat, no_reach()), flat.mean)
    drawn = drawn_from(values, flat, PRIOR)
    np.testing.assert_allclose(drawn, np.sinh(1.0))


def test_bursts_go_together_as_runs_do() -> None:
    """Days of one burst are high together: totals of intermittent cost are far wider than of independent days."""
    random = np.random.default_rng(2)
    values = random.uniform(0.5, 1.0, 300)
    at = 5
    while at < 290:
        length = int(random.integers(4, 13))
        values[at : at + length] *= 40
        at += length + int(random.integers(8, 30))
    series = DailySeries("training", FIRST, values)
    ahead = forecast_path(series, horizon=28)
    assert ahead.model == "burst_bootstrap"
    likely = day_values(quantiles(ahead, no_reach()), ahead.mean)
    drawn = courses(likely, series, ahead, PRIOR)
    np.testing.assert_allclose(drawn.mean(axis=0), ahead.mean)
    apart = random.permuted(drawn, axis=0)
    assert drawn.sum(axis=1).std() > 1.5 * apart.sum(axis=1).std()


def test_days_that_are_estimated_come_before_the_growth_of_errors() -> None:
    """Where the first rows are days billed in part, the horizon's errors begin to grow after them."""
    ahead = path(100.0, rise=1.0)
    series = DailySeries("a", FIRST, np.ones(3))
    values = day_values(quantiles(ahead, no_reach()), np.full(HORIZON, 100.0))
    ties = Dependence(0.0, 0.0, 0.0)
    late = courses(values, series, ahead, ties, estimated=3)
    assert late.shape == values.shape
    together = np.corrcoef(late[:, 0], late[:, 2])[0, 1], np.corrcoef(late[:, 20], late[:, 22])[0, 1]
    assert abs(together[0]) < 0.15
    assert together[1] > 0.6
