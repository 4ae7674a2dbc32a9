"""Whether emissions stay within their cap, and workloads run where they are set up."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from optimizer import terms
from optimizer.check.view import Finding, View, blocks, over
from optimizer.options import Metered, Rented, Server
from optimizer.scenario import Workload


def carbon(v: View) -> Iterator[Finding]:
    """kg CO2e of each month in each demand scenario."""
    limits = v.scenario.rules.carbon_kg_per_month
    for t in v.months if limits else ():
        limit = limits[min(t, len(limits) - 1)]
        standing = Decimal(0)
        for k in blocks(v):
            drawn = (k.power_kw or Decimal(0)) * k.pue * (k.utilisation_of_power_ratio if isinstance(k, Server) else 1)
            standing += v.active(k.name, t) * drawn * terms.HOURS_PER_MONTH * (k.grid_kg_per_kwh or Decimal(0))
        for course in v.courses:
            emitted = standing
            for b, block in enumerate(v.scenario.load_blocks):
                for o in v.options.values():
                    if isinstance(o, Rented):
                        kwh = (o.power_kw or Decimal(0)) * o.pue
                    elif isinstance(o, Metered):
                        kwh = o.kwh_per_unit or Decimal(0)
                    else:
                        continue
                    hours = block.hours_ratio * terms.HOURS_PER_MONTH
                    emitted += v.used[o.name, t, b, course] * hours * kwh * (o.grid_kg_per_kwh or Decimal(0))
            if over(emitted, limit, Decimal(1)):
                yield Finding("carbon", v.month(t), f"{emitted:.3f} kg", f"<= {limit}")


def presence(v: View) -> Iterator[Finding]:
    """Every location in use is set up, there are not too many, and each does its least share."""
    set_up = {(p.workload, p.location, p.month) for p in v.plan.presences}
    placed = {w.name for w in v.scenario.workloads if terms.has_places(w)}
    done: defaultdict[tuple[str, str, int, int], Decimal] = defaultdict(Decimal)
    for (name, option, t, b, course), rate in v.work.items():
        if name not in placed:
            continue
        hours = v.scenario.load_blocks[b].hours_ratio * terms.HOURS_PER_MONTH
        done[name, terms.location(v.options[option]), t, course] += rate * hours
    for w in v.scenario.workloads:
        if w.name not in placed:
            continue
        used = {
            key[:3]
            for key, units in done.items()
            if key[0] == w.name and over(units, Decimal(0), terms.demand_of_month(w, key[2]))
        }
        for name, place, t in sorted(used - set_up):
            yield Finding("presence", f"{name} at {place} in {v.month(t)}", "in use", "set up there")
        for t in v.months if w.max_locations is not None else ():
            places = [p for name, p, month in set_up if (name, month) == (w.name, t)]
            if len(places) > (w.max_locations or 0):
                yield Finding(
                    "presence", f"{w.name} in {v.month(t)}", ", ".join(sorted(places)), f"<= {w.max_locations}"
                )
        if w.least_share_ratio:
            yield from _least_share(v, w, set_up, done)


def _least_share(
    v: View, w: Workload, set_up: set[tuple[str, str, int]], done: defaultdict[tuple[str, str, int, int], Decimal]
) -> Iterator[Finding]:
    length = w.window_months or 1
    for _, place, t in sorted(key for key in set_up if key[0] == w.name):
        months = range(t // length * length, min((t // length + 1) * length, v.scenario.horizon_months))
        for course in v.courses:
            amounts = (terms.demand_of_month(w, m) * terms.course_ratio(v.scenario, w, m, course) for m in months)
            mean = sum(amounts, Decimal(0)) / len(months)
            units = done[w.name, place, t, course]
            if over(w.least_share_ratio * mean, units, mean):
                expected = f">= {w.least_share_ratio * mean:f}"
                yield Finding("presence", f"{w.name} at {place} in {v.month(t)}", f"{units:f} {w.unit}", expected)


def move(v: View) -> Iterator[Finding]:
    """Each location that is new to a workload was moved to, from where it was the month before, at the stated cost."""
    for w in v.scenario.workloads:
        if w.moving is None:
            continue
        moves = {(m.location, m.month): m for m in v.plan.moves if m.workload == w.name}
        today = None if w.today is None else {terms.location(v.options[w.today])}
        for t in v.months:
            now = {p.location for p in v.plan.presences if (p.workload, p.month) == (w.name, t)}
            for place in sorted(now - today) if today is not None else ():
                if (place, t) not in moves:
                    yield Finding("move", f"{w.name} to {place} in {v.month(t)}", "no move", "a move that is paid")
            for place, made in ((m.location, m) for m in moves.values() if m.month == t):
                if made.origin not in (today or ()):
                    found = f"a move from {made.origin}"
                    yield Finding("move", f"{w.name} to {place} in {v.month(t)}", found, "from where it was")
                expected = terms.moving_cost(v.scenario, w, made.origin)
                if made.cost != expected:
                    yield Finding("move", f"{w.name} to {place} in {v.month(t)}", f"{made.cost}", f"{expected}")
            today = now
