"""A Blob storage of the tests' own, on this machine: Azurite, in its own process, with a container for each asker.

It is `npm install --prefix .azurite --no-package-lock --no-save azurite@3.37.0` in the checkout, `azurite-blob` on the
PATH, or what the environment variable AZURITE names; where it is none of these, tests that need it are skipped.
"""

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from tests.local_server import endpoint

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account and key, the same on every machine."""
_HERE = Path(__file__).parents[1] / ".azurite/node_modules/.bin/azurite-blob"


def executable() -> str | None:
    """The command that starts Azurite."""
    return os.environ.get("AZURITE") or shutil.which("azurite-blob") or (str(_HERE) if _HERE.exists() else None)


needs_azurite = pytest.mark.skipif(executable() is None, reason="needs azurite")


@dataclass(frozen=True)
class Azurite:
    """A server, and the containers that were asked of it."""

    endpoint: str
    log: Path
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def account_url(self) -> str:
        """What the addresses of its containers begin with."""
        return f"{self.endpoint}/{ACCOUNT}"

    @property
    def storage_options(self) -> dict[str, str]:
        """What a lake needs to be kept here."""
        return {
            "account_name": ACCOUNT,
            "account_key": KEY,
            "endpoint": self.account_url,
            "allow_http": "true",
        }

    def new_container(self) -> ContainerClient:
        """A container that nobody has used yet."""
        container = ContainerClient(self.account_url, f"container-{next(self._numbers)}", credential=KEY)
        container.create_container()
        return container

    def new_uri(self) -> str:
        """The address of a lake that nobody has used yet."""
        return f"az://{self.new_container().container_name}/lake"

    def requests(self) -> list[str]:
        """What the server was asked so far, as `GET /devstoreaccount1/container/blob`."""
        return re.findall(r'"([A-Z]+ \S+) HTTP', self.log.read_text())


@contextmanager
def serving(log: Path) -> Iterator[Azurite]:
    """An Azurite for as long as the block runs; it keeps its blobs in memory and writes its requests to `log`."""
    command = [
        str(executable()), "--blobPort", "0", "--inMemoryPersistence",
        "--skipApiVersionCheck", "--loose", "--disableTelemetry",
    ]  # fmt: skip
    with log.open("w") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, cwd=log.parent)
    try:
        yield Azurite(endpoint(server, log, r"listens on (http://\S+)"), log)
    finally:
        server.kill()
        server.wait()
