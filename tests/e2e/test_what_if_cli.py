"""`finops what-if` on a small company: written, shown, kept once, compared, and wrong input refused."""

import csv
import io
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops.cli.main import run
from finops.config import load_config
from finops.schema import TABLES
from finops.store import Lake
from reports.views.words import percent
from tests.app.conftest import fill

Run = Callable[..., str]
SEARCH = """
name = "search"
note = "A second product on Search"

[[levers]]
kind = "adoption"
scope = "team=Search"
from = 2026-12-01
ratio = 0.5
months = 2

[[levers]]
kind = "price"
scope = "driver=accelerator"
from = 2027-01-01
ratio = -0.2

[[levers]]
kind = "model_switch"
scope = "all"
from = 2026-12-01
model = "gpt-4.1"
to = "gpt-4.1-mini"

[[levers]]
kind = "amount"
scope = "purpose=inference"
from = 2026-12-15
amount = 2500
months = 2
"""


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company with forecasts of all AI spend and of inference."""
    return fill(tmp_path_factory.mktemp("what_if") / "home")


@pytest.fixture
def finops(company: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; returns its stdout, or its stderr where it is to fail."""

    def call(*arguments: object, form: str = "json", code: int = 0) -> str:
        capsys.readouterr()
        ended = run(["--home", str(company), "--format", form, *map(str, arguments)])
        printed = capsys.readouterr()
        assert ended == code, printed.err
        return printed.out if code == 0 else printed.err

    return call


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """A file with levers of four kinds."""
    (tmp_path / "search.toml").write_text(SEARCH)
    return tmp_path / "search.toml"


def total(rows: list[dict[str, Any]], column: str) -> Decimal:
    """The sum of a column of money."""
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def test_parts_sum_to_the_difference_to_the_cent(finops: Run, search: Path) -> None:
    """Month by month, and the amount is what was asked for; cheaper tokens and machines take off."""
    shown = json.loads(finops("what-if", "show", search))
    for month in shown["months"]:
        parts = [part for part in shown["parts"] if part["period"] == month["period"]]
        assert total(parts, "amount") == Decimal(month["difference"])
        assert Decimal(month["what_if"]) - Decimal(month["base"]) == Decimal(month["difference"])
    signs = {lever["lever"]: Decimal(lever["amount"]) for lever in shown["levers"]}
    assert signs[4] == 5000
    assert signs[1] > 0
    assert signs[2] < 0
    assert signs[3] < 0
    assert any("gpt-4.1-mini costs 20 % of gpt-4.1" in note for note in shown["notes"])


def test_a_whole_month_of_no_change_is_the_forecast(finops: Run, search: Path) -> None:
    """November, before any lever, is what the frozen forecast says; the last month is of the days that it has."""
    months = json.loads(finops("what-if", "show", search))["months"]
    assert (months[0]["period"], months[0]["days"], months[0]["difference"]) == ("2026-11", 30, "0")
    daily = [36500 * (1 + ahead / 300) for ahead in range(1, 31)]
    assert Decimal(months[0]["base"]) == pytest.approx(Decimal(sum(daily)), abs=Decimal("0.01"))
    assert (months[-1]["period"], months[-1]["days"]) == ("2027-01", 29)


def test_a_cache_rate_moves_only_what_model_apis_cost(finops: Run, tmp_path: Path) -> None:
    """Machines in the same scope do not get cheaper, and the note says how much of the spend it is."""
    text = (
        'name = "c"\n[[levers]]\nkind = "cache_rate"\nscope = "purpose=inference"\nfrom = 2026-12-01\nto_ratio = 0.9\n'
    )
    (tmp_path / "c.toml").write_text(text)
    days = ("--from", "2026-10-04", "--to", "2026-10-31", "--where", "is_ai=true")
    every = json.loads(finops("spend", *days))["totals"]
    part = json.loads(finops("spend", *days, "--where", "purpose=inference", "--where", "driver=model_api"))["totals"]
    shown = json.loads(finops("what-if", "show", tmp_path / "c.toml"))
    share = percent(total(part, "cost") / total(every, "cost"))
    assert shown["notes"][0] == f"Lever 1 moves {share} of AI spend: its share in 4–31 October 2026."
    assert -total(part, "cost") < total(shown["months"], "difference") < 0


def test_a_lever_beyond_the_forecast_is_said(finops: Run, search: Path) -> None:
    """It changes nothing, and the note says why."""
    search.write_text(SEARCH.replace("from = 2027-01-01", "from = 2028-01-01"))
    shown = json.loads(finops("what-if", "show", search))
    assert "Lever 2 begins after 2027-01-29, where the forecast ends, so it changes nothing." in shown["notes"]
    assert [Decimal(lever["amount"]) for lever in shown["levers"] if lever["lever"] == 2] == [0]


def test_saving_keeps_author_inputs_and_versions(finops: Run, search: Path, company: Path) -> None:
    """The same inputs in another order write nothing; other ones are version 2; both can be shown and compared."""
    first = json.loads(finops("what-if", "save", search, "--by", "Ada"))
    assert (first["version"], first["author"], first["is_new"]) == (1, "Ada", True)
    lake = Lake.of(load_config(company))
    snapshot = lake.newest()
    head, *levers = SEARCH.split("[[levers]]")
    search.write_text("[[levers]]".join([head, *reversed(levers)]))
    again = json.loads(finops("what-if", "save", search, "--by", "Bob"))
    assert (again["version"], again["author"], again["is_new"], lake.newest()) == (1, "Ada", False, snapshot)
    search.write_text(SEARCH.replace("ratio = 0.5", "ratio = 0.75"))
    assert json.loads(finops("what-if", "save", search, "--by", "Bob"))["version"] == 2

    rows = json.loads(finops("what-if", "list"))["what_ifs"]
    assert [(row["version"], row["author"], row["note"]) for row in rows] == [
        (2, "Bob", "A second product on Search"), (1, "Ada", "A second product on Search"),
    ]  # fmt: skip
    shown = json.loads(finops("what-if", "show", "search@1"))
    assert shown["inputs"]["levers"][0]["ratio"] == 0.5
    assert total(shown["when_saved"]["months"], "what_if") == total(shown["months"], "what_if")

    compared = json.loads(finops("what-if", "diff", "search@1", "search"))
    differs = [lever for lever in compared["levers"] if not lever["same"]]
    assert [(x["lever"], "+50 %" in x["first"], "+75 %" in x["second"]) for x in differs] == [
        ("adoption, team Search", True, True)
    ]
    newest = json.loads(finops("what-if", "show", "search"))
    change = total(newest["months"], "what_if") - total(shown["months"], "what_if")
    assert total(compared["months"], "change") == change > 0


def test_a_written_one_can_be_saved_as_it_is(finops: Run, company: Path) -> None:
    """`new` uses the company's own series and models, and is taken back in by its name; it is not written over."""
    assert "growth.toml" in finops("what-if", "new", "growth", form="table")
    text = (company / "what-ifs" / "growth.toml").read_text()
    assert 'scope = "purpose=inference"' in text
    assert 'model = "claude-sonnet"' in text
    assert json.loads(finops("what-if", "save", "growth", "--by", "Ada"))["is_new"]
    assert "exists" in finops("what-if", "new", "growth", code=2)
    everything = re.sub(r"^# (?=\[\[levers\]\]$|\w+ = )", "", text, flags=re.MULTILINE)
    (company / "what-ifs" / "every.toml").write_text(everything)
    assert len(json.loads(finops("what-if", "show", "every"))["inputs"]["levers"]) == 6


def test_other_formats(finops: Run, search: Path) -> None:
    """A table says the headline and every note; CSV has a row a month, or a series of a grouping."""
    table = finops("what-if", "show", search, form="table")
    assert table.startswith("search: ")
    assert "What each lever makes of it" in table
    rows = list(csv.DictReader(io.StringIO(finops("what-if", "show", search, form="csv"))))
    assert [row["period"] for row in rows] == ["2026-11", "2026-12", "2027-01"]
    by = list(csv.DictReader(io.StringIO(finops("what-if", "show", search, "--by", "purpose", form="csv"))))
    assert [row["series"] for row in by] == ["purpose=inference"]
    assert "Levers of" in finops("what-if", "diff", search, search, form="table")


@pytest.mark.parametrize(
    ("wrong", "right", "found", "expected"),
    [
        ("team=Search", "team=Serch", "lever 1: no AI spend with team=Serch", "Search"),
        ("team=Search", "squad=Search", "squad=Search", "use_case"),
        ("ratio = 0.5", "ratio = -2", "levers.0.adoption.ratio", "levers"),
        ("months = 2", "months = 2\nunit = 1", "this key is not known", "levers"),
        ('kind = "price"', 'kind = "prize"', "levers.1", "levers"),
        ('model = "gpt-4.1"', 'model = "gpt-none"', "the model gpt-none", "gpt-4.1"),
        ('to = "gpt-4.1-mini"', 'to = "gpt-none"', "no token price for the model gpt-none", "price book"),
        ('name = "search"', 'name = "se arch"', "name", "levers"),
        ("[[levers]]", "[[levers", "not valid TOML", "TOML"),
    ],
)
def test_wrong_input_says_what_to_do(
    finops: Run, search: Path, wrong: str, right: str, found: str, expected: str
) -> None:
    """What was found, what was expected, exit code 2, and nothing is kept."""
    search.write_text(SEARCH.replace(wrong, right, 1))
    said = finops("what-if", "save", search, "--by", "Ada", code=2)
    assert found in said
    assert expected in said.split("expected:")[1]


def test_calls_that_cannot_be(finops: Run, search: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody who saves, an unknown title, file, series or grouping, and a home without a forecast."""
    assert "nobody who saves" in finops("what-if", "save", search, "--by", " ", code=2)
    assert "no what-if none" in finops("what-if", "show", "none", code=2)
    assert "no file none" in finops("what-if", "save", "none", "--by", "Ada", code=2)
    assert "no series team=X" in finops("what-if", "show", search, "--series", "team=X", code=2)
    assert "no grouping team" in finops("what-if", "show", search, "--by", "team", code=2)
    assert run(["--home", str(home), "what-if", "new", "first"]) == 2
    assert "no frozen forecast" in capsys.readouterr().err


def test_bands_come_from_the_sample_paths(finops: Run, search: Path, company: Path) -> None:
    """Where paths are frozen, months have P10 and P90, and both move with the month."""
    lake = Lake.of(load_config(company))
    frozen = lake.scan("forecasts").filter(series="total").collect()
    drawn = frozen.with_columns(paths=pl.concat_list((pl.col("mean") * f).cast(pl.Float32) for f in (0.9, 1.0, 1.1)))
    with lake.transaction("paths") as tx:
        tx.replace("forecast_paths", drawn.select(*TABLES["forecast_paths"].columns))
    month = json.loads(finops("what-if", "show", search))["months"][1]
    base, then = Decimal(month["base"]), Decimal(month["what_if"])
    assert Decimal(month["base_p10"]) < base < Decimal(month["base_p90"])
    assert Decimal(month["p10"]) < then < Decimal(month["p90"])
