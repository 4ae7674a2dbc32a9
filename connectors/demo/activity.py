"""What the company's workloads consume, day by day: the plan as metered quantities, before any price or format.

One row is one resource's consumption of one SKU on one day. Every workload draws from its own random generator, so
that a workload more or less leaves the others as they are.
"""

from datetime import timedelta
from typing import Final, Protocol
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from connectors.demo.company import WORKLOADS, Calendar, Rhythm, Workload
from connectors.demo.incidents import ramp
from connectors.demo.skus import MACHINES, MONTHLY_UNITS, unit_of

DAY, WORKLOAD, RESOURCE, SKU, QUANTITY, USUAL = "day", "workload", "resource", "sku", "quantity", "usual_quantity"

RAMPED: Final = "support-assistant"
WEEK: Final = {
    "flat": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "consumer": (0.99, 0.97, 0.98, 1.0, 1.06, 1.09, 1.0),
    "office": (1.0, 1.04, 1.05, 1.03, 0.96, 0.34, 0.28),
    "runs": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}
"""Monday to Sunday, as a ratio of a usual day."""
FULL_RUN_DAYS, PAUSE_DAYS = (4, 11), (1, 4)
NOISE_MEMORY: Final = 0.6
"""How much of a day's deviation is left on the next day."""
LEAST_HOURS: Final = 0.25

Days = NDArray[np.float64]


class Demand(Protocol):
    """How something that runs every day goes up and down; see company.Workload."""

    @property
    def growth(self) -> float: ...
    @property
    def rhythm(self) -> Rhythm: ...
    @property
    def noise(self) -> float: ...
    @property
    def since(self) -> int | None: ...
    @property
    def until(self) -> int | None: ...


def daily_usage(calendar: Calendar, seed: int) -> pl.DataFrame:
    """Quantities by day, workload, resource and SKU; usual_quantity is what there were without the incidents."""
    days = (calendar.end - calendar.start).days + 1
    offsets = np.arange(days, dtype=np.int64) - (days - 1)
    frames = [_usage(w, calendar, offsets, np.random.default_rng([seed, crc32(w.name.encode())])) for w in WORKLOADS]
    return pl.concat(frames)


def _usage(work: Workload, calendar: Calendar, offsets: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    demanded = demand(work, calendar, offsets, rng)
    above_usual = ramp(offsets) if work.name == RAMPED else np.ones(len(offsets))
    cells = []
    for sku, amount in work.amounts.items():
        if work.fleet:
            quantity = _fleet_hours(demanded * amount, rng)
        else:
            if unit_of(sku) in MONTHLY_UNITS:
                amount_by_day = amount / _days_of_month(calendar, len(offsets))
            else:
                amount_by_day = np.full(len(offsets), amount)
            quantity = _metered(demanded * amount_by_day, work, rng) * above_usual[:, None]
        day, resource = np.nonzero(quantity)
        cells += [
            pl.DataFrame({
                DAY: day, RESOURCE: resource, QUANTITY: quantity[day, resource] * size,
                USUAL: quantity[day, resource] * size / above_usual[day],
            }).with_columns(pl.lit(meter).alias(SKU))
            for meter, size in MACHINES.get(sku, {sku: 1}).items()
        ]  # fmt: skip
    return pl.concat(cells).select(
        (pl.lit(calendar.start) + pl.duration(days=DAY)).cast(pl.Date).alias(DAY),
        pl.lit(work.name).alias(WORKLOAD),
        pl.col(RESOURCE).cast(pl.Int32),
        SKU,
        QUANTITY,
        USUAL,
    )


def demand(work: Demand, calendar: Calendar, offsets: NDArray[np.int64], rng: np.random.Generator) -> Days:
    """Demand of each day as a ratio of the last day's plan: growth x weekday x noise, 0 where it does not run."""
    weekday = (calendar.end.weekday() + offsets) % 7
    growth = work.growth ** (offsets / 365)
    noise = _noise(len(offsets), work.noise, rng)
    running = np.ones(len(offsets))
    if work.rhythm == "runs":
        running = _runs(len(offsets), rng)
    if work.since is not None:
        running = running * (offsets >= -work.since)
    if work.until is not None:
        running = running * (offsets <= -work.until)
    return np.asarray(growth * np.array(WEEK[work.rhythm])[weekday] * noise * running)


def _noise(days: int, scale: float, rng: np.random.Generator) -> Days:
    """exp of an autoregressive deviation with the standard deviation `scale`."""
    shocks = rng.normal(0, scale * np.sqrt(1 - NOISE_MEMORY**2), days)
    kernel = NOISE_MEMORY ** np.arange(20)
    return np.asarray(np.exp(np.convolve(shocks, kernel)[:days]))


def _runs(days: int, rng: np.random.Generator) -> Days:
    """1 on the days of a training run and 0 between runs."""
    lengths = np.stack([rng.integers(*FULL_RUN_DAYS, days), rng.integers(*PAUSE_DAYS, days)], axis=1).ravel()
    state = np.tile([1.0, 0.0], days)
    return np.repeat(state, lengths)[:days]


def _fleet_hours(instances: Days, rng: np.random.Generator) -> NDArray[np.float64]:
    """Hours a day of each machine of a fleet: the first machines run all day, the last one a part of it."""
    machines = np.arange(int(np.ceil(instances.max(initial=0))))
    hours = 24 * np.clip(instances[:, None] - machines[None, :], 0, 1)
    part = (hours > 0) & (hours < 24)
    hours = np.where(part, np.round(hours * rng.uniform(0.97, 1.0, hours.shape), 4), hours)
    return np.where(hours < LEAST_HOURS, 0, hours)


def _metered(amount: Days, work: Workload, rng: np.random.Generator) -> NDArray[np.float64]:
    """A day's amount spread over the workload's resources, in shares that wobble a little."""
    shares = rng.dirichlet(np.full(work.resources, 6.0))
    wobble = rng.normal(1, 0.01, (len(amount), work.resources))
    parts = shares * wobble
    return np.asarray(np.round(amount[:, None] * parts / parts.sum(axis=1, keepdims=True), 6))


def _days_of_month(calendar: Calendar, days: int) -> Days:
    dates = pl.Series([calendar.start + timedelta(days=i) for i in range(days)])
    return dates.dt.month_end().dt.day().to_numpy().astype(np.float64)
