"""FOCUS files: versions 1.0 to 1.4 and the token keys of the 1.5 draft, as CSV, CSV.gz or Parquet.

Mapping, FOCUS 1.4 column <- column of the file: the column of the same name, whatever its case and with or without
underscores; older names are lifted by LIFTED. Columns that FOCUS does not know are kept in x_SourceColumns. A file with
x_ClassifiedBy is an export of a lake and brings its x_ columns of classification and owners along.
"""

import re
from collections.abc import Mapping
from typing import Final

import polars as pl

from connectors import cells
from connectors.files import ROW_INDEX, readable, scan
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError

NAME: Final = "focus"

LIFTED: Final = {
    # 1.3 replaced ProviderName and PublisherName; a provider's own bill is also its host's
    s.SERVICE_PROVIDER_NAME: (s.PROVIDER_NAME,),
    s.HOST_PROVIDER_NAME: (s.PROVIDER_NAME,),
    # 1.5 draft
    s.CONSUMER_ID: ("ConsumerId",),
}
NEEDED: Final = (
    s.BILLED_COST, s.EFFECTIVE_COST, s.BILLING_CURRENCY, s.BILLING_PERIOD_START, s.BILLING_PERIOD_END,
    s.CHARGE_PERIOD_START, s.CHARGE_PERIOD_END, s.CHARGE_CATEGORY,
)  # fmt: skip
"""Without these columns a file is refused: a charge could be neither summed nor dated."""

_FILLED: Final = tuple(c for c in NEEDED if c != s.CHARGE_CATEGORY)
_JSON_COLUMNS: Final = frozenset(c.name for c in s.focus_columns() if c.data_type == "JSON")
_REPLACED: Final = (s.PROVIDER_NAME, s.PUBLISHER_NAME)
_RAW: Final = "raw "
_CLEAN: Final = "cleaned "
_BAD: Final = "__bad"


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is missing one of NEEDED, or is empty, damaged or cut off.
    """
    raw = scan(part.path)
    with readable(part.path):
        kinds = dict(raw.collect_schema())
    columns = [c for c in kinds if c != ROW_INDEX]
    origin = _origin_of_columns(columns, part)
    strays = [c for c in columns if c not in origin.values() or c in _REPLACED]
    read = (*origin, s.SOURCE_FILE, s.SOURCE_ROW, s.SOURCE_COLUMNS, REJECT, RAW, SOURCE_ROWS)
    verbatim = {c: (_RAW if kinds[c] == pl.String else _CLEAN) + c for c in columns}
    # each stage is computed once and read by the next: text, values, then what is wrong with a row
    return (
        raw.select(
            ROW_INDEX,
            pl.col(columns).name.prefix(_RAW),
            *(cells.cleaned(c, kinds[c]).alias(_CLEAN + c) for c in columns),
        )
        .select(
            *(_value(ours, source, kinds[source]).alias(ours) for ours, source in origin.items()),
            pl.lit(part.name).alias(s.SOURCE_FILE),
            pl.col(ROW_INDEX).cast(pl.Int64).alias(s.SOURCE_ROW),
            (_as_json({c: _CLEAN + c for c in strays}) if strays else pl.lit(None, dtype=pl.String)).alias(
                s.SOURCE_COLUMNS
            ),
            pl.lit(1, dtype=pl.Int64).alias(SOURCE_ROWS),
            pl.col("^(raw|cleaned) .*$"),
        )
        .with_columns(pl.any_horizontal(_is_bad(origin)).alias(_BAD))
        .with_columns(
            cells.where(_BAD, _reason(origin), {*origin, *(_CLEAN + c for c in origin.values())}).alias(REJECT),
            cells.where(_BAD, _as_json(verbatim), verbatim.values()).alias(RAW),
        )
        .select(pl.col(name) if name in read else pl.lit(None, dtype=kind).alias(name) for name, kind in PARSED.items())
    )


def _origin_of_columns(columns: list[str], part: RawPart) -> dict[str, str]:
    """Which column of the file each of ours comes from."""
    by_name = {_plain(c): c for c in reversed(columns)} | {c: c for c in columns}
    origin = {}
    classified = s.CLASSIFICATION if s.CLASSIFIED_BY in by_name else (s.CONSUMER_ID,)
    for ours in (*s.FOCUS, s.USAGE_TYPE, s.INSTANCE_TYPE, *classified):
        for candidate in (ours, *LIFTED.get(ours, ())):
            source = by_name.get(candidate) or by_name.get(_plain(candidate))
            if source is not None:
                origin[ours] = source
                break
    missing = [c for c in NEEDED if c not in origin]
    if missing:
        raise InputError(
            f"{part.path} has no column {', '.join(missing)}; it has {', '.join(columns[:12])}"
            + (f" and {len(columns) - 12} more" if len(columns) > 12 else ""),
            expected="a FOCUS 1.0 to 1.4 file with at least " + ", ".join(NEEDED),
            next_step="name the right --connector for this file, or export it in the FOCUS format",
        )
    return origin


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _value(ours: str, source: str, kind: pl.DataType) -> pl.Expr:
    cell = pl.col(_CLEAN + source)
    if ours in _JSON_COLUMNS:
        return cells.json_object(cell, kind)
    if PARSED[ours] == s.MONEY:
        return cells.decimal(cell, kind)
    if PARSED[ours] == s.TIME:
        return cells.timestamp(cell, kind)
    text = cell.cast(pl.String)
    if PARSED[ours] == pl.Boolean:
        return text.str.to_lowercase() == "true"
    return text.str.to_uppercase() if ours == s.BILLING_CURRENCY else text


def _unreadable(ours: str, source: str) -> pl.Expr:
    return pl.col(_CLEAN + source).is_not_null() & pl.col(ours).is_null()


def _typed(origin: dict[str, str]) -> list[tuple[str, str]]:
    return [(ours, source) for ours, source in origin.items() if PARSED[ours] in (s.MONEY, s.TIME)]


def _contradictions() -> dict[str, pl.Expr]:
    return {
        "ChargePeriodEnd lies before ChargePeriodStart": pl.col(s.CHARGE_PERIOD_END) < pl.col(s.CHARGE_PERIOD_START),
        "BillingPeriodEnd does not lie after BillingPeriodStart": (
            pl.col(s.BILLING_PERIOD_END) <= pl.col(s.BILLING_PERIOD_START)
        ),
    }


def _is_no_currency() -> pl.Expr:
    return ~pl.col(s.BILLING_CURRENCY).str.contains("^[A-Z]{3}$")


def _is_bad(origin: dict[str, str]) -> list[pl.Expr]:
    """Everything that keeps a row from being a charge, as conditions."""
    unreadable = [_unreadable(ours, source) for ours, source in _typed(origin)]
    empty = [pl.col(c).is_null() for c in _FILLED]
    return [c.fill_null(value=False) for c in (*unreadable, *empty, _is_no_currency(), *_contradictions().values())]


def _reason(origin: dict[str, str]) -> pl.Expr:
    """The first of those conditions that holds, in words."""
    return cells.first_reason([
        *((_unreadable(ours, source), cells.unreadable(ours, _CLEAN + source, is_time=PARSED[ours] != s.MONEY))
          for ours, source in _typed(origin)),
        *((pl.col(c).is_null(), f"{c} is empty") for c in _FILLED),
        (_is_no_currency(), pl.format('BillingCurrency is "{}", which is no ISO 4217 code', s.BILLING_CURRENCY)),
        *((bad, text) for text, bad in _contradictions().items()),
    ])  # fmt: skip


def _as_json(columns: Mapping[str, str]) -> pl.Expr:
    """A JSON object of the file's columns; columns: their names -> ours of the same cell."""
    return pl.struct(pl.col(ours).cast(pl.String).alias(name) for name, ours in columns.items()).struct.json_encode()
