"""A cloud's price list as rows of the offer book, whoever it is of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from finops.prices import COMMITMENTS, OFFERS
from finops.schema import MONEY

Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class PriceList:
    """Rows of OFFERS and COMMITMENTS, and what was left out, with the reason.

    list_prices: MACHINE and `list_per_hour`, on demand; where the offers are at prices of a company's own contract.
    """

    offers: pl.DataFrame
    commitments: pl.DataFrame
    left_out: tuple[str, ...]
    list_prices: pl.DataFrame | None = None

    @classmethod
    def of(cls, offers: Rows, commitments: Rows, left_out: Iterable[str]) -> "PriceList":
        """The rows, sorted by their names."""
        return cls(_frame(offers, OFFERS), _frame(commitments, COMMITMENTS), tuple(sorted(left_out)))


def _frame(rows: Rows, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    frame = pl.DataFrame(list(rows), schema=columns)
    return frame.sort([name for name in columns if name not in ("source", "date") and columns[name] != MONEY])
