"""A placement as plain JSON values, which the lake stores and pages and commands show without solving again.

Money is a decimal string to the cent beside one currency; months are names. `record_of` lists the keys.
"""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from optimizer import terms
from optimizer.comparison import PolicyResult, RulePrice, Warned
from optimizer.emissions import emitted_kg
from optimizer.explanation import cash_by_workload, work_by_option
from optimizer.findings import accepted_findings
from optimizer.options import Metered, Option, Rented, Reservation
from optimizer.placement import Placement
from optimizer.plan import Plan
from optimizer.scenario import Scenario

CENT = Decimal("0.01")


def record_of(placement: Placement) -> dict[str, Any]:
    """The placement as JSON values.

    scenario, digest, description, currency, start, months (names), status, gap_ratio, cost (present value), cash,
    capex, closing_value, emitted_kg (where stated); conflict (words) and relaxations where there is no plan; policies
    [{policy, title, status, reason, cost, cash, capex, gap_ratio, cumulative_cash}], crossings, warnings; workloads
    [{workload, unit, today, cash, chosen, runner_up, runner_up_extra, note}]; schedule [{month, workload, option,
    hosting, provider, units, work_ratio, cash}]; purchases; options (with price, source and date); exclusions;
    findings (those accepted); rule_prices; promises (spend commitments entered); moves; demand_scenarios with their
    cost; dropped (options never better than another); swings (the tornado) and flips (between which multiples of
    demand or use the main hosting becomes another); risk.
    """
    scenario, plan = placement.scenario, placement.plan
    return {
        "scenario": scenario.name,
        "description": scenario.description,
        "digest": scenario.digest,
        "currency": scenario.currency,
        "start": scenario.start,
        "months": [terms.month_name(scenario, t) for t in range(scenario.horizon_months)],
        "discount_ratio_per_year": _plain(scenario.discount_ratio_per_year),
        "status": placement.status,
        **_totals(plan),
        "emitted_kg": None if plan is None or (kg := emitted_kg(scenario, plan)) is None else _plain(kg),
        "gap_asked_ratio": placement.settings.gap_ratio,
        "conflict": list(placement.conflict),
        "relaxations": [{"rule": r.rule, "cost": _cents(r.cost)} for r in placement.relaxations],
        "policies": [_policy(r) for r in placement.policies],
        "crossings": [
            {"cheaper": c.cheaper, "dearer": c.dearer, "month": terms.month_name(scenario, c.month)}
            for c in placement.crossings
        ],
        "warnings": [
            {
                "policy": w.policy,
                "month": terms.month_name(scenario, w.month),
                "excess": _cents(w.excess_at_end),
                "text": _warning(scenario, w),
            }
            for w in placement.warnings
        ],
        "workloads": _workloads(placement),
        "schedule": [] if plan is None else _schedule(scenario, plan),
        "purchases": [
            {"month": terms.month_name(scenario, p.month), "option": p.option, "count": p.count}
            for p in sorted(plan.purchases if plan else (), key=lambda p: (p.month, p.option))
        ],
        "options": [_option(o) for o in scenario.options],
        "exclusions": [
            {"workload": e.workload, "option": e.option, "rule": e.rule, "reason": e.reason}
            for e in placement.exclusions
        ],
        "findings": [{"name": f.name, "text": f.message} for f in accepted_findings(scenario)],
        "rule_prices": [_rule_price(scenario, r) for r in placement.rule_prices],
        "promises": [
            {
                "month": terms.month_name(scenario, p.month),
                "commitment": p.commitment,
                "money_per_hour": _plain(p.money_per_hour),
                "term_months": scenario.spend_commitment(p.commitment).term_months,
            }
            for p in sorted(plan.promises if plan else (), key=lambda p: (p.month, p.commitment))
        ],
        "moves": [
            {
                "month": terms.month_name(scenario, m.month),
                "workload": m.workload,
                "origin": m.origin,
                "location": m.location,
                "cost": _cents(m.cost),
            }
            for m in sorted(plan.moves if plan else (), key=lambda m: (m.month, m.workload))
        ],
        "demand_scenarios": [
            {"name": c.name, "probability": _plain(c.probability), "cost": _cents(cost)}
            for c, cost in zip(scenario.demand_scenarios, plan.course_costs if plan else (), strict=plan is not None)
        ],
        "dropped": [{"workload": w, "option": o, "never_dearer": better} for w, o, better in placement.dropped],
        "swings": [
            {
                "factor": s.factor,
                "low": s.low,
                "high": s.high,
                "low_cost": _cents(s.low_cost),
                "high_cost": _cents(s.high_cost),
            }
            for s in placement.swings
        ],
        "flips": [
            {
                "factor": f.factor,
                "below": _plain(f.below),
                "above": _plain(f.above),
                "hosting": f.hosting,
                "other": f.other,
            }
            for f in placement.flips
        ],
        "risk": None if placement.risk is None else asdict(placement.risk),
    }


def _cents(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount.quantize(CENT))


def _plain(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _totals(plan: Plan | None) -> dict[str, Any]:
    if plan is None:
        return {"cost": None, "cash": None, "capex": None, "closing_value": None, "gap_ratio": None}
    return {
        "cost": _cents(plan.cost),
        "cash": _cents(plan.cash),
        "capex": _cents(plan.capex),
        "closing_value": _cents(plan.closing_value),
        "gap_ratio": plan.gap_ratio,
    }


def _policy(result: PolicyResult) -> dict[str, Any]:
    return {
        "policy": result.policy,
        "title": result.title,
        "status": result.status,
        "reason": result.reason,
        **_totals(result.plan),
        "cumulative_cash": [_cents(amount) for amount in result.cumulative_cash],
    }


def _workloads(placement: Placement) -> list[dict[str, Any]]:
    scenario = placement.scenario
    return [
        {
            "workload": e.workload,
            "unit": scenario.workload(e.workload).unit,
            "today": scenario.workload(e.workload).today,
            "residency": list(scenario.workload(e.workload).residency),
            "cash": _cents(e.cash),
            "chosen": [
                {
                    "option": c.option,
                    "work_ratio": _plain(c.work_ratio),
                    "first_month": terms.month_name(scenario, c.first_month),
                    "last_month": terms.month_name(scenario, c.last_month),
                    "cash": _cents(c.cash),
                }
                for c in e.chosen
            ],
            "runner_up": e.runner_up,
            "runner_up_extra": _cents(e.runner_up_extra),
            "note": e.note,
        }
        for e in placement.explanations
    ]


def _schedule(scenario: Scenario, plan: Plan) -> list[dict[str, Any]]:
    """What runs where in each month, and its share of the cash; without a workload it is capacity nobody used."""
    work = {w.name: work_by_option(scenario, plan, w.name) for w in scenario.workloads}
    cash = cash_by_workload(scenario, plan)
    places: dict[str, tuple[str, str]] = {o.name: (o.hosting, o.provider) for o in scenario.options}
    places |= {j.name: ("cloud", j.provider) for j in scenario.spend_commitments}
    keys = {(t, w, o) for (w, o, t) in cash} | {(t, w, o) for w, done in work.items() for (o, t) in done}
    rows = []
    for month, workload, option in sorted(keys, key=lambda k: (k[0], k[1] or "~", k[2])):
        units = work[workload].get((option, month), Decimal(0)) if workload else Decimal(0)
        in_month = (
            sum((u for (_, t), u in work[workload].items() if t == month), Decimal(0)) if workload else Decimal(0)
        )
        rows.append(
            {
                "month": terms.month_name(scenario, month),
                "workload": workload,
                "option": option,
                "hosting": places[option][0],
                "provider": places[option][1],
                "units": _plain(units.quantize(Decimal("1e-6"))),
                "work_ratio": float(round(units / in_month, 6)) if in_month else 0.0,
                "cash": _plain(cash.get((workload, option, month), Decimal(0)).quantize(Decimal("1e-6"))),
            }
        )
    return rows


def _option(option: Option) -> dict[str, Any]:
    unit = {"on_demand": "instance-hour", "spot": "instance-hour", "monthly": "instance-hour"}.get(option.kind)
    if isinstance(option, Metered):
        unit = option.unit
    elif unit is None:
        unit = "instance-hour of the term" if isinstance(option, Reservation) else "server"
    return {
        "option": option.name,
        "kind": option.kind,
        "hosting": option.hosting,
        "provider": option.provider,
        "region": option.region,
        "country": option.country,
        "latency_ms": None if option.latency_ms is None else _plain(option.latency_ms),
        "accelerator": None if isinstance(option, Metered) else option.accelerator,
        "accelerator_count": None if isinstance(option, Metered) else _plain(option.accelerator_count),
        "term_months": None if isinstance(option, Rented | Metered) else terms.service_months(option),
        "price": _plain(option.price.amount),
        "unit": unit,
        "source": option.price.source,
        "date": option.price.date.isoformat(),
    }


def _warning(scenario: Scenario, found: Warned) -> str:
    ratio, month = scenario.rules.warn_ratio * 100, terms.month_name(scenario, found.month)
    return (
        f"{found.title} has cost over {ratio:.0f} % more than the plan from {month} on, "
        f"and {found.excess_at_end:,.0f} {scenario.currency} more by the end"
    )


def _rule_price(scenario: Scenario, found: RulePrice) -> dict[str, Any]:
    if found.price is None:
        text = f"the plan without {found.rule} was not found ({found.status})"
    elif not found.is_measurable:
        text = f"{found.rule}: no measurable cost"
    else:
        monthly = found.price / scenario.horizon_months
        text = f"{found.rule} costs {monthly:,.0f} {scenario.currency} a month"
    return {
        "rule": found.rule,
        "price": _cents(found.price),
        "low": _cents(found.low),
        "high": _cents(found.high),
        "cost_without": _cents(found.cost_without),
        "text": text,
    }
