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
| x_ServiceTier | service_tier |
| x_SourceColumns | the other fields |

The report leaves out the costs of the priority tier, and holds no quantities. Source: the API reference of the cost
report, checked 2026-11-21; it names three token types, and those of cache writes are read by their prefix.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors import api_pages
from connectors.api_pages import COST, USAGE, Api, BadRow, Json, currency, details, number, stored, text
from connectors.registry import RawPart
from finops import schema as s
from finops.money import CONTEXT

NAME: Final = "anthropic"

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


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None]
) -> list[RawPart]:
    """The cost pages at a path; see connectors.api_pages.find_parts."""
    return api_pages.find_parts(API, path, until=until, options=options, say=say)


def parse(part: RawPart) -> pl.LazyFrame:
    """The page's costs as charges; see connectors.registry."""
    return api_pages.parse(API, part)


def _instant(value: object) -> datetime:
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise BadRow("is missing" if value is None else f'is "{value}", which is no RFC 3339 time') from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _kind(result: Json) -> str | None:
    if result.keys() & {"amount", "cost_type"}:
        return COST
    return USAGE if result.keys() & {"uncached_input_tokens", "output_tokens"} else None


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
    tier, workspace = text(result.get("service_tier")), text(result.get("workspace_id"))
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


API: Final = Api(
    provider="Anthropic",
    start="starting_at",
    end="ending_at",
    instant=_instant,
    is_page=lambda document: "object" not in document,
    kind=_kind,
    amount=_amount,
    currency=_currency,
    charge=_charge,
)
