"""The lines of invoices as finance or FOCUS writes them."""

from decimal import Decimal
from pathlib import Path

import pytest

from connectors import tables
from finops.errors import InputError


def test_a_focus_invoice_detail_is_read_as_it_is(tmp_path: Path) -> None:
    """The columns of InvoiceDetail, with a source, are the table's; instants become the month and the day."""
    path = tmp_path / "invoice_detail.csv"
    path.write_text(
        "BilledCost,BillingAccountId,BillingCurrency,BillingPeriodStart,ChargeCategory,InvoiceDetailDescription,"
        "InvoiceDetailId,InvoiceId,InvoiceIssueDate,InvoiceIssuerName,x_SourceId,PaymentTerms\n"
        "19.5,0042,USD,2026-10-01T00:00:00Z,Tax,VAT 19 %,L-1,I-1,2026-11-03T00:00:00Z,AWS,aws,Net 30\n"
    )
    found = tables.read("invoice_lines", path, currency="USD")
    assert found.frame.to_dicts() == [
        {
            "invoice_id": "I-1", "source_id": "aws", "billing_period": "2026-10", "issuer": "AWS", "account_id": "0042",
            "category": "Tax", "description": "VAT 19 %", "line": "L-1", "amount": Decimal("19.5"), "currency": "USD",
            "issue_date": found.frame["issue_date"][0], "source": "invoice_detail.csv",
        }
    ]  # fmt: skip
    assert str(found.frame["issue_date"][0]) == "2026-11-03"
    assert found.ignored == ("PaymentTerms",)


def test_a_category_that_focus_does_not_know_is_refused(tmp_path: Path) -> None:
    """Only the five categories of charges are read, in any case."""
    path = tmp_path / "lines.csv"
    path.write_text("invoice,source,month,category,amount,currency\nI-1,aws,2026-10,tax,1,USD\n")
    assert tables.read("invoice_lines", path, currency="USD").frame["category"].to_list() == ["Tax"]
    path.write_text("invoice,source,month,category,amount,currency\nI-1,aws,2026-10,VAT,1,USD\n")
    with pytest.raises(InputError, match='"VAT"; expected Usage or Purchase or Tax or Credit or Adjustment'):
        tables.read("invoice_lines", path, currency="USD")
