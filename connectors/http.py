"""GET until there is a whole JSON object: retries with growing, jittered waits, or the wait that the server asks for.

Statuses 408, 409, 425, 429 and 5xx, broken or slow connections and bodies that are cut off or no JSON are tried again;
any other answer is final. Redirects are not followed, so that a key goes to the configured host only.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final

import httpx
import tenacity

Params = Mapping[str, str | int | Sequence[str]]
Document = Mapping[str, Any]

_RETRIED: Final = frozenset({408, 409, 425, 429})
_BROKEN: Final = (
    httpx.TimeoutException,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
    httpx.DecodingError,
)
_SAID_LENGTH: Final = 300


@dataclass(frozen=True)
class Patience:
    """How long one request is tried: so often, for so many seconds in all, and for how long one answer is awaited.

    The wait grows from first_wait_s, doubled each time, to longest_wait_s, plus up to jitter_s by chance. A wait that
    the server asks for is kept as it is; one that does not fit into total_s ends the tries.
    """

    attempts: int = 8
    total_s: float = 600
    first_wait_s: float = 1
    longest_wait_s: float = 60
    jitter_s: float = 1
    answer_s: float = 60


def trying(
    patience: Patience,
    *,
    again: Callable[[BaseException], bool],
    asked_s: Callable[[BaseException | None], float | None],
    tell: Callable[[tenacity.RetryCallState], None],
) -> tenacity.Retrying:
    """What calls a request until it is answered: errors that may pass are tried again, after the wait they ask for."""
    growing = tenacity.wait_exponential_jitter(
        multiplier=patience.first_wait_s, max=patience.longest_wait_s, jitter=patience.jitter_s
    )

    def wait(state: tenacity.RetryCallState) -> float:
        asked = asked_s(state.outcome.exception() if state.outcome else None)
        return growing(state) if asked is None else asked

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(again),
        wait=wait,
        stop=tenacity.stop_after_attempt(patience.attempts) | tenacity.stop_before_delay(patience.total_s),
        before_sleep=tell,
        reraise=True,
    )


class NoAnswer(Exception):
    """Why there is no whole answer, in words; status where there was one."""

    def __init__(
        self, found: str, *, status: int | None = None, again: bool = True, wait_s: float | None = None
    ) -> None:
        super().__init__(found)
        self.found = found
        self.status = status
        self.again = again
        self.wait_s = wait_s


@dataclass(frozen=True)
class Answer:
    """A body, byte for byte, and the object that it holds, numbers with a point as Decimal."""

    body: bytes
    document: Document


class Client:
    """GETs of one server with one key; counts requests and retries. secret: what no message may hold."""

    def __init__(
        self, url: str, headers: Mapping[str, str], *, secret: str, patience: Patience, say: Callable[[str], None]
    ) -> None:
        self._url = url.rstrip("/")
        self._secret = secret
        self._patience = patience
        self._say = say
        self._http = httpx.Client(headers=dict(headers), timeout=patience.answer_s, follow_redirects=False)
        self.requests = 0
        self.retries = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, params: Params, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a GET; raises NoAnswer when there is none after all tries, or at once when none will come."""
        retrying = trying(
            self._patience,
            again=lambda error: isinstance(error, NoAnswer) and error.again,
            asked_s=lambda error: error.wait_s if isinstance(error, NoAnswer) else None,
            tell=self._tell,
        )
        answer: Answer = retrying(self._once, path, params, headers)
        return answer

    def _once(self, path: str, params: Params, headers: Mapping[str, str] | None) -> Answer:
        self.requests += 1
        try:
            response, body = self._read(path, params, headers)
        except _BROKEN as error:
            raise NoAnswer(f"{type(error).__name__}: {self._clean(str(error))}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"{type(error).__name__}: {self._clean(str(error))}", again=False) from None
        if response.status_code != httpx.codes.OK:
            raise NoAnswer(
                f'{response.status_code} {response.reason_phrase}: "{self._clean(_said(body))}"',
                status=response.status_code,
                again=response.status_code in _RETRIED or response.is_server_error,
                wait_s=asked_wait_s(response.headers),
            )
        try:
            document = json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise NoAnswer(f"the answer is cut off or no JSON: {self._clean(str(error))}") from None
        if not isinstance(document, dict):
            raise NoAnswer(f"the answer is a JSON {type(document).__name__}, no object", again=False)
        return Answer(body, document)

    def _read(self, path: str, params: Params, headers: Mapping[str, str] | None) -> tuple[httpx.Response, bytes]:
        """The response and its body; raises ReadTimeout when the body drips in for longer than total_s."""
        deadline = time.monotonic() + self._patience.total_s
        body = bytearray()
        with self._http.stream("GET", self._url + path, params=dict(params), headers=headers) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"the body was not whole after {self._patience.total_s:.0f} s")
        return response, bytes(body)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        self.retries += 1
        self._say(
            f"{_failure(state).found}; tried again in {state.upcoming_sleep:.1f} s "
            f"(try {state.attempt_number + 1} of {self._patience.attempts})"
        )

    def _clean(self, text: str) -> str:
        shown = text.replace(self._secret, "(the key)") if self._secret else text
        return shown if len(shown) <= _SAID_LENGTH else f"{shown[:_SAID_LENGTH]}..."


def _failure(state: tenacity.RetryCallState) -> NoAnswer:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, NoAnswer)  # nothing else is tried again
    return error


def _said(body: bytes) -> str:
    """What the server says is wrong: the message of its error object, else the start of its body."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return re.sub(r"\s+", " ", body.decode("utf-8", errors="replace")).strip()
    error = document.get("error", document.get("detail", document)) if isinstance(document, dict) else document
    said = error.get("message", error.get("error", error)) if isinstance(error, dict) else error
    return said if isinstance(said, str) else json.dumps(said)


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to be waited; a date is measured on the server's own clock where it tells it.

    Retry-After, a number of seconds or a date, or Azure's x-ms-retry-after-ms. headers: whatever their case.
    """
    in_ms = headers.get("x-ms-retry-after-ms", "").strip()
    if in_ms.isdecimal():
        return int(in_ms) / 1000
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", asked):
        return float(asked)
    until, now = _instant(asked), _instant(headers.get("date", ""))
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds()) if until else None


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
