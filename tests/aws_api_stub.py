"""AWS's JSON APIs over HTTP, as the real SDK calls them: an operation is a function of what it is asked."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Operation = Callable[..., Mapping[str, Any]]

_IDENTITY = (
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    "<Arn>arn:aws:iam::123456789012:user/finops</Arn><UserId>A</UserId><Account>123456789012</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


class Refused(Exception):
    """What an operation raises to answer an error: status and AWS's code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@contextmanager
def served(operations: Mapping[str, Operation]) -> Iterator[str]:
    """The address of a server with these operations, by the names of the API: `GetCostAndUsage`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            target = self.headers.get("X-Amz-Target", "")
            if not target:
                self._answer(200, _IDENTITY.encode(), "text/xml")
                return
            try:
                answer: Any = operations[target.rpartition(".")[2]](**json.loads(body))
                status = 200
            except Refused as error:
                status, answer = error.status, {"__type": error.code, "message": "no"}
            self._answer(status, json.dumps(answer).encode(), "application/x-amz-json-1.1")

        def _answer(self, status: int, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
