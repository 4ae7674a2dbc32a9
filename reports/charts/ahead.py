"""What is to come: a forecast with its bands, the cost of each hosting choice, and where each workload runs."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import altair as alt
import polars as pl

from reports.charts.canvas import (
    AMOUNT,
    AXIS_FORMAT,
    HEIGHT,
    SHOWN,
    Chart,
    chart_of,
    colour_scale,
    money_tip,
    notes_at,
    themed,
)
from reports.theme import Look
from reports.views.movement import START
from reports.views.spend import COST
from reports.views.words import percent


def outlook(
    actual: pl.DataFrame, forecast: pl.DataFrame, look: Look, *, currency: str, origin: date
) -> Chart:  # fmt: skip
    """What was spent each day, then the forecast with its 80 % and 95 % bands, and the day it was made.

    actual: columns start and cost. forecast: columns date, p025, p10, p50, p90, p975.
    """
    x = alt.X("day:T", title=None, axis=alt.Axis(format="%b %Y", tickCount="month", grid=False))
    past = actual.select(pl.col(START).alias("day"), pl.col(COST).cast(pl.Float64).alias(AMOUNT))
    ahead = forecast.rename({"date": "day"})
    # a far band would press everything else to the ground: it may leave the chart at the top
    top = max([*past[AMOUNT], *ahead["p90"]], default=1.0) * 1.3
    axis = alt.Axis(format=AXIS_FORMAT, tickCount=5)
    scale = alt.Scale(domain=[min([0.0, *past[AMOUNT]]), top])
    y = alt.Y(f"{AMOUNT}:Q", title=f"{currency} a day", axis=axis, scale=scale)
    coming = chart_of(ahead)
    layers: list[Any] = [
        *(
            coming.mark_area(opacity=pale, color=look.accent, clip=True).encode(
                x=x, y=alt.Y(f"{low}:Q", scale=scale), y2=f"{high}:Q"
            )
            for low, high, pale in (("p025", "p975", 0.16), ("p10", "p90", 0.28))
        ),
        chart_of(past).mark_line(strokeWidth=1.6, color=look.text).encode(
            x=x, y=y, tooltip=[alt.Tooltip("day:T", title="day", format="%-d %b %Y"), money_tip(currency)]
        ),
        coming.mark_line(strokeWidth=2.2, color=look.accent).encode(
            x=x, y=alt.Y("p50:Q", scale=scale),
            tooltip=[alt.Tooltip("day:T", title="day", format="%-d %b %Y"),
                     *(alt.Tooltip(f"{q}:Q", title=q, format=",.0f") for q in ("p10", "p50", "p90"))],
        ),
    ]  # fmt: skip
    layers.extend(notes_at([(origin, "forecast")], look))
    return themed(alt.layer(*layers).properties(height=HEIGHT), look)


def cost_curves(
    frame: pl.DataFrame,
    colours: Mapping[str, str],
    look: Look,
    *,
    currency: str,
    crossings: Sequence[tuple[date | int, str]] = (),
) -> Chart:
    """Cumulative cost of each choice, month by month, named at its end; where two cross, the month is marked.

    frame: columns month (1, 2, …), choice, cost. crossings: month and what crosses in it.
    """
    rows = frame.with_columns(pl.col(COST).cast(pl.Float64).alias(AMOUNT))
    names = rows["choice"].unique(maintain_order=True).to_list()
    last = rows.filter(pl.col("month") == pl.col("month").max().over("choice"))
    months = max(rows["month"])
    ticks = [1, *range(6 if months > 18 else 3, months + 1, 6 if months > 18 else 3)]
    axis = alt.Axis(values=ticks, grid=False)
    x = alt.X("month:Q", title="month", scale=alt.Scale(domain=[1, months * 1.42]), axis=axis)
    y = alt.Y(f"{AMOUNT}:Q", title=f"cumulative cost, {currency}", axis=alt.Axis(format=AXIS_FORMAT, tickCount=5))
    colour = colour_scale(names, colours, look, legend=False, field="choice")
    lines = chart_of(rows).mark_line(strokeWidth=2.4).encode(
        x=x, y=y, color=colour,
        tooltip=[alt.Tooltip("choice:N"), alt.Tooltip("month:Q"), money_tip(currency)],
    )  # fmt: skip
    ends = chart_of(_apart(last, AMOUNT)).mark_text(align="left", dx=6, fontSize=11).encode(
        x=x, y=alt.Y("label_at:Q"), text="choice:N", color=colour
    )  # fmt: skip
    layers: list[Any] = [lines, ends]
    if crossings:
        marks = chart_of(pl.DataFrame({"month": [m for m, _ in crossings], "note": [n for _, n in crossings]}))
        layers.append(marks.mark_rule(strokeDash=[4, 4], color=look.muted).encode(x=x))
        words = marks.mark_text(align="left", dx=4, dy=-6, fontSize=11, color=look.muted, baseline="bottom")
        layers.append(words.encode(x=x, y=alt.datum(0), text="note:N"))
    return themed(alt.layer(*layers).properties(height=HEIGHT + 40), look)


def placement(frame: pl.DataFrame, colours: Mapping[str, str], look: Look) -> Chart:
    """Where each workload's work is done: a row per workload, a column per kind of hosting, the share in words.

    frame: `plans.matrix`.
    """
    rows = frame.with_columns(
        pl.col("ratio").cast(pl.Float64),
        pl.col("ratio").map_elements(percent, return_dtype=pl.String).alias(SHOWN),
        pl.when(pl.col("ratio") > 0.5).then(pl.lit(look.background)).otherwise(pl.lit(look.text)).alias("ink"),
    )
    names = [v for v in colours if v in set(rows["hosting"])]
    x = alt.X("hosting:N", sort=names, title=None, axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False))
    y = alt.Y("workload:N", sort=None, title=None, axis=alt.Axis(labelLimit=150, ticks=False, domain=False))
    opacity = alt.Opacity("ratio:Q", scale=alt.Scale(domain=[0, 1], range=[0.15, 0.85]), legend=None)
    tips = [alt.Tooltip("workload:N"), alt.Tooltip("hosting:N"), alt.Tooltip(f"{SHOWN}:N", title="share of its work")]
    cells = chart_of(rows).mark_rect(cornerRadius=3, stroke=look.background, strokeWidth=3)
    ink = alt.Color("ink:N", scale=None)
    words = chart_of(rows).mark_text(fontSize=12).encode(x=x, y=y, text=f"{SHOWN}:N", color=ink)
    colour = colour_scale(names, colours, look, legend=False, field="hosting")
    drawn = alt.layer(cells.encode(x=x, y=y, color=colour, opacity=opacity, tooltip=tips), words)
    return themed(drawn.properties(height=max(90, 42 * rows["workload"].n_unique() + 40)), look)


def _apart(rows: pl.DataFrame, field: str) -> pl.DataFrame:
    """The rows with places for their labels that do not overlap: at least a twentieth of the range between two."""
    room = float(rows[field].max() or 1) / 18  # type: ignore[arg-type]
    ordered = rows.sort(field)
    places: list[float] = []
    for amount in ordered[field]:
        places.append(max(amount, places[-1] + room) if places else amount)
    return ordered.with_columns(pl.Series("label_at", places))
