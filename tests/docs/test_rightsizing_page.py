"""The page on right-sizing shows a session that runs as shown, and states the defaults that hold."""

from pathlib import Path
from typing import get_args

from optimizer.rightsize import Action, Status
from optimizer.running import Settings
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("rightsizing.md", tmp_path)


def test_page_names_every_action_status_and_default() -> None:
    """Each action and status is on the page, and its figures are the settings'."""
    page = (DOCS / "rightsizing.md").read_text()
    assert all(f"| `{word}` |" in page for word in (*get_args(Action), *get_args(Status)) if word != "change")
    usual = Settings()
    assert f"headroom {usual.headroom_ratio}" in page
    said = {
        "reached 5 %": usual.idle_ratio,
        "inference 0.5 %": usual.serving_idle_ratio,
        "less than 80 %": usual.least_coverage_ratio,
        "under 5 %": usual.least_saving_ratio,
    }
    for words, ratio in said.items():
        assert words in page
        assert float(words.split()[-2]) / 100 == ratio
    assert f"fewer than {usual.least_days} days" in page
