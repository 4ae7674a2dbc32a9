"""Finance's own tables as CSV: budgets, invoices and their lines, FX rates, business metrics, mappings.

Headers may differ in case, blanks and punctuation, and by the words listed below. A table is read whole or refused
whole, with every wrong cell listed; rows are counted as a spreadsheet does, the header being row 1.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from connectors import files
from finops import schema as s
from finops.errors import CallError, InputError
from finops.money import CONTEXT, QUANTUM
from finops.scope import ALL, DIMENSIONS, Scope, parse_period, parse_scope

Row = Mapping[str, str]
_SHOWN_PROBLEMS: Final = 20
_TOO_LARGE: Final = Decimal("1e18")


def _text(cell: str) -> str:
    return cell


def _decimal(cell: str) -> Decimal:
    if not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", cell):
        raise ValueError("a plain number such as 10000.00, without currency signs or thousands separators")
    value = Decimal(cell)
    if value != value.quantize(QUANTUM, context=CONTEXT) or abs(value) >= _TOO_LARGE:
        raise ValueError("a number below 1e18 with at most 18 decimals")
    return value


def _rate(cell: str) -> Decimal:
    if (rate := _decimal(cell)) <= 0:
        raise ValueError("a rate above 0")
    return rate


def _currency(cell: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{3}", cell):
        raise ValueError("an ISO 4217 code such as USD")
    return cell.upper()


def _day(cell: str) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", cell):
        raise ValueError("a date as YYYY-MM-DD")
    return date.fromisoformat(cell)


def _month(cell: str) -> str:
    name = _period(cell)
    if len(name) != len("2026-10") or "Q" in name:
        raise ValueError("a month as YYYY-MM")
    return name


def _start_month(cell: str) -> str:
    """A month, by its name or, as FOCUS writes billing periods, by its first instant."""
    return _month(cell[: len("2026-10-01")])


def _issue_day(cell: str) -> date:
    """A day, or the one of an instant as FOCUS writes it."""
    return _day(cell[: len("2026-10-01")])


def _category(cell: str) -> str:
    known = next(c.allowed_values for c in s.focus_columns("InvoiceDetail") if c.name == s.CHARGE_CATEGORY)
    for category in known:
        if cell.lower() == category.lower():
            return category
    raise ValueError(" or ".join(known))


def _period(cell: str) -> str:
    try:
        return parse_period(cell).name
    except CallError as error:
        raise ValueError(error.expected) from error


def _scope(cell: str) -> str:
    try:
        return str(parse_scope(cell))
    except CallError as error:
        raise ValueError(error.expected) from error


def _cost(cell: str) -> str:
    if cell.lower() not in s.COSTS:
        raise ValueError(" or ".join(s.COSTS))
    return cell.lower()


@dataclass(frozen=True)
class Column:
    """How one column of a lake table is read: its parser, whether a cell must be filled, other words for it."""

    read: Callable[[str], object]
    needed: bool = False
    words: str = ""


COLUMNS: Final[dict[str, dict[str, Column]]] = {
    "budgets": {
        "budget_id": Column(_text, words="id"),
        "scope": Column(_scope),
        "period": Column(_period, needed=True, words="month quarter year billingperiod"),
        "amount": Column(_decimal, needed=True, words="budget budgetamount planned plan value"),
        "currency": Column(_currency, words="ccy billingcurrency"),
        "cost": Column(_cost, words="costtype basis measure"),
        "owner": Column(_text, words="budgetowner responsible"),
        "note": Column(_text, words="notes comment remarks"),
    },
    "invoices": {
        "invoice_id": Column(_text, needed=True, words="invoice invoicenumber invoiceno number id"),
        "source_id": Column(_text, needed=True, words="source"),
        "billing_period": Column(_month, needed=True, words="month period invoicemonth"),
        "issuer": Column(_text, words="vendor supplier provider invoiceissuer"),
        "account_id": Column(_text, words="account billingaccount billingaccountid"),
        "amount": Column(_decimal, needed=True, words="total invoiceamount invoicetotal billedcost"),
        "currency": Column(_currency, needed=True, words="ccy billingcurrency"),
        "issue_date": Column(_day, words="date invoicedate issued"),
    },
    "invoice_lines": {
        "invoice_id": Column(_text, needed=True, words="invoice invoicenumber invoiceno number id"),
        "source_id": Column(_text, needed=True, words="source xsourceid"),
        "billing_period": Column(_start_month, needed=True, words="month period invoicemonth billingperiodstart"),
        "issuer": Column(_text, words="vendor supplier provider invoiceissuer invoiceissuername"),
        "account_id": Column(_text, words="account billingaccount billingaccountid"),
        "category": Column(_category, needed=True, words="chargecategory kind type"),
        "description": Column(_text, words="service item invoicedetaildescription"),
        "line": Column(_text, words="lineno linenumber invoicedetailid"),
        "amount": Column(_decimal, needed=True, words="total linetotal billedcost"),
        "currency": Column(_currency, needed=True, words="ccy billingcurrency"),
        "issue_date": Column(_issue_day, words="date invoicedate issued invoiceissuedate"),
    },
    "fx_rates": {
        "day": Column(_day, needed=True, words="date"),
        "base": Column(_currency, needed=True, words="from basecurrency fromcurrency"),
        "quote": Column(_currency, needed=True, words="to quotecurrency tocurrency"),
        "rate": Column(_rate, needed=True, words="fxrate exchangerate"),
        "source": Column(_text),
    },
    "business_metrics": {
        "day": Column(_day, needed=True, words="date"),
        "use_case": Column(_text, needed=True, words="product application app"),
        "metric": Column(_text, needed=True, words="kpi name"),
        "value": Column(_decimal, needed=True, words="count quantity amount"),
        "unit": Column(_text),
    },
    "mappings": {
        "kind": Column(_text, needed=True, words="type"),
        "match": Column(_text, needed=True, words="pattern key account accountid"),
        "team": Column(_text, words="owningteam"),
        "use_case": Column(_text, words="product application app"),
        "cost_center": Column(_text, words="costcentre"),
        "environment": Column(_text, words="env stage"),
        "purpose": Column(_text),
        "owner": Column(_text, words="contact"),
    },
}  # fmt: skip
"""Columns of the lake's tables by their name in finops.schema; `source` is the file's name unless the file has it."""
BUDGET_DIMENSIONS: Final = {
    **{name: name.replace("_", "") for name in DIMENSIONS},
    "cost_center": "costcenter costcentre", "use_case": "usecase application app product",
}  # fmt: skip
"""A budget file may have a column for each dimension instead of `scope`."""
BUDGET_RESULTS: Final = frozenset(
    {"actual", "forecast", "landing", "variance", "ratio", "varianceratio", "status", "basis", "notcounted"}
)
"""Columns of an exported budget file that are results and not read back."""


@dataclass(frozen=True)
class TableFile:
    """A table as read: the lake table's columns, the file's row of each, and its columns that have no use here."""

    frame: pl.DataFrame
    row_numbers: tuple[int, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class _Header:
    """Which column of the file holds what: our columns, dimensions of a scope, and periods with a column each."""

    columns: dict[str, str]
    dimensions: dict[str, str]
    periods: dict[str, str]
    ignored: tuple[str, ...]


def read(table: str, path: Path, *, currency: str) -> TableFile:
    """The rows of a CSV file as the lake table `table`.

    currency: of budgets whose file does not say one. A budget file has `scope`, or a column per dimension; and `period`
    with `amount`, or a column per period. Raises InputError that lists every cell that cannot be read.
    """
    text = _cells(path)
    header = _header(table, text.columns, path)
    problems: list[str] = []
    rows: list[dict[str, object]] = []
    numbers: list[int] = []
    for number, cells in enumerate(text.iter_rows(), start=2):
        filled = {name: cell.strip() for name, cell in zip(text.columns, cells, strict=True) if cell and cell.strip()}
        if not filled:
            continue
        for record in _records(header, filled):
            row = _values(table, header, record, f"row {number}", problems)
            if table == "budgets":
                row = _complete_budget(row, currency)
            rows.append({"source": path.name, **row})
            numbers.append(number)
    if not rows:
        raise InputError(
            f"{path} holds no row of {table}",
            expected="a header and rows",
            next_step="fill it, or take it out of finops.toml",
        )
    frame = pl.DataFrame(rows, schema=s.TABLES[table].columns) if not problems else pl.DataFrame()
    problems += _repeated(table, frame) if not problems else []
    if problems:
        more = f"\n  and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        raise InputError(
            f"{path} has {len(problems)} wrong cell(s):\n  " + "\n  ".join(problems[:_SHOWN_PROBLEMS]) + more,
            expected="every cell as stated",
            next_step="correct them; nothing was loaded",
        )
    return TableFile(frame, tuple(numbers), header.ignored)


def _cells(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(f"there is no file {path}", expected="a CSV file", next_step="correct the path")
    with files.readable(path):
        return files.scan(path).collect().drop(files.ROW_INDEX)


# ------------------------------------------------------------------------------------------------------------- header
def _header(table: str, names: list[str], path: Path) -> _Header:
    words = {word: ours for ours, column in COLUMNS[table].items() for word in (_plain(ours), *column.words.split())}
    found = _Header({}, {}, {}, tuple(n for n in names if table != "budgets" and _plain(n) not in words))
    unknown = []
    for name in names:
        if (ours := words.get(_plain(name))) is not None:
            _claim(found.columns, ours, name, path)
        elif table == "budgets" and (dimension := _DIMENSION_OF.get(_plain(name))) is not None:
            _claim(found.dimensions, dimension, name, path)
        elif table == "budgets" and (period := _period_or_none(name)) is not None:
            _claim(found.periods, period, name, path)
        elif table == "budgets" and _plain(name) not in BUDGET_RESULTS:
            unknown.append(name)
    missing = [ours for ours, column in COLUMNS[table].items() if column.needed and ours not in found.columns]
    if found.periods and not {"period", "amount"} & set(found.columns):
        missing = [ours for ours in missing if ours not in ("period", "amount")]
    if unknown or missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}" if missing else f"{path} has the column {', '.join(unknown)}",
            expected=f"columns of {table}: {', '.join(COLUMNS[table])}"
            + (f"; or instead of scope a column for each of {', '.join(DIMENSIONS)}" if table == "budgets" else ""),
            next_step="rename the column, or remove it"
            if unknown and not missing
            else "add it, or rename the one meant",
        )
    if found.dimensions and "scope" in found.columns:
        raise InputError(
            f"{path} has a column scope and also {', '.join(found.dimensions.values())}",
            expected="either scope or a column per dimension",
            next_step="remove one of the two",
        )
    return found


def _claim(columns: dict[str, str], ours: str, name: str, path: Path) -> None:
    if ours in columns:
        raise InputError(
            f'{path} has two columns for {ours}: "{columns[ours]}" and "{name}"',
            expected="one",
            next_step="rename or remove the other",
        )
    columns[ours] = name


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_DIMENSION_OF: Final = {word: name for name, words in BUDGET_DIMENSIONS.items() for word in words.split()}


def _period_or_none(name: str) -> str | None:
    try:
        return parse_period(name).name
    except CallError:
        return None


# --------------------------------------------------------------------------------------------------------------- rows
def _records(header: _Header, filled: Row) -> Iterator[Row]:
    """The cells of a row by our column; one record for each period that has a column of its own."""
    record = {ours: filled[name] for ours, name in header.columns.items() if name in filled}
    if header.dimensions:
        terms = {dimension: filled[name] for dimension, name in header.dimensions.items() if name in filled}
        record["scope"] = str(Scope.of(terms))
    if not header.periods:
        yield record
    for period, name in header.periods.items():
        if name in filled:
            yield {**record, "period": period, "amount": filled[name]}


def _values(table: str, header: _Header, record: Row, where: str, problems: list[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for ours, column in COLUMNS[table].items():
        cell = record.get(ours)
        name = header.columns.get(ours) or header.periods.get(record.get("period", ""), ours)
        if cell is None:
            if column.needed:
                problems.append(f"{where}, {name}: empty; expected a value")
            continue
        try:
            values[ours] = column.read(cell)
        except ValueError as error:
            problems.append(f'{where}, {name}: "{cell}"; expected {error}')
    return values


def _complete_budget(row: dict[str, object], currency: str) -> dict[str, object]:
    """The row with its defaults; a budget without an id is named by its scope and what is unusual about it."""
    usual = {"scope": ALL, "currency": currency, "cost": "effective"}
    full = {**usual, **row}
    unusual = [str(full[name]) for name in ("currency", "cost") if full[name] != usual[name]]
    return {"budget_id": " ".join([str(full["scope"]), *unusual]), **full}


def _repeated(table: str, frame: pl.DataFrame) -> list[str]:
    key = [name for name in s.TABLES[table].key if frame[name].null_count() < len(frame)]
    twice = frame.filter(pl.struct(key).is_duplicated()).unique(key, maintain_order=True).select(key)
    return [f"two rows for {', '.join(map(str, row))}; expected one" for row in twice.iter_rows()]
