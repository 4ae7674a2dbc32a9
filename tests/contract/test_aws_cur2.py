"""The contract suite on CUR 2.0: a month in two chunks with their manifest, Parquet with maps and gzipped CSV."""

import json
from decimal import Decimal
from pathlib import Path

import polars as pl

from tests.contract.connector import ConnectorContract
from tests.unit.test_aws import line_item, write_csv
from tests.unit.test_aws_delivery import METADATA, MONTH, manifest


class TestCur2(ConnectorContract):
    name = "aws"
    rows = 8
    # usage 1.5 twice, a plan's fee 4, its covered hour and negation 0, a credit -0.5, a tax 0.25; "$9" is no number
    billed = {"USD": Decimal("6.75")}
    # usage 3, covered 2.5, unused 1.5, credit, tax; the fee itself is in the two before
    effective = {"USD": Decimal("6.75")}

    def sample(self, folder: Path) -> Path:
        bill = folder / "bill"
        plan = {"savings_plan_savings_plan_a_r_n": "arn:aws:savingsplans::1:savingsplan/x"}
        fee = line_item(
            line_item_line_item_type="SavingsPlanRecurringFee", line_item_unblended_cost="4", product_sku="",
            savings_plan_total_commitment_to_date="4", savings_plan_used_commitment="2.5", **plan,
        )  # fmt: skip
        covered = line_item(
            line_item_line_item_type="SavingsPlanCoveredUsage", savings_plan_savings_plan_effective_cost="2.5", **plan
        )
        negation = line_item(line_item_line_item_type="SavingsPlanNegation", line_item_unblended_cost="-1.5", **plan)
        columns = list(dict.fromkeys([*line_item(), *fee, *covered]))
        rows = [dict.fromkeys(columns, None) | row for row in (line_item(), line_item(), fee, covered, negation)]
        texts = pl.Map(pl.String, pl.String)
        numbers = [c for c in columns if c.endswith(("_cost", "_amount", "_to_date", "_commitment"))]
        frame = pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String)).with_columns(
            pl.col("product", "resource_tags").str.json_decode(texts), pl.col(numbers).cast(pl.Float64)
        )
        (bill / MONTH).mkdir(parents=True)
        frame.write_parquet(bill / MONTH / "acme-00001.snappy.parquet")
        write_csv(
            bill / MONTH / "acme-00002.csv.gz",
            line_item(line_item_line_item_type="Credit", line_item_unblended_cost="-0.5"),
            line_item(line_item_line_item_type="Tax", line_item_unblended_cost="0.25", resource_tags=json.dumps({})),
            line_item(line_item_unblended_cost="$9"),
        )
        files = ("acme-00001.snappy.parquet", "acme-00002.csv.gz")
        manifest(bill / METADATA / "acme-Manifest.json", *(f"{MONTH.as_posix()}/{file}" for file in files))
        return bill
