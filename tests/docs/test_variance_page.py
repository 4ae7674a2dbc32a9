"""The page on variance shows a session that runs as shown, and names every step."""

from pathlib import Path

from finops.variance import STEPS
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("variance.md", tmp_path)


def test_page_names_every_step() -> None:
    """Each step of a bridge is explained."""
    page = (DOCS / "variance.md").read_text()
    assert [step for step in STEPS if f"`{step}`" not in page] == []
