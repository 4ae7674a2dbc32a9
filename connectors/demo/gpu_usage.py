"""How busy the company's accelerators were: hours of each machine of its fleets, as its own watcher writes them.

The same machines as on the bills, by the same resource ids. Most work as they should; what does not is in WASTES, and
what it costs is in the truth file.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from connectors.demo import aws, azure
from connectors.demo.activity import DAY, QUANTITY, RESOURCE, SKU, WORKLOAD
from connectors.demo.bill import DISCOUNT_RATIO, exact_sum
from connectors.demo.company import Calendar
from connectors.demo.skus import skus
from finops.prices import load_offers

FOLDER: Final = Path("raw/gpu_usage")
DAYS: Final = 92
"""How far back the watcher's files reach."""
SIZED_DAYS: Final = 28
"""The newest days whose waste the truth states."""
MONTH_DAYS: Final = Decimal(365) / 12

Shape = Literal["serving", "training", "office_hours", "idle"]


@dataclass(frozen=True)
class Profile:
    """How a fleet is used: the shape of its days, its busiest hours as a ratio, its memory, devices watched singly."""

    shape: Shape
    peak: float
    memory: float
    devices: int = 1


PROFILES: Final = {
    "support-voice": Profile("serving", 0.16, 0.35),
    "search-ranking": Profile("serving", 0.86, 0.88),
    "search-embeddings": Profile("serving", 0.86, 0.71),
    "fraud-scoring": Profile("serving", 0.87, 0.66),
    "identity-images": Profile("serving", 0.07, 0.31),
    "pretraining": Profile("training", 0.94, 0.91),
    "a100-training": Profile("training", 0.91, 0.86),
    "fine-tuning": Profile("training", 0.9, 0.79),
    "h100-training": Profile("training", 0.92, 0.9),
    "risk-models": Profile("training", 0.88, 0.74),
    "batch-evaluation": Profile("training", 0.85, 0.62),
    "evaluation": Profile("office_hours", 0.87, 0.82, devices=4),
    "sandbox-gpus": Profile("idle", 0.012, 0.03),
}


@dataclass(frozen=True)
class Waste:
    """A fleet that costs more than it needs: keeps is how many machines would do, on `machine` where another does."""

    group: str
    kind: Literal["idle_commitment", "idle", "too_many", "too_large", "off_hours"]
    expect: str
    keeps: int = 0
    machine: str | None = None


WASTES: Final = (
    Waste("h100-training", "idle_commitment", "Two reserved machines with 8 H100 each that nothing runs on."),
    Waste("sandbox-gpus", "idle", "Machines of an account that nobody owns: on day and night, and used by nothing."),
    Waste("support-voice", "too_many", "At the busiest hour a sixth of each machine is used: two would do.", keeps=2),
    Waste("identity-images", "too_large", "Less than a tenth of each L40S is used: two machines with an L4 would do.",
          keeps=2, machine="g6.2xlarge"),
    Waste("evaluation", "off_hours", "Used from 8 to 19 o'clock UTC on weekdays, and on at all hours."),
)  # fmt: skip
_OFFICE_HOURS: Final = range(8, 19)


def write(home: Path, usage: pl.DataFrame, calendar: Calendar, seed: int) -> pl.DataFrame:
    """Write a file a month; returns the hours with their workload and day."""
    hours = busy_hours(usage, calendar, seed)
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for (month,), rows in hours.group_by(pl.col(DAY).dt.strftime("%Y-%m"), maintain_order=True):
        rows.drop(WORKLOAD, RESOURCE, DAY).write_parquet(folder / f"gpus-{month}.parquet")
    return hours


def busy_hours(usage: pl.DataFrame, calendar: Calendar, seed: int) -> pl.DataFrame:
    """A row for each device and hour in which its machine ran."""
    days = usage.filter(pl.col(DAY) >= _first_day(calendar, DAYS))
    hours = pl.concat(
        _watched(days.filter(pl.col(WORKLOAD) == name), profile, np.random.default_rng([seed, crc32(name.encode())]))
        for name, profile in PROFILES.items()
    ).join(skus().select(SKU, "instance_type", "region", "provider"), on=SKU, maintain_order="left")
    ids = [
        export.resources(hours.filter(provider=source)).select(WORKLOAD, RESOURCE, SKU, "resource_id")
        for source, export in ((aws.SOURCE, aws), (azure.SOURCE, azure))
    ]
    named = hours.join(pl.concat(ids), on=[WORKLOAD, RESOURCE, SKU], maintain_order="left")
    return named.sort("hour", WORKLOAD, RESOURCE, "device", maintain_order=True).select(
        WORKLOAD, RESOURCE, DAY, "hour", "provider", "region", "resource_id", pl.col(WORKLOAD).alias("group"),
        "instance_type", "device", "utilisation_mean_ratio", "utilisation_max_ratio", "memory_max_ratio",
    )  # fmt: skip


def _watched(days: pl.DataFrame, profile: Profile, rng: np.random.Generator) -> pl.DataFrame:
    """The hours of one fleet: as many of each day as its machine was billed for, the office's hours among them."""
    ran = pl.col(QUANTITY).round().clip(1, 24).cast(pl.Int64)
    start = pl.min_horizontal(24 - ran, pl.lit(_OFFICE_HOURS.start))
    rows = (
        days.with_columns(of_day=pl.int_ranges(start, start + ran)).explode("of_day")
        .with_columns(device=pl.lit([str(n) for n in range(profile.devices)] if profile.devices > 1 else [None],
                                    dtype=pl.List(pl.String)))
        .explode("device")
    )  # fmt: skip
    of_day, weekday = rows["of_day"].to_numpy(), rows[DAY].dt.weekday().to_numpy()
    mean = np.clip(profile.peak * _shape(profile.shape, of_day, weekday) * rng.normal(0.97, 0.02, len(rows)), 0, 1)
    busiest = np.where(mean > 0, np.clip(mean * rng.uniform(1.02, 1.12, len(rows)), 0, 1), 0)
    memory = profile.memory * rng.uniform(0.97, 1.0, len(rows))
    return rows.select(
        WORKLOAD, RESOURCE, SKU, DAY, "device",
        hour=pl.col(DAY).cast(pl.Datetime("us", "UTC")) + pl.duration(hours="of_day"),
        utilisation_mean_ratio=pl.Series(mean.round(4)),
        utilisation_max_ratio=pl.Series(np.maximum(busiest, mean).round(4)),
        memory_max_ratio=pl.Series(memory.round(4)),
    )  # fmt: skip


def _shape(shape: Shape, of_day: NDArray[np.int64], weekday: NDArray[np.int8]) -> NDArray[np.float64]:
    """Use of each hour as a ratio of the busiest."""
    if shape == "serving":
        return np.asarray(0.62 + 0.38 * np.cos(2 * np.pi * (of_day - 19) / 24))
    if shape == "office_hours":
        return np.where(np.isin(of_day, _OFFICE_HOURS) & (weekday <= 5), 1.0, 0.0)
    return np.ones(len(of_day))


# --------------------------------------------------------------------------------------------------------------- truth
def wastes(shown: pl.DataFrame, hours: pl.DataFrame, calendar: Calendar) -> list[dict[str, Any]]:
    """What each wasteful fleet costs in the newest days, at its EffectiveCost, and how much of it is not needed."""
    first = _first_day(calendar, SIZED_DAYS)
    days = (calendar.end - first).days + 1
    found = []
    for waste in WASTES:
        rows = shown.filter(pl.col("first_day") >= first, _rows_of(waste))
        if rows.is_empty():
            continue
        cost = Decimal(rows.select(exact_sum("effective_cost")).item())
        wasted = _wasted(waste, rows, hours.filter(pl.col(DAY) >= first), cost, days)
        found.append({
            "group": waste.group, "kind": waste.kind, "expect": waste.expect, "first_day": first,
            "last_day": calendar.end, "currency": "USD", "cost": cost, "waste": wasted,
            "waste_per_month": (wasted * MONTH_DAYS / days).quantize(Decimal("0.01")),
        })  # fmt: skip
    return found


def _rows_of(waste: Waste) -> pl.Expr:
    if waste.kind == "idle_commitment":
        return ((pl.col("commitment") == "h100") & (pl.col("commitment_status") == "Unused")).fill_null(value=False)
    return (pl.col(WORKLOAD) == waste.group) & (pl.col("category") == "Usage")


def _wasted(waste: Waste, rows: pl.DataFrame, hours: pl.DataFrame, cost: Decimal, days: int) -> Decimal:
    if waste.kind in ("idle_commitment", "idle"):
        return cost
    if waste.kind == "off_hours":
        mine = hours.filter(pl.col(WORKLOAD) == waste.group)
        return cost * Decimal(repr(mine.select((pl.col("utilisation_max_ratio") == 0).mean()).item()))
    price = cost / Decimal(repr(rows[QUANTITY].sum()))
    if waste.machine is not None:
        at = skus().row(by_predicate=pl.col(SKU) == rows[SKU][0], named=True)
        offers = load_offers().filter(instance_type=waste.machine, region=at["region"], provider=at["provider"])
        price = offers["on_demand_per_hour"][0] * (1 - Decimal(repr(DISCOUNT_RATIO[at["provider"]])))
    return cost - price * waste.keeps * 24 * days


def _first_day(calendar: Calendar, days: int) -> date:
    return max(calendar.start, calendar.days_before_end(days - 1))
