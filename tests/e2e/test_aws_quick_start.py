"""From an account with nothing but Cost Explorer to spend in the lake, by the commands and the real SDK."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops.cli.main import run
from tests.aws_api_stub import Refused, served
from tests.cost_explorer_stub import CostExplorer
from tests.unit.test_aws_cost_explorer import items

TODAY = datetime.now(UTC).date()
MONTH = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
BILLED = Decimal("108.0700000008")


class Company:
    """A home whose one source is Cost Explorer, and the AWS that answers it."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home = home
        self.costs = CostExplorer(items("111111111111", day=MONTH + timedelta(days=4)), final_before=TODAY)
        self.refusal: Refused | None = None
        self.address = stack.enter_context(served({"GetCostAndUsage": self._answer}))

    def _answer(self, **request: Any) -> dict[str, Any]:
        if self.refusal:
            raise self.refusal
        answer = self.costs.get_cost_and_usage(**request)
        return {name: value for name, value in answer.items() if name != "ResponseMetadata"}

    def configure(self, **settings: str) -> None:
        said = {"since": f"{MONTH}", "endpoint_url": f'"{self.address}"', "cost_explorer": '"charges"', **settings}
        self.home.mkdir(exist_ok=True)
        inline = ", ".join(f"{name} = {value}" for name, value in said.items() if value)
        (self.home / "finops.toml").write_text(f'[[sources]]\nid = "aws"\nconnector = "aws"\naws = {{ {inline} }}\n')


@pytest.fixture
def company(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """A company that AWS answers."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with ExitStack() as stack:
        made = Company(home, stack)
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


def test_a_bill_without_an_export(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """One ingest brings every charge, says what it costs, and reconciles with the month's total; a second pays less."""
    code, document, said = finops("ingest")
    assert code == 0
    assert "request(s), 0.07 USD now" in said
    billed = [Decimal(t["stored"]) for b in document["batches"] for t in b["billed_cost"]]
    assert sum(billed) == BILLED
    code, document, _ = finops("spend", "--by", "accelerator", "--cost", "billed")
    assert {row["accelerator"]: row["cost"] for row in document["rows"]}["H100-80GB"] == "98.32"
    _, document, _ = finops("reconcile", "--period", f"{MONTH:%Y-%m}")
    (row,) = [r for r in document["rows"] if r["invoice"] is not None]
    assert (Decimal(row["invoice"]), Decimal(row["residual"])) == (BILLED, 0)
    before = len(company.costs.asked)
    code, document, _ = finops("ingest")
    assert code == 0
    assert len(company.costs.asked) - before <= before
    assert sum(Decimal(t["stored"]) for b in document["batches"] for t in b["billed_cost"]) == BILLED


def test_finance_s_own_invoice_wins(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """Where finance has an invoice of a month, the total that Cost Explorer states is no second one."""
    finops("ingest")
    csv = f"invoice_id,source_id,billing_period,amount,currency\nINV-1,aws,{MONTH:%Y-%m},100,USD\n"
    (company.home / "invoices.csv").write_text(csv)
    with (company.home / "finops.toml").open("a") as file:
        file.write('[tables]\ninvoices = "invoices.csv"\n')
    finops("ingest")
    _, document, _ = finops("reconcile", "--period", f"{MONTH:%Y-%m}")
    assert sum(Decimal(row["invoice"]) for row in document["rows"] if row["invoice"]) == 100


def test_a_refusal_is_exit_3_with_the_policy(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """A denied request names the permission and the policy to paste; nothing is stored."""
    company.refusal = Refused(400, "AccessDeniedException")
    code, _, said = finops("ingest")
    assert code == 3
    assert "AWS denies ce:GetCostAndUsage" in said
    assert '{"Effect": "Allow", "Action": ["ce:GetCostAndUsage"], "Resource": "*"}' in said


def test_too_many_requests_are_exit_2(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """A limit that the plan exceeds ends the ingest before anything is spent."""
    company.configure(max_requests="3")
    code, _, said = finops("ingest")
    assert code == 2
    assert "aws.max_requests" in said
    assert company.costs.asked == []


def test_doctor_spends_nothing(company: Company, finops: Callable[..., tuple[int, Any, str]]) -> None:
    """doctor says as whom AWS is asked, and sends no request that costs."""
    _, document, _ = finops("doctor")
    (found,) = [row for row in document["checks"] if row["check"] == "source aws"]
    assert found["status"] == "ok"
    assert "arn:aws:iam::123456789012:user/finops" in found["detail"]
    assert "ce:GetCostAndUsage" in found["detail"]
    assert company.costs.asked == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cost_explorer": '"totals"'}, "need an export beside them"),
        ({"export": '"s3://b/p/n"'}, "both are the bill"),
        ({"cost_explorer": ""}, "name export or cost_explorer"),
        ({"gpu_regions": '["us-east-1"]'}, "name export or cost_explorer"),
        ({"cost_explorer": '"all"'}, "cost_explorer"),
        ({"since": f"{date(2999, 1, 1)}"}, "still to come"),
    ],
)
def test_settings_that_cannot_be_meant(
    settings: dict[str, str], words: str, company: Company, finops: Callable[..., tuple[int, Any, str]]
) -> None:
    """What finops.toml says of AWS is one bill, or how busy accelerators were."""
    company.configure(**settings)
    code, _, said = finops("ingest")
    assert code == 2
    assert words in said
