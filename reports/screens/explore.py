"""Where does the money go? Any dimension, a second one, and the charges behind any number."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Final

import polars as pl
import streamlit as st

from finops import schema as s
from reports import charts
from reports.screens import filters, parts
from reports.screens.page import Page
from reports.theme import label
from reports.views import charges, spend
from reports.views.movement import VALUE
from reports.views.scope import Scope, Value, word

DIMENSIONS: Final = tuple(c for w, c in s.SHORT_NAMES.items() if w not in ("currency", "day"))
FIRST, SECOND, CELL, TABLE, OPEN, PAGE = (
    "explore_by", "explore_then", "explore_cell", "explore_table", "explore_open", "explore_page",
)  # fmt: skip
PART: Final = "part"
NOTHING: Final = ""
ROWS_OFFERED: Final = 200

Cell = tuple[tuple[str, Value], ...]
"""A number of the table by what it stands for: (column, value) pairs."""


def render(page: Page) -> None:
    """Draw the page."""
    parts.title("Where does the money go?", page)
    first, second = _dimensions()
    by = [first, second] if second else [first]
    view = page.compute(spend.spend_in, page.scope, by)
    total = spend.summed(view.rows)
    if view.rows.is_empty():
        st.info("No charges match these filters. Take a chip off, or widen the period.")
        return
    _headline(view.rows, first, total, page.currency)
    rows = view.rows.rename({first: VALUE, **({second: PART} if second else {})})
    drawn = charts.amounts_by(
        rows, page.colours(second or first), page.look, currency=page.currency, dimension=word(first),
        second=word(second) if second else None,
    )  # fmt: skip
    parts.chart(drawn, key="explore_chart", says=f"Spend by {word(first)}, the largest first")
    _table(page, view.rows, by, total)
    if CELL in st.session_state:
        _detail(page, st.session_state[CELL])


def _dimensions() -> tuple[str, str]:
    left, right, _ = st.columns([1, 1, 2])
    first: str = left.selectbox(
        "Split by", DIMENSIONS, index=DIMENSIONS.index(s.TEAM), format_func=parts.heading, key=FIRST,
        on_change=close, persist_state="session",
    )  # fmt: skip
    others = [NOTHING, *(d for d in DIMENSIONS if d != first)]
    second: str = right.selectbox(
        "and then by", others, format_func=lambda c: parts.heading(c) if c else "Nothing", key=SECOND,
        on_change=close, persist_state="session",
    )  # fmt: skip
    return first, second


def _headline(rows: pl.DataFrame, first: str, total: Decimal, currency: str) -> None:
    top = rows.group_by(first).agg(pl.col(spend.COST).sum()).sort(spend.COST, first, descending=[True, False])
    share = top[spend.COST][0] / total if total else Decimal(0)
    what = word(first).replace("_", " ")
    largest = "all of it," if len(top) == 1 else f"the largest of {len(top)},"
    st.subheader(
        f"By {what}: {total:,.2f} {currency}; {largest} {label(top[first][0])}, makes {share * 100:.0f} %.",
        anchor=False,
    )


def _table(page: Page, rows: pl.DataFrame, by: Sequence[str], total: Decimal) -> None:
    shown = rows.drop(spend.CURRENCY).with_columns((pl.col(spend.COST) / pl.lit(total or 1)).alias("share"))
    cells: list[Cell] = [tuple(zip(by, row, strict=True)) for row in rows.select(by).iter_rows()]
    st.caption("Select a row to see the charges behind its number.")
    parts.table(
        shown, key=TABLE, file=f"spend_by_{'_'.join(map(word, by))}.csv", names={c: parts.heading(c) for c in by},
        money={spend.COST: f"Cost, {page.currency}"}, ratios=("share",), total=("Total", total, page.currency),
        on_select=partial(_row_selected, cells),
    )  # fmt: skip
    st.selectbox(
        "Open the charges behind", range(min(len(cells), ROWS_OFFERED)), index=None, key=OPEN,
        format_func=lambda i: f"{_named(cells[i])}: {rows[spend.COST][i]:,.2f} {page.currency}",
        placeholder="Choose a row here, or select it in the table", on_change=_row_named, args=(cells,),
        label_visibility="collapsed",
    )  # fmt: skip


def open_cell(cell: Cell) -> None:
    """Show the charges behind a number."""
    st.session_state[CELL] = cell
    st.session_state.pop(PAGE, None)


def close() -> None:
    """Show no charges."""
    st.session_state.pop(CELL, None)
    st.session_state.pop(OPEN, None)


def _row_selected(cells: Sequence[Cell]) -> None:
    chosen = st.session_state[TABLE].selection.rows
    open_cell(cells[chosen[0]]) if chosen else close()


def _row_named(cells: Sequence[Cell]) -> None:
    chosen = st.session_state[OPEN]
    close() if chosen is None else open_cell(cells[chosen])


def _keep(cell: Cell) -> None:
    """Turn the cell into filters of every page, and close it."""
    for name, value in cell:
        filters.add(name, value)
    close()


def _detail(page: Page, cell: Cell) -> None:
    scope = _narrowed(page.scope, cell)
    number = spend.summed(page.compute(spend.spend_in, scope).rows)
    st.divider()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"##### The charges behind {number:,.2f} {page.currency}: {_named(cell)}")
        with st.container(horizontal=True, width="content"):
            st.button("Keep as filter", on_click=_keep, args=(cell,), icon=":material/filter_alt:", key="explore_keep")
            st.button("Close", on_click=close, icon=":material/close:", key="explore_close")
    at: int = st.session_state.get(PAGE) or 1
    found = page.compute(charges.charges, scope, page=at - 1)
    held = spend.summed(found.totals)
    parts.table(
        found.rows.select(charges.BRIEF), key="explore_charges", file="charges.csv",
        money={spend.COST: f"Cost in the period, {page.currency}"},
        total=(f"{found.count:,} charges", held, page.currency),
        download=lambda: charges.all_charges(page.lake, scope),
    )  # fmt: skip
    if found.pages > 1:
        st.pagination(found.pages, key=PAGE)
    st.caption(
        "Each charge names the file and row it came from, and the rule that classified it. One that reaches beyond "
        "the period counts with the days inside it."
    )


def _narrowed(scope: Scope, cell: Cell) -> Scope:
    for name, value in cell:
        scope = scope.only(name, value)
    return scope


def _named(cell: Cell) -> str:
    return ", ".join(f"{word(name).replace('_', ' ')} {label(value)}" for name, value in cell)
