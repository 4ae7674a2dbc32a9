"""Budgets that a cloud keeps, written as a CSV file of the budgets table; no file of finance is replaced."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from finops import schema as s
from finops.config import Config, Source
from finops.errors import CallError, ConfigError, InputError
from finops.pipeline.budgets import BudgetFile
from finops.pipeline.pulling import connect_gcp
from finops.store import Lake
from reports.export import csv_text, write_whole

if TYPE_CHECKING:
    from connectors.gcp.budgets import Known

PROVIDERS: Final = ("gcp",)
FOLDER: Final = "budgets"
_TAGGED: Final = ("team", "use_case", "cost_center", "environment", "purpose")


def fetch_budgets(
    config: Config,
    lake: Lake,
    provider: str,
    *,
    source_id: str | None,
    account: str | None,
    path: Path | None,
    replace: bool,
    today: date,
    say: Callable[[str], None],
) -> BudgetFile:
    """Write the budgets of a cloud's billing account as CSV, by default `budgets/gcp.csv` of the home.

    source_id: whose bill and identity; the first of that cloud. account: by default that of the export's table.
    replace: allow a file that is there already. Raises CallError for a cloud without budgets here or a file that is
    there, ConfigError where no source or account is named, InputError where no budget can be kept, SourceUnreachable.
    """
    if provider not in PROVIDERS:
        raise CallError(
            f"budgets of {provider!r} cannot be fetched",
            expected=f"one of {', '.join(PROVIDERS)}",
            next_step="correct --provider",
        )
    target = path or config.home / FOLDER / f"{provider}.csv"
    if target.exists() and not replace:
        raise CallError(
            f"{target} is there already",
            expected="a file that is to be written anew",
            next_step="name another FILE, or add --replace",
        )
    from connectors.gcp import budgets  # Google's SDKs take long to import: only who uses them waits

    source = _source(config, source_id)
    billing = account or _account(source)
    found = budgets.fetch(connect_gcp(config, source.id, say=say, account=billing), billing)
    rows, left_out = budgets.rows(found, _known(config, lake, source), today=today)
    for reason in left_out:
        say(f"left out: {reason}")
    if rows.is_empty():
        raise InputError(
            f"{billing} has {len(found)} budget(s), and none of them can be kept here",
            expected="one with an amount of its own, for all, one project, one service or one label",
            next_step="see what was left out, and why",
        )
    write_whole(target, lambda part: part.write_text(csv_text(rows), encoding="utf-8"))
    if config.tables.budgets is None or config.path(config.tables.budgets) != target:
        say(f"{target} is not in use yet; next: `finops budget import {target}`, or name it as budgets under [tables]")
    totals = dict(rows.group_by("currency").agg(pl.col("amount").sum()).sort("currency").iter_rows())
    return BudgetFile(target, len(rows), 0, totals)


def _source(config: Config, source_id: str | None) -> Source:
    sources = {source.id: source for source in config.sources if source.gcp is not None}
    chosen = sources.get(source_id) if source_id else next(iter(sources.values()), None)
    if chosen is None:
        raise ConfigError(
            f"no source {source_id or ''} with `gcp` in finops.toml".replace("  ", " "),
            expected=f"one of {', '.join(sources)}" if sources else "a source with `gcp`: budgets are of its bill",
            next_step="name one of them, or add it",
        )
    return chosen


def _account(source: Source) -> str:
    assert source.gcp is not None, "the caller asked"
    if source.gcp.account is None:
        raise ConfigError(
            f"{source.gcp.table} does not say which billing account it is of",
            expected="an account such as 01AB23-C45D67-E89F01",
            next_step="name it by --account",
        )
    return source.gcp.account


def _known(config: Config, lake: Lake, source: Source) -> "Known":
    from connectors.gcp.budgets import Known

    kept = pl.col(s.SOURCE_COLUMNS)
    names = (
        lake.scan("charges")
        .filter(pl.col(s.SOURCE_ID) == source.id)
        .select(
            project=s.SUB_ACCOUNT_ID,
            number=kept.str.json_path_match("$['project.number']"),
            service=s.SERVICE_NAME,
            service_id=kept.str.json_path_match("$['service.id']"),
        )
        .unique()
        .collect(engine="streaming")
    )
    projects = names.drop_nulls("project")
    return Known(
        source.id,
        dict(projects.select("project", pl.col("project").alias("name")).iter_rows())
        | dict(projects.drop_nulls("number").select("number", "project").iter_rows()),
        dict(names.drop_nulls(["service", "service_id"]).select("service_id", "service").iter_rows()),
        {key: dimension for dimension in reversed(_TAGGED) for key in getattr(config.tags, dimension)},
    )
