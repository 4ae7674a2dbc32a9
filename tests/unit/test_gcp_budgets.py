"""Budgets of Google Cloud become a CSV of the budgets table; what is none of ours is told, no file is replaced."""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import tables
from connectors.gcp import bigquery, budgets, session
from finops.cli.main import run
from tests.gcp_bill import QUICK, SEPTEMBER, Bill
from tests.gcp_stub import ACCOUNT, EMAIL, FAULTS, TABLE, GcpStub

TODAY = date(2026, 11, 21)


def budget(name: str, units: str = "1000", **changed: Any) -> dict[str, Any]:
    """A monthly budget of the whole account, as budgets.list answers it."""
    return {
        "name": f"billingAccounts/{ACCOUNT}/budgets/{name}", "displayName": f"Budget {name}",
        "budgetFilter": {"calendarPeriod": "MONTH", "creditTypesTreatment": "INCLUDE_ALL_CREDITS"},
        "amount": {"specifiedAmount": {"currencyCode": "USD", "units": units, "nanos": 250_000_000}},
        "thresholdRules": [{"thresholdPercent": 0.5}, {"thresholdPercent": 0.9}], **changed,
    }  # fmt: skip


def only(**filters: Any) -> dict[str, Any]:
    """A budget's filter."""
    return {"budgetFilter": {"calendarPeriod": "YEAR", **filters}}


def rows(*given: dict[str, Any]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The rows of budgets, and what was left out."""
    known = budgets.Known("bill", {"4711": "search-prod"}, {"6F81": "Compute Engine"}, {"team": "team"})
    found, left_out = budgets.rows([budgets.Budget.from_json(json.dumps(one)) for one in given], known, today=TODAY)
    return found.to_dicts(), left_out


def test_a_month_is_each_month_to_the_end_of_the_year() -> None:
    """Amount exact, cost and credits together, thresholds in the note."""
    found, left_out = rows(budget("a"))
    assert [row["period"] for row in found] == ["2026-11", "2026-12"]
    assert not left_out
    assert found[0] == {
        "budget_id": "gcp a", "scope": "source=bill", "period": "2026-11", "amount": Decimal("1000.25"),
        "currency": "USD", "cost": "billed", "owner": None, "note": "Budget a; mails at 50%, 90%",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "scope", "period"),
    [
        (only(), "source=bill", "2026"),
        ({"budgetFilter": {"calendarPeriod": "QUARTER"}}, "source=bill", "2026-Q4"),
        (only(projects=["projects/4711"]), "source=bill;account=search-prod", "2026"),
        (only(services=["services/6F81"]), "source=bill;service=Compute Engine", "2026"),
        (only(labels={"team": ["Search"]}), "source=bill;team=Search", "2026"),
        (
            {"budgetFilter": {"customPeriod": {"startDate": {"year": 2027, "month": 1, "day": 1},
                                              "endDate": {"year": 2027, "month": 3, "day": 31}}}},
            "source=bill", "2027-Q1",
        ),
    ],
)  # fmt: skip
def test_scopes_and_periods(filters: dict[str, Any], scope: str, period: str) -> None:
    """One project, service or label is a dimension; quarters, years and what equals them are periods."""
    found, left_out = rows(budget("a", **filters))
    assert [(row["scope"], row["period"]) for row in found] == [(scope, period)], left_out


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"amount": {"lastPeriodAmount": {}}}, "its amount is what the last period cost"),
        (only(projects=["projects/1", "projects/2"]), "for 2 projects"),
        (only(projects=["projects/9"]), "the project 9 has no charge in the lake"),
        (only(resourceAncestors=["folders/1"]), "for folders"),
        (only(creditTypesTreatment="EXCLUDE_ALL_CREDITS"), "does not count all credits"),
        (only(labels={"app": ["x"]}), "the label app is no tag key"),
        ({"budgetFilter": {"customPeriod": {"startDate": {"year": 2026, "month": 5, "day": 4}}}}, "custom period"),
    ],
)
def test_what_is_none_of_ours_is_told(changed: dict[str, Any], why: str) -> None:
    """The budget's name and why; others are kept."""
    found, left_out = rows(budget("odd", **changed), budget("good"))
    assert {row["budget_id"] for row in found} == {"gcp good"}
    (reason,) = left_out
    assert reason.startswith("Budget odd: ")
    assert why in reason


@pytest.fixture
def stub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GcpStub]:
    """A home with a bill in the lake, and an account with five budgets."""
    for act in (bigquery.pull, bigquery.probe):
        monkeypatch.setattr(act, "__kwdefaults__", {"tries": QUICK})
    monkeypatch.setattr(session.Session.__init__, "__kwdefaults__", {"tries": QUICK})
    with GcpStub() as stub:
        Bill(stub, home).add(SEPTEMBER, 2)
        stub.key_file(home)
        stub.budgets = [budget(f"b{number}") for number in range(4)]
        stub.budgets.append(budget("p", **only(projects=["projects/4711"])))
        (home / "finops.toml").write_text(
            '[[sources]]\nid = "bill"\nconnector = "gcp"\n'
            f'gcp = {{ table = "{TABLE}", since = 2026-09-01, url = "{stub.url}", credentials = "key.json" }}\n'
        )
        yield stub


def test_a_file_for_finance(stub: GcpStub, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over all pages and a fault; the file is read as budgets, imported, and replaced only when told to."""
    assert run(["--home", str(home), "ingest"]) == 0
    stub.fail(FAULTS["503"], None, FAULTS["truncated"])
    capsys.readouterr()
    assert run(["--home", str(home), "--format", "json", "budget", "fetch"]) == 0
    out = capsys.readouterr()
    path = home / "budgets" / "gcp.csv"
    assert json.loads(out.out)["file"] == str(path)
    assert "is not in use yet" in out.err
    frame = tables.read("budgets", path, currency="USD").frame
    assert set(frame["budget_id"]) == {"gcp b0", "gcp b1", "gcp b2", "gcp b3", "gcp p"}
    assert frame.filter(pl.col("budget_id") == "gcp p")["scope"].to_list() == ["source=bill;account=search-prod"]
    assert run(["--home", str(home), "budget", "import", str(path)]) == 0
    path.write_text("finance's own")
    assert run(["--home", str(home), "budget", "fetch", str(path)]) == 2
    assert path.read_text() == "finance's own"
    assert "--replace" in capsys.readouterr().err
    assert run(["--home", str(home), "budget", "fetch", str(path), "--replace"]) == 0


def test_a_denial_names_the_permission(stub: GcpStub, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """billing.budgets.list, and the command that grants it; nothing is written."""
    stub.denied = {"billing.budgets.list"}
    assert run(["--home", str(home), "budget", "fetch"]) == 3
    said = " ".join(capsys.readouterr().err.split())
    assert f"denies billing.budgets.list on {ACCOUNT}" in said
    command = f"gcloud billing accounts add-iam-policy-binding {ACCOUNT} --member=serviceAccount:{EMAIL}"
    assert f"{command} --role=roles/billing.viewer" in said
    assert not (home / "budgets").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--provider", "aws"], "budgets of 'aws' cannot be fetched"),
        (["--source", "other"], "no source other with `gcp`"),
        (["--account", "000000-000000-000000"], "there is no 000000-000000-000000"),
    ],
)
def test_wrong_calls_are_told(
    arguments: list[str], said: str, stub: GcpStub, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cloud without budgets here, a source or an account that is not there."""
    assert run(["--home", str(home), "budget", "fetch", *arguments]) in (2, 3)
    assert said in " ".join(capsys.readouterr().err.split())
