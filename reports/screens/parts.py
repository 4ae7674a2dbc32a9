"""The parts that pages are made of: title, chips, metrics, tables with their files, and the empty and error states."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import polars as pl
import streamlit as st

from finops.errors import FinopsError
from reports.charts import Chart
from reports.export import csv_text
from reports.screens import filters
from reports.screens.page import Page
from reports.theme import NONE
from reports.views.scope import word
from reports.views.words import percent

_DELTA: Final[dict[str | None, Literal["inverse", "red", "green"]]] = {None: "inverse", "good": "green", "bad": "red"}


def title(question: str, page: Page, *, whole: str | None = None) -> None:
    """The page's question, and the filters that are on as chips that take themselves off.

    whole: why no filter narrows this page.
    """
    st.title(question, anchor=False)
    if whole:
        st.caption(f"{whole}: the filters beside do not narrow it.")
        return
    with st.container(horizontal=True, gap="small"):
        for i, chip in enumerate(filters.chips(page.scope)):
            st.button(
                chip.text, key=f"chip_{i}_{chip.text}", icon=":material/close:", icon_position="right",
                on_click=chip.clear, help="Take this filter off",
            )  # fmt: skip


def metric(
    name: str, value: str, *, change: Decimal | None = None, note: str = "", help_text: str = "",
    judged: Literal["good", "bad"] | None = None, neutral: bool = False,
) -> None:  # fmt: skip
    """One figure with its change against the period before: more cost is bad, whatever its sign says elsewhere.

    judged: where the value itself is a verdict, and has no change. neutral: a rise is neither good nor bad.
    """
    level = change is not None and abs(change) < Decimal("0.0005")
    delta = None if change is None else "level" if level else percent(change, signed=True).replace("−", "-")
    st.metric(
        name, value, delta=note if judged else delta, delta_color="off" if level or neutral else _DELTA[judged],
        delta_arrow="off" if level or judged else "auto", delta_description=None if judged else note or None,
        help=help_text or None, border=True,
    )  # fmt: skip


def chart(drawn: Chart, *, key: str, says: str) -> None:
    """A chart in the page's own tokens, with what it says for people who cannot see it."""
    st.altair_chart(drawn, theme=None, key=key, alt=says, width="stretch")


def table(
    frame: pl.DataFrame, *, key: str, file: str, money: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None, ratios: Sequence[str] = (), counts: Sequence[str] = (),
    total: tuple[str, Decimal, str] | None = None,
    configs: Mapping[str, Any] | None = None, on_select: Callable[[], None] | None = None,
    download: Callable[[], pl.DataFrame] | None = None,
) -> None:  # fmt: skip
    """A sortable table, its total, and its rows as a CSV file that sums to the same number.

    money: columns of amounts with their headings. names: headings of the others. ratios: columns shown in percent.
    counts: columns shown as whole numbers.
    total: heading, amount and currency of the line under the table. download: a file that is not what the page shows.
    """
    headings = {c: c.replace("_", " ").capitalize() for c in frame.columns} | dict(names or {}) | dict(money or {})
    columns: dict[str, Any] = {c: st.column_config.Column(headings[c]) for c in frame.columns}
    for name, kind in frame.schema.items():
        if isinstance(kind, pl.Date):
            columns[name] = st.column_config.DateColumn(headings[name], format="D MMM YYYY")
        elif isinstance(kind, pl.Datetime):
            columns[name] = st.column_config.DatetimeColumn(headings[name], format="D MMM YYYY, HH:mm")
    columns |= {c: st.column_config.NumberColumn(headings[c], format="accounting") for c in money or {}}
    columns |= {c: st.column_config.NumberColumn(headings[c], format="percent") for c in ratios}
    columns |= {c: st.column_config.NumberColumn(headings[c], format="localized") for c in counts}
    options: dict[str, Any] = {}
    if on_select is not None:
        options |= {"on_select": on_select, "selection_mode": "single-row"}
    st.dataframe(
        _displayed(frame, counts),
        key=key,
        hide_index=True,
        placeholder="–",
        width="stretch",
        column_config=columns | dict(configs or {}),
        **options,
    )
    _under(key, file, (lambda: csv_text(download())) if download else csv_text(frame), total)


def download(frame: pl.DataFrame, *, key: str, file: str, total: tuple[str, Decimal, str] | None = None) -> None:
    """The total of rows that a page shows in its own way, and the rows as a CSV file."""
    _under(key, file, csv_text(frame), total)


def _under(
    key: str, file: str, text: str | Callable[[], str], total: tuple[str, Decimal, str] | None
) -> None:  # fmt: skip
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        if total is not None:
            heading, amount, currency = total
            st.markdown(f"**{heading}: {amount:,.2f} {currency}**")
        st.download_button(
            "Download CSV", data=text, file_name=file, mime="text/csv", key=f"{key}_csv", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip


def empty(what: str, command: str, *, why: str = "") -> None:
    """What a page or part shows while it has nothing: what would be here, and the one command that brings it."""
    with st.container(border=True):
        st.markdown(f"**{what}**" + (f"  \n{why}" if why else ""))
        st.caption("The command that brings it:")
        st.code(command, language="bash")


def failed(error: FinopsError, *, means: str) -> None:
    """The state of a page whose data could not be read: what happened, what it means for the figures, what to do."""
    with st.container(border=True):
        st.markdown(f":material/error: **What happened:** {error.found}")
        st.markdown(f"**What it means:** {means}")
        st.markdown(f"**What to do:** {error.next_step} (expected: {error.expected})")


def heading(name: str) -> str:
    """The word for a column as a heading: Use case."""
    return word(name).replace("_", " ").capitalize()


def _displayed(frame: pl.DataFrame, counts: Sequence[str]) -> pl.DataFrame:
    """Amounts as floats of cents: a screen has no room for 18 places; the file has them."""
    whole = frame.with_columns(pl.col(*counts).round(0).cast(pl.Int64)) if counts else frame
    return whole.with_columns(pl.col(pl.Decimal).round(4).cast(pl.Float64), pl.col(pl.String).fill_null(NONE))
