"""`finops ingest` brings AWS's bills from S3 into the lake, and `finops doctor` says whether it can."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.cli.main import run
from finops.config import load_config
from finops.store import Lake
from tests import aws_stub as stubs
from tests import fault_proxy as faults
from tests.aws_deliveries import COST, Delivery, ids
from tests.aws_stub import BUCKET, KEYS, AwsStub

SEPTEMBER, OCTOBER = "2026-09", "2026-10"


@dataclass
class Company:
    """A home with two AWS bills: CUR 2.0 as Parquet in versions, and a legacy report as gzipped CSV."""

    home: Path
    stub: AwsStub
    cur: Delivery
    legacy: Delivery
    capsys: pytest.CaptureFixture[str]

    def finops(self, *arguments: str) -> tuple[int, Any, str]:
        """The exit code, the JSON of standard output, and standard error, in which no secret may stand."""
        self.capsys.readouterr()
        code = run(["--home", str(self.home), "--format", "json", *arguments])
        printed = self.capsys.readouterr()
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            assert KEYS[name] not in printed.out + printed.err
        return code, json.loads(printed.out) if printed.out else None, printed.err

    def billed(self) -> dict[tuple[str, str], Decimal]:
        """Billed cost by source and month, as the lake has it."""
        charges = Lake.of(load_config(self.home)).scan("charges").collect()
        sums = charges.group_by(s.SOURCE_ID, s.BILLING_PERIOD).agg(pl.col(s.BILLED_COST).sum())
        return {(source, month): cost.normalize() for source, month, cost in sums.rows()}

    def expected(self) -> dict[tuple[str, str], Decimal]:
        """The same of what was delivered last."""
        both = {"cur": self.cur, "legacy": self.legacy}
        return {
            (source, month): (Decimal(COST) * len(rows)).normalize()
            for source, delivery in both.items()
            for month, rows in delivery.expected.items()
        }


@pytest.fixture
def company(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """Two months of each bill in the bucket, and a home that fetches them."""
    stubs.set_keys(monkeypatch)
    home.mkdir()
    with AwsStub() as stub:
        cur = Delivery(stub, home / "raw" / "cur", "versions", "snappy.parquet", name="cur")
        legacy = Delivery(stub, home / "raw" / "legacy", "assemblies", name="legacy")
        for delivery in (cur, legacy):
            delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 9))
            delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4))
        (home / "finops.toml").write_text(
            "\n".join(
                f'[[sources]]\nid = "{name}"\nconnector = "aws"\n[sources.aws]\n'
                f'export = "s3://{BUCKET}/exports/{name}"\nsince = 2026-09-01\nendpoint_url = "{stub.url}"'
                for name in ("cur", "legacy")
            )
        )
        yield Company(home, stub, cur, legacy, capsys)


def test_fetched_and_loaded(company: Company) -> None:
    """Through faults, each line item of both bills is a charge once, and a second run changes nothing."""
    company.stub.fail(stubs.status(503, "SlowDown"), None, None, faults.reset_within(), None, faults.cut_off())
    code, document, said = company.finops("ingest")
    assert code == 0, said
    assert company.billed() == company.expected()
    assert {batch["source"] for batch in document["batches"]} == {"cur", "legacy"}
    company.stub.asked.clear()
    assert company.finops("ingest")[0] == 0
    assert company.billed() == company.expected()
    assert set(company.stub.asked) == {"list"}


def test_a_refreshed_month_replaces_itself(company: Company) -> None:
    """Fewer files and fewer line items than before leave nothing behind, and a month that vanished is kept."""
    assert company.finops("ingest")[0] == 0
    company.cur.deliver(SEPTEMBER, ids(SEPTEMBER, 8, 9))
    company.legacy.deliver(OCTOBER, ids(OCTOBER, 1, 2), ids(OCTOBER, 7, 20))
    listed = company.stub.s3.list_objects_v2(Bucket=BUCKET, Prefix="exports/legacy/202609")["Contents"]
    company.stub.delete(*(entry["Key"] for entry in listed))
    code, _, said = company.finops("ingest")
    assert code == 0, said
    assert company.billed() == company.expected()
    assert f"legacy: {SEPTEMBER} kept" in said


def test_an_incomplete_export_leaves_its_month_and_the_other_bill_is_loaded(company: Company) -> None:
    """Exit code 3 says which file is missing; the lake keeps what it had, until the next delivery."""
    assert company.finops("ingest")[0] == 0
    before = company.billed()
    missing = company.cur.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 12), missing=1)[-1]
    company.legacy.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    code, _, said = company.finops("ingest")
    assert code == 3
    assert "export incomplete" in said
    assert missing in said
    assert company.billed() == {**before, ("legacy", OCTOBER): Decimal(COST) * 2}
    company.cur.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 12))
    assert company.finops("ingest")[0] == 0
    assert company.billed() == company.expected()


def test_doctor(company: Company) -> None:
    """Doctor says as whom AWS is read and what the newest month has, or which permission is missing, and the policy."""

    def diagnosed() -> list[dict[str, str]]:
        _, document, _ = company.finops("doctor")
        (rows,) = document.values()
        return [row for row in rows if row["check"].startswith("source ")]

    rows = diagnosed()
    assert [row["status"] for row in rows] == ["ok"] * 6
    assert "2026-10 has 1 file(s)" in rows[2]["detail"]
    company.stub.fail(None, stubs.status(403, "AccessDenied"))
    (failed,) = [row for row in diagnosed() if row["status"] != "ok"]
    assert f"denies s3:ListBucket on arn:aws:s3:::{BUCKET}" in failed["detail"]
    assert f"arn:aws:s3:::{BUCKET}/exports/cur/*" in failed["next_step"]
