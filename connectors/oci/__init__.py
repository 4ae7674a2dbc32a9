"""Oracle Cloud bills: cost reports and FOCUS files, as CSV, gzipped CSV or Parquet.

Which of them a file is, its columns tell. docs/oci.md says what each row becomes.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from connectors import files
from connectors.oci import cost_report, focus_export
from connectors.oci.cost_report import open_report
from connectors.registry import RawPart
from finops.errors import InputError

NAME: Final = "oci"


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None] = lambda _: None
) -> list[RawPart]:
    """The files of a bill; usage reports, which hold no cost, are left out and named.

    Raises InputError where cost reports and FOCUS files lie beside each other: both hold the whole bill.
    """
    reports = {
        part.name: (part, open_report(part.path)) for part in files.find_parts(path, until=until, options=options)
    }
    kept = {name: part for name, (part, report) in reports.items() if report.kind != "usage"}
    if left := sorted(reports.keys() - kept.keys()):
        say(f"left out, because usage reports hold no cost: {', '.join(left)}")
    kinds = {report.kind: name for name, (_, report) in reports.items() if name in kept}
    if len(kinds) > 1 or not kept:
        listed = ", ".join(f"{kind} files ({name})" for kind, name in kinds.items())
        raise InputError(
            f"{path} holds {listed or 'usage reports alone'}",
            expected="cost reports or FOCUS files of Oracle, one of the two: each holds the whole bill",
            next_step="load the folder of one of them",
        )
    return list(kept.values())


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is neither a cost report nor FOCUS, or is empty, damaged or cut off.
    """
    report = open_report(part.path)
    if report.kind == "cost":
        return cost_report.parse(report, part)
    return focus_export.parse(part)
