"""Exports: spend for budgeting, actuals beside forecast and budget, and FOCUS files, each tied to the lake."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.pipeline.budgets import budget_status
from finops.pipeline.exported import ExportedFile, tied
from finops.pipeline.focus_export import FocusExport, check_call, export_focus
from finops.pipeline.landing import month_landing
from finops.scope import ALL
from finops.store import Lake
from reports.export import csv_text, write_whole
from reports.views.budgets import A_MONTH
from reports.views.movement import START, trend
from reports.views.outlook import scope_of
from reports.views.scope import Scope
from reports.views.spend import COST, CURRENCY, spend

SPEND_DIMENSIONS: Final = ("team", "use_case", "purpose", "cost_center")


@dataclass(frozen=True)
class ExportRun:
    """The files of one export, each tied to the lake, and where asked for what else there is of FOCUS."""

    files: tuple[ExportedFile, ...]
    focus: FocusExport | None = None


def export(
    config: Config,
    lake: Lake,
    *,
    say: Callable[[str], None],
    directory: Path | None = None,
    focus: str | None = None,
    form: str = "csv",
) -> ExportRun:
    """Write the budgeting files, and with `focus` all billed charges as a FOCUS dataset of that version, in that form.

    Each file appears whole or not at all, and is read back: raises LakeError where its sum is not the lake's. Raises
    CallError for a FOCUS version or form that is not written, and for a directory that is a file.
    """
    check_call(focus, form)
    folder = directory or config.outputs
    if folder.is_file():
        raise CallError(f"{folder} is a file", expected="a folder, or a new name", next_step="name another folder")
    files = [
        _spend_by_month(lake, folder / "spend_by_month.csv"),
        _actual_forecast_budget(config, lake, folder / "actual_forecast_budget.csv"),
    ]
    written = None if focus is None else export_focus(lake, folder, version=focus, form=form)
    if written:
        files.append(written.charges)
    for file in (*files, *(written.others if written else ())):
        totals = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in file.totals.items()) or "nothing"
        say(f"{file.path}: {file.rows:,} rows" + (f", {totals} ({file.measure})" if file.measure else ""))
    if written:
        say(f"{written.report}: {_findings(written)}")
    return ExportRun(tuple(files), written)


def _findings(written: FocusExport) -> str:
    """What the rules of FOCUS say, in a line."""
    if written.findings.is_empty():
        return f"every rule of FOCUS {written.version} holds"
    rules = written.findings.unique(["dataset", "column", "rule"], maintain_order=True)
    counts = ", ".join(f"{dataset} {count}" for dataset, count in Counter(rules["dataset"]).items())
    return f"{len(rules)} rules of FOCUS {written.version} do not hold for some rows ({counts})"


def _spend_by_month(lake: Lake, path: Path) -> ExportedFile:
    """Effective and billed cost by month of the charge, team, use case, purpose and cost center."""
    month = pl.col("day").dt.strftime("%Y-%m").alias("month")
    keys = ("month", *SPEND_DIMENSIONS, CURRENCY)
    costs = [
        spend(lake, by=("day", *SPEND_DIMENSIONS), cost=cost)
        .rows.group_by(month, *SPEND_DIMENSIONS, CURRENCY)
        .agg(pl.col(COST).sum().alias(f"{cost}_cost"))
        for cost in ("effective", "billed")
    ]
    rows = costs[0].join(costs[1], on=keys, how="full", coalesce=True, nulls_equal=True).sort(keys)
    write_whole(path, lambda part: part.write_text(csv_text(rows), encoding="utf-8"))
    return tied(path, CURRENCY, {"effective_cost": _by_currency(spend(lake).totals)})


def _actual_forecast_budget(config: Config, lake: Lake, path: Path) -> ExportedFile:
    """The months of all spend, of every budget and of every forecast: what was spent, is expected, and was planned."""
    columns = ("scope", "owner", "period", CURRENCY, "cost", "actual", "forecast", "budget", "status")
    key = ["scope", "period", CURRENCY, "cost"]
    budgets = budget_status(config, lake).rename({"landing": "forecast"}).select(columns)
    months = trend(lake, Scope()).select(
        pl.lit(ALL).alias("scope"),
        pl.col(START).dt.strftime("%Y-%m").alias("period"),
        CURRENCY,
        pl.lit("effective").alias("cost"),
        pl.col(COST).alias("actual"),
    )
    # the months of all spend keep their own actual: a budget's may hold other currencies, converted
    known = months.join(budgets.drop("actual"), on=key, how="left").select(columns)
    budgeted = pl.concat([known, budgets.join(months, on=key, how="anti")])
    coming = _coming(config, lake).join(budgeted, on=key, how="anti").select(columns)
    rows = pl.concat([budgeted, coming]).sort(key)
    write_whole(path, lambda part: part.write_text(csv_text(rows), encoding="utf-8"))
    of_all = (pl.col("scope") == ALL) & (pl.col("cost") == "effective") & pl.col("period").str.contains(A_MONTH)
    expected = _by_currency(spend(lake).totals)
    return tied(path, CURRENCY, {"actual": expected}, only=of_all & (pl.col("actual") != "0"))


def _by_currency(totals: pl.DataFrame) -> dict[str, Decimal]:
    return dict(totals.select(CURRENCY, COST).iter_rows())


def _coming(config: Config, lake: Lake) -> pl.DataFrame:
    """The months that the newest forecast lands, by the scopes of its series."""
    landing = month_landing(config, lake)
    scopes = {series: scope_of(series) for series in landing["series"].unique()}
    return landing.select(
        pl.col("series").replace_strict(scopes, return_dtype=pl.String).alias("scope"),
        pl.lit(None, pl.String).alias("owner"),
        "period",
        CURRENCY,
        pl.lit(config.forecast.cost).alias("cost"),
        "actual",
        pl.col("landing").alias("forecast"),
        pl.lit(None, s.MONEY).alias("budget"),
        pl.lit(None, pl.String).alias("status"),
    )
