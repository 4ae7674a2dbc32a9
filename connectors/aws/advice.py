"""What AWS itself recommends, as a second opinion: savings plans and reservations to buy, machines to change.

| kind | from | what it compares |
|---|---|---|
| savings_plan | GetSavingsPlansPurchaseRecommendation | 30 days of usage on demand with a commitment, no upfront |
| reservation | GetReservationPurchaseRecommendation | the same for reserved EC2 instances |
| as AWS names it: Rightsize, Stop ... | Cost Optimization Hub, ListRecommendations | a resource with another or none |

AWS's savings are estimates of a month at its own prices. They overlap: a machine that is stopped needs no plan, and one
usage can be covered by one plan only. So they are never summed here.

Source: Cost Explorer and Cost Optimization Hub API references; read 2026-11-21.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any, Final

import polars as pl

from connectors.api_pages import stored
from connectors.aws.api import HOME_REGION, Api
from connectors.aws.cost_explorer import USD_PER_REQUEST
from finops.errors import FinopsError, SourceUnreachable
from finops.schema import MONEY

PLANS, RESERVATIONS, HUB = (
    "ce:GetSavingsPlansPurchaseRecommendation", "ce:GetReservationPurchaseRecommendation",
    "cost-optimization-hub:ListRecommendations",
)  # fmt: skip
ADVICE: Final[dict[str, pl.DataType]] = {
    "kind": pl.String(), "account_id": pl.String(), "region": pl.String(), "resource": pl.String(),
    "current": pl.String(), "recommended": pl.String(), "term_years": pl.Int64(), "commitment_per_hour": MONEY,
    "upfront": MONEY, "monthly_savings": MONEY, "savings_ratio": pl.Float64(), "currency": pl.String(),
    "effort": pl.String(), "source": pl.String(), "date": pl.Date(),
}  # fmt: skip
_PLAN_TYPES: Final = ("COMPUTE_SP", "EC2_INSTANCE_SP", "SAGEMAKER_SP")
_TERMS: Final = {"ONE_YEAR": 1, "THREE_YEARS": 3}
_COMMON: Final = {"PaymentOption": "NO_UPFRONT", "LookbackPeriodInDays": "THIRTY_DAYS"}
_EC2: Final = "Amazon Elastic Compute Cloud - Compute"


def fetch(
    apis: Callable[[str, str], Api], *, today: date, say: Callable[[str], None]
) -> tuple[pl.DataFrame, list[FinopsError]]:
    """What AWS recommends, the largest savings first, and why a part of it could not be had."""
    requests = len(_PLAN_TYPES) * len(_TERMS) + len(_TERMS)
    say(f"Cost Explorer takes {requests} request(s) or more, {requests * USD_PER_REQUEST} USD, for its recommendations")
    rows: list[dict[str, Any]] = []
    failed: list[FinopsError] = []
    parts = (
        (_plans, apis("ce", HOME_REGION)), (_reservations, apis("ce", HOME_REGION)),
        (_hub, apis("cost-optimization-hub", HOME_REGION)),
    )  # fmt: skip
    for part, api in parts:
        try:
            rows += [{**row, "date": today} for row in part(api)]
        except SourceUnreachable as error:
            failed.append(error)
    frame = pl.DataFrame(rows, schema=ADVICE)
    return frame.sort("monthly_savings", "kind", "resource", descending=[True, False, False], nulls_last=True), failed


def _plans(api: Api) -> Iterator[dict[str, Any]]:
    for kind, (term, years) in product(_PLAN_TYPES, _TERMS.items()):
        asked: dict[str, Any] = {"SavingsPlansType": kind, "TermInYears": term, "AccountScope": "PAYER", **_COMMON}
        operation = "get_savings_plans_purchase_recommendation"
        for page in api.pages(PLANS, operation, token="NextPageToken", **asked):
            found = page.get("SavingsPlansPurchaseRecommendation", {})
            for detail in found.get("SavingsPlansPurchaseRecommendationDetails", ()):
                plan = detail.get("SavingsPlansDetails", {})
                yield {
                    "kind": "savings_plan",
                    "account_id": detail.get("AccountId"),
                    "region": plan.get("Region"),
                    "resource": plan.get("InstanceFamily"),
                    "current": "on demand",
                    "recommended": f"{kind}, {years} year(s), no upfront",
                    "term_years": years,
                    "commitment_per_hour": _money(detail, "HourlyCommitmentToPurchase"),
                    "upfront": _money(detail, "UpfrontCost"),
                    "monthly_savings": _money(detail, "EstimatedMonthlySavingsAmount"),
                    "savings_ratio": _ratio(detail, "EstimatedSavingsPercentage"),
                    "currency": detail.get("CurrencyCode"),
                    "source": "AWS Cost Explorer",
                }


def _reservations(api: Api) -> Iterator[dict[str, Any]]:
    for term, years in _TERMS.items():
        asked: dict[str, Any] = {"Service": _EC2, "TermInYears": term, "AccountScope": "PAYER", **_COMMON}
        operation = "get_reservation_purchase_recommendation"
        for page in api.pages(RESERVATIONS, operation, token="NextPageToken", **asked):
            for detail in (d for found in page.get("Recommendations", ()) for d in found["RecommendationDetails"]):
                machine = detail.get("InstanceDetails", {}).get("EC2InstanceDetails", {})
                count = detail.get("RecommendedNumberOfInstancesToPurchase")
                yield {
                    "kind": "reservation",
                    "account_id": detail.get("AccountId"),
                    "region": machine.get("Region"),
                    "resource": machine.get("InstanceType"),
                    "current": "on demand",
                    "recommended": f"{count} reserved, {years} year(s), no upfront",
                    "term_years": years,
                    "upfront": _money(detail, "UpfrontCost"),
                    "monthly_savings": _money(detail, "EstimatedMonthlySavingsAmount"),
                    "savings_ratio": _ratio(detail, "EstimatedMonthlySavingsPercentage"),
                    "currency": detail.get("CurrencyCode"),
                    "source": "AWS Cost Explorer",
                }


def _hub(api: Api) -> Iterator[dict[str, Any]]:
    for page in api.pages(HUB, "list_recommendations", token="nextToken"):
        for item in page["items"]:
            yield {
                "kind": item["actionType"],
                "account_id": item.get("accountId"),
                "region": item.get("region"),
                "resource": item.get("resourceId") or item.get("resourceArn"),
                "current": item.get("currentResourceSummary") or item.get("currentResourceType"),
                "recommended": item.get("recommendedResourceSummary") or item.get("recommendedResourceType"),
                "monthly_savings": _money(item, "estimatedMonthlySavings"),
                "savings_ratio": _ratio(item, "estimatedSavingsPercentage"),
                "currency": item.get("currencyCode"),
                "effort": item.get("implementationEffort"),
                "source": f"AWS Cost Optimization Hub ({item.get('source', 'unknown')})",
            }


def _money(stated: Mapping[str, Any], name: str) -> Decimal | None:
    """An amount that AWS writes as text, or as a number by its shortest text; null where it states none."""
    value = stated.get(name)
    if value in (None, ""):
        return None
    try:
        return stored(Decimal(str(value)))
    except InvalidOperation as error:
        raise SourceUnreachable(
            f'AWS recommends with {name} "{value}", which is no number',
            expected="an amount",
            next_step="run the command again",
        ) from error


def _ratio(stated: Mapping[str, Any], name: str) -> float | None:
    percent = _money(stated, name)
    return None if percent is None else float(percent / 100)
