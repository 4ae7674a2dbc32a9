"""Findings about the quality of the lake's newest snapshot."""

from datetime import date

import polars as pl

from finops import checks
from finops import schema as s
from finops.classify import suspected
from finops.pipeline.reconciliation import freshness
from finops.store import Lake


def quality(lake: Lake, *, period: str | None = None, today: date | None = None) -> pl.DataFrame:
    """All findings about the lake's charges and quarantined rows, the gravest and dearest first.

    today: where it is given and no period is, sources that are staler than usual are findings too.
    """
    late = checks.stale(freshness(lake, today=today)) if today and period is None else []
    charges, quarantine = lake.scan("charges"), lake.scan("quarantine")
    if period is not None:
        charges = charges.filter(pl.col(s.BILLING_PERIOD) == period)
        quarantine = quarantine.filter(pl.col("billing_period") == period)
    return checks.findings_frame(checks.quality(charges, quarantine) + _suspected(charges) + late)


def _suspected(charges: pl.LazyFrame) -> list[checks.Finding]:
    """Spend that reads like AI and that no rule decided, a finding a service."""
    keys = [s.SOURCE_ID, s.BILLING_PERIOD, s.BILLING_CURRENCY, s.SERVICE_NAME]
    rows = suspected(charges).group_by(keys, maintain_order=True)
    services = rows.agg(pl.col(s.CHARGE_COUNT, s.EFFECTIVE_COST).sum(), pl.col(s.CHARGE_DESCRIPTION).first())
    return [
        checks.Finding(
            check="suspected_ai",
            severity="info",
            source_id=row[s.SOURCE_ID],
            billing_period=row[s.BILLING_PERIOD],
            currency=row[s.BILLING_CURRENCY],
            rows=row[s.CHARGE_COUNT],
            cost=row[s.EFFECTIVE_COST],
            message=f"{row[s.SERVICE_NAME]} reads like AI, but no rule says so (first: {row[s.CHARGE_DESCRIPTION]})",
            next_step="add a rule of your own that says whether it is; docs/classification.md shows how",
        )
        for row in services.to_dicts()
    ]
