"""Why did the cost change? From the budget, a forecast or the period before to what came, down to the charges."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import polars as pl
import streamlit as st

from finops import schema as s
from finops.pipeline import variance as pipeline
from finops.variance import CALENDAR, UNEXPLAINED
from reports import charts
from reports.screens import parts
from reports.screens.page import Page
from reports.views import charges, spend
from reports.views import variance as views
from reports.views.movement import CHANGE, PRIOR
from reports.views.scope import Scope, word
from reports.views.spend import COST
from reports.views.variance import AMOUNT, LARGEST, MEANS, NAMES, STEP, WHAT, WHO, Variance
from reports.views.words import compact, percent

QUESTION: Final = "Why did the cost change?"
AGAINST, TABLE, STEP_OPEN, PART_OPEN, PAGE_AT, BY = (
    "variance_against", "variance_steps", "variance_open", "variance_part", "variance_page", "variance_by",
)  # fmt: skip
AGAINST_NAMES: Final = {
    pipeline.BUDGET: "Budget", pipeline.PRIOR: "The period before", pipeline.FORECAST: "Forecast",
}  # fmt: skip
GROUPS: Final = (s.TEAM, s.USE_CASE, s.SERVICE_PROVIDER_NAME, s.SERVICE_NAME, s.MODEL_ID, s.PURPOSE)
LARGEST_STEPS: Final = 3
PARTS_OFFERED: Final = 100


def render(page: Page) -> None:
    """Draw the page."""
    parts.title(QUESTION, page)
    # the bridge converts: what is paid in another currency belongs to the cost, and its rate is a step
    scope = Scope(
        {name: v for name, v in page.scope.where.items() if name != s.BILLING_CURRENCY},
        page.scope.start, page.scope.end, page.scope.cost,
    )  # fmt: skip
    offered = page.compute(pipeline.choices, scope, page.currency)
    if st.session_state.get(AGAINST) not in (None, *offered):
        st.session_state.pop(AGAINST)
    chosen = st.segmented_control(
        "Held against", offered, default=offered[0], format_func=AGAINST_NAMES.__getitem__, key=AGAINST, required=True,
        label_visibility="collapsed", persist_state="session", on_change=close,
    )  # fmt: skip
    found = page.compute(pipeline.explain, page.config, scope, against=chosen, currency=page.currency)
    if found.cells.is_empty():
        st.info("No charges match these filters. Take a chip off, or widen the period.")
        return
    st.subheader(views.headline(found), anchor=False)
    _metrics(found)
    _waterfall(page, found)
    _steps(found)
    if STEP_OPEN in st.session_state:
        _opened(page, found, st.session_state[STEP_OPEN])
    _groups(found)
    _method(found)


# ------------------------------------------------------------------------------------------------------------- figures
def _metrics(found: Variance) -> None:
    ranked = sorted((n for n in NAMES if n != UNEXPLAINED), key=lambda step: -abs(found.total(step)))
    places = st.columns(LARGEST_STEPS + 2)
    with places[0]:
        ratio = found.change / abs(found.prior) if found.prior else None
        note = f"{found.against if _is_plan(found) else 'was'} {compact(found.prior)}"
        parts.metric(
            f"Cost, {found.currency}", compact(found.cost), change=ratio, note=note,
            help_text="All charges of the filters; those in another currency at the rate of their day.",
        )  # fmt: skip
    for place, step in zip(places[1:-1], ranked, strict=False):
        with place:
            amount = found.total(step)
            parts.metric(
                f"{NAMES[step]}, {found.currency}", compact(amount, signed=True), judged=_judged(amount, found),
                note=_of_change(amount, found), help_text=MEANS[step].capitalize() + ".",
            )  # fmt: skip
    with places[-1]:
        amount = found.total(UNEXPLAINED)
        parts.metric(
            f"Unexplained, {found.currency}", compact(amount, signed=True), judged=_judged(amount, found),
            note=_of_change(amount, found), help_text=MEANS[UNEXPLAINED].capitalize() + ". The table names them.",
        )  # fmt: skip


def _is_plan(found: Variance) -> bool:
    return found.against in (pipeline.BUDGET, pipeline.FORECAST)


def _said(found: Variance) -> str:
    return f"the {found.against}" if _is_plan(found) else found.names[0]


def _judged(amount: Decimal, found: Variance) -> Any:
    small = abs(amount) * 200 < abs(found.change) or abs(amount) < views.CENT
    return None if small else "bad" if amount > 0 else "good"


def _of_change(amount: Decimal, found: Variance) -> str:
    return f"{percent(amount / found.change)} of the change" if found.change else ""


def _waterfall(page: Page, found: Variance) -> None:
    before, now = found.names
    moves = [(name, found.total(step)) for step, name in NAMES.items() if abs(found.total(step)) >= views.CENT]
    ends = [(before, found.prior), *moves, (now, found.cost)]
    drawn = charts.bridge(ends, page.look, currency=found.currency, start=charts.bridge_start(ends))
    said = ", ".join(f"{name} {compact(amount, signed=True)}" for name, amount in moves)
    st.markdown(f"##### From {_said(found)} to {now}")
    parts.chart(drawn, key="variance_bridge", says=f"From {compact(found.prior)} to {compact(found.cost)}: {said}")
    st.markdown(views.paragraph(found))
    if found.notes:
        st.caption(" ".join(found.notes))


# --------------------------------------------------------------------------------------------------------------- steps
def _steps(found: Variance) -> None:
    rows = views.steps(found)
    known = [step for step in rows[STEP] if views.moves(found.cells, step)]
    shown = rows.filter(pl.col(STEP).is_in(known))
    total = abs(found.change)
    drawn = shown.select(
        pl.col(STEP).replace_strict(NAMES).alias(STEP), AMOUNT,
        (pl.col(AMOUNT) / pl.lit(total or 1)).alias("share"), LARGEST,
    )  # fmt: skip
    st.markdown("##### Each step, and the charges behind it")
    parts.table(
        drawn, key=TABLE, file="variance.csv", money={AMOUNT: f"Moved, {found.currency}"}, ratios=("share",),
        names={"share": "Of the change", LARGEST: "Mostly"},
        total=("All steps", found.change, found.currency), download=lambda: rows,
        on_select=partial(_step_selected, known),
    )  # fmt: skip
    st.selectbox(
        "Open a step", known, index=None, key=f"{STEP_OPEN}_named",
        format_func=lambda step: f"{NAMES[step]}: {found.total(step):,.2f} {found.currency}",
        placeholder="Choose a step here, or select it in the table, to see what is behind it",
        on_change=_step_named, label_visibility="collapsed",
    )  # fmt: skip


def close() -> None:
    """Show nothing behind any step."""
    for key in (STEP_OPEN, f"{STEP_OPEN}_named", PART_OPEN, PAGE_AT):
        st.session_state.pop(key, None)


def _step_selected(known: Sequence[str]) -> None:
    chosen = st.session_state[TABLE].selection.rows
    _open_step(known[chosen[0]] if chosen else None)


def _step_named() -> None:
    _open_step(st.session_state[f"{STEP_OPEN}_named"])


def _open_step(step: str | None) -> None:
    st.session_state.pop(PART_OPEN, None)
    st.session_state.pop(PAGE_AT, None)
    if step is None:
        st.session_state.pop(STEP_OPEN, None)
    else:
        st.session_state[STEP_OPEN] = step


def _opened(page: Page, found: Variance, step: str) -> None:
    rows = views.opened(found, step)
    st.divider()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"##### {NAMES[step]}: {found.total(step):,.2f} {found.currency}")
        st.button("Close", on_click=close, icon=":material/close:", key="variance_close")
    st.caption(f"{MEANS[step].capitalize()}.")
    before, now = found.names
    key = f"variance_parts_{step}"
    parts.table(
        rows.select(WHO, WHAT, AMOUNT, PRIOR, COST, views.BEFORE, "quantity", "unit"), key=key,
        file=f"variance_{step}.csv",
        names={WHO: "Whose", WHAT: "What", views.BEFORE: "Quantity before", "quantity": "Quantity"},
        money={PRIOR: before, COST: now, AMOUNT: f"{NAMES[step]}, {found.currency}"},
        counts=(views.BEFORE, "quantity"), total=(NAMES[step], found.total(step), found.currency),
        download=lambda: rows, on_select=partial(_part_selected, key),
    )  # fmt: skip
    st.selectbox(
        "Charges of", range(min(len(rows), PARTS_OFFERED)), index=None, key=PART_OPEN,
        format_func=lambda i: f"{rows[WHO][i]}, {rows[WHAT][i]}: {rows[AMOUNT][i]:,.2f} {found.currency}",
        placeholder="Choose a part here, or select it in the table, to see its charges",
        label_visibility="collapsed",
    )  # fmt: skip
    chosen = st.session_state.get(PART_OPEN)
    if chosen is not None and chosen < len(rows):
        _charges(page, found, rows.row(chosen, named=True))


def _part_selected(key: str) -> None:
    chosen = st.session_state[key].selection.rows
    st.session_state[PART_OPEN] = chosen[0] if chosen else None


def _charges(page: Page, found: Variance, row: dict[str, Any]) -> None:
    """The charges of a part, of the period and of what it is held against."""
    now, before = st.tabs([found.names[1], views.named(found.reference)])
    for place, scope, end in ((now, found.scope, "now"), (before, found.reference, "before")):
        with place:
            mine = views.charges_of(row, scope)
            behind = page.compute(charges.charges, mine)
            held = spend.summed(behind.totals)
            parts.table(
                behind.rows.select(charges.BRIEF), key=f"variance_charges_{end}", file=f"charges_{end}.csv",
                money={COST: f"Cost in the period, {row[s.BILLING_CURRENCY]}"},
                total=(f"{behind.count:,} charges", held, row[s.BILLING_CURRENCY]),
                download=partial(charges.all_charges, page.lake, mine),
            )  # fmt: skip
            if behind.pages > 1:
                st.caption(f"The {charges.PAGE_ROWS} largest are shown; the file has all of them.")


# -------------------------------------------------------------------------------------------------------------- groups
def _groups(found: Variance) -> None:
    """The bridge by one dimension: the steps that move most."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown("##### Where it changed")
        by: str = st.segmented_control(
            "By", GROUPS, default=GROUPS[0], format_func=parts.heading, key=BY, required=True,
            label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
    rows = views.by(found, [by])
    moved = sorted((n for n in NAMES if views.moves(rows, n)), key=lambda n: -sum(rows[n].abs(), Decimal(0)))
    steps = [step for step in NAMES if step in moved[:4]]
    before, now = found.names
    parts.table(
        rows.select(by, PRIOR, COST, CHANGE, *steps), key=f"variance_groups_{word(by)}",
        file=f"variance_by_{word(by)}.csv", names={by: parts.heading(by)},
        money={PRIOR: f"{before}, {found.currency}", COST: now, CHANGE: "Change", **{n: NAMES[n] for n in steps}},
        total=("Change", found.change, found.currency), download=lambda: rows,
    )  # fmt: skip
    if len(moved) > len(steps):
        st.caption("The steps that move most are shown; the file has all of them, and they sum to the change.")


def _method(found: Variance) -> None:
    with st.expander("How these figures are made"):
        calendar = found.total(CALENDAR)
        said = f" Here the number of days makes {compact(calendar, signed=True)} of it." if calendar else ""
        st.markdown(
            "- Cost of a use case = quantity x share of each model, machine or SKU x share of each kind of token x "
            "price. Each factor's effect is averaged over all orders in which the four can change (its Shapley value), "
            "so no order is preferred, and the steps sum to the change to the last decimal.\n"
            f"- *Volume* holds the calendar too: a longer month costs more.{said}\n"
            "- *Mix* compares tokens with tokens and accelerator-hours with accelerator-hours, across providers. What "
            "else is bought is compared SKU by SKU; one that comes or goes within a service is mix.\n"
            "- *Commitments*: covered use is priced at the contracted price; what it really cost beside that, and "
            "what nobody used, is this step.\n"
            "- *Currency* is the change of the rate on the mean of both local costs. Charges are converted at the rate "
            "of their day.\n"
            "- A budget or forecast says no quantities. The usage of the period before, at its prices, stands for it, "
            "grown alike to its amount; so volume is what was used beside what was planned.\n"
            "- *Unexplained* are charges without a quantity: fees, taxes, adjustments. The table names each."
        )
