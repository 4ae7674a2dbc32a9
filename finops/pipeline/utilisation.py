"""How busy accelerators were, on its way into the lake: hours of each device, from samples of any step."""

from collections.abc import Sequence
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
BY: Final = (
    "source_id", "provider", "account_id", "region", "resource_id", "resource_name", "device", "group_name",
    "instance_type", "accelerator", "team", "billing_period",
)  # fmt: skip
"""What utilisation is summed by."""
IDLE_RATIO: Final = 0.05
"""An hour of a device with a mean below this is idle."""


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


def summary(hours: pl.LazyFrame, by: Sequence[str]) -> pl.DataFrame:
    """How busy the accelerators of each group were, the most idle accelerator-hours first.

    accelerator_hours: hours x accelerators, one where nobody says how many. mean_ratio: weighted by accelerators.
    p95_ratio: what 95 in 100 hours' own 95th percentiles, or means, are at or below. idle_hours: accelerator-hours with
    a mean below IDLE_RATIO.
    """
    count = pl.col("accelerator_count").fill_null(1).cast(pl.Float64)
    mean = pl.coalesce("utilisation_mean_ratio", "utilisation_max_ratio")
    known = hours.with_columns(
        device=pl.concat_str("resource_id", pl.lit(" "), "device"),
        count=count,
        busy=mean * count,
        idle=pl.when(mean < IDLE_RATIO).then(count).otherwise(0.0),
        peak=pl.coalesce("utilisation_p95_ratio", mean),
        highest=pl.coalesce("utilisation_max_ratio", mean),
        memory=pl.coalesce("memory_max_ratio", "memory_mean_ratio"),
        day=pl.col("hour").dt.date(),
    )
    return (
        known.group_by(pl.col(by).name.prefix("by "))
        .agg(
            devices=pl.col("device").n_unique(),
            accelerator_hours=pl.col("count").sum(),
            busy=pl.col("busy").sum(),
            p95_ratio=pl.col("peak").quantile(_PEAK_QUANTILE, "higher"),
            max_ratio=pl.col("highest").max(),
            memory_max_ratio=pl.col("memory").max(),
            idle_hours=pl.col("idle").sum(),
            first_day=pl.col("day").min(),
            last_day=pl.col("day").max(),
        )
        .with_columns(mean_ratio=pl.col("busy") / pl.col("accelerator_hours"))
        .select(
            pl.col(r"^by .*$").name.map(lambda name: name.removeprefix("by ")),
            "devices", "accelerator_hours", "mean_ratio", "p95_ratio", "max_ratio", "memory_max_ratio", "idle_hours",
            "first_day", "last_day",
        )
        .sort("idle_hours", *by, descending=[True, *[False] * len(by)])
        .collect()
    )  # fmt: skip
