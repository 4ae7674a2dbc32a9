"""How far each source has billed: the last day that its charges reach, and the day up to which all of them do."""

from collections.abc import Mapping
from datetime import date, timedelta
from statistics import median
from typing import Final

import polars as pl

from finops import schema as s

ACTIVE_DAYS: Final = 35
"""A source that ends this long before the newest one has ended; it does not hold the others back."""
UNBILLED_RATIO: Final = 0.1
"""A last day with a smaller share of its usual charges is not billed yet ..."""
PARTIAL_RATIO: Final = 0.5
"""... and one with a smaller share than this is billed in part ..."""
PARTIAL_DAYS: Final = 3
"""... unless more days than these are: that is a fall in usage."""


def billed_to(daily: pl.LazyFrame) -> dict[str, date]:
    """The last day that each billed source has billed in full; daily: rows of spend_daily.

    It is told by the number of charges that begin on a day, beside the median of the same weekday in the four weeks
    before: a fee for the whole month reaches into days that nobody has billed yet. Below a tenth the day is not billed
    yet; below a half it is billed in part, unless more than three days are: then there is less to bill.
    """
    counts = (
        daily.filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
        .group_by(s.SOURCE_ID, s.CHARGE_DATE)
        .agg(pl.col(s.CHARGE_COUNT).sum())
        .sort(s.SOURCE_ID)
        .collect(engine="streaming")
    )
    return {
        str(source): _last_full_day(dict(zip(days[s.CHARGE_DATE], days[s.CHARGE_COUNT], strict=True)))
        for (source,), days in counts.group_by([s.SOURCE_ID], maintain_order=True)
    }


def running(ends: Mapping[str, date]) -> dict[str, date]:
    """Those sources that have not ended: the last day of each, where it is near the newest of all."""
    newest = max(ends.values(), default=date.min)
    return {source: end for source, end in ends.items() if newest - end < timedelta(days=ACTIVE_DAYS)}


def settled_until(daily: pl.LazyFrame, today: date) -> date:
    """The first day that some running source has not billed in full; today where there is no spend at all."""
    ends = running(billed_to(daily))
    return min(*ends.values(), today - timedelta(days=1)) + timedelta(days=1) if ends else today


def _last_full_day(counts: Mapping[date, int]) -> date:
    day, partial = max(counts), list[date]()
    while (share := _share(counts, day)) < PARTIAL_RATIO:
        if share >= UNBILLED_RATIO:
            partial.append(day)
        if len(partial) > PARTIAL_DAYS:
            return partial[0]
        day -= timedelta(days=1)
    return day


def _share(counts: Mapping[date, int], day: date) -> float:
    """A day's charges over the median of the same weekday in the four weeks before; 1 where that tells nothing."""
    weeks = [before for week in range(1, 5) if (before := day - timedelta(weeks=week)) >= min(counts)]
    usual = median(counts.get(before, 0) for before in weeks) if len(weeks) > 1 else 0
    return counts.get(day, 0) / usual if usual else 1.0
