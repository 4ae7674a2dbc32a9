"""What a running group could run on instead: each option that keeps all it needs, and why each other one does not."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from optimizer.accelerators import Throughput, accelerators, link_gb_per_s, relative_throughput, slices
from optimizer.running import Group, Machine, Need, Settings

Kind = Literal["fewer", "smaller", "other_accelerator", "slices"]
EASIEST: Final[tuple[Kind, ...]] = ("fewer", "smaller", "other_accelerator", "slices")
"""In the order of the work that they are."""
CENT: Final = Decimal("0.01")


@dataclass(frozen=True)
class Fit:
    """An option that keeps what the group needs.

    kept: accelerators' worth of work, of today's accelerator. memory_gib: of each accelerator or slice. machine_hours
    and cost: a month. machine is None where the instance type stays.
    """

    kind: Kind
    instance_type: str
    count: int
    accelerator: str
    accelerators: float
    kept: float
    memory_gib: float | None
    machine_hours: float
    cost: Decimal
    machine: Machine | None = None
    profile: str | None = None


@dataclass(frozen=True)
class Miss:
    """An option that does not keep what the group needs, the reason, and its price per hour."""

    instance_type: str
    accelerator: str
    reason: str
    price_per_hour: float


def fewer(group: Group, need: Need) -> Fit | None:
    """As few machines of today's type as keep the need; None where they stand each for themselves."""
    if not group.is_pooled or group.cost is None:
        return None
    worth = need.shape * math.floor(group.accelerators / need.shape + 1e-9)
    count = max(need.least, math.ceil(need.accelerators / worth))
    hours = count * group.hours_per_month
    return Fit(
        kind="fewer",
        instance_type=group.instance_type or "machine",
        count=count,
        accelerator=group.accelerator or "accelerator",
        accelerators=group.accelerators,
        kept=count * worth,
        memory_gib=group.accelerator_memory_gib,
        machine_hours=hours,
        cost=_money(float(group.cost) * hours / group.machine_hours),
    )


def others(
    group: Group, need: Need, machines: Iterable[Machine], settings: Settings, measured: Throughput
) -> Iterator[Fit | Miss]:
    """Every other machine of the group's provider and region, and slices of it, as a fit or a miss."""
    here = [m for m in machines if (m.provider, m.region) == (group.provider, group.region)]
    today = next((m for m in here if m.instance_type == group.instance_type), None)
    for machine in here:
        price = _price(group, machine)
        if price is None or _service(machine.instance_type) != _service(group.instance_type or ""):
            continue
        if machine.instance_type != group.instance_type:
            yield _other(group, need, machine, today, price, settings, measured)
        if not group.is_pooled:
            yield from _sliced(group, need, machine, price, measured)


def _lost(group: Group, need: Need, machine: Machine, today: Machine | None, settings: Settings) -> str | None:
    """What the group needs of each machine and this one does not have, in words; None where it has all."""
    known = accelerators()
    if need.memory_gib is None:
        return f"how much memory {group.accelerator} has is not known"
    if machine.memory_gib < need.memory_gib:
        return f"{machine.memory_gib:g} GiB an accelerator; {need.memory_gib:.1f} are needed"
    spec, other = known.get(group.accelerator or ""), known.get(machine.accelerator)
    if spec and other and spec.has_bf16 and not other.has_bf16:
        return f"{machine.accelerator} does not compute in BF16"
    if need.link_gb_per_s > link_gb_per_s(machine.accelerator, machine.instance_type):
        return f"no link of {need.link_gb_per_s:g} GB/s between its accelerators"
    if machine.accelerators < need.shape - 1e-9:
        return f"{machine.accelerators:g} accelerators; a replica runs on {need.shape:g}"
    if today is not None:
        share = settings.host_ratio * _replicas(group, need, machine) * need.shape / group.accelerators
        for has, had, what in (
            (machine.vcpus, today.vcpus, "vCPUs"),
            (machine.host_gib, today.host_gib, "GiB of host memory"),
        ):
            if had is not None and (has is None or has < had * share):
                return f"its host has {'no known' if has is None else format(has, 'g')} {what}; today's has {had:g}"
    return None


def _other(
    group: Group,
    need: Need,
    machine: Machine,
    today: Machine | None,
    price: float,
    settings: Settings,
    measured: Throughput,
) -> Fit | Miss:
    ratio = relative_throughput(group.accelerator or "", machine.accelerator, measured)
    reason = _lost(group, need, machine, today, settings)
    if ratio is None:
        reason = f"how much {machine.accelerator} does beside {group.accelerator} is not known"
    elif (machine.accelerator, machine.accelerators) == (group.accelerator, group.accelerators):
        reason = "the same accelerators; only its host differs, which is not measured"
    if reason is not None or ratio is None:
        return Miss(machine.instance_type, machine.accelerator, reason or "", price)
    worth = _replicas(group, need, machine) * need.shape * ratio
    count = group.machines
    if group.is_pooled:
        count = max(need.least, math.ceil(need.accelerators / worth))
    elif worth < need.per_machine:
        return Miss(machine.instance_type, machine.accelerator, _short(worth, need.per_machine), price)
    if count * worth < need.accelerators:
        return Miss(machine.instance_type, machine.accelerator, _short(count * worth, need.accelerators), price)
    hours = count * group.hours_per_month if group.is_pooled else group.machine_hours
    return Fit(
        kind="smaller" if machine.accelerator == group.accelerator else "other_accelerator",
        instance_type=machine.instance_type,
        count=count,
        accelerator=machine.accelerator,
        accelerators=machine.accelerators,
        kept=count * worth,
        memory_gib=machine.memory_gib,
        machine_hours=hours,
        cost=_money(hours * price),
        machine=machine,
    )


def _replicas(group: Group, need: Need, machine: Machine) -> int:
    """How many of the group's replicas a machine holds; of those that stand for themselves, one."""
    return math.floor(machine.accelerators / need.shape + 1e-9) if group.is_pooled else 1


def _sliced(group: Group, need: Need, machine: Machine, price: float, measured: Throughput) -> Iterator[Fit | Miss]:
    """The smallest slice of the machine's accelerators that one of the group's machines fits into."""
    name, profiles = f"slices of {machine.instance_type}", slices().get(machine.accelerator)
    if need.shape > 1 or group.machines < 2 or need.memory_gib is None:
        return
    ratio = relative_throughput(group.accelerator or "", machine.accelerator, measured)
    if profiles is None or ratio is None:
        return
    bf16 = [accelerators().get(a) for a in (group.accelerator or "", machine.accelerator)]
    if bf16[0] and bf16[1] and bf16[0].has_bf16 and not bf16[1].has_bf16:
        return
    for part in profiles:
        worth = part.ratio * ratio
        if part.memory_gb < need.memory_gib or worth < need.per_machine:
            continue
        if group.machines * worth < need.accelerators:
            continue
        count = math.ceil(group.machines / (math.floor(machine.accelerators) * part.most or 1))
        hours = count * group.hours_per_month
        if machine.accelerators >= 1:
            yield Fit(
                kind="slices",
                instance_type=machine.instance_type,
                count=count,
                accelerator=machine.accelerator,
                accelerators=machine.accelerators,
                kept=group.machines * worth,
                memory_gib=part.memory_gb,
                machine_hours=hours,
                cost=_money(hours * price),
                machine=machine,
                profile=part.profile,
            )
        return
    needed = f"{need.memory_gib:.1f} GiB and {need.per_machine:.2f} accelerators"
    yield Miss(name, machine.accelerator, f"none has the {needed} that one of the {group.machines} needs", price)


def best(fits: Sequence[Fit], tolerance: Decimal) -> Fit | None:
    """Of the options that cost at most `tolerance` more than the cheapest, the one that is least work."""
    least = min((f.cost for f in fits), default=Decimal(0))
    near = [f for f in fits if f.cost <= least + tolerance]
    return min(near, key=lambda f: (EASIEST.index(f.kind), f.cost, f.count, f.instance_type), default=None)


def _price(group: Group, machine: Machine) -> float | None:
    """Per hour as the group would pay it: spot where it runs on spot, else list less its own discount."""
    if machine.instance_type == group.instance_type and group.cost is not None:
        return float(group.cost) / group.machine_hours
    if machine.currency != group.currency:
        return None
    if group.spot:
        return machine.spot_per_hour
    return None if machine.on_demand_per_hour is None else machine.on_demand_per_hour * group.discount_ratio


def _service(instance_type: str) -> str:
    """Managed machines (`ml.`) are not exchanged for plain ones, or the other way round."""
    return "ml" if instance_type.startswith("ml.") else ""


def _short(kept: float, needed: float) -> str:
    return f"keeps {kept:.2f} accelerators' worth; {needed:.2f} are needed"


def _money(amount: float) -> Decimal:
    return Decimal(repr(amount)).quantize(CENT)
