"""Constraints on where: what may be emitted, in how many locations a workload runs, and how it gets to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer import terms
from optimizer.constraints.sense import AT_LEAST, AT_MOST, Parts
from optimizer.scenario import Workload

if TYPE_CHECKING:
    from optimizer.program import Program


def carbon(p: Program) -> None:
    """Emissions stay within the cap: sum h kg x + sum kg active <= cap, for each t, s.

    kg of a capacity-hour is its electricity at the meter x the carbon intensity there; a block emits used or not.
    """
    if not p.scenario.rules.carbon_kg_per_month:
        return
    for t in p.months:
        standing: Parts = []
        limit = float(terms.carbon_limit(p.scenario, t))
        for k in p.scenario.blocks:
            kg = float(terms.kg_per_block(k) or 0)
            active, before = p.active(k, t)
            standing += [(y, kg * n) for y, n in active]
            limit -= kg * before
        for s in p.courses:
            used = [
                (x, amount * p.hours(b) * float(terms.kg_per_capacity_hour(o) or 0))
                for o in p.scenario.pay_as_you_go
                for b in p.blocks
                for x, amount in p.use(o, t, b, s)
            ]
            if used or standing or limit < 0:  # what stood before may emit too much by itself
                p.add("carbon", (t, s), AT_MOST, used + standing, limit)


def presence(p: Program) -> None:
    """A workload runs only where it is set up: sum_{o,k at g} (u r x + r a) <= bound x z, for each w, g, t, b, s.

    bound is D, or for work that can wait its whole window at once. No more locations than allowed: sum_g z <= most,
    for each w, t. Where it is set up at least its share of the work is done: sum_b h (...) >= least x sum_b h D x z,
    for each w, g, t, s; against its mean month for work that can wait.
    """
    for w in p.scenario.workloads:
        places = _places(p, w)
        for t in p.period if places else ():
            if w.max_locations is not None:
                p.add("presence", (w.name, t), AT_MOST, [(p.z[w.name, g, t], 1.0) for g in places], w.max_locations)
            for g in places:
                for s in p.courses:
                    _presence_at(p, w, g, t, s)


def _presence_at(p: Program, w: Workload, place: str, t: int, s: int) -> None:
    here = p.z[w.name, place, t]
    done: Parts = []
    for b in p.blocks:
        found = p.serving.get((w.name, t, b, s), ())
        at: Parts = [(variable, 1.0) for o, variable in found if terms.location(o) == place]
        done += [(variable, p.hours(b)) for variable, _ in at]
        if at:
            bound = p.demand(w, t, b, s) if w.window_months is None else _crowded(p, w, b)
            p.add("presence", (w.name, place, t, b, s), AT_MOST, [*at, (here, -bound)], 0.0)
    if w.least_share_ratio:
        if w.window_months is None:
            amount = sum(p.hours(b) * p.demand(w, t, b, s) for b in p.blocks)
        else:
            window = next(v for v in terms.windows(p.scenario, w) if t in v)
            amount = p.amount(w, window, s) / len(window)
        p.add("presence", (w.name, place, t, s), AT_LEAST, [*done, (here, -float(w.least_share_ratio) * amount)], 0.0)


def _crowded(p: Program, w: Workload, block: int) -> float:
    """The rate, in shares of the peak, that does a whole window's work within one load block of one month."""
    assert w.window_months is not None
    return w.window_months * float(terms.HOURS_PER_MONTH) / p.hours(block)


def move(p: Program) -> None:
    """A workload is set up anew only by a move from where it was: sum_f move[w,f,g,t] >= z[w,g,t] - z[w,g,t-1].

    And move[w,f,g,t] <= z[w,f,t-1]; z[w,g,-1] is where it runs today; without a today it starts where it likes.
    """
    for w in p.scenario.workloads:
        if w.moving is None:
            continue
        places = _places(p, w)
        today = None if w.today is None else terms.location(p.scenario.option(w.today))
        before: dict[str, Parts] | None = None
        for t in p.period:
            now = {g: [(p.z[w.name, g, t], 1.0)] for g in places}
            if before is None and today is None:
                before = now
                continue
            for g in places:
                was, held = (before[g], 0.0) if before else ([], float(g == today))
                arriving: Parts = [(p.move[w.name, f, g, t], 1.0) for f in places if f != g]
                leaving: Parts = [(p.move[w.name, g, f, t], 1.0) for f in places if f != g]
                p.add("move", (w.name, g, t), AT_LEAST, [*arriving, *was, *_minus(now[g])], -held)
                for f, (moved, _) in zip((f for f in places if f != g), leaving, strict=True):
                    p.add("move", (w.name, g, f, t), AT_MOST, [(moved, 1.0), *_minus(was)], held)
            before = now


def _minus(parts: Parts) -> Parts:
    return [(variable, -amount) for variable, amount in parts]


def _places(p: Program, w: Workload) -> list[str]:
    return list(dict.fromkeys(place for name, place, _ in p.z if name == w.name))
