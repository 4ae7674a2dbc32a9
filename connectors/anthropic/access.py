"""How Anthropic's Admin API is pulled: the cost report and the usage of messages.

Paths, parameters and limits: platform.claude.com/docs/en/api/admin/cost_report/retrieve and
.../usage_report/retrieve_messages, checked 2026-11-21.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

from connectors.access import Access, Endpoint, Window, cursor
from connectors.http import Document, Params

_BUCKETS: Final = 31
"""The most days that one page may hold."""


_METERED_BY: Final = (
    "api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo", "speed",
)  # fmt: skip
"""All that a price or an owner can depend on."""


def _first(*group_by: str) -> Callable[[Window], Params]:
    def params(window: Window) -> Params:
        return {
            "starting_at": _instant(window.start),
            "ending_at": _instant(window.end),
            "bucket_width": "1d",
            "group_by[]": group_by,
            "limit": _BUCKETS,
        }

    return params


def _instant(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _day(bucket: Document) -> date:
    return datetime.fromisoformat(str(bucket["starting_at"])).date()


_ENDPOINTS: Final = (
    Endpoint(
        name="cost_report",
        path="/v1/organizations/cost_report",
        first=_first("workspace_id", "description"),
        following=cursor,
        needs="read the cost report",
        least={"limit": 1},
        day=_day,
    ),
    Endpoint(
        name="usage_report/messages",
        path="/v1/organizations/usage_report/messages",
        first=_first(*_METERED_BY),
        following=cursor,
        needs="read the usage report",
        least={"limit": 1},
        day=_day,
        headers={"anthropic-beta": "fast-mode-2026-02-01"},  # grouping by speed needs it
    ),
)

ACCESS: Final = Access(
    provider="Anthropic",
    url="https://api.anthropic.com",
    headers=lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
    endpoints=lambda _options: _ENDPOINTS,
    key="an Admin API key (sk-ant-admin...), which a member with the admin role makes in the Console; "
    "individual accounts have none",
    key_prefix="sk-ant-admin",
)
