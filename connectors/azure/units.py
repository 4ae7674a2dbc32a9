"""Units of Azure's meters: `10K`, `100 Hours`, `1 GB/Month`, `1/Month` -> a block size and what it is a block of.

Source: Microsoft Cost Management, UnitOfMeasure of usage details; pricing units of the FinOps toolkit (MIT, commit
04d370f of 2026-05-20); read 2026-11-21.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s

TOKENS: Final = "Tokens"
UNITS: Final = "Units"
_SIZES: Final = {"": 1, "K": 1_000, "M": 1_000_000, "B": 1_000_000_000}
_UNIT: Final = re.compile(r"(?P<size>\d[\d,]*(?:\.\d+)?)?\s*(?P<prefix>[KMB](?![A-Za-z]))?\s*(?P<what>.*)", re.DOTALL)
_PLURAL: Final = {
    "hora": "Hours", "小时": "Hours", "minutes": "Minutes", "tb hour": "TB Hours", "tib hour": "TiB Hours",
    "hour": "Hours", "hours": "Hours", "hr": "Hours", "hrs": "Hours", "day": "Days", "month": "Months",
    "minute": "Minutes", "second": "Seconds", "year": "Years", "gb": "GB", "gib": "GiB", "tb": "TB", "tib": "TiB",
    "mb": "MB", "token": TOKENS, "tokens": TOKENS, "unit": UNITS, "units": UNITS, "unassigned": UNITS, "": UNITS,
    "gb hour": "GB Hours", "gib hour": "GiB Hours", "gb second": "GB Seconds", "gib second": "GiB Seconds",
    "million": "Million", "transaction": "Transactions", "user": "Users", "image": "Images", "request": "Requests",
    "operation": "Operations", "character": "Characters", "node": "Nodes", "page": "Pages", "api calls": "Requests",
}  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """A unit of measure: `100 Hours` is a block of 100, of Hours."""

    block: Decimal
    name: str


def unit(text: str) -> Unit:
    """What a UnitOfMeasure says; a block of 1 where it names no size."""
    found = _UNIT.fullmatch(" ".join(text.split()))
    if found is None:
        return Unit(Decimal(1), text)
    size = Decimal((found["size"] or "1").replace(",", "")) * _SIZES[found["prefix"] or ""]
    what = found["what"].strip()
    if what.startswith("/"):
        return Unit(size or Decimal(1), f"{UNITS}/{what.removeprefix('/').strip().capitalize()}")
    return Unit(size or Decimal(1), _PLURAL.get(what.lower(), what))


def block_size(text: pl.Expr) -> pl.Expr:
    """How many of its unit a UnitOfMeasure counts as one; 1 where it is empty."""
    return _looked_up(text, lambda written: unit(written).block, s.MONEY).fill_null(pl.lit(1, dtype=s.MONEY))


def unit_name(text: pl.Expr) -> pl.Expr:
    """What a UnitOfMeasure is a block of."""
    return _looked_up(text, lambda written: unit(written).name, pl.String())


def tokens_named(meter: pl.Expr) -> pl.Expr:
    """How many tokens a meter's name says that it counts as one (`5.4 inp Gl 1M Tokens`); 1 where it says nothing."""
    prefix = meter.str.extract(r"(?i)\b1([KM]) tokens?\b", 1).str.to_uppercase()
    size = pl.when(prefix == "K").then(1_000).when(prefix == "M").then(1_000_000).otherwise(1)
    return size.cast(s.MONEY)


def _looked_up(text: pl.Expr, read: Callable[[str], Decimal | str], kind: pl.DataType) -> pl.Expr:
    """read(text), once for each distinct text of a batch."""

    def work(texts: pl.Series) -> pl.Series:
        distinct = texts.drop_nulls().unique().to_list()
        values = pl.DataFrame(
            {"text": distinct, "value": [read(value) for value in distinct]},
            schema={"text": pl.String(), "value": kind},
        )
        rows = texts.alias("text").to_frame()
        return rows.join(values, on="text", how="left", maintain_order="left")["value"]

    return text.map_batches(work, return_dtype=kind, is_elementwise=True)
