"""Tokens and their money, from the lake: facts, usage priced on read, price changes, and the tie-out of both."""

from datetime import date
from typing import Final

import polars as pl

from finops import schema as s
from finops import token_ledger as ledger
from finops.config import Config
from finops.schema import USAGE_DIMENSIONS, USAGE_MEASURES
from finops.store import Lake
from finops.token_prices import load_book

USAGE: Final = (*USAGE_DIMENSIONS, *USAGE_MEASURES, *ledger.PRICING)


def facts(config: Config, lake: Lake, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
    """Who used which model on which day, and what the bill says it cost; see finops.token_ledger.facts. `end` is
    exclusive."""
    splits = {source.id: (source.splits.source, source.splits.key) for source in config.sources if source.splits}
    return ledger.facts(_bill(lake, start, end), ledger.metered(_priced(config, lake, start, end)), splits)


def usage(config: Config, lake: Lake, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
    """The rows of token_usage with their prices as the book has them now; nothing of that is stored."""
    return _priced(config, lake, start, end).select(USAGE)


def unpriced(config: Config, lake: Lake, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
    """Usage without a price, and why; see finops.token_ledger.unpriced."""
    return ledger.unpriced(_priced(config, lake, start, end))


def _priced(config: Config, lake: Lake, start: date | None, end: date | None) -> pl.DataFrame:
    book = load_book([config.path(path) for path in config.prices.tokens])
    rows = _within(lake.scan("token_usage"), "day", start, end).drop("batch_id").collect()
    return ledger.priced(rows.lazy(), book).collect()


def _bill(lake: Lake, start: date | None, end: date | None) -> pl.DataFrame:
    return ledger.bill(_within(lake.scan("spend_daily"), s.CHARGE_DATE, start, end))


def _within(rows: pl.LazyFrame, column: str, start: date | None, end: date | None) -> pl.LazyFrame:
    if start is not None:
        rows = rows.filter(pl.col(column) >= start)
    return rows if end is None else rows.filter(pl.col(column) < end)
