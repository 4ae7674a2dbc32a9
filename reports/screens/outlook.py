"""Where will the month land? The newest frozen forecast with its bands, its months, and its track record."""

from datetime import timedelta

import polars as pl
import streamlit as st

from finops.config import Config
from finops.pipeline.landing import month_landing
from finops.store import Lake
from reports import charts
from reports.screens import parts
from reports.screens.page import Page
from reports.views import movement
from reports.views.outlook import TOTAL, Outlook, known_series, outlook, said
from reports.views.words import compact, percent, period_name

HISTORY_DAYS = 180


def render(page: Page) -> None:
    """Draw the page."""
    parts.title("Where will the month land?", page, whole="A forecast covers all AI spend")
    names = page.compute(known_series, page.currency)
    if not names:
        parts.empty(
            "The forecast of AI spend by purpose, driver, provider and team would be here, with its track record.",
            "finops forecast",
        )
        return
    landing = page.compute(_landing, page.config).filter(pl.col("currency") == page.currency)
    _headline(landing)
    series: str = st.selectbox("Forecast of", names, format_func=said, key="outlook_series", persist_state="session")
    found = page.compute(outlook, series)
    assert found is not None, "it was just listed"
    draw(page, found, key="outlook_chart")
    st.markdown("##### Months")
    rows = landing.filter(pl.col("series") == series).select("period", "actual", "expected_rest", "landing")
    parts.table(
        rows, key="outlook_table", file="month_landing.csv", names={"period": "Month"},
        money={"actual": f"Spent so far, {found.currency}", "expected_rest": "Expected rest", "landing": "Lands at"},
        download=lambda: landing,
    )  # fmt: skip


def draw(page: Page, found: Outlook, *, key: str) -> None:
    """The forecast's chart with its bands, its origin, and its track record as the caption."""
    actual = page.compute(
        movement.trend, found.scope().between(found.cutoff - timedelta(days=HISTORY_DAYS), found.cutoff), step="day"
    )
    drawn = charts.outlook(actual, found.rows, page.look, currency=found.currency, origin=found.cutoff)
    parts.chart(drawn, key=key, says=f"Daily spend of {said(found.series)}, and its forecast with bands")
    st.caption(track_record(found))


def track_record(found: Outlook) -> str:
    """How well forecasts of this kind have done, in a sentence."""
    made = f"Made {found.made_at:%-d %B %Y} from data to {found.cutoff:%-d %B %Y} by {found.model}. "
    bands = "Dark band: 80 %, pale band: 95 %. "
    if found.accuracy is None:
        return made + bands + "Too short a history to be judged against the past: read it as a first guess."
    a = found.accuracy
    return (
        f"{made}{bands}From {a.origins} past days, {a.horizon} days ahead each, it missed by {percent(a.wape)} of cost "
        f"a day; the 80 % band held {percent(a.coverage80)} of days, the 95 % band {percent(a.coverage95)}."
    )


def _landing(lake: Lake, config: Config) -> pl.DataFrame:
    return month_landing(config, lake)


def _headline(landing: pl.DataFrame) -> None:
    total = landing.filter(pl.col("grouping") == TOTAL).sort("period")
    if total.is_empty():
        return
    first = total.row(0, named=True)
    text = f"{_month(first['period'])} lands at about {compact(first['landing'])} {first['currency']}"
    if first["actual"]:
        text += f", of which {compact(first['actual'])} is spent"
    if len(total) > 1:
        text += f"; {_month(total['period'][-1])} at about {compact(total['landing'][-1])}"
    st.subheader(text + ".", anchor=False)


def _month(period: str) -> str:
    start = movement.month_of(period)
    return period_name(*start)
