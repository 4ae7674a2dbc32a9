"""The default method: one Prophet with flat growth on the asinh scale, and a robust level on its residuals.

Prophet carries the calendar (week, first and last days of the month), the level follows what moves. Measured on
public daily series against seasonal naive, ETS, Theta and their combinations (docs/forecasting.md).
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.bursts import MODEL as BURSTS
from forecasting.bursts import draws, is_intermittent
from forecasting.calendar import holiday_effect, month_effects
from forecasting.drivers import price_x_volume
from forecasting.events import effects_of
from forecasting.level import (
    LIMIT_DEVIATIONS,
    clip_spikes,
    outlier_limit,
    rolling_median,
    smooth,
    smoothing,
    spread_by_lead,
)
from forecasting.series import LEVELS, DailySeries, Floats
from forecasting.trend import growth, shifted

if TYPE_CHECKING:
    from prophet import Prophet

DEFAULT: Final = "prophet_robust_level"
HISTORY_DAYS: Final = 400
LEAST_DAYS: Final = 28
"""Fewer known values than this cannot carry the method: the last ones stand for what comes."""
FULL_DAYS: Final = 56
"""Fewer than this carry it, but are called a short history: no past fit of theirs says how far it misses."""
SHORT: Final = "short history"
LEAST_NON_ZERO: Final = 3
FALLBACK_DAYS: Final = 14
RANGE_MARGIN: Final = 0.7
"""How far beyond the range of its history, on the asinh scale, a path may go (a factor of about two)."""
MEAN_RESIDUALS: Final = 180
MEAN_CLIP: Final = 1.5
WEEKLY_FREEDOM: Final = 6


@dataclass(frozen=True, eq=False)
class Path:
    """What one model says of one series from one cutoff, before intervals are put around it.

    Arrays hold one value a day of the horizon. center and spread are on the scale z = asinh(value / unit): the median,
    and the size of its errors by lead. mean is in the series' own unit. Quantiles stay within lowest .. highest (z).
    variant: how the model was used (price_x_volume), where that is to be said in its place. fixed: the quantiles LEVELS
    (z, a row each) where a model gives them itself; else they lie around the center as far as the spread reaches.
    """

    model: str
    unit: float
    center: Floats
    mean: Floats
    spread: Floats
    lowest: float
    highest: float
    variant: str = ""
    fixed: Floats | None = None

    @property
    def name(self) -> str:
        """What a person is told: the variant, else the model."""
        return self.variant or self.model

    @property
    def fell_back(self) -> bool:
        """Whether the default took a simple model for want of history or of movement: its name gives the reason."""
        return "(" in self.model

    def value(self, z: Floats) -> Floats:
        """Back from the asinh scale to the series' own unit."""
        back: Floats = self.unit * np.sinh(np.clip(z, self.lowest, self.highest))
        return back


def unit_of(values: Floats) -> float:
    """The median of the non-zero sizes: what makes asinh behave alike for cents and millions; 1 where all is zero.

    Not below a billionth of the largest size, so that rounding dust among real amounts cannot overflow the scale.
    """
    sizes = np.abs(values[values != 0])
    return float(max(np.median(sizes), sizes.max() * 1e-9)) if len(sizes) else 1.0


def bounds(z: Floats, margin: float) -> tuple[float, float]:
    """The range of a history widened by a margin, and not below zero where the history never was."""
    low, high = float(z.min()), float(z.max())
    return (0.0 if low >= 0 else low - margin), high + margin


def forecast_path(series: DailySeries, *, horizon: int) -> Path:
    """The default method on one series with what is known of it; a thin history falls back to a simple model that
    `model` names."""
    driven = price_x_volume(series, horizon=horizon, path_of=_with_events)
    return _with_events(series, horizon=horizon) if driven is None else driven


def _with_events(series: DailySeries, *, horizon: int) -> Path:
    if not series.events or not len(series.observed):
        return _path(series, horizon=horizon)
    effects = effects_of(series, horizon=horizon)
    path = _path(effects.base_of(series), horizon=horizon)
    return effects.put_into(path, never_negative=bool((series.observed >= 0).all()))


def _path(series: DailySeries, *, horizon: int) -> Path:
    recent = series.last(HISTORY_DAYS)
    reason = _too_thin(recent.observed)
    if reason is not None:
        return _median_path(series.observed, horizon, reason)
    return _burst_path(recent, horizon) if is_intermittent(recent) else steady_path(recent, horizon)


def _too_thin(recent: Floats) -> str | None:
    if len(recent) < LEAST_DAYS:
        return SHORT
    if np.ptp(recent) == 0:
        return "constant"
    if np.count_nonzero(recent) < LEAST_NON_ZERO:
        return f"under {LEAST_NON_ZERO} non-zero days"
    return None


def _median_path(observed: Floats, horizon: int, reason: str) -> Path:
    """The median of the last 14 values, with their mean beside it and their own scatter as spread."""
    last = observed[-FALLBACK_DAYS:]
    unit = unit_of(observed)
    z = np.arcsinh(observed / unit)
    center = float(np.median(z[-FALLBACK_DAYS:]))
    # the level of a few days is itself uncertain, and wanders: both widen the band
    scatter = float(np.abs(z - np.median(z)).mean()) * np.sqrt(1 + np.arange(1, horizon + 1) / len(observed))
    low, high = bounds(z, RANGE_MARGIN) if np.ptp(z) else (center, center)
    return Path(
        model=f"median_{FALLBACK_DAYS} ({reason})",
        unit=unit,
        center=np.full(horizon, center),
        mean=np.full(horizon, last.mean()),
        spread=scatter,
        lowest=low,
        highest=high,
    )


def _burst_path(series: DailySeries, horizon: int) -> Path:
    """The mean and the quantiles of the courses that bursts and pauses may take."""
    made = draws(series, horizon)
    unit = unit_of(series.observed)
    fixed = np.quantile(np.arcsinh(made / unit), list(LEVELS.values()), axis=0)
    low, high = bounds(np.arcsinh(series.observed / unit), RANGE_MARGIN)
    center = fixed[list(LEVELS).index("p50")]
    spread = np.abs(np.arcsinh(made / unit) - center).mean(axis=0)
    return Path(BURSTS, unit, center, made.mean(axis=0), spread, low, high, fixed=fixed)


def steady_path(series: DailySeries, horizon: int) -> Path:
    """Prophet's calendar on a robust level: the method for a series that has cost on most days."""
    n = len(series.values)
    unit = unit_of(series.observed)
    z = np.arcsinh(series.values / unit)
    calendar = _calendar_part(series, z, horizon)
    residual = z - calendar[:n]
    local = rolling_median(residual)
    limit = outlier_limit(residual - local)
    followed = clip_spikes(residual, local, limit)
    alpha = smoothing(followed, horizon)
    level = smooth(followed, np.array([alpha]))[0]
    newest = shifted(residual, level[-1], limit / LIMIT_DEVIATIONS) + growth(residual, alpha=alpha, horizon=horizon)
    known = z[~np.isnan(z)]
    low, high = bounds(known, RANGE_MARGIN)
    center = np.clip(newest + calendar[n:], low, high)
    scatter = (residual - local)[~np.isnan(residual)][-MEAN_RESIDUALS:].clip(-MEAN_CLIP, MEAN_CLIP)
    return Path(
        model=DEFAULT if len(known) >= FULL_DAYS else f"{DEFAULT} ({SHORT})",
        unit=unit,
        center=center,
        mean=unit * np.sinh(center[:, None] + scatter).mean(axis=1),
        spread=spread_by_lead(residual, level, horizon),
        lowest=bounds(known, 2 * RANGE_MARGIN)[0],
        highest=bounds(known, 2 * RANGE_MARGIN)[1],
    )


def _calendar_part(series: DailySeries, z: Floats, horizon: int) -> Floats:
    """Prophet's trend and calendar effects over history and horizon, fitted twice and shrunk to what is significant.

    The second fit sees the series without its moving level and its outliers, so that neither leaks into the week.
    """
    n, days = len(z), series.days(horizon)
    observed = ~np.isnan(z)
    effects = {**month_effects(days, observed), **holiday_effect(days, observed, series.countries)}
    first = fit_prophet(days, z, effects)
    residual = z - _sum(first)[:n]
    local = rolling_median(residual)
    deviation = residual - local
    limit = outlier_limit(deviation)
    excess = deviation - deviation.clip(-limit, limit)
    second = fit_prophet(days, z - local + local.mean() - excess, effects)
    return _shrunk(second, z)


def _shrunk(parts: dict[str, Floats], z: Floats) -> Floats:
    """Trend plus each effect times max(0, 1 - 1 / F), F = its sum of squares / (freedom x noise variance)."""
    n, observed = len(z), ~np.isnan(z)
    residual = z - _sum(parts)[:n]
    deviation = residual - rolling_median(residual)
    limit = outlier_limit(deviation)
    count = int(observed.sum())
    noise = float((deviation[observed].clip(-limit, limit) ** 2).mean()) * count / (count - 8)
    total = parts["trend"].copy()
    for name, part in parts.items():
        if name == "trend":
            continue
        freedom = WEEKLY_FREEDOM if name == "weekly" else 1
        size = float((part[:n][observed] ** 2).sum()) / freedom
        total += part * (max(0.0, 1 - noise / size) if size else 0.0)
    return total


def _sum(parts: dict[str, Floats]) -> Floats:
    total: Floats = np.sum(list(parts.values()), axis=0)
    return total


def fit_prophet(days: np.ndarray, z: Floats, effects: dict[str, Floats]) -> dict[str, Floats]:
    """Prophet's additive parts (trend, weekly, each month effect) over all `days`, fitted on the first len(z)."""
    import pandas as pd  # type: ignore[import-untyped]  # Prophet's border

    frame = pd.DataFrame({"ds": days.astype("datetime64[ns]"), **effects})
    model = _prophet()
    for name in effects:
        model.add_regressor(name, standardize=False)
    model.fit(frame[: len(z)].assign(y=z), seed=1)
    fitted = model.predict(frame)
    return {name: fitted[name].to_numpy(dtype=np.float64) for name in ("trend", "weekly", *effects)}


def _prophet() -> "Prophet":
    # imported late because it takes seconds: only the processes that fit pay for it
    logging.getLogger("prophet.plot").setLevel(logging.CRITICAL)  # it reports that plotly is absent as an error
    from prophet import Prophet

    # a fit that fails for good raises, so what they log is only noise; with a handler of its own, cmdstanpy's logger is
    # not set up anew when it is first used
    for logger in map(logging.getLogger, ("cmdstanpy", "prophet")):
        logger.addHandler(logging.NullHandler())
        logger.setLevel(logging.CRITICAL)
    return Prophet(
        growth="flat",
        weekly_seasonality=True,
        yearly_seasonality=False,
        daily_seasonality=False,
        uncertainty_samples=0,
    )
