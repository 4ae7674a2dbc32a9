"""Rows finer than a day, summed to days: clock changes understood, days that are not whole left out."""

from datetime import date, timedelta
from typing import Final

import polars as pl

from forecasting.series import DATE, INPUT, SERIES, VALUE, Refusal

LOCAL, INSTANT = "local", "instant"
HOUR: Final = 3_600
DAY: Final = 24 * HOUR
REGULAR_RATIO: Final = 0.9
"""A step that fewer of the gaps between times have is no step."""
CLOCK_CHANGES_APART: Final = timedelta(days=100)
"""Clocks go back once a year; hours that occur twice within fewer days than this are repeated rows."""
SATURDAY: Final = 6
NIGHT: Final = (23, 0, 1, 2, 3)
"""Hours that occur twice when clocks go back, in the night to a Sunday."""
NEXT_STEP: Final = "sum it to days and give one row a day"


def to_days(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Refusal], list[str]]:
    """Rows `series, local, instant, value` as `series, date, value`, the series that cannot be, and what was done.

    local: the time as written, without its offset; it says the day. instant: the same in UTC, null without an offset.
    A series with one row a day keeps its values. One with a regular step that divides a day is summed: a day is whole
    if it has the rows of 23 hours; the first or last day that is not is left out, one between is missing. Hours that
    occur twice are those of a clock that goes back: without an offset, one whole hour in the night to a Sunday.
    """
    days = [pl.DataFrame(schema=INPUT)]
    refused: list[Refusal] = []
    notes: list[str] = []
    for (name,), part in rows.sort(SERIES, maintain_order=True).group_by([SERIES], maintain_order=True):
        found = _days_of(part)
        if isinstance(found, str):
            refused.append(Refusal(str(name), found))
            continue
        daily, note = found
        days.append(daily.select(pl.lit(str(name)).alias(SERIES), DATE, VALUE))
        notes += [f"{name}: {note}"] if note else []
    return pl.concat(days), refused, notes


def _days_of(part: pl.DataFrame) -> tuple[pl.DataFrame, str | None] | str:
    """The days of one series and what was done to it, or why it cannot be summed."""
    day = pl.col(LOCAL).dt.date().alias(DATE)
    if not part.select(day.is_duplicated().any()).item():
        return part.select(day, VALUE), None
    with_offset = part[INSTANT].is_not_null().sum()
    if 0 < with_offset < part.height:
        return (
            f"{with_offset:,} of its {part.height:,} times have an offset; expected all or none; next: write it in all"
        )
    times = part[INSTANT if with_offset else LOCAL].sort()
    step = _step(times)
    if step is None:
        return f"its times follow no step that divides a day; expected rows every hour or so; next: {NEXT_STEP}"
    repeated = part.filter(pl.col(INSTANT if with_offset else LOCAL).is_duplicated()).select(LOCAL, day)
    if repeated.height and (with_offset or not _is_clock_change(repeated, step)):
        times = repeated[LOCAL].unique().sort()
        return f"{len(times):,} times occur more than once, first {times[0]}; expected each once; next: {NEXT_STEP}"
    return _summed(part.with_columns(day), step)


def _step(times: pl.Series) -> int | None:
    """The usual gap between times [s], where nearly all have it and it divides a day."""
    gaps = times.diff().dt.total_seconds().drop_nulls()
    gaps = gaps.filter(gaps > 0)
    if gaps.is_empty():
        return None
    step = int(gaps.mode().min())  # type: ignore[arg-type]
    return step if DAY % step == 0 and (gaps == step).mean() >= REGULAR_RATIO else None  # type: ignore[operator]


def _is_clock_change(repeated: pl.DataFrame, step: int) -> bool:
    """Whether the times that occur twice are one whole hour of a day, at most once in CLOCK_CHANGES_APART."""
    if step > HOUR:
        return False
    hours = repeated.group_by(DATE, pl.col(LOCAL).dt.hour().alias("hour")).agg(
        pl.len(), pl.col(LOCAL).n_unique().alias("times")
    ).sort(DATE)  # fmt: skip
    is_hour = (hours["times"] == HOUR // step).all() and (hours["len"] == 2 * hours["times"]).all()
    in_the_night = hours["hour"].is_in(NIGHT).all() and (hours[DATE].dt.weekday() >= SATURDAY).all()
    return is_hour and in_the_night and not (hours[DATE].diff().drop_nulls() < CLOCK_CHANGES_APART).any()


def _summed(part: pl.DataFrame, step: int) -> tuple[pl.DataFrame, str] | str:
    usual = DAY // step
    known = pl.col(VALUE).is_not_null() & pl.col(VALUE).is_not_nan()
    days = (
        part.group_by(DATE)
        .agg(known.sum().alias("known"), pl.col(VALUE).filter(known).sum())
        .sort(DATE)
        .with_columns(whole=pl.col("known") >= usual - max(1, HOUR // step))
    )
    if not days["whole"].any():
        return f"none of its {days.height:,} days has its {usual} rows; expected a whole day; next: {NEXT_STEP}"
    said = [f"summed to days, {usual} rows each"]
    for end in (0, -1):
        if not days["whole"][end]:
            said.append(f"{days[DATE][end]} is left out, for it has {days['known'][end]} of them")
            days = days[1:] if end == 0 else days[:-1]
    missing: list[date] = days.filter(~pl.col("whole"))[DATE].to_list()
    if missing:
        said.append(f"{len(missing):,} days between lack more than an hour and are missing, first {missing[0]}")
    value = pl.when("whole").then(VALUE).alias(VALUE)
    return days.select(DATE, value), "; ".join(said)
