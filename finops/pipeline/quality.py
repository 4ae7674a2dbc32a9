"""Reconciliation and quality over the lake's newest snapshot."""

import polars as pl

from finops import checks
from finops import schema as s
from finops.store import Lake


def reconcile(lake: Lake, *, period: str | None = None) -> pl.DataFrame:
    """Invoices against the lake, per source, billing period and currency; see finops.checks.reconcile."""
    rows = checks.reconcile(lake.scan("spend_daily"), lake.scan("quarantine"), lake.scan("invoices"))
    return rows if period is None else rows.filter(pl.col("billing_period") == period)


def quality(lake: Lake, *, period: str | None = None) -> pl.DataFrame:
    """All findings about the lake's charges and quarantined rows, the gravest and dearest first."""
    charges, quarantine = lake.scan("charges"), lake.scan("quarantine")
    if period is not None:
        charges = charges.filter(pl.col(s.BILLING_PERIOD) == period)
        quarantine = quarantine.filter(pl.col("billing_period") == period)
    return checks.findings_frame(checks.quality(charges, quarantine))
