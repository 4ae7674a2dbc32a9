"""Cost reports of Oracle Cloud as charges.

| FOCUS column | column of the report |
|---|---|
| BilledCost, EffectiveCost, ContractedCost, ListCost | cost/myCost, of which cost/myCostOverage is a part |
| BillingPeriodStart, BillingPeriodEnd | the month of lineItem/intervalUsageStart |
| ChargePeriodStart, ChargePeriodEnd | lineItem/intervalUsageStart, lineItem/intervalUsageEnd |
| ChargeCategory, ChargeClass | Usage; Correction where lineItem/isCorrection is true |
| PricingCategory | Standard; Dynamic for preemptible capacity |
| BillingCurrency | cost/currencyCode |
| BillingAccountId; SubAccountId, SubAccountName | lineItem/tenantId; product/compartmentId, product/compartmentName |
| ServiceName; SkuId, SkuMeter, ChargeDescription | product/service; cost/productSku, product/Description |
| ConsumedQuantity, PricingQuantity | usage/billedQuantity |
| ConsumedUnit, PricingUnit | cost/billingUnitReadable: units.py; else cost/skuUnitDescription |
| ContractedUnitPrice | cost/unitPrice |
| RegionId, AvailabilityZone, ResourceId | product/region, product/availabilityDomain, product/resourceId |
| Tags | tags/NAMESPACE.KEY and tags/KEY, each a column, by the name after `tags/` |
| x_SourceColumns | lineItem/referenceNo, lineItem/backreferenceNo, cost/myCostOverage and the other columns of KEPT |

Source: a public real cost report of November 2023 and notes on it, 2026-11-21. It holds no correction and no overage.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from connectors import cells
from connectors.cells import json_of, object_of, prefixed
from connectors.files import ROW_INDEX, readable, scan
from connectors.oci import services, units
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError

ORACLE: Final = "Oracle"
TEXTS: Final = {
    s.BILLING_CURRENCY: "cost/currencyCode", s.BILLING_ACCOUNT_ID: "lineItem/tenantId",
    s.SUB_ACCOUNT_ID: "product/compartmentId", s.SUB_ACCOUNT_NAME: "product/compartmentName",
    s.SERVICE_NAME: "product/service", s.SKU_ID: "cost/productSku", s.SKU_METER: "product/Description",
    s.REGION_ID: "product/region", s.AVAILABILITY_ZONE: "product/availabilityDomain",
    s.RESOURCE_ID: "product/resourceId", units.READABLE: "cost/billingUnitReadable",
    units.DESCRIBED: "cost/skuUnitDescription", "corrects": "lineItem/isCorrection",
}  # fmt: skip
NUMBERS: Final = {
    s.BILLED_COST: "cost/myCost", s.PRICING_QUANTITY: "usage/billedQuantity", s.CONTRACTED_UNIT_PRICE: "cost/unitPrice",
}  # fmt: skip
TIMES: Final = {
    s.CHARGE_PERIOD_START: "lineItem/intervalUsageStart", s.CHARGE_PERIOD_END: "lineItem/intervalUsageEnd",
}  # fmt: skip
KEPT: Final = (
    "lineItem/referenceNo", "lineItem/backreferenceNo", "lineItem/isCorrection", "cost/subscriptionId",
    "cost/myCostOverage", "cost/unitPriceOverage", "usage/billedQuantityOverage", "cost/overageFlag",
    "cost/billingUnitReadable", "cost/skuUnitDescription", "cost/attributedCost", "usage/attributedUsage",
    "product/resource", "lineItem/backReference",
)  # fmt: skip
_FILLED: Final = (s.BILLED_COST, s.BILLING_CURRENCY, *TIMES)
NEEDED: Final = tuple({**TEXTS, **NUMBERS, **TIMES}[name] for name in _FILLED)
"""Without these columns a file is refused: a charge could be neither summed nor dated."""

_RAW: Final = "raw "
_CELL: Final = "cell "
_BAD: Final = "rejected"
_PREEMPTIBLE: Final = r"(?i)\bpreemptible\b"


@dataclass(frozen=True)
class Report:
    """An opened file: which of Oracle's it is, its rows, and its columns' types.

    Oracle's own documentation spells a column in more than one case, so case does not tell columns apart.
    """

    kind: Literal["cost", "usage", "FOCUS"]
    raw: pl.LazyFrame
    kinds: Mapping[str, pl.DataType]

    def named(self, names: Iterable[str]) -> dict[str, str]:
        """Those of the names that the file has -> how it writes them."""
        written = {column.lower(): column for column in reversed(list(self.kinds))}
        return {name: written[name.lower()] for name in names if name.lower() in written}


def open_report(path: Path) -> Report:
    """The file, opened lazily; raises InputError for one that is none of Oracle's, or is empty or damaged."""
    raw = scan(path)
    with readable(path):
        kinds = {name: kind for name, kind in raw.collect_schema().items() if name != ROW_INDEX}
    if kinds.keys() >= {s.BILLED_COST, s.EFFECTIVE_COST, s.CHARGE_CATEGORY}:
        return Report("FOCUS", raw, kinds)
    report = Report("cost", raw, kinds)
    missing = [name for name in NEEDED if name not in report.named(NEEDED)]
    if not missing:
        return report
    if "usage/consumedQuantity" in kinds and not any(name.startswith("cost/") for name in kinds):
        return Report("usage", raw, kinds)
    shown = ", ".join(list(kinds)[:12]) + (f" and {len(kinds) - 12} more" if len(kinds) > 12 else "")
    raise InputError(
        f"{path} has no column {', '.join(missing)}; it has {shown}",
        expected="a cost report or a FOCUS file of Oracle Cloud",
        next_step="name the right --connector for this file, or fetch the cost report again",
    )


def parse(report: Report, part: RawPart) -> pl.LazyFrame:
    """The report's rows as charges with the columns PARSED."""
    judged = _values(report).with_columns(
        pl.any_horizontal(c.fill_null(value=False) for c in _conditions(report)).alias(_BAD)
    )
    made = {
        **_costs(),
        **_names(),
        s.SOURCE_FILE: pl.lit(part.name),
        s.SOURCE_ROW: pl.col(ROW_INDEX).cast(pl.Int64),
        SOURCE_ROWS: pl.lit(1, dtype=pl.Int64),
    }
    given = (
        *TEXTS, *NUMBERS, *TIMES, s.BILLING_PERIOD_START, s.BILLING_PERIOD_END, s.TAGS, s.SOURCE_COLUMNS, REJECT, RAW,
    )  # fmt: skip
    return (
        _rejected(judged, report)
        .with_columns(value.alias(name) for name, value in made.items())
        .select(
            pl.col(name) if name in made or name in given else pl.lit(None, dtype=kind).alias(name)
            for name, kind in PARSED.items()
        )
    )


def _values(report: Report) -> pl.LazyFrame:
    """The report's columns as written, their cells, and typed values; those that it lacks are null."""
    kinds = report.kinds
    wanted = {**TEXTS, **NUMBERS, **TIMES}
    written = report.named(wanted.values())
    columns = {ours: written[name] for ours, name in wanted.items() if name in written}
    kept = {name: cells.cleaned(theirs, kinds[theirs]) for name, theirs in report.named(KEPT).items()}

    def typed(ours: str, convert: Callable[[pl.Expr, pl.DataType], pl.Expr], kind: pl.DataType) -> pl.Expr:
        if ours not in columns:
            return pl.lit(None, dtype=kind).alias(ours)
        return convert(pl.col(_CELL + ours), kinds[columns[ours]]).alias(ours)

    month = pl.col(s.CHARGE_PERIOD_START).dt.truncate("1mo")
    start, end = pl.col(s.CHARGE_PERIOD_START), pl.col(s.CHARGE_PERIOD_END)
    return (
        report.raw.select(
            ROW_INDEX,
            pl.col(list(kinds)).name.prefix(_RAW),
            *(cells.cleaned(name, kinds[name]).alias(_CELL + ours) for ours, name in columns.items()),
            object_of(prefixed(kinds, ("tags/",)), kinds).alias(s.TAGS),
            (json_of(kept) if kept else pl.lit(None, dtype=pl.String)).alias(s.SOURCE_COLUMNS),
        )
        .with_columns(
            *(typed(ours, lambda cell, _: cell.cast(pl.String), pl.String()) for ours in TEXTS),
            *(typed(ours, cells.decimal, s.MONEY) for ours in NUMBERS),
            *(typed(ours, cells.timestamp, s.TIME) for ours in TIMES),
        )
        .with_columns(
            pl.col(s.BILLING_CURRENCY).str.to_uppercase(),
            month.alias(s.BILLING_PERIOD_START),
            month.dt.offset_by("1mo").alias(s.BILLING_PERIOD_END),
            pl.when(end == start).then(start.dt.offset_by("1h")).otherwise(end).alias(s.CHARGE_PERIOD_END),
        )
    )


def _costs() -> dict[str, pl.Expr]:
    """The four costs, category, class, frequency, pricing, quantities and units."""
    cost, quantity = pl.col(s.BILLED_COST), pl.col(s.PRICING_QUANTITY)
    unit = pl.when(quantity.is_not_null()).then(units.unit())
    preemptible = pl.col(s.SKU_METER).str.contains(_PREEMPTIBLE)
    corrects = pl.col("corrects").str.to_lowercase() == "true"
    return {
        s.EFFECTIVE_COST: cost,
        s.CONTRACTED_COST: cost,
        s.LIST_COST: cost,
        s.CHARGE_CATEGORY: pl.lit("Usage"),
        s.CHARGE_CLASS: pl.when(corrects).then(pl.lit("Correction")),
        s.CHARGE_FREQUENCY: pl.lit("Usage-Based"),
        s.PRICING_CATEGORY: pl.when(preemptible).then(pl.lit("Dynamic")).otherwise(pl.lit("Standard")),
        s.CONSUMED_QUANTITY: quantity,
        s.CONSUMED_UNIT: unit,
        s.PRICING_UNIT: unit,
    }


def _names() -> dict[str, pl.Expr]:
    """Providers, account types, service category and resource type."""
    subcategory = services.subcategory(pl.col(s.SERVICE_NAME))
    return {
        s.SERVICE_PROVIDER_NAME: pl.lit(ORACLE),
        s.HOST_PROVIDER_NAME: pl.lit(ORACLE),
        s.INVOICE_ISSUER_NAME: pl.lit(ORACLE),
        s.BILLING_ACCOUNT_TYPE: pl.when(pl.col(s.BILLING_ACCOUNT_ID).is_not_null()).then(pl.lit("Tenancy")),
        s.SUB_ACCOUNT_TYPE: pl.when(pl.col(s.SUB_ACCOUNT_ID).is_not_null()).then(pl.lit("Compartment")),
        s.SERVICE_NAME: pl.coalesce(s.SERVICE_NAME, pl.lit(ORACLE)),
        s.SERVICE_SUBCATEGORY: subcategory,
        s.SERVICE_CATEGORY: subcategory.str.extract(r"^([^/]+)/", 1),
        s.CHARGE_DESCRIPTION: pl.col(s.SKU_METER),
        s.RESOURCE_TYPE: pl.col(s.RESOURCE_ID).str.extract(r"^ocid1\.([a-z]+)\.", 1),
    }


# ------------------------------------------------------------------------------------------------------ rows refused
def _unreadable(report: Report) -> dict[str, tuple[str, pl.Expr]]:
    return {
        ours: (name, pl.col(_CELL + ours).is_not_null() & pl.col(ours).is_null())
        for ours, name in {**NUMBERS, **TIMES}.items()
        if name in report.named([name])
    }


def _wrong() -> dict[str, pl.Expr]:
    return {
        "lineItem/intervalUsageEnd lies before lineItem/intervalUsageStart": (
            pl.col(s.CHARGE_PERIOD_END) < pl.col(s.CHARGE_PERIOD_START)
        ),
        "cost/currencyCode is no ISO 4217 code": ~pl.col(s.BILLING_CURRENCY).str.contains("^[A-Z]{3}$"),
    }


def _conditions(report: Report) -> list[pl.Expr]:
    empty = [pl.col(name).is_null() for name in _FILLED]
    return [*(condition for _, condition in _unreadable(report).values()), *empty, *_wrong().values()]


def _rejected(judged: pl.LazyFrame, report: Report) -> pl.LazyFrame:
    """Adds why a row is no charge and the row verbatim."""
    unreadable = _unreadable(report)
    reason = cells.first_reason([
        *((bad, cells.unreadable(name, _CELL + ours, is_time=ours in TIMES))
          for ours, (name, bad) in unreadable.items()),
        *((pl.col(ours).is_null(), f"{name} is empty") for ours, name in zip(_FILLED, NEEDED, strict=True)),
        *((bad, text) for text, bad in _wrong().items()),
    ])  # fmt: skip
    read = {*_FILLED, *unreadable, *(_CELL + ours for ours in unreadable)}
    raw = {name: _RAW + name for name in report.kinds}
    verbatim = pl.struct(pl.col(theirs).cast(pl.String).alias(name) for name, theirs in raw.items())
    return judged.with_columns(
        cells.where(_BAD, reason, read).alias(REJECT),
        cells.where(_BAD, verbatim.struct.json_encode(), raw.values()).alias(RAW),
    )
