"""The page on utilisation shows a session that runs as shown, and names every column that is read."""

import re
from pathlib import Path

from connectors.gpu_usage import WORDS
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("utilisation.md", tmp_path)


def test_page_names_every_column() -> None:
    """Each column is on the page with all other words for it."""
    page = (DOCS / "utilisation.md").read_text()
    named = {re.sub(r"[^a-z0-9]", "", name.lower()) for name in re.findall(r"`(\w+)`", page)}
    words = {word for ours, more in WORDS.items() for word in (ours.replace("_", ""), *more.split())}
    assert words - named == set()
