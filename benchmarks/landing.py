"""Landing probabilities against what came: is a budget that is passed with 30 % passed in 30 of 100 cases?

Cost series of seven kinds are drawn, in portfolios of four of each. Every 14 days each is forecast from what was known
then; the fits before calibrate bands and paths. From each origin the months that are still open land, and are held
against a budget near what a spreadsheet would expect. The truth is the rest of the same series.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from finops.execution import usable_cores
from forecasting.fits import Fitted, Task, fit_all
from forecasting.intervals import quantiles, reach_of
from forecasting.method import DEFAULT
from forecasting.odds import continuations
from forecasting.paths import PATHS, courses, day_values, dependence_of
from forecasting.series import DailySeries, Floats

STEP_DAYS = 14
GAPS = (14, 28, 42, 56, 84)
HORIZON = 62
FIRST_ORIGIN = 140
DAYS = 500
EACH_KIND = 4
PORTFOLIOS = 7
BUDGETS = (0.02, 0.05, 0.15, 0.3)
"""A budget is exp(normal) of one of these sizes times what the month lands at by the mean of the last 28 days."""
BUDGETS_EACH = 10
"""Each scope-month is held against so many, so that its odds are tried where they are neither sure nor void."""
LEAST_MEMBERS = 100
"""A bin with fewer scope-months is printed, and not judged."""


# ------------------------------------------------------------------------------------------------------------- series
def _week(random: np.random.Generator, days: np.ndarray, depth: float) -> Floats:
    shape = random.normal(0, 0.3, 7) * depth
    shape[5:] -= depth
    return np.exp(shape[(days.astype("datetime64[D]").astype(int) + 3) % 7])


def _noise(random: np.random.Generator, count: int, size: float) -> Floats:
    return np.exp(random.normal(0, size, count))


def _walk(random: np.random.Generator, count: int, size: float) -> Floats:
    return np.exp(np.cumsum(random.normal(0, size, count)))


def _month_starts(days: np.ndarray) -> np.ndarray:
    return days == days.astype("datetime64[M]").astype("datetime64[D]")


def steady(random: np.random.Generator, days: np.ndarray) -> Floats:
    """A wandering level and noise."""
    return _walk(random, len(days), random.uniform(0.004, 0.015)) * _noise(
        random, len(days), random.uniform(0.04, 0.15)
    )


def growing(random: np.random.Generator, days: np.ndarray) -> Floats:
    """Growth or decline that changes its pace now and then."""
    pace = np.repeat(random.choice([-0.002, 0.0, 0.001, 0.003], len(days) // 120 + 1), 120)[: len(days)]
    return np.exp(np.cumsum(pace)) * steady(random, days)


def weekly(random: np.random.Generator, days: np.ndarray) -> Floats:
    """Much less on weekends."""
    return steady(random, days) * _week(random, days, random.uniform(0.3, 1.0))


def fees(random: np.random.Generator, days: np.ndarray) -> Floats:
    """A fee of 2 to 8 days' cost on the first of each month."""
    usual = steady(random, days) * _week(random, days, 0.2)
    return usual + _month_starts(days) * random.uniform(2, 8) * _noise(random, len(days), 0.05)


def bursts(random: np.random.Generator, days: np.ndarray) -> Floats:
    """Training runs of 3 to 12 days, 10 to 40 days apart, on a small base."""
    running = np.zeros(len(days))
    at = int(random.integers(0, 30))
    while at < len(days):
        length = int(random.integers(3, 13))
        running[at : at + length] = random.uniform(0.8, 2.5)
        at += length + int(random.integers(10, 41))
    return (0.3 + running) * _noise(random, len(days), 0.15)


def steps(random: np.random.Generator, days: np.ndarray) -> Floats:
    """A new level about every 120 days: a launch, a commitment, a fleet that is let go."""
    levels = np.exp(np.cumsum((random.random(len(days)) < 1 / 120) * random.normal(0, 0.35, len(days))))
    return levels * _week(random, days, 0.25) * _noise(random, len(days), 0.07)


def spikes(random: np.random.Generator, days: np.ndarray) -> Floats:
    """Single days of 2 to 6 times the usual, about every 60 days."""
    high = np.where(random.random(len(days)) < 1 / 60, random.uniform(2, 6, len(days)), 1.0)
    return high * steady(random, days) * _week(random, days, 0.3)


KINDS: dict[str, Callable[[np.random.Generator, np.ndarray], Floats]] = {
    kind.__name__: kind for kind in (steady, growing, weekly, fees, bursts, steps, spikes)
}


def portfolio(seed: int, *, each: int = EACH_KIND, days: int = DAYS) -> list[DailySeries]:
    """Series of each kind, as `kind/number`."""
    first = date(2024, 1, 1) + timedelta(days=seed % 28)
    index = np.arange(np.datetime64(first), np.datetime64(first) + days)
    made = []
    for number, name in enumerate(list(KINDS) * each):
        random = np.random.default_rng([seed, number])
        made.append(DailySeries(f"{seed}/{name}/{number}", first, random.lognormal(5, 1) * KINDS[name](random, index)))
    return made


# ------------------------------------------------------------------------------------------------------- scope-months
@dataclass(frozen=True)
class Landing:
    """A month of a scope from one origin and a budget: how likely it is passed, whether it was, and where it came.

    basis: whether the courses are of the forecast, or blocks of the scope's own past.
    """

    basis: str
    scope_month: str
    kind: str
    lead_days: int
    probability: float
    over: bool
    position: float
    """The share of paths that the truth lay above."""
    width: float
    """p90 - p10 over the truth."""


def origins(days: int) -> range:
    """Lengths known at each origin that is judged; the four before them only calibrate."""
    return range(FIRST_ORIGIN + 5 * STEP_DAYS, days - 30, STEP_DAYS)


def fit(series: list[DailySeries], *, workers: int | None) -> list[Fitted]:
    """Every fit of a portfolio: one an origin and series, each of them used by the later origins too."""
    days = len(series[0].values)
    cutoffs = tuple(range(FIRST_ORIGIN, origins(days)[-1] + 1, STEP_DAYS))
    fitted, refused = fit_all([Task(one, HORIZON, cutoffs) for one in series], workers=workers)
    assert not refused
    return fitted


def landings(fitted: list[Fitted], *, seed: int) -> Iterator[Landing]:
    """The months that were open at each origin, and the ones after them, against a budget."""
    random = np.random.default_rng(seed)
    for origin in origins(len(fitted[0].series.values)):
        newest = {one.series.name: origin for one in fitted}
        reach = reach_of(fitted, DEFAULT, gaps=GAPS, newest=newest)
        dependence = dependence_of(fitted, DEFAULT, gaps=GAPS, newest=newest)
        for one in fitted:
            path = one.paths[origin][DEFAULT]
            known = one.series.known_at(origin)
            paths = courses(day_values(quantiles(path, reach), path.mean), known, path, dependence)
            yield from _months("forecast_paths", one.series, origin, paths, random)
            rate = float(known.values[-28:].mean())
            paths = continuations(known.values, HORIZON, rate=rate, seed=f"{known.name}\n{origin}")
            yield from _months("past_blocks", one.series, origin, paths, random)


def _months(
    basis: str, series: DailySeries, origin: int, paths: Floats, random: np.random.Generator
) -> Iterator[Landing]:
    months = series.days().astype("datetime64[M]")
    rate = series.values[origin - 28 : origin].mean()
    for month in np.unique(months[origin : origin + HORIZON]):
        of_month = np.flatnonzero(months == month)
        following = (month + 1).astype("datetime64[D]") - series.days()[0]
        if following.astype(int) > min(len(months), origin + HORIZON):
            continue
        ahead = of_month[of_month >= origin]
        known = series.values[of_month[of_month < origin]].sum()
        totals = known + paths[:, ahead - origin].sum(axis=1)
        truth = series.values[of_month].sum()
        low, high = np.quantile(totals, [0.1, 0.9])
        for size in random.choice(BUDGETS, BUDGETS_EACH):
            budget = (known + rate * len(ahead)) * np.exp(random.normal(0, size))
            yield Landing(
                basis=basis,
                scope_month=f"{series.name} {origin} {month}",
                kind=series.name.split("/")[1],
                lead_days=len(ahead),
                probability=float((totals > budget).mean()),
                over=bool(truth > budget),
                position=float((totals < truth).mean()),
                width=float((high - low) / truth),
            )


def reliability(found: pl.DataFrame) -> pl.DataFrame:
    """Ten bins of predicted probability: members, mean prediction, share that was over, difference, standard error.

    scope_months: so many have a budget in the bin; the error is of so many independent ones.
    """
    bins = (pl.col("probability") * 10).floor().clip(0, 9).cast(pl.Int64).alias("bin")
    share, months = pl.col("over").mean(), pl.col("scope_month").n_unique()
    return (
        found.group_by(bins)
        .agg(
            scope_months=months,
            budgets=pl.len(),
            predicted=pl.col("probability").mean(),
            came=share,
            difference=share - pl.col("probability").mean(),
            standard_error=(share * (1 - share) / months).sqrt(),
        )
        .sort("bin")
    )


def measure(portfolios: int, *, each: int = EACH_KIND, days: int = DAYS, workers: int | None = None) -> pl.DataFrame:
    """The scope-months of so many portfolios, one row each."""
    rows = [
        landing
        for seed in range(1, portfolios + 1)
        for landing in landings(fit(portfolio(seed, each=each, days=days), workers=workers), seed=seed)
    ]
    return pl.DataFrame(rows)


def run() -> None:
    """Print the reliability of landing probabilities by what they are drawn from, and their 80 % bands by kind."""
    started = time.perf_counter()
    found = measure(PORTFOLIOS)
    took = time.perf_counter() - started
    inside = pl.col("position").is_between(0.1, 0.9).mean()
    bands = (inside.alias("coverage80"), (pl.col("position") < 0.1).mean().alias("below10"), pl.col("width").median())
    for (basis,), part in found.group_by(["basis"], maintain_order=True):
        curve = reliability(part)
        judged = curve.filter(pl.col("scope_months") >= LEAST_MEMBERS)
        print(
            f"-- {basis}: {part['scope_month'].n_unique():,} scope-months, {PATHS} courses, {BUDGETS_EACH} budgets each"
        )
        with pl.Config(tbl_rows=-1, float_precision=3, tbl_hide_dataframe_shape=True):
            print(curve, part.group_by("kind").agg(*bands).sort("kind"), part.select(*bands), sep="\n")
        print(f"largest difference of a bin of {LEAST_MEMBERS} or more: {judged['difference'].abs().max():.3f}")
    print(f"{took:.0f} s on {usable_cores()} cores")
