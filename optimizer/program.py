"""The mixed-integer program: its sets, its coefficients as floats, its variables, and its objective.

Months t, load blocks b and demand scenarios s are numbered; workloads, options and commitments go by name. The first
stage (y, q, held, open, z, move) is the same in all s, the second (x, a, e) is chosen for each. So that the smallest
workload is solved as exactly as the largest, x and a are in shares of their workload's peak; `capacity` turns them into
capacity-hours per hour.

Where a scenario decides by the quarter after some months, the months of a quarter share their variables, which stand
under its first month: x and a follow the demand of each month by `level`, the others stay as they are. A plan is
written out by months all the same, and keeps every rule in each of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import pulp

from optimizer import feasibility, policies, terms
from optimizer.dominance import never_better
from optimizer.options import Block, Option, PayAsYouGo, SpendCommitment
from optimizer.policies import Policy
from optimizer.scenario import Scenario, Workload

Index = tuple[str | int, ...]
Parts = list[tuple[pulp.LpVariable, float]]
MONTHS_PER_QUARTER = 3


@dataclass(frozen=True)
class Row:
    """One row of the program: the constraint that made it and what it is about."""

    constraint: str
    index: Index


@dataclass
class Program:
    """A scenario under a policy, as variables and rows; `forbidden` pairs (workload, option) are left out.

    A forbidden option may still serve until another one can stand, or the question of what else could would be moot.
    serving and using hold x and a again, by who is served and by what is used.
    """

    scenario: Scenario
    policy: Policy
    pairs: frozenset[tuple[str, str]]
    forbidden: frozenset[tuple[str, str]] = frozenset()
    problem: pulp.LpProblem = field(default_factory=lambda: pulp.LpProblem("placement", pulp.LpMinimize))
    rows: list[Row] = field(default_factory=list)
    x: dict[tuple[str, str, int, int, int], pulp.LpVariable] = field(default_factory=dict)
    a: dict[tuple[str, str, int, int, int], pulp.LpVariable] = field(default_factory=dict)
    e: dict[tuple[str, str, int, int, int], pulp.LpVariable] = field(default_factory=dict)
    y: dict[tuple[str, int], pulp.LpVariable] = field(default_factory=dict)
    q: dict[tuple[str, int], pulp.LpVariable] = field(default_factory=dict)
    held: dict[tuple[str, int], pulp.LpVariable] = field(default_factory=dict)
    open: dict[tuple[str, int], pulp.LpVariable] = field(default_factory=dict)
    z: dict[tuple[str, str, int], pulp.LpVariable] = field(default_factory=dict)
    move: dict[tuple[str, str, str, int], pulp.LpVariable] = field(default_factory=dict)
    eta: pulp.LpVariable | None = None
    xi: dict[int, pulp.LpVariable] = field(default_factory=dict)
    serving: dict[Index, list[tuple[Option, pulp.LpVariable]]] = field(default_factory=lambda: defaultdict(list))
    using: dict[Index, list[tuple[Workload, pulp.LpVariable]]] = field(default_factory=lambda: defaultdict(list))

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

    @cached_property
    def periods(self) -> list[range]:
        """Months that are decided together: single ones, then quarters where the scenario says so."""
        end = self.scenario.horizon_months
        single = min(self.scenario.quarters_after_months or end, end)
        quarters = range(single, end, MONTHS_PER_QUARTER)
        return [range(t, t + 1) for t in range(single)] + [range(t, min(t + MONTHS_PER_QUARTER, end)) for t in quarters]

    @cached_property
    def start(self) -> list[int]:
        """The first month of each month's period."""
        return [period.start for period in self.periods for _ in period]

    @cached_property
    def period(self) -> dict[int, range]:
        """The months of the period that starts in a month."""
        return {period.start: period for period in self.periods}

    def permitted(self, workload: Workload, option: Option, month: int) -> bool:
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
    def dropped(self) -> dict[tuple[str, str], str]:
        """Pairs (workload, option) that can never be better than another option, which is named."""
        return never_better(self.scenario, self.pairs & self._useful, self.permitted)

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
        return any(any(rates) for rates in self._rates[workload.name])

    def hours(self, block: int) -> float:
        """h[b]: hours of a load block in a month."""
        return self._hours[block]

    @cached_property
    def _hours(self) -> list[float]:
        return [float(terms.hours_of_block(self.scenario, b)) for b in self.blocks]

    @cached_property
    def _rates(self) -> dict[str, list[list[float]]]:
        """Mean units per hour of each workload in each demand scenario and month."""
        hours = float(terms.HOURS_PER_MONTH)
        return {
            w.name: [
                [
                    float(terms.demand_of_month(w, t) * terms.course_ratio(self.scenario, w, t, s)) / hours
                    for t in self.months
                ]
                for s in self.courses
            ]
            for w in self.scenario.workloads
        }

    def demand(self, workload: Workload, month: int, block: int, course: int) -> float:
        """D[w,t,b,s] in shares of the workload's peak; of a quarter, that of its highest month."""
        ratio = float(terms.block_ratio(self.scenario, workload, block))
        return self._highest(workload, month, course) * ratio / self.peak(workload)

    def amount(self, workload: Workload, window: range, course: int) -> float:
        """A[w,v,s] in hours of the workload's peak; of monthly windows in a quarter, that of its highest month."""
        hours = float(terms.HOURS_PER_MONTH)
        if len(window) == 1:
            return self._highest(workload, window.start, course) * hours / self.peak(workload)
        rates = self._rates[workload.name][course]
        return sum(rates[t] for t in window) * hours / self.peak(workload)

    def _highest(self, workload: Workload, month: int, course: int) -> float:
        rates = self._rates[workload.name][course]
        return max(rates[t] for t in self.period[self.start[month]])

    def level(self, workload: Workload, month: int, course: int) -> float:
        """How high a month's use is against the variable of its period: as its demand is; 1 within a longer window."""
        if len(self.period[self.start[month]]) == 1 or workload.window_months not in (None, 1):
            return 1.0
        return self._levels[workload.name][course][month]

    @cached_property
    def _levels(self) -> dict[str, list[list[float]]]:
        return {
            w.name: [
                [rate / (self._highest(w, t, s) or 1.0) for t, rate in enumerate(self._rates[w.name][s])]
                for s in self.courses
            ]
            for w in self.scenario.workloads
        }

    def peak(self, workload: Workload) -> float:
        """The highest rate of a workload, units per hour; of work that can wait, the mean of its fullest window."""
        return self._peaks[workload.name]

    @cached_property
    def _peaks(self) -> dict[str, float]:
        peaks = {}
        for w in self.scenario.workloads:
            courses = self._rates[w.name]
            if w.window_months is None:
                ratio = max(float(terms.block_ratio(self.scenario, w, b)) for b in self.blocks)
                peak = ratio * max(max(rates) for rates in courses)
            else:
                spans = terms.windows(self.scenario, w)
                peak = max(sum(rates[t] for t in v) / len(v) for v in spans for rates in courses)
            peaks[w.name] = peak or 1.0
        return peaks

    def capacity(self, workload: Workload, option: Option) -> float:
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

    def price(self, option: PayAsYouGo, month: int) -> float:
        """c[o,t]."""
        return self._prices[option.name][month]

    @cached_property
    def _prices(self) -> dict[str, list[float]]:
        return {o.name: [float(terms.unit_price(o, t)) for t in self.months] for o in self.scenario.pay_as_you_go}

    @cached_property
    def discount(self) -> list[float]:
        """delta[t]."""
        return [float(terms.discount_factor(self.scenario, t)) for t in self.months]

    def moving_cost(self, workload: Workload, origin: str) -> float:
        """E[w,f,g], the same for all g."""
        return float(terms.moving_cost(self.scenario, workload, origin)) if workload.moving is not None else 0.0

    # ------------------------------------------------------------------------------------------------------ expressions
    def purchases(self, option: Block) -> list[tuple[int, pulp.LpVariable]]:
        """The months in which the block may be bought, with their variables."""
        return self._purchases.get(option.name, [])

    @cached_property
    def _purchases(self) -> dict[str, list[tuple[int, pulp.LpVariable]]]:
        found: dict[str, list[tuple[int, pulp.LpVariable]]] = defaultdict(list)
        for (name, t), y in self.y.items():
            found[name].append((t, y))
        return found

    def active(self, option: Block, month: int) -> tuple[Parts, int]:
        """active[k,t] as terms and a constant: bought, arrived and not yet expired; and what stood before."""
        bought = [(y, 1.0) for t, y in self.purchases(option) if terms.serves(option, t, month)]
        return bought, terms.standing(option, month)

    def promised(self, commitment: SpendCommitment, month: int) -> tuple[Parts, float]:
        """active[j,t], money per hour, as terms and a constant."""
        entered = [
            (q, 1.0) for (j, t), q in self.q.items() if j == commitment.name and terms.is_promised(commitment, t, month)
        ]
        return entered, float(terms.promised_before(commitment, month))

    def use(self, option: Option, month: int, block: int, course: int) -> Parts:
        """The capacity of an option that the workloads use."""
        return [
            (variable, self.capacity(w, option) * self.level(w, month, course))
            for w, variable in self.using.get((option.name, self.start[month], block, course), ())
        ]

    def use_cost(self, months: Iterable[int], course: int, weight: Callable[[int], float] | None = None) -> Parts:
        """Cash for pay-as-you-go use in months: sum of h[b] (c x - c e), each month times its weight."""
        weights: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for t in months:
            weights[self.start[t]].append((t, weight(t) if weight else 1.0))
        parts: Parts = []
        for start, of_months in weights.items():
            for o in self.scenario.pay_as_you_go:
                plain = sum(factor * self.price(o, t) for t, factor in of_months)
                for b in self.blocks:
                    for w, variable in self.using.get((o.name, start, b, course), ()):
                        amount = sum(f * self.price(o, t) * self.level(w, t, course) for t, f in of_months)
                        parts.append((variable, self.hours(b) * amount * self.capacity(w, o)))
                    for j in self.scenario.spend_commitments:
                        if (covered := self.e.get((j.name, o.name, start, b, course))) is not None:
                            parts.append((covered, -self.hours(b) * plain))
        return parts

    def fixed_cash(self, month: int) -> tuple[Parts, float]:
        """Cash that is the same in all demand scenarios, as terms and a constant: F y, m active, H promised, E move."""
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
        for j in self.scenario.spend_commitments:
            entered, before = self.promised(j, month)
            cash += [(q, float(terms.HOURS_PER_MONTH)) for q, _ in entered]
            fixed += before * float(terms.HOURS_PER_MONTH)
        for (w, origin, _, t), move in self.move.items():
            if t == month:
                cash.append((move, self.moving_cost(self.scenario.workload(w), origin)))
        return cash, fixed

    def first_stage_cost(self) -> tuple[Parts, float]:
        """Discounted cash that is the same in all demand scenarios, less the discounted value left at the end."""
        parts: Parts = []
        constant = 0.0
        for t in self.months:
            cash, standing = self.fixed_cash(t)
            parts += [(variable, self.discount[t] * amount) for variable, amount in cash]
            constant += self.discount[t] * standing
        for k in self.scenario.blocks:
            for bought, y in self.purchases(k):
                factor = terms.closing_factor(self.scenario, terms.closing_month(self.scenario, k, bought))
                parts.append((y, -float(terms.closing_value(self.scenario, k, bought) * factor)))
        for (name, bought), q in self.q.items():
            owed = terms.owed_beyond(self.scenario, self.scenario.spend_commitment(name), bought)
            parts.append((q, float(owed * terms.closing_factor(self.scenario, self.scenario.horizon_months))))
        return parts, constant

    def course_cost(self, course: int) -> Parts:
        """Discounted cash for pay-as-you-go use under one demand scenario."""
        return self.use_cost(self.months, course, lambda t: self.discount[t])

    def add(self, constraint: str, index: Index, sense: int, parts: Parts, rhs: float) -> None:
        """Add one row: sum of parts (sense) rhs, named after its constraint and index."""
        name = f"{constraint}({','.join(map(str, index))})".translate(_LP_NAME)
        self.problem.addConstraint(pulp.LpConstraint(summed(parts), sense=sense, name=name, rhs=rhs))
        self.rows.append(Row(constraint, index))


_LP_NAME = str.maketrans("-+[] ->/,", "_________")


def summed(parts: Parts) -> pulp.LpAffineExpression:
    """The sum of terms, those of one variable together."""
    coefficients: dict[pulp.LpVariable, float] = {}
    for variable, coefficient in parts:
        coefficients[variable] = coefficients.get(variable, 0.0) + coefficient
    return pulp.LpAffineExpression(coefficients)
