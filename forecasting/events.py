"""What is known to move cost on a day: taken out of the history before a fit, put into the forecast after it.

With the ratio and the amount of the events that hold on a day, cost = base x ratio + amount. The fit sees the base; the
days of incidents and planned runs it does not see at all, so that neither level nor calendar follows them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from forecasting.level import rolling_median
from forecasting.series import DailySeries, Floats

if TYPE_CHECKING:
    from forecasting.method import Path

Kind = Literal["launch", "price_change", "commitment", "incident", "planned_run", "other"]
ESTIMATED: Final = ("launch", "price_change", "commitment")
"""Kinds whose ratio is read from the history where nobody has stated it."""
AROUND_DAYS: Final = 28
"""A ratio that is not stated compares at most so many days on each side of the event."""
EARLIER_DAYS: Final = 200
LEAST_MOVES: Final = 4
"""Moves at days without an event, of the so many days before it, that tell how much is usual."""
AT_ONCE_RATIO: Final = 0.5
USUAL_QUANTILE: Final = 0.8
USUAL_SIGMAS: Final = 1.2816
"""The quantile of the sizes of usual moves that is taken, and how many standard deviations of normal ones it is."""
LEAST_AFTER: Final = 3
"""Known days after an event from which its ratio can be told."""
SIGNIFICANT: Final = 2.0
"""A ratio is more than noise from so many standard deviations of usual moves on."""
WEEK: Final = 7


@dataclass(frozen=True)
class Event:
    """Something with a date that moves cost.

    ratio: cost (or price) after over before. amount: what a day costs more, of a launch or a planned run. end: the last
    day that it holds; a ratio or a launch without one holds on, an incident or a planned run is of one day. known_from:
    the day on which it was announced, by default its start: no fit of an earlier day uses it.
    """

    name: str
    kind: Kind
    start: date
    end: date | None = None
    ratio: float | None = None
    amount: float | None = None
    known_from: date | None = None

    @property
    def is_apart(self) -> bool:
        """Whether its days tell nothing of what is usual: an incident, a planned run, what ends and says no figure."""
        unsized = self.ratio is None and self.amount is None
        return self.kind in ("incident", "planned_run") or (self.kind == "other" and self.end is not None and unsized)

    def known_by(self, day: date) -> bool:
        """Whether it had been announced by the end of a day."""
        return (self.known_from or self.start) <= day


@dataclass(frozen=True, eq=False)
class Effects:
    """What events do to a series: arrays over its days and then the horizon.

    cost = base x ratio + amount; masked: days of the history that tell nothing of the base. amount_spread is the mean
    absolute error of the amount on each day ahead.
    """

    days: int
    ratio: Floats
    amount: Floats
    masked: NDArray[np.bool_]
    amount_spread: Floats

    def base_of(self, series: DailySeries) -> DailySeries:
        """The series as it would have been without its events."""
        return replace(series, values=_base(series.values, self.ratio, self.amount, self.masked), events=())

    def put_into(self, path: "Path", *, never_negative: bool) -> "Path":
        """The path with the events that hold ahead."""
        ratio, amount = self.ratio[self.days :], self.amount[self.days :]
        return moved(path, ratio, amount, self.amount_spread, never_negative=never_negative)


def moved(path: "Path", ratio: Floats, amount: Floats, amount_spread: Floats, *, never_negative: bool) -> "Path":
    """The path times a ratio plus an amount on each day: median, mean and bands alike.

    The spread follows through the slope of asinh: s' cosh(z') = s x ratio x cosh(z).
    """
    if (ratio == 1).all() and not amount.any():
        return path
    floor = 0.0 if never_negative else -np.inf

    def scaled(z: Floats | float) -> Floats:
        return np.arcsinh(np.maximum(np.sinh(z) * ratio + amount / path.unit, floor))

    center = scaled(path.center)
    slope = np.hypot(path.spread * ratio * np.cosh(path.center), amount_spread / path.unit)
    return replace(
        path,
        center=center,
        mean=np.maximum(path.mean * ratio + amount, floor),
        spread=slope / np.cosh(center),
        lowest=float(scaled(path.lowest).min()),
        highest=float(scaled(path.highest).max()),
        fixed=None if path.fixed is None else scaled(path.fixed),
    )


def effects_of(series: DailySeries, *, horizon: int) -> Effects:
    """What the events that were announced by the series' last day do to its history and to the days ahead."""
    known = sorted((e for e in series.events if e.known_by(series.end)), key=lambda e: (e.start, e.name))
    days = len(series.values)
    ratio, amount = np.ones(days + horizon), np.zeros(days + horizon)
    spans = {event: _span(event, series.start, days + horizon) for event in known}
    for event, span in spans.items():
        if event.is_apart:
            continue
        ratio[span] *= 1.0 if event.ratio is None else event.ratio
        amount[span] += event.amount or 0.0
    masked = _masked(series.values, (spans[e] for e in known if e.is_apart))
    steps = [e for e in known if e.kind in ESTIMATED and e.ratio is None and e.amount is None]
    for event, until in zip(steps, [*(spans[e].start for e in steps[1:]), days], strict=False):
        span = spans[event]
        base = _base(series.values, ratio, amount, masked)[: min(until, span.stop, days)]
        ratio[span] *= estimated_ratio(base, span.start)
    spread = np.zeros(horizon)
    runs = {event: spans[event] for event in known if event.kind == "planned_run"}
    if runs:
        base = _base(series.values, ratio, amount, masked)
        usual, scatter = _usual_extra(series.values, base, ratio, amount, runs.values())
        for event, span in runs.items():
            ahead = slice(max(span.start, days), span.stop)
            amount[ahead] += usual if event.amount is None else event.amount
            spread[max(span.start - days, 0) : max(span.stop - days, 0)] = scatter
    return Effects(days, ratio, amount, masked, spread)


def estimated_ratio(values: Floats, at: int) -> float:
    """Level after `at` over level before, from days with cost: each day beside the median of its weekday before.

    The logarithm is shrunk by max(0, 1 - (2 / t)^2), t its size over that of such moves in the weeks before: what is
    less than two of them is no change, and 1 is returned. So it is where fewer than three days after it are known.
    """
    if at >= len(values):
        return 1.0
    logs = np.log(np.where(values > 0, values, np.nan))
    days = min(AROUND_DAYS, len(values) - at)
    move = _move(logs, at, days, at_once=True)
    earlier = (_move(logs, before, days) for before in range(at - days, max(at - EARLIER_DAYS, WEEK) - 1, -WEEK))
    usual = np.abs([one for one in earlier if not np.isnan(one)])
    if np.isnan(move) or len(usual) < LEAST_MOVES:
        return 1.0
    error = float(np.quantile(usual, USUAL_QUANTILE)) / USUAL_SIGMAS
    if abs(move) <= SIGNIFICANT * error:
        return 1.0
    return float(np.exp(move * (1 - (SIGNIFICANT * error / move) ** 2)))


def _move(logs: Floats, at: int, days: int, *, at_once: bool = False) -> float:
    """The median over `days` from `at` of each day less the median of its weekday in the weeks before.

    NaN where too little is known. at_once: 0 where the first three days do not show half of it: it began another day.
    """
    first = max(0, at - AROUND_DAYS)
    before = np.full((AROUND_DAYS // WEEK + 1, WEEK), np.nan)
    before.flat[: at - first] = logs[first:at]
    known = ~np.isnan(before).all(axis=0)
    usual = np.full(WEEK, np.nan)
    usual[known] = np.nanmedian(before[:, known], axis=0)
    moves = logs[at : at + days] - usual[(np.arange(at, at + days) - first) % WEEK]
    moves = moves[~np.isnan(moves)]
    if len(moves) < LEAST_AFTER:
        return np.nan
    move, first_move = float(np.median(moves)), float(np.median(moves[:LEAST_AFTER]))
    return 0.0 if at_once and first_move * move < AT_ONCE_RATIO * move**2 else move


def _span(event: Event, first: date, length: int) -> slice:
    """The days of an event as positions among `length` days from `first`; empty where it lies outside."""
    start = (event.start - first).days
    last = event.start if event.is_apart and event.end is None else event.end
    stop = length if last is None else (last - first).days + 1
    return slice(min(max(start, 0), length), min(max(stop, 0), length))


def _masked(values: Floats, spans: Iterable[slice]) -> NDArray[np.bool_]:
    """The days in the spans, unless nothing would be known any more without them."""
    masked = np.zeros(len(values), dtype=bool)
    for span in spans:
        masked[span] = True
    return masked if (~np.isnan(values) & ~masked).any() else np.zeros_like(masked)


def _base(values: Floats, ratio: Floats, amount: Floats, masked: NDArray[np.bool_]) -> Floats:
    n = len(values)
    base: Floats = np.where(masked, np.nan, (values - amount[:n]) / ratio[:n])
    return base


def _usual_extra(
    values: Floats, base: Floats, ratio: Floats, amount: Floats, spans: Iterable[slice]
) -> tuple[float, float]:
    """What a day of past planned runs cost above the base around it: the median, and the scatter around that."""
    n = len(values)
    within = np.zeros(n, dtype=bool)
    for span in spans:
        within[span] = True
    within &= ~np.isnan(values)
    if not within.any() or np.isnan(base).all():
        return 0.0, 0.0
    excess = (values - rolling_median(base) * ratio[:n] - amount[:n])[within]
    usual = max(0.0, float(np.median(excess)))
    return usual, float(np.abs(excess - usual).mean())
