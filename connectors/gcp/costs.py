"""What each row of a usage cost export costs, and what FOCUS calls it.

A row with credits is two charges: the row, and all of its credits together. Net = cost + sum of the credits' amounts,
which Google invoices; a negative net stays negative. Discounts: credits that lower what the row costs (credits.py).

| row | category, frequency, pricing | Billed | Effective | Contracted | List |
|---|---|---|---|---|---|
| regular | Usage, Usage-Based, Standard (spot: Dynamic) | cost | cost + discounts | cost | cost at list |
| ... under a commitment (consumption model) | Committed, Used | cost | cost + discounts | cost | at list |
| ... under a commitment (credit) | Committed, Used | cost | cost + discounts + its share of the fee | cost | at list |
| regular, fee of a commitment | Purchase, Recurring, Standard | cost | 0 | cost | cost |
| ... which no pool divides | Purchase, Recurring, Standard | cost | cost + discounts | cost | cost |
| tax | Tax, Recurring | cost | cost + discounts | cost | cost |
| adjustment | Adjustment, One-Time, Other | cost | cost + discounts | cost | cost |
| rounding_error, and any other type | Adjustment, One-Time, Other | cost | cost + discounts | cost | cost |
| the row's credits | Credit, Usage-Based, Other | credits | credits - discounts | credits | 0 |
| ... of a fee with FEE_UTILIZATION_OFFSET | Usage, Usage-Based, Committed, Unused | credits | cost + credits | 0 | 0 |
| unused part of a credited fee | Usage, Usage-Based, Committed, Unused | 0 | fee x (1 - used_ratio) | 0 | 0 |

Commitments: a fee is billed as its term runs, and nothing is paid upfront, so no cost moves between days. Where usage
is credited (COMMITTED_USAGE_DISCOUNT, ..._DOLLAR_BASE), the credits have used a part of the fee: commitments.py. Where
usage is priced by its consumption model, the fee is offset by what usage has paid: the rest of it is what was unused.

Corrections: transaction_type CORRECTION, or adjustment_info that corrects or negates. They keep their category and
sign, stand in the month that invoices them, and their charge period says what they correct.

Source: schema and credit types of Cloud Billing, read 2026-11-21: of FEE_UTILIZATION_OFFSET it says that a fully used
commitment's offset brings the fee to zero while its usage is charged at the discounted price. FOCUS 1.4. Names of fee
SKUs and consumption models: Google Cloud's sample queries for CUDs. No real bill with an offset was at hand.
"""

from typing import Final

import polars as pl

from connectors.gcp import credits
from finops import schema as s

SECOND: Final = "second"
"""Whether this is the charge of the row's credits."""
FEE: Final = r"(?i)^commitment\b|\bcommitment fee\b|\bCUD (?:fee|subscription)|\bcommit(?:ment)? for \d+ years?\b"
BY_MONEY: Final = r"(?i)dollar|spend|flexible|\bCUDs?\b"
"""Fees of commitments to an amount of money; the others commit to cores, memory or accelerators."""
SPOT: Final = r"(?i)\bspot\b|preemptible"
UNDER_COMMITMENT: Final = r"(?i)\bcommit|\bCUDs?\b"
TOTAL: Final = pl.col(credits.TOTAL)

_ZERO: Final = pl.lit(0, dtype=s.MONEY)
POOL_SHARE, POOL_UNUSED, POOL_FEE_ID = "pool share", "pool unused", "pool fee"
"""What commitments.py knows of a row's pool: the fee that the row has used, or of a fee what nothing used."""

_second: Final = pl.col(SECOND)
_type: Final = pl.col("cost_type").str.to_lowercase()
_regular: Final = _type.fill_null("regular") == "regular"
_fee: Final = (_regular & pl.col("sku.description").str.contains(FEE)).fill_null(value=False)
_offset: Final = _fee & (pl.col(credits.OFFSET) != 0)
_metered: Final = _regular & ~_fee
_model: Final = pl.concat_str(
    "consumption_model.id", "consumption_model.description", separator=" ", ignore_nulls=True
)  # fmt: skip
_spot: Final = pl.col("sku.description").str.contains(SPOT).fill_null(value=False) | _model.str.contains(SPOT)
_credited: Final = pl.col(credits.COMMITMENT).is_not_null()
_committed: Final = _metered & (_credited | _model.str.contains(UNDER_COMMITMENT)) & ~_spot
_divided: Final = pl.col(POOL_UNUSED).is_not_null()
_unused: Final = _second & (_offset | _divided)
CREDITED_FEES: Final = _fee & ~_offset
METERED: Final = _metered
DIVIDES: Final = _fee & (pl.col(credits.TOTAL) == 0)
"""Fees whose used part can move to the usage: a fee with credits of its own keeps its cost."""
_priced: Final = pl.when(pl.col("cost") != 0).then("cost")
COVERED: Final = -pl.col("usage.amount_in_pricing_units") * pl.col(credits.TAKEN) / _priced
"""The quantity of a usage row that its committed credit has paid for."""


def four_costs() -> dict[str, pl.Expr]:
    """BilledCost, EffectiveCost, ContractedCost and ListCost of both charges of a row."""
    cost, discounts = pl.col("cost"), pl.col(credits.DISCOUNT)
    # a refused row is one charge: its net
    billed = pl.when(pl.col("rejected")).then(cost + TOTAL.fill_null(_ZERO)).otherwise(cost)
    at_list = pl.when(_metered).then(pl.coalesce("cost_at_list", cost)).otherwise(cost)
    return {
        s.BILLED_COST: pl.when(_second).then(TOTAL).otherwise(billed),
        s.EFFECTIVE_COST: (
            pl.when(pl.col("rejected")).then(billed)
            .when(_second & _divided).then(POOL_UNUSED)
            .when(_unused).then(cost + TOTAL)
            .when(_second).then(TOTAL - discounts)
            .when(_offset | _divided).then(_ZERO)
            .otherwise(cost + discounts + pl.col(POOL_SHARE).fill_null(_ZERO))
        ),
        s.CONTRACTED_COST: pl.when(_unused).then(_ZERO).when(_second).then(TOTAL).otherwise(cost),
        s.LIST_COST: pl.when(_second).then(_ZERO).otherwise(at_list),
    }  # fmt: skip


def categories() -> dict[str, pl.Expr]:
    """ChargeCategory, ChargeClass, ChargeFrequency and PricingCategory."""
    category = (
        pl.when(_unused).then(pl.lit("Usage"))
        .when(_second).then(pl.lit("Credit"))
        .when(_fee).then(pl.lit("Purchase"))
        .when(_regular).then(pl.lit("Usage"))
        .when(_type == "tax").then(pl.lit("Tax"))
        .otherwise(pl.lit("Adjustment"))
    )  # fmt: skip
    adjusted = pl.concat_str("adjustment_info.type", "adjustment_info.mode", separator=" ", ignore_nulls=True)
    corrects = (pl.col("transaction_type").str.to_uppercase() == "CORRECTION").fill_null(value=False) | (
        adjusted.str.contains("(?i)correction|negation")
    )
    return {
        s.CHARGE_CATEGORY: category,
        s.CHARGE_CLASS: pl.when(corrects).then(pl.lit("Correction")),
        s.CHARGE_FREQUENCY: (
            pl.when(_second).then(pl.lit("Usage-Based"))
            .when(_fee | (_type == "tax")).then(pl.lit("Recurring"))
            .when(_regular).then(pl.lit("Usage-Based"))
            .otherwise(pl.lit("One-Time"))
        ),
        s.PRICING_CATEGORY: (
            pl.when(category == "Tax").then(None)
            .when(_unused).then(pl.lit("Committed"))
            .when(_second | (category == "Adjustment")).then(pl.lit("Other"))
            .when(_metered & _spot).then(pl.lit("Dynamic"))
            .when(_committed).then(pl.lit("Committed"))
            .otherwise(pl.lit("Standard"))
        ),
    }  # fmt: skip


def commitments() -> dict[str, pl.Expr]:
    """The CommitmentDiscount columns; after four_costs(). A spend-based commitment is counted in money."""
    used = _committed & ~_second
    known = used | _unused | _fee
    by_money = _offset | pl.col("sku.description").str.contains(BY_MONEY)
    spend = pl.when(_fee).then(by_money).otherwise(pl.col(credits.BY_MONEY).fill_null(value=True))
    fee_quantity = pl.col("usage.amount_in_pricing_units")
    in_units = (
        pl.when(_unused).then(fee_quantity * pl.col(POOL_UNUSED) / _priced)
        .when(pl.col(POOL_SHARE).is_not_null()).then(COVERED)
        .otherwise(fee_quantity)
    )  # fmt: skip
    in_money = pl.when(_unused | _credited.not_()).then(s.EFFECTIVE_COST).otherwise(
        pl.coalesce(POOL_SHARE, s.EFFECTIVE_COST)
    )  # fmt: skip
    quantity = (
        pl.when(used | _unused).then(pl.when(spend).then(in_money).otherwise(in_units))
        .when(_fee & ~_second).then(pl.when(spend).then("cost").otherwise("usage.amount_in_pricing_units"))
    )  # fmt: skip
    unit = pl.when(spend).then(s.BILLING_CURRENCY).otherwise("usage.pricing_unit")
    return {
        s.COMMITMENT_DISCOUNT_ID: pl.when(known).then(
            pl.coalesce(POOL_FEE_ID, "subscription.instance_id", credits.COMMITMENT, "consumption_model.id", "sku.id")
        ),
        s.COMMITMENT_DISCOUNT_CATEGORY: (
            pl.when(~known).then(None).when(spend).then(pl.lit("Spend")).otherwise(pl.lit("Usage"))
        ),
        s.COMMITMENT_DISCOUNT_TYPE: pl.when(known).then(pl.lit("Committed Use Discount")),
        s.COMMITMENT_DISCOUNT_NAME: pl.when(known).then(
            pl.coalesce("consumption_model.description", pl.when(_fee).then("sku.description"))
        ),
        s.COMMITMENT_DISCOUNT_STATUS: (
            pl.when(_unused).then(pl.lit("Unused")).when(used).then(pl.lit("Used"))
        ),
        s.COMMITMENT_DISCOUNT_QUANTITY: quantity,
        s.COMMITMENT_DISCOUNT_UNIT: pl.when(quantity.is_not_null()).then(unit),
    }  # fmt: skip


def quantities() -> dict[str, pl.Expr]:
    """Consumed and priced quantities, units and unit prices: of the row's own charge, not of its credits."""
    own = ~_second & _regular
    consumed, priced = pl.col("usage.amount"), pl.col("usage.amount_in_pricing_units")
    block = pl.col("price.pricing_unit_quantity")
    per_block = pl.when(block > 0).then(block).otherwise(pl.lit(1, dtype=s.MONEY))
    return {
        s.CONSUMED_QUANTITY: pl.when(own & ~_fee).then(consumed),
        s.CONSUMED_UNIT: pl.when(own & ~_fee & consumed.is_not_null()).then("usage.unit"),
        s.PRICING_QUANTITY: pl.when(own).then(priced),
        s.PRICING_UNIT: pl.when(own & priced.is_not_null()).then(pl.coalesce("usage.pricing_unit", "price.unit")),
        s.LIST_UNIT_PRICE: pl.when(own).then(pl.col("price.list_price") / per_block),
        s.CONTRACTED_UNIT_PRICE: pl.when(own).then(pl.col("price.effective_price") / per_block),
    }
