"""`finops variance` on the demo company: exact, true to what was planted, and open down to the charges."""

import csv
import io
import json
import shlex
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import demo
from connectors.demo import model_apis, variance_truth
from connectors.demo.activity import daily_usage
from connectors.demo.bill import bill, missing_from_export
from connectors.demo.company import Calendar
from finops import schema as s
from finops.cli.main import run
from finops.config import load_config
from finops.store import Lake
from finops.variance import STEPS

TODAY, SEED, MONTHS = date(2026, 11, 21), 7, 6
CALENDAR = Calendar.of(months=MONTHS, today=TODAY)
CENT = Decimal("0.01")

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with six months of the demo company, and a forecast frozen before October."""
    home = tmp_path_factory.mktemp("variance") / "home"
    demo.write(home, months=MONTHS, seed=SEED, today=TODAY)
    assert run(["--home", str(home), "--quiet", "--format", "csv", "ingest"]) in (0, 1)
    day, columns = date(2026, 9, 30), s.TABLES["forecasts"].columns
    frozen = {
        "forecast_id": "f1", "made_at": datetime(2026, 10, 1, tzinfo=UTC), "cutoff": day, "grouping": "total",
        "series": "total", "measure": "effective", "currency": "USD", "model": "prophet", "mean": 20_000.0,
        "cutoff_month": "2026-09",
    }  # fmt: skip
    rows = [{**dict.fromkeys(columns), **frozen, "date": day + timedelta(days=n)} for n in range(1, 32)]
    with Lake.of(load_config(home)).transaction("forecast") as tx:
        tx.append("forecasts", pl.DataFrame(rows, schema=columns))
    return home


@pytest.fixture
def finops(company: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command and returns what it prints; the exit code must be the expected one."""

    def ran(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(["--home", str(company), *arguments]) == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return ran


@pytest.fixture
def ask(finops: Callable[..., str]) -> Ask:
    """Runs a command and returns its JSON."""
    return lambda *arguments: json.loads(finops("--format", "json", *arguments))


def steps(found: dict[str, Any]) -> dict[str, Decimal]:
    """The steps of a bridge."""
    return {row["step"]: Decimal(row["amount"]) for row in found["steps"]}


def test_every_factor_is_the_planted_one(ask: Ask) -> None:
    """Of the last three months each step is within 1 % of the change of what the company's plan says moved it."""
    whole = bill(daily_usage(CALENDAR, SEED), CALENDAR)
    shown, apis = whole.filter(~missing_from_export(CALENDAR)), model_apis.apis(CALENDAR, SEED)
    for before, after in zip(CALENDAR.closed[-4:], CALENDAR.closed[-3:], strict=False):
        found = ask("variance", "--period", f"{after:%Y-%m}", "--against", f"{before:%Y-%m}")
        truth = variance_truth.variance(shown, apis, CALENDAR, before=before, after=after, seed=SEED)
        change = float(found["change"])
        assert sum(truth.values()) == pytest.approx(change, abs=0.01)
        off = {step: float(amount) - truth[step] for step, amount in steps(found).items()}
        assert {step: miss for step, miss in off.items() if abs(miss) > 0.01 * abs(change)} == {}


def test_the_planted_incidents_stand_in_their_steps(ask: Ask) -> None:
    """A meter that costs a quarter more is price, an account nobody knows is new, fewer cache hits are cache."""
    price = ask("variance", "--period", "2026-09", "--against", "prior", "--open", "price")["rows"][0]
    assert "gpt 4.1 Inp" in price["what"]
    now, before = (
        Decimal(price[a]) / Decimal(price[b]) for a, b in (("cost", "quantity"), ("prior", "prior_quantity"))
    )
    assert now / before == pytest.approx(Decimal("1.25"), abs=Decimal("0.001"))
    new = ask("variance", "--period", "2026-09", "--against", "prior", "--open", "new")["rows"]
    assert "innovation-sandbox-7" in new[0]["who"]
    cache = ask("variance", "--period", "2026-10", "--against", "prior", "--open", "cache")["rows"]
    assert cache[0]["who"] == "support-chat (Support)"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--period", "2026-10"), ("--period", "2026-10", "--against", "prior"), ("--against", "2026-07"),
        ("--period", "2026-Q3", "--against", "2026-06"), ("--period", "2026-11"),
        ("--period", "2026-10", "--where", "team=Support"), ("--period", "2026-10", "--against", "forecast"),
        ("--period", "2026-10", "--against", "prior", "--cost", "billed"),
        ("--period", "2026-10", "--against", "prior", "--cost", "list", "--where", "currency=EUR"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_steps_sum_to_the_change(ask: Ask, arguments: tuple[str, ...]) -> None:
    """Whatever is compared, prior + steps = cost to the last decimal, by any dimension too."""
    found = ask("variance", *arguments, "--by", "provider,model,cost_center")
    assert set(steps(found)) == set(STEPS)
    assert Decimal(found["prior"]) + sum(steps(found).values()) == Decimal(found["cost"])
    for step, amount in steps(found).items():
        assert sum(Decimal(row[step]) for row in found["rows"]) == amount
    for row in found["rows"]:
        assert sum(Decimal(row[step]) for step in STEPS) == Decimal(row["cost"]) - Decimal(row["prior"])


@pytest.mark.parametrize("cost", ["effective", "billed", "contracted", "list"])
def test_both_ends_are_what_spend_says(ask: Ask, cost: str) -> None:
    """The two ends are the spend of the two periods, to the last decimal, in every cost."""
    found = ask("variance", "--period", "2026-10", "--against", "prior", "--where", "currency=USD", "--cost", cost)
    for end, days in (("prior", ("2026-09-01", "2026-09-30")), ("cost", ("2026-10-01", "2026-10-31"))):
        spent = ask("spend", "--where", "currency=USD", "--from", days[0], "--to", days[1], "--cost", cost)
        assert Decimal(found[end]) == Decimal(spent["totals"][0]["cost"])


def test_a_budget_is_the_first_choice(ask: Ask, company: Path) -> None:
    """Without --against, a scope with a budget is held against it; days so far take their share of the month."""
    rows = csv.DictReader((company / "raw/finance/budgets.csv").read_text().splitlines())
    budgets = {(row["scope"], row["period"]): Decimal(row["amount"]) for row in rows}
    found = ask("variance", "--period", "2026-10")
    assert (found["against"], Decimal(found["prior"])) == ("budget", budgets["all", "2026-10"])
    support = ask("variance", "--period", "2026-10", "--where", "team=Support")
    assert Decimal(support["prior"]) == budgets["team=Support", "2026-10"]
    assert ask("variance", "--period", "2026-10", "--where", "provider=AWS")["against"] == "prior"
    quarter = ask("variance", "--period", "2026-Q3", "--against", "budget")
    assert Decimal(quarter["prior"]) == sum(budgets["all", f"2026-0{month}"] for month in (7, 8, 9))
    so_far = ask("variance", "--period", "2026-11")
    assert so_far["period"]["end"] == "2026-11-18"
    assert Decimal(so_far["prior"]) == (budgets["all", "2026-11"] * 18 / 30).quantize(CENT)


def test_a_forecast_is_the_one_from_before_the_period(ask: Ask, finops: Callable[..., str]) -> None:
    """The frozen forecast's days are the first end; the other is AI spend in its currency. Without one: what to do."""
    found = ask("variance", "--period", "2026-10", "--against", "forecast")
    assert Decimal(found["prior"]) == 31 * 20_000
    spent = ask(
        "spend", "--where", "is_ai=true", "--where", "currency=USD", "--from", "2026-10-01", "--to", "2026-10-31"
    )
    assert Decimal(found["cost"]) == Decimal(spent["totals"][0]["cost"])
    assert "30 September 2026" in " ".join(found["notes"])
    assert "no forecast of" in finops("variance", "--period", "2026-09", "--against", "forecast", code=2)


def test_each_step_opens_to_its_charges(ask: Ask, finops: Callable[..., str]) -> None:
    """The parts of a step sum to it, and each names the options of `finops spend` that lead to its charges."""
    whole = steps(ask("variance", "--period", "2026-10", "--against", "prior", "--where", "currency=USD"))
    for step in STEPS:
        opened = ask("variance", "--period", "2026-10", "--against", "prior", "--where", "currency=USD", "--open", step)
        assert sum(Decimal(row["amount"]) for row in opened["rows"]) == whole[step]
        for row in opened["rows"][:2]:
            days = ("--from", "2026-10-01", "--to", "2026-10-31")
            text = finops("--format", "csv", "spend", *shlex.split(row["spend"]), *days)
            spent = sum(Decimal(line["cost"]) for line in csv.DictReader(io.StringIO(text)))
            assert spent or not Decimal(row["cost"]), (step, row)


def test_people_read_a_paragraph_and_a_table(finops: Callable[..., str]) -> None:
    """The table comes under a paragraph in plain words that names what moved most."""
    printed = " ".join(finops("variance", "--period", "2026-09", "--against", "prior").split())
    assert "less than August 2026." in printed
    assert "(+25 % a unit)" in printed
    assert "What states no quantity takes off 20" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--against", "budget", "--where", "provider=AWS"), "no budget of provider=AWS"),
        (("--against", "last"), 'the period "last"'),
        (("--by", "day"), "--by day"),
        (("--open", "prices"), "the step 'prices'"),
        (("--period", "2026-13"), 'the period "2026-13"'),
    ],
)
def test_a_wrong_call_says_what_is_there(finops: Callable[..., str], arguments: tuple[str, ...], said: str) -> None:
    """What is not there is refused with what is."""
    printed = finops("variance", "--period", "2026-10", *arguments, code=2)
    assert said in printed
    assert "expected:" in printed
