"""How good forecasts are: in the backtest, beside simple rules and nominal coverage, and those that were shown."""

from collections.abc import Sequence
from typing import Final

import polars as pl
import streamlit as st

from finops.config import Config
from finops.pipeline import track_record as pipeline
from finops.store import Lake
from forecasting.backtest import POOLED
from forecasting.baselines import RUN_RATE, SEASONAL_NAIVE
from forecasting.method import DEFAULT
from forecasting.metrics import ALL_DAYS, DAYS_AHEAD, NOMINAL
from reports import charts
from reports.screens import parts
from reports.screens.page import Page
from reports.views import accuracy as views
from reports.views.outlook import TOTAL, Outlook, said
from reports.views.words import percent

BY: Final = "outlook_accuracy"
MODELS: Final = {
    DEFAULT: "the default method", RUN_RATE: "the run-rate", SEASONAL_NAIVE: "last week again",
}  # fmt: skip
_BESIDE: Final = {f"wape_{RUN_RATE}": "Run-rate by", f"wape_{SEASONAL_NAIVE}": "Last week by"}
_HELD: Final = {"coverage80": "80 % held", "coverage95": "95 % held"}


def model_name(model: str) -> str:
    """A model in words, with what it says of itself: the default method."""
    name, _, rest = model.partition(" (")
    return MODELS.get(name, name.replace("_", " ")) + (f" ({rest}" if rest else "")


def grouping_name(grouping: str) -> str:
    """A grouping as a choice: All, Purpose, Team and purpose."""
    if grouping in (TOTAL, POOLED):
        return "All"
    return " and ".join(parts.heading(name) if i == 0 else name for i, name in enumerate(grouping.split(",")))


def ahead_name(days_ahead: str) -> str:
    """Which days ahead a figure is of, in words."""
    if days_ahead == ALL_DAYS:
        return "every day"
    if days_ahead[0].isdigit():
        return f"{days_ahead.replace('-', '–')} days ahead"
    return days_ahead if "landing" in days_ahead else f"total to the {days_ahead.replace(' end', chr(39) + 's end')}"


def accuracy(page: Page, names: Sequence[str]) -> None:
    """The backtest by horizon, or by series of a grouping, beside simple rules; and how often bands held."""
    rows = page.compute(views.accuracy)
    own = pl.col("series").is_in(names) & (pl.col("grouping") != TOTAL)
    mine = rows.filter(own | (pl.col("series") == f"{POOLED} {page.currency}"))
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown("##### How good are these forecasts?")
        groupings = [POOLED, *(g for g in mine["grouping"].unique(maintain_order=True) if g != POOLED)]
        by = st.segmented_control(
            "By", groupings, default=POOLED, format_func=grouping_name, key=BY, required=True,
            label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
    judged = mine.filter(pl.col("grouping") == by, pl.col("wape").is_not_null())
    if judged.is_empty():
        st.caption("The history is too short for a backtest: nothing says yet how good the forecasts are.")
        return
    st.markdown(_compared(judged))
    left, right = st.columns([9, 4], gap="medium")
    with left:
        shown = judged.select(
            *([] if by == POOLED else [pl.col("series").map_elements(said, return_dtype=pl.String).alias("part")]),
            pl.col(DAYS_AHEAD).map_elements(ahead_name, return_dtype=pl.String).alias("ahead"),
            "wape", *_BESIDE, *_HELD,
            pl.col("model").map_elements(lambda name: model_name(name).removeprefix("the "), return_dtype=pl.String),
        )  # fmt: skip
        parts.table(
            shown, key="outlook_accuracy_table", file="forecast_accuracy.csv", ratios=("wape", *_BESIDE, *_HELD),
            names={"part": "What", "ahead": "Of", "wape": "Missed by", "model": "Model", **_BESIDE, **_HELD},
            download=lambda: judged,
        )  # fmt: skip
    with right:
        dots = _dots(judged, pooled=by == POOLED)
        if len(dots):
            parts.chart(
                charts.coverage(dots, page.look), key="outlook_coverage",
                says="How often the 80 % and 95 % bands held, beside how often they should",
            )  # fmt: skip
            st.caption("A dot on the line of its colour: the band held as often as it says. Right of it: too wide.")
    origins, horizon = judged.select(pl.col("origins", "horizon").max()).row(0)
    st.caption(
        f"Backtest from {origins} past days, {horizon} days ahead each. Missed by: the sum of all misses over the cost "
        "of those days."
    )


def _compared(judged: pl.DataFrame) -> str:
    """How forecasts did beside the better of the simple rules, over all days, in a sentence."""
    every = judged.filter(pl.col(DAYS_AHEAD) == ALL_DAYS)
    own, *simple = every.select(pl.col("wape", *_BESIDE).mean()).row(0)
    known = [value for value in simple if value is not None]
    if own is None or not known:
        return ""
    way = "less" if own <= min(known) else "more"
    return (
        f"Past forecasts missed a day's cost by **{percent(own)}**, {percent(abs(1 - own / min(known)))} {way} than "
        f"the better of two simple rules (run-rate {percent(simple[0])}, last week again {percent(simple[1])})."
    )


def _dots(judged: pl.DataFrame, *, pooled: bool) -> pl.DataFrame:
    """Coverage to be drawn: by days ahead where all is pooled, else of all days by series."""
    rows = judged if pooled else judged.filter(pl.col(DAYS_AHEAD) == ALL_DAYS)
    named = (
        pl.col(DAYS_AHEAD).map_elements(ahead_name, return_dtype=pl.String)
        if pooled
        else pl.col("series").map_elements(said, return_dtype=pl.String)
    )
    return pl.concat(
        rows.filter(pl.col(name).is_not_null()).select(
            named.alias("ahead"), pl.lit(f"{share:.0%}".replace("%", " % band")).alias("band"),
            pl.col(name).alias("held"), pl.lit(share).alias("nominal"),
        )
        for name, share in NOMINAL.items()
    )  # fmt: skip


def track_record(page: Page, found: Outlook) -> None:
    """What was said of a series, held against what came."""
    st.markdown("##### What was said, and what came")
    rows = page.compute(_record, page.config).filter(
        pl.col("series") == found.series, pl.col("measure") == found.measure
    )
    if rows.is_empty():
        st.caption(
            "No day of a frozen forecast has come yet. Each run freezes one; as its days are billed, how far it missed "
            "stands here, beside the two simple rules."
        )
        return
    shown = rows.select(
        pl.col(DAYS_AHEAD).map_elements(ahead_name, return_dtype=pl.String).alias("ahead"), "forecasts", "days", "wape",
        *_BESIDE, *_HELD,
    )  # fmt: skip
    parts.table(
        shown, key="outlook_record", file="track_record.csv", ratios=("wape", *_BESIDE, *_HELD),
        counts=("forecasts", "days"), names={"ahead": "Of", "wape": "Missed by", **_BESIDE, **_HELD},
        download=lambda: rows,
    )  # fmt: skip
    st.caption("Of forecasts from the same day the newest counts. Only days that are billed in full by now are judged.")


def _record(lake: Lake, config: Config) -> pl.DataFrame:
    return pipeline.track_record(config, lake)
