"""What the lake held when: the loads of its history, and series as they stood at past days.

Read as far back as snapshots are kept. Of each day on which spend_daily changed its last snapshot counts, and of a
snapshot only what is asked: the recent days of each, all days of the few that past fits need.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl
from deltalake.exceptions import DeltaError

from finops import schema as s
from finops.errors import LakeError
from finops.freshness import daily_counts, last_full_day, running
from finops.pipeline.histories import Ledger, Selection, history, read_ledger
from finops.store import Lake
from forecasting.fits import Task
from forecasting.series import DATE, SERIES, VALUE, DailySeries

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

    @cached_property
    def loads(self) -> list[Load]:
        """The loads whose data can still be read, oldest first."""
        found = _load_days(self._lake)
        oldest = bisect_left(found, True, key=self._is_readable)  # vacuum deletes the oldest first
        return found[oldest:]

    def _is_readable(self, load: Load) -> bool:
        try:
            self.counts(load)
        except GONE:
            return False
        return True

    def counts(self, load: Load) -> Mapping[str, Mapping[date, int]]:
        """How many charges of each source began on each of its recent days, as a load showed them."""
        if load.snapshot not in self._counts:
            first = load.day - timedelta(days=RECENT_DAYS)
            self._counts[load.snapshot] = daily_counts(self.since(load.snapshot, first))
        return self._counts[load.snapshot]

    def ends(self, load: Load) -> dict[str, date]:
        """The last full day of each source that was running at a load."""
        return running({source: last_full_day(days) for source, days in self.counts(load).items()})

    @property
    def known_from(self) -> date | None:
        """The first day whose data is known as it stood then; None where everything was loaded at once."""
        return min(self.ends(self.loads[0]).values(), default=None) if len(self.loads) > 1 else None

    def since(self, snapshot: int, first: date) -> pl.LazyFrame:
        """The rows of spend_daily that a snapshot held from a day on."""
        daily = self._lake.scan("spend_daily", snapshot=snapshot)
        return daily.filter(pl.col(s.BILLING_PERIOD) >= f"{first:%Y-%m}", pl.col(s.CHARGE_DATE) >= first)

    def as_it_stood(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks with those vintages of their series that their past cutoffs need.

        For each cutoff that is the series in the first load which had billed that day in full. Days before all that a
        load held are taken from the next one that held them: a history that was imported later counts as it was then.
        A load that does not know a series yet is passed over. Where cost only moved from one series to another while
        the ledger stayed the same (a team renamed, a rule changed), the series is taken as it was after that.
        """
        chosen = self._first_reaching({day for task in tasks for day in _past_cutoffs(task)})
        if not chosen:
            return list(tasks)
        versions = [self._version(load) for load in chosen]
        today = _Totals(read_ledger(self._lake.scan("spend_daily"), self.selection))
        return [
            replace(task, series=replace(task.series, vintages=_vintages(task.series, today, versions)))
            for task in tasks
        ]

    def _first_reaching(self, days: Iterable[date]) -> list[Load]:
        """For each day and source the first load that had the day in full, oldest first, without the newest load.

        Also the loads after the oldest of these that brought days before all that were held: imported history.
        """
        past = self.loads[:-1]
        chosen = {
            bisect_left(past, day, key=lambda load: self.ends(load).get(source, date.min))
            for source in (self.ends(self.loads[-1]) if past else ())
            for day in days
        } - {len(past)}
        at = min(chosen, default=len(past))
        while at < len(past):
            chosen.add(at)
            first = self._first_day(past[at])
            at = bisect_left(past, True, lo=at, key=lambda load: self._first_day(load) < first)
        return [past[at] for at in sorted(chosen)]

    def _first_day(self, load: Load) -> date:
        billed = self._lake.scan("spend_daily", snapshot=load.snapshot).filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
        found: date = billed.select(pl.col(s.CHARGE_DATE).min()).collect().item()
        return found

    def _version(self, load: Load) -> "_Version":
        ledger = read_ledger(self._lake.scan("spend_daily", snapshot=load.snapshot), self.selection)
        series: dict[str, DailySeries] = {}
        currencies: dict[str, str] = {}
        for by in self.groupings:
            found = history(ledger, by, self.selection.main_currency)
            currencies |= found.currencies
            for (name,), part in found.rows.group_by([SERIES], maintain_order=True):
                values = part[VALUE].cast(pl.Float64).fill_null(np.nan).to_numpy()
                series[str(name)] = DailySeries(str(name), part[DATE][0], values)
        return _Version(series, currencies, _Totals(ledger))


class _Totals:
    """What the whole ledger cost on each day and in each currency, selected or not, and the first day it held."""

    def __init__(self, ledger: Ledger) -> None:
        self.first: date = ledger.all_cost[DATE].min()  # type: ignore[assignment]
        self._costs = {(currency, day): cost for currency, day, cost in ledger.all_cost.iter_rows()}

    def is_equal(self, other: "_Totals", currency: str, days: Iterable[date]) -> bool:
        """Whether both cost the same on each of the days."""
        return all(self._costs.get((currency, day)) == other._costs.get((currency, day)) for day in days)


@dataclass(frozen=True)
class _Version:
    series: Mapping[str, DailySeries]
    currencies: Mapping[str, str]
    totals: _Totals


def _vintages(series: DailySeries, today: _Totals, versions: Sequence[_Version]) -> tuple[DailySeries, ...]:
    """The series in each version that differs from what the next one says of the same days, oldest first."""
    newer, totals = replace(series, values=series.values[: len(series.values) - series.estimated]), today
    kept: list[DailySeries] = []
    for version in reversed(versions):
        if (found := version.series.get(series.name)) is None:
            continue
        then = _with_earlier(found, newer, version.totals.first)
        moved = _moved_days(then, newer)
        if moved and version.totals.is_equal(totals, version.currencies[series.name], moved):
            break
        if moved or then.start != newer.start or then.end > newer.end:
            kept.append(then)
            newer = then
        totals = version.totals
    return tuple(reversed(kept))


def _with_earlier(then: DailySeries, newer: DailySeries, first: date) -> DailySeries:
    """A series with what a newer version says of the days before the first that the whole ledger held."""
    missing = (first - newer.start).days
    if missing <= 0:
        return then
    idle = np.zeros((then.start - first).days)
    return replace(then, start=newer.start, values=np.concatenate([newer.values[:missing], idle, then.values]))


def _moved_days(one: DailySeries, other: DailySeries) -> list[date]:
    """The days up to the end of the shorter on which two versions of a series differ; before its start it is zero."""
    first, last = min(one.start, other.start), min(one.end, other.end)
    length = (last - first).days + 1
    a, b = (np.concatenate([np.zeros((x.start - first).days), x.values])[:length] for x in (one, other))
    differ = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    return [first + timedelta(days=int(at)) for at in np.flatnonzero(differ)]


def _past_cutoffs(task: Task) -> Iterable[date]:
    """The last day that is known at each cutoff of a task, without the newest one."""
    series = task.series
    newest = len(series.values) - series.estimated
    return (series.start + timedelta(days=c - 1) for c in {*task.cutoffs, *task.compared} if c < newest)


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
