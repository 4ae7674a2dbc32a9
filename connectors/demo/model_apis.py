"""What the company consumes of model APIs day by day, and what that costs by the price book. No format is known here.

One row of usage is the calls of one use case on one day. One row of costs is one day, project, key, model, tier and
thing that is paid for, as providers bill it: the sum of its calls at list price, rounded to a millionth of a dollar.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from math import inf
from typing import Final
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray

from connectors.demo import company
from connectors.demo.activity import demand
from connectors.demo.api_plan import (
    ANTHROPIC,
    CACHE_DAYS_AGO,
    CACHE_FALLS,
    CACHE_RATIO_LEFT,
    CALLS,
    GATEWAY,
    KEYS,
    OPENAI,
    PROJECTS,
    Calls,
    project,
)
from connectors.demo.company import Calendar
from finops.schema import CONTEXT, MONEY
from finops.token_costs import price
from finops.token_prices import METERS, load_book, match

TOKENS: Final = (
    "uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "output_tokens",
)  # fmt: skip
COUNTS: Final = (
    *TOKENS, "audio_seconds", "characters", "web_searches", "images", "gibibyte_hours", "execution_hours", "requests",
)  # fmt: skip
"""What is counted; all but the requests is paid for."""
WOBBLE: Final = 0.006
"""How much the counts of one day differ from each other's course."""
USAGE: Final[dict[str, pl.DataType]] = {
    "date": pl.Date(), "source": pl.String(), "provider": pl.String(), "calls": pl.String(), "project": pl.String(),
    "key": pl.String(), "endpoint": pl.String(), "model": pl.String(), "service_tier": pl.String(), CONTEXT: pl.Int64(),
    "via": pl.String(), "via_team": pl.String(), **dict.fromkeys(COUNTS, pl.Int64()), "usual_read": pl.Int64(),
}  # fmt: skip
"""usual_read: the cached input that there was without the incident."""
METERED_BY: Final = ("date", "source", "provider", "project", "key", "endpoint", "model", "service_tier", CONTEXT)
"""What a provider tells apart in its usage."""
COSTS: Final = (*METERED_BY, "month", "item", "quantity", "cost", "usual")
"""item: a column of COUNTS, or CREDIT. usual: the cost without the incident."""
CREDIT: Final = "credit"
CREDIT_USD, CREDIT_MONTHS_AGO, CREDIT_KEY = Decimal("-85.5"), 3, "review"
DECIMALS: Final = 6
"""Of a dollar, in which the providers state a day's cost."""
UNREPORTED: Final = (pl.col("source") == ANTHROPIC) & (pl.col("service_tier") == "priority")
"""Usage whose cost the cost report leaves out: it is bought as a commitment."""


@dataclass(frozen=True)
class Apis:
    """What is asked of model APIs, columns USAGE, and what the providers bill for it, columns COSTS."""

    usage: pl.DataFrame
    costs: pl.DataFrame


def apis(calendar: Calendar, seed: int) -> Apis:
    """The company's model APIs."""
    usage = daily_calls(calendar, seed)
    return Apis(usage, costs(usage, calendar))


def daily_calls(calendar: Calendar, seed: int) -> pl.DataFrame:
    """What each use case asks on each day; columns USAGE.

    A tier is used from the day on which the provider has a price for it; the company's own models are asked unpriced.
    """
    days = (calendar.end - calendar.start).days + 1
    offsets = np.arange(days, dtype=np.int64) - (days - 1)
    planned = pl.concat([
        _of_calls(c, calendar, offsets, np.random.default_rng([seed, crc32(f"calls/{c.name}".encode())])) for c in CALLS
    ])  # fmt: skip
    usage = price(_with_cache_writes_where_sold(planned).lazy(), load_book()).collect()
    is_asked = (
        (pl.col("price_status") == "priced") | (pl.col("source") == GATEWAY) | UNREPORTED | (pl.col("model") == "")
    )
    return usage.filter(is_asked).select(*USAGE)


def costs(usage: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """What OpenAI and Anthropic bill for it, columns COSTS; OpenAI's last day has not come yet."""
    metered = as_metered(usage.filter(pl.col("source") != GATEWAY, ~UNREPORTED, ~is_late(calendar)))
    usual = metered.with_columns(
        pl.col("uncached_input_tokens") + pl.col("cache_read_tokens") - pl.col("usual_read"),
        pl.col("usual_read").alias("cache_read_tokens"),
    )
    keys = (*METERED_BY, "item")
    rows = (
        _by_item(metered)
        .join(_by_item(usual).select(*keys, usual="cost"), on=keys, how="left", nulls_equal=True)
        .with_columns(month=pl.col("date").dt.month_start())
        .select(COSTS)
    )
    return pl.concat([rows, _credit(rows, calendar)]).sort(*METERED_BY, "item")


def as_metered(usage: pl.DataFrame) -> pl.DataFrame:
    """The calls that a provider does not tell apart in one row."""
    return usage.group_by(METERED_BY, maintain_order=True).agg(pl.col(*COUNTS, "usual_read").sum())


def is_late(calendar: Calendar) -> pl.Expr:
    """True for the usage whose costs OpenAI does not answer yet: that of the last day."""
    return (pl.col("source") == OPENAI) & (pl.col("date") == calendar.end)


def with_owners(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with the team and purpose that the mappings give: of the key, else of the project."""
    keys = pl.DataFrame([(k.key, k.team, k.purpose) for k in KEYS], orient="row", schema=["key", "team", "purpose"])
    projects = pl.DataFrame(
        [(p.key, p.team, p.purpose) for p in PROJECTS], orient="row", schema=["project", "its_team", "its_purpose"]
    )
    joined = rows.join(keys, on="key", how="left", maintain_order="left").join(
        projects, on="project", how="left", maintain_order="left"
    )
    return joined.with_columns(pl.coalesce("team", "its_team"), pl.coalesce("purpose", "its_purpose")).drop(
        "its_team", "its_purpose"
    )


@cache
def other_prices() -> dict[str, Decimal]:
    """Prices that no list of token prices has, from api_prices.csv: USD of one unit, by item; `uncached_input` and
    `output` are the own model's."""
    rows = pl.read_csv((files("connectors.demo") / "api_prices.csv").read_bytes(), infer_schema=False)
    return {item: Decimal(amount) for item, amount in rows.select("item", "price").iter_rows()}


# ----------------------------------------------------------------------------------------------------------- quantities
def _of_calls(calls: Calls, calendar: Calendar, offsets: NDArray[np.int64], rng: np.random.Generator) -> pl.DataFrame:
    demanded = demand(calls, calendar, offsets, rng)
    counts = {
        column: np.round(demanded * amount * rng.normal(1, WOBBLE, len(offsets))).astype(np.int64)
        for column, amount in calls.amounts.items()
    }
    usual = counts.get("cache_read_tokens", np.zeros(len(offsets), dtype=np.int64))
    if calls.name == CACHE_FALLS:
        left = np.where(offsets >= -CACHE_DAYS_AGO, np.round(usual * CACHE_RATIO_LEFT).astype(np.int64), usual)
        counts |= {"cache_read_tokens": left, "uncached_input_tokens": counts["uncached_input_tokens"] + usual - left}
    names = _models(calls, len(offsets))
    home = project(calls.project)
    same = {
        "source": home.source, "provider": home.provider, "calls": calls.name, "project": calls.project,
        "key": calls.key, "endpoint": calls.endpoint, "service_tier": calls.tier, CONTEXT: calls.context,
        "via": calls.via, "via_team": calls.team,
    }  # fmt: skip
    dates = pl.date_range(calendar.start, calendar.end, eager=True).alias("date")
    missing = dict.fromkeys((c for c in COUNTS if c not in counts), 0)
    return (
        pl.DataFrame({"date": dates, "model": names, "usual_read": usual, **counts})
        .filter(demanded > 0)
        .with_columns(pl.lit(value).alias(name) for name, value in {**same, **missing}.items())
        .select(pl.col(column).cast(kind) for column, kind in USAGE.items())
    )


def _models(calls: Calls, days: int) -> list[str]:
    """The model that is asked on each day: the newest whose day has come."""
    newest_first = sorted(calls.models, key=lambda m: inf if m[0] is None else m[0])
    return [next(name for since, name in newest_first if since is None or since >= ago) for ago in range(days)[::-1]]


def _with_cache_writes_where_sold(usage: pl.DataFrame) -> pl.DataFrame:
    """Models that do not charge for filling their cache count what fills it as plain input."""
    writers = set(load_book().filter(pl.col("meter") == "cache_write").select("provider", "model").unique().iter_rows())
    found = {pair: match(*pair) for pair in usage.select("provider", "model").unique().iter_rows()}
    free = [model for (_, model), m in found.items() if (m.provider, m.model) not in writers]
    write = pl.when(pl.col("model").is_in(free)).then("cache_write_tokens").otherwise(0)
    return usage.with_columns(pl.col("uncached_input_tokens") + write, pl.col("cache_write_tokens") - write)


# ---------------------------------------------------------------------------------------------------------------- costs
def _by_item(metered: pl.DataFrame) -> pl.DataFrame:
    """A row for each thing that a row counts, with its quantity and its list price."""
    priced = price(metered.lazy(), load_book(), parts=True).collect()
    names = {meter.column: f"{meter.name}_cost_usd" for meter in METERS}
    parts = []
    for item in COUNTS[:-1]:
        cost = pl.col(names[item]) if item in names else pl.col(item).cast(MONEY) * pl.lit(other_prices()[item], MONEY)
        parts.append(
            priced.filter(pl.col(item) > 0).select(
                *METERED_BY, pl.lit(item).alias("item"), pl.col(item).alias("quantity"),
                cost.cast(MONEY).round(DECIMALS).alias("cost"),
            )
        )  # fmt: skip
    return pl.concat(parts)


def _credit(rows: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """One credit for what a key was charged on a day."""
    month = company.month_before(calendar.open_month, min(CREDIT_MONTHS_AGO, len(calendar.closed)))
    credited = rows.filter(pl.col("month") == month, pl.col("key") == CREDIT_KEY, pl.col("item") == "output_tokens")
    amount = pl.lit(CREDIT_USD, MONEY)
    return credited.tail(1).with_columns(
        item=pl.lit(CREDIT), quantity=pl.lit(None, pl.Int64), cost=amount, usual=amount
    )  # fmt: skip
