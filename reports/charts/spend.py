"""Spend: over time, by what, what moved, and against its budgets."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import altair as alt
import polars as pl

from finops.scope import said
from reports.charts.canvas import (
    AMOUNT,
    AXIS_FORMAT,
    HEIGHT,
    SHOWN,
    Chart,
    amount_axis,
    chart_of,
    colour_scale,
    day_tip,
    grouped,
    incomplete,
    labelled,
    money_tip,
    notes_at,
    themed,
    time_axis,
)
from reports.theme import OTHER, Look
from reports.views.movement import CHANGE, START, VALUE
from reports.views.words import compact


def spend_over_time(
    frame: pl.DataFrame, colours: Mapping[str, str], look: Look, *, currency: str, step: str,
    focus: tuple[date, date] | None = None, last_day: date | None = None, notes: Sequence[tuple[date, str]] = (),
) -> Chart:  # fmt: skip
    """Stacked bars from zero, one per step; the period in focus stands out, and the step that is not over yet is paler.

    frame: `movement.trend` with a value column. last_day: the newest day of data. notes: days with something to say.
    """
    top = grouped(frame, VALUE)
    bars = top.with_columns(incomplete(pl.col(START), step, last_day).alias("incomplete")).with_columns(
        pl.when("incomplete").then(0.4).when(_within(pl.col(START), focus)).then(1.0).otherwise(0.6).alias("opacity")
    )
    order = [v for v in colours if v in set(bars[VALUE])] + ([OTHER] if OTHER in set(bars[VALUE]) else [])
    base = chart_of(bars).encode(x=time_axis(step, bars))
    marks = base.mark_bar().encode(
        y=amount_axis(currency),
        color=colour_scale(order, colours, look, legend=True),
        order=alt.Order("rank:Q"),
        opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
        tooltip=[day_tip(step), alt.Tooltip(f"{VALUE}:N", title="what"), money_tip(currency)],
    )
    layers: list[Any] = [marks]
    open_steps = bars.filter("incomplete").group_by(START).agg(pl.col(AMOUNT).sum())
    if len(open_steps):
        text = f"to {last_day:%-d %b}" if last_day else "so far"
        layers.append(
            chart_of(open_steps.with_columns(pl.lit(text).alias(SHOWN)))
            .mark_text(dy=-8, fontSize=11, color=look.muted)
            .encode(x=time_axis(step, bars), y=f"{AMOUNT}:Q", text=f"{SHOWN}:N")
        )
    layers.extend(notes_at(notes, look, x=time_axis(step, bars), step=step))
    return themed(alt.layer(*layers).properties(height=HEIGHT), look)


def amounts_by(
    frame: pl.DataFrame, colours: Mapping[str, str], look: Look, *, currency: str, dimension: str,
    second: str | None = None,
) -> Chart:  # fmt: skip
    """Horizontal bars from zero, the largest first, each with its amount; split by a second dimension where named.

    frame: columns `value`, `cost` and, with `second`, `part`.
    """
    totals = grouped(frame, VALUE, limit=12).group_by(VALUE, maintain_order=True).agg(pl.col(AMOUNT).sum())
    order = totals.sort(AMOUNT, descending=True)[VALUE].to_list()
    y = alt.Y(f"{VALUE}:N", sort=order, title=None, axis=alt.Axis(labelLimit=220, ticks=False, domain=False))
    tips = [alt.Tooltip(f"{VALUE}:N", title=dimension), money_tip(currency)]
    if second is None:
        bars = (
            chart_of(totals).mark_bar(cornerRadiusEnd=2)
            .encode(x=amount_axis(currency, "x"), y=y, tooltip=tips,
                    color=colour_scale(order, colours, look, legend=False))
        )  # fmt: skip
    else:
        parts = grouped(frame.with_columns(labelled("part").alias("part")), "part")
        keep = (
            parts.with_columns(
                pl.when(labelled(VALUE).is_in(order)).then(labelled(VALUE)).otherwise(pl.lit(OTHER)).alias(VALUE)
            )
            .group_by(VALUE, "part", "rank")
            .agg(pl.col(AMOUNT).sum())
        )
        names = [v for v in colours if v in set(keep["part"])] + ([OTHER] if OTHER in set(keep["part"]) else [])
        bars = (
            chart_of(keep).mark_bar()
            .encode(
                x=amount_axis(currency, "x"), y=y, color=colour_scale(names, colours, look, legend=True, field="part"),
                order=alt.Order("rank:Q"), tooltip=[*tips, alt.Tooltip("part:N", title=second)],
            )
        )  # fmt: skip
    labels = (
        chart_of(totals.with_columns(pl.col(AMOUNT).map_elements(compact, return_dtype=pl.String).alias(SHOWN)))
        .mark_text(align="left", dx=5, fontSize=11, color=look.text)
        .encode(x=f"{AMOUNT}:Q", y=y, text=f"{SHOWN}:N")
    )
    height = max(120, 26 * len(order) + 30)
    return themed(alt.layer(bars, labels).properties(height=height), look)


def changes(frame: pl.DataFrame, look: Look, *, currency: str, limit: int = 8) -> Chart:
    """What rose and what fell against the period before: bars from zero, signed in words as well as in colour.

    frame: `movement.movers`.
    """
    rows = frame.head(limit).with_columns(
        labelled(VALUE).alias(VALUE),
        pl.col(CHANGE).cast(pl.Float64).alias(AMOUNT),
        pl.col(CHANGE).map_elements(lambda v: compact(v, signed=True), return_dtype=pl.String).alias(SHOWN),
        pl.when(pl.col(CHANGE) > 0).then(pl.lit("rose")).otherwise(pl.lit("fell")).alias("way"),
    )
    order = rows[VALUE].to_list()
    y = alt.Y(f"{VALUE}:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
    reach = max(rows[AMOUNT].abs(), default=1) * 1.35  # room for the words beyond the bars
    domain = [-reach if min(rows[AMOUNT], default=0) < 0 else 0, reach if max(rows[AMOUNT], default=0) > 0 else 0]
    axis = alt.Axis(format=AXIS_FORMAT, tickCount=5)
    x = alt.X(f"{AMOUNT}:Q", title=f"change, {currency}", axis=axis, scale=alt.Scale(domain=domain))
    bars = chart_of(rows).mark_bar(cornerRadius=2).encode(
        x=x, y=y,
        color=alt.Color("way:N", scale=alt.Scale(domain=["rose", "fell"], range=[look.bad, look.good]), legend=None),
        tooltip=[alt.Tooltip(f"{VALUE}:N", title="what"), alt.Tooltip(f"{SHOWN}:N", title=f"change, {currency}")],
    )  # fmt: skip
    up = chart_of(rows.filter(pl.col(AMOUNT) > 0)).mark_text(align="left", dx=5, fontSize=11, color=look.text)
    down = chart_of(rows.filter(pl.col(AMOUNT) <= 0)).mark_text(align="right", dx=-5, fontSize=11, color=look.text)
    texts = [mark.encode(x=x, y=y, text=f"{SHOWN}:N") for mark in (up, down)]
    return themed(alt.layer(bars, *texts).properties(height=max(120, 28 * len(order) + 30)), look)


def budget_use(frame: pl.DataFrame, look: Look, *, currency: str) -> Chart:
    """Each budget as a bar of what it comes to, with its target as a mark; how it fares is said in words beside it.

    frame: `budgets.budgets_of`.
    """
    rows = frame.select(
        pl.col("scope").map_elements(said, return_dtype=pl.String).alias("budgeted"),
        pl.col("landing").cast(pl.Float64).alias(AMOUNT),
        pl.col("budget").cast(pl.Float64).alias("target"),
        pl.max_horizontal("landing", "budget").cast(pl.Float64).alias("reach"),
        (pl.col("variance") > 0).alias("over"),
        "standing",
    )
    order = rows["budgeted"].to_list()
    y = alt.Y("budgeted:N", sort=order, title=None, axis=alt.Axis(labelLimit=200, ticks=False, domain=False))
    axis = alt.Axis(format=AXIS_FORMAT, tickCount=5)
    x = alt.X(
        f"{AMOUNT}:Q", title=currency, axis=axis, scale=alt.Scale(domain=[0, max(rows["reach"], default=1) * 1.3])
    )
    colour = alt.Color("over:N", legend=None, scale=alt.Scale(domain=[False, True], range=[look.good, look.bad]))
    tips = [alt.Tooltip("budgeted:N", title="budget"), money_tip(currency), alt.Tooltip("standing:N")]
    bars = chart_of(rows).mark_bar(size=13).encode(x=x, y=y, color=colour, tooltip=tips)
    ticks = chart_of(rows).mark_tick(thickness=3, size=24, color=look.text).encode(x="target:Q", y=y)
    words = chart_of(rows).mark_text(align="left", dx=8, fontSize=11, color=look.text)
    drawn = alt.layer(bars, ticks, words.encode(x="reach:Q", y=y, text="standing:N"))
    return themed(drawn.properties(height=max(80, 34 * len(order) + 40)), look)


def _within(start: pl.Expr, focus: tuple[date, date] | None) -> pl.Expr:
    return pl.lit(True) if focus is None else start.is_between(*focus)
