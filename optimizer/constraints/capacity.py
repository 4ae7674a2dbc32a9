"""Constraints on capacity: blocks and their sites, spend commitments, and the limits of what can be had."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from optimizer import terms
from optimizer.constraints.sense import AT_LEAST, AT_MOST, Parts
from optimizer.options import Block, Metered, Server

if TYPE_CHECKING:
    from optimizer.program import Program

MINUTES_PER_HOUR = 60


def block_capacity(p: Program) -> None:
    """Blocks carry no more than their planned share: sum_w a <= u (active - held), for each k, t, b, s."""
    for k in p.scenario.blocks:
        u = float(k.utilisation_ceiling_ratio)
        stock = [p.active(k, t) for t in p.months]
        for t, (active, standing) in enumerate(stock):
            held = p.held.get((k.name, t))
            courses = [s for s in p.courses if not _is_within_another(p, k, t, s, stock)]
            for b in p.blocks:
                for s in courses:
                    use = p.use(k, t, b, s)
                    if not use and held is None:
                        continue
                    idle = [(held, u)] if held is not None else []
                    parts = use + idle + [(y, -u * n) for y, n in active]
                    p.add("block_capacity", (k.name, t, b, s), AT_MOST, parts, u * standing)


def _is_within_another(p: Program, k: Block, t: int, s: int, stock: Sequence[tuple[Parts, int]]) -> bool:
    """Whether a month of a quarter asks no more of a block than another, that has every workload at its highest.

    stock: what stands of the block in each month.
    """
    period = p.period[p.start[t]]
    if len(period) == 1:
        return False
    users = [w for w, _ in p.using.get((k.name, period.start, 0, s), ())]
    highest = [m for m in period if all(p.level(w, m, s) == 1.0 for w in users)]
    if not highest or t == highest[0]:
        return False
    stands = [({(y.name, n) for y, n in stock[m][0]}, stock[m][1]) for m in period]
    return all(one == stands[0] for one in stands)


def spare(p: Program) -> None:
    """An open site keeps spare servers: sum_k held >= spare x open, active <= M x open, for each site, k, t.

    And nothing runs at a closed one: sum_k r a <= D x open, for each site, steady w, t, b, s, which says the same for
    whole numbers, and more for broken ones. M is the number of servers that carry all that may run.
    """
    for site in p.scenario.sites:
        servers = _servers(p, site.name)
        for t in p.months:
            if (site.name, t) not in p.open:
                continue
            is_open = p.open[site.name, t]
            held: Parts = [(p.held[k.name, t], 1.0) for k in servers if (k.name, t) in p.held]
            p.add("spare", (site.name, t), AT_LEAST, [*held, (is_open, -float(site.spare))], 0.0)
            for k in servers:
                active, standing = p.active(k, t)
                if active or standing:
                    most = float(_most_blocks(p, k) + site.spare + standing)
                    parts = [*active, (is_open, -most)]
                    p.add("spare", (site.name, t, k.name), AT_MOST, parts, -float(standing))
        _runs_where_open(p, site.name, {k.name for k in servers})


def _runs_where_open(p: Program, site: str, servers: Collection[str]) -> None:
    for w in p.scenario.workloads:
        for t in p.period if w.window_months is None else ():
            for b in p.blocks:
                for s in p.courses:
                    found = p.serving.get((w.name, t, b, s), ())
                    here: Parts = [(variable, 1.0) for o, variable in found if o.name in servers]
                    if here and (site, t) in p.open:
                        parts = [*here, (p.open[site, t], -p.demand(w, t, b, s))]
                        p.add("spare", (site, t, w.name, b, s), AT_MOST, parts, 0.0)


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


def commitment_use(p: Program) -> None:
    """What commitments cover costs no more than what was promised: sum_o rate e <= active, for each j, t, b, s."""
    for j in p.scenario.spend_commitments:
        rates = {o.name: float(terms.committed_rate(j, o)) for o in p.scenario.covered_by(j)}
        for t in p.months:
            promised, before = p.promised(j, t)
            for b in p.blocks:
                for s in p.courses:
                    covered: Parts = [
                        (e, rate)
                        for o, rate in rates.items()
                        if (e := p.e.get((j.name, o, p.start[t], b, s))) is not None
                    ]
                    if covered:
                        parts = covered + [(q, -n) for q, n in promised]
                        p.add("commitment_use", (j.name, t, b, s), AT_MOST, parts, before)


def commitment_cover(p: Program) -> None:
    """Only what is used is covered: sum_j e <= sum_w x, for each o, t, b, s."""
    for o in p.scenario.pay_as_you_go:
        for t in p.months:
            for b in p.blocks:
                for s in p.courses:
                    covered: Parts = [
                        (e, 1.0)
                        for j in p.scenario.spend_commitments
                        if (e := p.e.get((j.name, o.name, p.start[t], b, s))) is not None
                    ]
                    if covered:
                        used = [(x, -amount) for x, amount in p.use(o, t, b, s)]
                        p.add("commitment_cover", (o.name, t, b, s), AT_MOST, covered + used, 0.0)


def quota(p: Program) -> None:
    """No more of it than can be had: sum_w x <= quota, for each o, t, b, s; active <= quota, for each k, t and j, t."""
    for o in p.scenario.pay_as_you_go:
        for t in p.months if o.quota is not None else ():
            for b in p.blocks:
                for s in p.courses:
                    if use := p.use(o, t, b, s):
                        p.add("quota", (o.name, t, b, s), AT_MOST, use, float(o.quota or 0))
    for k in p.scenario.blocks:
        for t in p.months if k.quota is not None else ():
            active, standing = p.active(k, t)
            if active:
                p.add("quota", (k.name, t), AT_MOST, active, float(k.quota or 0) - standing)
    for j in p.scenario.spend_commitments:
        for t in p.months if j.quota is not None else ():
            promised, before = p.promised(j, t)
            if promised:
                p.add("quota", (j.name, t), AT_MOST, promised, float(j.quota or 0) - before)


def api_rate_limit(p: Program) -> None:
    """A provider takes so many units a minute, from all together: sum_w x <= 60 x limit, for each o, t, b, s."""
    for o in p.scenario.pay_as_you_go:
        if not isinstance(o, Metered) or o.rate_limit_per_minute is None:
            continue
        limit = MINUTES_PER_HOUR * float(o.rate_limit_per_minute)
        for t in p.months:
            for b in p.blocks:
                for s in p.courses:
                    if use := p.use(o, t, b, s):
                        p.add("api_rate_limit", (o.name, t, b, s), AT_MOST, use, limit)


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
