"""Tokens and their money, from the lake: facts, usage priced on read, price changes, and the tie-out of both."""

from datetime import date
from typing import Final

import polars as pl

from finops import schema as s
from finops import token_changes as changing
from finops import token_ledger as ledger
from finops import token_tie_out as ties
from finops.config import Config
from finops.freshness import billed_to, settled_until
from finops.schema import USAGE_DIMENSIONS, USAGE_MEASURES
from finops.store import Lake
from finops.token_prices import load_book

USAGE: Final = (*USAGE_DIMENSIONS, *USAGE_MEASURES, *ledger.PRICING)

CHANGE_MONTHS: Final = 3
"""Price changes are listed from the first of the month so many months ago."""


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


def price_changes(config: Config, lake: Lake, *, today: date) -> pl.DataFrame:
    """Prices that changed in this month or the three before it, and prices that are not the book's.

    See finops.token_changes.changes; the months before those are read to know the price that was.
    """
    daily = lake.scan("spend_daily").filter(pl.col(s.DRIVER) == "model_api")
    last = min(today, settled_until(daily, today))
    start, since = (months_before(last, months) for months in (CHANGE_MONTHS + 2, CHANGE_MONTHS))
    period = pl.col(s.CHARGE_PERIOD_START).dt.date()
    billed = changing.unit_prices(lake.scan("charges").filter(period >= start, period <= last))
    bill, used = _bill(lake, start, None), _within(lake.scan("token_usage"), "day", start, None).collect()
    prices = load_book([config.path(path) for path in config.prices.tokens])
    # the book of one day prices the usage of all days
    rebased = used.with_columns(pl.lit(last).alias("day"), pl.col("day").alias("_day"))
    constant = ledger.priced(rebased.lazy(), prices).collect().with_columns(day="_day")
    by_day, by_one = (
        ledger.facts(bill, ledger.metered(rows), {})
        for rows in (ledger.priced(used.lazy(), prices).collect(), constant)
    )
    return changing.changes(billed, facts=by_day, constant=by_one, full_until=billed_to(daily), since=since)


def months_before(day: date, months: int) -> date:
    """The first of the month so many months before a day's; after it where the number is negative."""
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(years, month + 1, 1)


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


def tie_out(config: Config, lake: Lake, *, period: str | None = None) -> pl.DataFrame:
    """What model APIs billed against what the book prices their usage at; see finops.token_tie_out.tie_out."""
    return ties.tie_out(*_both(config, lake, period))


def tie_out_causes(config: Config, lake: Lake, *, period: str | None = None) -> pl.DataFrame:
    """Why the two differ; see finops.token_tie_out.causes."""
    return ties.causes(*_both(config, lake, period))


def _both(config: Config, lake: Lake, period: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    bill, metered = _bill(lake, None, None), ledger.metered(_priced(config, lake, None, None))
    if period is None:
        return bill, metered
    of_period = pl.col("billing_period") == period
    return bill.filter(of_period), metered.filter(of_period)
