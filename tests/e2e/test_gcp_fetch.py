"""`finops ingest` brings Google Cloud's bill from BigQuery into the lake, and `finops doctor` says whether it can."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.gcp import bigquery
from finops import schema as s
from finops.cli.main import run
from finops.config import load_config
from finops.store import Lake
from tests.gcp_bill import OCTOBER, QUICK, SEPTEMBER, Bill
from tests.gcp_stub import EMAIL, FAULTS, FOCUS, LOST, SECRET, TABLE, GcpStub


@dataclass
class Company:
    """A home with a bill of Google Cloud."""

    home: Path
    bill: Bill
    capsys: pytest.CaptureFixture[str]

    def finops(self, *arguments: str) -> tuple[int, Any, str]:
        """The exit code, the JSON of standard output, and standard error, in which no secret may stand."""
        self.capsys.readouterr()
        code = run(["--home", str(self.home), "--format", "json", *arguments])
        printed = self.capsys.readouterr()
        assert SECRET not in printed.out + printed.err
        return code, json.loads(printed.out) if printed.out else None, printed.err

    def charges(self) -> pl.DataFrame:
        """All charges of the lake."""
        return Lake.of(load_config(self.home)).scan("charges").collect()

    def billed(self) -> dict[str, Decimal]:
        """Billed cost by month, as the lake has it."""
        sums = self.charges().group_by(s.BILLING_PERIOD).agg(pl.col(s.BILLED_COST).sum())
        return dict(sums.rows())

    def expected(self) -> dict[str, Decimal]:
        """The same of what the table has: cost and credits."""
        is_focus = self.bill.stub.shape is FOCUS
        return {
            month: sum((cost + (0 if is_focus else credit) for _, cost, credit in rows), Decimal(0))
            for month, rows in self.bill.expected.items()
        }


@pytest.fixture
def company(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """Two months in BigQuery, and a home that fetches them."""
    monkeypatch.setattr(bigquery.pull, "__kwdefaults__", {"tries": QUICK})
    monkeypatch.setattr(bigquery.probe, "__kwdefaults__", {"tries": QUICK})
    home.mkdir()
    with GcpStub() as stub:
        stub.page_rows = 4
        bill = Bill(stub, home)
        bill.stub.key_file(home / "keys")
        (home / "finops.toml").write_text(
            '[[sources]]\nid = "bill"\nconnector = "gcp"\n[sources.gcp]\n'
            f'table = "{TABLE}"\nsince = 2026-09-01\nurl = "{stub.url}"\ncredentials = "keys/key.json"\n'
        )
        yield Company(home, bill, capsys)


def test_fetched_and_loaded(company: Company) -> None:
    """Through faults, cost and credits of each row are in the lake once, and a second run changes nothing."""
    company.bill.add(SEPTEMBER, 9)
    company.bill.add(OCTOBER, 7)
    company.bill.stub.fail(FAULTS["503"], None, LOST, FAULTS["truncated"], None, FAULTS["429"], None, FAULTS["cut off"])
    code, document, said = company.finops("ingest")
    assert code == 0, said
    assert company.billed() == company.expected()
    assert {batch["billing_period"]: batch["rows_read"] for batch in document["batches"]} == {SEPTEMBER: 9, OCTOBER: 7}
    company.bill.stub.ran.clear()
    assert company.finops("ingest")[0] == 0
    assert company.billed() == company.expected()
    assert company.bill.stub.ran == ["months"]


def test_cost_types_credits_and_the_invoice_month(company: Company) -> None:
    """Tax, adjustments and rounding keep their kind; usage of August that September invoices stands in September."""
    bill = company.bill
    bill.add(SEPTEMBER, 3)
    bill.add(SEPTEMBER, 1, cost_type="tax", cost=0.5, credits=[])
    bill.add(SEPTEMBER, 1, cost_type="adjustment", cost=-2.25, credits=[])
    bill.add(SEPTEMBER, 1, cost_type="rounding_error", cost=1e-06, credits=[])
    august = bill.stub.rows[0][1]
    for name in ("usage_start_time", "usage_end_time"):
        august[name] = august[name].replace(month=8)
    assert company.finops("ingest")[0] == 0
    rows = company.charges()
    assert set(rows[s.BILLING_PERIOD]) == {SEPTEMBER}
    assert rows[s.CHARGE_PERIOD_START].dt.month().min() == 8
    found = dict(rows.group_by(s.CHARGE_CATEGORY).agg(pl.len()).rows())
    assert found == {"Usage": 3, "Credit": 1, "Tax": 1, "Adjustment": 2}
    assert company.billed() == company.expected()


def test_late_rows_restate_their_month(company: Company) -> None:
    """Rows of September that come in November are loaded with it, and a month that did not change stays."""
    company.bill.add(SEPTEMBER, 3)
    company.bill.add(OCTOBER, 3)
    assert company.finops("ingest")[0] == 0
    company.bill.add(SEPTEMBER, 2, late_days=50)
    code, _, said = company.finops("ingest")
    assert code == 0, said
    assert "1 month(s) fetched with 5 rows" in said
    assert company.billed() == company.expected()


def test_a_focus_export_is_loaded(company: Company) -> None:
    """The FOCUS export's rows keep their columns, and their tags say who owns them."""
    company.bill.stub.shape = FOCUS
    company.bill.add(SEPTEMBER, 5)
    code, _, said = company.finops("ingest")
    assert code == 0, said
    assert company.billed() == company.expected()
    rows = company.charges()
    assert set(rows[s.TEAM]) == {"Search"}
    assert "x_Credits" in rows[s.SOURCE_COLUMNS][0]


def test_a_denial_leaves_the_lake(company: Company) -> None:
    """Exit code 3 names the permission and the command that grants it; the lake keeps what it had."""
    company.bill.add(SEPTEMBER, 3)
    assert company.finops("ingest")[0] == 0
    before = company.billed()
    company.bill.add(SEPTEMBER, 1)
    company.bill.stub.denied = {"bigquery.tables.getData"}
    code, _, said = company.finops("ingest")
    assert code == 3
    assert "Google denies bigquery.tables.getData" in said
    assert company.billed() == before
    company.bill.stub.denied = set()
    assert company.finops("ingest")[0] == 0
    assert company.billed() == company.expected()


def test_doctor(company: Company) -> None:
    """Doctor says as whom Google is asked, which export it is, what a query reads, or what is missing."""
    company.bill.add(SEPTEMBER, 3)

    def diagnosed() -> list[dict[str, str]]:
        _, document, _ = company.finops("doctor")
        (rows,) = document.values()
        return [row for row in rows if row["check"] == "source bill"]

    rows = diagnosed()
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert EMAIL in rows[0]["detail"]
    assert "GiB" in rows[2]["detail"]
    company.bill.stub.denied = {"bigquery.jobs.create"}
    (failed,) = [row for row in diagnosed() if row["status"] != "ok"]
    assert "bigquery.jobs.create" in failed["detail"]
    assert "gcloud projects add-iam-policy-binding" in failed["next_step"]
