"""A bucket on a real moto server, and a proxy before it that does to requests what networks and AWS do.

    with AwsStub() as aws:
        aws.put("exports/acme/data/BILLING_PERIOD=2026-10/acme-00001.csv.gz", content)
        aws.fail(status(503, "SlowDown"), None, cut_off())    # the next requests, in this order; None answers
        ... the real SDK at aws.url, with the keys of `KEYS` ...
        aws.asked                                             # what was asked, in order: "list", "get <key>", "sts ..."

Listings are answered in pages of `page_size` keys; with `order` a seed, the keys come in that order instead of S3's.
`before` is called with each request before it is answered, so that a bucket can change while it is read.
"""

import logging
import os
import random
import re
from collections.abc import Callable
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

from tests.fault_proxy import Answer, Fault, FaultProxy, Handler, Request, forward

BUCKET = "acme-billing"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIDSTUB", "AWS_SECRET_ACCESS_KEY": "stub-secret", "AWS_SESSION_TOKEN": "stub-token",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nowhere/config",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
}  # fmt: skip
"""An environment that has credentials, and finds no others."""


def set_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment be KEYS, and nothing else of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


# ------------------------------------------------------------------------------------------------------------- faults
def status(code: int, name: str, message: str = "a fault of the stub", **fields: str) -> Fault:
    """An error answer of S3 or, to an STS request, of STS."""

    def fault(handler: Handler, _answer: Callable[[], Answer]) -> None:
        more = "".join(f"<{field}>{value}</{field}>" for field, value in fields.items())
        error = f"<Error><Code>{name}</Code><Message>{message}</Message>{more}</Error>"
        body = f"<ErrorResponse>{error}</ErrorResponse>" if handler.command == "POST" else error
        handler.send(Answer(code, {"Content-Type": "application/xml"}, body.encode()))

    return fault


def expired() -> Fault:
    """The token is not valid any more."""
    return status(400, "ExpiredToken", "The provided token has expired.")


# --------------------------------------------------------------------------------------------------------------- stub
class AwsStub(FaultProxy):
    """A moto server with one bucket, behind a proxy; see the module."""

    def __init__(self) -> None:
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._rest: dict[str, tuple[Answer, list[bytes]]] = {}
        super().__init__()

    def reset(self) -> None:
        """No faults, and everything as it was in the beginning but for the bucket's content."""
        super().reset()
        self._rest.clear()
        self.page_size = 1000
        self.order: int | None = None
        self.checksums = True

    def __enter__(self) -> "AwsStub":
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto.start()
        super().__enter__()
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
        super().__exit__(kind, error, trace)
        self._moto.stop()

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

    def named(self, request: Request) -> str:
        if request.command == "POST":
            return f"sts {parse_qs(request.body.decode()).get('Action', ['?'])[0]}"
        key = unquote(urlsplit(request.path).path).removeprefix(f"/{BUCKET}").lstrip("/")
        return "list" if _is_listing(request) else f"{request.command.lower()} {key}"

    def answer(self, request: Request) -> Answer:
        return self._listing(request) if _is_listing(request) else forward(self.behind, request)

    def _listing(self, request: Request) -> Answer:
        """A page of a listing: all keys are asked of moto once, and given out in the order and size that is set."""
        token = parse_qs(urlsplit(request.path).query).get("continuation-token", [""])[0]
        if token:
            whole, entries = self._rest[token]
        else:
            whole = forward(self.behind, request)
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


def _is_listing(request: Request) -> bool:
    return "list-type=2" in request.path
