"""FOCUS 1.0 and 1.2 exports of AWS Data Exports: read as FOCUS, and what AWS's own columns know added.

| FOCUS column | AWS column |
|---|---|
| every FOCUS column | the same (connectors/focus.py) |
| x_UsageType | x_UsageType (1.0); SkuMeter (1.2, which has no x_UsageType) |
| SkuMeter | SkuMeter (1.2); x_UsageType (1.0, which has no SkuMeter) |
| ServiceSubcategory | ServiceSubcategory (1.2); by x_ServiceCode (1.0, which has none) |
| HostProviderName | AWS |
| SkuPriceDetails, x_ServiceTier | Bedrock token meters: see bedrock.py; keys that AWS gives are kept |
| ConsumedQuantity, ConsumedUnit | Bedrock token meters: in tokens |
| x_SourceColumns | x_Operation, x_ServiceCode, x_Discounts, x_CostCategories and what else FOCUS 1.4 does not know |

BilledCost is net of discounts already; x_Discounts says which, and is taken off nothing. Savings plan negations are not
in a FOCUS export, and covered usage has BilledCost 0.

Source: AWS Data Exports user guide, FOCUS 1.0 and 1.2 with AWS columns and their conformance gaps, read 2026-11-21.
"""

import polars as pl

from connectors import cells, focus
from connectors.aws import bedrock, services
from connectors.registry import REJECT, RawPart
from finops import schema as s
from finops.ownership import source_value

_TOKENS = "is token meter"


def parse(part: RawPart) -> pl.LazyFrame:
    """The export's rows as charges; see connectors.registry."""
    parsed = focus.parse(part)
    columns = parsed.collect_schema().names()
    meter = pl.coalesce(s.USAGE_TYPE, s.SKU_METER)
    code = source_value("x_ServiceCode")
    named = parsed.with_columns(
        meter.alias(s.USAGE_TYPE),
        pl.coalesce(s.SKU_METER, s.USAGE_TYPE).alias(s.SKU_METER),
        pl.coalesce(s.SERVICE_SUBCATEGORY, pl.when(code.is_not_null()).then(services.subcategory(code, meter))).alias(
            s.SERVICE_SUBCATEGORY
        ),
        pl.coalesce(s.HOST_PROVIDER_NAME, pl.lit("AWS")).alias(s.HOST_PROVIDER_NAME),
        bedrock.is_token_meter(pl.col(s.SERVICE_NAME), meter).alias(_TOKENS),
    )
    unit = pl.coalesce(s.PRICING_UNIT, s.CONSUMED_UNIT)
    usage = pl.col(_TOKENS) & (pl.col(s.CHARGE_CATEGORY) == "Usage") & pl.col(REJECT).is_null()
    per_unit = pl.when(usage).then(bedrock.tokens_per_unit(unit, pl.col(s.USAGE_TYPE)))
    counted = pl.coalesce(s.PRICING_QUANTITY, s.CONSUMED_QUANTITY) * per_unit
    known = pl.col(s.CONSUMED_QUANTITY).is_not_null() & counted.is_not_null()
    said, ours = pl.col(s.SKU_PRICE_DETAILS), bedrock.price_details(pl.col(s.USAGE_TYPE))
    both = (
        pl.when(said.is_null() | (said == "{}"))
        .then(ours)
        .otherwise(said.str.strip_suffix("}") + "," + ours.str.strip_prefix("{"))
    )
    return named.with_columns(
        pl.when(known).then(counted).otherwise(s.CONSUMED_QUANTITY).alias(s.CONSUMED_QUANTITY),
        pl.when(known).then(pl.lit(bedrock.TOKENS)).otherwise(s.CONSUMED_UNIT).alias(s.CONSUMED_UNIT),
        pl.when(_TOKENS)
        .then(cells.where(_TOKENS, both, [s.SKU_PRICE_DETAILS, s.USAGE_TYPE]))
        .otherwise(s.SKU_PRICE_DETAILS)
        .alias(s.SKU_PRICE_DETAILS),
        cells.where(_TOKENS, bedrock.tier(pl.col(s.USAGE_TYPE)), [s.USAGE_TYPE]).alias(s.SERVICE_TIER),
    ).select(columns)
