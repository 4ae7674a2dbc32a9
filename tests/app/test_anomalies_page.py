"""The page on anomalies: what is open, one of them day by day, its charges, and what people said; in a browser too."""

import csv
import shutil
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from finops import schema as s
from finops.config import load_config
from finops.pipeline import anomalies as pipeline
from finops.pipeline.daily import spend_daily
from finops.store import Lake
from reports.screens.anomalies import CHOSEN, EVERY, NAME, NOTE, OPEN, QUESTION, SHOWN
from reports.views import anomalies as views
from reports.views.charges import charges as charges_behind
from reports.views.spend import summed
from reports.views.words import compact
from tests.app.conftest import charges, fill
from tests.app.serving import served
from tests.app.test_browser import CHROMIUM, browser, ready, settled
from tests.app.test_pages import opened, table, words

__all__ = ["browser"]
ROSE, FELL = date(2026, 10, 8), date(2026, 8, 20)
MEASURES = [s.BILLED_COST, s.EFFECTIVE_COST, s.CONTRACTED_COST, s.LIST_COST, s.ACCELERATOR_HOURS]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company whose ranking costs twice as much from 8 October, and whose vision ends on 20 August."""
    home = fill(tmp_path_factory.mktemp("odd") / "home")
    lake = Lake.of(load_config(home))
    day = pl.col(s.CHARGE_PERIOD_START).dt.date()
    twice = pl.when((pl.col(s.USE_CASE) == "ranking") & (day >= ROSE)).then(2).otherwise(1)
    gone = (pl.col(s.USE_CASE) == "vision").fill_null(value=False) & (day >= FELL)
    grown = twice * (1000 + (day - FELL).dt.total_days()) / 1000  # so that no week costs what another did
    rows = charges().filter(~gone).with_columns((pl.col(name) * grown).cast(s.MONEY) for name in MEASURES)
    with lake.transaction("odd") as tx:
        tx.replace("charges", rows)
        tx.replace("spend_daily", spend_daily(rows.lazy()))
    pipeline.refresh(load_config(home), lake, say=lambda _: None)
    return home


def records(home: Path) -> list[dict[str, Any]]:
    """All anomalies of a home, the most money first."""
    return pipeline.list_anomalies(Lake.of(load_config(home)), every=True).to_dicts()


def test_the_page_says_what_is_open_and_what_it_costs(odd: Path) -> None:
    """The headline and the metrics sum what the table shows, and name what goes on."""
    rose, fell = records(odd)
    app = opened(odd, "anomalies")
    assert not app.exception
    above, below = compact(rose["excess"]), compact(-fell["excess"])
    assert app.subheader[0].value == (
        f"October 2026: 2 anomalies are open; since they began they cost {above} USD more than usual and {below} USD "
        f"less; the largest, {above}, is use case ranking, more accelerators, since 8 October 2026."
    )
    assert [m.value for m in app.metric] == ["2", above, compact(rose["excess"] / 24), below, "0"]
    rows = table(app, "what", "excess")
    assert list(rows["kind"]) == ["step up, more accelerators", "spend that ended"]
    assert list(rows["state"]) == ["open, goes on", "open, over"]
    assert f"**All that are shown: {rose['excess'] + fell['excess']:,.2f} USD**" in words(app)


def test_filters_narrow_the_anomalies(odd: Path) -> None:
    """An anomaly stays while some of its charges lie within the filters, whatever it is named by."""
    app = opened(odd, "anomalies", f_team=["Search"])
    assert list(table(app, "what", "excess")["what"]) == ["Use case ranking"]
    assert "1 more of the last 90 days is open outside these filters: use case vision, −1" in words(app)
    app.button(key="anomalies_all").click().run()
    assert len(table(app, "what", "excess")) == 2
    assert "outside these filters" not in words(app)
    app = opened(odd, "anomalies", f_team=["Sales"])
    assert not app.exception
    assert app.subheader[0].value == "October 2026: nothing unusual is open."
    assert "No anomaly lies within these filters." in words(app)


def test_usual_cost_is_that_of_the_money(odd: Path) -> None:
    """The days of an anomaly sum to what came, and their usual cost to what was expected; its charges sum to both."""
    lake = Lake.of(load_config(odd))
    for row in records(odd):
        days = views.days(lake, row)
        within = days.filter(pl.col(views.EXPECTED).is_not_null())
        assert summed(within) == row["actual"]
        assert within[views.EXPECTED].sum() == pytest.approx(float(row["expected"]), abs=0.01)
        assert (within["start"][0], within["start"][-1]) == (row["first_day"], row["last_day"])
        if row["actual"]:
            assert summed(charges_behind(lake, views.charges_of(row)).totals) == row["actual"]


def test_an_anomaly_opens_to_the_charges_of_its_days(odd: Path) -> None:
    """The charges behind a chosen anomaly sum to what came; of what ended, they are those of the weeks before."""
    rose, fell = records(odd)
    app = opened(odd, "anomalies", **{CHOSEN: rose["anomaly_id"], OPEN: True})
    assert not app.exception
    assert f"24 charges: {rose['actual']:,.2f} USD" in words(app)
    gone = opened(odd, "anomalies", **{CHOSEN: fell["anomaly_id"], OPEN: True})
    assert "Nothing of it is left: these are the charges of the four weeks before it ended." in words(gone)
    assert "28 charges:" in words(gone)


def test_what_a_person_says_is_remembered(odd: Path, tmp_path: Path) -> None:
    """An expected anomaly leaves the open ones, says who said so and why, and comes back when it was not."""
    home = Path(shutil.copytree(odd, tmp_path / "home"))
    rose = records(home)[0]
    app = opened(home, "anomalies", **{SHOWN: EVERY})
    app.text_input(key=NAME).set_value("Ada")
    app.text_input(key=NOTE).set_value("planned run")
    _press(app, "Expected")
    said = Lake.of(load_config(home)).scan("feedback").collect()
    assert said.select("id", "verdict", "note", "decided_by").row(0) == (
        rose["anomaly_id"], "expected", "planned run", "Ada",
    )  # fmt: skip
    assert app.metric[0].value == "1"
    assert "Expected, said Ada on" in words(app)
    assert list(table(app, "what", "excess")["state"]) == ["expected", "open, over"]
    _press(app, "Not expected")
    assert not app.exception
    assert app.metric[0].value == "2"


def _press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()


@pytest.fixture(scope="module")
def address(odd: Path) -> Iterator[str]:
    """The app served for the odd company."""
    with served(odd) as url:
        yield url


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: install Debian's chromium")
def test_an_anomaly_is_followed_and_judged_in_a_browser(
    browser: Browser, address: str, odd: Path, tmp_path: Path
) -> None:
    """A click on a row opens its charges, whose file sums to what came; a click on Expected closes it."""
    rose = records(odd)[0]
    page = browser.new_context(viewport={"width": 1440, "height": 2400}, accept_downloads=True).new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(f"{address}/anomalies")
    ready(page, QUESTION)
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")).to_have_count(1)
    box = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 52)  # the first row's checkbox: the grid is one canvas
    expect(page.get_by_role("heading", name=f"The charges behind {rose['actual']:,.2f} USD")).to_be_visible()
    settled(page)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").nth(1).click()
    waiting.value.save_as(tmp_path / "charges.csv")
    with (tmp_path / "charges.csv").open(encoding="utf-8") as text:
        assert sum((Decimal(row["cost"]) for row in csv.DictReader(text)), Decimal(0)) == rose["actual"]
    page.get_by_role("button", name="Expected", exact=True).click()
    expect(page.get_by_role("heading", name="October 2026: 1 anomaly is open")).to_be_visible()
    settled(page)
    assert records(odd)[0]["state"] == "expected"
    page.context.close()
