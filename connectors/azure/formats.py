"""Which of Azure's formats a file is: found in its columns, never in its name."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from connectors.azure.columns import Kinds, missing, plain
from connectors.files import ROW_INDEX, readable, scan
from finops import schema as s
from finops.errors import InputError

_FOCUS = (s.BILLED_COST, s.EFFECTIVE_COST, s.CHARGE_CATEGORY)


@dataclass(frozen=True)
class Bill:
    """An opened file: its rows, its columns' types, and whether they are FOCUS; cost details else."""

    raw: pl.LazyFrame
    kinds: Kinds
    is_focus: bool


def open_bill(path: Path, options: dict[str, str]) -> Bill:
    """The file, opened lazily; raises InputError for one that is none of Azure's formats, or is empty or damaged."""
    raw = scan(path)
    with readable(path):
        kinds = dict(raw.collect_schema())
    columns = [c for c in kinds if c != ROW_INDEX]
    if {plain(c) for c in columns}.issuperset(plain(c) for c in _FOCUS):
        return Bill(raw, kinds, is_focus=True)
    lacks = [name for name in missing(kinds) if name != "currency" or "currency" not in options]
    if lacks:
        raise InputError(
            f"{path} has no column for {', '.join(lacks)}; it has {', '.join(columns[:12])}"
            + (f" and {len(columns) - 12} more" if len(columns) > 12 else ""),
            expected="a FOCUS 1.0 or 1.2 export, or cost details (actual or amortized), of Azure Cost Management",
            next_step="name the right --connector for this file, or export it with these columns"
            if lacks != ["currency"]
            else 'export it with its billing currency, or set `options = { currency = "USD" }` of the source',
        )
    return Bill(raw, kinds, is_focus=False)
