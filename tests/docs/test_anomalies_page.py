"""The page on anomalies shows sessions that run as shown."""

from pathlib import Path

from tests.docs.test_pages import run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("anomalies.md", tmp_path)
