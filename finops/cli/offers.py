"""`finops offers`: what accelerators rent for, from the price book and from a cloud's own list."""

from datetime import UTC, datetime
from typing import Annotated

import polars as pl
import typer

from connectors.aws.api import HOME_REGION
from finops.cli.session import session
from finops.pipeline import offers as pipeline
from finops.pipeline.pulling import connect_aws
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
    region: Annotated[list[str] | None, typer.Option(help="Only this region; may be repeated. All.")] = None,
    source: Annotated[str | None, typer.Option(help="Ask as this source of finops.toml; else as the SDK does.")] = None,
) -> None:
    """Fetch AWS's price list into prices/ of the home; shows the on-demand prices that are new or changed."""
    current = session(context)
    config = current.config
    own = OwnPrices.of(config)
    in_use = OwnPrices(*(tuple(p for p in paths if p.exists()) for paths in (own.offers, own.commitments)))
    before = load_prices(offers=in_use.offers, commitments=in_use.commitments).offers
    done = pipeline.refresh(
        config,
        connect_aws(config, source, say=current.say)("pricing", HOME_REGION),
        regions=region or (),
        today=datetime.now(UTC).date(),
        before=before,
        say=current.say,
    )
    for reason in done.left_out:
        current.say(f"left out: {reason}")
    current.say(f"written: {done.offers} and {done.commitments}")
    current.show(done.changes, key="changes", title="New or changed on-demand prices")
