"""Anthropic's usage: pages of GET /v1/organizations/usage_report/messages as metered lines.

| METERED column | from |
|---|---|
| day | starting_at of the bucket, UTC |
| operation | "messages" |
| model, account_id | model; workspace_id, null is the default workspace |
| consumer_id | api_key_id, else service_account_id, else account_id; without one it is the Workbench |
| service_tier | service_tier; "fast" where speed is fast; then inference_geo where it is not global, as in "batch us" |
| context_from_tokens | where context_window starts: "0-200k" is 0, "200k-1M" is 200000 |
| uncached_input_tokens, cache_read_tokens | uncached_input_tokens, cache_read_input_tokens |
| cache_write_5m_tokens | cache_creation.ephemeral_5m_input_tokens |
| cache_write_1h_tokens | cache_creation.ephemeral_1h_input_tokens |
| output_tokens | output_tokens, thinking included |
| web_searches | server_tool_use.web_search_requests |
| other_quantity, other_unit | any further number in the unit of its name |
| tags | the other fields |

No field includes another, and the report does not count requests. A region and the fast mode have prices of their own
(1.1 times the price for inference_geo us), so they are part of the tier. Source: the API reference of the usage report
and the pages on data residency and fast mode, checked 2026-11-21.
"""

import re
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors import api_usage
from connectors.anthropic.pages import API, NAME, service_tier
from connectors.api_pages import BadRow, Json, text
from connectors.api_usage import Usage, needed
from connectors.registry import RawPart
from finops import schema as s

METERS: Final = {
    "uncached_input_tokens": "uncached_input_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m_tokens",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h_tokens",
    "output_tokens": "output_tokens",
    "server_tool_use.web_search_requests": "web_searches",
}
"""Meter <- count."""
_WINDOW: Final = re.compile(r"(\d+)(k|M)?-\d+(?:k|M)?")
_THOUSANDS: Final = {None: 1, "k": 1_000, "M": 1_000_000}


def parse_usage(part: RawPart) -> pl.LazyFrame:
    """The page's usage as metered lines; see connectors.registry."""
    return api_usage.parse_usage(USAGE, part)


def _labels(result: Json) -> dict[str, Any]:
    who = (text(result.get(name)) for name in ("api_key_id", "service_account_id", "account_id"))
    return {
        "model": text(result.get("model")),
        "service_tier": service_tier(result),
        "account_id": text(result.get("workspace_id")),
        "consumer_id": next(filter(None, who), None),
        s.CONTEXT: _context(text(result.get("context_window"))),
    }


def _context(window: str | None) -> int | None:
    if window is None:
        return None
    found = _WINDOW.fullmatch(window)
    if not found:
        raise BadRow(f'context_window is "{window}", which is no range like 0-200k')
    return int(found[1]) * _THOUSANDS[found[2]]


def _counts(_operation: str, left: dict[str, Decimal]) -> dict[str, Any]:
    needed(left, "uncached_input_tokens", "output_tokens")
    return {column: left.pop(field) for field, column in METERS.items() if field in left}


USAGE: Final = Usage(
    api=API,
    name=NAME,
    named=frozenset(("model", "workspace_id", "api_key_id", "service_tier", "context_window", "speed")),
    labels=_labels,
    counted=frozenset(METERS),
    counts=_counts,
    units={},
)
