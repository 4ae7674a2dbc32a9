"""How far each source has billed, up to which day all of them have, and how long a day takes to be seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from math import ceil
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
MONTH_DAYS: Final = 28
"""Charges that begin so many days apart are monthly."""
PARTIAL_DAYS: Final = 3
"""... unless more days than these are: that is a fall in usage."""
MEASURED_LOADS: Final = 3
"""A source's usual delay is known from so many loads on; and a source is stale ..."""
STALE_DAYS: Final = 1
"""... more days than this after nine in ten of its days were there."""


def billed_to(daily: pl.LazyFrame) -> dict[str, date]:
    """The last day that each billed source has billed in full; daily: rows of spend_daily.

    It is told by the number of charges that begin on a day, beside the median of the same weekday in the four weeks
    before: a fee for the whole month reaches into days that nobody has billed yet. Below a tenth the day is not billed
    yet; below a half it is billed in part, unless more than three days are: then there is less to bill.
    """
    return {source: last_full_day(counts) for source, counts in daily_counts(daily).items()}


def daily_counts(daily: pl.LazyFrame) -> dict[str, dict[date, int]]:
    """How many charges of each billed source begin on each of its days; daily: rows of spend_daily."""
    counts = (
        daily.filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
        .group_by(s.SOURCE_ID, s.CHARGE_DATE)
        .agg(pl.col(s.CHARGE_COUNT).sum())
        .sort(s.SOURCE_ID)
        .collect(engine="streaming")
    )
    return {
        str(source): dict(zip(days[s.CHARGE_DATE], days[s.CHARGE_COUNT], strict=True))
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


def last_full_day(counts: Mapping[date, int]) -> date:
    """The last day that is billed in full, of a source's charges by day; see `billed_to`.

    Where charges begin within a month of each other, the days after the last of them are only reached by fees: in a
    young month these are weeks, whose own emptiness would make them usual.
    """
    begins = sorted(day for day, count in counts.items() if count)
    is_monthly = len(begins) < 2 or begins[-1] - begins[-2] >= timedelta(days=MONTH_DAYS)
    day, partial = max(counts) if is_monthly else begins[-1], list[date]()
    while (share := usual_share(counts, day)) < PARTIAL_RATIO:
        if share >= UNBILLED_RATIO:
            partial.append(day)
        if len(partial) > PARTIAL_DAYS:
            return partial[0]
        day -= timedelta(days=1)
    return day


@dataclass(frozen=True)
class Visibility:
    """How soon one day's cost can be seen: from the day itself to the load that made it complete.

    days_behind: from the newest complete day to today. loads: so many loads made a day complete; median_days and
    p90_days are of the days that they did, None without any. ended: the source stopped long before the others.
    """

    source_id: str
    newest_day: date
    days_behind: int
    loads: int
    median_days: float | None
    p90_days: int | None
    ended: bool

    @property
    def is_stale(self) -> bool:
        """Whether the newest day is older than this source's own days usually were when they came."""
        usual = self.p90_days
        return self.is_measured and not self.ended and usual is not None and self.days_behind > usual + STALE_DAYS

    @property
    def is_measured(self) -> bool:
        """Whether enough loads tell what is usual."""
        return self.loads >= MEASURED_LOADS


def delays(seen: Sequence[tuple[date, date]]) -> list[int]:
    """Days from usage to visibility [days], of each day that became complete between two loads.

    seen: when a source was loaded, and the last complete day then. The first load brings a history that was never
    waited for: of it only its newest day counts.
    """
    found: list[int] = []
    reached: date | None = None
    for loaded, last in sorted(seen):
        days = 1 if reached is None else max(0, (last - reached).days)
        found += [(loaded - last).days + n for n in range(days)]
        reached = last if reached is None else max(reached, last)
    return [max(0, n) for n in found]


def visibility(
    ends: Mapping[str, date], seen: Mapping[str, Sequence[tuple[date, date]]], today: date
) -> list[Visibility]:
    """The freshness of each source beside its usual delay; ends: of `billed_to`, seen: as `delays` takes them."""
    alive = running(ends)
    found = []
    for source, end in sorted(ends.items()):
        loads = sorted(seen.get(source, ()))
        waited = sorted(delays(loads))
        moved = 1 + sum(later > earlier for (_, earlier), (_, later) in pairwise(loads)) if loads else 0
        found.append(
            Visibility(
                source,
                end,
                max(0, (today - end).days),
                moved,
                median(waited) if waited else None,
                waited[ceil(len(waited) * 0.9) - 1] if waited else None,
                ended=source not in alive,
            )
        )
    return found


def usual_share(counts: Mapping[date, int], day: date) -> float:
    """A day's charges over the median of the same weekday in the four weeks before; 1 where that tells nothing."""
    weeks = [before for week in range(1, 5) if (before := day - timedelta(weeks=week)) >= min(counts)]
    usual = median(counts.get(before, 0) for before in weeks) if len(weeks) > 1 else 0
    return counts.get(day, 0) / usual if usual else 1.0
