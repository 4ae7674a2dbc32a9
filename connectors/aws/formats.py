"""Which of AWS's formats a file is: found in its columns, never in its name."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from connectors.aws import cur2, legacy
from connectors.aws.columns import NEEDED, Kinds, Layout, named, plain
from connectors.files import ROW_INDEX, readable, scan
from finops import schema as s
from finops.errors import InputError

_FOCUS = (s.BILLED_COST, s.EFFECTIVE_COST, s.CHARGE_CATEGORY)


@dataclass(frozen=True)
class Bill:
    """An opened file: its rows, its columns' types, and where a report keeps its values; None for FOCUS."""

    raw: pl.LazyFrame
    kinds: Kinds
    layout: Layout | None


def open_bill(path: Path) -> Bill:
    """The file, opened lazily; raises InputError for one that is none of AWS's formats, or is empty or damaged."""
    raw = scan(path)
    with readable(path):
        kinds = dict(raw.collect_schema())
    columns = [c for c in kinds if c != ROW_INDEX]
    known = {plain(c) for c in columns}
    if known.issuperset(plain(c) for c in _FOCUS):
        return Bill(raw, kinds, None)
    missing = [c for c in NEEDED if c not in named(kinds)]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; it has {', '.join(columns[:12])}"
            + (f" and {len(columns) - 12} more" if len(columns) > 12 else ""),
            expected="a FOCUS 1.0 or 1.2 export, a CUR 2.0 export or a legacy Cost and Usage Report of AWS",
            next_step="name the right --connector for this file, or add the columns to the export's query",
        )
    slashed = any("/" in c for c in columns)
    return Bill(raw, kinds, legacy.layout(kinds) if slashed else cur2.layout(kinds))
