"""Answers of Cost Management's query keep the contract of connectors."""

import json
from decimal import Decimal
from pathlib import Path

from connectors.azure.query_pages import GROUPS, Holds
from tests.azure_api_stub import SCOPE
from tests.contract.connector import ConnectorContract


def page(holds: Holds, *rows: tuple[int, object, str, str]) -> str:
    """A page of these rows: day, cost, and the two groups of its question."""
    columns = ["Cost", "UsageQuantity", "UsageDate", *GROUPS[holds], "Currency"]
    properties = {
        "nextLink": None, "columns": [{"name": name, "type": "String"} for name in columns],
        "rows": [[cost, 1, day, one, other, "USD"] for day, cost, one, other in rows],
    }  # fmt: skip
    return json.dumps({"id": f"{SCOPE[1:]}/providers/Microsoft.CostManagement/query/1", "properties": properties})


class TestAzureCostQuery(ConnectorContract):
    """All kinds of pages of a month; one row has a cost that is no number."""

    name = "azure"
    rows = 8
    billed = {"USD": Decimal("177.25")}
    effective = {"USD": Decimal("109.75")}
    alien = "alien.json"

    def sample(self, folder: Path) -> Path:
        """Usage, commitments used and unused, fees and what goes with them, over two days."""
        month = folder / "bill" / "cost_management" / "2026-09"
        month.mkdir(parents=True)
        machines = "Virtual Machines"
        pages: dict[Holds, str] = {
            "usage": page(
                "usage",
                (20260903, 98.25, machines, "ND96isr H100 v5"),
                (20260904, 3, "Cognitive Services", "gpt-4o-0806-Inp-glbl Tokens"),
                (20260904, "$4", machines, "NC24ads A100 v4"),
            ),
            "reservation": page("reservation", (20260903, 2.5, machines, "NC24ads A100 v4")),
            "unused_savings_plan": page("unused_savings_plan", (20260903, 5, "", "")),
            "other": page("other", (20260904, 5, "Tax", ""), (20260904, -4, "Refund", "Storage")),
            "fees": page("fees", (20260903, 75, "Purchase", "Reservation")),
        }
        for holds, text in pages.items():
            (month / f"{holds}-0001.json").write_text(text)
        (month / "actual-0001.json").write_text("{}")
        return folder / "bill"
