"""What a schedule of uses and purchases costs, in exact Decimals, each line rounded once."""

from collections.abc import Iterable
from decimal import Decimal

from optimizer import terms
from optimizer.plan import CostLine, Purchase, Use
from optimizer.scenario import Scenario

COST_QUANTUM = Decimal("1e-6")
"""What one line of a plan's cost is rounded to."""


def cost_lines(scenario: Scenario, uses: Iterable[Use], purchases: Iterable[Purchase]) -> tuple[CostLine, ...]:
    """Expected cash by option and month: h c x over load blocks and demand scenarios; m active; F y."""
    running: dict[tuple[str, int], Decimal] = {}
    bought: dict[tuple[str, int], Decimal] = {}
    metered = {o.name: o for o in scenario.pay_as_you_go}
    for use in uses:
        if use.option in metered:
            hours = terms.hours_of_block(scenario, use.block) * scenario.demand_scenarios[use.course].probability
            price = terms.unit_price(metered[use.option], use.month)
            _add(running, (use.option, use.month), hours * price * use.capacity)
    for k in scenario.blocks:
        for t in range(scenario.horizon_months):
            _add(running, (k.name, t), terms.standing(k, t) * terms.running_cost(k, -1, t))
    for purchase in purchases:
        option = next(k for k in scenario.blocks if k.name == purchase.option)
        _add(bought, (purchase.option, purchase.month), purchase.count * terms.purchase_price(option, purchase.month))
        for t in range(scenario.horizon_months):
            if terms.serves(option, purchase.month, t):
                _add(running, (option.name, t), purchase.count * terms.running_cost(option, purchase.month, t))
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


def present_value(scenario: Scenario, lines: Iterable[CostLine]) -> Decimal:
    """Cash lines discounted mid-month, rounded once."""
    total = sum((line.cash * terms.discount_factor(scenario, line.month) for line in lines), Decimal(0))
    return total.quantize(COST_QUANTUM)


def closing_value(scenario: Scenario, purchases: Iterable[Purchase]) -> Decimal:
    """Discounted worth of servers less discounted fees still owed, at the end of the horizon, rounded once."""
    total = Decimal(0)
    for purchase in purchases:
        option = next(k for k in scenario.blocks if k.name == purchase.option)
        factor = terms.closing_factor(scenario, terms.closing_month(scenario, option, purchase.month))
        total += purchase.count * terms.closing_value(scenario, option, purchase.month) * factor
    return total.quantize(COST_QUANTUM)
