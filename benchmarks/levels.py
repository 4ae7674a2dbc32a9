"""What a smoothed level alone is weak at: a step that is days old, and bursts between idle days.

Before: the level by exponential smoothing, and the method for steady series. After: what a forecast uses now.
"""

from datetime import date

import numpy as np

from forecasting.bursts import draws, is_intermittent
from forecasting.level import LIMIT_DEVIATIONS, clip_spikes, follow, outlier_limit, rolling_median
from forecasting.method import steady_path
from forecasting.series import DailySeries, Floats
from forecasting.trend import shifted

DAYS, HORIZON = 400, 30
HISTORIES = 100
AGES_DAYS = (3, 5, 8, 15)
BURST_SERIES = 30


def _levels(values: Floats) -> tuple[float, float]:
    """The newest level on the log scale, smoothed and as it is used."""
    local = rolling_median(values)
    limit = outlier_limit(values - local)
    level = float(follow(clip_spikes(values, local, limit), HORIZON)[-1])
    return level, shifted(values, level, limit / LIMIT_DEVIATIONS)


def _noise(seed: int, size: float, persistence: float) -> Floats:
    values = np.random.default_rng(seed).normal(0, size, DAYS)
    for day in range(1, DAYS):
        values[day] += persistence * values[day - 1]
    return values


def steps() -> None:
    """The median share of a doubling that the forecast follows, by its age, and levels moved without a step."""
    for size in (0.05, 0.1, 0.2):
        line = []
        for age in AGES_DAYS:
            moved = []
            for seed in range(HISTORIES):
                values = _noise(seed, size, 0.0)
                stepped = values + np.where(np.arange(DAYS) >= DAYS - age, np.log(2), 0.0)
                moved.append(np.subtract(_levels(stepped), _levels(values)) / np.log(2))
            before, after = np.median(moved, axis=0)
            line.append(f"{age} days {before:.0%} -> {after:.0%}")
        print(f"doubling in noise of {size:.0%}, followed: {', '.join(line)}")
    for persistence in (0.0, 0.5, 0.8):
        found = [np.ptp(_levels(_noise(seed, 0.1, persistence))) > 0 for seed in range(HISTORIES * 5)]
        print(f"no step, noise that persists by {persistence:.0%} a day: {np.mean(found):.1%} of levels moved")


def bursts(seed: int) -> Floats:
    """Training runs of some days at about the same cost, growing or not, with pauses of random length between."""
    random = np.random.default_rng(seed)
    values = np.zeros(DAYS + HORIZON)
    pause, length, growth = random.uniform(8, 35), random.uniform(2, 14), random.choice([0, 0.001, 0.002])
    day = int(random.integers(0, 20))
    while day < len(values):
        end = min(len(values), day + max(1, int(random.gamma(2, length / 2))))
        values[day:end] = random.lognormal(7 + growth * day, 0.4) * random.lognormal(0, 0.15, end - day)
        day = end + 1 + int(random.gamma(1.2, pause / 1.2))
    return values


def intermittent() -> None:
    """Errors of the mean by day and in the total of 30 days, over the cost of those days."""
    missed: dict[str, Floats] = {}
    cost, told = 0.0, 0
    for seed in range(BURST_SERIES):
        values = bursts(seed)
        series, came = DailySeries(f"bursts {seed}", date(2025, 1, 1), values[:DAYS]), values[DAYS:]
        told += is_intermittent(series)
        cost += came.sum()
        for name, mean in {
            "mean of 90 days": np.full(HORIZON, values[DAYS - 90 : DAYS].mean()),
            "before": steady_path(series, HORIZON).mean,
            "after": draws(series, HORIZON).mean(axis=0),
        }.items():
            error = np.array([np.abs(mean - came).sum(), abs((mean - came).sum())])
            missed[name] = missed.get(name, np.zeros(2)) + error
    print(f"bursts, {BURST_SERIES} series ({told} told from their history): error by day, of the 30 days' total")
    for name, error in missed.items():
        print(f"  {name}: {error[0] / cost:.2f}, {error[1] / cost:.2f}")


def run() -> None:
    """Print both."""
    steps()
    intermittent()
