"""What a view looks at: the charges of a period and of some values of some dimensions, in one of the four costs."""

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final, Self

import polars as pl

from finops import schema as s
from finops.errors import CallError

Value = str | bool | date | None
"""A value of a dimension; None stands for charges that have none."""

_TRUE, _FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})
_WORDS: Final = {column: word for word, column in s.SHORT_NAMES.items()}


@dataclass(frozen=True)
class Scope:
    """Which charges are meant, and by which cost they are measured.

    where: column of spend_daily -> the values that are meant. start, end: first and last day of the charges, both
    included. cost: billed, effective, contracted or list.
    """

    where: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    start: date | None = None
    end: date | None = None
    cost: str = "effective"

    @classmethod
    def of(
        cls,
        where: Mapping[str, object] | None = None,
        *,
        start: date | None = None,
        end: date | None = None,
        cost: str = "effective",
    ) -> Self:
        """A scope from what a person typed: short words or column names, one value or several, "" for none.

        Raises CallError for an unknown column, cost or yes/no value, and for a period that ends before it starts.
        """
        if cost not in s.COSTS:
            raise CallError(
                f"the cost {cost!r}", expected=f"one of {', '.join(s.COSTS)}", next_step="correct the cost's name"
            )
        if start is not None and end is not None and start > end:
            raise CallError(
                f"a period from {start} to {end}",
                expected="a first day that is not after the last day",
                next_step=f"swap the two dates: from {end} to {start}",
            )
        given = {column(name): _values(column(name), value) for name, value in (where or {}).items()}
        return cls(given, start, end, cost)

    @property
    def measure(self) -> str:
        """The FOCUS column of the cost."""
        return s.COSTS[self.cost]

    def only(self, column_name: str, *values: Value) -> Self:
        """This scope narrowed to values of one more dimension."""
        return replace(self, where={**self.where, column_name: values})

    def between(self, start: date | None, end: date | None) -> Self:
        """This scope over another period."""
        return replace(self, start=start, end=end)

    def prior(self) -> Self:
        """The period before: whole months against whole months, a month so far against the same days of the month
        before, and any other period against as many days that end the day before it.

        Raises CallError for a scope without both ends.
        """
        if self.start is None or self.end is None:
            raise CallError(
                "a period without a first or a last day",
                expected="both, so that there is a period before it",
                next_step="name the first and the last day",
            )
        end = self.start - timedelta(days=1)
        if self.start.day == 1 and is_month_end(self.end):
            months = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month + 1
            return self.between(add_months(self.start, -months), end)
        if self.start.day == 1 and (self.start.year, self.start.month) == (self.end.year, self.end.month):
            first = add_months(self.start, -1)
            return self.between(first, min(end, first + (self.end - self.start)))
        return self.between(self.start - (self.end - self.start) - timedelta(days=1), end)

    def filter(self, daily: pl.LazyFrame) -> pl.LazyFrame:
        """The billed rows of spend_daily that are meant."""
        return daily.filter(*self.conditions(), *self._days())

    def conditions(self) -> Iterable[pl.Expr]:
        """What a billed row must fulfil whatever its day; the same columns stand in charges."""
        yield pl.col(s.LEDGER_ROLE) == s.BILLED
        for name, values in self.where.items():
            known = [v for v in values if v is not None]
            match = pl.col(name).is_in(known) if known else pl.lit(False)
            yield match.fill_null(False) | pl.col(name).is_null() if None in values else match

    def _days(self) -> Iterable[pl.Expr]:
        if self.start is not None:
            yield pl.col(s.CHARGE_DATE) >= self.start
        if self.end is not None:
            yield pl.col(s.CHARGE_DATE) <= self.end


def column(name: str) -> str:
    """The column of spend_daily behind a short word or a column name; raises CallError that lists the known ones."""
    found = s.SHORT_NAMES.get(name, name)
    if found not in s.DAILY_DIMENSIONS:
        raise CallError(
            f"no dimension {name!r}",
            expected=f"one of {', '.join(s.SHORT_NAMES)} (or their column names, like {s.SERVICE_PROVIDER_NAME})",
            next_step="correct the name",
        )
    return found


def word(column_name: str) -> str:
    """The word that people use for a column: `team` for x_Team."""
    return _WORDS.get(column_name, column_name)


def is_month_end(day: date) -> bool:
    """Whether a day is the last of its month."""
    return day.day == monthrange(day.year, day.month)[1]


def add_months(first: date, months: int) -> date:
    """The first day of the month that is so many months after (or before) the month of `first`."""
    number = first.year * 12 + first.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _values(column_name: str, given: object) -> tuple[Value, ...]:
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else (given,)
    return tuple(_value(column_name, value) for value in several)


def _value(column_name: str, given: object) -> Value:
    if given is None or given == "":
        return None
    kind = s.DAILY_DIMENSIONS[column_name]
    if isinstance(kind, pl.Boolean):
        text = str(given).lower()
        if text not in _TRUE | _FALSE:
            raise CallError(f"{word(column_name)}={given}", expected="true or false", next_step="write true or false")
        return text in _TRUE
    if isinstance(kind, pl.Date):
        return given if isinstance(given, date) else day(str(given))
    return str(given)


def day(text: str) -> date:
    """A day as YYYY-MM-DD; raises CallError for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise CallError(
            f"the day {text!r}", expected="a day as YYYY-MM-DD, like 2026-10-31", next_step="correct the date"
        ) from error
