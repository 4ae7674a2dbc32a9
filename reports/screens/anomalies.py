"""What was unusual? The anomalies of the filters, one of them day by day, what to do, and whether it was expected."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import polars as pl
import streamlit as st

from finops import schema as s
from finops.errors import FinopsError
from finops.pipeline import anomalies as pipeline
from finops.scope import NONE, parse_scope
from reports import charts
from reports.screens import filters, parts
from reports.screens.page import Page
from reports.views import anomalies as views
from reports.views import charges, spend
from reports.views.spend import COST
from reports.views.words import compact

QUESTION: Final = "What was unusual?"
SHOWN, TABLE, CHOSEN, OPEN, NAME, NOTE = (
    "anomalies_shown", "anomalies_table", "anomalies_chosen", "anomalies_charges", "anomalies_name", "anomalies_note",
)  # fmt: skip
OPENED, EVERY = "Open", "Explained and expected too"
REFUSED: Final = "anomalies_refused"
Row = dict[str, Any]


def render(page: Page) -> None:
    """Draw the page."""
    parts.title(QUESTION, page)
    held = page.compute(_held)
    if held.is_empty():
        parts.empty(
            "What costs more or less than usual would be here: since when, how much, why, and what to do.",
            "finops anomalies", why="Nothing unusual has been found so far; each `finops run` searches anew.",
        )  # fmt: skip
        return
    found = page.compute(views.anomalies_of, page.scope, page.currency)
    st.subheader(views.headline(found, page.scope), anchor=False)
    _metrics(page, found)
    shown = _shown(found)
    if len(shown):
        rows = {row["anomaly_id"]: row for row in shown.to_dicts()}
        chosen = _choice(rows, page.currency)
        _day_by_day(page, chosen)
        _table(shown, list(rows), page.currency)
    _elsewhere(held, found, page.currency)
    if len(shown) and st.session_state.get(OPEN):
        _charges(page, chosen)
    _method()


def _held(lake: Any) -> pl.DataFrame:
    return pipeline.list_anomalies(lake, every=True)


# ------------------------------------------------------------------------------------------------------------- figures
def _metrics(page: Page, found: pl.DataFrame) -> None:
    opened = found.filter(pl.col("state") == "open")
    told = found.filter(pl.col("state") != "open")
    rose, fell = views.sums(opened)
    going, a_day = views.going_on(opened)
    places = st.columns(5)
    with places[0]:
        parts.metric(
            "Open", str(len(opened)), note=f"{going or 'none'} {'go' if going > 1 else 'goes'} on",
            judged="bad" if going else None,
            help_text="Neither explained by a known event, price or commitment, nor said to be expected. Cost is "
            f"searched to the last day that each source has billed in full; all have to "
            f"{page.coverage.through:%-d %B %Y}.",
        )  # fmt: skip
    with places[1]:
        parts.metric(
            f"Above usual, {page.currency}", compact(rose) if rose else "nothing", note="since they began",
            judged="bad" if rose else None,
            help_text="What open anomalies cost above what was usual, from their first day to their last, also on "
            "days outside the chosen period.",
        )  # fmt: skip
    with places[2]:
        parts.metric(
            f"A day, {page.currency}", compact(a_day) if a_day else "nothing", note="from those that go on",
            judged="bad" if a_day > 0 else None,
            help_text="What open anomalies that go on cost a day above what was usual, as a mean since they began.",
        )  # fmt: skip
    with places[3]:
        parts.metric(
            f"Below usual, {page.currency}", compact(-fell) if fell else "nothing", note="since they began",
            help_text="Open anomalies that cost less than usual: savings, outages, or missing data.",
        )  # fmt: skip
    with places[4]:
        parts.metric(
            "Explained or expected", str(len(told)), note=f"{compact(told['excess'].sum())} {page.currency}",
            help_text="A known event, price change or commitment explains them, or somebody said they were expected.",
        )  # fmt: skip


def _shown(found: pl.DataFrame) -> pl.DataFrame:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown("##### Cost day by day")
        which = st.segmented_control(
            "Show", (OPENED, EVERY), default=OPENED, key=SHOWN, required=True, label_visibility="collapsed",
            persist_state="session",
        )  # fmt: skip
    shown = found if which == EVERY else found.filter(pl.col("state") == "open")
    if shown.is_empty():
        others = len(found) - len(shown)
        st.info(
            f"Nothing is open; {others} more {'is' if others == 1 else 'are'} explained or expected."
            if others
            else "No anomaly lies within these filters."
        )
    return shown


def _elsewhere(held: pl.DataFrame, found: pl.DataFrame, currency: str) -> None:
    """What is open of late and outside the filters, and the button that shows it."""
    late = pipeline.recent(held).filter(pl.col("state") == "open")
    beyond = late.join(found, on="anomaly_id", how="anti")
    if beyond.is_empty():
        return
    named = "; ".join(
        f"{views.named(row['scope'])}, {compact(row['excess'], signed=True)} {row['currency']}"
        for row in beyond.head(pipeline.GRAVEST).to_dicts()
    )
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.markdown(
        f":material/filter_alt: {len(beyond)} more of the last {pipeline.RECENT_DAYS} days "
        f"{'is' if len(beyond) == 1 else 'are'} open outside these filters: {named}."
    )
    if currency in set(beyond["currency"]):
        right.button("Take the filters off", on_click=filters.widen, key="anomalies_all", width="stretch")


# --------------------------------------------------------------------------------------------------------- one of them
def _choice(rows: dict[str, Row], currency: str) -> Row:
    """The anomaly that is looked at: the one that was chosen, or the first."""
    if st.session_state.get(CHOSEN) not in rows:
        st.session_state[CHOSEN] = next(iter(rows))
    st.selectbox(
        "Anomaly", list(rows), key=CHOSEN, label_visibility="collapsed",
        format_func=lambda i: f"{_capital(views.named(rows[i]['scope']))}: "
        f"{compact(rows[i]['excess'], signed=True)} {currency}, {views.since(rows[i])}",
    )  # fmt: skip
    return rows[st.session_state[CHOSEN]]


def _day_by_day(page: Page, row: Row) -> None:
    rows = page.compute(views.days, row)
    left, right = st.columns([5, 2], gap="large")
    with left:
        known = [
            e
            for e in sorted(page.config.events, key=lambda e: e.date)
            if rows["start"][0] <= e.date <= rows["start"][-1]
        ]
        drawn = charts.anomaly(
            rows, page.look, currency=row["currency"], window=(row["first_day"], row["last_day"]),
            notes=[(e.date, str(n)) for n, e in enumerate(known, start=1)],
        )  # fmt: skip
        parts.chart(
            drawn, key="anomalies_chart",
            says=f"Daily cost of {views.named(row['scope'])}: {row['actual']:,.0f} {row['currency']} came "
            f"{views.since(row)}, {row['expected']:,.0f} was usual",
        )  # fmt: skip
        events = " · ".join(f"**{n}** {e.name}, {e.date:%-d %b}" for n, e in enumerate(known, start=1))
        st.caption(
            f"All cost of {views.named(row['scope'])}, whatever the filters. Grey: the days of the anomaly; told from "
            f"the cost of {row['told_on']:%-d %B %Y}. Dashed: what its weekdays cost in the four weeks before. {events}"
        )
    with right:
        _why(page, row)


def _why(page: Page, row: Row) -> None:
    much = f"{compact(abs(row['excess']))} {row['currency']} {'above' if row['excess'] >= 0 else 'below'} usual"
    st.markdown(f"**{_capital(views.kind_and_cause(row['kind'], row['cause']))}**  \n{much}, {views.since(row)}")
    if row["known"]:
        st.markdown(f":material/event: {row['known']}")
    st.markdown(f"**What to do:** {_capital(row['next_step'])}.")
    st.button("Show its charges", on_click=_open, key="anomalies_open", icon=":material/receipt_long:", width="stretch")
    said = page.compute(views.said_of, row["anomaly_id"])
    if said:
        verdict = "Expected" if said["verdict"] == "expected" else "Not expected"
        note = f": {said['note']}" if said["note"] else ""
        st.caption(f"{verdict}, said {said['decided_by']} on {said['decided_at']:%-d %B %Y}{note}")
    elif row["state"] == "expected":
        st.caption("One of the same kind was expected, so this one is too.")
    with st.form("anomalies_feedback", border=False, enter_to_submit=False):
        st.text_input(
            "Your name", key=NAME, persist_state="session", placeholder="Your name", label_visibility="collapsed"
        )
        st.text_input("Note", key=NOTE, placeholder="Why, for whoever reads it later", label_visibility="collapsed")
        yes, no = st.columns(2)
        yes.form_submit_button(
            "Expected", on_click=_say, args=(page, row["anomaly_id"], "expected"), width="stretch",
            help="Hides it, and later ones of the same scope that are not much larger.",
        )  # fmt: skip
        no.form_submit_button(
            "Not expected", on_click=_say, args=(page, row["anomaly_id"], "not"), width="stretch",
            help="Keeps it open, or opens it again.",
        )  # fmt: skip
    if refused := st.session_state.pop(REFUSED, None):
        st.error(refused)


def _say(page: Page, anomaly_id: str, verdict: pipeline.Verdict) -> None:
    """Remember what a person says of an anomaly."""
    name, note = (str(st.session_state.get(key) or "").strip() for key in (NAME, NOTE))
    try:
        pipeline.give_feedback(page.lake, anomaly_id, verdict, note=note, by=name or None)
    except FinopsError as error:
        st.session_state[REFUSED] = f"{error.found}. {_capital(error.next_step)} (expected: {error.expected})."
        return
    st.session_state[NOTE] = ""
    st.toast(
        "Remembered. Smaller ones of the same scope count as expected too."
        if verdict == "expected"
        else "Remembered: it stays open."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --------------------------------------------------------------------------------------------------------------- table
def _table(shown: pl.DataFrame, ids: Sequence[str], currency: str) -> None:
    st.caption("Select a row to see it day by day, and the charges behind it.")
    parts.table(
        views.table(shown), key=TABLE, file="anomalies.csv",
        names={"first_day": "From", "last_day": "To", "what": "What", "next_step": "What to do"},
        money={"excess": f"Above usual, {currency}"},
        total=("All that are shown", spend.summed(shown, "excess"), currency), download=lambda: shown.drop("run_id"),
        on_select=partial(_selected, ids),
        configs={"what": st.column_config.TextColumn("What", width=320),
                 "next_step": st.column_config.TextColumn("What to do", width="small")},
    )  # fmt: skip


def _selected(ids: Sequence[str]) -> None:
    chosen = st.session_state[TABLE].selection.rows
    st.session_state[OPEN] = bool(chosen)
    if chosen:
        st.session_state[CHOSEN] = ids[chosen[0]]


def _open() -> None:
    st.session_state[OPEN] = True


def _close() -> None:
    st.session_state.pop(OPEN, None)


def _keep(row: Row) -> None:
    """Turn the anomaly's scope into filters of every page."""
    for name, value in parse_scope(row["scope"]).terms:
        filters.add(s.SHORT_NAMES[name], None if value == NONE else value)


def _charges(page: Page, row: Row) -> None:
    scope = views.charges_of(row)
    found = page.compute(charges.charges, scope)
    held = spend.summed(found.totals)
    st.divider()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"##### The charges behind {held:,.2f} {row['currency']}: {views.named(row['scope'])}")
        with st.container(horizontal=True, width="content"):
            st.button("Keep as filter", on_click=_keep, args=(row,), icon=":material/filter_alt:", key="anomalies_keep")
            st.button("Close", on_click=_close, icon=":material/close:", key="anomalies_close")
    if not row["actual"]:
        st.caption("Nothing of it is left: these are the charges of the four weeks before it ended.")
    parts.table(
        found.rows.select(charges.BRIEF), key="anomalies_charges_table", file="anomaly_charges.csv",
        money={COST: f"Cost in the window, {row['currency']}"},
        total=(f"{found.count:,} charges", held, row["currency"]),
        download=partial(charges.all_charges, page.lake, scope),
    )  # fmt: skip
    if found.pages > 1:
        st.caption(f"The {charges.PAGE_ROWS} largest are shown; the file has all of them.")


def _method() -> None:
    with st.expander("How these figures are made"):
        st.markdown(
            "- Each day is held against what its weekday cost in the weeks before it, in every part of the spend: by "
            "use case, team, account, service, model, accelerator and their pairs. One cause is one anomaly, named by "
            "the part that explains most of the money with the fewest words.\n"
            "- Money is effective cost of usage from the first day of the anomaly to its last, less what was usual. It "
            f"stops at 60 days: by then it is what is usual. Only what is paid for and not used goes on.\n"
            "- Days that a source has not billed in full are left out, so a late bill is no drop. A day is judged only "
            "by the days before it.\n"
            "- *Explained* is what began with an event that finops.toml names, a price that changed or a commitment "
            "that began. *Expected* is what somebody said; later ones of the same scope and direction that are at most "
            f"{pipeline.LEARNED} times as large a day are then expected, too."
        )
