"""FOCUS exports of Cost Management (1.0, 1.0r2, 1.2): read as FOCUS, and what Azure's own columns know added.

| FOCUS column | Azure column |
|---|---|
| every FOCUS column | the same (connectors/focus.py) |
| SkuMeter, InvoiceId, PricingCurrency | the same (1.2); x_SkuMeterName, x_InvoiceId, x_PricingCurrency (1.0) |
| SkuPriceDetails | the same (1.2); x_SkuDetails (1.0) |
| HostProviderName | Microsoft |
| ServiceProviderName | PublisherName of a Marketplace charge (x_PublisherCategory Vendor), else Microsoft |
| ServiceName | the same; where it is empty x_SkuMeterCategory, else x_SkuOrderName |
| ServiceSubcategory | the same as `Category/Subcategory` (1.2); by x_SkuMeterCategory (1.0) |
| ContractedCost, ListCost | the same; where 0 beside an EffectiveCost, the next: list <- contracted <- effective |
| CapacityReservationId | the same; where it is empty VMCapacityReservationId of SkuPriceDetails |
| x_InstanceType | ServiceType of SkuPriceDetails, of a virtual machine |
| x_SourceColumns | all x_ columns |

ContractedCost is 0 in Azure's exports for EA Marketplace charges and MCA reservation usage, ListCost for Marketplace
and reservation usage: prices that are not known, which would read as a discount of 100 %. Unused commitments keep 0.

Source: FinOps toolkit (microsoft/finops-toolkit, commit 04d370f of 2026-05-20), docs-mslearn/focus/
conformance-summary.md and metadata.md, read 2026-11-21.
"""

from typing import Final

import polars as pl

from connectors import focus
from connectors.azure import services
from connectors.registry import RawPart
from finops import schema as s
from finops.ownership import source_value

MICROSOFT: Final = "Microsoft"
_OLDER: Final = {
    s.SKU_METER: "x_SkuMeterName", s.INVOICE_ID: "x_InvoiceId", s.PRICING_CURRENCY: "x_PricingCurrency",
}  # fmt: skip
"""FOCUS column <- the x_ column that had it in Azure's FOCUS 1.0."""


def parse(part: RawPart) -> pl.LazyFrame:
    """The export's rows as charges; see connectors.registry."""
    parsed = focus.parse(part)
    columns = parsed.collect_schema().names()
    category = pl.coalesce(source_value("x_SkuMeterCategory"), s.SERVICE_NAME)
    meter_subcategory = source_value("x_SkuMeterSubcategory")
    ours = services.subcategory(category, meter_subcategory)
    said = pl.col(s.SERVICE_SUBCATEGORY)
    whole = pl.when(said.str.contains("/", literal=True)).then(said).when(
        said.is_not_null() & pl.col(s.SERVICE_CATEGORY).is_not_null()
    ).then(pl.concat_str(s.SERVICE_CATEGORY, said, separator="/"))  # fmt: skip
    # a subcategory of another category than the export's own would contradict it
    same = services.category(ours) == pl.col(s.SERVICE_CATEGORY)
    vendor = source_value("x_PublisherCategory").str.to_lowercase().is_in(["vendor", "marketplace"])
    details = pl.col(s.SKU_PRICE_DETAILS)
    machine = details.str.extract(r'(?i)"(?:x_)?ServiceType"\s*:\s*"((?:Standard|Basic)_[^"]+)"', 1)
    reservation = details.str.extract(r'(?i)"(?:x_)?VMCapacityReservationId"\s*:\s*"([^"]+)"', 1)
    return (
        parsed.with_columns(
            *(pl.coalesce(name, source_value(older)).alias(name) for name, older in _OLDER.items()),
            pl.coalesce(s.SERVICE_NAME, source_value("x_SkuMeterCategory"), source_value("x_SkuOrderName"),
                        pl.lit("Azure")).alias(s.SERVICE_NAME),
            pl.coalesce(whole, pl.when(same | pl.col(s.SERVICE_CATEGORY).is_null()).then(ours)).alias(
                s.SERVICE_SUBCATEGORY
            ),
            pl.lit(MICROSOFT).alias(s.HOST_PROVIDER_NAME),
            pl.when(vendor).then(pl.coalesce(source_value(s.PUBLISHER_NAME), pl.lit(MICROSOFT)))
            .otherwise(pl.lit(MICROSOFT)).alias(s.SERVICE_PROVIDER_NAME),
            pl.coalesce(s.INVOICE_ISSUER_NAME, pl.lit(MICROSOFT)).alias(s.INVOICE_ISSUER_NAME),
            pl.coalesce(s.CAPACITY_RESERVATION_ID, reservation).alias(s.CAPACITY_RESERVATION_ID),
            pl.coalesce(s.INSTANCE_TYPE, pl.when(category == "Virtual Machines").then(machine)).alias(s.INSTANCE_TYPE),
            pl.coalesce(_known(s.CONTRACTED_COST), s.EFFECTIVE_COST).alias(s.CONTRACTED_COST),
        )
        .with_columns(
            pl.coalesce(_known(s.LIST_COST), s.CONTRACTED_COST).alias(s.LIST_COST),
            pl.coalesce(s.USAGE_TYPE, s.SKU_METER).alias(s.USAGE_TYPE),
            pl.coalesce(s.SERVICE_CATEGORY, services.category(pl.col(s.SERVICE_SUBCATEGORY))).alias(s.SERVICE_CATEGORY),
        )
        .select(columns)
    )  # fmt: skip


def _known(name: str) -> pl.Expr:
    """The cost; null where it is 0 beside an effective cost: there the price is not known."""
    unused = (pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Unused").fill_null(value=False)
    return pl.when((pl.col(name) != 0) | (pl.col(s.EFFECTIVE_COST) == 0) | unused).then(name)
