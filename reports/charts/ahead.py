"""What is to come: a forecast with its bands, the cost of each hosting choice, and where each workload runs."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

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
from reports.views.outlook import BANDS, IS_PART
from reports.views.spend import COST
from reports.views.words import percent

FAN: Final = (("p025", "p975", 0.12), ("p05", "p95", 0.1), ("p10", "p90", 0.16))
"""The bands from the widest on, each laid over those before it."""


def outlook(actual: pl.DataFrame, forecast: pl.DataFrame, look: Look, *, currency: str, origin: date) -> Chart:
    """What was spent each day, then the forecast with its 80 %, 90 % and 95 % bands; days billed in part are paler.

    actual: columns start and cost; days after the origin are what is billed of them so far. forecast: columns date,
    BANDS and is_part.
    """
    axis = alt.Axis(format="%b %Y", tickCount="month", grid=False)
    past = actual.select(pl.col(START).alias("day"), pl.col(COST).cast(pl.Float64).alias(AMOUNT))
    ahead = forecast.rename({"date": "day"})
    ends = [min([*past["day"], *ahead["day"]]), max(ahead["day"]) + timedelta(days=len(ahead) // 12 + 2)]
    x = alt.X("day:T", title=None, axis=axis, scale=alt.Scale(domain=[f"{day}" for day in ends]))
    # a far band would press everything else to the ground: it may leave the chart at the top
    top = max([*past[AMOUNT], *ahead["p90"]], default=1.0) * 1.3
    scale = alt.Scale(domain=[min([0.0, *past[AMOUNT]]), top])
    y = alt.Y(f"{AMOUNT}:Q", title=f"{currency} a day", axis=alt.Axis(format=AXIS_FORMAT, tickCount=5), scale=scale)
    day = alt.Tooltip("day:T", title="day", format="%a %-d %b %Y")
    coming, part = chart_of(ahead), ahead.filter(IS_PART)
    p50 = alt.Y("p50:Q", scale=scale)
    tips = [day, *(alt.Tooltip(f"{q}:Q", title=q, format=",.0f") for q in BANDS if q != "p50"),
            alt.Tooltip("p50:Q", title=f"expected, {currency}", format=",.0f")]  # fmt: skip
    layers: list[Any] = [
        *(
            coming.mark_area(opacity=pale, color=look.accent, clip=True).encode(
                x=x, y=alt.Y(f"{low}:Q", scale=scale), y2=f"{high}:Q"
            )
            for low, high, pale in FAN
        ),
        chart_of(past.filter(pl.col("day") <= origin)).mark_line(strokeWidth=1.6, color=look.text).encode(
            x=x, y=y, tooltip=[day, money_tip(currency)]
        ),
        chart_of(past.filter(pl.col("day") >= origin)).mark_line(strokeWidth=1.4, color=look.text, opacity=0.35).encode(
            x=x, y=y, tooltip=[day, money_tip(f"billed so far, {currency}")]
        ),
        chart_of(ahead.filter(~pl.col(IS_PART))).mark_line(strokeWidth=2.2, color=look.accent).encode(
            x=x, y=p50, tooltip=tips
        ),
        chart_of(part).mark_line(strokeWidth=2.2, strokeDash=[2, 2], color=look.accent, opacity=0.6).encode(
            x=x, y=p50, tooltip=tips
        ),
        *_named_bands(ahead, x, scale, look),
    ]  # fmt: skip
    notes = [(origin, "forecast")] if part.is_empty() else [(origin, "billed in part"), (max(part["day"]), "forecast")]
    layers.extend(notes_at(notes if len(part) > 9 else [(origin, "forecast")], look, x=x))
    return themed(alt.layer(*layers).properties(height=HEIGHT + 20), look)


def _named_bands(ahead: pl.DataFrame, x: alt.X, scale: alt.Scale, look: Look) -> list[Any]:
    """The words "expected", "80 %" and "95 %" at the end of the forecast, where they have room."""
    last = ahead.tail(1)
    top: Any = scale.to_dict()["domain"][1]
    words = [("p50", "expected"), ("p90", "80 %"), ("p975", "95 %")]
    places = {field: float(last[field][0]) for field, _ in words}
    apart = [w for i, w in enumerate(words) if i == 0 or places[w[0]] - places[words[i - 1][0]] > top / 22]
    return [
        chart_of(last).mark_text(align="left", dx=5, fontSize=11, color=look.accent, text=word)
        .encode(x=x, y=alt.Y(f"{field}:Q", scale=scale))
        for field, word in apart
        if places[field] < top
    ]  # fmt: skip


def added_up(
    frame: pl.DataFrame, look: Look, *, currency: str, budget: tuple[float, str] | None = None,
    run_out: date | None = None,
) -> Chart:  # fmt: skip
    """A period's cost added up day by day, then the fan to its end, beside the budget and the day that passes it.

    frame: columns day, spent, p025, p10, p50, p90, p975. budget: its amount and its name.
    """
    x = alt.X("day:T", title=None, axis=alt.Axis(format="%-d %b", tickCount=10, grid=False))
    last = frame.tail(1)
    scale = alt.Scale(domain=[0, max(float(last["p975"][0]), budget[0] if budget else 0.0) * 1.08])
    y = alt.Y("spent:Q", title=f"{currency}, added up", axis=alt.Axis(format=AXIS_FORMAT, tickCount=5), scale=scale)
    day = alt.Tooltip("day:T", title="to", format="%a %-d %b %Y")
    p50 = alt.Y("p50:Q", scale=scale)
    coming = frame.drop_nulls("p50")
    tips = [day, *(alt.Tooltip(f"{q}:Q", title=q, format=",.0f") for q in ("p10", "p50", "p90"))]
    layers: list[Any] = [
        *(
            chart_of(coming).mark_area(opacity=pale, color=look.accent).encode(
                x=x, y=alt.Y(f"{low}:Q", scale=scale), y2=f"{high}:Q"
            )
            for low, high, pale in (("p025", "p975", 0.16), ("p10", "p90", 0.26))
        ),
        chart_of(frame.drop_nulls("spent")).mark_line(strokeWidth=2.2, color=look.text).encode(
            x=x, y=y, tooltip=[day, alt.Tooltip("spent:Q", title=f"spent, {currency}", format=",.0f")]
        ),
        chart_of(coming).mark_line(strokeWidth=2.2, color=look.accent).encode(x=x, y=p50, tooltip=tips),
    ]  # fmt: skip
    if budget is not None:
        line = pl.DataFrame({"amount": [budget[0]], "day": [frame["day"][0]], "word": [budget[1]]})
        rule = alt.Y("amount:Q", scale=scale)
        layers.append(chart_of(line).mark_rule(color=look.bad, strokeWidth=1.6).encode(y=rule))
        words = chart_of(line).mark_text(align="left", dx=4, dy=-7, fontSize=12, color=look.bad)
        layers.append(words.encode(x=x, y=rule, text="word:N"))
    notes = [(coming["day"][0], "billed to here")]
    layers.extend(notes_at([*notes, *([(run_out, "runs out")] if run_out else [])], look))
    return themed(alt.layer(*layers).properties(height=HEIGHT + 20), look)


def coverage(frame: pl.DataFrame, look: Look) -> Chart:
    """How often bands held, a dot each, beside how often they should: the line of the same colour.

    frame: columns ahead (in words, in their order), band (80 or 95 in percent), held and nominal as ratios.
    """
    tints = alt.Scale(domain=["80 % band", "95 % band"], range=[look.accent, look.palette[1]])
    colour = alt.Color("band:N", scale=tints, legend=alt.Legend())
    scale = alt.Scale(domain=[min([0.5, *frame["held"].drop_nulls()]), 1.0], zero=False)
    x = alt.X("held:Q", title="days within the band", scale=scale, axis=alt.Axis(format=".0%", tickCount=6))
    y = alt.Y("ahead:N", sort=None, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=160))
    tips = [
        alt.Tooltip("ahead:N", title="days ahead"), alt.Tooltip("band:N"),
        alt.Tooltip("held:Q", title="held", format=".0%"), alt.Tooltip("nominal:Q", title="should hold", format=".0%"),
    ]  # fmt: skip
    dots = chart_of(frame.drop_nulls("held")).mark_point(filled=True, size=110).encode(
        x=x, y=y, color=colour, tooltip=tips
    )  # fmt: skip
    rules = chart_of(frame.unique("band", maintain_order=True)).mark_rule(strokeWidth=1.6, strokeDash=[5, 3])
    drawn = alt.layer(rules.encode(x=alt.X("nominal:Q", scale=scale), color=colour), dots)
    return themed(drawn.properties(height=34 * frame["ahead"].n_unique() + 40), look)


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
