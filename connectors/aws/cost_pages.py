"""Saved answers of AWS Cost Explorer as charges and as monthly totals.

A page is `{"holds": ..., "account": ..., "request": {...}, "answer": {...}}`: what was asked of GetCostAndUsage, and
what it answered. A request groups by two dimensions at most, so a month is asked three times, by record types:

| holds | record types | grouped by | charges |
|---|---|---|---|
| usage | Usage | SERVICE, USAGE_TYPE | Usage, billed as stated |
| committed | DiscountedUsage, SavingsPlanCoveredUsage | SERVICE, USAGE_TYPE | Usage, Committed; billed 0, see below |
| other | all others | RECORD_TYPE, SERVICE | fees, taxes, credits, refunds, discounts |
| totals | all, by month | LINKED_ACCOUNT, INVOICING_ENTITY | none: what the charges must sum to, and an invoice says |

| FOCUS column | from |
|---|---|
| BilledCost | UnblendedCost |
| EffectiveCost | AmortizedCost |
| ListCost, ContractedCost | null: Cost Explorer states no list price |
| ConsumedQuantity, ConsumedUnit | UsageQuantity and its unit; null where a group mixes units ("N/A") |
| ServiceName, x_UsageType | SERVICE, USAGE_TYPE |
| RegionId | the prefix of the usage type |
| SubAccountId, BillingAccountId | the account that the request was filtered by; null where all were asked at once |
| x_SourceColumns | RECORD_TYPE; x_Estimated where AWS says that the day is not final |

Savings plans: covered usage carries its on-demand price and SavingsPlanNegation takes it back, so neither is billed;
the fee is. A fee whose amortised cost is not 0 has an unused part, which is a charge of its own, as in AWS's bills.

Source: Cost Explorer API reference, GetCostAndUsage; Cost Management user guide, record types ("Term comparison");
AWS billing user guide, region prefixes of usage types; read 2026-11-21.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, get_args

import polars as pl

from connectors import files
from connectors.api_pages import BadRow, as_json, number, row_of, stored
from connectors.aws.costs import UNITS
from connectors.aws.services import named_subcategory
from connectors.registry import PARSED, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError

Holds = Literal["usage", "committed", "other", "totals"]
KINDS: Final[tuple[Holds, ...]] = get_args(Holds)
CHARGED: Final[tuple[Holds, ...]] = ("usage", "committed", "other")
RECORD_TYPES: Final = {"usage": ("Usage",), "committed": ("DiscountedUsage", "SavingsPlanCoveredUsage")}
GROUPS: Final[dict[Holds, tuple[str, str]]] = {
    "usage": ("SERVICE", "USAGE_TYPE"), "committed": ("SERVICE", "USAGE_TYPE"), "other": ("RECORD_TYPE", "SERVICE"),
    "totals": ("LINKED_ACCOUNT", "INVOICING_ENTITY"),
}  # fmt: skip
BILLED, EFFECTIVE, QUANTITY = "UnblendedCost", "AmortizedCost", "UsageQuantity"
SUFFIX: Final = ".json"
FOLDER: Final = "cost_explorer"
_AWS: Final = "AWS"
_FEES: Final = {"RIFee": "Recurring", "SavingsPlanRecurringFee": "Recurring", "Recurring": "Recurring"} | dict.fromkeys(
    ("Fee", "Upfront", "SavingsPlanUpfrontFee"), "One-Time"
)
"""Record types of fees <- how often they are charged."""
_COMMITMENTS: Final = ("RIFee", "Recurring", "SavingsPlanRecurringFee", "SavingsPlanUpfrontFee")
_OTHERS: Final = {"Tax": ("Tax", "Recurring"), "Credit": ("Credit", "One-Time"), "Support": ("Purchase", "Recurring")}
_REGIONS: Final = {
    "USE1": "us-east-1", "USE2": "us-east-2", "USW1": "us-west-1", "USW2": "us-west-2", "CAN1": "ca-central-1",
    "CAN2": "ca-west-1", "SAE1": "sa-east-1", "EU": "eu-west-1", "EUW1": "eu-west-1", "EUW2": "eu-west-2",
    "EUW3": "eu-west-3", "EUC1": "eu-central-1", "EUC2": "eu-central-2", "EUN1": "eu-north-1", "EUS1": "eu-south-1",
    "EUS2": "eu-south-2", "APN1": "ap-northeast-1", "APN2": "ap-northeast-2", "APN3": "ap-northeast-3",
    "APS1": "ap-southeast-1", "APS2": "ap-southeast-2", "APS3": "ap-south-1", "APS4": "ap-southeast-3",
    "APS5": "ap-south-2", "APS6": "ap-southeast-4", "APE1": "ap-east-1", "MES1": "me-south-1", "MEC1": "me-central-1",
    "AFS1": "af-south-1", "ILC1": "il-central-1", "UGW1": "us-gov-west-1", "UGE1": "us-gov-east-1",
}  # fmt: skip
_HOME: Final = re.compile(r"(?:Box|Spot|Dedicated|HostBox)Usage:|EBS:")
"""Usage types of EC2 without a prefix are those of us-east-1."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """One saved answer and what was asked."""

    holds: Holds
    account: str | None
    answer: Json

    def groups(self) -> Iterator[tuple[int, Json, Any]]:
        """Each group with its number, from 1, and its day or month."""
        pairs = ((bucket, group) for bucket in self.answer["ResultsByTime"] for group in bucket.get("Groups", ()))
        return ((row, *pair) for row, pair in enumerate(pairs, start=1))


# -------------------------------------------------------------------------------------------------------------- files
def is_at(path: Path) -> bool:
    """Whether a path holds pages of Cost Explorer rather than a bill."""
    if path.is_file():
        return path.suffix == SUFFIX
    return any((path / FOLDER).glob(f"[0-9]*/*{SUFFIX}"))


def find_parts(path: Path, *, until: date, options: dict[str, str] | None = None) -> list[RawPart]:
    """The pages that hold charges, at a path; raises InputError where a bill lies beside them: it has them too."""
    if path.is_dir() and any(p.name.endswith(files.SUFFIXES) for p in path.rglob("*") if p.is_file()):
        raise InputError(
            f"{path} holds pages of Cost Explorer and files of a bill",
            expected="one of them: both say what the same usage cost",
            next_step=f"remove {path / FOLDER}, or the files of the bill, and give each source its own folder",
        )
    where = path / FOLDER if (path / FOLDER).is_dir() else path
    parts = files.find_parts(where, until=until, options=options, suffixes=(SUFFIX,))
    return [part for part in parts if read_page(part.path).holds != "totals"]


def read_page(path: Path) -> Page:
    """The page in a file; raises InputError that names it where it is damaged or of another format."""
    try:
        document = json.loads(path.read_bytes(), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise _alien(path, f"is cut off or no JSON: {error}") from error
    if not isinstance(document, dict) or document.get("holds") not in KINDS:
        raise _alien(path, "is no page of Cost Explorer")
    answer = document.get("answer")
    results = answer.get("ResultsByTime") if isinstance(answer, dict) else None
    if (
        not isinstance(answer, dict)
        or not isinstance(results, list)
        or not all(isinstance(bucket, dict) and isinstance(bucket.get("Groups", []), list) for bucket in results)
    ):
        raise _alien(path, "has no ResultsByTime")
    account = document.get("account")
    return Page(document["holds"], account if isinstance(account, str) else None, answer)


def page_text(holds: Holds, account: str | None, request: Json, answer: Json) -> str:
    """A page as it is saved."""
    said = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return json.dumps({"holds": holds, "account": account, "request": request, "answer": said}, default=str)


def _alien(path: Path, found: str) -> InputError:
    return InputError(
        f"{path} {found}",
        expected="a page of Cost Explorer as `finops ingest` saves it",
        next_step="delete the file and run `finops ingest` again",
    )


# ------------------------------------------------------------------------------------------------------------ charges
def parse(part: RawPart) -> pl.LazyFrame:
    """The groups of a page as charges; see connectors.registry. Raises InputError for a file that is no such page."""
    page = read_page(part.path)
    rows: list[dict[str, Any]] = []
    for row, bucket, group in page.groups():
        lineage = {s.SOURCE_FILE: part.name, s.SOURCE_ROW: row}
        charge = _charge(page, bucket, group)
        rows.append({**charge, **lineage, SOURCE_ROWS: 1})
        if page.holds == "other" and REJECT not in charge and _keys(group)[0] in _COMMITMENTS:
            rows[-1] |= {s.EFFECTIVE_COST: Decimal(0)}
            if charge[s.EFFECTIVE_COST]:
                rows.append({**_unused(charge), **lineage, SOURCE_ROWS: 0})
    return pl.DataFrame(rows, schema=PARSED).lazy()


def _charge(page: Page, bucket: Json, group: Json) -> dict[str, Any]:
    steps: list[Callable[[], dict[str, Any]]] = [
        lambda: _periods(bucket),
        lambda: _costs(page, group),
        lambda: _by_usage_type(page, group) if page.holds in RECORD_TYPES else _by_record_type(group),
    ]
    row = row_of(steps, {k: v for k, v in bucket.items() if k != "Groups"}, group)
    if REJECT in row:
        return row
    source = {"RECORD_TYPE": row.pop("RECORD_TYPE"), "x_Estimated": "true" if bucket.get("Estimated") is True else None}
    return row | {
        s.SERVICE_PROVIDER_NAME: _AWS, s.HOST_PROVIDER_NAME: _AWS, s.INVOICE_ISSUER_NAME: _AWS,
        s.SUB_ACCOUNT_ID: page.account, s.BILLING_ACCOUNT_ID: page.account or _AWS,
        s.SOURCE_COLUMNS: as_json({k: v for k, v in source.items() if v}),
    }  # fmt: skip


def _periods(bucket: Json) -> dict[str, datetime]:
    period = bucket.get("TimePeriod")
    start, end = (_day(period, name) for name in ("Start", "End"))
    if end <= start:
        raise BadRow("TimePeriod ends before it starts")
    month = start.replace(day=1)
    return {
        s.CHARGE_PERIOD_START: start, s.CHARGE_PERIOD_END: end, s.BILLING_PERIOD_START: month,
        s.BILLING_PERIOD_END: month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1),
    }  # fmt: skip


def _day(period: object, name: str) -> datetime:
    text = str(period.get(name, "")) if isinstance(period, dict) else ""
    try:
        return datetime.fromisoformat(f"{text[:10]}T00:00:00+00:00")
    except ValueError as error:
        raise BadRow(f'TimePeriod.{name} is "{text}", which is no day') from error


def _costs(page: Page, group: Json) -> dict[str, Any]:
    billed, currency = _metric(group, BILLED)
    effective, other = _metric(group, EFFECTIVE)
    if currency != other or not re.fullmatch("[A-Z]{3}", currency):
        raise BadRow(f'the currencies are "{currency}" and "{other}", expected one ISO 4217 code')
    not_billed = page.holds == "committed" or _keys(group)[0] == "SavingsPlanNegation"
    return {
        s.BILLED_COST: Decimal(0) if not_billed else billed,
        s.EFFECTIVE_COST: effective,
        s.BILLING_CURRENCY: currency,
    }


def _metric(group: Json, name: str) -> tuple[Decimal, str]:
    metrics = group.get("Metrics") if isinstance(group, dict) else None
    metric = metrics.get(name) if isinstance(metrics, dict) else None
    if not isinstance(metric, dict):
        raise BadRow(f"{name} is missing")
    return stored(number(metric.get("Amount"), name)), str(metric.get("Unit") or "")


def _keys(group: Json) -> tuple[str, str]:
    keys = group.get("Keys") if isinstance(group, dict) else None
    if not (isinstance(keys, list) and len(keys) == 2 and all(isinstance(key, str) for key in keys)):
        raise BadRow("the group has no two keys")
    return keys[0], keys[1]


def _service(name: str, usage_type: str = "") -> dict[str, Any]:
    subcategory = "Storage/Block Storage" if "EBS:" in usage_type else named_subcategory(name)
    return {
        s.SERVICE_NAME: name or _AWS,
        s.SERVICE_SUBCATEGORY: subcategory,
        s.SERVICE_CATEGORY: subcategory.split("/")[0],
    }


def _by_usage_type(page: Page, group: Json) -> dict[str, Any]:
    service, usage_type = _keys(group)
    quantity, unit = _metric(group, QUANTITY)
    known = unit not in ("", "N/A")
    committed = page.holds == "committed"
    prefix = re.match(r"([A-Z]{2,3}\d?)-", usage_type)
    home = "us-east-1" if _HOME.match(usage_type) else None
    return {
        **_service(service, usage_type),
        "RECORD_TYPE": ", ".join(RECORD_TYPES[page.holds]),
        s.CHARGE_CATEGORY: "Usage",
        s.CHARGE_FREQUENCY: "Usage-Based",
        s.PRICING_CATEGORY: "Committed" if committed else "Dynamic" if "SpotUsage" in usage_type else "Standard",
        s.COMMITMENT_DISCOUNT_STATUS: "Used" if committed else None,
        s.CONSUMED_QUANTITY: quantity if known else None,
        s.CONSUMED_UNIT: UNITS.get(unit, unit) if known else None,
        s.USAGE_TYPE: usage_type,
        s.SKU_METER: usage_type,
        s.CHARGE_DESCRIPTION: f"{service} {usage_type}",
        s.REGION_ID: _REGIONS.get(prefix[1]) if prefix else home,
    }


def _by_record_type(group: Json) -> dict[str, Any]:
    record_type, service = _keys(group)
    if record_type in _FEES:
        category, frequency = "Purchase", _FEES[record_type]
    else:
        category, frequency = _OTHERS.get(record_type, ("Adjustment", "One-Time"))
    return {
        **_service(service),
        "RECORD_TYPE": record_type,
        s.CHARGE_CATEGORY: category,
        s.CHARGE_CLASS: "Correction" if record_type == "Refund" else None,
        s.CHARGE_FREQUENCY: frequency,
        s.PRICING_CATEGORY: "Standard" if category == "Purchase" else None if category == "Tax" else "Other",
        s.CHARGE_DESCRIPTION: f"{service} {record_type}".strip(),
    }


def _unused(fee: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a commitment's fee that nothing used: its amortised cost is what its usage did not take."""
    return {
        **fee,
        s.BILLED_COST: Decimal(0),
        s.CHARGE_CATEGORY: "Usage",
        s.CHARGE_FREQUENCY: "Usage-Based",
        s.PRICING_CATEGORY: "Committed",
        s.COMMITMENT_DISCOUNT_STATUS: "Unused",
        s.SKU_ID: "unused",
        s.CHARGE_DESCRIPTION: f"{fee[s.CHARGE_DESCRIPTION]}, unused part",
    }


# ------------------------------------------------------------------------------------------------------------- totals
@dataclass(frozen=True)
class Total:
    """What Cost Explorer says that one account owes one seller for one month."""

    period: str
    account: str
    issuer: str
    currency: str
    billed: Decimal
    effective: Decimal
    whole: bool
    """Whether it is a month from its first to its last day, and final."""


def totals(folder: Path) -> list[Total]:
    """The monthly totals that were saved in a source's folder; raises InputError for a page that cannot be read."""
    found = []
    for path in sorted((folder / FOLDER / "totals").glob(f"*{SUFFIX}")):
        for _, bucket, group in read_page(path).groups():
            try:
                periods, (account, issuer) = _periods(bucket), _keys(group)
                billed, currency = _metric(group, BILLED)
                effective, _ = _metric(group, EFFECTIVE)
            except BadRow as reason:
                raise _alien(path, f"cannot be read: {reason}") from reason
            start = periods[s.CHARGE_PERIOD_START]
            month = (periods[s.BILLING_PERIOD_START], periods[s.BILLING_PERIOD_END])
            whole = month == (start, periods[s.CHARGE_PERIOD_END]) and bucket.get("Estimated") is False
            found.append(Total(f"{start:%Y-%m}", account, issuer, currency, billed, effective, whole))
    return found


def invoice_rows(folder: Path, source_id: str) -> pl.DataFrame:
    """The totals of final months as rows of the lake's table `invoices`, one for each seller and currency.

    AWS sends the invoices of all accounts to the one that pays, which Cost Explorer does not name: account_id is null.
    """
    stated = totals(folder)
    still_open = {total.period for total in stated if not total.whole}
    amounts: dict[tuple[str, str, str], Decimal] = {}
    for total in stated:
        if total.period not in still_open:
            key = (total.period, total.issuer, total.currency)
            amounts[key] = amounts.get(key, Decimal(0)) + total.billed
    rows = [
        {
            "invoice_id": f"{FOLDER}/{period}/{issuer}",
            "source_id": source_id,
            "billing_period": period,
            "issuer": issuer,
            "amount": amount,
            "currency": currency,
            "source": FOLDER,
        }
        for (period, issuer, currency), amount in sorted(amounts.items())
    ]
    return pl.DataFrame(rows, schema=s.TABLES["invoices"].columns)
