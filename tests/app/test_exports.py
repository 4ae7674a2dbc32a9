"""Exports and the commands of this part: files that tie to the lake, and figures that equal the app's."""

import csv
import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import typer

from finops import schema as s
from finops.cli import export as export_command
from finops.cli import serve
from finops.cli import spend as spend_command
from finops.cli.session import Format, Session
from finops.config import load_config
from finops.errors import CallError, LakeError
from finops.pipeline import exports
from finops.pipeline.exports import export
from finops.store import Lake
from reports.export import csv_text, write_whole
from reports.views.spend import spend, summed

D = Decimal


def run(home: Path, *arguments: str, output: Format = Format.json) -> Session:
    """One command of this part over a home."""
    app = typer.Typer()
    for command in (spend_command, export_command, serve):
        command.register(app)
    current = Session(home=home, format=output)
    typer.main.get_command(app)(list(arguments), obj=current, standalone_mode=False)
    return current


def lake_of(home: Path) -> Lake:
    return Lake.of(load_config(home))


def sum_of(path: Path, column: str, **where: str) -> Decimal:
    with path.open(encoding="utf-8") as text:
        rows = [r for r in csv.DictReader(text) if all(r[k] == v for k, v in where.items())]
    return sum((Decimal(r[column] or 0) for r in rows), D(0))


def test_every_file_ties_to_the_lake(company: Path, tmp_path: Path) -> None:
    """Each file's amounts sum to the lake's total, to the last decimal, and the record says the same."""
    lake, said = lake_of(company), list[str]()
    run_ = export(load_config(company), lake, directory=tmp_path, focus="1.4", say=said.append)
    whole = summed(spend(lake).totals)
    assert sum_of(tmp_path / "spend_by_month.csv", "effective_cost") == whole
    assert sum_of(tmp_path / "actual_forecast_budget.csv", "actual", scope="all") == whole
    assert sum_of(tmp_path / "focus_1_4.csv", s.BILLED_COST) == summed(spend(lake, cost="billed").totals)
    assert [file.totals for file in run_.files] == [{"USD": whole}] * 3
    assert [file.path.name for file in run_.files] == [p.split(":")[0].rsplit("/")[-1] for p in said[:3]]
    assert not list(tmp_path.glob(".*"))


def test_budgets_stand_beside_actuals(company: Path, tmp_path: Path) -> None:
    """A budget's month holds its plan and what was spent in its scope; months of the forecast hold what is expected."""
    lake = lake_of(company)
    export(load_config(company), lake, directory=tmp_path, say=lambda _: None)
    file = tmp_path / "actual_forecast_budget.csv"
    assert sum_of(file, "budget", scope="team=Support", period="2026-10") == 390_000
    support = summed(spend(lake, where={"team": "Support", "period": "2026-10"}).totals)
    assert sum_of(file, "actual", scope="team=Support", period="2026-10") == support
    assert sum_of(file, "forecast", scope="is_ai=true", period="2026-12") > 1_000_000


def test_a_file_that_does_not_tie_is_not_handed_out(
    company: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a written file does not sum to the lake, the export fails and says so."""
    monkeypatch.setattr(exports, "csv_text", lambda frame: csv_text(frame.head(3)))
    with pytest.raises(LakeError, match="sums to"):
        export(load_config(company), lake_of(company), directory=tmp_path, say=lambda _: None)


@pytest.mark.parametrize("focus", ["1.1", "2.0", "latest"])
def test_an_unknown_focus_version_is_refused(company: Path, tmp_path: Path, focus: str) -> None:
    """A FOCUS version that is not written is a wrong call, and nothing is written."""
    with pytest.raises(CallError, match=f"FOCUS {focus}"):
        export(load_config(company), lake_of(company), directory=tmp_path / "out", focus=focus, say=lambda _: None)
    assert not (tmp_path / "out").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A file is replaced in one step or not at all."""
    path = tmp_path / "figures.csv"
    write_whole(path, lambda part: part.write_text("old"))

    def torn(part: Path) -> None:
        part.write_text("half of")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, torn)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("figures.csv", "old")]


def test_csv_keeps_every_digit_that_counts() -> None:
    """CSV holds decimals exactly, without zeros that say nothing, and whole numbers as they are."""
    amounts = ["0.000000000000000001", "1200.50", "-3", "0", "100"]
    frame = pl.DataFrame({"cost": [D(a) for a in amounts]}, schema={"cost": s.MONEY})
    assert csv_text(frame).split() == ["cost", "0.000000000000000001", "1200.5", "-3", "0", "100"]


def test_spend_prints_exact_decimals(company: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`finops spend` prints rows with the words as typed, and totals that are the exact sum of the rows."""
    run(
        company,
        "spend",
        "--by",
        "team,x_Purpose",
        "--where",
        "is_ai=true",
        "--from",
        "2026-10-01",
        "--to",
        "2026-10-31",
    )
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["rows", "totals"]
    assert list(document["rows"][0]) == ["team", "x_Purpose", "currency", "cost"]
    assert all(isinstance(row["cost"], str) for row in document["rows"])
    total = sum((D(row["cost"]) for row in document["rows"]), D(0))
    assert document["totals"] == [{"currency": "USD", "cost": f"{total.normalize():f}"}]


def test_spend_of_nothing_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty lake is an answer with a next step, on stderr, and an empty document on stdout."""
    run(tmp_path, "spend")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"rows": [], "totals": []}
    assert "finops demo" in err


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--by", "colour"], "no dimension 'colour'"), (["--where", "team"], "--where team"),
        (["--from", "yesterday"], "the day 'yesterday'"), (["--cost", "gross"], "the cost 'gross'"),
        (["--from", "2026-02-01", "--to", "2026-01-01"], "a period from"),
    ],
)  # fmt: skip
def test_a_wrong_spend_call_says_what_is_expected(company: Path, arguments: list[str], found: str) -> None:
    """A wrong call says what was found and ends with exit code 2."""
    with pytest.raises(CallError, match=found) as raised:
        run(company, "spend", *arguments)
    assert raised.value.exit_code == 2


def test_export_prints_paths_and_totals(company: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`finops export DIR` prints each file with its rows and total."""
    run(company, "export", str(tmp_path))
    files = json.loads(capsys.readouterr().out)["files"]
    assert [Path(file["path"]).name for file in files] == ["spend_by_month.csv", "actual_forecast_budget.csv"]
    run(company, "export", str(tmp_path), output=Format.table)
    assert f"{tmp_path}/spend_by_month.csv: 49 rows, 6,803,041.53 USD" in capsys.readouterr().out
    assert {file["total"] for file in files} == {f"{summed(spend(lake_of(company)).totals).normalize():f}"}


def test_a_taken_port_is_said_in_words(company: Path) -> None:
    """`finops app` on a port that another program holds names the next one."""
    import socket

    with socket.socket() as other:
        other.bind((serve.ADDRESS, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CallError, match=f"port {port}") as raised:
            run(company, "app", "--port", str(port))
    assert f"--port {port + 1}" in raised.value.next_step


def test_the_app_is_served_to_this_machine_only(company: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server gets the home, listens on this machine, checks origins and hosts, and reports nothing home."""
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(serve.os, "execve", lambda *call: started.append(call))
    run(company, "app", "--port", "18599")
    _python, command, environment = started[0]
    assert environment["FINOPS_HOME"] == str(company.resolve())
    assert {
        "--server.address=127.0.0.1", "--server.enableCORS=true", "--server.enableXsrfProtection=true",
        "--server.allowedHosts=localhost", "--browser.gatherUsageStats=false", "--client.showErrorDetails=none",
    } <= set(command)  # fmt: skip
    assert serve.SCRIPT.is_file()
    assert str(serve.SCRIPT) in command
