"""Six tests of a load below a day's step, each on its own tail, and the score that they make together.

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
"""Rows of each test that are only looked at; at least a day's."""
THRESHOLD: Final = 3.1
"""One row in 10^3.1 by the tails' own count; the score is flat from 2.6 to 3.6, on public and on made series."""
SECOND: Final = 0.5
"""What the second highest test counts beside the highest."""
TAIL: Final = 0.05
"""The highest share of the past that is its tail."""
LARGEST_EXCESS: Final = 3.0
"""An excess counts for at most so many times the tail's median one: an incident must not hide the next."""
LEAST_SPREAD: Final = 0.05
"""Of the tail's start: the least that a tail can spread."""
TINIEST: Final = 1e-150
"""What any size is divided by at least."""
SEASON_DAYS, SEASON_WEEKS = 10, 4
"""Days, and weeks, whose same time says what a row should be."""
RIVAL_DAYS: Final = 3
"""Half-life of a prediction's errors, by which the best one is chosen."""
LEAST_SCATTER: Final = 0.3
"""Of the usual error: the least at any time of the day."""
CUSUM_SLACK, CUSUM_STEP, CUSUM_MOST, CUSUM_BASE = 1.5, 3.0, 60.0, 20.0
"""In usual errors: what a row may be off for nothing, what it counts at most, the most that is remembered, and what the
sum counts beside: where it was mostly zero, its tail still spreads by LEAST_SPREAD of that."""
SHAPE_DAYS, SHAPE_PARTS = 28, 12
"""Earlier days that the last day is compared with, and the parts of a day that are."""
NEIGHBOURS: Final = 1_500
"""Past vectors that a vector is compared with, evenly taken from all."""
LARGEST_BLOCK: Final = 100
"""Rows that share one look at the past; it is at most a hundredth of the rows before them."""


def load_scores(values: Floats, at: NDArray[np.int64], per_day: int) -> tuple[Floats, Floats]:
    """What each row should have been by the hour of the day, and its score, 1 being the alarm line.

    values: one a row. at: its place on the grid of steps, ascending. per_day: steps of a day.
    """
    expected = _seasonal(values, at, per_day)
    probation = max(PROBATION, per_day)
    if len(values) <= probation:
        return expected, np.zeros(len(values))
    worth = np.stack([_tail(test, probation) for test in _tests(values, at, per_day, expected)])
    worth.sort(axis=0)
    score: Floats = (worth[-1] + SECOND * worth[-2]) / (1 + SECOND) / THRESHOLD
    return expected, score


def _tests(values: Floats, at: NDArray[np.int64], per_day: int, expected: Floats) -> Iterator[Floats]:
    """The sizes that are tested: error, sum, level, unrest, pattern and day.

    error: the mean of what the last rows differ from their prediction. sum: such errors, small but lasting. level: the
    median of the last quarter of a day. unrest: the log of the deviation of changes from row to row, up when it
    fluctuates and down when it flatlines. pattern: the distance of the last errors to the nearest past. day: that of
    the last day to the nearest one of four weeks.
    """
    error = values - _prediction(values, at, per_day, expected)
    yield np.abs(_mean(error, int(np.clip(per_day // 4, 1, 5))))
    yield _cusum(error / _scatter(error, at, per_day))
    yield np.abs(_median(values, max(3, per_day // 4)) - _past_median(values))
    unrest = _log_deviation(np.diff(values, prepend=values[0]), max(8, per_day // 6))
    yield np.abs(unrest - _past_median(unrest))
    yield _nearest(error, max(2, int(np.clip(per_day // 2, 3, 12)) // 4))
    yield _unlike_any_day(values, at, per_day)


def _prediction(values: Floats, at: NDArray[np.int64], per_day: int, expected: Floats) -> Floats:
    """What each row should be by the rule that has erred least of late: what suits a load is learned from it.

    Rules: the same time of the last days; that and how far the last quarter of a day was off it; the same time of the
    last weeks; the median of the last rows; that of the last day's.
    """
    off = _before(_median(values - expected, max(3, per_day // 4)), 0.0)
    weeks = _same_time(values, at, np.arange(1, SEASON_WEEKS + 1) * 7 * per_day, 1)
    recent, day = (_before(_median(values, rows), values[0]) for rows in (int(np.clip(per_day // 2, 1, 12)), per_day))
    rules = np.stack([expected, expected + off, np.where(np.isnan(weeks), expected, weeks), recent, day])
    errors = np.stack([_before(_fading_mean(np.abs(values - rule), RIVAL_DAYS * per_day), np.inf) for rule in rules])
    errors[2, np.isnan(weeks)] = np.inf
    best: Floats = rules[errors.argmin(axis=0), np.arange(len(values))]
    return best


def _scatter(error: Floats, at: NDArray[np.int64], per_day: int) -> Floats:
    """The usual size of errors at each row's time of the day: the median of the last days', half an hour around."""
    size = np.abs(error)
    usual = _before(_median(size, SEASON_DAYS * per_day), 0.0)
    then = _same_time(size, at, np.arange(1, SEASON_DAYS + 1) * per_day, max(1, per_day // 48))
    scatter = np.fmax(then, np.where(np.isnan(then), 1.0, LEAST_SCATTER) * usual)
    return np.maximum(scatter, _least(size))


def _cusum(error: Floats) -> Floats:
    """The base and the larger of two sums, of errors up and of errors down beyond the slack, neither below zero."""
    steps = np.clip(error, -CUSUM_STEP, CUSUM_STEP)
    sums = np.empty(len(error))
    up = down = 0.0
    for i, step in enumerate(steps.tolist()):
        up = min(max(0.0, up + step - CUSUM_SLACK), CUSUM_MOST)
        down = min(max(0.0, down - step - CUSUM_SLACK), CUSUM_MOST)
        sums[i] = max(up, down)
    return CUSUM_BASE + sums


def _unlike_any_day(values: Floats, at: NDArray[np.int64], per_day: int) -> Floats:
    """The Euclidean distance of the last day, in parts, to the nearest day before it; NaN before there is one."""
    part = max(1, per_day // SHAPE_PARTS)
    parts = min(SHAPE_PARTS, per_day)
    means = _mean(_grid(values, at), part)
    nearest = np.full(len(means), np.inf)
    for days in range(1, SHAPE_DAYS + 1):
        apart = (means - _shift(means, days * per_day)) ** 2
        nearest = np.fmin(nearest, np.sum([_shift(apart, k * part) for k in range(parts)], axis=0))
    known = ~np.isinf(nearest)
    nearest[~known] = np.where(known.cumsum()[~known] > 0, 0.0, np.nan)
    return np.asarray(np.sqrt(nearest)[at])


def _blocks(start: int, rows: int) -> Iterator[tuple[int, int]]:
    """Spans of rows that share one look at what lies before them, the same for a longer series: the last may be too
    long."""
    while start < rows:
        end = start + min(LARGEST_BLOCK, max(1, start // 100))
        yield start, end
        start = end


def _tail(test: Floats, probation: int) -> Floats:
    """log10 of how rare each size is in its past: log10(1 / TAIL) + (size - u) / (ln 10 x mean excess over u).

    0 in the first rows that are known, and before them.
    """
    worth = np.zeros(len(test))
    known = int(np.isnan(test).sum())
    for start, end in _blocks(known + probation, len(test)):
        past = test[max(known, start - PAST) : start]
        u = np.quantile(past, 1 - TAIL)
        excess = past[past > u] - u
        mean = np.minimum(excess, LARGEST_EXCESS * np.median(excess)).mean() if len(excess) else 0.0
        spread = max(mean, LEAST_SPREAD * abs(u), TINIEST)
        worth[start:end] = np.clip(-np.log10(TAIL) + (test[start:end] - u) / (np.log(10) * spread), 0, 1e6)
    return worth


def _seasonal(values: Floats, at: NDArray[np.int64], per_day: int) -> Floats:
    """The median of the same time of the last days, one step to either side; before a day has passed, of all rows."""
    expected = _same_time(values, at, np.arange(1, SEASON_DAYS + 1) * per_day, 1)
    for i in np.flatnonzero(np.isnan(expected)):
        expected[i] = np.median(values[max(0, i - per_day) : i]) if i else values[0]
    return expected


def _same_time(values: Floats, at: NDArray[np.int64], lags: NDArray[np.int64], around: int) -> Floats:
    """The median of the rows that came so many steps earlier, and of those around them; NaN where there is none."""
    grid = _grid(values, at)
    steps = np.unique(np.linspace(-around, around, 5).astype(np.int64))
    lags = (lags[:, None] + steps).ravel()
    lags = lags[lags > 0]
    found = np.empty(len(values))
    for start in range(0, len(values), PAST):
        places = at[start : start + PAST, None] - lags
        found[start : start + PAST] = row_medians(np.where(places >= 0, grid[places.clip(0)], np.nan))
    return found


def _grid(values: Floats, at: NDArray[np.int64]) -> Floats:
    """Values by place, NaN where there is none; of several rows at one place the first counts."""
    grid = np.full(at[-1] + 1, np.nan)
    grid[at[::-1]] = values[::-1]
    return grid


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
    """The mean of the last rows' known values, fewer at the start."""
    return pl.Series(values).fill_nan(None).rolling_mean(rows, min_samples=1).fill_null(np.nan).to_numpy()


def _median(values: Floats, rows: int) -> Floats:
    """The median of the last rows, fewer at the start."""
    return pl.Series(values).rolling_median(rows, min_samples=1).to_numpy()


def _fading_mean(values: Floats, half_life: float) -> Floats:
    """The mean of all rows so far, each of which counts half after so many."""
    return pl.Series(values).ewm_mean(half_life=half_life).to_numpy()


def _shift(values: Floats, rows: int, start: float = np.nan) -> Floats:
    """The values so many rows earlier, and what stands before them."""
    shifted = np.full(len(values), start)
    shifted[rows:] = values[: max(0, len(values) - rows)]
    return shifted


def _before(values: Floats, start: float) -> Floats:
    return _shift(values, 1, start)


def _least(values: Floats) -> float:
    """A thousandth of how the first rows scatter: below it nothing is told apart."""
    first = values[:PROBATION]
    return float(max(1e-3 * first.std(), 1e-9 * np.abs(first).max(), TINIEST))


def _log_deviation(values: Floats, rows: int) -> Floats:
    """The log of the standard deviation of the last rows, not below a thousandth of what it first was."""
    deviation = pl.Series(values).rolling_std(rows, min_samples=2, ddof=0).fill_null(0.0).to_numpy()
    return np.asarray(np.log(np.nan_to_num(deviation) + _least(values)))


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
