"""`finops forecast`, `finops backtest` and `finops track-record`: what is to come, and how good that has been."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date as date_type
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from finops.cli.session import Format, Session, conditions, session
from finops.errors import CallError, InputError
from finops.pipeline.histories import Selection, daily_series
from finops.pipeline.known import with_known
from finops.pipeline.late_days import Completed, completed
from finops.pipeline.loads import Past
from finops.pipeline.track_record import track_record
from finops.pipeline.vintages import as_it_stood
from finops.schema import COSTS
from forecasting.backtest import POOLED, backtest_series, backtest_task
from forecasting.drivers import with_volume
from forecasting.events import Event
from forecasting.files import read_csv
from forecasting.fits import Task
from forecasting.forecast import forecast_series, forecast_task
from forecasting.metrics import ALL_DAYS, DAYS_AHEAD
from forecasting.series import DATE, SERIES, VALUE, DailySeries, Refusal, read_series
from forecasting.trust import doubtful

File = Annotated[Path | None, typer.Option("--csv", help="Forecast this file instead of the lake.", metavar="FILE")]
DateColumn = Annotated[str | None, typer.Option("--date", help="The file's column of days or times.", metavar="C")]
ValueColumn = Annotated[str | None, typer.Option("--value", help="The file's column of values.", metavar="C")]
IdColumn = Annotated[str | None, typer.Option("--id", help="The file's column that names the series.", metavar="C")]
VolumeColumn = Annotated[
    str | None, typer.Option("--volume", help="The file's column of what the cost is for: tokens, hours.", metavar="C")
]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", help="Price after over before, from a day on; repeat for more.", metavar="DATE=RATIO"),
]
By = Annotated[str, typer.Option(help="One series for each value of these: team,purpose.", metavar="COL,…")]
Where = Annotated[
    list[str] | None, typer.Option(help="Only these charges; repeat for more: provider=AWS.", metavar="COL=VALUE")
]
Horizon = Annotated[int | None, typer.Option(help="Days ahead.", metavar="DAYS")]
Cost = Annotated[str, typer.Option(help=f"{', '.join(COSTS)}.")]
LONGEST_HORIZON_DAYS = 730
LARGEST_RATIO = 100


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("forecast")(show_forecast)
    app.command("backtest")(show_backtest)
    app.command("track-record")(show_track_record)


def show_forecast(
    context: typer.Context,
    csv: File = None,
    date: DateColumn = None,
    value: ValueColumn = None,
    series: IdColumn = None,
    volume: VolumeColumn = None,
    event: Events = None,
    by: By = "",
    horizon: Horizon = None,
    where: Where = None,
    cost: Cost = "effective",
) -> None:
    """Daily forecast with quantiles, from the lake or from any CSV; `mean` is the column that adds up."""
    current = session(context)
    days = _days(current, horizon)
    given = _input(current, csv, (date, value, series, volume), by, where or [], cost).with_events(event or [])
    execution = current.config.execution
    as_known = given.as_it_stood(lambda one: forecast_task(one, horizon=days))
    made = forecast_series(
        as_known, horizon=days, refused=given.refused, workers=execution.workers, scheduler=execution.scheduler
    )
    if made.rows.is_empty():
        raise _nothing(given.source, made.refused)
    for name, model in made.fallbacks.items():
        current.say(f"{name}: {model}")
    for one in doubtful(made.trust):
        current.say(f"{one.series}: {one.sentence}")
    _say_refusals(current, made.refused)
    _say_estimated(current, given.recent)
    current.show(
        given.recent.before(made.rows),
        title=f"Forecast of {given.source}",
        document={
            "horizon_days": days,
            "fallbacks": made.fallbacks,
            "refused": _refusals(made.refused),
            "trust": {one.series: {"grade": one.grade, "reasons": one.reasons} for one in made.trust},
            **given.about,
        },
    )


def show_backtest(
    context: typer.Context,
    csv: File = None,
    date: DateColumn = None,
    value: ValueColumn = None,
    series: IdColumn = None,
    volume: VolumeColumn = None,
    event: Events = None,
    by: By = "",
    horizon: Horizon = None,
    where: Where = None,
    cost: Cost = "effective",
    origins: Annotated[int | None, typer.Option(help="Past days to forecast from.", metavar="K")] = None,
) -> None:
    """How each model would have done from past days, by series and over all of them; `chosen` is the one in use."""
    current = session(context)
    days = _days(current, horizon)
    count = current.config.forecast.origins if origins is None else origins
    if count < 1:
        raise CallError(f"--origins {count}", expected="at least 1", next_step="give 1 or more")
    given = _input(current, csv, (date, value, series, volume), by, where or [], cost).with_events(event or [])
    execution = current.config.execution
    as_known = given.as_it_stood(lambda one: backtest_task(one, horizon=days, origins=count))
    done = backtest_series(
        as_known, horizon=days, origins=count, refused=given.refused, workers=execution.workers,
        scheduler=execution.scheduler,
    )  # fmt: skip
    if done.series.is_empty():
        raise _nothing(given.source, done.refused)
    _say_refusals(current, done.refused)
    pooled = done.pooled.drop("folds", "wins_ratio").with_columns(
        pl.lit(POOLED).alias(SERIES), horizon=pl.lit(days, pl.Int64), origins=pl.lit(count, pl.Int64)
    )
    whole = pl.col(DAYS_AHEAD) == ALL_DAYS
    if current.format is Format.json:
        about = {
            "pooled": done.pooled.filter(whole).to_dicts(),
            "chosen": done.chosen,
            "by_days_ahead": done.series.filter(~whole).to_dicts(),
            "pooled_by_days_ahead": done.pooled.filter(~whole).to_dicts(),
            "refused": _refusals(done.refused),
        }
        current.show(done.series.filter(whole), document={**about, **given.about})
    else:
        rows = pl.concat([done.series.filter(whole), pooled.select(done.series.columns)])
        current.show(rows, title=f"Backtest of {given.source}")


def show_track_record(context: typer.Context) -> None:
    """Forecasts that were shown, against what came."""
    current = session(context)
    rows = track_record(current.config, current.lake)
    if rows.is_empty():
        frozen = current.lake.scan("forecasts").select(pl.len()).collect().item()
        current.say(
            "No day of a frozen forecast is billed in full yet. Next: `finops run` again when new bills are there."
            if frozen
            else "No forecast has been frozen yet. Next: `finops run` makes and keeps one."
        )
    current.show(rows, title="Track record")


@dataclass(frozen=True)
class _Input:
    """Series to forecast, those that cannot be, what to call them, and what else the JSON document says of them.

    recent: their days that are billed in part. past: the history of the lake that they are from.
    """

    series: Sequence[DailySeries]
    refused: Sequence[Refusal]
    source: str
    about: Mapping[str, object] = field(default_factory=dict)
    recent: Completed = field(default_factory=Completed)
    past: Past | None = None

    def as_it_stood(self, task: Callable[[DailySeries], Task | None]) -> Sequence[DailySeries]:
        """The series with what was known of them at the past cutoffs that a task fits."""
        if self.past is None:
            return self.series
        tasks = [task(one) or Task(one, 1, ()) for one in self.series]
        return [one.series for one in as_it_stood(self.past, tasks)]

    def with_events(self, events: list[str]) -> "_Input":
        """The same with price changes that were named on the command line."""
        changes = [_price_change(text) for text in events]
        # what is named now is known on the series' last day, and was not before its own
        named = [
            replace(one, events=(*one.events, *(replace(e, known_from=min(e.start, one.end)) for e in changes)))
            for one in self.series
        ]
        return replace(self, series=named)


def _price_change(text: str) -> Event:
    day, _, ratio = text.partition("=")
    try:
        start, factor = date_type.fromisoformat(day.strip()), float(ratio)
    except ValueError:
        start, factor = date_type.min, 0.0
    if not 0 < factor <= LARGEST_RATIO:
        raise CallError(
            f"--event {text}",
            expected="a day and the price after it over the one before, like 2026-12-01=0.8",
            next_step="correct it",
        )
    return Event(f"price from {start}", "price_change", start, ratio=factor)


def _input(
    current: Session,
    csv: Path | None,
    columns: tuple[str | None, str | None, str | None, str | None],
    by: str,
    where: list[str],
    cost: str,
) -> _Input:
    date, value, series, volume = columns
    if csv is None:
        if any(columns):
            raise CallError(
                "--date, --value, --id or --volume without --csv", expected="--csv FILE", next_step="name the file"
            )
        return _lake_input(current, by, where, cost)
    if by or where:
        raise CallError("--by or --where with --csv", expected="--id C", next_step="name the file's column of series")
    if date is None or value is None:
        raise CallError(
            "--csv without --date and --value",
            expected="the file's column of days and its column of values",
            next_step="add --date C --value C",
        )
    file = read_csv(csv, date=date, value=value, series=series)
    for note in file.notes:
        current.say(note)
    found, refused = read_series(file.rows)
    refused = [*file.refused, *refused]
    if volume is not None:
        used = read_csv(csv, date=date, value=volume, series=series).rows
        volumes = {one.name: one for one in read_series(used)[0]}
        own = {one.name: volumes.get(volume if series is None else one.name) for one in found}
        found = [one if (its := own[one.name]) is None else with_volume(one, its) for one in found]
    return _Input(found, refused, str(csv))


def _lake_input(current: Session, by: str, where: list[str], cost: str) -> _Input:
    names = [name.strip() for name in by.split(",") if name.strip()]
    history = daily_series(current.lake, by=names, where=conditions(where), cost=cost)
    if history.rows.is_empty():
        raise CallError(
            "no charges" + (" that match" if where else " in the lake"),
            expected="daily cost to forecast",
            next_step="widen --where" if where else "`finops demo`, or `finops ingest --connector NAME --file PATH`",
        )
    series, refused = read_series(history.rows.select(SERIES, DATE, VALUE))
    selection = Selection(tuple(names), conditions(where), cost, None)
    past = Past(current.lake, selection, [names])
    recent = completed(past, series, [history])
    (history,) = recent.histories
    first, last = min(history.cutoffs.values()), max(history.cutoffs.values())
    span = f"{first}" if first == last else f"days from {first} to {last}, by series"
    current.say(f"Billed in full to {span}: each forecast starts on the day after.")
    series = with_known(current.config, current.lake, recent.series, selection=selection, groupings=[names])
    about = {
        "cost": cost,
        "cutoffs": dict(history.cutoffs),
        "currencies": dict(history.currencies),
        "as_it_stood_from": past.known_from,
    }
    units = ", ".join(sorted(set(history.currencies.values())))
    return _Input(series, refused, f"{cost} cost in {units}", about, recent, past)


def _days(current: Session, horizon: int | None) -> int:
    days = current.config.forecast.horizon_days if horizon is None else horizon
    if not 1 <= days <= LONGEST_HORIZON_DAYS:
        raise CallError(
            f"--horizon {days}", expected=f"1 to {LONGEST_HORIZON_DAYS} days", next_step="give a horizon within that"
        )
    return days


def _nothing(source: str, refused: tuple[Refusal, ...]) -> InputError:
    reasons = "; ".join(f"{refusal.series}: {refusal.reason}" for refusal in refused[:3])
    return InputError(
        f"no series of {source} can be used: {reasons}",
        expected="at least one series with one value a day",
        next_step="correct the data, or shorten --horizon",
    )


def _say_estimated(current: Session, recent: Completed) -> None:
    days = recent.rows.group_by(SERIES).agg(pl.len(), pl.col(DATE).max()).sort(SERIES)
    for name, count, last in days.iter_rows():
        to = f"the day to {last} is" if count == 1 else f"{count} days to {last} are"
        current.say(f"{name}: {to} billed in part; completed by how late their sources' cost came so far.")


def _say_refusals(current: Session, refused: tuple[Refusal, ...]) -> None:
    for refusal in refused:
        current.say(f"{refusal.series}: left out, because {refusal.reason}")


def _refusals(refused: tuple[Refusal, ...]) -> list[dict[str, str]]:
    return [{SERIES: refusal.series, "reason": refusal.reason} for refusal in refused]
