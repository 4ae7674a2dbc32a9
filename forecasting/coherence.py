"""Sums that forecasts must keep, and the nearest forecasts that keep them.

Groupings cross each other (purpose, team, provider): they are no tree and share no forecast bottom level. So the sums
are stated as linear constraints C y = 0 among the series that are forecast (zero-constrained representation; Di Fonzo
and Girolimetto 2023), and forecasts are moved onto them at the least cost in error variance (MinT; Wickramasuriya,
Athanasopoulos and Hyndman 2019).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from forecasting.series import Floats

Flags = NDArray[np.bool_]
Keys = Mapping[str, Mapping[str, str]]
"""Each series' value of each dimension of its grouping; the total has none."""

EXACT: Final = 1e-11
"""A sum holds when it is off by no more than this share of its parts' sizes,"""
DUST: Final = 1e-15
"""or by rounding dust: this share of the largest size of the day."""
RANK: Final = 1e-9
"""Constraints that follow from others leave eigenvalues of about 1e-16 of the largest; those are zeros."""
ROUNDS: Final = 200
DAMPING: Final = 1e-3


def grouping_of(key: Iterable[str]) -> str:
    """The dimensions of a grouping in one word, as `team,purpose`; `total` without any."""
    return ",".join(key) or "total"


def constraints(keys: Keys, names: list[str]) -> tuple[Floats, dict[str, str]]:
    """C with a column for each of `names`: every series less its parts in each finer grouping is zero.

    Also the groupings that are left out, with the first series of `keys` that is not among `names`: without it their
    parts cannot be told to sum to anything.
    """
    column = {name: at for at, name in enumerate(names)}
    left_out: dict[str, str] = {}
    groupings: dict[str, list[str]] = {}
    for name in sorted(keys):
        grouping = grouping_of(keys[name])
        groupings.setdefault(grouping, []).append(name)
        if name not in column:
            left_out.setdefault(grouping, name)
    rows = [
        (whole, parts)
        for coarse, wholes in groupings.items()
        for fine, members in groupings.items()
        if fine != coarse and fine not in left_out and set(keys[wholes[0]]) <= set(keys[members[0]])
        for whole, parts in _parts(keys, wholes, members).items()
        if whole in column and coarse not in left_out
    ]
    matrix = np.zeros((len(rows), len(names)))
    for row, (whole, parts) in enumerate(rows):
        matrix[row, column[whole]] = 1
        matrix[row, [column[part] for part in parts]] = -1
    return matrix, left_out


def _parts(keys: Keys, wholes: list[str], members: list[str]) -> dict[str, list[str]]:
    """The members of a finer grouping that each series of a coarser one is made of."""
    dimensions = sorted(keys[wholes[0]])
    whole_of = {tuple(keys[name][dimension] for dimension in dimensions): name for name in wholes}
    parts: dict[str, list[str]] = {}
    for name in members:
        whole = whole_of.get(tuple(keys[name][dimension] for dimension in dimensions))
        if whole is not None:
            parts.setdefault(whole, []).append(name)
    return parts


@dataclass(frozen=True, eq=False)
class Weights:
    """W = D (shrink I + (1 - shrink) R) D, the covariance of errors: D their deviations, R the correlations.

    deviation: one value a series, 0 for what must not move. standard: past errors over their deviations, one row an
    observation; R = standard' standard / rows with 1 on its diagonal. W is never built: 10,000 series would not fit.
    """

    deviation: Floats
    standard: Floats
    shrink: float

    def times(self, columns: Floats) -> Floats:
        """W x columns."""
        scaled = self.deviation[:, None] * columns
        if self.shrink < 1:
            rest = 1 - (self.standard**2).mean(axis=0)
            related = self.standard.T @ (self.standard @ scaled) / len(self.standard) + rest[:, None] * scaled
            scaled = self.shrink * scaled + (1 - self.shrink) * related
        product: Floats = self.deviation[:, None] * scaled
        return product


def uncorrelated(deviation: Floats) -> Weights:
    """Error variances alone (WLS)."""
    return Weights(deviation, np.zeros((0, len(deviation))), 1.0)


def root_mean_square(errors: Floats) -> Floats:
    """Of each column, without its NaN; 0 where there is nothing else."""
    size: Floats = np.sqrt(np.nansum(errors**2, axis=0) / np.maximum((~np.isnan(errors)).sum(axis=0), 1))
    return size


def shrunk(deviation: Floats, errors: Floats, *, independent: int) -> Weights:
    """Error variances with the correlations of `errors` (rows x series, NaN where unknown), shrunk towards none.

    shrink = sum over pairs of Var(r) / sum over pairs of r^2, within 0 and 1. Source: Schaefer and Strimmer (2005).
    independent: of so many rows the others tell nothing new; days of one forecast err together.
    """
    rows = len(errors)
    if independent < 2:
        return uncorrelated(deviation)
    size = root_mean_square(errors)
    standard = np.nan_to_num(errors / np.where(size > 0, size, np.inf))
    # sums over all pairs of series, by way of rows x rows: there are fewer observations than series
    squares = standard**2
    own = squares.mean(axis=0)
    correlation = ((standard @ standard.T) ** 2).sum() / rows**2 - (own**2).sum()
    products = (squares.sum(axis=1) ** 2).sum() - (squares**2).sum()
    if correlation <= RANK * len(own):
        return uncorrelated(deviation)
    variance = (products / rows - correlation) / (independent - 1)
    return Weights(deviation, standard, float(np.clip(variance / correlation, 0, 1)))


def coherent(values: Floats, matrix: Floats, weights: Weights, *, known: Flags, floored: Flags) -> Floats:
    """The values (series x days) moved onto matrix x values = 0, those of `floored` series not below zero.

    y - W C' (C W C')^-1 C y on each day; where that falls below zero, the nearest point in error variance that does
    not. known (series x days): actual values, which do not move. A sum of which a value is NaN is not asked for on
    that day.
    """
    result = values.copy()
    patterns = np.concatenate([known, np.isnan(values)]).T
    for pattern in np.unique(patterns, axis=0):
        days = (patterns == pattern).all(axis=1)
        fixed, absent = np.split(pattern, 2)
        asked = matrix[~matrix[:, absent].any(axis=1)]
        if len(asked):
            moved = _moved(np.nan_to_num(values[:, days]), asked, weights, free=~fixed & ~absent, floored=floored)
            result[:, days] = np.where(absent[:, None], np.nan, moved)
    return result


def _moved(values: Floats, matrix: Floats, weights: Weights, *, free: Flags, floored: Flags) -> Floats:
    """`coherent` on days that have the same series known."""
    deviation = weights.deviation * free
    weights = replace(weights, deviation=deviation / (deviation.max() or 1))  # only ratios count
    spread = weights.times(matrix.T)
    moved = values - spread @ (_inverse(matrix @ spread) @ (matrix @ values))
    # what has no error variance gives way last: only where the sums cannot hold otherwise
    dust = DUST * np.abs(values).max(axis=0)
    for variance in (weights.deviation**2, free.astype(np.float64)):
        held = _sums_hold(moved, matrix, dust).all(axis=0) & (moved[floored & free] >= 0).all(axis=0)
        for day in np.flatnonzero(~held):
            moved[:, day] = _nearest(moved[:, day], matrix, variance, floored & free, dust[day])
    return moved


def _sums_hold(values: Floats, matrix: Floats, dust: Floats) -> Flags:
    held: Flags = np.abs(matrix @ values) <= EXACT * (np.abs(matrix) @ np.abs(values)) + dust
    return held


def _nearest(values: Floats, matrix: Floats, variance: Floats, floored: Flags, dust: Floats) -> Floats:
    """argmin sum (y - values)^2 / variance, subject to matrix y = 0 and y >= 0 where floored.

    y = max(0, values - variance C' u) with prices u of the sums, found by damped Newton steps on the concave dual,
    whose slope is the residual C y; each step goes as far as it still rises.
    """
    price = np.zeros(len(matrix))
    spread = matrix * variance

    def at(price: Floats) -> Floats:
        y = values - spread.T @ price
        return np.where(floored, np.maximum(y, 0), y)

    for _ in range(ROUNDS):
        y = at(price)
        moving = np.where(floored & (y <= 0), DAMPING, 1.0)
        step = _inverse((spread * moving) @ matrix.T) @ (matrix @ y)
        if _sums_hold(y, matrix, dust).all() or not step.any():
            break
        low, high = 0.0, 1.0
        if (matrix @ at(price + step)) @ step < 0:
            for _ in range(30):
                middle = (low + high) / 2
                low, high = (middle, high) if (matrix @ at(price + middle * step)) @ step >= 0 else (low, middle)
        price = price + high * step
    return at(price)


def _inverse(square: Floats) -> Floats:
    """Pseudo-inverse of a symmetric matrix, blind to the size of its rows; a row of zeros stays one."""
    size = np.sqrt(np.diag(square).clip(0))
    size[size == 0] = np.inf
    inverse: Floats = np.linalg.pinv(square / size[:, None] / size, rcond=RANK, hermitian=True) / size[:, None] / size
    return inverse
