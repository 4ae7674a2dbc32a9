"""The level that a series moves around: a rolling median for cleaning, exponential smoothing for the forecast."""

from typing import Final

import numpy as np

from forecasting.series import Floats

WINDOW_DAYS: Final = 21
LIMIT_DEVIATIONS: Final = 2.5
"""A day further from the local level than this many robust standard deviations is an outlier."""
MAD_TO_SIGMA: Final = 1.4826
"""Standard deviation of a normal variable over its median absolute deviation."""
LONGEST_SPIKE_DAYS: Final = 3
"""A longer run of outliers on one side is a new level, not a spike."""
ALPHAS: Final = np.array([0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0])


def rolling_median(values: Floats) -> Floats:
    """Median of the 21 days around each day (fewer at the ends) without missing days; a longer gap is interpolated."""
    half = WINDOW_DAYS // 2
    padded = np.concatenate([np.full(half, np.nan), values, np.full(half, np.nan)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_DAYS)
    known = ~np.isnan(windows).all(axis=1)
    positions = np.arange(len(values))
    medians: Floats = np.interp(positions, positions[known], np.nanmedian(windows[known], axis=1))
    return medians


def outlier_limit(deviations: Floats) -> float:
    """2.5 robust standard deviations of the deviations from the local level."""
    return float(LIMIT_DEVIATIONS * MAD_TO_SIGMA * np.nanmedian(np.abs(deviations)))


def clip_spikes(values: Floats, level: Floats, limit: float) -> Floats:
    """Values with short spikes cut back to level ± limit.

    A spike is a run of at most three days on the same side beyond the limit; one that touches the last day stays,
    because a new level starts like that.
    """
    deviation = values - level
    side = np.where(np.abs(np.nan_to_num(deviation)) > limit, np.sign(deviation), 0.0)
    starts = np.flatnonzero(np.diff(side, prepend=np.nan) != 0)
    clipped = values.copy()
    for first, after in zip(starts, np.append(starts[1:], len(values)), strict=True):
        if side[first] and after - first <= LONGEST_SPIKE_DAYS and after < len(values):
            clipped[first:after] = level[first:after] + side[first] * limit
    return clipped


def smooth(values: Floats, alphas: Floats) -> Floats:
    """Exponential smoothing level[t] = level[t-1] + alpha (value[t] - level[t-1]) for each alpha, as (alphas, days).

    Starts from the median of the first seven known values; a missing day keeps the level.
    """
    known = values[~np.isnan(values)]
    level = np.full(len(alphas), np.median(known[:7]))
    levels = np.empty((len(alphas), len(values)))
    for day, value in enumerate(values):
        if not np.isnan(value):
            level = level + alphas * (value - level)
        levels[:, day] = level
    return levels


def smoothing(values: Floats, horizon: int) -> float:
    """The alpha that had the smallest mean absolute error summed over leads 1, 1 + s, ... up to q days,

    q = min(clip(horizon, 14, 56), (n - 7) / 3) and s = max(1, q // 7). Errors several days ahead are what counts:
    one-step errors prefer a level that chases noise.
    """
    furthest = int(min(np.clip(horizon, 14, 56), (len(values) - 7) // 3))
    levels = smooth(values, ALPHAS)
    errors = np.zeros(len(ALPHAS))
    for lead in range(1, furthest + 1, max(1, furthest // 7)):
        known = ~np.isnan(values[lead:])
        if known.any():
            errors += np.abs(values[lead:] - levels[:, :-lead])[:, known].mean(axis=1)
    return float(ALPHAS[int(np.argmin(errors))])


def follow(values: Floats, horizon: int) -> Floats:
    """The level by exponential smoothing with the alpha that `smoothing` chooses."""
    level: Floats = smooth(values, np.array([smoothing(values, horizon)]))[0]
    return level


def spread_by_lead(values: Floats, level: Floats, horizon: int) -> Floats:
    """Mean absolute error of the level k = 1 .. horizon days ahead, u[k] = mean |value[t+k] - level[t]|.

    Leads that fewer than 28 known pairs can tell take the last one that can.
    """
    spread = np.empty(horizon)
    for lead in range(1, horizon + 1):
        errors = np.abs(values[lead:] - level[:-lead])
        errors = errors[~np.isnan(errors)]
        if len(errors) < 28 and lead > 1:
            spread[lead - 1 :] = spread[lead - 2]
            break
        spread[lead - 1] = errors.mean()
    return spread
