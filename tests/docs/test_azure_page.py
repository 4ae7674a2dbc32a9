"""The page on Azure bills shows a session that runs as shown, settings that are read, and the role to give."""

import re
import tomllib
from pathlib import Path

from connectors.azure.refusals import grant
from connectors.deliveries import FILES_AT_A_TIME, RESTARTS
from connectors.http import Patience
from finops.config import Source
from tests.docs.test_pages import DOCS, run_page

PAGE = (DOCS / "azure.md").read_text()


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("azure.md", tmp_path)


def test_page_shows_settings_and_the_role() -> None:
    """The source of the page is a source, and the command gives its identity the role on its container."""
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (source,) = tomllib.loads(shown.replace("# export_key", "export_key"))["sources"]
    azure = Source.model_validate(source).azure
    assert azure is not None
    assert str(azure.export).startswith("https://acme.blob.core.windows.net/billing/")
    assert grant("acme", "billing", str(azure.client_id)) in PAGE


def test_page_names_limits() -> None:
    """Tries, waits, files at a time and restarts are those of the code."""
    usual = Patience()
    assert (usual.attempts, usual.total_s, usual.first_wait_s, usual.longest_wait_s) == (8, 600, 1, 60)
    assert (FILES_AT_A_TIME, RESTARTS) == (4, 3)
