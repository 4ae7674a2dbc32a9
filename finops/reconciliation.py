"""Invoices against the lake: one row per source, billing period, issuer, account and currency, and why each differs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final

import polars as pl

from finops import residuals
from finops import schema as s
from finops.checks import TIED_OUT_RATIO
from finops.freshness import ACTIVE_DAYS
from finops.invoices import Key, documents, line_kind, order, owner, rates_of
from finops.money import CONTEXT, QUANTUM, FxRate
from finops.residuals import ABSENT, CREDIT, MISSING_CHARGE, REFUND, SUPPORT, TAX, UNEXPLAINED, Case, Exchange, Usual
from finops.scope import parse_period

TIED_OUT, EXPLAINED, RESIDUAL, QUARANTINED = "tied_out", "explained", "residual", "quarantined"
NO_INVOICE, NO_CHARGES = "no_invoice", "no_charges"
STATUSES: Final = {
    TIED_OUT: "the lake has what the invoice has; what differs is named and no charge is missing",
    EXPLAINED: "what differs is named, and some of it is not in the lake",
    RESIDUAL: "more than 0.5 % of the invoice is unexplained",
    QUARANTINED: "all is explained, and some of it lies in quarantine",
    NO_INVOICE: "charges that nobody has invoiced yet",
    NO_CHARGES: "an invoice without any charge",
}
"""Each status in words."""
UNKNOWN_PERIOD: Final = "unknown"
NEIGHBOURS: Final = (-2, -1, 1, 2)
"""Months that say which charges are usual ..."""
LEAST_NEIGHBOURS: Final = 2
"""... when so many of them are complete and have charges."""

_KEYS: Final = ("source_id", "billing_period", "issuer", "account_id", "currency")
ROWS: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(("source_id", "billing_period", "currency"), pl.String()),
    **dict.fromkeys(("invoice", "stored", "quarantined", "residual"), s.MONEY), "residual_ratio": s.MONEY,
    "status": pl.String(), "unexplained": s.MONEY,
    **dict.fromkeys(("issuer", "account_id", "open", "note", "next_step"), pl.String()),
}  # fmt: skip
CAUSES: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(_KEYS, pl.String()), "cause": pl.String(), "amount": s.MONEY, "note": pl.String(),
    "next_step": pl.String(),
}  # fmt: skip
_PART: Final[dict[str, pl.Expr]] = {
    "source_id": pl.col(s.SOURCE_ID), "billing_period": pl.col(s.BILLING_PERIOD),
    "account_id": pl.col(s.BILLING_ACCOUNT_ID), "issuer": pl.col(s.INVOICE_ISSUER_NAME),
    "currency": pl.col(s.BILLING_CURRENCY),
    "kind": pl.when(pl.col(s.CHARGE_CATEGORY) == "Tax").then(pl.lit(TAX))
    .when(pl.col(s.CHARGE_CATEGORY) == "Credit").then(pl.lit(CREDIT))
    .when((pl.col(s.CHARGE_CATEGORY) == "Adjustment") | (pl.col(s.CHARGE_CLASS) == "Correction")).then(pl.lit(REFUND))
    .when(pl.col(s.DRIVER) == "support").then(pl.lit(SUPPORT)),
}  # fmt: skip
"""What of a charge says whose invoice it is on, and how invoices treat it."""
_BY_SERVICE: Final = {
    "what": pl.lit("service"), "name": pl.col(s.SERVICE_NAME), "detail": pl.col(s.CHARGE_CATEGORY),
}  # fmt: skip
_BY_ACCOUNT: Final = {
    "what": pl.lit("account"), "name": pl.col(s.SUB_ACCOUNT_ID), "detail": pl.lit(None, pl.String),
    "kind": pl.lit(None, pl.String),
}  # fmt: skip
"""What may be missing as a whole: a kind of charge of a service, or an account."""
_ZERO: Final = Decimal(0)


@dataclass(frozen=True)
class Books:
    """What is compared: charges, quarantine, invoices, invoice_lines and fx_rates of the lake.

    ends: up to which day each source's period is billed in full; today: what an open period is open on.
    """

    charges: pl.LazyFrame
    quarantine: pl.LazyFrame
    invoices: pl.LazyFrame
    lines: pl.LazyFrame
    rates: pl.LazyFrame
    ends: Mapping[tuple[str, str], date]
    today: date


@dataclass(frozen=True)
class Reconciliation:
    """rows: ROWS, one per key. causes: CAUSES; those of a row sum to its residual to the last decimal."""

    rows: pl.DataFrame
    causes: pl.DataFrame

    def of(self, period: str | None) -> "Reconciliation":
        """That of one billing period."""
        if period is None:
            return self
        mine = pl.col("billing_period") == period
        return Reconciliation(self.rows.filter(mine), self.causes.filter(mine))


@dataclass(frozen=True)
class _Entry:
    """One row before it is judged: its key, its case, and whether there is an invoice and there are charges."""

    source: str
    period: str
    key: Key
    case: Case
    is_invoiced: bool
    has_charges: bool
    open: str | None


def reconcile(books: Books) -> Reconciliation:
    """Invoices against the charges that are billed, with the causes of each residual.

    residual = invoice - stored - quarantined; residual_ratio = residual / invoice. An invoice is compared with the
    charges of its billing account and issuer, see finops.invoices.owner. Charges in another currency than their invoice
    are converted with the latest rate up to its issue date; without a rate they stay apart. status: STATUSES, by
    what is unexplained beside TIED_OUT_RATIO of the invoice. open: why the period may still change, null where it is
    closed.
    """
    with localcontext(CONTEXT):
        ledger = _Ledger(books)
        entries = [entry for place in ledger.places() for entry in ledger.entries(*place)]
    causes = [(entry, residuals.explain(entry.case) if entry.is_invoiced else ()) for entry in entries]
    rows = pl.DataFrame([_row(entry, found) for entry, found in causes], schema=ROWS | {"residual_ratio": s.MONEY})
    named = [
        {**_key_of(entry), "cause": c.cause, "amount": c.amount, "note": c.note, "next_step": c.next_step}
        for entry, found in causes
        for c in found
    ]
    ratio = pl.when(pl.col("invoice") != 0).then(pl.col("residual") / pl.col("invoice")).cast(s.MONEY)
    return Reconciliation(
        rows.with_columns(residual_ratio=ratio).sort("source_id", "billing_period", "currency", "issuer", "account_id"),
        pl.DataFrame(named, schema=CAUSES).sort(_KEYS, maintain_order=True),
    )


class _Ledger:
    """Both sides of the books by source and period, small enough to be walked."""

    def __init__(self, books: Books) -> None:
        self.ends, self.today = books.ends, books.today
        self.reach: dict[str, date] = {}
        for (source, _), end in books.ends.items():
            self.reach[source] = max(end, self.reach.get(source, end))
        self.billed = books.charges.filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
        self.parts = _by_place(_summed(self.billed, _PART))
        self.details: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.held_back = _by_place(
            books.quarantine.filter(pl.col("billed_cost").is_not_null())
            .group_by("source_id", "billing_period", "currency")
            .agg(pl.col("billed_cost").sum().alias("amount"))
            .sort("source_id", "billing_period", "currency")
            .collect()
        )
        lines = books.lines.collect()
        self.documents = _by_place(documents(books.invoices.collect(), lines))
        self.lines = _by_place(lines)
        self.rates = books.rates.sort("day").collect().to_dicts()

    def places(self) -> list[tuple[str, str]]:
        """Every source and billing period that either side knows."""
        return sorted({*self.parts, *self.held_back, *self.documents})

    def entries(self, source: str, period: str) -> Iterator[_Entry]:
        """The rows of one source and period."""
        invoiced: dict[tuple[Key, str], list[dict[str, Any]]] = defaultdict(list)
        for document in self.documents.get((source, period), []):
            invoiced[Key(document["issuer"], document["account_id"]), document["currency"]].append(document)
        parts = self._claimed(source, period)
        held_back = {row["currency"]: row["amount"] for row in self.held_back.get((source, period), [])}
        keys = sorted({key for key, _ in invoiced} | set(parts), key=order)
        for key in keys or [Key(None, None)]:
            mine = parts.get(key, {})
            bills = {currency: rows for (k, currency), rows in invoiced.items() if k == key}
            yield from self._of_key(source, period, key, mine, bills, held_back)
        for currency, amount in sorted(held_back.items()):  # what no row of its currency could take
            yield _Entry(
                source, period, Key(None, None), Case(currency, _ZERO, quarantined=amount), False, False,
                self._open(source, period, is_invoiced=False),
            )  # fmt: skip

    def _of_key(
        self, source: str, period: str, key: Key, parts: Mapping[str, list[dict[str, Any]]],
        bills: Mapping[str, list[dict[str, Any]]], held_back: dict[str, Decimal],
    ) -> Iterator[_Entry]:  # fmt: skip
        """The rows of one issuer and account: one a currency, and what is charged in another one converted."""
        foreign = [c for c in parts if c not in bills]
        unmet = [c for c in bills if c not in parts]
        target = unmet[0] if foreign and len(unmet) == 1 else None
        for currency in sorted({*bills, *(() if target else foreign), *(parts.keys() & bills.keys())}):
            exchanged = foreign if currency == target else []
            documents = bills.get(currency, [])
            yield self._entry(
                source, period, key, currency, parts, exchanged, documents, held_back.pop(currency, _ZERO)
            )

    def _entry(
        self, source: str, period: str, key: Key, currency: str, parts: Mapping[str, list[dict[str, Any]]],
        exchanged: Sequence[str], documents: Sequence[dict[str, Any]], quarantined: Decimal,
    ) -> _Entry:  # fmt: skip
        issued = max((d["issue_date"] for d in documents if d["issue_date"]), default=None)
        own = parts.get(currency, [])
        exchanges = tuple(self._exchange(parts[c], c, currency, period, issued) for c in exchanged)
        rates = {e.currency: e.rate for e in exchanges}
        charges = [*own, *(part for c in exchanged for part in parts[c])]
        stored = sum((_converted(part, rates) for part in charges), _ZERO)
        invoice = sum((d["amount"] for d in documents), _ZERO)
        opened = self._open(source, period, is_invoiced=bool(documents))
        case = Case(currency, invoice, stored, quarantined, len(documents), exchanges=exchanges)
        if documents and abs(case.residual) > case.cents:
            lines = self._lines(source, period, documents)
            case = Case(
                currency, invoice, stored, quarantined, max(len(documents), len(lines)),
                charged=_by_kind((p["kind"], _converted(p, rates)) for p in charges),
                lines=_by_kind((line_kind(line), line["amount"]) for line in lines),
                usual=tuple(self._usual(source, period, key, currency, rates, stored)),
                late=self._late(source, period, stored), unplaced=self._unplaced(source, period),
                exchanges=exchanges, other_accounts=() if charges else self._accounts(source),
            )  # fmt: skip
        return _Entry(source, period, key, case, bool(documents), bool(charges), opened)

    # ------------------------------------------------------------------------------------------------ whose charges
    def _claimed(self, source: str, period: str) -> dict[Key, dict[str, list[dict[str, Any]]]]:
        """The charges of a period by the key of the invoice that they belong to, and by currency."""
        found: dict[Key, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        owners = self._owners(source, period)
        for part in self.parts.get((source, period), []):
            found[owners[Key(part["issuer"], part["account_id"])]][part["currency"]].append(part)
        return found

    def _owners(self, source: str, period: str) -> dict[Key, Key]:
        """The invoice's key of each key that charges of a period have.

        A month without an invoice is read as the source's other months are invoiced.
        """
        keys = {Key(d["issuer"], d["account_id"]) for d in self.documents.get((source, period), [])}
        keys = keys or {
            Key(d["issuer"], d["account_id"]) for place, ds in self.documents.items() if place[0] == source for d in ds
        }
        charged = {Key(part["issuer"], part["account_id"]) for part in self.parts.get((source, period), [])}
        return {key: owner(key, keys, charged) for key in charged}

    def _accounts(self, source: str) -> tuple[str, ...]:
        """The billing accounts that the source has charges of."""
        found = {p["account_id"] for place, parts in self.parts.items() if place[0] == source for p in parts}
        return tuple(sorted(a for a in found if a))

    # ---------------------------------------------------------------------------------------------------- evidence
    def _lines(self, source: str, period: str, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        ids = {d["invoice_id"] for d in documents}
        return [line for line in self.lines.get((source, period), []) if line["invoice_id"] in ids]

    def _late(self, source: str, period: str, stored: Decimal) -> residuals.Late | None:
        first, last = _month_days(period)
        end = self.ends.get((source, period))
        if end is None or end >= last:
            return None
        if end < first:
            return residuals.Late(None, 0, _ZERO)
        missing = (last - end).days
        return residuals.Late(end, missing, (stored / ((end - first).days + 1)).quantize(QUANTUM))

    def _unplaced(self, source: str, period: str) -> Decimal:
        """Money in quarantine whose period or currency nobody could read."""
        rows = [
            *self.held_back.get((source, UNKNOWN_PERIOD), []),
            *(r for r in self.held_back.get((source, period), []) if r["currency"] == "XXX"),
        ]
        return sum((row["amount"] for row in rows), _ZERO)

    def _usual(
        self, source: str, period: str, key: Key, currency: str, rates: Mapping[str, FxRate | None], stored: Decimal
    ) -> Iterator[Usual]:
        """What all complete neighbours of a period have and it has not: kinds of charges, and whole accounts."""
        here = self._named(source, period, key, currency, rates)
        near = [month for n in NEIGHBOURS if self._is_whole(source, month := _month(period, n))]
        whole = [found for month in near if (found := self._named(source, month, key, currency, rates))]
        if len(whole) < LEAST_NEIGHBOURS:
            return
        for name in set.intersection(*(set(found) for found in whole)) - set(here):
            amounts = [found[name] for found in whole]
            rest = [sum((a for n, a in found.items() if n[0] == name[0]), -found[name]) for found in whole]
            scaled = [(a / r * stored).quantize(QUANTUM) for a, r in zip(amounts, rest, strict=True) if r]
            low, high = min(amounts + scaled), max(amounts + scaled)
            if low * high > 0:
                yield Usual(_name_words(name), name[-1] or MISSING_CHARGE, low, high, len(whole))

    def _named(
        self, source: str, period: str, key: Key, currency: str, rates: Mapping[str, FxRate | None]
    ) -> dict[tuple[str, ...], Decimal]:
        """Cost of a key's charges in a period by what may be missing as a whole; see _BY_SERVICE and _BY_ACCOUNT."""
        if (source, period) not in self.parts:
            return {}
        if (source, period) not in self.details:
            mine = self.billed.filter(pl.col(s.SOURCE_ID) == source, pl.col(s.BILLING_PERIOD) == period)
            self.details[source, period] = [
                *_summed(mine, {**_PART, **_BY_SERVICE}).to_dicts(),
                *_summed(mine.filter(pl.col(s.SUB_ACCOUNT_ID).is_not_null()), {**_PART, **_BY_ACCOUNT}).to_dicts(),
            ]
        owners, found = self._owners(source, period), defaultdict[tuple[str, ...], Decimal](Decimal)
        for part in self.details[source, period]:
            is_mine = owners[Key(part["issuer"], part["account_id"])] == key
            if is_mine and (part["currency"] == currency or part["currency"] in rates):
                name = tuple(part[word] or "" for word in ("what", "name", "detail", "kind"))
                found[name] += _converted(part, rates)
        return found

    def _is_whole(self, source: str, period: str) -> bool:
        last = _month_days(period)[1]
        return self.today > last and self.reach.get(source, last) >= last

    def _exchange(
        self, parts: Sequence[dict[str, Any]], base: str, quote: str, period: str, issued: date | None
    ) -> Exchange:
        """Charges in another currency, with the latest rate up to the invoice and the range of rates around it."""
        first, last = _month_days(period)
        until = issued or last
        known = [rate for rate in rates_of(self.rates, base, quote) if rate.day <= until]
        amount = sum((part["amount"] for part in parts), _ZERO)
        if not known:
            return Exchange(amount, base, None)
        around = [amount * r.rate for r in known if r.day >= first - timedelta(days=1)] or [amount * known[-1].rate]
        return Exchange(amount, base, known[-1], min(around).quantize(QUANTUM), max(around).quantize(QUANTUM))

    def _open(self, source: str, period: str, *, is_invoiced: bool) -> str | None:
        """Why a period may still change."""
        if period == UNKNOWN_PERIOD:
            return None
        _, last = _month_days(period)
        if self.today <= last:
            return "the month has not ended"
        reach = self.reach.get(source)
        if reach is not None and reach < last and (self.today - last).days <= ACTIVE_DAYS:
            return f"billed to {reach:%-d %B}"
        invoiced = [p for (known, p) in self.documents if known == source]
        if not is_invoiced and invoiced and period > max(invoiced):
            return "no invoice yet"
        return None


# ---------------------------------------------------------------------------------------------------------------- rows
def _row(entry: _Entry, causes: Sequence[residuals.Cause]) -> dict[str, Any]:
    case, invoiced = entry.case, entry.is_invoiced
    unexplained = sum((c.amount for c in causes if c.cause == UNEXPLAINED), _ZERO)
    todo = [c for c in causes if c.cause in (*ABSENT, UNEXPLAINED)]
    return {
        **_key_of(entry), "invoice": case.invoice if invoiced else None,
        "stored": case.stored if entry.has_charges else None, "quarantined": case.quarantined,
        "residual": case.residual if invoiced else None, "residual_ratio": None, "status": _status(entry, causes),
        "unexplained": unexplained if invoiced else None, "open": entry.open,
        "note": "; ".join(c.note for c in causes if c.cause != residuals.ROUNDING) or None,
        "next_step": max(todo, key=lambda c: abs(c.amount)).next_step if todo else None,
    }  # fmt: skip


def _status(entry: _Entry, causes: Sequence[residuals.Cause]) -> str:
    case = entry.case
    if not entry.is_invoiced:
        return NO_INVOICE
    if not entry.has_charges and not case.quarantined:
        return NO_CHARGES
    tolerance = abs(case.invoice) * TIED_OUT_RATIO
    unexplained, absent = (
        abs(sum((c.amount for c in causes if c.cause in names), _ZERO)) for names in ((UNEXPLAINED,), ABSENT)
    )
    if unexplained > tolerance:
        return RESIDUAL
    if case.quarantined:
        return QUARANTINED
    return EXPLAINED if absent > tolerance or any(e.rate is None for e in case.exchanges) else TIED_OUT


def _key_of(entry: _Entry) -> dict[str, Any]:
    values = (entry.source, entry.period, entry.key.issuer, entry.key.account, entry.case.currency)
    return dict(zip(_KEYS, values, strict=True))


def _summed(charges: pl.LazyFrame, by: Mapping[str, pl.Expr]) -> pl.DataFrame:
    rows = charges.select(**by, amount=pl.col(s.BILLED_COST)).group_by(list(by)).agg(pl.col("amount").sum())
    return rows.sort(list(by)).collect(engine="streaming")


def _by_place(rows: pl.DataFrame) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        found[row["source_id"], row["billing_period"]].append(row)
    return dict(found)


# ------------------------------------------------------------------------------------------------------------- amounts
def _converted(part: Mapping[str, Any], rates: Mapping[str, FxRate | None]) -> Decimal:
    amount: Decimal = part["amount"]
    if part["currency"] not in rates:
        return amount
    rate = rates[part["currency"]]
    return (amount * rate.rate).quantize(QUANTUM) if rate else _ZERO


def _by_kind(amounts: Iterable[tuple[str | None, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = defaultdict(Decimal)
    for kind, amount in amounts:
        found[kind or ""] += amount
    return dict(found)


def _name_words(name: tuple[str, ...]) -> str:
    what, first, second, _ = name
    if what == "account":
        return f"all of account {first}"
    return f"{first or 'a service without a name'}, {(second or 'no category').lower()},"


# ---------------------------------------------------------------------------------------------------------------- days
def _month_days(period: str) -> tuple[date, date]:
    """The first and the last day of a month."""
    month = parse_period(period)
    return month.start, month.end - timedelta(days=1)


def _month(period: str, later: int) -> str:
    index = int(period[:4]) * 12 + int(period[5:]) - 1 + later
    return f"{index // 12:04d}-{index % 12 + 1:02d}"
