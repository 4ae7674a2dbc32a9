"""The page on what changed the cost: its steps sum to the change, and each leads to its charges; in a browser too."""

from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from finops.config import load_config
from finops.store import Lake
from reports.screens.variance import AGAINST, PART_OPEN, STEP_OPEN
from reports.views.spend import spend, summed
from tests.app.test_browser import CHROMIUM, QUESTIONS, _sum_of, address, browser, page, ready, settled
from tests.app.test_pages import opened, table, words

__all__ = ["address", "browser", "page"]
BUDGET = Decimal(780_000)


def cost(company: Path, period: str, **where: object) -> Decimal:
    """AI spend of a month of the small company."""
    return summed(spend(Lake.of(load_config(company)), where={"is_ai": True, "period": period, **where}).rows)


def amounts(app: AppTest) -> dict[str, float]:
    """The steps on the page."""
    rows = table(app, "step", "amount")
    return dict(zip(rows["step"], rows["amount"], strict=True))


def test_the_steps_come_from_the_budget_to_the_cost(company: Path) -> None:
    """The page starts from the scope's budget, and its steps sum to what the cost is beside it."""
    app = opened(company, "variance")
    assert not app.exception
    change = cost(company, "2026-10") - BUDGET
    assert sum(amounts(app).values()) == pytest.approx(float(change), abs=0.01)
    said = words(app)
    assert "over its budget of 780 k" in said
    assert f"All steps: {change:,.2f} USD" in said
    assert "The budget says no quantities: the usage of September 2026" in said


def test_the_period_before_is_a_choice(company: Path) -> None:
    """Against the period before, the longer month is named, and the groups sum to the same change."""
    app = opened(company, "variance", **{AGAINST: "prior"})
    change = cost(company, "2026-10") - cost(company, "2026-09")
    assert sum(amounts(app).values()) == pytest.approx(float(change), abs=0.01)
    assert "its 31 days instead of 30" in words(app)
    assert sum(table(app, "x_Team", "change")["change"]) == pytest.approx(float(change), abs=0.01)


def test_a_choice_that_is_gone_gives_way(company: Path) -> None:
    """A scope without a budget is held against the period before, whatever was chosen elsewhere."""
    app = opened(company, "variance", **{AGAINST: "budget", "f_provider": ["AWS"]})
    assert not app.exception
    assert app.session_state[AGAINST] == "prior"
    assert "more than September 2026" in words(app)


def test_a_step_opens_to_parts_and_charges(company: Path) -> None:
    """A step's parts sum to it; a part's charges are those of the period and of the one before."""
    app = opened(company, "variance", **{AGAINST: "prior", STEP_OPEN: "volume", PART_OPEN: 0})
    assert not app.exception
    parts = table(app, "who", "what")
    assert sum(parts["amount"]) == pytest.approx(amounts(app)["Volume"], abs=0.01)
    assert parts["who"][0] == "assistant (Support)"
    charges = [frame.value for frame in app.dataframe if "source_row" in frame.value.columns]
    assert [sum(rows["cost"]) for rows in charges] == pytest.approx([parts["cost"][0], parts["prior"][0]], abs=0.01)


def test_two_currencies_make_one_bridge(two_currencies: Path) -> None:
    """What has no rate is not counted, and the page says so."""
    app = opened(two_currencies, "variance")
    assert not app.exception
    assert "Not counted, because there is no rate of exchange for it" in words(app)


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: install Debian's chromium")
def test_a_step_leads_to_charges_in_a_browser(page: Page, company: Path, tmp_path: Path) -> None:
    """A click on a step shows its parts, a click on a part its charges, whose file sums to the number."""
    page.get_by_role("link", name="Variance").click()
    ready(page, QUESTIONS["Variance"])
    page.get_by_text("The period before", exact=True).click()
    settled(page)
    _tick_first(page, 0)
    expect(page.get_by_text("More or less of the same use, at its own price.")).to_be_visible()
    settled(page)
    _tick_first(page, 1)
    expect(page.get_by_role("tab", name="September 2026")).to_be_visible()
    settled(page)
    assistant = cost(company, "2026-10", use_case="assistant", service="Amazon EC2")
    expect(page.get_by_text(f"31 charges: {assistant:,.2f} USD")).to_be_visible()
    assert _sum_of(page, "Download CSV", 2, tmp_path) == assistant


def _tick_first(page: Page, which: int) -> None:
    """Tick the first row of a table: the grid is one canvas."""
    frame = page.locator("[data-testid=stDataFrame]").nth(which)
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 52)
