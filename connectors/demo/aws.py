"""AWS Data Exports, table FOCUS 1.2 with AWS columns, daily: Parquet with maps and doubles, a folder a month.

Source: docs.aws.amazon.com/cur/latest/userguide/table-dictionary-focus-1-2-aws-columns, 2026-11-21. The export has no
usage type column, unlike FOCUS 1.0: meters stand in SkuMeter. InvoiceId is empty until the month is invoiced.
"""

import hashlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from connectors.demo import company
from connectors.demo.activity import QUANTITY, RESOURCE, SKU, WORKLOAD
from connectors.demo.bill import COST_DECIMALS, missing_from_export
from connectors.demo.company import COMMITMENTS, COST_CENTERS, WORKLOADS, Calendar, Commitment, Workload
from connectors.demo.skus import skus
from finops import schema as s

SOURCE: Final = "aws"
EXPORT: Final = "aldermoor-focus"
FOLDER: Final = Path("raw/aws") / EXPORT / "data"
ISSUER: Final = "Amazon Web Services, Inc."
REGION_NAMES: Final = {"us-east-1": "US East (N. Virginia)", "eu-central-1": "Europe (Frankfurt)"}
AFTER_1_2: Final = frozenset({"1.3", "1.4"})
COLUMNS: Final = (
    *sorted([c.name for c in s.focus_columns() if c.introduced not in AFTER_1_2] + [s.PROVIDER_NAME, s.PUBLISHER_NAME]),
    "x_Discounts", "x_Operation", "x_ServiceCode",
)  # fmt: skip
_DOUBLES: Final = frozenset(c.name for c in s.focus_columns() if c.data_type == "Decimal")
_TIMES: Final = frozenset(c.name for c in s.focus_columns() if c.data_type == "Date/Time")
_TIME: Final = pl.Datetime("ms", "UTC")
_MAP: Final = pl.Map(pl.String, pl.String)


def write(home: Path, charges: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Write the AWS part of the ledger; returns the charges that the export shows."""
    shown = charges.filter(pl.col("source") == SOURCE, ~missing_from_export(calendar))
    for (month,), rows in shown.group_by("month", maintain_order=True):
        folder = home / FOLDER / f"BILLING_PERIOD={month:%Y-%m}"
        folder.mkdir(parents=True, exist_ok=True)
        frame = _focus(rows, is_open=month == calendar.open_month)
        frame.write_parquet(folder / f"{EXPORT}-00001.snappy.parquet", compression="snappy")
    return shown


def _focus(rows: pl.DataFrame, *, is_open: bool) -> pl.DataFrame:
    """The rows in the export's columns and types; columns that it leaves empty are null."""
    wide = rows.join(_meters(), on=SKU, how="left", maintain_order="left", suffix="_meter")
    for dimension, keys in (
        (_accounts(), ["account"]),
        (_workloads(), [WORKLOAD]),
        (_commitments(), ["commitment"]),
        (resources(rows), [WORKLOAD, RESOURCE, SKU]),
        (_prices_as_text(rows), ["contracted_price"]),
    ):
        wide = wide.join(dimension, on=keys, how="left", maintain_order="left")
    month = rows["month"][0]
    mapped = _mapping(None if is_open else company.invoice_id(SOURCE, month))
    return wide.select(mapped[name].cast(_type(name)).alias(name) for name in COLUMNS)


def _mapping(invoice: str | None) -> dict[str, pl.Expr]:
    """Column of the export <- column of the ledger."""
    text, usage = pl.lit, pl.col("category") == "Usage"
    metered = usage & (pl.col("commitment_status").fill_null("") != "Unused") & pl.col(QUANTITY).is_not_null()
    committed = pl.col("commitment").is_not_null()
    discount = (pl.col("contracted_cost") - pl.col("list_cost")).round(COST_DECIMALS)
    discounts = pl.concat_list(pl.struct(key=text("EdpDiscount"), value=discount)).list.to_map()
    filled: dict[str, pl.Expr] = {
        s.AVAILABILITY_ZONE: pl.col("zone"),
        s.BILLED_COST: pl.col("billed_cost"),
        s.BILLING_ACCOUNT_ID: text(company.account("billing").account_id),
        s.BILLING_ACCOUNT_NAME: text(company.NAME),
        s.BILLING_ACCOUNT_TYPE: text("Management"),
        s.BILLING_CURRENCY: text("USD"),
        s.BILLING_PERIOD_START: pl.col("month"),
        s.BILLING_PERIOD_END: pl.col("month").dt.offset_by("1mo"),
        s.CHARGE_CATEGORY: pl.col("category"),
        s.CHARGE_CLASS: pl.col("charge_class"),
        s.CHARGE_DESCRIPTION: pl.coalesce("commitment_text", "description", _priced_text(), "description_meter"),
        s.CHARGE_FREQUENCY: pl.col("frequency"),
        s.CHARGE_PERIOD_START: pl.col("first_day"),
        s.CHARGE_PERIOD_END: pl.col("end_day"),
        s.COMMITMENT_DISCOUNT_CATEGORY: pl.col("commitment_category"),
        s.COMMITMENT_DISCOUNT_ID: pl.col("commitment_id"),
        s.COMMITMENT_DISCOUNT_NAME: pl.col("commitment_name"),
        s.COMMITMENT_DISCOUNT_QUANTITY: pl.col("commitment_quantity"),
        s.COMMITMENT_DISCOUNT_STATUS: pl.col("commitment_status"),
        s.COMMITMENT_DISCOUNT_TYPE: pl.col("commitment_type"),
        s.COMMITMENT_DISCOUNT_UNIT: pl.col("commitment_unit"),
        s.CONSUMED_QUANTITY: pl.when(metered).then(QUANTITY),
        s.CONSUMED_UNIT: pl.when(metered).then("consumed_unit"),
        s.CONTRACTED_COST: pl.col("contracted_cost"),
        s.CONTRACTED_UNIT_PRICE: pl.col("contracted_price"),
        s.EFFECTIVE_COST: pl.col("effective_cost"),
        s.INVOICE_ID: text(invoice),
        s.INVOICE_ISSUER_NAME: text(ISSUER),
        s.LIST_COST: pl.col("list_cost"),
        s.LIST_UNIT_PRICE: pl.col("list_price"),
        s.PRICING_CATEGORY: pl.col("pricing"),
        s.PRICING_CURRENCY: text("USD"),
        s.PRICING_QUANTITY: pl.col("pricing_quantity"),
        s.PRICING_UNIT: pl.when(pl.col("pricing_quantity").is_not_null()).then("pricing_unit"),
        s.PROVIDER_NAME: text("AWS"),
        s.PUBLISHER_NAME: pl.col("publisher").fill_null(ISSUER),
        s.REGION_ID: pl.col("region"),
        s.REGION_NAME: pl.col("region").replace_strict(REGION_NAMES, default=None),
        s.RESOURCE_ID: pl.when(committed & ~metered).then("commitment_id").otherwise("resource_id"),
        s.RESOURCE_TYPE: pl.when(pl.col("resource_id").is_not_null()).then("resource_type"),
        s.SERVICE_CATEGORY: pl.col("service_category"),
        s.SERVICE_NAME: pl.col("service_name"),
        s.SERVICE_SUBCATEGORY: pl.col("service_subcategory"),
        s.SKU_ID: pl.col("sku_id"),
        s.SKU_METER: pl.col("meter"),
        s.SKU_PRICE_DETAILS: pl.col("price_details"),
        s.SKU_PRICE_ID: pl.col("sku_id") + ".JRTCKXETXF.6YS6EN2CT7",
        s.SUB_ACCOUNT_ID: pl.col("account_id"),
        s.SUB_ACCOUNT_NAME: pl.col("account_name"),
        s.SUB_ACCOUNT_TYPE: text("Linked"),
        s.TAGS: pl.col("tags"),
        "x_Discounts": pl.when(metered & ~committed & (discount != 0)).then(discounts),
        "x_Operation": pl.col("operation"),
        "x_ServiceCode": pl.col("service_code"),
    }
    return {name: filled.get(name, pl.lit(None)) for name in COLUMNS}


def _type(name: str) -> pl.DataType:
    if name in _DOUBLES:
        return pl.Float64()
    if name in _TIMES:
        return _TIME
    if name == "x_Discounts":
        return pl.Map(pl.String, pl.Float64)
    return _MAP if name in (s.TAGS, s.SKU_PRICE_DETAILS) else pl.String()


def _priced_text() -> pl.Expr:
    metered = (pl.col("category") == "Usage") & pl.col("price_text").is_not_null()
    return pl.when(metered).then(pl.format("${} per {}", "price_text", "description_meter"))


# --------------------------------------------------------------------------------- what accounts, meters, resources are
def _accounts() -> pl.DataFrame:
    return pl.DataFrame(
        [{"account": a.key, "account_id": a.account_id, "account_name": a.name} for a in company.ACCOUNTS]
    )


def _meters() -> pl.DataFrame:
    details = [
        {"InstanceType": row["instance_type"], "OperatingSystem": "Linux",
         **({"GpuCount": f"{row['gpus']:.0f}"} if row["gpus"] else {})} if row["instance_type"] else None
        for row in skus().iter_rows(named=True)
    ]  # fmt: skip
    ids = [_code(sku, 16) for sku in skus()[SKU]]
    return skus().select(
        SKU, "service_code", "service_name", "service_category", "service_subcategory", "operation", "meter",
        "description", "resource_type", "region", "consumed_unit", "pricing_unit", "publisher",
        sku_id=pl.Series(ids), price_details=_maps(details),
    )  # fmt: skip


def _workloads() -> pl.DataFrame:
    tags = [_tags(w) if w.tagged else None for w in WORKLOADS]
    return pl.DataFrame({WORKLOAD: [w.name for w in WORKLOADS], "tags": _maps(tags)})


def _tags(work: Workload) -> dict[str, str]:
    tags = {
        "team": work.team, "use_case": work.use_case, "environment": work.environment,
        "cost_center": COST_CENTERS[work.team],
    }  # fmt: skip
    return {**tags, "purpose": work.purpose} if work.purpose else tags


def _maps(objects: list[dict[str, str] | None]) -> pl.Series:
    texts = pl.Series([None if o is None else json.dumps(o) for o in objects], dtype=pl.String)
    return texts.str.json_decode(_MAP)


def _commitments() -> pl.DataFrame:
    mine = [c for c in COMMITMENTS if company.account(c.account).source == SOURCE]
    return pl.DataFrame([
        {
            "commitment": c.key, "commitment_id": commitment_id(c), "commitment_name": c.name,
            "commitment_type": c.kind, "commitment_category": c.category,
            "commitment_unit": "USD" if c.units is None else "Hours",
            "commitment_text": f"{c.name}, {'commitment' if c.units is None else 'Linux/UNIX (Amazon VPC)'} {c.key}",
        }
        for c in mine
    ])  # fmt: skip


def commitment_id(commitment: Commitment) -> str:
    """The ARN of a reserved instance or savings plan."""
    account = company.account(commitment.account).account_id
    uuid = company.number(commitment.key)
    if commitment.units is None:
        return f"arn:aws:savingsplans::{account}:savingsplan/{uuid}"
    return f"arn:aws:ec2:us-east-1:{account}:reserved-instances/{uuid}"


def resources(rows: pl.DataFrame) -> pl.DataFrame:
    """Id and zone of each resource that the rows name."""
    found = rows.select(WORKLOAD, RESOURCE, SKU).unique(maintain_order=True).drop_nulls()
    kinds = dict(skus().select(SKU, "resource_type").iter_rows())
    regions = dict(skus().select(SKU, "region").iter_rows())
    ids, zones = [], []
    for work, resource, sku in found.iter_rows():
        account = company.account(company.workload(work).account).account_id
        ids.append(_resource_id(kinds[sku], regions[sku], account, work, resource))
        zones.append(f"{regions[sku]}{'abc'[resource % 3]}" if kinds[sku] in ("instance", "volume", "db") else None)
    return found.with_columns(pl.Series("resource_id", ids, dtype=pl.String), pl.Series("zone", zones, dtype=pl.String))


def _resource_id(kind: str | None, region: str, account: str, work: str, resource: int) -> str | None:
    number = hashlib.sha256(f"{work}/{resource}".encode()).hexdigest()
    if kind is None:
        return None
    if kind in ("instance", "volume", "natgateway"):
        return {"instance": "i-", "volume": "vol-", "natgateway": "nat-"}[kind] + number[:17]
    if kind == "bucket":
        return f"aldermoor-{work}-{resource:02d}"
    service = {"db": "rds", "cluster": "eks", "domain": "es", "application-inference-profile": "bedrock"}
    return f"arn:aws:{service.get(kind, 'sagemaker')}:{region}:{account}:{kind}/{work}-{number[:8]}"


def _prices_as_text(rows: pl.DataFrame) -> pl.DataFrame:
    prices = rows["contracted_price"].drop_nulls().unique(maintain_order=True)
    texts = [f"{Decimal(repr(p)):f}" for p in prices]
    return pl.DataFrame({"contracted_price": prices, "price_text": pl.Series(texts, dtype=pl.String)})


def _code(name: str, length: int) -> str:
    """An identifier of that length in capitals and digits, always the same for a name."""
    return hashlib.sha256(name.encode()).hexdigest().upper()[:length]
