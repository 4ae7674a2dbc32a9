"""What Cost Management delivers to a container, in the layouts of its exports, and the rows that came of it on disk."""

import gzip
import io
import json
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import polars as pl
import pytest

from connectors.azure import find_parts
from connectors.azure.exports import pull
from connectors.deliveries import Fetched
from connectors.http import Patience
from finops.config import Azure, Source
from tests.azure_stub import AzureStub
from tests.azurite import KEY
from tests.conftest import TODAY
from tests.unit.test_azure import FOCUS

Layout = Literal["kept", "timed", "overwritten", "above"]
LAYOUTS: tuple[Layout, ...] = ("kept", "timed", "overwritten", "above")
"""Runs kept beside each other, with a folder of their time, only the newest one, and an export below its address."""
ENDINGS = ("csv", "csv.gz", "snappy.parquet")
NAME = "acme"
QUICK = Patience(attempts=5, total_s=20, first_wait_s=0.001, longest_wait_s=0.004, jitter_s=0.001, answer_s=5)
COST = "0.1"
"""What each row costs."""
KEY_NAME = "FINOPS_TEST_AZURE_KEY"


def set_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment have Azurite's key, and the SDK not sleep while it reads a body again by itself."""
    monkeypatch.setenv(KEY_NAME, KEY)
    monkeypatch.setattr("azure.storage.blob._download.time.sleep", lambda seconds: None)


@dataclass
class Delivery:
    """An export in the stub's container, a source that reads it, and where its months lie."""

    stub: AzureStub
    folder: Path
    layout: Layout = "kept"
    ending: str = "csv.gz"
    settings: dict[str, Any] = field(default_factory=dict)
    patience: Patience = QUICK
    name: str = NAME
    said: list[str] = field(default_factory=list)
    expected: dict[str, list[str]] = field(default_factory=dict)
    delivered: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))
    runs: int = 0

    @property
    def prefix(self) -> str:
        """Where it lies in the container."""
        return f"exports/{self.name}" + ("/focus" if self.layout == "above" else "")

    @property
    def source(self) -> Source:
        settings = {"export": f"{self.stub.root}/exports/{self.name}", "since": "2026-01-01"}
        key = {"export_key": {"env": KEY_NAME}}
        return Source(id="bill", connector="azure", azure=Azure.model_validate(settings | key | self.settings))

    def period(self, month: str) -> str:
        """The folder of a month."""
        year, number = int(month[:4]), int(month[5:])
        folder = f"{year}{number:02}01-{year}{number:02}{monthrange(year, number)[1]}"
        return f"focus/{folder}" if self.layout == "above" else folder

    def deliver(
        self, month: str, *chunks: Sequence[str], missing: int = 0, write: bool = True, **told: Any
    ) -> list[str]:
        """A run of a month: a blob for each list of ids, then its manifest; returns the names of the blobs.

        missing: so many of the blobs, from the last one, are listed but not there. write: also the manifest. told: what
        the manifest says in place of the truth.
        """
        self.runs += 1
        below = f"exports/{self.name}/{self.period(month)}"
        if self.layout == "overwritten" and write:
            self.stub.delete(*(key for key in self.stub.names() if key.startswith(f"{below}/")))
        # ids of runs are in no order: only the time that they were submitted at tells the newest
        run = str(UUID(int=(977 * self.runs) % 1000 * 2**100 + self.runs))
        run = f"2026112106{self.runs:02}/{run}" if self.layout == "timed" else run
        keys = [f"{below}/{run}/part_{number}_0001.{self.ending}" for number in range(len(chunks))]
        blobs = []
        for number, (key, ids) in enumerate(zip(keys, chunks, strict=True)):
            content = self._content(month, ids)
            blobs.append({"blobName": key, "byteCount": len(content), "dataRowCount": len(ids)})
            if number < len(chunks) - missing:
                self.stub.put(key, content)
        if write:
            self.stub.put(f"{below}/{run}/manifest.json", json.dumps(self._manifest(blobs) | told).encode())
            self.delivered[month].append(sorted(i for ids in chunks for i in ids))
            if not missing:
                self.expected[month] = self.delivered[month][-1]
        return keys

    def pull(self, say: Callable[[str], None] | None = None) -> Fetched:
        return pull(
            self.source, self.folder, home=Path(), today=TODAY, say=say or self.said.append, patience=self.patience
        )

    def on_disk(self) -> dict[str, list[str]]:
        """The ids of every row that a load would read, sorted, as often as they are there, by month."""
        found: dict[str, list[str]] = defaultdict(list)
        shown = [file for file in self.folder.rglob("part*") if "/." not in file.as_posix()]
        parts = find_parts(self.folder, until=TODAY) if shown else []
        for part in parts:
            whole = pl.read_parquet(part.path) if part.path.suffix == ".parquet" else pl.read_csv(part.path)
            for identity in whole["ResourceId"]:
                found[identity.partition(" ")[0]].append(identity)
        return {month: sorted(ids) for month, ids in found.items()}

    def _manifest(self, blobs: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "manifestVersion": "2024-04-01", "byteCount": sum(b["byteCount"] for b in blobs), "blobCount": len(blobs),
            "dataRowCount": sum(b["dataRowCount"] for b in blobs), "exportConfig": {"type": "FocusCost"},
            "runInfo": {"submittedTime": f"2026-11-21T06:{self.runs:02}:00.5234447Z"}, "blobs": blobs,
        }  # fmt: skip

    def _content(self, month: str, ids: Sequence[str]) -> bytes:
        rows = pl.DataFrame([_row(month, identity) for identity in ids])
        file = io.BytesIO()
        if self.ending.endswith("parquet"):
            rows.write_parquet(file)
            return file.getvalue()
        rows.write_csv(file)
        return gzip.compress(file.getvalue(), mtime=0) if self.ending.endswith("gz") else file.getvalue()


def _row(month: str, identity: str) -> dict[str, str]:
    year, number = int(month[:4]), int(month[5:])
    after = f"{year + number // 12}-{number % 12 + 1:02}-01"
    return FOCUS | {
        "ResourceId": identity, "BilledCost": COST, "EffectiveCost": COST, "ContractedCost": COST, "ListCost": COST,
        "BillingPeriodStart": f"{month}-01T00:00:00Z", "BillingPeriodEnd": f"{after}T00:00:00Z",
        "ChargePeriodStart": f"{month}-04T00:00:00Z", "ChargePeriodEnd": f"{month}-05T00:00:00Z",
    }  # fmt: skip


def ids(month: str, first: int, last: int) -> list[str]:
    """Ids of rows of a month, from first to last."""
    return [f"{month} {number:04}" for number in range(first, last + 1)]
