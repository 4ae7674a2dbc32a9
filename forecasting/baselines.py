"""Models that the default must beat: seasonal naive, run-rate, drift, AutoETS, AutoTheta.

Their paths borrow unit, spread and range from the default's path at the same cutoff; their own past errors then
scale the band (forecasting.intervals).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.method import HISTORY_DAYS, Path
from forecasting.series import DailySeries, Floats

if TYPE_CHECKING:
    from statsforecast.models import AutoETS, AutoTheta

SEASONAL_NAIVE, RUN_RATE, DRIFT, ETS, THETA = "seasonal_naive", "run_rate_30", "drift", "auto_ets", "auto_theta"
RUN_RATE_DAYS: Final = 30
WEEK: Final = 7


def baseline_path(name: str, series: DailySeries, *, horizon: int, default: Path) -> Path:
    """The path of a baseline on a series."""
    history = filled(series.last(HISTORY_DAYS).values)
    z = np.clip(np.arcsinh(_POINTS[name](history, horizon) / default.unit), default.lowest, default.highest)
    return replace(default, model=name, variant="", center=z, mean=default.value(z), fixed=None)


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


def run_rate(history: Floats, horizon: int) -> Floats:
    """The mean of the last 30 days in every day ahead: what a spreadsheet does."""
    return np.full(horizon, history[-RUN_RATE_DAYS:].mean())


def drift(history: Floats, horizon: int) -> Floats:
    """The line through the first and the last value: f[n + k] = y[n] + k (y[n] - y[1]) / (n - 1)."""
    slope = (history[-1] - history[0]) / (len(history) - 1)
    line: Floats = history[-1] + slope * np.arange(1, horizon + 1)
    return line


def auto_ets(history: Floats, horizon: int) -> Floats:
    """AutoETS of statsforecast with an additive season: the free choice has exploded on real series."""
    from statsforecast.models import AutoETS  # seconds to import: only the processes that fit pay for it

    return _statistical(AutoETS(season_length=WEEK, model="ZZA"), history, horizon)


def auto_theta(history: Floats, horizon: int) -> Floats:
    """AutoTheta of statsforecast."""
    from statsforecast.models import AutoTheta

    return _statistical(AutoTheta(season_length=WEEK), history, horizon)


def _statistical(model: "AutoETS | AutoTheta", history: Floats, horizon: int) -> Floats:
    # the model itself: StatsForecast would build a frame for each series and give the same numbers
    mean: Floats = model.forecast(y=history, h=horizon)["mean"]
    return mean.astype(np.float64)


_POINTS: Final[dict[str, Callable[[Floats, int], Floats]]] = {
    SEASONAL_NAIVE: seasonal_naive,
    RUN_RATE: run_rate,
    DRIFT: drift,
    ETS: auto_ets,
    THETA: auto_theta,
}
BASELINES: Final = tuple(_POINTS)
ALWAYS_JUDGED: Final = (SEASONAL_NAIVE, RUN_RATE)
"""What a person would do without a forecast: judged beside every series, also where the default fell back."""
