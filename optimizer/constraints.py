"""The constraints, one function each; its name is the same here, in docs/model.md, in the LP and in what a user reads.

Each docstring states the inequality. WORDS says what one row means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pulp import LpConstraintEQ, LpConstraintGE, LpConstraintLE, LpVariable

from optimizer import terms
from optimizer.options import Block, PayAsYouGo, Server
from optimizer.scenario import Workload

if TYPE_CHECKING:
    from optimizer.program import Program

EQUAL, AT_LEAST, AT_MOST = LpConstraintEQ, LpConstraintGE, LpConstraintLE
Parts = list[tuple[LpVariable, float]]


def serve(p: Program) -> None:
    """Steady work is served as it comes: sum_o u r x + sum_k r a = D, for each w, t, b, s."""
    for w in p.scenario.workloads:
        if w.window_months is None and p.has_demand(w):
            for t in p.months:
                for b in p.blocks:
                    for s in p.courses:
                        p.add("serve", (w.name, t, b, s), EQUAL, _work(p, w, t, b, s), p.demand(w, t, b, s))


def deliver(p: Program) -> None:
    """Work that can wait is done within its window: sum_{t,b in v} h[b] (sum_o u r x + sum_k r a) = A.

    For each w, v, s.
    """
    for w in p.scenario.workloads:
        if w.window_months is None or not p.has_demand(w):
            continue
        for v, window in enumerate(terms.windows(p.scenario, w)):
            for s in p.courses:
                done = [(x, p.hours(b)) for t in window for b in p.blocks for x, _ in _work(p, w, t, b, s)]
                p.add("deliver", (w.name, v, s), EQUAL, done, p.amount(w, window, s))


def block_capacity(p: Program) -> None:
    """Blocks carry no more than their planned share: sum_w a <= u (active - held), for each k, t, b, s."""
    for k in p.scenario.blocks:
        u = float(k.utilisation_ceiling_ratio)
        for t in p.months:
            active, standing = p.active(k, t)
            spare = p.held.get((k.name, t))
            for b in p.blocks:
                for s in p.courses:
                    use = _use(p, k, t, b, s)
                    if not use and spare is None:
                        continue
                    idle = [(spare, u)] if spare is not None else []
                    parts = use + idle + [(y, -u * n) for y, n in active]
                    p.add("block_capacity", (k.name, t, b, s), AT_MOST, parts, u * standing)


def spare(p: Program) -> None:
    """An open site keeps spare servers: sum_k held >= spare x open; active <= M x open; for each site, t.

    M is the number of servers that could carry everything that may run on k.
    """
    for site in p.scenario.sites:
        for t in p.months:
            if (site.name, t) not in p.open:
                continue
            is_open = p.open[site.name, t]
            servers = _servers(p, site.name)
            held: Parts = [(p.held[k.name, t], 1.0) for k in servers if (k.name, t) in p.held]
            p.add("spare", (site.name, t), AT_LEAST, [*held, (is_open, -float(site.spare))], 0.0)
            for k in servers:
                active, standing = p.active(k, t)
                if active or standing:
                    most = float(_most_blocks(p, k) + site.spare + standing)
                    p.add(
                        "spare", (site.name, t, k.name), AT_MOST, [*active, (is_open, -float(most))], -float(standing)
                    )


def on_prem_power(p: Program) -> None:
    """A site draws no more than its power: sum_k kW x PUE x active <= limit, for each site, t."""
    for site in p.scenario.sites:
        if site.power_limit_kw is None:
            continue
        for t in p.months:
            parts: Parts = []
            drawn = 0.0
            for k in _servers(p, site.name):
                active, standing = p.active(k, t)
                parts += [(y, n * float(terms.power_kw(k))) for y, n in active]
                drawn += standing * float(terms.power_kw(k))
            if parts or drawn:
                p.add("on_prem_power", (site.name, t), AT_MOST, parts, float(site.power_limit_kw) - drawn)


def quota(p: Program) -> None:
    """No more of an option than can be had: sum_w x <= quota, for each o, t, b, s; active <= quota, for each k, t."""
    for o in p.scenario.pay_as_you_go:
        if o.quota is None:
            continue
        for t in p.months:
            for b in p.blocks:
                for s in p.courses:
                    if use := _use(p, o, t, b, s):
                        p.add("quota", (o.name, t, b, s), AT_MOST, use, float(o.quota))
    for k in p.scenario.blocks:
        if k.quota is None:
            continue
        for t in p.months:
            active, standing = p.active(k, t)
            if active:
                p.add("quota", (k.name, t), AT_MOST, active, float(k.quota) - standing)


def spot_share(p: Program) -> None:
    """Only a share of a workload runs on capacity that can be taken back.

    sum_{o spot} u r x <= share x D, for each w, t, b, s; over the window and against A for work that can wait.
    """
    for w in p.scenario.workloads:
        if w.spot_share_ratio is None:
            continue
        share = float(w.spot_share_ratio)
        for s in p.courses:
            if w.window_months is not None:
                for v, window in enumerate(terms.windows(p.scenario, w)):
                    spot = [
                        (x, p.hours(b)) for t in window for b in p.blocks for x, _ in _work(p, w, t, b, s, spot=True)
                    ]
                    if spot:
                        limit = share * p.amount(w, window, s)
                        p.add("spot_share", (w.name, v, s), AT_MOST, spot, limit)
                continue
            for t in p.months:
                for b in p.blocks:
                    if spot := _work(p, w, t, b, s, spot=True):
                        p.add("spot_share", (w.name, t, b, s), AT_MOST, spot, share * p.demand(w, t, b, s))


def provider_share(p: Program) -> None:
    """A provider has no more than a share of each month's amortised cost, in each demand scenario.

    cost[p] <= share x sum_q cost[q]; cost is pay-as-you-go use, running cost, and the month's part of purchases.
    """
    for provider, ratio in p.scenario.rules.provider_share_ratio.items():
        for t in p.months:
            owned, owned_fixed = _amortised(p, t, provider, float(ratio))
            for s in p.courses:
                use = [
                    (x, _weight(o.provider, provider, float(ratio)) * p.hours(b) * float(terms.unit_price(o, t)) * used)
                    for o in p.scenario.pay_as_you_go
                    for b in p.blocks
                    for x, used in _use(p, o, t, b, s)
                ]
                if use or owned:
                    p.add("provider_share", (provider, t, s), AT_MOST, use + owned, -owned_fixed)


def budget(p: Program) -> None:
    """Cash of a year stays within its budget, undiscounted, in each demand scenario or in expectation.

    sum_{t in year} (sum h c x + sum F y + sum m active) <= budget.
    """
    limits = p.scenario.rules.budget_per_year
    if not limits:
        return
    expected = p.scenario.rules.budget_holds_in == "expectation"
    for year, months in enumerate(p.years):
        limit = float(limits[min(year, len(limits) - 1)])
        owned: Parts = []
        for t in months:
            cash, standing = p.block_cash(t)
            owned += cash
            limit -= standing
        use = {s: [part for t in months for part in p.use_cost(t, s)] for s in p.courses}
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


CONSTRAINTS: tuple[Callable[[Program], None], ...] = (
    serve, deliver, block_capacity, spare, on_prem_power, quota, spot_share, provider_share, budget, capex_budget,
)  # fmt: skip


def _work(p: Program, w: Workload, t: int, b: int, s: int, *, spot: bool = False) -> Parts:
    """What a workload gets from each option, u r x and r a, in shares of its peak."""
    return [
        (variable, 1.0)
        for o in p.scenario.options
        if not spot or o.kind == "spot"
        for family in (p.x, p.a)
        if (variable := family.get((w.name, o.name, t, b, s))) is not None
    ]


def _use(p: Program, option: PayAsYouGo | Block, t: int, b: int, s: int) -> Parts:
    """The capacity of an option that the workloads use."""
    return [
        (variable, p.capacity(w, option))
        for w in p.scenario.workloads
        for family in (p.x, p.a)
        if (variable := family.get((w.name, option.name, t, b, s))) is not None
    ]


def _servers(p: Program, site: str) -> list[Server]:
    return [k for k in p.scenario.blocks if isinstance(k, Server) and k.site == site]


def _most_blocks(p: Program, option: Block) -> int:
    """Blocks that would carry all that may run on them; work that can wait may crowd into the shortest load block."""
    month = float(terms.HOURS_PER_MONTH)
    shortest = min(p.hours(b) for b in p.blocks)
    blocks = 0.0
    for w in p.scenario.workloads:
        if (w.name, option.name) in p.pairs:
            crowded = 1.0 if w.window_months is None else w.window_months * month / shortest
            blocks += p.capacity(w, option) * crowded / float(option.utilisation_ceiling_ratio)
    return int(blocks) + 1


def _weight(owner: str, provider: str, ratio: float) -> float:
    return (1.0 if owner == provider else 0.0) - ratio


def _amortised(p: Program, month: int, provider: str, ratio: float) -> tuple[Parts, float]:
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
    return parts, fixed
