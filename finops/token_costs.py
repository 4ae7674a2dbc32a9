"""Token usage priced from the book, vectorised and exact.

Usage that the book cannot price exactly is `unpriced`, with the reason, and never costs zero.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import polars as pl

from finops.schema import CONTEXT, MONEY
from finops.token_prices import METERS, PROVISIONED, TIERS, Meter, match, service_tier, unit_price

KEY: Final = ("date", "provider", "model", "service_tier")
"""What usage is priced by; the service tier may be empty or missing, which is `standard`."""
_UNITS, _UNIT_HOURS = "provisioned_units", "provisioned_unit_hours"
PRICED: Final = ("price_status", "cost_usd", "price_date", "price_source", "price_reason")


def price(usage: pl.LazyFrame, book: pl.DataFrame, *, parts: bool = False) -> pl.LazyFrame:
    """Usage with the columns PRICED, rows in their order; with `parts` also `<meter>_cost_usd` of each meter it counts.

    cost_usd = sum over meters of count x amount / unit, each part rounded once, half-even, to 18 decimals [USD].
    Long-context price: all tokens of a row pay the tier that its input tokens per request exceed, or that of its
    `context_from_tokens`. Provisioned throughput: the unit-hours are priced, and cover the row's tokens.
    price_status is `unpriced` and cost_usd empty, with the reason, for an unknown model or service tier, a counted
    meter without a price, and a long-context tier that cannot be told for want of requests. `usage` has date, provider
    and model; service_tier, requests, context_from_tokens and any column of METERS may be there; an empty count is
    zero. It is read twice: once for its distinct names and days.
    """
    schema = usage.collect_schema()
    columns = schema.names()
    optional = {"service_tier": pl.String(), "requests": pl.Int64(), _UNIT_HOURS: pl.Int64()}
    keyed = usage.with_columns(pl.lit(None, kind).alias(c) for c, kind in optional.items() if c not in columns)
    meters = [meter for meter in METERS if meter.column in (*columns, "requests", _UNIT_HOURS)]
    whole = {name for name, kind in schema.items() if kind.is_integer()}
    cards, rates, steps = _cards(keyed.select(KEY).unique().collect(), book, meters)
    joined = keyed.join(cards.lazy(), on=KEY, how="left", maintain_order="left", nulls_equal=True)
    ranked = joined.with_columns(*_context_tier(meters, columns, steps))
    costed = (
        ranked.join(rates.lazy(), left_on=pl.col("_card") + pl.col("_reached"), right_on="_rate", how="left",
                    maintain_order="left")
        .with_columns(_part(m, pl.Decimal(38, 0) if m.column in whole else MONEY).alias(_cost_name(m)) for m in meters)
        .with_columns(_why(meters))
    )  # fmt: skip
    total = reduce(lambda a, b: a + b, (pl.col(_cost_name(m)).fill_null(0) for m in meters), pl.lit(0, MONEY))
    is_priced = pl.col("price_reason").is_null()
    shown = [meter for meter in meters if parts and meter.column in (*columns, "requests")]
    return costed.select(
        *columns,
        pl.when(is_priced).then(pl.lit("priced")).otherwise(pl.lit("unpriced")).alias("price_status"),
        pl.when(is_priced).then(total).cast(MONEY).alias("cost_usd"),
        *(pl.when(is_priced).then(pl.col(name)).alias(name) for name in ("price_date", "price_source")),
        "price_reason",
        *(pl.when(is_priced).then(pl.col(_cost_name(m))).alias(_cost_name(m)) for m in shown),
    )


def _part(meter: Meter, kind: pl.DataType) -> pl.Expr:
    """The meter's cost, null where it is counted and has no price; a fee per request needs the number of requests."""
    rate, count = pl.col(f"_{meter.name}"), pl.col(meter.column)
    cost = (count.cast(kind) * rate).cast(MONEY)
    is_free = rate.is_null() if meter.name == "requests" else count.fill_null(0) == 0
    if meter.name != _UNITS:
        is_free |= pl.col("_provisioned").fill_null(False)
    return pl.when(is_free).then(pl.lit(0, MONEY)).otherwise(cost)


def _context_tier(meters: Sequence[Meter], columns: Sequence[str], steps: int) -> list[pl.Expr]:
    """`_reached`: how many of the model's long-context steps the row is above; `_unclear`: it cannot be told."""
    if not steps:
        return [pl.lit(0, pl.UInt32).alias("_reached"), pl.lit(False).alias("_unclear")]
    tokens = pl.sum_horizontal(pl.lit(0), *(pl.col(m.column).fill_null(0) for m in meters if m.is_input))
    requests = pl.col("requests")
    is_told = (requests > 0).fill_null(False)
    above = [tokens > pl.col(step) * pl.when(is_told).then(requests).otherwise(1) for step in _steps(steps)]
    unclear = ~is_told & above[0].fill_null(False)
    if CONTEXT in columns:
        window = pl.col(CONTEXT)
        above = [
            pl.when(window.is_null()).then(by_size).otherwise(window >= pl.col(step))
            for by_size, step in zip(above, _steps(steps), strict=True)
        ]
        unclear = unclear & window.is_null()
    reached = pl.sum_horizontal(step.fill_null(False).cast(pl.UInt32) for step in above)
    return [reached.cast(pl.UInt32).alias("_reached"), unclear.alias("_unclear")]


def _steps(count: int) -> list[str]:
    return [f"_step_{n}" for n in range(1, count + 1)]


def _cost_name(meter: Meter) -> str:
    return f"{meter.name}_cost_usd"


def _why(meters: Sequence[Meter]) -> pl.Expr:
    """The first reason why a row has no price, null where it has one."""
    needs_requests = pl.lit("the price depends on the number of requests, which is missing")
    needs_hours = pl.lit("provisioned throughput is paid by the hour, and no provisioned_unit_hours are counted")
    no_hours = pl.col("_provisioned") & (pl.col(_UNIT_HOURS).fill_null(0) == 0)
    return pl.coalesce(
        "_reason",
        pl.when(no_hours).then(needs_hours),
        pl.when(pl.col("_unclear") | pl.col("requests_cost_usd").is_null()).then(needs_requests),
        *(pl.when(pl.col(_cost_name(m)).is_null()).then(pl.lit(f"no price for {m.name}")) for m in meters),
    ).alias("price_reason")


def _cards(keys: pl.DataFrame, book: pl.DataFrame, meters: Sequence[Meter]) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """The rate card of each distinct name, tier and day; the rates of each card, a row a context tier; the most steps.

    cards: the key, `_card` (its first row in rates), `_step_<n>`, price_date, price_source, `_reason`.
    rates: `_rate` (row number), `_<meter>`: USD of one unit of count.
    """
    keys = _named(keys).with_row_index("_key")
    mine = book.join(keys, left_on=["provider", "model"], right_on=["_provider", "_model"], how="semi")
    held = _held(keys, mine)
    rates = _rates(held, meters)
    sizes = rates.group_by("_key").agg(pl.col("_rate").min().alias("_card"), pl.col(CONTEXT).sort().alias("_contexts"))
    steps = max(map(len, sizes["_contexts"].to_list()), default=1) - 1
    lineage = held.group_by("_key").agg(
        pl.col("checked").min().alias("price_date"),
        pl.col("source").unique().sort().str.join("; ").alias("price_source"),
    )  # fmt: skip
    sold = mine.select(_provider="provider", _model="model", _tier="service_tier").unique().with_columns(_sold=True)
    cards = (
        keys.join(sizes, on="_key", how="left")
        .join(lineage, on="_key", how="left")
        .join(sold, on=["_provider", "_model", "_tier"], how="left")
        .with_columns(
            pl.col("_contexts").list.get(n + 1, null_on_oob=True).alias(step) for n, step in enumerate(_steps(steps))
        )
        .with_columns(
            pl.when(pl.col("_card").is_not_null()).then(None)
            .when(pl.col("_sold")).then(pl.lit("no price on this day"))
            .when(pl.col("_known").is_not_null()).then(pl.col("_known"))
            .when(pl.col("_tier").is_in(list(TIERS))).then(pl.format("no {} price", "_tier"))
            .otherwise(pl.format("unknown service tier {}", "_tier")).alias("_reason"),
            (pl.col("_tier") == PROVISIONED).alias("_provisioned"),
        )
    )  # fmt: skip
    kept = [*KEY, "_card", "_reason", "_provisioned", "price_date", "price_source"]
    return (
        cards.select(*kept, *_steps(steps)),
        rates.select("_rate", *(f"_{meter.name}" for meter in meters)),
        steps,
    )


def _named(keys: pl.DataFrame) -> pl.DataFrame:
    """The keys with the book's `_provider`, `_model` and `_tier`, and `_known`: why the name alone has no price."""
    pairs = keys.select("provider", "model").unique().rows()
    found = [match(provider or "", model or "") for provider, model in pairs]
    columns = dict.fromkeys(("provider", "model", "_provider", "_model", "_known"), pl.String)
    rows = [(*pair, m.provider, m.model, m.reason) for pair, m in zip(pairs, found, strict=True)]
    named = pl.DataFrame(rows, schema=columns, orient="row")
    tier = service_tier(pl.col("service_tier")).alias("_tier")
    return keys.with_columns(tier).join(named, on=["provider", "model"], nulls_equal=True)


def _held(keys: pl.DataFrame, mine: pl.DataFrame) -> pl.DataFrame:
    """The book's rows that hold for each key on its day: one for each meter and context tier."""
    return (
        keys.select("_key", "date", "_provider", "_model", "_tier")
        .join(mine, left_on=["_provider", "_model", "_tier"], right_on=["provider", "model", "service_tier"])
        .filter(
            pl.col("valid_from").is_null() | (pl.col("valid_from") <= pl.col("date")),
            pl.col("valid_to").is_null() | (pl.col("valid_to") >= pl.col("date")),
        )
        .sort("rank")
        .unique(["_key", "meter", CONTEXT], keep="last", maintain_order=True)
    )


def _rates(held: pl.DataFrame, meters: Sequence[Meter]) -> pl.DataFrame:
    """A row a key and context tier, the shortest first, with the unit price of each meter."""
    amounts = held.group_by("_key", CONTEXT).agg(
        unit_price().filter(pl.col("meter") == meter.name).first().alias(f"_{meter.name}") for meter in meters
    )
    base = held.select("_key", pl.lit(0, pl.Int64).alias(CONTEXT))
    return (
        pl.concat([held.select("_key", CONTEXT), base])
        .unique()
        .join(amounts, on=["_key", CONTEXT], how="left")
        .sort("_key", CONTEXT)
        # a meter without a long-context price of its own keeps its price
        .with_columns(pl.col(f"_{meter.name}").forward_fill().over("_key") for meter in meters)
        .with_row_index("_rate")
    )
