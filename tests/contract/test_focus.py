"""The contract suite on FOCUS files: CSV, gzipped CSV and Parquet in one folder."""

from decimal import Decimal
from pathlib import Path

import polars as pl

from tests.conftest import focus_rows
from tests.contract.connector import ConnectorContract


class TestFocus(ConnectorContract):
    name = "focus"
    rows = 8
    billed = {"USD": Decimal("5.250000000000000001")}
    effective = {"USD": Decimal("12.0")}

    def sample(self, folder: Path) -> Path:
        bill = folder / "bill"
        (bill / "more").mkdir(parents=True)
        rows = focus_rows({}, {}, {"BilledCost": "-2.25"}, {"BilledCost": "1e-18"})
        rows.write_csv(bill / "a.csv")
        october = {"BillingPeriodStart": "2026-10-01 00:00:00", "BillingPeriodEnd": "2026-11-01 00:00:00"}
        month = {"ChargePeriodStart": "2026-10-01 00:00:00", "ChargePeriodEnd": "2026-11-01 00:00:00"}
        wrong = {"BilledCost": "n/a"}
        focus_rows({}, {**october, **month}, wrong).write_csv(bill / "b.csv.gz", compression="gzip")
        focus_rows({}).with_columns(pl.col("BilledCost", "EffectiveCost").cast(pl.Float64)).write_parquet(
            bill / "more" / "c.parquet"
        )
        return bill
