"""Saved answers of a provider's cost and usage APIs: pages of buckets, each with results, as JSON files.

A page is `{"data": [bucket, ...], "has_more": ..., "next_page": ...}`, a bucket holds its times and `results`. Each
result is one source row. The pages of one answer lie in one folder and are told apart by their buckets, so their names
don't matter: where a page says that more follow, the page of the next bucket must be there. Answers of several
endpoints may lie in one folder. Numbers are read as Decimal from their text, never as float.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from connectors import files
from connectors.registry import RAW, REJECT, RawPart
from finops.errors import InputError
from finops.money import CONTEXT, QUANTUM

SUFFIX: Final = ".json"
COSTS: Final = "costs"
_NUMBER: Final = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?", re.ASCII | re.IGNORECASE)
_LIMIT: Final = Decimal(10) ** 20
"""What a Decimal(38, 18) holds before its point."""
_LISTED: Final = 12

Json = Mapping[str, Any]


class BadRow(Exception):
    """Why a result cannot be used, in words."""


@dataclass(frozen=True)
class Api:
    """How a provider writes its pages.

    start, end: names of a bucket's times. instant: one of them as a UTC time, or BadRow. is_page: whether an object is
    a page of this provider. kind: COSTS, or the operation whose usage a result is, or None for anything else.
    """

    provider: str
    start: str
    end: str
    instant: Callable[[object], datetime]
    is_page: Callable[[Json], bool]
    kind: Callable[[Json], str | None]

    def period(self, bucket: Json) -> tuple[datetime, datetime]:
        """The bucket's start and end (exclusive); raises BadRow where one cannot be read."""
        times = []
        for name in (self.start, self.end):
            try:
                times.append(self.instant(bucket.get(name)))
            except BadRow as reason:
                raise BadRow(f"{name} {reason}") from reason
        start, end = times
        if end <= start:
            raise BadRow(f"{self.end} does not lie after {self.start}")
        return start, end


@dataclass(frozen=True)
class Page:
    """One saved answer. kind is what its results are, None where no bucket holds one."""

    part: RawPart
    buckets: tuple[Json, ...]
    kind: str | None
    has_more: bool

    def results(self) -> Iterator[tuple[int, Json, Any]]:
        """Each result with its number, from 1, and its bucket."""
        pairs = ((bucket, result) for bucket in self.buckets for result in bucket["results"])
        return ((number, *pair) for number, pair in enumerate(pairs, start=1))


# ---------------------------------------------------------------------------------------------------- pages of a source
@dataclass(frozen=True)
class _Outline:
    """What is kept of a page to judge it beside the others: digest of its buckets, their starts, where they end."""

    part: RawPart
    kind: str | None
    has_more: bool
    digest: str
    first: datetime | None
    filled: tuple[datetime, ...]
    end: datetime | None

    @property
    def folder(self) -> Path:
        return self.part.path.parent


def find_parts(api: Api, path: Path, *, until: date, options: dict[str, str] | None) -> list[RawPart]:
    """The pages at a path, each with what it holds; a page without a result holds what the others of its folder do.

    Raises InputError that names the file for a page that is damaged, is no page of this provider, comes twice, or is
    missing.
    """
    found = files.find_parts(path, until=until, options=options, suffixes=(SUFFIX,))
    pages = [_outline(api, part) for part in found]
    _refuse_twice(pages)
    _refuse_gaps(pages)
    kinds: dict[Path, set[str]] = {}
    for page in pages:
        if page.kind is not None:
            kinds.setdefault(page.folder, set()).add(page.kind)
    only_usage = {folder for folder, held in kinds.items() if COSTS not in held}
    return [
        replace(p.part, holds="usage")
        if p.kind not in (COSTS, None) or (p.kind is None and p.folder in only_usage)
        else p.part
        for p in pages
    ]


def read_page(api: Api, part: RawPart) -> Page:
    """The page in a file; raises InputError that names it where it is damaged, an error, or of another format."""
    document = _read(part.path)
    error = document.get("error")
    if error is not None:
        said = error.get("message") if isinstance(error, dict) else error
        raise InputError(
            f'{part.path} is an error that {api.provider} answered, no page: "{said}"',
            expected="a page of costs or usage",
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
            expected="an answer of its cost or usage endpoint: data, with buckets of results, and has_more",
            next_step="name the right --connector for this file, or fetch it again",
        )
    results = [result for bucket in buckets for result in bucket["results"]]
    kinds = sorted({kind for r in results if isinstance(r, dict) and (kind := api.kind(r))})
    if results and not kinds:
        raise InputError(
            f"{part.path} holds results that are neither costs nor usage of {api.provider}",
            expected=f"results of {api.provider}'s cost or usage endpoint",
            next_step="name the right --connector for this file",
        )
    kind = COSTS if COSTS in kinds else next(iter(kinds), None)
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


def _outline(api: Api, part: RawPart) -> _Outline:
    page = read_page(api, part)
    starts = [_time(api, bucket, api.start) for bucket in page.buckets]
    return _Outline(
        part=part,
        kind=page.kind,
        has_more=page.has_more,
        digest=hashlib.sha256(as_json(page.buckets).encode()).hexdigest(),
        first=starts[0] if starts else None,
        filled=tuple(t for t, bucket in zip(starts, page.buckets, strict=True) if t and bucket["results"]),
        end=_time(api, page.buckets[-1], api.end) if page.buckets else None,
    )


def _refuse_twice(pages: list[_Outline]) -> None:
    """The same page again, anywhere, or a bucket that two pages of one answer hold, would be counted twice."""
    contents: dict[str, _Outline] = {}
    holders: dict[tuple[Path, str, datetime], _Outline] = {}
    for page in pages:
        if page.kind is None:
            continue
        other = contents.setdefault(page.digest, page)
        if other is not page:
            raise InputError(
                f"{page.part.path} is the same page as {other.part.path}",
                expected="each page once: a pull that gets one again is in a loop",
                next_step="delete one of them and check that no page is missing",
            )
        for start in page.filled:
            other = holders.setdefault((page.folder, page.kind, start), page)
            if other is not page:
                raise InputError(
                    f"the bucket of {start} is in {page.part.path} and in {other.part.path}",
                    expected="each day once: what two pages hold would be counted twice",
                    next_step="keep the pages of one pull in the folder and delete the others",
                )


def _refuse_gaps(pages: list[_Outline]) -> None:
    """A page that says that more follow needs the page whose first bucket starts where its last one ends.

    Pages without a result fit every kind.
    """
    starts: dict[tuple[Path, str | None], set[datetime | None]] = {}
    for page in pages:
        starts.setdefault((page.folder, page.kind), set()).add(page.first)
    for page in (p for p in pages if p.has_more):
        following = [
            held for (folder, kind), held in starts.items()
            if folder == page.folder and (page.kind is None or kind in (page.kind, None))
        ]  # fmt: skip
        if page.end is None or not any(page.end in held for held in following):
            which = f"starts at {page.end:%Y-%m-%dT%H:%M:%SZ}" if page.end else "starts where it ends"
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


# ------------------------------------------------------------------------------------------------------ rows and cells
def row_of(steps: Sequence[Callable[[], dict[str, Any]]], bucket: Json, result: object) -> dict[str, Any]:
    """What the steps read, together; where some raise BadRow also all their reasons and the result verbatim."""
    row: dict[str, Any] = {}
    wrong: list[str] = []
    for step in steps:
        try:
            row |= step()
        except BadRow as reason:
            wrong.append(str(reason))
    if wrong:
        row |= {REJECT: "; ".join(wrong), RAW: as_json({**bucket, "results": [result]})}
    return row


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


def text(value: object) -> str | None:
    """A cell as text; null where it is null or blank."""
    return None if value is None else str(value).strip() or None


def details(pairs: Mapping[str, object]) -> str | None:
    """The pairs that say something as a JSON object; null when none does."""
    said = {key: value for key, value in pairs.items() if value is not None}
    return as_json(said) if said else None


def as_json(value: object) -> str:
    """The value as JSON text; a Decimal becomes a text of its digits."""
    return json.dumps(value, ensure_ascii=False, default=str)
