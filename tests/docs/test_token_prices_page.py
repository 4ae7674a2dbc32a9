"""The page on token prices shows a session that runs as shown, and names every count."""

from pathlib import Path

from finops.token_prices import METERS
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("token-prices.md", tmp_path)


def test_page_names_every_count() -> None:
    """A count that can be priced is on the page."""
    page = (DOCS / "token-prices.md").read_text()
    assert [meter.column for meter in METERS if f"`{meter.column}`" not in page] == []
