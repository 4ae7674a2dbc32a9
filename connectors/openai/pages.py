"""OpenAI's pages: how the organization API writes its answers on costs and on usage.

Source: the API reference of the costs and usage endpoints, checked 2026-11-21.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from connectors import api_pages
from connectors.api_pages import COSTS, Api, BadRow, Json, number
from connectors.registry import RawPart

NAME: Final = "openai"

ENDPOINTS: Final = {"file_searches": "file_search_calls", "web_searches": "web_search_calls"}
"""The endpoint of usage <- the name in its results, where it is another one."""


def find_parts(
    path: Path,
    *,
    until: date,
    options: dict[str, str] | None = None,
    say: Callable[[str], None],  # noqa: ARG001 - what every connector is called with
) -> list[RawPart]:
    """The cost and usage pages at a path; see connectors.api_pages.find_parts."""
    return api_pages.find_parts(API, path, until=until, options=options)


def _instant(value: object) -> datetime:
    try:
        return datetime.fromtimestamp(int(number(value, "time")), UTC)
    except (BadRow, ValueError, OverflowError, OSError) as error:
        raise BadRow("is missing" if value is None else f'is "{value}", which is no time in seconds') from error


def _kind(result: Json) -> str | None:
    name = str(result.get("object"))
    if name == "organization.costs.result":
        return COSTS
    if not name.startswith("organization.usage."):
        return None
    operation = name.removeprefix("organization.usage.").removesuffix(".result")
    return ENDPOINTS.get(operation, operation)


API: Final = Api(
    provider="OpenAI",
    start="start_time",
    end="end_time",
    instant=_instant,
    is_page=lambda document: document.get("object") == "page",
    kind=_kind,
)
