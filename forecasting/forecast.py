"""Forecasts of a portfolio of daily series: a frame in, dated quantiles out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from forecasting.fits import Fitted, Task, fit_all, usable_cutoffs
from forecasting.intervals import OFFSETS_DAYS, QUANTILES, no_reach, quantiles, reach_of
from forecasting.series import DATE, MODEL, SERIES, DailySeries, Refusal, read_series
from forecasting.trust import Trust, trusts

OUTPUT: Final = {
    SERIES: pl.String(), DATE: pl.Date(), MODEL: pl.String(), "mean": pl.Float64(),
    **dict.fromkeys(QUANTILES, pl.Float64()),
}  # fmt: skip


@dataclass(frozen=True)
class Forecast:
    """rows: `series,date,model,mean,p025,p05,p10,p50,p90,p95,p975`, one a series and day ahead; refused: who got none;
    trust: how far each series' forecast can be relied on.

    Use `mean` for totals and budgets: medians do not add up.
    """

    rows: pl.DataFrame
    refused: tuple[Refusal, ...]
    trust: tuple[Trust, ...] = ()

    @property
    def fallbacks(self) -> dict[str, str]:
        """The series whose history is too short or too plain for the default, with the model's name, which says so."""
        simple = self.rows.filter(pl.col(MODEL).str.contains("(", literal=True)).unique([SERIES, MODEL]).sort(SERIES)
        return dict(zip(simple[SERIES], simple[MODEL], strict=True))


def forecast(
    frame: pl.DataFrame, *, horizon: int, workers: int | None = None, scheduler: str | None = None
) -> Forecast:
    """The default method on every series of a frame `series,date,value`, from the day after each series' own last row.

    workers, scheduler: as in finops.execution; the result does not depend on them.
    """
    usable, refused = read_series(frame)
    return forecast_series(usable, horizon=horizon, refused=refused, workers=workers, scheduler=scheduler)


def forecast_series(
    series: Sequence[DailySeries],
    *,
    horizon: int,
    refused: Sequence[Refusal] = (),
    workers: int | None = None,
    scheduler: str | None = None,
) -> Forecast:
    """The default method on series with whatever is known of them; refused: those that could not be read."""
    tasks = [forecast_task(one, horizon=horizon) for one in series]
    fitted, failed = fit_all(tasks, workers=workers, scheduler=scheduler)
    graded = trusts(fitted)
    return Forecast(rows_of(fitted), (*refused, *failed), tuple(graded))


def forecast_task(series: DailySeries, *, horizon: int) -> Task:
    """The fits that a forecast needs: one on all days, and past ones to calibrate its bands."""
    length = len(series.values)
    cutoffs = (*usable_cutoffs(series, [length - days for days in OFFSETS_DAYS]), length)
    return Task(series, horizon, cutoffs)


def rows_of(portfolio: Sequence[Fitted]) -> pl.DataFrame:
    """The forecast rows of fits that `forecast_task` asked for, each series by the model in use."""
    newest = {fitted.series.name: len(fitted.series.values) for fitted in portfolio}
    models = {fitted.model for fitted in portfolio}
    reaches = {model: reach_of(portfolio, model, gaps=OFFSETS_DAYS, newest=newest) for model in sorted(models)}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (DATE, "mean", *QUANTILES)}
    names = []
    for fitted in portfolio:
        path = fitted.paths[len(fitted.series.values)][fitted.model]
        bands = quantiles(path, reaches[fitted.model] if path.model == fitted.model else no_reach())
        days = fitted.series.days(fitted.horizon)[-fitted.horizon :]
        names.append((fitted.series.name, path.name, fitted.horizon))
        for name, values in {DATE: days, "mean": path.mean, **bands}.items():
            columns[name].append(values)
    if not names:
        return pl.DataFrame(schema=OUTPUT)
    # one frame for all: a frame for each series takes longer than its quantiles
    kinds = {SERIES: pl.String(), MODEL: pl.String(), "count": pl.Int64()}
    rows = pl.DataFrame(names, schema=kinds, orient="row").select(pl.col(SERIES, MODEL).repeat_by("count").explode())
    numbers = pl.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
    return rows.hstack(numbers).select(pl.col(name).cast(kind) for name, kind in OUTPUT.items())
