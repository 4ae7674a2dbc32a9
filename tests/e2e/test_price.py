"""`finops price`: a file of token usage in, the same rows with their prices out."""

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from finops.cli.main import run

USAGE = """date,team,provider,model,service_tier,uncached_input_tokens,output_tokens,requests
2026-11-15,"Search, core",anthropic,claude-opus-5-5,standard,0001000,500,1
2026-11-15,ops,openai,gpt-nonexistent-9,standard,1000,500,1
2026-11-15,ops,anthropic,claude-opus-5-5,batch,1000,,1
"""
CONTRACT = (
    "provider,model,meter,service_tier,context_from_tokens,valid_from,valid_to,amount,unit,currency,source,checked\n"
    "anthropic,claude-opus-5-5,output,standard,,2026-11-01,,10,1M tokens,USD,Contract 7,2026-10-30\n"
)

Run = Callable[..., list[dict[str, str]]]


@pytest.fixture
def price(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `finops price` on a file with this content and returns its rows; the exit code must be 0."""

    def priced(content: str, *arguments: str) -> list[dict[str, str]]:
        (tmp_path / "usage.csv").write_text(content)
        command = ["--home", str(home), "--format", "csv", "price", "--usage", str(tmp_path / "usage.csv"), *arguments]
        assert run(command) == 0
        return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))

    return priced


def test_rows_come_back_in_order_with_their_prices(price: Run, home: Path) -> None:
    """Cells are untouched, costs exact, an unknown model has no cost, and no lake is made."""
    rows = price(USAGE)
    asked = list(csv.DictReader(io.StringIO(USAGE)))
    assert [{name: row[name] for name in asked[0]} for row in rows] == asked
    assert list(rows[0])[-5:] == ["price_status", "cost_usd", "price_date", "price_source", "price_reason"]
    assert [row["cost_usd"] for row in rows] == ["0.014", "", "0.002"]
    assert [row["price_status"] for row in rows] == ["priced", "unpriced", "priced"]
    assert rows[1]["price_reason"] == "unknown model"
    assert rows[0]["price_date"] == "2026-11-15"
    assert not home.exists()


def test_contracted_prices_win(price: Run, tmp_path: Path) -> None:
    """A price of the company's own file is used and named."""
    (tmp_path / "contract.csv").write_text(CONTRACT)
    rows = price(USAGE, "--prices", str(tmp_path / "contract.csv"))
    assert rows[0]["cost_usd"] == "0.009"
    assert "Contract 7" in rows[0]["price_source"]


def test_json_holds_money_as_text_and_counts_what_is_unpriced(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One JSON object: rows, their currency, and how many have no price."""
    (tmp_path / "usage.csv").write_text(USAGE)
    assert run(["--home", str(home), "--format", "json", "price", "--usage", str(tmp_path / "usage.csv")]) == 0
    found = capsys.readouterr()
    document = json.loads(found.out)
    assert (document["unpriced"], document["currency"]) == (1, "USD")
    assert [row["cost_usd"] for row in document["rows"]] == ["0.014", None, "0.002"]
    assert "1 of 3 rows have no price" in found.err


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "empty"),
        ("date,provider,model\n2026-11-15,openai,gpt-5.5\n", "has the columns date, provider, model"),
        (USAGE.replace("date,", "day,"), "has the columns day"),
        (USAGE.replace("uncached_input_tokens", "input_tokens"), "has a column input_tokens"),
        (USAGE.replace("team", "output_tokens"), "has a column output_tokens_duplicated_0"),
        (USAGE.replace("team", "cost_usd"), "has a column cost_usd"),
        (USAGE.replace(",500,", ",5.5,"), "row 2, output_tokens: '5.5'"),
        (USAGE.replace(",500,", ",-5,"), "row 2, output_tokens: '-5'"),
        (USAGE.replace("2026-11-15,ops,openai", "15.11.2026,ops,openai"), "row 3, date: '15.11.2026'"),
        (USAGE.replace("gpt-nonexistent-9", ""), "row 3, model: empty"),
        (USAGE + "2026-11-15,ops,openai,gpt-5.5,standard,1,1,1,1,1\n", "more fields"),
    ],
)
def test_wrong_columns_and_cells_are_refused(
    content: str, found: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with tokens that would be left out, counted twice or misread is refused, with exit code 2."""
    (tmp_path / "usage.csv").write_text(content)
    assert run(["--home", str(home), "price", "--usage", str(tmp_path / "usage.csv")]) == 2
    message = capsys.readouterr().err
    assert found in message
    assert "expected:" in message
    assert "next:" in message


def test_a_missing_file_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that cannot be read is a wrong call."""
    assert run(["--home", str(home), "price", "--usage", str(tmp_path / "absent.csv")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.shared
def test_prices_agree_with_two_public_lists(price: Run, shared: Path) -> None:
    """Where two independent public lists agree, the book does too, and what nobody sells is unpriced."""
    cases = (shared / "token_prices" / "cases.csv").read_text()
    for row in price(cases):
        expected = row["expected_cost_usd"]
        assert row["price_status"] == row["expected_status"], row
        assert (row["cost_usd"] and Decimal(row["cost_usd"])) == (expected and Decimal(expected)), row
