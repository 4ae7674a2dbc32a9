"""What is unusual: daily cost beside what was usual, with the days of the anomaly marked."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import altair as alt
import polars as pl

from reports.charts.canvas import AMOUNT, AXIS_FORMAT, HEIGHT, Chart, chart_of, money_tip, notes_at, themed
from reports.theme import Look
from reports.views.anomalies import EXPECTED
from reports.views.movement import START
from reports.views.spend import COST


def anomaly(
    frame: pl.DataFrame, look: Look, *, currency: str, window: tuple[date, date], notes: Sequence[tuple[date, str]] = ()
) -> Chart:
    """The cost of each day; within the window what was usual is dashed, and what lies between the two is filled.

    frame: `anomalies.days`. notes: days with something to say.
    """
    rows = frame.with_columns(pl.col(COST, EXPECTED).cast(pl.Float64)).rename({COST: AMOUNT, START: "day"})
    inside = rows.filter(pl.col(EXPECTED).is_not_null())
    above = bool(inside[AMOUNT].sum() >= inside[EXPECTED].sum())
    x = alt.X("day:T", title=None, axis=alt.Axis(format="%-d %b", tickCount=8, grid=False, labelOverlap="greedy"))
    y = alt.Y(
        f"{AMOUNT}:Q", title=f"{currency} a day", axis=alt.Axis(format=AXIS_FORMAT, tickCount=5),
        scale=alt.Scale(zero=True, nice=True),
    )  # fmt: skip
    tips = [alt.Tooltip("day:T", format="%a %-d %b %Y"), money_tip(currency)]
    usual = alt.Tooltip(f"{EXPECTED}:Q", title="usual", format=",.0f")
    span = pl.DataFrame({"day": [window[0]], "to": [window[1] + timedelta(days=1)]})
    layers: list[Any] = [
        chart_of(span).mark_rect(color=look.context, opacity=0.22).encode(x=alt.X("day:T"), x2="to:T"),
        chart_of(inside).mark_area(color=look.bad if above else look.good, opacity=0.25).encode(
            x=x, y=y, y2=f"{EXPECTED}:Q"
        ),
        chart_of(rows).mark_line(strokeWidth=1.8, color=look.text).encode(x=x, y=y, tooltip=tips),
        chart_of(inside).mark_line(strokeWidth=2, strokeDash=[5, 3], color=look.accent).encode(
            x=x, y=alt.Y(f"{EXPECTED}:Q"), tooltip=[*tips, usual]
        ),
        chart_of(rows).mark_point(size=60, opacity=0).encode(x=x, y=y, tooltip=[*tips, usual]),
        *_labels(inside, look),
        *notes_at(notes, look),
    ]  # fmt: skip
    return themed(alt.layer(*layers).properties(height=HEIGHT), look)


def _labels(inside: pl.DataFrame, look: Look) -> list[Any]:
    """ "usual" and "came", at the last day of the window."""
    last = inside.tail(1)
    places = ((EXPECTED, "usual", look.accent), (AMOUNT, "came", look.text))
    return [
        chart_of(last).mark_text(align="left", dx=6, fontSize=12, fontWeight="bold", color=ink, text=word)
        .encode(x="day:T", y=f"{field}:Q")
        for field, word, ink in places
    ]  # fmt: skip
