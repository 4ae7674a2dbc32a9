"""Accuracy figures against values computed by hand."""

import math

import numpy as np
import pytest

from forecasting import metrics

ACTUAL = np.array([100.0, 200.0, 0.0, 100.0])
GUESS = np.array([110.0, 180.0, 0.0, 150.0])


def test_wape_is_absolute_error_over_absolute_actuals() -> None:
    """(10 + 20 + 0 + 50) / 400."""
    assert metrics.wape(ACTUAL, GUESS) == pytest.approx(0.2)


def test_bias_keeps_the_sign_of_the_total_error() -> None:
    """(10 - 20 + 0 + 50) / 400: too high is positive."""
    assert metrics.bias(ACTUAL, GUESS) == pytest.approx(0.1)


def test_smape_counts_two_zeros_as_no_error() -> None:
    """Mean of 20/210, 40/380, 0 and 100/250."""
    assert metrics.smape(ACTUAL, GUESS) == pytest.approx((20 / 210 + 40 / 380 + 0 + 0.4) / 4)


def test_mase_is_one_for_an_error_as_large_as_the_weekly_naive_one() -> None:
    """The history steps by 7 from week to week, so an error of 7 a day scores 1."""
    scale = metrics.seasonal_scale(np.arange(28.0))
    assert scale == 7
    assert metrics.mase(np.array([30.0, 31.0]), np.array([37.0, 24.0]), scale) == pytest.approx(1.0)


def test_scale_leaves_missing_days_out() -> None:
    """A missing day hides the two steps that touch it and no others."""
    history = np.arange(21.0)
    history[8] = np.nan
    assert metrics.seasonal_scale(history) == 7


def test_coverage_counts_the_borders_as_inside() -> None:
    """100 on the border and 0 within are inside; 200 above and 100 below are not."""
    low, high = np.array([100.0, 0.0, -1.0, 120.0]), np.array([150.0, 199.0, 1.0, 150.0])
    assert metrics.coverage(ACTUAL, low, high) == 0.5


def test_a_figure_that_is_not_defined_is_nan() -> None:
    """Nothing spent and no day known give NaN, never an error or a zero."""
    zero, nothing = np.zeros(3), np.array([])
    assert math.isnan(metrics.wape(zero, zero + 1))
    assert math.isnan(metrics.mase(zero, zero, 0.0))
    assert math.isnan(metrics.smape(nothing, nothing))
    assert math.isnan(metrics.coverage(nothing, nothing, nothing))
