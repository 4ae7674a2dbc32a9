"""Columns of a bill by AWS's names, however a file spells them, and the cells that line_items.py reads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from connectors.files import ROW_INDEX

TEXTS: Final = (
    "bill_invoice_id", "bill_invoicing_entity", "bill_billing_entity", "bill_bill_type", "bill_payer_account_id",
    "bill_payer_account_name", "line_item_usage_account_id", "line_item_usage_account_name",
    "line_item_line_item_type", "line_item_product_code", "line_item_usage_type", "line_item_operation",
    "line_item_availability_zone", "line_item_resource_id", "line_item_currency_code",
    "line_item_line_item_description", "line_item_legal_entity", "line_item_tax_type", "line_item_iam_principal",
    "product_product_name", "product_servicename", "product_product_family", "product_instance_type",
    "product_region_code", "product_region", "product_location", "product_sku", "pricing_unit", "pricing_rate_code",
    "reservation_reservation_a_r_n", "savings_plan_savings_plan_a_r_n", "savings_plan_offering_type",
    "savings_plan_payment_option", "savings_plan_purchase_term", "split_line_item_parent_resource_id",
    "capacity_reservation_capacity_reservation_arn", "capacity_reservation_capacity_reservation_status",
)  # fmt: skip
NUMBERS: Final = (
    "line_item_usage_amount", "line_item_unblended_cost", "line_item_unblended_rate", "line_item_net_unblended_cost",
    "line_item_net_unblended_rate", "pricing_public_on_demand_cost", "pricing_public_on_demand_rate",
    "reservation_effective_cost", "reservation_net_effective_cost", "reservation_amortized_upfront_cost_for_usage",
    "reservation_recurring_fee_for_usage", "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_net_unused_amortized_upfront_fee_for_billing_period", "reservation_unused_recurring_fee",
    "reservation_net_unused_recurring_fee", "reservation_unused_quantity",
    "savings_plan_savings_plan_effective_cost", "savings_plan_net_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date", "savings_plan_used_commitment",
    "savings_plan_amortized_upfront_commitment_for_billing_period",
    "savings_plan_net_amortized_upfront_commitment_for_billing_period",
    "savings_plan_recurring_commitment_for_billing_period",
    "savings_plan_net_recurring_commitment_for_billing_period",
)  # fmt: skip
TIMES: Final = (
    "bill_billing_period_start_date", "line_item_usage_start_date", "line_item_usage_end_date",
)  # fmt: skip
NEEDED: Final = (
    "line_item_line_item_type", "line_item_unblended_cost", "line_item_currency_code", *TIMES,
)  # fmt: skip
"""Without these columns a file is refused: a charge could be neither summed nor dated."""

Kinds = Mapping[str, pl.DataType]


@dataclass(frozen=True)
class Layout:
    """Where a file keeps what its charges are made from.

    cells: AWS's name (of TEXTS, NUMBERS, TIMES) -> cleaned cell over the file's columns, and its type. tags,
    cost_categories, discounts: JSON text, null where the row has none. split: columns of split cost allocation data.
    total_discount: what a row's discounts sum to, where the file says so. opened: columns that the cells read beside
    the file's own.
    """

    cells: dict[str, tuple[pl.Expr, pl.DataType]]
    tags: pl.Expr
    cost_categories: pl.Expr
    discounts: pl.Expr
    split: dict[str, str]
    total_discount: pl.Expr | None
    opened: tuple[pl.Expr, ...] = ()


def plain(name: str) -> str:
    """`lineItem/UsageAmount` and `line_item_usage_amount` are one column."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def named(kinds: Kinds) -> dict[str, str]:
    """AWS's name -> the file's column, for every column of TEXTS, NUMBERS and TIMES that the file has."""
    by_name = {plain(c): c for c in reversed(list(kinds)) if c != ROW_INDEX}
    wanted = (*TEXTS, *NUMBERS, *TIMES)
    return {name: by_name[plain(name)] for name in wanted if plain(name) in by_name}


def split_columns(kinds: Kinds) -> dict[str, str]:
    """Name in x_SourceColumns -> the file's column, for split cost allocation data."""
    return {c.replace("splitLineItem/", "split_line_item_"): c for c in kinds if plain(c).startswith("splitlineitem")}
