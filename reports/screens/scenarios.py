"""Where should it run? Scenarios chosen, solved, compared, edited and approved; the address says which."""

from collections.abc import Mapping
from urllib.parse import urlencode

import streamlit as st

from finops.errors import FinopsError
from finops.pipeline import scenario_log
from finops.pipeline.scenario_log import SavedScenario
from finops.prices import OwnPrices
from reports.screens import parts, scenario_compare, scenario_decisions, scenario_form, scenario_plan, scenario_solve
from reports.screens.page import Page
from reports.views import plans
from reports.views.plans import PlanView
from reports.views.scenario_compare import MOST

CHOSEN, BASE, COPY = "scenarios", "base", "scenario_copy"
PLAN, COMPARE, INPUTS, DECISIONS = "The plan", "Side by side", "Inputs", "Approval and history"


def render(page: Page) -> None:
    """Draw the page."""
    parts.title("Where should it run?", page, whole="A plan places whole workloads")
    saved = scenario_log.saved_scenarios(page.config)
    planned: list[str] = page.compute(plans.plan_names)
    names = [*planned, *(name for name in saved if name not in planned)]
    if not names:
        parts.empty(
            "Each workload's place, and what cloud, API and own servers would cost side by side, would be here.",
            "finops scenario new",
            why="It writes a scenario from your own spend; `finops optimize` then plans it.",
        )
        return
    chosen, base = _selection(names)
    if not chosen:
        st.info("Choose a scenario above, up to four to put them side by side.")
        return
    views = {name: page.compute(plans.plan, name) for name in chosen if name in planned}
    digests = {name: _digest(page, saved[name]) for name in chosen if name in saved}
    view = _view(len(chosen))
    _actions(page, saved, chosen, base, view)
    copied = st.session_state.pop(COPY, None)
    if copied:
        st.success(f"{copied} is there: choose it above to change it or to put it beside.", icon=":material/check:")
    if scenario_solve.asked():
        scenario_solve.solve(page, [saved[name] for name in chosen if name in saved])
    scenario_solve.outcome()
    _outdated(views, digests, saved)
    if view == INPUTS:
        scenario_form.render(page, saved, base, [name for name in chosen if name != base])
    elif view == DECISIONS:
        scenario_decisions.render(page, saved, base, views.get(base), digests.get(base))
    elif not views:
        st.info(f"{', '.join(chosen)}: no plan yet. *Solve* makes one; it takes up to a few minutes.")
    elif view == COMPARE:
        missing = [name for name in chosen if name not in views]
        if missing:
            st.info(f"{', '.join(missing)}: no plan yet, so not in the comparison. *Solve* makes one.")
        scenario_compare.render(page, list(views.values()), base if base in views else next(iter(views)))
    elif base in views:
        scenario_plan.render(page, views[base])
    else:
        st.info(f"{base} has no plan yet. *Solve* makes one; it takes up to a few minutes.")


def _selection(names: list[str]) -> tuple[list[str], str]:
    """The chosen scenarios and the one that others are compared with, which the address carries."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        chosen: list[str] = st.multiselect(
            "Scenarios", names, default=names[:1], key=CHOSEN, max_selections=MOST, bind="query-params",
            help="Up to four; the address of this page says which, so it can be sent to others.",
        )  # fmt: skip
    with right:
        base = st.selectbox(
            "Compare with", chosen, key=BASE, bind="query-params", disabled=len(chosen) < 2,
            help="The base: differences are counted from it, and the details below are its own.",
        )  # fmt: skip
    return chosen, str(base)


def _view(count: int) -> str:
    offered = [PLAN, COMPARE, INPUTS, DECISIONS] if count > 1 else [PLAN, INPUTS, DECISIONS]
    default = COMPARE if count > 1 else PLAN
    chosen: str | None = st.segmented_control(
        "What to show", offered, default=default, key=_view_key(count), label_visibility="collapsed",
        bind="query-params",
    )  # fmt: skip
    return chosen or default


def _view_key(count: int) -> str:
    """One scenario opens with its plan, several with the comparison: each has a choice of its own."""
    return "views" if count > 1 else "view"


@st.cache_data(max_entries=64, show_spinner="Reading the scenario and its prices…")
def _digest_of(
    text: str,  # noqa: ARG001 (the cache hashes it)
    stamps: tuple[int, ...],  # noqa: ARG001
    _page: Page,
    _saved: SavedScenario,
) -> str | FinopsError:
    try:
        return scenario_log.digest_of(_page.config, _saved)
    except FinopsError as error:
        return error


def _digest(page: Page, saved: SavedScenario) -> str | FinopsError:
    """The fingerprint of a scenario with today's prices, or what is wrong with its file."""
    found: str | FinopsError = _digest_of(saved.text, OwnPrices.of(page.config).stamps, page, saved)
    return found


def _outdated(
    views: Mapping[str, PlanView], digests: Mapping[str, str | FinopsError], saved: Mapping[str, SavedScenario]
) -> None:
    """Which shown plans are not those of the scenarios as they are now, and which files are wrong."""
    for name, digest in digests.items():
        if isinstance(digest, FinopsError):
            parts.failed(digest, means=f"{name} cannot be solved; what is shown of it is its last plan, if any.")
    old = [n for n, v in views.items() if isinstance(digests.get(n), str) and v.body["digest"] != digests[n]]
    if old:
        st.warning(
            f"Inputs or prices of {', '.join(old)} have changed since the plan shown here was made. *Solve* brings it "
            "up to date.",
            icon=":material/update:",
        )
    alien = [n for n in views if n not in saved]
    if alien:
        st.caption(f"{', '.join(alien)}: the scenario's file is not in this home, so its plan can be read only.")


# ------------------------------------------------------------------------------------------------------------- actions
def _actions(page: Page, saved: Mapping[str, SavedScenario], chosen: list[str], base: str, view: str) -> None:
    files = [name for name in chosen if name in saved]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Solve", icon=":material/play_arrow:", type="primary", disabled=not files, on_click=scenario_solve.ask,
            help="Plans the chosen scenarios; where nothing has changed the kept plan is shown again.",
        )  # fmt: skip
        if base in saved:
            with st.popover("Duplicate", icon=":material/content_copy:"):
                _duplicate(page, saved[base])
        with st.popover("Share", icon=":material/link:"):
            st.caption("Whoever opens this address of the app sees the same scenarios against the same base.")
            st.code(link(chosen, base, view), language=None)


def link(chosen: list[str], base: str, view: str) -> str:
    """The address of the page as it is shown."""
    query = urlencode({CHOSEN: chosen, BASE: base, _view_key(len(chosen)): view}, doseq=True)
    return f"{(st.context.url or '').split('?')[0]}?{query}"


def _duplicate(page: Page, source: SavedScenario) -> None:
    with st.form("duplicate", border=False):
        name = st.text_input("Name of the copy", f"{source.name}-2", key=f"copy_name_{source.name}")
        by = st.text_input("Your name", key="copy_by", persist_state="session")
        if st.form_submit_button("Duplicate"):
            try:
                scenario_log.duplicate(page.config, page.lake, source, name.strip(), by=by)
            except FinopsError as error:
                st.error(f"{error.found}. {error.next_step.capitalize()} (expected: {error.expected}).")
                return
            st.session_state[COPY] = name.strip()
            st.rerun()
