"""What a plan emits, where power and carbon intensity of everything that it uses are stated."""

from decimal import Decimal

from optimizer import terms
from optimizer.plan import Plan
from optimizer.scenario import Scenario

GRAM = Decimal("0.001")


def emitted_kg(scenario: Scenario, plan: Plan) -> Decimal | None:
    """Expected kg CO2e over the horizon: h_b x kg per hour of what is rented or metered, and of blocks that stand.

    None where power or carbon intensity of an option in use is not stated. Blocks count used or not, as in the rule.
    """
    total = Decimal(0)
    rented = {o.name: o for o in scenario.pay_as_you_go}
    for use in plan.uses:
        if use.option in rented and use.capacity:
            kg = terms.kg_per_capacity_hour(rented[use.option])
            if kg is None:
                return None
            weight = scenario.demand_scenarios[use.course].probability
            total += weight * terms.hours_of_block(scenario, use.block) * use.capacity * kg
    for block in scenario.blocks:
        stood = sum(terms.standing(block, t) for t in range(scenario.horizon_months))
        for purchase in plan.purchases:
            if purchase.option == block.name:
                months = sum(terms.serves(block, purchase.month, t) for t in range(scenario.horizon_months))
                stood += purchase.count * months
        if stood:
            kg = terms.kg_per_block(block)
            if kg is None:
                return None
            total += stood * kg
    return total.quantize(GRAM)
