"""Invoices that Cost Explorer states, beside those that finance knows better."""

from decimal import Decimal

import polars as pl

from finops import schema as s
from finops.pipeline.stated_invoices import documents
from finops.store import Lake


def test_a_stated_total_gives_way_to_the_lines_of_the_invoice(lake: Lake) -> None:
    """A month whose invoice is known by its lines is not counted again by what Cost Explorer states of it."""
    columns = s.TABLES["invoices"].columns
    common = {"source_id": "aws", "issuer": "AWS", "account_id": "1", "amount": Decimal(5), "currency": "USD"}
    stated = [
        {
            **common,
            "invoice_id": f"ce-{period}",
            "billing_period": period,
            "issue_date": None,
            "source": "cost_explorer",
        }
        for period in ("2026-09", "2026-10")
    ]
    line = {**common, "invoice_id": "I-1", "billing_period": "2026-10", "category": "Usage", "description": "all",
            "line": "1", "issue_date": None, "source": "finance"}  # fmt: skip
    with lake.transaction("invoices") as tx:
        tx.replace("invoices", pl.DataFrame(stated, schema=columns))
        tx.replace("invoice_lines", pl.DataFrame([line], schema=s.TABLES["invoice_lines"].columns))
    assert documents(lake)[0].collect()["billing_period"].to_list() == ["2026-09"]
