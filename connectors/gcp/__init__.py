"""Google Cloud bills: the standard and the detailed usage cost export and the FOCUS export.

Files of BigQuery's tables as CSV, JSON lines, a JSON array (each also gzipped) or Parquet. Which export a file is, its
columns tell. docs/gcp.md says what each row becomes.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from connectors import files
from connectors.gcp import charges, commitments, focus_export
from connectors.gcp.exports import is_json, open_export
from connectors.registry import RawPart
from finops.errors import InputError

NAME: Final = "gcp"
SUFFIXES: Final = (*files.SUFFIXES, ".json", ".json.gz", ".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None] = lambda _: None
) -> list[RawPart]:
    """The files of an export; raises InputError where two exports of the same bill lie beside each other."""
    parts = files.find_parts(path, until=until, options=options, suffixes=SUFFIXES)
    kinds: dict[str, str] = {}
    # lines of JSON leave out what is empty, so they do not tell the standard export from the detailed one
    for part in (p for p in parts if not is_json(p.path)):
        kinds.setdefault(open_export(part.path).name, part.name)
    for part in (p for p in parts if "FOCUS" in kinds and is_json(p.path)):
        kinds.setdefault("standard", part.name)
    if len(kinds) > 1:
        listed = ", ".join(f"the {kind} export ({name})" for kind, name in kinds.items())
        raise InputError(
            f"{path} holds {listed}",
            expected="one export: each holds the whole bill, so together every charge would count twice",
            next_step="keep each export in a folder of its own and load one of them",
        )
    for kind in kinds:
        say(f"{path}: the {kind} usage cost export")
    return commitments.pooled(parts, charges.under_commitments)


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is none of Google Cloud's exports, or is empty, damaged or cut off.
    """
    export = open_export(part.path)
    return focus_export.parse(part) if export.name == "FOCUS" else charges.parse(export, part)
