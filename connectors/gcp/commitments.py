"""Credited commitments: what part of a fee the usage under it carries, and what part nothing used.

Where usage is billed on demand and credited (COMMITTED_USAGE_DISCOUNT, ..._DOLLAR_BASE), no row says how much of a
fee it used: the fee has its rows, the credits have theirs. They are brought together in pools, one for each invoice
month, day of Google's billing (Pacific time), billing account, currency and what is committed to:

| commitment | pool | committed | used |
|---|---|---|---|
| resource-based | cores, memory, accelerator or SSD of a family; region; unit | fee's quantity | credited quantity |
| spend-based | service; Compute Engine, Kubernetes Engine, Cloud Run as one | on-demand cost it buys | credits |

    used_ratio = used / committed, at most 1
    a usage row's share = its credit x (fees x used_ratio / credits of the pool)
    a fee row's unused part = its fee x (1 - used_ratio)

The quantity of a spend-based fee counts on-demand cost in cents, or in dollars where its price is a cent or more.
Shares and unused parts of a pool sum to its fees exactly; what rounding leaves is on the first row that used it.

No pool is made, and nothing is moved, where a fee has credits of its own, where quantities are missing, or where a day
has credits without a fee beside fees without credits: the two may belong together, and no column says so.

Source: Cloud Billing, schema of the exports (credit types, price, usage); analyses of resource- and spend-based
commitments, which call the fee, the on-demand cost and the credits a balance sheet; names of fee SKUs. Read 2026-11-21.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any, Final

import polars as pl

from connectors.gcp import costs, credits
from connectors.registry import RawPart
from finops import schema as s
from finops.money import CONTEXT, QUANTUM

OPTION: Final = "gcp.commitments"
"""Option of a part: the pools of its rows as JSON."""
DAY, WHAT, RATE, USED_RATIO, REST, FIRST, FEE_ID = (
    "pool day", "pool what", "pool rate", "pool used ratio", "pool rest", "pool first row", "pool fee id",
)  # fmt: skip
KEY: Final = (s.BILLING_PERIOD_START, DAY, "billing_account_id", s.BILLING_CURRENCY, WHAT)
_MADE: Final = {RATE: s.MONEY, USED_RATIO: s.MONEY, REST: s.MONEY, FIRST: pl.Int64(), FEE_ID: pl.String()}
_CENT: Final = Decimal("0.01")
_FLEXIBLE: Final = ("Compute Engine", "Kubernetes Engine", "Cloud Run", "Cloud Run Functions", "Cloud Functions")
_PLACE: Final = ("location.region", "usage.pricing_unit")
_PACIFIC: Final = "America/Los_Angeles"
_SKU: Final = pl.col("sku.description").str.to_lowercase().str.replace(r"^commitment v\d+:\s*", "")
_fee: Final = costs.CREDITED_FEES
_SLIM: Final = {
    "is fee": _fee, "divides": costs.DIVIDES, "fee cost": pl.when(_fee).then("cost"), "taken": -pl.col(credits.TAKEN),
    "quantity": pl.when(_fee).then("usage.amount_in_pricing_units").otherwise(costs.COVERED),
    "exchange": pl.col("currency_conversion_rate"),
    "id": pl.when(_fee).then(pl.coalesce("subscription.instance_id", "sku.id")),
}  # fmt: skip


def _under_commitment() -> pl.Expr:
    return _fee | (costs.METERED & (pl.col(credits.TAKEN) != 0))


def keys() -> dict[str, pl.Expr]:
    """Day of Google's billing and what is committed to, of a fee or of usage under a credited commitment."""
    is_spend = pl.when(_fee).then(pl.col("sku.description").str.contains(costs.BY_MONEY)).otherwise(
        pl.col(credits.BY_MONEY)
    )  # fmt: skip
    service = pl.col("service.description")
    shared = pl.when(service.is_in(_FLEXIBLE)).then(pl.lit(_FLEXIBLE[0])).otherwise(service)
    return {
        DAY: pl.col("usage_start_time").dt.convert_time_zone(_PACIFIC).dt.date(),
        WHAT: pl.when(is_spend).then(pl.concat_str(pl.lit("spend/"), shared))
        .otherwise(pl.concat_str(_resource(), *(pl.coalesce(name, pl.lit("")) for name in _PLACE), separator="/")),
    }  # fmt: skip


def _resource() -> pl.Expr:
    """Accelerator, local SSD, or cores and memory of a machine family, as words of the SKU."""
    family = pl.coalesce(
        _SKU.str.extract(r"\b([a-z]\d[a-z]?)\b", 1),
        pl.when(_SKU.str.contains("compute.optimized")).then(pl.lit("c2")),
        pl.when(_SKU.str.contains("memory.optimized")).then(pl.lit("m1")),
        pl.lit("n1"),
    )
    return (
        pl.when(_SKU.str.contains("gpu|nvidia"))
        .then(pl.coalesce(_SKU.str.extract(r"(?:nvidia |tesla )+([a-z]+\d+(?: \d+gb)?)", 1), _SKU.str.extract(
            r"\b([a-z]+\d{2,}(?: \d+gb)?)", 1)))
        .when(_SKU.str.contains("tpu")).then(_SKU.str.extract(r"(tpu[ -]?v\d+[a-z]?)", 1))
        .when(_SKU.str.contains(r"\bssd\b")).then(pl.lit("ssd"))
        .when(_SKU.str.contains(r"\bram\b")).then(pl.concat_str(family, pl.lit(" ram")))
        .when(_SKU.str.contains(r"\b(?:core|cpu)s?\b")).then(pl.concat_str(family, pl.lit(" core")))
    )  # fmt: skip


def pooled(parts: list[RawPart], accepted: Callable[[RawPart], pl.LazyFrame | None]) -> list[RawPart]:
    """The parts, each with the pools that its rows lie in.

    accepted: of a part, the rows that are charges, at least its fees and credited usage; none where it has no credits.
    """
    slims = [
        frame.with_columns(**keys())
        .filter(_under_commitment(), pl.col(WHAT).is_not_null())
        .select(*KEY, pl.lit(i).alias("part"), pl.col("row").cast(pl.Int64),
                *(value.alias(name) for name, value in _SLIM.items()))
        .collect(engine="streaming")
        for i, part in enumerate(parts) if (frame := accepted(part)) is not None
    ]  # fmt: skip
    if not slims:
        return parts
    rows = pl.concat(slims).sort("part", "row")
    pools = _pools(rows)
    placed = rows.join(pools, on=KEY, nulls_equal=True, maintain_order="left")
    if placed.is_empty():
        return parts
    shares = placed.group_by(KEY, maintain_order=True).agg(
        pl.col("fees").first(),
        share(pl.col("taken")).sum().alias("shares"),
        pl.when("divides").then(unused("fee cost")).sum().alias("unused"),
    )
    used = placed.filter(pl.col("taken") > 0)
    firsts = used.group_by(KEY, maintain_order=True).agg(
        pl.col("part").first().alias("first part"), pl.col("row").first().alias(FIRST)
    )
    rest = (pl.col("fees") - pl.col("shares") - pl.col("unused")).alias(REST)
    whole = (
        pools.join(shares.select(*KEY, rest), on=KEY, nulls_equal=True)
        .join(firsts, on=KEY, how="left", nulls_equal=True)
    )  # fmt: skip
    here = placed.select("part", *KEY).unique(maintain_order=True).join(whole, on=KEY, nulls_equal=True)
    texts = {i: _text(frame, i) for (i,), frame in here.group_by("part", maintain_order=True)}
    return [
        replace(part, options=part.options | {OPTION: texts[i]}) if i in texts else part for i, part in enumerate(parts)
    ]


def _pools(rows: pl.DataFrame) -> pl.DataFrame:
    """The pools whose fees can be divided: rate of a credit, ratio that is used, fees, the fee's id if it is one."""
    fee, usage = pl.col("is fee"), ~pl.col("is fee")
    sums = rows.group_by(KEY, maintain_order=True).agg(
        pl.col("fee cost").filter("divides").sum().alias("fees"),
        pl.col("fee cost").sum().alias("all fees"),
        pl.col("quantity").filter(fee).sum().alias("committed"),
        pl.col("quantity").filter(usage).sum().alias("used"),
        pl.col("quantity").null_count().alias("unknown"),
        pl.col("taken").sum(),
        pl.col("exchange").max(),
        pl.col("id").drop_nulls().unique().alias("ids"),
    )
    lone = {tuple(row[k] for k in KEY[:-1]) for row in sums.iter_rows(named=True) if not row["ids"]}
    found = []
    for row in sums.iter_rows(named=True):
        ratio = _used_ratio(row)
        if ratio is None or (not row["taken"] and tuple(row[k] for k in KEY[:-1]) in lone):
            continue
        with localcontext(CONTEXT):
            rate = row["fees"] * ratio / row["taken"] if row["taken"] else Decimal(0)
        found.append({
            **{k: row[k] for k in KEY}, "fees": row["fees"], RATE: rate.quantize(QUANTUM, context=CONTEXT),
            USED_RATIO: ratio, FEE_ID: row["ids"][0] if len(row["ids"]) == 1 else None,
        })  # fmt: skip
    kinds = {k: rows.schema[k] for k in KEY}
    return pl.DataFrame(found, schema=kinds | {"fees": s.MONEY} | {n: _MADE[n] for n in (RATE, USED_RATIO, FEE_ID)})


def _used_ratio(pool: dict[str, Any]) -> Decimal | None:
    """Used / committed of a pool; none where what is committed cannot be known."""
    if pool["taken"] < 0 or pool["fees"] <= 0:
        return None
    if not pool["taken"]:
        return Decimal(0)
    committed: Decimal = pool["committed"]
    used: Decimal = pool["used"]
    if pool[WHAT].startswith("spend/"):
        exchange, used = pool["exchange"] or Decimal(1), pool["taken"]
        if committed <= 0 or exchange <= 0:
            return None
        price = pool["all fees"] / committed / exchange
        if price >= 1:
            return None
        committed = committed * exchange * (_CENT if price < _CENT else 1)
    if pool["unknown"] or committed <= 0 or used < 0:
        return None
    return min(Decimal(1), used / committed).quantize(QUANTUM)


def _text(pools: pl.DataFrame, part: int) -> str:
    """The pools as JSON; a pool's first row stands only in the part that holds it."""
    mine = pools.with_columns(pl.when(pl.col("first part") == part).then(FIRST).alias(FIRST))
    months = mine.with_columns(pl.col(s.BILLING_PERIOD_START).dt.date())
    return json.dumps([[None if v is None else str(v) for v in row] for row in months.select(*KEY, *_MADE).rows()])


def with_pools(rows: pl.LazyFrame, options: dict[str, str]) -> pl.LazyFrame:
    """The rows with the columns of their pool; all of them null where they lie in none."""
    listed = json.loads(options.get(OPTION, "[]"))
    if not listed:
        return rows.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in _MADE.items())
    pools = pl.DataFrame(listed, orient="row", schema=dict.fromkeys((*KEY, *_MADE), pl.String())).with_columns(
        pl.col(s.BILLING_PERIOD_START).str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC").cast(s.TIME),
        pl.col(DAY).str.to_date(),
        *(pl.col(name).cast(kind) for name, kind in _MADE.items()),
    )
    return rows.with_columns(
        pl.when(_under_commitment()).then(value).alias(name) for name, value in keys().items()
    ).join(pools.lazy(), on=KEY, how="left", nulls_equal=True, maintain_order="left")  # fmt: skip


def share(taken: pl.Expr) -> pl.Expr:
    """What a row's committed credit has used of the fees of its pool."""
    return taken * pl.col(RATE)


def unused(fee: str) -> pl.Expr:
    """The part of a fee row that nothing used."""
    return pl.col(fee) - pl.col(fee) * pl.col(USED_RATIO)
