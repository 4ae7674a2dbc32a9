"""Forecasts that were shown, held against what came."""

from typing import Final

import polars as pl

from finops.config import Config
from finops.pipeline.histories import ACTUAL, CURRENCY, actuals
from finops.store import Lake
from forecasting.series import DATE, MODEL, SERIES

LEADS: Final = ((1, 7), (8, 30), (31, 90), (91, 730))
"""Days ahead that a track record tells apart."""


def track_record(config: Config, lake: Lake) -> pl.DataFrame:
    """Frozen forecasts against what came, on the days that are billed in full by now.

    Columns `grouping, series, currency, measure, model, days_ahead, forecasts, days, wape, bias, coverage80,
    coverage95`. Of forecasts with the same cutoff the newest counts.
    """
    frozen = lake.scan("forecasts").sort("made_at").collect().unique([SERIES, "measure", "cutoff", DATE], keep="last")
    came = frozen.join(actuals(config, lake, frozen), on=[SERIES, "measure", DATE]).drop_nulls(ACTUAL)
    lead = (pl.col(DATE) - pl.col("cutoff")).dt.total_days()
    actual, mean = pl.col(ACTUAL).cast(pl.Float64), pl.col("mean")
    size = pl.when(actual.abs().sum() > 0).then(actual.abs().sum())
    keys = ["grouping", SERIES, CURRENCY, "measure", MODEL]
    return (
        came.with_columns(
            days_ahead=pl.coalesce(pl.when(lead <= last).then(pl.lit(f"{first}-{last}")) for first, last in LEADS),
            lead=lead,
        )
        .group_by(*keys, "days_ahead")
        .agg(
            pl.col("lead").min(),
            pl.col("cutoff").n_unique().cast(pl.Int64).alias("forecasts"),
            pl.len().cast(pl.Int64).alias("days"),
            ((actual - mean).abs().sum() / size).alias("wape"),
            ((mean - actual).sum() / size).alias("bias"),
            actual.is_between(pl.col("p10"), pl.col("p90")).mean().alias("coverage80"),
            actual.is_between(pl.col("p025"), pl.col("p975")).mean().alias("coverage95"),
        )
        .sort(*keys, "lead")
        .drop("lead")
    )
