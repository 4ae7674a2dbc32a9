"""Scenarios saved, duplicated, compared and approved: the file changes, the lake keeps who did it, approvals lapse."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops.cli.main import run
from finops.config import Config, load_config
from finops.errors import CallError, ConfigError
from finops.pipeline import scenario_log
from finops.pipeline.scenario_text import edited
from finops.store import Lake
from tests.app.conftest import SCENARIO

Run = Callable[..., str]
SMALL = SCENARIO.replace("horizon_months = 24", "horizon_months = 6   # half a year")


@pytest.fixture
def finops(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its stdout, or its stderr where it is to fail."""

    def call(*arguments: object, form: str = "json", code: int = 0) -> str:
        capsys.readouterr()
        ended = run(["--home", str(home), "--format", form, *map(str, arguments)])
        printed = capsys.readouterr()
        assert ended == code, printed.err
        return printed.out if code == 0 else printed.err

    return call


@pytest.fixture
def config(home: Path) -> Config:
    """A home with one saved scenario."""
    (home / "scenarios").mkdir(parents=True, exist_ok=True)
    (home / "scenarios" / "growth.toml").write_text(SMALL)
    return load_config(home)


def test_an_approval_holds_until_something_changes(config: Config, finops: Run) -> None:
    """A plan that was approved stays approved when it is solved again, and not when a price or the plan is another."""
    lake = Lake.of(config)
    assert "growth has no plan" in finops("scenario", "approve", "growth", "--by", "Ada", code=2)
    finops("optimize", "growth")
    approved = json.loads(finops("scenario", "approve", "growth", "--by", "Ada", "--comment", "for the board"))
    plan = json.loads(finops("optimize", "growth"))["plans"][0]
    assert approved["digest"] == plan["digest"]
    finops("optimize", "growth", "--again")
    shown = json.loads(finops("scenario", "history", "growth"))
    assert shown["approval"].startswith("approved by Ada on ")
    assert "void" not in shown["approval"]
    assert [(e["action"], e["actor"]) for e in shown["events"]] == [
        ("planned", None), ("approved", "Ada"), ("planned", None),
    ]  # fmt: skip
    assert shown["events"][1]["comment"] == "for the board"

    opened = scenario_log.saved_scenario(config, "growth")
    dearer = edited(opened.text, {("options", 0, "price", "amount"): Decimal(61)})
    scenario_log.save(config, lake, opened, dearer, by="Bob")
    shown = json.loads(finops("scenario", "history", "growth"))
    assert "void: the scenario or a price that it uses has changed since" in shown["approval"]
    assert "made before its inputs or prices changed" in finops("scenario", "approve", "growth", "--by", "A", code=2)

    scenario_log.save(config, lake, scenario_log.saved_scenario(config, "growth"), opened.text, by="Bob")
    found = scenario_log.approval(config, lake, "growth")
    assert found is not None
    assert found.void is None  # the very inputs that were approved


def test_another_plan_of_the_same_inputs_voids_an_approval(config: Config, finops: Run) -> None:
    """What was approved is the plan: one that buys something else needs approval of its own."""
    finops("optimize", "growth")
    finops("scenario", "approve", "growth", "--by", "Ada")
    lake = Lake.of(config)
    plan = lake.scan("plans").collect()
    body = json.loads(plan["body"][0]) | {"purchases": [{"month": "2026-11", "option": "own-h100", "count": 9}]}
    other = plan.with_columns(plan["plan_id"] + "x", plan["made_at"].dt.offset_by("1s"))
    with lake.transaction("test") as tx:
        tx.append("plans", other.with_columns(body=pl.lit(json.dumps(body))))
    assert "void: another plan has been made since" in json.loads(finops("scenario", "history", "growth"))["approval"]


def test_saving_keeps_every_version_and_who_made_it(config: Config) -> None:
    """The first text and each saved one are kept, with author and what changed in words; comments stay in the file."""
    lake = Lake.of(config)
    opened = scenario_log.saved_scenario(config, "growth")
    text = edited(opened.text, {("workloads", 0, "demand_per_month"): 15000})
    saved = scenario_log.save(config, lake, opened, text, by="Grace", comment="new forecast")
    assert saved.path.read_text() == text == SMALL.replace("12000", "15000")
    assert "# half a year" in text
    kept = lake.scan("scenarios").sort("version").collect()
    assert kept.select("version", "author", "body").rows() == [(1, None, SMALL), (2, "Grace", text)]
    event = scenario_log.history(lake, "growth").row(0, named=True)
    assert (event["actor"], event["version"], event["comment"]) == ("Grace", 2, "new forecast")
    assert event["detail"] == "workload chat, demand a month: 12,000 → 15,000 (+25 %)"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({("workloads", 0, "growth_ratio_per_year"): Decimal(-2)}, ConfigError, "workloads.chat.growth_ratio_per_year"),
        ({("name",): "other"}, CallError, "the name other"),
    ],
)
def test_a_wrong_text_is_not_saved(
    config: Config, change: dict[Any, Any], error: type[Exception], message: str
) -> None:  # fmt: skip
    """A text that is no scenario, or another one, is refused and the file stays."""
    opened = scenario_log.saved_scenario(config, "growth")
    with pytest.raises(error, match=message):
        scenario_log.save(config, Lake.of(config), opened, edited(opened.text, change), by="Grace")
    assert opened.path.read_text() == SMALL
    assert Lake.of(config).scan("scenario_audit").collect().is_empty()


def test_nobody_is_overwritten(config: Config) -> None:
    """Who saves a scenario that somebody else has saved meanwhile is told so, and must say who they are."""
    opened = scenario_log.saved_scenario(config, "growth")
    opened.path.write_text(SMALL.replace("12000", "13000"))
    with pytest.raises(CallError, match="changed by somebody else"):
        scenario_log.save(config, Lake.of(config), opened, SMALL.replace("12000", "14000"), by="Grace")
    with pytest.raises(CallError, match="nobody who saves"):
        scenario_log.save(config, Lake.of(config), replace(opened, text=opened.path.read_text()), SMALL, by=" ")


def test_a_copy_differs_in_nothing_but_its_name(config: Config, finops: Run) -> None:
    """A duplicate has the same inputs; diff says so, names what differs later, and a taken name is refused."""
    lake = Lake.of(config)
    copied = scenario_log.duplicate(config, lake, scenario_log.saved_scenario(config, "growth"), "double", by="Ada")
    assert copied.text == SMALL.replace('name = "growth"', 'name = "double"', 1)
    assert (
        finops("scenario", "diff", "growth", "double", form="table") == "Nothing differs between growth and double.\n"
    )
    text = edited(copied.text, {("workloads", 0, "residency"): ["EU"], ("rules", "budget_per_year"): [Decimal(900000)]})
    scenario_log.save(config, lake, copied, text, by="Ada")
    found = json.loads(finops("scenario", "diff", "growth", "double"))["differences"]
    assert [(d["where"], d["what"], d["before"], d["after"]) for d in found] == [
        ("workload chat", "residency", "not stated", "EU"),
        ("rules", "budget by year", "not stated", "900,000"),
    ]
    for name in ("growth", "double", "../out"):
        with pytest.raises(CallError):
            scenario_log.duplicate(config, lake, copied, name, by="Ada")
    assert [e["action"] for e in json.loads(finops("scenario", "history", "double"))["events"]] == [
        "saved",
        "duplicated",
    ]


def test_a_plan_is_kept_although_the_next_is_not_found(config: Config, finops: Run) -> None:
    """Of scenarios that are solved together, those before one without a plan keep theirs."""
    strict = edited(SMALL, {("name",): "strict", ("rules", "budget_per_year"): [1000]})
    (config.scenarios / "strict.toml").write_text(strict)
    assert "strict: these cannot all hold" in finops("optimize", "growth", "strict", code=2)
    listed = json.loads(finops("scenario", "list"))["scenarios"]
    assert {s["scenario"]: s["status"] for s in listed} == {"growth": "optimal", "strict": None}
