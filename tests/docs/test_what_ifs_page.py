"""The page on what-ifs shows sessions that run as shown, and names every lever and key."""

from pathlib import Path
from typing import get_args

from forecasting.levers import Lever, WhatIf
from tests.app.conftest import fill
from tests.docs.test_pages import DOCS, run_page

PAGE = "what-ifs.md"


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs on a company with a forecast, and prints what stands below it."""
    fill(tmp_path / "finops-home")
    run_page(PAGE, tmp_path)


def test_page_names_every_lever_and_key() -> None:
    """Each kind and each key of a file is explained."""
    page = (DOCS / PAGE).read_text()
    kinds = get_args(get_args(Lever)[0])
    names = {field.alias or name for kind in kinds for name, field in kind.model_fields.items()} | {
        *WhatIf.model_fields
    }
    names |= {get_args(kind.model_fields["kind"].annotation)[0] for kind in kinds}
    assert sorted(name for name in names if f"`{name}`" not in page and f"[[{name}]]" not in page) == []
