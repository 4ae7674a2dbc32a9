"""What tokens cost and why that changed: figures, factors, history and details from token facts.

Every view takes facts (finops.token_ledger.FACTS) of days that the caller chose; cost is effective cost, and facts
exist for spend on model APIs only.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s
from finops.token_factors import FACTORS, NOT_METERED, factors
from finops.token_ledger import CACHE_READ, CACHE_WRITE, UNCACHED, WHO, canonical
from reports.views.movement import CHANGE, PRIOR, RATIO, START, VALUE
from reports.views.scope import Scope, word
from reports.views.spend import COST, CURRENCY, summed
from reports.views.standing import Figure
from reports.views.words import compact, headline

TOKENS, REQUESTS, PER_MILLION, CACHED, TOP_MODEL = (
    "tokens", "requests", "price_per_million", "cache_read_ratio", "top_model",
)  # fmt: skip
GROUPS: Final = ("use_case", "team", "key", "model", "provider")
"""What the table is grouped by."""
MILLION: Final = Decimal(1_000_000)
METERED_COST: Final = "metered_cost"
PARTS: Final[Mapping[str, str]] = {
    "volume": "Volume", "mix": "Model mix", "cache": "Cache and output", "price": "Price", NOT_METERED: "Not metered",
}  # fmt: skip
"""What a change of cost is made of, in words."""
_WORKLOAD: Final = ("team", "use_case")
_COLUMNS: Final = {
    s.CHARGE_DATE: "day", s.SOURCE_ID: "source_id", s.SERVICE_PROVIDER_NAME: "provider",
    s.SUB_ACCOUNT_ID: "account_id", s.SUB_ACCOUNT_NAME: "account_name", s.MODEL_ID: "model",
    s.SERVICE_TIER: "service_tier", s.CONSUMER_ID: "key", s.TEAM: "team", s.USE_CASE: "use_case",
    s.COST_CENTER: "cost_center", s.ENVIRONMENT: "environment", s.PURPOSE: "purpose", s.BILLING_CURRENCY: "currency",
}  # fmt: skip
_ALWAYS: Final = {s.DRIVER: "model_api", s.IS_AI: True}
"""What is true of all facts."""
_INPUT: Final = (UNCACHED, CACHE_READ, CACHE_WRITE)


# ------------------------------------------------------------------------------------------------------ what is meant
def narrowed(facts: pl.DataFrame, scope: Scope) -> pl.DataFrame:
    """The facts that a scope means, of its days too where facts have days; filters that facts cannot follow are left
    out, see `unfollowed`."""
    conditions = []
    for name, values in scope.where.items():
        if name in _ALWAYS and _ALWAYS[name] not in values:
            return facts.clear()
        if name in _COLUMNS:
            known = set(values) - {None}
            if name == s.MODEL_ID:  # the book's name of a model that the bill calls otherwise
                said = pl.DataFrame({"model": list(known)}, schema={"model": pl.String})
                known = set(canonical(facts.select("provider").unique().join(said, how="cross"))["model"])
            column = pl.col(_COLUMNS[name])
            named = column.is_in(list(known)).fill_null(False)
            conditions.append(named | column.is_null() if None in values else named)
    if scope.start is not None and "day" in facts.columns:
        conditions.append(pl.col("day") >= scope.start)
    if scope.end is not None and "day" in facts.columns:
        conditions.append(pl.col("day") <= scope.end)
    return facts.filter(*conditions) if conditions else facts


def unfollowed(scope: Scope) -> list[str]:
    """The words of the filters that token facts know nothing about, and another cost than the effective one."""
    names = [word(name).replace("_", " ") for name in scope.where if name not in (*_COLUMNS, *_ALWAYS)]
    return names if scope.cost == "effective" else [*names, f"{scope.cost} cost"]


def monthly(facts: pl.DataFrame) -> pl.DataFrame:
    """Facts by month instead of day: column start, and all others but basis."""
    keys = [name for name in WHO if name != "day"]
    return (
        facts.group_by(pl.col("day").dt.truncate("1mo").alias(START), *keys)
        .agg(
            pl.col(COST).sum(), _metered_cost(),
            _counted_sum(TOKENS),
        )
        .sort(START, *keys)
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------------ figures
def figures(now: pl.DataFrame, prior: pl.DataFrame, currency: str) -> tuple[Figure, Figure, Figure, Figure]:
    """Cost, tokens, price per million tokens and the share of input that is read from the cache.

    price per million [currency per 10^6 tokens] = cost of what is counted in tokens / its tokens x 10^6; share of
    input from the cache [ratio] = cache read / (uncached input + cache read + cache write).
    """
    after, before = (_measured(frame).row(0, named=True) for frame in (now, prior))
    units = {COST: currency, TOKENS: "tokens", PER_MILLION: f"{currency} per million tokens", CACHED: "ratio"}
    cost, tokens, per_million, cached = (Figure(n, unit, after[n], before[n]) for n, unit in units.items())
    return cost, tokens, per_million, cached


def changed(now: pl.DataFrame, prior: pl.DataFrame, by: str | None = None) -> pl.DataFrame:
    """Cost of two periods and what changed it, of all or by one of GROUPS: see finops.token_factors.

    A key is explained by itself, all else by team and use case, so that any table but that of keys sums to the same
    factors. Columns: value (with `by`), currency, cost, prior, change, change_ratio, tokens, prior_tokens, factors.
    """
    found = factors(prior, now, within=("key",) if by == "key" else _WORKLOAD, by=[by] if by else [])
    zero = pl.lit(0, s.MONEY)
    named = found.rename({by: VALUE}) if by else found
    return named.select(
        *([VALUE] if by else []), CURRENCY, COST, PRIOR, CHANGE,
        pl.when(pl.col(PRIOR) != zero).then(pl.col(CHANGE) / pl.col(PRIOR).abs()).alias(RATIO),
        TOKENS, "prior_tokens", *FACTORS, NOT_METERED,
    )  # fmt: skip


def table(now: pl.DataFrame, prior: pl.DataFrame, by: str) -> pl.DataFrame:
    """`changed` by one of GROUPS with price per million, share of input from the cache and the costliest model; the
    dearest first."""
    top = (
        now.group_by(pl.col(by).alias(VALUE), pl.col("model").alias(TOP_MODEL)).agg(pl.col(COST).sum())
        .sort(COST, TOP_MODEL, descending=[True, False])
        .group_by(VALUE, maintain_order=True).agg(pl.col(TOP_MODEL).first())
    )  # fmt: skip
    rates = _measured(now, by).select(pl.col(by).alias(VALUE), TOKENS, PER_MILLION, CACHED)
    return (
        changed(now, prior, by).drop(TOKENS)
        .join(rates, on=VALUE, how="left", nulls_equal=True)
        .join(top, on=VALUE, how="left", nulls_equal=True)
        .sort(COST, VALUE, descending=[True, False])
        .select(VALUE, CURRENCY, COST, TOKENS, PER_MILLION, CACHED, TOP_MODEL, PRIOR, CHANGE, RATIO, "prior_tokens",
                *FACTORS, NOT_METERED)
    )  # fmt: skip


def only(facts: pl.DataFrame, by: str, value: object) -> pl.DataFrame:
    """The facts of one group."""
    return facts.filter(pl.col(by).eq_missing(pl.lit(value)))


def days(facts: pl.DataFrame) -> pl.DataFrame:
    """Each day's cost, tokens, requests, price per million and share of input from the cache."""
    return _measured(facts, "day").sort("day").select("day", COST, TOKENS, REQUESTS, PER_MILLION, CACHED)


def keys(now: pl.DataFrame, prior: pl.DataFrame) -> pl.DataFrame:
    """Each key and model behind the facts with cost, cost before, tokens, price per million and cache share."""
    by = ("key", "account_name", "model")
    before = prior.group_by(by).agg(pl.col(COST).sum().alias(PRIOR))
    zero = pl.lit(0, s.MONEY)
    return (
        _measured(now, *by)
        .join(before, on=by, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col(COST, PRIOR).fill_null(zero))
        .with_columns((pl.col(COST) - pl.col(PRIOR)).alias(CHANGE))
        .sort(COST, *by, descending=[True, *(False for _ in by)])
        .select(*by, COST, TOKENS, PER_MILLION, CACHED, CHANGE)
    )


def daily_by_model(facts: pl.DataFrame) -> pl.DataFrame:
    """Cost by day and model, in the columns of `movement.trend`."""
    rows = facts.group_by(pl.col("day").alias(START), pl.col("model").alias(VALUE), CURRENCY).agg(pl.col(COST).sum())
    return rows.sort(START, VALUE)


# ------------------------------------------------------------------------------------------------------------ history
def history(months: pl.DataFrame) -> pl.DataFrame:
    """Each month's cost, tokens, price per million and share of input from the cache; months: of `monthly`."""
    return _measured(months, START).sort(START).select(START, COST, TOKENS, PER_MILLION, CACHED)


def mix(months: pl.DataFrame) -> pl.DataFrame:
    """Cost by month and model: columns start, value and cost; credits, which no share can show, are left out."""
    return months_by(months, "model").filter(pl.col(COST) > 0)


def months_by(months: pl.DataFrame, by: str) -> pl.DataFrame:
    """Cost by month of each group, in the columns of `movement.trend`."""
    rows = months.group_by(START, pl.col(by).alias(VALUE)).agg(pl.col(COST).sum())
    return rows.sort(START, VALUE)


def models(months: pl.DataFrame) -> list[str | None]:
    """All models, the costliest first: what colours follow."""
    return (
        months.group_by("model")
        .agg(pl.col(COST).sum())
        .sort(COST, "model", descending=[True, False])["model"]
        .to_list()
    )


# -------------------------------------------------------------------------------------------------------------- words
def sentence(scope: Scope, cost: Figure, tokens: Figure, by_use_case: pl.DataFrame, whole: pl.DataFrame) -> str:
    """What was spent for how many tokens, how it moved, who moved it and by which factors.

    by_use_case, whole: of `changed`, by use case and of all.
    """
    said = Figure(cost.name, f"{cost.unit} ({compact(tokens.value)} tokens)", cost.value, cost.prior)
    text = headline(scope, said, by_use_case.sort(pl.col(CHANGE).abs(), descending=True), kind="use case")
    if not cost.prior or whole.is_empty():
        return text
    effects = {name: summed(whole, name) for name in PARTS}
    largest = max(abs(v) for v in effects.values())
    counted = [n for n, v in sorted(effects.items(), key=lambda e: -abs(e[1])) if abs(v) >= largest / 10 and v]
    moved = ", ".join(f"{PARTS[n].lower()} {compact(effects[n], signed=True)}" for n in counted)
    return f"{text} By cause: {moved} {cost.unit}." if moved else text


_NEXT_STEPS: Final = (
    ("its cost stands on the bill", "Nothing: the bill has its cost. It is not compared with the book."),
    (
        "unknown model",
        "Add the model's prices to a file named under prices.tokens in finops.toml, or correct its name.",
    ),
    ("unknown service tier", "Correct the tier where the usage is recorded, or add a price of that tier."),
    ("no price on this day", "Add a price with its days to a file named under prices.tokens in finops.toml."),
    ("number of requests", "Let the source record the number of requests: the long-context price depends on it."),
    ("no ", "Add the price to a file named under prices.tokens in finops.toml."),
)


def next_step(reason: str) -> str:
    """What to do about usage without a price, by the reason that pricing gives."""
    found = (step for part, step in _NEXT_STEPS if part in reason)
    return next(found, "Add its price to a file named under prices.tokens in finops.toml.")


def unpriced(rows: pl.DataFrame) -> pl.DataFrame:
    """Unpriced usage with what to do about each."""
    step = pl.col("reason").map_elements(next_step, return_dtype=pl.String).alias("what_to_do")
    return rows.with_columns(step)


# ----------------------------------------------------------------------------------------------------------- formulas
def _measured(facts: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Cost, tokens, requests, price per million and share of input from the cache, of all facts or by columns."""
    kind, tokens = pl.col("kind"), pl.col(TOKENS)
    sums = [
        pl.col(COST).sum(),
        *(_counted_sum(name) for name in (TOKENS, REQUESTS) if name in facts.columns),
        pl.col(METERED_COST).sum() if METERED_COST in facts.columns else _metered_cost(),
        tokens.filter(kind == CACHE_READ).sum().alias("_read"),
        tokens.filter(kind.is_in(_INPUT)).sum().alias("_input"),
    ]
    summed = facts.group_by(by).agg(sums) if by else facts.select(sums)
    per_million = pl.when(tokens > 0).then(pl.col(METERED_COST) / tokens * MILLION)
    cached = pl.when(pl.col("_input") > 0).then(pl.col("_read") / pl.col("_input"))
    return summed.with_columns(per_million.cast(s.MONEY).alias(PER_MILLION), cached.cast(s.MONEY).alias(CACHED))


def _metered_cost() -> pl.Expr:
    return pl.col(COST).filter(_counted()).sum().alias(METERED_COST)


def _counted_sum(name: str) -> pl.Expr:
    """The sum of a count; empty where nobody counted."""
    return pl.when(_counted(name).any()).then(pl.col(name).sum()).alias(name)


def _counted(name: str = TOKENS) -> pl.Expr:
    return (pl.col(name) != 0).fill_null(False)
