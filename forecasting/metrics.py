"""Accuracy of many forecasts at once: a row for each forecast day in, figures by days ahead and by period total out.

A fold is one model on one series from one origin. Its errors are summed up first, over all days, by days ahead and for
the totals to the next end of a month and of a quarter, so that any folds can then be pooled.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from forecasting.series import DATE, Floats

DAYS_AHEAD: Final = "days_ahead"
ALL_DAYS: Final = "all"
LEADS: Final = ((1, 7), (8, 30), (31, 90), (91, 730))
"""Days ahead that figures tell apart."""
PERIODS: Final = {"month end": "1mo", "quarter end": "1q"}
"""Totals of the days from the first one ahead to the end of the calendar period that it lies in."""
LABELS: Final = (ALL_DAYS, *(f"{first}-{last}" for first, last in LEADS), *PERIODS)
"""Every value of days_ahead, in the order of reading."""
FIGURES: Final = ("wape", "smape", "mase", "bias", "coverage80", "coverage95", "interval_score80")
NOMINAL: Final = {"coverage80": 0.80, "coverage95": 0.95}
"""What coverage should come to."""
BANDS: Final = ("p025", "p10", "p50", "p90", "p975")
SEASON_DAYS: Final = 7
LEAD, ACTUAL, MEAN, SCALE, CALIBRATED = "lead", "actual", "mean", "scale", "calibrated"


def fold_sums(days: pl.DataFrame, *, keys: Sequence[str], origin: str) -> pl.DataFrame:
    """One row a fold and value of days_ahead: `keys, origin, days_ahead`, the sums over its days, its scaled figures.

    days: `keys, origin, date, lead, actual, mean, p025 .. p975, calibrated, scale`, one row a day ahead; a day without
    an actual value does not count, and nor do bands that nothing calibrated. scale: what the weekly naive forecast errs
    by a day (null where it never did). A period's total counts where the days reach to the period's end.
    """
    fold = [*keys, origin]
    # lead 1 is the day after the origin, whose period is meant; one that the days do not reach the end of is left out
    first = pl.col(DATE) - pl.duration(days=pl.col(LEAD) - 1)
    known = days.with_columns(first=first, last=pl.col(DATE).max().over(fold)).filter(pl.col(ACTUAL).is_not_null())
    lead = pl.coalesce(pl.when(pl.col(LEAD) <= last).then(pl.lit(f"{start}-{last}")) for start, last in LEADS)
    parts = [
        known.group_by(*fold, label.alias(DAYS_AHEAD), maintain_order=True).agg(*_day_sums())
        for label in (pl.lit(ALL_DAYS), lead)
    ]
    for label, every in PERIODS.items():
        after = pl.col("first").dt.truncate(every).dt.offset_by(every)
        within = known.filter((pl.col(DATE) < after) & (pl.col("last") >= after - pl.duration(days=1)))
        total = within.group_by(*fold, maintain_order=True).agg(pl.col(ACTUAL, MEAN).sum(), pl.len().alias("days"))
        parts.append(total.select(*fold, pl.lit(label).alias(DAYS_AHEAD), *_total_sums()))
    return pl.concat(parts, how="diagonal")


def _day_sums() -> list[pl.Expr]:
    actual, p50 = pl.col(ACTUAL), pl.col("p50")
    miss, both = (actual - p50).abs(), actual.abs() + p50.abs()
    banded = pl.col(CALIBRATED)
    held80 = actual.is_between(pl.col("p10"), pl.col("p90")) & banded
    held95 = actual.is_between(pl.col("p025"), pl.col("p975")) & banded
    below, above = (pl.col("p10") - actual).clip(lower_bound=0), (actual - pl.col("p90")).clip(lower_bound=0)
    # Winkler's score of an 80 % band: its width, plus 2 / 0.2 times what a day lies outside of it
    score = pl.when(banded).then(pl.col("p90") - pl.col("p10") + 10 * (below + above))
    scale = pl.when(pl.col(SCALE).first() > 0).then(pl.col(SCALE).first())
    return [
        pl.len().cast(pl.Int64).alias("days"),
        (pl.col(MEAN) - actual).sum().alias("error"),
        (pl.col(MEAN) - actual).abs().sum().alias("absolute_error"),
        actual.abs().sum().alias("size"),
        miss.sum().alias("median_error"),
        *(held.sum().cast(pl.Int64).alias(name) for name, held in (("held80", held80), ("held95", held95))),
        banded.sum().cast(pl.Int64).alias("banded"),
        pl.when(both > 0).then(2 * miss / both).otherwise(0.0).mean().alias("smape"),
        (miss.mean() / scale).alias("mase"),
        (score.mean() / scale).alias("interval_score80"),
    ]


def _total_sums() -> list[pl.Expr]:
    error = pl.col(MEAN) - pl.col(ACTUAL)
    return [
        pl.col("days").cast(pl.Int64),
        error.alias("error"),
        error.abs().alias("absolute_error"),
        pl.col(ACTUAL).abs().alias("size"),
    ]


def pool(folds: pl.DataFrame, keys: Sequence[str], *, labels: Sequence[str] = LABELS) -> pl.DataFrame:
    """The figures of the folds of each combination of keys, which may be none: `keys, days_ahead, folds, FIGURES`.

    WAPE and bias are ratios of sums, so pool what is in one currency; coverage is the share of days; the scaled figures
    are means over folds. Rows come by keys, then in the order of the labels.
    """
    size, banded = pl.col("size").sum(), pl.col("banded").sum()
    order = pl.col(DAYS_AHEAD).replace_strict({label: at for at, label in enumerate(labels)}, return_dtype=pl.Int64)
    return (
        folds.group_by(*keys, DAYS_AHEAD, maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("folds"),
            pl.col("days").sum(),
            pl.when(size > 0).then(pl.col("absolute_error").sum() / size).alias("wape"),
            pl.col("smape").mean(),
            pl.col("mase").mean(),
            pl.when(size > 0).then(pl.col("error").sum() / size).alias("bias"),
            pl.when(banded > 0).then(pl.col("held80").sum() / banded).alias("coverage80"),
            pl.when(banded > 0).then(pl.col("held95").sum() / banded).alias("coverage95"),
            pl.col("interval_score80").mean(),
        )
        .sort(*keys, order)
    )


def wape(actual: Floats, mean: Floats) -> float:
    """Weighted absolute percentage error of days: sum |actual - mean| / sum |actual|; NaN where nothing was spent."""
    size = np.abs(actual).sum()
    return float(np.abs(actual - mean).sum() / size) if size > 0 else np.nan


def seasonal_scale(history: Floats) -> float:
    """Mean |y[t] - y[t-7]| over a history with NaN for missing days: what the weekly naive forecast errs by."""
    steps = np.abs(history[SEASON_DAYS:] - history[:-SEASON_DAYS])
    steps = steps[~np.isnan(steps)]
    return float(steps.mean()) if len(steps) else np.nan
