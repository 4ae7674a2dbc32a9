"""The doctor: each thing that a run needs is looked at, and what is wrong says what to do."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from finops import token_prices
from finops.config import Config, load_config
from finops.errors import LakeError
from finops.pipeline.setup import Diagnosis, doctor
from finops.schema import TABLES
from finops.store import Lake

TODAY = date(2026, 11, 21)


def diagnoses(config: Config) -> dict[str, Diagnosis]:
    """The doctor's findings by what was looked at; of several about prices the first."""
    found = doctor(config, Lake.of(config), today=TODAY)
    return {d.check: d for d in reversed(found)}


def test_an_empty_home_is_told_how_to_begin(config: Config) -> None:
    """Without config, sources or lake, each says which command or setting comes next; the engines are there."""
    found = diagnoses(config)
    assert {check: d.status for check, d in found.items() if check != "prices"} == {
        "config": "warning", "sources": "warning", "lake": "warning", "forecast engine": "ok", "solver": "ok",
        "token prices": "ok",
    }  # fmt: skip
    assert found["config"].next_step == "finops init"
    assert found["lake"].next_step == "finops ingest"


def test_a_source_or_table_that_is_not_there_fails(home: Path) -> None:
    """A wrong path and an unknown connector are failures that name what is missing; a right one counts its files."""
    (home / "raw").mkdir(parents=True)
    (home / "raw" / "bill.csv").write_text("x")
    (home / "finops.toml").write_text(
        '[tables]\nbudgets = "budgets.csv"\n'
        '[[sources]]\nid = "right"\nconnector = "focus"\npath = "raw"\n'
        '[[sources]]\nid = "gone"\nconnector = "focus"\npath = "nowhere"\n'
        '[[sources]]\nid = "odd"\nconnector = "fax"\npath = "raw"\n'
    )
    found = diagnoses(load_config(home))
    assert found["source right"] == Diagnosis("source right", "ok", "1 file(s) at raw")
    assert found["source gone"].status == "failed"
    assert "no file or folder" in found["source gone"].detail
    assert "no connector is called 'fax'" in found["source odd"].detail
    assert found["table budgets"].status == "failed"


def test_the_age_of_shipped_prices_is_said(config: Config) -> None:
    """Every provider's newest price has an age in days, and old ones are a warning."""
    prices = diagnoses(config)["prices"]
    assert "aws 356" in prices.detail
    assert prices.status == "warning"


def test_the_age_of_token_prices_is_said(home: Path) -> None:
    """The list's day and age are told, old ones warn, and a contracted price file counts its prices or fails."""
    home.mkdir()
    header = ",".join(token_prices.BOOK)
    price = "openai,gpt-5,output,,,2026-11-01,,9,1M tokens,USD,Contract 7,2026-10-30"
    (home / "prices.csv").write_text(f"{header}\n{price}\n")
    (home / "finops.toml").write_text('[prices]\ntokens = ["prices.csv", "nowhere.csv"]')
    config = load_config(home)
    told = [d for d in doctor(config, Lake.of(config), today=TODAY) if d.check == "token prices"]
    assert [d.status for d in told] == ["ok", "ok", "failed"]
    assert "6 days old" in told[0].detail
    assert told[1].detail.startswith("1 contracted price(s)")
    later = doctor(config, Lake.of(config), today=date(2027, 11, 21))
    assert next(d for d in later if d.check == "token prices").status == "warning"


def test_a_lake_that_cannot_be_read_is_one_failure(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lake of another schema is said once, with its next step, and the rest is looked at all the same."""
    with Lake.of(config).transaction("a table") as tx:
        tx.replace("budgets", pl.DataFrame(schema=TABLES["budgets"].columns))

    def refuse(lake: Lake, table: str) -> pl.LazyFrame:
        raise LakeError(f"{table} of {lake.uri} is of another version", expected="this one", next_step="ingest again")

    monkeypatch.setattr(Lake, "scan", refuse)
    found = diagnoses(config)
    assert (found["lake"].status, found["lake"].next_step) == ("failed", "ingest again")
    assert found["solver"].status == "ok"
