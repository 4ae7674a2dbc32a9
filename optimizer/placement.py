"""A scenario placed, with everything that comes with a plan: policies, rule prices, reasons, sensitivity and risk."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import Decimal

from finops.execution import fan_out
from optimizer import feasibility, policies, risk, sensitivity
from optimizer.case import Case, Outcome, solve_case
from optimizer.comparison import (
    Crossing,
    PolicyResult,
    RulePrice,
    Warned,
    crossings,
    policy_result,
    rule_price,
    warnings,
)
from optimizer.conflict import Relaxation, relaxations, whole_blocks_conflict
from optimizer.demand import demand_paths
from optimizer.explanation import Explanation, explanation, main_option
from optimizer.feasibility import Exclusion
from optimizer.plan import Plan
from optimizer.risk import Risk
from optimizer.scenario import DemandScenario, Scenario
from optimizer.sensitivity import Flip, Swing
from optimizer.solve import Settings, gap_ratio
from optimizer.words import in_words

FAN_OUT_SECONDS = 8.0
"""Comparisons that would take longer than this one after another are spread over processes."""
COMPARISON_LIMIT_RATIO = 0.15
"""The share of the plan's own time limit that each comparison may take."""


@dataclass(frozen=True)
class Placement:
    """A scenario placed: the plan within the rules, and everything it is compared with.

    status is the plan's; infeasible comes with the rules in conflict, in words, and what each relaxation would cost.
    """

    scenario: Scenario
    settings: Settings
    status: str
    plan: Plan | None
    conflict: tuple[str, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    policies: tuple[PolicyResult, ...] = ()
    crossings: tuple[Crossing, ...] = ()
    warnings: tuple[Warned, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    dropped: tuple[tuple[str, str, str], ...] = ()
    """Options that can never be better: workload, option, and the option that never costs more."""
    rule_prices: tuple[RulePrice, ...] = ()
    swings: tuple[Swing, ...] = ()
    flips: tuple[Flip, ...] = ()
    risk: Risk | None = None


def place(
    scenario: Scenario, *, settings: Settings, pool: Executor | None = None, say: Callable[[str], None] = lambda _: None
) -> Placement:
    """Place a scenario and everything it is compared with.

    The plan is solved first; the comparisons are independent and go to the pool when that is worth its start. Raises
    ConfigError for a workload that no option fits.
    """
    left_out = tuple(feasibility.exclusions(scenario))
    say(f"{scenario.name}: solving the plan")
    best = solve_case(Case(scenario, settings=settings))
    if best.plan is None:
        return _without_plan(scenario, settings, best, left_out, say)
    brief = replace(settings, time_limit_s=max(settings.time_limit_s * COMPARISON_LIMIT_RATIO, 1.0))

    def solved(cases: list[Case]) -> list[Outcome]:
        worth_it = best.seconds * len(cases) > FAN_OUT_SECONDS
        return fan_out(solve_case, cases, pool=pool if worth_it else None)

    forced = [Case(scenario, policy, settings=brief) for policy in policies.POLICIES if policy != policies.HYBRID]
    say(f"{scenario.name}: {len(forced)} policies")
    of_policies = solved(forced)
    best = _improved(best, of_policies)
    plan = best.plan
    assert plan is not None
    rules = feasibility.stated_rules(scenario)
    mains = {w.name: main for w in scenario.workloads if (main := main_option(scenario, plan, w.name))}
    varied = sensitivity.cases(scenario, brief)
    foreseen = [Case(_alone(scenario, course), settings=brief) for course in scenario.demand_scenarios]
    groups: list[list[Case]] = [
        [Case(feasibility.lifted(scenario, rule), settings=brief) for rule in rules],
        [Case(scenario, forbidden=frozenset({(w, o)}), settings=brief) for w, o in mains.items()],
        varied,
        foreseen if len(foreseen) > 1 else [],
    ]
    say(
        f"{scenario.name}: {len(rules)} rules to price, {len(mains)} runner-ups, {len(varied) - 1} other assumptions, "
        f"{len(groups[3])} courses of demand known beforehand"
    )
    of_rules, of_others, of_varied, of_foreseen = _split(
        solved([case for group in groups for case in group]), [len(group) for group in groups]
    )
    results = [policy_result(scenario, policies.HYBRID, best, brief)]
    results += [policy_result(scenario, c.policy, o, brief) for c, o in zip(forced, of_policies, strict=True)]
    return Placement(
        scenario=scenario,
        settings=settings,
        status=best.status,
        plan=plan,
        policies=tuple(results),
        crossings=tuple(crossings(results)),
        warnings=tuple(warnings(results, scenario.rules.warn_ratio)),
        explanations=tuple(
            explanation(scenario, plan, w, mains.get(w), dict(zip(mains, of_others, strict=True)).get(w))
            for w in (w.name for w in scenario.workloads)
        ),
        exclusions=left_out,
        dropped=best.dropped,
        rule_prices=tuple(rule_price(r, plan, o) for r, o in zip(rules, of_rules, strict=True)),
        swings=sensitivity.swings(of_varied, plan),
        flips=sensitivity.flips(scenario, of_varied),
        risk=_risk(scenario, plan, of_foreseen, say),
    )


def _split(outcomes: list[Outcome], lengths: list[int]) -> list[list[Outcome]]:
    rest = iter(outcomes)
    return [[next(rest) for _ in range(length)] for length in lengths]


def _alone(scenario: Scenario, course: DemandScenario) -> Scenario:
    """The scenario as it would be if that course of demand were certain."""
    certain = course.model_copy(update={"probability": Decimal(1)})
    return scenario.model_copy(update={"demand_scenarios": (certain,)})


def _risk(scenario: Scenario, plan: Plan, foreseen: list[Outcome], say: Callable[[str], None]) -> Risk | None:
    """The plan on random paths of demand, where the scenario states how uncertain it is."""
    if scenario.uncertainty is None:
        return None
    regret = None
    if foreseen and all(o.plan is not None for o in foreseen):
        regret = sum(
            float(course.probability) * float(cost - o.plan.cost)
            for course, cost, o in zip(scenario.demand_scenarios, plan.course_costs, foreseen, strict=True)
            if o.plan is not None
        )
    say(f"{scenario.name}: the plan on {scenario.uncertainty.paths} random paths of demand")
    return risk.evaluate(scenario, plan, demand_paths(scenario), regret=regret, say=say)


def _improved(best: Outcome, forced: Sequence[Outcome]) -> Outcome:
    """The free plan, or a policy's where that is cheaper: what a policy may do the free plan may do too.

    Within the solver's gap a forced plan can come out cheaper; the bound stays that of the free plan.
    """
    assert best.plan is not None
    better = min((o.plan for o in (best, *forced) if o.plan is not None), key=lambda p: p.objective)
    if better.objective >= best.plan.objective:
        return best
    gap = gap_ratio(better.objective, best.plan.bound)
    plan = replace(better, policy=policies.HYBRID, bound=best.plan.bound, gap_ratio=gap, status=best.plan.status)
    return replace(best, plan=plan)


def _without_plan(
    scenario: Scenario, settings: Settings, best: Outcome, left_out: tuple[Exclusion, ...], say: Callable[[str], None]
) -> Placement:
    conflict = in_words(scenario, best.conflict) or ([best.reason] if best.reason else [])
    relaxed: tuple[Relaxation, ...] = ()
    if best.status == "infeasible":
        say(f"{scenario.name}: no plan keeps every rule; trying without each of them")
        relaxed = relaxations(scenario, settings)
        if not conflict:  # with broken blocks there is a plan, so the solver's own explanation is empty
            conflict = [whole_blocks_conflict(scenario, policies.HYBRID, settings)]
    return Placement(
        scenario, settings, best.status, None, conflict=tuple(conflict), relaxations=relaxed, exclusions=left_out
    )
