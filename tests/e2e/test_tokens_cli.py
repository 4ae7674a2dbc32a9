"""`finops tokens` on the demo company's model APIs: money, tokens, gaps, price changes and the tie-out, as planted."""

import csv
import io
import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors import demo
from connectors.demo.incidents import PRICE, PRICE_RATIO
from finops.cli.main import run
from finops.config import load_config
from finops.pipeline import alerting, tokens
from finops.store import Lake

TODAY = date(2026, 11, 21)
SOURCES = ("azure", "openai", "anthropic", "litellm", "gateway")
EXPLAINED = {"images": "no_token_price", "storage": "no_token_price", "code execution": "no_token_price",
             "a credit": "credits", "the costs of the last day": "late", "rounding": "rounding"}  # fmt: skip

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with four months of the demo company's model APIs, without its other clouds."""
    home = tmp_path_factory.mktemp("tokens") / "home"
    demo.write(home, months=4, seed=7, today=TODAY)
    assert run(["--home", str(home), "--quiet", "--format", "csv", "ingest", *SOURCES]) in (0, 1)
    return home


@pytest.fixture(scope="module")
def truth(company: Path) -> dict[str, Any]:
    """What the demo company planted."""
    found: dict[str, Any] = json.loads((company / "raw" / "truth.json").read_text())
    return found


@pytest.fixture
def ask(company: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs `finops tokens` and returns its JSON; the exit code must be the expected one."""

    def asked(*arguments: str, code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert run(["--home", str(company), "--format", "json", "tokens", *arguments]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return asked


def test_the_bill_ties_to_usage_and_every_cause_is_the_planted_one(ask: Ask, truth: dict[str, Any]) -> None:
    """Each closed month of both providers ties out, and its causes are those of the truth file, to the cent."""
    tied = ask("tie-out")
    closed = [row for row in tied["rows"] if row["billing_period"] != truth["open_period"]]
    assert {row["status"] for row in closed} == {"tied_out"}
    assert {row["status"] for row in tied["rows"]} == {"tied_out", "open"}
    assert all(abs(row["residual_ratio"]) <= 0.005 for row in closed)
    assert {row["source_id"] for row in tied["rows"]} == {"openai", "anthropic"}
    found = {(r["source_id"], r["billing_period"], r["cause"]): Decimal(r["amount"]) for r in tied["causes"]}
    planted: dict[tuple[str, str, str], Decimal] = {}
    for row in truth["model_apis"]["residuals"]:
        cause = next(name for words, name in EXPLAINED.items() if row["cause"].startswith(words))
        key = (row["source"], row["period"], cause)
        planted[key] = planted.get(key, Decimal(0)) + Decimal(row["amount"])
    assert found.keys() == planted.keys()
    assert max(abs(found[key] - planted[key]) for key in found) < Decimal("0.01")
    for row in tied["rows"]:
        causes = [amount for key, amount in found.items() if key[:2] == (row["source_id"], row["billing_period"])]
        assert sum(causes) == Decimal(row["residual"])


def test_only_the_planted_price_change_is_found(company: Path, truth: dict[str, Any]) -> None:
    """One Azure meter is up by a quarter from the first of its month; nothing else changed price."""
    config = load_config(company)
    (change,) = tokens.price_changes(config, Lake.of(config), today=TODAY).to_dicts()
    (planted,) = [i for i in truth["incidents"] if i["kind"] == PRICE]
    assert change["sku"] in planted["scope"].values()
    assert change["since"].isoformat() == planted["first_day"]
    assert change["ratio"] == pytest.approx(PRICE_RATIO, abs=1e-6)
    assert change["yearly_effect"] > 0


def test_unpriced_usage_is_the_planted_one(ask: Ask, truth: dict[str, Any]) -> None:
    """Models without a price are listed with their tokens; what the bill prices in another unit says so."""
    rows = ask("unpriced")["rows"]
    own = {(r["source_id"], r["model"], r["reason"]): Decimal(r["tokens"]) for r in rows if Decimal(r["tokens"])}
    planted = {(r["source"], r["model"], r["reason"]): Decimal(r["tokens"]) for r in truth["model_apis"]["unpriced"]}
    assert own == {key: count for key, count in planted.items() if count}
    assert {r["reason"] for r in rows if not Decimal(r["tokens"])} == {
        "counted in Images; its cost stands on the bill", "counted in Bytes; its cost stands on the bill",
    }  # fmt: skip


def test_the_gateways_key_is_divided_among_its_teams(ask: Ask, truth: dict[str, Any]) -> None:
    """Each virtual key costs what its calls cost, though the provider bills one key."""
    rows = ask("spend", "--by", "month,key,team")["rows"]
    found = {(r["month"], r["key"], r["team"]): Decimal(r["cost"]) for r in rows}
    for row in truth["model_apis"]["gateway_key"]:
        assert found[row["period"], row["key"], row["team"]] == pytest.approx(Decimal(row["cost"]), abs=Decimal("0.01"))


def test_spend_is_the_bills(ask: Ask, company: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it is summed by, the cost is what `finops spend` says of model APIs."""
    days = ("--from", "2026-09-01", "--to", "2026-10-31")
    (total,) = ask(*days)["totals"]
    run(["--home", str(company), "--format", "json", "spend", "--where", "driver=model_api", *days])
    (billed,) = json.loads(capsys.readouterr().out)["totals"]
    assert total["cost"] == billed["cost"]
    for by in ("team,kind", "basis", "day", "source,account,tier"):
        assert sum(Decimal(r["cost"]) for r in ask("spend", "--by", by, *days)["rows"]) == Decimal(total["cost"])


def test_figures_of_tokens_are_those_of_one_month(ask: Ask) -> None:
    """Price per million and cache share are of what is counted in tokens; what is not has none."""
    rows = {
        (r["model"], r["kind"]): r
        for r in ask("--by", "model,kind", "--from", "2026-10-01", "--to", "2026-10-31")["rows"]
    }
    embedded = rows["text-embedding-3-large", "uncached_input"]
    assert rows["whisper-1", "other"]["cost_per_million_tokens"] is None
    assert rows["gpt-5.4-mini", "cache_read"]["cache_read_ratio"] == 1
    assert Decimal(embedded["tokens"]) > 0


@pytest.mark.parametrize("command", [[], ["unpriced"], ["changes"], ["tie-out"], ["tie-out", "--period", "2026-10"]])
def test_tables_are_for_people_and_csv_is_whole(
    command: list[str], company: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table prints amounts with two decimals; CSV has a header, and a row for each."""
    assert run(["--home", str(company), "tokens", *command]) == 0
    table = capsys.readouterr().out
    assert table.strip()
    assert "E-" not in table
    assert run(["--home", str(company), "--format", "csv", "tokens", *command]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) > 1
    assert len({len(row) for row in rows}) == 1


def test_a_month_that_does_not_tie_out_ends_with_one(company: Path, truth: dict[str, Any], ask: Ask) -> None:
    """A contracted price that the bill does not have is a difference, with its ratio, first day and exit code 1."""
    toml, prices = company / "finops.toml", company / "contract.csv"
    before = toml.read_text()
    prices.write_text(
        "provider,model,meter,service_tier,context_from_tokens,valid_from,valid_to,amount,unit,currency,source,checked\n"
        "openai,text-embedding-3-large,uncached_input,standard,,,,0.1,1M tokens,USD,Contract 7,2026-10-30\n"
    )
    try:
        toml.write_text(before.replace("tokens = [", f'tokens = ["{prices}", '))
        tied = ask("tie-out", "--period", "2026-10", code=1)
        (note,) = [r["note"] for r in tied["causes"] if r["cause"] == "price_difference"]
        assert "text-embedding-3-large, uncached input 1.300 x the book" in note
        assert {r["source_id"]: r["status"] for r in tied["rows"]} == {"openai": "residual", "anthropic": "tied_out"}
        (row,) = [r for r in ask("changes")["rows"] if r["against"] == "price book"]
        assert (row["model"], row["before"], row["after"]) == ("text-embedding-3-large", "0.1", "0.13")
        assert row["since"] == truth["first_day"]
    finally:
        toml.write_text(before)


def test_a_month_alone_says_the_same_of_late_costs(ask: Ask) -> None:
    """What has not come yet is told from all days, not from those of the month that is asked for."""
    whole, month = ask("tie-out"), ask("tie-out", "--period", "2026-11")
    for name in ("rows", "causes"):
        assert month[name] == [row for row in whole[name] if row["billing_period"] == "2026-11"]


def test_a_run_says_what_tokens_cost_and_what_changed(company: Path) -> None:
    """The summary has the month's figures, the price change with its money, unpriced models and the tie-out."""
    config = load_config(company)
    lake = Lake.of(config)
    cost, change, missing, tied = tokens.summary(config, lake, today=TODAY, tied=tokens.tie_out(config, lake))
    assert cost.startswith("October 2026: ")
    assert "gpt 4.1 Inp glbl Tokens of Microsoft costs 25 % more than before from 2026-09-01" in change
    assert "aldermoor-support-ft-2" in missing
    assert tied == "7 of 7 months of model APIs tie out to their usage at the book's prices."


def test_alerts_keep_their_ids_from_run_to_run(company: Path) -> None:
    """Unpriced models and the price change are raised once, and the same run again changes nothing."""
    config = load_config(company)
    lake = Lake.of(config)
    alerting.raise_alerts(config, lake, say=lambda _: None, today=TODAY)
    first = alerting.list_alerts(lake)
    kinds = first.filter(first["rule"].is_in(["unpriced_usage", "price_change"]))
    assert sorted(set(kinds["rule"])) == ["price_change", "unpriced_usage"]
    assert alerting.raise_alerts(config, lake, say=lambda _: None, today=TODAY).new == 0
    assert alerting.list_alerts(lake).equals(first)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--by", "colour"], "--by colour"), (["tie-out", "--period", "2026-13"], "--period 2026-13")],
)
def test_a_wrong_word_is_refused(
    arguments: list[str], words: str, company: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what was found and what is expected."""
    assert run(["--home", str(company), "tokens", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_an_empty_home_says_what_to_do_next(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command answers without a lake."""
    for command in ([], ["unpriced"], ["changes"], ["tie-out"]):
        assert run(["--home", str(home), "--format", "json", "tokens", *command]) == 0
        assert json.loads(capsys.readouterr().out)["rows"] == []
