"""What charts are drawn with: axes, colours, labels and notes in the tokens of a Look."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import altair as alt
import polars as pl

from reports.theme import FONT, OTHER, Look, label
from reports.views.movement import START, VALUE
from reports.views.spend import COST

Chart = alt.LayerChart | alt.FacetChart
MAX_CATEGORIES: Final = 7
HEIGHT: Final = 300
AMOUNT, SHOWN = "amount", "shown"
AXIS_FORMAT: Final = "~s"


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


def grouped(frame: pl.DataFrame, field: str, *, limit: int = MAX_CATEGORIES) -> pl.DataFrame:
    """The frame with its values as labels, all but the largest `limit` of them in one "(other)"; amount, and the rank
    that stacks them."""
    rows = frame.with_columns(labelled(field).alias(field), pl.col(COST).cast(pl.Float64).alias(AMOUNT))
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


def chart_of(frame: pl.DataFrame) -> alt.Chart:
    """A chart over the frame; Vega knows no decimals."""
    return alt.Chart(frame.with_columns(pl.col(pl.Decimal).cast(pl.Float64)))


def labelled(field: str) -> pl.Expr:
    """A column as its labels."""
    return pl.col(field).map_elements(label, return_dtype=pl.String, skip_nulls=False)


def colour_scale(
    names: Sequence[str], colours: Mapping[str, str], look: Look, *, legend: bool, field: str = VALUE
) -> alt.Color:
    """The colour of each name; those without one are grey."""
    scale = alt.Scale(domain=list(names), range=[colours.get(n, look.context) for n in names])
    return alt.Color(f"{field}:N", scale=scale, legend=alt.Legend() if legend else None)


def amount_axis(currency: str, channel: str = "y") -> Any:
    """An axis of amounts from zero."""
    axis = alt.Axis(format=AXIS_FORMAT, tickCount=5)
    make = alt.Y if channel == "y" else alt.X
    return make(f"{AMOUNT}:Q", title=currency, axis=axis, stack="zero")


def time_axis(step: str, bars: pl.DataFrame) -> alt.X:
    """An axis of days, weeks or months, each with its name."""
    if step == "day" and bars[START].n_unique() > 45:
        return alt.X(f"{START}:T", title=None, axis=alt.Axis(format="%b %Y", tickCount="month", grid=False))
    shown = {"month": "%b %y", "week": "%-d %b", "day": "%-d %b"}[step]
    unit = {"month": "yearmonth", "week": "yearmonthdate", "day": "yearmonthdate"}[step]
    return alt.X(
        f"{unit}({START}):O", title=None,
        axis=alt.Axis(format=shown, labelAngle=0, labelOverlap="greedy", labelSeparation=8, ticks=False),
    )  # fmt: skip


def day_tip(step: str) -> alt.Tooltip:
    """The tooltip of a day, week or month."""
    return alt.Tooltip(f"{START}:T", title=step, format="%B %Y" if step == "month" else "%-d %b %Y")


def money_tip(currency: str) -> alt.Tooltip:
    """The tooltip of an amount."""
    return alt.Tooltip(f"{AMOUNT}:Q", title=currency, format=",.0f")


def notes_at(notes: Sequence[tuple[date, str]], look: Look, *, x: alt.X | None = None, step: str = "day") -> list[Any]:
    """A line with its text at each day that has something to say."""
    if not notes:
        return []
    place = alt.X("day:T") if x is None else x
    every = {"day": "1d", "week": "1w", "month": "1mo"}[step]
    marks = pl.DataFrame(
        {"day": [day for day, _ in notes], "note": [text for _, text in notes]}, schema_overrides={"day": pl.Date}
    ).with_columns(pl.col("day").dt.truncate(every).alias(START))
    marks = marks.group_by(START, maintain_order=True).agg(pl.col("day").first(), pl.col("note").str.join(", "))
    base = chart_of(marks).encode(x=place)
    return [
        base.mark_rule(strokeDash=[4, 4], color=look.muted),
        base.mark_text(align="left", dx=4, dy=4, fontSize=11, color=look.muted, baseline="top").encode(
            y=alt.value(0), text="note:N"
        ),
    ]


def incomplete(start: pl.Expr, step: str, last_day: date | None) -> pl.Expr:
    """Whether a week or month ends after the newest day of data."""
    if last_day is None or step == "day":
        return pl.lit(False)
    return start.dt.offset_by({"week": "1w", "month": "1mo"}[step]).dt.offset_by("-1d") > last_day
