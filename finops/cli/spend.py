"""`finops spend`: what was spent, by any dimensions."""

from decimal import Decimal
from typing import Annotated

import typer

from finops.cli.session import Format, conditions, session
from finops.schema import COSTS
from reports.views.scope import day
from reports.views.spend import COST, CURRENCY, spend


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("spend")(show_spend)


def show_spend(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="Dimensions, with commas: team,purpose.", metavar="COL,…")] = "",
    where: Annotated[
        list[str] | None, typer.Option(help="Only these charges; repeat for more: provider=AWS.", metavar="COL=VALUE")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="First day, YYYY-MM-DD.", metavar="DAY")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day, included.", metavar="DAY")] = None,
    cost: Annotated[str, typer.Option(help=f"{', '.join(COSTS)}.")] = "effective",
) -> None:
    """What was spent, by any dimensions; one total per currency."""
    current = session(context)
    view = spend(
        current.lake,
        by=[name.strip() for name in by.split(",") if name.strip()],
        where=conditions(where or []),
        start=day(start) if start else None,
        end=day(end) if end else None,
        cost=cost,
    )
    if view.rows.is_empty():
        current.say(_nothing(filtered=bool(where or start or end)))
    current.show(view.rows, title=f"Spend ({cost} cost)", document={"totals": view.totals.to_dicts()})
    if current.format is Format.table:
        for row in view.totals.iter_rows(named=True):
            amount: Decimal = row[COST]
            typer.echo(f"Total {amount:,.2f} {row[CURRENCY]}")


def _nothing(*, filtered: bool) -> str:
    if filtered:
        return "No charges match. Next: widen --where or the dates; `finops spend` alone shows what there is."
    return (
        "No charges yet. Next: `finops demo` for an example company, or `finops ingest --connector NAME --file PATH`."
    )
