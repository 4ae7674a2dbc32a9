"""What the company is charged: consumption priced, commitments applied, fees added. One ledger for all clouds, in USD.

The exports write their share of these rows in their own columns; the truth file and the invoices are sums over them.

| row | BilledCost | EffectiveCost |
|---|---|---|
| usage at list less the negotiated discount | contracted cost | contracted cost |
| usage covered by a commitment | 0 | its share of the commitment's fee |
| the unused rest of a commitment's day | 0 | that rest |
| a commitment's upfront payment and monthly fees | the payment | 0 |
| support, marketplace tax, credit, refund, rounding | the amount | the amount |

Over a whole term the covered and unused rows sum to the upfront payment and the fees.
"""

from datetime import date, timedelta
from typing import Final

import polars as pl

from connectors.demo import company
from connectors.demo.activity import DAY, QUANTITY, RESOURCE, SKU, USUAL, WORKLOAD
from connectors.demo.company import COMMITMENTS, WORKLOADS, Calendar, Commitment, next_month
from connectors.demo.incidents import PRICE_RATIO, price_change_day
from connectors.demo.skus import skus

COST_DECIMALS: Final = 10
EXACT: Final = pl.Decimal(38, COST_DECIMALS)
"""What costs are summed as: a sum of doubles depends on the order, and the last digit with it."""
DISCOUNT_RATIO: Final = {"aws": 0.05, "azure": 0.03, "gcp": 0.04}
"""What the company has negotiated on list prices."""
CHANGED_SKU: Final = "azure.gpt41.in"
SUPPORT_RATIO: Final = 0.03
TAX_RATIO: Final = 0.06
"""On marketplace models and support only."""
CREDIT_USD, REFUND_USD = -6500.0, -1184.37
PROMOTED_SKU, PROMOTION_RATIO, PROMOTION_MONTHS_AGO = "gcp.bq", 0.3, 3
"""Google's promotion: of which SKU it pays which part, in which month counted from the open one."""
MISSING_MONTHS_AGO: Final = 2
"""The month, counted from the open one, whose support fee the AWS export leaves out."""
SUPPORT: Final = "aws.support"

COLUMNS: Final[dict[str, pl.DataType]] = {
    "source": pl.String(), "account": pl.String(), WORKLOAD: pl.String(), RESOURCE: pl.Int32(), SKU: pl.String(),
    "first_day": pl.Date(), "end_day": pl.Date(), "month": pl.Date(), "category": pl.String(),
    "charge_class": pl.String(), "frequency": pl.String(), "pricing": pl.String(), "description": pl.String(),
    QUANTITY: pl.Float64(), "pricing_quantity": pl.Float64(), "list_price": pl.Float64(),
    "contracted_price": pl.Float64(), "list_cost": pl.Float64(), "contracted_cost": pl.Float64(),
    "billed_cost": pl.Float64(), "effective_cost": pl.Float64(), "commitment": pl.String(),
    "commitment_status": pl.String(), "commitment_quantity": pl.Float64(), "usual_ratio": pl.Float64(),
}  # fmt: skip
"""first_day to end_day (exclusive) is the charge period, month the billing period; usual_ratio is the part of the cost
that would be there without an incident."""
_LEAST: Final = 1e-6
"""USD: a part of a row that is smaller belongs to the other part."""
_COSTS: Final = ("list_cost", "contracted_cost", "billed_cost", "effective_cost")


def bill(usage: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Every charge of the company with the columns COLUMNS, in a fixed order; costs have at most 10 decimals."""
    priced = _priced(usage, calendar)
    covered = []
    for commitment in COMMITMENTS:
        inside, priced = _split(priced, commitment, calendar)
        covered.append(inside)
    pieces = [priced, *covered]
    pieces += [_fees(commitment, calendar) for commitment in COMMITMENTS]
    used = pl.concat([p.select(*COLUMNS) for p in pieces])
    whole = pl.concat([used, _monthly_extras(used, calendar).select(*COLUMNS)])
    whole = pl.concat([whole, _roundings(whole).select(*COLUMNS)])
    return whole.with_columns(pl.col(*_COSTS).round(COST_DECIMALS)).sort(
        "month", "first_day", "source", "category", WORKLOAD, SKU, RESOURCE, "commitment", "commitment_status",
        "billed_cost", maintain_order=True,
    )  # fmt: skip


def missing_from_export(calendar: Calendar) -> pl.Expr:
    """True for the charge that is on the invoice and not in the export: one month's support fee."""
    return (pl.col(SKU) == SUPPORT) & (pl.col("month") == missing_month(calendar))


def missing_month(calendar: Calendar) -> date:
    """The billing month whose support fee is not in the export."""
    return company.month_before(calendar.open_month, MISSING_MONTHS_AGO)


# ------------------------------------------------------------------------------------------------------------- usage
def _priced(usage: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    plan = pl.DataFrame(
        {
            WORKLOAD: [w.name for w in WORKLOADS],
            "source": [company.account(w.account).source for w in WORKLOADS],
            "account": [w.account for w in WORKLOADS],
            "pricing": ["Dynamic" if w.spot else "Standard" for w in WORKLOADS],
        }
    )
    discount = pl.when("discountable").then(pl.col("source").replace_strict(DISCOUNT_RATIO)).otherwise(0.0)
    changed = (pl.col(SKU) == CHANGED_SKU) & (pl.col(DAY) >= price_change_day(calendar))
    return (
        usage.join(plan, on=WORKLOAD, maintain_order="left")
        .join(skus().select(SKU, "list_price", "committed_price", "block", "discountable"), on=SKU,
              maintain_order="left")
        .with_columns(pl.when(changed).then(PRICE_RATIO).otherwise(1.0).alias("price_ratio"))
        .with_columns(
            list_price=(pl.col("list_price") * pl.col("price_ratio")).round(COST_DECIMALS),
            pricing_quantity=pl.col(QUANTITY) / pl.col("block"),
        )
        .with_columns(contracted_price=(pl.col("list_price") * (1 - discount)).round(COST_DECIMALS))
        .with_columns(
            first_day=DAY, end_day=pl.col(DAY).dt.offset_by("1d"), month=pl.col(DAY).dt.month_start(),
            category=pl.lit("Usage"), charge_class=None, frequency=pl.lit("Usage-Based"), description=None,
            commitment=None, commitment_status=None, commitment_quantity=None,
            usual_ratio=pl.col(USUAL) / pl.col(QUANTITY) / pl.col("price_ratio"),
            list_cost=pl.col("list_price") * pl.col("pricing_quantity"),
            contracted_cost=pl.col("contracted_price") * pl.col("pricing_quantity"),
        )
        .with_columns(billed_cost="contracted_cost", effective_cost="contracted_cost")
        .select(*(pl.col(c).cast(t) for c, t in COLUMNS.items()), "committed_price")
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------- commitments
def term_of(commitment: Commitment, calendar: Calendar) -> tuple[date, date]:
    """First day of a commitment's year and the day after its last."""
    first = company.month_before(calendar.open_month, commitment.start)
    return first, company.month_before(first, -12)


def _split(priced: pl.DataFrame, commitment: Commitment, calendar: Calendar) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The commitment's covered and unused rows, and the usage that is left at its own price."""
    first, end = term_of(commitment, calendar)
    per_day = commitment.per_hour * 24
    eligible = pl.col(WORKLOAD).is_in(commitment.covers) & pl.col("first_day").is_between(first, end, closed="left")
    if commitment.daily:
        eligible = eligible & (pl.col(SKU) == commitment.sku)
    order = pl.col(WORKLOAD).replace_strict({w: i for i, w in enumerate(commitment.covers)}, default=None)
    candidates = (
        priced.filter(eligible)
        .with_columns(_order=order, _cost=pl.col("pricing_quantity") * pl.col("committed_price"))
        .sort("first_day", "_order", RESOURCE, SKU)
        .with_columns(_before=pl.col("_cost").cum_sum().over("first_day") - pl.col("_cost"))
        .with_columns(_covered=(per_day - pl.col("_before")).clip(0, None))
        .with_columns(_covered=pl.min_horizontal("_covered", "_cost"))
        .with_columns(_ratio=pl.when(pl.col("_cost") - pl.col("_covered") < _LEAST).then(1.0)
                      .when(pl.col("_covered") < _LEAST).then(0.0).otherwise(pl.col("_covered") / pl.col("_cost")))
        .with_columns(_covered=pl.col("_cost") * pl.col("_ratio"))
    )  # fmt: skip
    in_hours = commitment.units is not None
    used = _scaled(candidates.filter(pl.col("_ratio") > 0), pl.col("_ratio")).with_columns(
        billed_cost=pl.lit(0.0), effective_cost=pl.col("_covered"), pricing=pl.lit("Committed"),
        commitment=pl.lit(commitment.key), commitment_status=pl.lit("Used"),
        commitment_quantity=pl.col(QUANTITY) if in_hours else pl.col("_covered").round(COST_DECIMALS),
    )  # fmt: skip
    rest = _scaled(candidates.filter(pl.col("_ratio") < 1), 1 - pl.col("_ratio"))
    left = pl.concat([priced.filter(~eligible), rest.select(priced.columns)])
    unused = _unused(used, commitment, calendar)
    return pl.concat([used.select(*COLUMNS), unused.select(*COLUMNS)]), left


def _scaled(rows: pl.DataFrame, ratio: pl.Expr) -> pl.DataFrame:
    scaled = (QUANTITY, "pricing_quantity", "list_cost", "contracted_cost", "billed_cost", "effective_cost")
    return rows.with_columns((pl.col(c) * ratio).alias(c) for c in scaled)


def _unused(used: pl.DataFrame, commitment: Commitment, calendar: Calendar) -> pl.DataFrame:
    """The rest of each day that nothing used, in the account that owns the commitment."""
    first, end = term_of(commitment, calendar)
    last = min(end, calendar.end.fromordinal(calendar.end.toordinal() + 1))
    days = pl.date_range(max(first, calendar.start), last, closed="left", eager=True).alias("first_day").to_frame()
    taken = used.group_by("first_day").agg(_used=exact_sum("effective_cost"))
    rest = (
        days.join(taken, on="first_day", how="left", maintain_order="left")
        .with_columns(effective_cost=commitment.per_hour * 24 - pl.col("_used").cast(pl.Float64).fill_null(0.0))
        .filter(pl.col("effective_cost") > 10.0**-COST_DECIMALS)
    )
    quantity = pl.col("effective_cost") / (commitment.per_hour / (commitment.units or commitment.per_hour))
    return _of(
        commitment, rest, category="Usage", frequency="Usage-Based", pricing="Committed"
    ).with_columns(
        commitment_status=pl.lit("Unused"), end_day=pl.col("first_day").dt.offset_by("1d"),
        month=pl.col("first_day").dt.month_start(), commitment_quantity=quantity, pricing_quantity=quantity,
    )  # fmt: skip


def _fees(commitment: Commitment, calendar: Calendar) -> pl.DataFrame:
    """The upfront payment on the first day of the term, and a fee on the first of each of its months."""
    first, end = term_of(commitment, calendar)
    yearly = commitment.per_hour * 24 * (end - first).days
    if commitment.daily:
        days = pl.date_range(
            max(first, calendar.start), min(end, calendar.end + timedelta(days=1)), closed="left", eager=True
        )
        monthly = [(day, day + timedelta(days=1), "Recurring", commitment.per_hour * 24) for day in days]
    else:
        months = [m for m in calendar.months if first <= m < end]
        monthly = [(m, next_month(m), "Recurring", commitment.per_hour * 24 * company.days_of_month(m)) for m in months]
    payments = [(a, b, f, cost * (1 - commitment.upfront_ratio)) for a, b, f, cost in monthly]
    if commitment.upfront_ratio and first >= calendar.start:
        payments.append((first, end, "One-Time", yearly * commitment.upfront_ratio))
    frame = pl.DataFrame(
        payments, orient="row",
        schema={"first_day": pl.Date, "end_day": pl.Date, "frequency": pl.String, "billed_cost": pl.Float64},
    )  # fmt: skip
    unit_price = commitment.per_hour / (commitment.units or commitment.per_hour)
    quantity = pl.col("billed_cost") / unit_price
    return _of(commitment, frame, category="Purchase", pricing="Standard").with_columns(
        month=pl.col("first_day").dt.month_start(), effective_cost=pl.lit(0.0), list_cost="billed_cost",
        contracted_cost="billed_cost", pricing_quantity=quantity, commitment_quantity=quantity,
        list_price=pl.lit(unit_price), contracted_price=pl.lit(unit_price),
    )  # fmt: skip


def _of(commitment: Commitment, frame: pl.DataFrame, **texts: str | None) -> pl.DataFrame:
    owner = company.account(commitment.account)
    return _rows(
        frame, source=owner.source, account=owner.key, commitment=commitment.key, description=commitment.name,
        sku=commitment.sku, **texts,
    )  # fmt: skip


def _rows(frame: pl.DataFrame, **texts: str | None) -> pl.DataFrame:
    """The frame with every column of COLUMNS: texts as given, costs 0 and the rest null where it has none."""
    given = frame.with_columns(pl.lit(value, dtype=pl.String).alias(name) for name, value in texts.items())
    missing = {c: t for c, t in COLUMNS.items() if c not in given.columns}
    return given.with_columns(
        pl.lit(0.0 if c in _COSTS else None, dtype=t).alias(c) for c, t in missing.items()
    ).select(pl.col(c).cast(t) for c, t in COLUMNS.items())


# ------------------------------------------------------------------------------- support, tax, credit, refund, rounding
def _monthly_extras(used: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """AWS support (a share of the month before), tax, one credit, and one refund of something in the month before."""
    aws = used.filter(pl.col("source") == "aws")
    marketplace = aws.filter(pl.col(SKU).str.starts_with("aws.haiku"))
    used_cost = aws.filter(pl.col("category") == "Usage").group_by("month").agg(_usage=exact_sum("effective_cost"))
    taxed = marketplace.group_by("month").agg(_taxed=exact_sum("billed_cost"))
    totals = (
        used_cost.join(taxed, on="month", how="left")
        .with_columns(pl.col("_usage", "_taxed").cast(pl.Float64))
        .sort("month")
        .with_columns(_support=(pl.col("_usage").shift(1).fill_null(pl.col("_usage").first()) * SUPPORT_RATIO).round(2))
        .with_columns(_tax=((pl.col("_taxed").fill_null(0.0) + pl.col("_support")) * TAX_RATIO).round(2))
    )  # fmt: skip
    whole_month = {"first_day": pl.col("month"), "end_day": pl.col("month").dt.offset_by("1mo")}
    payer = {"source": "aws", "account": "billing"}
    support = _charge(
        totals.select("month", billed_cost="_support", **whole_month),
        category="Usage",
        frequency="Recurring",
        pricing="Standard",
        sku=SUPPORT,
        **payer,
    )
    tax = _charge(
        totals.select("month", billed_cost="_tax", **whole_month),
        category="Tax",
        frequency="Recurring",
        pricing=None,
        sku="aws.tax",
        **payer,
    )
    credit_month = pl.DataFrame({"month": [company.month_before(calendar.open_month, min(4, len(calendar.closed)))]})
    credit = _charge(
        credit_month.with_columns(billed_cost=CREDIT_USD, **whole_month),
        category="Credit",
        frequency="One-Time",
        pricing=None,
        sku="aws.credit",
        **payer,
    )
    refunded = company.month_before(calendar.open_month, 2)
    refund = _charge(
        pl.DataFrame({"month": [next_month(refunded)], "first_day": [refunded], "end_day": [next_month(refunded)]})
        .with_columns(billed_cost=pl.lit(REFUND_USD)),
        category="Usage", charge_class="Correction", frequency="Usage-Based", pricing="Standard",
        sku="aws.egress", source="aws", account="platform",
        description="Refund for data transfer billed twice in the month before",
    )  # fmt: skip
    return pl.concat([support, tax, credit, refund, _promotion(used, calendar)])


def _promotion(used: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Google's credits of one month, each on the usage that it pays a part of."""
    month = company.month_before(calendar.open_month, min(PROMOTION_MONTHS_AGO, len(calendar.closed)))
    paid = used.filter(pl.col(SKU) == PROMOTED_SKU, pl.col("month") == month)
    credits = paid.select(
        "source", "account", WORKLOAD, RESOURCE, SKU, "first_day", "end_day", "month",
        billed_cost=-(pl.col("billed_cost") * PROMOTION_RATIO).round(COST_DECIMALS),
    )  # fmt: skip
    return _charge(credits, category="Credit", frequency="Usage-Based", pricing=None).with_columns(list_cost=0.0)


def _roundings(charges: pl.DataFrame) -> pl.DataFrame:
    """Azure's and Google's adjustment of a month's bill to whole cents."""
    return pl.concat(
        _rounding(charges.filter(pl.col("source") == source), source=source, account=account)
        for source, account in (("azure", "azure-it"), ("gcp", "insights-data"))
    )


def _rounding(charges: pl.DataFrame, **payer: str) -> pl.DataFrame:
    sums = charges.group_by("month").agg(_sum=exact_sum("billed_cost")).sort("month")
    cents = sums.with_columns(billed_cost=(pl.col("_sum").round(2) - pl.col("_sum")).cast(pl.Float64)).select(
        "month", "billed_cost", first_day="month", end_day=pl.col("month").dt.offset_by("1mo")
    )
    sku = f"{payer['source']}.rounding"
    return _charge(cents, category="Adjustment", frequency="One-Time", pricing=None, sku=sku, **payer)


def _charge(frame: pl.DataFrame, **texts: str | None) -> pl.DataFrame:
    costs = {c: pl.col("billed_cost") for c in _COSTS}
    return _rows(frame.with_columns(**costs), **texts)


def exact_sum(cost: str) -> pl.Expr:
    """The exact sum of a cost column."""
    return pl.col(cost).round(COST_DECIMALS).cast(EXACT).sum()
