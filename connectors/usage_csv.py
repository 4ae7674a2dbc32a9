"""The log or report of any gateway: token usage as CSV, CSV.gz or Parquet, by columns that are known by name.

Columns are those of WORDS, in any case and punctuation, or by the other words there. `options` of the source name a
company's own headers, `"columns.model" = "llm"`, and columns to leave out, `"columns.ignore" = "embed_tokens, x"`.

- `input_tokens` includes the cached, cache-write, audio, image and video tokens of the row, as OpenAI counts;
  `uncached_input_tokens` is text input alone. A file has one of the two.
- `output_tokens` includes the reasoning, audio, image and video tokens; `visible_output_tokens` is text output alone.
- Of several columns that say who or when, the first by the order of the words is read; two of one count are refused.
- `total_tokens` is the sum of others and not read. Any other column that speaks of tokens is refused, so that none is
  left out or counted twice; other columns are left alone.
- `cost` needs a currency: a column `currency`, an option `currency`, or the header `cost_usd`.
- Where each row is one call, the option `rows = "calls"` says so; then a row is one request.
- `provider` may be an option, or a prefix of the model.

Other sources bill what a gateway passed on, so it adds no money: its usage says who used what they bill.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from connectors import cells, files
from connectors.model_names import UNKNOWN, named
from connectors.registry import METERED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import ConfigError, InputError

NAME: Final = "usage_csv"
LEDGER_ROLE: Final = s.DERIVED

_WHO: Final = {
    "day": "date usagedate timestamp time starttime startedat createdat requesttime",
    "provider": "vendor modelprovider llmprovider customllmprovider",
    "model": "modelname modelid llm",
    "operation": "endpoint calltype requesttype",
    "service_tier": "tier",
    s.CONTEXT: "context contextwindow",
    "account_id": "account projectid project workspaceid workspace",
    "account_name": "projectname workspacename",
    "key": "keyalias keyname apikeyname apikey apikeyid keyid virtualkey consumer consumerid",
    "user": "userid username enduser",
    "tags": "labels metadata requesttags",
    "team": "teamname",
    "use_case": "application app",
    "cost_center": "costcentre",
    "environment": "env",
    "other_unit": "",
    "currency": "costcurrency billingcurrency",
}
_WHOLES: Final = {
    "input_tokens": "prompttokens inputtokencount prompttokencount",
    "uncached_input_tokens": "",
    "output_tokens": "completiontokens outputtokencount completiontokencount",
    "visible_output_tokens": "",
}
_INPUT_PARTS: Final = {
    "cache_read_tokens": "cachedtokens cachedinputtokens inputcachedtokens cachedprompttokens cachereadinputtokens",
    "cache_write_tokens": "cachecreationtokens cachecreationinputtokens cachewriteinputtokens",
    "cache_write_5m_tokens": "ephemeral5minputtokens",
    "cache_write_1h_tokens": "ephemeral1hinputtokens",
    "input_audio_tokens": "",
    "cache_read_audio_tokens": "",
    "input_image_tokens": "",
    "cache_read_image_tokens": "",
    "input_video_tokens": "",
}
_OUTPUT_PARTS: Final = {
    "reasoning_tokens": "outputreasoningtokens thinkingtokens",
    "output_audio_tokens": "",
    "output_image_tokens": "",
    "output_video_tokens": "",
}
_COUNTED: Final = {
    "web_searches": "websearchrequests",
    "requests": "requestcount numrequests apirequests nummodelrequests calls callcount",
}
_OTHER_COUNTS: Final = {
    name: _COUNTED.get(name, "")
    for name in (*s.METER_COLUMNS, "other_quantity")
    if name not in {**_WHOLES, **_INPUT_PARTS, **_OUTPUT_PARTS}
}
_MONEY: Final = {"cost": "spend amount totalcost statedcost", "cost_usd": "spendusd amountusd totalcostusd"}
_NUMBERS: Final = {**_WHOLES, **_INPUT_PARTS, **_OUTPUT_PARTS, **_OTHER_COUNTS, **_MONEY}
WORDS: Final[Mapping[str, str]] = {**_WHO, **_NUMBERS}
"""The columns that are read, each with the other words for it, in lower case without blanks and punctuation."""
NEEDED: Final = ("day", "model")
_FRACTIONS: Final = ("audio_seconds", "provisioned_unit_hours", "other_quantity", *_MONEY)
_EITHER: Final = (("input_tokens", "uncached_input_tokens"), ("output_tokens", "visible_output_tokens"), tuple(_MONEY))
_IGNORED: Final = frozenset({"totaltokens"})
_OPTIONS: Final = ("provider", "currency", "rows", "columns.ignore")
_PREFIX: Final = "columns."
_BARE: Final = frozenset({"input", "output", "prompt", "completion", "cached", "reasoning", "cacheread", "cachewrite"})
_TOKEN_WORD: Final = re.compile(r"(?:^|[^a-z])toks?(?:$|[^a-z])", re.IGNORECASE)
_BY_OPTION: Final = (
    'rename the column, or map or ignore it: options = { "columns.model" = "llm", "columns.ignore" = "a, b" } '
    "in finops.toml"
)
_WITH_CURRENCY: Final = 'add a column currency, or options = { currency = "USD" } in finops.toml'
_RAW, _CLEAN = "raw ", "cleaned "
_BAD: Final = "__bad"


@dataclass(frozen=True)
class _Columns:
    """Where each of WORDS is read from, with its type, and what the options say instead."""

    origin: Mapping[str, str]
    kinds: Mapping[str, pl.DataType]
    options: Mapping[str, str]


def find_parts(
    path: Path,
    *,
    until: date,
    options: dict[str, str] | None = None,
    say: Callable[[str], None],  # noqa: ARG001 - the hook's signature
) -> list[RawPart]:
    """The data files at a path, all of usage; see connectors.files.find_parts."""
    return [replace(part, holds="usage") for part in files.find_parts(path, until=until, options=options)]


def parse(part: RawPart) -> pl.LazyFrame:
    """Raises InputError: a gateway bills nothing."""
    raise InputError(
        f"{part.path} holds usage of a gateway, no charges",
        expected="the bill of the provider that the gateway calls",
        next_step="ingest that bill as a source of its own",
    )


def parse_usage(part: RawPart) -> pl.LazyFrame:
    """The file's rows, one metered row each; see connectors.registry.

    Raises InputError for a file without a day, a model or any count, with a column of tokens that is not known, or with
    a cost without a currency; ConfigError for an option that is not known.
    """
    raw = files.scan(part.path)
    with files.readable(part.path):
        kinds = {name: kind for name, kind in raw.collect_schema().items() if name != files.ROW_INDEX}
    at = _Columns(_origin(part, list(kinds)), kinds, part.options)
    verbatim = {name: (_RAW if kind == pl.String else _CLEAN) + name for name, kind in kinds.items()}
    tests = _wrong(at)
    # each stage is computed once and read by the next: cells, values, what is wrong with a row, what it counts
    return (
        raw.select(
            files.ROW_INDEX,
            pl.col(list(kinds)).name.prefix(_RAW),
            *(cells.cleaned(name, kind).alias(_CLEAN + name) for name, kind in kinds.items()),
        )
        .with_columns(_value(at, ours).alias(ours) for ours in WORDS)
        .with_columns(_named())
        .with_columns(pl.any_horizontal(wrong.fill_null(value=False) for wrong in tests.values()).alias(_BAD))
        .with_columns(
            cells.where(_BAD, _reason(at, tests), [*WORDS, *(_CLEAN + name for name in kinds)]).alias(REJECT),
            cells.where(_BAD, _as_json(verbatim), verbatim.values()).alias(RAW),
            *_counts(),
            pl.col("day").dt.date(),
            pl.coalesce("key", "user").alias("consumer_id"),
            pl.coalesce("cost", "cost_usd").alias("stated_cost"),
            pl.lit(part.name).alias(s.SOURCE_FILE),
            pl.col(files.ROW_INDEX).cast(pl.Int64).alias(s.SOURCE_ROW),
            pl.lit(1, pl.Int64).alias(SOURCE_ROWS),
        )
        .select(pl.col(name).cast(kind) for name, kind in METERED.items())
    )


# ------------------------------------------------------------------------------------------------------------- header
def _origin(part: RawPart, columns: list[str]) -> dict[str, str]:
    """Which column of the file each of ours comes from."""
    origin = _mapped(part, columns)
    left_out = {name.strip() for name in part.options.get("columns.ignore", "").split(",")}
    free = [c for c in columns if c not in (*origin.values(), *left_out) and _plain(c) not in _IGNORED]
    for ours, more in WORDS.items():
        found = [c for word in (_plain(ours), *more.split()) for c in free if _plain(c) == word]
        if ours in _NUMBERS and len(found) + (ours in origin) > 1:
            raise _refused(part, f"has several columns for {ours}: {', '.join(found)}")
        if found:
            origin.setdefault(ours, found[0])
            free = [c for c in free if c not in found]
    if alien := [c for c in free if _may_count_tokens(c)]:
        raise _refused(part, f'has the column "{alien[0]}", which may count tokens')
    missing = [name for name in NEEDED if name not in origin]
    if missing or not set(origin) & {*_WHOLES, *_INPUT_PARTS, *_OUTPUT_PARTS, *_OTHER_COUNTS}:
        lacks = f"column {', '.join(missing)}" if missing else "column of tokens, requests or other counts"
        raise _refused(part, f"has no {lacks}; it has {', '.join(columns[:12])}")
    for one, other in _EITHER:
        if one in origin and other in origin:
            raise _refused(part, f"has both {one} and {other}")
    if "cost" in origin and "currency" not in origin and "currency" not in part.options:
        raise _refused(part, "has a cost and no currency", _WITH_CURRENCY)
    return origin


def _mapped(part: RawPart, columns: list[str]) -> dict[str, str]:
    """What the options say of columns."""
    mapped = {}
    for option, name in part.options.items():
        ours = option.removeprefix(_PREFIX)
        if option in _OPTIONS:
            continue
        if ours == option or ours not in WORDS:
            raise ConfigError(
                f'the option "{option}" is not known',
                expected=f"{', '.join(_OPTIONS)}, or columns. and one of {', '.join(WORDS)}",
                next_step="correct `options` of this source in finops.toml",
            )
        if name not in columns:
            raise _refused(part, f'has no column "{name}", which the option {option} names')
        mapped[ours] = name
    if part.options.get("rows", "calls") != "calls":
        raise ConfigError(
            f"the option rows is {part.options['rows']!r}",
            expected="calls, where each row is one call",
            next_step="correct `options` of this source in finops.toml",
        )
    return mapped


def _refused(part: RawPart, found: str, next_step: str = _BY_OPTION) -> InputError:
    return InputError(
        f"{part.path} {found}",
        expected=f"columns day, provider, model and counts that do not overlap: {', '.join(_NUMBERS)}",
        next_step=next_step,
    )


def _may_count_tokens(name: str) -> bool:
    return "token" in name.lower() or bool(_TOKEN_WORD.search(name)) or _plain(name) in _BARE


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


# -------------------------------------------------------------------------------------------------------------- cells
def _value(at: _Columns, ours: str) -> pl.Expr:
    """The value of a column, null where the file has none or its cell cannot be read."""
    if ours not in at.origin:
        said = {"currency": at.options.get("currency", "USD"), "provider": at.options.get("provider")}
        if ours == "requests" and "rows" in at.options:
            return pl.lit(1, s.MONEY)
        return pl.lit(said.get(ours), s.MONEY if ours in _NUMBERS else s.TIME if ours == "day" else pl.String)
    cell, kind = pl.col(_CLEAN + at.origin[ours]), at.kinds[at.origin[ours]]
    if ours == "day":
        return cells.timestamp(cell, kind)
    if ours in _NUMBERS or ours == s.CONTEXT:
        return cells.decimal(cell, kind)
    if ours == "tags":
        return cells.json_object(cell, kind)
    text = cell.cast(pl.String)
    return text.str.to_uppercase() if ours == "currency" else text


def _named() -> list[pl.Expr]:
    """Provider and model by the names of the price book, looked up once for each distinct pair."""
    names = pl.struct("provider", "model").map_batches(
        _book_names, return_dtype=pl.Struct({"provider": pl.String, "model": pl.String}), is_elementwise=True
    )
    return [names.struct.field(name).alias(name) for name in ("provider", "model")]


def _book_names(pairs: pl.Series) -> pl.Series:
    rows = pairs.struct.unnest()
    distinct = rows.unique()
    found = [named(provider, model) for provider, model in distinct.iter_rows()]
    columns = {f"book_{name}": [pair[n] for pair in found] for n, name in enumerate(("provider", "model"))}
    booked = distinct.with_columns(pl.Series(name, values, pl.String) for name, values in columns.items())
    joined = rows.join(booked, on=["provider", "model"], how="left", nulls_equal=True, maintain_order="left")
    return joined.select(pl.struct(provider="book_provider", model="book_model")).to_series()


def _inside(parts: Mapping[str, str]) -> pl.Expr:
    return pl.sum_horizontal(pl.col(name).fill_null(0) for name in parts)


def _counts() -> list[pl.Expr]:
    """What must be told apart: input and output without their parts."""
    return [
        pl.coalesce("uncached_input_tokens", pl.col("input_tokens") - _inside(_INPUT_PARTS)).alias(
            "uncached_input_tokens"
        ),
        pl.coalesce("visible_output_tokens", pl.col("output_tokens") - _inside(_OUTPUT_PARTS)).alias("output_tokens"),
        pl.when(pl.coalesce("cost", "cost_usd").is_not_null()).then(pl.col("currency")).alias("currency"),
    ]


# ------------------------------------------------------------------------------------------------------ what is wrong
def _wrong(at: _Columns) -> dict[str, pl.Expr]:
    """What keeps a row from being used, in words -> where it is so; `{}` stands for the cell."""
    wrong = {
        "day is empty": _cell(at, "day").is_null(),
        'day is "{}", which is no date': pl.col("day").is_null(),
        "model is empty": pl.col("model") == UNKNOWN,
        "provider is empty, and the model names none": pl.col("provider") == UNKNOWN,
    }
    for ours in (*_NUMBERS, s.CONTEXT):
        if ours in at.origin:
            wrong[f'{ours} is "{{}}", which is no number'] = _cell(at, ours).is_not_null() & pl.col(ours).is_null()
            wrong[f'{ours} is "{{}}", which is below zero'] = pl.col(ours) < 0
            if ours not in _FRACTIONS:
                wrong[f'{ours} is "{{}}", which is no whole number'] = pl.col(ours) != pl.col(ours).floor()
    wrong["input_tokens is less than its parts"] = pl.col("input_tokens") < _inside(_INPUT_PARTS)
    wrong["output_tokens is less than its parts"] = pl.col("output_tokens") < _inside(_OUTPUT_PARTS)
    if set(at.origin) & set(_MONEY):
        wrong["currency is no ISO 4217 code"] = pl.coalesce("cost", "cost_usd").is_not_null() & ~pl.col(
            "currency"
        ).fill_null("").str.contains("^[A-Z]{3}$")
    return wrong


def _cell(at: _Columns, ours: str) -> pl.Expr:
    return pl.col(_CLEAN + at.origin[ours])


def _reason(at: _Columns, tests: Mapping[str, pl.Expr]) -> pl.Expr:
    """The first of those conditions that holds."""
    said = []
    for words, wrong in tests.items():
        ours = words.split()[0]
        told = pl.format(words, _cell(at, ours).cast(pl.String)) if "{}" in words else pl.lit(words)
        said.append(pl.when(wrong).then(told))
    return pl.coalesce(said)


def _as_json(columns: Mapping[str, str]) -> pl.Expr:
    return pl.struct(pl.col(ours).cast(pl.String).alias(name) for name, ours in columns.items()).struct.json_encode()
