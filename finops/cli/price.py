"""`finops price`: token usage priced from the book."""

from pathlib import Path
from typing import Annotated

import typer

from finops.cli.session import session
from finops.pipeline import pricing

_SHOWN = ("date", "provider", "model", "service_tier", "price_status", "cost_usd", "price_reason")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(price)


def price(
    context: typer.Context,
    usage: Annotated[Path, typer.Option("--usage", metavar="FILE", help="CSV: a model's tokens on a day, a row each.")],
    prices: Annotated[
        list[Path] | None,
        typer.Option("--prices", metavar="FILE", help="CSV of contracted prices; they win."),
    ] = None,
) -> None:
    """Price token usage from the dated book; what has no exact price is unpriced, with the reason, never zero."""
    current = session(context)
    priced = pricing.price_file(usage, prices or ())
    if priced.unpriced:
        current.say(f"{priced.unpriced} of {priced.rows.height} rows have no price: see price_reason")
    shown = priced.rows.select(name for name in priced.rows.columns if name in _SHOWN)
    rows = shown if current.format == "table" else priced.rows
    current.show(rows, title="Token usage, priced", document={"unpriced": priced.unpriced, "currency": "USD"})
