"""Verifies a plan without the program that made it: every rule is evaluated again and the cost is summed again.

Nothing here may import the solver or the program; a test holds that. Findings are data: a plan without findings keeps
every rule of its scenario and costs what it says.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from optimizer import policies, terms
from optimizer.options import Block, Metered, Option, Rented, Reservation, Server
from optimizer.plan import Plan
from optimizer.scenario import Scenario, Workload

TOLERANCE = Decimal("1e-6")
"""How far, as a ratio, a float solver may miss an equation."""
LINE = Decimal("1e-6")
"""What a line of cost is rounded to."""


@dataclass(frozen=True)
class Finding:
    """One rule that a plan breaks, where, and by what."""

    rule: str
    subject: str
    found: str
    expected: str

    @property
    def message(self) -> str:
        """The finding in one line."""
        return f"{self.rule} ({self.subject}): found {self.found}, expected {self.expected}"


@dataclass
class _View:
    """A plan with its capacities summed by what the rules ask about."""

    scenario: Scenario
    plan: Plan
    options: dict[str, Option] = field(default_factory=dict)
    used: defaultdict[tuple[str, int, int, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Capacity by option, month, load block, demand scenario."""
    work: defaultdict[tuple[str, str, int, int, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Units per hour by workload, option, month, load block, demand scenario."""

    def __post_init__(self) -> None:
        self.options = {o.name: o for o in self.scenario.options}
        for u in self.plan.uses:
            option, workload = self.options[u.option], self.scenario.workload(u.workload)
            self.used[u.option, u.month, u.block, u.course] += u.capacity
            rate = terms.throughput(workload, option) or Decimal(0)
            if isinstance(option, Rented):
                rate *= option.utilisation_ceiling_ratio * (1 - option.interruption_ratio)
            self.work[u.workload, u.option, u.month, u.block, u.course] += rate * u.capacity

    @property
    def slots(self) -> Iterator[tuple[int, int, int]]:
        """Every month, load block and demand scenario."""
        s = self.scenario
        for t in range(s.horizon_months):
            for b in range(len(s.load_blocks)):
                for course in range(len(s.demand_scenarios)):
                    yield t, b, course

    def active(self, name: str, month: int) -> int:
        """Blocks of an option that stand in a month."""
        option = self.options[name]
        assert isinstance(option, Reservation | Server)
        life = option.term_months if isinstance(option, Reservation) else option.life_months
        before = option.standing if month < option.standing_months_left else 0
        return before + sum(
            p.count
            for p in self.plan.purchases
            if p.option == name and 0 <= month - p.month - option.lead_time_months < life
        )

    def held(self, name: str, month: int) -> int:
        """Servers held spare."""
        return sum(s.count for s in self.plan.spares if (s.option, s.month) == (name, month))

    def month(self, month: int) -> str:
        """Its name."""
        return terms.month_name(self.scenario, month)


def findings(scenario: Scenario, plan: Plan) -> list[Finding]:
    """Everything that is wrong with a plan; empty when it holds."""
    names = {o.name for o in scenario.options}
    stray = {u.option for u in plan.uses} | {p.option for p in plan.purchases} | {s.option for s in plan.spares}
    if stray - names or {u.workload for u in plan.uses} - {w.name for w in scenario.workloads}:
        return [
            Finding("known", ", ".join(sorted(stray - names)) or "workloads", "unknown names", "names of the scenario")
        ]
    view = _View(scenario, plan)
    rules = (
        _pairs, _bought, _serve, _deliver, _block_capacity, _spare, _on_prem_power, _quota, _spot_share,
        _provider_share, _budget, _capex_budget, _cost,
    )  # fmt: skip
    # with half a server, or a month before the first, the other rules cannot be evaluated
    impossible = list(_amounts(view))
    return impossible or [finding for rule in rules for finding in rule(view)]


def _over(value: Decimal, limit: Decimal, scale: Decimal = Decimal(0)) -> bool:
    return value > limit + TOLERANCE * max(abs(limit), scale)


def _amounts(v: _View) -> Iterator[Finding]:
    for u in v.plan.uses:
        if u.capacity < 0 or not 0 <= u.month < v.scenario.horizon_months:
            yield Finding(
                "amounts", f"{u.workload} on {u.option}", f"{u.capacity} in month {u.month}", "within the horizon, >= 0"
            )
    counted = [(p.option, p.month, p.count) for p in v.plan.purchases]
    counted += [(s.option, s.month, s.count) for s in v.plan.spares]
    for option, month, count in counted:
        if count < 0 or count != int(count) or not 0 <= month < v.scenario.horizon_months:
            yield Finding("amounts", option, f"{count} in month {month}", "whole blocks within the horizon")


def _pairs(v: _View) -> Iterator[Finding]:
    policy = policies.POLICIES[v.plan.policy]
    allowed = frozenset(
        (w.name, o.name) for w in v.scenario.workloads for o in v.scenario.options if _objection(w, o) is None
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
    if w.allowed_accelerators and o.accelerator not in w.allowed_accelerators:
        return f"{w.allowed_accelerators}, not {o.accelerator}"
    if w.accelerator_memory_gib > (o.accelerator_memory_gib or Decimal(0)) * o.accelerator_count:
        return f"{w.accelerator_memory_gib} GiB of accelerator memory"
    if o.kind == "spot" and not w.interruptible:
        return "capacity that is not taken back"
    return None if terms.throughput(w, o) else "a stated throughput"


def _bought(v: _View) -> Iterator[Finding]:
    for p in v.plan.purchases:
        option = v.options[p.option]
        if not isinstance(option, Reservation | Server):
            yield Finding("bought", p.option, "a purchase", "a block; this is paid as it is used")
        elif option.kind != "monthly" and p.month % v.scenario.purchase_every_months:
            yield Finding("bought", p.option, v.month(p.month), f"every {v.scenario.purchase_every_months} months")
        elif option.available_from is not None and v.month(p.month) < option.available_from:
            yield Finding("bought", p.option, v.month(p.month), f"from {option.available_from}")


def _peak(v: _View, w: Workload) -> Decimal:
    """The highest demand of a workload, units per hour."""
    s = v.scenario
    months = max(terms.demand_of_month(w, t) for t in range(s.horizon_months)) / terms.HOURS_PER_MONTH
    return months * max(b.demand_ratio for b in s.load_blocks) * max(c.demand_ratio for c in s.demand_scenarios)


def _serve(v: _View) -> Iterator[Finding]:
    s = v.scenario
    for w in s.workloads:
        if w.window_months is not None:
            continue
        peak = _peak(v, w)
        for t, b, course in v.slots:
            mean = terms.demand_of_month(w, t) / terms.HOURS_PER_MONTH
            need = mean * s.load_blocks[b].demand_ratio * s.demand_scenarios[course].demand_ratio
            served = sum((v.work[w.name, o, t, b, course] for o in v.options), Decimal(0))
            if _over(served, need, peak) or _over(need, served, peak):
                yield Finding("serve", f"{w.name} in {v.month(t)}", f"{served:f} {w.unit} per hour", f"{need:f}")


def _deliver(v: _View) -> Iterator[Finding]:
    for w in v.scenario.workloads:
        peak = _peak(v, w) * terms.HOURS_PER_MONTH
        for start, months, course, done in _windows(v, w, spot=False):
            need = sum((terms.demand_of_month(w, t) for t in months), Decimal(0))
            need *= v.scenario.demand_scenarios[course].demand_ratio
            if _over(done, need, peak) or _over(need, done, peak):
                yield Finding("deliver", f"{w.name} from {v.month(start)}", f"{done:f} {w.unit}", f"{need:f}")


def _windows(v: _View, w: Workload, *, spot: bool) -> Iterator[tuple[int, range, int, Decimal]]:
    """Each window of work that can wait, with the units done in it."""
    length, end = w.window_months, v.scenario.horizon_months
    for start in range(0, end, length) if length else ():
        months = range(start, min(start + (length or 0), end))
        for course in range(len(v.scenario.demand_scenarios)):
            done = sum(
                (
                    v.work[w.name, o.name, t, b, course] * block.hours_ratio * terms.HOURS_PER_MONTH
                    for o in v.scenario.options
                    if not spot or o.kind == "spot"
                    for t in months
                    for b, block in enumerate(v.scenario.load_blocks)
                ),
                Decimal(0),
            )
            yield start, months, course, done


def _blocks(v: _View) -> Iterator[Block]:
    return (o for o in v.options.values() if isinstance(o, Reservation | Server))


def _block_capacity(v: _View) -> Iterator[Finding]:
    for k in _blocks(v):
        for t, b, course in v.slots:
            limit = k.utilisation_ceiling_ratio * (v.active(k.name, t) - v.held(k.name, t))
            if _over(v.used[k.name, t, b, course], limit, Decimal(1)):
                yield Finding(
                    "block_capacity", f"{k.name} in {v.month(t)}", f"{v.used[k.name, t, b, course]}", f"<= {limit}"
                )


def _spare(v: _View) -> Iterator[Finding]:
    for site in v.scenario.sites:
        servers = [k for k in _blocks(v) if isinstance(k, Server) and k.site == site.name]
        for t in range(v.scenario.horizon_months):
            held = sum(v.held(k.name, t) for k in servers)
            if any(v.active(k.name, t) for k in servers) and held < site.spare:
                yield Finding("spare", f"{site.name} in {v.month(t)}", f"{held} held spare", f">= {site.spare}")


def _on_prem_power(v: _View) -> Iterator[Finding]:
    for site in v.scenario.sites:
        for t in range(v.scenario.horizon_months) if site.power_limit_kw else ():
            drawn = sum(
                (
                    v.active(k.name, t) * k.power_kw * k.pue
                    for k in _blocks(v)
                    if isinstance(k, Server) and k.site == site.name
                ),
                Decimal(0),
            )
            if _over(drawn, site.power_limit_kw or Decimal(0)):
                yield Finding(
                    "on_prem_power", f"{site.name} in {v.month(t)}", f"{drawn} kW", f"<= {site.power_limit_kw}"
                )


def _quota(v: _View) -> Iterator[Finding]:
    for o in v.options.values():
        for t, b, course in v.slots if o.quota is not None else ():
            had = Decimal(v.active(o.name, t)) if isinstance(o, Reservation | Server) else v.used[o.name, t, b, course]
            if _over(had, o.quota or Decimal(0)):
                yield Finding("quota", f"{o.name} in {v.month(t)}", f"{had}", f"<= {o.quota}")


def _spot_share(v: _View) -> Iterator[Finding]:
    s = v.scenario
    for w in s.workloads:
        if w.spot_share_ratio is None:
            continue
        for start, months, course, done in _windows(v, w, spot=True):
            amount = sum((terms.demand_of_month(w, t) for t in months), Decimal(0))
            limit = w.spot_share_ratio * amount * s.demand_scenarios[course].demand_ratio
            if _over(done, limit, amount):
                yield Finding("spot_share", f"{w.name} from {v.month(start)}", f"{done:f} on spot", f"<= {limit:f}")
        for t, b, course in v.slots if w.window_months is None else ():
            need = terms.demand_of_month(w, t) / terms.HOURS_PER_MONTH * s.load_blocks[b].demand_ratio
            limit = w.spot_share_ratio * need * s.demand_scenarios[course].demand_ratio
            spot = sum((v.work[w.name, o.name, t, b, course] for o in s.options if o.kind == "spot"), Decimal(0))
            if _over(spot, limit, need):
                yield Finding("spot_share", f"{w.name} in {v.month(t)}", f"{spot:f} on spot", f"<= {limit:f}")


def _use_cash(v: _View, month: int, course: int, provider: str | None = None) -> Decimal:
    """Cash for pay-as-you-go use in a month under one demand scenario."""
    return sum(
        (
            v.used[o.name, month, b, course]
            * block.hours_ratio
            * terms.HOURS_PER_MONTH
            * o.price.amount
            * (1 + o.price_change_ratio_per_year) ** (month // 12)
            for o in v.scenario.options
            if isinstance(o, Rented | Metered) and provider in (None, o.provider)
            for b, block in enumerate(v.scenario.load_blocks)
        ),
        Decimal(0),
    )


def _cohorts(v: _View) -> Iterator[tuple[Block, int, int, range]]:
    """Blocks bought together: option, month bought (-1: before the horizon), count, months in which they stand."""
    for k in _blocks(v):
        if k.standing:
            yield k, -1, k.standing, range(min(k.standing_months_left, v.scenario.horizon_months))
    for p in v.plan.purchases:
        option = v.options[p.option]
        if isinstance(option, Reservation | Server):
            arrives = p.month + option.lead_time_months
            life = option.term_months if isinstance(option, Reservation) else option.life_months
            yield option, p.month, p.count, range(arrives, min(arrives + life, v.scenario.horizon_months))


def _provider_share(v: _View) -> Iterator[Finding]:
    for provider, ratio in v.scenario.rules.provider_share_ratio.items():
        for t in range(v.scenario.horizon_months):
            owned = {k.provider: Decimal(0) for k in _blocks(v)}
            for k, bought, count, months in _cohorts(v):
                if t in months:
                    owned[k.provider] += count * terms.amortised_cost(k, bought, t)
            for course in range(len(v.scenario.demand_scenarios)):
                total = _use_cash(v, t, course) + sum(owned.values())
                mine = _use_cash(v, t, course, provider) + owned.get(provider, Decimal(0))
                if _over(mine, ratio * total, total):
                    yield Finding(
                        "provider_share", f"{provider} in {v.month(t)}", f"{mine:.2f}", f"<= {ratio * total:.2f}"
                    )


def _year_cash(v: _View, year: range, course: int) -> Decimal:
    return sum((_use_cash(v, t, course) for t in year), Decimal(0)) + sum(
        (
            count * (terms.running_cost(k, bought, t) if t in months else 0)
            + count * (terms.purchase_price(k, bought) if bought == t else 0)
            for k, bought, count, months in _cohorts(v)
            for t in year
        ),
        Decimal(0),
    )


def _budget(v: _View) -> Iterator[Finding]:
    limits, end = v.scenario.rules.budget_per_year, v.scenario.horizon_months
    for number, start in enumerate(range(0, end, 12) if limits else ()):
        year, limit = range(start, min(start + 12, end)), limits[min(number, len(limits) - 1)]
        cash = [_year_cash(v, year, course) for course in range(len(v.scenario.demand_scenarios))]
        if v.scenario.rules.budget_holds_in == "expectation":
            courses = v.scenario.demand_scenarios
            cash = [sum((c.probability * amount for c, amount in zip(courses, cash, strict=True)), Decimal(0))]
        if _over(max(cash), limit):
            yield Finding("budget", f"year {number + 1}", f"{max(cash):.2f}", f"<= {limit}")


def _capex_budget(v: _View) -> Iterator[Finding]:
    limits, end = v.scenario.rules.capex_budget_per_year, v.scenario.horizon_months
    for number, start in enumerate(range(0, end, 12) if limits else ()):
        limit = limits[min(number, len(limits) - 1)]
        spent = sum(
            (
                count * terms.purchase_price(k, bought)
                for k, bought, count, _ in _cohorts(v)
                if isinstance(k, Server) and start <= bought < start + 12
            ),
            Decimal(0),
        )
        if _over(spent, limit):
            yield Finding("capex_budget", f"year {number + 1}", f"{spent:.2f}", f"<= {limit}")


def _cost(v: _View) -> Iterator[Finding]:
    running: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
    bought_for: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
    closing = Decimal(0)
    s = v.scenario
    for u in v.plan.uses:
        o = v.options[u.option]
        if isinstance(o, Rented | Metered):
            weight = (
                s.demand_scenarios[u.course].probability * s.load_blocks[u.block].hours_ratio * terms.HOURS_PER_MONTH
            )
            price = o.price.amount * (1 + o.price_change_ratio_per_year) ** (u.month // 12)
            running[u.option, u.month] += weight * price * u.capacity
    for k, bought, count, months in _cohorts(v):
        for t in months:
            running[k.name, t] += count * terms.running_cost(k, bought, t)
        if bought >= 0:
            bought_for[k.name, bought] += count * terms.purchase_price(k, bought)
            factor = terms.closing_factor(s, terms.closing_month(s, k, bought))
            closing += count * terms.closing_value(s, k, bought) * factor
    stated = {(line.option, line.month): line for line in v.plan.lines}
    for key in sorted({*running, *bought_for, *stated}):
        line = stated.get(key)
        found = (line.running, line.purchases) if line else (Decimal(0), Decimal(0))
        expected = (running[key], bought_for[key])
        if any(abs(f - e) > LINE for f, e in zip(found, expected, strict=True)):
            yield Finding(
                "cost", f"{key[0]} in {v.month(key[1])}", f"{found[0]} + {found[1]}", f"{expected[0]} + {expected[1]}"
            )
    if len(stated) != len(v.plan.lines):
        yield Finding("cost", "lines", "an option and month twice", "one line for each")
    dated = [(t, amount) for sums in (running, bought_for) for (_, t), amount in sums.items()]
    cash = sum((amount * terms.discount_factor(s, t) for t, amount in dated), Decimal(0))
    slack = LINE * (2 * len(stated) + 2)
    if abs(v.plan.closing_value - closing) > LINE:
        yield Finding("cost", "closing value", f"{v.plan.closing_value}", f"{closing:f}")
    if abs(v.plan.cost - (cash - closing)) > slack:
        yield Finding("cost", "total", f"{v.plan.cost}", f"{cash - closing:f}")
    if abs(Decimal(v.plan.objective) - v.plan.cost) > TOLERANCE * max(cash + abs(closing), Decimal(1)) + slack:
        yield Finding("cost", "objective", f"{v.plan.objective}", f"{v.plan.cost}: what the schedule costs")
