"""What-ifs as people keep them: files to write them in, versions with who saved them and when, two side by side."""

import json
import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from finops import schema as s
from finops.config import Config, validated
from finops.errors import CallError, ConfigError, InputError
from finops.pipeline.histories import CURRENCY, TOTAL
from finops.pipeline.what_ifs import Outcome, check, evaluate, newest_forecast
from finops.schema import TABLES
from finops.store import Lake, Transaction, again_on_conflict
from forecasting.levers import Lever, ModelSwitch, WhatIf
from forecasting.series import SERIES

FOLDER: Final = "what-ifs"
FIRST, SECOND = "first", "second"
_KEPT: Final = ("base", "what_if")


@dataclass(frozen=True)
class Saved:
    """One version of a what-if: its inputs, who saved it when, and what it came to on the forecast of that day.

    came_to: series, currency, period, base, what_if of the total then. is_new: this call has written it.
    """

    inputs: WhatIf
    version: int
    author: str
    saved_at: datetime
    forecast_id: str
    cutoff: date
    came_to: pl.DataFrame
    is_new: bool = False

    @property
    def title(self) -> str:
        """How it is named on a command line: growth@2."""
        return f"{self.inputs.name}@{self.version}"


# --------------------------------------------------------------------------------------------------------------- files
def parse(text: str, *, name: str) -> WhatIf:
    """The what-if of a TOML text, which `name` names in errors; raises ConfigError that lists every wrong key."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{name} is not valid TOML: {error}",
            expected="TOML 1.0 in UTF-8",
            next_step="correct that line; `finops what-if new NAME` writes a commented example",
        ) from error
    return validated(WhatIf, content, Path(name))


def is_file(config: Config, name: str) -> bool:
    """Whether the home has a what-if of that name as a file."""
    return _path(config, name).is_file()


def read(config: Config, file: Path) -> WhatIf:
    """The what-if of a file, by its path or by its name in the home; raises InputError where there is none."""
    path = next((p for p in (file, _path(config, str(file))) if p.is_file()), None)
    if path is None:
        raise InputError(
            f"no file {file}",
            expected=f"a what-if as TOML, by its path or by its name in {config.home / FOLDER}",
            next_step="correct the path, or write one with `finops what-if new NAME`",
        )
    return parse(path.read_text(encoding="utf-8"), name=str(path))


def new(config: Config, lake: Lake, name: str, *, overwrite: bool = False) -> Path:
    """Write a commented what-if into the home, with scopes and models of the company; it can be saved as it is.

    Raises CallError for a name that is taken or none, and where no forecast is frozen.
    """
    path = _path(config, name)
    parse(f'name = "{name}"\nlevers = []', name=f"the name {name}")
    if path.exists() and not overwrite:
        raise CallError(
            f"{path} exists", expected="a name that is not taken", next_step="choose another, or pass --replace"
        )
    text = draft(lake, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def draft(lake: Lake, name: str) -> str:
    """The text of a what-if that shows every lever on the company's own scopes; one of them acts."""
    frozen = newest_forecast(lake)
    cutoff: date = frozen["cutoff"].max()  # type: ignore[assignment]
    first = (cutoff.replace(day=28) + (date(2026, 1, 5) - date(2026, 1, 1))).replace(day=1)
    dearest = frozen.group_by("grouping", SERIES).agg(pl.col("mean").sum()).sort("mean", descending=True)
    scopes = [x for x in dearest.unique("grouping", keep="first", maintain_order=True)[SERIES] if x != TOTAL]
    models = (
        lake.scan("spend_daily").filter(pl.col(s.CHARGE_DATE) > cutoff.replace(day=1), pl.col(s.MODEL_ID).is_not_null())
        .group_by(s.MODEL_ID).agg(pl.col(s.EFFECTIVE_COST).sum()).collect()
        .sort(s.EFFECTIVE_COST, descending=True)[s.MODEL_ID].to_list()
    )  # fmt: skip
    one, other = [*models[:2], "the-model", "another-model"][:2]
    return _DRAFT.format(
        name=name, start=first, scope=(scopes or ["all"])[0], scopes=", ".join(scopes) or "all", model=one, to=other
    )


def _path(config: Config, name: str) -> Path:
    return config.home / FOLDER / f"{name}.toml"


_DRAFT: Final = """\
# A what-if: the newest forecast with what you change. `finops what-if show {name}` shows what it comes to,
# `finops what-if save {name} --by "Your name"` keeps it with author, time and inputs.
name = "{name}"
note = ""                       # why it is asked

# Every lever has a kind, a scope and a first day (from). A scope is dimension=value pairs parted by ; or "all", as in
# budgets. Scopes with a forecast of their own: {scopes}.
# Levers on the same cost multiply; their order does not matter. Ratios: 0.3 is 30 % more, -0.1 is 10 % less.

[[levers]]
kind = "growth"                 # on top of the growth that the forecast has
scope = "{scope}"
from = {start}
yearly_ratio = 0.30             # 30 % more after a year, compounding day by day

# [[levers]]
# kind = "price"                # another price from a day on
# scope = "{scope}"
# from = {start}
# ratio = -0.10                 # 10 % cheaper

# [[levers]]
# kind = "adoption"             # more users or requests, in a straight line over some months, then level
# scope = "{scope}"
# from = {start}
# ratio = 0.50                  # half as many again
# months = 6

# [[levers]]
# kind = "cache_rate"           # share of input tokens read from cache, at the prices of the token book
# scope = "all"                 # dimensions of token usage: team, use_case, model, provider, key, tier, purpose ...
# from = {start}
# to_ratio = 0.60               # 60 % of input; what it is now is measured, and said

# [[levers]]
# kind = "model_switch"         # tokens of one model go to another, at the prices of the token book
# scope = "all"
# from = {start}
# model = "{model}"
# to = "{to}"
# share_ratio = 0.50            # half of its tokens
# token_ratio = 1.0             # tokens of the other model for each of this one

# [[levers]]
# kind = "amount"               # an amount a month on top, in the company's currency; below 0 takes off
# scope = "{scope}"
# from = {start}
# amount = 5000
# months = 1                    # once; leave it out for every month
"""


# ------------------------------------------------------------------------------------------------------------ versions
def save(config: Config, lake: Lake, inputs: WhatIf, *, by: str) -> tuple[Saved, Outcome]:
    """Keep a what-if as the newest version of its name, with its author, the time and what it came to.

    The same inputs as the newest version's, in whatever order, write nothing. Raises CallError where nobody saves it,
    for a scope or model that the company does not have, and as `evaluate` does.
    """
    if not by.strip():
        raise CallError("nobody who saves a what-if", expected="a name", next_step="say who you are")
    if not inputs.levers:
        raise CallError(
            f"{inputs.name} has no lever", expected="at least one", next_step="add what is to be another than forecast"
        )
    check(lake, inputs)
    outcome = evaluate(config, lake, inputs)
    return _record(lake, inputs, outcome, by.strip()), outcome


@again_on_conflict
def _record(lake: Lake, inputs: WhatIf, outcome: Outcome, by: str) -> Saved:
    came_to = outcome.months.filter(pl.col("grouping") == TOTAL).select(SERIES, CURRENCY, "period", *_KEPT)
    with lake.transaction("what-if saved") as transaction:
        kept = transaction.scan("what_ifs").filter(name=inputs.name).sort("version").collect()
        if len(kept) and (newest := _saved(kept.row(-1, named=True))) and canonical(newest.inputs) == canonical(inputs):
            return newest
        row = {
            "name": inputs.name, "version": len(kept) + 1, "author": by, "saved_at": datetime.now(UTC),
            "note": inputs.note, "body": inputs.model_dump_json(by_alias=True), "forecast_id": outcome.forecast_id,
            "cutoff": outcome.cutoff, "outcome": json.dumps([list(map(str, r)) for r in came_to.iter_rows()]),
        }  # fmt: skip
        _append(transaction, row)
    return _saved(row, is_new=True)


def _append(transaction: Transaction, row: dict[str, Any]) -> None:
    transaction.append("what_ifs", pl.DataFrame([row], schema=TABLES["what_ifs"].columns))


def canonical(inputs: WhatIf) -> str:
    """Inputs as JSON that is the same for the same question: levers in the order of their text."""
    content = inputs.model_dump(mode="json", by_alias=True)
    content["levers"] = sorted(content["levers"], key=lambda lever: json.dumps(lever, sort_keys=True))
    return json.dumps(content, sort_keys=True)


def saved(lake: Lake, title: str) -> Saved:
    """A version by NAME@VERSION, or the newest of NAME; raises CallError that lists what there is."""
    name, _, version = title.partition("@")
    versions = lake.scan("what_ifs").filter(name=name).sort("version").collect()
    found = versions.filter(pl.col("version").cast(pl.String) == version) if version else versions
    if found.is_empty():
        known = [f"{name}@{v}" for v in versions["version"]] or lake.scan("what_ifs").select(
            pl.col("name").unique().sort()
        ).collect()["name"].to_list()
        raise CallError(
            f"no what-if {title}",
            expected=f"one of: {', '.join(known) or '(none saved)'}",
            next_step="correct the name, or keep one with `finops what-if save FILE --by NAME`",
        )
    return _saved(found.row(-1, named=True))


def listed(lake: Lake) -> pl.DataFrame:
    """All versions, the newest first: name, version, author, saved_at, note, levers, currency, difference then."""
    rows = []
    for row in lake.scan("what_ifs").sort("saved_at", descending=True).collect().to_dicts():
        one = _saved(row)
        for currency, base, what_if in (
            one.came_to.group_by(CURRENCY, maintain_order=True).agg(pl.col(_KEPT).sum()).iter_rows()
        ):
            if base != what_if or currency == one.came_to[CURRENCY][0]:
                rows.append((one.inputs.name, one.version, one.author, one.saved_at, one.inputs.note,
                             len(one.inputs.levers), currency, what_if - base))  # fmt: skip
    schema = {"name": pl.String(), "version": pl.Int64(), "author": pl.String(), "saved_at": s.TIME,
              "note": pl.String(), "levers": pl.Int64(), CURRENCY: pl.String(), "difference": s.MONEY}  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def _saved(row: dict[str, Any], *, is_new: bool = False) -> Saved:
    schema = {SERIES: pl.String(), CURRENCY: pl.String(), "period": pl.String(), **dict.fromkeys(_KEPT, s.MONEY)}
    kept = [(*words, Decimal(base), Decimal(now)) for *words, base, now in json.loads(row["outcome"])]
    return Saved(
        WhatIf.model_validate_json(row["body"]), row["version"], row["author"], row["saved_at"], row["forecast_id"],
        row["cutoff"], pl.DataFrame(kept, schema=schema, orient="row"), is_new,
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- side by side
def inputs_beside(first: WhatIf, second: WhatIf) -> pl.DataFrame:
    """The levers of two what-ifs: lever, first, second (each in words, empty where it is not there), same."""
    sides = [_keyed(inputs) for inputs in (first, second)]
    rows = [
        (key.removesuffix(" 1"), *(str(x) if x else None for x in pair), pair[0] == pair[1])
        for key in dict.fromkeys((*sides[0], *sides[1]))
        if (pair := tuple(side.get(key) for side in sides))
    ]
    schema = {"lever": pl.String(), FIRST: pl.String(), SECOND: pl.String(), "same": pl.Boolean()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _keyed(inputs: WhatIf) -> dict[str, Lever]:
    """Levers by their kind, scope and model; several of the same are numbered."""
    seen, found = Counter[str](), dict[str, Lever]()
    for lever in inputs.levers:
        key = f"{lever.kind.replace('_', ' ')}, {lever.where}"
        key += f", {lever.model}" if isinstance(lever, ModelSwitch) else ""
        seen[key] += 1
        found[f"{key} {seen[key]}"] = lever
    return found


def money_beside(first: Outcome, second: Outcome, series: str = TOTAL) -> pl.DataFrame:
    """Both by month on one forecast: series, currency, period, days, base, first, second, change = second - first.

    series: as the forecast names it; `total` is in every currency that is paid in.
    """
    keys = [SERIES, CURRENCY, "period", "days", "base"]
    sides = [
        outcome.months.filter(_of_series(series)).select(*keys, pl.col("what_if").alias(side))
        for outcome, side in ((first, FIRST), (second, SECOND))
    ]
    change = (pl.col(SECOND) - pl.col(FIRST)).alias("change")
    return sides[0].join(sides[1], on=keys, maintain_order="left").with_columns(change)


def of_series(frame: pl.DataFrame, series: str) -> pl.DataFrame:
    """The rows of a series, in all its currencies; raises CallError for one that the forecast does not have."""
    found = frame.filter(_of_series(series))
    if found.is_empty():
        raise CallError(
            f"no series {series}",
            expected=f"one of: {', '.join(frame[SERIES].unique().sort())}",
            next_step="correct the name",
        )
    return found


def of_grouping(frame: pl.DataFrame, grouping: str) -> pl.DataFrame:
    """The rows of a grouping of the forecast; raises CallError for one that it does not have."""
    found = frame.filter(grouping=grouping)
    if found.is_empty():
        raise CallError(
            f"no grouping {grouping}",
            expected=f"one of: {', '.join(frame['grouping'].unique().sort())}",
            next_step="correct it, or add it to [forecast] groupings in finops.toml and run `finops run`",
        )
    return found


def _of_series(series: str) -> pl.Expr:
    return (pl.col(SERIES) == series) | pl.col(SERIES).str.starts_with(f"{series},currency=")
