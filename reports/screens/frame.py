"""The frame around every page: opens the lake at its newest snapshot, draws the filters, says what is amiss."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl
import streamlit as st
import structlog
from deltalake.exceptions import DeltaError

from finops.config import load_config
from finops.errors import FinopsError, LakeError
from finops.store import Lake
from reports.screens import (
    anomalies,
    explore,
    filters,
    outlook,
    overview,
    parts,
    reconciliation,
    scenarios,
    tokens,
    variance,
    what_ifs,
)
from reports.screens.page import Page, computed, current_look
from reports.views.movement import coverage

Render = Callable[[Page], None]

SCREENS: Final[dict[str, tuple[str, str, Render]]] = {
    "overview": ("Overview", ":material/monitoring:", overview.render),
    "explore": ("Explore", ":material/search:", explore.render),
    "variance": ("Variance", ":material/waterfall_chart:", variance.render),
    "anomalies": ("Anomalies", ":material/notification_important:", anomalies.render),
    "tokens": ("Tokens", ":material/token:", tokens.render),
    "forecast": ("Forecast and Budget", ":material/trending_up:", outlook.render),
    "what-ifs": ("What if", ":material/tune:", what_ifs.render),
    "scenarios": ("Scenarios", ":material/compare_arrows:", scenarios.render),
    "data": ("Data", ":material/fact_check:", reconciliation.render),
}
"""The pages by their address: name, icon and what draws them."""

READING: Final = (FinopsError, OSError, DeltaError, pl.exceptions.ComputeError, pl.exceptions.PanicException)
"""What goes wrong when a home cannot be read; anything else is a defect of the program, and shows as one."""
_log = structlog.get_logger()


def screens(home: Path) -> dict[str, Callable[[], None]]:
    """What draws each page of a home, by its address, after the filters have been drawn beside it.

    The filters belong to no page, so that Streamlit keeps them from page to page.
    """
    try:
        page = _open(home)
    except READING as error:
        return dict.fromkeys(SCREENS, partial(_failed, home, error))
    return {address: partial(_draw, home, page, address) for address in SCREENS}


def _draw(home: Path, page: Page | None, screen: str) -> None:
    if page is None:
        _nothing_yet()
        return
    try:
        SCREENS[screen][2](page)
    except READING as error:
        _failed(home, error)


def _failed(home: Path, error: BaseException) -> None:
    _log.warning("page_failed", home=str(home), exc_info=error)
    said = error if isinstance(error, FinopsError) else _unreadable(home, error)
    parts.failed(said, means="No figure of this page can be shown until it is put right; nothing was changed.")


def _unreadable(home: Path, error: BaseException) -> LakeError:
    return LakeError(
        f"the lake of {home} could not be read: {str(error).splitlines()[0]}",
        expected="every file that the newest snapshot names",
        next_step="restore the lake's folder from a backup, or ingest the sources again",
    )


def _open(home: Path) -> Page | None:
    config = load_config(home)
    lake = Lake.of(config)
    snapshot = lake.newest()
    covered = computed(lake, snapshot, coverage) if snapshot else None
    if covered is None:
        return None
    scope, currency = filters.sidebar(lake, snapshot, covered)
    with st.sidebar:
        st.caption(f"{config.company.name} · billed through {covered.through:%-d %B %Y} · snapshot {snapshot}")
    return Page(config, lake, snapshot, covered, scope, currency, current_look())


def _nothing_yet() -> None:
    st.title("No bills yet", anchor=False)
    parts.empty(
        "Spend by team, purpose and provider, its forecast, and where each workload should run, would be here.",
        "finops demo",
        why="`finops demo` makes an example company; your own bill comes in with "
        "`finops ingest --connector focus --file PATH`. Then reload this page.",
    )
