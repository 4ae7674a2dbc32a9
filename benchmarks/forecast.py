"""Forecasting a portfolio, beside the bare Prophet fits that it is made of.

Every forecast fits Prophet twice at its newest day and at six past days that calibrate its bands. The bare run calls
Prophet alone, as often and on the same rows, in one process; its CPU time spread over the cores is what no fan-out
could beat. The first ratio says what starting workers, reading series, level, bands and rows add to that; the second
leaves out waiting for cores that something else keeps busy.
"""

import resource
import time
from datetime import date, timedelta

import numpy as np
import polars as pl

from finops.execution import usable_cores
from forecasting.calendar import month_effects
from forecasting.forecast import forecast, forecast_task
from forecasting.method import DEFAULT, HISTORY_DAYS, fit_prophet, unit_of
from forecasting.series import DailySeries, read_series

SERIES = 60
DAYS = 540
HORIZON = 90
FITS_PER_CUTOFF = 2
BARE_SERIES = 6
"""The bare fits of so many series are measured, and scaled to all of them."""


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


def bare_cpu_seconds(series: list[DailySeries]) -> float:
    """CPU time of Prophet alone for what a forecast of these series fits."""
    lengths = [(one, cutoff) for one in series for cutoff in forecast_task(one, horizon=HORIZON).cutoffs]
    before = _cpu_seconds()
    for one, cutoff in lengths:
        known = one.known_at(cutoff).last(HISTORY_DAYS)
        z = np.arcsinh(known.values / unit_of(known.observed))
        days = known.days(HORIZON)
        effects = month_effects(days, ~np.isnan(z))
        for _ in range(FITS_PER_CUTOFF):
            fit_prophet(days, z, effects)
    return _cpu_seconds() - before


def _cpu_seconds() -> float:
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run() -> None:
    """Print the wall time of the portfolio, the bare fits' CPU time over the cores, and their ratio."""
    frame = daily_costs(SERIES, DAYS)
    series, _ = read_series(frame)
    bare_cpu_seconds(series[:1])  # imports Prophet
    bare = bare_cpu_seconds(series[:BARE_SERIES]) * SERIES / BARE_SERIES / usable_cores()
    cpu, started = _cpu_seconds(), time.perf_counter()
    made = forecast(frame, horizon=HORIZON)
    wall, used = time.perf_counter() - started, (_cpu_seconds() - cpu) / usable_cores()
    assert made.rows.filter(pl.col("model") == DEFAULT).height == SERIES * HORIZON
    print(
        f"{SERIES} series of {DAYS} days, {HORIZON} days ahead, 7 cutoffs each: {wall:.1f} s on {usable_cores()} cores"
    )
    print(f"bare Prophet fits, CPU time / cores: {bare:.1f} s; ratio {wall / bare:.2f}")
    print(f"the forecast's own CPU time / cores: {used:.1f} s; ratio {used / bare:.2f}")
