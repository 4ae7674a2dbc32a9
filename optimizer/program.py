"""The mixed-integer program: its sets, its coefficients as floats, its variables, and its objective.

Months t, load blocks b and demand scenarios s are numbered; workloads and options go by name. The first stage (y, held,
open) is the same in all s, the second (x, a) is chosen for each. So that the smallest workload is solved as exactly as
the largest, x and a are in shares of their workload's peak; `capacity` turns them into capacity-hours per hour.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import pulp

from optimizer import constraints, feasibility, policies, terms
from optimizer.options import Block, PayAsYouGo
from optimizer.policies import Policy
from optimizer.scenario import Scenario, Workload

Index = tuple[str | int, ...]
Parts = list[tuple[pulp.LpVariable, float]]


@dataclass(frozen=True)
class Row:
    """One row of the program: the constraint that made it and what it is about."""

    constraint: str
    index: Index


@dataclass
class Program:
    """A scenario under a policy, as variables and rows; `forbidden` pairs (workload, option) are left out.

    A forbidden option may still serve until another one can stand, or the question of what else could would be moot.
    """

    scenario: Scenario
    policy: Policy
    pairs: frozenset[tuple[str, str]]
    forbidden: frozenset[tuple[str, str]] = frozenset()
    problem: pulp.LpProblem = field(default_factory=lambda: pulp.LpProblem("placement", pulp.LpMinimize))
    rows: list[Row] = field(default_factory=list)
    x: dict[Index, pulp.LpVariable] = field(default_factory=dict)
    a: dict[Index, pulp.LpVariable] = field(default_factory=dict)
    y: dict[tuple[str, int], pulp.LpVariable] = field(default_factory=dict)
    held: dict[tuple[str, int], pulp.LpVariable] = field(default_factory=dict)
    open: dict[tuple[str, int], pulp.LpVariable] = field(default_factory=dict)

    # ------------------------------------------------------------------------------------------------------------- sets
    @property
    def months(self) -> range:
        """T."""
        return range(self.scenario.horizon_months)

    @property
    def blocks(self) -> range:
        """B, load blocks."""
        return range(len(self.scenario.load_blocks))

    @property
    def courses(self) -> range:
        """S, demand scenarios."""
        return range(len(self.scenario.demand_scenarios))

    @property
    def years(self) -> list[range]:
        """The months of each year of the horizon."""
        end = self.scenario.horizon_months
        return [range(start, min(start + 12, end)) for start in range(0, end, 12)]

    def permitted(self, workload: Workload, option: PayAsYouGo | Block, month: int) -> bool:
        """Whether rules and policy let the workload use the option in that month."""
        pair = (workload.name, option.name)
        if pair not in self.pairs or pair not in self._useful:
            return False
        if pair in self.forbidden and month >= self._alternative[workload.name]:
            return False
        if month < self._bridge[workload.name]:
            return policies.bridges(workload, option)
        return policies.follows(self.policy, workload, option, self._exempt)

    @cached_property
    def _alternative(self) -> dict[str, int]:
        """The month in which each workload's first option that is not forbidden can serve."""
        first: dict[str, int] = {}
        for w, o in self.pairs - self.forbidden:
            month = feasibility.first_month(self.scenario, self.scenario.option(o))
            if month is not None:
                first[w] = min(month, first.get(w, month))
        return defaultdict(int, first)

    @cached_property
    def _exempt(self) -> frozenset[str]:
        return frozenset(policies.exempt(self.scenario, self.policy, self.pairs - self.forbidden))

    @cached_property
    def _bridge(self) -> dict[str, int]:
        pairs = self.pairs - self.forbidden
        return {w.name: policies.bridge_until(self.scenario, self.policy, w, pairs) for w in self.scenario.workloads}

    @cached_property
    def _useful(self) -> frozenset[tuple[str, str]]:
        """Pairs of workloads that have any demand."""
        return frozenset(p for p in self.pairs if self.has_demand(self.scenario.workload(p[0])))

    # ----------------------------------------------------------------------------------------------------- coefficients
    def has_demand(self, workload: Workload) -> bool:
        """Whether it needs anything at all."""
        return any(terms.demand_of_month(workload, t) for t in self.months)

    def hours(self, block: int) -> float:
        """h[b]: hours of a load block in a month."""
        return float(terms.hours_of_block(self.scenario, block))

    def demand(self, workload: Workload, month: int, block: int, course: int) -> float:
        """D[w,t,b,s] in shares of the workload's peak."""
        return float(terms.demand_rate(self.scenario, workload, month, block, course)) / self.peak(workload)

    def amount(self, workload: Workload, window: range, course: int) -> float:
        """A[w,v,s] in hours of the workload's peak."""
        return float(terms.window_amount(self.scenario, workload, window, course)) / self.peak(workload)

    def peak(self, workload: Workload) -> float:
        """The highest rate of a workload, units per hour; of work that can wait, the mean of its fullest window."""
        return self._peaks[workload.name]

    @cached_property
    def _peaks(self) -> dict[str, float]:
        peaks = {}
        for w in self.scenario.workloads:
            if w.window_months is None:
                slots = ((t, b, s) for t in self.months for b in self.blocks for s in self.courses)
                rates = [float(terms.demand_rate(self.scenario, w, *slot)) for slot in slots]
            else:
                month = float(terms.HOURS_PER_MONTH)
                spans = terms.windows(self.scenario, w)
                rates = [
                    float(terms.window_amount(self.scenario, w, v, s)) / (len(v) * month)
                    for v in spans
                    for s in self.courses
                ]
            peaks[w.name] = max(rates) or 1.0
        return peaks

    def capacity(self, workload: Workload, option: PayAsYouGo | Block) -> float:
        """Capacity-hours per hour that the whole peak takes: peak / (u r), or peak / r of a block."""
        return self._capacities[workload.name, option.name]

    @cached_property
    def _capacities(self) -> dict[tuple[str, str], float]:
        capacities = {}
        for w in self.scenario.workloads:
            for o in self.scenario.options:
                r = terms.throughput(w, o)
                u = terms.planned_ratio(o) if isinstance(o, PayAsYouGo) else 1
                if r is not None:
                    capacities[w.name, o.name] = self.peak(w) / float(r * u)
        return capacities

    def probability(self, course: int) -> float:
        """p[s]."""
        return float(self.scenario.demand_scenarios[course].probability)

    # ------------------------------------------------------------------------------------------------------ expressions
    def purchases(self, option: Block) -> Iterator[tuple[int, pulp.LpVariable]]:
        """The months in which the block may be bought, with their variables."""
        return ((t, self.y[option.name, t]) for t in self.months if (option.name, t) in self.y)

    def active(self, option: Block, month: int) -> tuple[Parts, int]:
        """active[k,t] as terms and a constant: bought, arrived and not yet expired; and what stood before."""
        bought = [(y, 1.0) for t, y in self.purchases(option) if terms.serves(option, t, month)]
        return bought, terms.standing(option, month)

    def use_cost(self, month: int, course: int) -> Parts:
        """Cash for pay-as-you-go use in a month under a demand scenario: sum of h[b] c[o,t] x."""
        return [
            (x, self.hours(b) * price * self.capacity(w, o))
            for o in self.scenario.pay_as_you_go
            for price in [float(terms.unit_price(o, month))]
            for w in self.scenario.workloads
            for b in self.blocks
            if (x := self.x.get((w.name, o.name, month, b, course))) is not None
        ]

    def block_cash(self, month: int) -> tuple[Parts, float]:
        """Cash for blocks in a month as terms and a constant: F y and m active."""
        cash: Parts = []
        fixed = 0.0
        for k in self.scenario.blocks:
            for bought, y in self.purchases(k):
                amount = float(terms.purchase_price(k, bought)) if bought == month else 0.0
                if terms.serves(k, bought, month):
                    amount += float(terms.running_cost(k, bought, month))
                if amount:
                    cash.append((y, amount))
            if count := terms.standing(k, month):
                fixed += count * float(terms.running_cost(k, -1, month))
        return cash, fixed

    def add(self, constraint: str, index: Index, sense: int, parts: Parts, rhs: float) -> None:
        """Add one row: sum of parts (sense) rhs, named after its constraint and index."""
        name = f"{constraint}({','.join(map(str, index))})".translate(_LP_NAME)
        self.problem.addConstraint(pulp.LpConstraint(_summed(parts), sense=sense, name=name, rhs=rhs))
        self.rows.append(Row(constraint, index))


_LP_NAME = str.maketrans("-+[] ->/,", "_________")


def _summed(parts: Parts) -> pulp.LpAffineExpression:
    coefficients: dict[pulp.LpVariable, float] = {}
    for variable, coefficient in parts:
        coefficients[variable] = coefficients.get(variable, 0.0) + coefficient
    return pulp.LpAffineExpression(coefficients)


def build(
    scenario: Scenario,
    *,
    policy: Policy,
    pairs: frozenset[tuple[str, str]],
    forbidden: frozenset[tuple[str, str]] = frozenset(),
) -> Program:
    """The program of a scenario under a policy, with every constraint of docs/model.md."""
    program = Program(scenario, policy, pairs, forbidden)
    _add_variables(program)
    _set_objective(program)
    for constraint in constraints.CONSTRAINTS:
        constraint(program)
    return program


def _add_variables(p: Program) -> None:
    for i, w in enumerate(p.scenario.workloads):
        for j, o in enumerate(p.scenario.options):
            for t in p.months:
                if not p.permitted(w, o, t):
                    continue
                if isinstance(o, PayAsYouGo) and terms.is_available(p.scenario, o, t):
                    kind, family = "x", p.x
                elif not isinstance(o, PayAsYouGo) and _can_stand(p, o, t):
                    kind, family = "a", p.a
                else:
                    continue
                for b in p.blocks:
                    for s in p.courses:
                        name = f"{kind}_w{i}_o{j}_t{t:02d}_b{b}_s{s}"
                        family[w.name, o.name, t, b, s] = p.problem.add_variable(name, lowBound=0)
    used = {str(option) for _, option, *_ in p.a}
    for j, k in enumerate(p.scenario.options):
        if isinstance(k, PayAsYouGo):
            continue
        for t in p.months:
            if k.name in used and terms.may_be_bought(p.scenario, k, t):
                p.y[k.name, t] = p.problem.add_variable(f"y_o{j}_t{t:02d}", lowBound=0, cat=pulp.LpInteger)
    for j, site in enumerate(p.scenario.sites):
        servers = [k for k in p.scenario.blocks if getattr(k, "site", None) == site.name]
        for t in p.months:
            standing = [k for k in servers if any(p.active(k, t))]
            if not site.spare or not standing:
                continue
            p.open[site.name, t] = p.problem.add_variable(f"open_g{j}_t{t:02d}", cat=pulp.LpBinary)
            for k in standing:
                name = f"held_o{p.scenario.options.index(k)}_t{t:02d}"
                p.held[k.name, t] = p.problem.add_variable(name, lowBound=0, cat=pulp.LpInteger)


def _can_stand(p: Program, option: Block, month: int) -> bool:
    first = feasibility.first_month(p.scenario, option)
    return (
        first is not None
        and first <= month
        and (
            terms.standing(option, month) > 0
            or any(
                terms.may_be_bought(p.scenario, option, t) and terms.serves(option, t, month) for t in range(month + 1)
            )
        )
    )


def _set_objective(p: Program) -> None:
    """sum_s p[s] cost[s]: discounted cash less the discounted value that is left at the end."""
    parts: Parts = []
    fixed = 0.0
    for t in p.months:
        delta = float(terms.discount_factor(p.scenario, t))
        for s in p.courses:
            parts += [(x, delta * p.probability(s) * cost) for x, cost in p.use_cost(t, s)]
        cash, standing = p.block_cash(t)
        parts += [(y, delta * amount) for y, amount in cash]
        fixed += delta * standing
    for k in p.scenario.blocks:
        for bought, y in p.purchases(k):
            factor = terms.closing_factor(p.scenario, terms.closing_month(p.scenario, k, bought))
            parts.append((y, -float(terms.closing_value(p.scenario, k, bought) * factor)))
    p.problem.setObjective(_summed(parts) + fixed)
