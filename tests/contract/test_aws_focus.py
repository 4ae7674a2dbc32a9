"""The contract suite on AWS's FOCUS exports: 1.0 as CSV, 1.2 as Parquet with maps."""

from decimal import Decimal
from pathlib import Path

import polars as pl

from tests.contract.connector import ConnectorContract
from tests.unit.test_aws import focus_row, write_csv


class TestAwsFocus(ConnectorContract):
    name = "aws"
    rows = 6
    billed = {"USD": Decimal("1.012")}
    effective = {"USD": Decimal("2.012")}

    def sample(self, folder: Path) -> Path:
        month = folder / "bill" / "acme" / "data" / "BILLING_PERIOD=2026-09"
        absent = ("SkuMeter", "ServiceSubcategory", "SkuPriceDetails")
        old = {k: v for k, v in focus_row().items() if k not in absent} | {"x_UsageType": focus_row()["SkuMeter"]}
        write_csv(month / "acme-00001.csv.gz", old, old, old | {"BilledCost": "n/a", "EffectiveCost": "1"})
        rows = [
            focus_row(BilledCost="0", EffectiveCost="1"),
            focus_row(),
            focus_row(
                ChargeCategory="Purchase",
                BilledCost="1",
                EffectiveCost="0",
                SkuMeter="ComputeSP:1yrNoUpfront",
                PricingUnit="",
            ),
        ]
        texts, costs = pl.Map(pl.String, pl.String), [c for c in focus_row() if c.endswith(("Cost", "Quantity"))]
        frame = pl.DataFrame(rows).with_columns(
            pl.col(costs).cast(pl.Float64),
            pl.col("Tags").str.json_decode(texts),
            pl.lit(None, dtype=pl.Map(pl.String, pl.Float64)).alias("x_Discounts"),
            pl.lit('{"Region":"us-east-1"}').str.json_decode(texts).alias("SkuPriceDetails"),
        )
        frame.write_parquet(month / "acme-00002.snappy.parquet")
        return folder / "bill"
