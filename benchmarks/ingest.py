"""Ingest of a million FOCUS rows, beside a bare Polars scan-to-sink of the same file.

The bare run only reads the CSV and writes Parquet; ingest also types, checks, classifies, sums, ties out, and writes
two Delta tables. The ratio says what that costs.
"""

import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import measure
from finops.config import Source, load_config
from finops.pipeline.ingest import ingest
from finops.store import Lake

ROWS = 1_000_000
SERVICES = ("Amazon Elastic Compute Cloud", "Amazon Bedrock", "Amazon SageMaker", "Amazon Simple Storage Service")


def write_bill(path: Path, rows: int, seed: int = 1) -> None:
    """A month of hourly FOCUS charges of 2,000 resources, about 500 bytes a row."""
    random = np.random.default_rng(seed)
    resource, hour = random.integers(0, 2_000, rows), random.integers(0, 720, rows)
    cost = random.gamma(0.3, 2.0, rows).round(10)
    start = pl.datetime(2026, 9, 1) + pl.duration(hours=pl.col("hour"))
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    (
        pl.LazyFrame({"resource": resource, "hour": hour, "BilledCost": cost})
        .with_columns(
            pl.lit("100200300400").alias("BillingAccountId"),
            pl.lit("USD").alias("BillingCurrency"),
            pl.lit("2026-09-01T00:00:00Z").alias("BillingPeriodStart"),
            pl.lit("2026-10-01T00:00:00Z").alias("BillingPeriodEnd"),
            start.dt.strftime(stamp).alias("ChargePeriodStart"),
            (start + pl.duration(hours=1)).dt.strftime(stamp).alias("ChargePeriodEnd"),
            pl.col("BilledCost").alias("EffectiveCost"),
            pl.col("BilledCost").alias("ListCost"),
            pl.col("BilledCost").alias("ContractedCost"),
            pl.lit("Usage").alias("ChargeCategory"),
            pl.lit("Usage-Based").alias("ChargeFrequency"),
            pl.lit("AWS").alias("ServiceProviderName"),
            pl.lit("AWS").alias("HostProviderName"),
            pl.lit("Amazon Web Services, Inc.").alias("InvoiceIssuerName"),
            pl.lit("1").alias("ConsumedQuantity"),
            pl.lit("Hours").alias("ConsumedUnit"),
            pl.lit("Standard").alias("PricingCategory"),
            (pl.col("resource") % len(SERVICES)).replace_strict(dict(enumerate(SERVICES))).alias("ServiceName"),
            pl.format("$ per Hrs of box {}", pl.col("resource") % 200).alias("ChargeDescription"),
            pl.format("arn:aws:ec2:eu-central-1:012345678901:instance/i-{}", "resource").alias("ResourceId"),
            pl.format("SKU{}", pl.col("resource") % 200).alias("SkuId"),
            pl.lit("012345678901").alias("SubAccountId"),
            pl.lit("eu-central-1").alias("RegionId"),
            pl.concat_str(pl.lit("{\"team\": \"team-"), pl.col("resource") % 12, pl.lit("\", \"env\": \"prod\"}"))
            .alias("Tags"),
        )
        .drop("resource", "hour")
        .sink_csv(path)
    )  # fmt: skip


def scan_to_sink(bill: Path, folder: Path) -> None:
    """The floor: read the CSV as text, write Parquet."""
    pl.scan_csv(bill, infer_schema=False).sink_parquet(folder / "bare.parquet")


def ingest_bill(bill: Path, home: Path) -> None:
    """The whole ingest into a new lake."""
    config = load_config(home)
    source = Source(id="aws", connector="focus", path=bill)
    ingest(config, Lake.of(config), source, say=lambda _: None, until=date(2026, 10, 1))


def run() -> None:
    """Print both and their ratio."""
    with tempfile.TemporaryDirectory(prefix="finops-bench-") as name:
        folder = Path(name)
        bill = folder / "bill.csv"
        write_bill(bill, ROWS)
        bare = measure(scan_to_sink, bill, folder)
        ours = measure(ingest_bill, bill, folder / "home")
        print(f"{ROWS:,} rows, {bill.stat().st_size / 1e6:,.0f} MB of CSV")
        print(f"bare Polars scan-to-sink {bare}")
        print(f"finops ingest            {ours}  ratio {ours.wall_s / bare.wall_s:.1f} x")
