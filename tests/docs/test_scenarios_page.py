"""The reference of scenario files names every key."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from optimizer import document, offers, options, scenario

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text(encoding="utf-8")
RECORDS = [
    scenario.Scenario, scenario.Workload, scenario.Moving, scenario.LoadBlock, scenario.DemandScenario,
    scenario.Uncertainty, scenario.Site, scenario.Rules, options.Rented, options.Metered, options.Reservation,
    options.Server, options.SpendCommitment, offers.Selection, document._Offered,
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.__name__)
def test_every_key_is_named(record: type[BaseModel]) -> None:
    """Each key that a scenario file may have stands on the page, in code."""
    code = " ".join(re.findall(r"`([^`]+)`", PAGE))
    assert [key for key in record.model_fields if not re.search(rf"\b{key}\b", code)] == []
