"""Where rules meet what stood before, quarters meet lead times and moves cost nothing: a plan or a reason, no fault."""

from typing import Any

import pytest
from pydantic import ValidationError

from optimizer.check import findings
from tests.placement import api, chat, outcome, plan, rented, reserved, scenario, server

STOOD: dict[str, Any] = {
    "workloads": [chat(today=None)],
    "options": [
        server(site=None, standing=2, standing_months_left=12, lead_time_months=24, grid_kg_per_kwh="0.4"),
        api(unit="thousand_requests"),
    ],
    "sites": [],
}
"""Servers that stood before carry everything, and nothing can be decided."""


def test_what_stood_before_serves_by_itself() -> None:
    """A scenario in which nothing is left to decide has a plan."""
    assert plan(scenario(**STOOD)).purchases == ()


@pytest.mark.parametrize("rules", [{"carbon_kg_per_month": 10}, {"provider_share_ratio": {"own": "0.5"}}])
def test_a_rule_that_what_stood_before_breaks_leaves_no_plan(rules: dict[str, Any]) -> None:
    """A cap or share that is broken before anything is decided is infeasible by name."""
    found = outcome(scenario(**STOOD, rules=rules))
    assert found.status == "infeasible"


@pytest.mark.parametrize("lead_time_months", [12, 13, 14, 15])
def test_a_quarter_is_bridged_as_a_whole(lead_time_months: int) -> None:
    """Where own servers arrive within a quarter, the workload stays where it is until the next one begins."""
    of = scenario(
        workloads=[chat()],
        options=[api(), server(lead_time_months=lead_time_months, life_months=60)],
        sites=[{"name": "room", "spare": 0}],
        horizon_months=24,
        purchase_every_months=1,
        quarters_after_months=12,
    )
    on_prem = plan(of, "on_prem")
    assert min(u.month for u in on_prem.uses if u.option == "own") == (12 if lead_time_months == 12 else 15)


def test_money_counts_in_every_demand_scenario() -> None:
    """However much risk weighs, nothing is wasted in the scenarios that are not among the costliest."""
    courses = [
        {"name": "low", "probability": "0.5", "demand_ratio": "0.5"},
        {"name": "high", "probability": "0.5", "demand_ratio": "1.5"},
    ]
    of: dict[str, Any] = {"workloads": [chat(today=None)], "sites": [], "demand_scenarios": courses}
    dear = rented(name="dear", price={"amount": "90", "source": "a test", "date": "2026-11-21"})
    found = plan(scenario(**of, options=[api(), rented(quota="0.4"), dear], risk_aversion_ratio="0.99"))
    low = [courses[0] | {"probability": "1"}]
    alone = plan(scenario(**of | {"demand_scenarios": low}, options=[api(), rented(quota="0.4"), dear]))
    assert found.course_costs[0] == pytest.approx(alone.cost)
    with pytest.raises(ValidationError, match="risk_aversion_ratio"):
        scenario(**of, options=[api()], risk_aversion_ratio="1")


def test_a_free_move_is_made_only_to_where_the_workload_was_not() -> None:
    """A move that costs nothing is in the plan once, when the workload is set up there."""
    of = scenario(
        workloads=[chat(moving={"cost": 0}, max_locations=1)], options=[api(), rented(), reserved()], sites=[]
    )
    found = plan(of)
    assert [(m.origin, m.location) for m in found.moves] == [("maker US", "cloud DE")]
    assert findings(of, found) == []


def test_a_location_that_cannot_serve_yet_is_not_set_up() -> None:
    """Where a least share must be done, a location is set up only once something there can do it."""
    later = rented(available_from="2027-05", location="later")
    found = plan(scenario(workloads=[chat(today=None, least_share_ratio="0.3")], options=[api(), later], sites=[]))
    assert min(p.month for p in found.presences if p.location == "later") == 4
