"""A proxy before a local server of an object store, that does to requests what networks do.

A stub is a `FaultProxy` that names each request and answers it from the server behind:

    stub.fail(reset(), None, cut_off())     # the next requests, in this order; None answers
    ... a real SDK at stub.url ...
    stub.asked                              # what was asked, in order, as `named` tells it

`before` is called with each request before it is answered, so that the store can change while it is read.
"""

import http.client
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Request:
    """What was asked: the path with its query, and headers by their names in small letters."""

    command: str
    path: str
    headers: dict[str, str]
    body: bytes


Fault = Callable[["Handler", Callable[[], Answer]], None]
"""What happens to a request in place of its answer, which the second argument makes."""


# ------------------------------------------------------------------------------------------------------------- faults
def half_an_error() -> Fault:
    """An error answer whose connection is reset while its body is read."""
    half = Answer(500, {"Content-Type": "application/xml"}, b"<Error><Code>Inter")

    def fault(handler: "Handler", _answer: Callable[[], Answer]) -> None:
        handler.send(half, length=2 * len(half.body))
        time.sleep(0.05)
        handler.drop()

    return fault


def reset() -> Fault:
    """The connection is reset before any answer."""
    return lambda handler, _answer: handler.drop()


def cut_off(*, honest: bool = True) -> Fault:
    """The first half of the body; honest: with the length of all of it, else of the half."""

    def fault(handler: "Handler", answer: Callable[[], Answer]) -> None:
        whole = answer()
        half = whole.body[: len(whole.body) // 2]
        length = len(whole.body) if honest else len(half)
        handler.send(Answer(whole.status, whole.headers, half), length=length)

    return fault


def reset_within() -> Fault:
    """The connection is reset after the first half of the body."""

    def fault(handler: "Handler", answer: Callable[[], Answer]) -> None:
        whole = answer()
        handler.send(Answer(whole.status, whole.headers, whole.body[: len(whole.body) // 2]), length=len(whole.body))
        handler.drop()

    return fault


def damaged(known_by: str) -> Fault:
    """The right length, but a byte in the middle is another one; only of answers that have that header, a checksum."""

    def fault(handler: "Handler", answer: Callable[[], Answer]) -> None:
        whole = answer()
        body = bytearray(whole.body)
        if known_by in whole.headers:
            body[len(body) // 2] ^= 0xFF
        handler.send(Answer(whole.status, whole.headers, bytes(body)))

    return fault


def other_page() -> Fault:
    """200 with a page of HTML, as a gateway in between answers."""
    page = Answer(200, {"Content-Type": "text/html"}, b"<html>one moment please</html>")
    return lambda handler, _answer: handler.send(page)


def slow(seconds: float) -> Fault:
    """The right answer, but late."""

    def fault(handler: "Handler", answer: Callable[[], Answer]) -> None:
        time.sleep(seconds)
        handler.send(answer())

    return fault


def as_it_is(handler: "Handler", answer: Callable[[], Answer]) -> None:
    """No fault."""
    handler.send(answer())


# --------------------------------------------------------------------------------------------------------------- proxy
class FaultProxy:
    """See the module. A subclass says what a request is called and how it is answered."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._scheme = "https" if tls else "http"
        self._proxy = _Proxy(("127.0.0.1", 0), type("Handler", (Handler,), {"stub": self}))
        if tls:
            self._proxy.socket = tls.wrap_socket(self._proxy.socket, server_side=True)
        self._thread = threading.Thread(target=self._proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._lock = threading.Lock()
        self._faults: deque[Fault | None] = deque()
        self.reset()

    def named(self, request: Request) -> str:
        """What `asked` and `before` call a request."""
        raise NotImplementedError

    def answer(self, request: Request) -> Answer:
        """What a request is answered with."""
        raise NotImplementedError

    def reset(self) -> None:
        """No faults, and nothing asked."""
        self._faults.clear()
        self.before: Callable[[str], None] | None = None
        self.asked: list[str] = []
        self.sent_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._proxy.server_address[1]}"

    def fail(self, *faults: Fault | None) -> None:
        """What happens to the next requests, one fault each, None for none; those after them are answered."""
        self._faults.extend(faults)

    def calm(self) -> None:
        """No more faults."""
        self._faults.clear()
        self.before = None

    def gets(self, ending: str = "") -> list[str]:
        """The keys that were asked for, in order, as often as they were."""
        return [
            asked.removeprefix("get ") for asked in self.asked if asked.startswith("get ") and asked.endswith(ending)
        ]

    def told(self, asked: str) -> Fault:
        """Note a request, and what is to happen to it."""
        with self._lock:
            self.asked.append(asked)
            fault = self._faults.popleft() if self._faults else None
        if self.before:
            self.before(asked)
        return fault or as_it_is


def forward(behind: str, request: Request) -> Answer:
    """What the server at host and port answers."""
    connection = http.client.HTTPConnection(behind, timeout=30)
    connection.request(request.command, request.path, request.body or None, request.headers)
    found = connection.getresponse()
    answer = Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
    connection.close()
    return answer


_OF_A_CONNECTION = ("content-length", "connection", "keep-alive", "server", "date", "transfer-encoding")


class _Proxy(ThreadingHTTPServer):
    """A thread a connection; a client that hangs up is no error."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: tests see what the client got."""


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, but for its fault."""

    stub: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_HEAD(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {k.lower(): v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "expect")}
        request = Request(self.command, self.path, headers, body)
        self.stub.told(self.stub.named(request))(self, lambda: self.stub.answer(request))

    def send(self, answer: Answer, *, length: int | None = None) -> None:
        """Send an answer; with another length than its body's, the connection ends after it."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in (
                "content-length",
                "connection",
                "keep-alive",
                "server",
                "date",
                "transfer-encoding",
            ):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if length is None else length))
        self.end_headers()
        self.stub.sent_bytes += len(answer.body)
        self.wfile.write(answer.body)
        self.wfile.flush()
        if length not in (None, len(answer.body)):
            self.close_connection = True

    def drop(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was asked is in `asked`."""
