"""The contract suite on usage cost exports of Google Cloud: CSV, lines of JSON, nested Parquet, and FOCUS."""

import json
from decimal import Decimal
from pathlib import Path

import polars as pl

from tests.contract.connector import ConnectorContract
from tests.unit.test_gcp import credit, nested, usage, write_csv

ROWS = (
    usage(cost="10", credits=credit("-4", "COMMITTED_USAGE_DISCOUNT")),
    usage(cost="10", credits=credit("-4", "COMMITTED_USAGE_DISCOUNT")),
    usage(cost="0.25", cost_type="tax"),
    usage(cost="7", currency="EUR", credits=credit("-9"), invoice__month="202610"),
    usage(cost="1e-18", cost_type="rounding_error", usage_end_time="2026-09-03 10:00:00+00:00"),
)


class TestCsv(ConnectorContract):
    name = "gcp"
    rows = 6
    billed = {"USD": Decimal("12.250000000000000001"), "EUR": Decimal(-2)}
    effective = billed

    def sample(self, folder: Path) -> Path:
        export = folder / "bill"
        write_csv(export / "2026-09.csv", *ROWS[:3], usage(cost="n/a"))
        write_csv(export / "2026-10.csv.gz", *ROWS[3:])
        return export


class TestJsonLines(ConnectorContract):
    name = "gcp"
    rows = 6
    billed = {"USD": Decimal("12.250000000000000001"), "EUR": Decimal(-2)}
    effective = billed
    alien = "alien.json"

    def sample(self, folder: Path) -> Path:
        path = folder / "bill.jsonl"
        lines = [json.dumps(nested(row)) for row in ROWS]
        broken = json.dumps(nested(usage()) | {"cost": "n/a"})
        path.write_text("\n".join([*lines, broken]) + "\n")
        return path


class TestParquet(ConnectorContract):
    name = "gcp"
    rows = 6
    billed = {"USD": Decimal("13.750000000000000001"), "EUR": Decimal(-2)}
    effective = billed
    alien = "alien.parquet"

    def sample(self, folder: Path) -> Path:
        path = folder / "bill.parquet"
        # a month that is none: in Parquet the cost itself is always a number
        rows = [nested(row) for row in (*ROWS, usage(invoice__month="2026"))]
        frame = pl.DataFrame(rows, infer_schema_length=None, strict=False)
        frame.with_columns(pl.col("usage_start_time", "usage_end_time").str.to_datetime(time_zone="UTC")).write_parquet(
            path
        )
        return path


class TestFocus(ConnectorContract):
    name = "gcp"
    rows = 2
    billed = {"USD": Decimal("1.5")}
    effective = {"USD": Decimal("2.25")}

    def sample(self, folder: Path) -> Path:
        row = {
            "BilledCost": "1.5", "EffectiveCost": "1.25", "BillingCurrency": "USD", "ChargeCategory": "Usage",
            "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
            "ChargePeriodStart": "2026-09-03T00:00:00Z", "ChargePeriodEnd": "2026-09-04T00:00:00Z",
            "ServiceName": "Vertex AI", "Tags": '{"team":"search"}',
        }  # fmt: skip
        return write_csv(folder / "focus.csv", row, row | {"BilledCost": "?", "EffectiveCost": "1"})
