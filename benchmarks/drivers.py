"""What knowing helps: seeded daily costs forecast 30 days ahead, without and with what is known of them.

Prices: cost = price x volume; the volume has a weekly rhythm, growth and steps, the price changes once, 3 to 20 days
before the cutoff or 5 to 20 days after it. Incidents: days at a multiple of the usual cost shortly before the cutoff.
Planned runs: windows of training at a similar extra cost each, some of them ahead. Holidays: the public ones of one
country, which a series follows or does not. WAPE is that of the mean over the horizon, averaged over the series.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np

from finops.execution import executor, fan_out
from forecasting.calendar import holiday_effect
from forecasting.drivers import PRICE_X_VOLUME
from forecasting.events import Event
from forecasting.method import forecast_path
from forecasting.metrics import wape
from forecasting.series import DailySeries, Floats

FIRST: Final = date(2025, 1, 6)
DAYS: Final = 400
HORIZON: Final = 30
SERIES: Final = 60
COUNTRY: Final = "DE"
Known = dict[str, DailySeries]
"""The same history with more and more known of it, by what is known."""


@dataclass(frozen=True)
class Score:
    """WAPE by what was known; used: the share of series on which price x volume was used."""

    wape: dict[str, float]
    used: float


def volume(random: np.random.Generator, days: int = DAYS + HORIZON, noise: float = 0.10) -> Floats:
    """Daily use with a weekly rhythm, growth, a wandering level, steps and noise."""
    t = np.arange(days)
    week = np.where((t % 7) >= 5, 1 - random.uniform(0.05, 0.5), 1.0)
    steps = np.zeros(days)
    for at in random.choice(np.arange(40, DAYS - 20), size=random.poisson(2), replace=False):
        steps[at:] += random.normal(0, 0.35)
    growth = random.choice([0, 0.0008, 0.0025, -0.0008]) * t
    wander = random.normal(0, 0.006, days).cumsum()
    used: Floats = np.exp(random.normal(8, 1) + growth + steps + wander + random.normal(0, noise, days)) * week
    return used


def price_change(seed: int, *, ahead: bool) -> tuple[Known, Floats]:
    """A series whose price changed days ago, or is announced to change, with the event and the volume known or not."""
    random = np.random.default_rng(seed)
    used = volume(random)
    at = DAYS + int(random.integers(5, 21)) if ahead else DAYS - int(random.integers(3, 21))
    ratio = float(random.choice([0.5, 0.6, 0.75, 1.3, 1.6, 2.0]))
    price = np.exp(random.normal(-3, 1)) * np.where(np.arange(len(used)) >= at, ratio, 1.0)
    cost = used * price * np.exp(random.normal(0, 0.02, len(used)))
    event = Event("price", "price_change", _day(at), ratio=ratio, known_from=min(_day(at), _day(DAYS - 1)))
    alone = DailySeries(f"price {seed}", FIRST, cost[:DAYS])
    with_event = replace(alone, events=(event,))
    with_volume = replace(alone, volume=used[:DAYS])
    known = {"cost alone": alone, "cost, event": with_event, "price x volume": with_volume}
    known["price x volume, event"] = replace(with_volume, events=(event,))
    if not ahead:
        date_only = (replace(event, ratio=None),)
        known["cost, its date"] = replace(alone, events=date_only)
        known["price x volume, its date"] = replace(with_volume, events=date_only)
    return known, cost[DAYS:]


def incident(seed: int) -> tuple[Known, Floats]:
    """A series with days at a multiple of its usual cost that end up to ten days before the cutoff."""
    random = np.random.default_rng(seed)
    cost = volume(random)
    first = DAYS - int(random.integers(8, 20))
    last = min(first + int(random.integers(3, 10)), DAYS - 1)
    cost[first : last + 1] *= random.uniform(1.8, 4)
    alone = DailySeries(f"incident {seed}", FIRST, cost[:DAYS])
    event = Event("incident", "incident", _day(first), end=_day(last))
    return {"as it is": alone, "masked": replace(alone, events=(event,))}, cost[DAYS:]


def planned_runs(seed: int) -> tuple[Known, Floats]:
    """A series with training runs of 3 to 12 days about every 45, one or two of them ahead."""
    random = np.random.default_rng(seed)
    cost = volume(random)
    extra = cost.mean() * random.uniform(1, 4)
    events, at = [], int(random.integers(10, 40))
    while at < DAYS + HORIZON:
        length = int(random.integers(3, 13))
        cost[at : at + length] += extra * random.uniform(0.85, 1.15, len(cost[at : at + length]))
        announced = min(_day(at), _day(DAYS - 1))
        events.append(Event(f"run {at}", "planned_run", _day(at), end=_day(at + length - 1), known_from=announced))
        at += length + int(random.integers(15, 40))
    alone = DailySeries(f"runs {seed}", FIRST, cost[:DAYS])
    return {"as it is": alone, "planned": replace(alone, events=tuple(events))}, cost[DAYS:]


def holidays(seed: int, *, follows: bool) -> tuple[Known, Floats]:
    """A series that rests on public holidays as on weekends, or does not; the horizon spans Christmas and New Year."""
    random = np.random.default_rng(seed)
    cost = volume(random, noise=0.06)
    first = date(2025, 12, 10) - timedelta(days=DAYS)
    series = DailySeries(f"holidays {seed}", first, cost[:DAYS])
    if follows:
        effect = holiday_effect(series.days(HORIZON), np.ones(DAYS, dtype=bool), (COUNTRY,))["holiday"]
        cost = cost * (1 - effect * random.uniform(0.3, 0.6))
    series = replace(series, values=cost[:DAYS])
    return {"without": series, "with": replace(series, countries=(COUNTRY,))}, cost[DAYS:]


SETTINGS: Final[dict[str, Callable[[int], tuple[Known, Floats]]]] = {
    "price changed 3 to 20 days ago": lambda seed: price_change(seed, ahead=False),
    "price changes 5 to 20 days ahead": lambda seed: price_change(seed, ahead=True),
    "incident of late": incident,
    "planned runs": planned_runs,
    "holidays that are kept": lambda seed: holidays(seed, follows=True),
    "holidays that are not kept": lambda seed: holidays(seed, follows=False),
}


def forecast_all(setting: str, seeds: Iterable[int]) -> list[tuple[str, Floats, Floats, str]]:
    """What was known, what came, the mean, and the model's name, for each series of a setting."""
    found = []
    for seed in seeds:
        known, came = SETTINGS[setting](seed)
        for name, series in known.items():
            path = forecast_path(series, horizon=HORIZON)
            found.append((name, came, path.mean, path.name))
    return found


def score(rows: list[tuple[str, Floats, Floats, str]]) -> Score:
    """The mean of the series' WAPE, by what was known."""
    errors: dict[str, list[float]] = {}
    for name, came, mean, _ in rows:
        errors.setdefault(name, []).append(wape(came, mean))
    with_volume = [model for name, _, _, model in rows if name.startswith("price x volume")]
    used = sum(model == PRICE_X_VOLUME for model in with_volume) / max(1, len(with_volume))
    return Score({name: float(np.mean(found)) for name, found in errors.items()}, used)


def run() -> None:
    """Print WAPE at 30 days of each setting, by what is known."""
    for setting in SETTINGS:
        with executor() as pool:
            chunks = fan_out(_forecast_chunk, [(setting, seed) for seed in range(SERIES)], pool=pool)
        found = score([row for chunk in chunks for row in chunk])
        figures = "  ".join(f"{name} {100 * value:5.1f} %" for name, value in found.wape.items())
        print(f"{setting}: {figures}" + (f"  (used on {found.used:.0%})" if found.used else ""))


def _forecast_chunk(job: tuple[str, int]) -> list[tuple[str, Floats, Floats, str]]:
    return forecast_all(job[0], [job[1]])


def _day(at: int) -> date:
    return FIRST + timedelta(days=at)
