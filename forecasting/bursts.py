"""Intermittent cost: bursts, such as training runs, between idle days, at times that no calendar foretells.

A level cannot carry it: after a burst it is too high, after a pause too low. Here the days ahead are drawn from the
history's own runs instead, many times over; their mean and quantiles are the forecast.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.series import DailySeries, Floats, seeded

MODEL: Final = "burst_bootstrap"
ON_RATIO: Final = 0.1
"""A day above this share of a busy day (the 90 % quantile) belongs to a burst."""
LEAST_IDLE_RATIO: Final = 0.3
LEAST_BURSTS: Final = 4
APART_RATIO: Final = 5.0
"""A burst's day costs at least so many times what an idle day does."""
LEAST_CHANCE_RATIO: Final = 0.5
"""Where weekdays, or days of the month, tell bursts from idle days better than this, they are no matter of chance."""
OUTLASTING_RATIO: Final = 2.0
"""A burst, or a pause, that lasts so many times longer than any before it is no longer one."""
DRAWS: Final = 400
AMOUNT_DAYS: Final = 60
"""What bursts cost moves: one that ended so many days ago counts for 1/e of one that ends now."""


@dataclass(frozen=True, eq=False)
class _Run:
    start: int
    end: int
    on: bool

    @property
    def days(self) -> int:
        return self.end - self.start


def is_intermittent(series: DailySeries) -> bool:
    """Whether at least 30 % of the days are idle, and bursts come at least four times, at times left to chance.

    Chance: the mean over weekdays (and over days of the month) of min(p, 1 - p), p their share of burst days, is at
    least half of that of all days; a job of every Sunday or a fee of every first is none of it.
    """
    values = series.observed
    busy = np.quantile(values, 0.9) if len(values) else 0.0
    if busy <= 0 or values.min() < 0:
        return False
    on = values > ON_RATIO * busy
    runs = _runs(on)
    if not LEAST_IDLE_RATIO <= 1 - on.mean() < 1 or sum(run.on for run in runs) < LEAST_BURSTS:
        return False
    if runs[-1].days > OUTLASTING_RATIO * max(run.days for run in runs[:-1] if run.on == runs[-1].on):
        return False
    if np.median(values[on]) < APART_RATIO * np.quantile(values[~on], 0.75):
        return False
    days = series.days()[~np.isnan(series.values)]
    weekday = days.astype(np.int64) % 7
    of_month = (days - days.astype("datetime64[M]")).astype(np.int64)
    return all(_chance(on, group) >= LEAST_CHANCE_RATIO for group in (weekday, of_month))


def _chance(on: NDArray[np.bool_], group: NDArray[np.int64]) -> float:
    counts = np.bincount(group)
    shares = np.bincount(group, on)[counts > 0] / counts[counts > 0]
    weights = counts[counts > 0] / len(on)
    return float((weights * np.minimum(shares, 1 - shares)).sum() / min(on.mean(), 1 - on.mean()))


def draws(series: DailySeries, horizon: int) -> Floats:
    """Courses that the days ahead may take, as (400, horizon), of a series that `is_intermittent`.

    The current run lasts on for a geometric time with the mean of its kind, because its length so far tells little;
    after it bursts and pauses alternate, their lengths drawn from the history's whole runs and each burst's amounts
    from the days of one burst, the recent ones more often. Few runs say little of their like, so each course draws with
    weights of its own (Bayesian bootstrap, Rubin 1981). Seeded by the series' name and length.
    """
    values = series.observed
    on = values > ON_RATIO * np.quantile(values, 0.9)
    runs = _runs(on)
    random = seeded(f"{series.name}\n{len(series.values)}")
    bursts = [run for run in runs if run.on]
    recent = np.exp(-np.array([len(values) - run.end for run in bursts]) / AMOUNT_DAYS)
    amounts = random.dirichlet(np.ones(len(bursts)), DRAWS) * recent
    lengths = {state: np.array([run.days for run in runs[1:-1] if run.on == state]) for state in (True, False)}
    shares = {state: random.dirichlet(np.ones(len(known)), DRAWS) for state, known in lengths.items()}
    starts, sizes = np.array([run.start for run in bursts]), np.array([run.days for run in bursts])
    idle = values[~on][-AMOUNT_DAYS:]
    made = np.empty((DRAWS, horizon))
    at, state, burst = np.zeros(DRAWS, np.int64), runs[-1].on, np.full(DRAWS, len(bursts) - 1)
    last = random.geometric(1 / (shares[state] @ lengths[state]))
    days = np.arange(horizon)
    while True:
        here = (days >= at[:, None]) & (days < (at + last)[:, None])
        if state:
            picked = (starts[burst, None] + random.random((DRAWS, horizon)) * sizes[burst, None]).astype(np.int64)
            made[here] = values[picked][here]
        else:
            made[here] = random.choice(idle, (DRAWS, horizon))[here]
        at += last
        if (at >= horizon).all():
            return made
        state = not state
        last = lengths[state][_chosen(shares[state], random)]
        burst = _chosen(amounts, random)


def _chosen(weights: Floats, random: np.random.Generator) -> NDArray[np.int64]:
    """One column of each row, by the row's weights."""
    steps = np.cumsum(weights, axis=1)
    chosen: NDArray[np.int64] = (steps < random.random(len(weights))[:, None] * steps[:, -1:]).sum(axis=1)
    return chosen


def _runs(on: NDArray[np.bool_]) -> list[_Run]:
    """Stretches of burst days and idle days, in turn."""
    edges = [0, *(np.flatnonzero(np.diff(on.astype(np.int8))) + 1), len(on)]
    return [_Run(int(a), int(b), bool(on[a])) for a, b in pairwise(edges)]
