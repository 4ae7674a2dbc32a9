"""The page on forecasts and budgets: where periods land, their odds, how far to rely on that; in a browser too."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, expect

from finops import schema as s
from finops.config import load_config
from finops.pipeline.budgets import budget_status
from finops.pipeline.daily import spend_daily
from finops.pipeline.landing import month_landing
from finops.store import Lake
from reports.screens.outlook import ADDED_UP, BY, PERIOD, SERIES, SHAPE
from reports.screens.outlook_record import BY as ACCURACY_BY
from reports.views import landing
from reports.views.outlook import outlook
from reports.views.spend import spend, summed
from tests.app.conftest import _frame, charges, fill
from tests.app.serving import served
from tests.app.test_browser import CHROMIUM, browser, ready, settled
from tests.app.test_pages import opened, table, words

__all__ = ["browser"]
QUESTION: Final = "Where will the month land?"
OLD, NEW = date(2026, 9, 30), date(2026, 10, 20)
LEVELS: Final = {"total": 36_000.0, "purpose=inference": 22_000.0, "purpose=training": 12_100.0}
QUANTILES: Final = {"p025": 0.8, "p05": 0.84, "p10": 0.88, "p50": 1.0, "p90": 1.12, "p95": 1.16, "p975": 1.2}
REASON: Final = "past forecasts missed a day's cost by 71%"


def frozen(cutoff: date, number: str) -> list[dict[str, object]]:
    """Rows of a forecast made the day after its cutoff, of which the newest has two days that are billed in part."""
    return [
        {"forecast_id": number, "made_at": datetime(cutoff.year, cutoff.month, cutoff.day, 9, tzinfo=UTC),
         "cutoff": cutoff, "grouping": name.partition("=")[0], "series": name, "measure": "effective",
         "currency": "USD", "date": cutoff + timedelta(days=ahead), "mean": level,
         "model": "billed_in_part" if cutoff == NEW and ahead <= 2 else "prophet_robust_level",
         **{q: level * f for q, f in QUANTILES.items()}, "cutoff_month": f"{cutoff:%Y-%m}"}
        for name, level in LEVELS.items()
        for ahead in range(1, 93)
    ]  # fmt: skip


def totals(home: Path) -> list[dict[str, object]]:
    """The newest forecast's totals: October, November and the quarter."""
    lake, rows = Lake.of(load_config(home)), []
    for name, level in LEVELS.items():
        where = {"is_ai": True, **({"purpose": name.partition("=")[2]} if "=" in name else {})}
        spent = summed(spend(lake, where=where, start=date(2026, 10, 1), end=NEW).rows)
        for period, days, actual in (("2026-10", 11, spent), ("2026-11", 30, Decimal(0)), ("2026-Q4", 72, spent)):
            band = {q: float(actual) + level * days * (1 + (f - 1) / 2) for q, f in QUANTILES.items()}
            rows.append(
                {**frozen(NEW, "f2")[0], "grouping": name.partition("=")[0], "series": name, "period": period,
                 "actual": actual, "mean": float(actual) + level * days, **band}
            )  # fmt: skip
    return rows


def paths() -> list[dict[str, object]]:
    """Two hundred sample paths of each series."""
    drawn = np.random.default_rng(8).normal(1.0, 0.1, (92, 200))
    return [
        {"forecast_id": "f2", "cutoff": NEW, "series": name, "measure": "effective", "currency": "USD",
         "date": NEW + timedelta(days=n + 1), "paths": (level * drawn[n]).tolist()}
        for name, level in LEVELS.items()
        for n in range(92)
    ]  # fmt: skip


def judged() -> list[dict[str, object]]:
    """Figures of the backtest of three models, pooled and of each series."""
    made = {"forecast_id": "f2", "made_at": frozen(NEW, "f2")[0]["made_at"], "measure": "effective", "horizon": 90}
    return [
        {**made, "grouping": "(all)" if "(" in name else name.partition("=")[0], "series": name, "model": model,
         "chosen": model == "prophet_robust_level", "days_ahead": ahead, "origins": 6, "wape": missed,
         "coverage80": 0.78, "coverage95": 0.97}
        for name in ("(all) USD", *LEVELS)
        for model, missed in (("prophet_robust_level", 0.12), ("run_rate_30", 0.16), ("seasonal_naive", 0.15))
        for ahead in ("all", "1-7", "8-30", "31-90")
    ]  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company as it was on 21 October: a forecast of that day, and one of the month before that has come."""
    home = fill(tmp_path_factory.mktemp("running") / "home")
    lake = Lake.of(load_config(home))
    day = pl.col(s.CHARGE_PERIOD_END).dt.date()
    rows = charges().filter(day <= NEW + timedelta(days=1))
    budgets: list[dict[str, object]] = [
        {"budget_id": "AI", "scope": "is_ai=true", "period": period, "amount": Decimal(1_105_000), "currency": "USD",
         "cost": "effective", "source": "budgets.csv"}
        for period in ("2026-10", "2026-11", "2026-12")
    ]  # fmt: skip
    graded: list[dict[str, object]] = [
        {"forecast_id": "f2", "series": name, "grouping": name.partition("=")[0], "measure": "effective",
         "grade": "do not rely on it" if "training" in name else "good",
         "sentence": f"do not rely on it: {REASON}" if "training" in name else "good"}
        for name in LEVELS
    ]  # fmt: skip
    with lake.transaction("running") as tx:
        tx.replace("charges", rows)
        tx.replace("spend_daily", spend_daily(rows.lazy()))
        tx.replace("budgets", _frame("budgets", *budgets))
    with lake.transaction("forecasts") as tx:
        tx.replace("forecasts", _frame("forecasts", *frozen(OLD, "f1"), *frozen(NEW, "f2")))
        tx.replace("forecast_totals", _frame("forecast_totals", *totals(home)))
        tx.replace("forecast_paths", _frame("forecast_paths", *paths()))
        tx.replace("backtests", _frame("backtests", *judged()))
        tx.replace("trust", _frame("trust", *graded))
    return home


def row_of(home: Path, series: str, period: str) -> dict[str, Any]:
    """Where a series' period lands."""
    lake, config = Lake.of(load_config(home)), load_config(home)
    rows = landing.landings(lake, month_landing(config, lake))
    return rows.row(by_predicate=(pl.col("series") == series) & (pl.col("period") == period), named=True)


def test_the_page_says_where_the_month_lands(running: Path) -> None:
    """The headline and the metrics say landing, range, budget, its chance and the day on which it runs out."""
    row = row_of(running, "total", "2026-10")
    app = opened(running, "forecast")
    assert not app.exception
    lake, config = Lake.of(load_config(running)), load_config(running)
    status = budget_status(config, lake).row(by_predicate=pl.col("period") == "2026-10", named=True)
    assert row["landing"] == row["actual"] + Decimal("396000")
    said = app.subheader[0].value
    assert said.startswith("October 2026 lands at about 1.13 M USD (80 %: 1.10 M to 1.15 M), of which 731 k is spent")
    assert f"its budget of 1.10 M is passed with a probability of {landing.chance(status['over_probability'])}" in said
    assert f"on about {status['run_out']:%-d %B}." in said
    values = {m.label: m.value for m in app.metric}
    assert values["Lands at, USD"] == "1.13 M"
    assert values["Budget, USD"] == "1.10 M"
    assert values["Runs out"] == f"{status['run_out']:%-d %b}"
    assert "Dotted: 2 days that are billed in part" in words(app)
    assert "Good: nothing that is measured speaks against this forecast." in words(app)


def test_a_quarter_has_the_odds_of_its_months(running: Path) -> None:
    """A quarter's budget is that of its months, and its odds come from the same sampled courses."""
    app = opened(running, "forecast", **{PERIOD: "2026-Q4"})
    assert not app.exception
    lake = Lake.of(load_config(running))
    found, row = outlook(lake, "total"), row_of(running, "total", "2026-Q4")
    assert found is not None
    budget = landing.budget_of(budget_status(load_config(running), lake), "total", "USD", "effective", "2026-Q4")
    assert budget is not None
    assert budget.amount == Decimal(3_315_000)
    asked = landing.with_odds(lake, budget, found, "2026-Q4", landing=row["landing"])
    assert asked.over is not None
    assert asked.run_out is not None
    assert 0.5 < asked.over < 0.9
    assert asked.early is not None
    assert asked.early <= asked.run_out <= date(2026, 12, 31)
    assert asked.late is None
    said = app.subheader[0].value
    assert said.startswith("Q4 2026 lands at about 3.32 M USD")
    assert f"its budget of 3.31 M is passed with a probability of {landing.chance(asked.over)}" in said
    # what is saved on each day that is left brings half of the courses below the budget
    assert asked.save is not None
    assert float(asked.save) == pytest.approx((float(row["landing"]) - 3_315_000) / 72, rel=0.1)


def test_days_added_up_end_where_the_month_lands(running: Path) -> None:
    """The fan of the month begins at what is spent and ends at its landing; the page draws it when asked."""
    lake = Lake.of(load_config(running))
    found, row = outlook(lake, "total"), row_of(running, "total", "2026-10")
    assert found is not None
    days = landing.added_up(lake, found, "2026-10")
    assert days is not None
    assert (days["day"][0], days["day"][-1], days.height) == (date(2026, 10, 1), date(2026, 10, 31), 31)
    at = days.row(by_predicate=pl.col("day") == NEW, named=True)
    assert at["spent"] == at["p50"] == pytest.approx(float(row["actual"]), abs=0.01)
    assert days["p50"][-1] == pytest.approx(float(row["landing"]), rel=0.01)
    assert landing.added_up(lake, found, "2026-11") is None
    app = opened(running, "forecast", **{SHAPE: ADDED_UP})
    assert not app.exception
    assert "Dotted:" not in words(app)


def test_a_series_that_is_not_to_be_trusted_says_so(running: Path) -> None:
    """Its reasons stand beside its chart, and its grade in the table of parts; a row of the table leads to it."""
    app = opened(running, "forecast", **{SERIES: "purpose=training"})
    assert not app.exception
    assert [e.value for e in app.error] == [f"**Do not rely on it.** {REASON.capitalize()}."]
    assert app.subheader[0].value.startswith("purpose: training: October 2026 lands at about")
    parts = table(app, "part", "grade")
    assert dict(zip(parts["part"], parts["grade"], strict=True)) == {
        "purpose: inference": "good", "purpose: training": "do not rely on it",
    }  # fmt: skip
    both = sum(row_of(running, f"purpose={name}", "2026-10")["landing"] for name in ("inference", "training"))
    assert f"**All parts: {both:,.2f} USD**" in words(app)


def test_accuracy_stands_beside_simple_rules(running: Path) -> None:
    """The backtest is shown by days ahead, and by series of a grouping, beside run-rate and last week."""
    app = opened(running, "forecast")
    every = table(app, "ahead", "coverage80")
    assert list(every["ahead"]) == ["every day", "1–7 days ahead", "8–30 days ahead", "31–90 days ahead"]
    assert every[["wape", "wape_run_rate_30", "wape_seasonal_naive"]].values[0].tolist() == [0.12, 0.16, 0.15]
    assert "by **12 %**, 20 % less than the better of two simple rules" in words(app)
    grouped = opened(running, "forecast", **{ACCURACY_BY: "purpose"})
    assert set(table(grouped, "part", "coverage80")["part"]) == {"purpose: inference", "purpose: training"}


def test_what_was_said_is_held_against_what_came(running: Path) -> None:
    """The forecast of the month before is judged on the days that came since."""
    app = opened(running, "forecast")
    rows = table(app, "ahead", "forecasts")
    assert rows.iloc[0][["forecasts", "days"]].tolist() == [1, 20]
    assert "No day of a frozen forecast has come yet" not in words(app)


def test_a_forecast_without_totals_still_lands(company: Path) -> None:
    """A forecast that froze no totals shows its months, without range, budget or odds."""
    app = opened(company, "forecast", **{BY: "total"})
    assert not app.exception
    assert app.subheader[0].value.startswith("November 2026 lands at about 1.15 M USD.")
    assert [m.label for m in app.metric] == ["Lands at, USD", "Spent, USD", "Missed a day by"]


@pytest.fixture(scope="module")
def address(running: Path) -> Iterator[str]:
    """The app served for the company whose month is running."""
    with served(running) as url:
        yield url


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: install Debian's chromium")
def test_a_part_is_followed_in_a_browser(browser: Browser, address: str) -> None:
    """A click on a part of the table shows its forecast with its warning; the month can be added up."""
    page = browser.new_context(viewport={"width": 1440, "height": 2400}).new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(f"{address}/forecast")
    ready(page, QUESTION)
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")).to_have_count(2)
    box = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 87)  # the second row's checkbox: the grid is one canvas
    expect(page.get_by_role("heading", name="purpose: training: October 2026 lands at about")).to_be_visible()
    expect(page.get_by_text("Do not rely on it.")).to_be_visible()
    settled(page)
    page.get_by_text(ADDED_UP, exact=True).click()
    settled(page)
    expect(page.locator("[data-testid=stException]")).to_have_count(0)
    page.context.close()
