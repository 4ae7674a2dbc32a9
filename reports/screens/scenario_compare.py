"""Scenarios side by side: what decides between them, cost by month, where each workload runs, and what turns each."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st

from finops import schema as s
from reports import charts
from reports.screens import parts, scenario_plan
from reports.screens.page import Page
from reports.theme import Look
from reports.views import scenario_compare as compare
from reports.views.plans import CHOICE, PlanView


def render(page: Page, views: Sequence[PlanView], base: str) -> None:
    """Draw the comparison; details below the charts are one scenario's at a time, the base's first."""
    st.subheader(compare.headline(views, base), anchor=False)
    _deciding(views, base, page.look)
    _curves(page, views, base)
    st.markdown("##### Where each workload runs")
    drawn = charts.places(compare.places(views), page.colours(s.HOSTING), page.look)
    parts.chart(drawn, key="compare_places", says="The kinds of hosting of each workload in each scenario")
    ordered = sorted(views, key=lambda v: v.scenario != base)
    for tab, view in zip(st.tabs([v.scenario for v in ordered]), ordered, strict=True):
        with tab:
            scenario_plan.hangs_on(page, view)


def _deciding(views: Sequence[PlanView], base: str, look: Look) -> None:
    rows = compare.deciding(views, base)
    frame = compare.deciding_frame(views, base)
    style = {
        "better": f"color: {look.good}; font-weight: 600", "worse": f"color: {look.bad}; font-weight: 600",
        "other": "font-weight: 600", "same": f"color: {look.muted}", "base": "",
    }  # fmt: skip
    mark = {"better": "▼ ", "worse": "▲ "}
    for n, view in enumerate(views):
        texts = [mark.get(cells[n].verdict, "") + cells[n].text for _, cells in rows]
        frame = frame.with_columns(pl.Series(view.scenario, texts))
    styles = pl.DataFrame(
        {"what_decides": [""] * len(rows)}
        | {v.scenario: [style[c[n].verdict] for _, c in rows] for n, v in enumerate(views)}
    ).to_pandas()
    shown: Any = frame.to_pandas().style.apply(lambda _: styles, axis=None)
    headings: dict[str, Any] = {v.scenario: f"{v.scenario} (base)" if v.scenario == base else v.scenario for v in views}
    st.dataframe(
        shown, key="compare_deciding", hide_index=True, width="stretch", height="content",
        column_config={"what_decides": st.column_config.Column("What decides", width=310, pinned=True)} | headings,
    )  # fmt: skip
    st.caption(f"▼ better and ▲ worse than {base}; bold is another value, grey the same.")
    parts.download(compare.deciding_frame(views, base, exact=True), key="compare_deciding", file="scenarios.csv")


def _curves(page: Page, views: Sequence[PlanView], base: str) -> None:
    st.markdown("##### What each has cost by each month")
    found = compare.curves(views, base)
    names = found[CHOICE].unique(maintain_order=True).to_list()
    colours = dict(zip(names, page.look.palette, strict=False)) | {f"{base}, as it is today": page.look.muted}
    currency = next(v.currency for v in views if v.scenario == base)
    crossing = compare.crossings(views, base)
    drawn = charts.cost_curves(found, colours, page.look, currency=currency, crossings=crossing[:2])
    parts.chart(drawn, key="compare_curves", says="Cumulative cash of each scenario by month")
    other = [v.scenario for v in views if v.currency != currency]
    notes = [f"{what} in month {month}" for month, what in crossing]
    notes += [f"{', '.join(other)} in another currency is not drawn"] if other else []
    if notes:
        st.caption("; ".join(notes) + ".")
