"""Saved answers of a provider's cost API: pages of daily buckets, each with results, as JSON files.

A page is `{"data": [bucket, ...], "has_more": ..., "next_page": ...}`, a bucket holds its times and `results`. Each
result of a cost page is one source row. The pages of one answer lie in one folder and are told apart by their
buckets, so their names don't matter: where a page says that more follow, the page of the next bucket must be there.
Numbers are read as Decimal from their text, never as float.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors import files
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError
from finops.money import CONTEXT, QUANTUM

SUFFIX: Final = ".json"
COST, USAGE = "cost", "usage"
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_LIMIT: Final = Decimal(10) ** 20
"""What a Decimal(38, 18) holds before its point."""
_LISTED: Final = 12

Json = Mapping[str, Any]


class BadRow(Exception):
    """Why a result cannot be a charge, in words."""


@dataclass(frozen=True)
class Api:
    """How a provider writes its pages.

    start, end: names of a bucket's times. instant: one of them as a UTC time, or BadRow. is_page: whether an object is
    a page of this provider. kind: COST, USAGE or None of a result. amount, currency: a result's, or BadRow.
    charge: further FOCUS and x_ columns of a result, or BadRow.
    """

    provider: str
    start: str
    end: str
    instant: Callable[[object], datetime]
    is_page: Callable[[Json], bool]
    kind: Callable[[Json], str | None]
    amount: Callable[[Json], Decimal]
    currency: Callable[[Json], str]
    charge: Callable[[Json], dict[str, Any]]


@dataclass(frozen=True)
class Page:
    """One saved answer. kind is None where no bucket holds a result."""

    part: RawPart
    buckets: tuple[Json, ...]
    kind: str | None
    has_more: bool


# ---------------------------------------------------------------------------------------------------- pages of a source
def find_parts(
    api: Api, path: Path, *, until: date, options: dict[str, str] | None, say: Callable[[str], None]
) -> list[RawPart]:
    """The pages that hold costs; usage pages are left out and named through say.

    Raises InputError that names the file for a page that is damaged, is no page of this provider, comes twice, or is
    missing, and where there are usage pages only.
    """
    found = files.find_parts(path, until=until, options=options, suffixes=(SUFFIX,))
    pages = [_page(api, part) for part in found]
    costs = [p for p in pages if p.kind == COST]
    usage = [p.part.name for p in pages if p.kind == USAGE]
    if usage and not costs:
        raise InputError(
            f"{path} holds {api.provider} usage pages only ({_listed(usage)}): tokens and requests, no cost",
            expected=f"pages of {api.provider}'s cost endpoint",
            next_step="save the cost pages of the same days to the folder",
        )
    _refuse_twice(api, costs)
    _refuse_gaps(api, pages)
    if usage:
        say(f"{api.provider}: {len(usage)} usage page(s) hold tokens, no cost, and are not charged: {_listed(usage)}")
    return [p.part for p in costs or pages]


def _page(api: Api, part: RawPart) -> Page:
    document = _read(part.path)
    error = document.get("error")
    if error is not None:
        said = error.get("message") if isinstance(error, dict) else error
        raise InputError(
            f'{part.path} is an error that {api.provider} answered, no page: "{said}"',
            expected="a page of costs",
            next_step="delete the file and fetch its page again",
        )
    buckets = document.get("data")
    if not (
        api.is_page(document)
        and isinstance(buckets, list)
        and all(isinstance(b, dict) and isinstance(b.get("results"), list) for b in buckets)
    ):
        raise InputError(
            f"{part.path} is no page of {api.provider}; it holds {_listed(list(document)) or 'nothing'}",
            expected=f"an answer of {api.provider}'s cost endpoint: data, with buckets of results, and has_more",
            next_step="name the right --connector for this file, or fetch it again",
        )
    results = [result for bucket in buckets for result in bucket["results"]]
    kinds = {api.kind(r) for r in results if isinstance(r, dict)}
    if results and not kinds & {COST, USAGE}:
        raise InputError(
            f"{part.path} holds results that are neither costs nor usage of {api.provider}",
            expected=f"results of {api.provider}'s cost endpoint",
            next_step="name the right --connector for this file",
        )
    kind = COST if COST in kinds else USAGE if USAGE in kinds else None
    return Page(part, tuple(buckets), kind, bool(document.get("has_more")))


def _read(path: Path) -> Json:
    try:
        # NaN is no JSON, but Python reads it; as a Decimal it fails as a number and its row is rejected
        document = json.loads(path.read_bytes().decode("utf-8-sig"), parse_float=Decimal, parse_constant=Decimal)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is cut off or no JSON: {error}",
            expected="one whole page as the API answers it",
            next_step="fetch the page again",
        ) from error
    if not isinstance(document, dict):
        raise InputError(
            f"{path} holds a JSON {type(document).__name__}, no page",
            expected="one JSON object a file, as the API answers it",
            next_step="save each page to a file of its own",
        )
    return document


def _refuse_twice(api: Api, costs: list[Page]) -> None:
    """The same page again, anywhere, or a bucket that two pages of a folder hold, would be charged twice."""
    contents: dict[str, Page] = {}
    holders: dict[tuple[Path, datetime], Page] = {}
    for page in costs:
        other = contents.setdefault(_as_json(page.buckets), page)
        if other is not page:
            raise InputError(
                f"{page.part.path} is the same page as {other.part.path}",
                expected="each page once: a pull that gets one again is in a loop",
                next_step="delete one of them and check that no page is missing",
            )
        for start in (_time(api, bucket, api.start) for bucket in page.buckets if bucket["results"]):
            other = holders.setdefault((page.part.path.parent, start), page) if start else page
            if other is not page:
                raise InputError(
                    f"the bucket of {start} is in {page.part.path} and in {other.part.path}",
                    expected="each day once: what two pages hold would be charged twice",
                    next_step="keep the pages of one pull in the folder and delete the others",
                )


def _refuse_gaps(api: Api, pages: list[Page]) -> None:
    """A page that says that more follow needs the page whose first bucket starts where its last one ends.

    Pages without a result fit costs and usage alike. The pages of usage itself are not charged, so none is missed.
    """
    for page in (p for p in pages if p.has_more and p.kind != USAGE):
        end = _time(api, page.buckets[-1], api.end) if page.buckets else None
        others = (
            p
            for p in pages
            if p.part.path.parent == page.part.path.parent and (page.kind is None or p.kind in (COST, None))
        )
        if end is None or end not in (_time(api, p.buckets[0], api.start) for p in others if p.buckets):
            which = f"starts at {end:%Y-%m-%dT%H:%M:%SZ}" if end else "starts where it ends"
            raise InputError(
                f"{page.part.path} says that more pages follow, but the page that {which} is missing",
                expected="all pages of an answer in one folder, up to the one with has_more false",
                next_step="fetch the missing page, or all of them again",
            )


def _time(api: Api, bucket: Json, name: str) -> datetime | None:
    try:
        return api.instant(bucket.get(name))
    except BadRow:
        return None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


# ----------------------------------------------------------------------------------------------------- rows of a page
def parse(api: Api, part: RawPart) -> pl.LazyFrame:
    """The results of a cost page as charges, one each; see connectors.registry.

    Raises InputError for a file that is no page of costs.
    """
    page = _page(api, part)
    if page.kind == USAGE:
        raise InputError(
            f"{part.path} is a usage page: tokens and requests, no cost",
            expected=f"a page of {api.provider}'s cost endpoint",
            next_step="ingest the cost pages of the same days",
        )
    results = [(bucket, result) for bucket in page.buckets for result in bucket["results"]]
    rows = [
        {**_row(api, bucket, result, part), s.SOURCE_FILE: part.name, s.SOURCE_ROW: row, SOURCE_ROWS: 1}
        for row, (bucket, result) in enumerate(results, start=1)
    ]
    return pl.DataFrame(rows, schema=PARSED).lazy()


def _row(api: Api, bucket: Json, result: object, part: RawPart) -> dict[str, Any]:
    """The result's charge, or what could be read of it with everything that is wrong."""
    row: dict[str, Any] = {}
    wrong: list[str] = []
    steps: list[Callable[[], dict[str, Any]]] = [lambda: _periods(api, bucket)]
    if isinstance(result, dict) and api.kind(result) == COST:
        steps += [
            lambda: _costs(api.amount(result)),
            lambda: {s.BILLING_CURRENCY: api.currency(result)},
            lambda: api.charge(result),
        ]
    else:
        wrong.append("the result is no cost")
    for step in steps:
        try:
            row |= step()
        except BadRow as reason:
            wrong.append(str(reason))
    if wrong:
        return row | {REJECT: "; ".join(wrong), RAW: _as_json({**bucket, "results": [result]})}
    if row[s.CHARGE_CATEGORY] == "Credit":
        row |= dict.fromkeys((s.CONSUMED_QUANTITY, s.CONSUMED_UNIT))
    return row | {
        s.SERVICE_PROVIDER_NAME: api.provider, s.HOST_PROVIDER_NAME: api.provider, s.INVOICE_ISSUER_NAME: api.provider,
        s.BILLING_ACCOUNT_ID: part.options.get("organization") or api.provider,
        s.SERVICE_CATEGORY: "AI and Machine Learning",
        s.SERVICE_SUBCATEGORY: "AI and Machine Learning/Generative AI",
        s.IS_AI: True, s.HOSTING: "api",
    }  # fmt: skip


def _costs(amount: Decimal) -> dict[str, Any]:
    """The endpoints state one amount, what is billed; below zero it is money given back."""
    costs = (s.BILLED_COST, s.EFFECTIVE_COST, s.LIST_COST, s.CONTRACTED_COST)
    credit = amount < 0
    return {
        **dict.fromkeys(costs, amount),
        s.CHARGE_CATEGORY: "Credit" if credit else "Usage",
        s.CHARGE_FREQUENCY: "One-Time" if credit else "Usage-Based",
    }


def _periods(api: Api, bucket: Json) -> dict[str, datetime]:
    times = []
    for name in (api.start, api.end):
        try:
            times.append(api.instant(bucket.get(name)))
        except BadRow as reason:
            raise BadRow(f"{name} {reason}") from reason
    start, end = times
    if end <= start:
        raise BadRow(f"{api.end} does not lie after {api.start}")
    month = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
    return {
        s.CHARGE_PERIOD_START: start, s.CHARGE_PERIOD_END: end,
        s.BILLING_PERIOD_START: month, s.BILLING_PERIOD_END: following,
    }  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- cells
def number(value: object, name: str) -> Decimal:
    """A JSON number, or a text that is one, as Decimal; raises BadRow with the name for anything else."""
    if value is None:
        raise BadRow(f"{name} is missing")
    # True is an int, but not as text
    if not (isinstance(value, (str, int, Decimal)) and _NUMBER.fullmatch(str(value))):
        raise BadRow(f'{name} is "{value}", which is no number')
    found = Decimal(str(value))
    if abs(found) >= _LIMIT:
        raise BadRow(f'{name} is "{value}", which is too large')
    return found


def stored(value: Decimal) -> Decimal:
    """The value as the lake keeps it: rounded half-even to 18 places."""
    return value.quantize(QUANTUM, context=CONTEXT)


def currency(value: object) -> str:
    """The ISO 4217 code in capitals; raises BadRow for anything else."""
    code = value.strip().upper() if isinstance(value, str) else ""
    if re.fullmatch("[A-Z]{3}", code):
        return code
    raise BadRow(f'currency is "{value}", which is no ISO 4217 code' if value else "currency is missing")


def text(value: object) -> str | None:
    """A cell as text; null where it is null or blank."""
    return None if value is None else str(value).strip() or None


def details(pairs: Mapping[str, object]) -> str | None:
    """The pairs that say something as a JSON object; null when none does."""
    said = {key: value for key, value in pairs.items() if value is not None}
    return _as_json(said) if said else None


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
