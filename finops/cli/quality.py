"""Commands that say whether the lake can be trusted: reconcile and quality."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from finops.checks import FINDING_COLUMNS
from finops.cli.ingest import Period, check_period
from finops.cli.session import Format, Session, session
from finops.config import FinanceTables
from finops.pipeline import quality as judging
from finops.pipeline import reconciliation, tables
from finops.reconciliation import NO_INVOICE, TIED_OUT
from finops.residuals import ROUNDING
from finops.restatement import by_month, moved

_HALF_A_CENT = Decimal("0.005")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(reconcile)
    app.command()(quality)


def reconcile(
    context: typer.Context,
    period: Period = None,
    invoices: Annotated[Path | None, typer.Option(help="A CSV of invoices to load first; replaces the table.")] = None,
    invoice_lines: Annotated[
        Path | None, typer.Option(help="A CSV of the invoices' lines to load first; replaces the table.")
    ] = None,
    causes: Annotated[bool, typer.Option("--causes", help="What each residual is made of.")] = False,
    restated: Annotated[
        bool, typer.Option("--restated", help="Months that a later load changed; with --period by service and account.")
    ] = False,
) -> None:
    """Invoices against the lake: what ties out, what does not, by how much and why."""
    current = session(context)
    check_period(period)
    if invoices or invoice_lines:
        given = FinanceTables(
            invoices=invoices and invoices.resolve(), invoice_lines=invoice_lines and invoice_lines.resolve()
        )
        tables.load(current.config.model_copy(update={"tables": given}), current.lake, say=current.say)
    if restated:
        _show_restated(current, period)
        return
    found = reconciliation.reconcile(current.lake, today=_today(), period=period)
    if not found.rows["status"].is_in([TIED_OUT, NO_INVOICE]).all():
        current.needs_attention()
    if found.rows.is_empty():
        current.say("nothing to reconcile yet; next: `finops ingest`, and name invoices in finops.toml")
    if current.format is Format.table:
        current.show(_brief(found.rows), title="Invoices against the lake")
        _print_causes(found.causes, every=causes)
    elif current.format is Format.csv and causes:
        current.show(found.causes)
    else:
        current.show(found.rows, document={"causes": found.causes.to_dicts()})


def quality(context: typer.Context, period: Period = None) -> None:
    """Findings about the data: quarantined rows, double counting, unowned AI spend, missing columns, stale sources."""
    current = session(context)
    check_period(period)
    findings = judging.quality(current.lake, period=period, today=_today())
    if findings["severity"].is_in(["error", "warning"]).any():
        current.needs_attention()
    sources = reconciliation.freshness(current.lake, today=_today())
    if current.format is not Format.table:
        freshness = [{**asdict(source), "is_stale": source.is_stale} for source in sources]
        current.show(findings.select(*FINDING_COLUMNS), key="findings", document={"freshness": freshness})
    elif findings.is_empty():
        current.say("no findings")
    else:
        _print_findings(findings)


def _show_restated(current: Session, period: str | None) -> None:
    rows = reconciliation.restated(current.lake, period=period)
    shown = by_month(rows) if period is None else moved(rows)
    if shown.is_empty():
        current.say("no month that is held was loaded again with other charges")
    if current.format is not Format.table:
        current.show(shown)
    elif len(shown):
        names = (
            ["period", "currency", "old", "new"] if period is None else ["service", "account", "category", "currency"]
        )
        account = [pl.coalesce("account_name", "account_id").alias("account")] if period else []
        brief = shown.with_columns(pl.col(pl.Decimal).round(2), *account).rename(
            {"source_id": "source", "billing_period": "period"}
        )
        current.show(brief.select("source", *names, "change", "restated"), title="What the last load changed")


def _brief(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns that fit a terminal: those that say nothing are left out."""
    places = ["source_id", "billing_period", "currency"]
    names = ["issuer", "account_id"] if rows.select(places).is_duplicated().any() else []
    amounts = ["quarantined"] if (rows["quarantined"] != 0).any() else []
    opened = pl.when(pl.col("open").is_null()).then(pl.lit("")).otherwise(pl.lit(", open"))
    return rows.select(
        pl.col("source_id").alias("source"), pl.col("billing_period").alias("period"), *names, "currency",
        pl.col("invoice", "stored", "residual", *amounts).round(2),
        (pl.col("status").str.replace_all("_", " ") + opened).alias("status"),
    )  # fmt: skip


def _print_causes(causes: pl.DataFrame, *, every: bool) -> None:
    """A line a cause with what to do; those of whole cents only where all are asked for."""
    told = causes if every else causes.filter((pl.col("cause") != ROUNDING) & (pl.col("amount").abs() >= _HALF_A_CENT))
    for row in told.to_dicts():
        typer.echo(f"{row['source_id']} {row['billing_period']}: {_amount(row)} {row['cause']}: {row['note']}")
        if row["cause"] != ROUNDING:
            typer.echo(f"  next: {row['next_step']}")


def _amount(row: dict[str, Any]) -> str:
    digits = 2 if abs(row["amount"]) >= _HALF_A_CENT else 4
    return f"{row['amount']:,.{digits}f} {row['currency']}"


def _print_findings(findings: pl.DataFrame) -> None:
    """One paragraph a check: how grave, how much, where, and what to do."""
    checks = findings.group_by("severity", "check", "message", "next_step", "currency", maintain_order=True).agg(
        pl.col("rows", "cost").sum(), pl.col("source_id").unique().sort(), pl.col("billing_period").unique().sort()
    )
    for row in checks.to_dicts():
        periods = row["billing_period"]
        when = periods[0] if len(periods) == 1 else f"{periods[0]} to {periods[-1]}"
        money = [f"{row['rows']:,} rows", f"{row['cost']:,.2f} {row['currency']}"] if row["rows"] else []
        typer.echo(f"{row['severity']}: {row['message']} ({row['check']})")
        typer.echo(f"  {', '.join([*money, *row['source_id'], when])}")
        typer.echo(f"  next: {row['next_step']}")


def _today() -> date:
    return datetime.now(UTC).date()
