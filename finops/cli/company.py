"""Commands about a whole home: init, doctor, demo, run."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated

import polars as pl
import typer
from rich.console import Console

from finops.cli.session import Format, Session, session
from finops.pipeline import run as running
from finops.pipeline import setup
from finops.pipeline.run import RunSummary


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)
    app.command()(run)
    app.command()(init)
    app.command()(doctor)


def demo(
    context: typer.Context,
    months: Annotated[int, typer.Option(help="Billing periods, the open one included; 3 to 60.")] = 18,
    seed: Annotated[int, typer.Option(help="Another seed is another company.")] = 7,
) -> None:
    """Write a mid-size company's raw exports and a finops.toml into the home, then run it."""
    current = session(context)
    summary = running.demonstrate(current.home, months=months, seed=seed, today=_today(), say=current.say)
    _show_summary(current, summary)


def run(context: typer.Context) -> None:
    """Ingest, reconcile, forecast, plan, raise alerts and export, as finops.toml says."""
    current = session(context)
    _show_summary(current, running.run(current.config, current.lake, today=_today(), say=current.say))


def init(context: typer.Context) -> None:
    """Write a commented finops.toml into the home."""
    current = session(context)
    path = setup.init(current.home)
    current.show(pl.DataFrame({"path": [str(path)]}), key="written")


def doctor(context: typer.Context) -> None:
    """Check config, sources, lake, engines and the age of prices; each failure says what to do."""
    current = session(context)
    found = setup.doctor(current.config, current.lake, today=_today())
    if any(d.status != "ok" for d in found):
        current.needs_attention()
    if current.format is not Format.table:
        current.show(pl.DataFrame([asdict(d) for d in found]), key="checks")
        return
    for diagnosis in found:
        typer.echo(f"{diagnosis.status:<8} {diagnosis.check}: {diagnosis.detail}")
        if diagnosis.next_step:
            typer.echo(f"         next: {diagnosis.next_step}")


def _today() -> date:
    return datetime.now(UTC).date()


def _show_summary(current: Session, summary: RunSummary) -> None:
    for error in summary.failed.values():
        current.failed(error)
    if summary.attention:
        current.needs_attention()
    if current.format is Format.table:
        _print_summary(summary)
    else:
        rows = pl.DataFrame([asdict(line) for line in summary.lines], schema={"topic": pl.String, "text": pl.String})
        paths = [str(path) for path in summary.paths]
        current.show(rows, key="summary", document={"paths": paths, "needs_attention": summary.attention})


def _print_summary(summary: RunSummary) -> None:
    console = Console(highlight=False)
    topic = None
    for line in summary.lines:
        if line.topic != topic:
            topic = line.topic
            console.print(f"\n[bold]{topic}[/bold]")
        console.print(f"  {line.text}", markup=False)
    if summary.paths:
        console.print("\n[bold]Written[/bold]")
    for path in summary.paths:
        console.print(f"  {path}", markup=False, soft_wrap=True)
