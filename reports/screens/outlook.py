"""Where will the month land? The newest frozen forecast, its periods and budgets, and how far it can be relied on."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import polars as pl
import streamlit as st

from finops.config import Config
from finops.pipeline.landing import month_landing
from finops.store import Lake
from forecasting.trust import AVOID, GOOD
from reports import charts
from reports.screens import outlook_record, parts
from reports.screens.page import Page
from reports.views import accuracy, landing, movement
from reports.views.landing import Budget, chance, said_period
from reports.views.outlook import IS_PART, TOTAL, Outlook, known_series, outlook, said
from reports.views.spend import summed
from reports.views.words import compact, percent

HISTORY_DAYS: Final = 150
SERIES, PERIOD, SHAPE, BY, TABLE = (
    "outlook_series", "outlook_period", "outlook_shape", "outlook_by", "outlook_table",
)  # fmt: skip
DAILY, ADDED_UP = "Day by day", "Added up"
UNLIKELY, LIKELY = 0.2, 0.5
"""Below and above these a budget's chance of being passed is good, or bad, to see."""


def render(page: Page) -> None:
    """Draw the page."""
    parts.title("Where will the month land?", page, whole="A forecast covers all AI spend")
    names = page.compute(known_series, page.currency)
    if not names:
        parts.empty(
            "The forecast of AI spend by purpose, driver, provider and team would be here, with its track record.",
            "finops forecast",
        )
        return
    rows = page.compute(_landings, page.config).filter(pl.col("currency") == page.currency)
    series, period = _chosen(names, rows)
    found = page.compute(outlook, series)
    assert found is not None, "it was just listed"
    mine = rows.filter(pl.col("series") == series, pl.col("period") == period).to_dicts()
    budget = _budget(page, mine[0]) if mine else None
    if mine:
        st.subheader(landing.headline(mine[0], budget), anchor=False)
        _metrics(mine[0], budget, found)
    _trust(page, found)
    _drawn(page, found, mine[0] if mine else None, budget)
    if mine:
        _parts(page, rows.filter(pl.col("period") == period), period)
    outlook_record.accuracy(page, names)
    outlook_record.track_record(page, found)
    _method()


def _landings(lake: Lake, config: Config) -> pl.DataFrame:
    return landing.landings(lake, month_landing(config, lake))


# ------------------------------------------------------------------------------------------------------------- choices
def _chosen(names: Sequence[str], rows: pl.DataFrame) -> tuple[str, str]:
    """Which series, and which of its periods: the month that is running, unless another is chosen."""
    left, right = st.columns(2, vertical_alignment="bottom")
    if st.session_state.get(SERIES) not in (None, *names):
        st.session_state.pop(SERIES)
    with left:
        series: str = st.selectbox("Forecast of", names, format_func=said, key=SERIES, persist_state="session")
    periods = _periods(rows.filter(pl.col("series") == series)["period"].to_list())
    if not periods:
        return series, ""
    if st.session_state.get(PERIOD) not in (None, *periods):
        st.session_state.pop(PERIOD)
    with right:
        period: str = st.segmented_control(
            "Period", periods, default=periods[0], format_func=said_period, key=PERIOD, required=True,
            label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
    return series, period


def _periods(known: Sequence[str]) -> list[str]:
    """The first month, the next one, then the first quarter and year."""
    months = sorted(p for p in known if len(p) == len("2026-11") and "Q" not in p)
    longer = [sorted(p for p in known if ("Q" in p) is quarters and p not in months)[:1] for quarters in (True, False)]
    return [*months[:2], *(p for found in longer for p in found)]


def _budget(page: Page, row: dict[str, Any]) -> Budget | None:
    """The budget of a series' period, with its odds."""
    found = page.compute(outlook, row["series"])
    assert found is not None, "it has landings"
    budget = landing.budget_of(page.budgets(), found.series, found.currency, found.measure, row["period"])
    if budget is None or budget.over is not None:
        return budget
    return page.compute(landing.with_odds, budget, found, row["period"], landing=row["landing"])


# ------------------------------------------------------------------------------------------------------------- figures
def _metrics(row: dict[str, Any], budget: Budget | None, found: Outlook) -> None:
    places = st.columns(5 if budget else 3)
    with places[0]:
        band = f"80 %: {compact(row['p10'])} to {compact(row['p90'])}" if row["p10"] is not None else "no range yet"
        parts.metric(
            f"Lands at, {row['currency']}", compact(row["landing"]), note=band,
            help_text=f"Spent to {row['cutoff']:%-d %B %Y}, the last day that is billed in full, and the forecast of "
            "the days after it. In four of five cases it lands within the range.",
        )  # fmt: skip
    if budget is None:
        with places[1]:
            parts.metric(
                f"Spent, {row['currency']}", compact(row["actual"]), note=f"to {row['cutoff']:%-d %B}",
                help_text="No budget names this part of the spend in this period.",
            )  # fmt: skip
        with places[2]:
            missed = found.accuracy
            parts.metric(
                "Missed a day by", percent(missed.wape) if missed else "–",
                note=f"from {missed.origins} past days" if missed else "too short a history",
            )  # fmt: skip
        return
    _budget_metrics(places[1:], row, budget)


def _budget_metrics(places: Sequence[Any], row: dict[str, Any], budget: Budget) -> None:
    ratio, over = budget.ratio, budget.over
    whose = "All spend" if budget.scope == "all" else budget.scope.replace(";", ", ").replace("is_ai=true", "AI spend")
    with places[0]:
        way = "" if ratio is None else f"{percent(abs(ratio))} {'over' if ratio > 0 else 'under'}"
        if landing.holds_more(budget, row["landing"]):
            way = f"{compact(budget.lands)}, {way}"
        parts.metric(
            f"Budget, {row['currency']}", compact(budget.amount), note=way,
            judged=None if ratio is None else "bad" if ratio > 0 else "good",
            help_text=f"Budget of {whose}; with what it holds beside this forecast, and other currencies at their "
            f"rate, it comes to {compact(budget.lands)}.",
        )  # fmt: skip
    with places[1]:
        parts.metric(
            "Chance over", "–" if over is None else chance(over, short=True),
            note="" if over is None else "likely" if over > LIKELY else "unlikely" if over < UNLIKELY else "possible",
            judged=None if over is None else "bad" if over > LIKELY else "good" if over < UNLIKELY else None,
            help_text="Of sampled courses of the days that are left, how many pass the budget.",
        )  # fmt: skip
    with places[2]:
        gone = budget.run_out is not None and budget.run_out <= row["cutoff"]
        early, late = (f"{day:%-d %b}" if day else "" for day in (budget.early, budget.late))
        spread = f"{early} to {late}" if early and late else f"{early} or never" if early else ""
        parts.metric(
            "Ran out" if gone else "Runs out", f"{budget.run_out:%-d %b}" if budget.run_out else "not before its end",
            note=spread or ("at most half of the courses" if not budget.run_out else ""),
            judged="bad" if budget.run_out else "good" if over is not None else None,
            help_text="The first day on which more than half of the courses have passed the budget, and the days "
            "between which four of five do.",
        )  # fmt: skip
    with places[3]:
        surely = f"{compact(budget.save_surely)} for 4 in 5" if budget.save_surely else ""
        parts.metric(
            f"To save a day, {row['currency']}", "–" if budget.save is None else compact(budget.save) if budget.save
            else "nothing", note=surely, judged="bad" if budget.save else "good" if budget.save is not None else None,
            help_text="What each day that is left must cost less, so that the budget holds in half of the courses; "
            "below, so that it holds in four of five.",
        )  # fmt: skip


def _trust(page: Page, found: Outlook) -> None:
    """How far the series can be relied on, beside the chart: seen before it is read."""
    row = page.compute(accuracy.trusted).filter(pl.col("series") == found.series).to_dicts()
    if not row:
        return
    grade, _, reasons = row[0]["sentence"].partition(": ")
    if row[0]["grade"] == GOOD:
        st.caption(":material/verified: Good: nothing that is measured speaks against this forecast.")
    elif row[0]["grade"] == AVOID:
        st.error(f"**{_sentence(grade)}.** {_sentence(reasons)}.", icon=":material/gpp_bad:")
    else:
        st.warning(f"**{_sentence(grade)}.** {_sentence(reasons)}.", icon=":material/gpp_maybe:")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


# --------------------------------------------------------------------------------------------------------------- chart
def _drawn(page: Page, found: Outlook, row: dict[str, Any] | None, budget: Budget | None) -> None:
    added = page.compute(landing.added_up, found, row["period"]) if row else None
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown(f"##### {said(found.series)}")
        shape = DAILY
        if added is not None:
            shape = st.segmented_control(
                "Shape", (DAILY, ADDED_UP), default=DAILY, key=SHAPE, required=True, label_visibility="collapsed",
                persist_state="session",
            )  # fmt: skip
    if row is not None and shape == ADDED_UP and added is not None:
        drawn = charts.added_up(
            added, page.look, currency=found.currency, budget=landing.room(budget, row["landing"]) if budget else None,
            run_out=budget.run_out if budget else None,
        )  # fmt: skip
        parts.chart(drawn, key="outlook_added", says=f"{said(found.series)} added up over {said_period(row['period'])}")
        st.caption(f"Dark band: 80 %, pale band: 95 %. {record(found)}")
        return
    draw(page, found, key="outlook_chart")


def draw(page: Page, found: Outlook, *, key: str) -> None:
    """The forecast's chart day by day with its bands and its origin, and its track record as the caption."""
    start = found.cutoff - timedelta(days=HISTORY_DAYS)
    late = found.rows.filter(IS_PART)["date"]
    last = late[-1] if len(late) else found.cutoff
    actual = page.compute(movement.trend, found.scope().between(start, last), step="day")
    drawn = charts.outlook(actual, found.rows, page.look, currency=found.currency, origin=found.cutoff)
    parts.chart(drawn, key=key, says=f"Daily spend of {said(found.series)}, and its forecast with bands")
    paler = (
        f"Dotted: {len(late)} days that are billed in part, as they are expected to become; pale line: what is billed "
        "of them so far. "
        if len(late)
        else ""
    )
    st.caption(f"Bands from the darkest out: 80 %, 90 %, 95 %. {paler}{record(found)}")


def record(found: Outlook) -> str:
    """What made a forecast, and how well those of its kind have done, in sentences."""
    made = (
        f"Made {found.made_at:%-d %B %Y} from data to {found.cutoff:%-d %B %Y} by "
        f"{outlook_record.model_name(found.model)}. "
    )
    if found.accuracy is None:
        return made + "Too short a history to be judged against the past: read it as a first guess."
    a = found.accuracy
    return (
        f"{made}From {a.origins} past days, {a.horizon} days ahead each, it missed by {percent(a.wape)} of cost a day; "
        f"the 80 % band held {percent(a.coverage80)} of days, the 95 % band {percent(a.coverage95)}."
    )


# --------------------------------------------------------------------------------------------------------------- parts
def _parts(page: Page, rows: pl.DataFrame, period: str) -> None:
    """Every series of a grouping in the period, with its budget and how far it can be relied on."""
    configured = [",".join(by) for by in page.config.forecast.groupings]
    groupings = [TOTAL, *(g for g in configured if g in set(rows["grouping"]))]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown(f"##### Where each part of {said_period(period)} lands")
        by = st.segmented_control(
            "By", groupings, default=groupings[:2][-1], format_func=outlook_record.grouping_name, key=BY, required=True,
            label_visibility="collapsed", persist_state="session",
        )  # fmt: skip
    grades = dict(page.compute(accuracy.trusted).select("series", "grade").iter_rows())
    mine = rows.filter(pl.col("grouping") == by).sort("landing", "series", descending=[True, False])
    budgets = [_budget(page, row) for row in mine.to_dicts()]
    shown = mine.select(
        pl.col("series").map_elements(said, return_dtype=pl.String).alias("part"), "actual", "landing", "p10", "p90",
    ).with_columns(
        pl.Series("budget", [b and b.amount for b in budgets], dtype=mine["landing"].dtype),
        pl.Series("over", [b and b.over for b in budgets], dtype=pl.Float64),
        pl.Series("grade", [grades.get(name) for name in mine["series"]], dtype=pl.String),
    )  # fmt: skip
    names = mine["series"].to_list()
    parts.table(
        shown, key=TABLE, file=f"landing_{period}.csv",
        names={"part": "What", "over": "Chance over", "grade": "Reliance"}, ratios=("over",),
        money={"actual": "Spent", "landing": f"Lands at, {page.currency}", "p10": "1 in 10 below",
               "p90": "1 in 10 above", "budget": "Budget"},
        total=("All parts", summed(mine, "landing"), page.currency), on_select=partial(_selected, names),
        download=lambda: mine.hstack(shown.select("budget", "over", "grade")),
    )  # fmt: skip
    st.caption(
        "Select a row to see its forecast. A budget of a team or purpose may hold spend that is no AI spend, and other "
        "currencies; its chance is of all that."
    )


def _selected(names: Sequence[str]) -> None:
    chosen = st.session_state[TABLE].selection.rows
    if chosen:
        st.session_state[SERIES] = names[chosen[0]]


def _method() -> None:
    with st.expander("How these figures are made"):
        st.markdown(
            "- A forecast is frozen when it is made, with its bands, and is never changed: what was said is held "
            "against what came.\n"
            "- Bands come from how far past forecasts of the same series missed, day by day ahead. A period's range is "
            "that of its total, from sampled courses: misses of one day are made up or repeated by the next.\n"
            "- The chance of going over is the share of sampled courses that pass the budget. Where no forecast covers "
            "what a budget is for, courses are drawn from its own past.\n"
            "- In the backtest, each forecast is made from what was known on a past day, and held against what came, "
            "beside two simple rules: the mean of the last 30 days (run-rate), and last week again (seasonal naive).\n"
            "- Days that a source has billed in part are completed by how late its cost usually comes."
        )
