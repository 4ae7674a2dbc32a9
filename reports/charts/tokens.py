"""Tokens: what moved their cost, the mix of models, and figures month by month."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from itertools import accumulate
from typing import Any, Literal

import altair as alt
import polars as pl

from reports.charts.canvas import (
    AMOUNT,
    HEIGHT,
    SHOWN,
    Chart,
    chart_of,
    colour_scale,
    day_tip,
    grouped,
    incomplete,
    themed,
    time_axis,
)
from reports.theme import OTHER, Look
from reports.views.movement import START, VALUE
from reports.views.words import compact, percent

PANEL_HEIGHT = 130
Unit = Literal["amount", "rate", "ratio"]


def bridge(
    steps: Sequence[tuple[str, Decimal]], look: Look, *, currency: str, start: Decimal = Decimal(0)
) -> Chart:  # fmt: skip
    """A waterfall from the first amount over signed changes to the last, each named with its amount.

    steps: the amount before, the changes, the amount now, each with its name. start: where the axis begins, which it
    then says; see `bridge_start`.
    """
    (first, before), *moves, (last, now) = steps
    rows: list[dict[str, Any]] = [_total(first, before, "before", start)]
    level = before
    for name, move in moves:
        way = "rose" if move > 0 else "fell"
        said = compact(move, signed=True) if round(move, 2) else "0"
        rows.append({VALUE: name, "low": level, "high": level + move, "way": way, SHOWN: said})
        level += move
    rows.append(_total(last, now, "now", start))
    frame = pl.DataFrame(rows).with_columns(
        pl.col("low", "high").cast(pl.Float64), top=pl.max_horizontal("low", "high").cast(pl.Float64)
    )
    x = alt.X(f"{VALUE}:N", sort=frame[VALUE].to_list(), title=None, scale=alt.Scale(paddingInner=0.25),
              axis=alt.Axis(labelAngle=0, ticks=False, labelExpr="split(datum.label, ' ')"))  # fmt: skip
    highest, lowest = max(frame["top"]), min(float(start), *frame["low"], *frame["high"])
    room = alt.Scale(domain=[lowest, highest + (highest - lowest) * 0.1 or 1])
    title = f"{currency}, from {compact(start)}" if start else currency
    y = alt.Y("low:Q", title=title, axis=alt.Axis(format="~s", tickCount=5), scale=room)
    scale = alt.Scale(domain=["before", "now", "rose", "fell"], range=[look.context, look.accent, look.bad, look.good])
    tips = [alt.Tooltip(f"{VALUE}:N", title="what"), alt.Tooltip(f"{SHOWN}:N", title=currency)]
    base = chart_of(frame).encode(x=x)
    bars = base.mark_bar(cornerRadius=2).encode(
        y=y, y2="high:Q", color=alt.Color("way:N", scale=scale, legend=None), tooltip=tips
    )
    words = base.mark_text(dy=-8, fontSize=12, color=look.text).encode(y=alt.Y("top:Q", scale=room), text=f"{SHOWN}:N")
    return themed(alt.layer(bars, words).properties(height=HEIGHT), look)


def bridge_start(steps: Sequence[tuple[str, Decimal]]) -> Decimal:
    """Where the axis of a bridge begins: at nothing, or, where all steps together are small beside both ends, at a
    round amount below them."""
    levels = [steps[0][1], *accumulate(amount for _, amount in steps[:-1])]
    low, high = min(levels), max(levels)
    if low <= 0 or high == low or high - low > high / 3:
        return Decimal(0)
    room = low - (high - low)
    unit = Decimal(1).scaleb((high - low).adjusted())
    return max(Decimal(0), (room / unit).to_integral_value(ROUND_FLOOR) * unit)


def _total(name: str, amount: Decimal, way: str, start: Decimal) -> dict[str, Any]:
    return {VALUE: name, "low": start, "high": amount, "way": way, SHOWN: compact(amount)}


def mix_over_time(frame: pl.DataFrame, colours: Mapping[str, str], look: Look, *, what: str) -> Chart:
    """Each month's shares as bars of one height.

    frame: columns start, value and cost, which holds what is shared. what: its name.
    """
    rows = grouped(frame, VALUE)
    order = [v for v in colours if v in set(rows[VALUE])] + ([OTHER] if OTHER in set(rows[VALUE]) else [])
    rows = rows.with_columns((pl.col(AMOUNT) / pl.col(AMOUNT).sum().over(START)).alias("ratio")).with_columns(
        pl.col("ratio").map_elements(percent, return_dtype=pl.String).alias(SHOWN)
    )
    bars = chart_of(rows).mark_bar().encode(
        x=time_axis("month", rows),
        y=alt.Y("ratio:Q", title=f"share of {what}", stack="zero", axis=alt.Axis(format=".0%", tickCount=5),
                scale=alt.Scale(domain=[0, 1])),
        color=colour_scale(order, colours, look, legend=True).legend(columns=2, labelLimit=180),
        order=alt.Order("rank:Q"),
        tooltip=[day_tip("month"), alt.Tooltip(f"{VALUE}:N", title="what"), alt.Tooltip(f"{SHOWN}:N", title="share")],
    )  # fmt: skip
    return themed(alt.layer(bars).properties(height=HEIGHT), look)


def panel(frame: pl.DataFrame, field: str, look: Look, *, unit: Unit, last_day: date | None = None) -> Chart:
    """One small figure by month: amounts as bars from zero, rates and ratios as a line; the newest value is written.

    frame: columns start and `field`. last_day: the newest day of data; its month is paler if it is not over.
    """
    rows = frame.drop_nulls(field).with_columns(
        pl.col(field).cast(pl.Float64).alias(AMOUNT),
        pl.col(field).map_elements(percent if unit == "ratio" else compact, return_dtype=pl.String).alias(SHOWN),
        incomplete(pl.col(START), "month", last_day).alias("incomplete"),
    ).with_columns(pl.when("incomplete").then(0.4).otherwise(1.0).alias("opacity"))  # fmt: skip
    base = chart_of(rows).encode(
        x=time_axis("month", rows), tooltip=[day_tip("month"), alt.Tooltip(f"{SHOWN}:N", title="value")]
    )
    axis = alt.Axis(format={"amount": "~s", "rate": ".2f", "ratio": ".0%"}[unit], tickCount=3)
    y = alt.Y(
        f"{AMOUNT}:Q",
        title=None,
        axis=axis,
        scale=alt.Scale(domain=[min([0.0, *rows[AMOUNT]]), max([0.0, *rows[AMOUNT]]) * 1.3 or 1]),
    )
    if unit == "amount":
        opacity = alt.Opacity("opacity:Q", scale=None, legend=None)
        marks = base.mark_bar(color=look.accent).encode(y=y, opacity=opacity)
    else:
        marks = base.mark_line(color=look.accent, strokeWidth=2, point=alt.OverlayMarkDef(size=22, color=look.accent))
        marks = marks.encode(y=y)
    newest = chart_of(rows.sort(START).tail(1)).mark_text(dy=-10, fontSize=12, color=look.text)
    words = newest.encode(x=time_axis("month", rows), y=f"{AMOUNT}:Q", text=f"{SHOWN}:N")
    return themed(alt.layer(marks, words).properties(height=PANEL_HEIGHT), look)
