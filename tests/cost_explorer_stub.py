"""A year of AWS that answers GetCostAndUsage: line items in, groups out, in pages, as Cost Explorer sums them."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from connectors.aws.api import Api
from connectors.aws.session import Tries

QUICK = Tries(sdk=1, attempts=4, first_wait_s=0.001, longest_wait_s=0.002, answer_s=5)


@dataclass(frozen=True)
class Item:
    """What one account used or was charged on one day."""

    day: date
    account: str
    record_type: str
    service: str
    usage_type: str
    unblended: str
    amortized: str
    quantity: str = "0"
    unit: str = "Hrs"

    def dimension(self, key: str) -> str:
        return {
            "LINKED_ACCOUNT": self.account, "RECORD_TYPE": self.record_type, "SERVICE": self.service,
            "USAGE_TYPE": self.usage_type, "INVOICING_ENTITY": "Amazon Web Services, Inc.",
        }[key]  # fmt: skip


@dataclass
class CostExplorer:
    """boto3's Cost Explorer client over items; failures are raised first, in order; final_before: no estimates then."""

    items: list[Item]
    failures: list[ClientError] = field(default_factory=list)
    groups_a_page: int = 1000
    final_before: date = date(2026, 11, 1)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def get_cost_and_usage(self, **request: Any) -> dict[str, Any]:
        if self.failures:
            raise self.failures.pop(0)
        self.asked.append(request)
        start, end = (date.fromisoformat(request["TimePeriod"][name]) for name in ("Start", "End"))
        keys = [group["Key"] for group in request["GroupBy"]]
        spans = _spans(start, end, request["Granularity"])
        rows = [(span, group) for span in spans for group in self._groups(span, keys, request)]
        skip = int(request.get("NextPageToken", 0))
        page = rows[skip : skip + self.groups_a_page]
        answer: dict[str, Any] = {
            "GroupDefinitions": request["GroupBy"],
            "ResultsByTime": [
                {
                    "TimePeriod": {"Start": span[0].isoformat(), "End": span[1].isoformat()},
                    "Total": {},
                    "Groups": [group for where, group in page if where == span],
                    "Estimated": span[1] > self.final_before,
                }
                for span in spans
            ],
            "DimensionValueAttributes": [],
            "ResponseMetadata": {"HTTPStatusCode": 200},
        }
        if skip + self.groups_a_page < len(rows):
            answer["NextPageToken"] = str(skip + self.groups_a_page)
        return answer

    def _groups(self, span: tuple[date, date], keys: list[str], request: dict[str, Any]) -> list[dict[str, Any]]:
        sums: dict[tuple[str, ...], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        units: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for item in self.items:
            if span[0] <= item.day < span[1] and _matches(item, request.get("Filter")):
                key = tuple(item.dimension(name) for name in keys)
                for metric, value in (("UnblendedCost", item.unblended), ("AmortizedCost", item.amortized),
                                      ("UsageQuantity", item.quantity)):  # fmt: skip
                    sums[key][metric] += Decimal(value)
                units[key].add(item.unit)
        return [
            {
                "Keys": list(key),
                "Metrics": {
                    metric: {
                        "Amount": str(amounts[metric]),
                        "Unit": (units[key].pop() if len(units[key]) == 1 else "N/A")
                        if metric == "UsageQuantity"
                        else "USD",
                    }
                    for metric in request["Metrics"]
                },
            }
            for key, amounts in sorted(sums.items())
        ]


def _spans(start: date, end: date, granularity: str) -> list[tuple[date, date]]:
    found = []
    while start < end:
        following = start + timedelta(days=1)
        if granularity == "MONTHLY":
            following = min((start.replace(day=1) + timedelta(days=32)).replace(day=1), end)
        found.append((start, following))
        start = following
    return found


def _matches(item: Item, condition: dict[str, Any] | None) -> bool:
    if condition is None:
        return True
    if "And" in condition:
        return all(_matches(item, term) for term in condition["And"])
    if "Not" in condition:
        return not _matches(item, condition["Not"])
    return item.dimension(condition["Dimensions"]["Key"]) in condition["Dimensions"]["Values"]


def failure(code: str, status: int = 400) -> ClientError:
    """An error of AWS's with this code."""
    response: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "GetCostAndUsage")


def api(client: Any) -> Api:
    """The client as the product calls it, without waits."""
    return Api(client, who="ours", tries=QUICK, say=lambda _: None)


def page(holds: str, *groups: tuple[str, dict[str, Any]], account: str | None = None) -> str:
    """A saved page of these groups, each with its day; a group's metrics are UnblendedCost, AmortizedCost, quantity."""
    buckets = [
        {
            "TimePeriod": {"Start": day, "End": str(date.fromisoformat(day) + timedelta(days=1))},
            "Total": {},
            "Groups": [group],
            "Estimated": False,
        }
        for day, group in groups
    ]
    return json.dumps({"holds": holds, "account": account, "request": {}, "answer": {"ResultsByTime": buckets}})


def group(one: str, other: str, billed: str, effective: str, quantity: str = "1", unit: str = "Hrs") -> dict[str, Any]:
    """A group as Cost Explorer writes it."""
    metrics = {"UnblendedCost": (billed, "USD"), "AmortizedCost": (effective, "USD"), "UsageQuantity": (quantity, unit)}
    return {"Keys": [one, other], "Metrics": {name: {"Amount": a, "Unit": u} for name, (a, u) in metrics.items()}}
