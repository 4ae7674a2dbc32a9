"""FOCUS files: versions 1.0 to 1.4 and the token keys of the 1.5 draft, as CSV, CSV.gz or Parquet.

Mapping, FOCUS 1.4 column <- column of the file: the column of the same name, whatever its case and with or without
underscores; older names are lifted by LIFTED. Columns that FOCUS does not know are kept in x_SourceColumns.
"""

import re
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
    # x_ columns that providers add to their FOCUS exports
    s.USAGE_TYPE: ("x_UsageType",),
    s.INSTANCE_TYPE: ("x_InstanceType",),
    # 1.5 draft
    s.CONSUMER_ID: ("ConsumerId",),
}
NEEDED: Final = (
    s.BILLED_COST, s.EFFECTIVE_COST, s.BILLING_CURRENCY, s.BILLING_PERIOD_START, s.BILLING_PERIOD_END,
    s.CHARGE_PERIOD_START, s.CHARGE_PERIOD_END, s.CHARGE_CATEGORY,
)  # fmt: skip
"""Without these columns a file is refused: a charge could be neither summed nor dated."""

_JSON_COLUMNS: Final = frozenset(c.name for c in s.focus_columns() if c.data_type == "JSON")
_FILLED: Final = tuple(c for c in NEEDED if c != s.CHARGE_CATEGORY)


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is missing one of NEEDED, or is empty, damaged or cut off.
    """
    raw = scan(part.path)
    with readable(part.path):
        kinds = dict(raw.collect_schema())
    origin = _origin_of_columns([c for c in kinds if c != ROW_INDEX], part)
    value = {name: _value(name, source, kinds[source]) for name, source in origin.items()}
    values = {
        name: value.get(name, pl.lit(None)).cast(kind)
        for name, kind in PARSED.items()
        if name not in {s.SOURCE_FILE, s.SOURCE_ROW, s.SOURCE_COLUMNS, REJECT, RAW, SOURCE_ROWS}
    }
    strays = [c for c in kinds if c not in {*origin.values(), ROW_INDEX} or c in {s.PROVIDER_NAME, s.PUBLISHER_NAME}]
    everything = [c for c in kinds if c != ROW_INDEX]
    return (
        raw.with_columns(_reject(origin, kinds, value).alias(REJECT))
        .select(
            **values,
            **{
                s.SOURCE_FILE: pl.lit(part.name),
                s.SOURCE_ROW: pl.col(ROW_INDEX).cast(pl.Int64),
                s.SOURCE_COLUMNS: _as_json(strays, kinds) if strays else pl.lit(None, dtype=pl.String),
                REJECT: pl.col(REJECT),
                RAW: pl.when(pl.col(REJECT).is_not_null()).then(_as_json(everything, kinds)),
                SOURCE_ROWS: pl.lit(1, dtype=pl.Int64),
            },
        )
        .select(*PARSED)
    )


def _origin_of_columns(columns: list[str], part: RawPart) -> dict[str, str]:
    """Which column of the file each of ours comes from."""
    by_name = {_plain(c): c for c in reversed(columns)} | {c: c for c in columns}
    origin = {}
    for ours in (*s.FOCUS, s.USAGE_TYPE, s.INSTANCE_TYPE, s.CONSUMER_ID):
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
    if ours in _JSON_COLUMNS:
        return cells.json_object(source, kind)
    if PARSED[ours] == s.MONEY:
        return cells.decimal(source, kind)
    if PARSED[ours] == s.TIME:
        return cells.timestamp(source, kind)
    value = cells.text(source, kind)
    return value.str.to_uppercase() if ours == s.BILLING_CURRENCY else value


def _reject(origin: dict[str, str], kinds: dict[str, pl.DataType], value: dict[str, pl.Expr]) -> pl.Expr:
    """The first reason why a row cannot be a charge, in words, or null."""
    reasons = []
    for ours, source in origin.items():
        if PARSED[ours] not in (s.MONEY, s.TIME):
            continue
        what = "number" if PARSED[ours] == s.MONEY else "date"
        cell = cells.text(source, kinds[source])
        bad = pl.format(f'{ours} is "{{}}", which is no {what}', cell)
        reasons.append(pl.when(cells.unreadable(source, kinds[source], value[ours])).then(bad))
    reasons += [pl.when(value[c].is_null()).then(pl.lit(f"{c} is empty")) for c in _FILLED]
    currency = value[s.BILLING_CURRENCY]
    reasons += [
        pl.when(~currency.str.contains("^[A-Z]{3}$")).then(
            pl.format('BillingCurrency is "{}", which is no ISO 4217 code', currency)
        ),
        pl.when(value[s.CHARGE_PERIOD_END] < value[s.CHARGE_PERIOD_START]).then(
            pl.lit("ChargePeriodEnd lies before ChargePeriodStart")
        ),
        pl.when(value[s.BILLING_PERIOD_END] <= value[s.BILLING_PERIOD_START]).then(
            pl.lit("BillingPeriodEnd does not lie after BillingPeriodStart")
        ),
    ]
    return pl.coalesce(reasons)


def _as_json(columns: list[str], kinds: dict[str, pl.DataType]) -> pl.Expr:
    verbatim = (pl.col(c) if kinds[c] == pl.String else cells.text(c, kinds[c]).alias(c) for c in columns)
    return pl.struct(verbatim).struct.json_encode()
