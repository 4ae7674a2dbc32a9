"""Demand on the right-sized base: workloads measured from the bill, less what right-sizing takes off them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from typing import Final

from finops.money import CONTEXT
from optimizer.draft import Measured
from optimizer.rightsize import Finding

_UNIT: Final = Decimal("1e-18")
_ByWorkload = dict[tuple[str | None, str | None], list[Finding]]


@dataclass(frozen=True)
class Resized:
    """Workloads after right-sizing, and what it saves of them: cost before - cost after = saving, to the last digit.

    left_out: findings with changes whose use is in none of the workloads, and which change nothing here.
    """

    workloads: tuple[Measured, ...]
    saving: Decimal
    left_out: tuple[Finding, ...]


def apply(workloads: Sequence[Measured], findings: Iterable[Finding], *, months: int) -> Resized:
    """The workloads with every change of the findings made.

    months: what the workloads' units and costs are sums of. A group belongs to the workload of its use case (or team)
    and accelerator, and takes of it the share that its cost is of the workload's; where groups cost more a month than
    the workload did, they share it whole. Work that moves to another accelerator becomes a workload of its own; what
    a workload in money stands for stays part of it. What stands whatever runs (`block`) is paid all the same and stays
    as it is.
    """
    by_workload: _ByWorkload = {}
    for finding in findings:
        if finding.group.cost is not None:
            by_workload.setdefault((finding.group.use, finding.group.accelerator), []).append(finding)
    with localcontext(CONTEXT):
        kept = tuple(w for w in _after(workloads, by_workload, months) if w.cost > 0)
        left_out = tuple(f for found in by_workload.values() for f in found if f.advice)
        return Resized(kept, _cost(workloads) - _cost(kept), left_out)


def _after(workloads: Sequence[Measured], by_workload: _ByWorkload, months: int) -> Iterator[Measured]:
    """The workloads after their findings, each of which is taken by one workload."""
    for workload in workloads:
        if workload.block is not None:
            yield workload
        elif workload.parts:
            parts = tuple(_after(workload.parts, by_workload, months))
            left = workload.cost - _cost(workload.parts) + _cost(parts)
            yield replace(workload, units=left, cost=left, parts=parts)
        else:
            yield from _resized(workload, by_workload.pop((workload.use, workload.accelerator), []), months)


def _resized(workload: Measured, findings: Sequence[Finding], months: int) -> list[Measured]:
    """The workload and those that split off it."""
    if not any(f.advice for f in findings):
        return [workload]
    billed = sum((f.group.cost or Decimal(0) for f in findings), Decimal(0)) * months
    whole = max(billed, workload.cost)
    cost, units, moved = workload.cost, workload.units, []
    for finding in findings:
        if not finding.advice or not finding.group.cost:
            continue
        share = finding.group.cost * months / whole
        first, last = finding.advice[0], finding.advice[-1]
        own_cost, own_units = (workload.cost * share).quantize(_UNIT), (workload.units * share).quantize(_UNIT)
        left_cost = (own_cost * last.cost_after / first.cost_before).quantize(_UNIT)
        hours = Decimal(repr(last.hours_after / first.hours_before))
        left_units = left_cost if workload.unit == "money" else (own_units * hours).quantize(_UNIT)
        cost, units = cost - own_cost, units - own_units
        if last.accelerator == finding.group.accelerator:
            cost, units = cost + left_cost, units + left_units
        else:
            name = f"{finding.group.name}-{last.accelerator}"
            about = f"{workload.about}, moved to {last.accelerator}"
            moved.append(
                replace(
                    workload, name=name, about=about, units=left_units, cost=left_cost, accelerator=last.accelerator
                )
            )
    return [replace(workload, units=units, cost=cost), *moved]


def _cost(workloads: Iterable[Measured]) -> Decimal:
    return sum((w.cost for w in workloads), Decimal(0))
