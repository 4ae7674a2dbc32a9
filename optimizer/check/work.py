"""Whether the work is done, and only where the rules allow it."""

from collections.abc import Iterator
from decimal import Decimal

from optimizer import policies, terms
from optimizer.check.view import Finding, View, over
from optimizer.options import Metered, Option
from optimizer.scenario import Workload


def pairs(v: View) -> Iterator[Finding]:
    policy = policies.POLICIES[v.plan.policy]
    allowed = frozenset(
        (w.name, o.name)
        for w in v.scenario.workloads
        for o in v.scenario.options
        if _objection(w, o) is None and (not v.scenario.rules.carbon_kg_per_month or terms.kg_is_stated(o))
    )
    exempt = policies.exempt(v.scenario, policy, allowed)
    bridge = {w.name: policies.bridge_until(v.scenario, policy, w, allowed) for w in v.scenario.workloads}
    for name, option_name, month in sorted({(u.workload, u.option, u.month) for u in v.plan.uses}):
        workload, option = v.scenario.workload(name), v.options[option_name]
        objection = _objection(workload, option)
        if objection is None and option.available_from is not None and v.month(month) < option.available_from:
            objection = f"offered from {option.available_from}"
        early = month < bridge[name] and policies.bridges(workload, option)
        if objection is None and not early and not policies.follows(policy, workload, option, exempt):
            objection = f"an option of the policy {policy.name}"
        if objection is not None:
            yield Finding("forbidden", f"{name} on {option_name} in {v.month(month)}", "in use", objection)


def _objection(w: Workload, o: Option) -> str | None:
    """What the workload asks of an option that this one does not give."""
    if o.workloads and w.name not in o.workloads:
        return f"only {o.workloads}"
    if w.residency and (o.country is None or o.country not in w.countries):
        return f"data in {w.residency}, not in {o.country}"
    if w.max_latency_ms is not None and (o.latency_ms is None or o.latency_ms > w.max_latency_ms):
        return f"at most {w.max_latency_ms} ms, not {o.latency_ms}"
    if w.allowed_hosting and o.hosting not in w.allowed_hosting:
        return f"hosting {w.allowed_hosting}, not {o.hosting}"
    if isinstance(o, Metered):
        return None if o.unit == w.unit else f"paid per {w.unit}, not per {o.unit}"
    if o.hosting != "api" and w.allowed_accelerators and o.accelerator not in w.allowed_accelerators:
        return f"{w.allowed_accelerators}, not {o.accelerator}"
    if o.hosting != "api" and w.accelerator_memory_gib > (o.accelerator_memory_gib or Decimal(0)) * o.accelerator_count:
        return f"{w.accelerator_memory_gib} GiB of accelerator memory"
    if o.kind == "spot" and not w.interruptible:
        return "capacity that is not taken back"
    return None if terms.throughput(w, o) else "a stated throughput"


def _peak(v: View, w: Workload) -> Decimal:
    """The highest demand of a workload, units per hour."""
    return max(_need(v, w, *slot) for slot in v.slots)


def _need(v: View, w: Workload, t: int, b: int, course: int) -> Decimal:
    """Units per hour that a workload needs in a load block of a month under a demand scenario."""
    return _amount(v, w, range(t, t + 1), course) / terms.HOURS_PER_MONTH * terms.block_ratio(v.scenario, w, b)


def _amount(v: View, w: Workload, months: range, course: int) -> Decimal:
    """Units that a workload needs in some months under a demand scenario."""
    needs = (terms.demand_of_month(w, t) * terms.course_ratio(v.scenario, w, t, course) for t in months)
    return sum(needs, Decimal(0))


def serve(v: View) -> Iterator[Finding]:
    s = v.scenario
    for w in s.workloads:
        if w.window_months is not None:
            continue
        peak = _peak(v, w)
        for t, b, course in v.slots:
            need = _need(v, w, t, b, course)
            served = v.served[w.name, t, b, course]
            if over(served, need, peak) or over(need, served, peak):
                yield Finding("serve", f"{w.name} in {v.month(t)}", f"{served:f} {w.unit} per hour", f"{need:f}")


def deliver(v: View) -> Iterator[Finding]:
    for w in v.scenario.workloads:
        peak = _peak(v, w) * terms.HOURS_PER_MONTH
        for start, months, course, done in _windows(v, w, spot=False):
            need = _amount(v, w, months, course)
            if over(done, need, peak) or over(need, done, peak):
                yield Finding("deliver", f"{w.name} from {v.month(start)}", f"{done:f} {w.unit}", f"{need:f}")


def _windows(v: View, w: Workload, *, spot: bool) -> Iterator[tuple[int, range, int, Decimal]]:
    """Each window of work that can wait, with the units done in it."""
    length, end = w.window_months, v.scenario.horizon_months
    for start in range(0, end, length) if length else ():
        months = range(start, min(start + (length or 0), end))
        for course in range(len(v.scenario.demand_scenarios)):
            done = sum(
                (
                    (v.on_spot if spot else v.served)[w.name, t, b, course] * block.hours_ratio * terms.HOURS_PER_MONTH
                    for t in months
                    for b, block in enumerate(v.scenario.load_blocks)
                ),
                Decimal(0),
            )
            yield start, months, course, done


def spot_share(v: View) -> Iterator[Finding]:
    s = v.scenario
    for w in s.workloads:
        if w.spot_share_ratio is None:
            continue
        for start, months, course, done in _windows(v, w, spot=True):
            amount = _amount(v, w, months, course)
            limit = w.spot_share_ratio * amount
            if over(done, limit, amount):
                yield Finding("spot_share", f"{w.name} from {v.month(start)}", f"{done:f} on spot", f"<= {limit:f}")
        for t, b, course in v.slots if w.window_months is None else ():
            need = _need(v, w, t, b, course)
            limit = w.spot_share_ratio * need
            spot = v.on_spot[w.name, t, b, course]
            if over(spot, limit, need):
                yield Finding("spot_share", f"{w.name} in {v.month(t)}", f"{spot:f} on spot", f"<= {limit:f}")
