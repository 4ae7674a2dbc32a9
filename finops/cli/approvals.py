"""`finops scenario diff`, `approve`, `history`: what differs between scenarios, who approved, and what was done."""

import tomllib
from decimal import Decimal
from typing import Annotated

import typer

from finops.cli.session import Format, session
from finops.pipeline import scenario_log
from reports.views.scenario_changes import differences

Name = Annotated[str, typer.Argument(help="A saved scenario.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `finops scenario`."""
    app.command("diff")(diff)
    app.command("approve")(approve)
    app.command("history")(history)


def diff(
    context: typer.Context, first: Name, second: Annotated[str, typer.Argument(help="Another saved scenario.")]
) -> None:  # fmt: skip
    """What differs between the inputs of two scenarios, in words."""
    current = session(context)
    one, other = (scenario_log.saved_scenario(current.config, name) for name in (first, second))
    found = differences(*(tomllib.loads(s.text, parse_float=Decimal) for s in (one, other)))
    if current.format is Format.table and found.is_empty():
        typer.echo(f"Nothing differs between {one.name} and {other.name}.")
        return
    current.show(found.drop("words"), key="differences", title=f"From {one.name} to {other.name}")


def approve(
    context: typer.Context,
    name: Name,
    by: Annotated[str, typer.Option("--by", help="Who approves.")],
    comment: Annotated[str, typer.Option("--comment", help="Why, or on what condition.")] = "",
) -> None:
    """Approve the newest plan of a scenario; it is void as soon as an input, a price or the plan is another one."""
    current = session(context)
    scenario = scenario_log.saved_scenario(current.config, name)
    found = scenario_log.approve(current.config, current.lake, scenario, by=by, comment=comment)
    if current.format is Format.json:
        current.show_document({"scenario": scenario.name, "approved_by": found.by, "approved_at": found.at,
                               "comment": found.comment, "digest": found.digest, "plan_id": found.plan_id})  # fmt: skip
        return
    typer.echo(f"{scenario.name}: plan {found.plan_id} approved by {found.by}, digest {found.digest[:12]}")


def history(context: typer.Context, name: Name) -> None:
    """Who saved, duplicated and approved a scenario and when, when it was planned, and whether an approval holds."""
    current = session(context)
    scenario = scenario_log.saved_scenario(current.config, name)
    approved = scenario_log.approval(current.config, current.lake, scenario.name)
    events = scenario_log.history(current.lake, scenario.name)
    standing = "not approved" if approved is None else scenario_log.standing_words(approved)
    if current.format is Format.table:
        current.show(events.drop("digest", "plan_id"), title=f"{scenario.name}: {standing}")
        return
    current.show(events, key="events", document={"scenario": scenario.name, "approval": standing})
