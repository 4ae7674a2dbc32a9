"""The main journeys in a real browser: every page, a filter, a number down to its charges, and a file with its sum."""

import csv
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from finops.config import load_config
from finops.store import Lake
from reports.views.spend import spend, summed
from tests.app.serving import served

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}: install Debian's chromium"),
]
QUESTIONS = {
    "Overview": "What are we spending on AI?",
    "Explore": "Where does the money go?",
    "Variance": "Why did the cost change?",
    "Anomalies": "What was unusual?",
    "Tokens": "What do our tokens cost, and why did it change?",
    "Forecast and Budget": "Where will the month land?",
    "What if": "What if it went otherwise?",
    "Scenarios": "Where should it run?",
    "Data": "Can I trust these figures?",
}


@pytest.fixture(scope="module")
def address(company: Path) -> Iterator[str]:
    """The app served as `finops app` serves it."""
    with served(company) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1600}, accept_downloads=True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    opened.goto(address)
    ready(opened, QUESTIONS["Overview"])
    yield opened
    context.close()


def ready(page: Page, question: str) -> None:
    """Wait until a page has drawn to its end."""
    expect(page.get_by_role("heading", name=question, level=1)).to_be_visible()
    settled(page)


def settled(page: Page) -> None:
    """Wait until the script has run to its end."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()


def choose(page: Page, label: str, value: str) -> None:
    """Pick a value of a select box or multiselect by its label."""
    page.get_by_role("combobox", name=label).first.click()
    page.get_by_role("option", name=value, exact=True).click()
    page.keyboard.press("Escape")
    settled(page)


def test_each_page_opens_and_draws_its_charts(page: Page) -> None:
    """Each page shows its question, an error on none, and charts where it has some."""
    charts = {
        "Overview": 3, "Explore": 1, "Variance": 1, "Anomalies": 0, "Tokens": 5, "Forecast and Budget": 1,
        "What if": 3, "Scenarios": 4, "Data": 1,
    }  # fmt: skip
    for name, question in QUESTIONS.items():
        page.get_by_role("link", name=name).click()
        ready(page, question)
        expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")).to_have_count(
            charts[name]
        )
        expect(page.locator("[data-testid=stException]")).to_have_count(0)


def test_a_filter_stays_from_page_to_page(page: Page) -> None:
    """A filter that is set on one page narrows the next, shows as a chip there, and goes when the chip is taken off."""
    choose(page, "Team", "Search")
    expect(page.locator("[data-testid=stMetricValue]").first).to_have_text("279 k")
    page.get_by_role("link", name="Explore").click()
    ready(page, QUESTIONS["Explore"])
    expect(page.get_by_role("heading", name="279,030.00 USD")).to_be_visible()
    page.get_by_role("button", name="team: Search").click()
    expect(page.get_by_role("heading", name="1,155,934.75 USD")).to_be_visible()
    page.get_by_role("link", name="Overview").click()
    ready(page, QUESTIONS["Overview"])
    expect(page.locator("[data-testid=stMetricValue]").first).to_have_text("1.16 M")


def test_a_number_leads_to_its_charges_and_its_file(page: Page, company: Path, tmp_path: Path) -> None:
    """A click on a row opens its charges; the files of the table and of the charges sum to the numbers shown."""
    lake = Lake.of(load_config(company))
    page.get_by_role("link", name="Explore").click()
    ready(page, QUESTIONS["Explore"])
    whole = summed(spend(lake, where={"is_ai": True, "period": "2026-10"}).rows)
    expect(page.get_by_text(f"Total: {whole:,.2f} USD")).to_be_visible()
    assert _sum_of(page, "Download CSV", 0, tmp_path) == whole

    table = page.locator("[data-testid=stDataFrame]").first
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 52)  # the first row's checkbox: the grid is one canvas
    support = summed(spend(lake, where={"is_ai": True, "team": "Support", "period": "2026-10"}).rows)
    expect(page.get_by_role("heading", name=f"The charges behind {support:,.2f} USD: team Support")).to_be_visible()
    settled(page)
    expect(page.get_by_text(f"62 charges: {support:,.2f} USD")).to_be_visible()
    assert _sum_of(page, "Download CSV", 1, tmp_path) == support


def test_token_cost_leads_to_its_days_and_its_file(page: Page, company: Path, tmp_path: Path) -> None:
    """The page's total is the sum of its file; a click on a row opens its days, whose file sums to the row."""
    lake = Lake.of(load_config(company))
    where = {"is_ai": True, "driver": "model_api", "period": "2026-10"}
    page.get_by_role("link", name="Tokens").click()
    ready(page, QUESTIONS["Tokens"])
    whole = summed(spend(lake, where=where).rows)
    expect(page.get_by_text(f"Total: {whole:,.2f} USD")).to_be_visible()
    assert _sum_of(page, "Download CSV", 0, tmp_path) == whole

    table = page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 16, box["y"] + 52)
    chat = summed(spend(lake, where={**where, "use_case": "assistant"}).rows)
    expect(page.get_by_role("heading", name=f"The days and keys behind {chat:,.2f} USD")).to_be_visible()
    settled(page)
    expect(page.get_by_text(f"All days: {chat:,.2f} USD")).to_be_visible()
    assert _sum_of(page, "Download CSV", 1, tmp_path) == chat


def _sum_of(page: Page, button: str, which: int, folder: Path) -> Decimal:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=button).nth(which).click()
    file = folder / f"{which}.csv"
    waiting.value.save_as(file)
    with file.open(encoding="utf-8") as text:
        return sum((Decimal(row["cost"]) for row in csv.DictReader(text)), Decimal(0))


def test_the_server_talks_to_no_other_site(address: str) -> None:
    """A websocket whose Host or Origin is another site's is refused, as DNS rebinding would ask for."""
    host, port = "127.0.0.1", int(address.rsplit(":", 1)[1])
    own = f"localhost:{port}"
    assert _handshake(host, port, own, f"http://{own}") == 101
    assert _handshake(host, port, "evil.example", "http://evil.example") == 403
    assert _handshake(host, port, own, "http://evil.example") == 403


def _handshake(host: str, port: int, named: str, origin: str) -> int:
    lines = (
        "GET /_stcore/stream HTTP/1.1", f"Host: {named}", f"Origin: {origin}", "Connection: Upgrade",
        "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
    )  # fmt: skip
    with socket.create_connection((host, port), timeout=10) as wire:
        wire.sendall("\r\n".join(lines).encode())
        return int(wire.recv(64).split()[1])
