"""What the plan hangs on: its cost under other assumptions, and how far off demand or use must be to change it."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from optimizer import terms
from optimizer.case import Case, Outcome
from optimizer.options import Metered, Rented, Reservation, Server
from optimizer.plan import Plan
from optimizer.scenario import DemandScenario, Scenario
from optimizer.solve import Settings

VOLUMES: Final = tuple(map(Decimal, ("0.1", "0.25", "0.5", "0.75", "1.5", "2", "3", "5", "10")))
USES: Final = tuple(map(Decimal, ("0.25", "0.5", "0.75", "0.9", "1.1", "1.25", "1.5")))
"""Demand, and the share of owned and reserved capacity that is used, against what is stated."""


@dataclass(frozen=True)
class Swing:
    """What the best plan costs when one assumption is lower or higher; None where there is then no plan."""

    factor: str
    low: str
    high: str
    low_cost: Decimal | None
    high_cost: Decimal | None


@dataclass(frozen=True)
class Flip:
    """Between two multiples of demand or use the main kind of hosting becomes another one."""

    factor: str
    below: Decimal
    above: Decimal
    hosting: str
    other: str


Change = Callable[[Scenario], Scenario]


def cases(scenario: Scenario, settings: Settings) -> list[Case]:
    """Every solve that the tornado and the flips need, in the order in which `swings` and `flips` read them.

    They are made for expected demand, as the first is without any change: the differences are what counts.
    """
    expected = _with_expected_demand(scenario)
    changed = [change(expected) for _, _, low, _, high in _FACTORS for change in (low, high)]
    changed += [_with_demand(ratio)(expected) for ratio in VOLUMES] + [_with_use(ratio)(expected) for ratio in USES]
    return [Case(one, settings=settings) for one in (expected, *changed)]


def swings(outcomes: list[Outcome], plan: Plan) -> tuple[Swing, ...]:
    """The tornado: what each assumption does to the cost, the widest first."""
    base, *varied = outcomes[: 1 + 2 * len(_FACTORS)]
    costs = [None if base.plan is None or o.plan is None else plan.cost + o.plan.cost - base.plan.cost for o in varied]
    found = [
        Swing(factor, low, high, costs[2 * i], costs[2 * i + 1]) for i, (factor, low, _, high, _) in enumerate(_FACTORS)
    ]
    return tuple(sorted(found, key=lambda s: -_width(s, plan.cost)))


def _width(swing: Swing, cost: Decimal) -> Decimal:
    known = [c for c in (swing.low_cost, swing.high_cost, cost) if c is not None]
    return max(known) - min(known)


def flips(scenario: Scenario, outcomes: list[Outcome]) -> tuple[Flip, ...]:
    """The nearest multiples of demand and use on each side at which most money goes to another kind of hosting."""
    base, *rest = outcomes[:1] + outcomes[1 + 2 * len(_FACTORS) :]
    if base.plan is None:
        return ()
    found: list[Flip] = []
    for factor, ratios, solved in (
        ("demand", VOLUMES, rest[: len(VOLUMES)]),
        ("utilisation", USES, rest[len(VOLUMES) :]),
    ):
        known = {ratio: main_hosting(scenario, o.plan) for ratio, o in zip(ratios, solved, strict=True) if o.plan}
        known[Decimal(1)] = main_hosting(scenario, base.plan)
        for walk in (sorted(r for r in known if r >= 1), sorted((r for r in known if r <= 1), reverse=True)):
            for near, far in pairwise(walk):
                if known[far] != known[Decimal(1)]:
                    found.append(Flip(factor, min(near, far), max(near, far), known[Decimal(1)], known[far]))
                    break
    return tuple(found)


def main_hosting(scenario: Scenario, plan: Plan) -> str:
    """The kind of hosting that gets most of the money; a commitment's is that of cloud."""
    hosting = {o.name: o.hosting for o in scenario.options} | {j.name: "cloud" for j in scenario.spend_commitments}
    money: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in plan.lines:
        money[hosting[line.option]] += line.cash
    return max(sorted(money), key=lambda h: money[h]) if money else "none"


# ----------------------------------------------------------------------------------------------------------- variants
def _options(scenario: Scenario, change: Callable[[Any], dict[str, object]]) -> Scenario:
    return scenario.model_copy(update={"options": tuple(o.model_copy(update=change(o)) for o in scenario.options)})


def _with_expected_demand(scenario: Scenario) -> Scenario:
    """The scenario with the mean of its demand scenarios as the only one."""
    mean = {
        w.name: tuple(
            sum((c.probability * terms.course_ratio(scenario, w, t, s) for s, c in courses), Decimal(0))
            for t in range(scenario.horizon_months)
        )
        for courses in [list(enumerate(scenario.demand_scenarios))]
        for w in scenario.workloads
    }
    only = DemandScenario(name="expected", probability=Decimal(1), demand_ratio=Decimal(1), workloads=mean)
    return scenario.model_copy(update={"demand_scenarios": (only,), "risk_aversion_ratio": Decimal(0)})


def _with_prices(ratio: str) -> Change:
    """Other prices for everything rented or metered."""

    def change(o: Any) -> dict[str, object]:
        if not isinstance(o, Rented | Metered | Reservation):
            return {}
        return {"price": o.price.model_copy(update={"amount": o.price.amount * Decimal(ratio)})}

    return lambda scenario: _options(scenario, change)


def _with_servers(ratio: str) -> Change:
    """Other prices for servers."""

    def change(o: Any) -> dict[str, object]:
        if not isinstance(o, Server):
            return {}
        return {"price": o.price.model_copy(update={"amount": o.price.amount * Decimal(ratio)})}

    return lambda scenario: _options(scenario, change)


def _with_energy(ratio: str) -> Change:
    def change(o: Any) -> dict[str, object]:
        return {"energy_price_per_kwh": o.energy_price_per_kwh * Decimal(ratio)} if isinstance(o, Server) else {}

    return lambda scenario: _options(scenario, change)


def _with_lead_time(months: int) -> Change:
    def change(o: Any) -> dict[str, object]:
        return {"lead_time_months": max(o.lead_time_months + months, 0)} if isinstance(o, Server) else {}

    return lambda scenario: _options(scenario, change)


def _with_use(ratio: Decimal) -> Change:
    """Another planned use of what is paid for whole, within what is possible."""

    def change(o: Any) -> dict[str, object]:
        if not isinstance(o, Server | Reservation):
            return {}
        return {"utilisation_ceiling_ratio": min(o.utilisation_ceiling_ratio * ratio, Decimal(1))}

    return lambda scenario: _options(scenario, change)


def _with_demand(ratio: Decimal) -> Change:
    def change(scenario: Scenario) -> Scenario:
        workloads = tuple(
            w.model_copy(
                update={
                    "demand_per_month": tuple(d * ratio for d in w.demand_per_month)
                    if isinstance(w.demand_per_month, tuple)
                    else w.demand_per_month * ratio
                }
            )
            for w in scenario.workloads
        )
        return scenario.model_copy(update={"workloads": workloads})

    return change


def _with_discount(points: str) -> Change:
    def change(scenario: Scenario) -> Scenario:
        rate = max(scenario.discount_ratio_per_year + Decimal(points), Decimal(0))
        return scenario.model_copy(update={"discount_ratio_per_year": rate})

    return change


_FACTORS: Final[tuple[tuple[str, str, Change, str, Change], ...]] = (
    ("cloud and API prices", "-20 %", _with_prices("0.8"), "+20 %", _with_prices("1.2")),
    ("server prices", "-20 %", _with_servers("0.8"), "+20 %", _with_servers("1.2")),
    ("demand", "-30 %", _with_demand(Decimal("0.7")), "+30 %", _with_demand(Decimal("1.3"))),
    ("use of owned and reserved capacity", "-20 %", _with_use(Decimal("0.8")), "+20 %", _with_use(Decimal("1.2"))),
    ("energy price", "-50 %", _with_energy("0.5"), "+50 %", _with_energy("1.5")),
    ("discount rate", "-4 points", _with_discount("-0.04"), "+4 points", _with_discount("0.04")),
    ("lead time of servers", "-3 months", _with_lead_time(-3), "+3 months", _with_lead_time(3)),
)
"""What is varied, one at a time, with its lower and higher assumption."""
