"""Pages of a provider's usage API as metered lines: what a result counts, each token in one column only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors.api_pages import COSTS, Api, BadRow, Json, details, number, read_page, row_of, stored
from connectors.registry import METERED, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError

_OTHER: Final = "other_quantity"
_METERS: Final = tuple(column for column in s.METER_COLUMNS if column != "requests")


@dataclass(frozen=True)
class Usage:
    """How a provider writes the results of its usage pages.

    name: the provider in the price book. named, labels: the fields that say whose usage of what it is, and the columns
    of METERED made from them, or BadRow. counted: the fields that must be numbers. counts: takes what has a meter out
    of an operation's `numbers`, as columns of METERED, or BadRow. units: of fields that have none.
    """

    api: Api
    name: str
    named: frozenset[str]
    labels: Callable[[Json], dict[str, Any]]
    counted: frozenset[str]
    counts: Callable[[str, dict[str, Decimal]], dict[str, Any]]
    units: Mapping[str, str]


def parse_usage(usage: Usage, part: RawPart) -> pl.LazyFrame:
    """The results of a usage page as metered lines; see connectors.registry.

    What a result counts and no meter is known for is a quantity in its unit, or in the unit of its own name, on a line
    of its own beside tokens. Fields that neither count nor name are the tags. Raises InputError for a file that is no
    page of usage.
    """
    page = read_page(usage.api, part)
    if page.kind == COSTS:
        raise InputError(
            f"{part.path} is a cost page: money, no tokens",
            expected=f"a page of a usage endpoint of {usage.api.provider}",
            next_step="ingest it as costs",
        )
    lines = [
        {**line, s.SOURCE_FILE: part.name, s.SOURCE_ROW: row, SOURCE_ROWS: int(not further)}
        for row, bucket, result in page.results()
        for further, line in enumerate(_lines(usage, bucket, result))
    ]
    return pl.DataFrame(lines, schema=METERED).lazy()


def _lines(usage: Usage, bucket: Json, result: Any) -> list[dict[str, Any]]:
    """The result's lines, or one of what could be read of it with everything that is wrong."""
    operation = usage.api.kind(result) if isinstance(result, dict) else None
    left: dict[str, Decimal] = {}

    def labels() -> dict[str, Any]:
        if operation is None:
            raise BadRow("the result is no usage")
        tags = _tags(usage, result)
        return {"provider": usage.name, "operation": operation, "tags": tags, **usage.labels(result)}

    def counts() -> dict[str, Any]:
        if operation is None:
            return {}
        left.update(numbers(result, usage.counted))
        return usage.counts(operation, left)

    row = row_of((lambda: _day(usage.api, bucket), labels, counts), bucket, result)
    if REJECT in row:
        return [row]
    others = [{_OTHER: n, "other_unit": usage.units.get(field, field)} for field, n in left.items() if n]
    if others and not any(row.get(column) for column in _METERS):
        row |= others.pop(0)
    unlike = (*_METERS, "requests", _OTHER, "other_unit")
    return [row, *({column: row[column] for column in row if column not in unlike} | other for other in others)]


def _tags(usage: Usage, result: Json) -> str | None:
    known = usage.named | usage.counted
    return details({k: v for k, v in result.items() if k not in known and not isinstance(v, dict) and not _counts(v)})


def _day(api: Api, bucket: Json) -> dict[str, Any]:
    start, end = api.period(bucket)
    if (end - timedelta(microseconds=1)).date() != start.date():
        raise BadRow(f"the bucket of {start} is longer than its day")
    return {"day": start.date()}


def numbers(result: Json, counted: frozenset[str], prefix: str = "") -> dict[str, Decimal]:
    """All counts of a result by field, a field of an inner object as `outer.inner`; null is no count.

    Raises BadRow for a counted field that is no number, and for one below zero.
    """
    found: dict[str, Decimal] = {}
    for key, value in result.items():
        field = prefix + key
        if isinstance(value, dict):
            found |= numbers(value, counted, f"{field}.")
        elif value is not None and (field in counted or _counts(value)):
            found[field] = stored(number(value, field))
            if found[field] < 0:
                raise BadRow(f'{field} is "{value}", which is below zero')
    return found


def _counts(value: object) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def needed(found: Mapping[str, Decimal], *fields: str) -> None:
    """Raises BadRow that names the fields that are missing."""
    missing = [field for field in fields if field not in found]
    if missing:
        raise BadRow("; ".join(f"{field} is missing" for field in missing))
