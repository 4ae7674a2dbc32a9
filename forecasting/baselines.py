"""Models that the default must beat: seasonal naive, run-rate, drift, AutoETS, AutoTheta.

Their paths borrow unit, spread and range from the default's path at the same cutoff; their own past errors then
scale the band (forecasting.intervals).
"""

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from forecasting.method import HISTORY_DAYS, Path
from forecasting.series import DailySeries, Floats

SEASONAL_NAIVE, RUN_RATE, DRIFT, ETS, THETA = "seasonal_naive", "run_rate_30", "drift", "auto_ets", "auto_theta"
BASELINES: Final = (SEASONAL_NAIVE, RUN_RATE, DRIFT, ETS, THETA)
RUN_RATE_DAYS: Final = 30
WEEK: Final = 7


def baseline_paths(series: DailySeries, *, horizon: int, default: Path) -> dict[str, Path]:
    """The path of each baseline on a series, by its name."""
    history = filled(series.last(HISTORY_DAYS).values)
    points = {
        SEASONAL_NAIVE: seasonal_naive(history, horizon),
        RUN_RATE: run_rate(series.values, horizon),
        DRIFT: drift(history, horizon),
        **_statistical(history, horizon),
    }
    return {name: _path(name, point, default) for name, point in points.items()}


def _path(name: str, point: Floats, default: Path) -> Path:
    z = np.clip(np.arcsinh(point / default.unit), default.lowest, default.highest)
    return replace(default, model=name, center=z, mean=default.value(z))


def filled(values: Floats) -> Floats:
    """Values whose missing days repeat the same weekday of the week before (the median before there is one)."""
    full = values.copy()
    middle = np.nanmedian(values)
    for day in np.flatnonzero(np.isnan(values)):
        full[day] = full[day - WEEK] if day >= WEEK else middle
    return full


def seasonal_naive(history: Floats, horizon: int) -> Floats:
    """The last week, repeated: f[n + k] = y[n + k - 7 ceil(k / 7)]."""
    return np.resize(history[-WEEK:], horizon)


def run_rate(values: Floats, horizon: int) -> Floats:
    """The mean of the last 30 days that have a value in every day ahead: what a spreadsheet does."""
    known = values[-RUN_RATE_DAYS:]
    known = known[~np.isnan(known)] if not np.isnan(known).all() else values[~np.isnan(values)][-RUN_RATE_DAYS:]
    return np.full(horizon, known.mean())


def drift(history: Floats, horizon: int) -> Floats:
    """The line through the first and the last value: f[n + k] = y[n] + k (y[n] - y[1]) / (n - 1)."""
    slope = (history[-1] - history[0]) / (len(history) - 1)
    line: Floats = history[-1] + slope * np.arange(1, horizon + 1)
    return line


def _statistical(history: Floats, horizon: int) -> dict[str, Floats]:
    """AutoETS (additive season: the free choice has exploded on real series) and AutoTheta of statsforecast."""
    from statsforecast import StatsForecast  # seconds to import: only the processes that fit pay for it
    from statsforecast.models import AutoETS, AutoTheta

    frame = pl.DataFrame({"unique_id": "one", "ds": np.arange(len(history)), "y": history})
    models = [AutoETS(season_length=WEEK, model="ZZA"), AutoTheta(season_length=WEEK)]
    found = StatsForecast(models=models, freq=1).forecast(df=frame, h=horizon)
    return {ETS: found["AutoETS"].to_numpy(), THETA: found["AutoTheta"].to_numpy()}
