"""What a schedule of uses and purchases costs, in exact Decimals, each line rounded once."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from optimizer import terms
from optimizer.plan import CostLine, Cover, Move, Promise, Purchase, Use
from optimizer.scenario import Scenario

COST_QUANTUM = Decimal("1e-6")
"""What one line of a plan's cost is rounded to."""


def cost_lines(
    scenario: Scenario,
    uses: Iterable[Use],
    purchases: Iterable[Purchase],
    promises: Iterable[Promise] = (),
    covers: Iterable[Cover] = (),
    *,
    course: int | None = None,
) -> tuple[CostLine, ...]:
    """Cash by option and month: h (c x - c e) over load blocks; m active; F y; H promised.

    Expected over the demand scenarios, or that of one course.
    """
    running: dict[tuple[str, int], Decimal] = {}
    bought: dict[tuple[str, int], Decimal] = {}
    metered = {o.name: o for o in scenario.pay_as_you_go}
    for sign, part in ((1, uses), (-1, covers)):
        for use in part:
            if use.option in metered and course in (None, use.course):
                weight = scenario.demand_scenarios[use.course].probability if course is None else 1
                hours = terms.hours_of_block(scenario, use.block) * weight
                price = terms.unit_price(metered[use.option], use.month)
                _add(running, (use.option, use.month), sign * hours * price * use.capacity)
    for k in scenario.blocks:
        for t in range(scenario.horizon_months):
            _add(running, (k.name, t), terms.standing(k, t) * terms.running_cost(k, -1, t))
    for purchase in purchases:
        option = next(k for k in scenario.blocks if k.name == purchase.option)
        _add(bought, (purchase.option, purchase.month), purchase.count * terms.purchase_price(option, purchase.month))
        for t in range(scenario.horizon_months):
            if terms.serves(option, purchase.month, t):
                _add(running, (option.name, t), purchase.count * terms.running_cost(option, purchase.month, t))
    for j in scenario.spend_commitments:
        for t in range(scenario.horizon_months):
            _add(running, (j.name, t), terms.promised_before(j, t) * terms.HOURS_PER_MONTH)
    for promise in promises:
        j = scenario.spend_commitment(promise.commitment)
        for t in range(scenario.horizon_months):
            if terms.is_promised(j, promise.month, t):
                _add(running, (j.name, t), promise.money_per_hour * terms.HOURS_PER_MONTH)
    keys = sorted({**running, **bought}, key=lambda k: (k[1], k[0]))
    return tuple(
        CostLine(o, t, _decimal_of(running.get((o, t))), _decimal_of(bought.get((o, t))))
        for o, t in keys
        if running.get((o, t)) or bought.get((o, t))
    )


def _add(sums: dict[tuple[str, int], Decimal], key: tuple[str, int], amount: Decimal) -> None:
    sums[key] = sums.get(key, Decimal(0)) + amount


def _decimal_of(amount: Decimal | None) -> Decimal:
    return (amount or Decimal(0)).quantize(COST_QUANTUM)


def present_value(scenario: Scenario, lines: Iterable[CostLine], moves: Iterable[Move] = ()) -> Decimal:
    """Cash of lines and moves discounted mid-month, rounded once."""
    cash = [(line.month, line.cash) for line in lines] + [(move.month, move.cost) for move in moves]
    total = sum((amount * terms.discount_factor(scenario, month) for month, amount in cash), Decimal(0))
    return total.quantize(COST_QUANTUM)


def closing_value(scenario: Scenario, purchases: Iterable[Purchase], promises: Iterable[Promise] = ()) -> Decimal:
    """Discounted worth of servers less discounted fees and promises still owed at the horizon's end, rounded once."""
    total = Decimal(0)
    for purchase in purchases:
        option = next(k for k in scenario.blocks if k.name == purchase.option)
        factor = terms.closing_factor(scenario, terms.closing_month(scenario, option, purchase.month))
        total += purchase.count * terms.closing_value(scenario, option, purchase.month) * factor
    end = terms.closing_factor(scenario, scenario.horizon_months)
    for promise in promises:
        j = scenario.spend_commitment(promise.commitment)
        total -= promise.money_per_hour * terms.owed_beyond(scenario, j, promise.month) * end
    return total.quantize(COST_QUANTUM)


def tail_mean(scenario: Scenario, costs: Sequence[Decimal]) -> Decimal:
    """The mean cost of the costliest share of probability: the conditional value at risk, rounded once.

    costs: one for each demand scenario. Where the share ends within a scenario, that one counts in part.
    """
    left, total = scenario.risk_tail_ratio, Decimal(0)
    for cost, course in sorted(zip(costs, scenario.demand_scenarios, strict=True), key=lambda pair: -pair[0]):
        part = min(left, course.probability)
        total += part * cost
        left -= part
    return (total / scenario.risk_tail_ratio).quantize(COST_QUANTUM)
