"""Anomalies of one regular series of any step from minutes to a day, told row by row from what came before it.

Two scores on one scale, 1 being the alarm line: forecasting/load_tests.py for steps below a day, forecasting/
daily_tests.py for days. No row's score, expectation or flag depends on a later row.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.daily_tests import daily_scores
from forecasting.load_tests import load_scores
from forecasting.series import Floats

Times = NDArray[np.datetime64]
Flags = NDArray[np.bool_]

STEP_ROWS: Final = 28
"""The step is that of the first so many rows; they and shorter series have no score."""
DAY: Final = 86_400
LONGEST_LOAD_STEP: Final = DAY // 2
"""Seconds: a longer step has no course of the day that could be learned."""
CALM, DAILY_CALM = 0.8, 0.7
"""Below this part of the alarm line a row is calm again ..."""
CALM_DAYS, DAILY_CALM_DAYS = 0.1, 7
"""... and after so many days of calm the next anomaly is a new one."""
GRAVER: Final = 2.0
"""A daily anomaly is told again while it lasts when its score is so many times the last one told."""
GAP_DAYS: Final = 28
"""A longer gap is as good as one of so many days and the rest of its weeks."""


@dataclass(frozen=True, eq=False)
class Detection:
    """What each row should have been, how far it is from that (1: the alarm line), and where an anomaly is told.

    expected is NaN where nothing was known before; score is 0 for rows without a value and in probation.
    """

    expected: Floats
    score: Floats
    flags: Flags


def detect(times: Times, values: Floats) -> Detection:
    """The anomalies of one series, causally.

    times: one a row, in the order of the rows; a repeated or earlier time counts as the one before it. values: NaN
    where there is none. The first row of an anomaly is flagged, and the next one after calm.
    """
    known = ~np.isnan(values)
    expected, score, flags = np.full(len(values), np.nan), np.zeros(len(values)), np.zeros(len(values), dtype=np.bool_)
    expected[known], score[known], flags[known] = _known(times[known].astype("datetime64[s]"), values[known])
    return Detection(expected, score, flags)


def _known(times: Times, values: Floats) -> tuple[Floats, Floats, Flags]:
    first = min(len(values), STEP_ROWS)
    start = np.array([np.median(values[:i]) if i else np.nan for i in range(first)])
    if len(values) <= STEP_ROWS:
        return start, np.zeros(first), np.zeros(first, dtype=np.bool_)
    step = step_of(times[:STEP_ROWS])
    per_day = max(1, round(DAY / step))
    at = _slots(times, step, per_day)
    if step <= LONGEST_LOAD_STEP:
        expected, score = load_scores(values, at, per_day)
        flags = alarms(score, calm=CALM, quiet=max(1, round(per_day * CALM_DAYS)))
    else:
        expected, score = _by_day(times, values, at)
        flags = alarms(score, calm=DAILY_CALM, quiet=DAILY_CALM_DAYS, again=GRAVER)
    expected[:first] = start
    return expected, score, flags


def step_of(times: Times) -> int:
    """The usual seconds between rows; a day where no time passes."""
    passed = np.diff(times.astype("datetime64[s]").astype(np.int64))
    return int(np.median(passed[passed > 0])) if (passed > 0).any() else DAY


def _slots(times: Times, step: int, per_day: int) -> NDArray[np.int64]:
    """The place of each row on the grid of steps: never backwards, and in phase with day and week after a long gap."""
    seconds = np.maximum.accumulate(times.astype(np.int64))
    passed = np.round(np.diff(seconds) / step).astype(np.int64)
    week = 7 * per_day
    passed = np.where(passed > GAP_DAYS * per_day, GAP_DAYS * per_day + passed % week, passed)
    return np.concatenate([[0], np.cumsum(passed)])


def _by_day(times: Times, values: Floats, at: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The daily scores of rows; of several rows on one day the first counts, the others have no score."""
    rows = np.unique(at, return_index=True)[1]
    grid = np.full(at[-1] + 1, np.nan)
    grid[at[rows]] = values[rows]
    days = np.full(len(grid), np.datetime64("NaT"), dtype="datetime64[D]")
    days[at[rows]] = np.maximum.accumulate(times)[rows].astype("datetime64[D]")
    expected, score = daily_scores(grid[:, None], days)
    of_rows = np.zeros(len(values))
    of_rows[rows] = score[at[rows], 0]
    return expected[at, 0], of_rows


def alarms(score: Floats, *, calm: float, quiet: int, again: float = np.inf) -> Flags:
    """True where an anomaly is told: at 1 or above, once until `quiet` rows in a row stayed below `calm` (under 1).

    again: while an anomaly lasts, it is told again at so many times the score at which it was told last.
    """
    told = np.zeros(len(score), dtype=np.bool_)
    armed, last, level = True, -quiet - 1, 0.0
    for i in np.flatnonzero(score >= calm).tolist():
        armed = armed or i - last > quiet
        if score[i] >= (1.0 if armed else max(1.0, again * level)):
            told[i], armed, level = True, False, float(score[i])
        last = i
    return told
