"""Daily series from any CSV file: the columns are named by the caller, every row is checked, nothing is guessed."""

from pathlib import Path
from typing import Final

import polars as pl

from finops.errors import InputError
from forecasting.series import DATE, INPUT, SERIES, VALUE

TIMES: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
OFFSET_TIME: Final = "%Y-%m-%d %H:%M:%S%.f%:z"
MISSING: Final = ("", "na", "nan", "null", "none")
"""Texts that stand for a missing day; a zero is written as 0."""


def read_csv(path: Path, *, date: str, value: str, series: str | None = None) -> pl.DataFrame:
    """The rows of a CSV file as `series,date,value`; without a series column, one series named after the value column.

    Raises InputError for a file that is missing, empty or no CSV, a column that is not there, and the first row whose
    date is no ISO day or whose value is no number, with its row number (the header is row 1).
    """
    table = _text_table(path)
    wanted = [date, value, *([] if series is None else [series])]
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise InputError(
            f"{path} has no column {', '.join(absent)}",
            expected=f"one of its columns: {', '.join(table.columns)}",
            next_step="correct --date, --value or --id",
        )
    text = pl.col(value).str.strip_chars()
    missing = pl.col(value).is_null() | text.str.to_lowercase().is_in(MISSING)
    rows = table.select(
        (pl.lit(value) if series is None else pl.col(series)).alias(SERIES),
        pl.col(date).str.strip_chars().str.to_date("%Y-%m-%d", strict=False).alias(DATE),
        pl.when(~missing).then(text).cast(pl.Float64, strict=False).alias(VALUE),
        (~missing).alias("given"),
        pl.col(date).alias("date_text"),
        pl.col(value).alias("value_text"),
    ).with_row_index("row", offset=2)
    _check(path, rows, pl.col(DATE).is_null(), "date_text", date, "a day as YYYY-MM-DD")
    unreadable = pl.col("given") & ~pl.col(VALUE).is_finite().fill_null(False)
    _check(path, rows, unreadable, "value_text", value, "a number like 1234.5, or nothing for a missing day")
    _check(path, rows, pl.col(SERIES).is_null(), SERIES, series or value, "the name of a series in every row")
    return rows.select(pl.col(name).cast(kind) for name, kind in INPUT.items())


def read_timed(path: Path, *, date: str, value: str) -> pl.DataFrame:
    """The rows of a CSV file of any step, in their order: `timestamp` as written, `time`, and `value`, null if missing.

    Raises InputError as read_csv does; a time is YYYY-MM-DD, with or without HH:MM, seconds and an offset, and the
    file begins with the oldest row.
    """
    table = _text_table(path)
    absent = [name for name in (date, value) if name not in table.columns]
    if absent:
        raise InputError(
            f"{path} has no column {', '.join(absent)}",
            expected=f"one of its columns: {', '.join(table.columns)}",
            next_step="correct --date or --value",
        )
    written = pl.col(date).str.strip_chars().str.replace("T", " ", literal=True).str.replace(r"Z$", "+00:00")
    times = [written.str.to_datetime(form, time_unit="ms", strict=False) for form in TIMES]
    offset = written.str.to_datetime(OFFSET_TIME, time_unit="ms", strict=False, time_zone="UTC")
    text = pl.col(value).str.strip_chars()
    missing = pl.col(value).is_null() | text.str.to_lowercase().is_in(MISSING)
    rows = table.select(
        pl.col(date).alias("timestamp"),
        pl.coalesce(*times, offset.dt.replace_time_zone(None)).alias("time"),
        pl.when(~missing).then(text).cast(pl.Float64, strict=False).alias(VALUE),
        (~missing).alias("given"),
        pl.col(value).alias("value_text"),
    ).with_row_index("row", offset=2)
    _check(path, rows, pl.col("time").is_null(), "timestamp", date, "a time like 2026-11-21 14:05:00")
    unreadable = pl.col("given") & ~pl.col(VALUE).is_finite().fill_null(False)
    _check(path, rows, unreadable, "value_text", value, "a number like 1234.5, or nothing where it is missing")
    if rows["time"][0] > rows["time"][-1]:
        raise InputError(
            f"{path} ends at {rows['timestamp'][-1]}, before {rows['timestamp'][0]} of its first row",
            expected="the oldest row first",
            next_step="sort the file by time",
        )
    return rows.select("timestamp", "time", VALUE)


def _text_table(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise InputError(f"no file {path}", expected="a CSV file with a header", next_step="correct the path of --csv")
    try:
        table = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"{path} cannot be read as CSV: {str(error).splitlines()[0]}",
            expected="a CSV file in UTF-8 with a header and one row a day",
            next_step="export it again",
        ) from error
    if table.is_empty():
        raise InputError(f"{path} has no rows", expected="one row a day below the header", next_step="export it again")
    return table


def _check(path: Path, rows: pl.DataFrame, wrong: pl.Expr, text: str, column: str, expected: str) -> None:
    found = rows.filter(wrong)
    if found.is_empty():
        return
    first = found.row(0, named=True)
    more = f" ({found.height:,} such rows)" if found.height > 1 else ""
    raise InputError(
        f"{path} row {first['row']}: {column} is {first[text] or ''!r}{more}",
        expected=expected,
        next_step="correct the row, or leave the value empty where the day is missing",
    )
