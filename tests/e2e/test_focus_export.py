"""`finops export --focus` as people call it: files, lines, JSON, exit codes, and the way back in."""

import json
from pathlib import Path

import pytest

from finops import schema as s
from finops.cli.main import run
from finops.focus_rules import VERSIONS
from tests.conftest import focus_rows


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    """A home that holds a small bill of two months."""
    later = {name: f"2026-10-0{day}T00:00:00Z" for name, day in (("ChargePeriodStart", 2), ("ChargePeriodEnd", 3))}
    month = {"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z"}
    focus_rows({}, {"ChargeCategory": "Credit", "BilledCost": "-0.25"}, {**later, **month}).write_csv(
        tmp_path / "b.csv"
    )
    home = tmp_path / "home"
    assert (
        run(["--home", str(home), "--quiet", "ingest", "--connector", "focus", "--file", str(tmp_path / "b.csv")]) == 0
    )
    return home


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_is_written_and_read_back(
    bill: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], version: str, form: str
) -> None:
    """The command ends with 0, names the file and the findings, and another home reads the same total from it."""
    capsys.readouterr()
    out = tmp_path / "out"
    arguments = ["--home", str(bill), "--quiet", "--format", "json"]
    assert run([*arguments, "export", str(out), "--focus", version, "--as", form]) == 0
    document = json.loads(capsys.readouterr().out)
    charges = document["files"][2]
    assert charges["path"] == str(out / f"focus_{version.replace('.', '_')}.{form}")
    assert (charges["rows"], charges["measure"], charges["currency"], charges["total"]) == (
        3,
        s.BILLED_COST,
        "USD",
        "2.75",
    )
    assert document["focus"]["version"] == version
    assert Path(document["focus"]["report"]).is_file()
    assert {"column", "rule", "rows", "example"} <= set(document["focus"]["findings"][0])
    back = ["--home", str(tmp_path / "again"), "--quiet", "--format", "json"]
    assert run([*back, "ingest", "--connector", "focus", "--file", charges["path"]]) == 0
    stored = [batch["billed_cost"][0]["stored"] for batch in json.loads(capsys.readouterr().out)["batches"]]
    assert stored == ["1.25", "1.5"]


def test_findings_are_counted_and_do_not_fail(bill: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken rule is a line with its count, and the export still ends with 0."""
    capsys.readouterr()
    assert run(["--home", str(bill), "--quiet", "export", str(tmp_path / "out"), "--focus", "1.2"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{tmp_path}/out/focus_1_2_findings.csv: ")
    assert "rules of FOCUS 1.2 do not hold" in last


@pytest.mark.parametrize("arguments", [["--focus", "1.1"], ["--focus", "1.4", "--as", "xlsx"], ["--as", "parquet"]])
def test_what_is_not_written_is_a_wrong_call(
    bill: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Another version or form ends with 2, and says which there are."""
    assert run(["--home", str(bill), "export", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert any(words in error for words in ("1.4, 1.2, 1.0", "csv or parquet", "add --focus 1.4"))
    assert not (tmp_path / "out").exists()
