"""AWS's own recommendations are shown as it states them, and a part that is denied leaves the others."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from finops.cli.main import run
from tests.aws_api_stub import Refused, served

PLAN = {
    "SavingsPlansDetails": {"Region": "us-east-1", "InstanceFamily": "p5", "OfferingId": "o"}, "AccountId": "1",
    "HourlyCommitmentToPurchase": "12.345", "UpfrontCost": "0.0", "EstimatedMonthlySavingsAmount": "1234.56",
    "EstimatedSavingsPercentage": "27.5", "CurrencyCode": "USD",
}  # fmt: skip
RESERVED = {
    "InstanceDetails": {"EC2InstanceDetails": {"InstanceType": "g5.xlarge", "Region": "us-east-1"}},
    "RecommendedNumberOfInstancesToPurchase": "3", "UpfrontCost": "0", "EstimatedMonthlySavingsAmount": "99.5",
    "EstimatedMonthlySavingsPercentage": "30", "CurrencyCode": "USD", "AccountId": "1",
}  # fmt: skip
STOP = {
    "actionType": "Stop", "accountId": "1", "region": "us-east-1", "resourceId": "i-1", "currencyCode": "USD",
    "currentResourceSummary": "p5.48xlarge", "estimatedMonthlySavings": 40000.1, "estimatedSavingsPercentage": 100.0,
    "implementationEffort": "Low", "source": "ComputeOptimizer",
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What AWS was asked; the hub answers in two pages, plans are recommended for a year only."""
    calls: list[str] = []

    def plans(**request: Any) -> dict[str, Any]:
        calls.append("plans")
        one = request["SavingsPlansType"] == "EC2_INSTANCE_SP" and request["TermInYears"] == "ONE_YEAR"
        return {"SavingsPlansPurchaseRecommendation": {"SavingsPlansPurchaseRecommendationDetails": [PLAN] * one}}

    def reservations(**request: Any) -> dict[str, Any]:
        calls.append("reservations")
        found = [{"RecommendationDetails": [RESERVED]}] if request["TermInYears"] == "THREE_YEARS" else []
        return {"Recommendations": found}

    def hub(**request: Any) -> dict[str, Any]:
        calls.append("hub")
        if "denied" in calls:
            raise Refused(400, "AccessDeniedException")
        return {"items": [STOP]} if "nextToken" in request else {"items": [], "nextToken": "t"}

    operations = {
        "GetSavingsPlansPurchaseRecommendation": plans,
        "GetReservationPurchaseRecommendation": reservations,
        "ListRecommendations": hub,
    }
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with served(operations) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield calls


@pytest.fixture
def finops(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, list[dict[str, Any]], str]]:
    """Exit code, rows and stderr of the command."""

    def command() -> tuple[int, list[dict[str, Any]], str]:
        code = run(["--home", str(home), "--format", "json", "recommendations", "--from", "aws"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out)["recommendations"], captured.err

    return command


def test_recommendations_are_shown_as_stated(
    asked: list[str], finops: Callable[[], tuple[int, list[dict[str, Any]], str]], home: Path
) -> None:
    """All three kinds, the largest savings first, exact; what asking costs is said; a dated file is written."""
    code, rows, said = finops()
    assert code == 0
    assert [(row["kind"], row["resource"], row["monthly_savings"], row["savings_ratio"]) for row in rows] == [
        ("Stop", "i-1", "40000.1", 1.0),
        ("savings_plan", "p5", "1234.56", 0.275),
        ("reservation", "g5.xlarge", "99.5", 0.3),
    ]
    assert (rows[1]["commitment_per_hour"], rows[1]["term_years"]) == ("12.345", 1)
    assert rows[2]["recommended"] == "3 reserved, 3 year(s), no upfront"
    assert "8 request(s) or more, 0.08 USD" in said
    assert len([call for call in asked if call != "hub"]) == 8
    assert (home / "outputs" / f"recommendations_aws_{datetime.now(UTC).date()}.csv").exists()


def test_a_denied_part_leaves_the_others(
    asked: list[str], finops: Callable[[], tuple[int, list[dict[str, Any]], str]]
) -> None:
    """Where the hub is denied its permission is named, the exit code says so, and Cost Explorer's are shown."""
    asked.append("denied")
    code, rows, said = finops()
    assert code == 3
    assert {row["kind"] for row in rows} == {"savings_plan", "reservation"}
    assert "AWS denies cost-optimization-hub:ListRecommendations" in said


def test_ours_stand_beside_aws_s(asked: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--from all` says of each row whose it is; a home without utilisation shows AWS's alone."""
    assert run(["--home", str(home), "--format", "json", "recommendations", "--from", "all"]) == 0
    rows = json.loads(capsys.readouterr().out)["recommendations"]
    assert [row["from"] for row in rows] == ["aws"] * 3
    assert run(["--home", str(home), "recommendations", "--from", "all"]) == 0
    assert "Right-sizing, and AWS beside" in capsys.readouterr().out
