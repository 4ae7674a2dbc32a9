"""Runs the solver and says what came out: optimal within the gap, only feasible, infeasible and why, or nothing.

HiGHS through PuLP; CBC where HiGHS is missing. PuLP reports Optimal when HiGHS stops at its time limit, so status,
gap and bound are read from HiGHS itself.
"""

import math
import time
from dataclasses import dataclass
from typing import Literal

import pulp

from optimizer.program import Program, Row

Status = Literal["optimal", "feasible", "infeasible", "unsolved"]


@dataclass(frozen=True)
class Settings:
    """How hard the solver tries."""

    time_limit_s: float = 60.0
    gap_ratio: float = 0.005
    threads: int = 1


DEFAULTS = Settings()
PRIMAL_FEASIBLE = 2
"""HiGHS's word for a solution that keeps every row."""


@dataclass(frozen=True)
class Solution:
    """What the solver found. bound: no plan can cost less. gap_ratio: (objective - bound) / objective."""

    status: Status
    objective: float
    bound: float
    gap_ratio: float
    seconds: float
    conflict: tuple[Row, ...] = ()
    """Rows that cannot hold together, where it is infeasible; empty when only whole blocks make it so."""


def solve(program: Program, settings: Settings) -> Solution:
    """Solve a program; its variables then hold the plan when the status is optimal or feasible."""
    started = time.perf_counter()
    solver = pulp.HiGHS(
        msg=False, gapRel=settings.gap_ratio, timeLimit=settings.time_limit_s, threads=settings.threads, random_seed=1
    )
    if not solver.available():
        return _solve_with_cbc(program, settings, started)
    problem = program.problem
    problem.solve(solver)
    if problem.sol_status == pulp.LpSolutionInfeasible:
        return _without_plan("infeasible", started, _conflict(program))
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return _without_plan("unsolved", started)
    info = problem.solverModel.getInfo()
    if info.primal_solution_status != PRIMAL_FEASIBLE:
        return _without_plan("unsolved", started)
    finished = problem.sol_status == pulp.LpSolutionOptimal
    objective = float(info.objective_function_value) + problem.objective.constant
    if any(v.cat == pulp.LpInteger for v in problem.variables()):
        bound = float(info.mip_dual_bound) + problem.objective.constant
    else:  # HiGHS keeps no bound for a program without whole numbers
        bound = objective if finished else -math.inf
    gap = gap_ratio(objective, bound)
    # a gap is measured against the objective without its constant by HiGHS, and with it here
    proven = finished or gap <= settings.gap_ratio
    return Solution("optimal" if proven else "feasible", objective, bound, gap, time.perf_counter() - started)


def gap_ratio(objective: float, bound: float) -> float:
    """How far a plan may be from the best one: (objective - bound) / |objective|, 0 when both are equal."""
    if math.isclose(objective, bound, rel_tol=1e-12, abs_tol=1e-9):
        return 0.0
    return abs(objective - bound) / abs(objective) if objective else math.inf


def _without_plan(status: Status, started: float, conflict: tuple[Row, ...] = ()) -> Solution:
    return Solution(status, math.inf, -math.inf, math.inf, time.perf_counter() - started, conflict)


def _conflict(program: Program) -> tuple[Row, ...]:
    """An irreducible set of rows that cannot hold together; empty when there is a plan with broken blocks."""
    from highspy import Highs, HighsVarType

    model: Highs = program.problem.solverModel
    for variable in program.problem.variables():
        model.changeColIntegrality(variable.index, HighsVarType.kContinuous)
    model.setOptionValue("iis_strategy", 2)  # 0, the default, finds nothing
    _, found = model.getIis()
    return tuple(program.rows[i] for i in found.row_index_)


def _solve_with_cbc(program: Program, settings: Settings, started: float) -> Solution:
    solver = pulp.PULP_CBC_CMD(
        msg=False, gapRel=settings.gap_ratio, timeLimit=settings.time_limit_s, threads=settings.threads
    )
    problem = program.problem
    problem.solve(solver)
    if problem.sol_status == pulp.LpSolutionInfeasible:
        return _without_plan("infeasible", started)
    if problem.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
        return _without_plan("unsolved", started)
    objective = float(pulp.value(problem.objective))
    if problem.sol_status == pulp.LpSolutionIntegerFeasible:  # CBC tells PuLP no bound
        return Solution("feasible", objective, -math.inf, math.inf, time.perf_counter() - started)
    bound = objective - abs(objective) * settings.gap_ratio
    return Solution("optimal", objective, bound, settings.gap_ratio, time.perf_counter() - started)
