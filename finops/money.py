"""Decimal money: amounts that carry their currency, dated conversion, and splits whose parts sum exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from finops.errors import CallError

SCALE = 18
"""Decimal places that the lake keeps: Oracle bills amounts of 1e-18."""

QUANTUM = Decimal(1).scaleb(-SCALE)
CONTEXT = Context(prec=76, rounding=ROUND_HALF_EVEN)
"""Wide enough that a product of two stored amounts is exact before it is rounded once."""


@dataclass(frozen=True)
class Money:
    """An amount in one currency (ISO 4217). Two currencies are never added or compared."""

    amount: Decimal
    currency: str

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        with localcontext(CONTEXT):
            return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return self + -other

    def __neg__(self) -> "Money":
        return Money(-self.amount, self.currency)

    def __lt__(self, other: "Money") -> bool:
        self._same_currency(other)
        return self.amount < other.amount

    def split(self, weights: Sequence[Decimal]) -> list["Money"]:
        """Parts in proportion to weights that sum to this amount exactly; see `split`."""
        return [Money(part, self.currency) for part in split(self.amount, weights)]

    def convert(self, rate: "FxRate") -> "Money":
        """This amount in the rate's quote currency: amount x rate, rounded half-even to 18 places.

        Raises CallError when the rate is for another base currency.
        """
        if rate.base != self.currency:
            raise CallError(
                f"a {rate.base}/{rate.quote} rate for an amount in {self.currency}",
                expected=f"a rate with base {self.currency}",
                next_step=f"add a {self.currency}/{rate.quote} row to the FX table",
            )
        with localcontext(CONTEXT):
            return Money((self.amount * rate.rate).quantize(QUANTUM), rate.quote)

    def _same_currency(self, other: "Money") -> None:
        if other.currency != self.currency:
            raise CallError(
                f"{self.currency} and {other.currency} in one sum",
                expected="amounts of one currency",
                next_step="convert one of them with a dated rate first",
            )


@dataclass(frozen=True)
class FxRate:
    """One unit of base costs `rate` units of quote, on a day, by a source."""

    day: date
    base: str
    quote: str
    rate: Decimal
    source: str


def split(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Parts in proportion to weights (>= 0, not all zero) that sum to amount exactly, to the 18th decimal.

    Largest-remainder method: each part is cut to 18 places toward zero, and the units of 1e-18 that are left go to
    the largest remainders, ties to the earlier part. Raises CallError for negative or all-zero weights.
    """
    if not weights or min(weights) < 0 or not any(weights):
        raise CallError(
            f"weights {list(map(str, weights))}",
            expected="at least one weight above zero and none below",
            next_step="give the amount to a stated default instead of splitting it",
        )
    with localcontext(CONTEXT):
        units = int(amount.quantize(QUANTUM).scaleb(SCALE))
        sign, units = (-1, -units) if units < 0 else (1, units)
        shift = max(0, *(-_exponent(w) for w in weights))
    whole = [int(w.scaleb(shift, CONTEXT)) for w in weights]
    total = sum(whole)
    floors = [units * w // total for w in whole]
    by_remainder = sorted(range(len(whole)), key=lambda i: (-(units * whole[i] % total), i))
    for i in by_remainder[: units - sum(floors)]:
        floors[i] += 1
    return [Decimal(sign * part).scaleb(-SCALE, CONTEXT) for part in floors]


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise CallError(f"the weight {value}", expected="a finite number", next_step="remove the weight")
    return exponent
