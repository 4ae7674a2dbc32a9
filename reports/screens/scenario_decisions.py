"""Who approved a scenario's plan, whether that still holds, and everything that was done to the scenario."""

from collections.abc import Mapping

import polars as pl
import streamlit as st

from finops.errors import FinopsError
from finops.pipeline import scenario_log
from finops.pipeline.scenario_log import Approval, SavedScenario
from reports.screens import parts
from reports.screens.page import Page
from reports.views.plans import PlanView
from reports.views.words import compact


def render(
    page: Page, saved: Mapping[str, SavedScenario], name: str, view: PlanView | None, digest: str | FinopsError | None
) -> None:  # fmt: skip
    """Draw the approval and the audit trail of one scenario."""
    st.subheader(f"{name}: who decided what", anchor=False)
    left, right = st.columns(2, gap="large")
    with left:
        known = digest if isinstance(digest, str) else None
        if name in saved and isinstance(digest, FinopsError):
            st.markdown(":material/block: No approval can hold: the scenario's file is wrong.")
        else:
            _standing(scenario_log.approval(page.config, page.lake, name, digest=known))
    with right:
        if name in saved and view is not None and view.cost is not None:
            _form(page, saved[name], view, known)
        else:
            st.caption("There is no plan to approve yet: *Solve* makes one.")
    st.markdown("##### What was done")
    rows = page.compute(scenario_log.history, name).drop("plan_id")
    rows = rows.with_columns(pl.col("actor", "comment", "digest").fill_null("–"))
    parts.table(
        rows, key="scenario_history", file=f"{name}_history.csv",
        names={"at": "When (UTC)", "action": "What", "actor": "Who", "detail": "What changed or came out",
               "digest": "Digest of the inputs"},
    )  # fmt: skip


def _standing(found: Approval | None) -> None:
    if found is None:
        st.markdown(":material/pending: Nobody has approved a plan of this scenario.")
        return
    said = f"**Approved by {found.by}** on {found.at:%-d %B %Y, %H:%M} UTC, digest `{found.digest[:12]}`"
    said += f": {found.comment}" if found.comment else ""
    if found.void is None:
        st.success(said, icon=":material/verified:")
    else:
        st.warning(f"{said}  \n**This approval is void:** {found.void}.", icon=":material/gpp_bad:")


def _form(page: Page, scenario: SavedScenario, view: PlanView, digest: str | None) -> None:
    stale = view.body["digest"] != digest
    with st.form("approve"):
        st.markdown(f"Approve the plan of {view.made_at:%-d %B %Y, %H:%M} UTC: {compact(view.cost)} {view.currency}")
        by = st.text_input("Your name", key="approve_by", persist_state="session", disabled=stale)
        comment = st.text_area("Comment", key="approve_comment", disabled=stale, height=80)
        st.caption(
            "The plan is not of the inputs as they are now: *Solve* first."
            if stale
            else "It holds for exactly these inputs, prices and purchases, and is void once one of them is another."
        )
        if st.form_submit_button("Approve", type="primary", disabled=stale, icon=":material/verified:"):
            try:
                scenario_log.approve(page.config, page.lake, scenario, by=by, comment=comment)
            except FinopsError as error:
                st.error(f"{error.found}. {error.next_step.capitalize()} (expected: {error.expected}).")
                return
            st.rerun()
