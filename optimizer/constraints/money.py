"""Constraints on money: who gets it, how much of it in a year, and how bad it may come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optimizer import terms
from optimizer.constraints.sense import AT_MOST, Parts
from optimizer.options import Server

if TYPE_CHECKING:
    from optimizer.program import Program


def provider_share(p: Program) -> None:
    """A provider has no more than a share of each month's amortised cost, in each demand scenario.

    cost[p] <= share x sum_q cost[q]; cost is pay-as-you-go use less what commitments cover of it, what was promised,
    running cost, and the month's part of purchases.
    """
    for provider, ratio in p.scenario.rules.provider_share_ratio.items():
        for t in p.months:
            owned, owned_fixed = _amortised(p, t, provider, float(ratio))
            for s in p.courses:
                use: Parts = []
                for o in p.scenario.pay_as_you_go:
                    weight = _weight(o.provider, provider, float(ratio)) * p.price(o, t)
                    for b in p.blocks:
                        use += [(x, weight * p.hours(b) * used) for x, used in p.use(o, t, b, s)]
                        use += [
                            (e, -weight * p.hours(b))
                            for j in p.scenario.spend_commitments
                            if (e := p.e.get((j.name, o.name, p.start[t], b, s))) is not None
                        ]
                if use or owned or owned_fixed > 0:  # what stood before may be too much by itself
                    p.add("provider_share", (provider, t, s), AT_MOST, use + owned, -owned_fixed)


def budget(p: Program) -> None:
    """Cash of a year stays within its budget, undiscounted, in each demand scenario or in expectation.

    sum_{t in year} (sum h c (x - e) + sum F y + sum m active + sum H promised + sum E move) <= budget.
    """
    limits = p.scenario.rules.budget_per_year
    if not limits:
        return
    expected = p.scenario.rules.budget_holds_in == "expectation"
    for year, months in enumerate(p.years):
        limit = float(limits[min(year, len(limits) - 1)])
        owned: Parts = []
        for t in months:
            cash, standing = p.fixed_cash(t)
            owned += cash
            limit -= standing
        use = {s: p.use_cost(months, s) for s in p.courses}
        if expected:
            mean = [(x, p.probability(s) * cost) for s in p.courses for x, cost in use[s]]
            p.add("budget", (year,), AT_MOST, mean + owned, limit)
        else:
            for s in p.courses:
                p.add("budget", (year, s), AT_MOST, use[s] + owned, limit)


def capex_budget(p: Program) -> None:
    """Purchases of servers in a year stay within their budget: sum_{t in year} F y <= capex budget."""
    limits = p.scenario.rules.capex_budget_per_year
    for year, months in enumerate(p.years if limits else ()):
        bought = [
            (y, float(terms.purchase_price(k, t)))
            for k in p.scenario.blocks
            if isinstance(k, Server)
            for t, y in p.purchases(k)
            if t in months
        ]
        if bought:
            p.add("capex_budget", (year,), AT_MOST, bought, float(limits[min(year, len(limits) - 1)]))


def cvar(p: Program) -> None:
    """How far a demand scenario costs more than the threshold of the costliest share: xi >= cost - eta, for each s."""
    if p.eta is None:
        return
    fixed, constant = p.first_stage_cost()
    for s in p.courses:
        parts = [*fixed, *p.course_cost(s), (p.eta, -1.0), (p.xi[s], -1.0)]
        p.add("cvar", (s,), AT_MOST, parts, -constant)


def _weight(owner: str, provider: str, ratio: float) -> float:
    return (1.0 if owner == provider else 0.0) - ratio


def _amortised(p: Program, month: int, provider: str, ratio: float) -> tuple[Parts, float]:
    """The weighted cost of blocks and commitments in a month, as terms and a constant."""
    parts: Parts = []
    fixed = 0.0
    for k in p.scenario.blocks:
        weight = _weight(k.provider, provider, ratio)
        parts += [
            (y, weight * float(terms.amortised_cost(k, bought, month)))
            for bought, y in p.purchases(k)
            if terms.serves(k, bought, month)
        ]
        fixed += weight * terms.standing(k, month) * float(terms.running_cost(k, -1, month))
    for j in p.scenario.spend_commitments:
        weight = _weight(j.provider, provider, ratio) * float(terms.HOURS_PER_MONTH)
        promised, before = p.promised(j, month)
        parts += [(q, weight) for q, _ in promised]
        fixed += weight * before
    return parts, fixed
