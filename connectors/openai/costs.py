"""OpenAI's costs: saved pages of GET /v1/organization/costs, JSON as the API answers them.

| FOCUS column | from |
|---|---|
| BilledCost, EffectiveCost, ListCost, ContractedCost | amount.value |
| BillingCurrency | amount.currency, in capitals |
| ChargePeriodStart, ChargePeriodEnd | start_time, end_time of the bucket (seconds since 1970, UTC) |
| BillingPeriodStart, BillingPeriodEnd | the month of start_time |
| SubAccountId | project_id |
| SkuId, SkuMeter, ChargeDescription | line_item |
| SkuPriceDetails | line_item: "<model>, <kind of token>" |
| ConsumedQuantity, PricingQuantity and their units | quantity, quantity_unit |
| x_ConsumerId | api_key_id, else user_id |
| x_SourceColumns | the other fields |

Source: the API reference of the costs endpoint, checked 2026-11-21.
"""

import re
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors import api_costs
from connectors.api_costs import Costs, currency
from connectors.api_pages import Json, details, number, stored, text
from connectors.openai.pages import API
from connectors.registry import RawPart
from finops import schema as s

UNITS: Final = {
    "tokens": "Tokens", "1000_tokens": "1000 Tokens", "duration_seconds": "Seconds", "duration_minutes": "Minutes",
    "duration_hours": "Hours", "gibibyte_hours": "GiB-Hours", "images": "Images", "characters": "Characters",
    None: "Units",
}  # fmt: skip
"""ConsumedUnit <- quantity_unit; calls and sessions come without one."""
TIERS: Final = ("batch", "priority", "flex", "standard")
_MAPPED: Final = ("object", "amount", "line_item", "project_id", "quantity", "quantity_unit")


def parse(part: RawPart) -> pl.LazyFrame:
    """The page's costs as charges; see connectors.registry."""
    return api_costs.parse(COSTS, part)


def _amount(result: Json) -> Decimal:
    return stored(number(_money(result).get("value"), "amount.value"))


def _currency(result: Json) -> str:
    return currency(_money(result).get("currency"))


def _money(result: Json) -> Json:
    amount = result.get("amount")
    return amount if isinstance(amount, dict) else {}


def _charge(result: Json) -> dict[str, Any]:
    line_item, project = text(result.get("line_item")), text(result.get("project_id"))
    measured = result.get("quantity") is not None
    quantity = stored(number(result["quantity"], "quantity")) if measured else None
    written = text(result.get("quantity_unit"))
    unit = UNITS.get(written, written) if measured else None
    price = _price_details(line_item)
    return {
        s.SERVICE_NAME: "OpenAI API",
        s.SUB_ACCOUNT_ID: project,
        s.SUB_ACCOUNT_TYPE: "Project" if project else None,
        **dict.fromkeys((s.SKU_ID, s.SKU_METER), line_item),
        s.CHARGE_DESCRIPTION: line_item or "OpenAI API",
        s.SKU_PRICE_DETAILS: details(price),
        s.SERVICE_TIER: price["x_ServiceTier"],
        **dict.fromkeys((s.CONSUMED_QUANTITY, s.PRICING_QUANTITY), quantity),
        **dict.fromkeys((s.CONSUMED_UNIT, s.PRICING_UNIT), unit),
        s.CONSUMER_ID: text(result.get("api_key_id")) or text(result.get("user_id")),
        s.SOURCE_COLUMNS: details({k: v for k, v in result.items() if k not in _MAPPED}),
    }


def _price_details(line_item: str | None) -> dict[str, str | None]:
    """Model, direction, cache action and tier that a line item names; `gpt-6-astra, cached_input_tokens`."""
    model, _, kind = (line_item or "").rpartition(", ")
    words = set(re.findall("[a-z]+", kind.lower()))
    direction = "Output" if "output" in words else "Input" if "input" in words else None
    cached = words & {"cached", "cache"}
    action = "Write" if cached and words & {"write", "creation"} else "Read" if cached else "Uncached"
    return {
        "ModelId": model or None,
        "TokenDirection": direction,
        "TokenCacheAction": action if direction == "Input" else None,
        "x_ServiceTier": next((tier for tier in TIERS if tier in words), None),
    }


COSTS: Final = Costs(api=API, amount=_amount, currency=_currency, charge=_charge)
