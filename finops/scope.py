"""What a budget or an alert is about: a part of the spend by its dimensions, and a month, quarter or year."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Self

import polars as pl

from finops import schema as s
from finops.errors import CallError

DIMENSIONS: Final = tuple(name for name in s.SHORT_NAMES if name not in ("day", "period", "owner", "currency"))
"""The words that a scope may use; `owner` is left out because in a budget it names a person."""
ALL: Final = "all"
NONE: Final = "(none)"
"""The value of charges that have none in a dimension."""

_PERIOD = re.compile(r"(\d{4})(?:-(?:(0[1-9]|1[0-2])(?:-01)?|[Qq]([1-4])))?")


@dataclass(frozen=True)
class Scope:
    """A part of the spend: pairs of a dimension and its value, in the order of DIMENSIONS; none means all of it."""

    terms: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ";".join(f"{name}={value}" for name, value in self.terms) or ALL

    @classmethod
    def of(cls, values: dict[str, str]) -> Self:
        """The scope of dimension -> value."""
        return cls(tuple((name, values[name]) for name in DIMENSIONS if name in values))

    def holds(self) -> pl.Expr:
        """True for the rows of spend_daily that lie in this scope."""
        return pl.all_horizontal(
            pl.lit(True),
            *(pl.col(s.SHORT_NAMES[name]).cast(pl.String).fill_null(NONE) == value for name, value in self.terms),
        )


def parse_scope(text: str) -> Scope:
    """The scope that `team=Support;purpose=inference` says; `all` or nothing is the whole spend.

    Raises CallError for a word that is no dimension, a dimension twice, or one without a value.
    """
    values: dict[str, str] = {}
    for term in (t.strip() for t in text.split(";")) if text.strip().lower() not in ("", ALL) else ():
        name, _, value = (part.strip() for part in term.partition("="))
        if name not in DIMENSIONS or not value or name in values:
            raise CallError(
                f'"{term}" in the scope "{text}"',
                expected="dimension=value pairs parted by ;, each dimension once, of " + ", ".join(DIMENSIONS),
                next_step="correct the scope",
            )
        values[name] = value.lower() if s.SHORT_NAMES[name] == s.IS_AI else value
    return Scope.of(values)


@dataclass(frozen=True)
class Period:
    """A month, quarter or year; `end` is the first day after it."""

    name: str
    start: date
    end: date

    @property
    def days(self) -> int:
        """Its number of days."""
        return (self.end - self.start).days


def parse_period(text: str) -> Period:
    """The period that `2026-10` (also `2026-10-01`), `2026-Q4` or `2026` says; raises CallError for anything else."""
    match = _PERIOD.fullmatch(text.strip())
    if match is None:
        raise CallError(f'the period "{text}"', expected="YYYY-MM, YYYY-Qn or YYYY", next_step="correct the period")
    year, month, quarter = int(match[1]), match[2], match[3]
    first, months = (int(month), 1) if month else (3 * int(quarter) - 2, 3) if quarter else (1, 12)
    name = f"{year}-{month}" if month else f"{year}-Q{quarter}" if quarter else str(year)
    last = first + months
    return Period(name, date(year, first, 1), date(year + (last > 12), last - 12 * (last > 12), 1))


def said(scope: str) -> str:
    """A budget's scope as people say it: all spend, AI spend, team Search."""
    if scope == ALL:
        return "All spend"
    if scope == "is_ai=true":
        return "All AI spend"
    return ", ".join(term.replace("=", " ").replace("_", " ") for term in scope.split(";"))
