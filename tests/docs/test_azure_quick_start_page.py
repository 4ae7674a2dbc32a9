"""The page on Azure without an export shows a session that runs as shown, and the roles that refusals name."""

from datetime import date
from pathlib import Path

import pytest

from connectors.azure import invoices
from connectors.azure.cost_query import Asked
from connectors.azure.roles import grant
from tests.azure_api_stub import SCOPE, Azure, Item, served
from tests.docs.test_pages import DOCS, ENVIRONMENT, run_page
from tests.unit.test_azure_invoices import invoice


def test_page_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the page runs, against an Azure with one day of charges, and prints what stands below it."""
    day = date(2026, 10, 5)
    machines, models = "Virtual Machines", "Cognitive Services"
    items = [
        Item(day, "Usage", "OnDemand", machines, "ND96isr H100 v5", "98.32", "98.32", "1"),
        Item(day, "Usage", "OnDemand", models, "gpt-4o-0806-Inp-glbl Tokens", "12.5", "12.5", "9"),
        Item(day, "Usage", "Reservation", machines, "NC24ads A100 v4", "0", "2.5", "1"),
    ]
    bill = invoice(totalAmount="131.88", taxAmount="21.06", billingProfileId=[None], subscriptionId=["s"])
    with served(Azure(items, [bill])) as azure:
        said = {
            "IDENTITY_ENDPOINT": f"{azure.url}/identity", "IDENTITY_HEADER": "x", "SCOPE": SCOPE,
            "MORE": f", url = '{azure.url}'",
        }  # fmt: skip
        for name, value in said.items():
            monkeypatch.setitem(ENVIRONMENT, name, value)
        run_page("azure-quick-start.md", tmp_path)


def test_page_has_every_role() -> None:
    """The roles and commands of the page are those that refusals name."""
    text = (DOCS / "azure-quick-start.md").read_text()
    scopes = ("/subscriptions/<id>", "/providers/Microsoft.Billing/billingAccounts/1")
    for scope in scopes:
        for needs in (Asked(scope, date(2026, 1, 1), "charges").needs, invoices.needs(scope)):
            assert all(role in text for role in needs.role.split(" or "))
            if scope == scopes[0]:
                assert grant(needs, None) in text
