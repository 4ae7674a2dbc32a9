"""Accuracy of a forecast, one figure a function; arrays of equal length, missing days left out by the caller.

Means are judged by WAPE and bias, medians by sMAPE and MASE: the mean minimises squared error and adds up over days,
the median minimises absolute error. NaN where a figure is not defined.
"""

import numpy as np

from forecasting.series import Floats

SEASON_DAYS = 7


def wape(actual: Floats, mean: Floats) -> float:
    """Weighted absolute percentage error: sum |actual - mean| / sum |actual|."""
    return _ratio(np.abs(actual - mean).sum(), np.abs(actual).sum())


def bias(actual: Floats, mean: Floats) -> float:
    """Relative error of the total: sum (mean - actual) / sum |actual|; positive is a forecast that is too high."""
    return _ratio((mean - actual).sum(), np.abs(actual).sum())


def smape(actual: Floats, median: Floats) -> float:
    """Symmetric absolute percentage error, 0 to 2: mean of 2 |actual - median| / (|actual| + |median|), 0 / 0 as 0.

    Source: Makridakis et al., M4 (there in percent, 0 to 200).
    """
    size = np.abs(actual) + np.abs(median)
    errors = np.divide(2 * np.abs(actual - median), size, out=np.zeros(len(size)), where=size > 0)
    return float(errors.mean()) if len(errors) else np.nan


def seasonal_scale(history: Floats) -> float:
    """Mean |y[t] - y[t-7]| over a history with NaN for missing days: what the weekly naive forecast errs by."""
    steps = np.abs(history[SEASON_DAYS:] - history[:-SEASON_DAYS])
    steps = steps[~np.isnan(steps)]
    return float(steps.mean()) if len(steps) else np.nan


def mase(actual: Floats, median: Floats, scale: float) -> float:
    """Mean absolute scaled error: mean |actual - median| / scale; below 1 beats the in-sample weekly naive forecast.

    Source: Hyndman and Koehler (2006), with season 7.
    """
    return _ratio(float(np.abs(actual - median).mean()), scale) if len(actual) else np.nan


def coverage(actual: Floats, low: Floats, high: Floats) -> float:
    """Share of days with low <= actual <= high."""
    return float(((low <= actual) & (actual <= high)).mean()) if len(actual) else np.nan


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else np.nan
