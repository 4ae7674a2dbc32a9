"""From a subscription with nothing but Cost Management to spend in the lake, by the commands and the real SDKs."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops.cli.main import run
from tests.azure_api_stub import SCOPE, Azure, Refused, instead, served
from tests.unit.test_azure_cost_query import BILLED, items
from tests.unit.test_azure_invoices import invoice

TODAY = datetime.now(UTC).date()
MONTH = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
FINAL = (MONTH - timedelta(days=1)).replace(day=1)


class Company:
    """A home whose one source is Cost Management, the Azure that answers it, and its managed identity."""

    def __init__(self, home: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.azure = stack.enter_context(served(Azure(items(FINAL + timedelta(days=4)))))
        for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{self.azure.url}/identity")
        monkeypatch.setenv("IDENTITY_HEADER", "secret")

    def configure(self, **settings: str) -> None:
        said = {"since": f"{FINAL}", "url": f'"{self.azure.url}"', "scope": f'"{SCOPE}"',
                "cost_management": '"charges"', **settings}  # fmt: skip
        self.home.mkdir(exist_ok=True)
        inline = ", ".join(f"{name} = {value}" for name, value in said.items() if value)
        (self.home / "finops.toml").write_text(f'[[sources]]\nid = "az"\nconnector = "azure"\nazure = {{ {inline} }}\n')


@pytest.fixture
def company(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """A company that Azure answers."""
    with ExitStack() as stack:
        made = Company(home, stack, monkeypatch)
        made.configure()
        yield made


@pytest.fixture
def finops(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any, str]]:
    """Exit code, JSON and stderr of a command."""

    def command(*arguments: str) -> tuple[int, Any, str]:
        code = run(["--home", str(home), "--format", "json", *arguments])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return command


def stored(document: Any) -> Decimal:
    return sum((Decimal(t["stored"]) for b in document["batches"] for t in b["billed_cost"]), Decimal(0))


def test_a_bill_without_an_export(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """One ingest brings every charge and reconciles with the total; a second asks only what may have changed."""
    code, document, _ = finops("ingest")
    assert code == 0
    assert stored(document) == BILLED
    code, document, _ = finops("spend", "--by", "accelerator", "--cost", "billed")
    assert {row["accelerator"]: row["cost"] for row in document["rows"]}["H100-80GB"] == "98.32"
    _, document, _ = finops("reconcile", "--period", f"{FINAL:%Y-%m}")
    (row,) = [r for r in document["rows"] if r["invoice"] is not None]
    assert (Decimal(row["invoice"]), Decimal(row["residual"])) == (BILLED, 0)
    before = len(company.azure.asked)
    code, document, _ = finops("ingest")
    assert code == 0
    assert stored(document) == BILLED
    assert not [body for _, _, body in company.azure.asked[before:] if f"{FINAL}T" in str(body)]


def test_an_invoice_goes_before_the_total(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """With invoices, the month is compared with what Microsoft invoiced, and its tax is named as the cause."""
    company.azure.items = [replace(item) for item in company.azure.items if item.charge_type != "Tax"]
    company.azure.invoices = [
        invoice(month=f"{FINAL:%Y-%m}", totalAmount=str(BILLED - 4 + 38), taxAmount="38", billingProfileId=[None],
                subscriptionId=[SCOPE.rpartition("/")[2]])
    ]  # fmt: skip
    company.configure(invoices="true")
    code, _, said = finops("ingest")
    assert code == 0
    assert "1 invoice(s) of Azure" in said
    _, document, _ = finops("reconcile", "--period", f"{FINAL:%Y-%m}")
    (row,) = [r for r in document["rows"] if r["invoice"] is not None]
    assert Decimal(row["residual"]) == 38
    assert (row["status"], Decimal(row["unexplained"])) == ("tied_out", 0)
    assert "tax" in row["note"].lower()


def test_a_refusal_is_exit_3_with_the_role(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """A denied query names the role, the scope and the command that gives it; nothing is stored."""
    company.azure.before = instead(Refused(403, "AuthorizationFailed"))
    code, _, said = finops("ingest")
    assert code == 3
    assert "Azure denies a Cost Management query" in said
    assert f'az role assignment create --assignee <client id> --role "Cost Management Reader" --scope {SCOPE}' in said


def test_doctor_says_what_can_be_read(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """doctor asks one small question of each API, and names the role that is missing."""
    company.configure(invoices="true")
    _, document, _ = finops("doctor")
    found = [(row["status"], row["detail"]) for row in document["checks"] if row["check"] == "source az"]
    assert ("ok", f"Azure answers a Cost Management query on {SCOPE}") in found
    assert ("ok", f"Azure answers the list of invoices on {SCOPE}") in found
    assert len(company.azure.asked) == 2
    company.azure.before = instead(
        Refused(403, "AuthorizationFailed"), when=lambda handler: handler.path.endswith(f"{TODAY}")
    )
    _, document, _ = finops("doctor")
    (failed,) = [row["detail"] for row in document["checks"] if row["status"] == "failed"]
    assert "denies the list of invoices" in failed


def test_nobody_signed_in_is_exit_3(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """Tokens that Azure does not take end the ingest after one new one, and say how to sign in."""
    company.azure.tokens = set()
    code, _, said = finops("ingest")
    assert code == 3
    assert "no valid credentials" in said
    assert "az login" in said
    assert len(company.azure.asked) == 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cost_management": '"totals"'}, "name an export"),
        ({"cost_management": ""}, "name an export"),
        ({"scope": ""}, "need a scope"),
        ({"scope": '"subscription 1"'}, "scope"),
        ({"since": "2999-01-01"}, "still to come"),
        ({"login_url": '"http://login.example.com"'}, "login_url"),
        ({"url": '"http://azure.example.com"'}, "an https address"),
        ({"invoices": "true", "scope": f'"{SCOPE}/resourceGroups/ml"'}, "no invoices are sent to"),
    ],
)
def test_settings_that_cannot_be_meant(
    settings: dict[str, str], words: str, company: Company, finops: Callable[..., tuple[int, Any, str]]
) -> None:
    """A mistake in the config is exit 2 and names what to correct."""
    company.configure(**settings)
    code, _, said = finops("ingest")
    assert code == 2
    assert words in said
