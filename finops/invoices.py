"""Invoices: what each comes to, which charges are on it by the names that both sides use, and in which currency."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

import polars as pl

from finops.money import QUANTUM, FxRate
from finops.residuals import CREDIT, REFUND, SUPPORT, TAX

_LINE_KINDS: Final = {"Tax": TAX, "Credit": CREDIT, "Adjustment": REFUND}


class Key(NamedTuple):
    """Whose invoice it is; None where the invoices of the source do not say."""

    issuer: str | None
    account: str | None


def documents(invoices: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """One row an invoice, account and currency; an invoice that is known by its lines alone is their sum."""
    keys = ["source_id", "billing_period", "invoice_id"]
    wanted = [*keys, "issuer", "account_id", "currency", "amount", "issue_date"]
    by_lines = (
        lines.join(invoices, on=keys, how="anti")
        .group_by(*keys, "issuer", "account_id", "currency")
        .agg(pl.col("amount").sum(), pl.col("issue_date").max())
    )
    return pl.concat([invoices.select(wanted), by_lines.select(wanted)]).sort(wanted)


def owner(charge: Key, keys: Iterable[Key], charged: Iterable[Key]) -> Key:
    """The invoice's key that a charge's key belongs to: of its account, else one without an account, else the only one.

    Among issuers of one account the one of the charge's name wins, then one that no charge is named after. Without any
    invoice all charges go together; beside invoices of other accounts a charge keeps its own key.
    """
    known = sorted(keys, key=order)
    if not known:
        return Key(None, None)
    accounts = {_plain(key.account) for key in charged}
    named = [key for key in known if key.account and _plain(key.account) == _plain(charge.account)]
    if not named:
        named = [key for key in known if key.account is None]
    if not named and len({_plain(key.account) for key in known}) == 1 and _plain(known[0].account) not in accounts:
        named = known  # the invoices call the only account by a name that the charges do not use
    if not named:
        return charge
    same = [key for key in named if key.issuer and charge.issuer and _is_same(key.issuer, charge.issuer)]
    others = {key.issuer for key in charged if key.issuer}
    rest = [key for key in named if not any(key.issuer and _is_same(key.issuer, other) for other in others)]
    return (same or rest or named)[0]


def _is_same(one: str, other: str) -> bool:
    a, b = _plain(one), _plain(other)
    return a.startswith(b) or b.startswith(a)


def _plain(name: str | None) -> str:
    """A name or account as people write it apart: without case, punctuation and leading zeros."""
    return re.sub(r"[^0-9a-z]", "", (name or "").lower()).lstrip("0")


def order(key: Key) -> tuple[str, str]:
    """How keys are sorted."""
    return key.account or "", key.issuer or ""


def line_kind(line: Mapping[str, Any]) -> str | None:
    """Which of KINDS a line of an invoice is."""
    is_support = re.search(r"\bsupport\b", line["description"] or "", re.IGNORECASE)
    return _LINE_KINDS.get(line["category"]) or (SUPPORT if is_support else None)


def rates_of(rows: Iterable[Mapping[str, Any]], base: str, quote: str) -> list[FxRate]:
    """The dated rates of a pair, the oldest first; 1 / rate where only the other direction is given."""
    found: dict[date, FxRate] = {}
    for row in rows:
        if (row["base"], row["quote"]) == (quote, base):
            inverse = (1 / row["rate"]).quantize(QUANTUM)
            found.setdefault(row["day"], FxRate(row["day"], base, quote, inverse, row["source"]))
    for row in rows:
        if (row["base"], row["quote"]) == (base, quote):
            found[row["day"]] = FxRate(row["day"], base, quote, row["rate"], row["source"])
    return [found[day] for day in sorted(found)]
