"""What each row of cost details costs, and what FOCUS calls it.

Cost: what the row says in the billing currency. A row of a commitment is one whose PricingModel is Reservation or
SavingsPlan (where the column is missing or empty, one with a benefit or reservation).

| ChargeType | category, class | Billed | Effective | Contracted | List |
|---|---|---|---|---|---|
| Usage | Usage | cost | cost | at the contracted price | at the list price |
| Usage of a commitment | Usage, Committed, Used | 0 | cost | at the contracted price | at the list price |
| UnusedReservation, UnusedSavingsPlan | Usage, Committed, Unused | 0 | cost | 0 | 0 |
| Purchase | Purchase | cost | cost | cost | cost |
| Purchase of a commitment | Purchase | cost | 0 | cost | cost |
| Refund | Purchase, Correction | cost | cost | cost | cost |
| Refund of a commitment | Purchase, Correction | cost | 0 | cost | cost |
| Credit, Tax | the same | cost | cost | cost | cost |
| RoundingAdjustment, any other | Adjustment | cost | cost | cost | cost |

Prices. Contracted: UnitPrice x PricingQuantity. List: PaygCostInBillingCurrency (MCA), else PayGPrice x PricingQuantity
(EA, which has no list cost). MCA states prices in the pricing currency: they are multiplied by its exchange rate. A
price that is missing, or 0 beside a cost (Marketplace, reservations), is replaced by the next: list <- contracted <-
cost.

Quantities. UnitOfMeasure names a block (`10K`, `100 Hours`). PricingQuantity counts blocks and ConsumedQuantity what is
in them. Microsoft documents Quantity as consumed units; real exports of today have blocks. The row's own cost decides:
Quantity counts blocks where cost is nearer to Quantity x price of a block than to that divided by the block. Where cost
or price are 0 or missing, Quantity is as documented.

Source: FinOps toolkit (microsoft/finops-toolkit, commit 04d370f of 2026-05-20), docs-mslearn/focus/convert.md and
validate.md; FOCUS 1.4; read 2026-11-21.
"""

from typing import Final

import polars as pl

from connectors.azure import units
from finops import schema as s

TYPE: Final = "charge type"
MODEL: Final = "model"
COMMITMENT: Final = "commitment id"
USED, FEE, UNUSED = "used", "fee", "unused"
BLOCK: Final = "x_PricingBlockSize"
RATIO: Final = "normalisation ratio"
_ZERO: Final = pl.lit(0, dtype=s.MONEY)
_ONE: Final = pl.lit(1, dtype=s.MONEY)
_RESERVATION: Final = "(?i)/microsoft.capacity/"
_PLAN: Final = "(?i)/microsoft.billingbenefits/"
_kind: Final = pl.col(TYPE)
_usage: Final = _kind == "usage"
_cost: Final = pl.col("cost")
_committed: Final = pl.col(USED) | pl.col(UNUSED)


def kinds() -> list[dict[str, pl.Expr]]:
    """TYPE and MODEL of a row, then what it is to a commitment: USED, FEE, UNUSED; each step reads the one before."""
    benefit = pl.col("benefit_id")
    unused = pl.col("charge_type").str.to_lowercase().str.contains("^unused")
    said = pl.col("pricing_model").str.to_lowercase().str.replace_all(r"[\s_-]", "")
    guessed = (
        pl.when(benefit.str.contains(_PLAN) | (pl.col("charge_type").str.to_lowercase() == "unusedsavingsplan"))
        .then(pl.lit("savingsplan"))
        .when(benefit.str.contains(_RESERVATION) | pl.col("reservation_id").is_not_null() | unused)
        .then(pl.lit("reservation"))
        .when(pl.col("meter_name").str.contains(r"(?i)\b(?:spot|low priority)$"))
        .then(pl.lit("spot"))
        .otherwise(pl.lit("ondemand"))
    )
    of_commitment = pl.col(MODEL).is_in(["reservation", "savingsplan"])
    return [
        {
            TYPE: pl.col("charge_type").str.to_lowercase().str.replace_all(r"[\s_-]", "").fill_null("usage"),
            MODEL: pl.coalesce(said, guessed),
            COMMITMENT: pl.coalesce(benefit, "reservation_id"),
            RATIO: _json("RINormalizationRatio").cast(s.MONEY, strict=False),
        },
        {
            USED: _usage & of_commitment,
            FEE: _kind.is_in(["purchase", "refund"]) & of_commitment,
            UNUSED: _kind.is_in(["unusedreservation", "unusedsavingsplan"]),
        },
    ]


def quantities() -> list[dict[str, pl.Expr]]:
    """Prices in the billing currency, then quantities and units; each step reads the one before."""
    foreign = pl.col("pricing_currency").is_not_null() & (pl.col("pricing_currency") != pl.col("currency"))
    rate = pl.coalesce("exchange_rate", pl.when(~foreign).then(_ONE))
    price = pl.coalesce(_filled(s.CONTRACTED_UNIT_PRICE), _filled(s.LIST_UNIT_PRICE))
    quantity, block = pl.col("quantity"), pl.col(BLOCK)
    # the middle between a block and its parts, as a factor
    middle = pl.when(block < 100).then(3).when(block < 1_000).then(10).when(block < 10_000).then(30).otherwise(100)
    in_parts = (_cost.abs() * middle < (quantity * price).abs()) | (_cost == 0) | price.is_null()
    counted = _usage | pl.col(UNUSED) | (_kind == "purchase")
    tokens = units.tokens_named(pl.col("meter_name"))
    is_token = pl.col("meter_name").str.contains(r"(?i)\btokens?\b").fill_null(value=False)
    name = pl.when(is_token).then(pl.lit(units.TOKENS)).otherwise(units.unit_name(pl.col("unit")).fill_null("Units"))
    one = block == 1
    return [
        {
            s.CONTRACTED_UNIT_PRICE: pl.when(_usage).then(pl.col("unit_price") * rate),
            s.LIST_UNIT_PRICE: pl.when(_usage).then(pl.col("list_price") * rate),
            BLOCK: units.block_size(pl.col("unit")),
        },
        {
            s.PRICING_QUANTITY: (
                pl.when(~counted).then(None)
                .when((block > 1) & in_parts.fill_null(value=True)).then(quantity / block)
                .otherwise(quantity)
            ),
            # a unit of 1 beside a meter of "1M Tokens" is a million of them
            BLOCK: pl.when(is_token & one).then(tokens).otherwise(block),
        },
        {
            s.CONSUMED_QUANTITY: pl.when(_usage).then(pl.col(s.PRICING_QUANTITY) * block),
            s.CONSUMED_UNIT: pl.when(_usage & quantity.is_not_null()).then(name),
            s.PRICING_UNIT: (
                pl.when(pl.col(s.PRICING_QUANTITY).is_null()).then(None)
                .when(one).then(name)
                .otherwise(pl.format("{} {}", block.cast(pl.Int64), name))
            ),
        },
    ]  # fmt: skip


def four_costs() -> list[dict[str, pl.Expr]]:
    """BilledCost, EffectiveCost, ContractedCost and ListCost; after kinds() and quantities()."""
    priced = pl.col(s.PRICING_QUANTITY)
    contracted = pl.when(_usage).then(_filled(s.CONTRACTED_UNIT_PRICE) * priced)
    at_list = pl.when(_usage).then(pl.coalesce(_filled("list_cost"), _filled(s.LIST_UNIT_PRICE) * priced))
    unused = pl.col(UNUSED)
    return [
        {
            s.BILLED_COST: pl.when(_committed).then(_ZERO).otherwise(_cost),
            s.EFFECTIVE_COST: pl.when(FEE).then(_ZERO).otherwise(_cost),
            s.CONTRACTED_COST: pl.when(unused).then(_ZERO).otherwise(pl.coalesce(contracted, _cost)),
        },
        {
            s.LIST_COST: pl.when(unused).then(_ZERO).otherwise(pl.coalesce(at_list, s.CONTRACTED_COST)),
            s.PRICING_CURRENCY_EFFECTIVE_COST: pl.when(FEE).then(_ZERO).otherwise("pricing_cost"),
        },
    ]


def categories() -> dict[str, pl.Expr]:
    """ChargeCategory, ChargeClass, ChargeFrequency and PricingCategory."""
    frequency = pl.col("frequency").str.to_lowercase().str.replace_all(r"[\s_-]", "")
    used = _usage | pl.col(UNUSED)
    purchase = _kind.is_in(["purchase", "refund"])
    return {
        s.CHARGE_CATEGORY: (
            pl.when(used).then(pl.lit("Usage"))
            .when(purchase).then(pl.lit("Purchase"))
            .when(_kind.is_in(["tax", "credit"])).then(_kind.str.to_titlecase())
            .otherwise(pl.lit("Adjustment"))
        ),
        s.CHARGE_CLASS: pl.when(_kind == "refund").then(pl.lit("Correction")),
        s.CHARGE_FREQUENCY: (
            pl.when(frequency == "recurring").then(pl.lit("Recurring"))
            .when((frequency == "usagebased") | (frequency.is_null() & used)).then(pl.lit("Usage-Based"))
            .otherwise(pl.lit("One-Time"))
        ),
        s.PRICING_CATEGORY: (
            pl.when(_kind == "tax").then(None)
            .when(_committed).then(pl.lit("Committed"))
            .when(_usage & (pl.col(MODEL) == "spot")).then(pl.lit("Dynamic"))
            .when(_usage | (_kind == "purchase")).then(pl.lit("Standard"))
            .otherwise(pl.lit("Other"))
        ),
    }  # fmt: skip


def commitments() -> dict[str, pl.Expr]:
    """CommitmentDiscount columns of the rows of a commitment; after four_costs()."""
    row = _committed | pl.col(FEE)
    plan = row & (pl.col(MODEL) == "savingsplan")
    reservation = row & ~plan
    rate = pl.coalesce("exchange_rate", _ONE)
    quantity = (
        pl.when(plan & _committed & (rate != 0)).then(pl.col(s.EFFECTIVE_COST) / rate)
        .when(reservation).then(pl.col(s.PRICING_QUANTITY) * pl.col(BLOCK) * pl.col(RATIO).fill_null(_ONE))
    )  # fmt: skip
    name = units.unit_name(pl.col("unit")).fill_null(units.UNITS)
    normalised = pl.when(pl.col(RATIO).is_not_null()).then(pl.format("Normalized {}", name)).otherwise(name)
    return {
        s.COMMITMENT_DISCOUNT_ID: pl.when(row).then(COMMITMENT),
        s.COMMITMENT_DISCOUNT_NAME: pl.when(row).then(pl.coalesce("benefit_name", "reservation_name", "order_name")),
        s.COMMITMENT_DISCOUNT_TYPE: _one_of(plan, "Savings Plan", reservation, "Reservation"),
        s.COMMITMENT_DISCOUNT_CATEGORY: _one_of(plan, "Spend", reservation, "Usage"),
        s.COMMITMENT_DISCOUNT_STATUS: _one_of(pl.col(USED), "Used", pl.col(UNUSED), "Unused"),
        s.COMMITMENT_DISCOUNT_QUANTITY: quantity,
        s.COMMITMENT_DISCOUNT_UNIT: (
            pl.when(quantity.is_null()).then(None)
            .when(plan).then(pl.coalesce("pricing_currency", "currency"))
            .otherwise(normalised)
        ),
    }  # fmt: skip


def _one_of(first: pl.Expr, one: str, second: pl.Expr, other: str) -> pl.Expr:
    return pl.when(first).then(pl.lit(one)).when(second).then(pl.lit(other))


def _filled(name: str) -> pl.Expr:
    """The price or cost; null where it is 0 and the row costs something: there it is not known."""
    return pl.when((pl.col(name) != 0) | (_cost == 0)).then(name)


def _json(key: str) -> pl.Expr:
    """A value of AdditionalInfo."""
    return pl.col("additional_info").str.extract(rf'(?i)"{key}"\s*:\s*"?([^",}}]+)', 1)


def info(key: str) -> pl.Expr:
    """A value of AdditionalInfo; null where it says null."""
    value = _json(key).str.strip_chars()
    return pl.when(~value.is_in(["null", "NULL", ""])).then(value)
