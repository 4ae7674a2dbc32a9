"""`finops reconcile`, `quality` and `doctor` on the demo company: every planted residual has its planted cause."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors import demo
from connectors.demo.truth import MISSING_FEE
from finops.cli.main import run

TODAY = date(2026, 11, 21)
SOURCES = ("aws", "azure", "gcp", "openai", "anthropic")
Ask = Callable[..., str]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with four months of the demo company's invoiced bills."""
    home = tmp_path_factory.mktemp("reconciliation") / "home"
    demo.write(home, months=4, seed=7, today=TODAY)
    assert run(["--home", str(home), "--quiet", "--format", "csv", "ingest", *SOURCES]) in (0, 1)
    return home


@pytest.fixture
def ask(company: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command and returns what it prints; the exit code must be the expected one."""

    def asked(*arguments: str, code: int) -> str:
        capsys.readouterr()
        assert run(["--home", str(company), "--quiet", *arguments]) == code
        return capsys.readouterr().out

    return asked


def test_every_planted_residual_has_its_cause(company: Path, ask: Ask) -> None:
    """Each invoice's residual is the truth's; the missing support fee is named, and all else is rounding."""
    truth: dict[str, Any] = json.loads((company / "raw" / "truth.json").read_text())
    found = json.loads(ask("--format", "json", "reconcile", code=1))
    rows = {(r["source_id"], r["billing_period"]): r for r in found["rows"] if r["invoice"] is not None}
    planted = {(i["source"], i["period"]): i for i in truth["invoices"]}
    assert rows.keys() == planted.keys()
    for place, invoice in planted.items():
        row, residual = rows[place], Decimal(invoice["residual"])
        mine = [c for c in found["causes"] if (c["source_id"], c["billing_period"]) == place]
        amounts = [Decimal(c["amount"]) for c in mine]
        assert Decimal(row["invoice"]) == Decimal(invoice["invoice"])
        assert abs(Decimal(row["residual"]) - residual) < Decimal("1e-9")
        assert sum(amounts, Decimal(0)) == Decimal(row["residual"])
        assert Decimal(row["unexplained"]) == 0
        if invoice["cause"] == MISSING_FEE:
            assert [c["cause"] for c in mine] == ["support"]
            assert "AWS Support (Enterprise)" in mine[0]["note"]
            assert row["status"] == "explained"
        else:
            assert {c["cause"] for c in mine} <= {invoice["cause"]}
            assert row["status"] == "tied_out"
    assert MISSING_FEE in {i["cause"] for i in planted.values()}
    assert {r["open"] for r in found["rows"] if r["billing_period"] == truth["open_period"]} != {None}


def test_people_read_the_cause_below_the_table(ask: Ask) -> None:
    """The table has a line for each month, then what is missing and what to do; --causes lists every cent."""
    text = " ".join(ask("reconcile", code=1).split())
    assert "usd support: aws support (enterprise), usage, is missing from the export of this month" in text.lower()
    assert "next: ask the provider to refresh the export of this month" in text
    assert "rounding" not in text
    assert "rounding: the invoice is in whole cents" in ask("reconcile", "--causes", code=1)
    rows = list(csv.DictReader(io.StringIO(ask("--format", "csv", "reconcile", "--causes", code=1))))
    assert {r["cause"] for r in rows} == {"rounding", "support"}


def test_the_contract_comes_first_in_a_file(ask: Ask) -> None:
    """The columns of the contract stand first, in their order."""
    header = ask("--format", "csv", "reconcile", code=1).splitlines()[0]
    assert header.startswith(
        "source_id,billing_period,currency,invoice,stored,quarantined,residual,residual_ratio,status,"
    )


def test_a_restated_month_is_told_and_explains_itself(company: Path, ask: Ask) -> None:
    """A month that the provider changes after the invoice keeps both versions, and the difference is shown."""
    assert json.loads(ask("--format", "json", "reconcile", "--restated", code=0))["rows"] == []
    [part] = (company / "raw" / "azure").rglob("20261001-*/*/*.csv.gz")
    rows = list(csv.reader(io.StringIO(gzip.decompress(part.read_bytes()).decode())))
    column = rows[0].index("BilledCost")
    usage = next(row for row in rows[1:] if Decimal(row[column]) > 1)
    usage[column] = str(Decimal(usage[column]) + 5000)
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    part.write_bytes(gzip.compress(text.getvalue().encode()))
    ask("ingest", "azure", code=0)
    (month,) = json.loads(ask("--format", "json", "reconcile", "--restated", code=0))["rows"]
    assert (month["source_id"], month["change"], month["restated"]) == ("azure", "5000", "5000")
    (change,) = json.loads(
        ask("--format", "json", "reconcile", "--restated", "--period", month["billing_period"], code=0)
    )["rows"]
    assert (change["service"], change["change"]) == (usage[rows[0].index("ServiceName")], "5000")
    assert "5,000.00" in ask("reconcile", "--restated", code=0)
    assert "5,000.00" in ask("reconcile", "--restated", "--period", month["billing_period"], code=0)
    found = json.loads(ask("--format", "json", "reconcile", "--period", month["billing_period"], code=1))
    (cause,) = [c for c in found["causes"] if c["source_id"] == "azure"]
    assert (cause["cause"], round(Decimal(cause["amount"]))) == ("unexplained", -5000)
    assert "the load of" in cause["note"]


def test_freshness_is_told(company: Path, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    """Quality and doctor say to which day each source is complete, and how late its days usually are."""
    fresh = json.loads(ask("--format", "json", "quality", code=1))["freshness"]
    assert {f["source_id"]: f["is_stale"] for f in fresh} == dict.fromkeys(SOURCES, False)
    assert all(f["newest_day"].startswith("2026-11-1") and f["p90_days"] is not None for f in fresh)
    assert run(["--home", str(company), "doctor"]) in (0, 1)
    assert "freshness aws: complete to 2026-11-19" in capsys.readouterr().out
