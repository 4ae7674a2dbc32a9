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
from finops.prices import MACHINE, load_prices

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
    `connect_gcp`, `catalog.fetch`, `price_export.fetch` and `retail_prices.fetch` do.
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
        return _google(config, source, regions=regions, today=today, say=say)
    api = connect_aws(config, source, say=say)("pricing", HOME_REGION)
    return price_list.fetch(api, regions=regions, today=today, say=say)


def _google(
    config: Config, source: str | None, *, regions: Sequence[str], today: date, say: Callable[[str], None]
) -> PriceList:
    """The company's own prices where the source has them, else the catalog's; the first source that has them counts."""
    from connectors.gcp import catalog, price_export  # Google's SDKs take long to import: only who uses them waits

    priced = {s.id: s.gcp for s in config.sources if s.gcp is not None and s.gcp.prices_table is not None}
    source = source or next(iter(priced), None)
    session = connect_gcp(config, source, say=say)
    if source in priced:
        return price_export.fetch(session, priced[source], regions=regions, today=today, say=say)
    return catalog.fetch(session, regions=regions, today=today, say=say)


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
    changes = _changes(before, found.offers)
    if found.list_prices is not None:
        say(_beside_list(found.offers, found.list_prices))
        changes = changes.join(found.list_prices, on=MACHINE, how="left").with_columns(
            of_list_ratio=_ratio("after", "list_per_hour")
        )
    return Refreshed(offers, commitments, changes, found.left_out, findings)


def _beside_list(offers: pl.DataFrame, list_prices: pl.DataFrame) -> str:
    """How many machines cost less than by the list, and what part of it."""
    ratios = offers.join(list_prices, on=MACHINE).select(_ratio("on_demand_per_hour", "list_per_hour")).to_series()
    below = sorted(ratio for ratio in ratios if ratio < 1)
    parts = f", at {below[0]} to {below[-1]} of it" if below else ""
    return f"{len(offers)} machines at the account's own prices, {len(below)} below the list{parts}"


def _ratio(price: str, other: str) -> pl.Expr:
    return (pl.col(price).cast(pl.Float64) / pl.col(other).cast(pl.Float64)).round(4)


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
        .with_columns(ratio=_ratio("after", "before"))
        .select(*key, "accelerator", "accelerator_count", "before", "checked", "after", "ratio")
    )
