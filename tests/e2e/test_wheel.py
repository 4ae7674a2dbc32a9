"""The built wheel runs the demo company away from the checkout, and what comes out is what was put in."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.config import load_config
from finops.store import Lake

ROOT = Path(__file__).parents[2]
PACKAGES = ("finops", "connectors", "forecasting", "optimizer", "reports", "app")

SCRIPT = """
import json, sys
from finops.cli.main import run
code = run(["--home", "home", "--quiet", "--format", "json", "demo", "--months", "4"])
files = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in {packages!r} and getattr(m, "__file__", None)]
print(json.dumps({{"code": code, "files": files}}))
"""


@dataclass(frozen=True)
class Demo:
    """A demo that ran: where the wheel was installed, its home, its exit code, its summary, the files it loaded."""

    site: Path
    home: Path
    code: int
    summary: dict[str, Any]
    loaded: list[Path]

    @property
    def truth(self) -> dict[str, Any]:
        """What the generator says that it put in."""
        return dict(json.loads((self.home / "raw" / "truth.json").read_text()))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout and installed without its dependencies into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def demo(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`finops demo` of four months, run from the wheel."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(packages=PACKAGES)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *summary, last = done.stdout.splitlines()
    ending = json.loads(last)
    assert ending["code"] in (0, 1), done.stderr
    loaded = [Path(file) for file in ending["files"]]
    return Demo(site, folder / "home", ending["code"], json.loads("\n".join(summary)), loaded)


@pytest.fixture(scope="module")
def held(demo: Demo) -> Lake:
    """The demo's lake."""
    return Lake.of(load_config(demo.home))


def test_the_wheel_is_enough(demo: Demo) -> None:
    """Every module of ours that the demo loads comes from the wheel, and the app is in it."""
    assert len(demo.loaded) > 20
    assert {file for file in demo.loaded if not file.is_relative_to(demo.site)} == set()
    assert (demo.site / "app.py").exists()


def test_the_summary_speaks_of_every_step(demo: Demo) -> None:
    """Budgets of the demo are breached, so it exits 1; its summary has each topic, and its files exist."""
    assert demo.code == 1
    assert demo.summary["needs_attention"] is True
    topics = [line["topic"] for line in demo.summary["summary"]]
    expected = ["Spend", "Tie-out", "Tokens", "Forecast", "Placement", "Anomalies", "Alerts"]
    assert list(dict.fromkeys(topics)) == expected
    assert all((demo.home.parent / path).exists() for path in demo.summary["paths"])


def test_the_lake_holds_what_was_written(demo: Demo, held: Lake) -> None:
    """Rows, billed and effective cost of each source, period and currency are the generator's, to 1e-9."""
    costs = {"billed": s.BILLED_COST, "effective": s.EFFECTIVE_COST}
    keys = [s.SOURCE_ID, s.BILLING_PERIOD, s.BILLING_CURRENCY]
    sums = held.scan("charges").group_by(keys).agg(pl.len(), *(pl.col(c).sum() for c in costs.values())).collect()
    stored = {row[:3]: row[3:] for row in sums.select(*keys, "len", *costs.values()).iter_rows()}
    clouds = [row for row in demo.truth["totals"] if row["source"] != "on_prem"]
    assert clouds
    for row in clouds:
        rows, *amounts = stored[row["source"], row["period"], row["currency"]]
        assert rows == row["rows"]
        for amount, cost in zip(amounts, costs, strict=True):
            assert abs(amount - Decimal(row[cost])) <= Decimal("1e-9")


def test_the_incidents_are_found_with_their_money(demo: Demo, held: Lake) -> None:
    """The idle reservation and the unowned account are alerts of the last closed month with the planted amount;
    the team whose inference tripled breaches its budget."""
    alerts = held.scan("alerts").collect()
    incidents = {incident["kind"]: incident for incident in demo.truth["incidents"]}
    month = sorted({row["period"] for row in demo.truth["totals"]})[-2]
    for kind, incident in (("commitment", "idle_reserved_accelerators"), ("ownership", "unowned_account")):
        (alert,) = alerts.filter(kind=kind, period=month).to_dicts()
        planted = Decimal(incidents[incident]["extra_cost_by_period"][month])
        assert abs(alert["actual"] - planted) < Decimal("0.01"), alert["message"]
    breached = alerts.filter(severity="breach", period=month)["scope"].to_list()
    assert "team=Support" in breached


def test_a_second_run_loads_nothing_twice(demo: Demo, held: Lake) -> None:
    """Running the same home again leaves the charges at the version that they have."""
    before = held.versions()["charges"]
    done = subprocess.run(
        [sys.executable, "-m", "finops.cli.main", "--home", str(demo.home), "--quiet", "ingest", "aws", "azure"],
        env={**os.environ, "PYTHONPATH": str(demo.site)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert held.versions()["charges"] == before
