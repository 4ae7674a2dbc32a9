"""The page on pulled sources shows a session that runs as shown, and names what is pulled."""

from pathlib import Path

from connectors.anthropic.access import ACCESS as ANTHROPIC
from connectors.http import Patience
from connectors.litellm.access import ACCESS as LITELLM
from connectors.openai.access import ACCESS as OPENAI
from tests.docs.test_pages import DOCS, run_page


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("pulling.md", tmp_path)


def test_page_names_keys_and_limits() -> None:
    """The kinds of keys, the endpoints and the patience of the code are those of the page."""
    page = (DOCS / "pulling.md").read_text()
    assert f"`{OPENAI.key_prefix}...`" in page
    assert f"`{ANTHROPIC.key_prefix}...`" in page
    names = [e.name for access in (ANTHROPIC, LITELLM) for e in access.endpoints({})]
    names += [e.name for e in LITELLM.endpoints({"detail": "requests"})]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert len(OPENAI.endpoints({})) == 1 + 1 + 9
    assert (Patience().attempts, Patience().total_s) == (8, 600)
