"""`finops variance`: why cost is what it is, beside the budget, a forecast or an earlier period."""

from datetime import UTC, datetime
from typing import Annotated

import polars as pl
import typer

from finops.cli.session import Format, Session, conditions, session
from finops.pipeline import variance as pipeline
from finops.schema import COSTS
from finops.variance import CALENDAR
from reports.views import variance as views
from reports.views.variance import AMOUNT, NAMES, Variance
from reports.views.words import compact

ROWS_SHOWN, STEPS_SHOWN = 15, 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("variance")(show_variance)


def show_variance(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="YYYY-MM, YYYY-Qn or YYYY; else the newest full month.", metavar="PERIOD")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="budget, forecast, prior, or a period like 2026-09; else the budget where there is one.",
            metavar="WHAT",
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="Dimensions, with commas: team,provider.", metavar="COL,…")] = "",
    where: Annotated[
        list[str] | None, typer.Option(help="Only these charges; repeat for more: team=Search.", metavar="COL=VALUE")
    ] = None,
    cost: Annotated[str, typer.Option(help=f"{', '.join(COSTS)}.")] = "effective",
    open_step: Annotated[
        str | None, typer.Option("--open", help=f"What is behind one step: {', '.join(NAMES)}.", metavar="STEP")
    ] = None,
) -> None:
    """Why cost changed: price, volume, mix, cache, commitments, currency, new, ended, credits. It sums exactly."""
    current = session(context)
    scope = pipeline.period_scope(
        current.lake, period, today=datetime.now(UTC).date(), where=conditions(where or []), cost=cost
    )
    found = pipeline.explain(current.lake, current.config, scope, against=against)
    if open_step is not None:
        _open(current, found, open_step)
        return
    words = [name.strip() for name in by.split(",") if name.strip()]
    steps = views.steps(found)
    rows = views.by(found, words) if words else None
    if found.cells.is_empty():
        current.say("No charges there. Next: another --period, or `finops ingest` a bill that has it.")
    if current.format is Format.table:
        _print(current, found, steps.drop("currency") if rows is None else _short(rows))
    elif rows is None:
        current.show(steps, key="steps", document=_document(found))
    else:
        current.show(rows, document={**_document(found), "steps": steps.to_dicts()})


def _print(current: Session, found: Variance, rows: pl.DataFrame) -> None:
    before, now = found.names
    typer.echo(" ".join([views.paragraph(found), *found.notes]) + "\n")
    current.show(
        rows.with_columns(pl.col(pl.Decimal).round(2)),
        title=f"From {before} to {now}, {found.currency}",
    )
    typer.echo(f"{before} {found.prior:,.2f}, change {found.change:,.2f}, {now} {found.cost:,.2f}")


def _short(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows in whole units of the currency, with the steps that move most and what all others move."""
    size = {step: float(rows[step].abs().sum()) for step in NAMES if views.moves(rows, step)}
    largest = set(sorted(size, key=lambda step: -size[step])[:STEPS_SHOWN])
    others = [step for step in NAMES if step not in largest]
    shown = rows.with_columns(pl.sum_horizontal(others).alias("others")).drop("in_currency", CALENDAR, *others)
    return shown.with_columns(pl.col(pl.Decimal).round(0).cast(pl.Int64))


def _document(found: Variance) -> dict[str, object]:
    """Both ends, and the bridge in words."""
    return {
        "period": {"start": found.scope.start, "end": found.scope.end}, "against": found.against,
        "reference": {"start": found.reference.start, "end": found.reference.end}, "measure": found.scope.cost,
        "currency": found.currency, "prior": found.prior, "cost": found.cost, "change": found.change,
        "calendar": found.total(CALENDAR), "text": views.paragraph(found), "notes": list(found.notes),
    }  # fmt: skip


def _open(current: Session, found: Variance, step: str) -> None:
    rows = views.opened(found, step)
    spend = pl.Series("spend", [views.where(row) for row in rows.to_dicts()], dtype=pl.String)
    columns = ("who", "what", "prior_quantity", "quantity", "unit", "prior", "cost", AMOUNT)
    parts = rows.select(columns).with_columns(spend)
    total = found.total(step)
    if current.format is Format.table:
        typer.echo(f"{NAMES[step]}: {views.MEANS[step]}.")
        quantities = [
            pl.col(name).map_elements(compact, return_dtype=pl.String).alias(name)
            for name in ("prior_quantity", "quantity")
        ]
        parts = parts.filter(pl.col(AMOUNT).abs() >= views.CENT)
        current.show(parts.head(ROWS_SHOWN).with_columns(quantities).drop("spend"), title=None)
        if len(parts) > ROWS_SHOWN:
            typer.echo(f"… and {len(parts) - ROWS_SHOWN} more; --format csv has them all.")
        if len(parts):
            start, end = found.scope.start, found.scope.end
            typer.echo(f"Charges of the first: finops spend --from {start} --to {end} {spend[0]} --by account")
        typer.echo(f"{NAMES[step]} {total:,.2f} {found.currency}")
        return
    current.show(parts, title=None, document={**_document(found), "step": step, "amount": total})
