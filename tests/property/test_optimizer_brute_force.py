"""Tiny plans against every combination of whole decisions, costed by code that shares nothing with the program."""

from decimal import Decimal
from typing import Any

import pytest

from optimizer import constraints, feasibility, policies
from optimizer.build import build
from optimizer.case import Case, solve_case
from optimizer.check import findings
from optimizer.scenario import Scenario
from optimizer.solve import Settings, Solution, solve
from tests.brute_force import brute_force
from tests.tiny import CASES, draw

EXACT = Settings(gap_ratio=0)
CHUNKS = 12
BINDING = 10
"""Cases in which each constraint must make a difference."""
NAMES = [c.__name__ for c in constraints.CONSTRAINTS]


def scenario(case: dict[str, Any], **changes: Any) -> Scenario:
    """The scenario of plain values."""
    return Scenario.model_validate(case | changes)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_plans_cost_what_the_best_of_all_whole_decisions_costs(chunk: int) -> None:
    """A plan of a tiny scenario costs exactly what the cheapest of all combinations of whole decisions costs."""
    infeasible = 0
    for seed in range(chunk, CASES, CHUNKS):
        case = draw(seed)
        expected = brute_force(case)
        found = solve_case(Case(scenario(case), settings=EXACT))
        if expected is None:
            assert found.status == "infeasible", case["name"]
            infeasible += 1
        else:
            assert found.plan is not None, (case["name"], found.reason)
            assert found.plan.objective == pytest.approx(expected, rel=1e-6, abs=1e-4), case["name"]
            averse = float(case.get("risk_aversion_ratio", 0))
            mean, tail = float(found.plan.cost), tail_mean(case, found.plan.course_costs)
            assert (1 - averse) * mean + averse * tail == pytest.approx(expected, rel=1e-6, abs=1e-4), case["name"]
    assert infeasible < CASES / CHUNKS / 3, "most cases must have a plan, or they show little"


def tail_mean(case: dict[str, Any], costs: tuple[Decimal, ...]) -> float:
    """The mean cost of the costliest thousandths of probability, one by one."""
    thousandths: list[float] = []
    for cost, course in zip(costs, case["demand_scenarios"], strict=True):
        thousandths += [float(cost)] * round(1000 * float(course["probability"]))
    worst = sorted(thousandths, reverse=True)[: round(1000 * float(case.get("risk_tail_ratio", 0.2)))]
    return sum(worst) / len(worst)


def test_every_constraint_binds_in_many_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each constraint there are at least ten cases in which the optimum falls when its rows are left out."""
    binding = dict.fromkeys(NAMES, 0)
    for seed in range(CASES):
        of = scenario(draw(seed))
        with_it, rows = solved(of)
        for name in rows if with_it.status == "optimal" else ():
            if binding[name] < BINDING:
                rest = tuple(c for c in constraints.CONSTRAINTS if c.__name__ != name)
                with monkeypatch.context() as patched:
                    patched.setattr(constraints, "CONSTRAINTS", rest)
                    without, _ = solved(of)
                # where there was a plan, to have no optimum is to fall without end
                binding[name] += without.status != "optimal" or without.objective < with_it.objective - 1e-3
    assert {name: n for name, n in binding.items() if n < BINDING} == {}


def solved(of: Scenario) -> tuple[Solution, list[str]]:
    """The exact optimum, and the constraints that made rows."""
    pairs = feasibility.feasible_pairs(of)
    program = build(of, policy=policies.POLICIES["hybrid"], pairs=pairs)
    return solve(program, EXACT), sorted({row.constraint for row in program.rows})


def test_deciding_by_the_quarter_costs_no_less_than_by_the_month() -> None:
    """A plan by quarters keeps every rule in each month, so it is no better than the best plan by months."""
    compared = 0
    for case in (c for c in map(draw, range(CASES)) if "quarters_after_months" in c):
        by_quarter = solve_case(Case(scenario(case), settings=EXACT)).plan
        if by_quarter is not None:
            by_month = solve_case(Case(scenario(case, quarters_after_months=None), settings=EXACT)).plan
            assert by_month is not None, case["name"]
            assert by_quarter.objective >= by_month.objective - 0.001, case["name"]
            assert findings(scenario(case, quarters_after_months=None), by_quarter) == []
            compared += 1
    assert compared >= 20


def test_risk_aversion_makes_the_costly_scenarios_cheaper() -> None:
    """In some of the cases a plan that weighs risk differs from one that does not, and has the cheaper tail."""
    cheaper = 0
    for seed in (s for s in range(CASES) if "risk_aversion_ratio" in draw(s)):
        case = draw(seed)
        averse = solve_case(Case(scenario(case), settings=EXACT)).plan
        neutral = solve_case(Case(scenario(case, risk_aversion_ratio="0"), settings=EXACT)).plan
        if averse is not None and neutral is not None:
            tails = [tail_mean(case, p.course_costs) for p in (averse, neutral)]
            assert tails[0] <= tails[1] + 0.01
            cheaper += tails[0] < tails[1] - 0.01
    assert cheaper >= 3
