"""`finops utilisation`: how busy accelerators were."""

from typing import Annotated

import polars as pl
import typer

from finops.cli.session import conditions, session
from finops.errors import CallError
from finops.pipeline.utilisation import BY, summary


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(utilisation)


def utilisation(
    context: typer.Context,
    by: Annotated[str, typer.Option(help=f"Comma-separated, of {', '.join(BY)}.")] = "group_name,accelerator",
    where: Annotated[list[str] | None, typer.Option(help="COL=VALUE, of the same columns; repeatable.")] = None,
) -> None:
    """How busy accelerators were, from the hours in the lake; the most idle accelerator-hours first."""
    current = session(context)
    columns = list(dict.fromkeys(name.strip() for name in by.split(",")))
    wanted = conditions(where or [])
    if unknown := [name for name in (*columns, *wanted) if name not in BY]:
        raise CallError(
            f"utilisation by {', '.join(unknown)}",
            expected=f"columns of {', '.join(BY)}",
            next_step="correct --by or --where",
        )
    hours = current.lake.scan("gpu_usage")
    for name, values in wanted.items():
        hours = hours.filter(pl.col(name).is_in(values))
    rows = summary(hours, columns)
    if rows.is_empty():
        current.say('the lake has no such hours; next: a source with connector = "gpu_usage" in finops.toml')
    current.show(rows, title="How busy accelerators were")
