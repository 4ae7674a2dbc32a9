"""Who, what and where of a line item: accounts, seller, service, SKU, region, resource, and what is kept beside."""

from typing import Final

import polars as pl

from connectors.aws import services
from connectors.aws.columns import Layout
from connectors.aws.costs import SECOND, USAGE
from connectors.aws.discounts import Basis
from connectors.cells import json_of
from finops import schema as s

AWS: Final = "AWS"
KEPT: Final = {
    "x_ServiceCode": "line_item_product_code", "x_Operation": "line_item_operation",
    **{name: name for name in (
        "line_item_line_item_type", "line_item_tax_type", "line_item_legal_entity", "bill_billing_entity",
        "bill_bill_type", "product_product_family", "savings_plan_payment_option", "savings_plan_purchase_term",
        "line_item_unblended_cost", "line_item_net_unblended_cost",
    )},
}  # fmt: skip
"""x_SourceColumns <- column of the report, verbatim. With them: x_CostCategories, x_Discounts, x_DiscountBasis (where
discounts are in the cost) and split_line_item_... (where the row has a parent)."""
_OWN: Final = "(?i)amazon|aws"
_EDITION: Final = "(?i)bedrock edition"
"""Models of others that AWS sells as Amazon Bedrock: the seller is a reseller's name, the service is AWS's."""
_ARN_TYPE: Final = r"^arn:aws[\w-]*:[^:]*:[^:]*:[^:]*:([a-z][a-z-]*)[/:]"


def source_columns(layout: Layout, how: Basis) -> pl.Expr:
    """x_SourceColumns: what FOCUS has no column for, as JSON text."""
    kept = {key: layout.cells[name][0] for key, name in KEPT.items() if name in layout.cells}
    kept["x_CostCategories"] = layout.cost_categories
    kept["x_Discounts"] = layout.discounts
    if how != "rows":
        kept["x_DiscountBasis"] = pl.lit(how)
    if "split_line_item_parent_resource_id" in layout.cells:
        parent = layout.cells["split_line_item_parent_resource_id"][0]
        kept |= {key: pl.when(parent.is_not_null()).then(pl.col(column)) for key, column in layout.split.items()}
    return json_of(kept)


def periods() -> dict[str, pl.Expr]:
    """Billing and charge period, ends exclusive; an end in the last second of an hour is that hour's end."""
    month = pl.col("bill_billing_period_start_date").dt.truncate("1mo")
    start, end = pl.col("line_item_usage_start_date"), pl.col("line_item_usage_end_date")
    return {
        s.BILLING_PERIOD_START: month,
        s.BILLING_PERIOD_END: month.dt.offset_by("1mo"),
        s.CHARGE_PERIOD_START: start,
        s.CHARGE_PERIOD_END: (
            pl.when(end == start).then(start.dt.offset_by("1h"))
            .when(end.dt.second() == 59).then(end.dt.truncate("1s").dt.offset_by("1s"))
            .otherwise(end)
        ),
        s.BILLING_CURRENCY: pl.col("line_item_currency_code").str.to_uppercase(),
    }  # fmt: skip


def service() -> dict[str, pl.Expr]:
    """ServiceName and its category."""
    product, service = pl.col("product_product_name"), pl.col("product_servicename")
    edition = pl.when(service.str.contains(_EDITION)).then(service)
    code = pl.col("line_item_product_code")
    subcategory = services.subcategory(code, pl.col(USAGE))
    subcategory = (
        pl.when(service.str.contains(_EDITION) | product.str.contains(_EDITION))
        .then(pl.lit("AI and Machine Learning/Generative AI"))
        .otherwise(subcategory)
    )
    return {
        s.SERVICE_NAME: pl.coalesce(edition, product, service, code, pl.lit("AWS")),
        s.SERVICE_SUBCATEGORY: subcategory,
        s.SERVICE_CATEGORY: services.category(subcategory),
    }


def names() -> dict[str, pl.Expr]:
    """Providers, accounts, SKU, place and resource; after service() and periods()."""
    seller, issuer = pl.col("line_item_legal_entity"), pl.col("bill_invoicing_entity")
    foreign = (
        (pl.col("bill_billing_entity") == "AWS Marketplace")
        & ~seller.str.contains(_OWN)
        & ~pl.col(s.SERVICE_NAME).str.contains(_EDITION)
    ).fill_null(value=False)
    sku, resource = pl.col("product_sku"), pl.col("line_item_resource_id")
    commitment = pl.coalesce("savings_plan_savings_plan_a_r_n", "reservation_reservation_a_r_n", pl.lit("unused"))
    zone = pl.col("line_item_availability_zone")
    return {
        s.SERVICE_PROVIDER_NAME: pl.when(foreign).then(seller).otherwise(pl.lit(AWS)),
        s.HOST_PROVIDER_NAME: pl.lit(AWS),
        s.INVOICE_ISSUER_NAME: pl.coalesce(issuer, pl.when(~foreign).then(seller)),
        s.INVOICE_ID: pl.col("bill_invoice_id"),
        s.BILLING_ACCOUNT_ID: pl.col("bill_payer_account_id"),
        s.BILLING_ACCOUNT_NAME: pl.col("bill_payer_account_name"),
        s.BILLING_ACCOUNT_TYPE: pl.when(pl.col("bill_payer_account_id").is_not_null()).then(pl.lit("Management")),
        s.SUB_ACCOUNT_ID: pl.col("line_item_usage_account_id"),
        s.SUB_ACCOUNT_NAME: pl.col("line_item_usage_account_name"),
        s.SUB_ACCOUNT_TYPE: pl.when(pl.col("line_item_usage_account_id").is_not_null()).then(pl.lit("Linked")),
        s.CHARGE_DESCRIPTION: pl.col("line_item_line_item_description"),
        # the second charge of a row is told from the first by it
        s.SKU_ID: pl.when(SECOND).then(pl.coalesce(sku, commitment)).otherwise(sku),
        s.SKU_PRICE_ID: pl.col("pricing_rate_code"),
        s.SKU_METER: pl.col(USAGE),
        s.USAGE_TYPE: pl.col(USAGE),
        s.INSTANCE_TYPE: pl.col("product_instance_type"),
        s.REGION_ID: pl.coalesce(
            "product_region_code", "product_region", zone.str.extract(r"^([a-z]{2}(?:-[a-z]+)+-\d+)", 1)
        ),
        s.REGION_NAME: pl.col("product_location"),
        s.AVAILABILITY_ZONE: pl.when(zone.str.contains(r"\d[a-z]$|-\d+[a-z]?-")).then(zone),
        s.RESOURCE_ID: resource,
        s.RESOURCE_TYPE: (
            pl.when(resource.str.starts_with("i-")).then(pl.lit("instance"))
            .when(resource.str.starts_with("vol-")).then(pl.lit("volume"))
            .otherwise(resource.str.extract(_ARN_TYPE, 1))
        ),
        s.CONSUMER_ID: pl.col("line_item_iam_principal"),
        **_capacity(resource),
    }  # fmt: skip


def _capacity(resource: pl.Expr) -> dict[str, pl.Expr]:
    """The capacity reservation of a row: AWS's own columns, else a resource id with cr-."""
    own = pl.col("capacity_reservation_capacity_reservation_arn")
    said = pl.col("capacity_reservation_capacity_reservation_status").str.to_titlecase()
    reservation = pl.coalesce(own, pl.when(resource.str.contains(r"(?:^|/)cr-[0-9a-f]")).then(resource))
    idle = pl.col(USAGE).str.contains(r"(?:^|-)Unused(?:Box|Ded)\b")
    status = pl.when(said.is_in(["Used", "Unused"])).then(said).when(idle).then(pl.lit("Unused"))
    return {
        s.CAPACITY_RESERVATION_ID: reservation,
        s.CAPACITY_RESERVATION_STATUS: pl.when(reservation.is_not_null()).then(status),
    }
