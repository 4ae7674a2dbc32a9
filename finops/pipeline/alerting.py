"""Alerts of the lake: rules over budgets, prices and the last two months of spend, kept as records with a state."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final

import polars as pl

from finops import alerts as rules
from finops import schema as s
from finops.config import Config
from finops.freshness import settled_until
from finops.pipeline import anomalies, tokens
from finops.pipeline.budgets import budget_status
from finops.scope import parse_period
from finops.store import Lake, again_on_conflict, new_run_id
from finops.token_ledger import ON_THE_BILL

GRAVEST: Final = 3
"""So many alerts stand in a run's summary."""


@dataclass(frozen=True)
class AlertRun:
    """What a run raised: alerts that are new or opened again, all open ones, and the open breaches among them.

    gravest: the messages of the first open alerts.
    """

    new: int
    open: int
    breached: int
    gravest: tuple[str, ...]


@again_on_conflict
def raise_alerts(config: Config, lake: Lake, *, say: Callable[[str], None], today: date | None = None) -> AlertRun:
    """Judge budgets, unowned AI spend, idle commitments, what tokens cost and the anomalies that the last search found,
    and write the table `alerts`.

    Judged are the month of the newest complete day, the month before it, and the quarters and years that they lie in;
    alerts of older periods stay as they are. The same findings again change nothing.
    """
    today = today or datetime.now(UTC).date()
    billed = lake.scan("spend_daily").filter(pl.col(s.LEDGER_ROLE) == s.BILLED, pl.col(s.CHARGE_DATE) <= pl.lit(today))
    last = settled_until(lake.scan("spend_daily"), today) - timedelta(days=1)
    previous = (last.replace(day=1) - timedelta(days=1)).replace(day=1)
    status = budget_status(config, lake, today=today)
    periods = {name: parse_period(name) for name in status["period"].unique()}
    judged = {name for name, period in periods.items() if period.end > previous and period.start <= last}
    months = {f"{previous:%Y-%m}", f"{last:%Y-%m}"}
    daily = _judged_columns(billed)
    raised = [
        *rules.budget_alerts(status.filter(pl.col("period").is_in(list(judged)))),
        *rules.unowned_alerts(daily, months=months, amount=Decimal(str(config.alerts.unowned_amount))),
        *rules.idle_alerts(daily, months=months, amount=Decimal(str(config.alerts.idle_amount))),
        *rules.unpriced_alerts(
            _unpriced(config, lake, (previous, last.replace(day=1))), currency=config.company.currency
        ),
        *rules.price_alerts(tokens.price_changes(config, lake, today=today)),
        *anomalies.alerts_of(lake.scan("anomalies").collect(), since=previous),
    ]
    held = lake.scan("alerts").collect()
    after = _merged(held, raised, judged | months, run_id=new_run_id())
    if not after.equals(rules.sort_records(held)):
        with lake.transaction("alerts") as tx:
            held = tx.scan("alerts").collect()
            after = _merged(held, raised, judged | months, run_id=tx.run_id)
            tx.replace("alerts", after)
    opened = _open(after)
    run = AlertRun(
        new=len(opened.join(_open(held), on="alert_id", how="anti")),
        open=len(opened),
        breached=len(opened.filter(pl.col("severity") == "breach")),
        gravest=tuple(opened["message"].head(GRAVEST)),
    )
    say(_counts(run))
    return run


def _merged(held: pl.DataFrame, raised: list[rules.Alert], judged: set[str], *, run_id: str) -> pl.DataFrame:
    whole = {rules.PRICE_CHANGE}
    return rules.merge(held, raised, judged=judged, whole=whole, now=datetime.now(UTC), run_id=run_id)


def summary(run: AlertRun) -> list[str]:
    """What a run says of itself, in sentences for people: the counts, then the gravest alerts."""
    return [_counts(run), *run.gravest]


def _counts(run: AlertRun) -> str:
    return f"{run.open} open alerts, {run.new} of them new; {run.breached} breach a budget."


def _judged_columns(billed: pl.LazyFrame) -> pl.DataFrame:
    """Effective cost by day and the dimensions that the rules look at; only rows that some rule could mean."""
    dimensions = (
        s.CHARGE_DATE, s.SERVICE_PROVIDER_NAME, s.SUB_ACCOUNT_ID, s.SUB_ACCOUNT_NAME, s.REGION_ID, s.IS_AI, s.TEAM,
        s.OWNER_STATUS, s.COMMITMENT_DISCOUNT_STATUS, s.ACCELERATOR_MODEL, s.DRIVER, s.BILLING_CURRENCY,
    )  # fmt: skip
    return (
        billed.filter((pl.col(s.OWNER_STATUS) == "none") | (pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Unused"))
        .group_by(dimensions)
        .agg(pl.col(s.EFFECTIVE_COST).sum())
        .collect(engine="streaming")
    )


def _unpriced(config: Config, lake: Lake, months: tuple[date, ...]) -> pl.DataFrame:
    """Usage without a price by month, but for what the bill prices in another unit."""
    return pl.concat(
        tokens.unpriced(config, lake, start=first, end=tokens.months_before(first, -1))
        .filter(~pl.col("reason").str.ends_with(ON_THE_BILL))
        .with_columns(month=pl.lit(f"{first:%Y-%m}"))
        for first in months
    )


def _open(alerts: pl.DataFrame) -> pl.DataFrame:
    return alerts.filter(pl.col("state") == "open")


def list_alerts(lake: Lake, *, every: bool = False) -> pl.DataFrame:
    """The alert records, gravest and newest first: open and acknowledged ones, or every one."""
    held = rules.sort_records(lake.scan("alerts").collect())
    return held if every else held.filter(pl.col("state").is_in(["open", "acknowledged"]))


@again_on_conflict
def set_state(lake: Lake, alert_id: str, state: rules.State) -> None:
    """Record that a person acknowledged or resolved an alert; raises CallError for an unknown id."""
    with lake.transaction(f"alert {alert_id} {state}") as tx:
        tx.replace("alerts", rules.with_state(tx.scan("alerts").collect(), alert_id, state, now=tx.started_at))
