"""The page on gateways shows a session that runs as shown, and names every column that is read."""

import re
from pathlib import Path

from connectors.usage_csv import WORDS
from finops import schema as s
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("gateways.md", tmp_path)


def test_page_names_every_column() -> None:
    """Each column with words of its own is on the page with all of them; the other counts are on the page it links."""
    page = (DOCS / "gateways.md").read_text()
    named = {name.replace("_", "") for name in re.findall(r"`([a-z0-9_]+)`", page)}
    words = {word for ours, more in WORDS.items() for word in (ours.replace("_", ""), *more.split()) if more}
    assert words - named == set()
    counts = (DOCS / "token-prices.md").read_text()
    assert [name for name in s.METER_COLUMNS if f"`{name}`" not in page + counts] == []
