"""Where months land: what is spent so far, and what the newest frozen forecast adds to it."""

from typing import Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.pipeline.histories import ACTUAL, CURRENCY, actuals
from finops.store import Lake
from forecasting.series import DATE, SERIES

CENTS: Final = pl.Decimal(38, 2)
"""What a forecast is rounded to where it becomes money."""


def month_landing(config: Config, lake: Lake) -> pl.DataFrame:
    """Where each month lands: cost to the cutoff plus the newest frozen forecast's mean of the days after it.

    Rows `grouping, series, currency, period, cutoff, actual, expected_rest, landing`, for the months from the first
    forecast day to the last that the horizon covers whole. Money is decimal, the forecast rounded to cents.
    """
    frozen = lake.scan("forecasts").filter(pl.col("forecast_id") == pl.col("forecast_id").max()).collect()
    keys = ["grouping", SERIES, CURRENCY, "cutoff", "period"]
    period = pl.col(DATE).dt.strftime("%Y-%m").alias("period")
    rest = (
        frozen.filter(pl.col(DATE).dt.month_end() <= pl.col(DATE).max().over(SERIES))
        .group_by(*keys[:-1], period)
        .agg(pl.col("mean").sum().cast(CENTS).cast(s.MONEY).alias("expected_rest"))
    )
    actual = (
        actuals(config, lake, frozen)
        .join(frozen.select(SERIES, "cutoff").unique(), on=SERIES)
        .filter(pl.col(DATE) <= pl.col("cutoff"))
        .group_by(SERIES, period)
        .agg(pl.col(ACTUAL).sum())
    )
    landed = rest.join(actual, on=[SERIES, "period"], how="left").with_columns(
        pl.col(ACTUAL).fill_null(0).cast(s.MONEY)
    )
    landing = (pl.col(ACTUAL) + pl.col("expected_rest")).cast(s.MONEY).alias("landing")
    return landed.select(*keys, ACTUAL, "expected_rest", landing).sort(keys)
