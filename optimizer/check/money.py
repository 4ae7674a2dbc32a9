"""Whether the plan costs what it says, and keeps to budgets and shares."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from optimizer import terms
from optimizer.check.view import LINE, TOLERANCE, Finding, View, blocks, cohorts, over
from optimizer.options import Metered, Rented, Server


def _use_cash(v: View, month: int, course: int, provider: str | None = None) -> Decimal:
    """Cash for pay-as-you-go use in a month under one demand scenario."""
    return sum(
        (
            (v.used[o.name, month, b, course] - v.covered[o.name, month, b, course])
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


def provider_share(v: View) -> Iterator[Finding]:
    for provider, ratio in v.scenario.rules.provider_share_ratio.items():
        for t in range(v.scenario.horizon_months):
            owned = {k.provider: Decimal(0) for k in blocks(v)}
            for k, bought, count, months in cohorts(v):
                if t in months:
                    owned[k.provider] += count * terms.amortised_cost(k, bought, t)
            for j in v.scenario.spend_commitments:
                paid = v.promised(j, t) * terms.HOURS_PER_MONTH
                owned[j.provider] = owned.get(j.provider, Decimal(0)) + paid
            for course in v.courses:
                total = _use_cash(v, t, course) + sum(owned.values())
                mine = _use_cash(v, t, course, provider) + owned.get(provider, Decimal(0))
                if over(mine, ratio * total, total):
                    yield Finding(
                        "provider_share", f"{provider} in {v.month(t)}", f"{mine:.2f}", f"<= {ratio * total:.2f}"
                    )


def _year_cash(v: View, year: range, course: int) -> Decimal:
    promised = sum((v.promised(j, t) for j in v.scenario.spend_commitments for t in year), Decimal(0))
    moved = sum((m.cost for m in v.plan.moves if m.month in year), Decimal(0))
    used = sum((_use_cash(v, t, course) for t in year), Decimal(0))
    return (
        used
        + promised * terms.HOURS_PER_MONTH
        + moved
        + sum(
            (
                count * (terms.running_cost(k, bought, t) if t in months else 0)
                + count * (terms.purchase_price(k, bought) if bought == t else 0)
                for k, bought, count, months in cohorts(v)
                for t in year
            ),
            Decimal(0),
        )
    )


def budget(v: View) -> Iterator[Finding]:
    limits, end = v.scenario.rules.budget_per_year, v.scenario.horizon_months
    for number, start in enumerate(range(0, end, 12) if limits else ()):
        year, limit = range(start, min(start + 12, end)), limits[min(number, len(limits) - 1)]
        cash = [_year_cash(v, year, course) for course in range(len(v.scenario.demand_scenarios))]
        if v.scenario.rules.budget_holds_in == "expectation":
            courses = v.scenario.demand_scenarios
            cash = [sum((c.probability * amount for c, amount in zip(courses, cash, strict=True)), Decimal(0))]
        if over(max(cash), limit):
            yield Finding("budget", f"year {number + 1}", f"{max(cash):.2f}", f"<= {limit}")


def capex_budget(v: View) -> Iterator[Finding]:
    limits, end = v.scenario.rules.capex_budget_per_year, v.scenario.horizon_months
    for number, start in enumerate(range(0, end, 12) if limits else ()):
        limit = limits[min(number, len(limits) - 1)]
        spent = sum(
            (
                count * terms.purchase_price(k, bought)
                for k, bought, count, _ in cohorts(v)
                if isinstance(k, Server) and start <= bought < start + 12
            ),
            Decimal(0),
        )
        if over(spent, limit):
            yield Finding("capex_budget", f"year {number + 1}", f"{spent:.2f}", f"<= {limit}")


def cost(v: View) -> Iterator[Finding]:
    """The lines, the total, the cost of each demand scenario and the objective, summed again from the schedule."""
    running: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
    bought_for: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
    used, s = _use_by_course(v), v.scenario
    for (name, t, course), amount in used.items():
        running[name, t] += s.demand_scenarios[course].probability * amount
    for k, bought, count, months in cohorts(v):
        for t in months:
            running[k.name, t] += count * terms.running_cost(k, bought, t)
        if bought >= 0:
            bought_for[k.name, bought] += count * terms.purchase_price(k, bought)
    for j in s.spend_commitments:
        for t in v.months:
            running[j.name, t] += v.promised(j, t) * terms.HOURS_PER_MONTH
    yield from _lines(v, running, bought_for)
    dated = [(t, amount) for sums in (running, bought_for) for (_, t), amount in sums.items()]
    dated += [(m.month, m.cost) for m in v.plan.moves]
    cash = sum((amount * terms.discount_factor(s, t) for t, amount in dated), Decimal(0))
    closing = _closing_value(v)
    slack = LINE * (2 * len(v.plan.lines) + 2)
    if abs(v.plan.closing_value - closing) > LINE:
        yield Finding("cost", "closing value", f"{v.plan.closing_value}", f"{closing:f}")
    if abs(v.plan.cost - (cash - closing)) > slack:
        yield Finding("cost", "total", f"{v.plan.cost}", f"{cash - closing:f}")
    mean = sum(
        (s.demand_scenarios[c].probability * a * terms.discount_factor(s, t) for (_, t, c), a in used.items()),
        Decimal(0),
    )
    of_courses = [
        cash
        - mean
        - closing
        + sum((a * terms.discount_factor(s, t) for (_, t, c), a in used.items() if c == course), Decimal(0))
        for course in v.courses
    ]
    if len(v.plan.course_costs) != len(of_courses):
        yield Finding("cost", "demand scenarios", f"{len(v.plan.course_costs)} costs", f"{len(of_courses)}")
    for stated, expected, course in zip(v.plan.course_costs, of_courses, v.courses, strict=False):
        if abs(stated - expected) > slack:
            yield Finding("cost", f"demand scenario {s.demand_scenarios[course].name}", f"{stated}", f"{expected:f}")
    weighted = (1 - s.risk_aversion_ratio) * v.plan.cost + s.risk_aversion_ratio * _tail(v, of_courses)
    if abs(Decimal(v.plan.objective) - weighted) > TOLERANCE * max(cash + abs(closing), Decimal(1)) + slack:
        yield Finding("cost", "objective", f"{v.plan.objective}", f"{weighted}: what the schedule costs")


def _use_by_course(v: View) -> dict[tuple[str, int, int], Decimal]:
    """Cash for pay-as-you-go use, less what commitments cover, by option, month and demand scenario."""
    found: defaultdict[tuple[str, int, int], Decimal] = defaultdict(Decimal)
    for sign, part in ((1, v.plan.uses), (-1, v.plan.covers)):
        for u in part:
            o = v.options[u.option]
            if isinstance(o, Rented | Metered):
                hours = v.scenario.load_blocks[u.block].hours_ratio * terms.HOURS_PER_MONTH
                price = o.price.amount * (1 + o.price_change_ratio_per_year) ** (u.month // 12)
                found[u.option, u.month, u.course] += sign * hours * price * u.capacity
    return found


def _lines(
    v: View, running: Mapping[tuple[str, int], Decimal], bought_for: Mapping[tuple[str, int], Decimal]
) -> Iterator[Finding]:
    stated = {(line.option, line.month): line for line in v.plan.lines}
    for key in sorted({*running, *bought_for, *stated}):
        line = stated.get(key)
        found = (line.running, line.purchases) if line else (Decimal(0), Decimal(0))
        expected = (running.get(key, Decimal(0)), bought_for.get(key, Decimal(0)))
        if any(abs(f - e) > LINE for f, e in zip(found, expected, strict=True)):
            yield Finding(
                "cost", f"{key[0]} in {v.month(key[1])}", f"{found[0]} + {found[1]}", f"{expected[0]} + {expected[1]}"
            )
    if len(stated) != len(v.plan.lines):
        yield Finding("cost", "lines", "an option and month twice", "one line for each")


def _closing_value(v: View) -> Decimal:
    """What is left at the end: the worth of servers, less fees and promises still owed, discounted."""
    s, total = v.scenario, Decimal(0)
    for k, bought, count, _ in cohorts(v):
        if bought >= 0:
            factor = terms.closing_factor(s, terms.closing_month(s, k, bought))
            total += count * terms.closing_value(s, k, bought) * factor
    for p in v.plan.promises:
        months = max(p.month + s.spend_commitment(p.commitment).term_months - s.horizon_months, 0)
        owed = p.money_per_hour * months * terms.HOURS_PER_MONTH
        total -= owed * terms.closing_factor(s, s.horizon_months)
    return total


def _tail(v: View, costs: Sequence[Decimal]) -> Decimal:
    """The least over all thresholds eta of eta + E[max(cost - eta, 0)] / tail; the least is at one of the costs."""
    s = v.scenario

    def at(eta: Decimal) -> Decimal:
        excess = (
            c.probability * max(amount - eta, Decimal(0)) for c, amount in zip(s.demand_scenarios, costs, strict=True)
        )
        return eta + sum(excess, Decimal(0)) / s.risk_tail_ratio

    return min(at(amount) for amount in costs)
