"""How a LiteLLM proxy is pulled: its daily activity or, by option, its spend logs, request by request.

Both count the same calls, so one of them is pulled. Daily activity is the default: it is small, old requests stay in it
when the logs are cleared, and it splits a day by model and key, with the key's team. With `options = { detail =
"requests" }` the spend logs are pulled instead, which also have tags, end users and the context length of a request.

Parameters and limits: docs.litellm.ai/docs/proxy/cost_tracking, and BerriAI/litellm common_daily_activity.py and
spend_management_endpoints.py, checked 2026-11-21.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from connectors.access import Access, Endpoint, NoPage, Window
from connectors.http import Document, Params
from finops.errors import ConfigError

_DAILY_ROWS: Final = 1000
_LOG_ROWS: Final = 100
"""The most rows that one page may hold."""


def _activity_of(day: date, page: int) -> Params:
    return {"start_date": day.isoformat(), "end_date": day.isoformat(), "page": page, "page_size": _DAILY_ROWS}


def _after_activity(document: Document, params: Params, window: Window) -> Params | None:
    """Day by day, so that a call of today cannot shift the pages of the days before it."""
    metadata = document.get("metadata")
    pages = metadata.get("total_pages") if isinstance(metadata, Mapping) else None
    if not isinstance(pages, int):
        raise NoPage("it does not say how many pages there are (metadata.total_pages)")
    day, page = date.fromisoformat(str(params["start_date"])), int(str(params["page"]))
    if page < pages:
        return _activity_of(day, page + 1)
    following = day + timedelta(days=1)
    return _activity_of(following, 1) if following < window.end else None


def _logs_of(day: date, page: int) -> Params:
    """Oldest first, so that requests that come in meanwhile are added behind what was read. The end is inclusive."""
    return {
        "start_date": f"{day} 00:00:00",
        "end_date": f"{day + timedelta(days=1)} 00:00:00",
        "page": page,
        "page_size": _LOG_ROWS,
        "sort_by": "startTime",
        "sort_order": "asc",
    }


def _after_logs(document: Document, params: Params, window: Window) -> Params | None:
    """A page that is not full is a day's last: the number of pages is cut at 10,000 rows."""
    day, page = date.fromisoformat(str(params["start_date"])[:10]), int(str(params["page"]))
    if len(document["data"]) >= _LOG_ROWS:
        return _logs_of(day, page + 1)
    following = day + timedelta(days=1)
    return _logs_of(following, 1) if following < window.end else None


_DAYS: Final = Endpoint(
    name="daily_activity",
    path="/user/daily/activity",
    first=lambda window: _activity_of(window.start, 1),
    following=_after_activity,
    needs="view the spend of all users",
    least={"page_size": 1},
    rows="results",
)
_REQUESTS: Final = Endpoint(
    name="spend_logs",
    path="/spend/logs/v2",
    first=lambda window: _logs_of(window.start, 1),
    following=_after_logs,
    needs="view the spend of all users",
    least={"page_size": 1},
)


def _endpoints(options: Mapping[str, str]) -> tuple[Endpoint, ...]:
    detail = options.get("detail", "days")
    if detail not in ("days", "requests"):
        raise ConfigError(
            f"detail = {detail!r} of a LiteLLM source",
            expected='"days", or "requests" for the spend logs',
            next_step="correct `options` of the source in finops.toml",
        )
    return (_REQUESTS,) if detail == "requests" else (_DAYS,)


ACCESS: Final = Access(
    provider="LiteLLM",
    url=None,
    headers=lambda key: {"Authorization": f"Bearer {key}"},
    endpoints=_endpoints,
    key="the master key, or a key of a user with the role proxy_admin or proxy_admin_viewer",
)
