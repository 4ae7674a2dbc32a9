"""Budgets of a period as people read them: what was planned, what it comes to, and by how much it misses, in words."""

from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s
from finops.scope import ALL, parse_period
from finops.scope import Scope as BudgetScope
from reports.views.scope import Scope, word
from reports.views.words import percent

_NO_ONE_VALUE: Final = "(none)"
A_MONTH: Final = r"^\d{4}-\d{2}$"
"""A period that is a month, not a quarter or a year."""


def budgets_of(status: pl.DataFrame, scope: Scope, currency: str) -> pl.DataFrame:
    """The budgets whose periods the scope's days touch, each summed over its periods, the worst first.

    status: rows of pipeline.budgets.STATUS. Where a scope has monthly budgets, its quarters and years are left out, so
    that nothing counts twice. Columns: scope, owner, cost, budget, actual, landing, open (some of it is still to come),
    variance = landing - budget, ratio = variance / budget, standing (in words).
    """
    start, end = scope.start or date.min, scope.end or date.max
    spans = {text: parse_period(text) for text in status["period"].unique()}
    touched = [text for text, p in spans.items() if p.start <= end and p.end > start]
    monthly = pl.col("period").str.contains(A_MONTH)
    key = ["scope", "owner", "cost"]
    rows = (
        status.filter(pl.col("period").is_in(touched), pl.col("currency") == currency, pl.col("landing").is_not_null())
        .filter(monthly | ~monthly.any().over("scope", "cost"))
        .group_by(key)
        .agg(pl.col("budget", "actual", "landing").sum(), (pl.col("basis") != "actual").any().alias("open"))
        .with_columns((pl.col("landing") - pl.col("budget")).alias("variance"))
        .with_columns(pl.when(pl.col("budget") != 0).then(pl.col("variance") / pl.col("budget")).alias("ratio"))
    )
    words = [standing(ratio, is_open=is_open) for ratio, is_open in rows.select("ratio", "open").iter_rows()]
    order = pl.col("ratio").fill_null(pl.lit(Decimal(0), dtype=s.MONEY))
    return rows.with_columns(pl.Series("standing", words, dtype=pl.String)).sort(
        order, "scope", "cost", descending=[True, False, False]
    )


def standing(ratio: Decimal | None, *, is_open: bool) -> str:
    """How a budget fares: 8 % over, heading for 3 % under, on it."""
    if ratio is None:
        return "no amount"
    if abs(ratio) < Decimal("0.0005"):
        return "on it"
    way = "over" if ratio > 0 else "under"
    return f"{'heading for ' if is_open else ''}{percent(abs(ratio))} {way}"


def same_scope(scope: Scope) -> str:
    """The budget scope that means exactly what these filters mean: `all`, `is_ai=true;team=Search`.

    Filters by several values have none; the text then matches no budget.
    """
    terms = {}
    for name, values in scope.where.items():
        if name == s.BILLING_CURRENCY:
            continue
        one = values[0] if len(values) == 1 else None
        terms[word(name)] = str(one).lower() if isinstance(one, bool) else str(one or _NO_ONE_VALUE)
    return str(BudgetScope.of(terms)) if terms else ALL
