"""Can I trust these figures? Invoices against the ledger and why they differ, freshness, restated months, findings."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

import polars as pl
import streamlit as st

from finops.pipeline import quality
from finops.pipeline import reconciliation as pipeline
from finops.reconciliation import STATUSES, TIED_OUT, Reconciliation
from finops.residuals import ABSENT, ROUNDING, UNEXPLAINED
from finops.residuals import CAUSES as WORDS
from finops.restatement import AMOUNTS, by_month, moved
from finops.store import Lake
from reports import charts
from reports.screens import parts
from reports.screens.page import Page
from reports.views import reconciliation as views
from reports.views import standing
from reports.views.spend import summed
from reports.views.words import compact

QUESTION: Final = "Can I trust these figures?"
OPEN_ROW, OPEN_MONTH = "trust_row", "trust_month"
ROWS_OFFERED: Final = 200
MONTHS_SHOWN: Final = 18
FINDINGS_SHOWN: Final = 12
Row = Mapping[str, Any]


def render(page: Page) -> None:
    """Draw the page."""
    parts.title(QUESTION, page, whole="This page checks all data")
    today = datetime.now(UTC).date()
    found = page.compute(_reconciled, today)
    fresh = page.compute(_fresh, today)
    refused = page.compute(standing.quarantined)
    sources = views.sources(page.compute(standing.sources), fresh)
    st.subheader(views.headline(found.rows, found.causes, fresh), anchor=False)
    _metrics(found, sources)
    _grid(page, found)
    _invoices(found)
    st.markdown("##### How fresh is each source, and is all of it there?")
    _sources(sources)
    st.markdown("##### Which months changed after they were loaded?")
    _restated(page.compute(_changes))
    st.markdown("##### Which rows were refused?")
    _refused(refused)
    st.markdown("##### What is odd in the data?")
    _findings(page.compute(_odd, today))
    _method()


# --------------------------------------------------------------------------------------------------------------- data
def _reconciled(lake: Lake, today: date) -> Reconciliation:
    return pipeline.reconcile(lake, today=today)


def _fresh(lake: Lake, today: date) -> list[Any]:
    return pipeline.freshness(lake, today=today)


def _changes(lake: Lake) -> pl.DataFrame:
    return pipeline.restated(lake)


def _odd(lake: Lake, today: date) -> pl.DataFrame:
    return quality.quality(lake, today=today)


# ------------------------------------------------------------------------------------------------------------ figures
def _metrics(found: Reconciliation, sources: pl.DataFrame) -> None:
    invoiced = found.rows.filter(pl.col("invoice").is_not_null())
    tied = (invoiced["status"] == TIED_OUT).sum()
    places = st.columns(5)
    with places[0]:
        parts.metric(
            "Invoices tied out", f"{tied} of {len(invoiced)}",
            judged=None if invoiced.is_empty() else "good" if tied == len(invoiced) else "bad",
            note="all of them" if tied == len(invoiced) else f"{len(invoiced) - tied} to look at",
            help_text="What is unexplained is at most 0.5 % of the invoice, and no charge is missing.",
        )  # fmt: skip
    with places[1]:
        _amount_metric(
            "Unexplained", views.amounts(found.causes, [UNEXPLAINED]), note="on all invoices",
            help_text="The part of the residuals that nothing in the data speaks for.",
        )  # fmt: skip
    with places[2]:
        _amount_metric(
            "Not in the lake", views.amounts(found.causes, ABSENT), note="and known by name",
            help_text="Charges that are on an invoice and not in the export, and that the data around names.",
        )  # fmt: skip
    with places[3]:
        refused, read = int(sources["rows_quarantined"].sum()), int(sources["rows_read"].sum())
        parts.metric(
            "Refused rows", f"{refused:,}", judged="bad" if refused else "good", note=f"of {read:,} read",
            help_text="Rows that cannot be a charge are kept word for word, with the reason.",
        )  # fmt: skip
    with places[4]:
        running = sources.filter(pl.col("freshness") != "ended")
        behind = max(running["days_behind"].drop_nulls().to_list(), default=None)
        late = int((running["freshness"] == "late").sum())
        parts.metric(
            "Slowest source", "–" if behind is None else f"{behind} days", judged="bad" if late else "good",
            note=f"{late} later than usual" if late else "none later than usual",
            help_text="Days from the last one that the source has billed in full to today.",
        )  # fmt: skip


def _amount_metric(name: str, amounts: Mapping[str, Decimal], *, note: str, help_text: str) -> None:
    """The largest amount; what other currencies add to it stands in its note."""
    ranked = sorted(((a, c) for c, a in amounts.items() if a), reverse=True)
    first, *others = ranked or [(Decimal(0), "")]
    more = views.said({c: a for a, c in others})
    parts.metric(
        f"{name}, {first[1]}" if first[1] else name, compact(first[0]) if ranked else "nothing",
        judged="bad" if ranked else "good", note=f"and {more}" if more else note, help_text=help_text,
    )  # fmt: skip


def _grid(page: Page, found: Reconciliation) -> None:
    cells = views.grid(found.rows)
    st.markdown("##### Which months tie out to their invoice?")
    if cells.is_empty():
        parts.empty("Each source's months beside their invoices would be here.", "finops ingest")
        return
    shown = cells.filter(pl.col("start") > pl.col("start").max().dt.offset_by(f"-{MONTHS_SHOWN}mo"))
    drawn = charts.invoices_grid(shown, page.look, words=views.SAID)
    parts.chart(drawn, key="trust_grid", says=views.headline(found.rows, found.causes, []))
    st.caption(
        "✓ ties out · an amount is the residual of a month that does not, orange where it is explained · – no invoice "
        "· open: the month may still change, and forecasts and alerts count only its days that are billed in full."
    )


# ----------------------------------------------------------------------------------------------------------- invoices
def _invoices(found: Reconciliation) -> None:
    rows = views.invoices(found.rows)
    invoiced = rows.filter(pl.col("invoice").is_not_null())
    if invoiced.is_empty():
        parts.empty(
            "What each invoice says beside the ledger, and why the two differ, would be here.",
            "finops reconcile --invoices invoices.csv",
        )  # fmt: skip
        return
    named = ["issuer", "account_id"] if found.rows.select(_PLACE).is_duplicated().any() else []
    offered = invoiced.head(ROWS_OFFERED)
    shown = offered.select("billing_period", "source_id", *named, *_AMOUNTS, "currency", "status")
    parts.table(
        shown, key="trust_invoices", file="reconciliation.csv", download=lambda: rows,
        names={"billing_period": "Month", "source_id": "Source", "account_id": "Account"},
        money={c: c.capitalize() for c in _AMOUNTS}, on_select=partial(_selected, "trust_invoices", OPEN_ROW),
    )  # fmt: skip
    if len(invoiced) > len(offered):
        st.caption(f"The newest {len(offered)} of {len(invoiced)} invoices; the file has all.")
    records = offered.to_dicts()
    chosen = st.selectbox(
        "Open what a residual is made of", range(len(records)), index=None, key=OPEN_ROW,
        format_func=lambda i: f"{records[i]['source_id']} {records[i]['billing_period']}: {records[i]['status']}",
        placeholder="Choose an invoice here, or select it in the table, to see what its residual is made of",
        label_visibility="collapsed",
    )  # fmt: skip
    first = next((i for i, row in enumerate(records) if row["status"] != views.SAID[TIED_OUT]), None)
    opened = first if chosen is None else chosen
    if opened is not None:
        _causes(records[opened], views.causes_of(found.causes, records[opened]))


def _causes(row: Row, causes: pl.DataFrame) -> None:
    currency = row["currency"]
    st.markdown(
        f"**{row['source_id']} {row['billing_period']}: {row['residual']:,.2f} {currency}** = "
        f"invoice {row['invoice']:,.2f} − stored {row['stored'] or 0:,.2f} − quarantined {row['quarantined']:,.2f}"
    )
    if causes.is_empty():
        st.caption("The two are equal to the last decimal.")
        return
    for cause in causes.to_dicts():
        name = cause["cause"].replace("_", " ").capitalize()
        step = "" if cause["cause"] == ROUNDING else f"  \n*What to do:* {cause['next_step']}."
        st.markdown(f"- **{name}, {_exact(cause['amount'])} {currency}:** {cause['note']}.{step}")
    parts.download(
        causes, key="trust_causes", file="causes.csv", total=("All causes", summed(causes, "amount"), currency)
    )


def _exact(amount: Decimal) -> str:
    """An amount in cents, or what there is of less than one."""
    return f"{amount:,.2f}" if abs(amount) >= Decimal("0.005") else f"{amount:.4f}"


def _selected(key: str, box: str) -> None:
    chosen = st.session_state[key].selection.rows
    st.session_state[box] = chosen[0] if chosen else None


# ------------------------------------------------------------------------------------------------------------ sources
def _sources(sources: pl.DataFrame) -> None:
    if sources.is_empty():
        parts.empty("Each source's newest day and the control totals of its loads would be here.", "finops ingest")
        return
    parts.table(
        sources.select("source_id", "freshness", "newest_day", "days_behind", "p90_days", "currency", *_TOTALS),
        key="trust_sources", file="sources.csv", download=lambda: sources,
        names={"source_id": "Source", "newest_day": "Complete to", "p90_days": "Usual days, 9 in 10"}, money=_TOTALS,
    )  # fmt: skip
    st.caption(
        "Complete to: the last day that the source has billed in full. Usual: nine in ten of its days were there after "
        "so many days, in its last loads. Read = stored + refused to the last decimal, or the load is undone."
    )


def _restated(rows: pl.DataFrame) -> None:
    months = by_month(rows)
    if months.is_empty():
        st.caption("No month that the lake holds was loaded again with other charges.")
        return
    parts.table(
        months.drop("old_loaded_at", "new_days"), key="trust_months", file="restated_months.csv",
        download=lambda: months,
        names={"billing_period": "Month", "source_id": "Source", "new_loaded_at": "Loaded"}, money=_MOVES,
        on_select=partial(_selected, "trust_months", OPEN_MONTH),
    )  # fmt: skip
    records = months.to_dicts()
    chosen = st.selectbox(
        "Open what changed in a month", range(len(records)), index=None, key=OPEN_MONTH,
        format_func=lambda i: f"{records[i]['source_id']} {records[i]['billing_period']}, {records[i]['currency']}",
        placeholder="Choose a month here, or select it in the table, to see which services changed",
        label_visibility="collapsed",
    )  # fmt: skip
    if chosen is not None:
        row = records[chosen]
        mine = moved(rows).filter(*(pl.col(c) == row[c] for c in ("source_id", "billing_period", "currency")))
        parts.table(
            mine.select("service", "account_name", "category", *AMOUNTS), key="trust_changes", file="changes.csv",
            money=_MOVES, total=("All changes", summed(mine, "change"), row["currency"]),
            download=lambda: mine,
        )  # fmt: skip
    st.caption(
        "Both versions are kept in the lake's history. New days came since the load before; restated is what changed "
        "on days that were already complete."
    )


def _refused(refused: pl.DataFrame) -> None:
    if refused.is_empty():
        st.caption("No row is in quarantine.")
        return
    parts.table(
        refused, key="trust_quarantine", file="quarantine.csv", money={"billed_cost": "Billed cost, where readable"},
        names={"source_id": "Source", "billing_period": "Month"},
    )  # fmt: skip
    st.caption("They are kept word for word with the reason; correct the file and ingest it again.")


def _findings(odd: pl.DataFrame) -> None:
    if odd.is_empty():
        st.caption("No finding.")
        return
    for row in views.findings(odd).head(FINDINGS_SHOWN).to_dicts():
        count = f"{row['rows']:,} row{'' if row['rows'] == 1 else 's'}"
        money = f": {count}, {row['cost']:,.2f} {row['currency']}" if row["rows"] else ""
        st.markdown(
            f"- **{row['severity'].capitalize()}, {row['source_id']}{money}** ({row['periods']})  \n"
            f"{row['message']}. *What to do:* {row['next_step']}."
        )
    parts.download(odd, key="trust_findings", file="findings.csv")


def _method() -> None:
    with st.expander("How these figures are made"):
        st.markdown(
            "residual = invoice − stored − quarantined, per source, month, issuer, billing account and currency; two "
            "currencies are never added. The causes of a residual sum to it to the last decimal.\n\n"
            + _listed(STATUSES)
            + "\n\nCauses:\n\n"
            + _listed(WORDS)
        )


def _listed(words: Mapping[str, str]) -> str:
    return "\n".join(f"- *{name.replace('_', ' ')}*: {text}" for name, text in words.items())


_PLACE: Final = ("source_id", "billing_period", "currency")
_AMOUNTS: Final = ("invoice", "stored", "residual", "unexplained")
_TOTALS: Final = {"billed_read": "Billed, read", "billed_stored": "Billed, stored"}
_MOVES: Final = {"old": "Before", "new": "Now", "change": "Change", "new_days": "New days", "restated": "Restated"}
