"""Pages of a provider's cost API as charges: one charge a result, billed as it says."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from connectors.api_pages import COSTS, Api, BadRow, Json, read_page, row_of
from connectors.registry import PARSED, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError


@dataclass(frozen=True)
class Costs:
    """How a provider writes the results of its cost pages.

    amount, currency: a result's, or BadRow. charge: further FOCUS and x_ columns of a result, or BadRow.
    """

    api: Api
    amount: Callable[[Json], Decimal]
    currency: Callable[[Json], str]
    charge: Callable[[Json], dict[str, Any]]


def parse(costs: Costs, part: RawPart) -> pl.LazyFrame:
    """The results of a cost page as charges, one each; see connectors.registry.

    Raises InputError for a file that is no page of costs.
    """
    page = read_page(costs.api, part)
    if page.kind not in (COSTS, None):
        raise InputError(
            f"{part.path} is a usage page: tokens and requests, no cost",
            expected=f"a page of {costs.api.provider}'s cost endpoint",
            next_step="ingest the cost pages of the same days",
        )
    rows = [
        {**_row(costs, bucket, result, part), s.SOURCE_FILE: part.name, s.SOURCE_ROW: row, SOURCE_ROWS: 1}
        for row, bucket, result in page.results()
    ]
    return pl.DataFrame(rows, schema=PARSED).lazy()


def _row(costs: Costs, bucket: Json, result: object, part: RawPart) -> dict[str, Any]:
    """The result's charge, or what could be read of it with everything that is wrong."""
    steps: list[Callable[[], dict[str, Any]]] = [lambda: _periods(costs.api, bucket)]
    if isinstance(result, dict) and costs.api.kind(result) == COSTS:
        steps += [
            lambda: _amounts(costs.amount(result)),
            lambda: {s.BILLING_CURRENCY: costs.currency(result)},
            lambda: costs.charge(result),
        ]
    else:
        steps.append(_no_cost)
    row = row_of(steps, bucket, result)
    if REJECT in row:
        return row
    if row[s.CHARGE_CATEGORY] == "Credit":
        row |= dict.fromkeys((s.CONSUMED_QUANTITY, s.CONSUMED_UNIT))
    provider = costs.api.provider
    return row | {
        s.SERVICE_PROVIDER_NAME: provider, s.HOST_PROVIDER_NAME: provider, s.INVOICE_ISSUER_NAME: provider,
        s.BILLING_ACCOUNT_ID: part.options.get("organization") or provider,
        s.SERVICE_CATEGORY: "AI and Machine Learning",
        s.SERVICE_SUBCATEGORY: "AI and Machine Learning/Generative AI",
        s.IS_AI: True, s.HOSTING: "api",
    }  # fmt: skip


def _no_cost() -> dict[str, Any]:
    raise BadRow("the result is no cost")


def _amounts(amount: Decimal) -> dict[str, Any]:
    """The endpoints state one amount, what is billed; below zero it is money given back."""
    costs = (s.BILLED_COST, s.EFFECTIVE_COST, s.LIST_COST, s.CONTRACTED_COST)
    credit = amount < 0
    return {
        **dict.fromkeys(costs, amount),
        s.CHARGE_CATEGORY: "Credit" if credit else "Usage",
        s.CHARGE_FREQUENCY: "One-Time" if credit else "Usage-Based",
    }


def _periods(api: Api, bucket: Json) -> dict[str, datetime]:
    start, end = api.period(bucket)
    month = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return {
        s.CHARGE_PERIOD_START: start, s.CHARGE_PERIOD_END: end,
        s.BILLING_PERIOD_START: month, s.BILLING_PERIOD_END: following,
    }  # fmt: skip


def currency(value: object) -> str:
    """The ISO 4217 code in capitals; raises BadRow for anything else."""
    code = value.strip().upper() if isinstance(value, str) else ""
    if re.fullmatch("[A-Z]{3}", code):
        return code
    raise BadRow(f'currency is "{value}", which is no ISO 4217 code' if value else "currency is missing")
