"""Files of a bill: finding them, opening them lazily, and telling a damaged one from a readable one."""

import csv
import gzip
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from connectors.registry import Connector, RawPart
from finops.errors import InputError

SUFFIXES: Final = (".csv", ".csv.gz", ".parquet")
ROW_INDEX: Final = "__row"
_TAIL_BYTES: Final = 1 << 16


def source_parts(
    connector: Connector, path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None]
) -> list[RawPart]:
    """The files of a source as its connector finds them: by its own `find_parts`, or else by the one below."""
    own = getattr(connector, "find_parts", None)
    parts: list[RawPart] = (
        own(path, until=until, options=options, say=say) if own else find_parts(path, until=until, options=options)
    )
    return parts


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, suffixes: tuple[str, ...] = SUFFIXES
) -> list[RawPart]:
    """The data files at a path: itself, or every file below a folder that ends in one of suffixes, sorted by name.

    Raises InputError when nothing is there or the folder holds no data file.
    """
    endings = ", ".join(suffixes)
    if not path.exists():
        raise InputError(
            f"there is no file or folder {path}",
            expected=f"a file that ends in {endings}, or a folder of them",
            next_step="correct the path",
        )
    if path.is_file():
        _known_suffix(path, suffixes)
        files = [path]
    else:
        inside = (p for p in sorted(path.rglob("*")) if p.is_file() and p.name.endswith(suffixes))
        files = [p for p in inside if not any(part.startswith((".", "_")) for part in p.relative_to(path).parts)]
    if not files:
        raise InputError(
            f"the folder {path} holds no file that ends in {endings}",
            expected="at least one data file",
            next_step="correct the path, or convert the files",
        )
    names = [p.name if path.is_file() else p.relative_to(path).as_posix() for p in files]
    return [RawPart(p, name, until, options or {}) for p, name in zip(files, names, strict=True)]


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def scan(path: Path) -> pl.LazyFrame:
    """The rows of a data file, lazily, with their number (first data row = 1) as ROW_INDEX; CSV cells as text.

    Raises InputError for an empty file and for a CSV that is cut off in its last row.
    """
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)", expected="a header and rows", next_step="fetch the file again")
    with readable(path):
        if path.suffix == ".parquet":
            return pl.scan_parquet(path, hive_partitioning=False).with_row_index(ROW_INDEX, offset=1)
        frame = pl.scan_csv(
            path, infer_schema=False, separator=_separator(path), row_index_name=ROW_INDEX, row_index_offset=1
        )
        frame.collect_schema()
    if path.suffix != ".gz":
        _refuse_cut_off(path)
    return frame


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what the readers raise on a damaged file into an InputError that names the file."""
    try:
        yield
    except (PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read: {str(error).splitlines()[0]}",
            expected="a whole CSV (UTF-8), gzipped CSV or Parquet file",
            next_step="fetch the file again; if it is whole, convert it to UTF-8 CSV or Parquet",
        ) from error


def _known_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    if not path.name.endswith(suffixes):
        endings = ", ".join(suffixes)
        raise InputError(
            f"{path} does not end in {endings}",
            expected=f"a file that ends in {endings}",
            next_step="rename it by its true format, or convert it",
        )


def _separator(path: Path) -> str:
    opener = gzip.open if path.suffix == ".gz" else Path.open
    with opener(path, "rb") as file:
        header = file.readline(_TAIL_BYTES).decode("utf-8", errors="replace")
    return max(",;\t|", key=header.count)


def _refuse_cut_off(path: Path) -> None:
    """A file whose last line has no line end and fewer cells than the header, or an open quote, was cut off."""
    with path.open("rb") as file:
        header = file.readline().decode("utf-8", errors="replace")
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        tail = file.read().decode("utf-8", errors="replace")
    if tail.endswith(("\n", "\r")):
        return
    separator = _separator(path)
    last = tail.rsplit("\n", 1)[-1]
    expected, found = (len(next(csv.reader([line], delimiter=separator))) for line in (header, last))
    if found < expected or last.count('"') % 2:
        raise InputError(
            f"{path} is cut off: its last row has {found} of {expected} cells and no line end",
            expected="a whole file",
            next_step="fetch the file again",
        )
