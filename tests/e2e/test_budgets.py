"""From daily spend and a budget file to alerts, exit codes and edited budgets."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.cli.main import run
from finops.config import Config, FinanceTables
from finops.pipeline import alerting, budgets, odds, tables
from finops.store import Lake

TODAY = date(2026, 10, 11)
"""The tenth of October is the last day with charges."""


def day_rows(start: date, end: date, cost: str, **changed: object) -> list[dict[str, object]]:
    usual = {
        s.SOURCE_ID: "aws", s.LEDGER_ROLE: s.BILLED, s.SERVICE_PROVIDER_NAME: "AWS", s.CHARGE_CATEGORY: "Usage",
        s.IS_AI: True, s.TEAM: "Support", s.PURPOSE: "inference", s.OWNER_STATUS: "known", s.BILLING_CURRENCY: "USD",
        s.BILLED_COST: Decimal(0), s.EFFECTIVE_COST: Decimal(cost), s.CHARGE_COUNT: 1,
    }  # fmt: skip
    days = [start + timedelta(days=i) for i in range((end - start).days)]
    return [{**usual, s.CHARGE_DATE: day, s.BILLING_PERIOD: f"{day:%Y-%m}", **changed} for day in days]


def written(lake: Lake, *rows: list[dict[str, object]], forecasts: pl.DataFrame | None = None) -> None:
    columns = s.TABLES["spend_daily"].columns
    with lake.transaction("test") as tx:
        tx.replace("spend_daily", pl.DataFrame([r for part in rows for r in part], schema=columns))
        if forecasts is not None:
            tx.append("forecasts", forecasts)


def forecast_rows(series: str, mean: float, *, days: int, measure: str = "effective") -> pl.DataFrame:
    rows = [
        {
            "forecast_id": "f1", "made_at": datetime(2026, 10, 11, tzinfo=UTC), "cutoff": date(2026, 10, 10),
            "grouping": "team", "series": series, "measure": measure, "currency": "USD", "model": "prophet",
            "date": date(2026, 10, 11) + timedelta(days=i), "mean": mean, "cutoff_month": "2026-10",
        }
        for i in range(days)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=s.TABLES["forecasts"].columns)


@pytest.fixture
def budgeted(home: Path) -> Config:
    """A home whose config names a budget file for three months, a quarter and everything."""
    home.mkdir()
    (home / "finops.toml").write_text('[tables]\nbudgets = "budgets.csv"\n')
    (home / "budgets.csv").write_text(
        "team,2026-08,2026-09,2026-10,2026-11,2026-Q4,budget owner\nSupport,310,400,310,300,1000,Ana\n"
        ",310,300,310,,,\n(none),,999,,,,\n"
    )
    return Config(home=home, tables=FinanceTables(budgets=Path("budgets.csv")))


def fares(config: Config, lake: Lake) -> dict[tuple[str, str], dict[str, Any]]:
    tables.load(config, lake, say=lambda _: None)
    status = budgets.budget_status(config, lake, today=TODAY)
    return {(row["scope"], row["period"]): row for row in status.to_dicts()}


def test_each_period_is_held_against_what_was_billed(budgeted: Config, lake: Lake) -> None:
    """Closed periods take their actual cost, the open one lands at its daily rate, and derived rows do not count."""
    written(
        lake,
        day_rows(date(2026, 8, 1), date(2026, 10, 11), "10"),
        day_rows(date(2026, 9, 1), date(2026, 10, 1), "1", **{s.TEAM: None}),
        day_rows(date(2026, 9, 1), date(2026, 10, 1), "99", **{s.LEDGER_ROLE: s.DERIVED}),
        day_rows(date(2026, 9, 20), date(2026, 9, 21), "500", **{s.CHARGE_CATEGORY: "Purchase", s.TEAM: None}),
    )
    found = fares(budgeted, lake)

    def of(scope: str, period: str) -> tuple[Any, ...]:
        row = found[scope, period]
        return row["actual"], row["landing"], row["status"], row["basis"]

    assert of("team=Support", "2026-08") == (310, 310, "on_track", "actual")
    assert of("team=Support", "2026-09") == (300, 300, "under", "actual")
    assert of("all", "2026-09") == (830, 830, "breach", "actual")
    assert of("team=(none)", "2026-09") == (530, 530, "under", "actual")
    assert of("team=Support", "2026-10") == (100, 310, "on_track", "run_rate")
    assert of("team=Support", "2026-Q4") == (100, 920, "on_track", "run_rate")
    assert of("team=Support", "2026-11") == (0, None, "planned", None)
    # the last 28 days held 18 days of the rows without team, and the purchase is not repeated
    assert of("all", "2026-10") == (100, Decimal("323.50"), "on_track", "run_rate")


def test_open_period_lands_by_the_forecast_of_its_ai_spend(budgeted: Config, lake: Lake) -> None:
    """The rest of a period is the mean of a forecast of the same AI spend, and the daily rate of other spend."""
    written(
        lake,
        day_rows(date(2026, 8, 1), date(2026, 10, 11), "10"),
        day_rows(date(2026, 8, 1), date(2026, 10, 11), "1", **{s.IS_AI: False}),
        forecasts=pl.concat([
            forecast_rows("team=Support", 20.0, days=60),
            forecast_rows("team=Search", 77.0, days=60),
            forecast_rows("team=Support", 55.0, days=60, measure="billed"),
            forecast_rows("team=Support", 66.0, days=60).with_columns(currency=pl.lit("EUR")),
        ]),
    )  # fmt: skip
    found = fares(budgeted, lake)
    october, november = found["team=Support", "2026-10"], found["team=Support", "2026-11"]
    assert (october["landing"], october["basis"], october["status"]) == (110 + 21 * 21, "forecast", "breach")
    assert (november["landing"], november["status"]) == (30 * 21, "planned")
    # a forecast that froze no paths: the scope's own past around the forecast's mean
    assert october["odds_basis"] == "past_blocks"
    assert october["landing_p50"] == pytest.approx(october["landing"], rel=Decimal("0.01"))
    assert (october["over_probability"], october["run_out"]) == (1.0, date(2026, 10, 20))
    assert found["all", "2026-10"]["basis"] == "run_rate"
    # the quarter reaches beyond the forecast, whose mean stands for the rest
    assert found["team=Support", "2026-Q4"]["landing"] == 110 + 82 * 21


def test_status_says_how_likely_a_budget_is_passed_and_what_keeps_it(
    budgeted: Config, lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`budget status` lists what runs: 310 for a month that costs 10 or 12 a day is about as likely passed as not."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls(2026, 10, 11, tzinfo=UTC)

    monkeypatch.setattr("finops.cli.budgets.datetime", Clock)
    days = [date(2026, 6, 1) + timedelta(days=k) for k in range(132)]
    steady = [day_rows(day, day + timedelta(days=1), "8" if day.day % 2 else "12") for day in days]
    twice = [day_rows(day, day + timedelta(days=1), "8", **{s.TEAM: "Search"}) for day in days]
    written(lake, *steady, *twice)
    tables.load(budgeted, lake, say=lambda _: None)
    home = ["--home", str(budgeted.home), "--quiet"]
    assert run([*home, "--format", "json", "budget", "status"]) == 0
    found = {(b["scope"], b["period"]): b for b in json.loads(capsys.readouterr().out)["budgets"]}
    assert set(found) == {("all", "2026-10"), ("team=Support", "2026-10"), ("team=Support", "2026-Q4")}
    even, over = found["team=Support", "2026-10"], found["all", "2026-10"]
    assert 0.05 < even["over_probability"] < 0.95
    assert Decimal(even["landing_p10"]) < 310 < Decimal(even["landing_p90"])
    assert (even["odds_basis"], even["basis"]) == ("past_blocks", "run_rate")
    assert (over["over_probability"], over["run_out"]) == (1.0, "2026-10-18")
    # 558 by the middle course, 20 days from tomorrow on
    assert Decimal(over["save_per_day"]) == pytest.approx(Decimal(558 - 310) / 20, abs=Decimal("0.5"))
    assert Decimal(over["save_per_day_80"]) >= Decimal(over["save_per_day"])
    assert run([*home, "--format", "csv", "budget", "status", "--all"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(",")[-10:] == list(odds.COLUMNS)
    assert len(lines) == 1 + 9
    monkeypatch.setenv("COLUMNS", "140")
    assert run([*home, "budget", "status"]) == 0
    assert "> 99 %" in capsys.readouterr().out


def test_source_that_lags_keeps_the_period_open(budgeted: Config, lake: Lake) -> None:
    """A period is closed only when every running source has reached its end; a source that ended holds nothing back."""
    late = {s.SOURCE_ID: "azure", s.TEAM: "Search"}
    ended = {s.SOURCE_ID: "old", s.TEAM: "Search"}
    written(
        lake,
        day_rows(date(2026, 8, 1), date(2026, 10, 11), "10"),
        day_rows(date(2026, 8, 1), date(2026, 9, 21), "1", **late),
        day_rows(date(2026, 8, 1), date(2026, 8, 9), "1", **ended),
    )
    found = fares(budgeted, lake)
    assert found["all", "2026-08"]["basis"] == "actual"
    assert found["all", "2026-09"]["basis"] == "run_rate"


def test_other_currencies_count_at_the_rate_of_their_day(budgeted: Config, lake: Lake) -> None:
    """Other currencies are converted by the newest rate on or before the day, and told apart where there is none."""
    written(
        lake,
        day_rows(date(2026, 8, 1), date(2026, 10, 11), "10"),
        day_rows(date(2026, 8, 30), date(2026, 9, 1), "100", **{s.BILLING_CURRENCY: "EUR"}),
        day_rows(date(2026, 8, 30), date(2026, 8, 31), "7", **{s.BILLING_CURRENCY: "CHF"}),
    )
    (budgeted.home / "fx.csv").write_text(
        "day,base,quote,rate,source\n2026-08-31,EUR,USD,1.5,ECB\n2026-08-01,EUR,USD,1.1,\n"
    )
    config = budgeted.model_copy(update={"tables": FinanceTables(budgets=Path("budgets.csv"), fx_rates=Path("fx.csv"))})
    found = fares(config, lake)["team=Support", "2026-08"]
    assert (found["actual"], found["not_counted"]) == (310 + 110 + 150, "CHF 7.00")
    assert found["converted"] == "EUR at 1.5 of 2026-08-31 (ECB)"
    (budgeted.home / "budgets.csv").write_text(
        "scope,period,amount,currency\nteam=Support,2026-08,1,EUR\nall,2026-08,1,CHF\n"
    )
    found = fares(config, lake)
    one = Decimal(1).scaleb(-18)
    thirty_days, last = 300 * (1 / Decimal("1.1")).quantize(one), 10 * (1 / Decimal("1.5")).quantize(one)
    assert found["team=Support", "2026-08"]["actual"] == 200 + thirty_days + last
    assert found["all", "2026-08"]["actual"] == 7


def test_alerts_are_raised_kept_and_set_the_exit_code(
    budgeted: Config, lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alerts are raised once; a breach sets the exit code until somebody acknowledges it."""
    written(
        lake,
        day_rows(date(2026, 8, 1), date(2026, 10, 11), "20"),
        day_rows(date(2026, 9, 20), date(2026, 10, 11), "200", **{s.TEAM: None, s.OWNER_STATUS: "none"}),
        day_rows(
            date(2026, 10, 1), date(2026, 10, 11), "150",
            **{s.COMMITMENT_DISCOUNT_STATUS: "Unused", s.ACCELERATOR_MODEL: "H100-80GB", s.TEAM: "Search"},
        ),
    )  # fmt: skip
    tables.load(budgeted, lake, say=lambda _: None)
    first = alerting.raise_alerts(budgeted, lake, say=lambda _: None, today=TODAY)
    listed = alerting.list_alerts(lake)
    assert sorted(set(listed["rule"])) == ["budget_variance", "idle_commitment", "unowned_spend"]
    assert listed.filter(rule="budget_variance")["period"].unique().sort().to_list() == [
        "2026-09",
        "2026-10",
        "2026-Q4",
    ]
    snapshots = len(lake.snapshots())
    assert alerting.summary(first)[1:] == listed["message"].head(3).to_list()
    second = alerting.raise_alerts(budgeted, lake, say=lambda _: None, today=TODAY)
    assert (second.new, second.open, second.breached) == (0, first.open, first.breached)
    assert len(lake.snapshots()) == snapshots
    home = ["--home", str(budgeted.home), "--format", "json"]
    assert run([*home, "alerts"]) == run([*home, "alerts", "list"]) == 1
    capsys.readouterr()
    for alert_id in listed.filter(severity="breach")["alert_id"]:
        assert run([*home, "alerts", "ack", alert_id]) == 0
    capsys.readouterr()
    assert run([*home, "alerts"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["breached"] == 0
    assert {a["state"] for a in document["alerts"] if a["severity"] == "breach"} == {"acknowledged"}
    assert alerting.raise_alerts(budgeted, lake, say=lambda _: None, today=TODAY).new == 0
    assert run([*home, "alerts", "resolve", "nonsense"]) == 2


def test_first_budgets_may_come_by_import(
    home: Path, lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lake without budgets takes the first file as it is, and `alerts` judges it at once."""
    written(lake, day_rows(date(2026, 8, 1), date(2026, 10, 11), "10"))
    file = tmp_path / "first.csv"
    file.write_text("team,period,amount\nSupport,2026-09,100\n")
    assert run(["--home", str(home), "alerts"]) == 0
    assert run(["--home", str(home), "budget", "import", str(file)]) == 0
    capsys.readouterr()
    assert run(["--home", str(home), "--format", "csv", "alerts"]) == 1
    assert "USD 200.00 (200.0%) over the budget of USD 100.00" in capsys.readouterr().out


def test_budgets_go_out_and_come_back(budgeted: Config, lake: Lake, load_json: Callable[[], Any]) -> None:
    """An export reads back to the same totals; an edit changes one amount and survives the next run."""
    written(lake, day_rows(date(2026, 8, 1), date(2026, 10, 11), "10"))
    tables.load(budgeted, lake, say=lambda _: None)
    file = budgeted.home / "out.csv"
    home = ["--home", str(budgeted.home), "--format", "json"]
    assert run([*home, "budget", "export", str(file)]) == 0
    exported = load_json()
    assert run([*home, "budget", "import", str(file)]) == 0
    imported = load_json()
    assert imported["totals"] == exported["totals"] == [{"currency": "USD", "budget": "4239"}]
    assert imported["changed"] == 0
    edited = file.read_text().replace("2026-11,300,", "2026-11,350.25,")
    file.write_text(edited)
    assert run([*home, "budget", "import", str(file)]) == 0
    assert load_json()["totals"] == [{"currency": "USD", "budget": "4289.25"}]
    assert tables.load(budgeted, lake, say=lambda _: None).changed == ()
    before = lake.scan("budgets").collect()
    assert before["amount"].sum() == Decimal("4289.25")
    for wrong in (edited.replace("Ana,USD", "Ana,EUR"), edited.replace("team=Support", "team=Suport")):
        file.write_text(wrong)
        assert run([*home, "budget", "import", str(file)]) == 2
    assert lake.scan("budgets").collect().equals(before)
    (budgeted.home / "budgets.csv").write_text("team,2026-08\nSupport,1\n")
    assert tables.load(budgeted, lake, say=lambda _: None).changed == ("budgets",)


@pytest.fixture
def load_json(capsys: pytest.CaptureFixture[str]) -> Callable[[], Any]:
    """What the last command printed to stdout."""
    return lambda: json.loads(capsys.readouterr().out)
