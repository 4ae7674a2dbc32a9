"""The contract suite on an asset ledger: a server over its life, one that retired early, one that is wrong."""

from decimal import Decimal
from pathlib import Path

import polars as pl

from tests.contract.connector import ConnectorContract


class TestOnPrem(ConnectorContract):
    name = "on_prem"
    rows = 3
    billed = {"USD": Decimal(1000 + 12), "EUR": Decimal(365 + 31)}
    effective = {"USD": Decimal(900), "EUR": Decimal(365 + 31)}

    def sample(self, folder: Path) -> Path:
        columns = (
            "asset_id", "accelerator_count", "purchase_price", "currency", "in_service_date", "retired_date",
            "life_years", "residual_ratio", "staff_cost_per_month",
        )  # fmt: skip
        rows = [
            ("gpu", "8", "1000", "USD", "2025-01-01", "", "1", "0.1", ""),
            ("cpu", "", "365", "EUR", "2025-01-01", "2025-02-01", "1", "0", "31"),
            ("wrong", "", "12", "USD", "2025-01-01", "", "0", "0", ""),
        ]
        path = folder / "assets.csv"
        pl.DataFrame(rows, schema=columns, orient="row").write_csv(path)
        return path
