"""How OpenAI's organization API is pulled: costs, and the usage of every kind of call.

Paths, parameters and limits: platform.openai.com/docs/api-reference/usage and the parameter types of openai-python
(src/openai/types/admin/organization), checked 2026-11-21.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Final

from connectors.access import Access, Endpoint, Window, cursor
from connectors.http import Document, Params

_COST_BUCKETS: Final = 180
_USAGE_BUCKETS: Final = 31
"""The most days that one page may hold."""

_BY_MODEL: Final = ("project_id", "api_key_id", "model")
_USAGE: Final[Mapping[str, tuple[str, ...]]] = {
    "completions": (*_BY_MODEL, "batch", "service_tier"),
    "embeddings": _BY_MODEL,
    "moderations": _BY_MODEL,
    "images": (*_BY_MODEL, "size", "source"),
    "audio_speeches": _BY_MODEL,
    "audio_transcriptions": _BY_MODEL,
    "vector_stores": ("project_id",),
    "code_interpreter_sessions": ("project_id",),
    "file_search_calls": ("project_id", "api_key_id", "vector_store_id"),
    "web_search_calls": (*_BY_MODEL, "context_level"),
}
"""What each kind of usage is grouped by: all that its price or its owner can depend on."""
_NOT_EVERYWHERE: Final = ("file_search_calls", "web_search_calls")


def _first(group_by: tuple[str, ...], limit: int) -> Callable[[Window], Params]:
    def params(window: Window) -> Params:
        return {
            "start_time": _seconds(window.start),
            "end_time": _seconds(window.end),
            "bucket_width": "1d",
            "group_by[]": group_by,
            "limit": limit,
        }

    return params


def _seconds(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp())


def _day(bucket: Document) -> date:
    return datetime.fromtimestamp(int(bucket["start_time"]), UTC).date()


def _usage(kind: str) -> Endpoint:
    return Endpoint(
        name=f"usage/{kind}",
        path=f"/organization/usage/{kind}",
        first=_first(_USAGE[kind], _USAGE_BUCKETS),
        following=cursor,
        needs="read usage (api.usage.read)",
        least={"limit": 1},
        day=_day,
        optional=kind in _NOT_EVERYWHERE,
    )


_ENDPOINTS: Final = (
    Endpoint(
        name="costs",
        path="/organization/costs",
        first=_first(("project_id", "line_item", "api_key_id"), _COST_BUCKETS),
        following=cursor,
        needs="read costs (api.usage.read)",
        least={"limit": 1},
        day=_day,
    ),
    *(_usage(kind) for kind in _USAGE),
)

ACCESS: Final = Access(
    provider="OpenAI",
    url="https://api.openai.com/v1",
    headers=lambda key: {"Authorization": f"Bearer {key}"},
    endpoints=lambda _options: _ENDPOINTS,
    key="an admin key (sk-admin-...), which an owner of the organization makes in its settings under Admin keys",
    key_prefix="sk-admin-",
)
