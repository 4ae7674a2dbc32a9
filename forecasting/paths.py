"""Sample paths of forecasts: courses that the days ahead may take together, which totals are made of.

Each day of the paths is distributed as the quantiles and the mean of that day say; a Gaussian copula ties the days to
each other. Summed quantiles are no quantiles of sums: how far errors of one forecast go together decides what a month
can cost, so it is calibrated on the totals of past forecasts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl

from forecasting.bursts import MODEL as BURSTS
from forecasting.bursts import draws as burst_draws
from forecasting.bursts import is_intermittent
from forecasting.fits import Fitted
from forecasting.intervals import OFFSETS_DAYS, QUANTILES, quantiles, reach_of
from forecasting.method import DEFAULT, HISTORY_DAYS, Path
from forecasting.series import DATE, LEVELS, SERIES, DailySeries, Floats, seeded

PATHS: Final = 400
WINDOWS_DAYS: Final = (7, 14, 28, 56, 84)
"""Totals of so many days, from the first one ahead, calibrate how errors go together."""
LEVEL_SHARES: Final = np.linspace(0, 0.9, 19)
PERSISTENCES: Final = np.array([0, 0.2, 0.4, 0.6, 0.8])
PRIOR_WEIGHT: Final = 10
"""The prior counts as much as this many past fits, so that one series does not decide."""
CALIBRATION_VALUES: Final = 200
"""Values of a day that past days are told among: fewer than courses, for speed."""
MOST_LIFT: Final = 2.0
"""How far values above p975 may be lifted to bring a day to its mean, in distances of p975 from p50."""
BENDS: Final = np.geomspace(1 / 8, 8, 41)
"""How far values between two quantiles may lean to one of them, to bring a day to its mean."""

TOTALS: Final = {"period": pl.String(), "mean": pl.Float64(), **dict.fromkeys(QUANTILES, pl.Float64())}

_NORMAL = NormalDist()
_KNOTS: Final = np.array([_NORMAL.inv_cdf(LEVELS[name]) for name in QUANTILES])
_MEDIAN: Final = list(QUANTILES).index("p50")
_CENTRAL_COVERAGE: Final = 0.8
_CENTRAL_REACH: Final = _NORMAL.inv_cdf((1 + _CENTRAL_COVERAGE) / 2)


@dataclass(frozen=True)
class Dependence:
    """How errors go together.

    level: of the variance of the first day's error, the share that all days have in common; what errors grow by
    further ahead is a level that wanders. persistence: correlation of the rest with the rest of the day before.
    common: share of all of it that the series of a portfolio have in common.
    """

    level: float
    persistence: float
    common: float


PRIOR: Final = Dependence(level=0.2, persistence=0.3, common=0.1)


@cache
def scores_of(count: int) -> Floats:
    """The normal scores of `count` equally likely values, rising."""
    return np.array([_NORMAL.inv_cdf((k + 0.5) / count) for k in range(count)])


def day_values(bands: Mapping[str, Floats], mean: Floats, *, count: int = PATHS) -> Floats:
    """Equally likely values of each day, rising, as (count, days): with these quantiles and this mean.

    Between two quantiles values run with their normal score; beyond the outer ones on with the slope of the last
    quantiles, not below 0 where p025 is not. A mean above what that gives lifts the values above p975, by up to twice
    p975 - p50: rare high days. What is left bends the values between each two quantiles towards one of them, t ->
    t ^ bend with t from 0 to 1, the same for all of a day.
    """
    knots = np.array([bands[name] for name in QUANTILES])
    scores = scores_of(count)
    inside = (scores >= _KNOTS[0]) & (scores <= _KNOTS[-1])
    segment = np.searchsorted(_KNOTS, scores[inside], side="right").clip(1, len(_KNOTS) - 1) - 1
    t = (scores[inside] - _KNOTS[segment]) / (_KNOTS[segment + 1] - _KNOTS[segment])
    steps = np.diff(knots, axis=0)
    values = np.empty((count, knots.shape[1]))
    low, high = scores < _KNOTS[0], scores > _KNOTS[-1]
    values[low] = knots[0] + np.outer(scores[low] - _KNOTS[0], (knots[2] - knots[0]) / (_KNOTS[2] - _KNOTS[0]))
    values[low] = np.maximum(values[low], np.minimum(knots[0], 0.0))
    values[high] = knots[-1] + np.outer(scores[high] - _KNOTS[-1], (knots[-1] - knots[-3]) / (_KNOTS[-1] - _KNOTS[-3]))
    outside = values[low | high].sum(axis=0) + knots[segment].sum(axis=0)
    missing = mean * count - outside - (steps[segment] * t[:, None]).sum(axis=0)
    lift = (missing / high.sum()).clip(0, MOST_LIFT * (knots[-1] - knots[_MEDIAN]))
    values[high] += lift
    # the mean of a day is linear in sums of t ^ bend by segment, so that they are made once for all days
    sums = np.array([np.bincount(segment, t**bend, minlength=len(steps)) for bend in BENDS])
    means = (outside + high.sum() * lift + sums @ steps) / count
    bend = np.array([np.interp(-m, -column, BENDS) for m, column in zip(mean, means.T, strict=True)])
    values[inside] = knots[segment] + steps[segment] * t[:, None] ** bend
    found = values.mean(axis=0)
    scalable = (found > 0) & (mean > 0)
    return np.where(scalable, values * (mean / np.where(scalable, found, 1.0)), values + (mean - found))


def growth_of(path: Path) -> Floats:
    """Variance of the error by lead over that of the first day, not falling: spread[k]² / spread[1]², at most 100."""
    first = path.spread[0] or 1.0
    rising: Floats = np.maximum.accumulate((path.spread / first) ** 2).clip(1, 100)
    return rising


# --------------------------------------------------------------------------------------------------------- calibration
@dataclass(frozen=True, eq=False)
class _Past:
    """One past fit against what came: the scores of its days, what they weigh in money, and its growth of error."""

    cutoff: date
    scores: Floats
    weights: Floats
    growth: Floats


def dependence_of(
    portfolio: Sequence[Fitted], model: str, *, gaps: Sequence[int] = OFFSETS_DAYS, newest: Mapping[str, int]
) -> Dependence:
    """How errors went together in fits that ended `gaps` days before the cutoff `newest[series]`.

    level and persistence: those with which the central 80 % bands of past totals over 7, 14, 28 ... days come nearest
    to 80 % each. common: the mean product of two series' totals over their mean square. All pooled over the series,
    beside a prior of the weight of 10 fits. Only days before the cutoff count.
    """
    past = _past_of(portfolio, model, gaps, dict(newest))
    if not past:
        return PRIOR
    misses = np.zeros((len(LEVEL_SHARES), len(PERSISTENCES)))
    for days in WINDOWS_DAYS:
        ratios = [_ratios(one, days) for one in past if days <= len(one.scores)]
        if ratios:
            reach = np.quantile(np.abs(ratios), _CENTRAL_COVERAGE, axis=0)
            misses += len(ratios) * np.log(reach.clip(0.01) / _CENTRAL_REACH) ** 2
    level, persistence = np.unravel_index(np.argmin(misses), misses.shape)
    found = np.array([LEVEL_SHARES[level], PERSISTENCES[persistence], _common(past)])
    prior = np.array([PRIOR.level, PRIOR.persistence, PRIOR.common])
    return Dependence(*map(float, (len(past) * found + PRIOR_WEIGHT * prior) / (len(past) + PRIOR_WEIGHT)))


def _past_of(portfolio: Sequence[Fitted], model: str, gaps: Sequence[int], newest: dict[str, int]) -> list[_Past]:
    reach = reach_of(portfolio, model, gaps=gaps, newest=newest)
    past = []
    for fitted in portfolio:
        for gap in gaps:
            cutoff = newest[fitted.series.name] - gap
            path = fitted.paths.get(cutoff, {}).get(model)
            if path is None or path.model != model:
                continue
            days = min(gap, fitted.horizon)
            bands = quantiles(path, reach)
            values = day_values(bands, path.mean, count=CALIBRATION_VALUES)[:, :days]
            actual = fitted.series.came(cutoff, days, known=cutoff + gap)
            last = fitted.series.start + timedelta(days=cutoff - 1)
            past.append(_Past(last, _scores(actual, values), values.std(axis=0), growth_of(path)[:days]))
    return past


def _scores(actual: Floats, values: Floats) -> Floats:
    """The normal score of what came on each day among its equally likely values; 0 where nothing is known."""
    count = len(values)
    below = ((values < actual).sum(axis=0) + (values <= actual).sum(axis=0)) / 2
    grid = scores_of(count)
    scores = np.interp(below - 0.5, np.arange(count), grid)
    known: Floats = np.where(np.isnan(actual), 0.0, scores)
    return known


def _ratios(past: _Past, days: int) -> Floats:
    """The error of a total of so many days over its expected deviation, for each of LEVEL_SHARES x PERSISTENCES."""
    weights, growth = past.weights[:days], past.growth[:days]
    root = weights / np.sqrt(growth)
    later = np.cumsum(root[::-1])[::-1]
    wander = float((np.diff(growth, prepend=1.0) * later**2).sum())
    own = np.array([root @ ties[:days, :days] @ root for ties in _ties()])
    variance = LEVEL_SHARES[:, None] * later[0] ** 2 + wander + np.outer(1 - LEVEL_SHARES, own)
    error = float((past.scores[:days] * weights).sum())
    found: Floats = np.divide(error, np.sqrt(variance), out=np.zeros(variance.shape), where=variance > 0)
    return found


@cache
def _ties() -> Floats:
    """Correlation of the days' own errors, persistence ^ |j - k|, for each of PERSISTENCES."""
    apart = np.abs(np.subtract.outer(np.arange(WINDOWS_DAYS[-1]), np.arange(WINDOWS_DAYS[-1])))
    return np.array([np.power(persistence, apart) for persistence in PERSISTENCES])


def _common(past: Sequence[_Past]) -> float:
    """Mean product of the total scores of two series at one cutoff over their mean square, from 0 to 0.9."""
    by_cutoff: dict[date, list[float]] = {}
    for one in past:
        by_cutoff.setdefault(one.cutoff, []).append(float((one.scores * one.weights).sum() / (one.weights.sum() or 1)))
    products = pairs = squares = count = 0.0
    for found in by_cutoff.values():
        total = np.array(found)
        products += float(total.sum() ** 2 - (total**2).sum())
        pairs += len(total) * (len(total) - 1)
        squares += float((total**2).sum())
        count += len(total)
    return float(np.clip((products / pairs) / (squares / count), 0, 0.9)) if pairs and squares else PRIOR.common


# ------------------------------------------------------------------------------------------------------------ sampling
def paths_of(portfolio: Sequence[Fitted], rows: pl.DataFrame, *, count: int = PATHS) -> dict[str, Floats]:
    """Sample paths of each series, as (count, days): distributed as the final rows say, tied as past errors were.

    rows: as rows_of gives them, also after they were reconciled. Deterministic: seeded by series and cutoff; series
    with one cutoff share what is common to them.
    """
    newest = {fitted.series.name: len(fitted.series.values) for fitted in portfolio}
    dependence = dependence_of(portfolio, DEFAULT, newest=newest)
    parts = {str(name): part for (name,), part in rows.sort(SERIES, DATE).group_by([SERIES])}
    made = {}
    for fitted in portfolio:
        own = parts[fitted.series.name]
        values = day_values({q: own[q].to_numpy() for q in QUANTILES}, own["mean"].to_numpy(), count=count)
        estimated = (fitted.series.end - own[DATE][0]).days + 1
        path = fitted.paths[newest[fitted.series.name]][DEFAULT]
        made[fitted.series.name] = courses(values, fitted.series, path, dependence, estimated=estimated)
    return made


def courses(values: Floats, series: DailySeries, path: Path, dependence: Dependence, *, estimated: int = 0) -> Floats:
    """Paths through the equally likely values of each day (rising, (count, days)), each value used once a day.

    path: the fit at the end of the series; estimated: so many of the first days lie before that end. Bursts are the
    courses that their quantiles were taken from, brought to the mean of each day.
    """
    recent = series.last(HISTORY_DAYS)
    if path.model == BURSTS and is_intermittent(recent):
        ahead = values.shape[1] - estimated
        drawn = burst_draws(recent, len(path.center))[: len(values), :ahead]
        mean, own = values[:, estimated:].mean(axis=0), drawn.mean(axis=0)
        return np.concatenate(
            [values[:, :estimated], drawn * np.divide(mean, own, out=np.ones(ahead), where=own > 0)], axis=1
        )
    growth = np.concatenate([np.ones(estimated), growth_of(path)])[: values.shape[1]]
    score = tied_scores(growth, dependence, name=series.name, cutoff=series.end, count=len(values))
    ranks = np.argsort(np.argsort(score, axis=0, kind="stable"), axis=0)
    return np.take_along_axis(values, ranks, axis=0)


def tied_scores(growth: Floats, dependence: Dependence, *, name: str, cutoff: date, count: int) -> Floats:
    """Normal scores of each day in `count` courses, tied as the dependence says; the second half mirrors the first."""
    half, days = (count + 1) // 2, len(growth)
    own, common = _normals(f"{name}\n{cutoff}", half, days), _normals(f"{cutoff}", half, days)
    draws = np.sqrt(dependence.common) * common + np.sqrt(1 - dependence.common) * own
    start, wander, own_days = draws[:, 0], draws[:, 1 : days + 1], draws[:, days + 1 :]
    level = np.sqrt(dependence.level) * start[:, None]
    level = level + np.cumsum(np.sqrt(np.diff(growth, prepend=1.0)) * wander, axis=1)
    score = level + np.sqrt(1 - dependence.level) * _persistent(own_days, dependence.persistence)
    return np.concatenate([score, -score])[:count]


def _persistent(draws: Floats, persistence: float) -> Floats:
    """Each day's draw tied to the day before, of variance 1."""
    tied = draws.copy()
    for day in range(1, draws.shape[1]):
        tied[:, day] = persistence * tied[:, day - 1] + np.sqrt(1 - persistence**2) * draws[:, day]
    return tied


def _normals(seed: str, count: int, days: int) -> Floats:
    random = seeded(seed)
    return random.standard_normal((count, 2 * days + 1))


# -------------------------------------------------------------------------------------------------------------- totals
def totals(paths: Floats, *, first: date) -> pl.DataFrame:
    """What the days ahead add to their months, quarters and years: `period, mean, p025 .. p975`.

    Of periods that the horizon covers to their end; first: the first day ahead.
    """
    periods = [periods_of(first + timedelta(days=k)) for k in range(paths.shape[1])]
    open_after = periods_of(first + timedelta(days=paths.shape[1]))
    covered = sorted({name for names in periods for name in names}.difference(open_after))
    rows = [{"period": name, **summary(paths[:, [name in names for names in periods]].sum(axis=1))} for name in covered]
    return pl.DataFrame(rows, schema=TOTALS)


def periods_of(day: date) -> tuple[str, str, str]:
    """The month, quarter and year of a day: 2026-10, 2026-Q4, 2026."""
    return f"{day:%Y-%m}", f"{day.year}-Q{(day.month + 2) // 3}", f"{day.year}"


def summary(total: Floats) -> dict[str, float]:
    """The mean and p025 .. p975 of sampled totals."""
    found = np.quantile(total, [LEVELS[name] for name in QUANTILES])
    return {"mean": float(total.mean()), **dict(zip(QUANTILES, map(float, found), strict=True))}
