"""Which FOCUS service category an AWS product code belongs to.

Source: product codes of AWS bills and price lists; categories of FOCUS 1.4; put together 2026-11-21.
"""

import csv
from functools import cache
from importlib.resources import files
from typing import Final

import polars as pl

_OTHER: Final = "Other/Other (Other)"
_STORAGE: Final = {"AmazonEC2": r"EBS:|VolumeUsage|SnapshotUsage"}
"""Product codes that sell another kind of service under these usage types."""


@cache
def subcategories() -> dict[str, str]:
    """FOCUS service subcategory of each product code."""
    text = (files("connectors.aws") / "services.csv").read_text(encoding="utf-8")
    return {row["product_code"]: row["service_subcategory"] for row in csv.DictReader(text.splitlines())}


def subcategory(product_code: pl.Expr, usage_type: pl.Expr) -> pl.Expr:
    """The FOCUS service subcategory; "Other" for a product that the table does not know."""
    known = product_code.map_batches(
        lambda codes: codes.replace_strict(subcategories(), default=_OTHER, return_dtype=pl.String),
        return_dtype=pl.String,
        is_elementwise=True,
    )
    storage = pl.any_horizontal(
        (product_code == code) & usage_type.str.contains(pattern) for code, pattern in _STORAGE.items()
    )
    transfer = usage_type.str.contains(r"(?:In|Out|Regional|Xfer-\w+)-Bytes$")
    return (
        pl.when(storage)
        .then(pl.lit("Storage/Block Storage"))
        .when((product_code == "AmazonEC2") & transfer)
        .then(pl.lit("Networking/Network Infrastructure"))
        .otherwise(known.fill_null(_OTHER))
    )


def category(subcategory: pl.Expr) -> pl.Expr:
    """The FOCUS service category that a subcategory lies in."""
    return subcategory.str.extract(r"^([^/]+)/", 1)
