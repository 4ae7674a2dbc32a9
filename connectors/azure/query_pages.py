"""Saved answers of Cost Management's query as charges and as monthly totals.

A page is what the API answered, byte for byte; its file is named after the question. A query groups by two dimensions
at most, so a month is asked by charge type and pricing model, as far as its totals have them:

| file | view | charge types, pricing models | grouped by | charges |
|---|---|---|---|---|
| usage | AmortizedCost | Usage, without a commitment | MeterCategory, Meter | Usage |
| reservation, savings_plan | AmortizedCost | Usage of one | MeterCategory, Meter | Usage, Committed, Used; billed 0 |
| unused_... | AmortizedCost | UnusedReservation, UnusedSavingsPlan | MeterCategory, Meter | the same, Unused |
| other | AmortizedCost | all others | ChargeType, MeterCategory | purchases, tax, refunds, credits, ... |
| fees | ActualCost | Purchase, Refund of commitments | ChargeType, PricingModel | Purchase; effective 0 |
| actual, amortized | both | all, by month | ChargeType, PricingModel | none: what the charges must sum to |

| FOCUS column | from |
|---|---|
| BilledCost, EffectiveCost | Cost, and 0 where the table above says so |
| ListCost, ContractedCost | null: a query states no price |
| ConsumedQuantity, ConsumedUnit | UsageQuantity in Hours of Virtual Machines; null elsewhere: a query states no unit |
| ServiceName, SkuMeter, x_UsageType | MeterCategory, Meter |
| SubAccountId, BillingAccountId | the scope that was asked: subscription; billing profile, account or subscription |
| x_SourceColumns | ChargeType, PricingModel, UsageQuantity |

Source: Cost Management REST API, Query - Usage, 2025-03-01; cost analysis, charge types and pricing models; read
2026-11-21.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from connectors import files, sync
from connectors.access import NoPage
from connectors.api_pages import BadRow, details, number, row_of, stored, text
from connectors.azure import services
from connectors.http import Document
from connectors.registry import PARSED, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError

Holds = Literal[
    "actual", "amortized", "usage", "reservation", "savings_plan", "unused_reservation", "unused_savings_plan", "other",
    "fees",
]  # fmt: skip
TOTALS: Final[tuple[Holds, ...]] = ("actual", "amortized")
COST, QUANTITY, CURRENCY, DAY = "Cost", "UsageQuantity", "Currency", "UsageDate"
COMMITMENTS: Final[tuple[Holds, ...]] = ("reservation", "savings_plan")
UNUSED: Final[tuple[Holds, ...]] = ("unused_reservation", "unused_savings_plan")
GROUPS: Final[dict[Holds, tuple[str, str]]] = {
    **dict.fromkeys(TOTALS, ("ChargeType", "PricingModel")),
    **dict.fromkeys(("usage", *COMMITMENTS, *UNUSED), ("MeterCategory", "Meter")),
    "other": ("ChargeType", "MeterCategory"), "fees": ("ChargeType", "PricingModel"),
}  # fmt: skip
FOLDER: Final = "cost_management"
SUFFIX: Final = ".json"
_FILE: Final = re.compile(rf"({'|'.join(GROUPS)})-\d{{4}}\.json")
_MICROSOFT: Final = "Microsoft"
_DISCOUNTS: Final = {"reservation": ("Reservation", "Usage"), "savings_plan": ("Savings Plan", "Spend")}
"""CommitmentDiscountType and CommitmentDiscountCategory."""
_CATEGORIES: Final = {"purchase": "Purchase", "refund": "Purchase", "tax": "Tax", "credit": "Credit"}
"""Charge types -> ChargeCategory, as in connectors/azure/costs.py; any other is an Adjustment."""
_PRICING: Final = {"Purchase": "Standard", "Tax": None}
_METER_CATEGORY: Final = "meter category"

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """One saved answer: its question, the scope that was asked, and its rows by the names of their columns."""

    holds: Holds
    scope: str
    rows: tuple[Json, ...]


# -------------------------------------------------------------------------------------------------------------- files
def is_at(path: Path) -> bool:
    """Whether a path holds charges of Cost Management's query rather than an export."""
    if path.is_file():
        return path.suffix == SUFFIX
    return any(charge_pages(month) for month in (path / FOLDER).glob("[0-9]*"))


def charge_pages(month: Path) -> list[Path]:
    """The pages of a month's folder that hold charges, sorted by name."""
    return sorted(page for page in month.iterdir() if _holds(page) not in (None, *TOTALS))


def find_parts(path: Path, *, until: date, options: dict[str, str] | None = None) -> list[RawPart]:
    """The pages that hold charges, at a path; raises InputError where an export lies beside them: it has them too."""
    if path.is_dir() and any(p.name.endswith(files.SUFFIXES) for p in path.rglob("*") if p.is_file()):
        raise InputError(
            f"{path} holds answers of Cost Management and files of an export",
            expected="one of them: both say what the same usage cost",
            next_step=f"remove {path / FOLDER}, or the files of the export, and give each source its own folder",
        )
    where = path / FOLDER if (path / FOLDER).is_dir() else path
    parts = files.find_parts(where, until=until, options=options, suffixes=(SUFFIX,))
    return [part for part in parts if _holds(part.path) not in TOTALS]


def _holds(path: Path) -> Holds | None:
    found = _FILE.fullmatch(path.name)
    return found[1] if found else None  # type: ignore[return-value]


def read_page(path: Path) -> Page:
    """The page in a file; raises InputError that names it where it is damaged or of another format."""
    holds = _holds(path)
    if holds is None:
        raise _alien(path, "is not named as an answer of Cost Management")
    try:
        document = json.loads(path.read_bytes(), parse_float=Decimal)
        rows, _ = rows_of(holds)(document)
    except (ValueError, RecursionError) as error:
        raise _alien(path, f"is cut off or no JSON: {error}") from error
    except NoPage as why:
        raise _alien(path, f"is no answer of Cost Management: {why}") from why
    scope = str(document.get("id") or "").lower().partition("/providers/microsoft.costmanagement/")[0]
    return Page(holds, scope, tuple(rows))


def rows_of(holds: Holds) -> Callable[[Document], tuple[list[Any], str | None]]:
    """Reads the rows of a question's page, each by the names of its columns, and its link to the next page."""
    needed = {COST, CURRENCY, *GROUPS[holds], *(() if holds in TOTALS else (DAY, QUANTITY))}

    def read(document: Document) -> tuple[list[Any], str | None]:
        if document == {}:  # Azure answers 204 where a scope has no costs
            return [], None
        found = document.get("properties") if isinstance(document, dict) else None
        said = found if isinstance(found, dict) else {}
        columns, rows, link = (said.get(name) for name in ("columns", "rows", "nextLink"))
        if not isinstance(columns, list) or not isinstance(rows, list):
            raise NoPage("it has no columns and rows")
        names = [column.get("name") if isinstance(column, dict) else None for column in columns]
        missing = sorted(needed - set(names))
        if missing:
            raise NoPage(f"it has no column {', '.join(missing)}")
        if not all(isinstance(row, list) and len(row) == len(names) for row in rows):
            raise NoPage("a row has more or fewer values than there are columns")
        return [dict(zip(names, row, strict=True)) for row in rows], link if isinstance(link, str) and link else None

    return read


def _alien(path: Path, found: str) -> InputError:
    return InputError(
        f"{path} {found}",
        expected="an answer of Cost Management's query as `finops ingest` saves it",
        next_step="delete the file and run `finops ingest` again",
    )


# ------------------------------------------------------------------------------------------------------------ charges
def parse(part: RawPart) -> pl.LazyFrame:
    """The rows of a page as charges; see connectors.registry. Raises InputError for a file that is no such page."""
    page = read_page(part.path)
    rows = [
        {**_charge(page, row), s.SOURCE_FILE: part.name, s.SOURCE_ROW: place, SOURCE_ROWS: 1}
        for place, row in enumerate(page.rows, start=1)
    ]
    frame = pl.LazyFrame(rows, schema={**PARSED, _METER_CATEGORY: pl.String()})
    category, nothing = pl.col(_METER_CATEGORY), pl.lit(None, dtype=pl.String)
    subcategory = services.subcategory(category, nothing)
    return frame.with_columns(
        services.name(category, nothing).alias(s.SERVICE_NAME),
        subcategory.alias(s.SERVICE_SUBCATEGORY),
        services.category(subcategory).alias(s.SERVICE_CATEGORY),
    ).select(list(PARSED))


def _charge(page: Page, row: Json) -> dict[str, Any]:
    steps: list[Callable[[], dict[str, Any]]] = [
        lambda: _periods(row),
        lambda: _costs(page.holds, row),
        lambda: _kind(page.holds, row),
        lambda: _quantity(page.holds, row),
    ]
    charge = row_of(steps, {"holds": page.holds}, row)
    source = {"x_ChargeType": row.get("ChargeType"), "x_PricingModel": row.get("PricingModel")}
    quantity = {"x_UsageQuantity": str(row[QUANTITY]) if page.holds not in ("fees", "other") else None}
    return charge | _names(page, row) | {
        s.SERVICE_PROVIDER_NAME: _MICROSOFT, s.HOST_PROVIDER_NAME: _MICROSOFT, s.INVOICE_ISSUER_NAME: _MICROSOFT,
        s.SOURCE_COLUMNS: details(source | quantity),
    }  # fmt: skip


def _periods(row: Json) -> dict[str, datetime]:
    start = _day(row[DAY])
    month = start.replace(day=1)
    return {
        s.CHARGE_PERIOD_START: start, s.CHARGE_PERIOD_END: start + timedelta(days=1), s.BILLING_PERIOD_START: month,
        s.BILLING_PERIOD_END: month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1),
    }  # fmt: skip


def _day(value: object) -> datetime:
    """A usage date as it is written: the number 20261101."""
    try:
        return datetime.strptime(f"{value}+0000", "%Y%m%d%z")
    except ValueError as error:
        raise BadRow(f'{DAY} is "{value}", which is no day as 20261101') from error


def _costs(holds: Holds, row: Json) -> dict[str, Any]:
    cost, currency = stored(number(row[COST], COST)), str(row[CURRENCY] or "")
    if not re.fullmatch("[A-Z]{3}", currency):
        raise BadRow(f'{CURRENCY} is "{currency}", which is no ISO 4217 code')
    return {
        s.BILLED_COST: Decimal(0) if holds in (*COMMITMENTS, *UNUSED) else cost,
        s.EFFECTIVE_COST: Decimal(0) if holds == "fees" else cost,
        s.BILLING_CURRENCY: currency,
    }


def _kind(holds: Holds, row: Json) -> dict[str, Any]:
    """Category, frequency and what the charge is to a commitment."""
    if holds in (*COMMITMENTS, *UNUSED):
        status = "Unused" if holds in UNUSED else "Used"
        return {**_category("Usage", "Committed"), **_discount(holds.removeprefix("unused_"), status)}
    if holds == "usage":
        dynamic = re.search(r"(?i)\b(?:spot|low priority)$", str(row["Meter"] or ""))
        return _category("Usage", "Dynamic" if dynamic else "Standard")
    kind = _plain(row["ChargeType"])
    category = _CATEGORIES.get(kind, "Adjustment")
    found = _category(category, _PRICING.get(category, "Other"))
    if holds == "fees":
        found |= _discount(_commitment(row["PricingModel"]), None)
    return found | {s.CHARGE_CLASS: "Correction"} if kind == "refund" else found


def _category(category: str, pricing: str | None) -> dict[str, Any]:
    return {
        s.CHARGE_CATEGORY: category,
        s.CHARGE_FREQUENCY: "Usage-Based" if category == "Usage" else "One-Time",
        s.PRICING_CATEGORY: pricing,
    }


def _discount(of: str | None, status: str | None) -> dict[str, Any]:
    kind, category = _DISCOUNTS[of] if of else (None, None)
    return {
        s.COMMITMENT_DISCOUNT_TYPE: kind, s.COMMITMENT_DISCOUNT_CATEGORY: category,
        s.COMMITMENT_DISCOUNT_STATUS: status,
    }  # fmt: skip


def _quantity(holds: Holds, row: Json) -> dict[str, Any]:
    if holds not in ("usage", *COMMITMENTS) or row["MeterCategory"] != "Virtual Machines":
        return {}
    return {s.CONSUMED_QUANTITY: stored(number(row[QUANTITY], QUANTITY)), s.CONSUMED_UNIT: "Hours"}


def _names(page: Page, row: Json) -> dict[str, Any]:
    category, meter = text(row.get("MeterCategory")), text(row.get("Meter"))
    if page.holds == "fees":
        words = [text(row["PricingModel"]), text(row["ChargeType"])]
    else:
        words = [category, meter or (text(row["ChargeType"]) if page.holds == "other" else None)]
    subscription = re.search(r"subscriptions/([^/]+)", page.scope)
    account = re.search(r"billingprofiles/([^/]+)", page.scope) or re.search(r"billingaccounts/([^/]+)", page.scope)
    where = account or subscription
    return {
        _METER_CATEGORY: category,
        s.SKU_METER: meter,
        s.USAGE_TYPE: meter,
        s.CHARGE_DESCRIPTION: " ".join(word for word in words if word) or None,
        s.SUB_ACCOUNT_ID: subscription[1] if subscription else None,
        s.BILLING_ACCOUNT_ID: where[1] if where else _MICROSOFT,
    }


def _plain(value: object) -> str:
    return re.sub(r"[\s_-]", "", str(value or "")).lower()


def _commitment(model: object) -> Holds | None:
    """Which commitment a pricing model is; None for one that is none."""
    return next((holds for holds in COMMITMENTS if _plain(holds) == _plain(model)), None)


# ------------------------------------------------------------------------------------------------------------- totals
@dataclass(frozen=True)
class Total:
    """What Cost Management says that a charge type and pricing model come to in one month, in one view."""

    view: Holds
    charge_type: str
    model: str
    currency: str
    amount: Decimal


def belongs_to(total: Total) -> Holds | None:
    """The question whose charges a total is of; None where another view's question has them."""
    unused = next((holds for holds in UNUSED if _plain(holds) == _plain(total.charge_type)), None)
    commitment, is_usage = _commitment(total.model), _plain(total.charge_type) == "usage"
    if total.view == "actual":
        return "fees" if commitment and not is_usage and not unused else None
    return (commitment or "usage") if is_usage else unused or "other"


def totals(month: Path) -> list[Total]:
    """The totals that were saved in a month's folder; raises InputError for a page that cannot be read."""
    return [
        total
        for path in sorted(month.iterdir())
        if _holds(path) in TOTALS
        for total in _of_page(path)
    ]  # fmt: skip


def _of_page(path: Path) -> Iterator[Total]:
    page = read_page(path)
    for row in page.rows:
        try:
            amount = stored(number(row[COST], COST))
        except BadRow as reason:
            raise _alien(path, f"cannot be read: {reason}") from reason
        yield Total(
            page.holds, str(row["ChargeType"] or ""), str(row["PricingModel"] or ""), str(row[CURRENCY]), amount
        )


def invoice_rows(folder: Path, source_id: str) -> pl.DataFrame:
    """The totals of final months (actual cost, before tax) as rows of the table `invoices`, one for each currency."""
    rows = []
    for month in sorted((folder / FOLDER).glob("[0-9]*")):
        if not sync.stated(month / sync.PULLED).get("final"):
            continue
        amounts: dict[str, Decimal] = {}
        for total in totals(month):
            if total.view == "actual":
                amounts[total.currency] = amounts.get(total.currency, Decimal(0)) + total.amount
        rows += [
            {
                "invoice_id": f"{FOLDER}/{month.name}", "source_id": source_id, "billing_period": month.name,
                "issuer": _MICROSOFT, "amount": amount, "currency": currency, "source": FOLDER,
            }
            for currency, amount in sorted(amounts.items())
        ]  # fmt: skip
    return pl.DataFrame(rows, schema=s.TABLES["invoices"].columns)
