"""What AWS delivers to a bucket, in the layouts of its exports, and the line items that came of it on disk."""

import gzip
import io
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from connectors.aws import find_parts
from connectors.aws.exports import pull
from connectors.aws.session import Tries
from connectors.deliveries import Fetched
from finops.config import Aws, Source
from tests.aws_stub import BUCKET, AwsStub
from tests.conftest import TODAY
from tests.unit.test_aws import LEGACY, line_item

Layout = Literal["overwritten", "versions", "legacy", "assemblies", "legacy parquet"]
LAYOUTS: tuple[Layout, ...] = ("overwritten", "versions", "legacy", "assemblies", "legacy parquet")
NAME = "acme"
PREFIX = f"exports/{NAME}"
QUICK = Tries(sdk=1, attempts=5, first_wait_s=0.001, longest_wait_s=0.004, answer_s=5)
COST = "0.1"
"""What each line item costs."""


@dataclass
class Delivery:
    """An export in the stub's bucket, a source that reads it, and where its months lie."""

    stub: AwsStub
    folder: Path
    layout: Layout = "overwritten"
    ending: str = "csv.gz"
    settings: dict[str, Any] = field(default_factory=dict)
    tries: Tries = QUICK
    numbered: bool = True
    name: str = NAME
    said: list[str] = field(default_factory=list)
    expected: dict[str, list[str]] = field(default_factory=dict)
    delivered: dict[str, list[list[str]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def prefix(self) -> str:
        """Where it lies in the bucket."""
        return f"exports/{self.name}"

    @property
    def source(self) -> Source:
        settings = {"export": f"s3://{BUCKET}/{self.prefix}", "since": "2026-01-01", "endpoint_url": self.stub.url}
        return Source(id="bill", connector="aws", aws=Aws.model_validate(settings | self.settings))

    def deliver(self, month: str, *chunks: Sequence[str], missing: int = 0, write: bool = True) -> list[str]:
        """A version of a month: a file for each list of ids, then its manifest; returns the keys of the files.

        missing: so many of the files, from the last one, are listed but not there. write: also the manifest.
        """
        version = f"2026-11-{len(self.delivered[month]) + 1:02}T06:00:00Z-{month}"
        keys = [self._key(month, version, number) for number in range(1, len(chunks) + 1)]
        for key, ids in list(zip(keys, chunks, strict=True))[: len(chunks) - missing]:
            self.stub.put(key, self._content(month, ids))
        if write:
            for key in self._manifests(month, version):
                self.stub.put(key, self._manifest(month, keys))
            self.delivered[month].append(sorted(i for ids in chunks for i in ids))
            if not missing:
                self.expected[month] = self.delivered[month][-1]
        return keys

    def pull(self, say: Callable[[str], None] | None = None) -> Fetched:
        return pull(self.source, self.folder, today=TODAY, say=say or self.said.append, tries=self.tries)

    def on_disk(self) -> dict[str, list[str]]:
        """The ids of every line item that a load would read, sorted, as often as they are there, by month."""
        found: dict[str, list[str]] = defaultdict(list)
        parts = find_parts(self.folder, until=TODAY) if any(self.folder.glob("[!.]*")) else []
        for part in parts:
            whole = pl.read_parquet(part.path) if part.path.suffix == ".parquet" else pl.read_csv(part.path)
            for identity in whole["identity/LineItemId" if self._is_legacy else "identity_line_item_id"]:
                found[str(identity).partition(" ")[0]].append(str(identity))
        return {month: sorted(ids) for month, ids in found.items()}

    @property
    def _is_legacy(self) -> bool:
        return self.layout not in ("overwritten", "versions")

    def _period(self, month: str) -> str:
        if not self._is_legacy:
            return f"BILLING_PERIOD={month}"
        year, number = int(month[:4]), int(month[5:])
        return f"{year}{number:02}01-{year + number // 12}{number % 12 + 1:02}01"

    def _key(self, month: str, version: str, number: int) -> str:
        file = f"{self.name}-{number:05}.{self.ending}"
        folder = {
            "overwritten": f"data/{self._period(month)}",
            "versions": f"data/{self._period(month)}/{version}",
            "legacy": self._period(month),
            "assemblies": f"{self._period(month)}/{version}",
            "legacy parquet": f"{self.name}/year={month[:4]}/month={int(month[5:])}",
        }[self.layout]
        return f"{self.prefix}/{folder}/{file}"

    def _manifests(self, month: str, version: str) -> list[str]:
        file = f"{self.name}-Manifest.json"
        if not self._is_legacy:
            version = f"{version}/" if self.layout == "versions" else ""
            return [f"{self.prefix}/metadata/{self._period(month)}/{version}{file}"]
        above = [f"{self.prefix}/{self._period(month)}/{file}"]
        return (
            [f"{self.prefix}/{self._period(month)}/{version}/{file}"] if self.layout == "assemblies" else []
        ) + above

    def _manifest(self, month: str, keys: list[str]) -> bytes:
        if not self._is_legacy:
            files = [f"s3://{BUCKET}/{key}" for key in keys]
            execution = f"{len(self.delivered[month])}" if self.numbered else ""
            return json.dumps({"executionId": execution, "columns": [], "dataFiles": files}).encode()
        start, _, end = self._period(month).partition("-")
        period = {"start": f"{start}T000000.000Z", "end": f"{end}T000000.000Z"}
        return json.dumps(
            {"assemblyId": f"{len(self.delivered[month])}", "account": "111122223333", "charset": "UTF-8",
             "compression": "GZIP", "contentType": "text/csv", "reportName": self.name, "bucket": BUCKET,
             "billingPeriod": period, "reportKeys": keys}
        ).encode()  # fmt: skip

    def _content(self, month: str, ids: Sequence[str]) -> bytes:
        rows = pl.DataFrame([self._row(month, identity) for identity in ids])
        file = io.BytesIO()
        if self.ending.endswith("parquet"):
            rows.write_parquet(file)
            return file.getvalue()
        rows.write_csv(file)
        return gzip.compress(file.getvalue(), mtime=0) if self.ending.endswith("gz") else file.getvalue()

    def _row(self, month: str, identity: str) -> dict[str, str]:
        year, number = int(month[:4]), int(month[5:])
        after = f"{year + number // 12}-{number % 12 + 1:02}-01"
        if self._is_legacy:
            return {
                **LEGACY, "identity/LineItemId": identity, "lineItem/UnblendedCost": COST,
                "bill/BillingPeriodStartDate": f"{month}-01 00:00:00", "bill/BillingPeriodEndDate": f"{after} 00:00:00",
                "lineItem/UsageStartDate": f"{month}-03 10:00:00", "lineItem/UsageEndDate": f"{month}-03 11:00:00",
            }  # fmt: skip
        return {"identity_line_item_id": identity} | line_item(
            bill_billing_period_start_date=f"{month}-01T00:00:00.000Z",
            bill_billing_period_end_date=f"{after}T00:00:00.000Z",
            line_item_usage_start_date=f"{month}-03T10:00:00.000Z",
            line_item_usage_end_date=f"{month}-03T11:00:00.000Z",
            line_item_unblended_cost=COST,
        )


def ids(month: str, first: int, last: int) -> list[str]:
    """Ids of line items of a month, from first to last."""
    return [f"{month} {number:04}" for number in range(first, last + 1)]
