"""FOCUS files of Oracle Cloud: read as FOCUS, and lifted from the older version whose names they have.

| FOCUS column | Oracle's column |
|---|---|
| every FOCUS column | the same (connectors/focus.py) |
| RegionId, InvoiceIssuerName | the same; Region, InvoiceIssuer |
| ConsumedQuantity, ConsumedUnit | the same; UsageQuantity, UsageUnit |
| SkuMeter | the same; ChargeDescription |
| ServiceProviderName, HostProviderName | Oracle |
| SubAccountId, SubAccountName | oci_CompartmentId, oci_CompartmentName where the file names the tenancy; the same |
| ChargeCategory, ChargeFrequency, PricingCategory | the same, older values as FOCUS 1.0 and later have them: VALUES |
| ChargeClass | the same; Correction of a refund (ChargeSubcategory) and of a row with oci_BackReferenceNumber |
| CommitmentDiscountStatus | the same; Used, Unused by ChargeSubcategory |
| ContractedCost, ListCost | the same; else EffectiveCost, else ContractedCost |
| x_SourceColumns | all oci_ columns: overage and attributed cost are parts of the cost, added to nothing |

Source: columns of Oracle's FOCUS cost reports (FOCUS 1.0-preview, with oci_ columns) as programs that load them list
them, read 2026-11-21; values of that version: FOCUS 0.5 and 1.0-preview. No real file was at hand.
"""

from typing import Final

import polars as pl

from connectors import focus
from connectors.oci.cost_report import ORACLE
from connectors.registry import RawPart
from finops import schema as s
from finops.ownership import source_value

VALUES: Final = {
    s.CHARGE_FREQUENCY: {"OneTime": "One-Time", "UsageBased": "Usage-Based"},
    s.PRICING_CATEGORY: {"On-Demand": "Standard", "OnDemand": "Standard", "Commitment-Based": "Committed"},
}  # fmt: skip
_OLDER: Final = {
    s.REGION_ID: "Region", s.INVOICE_ISSUER_NAME: "InvoiceIssuer", s.CONSUMED_UNIT: "UsageUnit",
}  # fmt: skip
_STATUS: Final = {"Used Commitment": "Used", "Unused Commitment": "Unused"}


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry."""
    parsed = focus.parse(part)
    columns = parsed.collect_schema().names()
    subcategory = source_value("ChargeSubcategory")
    in_tenancy = pl.col(s.SUB_ACCOUNT_ID).fill_null("ocid1.tenancy").str.starts_with("ocid1.tenancy")
    compartment = in_tenancy & source_value("oci_CompartmentId").is_not_null()
    corrects = (subcategory == "Refund").fill_null(value=False) | source_value("oci_BackReferenceNumber").is_not_null()
    return (
        parsed.with_columns(
            *(pl.col(name).replace(values) for name, values in VALUES.items()),
            *(pl.coalesce(name, source_value(older)).alias(name) for name, older in _OLDER.items()),
            pl.coalesce(s.CONSUMED_QUANTITY, source_value("UsageQuantity").cast(s.MONEY, strict=False)).alias(
                s.CONSUMED_QUANTITY
            ),
            pl.when(compartment).then(source_value("oci_CompartmentId")).otherwise(s.SUB_ACCOUNT_ID).alias(
                s.SUB_ACCOUNT_ID
            ),
            pl.when(compartment).then(source_value("oci_CompartmentName")).otherwise(s.SUB_ACCOUNT_NAME).alias(
                s.SUB_ACCOUNT_NAME
            ),
            pl.coalesce(s.CHARGE_CLASS, pl.when(corrects).then(pl.lit("Correction"))).alias(s.CHARGE_CLASS),
            pl.coalesce(s.COMMITMENT_DISCOUNT_STATUS, subcategory.replace_strict(_STATUS, default=None)).alias(
                s.COMMITMENT_DISCOUNT_STATUS
            ),
            pl.coalesce(s.CONTRACTED_COST, s.EFFECTIVE_COST).alias(s.CONTRACTED_COST),
            pl.coalesce(s.SKU_METER, s.CHARGE_DESCRIPTION).alias(s.SKU_METER),
            pl.lit(ORACLE).alias(s.SERVICE_PROVIDER_NAME),
            pl.lit(ORACLE).alias(s.HOST_PROVIDER_NAME),
        )
        .with_columns(
            pl.coalesce(s.LIST_COST, s.CONTRACTED_COST).alias(s.LIST_COST),
            pl.col(s.INVOICE_ISSUER_NAME).fill_null(ORACLE),
        )
        .select(columns)
    )  # fmt: skip
