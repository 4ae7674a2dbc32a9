"""`finops anomalies`: a row for each row of a file, the records of a lake, feedback, and refusals."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.load import raw_score
from finops import schema as s
from finops.cli.main import run
from finops.config import Config
from finops.pipeline import alerting
from finops.store import Lake
from forecasting.anomalies import detect
from tests.unit.test_anomaly_search import company, times


@pytest.fixture
def load_file(tmp_path: Path) -> Path:
    """A week of five-minute load with a spike, a gap, a repeated time and an empty value."""
    rng = np.random.default_rng(5)
    start = np.datetime64("2026-03-01T00:00:00", "s")
    rows = [(start + 300 * i, f"{value:.3f}") for i, value in enumerate(rng.normal(50, 2, 2016))]
    rows[1500] = (rows[1500][0], "160")
    rows[700] = (rows[699][0], rows[700][1])
    rows[300] = (rows[300][0], "")
    del rows[900:940]
    file = tmp_path / "load.csv"
    file.write_text("time,load\n" + "".join(f"{str(at).replace('T', ' ')},{value}\n" for at, value in rows))
    return file


def test_a_file_gets_a_row_for_each_row(load_file: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Times and values come back as they are, in order, with expectation, score and flag; JSON says the same."""
    call = ["--home", str(home), "anomalies", "--csv", str(load_file), "--date", "time", "--value", "load"]
    assert run(["--format", "csv", *call]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    written = list(csv.DictReader(load_file.open()))
    assert list(rows[0]) == ["timestamp", "value", "expected", "score", "is_anomaly"]
    assert [r["timestamp"] for r in rows] == [w["time"] for w in written]
    assert [r["value"] and float(r["value"]) for r in rows] == [w["load"] and float(w["load"]) for w in written]
    told = [r["value"] for r in rows if r["is_anomaly"] == "true"]
    assert "160.0" in told
    assert len(told) <= 8
    assert run(["--format", "json", *call]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["anomalies"] == len(told)
    assert len(document["rows"]) == len(written)
    assert run(call) == 0


def test_wrong_calls_are_refused(load_file: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without its columns, columns without a file, and an unknown anomaly end with 2 and the next step."""
    base = ["--home", str(home), "anomalies"]
    for wrong in (["--csv", str(load_file)], ["--date", "time"], ["feedback", "0123456789", "expected"],
                  ["--csv", str(load_file), "--date", "time", "--value", "loads"]):  # fmt: skip
        assert run([*base, *wrong]) == 2
        assert "next:" in capsys.readouterr().err


def test_a_lake_tells_its_anomalies(home: Path, config: Config, lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    """The list says what, since when and how much; it raises an alert, and feedback hides both."""
    call = ["--home", str(home), "--format", "json", "anomalies"]
    assert run(call) == 0
    assert json.loads(capsys.readouterr().out)["anomalies"] == []
    with lake.transaction("test") as tx:
        daily = company(change=times(1.6, **{s.USE_CASE: "search"}))
        month = pl.col(s.CHARGE_DATE).dt.strftime("%Y-%m").alias(s.BILLING_PERIOD)
        tx.append("spend_daily", daily.with_columns(month).select(*s.TABLES["spend_daily"].columns))
    assert run(call) == 0
    document = json.loads(capsys.readouterr().out)
    (found,) = document["anomalies"]
    assert document["open"] == 1
    assert document["totals"] == [{"currency": "USD", "excess": found["excess"]}]
    assert "a step up since 2026-05-01, USD " in found["message"]
    newest = daily[s.CHARGE_DATE].max()
    alerting.raise_alerts(config, lake, say=lambda _: None, today=newest)
    raised = alerting.list_alerts(lake).filter(pl.col("rule") == "anomaly")
    assert raised["message"].to_list() == [found["message"]]
    assert run([*call, "feedback", found["anomaly_id"], "expected", "--note", "new ranking"]) == 0
    assert json.loads(capsys.readouterr().out)["anomalies"][0]["state"] == "expected"
    assert run(call) == 0
    assert json.loads(capsys.readouterr().out)["anomalies"] == []
    alerting.raise_alerts(config, lake, say=lambda _: None, today=newest)
    assert alerting.list_alerts(lake).filter(pl.col("rule") == "anomaly").is_empty()
    assert run([*call, "--all"]) == 0
    assert len(json.loads(capsys.readouterr().out)["anomalies"]) == 1


@pytest.mark.shared
def test_public_labelled_series_score_as_promised(shared: Path) -> None:
    """The standard score on six public labelled series is 75 at least, at the one threshold there is."""
    windows = json.loads((shared / "nab/combined_windows.json").read_text())
    raw, count = 0.0, 0
    for name, spans in windows.items():
        rows = pl.read_csv(shared / "nab" / name)
        stamps = [stamp[:19] for stamp in rows["timestamp"]]
        at = {stamp: i for i, stamp in enumerate(stamps)}
        places = [(at[first[:19]], at[last[:19]]) for first, last in spans]
        values = rows["value"].cast(pl.Float64).to_numpy()
        raw += raw_score(detect(np.array(stamps, dtype="datetime64[s]"), values).flags, places)
        count += len(spans)
    assert 50 * (raw + count) / count >= 75
