"""Rolling-origin backtest: what each model would have said at past origins, against what came."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from forecasting.baselines import ALWAYS_JUDGED, baseline_path
from forecasting.fits import Fitted, Task, fit_all, usable_cutoffs
from forecasting.intervals import Reach, no_reach, quantiles, reach_of
from forecasting.method import DEFAULT, Path
from forecasting.metrics import (
    ACTUAL,
    BANDS,
    CALIBRATED,
    DAYS_AHEAD,
    FIGURES,
    LEAD,
    MEAN,
    SCALE,
    fold_sums,
    pool,
    seasonal_scale,
)
from forecasting.selection import choose, compared, shape_of
from forecasting.series import DATE, MODEL, SERIES, DailySeries, Refusal, read_series

STEP_DAYS: Final = 26
"""Days between origins: no multiple of a week or a month, so that origins fall on different weekdays and month days."""
EARLIER_STEPS: Final = 3
"""Fits before each origin that calibrate its bands; neighbouring origins share them ..."""
ADDED_STEPS: Final = 2
"""... and so many are made before the oldest origin, of the default alone."""
BATCH_SERIES: Final = 200
"""So many series at a time are held against what came, day by day; of the others only sums are kept."""
POOLED: Final = "(all)"
ORIGIN: Final = "origin"


@dataclass(frozen=True)
class Backtest:
    """Figures by series and model, the same pooled over all series, the models to use, and series that gave none.

    series: `series, model, chosen, days_ahead, horizon, origins` and the figures; pooled: `model, chosen, days_ahead,
    folds, wins_ratio` (the share of folds in which its median was nearer than the default's) and the figures.
    days_ahead: metrics.LABELS, "all" for the whole horizon. Pooled WAPE and bias add money up: pool series of one
    currency. choices: the model to use by series; chosen: the one that most of them use.
    """

    series: pl.DataFrame
    pooled: pl.DataFrame
    chosen: str
    choices: Mapping[str, str]
    horizon: int
    origins: int
    refused: tuple[Refusal, ...]


def backtest(
    frame: pl.DataFrame, *, horizon: int, origins: int, workers: int | None = None, scheduler: str | None = None
) -> Backtest:
    """The default and its baselines on a frame `series,date,value`, judged from `origins` past days each."""
    usable, refused = read_series(frame)
    return backtest_series(
        usable, horizon=horizon, origins=origins, refused=refused, workers=workers, scheduler=scheduler
    )


def backtest_series(
    series: Sequence[DailySeries],
    *,
    horizon: int,
    origins: int,
    refused: Sequence[Refusal] = (),
    workers: int | None = None,
    scheduler: str | None = None,
) -> Backtest:
    """The same of series with whatever is known of them; refused: those that could not be read."""
    tasks = [task for one in series if (task := backtest_task(one, horizon=horizon, origins=origins)) is not None]
    backtested = {task.series.name for task in tasks}
    short = [
        Refusal(s.name, f"too short for a backtest {horizon} days ahead") for s in series if s.name not in backtested
    ]
    fitted, failed = fit_all(tasks, workers=workers, scheduler=scheduler)
    return judge(fitted, horizon=horizon, origins=origins, refused=[*refused, *short, *failed])


def origin_lengths(series: DailySeries, *, horizon: int, origins: int) -> tuple[int, ...]:
    """How many days were known at each past origin, newest first; the horizon after each is billed history."""
    newest = _newest(series, horizon)
    wanted = [newest - STEP_DAYS * back for back in range(origins)]
    return tuple(reversed(usable_cutoffs(series, wanted)))


def _newest(series: DailySeries, horizon: int) -> int:
    return len(series.values) - series.estimated - horizon


def backtest_task(series: DailySeries, *, horizon: int, origins: int) -> Task | None:
    """The fits that a backtest of a series needs; None where no origin has history enough before it.

    Baselines are fitted at the origins only. Their bands are calibrated on the origins before, so that the oldest one
    says nothing of their coverage.
    """
    lengths = origin_lengths(series, horizon=horizon, origins=origins)
    if not lengths:
        return None
    earlier = [min(lengths) - STEP_DAYS * back for back in range(1, ADDED_STEPS + 1)]
    return Task(series, horizon, usable_cutoffs(series, [*lengths, *earlier]), compared=lengths)


def judge(fitted: Sequence[Fitted], *, horizon: int, origins: int, refused: Sequence[Refusal] = ()) -> Backtest:
    """The figures of fits that `backtest_task` asked for."""
    folds = _folds(fitted, horizon, origins)
    # models are compared on the same folds: where the default fell back, not all baselines were fitted
    models = pl.col(MODEL).n_unique().over(SERIES, ORIGIN)
    shared = folds.filter(models == models.max())
    pooled = compared(shared)
    better = choose(shared, {one.series.name: shape_of(one.series.billed) for one in fitted})
    choices = {one.series.name: better.get(one.series.name, DEFAULT) for one in fitted}
    count = Counter(better.values())
    chosen = max(count, key=lambda model: (count[model], model == DEFAULT, model), default=DEFAULT)
    flag = (pl.col(MODEL) == chosen).alias("chosen")
    own = (pl.col(MODEL) == pl.col(SERIES).replace_strict(choices, return_dtype=pl.String())).alias("chosen")
    by_series = (
        pool(folds, [SERIES, MODEL]).rename({"folds": "origins"}).with_columns(horizon=pl.lit(horizon, pl.Int64))
    )
    return Backtest(
        series=by_series.select(SERIES, MODEL, own, DAYS_AHEAD, "horizon", "origins", *FIGURES),
        pooled=pooled.select(MODEL, flag, DAYS_AHEAD, "folds", "wins_ratio", *FIGURES),
        chosen=chosen,
        choices=choices,
        horizon=horizon,
        origins=origins,
        refused=tuple(refused),
    )


def recent_figures(fitted: Sequence[Fitted]) -> pl.DataFrame:
    """Figures `series, model, days_ahead, origins, ...` of the past fits of a forecast, on the days that came since.

    The default beside the run-rate and the seasonal naive. These fits calibrate the bands, which they cannot judge.
    """
    sums = [fold_sums(_Rows().frame(), keys=[SERIES, MODEL], origin=ORIGIN)]
    for first in range(0, len(fitted), BATCH_SERIES):
        rows = _Rows()
        for one in fitted[first : first + BATCH_SERIES]:
            past = [cutoff for cutoff in one.paths if cutoff < len(one.series.values)]
            for length in usable_cutoffs(one.series, past):
                default, known = one.paths[length][DEFAULT], one.series.known_at(length)
                simple = {n: baseline_path(n, known, horizon=one.horizon, default=default) for n in ALWAYS_JUDGED}
                for model, path in {**simple, **one.paths[length]}.items():
                    rows.add(one.series, length, model, path, no_reach(), calibrated=False)
        sums.append(fold_sums(rows.frame(), keys=[SERIES, MODEL], origin=ORIGIN))
    return pool(pl.concat(sums, how="diagonal"), [SERIES, MODEL]).rename({"folds": "origins"})


def _folds(fitted: Sequence[Fitted], horizon: int, origins: int) -> pl.DataFrame:
    sums = [
        fold_sums(days, keys=[SERIES, MODEL], origin=ORIGIN)
        for back in range(origins)
        for days in _days_at(fitted, horizon, origins, back)
    ]
    return pl.concat(sums)


def _days_at(portfolio: Sequence[Fitted], horizon: int, origins: int, back: int) -> Iterator[pl.DataFrame]:
    """What came beside what each model said at the origin `back` steps before the newest one, a batch at a time.

    Bands are calibrated on earlier fits of the whole portfolio.
    """
    at = {f.series.name: _newest(f.series, horizon) - STEP_DAYS * back for f in portfolio}
    gaps = [STEP_DAYS * step for step in range(1, EARLIER_STEPS + 1)]
    present = [f for f in portfolio if at[f.series.name] in origin_lengths(f.series, horizon=horizon, origins=origins)]
    models = sorted({model for f in present for model in f.paths[at[f.series.name]]})
    reach = {model: reach_of(present, model, gaps=gaps, newest=at) for model in models}
    past = {model for f in present for gap in gaps for model in f.paths.get(at[f.series.name] - gap, {})}
    for first in range(0, max(1, len(present)), BATCH_SERIES):
        rows = _Rows()
        for fitted in present[first : first + BATCH_SERIES]:
            length = at[fitted.series.name]
            for model, path in fitted.paths[length].items():
                rows.add(fitted.series, length, model, path, reach[model], calibrated=model in {DEFAULT, *past})
        yield rows.frame()


class _Rows:
    """Columns of forecast days, collected path by path."""

    def __init__(self) -> None:
        self._folds: list[tuple[str, str, int, bool, float | None, int]] = []
        self._arrays: dict[str, list[np.ndarray]] = {name: [np.array([], kind)] for name, kind in _COLUMNS.items()}

    def add(self, series: DailySeries, length: int, model: str, path: Path, reach: Reach, *, calibrated: bool) -> None:
        """What `path` said of the days after the first `length` ones of a series, beside what they came to."""
        bands = quantiles(path, reach)
        scale = seasonal_scale(series.known_at(length).values)
        came = series.billed[length : length + len(path.mean)]
        columns = {
            DATE: series.days()[length : length + len(came)], LEAD: np.arange(1, len(came) + 1), ACTUAL: came,
            MEAN: path.mean, **bands,
        }  # fmt: skip
        self._folds.append((series.name, model, length, calibrated, None if np.isnan(scale) else scale, len(came)))
        for name, parts in self._arrays.items():
            parts.append(columns[name][: len(came)])

    def frame(self) -> pl.DataFrame:
        """One row a fold and day ahead, as fold_sums reads them."""
        folds = pl.DataFrame(self._folds, schema=_FOLD, orient="row")
        days = pl.DataFrame({name: np.concatenate(parts) for name, parts in self._arrays.items()})
        repeated = folds.select(pl.all().exclude("count").repeat_by("count").explode(empty_as_null=False))
        return repeated.hstack(days).with_columns(pl.col(ACTUAL).fill_nan(None))


_COLUMNS: Final = {DATE: "datetime64[D]", LEAD: "int64", **dict.fromkeys((ACTUAL, MEAN, *BANDS), "float64")}
_FOLD: Final = {
    SERIES: pl.String(), MODEL: pl.String(), ORIGIN: pl.Int64(), CALIBRATED: pl.Boolean(), SCALE: pl.Float64(),
    "count": pl.Int64(),
}  # fmt: skip
