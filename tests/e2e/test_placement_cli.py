"""Placement from the command line and in a run: from spend in the lake to a checked plan that adds up."""

import csv
import io
import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.cli.main import run
from finops.config import Config
from finops.pipeline import placement, scenarios
from finops.pipeline.totals import Batch
from finops.store import Lake
from optimizer.document import load_scenario

EXAMPLES = Path(__file__).parents[2] / "examples"
Run = Callable[..., str]


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


def spend_rows(*rows: dict[str, Any], first: date = date(2026, 8, 1), days: int = 92) -> pl.DataFrame:
    """Rows of spend_daily, each of them on every day; amounts as text."""
    columns = {**s.DAILY_DIMENSIONS, **s.DAILY_MEASURES}
    usual: dict[str, Any] = dict.fromkeys(columns) | {
        s.SOURCE_ID: "bill", s.LEDGER_ROLE: s.BILLED, s.SERVICE_PROVIDER_NAME: "AWS", s.REGION_ID: "eu-central-1",
        s.CHARGE_CATEGORY: "Usage", s.IS_AI: True, s.HOSTING: "cloud", s.BILLING_CURRENCY: "USD", s.CHARGE_COUNT: 1,
    }  # fmt: skip
    filled = []
    for row in rows:
        for k in range(days):
            day = first + timedelta(days=k)
            filled.append(usual | {s.CHARGE_DATE: day, s.BILLING_PERIOD: f"{day:%Y-%m}"} | row)
    money = {name: Decimal(0) for name in s.DAILY_MEASURES if name != s.CHARGE_COUNT}
    for row in filled:
        row |= {name: Decimal(str(row[name] or zero)) for name, zero in money.items()}
        row[s.BILLED_COST] = row[s.EFFECTIVE_COST]
    return pl.DataFrame(filled, schema=columns, orient="row")


TRAINING = {
    s.EFFECTIVE_COST: "480.10", s.ACCELERATOR_HOURS: 96, s.ACCELERATOR_MODEL: "H100-80GB", s.DRIVER: "accelerator",
    s.PURPOSE: "training", s.USE_CASE: "ranking", s.TEAM: "Search",
}  # fmt: skip
ASSISTANT = {
    s.EFFECTIVE_COST: "333.33", s.TOKENS: 80_000_000, s.DRIVER: "model_api", s.PURPOSE: "inference", s.HOSTING: "api",
    s.USE_CASE: "assistant",
}  # fmt: skip
STORAGE = {s.EFFECTIVE_COST: "12.5", s.DRIVER: "storage", s.TEAM: "Search"}
WEB = {s.EFFECTIVE_COST: "99", s.DRIVER: "compute", s.IS_AI: False, s.TEAM: "Web"}
CREDIT = {s.EFFECTIVE_COST: "-7", s.DRIVER: "accelerator", s.CHARGE_CATEGORY: "Credit"}


@pytest.fixture
def fill(lake: Lake) -> Callable[..., None]:
    """Put rows into the lake's daily spend."""

    def put(frame: pl.DataFrame) -> None:
        with lake.transaction("test") as transaction:
            transaction.replace("spend_daily", frame)

    return put


def test_a_scenario_from_the_lake_solves_as_written_and_costs_what_was_spent(
    finops: Run, fill: Callable[..., None], home: Path
) -> None:
    """Demand at today's prices is the spend it came from, and going on as today costs that every month."""
    fill(spend_rows(TRAINING, ASSISTANT, STORAGE, WEB, CREDIT))
    made = json.loads(finops("scenario", "new", "hosting"))
    spent = Decimal("480.10") + Decimal("333.33") + Decimal("12.5") - 7
    assert made["months"] == ["2026-08", "2026-09", "2026-10"]
    assert Decimal(made["spend_total"]) == spent * 92
    assert Decimal(made["placed"]) + Decimal(made["not_demand"]) == Decimal(made["spend_total"])
    assert Decimal(made["not_demand"]) == -7 * 92
    billed = json.loads(finops("scenario", "new", "billed", "--as-billed"))
    assert (billed["placed"], made["right_sizing_saving"], made["sunk"]) == (made["placed"], "0", "0")
    assert "lies.csv cannot be read" in finops("scenario", "new", "own", "--profile", home / "lies.csv", code=2)
    assert {w["workload"]: w["unit"] for w in made["workloads"]} == {
        "ranking-H100-80GB": "accelerator_hours",
        "assistant-model_api": "million_tokens",
        "Search-storage": "money",
    }
    text = (home / "scenarios" / "hosting.toml").read_text(encoding="utf-8")
    assert f"{spent * 92} USD" in text
    found = load_scenario(home / "scenarios" / "hosting.toml")
    assert {o.country for o in found.options if o.kind == "reservation"} <= {"DE", "US", "BE", "NL", "SE", "CH", None}

    plan = json.loads(finops("optimize", "hosting"))["plans"][0]
    as_is = next(p for p in plan["policies"] if p["policy"] == "as_is")
    assert "exists" in finops("scenario", "new", "hosting", code=2)
    assert finops("scenario", "show", "hosting", form="table").strip() == text.strip()
    assert json.loads(finops("scenario", "show", "hosting"))["scenario"]["name"] == "hosting"
    assert "own bills" in finops("scenario", "show", "hosting", form="csv")
    monthly = Decimal(made["placed"]) / 3
    assert Decimal(as_is["cumulative_cash"][0]) == pytest.approx(monthly, abs=Decimal("0.01"))
    assert Decimal(as_is["cash"]) == pytest.approx(36 * monthly, abs=Decimal("0.01"))
    assert Decimal(plan["cost"]) <= Decimal(as_is["cost"])


def test_a_bill_without_ai_is_placed_whole_and_says_so(finops: Run, fill: Callable[..., None]) -> None:
    """Where there is no AI spend all spend is placed, and a month that is not whole stands for one, both said."""
    fill(spend_rows(WEB, STORAGE | {s.IS_AI: None}, first=date(2026, 9, 3), days=11))
    made = json.loads(finops("scenario", "new"))
    assert made["months"] == ["2026-09"]
    assert Decimal(made["spend_total"]) == Decimal(made["placed"]) == 11 * (99 + Decimal("12.5"))
    assert any("no AI spend" in note for note in made["notes"])
    assert any("No month is whole" in note for note in made["notes"])
    plan = json.loads(finops("optimize", "hosting"))["plans"][0]
    assert Decimal(plan["policies"][0]["cumulative_cash"][0]) == pytest.approx(
        Decimal(made["placed"]), abs=Decimal("0.01")
    )


def test_use_cases_of_any_name_get_their_own_workload(finops: Run, fill: Callable[..., None]) -> None:
    """Names that no file could hold are made plain and stay apart; the smallest use cases share one workload."""
    odd = ["_x", "a b", "a-b", "ü/ü", 'quo"te']
    many = [*odd, *(f"use{i:02d}" for i in range(12))]
    fill(spend_rows(*(STORAGE | {s.USE_CASE: name, s.EFFECTIVE_COST: 100 - k} for k, name in enumerate(many))))
    made = json.loads(finops("scenario", "new"))
    names = [w["workload"] for w in made["workloads"]]
    assert len(names) == len(set(names)) == scenarios.MOST_WORKLOADS + 1
    assert names[-1] == "everything-else"
    assert Decimal(made["placed"]) == Decimal(made["spend_total"])
    assert json.loads(finops("optimize", "hosting", "--gap", 0.05))["plans"][0]["status"] == "optimal"


def test_foreign_spend_is_converted_by_a_dated_rate_or_left_out(
    finops: Run, fill: Callable[..., None], lake: Lake
) -> None:
    """Two currencies are never added: another one is converted with its rate named, or left out and said so."""
    fill(spend_rows(TRAINING, ASSISTANT | {s.BILLING_CURRENCY: "EUR"}))
    left_out = json.loads(finops("scenario", "new", "first"))
    assert Decimal(left_out["spend_total"]) == Decimal("480.10") * 92
    assert "left out" in left_out["notes"][0]
    rate = pl.DataFrame(
        [{"day": date(2026, 10, 1), "base": "EUR", "quote": "USD", "rate": Decimal("1.2"), "source": "a bank"}],
        schema=s.TABLES["fx_rates"].columns,
    )
    with lake.transaction("test") as transaction:
        transaction.replace("fx_rates", rate)
    converted = json.loads(finops("scenario", "new", "second"))
    total = (Decimal("480.10") + Decimal("333.33") * Decimal("1.2")) * 92
    assert Decimal(converted["spend_total"]) == pytest.approx(total)
    assert "a bank" in converted["notes"][0]


def test_examples_are_optimised_and_compared(finops: Run, home: Path) -> None:
    """Both examples have a plan in every format, the schedule adds up, and the plans are kept for the app."""
    plans = json.loads(finops("optimize", EXAMPLES / "bank.toml", EXAMPLES / "growth.toml", "--gap", 0.02))["plans"]
    bank, growth = plans
    assert (bank["status"], growth["status"]) == ("optimal", "optimal")
    assert {o["hosting"] for o in bank["schedule"]} <= {"on_prem", "colo"}
    assert {r["rule"] for r in bank["rule_prices"]} >= {
        "residency",
        "latency",
        "hosting",
        "budget",
        "capex_budget",
        "spare",
    }
    api_only = next(w for w in growth["warnings"] if w["policy"] == "api_only")
    assert api_only["month"] in growth["months"]
    assert {row["hosting"] for row in growth["schedule"]} >= {"api", "cloud"}
    for plan in plans:
        assert sum(Decimal(row["cash"]) for row in plan["schedule"]) == pytest.approx(
            Decimal(plan["cash"]), abs=Decimal("0.05")
        )
    listed = json.loads(finops("scenario", "list"))
    assert listed["scenarios"] == []
    home.joinpath("scenarios").mkdir()
    finops("scenario", "new", "bank")
    assert json.loads(finops("scenario", "list"))["scenarios"][0]["status"] == "optimal"


def test_other_formats_hold_the_same_figures(finops: Run, tmp_path: Path) -> None:
    """The CSV is the schedule and sums to the plan's cash; the table is for people; compare lists every policy."""
    path = small_scenario(tmp_path)
    plan = json.loads(finops("optimize", path))["plans"][0]
    rows = list(csv.DictReader(io.StringIO(finops("optimize", path, form="csv"))))
    assert sum(Decimal(r["cash"]) for r in rows) == pytest.approx(Decimal(plan["cash"]), abs=Decimal("0.01"))
    text = finops("optimize", path, form="table")
    assert "What runs where" in text
    assert "All cloud, on demand" in text
    compared = json.loads(finops("compare", path))
    assert [r["policy"] for r in compared["rows"]] == [p["policy"] for p in plan["policies"]]
    assert "reason" in finops("compare", path, form="csv").splitlines()[0]


def small_scenario(folder: Path, *, rule: str = "") -> Path:
    """A scenario file of one workload and two options over a year."""
    text = f"""
name = "small"
start = "2027-01"
horizon_months = 12
[[workloads]]
name = "chat"
kind = "inference"
unit = "million_tokens"
demand_per_month = 3000
today = "api"
{rule}
units_per_accelerator_hour = {{ "H100-80GB" = 7.5 }}
[[options]]
name = "api"
kind = "api"
provider = "maker"
country = "US"
latency_ms = 150
unit = "million_tokens"
price = {{ amount = 3.5, source = "a price list", date = 2026-11-01 }}
[[options]]
name = "rented"
kind = "on_demand"
provider = "cloud"
country = "DE"
latency_ms = 30
accelerator = "H100-80GB"
accelerator_count = 8
utilisation_ceiling_ratio = 0.7
price = {{ amount = 60, source = "a price list", date = 2026-11-01 }}
"""
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_wrong_scenarios_exit_2_and_leave_the_lake_untouched(finops: Run, tmp_path: Path, lake: Lake) -> None:
    """A workload that fits no option names the rule that excludes each; rules in conflict are named with what helps."""
    lost = small_scenario(tmp_path, rule='residency = ["JP"]')
    error = finops("optimize", lost, code=2)
    assert "no option fits the workload chat" in error
    assert "not on api (residency): data must stay in JP; this is in US" in error
    assert "next:" in error
    tight = tmp_path / "tight.toml"
    tight.write_text(small_scenario(tmp_path).read_text() + "[rules]\nbudget_per_year = 1000\n", encoding="utf-8")
    error = finops("optimize", tight, code=2)
    assert "year 1 may cost 1,000 USD at most (budget)" in error
    assert "without budget the plan costs" in error
    assert "no scenario nowhere" in finops("optimize", "nowhere", code=2)
    assert "no spend" in finops("scenario", "new", code=2)
    assert "expected: letters, digits" in finops("scenario", "new", "../up", code=2)
    assert lake.versions() == {}


def planning(config: Config, scenario: Path) -> Config:
    """The config with one scenario to plan."""
    return config.model_copy(update={"optimize": config.optimize.model_copy(update={"scenarios": (scenario,)})})


def test_a_run_solves_only_what_changed(config: Config, lake: Lake, home: Path) -> None:
    """The same scenarios and prices again solve nothing; a changed price is solved and kept as the newest."""
    home.mkdir()
    path = small_scenario(home)
    planned = planning(config, Path("small.toml"))

    def refresh() -> placement.PlacementRun:
        return placement.refresh(planned, lake, say=lambda _: None)

    first, second = refresh(), refresh()
    assert (first.solved, first.unchanged) == (("small",), ())
    assert (second.solved, second.unchanged) == ((), ("small",))
    assert second.records == first.records
    path.write_text(path.read_text().replace("amount = 3.5", "amount = 3.6"), encoding="utf-8")
    assert refresh().solved == ("small",)
    stored = placement.stored_plans(lake)
    assert len(stored) == 1
    assert isinstance(stored[0]["made_at"], datetime)
    assert json.loads(stored[0]["body"])["options"][0]["price"] == "3.6"
    assert any("small" in line for line in placement.summary(first))


def test_a_run_goes_on_when_rules_conflict(config: Config, lake: Lake, home: Path) -> None:
    """A configured scenario that no plan can keep is kept with its conflict, and the run says so."""
    home.mkdir()
    path = small_scenario(home)
    path.write_text(path.read_text() + "[rules]\nbudget_per_year = 1000\n", encoding="utf-8")
    planned = planning(config, path)
    made = placement.refresh(planned, lake, say=lambda _: None)
    assert made.records[0]["status"] == "infeasible"
    assert placement.stored_plans(lake)[0]["cost"] is None
    assert "no plan keeps every rule" in placement.summary(made)[0]


def test_a_fleet_case_is_answered(finops: Run, tmp_path: Path) -> None:
    """The fleet command prints status, cost, fleet and gap."""
    case = {
        "gpu_info": {"A": {"cost": 1.01, "tputs": [[2]]}, "B": {"cost": 3.67, "tputs": [[20]]}},
        "workload_distribution": [[1.0]],
        "total_request_rate": 30.0,
        "slice_factor": 4,
    }
    file = tmp_path / "case.json"
    file.write_text(json.dumps(case), encoding="utf-8")
    found = json.loads(finops("fleet", file))
    assert found["status"] == "optimal"
    assert Decimal(found["cost_usd_per_hour"]) == Decimal("7.34")
    assert found["fleet"] == {"B": 2}
    assert "B" in finops("fleet", file, form="table")


@pytest.mark.shared
def test_a_tiny_real_bill_becomes_a_plan(finops: Run, load: Callable[..., list[Batch]], shared: Path) -> None:
    """A real bill's spend is the scenario's total and the first month of going on as today."""
    load(shared / "focus" / "samples" / "focus_1_0_aws_inc.csv")
    spent = json.loads(finops("spend"))["totals"][0]["cost"]
    made = json.loads(finops("scenario", "new"))
    assert Decimal(made["spend_total"]) == Decimal(spent)
    plan = json.loads(finops("optimize", "hosting"))["plans"][0]
    as_is = next(p for p in plan["policies"] if p["policy"] == "as_is")
    assert Decimal(as_is["cumulative_cash"][0]) == pytest.approx(Decimal(spent), abs=Decimal("0.01"))
