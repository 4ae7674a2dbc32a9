"""Forecasts of the lake's daily cost: made, judged, frozen with what they were made of, and held against what came."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.freshness import billed_to, running
from finops.schema import TABLES
from finops.store import Lake, again_on_conflict
from forecasting.backtest import POOLED, Backtest, backtest_task, judge
from forecasting.fits import Fitted, Task, add_baseline, fit_all
from forecasting.forecast import Forecast, forecast_task, rows_of
from forecasting.method import DEFAULT
from forecasting.series import DATE, MODEL, SERIES, VALUE, DailySeries, Refusal, read_series
from reports.views.scope import Scope, column
from reports.views.words import percent

TOTAL: Final = "total"
CURRENCY: Final = "currency"
ACTUAL: Final = "actual"
CENTS: Final = pl.Decimal(38, 2)
"""What a forecast is rounded to where it becomes money."""
LEADS: Final = ((1, 7), (8, 30), (31, 90), (91, 730))
"""Days ahead that a track record tells apart."""


@dataclass(frozen=True)
class History:
    """Daily cost by series: rows `series, currency, date, value` (null where nothing is known), each up to its cutoff.

    A series ends at the last day that all its sources have billed in full.
    """

    rows: pl.DataFrame
    cutoffs: Mapping[str, date]
    currencies: Mapping[str, str]


@dataclass(frozen=True)
class ForecastRun:
    """What a run froze: its id (None where there was nothing to forecast), how many series and rows, to which day.

    accuracy: pooled backtest figures by model and currency; models: the one used in each currency; fallbacks: series
    whose history is too short or too plain, with the model that says so; refused: series that got no forecast.
    """

    forecast_id: str | None
    series: int
    rows: int
    cutoff: date | None
    accuracy: pl.DataFrame
    models: Mapping[str, str]
    fallbacks: Mapping[str, str]
    refused: tuple[Refusal, ...]


def daily_series(
    lake: Lake,
    *,
    by: Sequence[str] = (),
    where: Mapping[str, object] | None = None,
    cost: str = "effective",
    main_currency: str | None = None,
) -> History:
    """The lake's cost by day and by dimensions, as series named like `team=Support`; without dimensions, `total`.

    A day without a charge of a series counts as 0, unless the whole ledger is empty on it: then it is missing.
    Two currencies are never added: with main_currency, cost in another one is a series of its own that carries the
    currency in its name; without it, CallError is raised. So it is for an unknown dimension, value or cost.
    """
    scope = Scope.of(where, cost=cost)
    ledger = lake.scan("spend_daily").filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
    name = _series_name({name: column(name) for name in dict.fromkeys(by)}, main_currency)
    sums = (
        scope.filter(ledger)
        .group_by(
            name.alias(SERIES),
            pl.col(s.BILLING_CURRENCY).alias(CURRENCY),
            pl.col(s.CHARGE_DATE).alias(DATE),
            s.SOURCE_ID,
        )
        .agg(pl.col(scope.measure).sum().alias(VALUE))
        .collect()
    )
    _refuse_two_currencies(sums)
    complete = running(billed_to(ledger))
    days = ledger.select(pl.col(s.CHARGE_DATE).alias(DATE)).unique().with_columns(held=pl.lit(True)).collect()
    rows = pl.concat(
        [
            pl.DataFrame(schema={SERIES: pl.String(), CURRENCY: pl.String(), DATE: pl.Date(), VALUE: s.MONEY}),
            *(
                _to_cutoff(part, complete, days)
                for _, part in sums.sort(SERIES).group_by([SERIES], maintain_order=True)
            ),
        ]
    )
    ends = rows.group_by(SERIES).agg(pl.col(DATE).max(), pl.col(CURRENCY).first())
    return History(
        rows, dict(zip(ends[SERIES], ends[DATE], strict=True)), dict(zip(ends[SERIES], ends[CURRENCY], strict=True))
    )


def _series_name(keys: Mapping[str, str], main_currency: str | None) -> pl.Expr:
    parts = [
        pl.format("{}={}", pl.lit(name), pl.col(c).cast(pl.String).fill_null("(none)")) for name, c in keys.items()
    ]
    name = pl.concat_str(parts, separator=",") if parts else pl.lit(TOTAL)
    if main_currency is None:
        return name
    currency = pl.col(s.BILLING_CURRENCY)
    return pl.when(currency == main_currency).then(name).otherwise(pl.format("{},currency={}", name, currency))


def _refuse_two_currencies(sums: pl.DataFrame) -> None:
    several = sums.group_by(SERIES).agg(pl.col(CURRENCY).unique().sort()).filter(pl.col(CURRENCY).list.len() > 1)
    if several.is_empty():
        return
    found = several.sort(SERIES).row(0, named=True)
    raise CallError(
        f"the series {found[SERIES]} holds charges in {' and '.join(found[CURRENCY])}",
        expected="one currency in a series: two are never added",
        next_step=f"add currency to --by, or narrow with --where currency={found[CURRENCY][0]}",
    )


def _to_cutoff(part: pl.DataFrame, complete: Mapping[str, date], held: pl.DataFrame) -> pl.DataFrame:
    """One series on every day from its first charge to the day up to which all its running sources are complete."""
    ends = [complete[source] for source in part[s.SOURCE_ID].unique() if source in complete]
    cutoff = min(ends or complete.values())
    days = pl.DataFrame({DATE: pl.date_range(part[DATE].sort()[0], cutoff, eager=True)})
    sums = part.group_by(DATE).agg(pl.col(VALUE).sum())
    zero = pl.when(pl.col("held")).then(pl.lit(0, s.MONEY))
    return (
        days.join(sums, on=DATE, how="left")
        .join(held, on=DATE, how="left")
        .select(
            pl.lit(part[SERIES][0]).alias(SERIES),
            pl.lit(part[CURRENCY][0]).alias(CURRENCY),
            DATE,
            pl.coalesce(VALUE, zero).cast(s.MONEY).alias(VALUE),
        )
        .sort(DATE)
    )


@again_on_conflict
def refresh(config: Config, lake: Lake, *, say: Callable[[str], None]) -> ForecastRun:
    """Forecast all AI spend and its configured groupings, and freeze rows and backtest figures in one transaction."""
    settings = config.forecast
    histories = _ai_histories(config, lake, settings.groupings, settings.cost)
    series, refused = read_series(pl.concat([h.rows.select(SERIES, DATE, VALUE) for h in histories.values()]))
    if not series:
        say("No AI spend in the lake: nothing to forecast.")
        return ForecastRun(None, 0, 0, None, pl.DataFrame(), {}, {}, tuple(refused))
    say(f"Forecasting {len(series)} series {settings.horizon_days} days ahead")
    tasks = [_task(one, settings.horizon_days, settings.origins) for one in series]
    fitted, failed = fit_all(tasks, workers=config.execution.workers, scheduler=config.execution.scheduler)
    about = _about(histories)
    rows, backtests = [], {}
    for currency in sorted(set(about[CURRENCY])):
        members = [f for f in fitted if f.series.name in set(about.filter(pl.col(CURRENCY) == currency)[SERIES])]
        backtests[currency] = judge(members, horizon=settings.horizon_days, origins=settings.origins)
        rows.append(_rows(config, members, backtests[currency].chosen))
    made = Forecast(pl.concat(rows), (*refused, *failed))
    with lake.transaction("forecast") as tx:
        stamped = {"forecast_id": tx.run_id, "made_at": tx.started_at, "measure": settings.cost}
        tx.append("forecasts", _frozen(made.rows.join(about, on=SERIES), stamped))
        tx.append("backtests", _judged(backtests, about, stamped))
    run = ForecastRun(
        forecast_id=tx.run_id,
        series=len(fitted),
        rows=made.rows.height,
        cutoff=max(about["cutoff"]),
        accuracy=pl.concat([test.pooled.with_columns(pl.lit(c).alias(CURRENCY)) for c, test in backtests.items()]),
        models={currency: test.chosen for currency, test in backtests.items()},
        fallbacks=made.fallbacks,
        refused=made.refused,
    )
    for line in summary(run):
        say(line)
    return run


def _ai_histories(config: Config, lake: Lake, groupings: Sequence[Sequence[str]], cost: str) -> dict[str, History]:
    """All AI spend under the grouping `total`, and each grouping under its own words."""
    return {
        ",".join(by) or TOTAL: daily_series(
            lake, by=by, where={"is_ai": True}, cost=cost, main_currency=config.company.currency
        )
        for by in ((), *groupings)
    }


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
    past = backtest_task(series, horizon=horizon, origins=origins, baseline_bands=False)
    return ahead if past is None else replace(past, cutoffs=(*ahead.cutoffs, *past.cutoffs))


def _rows(config: Config, fitted: list[Fitted], model: str) -> pl.DataFrame:
    """The forecast rows of the chosen model; a baseline that is chosen is fitted at the cutoffs its bands need."""
    if model != DEFAULT:
        execution = config.execution
        fitted = add_baseline(fitted, model, workers=execution.workers, scheduler=execution.scheduler)
    return rows_of(fitted, model=model)


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


def _as_table(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(column).cast(kind) for column, kind in TABLES[name].columns.items())


def summary(run: ForecastRun) -> list[str]:
    """What a run says of itself, in sentences for people."""
    lines = [f"{run.series} series forecast; the newest day that is billed in full is {run.cutoff}."]
    lines += [f"{name}: {model}" for name, model in run.fallbacks.items()]
    lines += [f"{refusal.series}: no forecast, because {refusal.reason}" for refusal in run.refused]
    for currency, model in run.models.items():
        judged = run.accuracy.filter((pl.col(MODEL) == model) & (pl.col(CURRENCY) == currency)).drop_nulls("wape")
        if judged.is_empty():
            lines.append(f"{currency}: the history is too short for a backtest; {model} is not yet judged.")
            continue
        figures = judged.row(0, named=True)
        line = f"{currency}: in the backtest, forecasts missed a day's cost by {percent(figures['wape'])}"
        if figures["coverage80"] is not None:
            line += f", and the 80 % band held {percent(figures['coverage80'])} of days"
        lines.append(f"{line} ({model}).")
    return lines


def month_landing(config: Config, lake: Lake) -> pl.DataFrame:
    """Where each month lands: cost to the cutoff plus the newest frozen forecast's mean of the days after it.

    Rows `grouping, series, currency, period, cutoff, actual, expected_rest, landing`, for the months from the first
    forecast day to the last that the horizon covers whole. Money is decimal, the forecast rounded to cents.
    """
    frozen = lake.scan("forecasts").filter(pl.col("forecast_id") == pl.col("forecast_id").max()).collect()
    keys = ["grouping", SERIES, CURRENCY, "cutoff", "period"]
    period = pl.col(DATE).dt.strftime("%Y-%m").alias("period")
    rest = (
        frozen.filter(pl.col(DATE).dt.month_end() <= pl.col(DATE).max().over(SERIES))
        .group_by(*keys[:-1], period)
        .agg(pl.col("mean").sum().cast(CENTS).cast(s.MONEY).alias("expected_rest"))
    )
    actual = (
        _actuals(config, lake, frozen)
        .join(frozen.select(SERIES, "cutoff").unique(), on=SERIES)
        .filter(pl.col(DATE) <= pl.col("cutoff"))
        .group_by(SERIES, period)
        .agg(pl.col(ACTUAL).sum())
    )
    landed = rest.join(actual, on=[SERIES, "period"], how="left").with_columns(
        pl.col(ACTUAL).fill_null(0).cast(s.MONEY)
    )
    landing = (pl.col(ACTUAL) + pl.col("expected_rest")).cast(s.MONEY).alias("landing")
    return landed.select(*keys, ACTUAL, "expected_rest", landing).sort(keys)


def track_record(config: Config, lake: Lake) -> pl.DataFrame:
    """Frozen forecasts against what came, on the days that are billed in full by now.

    Columns `grouping, series, currency, measure, model, days_ahead, forecasts, days, wape, bias, coverage80,
    coverage95`. Of forecasts with the same cutoff the newest counts.
    """
    frozen = lake.scan("forecasts").sort("made_at").collect().unique([SERIES, "measure", "cutoff", DATE], keep="last")
    came = frozen.join(_actuals(config, lake, frozen), on=[SERIES, "measure", DATE]).drop_nulls(ACTUAL)
    lead = (pl.col(DATE) - pl.col("cutoff")).dt.total_days()
    actual, mean = pl.col(ACTUAL).cast(pl.Float64), pl.col("mean")
    size = pl.when(actual.abs().sum() > 0).then(actual.abs().sum())
    keys = ["grouping", SERIES, CURRENCY, "measure", MODEL]
    return (
        came.with_columns(
            days_ahead=pl.coalesce(pl.when(lead <= last).then(pl.lit(f"{first}-{last}")) for first, last in LEADS),
            lead=lead,
        )
        .group_by(*keys, "days_ahead")
        .agg(
            pl.col("lead").min(),
            pl.col("cutoff").n_unique().cast(pl.Int64).alias("forecasts"),
            pl.len().cast(pl.Int64).alias("days"),
            ((actual - mean).abs().sum() / size).alias("wape"),
            ((mean - actual).sum() / size).alias("bias"),
            actual.is_between(pl.col("p10"), pl.col("p90")).mean().alias("coverage80"),
            actual.is_between(pl.col("p025"), pl.col("p975")).mean().alias("coverage95"),
        )
        .sort(*keys, "lead")
        .drop("lead")
    )


def _actuals(config: Config, lake: Lake, frozen: pl.DataFrame) -> pl.DataFrame:
    """What came for the series of frozen rows: `series, measure, date, actual`, to each series' cutoff of today."""
    frames = [
        daily_series(
            lake,
            by=() if grouping == TOTAL else grouping.split(","),
            where={"is_ai": True},
            cost=measure,
            main_currency=config.company.currency,
        ).rows.select(SERIES, pl.lit(measure).alias("measure"), DATE, pl.col(VALUE).alias(ACTUAL))
        for grouping, measure in frozen.select("grouping", "measure").unique().sort("grouping", "measure").iter_rows()
    ]
    empty = {SERIES: pl.String(), "measure": pl.String(), DATE: pl.Date(), ACTUAL: s.MONEY}
    return pl.concat([pl.DataFrame(schema=empty), *frames])
