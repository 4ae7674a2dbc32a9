"""Hourly load of workloads, from the accelerators that ran in each hour or from a file, as load blocks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from finops.errors import CallError, InputError
from finops.pipeline.rightsizing import RightSizing
from finops.store import Lake
from optimizer.draft import Measured
from optimizer.profiles import LEAST_HOURS, load_blocks
from optimizer.rightsize import Finding
from optimizer.scenario import LoadBlock

COLUMNS: Final = ("timestamp", "workload", "load")
FLAT_RATIO: Final = 1.25
"""Highest hour against the mean up to which a load is flat: blocks make a plan take several times as long."""
_EXPECTED: Final = "a CSV file with the columns timestamp (like 2026-10-01T13:00), workload, load"


def measured_blocks(
    lake: Lake, sizing: RightSizing, workloads: Sequence[Measured], *, resized: bool
) -> tuple[LoadBlock, ...]:
    """Load blocks from the accelerators that ran in each hour that right-sizing looked at; none where all is flat.

    resized: machines are off in the hours in which right-sizing has them off. Work that may wait has no load by hour,
    and what nobody measures runs at its mean.
    """
    if sizing.window is None:
        return ()
    machines = {(f.group.name, f.group.instance_type, f.group.accelerator): f for f in sizing.findings}
    shaped = {
        (w.use, w.accelerator): w.name
        for w in workloads
        if w.unit == "accelerator_hours" and w.block is None and w.kind not in ("training", "fine_tuning")
    }
    running = (
        lake.scan("gpu_usage")
        .filter(pl.col("hour").dt.date().is_between(sizing.window.start, sizing.window.end, closed="left"))
        .group_by(
            pl.coalesce("group_name", "resource_name", "resource_id").alias("label"), "instance_type", "accelerator",
            "hour",
        )
        .agg(pl.col("accelerator_count").fill_null(1).cast(pl.Float64).sum().alias("load"))
        .collect(engine="streaming")
    )  # fmt: skip
    parts = []
    for machine, rows in running.group_by("label", "instance_type", "accelerator"):
        finding = machines.get((str(machine[0]), *machine[1:]))
        workload = shaped.get(_key(finding, resized=resized)) if finding else None
        if finding and workload:
            off = finding.advice[-1].hours_off if resized and finding.advice else ()
            of_week = (pl.col("hour").dt.weekday().cast(pl.Int32) - 1) * 24 + pl.col("hour").dt.hour()
            kept = rows.filter(~of_week.is_in(list(off)))
            parts.append(kept.select(pl.col("hour").alias("timestamp"), pl.lit(workload).alias("workload"), "load"))
    hours = running.select(pl.col("hour").alias("timestamp")).unique()
    return _blocks(pl.concat(parts), hours, workloads) if parts and len(hours) >= LEAST_HOURS else ()


def _key(finding: Finding, *, resized: bool) -> tuple[str | None, str | None]:
    """Use and accelerator of the workload that a group belongs to."""
    moved = finding.advice[-1].accelerator if resized and finding.advice else None
    return finding.group.use, moved or finding.group.accelerator


def blocks_of_file(path: Path, workloads: Sequence[Measured]) -> tuple[LoadBlock, ...]:
    """Load blocks from a file of one's own: timestamp, workload, load; an hour without a row has no load.

    Raises InputError for a file that is no such table, and CallError for a workload that the scenario does not have.
    """
    try:
        rows = pl.read_csv(path, schema_overrides={"workload": pl.String(), "load": pl.Float64()}, try_parse_dates=True)
        rows = rows.select(pl.col("timestamp").cast(pl.Datetime("us")), "workload", "load")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{path} cannot be read as load by the hour ({error})", expected=_EXPECTED, next_step="correct the file"
        ) from error
    names = {w.name for w in workloads}
    unknown = sorted(set(rows["workload"].drop_nulls()) - names)
    if unknown or sum(rows.null_count().row(0)):
        raise CallError(
            f"{path} names the workload {', '.join(unknown)}" if unknown else f"{path} has empty cells",
            expected=f"{_EXPECTED}; workloads: {', '.join(sorted(names))}",
            next_step="correct the file",
        )
    return _blocks(rows, rows.select("timestamp").unique(), workloads)


def _blocks(rows: pl.DataFrame, hours: pl.DataFrame, workloads: Sequence[Measured]) -> tuple[LoadBlock, ...]:
    """The load in all of the hours as blocks, in which workloads without one run at their mean."""
    hours = hours.sort("timestamp")
    profiles: dict[str, list[float]] = {}
    for (name,), part in rows.group_by("workload"):
        load = part.group_by("timestamp").agg(pl.col("load").sum())
        profiles[str(name)] = hours.join(load, on="timestamp", how="left")["load"].fill_null(0.0).to_list()
    if not _is_shaped(profiles):
        return ()
    flat = {w.name: 1 for w in workloads if w.name not in profiles}
    return tuple(
        LoadBlock.model_validate(b.model_dump() | {"workloads": {**b.workloads, **flat}}) for b in load_blocks(profiles)
    )


def _is_shaped(profiles: Mapping[str, Sequence[float]]) -> bool:
    return any(max(load) * len(load) > FLAT_RATIO * sum(load) for load in profiles.values())
