"""A scenario in a real browser: a cell of its table changed, saved and planned, approved, and sent to somebody else."""

import shutil
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.app import test_browser
from tests.app.conftest import SCENARIO
from tests.app.test_browser import address, browser, settled

__all__ = ["address", "browser"]
pytestmark = test_browser.pytestmark
SMALL = SCENARIO.replace("horizon_months = 24", "horizon_months = 6")


@pytest.fixture(scope="module")
def company(company: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company with the file of its scenario, which this test may change."""
    home = tmp_path_factory.mktemp("browser") / "home"
    shutil.copytree(company, home)
    (home / "scenarios").mkdir()
    (home / "scenarios" / "growth.toml").write_text(SMALL)
    return home


def test_from_a_cell_to_an_approved_plan(browser: object, address: str, company: Path) -> None:
    """A cell that is changed in the table reaches the file, the plan and the trail; the shared address shows it."""
    opened = browser.new_context(viewport={"width": 1440, "height": 1500}).new_page()  # type: ignore[attr-defined]
    _go(opened, f"{address}/scenarios?scenarios=growth&view=Inputs")
    grid = opened.locator("[data-testid=stDataFrame]").first
    expect(grid.locator("canvas").first).to_be_visible()
    grid.click(position={"x": 290, "y": 52})  # the first workload's demand
    opened.keyboard.press("Enter")
    cell = opened.locator("[data-testid=number-overlay] input, .gdg-input").last
    expect(cell).to_be_visible()
    cell.fill("13000")
    opened.wait_for_timeout(300)
    opened.keyboard.press("Enter")
    opened.wait_for_timeout(700)  # the grid hands a cell on a little after it was left
    opened.get_by_role("textbox", name="Your name").last.fill("Grace")
    opened.get_by_role("button", name="Save and solve").click()
    expect(opened.get_by_text("Solved: growth.")).to_be_visible(timeout=60_000)
    text = (company / "scenarios" / "growth.toml").read_text()
    assert text == SMALL.replace("demand_per_month = 12000", "demand_per_month = 13000"), tomllib.loads(text)

    opened.get_by_text("Approval and history").click()
    expect(opened.get_by_role("heading", name="growth: who decided what")).to_be_visible()
    settled(opened)
    opened.get_by_role("textbox", name="Your name").last.fill("Ada")
    opened.get_by_role("button", name="Approve").click()
    expect(opened.get_by_text("Approved by Ada")).to_be_visible()
    settled(opened)
    opened.get_by_role("button", name="Share", exact=True).click()
    shared = opened.locator("[data-testid=stCode] code").filter(has_text="scenarios=growth").inner_text()
    other = opened.context.browser.new_page()  # type: ignore[union-attr]
    _go(other, shared)
    expect(other.get_by_text("Approved by Ada")).to_be_visible()


def _go(page: Page, url: str) -> None:
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    page.goto(url)
    expect(page.get_by_role("heading", name="Where should it run?", level=1)).to_be_visible(timeout=30_000)
    settled(page)
