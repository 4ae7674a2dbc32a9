"""Series of the lake as they stood at past days."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from finops import late_data as late
from finops import schema as s
from finops.pipeline.histories import Ledger, history
from finops.pipeline.late_days import completed
from finops.pipeline.loads import Load, Past
from forecasting.fits import Task
from forecasting.series import DATE, SERIES, VALUE, DailySeries


def as_it_stood(past: Past, tasks: Sequence[Task]) -> list[Task]:
    """The tasks with those vintages of their series that their past cutoffs need.

    For each cutoff that is the series in the first load which had billed that day in full, its last days completed by
    the lags that were known then. Days before all that a load held are taken from the next one that held them: a
    history that was imported later counts as it was then. A load that does not know a series yet is passed over. Where
    cost only moved from one series to another while the ledger stayed the same (a team renamed, a rule changed), the
    series is taken as it was after that.
    """
    chosen = _first_reaching(past, {day for task in tasks for day in _past_cutoffs(task)})
    if not chosen:
        return list(tasks)
    today = past.ledger(past.loads[-1])
    currencies = set(today.sums[s.BILLING_CURRENCY])
    main_currency = past.selection.main_currency or (currencies.pop() if len(currencies) == 1 else None)
    versions = [_version(past.until(load), main_currency) for load in chosen]
    return [
        replace(task, series=replace(task.series, vintages=_vintages(task.series, _Totals(today), versions)))
        for task in tasks
    ]


def _first_reaching(past: Past, days: Iterable[date]) -> list[Load]:
    """For each day and source the first load that had the day in full, oldest first, without the newest load.

    Also the loads after the oldest of these that brought days before all that were held: imported history.
    """
    earlier = past.loads[:-1]
    chosen = {
        bisect_left(earlier, day, key=lambda load: past.ends(load).get(source, date.min))
        for source in (past.ends(past.loads[-1]) if earlier else ())
        for day in days
    } - {len(earlier)}
    at = min(chosen, default=len(earlier))
    while at < len(earlier):
        chosen.add(at)
        first = past.first_day(earlier[at])
        at = bisect_left(earlier, True, lo=at, key=lambda load: past.first_day(load) < first)
    return [earlier[at] for at in sorted(chosen)]


def _past_cutoffs(task: Task) -> Iterable[date]:
    """The last day that is known at each cutoff of a task, without the newest one."""
    series = task.series
    newest = len(series.values) - series.estimated
    return (series.start + timedelta(days=c - 1) for c in {*task.cutoffs, *task.compared} if c < newest)


@dataclass(frozen=True)
class _Version:
    """The series of a load, each to the last day that was billed in full then, their currencies and all totals."""

    series: Mapping[str, DailySeries]
    currencies: Mapping[str, str]
    totals: "_Totals"


def _version(then: Past, main_currency: str | None) -> _Version:
    ledger = then.ledger(then.loads[-1])
    histories = [history(ledger, by, main_currency) for by in then.groupings]
    billed = [
        DailySeries(str(name), part[DATE][0], part[VALUE].cast(pl.Float64).fill_null(np.nan).to_numpy())
        for one in histories
        for (name,), part in one.rows.group_by([SERIES], maintain_order=True)
    ]
    lengths = {one.name: len(one.values) for one in billed}
    known = completed(then, billed, histories).series
    return _Version(
        {one.name: replace(one, values=one.values[: lengths[one.name]], estimated=0) for one in known},
        {name: currency for one in histories for name, currency in one.currencies.items()},
        _Totals(ledger),
    )


class _Totals:
    """What the whole ledger cost on each day and in each currency, selected or not, and the first day it held."""

    def __init__(self, ledger: Ledger) -> None:
        self.first: date = ledger.all_cost[DATE].min()  # type: ignore[assignment]
        self._costs = {(currency, day): cost for currency, day, cost in ledger.all_cost.iter_rows()}

    def is_equal(self, other: "_Totals", currency: str, days: Iterable[date]) -> bool:
        """Whether both cost the same on each of the days."""
        return all(self._costs.get((currency, day)) == other._costs.get((currency, day)) for day in days)


def _vintages(series: DailySeries, today: _Totals, versions: Sequence[_Version]) -> tuple[DailySeries, ...]:
    """The series in each version that differs from what the next one says of the same days, oldest first.

    Cost has moved between series where days differ that were settled and the ledger's totals of these days do not.
    """
    newer, totals = replace(series, values=series.values[: len(series.values) - series.estimated]), today
    kept: list[DailySeries] = []
    for version in reversed(versions):
        if (found := version.series.get(series.name)) is None:
            continue
        then = _with_earlier(found, newer, version.totals.first)
        moved = _moved_days(then, newer)
        settled = [day for day in moved if day <= then.end - timedelta(days=late.OLDEST_DAYS)]
        if settled and version.totals.is_equal(totals, version.currencies[series.name], settled):
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
