"""Anthropic's pages: how the Admin API writes its cost report and its usage report.

Source: the API reference of both reports, checked 2026-11-21.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from connectors import api_pages
from connectors.api_pages import COSTS, Api, BadRow, Json, text
from connectors.registry import RawPart

NAME: Final = "anthropic"

USUAL: Final = ("standard", "global", "not_available")
"""Tier, speed and region that have no price of their own; the last is of models that know no region."""


def find_parts(
    path: Path,
    *,
    until: date,
    options: dict[str, str] | None = None,
    say: Callable[[str], None],  # noqa: ARG001 - what every connector is called with
) -> list[RawPart]:
    """The cost and usage pages at a path; see connectors.api_pages.find_parts."""
    return api_pages.find_parts(API, path, until=until, options=options)


def service_tier(result: Json) -> str | None:
    """What the price depends on besides model and context: tier, fast mode and region, without what is usual."""
    words = [text(result.get(name)) for name in ("service_tier", "speed", "inference_geo")]
    return " ".join(word for word in words if word and word not in USUAL) or words[0]


def _instant(value: object) -> datetime:
    try:
        time = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise BadRow("is missing" if value is None else f'is "{value}", which is no RFC 3339 time') from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)


def _kind(result: Json) -> str | None:
    if result.keys() & {"amount", "cost_type"}:
        return COSTS
    return "messages" if result.keys() & {"uncached_input_tokens", "output_tokens"} else None


API: Final = Api(
    provider="Anthropic",
    start="starting_at",
    end="ending_at",
    instant=_instant,
    is_page=lambda document: "object" not in document,
    kind=_kind,
)
