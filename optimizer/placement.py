"""Everything that comes with a plan: forced policies, cost curves and their crossings, rule prices, and why."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import accumulate, combinations

from finops import money
from finops.execution import fan_out
from optimizer import feasibility, policies, terms
from optimizer.case import Case, Outcome, solve_case
from optimizer.feasibility import Exclusion
from optimizer.options import PayAsYouGo
from optimizer.plan import Plan
from optimizer.scenario import Scenario
from optimizer.solve import Settings, gap_ratio
from optimizer.words import in_words

ROUNDING_RATIO = Decimal("1e-7")
"""Differences of cost below this ratio are the solver's rounding."""
FAN_OUT_SECONDS = 8.0
"""Comparisons that would take longer than this one after another are spread over processes."""
COMPARISON_LIMIT_RATIO = 0.15
"""The share of the plan's own time limit that each comparison may take."""


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


@dataclass(frozen=True)
class Placed:
    """An option that serves a workload: its share of the work, the months, and its share of the cost."""

    option: str
    work_ratio: Decimal
    first_month: int
    last_month: int
    cash: Decimal


@dataclass(frozen=True)
class Explanation:
    """Why a workload is where it is: what was chosen, what would come next and what that would cost more."""

    workload: str
    cash: Decimal
    chosen: tuple[Placed, ...]
    runner_up: str | None
    runner_up_extra: Decimal | None
    note: str | None


@dataclass(frozen=True)
class Relaxation:
    """A stated rule without which the scenario has a plan, and what that plan costs."""

    rule: str
    cost: Decimal


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
    rule_prices: tuple[RulePrice, ...] = ()


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
    assert best.plan is not None
    rules = feasibility.stated_rules(scenario)
    without = [Case(feasibility.lifted(scenario, rule), settings=brief) for rule in rules]
    mains = {w.name: main for w in scenario.workloads if (main := _main_option(scenario, best.plan, w.name))}
    others = [Case(scenario, forbidden=frozenset({(w, o)}), settings=brief) for w, o in mains.items()]
    say(f"{scenario.name}: {len(without)} rules to price, {len(others)} runner-ups")
    outcomes = solved([*without, *others])
    of_rules, of_others = outcomes[: len(rules)], dict(zip(mains, outcomes[len(rules) :], strict=True))
    results = [_policy_result(scenario, policies.HYBRID, best, brief)]
    results += [_policy_result(scenario, c.policy, o, brief) for c, o in zip(forced, of_policies, strict=True)]
    return Placement(
        scenario=scenario,
        settings=settings,
        status=best.status,
        plan=best.plan,
        policies=tuple(results),
        crossings=tuple(crossings(results)),
        warnings=tuple(warnings(results, scenario.rules.warn_ratio)),
        explanations=tuple(
            _explanation(scenario, best.plan, w.name, mains.get(w.name), of_others.get(w.name))
            for w in scenario.workloads
        ),
        exclusions=left_out,
        rule_prices=tuple(rule_price(r, best.plan, o) for r, o in zip(rules, of_rules, strict=True)),
    )


def _improved(best: Outcome, forced: Sequence[Outcome]) -> Outcome:
    """The free plan, or a policy's where that is cheaper: what a policy may do the free plan may do too.

    Within the solver's gap a forced plan can come out cheaper; the bound stays that of the free plan.
    """
    assert best.plan is not None
    cheapest = min((o.plan for o in (best, *forced) if o.plan is not None), key=lambda p: p.cost)
    if cheapest.cost >= best.plan.cost:
        return best
    gap = gap_ratio(cheapest.objective, best.plan.bound)
    plan = replace(cheapest, policy=policies.HYBRID, bound=best.plan.bound, gap_ratio=gap, status=best.plan.status)
    return replace(best, plan=plan)


def _without_plan(
    scenario: Scenario, settings: Settings, best: Outcome, left_out: tuple[Exclusion, ...], say: Callable[[str], None]
) -> Placement:
    conflict = in_words(scenario, best.conflict) or ([best.reason] if best.reason else [])
    relaxed: list[Relaxation] = []
    if best.status == "infeasible":
        say(f"{scenario.name}: no plan keeps every rule; trying without each of them")
        for rule in feasibility.stated_rules(scenario):
            outcome = solve_case(Case(feasibility.lifted(scenario, rule), settings=settings))
            if outcome.plan is not None:
                relaxed.append(Relaxation(rule, outcome.plan.cost))
        if not conflict:  # with broken blocks there is a plan, so the solver's own explanation is empty
            conflict = [_whole_blocks_conflict(scenario, policies.HYBRID, settings)]
    return Placement(
        scenario,
        settings,
        best.status,
        None,
        conflict=tuple(conflict),
        relaxations=tuple(sorted(relaxed, key=lambda r: r.cost)),
        exclusions=left_out,
    )


def _whole_blocks_conflict(scenario: Scenario, policy: str, settings: Settings) -> str:
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


def _policy_result(scenario: Scenario, policy: str, outcome: Outcome, settings: Settings) -> PolicyResult:
    title = policies.POLICIES[policy].title
    reason = outcome.reason or "; ".join(in_words(scenario, outcome.conflict)) or None
    if outcome.status == "infeasible" and reason is None:
        reason = _whole_blocks_conflict(scenario, policy, settings)
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

    low = bound with - cost without; high = cost with - bound without.
    """
    other = without.plan
    if other is None:
        return RulePrice(rule, None, None, None, None, without.status)
    cost_without = min(other.cost, plan.cost)  # the plan itself is one without the rule
    price = plan.cost - cost_without
    low = min(_money(plan.bound) - cost_without, price)
    high = max(plan.cost - _money(other.bound), price)
    return RulePrice(rule, cost_without, price, low, high, without.status)


def _money(amount: float) -> Decimal:
    return Decimal(amount).quantize(Decimal("1e-6"))


# --------------------------------------------------------------------------------------------------- why it is so
def work_by_option(scenario: Scenario, plan: Plan, workload: str) -> dict[tuple[str, int], Decimal]:
    """Expected units of a workload that each option does in each month."""
    w = scenario.workload(workload)
    done: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
    for use in plan.uses:
        if use.workload == workload:
            option = scenario.option(use.option)
            rate = terms.throughput(w, option) or Decimal(0)
            if isinstance(option, PayAsYouGo):
                rate *= terms.planned_ratio(option)
            hours = terms.hours_of_block(scenario, use.block) * scenario.demand_scenarios[use.course].probability
            done[use.option, use.month] += use.capacity * rate * hours
    return dict(done)


def cash_by_workload(scenario: Scenario, plan: Plan) -> dict[tuple[str | None, str, int], Decimal]:
    """Cash of each option and month split over the workloads that used it, by capacity-hours; parts sum exactly.

    What nobody used in its month, a server on its way or an idle block, is under None.
    """
    used: defaultdict[tuple[str, int], dict[str, Decimal]] = defaultdict(dict)
    for use in plan.uses:
        hours = terms.hours_of_block(scenario, use.block) * scenario.demand_scenarios[use.course].probability
        shares = used[use.option, use.month]
        shares[use.workload] = shares.get(use.workload, Decimal(0)) + use.capacity * hours
    cash: dict[tuple[str | None, str, int], Decimal] = {}
    for line in plan.lines:
        shares = used.get((line.option, line.month), {})
        if not shares:
            cash[None, line.option, line.month] = line.cash
            continue
        parts = money.split(line.cash, list(shares.values()))
        for workload, part in zip(shares, parts, strict=True):
            cash[workload, line.option, line.month] = part
    return cash


def _main_option(scenario: Scenario, plan: Plan, workload: str) -> str | None:
    """The option that does most of a workload's work; None without work."""
    done = _by_option(work_by_option(scenario, plan, workload))
    return max(done, key=lambda o: (done[o], o)) if done else None


def _by_option(done: dict[tuple[str, int], Decimal]) -> dict[str, Decimal]:
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (option, _), units in done.items():
        totals[option] += units
    return dict(totals)


def _explanation(
    scenario: Scenario, plan: Plan, workload: str, main: str | None, without_main: Outcome | None
) -> Explanation:
    cash = {(o, t): amount for (w, o, t), amount in cash_by_workload(scenario, plan).items() if w == workload}
    done = work_by_option(scenario, plan, workload)
    totals = _by_option(done)
    everything = sum(totals.values(), Decimal(0))
    chosen = tuple(
        Placed(
            option,
            (totals[option] / everything).quantize(Decimal("0.0001")),
            min(t for o, t in done if o == option),
            max(t for o, t in done if o == option),
            sum((amount for (o, _), amount in cash.items() if o == option), Decimal(0)),
        )
        for option in sorted(totals, key=lambda o: -totals[o])
    )
    total = sum(cash.values(), Decimal(0))
    if main is None or without_main is None:
        return Explanation(workload, total, chosen, None, None, "it needs nothing within the horizon")
    if without_main.plan is None:
        why = without_main.reason or "; ".join(in_words(scenario, without_main.conflict)) or without_main.status
        return Explanation(workload, total, chosen, None, None, f"nothing else could serve it: {why}")
    instead = _main_option(scenario, without_main.plan, workload)
    extra = without_main.plan.cost - plan.cost
    return Explanation(workload, total, chosen, instead, extra, None)
