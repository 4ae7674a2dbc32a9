"""`finops ingest` brings Azure's exports from Blob storage into the lake, and `finops doctor` says whether it can."""

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
from tests import azure_stub as stubs
from tests import fault_proxy as faults
from tests.azure_deliveries import COST, KEY_NAME, Delivery, ids, set_keys
from tests.azure_stub import AzureStub
from tests.azurite import KEY, Azurite, needs_azurite

pytestmark = needs_azurite

SEPTEMBER, OCTOBER = "2026-09", "2026-10"


@dataclass
class Company:
    """A home with two exports: Parquet whose runs are kept, and gzipped CSV that is overwritten."""

    home: Path
    stub: AzureStub
    kept: Delivery
    overwritten: Delivery
    capsys: pytest.CaptureFixture[str]

    def finops(self, *arguments: str) -> tuple[int, Any, str]:
        """The exit code, the JSON of standard output, and standard error, in which no secret may stand."""
        self.capsys.readouterr()
        code = run(["--home", str(self.home), "--format", "json", *arguments])
        printed = self.capsys.readouterr()
        assert KEY not in printed.out + printed.err
        return code, json.loads(printed.out) if printed.out else None, printed.err

    def billed(self) -> dict[tuple[str, str], Decimal]:
        """Billed cost by source and month, as the lake has it."""
        charges = Lake.of(load_config(self.home)).scan("charges").collect()
        sums = charges.group_by(s.SOURCE_ID, s.BILLING_PERIOD).agg(pl.col(s.BILLED_COST).sum())
        return {(source, month): cost.normalize() for source, month, cost in sums.rows()}

    def expected(self) -> dict[tuple[str, str], Decimal]:
        """The same of what was delivered last."""
        return {
            (delivery.name, month): (Decimal(COST) * len(rows)).normalize()
            for delivery in (self.kept, self.overwritten)
            for month, rows in delivery.expected.items()
        }


@pytest.fixture
def company(
    home: Path, azurite: Azurite, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Company]:
    """Two months of each export in the container, and a home that fetches them."""
    set_keys(monkeypatch)
    home.mkdir()
    with AzureStub(azurite) as stub:
        kept = Delivery(stub, home / "raw" / "kept", "kept", "snappy.parquet", name="kept")
        overwritten = Delivery(stub, home / "raw" / "overwritten", "overwritten", name="overwritten")
        for delivery in (kept, overwritten):
            delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 9))
            delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4))
        (home / "finops.toml").write_text(
            "\n".join(
                f'[[sources]]\nid = "{name}"\nconnector = "azure"\n[sources.azure]\nsince = 2026-09-01\n'
                f'export = "{stub.root}/exports/{name}"\nexport_key = {{ env = "{KEY_NAME}" }}'
                for name in ("kept", "overwritten")
            )
        )
        yield Company(home, stub, kept, overwritten, capsys)


def test_fetched_and_loaded(company: Company) -> None:
    """Through faults, each row of both exports is a charge once, and a second run changes nothing."""
    company.stub.fail(stubs.busy(retry_after="0"), None, None, faults.reset_within(), None, faults.cut_off())
    code, document, said = company.finops("ingest")
    assert code == 0, said
    assert company.billed() == company.expected()
    assert {batch["source"] for batch in document["batches"]} == {"kept", "overwritten"}
    company.stub.asked.clear()
    assert company.finops("ingest")[0] == 0
    assert company.billed() == company.expected()
    assert set(company.stub.asked) == {"list"}


def test_a_refreshed_month_replaces_itself(company: Company) -> None:
    """Fewer files and fewer rows than before leave nothing behind, and a month that vanished is kept."""
    assert company.finops("ingest")[0] == 0
    company.kept.deliver(SEPTEMBER, ids(SEPTEMBER, 8, 9))
    company.overwritten.deliver(OCTOBER, ids(OCTOBER, 1, 2), ids(OCTOBER, 7, 20))
    company.stub.delete(*(name for name in company.stub.names() if "overwritten/202609" in name))
    code, _, said = company.finops("ingest")
    assert code == 0, said
    assert company.billed() == company.expected()
    assert "overwritten: 20260901-20260930 kept" in said


def test_an_incomplete_export_leaves_its_month_and_the_other_is_loaded(company: Company) -> None:
    """Exit code 3 says which blob is missing; the lake keeps what it had, until the next delivery."""
    assert company.finops("ingest")[0] == 0
    before = company.billed()
    missing = company.kept.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 12), missing=1)[-1]
    company.overwritten.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    code, _, said = company.finops("ingest")
    assert code == 3
    assert "export incomplete" in said
    assert missing in said
    assert company.billed() == {**before, ("overwritten", OCTOBER): Decimal(COST) * 2}
    company.kept.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 12))
    assert company.finops("ingest")[0] == 0
    assert company.billed() == company.expected()


def test_doctor(company: Company) -> None:
    """Doctor says how the container is read and what the newest month has, or what is missing, and the command."""

    def diagnosed() -> list[dict[str, str]]:
        _, document, _ = company.finops("doctor")
        (rows,) = document.values()
        return [row for row in rows if row["check"].startswith("source ")]

    rows = diagnosed()
    assert [row["status"] for row in rows] == ["ok"] * 6
    assert "2026-10 has 1 file(s)" in rows[2]["detail"]
    company.stub.fail(stubs.status(403, "KeyBasedAuthenticationNotPermitted"))
    (failed,) = [row for row in diagnosed() if row["status"] != "ok"]
    assert "takes no account key" in failed["detail"]
    assert "az role assignment create" in failed["next_step"]
