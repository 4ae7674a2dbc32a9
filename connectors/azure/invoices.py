"""Pulls the invoices of a billing account, profile or subscription, and reads them as invoices with their lines.

    <folder>/invoices/0001.json ...       the pages of the Billing API, byte for byte, replaced whole

| invoices, invoice_lines | from |
|---|---|
| invoice_id, issue_date | name, invoiceDate |
| billing_period | the month that invoicePeriodStartDate lies in |
| account_id | billing profile, else subscription |
| amount, currency | totalAmount; where an agreement has none billedAmount, else amountDue |
| line Tax | taxAmount |
| lines Credit | azurePrepaymentApplied and freeAzureCreditApplied, taken off |
| line Adjustment | creditAmount: refunds of the period, taken off |
| line Usage | the rest, so that the lines are the amount |

A credit note takes its amount off. Void invoices, tax receipts and invoices without an amount are left out.

Source: Billing REST API, Invoices - List By Billing Account, Billing Profile, Billing Subscription, 2024-04-01; read
2026-11-21.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from connectors import sync
from connectors.access import NoPage
from connectors.api_pages import BadRow, number, stored
from connectors.azure.roles import Needs
from connectors.http import Document, NoAnswer
from finops import schema as s
from finops.errors import ConfigError, InputError, SourceUnreachable

if TYPE_CHECKING:  # Azure's SDKs take long to import, and whoever reads what was saved needs none
    from connectors.azure.api import Api

API_VERSION: Final = "2024-04-01"
FOLDER: Final = "invoices"
SOURCE: Final = "azure_invoices"
_NAME: Final = "page"
_MICROSOFT: Final = "Microsoft"
_BILLING: Final = "/providers/Microsoft.Billing/billingAccounts"
_AMOUNTS: Final = ("totalAmount", "billedAmount", "amountDue")
_TAKEN_OFF: Final = {
    "azurePrepaymentApplied": ("Credit", "Azure prepayment applied"),
    "freeAzureCreditApplied": ("Credit", "free Azure credit applied"),
    "creditAmount": ("Adjustment", "refunds of returns and cancellations"),
}  # fmt: skip


def pull(api: "Api", folder: Path, *, scope: str, since: date, today: date) -> int:
    """Bring the invoices up to today; returns how many there are.

    Raises ConfigError for a scope that has no invoices, SourceUnreachable when Azure does not answer; what was pulled
    before stays.
    """
    target, part = folder / FOLDER, folder / f".{FOLDER}.part"
    sync.recover(target)
    asked = link(scope, since, today)
    sync.start(part, asked)
    try:
        pages = api.save(part, _NAME, "GET", asked, None, rows_of)
    except NoAnswer as problem:
        if not problem.again:  # a link of a resumed pull may be one that is no longer known
            shutil.rmtree(part)
        raise api.refused(problem, needs(scope)) from problem
    except NoPage as why:
        shutil.rmtree(part)
        raise SourceUnreachable(
            f"{api.who}: the invoices cannot be read to their end: {why}",
            expected="pages that follow each other to the last one, each once",
            next_step=f"run `finops ingest {api.who}` again; what was pulled before stays as it is",
        ) from why
    sync.replace(target, part)
    return sum(len(rows_of(page)[0]) for page in pages)


def needs(scope: str) -> Needs:
    """The permission that it takes."""
    is_subscription = scope.lower().startswith("/subscriptions/")
    role = "Billing Reader" if is_subscription else "Billing account reader or Enrollment reader"
    return Needs("the list of invoices", role, scope)


def link(scope: str, since: date, today: date) -> str:
    """Where the invoices of a scope are asked; raises ConfigError for a scope that none are sent to."""
    subscription = re.fullmatch(r"(?i)/subscriptions/([^/]+)/?", scope)
    account = re.fullmatch(rf"(?i){_BILLING}/([^/]+)(/billingProfiles/[^/]+)?/?", scope)
    if subscription:
        where = f"{_BILLING}/default/billingSubscriptions/{subscription[1]}"
    elif account:
        where = f"{_BILLING}/{account[1]}{account[2] or ''}"
    else:
        raise ConfigError(
            f"`azure.invoices` is set, but no invoices are sent to {scope}",
            expected="a billing account, billing profile or subscription as `azure.scope`",
            next_step="correct `azure.scope` of the source, or leave `invoices` out",
        )
    return f"{where}/invoices?api-version={API_VERSION}&periodStartDate={since}&periodEndDate={today}"


def rows_of(document: Document) -> tuple[list[Any], str | None]:
    """The invoices of a page, and the link to the next one; raises NoPage."""
    rows, following = document.get("value"), document.get("nextLink")
    if not isinstance(rows, list):
        raise NoPage("it has no list `value`")
    return rows, following if isinstance(following, str) and following else None


# --------------------------------------------------------------------------------------------------------------- rows
def read(folder: Path, source_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The saved invoices and their lines, as rows of the tables `invoices` and `invoice_lines`.

    Raises InputError, with the invoice, for a page that cannot be read.
    """
    bills: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for path in sorted((folder / FOLDER).glob(f"{_NAME}-*.json")):
        for invoice in _invoices(path):
            try:
                bill = _bill(invoice, source_id)
                if bill is not None:
                    bills.append(bill)
                    lines += _lines(invoice["properties"], bill)
            except (BadRow, KeyError, TypeError, ValueError) as error:
                name = invoice.get("name") if isinstance(invoice, dict) else invoice
                raise _alien(path, f"holds invoice {name}, which cannot be read: {error}") from error
    return (
        pl.DataFrame(bills, schema=s.TABLES["invoices"].columns),
        pl.DataFrame(lines, schema=s.TABLES["invoice_lines"].columns),
    )


def _invoices(path: Path) -> list[Any]:
    try:
        return rows_of(json.loads(path.read_bytes(), parse_float=Decimal))[0]
    except (ValueError, AttributeError, NoPage) as error:
        raise _alien(path, f"is no page of invoices: {error}") from error


def _bill(invoice: Mapping[str, Any], source_id: str) -> dict[str, Any] | None:
    said = invoice["properties"]
    amount = next((said[name] for name in _AMOUNTS if said.get(name)), None)
    if said.get("status") == "Void" or said.get("documentType") == "TaxReceipt" or amount is None:
        return None
    value = _value(amount)
    account = said.get("billingProfileId") or said.get("subscriptionId")
    return {
        "invoice_id": str(invoice["name"]),
        "source_id": source_id,
        "billing_period": str(said["invoicePeriodStartDate"])[:7],
        "issuer": _MICROSOFT,
        "account_id": str(account).rstrip("/").rpartition("/")[2] if account else None,
        "amount": -abs(value) if _is_credit_note(said) else value,
        "currency": str(amount["currency"]),
        "issue_date": date.fromisoformat(str(said["invoiceDate"])[:10]) if said.get("invoiceDate") else None,
        "source": SOURCE,
    }


def _lines(said: Mapping[str, Any], bill: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Lines that are the amount of the bill: what is stated, and the rest as charges."""
    sign = -1 if _is_credit_note(said) else 1
    found = [("Tax", "tax", sign * abs(_of(said, "taxAmount")))]
    found += [(category, words, -sign * abs(_of(said, name))) for name, (category, words) in _TAKEN_OFF.items()]
    charges = bill["amount"] - sum((amount for _, _, amount in found), Decimal(0))
    kind = "Adjustment" if _is_credit_note(said) else "Usage"
    words = str(said.get("invoiceType") or "charges")
    for place, (category, description, amount) in enumerate([(kind, words, charges), *found], start=1):
        if amount or place == 1:
            yield {
                **{name: value for name, value in bill.items() if name != "amount"},
                "category": category, "description": description, "line": str(place), "amount": amount,
            }  # fmt: skip


def _is_credit_note(said: Mapping[str, Any]) -> bool:
    return said.get("documentType") == "CreditNote"


def _of(said: Mapping[str, Any], name: str) -> Decimal:
    amount = said.get(name)
    return _value(amount) if amount else Decimal(0)


def _value(amount: Mapping[str, Any]) -> Decimal:
    return stored(number(amount["value"], "value"))


def _alien(path: Path, found: str) -> InputError:
    return InputError(
        f"{path} {found}",
        expected="a page of invoices as `finops ingest` saves it",
        next_step="delete the file and run `finops ingest` again",
    )
