"""CUR 2.0 (AWS Data Exports, table COST_AND_USAGE_REPORT): snake case, Parquet or CSV.gz, the same columns each month.

`product`, `resource_tags`, `cost_category` and `discount` are maps: map columns in Parquet, JSON text in CSV. An export
whose query takes keys out of them has columns for those (`product_region_code`, `resource_tags_user_team`), read too.

| FOCUS column | CUR 2.0 column |
|---|---|
| BilledCost, EffectiveCost, ContractedCost, ListCost | by line item type, see costs.py |
| BillingAccountId, BillingAccountName | bill_payer_account_id, bill_payer_account_name |
| SubAccountId, SubAccountName | line_item_usage_account_id, line_item_usage_account_name |
| BillingCurrency | line_item_currency_code |
| BillingPeriodStart, BillingPeriodEnd | bill_billing_period_start_date, a month later (exclusive) |
| ChargePeriodStart, ChargePeriodEnd | line_item_usage_start_date, line_item_usage_end_date |
| InvoiceId, InvoiceIssuerName | bill_invoice_id (empty while the month is open), bill_invoicing_entity |
| ServiceName | product['product_name'], else product_servicename, else line_item_product_code |
| ServiceProviderName | AWS; of a Marketplace charge line_item_legal_entity, the seller |
| RegionId, RegionName, AvailabilityZone | product_region_code, product_location, line_item_availability_zone |
| ResourceId | line_item_resource_id |
| SkuId, SkuPriceId, SkuMeter | product_sku, pricing_rate_code, line_item_usage_type |
| PricingQuantity, PricingUnit | line_item_usage_amount, pricing_unit |
| ListUnitPrice, ContractedUnitPrice | pricing_public_on_demand_rate, line_item_unblended_rate or its net |
| CommitmentDiscountId | savings_plan_savings_plan_a_r_n, reservation_reservation_a_r_n |
| CapacityReservationId | capacity_reservation_capacity_reservation_arn, else line_item_resource_id with `cr-` |
| Tags | resource_tags, keys as AWS writes them (`user_team`) |
| x_InstanceType, x_UsageType | product_instance_type, line_item_usage_type |
| x_ConsumerId | line_item_iam_principal (who called Bedrock) |
| x_SourceColumns | operation, product code, line item type, cost_category, discount and more: see dimensions.py |

Source: AWS Data Exports user guide, CUR 2.0 table dictionary, read 2026-11-21.
"""

from typing import Final

import polars as pl

from connectors import cells
from connectors.aws import legacy
from connectors.aws.columns import TEXTS, Kinds, Layout, named, split_columns
from connectors.cells import object_of, prefixed

MAPS: Final = ("product", "resource_tags", "cost_category", "discount")
_PRODUCT: Final = "opened product"


def layout(kinds: Kinds) -> Layout:
    """Where a CUR 2.0 export keeps its values."""
    columns = named(kinds)
    read = {name: (cells.cleaned(column, kinds[column]), kinds[column]) for name, column in columns.items()}
    opened: tuple[pl.Expr, ...] = ()
    if "product" in kinds:
        wanted = [name for name in TEXTS if name.startswith("product_")]
        opened = (_opened("product", kinds["product"], wanted).alias(_PRODUCT),)
        for name in wanted:
            nested = pl.col(_PRODUCT).struct.field(name)
            read[name] = (pl.coalesce(read[name][0], nested) if name in read else nested, pl.String())
    return Layout(
        cells=read,
        tags=_object("resource_tags", kinds, legacy.TAG_PREFIXES),
        cost_categories=_object("cost_category", kinds, legacy.COST_CATEGORY_PREFIXES),
        discounts=_object("discount", kinds, legacy.DISCOUNT_PREFIXES),
        split=split_columns(kinds),
        total_discount=total_discount(kinds),
        opened=opened,
    )


def total_discount(kinds: Kinds) -> pl.Expr | None:
    """What the discounts of a row sum to: the column, the map's key total_discount, or the sum of its values."""
    column = legacy.total_discount(kinds)
    if "discount" not in kinds:
        return column
    text = _object("discount", kinds, ())
    number = r'\s*"?(-?[0-9.]+(?:[eE][+-]?[0-9]+)?)'
    total = cells.decimal(text.str.extract(rf'"(?i:total_?discount)"\s*:{number}', 1), pl.String())
    parts = text.str.extract_all(rf'":{number}').list.eval(
        cells.decimal(pl.element().str.strip_chars('": '), pl.String())
    )
    summed = pl.coalesce(total, pl.when(parts.list.len() > 0).then(parts.list.sum()))
    # the column may stand at 0 where only the map is filled
    return summed if column is None else pl.when(column != 0).then(column).otherwise(pl.coalesce(summed, column))


def _object(name: str, kinds: Kinds, prefixes: tuple[str, ...]) -> pl.Expr:
    """The map as JSON text, else an object of the columns that were taken out of it."""
    flat = object_of(prefixed(kinds, prefixes), kinds)
    if name not in kinds:
        return flat
    text = cells.json_object(cells.cleaned(name, kinds[name]), kinds[name])
    return pl.coalesce(text.str.extract(r"(?s)^(\{.+\})$", 1), flat)


def _opened(column: str, kind: pl.DataType, names: list[str]) -> pl.Expr:
    """A struct of names and what the map says under them without the column's: product_region_code -> region_code."""
    keys = {name: _spellings(name.removeprefix(f"{column}_")) for name in names}
    if kind == pl.String:
        return _opened_json(column, keys)
    entries = pl.col(column).list.to_map() if isinstance(kind, pl.List) else pl.col(column)
    return pl.struct(pl.coalesce(entries.map.get(key) for key in found).alias(name) for name, found in keys.items())


def _opened_json(column: str, keys: dict[str, tuple[str, ...]]) -> pl.Expr:
    """The same of JSON text, read once for each distinct text of a batch: few products make a bill's rows."""
    answer = pl.struct(
        pl.coalesce(pl.col("text").str.json_path_match(f"$.{key}") for key in found).alias(name)
        for name, found in keys.items()
    )

    def work(texts: pl.Series) -> pl.Series:
        rows = texts.alias("text").to_frame()
        once = rows.unique().with_columns(answer.alias("said"))
        return rows.join(once, on="text", how="left", nulls_equal=True, maintain_order="left")["said"]

    kind = pl.Struct(dict.fromkeys(keys, pl.String()))
    return cells.cleaned(column, pl.String()).map_batches(work, return_dtype=kind, is_elementwise=True)


def _spellings(key: str) -> tuple[str, ...]:
    """`instance_type` and, as legacy reports write it, `instanceType` and `InstanceType`."""
    words = key.split("_")
    camel = words[0] + "".join(w.title() for w in words[1:])
    return tuple(dict.fromkeys((key, camel, camel[:1].upper() + camel[1:])))
