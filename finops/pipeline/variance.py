"""Why cost is what it is beside a budget, a forecast or an earlier period, from the lake's charges."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s
from finops import scope as scopes
from finops import token_ledger as ledger
from finops import variance as bridging
from finops.config import Config
from finops.errors import CallError
from finops.freshness import settled_until
from finops.pipeline import tokens
from finops.pipeline.budgets import both_ways, forecast_of
from finops.pipeline.daily import spread
from finops.store import Lake
from finops.variance import ACCELERATOR_HOURS, COMMITTED, CREDIT, FEE, SKU, TOKENS, USAGE
from reports.views.budgets import A_MONTH, same_scope
from reports.views.charges import partitions
from reports.views.scope import Scope, add_months
from reports.views.spend import CURRENCY, spend_in
from reports.views.variance import Variance
from reports.views.words import period_name

PRIOR, BUDGET, FORECAST = AGAINST = ("prior", "budget", "forecast")
CENT: Final = Decimal("0.01")


# --------------------------------------------------------------------------------------------------------- what is held
def explain(
    lake: Lake, config: Config, scope: Scope, *, against: str | None = None, currency: str | None = None
) -> Variance:
    """The bridge to a scope's cost from its budget, its forecast, the period before, or a period like 2026-09.

    scope: with both days; only days that all running sources have billed count. against: budget where the scope has
    one, else the period before, unless named. currency: the company's, unless the scope names one.

    A budget or forecast says no quantities: the usage of the period before, at its prices, is grown alike to its
    amount. Raises CallError where there is no such budget, forecast or period.
    """
    currency = currency or _currency_of(scope) or config.company.currency
    scope, notes = _billed(lake, scope)
    plan: _Plan | None = None
    if against in (None, BUDGET):
        plan = _budget(lake, scope, currency)
        if plan is None and against == BUDGET:
            raise _no_budget(lake, scope, currency)
        against = PRIOR if plan is None else BUDGET
    elif against == FORECAST:
        plan = _frozen(lake, scope, currency)
    reference = scope.prior() if against in AGAINST else _named(scope, str(against))
    if plan is not None:
        scope, reference = plan.scope, replace(reference, where=plan.scope.where)
        notes += plan.notes
    before, missed_before = rows(lake, config, reference, currency)
    current, missed = rows(lake, config, scope, currency)
    notes += _not_counted({**missed_before, **missed})
    if plan is not None:
        before = bridging.to_plan(before, plan.amount)
        notes += (_planned(plan, before, reference),)
    same_days = plan is not None
    cells = bridging.bridge(before, current, days=None if same_days else (_length(reference), _length(scope)))
    return Variance(
        against, scope, reference, currency, sum(before["converted"], Decimal(0)),
        sum(current["converted"], Decimal(0)), cells, notes,
    )  # fmt: skip


def choices(lake: Lake, scope: Scope, currency: str) -> tuple[str, ...]:
    """What a scope can be held against, the first choice first."""
    scope, _ = _billed(lake, scope)
    try:
        forecast = [_frozen(lake, scope, currency).what]
    except CallError:
        forecast = []
    budget = _budget(lake, scope, currency)
    return (*([] if budget is None else [BUDGET]), PRIOR, *forecast)


def period_scope(
    lake: Lake, period: str | None, *, today: date, where: Mapping[str, object] | None = None, cost: str = "effective"
) -> Scope:
    """The scope of a month, quarter or year; without one, of the newest month that is billed in full."""
    if period is None:
        month = add_months(settled_until(lake.scan("spend_daily"), today).replace(day=1), -1)
        period = f"{month:%Y-%m}"
    named = scopes.parse_period(period)
    return Scope.of(where, start=named.start, end=named.end - timedelta(days=1), cost=cost)


def _billed(lake: Lake, scope: Scope) -> tuple[Scope, tuple[str, ...]]:
    """The scope up to the last day that all sources have billed, and a note where that cuts it.

    A first day alone is none: what is billed by the month begins on it.
    """
    start, end = days(scope)
    last = settled_until(lake.scan("spend_daily"), end + timedelta(days=1)) - timedelta(days=1)
    if last >= end or last <= start:
        return scope, ()
    said = f"Billed through {last:%-d %B %Y}: {period_name(start, end)} counts up to that day."
    return scope.between(start, last), (said,)


def _named(scope: Scope, against: str) -> Scope:
    """The same spend over a period that is written as 2026-09, 2026-Q3 or 2025; as many days where only so many of the
    scope's own period are billed."""
    period = scopes.parse_period(against)
    return scope.between(period.start, period.end - timedelta(days=1))


def days(scope: Scope) -> tuple[date, date]:
    """The first and last day of a scope that has both; raises CallError for another."""
    if scope.start is None or scope.end is None:
        raise CallError(
            "a bridge to a period without a first or a last day", expected="both", next_step="name a period"
        )
    return scope.start, scope.end


def _length(scope: Scope) -> int:
    start, end = days(scope)
    return (end - start).days + 1


def _currency_of(scope: Scope) -> str | None:
    named = scope.where.get(s.BILLING_CURRENCY, ())
    return str(named[0]) if len(named) == 1 else None


# ------------------------------------------------------------------------------------------------ budgets and forecasts
@dataclass(frozen=True)
class _Plan:
    """An amount that a scope was to cost, the scope that it speaks of, and how it was made."""

    what: str
    amount: Decimal
    scope: Scope
    notes: tuple[str, ...] = ()


def _budget(lake: Lake, scope: Scope, currency: str) -> _Plan | None:
    """The budget of exactly this scope and its days: its months, or its quarter or year; None without one.

    Days so far take their share of the month. A budget in another cost than the scope's is none.
    """
    start, end = days(scope)
    text = same_scope(scope) if _can_have_plans(scope.where) else None
    mine = lake.scan("budgets").filter(
        pl.col("scope") == text, pl.col("currency") == currency, pl.col("cost") == scope.cost
    ).collect()  # fmt: skip
    spans = {name: scopes.parse_period(name) for name in mine["period"]}
    inside = [n for n, p in spans.items() if p.start <= end and p.end > start]
    whole = [n for n in inside if spans[n].start == start and spans[n].end - timedelta(days=1) == end]
    months = mine.filter(pl.col("period").is_in(inside), pl.col("period").str.contains(A_MONTH))["period"].to_list()
    chosen = whole[:1] if whole else sorted(months)
    if not chosen or spans[chosen[0]].start > start or spans[chosen[-1]].end <= end:
        return None
    amount, notes = Decimal(0), []
    for name in chosen:
        period, full = spans[name], sum(mine.filter(pl.col("period") == name)["amount"], Decimal(0))
        counted = (min(end + timedelta(days=1), period.end) - max(start, period.start)).days
        part = full if counted == period.days else (full * counted / period.days).quantize(CENT)
        amount += part
        if part != full:
            notes.append(f"The budget of {name} is {full:,.2f} {currency}; {counted} of its {period.days} days count.")
    return _Plan("budget", amount, scope, tuple(notes))


def _can_have_plans(where: Mapping[str, object]) -> bool:
    """Whether these filters can be a budget's or a forecast's scope; one of a currency or an owner's status cannot."""
    return set(where) <= {s.SHORT_NAMES[name] for name in scopes.DIMENSIONS}


def _no_budget(lake: Lake, scope: Scope, currency: str) -> CallError:
    start, _ = days(scope)
    held = lake.scan("budgets").select("scope", "period", "currency", "cost").collect()
    spans = {name: scopes.parse_period(name) for name in held["period"].unique()}
    touching = [name for name, p in spans.items() if p.start <= start < p.end]
    near = held.filter(pl.col("period").is_in(touching)).sort("scope", "currency", "cost").unique(maintain_order=True)
    known = ", ".join(dict.fromkeys(f"{row['scope']} ({row['cost']}, {row['currency']})" for row in near.to_dicts()))
    return CallError(
        f"no budget of {same_scope(scope)} for {period_name(*days(scope))} in {scope.cost} cost and {currency}",
        expected=f"one of: {known}" if known else "a budget; finops.toml names the file of budgets",
        next_step="choose its scope with --where, or compare with --against prior",
    )


def _frozen(lake: Lake, scope: Scope, currency: str) -> _Plan:
    """What the newest forecast from before the period said of it. Forecasts are of AI spend in one currency."""
    start, end = days(scope)
    asked = {name: values for name, values in scope.where.items() if name != s.BILLING_CURRENCY}
    scope = replace(scope, where={**asked, s.IS_AI: (True,), s.BILLING_CURRENCY: (currency,)})
    known = lake.scan("forecasts").filter(pl.col("cutoff") < start).sort("made_at").collect()
    series = forecast_of(known, scopes.parse_scope(same_scope(scope)), currency, scope.cost)
    newest = series.filter(pl.col("made_at") == pl.col("made_at").max(), _can_have_plans(asked))
    said = newest.filter(pl.col("date").is_between(start, end))
    if said["date"].n_unique() < _length(scope):
        raise CallError(
            f"no forecast of {same_scope(scope)} from before {start:%-d %B %Y} that reaches to {end:%-d %B %Y}",
            expected="a frozen forecast of all AI spend or of one of the groupings in finops.toml",
            next_step="choose another period or --where, or compare with --against prior; `finops run` freezes one",
        )
    cutoff: date = said["cutoff"][0]
    return _Plan(
        "forecast", Decimal(str(said["mean"].sum())).quantize(CENT), scope,
        (f"The forecast knew the days to {cutoff:%-d %B %Y}, and is of AI spend in {currency}.",),
    )  # fmt: skip


def _planned(plan: _Plan, grown: pl.DataFrame, reference: Scope) -> str:
    period = period_name(*days(reference))
    if (grown["part"] == bridging.PLAN).any():
        return f"{period} has no usage that could stand for the {plan.what}: their difference is unexplained."
    return (
        f"The {plan.what} says no quantities: the usage of {period}, at its prices, mix and rates, stands for it, all "
        "grown alike to its amount."
    )


# ---------------------------------------------------------------------------------------------------------------- rows
_MONEY_COLUMNS: Final = ("amount", "quantity")
_DAY: Final = s.CHARGE_DATE


def rows(lake: Lake, config: Config, scope: Scope, currency: str) -> tuple[pl.DataFrame, dict[str, Decimal]]:
    """The cost of a scope as finops.variance.ROWS in one currency, and what has no rate, by its currency."""
    charges = lake.scan("charges").filter(partitions(lake, scope), *scope.conditions())
    cells = (*bridging.CELL, s.CONSUMER_ID)
    inside = pl.col(_DAY).is_between(*days(scope))
    daily = pl.concat(
        [spread(_parted(charges, scope, part), cells, _MONEY_COLUMNS).filter(inside) for part in (USAGE, COMMITTED)]
    ).collect(engine="streaming")  # fmt: skip
    daily = _as_spent(daily, lake, scope)
    counted = _with_tokens(daily, _meters(lake, config, scope)) if _lacks_tokens(daily) else daily
    converted = _converted(counted, lake, currency)
    missed = converted.filter(pl.col("converted").is_null(), pl.col("amount") != 0)
    known = (
        converted.drop_nulls("converted")
        .group_by(bridging.CELL)
        .agg(pl.col(*bridging.MEASURES).sum())
        .with_columns(pl.when(pl.col("unit").is_not_null()).then("quantity").alias("quantity"))
        .select(pl.col(name).cast(kind) for name, kind in bridging.ROWS.items())
    )
    return known, {str(c): sum(part["amount"], Decimal(0)) for (c,), part in missed.group_by(s.BILLING_CURRENCY)}


def _as_spent(daily: pl.DataFrame, lake: Lake, scope: Scope) -> pl.DataFrame:
    """The rows, summing to the scope's spend: charges that reach beyond its days are rounded where they are cut."""
    totals = spend_in(lake, scope).totals.rename({CURRENCY: s.BILLING_CURRENCY, "cost": "_spent"})
    of = s.BILLING_CURRENCY
    largest = pl.col("amount").abs().rank("ordinal", descending=True).over(of) == 1
    left = pl.col("_spent") - pl.col("amount").sum().over(of)
    return (
        daily.join(totals, on=of, how="left", maintain_order="left")
        .with_columns(pl.when(largest).then(pl.col("amount") + left).otherwise("amount").alias("amount"))
        .drop("_spent")
    )


def _parted(charges: pl.LazyFrame, scope: Scope, part: str) -> pl.LazyFrame:
    """The charges with part, unit, quantity and amount: usage as it costs without commitments, or what those change."""
    cost, contracted, listed = pl.col(scope.measure), pl.col(s.CONTRACTED_COST), pl.col(s.LIST_COST)
    is_usage = (pl.col(s.CHARGE_CATEGORY) == "Usage") & pl.col(s.CHARGE_CLASS).is_null()
    status = pl.col(s.COMMITMENT_DISCOUNT_STATUS).fill_null("")
    committed = (pl.col(s.COMMITMENT_DISCOUNT_ID).is_not_null() | (status != "")) & (
        pl.lit(scope.cost in ("effective", "billed"))
    )
    without = pl.when(contracted != 0).then(contracted).when(listed != 0).then(listed).otherwise(cost)
    base = (
        pl.when(~committed).then(cost)
        .when(is_usage & (status != "Unused")).then(without)
        .otherwise(pl.lit(0, s.MONEY))
    )  # fmt: skip
    if part == COMMITTED:
        return _named_cells(charges.filter(committed)).with_columns(
            part=pl.lit(COMMITTED), unit=pl.lit(None, pl.String), quantity=pl.lit(0, s.MONEY), amount=cost - base
        )
    is_credit = (pl.col(s.CHARGE_CATEGORY) == "Credit") | (pl.col(s.CHARGE_CLASS) == "Correction").fill_null(False)
    counted: tuple[tuple[str, str | pl.Expr, pl.Expr], ...] = (
        (s.TOKENS, pl.lit(TOKENS), pl.col(s.DRIVER) == "model_api"),
        (s.ACCELERATOR_HOURS, pl.lit(ACCELERATOR_HOURS), pl.col(s.DRIVER) == "accelerator"),
        (s.PRICING_QUANTITY, pl.col(s.PRICING_UNIT).fill_null("units"), pl.lit(True)),
        (s.CONSUMED_QUANTITY, pl.col(s.CONSUMED_UNIT).fill_null("units"), pl.lit(True)),
    )
    unit = pl.coalesce(
        pl.when(is_usage & of.fill_null(False) & (pl.col(name) != 0)).then(unit) for name, unit, of in counted
    )
    quantity = pl.coalesce(pl.when(of.fill_null(False) & (pl.col(name) != 0)).then(name) for name, _, of in counted)
    return (
        _named_cells(charges.filter(~committed | is_usage & (status != "Unused")))
        .with_columns(
            unit=unit, quantity=pl.when(is_usage).then(quantity).otherwise(0).fill_null(0).cast(s.MONEY), amount=base,
            part=pl.when(is_credit).then(pl.lit(CREDIT)).when(is_usage & unit.is_not_null()).then(pl.lit(USAGE))
            .otherwise(pl.lit(FEE)),
        )
        # what is covered and what is not are one thing to buy; the commitment is a step of its own
        .with_columns(pl.lit(None, pl.String).alias(s.COMMITMENT_DISCOUNT_STATUS))
    )  # fmt: skip


def _named_cells(charges: pl.LazyFrame) -> pl.LazyFrame:
    return charges.with_columns(
        pl.coalesce(SKU, s.SKU_ID).alias(SKU), spot=pl.col(s.PRICING_CATEGORY).fill_null("") == "Dynamic"
    )


# -------------------------------------------------------------------------------------------------------------- tokens
def _lacks_tokens(daily: pl.DataFrame) -> bool:
    return not daily.filter(_token_rows(), pl.col("unit").is_null()).is_empty()


def _token_rows() -> pl.Expr:
    return (pl.col(s.DRIVER) == "model_api") & pl.col("part").is_in([USAGE, FEE]) & pl.col(s.MODEL_ID).is_not_null()


def _meters(lake: Lake, config: Config, scope: Scope) -> pl.DataFrame:
    start, end = days(scope)
    metered = tokens.metered(config, lake, start=start, end=end + timedelta(days=1))
    return metered.filter(pl.col("ledger_role") == s.BILLED)


def _with_tokens(daily: pl.DataFrame, metered: pl.DataFrame) -> pl.DataFrame:
    """The rows with the tokens that were metered for those whose bill counts none, by what bill and usage share."""
    names = {
        "day": _DAY, "source_id": s.SOURCE_ID, "provider": s.SERVICE_PROVIDER_NAME, "account_id": s.SUB_ACCOUNT_ID,
        "account_name": s.SUB_ACCOUNT_NAME, "key": s.CONSUMER_ID, "model": s.MODEL_ID, "service_tier": s.SERVICE_TIER,
    }  # fmt: skip
    numbered = daily.with_row_index("_row")
    bill = ledger.canonical(
        numbered.filter(_token_rows()).select(
            "_row", "amount", *(pl.col(column).alias(name) for name, column in names.items()),
            kind=ledger.billed_kind(),
        )
    )  # fmt: skip
    pair = ledger.joinable(bill, metered)
    used = pair.metered.group_by(ledger.CELL).agg(pl.col("tokens").sum().alias("_used"))
    size = pl.col("amount").abs()
    share = pl.when(size.sum().over(ledger.CELL) > 0).then(size / size.sum().over(ledger.CELL)).otherwise(0)
    met = (
        pair.bill.with_columns(_share=share)
        .join(used, on=ledger.CELL, nulls_equal=True)
        .filter(pl.col("_used") > 0)
        .select("_row", _tokens=(pl.col("_used") * pl.col("_share")).cast(s.MONEY))
    )
    takes = pl.col("unit").is_null() & (pl.col("_tokens") > 0).fill_null(False)
    return (
        numbered.join(met, on="_row", how="left", maintain_order="left")
        .with_columns(
            quantity=pl.when(takes).then("_tokens").otherwise("quantity"),
            unit=pl.when(takes).then(pl.lit(TOKENS)).otherwise("unit"),
            part=pl.when(takes).then(pl.lit(USAGE)).otherwise("part"),
        )
        .drop("_row", "_tokens")
    )


# ------------------------------------------------------------------------------------------------------------ currency
def _converted(daily: pl.DataFrame, lake: Lake, currency: str) -> pl.DataFrame:
    """The rows with their amount in one currency at the newest rate of their day; empty where there is none."""
    own = pl.col(s.BILLING_CURRENCY) == currency
    if daily.select(own.all()).item():
        return daily.with_columns(converted="amount")
    rates = (
        both_ways(lake.scan("fx_rates").collect())
        .filter(pl.col("quote") == currency)
        .select("day", pl.col("base").alias(s.BILLING_CURRENCY), "rate")
    )
    return daily.sort(_DAY).join_asof(
        rates, left_on=_DAY, right_on="day", by=s.BILLING_CURRENCY, check_sortedness=False
    ).with_columns(
        converted=pl.when(own).then("amount").otherwise((pl.col("amount") * pl.col("rate")).cast(s.MONEY))
    )  # fmt: skip


def _not_counted(missed: Mapping[str, Decimal]) -> tuple[str, ...]:
    if not missed:
        return ()
    amounts = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(missed.items()))
    return (f"Not counted, because there is no rate of exchange for it: {amounts}.",)
