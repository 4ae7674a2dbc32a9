"""Legacy Cost and Usage Report: one column a key, CSV.gz or Parquet; the set of columns changes month by month.

AWS writes `category/Name` (CSV), or both in snake case (Parquet, Athena); the names below stand for both.

| FOCUS column | legacy column |
|---|---|
| BilledCost, EffectiveCost, ContractedCost, ListCost | by line item type, see costs.py |
| BillingAccountId, SubAccountId | bill/PayerAccountId, lineItem/UsageAccountId |
| BillingCurrency | lineItem/CurrencyCode |
| BillingPeriodStart, BillingPeriodEnd | bill/BillingPeriodStartDate, a month later (exclusive) |
| ChargePeriodStart, ChargePeriodEnd | lineItem/UsageStartDate, lineItem/UsageEndDate |
| InvoiceId, InvoiceIssuerName | bill/InvoiceId (empty while the month is open), bill/InvoicingEntity |
| ServiceName | product/ProductName, else product/servicename, else lineItem/ProductCode |
| ServiceProviderName | AWS; of a Marketplace charge lineItem/LegalEntity, the seller |
| RegionId, RegionName | product/regionCode or product/region, product/location |
| AvailabilityZone | lineItem/AvailabilityZone |
| ResourceId | lineItem/ResourceId |
| SkuId, SkuPriceId, SkuMeter | product/sku, pricing/RateCode, lineItem/UsageType |
| PricingQuantity, PricingUnit | lineItem/UsageAmount, pricing/unit |
| ListUnitPrice, ContractedUnitPrice | pricing/publicOnDemandRate, lineItem/UnblendedRate or NetUnblendedRate |
| CommitmentDiscountId | savingsPlan/SavingsPlanARN, reservation/ReservationARN |
| Tags | resourceTags/KEY, each a column; keys keep their `user:` or `aws:` |
| x_InstanceType, x_UsageType | product/instanceType, lineItem/UsageType |
| x_SourceColumns | operation, product code, line item type, cost categories (costCategory/KEY): see dimensions.py |

Source: AWS Cost and Usage Reports user guide, data dictionary, read 2026-11-21.
"""

from typing import Final

import polars as pl

from connectors import cells
from connectors.aws.columns import Kinds, Layout, named, plain, split_columns
from connectors.cells import object_of, prefixed

TAG_PREFIXES: Final = ("resourceTags/", "resource_tags_")
COST_CATEGORY_PREFIXES: Final = ("costCategory/", "cost_category_")
DISCOUNT_PREFIXES: Final = ("discount/", "discount_")


def layout(kinds: Kinds) -> Layout:
    """Where a legacy report, or another report with a column for each key, keeps its values."""
    return Layout(
        cells={name: (cells.cleaned(column, kinds[column]), kinds[column]) for name, column in named(kinds).items()},
        tags=object_of(prefixed(kinds, TAG_PREFIXES), kinds),
        cost_categories=object_of(prefixed(kinds, COST_CATEGORY_PREFIXES), kinds),
        discounts=object_of(prefixed(kinds, DISCOUNT_PREFIXES), kinds),
        split=split_columns(kinds),
        total_discount=total_discount(kinds),
    )


def total_discount(kinds: Kinds) -> pl.Expr | None:
    """The column discount/TotalDiscount, where the report has it."""
    column = next((c for c in kinds if plain(c) == "discounttotaldiscount"), None)
    return None if column is None else cells.decimal(cells.cleaned(column, kinds[column]), kinds[column])
