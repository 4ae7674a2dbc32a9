"""Why a plan is as it is: what serves each workload, what it costs, and what would come next."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from finops import money
from optimizer import terms
from optimizer.case import Outcome
from optimizer.options import PayAsYouGo
from optimizer.plan import Cover, Plan, Use
from optimizer.scenario import Scenario
from optimizer.words import in_words


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
            done[use.option, use.month] += use.capacity * rate * _hours(scenario, use)
    return dict(done)


def cash_by_workload(scenario: Scenario, plan: Plan) -> dict[tuple[str | None, str, int], Decimal]:
    """Cash of each option and month split over the workloads that used it, by capacity-hours; parts sum exactly.

    What a spend commitment costs is that of the options it covered, by what it paid of them. What nobody used in its
    month, a server on its way, an idle block or an unused promise, is under None. Moves are told apart, in plan.moves.
    """
    used: defaultdict[tuple[str, int], dict[str, Decimal]] = defaultdict(dict)
    for use in plan.uses:
        shares = used[use.option, use.month]
        shares[use.workload] = shares.get(use.workload, Decimal(0)) + use.capacity * _hours(scenario, use)
    covered = _covered(scenario, plan, used)
    cash: defaultdict[tuple[str | None, str, int], Decimal] = defaultdict(Decimal)
    for line in plan.lines:
        shares = used.get((line.option, line.month), {})
        keys: dict[tuple[str | None, str], Decimal] = {(w, line.option): amount for w, amount in shares.items()}
        keys = keys or covered.get((line.option, line.month)) or {(None, line.option): Decimal(1)}
        for (workload, option), part in zip(keys, money.split(line.cash, list(keys.values())), strict=True):
            cash[workload, option, line.month] += part
    return dict(cash)


def _hours(scenario: Scenario, use: Use | Cover) -> Decimal:
    return terms.hours_of_block(scenario, use.block) * scenario.demand_scenarios[use.course].probability


def _covered(
    scenario: Scenario, plan: Plan, used: Mapping[tuple[str, int], dict[str, Decimal]]
) -> dict[tuple[str, int], dict[tuple[str | None, str], Decimal]]:
    """What each commitment paid in a month, by workload and option, and under None what of it was not used."""
    found: defaultdict[tuple[str, int], defaultdict[tuple[str | None, str], Decimal]] = defaultdict(
        lambda: defaultdict(Decimal)
    )
    rates = {
        (j.name, o.name): terms.committed_rate(j, o) for j in scenario.spend_commitments for o in scenario.covered_by(j)
    }
    for cover in plan.covers:
        shares = used[cover.option, cover.month]
        paid = rates[cover.commitment, cover.option] * cover.capacity * _hours(scenario, cover)
        for workload, hours in shares.items():
            key = (workload, cover.option)
            found[cover.commitment, cover.month][key] += paid * hours / sum(shares.values())
    names = {j.name for j in scenario.spend_commitments}
    for line in plan.lines:
        if line.option in names:
            parts = found[line.option, line.month]
            parts[None, line.option] = max(line.running - sum(parts.values()), Decimal(0))
    return {key: dict(parts) for key, parts in found.items()}


def main_option(scenario: Scenario, plan: Plan, workload: str) -> str | None:
    """The option that does most of a workload's work; None without work."""
    done = _by_option(work_by_option(scenario, plan, workload))
    return max(done, key=lambda o: (done[o], o)) if done else None


def _by_option(done: dict[tuple[str, int], Decimal]) -> dict[str, Decimal]:
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for (option, _), units in done.items():
        totals[option] += units
    return dict(totals)


def explanation(
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
        return Explanation(
            workload, total, chosen, None, None, f"nothing else could serve it: {why.removeprefix(f'{workload}: ')}"
        )
    instead = main_option(scenario, without_main.plan, workload)
    extra = without_main.plan.cost - plan.cost
    return Explanation(workload, total, chosen, instead, extra, None)
