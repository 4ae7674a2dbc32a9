"""A file that was written, and the proof that its amounts are the lake's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import polars as pl

from finops import schema as s
from finops.errors import LakeError

Totals = Mapping[str, Mapping[str, Decimal]]
"""Amounts by measure, then by currency."""


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written: its rows, and what its amounts come to per currency, read back from the file."""

    path: Path
    rows: int
    measure: str
    totals: dict[str, Decimal]


def scan(path: Path) -> pl.LazyFrame:
    """The rows of an exported file: the cells of a CSV as text, the columns of a Parquet file as they are."""
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    return pl.scan_parquet(path) if is_parquet else pl.scan_csv(path, infer_schema=False)


def totals(rows: pl.LazyFrame, measures: Sequence[str], currency: str) -> Totals:
    """What amounts come to per currency."""
    sums = (
        rows.group_by(currency)
        .agg(pl.col(name).cast(s.MONEY).sum() for name in measures)
        .sort(currency)
        .collect(engine="streaming")
    )
    return {name: dict(zip(sums[currency], sums[name], strict=True)) for name in measures}


def tied(
    path: Path, currency: str, expected: Totals, *, only: pl.Expr | None = None, name: Path | None = None
) -> ExportedFile:
    """The file as read back, with the first measure of expected.

    only: the rows that count. name: what the file will be called. Raises LakeError where an amount is not the lake's.
    """
    rows, named = scan(path), name or path
    found = totals(rows if only is None else rows.filter(only), list(expected), currency)
    for measure, lake in expected.items():
        if found[measure] != lake:
            raise LakeError(
                f"{measure} of {named} sums to {found[measure]}, of the lake to {dict(lake)}",
                expected="the same amounts per currency",
                next_step="run `finops quality`, then export again; do not use the file",
            )
    measure = next(iter(expected))
    return ExportedFile(named, rows.select(pl.len()).collect().item(), measure, dict(found[measure]))
