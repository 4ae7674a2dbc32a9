"""A billing export in the stub of BigQuery, a source that fetches it, and what of it is on disk."""

import csv
import gzip
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.gcp import bigquery
from connectors.gcp.session import Tries
from finops.config import Source
from tests.gcp_stub import FOCUS, TABLE, GcpStub, Row

TODAY = date(2026, 11, 21)
QUICK = Tries(first_wait_s=0.001, longest_wait_s=0.002, total_s=5, answer_s=5, job_s=5, poll_s=0.001)
SEPTEMBER, OCTOBER = "2026-09", "2026-10"

Line = tuple[str, Decimal, Decimal]
"""A row's SKU, cost and credits."""


@dataclass
class Bill:
    """The rows of a table by their month, numbered, and the source that fetches them.

    every: each state that a month of the table had.
    """

    stub: GcpStub
    home: Path
    settings: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    tries: Tries = QUICK
    every: dict[str, list[list[Line]]] = field(default_factory=dict)
    number: int = 0

    @property
    def folder(self) -> Path:
        """Where the source's files lie."""
        return self.home / "raw" / "bill"

    @property
    def source(self) -> Source:
        """The source as finops.toml has it."""
        gcp = {
            "table": TABLE, "since": "2026-09-01", "url": self.stub.url,
            "credentials": str(self.stub.key_file(self.home)), **self.settings,
        }  # fmt: skip
        return Source.model_validate({"id": "bill", "connector": "gcp", "gcp": gcp})

    def add(self, month: str, rows: int = 1, *, late_days: int = 0, **changed: Any) -> None:
        """New rows of an invoice month, exported in its middle or so many days later."""
        for _ in range(rows):
            self.number += 1
            start = datetime.fromisoformat(f"{month}-14T10:00:00+00:00") + timedelta(hours=self.number % 48)
            at = datetime.fromisoformat(f"{month}-15T00:00:00+00:00") + timedelta(days=late_days)
            is_focus = self.stub.shape is FOCUS
            row = (_focus if is_focus else usage)(self.number, month, start)
            row["x_ExportTime" if is_focus else "export_time"] = at + timedelta(seconds=self.number)
            self.stub.rows.append((at, row | changed))
        self.every.setdefault(month, []).append(self.expected.get(month, []))

    @property
    def expected(self) -> dict[str, list[Line]]:
        """What the table has now."""
        found: dict[str, list[Line]] = {}
        for _, row in self.stub.rows:
            if "BilledCost" in row:
                month = f"{row['BillingPeriodStart']:%Y-%m}"
                line = (row["SkuId"], row["BilledCost"].normalize(), row["EffectiveCost"].normalize())
            else:
                month = f"{row['invoice']['month'][:4]}-{row['invoice']['month'][4:]}"
                line = (row["sku"]["id"], *_sums(row))
            found.setdefault(month, []).append(line)
        return {month: sorted(lines) for month, lines in found.items()}

    def on_disk(self) -> dict[str, list[Line]]:
        """What the folders of months have."""
        found: dict[str, list[Line]] = {}
        for path in sorted(self.folder.glob("[0-9]*/charges.*")):
            with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
                if path.name.endswith(".csv.gz"):
                    lines = [
                        (r["SkuId"], Decimal(r["BilledCost"]), Decimal(r["EffectiveCost"]))
                        for r in csv.DictReader(file)
                    ]
                else:
                    lines = [(row["sku"]["id"], *_sums(row)) for row in map(json.loads, file)]
            found[path.parent.name] = sorted((sku, a.normalize(), b.normalize()) for sku, a, b in lines)
        return found

    def pull(self) -> bigquery.Fetched:
        """One fetch."""
        return bigquery.pull(
            self.source, self.folder, home=self.home, today=TODAY, say=self.said.append, tries=self.tries
        )


def usage(number: int, month: str, start: datetime) -> Row:
    """A row of the detailed export: an hour of an accelerator, every third with two credits."""
    credits = [
        {"name": "Sustained", "amount": -0.1 * number, "id": "s", "type": "SUSTAINED_USAGE_DISCOUNT"},
        {"name": "Trial", "amount": -0.25, "full_name": "Trial", "id": "t", "type": "PROMOTION"},
    ]  # fmt: skip
    return {
        "billing_account_id": "01AB23-C45D67-E89F01",
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": f"S-{number}", "description": "Nvidia H100 80GB GPU running in Iowa"},
        "usage_start_time": start, "usage_end_time": start + timedelta(hours=1),
        "project": {"id": "search-prod", "number": "4711", "name": "Search", "labels": []},
        "labels": [{"key": "team", "value": "Sucher & Söhne"}], "system_labels": [],
        "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": "us-central1-a"},
        "resource": {"name": f"vm-{number}", "global_name": f"//compute/vm-{number}"},
        "cost": 9.796551 + number / 3, "currency": "USD", "currency_conversion_rate": 1.0,
        "usage": {"amount": 3600.0, "unit": "seconds", "amount_in_pricing_units": 1.0, "pricing_unit": "hour"},
        "credits": credits if number % 3 == 0 else [], "invoice": {"month": month.replace("-", "")},
        "cost_type": "regular", "price": {"effective_price": Decimal("9.796551"), "tier_start_amount": Decimal(0)},
        "cost_at_list": 11.5,
    }  # fmt: skip


def _focus(number: int, month: str, start: datetime) -> Row:
    first = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    return {
        "BilledCost": Decimal(number) / 8, "EffectiveCost": Decimal(number) / 16, "BillingCurrency": "USD",
        "BillingPeriodStart": first, "BillingPeriodEnd": (first + timedelta(days=32)).replace(day=1),
        "ChargePeriodStart": start, "ChargePeriodEnd": start + timedelta(hours=1), "ChargeCategory": "Usage",
        "ServiceName": "Vertex AI", "SkuId": f"S-{number}", "Tags": [{"key": "team", "value": "Search"}],
        "x_Credits": [{"Name": "Trial", "Amount": Decimal("-0.5")}],
    }  # fmt: skip


def _sums(row: Row) -> tuple[Decimal, Decimal]:
    credits = sum((Decimal(repr(c["amount"])) for c in row.get("credits") or ()), Decimal(0))
    return Decimal(repr(row["cost"])).normalize(), credits.normalize()


def first_of(month: str) -> datetime:
    """A month's first instant."""
    return datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC)
