"""Forecasting and backtesting a portfolio, beside the bare fits that they are made of.

Bare fits call the models alone, as often as is asked for and on the same rows, in one process; their CPU time spread
over the cores is what no fan-out could beat. The first ratio says what starting workers, reading series, level, bands
and rows add to that; the second leaves out waiting for cores that something else keeps busy.

forecast: the default at the newest day and at the past days that calibrate its bands, of which each is two fits of
Prophet. backtest: the default and four baselines from six origins; what the default is fitted at earlier still, to
calibrate the bands of the oldest origins, counts as added. `python -m benchmarks.forecast 500` backtests 500 series
in place of 60: the bare fits of a sample are scaled to all.
"""

import resource
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl

from finops.execution import usable_cores
from forecasting.backtest import backtest, origin_lengths
from forecasting.baselines import auto_ets, auto_theta, run_rate, seasonal_naive
from forecasting.calendar import month_effects
from forecasting.forecast import forecast, forecast_task
from forecasting.method import DEFAULT, HISTORY_DAYS, fit_prophet, unit_of
from forecasting.series import DailySeries, Floats, read_series

SERIES = 60
DAYS = 540
HORIZON = 90
ORIGINS = 6
FITS_PER_CUTOFF = 2
BARE_SERIES = 6
"""The bare fits of so many series are measured, and scaled to all of them."""
BASELINES = (seasonal_naive, run_rate, auto_ets, auto_theta)


def daily_costs(count: int, days: int, seed: int = 1) -> pl.DataFrame:
    """Cost with a weekly rhythm, a wandering level and noise, as `series,date,value`."""
    random = np.random.default_rng(seed)
    first = date(2025, 1, 1)
    at = [first + timedelta(days=k) for k in range(days)]
    weekend = np.array([0.6 if d.weekday() > 4 else 1.0 for d in at])
    walks = np.exp(random.normal(5, 1, (count, 1)) + random.normal(0, 0.02, (count, days)).cumsum(axis=1))
    values = walks * weekend * np.exp(random.normal(0, 0.08, (count, days)))
    return pl.concat(
        [pl.DataFrame({"series": f"team={k:03}", "date": at, "value": row}) for k, row in enumerate(values)]
    )


def bare_forecast(series: DailySeries) -> None:
    """Prophet alone for what a forecast of a series fits."""
    for cutoff in forecast_task(series, horizon=HORIZON).cutoffs:
        _prophet(series.known_at(cutoff).last(HISTORY_DAYS))


def bare_backtest(series: DailySeries) -> None:
    """Prophet and the four baselines alone at the origins of a backtest."""
    for cutoff in origin_lengths(series, horizon=HORIZON, origins=ORIGINS):
        known = series.known_at(cutoff).last(HISTORY_DAYS)
        _prophet(known)
        for baseline in BASELINES:
            baseline(known.values, HORIZON)


def _prophet(known: DailySeries) -> None:
    z: Floats = np.arcsinh(known.values / unit_of(known.observed))
    days = known.days(HORIZON)
    effects = month_effects(days, ~np.isnan(z))
    for _ in range(FITS_PER_CUTOFF):
        fit_prophet(days, z, effects)


def cpu_seconds() -> float:
    """What this process and those that it waited for have used."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def compare(
    title: str, count: int, bare: Callable[[DailySeries], None], product: Callable[[pl.DataFrame], int]
) -> None:
    """Print the wall time of a portfolio, the bare fits' CPU time over the cores, and their ratio."""
    frame, cores = daily_costs(count, DAYS), usable_cores()
    series, _ = read_series(frame)
    bare(series[0])  # imports the models
    before = cpu_seconds()
    for one in series[:BARE_SERIES]:
        bare(one)
    alone = (cpu_seconds() - before) * count / BARE_SERIES / cores
    cpu, started = cpu_seconds(), time.perf_counter()
    fits = product(frame)
    wall, used = time.perf_counter() - started, (cpu_seconds() - cpu) / cores
    print(
        f"{title}, {count} series of {DAYS} days, {HORIZON} days ahead: {wall:.1f} s on {cores} cores, {fits:,} results"
    )
    print(f"bare fits, CPU time / cores: {alone:.1f} s; ratio {wall / alone:.2f}")
    print(f"own CPU time / cores: {used:.1f} s; ratio {used / alone:.2f}")


def _forecast(frame: pl.DataFrame) -> int:
    made = forecast(frame, horizon=HORIZON).rows.filter(pl.col("model") == DEFAULT)
    assert made.height == HORIZON * frame["series"].n_unique()
    return made.height


def _backtest(frame: pl.DataFrame) -> int:
    done = backtest(frame, horizon=HORIZON, origins=ORIGINS)
    assert not done.refused
    return done.series.height


def run(count: int = SERIES) -> None:
    """Compare a forecast and a backtest with their bare fits."""
    compare("forecast", SERIES, bare_forecast, _forecast)
    compare(f"backtest from {ORIGINS} origins", count, bare_backtest, _backtest)


if __name__ == "__main__":
    run(int(sys.argv[1]))
