"""What must hold between two plans of scenarios that differ in one thing."""

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from optimizer import comparison, costing, feasibility
from optimizer.case import Case, Outcome, solve_case
from optimizer.plan import Plan
from optimizer.scenario import Scenario
from optimizer.solve import Settings
from tests.placement import STATED, api, chat, promised, rented, reserved, scenario, server, training

SEEDS = range(12)
EXACT = Settings(gap_ratio=0)
LOOSE = Settings(gap_ratio=0.02)
GRID = {"grid_kg_per_kwh": "0.3"}
MONEY = (
    "amount", "upfront", "staff_cost_per_month", "energy_price_per_kwh", "colo_price_per_kw_month", "cost",
    "egress_price_per_gib", "budget_per_year", "capex_budget_per_year",
)  # fmt: skip
"""Every field of the scenarios below that is money."""


def price(r: random.Random, low: int, high: int) -> dict[str, Any]:
    """A drawn price."""
    return {"amount": str(r.randint(low, high)), **STATED}


def plain(seed: int) -> dict[str, Any]:
    """A scenario with drawn demand and prices over a year and a half, with every kind of option and few rules."""
    r = random.Random(seed)
    return {
        "horizon_months": 18,
        "purchase_every_months": 6,
        "workloads": [
            chat(demand_per_month=r.randint(5, 90) * 1000, growth_ratio_per_year=str(r.randint(-3, 10) / 10)),
            training(demand_per_month=r.randint(1, 9) * 1000, today="spot"),
        ],
        "options": [
            api(price=price(r, 1, 6), country="DE", kwh_per_unit="0.4", egress_price_per_gib="0.1", **GRID),
            api(
                name="abroad",
                provider="elsewhere",
                price={"amount": str(r.randint(2, 8) / 10), **STATED},
                kwh_per_unit="0.4",
                **GRID,
            ),
            rented(price=price(r, 40, 90), power_kw=8, **GRID),
            rented(name="spot", kind="spot", interruption_ratio="0.1", price=price(r, 15, 40), power_kw=8, **GRID),
            reserved(price=price(r, 25, 60), upfront=r.choice([0, 9000]), power_kw=8, **GRID),
            server(price=price(r, 100_000, 400_000), colo_price_per_kw_month=20, **GRID),
        ],
        "spend_commitments": [promised(discount_ratio={"rented": str(r.randint(2, 6) / 10)})],
        "sites": [{"name": "room", "spare": 0}],
        "demand_scenarios": [
            {"name": "low", "probability": "0.5", "demand_ratio": "0.8"},
            {"name": "high", "probability": "0.5", "demand_ratio": "1.2"},
        ],
    }


@cache
def outcome(of: str, settings: Settings = EXACT) -> Outcome:
    """What comes of a scenario, as JSON."""
    return solve_case(Case(Scenario.model_validate_json(of), settings=settings))


def best(of: Scenario, settings: Settings = EXACT) -> Plan | None:
    """The plan of a scenario, if there is one."""
    return outcome(of.model_dump_json(), settings).plan


def yearly(plan: Plan) -> list[str]:
    """A little less than what a plan pays in each year."""
    months = plan.monthly_cash(range(18))
    return [str(sum(months[a : a + 12], Decimal(0)) * Decimal("0.97")) for a in (0, 12)]


def limited(case: dict[str, Any], part: str, name: str, **changes: Any) -> dict[str, Any]:
    """A case in which one entry of a list has more rules."""
    return case | {part: [entry | changes if entry["name"] == name else entry for entry in case[part]]}


RULES: dict[str, Callable[[dict[str, Any], Plan], dict[str, Any]]] = {
    "residency": lambda c, _: limited(c, "workloads", "chat", residency=["EU"]),
    "latency": lambda c, _: limited(c, "workloads", "chat", max_latency_ms=60),
    "hosting": lambda c, _: limited(c, "workloads", "chat", allowed_hosting=["cloud", "on_prem"]),
    "accelerator": lambda c, _: limited(
        limited(c, "options", "spot", accelerator="A", units_per_capacity_hour={"chat": 80, "training": 8}),
        "workloads", "training", allowed_accelerators=["H100-80GB"], today=None,
    ),
    "spot_share": lambda c, _: limited(c, "workloads", "training", spot_share_ratio="0.3"),
    "presence": lambda c, _: limited(c, "workloads", "chat", max_locations=1, least_share_ratio="0.4"),
    "move": lambda c, _: limited(c, "workloads", "chat", moving={"cost": 30_000, "data_gib": 5000}),
    "budget": lambda c, p: c | {"rules": {"budget_per_year": yearly(p)}},
    "capex_budget": lambda c, _: c | {"rules": {"capex_budget_per_year": 250_000}},
    "provider_share": lambda c, _: c | {"rules": {"provider_share_ratio": {"cloud": "0.6"}}},
    "carbon": lambda c, _: c | {"rules": {"carbon_kg_per_month": 6_000}},
    "spare": lambda c, _: c | {"sites": [{"name": "room", "spare": 2}]},
    "on_prem_power": lambda c, _: c | {"sites": [{"name": "room", "spare": 0, "power_limit_kw": 20}]},
    "quota": lambda c, _: limited(limited(c, "options", "spot", quota="0.4"), "options", "reserved", quota=0),
    "api_rate_limit": lambda c, _: limited(c, "options", "abroad", rate_limit_per_minute="0.2"),
}  # fmt: skip


def test_every_rule_that_may_be_lifted_is_added() -> None:
    """The rules below are all those that have a price."""
    known = (feasibility.WORKLOAD_RULES, feasibility.PLAN_RULES, feasibility.SITE_RULES, feasibility.OPTION_RULES)
    assert set(RULES) == {rule for rules in known for rule in rules}


@pytest.mark.parametrize("rule", RULES)
def test_adding_a_rule_never_lowers_the_cost(rule: str) -> None:
    """A plan under one more rule costs at least as much, the rule's price is at least 0, and some rules cost a lot."""
    dearer = 0
    for seed in SEEDS[:4]:
        base = best(scenario(**plain(seed)))
        assert base is not None
        ruled = scenario(**RULES[rule](plain(seed), base))
        assert rule in feasibility.stated_rules(ruled)
        without = outcome(feasibility.lifted(ruled, rule).model_dump_json())
        found = best(ruled)
        assert without.plan is not None
        if found is None:
            dearer += 1
            continue
        priced = comparison.rule_price(rule, found, without)
        assert found.cost >= without.plan.cost - Decimal("0.01")
        assert priced.low is None or priced.low >= Decimal("-0.01")
        dearer += found.cost > without.plan.cost + 1
    assert dearer, "no case shows this rule at work"


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_a_rule_costs_no_less_than_nothing_within_the_gaps(seed: int) -> None:
    """Between two plans that are not exact, a rule's price may seem to be negative only by their gaps."""
    base = best(scenario(**plain(seed)))
    assert base is not None
    for rule in ("residency", "carbon", "move", "provider_share"):
        ruled = scenario(**RULES[rule](plain(seed), base))
        with_it, without = best(ruled, LOOSE), best(feasibility.lifted(ruled, rule), LOOSE)
        if with_it is not None and without is not None:
            assert float(with_it.cost) >= without.bound - 0.01
            assert float(with_it.cost) >= float(without.cost) * (1 - without.gap_ratio) - 0.01


def scaled(entry: Any, factor: int, *, is_price: bool = False) -> Any:
    """Plain values with every amount of money times a factor."""
    if isinstance(entry, dict):
        return {k: scaled(v, factor, is_price=k in MONEY) for k, v in entry.items()}
    if isinstance(entry, list | tuple):
        return [scaled(v, factor, is_price=is_price) for v in entry]
    return str(Decimal(str(entry)) * factor) if is_price and entry is not None else entry


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_scaling_all_money_scales_the_plan(seed: int) -> None:
    """Three times every price, fee and budget is three times the cost, with the same purchases."""
    case = limited(plain(seed), "workloads", "chat", moving={"cost": 30_000, "data_gib": 5000})
    case |= {"rules": {"budget_per_year": 9_000_000, "capex_budget_per_year": 700_000}}
    one, three = best(scenario(**case)), best(scenario(**scaled(case, 3)))
    assert one is not None
    assert three is not None
    assert float(three.cost) == pytest.approx(3 * float(one.cost), rel=1e-6)
    # the plan at three times the prices, at the prices themselves, is as good as the other one
    promises = [replace(p, money_per_hour=p.money_per_hour / 3) for p in three.promises]
    moves = [replace(m, cost=m.cost / 3) for m in three.moves]
    lines = costing.cost_lines(scenario(**case), three.uses, three.purchases, promises, three.covers)
    closing = costing.closing_value(scenario(**case), three.purchases, promises)
    cost = costing.present_value(scenario(**case), lines, moves) - closing
    assert float(cost) == pytest.approx(float(one.cost), rel=1e-6)


@pytest.mark.parametrize("name", ["api", "abroad", "rented", "spot", "reserved", "own"])
def test_a_dearer_option_gains_no_use(name: str) -> None:
    """An option that becomes dearer is used or bought no more than before, measured by its cost at the old price."""
    for seed in SEEDS[:4]:
        case = plain(seed)
        if name == "rented":  # a commitment's rate moves with the price of what it covers
            case["spend_commitments"] = []
        before = best(scenario(**case))
        old = next(o for o in case["options"] if o["name"] == name)
        amount = Decimal(old["price"]["amount"])
        dearer = limited(case, "options", name, price={"amount": str(amount * Decimal("1.3")), **STATED})
        after = best(scenario(**dearer))
        assert before is not None
        assert after is not None
        assert _paid(scenario(**case), after, name) <= _paid(scenario(**case), before, name) * (1 + 1e-6) + 0.01


def _paid(of: Scenario, plan: Plan, name: str) -> float:
    """What the price of an option makes of a plan's present value: how much of it there is, at the scenario's price."""
    free = {"price": of.option(name).price.model_copy(update={"amount": Decimal(0)})}
    options = tuple(o.model_copy(update=free) if o.name == name else o for o in of.options)
    without = of.model_copy(update={"options": options})

    def cost(at: Scenario) -> Decimal:
        lines = costing.cost_lines(at, plan.uses, plan.purchases, plan.promises, plan.covers)
        return costing.present_value(at, lines, plan.moves) - costing.closing_value(at, plan.purchases, plan.promises)

    return float(cost(of) - cost(without))


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_the_same_inputs_make_the_same_plan(seed: int) -> None:
    """Two solves of one scenario agree in every use, purchase, promise and cost."""
    of = scenario(**plain(seed))
    assert solve_case(Case(of, settings=EXACT)).plan == solve_case(Case(of, settings=EXACT)).plan
