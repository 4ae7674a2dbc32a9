"""OpenAI's, Anthropic's and LiteLLM's usage and cost APIs on a free local port, strict and with faults on demand.

    with Stub("openai") as stub:
        stub.put("costs", date(2026, 10, 1), {"object": "organization.costs.result", ...}, ...)
        stub.fail(status(429, retry_after="1"), reset())        # the next two requests, in this order
        ... requests to stub.url with stub.key ...
        stub.asked                                              # every request: path, query, time, status

It answers pages of the documented shape, cut from what was put: by `limit` days, or fewer where `stub.days_a_page`
says so (OpenAI, Anthropic), by `page_size` rows (LiteLLM). It checks the key, the API version, needed and unknown
parameters, limits and cursors, and answers 400, 401 or 404 as the provider does. A `put` on the same day restates it.
Decimals are written as JSON numbers, digit by digit. Endpoints in `stub.missing` answer 404; with `stub.permitted =
False` all answer 403.
"""

import base64
import json
import re
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

Provider = Literal["openai", "anthropic", "litellm"]
Query = Mapping[str, list[str]]

KEYS = {"openai": "sk-admin-stub-0001", "anthropic": "sk-ant-admin-stub-0001", "litellm": "sk-stub-0001"}
_BASE = {"openai": "/v1", "anthropic": "", "litellm": ""}

_BY_MODEL = {"project_id", "user_id", "api_key_id", "model"}
_GROUPS = {
    "costs": {"project_id", "line_item", "api_key_id"},
    "usage/completions": _BY_MODEL | {"batch", "service_tier", "api_source"},
    "usage/embeddings": _BY_MODEL,
    "usage/moderations": _BY_MODEL,
    "usage/images": _BY_MODEL | {"size", "source"},
    "usage/audio_speeches": _BY_MODEL,
    "usage/audio_transcriptions": _BY_MODEL,
    "usage/vector_stores": {"project_id"},
    "usage/code_interpreter_sessions": {"project_id"},
    "usage/file_search_calls": {"project_id", "user_id", "api_key_id", "vector_store_id"},
    "usage/web_search_calls": _BY_MODEL | {"context_level"},
    "cost_report": {"workspace_id", "description"},
    "usage_report/messages": {
        "api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo", "speed",
    },
}  # fmt: skip
"""What each endpoint can be grouped by."""
ENDPOINTS: dict[Provider, dict[str, str]] = {
    "openai": {f"/organization/{name}": name for name in _GROUPS if name == "costs" or name.startswith("usage/")},
    "anthropic": {f"/v1/organizations/{name}": name for name in ("cost_report", "usage_report/messages")},
    "litellm": {"/user/daily/activity": "daily_activity", "/spend/logs/v2": "spend_logs"},
}
"""Paths and the names of what they answer."""
_METRICS = (
    "spend", "prompt_tokens", "completion_tokens", "cache_read_input_tokens", "cache_creation_input_tokens",
    "api_requests", "successful_requests", "failed_requests",
)  # fmt: skip
_COUNTED_ROWS = 10_000


@dataclass(frozen=True)
class Asked:
    """A request as it came, when (monotonic seconds), and the status that it was answered with (0: none)."""

    path: str
    query: Query
    at: float
    status: int


class Refusal(Exception):
    """An answer that is no page."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


Fault = Callable[["_Handler", Callable[[], bytes]], None]
"""What happens to a request in place of its answer, which the second argument makes."""


# ------------------------------------------------------------------------------------------------------------- faults
def status(code: int, *, retry_after: str | None = None, message: str = "a fault of the stub") -> Fault:
    """An error answer, with Retry-After where given."""

    def fault(handler: "_Handler", _answer: Callable[[], bytes]) -> None:
        headers = {"Retry-After": retry_after} if retry_after is not None else {}
        handler.send(code, handler.stub.error(code, message), headers)

    return fault


def wait_until(seconds: int) -> Fault:
    """429 with Retry-After as a date so many seconds ahead."""

    def fault(handler: "_Handler", _answer: Callable[[], bytes]) -> None:
        until = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        headers = {"Retry-After": format_datetime(until, usegmt=True)}
        handler.send(429, handler.stub.error(429, "slow down"), headers)

    return fault


def reset() -> Fault:
    """The connection is reset before any answer."""

    def fault(handler: "_Handler", _answer: Callable[[], bytes]) -> None:
        handler.note(0)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        handler.connection.close()

    return fault


def cut_off(*, honest: bool = True) -> Fault:
    """The first half of the page; honest: with the length of all of it, else of the half (so it is just no JSON)."""

    def fault(handler: "_Handler", answer: Callable[[], bytes]) -> None:
        body = answer()
        half = body[: len(body) // 2]
        handler.close_connection = True
        handler.send(200, half, {"Content-Length": str(len(body))} if honest else {})

    return fault


def not_json() -> Fault:
    """200 with a page of HTML, as a gateway in between answers."""
    return lambda handler, _answer: handler.send(200, b"<html>one moment please</html>", {"Content-Type": "text/html"})


def slow(seconds: float) -> Fault:
    """The right page, but late."""

    def fault(handler: "_Handler", answer: Callable[[], bytes]) -> None:
        time.sleep(seconds)
        handler.send(200, answer())

    return fault


def echo() -> Fault:
    """401 that quotes the key it got."""

    def fault(handler: "_Handler", _answer: Callable[[], bytes]) -> None:
        key = handler.headers.get("x-api-key") or handler.headers.get("authorization", "").removeprefix("Bearer ")
        handler.send(401, handler.stub.error(401, f"Incorrect API key provided: {key}."))

    return fault


def changed(change: Callable[[dict[str, Any]], None]) -> Fault:
    """The page, after a change of its document: another has_more, a cursor that was there before, ..."""

    def fault(handler: "_Handler", answer: Callable[[], bytes]) -> None:
        document = json.loads(answer(), parse_float=Decimal)
        change(document)
        handler.send(200, encoded(document))

    return fault


def as_it_is() -> Fault:
    """No fault."""
    return lambda handler, answer: handler.send(200, answer())


# --------------------------------------------------------------------------------------------------------------- stub
class Stub:
    """A provider on a local port; see the module."""

    def __init__(self, provider: Provider, *, key: str | None = None) -> None:
        self.provider: Provider = provider
        self.key = key or KEYS[provider]
        self.days_a_page: int | None = None
        self.missing: set[str] = set()
        self.permitted = True
        self.asked: list[Asked] = []
        self._faults: deque[Fault] = deque()
        self._rows: dict[str, dict[date, list[Any]]] = defaultdict(dict)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> "Stub":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """What `pull.url` is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{_BASE[self.provider]}"

    def put(self, endpoint: str, day: date, *rows: Mapping[str, Any]) -> None:
        """What an endpoint has of a day, in the place of what it had.

        Results as OpenAI and Anthropic write them into a bucket; of LiteLLM's daily_activity rows of its daily table
        (api_key, key_alias, team_id, model, custom_llm_provider, spend and counts), of spend_logs requests with
        their startTime.
        """
        self._rows[endpoint][day] = list(rows)

    def fail(self, *faults: Fault) -> None:
        """What happens to the next requests, one fault each; those after them are answered."""
        self._faults.extend(faults)

    def paths(self) -> list[str]:
        """The endpoints that were asked, in order."""
        return [ENDPOINTS[self.provider].get(a.path.removeprefix(_BASE[self.provider]), a.path) for a in self.asked]

    def answer(self, path: str, query: Query, headers: Mapping[str, str]) -> bytes:
        """The body of a right answer; raises Refusal where the provider would refuse."""
        endpoint = ENDPOINTS[self.provider].get(path.removeprefix(_BASE[self.provider]))
        if endpoint is None or endpoint in self.missing:
            raise Refusal(404, f"Invalid URL (GET {path})")
        self._authenticate(headers)
        if "speed" in query.get("group_by[]", []) and headers.get("anthropic-beta") != "fast-mode-2026-02-01":
            raise Refusal(400, "group_by[]: speed needs the beta header fast-mode-2026-02-01")
        if endpoint in _GROUPS:
            return encoded(self._buckets(endpoint, query))
        return encoded(self._activity(query) if endpoint == "daily_activity" else self._logs(query))

    def error(self, code: int, message: str) -> bytes:
        """An error as the provider writes it."""
        shapes: dict[Provider, Any] = {
            "openai": {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}},
            "anthropic": {"type": "error", "error": {"type": "api_error", "message": message}},
            "litellm": {"error": {"message": message, "type": "auth_error", "param": "None", "code": str(code)}},
        }
        return encoded(shapes[self.provider])

    def _next_fault(self) -> Fault:
        with self._lock:
            return self._faults.popleft() if self._faults else as_it_is()

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        sent = headers.get("x-api-key") if self.provider == "anthropic" else headers.get("authorization")
        wanted = self.key if self.provider == "anthropic" else f"Bearer {self.key}"
        if self.provider == "anthropic" and headers.get("anthropic-version") != "2023-06-01":
            raise Refusal(400, "anthropic-version: header is required")
        if sent != wanted:
            raise Refusal(401, "Incorrect API key provided.")
        if not self.permitted:
            raise Refusal(403, "You have insufficient permissions for this operation. Missing scopes: api.usage.read.")

    def _buckets(self, endpoint: str, query: Query) -> dict[str, Any]:
        ours = self.provider == "openai"
        first, last = ("start_time", "end_time") if ours else ("starting_at", "ending_at")
        _known(query, first, last, "bucket_width", "group_by[]", "limit", "page")
        start = _day(_one(query, first), unix=ours)
        end = _day(_one(query, last), unix=ours)
        if end <= start:
            raise Refusal(400, f"{last} must lie after {first}")
        if _one(query, "bucket_width", "1d") != "1d":
            raise Refusal(400, "bucket_width must be 1d")
        if set(query.get("group_by[]", [])) - _GROUPS[endpoint]:
            raise Refusal(400, f"group_by[] must be of {sorted(_GROUPS[endpoint])}")
        limit = _limit(query, "limit", 7, 180 if endpoint == "costs" else 31)
        start, number = _position(query, start, end)
        days = [start + timedelta(days=n) for n in range((end - start).days)][: min(limit, self.days_a_page or limit)]
        after = days[-1] + timedelta(days=1)
        cursor = base64.urlsafe_b64encode(f"{after}/{number + 1}".encode()).decode() if after < end else None
        page: dict[str, Any] = {"object": "page"} if ours else {}
        return page | {
            "data": [
                ({"object": "bucket"} if ours else {})
                | {
                    first: _instant(day, unix=ours),
                    last: _instant(day + timedelta(days=1), unix=ours),
                    "results": self._rows[endpoint].get(day, []),
                }
                for day in days
            ],
            "has_more": cursor is not None,
            "next_page": f"page_{cursor}" if cursor else None,
        }

    def _activity(self, query: Query) -> dict[str, Any]:
        _known(query, "start_date", "end_date", "page", "page_size")
        start, end = (date.fromisoformat(_one(query, name)) for name in ("start_date", "end_date"))
        held = self._rows["daily_activity"]
        rows = [(day, row) for day in sorted(held, reverse=True) if start <= day <= end for row in held[day]]
        chosen, page, pages = _cut(rows, query, 50, 1000)
        days: dict[date, dict[str, Any]] = {}
        for day, row in chosen:
            entry = days.setdefault(
                day,
                {"date": str(day), "metrics": {}, "breakdown": {"models": {}, "providers": {}, "api_keys": {}}},
            )
            _sum(entry["metrics"], row)
            for group, name in (("models", "model"), ("providers", "custom_llm_provider")):
                value = {"metrics": {}, "metadata": {}, "api_key_breakdown": {}}
                part = entry["breakdown"][group].setdefault(row.get(name) or "unknown", value)
                _sum(part["metrics"], row)
                _sum(part["api_key_breakdown"].setdefault(row["api_key"], _of_key(row))["metrics"], row)
            _sum(entry["breakdown"]["api_keys"].setdefault(row["api_key"], _of_key(row))["metrics"], row)
        metadata = {"page": page, "total_pages": pages, "has_more": page < pages}
        return {"results": list(days.values()), "metadata": metadata}

    def _logs(self, query: Query) -> dict[str, Any]:
        _known(query, "start_date", "end_date", "page", "page_size", "sort_by", "sort_order")
        times = [_one(query, name) for name in ("start_date", "end_date")]
        if not all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", t) for t in times):
            raise Refusal(400, "Invalid date format. Expected: YYYY-MM-DD HH:MM:SS")
        start, end = (datetime.fromisoformat(t).replace(tzinfo=UTC) for t in times)
        logs = [log for day in self._rows["spend_logs"].values() for log in day]
        rows = sorted(
            (log for log in logs if start <= datetime.fromisoformat(log["startTime"]) <= end),
            key=lambda log: log["startTime"],
            reverse=_one(query, "sort_order", "desc") == "desc",
        )
        chosen, page, pages = _cut(rows, query, 50, 100)
        total, size = min(len(rows), _COUNTED_ROWS), int(_one(query, "page_size", "50"))
        return {
            "data": chosen, "total": total, "page": page, "page_size": size,
            "total_pages": min(pages, -(-_COUNTED_ROWS // size)), "total_is_capped": len(rows) > _COUNTED_ROWS,
        }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    stub: Stub
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.at = time.monotonic()
        parts = urlsplit(self.path)
        self.asked_path, self.query = parts.path, parse_qs(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        fault = self.stub._next_fault()
        try:
            fault(self, lambda: self.stub.answer(self.asked_path, self.query, headers))
        except Refusal as refusal:
            self.send(refusal.status, self.stub.error(refusal.status, str(refusal)))

    def note(self, status: int) -> None:
        """Add the request to `asked`, before it is answered."""
        self.stub.asked.append(Asked(self.asked_path, self.query, self.at, status))

    def send(self, code: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send an answer."""
        self.note(code)
        self.send_response(code)
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in {**usual, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests look at `asked`."""


# -------------------------------------------------------------------------------------------------------------- words
def encoded(document: object) -> bytes:
    """JSON with Decimals as numbers, digit by digit."""
    text = json.dumps(document, indent=1, default=lambda value: f"\0{value}\0")
    return re.sub(r'"\\u0000(.*?)\\u0000"', r"\1", text).encode()


def _known(query: Query, *names: str) -> None:
    if unknown := set(query) - set(names):
        raise Refusal(400, f"Unknown parameter: {', '.join(sorted(unknown))}")


def _one(query: Query, name: str, default: str | None = None) -> str:
    values = query.get(name) or ([default] if default is not None else [])
    if len(values) != 1:
        raise Refusal(400, f"Missing required parameter: {name}")
    return values[0]


def _limit(query: Query, name: str, default: int, most: int) -> int:
    limit = int(_one(query, name, str(default)))
    if not 1 <= limit <= most:
        raise Refusal(400, f"{name}: {limit} must be from 1 to {most}")
    return limit


def _day(text: str, *, unix: bool) -> date:
    try:
        return datetime.fromtimestamp(int(text), UTC).date() if unix else datetime.fromisoformat(text).date()
    except ValueError as error:
        raise Refusal(400, f"{text} is no time") from error


def _instant(day: date, *, unix: bool) -> int | str:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) if unix else f"{day}T00:00:00Z"


def _position(query: Query, start: date, end: date) -> tuple[date, int]:
    """The day that a cursor points at, and how many pages came before; a cursor of another window is refused."""
    if "page" not in query:
        return start, 0
    try:
        text = base64.urlsafe_b64decode(_one(query, "page").removeprefix("page_")).decode()
        day, number = date.fromisoformat(text.split("/")[0]), int(text.split("/")[1])
    except (ValueError, IndexError) as error:
        raise Refusal(400, "Invalid page cursor") from error
    if not start < day < end:
        raise Refusal(400, "Invalid page cursor")
    return day, number


def _cut(rows: list[Any], query: Query, default: int, most: int) -> tuple[list[Any], int, int]:
    size = _limit(query, "page_size", default, most)
    page = int(_one(query, "page", "1"))
    return rows[(page - 1) * size : page * size], page, -(-len(rows) // size)


def _of_key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"metrics": {}, "metadata": {"key_alias": row.get("key_alias"), "team_id": row.get("team_id")}}


def _sum(metrics: dict[str, Any], row: Mapping[str, Any]) -> None:
    for name in _METRICS:
        metrics[name] = metrics.get(name, 0) + row.get(name, 0)
    metrics["total_tokens"] = metrics["prompt_tokens"] + metrics["completion_tokens"]
