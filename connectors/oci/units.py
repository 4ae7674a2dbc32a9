"""Units of Oracle's cost reports in words that people and the classification rules read.

`cost/billingUnitReadable` is a size, what is counted over time, the time, and what is metered:

| as written | unit |
|---|---|
| `1 NONE HOURS INSTANCE` | Hours |
| `1 NONE HOURS GPU`, `1 NONE HOURS OCPUS` | GPU-Hours, OCPU-Hours |
| `1 GiB HOURS MEMORY`, `1 GiB MONTHS STORAGE_SIZE` | GiB-Hours, GiB-Months |
| `1000000 NONE NONE DATAPOINTS` | 1000000 Datapoints |
| no readable unit, but `GPU Per Hour` | GPU-Hours |

Source: a public real cost report of November 2023; GPU and OCPU by the same pattern.
"""

import re
from functools import lru_cache
from typing import Final

import polars as pl

READABLE: Final = "billing unit"
DESCRIBED: Final = "described unit"
_READABLE: Final = re.compile(r"(?P<size>\d+) (?P<of>\S+) (?P<time>\S+) (?P<what>\S+)")
_PER_HOUR: Final = re.compile(r"(?P<what>.+?) per hour", re.IGNORECASE)
_MACHINES: Final = ("INSTANCE", "NODE", "NONE")
_SINGULAR: Final = {"OCPUS": "OCPU", "ECPUS": "ECPU", "GPUS": "GPU"}


def unit() -> pl.Expr:
    """The unit of a row, from its columns READABLE and DESCRIBED."""

    def work(rows: pl.Series) -> pl.Series:
        return pl.Series([_unit(row[READABLE], row[DESCRIBED]) for row in rows], dtype=pl.String)

    return pl.struct(READABLE, DESCRIBED).map_batches(work, return_dtype=pl.String, is_elementwise=True)


@lru_cache
def _unit(readable: str | None, described: str | None) -> str | None:
    found = _READABLE.fullmatch(readable or "")
    if found is None:
        per_hour = _PER_HOUR.fullmatch(described or "")
        return _hours(per_hour["what"].upper()) if per_hour else described or readable
    of, time, what = found["of"], found["time"].title(), found["what"]
    if found["time"] == "HOURS" and of == "NONE":
        text = _hours(what)
    else:
        counted = what.replace("_", " ").title() if of == "NONE" else of
        text = counted if found["time"] == "NONE" else f"{counted}-{time}"
    return text if found["size"] == "1" else f"{found['size']} {text}"


def _hours(what: str) -> str:
    return "Hours" if what in _MACHINES else f"{_SINGULAR.get(what, what)}-Hours"
