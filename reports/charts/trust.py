"""Charts of trust: which months of which source tie out to their invoice."""

from typing import Final

import altair as alt
import polars as pl

from finops.reconciliation import EXPLAINED, NO_CHARGES, NO_INVOICE, QUARANTINED, RESIDUAL, TIED_OUT
from reports.charts.canvas import Chart, chart_of, themed
from reports.theme import Look
from reports.views.movement import START

ROW_HEIGHT: Final = 40


def invoices_grid(frame: pl.DataFrame, look: Look, *, words: dict[str, str]) -> Chart:
    """A cell for each source and month, coloured by whether it ties out and saying what does not.

    frame: columns source_id, start, status, open and shown. words: each status as people say it.
    """
    tints = {
        TIED_OUT: look.good, EXPLAINED: look.palette[1], QUARANTINED: look.palette[1], RESIDUAL: look.bad,
        NO_CHARGES: look.bad, NO_INVOICE: look.grid,
    }  # fmt: skip
    rows = frame.with_columns(
        pl.col("status").replace(words).alias("said"),
        pl.col("status").replace(tints).alias("tint"),
        pl.when(pl.col("status") == NO_INVOICE)
        .then(pl.lit(look.muted))
        .otherwise(pl.lit(look.background))
        .alias("ink"),
        pl.col("open").fill_null("closed").alias("state"),
    )
    base = chart_of(rows).encode(
        x=alt.X(f"yearmonth({START}):O", title=None, axis=alt.Axis(
            format="%b %y", labelAngle=0, ticks=False, domain=False, orient="top", labelOverlap="greedy",
        )),
        y=alt.Y("source_id:N", title=None, axis=alt.Axis(ticks=False, domain=False)),
        tooltip=[
            alt.Tooltip("source_id:N", title="source"), alt.Tooltip(f"{START}:T", title="month", format="%B %Y"),
            alt.Tooltip("said:N", title="status"), alt.Tooltip("shown:N", title="residual"),
            alt.Tooltip("state:N", title="open"),
        ],
    )  # fmt: skip
    cells = base.mark_rect(stroke=look.background, strokeWidth=3, cornerRadius=4).encode(
        color=alt.Color("tint:N", scale=None)
    )
    texts = base.mark_text(fontSize=12).encode(text="shown:N", color=alt.Color("ink:N", scale=None))
    height = ROW_HEIGHT * frame["source_id"].n_unique()
    return themed(alt.layer(cells, texts).properties(height=max(height, ROW_HEIGHT)), look)
