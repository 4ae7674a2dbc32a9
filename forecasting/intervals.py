"""Quantiles around a path, calibrated on what past forecasts of the whole portfolio missed by (conformal).

Each past fit gives ratios |z error| / spread; their quantiles, pooled over all series in buckets of days ahead, are how
many spreads a band must reach. Pooling makes a 95 % band possible from a few past cutoffs a series.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from forecasting.fits import Fitted
from forecasting.method import Path
from forecasting.series import Floats

OFFSETS_DAYS: Final = (14, 21, 28, 42, 56, 84)
"""How long before the newest day the past fits end whose errors calibrate the band."""
BUCKET_STARTS: Final = np.array([1, 8, 15, 29, 57])
"""First day ahead of each bucket: 1-7, 8-14, 15-28, 29-56, 57 and more."""
SIMPLE_REACH: Final[dict[float, float]] = {0.80: 1.6, 0.90: 2.1, 0.95: 2.6}
"""Reach of each band, in spreads, before anything is known of the portfolio (measured on public daily series)."""
SIMPLE_WEIGHT: Final = 10
"""The simple reach counts as much as this many past fits, so that one series is not judged by six of them alone."""
QUANTILES: Final[dict[str, tuple[int, float]]] = {
    "p025": (-1, 0.95), "p05": (-1, 0.90), "p10": (-1, 0.80), "p50": (0, 0.80), "p90": (1, 0.80), "p95": (1, 0.90),
    "p975": (1, 0.95),
}  # fmt: skip
"""Each quantile as a side of a central band of that coverage."""


Reach = dict[float, Floats]
"""For each band its reach in spreads, one value a bucket of days ahead."""


def bucket_of(leads: np.ndarray) -> np.ndarray:
    """The bucket of each number of days ahead (1 is the first)."""
    return np.searchsorted(BUCKET_STARTS, leads, side="right") - 1


def reach_of(portfolio: Sequence[Fitted], model: str, *, gaps: Sequence[int], newest: dict[str, int]) -> Reach:
    """How many spreads each band must reach at the cutoff `newest[series]`, from fits that ended `gaps` days before it.

    Only days before the cutoff count. Reach = (m x own + n x common + 10 x simple) / (m + n + 10): own and common are
    the empirical quantiles in the bucket and in all of them, m the fits that reach the bucket, n their mean over all.
    """
    ratios: list[list[Floats]] = [[] for _ in BUCKET_STARTS]
    for fitted in portfolio:
        for gap in gaps:
            path = fitted.paths.get(newest[fitted.series.name] - gap, {}).get(model)
            if path is not None and path.model == model:
                _collect(ratios, fitted, path, newest[fitted.series.name] - gap, gap)
    every = [part for parts in ratios for part in parts]
    return {
        band: np.array([_blend(parts, every, band, simple) for parts in ratios])
        for band, simple in SIMPLE_REACH.items()
    }


def _collect(ratios: list[list[Floats]], fitted: Fitted, path: Path, cutoff: int, gap: int) -> None:
    days = min(gap, fitted.horizon)
    z = np.arcsinh(fitted.series.came(cutoff, days, known=cutoff + gap) / path.unit)
    usable = ~np.isnan(z) & (path.spread[:days] > 0)
    found = np.abs(z - path.center[:days])[usable] / path.spread[:days][usable]
    buckets = bucket_of(np.arange(1, days + 1))[usable]
    for bucket in np.unique(buckets):
        ratios[bucket].append(found[buckets == bucket])


def _blend(parts: list[Floats], every: list[Floats], band: float, simple: float) -> float:
    if not every:
        return simple
    shared = len(every) / len(BUCKET_STARTS)
    own = len(parts) * float(np.quantile(np.concatenate(parts), band)) if parts else 0.0
    total = own + shared * float(np.quantile(np.concatenate(every), band)) + SIMPLE_WEIGHT * simple
    return total / (len(parts) + shared + SIMPLE_WEIGHT)


def no_reach() -> Reach:
    """The simple reach in every bucket: for models without past fits, such as the one of a short history."""
    return {band: np.full(len(BUCKET_STARTS), simple) for band, simple in SIMPLE_REACH.items()}


def quantiles(path: Path, reach: Reach) -> dict[str, Floats]:
    """The quantiles of each day ahead in the series' own unit, in rising order around p50."""
    if path.fixed is not None:
        return dict(zip(QUANTILES, path.value(path.fixed), strict=True))
    buckets = bucket_of(np.arange(1, len(path.center) + 1))
    return {
        name: path.value(path.center + side * reach[band][buckets] * path.spread)
        for name, (side, band) in QUANTILES.items()
    }
