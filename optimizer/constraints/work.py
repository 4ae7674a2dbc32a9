"""Constraints on the work: that it is done, and how much of it on capacity that can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from optimizer import terms
from optimizer.constraints.sense import AT_MOST, EQUAL, Parts
from optimizer.options import Option
from optimizer.scenario import Workload

if TYPE_CHECKING:
    from optimizer.program import Program


def serve(p: Program) -> None:
    """Steady work is served as it comes: sum_o u r x + sum_k r a = D, for each w, t, b, s."""
    for w in p.scenario.workloads:
        if w.window_months is None and p.has_demand(w):
            for t in p.period:
                for b in p.blocks:
                    for s in p.courses:
                        served: Parts = [(variable, 1.0) for _, variable in p.serving.get((w.name, t, b, s), ())]
                        p.add("serve", (w.name, t, b, s), EQUAL, served, p.demand(w, t, b, s))


def deliver(p: Program) -> None:
    """Work that can wait is done within its window: sum_{t,b in v} h[b] (sum_o u r x + sum_k r a) = A.

    For each w, v, s.
    """
    for w in p.scenario.workloads:
        if w.window_months is not None and p.has_demand(w):
            for v, window in _windows(p, w):
                for s in p.courses:
                    p.add("deliver", (w.name, v, s), EQUAL, _done(p, w, window, s), p.amount(w, window, s))


def spot_share(p: Program) -> None:
    """Only a share of a workload runs on capacity that can be taken back.

    sum_{o spot} u r x <= share x D, for each w, t, b, s; over the window and against A for work that can wait.
    """
    for w in p.scenario.workloads:
        if w.spot_share_ratio is None:
            continue
        share = float(w.spot_share_ratio)
        for s in p.courses:
            for v, window in _windows(p, w) if w.window_months is not None else ():
                if spot := _done(p, w, window, s, spot_only=True):
                    p.add("spot_share", (w.name, v, s), AT_MOST, spot, share * p.amount(w, window, s))
            for t in p.period if w.window_months is None else ():
                for b in p.blocks:
                    found = p.serving.get((w.name, t, b, s), ())
                    if spot := [(variable, 1.0) for o, variable in found if _is_spot(o)]:
                        p.add("spot_share", (w.name, t, b, s), AT_MOST, spot, share * p.demand(w, t, b, s))


def _windows(p: Program, w: Workload) -> Iterator[tuple[int, range]]:
    """The windows of work that can wait; of monthly ones in a quarter the first, whose variables the others share."""
    for v, window in enumerate(terms.windows(p.scenario, w)):
        if window.start == p.start[window.start]:
            yield v, window


def _done(p: Program, w: Workload, window: range, s: int, *, spot_only: bool = False) -> Parts:
    """Work done within a window, in hours of the workload's peak."""
    return [
        (variable, p.hours(b) * (len(p.period[t]) if len(window) > 1 else 1))
        for t in window
        if t in p.period
        for b in p.blocks
        for o, variable in p.serving.get((w.name, t, b, s), ())
        if not spot_only or _is_spot(o)
    ]


def _is_spot(option: Option) -> bool:
    return option.kind == "spot"
