"""`finops tokens`: what model APIs cost by who used them, what has no price, what changed price, and the tie-out."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import polars as pl
import typer

from finops.cli.ingest import Period, check_period
from finops.cli.session import Format, Session, session
from finops.pipeline import tokens
from reports.views.scope import day
from reports.views.words import compact, percent

By = Annotated[str, typer.Option(help=f"Dimensions, with commas: {', '.join(tokens.DIMENSIONS)}.", metavar="COL,…")]
Start = Annotated[str | None, typer.Option("--from", help="First day, YYYY-MM-DD.", metavar="DAY")]
End = Annotated[str | None, typer.Option("--to", help="Last day, included.", metavar="DAY")]
BY = "provider,model"
_CENT = Decimal("0.005")

tokens_app = typer.Typer(help="Tokens of model APIs and their money.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(tokens_app, name="tokens")


@tokens_app.callback()
def overview(context: typer.Context, by: By = BY, start: Start = None, end: End = None) -> None:
    """Cost, tokens, price per million and cache share of model APIs, by any dimensions."""
    if context.invoked_subcommand is None:
        _spend(session(context), by, start, end)


@tokens_app.command()
def spend(context: typer.Context, by: By = BY, start: Start = None, end: End = None) -> None:
    """Cost, tokens, price per million and cache share of model APIs, by any dimensions."""
    _spend(session(context), by, start, end)


@tokens_app.command()
def unpriced(context: typer.Context, start: Start = None, end: End = None) -> None:
    """Usage that no price covers, and why: it is counted, and never costed at zero."""
    current = session(context)
    rows = tokens.unpriced(current.config, current.lake, **_days(start, end))
    if rows.is_empty():
        current.say("all usage has a price")
    if current.format is Format.table:
        asked = pl.when(pl.col("requests") > 0).then("requests").cast(pl.Int64)
        rows = rows.select(
            pl.col("source_id").alias("source"), "model", "reason", _millions(), asked.alias("requests"),
            pl.col("first_day").alias("from"), pl.col("last_day").alias("to"),
        )  # fmt: skip
    current.show(rows, title="Usage without a price")


@tokens_app.command()
def changes(context: typer.Context) -> None:
    """Prices of model APIs that changed in the last months, and prices that are not the price book's."""
    current = session(context)
    rows = tokens.price_changes(current.config, current.lake, today=datetime.now(UTC).date())
    if current.format is not Format.table:
        current.show(rows, title="Price changes")
    elif rows.is_empty():
        typer.echo("No price changed, and none is beside the price book.")
    else:
        _print_changes(rows)


@tokens_app.command("tie-out")
def tie_out(context: typer.Context, period: Period = None) -> None:
    """What was billed against metered usage at the book's prices, and why they differ. Exit code 1 where they do."""
    current = session(context)
    check_period(period)
    rows = tokens.tie_out(current.config, current.lake, period=period)
    causes = tokens.tie_out_causes(current.config, current.lake, period=period)
    if (rows["status"] == "residual").any():
        current.needs_attention()
    if rows.is_empty():
        current.say("no source has both cost and usage; next: `finops ingest` a provider's costs and its usage")
    if current.format is Format.csv:
        rows = rows.join(causes, on=["source_id", "billing_period", "currency"], how="left")
    if current.format is Format.table:
        rows = rows.select(
            pl.col("source_id").alias("source"), pl.col("billing_period").alias("period"), "currency",
            pl.col("billed", "priced", "residual", "unexplained").round(2), "status",
        )  # fmt: skip
    current.show(rows, title="Bill against usage x price book", document={"causes": causes.to_dicts()})
    if current.format is Format.table:
        _print_causes(causes)


def _spend(current: Session, by: str, start: str | None, end: str | None) -> None:
    words = list(dict.fromkeys(word.strip() for word in by.split(",") if word.strip()))
    facts = tokens.facts(current.config, current.lake, **_days(start, end))
    rows, totals = tokens.spend(facts, words), tokens.spend(facts)
    if rows.is_empty():
        current.say("No charges of model APIs there. Next: widen the dates, or `finops ingest` a bill that has some.")
    if current.format is Format.table:
        rows = rows.select(
            *words, "currency", "cost", _millions(), pl.col("cost_per_million_tokens").alias("per_million"),
            pl.col("cache_read_ratio").map_elements(percent, return_dtype=pl.String).alias("from_cache"),
        )  # fmt: skip
    current.show(rows, title="Model APIs", document={"totals": totals.to_dicts()})
    if current.format is Format.table:
        for row in totals.to_dicts():
            price = row["cost_per_million_tokens"]
            rate = f"; {price:.2f} a million tokens" if price is not None else ""
            typer.echo(f"Total {row['cost']:,.2f} {row['currency']} for {compact(row['tokens'])} tokens{rate}")


def _days(start: str | None, end: str | None) -> dict[str, date | None]:
    """Options of days, the last one included, as a start and an exclusive end."""
    return {"start": day(start) if start else None, "end": day(end) + timedelta(days=1) if end else None}


def _millions() -> pl.Expr:
    return pl.when(pl.col("tokens") > 0).then(pl.col("tokens") / 1_000_000).alias("million_tokens")


def _print_changes(rows: pl.DataFrame) -> None:
    """One paragraph a change: what, how much a unit, and how much a year."""
    for row in rows.to_dicts():
        what = row["sku"] or f"{row['model']}, {row['kind'].replace('_', ' ')}"
        where = ", ".join(str(row[k]) for k in ("provider", "account_name", "region") if row[k])
        against = "" if row["against"] == "last month" else " the price book's"
        prices = f"{float(row['before']):.4g} -> {float(row['after']):.4g} {row['currency']} a unit ({row['unit']})"
        more = "more" if row["yearly_effect"] > 0 else "less"
        typer.echo(f"{what} ({where})")
        typer.echo(f"  {percent(row['ratio'] - 1, signed=True)}{against} from {row['since']}: {prices}")
        typer.echo(f"  {abs(row['yearly_effect']):,.0f} {row['currency']} {more} a year at the last month's volume")
        if row["note"]:
            typer.echo(f"  {row['note']}")


def _print_causes(causes: pl.DataFrame) -> None:
    for row in causes.filter(pl.col("amount").abs() >= _CENT).to_dicts():
        typer.echo(f"{row['source_id']} {row['billing_period']}  {row['amount']:,.2f} {row['currency']}  {row['note']}")
