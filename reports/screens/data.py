"""Can we trust these figures? Sources and their freshness, control totals, what was refused, and the invoices."""

import polars as pl
import streamlit as st

from finops.checks import reconcile
from finops.store import Lake
from reports.screens import parts
from reports.screens.page import Page
from reports.views import standing


def render(page: Page) -> None:
    """Draw the page."""
    parts.title("Can we trust these figures?", page, whole="This page checks all data")
    sources = page.compute(standing.sources)
    invoices = page.compute(reconciled)
    refused = page.compute(standing.quarantined)
    _headline(sources, invoices)
    st.markdown("##### Sources: what was read, stored and refused")
    if sources.is_empty():
        parts.empty("The control totals of each load would be here.", "finops ingest")
    else:
        parts.table(
            sources.drop("periods", "rows_stored", "loaded_at"), key="data_sources", file="control_totals.csv",
            money={"billed_read": "Billed, read", "billed_stored": "stored", "billed_quarantined": "quarantined"},
            download=lambda: sources,
        )  # fmt: skip
        st.caption(
            "For each source: read = stored + quarantined, to the last decimal; a load that does not tie is undone."
        )
    st.markdown("##### Invoices against the ledger")
    parts.table(
        invoices, key="data_invoices", file="reconciliation.csv", ratios=("residual_ratio",),
        money={c: c.capitalize() for c in ("invoice", "stored", "quarantined", "residual") if c in invoices.columns},
    )  # fmt: skip
    st.caption("residual = invoice − stored − quarantined; a period ties out when it is at most 0.5 % of the invoice.")
    st.markdown("##### Refused rows")
    if refused.is_empty():
        st.caption("No row is in quarantine.")
        return
    parts.table(
        refused, key="data_quarantine", file="quarantine.csv", money={"billed_cost": "Billed cost, where readable"}
    )
    st.caption(
        "Rows that cannot be a charge are kept word for word with the reason; correct the file and ingest it again."
    )


def reconciled(lake: Lake) -> pl.DataFrame:
    """Invoices against the lake, the newest period first."""
    rows = reconcile(lake.scan("spend_daily"), lake.scan("quarantine"), lake.scan("invoices"))
    words = pl.col("status").str.replace_all("_", " ")
    return rows.with_columns(words).sort("billing_period", "source_id", descending=[True, False])


def _headline(sources: pl.DataFrame, invoices: pl.DataFrame) -> None:
    tied, open_periods = (invoices["status"] == "tied out").sum(), (invoices["status"] == "residual").sum()
    refused = sources["rows_quarantined"].sum() or 0
    read = sources["rows_read"].sum() or 0
    text = f"{read:,} rows read, {refused:,} refused"
    if tied or open_periods:
        text += f"; {tied} invoiced periods tie out"
        text += f", {open_periods} {'does' if open_periods == 1 else 'do'} not" if open_periods else ""
    st.subheader(text + ".", anchor=False)
