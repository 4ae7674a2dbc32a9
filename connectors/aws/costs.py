"""What each line item of a Cost and Usage Report costs, and what FOCUS calls it.

Paid: what the invoice says of the row; unblended cost, or its net, see discounts.py. List: public on-demand cost, or
where AWS states none, unblended cost. Unused: see below. A recurring fee that is not used up is two charges.

| line item type | category, frequency, pricing | Billed | Effective | Contracted | List |
|---|---|---|---|---|---|
| Usage | Usage, Usage-Based, Standard (Spot: Dynamic) | paid | paid | paid | list |
| SavingsPlanCoveredUsage | Usage, Usage-Based, Committed, Used | 0 | savings plan effective cost | paid | list |
| SavingsPlanNegation | Adjustment, Usage-Based, Other | 0 | 0 | 0 | 0 |
| DiscountedUsage | Usage, Usage-Based, Committed, Used | paid (0) | reservation effective cost | list | list |
| Fee of a reservation, SavingsPlanUpfrontFee | Purchase, One-Time, Standard | paid | 0 | paid | unblended |
| Fee of anything else | Purchase, Standard; Recurring for a month, else One-Time | paid | paid | paid | unblended |
| RIFee, SavingsPlanRecurringFee | Purchase, Recurring, Standard | paid | 0 | paid | unblended |
| ... and from the same row its unused part | Usage, Usage-Based, Committed, Unused | 0 | unused | 0 | 0 |
| Tax | Tax, Recurring | paid | paid | paid | paid |
| Credit | Credit, One-Time, Other | paid | paid | paid | paid |
| Refund | what it refunds; class Correction, One-Time, Other | paid | paid | paid | paid |
| Refund of a commitment's fee | Purchase; class Correction, One-Time, Other | paid | 0 | paid | paid |
| ...Discount | Adjustment, Usage-Based, Other | paid | paid | paid | 0 |
| any other | Adjustment, One-Time, Other | paid | paid | paid | paid |

Savings plans: a covered row carries the on-demand price and its negation takes it back; the fee is what is invoiced. So
neither row is billed, and a bill that lacks one of the two is not wrong by the price of the other. Unused: total
commitment to date less used commitment; of a reservation, unused amortised upfront fee plus unused recurring fee. With
net columns both are net. A fee of which AWS does not tell what was unused (Dedicated Hosts) counts as used.

Split cost allocation: the rows of ECS tasks and EKS pods on an EC2 instance repeat a part of that instance's row. They
stay, with the cost that AWS bills for them, which is 0, and without quantities: neither money nor accelerator hours are
counted twice. What AWS allots to them stands in x_SourceColumns. Tasks on Fargate are ordinary usage.

Capacity reservations: `Reservation:` and `DedicatedRes:` rows count all reserved hours, at no cost, beside those of the
instances (BoxUsage) and of the idle rest (UnusedBox); they have no quantity.

Source: AWS Cost and Usage Reports user guide: "Understanding Savings Plans", "Understanding your reservations",
"Understanding your amortized reservation data", "Monitoring your On-Demand capacity reservations", "Understanding split
cost allocation data"; FOCUS 1.4; read 2026-11-21.
"""

from collections.abc import Iterable
from typing import Final

import polars as pl

from connectors.aws import bedrock
from connectors.aws.discounts import Basis, is_discount
from finops import schema as s

TYPE: Final = "line_item_line_item_type"
USAGE: Final = "line_item_usage_type"
PAID: Final = "paid"
TOTAL: Final = "total discount"
UNUSED: Final = "unused"
"""What the second charge of a recurring fee costs; 0 where there is none."""
KNOWN: Final = "unused is known"
SECOND: Final = "second"
"""Whether this is the second charge of its row."""
POD_OPERATIONS: Final = ("EKSPod-EC2", "ECSTask-EC2")
METERED: Final = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")
FEES: Final = ("Fee", "RIFee", "SavingsPlanUpfrontFee", "SavingsPlanRecurringFee", "FlatRateSubscription")
RECURRING: Final = ("RIFee", "SavingsPlanRecurringFee", "FlatRateSubscription", "Tax")
UNITS: Final = {
    "Hrs": "Hours", "hrs": "Hours", "hour": "Hours", "hours": "Hours", "GB-Mo": "GB-Months", "IOPS-Mo": "IOPS-Months",
}  # fmt: skip
"""Unit as AWS's FOCUS exports write it <- pricing unit of the report."""
MONTHLY_FEE_DAYS: Final = 28

_ZERO: Final = pl.lit(0, dtype=s.MONEY)
_kind: Final = pl.col(TYPE)
_second: Final = pl.col(SECOND)
_covered: Final = _kind == "SavingsPlanCoveredUsage"
_negation: Final = _kind == "SavingsPlanNegation"
_reserved: Final = _kind == "DiscountedUsage"
_metered: Final = _kind.is_in(METERED)
_fee: Final = _kind.is_in(FEES)
_refund: Final = _kind == "Refund"
_reservation: Final = pl.col("reservation_reservation_a_r_n")
_plan: Final = pl.col("savings_plan_savings_plan_a_r_n")
_refunded_fee: Final = (
    _refund & pl.col("line_item_tax_type").is_null() & (_plan.is_not_null() | _reservation.is_not_null())
)
_of_plan: Final = (_kind.str.starts_with("SavingsPlan") | _refunded_fee) & _plan.is_not_null()
_of_reservation: Final = (_kind.is_in(["DiscountedUsage", "RIFee", "Fee"]) | _refunded_fee) & _reservation.is_not_null()
_commitment_fee: Final = _kind.is_in(["RIFee", "SavingsPlanUpfrontFee", "SavingsPlanRecurringFee"]) | (
    (_kind == "Fee") & _reservation.is_not_null()
)
_pod: Final = pl.col("line_item_operation").is_in(POD_OPERATIONS).fill_null(value=False) | (
    pl.col("split_line_item_parent_resource_id").is_not_null()
)
_capacity_count: Final = pl.col(USAGE).str.contains(r"(?:^|-)(?:Reservation|DedicatedRes):").fill_null(value=False)


def effective(how: Basis) -> pl.Expr:
    """EffectiveCost of a row's first charge; null where AWS states none of a row that a commitment covers."""
    plan = _net_or(how, "savings_plan_net_savings_plan_effective_cost", "savings_plan_savings_plan_effective_cost")
    reservation = pl.coalesce(
        _net_or(how, "reservation_net_effective_cost", "reservation_effective_cost"),
        pl.col("reservation_amortized_upfront_cost_for_usage") + pl.col("reservation_recurring_fee_for_usage"),
    )
    return (
        pl.when(_pod).then(PAID)
        .when(_covered).then(plan)
        .when(_reserved).then(reservation)
        .when(_negation | _commitment_fee | _refunded_fee).then(_ZERO)
        .otherwise(PAID)
    )  # fmt: skip


def unused(how: Basis) -> list[pl.Expr]:
    """UNUSED and KNOWN of a row: the part of its recurring fee that no usage took."""
    plan = pl.col("savings_plan_total_commitment_to_date") - pl.col("savings_plan_used_commitment")
    if how == "net":
        gross, net = (
            _sum(f"savings_plan_{n}{fee}_commitment_for_billing_period" for fee in ("amortized_upfront", "recurring"))
            for n in ("", "net_")
        )
        # a discount on the plan's fee is a discount on each dollar of the commitment
        plan = pl.when(gross > 0).then(pl.coalesce(plan * (net / gross), plan)).otherwise(plan)
    both = _sum(
        _net_or(how, f"reservation_net_unused_{fee}", f"reservation_unused_{fee}")
        for fee in ("amortized_upfront_fee_for_billing_period", "recurring_fee")
    )
    part = pl.when(_kind == "SavingsPlanRecurringFee").then(plan).when(_kind == "RIFee").then(both)
    recurring = _kind.is_in(["SavingsPlanRecurringFee", "RIFee"])
    return [
        pl.when(recurring).then(pl.coalesce(part, PAID)).otherwise(_ZERO).fill_null(_ZERO).alias(UNUSED),
        part.is_not_null().alias(KNOWN),
    ]


def four_costs() -> dict[str, pl.Expr]:
    """BilledCost, EffectiveCost, ContractedCost and ListCost of both charges of a row."""
    public, unblended = pl.col("pricing_public_on_demand_cost"), pl.col("line_item_unblended_cost")
    stated = pl.when(_reserved).then(s.EFFECTIVE_COST).otherwise(unblended)
    at_list = pl.when((public != 0) | (stated == 0)).then(public).otherwise(stated)
    at_list = pl.coalesce(at_list, stated)
    nothing = _second | _negation
    return {
        s.BILLED_COST: pl.when(_second | _covered | _negation).then(_ZERO).otherwise(PAID),
        s.EFFECTIVE_COST: pl.when(_second).then(UNUSED).otherwise(s.EFFECTIVE_COST),
        s.CONTRACTED_COST: (
            pl.when(nothing).then(_ZERO).when(_reserved & ~_pod).then(at_list).otherwise(PAID)
        ),
        s.LIST_COST: (
            pl.when(nothing | is_discount(_kind)).then(_ZERO)
            .when(_pod).then(PAID)
            .when(_metered).then(at_list)
            .when(_fee).then(unblended)
            .otherwise(PAID)
        ),
    }  # fmt: skip


def categories() -> dict[str, pl.Expr]:
    """ChargeCategory, ChargeClass, ChargeFrequency and PricingCategory."""
    refunded = (
        pl.when(pl.col("line_item_tax_type").is_not_null()).then(pl.lit("Tax"))
        .when(_refunded_fee).then(pl.lit("Purchase"))
        .when(pl.col(USAGE).is_not_null()).then(pl.lit("Usage"))
        .otherwise(pl.lit("Adjustment"))
    )  # fmt: skip
    days = (pl.col(s.CHARGE_PERIOD_END) - pl.col(s.CHARGE_PERIOD_START)).dt.total_days()
    spot = pl.col(USAGE).str.contains(r"(?:^|[-:])Spot").fill_null(value=False)
    category = (
        pl.when(_second | _metered).then(pl.lit("Usage"))
        .when(_fee).then(pl.lit("Purchase"))
        .when(_kind.is_in(["Tax", "Credit"])).then(_kind)
        .when(_refund).then(refunded)
        .otherwise(pl.lit("Adjustment"))
    )  # fmt: skip
    return {
        s.CHARGE_CATEGORY: category,
        s.CHARGE_CLASS: pl.when(_refund).then(pl.lit("Correction")),
        s.CHARGE_FREQUENCY: (
            pl.when(_second | _metered | _negation | is_discount(_kind)).then(pl.lit("Usage-Based"))
            .when(_kind.is_in(RECURRING)).then(pl.lit("Recurring"))
            .when((_kind == "Fee") & ~_commitment_fee & (days >= MONTHLY_FEE_DAYS)).then(pl.lit("Recurring"))
            .otherwise(pl.lit("One-Time"))
        ),
        s.PRICING_CATEGORY: (
            pl.when(category == "Tax").then(None)
            .when(_second | _covered | _reserved).then(pl.lit("Committed"))
            .when((_kind == "Usage") & spot).then(pl.lit("Dynamic"))
            .when((_kind == "Usage") | _fee).then(pl.lit("Standard"))
            .otherwise(pl.lit("Other"))
        ),
    }  # fmt: skip


def commitments() -> dict[str, pl.Expr]:
    """The CommitmentDiscount columns; a savings plan is counted in money, a reservation in its unit of time."""
    used = _covered | _reserved | (_second & ~pl.col(KNOWN))
    committed, total = _of_plan | _of_reservation, pl.col("savings_plan_total_commitment_to_date")
    quantity = (
        pl.when(_of_plan & _second & pl.col(KNOWN)).then(total - pl.col("savings_plan_used_commitment"))
        .when(_of_plan & _covered).then("savings_plan_savings_plan_effective_cost")
        .when(_of_plan & (_kind == "SavingsPlanRecurringFee")).then(total)
        .when(_of_reservation & _second & pl.col(KNOWN)).then("reservation_unused_quantity")
        .when(_of_reservation & _kind.is_in(["DiscountedUsage", "RIFee"])).then("line_item_usage_amount")
    )  # fmt: skip
    unit = pl.when(_of_plan).then(s.BILLING_CURRENCY).when(_of_reservation).then(_unit())
    return {
        s.COMMITMENT_DISCOUNT_ID: (
            pl.when(_of_plan).then(_plan).when(_of_reservation).then(_reservation)
        ),
        s.COMMITMENT_DISCOUNT_CATEGORY: (
            pl.when(_of_plan).then(pl.lit("Spend")).when(_of_reservation).then(pl.lit("Usage"))
        ),
        s.COMMITMENT_DISCOUNT_TYPE: (
            pl.when(_of_plan).then(pl.lit("Savings Plan")).when(_of_reservation).then(pl.lit("Reserved Instance"))
        ),
        s.COMMITMENT_DISCOUNT_NAME: pl.when(_of_plan).then("savings_plan_offering_type"),
        s.COMMITMENT_DISCOUNT_STATUS: (
            pl.when(~committed).then(None)
            .when(used).then(pl.lit("Used"))
            .when(_second).then(pl.lit("Unused"))
        ),
        s.COMMITMENT_DISCOUNT_QUANTITY: quantity,
        s.COMMITMENT_DISCOUNT_UNIT: pl.when(quantity.is_not_null()).then(unit),
    }  # fmt: skip


def token_meter() -> pl.Expr:
    """Whether the row counts tokens of a Bedrock model."""
    service = pl.concat_str(s.SERVICE_NAME, "line_item_product_code", separator=" ", ignore_nulls=True)
    return bedrock.is_token_meter(service, pl.col(USAGE)) & _metered & ~_pod


def quantities(how: Basis, tokens: str) -> dict[str, pl.Expr]:
    """Consumed and priced quantities, units and unit prices; tokens: the column that says what token_meter() says."""
    amount = pl.col("line_item_usage_amount")
    counts = _metered & ~_second & ~_pod & ~_capacity_count
    per_unit = pl.when(tokens).then(bedrock.tokens_per_unit(pl.col("pricing_unit"), pl.col(USAGE)))
    consumed = pl.when(counts).then(amount * per_unit.fill_null(pl.lit(1, dtype=s.MONEY)))
    priced = pl.when(_second).then(s.COMMITMENT_DISCOUNT_QUANTITY).when(counts | _fee).then(amount)
    contracted = pl.col("line_item_unblended_rate")
    if how == "net":
        contracted = pl.coalesce("line_item_net_unblended_rate", contracted)
    if how == "map":
        contracted = pl.when((pl.col(TOTAL) == 0).fill_null(value=True)).then(contracted)
    list_price = pl.col("pricing_public_on_demand_rate")
    return {
        s.CONSUMED_QUANTITY: consumed,
        s.CONSUMED_UNIT: (
            pl.when(consumed.is_null()).then(None)
            .when(per_unit.is_not_null()).then(pl.lit(bedrock.TOKENS))
            .otherwise(_unit())
        ),
        s.PRICING_QUANTITY: priced,
        s.PRICING_UNIT: (
            pl.when(priced.is_null()).then(None)
            .when(_second).then(s.COMMITMENT_DISCOUNT_UNIT)
            .otherwise(_unit())
        ),
        s.LIST_UNIT_PRICE: pl.when(counts).then(list_price),
        s.CONTRACTED_UNIT_PRICE: pl.when(counts).then(pl.when(_reserved).then(list_price).otherwise(contracted)),
    }  # fmt: skip


def wrong() -> dict[str, pl.Expr]:
    """What keeps a row from being a charge although each of its cells can be read: reason -> condition."""
    missing = pl.col(s.EFFECTIVE_COST).is_null() & pl.col(PAID).is_not_null()
    return {
        "savings_plan_savings_plan_effective_cost is empty on covered usage: its cost is not known": missing & _covered,
        "reservation_effective_cost is empty on usage under a reservation: its cost is not known": missing & _reserved,
        "line_item_usage_end_date lies before line_item_usage_start_date": (
            pl.col("line_item_usage_end_date") < pl.col("line_item_usage_start_date")
        ),
        "line_item_currency_code is no ISO 4217 code": ~pl.col(s.BILLING_CURRENCY).str.contains("^[A-Z]{3}$"),
    }


def _sum(parts: Iterable[str | pl.Expr]) -> pl.Expr:
    """The sum of those that are known; null where none is."""
    known = [pl.col(part) if isinstance(part, str) else part for part in parts]
    return pl.when(pl.any_horizontal(part.is_not_null() for part in known)).then(pl.sum_horizontal(known))


def _net_or(how: Basis, net: str, gross: str) -> pl.Expr:
    return pl.coalesce(net, gross) if how == "net" else pl.col(gross)


def _unit() -> pl.Expr:
    unit = pl.col("pricing_unit")
    known = unit.map_batches(
        lambda units: units.replace_strict(UNITS, default=None, return_dtype=pl.String),
        return_dtype=pl.String,
        is_elementwise=True,
    )
    return pl.coalesce(known, unit)
