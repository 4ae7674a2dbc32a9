"""`finops recommendations`: what a cloud recommends, as a second opinion."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from connectors.aws import advice
from finops.cli.session import Format, session
from finops.pipeline.pulling import connect_aws

_SHOWN = ("kind", "region", "resource", "current", "recommended", "monthly_savings", "savings_ratio", "currency")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(recommendations)


def recommendations(
    context: typer.Context,
    whose: Annotated[Literal["aws"], typer.Option("--from", help="Whose recommendations.")],
    source: Annotated[str | None, typer.Option(help="Ask as this source of finops.toml; else as the SDK does.")] = None,
) -> None:
    """What a cloud recommends to buy, stop or change; its savings overlap, so they have no total."""
    current = session(context)
    today = datetime.now(UTC).date()
    rows, failed = advice.fetch(connect_aws(current.config, source, say=current.say), today=today, say=current.say)
    for error in failed:
        current.failed(error)
    if len(rows):
        path = current.config.outputs / f"recommendations_{whose}_{today}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_csv(path)
        current.say(f"written: {path}")
    shown = rows.select(_SHOWN) if current.format is Format.table else rows
    current.show(shown, key="recommendations", title="What AWS recommends")
