"""`finops anomalies`: what costs more or less than usual, in the lake or in any series of a CSV file."""

from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from finops.cli.session import Format, Session, session
from finops.errors import CallError
from finops.pipeline import anomalies as lake_anomalies
from forecasting.anomalies import detect
from forecasting.files import read_timed

_SHOWN = ("anomaly_id", "message", "next_step")

anomalies_app = typer.Typer(invoke_without_command=True, help="Anomalies of spend, or of any series of a CSV file.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(anomalies_app, name="anomalies")


@anomalies_app.callback()
def anomalies(
    context: typer.Context,
    csv: Annotated[Path | None, typer.Option("--csv", help="Judge this file, not the lake.", metavar="FILE")] = None,
    date: Annotated[str | None, typer.Option("--date", help="The file's column of times.", metavar="C")] = None,
    value: Annotated[str | None, typer.Option("--value", help="The file's column of values.", metavar="C")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Older ones too, and those that are known or were expected.")
    ] = False,
) -> None:
    """What costs more or less than usual: since when, how much to date, why, and what to do.

    Of a CSV file, a row for each of its rows: what was expected by the rows before it, a score (1 and more is an
    anomaly) and whether an anomaly begins there. Any step from 5 minutes to a day.
    """
    if context.invoked_subcommand is not None:
        return
    current = session(context)
    if csv is not None:
        _of_file(current, csv, date, value)
        return
    if date or value:
        raise CallError("--date or --value without --csv", expected="--csv FILE", next_step="name the file")
    lake_anomalies.refresh(current.config, current.lake, say=current.say)
    _show(current, lake_anomalies.list_anomalies(current.lake, every=every), every=every)


@anomalies_app.command("feedback")
def feedback(
    context: typer.Context,
    anomaly_id: Annotated[str, typer.Argument(metavar="ID")],
    verdict: Annotated[Literal["expected", "not"], typer.Argument(metavar="expected|not")],
    note: Annotated[str, typer.Option(help="Why, for whoever reads it later.")] = "",
) -> None:
    """Say that an anomaly was expected, or was not: an expected one is not shown again, nor smaller ones like it."""
    current = session(context)
    lake_anomalies.give_feedback(current.lake, anomaly_id, verdict, note=note)
    _show(current, lake_anomalies.list_anomalies(current.lake, every=True).filter(anomaly_id=anomaly_id), every=True)


def _show(current: Session, found: pl.DataFrame, *, every: bool) -> None:
    columns = (*_SHOWN[:1], "state", *_SHOWN[1:]) if every else _SHOWN
    shown = found.select(columns) if current.format is Format.table else found
    opened = found.filter(pl.col("state") == "open")
    totals = opened.group_by("currency").agg(pl.col("excess").sum()).sort("currency")
    current.show(
        shown, key="anomalies", title="Anomalies", document={"open": opened.height, "totals": totals.to_dicts()}
    )


def _of_file(current: Session, csv: Path, date: str | None, value: str | None) -> None:
    if date is None or value is None:
        raise CallError(
            "--csv without --date and --value",
            expected="the file's column of times and its column of values",
            next_step="add --date C --value C",
        )
    rows = read_timed(csv, date=date, value=value)
    found = detect(rows["time"].to_numpy(), rows["value"].cast(pl.Float64).fill_null(float("nan")).to_numpy())
    judged = rows.select(
        "timestamp",
        "value",
        pl.Series("expected", found.expected).fill_nan(None),
        pl.Series("score", found.score),
        pl.Series("is_anomaly", found.flags),
    )
    current.show(judged, title=f"Anomalies of {value}", document={"anomalies": int(found.flags.sum())})
