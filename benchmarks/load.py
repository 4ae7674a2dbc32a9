"""The standard score of told anomalies on made load series, beside two plain detectors at their best threshold.

The score is that of the Numenta Anomaly Benchmark (https://github.com/numenta/NAB, standard profile): a window counts
by how early in it the first anomaly is told, a false alarm costs 0.11, less shortly after a window; 0 is telling
nothing, 100 everything at its window's first row. The seeds are not those that the detector was built with.
"""

import math
import time
from collections import Counter
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.load_series import Floats, LoadSeries, load_series
from forecasting.anomalies import CALM, alarms, detect

SEEDS: Final = (101, 102)
EACH: Final = 3
FALSE_ALARM_COST: Final = 0.11
PROBATION_SHARE, LONGEST_PROBATION = 0.15, 750
WINDOW_ROWS, EWMA_WEIGHT = 300, 0.2
PEER_THRESHOLDS: Final = (2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0)
PEER_QUIET_ROWS: Final = 25

Flags = NDArray[np.bool_]


def probation(rows: int) -> int:
    """Rows at the start whose alarms do not count."""
    return min(math.floor(PROBATION_SHARE * rows), LONGEST_PROBATION)


def raw_score(flags: Flags, windows: list[tuple[int, int]]) -> float:
    """The sum of what each window and each false alarm counts; windows are first and last rows, ascending."""
    best, false = [-1.0] * len(windows), 0.0
    for row in np.flatnonzero(flags[probation(len(flags)) :]).tolist():
        row += probation(len(flags))
        window = next((k for k, (first, last) in enumerate(windows) if first <= row <= last), None)
        if window is not None:
            first, last = windows[window]
            best[window] = max(best[window], _sigmoid((row - last - 1) / (last - first + 1)) / _sigmoid(-1.0))
            continue
        earlier = [(first, last) for first, last in windows if last < row]
        since = (row - earlier[-1][1]) / (earlier[-1][1] - earlier[-1][0]) if earlier else math.inf
        false += FALSE_ALARM_COST * _sigmoid(since)
    return sum(best) + false


def _sigmoid(x: float) -> float:
    return -1.0 if x > 3 else 2 / (1 + math.exp(5 * x)) - 1


def standard_score(all_flags: list[Flags], series: list[LoadSeries]) -> float:
    """0 where nothing is told, 100 where all is told at once and nothing else."""
    windows = sum(len(one.windows) for one in series)
    raw = sum(raw_score(flags, one.windows) for flags, one in zip(all_flags, series, strict=True))
    return 50 * (raw + windows) / windows


def windowed_gaussian(values: Floats) -> Floats:
    """How many deviations each value lies off the mean of the rows before it."""
    past = pl.Series(values).shift(1)
    mean, deviation = past.rolling_mean(WINDOW_ROWS, min_samples=10), past.rolling_std(WINDOW_ROWS, min_samples=10)
    return _deviations(np.abs(values - mean.to_numpy()), deviation.to_numpy())


def ewma(values: Floats) -> Floats:
    """How many deviations the mean of ten errors against an exponential average lies above what it was so far."""
    average = pl.Series(values).ewm_mean(alpha=EWMA_WEIGHT, adjust=False).shift(1).to_numpy()
    off = pl.Series(np.abs(np.nan_to_num(values - average))).rolling_mean(10, min_samples=1)
    rows = np.arange(1, len(off) + 1)
    mean = off.cum_sum().to_numpy() / rows
    variance = (off**2).cum_sum().to_numpy() / rows - mean**2
    return _deviations(off.to_numpy() - mean, np.sqrt(variance.clip(0)))


def _deviations(off: Floats, deviation: Floats) -> Floats:
    known = np.nan_to_num(deviation) > 0
    return np.nan_to_num(np.divide(off, deviation, out=np.zeros(len(off)), where=known))


def run() -> None:
    """Print the score, false alarms and what was told by kind; and the peers' scores."""
    series = [one for seed in SEEDS for one in load_series(seed, EACH)]
    started = time.perf_counter()
    found = [detect(one.times, one.values).flags for one in series]
    seconds, rows = time.perf_counter() - started, sum(len(one.values) for one in series)
    print(f"{len(series)} series, {rows} rows, {sum(len(one.windows) for one in series)} anomalies: {seconds:.1f} s")
    print(f"score {standard_score(found, series):.1f}, {_false_alarms(found, series)}")
    print("told of each kind of anomaly:", _told(found, series))
    print("score on each kind of series:", _by_kind(found, series))
    for peer in (windowed_gaussian, ewma):
        sizes = [peer(one.values) for one in series]
        told = {t: [alarms(s / t, calm=CALM, quiet=PEER_QUIET_ROWS) for s in sizes] for t in PEER_THRESHOLDS}
        best = max(PEER_THRESHOLDS, key=lambda t: standard_score(told[t], series))
        print(f"{peer.__name__}: {standard_score(told[best], series):.1f} at its best threshold here, {best}")


def _false_alarms(found: list[Flags], series: list[LoadSeries]) -> str:
    false = rows = 0
    for flags, one in zip(found, series, strict=True):
        outside = np.arange(len(flags)) >= probation(len(flags))
        for first, last in one.windows:
            outside[first : last + 1] = False
        false, rows = false + int(flags[outside].sum()), rows + int(outside.sum())
    return f"{false} false alarms, one in {rows // max(false, 1)} rows outside of windows"


def _told(found: list[Flags], series: list[LoadSeries]) -> str:
    told, all_of = Counter[str](), Counter[str]()
    for flags, one in zip(found, series, strict=True):
        for (first, last), kind in zip(one.windows, one.kinds, strict=True):
            all_of[kind] += 1
            told[kind] += bool(flags[max(first, probation(len(flags))) : last + 1].any())
    return ", ".join(f"{kind} {told[kind]}/{count}" for kind, count in sorted(all_of.items()))


def _by_kind(found: list[Flags], series: list[LoadSeries]) -> str:
    places: dict[str, list[int]] = {}
    for place, one in enumerate(series):
        places.setdefault(one.name.split("-")[0], []).append(place)
    scores = {kind: standard_score([found[i] for i in at], [series[i] for i in at]) for kind, at in places.items()}
    return ", ".join(f"{kind} {score:.0f}" for kind, score in scores.items())
