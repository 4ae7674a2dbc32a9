"""Seven tests of a load below a day's step, each on its own tail, and the score that they make together.

A test is a size that grows with strangeness; what it is worth is how far it lies in the tail of its own past, so that
one threshold holds for quiet and for noisy series alike: s = log10(1 / share of the past above it), the tail taken as
exponential. The score is the highest s and half the second highest, so that what two tests see counts for more. All of
it scales with the values and uses rows up to the scored one only.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecasting.series import Floats

PAST: Final = 10_000
"""Rows that a row is compared with."""
PROBATION: Final = 50
"""Rows that are only looked at; at least a day's."""
THRESHOLD: Final = 2.8
"""One row in 10^2.8 by the tails' own count; the score on public series is flat from 2.4 to 3.5."""
SECOND: Final = 0.5
"""What the second highest test counts beside the highest."""
TAIL: Final = 0.05
"""The highest share of the past that is its tail."""
LARGEST_EXCESS: Final = 3.0
"""An excess counts for at most so many times the tail's median one: an incident must not hide the next."""
LEAST_SPREAD: Final = 0.05
"""Of the tail's start: the least that a tail can spread."""
SEASON_DAYS: Final = 10
NEIGHBOURS: Final = 1_500
"""Past vectors that a vector is compared with, evenly taken from all."""
LARGEST_BLOCK: Final = 100
"""Rows that share one look at the past; it is at most a hundredth of the rows before them."""


def load_scores(values: Floats, at: NDArray[np.int64], per_day: int) -> tuple[Floats, Floats]:
    """What each row should have been by the hour of the day, and its score, 1 being the alarm line.

    values: one a row. at: its place on the grid of steps, ascending. per_day: steps of a day.
    """
    expected = _seasonal(values, at, per_day)
    if len(values) <= PROBATION:
        return expected, np.zeros(len(values))
    worth = np.stack([_tail(test) for test in _tests(values, values - expected, per_day)])
    worth.sort(axis=0)
    score: Floats = (worth[-1] + SECOND * worth[-2]) / (1 + SECOND) / THRESHOLD
    score[: max(PROBATION, per_day)] = 0.0
    return expected, score


def _tests(values: Floats, residual: Floats, per_day: int) -> Iterator[Floats]:
    """The sizes that are tested: point, level, season, day, spread, and two shapes.

    point: the value less the past median. level, season: the mean of the last rows, and of what they differ from the
    season. day: the season's residual over a whole day, for slow changes. spread: the log of the deviation of the last
    rows, up when it fluctuates and down when it flatlines. shapes: the distance of the last rows to the nearest past.
    """
    rows = int(np.clip(per_day // 2, 1, 12))
    usual = _past_median(values)
    yield np.abs(values - usual)
    yield np.abs(_mean(values, rows) - usual)
    yield np.abs(_mean(residual, int(np.clip(per_day // 4, 1, 5))))
    day = _mean(residual, per_day)
    yield np.abs(day - _past_median(day))
    spread = _log_deviation(values, max(rows, 6))
    yield np.abs(spread - _past_median(spread))
    shape = max(rows, 3)
    yield _nearest(values, shape)
    yield _nearest(values, max(2, shape // 4))


def _blocks(start: int, rows: int) -> Iterator[tuple[int, int]]:
    """Spans of rows that share one look at what lies before them, the same for a longer series: the last may be too
    long."""
    while start < rows:
        end = start + min(LARGEST_BLOCK, max(1, start // 100))
        yield start, end
        start = end


def _tail(test: Floats) -> Floats:
    """log10 of how rare each size is in its past: log10(1 / TAIL) + (size - u) / (ln 10 x mean excess over u)."""
    worth = np.zeros(len(test))
    for start, end in _blocks(PROBATION, len(test)):
        past = test[max(0, start - PAST) : start]
        u = np.quantile(past, 1 - TAIL)
        excess = past[past > u] - u
        mean = np.minimum(excess, LARGEST_EXCESS * np.median(excess)).mean() if len(excess) else 0.0
        spread = max(mean, LEAST_SPREAD * abs(u), np.finfo(np.float64).tiny)
        worth[start:end] = np.clip(-np.log10(TAIL) + (test[start:end] - u) / (np.log(10) * spread), 0, 1e6)
    return worth


def _seasonal(values: Floats, at: NDArray[np.int64], per_day: int) -> Floats:
    """The median of the same time of the last days, one step to either side; before a day has passed, of all rows."""
    grid = np.full(at[-1] + 1, np.nan)
    grid[at[::-1]] = values[::-1]
    lags = np.array([day * per_day + step for day in range(1, SEASON_DAYS + 1) for step in (-1, 0, 1)])
    lags = lags[lags > 0]
    expected = np.empty(len(values))
    for start in range(0, len(values), PAST):
        places = at[start : start + PAST, None] - lags
        expected[start : start + PAST] = row_medians(np.where(places >= 0, grid[places.clip(0)], np.nan))
    for i in np.flatnonzero(np.isnan(expected)):
        expected[i] = np.median(values[max(0, i - per_day) : i]) if i else values[0]
    return expected


def row_medians(table: Floats) -> Floats:
    """The median of each row's known values, NaN where there is none."""
    table = np.sort(table, axis=1)
    known = (~np.isnan(table)).sum(axis=1)
    rows = np.arange(len(table))
    middle = table[rows, ((known - 1) // 2).clip(0)] + table[rows, (known // 2).clip(0, table.shape[1] - 1)]
    return np.where(known > 0, middle / 2, np.nan)


def _past_median(values: Floats) -> Floats:
    """The median of the rows before each row; the first is its own."""
    medians = np.empty(len(values))
    medians[:1] = values[:1]
    for start, end in _blocks(1, len(values)):
        medians[start:end] = np.median(values[max(0, start - PAST) : start])
    return medians


def _mean(values: Floats, rows: int) -> Floats:
    """The mean of the last rows, fewer at the start."""
    return pl.Series(values).rolling_mean(rows, min_samples=1).to_numpy()


def _log_deviation(values: Floats, rows: int) -> Floats:
    """The log of the standard deviation of the last rows, not below a thousandth of what it first was."""
    first = values[:PROBATION]
    least = max(1e-3 * first.std(), 1e-9 * np.abs(first).max(), np.finfo(np.float64).tiny)
    deviation = pl.Series(values).rolling_std(rows, min_samples=2, ddof=0).fill_null(0.0).to_numpy()
    return np.asarray(np.log(np.nan_to_num(deviation) + least))


def _nearest(values: Floats, rows: int) -> Floats:
    """The Euclidean distance of the last rows to the nearest run of as many rows that ended before they began."""
    distance = np.zeros(len(values))
    # all blocks are whole: a product of another shape is rounded otherwise, and rows to come would show
    whole = np.append(values, np.zeros(LARGEST_BLOCK))
    runs = np.lib.stride_tricks.sliding_window_view(whole, rows)  # the run that ends at row i is runs[i - rows + 1]
    for start, end in _blocks(2 * rows, len(values)):
        newest = start - rows
        oldest = max(rows - 1, newest - PAST)
        ends = np.arange(newest, oldest - 1, -max(1, -(-(newest - oldest + 1) // NEIGHBOURS)))
        past, last = runs[ends - rows + 1], runs[start - rows + 1 : end - rows + 1]
        apart = (last**2).sum(axis=1)[:, None] + (past**2).sum(axis=1) - 2 * last @ past.T
        distance[start:end] = np.sqrt(apart.min(axis=1).clip(0))[: len(values) - start]
    return distance
