"""Rows of the standard and the detailed usage cost export as charges.

| FOCUS column | Google's column |
|---|---|
| BilledCost | cost, and in a charge of its own the sum of credits.amount: see costs.py |
| EffectiveCost, ContractedCost, ListCost | cost, credits, cost_at_list: see costs.py and credits.py |
| BillingPeriodStart, BillingPeriodEnd | invoice.month |
| ChargePeriodStart, ChargePeriodEnd | usage_start_time, usage_end_time |
| BillingCurrency | currency, row by row |
| BillingAccountId; SubAccountId, SubAccountName | billing_account_id; project.id, project.name |
| ServiceName; SkuId, SkuMeter, ChargeDescription | service.description; sku.id, sku.description |
| ConsumedQuantity, ConsumedUnit | usage.amount, usage.unit |
| PricingQuantity, PricingUnit | usage.amount_in_pricing_units, usage.pricing_unit |
| ListUnitPrice, ContractedUnitPrice | price.list_price, price.effective_price, per one unit |
| RegionId, AvailabilityZone | location.region, location.zone |
| ResourceId, ResourceName | resource.global_name, resource.name (detailed export) |
| CommitmentDiscountId | subscription.instance_id, credits.id, consumption_model.id |
| Tags | project.labels, tags and labels; the later wins |
| x_InstanceType | system_labels, key compute.googleapis.com/machine_spec |
| x_SourceColumns | see dimensions.py |

Source: schema of the exports as Cloud Billing documents it, from notes of 2026-11-21, and public sample exports.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import polars as pl
import polars.selectors as cs

from connectors import cells
from connectors.files import ROW_INDEX
from connectors.gcp import commitments, costs, credits, dimensions
from connectors.gcp.exports import LINE, NEEDED, NUMBERS, TEXTS, TIMES, Export, open_export
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s

_RAW: Final = "raw "
_CELL: Final = "cell "
_BAD: Final = "rejected"
_CHARGE: Final = "charge"
_COMMITS: Final = r"(?i)commit|\bCUD"
_FILLED: Final = tuple(name for name in NEEDED if name != "credits")


def parse(export: Export, part: RawPart) -> pl.LazyFrame:
    """The rows of an export as charges with the columns PARSED."""
    amounts = (credits.TOTAL, credits.DISCOUNT, credits.OFFSET, costs.POOL_UNUSED)
    second = pl.any_horizontal((pl.col(c) != 0).fill_null(value=False) for c in amounts) & ~pl.col(_BAD)
    judged = commitments.with_pools(_judged(export, _values(export)), part.options)
    return (
        _rejected(judged.with_columns(_named(_of_pool())), export)
        .with_columns(pl.when(second).then([0, 1]).otherwise([0]).alias(_CHARGE))
        .explode(_CHARGE)
        .with_columns((pl.col(_CHARGE) == 1).alias(costs.SECOND))
        .with_columns(_named({**costs.four_costs(), **costs.categories(), **costs.quantities()}))
        .with_columns(_named({**costs.commitments(), **dimensions.names()}))
        .with_columns(
            dimensions.source_columns().alias(s.SOURCE_COLUMNS),
            pl.lit(part.name).alias(s.SOURCE_FILE),
            pl.col(ROW_INDEX).cast(pl.Int64).alias(s.SOURCE_ROW),
            (1 - pl.col(_CHARGE)).cast(pl.Int64).alias(SOURCE_ROWS),
        )
        .select(pl.col(name) if name in _MADE else pl.lit(None, dtype=k).alias(name) for name, k in PARSED.items())
    )


def under_commitments(part: RawPart) -> pl.LazyFrame | None:
    """The fees and the credited usage of an export, where nothing is wrong with them; none of a FOCUS export."""
    export = open_export(part.path)
    if export.name == "FOCUS":
        return None
    if LINE in export.reads:  # most lines need not be read as JSON
        rows = export.rows.filter(pl.col(LINE).str.contains(_COMMITS))
    else:
        cells_of = [export.cells[name][0] for name in ("credits", "sku.description") if name in export.cells]
        rows = export.rows.filter(
            pl.any_horizontal(cell.cast(pl.String).str.contains(_COMMITS).fill_null(value=False) for cell in cells_of)
        )
    fewer = replace(export, rows=rows, reads=())
    return _judged(fewer, _values(fewer)).filter(~pl.col(_BAD)).rename({ROW_INDEX: "row"})


def _judged(export: Export, values: pl.LazyFrame) -> pl.LazyFrame:
    """The values with their periods, and whether anything keeps the row from being a charge."""
    # each stage is computed once and read by the next: cells, values, what is wrong with a row, charges
    return values.with_columns(_named(dimensions.periods())).with_columns(
        pl.any_horizontal(c.fill_null(value=False) for c in _conditions(export)).alias(_BAD)
    )


def _of_pool() -> dict[str, pl.Expr]:
    """What the pool of a row says of it: the fee that usage has used, or what of a fee nothing used."""
    pooled, taken = pl.col(commitments.RATE).is_not_null(), -pl.col(credits.TAKEN)
    first = pl.when(pl.col(commitments.FIRST) == pl.col(ROW_INDEX)).then(commitments.REST).otherwise(0)
    return {
        costs.POOL_SHARE: pl.when(pooled & ~costs.CREDITED_FEES).then(commitments.share(taken) + first),
        costs.POOL_UNUSED: pl.when(pooled & costs.DIVIDES).then(commitments.unused("cost")),
        costs.POOL_FEE_ID: pl.when(pooled).then(commitments.FEE_ID),
    }


def _values(export: Export) -> pl.LazyFrame:
    """The row as written, its cells, and Google's columns as typed values; those that it lacks are null."""
    read = export.rows.select(
        ROW_INDEX,
        pl.col(export.reads).name.prefix(_RAW),
        *(cell.alias(_CELL + name) for name, (cell, _) in export.cells.items()),
    )

    def typed(name: str, convert: Callable[[pl.Expr, pl.DataType], pl.Expr], kind: pl.DataType) -> pl.Expr:
        if name not in export.cells:
            return pl.lit(None, dtype=kind).alias(name)
        return convert(pl.col(_CELL + name), export.cells[name][1]).alias(name)

    return (
        read.with_columns(
            *(typed(name, lambda cell, _: cell.cast(pl.String), pl.String()) for name in TEXTS),
            *(typed(name, cells.decimal, s.MONEY) for name in NUMBERS),
            *(typed(name, cells.timestamp, s.TIME) for name in TIMES),
        )
        .with_columns(credits.read(pl.col("credits")).alias("read credits"), **dimensions.labels())
        .unnest("read credits", "merged labels")
    )


def _unreadable(export: Export) -> dict[str, pl.Expr]:
    return {
        name: pl.col(_CELL + name).is_not_null() & pl.col(name).is_null()
        for name in (*NUMBERS, *TIMES)
        if name in export.cells
    }


def _wrong() -> dict[str, pl.Expr]:
    """What keeps a row from being a charge although its numbers and times can be read: reason -> condition."""
    return {
        "credits are neither JSON nor a Python literal with an amount each": pl.col(credits.BAD),
        "invoice.month is no month (YYYYMM)": (
            pl.col("invoice.month").is_not_null() & pl.col(s.BILLING_PERIOD_START).is_null()
        ),
        "usage_end_time lies before usage_start_time": pl.col("usage_end_time") < pl.col("usage_start_time"),
        "currency is no ISO 4217 code": ~pl.col(s.BILLING_CURRENCY).str.contains("^[A-Z]{3}$"),
    }


def _conditions(export: Export) -> list[pl.Expr]:
    empty = [pl.col(name).is_null() for name in _FILLED]
    return [*_unreadable(export).values(), *empty, *_wrong().values()]


def _rejected(judged: pl.LazyFrame, export: Export) -> pl.LazyFrame:
    """Adds why a row is no charge and the row verbatim; drops the file's own columns."""
    unreadable = _unreadable(export)
    reason = cells.first_reason([
        *((bad, cells.unreadable(name, _CELL + name, is_time=name in TIMES)) for name, bad in unreadable.items()),
        *((pl.col(name).is_null(), f"{name} is empty") for name in _FILLED),
        *((bad, text) for text, bad in _wrong().items()),
    ])  # fmt: skip
    read = {
        *_FILLED, *unreadable, *(_CELL + name for name in unreadable), s.BILLING_PERIOD_START, s.BILLING_CURRENCY,
        credits.BAD,
    }  # fmt: skip
    raw = [_RAW + name for name in export.reads]
    own_names = pl.struct(pl.col(_RAW + name).alias(name) for name in export.reads)
    verbatim = own_names.map_batches(
        lambda rows: rows.struct.unnest().select(export.verbatim).to_series(),
        return_dtype=pl.String,
        is_elementwise=True,
    )
    return judged.with_columns(
        cells.where(_BAD, reason, read).alias(REJECT),
        cells.where(_BAD, verbatim, raw).alias(RAW),
    ).drop(cs.starts_with(_RAW, _CELL))


def _named(values: Mapping[str, pl.Expr]) -> list[pl.Expr]:
    return [value.alias(name) for name, value in values.items()]


_MADE: Final = frozenset(
    {
        *dimensions.periods(), *dimensions.names(), *costs.four_costs(), *costs.categories(), *costs.commitments(),
        *costs.quantities(), s.TAGS, s.INSTANCE_TYPE, s.SOURCE_COLUMNS, s.SOURCE_FILE, s.SOURCE_ROW, SOURCE_ROWS,
        REJECT, RAW,
    }
)  # fmt: skip
