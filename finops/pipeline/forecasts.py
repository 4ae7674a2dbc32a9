"""Forecasts of the lake's daily cost: made, judged, and frozen with what they were made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

import polars as pl

from finops.config import Config
from finops.pipeline.histories import CURRENCY, TOTAL, History, ai_histories, ai_selection
from finops.pipeline.known import with_known
from finops.pipeline.landing import frozen_paths, frozen_totals
from finops.pipeline.late_days import completed
from finops.pipeline.loads import Past
from finops.pipeline.vintages import as_it_stood
from finops.schema import TABLES
from finops.store import Lake, again_on_conflict
from forecasting.backtest import POOLED, Backtest, backtest_task, judge
from forecasting.fit_cache import FitCache
from forecasting.fits import Task, fit_all, use
from forecasting.forecast import Forecast, forecast_task, rows_of
from forecasting.method import DEFAULT
from forecasting.metrics import ALL_DAYS, DAYS_AHEAD
from forecasting.paths import paths_of
from forecasting.reconciliation import BASE, KEPT, MINT, WLS, Reconciled, reconcile
from forecasting.series import DATE, MODEL, SERIES, VALUE, DailySeries, Refusal, read_series
from forecasting.trust import Trust, doubtful, trusts
from reports.views.words import percent

FITS: Final = "fits.npz"
"""The fits of the last run, in the home's cache."""


@dataclass(frozen=True)
class ForecastRun:
    """What a run froze: its id (None where there was nothing to forecast), how many series and rows, to which day.

    accuracy: pooled backtest figures by model and currency; models: the one that most series of a currency use;
    overruled: series for which the backtest prefers a baseline, with that; fallbacks: series whose history is too short
    or too plain, with the model that says so; refused: series that got no forecast; trust: how far each series'
    forecast can be relied on; sums: how the forecasts of each currency were made to sum.
    """

    forecast_id: str | None
    series: int
    rows: int
    cutoff: date | None
    accuracy: pl.DataFrame
    models: Mapping[str, str]
    fallbacks: Mapping[str, str]
    refused: tuple[Refusal, ...]
    trust: tuple[Trust, ...] = ()
    overruled: Mapping[str, str] = field(default_factory=dict)
    sums: Mapping[str, Reconciled] = field(default_factory=dict)


@again_on_conflict
def refresh(config: Config, lake: Lake, *, say: Callable[[str], None]) -> ForecastRun:
    """Forecast all AI spend and its configured groupings, and freeze rows and backtest figures in one transaction."""
    settings = config.forecast
    histories = ai_histories(config, lake, settings.groupings, settings.cost)
    series, refused = read_series(pl.concat([h.rows.select(SERIES, DATE, VALUE) for h in histories.values()]))
    if not series:
        say("No AI spend in the lake: nothing to forecast.")
        return ForecastRun(None, 0, 0, None, pl.DataFrame(), {}, {}, tuple(refused))
    say(f"Forecasting {len(series)} series {settings.horizon_days} days ahead")
    past = Past(lake, ai_selection(config, settings.groupings, settings.cost), ((), *settings.groupings))
    recent = completed(past, series, histories.values())
    histories = dict(zip(histories, recent.histories, strict=True))
    known = with_known(config, lake, recent.series, selection=past.selection, groupings=past.groupings)
    tasks = as_it_stood(past, [_task(one, settings.horizon_days, settings.origins) for one in known])
    cache, workers, scheduler = FitCache(config.cache / FITS), config.execution.workers, config.execution.scheduler
    fitted, failed = fit_all(tasks, workers=workers, scheduler=scheduler, cache=cache)
    about = _about(histories)
    served, rows, backtests, graded = [], [], {}, list[Trust]()
    keys, sums = {name: key for h in histories.values() for name, key in h.keys.items()}, {}
    for currency in sorted(set(about[CURRENCY])):
        names = set(about.filter(pl.col(CURRENCY) == currency)[SERIES])
        members = [f for f in fitted if f.series.name in names]
        backtests[currency] = judge(members, horizon=settings.horizon_days, origins=settings.origins)
        members = use(members, backtests[currency].choices, workers=workers, scheduler=scheduler, cache=cache)
        sums[currency] = reconcile(members, {name: keys[name] for name in names})
        members = sums[currency].portfolio
        served += members
        rows.append(recent.before(rows_of(members)))
        graded += trusts(members, judged=backtests[currency].series)
    _keep(cache, say)
    made = Forecast(pl.concat(rows), (*refused, *failed))
    paths, history = paths_of(served, made.rows), pl.concat([h.rows for h in histories.values()])
    with lake.transaction("forecast") as tx:
        stamped = {"forecast_id": tx.run_id, "made_at": tx.started_at, "measure": settings.cost}
        tx.append("forecasts", _frozen(made.rows.join(about, on=SERIES), stamped))
        tx.append("backtests", _judged(backtests, about, stamped))
        tx.append("trust", _graded(graded, about, stamped))
        tx.append("forecast_totals", frozen_totals(paths, about, history, stamped))
        tx.replace("forecast_paths", frozen_paths(paths, about, stamped))
    run = ForecastRun(
        forecast_id=tx.run_id,
        series=len(fitted),
        rows=made.rows.height,
        cutoff=max(about["cutoff"]),
        accuracy=pl.concat([test.pooled.with_columns(pl.lit(c).alias(CURRENCY)) for c, test in backtests.items()]),
        models={currency: test.chosen for currency, test in backtests.items()},
        fallbacks=made.fallbacks,
        refused=made.refused,
        trust=tuple(graded),
        overruled={one.series.name: one.model for one in served if one.model != DEFAULT},
        sums=sums,
    )
    for line in summary(run):
        say(line)
    return run


def _keep(cache: FitCache, say: Callable[[str], None]) -> None:
    try:
        cache.save()
    except OSError as error:
        say(f"The fits could not be kept, so the next run makes them again: {error}")


def _about(histories: Mapping[str, History]) -> pl.DataFrame:
    """What is known of each series beside its values: `series, grouping, currency, cutoff`."""
    rows = [
        (name, grouping, history.currencies[name], cutoff)
        for grouping, history in histories.items()
        for name, cutoff in history.cutoffs.items()
    ]
    schema = {SERIES: pl.String(), "grouping": pl.String(), CURRENCY: pl.String(), "cutoff": pl.Date()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _task(series: DailySeries, horizon: int, origins: int) -> Task:
    """The fits of a series' forecast and of its backtest together, so that one fan-out does both."""
    ahead = forecast_task(series, horizon=horizon)
    past = backtest_task(series, horizon=horizon, origins=origins)
    return ahead if past is None else replace(past, cutoffs=(*ahead.cutoffs, *past.cutoffs))


def _frozen(rows: pl.DataFrame, stamped: Mapping[str, object]) -> pl.DataFrame:
    month = pl.col("cutoff").dt.strftime("%Y-%m").alias("cutoff_month")
    return _as_table("forecasts", rows.with_columns(month, *(pl.lit(v).alias(k) for k, v in stamped.items())))


def _judged(backtests: Mapping[str, Backtest], about: pl.DataFrame, stamped: Mapping[str, object]) -> pl.DataFrame:
    """Backtest figures of each series, and pooled per currency under the series and grouping `(all)`."""
    frames = []
    for currency, test in backtests.items():
        pooled = test.pooled.with_columns(
            pl.lit(f"{POOLED} {currency}").alias(SERIES),
            pl.lit(POOLED).alias("grouping"),
            pl.lit(test.horizon, pl.Int64).alias("horizon"),
            pl.lit(test.origins, pl.Int64).alias("origins"),
        )
        frames += [test.series.join(about.select(SERIES, "grouping"), on=SERIES), pooled.drop("folds", "wins_ratio")]
    stamps = [pl.lit(value).alias(name) for name, value in stamped.items()]
    return _as_table("backtests", pl.concat(frames, how="diagonal").with_columns(stamps))


def _graded(trust: Sequence[Trust], about: pl.DataFrame, stamped: Mapping[str, object]) -> pl.DataFrame:
    rows = [(one.series, one.grade, one.sentence) for one in trust]
    frame = pl.DataFrame(rows, schema=dict.fromkeys((SERIES, "grade", "sentence"), pl.String()), orient="row")
    stamps = [pl.lit(value).alias(name) for name, value in stamped.items()]
    return _as_table("trust", frame.join(about.select(SERIES, "grouping"), on=SERIES).with_columns(stamps))


def _as_table(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(column).cast(kind) for column, kind in TABLES[name].columns.items())


def summary(run: ForecastRun) -> list[str]:
    """What a run says of itself, in sentences for people."""
    lines = [f"{run.series} series forecast; the newest day that is billed in full is {run.cutoff}."]
    lines += [f"{name}: {model}" for name, model in run.fallbacks.items()]
    lines += [f"{refusal.series}: no forecast, because {refusal.reason}" for refusal in run.refused]
    lines += [f"{one.series}: {one.sentence}" for one in doubtful(run.trust)]
    lines += [f"{name}: {model}, which does better on series like it" for name, model in run.overruled.items()]
    for currency, model in run.models.items():
        used = (pl.col(MODEL) == model) & (pl.col(CURRENCY) == currency) & (pl.col(DAYS_AHEAD) == ALL_DAYS)
        judged = run.accuracy.filter(used).drop_nulls("wape")
        if judged.is_empty():
            lines.append(f"{currency}: the history is too short for a backtest; {model} is not yet judged.")
            continue
        figures = judged.row(0, named=True)
        line = f"{currency}: in the backtest, forecasts missed a day's cost by {percent(figures['wape'])}"
        if figures["coverage80"] is not None:
            line += f", and the 80 % band held {percent(figures['coverage80'])} of days"
        lines.append(f"{line} ({model}).")
    return lines + [line for currency, made in run.sums.items() for line in _said_of_sums(currency, made)]


def _said_of_sums(currency: str, made: Reconciled) -> list[str]:
    lines = [
        f"{currency}: forecasts by {grouping} are not made to sum, because {series} has no forecast."
        for grouping, series in made.left_out.items()
    ]
    if made.rule is None:
        return lines
    how = {
        WLS: "the surer a forecast, the less it moves",
        MINT: "the surer a forecast, the less it moves, and errors that go together count once",
        KEPT + TOTAL: "the forecast of the total stays, the others follow",
    }.get(made.rule)
    if how is None:
        stays = made.rule.startswith(KEPT)
        how = f"those by {made.rule.split(' ', 1)[1]} {'stay, the others follow' if stays else 'move least'}"
    line = f"{currency}: forecasts of parts sum to those of their totals; {how}."
    if made.missed:
        before, after = made.missed[BASE] * 100, made.missed[made.rule] * 100
        line += f" In the backtest that takes what all missed a day's cost by from {before:.1f} % to {after:.1f} %."
    return [*lines, line]
