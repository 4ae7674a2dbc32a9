"""Budgets of a billing account of Google Cloud as rows of the budgets table.

| budgets | from a Budget |
|---|---|
| budget_id | its id |
| scope | the source; one project: `account`; one service: `service`; one label: the dimension whose tag key it is |
| period | MONTH, QUARTER, YEAR: each one from today's to the year's end; a custom period that is one of these |
| amount, currency | specified_amount |
| cost | billed: cost and credits, as INCLUDE_ALL_CREDITS counts them |
| note | display_name, and at which shares of it Google sends mails |

Left out, and told: an amount that is last period's spend, several projects, services or labels, folders and
subaccounts, credits that are not counted, custom periods that are no month, quarter or year. Periods begin at midnight
in California there, and in UTC here.

Source: Cloud Billing Budget API v1, billingAccounts.budgets.list; read 2026-11-21.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl
from google.cloud.billing.budgets_v1 import Budget, CalendarPeriod, Filter

from connectors.gcp.refusals import LIST_BUDGETS, RAISED
from connectors.gcp.session import Session
from finops.schema import TABLES
from finops.scope import Scope, parse_period

_MONTHS: Final = {CalendarPeriod.MONTH: 1, CalendarPeriod.QUARTER: 3, CalendarPeriod.YEAR: 12}
_COLUMNS: Final = tuple(name for name in TABLES["budgets"].columns if name != "source")


@dataclass(frozen=True)
class Known:
    """What Google's names are called in the lake: projects by number or id, services by id, labels by tag key."""

    source: str
    projects: Mapping[str, str]
    services: Mapping[str, str]
    dimensions: Mapping[str, str]


class _Unlike(Exception):
    """Why a budget is none of ours, in words."""


def fetch(session: Session, account: str) -> list[Budget]:
    """All budgets of a billing account; raises SourceUnreachable when Google does not list them."""
    try:
        request = {"parent": f"billingAccounts/{account}"}
        answer = session.budgets().list_budgets(request=request, retry=session.retry(), timeout=session.tries.answer_s)
        return list(answer)
    except RAISED as error:
        raise session.unreachable(error, LIST_BUDGETS) from error


def rows(budgets: list[Budget], known: Known, *, today: date) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The budgets as rows of the table, without `source`, and those left out with the reason."""
    found: list[dict[str, Any]] = []
    left_out: list[str] = []
    for budget in budgets:
        try:
            found += _rows(budget, known, today)
        except _Unlike as why:
            left_out.append(f"{budget.display_name or budget.name}: {why}")
    schema = {name: TABLES["budgets"].columns[name] for name in _COLUMNS}
    return pl.DataFrame(found, schema=schema), tuple(left_out)


def _rows(budget: Budget, known: Known, today: date) -> Iterator[dict[str, Any]]:
    amount = budget.amount.specified_amount
    if "specified_amount" not in budget.amount or not amount.currency_code:
        raise _Unlike("its amount is what the last period cost")
    alerts = ", ".join(f"{rule.threshold_percent:.0%}" for rule in budget.threshold_rules)
    scope = _scope(budget.budget_filter, known)
    for period in _periods(budget.budget_filter, today):
        yield {
            "budget_id": f"gcp {budget.name.rpartition('/')[2]}",
            "scope": str(scope),
            "period": period,
            "amount": Decimal(amount.units) + Decimal(amount.nanos).scaleb(-9),
            "currency": amount.currency_code,
            "cost": "billed",
            "owner": None,
            "note": budget.display_name + (f"; mails at {alerts}" if alerts else ""),
        }


def _scope(only: Filter, known: Known) -> Scope:
    values = {"source": known.source}
    if only.resource_ancestors or only.subaccounts:
        raise _Unlike("it is for folders, organizations or subaccounts")
    if only.credit_types_treatment not in (
        Filter.CreditTypesTreatment.CREDIT_TYPES_TREATMENT_UNSPECIFIED,
        Filter.CreditTypesTreatment.INCLUDE_ALL_CREDITS,
    ):
        raise _Unlike("it does not count all credits")
    if only.projects:
        values["account"] = _one("project", list(only.projects), known.projects)
    if only.services:
        values["service"] = _one("service", list(only.services), known.services)
    labels = {key: list(label) for key, label in only.labels.items()}
    for key, label in labels.items():
        if len(labels) > 1 or len(label) != 1 or key not in known.dimensions:
            raise _Unlike(f"the label {key} is no tag key of one dimension in finops.toml, or has several values")
        values[known.dimensions[key]] = str(label[0])
    return Scope.of(values)


def _one(what: str, names: list[str], known: Mapping[str, str]) -> str:
    if len(names) > 1:
        raise _Unlike(f"it is for {len(names)} {what}s, and a scope here for one or all")
    name = names[0].rpartition("/")[2]
    if name not in known:
        raise _Unlike(f"the {what} {name} has no charge in the lake, so its name is not known")
    return known[name]


def _periods(only: Filter, today: date) -> Iterator[str]:
    if "custom_period" in only:
        start, end = only.custom_period.start_date, only.custom_period.end_date
        first = date(start.year, start.month, start.day)
        last = date(end.year, end.month, end.day) if end.year else None
        quarter = f"{first.year}-Q{(first.month + 2) // 3}"
        for name in (f"{first:%Y-%m}", quarter, str(first.year)):
            period = parse_period(name)
            if (period.start, period.end - timedelta(days=1)) == (first, last):
                yield name
                return
        raise _Unlike("its custom period is no month, quarter or year")
    months = _MONTHS.get(only.calendar_period, 1)
    for month in range((today.month - 1) // months * months + 1, 13, months):
        named = {1: f"{today.year}-{month:02}", 3: f"{today.year}-Q{(month + 2) // 3}", 12: str(today.year)}
        yield named[months]
