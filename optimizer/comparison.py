"""A plan beside others: forced policies, their cost curves and crossings, and the price of each rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate, combinations

from optimizer import feasibility, policies
from optimizer.case import Outcome
from optimizer.conflict import whole_blocks_conflict
from optimizer.plan import Plan
from optimizer.scenario import Scenario
from optimizer.solve import Settings
from optimizer.words import in_words

ROUNDING_RATIO = Decimal("1e-7")
"""Differences of cost below this ratio are the solver's rounding."""


@dataclass(frozen=True)
class PolicyResult:
    """The same demand under one policy: its plan, or why it cannot be followed."""

    policy: str
    title: str
    status: str
    plan: Plan | None
    reason: str | None
    """Why there is no plan, or which workloads could not follow the policy and why."""
    cumulative_cash: tuple[Decimal, ...]
    """Cash paid by the end of each month, undiscounted."""


@dataclass(frozen=True)
class Crossing:
    """From a month to the end of the horizon one policy has cost less than another that was cheaper before."""

    cheaper: str
    dearer: str
    month: int


@dataclass(frozen=True)
class Warned:
    """A policy that has cost more than the plan by the stated ratio, from a month to the end of the horizon."""

    policy: str
    title: str
    month: int
    excess_at_end: Decimal


@dataclass(frozen=True)
class RulePrice:
    """What one rule costs over the horizon: cost with it less cost without it, and the range that the gaps leave."""

    rule: str
    cost_without: Decimal | None
    price: Decimal | None
    low: Decimal | None
    high: Decimal | None
    status: str

    @property
    def is_measurable(self) -> bool:
        """Whether the rule costs anything that the solver's gaps do not hide."""
        if self.low is None or self.cost_without is None:
            return False
        return self.low > self.cost_without * ROUNDING_RATIO


def policy_result(scenario: Scenario, policy: str, outcome: Outcome, settings: Settings) -> PolicyResult:
    title = policies.POLICIES[policy].title
    reason = outcome.reason or "; ".join(in_words(scenario, outcome.conflict)) or None
    if outcome.status == "infeasible" and reason is None:
        reason = whole_blocks_conflict(scenario, policy, settings)
    if outcome.plan is not None:
        pairs = feasibility.feasible_pairs(scenario)
        exempted = policies.exempt(scenario, policies.POLICIES[policy], pairs)
        reason = "; ".join(f"{name} stays as it is: {why}" for name, why in exempted.items()) or None
    plan, months = outcome.plan, range(scenario.horizon_months)
    curve = tuple(accumulate(plan.monthly_cash(months))) if plan else ()
    return PolicyResult(policy, title, outcome.status, outcome.plan, reason, curve)


def crossings(results: Sequence[PolicyResult]) -> list[Crossing]:
    """For each pair of policies the month from which one that cost more at first has cost less for good."""
    found = []
    for one, other in combinations([r for r in results if r.plan is not None], 2):
        leads = [_sign(a - b) for a, b in zip(one.cumulative_cash, other.cumulative_cash, strict=True)]
        if not leads[-1]:
            continue
        month = next((t + 1 for t in reversed(range(len(leads))) if leads[t] != leads[-1]), 0)
        if month and -leads[-1] in leads:
            cheaper, dearer = (one, other) if leads[-1] < 0 else (other, one)
            found.append(Crossing(cheaper.policy, dearer.policy, month))
    return sorted(found, key=lambda c: (c.month, c.cheaper, c.dearer))


def _sign(amount: Decimal) -> int:
    return (amount > 0) - (amount < 0)


def warnings(results: Sequence[PolicyResult], ratio: Decimal) -> list[Warned]:
    """Policies of one kind of hosting that pass the hybrid plan by more than a ratio, from a month on for good."""
    hybrid = next(r for r in results if r.policy == policies.HYBRID)
    found = []
    for other in results:
        if other.policy in (policies.HYBRID, "on_prem") or other.plan is None:
            continue
        above = [b > a * (1 + ratio) for a, b in zip(hybrid.cumulative_cash, other.cumulative_cash, strict=True)]
        if above[-1]:
            month = next((t + 1 for t in reversed(range(len(above))) if not above[t]), 0)
            excess = other.cumulative_cash[-1] - hybrid.cumulative_cash[-1]
            found.append(Warned(other.policy, other.title, month, excess))
    return found


def rule_price(rule: str, plan: Plan, without: Outcome) -> RulePrice:
    """The plan's cost less the cost without the rule; the range holds whatever the solver left open in either.

    low = bound with - cost without; high = cost with - bound without. With risk aversion all of them are of the
    weighted cost, which is what plan and bound minimise.
    """
    other = without.plan
    if other is None:
        return RulePrice(rule, None, None, None, None, without.status)
    cost = _minimised(plan)
    cost_without = min(_minimised(other), cost)  # the plan itself is one without the rule
    price = cost - cost_without
    low = min(_money(plan.bound) - cost_without, price)
    high = max(cost - _money(other.bound), price)
    return RulePrice(rule, cost_without, price, low, high, without.status)


def _minimised(plan: Plan) -> Decimal:
    """The cost, exact, or the weighted cost where risk counts."""
    objective = _money(plan.objective)
    return plan.cost if abs(objective - plan.cost) <= ROUNDING_RATIO * abs(plan.cost) + 1 else objective


def _money(amount: float) -> Decimal:
    return Decimal(amount).quantize(Decimal("1e-6"))
