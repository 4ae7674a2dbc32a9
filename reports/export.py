"""Figures as files: exact CSV text of any view, and files that appear whole or not at all."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import polars as pl


def csv_text(frame: pl.DataFrame) -> str:
    """CSV of a frame: decimals exact and without trailing zeros, times in ISO 8601, nested values as JSON."""
    buffer = io.StringIO()
    frame.with_columns(
        *(decimal_text(name) for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)),
        *(
            pl.col(name).map_elements(lambda v: json.dumps(v, default=str), return_dtype=pl.String)
            for name, kind in frame.schema.items()
            if isinstance(kind, pl.List | pl.Struct)
        ),
    ).write_csv(buffer)
    return buffer.getvalue()


def decimal_text(name: str) -> pl.Expr:
    """A decimal column as text: every digit that says something, and no other."""
    return pl.col(name).cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.strip_suffix(".")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in place in one step; a failure leaves the old file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
