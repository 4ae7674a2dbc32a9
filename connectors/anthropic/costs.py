"""Anthropic's costs: saved pages of GET /v1/organizations/cost_report, JSON as the API answers them.

| FOCUS column | from |
|---|---|
| BilledCost, EffectiveCost, ListCost, ContractedCost | amount / 100: the report counts cents |
| BillingCurrency | currency, in capitals |
| ChargePeriodStart, ChargePeriodEnd | starting_at, ending_at of the bucket |
| BillingPeriodStart, BillingPeriodEnd | the month of starting_at |
| SubAccountId | workspace_id; null is the default workspace |
| SkuId, SkuMeter, ChargeDescription | description |
| SkuPriceDetails | model, token_type, service_tier, context_window |
| x_UsageType | token_type, else cost_type |
| x_ServiceTier | service_tier; with fast mode and region, as in the usage |
| x_SourceColumns | the other fields |

The report leaves out the costs of the priority tier, and holds no quantities. Source: the API reference of the cost
report, checked 2026-11-21; it names three token types, and those of cache writes are read by their prefix.
"""

from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors import api_costs
from connectors.anthropic.pages import API, service_tier
from connectors.api_costs import Costs, currency
from connectors.api_pages import BadRow, Json, details, number, stored, text
from connectors.registry import RawPart
from finops import schema as s
from finops.money import CONTEXT

TOKEN_TYPES: Final = {
    "uncached_input_tokens": ("Input", "Uncached"),
    "cache_read_input_tokens": ("Input", "Read"),
    "cache_creation": ("Input", "Write"),
    "output_tokens": ("Output", None),
}
"""TokenDirection and TokenCacheAction <- token_type up to its point."""
_MAPPED: Final = (
    "amount", "currency", "context_window", "description", "model", "service_tier", "token_type", "workspace_id",
)  # fmt: skip


def parse(part: RawPart) -> pl.LazyFrame:
    """The page's costs as charges; see connectors.registry."""
    return api_costs.parse(COSTS, part)


def _amount(result: Json) -> Decimal:
    return stored(number(result.get("amount"), "amount").scaleb(-2, context=CONTEXT))


def _currency(result: Json) -> str:
    code = currency(result.get("currency"))
    if code != "USD":
        # the smallest unit of a currency is not always its hundredth
        raise BadRow(f'currency is "{code}"; the report is known to count cents of USD only')
    return code


def _charge(result: Json) -> dict[str, Any]:
    description, token_type = text(result.get("description")), text(result.get("token_type"))
    direction, action = TOKEN_TYPES.get((token_type or "").partition(".")[0], (None, None))
    tier, workspace = service_tier(result), text(result.get("workspace_id"))
    price = {
        "ModelId": text(result.get("model")), "TokenDirection": direction, "TokenCacheAction": action,
        "x_ServiceTier": tier, "x_ContextWindow": text(result.get("context_window")),
    }  # fmt: skip
    return {
        s.SERVICE_NAME: "Claude API",
        s.SUB_ACCOUNT_ID: workspace,
        s.SUB_ACCOUNT_TYPE: "Workspace" if workspace else None,
        **dict.fromkeys((s.SKU_ID, s.SKU_METER), description),
        s.CHARGE_DESCRIPTION: description or "Claude API",
        s.SKU_PRICE_DETAILS: details(price),
        s.USAGE_TYPE: token_type or text(result.get("cost_type")),
        s.SERVICE_TIER: tier,
        s.SOURCE_COLUMNS: details({k: v for k, v in result.items() if k not in _MAPPED}),
    }


COSTS: Final = Costs(api=API, amount=_amount, currency=_currency, charge=_charge)
