"""Rolling-origin backtest: what each model would have said at past origins, against what came."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from forecasting import metrics
from forecasting.fits import Fitted, Task, fit_all, usable_cutoffs
from forecasting.intervals import QUANTILES, quantiles, reach_of
from forecasting.method import DEFAULT
from forecasting.selection import choose_model
from forecasting.series import MODEL, SERIES, DailySeries, Floats, Refusal, read_series

STEP_DAYS: Final = 26
"""Days between origins: no multiple of a week or a month, so that origins fall on different weekdays and month days."""
EARLIER_STEPS: Final = 3
"""Fits before each origin that calibrate its bands; neighbouring origins share them."""
POOLED: Final = "(all)"
FIGURES: Final = ("wape", "smape", "mase", "bias", "coverage80", "coverage95")


@dataclass(frozen=True)
class Backtest:
    """Figures by series and model, the same pooled over all series, the model to use, and series that gave none.

    series: `series, model, chosen, horizon, origins` and the figures; pooled: `model, chosen, folds, wins_ratio`
    (the share of folds in which its median was nearer than the default's) and the figures. Pooled WAPE and bias add
    money up: pool series of one currency.
    """

    series: pl.DataFrame
    pooled: pl.DataFrame
    chosen: str
    horizon: int
    origins: int
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, eq=False)
class _Fold:
    """One model on one series from one origin."""

    series: str
    origin: int
    model: str
    actual: Floats
    mean: Floats
    bands: dict[str, Floats]
    calibrated: bool
    scale: float


def backtest(
    frame: pl.DataFrame, *, horizon: int, origins: int, workers: int | None = None, scheduler: str | None = None
) -> Backtest:
    """The default and its baselines on a frame `series,date,value`, judged from `origins` past days each."""
    usable, refused = read_series(frame)
    tasks = [task for series in usable if (task := backtest_task(series, horizon=horizon, origins=origins)) is not None]
    backtested = {task.series.name for task in tasks}
    short = [
        Refusal(s.name, f"too short for a backtest {horizon} days ahead") for s in usable if s.name not in backtested
    ]
    fitted, failed = fit_all(tasks, workers=workers, scheduler=scheduler)
    return judge(fitted, horizon=horizon, origins=origins, refused=[*refused, *short, *failed])


def origin_lengths(series: DailySeries, *, horizon: int, origins: int) -> tuple[int, ...]:
    """How many days were known at each past origin, newest first; the horizon after each lies in the history."""
    newest = len(series.values) - horizon
    wanted = [newest - STEP_DAYS * back for back in range(origins)]
    return tuple(reversed(usable_cutoffs(series, wanted)))


def backtest_task(series: DailySeries, *, horizon: int, origins: int, baseline_bands: bool = True) -> Task | None:
    """The fits that a backtest of a series needs; None where no origin has history enough before it.

    Without baseline_bands the baselines are fitted at the origins only: less work, and fewer fits for their bands.
    """
    lengths = origin_lengths(series, horizon=horizon, origins=origins)
    if not lengths:
        return None
    earlier = [length - STEP_DAYS * back for length in lengths for back in range(1, EARLIER_STEPS + 1)]
    cutoffs = usable_cutoffs(series, [*lengths, *earlier])
    return Task(series, horizon, cutoffs, compared=cutoffs if baseline_bands else lengths)


def judge(fitted: Sequence[Fitted], *, horizon: int, origins: int, refused: Sequence[Refusal] = ()) -> Backtest:
    """The figures of fits that `backtest_task` asked for."""
    folds = [fold for back in range(origins) for fold in _folds_at(fitted, horizon, origins, back)]
    by_series = (
        _figures(folds, (SERIES, MODEL)).rename({"folds": "origins"}).with_columns(horizon=pl.lit(horizon, pl.Int64))
    )
    # models are compared on the same folds: where the default fell back, no baseline was fitted
    compared = {(fold.series, fold.origin) for fold in folds if fold.model != DEFAULT}
    shared = [fold for fold in folds if (fold.series, fold.origin) in compared] or folds
    pooled = _figures(shared, (MODEL,)).join(_wins(shared), on=MODEL, how="left")
    chosen = choose_model(pooled)
    flag = (pl.col(MODEL) == chosen).alias("chosen")
    own = pl.when(flag.any().over(SERIES)).then(flag).otherwise(pl.col(MODEL) == DEFAULT).alias("chosen")
    return Backtest(
        series=by_series.select(SERIES, MODEL, own, "horizon", "origins", *FIGURES),
        pooled=pooled.select(MODEL, flag, "folds", "wins_ratio", *FIGURES),
        chosen=chosen,
        horizon=horizon,
        origins=origins,
        refused=tuple(refused),
    )


def _folds_at(portfolio: Sequence[Fitted], horizon: int, origins: int, back: int) -> list[_Fold]:
    """The folds of the origin `back` steps before the newest one, with bands calibrated on earlier fits only."""
    at = {f.series.name: len(f.series.values) - horizon - STEP_DAYS * back for f in portfolio}
    gaps = [STEP_DAYS * step for step in range(1, EARLIER_STEPS + 1)]
    present = [f for f in portfolio if at[f.series.name] in origin_lengths(f.series, horizon=horizon, origins=origins)]
    models = sorted({model for f in present for model in f.paths[at[f.series.name]]}, key=lambda m: (m != DEFAULT, m))
    folds = []
    for model in models:
        reach = reach_of(present, model, gaps=gaps, newest=at)
        past = (f.paths.get(at[f.series.name] - gap, {}) for f in present for gap in gaps)
        calibrated = model == DEFAULT or any(model in paths for paths in past)
        for fitted in present:
            length = at[fitted.series.name]
            if (path := fitted.paths[length].get(model)) is None:
                continue
            actual = fitted.series.values[length : length + horizon]
            known = ~np.isnan(actual)
            bands = {name: values[known] for name, values in quantiles(path, reach).items()}
            scale = metrics.seasonal_scale(fitted.series.values[:length])
            folds.append(
                _Fold(fitted.series.name, length, model, actual[known], path.mean[known], bands, calibrated, scale)
            )
    return folds


def _figures(folds: Sequence[_Fold], keys: tuple[str, ...]) -> pl.DataFrame:
    """One row a combination of keys: ratios of sums for WAPE and bias, means over the folds for the others."""
    groups: dict[tuple[str, ...], list[_Fold]] = {}
    for fold in folds:
        groups.setdefault(tuple(getattr(fold, key) for key in keys), []).append(fold)
    rows = [
        {**dict(zip(keys, group, strict=True)), "folds": len(members), **_figures_of(members)}
        for group, members in groups.items()
    ]
    kinds = {**dict.fromkeys(keys, pl.String()), "folds": pl.Int64(), **dict.fromkeys(FIGURES, pl.Float64())}
    return pl.DataFrame(rows, schema=kinds).with_columns(pl.col(pl.Float64).fill_nan(None)).sort(keys)


def _wins(folds: Sequence[_Fold]) -> pl.DataFrame:
    """The share of each model's folds in which its median was nearer than the default's: `model, wins_ratio`."""
    errors = pl.DataFrame(
        [(f.series, f.origin, f.model, float(np.abs(f.actual - f.bands["p50"]).sum())) for f in folds],
        schema=[SERIES, "origin", MODEL, "error"],
        schema_overrides={SERIES: pl.String, "origin": pl.Int64, MODEL: pl.String, "error": pl.Float64},
        orient="row",
    )
    default = errors.filter(pl.col(MODEL) == DEFAULT).drop(MODEL)
    wins = (pl.col("error") < pl.col("error_default")).mean().alias("wins_ratio")
    return errors.join(default, on=[SERIES, "origin"], suffix="_default").group_by(MODEL).agg(wins)


def _figures_of(folds: list[_Fold]) -> dict[str, float]:
    actual = np.concatenate([f.actual for f in folds])
    mean = np.concatenate([f.mean for f in folds])
    banded = [f for f in folds if f.calibrated]
    held = np.concatenate([np.array([]), *(f.actual for f in banded)])
    band = {name: np.concatenate([np.array([]), *(f.bands[name] for f in banded)]) for name in QUANTILES}
    return {
        "wape": metrics.wape(actual, mean),
        "smape": _mean([metrics.smape(f.actual, f.bands["p50"]) for f in folds]),
        "mase": _mean([metrics.mase(f.actual, f.bands["p50"], f.scale) for f in folds]),
        "bias": metrics.bias(actual, mean),
        "coverage80": metrics.coverage(held, band["p10"], band["p90"]),
        "coverage95": metrics.coverage(held, band["p025"], band["p975"]),
    }


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan
