"""What a plan costs on each of many paths that demand may take.

On a path what was bought, promised and set up stays as the plan has it, and the rest follows the demand at least cost;
budgets and other rules of the company are not enforced there, because no rule keeps demand from coming: how often a
budget is passed is told instead.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pulp
from numpy.typing import NDArray

from finops.errors import FinopsError
from optimizer import feasibility, policies, terms
from optimizer.build import build
from optimizer.demand import Ratios
from optimizer.options import Server
from optimizer.plan import Plan
from optimizer.program import Index, Parts
from optimizer.scenario import DemandScenario, Scenario

MEASURED: Final = ("budget", "provider_share", "carbon")
"""Rules that are lifted on the paths."""
SHORTFALL_PRICE: Final = 3.0
"""What work that cannot be done is charged while a path is solved, against the dearest way to do it."""
TIME_LIMIT_S: Final = 60.0
INFINITE: Final = float("inf")


@dataclass(frozen=True)
class Risk:
    """What the plan costs on random paths of demand, present value.

    tail_mean: of the costliest share of paths (risk_tail_ratio). over_budget: for each year with a budget the share of
    paths on which its cash passes it. short_ratio: the share of paths on which some work cannot be done; its cost is
    not counted. expected_regret: what the plan costs more than plans made for each demand scenario alone, on average.
    """

    paths: int
    mean: float
    p10: float
    p50: float
    p90: float
    tail_mean: float
    over_budget: tuple[float, ...]
    short_ratio: float
    expected_regret: float | None


# -------------------------------------------------------------------------------------------------- a plan on the paths
def evaluate(
    scenario: Scenario, plan: Plan, ratios: Ratios, *, regret: float | None, say: Callable[[str], None]
) -> Risk:
    """What the plan costs on the paths: at least one, as many as TIME_LIMIT_S allows."""
    model = _Recourse(scenario, plan, ratios.max(axis=0))
    started, costs, cash, short = time.perf_counter(), [], [], 0
    for number, path in enumerate(ratios):
        if number and time.perf_counter() - started > TIME_LIMIT_S:
            say(f"{scenario.name}: risk on {number} of {len(ratios)} paths, because each takes its time")
            break
        cost, by_year, shortfall = model.solve(path)
        costs.append(cost)
        cash.append(by_year)
        short += shortfall
    values, years = np.array(costs), np.array(cash)
    tail = float(scenario.risk_tail_ratio)
    costliest = np.sort(values)[-max(round(tail * len(values)), 1) :]
    limits = scenario.rules.budget_per_year
    passed = [
        float(np.mean(years[:, year] > float(limits[min(year, len(limits) - 1)]) * (1 + 1e-9)))
        for year in (range(years.shape[1]) if limits else ())
    ]
    p10, p50, p90 = (float(v) for v in np.quantile(values, (0.1, 0.5, 0.9)))
    mean, tail_mean = float(values.mean()), float(costliest.mean())
    return Risk(len(values), mean, p10, p50, p90, tail_mean, tuple(passed), short / len(values), regret)


@dataclass(frozen=True)
class _Need:
    """A row that follows demand: its bounds for the highest course, and what they are multiplied with on a path."""

    row: int
    lower: float
    upper: float
    factor: Callable[[Ratios], float]


class _Recourse:
    """The program with its first stage fixed to a plan, solved again and again for other demand."""

    def __init__(self, scenario: Scenario, plan: Plan, highest: NDArray[np.float64]) -> None:
        course = DemandScenario(
            name="highest",
            probability=Decimal(1),
            demand_ratio=Decimal(1),
            workloads={w.name: tuple(map(Decimal, map(str, highest[i]))) for i, w in enumerate(scenario.workloads)},
        )
        alone = {"demand_scenarios": (course,), "quarters_after_months": None, "risk_aversion_ratio": Decimal(0)}
        free = scenario
        for rule in MEASURED:
            free = feasibility.lifted(free, rule)
        self.scenario = free.model_copy(update=alone)
        policy = policies.POLICIES[plan.policy]
        self.program = build(self.scenario, policy=policy, pairs=feasibility.feasible_pairs(self.scenario))
        self._fix(plan)
        solver = pulp.HiGHS(msg=False, threads=1, random_seed=1)
        solver.createAndConfigureSolver(self.program.problem)
        solver.buildSolverModel(self.program.problem)
        self.model: Any = self.program.problem.solverModel
        self.highest = highest
        self.dearest = SHORTFALL_PRICE * max((abs(v) for v in self.program.problem.objective.values()), default=1.0)
        self._needs, self._slack = self._add_slack()
        self._years = [self._cash_of(months) for months in self.program.years]

    def _fix(self, plan: Plan) -> None:
        """Everything that is decided before demand is known."""
        p = self.program
        bought = {(b.option, b.month): b.count for b in plan.purchases}
        promised = {(c.commitment, c.month): c.money_per_hour for c in plan.promises}
        spares = {(k.option, k.month): k.count for k in plan.spares}
        present = {(x.workload, x.location, x.month) for x in plan.presences}
        moved = {(m.workload, m.origin, m.location, m.month) for m in plan.moves}
        stands = {
            (k.site, t)
            for k in self.scenario.blocks
            if isinstance(k, Server)
            for t in p.months
            if terms.standing(k, t) or any(o == k.name and terms.serves(k, m, t) for (o, m), n in bought.items() if n)
        }
        values: list[tuple[pulp.LpVariable, float]] = [
            *((y, float(bought.get(key, 0))) for key, y in p.y.items()),
            *((q, float(promised.get(key, 0))) for key, q in p.q.items()),
            *((held, float(spares.get(key, 0))) for key, held in p.held.items()),
            *((is_open, float(key in stands)) for key, is_open in p.open.items()),
            *((z, float(key in present)) for key, z in p.z.items()),
            *((move, float(key in moved)) for key, move in p.move.items()),
        ]
        for variable, value in values:
            variable.lowBound = variable.upBound = value
            variable.cat = pulp.LpContinuous

    def _add_slack(self) -> tuple[list[_Need], list[int]]:
        """Rows that follow demand, and the columns of what cannot be done of the work that they ask for."""
        needs, slack = [], []
        for row, made in enumerate(self.program.rows):
            if made.constraint in ("serve", "deliver", "spot_share"):
                _, lower, upper, _ = self.model.getRow(row)
                needs.append(_Need(row, lower, upper, self._factor(made.index)))
            if made.constraint in ("serve", "deliver"):
                self.model.addCol(self.dearest, 0.0, INFINITE, 1, np.array([row], dtype=np.int32), np.array([1.0]))
                slack.append(self.model.getNumCol() - 1)
            if made.constraint == "presence" and len(made.index) == 4:  # a least share is of demand not known yet
                self.model.changeRowBounds(row, -INFINITE, INFINITE)
        return needs, slack

    def _factor(self, key: Index) -> Callable[[Ratios], float]:
        """The demand of a row on a path, against that of the highest course."""
        w = self.scenario.workload(str(key[0]))
        i = self.scenario.workloads.index(w)
        if w.window_months is None:
            t = int(key[1])
            return lambda path: float(path[i, t] / self.highest[i, t])
        window = terms.windows(self.scenario, w)[int(key[1])]
        stated = np.array([float(terms.demand_of_month(w, t)) for t in window])
        most = float(stated @ self.highest[i, window.start : window.stop]) or 1.0
        return lambda path: float(stated @ path[i, window.start : window.stop]) / most

    def _cash_of(self, months: range) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
        """Columns and amounts whose sum, with the constant, is the cash of a year."""
        parts: Parts = self.program.use_cost(months, 0)
        fixed = 0.0
        for t in months:
            cash, standing = self.program.fixed_cash(t)
            parts += cash
            fixed += standing
        columns = np.array([v.index for v, _ in parts], dtype=np.int64)
        return columns, np.array([amount for _, amount in parts]), fixed

    def solve(self, path: Ratios) -> tuple[float, list[float], bool]:
        """Cost, cash of each year, and whether some work could not be done."""
        for need in self._needs:
            ratio = need.factor(path)
            self.model.changeRowBounds(need.row, need.lower * ratio, need.upper * ratio)
        self.model.run()
        if self.model.getModelStatus().name != "kOptimal":
            raise FinopsError(
                f"a path of demand could not be costed: {self.model.getModelStatus().name}",
                expected="a cost for every path",
                next_step="report this with the scenario file",
            )
        values = np.array(self.model.getSolution().col_value)
        info = self.model.getInfo()
        unserved = float(values[self._slack].sum()) if self._slack else 0.0
        penalty = unserved * self.dearest
        cost = float(info.objective_function_value) + self.program.problem.objective.constant - penalty
        cash = [float(values[columns] @ amounts) + fixed for columns, amounts, fixed in self._years]
        return cost, cash, unserved > 1e-6
