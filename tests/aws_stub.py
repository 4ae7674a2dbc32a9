"""A bucket on a real moto server, and a proxy before it that does to requests what networks and AWS do.

    with AwsStub() as aws:
        aws.put("exports/acme/data/BILLING_PERIOD=2026-10/acme-00001.csv.gz", content)
        aws.fail(status(503, "SlowDown"), None, cut_off())    # the next requests, in this order; None answers
        ... the real SDK at aws.url, with the keys of `KEYS` ...
        aws.asked                                             # what was asked, in order: "list", "get <key>", "sts ..."

Listings are answered in pages of `page_size` keys; with `order` a seed, the keys come in that order instead of S3's.
`before` is called with each request before it is answered, so that a bucket can change while it is read.
"""

import http.client
import logging
import os
import random
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

BUCKET = "acme-billing"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDSTUB", "AWS_SECRET_ACCESS_KEY": "stub-secret", "AWS_SESSION_TOKEN": "stub-token",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
}  # fmt: skip
"""An environment that has credentials, and finds no others."""


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    headers: dict[str, str]
    body: bytes


Fault = Callable[["_Handler", Callable[[], Answer]], None]
"""What happens to a request in place of its answer, which the second argument makes."""


def set_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment be KEYS, and nothing else of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


# ------------------------------------------------------------------------------------------------------------- faults
def status(code: int, name: str, message: str = "a fault of the stub", **fields: str) -> Fault:
    """An error answer of S3 or, to an STS request, of STS."""

    def fault(handler: "_Handler", _answer: Callable[[], Answer]) -> None:
        more = "".join(f"<{field}>{value}</{field}>" for field, value in fields.items())
        error = f"<Error><Code>{name}</Code><Message>{message}</Message>{more}</Error>"
        body = f"<ErrorResponse>{error}</ErrorResponse>" if handler.command == "POST" else error
        handler.send(Answer(code, {"Content-Type": "application/xml"}, body.encode()))

    return fault


def half_an_error() -> Fault:
    """An error answer whose connection is reset while its body is read."""
    half = Answer(500, {"Content-Type": "application/xml"}, b"<Error><Code>Inter")

    def fault(handler: "_Handler", _answer: Callable[[], Answer]) -> None:
        handler.send(half, length=2 * len(half.body))
        time.sleep(0.05)
        handler.drop()

    return fault


def expired() -> Fault:
    """The token is not valid any more."""
    return status(400, "ExpiredToken", "The provided token has expired.")


def reset() -> Fault:
    """The connection is reset before any answer."""
    return lambda handler, _answer: handler.drop()


def cut_off(*, honest: bool = True) -> Fault:
    """The first half of the body; honest: with the length of all of it, else of the half."""

    def fault(handler: "_Handler", answer: Callable[[], Answer]) -> None:
        whole = answer()
        half = whole.body[: len(whole.body) // 2]
        length = len(whole.body) if honest else len(half)
        handler.send(Answer(whole.status, whole.headers, half), length=length)

    return fault


def reset_within() -> Fault:
    """The connection is reset after the first half of the body."""

    def fault(handler: "_Handler", answer: Callable[[], Answer]) -> None:
        whole = answer()
        handler.send(Answer(whole.status, whole.headers, whole.body[: len(whole.body) // 2]), length=len(whole.body))
        handler.drop()

    return fault


def damaged() -> Fault:
    """The right length, but a byte in the middle is another one; only of objects, which AWS sends with a checksum."""

    def fault(handler: "_Handler", answer: Callable[[], Answer]) -> None:
        whole = answer()
        body = bytearray(whole.body)
        if "x-amz-checksum-crc32" in whole.headers:
            body[len(body) // 2] ^= 0xFF
        handler.send(Answer(whole.status, whole.headers, bytes(body)))

    return fault


def not_aws() -> Fault:
    """200 with a page of HTML, as a gateway in between answers."""
    page = Answer(200, {"Content-Type": "text/html"}, b"<html>one moment please</html>")
    return lambda handler, _answer: handler.send(page)


def slow(seconds: float) -> Fault:
    """The right answer, but late."""

    def fault(handler: "_Handler", answer: Callable[[], Answer]) -> None:
        time.sleep(seconds)
        handler.send(answer())

    return fault


def as_it_is(handler: "_Handler", answer: Callable[[], Answer]) -> None:
    """No fault."""
    handler.send(answer())


# --------------------------------------------------------------------------------------------------------------- stub
class AwsStub:
    """A moto server with one bucket, behind a proxy; see the module."""

    def __init__(self) -> None:
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._proxy = _Proxy(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": self}))
        self._thread = threading.Thread(target=self._proxy.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._lock = threading.Lock()
        self._faults: deque[Fault | None] = deque()
        self._rest: dict[str, tuple[Answer, list[bytes]]] = {}
        self.reset()

    def reset(self) -> None:
        """No faults, and everything as it was in the beginning but for the bucket's content."""
        self._faults.clear()
        self._rest.clear()
        self.page_size = 1000
        self.order: int | None = None
        self.checksums = True
        self.before: Callable[[str], None] | None = None
        self.asked: list[str] = []
        self.sent_bytes = 0

    def __enter__(self) -> "AwsStub":
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto.start()
        self._thread.start()
        host, port = self._moto.get_host_and_port()
        self.behind = f"{host}:{port}"
        self._clients = {
            checksums: boto3.client(
                "s3", endpoint_url=f"http://{self.behind}", region_name="us-east-1", aws_access_key_id="a",
                aws_secret_access_key="b", config=Config(
                    s3={"addressing_style": "path"},
                    request_checksum_calculation="when_supported" if checksums else "when_required",
                ),
            )
            for checksums in (True, False)
        }  # fmt: skip
        self.s3 = self._clients[True]
        self.s3.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._proxy.shutdown()
        self._proxy.server_close()
        self._thread.join()
        self._moto.stop()

    @property
    def url(self) -> str:
        """What `aws.endpoint_url` is to be."""
        return f"http://127.0.0.1:{self._proxy.server_address[1]}"

    def empty(self) -> None:
        """Nothing in the bucket, and as it was in the beginning."""
        self.reset()
        for entry in self.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            self.delete(entry["Key"])

    def put(self, key: str, body: bytes) -> None:
        """An object, in the place of what the key had; with a checksum, unless `checksums` is off."""
        self._clients[self.checksums].put_object(Bucket=BUCKET, Key=key, Body=body)

    def delete(self, *keys: str) -> None:
        """The objects are gone."""
        for key in keys:
            self.s3.delete_object(Bucket=BUCKET, Key=key)

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

    def forward(self, command: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """What moto answers."""
        connection = http.client.HTTPConnection(self.behind, timeout=30)
        connection.request(command, path, body or None, headers)
        found = connection.getresponse()
        answer = Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        connection.close()
        return answer

    def listing(self, path: str, headers: dict[str, str]) -> Answer:
        """A page of a listing: all keys are asked of moto once, and given out in the order and size that is set."""
        token = parse_qs(urlsplit(path).query).get("continuation-token", [""])[0]
        if token:
            whole, entries = self._rest[token]
        else:
            whole = self.forward("GET", path, headers, b"")
            if whole.status != 200:
                return whole
            entries = re.findall(rb"<Contents>.*?</Contents>", whole.body, re.DOTALL)
            if self.order is not None:
                random.Random(self.order).shuffle(entries)
        page, rest = entries[: self.page_size], entries[self.page_size :]
        more = b"<IsTruncated>false</IsTruncated>"
        if rest:
            name = f"token-{len(self._rest)}"
            self._rest[name] = (whole, rest)
            more = (
                b"<IsTruncated>true</IsTruncated><NextContinuationToken>" + name.encode() + b"</NextContinuationToken>"
            )
        frame = re.sub(rb"<Contents>.*</Contents>|<IsTruncated>.*?</IsTruncated>", b"", whole.body, flags=re.DOTALL)
        body = frame.replace(b"</ListBucketResult>", b"".join(page) + more + b"</ListBucketResult>")
        return Answer(200, whole.headers, body)


class _Proxy(ThreadingHTTPServer):
    """A thread a connection; a client that hangs up is no error."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: tests see what the client got."""


class _Handler(BaseHTTPRequestHandler):
    """Passes a request on, but for its fault."""

    stub: AwsStub
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
        listing = "list-type=2" in self.path
        if self.command == "POST":
            asked = f"sts {parse_qs(body.decode()).get('Action', ['?'])[0]}"
        else:
            key = unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}").lstrip("/")
            asked = "list" if listing else f"{self.command.lower()} {key}"

        def answer() -> Answer:
            if listing:
                return self.stub.listing(self.path, headers)
            return self.stub.forward(self.command, self.path, headers, body)

        self.stub.told(asked)(self, answer)

    def send(self, answer: Answer, *, length: int | None = None) -> None:
        """Send an answer; with another length than its body's, the connection ends after it."""
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("content-length", "connection", "server", "date", "transfer-encoding"):
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
