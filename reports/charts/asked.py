"""A forecast beside what it would be with the levers of a what-if."""

from datetime import date
from typing import Final

import altair as alt
import polars as pl

from reports.charts.canvas import AMOUNT, AXIS_FORMAT, HEIGHT, Chart, chart_of, notes_at, themed
from reports.theme import Look

BASE, ASKED = "forecast", "what-if"
_LINES: Final = {"base": BASE, "what_if": ASKED}


def beside(days: pl.DataFrame, look: Look, *, currency: str, notes: tuple[tuple[date, str], ...] = ()) -> Chart:
    """Both a day, named at their ends, with the what-if's 80 % band; the days from which levers act are marked.

    days: columns date, base, what_if, p10, p90.
    """
    x = alt.X("day:T", title=None, axis=alt.Axis(format="%b %Y", tickCount="month", grid=False))
    drawn = days.rename({"date": "day"})
    # both lines and the middle of the band decide the axis: what is asked of small shares would vanish from zero
    low, high = min(*drawn["base"], *drawn["p10"]), max(*drawn["base"], *drawn["what_if"], *drawn["p90"])
    scale = alt.Scale(domain=[max(0.0, low - (high - low) * 0.1), high], nice=True)
    y = alt.Y(f"{AMOUNT}:Q", title=f"{currency} a day", scale=scale, axis=alt.Axis(format=AXIS_FORMAT, tickCount=5))
    long = drawn.unpivot(list(_LINES), index="day", variable_name="line", value_name=AMOUNT).with_columns(
        pl.col("line").replace_strict(_LINES)
    )
    colour = alt.Color(
        "line:N", scale=alt.Scale(domain=[BASE, ASKED], range=[look.muted, look.accent]),
        legend=alt.Legend(symbolType="stroke"),
    )  # fmt: skip
    named = (*_LINES.items(), ("p10", "P10"), ("p90", "P90"))
    tips = [alt.Tooltip("day:T", title="day", format="%-d %b %Y"),
            *(alt.Tooltip(f"{column}:Q", title=name, format=",.0f") for column, name in named)]  # fmt: skip
    band = chart_of(drawn).mark_area(opacity=0.16, color=look.accent, clip=True)
    lines = chart_of(long).mark_line(strokeWidth=2, clip=True)
    over = chart_of(drawn).mark_rule(opacity=0, strokeWidth=8)
    layers = [
        band.encode(x=x, y=alt.Y("p10:Q", scale=scale), y2="p90:Q"),
        lines.encode(x=x, y=y, color=colour),
        over.encode(x=x, tooltip=tips),
        *notes_at(notes, look),
    ]
    return themed(alt.layer(*layers).properties(height=HEIGHT), look)
