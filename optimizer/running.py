"""What runs today as it was measured and billed: a group's hours of use, what it needs of an accelerator, its cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from optimizer.accelerators import link_gb_per_s

HOURS_OF_WEEK: Final = 168
QUANTILE: Final = 0.95
LEAST_WEEKS: Final = 2
"""How often an hour of the week must have been seen before anything is said of it."""
POOLED: Final = frozenset({"inference", "training", "fine_tuning"})
"""Purposes whose machines share their work; those of others stand each for itself, as a notebook does."""


@dataclass(frozen=True)
class Settings:
    """What right-sizing keeps and asks for; each can be stated."""

    headroom_ratio: float = 0.2
    """Kept above the 95th percentile of use."""
    memory_headroom_ratio: float = 0.1
    """Kept above the most memory that was in use, up to what there is today."""
    idle_ratio: float = 0.05
    """An hour whose highest use is below this is idle."""
    serving_idle_ratio: float = 0.005
    """The same of what serves requests: few requests are use."""
    least_days: int = 14
    least_coverage_ratio: float = 0.8
    """Measured part of the billed accelerator-hours."""
    least_replicas: int = 2
    """Machines that a group keeps whatever it uses, where it has as many today."""
    least_off_hours: int = 4
    """Idle hours in a row from which switching off is proposed."""
    least_saving_ratio: float = 0.05
    """Of the group's cost; smaller savings are not proposed."""
    host_ratio: float = 0.5
    """Processors and memory of the host that are kept at least: they are not measured."""


class Hour(NamedTuple):
    """One hour of a group: hour of the week (0 is Monday 0:00 UTC), accelerators in use, the highest use ratio of any
    device, accelerators running."""

    of_week: int
    used: float
    highest: float
    running: float


@dataclass(frozen=True)
class Machine:
    """An instance type that can be rented in a region; price per hour in `currency`, None where it is not published."""

    provider: str
    region: str
    instance_type: str
    accelerator: str
    accelerators: float
    memory_gib: float
    vcpus: float | None
    host_gib: float | None
    currency: str
    on_demand_per_hour: float | None
    spot_per_hour: float | None
    source: str
    day: date


@dataclass(frozen=True)
class Group:
    """Machines of one type that are sized together: measured use, and cost a month as billed.

    accelerators: of one machine; used_accelerators: the most of a machine that were ever busy, None where rows stand
    for whole machines. machine_peak: the highest 95th percentile of one machine's busy hours, in accelerators.
    memory_gib: the most that was in use on any accelerator. machine_hours: a month. discount_ratio: what is paid of a
    list price, commitments apart. idle_since and idle_cost are known of commitments that nothing uses.
    """

    name: str
    provider: str | None
    region: str | None
    instance_type: str | None
    accelerator: str | None
    accelerators: float
    accelerator_memory_gib: float | None
    purpose: str | None
    use: str | None
    team: str | None
    hosting: str
    hours: tuple[Hour, ...]
    days: int
    coverage_ratio: float
    used_accelerators: float | None
    machine_peak: float
    memory_gib: float | None
    machine_hours: float
    hours_per_month: float
    cost: Decimal | None
    currency: str | None
    discount_ratio: float = 1.0
    spot: bool = False
    committed_ratio: float = 0.0
    commitment: str | None = None
    idle_since: date | None = None
    idle_cost: Decimal | None = None

    @property
    def machines(self) -> int:
        """The most machines that ran at once."""
        return math.ceil(max((h.running for h in self.hours), default=0.0) / self.accelerators - 1e-9)

    @property
    def highest(self) -> float:
        """The most accelerators in use in any hour."""
        return max((h.used for h in self.hours), default=0.0)

    @property
    def is_pooled(self) -> bool:
        """Whether its machines share their work."""
        return self.purpose in POOLED


@dataclass(frozen=True)
class Need:
    """What must be kept: accelerators' worth of work, of one machine where each stands for itself, GiB, link, replicas.

    accelerators = 95th percentile x (1 + headroom). shape: accelerators that one replica runs on.
    """

    p95: float
    accelerators: float
    per_machine: float
    shape: float
    memory_gib: float | None
    link_gb_per_s: float
    least: int


def needs(group: Group, settings: Settings) -> Need:
    """What a group needs; hours in which it is switched off do not lower its 95th percentile."""
    off = off_hours(group, settings)
    p95 = max(quantile([h.used for h in group.hours]), quantile([h.used for h in group.hours if h.of_week not in off]))
    shape = min(group.accelerators, group.used_accelerators or group.accelerators)
    link = link_gb_per_s(group.accelerator or "", group.instance_type or "") if shape > 1 else 0.0
    if link:
        shape = group.accelerators
    return Need(
        p95=p95,
        accelerators=p95 * (1 + settings.headroom_ratio),
        per_machine=0.0 if group.is_pooled else group.machine_peak * (1 + settings.headroom_ratio),
        shape=shape,
        memory_gib=_memory(group, settings),
        link_gb_per_s=link,
        least=min(settings.least_replicas, group.machines) if group.is_pooled else group.machines,
    )


def _memory(group: Group, settings: Settings) -> float | None:
    """GiB of each accelerator; all that it has where the use is not measured, None where not even that is known."""
    own = group.accelerator_memory_gib
    if group.memory_gib is None or own is None:
        return own
    return min(own, group.memory_gib * (1 + settings.memory_headroom_ratio))


def idle_below(group: Group, settings: Settings) -> float:
    """The highest use ratio below which an hour of the group is idle."""
    return settings.serving_idle_ratio if group.purpose == "inference" else settings.idle_ratio


def is_idle(group: Group, settings: Settings) -> bool:
    """Whether every measured hour was idle."""
    return all(h.highest < idle_below(group, settings) for h in group.hours)


def off_hours(group: Group, settings: Settings) -> frozenset[int]:
    """Hours of the week that were idle in every measured week, in runs of at least `least_off_hours`."""
    seen = [0] * HOURS_OF_WEEK
    quiet = [True] * HOURS_OF_WEEK
    limit = idle_below(group, settings)
    for h in group.hours:
        seen[h.of_week] += 1
        quiet[h.of_week] &= h.highest < limit
    off = [q and n >= LEAST_WEEKS for q, n in zip(quiet, seen, strict=True)]
    if all(off) or not any(off):
        return frozenset(range(HOURS_OF_WEEK) if all(off) else ())
    first = off.index(False)
    found: list[int] = []
    run: list[int] = []
    for hour in [(first + i) % HOURS_OF_WEEK for i in range(HOURS_OF_WEEK + 1)]:
        if off[hour]:
            run.append(hour)
            continue
        found += run if len(run) >= settings.least_off_hours else []
        run = []
    return frozenset(found)


def quantile(values: Sequence[float]) -> float:
    """The 95th percentile, the higher of two neighbours; 0 of nothing."""
    ordered = sorted(values)
    return ordered[math.ceil(QUANTILE * (len(ordered) - 1))] if ordered else 0.0
