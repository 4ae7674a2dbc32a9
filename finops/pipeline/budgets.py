"""Budgets against what was spent and what is coming; budgets out as CSV, edited by their owners, and back in."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from connectors import tables
from finops import schema as s
from finops.alerts import budget_verdict, variance_ratio
from finops.config import Config
from finops.errors import InputError
from finops.freshness import settled_until
from finops.pipeline import odds
from finops.pipeline.late_days import BILLED_IN_PART
from finops.scope import Period, Scope, parse_period, parse_scope
from finops.store import Lake, again_on_conflict
from forecasting.series import Floats
from reports.export import csv_text, write_whole

STATUS: Final[dict[str, pl.DataType]] = {
    "budget_id": pl.String(), "scope": pl.String(), "owner": pl.String(), "currency": pl.String(), "cost": pl.String(),
    "period": pl.String(), "budget": s.MONEY, "actual": s.MONEY, "landing": s.MONEY, "variance": s.MONEY,
    "ratio": pl.Float64(), "status": pl.String(), "basis": pl.String(), "not_counted": pl.String(),
    "converted": pl.String(), **odds.COLUMNS,
}  # fmt: skip
"""A budget and how it fares.

actual: spent so far. landing: what the whole period is expected to cost; basis says by what: actual (the period is
over), forecast, or run_rate. variance = landing - budget; ratio = variance / budget. status: on_track, warn, breach,
under, planned. not_counted: spend of the scope in a currency without a rate. converted: of the period's spend in other
currencies, the newest rate of each with its day and source. The other columns: see finops.pipeline.odds.
"""
_OVER: Final = " over "
"""Parts the file that edited a budget from the file that it came from, in its source."""
RUN_RATE_DAYS: Final = 28


def budget_status(config: Config, lake: Lake, *, today: date | None = None) -> pl.DataFrame:
    """Every budget with its actual cost, expected landing, variance and status; columns STATUS.

    Only charges of ledger role `billed` count, in the cost that the budget names, other currencies at the newest rate
    of their day. A period is closed when every running source has charges up to its end; of an open one the rest is
    the newest frozen forecast of the same AI spend where there is one, and for everything else the daily mean of the
    last RUN_RATE_DAYS days without purchases.
    """
    budgets = lake.scan("budgets").collect()
    scopes = {text: parse_scope(text) for text in budgets["scope"].unique()}
    ledger = _Ledger.of(lake, list(scopes.values()), today or datetime.now(UTC).date())
    rows = [
        row
        for (scope, currency, cost), part in budgets.group_by(["scope", "currency", "cost"], maintain_order=True)
        for row in _fares(config, ledger, scopes[str(scope)], str(currency), str(cost), part)
    ]
    return pl.DataFrame(rows, schema=STATUS).sort("scope", "currency", "period")


@dataclass(frozen=True)
class _Ledger:
    """What budgets are held against; settled is the first day that some running source has no charges for yet."""

    daily: pl.DataFrame
    settled: date
    rates: pl.DataFrame
    forecasts: pl.DataFrame
    paths: pl.DataFrame
    today: date

    @classmethod
    def of(cls, lake: Lake, scopes: list[Scope], today: date) -> "_Ledger":
        dimensions = {s.SHORT_NAMES[name] for scope in scopes for name, _ in scope.terms} | {s.IS_AI}
        billed = lake.scan("spend_daily").filter(
            pl.col(s.LEDGER_ROLE) == s.BILLED, pl.col(s.CHARGE_DATE) <= pl.lit(today)
        )
        daily = (
            billed.group_by(s.CHARGE_DATE, s.CHARGE_CATEGORY, s.BILLING_CURRENCY, *sorted(dimensions))
            .agg(pl.col(*s.COSTS.values()).sum())
            .collect(engine="streaming")
        )
        newest_forecast = pl.col("made_at") == pl.col("made_at").max()
        return cls(
            daily,
            settled_until(lake.scan("spend_daily"), today),
            both_ways(lake.scan("fx_rates").collect()),
            lake.scan("forecasts").filter(newest_forecast).collect(),
            lake.scan("forecast_paths").collect(),
            today,
        )


def both_ways(rates: pl.DataFrame) -> pl.DataFrame:
    """The rates, and 1 / rate where the other direction is not given; by day."""
    given = rates.select("day", "base", "quote", "rate", "source")
    turned = given.select(
        "day", base="quote", quote="base", rate=(pl.lit(Decimal(1), dtype=s.MONEY) / pl.col("rate")).cast(s.MONEY),
        source="source",
    )  # fmt: skip
    return pl.concat([given, turned]).unique(["day", "base", "quote"], keep="first", maintain_order=True).sort("day")


@dataclass(frozen=True)
class _Spend:
    """One scope's cost in one currency by day and kind: ai (charged in that currency), one_off (purchases), other."""

    days: pl.DataFrame
    not_counted: str | None
    rates: pl.DataFrame

    def converted(self, start: date, end: date) -> str | None:
        """The newest rate of each other currency from start up to the day before end, in words."""
        used = self.rates.filter(pl.col(s.CHARGE_DATE).is_between(start, end, closed="left"))
        newest = used.unique(s.BILLING_CURRENCY, keep="last", maintain_order=True).sort(s.BILLING_CURRENCY)
        words = [
            f"{currency} at {float(rate):.6g} of {day} ({source or 'no source'})"
            for currency, rate, day, source in newest.select(
                s.BILLING_CURRENCY, "rate", "rate_day", "source"
            ).iter_rows()
        ]
        return ", ".join(words) or None

    def total(self, start: date, end: date, *kinds: str) -> Decimal:
        """Cost from start up to the day before end; of all kinds unless some are named."""
        chosen = self.days.filter(pl.col(s.CHARGE_DATE).is_between(start, end, closed="left"))
        amount = (chosen.filter(pl.col("kind").is_in(kinds)) if kinds else chosen)["amount"].sum()
        assert isinstance(amount, Decimal)
        return amount

    def rate(self, settled: date, *kinds: str) -> Decimal:
        """Mean cost of a day over the last RUN_RATE_DAYS days, or since the first charge where that is less."""
        first = self.days[s.CHARGE_DATE].min()
        if not isinstance(first, date) or first >= settled:
            return Decimal(0)
        days = min(RUN_RATE_DAYS, (settled - first).days)
        return self.total(settled - timedelta(days=days), settled, *kinds) / days

    def by_day(self, start: date, end: date, *kinds: str) -> Floats:
        """Cost of each day from start up to the day before end, 0 on days without any; of all kinds unless named."""
        kind = pl.col("kind").is_in(kinds) if kinds else pl.lit(value=True)
        sums = self.days.filter(kind).group_by(s.CHARGE_DATE).agg(pl.col("amount").sum().cast(pl.Float64))
        days = pl.DataFrame({s.CHARGE_DATE: pl.date_range(start, end, closed="left", eager=True)})
        return days.join(sums, on=s.CHARGE_DATE, how="left").sort(s.CHARGE_DATE)["amount"].fill_null(0).to_numpy()


def _spend(ledger: _Ledger, scope: Scope, currency: str, cost: str) -> _Spend:
    own = pl.col(s.BILLING_CURRENCY) == currency
    kind = (
        pl.when(pl.col(s.CHARGE_CATEGORY) == "Purchase")
        .then(pl.lit("one_off"))
        .when(own & pl.col(s.IS_AI).fill_null(value=False))
        .then(pl.lit("ai"))
        .otherwise(pl.lit("other"))
    )
    rows = (
        ledger.daily.filter(scope.holds())
        .group_by(s.CHARGE_DATE, s.BILLING_CURRENCY, kind.alias("kind"))
        .agg(pl.col(s.COSTS[cost]).sum().alias("amount"))
        .sort(s.CHARGE_DATE)
    )
    rates = ledger.rates.filter(pl.col("quote") == currency).select(
        "day", pl.col("base").alias(s.BILLING_CURRENCY), "rate", "source", rate_day="day"
    )
    converted = rows.join_asof(
        rates, left_on=s.CHARGE_DATE, right_on="day", by=s.BILLING_CURRENCY, check_sortedness=False
    ).with_columns(rate=pl.when(own).then(pl.lit(Decimal(1), dtype=s.MONEY)).otherwise("rate"))
    without = (
        converted.filter(pl.col("rate").is_null(), pl.col("amount") != 0)
        .group_by(s.BILLING_CURRENCY)
        .agg(pl.col("amount").sum())
        .sort(s.BILLING_CURRENCY)
    )
    days = converted.drop_nulls("rate").select(
        s.CHARGE_DATE, "kind", (pl.col("amount") * pl.col("rate")).cast(s.MONEY).alias("amount")
    )
    missing = ", ".join(f"{c} {amount:,.2f}" for c, amount in without.iter_rows()) or None
    return _Spend(days, missing, converted.filter(~own).drop_nulls("rate_day"))


def _fares(
    config: Config, ledger: _Ledger, scope: Scope, currency: str, cost: str, budgets: pl.DataFrame
) -> Iterator[dict[str, object]]:
    spend = _spend(ledger, scope, currency, cost)
    forecast = forecast_of(ledger.forecasts, scope, currency, cost)
    settled = _certain_until(ledger.settled, forecast)
    courses = _courses(spend, ledger, settled, forecast, budgets["period"].to_list(), seed=f"{scope} {currency} {cost}")
    for row in budgets.to_dicts():
        period, budget = parse_period(row["period"]), row["amount"]
        landing, basis = _landing(period, spend, settled, forecast)
        planned, closed = period.start >= settled, period.end <= settled
        ratio = None if landing is None else variance_ratio(budget=budget, expected=landing)
        verdict = "planned"
        if landing is not None and not planned:
            verdict = budget_verdict(
                budget=budget,
                expected=landing,
                closed=closed,
                warn_ratio=Decimal(str(config.alerts.warn_ratio)),
                breach_ratio=Decimal(str(config.alerts.breach_ratio)),
            )
        chances: Mapping[str, object] = {}
        if landing is not None and not closed:
            assert courses is not None, "a period is open"
            spent = spend.by_day(period.start, max(period.start, settled))
            chances = odds.odds(budget, period, spent=spent, courses=courses, today=ledger.today)
        yield {
            **dict.fromkeys(odds.COLUMNS), "budget_id": row["budget_id"], "scope": row["scope"],
            "owner": row["owner"], "currency": currency, "cost": cost, "period": period.name, "budget": budget,
            "actual": spend.total(period.start, period.end), "landing": landing,
            "variance": None if landing is None else landing - budget, "ratio": None if ratio is None else float(ratio),
            "status": verdict, "basis": basis, "not_counted": spend.not_counted,
            "converted": spend.converted(period.start, period.end), **chances,
        }  # fmt: skip


def _certain_until(settled: date, forecast: pl.DataFrame) -> date:
    """The first day that is not known in full: days that a source has billed in part are the forecast's to complete."""
    late = forecast.filter(pl.col("model") == BILLED_IN_PART)["date"].min()
    return min(settled, late) if isinstance(late, date) else settled


def _courses(
    spend: _Spend, ledger: _Ledger, start: date, forecast: pl.DataFrame, periods: list[str], *, seed: str
) -> odds.Courses | None:
    """Sampled courses of a scope's cost to the end of its last period, as `_landing` expects it on average."""
    end = max(parse_period(name).end for name in periods)
    if end <= start:
        return None
    first = spend.days[s.CHARGE_DATE].min()
    first = first if isinstance(first, date) else start
    coming = forecast.filter(pl.col("date") >= start)
    if coming.is_empty():
        kinds, rate = ("ai", "other"), spend.rate(start, "ai", "other")
        return odds.past_courses(spend.by_day(first, start, *kinds), start, end, rate=rate, seed=seed)
    named = ledger.paths.filter(
        pl.col("forecast_id") == coming["forecast_id"][0], pl.col("series") == coming["series"][0]
    )
    mean = Decimal(str(coming["mean"].mean()))
    ai = odds.forecast_courses(named, start, end) or odds.past_courses(
        spend.by_day(first, start, "ai"), start, end, rate=mean, seed=seed
    )
    other = spend.by_day(first, start, "other")
    if not other.any():
        return ai
    return ai + odds.past_courses(other, start, end, rate=spend.rate(start, "other"), seed=f"{seed} other")


def forecast_of(forecasts: pl.DataFrame, scope: Scope, currency: str, cost: str) -> pl.DataFrame:
    """Days and means of the newest frozen forecast of the scope's AI spend; no rows where none covers it."""
    values = dict(scope.terms)
    if values.pop("is_ai", "true") != "true":
        return forecasts.clear()
    names = {"total"} if not values else set()
    for grouping in forecasts["grouping"].unique():
        if set(grouping.split(",")) == set(values):
            names.add(",".join(f"{name}={values[name]}" for name in grouping.split(",")))
    series = [*names, *(f"{name},currency={currency}" for name in names)]
    return forecasts.filter(pl.col("series").is_in(series), pl.col("currency") == currency, pl.col("measure") == cost)


def _landing(period: Period, spend: _Spend, settled: date, forecast: pl.DataFrame) -> tuple[Decimal | None, str | None]:
    """What a period is expected to cost, rounded to cents, and by what it is known."""
    if period.end <= settled:
        return spend.total(period.start, period.end), "actual"
    start = max(period.start, settled)
    rest_days = (period.end - start).days
    coming = forecast.filter(pl.col("date").is_between(start, period.end, closed="left"))["mean"]
    if period.start >= settled and len(coming) < rest_days:
        return None, None
    if len(coming):
        # days beyond the forecast's horizon are taken at its mean
        total = Decimal(str(coming.sum())) * rest_days / len(coming) + spend.rate(settled, "other") * rest_days
        basis = "forecast"
    else:
        total, basis = spend.rate(settled, "ai", "other") * rest_days, "run_rate"
    return (spend.total(period.start, settled) + total).quantize(Decimal("0.01")), basis


# ---------------------------------------------------------------------------------------------------------- round trip
EXPORTED: Final = (
    "budget_id", "scope", "owner", "currency", "cost", "period", "budget", "actual", "forecast", "variance", "status",
)  # fmt: skip


@dataclass(frozen=True)
class BudgetFile:
    """What was written or read: rows, and their budget by currency."""

    path: Path
    rows: int
    changed: int
    totals: dict[str, Decimal]


def export_budgets(config: Config, lake: Lake, path: Path, *, today: date | None = None) -> BudgetFile:
    """Write the budgets with actual cost, forecast and variance as CSV for their owners; they edit the column `budget`.

    Decimals are written in full, so that an unchanged file reads back to the same amounts.
    """
    status = budget_status(config, lake, today=today).rename({"landing": "forecast"})
    text = csv_text(status.select(EXPORTED))
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return BudgetFile(path, len(status), 0, _totals(status.rename({"budget": "amount"})))


@again_on_conflict
def import_budgets(config: Config, lake: Lake, path: Path, *, say: Callable[[str], None]) -> BudgetFile:
    """Read an edited budget file back: amounts, owners and further periods of the scopes that the lake has budgets for.

    Budgets that the file leaves out stay as they are; a lake without budgets takes the file as it is. Raises InputError
    that lists every row with a scope that has no budget yet, or another currency or cost than its scope's.
    """
    file = tables.read("budgets", path, currency=config.company.currency)
    with lake.transaction(f"budget import {path.name}") as tx:
        held = tx.scan("budgets").collect()
        if len(held):
            _refuse_alien(file, held, path)
        merged = _merged(file.frame, held, path) if len(held) else file.frame
        changed = merged.join(held, on=held.columns, how="anti", nulls_equal=True).height
        if changed:
            tx.replace("budgets", merged)
    say(f"{len(file.frame):,} budgets read, {changed:,} of them changed")
    return BudgetFile(path, len(file.frame), changed, _totals(file.frame))


def _refuse_alien(file: tables.TableFile, held: pl.DataFrame, path: Path) -> None:
    known = {row[0]: row[1:] for row in held.select("budget_id", "scope", "currency", "cost").iter_rows()}
    problems = []
    edited = file.frame.select("budget_id", "scope", "currency", "cost").iter_rows()
    for number, (budget_id, *what) in zip(file.row_numbers, edited, strict=True):
        if budget_id not in known:
            problems.append(f"row {number}: no budget {budget_id} is known")
        elif tuple(what) != known[budget_id]:
            problems.append(f"row {number}: {' '.join(what)}, where {budget_id} is {' '.join(known[budget_id])}")
    if problems:
        raise InputError(
            f"{path} has {len(problems)} row(s) that are no edit of a known budget:\n  " + "\n  ".join(problems[:20]),
            expected="scopes, currencies and costs as they were exported",
            next_step="undo these edits; new scopes come with the budgets file that finops.toml names",
        )


def _merged(edited: pl.DataFrame, held: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Held budgets with the edited amounts and owners; a changed row says which file edited which."""
    key = ["budget_id", "period"]
    new = edited.select(*key, "scope", "currency", "cost", pl.col("amount", "owner").name.suffix("_new"))
    both = held.join(new.drop("scope", "currency", "cost"), on=key, how="left").with_columns(
        pl.col("owner_new").fill_null(pl.col("owner"))
    )
    same = pl.col("amount_new").is_null() | (
        pl.col("amount_new").eq(pl.col("amount")) & pl.col("owner_new").eq_missing(pl.col("owner"))
    )
    origin = pl.col("source").str.split(_OVER).list.last()
    updated = both.with_columns(
        source=pl.when(same).then("source").otherwise(pl.concat_str(pl.lit(path.name + _OVER), origin)),
        amount=pl.coalesce("amount_new", "amount"),
        owner=pl.when(pl.col("amount_new").is_null()).then("owner").otherwise("owner_new"),
    ).select(held.columns)
    marks = held.group_by("budget_id").agg(origin.first().alias("origin"))
    added = (
        edited.join(held, on=key, how="anti")
        .join(marks, on="budget_id")
        .with_columns(source=pl.concat_str(pl.lit(path.name + _OVER), "origin"))
        .select(held.columns)
    )
    return pl.concat([updated, added])


def _totals(budgets: pl.DataFrame) -> dict[str, Decimal]:
    return dict(budgets.group_by("currency").agg(pl.col("amount").sum()).sort("currency").iter_rows())
