"""`finops offers`: what accelerators rent for, from the price book and from a cloud's own list."""

from datetime import UTC, datetime
from typing import Annotated

import polars as pl
import typer

from finops.cli.session import session
from finops.pipeline import offers as pipeline
from finops.prices import OwnPrices, load_prices

_SHOWN = (
    "provider", "region", "instance_type", "accelerator", "accelerator_count", "currency", "on_demand_per_hour",
    "spot_per_hour", "source", "date",
)  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(help="What accelerators rent for.", no_args_is_help=True)
    group.command(name="list")(listed)
    group.command()(refresh)
    app.add_typer(group, name="offers")


def listed(
    context: typer.Context,
    provider: Annotated[str | None, typer.Option(help="One provider.")] = None,
    region: Annotated[str | None, typer.Option(help="One region.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="One accelerator, such as H100-80GB.")] = None,
) -> None:
    """The offers of the price book, shipped and the company's own, with source and date."""
    current = session(context)
    own = OwnPrices.of(current.config)
    book = load_prices(offers=own.offers, commitments=own.commitments)
    rows = book.offers
    for column, wanted in (("provider", provider), ("region", region), ("accelerator", accelerator)):
        if wanted is not None:
            rows = rows.filter(pl.col(column).str.to_lowercase() == wanted.lower())
    current.show(rows.select(_SHOWN).sort(*_SHOWN[:3]), title="Offers")


def refresh(
    context: typer.Context,
    provider: Annotated[str, typer.Option(help="Whose price list: aws, azure or gcp.")] = "aws",
    region: Annotated[list[str] | None, typer.Option(help="Only this region; may be repeated. All.")] = None,
    currency: Annotated[str, typer.Option(help="Of azure's prices; only USD is a price that Microsoft sets.")] = "USD",
    source: Annotated[
        str | None, typer.Option(help="Ask aws or gcp as this source of finops.toml; else as the SDK does.")
    ] = None,
) -> None:
    """Fetch a cloud's price list into prices/ of the home; shows the on-demand prices that are new or changed.

    Google's are the company's own where the source names its pricing export, with the list prices beside them.
    """
    current = session(context)
    config = current.config
    own = OwnPrices.of(config)
    in_use = OwnPrices(*(tuple(p for p in paths if p.exists()) for paths in (own.offers, own.commitments)))
    before = load_prices(offers=in_use.offers, commitments=in_use.commitments).offers
    found = pipeline.fetch(
        config,
        provider.lower(),
        source=source,
        regions=region or (),
        currency=currency.upper(),
        today=datetime.now(UTC).date(),
        say=current.say,
    )
    done = pipeline.refresh(config, provider.lower(), found, before=before, say=current.say)
    for reason in done.left_out:
        current.say(f"left out: {reason}")
    for place in done.findings.iter_rows(named=True):
        current.say(f"not used: {place['instance_type']} in {place['region']}: {place['rule']}, {place['found']}")
    current.say(f"written: {done.offers} and {done.commitments}")
    current.show(done.changes, key="changes", title="New or changed on-demand prices")
