"""Load blocks out of hourly profiles: a few representative hours that all workloads share.

The hours in which the joint load is highest are a block of their own, so that peaks are kept; the others are clustered
by the loads of all workloads together (k-means), so that peaks that do not coincide can share capacity.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from finops.errors import CallError
from optimizer.scenario import LoadBlock

PEAK_RATIO: Final = 0.02
"""The share of hours that the peak stands for."""
DIGITS: Final = 6
LEAST_HOURS: Final = 24
_NAMES: Final = ("peak", "high", "middle", "low", "lowest")


def load_blocks(profiles: Mapping[str, Sequence[float]], *, count: int = 3) -> tuple[LoadBlock, ...]:
    """Blocks of common hours, the peak first and then by joint load; each workload keeps its mean exactly.

    profiles: load of each workload in the same hours, in any unit. count: 1 to 5 blocks. Raises CallError for fewer
    than 24 hours, profiles of different length, a negative load, or a workload without any.
    """
    names = sorted(profiles)
    hours = _checked(names, profiles)
    shares = hours / hours.mean(axis=0)
    joint = shares.mean(axis=1)
    order = np.argsort(-joint, kind="stable")
    if count == 1:
        groups = [order]
    else:
        peak = max(round(PEAK_RATIO * len(order)), 1)
        groups = [order[:peak], *_clusters(shares, order[peak:], count - 1)]
    return _blocks(names, shares, [g for g in groups if len(g)])


def _checked(names: Sequence[str], profiles: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    lengths = {len(profiles[name]) for name in names}
    if len(lengths) != 1 or min(lengths) < LEAST_HOURS:
        raise CallError(
            f"profiles of {sorted(lengths)} hours",
            expected=f"the same {LEAST_HOURS} hours or more for every workload",
            next_step="take whole days that all of them have",
        )
    hours = np.array([profiles[name] for name in names], dtype=np.float64).T
    wrong = [name for name, column in zip(names, hours.T, strict=True) if not (column >= 0).all() or not column.sum()]
    if wrong:
        raise CallError(
            f"the profile of {', '.join(wrong)} is negative, not a number, or zero in every hour",
            expected="a load of zero or more in each hour, and above zero in some",
            next_step="correct the profile, or leave the workload out",
        )
    return hours


def _clusters(shares: NDArray[np.float64], hours: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """The hours in clusters of like loads, the highest joint load first; from quantiles, so the same each time."""
    from scipy.cluster.vq import kmeans2  # a quarter of a second to import: only who makes profiles pays for it

    starts = np.array([part.mean(axis=0) for part in np.array_split(shares[hours], count)])
    _, labels = kmeans2(shares[hours], starts, minit="matrix", missing="warn")
    groups = [hours[labels == label] for label in range(count)]
    return sorted(groups, key=lambda g: -shares[g].mean() if len(g) else 0.0)


def _blocks(
    names: Sequence[str], shares: NDArray[np.float64], groups: Sequence[NDArray[np.int64]]
) -> tuple[LoadBlock, ...]:
    """The groups as blocks whose hours sum to one and whose ratios keep each mean, by the last block's last digits."""
    total = sum(len(g) for g in groups)
    ratios = [Decimal(f"{len(g) / total:.{DIGITS}f}") for g in groups]
    ratios[-1] = 1 - sum(ratios[:-1], Decimal(0))
    levels = [[Decimal(f"{shares[g, i].mean():.{DIGITS}f}") for g in groups] for i in range(len(names))]
    joint = [Decimal(f"{shares[g].mean():.{DIGITS}f}") for g in groups]
    for row in (*levels, joint):
        rest = 1 - sum((r * level for r, level in zip(ratios[:-1], row[:-1], strict=True)), Decimal(0))
        row[-1] = max(rest, Decimal(0)) / ratios[-1]
    return tuple(
        LoadBlock(
            name=_NAMES[number],
            hours_ratio=ratios[number],
            demand_ratio=joint[number],
            workloads={name: levels[i][number] for i, name in enumerate(names)},
        )
        for number in range(len(groups))
    )
