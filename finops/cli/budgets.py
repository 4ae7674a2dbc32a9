"""`finops alerts` and `finops budget`: what needs attention, and budgets out to their owners and back in."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from finops.alerts import State
from finops.cli.session import session
from finops.pipeline import alerting, budgets, cloud_budgets
from finops.schema import MONEY
from reports.views.landing import chance
from reports.views.words import compact

_SHOWN = ("alert_id", "severity", "state", "message", "next_step")

_STATUS_SHOWN = {
    "scope": "scope", "period": "period", "currency": "in", "budget": "budget", "landing": "lands at",
    "range": "80 %", "over_probability": "over", "run_out": "runs out", "save_per_day": "save a day",
    "status": "status",
}  # fmt: skip

alerts_app = typer.Typer(help="Alert records: list them, acknowledge them, resolve them.", invoke_without_command=True)
budget_app = typer.Typer(help="Budgets: how they fare, out as CSV, edited, and back in.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(alerts_app, name="alerts")
    app.add_typer(budget_app, name="budget")


@alerts_app.callback()
def alerts(context: typer.Context) -> None:
    """Judge budgets, ownership and commitments, and list what needs attention. Exit code 1 while a breach is open."""
    if context.invoked_subcommand is None:
        _list(context, every=False)


@alerts_app.command("list")
def list_alerts(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Resolved and cleared alerts too.")] = False,
) -> None:
    """List the alerts, the gravest and newest first."""
    _list(context, every=every)


def _list(context: typer.Context, *, every: bool) -> None:
    current = session(context)
    alerting.raise_alerts(current.config, current.lake, say=current.say)
    found = alerting.list_alerts(current.lake, every=every)
    breaches = found.filter(pl.col("state") == "open", pl.col("severity") == "breach").height
    opened = found.filter(pl.col("state") == "open").height
    shown = found.select(_SHOWN) if current.format == "table" else found
    current.show(shown, key="alerts", title="Alerts", document={"open": opened, "breached": breaches})
    if breaches:
        current.needs_attention()


@alerts_app.command("ack")
def acknowledge(context: typer.Context, alert_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Acknowledge an alert: somebody is on it, and it no longer sets the exit code."""
    _decide(context, alert_id, "acknowledged")


@alerts_app.command("resolve")
def resolve(context: typer.Context, alert_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Close an alert; it opens again only if its cause grows graver."""
    _decide(context, alert_id, "resolved")


def _decide(context: typer.Context, alert_id: str, state: State) -> None:
    current = session(context)
    alerting.set_state(current.lake, alert_id, state)
    current.show(alerting.list_alerts(current.lake, every=True).filter(alert_id=alert_id).select(_SHOWN), key="alerts")


@budget_app.command("status")
def status(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Periods that are over or planned, too.")] = False,
) -> None:
    """List budgets that run: where each lands, how likely it is passed, when it runs out, what a day must cost less."""
    current = session(context)
    today = datetime.now(UTC).date()
    found = budgets.budget_status(current.config, current.lake, today=today)
    if not every:
        found = found.filter(~pl.col("basis").eq_missing("actual"), pl.col("status") != "planned")
    if current.format == "table":
        short = pl.col("budget", "landing", "landing_p10", "landing_p90", "save_per_day").map_elements(
            compact, return_dtype=pl.String
        )
        odds = pl.col("over_probability").map_elements(lambda over: chance(over, short=True), return_dtype=pl.String)
        found = found.with_columns(short, odds).with_columns(
            range=pl.format("{} to {}", "landing_p10", "landing_p90"), run_out=pl.col("run_out").dt.strftime("%-d %b")
        )
        found = found.select(*_STATUS_SHOWN).rename(_STATUS_SHOWN)
    current.show(found, key="budgets", title="Budgets that run")


@budget_app.command("export")
def export(context: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]) -> None:
    """Write budgets with actual cost, forecast and variance per period as CSV; owners edit the column `budget`."""
    current = session(context)
    _show(context, budgets.export_budgets(current.config, current.lake, file))


@budget_app.command("import")
def import_(context: typer.Context, file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False)]) -> None:
    """Read an edited budget file back, or the first one; an unknown scope or another currency is refused."""
    current = session(context)
    _show(context, budgets.import_budgets(current.config, current.lake, file, say=current.say))


@budget_app.command()
def fetch(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", dir_okay=False)] = None,
    provider: Annotated[str, typer.Option(help="Whose budgets: gcp.")] = "gcp",
    source: Annotated[str | None, typer.Option(help="Whose bill and identity; the first of that cloud.")] = None,
    account: Annotated[str | None, typer.Option(help="The billing account; that of the source's table.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write a file anew that is there.")] = False,
) -> None:
    """Write the budgets that a cloud keeps as CSV, by default budgets/gcp.csv of the home, to be imported or named."""
    current = session(context)
    done = cloud_budgets.fetch_budgets(
        current.config,
        current.lake,
        provider.lower(),
        source_id=source,
        account=account,
        path=file,
        replace=replace,
        today=datetime.now(UTC).date(),
        say=current.say,
    )
    _show(context, done)


def _show(context: typer.Context, done: budgets.BudgetFile) -> None:
    totals = pl.DataFrame(list(done.totals.items()), schema={"currency": pl.String(), "budget": MONEY}, orient="row")
    document = {"file": done.path, "rows": done.rows, "changed": done.changed}
    session(context).show(totals, key="totals", title=f"{done.rows} budgets in {done.path}", document=document)
