"""Where periods land in the lake: frozen paths and totals, the band of months, and the odds of budgets from them."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finops import schema as s
from finops.config import Config
from finops.pipeline import budgets
from finops.pipeline.forecasts import refresh
from finops.pipeline.landing import frozen_paths, frozen_totals, month_landing
from finops.scope import parse_period
from finops.store import Lake
from tests.unit.test_forecasting_lake import FIRST, charge, company, day, fill, short_run

LAST = day(73)
"""The thirteenth of October."""


@pytest.fixture
def frozen(config: Config, lake: Lake) -> Config:
    """A lake with 74 days of a company, its forecast of 85 days, and budgets of October and the quarter."""
    random = np.random.default_rng(1)
    noisy = [charge(k, f"{50 * random.lognormal(0, 0.2):.2f}", purpose="training", team="Lab") for k in range(74)]
    fill(lake, [*company(74), *noisy])
    rows = [
        {"budget_id": f"{scope} {period}", "scope": scope, "period": period, "amount": Decimal(amount),
         "currency": "USD", "cost": "effective", "source": "test"}
        for scope, period, amount in (
            ("is_ai=true", "2026-10", 5600), ("is_ai=true", "2026-Q4", 15_000), ("all", "2026-10", 40_000),
            ("team=Lab", "2026-10", 1500), ("is_ai=true", "2026-09", 5600), ("is_ai=true", "2026-11", 5500),
        )
    ]  # fmt: skip
    with lake.transaction("test") as tx:
        tx.replace("budgets", pl.DataFrame(rows, schema=s.TABLES["budgets"].columns))
    run = short_run(config)
    longer = run.forecast.model_copy(update={"horizon_days": 85})
    refresh(run.model_copy(update={"forecast": longer}), lake, say=lambda _: None)
    return config


def status(config: Config, lake: Lake) -> dict[tuple[str, str], dict[str, object]]:
    found = budgets.budget_status(config, lake, today=LAST + timedelta(days=1))
    return {(row["scope"], row["period"]): row for row in found.to_dicts()}


def test_a_run_freezes_totals_of_periods_and_the_paths_they_are_made_of(frozen: Config, lake: Lake) -> None:
    """Totals are spend plus paths; paths have the mean of the frozen rows, and only the newest run's stay."""
    sums, paths = lake.scan("forecast_totals").collect(), lake.scan("forecast_paths").collect()
    total = sums.filter(series="total")
    # 85 days from 14 October end on 6 January
    assert total["period"].sort().to_list() == ["2026", "2026-10", "2026-11", "2026-12", "2026-Q4"]
    assert set(total["cutoff"]) == {LAST}
    october = total.filter(period="2026-10").row(0, named=True)
    spent = (
        sum(Decimal(100) + Decimal(20 if day(k).weekday() > 4 else 40) for k in range(61, 74))
        + lake.scan("spend_daily")
        .filter(pl.col(s.TEAM) == "Lab", pl.col(s.CHARGE_DATE) >= date(2026, 10, 1))
        .select(pl.col(s.EFFECTIVE_COST).sum())
        .collect()
        .item()
    )
    assert october["actual"] == spent
    drawn = np.array(paths.filter(pl.col("series") == "total", pl.col("date") < date(2026, 11, 1))["paths"].to_list())
    assert drawn.shape == (18, 400)
    courses = float(spent) + drawn.sum(axis=0)
    assert october["mean"] == pytest.approx(courses.mean(), rel=1e-5)
    assert october["p10"] == pytest.approx(np.quantile(courses, 0.1), rel=1e-5)
    rows = lake.scan("forecasts").filter(pl.col("series") == "total").sort("date").collect()
    means = paths.filter(series="total").sort("date")["paths"].list.mean()
    np.testing.assert_allclose(means, rows["mean"], rtol=1e-5)
    first = paths["forecast_id"].unique().to_list()
    refresh(short_run(frozen), lake, say=lambda _: None)
    assert lake.scan("forecast_paths").collect()["forecast_id"].unique().to_list() != first
    assert lake.scan("forecast_totals").collect()["forecast_id"].n_unique() == 2


def test_the_band_of_a_month_moves_with_what_is_restated(frozen: Config, lake: Lake) -> None:
    """p10 and p90 lie around the landing; a day that is billed again at 500 more moves all three by 500."""
    before = month_landing(frozen, lake).filter(series="total", period="2026-10").row(0, named=True)
    assert before["p10"] < before["landing"] < before["p90"]
    held = lake.scan("spend_daily").collect()
    more = pl.DataFrame([charge(70, "500", purpose="inference", count=0)], schema=held.schema)
    with lake.transaction("test") as tx:
        tx.append("spend_daily", more)
    after = month_landing(frozen, lake).filter(series="total", period="2026-10").row(0, named=True)
    assert [after[name] - before[name] for name in ("actual", "landing", "p10", "p90")] == [Decimal(500)] * 4


def test_an_open_budget_has_odds_from_its_paths_or_its_past(frozen: Config, lake: Lake) -> None:
    """The total takes the forecast's paths, a team without one its past, all spend both; a period that is over none."""
    found = status(frozen, lake)
    october = found["is_ai=true", "2026-10"]
    assert october["odds_basis"] == "forecast_paths"
    paths = (
        lake.scan("forecast_paths").filter(pl.col("series") == "total", pl.col("date") < date(2026, 11, 1)).collect()
    )
    actual = october["actual"]
    assert isinstance(actual, Decimal)
    courses = float(actual) + np.array(paths["paths"].to_list()).sum(axis=0)
    assert october["over_probability"] == pytest.approx((courses > 5600).mean())
    assert float(str(october["landing_p50"])) == pytest.approx(np.median(courses), abs=0.01)
    assert found["team=Lab", "2026-10"]["odds_basis"] == "past_blocks"
    assert found["all", "2026-10"]["odds_basis"] == "forecast_paths+past_blocks"
    assert found["is_ai=true", "2026-09"]["over_probability"] is None
    for row in found.values():
        if row["over_probability"] is None:
            continue
        assert row["landing_p10"] <= row["landing_p50"] <= row["landing_p90"]  # type: ignore[operator]
        assert (row["run_out"] is not None) == (row["over_probability"] > 0.5)  # type: ignore[operator]


def test_a_day_that_is_billed_in_part_lands_as_the_forecast_completes_it(frozen: Config, lake: Lake) -> None:
    """Its visible cost is not counted beside what it comes to."""
    before = status(frozen, lake)["is_ai=true", "2026-10"]
    visible = (
        lake.scan("spend_daily")
        .filter(s.IS_AI, pl.col(s.CHARGE_DATE) == LAST)
        .select(pl.col(s.EFFECTIVE_COST).sum())
        .collect()
        .item()
    )
    rows = lake.scan("forecasts").filter(pl.col("series") == "total").sort("date").collect()
    late = rows.head(1).with_columns(date=pl.lit(LAST), model=pl.lit("billed_in_part"), mean=pl.lit(400.0))
    with lake.transaction("test") as tx:
        tx.append("forecasts", late)
    after = status(frozen, lake)["is_ai=true", "2026-10"]
    moved = Decimal(str(after["landing"])) - Decimal(str(before["landing"]))
    assert abs(moved - (400 - visible)) <= Decimal("0.01")


def test_a_month_to_come_is_part_of_the_quarter_that_it_lies_in(frozen: Config, lake: Lake) -> None:
    """November is planned, with odds of its own; the quarter's landing holds it."""
    found = status(frozen, lake)
    november = found["is_ai=true", "2026-11"]
    assert november["status"] == "planned"
    assert november["over_probability"] is not None
    assert found["is_ai=true", "2026-Q4"]["landing_p10"] > november["landing_p90"]  # type: ignore[operator]


@pytest.mark.parametrize("amount", [Decimal(1), Decimal(1400)])
def test_a_budget_that_is_spent_ran_out_on_the_day_that_passed_it(frozen: Config, lake: Lake, amount: Decimal) -> None:
    """The day is one of the past, certain in every course."""
    held = lake.scan("budgets").collect()
    with lake.transaction("test") as tx:
        tx.replace("budgets", held.with_columns(amount=pl.lit(amount, s.MONEY)))
    row = status(frozen, lake)["is_ai=true", "2026-10"]
    assert row["over_probability"] == 1
    assert row["run_out"] == row["run_out_early"] == row["run_out_late"]
    assert row["run_out"] <= LAST  # type: ignore[operator]
    if amount == 1:
        assert row["run_out"] == parse_period("2026-10").start


def test_a_horizon_that_ends_no_period_or_no_series_freezes_no_totals() -> None:
    """Five days within a month add nothing to the table, nor does a run in which every series was refused."""
    about = pl.DataFrame(
        [("total", "total", "USD", FIRST)], schema=["series", "grouping", "currency", "cutoff"], orient="row"
    )
    history = pl.DataFrame({"series": ["total"], "date": [FIRST], "value": [Decimal(1)]})
    stamped = {"forecast_id": "f", "made_at": FIRST, "measure": "effective"}
    assert frozen_totals({"total": np.ones((400, 5))}, about, history, stamped).is_empty()
    assert frozen_totals({}, about, history, stamped).is_empty()
    assert frozen_paths({}, about, stamped).is_empty()


def test_paths_of_a_portfolio_stay_small(tmp_path: Path) -> None:
    """32 series x 90 days x 400 paths are under 10 MB."""
    random = np.random.default_rng(0)
    names = [f"team=t{k}" for k in range(32)]
    about = pl.DataFrame(
        [(name, "team", "USD", FIRST) for name in names],
        schema=["series", "grouping", "currency", "cutoff"],
        orient="row",
    )
    drawn = {name: random.lognormal(5, 0.3, (400, 90)) for name in names}
    frame = frozen_paths(drawn, about, {"forecast_id": "f", "measure": "effective"})
    frame.write_parquet(tmp_path / "paths.parquet", compression="snappy")
    assert frame.height == 32 * 90
    assert (tmp_path / "paths.parquet").stat().st_size < 10e6
