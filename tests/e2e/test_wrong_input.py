"""Wrong calls: each says what was found, what was expected and what to do next, exits 2, and touches no lake."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finops.cli.main import run
from tests.conftest import focus_rows

Args = list[str]


def csv_without_columns(folder: Path) -> Args:
    (folder / "bill.csv").write_text("date,amount\n2026-09-01,1\n")
    return ["ingest", "--connector", "focus", "--file", str(folder / "bill.csv")]


def empty_file(folder: Path) -> Args:
    (folder / "bill.csv").write_text("")
    return ["ingest", "--connector", "focus", "--file", str(folder / "bill.csv")]


def header_only(folder: Path) -> Args:
    focus_rows({}).head(0).write_csv(folder / "bill.csv")
    return ["ingest", "--connector", "focus", "--file", str(folder / "bill.csv")]


def truncated_file(folder: Path) -> Args:
    focus_rows({}, {}).write_csv(folder / "bill.csv")
    content = (folder / "bill.csv").read_text()
    (folder / "bill.csv").write_text(content[:-150])
    return ["ingest", "--connector", "focus", "--file", str(folder / "bill.csv")]


def missing_file(folder: Path) -> Args:
    return ["ingest", "--connector", "focus", "--file", str(folder / "nowhere.csv")]


def money_with_symbols(folder: Path) -> Args:
    focus_rows({"BilledCost": "$10,000.00"}).write_csv(folder / "bill.csv")
    return ["ingest", "--connector", "focus", "--file", str(folder / "bill.csv")]


def unknown_connector(folder: Path) -> Args:
    focus_rows({}).write_csv(folder / "bill.csv")
    return ["ingest", "--connector", "focsu", "--file", str(folder / "bill.csv")]


def bad_toml_key(folder: Path) -> Args:
    (folder / "home").mkdir()
    (folder / "home" / "finops.toml").write_text("[alerts]\nwarn_ration = 0.1\n")
    return ["spend"]


def broken_toml(folder: Path) -> Args:
    (folder / "home").mkdir()
    (folder / "home" / "finops.toml").write_text("[alerts\n")
    return ["ingest"]


def unknown_source(folder: Path) -> Args:
    return ["ingest", "aws"]


def unknown_column(folder: Path) -> Args:
    return ["spend", "--by", "colour"]


def unknown_filter(folder: Path) -> Args:
    return ["spend", "--where", "colour=red"]


def dates_backwards(folder: Path) -> Args:
    return ["spend", "--from", "2026-10-01", "--to", "2026-09-01"]


def no_date(folder: Path) -> Args:
    return ["spend", "--from", "yesterday"]


def wrong_period(folder: Path) -> Args:
    return ["reconcile", "--period", "2026-13"]


def no_such_command(folder: Path) -> Args:
    return ["spent"]


@pytest.mark.parametrize(
    ("call", "found", "next_step"),
    [
        (csv_without_columns, "has no column BilledCost", "--connector"),
        (empty_file, "is empty (0 bytes)", "fetch the file again"),
        (header_only, "hold no row", "check the export"),
        (truncated_file, "is cut off", "fetch the file again"),
        (missing_file, "no file or folder", "correct the path"),
        (money_with_symbols, '"$10,000.00", which is no number', "correct the export"),
        (unknown_connector, "no connector is called 'focsu'", "--connector"),
        (bad_toml_key, "alerts.warn_ration: this key is not known", "correct or remove"),
        (broken_toml, "is not valid TOML", "finops init"),
        (unknown_source, "no source aws", "finops init"),
        (unknown_column, "colour", "next"),
        (unknown_filter, "colour", "next"),
        (dates_backwards, "2026-09-01", "next"),
        (no_date, "yesterday", "next"),
        (wrong_period, "--period 2026-13", "2026-10"),
    ],
)
def test_a_wrong_call_says_found_expected_next(
    call: Callable[[Path], Args], found: str, next_step: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the three parts on stderr, nothing on stdout, and no lake."""
    home = tmp_path / "home"
    arguments = call(tmp_path)
    assert run(["--home", str(home), *arguments]) == 2
    printed = capsys.readouterr()
    assert found in printed.err
    assert "expected:" in printed.err
    assert next_step in printed.err.split("next:")[-1] or next_step == "next"
    assert printed.out == ""
    assert not (home / "lake").exists()


def test_an_unknown_command_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped command is a wrong call."""
    assert run(["--home", str(tmp_path), *no_such_command(tmp_path)]) == 2
    assert "spent" in capsys.readouterr().err


def test_a_source_that_cannot_be_read_leaves_the_others_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The good source is loaded and printed, the bad ones' errors are said even with --quiet, and 2 is the end."""
    home = tmp_path / "home"
    home.mkdir()
    focus_rows({}).write_csv(home / "bill.csv")
    (home / "finops.toml").write_text(
        '[[sources]]\nid = "gone"\nconnector = "focus"\npath = "nowhere.csv"\n'
        '[[sources]]\nid = "keyless"\nconnector = "openai"\n'
        'pull = { since = 2026-10-01, key = { env = "NO_SUCH_KEY" } }\n'
        '[[sources]]\nid = "good"\nconnector = "focus"\npath = "bill.csv"\n'
    )
    assert run(["--home", str(home), "--quiet", "--format", "json", "ingest"]) == 2
    printed = capsys.readouterr()
    assert [batch["source"] for batch in json.loads(printed.out)["batches"]] == ["good"]
    assert "no file or folder" in printed.err
    assert "NO_SUCH_KEY" in printed.err
