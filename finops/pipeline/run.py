"""A whole run: tables, bills, tie-out, forecasts, plans, alerts, exports, and a summary for an executive."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from connectors import demo
from finops import schema as s
from finops.config import Config, load_config
from finops.errors import FinopsError
from finops.freshness import settled_until
from finops.pipeline import (
    alerting,
    anomalies,
    exports,
    forecasts,
    ingest,
    placement,
    reconciliation,
    scenarios,
    tables,
    tokens,
)
from finops.pipeline.histories import TOTAL
from finops.pipeline.landing import month_landing
from finops.reconciliation import NO_INVOICE, TIED_OUT, Reconciliation
from finops.store import Lake
from reports.views.movement import coverage, month_of
from reports.views.scope import Scope
from reports.views.spend import spend_in
from reports.views.words import compact, percent, period_name

Say = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One sentence of a summary, under its topic."""

    topic: str
    text: str


@dataclass(frozen=True)
class RunSummary:
    """What a run did and found.

    attention: a budget is breached, a period does not tie out, or rows lie in quarantine. failed: the errors
    of sources that could not be loaded. paths: the files that it wrote.
    """

    lines: tuple[Line, ...]
    paths: tuple[Path, ...]
    attention: bool
    failed: dict[str, FinopsError]


def demonstrate(home: Path, *, months: int, seed: int, today: date, say: Say) -> RunSummary:
    """Write the demo company's exports and finops.toml into a home, then run it."""
    company = demo.write(home, months=months, seed=seed, today=today)
    say(f"{company.name}: {months} months of raw exports, {company.charges:,} cloud charges, in {home / 'raw'}")
    config = load_config(home)
    return run(config, Lake.of(config), today=today, say=say)


def run(config: Config, lake: Lake, *, today: date, say: Say) -> RunSummary:
    """Do everything that the config asks for, in order; a source that cannot be loaded leaves the rest done."""
    tables.load(config, lake, say=say)
    loaded = ingest.ingest_all(config, lake, config.sources, say=say, until=today + timedelta(days=1))
    quarantined = sum(b.rows_quarantined for b in loaded.batches)
    tied = reconciliation.reconcile(lake, today=today)
    usage = tokens.tie_out(config, lake)
    forecast = forecasts.refresh(config, lake, say=say)
    scenarios.write_missing_scenarios(config, lake, say=say)
    plans = placement.refresh(config, lake, say=say)
    unusual = anomalies.refresh(config, lake, say=say)
    alerts = alerting.raise_alerts(config, lake, say=say, today=today)
    written = exports.export(config, lake, say=say)
    lines = [
        *(Line("Spend", text) for text in _spend(lake, today)),
        *(Line("Tie-out", text) for text in _tie_out(tied, quarantined, tuple(loaded.failed))),
        *(Line("Tie-out", text) for text in _open(tied.rows, settled_until(lake.scan("spend_daily"), today))),
        *(Line("Tokens", text) for text in tokens.summary(config, lake, today=today, tied=usage)),
        *(Line("Forecast", text) for text in [*_landing(config, lake), *forecasts.summary(forecast)]),
        *(Line("Placement", text) for text in placement.summary(plans)),
        *(Line("Anomalies", text) for text in anomalies.summary(unusual)),
        *(Line("Alerts", text) for text in alerting.summary(alerts)),
    ]
    off = ~tied.rows["status"].is_in([TIED_OUT, NO_INVOICE])
    off_usage = usage["status"] == "residual"
    return RunSummary(
        tuple(lines),
        tuple(file.path for file in written.files),
        attention=bool(off.any() or off_usage.any() or quarantined or alerts.breached),
        failed=loaded.failed,
    )


def _spend(lake: Lake, today: date) -> Iterator[str]:
    """AI spend of the last whole month beside the one before, and who moved it."""
    if coverage(lake) is None:
        yield "The lake holds no spend yet; configure a source in finops.toml."
        return
    month = _month_before(settled_until(lake.scan("spend_daily"), today).replace(day=1))
    now, before = (
        Scope(where={s.IS_AI: (True,)}, start=start, end=end) for start, end in (month, _month_before(month[0]))
    )
    prior = {r["currency"]: r["cost"] for r in spend_in(lake, before).totals.to_dicts()}
    for row in spend_in(lake, now).totals.sort("cost", descending=True).to_dicts():
        currency, cost, was = row["currency"], row["cost"], prior.get(row["currency"])
        change = (
            f", {percent((cost - was) / was, signed=True)} on {period_name(*_month_before(month[0]))}" if was else ""
        )
        yield f"{period_name(*month)}: {compact(cost)} {currency} on AI{change}{_share(lake, now, currency, cost)}."


def _share(lake: Lake, scope: Scope, currency: str, total: Decimal) -> str:
    """The purpose that takes most of it."""
    rows = spend_in(lake, scope, by=("purpose",)).rows.filter(pl.col("currency") == currency)
    top = rows.sort("cost", descending=True).head(1).to_dicts()
    return f"; {percent(top[0]['cost'] / total)} of it is {top[0]['purpose']}" if top and total else ""


def _tie_out(tied: Reconciliation, quarantined: int, failed: tuple[str, ...]) -> Iterator[str]:
    invoiced = tied.rows.filter(pl.col("invoice").is_not_null())
    exact = invoiced.filter(pl.col("status") == TIED_OUT)
    if len(invoiced):
        yield f"{len(exact)} of {len(invoiced)} invoiced months tie out to the invoice."
    for row in invoiced.filter(pl.col("status") != TIED_OUT).to_dicts():
        side = "above" if row["residual"] > 0 else "below"
        why = f": {row['note']}" if row["note"] else ""
        yield (
            f"{row['source_id']} {row['billing_period']}: the invoice is {compact(abs(row['residual']))} "
            f"{row['currency']} ({percent(abs(row['residual_ratio'] or 0))}) {side} what the bill shows{why}."
        )
        if row["next_step"]:
            yield f"Next: {row['next_step']}."
    if quarantined:
        yield f"{quarantined:,} rows lie in quarantine with their reasons; see `finops quality`."
    if failed:
        yield f"not loaded: {', '.join(failed)}; their figures are those of the last run."


def _open(rows: pl.DataFrame, settled: date) -> Iterator[str]:
    """Which months may still change, and up to which day forecasts and alerts take the figures as whole."""
    for (month,), part in rows.filter(pl.col("open").is_not_null()).group_by(["billing_period"], maintain_order=True):
        why = part.group_by("open", maintain_order=True).agg(pl.col("source_id").unique().sort())
        said = "; ".join(f"{', '.join(sources)}: {reason}" for reason, sources in why.iter_rows())
        yield f"{month} is open ({said})."
    if rows["open"].is_not_null().any():
        yield f"Forecasts and alerts take days up to {settled - timedelta(days=1):%-d %B} as billed in full."


def _landing(config: Config, lake: Lake) -> Iterator[str]:
    """Where the open month lands, for all AI spend."""
    rows = month_landing(config, lake).filter(pl.col("grouping") == TOTAL).sort("period")
    for row in rows.group_by("currency", maintain_order=True).first().to_dicts():
        month = period_name(*month_of(row["period"]))
        band = "" if row["p10"] is None else f" (80 %: {compact(row['p10'])} to {compact(row['p90'])})"
        yield (
            f"{month} lands at {compact(row['landing'])} {row['currency']}{band}: {compact(row['actual'])} billed to "
            f"{row['cutoff']:%-d %B}, {compact(row['expected_rest'])} still expected."
        )


def _month_before(first: date) -> tuple[date, date]:
    end = first - timedelta(days=1)
    return end.replace(day=1), end
