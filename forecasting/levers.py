"""The levers of a what-if: what each changes, of which cost, and from which day on.

A lever's factor on a day t is what the cost in its scope is multiplied by; before its first day f it is 1.
"""

from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Literal, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from finops.scope import ALL, parse_scope, said
from forecasting.series import Floats

YEAR_DAYS: Final = 365
EVERYTHING: Final = "is_ai=true"
"""What a scope without dimensions is: a forecast is of AI spend."""
MOST_LEVERS: Final = 12
Ratio = Annotated[float, Field(ge=-1, allow_inf_nan=False)]
"""What is added, as a ratio: 0.3 is 30 % more, -0.1 is 10 % less."""
Words = Annotated[str, Field(min_length=1)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)


class _Lever(_Record):
    """scope: dimension=value pairs parted by ;, or `all`. start: the first day on which it acts; `from` in a file."""

    scope: str = ALL
    start: Annotated[date, Field(alias="from")]

    @field_validator("scope")
    @classmethod
    def _known(cls, text: str) -> str:
        return str(parse_scope(text))

    @property
    def where(self) -> str:
        """Whose cost it moves, in words: All AI spend, team Search."""
        return said(EVERYTHING if self.scope == ALL else self.scope)

    def factor(self, days: list[date], repriced: float = 1.0) -> Floats:
        """The factor on the cost in the scope on each day; repriced: cost at book prices then / cost now."""
        return np.where([day >= self.start for day in days], repriced, 1.0)

    def _since(self, days: list[date]) -> Floats:
        """Days since the first one, 0 before it."""
        return np.array([max(0, (day - self.start).days) for day in days], dtype=float)


class Growth(_Lever):
    """Growth on top of the forecast: (1 + yearly_ratio) ** ((t - f) / 365), compounding daily."""

    kind: Literal["growth"]
    yearly_ratio: Annotated[float, Field(gt=-1, allow_inf_nan=False)]

    def factor(self, days: list[date], repriced: float = 1.0) -> Floats:  # noqa: ARG002 (prices stay)
        growth: Floats = (1 + self.yearly_ratio) ** (self._since(days) / YEAR_DAYS)
        return growth

    def __str__(self) -> str:
        growth = _percent(self.yearly_ratio, signed=True)
        return f"{self.where}: {growth} growth a year on top of the forecast, from {self.start}"


class Price(_Lever):
    """Prices that change on a day: 1 + ratio."""

    kind: Literal["price"]
    ratio: Ratio

    def factor(self, days: list[date], repriced: float = 1.0) -> Floats:  # noqa: ARG002 (the ratio is the price)
        return super().factor(days, 1 + self.ratio)

    def __str__(self) -> str:
        return f"{self.where}: prices {_percent(self.ratio, signed=True)} from {self.start}"


class Adoption(_Lever):
    """Users or requests that grow over some months and then stay: 1 + ratio x min(1, (t - f) / (end - f))."""

    kind: Literal["adoption"]
    ratio: Ratio
    months: Annotated[int, Field(ge=1, le=60)]

    def factor(self, days: list[date], repriced: float = 1.0) -> Floats:  # noqa: ARG002 (prices stay)
        length = (_months_on(self.start, self.months) - self.start).days
        ramp: Floats = np.minimum(1.0, self._since(days) / length)
        return 1 + self.ratio * ramp

    def __str__(self) -> str:
        use = _percent(self.ratio, signed=True)
        return f"{self.where}: use {use} over {self.months} months from {self.start}, then level"


class CacheRate(_Lever):
    """Another share of input tokens read from cache: cost at book prices then / cost at book prices now."""

    kind: Literal["cache_rate"]
    to_ratio: Annotated[float, Field(ge=0, le=1)]

    def __str__(self) -> str:
        return f"{self.where}: {_percent(self.to_ratio)} of input tokens from cache, from {self.start}"


class ModelSwitch(_Lever):
    """A share of one model's tokens goes to another: 1 - share + share x cost there / cost here, at book prices.

    token_ratio: tokens of the other model for each of this one.
    """

    kind: Literal["model_switch"]
    model: Words
    to: Words
    share_ratio: Annotated[float, Field(gt=0, le=1)] = 1.0
    token_ratio: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    def __str__(self) -> str:
        text = f"{self.where}: {_percent(self.share_ratio)} of {self.model} goes to {self.to}, from {self.start}"
        return text if self.token_ratio == 1 else f"{text}, at {self.token_ratio:g} tokens for one"


class Amount(_Lever):
    """An amount a month on top, in the company's currency: on the first day and the same day of each month after it.

    months: in so many months; without it in all that the forecast reaches.
    """

    kind: Literal["amount"]
    amount: Annotated[Decimal, Field(allow_inf_nan=False)]
    months: Annotated[int, Field(ge=1)] | None = None

    def amounts(self, days: list[date]) -> Floats:
        """The amount on each day; 0 on most."""
        reach = (days[-1].year - self.start.year) * 12 + days[-1].month - self.start.month + 1
        times = reach if self.months is None else min(self.months, reach)
        due = {_months_on(self.start, number) for number in range(times)}
        return np.where([day in due for day in days], float(self.amount), 0.0)

    def __str__(self) -> str:
        times = "a month" if self.months is None else "once" if self.months == 1 else f"in {self.months} months"
        return f"{self.where}: {self.amount:+,f} {times}, from {self.start}"


Lever = Annotated[Growth | Price | Adoption | CacheRate | ModelSwitch | Amount, Field(discriminator="kind")]
TokenLever = CacheRate | ModelSwitch


class WhatIf(_Record):
    """A question to the forecast: levers under a name, and why it is asked."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    note: str = ""
    levers: Annotated[tuple[Lever, ...], Field(max_length=MOST_LEVERS)]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if len(set(self.levers)) < len(self.levers):
            raise ValueError("the same lever stands twice; leave one out")
        return self


def _months_on(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month where it has no such day."""
    later: date = pl.select(pl.lit(day).dt.offset_by(f"{months}mo")).item()
    return later


def _percent(ratio: float, *, signed: bool = False) -> str:
    return f"{ratio * 100:{'+' if signed else ''}.6g} %"
