"""The check finds what is wrong with a plan, and cannot share a fault with the solver."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from optimizer import costing, terms
from optimizer.check import findings
from optimizer.plan import Cover, Plan, Presence, Promise, Purchase, Spare, Use
from optimizer.scenario import Scenario
from tests.placement import STATED, api, chat, plan, promised, rented, reserved, scenario, server, training

GREEN = {"grid_kg_per_kwh": "0.3"}
LOOSE: dict[str, Any] = {
    "workloads": [
        chat(
            residency=["EU", "US"],
            max_latency_ms=150,
            demand_per_month=150000,
            moving={"cost": 5000, "data_gib": 100},
            least_share_ratio="0.001",
        ),
        training(allowed_accelerators=["H100-80GB"], spot_share_ratio="0.5"),
    ],
    "options": [
        api(egress_price_per_gib="0.1", kwh_per_unit="0.5", **GREEN),
        api(name="hosted", provider="elsewhere", country="DE", location="cloud DE", kwh_per_unit="0.5", **GREEN),
        rented(power_kw=8, workloads=["chat"], **GREEN),
        rented(
            name="spot",
            kind="spot",
            price={"amount": "20", **STATED},
            available_from="2027-03",
            power_kw=8,
            location="cloud DE",
            **GREEN,
        ),
        rented(name="far", country="JP", latency_ms=200, location="cloud DE", power_kw=8, **GREEN),
        reserved(term_months=6, power_kw=8, price={"amount": "30", **STATED}, quota=1, **GREEN),
        server(price={"amount": "120000", **STATED}, quota=2, **GREEN),
    ],
    "spend_commitments": [promised(discount_ratio={"rented": "0.45"})],
    "sites": [{"name": "room", "spare": 1}],
    "load_blocks": [
        {"name": "peak", "hours_ratio": "0.2", "demand_ratio": "1.8"},
        {"name": "base", "hours_ratio": "0.8", "demand_ratio": "0.8"},
    ],
    "demand_scenarios": [
        {"name": "low", "probability": "0.5", "demand_ratio": "0.9"},
        {"name": "high", "probability": "0.5", "demand_ratio": "1.1"},
    ],
    "risk_aversion_ratio": "0.5",
}
"""A scenario with every kind of decision and hardly a limit; each corruption below states the limit that it breaks."""
PLAN = plan(scenario(**LOOSE))


def test_a_plan_of_the_program_has_no_findings() -> None:
    """What the program makes passes, and the plan below has every kind of decision that the corruptions need."""
    assert findings(scenario(**LOOSE), PLAN) == []
    assert {u.option for u in PLAN.uses} >= {"rented", "reserved", "own", "spot"}
    assert all((PLAN.spares, PLAN.purchases, PLAN.promises, PLAN.covers, PLAN.presences, PLAN.moves))


def test_the_check_imports_neither_solver_nor_program() -> None:
    """A fault of the program cannot hide in the check, because the check does not load it."""
    code = (
        "import sys, optimizer.check; alien = {'pulp', 'highspy', 'optimizer.program', 'optimizer.build', "
        "'optimizer.constraints', 'optimizer.solve', 'optimizer.case', 'optimizer.costing'} & set(sys.modules); "
        "sys.exit(str(alien) if alien else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------------------------------- ways to change a plan
def costed(of: Plan) -> Plan:
    """The plan with all its figures as its changed schedule has them, so that only the schedule is wrong."""
    s = scenario(**LOOSE)
    parts = (of.uses, of.purchases, of.promises, of.covers)
    lines, closing = costing.cost_lines(s, *parts), costing.closing_value(s, of.purchases, of.promises)
    courses = tuple(
        costing.present_value(s, costing.cost_lines(s, *parts, course=c), of.moves) - closing for c in range(2)
    )
    cost = costing.present_value(s, lines, of.moves) - closing
    objective = float(cost + costing.tail_mean(s, courses)) / 2
    return replace(of, lines=lines, closing_value=closing, cost=cost, course_costs=courses, objective=objective)


def rate(workload: str, option: str) -> Decimal:
    """Units of work of one capacity-hour."""
    s = scenario(**LOOSE)
    found = s.option(option)
    planned = terms.planned_ratio(found) if found.kind in ("on_demand", "spot", "api") else 1
    return (terms.throughput(s.workload(workload), found) or Decimal(0)) * planned


def at(of: Plan, workload: str, option: str, month: int, block: int, course: int = 1) -> Decimal:
    """Capacity of an option that a workload uses."""
    slot = (workload, option, month, block, course)
    return sum((u.capacity for u in of.uses if (u.workload, u.option, u.month, u.block, u.course) == slot), Decimal(0))


def used(of: Plan, workload: str, option: str, month: int, block: int, capacity: Decimal | int) -> Plan:
    """The plan with another use of an option, in the high demand scenario."""
    slot = (workload, option, month, block, 1)
    rest = tuple(u for u in of.uses if (u.workload, u.option, u.month, u.block, u.course) != slot)
    return replace(of, uses=(*rest, Use(*slot, Decimal(capacity))) if capacity else rest)


def shifted(of: Plan, workload: str, old: str, new: str, *, month: int = 6, block: int = 0, left: str = "0") -> Plan:
    """The plan with work done on another option; `left` of the capacity stays where it was."""
    before = at(of, workload, old, month, block)
    units = (before - Decimal(left)) * rate(workload, old)
    more = at(of, workload, new, month, block) + units / rate(workload, new)
    return used(used(of, workload, old, month, block, Decimal(left)), workload, new, month, block, more)


def later(of: Plan, workload: str, option: str, month: int, to: int, *, block: int) -> Plan:
    """The plan with the use of one month in another."""
    moved = at(of, workload, option, month, block)
    more = at(of, workload, option, to, block) + moved
    return used(used(of, workload, option, month, block, 0), workload, option, to, block, more)


def bought(of: Plan, option: str, month: int, count: float) -> Plan:
    """The plan with more blocks."""
    return replace(of, purchases=(*of.purchases, Purchase(option, month, count)))  # type: ignore[arg-type]


def covered(of: Plan, factor: str, option: str = "rented") -> Plan:
    """The plan with more or less cover of one load block."""
    changed = [
        replace(c, capacity=c.capacity * Decimal(factor), option=option)
        if (c.month, c.block, c.course) == (6, 0, 1)
        else c
        for c in of.covers
    ]
    return replace(of, covers=tuple(changed))


def set_up(of: Plan, place: str, months: range) -> Plan:
    """The plan with a workload set up at one more place."""
    more = {Presence("chat", place, t) for t in months}
    return replace(of, presences=tuple({*of.presences} | more))


def line(of: Plan, **changes: object) -> Plan:
    """The plan with another first line."""
    return replace(of, lines=(replace(of.lines[0], **changes), *of.lines[1:]))  # type: ignore[arg-type]


def moves(of: Plan, **changes: object) -> Plan:
    """The plan with its move to the room changed."""
    return replace(of, moves=tuple(replace(m, **changes) if m.location == "room" else m for m in of.moves))  # type: ignore[arg-type]


def chat_with(**changes: Any) -> dict[str, Any]:
    """The scenario with another limit on chat."""
    return {"workloads": [LOOSE["workloads"][0] | changes, LOOSE["workloads"][1]]}


def option_with(name: str, **changes: Any) -> dict[str, Any]:
    """The scenario with another limit on an option."""
    return {"options": [o | changes if o["name"] == name else o for o in LOOSE["options"]]}


def cash_of_the_year(course: int) -> Decimal:
    """What the plan pays in its year in a demand scenario, undiscounted."""
    s = scenario(**LOOSE)
    lines = costing.cost_lines(s, PLAN.uses, PLAN.purchases, PLAN.promises, PLAN.covers, course=course)
    return sum((of.cash for of in lines), Decimal(0)) + sum((m.cost for m in PLAN.moves), Decimal(0))


CENT = Decimal("0.01")
MEAN_CASH = (cash_of_the_year(0) + cash_of_the_year(1)) / 2
Corruption = tuple[dict[str, Any], Callable[[Plan], Plan], str]
FIGURES: dict[str, Corruption] = {
    "cost a cent up": ({}, lambda p: replace(p, cost=p.cost + CENT), "cost"),
    "cost a cent down": ({}, lambda p: replace(p, cost=p.cost - CENT), "cost"),
    "closing value a cent up": ({}, lambda p: replace(p, closing_value=p.closing_value + CENT), "cost"),
    "a line a cent up": ({}, lambda p: line(p, running=p.lines[0].running + CENT), "cost"),
    "a purchase off the books": ({}, lambda p: line(p, purchases=p.lines[0].purchases + 1), "cost"),
    "a line left out": ({}, lambda p: replace(p, lines=p.lines[1:]), "cost"),
    "a line twice": ({}, lambda p: replace(p, lines=(*p.lines, p.lines[0])), "cost"),
    "another objective": ({}, lambda p: replace(p, objective=p.objective * 1.001), "cost"),
    "an objective without risk": ({}, lambda p: replace(p, objective=float(p.cost)), "cost"),
    "a demand scenario a cent up": (
        {},
        lambda p: replace(p, course_costs=(p.course_costs[0] + CENT, p.course_costs[1])),
        "cost",
    ),
    "a demand scenario left out": ({}, lambda p: replace(p, course_costs=p.course_costs[1:]), "cost"),
    "a move that nobody paid": ({}, lambda p: replace(p, cost=p.cost - p.moves[0].cost), "cost"),
    "half a server": ({}, lambda p: bought(p, "own", 0, 0.5), "amounts"),
    "less than no server": ({}, lambda p: bought(p, "own", 0, -1), "amounts"),
    "negative use": ({}, lambda p: used(p, "chat", "rented", 6, 0, -1), "amounts"),
    "use after the horizon": ({}, lambda p: used(p, "chat", "rented", 12, 0, 1), "amounts"),
    "cover after the horizon": (
        {},
        lambda p: replace(p, covers=(*p.covers, Cover("plan", "rented", 12, 0, 0, Decimal(1)))),
        "amounts",
    ),
    "a negative promise": (
        {},
        lambda p: replace(p, promises=(*p.promises, Promise("plan", 3, Decimal(-1)))),
        "amounts",
    ),
    "instances on demand bought": ({}, lambda p: bought(p, "rented", 0, 1), "bought"),
    "an unknown option": ({}, lambda p: used(p, "chat", "nowhere", 6, 0, 1), "known"),
    "an unknown commitment": ({}, lambda p: replace(p, promises=(Promise("other", 0, Decimal(1)),)), "known"),
    "an unknown workload": ({}, lambda p: replace(p, presences=(Presence("x", "room", 0),)), "known"),
}
"""Figures that are not those of the schedule, and what cannot be in any plan."""
SCHEDULES: dict[str, Corruption] = {
    "one load block served less": ({}, lambda p: used(p, "chat", "rented", 6, 0, 2), "serve"),
    "one load block served more": ({}, lambda p: used(p, "chat", "rented", 6, 0, 4), "serve"),
    "work delivered after its window": ({}, lambda p: later(p, "training", "far", 2, 3, block=0), "deliver"),
    "work left undone": ({}, lambda p: used(p, "training", "spot", 2, 0, 0), "deliver"),
    "capacity exceeded in one block of hours": (
        {},
        lambda p: shifted(p, "chat", "rented", "own", left="2"),
        "block_capacity",
    ),
    "a server used before it arrives": ({}, lambda p: later(p, "training", "own", 2, 1, block=1), "block_capacity"),
    "a reservation used after its term": (
        {},
        lambda p: replace(p, purchases=p.purchases[:1] + p.purchases[2:]),
        "block_capacity",
    ),
    "the spare used": ({}, lambda p: replace(p, spares=tuple(Spare(s.option, s.month, 0) for s in p.spares)), "spare"),
    "no spare in one month": ({}, lambda p: replace(p, spares=p.spares[1:]), "spare"),
    "more power than there is": (
        option_with("own", quota=9) | {"sites": [{"name": "room", "spare": 1, "power_limit_kw": 30}]},
        lambda p: bought(p, "own", 3, 1),
        "on_prem_power",
    ),
    "cover beyond what was promised": ({}, lambda p: covered(p, "1.1"), "commitment_use"),
    "cover of what is not discounted": ({}, lambda p: covered(p, "1", "reserved"), "commitment_use"),
    "cover before the promise": (
        {},
        lambda p: replace(p, promises=tuple(replace(q, month=3) for q in p.promises)),
        "commitment_use",
    ),
    "cover beyond what is used": (
        {},
        lambda p: shifted(p, "chat", "rented", "hosted", left="0.5"),
        "commitment_cover",
    ),
    "quota of an instance exceeded": (
        option_with("rented", quota="4.1"),
        lambda p: shifted(p, "chat", "reserved", "rented", month=0),
        "quota",
    ),
    "quota of a block exceeded": ({}, lambda p: bought(p, "reserved", 3, 1), "quota"),
    "quota of a commitment exceeded": (
        {"spend_commitments": [LOOSE["spend_commitments"][0] | {"quota": 30}]},
        lambda p: replace(p, promises=(*p.promises, Promise("plan", 6, Decimal(1)))),
        "quota",
    ),
    "spot beyond its share": ({}, lambda p: shifted(p, "training", "far", "spot", month=2), "spot_share"),
    "a provider beyond its share": (
        {"rules": {"provider_share_ratio": {"elsewhere": "0.05"}}},
        lambda p: shifted(p, "chat", "rented", "hosted", left="1"),
        "provider_share",
    ),
    "more calls a minute than are taken": (
        option_with("hosted", rate_limit_per_minute="0.1"),
        lambda p: shifted(p, "chat", "rented", "hosted", left="1"),
        "api_rate_limit",
    ),
    "a budget exceeded": (
        {"rules": {"budget_per_year": str(cash_of_the_year(1) + 1)}},
        lambda p: shifted(p, "chat", "rented", "hosted", left="1"),
        "budget",
    ),
    "a budget exceeded in the mean": (
        {"rules": {"budget_per_year": str(MEAN_CASH + 1), "budget_holds_in": "expectation"}},
        lambda p: shifted(p, "chat", "rented", "hosted", left="1"),
        "budget",
    ),
    "purchases beyond their budget": (
        option_with("own", quota=9) | {"rules": {"capex_budget_per_year": 250_000}},
        lambda p: bought(p, "own", 6, 1),
        "capex_budget",
    ),
    "more emitted than may be": (
        option_with("own", quota=99) | {"rules": {"carbon_kg_per_month": 40_000}},
        lambda p: bought(p, "own", 6, 20),
        "carbon",
    ),
    "in use where it is not set up": (
        {},
        lambda p: replace(p, presences=tuple(x for x in p.presences if (x.location, x.month) != ("room", 11))),
        "presence",
    ),
    "one location too many": (
        chat_with(max_locations=2, least_share_ratio="0"),
        lambda p: set_up(p, "maker US", range(12)),
        "presence",
    ),
    "set up where too little is done": (
        {},
        lambda p: set_up(p, "maker US", range(12)),
        "presence",
    ),
    "a move left out": ({}, lambda p: replace(p, moves=p.moves[:1]), "move"),
    "a move at the wrong cost": ({}, lambda p: moves(p, cost=Decimal(4999)), "move"),
    "a move from where it was not": ({}, lambda p: moves(p, origin="moon"), "move"),
    "a move a month late": ({}, lambda p: moves(p, month=3), "move"),
    "a forbidden region": ({}, lambda p: shifted(p, "chat", "rented", "far", left="1"), "forbidden"),
    "spot for what must not stop": ({}, lambda p: shifted(p, "chat", "rented", "spot", left="1"), "forbidden"),
    "an offer before its time": ({}, lambda p: used(p, "training", "spot", 0, 0, Decimal("0.000001")), "forbidden"),
    "an API for counted hours": ({}, lambda p: used(p, "training", "api", 6, 0, 1), "forbidden"),
    "an option that is for other work": ({}, lambda p: shifted(p, "training", "far", "rented", month=2), "forbidden"),
    "a purchase between the moments of purchase": (
        option_with("own", quota=9),
        lambda p: bought(p, "own", 1, 1),
        "bought",
    ),
    "a promise between the moments of purchase": (
        {},
        lambda p: replace(p, promises=(*p.promises, Promise("plan", 1, Decimal(1)))),
        "bought",
    ),
}
"""Schedules that break one rule; the money is that of the changed schedule, so nothing but the rule is broken."""


def test_at_least_thirty_corruptions_are_tried() -> None:
    """Every rule of the check is broken by one of the corruptions below."""
    assert len(SCHEDULES) >= 30
    assert len({rule for _, _, rule in (*FIGURES.values(), *SCHEDULES.values())}) == 21


@pytest.mark.parametrize("name", FIGURES)
def test_the_check_catches_wrong_figures(name: str) -> None:
    """A plan whose figures were changed in one place has findings of the rule it breaks, and of no other."""
    limits, corrupt, rule = FIGURES[name]
    assert {f.rule for f in findings(_limited(limits), corrupt(PLAN))} == {rule}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_check_catches_a_wrong_schedule(name: str) -> None:
    """A plan whose schedule was changed in one place, and its money with it, breaks the named rule and no other."""
    limits, corrupt, rule = SCHEDULES[name]
    assert {f.rule for f in findings(_limited(limits), costed(corrupt(PLAN)))} == {rule}


def _limited(limits: dict[str, Any]) -> Scenario:
    """The scenario with a limit that the plan itself keeps."""
    of = scenario(**LOOSE | limits)
    assert findings(of, PLAN) == []
    return of


def test_a_promise_under_a_policy_without_commitments_is_found() -> None:
    """Under a policy that enters no commitments a new promise is a finding, be it paid for or not."""
    of = scenario(workloads=[chat(today=None)], options=[rented()], spend_commitments=[promised()], sites=[])
    found = plan(of, "cloud_on_demand")
    assert found.promises == ()
    entered = replace(found, promises=(Promise("plan", 0, Decimal(1)),))
    assert "bought" in {f.rule for f in findings(of, entered)}


def test_what_a_solver_may_miss_is_no_finding() -> None:
    """A trace of use where a workload is not set up is the solver's rounding, as it is in every other rule."""
    traced = shifted(PLAN, "chat", "rented", "api", left=str(at(PLAN, "chat", "rented", 6, 0) - Decimal("1e-9")))
    assert findings(scenario(**LOOSE), costed(traced)) == []


def test_another_policy_is_found() -> None:
    """A plan that says it follows a policy which it does not follow has a finding."""
    assert "forbidden" in {f.rule for f in findings(scenario(**LOOSE), replace(PLAN, policy="api_only"))}


def test_a_price_that_changes_after_the_plan_is_found() -> None:
    """The cost is summed from the scenario's prices, not from what the plan says."""
    dearer = scenario(**LOOSE | option_with("spot", price={"amount": "21", **STATED}))
    assert {f.rule for f in findings(dearer, PLAN)} == {"cost"}
