"""Options from the price book: a scenario names what it wants by provider, accelerator and region, not each price."""

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from finops import prices
from finops.errors import ConfigError
from finops.prices import OwnPrices
from finops.schema import MONEY
from optimizer.options import Amount, Change, Name, Option, Price, Record, Rented, Reservation

Kind = Literal["on_demand", "monthly", "spot", "reservation"]
_PLACE = ("provider", "region", "instance_type")
SHIPPED = OwnPrices()
OLD_MONTHS = 24
"""A price that is older than this when the horizon starts is out of date."""


class Selection(Record):
    """Offers to take from the price book; a filter that is left out lets everything through."""

    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    accelerator_counts: tuple[Decimal, ...] = ()
    instance_types: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ("on_demand", "spot", "reservation")
    cheapest: Annotated[int, Field(ge=1)] = 1
    """How many offers to keep of each provider, accelerator, kind and term, by price per accelerator."""
    workloads: tuple[Name, ...] = ()
    latency_ms: Amount | None = None
    utilisation_ceiling_ratio: Annotated[Decimal, Field(gt=0, le=1)] = Decimal(1)
    interruption_ratio: Annotated[Decimal, Field(ge=0, lt=1)] = Decimal(0)
    """Of spot offers."""
    price_change_ratio_per_year: Change = Decimal(0)
    max_age_months: Annotated[int, Field(ge=1)] = OLD_MONTHS
    """Prices that were looked up longer before the horizon starts are left out."""


def selected_options(selection: Selection, own: OwnPrices = SHIPPED, *, start: str | None = None) -> list[Option]:
    """The offers of the price book that a selection asks for, as options with source and date.

    start: the first month of the horizon, from which the age of a price counts. Raises ConfigError when no offer fits.
    """
    offers = _book(own, own.stamps).filter(pl.col("kind").is_in(selection.kinds))
    if start is not None:
        year, month = map(int, start.split("-"))
        months = 12 * (year - pl.col("date").dt.year().cast(pl.Int64)) + month - pl.col("date").dt.month()
        offers = offers.filter(months <= selection.max_age_months)
    for column, wanted in (
        ("provider", selection.providers),
        ("region", selection.regions),
        ("country", selection.countries),
        ("accelerator", selection.accelerators),
        ("accelerator_count", selection.accelerator_counts),
        ("instance_type", selection.instance_types),
    ):
        if wanted:
            offers = offers.filter(pl.col(column).cast(pl.String).is_in(_as_text(column, wanted)))
    cheapest = (
        offers.sort("per_accelerator", *_PLACE)
        .group_by("provider", "accelerator", "kind", "commitment", "term_years", maintain_order=True)
        .head(selection.cheapest)
        .sort(*_PLACE, "kind", "commitment", "term_years", nulls_last=True)
    )
    if cheapest.is_empty():
        raise ConfigError(
            f"no offer of the price book fits {selection.model_dump(exclude_unset=True, mode='json')}",
            expected="filters that at least one offer meets",
            next_step="loosen the filters of this [[price_book]], or state the option itself with its price and source",
        )
    return [_option(selection, row) for row in cheapest.iter_rows(named=True)]


def _as_text(column: str, wanted: Iterable[object]) -> list[str]:
    if column != "accelerator_count":
        return [str(value) for value in wanted]
    return [str(value) for value in pl.Series([Decimal(str(v)) for v in wanted], dtype=MONEY).cast(pl.String)]


def offered_accelerators(own: OwnPrices = SHIPPED) -> set[str]:
    """The accelerators of which the price book has offers."""
    return set(_book(own, own.stamps)["accelerator"].drop_nulls())


def offered_countries(accelerator: str, own: OwnPrices = SHIPPED) -> set[str]:
    """The countries in which the price book has offers for an accelerator."""
    return set(_book(own, own.stamps).filter(pl.col("accelerator") == accelerator)["country"].drop_nulls())


@lru_cache(maxsize=4)
def _book(own: OwnPrices, _stamps: tuple[int, ...]) -> pl.DataFrame:
    """Every price of the book as one row: its place, accelerators, kind, price, source, date and country."""
    book = prices.load_prices(offers=own.offers, commitments=own.commitments)
    offers = book.offers
    none = {"commitment": pl.lit(None, pl.String), "term_years": pl.lit(None, pl.Int64)}
    by_kind = [
        offers.with_columns(kind=pl.lit(kind), price=column, **none)
        for kind, column in (
            ("on_demand", "on_demand_per_hour"),
            ("monthly", "on_demand_per_hour"),
            ("spot", "spot_per_hour"),
        )
    ]
    committed = book.commitments.join(offers.select(*_PLACE, "accelerator_memory_gib"), on=_PLACE).with_columns(
        kind=pl.lit("reservation"), price="committed_per_hour"
    )
    regions = pl.read_csv((files("finops") / "data" / "regions.csv").read_bytes(), infer_schema=False)
    return (
        pl.concat([*by_kind, committed], how="diagonal")
        .filter(pl.col("price").is_not_null())
        .with_columns(per_accelerator=pl.col("price").cast(pl.Float64) / pl.col("accelerator_count").cast(pl.Float64))
        .join(regions.select("provider", "region", "country"), on=["provider", "region"], how="left")
    )


def _option(selection: Selection, row: dict[str, Any]) -> Option:
    kind, years, memory = row["kind"], row["term_years"], row["accelerator_memory_gib"]
    suffix = f"{row['commitment']}-{years}y" if years else kind
    name = "-".join([*(row[c] or "any" for c in _PLACE), suffix])
    amount = row["price"].normalize()
    shared: dict[str, Any] = {
        "name": re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_"),
        "provider": row["provider"],
        "region": row["region"],
        "country": row["country"],
        "latency_ms": selection.latency_ms,
        "workloads": selection.workloads,
        "accelerator": row["accelerator"],
        "accelerator_count": row["accelerator_count"].normalize(),
        "accelerator_memory_gib": None if memory is None else memory.normalize(),
        "utilisation_ceiling_ratio": selection.utilisation_ceiling_ratio,
        "price_change_ratio_per_year": selection.price_change_ratio_per_year,
        "price": Price(amount=amount, currency=row["currency"], source=row["source"], date=row["date"]),
    }
    if kind == "reservation":
        return Reservation(kind="reservation", term_months=12 * years, **shared)
    if kind == "monthly":
        return Reservation(kind="monthly", **shared)
    lost = selection.interruption_ratio if kind == "spot" else Decimal(0)
    return Rented(kind=kind, interruption_ratio=lost, **shared)
