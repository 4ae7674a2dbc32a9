"""The loads of the lake's history: what spend_daily held at the end of each day on which it changed.

Read as far back as snapshots are kept. Of a day its last snapshot counts, and of a snapshot only what is asked.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Final

import polars as pl
from deltalake.exceptions import DeltaError

from finops import schema as s
from finops.errors import LakeError
from finops.freshness import daily_counts, last_full_day, running
from finops.pipeline.histories import Ledger, Selection, read_ledger, summed
from finops.store import Lake

KEPT_LOADS: Final = 400
"""So many days on which something was loaded are looked at."""
RECENT_DAYS: Final = 100
"""Days before a load that tell up to when it was complete."""
LOADED: Final = "ingest "
"""How the command of a snapshot begins that a load made."""
GONE: Final = (OSError, DeltaError, pl.exceptions.ComputeError, LakeError)
"""What reading a version raises that `Lake.vacuum` has deleted, or that has other columns: history ends there."""


@dataclass(frozen=True)
class Load:
    """The last snapshot of a day on which spend_daily changed; loaded: the day of each source's last load by then."""

    day: date
    snapshot: int
    loaded: Mapping[str, date]


class Past:
    """The lake's history, as forecasts of selected cost by some groupings need it; each version is read when asked."""

    def __init__(self, lake: Lake, selection: Selection, groupings: Iterable[Sequence[str]]) -> None:
        self.selection = selection
        self.groupings = tuple(groupings)
        self._lake = lake
        self._counts: dict[int, dict[str, dict[date, int]]] = {}
        self._costs: dict[tuple[int, int], pl.DataFrame] = {}

    @cached_property
    def loads(self) -> list[Load]:
        """The loads whose data can still be read, oldest first."""
        found = _load_days(self._lake)
        oldest = bisect_left(found, True, key=self._is_readable)  # vacuum deletes the oldest first
        return found[oldest:]

    def _is_readable(self, load: Load) -> bool:
        try:
            self.first_day(load)  # reads every file
        except GONE:
            return False
        return True

    def counts(self, load: Load) -> Mapping[str, Mapping[date, int]]:
        """How many charges of each source began on each of its recent days, as a load showed them."""
        if load.snapshot not in self._counts:
            self._counts[load.snapshot] = daily_counts(self._recent(load, RECENT_DAYS))
        return self._counts[load.snapshot]

    def ends(self, load: Load) -> dict[str, date]:
        """The last full day of each source that was running at a load."""
        return running({source: last_full_day(days) for source, days in self.counts(load).items()})

    @property
    def known_from(self) -> date | None:
        """The first day whose data is known as it stood then; None where everything was loaded at once."""
        return min(self.ends(self.loads[0]).values(), default=None) if len(self.loads) > 1 else None

    def until(self, load: Load) -> "Past":
        """The history as it was at a load."""
        then = copy(self)
        then.loads = [one for one in self.loads if one.day <= load.day]
        return then

    def cost(self, load: Load, days: int) -> pl.DataFrame:
        """The selected cost of so many days before a load and after, by the selection's columns and `date`."""
        if (load.snapshot, days) not in self._costs:
            self.counts(load)  # while this version is open: to open it takes longer than to read it
            self._costs[load.snapshot, days] = summed(self._recent(load, days), self.selection).collect()
        return self._costs[load.snapshot, days]

    def ledger(self, load: Load) -> Ledger:
        """All that a load held."""
        return read_ledger(self._lake.scan("spend_daily", snapshot=load.snapshot), self.selection)

    def _recent(self, load: Load, days: int) -> pl.LazyFrame:
        first = load.day - timedelta(days=days)
        daily = self._lake.scan("spend_daily", snapshot=load.snapshot)
        return daily.filter(pl.col(s.BILLING_PERIOD) >= f"{first:%Y-%m}", pl.col(s.CHARGE_DATE) > first)

    def first_day(self, load: Load) -> date:
        """The first day of all that a load held; date.max where it held nothing."""
        billed = self._lake.scan("spend_daily", snapshot=load.snapshot).filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
        found: date | None = billed.select(pl.col(s.CHARGE_DATE).min()).collect().item()
        return found or date.max


def _load_days(lake: Lake) -> list[Load]:
    """The last snapshot of each day on which spend_daily changed, oldest first."""
    days: dict[date, Load] = {}
    loaded: dict[str, date] = {}
    version = None
    rows = lake.snapshots().sort("snapshot_id").select("snapshot_id", "command", "made_at", "versions")
    for snapshot, command, made_at, versions in rows.iter_rows():
        day = made_at.date()
        if command.startswith(LOADED):
            loaded[command.removeprefix(LOADED)] = day
        changed = json.loads(versions).get("spend_daily")
        if changed is not None and changed != version:
            days[day] = Load(day, snapshot, dict(loaded))
            version = changed
    return [days[day] for day in sorted(days)][-KEPT_LOADS:]
