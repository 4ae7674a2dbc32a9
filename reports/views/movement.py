"""How spend moves: over time, and against the period before."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

import polars as pl

from finops import schema as s
from finops.freshness import billed_to, running
from finops.store import Lake
from reports.views.scope import Scope, add_months, column
from reports.views.spend import COST, CURRENCY, daily, spend_in

Step = Literal["day", "week", "month"]
_EVERY: Final = {"day": "1d", "week": "1w", "month": "1mo"}
START, VALUE, PRIOR, CHANGE, RATIO = "start", "value", "prior", "change", "change_ratio"


@dataclass(frozen=True)
class Coverage:
    """What the billed ledger holds: its first and last day, the day it is billed through, and its currencies.

    through: the last day that every running source has billed in full; see finops.freshness. currencies: the one with
    the most charges first.
    """

    first: date
    last: date
    through: date
    currencies: tuple[str, ...]


def coverage(source: Lake | pl.LazyFrame) -> Coverage | None:
    """The days and currencies that the ledger holds; None while it is empty."""
    day, count = pl.col(s.CHARGE_DATE), pl.col(s.CHARGE_COUNT)
    found = (
        Scope(cost="billed")
        .filter(daily(source))
        .group_by(s.BILLING_CURRENCY)
        .agg(day.min().alias("first"), day.max().alias("last"), count.sum().alias("charges"))
        .sort("charges", s.BILLING_CURRENCY, descending=[True, False])
        .collect()
    )
    if found.is_empty():
        return None
    through = min(running(billed_to(daily(source))).values())
    return Coverage(min(found["first"]), max(found["last"]), through, tuple(found[s.BILLING_CURRENCY]))


def trend(source: Lake | pl.LazyFrame, scope: Scope, *, step: Step = "month", by: str | None = None) -> pl.DataFrame:
    """Cost per day, week (from Monday) or month: columns start, value (where `by` is given), currency, cost."""
    value = [] if by is None else [pl.col(column(by)).alias(VALUE)]
    keys = [START, *([VALUE] if by else []), CURRENCY]
    return (
        scope.filter(daily(source))
        .group_by(
            pl.col(s.CHARGE_DATE).dt.truncate(_EVERY[step]).alias(START),
            *value,
            pl.col(s.BILLING_CURRENCY).alias(CURRENCY),
        )
        .agg(pl.col(scope.measure).sum().alias(COST))
        .sort(*keys)
        .collect()
    )


def month_of(period: str) -> tuple[date, date]:
    """The first and last day of a month written as YYYY-MM."""
    first = date.fromisoformat(f"{period}-01")
    return first, add_months(first, 1) - timedelta(days=1)


def movers(source: Lake | pl.LazyFrame, scope: Scope, by: str) -> pl.DataFrame:
    """What moved against the period before (Scope.prior), the largest change first, whatever its sign.

    Columns: value, currency, cost, prior, change = cost - prior, change_ratio = change / |prior| (null for prior 0).
    """
    dimension = column(by)
    now, then = spend_in(source, scope, [dimension]).rows, spend_in(source, scope.prior(), [dimension]).rows
    zero = pl.lit(0, dtype=s.MONEY)
    return (
        now.join(then.rename({COST: PRIOR}), on=[dimension, CURRENCY], how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col(COST, PRIOR).fill_null(zero))
        .with_columns((pl.col(COST) - pl.col(PRIOR)).alias(CHANGE))
        .with_columns(pl.when(pl.col(PRIOR) != zero).then(pl.col(CHANGE) / pl.col(PRIOR).abs()).alias(RATIO))
        .sort(pl.col(CHANGE).abs(), dimension, descending=[True, False])
        .rename({dimension: VALUE})
        .select(VALUE, CURRENCY, COST, PRIOR, CHANGE, RATIO)
    )


def values(source: Lake | pl.LazyFrame, dimension: str) -> list[str | bool | None]:
    """The values of a dimension in the whole ledger, the costliest first: what filters offer and colours follow.

    A value that is paid in several currencies stands where its largest one puts it.
    """
    name = column(dimension)
    rows = (
        spend_in(source, Scope(), [name])
        .rows.group_by(name)
        .agg(pl.col(COST).max())
        .sort(COST, name, descending=[True, False])
    )
    return rows[name].to_list()
