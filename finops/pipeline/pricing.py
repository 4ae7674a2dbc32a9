"""A file of token usage, priced from the book."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from finops import token_costs, token_prices
from finops.errors import InputError
from finops.schema import CONTEXT
from finops.token_costs import KEY, PRICED
from finops.token_prices import METERS

_COUNTS = (*(meter.column for meter in METERS), CONTEXT)
_REQUIRED = KEY[:3]


@dataclass(frozen=True)
class PricedUsage:
    """The file's rows as they were, with the columns PRICED; and how many of them have no price."""

    rows: pl.DataFrame
    unpriced: int


def price_file(usage: Path, prices: Sequence[Path] = ()) -> PricedUsage:
    """Price a CSV of token usage with the list and a company's own prices.

    Columns: date, provider, model; any of service_tier, context_from_tokens and the counts of METERS; others are
    carried along. Raises InputError for a file that cannot be read, a missing or unknown column of tokens, or a cell
    that is not of its type.
    """
    text = _read(usage)
    typed = text.select(_typed(name) for name in text.columns if name in (*KEY, *_COUNTS))
    _refuse_cells(usage, text, typed)
    book = token_prices.load_book(prices)
    priced = token_costs.price(typed.lazy(), book).select(PRICED).collect()
    return PricedUsage(pl.concat([text, priced], how="horizontal"), priced["price_reason"].count())


def _read(usage: Path) -> pl.DataFrame:
    try:
        text = pl.read_csv(io.BytesIO(usage.read_bytes()), infer_schema=False)
    except OSError as error:
        raise InputError(
            f"{usage} cannot be read ({error.strerror})",
            expected="a CSV file of token usage",
            next_step="correct the path",
        ) from error
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{usage}: {str(error).splitlines()[0]}", expected="a CSV file of token usage", next_step="correct the file"
        ) from error
    columns = text.columns
    missing = [name for name in _REQUIRED if name not in columns]
    if missing or not set(columns) & {meter.column for meter in METERS}:
        raise InputError(
            f"{usage} has the columns {', '.join(columns)}",
            expected=f"{', '.join(_REQUIRED)} and at least one of {', '.join(_COUNTS)}",
            next_step="correct its header",
        )
    taken = [name for name in columns if name in PRICED]
    alien = [name for name in columns if "token" in name.lower() and name not in _COUNTS] + [
        name for name in columns if "_duplicated_" in name
    ]
    if taken or alien:
        raise InputError(
            f"{usage} has a column {(taken + alien)[0]}",
            expected=f"no result columns, and counts that do not overlap, named {', '.join(_COUNTS)}",
            next_step="rename or remove this column, so that no token is left out or counted twice",
        )
    return text


def _typed(name: str) -> pl.Expr:
    cell = pl.col(name).str.strip_chars()
    if name == "date":
        return cell.str.to_date("%Y-%m-%d", strict=False)
    return cell.cast(pl.Int64, strict=False) if name in _COUNTS else pl.col(name)


def _refuse_cells(usage: Path, text: pl.DataFrame, typed: pl.DataFrame) -> None:
    for name in typed.columns:
        if name in _COUNTS:
            expected = "a whole number, not below zero, or empty"
            wrong = (typed[name].is_null() & text[name].is_not_null()) | (typed[name] < 0).fill_null(False)
        elif name in _REQUIRED:
            expected = "a date as YYYY-MM-DD" if name == "date" else "a name"
            wrong = typed[name].is_null()
        else:
            continue
        if wrong.any():
            row = wrong.arg_true()[0]
            found = text[name][row]
            raise InputError(
                f"{usage}, row {row + 2}, {name}: {'empty' if found is None else repr(found)}",
                expected=expected,
                next_step="correct this cell",
            )
