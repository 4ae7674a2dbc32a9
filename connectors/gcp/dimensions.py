"""Who, what and where of a row: accounts, seller, service, SKU, place, resource, labels, and what is kept beside."""

import json
from functools import lru_cache
from typing import Final

import polars as pl

from connectors.cells import json_of
from connectors.gcp import credits, services
from connectors.gcp.costs import SECOND
from finops import schema as s

GOOGLE: Final = "Google Cloud"
KEPT: Final = (
    "service.id", "cost_type", "invoice.publisher_type", "transaction_type", "seller_name", "subscription.instance_id",
    "adjustment_info.id", "adjustment_info.description", "adjustment_info.mode", "adjustment_info.type",
    "consumption_model.id", "consumption_model.description", "project.number", "project.ancestry_numbers",
    "project.ancestors", "system_labels", "location.location", "location.country", "currency_conversion_rate",
    "export_time", "credits",
)  # fmt: skip
"""x_SourceColumns <- Google's column, as text; and x_CreditTypes."""
LABELS: Final = ("project.labels", "tags", "labels")
"""Where Tags come from; where two have one key, the later one, nearer to the resource, wins."""
_MACHINE: Final = "compute.googleapis.com/machine_spec"
_MONTH: Final = r"^\d{4}-?(?:0[1-9]|1[0-2])(?:-01)?$"
_second: Final = pl.col(SECOND)


def labels() -> dict[str, pl.Expr]:
    """Tags, and the machine type that Google's own labels name."""
    kind = pl.Struct({s.TAGS: pl.String(), s.INSTANCE_TYPE: pl.String()})

    def work(rows: pl.Series) -> pl.Series:
        found = [_merged(*row.values()) for row in rows]
        return pl.Series(found, dtype=kind)

    merged = pl.struct(*LABELS, "system_labels").map_batches(work, return_dtype=kind, is_elementwise=True)
    return {"merged labels": merged}


@lru_cache(maxsize=10_000)
def _merged(*texts: str | None) -> dict[str, str | None]:
    *own, system = (_pairs(text) for text in texts)
    tags = {key: value for pairs in own for key, value in pairs.items()}
    return {
        s.TAGS: json.dumps(tags, ensure_ascii=False, separators=(",", ":")) if tags else None,
        s.INSTANCE_TYPE: system.get(_MACHINE),
    }


def _pairs(text: str | None) -> dict[str, str]:
    """Labels as keys and values: a repeated record, or an object; what is neither is kept whole."""
    found = credits.records(text)
    if found is None:
        return {"unparsed": text or ""}
    pairs = {}
    for record in found:
        listed = [(record["key"], record.get("value"))] if "key" in record else record.items()
        pairs.update({str(key): "" if value is None else str(value) for key, value in listed})
    return pairs


def source_columns() -> pl.Expr:
    """x_SourceColumns: what FOCUS has no column for, as JSON text."""
    kept = {name: pl.when(pl.col(name).cast(pl.String) != "[]").then(name) for name in KEPT}
    return json_of({**kept, "x_CreditTypes": pl.col(credits.TYPES)})


def periods() -> dict[str, pl.Expr]:
    """Billing period from the invoice's month, charge period from usage; ends exclusive."""
    written = pl.col("invoice.month").str.strip_suffix(".0")
    month = (
        pl.when(written.str.contains(_MONTH)).then(written.str.replace("-", "").str.slice(0, 6) + "01")
        .str.to_datetime("%Y%m%d", strict=False, time_unit="us", time_zone="UTC").cast(s.TIME)
    )  # fmt: skip
    start, end = pl.col("usage_start_time"), pl.col("usage_end_time")
    return {
        s.BILLING_PERIOD_START: month,
        s.BILLING_PERIOD_END: month.dt.offset_by("1mo"),
        s.CHARGE_PERIOD_START: start,
        s.CHARGE_PERIOD_END: pl.when(end == start).then(start.dt.offset_by("1h")).otherwise(end),
        s.BILLING_CURRENCY: pl.col("currency").str.to_uppercase(),
    }


def names() -> dict[str, pl.Expr]:
    """Providers, accounts, service, SKU, place and resource."""
    service, sku = pl.col("service.description"), pl.col("sku.description")
    foreign = (
        pl.col("transaction_type").str.starts_with("THIRD_PARTY")
        & pl.col("seller_name").is_not_null()
        & ~pl.col("seller_name").str.contains("(?i)google")
        & ~pl.concat_str(service, sku, separator=" ", ignore_nulls=True).str.contains("(?i)vertex")
    ).fill_null(value=False)
    subcategory = services.subcategory(service, sku)
    project, path = pl.col("project.id"), pl.col("resource.global_name")
    return {
        s.SERVICE_PROVIDER_NAME: pl.when(foreign).then("seller_name").otherwise(pl.lit(GOOGLE)),
        s.HOST_PROVIDER_NAME: pl.lit(GOOGLE),
        s.INVOICE_ISSUER_NAME: pl.lit(GOOGLE),
        s.BILLING_ACCOUNT_ID: pl.col("billing_account_id"),
        s.BILLING_ACCOUNT_TYPE: pl.when(pl.col("billing_account_id").is_not_null()).then(pl.lit("Billing Account")),
        s.SUB_ACCOUNT_ID: project,
        s.SUB_ACCOUNT_NAME: pl.col("project.name"),
        s.SUB_ACCOUNT_TYPE: pl.when(project.is_not_null()).then(pl.lit("Project")),
        s.SERVICE_NAME: pl.coalesce(service, "service.id", pl.lit(GOOGLE)),
        s.SERVICE_SUBCATEGORY: subcategory,
        s.SERVICE_CATEGORY: subcategory.str.extract(r"^([^/]+)/", 1),
        s.CHARGE_DESCRIPTION: pl.when(_second)
        .then(pl.coalesce(credits.NAMES, sku))
        .otherwise(pl.coalesce(sku, "adjustment_info.description")),
        s.SKU_ID: pl.coalesce("sku.id", pl.when(_second).then(pl.lit("credits"))),
        s.SKU_METER: sku,
        s.REGION_ID: pl.col("location.region"),
        s.REGION_NAME: pl.when(pl.col("location.region").is_not_null()).then("location.location"),
        s.AVAILABILITY_ZONE: pl.col("location.zone"),
        s.RESOURCE_ID: pl.coalesce(path, "resource.name"),
        s.RESOURCE_NAME: pl.col("resource.name"),
        s.RESOURCE_TYPE: path.str.extract(r"/([A-Za-z]+)/[^/]+$", 1),
    }
