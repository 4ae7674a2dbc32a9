"""The demo company's price list: what each meter is called, counted in and costs, with the source of each price."""

from functools import cache
from importlib.resources import files
from typing import Final

import polars as pl

from finops.prices import load_prices

MACHINES: Final = {
    "gcp.a2": {"gcp.a2.gpu": 1, "gcp.a2.core": 12, "gcp.a2.ram": 85},
    "gcp.g2.spot": {"gcp.g2.gpu.spot": 4, "gcp.g2.core.spot": 48, "gcp.g2.ram.spot": 192},
    "gcp.n2": {"gcp.n2.core": 32, "gcp.n2.ram": 128},
}
"""Machines that are metered in parts, and how much of each they have: Google Cloud bills no machine as one."""
MONTHLY_UNITS: Final = frozenset({"GB-Months", "GB/Month", "Units/Month", "Metrics", "gibibyte month"})
"""Units of which a thing that stands all month counts one a month, and so 1 / days of the month each day."""


@cache
def skus() -> pl.DataFrame:
    """One row per SKU of skus.csv; prices of accelerator machines come from the shipped offer book.

    list_price is USD per pricing unit, block the consumed units in one pricing unit.
    """
    text = (files("connectors.demo") / "skus.csv").read_text(encoding="utf-8")
    rows = pl.read_csv(
        text.encode(), schema_overrides={"list_price": pl.Float64, "committed_price": pl.Float64, "block": pl.Float64}
    ).with_columns(pl.col("sku").str.split(".").list.first().alias("provider"))
    offers = load_prices().offers.select(
        "provider", "region", "instance_type",
        pl.col("on_demand_per_hour").cast(pl.Float64), pl.col("spot_per_hour").cast(pl.Float64),
        gpus=pl.col("accelerator_count").cast(pl.Float64),
    )  # fmt: skip
    booked = rows.join(offers, on=["provider", "region", "instance_type"], how="left", maintain_order="left")
    price = (
        pl.when(pl.col("book") == "on_demand").then("on_demand_per_hour")
        .when(pl.col("book") == "spot").then("spot_per_hour")
        .otherwise("list_price")
    )  # fmt: skip
    return booked.with_columns(price.alias("list_price")).drop("on_demand_per_hour", "spot_per_hour")


@cache
def unit_of(sku: str) -> str:
    """The unit in which a SKU's consumption is counted."""
    return str(skus().row(by_predicate=pl.col("sku") == sku, named=True)["consumed_unit"])
