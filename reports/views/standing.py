"""Where the company stands: the few figures of a page's top row, alerts, sources and their freshness."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s
from finops.freshness import billed_to
from finops.store import Lake
from reports.views.scope import Scope
from reports.views.spend import daily

BREACH: Final = "breach"


@dataclass(frozen=True)
class Figure:
    """One figure of a period beside the period before; None where there is nothing to measure.

    unit: what the number counts, like "USD per accelerator-hour" or "ratio".
    """

    name: str
    unit: str
    value: Decimal | None
    prior: Decimal | None

    @property
    def change_ratio(self) -> Decimal | None:
        """(value - prior) / |prior|; None where either is missing or the prior is zero."""
        if self.value is None or not self.prior:
            return None
        return (self.value - self.prior) / abs(self.prior)


def figures(source: Lake | pl.LazyFrame, scope: Scope, currency: str) -> tuple[Figure, ...]:
    """The top row in one currency: spend, cost per accelerator-hour, spend without an owner.

    cost per accelerator-hour [currency / h] = cost of charges with accelerator-hours / those hours; unowned = cost of
    charges whose owner nobody knows.
    """
    now = _sums(daily(source), scope, currency)
    then = _sums(daily(source), scope.prior(), currency)

    def figure(name: str, unit: str, amount: str, per: str | None = None) -> Figure:
        return Figure(name, unit, _rate(now, amount, per), _rate(then, amount, per))

    return (
        figure("spend", currency, "spend"),
        figure("cost_per_accelerator_hour", f"{currency} per accelerator-hour", "gpu", "hours"),
        figure("unowned_spend", currency, "unowned"),
    )


def _sums(frame: pl.LazyFrame, scope: Scope, currency: str) -> dict[str, Decimal]:
    cost = pl.col(scope.measure)
    hours = pl.col(s.ACCELERATOR_HOURS).fill_null(0)
    row = (
        scope.filter(frame)
        .filter(pl.col(s.BILLING_CURRENCY) == currency)
        .select(
            cost.sum().alias("spend"),
            cost.filter(hours > 0).sum().alias("gpu"),
            hours.sum().alias("hours"),
            cost.filter(pl.col(s.OWNER_STATUS) == "none").sum().alias("unowned"),
        )
        .collect()
    )
    return row.row(0, named=True)


def _rate(sums: dict[str, Decimal], amount: str, per: str | None) -> Decimal | None:
    if per is None:
        return sums[amount]
    return sums[amount] / sums[per] if sums[per] else None


def open_alerts(lake: Lake) -> pl.DataFrame:
    """Alerts that nobody has resolved, the gravest and newest first."""
    rank = pl.col("severity").replace_strict({BREACH: 0, "warn": 1}, default=2)
    return (
        lake.scan("alerts")
        .filter(pl.col("state") != "resolved")
        .sort(rank, "updated_at", descending=[False, True])
        .select("severity", "kind", "scope", "period", "message", "next_step", "owner", "state", "first_seen_at")
        .collect()
    )


def sources(lake: Lake) -> pl.DataFrame:
    """Each source with the last day it billed in full and control totals: read = stored + quarantined, per currency."""
    ends = billed_to(lake.scan("spend_daily"))
    newest = pl.LazyFrame(
        {"source_id": list(ends), "newest_day": list(ends.values())}, {"source_id": pl.String, "newest_day": pl.Date}
    )
    totals = ("rows_read", "rows_stored", "rows_quarantined", "billed_read", "billed_stored", "billed_quarantined")
    return (
        lake.scan("loads")
        .group_by("source_id", "currency")
        .agg(pl.col("billing_period").n_unique().alias("periods"), pl.col(*totals).sum(), pl.col("loaded_at").max())
        .join(newest, on="source_id", how="left")
        .select("source_id", "currency", "periods", "newest_day", "loaded_at", *totals)
        .sort("source_id", "currency")
        .collect()
    )


def quarantined(lake: Lake) -> pl.DataFrame:
    """Refused rows by source, billing period, file and reason, the dearest first."""
    keys = ("source_id", "billing_period", "source_file", "reason", "currency")
    return (
        lake.scan("quarantine")
        .group_by(*keys)
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("billed_cost").sum())
        .sort(pl.col("billed_cost").abs(), *keys, descending=[True, *(False for _ in keys)])
        .collect()
    )
