"""The solver's word is not taken for more than it says: status, gap, bound and conflicts."""

import math
import random
from typing import Any

import pulp
import pytest

from optimizer import feasibility, policies
from optimizer.build import build
from optimizer.case import Case, solve_case
from optimizer.placement import place
from optimizer.program import Program
from optimizer.scenario import Scenario
from optimizer.solve import Settings, gap_ratio, solve
from optimizer.words import in_words
from tests.placement import EXACT, STATED, api, chat, outcome, rented, reserved, scenario, server, training


def hard() -> Scenario:
    """A scenario that takes the solver longer than a moment."""
    r = random.Random(7)
    workloads = [
        chat(name=f"w{i}", today=None, demand_per_month=r.randint(20, 90) * 500, growth_ratio_per_year="0.8")
        for i in range(6)
    ]
    options: list[dict[str, Any]] = [api(price={"amount": "9", **STATED})]
    for i in range(5):
        price = {"amount": str(30 + r.randint(0, 9)), **STATED}
        options.append(
            reserved(name=f"r{i}", term_months=r.choice([5, 7, 11]), accelerator_count=r.randint(2, 9), price=price)
        )
        options.append(server(name=f"s{i}", site=f"room{i % 2}", accelerator_count=r.randint(3, 9), life_months=30 + i))
    sites = [{"name": f"room{i}", "spare": 1} for i in range(2)]
    return scenario(horizon_months=48, purchase_every_months=1, workloads=workloads, options=options, sites=sites)


def program_of(of: Scenario) -> Program:
    """The program of a scenario under the free policy."""
    return build(of, policy=policies.POLICIES["hybrid"], pairs=feasibility.feasible_pairs(of))


def test_a_plan_at_the_time_limit_is_not_called_optimal() -> None:
    """A plan whose gap was missed when time ran out is feasible, says its gap, and has a bound below its cost."""
    found = solve(program_of(hard()), Settings(time_limit_s=3, gap_ratio=0))
    assert found.status == "feasible"
    assert 0 < found.gap_ratio < 1
    assert found.bound < found.objective


def test_a_program_without_whole_numbers_is_judged_too() -> None:
    """Without blocks the solver keeps no gap and no bound, and a finished solve is optimal all the same."""
    by_use = scenario(options=[api(), rented()], sites=[], horizon_months=36)
    done = solve(program_of(by_use), EXACT)
    assert (done.status, done.gap_ratio, done.bound) == ("optimal", 0.0, done.objective)


def test_no_plan_within_the_time_limit_is_said() -> None:
    """Where the solver found nothing in time there is no plan, rather than one of zeros."""
    found = solve_case(Case(hard(), settings=Settings(time_limit_s=0.0, gap_ratio=0)))
    assert (found.status, found.plan) == ("unsolved", None)
    assert "no plan was found" in str(found.reason)


def test_a_plan_within_its_gap_is_optimal() -> None:
    """A plan is optimal when its gap is within the one that was asked for, and its bound holds."""
    exact, loose = outcome(scenario()), outcome(scenario(), settings=Settings(gap_ratio=0.2))
    assert exact.plan is not None
    assert loose.plan is not None
    assert (exact.status, loose.status) == ("optimal", "optimal")
    assert loose.plan.gap_ratio <= 0.2
    assert loose.plan.bound <= float(exact.plan.cost) + 1e-6 <= loose.plan.objective + 2e-6


def test_gaps_are_ratios_of_the_objective() -> None:
    """The gap is the distance to the bound over the objective; nothing costs nothing, exactly."""
    assert gap_ratio(200.0, 190.0) == pytest.approx(0.05)
    assert gap_ratio(0.0, 0.0) == 0
    assert gap_ratio(0.0, -1.0) == math.inf


def test_a_conflict_names_the_rules_and_months() -> None:
    """Rules that cannot be kept together are named, each with its months, and nothing else is."""
    tight = scenario(workloads=[chat()], options=[api()], sites=[], rules={"budget_per_year": 1_000_000})
    found = outcome(tight)
    assert found.status == "infeasible"
    sentences = in_words(tight, found.conflict)
    assert any("year 1 may cost 1,000,000 USD at most (budget)" in s for s in sentences)
    assert any(s.startswith("chat must be served") for s in sentences)
    assert {row.constraint for row in found.conflict} == {"budget", "serve"}


def test_a_conflict_of_whole_blocks_is_named_too() -> None:
    """The rules that only broken blocks could keep are named, and what helps is priced."""
    option = server(lead_time_months=0, price={"amount": "300000", **STATED})
    tight = scenario(
        workloads=[chat(demand_per_month=70000, today=None)],
        options=[option],
        sites=[{"name": "room", "spare": 0}],
        rules={"capex_budget_per_year": 400_000},
    )
    found = place(tight, settings=EXACT)
    assert (found.status, found.plan) == ("infeasible", None)
    assert "capex_budget" in " ".join(found.conflict)
    assert [r.rule for r in found.relaxations] == ["capex_budget"]
    assert found.relaxations[0].cost > 0


def test_months_that_nothing_can_serve_are_named() -> None:
    """A lead time that leaves the first months without any option is said in so many words."""
    found = outcome(scenario(workloads=[chat(today=None)], options=[server()]))
    assert found.status == "infeasible"
    assert "nothing that may serve chat can stand in 2027-01 to 2027-02" in str(found.reason)


@pytest.mark.filterwarnings("ignore:PULP_CBC_CMD")
def test_without_highs_the_other_solver_finds_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """CBC stands in where HiGHS is missing, and finds what HiGHS finds."""
    with_highs = outcome(scenario())
    monkeypatch.setattr(pulp.HiGHS, "available", lambda self: False)
    with_cbc = outcome(scenario())
    assert with_highs.plan is not None
    assert with_cbc.plan is not None
    assert float(with_cbc.plan.cost) == pytest.approx(float(with_highs.plan.cost), rel=1e-6)
    tight = scenario(workloads=[chat()], options=[api()], sites=[], rules={"budget_per_year": 1000})
    assert outcome(tight).status == "infeasible"


def test_nothing_to_do_costs_nothing() -> None:
    """Workloads without any demand make a plan without use, purchases or cost."""
    idle = scenario(workloads=[chat(demand_per_month=0), training(demand_per_month=0)])
    found = outcome(idle)
    assert found.plan is not None
    assert (found.plan.cost, found.plan.uses, found.plan.purchases) == (0, (), ())


@pytest.mark.parametrize("size", ["0.0001", "0.01", "1", "1e6", "1e10"])
def test_the_smallest_and_the_largest_demand_are_exact(size: str) -> None:
    """A cent's worth of demand and a planet's are placed, costed and checked alike, also beside each other."""
    small = chat(name="small", demand_per_month=size)
    alone = outcome(scenario(workloads=[small], options=[api()], sites=[]))
    assert alone.plan is not None
    assert float(alone.plan.cash) == pytest.approx(float(size) * 3 * 12, rel=1e-6, abs=1e-5)
    both = outcome(scenario(workloads=[small, chat()], options=[api(), rented(), reserved()], sites=[]))
    assert both.plan is not None


def test_an_option_is_no_cheaper_by_being_rented_twice() -> None:
    """A dearer twin of an option is not used."""
    found = outcome(scenario(options=[api(), rented(), rented(name="dear", price={"amount": "61", **STATED})]))
    assert found.plan is not None
    assert "dear" not in {u.option for u in found.plan.uses}
