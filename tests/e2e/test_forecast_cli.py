"""`finops forecast`, `backtest` and `track-record` from the command line, on files and on a lake."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from finops.cli.main import run
from tests.conftest import focus_rows

FIRST = date(2026, 1, 1)
Run = Callable[..., str]


@pytest.fixture
def finops(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must end well; returns its stdout."""

    def call(*arguments: object, form: str = "csv", code: int = 0) -> str:
        capsys.readouterr()
        ended = run(["--home", str(home), "--format", form, *map(str, arguments)])
        printed = capsys.readouterr()
        assert ended == code, printed.err
        return printed.out if code == 0 else printed.err

    return call


def daily_csv(folder: Path, days: int = 90) -> Path:
    """Two teams: one with half cost at weekends and an empty last row, one too new for more than a simple model."""
    lines = ["team,day,cost"]
    for k in range(days):
        at = FIRST + timedelta(days=k)
        cost = "" if k == days - 1 else str((50 if at.weekday() > 4 else 100) + k % 3)
        lines.append(f"search,{at},{cost}")
        if k < 10:
            lines.append(f"ads,{at},{20 + k % 2}")
    path = folder / "daily.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_csv_is_forecast_series_by_series_from_its_own_last_row(finops: Run, tmp_path: Path) -> None:
    """The columns are fixed; each horizon starts the day after the last row, empty or not; short history says so."""
    path = daily_csv(tmp_path)
    out = finops("forecast", "--csv", path, "--date", "day", "--value", "cost", "--id", "team", "--horizon", 14)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert out.splitlines()[0] == "series,date,model,mean,p025,p05,p10,p50,p90,p95,p975"
    search = [row for row in rows if row["series"] == "search"]
    ads = [row for row in rows if row["series"] == "ads"]
    assert [row["date"] for row in search] == [str(FIRST + timedelta(days=90 + k)) for k in range(14)]
    assert ads[0]["date"] == str(FIRST + timedelta(days=10))
    assert {row["model"] for row in ads} == {"median_14 (short history)"}
    for row in search:
        weekend = date.fromisoformat(row["date"]).weekday() > 4
        assert float(row["p50"]) == pytest.approx(51 if weekend else 101, rel=0.1)


def test_json_is_one_document_that_says_what_fell_back_and_what_was_refused(finops: Run, tmp_path: Path) -> None:
    """A series with a repeated date is left out with its reason; the others are there."""
    path = daily_csv(tmp_path)
    path.write_text(path.read_text() + "twice,2026-01-01,1\ntwice,2026-01-01,2\n")
    arguments = ("--csv", path, "--date", "day", "--value", "cost", "--id", "team", "--horizon", 3)
    document = json.loads(finops("forecast", *arguments, form="json"))
    assert len(document["rows"]) == 6
    assert document["fallbacks"] == {"ads": "median_14 (short history)"}
    assert document["trust"]["ads"]["grade"] == "do not rely on it"
    assert "only 10 days are known" in document["trust"]["ads"]["reasons"]
    assert document["trust"]["search"] == {"grade": "good", "reasons": []}
    assert document["refused"][0]["series"] == "twice"
    assert "more than once" in document["refused"][0]["reason"]


def test_a_csv_without_id_is_one_series_named_after_its_value_column(finops: Run, tmp_path: Path) -> None:
    """A plain file of days and costs needs no more than their names."""
    path = tmp_path / "plain.csv"
    path.write_text("day,cost\n" + "".join(f"{FIRST + timedelta(days=k)},{k % 7}\n" for k in range(20)))
    out = finops("forecast", "--csv", path, "--date", "day", "--value", "cost", "--horizon", 2)
    assert [row["series"] for row in csv.DictReader(io.StringIO(out))] == ["cost", "cost"]


def test_backtest_shows_every_model_and_the_pool(finops: Run, tmp_path: Path) -> None:
    """The default and five baselines for the series that is long enough, and pooled; ads is too short and said so."""
    path = daily_csv(tmp_path)
    arguments = ("--csv", path, "--date", "day", "--value", "cost", "--id", "team", "--horizon", 7, "--origins", 1)
    document = json.loads(finops("backtest", *arguments, form="json"))
    models = {"prophet_robust_level", "seasonal_naive", "run_rate_30", "drift", "auto_ets", "auto_theta"}
    assert {row["model"] for row in document["rows"]} == {row["model"] for row in document["pooled"]} == models
    assert {row["series"] for row in document["rows"]} == {"search"}
    assert document["chosen"] == "prophet_robust_level"
    assert document["refused"] == [{"series": "ads", "reason": "too short for a backtest 7 days ahead"}]
    ahead = {row["days_ahead"] for row in document["pooled_by_days_ahead"]}
    assert ahead == {row["days_ahead"] for row in document["by_days_ahead"]} == {"1-7", "month end", "quarter end"}
    figures = {row["model"]: row for row in document["pooled"]}
    assert figures["prophet_robust_level"]["wape"] < figures["run_rate_30"]["wape"]


def test_an_hourly_csv_is_summed_to_days_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Forty days of 24 hours give daily rows of about 24; the half day at the end is left out."""
    lines = [
        f"{datetime(2026, 3, 10, tzinfo=UTC) + timedelta(hours=k):%Y-%m-%dT%H:%M}:00+01:00,1"
        for k in range(40 * 24 + 12)
    ]
    path = tmp_path / "hourly.csv"
    path.write_text("\n".join(["time,cost", *lines]) + "\n", encoding="utf-8")
    assert run(["--home", str(tmp_path), "--format", "csv", "forecast", "--csv", str(path), "--date", "time",
                "--value", "cost", "--horizon", "2"]) == 0  # fmt: skip
    printed = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [(row["date"], float(row["mean"])) for row in rows] == [("2026-04-19", 24), ("2026-04-20", 24)]
    assert "summed to days, 24 rows each; 2026-04-19 is left out, for it has 12 of them" in printed.err


def test_the_lake_is_forecast_by_its_dimensions(finops: Run, tmp_path: Path) -> None:
    """A bill goes in and its teams come out as series with the cost's unit and cutoff."""
    charges = [
        {
            "BilledCost": str(10 + k % 2), "EffectiveCost": str(10 + k % 2), "Tags": json.dumps({"team": team}),
            "ChargePeriodStart": f"2026-09-{1 + k:02}T00:00:00Z", "ChargePeriodEnd": f"2026-09-{2 + k:02}T00:00:00Z",
        }
        for k in range(20)
        for team in ("Search", "Ads")
    ]  # fmt: skip
    bill = tmp_path / "bill.csv"
    focus_rows(*charges).write_csv(bill)
    finops("ingest", "--connector", "focus", "--file", bill)
    document = json.loads(finops("forecast", "--by", "team", "--horizon", 5, form="json"))
    assert {row["series"] for row in document["rows"]} == {"team=Search", "team=Ads"}
    assert document["currencies"] == {"team=Search": "USD", "team=Ads": "USD"}
    assert document["cutoffs"] == {"team=Search": "2026-09-20", "team=Ads": "2026-09-20"}
    assert {row["date"] for row in document["rows"]} == {f"2026-09-{day}" for day in range(21, 26)}
    only = json.loads(finops("forecast", "--where", "team=Ads", "--horizon", 1, form="json"))
    assert [row["series"] for row in only["rows"]] == ["total"]
    assert 10 <= only["rows"][0]["mean"] <= 11


def test_a_track_record_without_forecasts_says_how_to_get_one(finops: Run) -> None:
    """An empty table with its columns, and the next step on stderr."""
    out = finops("track-record")
    assert out.splitlines() == [
        "grouping,series,currency,measure,model,days_ahead,forecasts,days,wape,wape_run_rate_30,wape_seasonal_naive,bias,"
        "coverage80,coverage95"
    ]


@pytest.mark.parametrize(
    ("arguments", "found", "expected"),
    [
        (["--csv", "absent.csv", "--date", "day", "--value", "cost"], "no file absent.csv", "a CSV file"),
        (["--csv", "FILE", "--date", "when", "--value", "cost"], "no column when", "team, day, cost"),
        (["--csv", "FILE", "--date", "team", "--value", "cost"], "row 2: team is 'search'", "YYYY-MM-DD"),
        (["--csv", "FILE", "--date", "day", "--value", "team"], "row 2: team is 'search'", "a number"),
        (["--csv", "FILE", "--date", "day"], "--csv without", "its column of values"),
        (["--csv", "FILE", "--date", "day", "--value", "cost", "--by", "team"], "--by or --where", "--id"),
        (["--date", "day"], "without --csv", "--csv FILE"),
        (["--by", "squad"], "no dimension 'squad'", "team"),
        (["--cost", "amortised"], "amortised", "effective"),
        (["--where", "team"], "--where team", "COL=VALUE"),
        (["--horizon", "0"], "--horizon 0", "1 to 730"),
        ([], "no charges in the lake", "daily cost"),
        (["--csv", "FILE", "--date", "day", "--value", "cost"], "occur more than once", "one value a day"),
    ],
)
@pytest.mark.parametrize("command", ["forecast", "backtest"])
def test_a_wrong_call_says_what_was_found_and_expected(
    finops: Run, tmp_path: Path, command: str, arguments: list[str], found: str, expected: str
) -> None:
    """Exit 2, with found, expected and a next step, and nothing on stdout."""
    path = daily_csv(tmp_path)
    message = finops(command, *[str(path) if a == "FILE" else a for a in arguments], code=2)
    assert found in message
    assert expected in message
    assert "next:" in message


def test_fewer_than_one_origin_is_a_wrong_call(finops: Run, tmp_path: Path) -> None:
    """A backtest from nowhere judges nothing."""
    message = finops(
        "backtest", "--csv", daily_csv(tmp_path), "--date", "day", "--value", "cost", "--origins", 0, code=2
    )
    assert "--origins 0" in message
