"""Spend by any dimensions: the sums that every other figure is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s
from finops.errors import CallError
from finops.store import Lake
from reports.views.scope import Scope, column

CURRENCY: Final = "currency"
COST: Final = "cost"
_TIMES = (s.CHARGE_DATE, s.BILLING_PERIOD)


@dataclass(frozen=True)
class SpendView:
    """rows: one per combination of the dimensions and the currency. totals: one per currency; the sum of the rows."""

    rows: pl.DataFrame
    totals: pl.DataFrame


def summed(frame: pl.DataFrame, name: str = COST) -> Decimal:
    """The exact sum of a column of amounts in one currency; zero for no rows.

    Raises CallError for rows of several currencies.
    """
    if CURRENCY in frame.columns and frame[CURRENCY].n_unique() > 1:
        raise CallError(
            f"amounts in {', '.join(frame[CURRENCY].unique().sort())} in one sum",
            expected="amounts of one currency",
            next_step="choose a currency, or convert with a dated rate first",
        )
    return sum(frame[name].drop_nulls(), Decimal(0))


def daily(source: Lake | pl.LazyFrame) -> pl.LazyFrame:
    """The spend_daily rows of a lake, or the frame itself."""
    return source.scan("spend_daily") if isinstance(source, Lake) else source


def spend(
    source: Lake | pl.LazyFrame,
    *,
    by: Sequence[str] = (),
    where: Mapping[str, object] | None = None,
    start: date | None = None,
    end: date | None = None,
    cost: str = "effective",
) -> SpendView:
    """Cost summed by dimensions, largest first (by time where a day or period leads), and its totals per currency.

    source: a lake or rows of spend_daily. by, where: short words (team) or column names (x_Team); rows carry the words
    as given. start, end: first and last day, both included. Raises CallError as Scope.of does.
    """
    return spend_in(source, Scope.of(where, start=start, end=end, cost=cost), by)


def spend_in(source: Lake | pl.LazyFrame, scope: Scope, by: Sequence[str] = ()) -> SpendView:
    """`spend` of a scope that is already known to be right; raises CallError for an unknown dimension in `by`."""
    columns = {name: column(name) for name in dict.fromkeys(by)}
    keys = [pl.col(c).alias(name) for name, c in columns.items() if name != CURRENCY]
    rows = (
        scope.filter(daily(source))
        .group_by(*keys, pl.col(s.BILLING_CURRENCY).alias(CURRENCY))
        .agg(pl.col(scope.measure).sum().alias(COST))
        .collect()
    )
    names = [name for name in columns if name != CURRENCY]
    if names and columns[names[0]] in _TIMES:
        rows = rows.sort(CURRENCY, *names)
    else:
        rows = rows.sort(CURRENCY, COST, *names, descending=[False, True, *(False for _ in names)])
    totals = rows.group_by(CURRENCY).agg(pl.col(COST).sum()).sort(CURRENCY)
    return SpendView(rows.select(*names, CURRENCY, COST), totals)
