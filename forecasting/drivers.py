"""Cost as price x volume: where use explains cost, use and price are forecast apart and multiplied.

A price is steady where use is not: a few days tell a new price that cost alone would take for a whim of demand, and a
price that is announced has a date. Whether use explains cost is read from the history alone.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from forecasting.calendar import month_start
from forecasting.events import Event, effects_of, moved
from forecasting.level import MAD_TO_SIGMA, follow, rolling_median, spread_by_lead
from forecasting.series import DailySeries, Floats

if TYPE_CHECKING:
    from forecasting.method import Path

PRICE_X_VOLUME: Final = "price_x_volume"
LEAST_DAYS: Final = 56
"""Days with a price from which use can be seen to explain cost."""
RECENT_DAYS: Final = 180
PRICE_DAYS: Final = 5
LEAST_SINCE: Final = 3
"""Days with a price since its last known change that make the days before it needless."""
STEADY_RATIO: Final = 0.5
"""Scatter of the price over that of cost, from which cost is not explained."""
UNEXPLAINED_RATIO: Final = 0.05
"""Share of cost on days without use, from which cost is not explained."""
WORSE_RATIO: Final = 1.02
"""Errors of price x volume over those of cost alone, in the replay of the history, that are no difference."""
REPLAYED_LEADS: Final = (7, 14, 28)
OF_PRICE: Final = ("price_change", "commitment", "incident", "other")
WEEK: Final = 7


def with_volume(series: DailySeries, used: DailySeries) -> DailySeries:
    """The series with the values of another as its volume, day by day."""
    volume = np.full(len(series.values), np.nan)
    days = (used.days() - series.days()[0]).astype(np.int64)
    within = (days >= 0) & (days < len(volume))
    volume[days[within]] = used.values[within]
    return replace(series, volume=volume)


def price_x_volume(series: DailySeries, *, horizon: int, path_of: Callable[..., "Path"]) -> "Path | None":
    """The path of volume x price; None where volume does not explain cost, or cost alone does better.

    Volume is forecast by path_of, with its launches, incidents and planned runs. The price is the median of its last
    five days, of those since its last known change where there are three; announced changes multiply it. The band is
    the volume's, widened by how far the price strayed.
    """
    if series.volume is None:
        return None
    price = _price(series)
    effects = effects_of(price, horizon=horizon)
    base = effects.base_of(price).values
    known = base[~np.isnan(base)]
    if len(known) < LEAST_DAYS or _unexplained(series) > UNEXPLAINED_RATIO:
        return None
    ratio = effects.ratio / effects.ratio[effects.days - 1]
    level = _level(base, price) * effects.ratio[effects.days - 1]
    volume = replace(series, values=series.volume, volume=None, events=_of_volume(series, ratio * level))
    if not _explains(series, effects_of(volume, horizon=0).base_of(volume), base):
        return None
    path = path_of(volume, horizon=horizon)
    if path.fell_back:
        return None
    strayed = spread_by_lead(np.log(base), np.log(_trailing(base)), horizon)
    spread = np.hypot(path.spread, np.tanh(np.abs(path.center)) * strayed)
    at_price = replace(path, variant=PRICE_X_VOLUME, unit=path.unit * level, mean=path.mean * level, spread=spread)
    return moved(at_price, ratio[effects.days :], *np.zeros((2, horizon)), never_negative=True)


def _price(series: DailySeries) -> DailySeries:
    """Cost per unit of volume on the days that have both, with the events that change it."""
    assert series.volume is not None
    both = (series.values > 0) & (series.volume > 0)
    values = np.divide(series.values, series.volume, out=np.full(len(both), np.nan), where=both)
    events = (replace(e, amount=None) for e in series.events if e.kind in OF_PRICE and (e.kind != "other" or e.ratio))
    return replace(series, values=values, volume=None, events=tuple(events))


def _unexplained(series: DailySeries) -> float:
    """The share of recent cost on days of which it is known that nothing was used."""
    cost, volume = series.values[-RECENT_DAYS:], series.volume[-RECENT_DAYS:]  # type: ignore[index]
    total = np.nansum(np.abs(cost))
    return float(np.nansum(np.abs(cost[volume == 0])) / total) if total else 1.0


def _level(base: Floats, price: DailySeries) -> float:
    changes = [(e.start - price.start).days for e in price.events if e.kind != "incident" and e.known_by(price.end)]
    last = max([at for at in changes if at < len(base)], default=0)
    since = base[max(last, 0) :]
    since = since[~np.isnan(since)]
    known = since if len(since) >= LEAST_SINCE else base[~np.isnan(base)]
    return float(np.median(known[-PRICE_DAYS:]))


def _of_volume(series: DailySeries, price: Floats) -> tuple[Event, ...]:
    """The events that move use, their money turned into units at the price of their day."""
    found = []
    for event in series.events:
        at = min(max((event.start - series.start).days, 0), len(price) - 1)
        amount = None if event.amount is None else event.amount / price[at]
        if event.is_apart or event.kind not in OF_PRICE:
            found.append(replace(event, amount=amount))
        elif amount is not None:
            found.append(replace(event, amount=amount, ratio=None))
    return tuple(found)


def _explains(series: DailySeries, volume: DailySeries, price: Floats) -> bool:
    """Whether the price is steady beside cost, and past days would have been foreseen at least as well by it.

    Both sides are replayed without Prophet: a level that follows, the medians of weekdays and of the month's first day.
    """
    cost = effects_of(series, horizon=0).base_of(series).values
    days = series.days()[-RECENT_DAYS:]
    logs = [np.log(np.where(part > 0, part, np.nan))[-RECENT_DAYS:] for part in (cost, volume.values, price)]
    if any(np.count_nonzero(~np.isnan(part)) < LEAST_DAYS for part in logs):
        return False
    cost_log, volume_log, price_log = logs
    cost_usual, volume_usual = _usual(cost_log, days), _usual(volume_log, days)
    own = price_log - rolling_median(price_log)
    around = cost_log - cost_usual
    around -= rolling_median(around)
    if _scatter(own) > STEADY_RATIO * _scatter(around):
        return False
    alone = follow(cost_log - cost_usual, max(REPLAYED_LEADS))
    used = follow(volume_log - volume_usual, max(REPLAYED_LEADS)) + np.log(_trailing(np.exp(price_log)))
    errors = np.zeros(2)
    for lead in REPLAYED_LEADS:
        came = cost_log[lead:]
        both = np.abs([came - alone[:-lead] - cost_usual[lead:], came - used[:-lead] - volume_usual[lead:]])
        errors += both[:, ~np.isnan(came)].mean(axis=1)
    return bool(errors[1] <= WORSE_RATIO * errors[0])


def _usual(logs: Floats, days: np.ndarray) -> Floats:
    """The medians by weekday, and of the first day of the month, of what lies around the local level."""
    around = logs - rolling_median(logs)
    usual = np.zeros(len(logs))
    for group in (*(np.arange(len(logs)) % WEEK == day for day in range(WEEK)), month_start(days) > 0):
        here = (around - usual)[group]
        if not np.isnan(here).all():
            usual[group] += np.nanmedian(here)
    return usual


def _trailing(values: Floats) -> Floats:
    """The median of the last five known values by day; the first one before there are any."""
    known = values[~np.isnan(values)]
    padded = np.concatenate([np.full(PRICE_DAYS - 1, known[0]), known])
    medians = np.median(np.lib.stride_tricks.sliding_window_view(padded, PRICE_DAYS), axis=1)
    last: Floats = medians[np.maximum(np.cumsum(~np.isnan(values)) - 1, 0)]
    return last


def _scatter(deviations: Floats) -> float:
    return MAD_TO_SIGMA * float(np.nanmedian(np.abs(deviations)))
