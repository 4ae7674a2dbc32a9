"""Figures in words: compact amounts, ratios, shares, periods, and the one sentence that heads a page."""

from datetime import date
from decimal import Decimal
from typing import Final

import polars as pl

from reports.views.movement import CHANGE, VALUE
from reports.views.scope import Scope, is_month_end
from reports.views.standing import Figure

_FRACTIONS: Final = (
    (0.97, "all"), (0.87, "nine tenths"), (0.78, "four fifths"), (0.72, "three quarters"), (0.62, "two thirds"),
    (0.45, "half"), (0.30, "a third"),
)  # fmt: skip


def compact(amount: Decimal | float | None, *, signed: bool = False) -> str:
    """An amount in three figures, as headlines and charts say it: 1.24 M, 318 k, 4.60."""
    if amount is None:
        return "–"
    size = abs(float(amount))
    sign = "−" if amount < 0 else "+" if signed and amount > 0 else ""
    for unit, name in ((1e9, " bn"), (1e6, " M"), (1e3, " k")):
        if size >= unit * 0.9995:
            return f"{sign}{_three(size / unit)}{name}"
    return f"{sign}{size:.2f}" if size < 99.95 else f"{sign}{size:.0f}"


def percent(ratio: Decimal | float | None, *, signed: bool = False) -> str:
    """A ratio in percent: 8 %, 0.4 %, +112 %."""
    if ratio is None:
        return "–"
    value = float(ratio) * 100
    digits = 1 if 0 < abs(value) < 9.95 else 0
    text = f"{abs(value):.{digits}f}".removesuffix(".0")
    return f"{'−' if value < 0 else '+' if signed and value > 0 else ''}{text} %"


def period_name(start: date, end: date) -> str:
    """A period as people say it: October 2026, 1–20 November 2026, August to October 2026."""
    if start.day == 1 and is_month_end(end):
        if (start.year, start.month) == (end.year, end.month):
            return f"{start:%B %Y}"
        first = f"{start:%B}" if start.year == end.year else f"{start:%B %Y}"
        return f"{first} to {end:%B %Y}"
    if start == end:
        return f"{start:%-d %B %Y}"
    if (start.year, start.month) == (end.year, end.month):
        return f"{start.day}–{end:%-d %B %Y}"
    return f"{start:%-d %B %Y} to {end:%-d %B %Y}"


def headline(
    scope: Scope, spend: Figure, drivers: pl.DataFrame, *, kind: str, against_budget: str | None = None
) -> str:
    """What was spent, how it moved, and what moved it, in one sentence.

    spend: the period's figure. drivers: `movement.movers` by the dimension that `kind` names. against_budget: "8 %
    over budget", where there is a budget for the same scope.
    """
    assert scope.start is not None
    assert scope.end is not None
    parts = [f"{period_name(scope.start, scope.end)}: {compact(spend.value)} {spend.unit}"]
    if against_budget:
        parts.append(against_budget)
    if spend.change_ratio is None:
        return ", ".join(parts) + "; there is nothing before it to compare with."
    before = scope.prior()
    assert before.start is not None
    assert before.end is not None
    than = period_name(before.start, before.end)
    if abs(spend.change_ratio) < Decimal("0.005"):
        return ", ".join(parts) + f", level with {than}."
    way = "up" if spend.change_ratio > 0 else "down"
    parts.append(f"{way} {percent(abs(spend.change_ratio))} on {than}")
    return ", ".join(parts) + _because(spend, drivers, kind) + "."


def _because(spend: Figure, drivers: pl.DataFrame, kind: str) -> str:
    """The mover that made most of the change, when one did."""
    assert spend.value is not None
    assert spend.prior is not None
    change = spend.value - spend.prior
    same_way = drivers.filter((pl.col(CHANGE) > 0) == (change > 0))
    if same_way.is_empty():
        return ""
    share = float(same_way[CHANGE][0] / change)
    named = same_way[VALUE][0]
    what = f"spend without a {kind}" if named is None else f"{kind} {named}"
    direction = "rise" if change > 0 else "fall"
    if share > 1.05:
        return f"; {what} alone moved {compact(same_way[CHANGE][0], signed=True)}"
    words = next((text for least, text in _FRACTIONS if share >= least), None)
    return f"; {words} of the {direction} comes from {what}" if words else f"; most of it comes from {what}"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
