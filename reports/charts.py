"""The charts of the app and of reports: one idea each, drawn from the frames of reports.views in the tokens of a Look.

Amounts become floats here and nowhere before: a chart is drawn to the pixel, not to the cent.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import altair as alt
import polars as pl

from finops.scope import said
from reports.theme import FONT, OTHER, Look, label
from reports.views.movement import CHANGE, START, VALUE
from reports.views.spend import COST
from reports.views.words import compact, percent

Chart = alt.LayerChart | alt.FacetChart
MAX_CATEGORIES: Final = 7
HEIGHT: Final = 300
AMOUNT, SHOWN, EARLIER = "amount", "shown", "earlier"
_AXIS_FORMAT: Final = "~s"


def spend_over_time(
    frame: pl.DataFrame, colours: Mapping[str, str], look: Look, *, currency: str, step: str,
    focus: tuple[date, date] | None = None, last_day: date | None = None, notes: Sequence[tuple[date, str]] = (),
) -> Chart:  # fmt: skip
    """Stacked bars from zero, one per step; the period in focus stands out, and the step that is not over yet is paler.

    frame: `movement.trend` with a value column. last_day: the newest day of data. notes: days with something to say.
    """
    top = grouped(frame, VALUE)
    bars = top.with_columns(_incomplete(pl.col(START), step, last_day).alias("incomplete")).with_columns(
        pl.when("incomplete").then(0.4).when(_within(pl.col(START), focus)).then(1.0).otherwise(0.6).alias("opacity")
    )
    order = [v for v in colours if v in set(bars[VALUE])] + ([OTHER] if OTHER in set(bars[VALUE]) else [])
    base = _chart(bars).encode(x=_time_axis(step, bars))
    marks = base.mark_bar().encode(
        y=_amount_axis(currency),
        color=_scale(order, colours, look, legend=True),
        order=alt.Order("rank:Q"),
        opacity=alt.Opacity("opacity:Q", scale=None, legend=None),
        tooltip=[_day_tip(step), alt.Tooltip(f"{VALUE}:N", title="what"), _money_tip(currency)],
    )
    layers: list[Any] = [marks]
    open_steps = bars.filter("incomplete").group_by(START).agg(pl.col(AMOUNT).sum())
    if len(open_steps):
        text = f"to {last_day:%-d %b}" if last_day else "so far"
        layers.append(
            _chart(open_steps.with_columns(pl.lit(text).alias(SHOWN)))
            .mark_text(dy=-8, fontSize=11, color=look.muted)
            .encode(x=_time_axis(step, bars), y=f"{AMOUNT}:Q", text=f"{SHOWN}:N")
        )
    layers.extend(_notes(notes, look, x=_time_axis(step, bars), step=step))
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
    tips = [alt.Tooltip(f"{VALUE}:N", title=dimension), _money_tip(currency)]
    if second is None:
        bars = (
            _chart(totals).mark_bar(cornerRadiusEnd=2)
            .encode(x=_amount_axis(currency, "x"), y=y, color=_scale(order, colours, look, legend=False), tooltip=tips)
        )  # fmt: skip
    else:
        parts = grouped(frame.with_columns(_labelled("part").alias("part")), "part")
        keep = (
            parts.with_columns(
                pl.when(_labelled(VALUE).is_in(order)).then(_labelled(VALUE)).otherwise(pl.lit(OTHER)).alias(VALUE)
            )
            .group_by(VALUE, "part", "rank")
            .agg(pl.col(AMOUNT).sum())
        )
        names = [v for v in colours if v in set(keep["part"])] + ([OTHER] if OTHER in set(keep["part"]) else [])
        bars = (
            _chart(keep).mark_bar()
            .encode(
                x=_amount_axis(currency, "x"), y=y, color=_scale(names, colours, look, legend=True, field="part"),
                order=alt.Order("rank:Q"), tooltip=[*tips, alt.Tooltip("part:N", title=second)],
            )
        )  # fmt: skip
    labels = (
        _chart(totals.with_columns(pl.col(AMOUNT).map_elements(compact, return_dtype=pl.String).alias(SHOWN)))
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
        _labelled(VALUE).alias(VALUE),
        pl.col(CHANGE).cast(pl.Float64).alias(AMOUNT),
        pl.col(CHANGE).map_elements(lambda v: compact(v, signed=True), return_dtype=pl.String).alias(SHOWN),
        pl.when(pl.col(CHANGE) > 0).then(pl.lit("rose")).otherwise(pl.lit("fell")).alias("way"),
    )
    order = rows[VALUE].to_list()
    y = alt.Y(f"{VALUE}:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
    reach = max(rows[AMOUNT].abs(), default=1) * 1.35  # room for the words beyond the bars
    domain = [-reach if min(rows[AMOUNT], default=0) < 0 else 0, reach if max(rows[AMOUNT], default=0) > 0 else 0]
    axis = alt.Axis(format=_AXIS_FORMAT, tickCount=5)
    x = alt.X(f"{AMOUNT}:Q", title=f"change, {currency}", axis=axis, scale=alt.Scale(domain=domain))
    bars = _chart(rows).mark_bar(cornerRadius=2).encode(
        x=x, y=y,
        color=alt.Color("way:N", scale=alt.Scale(domain=["rose", "fell"], range=[look.bad, look.good]), legend=None),
        tooltip=[alt.Tooltip(f"{VALUE}:N", title="what"), alt.Tooltip(f"{SHOWN}:N", title=f"change, {currency}")],
    )  # fmt: skip
    up = _chart(rows.filter(pl.col(AMOUNT) > 0)).mark_text(align="left", dx=5, fontSize=11, color=look.text)
    down = _chart(rows.filter(pl.col(AMOUNT) <= 0)).mark_text(align="right", dx=-5, fontSize=11, color=look.text)
    texts = [mark.encode(x=x, y=y, text=f"{SHOWN}:N") for mark in (up, down)]
    return themed(alt.layer(bars, *texts).properties(height=max(120, 28 * len(order) + 30)), look)


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
    axis = alt.Axis(format=_AXIS_FORMAT, tickCount=5)
    scale = alt.Scale(domain=[min([0.0, *past[AMOUNT]]), top])
    y = alt.Y(f"{AMOUNT}:Q", title=f"{currency} a day", axis=axis, scale=scale)
    coming = _chart(ahead)
    layers: list[Any] = [
        *(
            coming.mark_area(opacity=pale, color=look.accent, clip=True).encode(
                x=x, y=alt.Y(f"{low}:Q", scale=scale), y2=f"{high}:Q"
            )
            for low, high, pale in (("p025", "p975", 0.16), ("p10", "p90", 0.28))
        ),
        _chart(past).mark_line(strokeWidth=1.6, color=look.text).encode(
            x=x, y=y, tooltip=[alt.Tooltip("day:T", title="day", format="%-d %b %Y"), _money_tip(currency)]
        ),
        coming.mark_line(strokeWidth=2.2, color=look.accent).encode(
            x=x, y=alt.Y("p50:Q", scale=scale),
            tooltip=[alt.Tooltip("day:T", title="day", format="%-d %b %Y"),
                     *(alt.Tooltip(f"{q}:Q", title=q, format=",.0f") for q in ("p10", "p50", "p90"))],
        ),
    ]  # fmt: skip
    layers.extend(_notes([(origin, "forecast")], look))
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
    y = alt.Y(f"{AMOUNT}:Q", title=f"cumulative cost, {currency}", axis=alt.Axis(format=_AXIS_FORMAT, tickCount=5))
    colour = _scale(names, colours, look, legend=False, field="choice")
    lines = _chart(rows).mark_line(strokeWidth=2.4).encode(
        x=x, y=y, color=colour,
        tooltip=[alt.Tooltip("choice:N"), alt.Tooltip("month:Q"), _money_tip(currency)],
    )  # fmt: skip
    ends = _chart(_apart(last, AMOUNT)).mark_text(align="left", dx=6, fontSize=11).encode(
        x=x, y=alt.Y("label_at:Q"), text="choice:N", color=colour
    )  # fmt: skip
    layers: list[Any] = [lines, ends]
    if crossings:
        marks = _chart(pl.DataFrame({"month": [m for m, _ in crossings], "note": [n for _, n in crossings]}))
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
    y = alt.Y("workload:N", sort=None, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
    opacity = alt.Opacity("ratio:Q", scale=alt.Scale(domain=[0, 1], range=[0.15, 0.85]), legend=None)
    tips = [alt.Tooltip("workload:N"), alt.Tooltip("hosting:N"), alt.Tooltip(f"{SHOWN}:N", title="share of its work")]
    cells = _chart(rows).mark_rect(cornerRadius=3, stroke=look.background, strokeWidth=3)
    ink = alt.Color("ink:N", scale=None)
    words = _chart(rows).mark_text(fontSize=12).encode(x=x, y=y, text=f"{SHOWN}:N", color=ink)
    colour = _scale(names, colours, look, legend=False, field="hosting")
    drawn = alt.layer(cells.encode(x=x, y=y, color=colour, opacity=opacity, tooltip=tips), words)
    return themed(drawn.properties(height=max(90, 42 * rows["workload"].n_unique() + 40)), look)


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
    axis = alt.Axis(format=_AXIS_FORMAT, tickCount=5)
    x = alt.X(
        f"{AMOUNT}:Q", title=currency, axis=axis, scale=alt.Scale(domain=[0, max(rows["reach"], default=1) * 1.3])
    )
    colour = alt.Color("over:N", legend=None, scale=alt.Scale(domain=[False, True], range=[look.good, look.bad]))
    tips = [alt.Tooltip("budgeted:N", title="budget"), _money_tip(currency), alt.Tooltip("standing:N")]
    bars = _chart(rows).mark_bar(size=13).encode(x=x, y=y, color=colour, tooltip=tips)
    ticks = _chart(rows).mark_tick(thickness=3, size=24, color=look.text).encode(x="target:Q", y=y)
    words = _chart(rows).mark_text(align="left", dx=8, fontSize=11, color=look.text)
    drawn = alt.layer(bars, ticks, words.encode(x="reach:Q", y=y, text="standing:N"))
    return themed(drawn.properties(height=max(80, 34 * len(order) + 40)), look)


def grouped(frame: pl.DataFrame, field: str, *, limit: int = MAX_CATEGORIES) -> pl.DataFrame:
    """The frame with its values as labels, all but the largest `limit` of them in one "(other)"; amount, and the rank
    that stacks them."""
    rows = frame.with_columns(_labelled(field).alias(field), pl.col(COST).cast(pl.Float64).alias(AMOUNT))
    ranked = (
        rows.group_by(field).agg(pl.col(AMOUNT).sum()).sort(AMOUNT, field, descending=[True, False])[field].to_list()
    )
    kept = ranked if len(ranked) <= limit + 1 else ranked[:limit]
    place = {value: i for i, value in enumerate(kept)}
    keys = [c for c in rows.columns if c in (START, VALUE, "part")]
    return (
        rows.with_columns(pl.when(pl.col(field).is_in(kept)).then(pl.col(field)).otherwise(pl.lit(OTHER)).alias(field))
        .group_by(*keys, maintain_order=True)
        .agg(pl.col(AMOUNT).sum())
        .with_columns(pl.col(field).replace_strict(place, default=len(place)).alias("rank"))
    )


def themed(chart: Chart, look: Look) -> Chart:
    """The chart in the look's fonts, greys and background, as wide as its place."""
    drawn: Chart = (
        chart.properties(width="container", background=look.background)
        .configure(font=FONT, padding={"left": 4, "top": 8, "right": 12, "bottom": 4})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=look.muted, titleColor=look.muted, gridColor=look.grid, domainColor=look.grid,
            tickColor=look.grid, labelPadding=6, labelFontSize=12, titleFontSize=12, titleFontWeight="normal",
        )
        .configure_legend(
            orient="top", title=None, labelColor=look.text, labelFontSize=12, symbolType="square", columns=8,
            labelLimit=160,
        )
        .configure_text(font=FONT)
    )  # fmt: skip
    return drawn


def _chart(frame: pl.DataFrame) -> alt.Chart:
    """A chart over the frame; Vega knows no decimals."""
    return alt.Chart(frame.with_columns(pl.col(pl.Decimal).cast(pl.Float64)))


def _labelled(field: str) -> pl.Expr:
    return pl.col(field).map_elements(label, return_dtype=pl.String, skip_nulls=False)


def _scale(
    names: Sequence[str], colours: Mapping[str, str], look: Look, *, legend: bool, field: str = VALUE
) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=[colours.get(n, look.context) for n in names])
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend() if legend else None)


def _amount_axis(currency: str, channel: str = "y") -> Any:
    axis = alt.Axis(format=_AXIS_FORMAT, tickCount=5)
    make = alt.Y if channel == "y" else alt.X
    return make(f"{AMOUNT}:Q", title=currency, axis=axis, stack="zero")


def _time_axis(step: str, bars: pl.DataFrame) -> alt.X:
    if step == "day" and bars[START].n_unique() > 45:
        return alt.X(f"{START}:T", title=None, axis=alt.Axis(format="%b %Y", tickCount="month", grid=False))
    shown = {"month": "%b %y", "week": "%-d %b", "day": "%-d %b"}[step]
    unit = {"month": "yearmonth", "week": "yearmonthdate", "day": "yearmonthdate"}[step]
    return alt.X(
        f"{unit}({START}):O", title=None, axis=alt.Axis(format=shown, labelAngle=0, labelOverlap="greedy", ticks=False)
    )


def _day_tip(step: str) -> alt.Tooltip:
    return alt.Tooltip(f"{START}:T", title=step, format="%B %Y" if step == "month" else "%-d %b %Y")


def _money_tip(currency: str) -> alt.Tooltip:
    return alt.Tooltip(f"{AMOUNT}:Q", title=currency, format=",.0f")


def _within(start: pl.Expr, focus: tuple[date, date] | None) -> pl.Expr:
    return pl.lit(True) if focus is None else start.is_between(*focus)


def _incomplete(start: pl.Expr, step: str, last_day: date | None) -> pl.Expr:
    if last_day is None or step == "day":
        return pl.lit(False)
    return start.dt.offset_by({"week": "1w", "month": "1mo"}[step]).dt.offset_by("-1d") > last_day


def _notes(notes: Sequence[tuple[date, str]], look: Look, *, x: alt.X | None = None, step: str = "day") -> list[Any]:
    if not notes:
        return []
    place = alt.X("day:T") if x is None else x
    every = {"day": "1d", "week": "1w", "month": "1mo"}[step]
    marks = pl.DataFrame(
        {"day": [day for day, _ in notes], "note": [text for _, text in notes]}, schema_overrides={"day": pl.Date}
    ).with_columns(pl.col("day").dt.truncate(every).alias(START))
    marks = marks.group_by(START, maintain_order=True).agg(pl.col("day").first(), pl.col("note").str.join(", "))
    base = _chart(marks).encode(x=place)
    return [
        base.mark_rule(strokeDash=[4, 4], color=look.muted),
        base.mark_text(align="left", dx=4, dy=4, fontSize=11, color=look.muted, baseline="top").encode(
            y=alt.value(0), text="note:N"
        ),
    ]


def _apart(rows: pl.DataFrame, field: str) -> pl.DataFrame:
    """The rows with places for their labels that do not overlap: at least a twentieth of the range between two."""
    room = float(rows[field].max() or 1) / 18  # type: ignore[arg-type]
    ordered = rows.sort(field)
    places: list[float] = []
    for amount in ordered[field]:
        places.append(max(amount, places[-1] + room) if places else amount)
    return ordered.with_columns(pl.Series("label_at", places))
