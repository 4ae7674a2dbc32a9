"""What if it went otherwise? The forecast with levers beside the forecast, kept with its author, and compared."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import polars as pl
import streamlit as st

from finops.config import Config
from finops.errors import FinopsError
from finops.pipeline import what_if_log as log
from finops.pipeline.histories import TOTAL
from finops.pipeline.what_if_log import Saved
from finops.pipeline.what_ifs import Outcome, check, evaluate
from finops.store import Lake
from forecasting.levers import WhatIf
from reports import charts
from reports.screens import parts, what_if_form
from reports.screens.page import Page
from reports.views import what_ifs as views
from reports.views.movement import CHANGE, VALUE
from reports.views.outlook import known_series, said
from reports.views.words import compact

QUESTION: Final = "What if it went otherwise?"
OPENED, SERIES, OTHER = "what_if_opened", "what_if_series", "what_if_other"
NEW: Final = "A new one"
_TITLE: Final = pl.format("{}@{}", "name", "version").alias("what_if")
EXAMPLE: Final = {"kind": "growth", "yearly_ratio": 0.3}


def render(page: Page) -> None:
    """Draw the page."""
    parts.title(QUESTION, page, whole="A what-if changes the forecast of all AI spend")
    names = page.compute(known_series, page.currency)
    if not names:
        parts.empty(
            "The forecast with other growth, prices, use, cache rates or models, beside the forecast, would be here.",
            "finops run",
            why="It makes and keeps the forecast that a what-if changes.",
        )
        return
    kept: pl.DataFrame = page.compute(log.listed)
    first = page.compute(_first_day)
    _opened(page, kept, names, first)
    inputs, problem = what_if_form.inputs()
    outcome = None
    if inputs is not None:
        try:
            outcome = page.compute(_evaluated, page.config, inputs)
        except FinopsError as error:
            problem = error
    if problem is not None:
        st.error(f"{problem.found}. {problem.next_step.capitalize()} (expected: {problem.expected}).")
    if outcome is not None:
        _result(page, outcome, names)
    what_if_form.draw(page, outcome, names, first)
    _kept(page, kept, outcome)
    _method()


def _evaluated(lake: Lake, config: Config, inputs: WhatIf) -> Outcome:
    check(lake, inputs)
    return evaluate(config, lake, inputs)


def _opened(page: Page, kept: pl.DataFrame, names: list[str], first: date) -> None:
    """Which what-if is on the page: a saved version, or a new one."""
    titles = kept.select(_TITLE).unique(maintain_order=True)["what_if"].to_list()
    if what_if_form.NEXT in st.session_state:
        st.session_state[OPENED] = st.session_state.pop(what_if_form.NEXT)
    left, right = st.columns(2, vertical_alignment="bottom")
    with left:
        chosen = st.selectbox("What-if", [*titles, NEW], key=OPENED, bind="query-params")
    with right:
        st.selectbox("Of", names, format_func=said, key=SERIES, persist_state="session")
    if what_if_form.is_of(chosen):
        return
    if chosen == NEW:
        scope = next((name for name in names if name != TOTAL), "all")
        what_if_form.open_on(chosen, "", "", [{**EXAMPLE, "scope": scope, "from": f"{first}"}])
    else:
        inputs = page.compute(log.saved, chosen).inputs
        what_if_form.open_on(chosen, inputs.name, inputs.note, inputs.model_dump(mode="json", by_alias=True)["levers"])


def _first_day(lake: Lake) -> date:
    """The first of the month after the newest day that a forecast is made from."""
    cutoff: date = lake.scan("forecasts").select(pl.col("cutoff").max()).collect().item()
    return (cutoff.replace(day=28) + timedelta(days=4)).replace(day=1)


# -------------------------------------------------------------------------------------------------------------- result
def _result(page: Page, outcome: Outcome, names: list[str]) -> None:
    series = st.session_state.get(SERIES) or names[0]
    months, of_levers = (
        frame.filter(pl.col("series") == series, pl.col("currency") == page.currency)
        for frame in (outcome.months, outcome.parts)
    )
    named = outcome.inputs.name if outcome.inputs.name != what_if_form.UNNAMED else "As it stands below"
    st.subheader(views.headline(named, months, of_levers), anchor=False)
    levers = views.by_lever(of_levers)
    _metrics(months, outcome, page.currency)
    days = outcome.days.filter(pl.col("series") == series)
    notes = tuple((lever.start, f"lever {n}") for n, lever in enumerate(outcome.inputs.levers, 1))
    notes = tuple(note for note in notes if note[0] in days["date"])
    says = f"Forecast of {said(series)} by day, and the same with the levers"
    parts.chart(charts.beside(days, page.look, currency=page.currency, notes=notes), key="what_if_days", says=says)
    left, right = st.columns(2)
    with left:
        st.markdown("##### By month")
        moved = pl.DataFrame({VALUE: views.month_names(months), CHANGE: months[views.DIFFERENCE]})
        drawn = charts.changes(moved, page.look, currency=page.currency, limit=len(moved))
        parts.chart(drawn, key="what_if_months", says="What each month costs more or less")
    with right:
        st.markdown("##### By lever")
        short = [what_if_form.short(outcome.inputs.levers[n - 1], n) for n in levers["lever"]]
        moved = pl.DataFrame({VALUE: short, CHANGE: levers[views.AMOUNT]}, schema_overrides={VALUE: pl.String()})
        if len(moved):
            drawn = charts.changes(moved, page.look, currency=page.currency, limit=len(moved))
            parts.chart(drawn, key="what_if_levers", says="What each lever makes of the difference")
        else:
            st.caption("No lever acts yet: add one below.")
    _table(months, page.currency, outcome)
    st.caption("  \n".join(outcome.notes))


def _metrics(months: pl.DataFrame, outcome: Outcome, currency: str) -> None:
    base, then, difference = (_sum(months[column]) for column in ("base", "what_if", views.DIFFERENCE))
    largest = months.sort(pl.col(views.DIFFERENCE).abs(), descending=True).row(0, named=True)
    places = st.columns(4)
    with places[0]:
        parts.metric(
            f"Forecast, {currency}", compact(base), help_text=f"Made from bills to {outcome.cutoff:%-d %B %Y}."
        )
    with places[1]:
        parts.metric(
            f"What-if, {currency}", compact(then), change=difference / base if base else None, note="on the forecast"
        )
    with places[2]:
        parts.metric(
            f"Difference, {currency}", compact(difference, signed=True), help_text="The levers' parts sum to it."
        )
    with places[3]:
        month = views.month_names(months.filter(period=largest["period"]))[0]
        parts.metric(
            f"Most in {month}, {currency}", compact(largest[views.DIFFERENCE], signed=True),
            help_text="The month whose cost changes most.",
        )  # fmt: skip


def _table(months: pl.DataFrame, currency: str, outcome: Outcome) -> None:
    bands = [c for c in ("p10", "p90") if months[c].null_count() < len(months)]
    shown = months.select(
        pl.Series("month", views.month_names(months)), "base", "what_if", views.DIFFERENCE, *bands
    )  # fmt: skip
    parts.table(
        shown, key="what_if_table", file=f"what_if_{outcome.inputs.name}.csv",
        money={"base": f"Forecast, {currency}", "what_if": "What-if", views.DIFFERENCE: "Difference",
               **{c: f"What-if, {c.upper()}" for c in bands}},
        total=("Difference", _sum(months[views.DIFFERENCE]), currency), download=lambda: outcome.months,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- kept
def _kept(page: Page, kept: pl.DataFrame, outcome: Outcome | None) -> None:
    """The saved ones, and one of them beside the one on the page."""
    st.markdown("##### Saved")
    if kept.is_empty():
        st.caption("None yet. What is saved stays: who, when, with which inputs, and what it came to.")
        return
    shown = kept.select(
        _TITLE, "author", "saved_at", "note", "levers", "currency",
        "difference",
    )  # fmt: skip
    parts.table(
        shown, key="what_if_saved", file="what_ifs.csv", counts=("levers",),
        names={"what_if": "What-if", "author": "Who", "saved_at": "When (UTC)"},
        money={"difference": "Came to, on the forecast of then"}, download=lambda: kept,
    )  # fmt: skip
    if outcome is None:
        return
    titles = shown["what_if"].unique(maintain_order=True).to_list()
    other = st.selectbox(
        "Compare with", titles, index=None, key=OTHER, placeholder="Choose a saved one to put beside the one above",
    )  # fmt: skip
    if other:
        _beside(page, page.compute(log.saved, other), outcome)


def _beside(page: Page, other: Saved, outcome: Outcome) -> None:
    try:
        second = page.compute(_evaluated, page.config, other.inputs)
    except FinopsError as error:
        st.error(f"{other.title} cannot be worked out: {error.found}. {error.next_step.capitalize()}.")
        return
    named = "Above"
    inputs = log.inputs_beside(outcome.inputs, other.inputs)
    st.markdown(f"##### Above beside {other.title}")
    words = pl.when("same").then(pl.lit("the same")).otherwise(pl.lit("differs")).alias("same")
    parts.table(
        inputs.select("lever", words, log.FIRST, log.SECOND), key="what_if_inputs", file="what_if_inputs.csv",
        names={log.FIRST: named, log.SECOND: other.title, "same": ""},
    )  # fmt: skip
    series = st.session_state.get(SERIES) or TOTAL
    money = log.money_beside(outcome, second, series).filter(currency=page.currency)
    change = _sum(money["change"])
    rows = money.with_columns(pl.Series("period", views.month_names(money))).drop("series", "currency", "days")
    parts.table(
        rows, key="what_if_money", file="what_if_beside.csv", names={"period": "Month"},
        money={"base": f"Forecast, {page.currency}", log.FIRST: named, log.SECOND: other.title,
               "change": f"{other.title} less above"},
        total=(f"{other.title} less above", change, page.currency), download=lambda: money,
    )  # fmt: skip


def _sum(amounts: pl.Series) -> Decimal:
    return sum(amounts, Decimal(0))


def _method() -> None:
    with st.expander("How these figures are made"):
        st.markdown(
            "- The base is the newest frozen forecast; the month that runs counts what is billed so far.\n"
            "- The forecast of a scope with a series of its own is changed as it is. What has none is its share of the "
            "cost of the last 28 days, scaled so that the parts of every series sum to its forecast.\n"
            "- Levers on the same cost multiply, whatever their order. A lever's part is its effect averaged over all "
            "orders in which they can come (its Shapley value), so the parts sum to the difference to the cent.\n"
            "- Cache rate and model switch compare the tokens of the last 28 days at the prices of the token book, "
            "before and after; the ratio is applied to what is paid. Tokens without a price keep their cost, and are "
            "named. What is switched stays in the series of the model and provider that it leaves.\n"
            "- P10 and P90 of a month come from the forecast's sample paths, moved as its mean is."
        )
