"""Tokens and their money, from the lake: facts, usage priced on read, price changes, and the tie-out of both."""

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl

from finops import schema as s
from finops import token_changes as changing
from finops import token_ledger as ledger
from finops import token_tie_out as ties
from finops.config import Config
from finops.errors import CallError
from finops.freshness import billed_to, settled_until
from finops.schema import USAGE_DIMENSIONS, USAGE_MEASURES
from finops.store import Lake
from finops.token_prices import load_book
from reports.views.words import compact, percent

USAGE: Final = (*USAGE_DIMENSIONS, *USAGE_MEASURES, *ledger.PRICING)

SAID: Final = 2
"""So many price changes stand in a run's summary."""
CHANGE_MONTHS: Final = 3
"""Price changes are listed from the first of the month so many months ago."""


def facts(config: Config, lake: Lake, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
    """Who used which model on which day, and what the bill says it cost; see finops.token_ledger.facts. `end` is
    exclusive."""
    splits = {source.id: (source.splits.source, source.splits.key) for source in config.sources if source.splits}
    return ledger.facts(_bill(lake, start, end), metered(config, lake, start=start, end=end), splits)


def usage(config: Config, lake: Lake, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
    """The rows of token_usage with their prices as the book has them now; nothing of that is stored."""
    return _priced(config, lake, start, end).select(USAGE)


def metered(config: Config, lake: Lake, *, start: date | None = None, end: date | None = None) -> pl.DataFrame:
    """Usage by kind; see finops.token_ledger.metered."""
    return ledger.metered(_priced(config, lake, start, end))


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
    # the book of one day prices the usage of all days
    used = _within(lake.scan("token_usage"), "day", start, None).with_columns(pl.lit(last).alias("day"), _day="day")
    by_one = ledger.priced(used, _book(config)).collect().with_columns(day="_day")
    return changing.changes(
        billed,
        # all days, because a price beside the book keeps the day from which it is so
        facts=ledger.facts(*_both(config, lake), {}),
        constant=ledger.facts(_bill(lake, start, None), ledger.metered(by_one), {}),
        full_until=billed_to(daily),
        since=since,
    )


def months_before(day: date, months: int) -> date:
    """The first of the month so many months before a day's; after it where the number is negative."""
    years, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return date(years, month + 1, 1)


def _priced(config: Config, lake: Lake, start: date | None, end: date | None) -> pl.DataFrame:
    rows = _within(lake.scan("token_usage"), "day", start, end).collect()
    return ledger.priced(rows.lazy(), _book(config)).collect()


def _book(config: Config) -> pl.DataFrame:
    return load_book([config.path(path) for path in config.prices.tokens])


def _bill(lake: Lake, start: date | None, end: date | None) -> pl.DataFrame:
    return ledger.bill(_within(lake.scan("spend_daily"), s.CHARGE_DATE, start, end))


def _within(rows: pl.LazyFrame, column: str, start: date | None, end: date | None) -> pl.LazyFrame:
    if start is not None:
        rows = rows.filter(pl.col(column) >= start)
    return rows if end is None else rows.filter(pl.col(column) < end)


def tie_out(config: Config, lake: Lake, *, period: str | None = None) -> pl.DataFrame:
    """What model APIs billed against what the book prices their usage at; see finops.token_tie_out.tie_out."""
    return _of_period(ties.tie_out(*_both(config, lake)), period)


def tie_out_causes(config: Config, lake: Lake, *, period: str | None = None) -> pl.DataFrame:
    """Why the two differ; see finops.token_tie_out.causes."""
    return _of_period(ties.causes(*_both(config, lake)), period)


def _both(config: Config, lake: Lake) -> tuple[pl.DataFrame, pl.DataFrame]:
    return _bill(lake, None, None), ledger.metered(_priced(config, lake, None, None))


def _of_period(rows: pl.DataFrame, period: str | None) -> pl.DataFrame:
    return rows if period is None else rows.filter(pl.col("billing_period") == period)


# ------------------------------------------------------------------------------------------------------------ spending
DIMENSIONS: Final = {
    "day": "day", "month": "month", "source": "source_id", "provider": "provider", "account": "account_id",
    "account_name": "account_name", "key": "key", "model": "model", "kind": "kind", "tier": "service_tier",
    "team": "team", "use_case": "use_case", "cost_center": "cost_center", "environment": "environment",
    "purpose": "purpose", "basis": "basis",
}  # fmt: skip
"""What facts can be summed by: the words of --by and their columns."""
_INPUT: Final = (ledger.UNCACHED, ledger.CACHE_READ, ledger.CACHE_WRITE)


def spend(facts: pl.DataFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Facts by words of DIMENSIONS and currency, the dearest first.

    Columns: the words, currency, cost, tokens, requests, cost_per_million_tokens (of what is counted in tokens),
    cache_read_ratio (tokens read from cache / tokens of input), list_cost (the book's price of what is metered and
    priced); empty where nobody counts. Raises CallError for another word.
    """
    unknown = [word for word in by if word not in DIMENSIONS]
    if unknown:
        raise CallError(
            f"--by {unknown[0]}", expected=f"words of {', '.join(DIMENSIONS)}", next_step="correct the word"
        )
    counted, kind = pl.col("tokens").is_not_null(), pl.col("kind")
    rows = facts.with_columns(month=pl.col("day").dt.strftime("%Y-%m"))
    sums = rows.group_by(*(pl.col(DIMENSIONS[word]).alias(word) for word in by), "currency").agg(
        pl.col("cost").sum(),
        *(
            pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name)
            for name in ("tokens", "requests", "list_cost")
        ),
        pl.col("cost").filter(counted).sum().alias("_of_tokens"),
        pl.col("tokens").filter(kind == ledger.CACHE_READ).sum().alias("_read"),
        pl.col("tokens").filter(kind.is_in(_INPUT)).sum().alias("_input"),
    )
    some, read = pl.col("tokens") > 0, pl.col("_input") > 0
    return sums.select(
        *by, "currency", "cost", "tokens", "requests",
        pl.when(some).then(pl.col("_of_tokens") * 1_000_000 / pl.col("tokens")).cast(s.MONEY)
        .alias("cost_per_million_tokens"),
        pl.when(read).then(pl.col("_read").cast(pl.Float64) / pl.col("_input").cast(pl.Float64))
        .alias("cache_read_ratio"),
        "list_cost",
    ).sort("cost", "currency", *by, descending=[True] + [False] * (len(by) + 1), nulls_last=True)  # fmt: skip


def summary(config: Config, lake: Lake, *, today: date, tied: pl.DataFrame) -> list[str]:
    """What a run says of tokens, in sentences: the last whole month, what changed price, has no price, or is off.

    tied: of `tie_out`.
    """
    settled = settled_until(lake.scan("spend_daily"), today)
    end = settled.replace(day=1)
    start = months_before(end, 1)
    month = f"{start:%B %Y}"
    lines = [
        f"{month}: {compact(row['cost'])} {row['currency']} on model APIs; {compact(row['tokens'])} tokens are counted "
        f"at {row['cost_per_million_tokens']:.2f} a million, {percent(row['cache_read_ratio'])} of input from cache."
        for row in spend(facts(config, lake, start=start, end=end)).to_dicts()
        if row["cost_per_million_tokens"] is not None
    ]
    changed = price_changes(config, lake, today=today)
    for row in changed.filter(pl.col("yearly_effect") > 0).head(SAID).to_dicts():
        lines.append(
            f"{row['sku'] or row['model']} of {row['provider']} costs {percent(row['ratio'] - 1)} more than "
            f"{'before' if row['against'] == changing.LAST_MONTH else 'the price book says'} from {row['since']}: "
            f"{compact(row['yearly_effect'])} {row['currency']} a year."
        )
    missing = unpriced(config, lake, start=start, end=end).filter(~pl.col("reason").str.ends_with(ledger.ON_THE_BILL))
    if len(missing):
        models = ", ".join(missing["model"].drop_nulls().unique(maintain_order=True))
        lines.append(f"{compact(missing['tokens'].sum())} tokens of {month} have no price: {models}.")
    closed = tied.filter(~pl.col("status").is_in(["other_currency", "open"]))
    exact = closed.filter(pl.col("status") == "tied_out")
    if len(closed):
        lines.append(f"{len(exact)} of {len(closed)} months of model APIs tie out to their usage at the book's prices.")
    return lines
