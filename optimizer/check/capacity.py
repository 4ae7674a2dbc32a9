"""Whether what is used stands, was bought in time, and can be had."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from optimizer import policies
from optimizer.check.view import Finding, View, blocks, over
from optimizer.options import Metered, Rented, Reservation, Server


def amounts(v: View) -> Iterator[Finding]:
    used = [(u.option, u.month, u.capacity) for u in v.plan.uses]
    used += [(c.option, c.month, c.capacity) for c in v.plan.covers]
    for name, month, capacity in used:
        if capacity < 0 or not 0 <= month < v.scenario.horizon_months:
            yield Finding("amounts", name, f"{capacity} in month {month}", "within the horizon, >= 0")
    for promise in v.plan.promises:
        if promise.money_per_hour < 0 or not 0 <= promise.month < v.scenario.horizon_months:
            found = f"{promise.money_per_hour} in month {promise.month}"
            yield Finding("amounts", promise.commitment, found, "within the horizon, >= 0")
    counted = [(p.option, p.month, p.count) for p in v.plan.purchases]
    counted += [(s.option, s.month, s.count) for s in v.plan.spares]
    for option, month, count in counted:
        if count < 0 or count != int(count) or not 0 <= month < v.scenario.horizon_months:
            yield Finding("amounts", option, f"{count} in month {month}", "whole blocks within the horizon")


def bought(v: View) -> Iterator[Finding]:
    for p in v.plan.purchases:
        option = v.options[p.option]
        if not isinstance(option, Reservation | Server):
            yield Finding("bought", p.option, "a purchase", "a block; this is paid as it is used")
        elif option.kind != "monthly" and p.month % v.scenario.purchase_every_months:
            yield Finding("bought", p.option, v.month(p.month), f"every {v.scenario.purchase_every_months} months")
        elif option.available_from is not None and v.month(p.month) < option.available_from:
            yield Finding("bought", p.option, v.month(p.month), f"from {option.available_from}")
    for promise in v.plan.promises:
        since = v.scenario.spend_commitment(promise.commitment).available_from
        if promise.month % v.scenario.purchase_every_months or (since and v.month(promise.month) < since):
            expected = f"every {v.scenario.purchase_every_months} months" + (f" from {since}" if since else "")
            yield Finding("bought", promise.commitment, v.month(promise.month), expected)
    if v.plan.promises and not policies.POLICIES[v.plan.policy].may_commit:
        yield Finding("bought", "spend commitments", "new ones", f"none under the policy {v.plan.policy}")


def block_capacity(v: View) -> Iterator[Finding]:
    for k in blocks(v):
        for t, b, course in v.slots:
            limit = k.utilisation_ceiling_ratio * (v.active(k.name, t) - v.held(k.name, t))
            if over(v.used[k.name, t, b, course], limit, Decimal(1)):
                yield Finding(
                    "block_capacity", f"{k.name} in {v.month(t)}", f"{v.used[k.name, t, b, course]}", f"<= {limit}"
                )


def commitment_use(v: View) -> Iterator[Finding]:
    cost: defaultdict[tuple[str, int, int, int], Decimal] = defaultdict(Decimal)
    for c in v.plan.covers:
        j, option = v.scenario.spend_commitment(c.commitment), v.options[c.option]
        if not isinstance(option, Rented) or c.option not in j.discount_ratio:
            yield Finding("commitment_use", f"{j.name} covers {c.option}", "covered", "an option that it names")
            continue
        rate = option.price.amount * (1 - j.discount_ratio[c.option])
        cost[j.name, c.month, c.block, c.course] += c.capacity * rate
    for (name, t, _, _), spent in cost.items():
        promised = v.promised(v.scenario.spend_commitment(name), t)
        if over(spent, promised, Decimal(1)):
            yield Finding("commitment_use", f"{name} in {v.month(t)}", f"{spent:f} an hour", f"<= {promised}")


def commitment_cover(v: View) -> Iterator[Finding]:
    for (name, t, b, course), covered in v.covered.items():
        used = v.used[name, t, b, course]
        if over(covered, used, Decimal(1)):
            yield Finding("commitment_cover", f"{name} in {v.month(t)}", f"{covered} covered", f"<= {used} used")


def spare(v: View) -> Iterator[Finding]:
    for site in v.scenario.sites:
        servers = [k for k in blocks(v) if isinstance(k, Server) and k.site == site.name]
        for t in range(v.scenario.horizon_months):
            held = sum(v.held(k.name, t) for k in servers)
            if any(v.active(k.name, t) for k in servers) and held < site.spare:
                yield Finding("spare", f"{site.name} in {v.month(t)}", f"{held} held spare", f">= {site.spare}")


def on_prem_power(v: View) -> Iterator[Finding]:
    for site in v.scenario.sites:
        for t in range(v.scenario.horizon_months) if site.power_limit_kw else ():
            drawn = sum(
                (
                    v.active(k.name, t) * k.power_kw * k.pue
                    for k in blocks(v)
                    if isinstance(k, Server) and k.site == site.name
                ),
                Decimal(0),
            )
            if over(drawn, site.power_limit_kw or Decimal(0)):
                yield Finding(
                    "on_prem_power", f"{site.name} in {v.month(t)}", f"{drawn} kW", f"<= {site.power_limit_kw}"
                )


def quota(v: View) -> Iterator[Finding]:
    for o in v.options.values():
        for t, b, course in v.slots if o.quota is not None else ():
            had = Decimal(v.active(o.name, t)) if isinstance(o, Reservation | Server) else v.used[o.name, t, b, course]
            if over(had, o.quota or Decimal(0)):
                yield Finding("quota", f"{o.name} in {v.month(t)}", f"{had}", f"<= {o.quota}")
    for j in v.scenario.spend_commitments:
        for t in v.months if j.quota is not None else ():
            if over(v.promised(j, t), j.quota or Decimal(0)):
                yield Finding("quota", f"{j.name} in {v.month(t)}", f"{v.promised(j, t)}", f"<= {j.quota}")


def api_rate_limit(v: View) -> Iterator[Finding]:
    for o in v.options.values():
        if not isinstance(o, Metered) or o.rate_limit_per_minute is None:
            continue
        for t, b, course in v.slots:
            per_minute = v.used[o.name, t, b, course] / 60
            if over(per_minute, o.rate_limit_per_minute):
                found = f"{per_minute:f} {o.unit} a minute"
                yield Finding("api_rate_limit", f"{o.name} in {v.month(t)}", found, f"<= {o.rate_limit_per_minute}")
