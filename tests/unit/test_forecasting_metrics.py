"""Accuracy figures against values computed by hand."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forecasting.metrics import BANDS, LABELS, fold_sums, pool, seasonal_scale
from forecasting.series import Floats

ACTUAL = [100.0, 200.0, 0.0, 100.0]
GUESS = [110.0, 180.0, 0.0, 150.0]
Row = dict[str, object]


def fold(
    actual: list[float], guess: list[float], *, series: str = "a", after: date = date(2026, 1, 10), width: float = 0.0,
    scale: float | None = 10.0, calibrated: bool = True,
) -> pl.DataFrame:  # fmt: skip
    """The days of one fold from the day after `after`; bands reach `width` to both sides of the guess."""
    side = {"p025": -1, "p10": -1, "p50": 0, "p90": 1, "p975": 1}
    return pl.DataFrame(
        {
            "series": series, "origin": 1, "date": [after + timedelta(days=k + 1) for k in range(len(actual))],
            "lead": range(1, len(actual) + 1), "actual": actual, "mean": guess,
            **{name: [value + side[name] * width for value in guess] for name in BANDS},
            "calibrated": calibrated, "scale": pl.Series([scale] * len(actual), dtype=pl.Float64),
        }
    )  # fmt: skip


def figures(*folds: pl.DataFrame, days_ahead: str = "all") -> Row:
    """The pooled figures of these folds at one value of days_ahead."""
    pooled = pool(fold_sums(pl.concat(folds), keys=["series"], origin="origin"), [])
    (row,) = pooled.filter(pl.col("days_ahead") == days_ahead).to_dicts()
    return row


def test_wape_is_absolute_error_over_absolute_actuals() -> None:
    """(10 + 20 + 0 + 50) / 400."""
    assert figures(fold(ACTUAL, GUESS))["wape"] == pytest.approx(0.2)


def test_bias_keeps_the_sign_of_the_total_error() -> None:
    """(10 - 20 + 0 + 50) / 400: too high is positive."""
    assert figures(fold(ACTUAL, GUESS))["bias"] == pytest.approx(0.1)


def test_smape_counts_two_zeros_as_no_error() -> None:
    """Mean of 20/210, 40/380, 0 and 100/250."""
    assert figures(fold(ACTUAL, GUESS))["smape"] == pytest.approx((20 / 210 + 40 / 380 + 0 + 0.4) / 4)


def test_mase_is_one_for_an_error_as_large_as_the_weekly_naive_one() -> None:
    """The history steps by 7 from week to week, so an error of 7 a day scores 1."""
    scale = seasonal_scale(np.arange(28.0))
    assert scale == 7
    assert figures(fold([30.0, 31.0], [37.0, 24.0], scale=scale))["mase"] == pytest.approx(1.0)


def test_scale_leaves_missing_days_out() -> None:
    """A missing day hides the two steps that touch it and no others."""
    history: Floats = np.arange(21.0)
    history[8] = np.nan
    assert seasonal_scale(history) == 7


def test_coverage_counts_the_borders_as_inside_and_only_calibrated_bands() -> None:
    """10 off lies on the border of a band of 10, 20 and 50 off outside; a band that nothing calibrated says nothing."""
    assert figures(fold(ACTUAL, GUESS, width=10))["coverage80"] == 0.5
    assert (
        figures(fold(ACTUAL, GUESS, width=10), fold(ACTUAL, GUESS, series="b", calibrated=False))["coverage95"] == 0.5
    )
    assert figures(fold(ACTUAL, GUESS, calibrated=False))["coverage80"] is None


def test_interval_score_is_the_width_and_ten_times_what_lies_outside_in_weekly_errors() -> None:
    """Bands of 10 to both sides, 10 and 40 outside on two days of four: (4 x 20 + 10 x 50) / 4, over a scale of 10."""
    assert figures(fold(ACTUAL, GUESS, width=10))["interval_score80"] == pytest.approx((80 + 500) / 4 / 10)


def test_days_ahead_and_period_totals_are_told_apart() -> None:
    """From 10 January to 31 March: 7, 23 and 50 days, and the totals of January's and of the quarter's rest."""
    actual, guess = [100.0] * 80, [110.0] * 7 + [80.0] * 73
    pooled = pool(fold_sums(fold(actual, guess), keys=["series"], origin="origin"), ["series"])
    assert pooled["days_ahead"].to_list() == [label for label in LABELS if label != "91-730"]
    assert dict(pooled.select("days_ahead", "wape").iter_rows()) == pytest.approx(
        {"all": (70 + 1460) / 8000, "1-7": 0.1, "8-30": 0.2, "31-90": 0.2, "month end": (280 - 70) / 2100,
         "quarter end": (1460 - 70) / 8000}
    )  # fmt: skip
    assert figures(fold(actual, guess), days_ahead="month end")["coverage80"] is None, (
        "bands are of days, not of totals"
    )


def test_a_period_whose_end_the_days_do_not_reach_has_no_total() -> None:
    """20 days from 10 January end on the 30th: a day short of the month; from the 31st, February is meant."""
    labels = fold_sums(fold([1.0] * 20, [1.0] * 20), keys=["series"], origin="origin")["days_ahead"].to_list()
    assert "month end" not in labels
    february = figures(fold([1.0] * 28, [2.0] * 28, after=date(2026, 1, 31)), days_ahead="month end")
    assert (february["days"], february["wape"]) == (28, 1.0)


def test_pooled_ratios_are_of_sums_and_scaled_figures_means_over_folds() -> None:
    """A large series weighs by its money in WAPE, and as one fold in MASE."""
    found = figures(fold([1000.0], [1100.0], scale=100.0), fold([10.0], [20.0], series="b"))
    assert found["folds"] == 2
    assert found["wape"] == pytest.approx(110 / 1010)
    assert found["mase"] == pytest.approx(1.0)


def test_a_figure_that_is_not_defined_is_null() -> None:
    """Nothing spent, no day known and no scale give null, never an error or a zero."""
    nothing = figures(fold([0.0], [1.0], scale=None))
    assert (nothing["wape"], nothing["bias"], nothing["mase"], nothing["interval_score80"]) == (None, None, None, None)
    unknown = fold([1.0], [1.0]).with_columns(actual=pl.lit(None, pl.Float64))
    assert fold_sums(unknown, keys=["series"], origin="origin").is_empty()
