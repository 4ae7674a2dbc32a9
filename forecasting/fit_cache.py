"""Fits of the last run, kept in one file: what is fitted again on the same knowledge is read instead.

A fit is found again by a digest of everything that it sees and of the code that makes it, so a kept result can only be
the one that fitting would give. The file may be deleted at any time; one that cannot be read counts as none.
"""

import hashlib
import json
import secrets
import zipfile
import zlib
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path as FilePath
from typing import Any, Final

import numpy as np

from forecasting.method import Path
from forecasting.series import DailySeries, Floats

MOST_FITS: Final = 100_000
"""So many fits are kept at most, about 250 MB for 90 days ahead; more are made again."""
_LIBRARIES: Final = ("numpy", "prophet", "holidays", "statsforecast")
_UNREADABLE: Final = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a file that is cut off, damaged or not ours raises."""


class FitCache:
    """Paths by the digest of what they were fitted on; only what was asked for or added since is saved."""

    def __init__(self, file: FilePath) -> None:
        self._file = file
        self._index, self._values = _read(file)
        self._used: dict[str, Path] = {}

    def get(self, key: str) -> Path | None:
        """The path that is kept under a digest."""
        if key not in self._used and key in self._index:
            self._used[key] = _path(self._index[key], self._values)
        return self._used.get(key)

    def put(self, key: str, path: Path) -> None:
        """Keep a path."""
        self._used[key] = path

    def save(self) -> None:
        """Replace the file by what was used since it was read; whoever reads meanwhile sees the old one or the new one.

        Raises OSError where it cannot be written.
        """
        index, arrays = _written(dict(list(self._used.items())[:MOST_FITS]))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        # under a name of its own first, so that two runs at once do not write into each other's file
        part = self._file.with_name(f".{self._file.name}.{secrets.token_hex(8)}")
        try:
            with part.open("wb") as stream:
                np.savez(stream, index=np.frombuffer(json.dumps(index).encode(), np.uint8), values=arrays)
            part.replace(self._file)
        finally:
            part.unlink(missing_ok=True)


def fit_key(known: DailySeries, *, horizon: int, model: str) -> str:
    """A digest of all that a fit sees: every field of the series, the horizon, the model, and the method's own code."""
    found = hashlib.sha256(method_version().encode())
    _feed(found, (known, horizon, model))
    return found.hexdigest()


@cache
def method_version() -> str:
    """A digest of the code that makes forecasts and of the libraries that it calls."""
    found = hashlib.sha256()
    for module in sorted(files("forecasting").iterdir(), key=lambda one: one.name):
        if module.name.endswith(".py"):
            found.update(module.name.encode() + b"\0" + module.read_bytes())
    for library in _LIBRARIES:
        found.update(f"{library} {version(library)}".encode())
    return found.hexdigest()


def _feed(found: "hashlib._Hash", value: object) -> None:
    """Digest a value with its kind and length, so that no two values of a fit look alike."""
    if isinstance(value, np.ndarray):
        found.update(f"array {value.dtype.str} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, tuple):
        found.update(f"tuple {len(value)}".encode())
        for part in value:
            _feed(found, part)
    elif is_dataclass(value):
        _feed(found, (type(value).__name__, *((one.name, getattr(value, one.name)) for one in fields(value))))
    else:
        text = repr(value).encode()
        found.update(f"{type(value).__name__} {len(text)} ".encode() + text)


def _written(paths: dict[str, Path]) -> tuple[dict[str, dict[str, Any]], Floats]:
    """Every field of every path: numbers and names as they are, arrays as their place and shape in one long array."""
    index: dict[str, dict[str, Any]] = {}
    arrays: list[Floats] = [np.array([])]
    places: dict[int, int] = {}
    end = 0
    for key, path in paths.items():
        row: dict[str, Any] = {}
        for name in (one.name for one in fields(path)):
            value = getattr(path, name)
            if isinstance(value, np.ndarray):
                # baselines borrow the spread of the default: one place for one array
                if id(value) not in places:
                    places[id(value)] = end
                    arrays.append(value.ravel())
                    end += value.size
                row[name] = [places[id(value)], *value.shape]
            else:
                row[name] = value
        index[key] = row
    return index, np.concatenate(arrays)


def _path(row: dict[str, Any], values: Floats) -> Path:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        place, *shape = value
        return values[place : place + int(np.prod(shape))].reshape(shape)

    return Path(**{name: read(value) for name, value in row.items()})


def _read(file: FilePath) -> tuple[dict[str, dict[str, Any]], Floats]:
    try:
        with np.load(file, allow_pickle=False) as kept:
            values = kept["values"].astype(np.float64, casting="safe")
            index = json.loads(kept["index"].tobytes())
            names = {one.name for one in fields(Path)}
            if all(len(key) == 64 and set(row) == names for key, row in index.items()):
                return index, values
    except _UNREADABLE:
        pass
    return {}, np.array([])
