"""Right-sizing finds what is planted in the demo company, with its money, and leaves the rest alone."""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from connectors.demo import gpu_usage, write
from finops.config import Config, load_config
from finops.pipeline.ingest import ingest
from finops.pipeline.rightsizing import RightSizing, rightsizing
from finops.pipeline.scenarios import measure
from finops.store import Lake
from optimizer.resized import apply
from optimizer.rightsize import Finding
from optimizer.running import Settings

TODAY = date(2026, 11, 21)
ACTIONS = {
    "idle_commitment": "release", "idle": "stop", "too_many": "fewer", "too_large": "other_accelerator",
    "off_hours": "schedule",
}  # fmt: skip


@dataclass(frozen=True)
class Sized:
    """A demo home with both clouds and the utilisation in its lake, and what right-sizing finds there."""

    config: Config
    lake: Lake
    truth: dict[str, Any]
    sizing: RightSizing

    def of(self, group: str) -> Finding:
        """The finding of a group."""
        return next(f for f in self.sizing.findings if f.group.name == group)


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Sized:
    """Three months."""
    company = write(tmp_path_factory.mktemp("demo"), months=3, today=TODAY)
    config = load_config(company.home)
    lake = Lake.of(config)
    for source in config.sources:
        if source.id in ("aws", "azure", "gpus"):
            ingest(config, lake, source, say=lambda _: None, until=TODAY)
    return Sized(config, lake, json.loads(company.truth.read_text()), rightsizing(config, lake, Settings()))


def test_every_waste_is_found_with_its_money(sized: Sized) -> None:
    """Each planted group gets the change that its waste calls for, and saves that waste within 2 %."""
    assert [w["group"] for w in sized.truth["rightsizing"]] == [w.group for w in gpu_usage.WASTES]
    for waste in sized.truth["rightsizing"]:
        advice = sized.of(waste["group"]).advice
        assert [a.action for a in advice] == [ACTIONS[waste["kind"]]], waste["group"]
        saved = float(advice[0].saving) / float(waste["waste_per_month"])
        assert saved == pytest.approx(1, abs=0.02), waste["group"]


def test_the_idle_h100_group_is_the_incident(sized: Sized) -> None:
    """Sixteen reserved H100: since when nothing uses them and what that has cost are the incident's, to the cent."""
    incident = next(i for i in sized.truth["incidents"] if i["kind"] == "idle_reserved_accelerators")
    group = sized.of("h100-training").group
    assert (group.accelerator, group.machines * group.accelerators) == ("H100-80GB", 16)
    assert str(group.idle_since) == incident["first_day"]
    assert group.idle_cost == Decimal(incident["extra_cost"]).quantize(Decimal("0.01"))
    october = float(incident["extra_cost_by_period"]["2026-10"])
    assert float(sized.of("h100-training").advice[0].saving) == pytest.approx(october, rel=0.02)


def test_what_is_of_the_right_size_is_left_alone(sized: Sized) -> None:
    """No other group is to change: all are measured long enough, and each says why."""
    wasteful = {waste.group for waste in gpu_usage.WASTES}
    rest = [f for f in sized.sizing.findings if f.group.name not in wasteful]
    assert {f.group.name for f in rest} == set(gpu_usage.PROFILES) - wasteful
    assert {f.status for f in rest} == {"right"}


def test_costs_are_those_of_the_bill(sized: Sized) -> None:
    """A group's cost a month is its EffectiveCost of the newest 28 days x 365/12/28, as the truth has it."""
    for waste in sized.truth["rightsizing"]:
        cost = Decimal(waste["cost"]) * 365 / 12 / gpu_usage.SIZED_DAYS
        assert sized.of(waste["group"]).group.cost == cost.quantize(Decimal("0.01")), waste["group"]


def test_the_base_for_placement_is_right_sized_once(sized: Sized) -> None:
    """Demand after right-sizing costs less than before by exactly the saving; what nobody sized stays as it was."""
    spend, before = measure(sized.config, sized.lake)
    after = apply(before, sized.sizing.findings, months=len(spend.months))
    cost = [sum((m.cost for m in part), Decimal(0)) for part in (before, after.workloads)]
    assert cost[0] - cost[1] == after.saving
    assert after.left_out == ()
    spent = sum((a.saving for f in sized.sizing.findings for a in f.advice), Decimal(0)) * len(spend.months)
    assert float(after.saving) == pytest.approx(float(spent), rel=0.15), "months before differ a little from the newest"
    untouched = {m.name for m in before if m.accelerator is None and not m.parts}
    assert [m for m in after.workloads if m.name in untouched] == [m for m in before if m.name in untouched]
    assert not [m for m in after.workloads if m.use == "Research" and m.accelerator == "H100-80GB"]


def test_the_watcher_and_the_bill_know_the_same_machines(sized: Sized) -> None:
    """Every watched machine is billed by that id, for as many hours as it was watched, to within half an hour a day."""
    usage = sized.lake.scan("gpu_usage").collect()
    billed = sized.lake.scan("charges").select(pl.col("ResourceId").str.to_lowercase()).unique().collect()
    assert set(usage["resource_id"].str.to_lowercase()) <= set(billed["ResourceId"])
    for finding in sized.sizing.findings:
        assert finding.group.coverage_ratio > 0.99, finding.group.name
