"""The page on AWS without an export shows a session that runs as shown, and every permission."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from connectors.aws import advice, cost_explorer, gpu_metrics, price_list
from connectors.aws.api import policy
from tests.aws_api_stub import served
from tests.cost_explorer_stub import CostExplorer, Item
from tests.docs.test_pages import DOCS, ENVIRONMENT, run_page

EC2 = "Amazon Elastic Compute Cloud - Compute"


def test_page_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the page runs, against an AWS with one day of charges, and prints what stands below it."""
    day = date(2026, 10, 5)
    costs = CostExplorer(
        [
            Item(day, "111111111111", "Usage", EC2, "USE1-BoxUsage:p5.48xlarge", "98.32", "98.32", "1"),
            Item(day, "111111111111", "Usage", "Amazon Bedrock", "USE1-NovaPro-input-tokens", "12.5", "12.5", "9"),
            Item(day, "111111111111", "Tax", "Tax", "", "4", "4"),
        ]
    )

    def answer(**request: Any) -> dict[str, Any]:
        return {k: v for k, v in costs.get_cost_and_usage(**request).items() if k != "ResponseMetadata"}

    with served({"GetCostAndUsage": answer}) as address:
        for name, value in (("ENDPOINT_URL", address), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
            monkeypatch.setitem(ENVIRONMENT, f"AWS_{name}", value)
        run_page("aws-quick-start.md", tmp_path)


def test_page_has_every_permission() -> None:
    """The policy of the page is the one of all actions that are called."""
    (shown,) = re.findall(r"```json\n(.*?)```", (DOCS / "aws-quick-start.md").read_text(), re.DOTALL)
    actions = (
        cost_explorer.ACTION, price_list.ACTION, gpu_metrics.LIST, gpu_metrics.GET, *gpu_metrics.DESCRIBE,
        advice.PLANS, advice.RESERVATIONS, advice.HUB,
    )  # fmt: skip
    assert json.loads(shown) == json.loads(policy(*actions))
