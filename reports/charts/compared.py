"""Plans compared: where each workload runs in each scenario, and what each assumption does to a plan's cost."""

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl

from reports.charts.canvas import AMOUNT, AXIS_FORMAT, SHOWN, Chart, chart_of, colour_scale, money_tip, themed
from reports.theme import Look
from reports.views.words import compact


def places(frame: pl.DataFrame, colours: Mapping[str, str], look: Look) -> Chart:
    """Where each workload runs: a row per workload, a column per scenario, the kind of hosting in colour and words.

    frame: `scenario_compare.places`.
    """
    names = [v for v in colours if v in set(frame["hosting"])]
    axis = alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False, labelLimit=240)
    x = alt.X("scenario:N", sort=None, title=None, axis=axis)
    y = alt.Y("workload:N", sort=None, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
    tips = [alt.Tooltip("workload:N"), alt.Tooltip("scenario:N"), alt.Tooltip("shown:N", title="runs on")]
    cells = chart_of(frame).mark_rect(cornerRadius=3, stroke=look.background, strokeWidth=3, opacity=0.28)
    colour = colour_scale(names, colours, look, legend=False, field="hosting")
    words = chart_of(frame).mark_text(fontSize=12, color=look.text).encode(x=x, y=y, text="shown:N")
    drawn = alt.layer(cells.encode(x=x, y=y, color=colour, tooltip=tips), words)
    return themed(drawn.properties(height=max(90, 40 * frame["workload"].n_unique() + 40)), look)


def tornado(frame: pl.DataFrame, look: Look, *, currency: str) -> Chart:
    """What each assumption does to a plan's cost: a bar to the left where it falls, to the right where it rises.

    frame: `plan_risk.tornado`; assumptions under which there is no plan have no bar.
    """
    change = pl.col("change").cast(pl.Float64)
    rows = frame.filter(pl.col("change").is_not_null() & (pl.col("change") != 0)).with_columns(
        change.alias(AMOUNT),
        pl.format(
            "{}: {}", "assumption", pl.col("change").map_elements(lambda v: compact(v, signed=True), pl.String)
        ).alias(SHOWN),
        pl.when(change > 0).then(pl.lit(look.bad)).otherwise(pl.lit(look.good)).alias("ink"),
    )
    widest = float(rows[AMOUNT].abs().max() or 1)  # type: ignore[arg-type]
    scale = alt.Scale(domain=[-1.9 * widest, 1.9 * widest])
    x = alt.X(f"{AMOUNT}:Q", title=f"change of cost, {currency}", scale=scale,
              axis=alt.Axis(format=AXIS_FORMAT, tickCount=5))  # fmt: skip
    axis = alt.Axis(labelLimit=240, ticks=False, domain=False)
    y = alt.Y("factor:N", sort=rows["factor"].unique(maintain_order=True).to_list(), title=None, axis=axis)
    base = chart_of(rows).encode(x=x, y=y)
    tips = [alt.Tooltip("factor:N"), alt.Tooltip("assumption:N"), money_tip(currency)]
    layers: list[Any] = [
        base.mark_bar(height=16, opacity=0.85).encode(color=alt.Color("ink:N", scale=None), tooltip=tips),
        chart_of(rows.filter(change > 0)).mark_text(align="left", dx=5, fontSize=11, color=look.text)
        .encode(x=x, y=y, text=f"{SHOWN}:N"),
        chart_of(rows.filter(change < 0)).mark_text(align="right", dx=-5, fontSize=11, color=look.text)
        .encode(x=x, y=y, text=f"{SHOWN}:N"),
        alt.Chart(alt.InlineData([{}])).mark_rule(color=look.muted).encode(x=alt.datum(0)),
    ]  # fmt: skip
    return themed(alt.layer(*layers).properties(height=max(90, 34 * rows["factor"].n_unique() + 40)), look)
