"""Answers of a provider's API as files: a folder a month, a page of some days a file, as a pull keeps them."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

from connectors.demo.company import Calendar, next_month

Json = dict[str, Any]
Result = Callable[[Json], Json]


def write(
    folder: Path, rows: pl.DataFrame, calendar: Calendar, *,
    days_a_page: int, page: Json, bucket: Callable[[date, date], Json], result: Result,
) -> None:  # fmt: skip
    """Write a page's rows, in their order, as results in the bucket of their `date`; a day without rows is empty.

    page, bucket: what a page and the bucket of a day (first day, day after) say besides their data.
    """
    results: dict[date, list[Json]] = {}
    for row in rows.iter_rows(named=True):
        results.setdefault(row["date"], []).append(result(row))
    for month in calendar.months:
        end = min(next_month(month), calendar.end + timedelta(days=1))
        days = [month + timedelta(days=i) for i in range((end - month).days)]
        starts = range(0, len(days), days_a_page)
        home = folder / f"{month:%Y-%m}"
        home.mkdir(parents=True, exist_ok=True)
        for number, start in enumerate(starts, 1):
            data = [
                {**bucket(day, day + timedelta(days=1)), "results": results.get(day, [])}
                for day in days[start : start + days_a_page]
            ]
            more = number < len(starts)
            following = sha256(f"{folder.name}/{month}/{number}".encode()).hexdigest()[:24]
            answer = {**page, "data": data, "has_more": more, "next_page": f"page_{following}" if more else None}
            (home / f"{number:04}.json").write_text(json.dumps(answer) + "\n", encoding="utf-8")


def seconds(day: date) -> int:
    """The start of a day, UTC, in seconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
