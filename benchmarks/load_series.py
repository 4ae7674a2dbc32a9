"""Made load series with labelled anomalies: fourteen kinds of what operations watch, ten kinds of what goes wrong.

Every series is drawn anew: its step, length, rhythm, noise, routine disturbances that are no anomaly, gaps, and what
goes wrong in it, from hardly visible to plain. An anomaly's window is centred on its beginning; all windows of a series
are a tenth of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]
Random = np.random.Generator

WINDOW_SHARE: Final = 0.1
CLEAN_SHARE: Final = 0.18
"""Before this part of the rows nothing goes wrong."""
SPOTLESS: Final = 0.08
"""Of series: those in which nothing goes wrong at all."""


@dataclass(frozen=True, eq=False)
class LoadSeries:
    """One series; windows (first and last row) and kinds have one entry an anomaly."""

    name: str
    times: NDArray[np.datetime64]
    values: Floats
    windows: list[tuple[int, int]]
    kinds: list[str]


def load_series(seed: int, each: int) -> Iterator[LoadSeries]:
    """So many series of each kind."""
    for place, (kind, (draw, minutes, (least, most), wrong)) in enumerate(KINDS.items()):
        for number in range(each):
            rng = np.random.default_rng([seed, place, number])
            step = int(rng.choice(minutes))
            rows = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
            yield _one(f"{kind}-{seed}-{number}", rng, draw, step, rows, wrong)


def _one(name: str, rng: Random, draw: "Draw", step: int, rows: int, wrong: tuple[str, ...]) -> LoadSeries:
    day = 1440 / step
    values = draw(rng, np.arange(rows) / day + rng.uniform(0, 7))
    count = 0 if rng.random() < SPOTLESS else int(rng.choice([1, 2, 3, 4, 5], p=[0.35, 0.35, 0.15, 0.1, 0.05]))
    width = int(WINDOW_SHARE * rows / max(count, 1))
    places = _places(rng, rows, count, width)
    # one that began before may reach into the next, as it is in life
    kinds = [str(rng.choice(wrong)) for _ in places]
    whole = values.copy()
    for at, kind in zip(places, kinds, strict=True):
        WRONGS[kind](rng, values, whole, at, day)
    if whole.min() >= 0:
        values = values.clip(0)
    times = np.datetime64("2026-01-05T00:00:00", "s") + np.arange(rows) * np.timedelta64(step * 60, "s")
    keep = _known(rng, rows, places)
    row_of = np.cumsum(keep) - 1
    last = int(row_of[-1])
    windows = [(max(0, int(row_of[at]) - width // 2), min(last, int(row_of[at]) + width // 2)) for at in places]
    return LoadSeries(name, times[keep], np.round(values[keep], 6), windows, kinds)


def _places(rng: Random, rows: int, count: int, width: int) -> list[int]:
    """Where anomalies begin: after a clean start, at least a window and a bit apart."""
    first, last = int(CLEAN_SHARE * rows) + width // 2, int(0.97 * rows) - width // 4
    apart = int(1.2 * width)
    free = last - first - apart * max(count - 1, 0)
    return [first + int(at) + apart * k for k, at in enumerate(np.sort(rng.uniform(0, free, count)))]


def _known(rng: Random, rows: int, places: list[int]) -> NDArray[np.bool_]:
    """Which rows were recorded: in a third of series some are missing, one by one or for hours."""
    keep = np.ones(rows, dtype=np.bool_)
    if rng.random() < 0.33:
        keep[rng.random(rows) < rng.uniform(0, 0.03)] = False
        for at in rng.integers(rows // 10, rows, int(rng.integers(0, 3))):
            keep[at : at + int(rng.integers(2, max(3, rows // 60)))] = False
    keep[places] = True
    return keep


# What is watched. at: days.

Draw = Callable[[Random, Floats], Floats]


def _rhythm(rng: Random, at: Floats, *, weekend: tuple[float, float] = (0.5, 1.05)) -> Floats:
    """The course of day and week, from 0 to about 1: up to three waves a day, another level at weekends."""
    hours = np.linspace(0, 1, 97)
    waves = sum(
        rng.uniform(0.3, 1) / k * np.sin(2 * np.pi * (k * hours + rng.random())) for k in range(1, rng.integers(2, 5))
    )
    course = (waves - np.min(waves)) / np.ptp(waves)
    week = np.ones(7)
    week[5:] = rng.uniform(*weekend)
    week *= rng.uniform(0.95, 1.05, 7)
    return np.asarray(np.interp(at % 1, hours, course) * week[at.astype(int) % 7])


def _day(at: Floats) -> float:
    """Rows of a day."""
    return float(1 / (at[1] - at[0]))


def _slow(rng: Random, at: Floats, days: float) -> Floats:
    """Noise of deviation 1 that forgets in so many days."""
    return _noise(rng, len(at), float(np.exp(-1 / (days * _day(at)))))


def _each_day(rng: Random, at: Floats, least: float, most: float) -> Floats:
    """A factor of each day's own."""
    return np.asarray(rng.uniform(least, most, int(at[-1]) + 2)[at.astype(int)])


def _noise(rng: Random, rows: int, memory: float) -> Floats:
    """Autoregressive noise of deviation 1."""
    return np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], rng.normal(0, 1, rows)))


def _rare(rng: Random, rows: int, share: float, tail: float) -> Floats:
    """Zero but for a share of rows, where it is heavy-tailed from 1 up."""
    return np.where(rng.random(rows) < share, (1 + rng.pareto(tail, rows)).clip(0, 30), 0)


def _cpu(rng: Random, at: Floats) -> Floats:
    """Per cent: a course of the day, noise with memory, a nightly job in half of them."""
    depth, base = rng.uniform(5, 45), rng.uniform(3, 30)
    load = base + depth * _rhythm(rng, at) + rng.uniform(0.5, 4) * _noise(rng, len(at), rng.uniform(0, 0.9))
    if rng.random() < 0.5:
        start, length = rng.random(), rng.uniform(0.01, 0.08)
        load += rng.uniform(5, 25) * ((at - start) % 1 < length) * _each_day(rng, at, 0.7, 1.2)
    return load.clip(0, 100)


def _idle(rng: Random, at: Floats) -> Floats:
    """A flat noise in coarse steps, with routine blips and a few plateaus."""
    unit = float(rng.choice([0.01, 0.066, 0.2]))
    base = rng.uniform(0.1, 5)
    load = base + unit * rng.uniform(0.5, 3) * rng.normal(0, 1, len(at))
    load += unit * rng.uniform(3, 10) * _rare(rng, len(at), rng.uniform(0, 0.01), 3)
    for start in rng.integers(0, len(at), rng.poisson(len(at) / 1500)):
        load[start : start + int(rng.uniform(0.05, 0.6) * _day(at))] += unit * rng.uniform(1, 5)
    return np.asarray(np.round(load / unit).clip(0) * unit)


def _network(rng: Random, at: Floats) -> Floats:
    """Bytes: heavy-tailed, with bursts that come and go."""
    load = np.exp(rng.uniform(0.2, 0.9) * _noise(rng, len(at), rng.uniform(0, 0.8)))
    load *= 1 + rng.uniform(0, 2) * _rhythm(rng, at)
    load += rng.uniform(2, 10) * _rare(rng, len(at), rng.uniform(0.002, 0.03), rng.uniform(1.5, 4))
    if rng.random() < 0.5:
        every = rng.uniform(0.1, 0.5) * _day(at)
        rows = np.cumsum(rng.normal(every, 0.05 * every, int(2 * len(at) / every))).astype(int)
        rows = rows[(rows >= 0) & (rows < len(at))]
        load[rows] += rng.uniform(5, 20) * rng.uniform(0.8, 1.2, len(rows))
    return load * float(10 ** rng.uniform(3, 7))


def _requests(rng: Random, at: Floats) -> Floats:
    """Whole counts with a course of the day and growth."""
    mean = 10 ** rng.uniform(0.7, 3) * (rng.uniform(0.1, 0.6) + _rhythm(rng, at))
    growth = rng.uniform(-0.5, 1) * (at - at[0]) / np.ptp(at)
    mean *= np.exp(growth + rng.uniform(0.02, 0.2) * _noise(rng, len(at), 0.7))
    return rng.poisson(mean).astype(np.float64)


def _temperature(rng: Random, at: Floats) -> Floats:
    """Slow wandering over days with little noise."""
    load = rng.uniform(40, 100) + rng.uniform(2, 8) * _slow(rng, at, rng.uniform(0.5, 4))
    return load + rng.uniform(0, 5) * _rhythm(rng, at) + rng.uniform(0.2, 1.5) * _noise(rng, len(at), 0.5)


def _price(rng: Random, at: Floats) -> Floats:
    """A price per click or thousand views: lognormal round a wandering level, dear hours now and then."""
    level = 0.25 * _slow(rng, at, rng.uniform(3, 10)) + rng.uniform(0, 0.5) * _rhythm(rng, at)
    price = np.exp(level + rng.uniform(0.05, 0.3) * _noise(rng, len(at), rng.uniform(0, 0.6)))
    price *= 1 + rng.uniform(0.5, 2) * _rare(rng, len(at), rng.uniform(0, 0.02), 2.5)
    return price * float(10 ** rng.uniform(-1, 1))


def _volume(rng: Random, at: Floats) -> Floats:
    """An exchange's volume by the hour: a strong course of the day, other weekends."""
    level = 0.2 * _slow(rng, at, 5) + rng.uniform(0.05, 0.25) * _noise(rng, len(at), 0.4)
    return 10 ** rng.uniform(3, 5) * (0.1 + _rhythm(rng, at, weekend=(0.3, 1.3))) * np.exp(level)


def _latency(rng: Random, at: Floats) -> Floats:
    """Milliseconds: skewed, dearer at busy hours, with slow requests."""
    busy = 1 + rng.uniform(0, 0.6) * _rhythm(rng, at)
    slow = 1 + rng.uniform(0.5, 3) * _rare(rng, len(at), rng.uniform(0.001, 0.02), rng.uniform(2, 4))
    return 10 ** rng.uniform(1, 3) * busy * slow * np.exp(rng.uniform(0.05, 0.3) * rng.normal(0, 1, len(at)) * busy)


def _fleet(rng: Random, at: Floats) -> Floats:
    """Machines that run: whole numbers that follow demand with delay, and deployments."""
    need = rng.uniform(8, 60) * (rng.uniform(0.2, 0.8) + _rhythm(rng, at) + 0.05 * _noise(rng, len(at), 0.9))
    hold = max(1, int(rng.uniform(0.01, 0.05) * _day(at)))
    fleet = np.repeat(np.ceil(need[::hold]), hold)[: len(at)]
    for start in rng.integers(0, len(at), rng.poisson(np.ptp(at) / 5)):
        fleet[start : start + int(rng.uniform(0.01, 0.04) * _day(at)) + 1] *= rng.uniform(1.1, 1.4)
    return np.asarray(np.ceil(fleet).clip(0))


def _demand(rng: Random, at: Floats) -> Floats:
    """Riders or orders: strong courses of day and week with little noise."""
    level = 0.05 * _slow(rng, at, 7) + rng.uniform(0.02, 0.08) * _noise(rng, len(at), 0.7)
    return 10 ** rng.uniform(2, 4.5) * (0.1 + _rhythm(rng, at, weekend=(0.7, 1.3))) * np.exp(level)


def _jobs(rng: Random, at: Floats) -> Floats:
    """Disk writes: nearly nothing, and scheduled jobs."""
    load = rng.uniform(0.01, 0.2) * np.exp(rng.uniform(0.2, 1) * rng.normal(0, 1, len(at)))
    for _ in range(rng.integers(1, 4)):
        every = float(rng.choice([1 / 24, 1 / 8, 0.25, 1, 1]))
        busy = (at + rng.random()) % every < rng.uniform(1.01, 4) / _day(at)
        load += busy * rng.uniform(0.5, 3) * np.exp(rng.uniform(0.05, 0.4) * rng.normal(0, 1, len(at)))
    return load * float(10 ** rng.uniform(0, 6))


def _memory(rng: Random, at: Floats) -> Floats:
    """Per cent: filled over hours or days and freed at once."""
    load = np.empty(len(at))
    row, low = 0, rng.uniform(10, 40)
    typical = rng.uniform(0.2, 3) * _day(at)
    while row < len(at):
        length = max(4, int(typical * rng.uniform(0.7, 1.3)))
        load[row : row + length] = np.linspace(low, low + rng.uniform(25, 35), length)[: len(at) - row]
        row += length
    return load + rng.uniform(0.1, 1) * _noise(rng, len(at), 0.3)


def _mentions(rng: Random, at: Floats) -> Floats:
    """Counts that come in clusters: many small, some large ones."""
    mean = rng.uniform(3, 60) * (0.3 + _rhythm(rng, at)) * (1 + rng.uniform(0.5, 2) * _rare(rng, len(at), 0.005, 2))
    crowd = rng.uniform(1.5, 8)
    return rng.negative_binomial(crowd, crowd / (crowd + mean)).astype(np.float64)


def _speed(rng: Random, at: Floats) -> Floats:
    """A throughput near its limit that falls at busy hours."""
    busy = _rhythm(rng, at, weekend=(0, 0.5)) ** rng.uniform(1, 4) * _each_day(rng, at, 0.6, 1.2)
    load = rng.uniform(60, 80) - rng.uniform(5, 30) * busy + rng.uniform(1, 4) * _noise(rng, len(at), 0.3)
    return load.clip(0)


# What goes wrong, in place. whole: the values as they would have been.

Wrong = Callable[[Random, Floats, Floats, int, float], None]


def _reach(values: Floats) -> float:
    """The usual height: what a row in ten exceeds less what nine in ten do, or the routine spikes above that."""
    low, middle, high, top = np.quantile(values, [0.1, 0.5, 0.9, 0.995])
    return float(max(high - low, 0.7 * (top - middle), 1e-6 * abs(middle)))


def _length(rng: Random, day: float, least: float, most: float) -> int:
    return max(2, int(day * np.exp(rng.uniform(np.log(least), np.log(most)))))


def _spike(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    end = at + int(rng.integers(1, max(2, int(day / 30))) if rng.random() < 0.6 else _length(rng, day, 0.02, 0.2))
    values[at:end] += rng.uniform(0.9, 5) * _reach(whole) * rng.uniform(0.7, 1.3, len(values[at:end]))


def _drop(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    end = at + _length(rng, day, 0.02, 1)
    floor = min(0.0, whole.min())
    values[at:end] = floor + (values[at:end] - floor) * rng.choice([0, rng.uniform(0, 0.4)])


def _level(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    end = at + (len(values) if rng.random() < 0.5 else _length(rng, day, 0.3, 4))
    if rng.random() < 0.5:
        values[at:end] += rng.uniform(0.5, 2) * _reach(whole)
    else:
        factor = rng.choice([rng.uniform(0.2, 0.5), rng.uniform(1.6, 3)])
        values[at:end] = whole.min() + (values[at:end] - whole.min()) * factor


def _fluctuation(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    end = at + _length(rng, day, 0.3, 2)
    part = values[at:end]
    part += rng.uniform(0.3, 1.2) * _reach(whole) * rng.normal(0, 1, len(part))


def _flat(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    end = at + _length(rng, day, 0.15, 1.5)
    values[at:end] = values[at] if rng.random() < 0.6 else np.median(whole)


def _shifted(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    """The rhythm comes hours too early or too late."""
    end, by = at + _length(rng, day, 0.7, 3), int(day * rng.uniform(0.25, 0.75))
    part = whole[max(0, at - by) : max(0, end - by)]
    values[at : at + len(part)] = part[: len(values[at : at + len(part)])]


def _holiday(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    """A day or two of little of the rhythm."""
    end = at + int(day * rng.choice([1, 1, 1, 2, 3]))
    low = np.quantile(whole, 0.05)
    values[at:end] = low + (values[at:end] - low) * rng.uniform(0.25, 0.65)


def _failure(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    """A slow drift up or down that ends in a breakdown; it begins at the breakdown, the drift is its announcement."""
    start = max(0, at - _length(rng, day, 0.3, 2))
    values[start:at] += rng.choice([-1, 1]) * rng.uniform(0.3, 1) * _reach(whole) * np.linspace(0, 1, at - start)
    end = at + _length(rng, day, 0.1, 1)
    values[at:end] -= rng.uniform(1, 2.5) * _reach(whole)


def _drift(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    """A ramp over days to a level far off, and back at once."""
    length = _length(rng, day, 1, 5)
    ramp = rng.uniform(1, 2.5) * _reach(whole) * np.linspace(0, 1, length)
    values[at : at + length] += ramp[: len(values[at : at + length])]


def _busier(rng: Random, values: Floats, whole: Floats, at: int, day: float) -> None:
    """What comes now and then comes all the time: runs of high rows."""
    end = at + _length(rng, day, 0.1, 1)
    part = values[at:end]
    part[:] = np.quantile(whole, rng.uniform(0.9, 0.99)) * rng.uniform(0.8, 1.3, len(part))


WRONGS: Final[dict[str, Wrong]] = {
    "spike": _spike, "drop": _drop, "level": _level, "fluctuation": _fluctuation, "flat": _flat, "shifted": _shifted,
    "holiday": _holiday, "failure": _failure, "drift": _drift, "busier": _busier,
}  # fmt: skip
RHYTHMIC: Final = ("spike", "drop", "level", "fluctuation", "flat", "shifted", "holiday", "drift")
BURSTY: Final = ("spike", "spike", "level", "busier", "flat", "fluctuation")
KINDS: Final[dict[str, tuple[Draw, tuple[int, ...], tuple[int, int], tuple[str, ...]]]] = {
    "cpu": (_cpu, (5, 5, 10), (1500, 5000), ("spike", "drop", "level", "fluctuation", "flat", "shifted", "busier")),
    "idle": (_idle, (5,), (1500, 5000), ("spike", "spike", "level", "fluctuation", "busier")),
    "network": (_network, (5,), (1500, 5000), BURSTY),
    "requests": (_requests, (5, 15, 30), (1500, 8000), RHYTHMIC),
    "temperature": (_temperature, (5, 10), (4000, 15000), ("failure", "failure", "drop", "spike", "fluctuation")),
    "price": (_price, (60,), (1000, 2500), ("spike", "spike", "level", "drop", "fluctuation", "busier")),
    "volume": (_volume, (60,), (1000, 4000), RHYTHMIC),
    "latency": (_latency, (1, 5, 15), (1500, 6000), ("spike", "level", "fluctuation", "drift", "busier")),
    "fleet": (_fleet, (5, 15, 60), (1000, 6000), ("level", "drop", "flat", "spike", "shifted", "drift")),
    "demand": (_demand, (30, 60), (3000, 10000), ("holiday", "holiday", "spike", "drop", "shifted", "level")),
    "jobs": (_jobs, (5, 15), (1500, 5000), ("spike", "busier", "level", "drop", "shifted")),
    "memory": (_memory, (5, 10), (2000, 6000), ("spike", "flat", "drop", "failure", "level", "fluctuation")),
    "mentions": (_mentions, (5, 5, 15), (3000, 15000), ("spike", "spike", "busier", "drop", "level", "holiday")),
    "speed": (_speed, (5, 10), (1500, 4000), ("drop", "drop", "holiday", "shifted", "fluctuation", "flat")),
}  # fmt: skip
"""What is watched: its steps in minutes, its fewest and most rows, and what goes wrong in it."""
