"""Checks over what the lake holds: findings about the data's quality.

Pure functions over frames. A finding never stops anything: it says what is odd, how much money it touches, and what
to do.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Final, Literal

import polars as pl

from finops import schema as s
from finops.freshness import Visibility

TIED_OUT_RATIO: Final = Decimal("0.005")
"""A period is tied out when the unexplained part of its invoice is at most this share of it."""

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """Something odd in the data of one source and billing period, with the rows and the money that it touches."""

    check: str
    severity: Severity
    source_id: str
    billing_period: str
    currency: str
    rows: int
    cost: Decimal
    message: str
    next_step: str


FINDING_COLUMNS: Final[dict[str, pl.DataType]] = {
    "check": pl.String(), "severity": pl.String(), "source_id": pl.String(), "billing_period": pl.String(),
    "currency": pl.String(), "rows": pl.Int64(), "cost": s.MONEY, "message": pl.String(), "next_step": pl.String(),
}  # fmt: skip


def findings_frame(findings: list[Finding]) -> pl.DataFrame:
    """Findings as a frame, the gravest and dearest first."""
    frame = pl.DataFrame([asdict(f) for f in findings], schema=FINDING_COLUMNS)
    order = pl.col("severity").replace_strict({"error": 0, "warning": 1, "info": 2})
    return frame.sort(order, -pl.col("cost").abs(), "check", "source_id", "billing_period")


def quality(charges: pl.LazyFrame, quarantine: pl.LazyFrame) -> list[Finding]:
    """All findings about charges and quarantined rows."""
    conditions = {name: condition for name, (condition, *_) in _ROW_CHECKS.items()}
    keys = [s.SOURCE_ID, s.BILLING_PERIOD, s.BILLING_CURRENCY]
    aggregates = [
        expression
        for name, condition in conditions.items()
        for expression in (
            condition.sum().alias(f"{name}:rows"),
            pl.col(s.EFFECTIVE_COST).filter(condition).sum().alias(f"{name}:cost"),
        )
    ]
    groups = charges.group_by(keys).agg(aggregates).sort(keys).collect(engine="streaming")
    findings = [
        Finding(
            check=name,
            severity=severity,
            source_id=record[s.SOURCE_ID],
            billing_period=record[s.BILLING_PERIOD],
            currency=record[s.BILLING_CURRENCY],
            rows=int(record[f"{name}:rows"]),
            cost=record[f"{name}:cost"],
            message=message,
            next_step=next_step,
        )
        for record in groups.to_dicts()
        for name, (_, severity, message, next_step) in _ROW_CHECKS.items()
        if record[f"{name}:rows"]
    ]
    return findings + _quarantined(quarantine) + _counted_twice(charges)


def _not_allowed(column: str) -> pl.Expr:
    allowed = next(c.allowed_values for c in s.focus_columns() if c.name == column)
    return (pl.col(column).is_not_null() & ~pl.col(column).is_in(allowed)).fill_null(value=False)


_is_purchase = (pl.col(s.CHARGE_CATEGORY) == "Purchase") & pl.col(s.COMMITMENT_DISCOUNT_ID).is_not_null()
_is_owned = pl.col(s.HOSTING).is_in(["on_prem", "colo", "edge"]).fill_null(value=False)
_is_ai = pl.col(s.IS_AI).fill_null(value=False)

_RowCheck = tuple[pl.Expr, Severity, str, str]
_ROW_CHECKS: Final[dict[str, _RowCheck]] = {
    "commitment_counted_twice": (
        _is_purchase & (pl.col(s.EFFECTIVE_COST) != 0),
        "error",
        "commitment purchases carry an EffectiveCost although their usage rows carry it too",
        "export the rows with EffectiveCost 0, or leave the purchase rows out of effective views",
    ),
    "charge_category_unknown": (
        pl.col(s.CHARGE_CATEGORY).is_null() | _not_allowed(s.CHARGE_CATEGORY),
        "warning",
        "ChargeCategory is empty or none of the five that FOCUS allows",
        "ask the exporter to map it; the cost is counted, but not as usage, purchase, tax or credit",
    ),
    "service_category_unknown": (
        _not_allowed(s.SERVICE_CATEGORY),
        "info",
        "ServiceCategory is none that FOCUS allows",
        "no effect on totals; grouping by service category shows it as it is",
    ),
    "list_cost_missing": (
        pl.col(s.LIST_COST).is_null() | pl.col(s.CONTRACTED_COST).is_null(),
        "info",
        "ListCost or ContractedCost is empty",
        "savings against list price leave these charges out",
    ),
    "effective_above_list": (
        (pl.col(s.EFFECTIVE_COST) > pl.col(s.LIST_COST))
        & (pl.col(s.COMMITMENT_DISCOUNT_STATUS).fill_null("") != "Unused")
        & ~_is_owned,
        "info",
        "EffectiveCost is above ListCost",
        "check whether list prices or amortised fees are exported in full",
    ),
    "effective_without_billed": (
        (pl.col(s.BILLED_COST) != pl.col(s.EFFECTIVE_COST))
        & pl.col(s.COMMITMENT_DISCOUNT_ID).is_null()
        & (pl.col(s.CHARGE_FREQUENCY).fill_null("") != "One-Time")
        & ~_is_owned,
        "info",
        "EffectiveCost differs from BilledCost although no commitment or one-time fee explains it",
        "tie out on BilledCost; ask the exporter how EffectiveCost was made",
    ),
    "ai_spend_without_owner": (
        _is_ai & pl.col(s.TEAM).is_null(),
        "warning",
        "AI spend that no tag and no mapping gives to a team",
        "tag the resources, or add their account to the mappings table",
    ),
}


def stale(sources: Iterable[Visibility]) -> list[Finding]:
    """Sources whose newest complete day is older than their days usually are when they come."""
    return [
        Finding(
            "source_stale", "warning", source.source_id, f"{source.newest_day:%Y-%m}", "", 0, Decimal(0),
            f"complete to {source.newest_day}, {source.days_behind} days ago; nine in ten of its days were there after "
            f"{source.p90_days}", f"`finops ingest {source.source_id}`; if that brings nothing, look at its export",
        )
        for source in sources
        if source.is_stale
    ]  # fmt: skip


def _quarantined(quarantine: pl.LazyFrame) -> list[Finding]:
    keys = ["source_id", "billing_period", "currency", "reason"]
    groups = (
        quarantine.group_by(keys)
        .agg(pl.len(), pl.col("billed_cost").sum(), pl.col("source_file").first(), pl.col("source_row").min())
        .sort(keys)
        .collect()
    )
    return [
        Finding(
            "quarantined", "warning", source, period, currency or "", rows, cost,
            f"{reason} (first at {file} row {row})", "correct the row in the source and load the period again",
        )
        for source, period, currency, reason, rows, cost, file, row in groups.iter_rows()
    ]  # fmt: skip


def _counted_twice(charges: pl.LazyFrame) -> list[Finding]:
    """The same sub account of the same provider in two billed sources: its dollars would be counted twice."""
    keys = [s.BILLING_PERIOD, s.SERVICE_PROVIDER_NAME, s.BILLING_ACCOUNT_ID, s.SUB_ACCOUNT_ID, s.BILLING_CURRENCY]
    groups = (
        charges.filter((pl.col(s.LEDGER_ROLE) == s.BILLED) & pl.col(s.SUB_ACCOUNT_ID).is_not_null())
        .group_by(keys)
        .agg(pl.col(s.SOURCE_ID).unique().sort(), pl.len().alias("rows"), pl.col(s.BILLED_COST).sum().alias("cost"))
        .filter(pl.col(s.SOURCE_ID).list.len() > 1)
        .sort(keys)
        .collect(engine="streaming")
    )
    return [
        Finding(
            "counted_twice", "error", " + ".join(row[s.SOURCE_ID]), row[s.BILLING_PERIOD], row[s.BILLING_CURRENCY],
            row["rows"], row["cost"], f"account {row[s.SUB_ACCOUNT_ID]} is billed by more than one source",
            "remove one of the sources, or give it ledger_role = \"derived\"",
        )
        for row in groups.to_dicts()
    ]  # fmt: skip
