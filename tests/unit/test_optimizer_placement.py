"""What comes with a plan: policies, curves, crossings, warnings, the price of each rule, and why."""

import json
from decimal import Decimal

import pytest

from optimizer import policies
from optimizer.case import Outcome
from optimizer.comparison import PolicyResult, crossings, rule_price, warnings
from optimizer.explanation import cash_by_workload, work_by_option
from optimizer.placement import Placement, place
from optimizer.record import record_of
from optimizer.solve import Settings
from tests.placement import EXACT, STATED, api, chat, plan, rented, reserved, scenario, server, training

RULED = scenario(
    horizon_months=24,
    workloads=[
        chat(residency=["EU", "US"], max_latency_ms=100, today="rented", demand_per_month=60000),
        training(),
    ],
    options=[api(), rented(), reserved(), server(price={"amount": "200000", **STATED})],
    rules={"capex_budget_per_year": 450_000},
)


@pytest.fixture(scope="module")
def placed() -> Placement:
    """A placement with rules that cost something."""
    return place(RULED, settings=EXACT)


def test_no_policy_is_cheaper_than_the_free_plan(placed: Placement) -> None:
    """The hybrid plan may do whatever a forced policy does, so none of them costs less."""
    costs = {r.policy: r.plan.cost for r in placed.policies if r.plan is not None}
    assert set(costs) >= {"hybrid", "as_is", "cloud_on_demand", "cloud_committed"}
    assert min(costs.values()) == costs["hybrid"]
    assert costs["cloud_committed"] <= costs["cloud_on_demand"]


def test_every_policy_has_a_plan_or_a_reason(placed: Placement) -> None:
    """Each policy is there, with a plan or with words that say why there is none."""
    assert [r.policy for r in placed.policies] == list(policies.POLICIES)
    for result in placed.policies:
        assert (result.plan is None) == (result.cumulative_cash == ())
        assert result.plan is not None or result.reason
    assert "api" in str(next(r.reason for r in placed.policies if r.policy == "api_only"))


def test_policies_use_only_their_own_kinds() -> None:
    """A forced policy uses its kinds of option, own servers after the bridge until the first can stand."""
    free = scenario(options=[api(), rented(), reserved(), server()], workloads=[chat(today="rented"), training()])
    on_demand = plan(free, "cloud_on_demand")
    assert {u.option for u in on_demand.uses} == {"rented"}
    own = plan(free, "on_prem")
    assert {u.option for u in own.uses if u.month >= 2} == {"own"}
    assert {u.option for u in own.uses if u.month < 2} == {"rented"}
    as_is = plan(free, "as_is")
    assert {(u.workload, u.option) for u in as_is.uses} == {("chat", "rented"), ("training", "rented")}


def test_a_workload_that_cannot_follow_a_policy_stays_and_is_named() -> None:
    """A policy is followed by those who can; who cannot stays as today and is named with the reason."""
    mixed = scenario(workloads=[chat(units_per_accelerator_hour={}), training()])
    placed = place(mixed, settings=EXACT)
    result = next(r for r in placed.policies if r.policy == "cloud_on_demand")
    assert result.plan is not None
    assert {u.option for u in result.plan.uses if u.workload == "chat"} == {"api"}
    assert "chat stays as it is" in str(result.reason)


def test_curves_are_the_plans_cash(placed: Placement) -> None:
    """A cost curve ends at the plan's cash, and never falls."""
    for result in placed.policies:
        if result.plan is not None:
            assert result.cumulative_cash[-1] == result.plan.cash
            assert list(result.cumulative_cash) == sorted(result.cumulative_cash)


def _curve(policy: str, *amounts: int) -> PolicyResult:
    found = plan(scenario(workloads=[chat()], options=[api()], sites=[]))
    return PolicyResult(policy, policy, "optimal", found, None, tuple(Decimal(a) for a in amounts))


def test_crossings_are_the_months_in_which_the_order_changes_for_good() -> None:
    """The month of a crossing is the first of those in which the later winner has cost less to the end."""
    a, b = _curve("hybrid", 50, 60, 70, 80), _curve("api_only", 20, 55, 75, 100)
    assert [(c.cheaper, c.dearer, c.month) for c in crossings([a, b])] == [("hybrid", "api_only", 2)]
    assert crossings([a, _curve("api_only", 60, 70, 80, 90)]) == []
    assert crossings([a, _curve("api_only", 50, 60, 70, 80)]) == []


def test_warnings_name_the_month_and_the_money() -> None:
    """A policy that has cost more than the plan by the ratio is warned about from the month it stays so."""
    results = [_curve("hybrid", 50, 60, 70, 80), _curve("as_is", 70, 70, 90, 120), _curve("api_only", 50, 60, 71, 81)]
    found = warnings(results, Decimal("0.25"))
    assert [(w.policy, w.month, w.excess_at_end) for w in found] == [("as_is", 2, 40)]


def test_rules_cost_what_they_cost(placed: Placement) -> None:
    """A rule's price is the plan's cost less the cost without it, never below zero, within its range."""
    prices = {r.rule: r for r in placed.rule_prices}
    assert list(prices) == ["residency", "latency", "capex_budget", "spare"]
    for found in prices.values():
        assert found.price is not None
        assert found.low is not None
        assert found.high is not None
        assert found.price >= 0
        assert found.low - Decimal("0.01") <= found.price <= found.high + Decimal("0.01")
    assert prices["capex_budget"].is_measurable
    assert not prices["residency"].is_measurable


def test_no_gap_makes_a_forced_plan_the_cheaper_one() -> None:
    """With a gap so wide that the free plan is poor, the free plan still costs no more than any policy's."""
    loose = place(RULED, settings=Settings(gap_ratio=0.9))
    costs = [r.plan.cost for r in loose.policies if r.plan is not None]
    assert loose.plan is not None
    assert loose.plan.cost == min(costs)
    assert loose.policies[0].plan == loose.plan
    assert all(r.price is None or r.price >= 0 for r in loose.rule_prices)


def test_a_price_within_the_gaps_is_not_measurable() -> None:
    """When the gaps could hide all of it, a rule has no measurable cost."""
    found = plan(scenario())
    same = Outcome("optimal", found, None, (), 0.0)
    assert not rule_price("budget", found, same).is_measurable
    assert rule_price("budget", found, Outcome("unsolved", None, None, (), 0.0)).price is None


def test_work_and_cash_by_workload_sum_to_the_whole(placed: Placement) -> None:
    """The workloads' shares of the cash, and what nobody used, sum to the plan's cash exactly; work sums to demand."""
    assert placed.plan is not None
    assert sum(cash_by_workload(RULED, placed.plan).values()) == placed.plan.cash
    done = sum(work_by_option(RULED, placed.plan, "chat").values())
    assert done == pytest.approx(Decimal(60000 * 24), rel=Decimal("1e-6"))


def test_each_workload_is_explained(placed: Placement) -> None:
    """Each workload has the options it runs on, whose shares sum to one, and a runner-up that costs no less."""
    for e in placed.explanations:
        assert sum(c.work_ratio for c in e.chosen) == pytest.approx(1, abs=Decimal("0.001"))
        assert (e.runner_up is None) == (e.note is not None)
        if e.runner_up_extra is not None:
            assert e.runner_up_extra > Decimal("-0.01")


def test_a_record_is_plain_json_and_complete(placed: Placement) -> None:
    """The record survives JSON, its schedule sums to the plan's cash, and each excluded pair has a reason."""
    record = json.loads(json.dumps(record_of(placed)))
    assert placed.plan is not None
    assert sum(Decimal(row["cash"]) for row in record["schedule"]) == pytest.approx(
        placed.plan.cash, abs=Decimal("0.01")
    )
    assert record["policies"][0]["cumulative_cash"][-1] == record["cash"]
    assert all(e["reason"] for e in record["exclusions"])
    assert len(record["months"]) == 24
    assert record["digest"] == RULED.digest


def test_a_twin_of_the_scenario_has_the_same_digest() -> None:
    """Equal scenarios have equal digests, and any changed figure another one."""
    assert scenario().digest == scenario().digest
    assert scenario(discount_ratio_per_year="0.09").digest != scenario().digest
    assert (
        scenario(options=[api(price={"amount": "3.01", **STATED}), rented()]).digest
        != scenario(options=[api(), rented()]).digest
    )


def test_a_rule_is_priced_by_what_the_plan_minimises() -> None:
    """With risk aversion a rule may lower the expected cost; its price is of the weighted cost, and not below zero."""
    averse = scenario(
        workloads=[chat(max_latency_ms=100)],
        options=[api(), rented(), reserved()],
        sites=[],
        risk_aversion_ratio="0.9",
        demand_scenarios=[
            {"name": "low", "probability": "0.8", "demand_ratio": "0.75"},
            {"name": "high", "probability": "0.2", "demand_ratio": "2"},
        ],
    )
    found = place(averse, settings=EXACT)
    assert found.plan is not None
    (price,) = [p for p in found.rule_prices if p.rule == "latency"]
    assert price.price is not None
    assert price.cost_without is not None
    assert price.price >= 0
    assert float(price.price + price.cost_without) == pytest.approx(found.plan.objective, rel=1e-6)
    assert abs(found.plan.objective - float(found.plan.cost)) > 1
