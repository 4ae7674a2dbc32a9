"""The rules of FOCUS for a dataset, and which rows break them: type, level, nulls, allowed values, conditions.

Columns and their rules: data/focus_columns.csv (1.4), and data/focus_versions.csv for what an earlier version says
otherwise; the 43 columns of 1.0 and the 57 of 1.2 were compared with the tags v1.0 (2024-06-14) and v1.2 (2025-05-30)
of the specification. Conditions: the normative requirements of v1.2 that rows can show, 1.0 where it differs.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

import polars as pl

from finops import schema as s
from finops.schema import FocusColumn

VERSIONS: Final = (s.FOCUS_VERSION, "1.2", "1.0")
COST_AND_USAGE: Final = "CostAndUsage"
DRAFT_KEYS: Final = {
    column.name.rpartition(".")[2]: f"x_{column.name.rpartition('.')[2]}"
    for column in s.focus_columns("CostAndUsageDraft")
    if column.name.startswith(f"{s.SKU_PRICE_DETAILS}.")
}
"""Keys of SkuPriceDetails that the 1.5 draft defines for model APIs -> our column of the same."""

FINDINGS: Final[dict[str, pl.DataType]] = {
    "dataset": pl.String(), "source_id": pl.String(), "column": pl.String(), "level": pl.String(),
    "rule": pl.String(), "rows": pl.Int64(), "first_row": pl.Int64(), "example": pl.String(), "charge_id": pl.String(),
}  # fmt: skip
"""A rule that rows of a source break: how many, the first of them (1 is the first below the header), its cell and its
charge."""

_JSON_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_DECIMAL: Final = r"^[+-]?\d+(\.\d+)?([eE][+-]?\d+)?$"
_TIME: Final = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$"
_KEY_VALUE: Final = (s.TAGS, s.ALLOCATED_TAGS, s.SKU_PRICE_DETAILS)
"""JSON columns whose values are numbers, texts, booleans or null."""
_ROW: Final = "__row"
_SOURCE: Final = "__source"


@dataclass(frozen=True)
class Rule:
    """One rule of a column: in words, and as the condition of the rows that break it.

    shown_by: the column that a source must fill in some row for the rule to concern it: FOCUS asks for columns below
    the level Mandatory only of those who have such a thing.
    """

    column: str
    text: str
    broken: pl.Expr
    shown_by: str | None = None


@cache
def columns(version: str, dataset: str = COST_AND_USAGE) -> tuple[FocusColumn, ...]:
    """The columns of a dataset in a version, by name; Cost and Usage has 65 in 1.4, 57 in 1.2, 43 in 1.0."""
    found = [c for c in s.focus_columns(dataset) if _number(c.introduced) <= _number(version)]
    if dataset == COST_AND_USAGE and _number(version) < _number("1.4"):
        found += s.focus_columns("CostAndUsageRemoved")
    earlier = {(row["column"], row["version"]): row for row in _earlier()}
    return tuple(_as_of(c, earlier.get((c.name, version))) for c in sorted(found, key=lambda c: c.name))


def check(frame: pl.LazyFrame, version: str, dataset: str = COST_AND_USAGE) -> pl.DataFrame:
    """The rules that rows of a FOCUS file break, per source (x_SourceId, where the file has it), worst level first.

    frame: the file as scanned, CSV cells as text or the typed columns of a Parquet file; it is streamed three times.
    Columns: FINDINGS.
    """
    kinds = dict(frame.collect_schema())
    levels = {c.name: c.feature_level for c in columns(version, dataset)}
    by = pl.col(s.SOURCE_ID) if s.SOURCE_ID in kinds else pl.lit("")
    numbered = frame.with_row_index(_ROW, offset=1).with_columns(by.alias(_SOURCE))
    filled = _by_source(
        numbered, {"": pl.len(), **{name: pl.col(name).is_not_null().sum() for name in levels if name in kinds}}
    )
    judged = [rule for rule in rules(version, kinds, dataset) if {rule.column, *_reads(rule)} <= set(kinds)]
    found = [
        {"source_id": source, "column": name, "rule": "the column is there", "rows": counts[""]}
        for source, counts in filled.items()
        for name, level in levels.items()
        if level == "Mandatory" and name not in kinds
    ]
    found += _broken(numbered, judged, filled)
    _show(numbered, found, kinds)
    order = pl.col("level").replace_strict({"Mandatory": 0, "Conditional": 1, "Recommended": 2}, return_dtype=pl.Int8)
    return pl.DataFrame(
        [{"dataset": dataset, "level": levels[str(record["column"])], **record} for record in found],
        schema=FINDINGS,
    ).sort(order, "source_id", "column", "rule")


def rules(version: str, kinds: Mapping[str, pl.DataType], dataset: str = COST_AND_USAGE) -> list[Rule]:
    """The rules of a dataset in a version; kinds: the types of the file's columns."""
    names = {c.name for c in columns(version, dataset)}
    found = [rule for column in columns(version, dataset) for rule in _of_column(column, kinds.get(column.name))]
    if dataset == COST_AND_USAGE:
        found += [rule for rule in _conditions(version) if rule.column in names and _reads(rule) <= names]
    return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.partition("-")[0].split("."))


@cache
def _earlier() -> tuple[dict[str, str], ...]:
    text = (files("finops") / "data" / "focus_versions.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def _as_of(column: FocusColumn, earlier: Mapping[str, str] | None) -> FocusColumn:
    if earlier is None:
        return column
    return replace(
        column,
        feature_level=earlier["feature_level"],
        allows_nulls=earlier["allows_nulls"] == "true",
        allows=earlier["allowed_values"],
    )


# ------------------------------------------------------------------------------------------ rules of a column by itself
def _of_column(column: FocusColumn, kind: pl.DataType | None) -> Iterator[Rule]:
    cell = pl.col(column.name)
    if not column.allows_nulls:
        shown_by = None if column.feature_level == "Mandatory" else column.name
        yield Rule(column.name, "is not empty", cell.is_null(), shown_by)
    if column.data_type == "Decimal" and kind == pl.String:
        yield Rule(column.name, "is a decimal number", ~cell.str.contains(_DECIMAL))
    if column.data_type == "Date/Time" and kind == pl.String:
        yield Rule(column.name, "is a time in ISO 8601, UTC", ~cell.str.contains(_TIME))
    if column.data_type == "JSON":
        invalid = ~cell.str.starts_with("{") | cell.str.json_path_match("$").is_null()
        yield Rule(column.name, "is a JSON object", cell.is_not_null() & invalid)
    if column.name in _KEY_VALUE:
        nested = cell.str.replace_all(_JSON_STRING, "").str.slice(1).str.contains(r"[\[{]")
        yield Rule(column.name, "holds no objects or lists as values", nested)
    yield from _of_values(column)


def _of_values(column: FocusColumn) -> Iterator[Rule]:
    cell = pl.col(column.name)
    if column.allows == "ISO 4217":
        yield Rule(column.name, "is an ISO 4217 code", ~cell.str.contains("^[A-Z]{3}$"))
    elif column.allows == ">= 0":
        yield Rule(column.name, "is not below 0", _amount(column.name) < 0)
    elif column.allows.startswith("keys: "):
        known = {key.removeprefix("keys: ") for key in column.allowed_values} - {"x_*"} | set(DRAFT_KEYS)
        others = cell.str.replace_all(rf'"(?:x_[^"]*|{"|".join(sorted(known))})"\s*:', "")
        yield Rule(column.name, "has keys of FOCUS, or ones that begin with x_", others.str.contains(r'[^\\]"\s*:'))
    elif column.name == s.SERVICE_SUBCATEGORY:
        pair = pl.concat_str(s.SERVICE_CATEGORY, cell, separator="/")
        yield Rule(column.name, "is one of its ServiceCategory", ~pair.is_in(column.allowed_values))
    elif column.name == s.CHARGE_CLASS:
        yield Rule(column.name, f"is {column.allows} or empty", cell != column.allows)
    elif column.allowed_values and not column.allows.startswith("<"):
        few = (
            f"is one of {', '.join(column.allowed_values)}" if len(column.allowed_values) < 8 else "is an allowed value"
        )
        yield Rule(column.name, few, ~cell.is_in(column.allowed_values))


# ------------------------------------------------------------------------------------ rules between columns of a charge
_category: Final = pl.col(s.CHARGE_CATEGORY)
_is_regular: Final = pl.col(s.CHARGE_CLASS).is_null()
_is_priced: Final = _category.is_in(["Usage", "Purchase"]) & _is_regular
_is_committed: Final = pl.col(s.COMMITMENT_DISCOUNT_ID).is_not_null()
_is_unused: Final = (pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Unused").fill_null(value=False)

_PRICES: Final = (
    s.CONTRACTED_UNIT_PRICE, s.LIST_UNIT_PRICE, s.PRICING_CATEGORY, s.PRICING_QUANTITY, s.SKU_ID, s.SKU_PRICE_ID,
    s.PRICING_CURRENCY_CONTRACTED_UNIT_PRICE, s.PRICING_CURRENCY_LIST_UNIT_PRICE,
)  # fmt: skip
"""Filled for usage and purchases that are no correction, empty for tax."""
_PAIRS: Final = {
    s.COMMITMENT_DISCOUNT_CATEGORY: (s.COMMITMENT_DISCOUNT_ID, "1.0"),
    s.COMMITMENT_DISCOUNT_TYPE: (s.COMMITMENT_DISCOUNT_ID, "1.0"),
    s.COMMITMENT_DISCOUNT_UNIT: (s.COMMITMENT_DISCOUNT_QUANTITY, "1.1"),
    s.CONSUMED_UNIT: (s.CONSUMED_QUANTITY, "1.1"),
    s.PRICING_UNIT: (s.PRICING_QUANTITY, "1.1"),
    s.REGION_NAME: (s.REGION_ID, "1.1"),
    s.RESOURCE_TYPE: (s.RESOURCE_ID, "1.0"),
    s.SUB_ACCOUNT_NAME: (s.SUB_ACCOUNT_ID, "1.1"),
    s.SUB_ACCOUNT_TYPE: (s.SUB_ACCOUNT_ID, "1.2"),
}
"""Column -> the one with which it is filled or empty, and the version from which that is read here."""
_DEPENDENT: Final = {
    s.COMMITMENT_DISCOUNT_NAME: s.COMMITMENT_DISCOUNT_ID, s.COMMITMENT_DISCOUNT_STATUS: s.COMMITMENT_DISCOUNT_ID,
    s.CAPACITY_RESERVATION_STATUS: s.CAPACITY_RESERVATION_ID, s.RESOURCE_NAME: s.RESOURCE_ID,
    s.SKU_METER: s.SKU_ID, s.SKU_PRICE_DETAILS: s.SKU_PRICE_ID,
}  # fmt: skip
"""Column -> the one without which it is empty."""


def _conditions(version: str) -> Iterator[Rule]:
    """Rules whose condition another column of the same row shows."""
    for name in _PRICES:
        empty = pl.col(name).is_null()
        shown_by = None if name == s.PRICING_QUANTITY else name
        yield Rule(name, "is not empty for Usage and Purchase that is no correction", _is_priced & empty, shown_by)
        yield Rule(name, "is empty for Tax", (_category == "Tax") & ~empty)
    for name, (other, since) in _PAIRS.items():
        if _number(version) >= _number(since):
            with_it = pl.col(other).is_not_null()
            # kinds of accounts and resources are asked only of those who tell several apart
            shown_by = name if name in (s.RESOURCE_TYPE, s.SUB_ACCOUNT_TYPE) else None
            yield Rule(name, f"is not empty where {other} is not", with_it & pl.col(name).is_null(), shown_by)
            yield Rule(name, f"is empty where {other} is", ~with_it & pl.col(name).is_not_null())
    for name, other in _DEPENDENT.items():
        yield Rule(name, f"is empty where {other} is", pl.col(other).is_null() & pl.col(name).is_not_null())
    for name in (s.COMMITMENT_DISCOUNT_STATUS, s.CAPACITY_RESERVATION_STATUS):
        other = _DEPENDENT[name]
        broken = (_category == "Usage") & pl.col(other).is_not_null() & pl.col(name).is_null()
        yield Rule(name, f"is not empty for Usage with {other}", broken)
    yield from _quantities(version)
    yield from _costs(version)


def _quantities(version: str) -> Iterator[Rule]:
    consumed, committed = pl.col(s.CONSUMED_QUANTITY), pl.col(s.COMMITMENT_DISCOUNT_QUANTITY)
    # 1.0 asks for the quantity of unused commitments too
    used, words = (_category == "Usage"), "Usage"
    if _number(version) >= _number("1.1"):
        used, words = used & ~_is_unused, "Usage that is not Unused"
    yield Rule(
        s.CONSUMED_QUANTITY, f"is not empty for {words} and no correction", used & _is_regular & consumed.is_null(),
        s.CONSUMED_QUANTITY,
    )  # fmt: skip
    yield Rule(s.CONSUMED_QUANTITY, f"is empty but for {words}", ~used & consumed.is_not_null())
    yield Rule(
        s.COMMITMENT_DISCOUNT_QUANTITY, "is not empty for Usage and Purchase with CommitmentDiscountId",
        _is_priced & _is_committed & committed.is_null(),
    )  # fmt: skip
    yield Rule(
        s.COMMITMENT_DISCOUNT_QUANTITY, "is empty but for Usage and Purchase with CommitmentDiscountId",
        ~(_category.is_in(["Usage", "Purchase"]) & _is_committed) & committed.is_not_null(),
    )  # fmt: skip


def _costs(version: str) -> Iterator[Rule]:
    is_purchase = _category == "Purchase"
    yield Rule(
        s.CHARGE_FREQUENCY,
        "is not Usage-Based for Purchase",
        is_purchase & (pl.col(s.CHARGE_FREQUENCY) == "Usage-Based"),
    )
    yield Rule(
        s.EFFECTIVE_COST, "is 0 for the Purchase of a commitment",
        is_purchase & _is_committed & (_amount(s.EFFECTIVE_COST) != 0),
    )  # fmt: skip
    committed = _is_committed if version == "1.0" else _is_committed & (_category == "Usage")
    yield Rule(
        s.PRICING_CATEGORY, "is Committed for what a commitment covers",
        committed & (pl.col(s.PRICING_CATEGORY) != "Committed"),
    )  # fmt: skip
    for cost, price in ((s.LIST_COST, s.LIST_UNIT_PRICE), (s.CONTRACTED_COST, s.CONTRACTED_UNIT_PRICE)):
        # Decimal products overflow; beyond the sixth digit providers round
        unit, quantity, stated = (_amount(name).cast(pl.Float64) for name in (price, s.PRICING_QUANTITY, cost))
        off = _is_regular & ((unit * quantity - stated).abs() > 1e-6 * (1 + stated.abs()))
        yield Rule(cost, f"is {price} x PricingQuantity", off)
    for start, end in ((s.CHARGE_PERIOD_START, s.CHARGE_PERIOD_END), (s.BILLING_PERIOD_START, s.BILLING_PERIOD_END)):
        yield Rule(end, f"lies after {start}", pl.col(end) <= pl.col(start))


def _amount(name: str) -> pl.Expr:
    return pl.col(name).cast(s.MONEY, strict=False)


# ---------------------------------------------------------------------------------------------------------- the judging
def _reads(rule: Rule) -> set[str]:
    return set(rule.broken.meta.root_names())


def _by_source(rows: pl.LazyFrame, aggregates: Mapping[str, pl.Expr]) -> dict[str, dict[str, Any]]:
    sums = rows.group_by(_SOURCE).agg(value.alias(name) for name, value in aggregates.items()).sort(_SOURCE)
    return {str(row.pop(_SOURCE)): row for row in sums.collect(engine="streaming").iter_rows(named=True)}


def _broken(
    rows: pl.LazyFrame, judged: list[Rule], filled: Mapping[str, Mapping[str, int]]
) -> Iterator[dict[str, Any]]:
    """One record for each rule and source whose rows break it."""
    counts = _by_source(
        rows,
        {
            **{f"rows {i}": rule.broken.sum() for i, rule in enumerate(judged)},
            **{f"first {i}": pl.col(_ROW).filter(rule.broken).min() for i, rule in enumerate(judged)},
        },
    )
    for source, count in counts.items():
        for i, rule in enumerate(judged):
            if count[f"rows {i}"] and (rule.shown_by is None or filled[source][rule.shown_by]):
                yield {
                    "source_id": source, "column": rule.column, "rule": rule.text, "rows": count[f"rows {i}"],
                    "first_row": count[f"first {i}"],
                }  # fmt: skip


def _show(rows: pl.LazyFrame, found: list[dict[str, Any]], kinds: Mapping[str, pl.DataType]) -> None:
    """Adds to each record the cell and the charge of its first row."""
    numbers = sorted({record["first_row"] for record in found if "first_row" in record})
    amounts = [name for name, kind in kinds.items() if kind == s.MONEY]
    examples = (
        rows.filter(pl.col(_ROW).is_in(numbers))
        .with_columns(pl.col(*kinds).cast(pl.String))
        .with_columns(pl.col(amounts).str.replace(r"(\.\d*?)0+$", "$1").str.strip_suffix("."))
        .collect(engine="streaming")
    )
    shown = {row[_ROW]: row for row in examples.iter_rows(named=True)}
    for record in found:
        if row := shown.get(record.get("first_row")):
            record |= {"example": row[record["column"]], "charge_id": row.get(s.CHARGE_ID)}
