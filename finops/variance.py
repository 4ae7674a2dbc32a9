"""Why cost changed between two periods, or between a plan and what came: steps that sum to the change exactly.

Usage that has a quantity is explained by finops.token_factors: volume x mix x share x price, each with its Shapley
value. Tokens and accelerator-hours are compared across models and machines, so a move from one to another is mix; what
else is bought is compared SKU by SKU. A rate of exchange is held against the local cost: with L the local cost and r
the rate, r1 L1 - r0 L0 = (L1 - L0) (r0 + r1) / 2 + (r1 - r0) (L0 + L1) / 2; the first part is divided among the steps,
the second is currency. No step depends on an order, and swapping the periods turns every sign.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Final

import polars as pl

from finops import schema as s
from finops.money import CONTEXT, QUANTUM
from finops.schema import MONEY
from finops.token_factors import NOT_METERED, factors

PRICE, VOLUME, MIX, CACHE, COMMITMENT, CURRENCY, NEW, ENDED, CREDITS, UNEXPLAINED = STEPS = (
    "price", "volume", "mix", "cache", "commitment", "currency", "new", "ended", "credits", "unexplained",
)  # fmt: skip
CALENDAR: Final = "calendar"
"""Part of the volume: what a longer or a shorter period makes."""
USAGE, COMMITTED, CREDIT, FEE, PLAN = "usage", "commitment", "credit", "fee", "plan"
"""Parts of a charge: usage at its own or the contracted price, what a commitment changes of that, credits and
corrections, what has no quantity, and what a plan has on top of the period that it is held against."""
TOKENS, ACCELERATOR_HOURS = "tokens", "accelerator-hours"
COMPARABLE: Final = (TOKENS, ACCELERATOR_HOURS)
"""Units in which one thing can stand for another."""
SKU: Final = s.SKU_METER
KIND: Final = (s.TOKEN_DIRECTION, s.TOKEN_CACHE_ACTION)
DIMENSIONS: Final = (
    s.SOURCE_ID, s.SERVICE_PROVIDER_NAME, s.SUB_ACCOUNT_ID, s.SUB_ACCOUNT_NAME, s.REGION_ID, s.SERVICE_NAME,
    s.CHARGE_CATEGORY, s.COMMITMENT_DISCOUNT_STATUS, s.IS_AI, s.DRIVER, s.PURPOSE, s.HOSTING, s.ACCELERATOR_MODEL,
    s.MODEL_ID, *KIND, s.SERVICE_TIER, s.TEAM, s.USE_CASE, s.COST_CENTER, s.ENVIRONMENT, s.OWNER_STATUS,
    s.BILLING_CURRENCY,
)  # fmt: skip
"""What the steps can be summed by."""
CELL: Final = (*DIMENSIONS, SKU, "spot", "unit", "part")
MEASURES: Final = ("quantity", "amount", "converted")
ROWS: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(CELL, pl.String()), s.IS_AI: pl.Boolean(), "spot": pl.Boolean(),
    **dict.fromkeys(MEASURES, MONEY),
}  # fmt: skip
"""The cost of a period: CELL, the quantity in its unit (empty where none is known), the amount in the billing currency
and the same converted."""
MOST_GROWTH: Final = 100
"""Usage that would have to grow more than so many times says nothing of a plan."""
_LINE, _ITEM, _FAMILY = "_line", "_item", "_family"
_PER_MONTH: Final = "(?i)month"
_SIDES: Final = ("prior", "current")
_FACTOR_OF: Final = {VOLUME: "volume", MIX: "mix", CACHE: "cache", PRICE: "price", UNEXPLAINED: NOT_METERED}
"""Steps and the effects of finops.token_factors that they take."""


def bridge(prior: pl.DataFrame, current: pl.DataFrame, *, days: tuple[int, int] | None = None) -> pl.DataFrame:
    """What moved the cost of each cell from the prior period to the current one.

    prior, current: ROWS, converted to one currency. days: of the two periods; names the calendar's part of the volume.

    Columns: CELL, prior_quantity, quantity, prior, cost, change = cost - prior, STEPS, calendar. Every amount is in the
    currency of `converted`; the steps of each row sum to its change, to the 18th decimal. calendar is in volume too.
    A use case, or a service of it, that only one period has is new or ended; of a service that both have, a SKU that
    only one has is mix. Commitment is what committed use costs beside the contracted price, and what was not used.
    """
    cells = _cells(prior, current)
    explained = _steps(cells)
    with localcontext(CONTEXT):
        converted = [_converted(row) for row in explained.select(*_LOCAL, *STEPS).iter_rows()]
    amounts = pl.DataFrame(converted, schema=dict.fromkeys(STEPS, MONEY), orient="row")
    found = explained.drop(*STEPS).hstack(amounts).with_columns(change=pl.col("current") - pl.col("prior"))
    return (
        found.with_columns(_calendar(days).alias(CALENDAR))
        .rename({"current": "cost", "current_quantity": "quantity"})
        .select(*CELL, "prior_quantity", "quantity", "prior", "cost", "change", *STEPS, CALENDAR)
        .sort(pl.col("change").abs(), *CELL, descending=[True, *(False for _ in CELL)])
    )


_LOCAL: Final = ("prior_amount", "current_amount", "prior", "current")


def summed(cells: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """The bridge by columns of CELL: prior, cost, change, STEPS and calendar, the largest change first."""
    amounts = ("prior", "cost", "change", *STEPS, CALENDAR)
    sums = cells.group_by(by).agg(pl.col(amounts).sum()) if by else cells.select(pl.col(amounts).sum())
    return sums.sort(pl.col("change").abs(), *by, descending=[True, *(False for _ in by)])


def to_plan(rows: pl.DataFrame, plan: Decimal) -> pl.DataFrame:
    """A period's rows grown to the amount of a plan that says no quantities.

    All usage with a quantity grows alike, at the period's own prices, mix and rates; fees, credits and commitments stay
    as they are. Where that cannot reach the plan, the rest is a row of its own, which is unexplained. The sum of
    `converted` is the plan, to the last decimal.
    """
    has_quantity = (pl.col("part") == USAGE) & pl.col("quantity").is_not_null()
    total, metered = _sum(rows), _sum(rows.filter(has_quantity))
    with localcontext(CONTEXT):
        rest = plan - (total - metered)
        growth = rest / metered if metered > 0 and 0 < rest <= metered * MOST_GROWTH else None
        if growth is not None:
            rows = pl.concat([rows.filter(~has_quantity), _grown(rows.filter(has_quantity), growth)])
        left = plan - _sum(rows)
    if not left:
        return rows
    if growth is None or rows.is_empty():
        extra = {"part": PLAN, "amount": left, "converted": left}
        return pl.concat([rows, pl.DataFrame([extra], schema=dict(rows.schema))])
    largest = pl.col("converted").abs().rank("ordinal", descending=True) == 1
    own = largest & (pl.col("amount") == pl.col("converted"))
    return rows.with_columns(
        pl.when(of).then(pl.col(name) + left).otherwise(name).alias(name)
        for name, of in (("amount", own), ("converted", largest))
    )


def _grown(rows: pl.DataFrame, growth: Decimal) -> pl.DataFrame:
    columns = [
        pl.Series(name, [None if v is None else (v * growth).quantize(QUANTUM) for v in rows[name]], dtype=MONEY)
        for name in MEASURES
    ]
    return rows.with_columns(columns)


def _sum(rows: pl.DataFrame) -> Decimal:
    return sum(rows["converted"], Decimal(0))


# -------------------------------------------------------------------------------------------------------------- cells
def _cells(prior: pl.DataFrame, current: pl.DataFrame) -> pl.DataFrame:
    """A row a cell with the measures of both periods, and what it is compared within: _FAMILY, _LINE and _ITEM."""
    sides = [
        rows.select(*CELL, *(pl.col(name).alias(f"{side}_{name}") for name in MEASURES))
        for side, rows in zip(_SIDES, (prior, current), strict=True)
    ]
    measures = [f"{side}_{name}" for side in _SIDES for name in MEASURES]
    # whose cost is explained by itself; where a charge names no use case, its account stands for it
    owner = pl.struct(s.TEAM, pl.coalesce(s.USE_CASE, pl.format("account {}", s.SUB_ACCOUNT_ID)).alias(s.USE_CASE),
                      s.PURPOSE).alias("_owner")  # fmt: skip
    comparable = pl.col("unit").is_in(COMPARABLE).fill_null(value=False)
    service = [pl.when(~comparable).then(name).alias(f"_{name}") for name in (s.SERVICE_PROVIDER_NAME, s.SERVICE_NAME)]
    family = [owner, *service, pl.when(comparable).then("unit").alias("_unit"), pl.col(s.BILLING_CURRENCY)]
    sku = [pl.when(~comparable).then(name).alias(f"_of_{name}") for name in (SKU, "unit")]
    # a model sells input, cached input and output under SKUs of their own: those are its kinds
    in_tokens = (pl.col("unit") == TOKENS).fill_null(value=False)
    item = pl.struct(pl.when(~in_tokens).then(SKU).alias(SKU), *(n for n in CELL if n not in (*KIND, SKU)))
    kind = pl.struct(*KIND, pl.when(in_tokens).then(SKU).alias(SKU))
    return (
        pl.concat(sides, how="diagonal")
        .group_by(CELL)
        .agg(pl.col(measures).sum())
        .rename({f"{side}_converted": side for side in _SIDES})
        .sort(CELL)
        .with_columns(
            pl.struct(family).rank("dense").alias(_FAMILY),
            pl.struct(*family, *sku).rank("dense").alias(_LINE),
            item.rank("dense").alias(_ITEM),
            kind.rank("dense").alias("kind"),
        )
    )


# -------------------------------------------------------------------------------------------------------------- steps
def _steps(cells: pl.DataFrame) -> pl.DataFrame:
    """The cells with STEPS in the billing currency, where currency moves nothing."""
    metered = (pl.col("part") == USAGE) & pl.col("unit").is_not_null()
    counted = cells.filter(metered)
    facts = [
        counted.select(
            _LINE, pl.col(s.BILLING_CURRENCY).alias("currency"), pl.lit(None, pl.String).alias("provider"),
            pl.col(_ITEM).alias("model"), pl.lit(None, pl.String).alias("service_tier"), "kind",
            pl.col(f"{side}_quantity").alias("tokens"), pl.col(f"{side}_amount").alias("cost"),
        )
        for side in _SIDES
    ]  # fmt: skip
    effects = factors(*facts, within=(_LINE,), by=(_LINE, "model", "kind")).select(
        _LINE, pl.col("model").alias(_ITEM), "kind", *_FACTOR_OF.values()
    )
    zero, change = pl.lit(0, MONEY), pl.col("current_amount") - pl.col("prior_amount")
    used = pl.col("part").is_in([USAGE, FEE])
    has = {
        f"_{side}_{of}": (used & ((pl.col(f"{side}_amount") != 0) | (pl.col(f"{side}_quantity") != 0))).any().over(of)
        for side in _SIDES
        for of in (_FAMILY, _LINE)
    }
    whole = (
        pl.when(pl.col("part") == CREDIT).then(pl.lit(CREDITS))
        .when(pl.col("part") == COMMITTED).then(pl.lit(COMMITMENT))
        .when(pl.col("part") == PLAN).then(pl.lit(UNEXPLAINED))
        .when(used & ~pl.col(f"_prior_{_FAMILY}")).then(pl.lit(NEW))
        .when(used & ~pl.col(f"_current_{_FAMILY}")).then(pl.lit(ENDED))
        .when(~metered).then(pl.lit(UNEXPLAINED))
        .when(~pl.col(f"_prior_{_LINE}") | ~pl.col(f"_current_{_LINE}")).then(pl.lit(MIX))
    )  # fmt: skip
    return (
        cells.with_columns(**has)
        .with_columns(_whole=whole)
        .join(effects, on=[_LINE, _ITEM, "kind"], how="left", maintain_order="left")
        .with_columns(**{f"_{step}": zero for step in STEPS if step not in _FACTOR_OF})
        .with_columns(
            pl.when(pl.col("_whole") == step).then(change)
            .when(pl.col("_whole").is_null()).then(pl.col(_FACTOR_OF.get(step, f"_{step}")))
            .otherwise(zero).alias(f"_{step}")
            for step in STEPS
        )
        .drop(*_FACTOR_OF.values())
        .rename({f"_{step}": step for step in STEPS})
    )  # fmt: skip


def _converted(row: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    """The steps of one cell in the currency that all is converted to; what they leave is currency."""
    local0, local1, converted0, converted1, *steps = row
    if (local0, local1) == (converted0, converted1):
        return tuple(steps)
    known = [converted / local for local, converted in ((local0, converted0), (local1, converted1)) if local]
    rate = (known[0] + known[-1]) / 2 if known else Decimal(0)
    turned = [(step * rate).quantize(QUANTUM) for step in steps]
    turned[STEPS.index(CURRENCY)] = converted1 - converted0 - sum(turned)
    return tuple(turned)


def _calendar(days: tuple[int, int] | None) -> pl.Expr:
    """The part of each cell's volume that the number of days makes: volume x d1 - d0 days at the mean pace / change of
    the line's quantity. What counts by the month knows no days."""
    zero = pl.lit(0, MONEY)
    if days is None or days[0] == days[1]:
        return zero
    before, after = (pl.col(f"{side}_quantity").cast(pl.Float64).sum().over(_LINE) for side in _SIDES)
    by_days = (days[1] - days[0]) * (before / days[0] + after / days[1]) / 2
    known = (before != after) & pl.col("unit").is_not_null() & ~pl.col("unit").str.contains(_PER_MONTH)
    part = pl.col(VOLUME).cast(pl.Float64) * by_days / (after - before)
    return pl.when(known).then(part).otherwise(0.0).fill_nan(0.0).cast(MONEY)
