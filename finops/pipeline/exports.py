"""Exports: spend for budgeting, actuals beside forecast and budget, and a FOCUS dataset, each tied to the lake."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.errors import CallError, LakeError
from finops.pipeline.budgets import budget_status
from finops.pipeline.forecasts import month_landing
from finops.scope import ALL
from finops.store import Lake
from reports.export import csv_text, write_whole
from reports.views.budgets import A_MONTH
from reports.views.movement import START, trend
from reports.views.outlook import scope_of
from reports.views.scope import Scope
from reports.views.spend import COST, CURRENCY, spend

FOCUS_VERSIONS: Final = (s.FOCUS_VERSION,)
SPEND_DIMENSIONS: Final = ("team", "use_case", "purpose", "cost_center")
_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written: its rows, and what its amounts come to per currency, read back from the file."""

    path: Path
    rows: int
    measure: str
    totals: dict[str, Decimal]


@dataclass(frozen=True)
class ExportRun:
    """The files of one export."""

    files: tuple[ExportedFile, ...]


def export(
    config: Config,
    lake: Lake,
    *,
    say: Callable[[str], None],
    directory: Path | None = None,
    focus: str | None = None,
) -> ExportRun:
    """Write the budgeting files, and with `focus` all billed charges as a FOCUS dataset of that version.

    Each file appears whole or not at all, and is read back: raises LakeError where its sum is not the lake's. Raises
    CallError for a FOCUS version that is not written, and for a directory that is a file.
    """
    if focus is not None and focus not in FOCUS_VERSIONS:
        raise CallError(
            f"FOCUS {focus}", expected=f"one of {', '.join(FOCUS_VERSIONS)}", next_step=f"use --focus {s.FOCUS_VERSION}"
        )
    folder = directory or config.outputs
    if folder.is_file():
        raise CallError(f"{folder} is a file", expected="a folder, or a new name", next_step="name another folder")
    files = [
        _spend_by_month(lake, folder / "spend_by_month.csv"),
        _actual_forecast_budget(config, lake, folder / "actual_forecast_budget.csv"),
    ]
    if focus is not None:
        files.append(_focus(lake, folder / f"focus_{focus.replace('.', '_')}.csv"))
    for file in files:
        totals = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in file.totals.items()) or "nothing"
        say(f"{file.path}: {file.rows:,} rows, {totals} ({file.measure})")
    return ExportRun(tuple(files))


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
    return _tied(path, "effective_cost", CURRENCY, spend(lake).totals)


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
    return _tied(path, "actual", CURRENCY, spend(lake).totals, only=of_all & (pl.col("actual") != "0"))


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


def _focus(lake: Lake, path: Path) -> ExportedFile:
    """All billed charges with the columns of the FOCUS version that the lake keeps, streamed."""
    billed = lake.scan("charges").filter(pl.col(s.LEDGER_ROLE) == s.BILLED).select(*s.FOCUS)
    write_whole(path, lambda part: billed.sink_csv(part, datetime_format=_TIME_FORMAT))
    return _tied(path, s.BILLED_COST, s.BILLING_CURRENCY, spend(lake, cost="billed").totals)


def _tied(
    path: Path, measure: str, currency: str, expected: pl.DataFrame, *, only: pl.Expr | None = None
) -> ExportedFile:
    """The file as read back; raises LakeError where it does not sum to the lake's totals."""
    found = pl.scan_csv(path, infer_schema=False)
    counted = found if only is None else found.filter(only)
    sums = counted.group_by(currency).agg(pl.col(measure).cast(s.MONEY).sum()).sort(currency).collect()
    file = ExportedFile(path, found.select(pl.len()).collect().item(), measure, dict(sums.iter_rows()))
    lake = dict(expected.select(CURRENCY, COST).iter_rows())
    if file.totals != lake:
        raise LakeError(
            f"{path} sums to {file.totals}, the lake to {lake}",
            expected="the same amounts per currency",
            next_step="run `finops quality`, then export again; do not use the file",
        )
    return file
