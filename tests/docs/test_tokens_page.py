"""The page on tokens shows a session that runs as shown, and names every cause, kind and dimension there is."""

from pathlib import Path

from finops import alerts
from finops.pipeline.tokens import CHANGE_MONTHS
from finops.token_changes import MIN_DAYS, NOISE_RATIO, TOLERANCE, WINDOW
from finops.token_ledger import ATTRIBUTED, BILLED, UNMETERED
from finops.token_tie_out import CAUSES, UNEXPLAINED
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("tokens.md", tmp_path)


def test_page_names_what_there_is() -> None:
    """Causes in their order, bases and alerts are on the page."""
    page = (DOCS / "tokens.md").read_text()
    names = [*CAUSES, BILLED, ATTRIBUTED, UNMETERED, alerts.UNPRICED_USAGE, alerts.PRICE_CHANGE]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert list(CAUSES)[-4:] == list(UNEXPLAINED)


def test_page_states_the_thresholds_of_the_code() -> None:
    """Days, tolerance and months are those that the code uses."""
    assert (MIN_DAYS, WINDOW, NOISE_RATIO, CHANGE_MONTHS, f"{TOLERANCE:%}") == (5, 14, 6, 3, "1%")
    page = " ".join((DOCS / "tokens.md").read_text().split())
    for words in ("five days at the new price", "up to two weeks", "six times", "more than 1 %", "the three before it"):
        assert words in page
