"""The score of daily series: a jump against week and month, a drift against two months, a record; one scale.

Works on a panel of series at once. Every figure of a day uses that day and earlier ones only.
"""

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from forecasting.load_tests import row_medians
from forecasting.series import Floats

Days = NDArray[np.datetime64]

UNIT_DAYS: Final = 28
"""A series' unit is the median of its first so many non-zero sizes; before them it has no score."""
PROBATION_DAYS: Final = 35
DRIFT_PROBATION_DAYS: Final = 77
JUMP, DRIFT = 5.0, 3.0
"""How many times the usual deviation a jump, and a drift, is at the alarm line."""
LEAST_JUMP, LEAST_DRIFT = 0.04, 0.05
"""The least usual deviation, on the asinh scale: about so large a part of the level."""
DRIFT_OF_JUMP: Final = 0.6
WIDTHS: Final = ((0.5, 0.6745), (0.9, 1.6449))
"""Shares of a normal deviation's sizes and where they lie: the larger of both, so that one day in five may be off."""
RECORD: Final = 0.25
"""How far above nearly all of the last eight weeks two days are at the alarm line, at least; or so far as these lie
above their median."""
BAND, BEYOND = (0.05, 0.95), 2.0
"""At the alarm line a day is also so many usual deviations outside the band of the past: what comes and goes, like
training runs, is no anomaly each time."""
SAME_DAYS: Final = 3
"""Earlier months that say what the same day of the month is like; two at least."""


def daily_scores(values: Floats, days: Days) -> tuple[Floats, Floats]:
    """What each day should have been and its score, 1 being the alarm line; both of the shape of values.

    values: days x series, NaN where missing. days: one a row, NaT where no row fell on it.
    y = asinh(10 x / unit) less its weekday's usual deviation is d; a jump is d less the median of the 7 days before,
    and less what the same day of earlier months did; a drift is the median d of 5 days less that of days 28 to 55 ago;
    a record is how far two days in a row lie above what nearly all of the last eight weeks were.
    """
    unit, from_day = _units(values)
    y = np.arcsinh(10 * values / unit)
    d = y - _weekday(y - _rolling(y, 7))
    before = _rolling(_shift(d, 1), 7)
    r = d - before
    a = _same_day(r, days)
    e = np.where(np.abs(r - a) < np.abs(r), r - a, r)
    sizes = _shift(np.abs(e), 1)
    s = np.fmax(*(_rolling(sizes, 90, least=UNIT_DAYS // 2, share=share) / width for share, width in WIDTHS))
    s = np.fmax(s, LEAST_JUMP)
    jump = np.abs(e) / s
    twice = np.sqrt(2) * np.abs((d + _shift(d, 1)) / 2 - _rolling(_shift(d, 2), 7)) / s
    jump = np.where(np.sign(e) == np.sign(_shift(e, 1)), np.fmax(jump, twice), jump)
    jump = np.fmin(jump, _beyond(d, _shift(d, 1), 56) / s * JUMP / BEYOND)
    level = _rolling(d, 5)
    g = level - _rolling(_shift(d, 28), 28)
    off = np.abs(g - _rolling(g, 180))
    drift = off / np.fmax(np.fmax(1.4826 * _rolling(off, 180), LEAST_DRIFT), DRIFT_OF_JUMP * s)
    drift = np.fmin(drift, _beyond(level, _shift(level, 14), 112) / s * DRIFT / BEYOND)
    day = np.arange(len(values))[:, None]
    drift = np.where(day >= from_day + DRIFT_PROBATION_DAYS, drift, 0.0)
    past = _shift(y, 2)
    usual, high = _rolling(past, 56), _rolling(past, 56, share=BAND[1])
    record = (np.fmin(y, _shift(y, 1)) - high) / np.fmax(high - usual, RECORD)
    score = np.fmax(np.fmax(jump / JUMP, drift / DRIFT), record)
    judged = (day >= from_day + PROBATION_DAYS) & (day >= _ready(values))
    expected = unit * np.sinh(np.clip(y - e, -700, 700)) / 10
    before = _rolling(_shift(values, 1), UNIT_DAYS)
    return np.where(judged & ~np.isnan(expected), expected, before), np.where(judged, np.nan_to_num(score), 0.0)


def _beyond(now: Floats, past: Floats, days: int) -> Floats:
    """How far a value lies outside the band that held nine in ten of the past days; 0 within it."""
    low, high = (_rolling(past, days, share=share) for share in BAND)
    return np.nan_to_num(np.fmax(np.fmax(now - high, low - now), 0.0))


def _units(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Each series' unit, and the day of its first value."""
    sizes = np.abs(np.nan_to_num(values))
    early = (sizes > 0) & (np.cumsum(sizes > 0, axis=0) <= UNIT_DAYS)
    unit = row_medians(np.where(early, sizes, np.nan).T)
    first = np.argmax(~np.isnan(values), axis=0)
    return np.where(np.nan_to_num(unit) > 0, unit, 1.0), first


def _ready(values: Floats) -> NDArray[np.int64]:
    """The day on which each series' unit is known; after the last one where it never is."""
    enough = np.cumsum(np.nan_to_num(values) != 0, axis=0) >= UNIT_DAYS
    return np.where(enough.any(axis=0), np.argmax(enough, axis=0), len(values))


def _shift(table: Floats, days: int) -> Floats:
    shifted = np.full_like(table, np.nan)
    shifted[days:] = table[: max(0, len(table) - days)]
    return shifted


def _rolling(table: Floats, days: int, *, least: int = 1, share: float = 0.5) -> Floats:
    """The median, or another quantile, of the last days' known values of each series."""
    frame = pl.DataFrame(table, schema=[str(i) for i in range(table.shape[1])]).fill_nan(None)
    quantile = pl.all().rolling_quantile(share, "linear", window_size=days, min_samples=least)
    return frame.select(quantile.cast(pl.Float64).fill_null(np.nan)).to_numpy()


def _weekday(dev: Floats) -> Floats:
    """The median deviation of the same weekday in the last eight weeks, 0 before there is one."""
    weeks = np.stack([_shift(dev, 7 * week) for week in range(1, 9)], axis=-1)
    return np.nan_to_num(row_medians(weeks.reshape(-1, 8)).reshape(dev.shape))


def _same_day(r: Floats, days: Days) -> Floats:
    """The median of r on the same day of the last months, 0 where fewer than two are known."""
    number = (days - days.astype("datetime64[M]")).astype(np.int64)
    earlier: dict[int, list[int]] = {}
    found = np.zeros_like(r)
    for i in np.flatnonzero(~np.isnat(days)):
        same = earlier.setdefault(int(number[i]), [])
        if len(same) >= 2:
            past = r[same[-SAME_DAYS:]]
            found[i] = np.where((~np.isnan(past)).sum(axis=0) >= 2, row_medians(past.T), 0.0)
        same.append(int(i))
    return found
