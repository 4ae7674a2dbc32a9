"""spend_daily: charges summed by day and by the dimensions that people slice by."""

from collections.abc import Sequence

import polars as pl

from finops import schema as s

_FIRST, _DAYS, _PART = "__first", "__days", "__part"


def spend_daily(charges: pl.LazyFrame) -> pl.LazyFrame:
    """Charges by day and dimension, with the columns of the table spend_daily; see `spread`."""
    dimensions = [name for name in s.DAILY_DIMENSIONS if name != s.CHARGE_DATE]
    amounts = [name for name in s.DAILY_MEASURES if name != s.CHARGE_COUNT]
    return (
        spread(charges, dimensions, amounts)
        .group_by(*s.DAILY_DIMENSIONS)
        .agg(pl.col(*s.DAILY_MEASURES).sum())
        .select(pl.col(name).cast(kind) for name, kind in {**s.DAILY_DIMENSIONS, **s.DAILY_MEASURES}.items())
    )


def spread(charges: pl.LazyFrame, dimensions: Sequence[str], amounts: Sequence[str]) -> pl.LazyFrame:
    """Charges summed by dimensions, a row for each of their days: dimensions, x_ChargeDate, amounts, x_ChargeCount.

    A charge whose period spans n days adds 1/n of itself to each, the last day taking what rounding leaves, so the
    sum is the charge's to the last decimal; a one-time charge stays on its first day. x_ChargeCount counts a charge
    on its first day.
    """
    first = pl.col(s.CHARGE_PERIOD_START).dt.date()
    last = (pl.col(s.CHARGE_PERIOD_END) - pl.duration(microseconds=1)).dt.date()
    is_spread = pl.col(s.CHARGE_FREQUENCY).fill_null("") != "One-Time"
    days = pl.when(is_spread).then((last - first).dt.total_days() + 1).otherwise(1).clip(lower_bound=1)
    # summed before they are spread: a month's charges collapse to a few rows first
    summed = charges.group_by(first.alias(_FIRST), days.alias(_DAYS), *dimensions).agg(
        pl.col(*amounts).sum(), pl.len().cast(pl.Int64).alias(s.CHARGE_COUNT)
    )
    part, parts = pl.col(_PART), pl.col(_DAYS)
    share = {name: pl.col(name) / parts for name in amounts}
    return (
        summed.with_columns(pl.int_ranges(0, _DAYS).alias(_PART))
        .explode(_PART)
        .select(
            *dimensions,
            (pl.col(_FIRST) + pl.duration(days=part)).alias(s.CHARGE_DATE),
            *(
                pl.when(parts == 1)
                .then(pl.col(name))
                .when(part < parts - 1)
                .then(share[name])
                .otherwise(pl.col(name) - share[name] * (parts - 1))
                .alias(name)
                for name in amounts
            ),
            pl.when(part == 0).then(pl.col(s.CHARGE_COUNT)).otherwise(0).alias(s.CHARGE_COUNT),
        )
    )
