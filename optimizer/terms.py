"""What the figures of a scenario mean over its months: demand, prices, cash of a purchase, discounting. Exact Decimals.

Months are numbered from 0; a month has 730 hours (8760 / 12). The program turns these into coefficients and the check
sums them, so that both speak of the same terms; how they are added up is written twice on purpose.
"""

from decimal import Decimal, localcontext
from functools import cache

from finops import capital
from finops.money import CONTEXT
from optimizer.options import Block, Metered, Option, PayAsYouGo, Rented, Reservation, Server, SpendCommitment
from optimizer.scenario import Scenario, Workload

HOURS_PER_MONTH = Decimal(capital.HOURS_PER_MONTH)
FACTOR = Decimal("1e-15")
"""What growth and discount factors are rounded to."""


def month_number(scenario: Scenario, month: str) -> int:
    """Months from the start of the horizon to a month YYYY-MM; negative before it."""
    year, number = map(int, month.split("-"))
    first_year, first = map(int, scenario.start.split("-"))
    return (year - first_year) * 12 + number - first


def month_name(scenario: Scenario, month: int) -> str:
    """The month YYYY-MM of a month number."""
    year, first = map(int, scenario.start.split("-"))
    years, number = divmod(first - 1 + month, 12)
    return f"{year + years}-{number + 1:02d}"


def next_period(scenario: Scenario, month: int) -> int:
    """The first month, from a month on, with which a month or quarter begins that is decided as one."""
    into = month - (scenario.quarters_after_months or month)
    return month + -into % 3 if into > 0 else month


@cache
def _power(ratio: Decimal, twelfths: Decimal) -> Decimal:
    with localcontext(CONTEXT):
        return ((1 + ratio) ** (twelfths / 12)).quantize(FACTOR)


def discount_factor(scenario: Scenario, month: int) -> Decimal:
    """Present value of one unit of currency paid mid-month: (1 + rate) ^ -((month + 0.5) / 12)."""
    return _power(scenario.discount_ratio_per_year, -(month + Decimal("0.5")))


def closing_factor(scenario: Scenario, month: int) -> Decimal:
    """Present value at the end of the month before: (1 + rate) ^ -(month / 12)."""
    return _power(scenario.discount_ratio_per_year, Decimal(-month))


def _yearly(ratio: Decimal, month: int) -> Decimal:
    return (1 + ratio) ** (month // 12)


def demand_of_month(workload: Workload, month: int) -> Decimal:
    """Units of a month before load blocks and demand scenarios."""
    stated = workload.demand_per_month
    if isinstance(stated, tuple):
        return stated[month]
    return stated * _power(workload.growth_ratio_per_year, Decimal(month))


def hours_of_block(scenario: Scenario, block: int) -> Decimal:
    """Hours of a load block in a month."""
    return scenario.load_blocks[block].hours_ratio * HOURS_PER_MONTH


def block_ratio(scenario: Scenario, workload: Workload, block: int) -> Decimal:
    """How high the workload's load is in a load block, against its mean."""
    of = scenario.load_blocks[block]
    return of.workloads.get(workload.name, of.demand_ratio)


def course_ratio(scenario: Scenario, workload: Workload, month: int, course: int) -> Decimal:
    """How high the workload's demand comes out in a month under a demand scenario, against what is stated."""
    of = scenario.demand_scenarios[course]
    ratio = of.workloads.get(workload.name, of.demand_ratio)
    return ratio[month] if isinstance(ratio, tuple) else ratio


def windows(scenario: Scenario, workload: Workload) -> list[range]:
    """The months of each delivery window of a deferrable workload; the last may be shorter."""
    assert workload.window_months is not None
    starts = range(0, scenario.horizon_months, workload.window_months)
    return [range(s, min(s + workload.window_months, scenario.horizon_months)) for s in starts]


def throughput(workload: Workload, option: Option) -> Decimal | None:
    """Units of work of one capacity-hour at full use; None where nobody has said so.

    A metered option counts the units themselves: 1. An instance or server: its measured figure for this workload, or
    accelerator_count x the workload's figure for that accelerator; hours of the reference accelerator count as 1.
    """
    if isinstance(option, Metered):
        return Decimal(1) if option.unit == workload.unit else None
    if workload.name in option.units_per_capacity_hour:
        return option.units_per_capacity_hour[workload.name]
    per_accelerator = workload.units_per_accelerator_hour.get(option.accelerator or "")
    if (
        per_accelerator is None
        and workload.unit == "accelerator_hours"
        and option.accelerator == workload.reference_accelerator
    ):
        per_accelerator = Decimal(1)
    return None if per_accelerator is None else per_accelerator * option.accelerator_count


def planned_ratio(option: PayAsYouGo) -> Decimal:
    """The share of a rented capacity-hour that does lasting work: utilisation ceiling x (1 - interruptions)."""
    if isinstance(option, Metered):
        return Decimal(1)
    return option.utilisation_ceiling_ratio * (1 - option.interruption_ratio)


def unit_price(option: PayAsYouGo, month: int) -> Decimal:
    """Price of a capacity-hour, or of a unit, in a month; it changes once a year."""
    return option.price.amount * _yearly(option.price_change_ratio_per_year, month)


def location(option: Option) -> str:
    """Where an option is, for what must be moved there: as it states, else its site, else provider and region."""
    site = option.site if isinstance(option, Server) else None
    return option.location or site or " ".join(filter(None, (option.provider, option.region or option.country)))


def has_places(workload: Workload) -> bool:
    """Whether it matters in which location the workload runs."""
    return workload.moving is not None or workload.max_locations is not None or workload.least_share_ratio > 0


def moving_cost(scenario: Scenario, workload: Workload, origin: str) -> Decimal:
    """One move of a workload away from a location: the work, and its data at the highest egress price there."""
    assert workload.moving is not None
    egress = max((o.egress_price_per_gib for o in scenario.options if location(o) == origin), default=Decimal(0))
    return workload.moving.cost + workload.moving.data_gib * egress


def is_available(scenario: Scenario, option: Option, month: int) -> bool:
    """Whether the option is offered in that month."""
    return option.available_from is None or month_number(scenario, option.available_from) <= month


# -------------------------------------------------------------------------------------------------------- blocks
def service_months(option: Block) -> int:
    """Months that one block serves once it has arrived: its term or life."""
    return option.term_months if isinstance(option, Reservation) else option.life_months


def arrival(option: Block, bought: int) -> int:
    """The first month in which a block bought in a month can be used."""
    return bought + option.lead_time_months


def serves(option: Block, bought: int, month: int) -> bool:
    """Whether a block bought in a month stands in another."""
    return arrival(option, bought) <= month < arrival(option, bought) + service_months(option)


def standing(option: Block, month: int) -> int:
    """Blocks from before the horizon that still stand."""
    return option.standing if month < option.standing_months_left else 0


def purchase_step(scenario: Scenario, option: Block) -> int:
    """Months between two moments at which the block may be bought; instances kept by the month are free each month."""
    return 1 if option.kind == "monthly" else scenario.purchase_every_months


def purchase_months(scenario: Scenario, option: Block) -> range:
    """Months in which the block may be bought, such that it still arrives within the horizon."""
    end = scenario.horizon_months - option.lead_time_months
    return range(0, max(end, 0), purchase_step(scenario, option))


def may_be_bought(scenario: Scenario, option: Block, month: int) -> bool:
    """Whether a block may be bought in that month."""
    return month in purchase_months(scenario, option) and is_available(scenario, option, month)


def purchase_price(option: Block, bought: int) -> Decimal:
    """Cash of one block in the month it is bought: a server's price, a reservation's upfront fee."""
    amount = option.price.amount if isinstance(option, Server) else option.upfront
    return amount * _yearly(option.price_change_ratio_per_year, bought)


def running_cost(option: Block, bought: int, month: int) -> Decimal:
    """Cost of keeping one block for a month: the fee agreed when it was bought, or energy, colo, support, staff.

    bought is negative for blocks from before the horizon; they pay the first year's price.
    """
    if isinstance(option, Reservation):
        fee = option.price.amount * _yearly(option.price_change_ratio_per_year, max(bought, 0)) * HOURS_PER_MONTH
        return fee + option.staff_cost_per_month
    return capital.running_cost(
        price=option.price.amount * _yearly(option.price_change_ratio_per_year, max(bought, 0)),
        power_kw=option.power_kw,
        utilization_ratio=option.utilisation_of_power_ratio,
        pue=option.pue,
        energy_price_per_kwh=option.energy_price_per_kwh * _yearly(option.energy_price_change_ratio_per_year, month),
        colo_price_per_kw_month=option.colo_price_per_kw_month,
        maintenance_ratio_per_year=option.maintenance_ratio_per_year,
        staff_cost_per_month=option.staff_cost_per_month,
    ).total


def closing_month(scenario: Scenario, option: Block, bought: int) -> int:
    """The month in which a block's closing value counts: the end of its service, or of the horizon if that is first."""
    return min(arrival(option, bought) + service_months(option), scenario.horizon_months)


def closing_value(scenario: Scenario, option: Block, bought: int) -> Decimal:
    """What one block is worth at the end of the horizon, or at the end of its life where that comes first.

    A server: its book value (straight line to the residual). A reservation: minus the fees still owed, without staff.
    """
    age = scenario.horizon_months - arrival(option, bought)
    if isinstance(option, Reservation):
        owed = max(option.term_months - age, 0)
        fee = running_cost(option, bought, scenario.horizon_months) - option.staff_cost_per_month
        return -fee * owed
    return capital.book_value(
        price=purchase_price(option, bought),
        residual_ratio=option.residual_ratio,
        life_months=Decimal(option.life_months),
        age_months=Decimal(age),
    )


def amortised_cost(option: Block, bought: int, month: int) -> Decimal:
    """A month's share of the purchase, less residual, and the running cost; the purchase of older blocks is sunk."""
    if bought < 0:
        return running_cost(option, bought, month)
    kept = option.residual_ratio if isinstance(option, Server) else Decimal(0)
    return purchase_price(option, bought) * (1 - kept) / service_months(option) + running_cost(option, bought, month)


# ---------------------------------------------------------------------------------------------------- spend commitments
def is_promised(commitment: SpendCommitment, bought: int, month: int) -> bool:
    """Whether money promised in a month is still promised in another."""
    return bought <= month < bought + commitment.term_months


def promised_before(commitment: SpendCommitment, month: int) -> Decimal:
    """Money per hour promised before the horizon that is still owed in a month."""
    return commitment.standing if month < commitment.standing_months_left else Decimal(0)


def may_be_promised(scenario: Scenario, commitment: SpendCommitment, month: int) -> bool:
    """Whether a spend commitment may be entered in that month."""
    since = commitment.available_from
    return month % scenario.purchase_every_months == 0 and (since is None or month_number(scenario, since) <= month)


def committed_rate(commitment: SpendCommitment, option: Rented) -> Decimal:
    """What a capacity-hour of a covered option costs under a commitment: its first year's price less the discount."""
    return option.price.amount * (1 - commitment.discount_ratio[option.name])


def owed_beyond(scenario: Scenario, commitment: SpendCommitment, bought: int) -> Decimal:
    """What is still owed on one unit of money per hour at the end of the horizon."""
    return max(bought + commitment.term_months - scenario.horizon_months, 0) * HOURS_PER_MONTH


# ---------------------------------------------------------------------------------------------------------- emissions
def kg_per_capacity_hour(option: PayAsYouGo) -> Decimal | None:
    """kg CO2e of one capacity-hour, or unit: electricity at the meter x carbon intensity; None where not stated."""
    if option.grid_kg_per_kwh is None:
        return None
    if isinstance(option, Metered):
        return None if option.kwh_per_unit is None else option.kwh_per_unit * option.grid_kg_per_kwh
    return None if option.power_kw is None else option.power_kw * option.pue * option.grid_kg_per_kwh


def kg_per_block(option: Block) -> Decimal | None:
    """kg CO2e of keeping one block for a month, used or not; None where power or carbon intensity is not stated."""
    if option.grid_kg_per_kwh is None or option.power_kw is None:
        return None
    drawn = option.power_kw * option.pue * HOURS_PER_MONTH
    if isinstance(option, Server):
        drawn *= option.utilisation_of_power_ratio
    return drawn * option.grid_kg_per_kwh


def kg_is_stated(option: Option) -> bool:
    """Whether the emissions of an option are known."""
    known = kg_per_capacity_hour(option) if isinstance(option, PayAsYouGo) else kg_per_block(option)
    return known is not None


def carbon_limit(scenario: Scenario, month: int) -> Decimal:
    """The most kg CO2e of a month, where the rules state one."""
    limits = scenario.rules.carbon_kg_per_month
    return limits[min(month, len(limits) - 1)]


def power_kw(option: Block) -> Decimal:
    """Electrical power of one block at the meter, with PUE; none for a reservation."""
    return option.power_kw * option.pue if isinstance(option, Server) else Decimal(0)
