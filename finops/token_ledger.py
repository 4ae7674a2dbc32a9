"""Who used which model, and what it cost: the bill of model APIs joined with the usage that was metered.

Money comes from the bill only. Metered usage says which key, team and use case a billed cell belongs to, and how many
tokens it was; its prices, from the book, are weights and a comparison, never money that is summed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from finops import schema as s
from finops.schema import MONEY
from finops.token_costs import price
from finops.token_prices import METERS, UNIT, Meter, match, service_tier

UNCACHED, CACHE_READ, CACHE_WRITE, OUTPUT, OTHER = KINDS = (
    "uncached_input", "cache_read", "cache_write", "output", "other",
)  # fmt: skip
"""What money of a model API buys: four kinds of tokens, and what is not counted in tokens."""
BILLED, ATTRIBUTED, UNMETERED = "billed", "attributed", "unmetered"
"""Basis of a fact: the bill itself says who, its cell was split over what metered it, or nothing explains it."""
OWNERS: Final = ("team", "use_case", "cost_center", "environment", "purpose")
WHO: Final = (
    "day", "source_id", "provider", "account_id", "account_name", "key", "model", "kind", "service_tier", *OWNERS,
    "currency",
)  # fmt: skip
FACTS: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(WHO, pl.String()), "day": pl.Date(),
    "tokens": MONEY, "requests": MONEY, "cost": MONEY, "list_cost": MONEY, "basis": pl.String(),
}  # fmt: skip
METERED: Final = (
    *(name for name in WHO if name != "currency"), "billing_period", "ledger_role", "reason", "volume", "tokens",
    "requests", "list_cost",
)  # fmt: skip
PRICING: Final = ("price_status", "cost", "price_reason", "price_date", "price_source")
"""What pricing adds to usage; `cost` is in USD."""
ON_THE_BILL: Final = "its cost stands on the bill"
BOOK_CURRENCY: Final = "USD"

CELL: Final = ("source_id", "day", "_account", "_key", "_tier", "_model", "_kind")
"""What bill and usage are joined on; a part that one of the two does not tell is empty on both sides."""
_BILL_ROW: Final = (*WHO, "billing_period", "category")
_REQUESTS: Final = next(meter for meter in METERS if meter.name == "requests")
_TOKENS: Final = tuple(meter for meter in METERS if meter.column.endswith("_tokens"))


# ------------------------------------------------------------------------------------------------------- priced usage
def priced(usage: pl.LazyFrame, book: pl.DataFrame) -> pl.LazyFrame:
    """Rows of token_usage with PRICING, and `<meter>_cost_usd` of each meter.

    What is counted in something that the book does not sell (images, sessions, GiB), or in requests alone, is unpriced:
    the book's sum over no meter would say that it is free.
    """
    rows = price(usage.rename({"day": "date"}), book, parts=True).rename({"date": "day", "cost_usd": "cost"})
    counted = pl.any_horizontal(_filled(m.column) > 0 for m in METERS if m.name != "requests")
    is_other = pl.col("other_quantity").fill_null(0) > 0
    has_fee = pl.col("requests_cost_usd").fill_null(0) > 0
    unit = pl.col("other_unit").fill_null("units")
    reason = (
        pl.when(is_other & counted).then(pl.format("also counted in {}, which has no price", unit))
        .when(is_other).then(pl.format(f"counted in {{}}; {ON_THE_BILL}", unit))
        .when(pl.col("price_reason").is_not_null()).then("price_reason")
        .when(~counted & ~has_fee & (_filled("requests") > 0)).then(pl.lit(f"counted in requests; {ON_THE_BILL}"))
        .alias("price_reason")
    )  # fmt: skip
    is_priced = pl.col("price_reason").is_null()
    costs = ("cost", "price_date", "price_source", *map(_part, METERS))
    return rows.with_columns(reason).with_columns(
        pl.when(is_priced).then(pl.lit("priced")).otherwise(pl.lit("unpriced")).alias("price_status"),
        *(pl.when(is_priced).then(pl.col(name)).alias(name) for name in costs),
    )


def unpriced(usage: pl.DataFrame) -> pl.DataFrame:
    """Priced usage that has no price: a row a source, operation, model, tier and reason, with what it counts.

    Columns: source_id, provider, operation, model, service_tier, reason, tokens, requests, other_quantity, other_unit,
    first_day, last_day; the most tokens first.
    """
    by = ("source_id", "provider", "operation", "model", "service_tier", "reason", "other_unit")
    return (
        usage.filter(pl.col("price_status") == "unpriced")
        .rename({"price_reason": "reason"})
        .with_columns(tokens=_total(_TOKENS))
        .group_by(by)
        .agg(
            pl.col("tokens", "requests", "other_quantity").sum(), first_day=pl.col("day").min(),
            last_day=pl.col("day").max(),
        )
        .select(*by[:-1], "tokens", "requests", "other_quantity", "other_unit", "first_day", "last_day")
        .sort("tokens", "requests", "other_quantity", *by, descending=[True] * 3 + [False] * len(by))
    )  # fmt: skip


def kind_of(meter: Meter) -> str:
    """The kind of fact that a meter counts towards."""
    if meter not in _TOKENS:
        return OTHER
    for kind in (CACHE_READ, CACHE_WRITE):
        if meter.name.startswith(kind):
            return kind
    return UNCACHED if meter.is_input else OUTPUT


def metered(usage: pl.DataFrame) -> pl.DataFrame:
    """Priced usage, a row a kind: METERED.

    volume: tokens, or what else is counted. list_cost: the book's price of them in USD, empty where unpriced. requests
    stand on the first kind of a row.
    """
    meters = {kind: [m for m in METERS if kind_of(m) == kind and m is not _REQUESTS] for kind in KINDS}
    fee = _filled(_part(_REQUESTS))
    others = _total(meters[OTHER]) + _filled("other_quantity")
    asked_only = (others == 0) & ((fee > 0) | (_total(_TOKENS) == 0))
    volumes = {kind: _total(meters[kind]) for kind in KINDS if kind != OTHER}
    volumes[OTHER] = pl.when(asked_only).then(_filled("requests")).otherwise(others)
    costs = {kind: _sum(map(_part, meters[kind])) + (fee if kind == OTHER else 0) for kind in KINDS}
    wide = (
        canonical(usage.rename({"consumer_id": "key", "price_reason": "reason"}))
        .with_columns(service_tier(pl.col("service_tier")).alias("service_tier"))
        .with_columns(volume.alias(f"_{kind}") for kind, volume in volumes.items())
        .with_columns(_first=pl.coalesce(pl.when(pl.col(f"_{kind}") > 0).then(pl.lit(kind)) for kind in KINDS))
    )
    return pl.concat(
        wide.filter(pl.col(f"_{kind}") > 0).with_columns(
            kind=pl.lit(kind),
            volume=pl.col(f"_{kind}"),
            tokens=pl.lit(None, MONEY) if kind == OTHER else pl.col(f"_{kind}"),
            requests=pl.when(pl.col("_first") == kind).then("requests"),
            list_cost=pl.when(pl.col("reason").is_null()).then(costs[kind]).cast(MONEY),
        ).select(*METERED)
        for kind in KINDS
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------------------- the bill
def bill(daily: pl.LazyFrame) -> pl.DataFrame:
    """The billed charges of model APIs in spend_daily: WHO, billing_period, category, tokens, billed and cost."""
    names = {
        "day": s.CHARGE_DATE, "source_id": s.SOURCE_ID, "provider": s.SERVICE_PROVIDER_NAME,
        "account_id": s.SUB_ACCOUNT_ID, "account_name": s.SUB_ACCOUNT_NAME, "key": s.CONSUMER_ID, "model": s.MODEL_ID,
        "service_tier": s.SERVICE_TIER, "team": s.TEAM, "use_case": s.USE_CASE, "cost_center": s.COST_CENTER,
        "environment": s.ENVIRONMENT, "purpose": s.PURPOSE, "currency": s.BILLING_CURRENCY,
        "billing_period": s.BILLING_PERIOD, "category": s.CHARGE_CATEGORY,
    }  # fmt: skip
    rows = (
        daily.filter(pl.col(s.DRIVER) == "model_api", pl.col(s.LEDGER_ROLE) == s.BILLED)
        .select(
            *(pl.col(column).alias(name) for name, column in names.items()),
            billed_kind().alias("kind"), pl.col(s.TOKENS).alias("tokens"), pl.col(s.BILLED_COST).alias("billed"),
            pl.col(s.EFFECTIVE_COST).alias("cost"),
        )
        .group_by(_BILL_ROW)
        .agg(pl.col("tokens", "billed", "cost").sum())
        .with_columns(pl.when(pl.col("tokens") != 0).then("tokens").alias("tokens"))
        .collect(engine="streaming")
    )  # fmt: skip
    return canonical(rows)


def billed_kind() -> pl.Expr:
    """The kind that a charge is for, by its direction and cache action."""
    direction, action = pl.col(s.TOKEN_DIRECTION), pl.col(s.TOKEN_CACHE_ACTION)
    return (
        pl.when(direction == "Output").then(pl.lit(OUTPUT))
        .when(direction != "Input").then(pl.lit(OTHER))
        .when(action == "Read").then(pl.lit(CACHE_READ))
        .when(action == "Write").then(pl.lit(CACHE_WRITE))
        .when(direction == "Input").then(pl.lit(UNCACHED))
        .otherwise(pl.lit(OTHER))
    )  # fmt: skip


@dataclass(frozen=True)
class Joinable:
    """Bill and metered usage with the columns on which they meet, the same on both sides."""

    bill: pl.DataFrame
    metered: pl.DataFrame


def joinable(bill: pl.DataFrame, metered: pl.DataFrame) -> Joinable:
    """Bill and usage with the columns of CELL.

    What only one of the two tells is left empty on both, so that a bill without keys meets the usage of all keys, and
    tokens of a batch meet the one price that the bill has. Cache tokens that the bill does not part from other input
    meet that; a model that is billed without kinds meets all its tokens; searches and the like that the bill lists
    under no model meet that line.
    """
    for name, column in (("_account", "account_id"), ("_key", "key")):
        known = _common(bill, metered, column)["source_id"].unique().to_list()
        told = pl.when(pl.col("source_id").is_in(known)).then(column).alias(name)
        bill, metered = bill.with_columns(told), metered.with_columns(told)
    on = ["source_id", "service_tier"]
    tiers = _common(bill, metered, "service_tier").with_columns(_tier=pl.col("service_tier"))
    parts_standard = tiers.filter(pl.col("_tier") == "standard")["source_id"].to_list()
    # a line without a tier beside others that say standard is standard too
    plain = pl.when(pl.col("service_tier").is_null() & pl.col("source_id").is_in(parts_standard)).then(
        pl.lit("standard")
    )
    kind, model = pl.col("kind"), pl.col("model")
    kinds = bill.group_by("source_id", "model").agg(kind.unique().alias("_kinds"))
    lists_others = kinds.filter(model.is_null() & pl.col("_kinds").list.contains(OTHER))["source_id"].to_list()
    billed = pl.col("_kinds").list
    is_cache = kind.is_in([CACHE_READ, CACHE_WRITE])
    met = (
        pl.when(billed.contains(kind)).then(kind)
        .when(is_cache & billed.contains(UNCACHED)).then(pl.lit(UNCACHED))
        .when((billed.len() == 1) & billed.contains(OTHER)).then(pl.lit(OTHER))
        .otherwise(kind)
    )  # fmt: skip
    is_listed = (kind == OTHER) & ~billed.contains(OTHER).fill_null(False) & pl.col("source_id").is_in(lists_others)
    return Joinable(
        bill.join(tiers, on=on, how="left").with_columns(_tier=pl.coalesce("_tier", plain), _kind=kind, _model=model),
        metered.join(tiers, on=on, how="left")
        .join(kinds, on=["source_id", "model"], how="left", nulls_equal=True)
        .with_columns(_kind=met, _model=pl.when(~is_listed).then(model))
        .drop("_kinds"),
    )


def _common(bill: pl.DataFrame, metered: pl.DataFrame, column: str) -> pl.DataFrame:
    """The values of a column that both have, by source."""
    on = ["source_id", column]
    return bill.select(on).drop_nulls().unique().join(metered.select(on), on=on, how="semi")


# -------------------------------------------------------------------------------------------------------------- facts
def facts(bill: pl.DataFrame, metered: pl.DataFrame, splits: Mapping[str, tuple[str, str | None]]) -> pl.DataFrame:
    """Who used what, and what it cost: FACTS.

    bill, metered: of the functions of these names. splits: derived source -> the billed source whose charges it
    divides, and the key if it divides that key's only. A cell of the bill is split over the usage of its source, day,
    account, key, tier, model and kind by book cost, or by volume where some of it has no price. The sum of cost is the
    bill's to the last decimal. Usage that nothing was billed for is no fact; the tie-out lists it.
    """
    rows = _attributed(bill, metered.filter(pl.col("ledger_role") == s.BILLED))
    derived = metered.filter(pl.col("ledger_role") == s.DERIVED)
    for source, (billed_source, key) in splits.items():
        rows = _divided(rows, derived.filter(pl.col("source_id") == source), billed_source, key)
    return (
        rows.with_columns(
            pl.when(pl.col("currency") == BOOK_CURRENCY).then("list_cost").alias("list_cost"),
            pl.coalesce("basis", pl.when(_says_who()).then(pl.lit(BILLED)).otherwise(pl.lit(UNMETERED))).alias("basis"),
        )
        .group_by(*WHO, "basis")
        .agg(
            _or_null("tokens"), _or_null("requests"), pl.col("cost").sum(),
            pl.when(pl.col("list_cost").is_not_null().all()).then(pl.col("list_cost").sum()).alias("list_cost"),
        )
        .select(*FACTS)
        .sort(*WHO)
    )  # fmt: skip


def _says_who() -> pl.Expr:
    return pl.col("tokens").is_not_null() | pl.col("team").is_not_null()


def _attributed(bill: pl.DataFrame, metered: pl.DataFrame) -> pl.DataFrame:
    """The bill's rows, those with usage split over it; `volume` and, where it was split, `basis`."""
    pair = joinable(bill, metered)
    who = ("account_id", "account_name", "key", "model", "kind", "service_tier", *OWNERS)
    usage = (
        pair.metered.group_by(*CELL, *who)
        .agg(
            pl.col("volume").sum(), _or_null("tokens"), _or_null("requests"),
            pl.when(pl.col("list_cost").is_not_null().all()).then(pl.col("list_cost").sum()).alias("list_cost"),
        )
        .with_columns(_weight=_weight().over(CELL))
        .sort(*CELL, *who)
    )  # fmt: skip
    # tokens were used once: they stand on the dearest of several rows of the bill that meet the same usage
    dearest = pl.col("cost").abs().rank("ordinal", descending=True).over(CELL) == 1
    rows = (
        pair.bill.sort(_BILL_ROW).with_columns(_counts=dearest).with_row_index("_row")
        .join(usage.with_columns(_met=True), on=CELL, how="left", nulls_equal=True, suffix="_used",
              maintain_order="left")
    )  # fmt: skip
    met = pl.col("_met").fill_null(False)
    names_team = pl.col("team_used").is_not_null()
    owner = {name: pl.when(names_team).then(f"{name}_used").otherwise(name) for name in OWNERS[:3]}
    once = {name: pl.when(met).then(pl.when("_counts").then(column)) for name, column in _COUNTED.items()}
    return (
        _exact_parts(rows.with_columns(pl.col("_weight").fill_null(1)), ("cost",))
        .with_columns(
            **owner,
            **{name: pl.coalesce(f"{name}_used", name) for name in OWNERS[3:]},
            **{name: pl.coalesce(name, f"{name}_used") for name in ("account_id", "account_name", "key", "model")},
            service_tier=pl.when(met).then("service_tier_used").otherwise("service_tier"),
            kind=pl.when(met).then("kind_used").otherwise("kind"),
            tokens=once["tokens"].otherwise("tokens"),
            requests=once["requests"],
            list_cost=once["list_cost"],
            volume=once["volume"].otherwise("tokens"),
            basis=pl.when(met).then(pl.lit(ATTRIBUTED)),
            divided=pl.lit(False),
        )
        .select(*FACTS, "volume", "divided")
    )


_COUNTED: Final = {"tokens": "tokens_used", "requests": "requests", "list_cost": "list_cost", "volume": "volume"}


def _weight() -> pl.Expr:
    """What the parts of a cell weigh: their book cost, or their volume where one of them has no price.

    What is no token is counted in units that cannot be compared: there the parts with a price share the cost.
    """
    cost = pl.col("list_cost")
    by_cost = (cost.sum() > 0) & (cost.is_not_null().all() | (pl.col("_kind") == OTHER).all())
    return pl.when(by_cost).then(cost.fill_null(0)).otherwise("volume")


def _divided(rows: pl.DataFrame, derived: pl.DataFrame, source: str, key: str | None) -> pl.DataFrame:
    """The rows with those of a billed source, or of one of its keys, divided by what a derived source metered.

    Its volume of a day, model and kind takes that share of each row; what it does not explain stays as it is. What
    another derived source divided is left alone.
    """
    mine = (pl.col("source_id") == source) & ~pl.col("divided")
    if key is not None:
        mine &= pl.col("key").eq_missing(pl.lit(key))
    chosen, rest = rows.filter(mine), rows.filter(~mine)
    usage = joinable(chosen, derived.with_columns(source_id=pl.lit(source))).metered
    cell, who = ("day", "_model", "_kind"), ("key", *OWNERS)
    parts = usage.group_by(*cell, *who).agg(pl.col("volume").sum().alias("_weight")).sort(*cell, *who)
    held = chosen.group_by("day", pl.col("model").alias("_model"), pl.col("kind").alias("_kind")).agg(
        pl.col("volume").sum().alias("_held")
    )
    left = (
        parts.group_by(cell).agg(pl.col("_weight").sum()).join(held, on=cell, nulls_equal=True)
        .select(*cell, *(pl.lit(None, pl.String).alias(name) for name in who),
                (pl.col("_held") - pl.col("_weight")).alias("_weight"))
        .filter(pl.col("_weight") > 0)
    )  # fmt: skip
    divided = (
        chosen.sort(WHO).with_columns(_kind=pl.col("kind"), _model=pl.col("model")).with_row_index("_row")
        .join(pl.concat([parts.with_columns(_met=True), left.with_columns(_met=False)]), on=cell, how="left",
              nulls_equal=True, suffix="_used", maintain_order="left")
        .with_columns(pl.col("_met").fill_null(False), pl.col("_weight").fill_null(1))
    )  # fmt: skip
    exact = _exact_parts(divided, ("cost", "list_cost", "tokens", "requests", "volume"))
    names_team = pl.col("team_used").is_not_null()
    return pl.concat([
        rest,
        exact.with_columns(
            *(pl.when(names_team).then(f"{name}_used").otherwise(name).alias(name) for name in OWNERS[:3]),
            *(pl.coalesce(f"{name}_used", name).alias(name) for name in (*OWNERS[3:], "key")),
            basis=pl.when("_met").then(pl.lit(ATTRIBUTED)).otherwise("basis"),
            divided="_met",
        ).select(rest.columns),
    ])  # fmt: skip


def _exact_parts(rows: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    """The rows with each column divided among the rows of the same `_row` by `_weight`; parts sum to it exactly.

    Money is rounded to 18 decimals, counts to whole ones; what rounding leaves goes to the heaviest part.
    """
    weight = pl.col("_weight").cast(UNIT)
    heaviest = weight.rank("ordinal", descending=True).over("_row") == 1
    share = pl.when(weight.sum().over("_row") > 0).then(weight / weight.sum().over("_row")).otherwise(0)
    shared = rows.with_columns(_share=share.cast(UNIT), _heaviest=heaviest)
    parts = {name: pl.col(name) * pl.col("_share") for name in columns}
    for name in parts.keys() & {"tokens", "requests"}:
        parts[name] = parts[name].round(0)
    return shared.with_columns(**{f"_{name}": part.cast(MONEY) for name, part in parts.items()}).with_columns(
        pl.when("_heaviest")
        .then(pl.col(name) - (pl.col(f"_{name}").sum().over("_row") - pl.col(f"_{name}")))
        .otherwise(f"_{name}")
        .alias(name)
        for name in parts
    )


# -------------------------------------------------------------------------------------------------------- expressions
def canonical(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with provider and model with the book's name of their model, where it knows it.

    What resellers put around a name is left out, so that a model has one name wherever it is bought.
    """
    pairs = rows.select("provider", "model").drop_nulls("model").unique().rows()
    names = [(provider, model, _plain(match(provider or "", model).model)) for provider, model in pairs]
    table = pl.DataFrame(names, schema=dict.fromkeys(("provider", "model", "_name"), pl.String), orient="row")
    named = rows.join(table, on=["provider", "model"], how="left", nulls_equal=True, maintain_order="left")
    return named.with_columns(model=pl.col("_name")).drop("_name")


def _plain(name: str) -> str:
    """`claude-sonnet-4-6` of `regional.anthropic.claude-sonnet-4-6-v1:0`, `gpt-4.1` of `openai/gpt-4.1`."""
    return re.sub(r"^[a-z]+/(?=[^/]+$)|^(?:[a-z]+\.)+|-v\d+:\d+$", "", name)


def _part(meter: Meter) -> str:
    return f"{meter.name}_cost_usd"


def _filled(column: str) -> pl.Expr:
    return pl.col(column).fill_null(0).cast(MONEY)


def _sum(columns: Iterable[str]) -> pl.Expr:
    return pl.sum_horizontal(pl.lit(0, MONEY), *map(_filled, columns))


def _total(meters: Iterable[Meter]) -> pl.Expr:
    return _sum(meter.column for meter in meters)


def _or_null(column: str) -> pl.Expr:
    """The sum of a column; empty where it has no value at all."""
    return pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum()).alias(column)
