"""Fits of many series at many cutoffs, fanned out over the executor.

A fit sees the first `cutoff` days of its series and nothing else, so a later value can never change it, and equal
work gives equal results in any process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from finops.execution import executor, fan_out, usable_cores
from forecasting.baselines import ALWAYS_JUDGED, BASELINES, ETS, THETA, baseline_path
from forecasting.fit_cache import FitCache, fit_key
from forecasting.method import DEFAULT, FULL_DAYS, Path, forecast_path
from forecasting.series import DailySeries, Refusal

POOL_FITS: Final = 60
"""Fits (about 0.1 s each) from which starting worker processes (about 3 s each) pays."""
COSTS: Final = {DEFAULT: 1.0, ETS: 1.1, THETA: 0.6}
"""What a model costs, in fits of the default; the others are arithmetic."""
CHUNKS_PER_WORKER: Final = 16
LONGEST_CHUNK: Final = 20.0
"""In fits of the default: at the end no worker is busy with one chunk for long while the others are done."""


@dataclass(frozen=True, eq=False)
class Task:
    """One series, the days ahead, the cutoffs (lengths known) to fit the default at, and those for baselines too."""

    series: DailySeries
    horizon: int
    cutoffs: tuple[int, ...]
    compared: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Fitted:
    """The paths of one series: by cutoff, then by model (the default under its own name even where it fell back).

    model: the one in use.
    """

    series: DailySeries
    horizon: int
    paths: dict[int, dict[str, Path]]
    model: str = DEFAULT


@dataclass(frozen=True, eq=False)
class _Fit:
    """The default and some baselines on what was known of a series; made: those that are there already."""

    known: DailySeries
    horizon: int
    baselines: tuple[str, ...]
    made: Mapping[str, Path] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        return (DEFAULT, *self.baselines)

    @property
    def missing(self) -> list[str]:
        """The models to fit; where the default fell back only those that are always judged."""
        default = self.made.get(DEFAULT)
        names = [DEFAULT, *ALWAYS_JUDGED] if default is not None and default.fell_back else self.models
        return [name for name in self.models if name in names and name not in self.made]

    @property
    def cost(self) -> float:
        return sum(COSTS.get(name, 0.0) for name in self.missing)


def usable_cutoffs(series: DailySeries, cutoffs: Sequence[int]) -> tuple[int, ...]:
    """The cutoffs before which the series has a full history for the default method, ascending, each once."""
    known = np.cumsum(~np.isnan(series.values))
    return tuple(sorted({c for c in cutoffs if 0 < c <= len(known) and known[c - 1] >= FULL_DAYS}))


def fit_all(
    tasks: Sequence[Task],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    cache: FitCache | None = None,
) -> tuple[list[Fitted], list[Refusal]]:
    """The paths that each task asks for, in the order of the tasks; a series that could not be fitted is refused.

    workers: local processes (by default the usable cores); scheduler: address of a Dask scheduler; cache: fits that
    were made before, to which those that are made now are added. The result does not depend on any of them.
    """
    fits = [
        (at, cutoff, _Fit(task.series.known_at(cutoff), task.horizon, BASELINES if cutoff in task.compared else ()))
        for at, task in enumerate(tasks)
        for cutoff in sorted({*task.cutoffs, *task.compared})
    ]
    paths: list[dict[int, dict[str, Path]]] = [{} for _ in tasks]
    failures: dict[int, str] = {}
    for (at, cutoff, _), result in zip(fits, _run([fit for *_, fit in fits], workers, scheduler, cache), strict=True):
        if isinstance(result, str):
            failures[at] = result
        else:
            paths[at][cutoff] = result
    fitted = [Fitted(task.series, task.horizon, paths[at]) for at, task in enumerate(tasks) if at not in failures]
    return fitted, [Refusal(tasks[at].series.name, reason) for at, reason in failures.items()]


def use(
    fitted: Sequence[Fitted],
    models: Mapping[str, str],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    cache: FitCache | None = None,
) -> list[Fitted]:
    """The same fits with the model that each series is to use; a baseline is fitted at every cutoff, as its bands need.

    models: by the name of the series; one that is not named keeps the default, and so does one whose newest days are
    too few or too plain for it.
    """
    chosen = [
        replace(one, model=models.get(one.series.name, DEFAULT))
        if not one.paths[max(one.paths)][DEFAULT].fell_back
        else one
        for one in fitted
    ]
    fits = [
        _Fit(one.series.known_at(cutoff), one.horizon, (one.model,), {DEFAULT: paths[DEFAULT]})
        for one in chosen
        for cutoff, paths in one.paths.items()
        if one.model not in paths
    ]
    added = iter(_run(fits, workers, scheduler, cache))
    return [
        replace(
            one,
            paths={
                cutoff: paths if one.model in paths else {**paths, **_known(next(added))}
                for cutoff, paths in one.paths.items()
            },
        )
        for one in chosen
    ]


def _known(result: dict[str, Path] | str) -> dict[str, Path]:
    assert not isinstance(result, str), "Prophet is not fitted where its path is given"
    return result


def _run(
    fits: list[_Fit], workers: int | None, scheduler: str | None, cache: FitCache | None
) -> list[dict[str, Path] | str]:
    if cache is None:
        return _fan_out(fits, workers, scheduler)
    keys = [{name: fit_key(fit.known, horizon=fit.horizon, model=name) for name in fit.models} for fit in fits]
    kept = [{name: path for name, key in of.items() if (path := cache.get(key)) is not None} for of in keys]
    fits = [replace(fit, made={**paths, **fit.made}) for fit, paths in zip(fits, kept, strict=True)]
    made = iter(_fan_out([fit for fit in fits if fit.missing], workers, scheduler))
    results = [next(made) if fit.missing else dict(fit.made) for fit in fits]
    for of, result in zip(keys, results, strict=True):
        if not isinstance(result, str):
            for name, path in result.items():
                cache.put(of[name], path)
    return results


def _fan_out(fits: list[_Fit], workers: int | None, scheduler: str | None) -> list[dict[str, Path] | str]:
    wanted = workers or usable_cores()
    if not fits or (scheduler is None and (wanted == 1 or sum(fit.cost for fit in fits) < POOL_FITS)):
        return _fit_chunk(fits)
    with executor(workers=workers, scheduler=scheduler) as pool:
        done = fan_out(_fit_chunk, _chunks(fits, wanted * CHUNKS_PER_WORKER), pool=pool)
    return [result for chunk in done for result in chunk]


def _chunks(fits: list[_Fit], count: int) -> list[list[_Fit]]:
    """Consecutive runs of fits of about equal cost, at least `count` and none much longer than LONGEST_CHUNK."""
    share = min(sum(fit.cost for fit in fits) / count, LONGEST_CHUNK)
    chunks: list[list[_Fit]] = [[]]
    size = 0.0
    for fit in fits:
        if size >= share:
            chunks.append([])
            size = 0.0
        chunks[-1].append(fit)
        size += fit.cost
    return chunks


def _fit_chunk(fits: list[_Fit]) -> list[dict[str, Path] | str]:
    return [_fit(fit) for fit in fits]


def _fit(fit: _Fit) -> dict[str, Path] | str:
    """The paths of one series at one cutoff by model, or why Stan's optimiser gave up on it."""
    try:
        default = fit.made.get(DEFAULT) or forecast_path(fit.known, horizon=fit.horizon)
    except RuntimeError as error:
        return f"Prophet could not fit it: {error}"
    paths = {**fit.made, DEFAULT: default}
    for name in replace(fit, made=paths).missing:
        paths[name] = baseline_path(name, fit.known, horizon=fit.horizon, default=default)
    return paths
