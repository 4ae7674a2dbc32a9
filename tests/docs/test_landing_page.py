"""The page on landing shows a session that runs as shown, and names every column."""

from pathlib import Path

from finops.pipeline import odds
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("landing.md", tmp_path)


def test_page_names_every_column() -> None:
    """Each column of a budget's odds is explained."""
    page = (DOCS / "landing.md").read_text()
    assert [column for column in odds.COLUMNS if f"`{column}`" not in page] == []
