"""How busy accelerators were: CSV or Parquet, one row a device and time, from whatever watches them.

Columns are those of WORDS, in any case and punctuation, or by the other words there; others are left alone.

| column | is |
|---|---|
| hour | a time with its zone, or UTC; rows of shorter steps are summed up to hours |
| resource_id | the machine, endpoint or node; with it the charges of the same resource are found |
| device | an accelerator of it, by index or UUID; `all` where one row stands for all |
| group | what is sized together: deployment, endpoint, cluster, queue |
| accelerator_count | how many the row stands for; by default 1 with a device, else what the instance type has |
| utilisation_mean, _p95, _max | share of the time that kernels ran; needed is one of mean and max |
| memory_mean, _max | share of the accelerator's memory that was in use |
| power_w | mean power of the row's accelerators together |

A share is named `..._ratio` (0 to 1) or `..._percent` (0 to 100); for other names, such as DCGM_FI_DEV_GPU_UTIL, the
option `shares = "percent"` or `"ratio"` says what they are. Options `provider`, `account_id`, `region`, `instance_type`
and `accelerator` stand for columns that the file does not have.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from connectors import cells, files
from connectors.registry import RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import ConfigError, InputError
from finops.rules import load_rules, machine

NAME: Final = "gpu_usage"
ALL: Final = "all"

_WHO: Final = {
    "hour": "time timestamp datetime date start",
    "resource_id": "instanceid instance host hostname node nodename machine server endpoint endpointname",
    "resource_name": "instancename",
    "device": "gpu gpuindex index deviceid gpuid uuid gpuuuid",
    "group": "groupname deployment service cluster queue job autoscalinggroup",
    "provider": "cloud vendor",
    "account_id": "account subaccountid subscriptionid projectid",
    "region": "location",
    "instance_type": "machinetype vmsize instancetype",
    "accelerator": "gpumodel modelname gputype acceleratortype",
    "team": "owner",
}
_SHARES: Final = {
    "utilisation_mean": "utilisation utilization utilizationmean utilisationaverage utilizationaverage gpuutil "
    "gpuutilization dcgmfidevgpuutil utilizationgpu nvidiasmiutilizationgpu",
    "utilisation_p95": "utilizationp95 gpuutilp95",
    "utilisation_max": "utilizationmax utilisationpeak utilizationpeak gpuutilmax",
    "memory_mean": "memory memoryused memoryutilisation memoryutilization gpumemoryutilization memoryusedmean",
    "memory_max": "memoryusedmax memorypeak memoryutilizationmax",
}
_NUMBERS: Final = {
    "accelerator_count": "gpucount gpus accelerators count",
    "power_w": "power powerw powerusage dcgmfidevpowerusage powerdraw",
    "samples": "datapoints samplecount",
}
WORDS: Final[Mapping[str, str]] = {**_WHO, **_SHARES, **_NUMBERS}
_UNITS: Final = {"ratio": 1.0, "percent": 100.0, "pct": 100.0}
_DEFAULTS: Final = ("provider", "account_id", "region", "instance_type", "accelerator")
_OPTIONS: Final = (*_DEFAULTS, "shares")
_TOLERANCE: Final = 1e-6

GPU_HOURS: Final[dict[str, pl.DataType]] = {
    "hour": s.TIME,
    **dict.fromkeys((name for name in _WHO if name != "hour"), pl.String()),
    "accelerator_count": s.MONEY,
    **{f"{share}_ratio": pl.Float64() for share in _SHARES},
    "power_w": pl.Float64(), "samples": pl.Int64(), "stated_cost": s.MONEY, "currency": pl.String(),
    s.SOURCE_FILE: pl.String(), s.SOURCE_ROW: pl.Int64(), REJECT: pl.String(), RAW: pl.String(),
    SOURCE_ROWS: pl.Int64(),
}  # fmt: skip
"""Columns of what `parse_gpu_usage` returns: the file's rows, at their own times; they cost nothing."""


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None]  # noqa: ARG001
) -> list[RawPart]:  # fmt: skip
    """The data files at a path, all of utilisation; see connectors.files.find_parts."""
    return [replace(part, holds="gpu_usage") for part in files.find_parts(path, until=until, options=options)]


def parse(part: RawPart) -> pl.LazyFrame:
    """Raises InputError: utilisation bills nothing."""
    raise InputError(
        f"{part.path} holds utilisation, no charges",
        expected="the bill of the same resources",
        next_step="ingest that bill as a source of its own",
    )


def parse_gpu_usage(part: RawPart) -> pl.LazyFrame:
    """The file's rows with the columns GPU_HOURS.

    Raises InputError for a file without time, resource or utilisation, or with a share whose unit nobody says;
    ConfigError for an option that is not known.
    """
    _check_options(part)
    raw = files.scan(part.path)
    with files.readable(part.path):
        kinds = {name: kind for name, kind in raw.collect_schema().items() if name != files.ROW_INDEX}
    origin = _origin(part, list(kinds))
    cleaned = {ours: cells.cleaned(name, kinds[name]) for ours, (name, _) in origin.items()}
    values = {
        ours: _value(ours, cleaned.get(ours), kinds.get(origin[ours][0]) if ours in origin else None, part.options)
        for ours in WORDS
    }
    named = {f"{ours}_ratio" if ours in _SHARES else ours: value for ours, value in values.items()}
    scaled = {f"{ours}_ratio": named[f"{ours}_ratio"] / origin[ours][1] for ours in _SHARES if ours in origin}
    rows = raw.select(
        files.ROW_INDEX,
        pl.struct(pl.col(name).cast(pl.String) if not _nested(kind) else pl.lit(None, pl.String).alias(name)
                  for name, kind in kinds.items()).struct.json_encode().alias(RAW),
        *(cell.cast(pl.String).alias(f"cell {ours}") for ours, cell in cleaned.items()),
        *(value.alias(name) for name, value in {**named, **scaled}.items()),
    )  # fmt: skip
    tests = _wrong(list(cleaned))
    return (
        rows.with_columns(*_machines())
        .with_columns(pl.coalesce(pl.when(wrong).then(words) for words, wrong in tests).alias(REJECT))
        .with_columns(
            pl.when(pl.col(REJECT).is_not_null()).then(RAW).alias(RAW),
            pl.lit(None, s.MONEY).alias("stated_cost"),
            pl.lit(None, pl.String).alias("currency"),
            pl.lit(part.name).alias(s.SOURCE_FILE),
            pl.col(files.ROW_INDEX).alias(s.SOURCE_ROW),
            pl.lit(1).alias(SOURCE_ROWS),
        )
        .select(pl.col(name).cast(kind) for name, kind in GPU_HOURS.items())
    )


# ------------------------------------------------------------------------------------------------------------- header
def _check_options(part: RawPart) -> None:
    unknown = [name for name in part.options if name not in _OPTIONS]
    if unknown or part.options.get("shares", "ratio") not in _UNITS:
        raise ConfigError(
            f'the option "{unknown[0]}" is not known'
            if unknown
            else f"the option shares is {part.options['shares']!r}",
            expected=f"{', '.join(_OPTIONS)}; shares is percent or ratio",
            next_step="correct `options` of this source in finops.toml",
        )


def _origin(part: RawPart, columns: list[str]) -> dict[str, tuple[str, float]]:
    """Which column of the file each of ours is read from, and what a share is divided by."""
    origin: dict[str, tuple[str, float]] = {}
    for column in columns:
        plain = _plain(column)
        for ours, more in WORDS.items():
            unit = next((unit for unit in _UNITS if ours in _SHARES and plain.endswith(unit)), "")
            if plain.removesuffix(unit) not in (_plain(ours), *more.split()):
                continue
            if ours in _SHARES and not unit:
                if "shares" not in part.options:
                    raise _refused(part, f'has the column "{column}", which may be a percentage or a ratio')
                unit = part.options["shares"]
            if ours in origin and ours not in _WHO:
                raise _refused(part, f'has two columns for {ours}: "{origin[ours][0]}" and "{column}"')
            origin.setdefault(ours, (column, _UNITS.get(unit, 1.0)))
            break
    missing = [name for name in ("hour", "resource_id") if name not in origin]
    if missing or not {"utilisation_mean", "utilisation_max"} & set(origin):
        raise _refused(
            part, f"has no column {', '.join(missing) or 'of utilisation'}; it has {', '.join(columns[:12])}"
        )
    return origin


def _refused(part: RawPart, found: str) -> InputError:
    return InputError(
        f"{part.path} {found}",
        expected="hour, resource_id and utilisation_mean_ratio or utilisation_mean_percent; also " + ", ".join(WORDS),
        next_step='rename the column, or say options = { shares = "percent" } of the source in finops.toml',
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _nested(kind: pl.DataType) -> bool:
    return kind.is_nested()


# -------------------------------------------------------------------------------------------------------------- cells
def _value(ours: str, cell: pl.Expr | None, kind: pl.DataType | None, options: Mapping[str, str]) -> pl.Expr:
    """The value of a column, null where the file has none or its cell cannot be read."""
    if cell is None or kind is None:
        whole = {"accelerator_count": s.MONEY, "samples": pl.Int64(), "hour": s.TIME}
        number: pl.DataType = pl.Float64() if ours in (*_SHARES, "power_w") else whole.get(ours, pl.String())
        return pl.lit(options.get(ours) if ours in _DEFAULTS else None, number)
    if ours == "hour":
        return cells.timestamp(cell, kind)
    if ours == "accelerator_count":
        return cells.decimal(cell, kind)
    if ours in _SHARES or ours in _NUMBERS:
        return cell.cast(pl.Float64, strict=False)
    return cell.cast(pl.String)


def _machines() -> list[pl.Expr]:
    """Device, and the accelerators of the instance type where the row does not say."""
    known = load_rules().accelerators

    def look_up(types: pl.Series) -> pl.Series:
        rows = types.alias("type").to_frame()
        distinct = rows.unique().drop_nulls()
        found = [known.get(machine(name)) for name in distinct["type"]]
        table = distinct.with_columns(
            pl.Series("model", [a.model if a else None for a in found], pl.String),
            pl.Series("count", [a.count if a else None for a in found], s.MONEY),
        )
        return rows.join(table, on="type", how="left", maintain_order="left").select(pl.struct("model", "count"))[
            "model"
        ]

    has = pl.col("instance_type").map_batches(
        look_up, return_dtype=pl.Struct({"model": pl.String, "count": s.MONEY}), is_elementwise=True
    )
    one = pl.when(pl.col("device").is_not_null() & (pl.col("device") != ALL)).then(pl.lit(Decimal(1), s.MONEY))
    return [
        pl.coalesce("accelerator", has.struct.field("model")).alias("accelerator"),
        pl.coalesce("accelerator_count", one, has.struct.field("count")).alias("accelerator_count"),
        pl.col("device").fill_null(ALL).alias("device"),
    ]


def _wrong(read: list[str]) -> list[tuple[pl.Expr, pl.Expr]]:
    """What keeps a row from being used: words, and where it is so."""
    tests = [
        (pl.lit("hour is empty or no time"), pl.col("hour").is_null()),
        (pl.lit("resource_id is empty"), pl.col("resource_id").is_null()),
    ]
    for ours in read:
        if ours in (*_SHARES, *_NUMBERS):
            name, cell = f"{ours}_ratio" if ours in _SHARES else ours, pl.col(f"cell {ours}")
            bad = cell.is_not_null() & pl.col(name).is_null() | pl.col(name).cast(pl.Float64).is_nan()
            tests.append((pl.format(f'{ours} is "{{}}", which is no number', cell), bad))
            tests.append((pl.format(f"{ours} is {{}}, which is below zero", cell), pl.col(name) < 0))
        if ours in _SHARES:
            above = pl.col(f"{ours}_ratio") > 1 + _TOLERANCE
            tests.append((pl.format(f"{ours} is {{}}, which is more than all of it", pl.col(f"cell {ours}")), above))
    mean, high = pl.col("utilisation_mean_ratio"), pl.col("utilisation_max_ratio")
    tests += [
        (pl.lit("utilisation is empty"), mean.is_null() & high.is_null()),
        (pl.lit("utilisation_max is below the mean"), high < mean - _TOLERANCE),
        (pl.lit("accelerator_count is 0"), pl.col("accelerator_count") == 0),
    ]
    return [(words, wrong.fill_null(value=False)) for words, wrong in tests]
