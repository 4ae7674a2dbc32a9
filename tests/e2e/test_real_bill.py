"""One real bill through the whole chain: each step's total is the one before."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.cli.main import run
from finops.config import load_config
from finops.pipeline.histories import daily_series
from finops.store import Lake

pytestmark = pytest.mark.shared

Finops = Callable[..., Any]


@pytest.fixture
def finops(home: Path, capsys: pytest.CaptureFixture[str]) -> Finops:
    """Run one command in the home and return its JSON."""

    def call(*arguments: str | Path, home: Path = home) -> Any:
        code = run(["--home", str(home), "--quiet", "--format", "json", *map(str, arguments)])
        printed = capsys.readouterr()
        assert code in (0, 1), printed.err
        return json.loads(printed.out)

    return call


def total(document: Any) -> Decimal:
    """The one total of `finops spend`."""
    (row,) = document["totals"]
    return Decimal(row["cost"])


def test_each_total_is_the_one_before(finops: Finops, home: Path, shared: Path, tmp_path: Path) -> None:
    """File = ingest = spend = reconcile = export and back, in billed cost; spend = forecast's history = scenario =
    a month of the plan "as it is today" = export, in effective cost."""
    bill = shared / "focus/samples/focus_1_0_aws_inc.csv"
    raw = pl.read_csv(bill, infer_schema=False, null_values="NULL").select(
        pl.col("BilledCost", "EffectiveCost").cast(s.MONEY).sum()
    )
    billed, effective = raw.row(0)

    (batch,) = finops("ingest", "--connector", "focus", "--file", bill, "--source-id", "aws")["batches"]
    assert Decimal(batch["billed_cost"][0]["stored"]) == billed
    assert Decimal(batch["effective_cost"][0]["stored"]) == effective
    assert total(finops("spend", "--cost", "billed")) == billed
    assert total(finops("spend", "--cost", "effective", "--by", "service,region")) == effective

    invoices = tmp_path / "invoices.csv"
    invoices.write_text("invoice_id,source_id,billing_period,issuer,amount,currency\nI1,aws,2024-09,AWS,17.75,USD\n")
    (period,) = finops("reconcile", "--invoices", invoices)["rows"]
    assert Decimal(period["stored"]) == billed
    assert Decimal(period["residual"]) == Decimal("17.75") - billed
    assert period["status"] == "tied_out"

    forecast = finops("forecast", "--horizon", "7")
    assert {row["model"] for row in forecast["rows"]} == {"prophet_robust_level (short history)"}
    assert forecast["rows"][0]["date"] == "2024-10-01"
    history = daily_series(Lake.of(load_config(home)))
    assert history.rows["value"].sum() == effective

    scenario = finops("scenario", "new", "september")
    assert Decimal(scenario["spend_total"]) == effective
    assert Decimal(scenario["placed"]) + Decimal(scenario["not_demand"]) == effective
    (plan,) = finops("optimize", scenario["path"])["plans"]
    as_it_is = next(policy for policy in plan["policies"] if policy["policy"] == "as_is")
    assert Decimal(as_it_is["cash"]) == effective * len(plan["months"])

    out = tmp_path / "out"
    files = {
        Path(file["path"]).name: Decimal(file["total"]) for file in finops("export", out, "--focus", "1.4")["files"]
    }
    assert files == {"spend_by_month.csv": effective, "actual_forecast_budget.csv": effective, "focus_1_4.csv": billed}
    (again,) = finops("ingest", "--connector", "focus", "--file", out / "focus_1_4.csv", home=tmp_path / "again")[
        "batches"
    ]
    assert Decimal(again["billed_cost"][0]["stored"]) == billed
    assert Decimal(again["effective_cost"][0]["stored"]) == effective
