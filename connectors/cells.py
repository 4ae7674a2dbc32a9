"""Cells of source files to typed values: text as written, or the columns of a Parquet file, to FOCUS types.

Each function returns an expression that is null where the cell is empty or cannot be read; a cell that is cleaned and
not null, but null as a value, is unreadable, and its row is rejected instead of losing the value.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import polars as pl

from finops.schema import MONEY, TIME

NULL_WORDS: Final = ("", "NULL", "null", "None")
"""What real exports write for "no value"."""

_TIME_FORMATS: Final = (
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f UTC",  # BigQuery's text exports
)
_NAIVE_FORMATS: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M")
_DAY_FORMATS: Final = ("%Y-%m-%d", "%m/%d/%Y", "%m/%d/%y")
_SHORT_YEAR = r"^\d{1,2}/\d{1,2}/\d{2}$"
_JSON_STRING = r'"(?:[^"\\]|\\.)*"'


def cleaned(name: str, kind: pl.DataType) -> pl.Expr:
    """The cell without surrounding blanks, null for the words that mean "no value"; maps and structs as JSON text.

    Numbers and times of a typed column stay as they are. What the functions below take is a cleaned cell.
    """
    cell = pl.col(name)
    if isinstance(kind, pl.Map):
        return _map_as_json(cell)
    if isinstance(kind, pl.List):
        return _map_as_json(cell.list.to_map()) if _is_key_value(kind) else pl.struct(cell).struct.json_encode()
    if isinstance(kind, pl.Struct):
        return cell.struct.json_encode()
    if kind == pl.Null:  # a Parquet column in which every cell is empty
        return cell.cast(pl.String)
    if kind != pl.String:
        return cell
    stripped = cell.str.strip_chars()
    return pl.when(stripped.is_in(NULL_WORDS)).then(None).otherwise(stripped)


def decimal(cell: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """The cell as Decimal(38, 18), rounded half-even beyond 18 places; scientific notation is read.

    Floats go by their shortest decimal text, so that 0.1 stays 0.1.
    """
    if isinstance(kind, pl.Decimal) or kind.is_integer():
        return cell.cast(MONEY)
    return cell.cast(pl.String).cast(MONEY, strict=False)


def timestamp(cell: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """The cell as a UTC instant: ISO 8601 with or without zone (none means UTC), or a day, also as M/D/YYYY."""
    if kind == pl.Date:
        return cell.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if isinstance(kind, pl.Datetime):
        micro = cell.dt.cast_time_unit("us")
        return micro.dt.replace_time_zone("UTC") if kind.time_zone is None else micro.dt.convert_time_zone("UTC")
    return _each_distinct(cell.cast(pl.String), _instant, TIME)


def _instant(cell: pl.Expr) -> pl.Expr:
    short_year = cell.str.contains(_SHORT_YEAR)
    return pl.coalesce(
        *(cell.str.to_datetime(f, strict=False, time_unit="us", time_zone="UTC") for f in _TIME_FORMATS),
        *(cell.str.to_datetime(f, strict=False, time_unit="us").dt.replace_time_zone("UTC") for f in _NAIVE_FORMATS),
        *(
            # %Y would read "25" as the year 25
            pl.when(short_year if f.endswith("%y") else ~short_year)
            .then(cell.str.to_date(f, strict=False))
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC")
            for f in _DAY_FORMATS
        ),
    ).cast(TIME)


def json_object(cell: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """The cell as text of one JSON object.

    Read are JSON objects, JSON lists of {"key", "value"}, the inside of an object without its braces (Azure), and
    `k=v` or `k:v` pairs parted by `;` or `,`. Anything else is kept whole under the key "unparsed".
    """
    return _each_distinct(cell, _object, pl.String()) if kind == pl.String else cell


def _object(cell: pl.Expr) -> pl.Expr:
    listed = cell.str.json_path_match("$")
    pair = rf'\{{"(?:[Kk]ey|[Nn]ame)":({_JSON_STRING}),"[Vv]alue":({_JSON_STRING}|[^{{}}]*?)\}}'
    from_list = "{" + listed.str.replace_all(pair, "$1:$2").str.strip_prefix("[").str.strip_suffix("]") + "}"
    pairs = cell.str.replace_all('"', '\\"').str.extract_all(r"[^=:;,]+[=:][^;,]*")
    from_pairs = (
        "{"
        + pairs.list.eval(pl.element().str.replace(r"^\s*([^=:]+?)\s*[=:]\s*(.*?)\s*$", '"$1":"$2"')).list.join(",")
        + "}"
    )
    return (
        pl.when(cell.str.starts_with("{"))
        .then(listed)
        .when(cell.str.starts_with("["))
        .then(from_list.str.json_path_match("$"))
        .when(cell.str.starts_with('"'))
        .then(("{" + cell + "}").str.json_path_match("$"))
        .when(cell.str.contains(r"^[^=:;,]+[=:][^;,]*([;,][^=:;,]+[=:][^;,]*)*[;,]?$"))
        .then(from_pairs.str.json_path_match("$"))
        .fill_null(pl.when(cell.is_not_null()).then(pl.struct(unparsed=cell).struct.json_encode()))
    )


def prefixed(kinds: Mapping[str, pl.DataType], prefixes: Iterable[str]) -> dict[str, str]:
    """Key -> column of the columns that begin with one of the prefixes: `resourceTags/user:team` -> `user:team`."""
    found = {}
    for column in kinds:
        prefix = next((p for p in prefixes if column.lower().startswith(p.lower()) and len(column) > len(p)), None)
        if prefix is not None:
            found[column[len(prefix) :]] = column
    return found


def object_of(columns: Mapping[str, str], kinds: Mapping[str, pl.DataType]) -> pl.Expr:
    """One JSON object of the columns that are not empty; null where all are."""
    if not columns:
        return pl.lit(None, dtype=pl.String)
    return json_of({key: cleaned(column, kinds[column]) for key, column in columns.items()})


def json_of(values: Mapping[str, pl.Expr]) -> pl.Expr:
    """One JSON object of text values without those that are null; null where all are."""
    text = pl.struct(value.cast(pl.String).alias(key) for key, value in values.items()).struct.json_encode()
    keys = "|".join(re.escape(json.dumps(key, ensure_ascii=False)) for key in values)
    # a quote inside a value is escaped, so a whole quoted key is never part of one
    filled = text.str.replace_all(f"(?:{keys}):null,?", "").str.replace(r",\}$", "}")
    # an object with something in it, taken without computing the text twice
    return filled.str.extract(r"(?s)^(\{.+\})$", 1)


def unreadable(name: str, cell: str, *, is_time: bool) -> pl.Expr:
    """What is said of a row whose column `cell` is no number or no time; name: what the source calls it."""
    return pl.format(f'{name} is "{{}}", which is no {"date" if is_time else "number"}', pl.col(cell).cast(pl.String))


def first_reason(found: Iterable[tuple[pl.Expr, pl.Expr | str]]) -> pl.Expr:
    """The words of the first condition that holds, null where none does."""
    return pl.coalesce(
        pl.when(condition).then(pl.lit(words) if isinstance(words, str) else words) for condition, words in found
    )


def where(mask: str, value: pl.Expr, columns: Iterable[str]) -> pl.Expr:
    """A text that is computed only on the rows whose column `mask` is true, and null elsewhere.

    columns: those that value reads. Polars computes every branch of a `when` on every row; messages and raw rows as
    JSON are dear, and few rows need them.
    """

    def work(rows: pl.Series) -> pl.Series:
        frame = rows.struct.unnest().with_row_index("__index")
        hit = frame.filter(pl.col(mask))
        blank = pl.Series([None], dtype=pl.String).new_from_index(0, len(frame))
        return blank.scatter(hit["__index"], hit.select(value).to_series()) if len(hit) else blank

    return pl.struct(mask, *columns).map_batches(work, return_dtype=pl.String, is_elementwise=True)


def _each_distinct(cell: pl.Expr, convert: Callable[[pl.Expr], pl.Expr], kind: pl.DataType) -> pl.Expr:
    """convert(cell), computed once for each distinct value of a batch: hours and tag sets repeat by the thousand."""

    def work(values: pl.Series) -> pl.Series:
        distinct = values.unique().to_frame("cell").with_columns(convert(pl.col("cell")).alias("value"))
        return values.to_frame("cell").join(distinct, on="cell", how="left", nulls_equal=True, maintain_order="left")[
            "value"
        ]

    return cell.map_batches(work, return_dtype=kind, is_elementwise=True)


def _is_key_value(kind: pl.List) -> bool:
    inner = kind.inner
    return isinstance(inner, pl.Struct) and {f.name for f in inner.fields} == {"key", "value"}


def _map_as_json(cell: pl.Expr) -> pl.Expr:
    entries = cell.map.entries().list.eval(
        pl.element().struct.json_encode().str.replace(rf'^\{{"key":({_JSON_STRING}),"value":(.*)\}}$', "$1:$2")
    )
    return pl.when(cell.is_not_null()).then("{" + entries.list.join(",") + "}")
