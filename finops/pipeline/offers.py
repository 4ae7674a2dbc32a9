"""A cloud's price list, fetched as CSV files of the home that the price book reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from connectors.aws import price_list
from connectors.aws.api import HOME_REGION
from connectors.azure import retail_prices
from connectors.offers import PriceList
from finops.config import Config
from finops.errors import CallError
from finops.pipeline.pulling import connect_aws, connect_gcp
from finops.prices import load_prices

FOLDER = "prices"
_GCP = "gcp"
PROVIDERS = (price_list.PROVIDER, retail_prices.PROVIDER, _GCP)


@dataclass(frozen=True)
class Refreshed:
    """The files that were written, the new on-demand prices beside the book's before, what was left out, and findings.

    findings: prices of the new list that break an ordering rule, which the book does not use.
    """

    offers: Path
    commitments: Path
    changes: pl.DataFrame
    left_out: tuple[str, ...]
    findings: pl.DataFrame


def fetch(
    config: Config,
    provider: str,
    *,
    source: str | None,
    regions: Sequence[str],
    currency: str,
    today: date,
    say: Callable[[str], None],
) -> PriceList:
    """A cloud's price list; regions: all where none is named. source: whose identity asks; Azure takes none.

    Raises CallError for a provider or currency that has no list, else as `price_list.fetch`, `connect_aws`,
    `connect_gcp`, `catalog.fetch` and `retail_prices.fetch` do.
    """
    if provider == retail_prices.PROVIDER and source is None:
        return retail_prices.fetch(regions=regions, currency=currency, today=today, say=say)
    if provider not in (price_list.PROVIDER, _GCP):
        raise CallError(
            f"no price list of {provider!r} can be fetched" + (f" as {source}" if source else ""),
            expected=f"one of {', '.join(PROVIDERS)}; --source is not for azure",
            next_step="correct --provider, or leave --source out",
        )
    if currency != "USD":
        raise CallError(
            f"the price list of {provider} is not read in {currency}", expected="USD", next_step="leave --currency out"
        )
    if provider == _GCP:
        from connectors.gcp import catalog  # Google's SDKs take long to import: only who uses them waits

        return catalog.fetch(connect_gcp(config, source, say=say), regions=regions, today=today, say=say)
    api = connect_aws(config, source, say=say)("pricing", HOME_REGION)
    return price_list.fetch(api, regions=regions, today=today, say=say)


def refresh(
    config: Config, provider: str, found: PriceList, *, before: pl.DataFrame, say: Callable[[str], None]
) -> Refreshed:
    """Write a price list to `prices/` of the home, each file replaced whole. before: the book's offers until now."""
    folder = config.home / FOLDER
    offers = _write(folder / f"offers_{provider}.csv", found.offers)
    commitments = _write(folder / f"commitments_{provider}.csv", found.commitments)
    for setting, path in (("offers", offers), ("commitments", commitments)):
        named = [config.path(p) for p in getattr(config.prices, setting)]
        if path not in named:
            setting_line = f'{setting} = ["{path.relative_to(config.home)}"]'
            say(f"{path} is not in use yet; next: add {setting_line} under [prices] in finops.toml")
    book = load_prices(offers=(offers,), commitments=(commitments,))
    here = found.offers.select("provider", "region", "instance_type")
    findings = book.findings.join(here, on=here.columns, how="semi").unique(maintain_order=True)
    return Refreshed(offers, commitments, _changes(before, found.offers), found.left_out, findings)


def _write(path: Path, rows: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    rows.write_csv(new)
    new.replace(path)
    return path


def _changes(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """The offers whose on-demand price differs from the book's, or that are new to it."""
    key = ["provider", "region", "instance_type", "currency"]
    held = before.select(*key, before="on_demand_per_hour", checked="date")
    return (
        after.select(*key, "accelerator", "accelerator_count", after="on_demand_per_hour")
        .join(held, on=key, how="left")
        .filter(pl.col("before").ne_missing(pl.col("after")))
        .with_columns(ratio=(pl.col("after").cast(pl.Float64) / pl.col("before").cast(pl.Float64)).round(4))
        .select(*key, "accelerator", "accelerator_count", "before", "checked", "after", "ratio")
    )
