"""The bill of model APIs against what the book prices the metered usage at, and why they differ.

residual = billed - priced, per source, billing period and currency. Each cell of day, model, kind and tier puts its
difference under one cause, so that the causes sum to the residual exactly.
"""

from decimal import Decimal
from typing import Any, Final

import polars as pl

from finops.checks import TIED_OUT_RATIO
from finops.schema import BILLED, MONEY
from finops.token_ledger import BOOK_CURRENCY, OTHER, joinable

CREDITS, NO_TOKEN_PRICE, PRIORITY_TIER, UNPRICED_MODEL = "credits", "no_token_price", "priority_tier", "unpriced_model"
USAGE_MISSING, COST_MISSING, LATE = "usage_missing", "cost_missing", "late"
PRICE_DIFFERENCE, ROUNDING = "price_difference", "rounding"
CAUSES: Final = {
    CREDITS: "credits, refunds and taxes, which no usage prices",
    NO_TOKEN_PRICE: "billed, and not sold by the token (searches, images, sessions, purchases)",
    PRIORITY_TIER: "usage of the priority tier, which the cost report leaves out",
    UNPRICED_MODEL: "billed, and the price book has no price for its usage",
    LATE: "one of the two has not come yet for the last days",
    USAGE_MISSING: "billed, and no usage was metered on that day",
    COST_MISSING: "metered, and nothing was billed on that day",
    PRICE_DIFFERENCE: "the bill has another price than the book: a contract, or a book that is out of date",
    ROUNDING: "below 0.01 % or a cent of a day, model and kind",
}
"""Each cause in words."""
UNEXPLAINED: Final = (USAGE_MISSING, COST_MISSING, PRICE_DIFFERENCE, ROUNDING)
"""Causes that say where to look, and not that all is well."""
ROUNDING_RATIO: Final = Decimal("0.0001")
ROUNDING_AMOUNT: Final = Decimal("0.01")
NAMED: Final = 5
"""So many models are named in a note."""

_PERIOD: Final = ("source_id", "billing_period", "currency")
_CELL: Final = ("source_id", "billing_period", "day", "_model", "_kind", "_tier")
TOTALS: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(_PERIOD, pl.String()), "billed": MONEY, "priced": MONEY, "residual": MONEY,
    "residual_ratio": pl.Float64(), "unexplained": MONEY, "status": pl.String(),
}  # fmt: skip
CAUSE_COLUMNS: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(_PERIOD, pl.String()), "cause": pl.String(), "amount": MONEY, "note": pl.String(),
}  # fmt: skip


def tie_out(bill: pl.DataFrame, metered: pl.DataFrame) -> pl.DataFrame:
    """What was billed against what the book says, for sources that have cost and usage: TOTALS.

    bill, metered: of finops.token_ledger. unexplained: the sum over models of |residual| under the causes UNEXPLAINED,
    so that too much of one model does not hide too little of another. status: `residual` when that is more than
    TIED_OUT_RATIO of what was billed, else `open` when more than that has not come yet, else `tied_out`;
    `other_currency` where the book's USD cannot be compared.
    """
    compared = _compared(bill, metered)
    dollars = _differences(bill, metered)
    by_model = dollars.filter(pl.col("cause").is_in(UNEXPLAINED)).group_by(*_PERIOD, "cause", "model")
    open_ = by_model.agg(pl.col("amount").sum().abs()).group_by(_PERIOD).agg(unexplained=pl.col("amount").sum())
    sums = dollars.group_by(_PERIOD).agg(
        priced=pl.col("priced").sum(), residual=pl.col("amount").sum(),
        _late=pl.col("amount").filter(pl.col("cause") == LATE).sum().abs(),
    )  # fmt: skip
    billed = compared.group_by(_PERIOD).agg(pl.col("billed").sum())
    zero = pl.lit(0, MONEY)
    size = pl.col("billed").abs() * pl.lit(TIED_OUT_RATIO, MONEY)
    return (
        billed.join(sums, on=_PERIOD, how="full", coalesce=True)
        .join(open_, on=_PERIOD, how="left")
        .with_columns(pl.col("billed").fill_null(zero))
        .with_columns(
            unexplained=pl.when(pl.col("residual").is_not_null()).then(pl.col("unexplained").fill_null(zero)),
            residual_ratio=pl.when(pl.col("billed") != 0).then(
                pl.col("residual").cast(pl.Float64) / pl.col("billed").cast(pl.Float64)
            ),
        )
        .with_columns(
            pl.when(pl.col("residual").is_null()).then(pl.lit("other_currency"))
            .when(pl.col("unexplained") > size).then(pl.lit("residual"))
            .when(pl.col("_late") > size).then(pl.lit("open"))
            .otherwise(pl.lit("tied_out")).alias("status"),
        )
        .select(pl.col(name).cast(kind) for name, kind in TOTALS.items())
        .sort(_PERIOD)
    )  # fmt: skip


def causes(bill: pl.DataFrame, metered: pl.DataFrame) -> pl.DataFrame:
    """Why billed and priced differ: CAUSE_COLUMNS, in the order of CAUSES; the amounts sum to the residual."""
    rows = [
        {
            **dict(zip((*_PERIOD, "cause"), key, strict=True)),
            "amount": cells["amount"].sum(),
            "note": _note(key[-1], cells),
        }
        for key, cells in _differences(bill, metered)
        .filter(pl.col("amount") != 0)
        .group_by(*_PERIOD, "cause", maintain_order=True)
    ]
    order = pl.col("cause").replace_strict({name: n for n, name in enumerate(CAUSES)}, return_dtype=pl.Int64)
    return pl.DataFrame(rows, schema=CAUSE_COLUMNS).sort(*_PERIOD, order)


def _compared(bill: pl.DataFrame, metered: pl.DataFrame) -> pl.DataFrame:
    """The bill of the sources that have usage of their own."""
    return bill.join(_own(metered), on="source_id", how="semi")


def _own(metered: pl.DataFrame) -> pl.DataFrame:
    return metered.filter(pl.col("ledger_role") == BILLED)


def _differences(bill: pl.DataFrame, metered: pl.DataFrame) -> pl.DataFrame:
    """A row a cell: _PERIOD, day, model, kind, billed, priced, amount = billed - priced, reason, cause."""
    dollars = bill.filter(pl.col("currency") == BOOK_CURRENCY)
    pair = joinable(_compared(dollars, metered), _own(metered).join(dollars, on="source_id", how="semi"))
    charged = pair.bill
    is_usage = pl.col("category").fill_null("Usage") == "Usage"
    charges = charged.filter(is_usage).group_by(_CELL).agg(pl.col("billed").sum())
    used = pair.metered.with_columns(_left_out=_is_left_out()).group_by(*_CELL, "_left_out").agg(
        priced=pl.col("list_cost").sum(),
        reason=pl.col("reason").filter(pl.col("list_cost").is_null()).min(),
        unpriced=pl.col("list_cost").is_null().any(),
    )  # fmt: skip
    ends = pl.col("day").max().over("source_id")
    cells = (
        charges.with_columns(_left_out=pl.lit(False), _billed_to=ends)
        .join(used.with_columns(_used_to=ends), on=[*_CELL, "_left_out"], how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col("_billed_to", "_used_to").max().over("source_id"))
        .with_columns(
            amount=pl.col("billed").fill_null(0) - pl.col("priced").fill_null(0), currency=pl.lit(BOOK_CURRENCY)
        )
        .with_columns(cause=_cause())
    )
    others = charged.filter(~is_usage).with_columns(
        amount=pl.col("billed"),
        cause=pl.when(pl.col("category") == "Purchase").then(pl.lit(NO_TOKEN_PRICE)).otherwise(pl.lit(CREDITS)),
    )
    shown = (
        *_PERIOD,
        "day",
        pl.col("_model").alias("model"),
        pl.col("_kind").alias("kind"),
        "billed",
        "priced",
        "amount",
        "reason",
        "cause",
    )
    return pl.concat([cells.select(shown), others.with_columns(
        priced=pl.lit(None, MONEY), reason=pl.lit(None, pl.String)).select(shown)])  # fmt: skip


def _is_left_out() -> pl.Expr:
    """Usage of the tier that Anthropic's cost report leaves out."""
    is_priority = (pl.col("service_tier") == "priority") & pl.col("_tier").is_null()
    return is_priority & (pl.col("provider").str.to_lowercase() == "anthropic")


def _cause() -> pl.Expr:
    billed, priced, difference = pl.col("billed"), pl.col("priced"), pl.col("amount").abs()
    is_small = (difference <= billed.abs() * pl.lit(ROUNDING_RATIO, MONEY)) | (difference <= ROUNDING_AMOUNT)
    day = pl.col("day")
    return (
        pl.when(pl.col("_left_out")).then(pl.lit(PRIORITY_TIER))
        .when(billed.is_null() & (day > pl.col("_billed_to"))).then(pl.lit(LATE))
        .when(billed.is_null()).then(pl.lit(COST_MISSING))
        .when((pl.col("_kind") == OTHER) & (priced.fill_null(0) == 0)).then(pl.lit(NO_TOKEN_PRICE))
        .when(priced.is_null() & (day > pl.col("_used_to"))).then(pl.lit(LATE))
        .when(priced.is_null()).then(pl.lit(USAGE_MISSING))
        .when(is_small).then(pl.lit(ROUNDING))
        # a line without a model holds what the book sells (searches) and what it does not
        .when((pl.col("_kind") == OTHER) & pl.col("_model").is_null() & (pl.col("amount") > 0))
        .then(pl.lit(NO_TOKEN_PRICE))
        .when(pl.col("unpriced")).then(pl.lit(UNPRICED_MODEL))
        .otherwise(pl.lit(PRICE_DIFFERENCE))
    )  # fmt: skip


def _note(cause: Any, cells: pl.DataFrame) -> str:
    """The cause in words, and for what money it says where to look: the models, the dearest first."""
    if cause in (CREDITS, ROUNDING):
        return CAUSES[cause]
    models = (
        cells.group_by("model", "kind")
        .agg(pl.col("billed", "priced", "amount").sum(), pl.col("reason").min(), pl.col("day").n_unique(),
             first=pl.col("day").min(), last=pl.col("day").max())
        .sort(-pl.col("amount").abs(), "model", "kind")
        .to_dicts()
    )  # fmt: skip
    named = [_model_note(cause, row) for row in models[:NAMED]]
    more = [f"{len(models) - NAMED} more"] if len(models) > NAMED else []
    return f"{CAUSES[cause]}: {'; '.join(named + more)}"


def _model_note(cause: str, row: dict[str, Any]) -> str:
    name = f"{row['model'] or 'no model'}, {str(row['kind']).replace('_', ' ')}"
    if cause == PRICE_DIFFERENCE:
        return (
            f"{name} {row['billed'] / row['priced']:.3f} x the book" if row["priced"] else f"{name} is free in the book"
        )
    if cause == UNPRICED_MODEL:
        return f"{name} ({row['reason']})"
    days = f"{row['first']}" if row["first"] == row["last"] else f"{row['day']} days, {row['first']} to {row['last']}"
    return f"{name} ({days})"
