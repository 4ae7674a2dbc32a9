"""What must hold between two plans of scenarios that differ in one thing."""

import random
from decimal import Decimal
from typing import Any

import pytest

from optimizer.case import Case, solve_case
from optimizer.plan import Plan
from optimizer.scenario import Scenario
from optimizer.solve import Settings
from tests.placement import STATED, api, chat, rented, reserved, scenario, server, training

SEEDS = range(12)


def drawn(seed: int, **changes: Any) -> Scenario:
    """A scenario with drawn demand and prices over a year and a half."""
    r = random.Random(seed)

    def price(low: int, high: int) -> dict[str, Any]:
        return {"amount": str(r.randint(low, high)), **STATED}

    base: dict[str, Any] = {
        "horizon_months": 18,
        "workloads": [
            chat(demand_per_month=r.randint(5, 90) * 1000, growth_ratio_per_year=str(r.randint(-3, 10) / 10)),
            training(demand_per_month=r.randint(1, 9) * 1000),
        ],
        "options": [
            api(price=price(1, 6)),
            rented(price=price(40, 90)),
            rented(name="spot", kind="spot", interruption_ratio="0.1", price=price(15, 40)),
            reserved(price=price(25, 60)),
            server(price=price(100_000, 400_000)),
        ],
    }
    return scenario(**base | changes)


def best(of: Scenario) -> Plan | None:
    """The exact plan."""
    return solve_case(Case(of, settings=Settings(gap_ratio=0))).plan


@pytest.mark.parametrize("seed", SEEDS)
def test_adding_a_rule_never_lowers_the_cost(seed: int) -> None:
    """A plan under one more rule costs at least as much, whatever the rule."""
    free = drawn(seed)
    base = best(free)
    assert base is not None
    yearly = [sum(base.monthly_cash(range(18))[i : i + 12], Decimal(0)) for i in (0, 12)]
    tighter: list[dict[str, Any]] = [
        {"rules": {"budget_per_year": [str(y * Decimal("0.97")) for y in yearly]}},
        {"rules": {"capex_budget_per_year": 250_000}},
        {"rules": {"provider_share_ratio": {"cloud": "0.6"}}},
        {"sites": [{"name": "room", "spare": 2, "power_limit_kw": 40}]},
    ]
    for change in tighter:
        ruled = best(drawn(seed, **change))
        assert ruled is None or ruled.cost >= base.cost - Decimal("0.01")


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_scaling_all_prices_scales_the_cost(seed: int) -> None:
    """Three times the price of everything is three times the cost of the plan."""
    one = drawn(seed, options=[api(), rented(), reserved()], sites=[])
    three = [
        api(price={"amount": "9", **STATED}),
        rented(price={"amount": "180", **STATED}),
        reserved(price={"amount": "120", **STATED}),
    ]
    base, scaled = best(one), best(drawn(seed, options=three, sites=[]))
    assert base is not None
    assert scaled is not None
    assert float(scaled.cost) == pytest.approx(3 * float(base.cost), rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_a_dearer_option_gains_no_use(seed: int) -> None:
    """An option that becomes dearer is used no more than before."""
    r = random.Random(seed)
    amount = r.randint(2, 4)

    def used(price: int) -> float:
        found = best(drawn(seed, options=[api(price={"amount": str(price), **STATED}), rented(), reserved()], sites=[]))
        assert found is not None
        return sum(float(u.capacity) for u in found.uses if u.option == "api")

    assert used(amount + 2) <= used(amount) + 1e-6


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_the_same_inputs_make_the_same_plan(seed: int) -> None:
    """Two solves of one scenario agree in every use, purchase and cost."""
    assert best(drawn(seed)) == best(drawn(seed))
