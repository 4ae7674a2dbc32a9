"""What sampled courses say of an amount: how likely it is passed, when, and what it takes to stay below it."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from forecasting.paths import PATHS
from forecasting.series import Floats, seeded

RATE_DAYS: Final = 28
"""Days of a block, and of the mean that stands before it: whole weeks, about a month."""
SHORT_BLOCK_DAYS: Final = 7
LEAST_BLOCKS: Final = 4
HISTORY_DAYS: Final = 400
MOST_DRIFT: Final = 4.0
"""A level moves by at most this factor, whatever blocks are drawn one after the other."""


@dataclass(frozen=True)
class Odds:
    """A period's total beside an amount.

    over: probability that the total passes it. p10 .. p90: of the total. run_out: the first day (0 is the first of the
    period) on which more than half of all courses have passed it, None where at most half ever do; run_out_early and
    run_out_late: the same for a tenth and for nine tenths.
    """

    over: float
    p10: float
    p50: float
    p80: float
    p90: float
    run_out: int | None
    run_out_early: int | None
    run_out_late: int | None


def odds_of(amount: float, *, spent: Floats, paths: Floats) -> Odds:
    """The odds of an amount; spent: each day so far, paths: the days left, as (count, days)."""
    so_far = np.cumsum(spent)
    courses = (so_far[-1] if len(so_far) else 0.0) + np.cumsum(paths, axis=1)
    passed = np.concatenate([so_far > amount, (courses > amount).mean(axis=0)]).astype(np.float64)
    p10, p50, p80, p90 = np.quantile(courses[:, -1], [0.1, 0.5, 0.8, 0.9])
    early, middle, late = (_first_day(passed, share) for share in (0.1, 0.5, 0.9))
    return Odds(float(passed[-1]), float(p10), float(p50), float(p80), float(p90), middle, early, late)


def _first_day(passed: Floats, share: float) -> int | None:
    return int(np.argmax(passed > share)) if passed[-1] > share else None


def extended(paths: Floats, days: int) -> Floats:
    """Paths over so many days: cut, or carried on beyond their horizon at its mean.

    Each stays as far from the mean as in its last 28 days, times sqrt(days ahead / horizon), and not below 0 where no
    path is.
    """
    horizon = paths.shape[1]
    if days <= horizon:
        return paths[:, :days]
    late = paths[:, -RATE_DAYS:].mean(axis=1)
    growth = np.sqrt(1 + np.arange(1, days - horizon + 1) / horizon)
    beyond = paths.mean() + np.outer(late - late.mean(), growth)
    return np.concatenate([paths, np.maximum(beyond, min(0.0, float(paths.min())))], axis=1)


def continuations(history: Floats, days: int, *, rate: float, seed: str, count: int = PATHS) -> Floats:
    """Courses for cost without a forecast, as (count, days), around `rate` a day: blocks of its own past, joined.

    A block is 28 days of the last 400 that begin on the weekday of the first day ahead, over the mean of the 28 days
    before them, and over the middle of these ratios; the next one starts from the level where it ended. So levels
    wander as they did, as often up as down. A history too short for four blocks gives its weeks as they were, of
    mean `rate`. Deterministic by the seed.
    """
    random = seeded(seed)
    blocks = _ratios(history[-HISTORY_DAYS:])
    if blocks is None:
        return _brought(_joined(_weeks(history), days, random, count), rate)
    return rate * _joined(blocks, days, random, count)


def _ratios(history: Floats) -> Floats | None:
    """Blocks of the past over the level before them, where there are enough and they have a level."""
    starts = range(len(history) - RATE_DAYS, RATE_DAYS - 1, -SHORT_BLOCK_DAYS)
    if len(starts) < LEAST_BLOCKS:
        return None
    before = np.array([history[start - RATE_DAYS : start].mean() for start in starts])
    if (before <= 0).any():
        return None
    ratios: Floats = np.array([history[start : start + RATE_DAYS] for start in starts]) / before[:, None]
    middle = float(np.median(ratios.mean(axis=1)))
    return ratios / middle if middle > 0 else None


def _weeks(history: Floats) -> Floats:
    recent = history[-2 * RATE_DAYS :]
    weeks: Floats = np.lib.stride_tricks.sliding_window_view(recent, min(SHORT_BLOCK_DAYS, len(recent)))
    return weeks


def _joined(blocks: Floats, days: int, random: np.random.Generator, count: int) -> Floats:
    """Courses of blocks drawn one after the other, each equally often; blocks of 28 days carry their level on."""
    level = np.ones(count)
    parts = []
    for _ in range(-(-days // blocks.shape[1])):
        picks = random.permutation(np.arange(count) % len(blocks))
        parts.append(blocks[picks] * level[:, None])
        if blocks.shape[1] == RATE_DAYS:
            level = (level * blocks[picks].mean(axis=1)).clip(1 / MOST_DRIFT, MOST_DRIFT)
    return np.concatenate(parts, axis=1)[:, :days]


def _brought(courses: Floats, rate: float) -> Floats:
    """Courses of this mean a day."""
    mean = courses.mean()
    moved: Floats = courses * (rate / mean) if mean > 0 and rate >= 0 else courses + (rate - mean)
    return moved
