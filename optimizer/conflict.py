"""Why there is no plan: rules that cannot be kept together, in words, and what each relaxation would cost."""

from dataclasses import dataclass
from decimal import Decimal

from optimizer import feasibility
from optimizer.case import Case, solve_case
from optimizer.scenario import Scenario
from optimizer.solve import Settings


@dataclass(frozen=True)
class Relaxation:
    """A stated rule without which the scenario has a plan, and what that plan costs."""

    rule: str
    cost: Decimal


def relaxations(scenario: Scenario, settings: Settings) -> tuple[Relaxation, ...]:
    """What the plan costs without each stated rule, the cheapest first; those that help nothing are left out."""
    found = []
    for rule in feasibility.stated_rules(scenario):
        outcome = solve_case(Case(feasibility.lifted(scenario, rule), settings=settings))
        if outcome.plan is not None:
            found.append(Relaxation(rule, outcome.plan.cost))
    return tuple(sorted(found, key=lambda r: r.cost))


def whole_blocks_conflict(scenario: Scenario, policy: str, settings: Settings) -> str:
    """An irreducible set of stated rules that only broken blocks could keep, in words."""
    kept = feasibility.stated_rules(scenario)
    for rule in list(kept):
        fewer = scenario
        for dropped in {*feasibility.stated_rules(scenario)} - {*kept} | {rule}:
            fewer = feasibility.lifted(fewer, dropped)
        if solve_case(Case(fewer, policy, settings=settings)).status == "infeasible":
            kept.remove(rule)
    together = ", ".join(kept) or "lead times, terms and the moments of purchase"
    return f"with whole blocks the demand cannot be met within: {together}"
