"""The page on what-ifs: levers change the forecast, are kept under a name, and stand beside what was kept."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest

from finops.config import load_config
from finops.pipeline import what_if_log as log
from finops.store import Lake
from reports.screens import what_if_form
from reports.screens.what_ifs import NEW, OPENED, OTHER
from tests.app.conftest import fill
from tests.app.test_browser import CHROMIUM, address, browser, page, ready
from tests.app.test_pages import opened, table, words

__all__ = ["address", "browser", "page"]
GROWTH = (
    'name = "growth"\n[[levers]]\nkind = "growth"\nscope = "purpose=inference"\nfrom = 2026-12-01\nyearly_ratio = 0.5\n'
)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small company with one saved what-if."""
    home = fill(tmp_path_factory.mktemp("what_ifs") / "home")
    config = load_config(home)
    log.save(config, Lake.of(config), log.parse(GROWTH, name="growth"), by="Ada")
    return home


def difference(app: AppTest) -> float:
    """The sum of the months' differences on the page."""
    return float(sum(table(app, "month", "difference")["difference"]))


def test_a_new_one_begins_with_an_example(company: Path) -> None:
    """The dearest series grows by 30 % a year, and each month's difference stands in its row."""
    app = opened(company, "what-ifs")
    assert not app.exception
    assert "purpose inference: +30 % growth a year on top of the forecast" in words(app)
    rows = table(app, "month", "base", "what_if", "difference")
    assert rows["month"][0] == "November 2026"
    moved = [round(b - a, 2) for a, b in zip(rows["base"], rows["what_if"], strict=True)]
    assert moved == pytest.approx(list(rows["difference"]), abs=0.01)
    assert difference(app) > 0


def test_a_saved_one_opens_with_its_author(kept: Path) -> None:
    """It is the first on the page; its levers are in words; the list says who saved it."""
    app = opened(kept, "what-ifs")
    assert not app.exception
    assert app.session_state[OPENED] == "growth@1"
    assert "1. purpose inference: +50 % growth a year" in words(app)
    assert table(app, "what_if", "author")["author"].to_list() == ["Ada"]


def test_a_lever_is_added_and_taken_off(kept: Path) -> None:
    """10 % off all prices takes off what it says; without any lever nothing changes."""
    app = opened(kept, "what-ifs")
    before = difference(app)
    app.selectbox(key="what_if_kind").set_value("price").run()
    app.button(key="what_if_add").click().run()
    assert not app.exception
    assert "2. All AI spend: prices -10 %" in words(app)
    assert difference(app) < before
    app.button(key="what_if_off_2").click().run()
    assert difference(app) == pytest.approx(before)
    app.button(key="what_if_off_1").click().run()
    assert "nothing changes" in words(app)


def test_what_is_saved_is_kept_once(kept: Path) -> None:
    """Another lever under the same name is version 2; the same again writes nothing; both stand side by side."""
    app = opened(kept, "what-ifs")
    app.selectbox(key="what_if_kind").set_value("amount").run()
    app.button(key="what_if_add").click().run()
    save = next(button for button in app.button if button.label == "Save")
    app.text_input(key="what_if_by").set_value("Grace")
    save.click().run()
    assert not app.exception
    assert "Saved as growth@2." in [box.value for box in app.success]
    assert app.session_state[OPENED] == "growth@2"
    next(button for button in app.button if button.label == "Save").click().run()
    assert "growth@2 has exactly these inputs" in " ".join(box.value for box in app.success)
    app.selectbox(key=OTHER).set_value("growth@1").run()
    assert not app.exception
    assert "growth@1 less above: -5,000.00 USD" in words(app).replace("−", "-")


def test_what_cannot_be_is_said(kept: Path) -> None:
    """A model that nobody has used, and nobody's name, say what to do."""
    lever = {"kind": "model_switch", "scope": "all", "from": "2026-12-01", "model": "none-such", "to": "gpt-4.1"}
    app = opened(kept, "what-ifs", **{what_if_form.OF: NEW, OPENED: NEW, what_if_form.LEVERS: [lever]})
    assert not app.exception
    assert "no AI spend with the model none-such" in app.error[0].value
    app = opened(kept, "what-ifs")
    next(button for button in app.button if button.label == "Save").click().run()
    assert "nobody who saves a what-if" in app.error[0].value


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs a browser")
def test_a_lever_in_a_browser(page: Page, address: str) -> None:
    """A person chooses another lever, adds it, and reads what it makes."""
    page.goto(f"{address}/what-ifs")
    ready(page, "What if it went otherwise?")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("All AI spend: +30 % growth a year").first).to_be_visible(timeout=15_000)
