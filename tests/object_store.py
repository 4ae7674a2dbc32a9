"""An S3 of the tests' own, on this machine, in its own process: one call of deltalake holds the interpreter's lock."""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import boto3

from tests.local_server import endpoint

BUCKET = "finops-lake"


@dataclass(frozen=True)
class S3:
    """A server with one bucket."""

    endpoint: str
    log: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def storage_options(self) -> dict[str, str]:
        """What a lake needs to be kept here."""
        return {
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
            "aws_region": "us-east-1",
            "aws_endpoint_url": self.endpoint,
            "aws_allow_http": "true",
        }

    def new_uri(self) -> str:
        """The address of a lake that nobody has used yet."""
        return f"s3://{BUCKET}/lake-{next(self._numbers)}"

    def requests(self) -> list[str]:
        """What the server was asked so far, as `GET /bucket/key`."""
        return re.findall(r'"(?:\x1b\[\d+m)*([A-Z]+ \S+) HTTP', self.log.read_text())


@contextmanager
def serving(log: Path) -> Iterator[S3]:
    """An S3 for as long as the block runs; it writes its requests to `log`."""
    with log.open("w") as out:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        server = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        s3 = S3(endpoint(server, log, r"Running on (http://\S+)"), log)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=s3.endpoint, **keys).create_bucket(Bucket=BUCKET)
        yield s3
    finally:
        server.kill()
        server.wait()
