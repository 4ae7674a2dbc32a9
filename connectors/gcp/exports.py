"""An export's file as flat columns, as BigQuery wrote it: nested, dotted (`service.id`) or flattened (`service_id`).

What is repeated (credits, labels) becomes JSON text, or stays the text that the file has.
"""

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from connectors import cells
from connectors.files import ROW_INDEX, readable, scan
from finops import schema as s
from finops.errors import InputError

TEXTS: Final = (
    "billing_account_id", "service.id", "service.description", "sku.id", "sku.description", "project.id",
    "project.number", "project.name", "project.labels", "project.ancestry_numbers", "project.ancestors", "labels",
    "system_labels", "tags", "location.location", "location.country", "location.region", "location.zone",
    "resource.name", "resource.global_name", "export_time", "currency", "usage.unit", "usage.pricing_unit",
    "price.unit", "credits", "invoice.month", "invoice.publisher_type", "cost_type", "adjustment_info.id",
    "adjustment_info.description", "adjustment_info.mode", "adjustment_info.type", "transaction_type", "seller_name",
    "subscription.instance_id", "consumption_model.id", "consumption_model.description",
)  # fmt: skip
NUMBERS: Final = (
    "cost", "cost_at_list", "currency_conversion_rate", "usage.amount", "usage.amount_in_pricing_units",
    "price.effective_price", "price.list_price", "price.pricing_unit_quantity",
)  # fmt: skip
TIMES: Final = ("usage_start_time", "usage_end_time")
NEEDED: Final = ("cost", "currency", "credits", "invoice.month", *TIMES)
"""Without these columns a file is refused: a charge could be neither summed nor dated."""
LINE: Final = "__line"

_KNOWN: Final = (*TEXTS, *NUMBERS, *TIMES)
_FOCUS: Final = (s.BILLED_COST, s.EFFECTIVE_COST, s.CHARGE_CATEGORY)
_NO_TEXT: Final = "\x01"
"""A control character, which JSON never holds unescaped: a line of JSON is one cell."""
_SAMPLE_ROWS: Final = 100


@dataclass(frozen=True)
class Export:
    """An opened file: rows as flat columns, where each of Google's columns is, and how a row is kept verbatim.

    cells: Google's name -> cleaned cell and its type. verbatim: the row as a JSON object; reads: what that is made of.
    """

    name: Literal["standard", "detailed", "FOCUS"]
    rows: pl.LazyFrame
    cells: dict[str, tuple[pl.Expr, pl.DataType]]
    verbatim: pl.Expr
    reads: tuple[str, ...]


def is_json(path: Path) -> bool:
    """Whether the file's name says that it holds JSON."""
    return path.name.removesuffix(".gz").endswith(("json", "jsonl"))


@lru_cache(maxsize=10_000)
def plain(name: str) -> str:
    """`service.id`, `service_id` and `Service.Id` are one column."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def open_export(path: Path) -> Export:
    """The file, opened lazily; raises InputError for one that is no export of Google Cloud, or is empty or damaged."""
    rows = _lines(path) if is_json(path) else _flat(scan(path), path)
    with readable(path):
        kinds = {name: kind for name, kind in rows.collect_schema().items() if name != ROW_INDEX}
    by_name = {plain(c): c for c in reversed(list(kinds))}
    if by_name.keys() >= {plain(c) for c in _FOCUS}:
        return Export("FOCUS", rows, {}, pl.lit(None), ())
    found = {name: by_name[plain(name)] for name in _KNOWN if plain(name) in by_name}
    if "labels_1" in kinds:  # two columns of one name: the first was project.labels
        found |= {"project.labels": "labels", "labels": "labels_1"}
    located = {name: (cells.cleaned(column, kinds[column]), kinds[column]) for name, column in found.items()}
    for name in (n for n in _KNOWN if n not in located and "." in n):
        record, field = name.split(".", 1)
        if record in by_name and kinds[by_name[record]] == pl.String:
            located[name] = (pl.col(by_name[record]).str.json_path_match(f"$.{field}"), pl.String())
    _refuse_unknown(located, list(kinds), path)
    detailed = "resource.global_name" in located or "resource.name" in located
    if LINE in kinds:
        reads: tuple[str, ...] = (LINE,)
        line = pl.col(LINE)
        whole = line.str.starts_with("{") & line.str.json_path_match("$").is_not_null()
        verbatim = pl.when(whole).then(line).otherwise(pl.struct(line=line).struct.json_encode())
    else:
        reads = tuple(kinds)
        verbatim = pl.struct(pl.col(c).cast(pl.String).alias(c) for c in reads).struct.json_encode()
    return Export("detailed" if detailed else "standard", rows, located, verbatim, reads)


def _refuse_unknown(located: Mapping[str, object], columns: list[str], path: Path) -> None:
    missing = [name for name in NEEDED if name not in located]
    if not missing:
        return
    unnested = missing == ["credits"] and any(plain(c) == "creditsamount" for c in columns)
    shown = ", ".join(columns[:12]) + (f" and {len(columns) - 12} more" if len(columns) > 12 else "")
    raise InputError(
        f"{path} has unnested credits: a row with two credits stands there twice, with its cost"
        if unnested
        else f"{path} has no column {', '.join(missing)}; it has {shown}",
        expected="the standard, detailed or FOCUS usage cost export of Google Cloud",
        next_step="export the table's own rows, with credits as the repeated record that they are",
    )


# -------------------------------------------------------------------------------------------------- CSV and Parquet
def _flat(rows: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """Records as dotted columns, repeated ones as JSON text."""
    with readable(path):
        kinds = rows.collect_schema()
    columns = [leaf for name, kind in kinds.items() for leaf in _leaves(name, pl.col(name), kind)]
    return rows.select(columns)


def _leaves(name: str, cell: pl.Expr, kind: pl.DataType) -> Iterator[pl.Expr]:
    if isinstance(kind, pl.Struct):
        for field in kind.fields:
            inner = field.dtype() if isinstance(field.dtype, type) else field.dtype
            yield from _leaves(f"{name}.{field.name}", cell.struct.field(field.name), inner)
    elif isinstance(kind, pl.List):
        wrapped = pl.struct(cell.alias("v")).struct.json_encode()
        yield wrapped.str.slice(len('{"v":')).str.strip_suffix("}").alias(name)
    else:
        yield cell.alias(name)


# --------------------------------------------------------------------------------------------------------------- JSON
def _lines(path: Path) -> pl.LazyFrame:
    """The objects of a JSON file, one a line or in an array, each with Google's columns as text."""
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)", expected="one JSON object a line", next_step="export it again")
    opener = gzip.open if path.suffix == ".gz" else Path.open
    with readable(path), opener(path, "rt", encoding="utf-8-sig") as file:
        start = next((line.lstrip()[:1] for line in file if line.strip()), "")
    if start == "[":
        with readable(path), opener(path, "rt", encoding="utf-8-sig") as file:
            lines = pl.LazyFrame({LINE: list(_objects(file.read(), path))}, schema={LINE: pl.String})
        lines = lines.with_row_index(ROW_INDEX, offset=1)
    else:
        _refuse_cut_off(path)
        lines = pl.scan_csv(
            path, has_header=False, quote_char=None, separator=_NO_TEXT, new_columns=[LINE], infer_schema=False,
            row_index_name=ROW_INDEX, row_index_offset=1,
        ).filter(pl.col(LINE).str.contains(r"\S"))  # fmt: skip
    kind = pl.Struct(dict.fromkeys(_KNOWN, pl.String()))
    values = pl.col(LINE).map_batches(_values, return_dtype=kind, is_elementwise=True).alias("values")
    flat = lines.with_columns(values).unnest("values")
    some = flat.select("cost", "invoice.month", "currency").head(_SAMPLE_ROWS).collect()
    if any(column.is_null().all() for column in some):
        raise InputError(
            f"{path} has no object with cost, currency and invoice.month",
            expected="the standard or detailed usage cost export of Google Cloud (its FOCUS export as CSV or Parquet)",
            next_step="name the right --connector for this file, or export the table again",
        )
    return flat


def _objects(text: str, path: Path) -> Iterator[str]:
    """The objects of a JSON array, as they are written."""
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    space = re.compile(r"[\s,]*")
    while True:
        at = space.match(text, at).end()  # type: ignore[union-attr]
        if text[at : at + 1] == "]":
            return
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError as error:
            raise InputError(
                f"{path} is cut off or damaged: {error}", expected="a whole JSON array", next_step="export it again"
            ) from error
        yield text[at:end]
        at = end


def _refuse_cut_off(path: Path) -> None:
    """A file whose last line has no line end and is no JSON was cut off."""
    if path.suffix == ".gz":
        return  # the decompression says so
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        last = file.read().rsplit(b"\n", 1)[-1].strip()
    if last and _object(last.decode("utf-8", errors="replace")) is None:
        raise InputError(
            f"{path} is cut off: its last line is no JSON object", expected="a whole file", next_step="export it again"
        )


def _object(line: str) -> dict[str, Any] | None:
    """The object of a line, numbers as they are written; null for anything else."""
    try:
        value = json.loads(line, parse_float=str, parse_int=str)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _values(lines: pl.Series) -> pl.Series:
    columns: dict[str, list[str | None]] = {name: [None] * len(lines) for name in _KNOWN}
    for row, line in enumerate(lines):
        for name, value in _fields(_object(line) or {}):
            if known := _google(name):
                columns[known][row] = value if isinstance(value, str) else json.dumps(value)
    return pl.DataFrame(columns, schema=dict.fromkeys(_KNOWN, pl.String())).to_struct("values")


@lru_cache(maxsize=10_000)
def _google(name: str) -> str | None:
    """Google's name of a column; null for one that is not read."""
    return next((known for known in _KNOWN if plain(known) == plain(name)), None)


def _fields(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of an object that are not empty, by dotted names."""
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _fields(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value
