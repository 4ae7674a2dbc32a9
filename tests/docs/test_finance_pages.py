"""The pages on owned hardware and on budgets show sessions that run as shown."""

from pathlib import Path

import pytest

from tests.docs.test_pages import run_page


@pytest.mark.parametrize("page", ["on-prem.md", "budgets-and-alerts.md"])
def test_page_prints_what_it_shows(tmp_path: Path, page: str) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page(page, tmp_path)
