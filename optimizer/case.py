"""One case to solve: a scenario under a policy, from the program to a plan that has passed its check."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from pulp import LpVariable

from finops.errors import FinopsError
from optimizer import check, costing, feasibility, policies, terms
from optimizer.build import build
from optimizer.plan import Cover, Move, Plan, Presence, Promise, Purchase, Spare, Use
from optimizer.program import Program, Row
from optimizer.scenario import Scenario
from optimizer.solve import DEFAULTS, Settings, Solution, solve

DIGITS = 12
"""Significant digits of a capacity; what lies beyond is the solver's rounding."""
NOISE = 1e-9
"""Shares of a peak below this are the solver's rounding."""


@dataclass(frozen=True)
class Case:
    """A scenario to be placed under a policy, without some pairs (workload, option)."""

    scenario: Scenario
    policy: str = policies.HYBRID
    forbidden: frozenset[tuple[str, str]] = frozenset()
    settings: Settings = DEFAULTS


@dataclass(frozen=True)
class Outcome:
    """What came of a case: a checked plan, or why there is none.

    status: optimal, feasible (the gap was missed), infeasible, or unsolved (no plan within the time limit).
    """

    status: str
    plan: Plan | None
    reason: str | None
    conflict: tuple[Row, ...]
    seconds: float
    dropped: tuple[tuple[str, str, str], ...] = ()
    """Options left out because another is never worse: workload, option, and that other one."""


def solve_case(case: Case) -> Outcome:
    """Build, solve, cost and check one case.

    Raises FinopsError when the plan fails its check, which would be a fault of the program and not of the scenario;
    ConfigError when a workload has no option at all.
    """
    policy = policies.POLICIES[case.policy]
    pairs = feasibility.feasible_pairs(case.scenario)
    objection = policies.objection(case.scenario, policy, pairs - case.forbidden)
    if objection is not None:
        return Outcome("infeasible", None, objection, (), 0.0)
    program = build(case.scenario, policy=policy, pairs=pairs, forbidden=case.forbidden)
    if (unserved := _unserved(program)) is not None:
        return Outcome("infeasible", None, unserved, (), 0.0)
    solution = solve(program, case.settings)
    if solution.status in ("infeasible", "unsolved"):
        reason = None
        if solution.status == "unsolved":
            reason = f"no plan was found within {case.settings.time_limit_s:g} s"
        return Outcome(solution.status, None, reason, solution.conflict, solution.seconds)
    plan = extract(program, solution)
    if findings := check.findings(case.scenario, plan):
        raise FinopsError(
            f"the plan for {plan.scenario} ({plan.policy}) fails its own check: "
            + "; ".join(f.message for f in findings[:5]),
            expected="a plan that keeps every rule and costs what it says",
            next_step="report this with the scenario file; no plan is shown that fails its check",
        )
    dropped = tuple((w, o, better) for (w, o), better in sorted(program.dropped.items()))
    return Outcome(solution.status, plan, None, (), solution.seconds, dropped)


def _unserved(program: Program) -> str | None:
    """Workloads with months in which nothing that may serve them stands yet, or still, in words."""
    used = {
        (w, month) for family in (program.x, program.a) for (w, _, t, _, _) in family for month in program.period[t]
    }
    reasons = []
    for w in program.scenario.workloads:
        spans = [range(t, t + 1) for t in program.months]
        if w.window_months is not None:
            spans = terms.windows(program.scenario, w)
        empty = [
            terms.month_name(program.scenario, span[0])
            for span in spans
            if any(terms.demand_of_month(w, t) for t in span) and not any((w.name, t) in used for t in span)
        ]
        if empty:
            until = f" to {empty[-1]}" if len(empty) > 1 else ""
            reasons.append(f"nothing that may serve {w.name} can stand in {empty[0]}{until}: lead times and terms")
    return "; ".join(reasons) or None


def extract(program: Program, solution: Solution) -> Plan:
    """The plan that the solved program holds, by months and costed from its schedule."""
    scenario = program.scenario
    uses = tuple(_uses(program))
    purchases = tuple(Purchase(k, t, n) for (k, t), y in program.y.items() if (n := round(y.varValue or 0)) > 0)
    spares = tuple(Spare(k, t, n) for (k, t), held in program.held.items() if (n := round(held.varValue or 0)) > 0)
    promises = tuple(Promise(j, t, n) for (j, t), q in program.q.items() if (n := _digits(q.varValue)) > 0)
    covers = tuple(
        Cover(j, o, month, b, s, n)
        for (j, o, t, b, s), e in program.e.items()
        if (n := _digits(e.varValue)) > 0
        for month in program.period[t]
    )
    moves = tuple(_moves(program))
    lines = costing.cost_lines(scenario, uses, purchases, promises, covers)
    closing = costing.closing_value(scenario, purchases, promises)
    of_courses = (costing.cost_lines(scenario, uses, purchases, promises, covers, course=s) for s in program.courses)
    return Plan(
        scenario=scenario.name,
        policy=program.policy.name,
        currency=scenario.currency,
        status=solution.status,
        cost=costing.present_value(scenario, lines, moves) - closing,
        closing_value=closing,
        objective=solution.objective,
        bound=solution.bound,
        gap_ratio=solution.gap_ratio,
        uses=uses,
        purchases=purchases,
        spares=spares,
        lines=lines,
        promises=promises,
        covers=covers,
        presences=tuple(
            Presence(w, place, month)
            for (w, place, t), here in program.z.items()
            if _is_set(here)
            for month in program.period[t]
        ),
        moves=moves,
        course_costs=tuple(costing.present_value(scenario, of, moves) - closing for of in of_courses),
    )


def _uses(program: Program) -> Iterator[Use]:
    scenario = program.scenario
    for family in (program.x, program.a):
        for (w, o, t, b, s), variable in family.items():
            if (share := variable.varValue or 0.0) <= NOISE:
                continue
            workload = scenario.workload(w)
            peak = program.capacity(workload, scenario.option(o))
            for month in program.period[t]:
                if capacity := _digits(share * program.level(workload, month, s) * peak):
                    yield Use(w, o, month, b, s, capacity)


def _moves(program: Program) -> Iterator[Move]:
    """One move to each location that is new to a workload; the solver may make free ones that lead nowhere."""
    scenario = program.scenario
    made: set[tuple[str, str, int]] = set()
    for (w, origin, place, t), moved in program.move.items():
        workload = scenario.workload(w)
        if t:
            was_here = _is_set(program.z[w, place, program.start[t - 1]])
        else:
            was_here = place == terms.location(scenario.option(str(workload.today)))
        arrives = _is_set(program.z[w, place, t]) and not was_here
        if _is_set(moved) and arrives and (w, place, t) not in made:
            made.add((w, place, t))
            yield Move(w, origin, place, t, terms.moving_cost(scenario, workload, origin))


def _is_set(variable: LpVariable) -> bool:
    return round(variable.varValue or 0) > 0


def _digits(value: float | None) -> Decimal:
    """A value of the solver as a Decimal, without what is its rounding."""
    return Decimal(0) if not value or value <= NOISE else Decimal(f"{value:.{DIGITS}g}")
