"""The frame around every page: opens the lake at its newest snapshot, draws the filters, says what is amiss."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import streamlit as st
import structlog

from finops.config import load_config
from finops.errors import FinopsError
from finops.store import Lake
from reports.screens import data, explore, filters, outlook, overview, parts, scenarios
from reports.screens.page import Page, computed, current_look
from reports.views.movement import coverage

Render = Callable[[Page], None]

SCREENS: Final[dict[str, tuple[str, str, Render]]] = {
    "overview": ("Overview", ":material/monitoring:", overview.render),
    "explore": ("Explore", ":material/search:", explore.render),
    "forecast": ("Forecast", ":material/trending_up:", outlook.render),
    "scenarios": ("Scenarios", ":material/compare_arrows:", scenarios.render),
    "data": ("Data", ":material/fact_check:", data.render),
}
"""The pages by their address: name, icon and what draws them."""

_log = structlog.get_logger()


def show(home: Path, screen: str) -> None:
    """Draw one page of a home."""
    _name, _icon, render = SCREENS[screen]
    try:
        page = _open(home)
        if page is not None:
            render(page)
    except FinopsError as error:
        _log.warning("page_failed", screen=screen, error=error.found)
        parts.failed(error, means="Nothing on this page can be trusted until it is put right; nothing was changed.")


def _open(home: Path) -> Page | None:
    config = load_config(home)
    lake = Lake.of(config)
    snapshots = lake.snapshots()
    snapshot = int(snapshots["snapshot_id"][0]) if len(snapshots) else 0
    covered = computed(lake, snapshot, coverage) if snapshot else None
    if covered is None:
        st.title("No bills yet", anchor=False)
        parts.empty(
            "Spend by team, purpose and provider, its forecast, and where each workload should run, would be here.",
            "finops demo",
            why="`finops demo` makes an example company; your own bill comes in with "
            "`finops ingest --connector focus --file PATH`. Then reload this page.",
        )
        return None
    scope, currency = filters.sidebar(lake, snapshot, covered)
    with st.sidebar:
        st.caption(f"{config.company.name} · data to {covered.last:%-d %B %Y} · snapshot {snapshot}")
    return Page(config, lake, snapshot, covered, scope, currency, current_look())
