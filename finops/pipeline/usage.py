"""Metered usage on its way into the lake: its owners, its context tier, and its sums by day."""

from typing import Final

import polars as pl

from connectors.registry import REJECT, SOURCE_ROWS, ledger_role
from finops import schema as s
from finops.config import Config, Source
from finops.errors import LakeError
from finops.ownership import PURPOSE_WORD, with_owners
from finops.rules import Rules
from finops.token_prices import METERS, load_book, match

_AS_CHARGE: Final = {
    s.SUB_ACCOUNT_ID: "account_id", s.SUB_ACCOUNT_NAME: "account_name", s.CONSUMER_ID: "consumer_id", s.TAGS: "tags",
    s.TEAM: "team", s.USE_CASE: "use_case", s.COST_CENTER: "cost_center", s.ENVIRONMENT: "environment",
    s.SERVICE_NAME: "provider",
}  # fmt: skip
"""What the owners of a charge are told from <- where a metered row has it."""
_MEASURES: Final = tuple(name for name in s.USAGE_MEASURES if name != "usage_rows")
_MODEL: Final = ("provider", "model")
_STATED: Final = {"billed": "stated_cost", "effective": "stated_cost"}


def usage_daily(
    metered: pl.LazyFrame, config: Config, source: Source, rules: Rules, mappings: pl.DataFrame, batch_id: str
) -> pl.LazyFrame:
    """The accepted rows with their owners, summed to the rows of the table token_usage.

    metered: METERED and x_BillingPeriod. Owners as of a charge: what the source says, tags, and the mappings of key,
    service (the provider) and account. A row of one request has the context tier that its input reaches; rows of
    several keep what the source says of it.
    """
    accepted = metered.filter(pl.col(REJECT).is_null())
    steps = _steps(accepted, config)
    as_charge = accepted.join(steps.lazy(), on=_MODEL, how="left", nulls_equal=True).with_columns(
        *(pl.col(column).alias(name) for name, column in _AS_CHARGE.items()),
        pl.lit(source.options.get("organization"), pl.String).alias(s.BILLING_ACCOUNT_ID),
        *(pl.lit(None, pl.String).alias(name) for name in (s.SOURCE_COLUMNS, s.PURPOSE, s.OWNER_STATUS)),
    )
    owned = with_owners(as_charge, config.tags, mappings, rules)
    return (
        owned.with_columns(
            *(pl.col(name).alias(column) for name, column in _AS_CHARGE.items() if name != s.SERVICE_NAME),
            pl.lit(source.id).alias("source_id"),
            pl.col(s.BILLING_PERIOD).alias("billing_period"),
            pl.lit(ledger_role(source)).alias("ledger_role"),
            pl.coalesce(PURPOSE_WORD, pl.lit("unknown")).alias("purpose"),
            pl.col(s.OWNER_STATUS).alias("owner_status"),
            _context_tier(steps.columns[len(_MODEL) :]).alias(s.CONTEXT),
        )
        .group_by(*s.USAGE_DIMENSIONS)
        .agg(*(_sum(name) for name in _MEASURES), pl.col(SOURCE_ROWS).sum().alias("usage_rows"))
        .with_columns(pl.lit(batch_id).alias("batch_id"))
        .select(*s.TABLES["token_usage"].columns)
    )


def usage_totals(metered: pl.LazyFrame, config: Config) -> pl.DataFrame:
    """Rows and stated costs by period, file, currency and fate, as `totals.read_totals` has them of charges.

    A row that states no currency is accounted in the company's, with the nothing that it states.
    """
    stated = pl.col("stated_cost").fill_null(0)
    return (
        metered.group_by(
            pl.col(s.BILLING_PERIOD).alias("billing_period"),
            pl.col(s.SOURCE_FILE).alias("source_file"),
            pl.col("currency").fill_null(config.company.currency),
            pl.col(REJECT).is_not_null().alias("rejected"),
        )
        .agg(
            pl.len().alias("charges"),
            pl.col(SOURCE_ROWS).sum().alias("rows"),
            *(stated.sum().alias(cost) for cost in _STATED),
        )
        .collect(engine="streaming")
    )


def usage_quarantine(metered: pl.LazyFrame, config: Config) -> pl.LazyFrame:
    """The rejected rows with the names that charges have."""
    return metered.filter(pl.col(REJECT).is_not_null()).with_columns(
        pl.col("currency").fill_null(config.company.currency).alias(s.BILLING_CURRENCY),
        pl.col("stated_cost").fill_null(0).alias(s.BILLED_COST),
        pl.col("stated_cost").fill_null(0).alias(s.EFFECTIVE_COST),
    )


def refuse_lost_usage(metered: pl.LazyFrame, stored: pl.LazyFrame, source: Source) -> None:
    """Raises LakeError unless every count of the accepted rows is in the lake, per period and to the last decimal."""
    accepted = metered.filter(pl.col(REJECT).is_null()).with_columns(pl.col(SOURCE_ROWS).alias("usage_rows"))
    sums = [pl.col(name).sum().cast(s.MONEY) for name in s.USAGE_MEASURES]
    read, held = (
        frame.group_by(pl.col(period).alias("billing_period")).agg(sums).sort("billing_period").collect()
        for frame, period in ((accepted, s.BILLING_PERIOD), (stored, "billing_period"))
    )
    if not read.equals(held):
        raise LakeError(
            f"the usage of {source.id} does not tie out: read {read.to_dicts()}, stored {held.to_dicts()}",
            expected="read = stored, per billing period and meter",
            next_step="nothing was changed; please report this with the file's header",
        )


def _steps(accepted: pl.LazyFrame, config: Config) -> pl.DataFrame:
    """The long-context steps of each model that the rows name, ascending: provider, model, _step_0, ..."""
    book = load_book(tuple(config.path(path) for path in config.prices.tokens))
    held = book.filter(pl.col(s.CONTEXT) > 0).group_by("provider", "model").agg(pl.col(s.CONTEXT).unique().sort())
    known = {(provider, model): steps for provider, model, steps in held.iter_rows()}
    pairs = accepted.select(_MODEL).unique().collect(engine="streaming").rows()
    names = [match(provider or "", model or "") for provider, model in pairs]
    found = [known.get((name.provider, name.model), []) for name in names]
    most = max(map(len, found), default=0)
    rows = [(*pair, *steps, *[None] * (most - len(steps))) for pair, steps in zip(pairs, found, strict=True)]
    columns = dict.fromkeys(_MODEL, pl.String()) | {f"_step_{n}": pl.Int64() for n in range(most)}
    return pl.DataFrame(rows, schema=columns, orient="row")


def _context_tier(steps: list[str]) -> pl.Expr:
    """What the source says, else for one request the longest step of its model that its input is above."""
    columns = [meter.column for meter in METERS if meter.is_input]
    tokens = pl.sum_horizontal(pl.col(name).fill_null(0) for name in columns)
    reached = pl.lit(0, pl.Int64)
    for step in steps:
        reached = pl.when(tokens > pl.col(step)).then(step).otherwise(reached)
    return pl.coalesce(s.CONTEXT, pl.when(pl.col("requests") == 1).then(reached))


def _sum(name: str) -> pl.Expr:
    """The sum of what is counted, null where no row counts it."""
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum())
