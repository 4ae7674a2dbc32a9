"""The page on Google Cloud bills shows a session that runs as shown, and the settings and limits of the code."""

import re
from pathlib import Path

from connectors.gcp import bigquery
from connectors.gcp.refusals import CREATE_JOBS, GET_DATA, GET_TABLE, LIST_BUDGETS, Asked, grant
from connectors.gcp.session import Tries
from finops.config import Gcp
from tests.docs.test_pages import DOCS, run_page

PAGE = (DOCS / "gcp.md").read_text()


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("gcp.md", tmp_path)


def test_page_names_settings_and_limits() -> None:
    """All settings of the source, and how long and how often things are tried, are those of the code."""
    for setting in Gcp.model_fields:
        assert re.search(rf"\b{setting}\b", PAGE)
    assert (Tries().first_wait_s, Tries().longest_wait_s, Tries().total_s) == (1, 30, 300)
    assert (bigquery._RESTARTS, bigquery._JOBS, bigquery._READS) == (3, 3, 3)


def test_page_shows_the_commands_that_errors_name() -> None:
    """Each permission is there, with the role that the error's command grants."""
    asked = Asked("gcp", "serviceAccount:x", "acme-finops", "", "acme-billing.billing.t", "01AB23-C45D67-E89F01")
    for permission in (CREATE_JOBS, GET_DATA, GET_TABLE, LIST_BUDGETS):
        (role,) = re.findall(r"--role=\S+", grant(permission, asked))
        assert permission in PAGE
        assert role in PAGE
