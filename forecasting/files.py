"""Daily series from any CSV file: the columns are named by the caller, every row is checked, nothing is guessed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from finops.errors import InputError
from forecasting.hours import INSTANT, LOCAL, to_days
from forecasting.series import DATE, INPUT, SERIES, VALUE, Refusal

TIMES: Final = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
OFFSET_TIMES: Final = ("%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M%:z")
OFFSET: Final = r"(:\d\d(?:\.\d+)?) ?([+-]\d\d):?(\d\d)?$"
"""The end of a time that has an offset: +02:00, +0200 or +02 after minutes or seconds."""
MISSING: Final = ("", "na", "nan", "null", "none")
"""Texts that stand for a missing day; a zero is written as 0."""


@dataclass(frozen=True)
class DailyFile:
    """Rows `series, date, value` of a file, the series whose times make no days, and what was done to the others."""

    rows: pl.DataFrame
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


def read_csv(path: Path, *, date: str, value: str, series: str | None = None) -> DailyFile:
    """The days of a CSV file; without a series column, one series named after the value column.

    Times finer than a day are summed to days of their own offset; see forecasting.hours. Raises InputError for a file
    that is missing, empty or no CSV, a column that is not there, and the first row whose date is no ISO day or time or
    whose value is no number, with its row number (the header is row 1).
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
    is_daily = rows[DATE].null_count() == 0
    if not is_daily:
        local, instant = _times("date_text")
        rows = rows.with_columns(local.alias(LOCAL), instant.alias(INSTANT))
        expected = "a day as YYYY-MM-DD, or a time like 2026-11-21 14:05 or 2026-11-21T14:05:00+01:00"
        _check(path, rows, pl.col(LOCAL).is_null(), "date_text", date, expected)
    unreadable = pl.col("given") & ~pl.col(VALUE).is_finite().fill_null(False)
    _check(path, rows, unreadable, "value_text", value, "a number like 1234.5, or nothing for a missing day")
    _check(path, rows, pl.col(SERIES).is_null(), SERIES, series or value, "the name of a series in every row")
    if is_daily:
        return DailyFile(rows.select(pl.col(name).cast(kind) for name, kind in INPUT.items()))
    days, refused, notes = to_days(rows.select(SERIES, LOCAL, INSTANT, VALUE))
    return DailyFile(days, tuple(refused), tuple(notes))


def _times(column: str) -> tuple[pl.Expr, pl.Expr]:
    """The times of a text column as they are written, without their offset, and in UTC where they have one."""
    written = (
        pl.col(column).str.strip_chars().str.replace("T", " ", literal=True).str.replace(r"Z$", "+00:00")
        .str.replace(OFFSET, "$1$2:$3").str.replace(r"([+-]\d\d):$", "$1:00")
    )  # fmt: skip
    bare = written.str.replace(r"(:\d\d(?:\.\d+)?)[+-]\d\d:\d\d$", "$1")
    local = pl.coalesce(*(bare.str.to_datetime(form, time_unit="ms", strict=False) for form in TIMES))
    instants = [written.str.to_datetime(f, time_unit="ms", strict=False, time_zone="UTC") for f in OFFSET_TIMES]
    return local, pl.coalesce(*instants).dt.replace_time_zone(None)


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
    local, instant = _times(date)
    text = pl.col(value).str.strip_chars()
    missing = pl.col(value).is_null() | text.str.to_lowercase().is_in(MISSING)
    rows = table.select(
        pl.col(date).alias("timestamp"),
        pl.coalesce(instant, local).alias("time"),
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
