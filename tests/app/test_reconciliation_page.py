"""The page on trust: what ties out, what does not and why, what changed, what was refused; in a browser too."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser, expect

from finops import schema as s
from finops.config import load_config
from finops.pipeline.daily import spend_daily
from finops.store import Lake
from reports.screens.reconciliation import OPEN_MONTH, OPEN_ROW
from tests.app.conftest import _frame, charges, fill
from tests.app.serving import served
from tests.app.test_browser import CHROMIUM, browser, ready, settled
from tests.app.test_pages import opened, table, words

__all__ = ["browser"]
AUGUST, OCTOBER = "2026-08", "2026-10"
FEE, RESTATED = Decimal(7778), Decimal(25_000)


def _load(lake: Lake, rows: pl.DataFrame, batch: str) -> None:
    """Replace the AWS bill of October, as a load does."""
    with lake.transaction("ingest aws") as tx:
        loads = tx.scan("loads").collect()
        mine = (pl.col("source_id") == "aws") & (pl.col("billing_period") == OCTOBER)
        batches = pl.when(mine).then(pl.lit(batch)).otherwise("batch_id")
        tx.replace("charges", rows)
        tx.replace("spend_daily", spend_daily(rows.lazy()))
        tx.replace("loads", loads.with_columns(batch_id=batches))


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company with a support fee missing in August, October restated, and a refused row in September."""
    home = fill(tmp_path_factory.mktemp("off") / "home")
    lake = Lake.of(load_config(home))
    is_fee = (pl.col(s.DRIVER) == "support") & (pl.col(s.BILLING_PERIOD) == AUGUST)
    rows = charges().filter(~is_fee)
    _load(lake, rows, "b1")
    is_disk = (pl.col(s.SERVICE_NAME) == "Amazon S3") & (
        pl.col(s.CHARGE_PERIOD_START).dt.date().cast(str) == "2026-10-07"
    )
    dearer = pl.when(is_disk).then(pl.col(s.BILLED_COST) + RESTATED).otherwise(s.BILLED_COST).cast(s.MONEY)
    _load(lake, rows.with_columns(dearer.alias(s.BILLED_COST)), "b2")
    refused = {
        "source_id": "azure", "billing_period": "2026-09", "batch_id": "b1", "source_file": "azure-2026-09.csv",
        "source_row": 7, "reason": "EffectiveCost is \"x\", which is no number", "currency": "USD",
        "billed_cost": Decimal(5),
    }  # fmt: skip
    with lake.transaction("quarantine") as tx:
        tx.replace("quarantine", _frame("quarantine", refused))
    return home


def test_a_company_that_ties_out_says_so(company: Path) -> None:
    """The headline, the metrics and the control totals of a company whose invoices all tie out."""
    app = opened(company, "data")
    assert app.subheader[0].value == "All 21 invoices tie out."
    assert [(m.label, m.value) for m in app.metric][:4] == [
        ("Invoices tied out", "21 of 21"), ("Unexplained", "nothing"), ("Not in the lake", "nothing"),
        ("Refused rows", "0"),
    ]  # fmt: skip
    sources = table(app, "billed_read")
    assert (sources["billed_read"] == sources["billed_stored"]).all()
    assert "No month that the lake holds was loaded again with other charges." in words(app)
    assert "No row is in quarantine." in words(app)


def test_what_does_not_tie_out_is_named(off: Path) -> None:
    """The headline sums what is missing and what is unexplained; the newest month that is off is opened."""
    app = opened(off, "data")
    assert not app.exception
    assert app.subheader[0].value == (
        "18 of 21 invoices tie out; 7.78 k USD is named and not in the lake; 25.0 k USD is unexplained."
    )
    assert "**aws 2026-10: -25,000.00 USD** = invoice" in words(app)
    assert "**Unexplained, -25,000.00 USD:** nothing in the data says why; the load of" in words(app)
    assert "**All causes: -25,000.00 USD**" in words(app)
    refused = table(app, "reason")
    assert refused["rows"].to_list() == [1]


def test_a_residual_opens_into_its_causes(off: Path) -> None:
    """An invoice that is chosen shows what its residual is made of, and what to do."""
    app = opened(off, "data")
    invoices = table(app, "invoice")
    row = next(i for i, r in invoices.iterrows() if (r["source_id"], r["billing_period"]) == ("aws", AUGUST))
    assert invoices["status"][row] == "explained, not whole"
    app.selectbox(key=OPEN_ROW).select_index(int(row)).run()
    assert "**Support, 7,778.00 USD:** AWS Support, usage, is missing from the export of this month" in words(app)
    assert "*What to do:* ask the provider to refresh the export" in words(app)
    assert f"**All causes: {FEE:,.2f} USD**" in words(app)


def test_a_restated_month_opens_into_services(off: Path) -> None:
    """A month that a load changed shows both versions, then which service and account changed."""
    app = opened(off, "data")
    months = table(app, "restated")
    assert months[["source_id", "billing_period", "change", "restated"]].values.tolist() == [
        ["aws", OCTOBER, float(RESTATED), float(RESTATED)]
    ]
    app.selectbox(key=OPEN_MONTH).select_index(0).run()
    assert table(app, "service", "old")["service"].to_list() == ["Amazon S3"]
    assert f"**All changes: {RESTATED:,.2f} USD**" in words(app)


@pytest.fixture(scope="module")
def address(off: Path) -> Iterator[str]:
    """The app served for the company that is off."""
    with served(off) as url:
        yield url


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: install Debian's chromium")
def test_a_residual_is_followed_in_a_browser(browser: Browser, address: str, tmp_path: Path) -> None:
    """The grid is drawn; a click on an invoice opens its causes, whose file sums to the residual that is shown."""
    page = browser.new_context(viewport={"width": 1440, "height": 2400}, accept_downloads=True).new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(f"{address}/data")
    ready(page, "Can I trust these figures?")
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")).to_have_count(1)
    page.get_by_role("combobox", name="Open what a residual is made of").click()
    page.get_by_role("option", name=f"aws {AUGUST}: explained, not whole").click()
    settled(page)
    expect(page.get_by_text(f"All causes: {FEE:,.2f} USD")).to_be_visible()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download CSV").nth(1).click()
    waiting.value.save_as(tmp_path / "causes.csv")
    file = pl.read_csv(tmp_path / "causes.csv", schema_overrides={"amount": pl.String})
    assert sum(map(Decimal, file["amount"])) == FEE
    assert file["cause"].to_list() == ["support"]
    page.context.close()
