"""Finance's CSV files into the lake: budgets, invoices, FX rates, business metrics and mappings."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from connectors import files, tables
from finops.config import Config
from finops.pipeline.stated_invoices import with_stated
from finops.store import Lake, again_on_conflict

TABLES: Final = ("budgets", "invoices", "invoice_lines", "fx_rates", "business_metrics", "mappings")


@dataclass(frozen=True)
class TablesLoad:
    """Rows of each configured table, and which of them changed."""

    rows: dict[str, int]
    changed: tuple[str, ...]


@again_on_conflict
def load(config: Config, lake: Lake, *, say: Callable[[str], None]) -> TablesLoad:
    """Read every table that the config names and replace those that differ from the lake, in one transaction.

    All files are read before anything is written, and equal content makes no snapshot. Budgets that were edited and
    imported stay until the configured file itself changes. Raises InputError as connectors.tables.read does.
    """
    read: dict[str, pl.DataFrame] = {}
    for name in TABLES:
        path: Path | None = getattr(config.tables, name)
        if path is None:
            continue
        found = tables.read(name, config.path(path), currency=config.company.currency)
        if found.ignored:
            say(f"{path.name}: columns without use here: {', '.join(found.ignored)}")
        read[name] = found.frame
    for name in ("invoices", "invoice_lines"):
        if name in read:
            read[name] = with_stated(read[name], lake.scan(name).collect())
    if "budgets" in read:
        read["budgets"] = _marked(read["budgets"], config)
    changed = tuple(name for name, frame in read.items() if not _is_held(name, frame, lake.scan(name).collect()))
    if changed:
        with lake.transaction("tables " + " ".join(changed)) as tx:
            for name in changed:
                tx.replace(name, read[name])
        say("loaded " + ", ".join(f"{name} ({len(read[name]):,} rows)" for name in changed))
    return TablesLoad({name: len(frame) for name, frame in read.items()}, changed)


def _marked(budgets: pl.DataFrame, config: Config) -> pl.DataFrame:
    """Budgets whose source also says which version of the file they are from."""
    assert config.tables.budgets is not None
    path = config.path(config.tables.budgets)
    return budgets.with_columns(source=pl.lit(f"{path.name}#{files.digest(path)[:12]}"))


def _is_held(name: str, read: pl.DataFrame, held: pl.DataFrame) -> bool:
    if name == "budgets" and len(read) and len(held):
        # an import of edited budgets keeps the mark of the file that it edits, after its own name
        return bool(held["source"].str.ends_with(read["source"][0]).any())
    order = read.columns
    return read.sort(order).equals(held.sort(order))
