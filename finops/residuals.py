"""Why an invoice and the lake differ: the residual of one period, put under causes that sum to it exactly.

A cause is named only where something in the data says so: a line of the invoice, charges of the neighbouring months,
the days that are there, a dated rate. What nothing speaks for stays unexplained.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

from finops.money import CONTEXT, QUANTUM, FxRate

TAX, SUPPORT, CREDIT, REFUND, ROUNDING = "tax", "support", "credit", "refund", "rounding"
LATE_DATA, QUARANTINED, CURRENCY = "late_data", "quarantined", "currency"
UNMATCHED_ACCOUNT, MISSING_CHARGE, UNEXPLAINED = "unmatched_account", "missing_charge", "unexplained"
CAUSES: Final = {
    TAX: "tax that only one of the two has",
    SUPPORT: "a support fee that only one of the two has",
    CREDIT: "credits that only one of the two has",
    REFUND: "refunds and corrections that only one of the two has",
    MISSING_CHARGE: "a charge that the neighbouring months have and this one has not",
    LATE_DATA: "charges of the last days have not come yet",
    QUARANTINED: "rows in quarantine whose period or currency cannot be read",
    CURRENCY: "the invoice is in another currency than the charges",
    UNMATCHED_ACCOUNT: "the invoice names an account that the source has no charges of",
    ROUNDING: "the invoice is in whole cents",
    UNEXPLAINED: "nothing in the data says why",
}
"""Each cause in words."""
NEXT_STEPS: Final = {
    TAX: "nothing, where the export leaves tax out by design; else ask for an export with tax",
    SUPPORT: "ask the provider to refresh the export of this month, then `finops ingest`",
    CREDIT: "ask the provider whether the credit is applied to this invoice or the next one",
    REFUND: "compare the refund's invoice: a correction belongs to the month that invoices it",
    MISSING_CHARGE: "ask the provider to refresh the export of this month, then `finops ingest`",
    LATE_DATA: "`finops ingest` again when the export of the month is whole",
    QUARANTINED: "`finops quality` lists the rows; correct them in the source and load it again",
    CURRENCY: "nothing, where the rate is right; else correct it in the table of FX rates",
    UNMATCHED_ACCOUNT: "correct the invoice's account_id, or add the export of that account as a source",
    ROUNDING: "nothing",
    UNEXPLAINED: "compare the invoice's lines with the charges: give them to `finops reconcile --invoice-lines FILE`",
}  # fmt: skip
"""What to do about each cause."""
ABSENT: Final = (SUPPORT, MISSING_CHARGE, LATE_DATA, QUARANTINED, UNMATCHED_ACCOUNT)
"""Causes that name money which the lake has not: an explained period is not whole with them."""
KINDS: Final = (TAX, SUPPORT, CREDIT, REFUND)
"""Kinds of charges that invoices and exports are known to treat in different ways."""
NO_CENTS: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF")
)
"""Currencies without a minor unit (ISO 4217, list one)."""
_ZERO: Final = Decimal(0)


@dataclass(frozen=True)
class Usual:
    """A kind of charge that all complete neighbouring months hold and this one does not.

    low, high: the least and the most that it would be here, by its amounts there and its shares of their cost.
    """

    name: str
    cause: str
    low: Decimal
    high: Decimal
    months: int


@dataclass(frozen=True)
class Late:
    """Charges that reach only to last_day (None: no day at all), so many days before the end of the period."""

    last_day: date | None
    days: int
    usual_per_day: Decimal


@dataclass(frozen=True)
class Exchange:
    """Charges in another currency than their invoice, and the rate they were converted at: None where there is none.

    low, high: the converted amount at the lowest and the highest rate that the table has around the period.
    """

    amount: Decimal
    currency: str
    rate: FxRate | None
    low: Decimal = _ZERO
    high: Decimal = _ZERO

    @property
    def converted(self) -> Decimal:
        """The amount in the invoice's currency, at the rate, to 18 places."""
        return (self.amount * self.rate.rate).quantize(QUANTUM, context=CONTEXT) if self.rate else _ZERO


@dataclass(frozen=True)
class Case:
    """One invoiced period and all that may speak for a residual; amounts in the invoice's currency.

    documents: how many amounts were rounded (invoices or their lines). charged: stored cost by KINDS. lines: invoiced
    amounts by KINDS, empty where only the total is known. unplaced: money in quarantine that no period could be given.
    other_accounts: of the source's charges, where none is of the invoice's account.
    """

    currency: str
    invoice: Decimal
    stored: Decimal = _ZERO
    quarantined: Decimal = _ZERO
    documents: int = 1
    charged: Mapping[str, Decimal] = field(default_factory=dict)
    lines: Mapping[str, Decimal] = field(default_factory=dict)
    usual: tuple[Usual, ...] = ()
    late: Late | None = None
    unplaced: Decimal = _ZERO
    exchanges: tuple[Exchange, ...] = ()
    other_accounts: tuple[str, ...] = ()

    @property
    def residual(self) -> Decimal:
        """invoice - stored - quarantined."""
        with localcontext(CONTEXT):
            return self.invoice - self.stored - self.quarantined

    @property
    def cents(self) -> Decimal:
        """What whole cents can make: one of them for each amount that was rounded."""
        return (Decimal(1) if self.currency in NO_CENTS else Decimal("0.01")) * max(1, self.documents)


@dataclass(frozen=True)
class Cause:
    """A part of the residual, why it is there, and what to do."""

    cause: str
    amount: Decimal
    note: str

    @property
    def next_step(self) -> str:
        """What to do about it."""
        return NEXT_STEPS[self.cause]


def explain(case: Case) -> tuple[Cause, ...]:
    """The causes of a residual, in the order of the evidence; their amounts sum to it exactly.

    Each evidence takes what it speaks for from what those before it left. What is left then is rounding up to
    `case.cents`, else unexplained.
    """
    found: list[Cause] = []
    with localcontext(CONTEXT):
        left = case.residual
        for evidence in _EVIDENCE:
            if abs(left) <= case.cents:
                break
            for cause in evidence(case, left):
                found.append(cause)
                left -= cause.amount
        if left:
            small = abs(left) <= case.cents
            found.append(Cause(ROUNDING, left, CAUSES[ROUNDING]) if small else _unexplained(case, left))
    return tuple(cause for cause in found if cause.amount)


def _no_rate(case: Case, left: Decimal) -> Iterator[Cause]:
    without = [e for e in case.exchanges if e.rate is None]
    if without:
        amounts = " and ".join(f"{e.amount:,.2f} {e.currency}" for e in without)
        pairs = ", ".join(f"{e.currency}/{case.currency}" for e in without)
        yield Cause(CURRENCY, left, f"the charges are {amounts}, and the table of FX rates has no {pairs} up to then")


def _no_account(case: Case, left: Decimal) -> Iterator[Cause]:
    if case.other_accounts:
        known = ", ".join(case.other_accounts[:3]) + (" and more" if len(case.other_accounts) > 3 else "")
        yield Cause(UNMATCHED_ACCOUNT, left, f"{CAUSES[UNMATCHED_ACCOUNT]}; its charges are of {known}")


def _invoice_lines(case: Case, left: Decimal) -> Iterator[Cause]:
    """What the invoice's lines say of each kind beside what the export has of it.

    A kind without a line of its own may lie in the other lines: then it counts only where it brings the two nearer.
    """
    for kind in KINDS if case.lines else ():
        invoiced, charged = case.lines.get(kind, _ZERO), case.charged.get(kind, _ZERO)
        amount = invoiced - charged
        if abs(amount) > case.cents and (kind in case.lines or abs(left - amount) < abs(left)):
            left -= amount
            yield Cause(kind, amount, f"the invoice's lines have {invoiced:,.2f} of {kind}, the export {charged:,.2f}")


def _not_invoiced(case: Case, left: Decimal) -> Iterator[Cause]:
    """A kind of charge that the export has and that is just what the invoice has less."""
    for kind in KINDS if not case.lines else ():
        charged = case.charged.get(kind, _ZERO)
        if charged and abs(left + charged) <= case.cents:
            yield Cause(kind, -charged, f"the export has {charged:,.2f} of {kind}, and the invoice is without it")
            return


def _exchange_rates(case: Case, left: Decimal) -> Iterator[Cause]:
    """The part of the residual that another dated rate of those days would make."""
    if not case.exchanges:
        return
    converted = sum((e.converted for e in case.exchanges), _ZERO)
    low, high = (sum((getattr(e, end) for e in case.exchanges), _ZERO) - converted for end in ("low", "high"))
    amount = _clamped(left, low, high)
    said = "; ".join(_rate_words(e, case.currency) for e in case.exchanges)
    yield Cause(CURRENCY, amount, f"{said}; the issuer's own rate is another")


def _rate_words(exchange: Exchange, currency: str) -> str:
    rate = exchange.rate
    assert rate is not None, "exchanges without a rate are told before"
    return (
        f"{exchange.amount:,.2f} {exchange.currency} at {float(rate.rate):.6g} {currency}/{exchange.currency} "
        f"of {rate.day} ({rate.source or 'no source'})"
    )


def _unplaced(case: Case, left: Decimal) -> Iterator[Cause]:
    if case.unplaced and abs(left - case.unplaced) <= case.cents:
        yield Cause(QUARANTINED, case.unplaced, CAUSES[QUARANTINED])


def _usual_charges(case: Case, left: Decimal) -> Iterator[Cause]:
    """Charges that usually stand there, the one that leaves the least first, as long as they fit in what is left."""
    usual = sorted(case.usual, key=lambda u: (u.name, u.low, u.high))
    slack = abs(case.invoice) / 200
    while abs(left) > case.cents:
        fits = [(abs(left - amount), n, amount) for n, u in enumerate(usual) if (amount := _fit(u, left, slack))]
        if not fits:
            return
        _, n, amount = min(fits)
        left -= amount
        yield Cause(usual[n].cause, amount, _usual_words(usual.pop(n)))


def _fit(usual: Usual, left: Decimal, slack: Decimal) -> Decimal:
    """What of the rest such a charge may be; zero where it would be more than the rest."""
    nearest = _clamped(_ZERO, usual.low, usual.high)
    fits = nearest * left > 0 and abs(nearest) <= abs(left) + slack
    amount = _clamped(left, usual.low, usual.high)
    return amount if fits and abs(left - amount) < abs(left) else _ZERO


def _usual_words(usual: Usual) -> str:
    usually = f"{usual.low:,.2f}" if usual.high - usual.low < 1 else f"{usual.low:,.2f} to {usual.high:,.2f}"
    return f"{usual.name} is missing from the export of this month; by the {usual.months} months around it, {usually}"


def _late(case: Case, left: Decimal) -> Iterator[Cause]:
    """At most twice what the missing days would usually cost; all of it where the period has no day at all."""
    if case.late is None or left < 0:
        return
    late = case.late
    if late.last_day is None:
        yield Cause(LATE_DATA, left, "no charge of this period has come yet")
        return
    amount = _clamped(left, _ZERO, 2 * late.days * late.usual_per_day)
    days = f"{late.days} day{'s are' if late.days > 1 else ' is'}"
    yield Cause(
        LATE_DATA, amount,
        f"charges reach to {late.last_day:%-d %B}, {days} missing, usually {late.usual_per_day:,.2f} a day",
    )  # fmt: skip


def _unexplained(case: Case, left: Decimal) -> Cause:
    if case.exchanges and case.stored:
        said = "; ".join(_rate_words(e, case.currency) for e in case.exchanges if e.rate)
        return Cause(UNEXPLAINED, left, f"more than the rates of those days differ ({said})")
    return Cause(UNEXPLAINED, left, CAUSES[UNEXPLAINED])


def _clamped(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    return max(min(low, high), min(max(low, high), value))


_EVIDENCE: Final[tuple[Callable[[Case, Decimal], Iterator[Cause]], ...]] = (
    _no_rate, _no_account, _invoice_lines, _not_invoiced, _exchange_rates, _unplaced, _usual_charges, _late,
)  # fmt: skip
