"""The page on trust shows a session that runs as shown, and names every cause, status and threshold of the code."""

from pathlib import Path

from finops.checks import TIED_OUT_RATIO
from finops.freshness import ACTIVE_DAYS, MEASURED_LOADS, STALE_DAYS
from finops.pipeline.reconciliation import MEASURED_DAYS
from finops.reconciliation import LEAST_NEIGHBOURS, NEIGHBOURS, STATUSES
from finops.residuals import CAUSES
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("reconciliation.md", tmp_path)


def test_page_names_what_there_is() -> None:
    """Each cause and status is on the page, and the thresholds are those of the code."""
    page = " ".join((DOCS / "reconciliation.md").read_text().split())
    assert [name for name in (*CAUSES, *STATUSES) if f"`{name}`" not in page] == []
    assert (NEIGHBOURS, LEAST_NEIGHBOURS, MEASURED_LOADS, STALE_DAYS, MEASURED_DAYS) == ((-2, -1, 1, 2), 2, 3, 1, 30)
    assert ACTIVE_DAYS == 5 * 7
    said = (
        "two before, two after, at least two", f"{TIED_OUT_RATIO:.1%}".replace("%", " %"), "From three such",
        "more than one day later", "last 30 days with a load", "or five weeks have passed",
    )  # fmt: skip
    assert [words for words in said if words not in page] == []
