"""The page on known events shows a session that runs as shown."""

from pathlib import Path

from tests.docs.test_pages import run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("events.md", tmp_path)
