"""Where periods land, for people: each series' month and quarter with its range, its budget, and the odds of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import polars as pl

from finops import schema as s
from finops.scope import Period, parse_period, parse_scope
from finops.scope import Scope as BudgetScope
from finops.store import Lake
from forecasting.odds import odds_of
from reports.views import movement
from reports.views.movement import START
from reports.views.outlook import TOTAL, Outlook, said, scope_of
from reports.views.spend import COST
from reports.views.words import compact, percent, period_name

CENT: Final = Decimal("0.01")
CENTS: Final = pl.Decimal(38, 2)
KEYS: Final = ("grouping", "series", "currency", "period")
QUANTILES: Final = {"p025": 0.025, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p975": 0.975}
SPENT: Final = "spent"
SURE: Final = 0.99
SHOWN_RATIO: Final = Decimal("0.005")


@dataclass(frozen=True)
class Budget:
    """A period's budget and how it fares; `scope` is what it is for, which may hold more than the series.

    lands: all that the budget is for. over: the probability that it costs more. run_out, early, late: the first day on
    which more than half, a tenth and nine tenths of the courses have passed it. save, save_surely: what each day that
    is left must cost less for it to hold in half of the courses, and in four of five.
    """

    scope: str
    amount: Decimal
    lands: Decimal | None
    over: float | None = None
    run_out: date | None = None
    early: date | None = None
    late: date | None = None
    save: Decimal | None = None
    save_surely: Decimal | None = None

    @property
    def ratio(self) -> Decimal | None:
        """(lands - amount) / amount; None where nothing says where it lands."""
        return None if self.lands is None or not self.amount else (self.lands - self.amount) / self.amount


def landings(lake: Lake, months: pl.DataFrame) -> pl.DataFrame:
    """Each series' months, quarters and years: KEYS, cutoff, actual, landing, p10, p90.

    months: of pipeline.landing.month_landing, which holds later corrections of days that were billed when the forecast
    was made. Longer periods are those that the newest forecast froze totals of.
    """
    money = pl.col("mean", "p10", "p90").cast(CENTS).cast(s.MONEY)
    longer = (
        lake.scan("forecast_totals")
        .filter(pl.col("forecast_id") == pl.col("forecast_id").max())
        .filter(~pl.col("period").str.contains(r"^\d{4}-\d{2}$"))
        .select(*KEYS, "cutoff", "actual", money)
        .rename({"mean": "landing"})
        .collect()
    )
    return pl.concat([months.select(*KEYS, "cutoff", "actual", "landing", "p10", "p90"), longer]).sort(KEYS)


def budget_of(status: pl.DataFrame, series: str, currency: str, measure: str, period: str) -> Budget | None:
    """The budget of a series in a month, or of all months of a quarter or year; None where there is none.

    status: rows of pipeline.budgets.STATUS. The budget may name AI spend, or all spend of the same part.
    """
    own = scope_of(series)
    wider = str(BudgetScope.of({name: value for name, value in parse_scope(own).terms if name != "is_ai"}))
    mine = status.filter(
        pl.col("currency") == currency, pl.col("cost") == measure,
        pl.col("scope").is_in([own] if wider == "all" else [own, wider]),
    ).sort(pl.col("scope") != own)  # fmt: skip
    exact = mine.filter(pl.col("period") == period).head(1).to_dicts()
    if exact:
        return _budget(exact[0])
    months = _months(parse_period(period))
    inside = mine.filter(pl.col("period").is_in(months)).filter(pl.col("scope") == pl.col("scope").first())
    if len(inside) < len(months) or len(months) == 1:
        return None
    lands = None if inside["landing"].null_count() else sum(inside["landing"], Decimal(0))
    return Budget(inside["scope"][0], sum(inside["budget"], Decimal(0)), lands)


def _budget(row: Mapping[str, Any]) -> Budget:
    return Budget(
        row["scope"], row["budget"], row["landing"], row["over_probability"], row["run_out"], row["run_out_early"],
        row["run_out_late"], row["save_per_day"], row["save_per_day_80"],
    )  # fmt: skip


def with_odds(lake: Lake, budget: Budget, found: Outlook, period: str, *, landing: Decimal) -> Budget:
    """A quarter's or year's budget with its odds, from the sample paths of the series.

    What the budget holds beside the series is taken at its expected cost, spread over the period's days.
    """
    span, paths = parse_period(period), _paths(lake, found.series)
    spent = _spent(lake, found, span)
    if budget.lands is None or paths is None or span.start > found.cutoff + timedelta(days=1):
        return budget
    beside = float(budget.lands - landing) / span.days
    ahead = paths[:, : (span.end - found.cutoff).days - 1]
    odds = odds_of(float(budget.amount), spent=spent + beside, paths=ahead + beside)
    left = int(ahead.shape[1])

    def day(number: int | None) -> date | None:
        return None if number is None else span.start + timedelta(days=number)

    def saved(total: float) -> Decimal:
        return max(Decimal(0), (Decimal(total) - budget.amount) / left).quantize(CENT)

    return Budget(
        budget.scope, budget.amount, budget.lands, odds.over, day(odds.run_out), day(odds.run_out_early),
        day(odds.run_out_late), saved(odds.p50), saved(odds.p80),
    )  # fmt: skip


def added_up(lake: Lake, found: Outlook, period: str) -> pl.DataFrame | None:
    """A period's cost added up day by day: day, spent (to the cutoff), QUANTILES (from the cutoff on); None without
    sample paths."""
    span, paths = parse_period(period), _paths(lake, found.series)
    if paths is None or not span.start <= found.cutoff + timedelta(days=1) < span.end:
        return None
    so_far = np.concatenate([[0.0], np.cumsum(_spent(lake, found, span))])
    ahead = so_far[-1] + np.cumsum(paths[:, : (span.end - found.cutoff).days - 1], axis=1)
    quantiles = np.quantile(ahead, list(QUANTILES.values()), axis=0)
    days = [span.start - timedelta(days=1) + timedelta(days=n) for n in range(span.days + 1)]
    known = len(so_far)
    columns = {name: [None] * (known - 1) + [so_far[-1], *row] for name, row in zip(QUANTILES, quantiles, strict=True)}
    frame = {"day": days, SPENT: [*so_far, *[None] * (len(days) - known)], **columns}
    found_days = pl.DataFrame(frame, schema={"day": pl.Date(), **dict.fromkeys((SPENT, *QUANTILES), pl.Float64())})
    return found_days.slice(1) if known > 1 else found_days  # the day before is there for a fan to begin from


def headline(row: Mapping[str, Any], budget: Budget | None) -> str:
    """Where a period lands, how sure that is, what of it is spent, and what becomes of its budget.

    row: of landings.
    """
    what = "" if row["series"] == TOTAL else f"{said(row['series'])}: "
    text = f"{what}{said_period(row['period'])} lands at about {compact(row['landing'])} {row['currency']}"
    if row["p10"] is not None:
        text += f" (80 %: {compact(row['p10'])} to {compact(row['p90'])})"
    if row["actual"]:
        text += f", of which {compact(row['actual'])} is spent"
    return f"{text}; {_of_budget(budget, row)}." if budget else text + "."


def holds_more(budget: Budget, landing: Decimal) -> bool:
    """Whether a budget is for more than the series: spend that is no AI spend, or in other currencies."""
    return budget.lands is not None and abs(budget.lands - landing) > abs(landing) * SHOWN_RATIO


def room(budget: Budget, landing: Decimal) -> tuple[float, str]:
    """What a budget leaves for the series, with its name: what else it covers is taken at its expected cost."""
    name = f"budget {compact(budget.amount)}"
    if budget.lands is None or not holds_more(budget, landing):
        return float(budget.amount), name
    rest = budget.lands - landing
    return float(budget.amount - rest), f"{name}, less {compact(rest)} for what else it covers"


def _of_budget(budget: Budget, row: Mapping[str, Any]) -> str:
    amount = f"its budget of {compact(budget.amount)}"
    if holds_more(budget, row["landing"]):
        amount += f", against which {compact(budget.lands)} counts in all,"
    if budget.run_out is not None and budget.run_out <= row["cutoff"]:
        return f"{amount} ran out on {budget.run_out:%-d %B}"
    if budget.over is not None:
        day = f", on about {budget.run_out:%-d %B}" if budget.run_out else ""
        return f"{amount} is passed with a probability of {chance(budget.over)}{day}"
    if budget.ratio is None:
        return f"{amount} is not yet held against it"
    way = "over" if budget.ratio > 0 else "under"
    return f"that is {percent(abs(budget.ratio))} {way} {amount}"


def chance(probability: float, *, short: bool = False) -> str:
    """A probability in words: sampled courses cannot tell certainty from what is near it."""
    over, under = ("> ", "< ") if short else ("over ", "under ")
    if probability > SURE:
        return f"{over}99 %"
    return f"{under}1 %" if probability < 1 - SURE else percent(round(probability, 2))


def said_period(period: str) -> str:
    """A month, quarter or year as people say it: November 2026, Q4 2026, 2026."""
    year, _, part = period.partition("-")
    span = parse_period(period)
    if part.startswith("Q"):
        return f"{part} {year}"
    return period_name(span.start, span.end - timedelta(days=1)) if part else year


def _months(span: Period) -> list[str]:
    days = pl.date_range(span.start, span.end, "1mo", closed="left", eager=True)
    return days.dt.strftime("%Y-%m").to_list()


def _paths(lake: Lake, series: str) -> Any:
    """The sample paths of a series, as (paths, days) from the day after its cutoff; None where none are frozen."""
    rows = lake.scan("forecast_paths").filter(pl.col("series") == series).sort("date").collect()
    return None if rows.is_empty() else np.array(rows["paths"].to_list(), dtype=np.float64).T


def _spent(lake: Lake, found: Outlook, span: Period) -> Any:
    """The cost of each day of a period, to the cutoff."""
    if span.start > found.cutoff:
        return np.zeros(0)
    days = pl.DataFrame({START: pl.date_range(span.start, found.cutoff, eager=True)})
    actual = movement.trend(lake, found.scope().between(span.start, found.cutoff), step="day")
    return days.join(actual, on=START, how="left")[COST].cast(pl.Float64).fill_null(0.0).to_numpy()
