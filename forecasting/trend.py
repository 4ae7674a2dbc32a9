"""Where a level goes: a shift that is only days old, and growth.

A smoothed level follows a new one slowly, because a few high days may be a spike, and it never grows by itself. Both
are read here from what the smoothing followed: values without their calendar, on the asinh scale.
"""

from typing import Final

import numpy as np

from forecasting.level import MAD_TO_SIGMA
from forecasting.series import Floats

STAYS: Final = {3: 0.5, 5: 0.8, 8: 0.8, 13: 0.8}
"""Age in days at which a shift is looked for, and the share of it that stays where a history has shown no other."""
BEFORE_DAYS: Final = 28
"""The median of so many days before is what a shift is measured from ..."""
AFTER_DAYS: Final = 30
"""... and the median of so many after it says how much of an earlier one stayed."""
LEAST_SHIFT: Final = 0.15
LEAST_DEVIATIONS: Final = 2.0
"""A shift is at least so many standard deviations of a day, ..."""
LEAST_ERRORS: Final = 5.0
"""... and of its own median's error, which falls with the root of its days."""
LEAST_DAY_RATIO: Final = 0.2
"""Each of its days is at least this share of it away from the level before."""
ALIKE_RATIO: Final = 0.5
"""An earlier shift of at least this size tells how much of the new one will stay."""
APART_DAYS: Final = 7

BLOCK_DAYS: Final = 30
BLOCKS: Final = 4
MOST_GROWTH: Final = 0.004
"""Growth a day on the asinh scale is cut at this: a factor of four a year."""
FADE_DAYS: Final = 60
STEADY_ALPHA: Final = 0.5
"""A level that smooths less than this walks at random, and its drift foretells nothing."""


def shifted(values: Floats, level: float, deviation: float) -> float:
    """The level after a shift that is days old, or `level` where there is none or the level has followed it so far.

    A shift is a run of 3, 5, 8 or 13 days up to the last one, all on one side of the median of the 28 days before.
    Followed is the share of it that stays: the mean of what stayed of earlier runs like it, and of the usual share as
    one more; so a series of campaigns that end is not misread. deviation: of a day around its local level.
    """
    found = max((shift for days in STAYS if (shift := _shift(values, days, deviation))), default=None)
    if found is None:
        return level
    _, days, base, jump = found
    stayed = [STAYS[days], *_stayed(values, days, abs(jump))]
    target = base + float(np.mean(stayed)) * jump
    return target if (target - level) * np.sign(jump) > 0 else level


def _shift(values: Floats, days: int, deviation: float) -> tuple[float, int, float, float] | None:
    """How clear a shift so many days old is, its days, the level before it, and its size."""
    recent, before = values[-days:], values[-days - BEFORE_DAYS : -days]
    if len(before) < BEFORE_DAYS or np.isnan(recent).sum() * 2 > days or np.isnan(before).sum() * 2 > BEFORE_DAYS:
        return None
    base = float(np.nanmedian(before))
    jump = float(np.nanmedian(recent)) - base
    noise = max(MAD_TO_SIGMA * float(np.nanmedian(np.abs(before - base))), deviation, 1e-9)
    least = max(LEAST_SHIFT, LEAST_DEVIATIONS * noise, LEAST_ERRORS * noise / np.sqrt(days))
    if abs(jump) <= least or np.nanmin((recent - base) * np.sign(jump)) <= LEAST_DAY_RATIO * abs(jump):
        return None
    return abs(jump) / noise * np.sqrt(days), days, base, jump


def _stayed(values: Floats, days: int, size: float) -> list[float]:
    """What stayed, from 0 to 1, of each earlier run of so many days that was at least half as large."""
    windows = np.lib.stride_tricks.sliding_window_view(values, BEFORE_DAYS + days)
    windows = windows[: max(0, len(windows) - days - APART_DAYS)]
    known = (~np.isnan(windows[:, :BEFORE_DAYS])).any(axis=1) & (~np.isnan(windows[:, BEFORE_DAYS:])).any(axis=1)
    starts = np.flatnonzero(known)
    base = np.nanmedian(windows[known, :BEFORE_DAYS], axis=1)
    away = windows[known, BEFORE_DAYS:] - base[:, None]
    jump = np.nanmedian(away, axis=1)
    least = np.nanmin(away * np.sign(jump)[:, None], axis=1)
    alike = (np.abs(jump) >= ALIKE_RATIO * size) & (least > LEAST_DAY_RATIO * np.abs(jump))
    found, free = [], 0
    for start, before, size_then in zip(starts[alike], base[alike], jump[alike], strict=True):
        end = start + BEFORE_DAYS + days
        after = values[end : end + AFTER_DAYS]
        if start < free or np.isnan(after).all():
            continue
        found.append(float(np.clip((np.nanmedian(after) - before) / size_then, 0, 1)))
        free = start + days + APART_DAYS
    return found


def growth(values: Floats, *, alpha: float, horizon: int) -> Floats:
    """What growth adds to the level on each day ahead: g τ (1 - e^(-k/τ)), τ = 60 days.

    g is the smallest of the three steps between the medians of the last four blocks of 30 days, a day, where all three
    go the same way; else 0. A shift moves one step only, so it is not taken for growth. Nothing where the level's
    smoothing (alpha) says that it walks.
    """
    if alpha > STEADY_ALPHA or len(values) < BLOCK_DAYS * BLOCKS:
        return np.zeros(horizon)
    blocks = values[len(values) - BLOCK_DAYS * BLOCKS :].reshape(BLOCKS, BLOCK_DAYS)
    if np.isnan(blocks).all(axis=1).any():
        return np.zeros(horizon)
    steps = np.diff(np.nanmedian(blocks, axis=1)) / BLOCK_DAYS
    if abs(np.sign(steps).sum()) < len(steps):
        return np.zeros(horizon)
    daily = np.sign(steps[0]) * min(float(np.abs(steps).min()), MOST_GROWTH)
    faded: Floats = daily * FADE_DAYS * (1 - np.exp(-np.arange(1, horizon + 1) / FADE_DAYS))
    return faded
