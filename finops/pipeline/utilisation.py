"""How busy accelerators were, on its way into the lake: hours of each device, from samples of any step."""

from typing import Final

import polars as pl

from connectors.registry import REJECT, SOURCE_ROWS
from finops import schema as s
from finops.config import Source
from finops.errors import LakeError

_KEY: Final = ("resource_id", "device", "hour")
_SAID: Final = (
    "provider", "account_id", "region", "resource_name", "group", "instance_type", "accelerator", "team",
)  # fmt: skip
_PEAK_QUANTILE: Final = 0.95


def gpu_hours(rows: pl.LazyFrame, source: Source, batch_id: str) -> pl.LazyFrame:
    """The accepted rows as rows of the table gpu_usage, one for each device and hour.

    rows: GPU_HOURS and x_BillingPeriod. A mean is weighted by samples. What an hour's rows do not state is told from
    them where there are several: the 95th percentile and the maximum of their means. A stated 95th percentile of a part
    of an hour is at most exceeded by the hour's, so the greatest is kept.
    """
    several = pl.len() > 1
    weight = pl.col("samples").fill_null(1).clip(lower_bound=1)
    means = {f"{name}_mean_ratio": _weighted(f"{name}_mean_ratio", weight) for name in ("utilisation", "memory")} | {
        "power_w": _weighted("power_w", weight)
    }
    peak = pl.col("utilisation_mean_ratio").quantile(_PEAK_QUANTILE, "higher")
    return (
        rows.filter(pl.col(REJECT).is_null())
        .with_columns(pl.col("hour").dt.truncate("1h"))
        .group_by(s.BILLING_PERIOD, *_KEY)
        .agg(
            *(pl.col(name).drop_nulls().max() for name in _SAID),
            pl.col("accelerator_count").max(),
            *(mean.alias(name) for name, mean in means.items()),
            pl.coalesce(pl.col("utilisation_p95_ratio").max(), pl.when(several).then(peak)).alias(
                "utilisation_p95_ratio"
            ),
            *(
                pl.coalesce(
                    pl.col(f"{name}_max_ratio").max(), pl.when(several).then(pl.col(f"{name}_mean_ratio").max())
                ).alias(f"{name}_max_ratio")
                for name in ("utilisation", "memory")
            ),
            weight.sum().alias("samples"),
            pl.col(SOURCE_ROWS).sum().alias("source_rows"),
        )
        .with_columns(
            pl.lit(source.id).alias("source_id"),
            pl.col(s.BILLING_PERIOD).alias("billing_period"),
            pl.col("group").alias("group_name"),
            pl.lit(batch_id).alias("batch_id"),
        )
        .select(pl.col(name).cast(kind) for name, kind in s.TABLES["gpu_usage"].columns.items())
    )


def refuse_lost_hours(rows: pl.LazyFrame, stored: pl.LazyFrame, source: Source) -> None:
    """Raises LakeError unless every accepted row is in an hour of the lake, per period."""
    accepted = rows.filter(pl.col(REJECT).is_null()).with_columns(pl.col(SOURCE_ROWS).alias("source_rows"))
    read, held = (
        frame.group_by(pl.col(period).alias("billing_period"))
        .agg(pl.col("source_rows").sum())
        .sort("billing_period")
        .collect()
        for frame, period in ((accepted, s.BILLING_PERIOD), (stored, "billing_period"))
    )
    if not read.equals(held):
        raise LakeError(
            f"the utilisation of {source.id} does not tie out: read {read.to_dicts()}, stored {held.to_dicts()}",
            expected="every accepted row in one hour",
            next_step="nothing was changed; please report this with the file's header",
        )


def _weighted(name: str, weight: pl.Expr) -> pl.Expr:
    """The mean of what is known, null where nothing is."""
    known = pl.col(name).is_not_null()
    return (pl.col(name) * weight).filter(known).sum() / pl.when(known.any()).then(weight.filter(known).sum())
