"""Where periods land: what is spent so far, and what the newest frozen forecast adds to it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl

from finops import schema as s
from finops.config import Config
from finops.pipeline.histories import ACTUAL, CURRENCY, actuals
from finops.store import Lake
from forecasting.intervals import QUANTILES
from forecasting.paths import TOTALS, totals
from forecasting.series import DATE, SERIES, VALUE, Floats

CENTS: Final = pl.Decimal(38, 2)
"""What a forecast is rounded to where it becomes money."""
_PERIODS: Final = (
    pl.concat_list(
        pl.col(DATE).dt.strftime("%Y-%m"),
        pl.format("{}-Q{}", pl.col(DATE).dt.year(), pl.col(DATE).dt.quarter()),
        pl.col(DATE).dt.strftime("%Y"),
    )
).alias("period")
"""The month, quarter and year of a day."""


def frozen_paths(paths: Mapping[str, Floats], about: pl.DataFrame, stamped: Mapping[str, object]) -> pl.DataFrame:
    """Rows of the table `forecast_paths`: a day's value in every sample path, in the order of the paths.

    about: `series, grouping, currency, cutoff`; stamped: forecast_id, made_at and measure of the run.
    """
    frames = [pl.DataFrame(schema={SERIES: pl.String(), DATE: pl.Date(), "paths": pl.List(pl.Float32())})]
    for name, cutoff in about.filter(pl.col(SERIES).is_in(list(paths))).select(SERIES, "cutoff").iter_rows():
        count, days = paths[name].shape
        drawn = pl.Series("paths", paths[name].T.astype(np.float32), dtype=pl.Array(pl.Float32, count))
        dates = pl.date_range(cutoff + timedelta(days=1), cutoff + timedelta(days=days), eager=True)
        frames.append(pl.DataFrame({SERIES: name, DATE: dates, "paths": drawn.arr.to_list()}))
    return _as_table("forecast_paths", pl.concat(frames).join(about, on=SERIES), stamped)


def frozen_totals(
    paths: Mapping[str, Floats], about: pl.DataFrame, history: pl.DataFrame, stamped: Mapping[str, object]
) -> pl.DataFrame:
    """Rows of the table `forecast_totals`: what the months, quarters and years that the horizon ends cost in total.

    The days to the cutoff count as they stand in `history` (`series, date, value`), the days after it by the paths.
    """
    frames = [pl.DataFrame(schema={**TOTALS, SERIES: pl.String()})]
    for name, cutoff in about.filter(pl.col(SERIES).is_in(list(paths))).select(SERIES, "cutoff").iter_rows():
        ahead = totals(paths[name], first=cutoff + timedelta(days=1))
        frames.append(ahead.with_columns(pl.lit(name).alias(SERIES)))
    spent = (
        history.with_columns(_PERIODS)
        .explode("period")
        .group_by(SERIES, "period")
        .agg(pl.col(VALUE).sum().cast(s.MONEY).alias(ACTUAL))
    )
    rows = (
        pl.concat(frames)
        .join(about, on=SERIES)
        .join(spent, on=[SERIES, "period"], how="left")
        .with_columns(pl.col(ACTUAL).fill_null(0).cast(s.MONEY))
        .with_columns(pl.col("mean", *QUANTILES) + pl.col(ACTUAL).cast(pl.Float64))
    )
    return _as_table("forecast_totals", rows, stamped)


def _as_table(name: str, rows: pl.DataFrame, stamped: Mapping[str, object]) -> pl.DataFrame:
    marked = rows.with_columns(pl.lit(value).alias(key) for key, value in stamped.items())
    return marked.select(pl.col(column).cast(kind) for column, kind in s.TABLES[name].columns.items())


def month_landing(config: Config, lake: Lake) -> pl.DataFrame:
    """Where each month lands: cost to the cutoff plus the newest frozen forecast's mean of the days after it.

    Rows `grouping, series, currency, period, cutoff, actual, expected_rest, landing, p10, p90`, for the months from the
    first forecast day to the last that the horizon covers whole. Money is decimal, the forecast rounded to cents. p10
    and p90 are of the month's total, null in a forecast that froze none.
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
    # what is restated after a forecast was frozen moves its whole band
    bands = (
        lake.scan("forecast_totals")
        .filter(pl.col("forecast_id").is_in(frozen["forecast_id"].unique().to_list()))
        .select(SERIES, "period", (pl.col("p10", "p90") - pl.col(ACTUAL).cast(pl.Float64)).cast(CENTS).cast(s.MONEY))
        .collect()
    )
    return (
        landed.join(bands, on=[SERIES, "period"], how="left")
        .with_columns(landing, (pl.col("p10", "p90") + pl.col(ACTUAL)).cast(s.MONEY))
        .select(*keys, ACTUAL, "expected_rest", "landing", "p10", "p90")
        .sort(keys)
    )
