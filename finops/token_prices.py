"""The dated book of token prices: what a model's tokens cost, on which days, in which service and context tier.

A row is one price of one model and meter with its days, amount, unit, currency, source and the day it was checked. List
prices are the offline data of genai-prices; published rules that it does not model (a batch discount before its first
batch price) are in finops/data; a company's contracted prices win over both.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import polars as pl
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from finops.errors import InputError
from finops.schema import CONTEXT, MONEY

UNIT: Final = pl.Decimal(38, 24)
"""A price of one token: 18 decimals of a price per million stay exact."""


@dataclass(frozen=True)
class Meter:
    """One thing that is counted and priced: its name, the usage column with its count, and what one price buys.

    keys: price fields of genai-prices; the first one that a model states is its price. So reasoning costs what output
    costs, and images what text costs, unless the model says otherwise.
    """

    name: str
    column: str
    keys: tuple[str, ...]
    unit: str = "1M tokens"
    is_input: bool = False


METERS: Final = (
    Meter("uncached_input", "uncached_input_tokens", ("input_mtok",), is_input=True),
    Meter("cache_read", "cache_read_tokens", ("cache_read_mtok",), is_input=True),
    Meter("cache_write", "cache_write_tokens", ("cache_write_mtok",), is_input=True),
    Meter("cache_write_5m", "cache_write_5m_tokens", ("cache_write_5m_mtok", "cache_write_mtok"), is_input=True),
    Meter("cache_write_1h", "cache_write_1h_tokens", ("cache_write_1h_mtok",), is_input=True),
    Meter("output", "output_tokens", ("output_mtok",)),
    Meter("reasoning", "reasoning_tokens", ("output_reasoning_mtok", "output_mtok")),
    Meter("input_audio", "input_audio_tokens", ("input_audio_mtok",), is_input=True),
    Meter("cache_read_audio", "cache_read_audio_tokens", ("cache_audio_read_mtok",), is_input=True),
    Meter("output_audio", "output_audio_tokens", ("output_audio_mtok",)),
    Meter("input_image", "input_image_tokens", ("input_image_mtok", "input_mtok"), is_input=True),
    Meter("cache_read_image", "cache_read_image_tokens", ("cache_image_read_mtok", "cache_read_mtok"), is_input=True),
    Meter("output_image", "output_image_tokens", ("output_image_mtok", "output_mtok")),
    Meter("input_video", "input_video_tokens", ("input_video_mtok", "input_mtok"), is_input=True),
    Meter("output_video", "output_video_tokens", ("output_video_mtok",)),
    Meter("characters", "characters", ("input_mchars",), unit="1M characters"),
    Meter("audio_seconds", "audio_seconds", ("input_audio_hours", "audio_hours"), unit="1 hour"),
    Meter("document_pages", "document_pages", ("input_document_kpages",), unit="1K pages"),
    Meter("web_searches", "web_searches", ("web_searches_kcount",), unit="1K searches"),
    Meter("file_searches", "file_searches", ("storage_searches_kcount",), unit="1K searches"),
    Meter("provisioned_units", "provisioned_unit_hours", (), unit="1 unit-hour"),
    Meter("requests", "requests", ("requests_kcount",), unit="1K requests"),
)  # fmt: skip
"""A token is counted in exactly one of these columns; none includes another."""
_PER: Final = {
    "1M tokens": 1_000_000, "1M characters": 1_000_000, "1 hour": 3_600, "1K pages": 1_000, "1K searches": 1_000,
    "1 unit-hour": 1, "1K requests": 1_000,
}  # fmt: skip

_TEXT = pl.String()
BOOK: Final[dict[str, pl.DataType]] = {
    "provider": _TEXT, "model": _TEXT, "meter": _TEXT, "service_tier": _TEXT, CONTEXT: pl.Int64(),
    "valid_from": pl.Date(), "valid_to": pl.Date(), "amount": MONEY, "unit": _TEXT, "currency": _TEXT, "source": _TEXT,
    "checked": pl.Date(),
}  # fmt: skip
"""Both days are included; an empty one is open. A price is for requests with more input than `context_from_tokens`."""
_RULES: Final[dict[str, pl.DataType]] = {
    "provider": _TEXT, "meter": _TEXT, "service_tier": _TEXT, "valid_from": pl.Date(), "ratio_to_standard": MONEY,
    "source": _TEXT, "checked": pl.Date(),
}  # fmt: skip

LIST_VERSION: Final = "0.2.3"
LIST_CHECKED: Final = date(2026, 11, 15)
"""The version of genai-prices, and the day for which its prices of 84 models agreed with a second public list."""
PROVISIONED: Final = "provisioned"
"""The tier of throughput that is bought by the hour: its unit-hours are priced, its tokens are covered by them."""
_TIER_NAMES: Final = {
    **dict.fromkeys(("", "default", "on_demand"), "standard"),
    **dict.fromkeys(("ptu", "provisioned_managed", "provisioned_throughput"), PROVISIONED),
}
TIERS: Final[dict[str, tuple[dict[str, str], ...]]] = {
    "standard": ({},),
    "batch": ({"processing": "batch"},),
    "flex": ({"service_tier": "flex"},),
    "priority": ({"service_tier": "priority"},),
    "fast": ({"service_tier": "fast"}, {"speed": "fast"}),
    PROVISIONED: (),
}
# billed as at least ten seconds a request, which a sum of seconds does not tell
_MINIMUM_SECONDS: Final = {("groq", "whisper-large-v3"), ("groq", "whisper-large-v3-turbo")}
_SNAPSHOT: Final = DataSnapshot(providers=providers, from_auto_update=False)


# ------------------------------------------------------------------------------------------------------------ the book
def load_book(own: Sequence[Path] = ()) -> pl.DataFrame:
    """List prices, published rules and a company's own CSV files of contracted prices; columns BOOK and `rank`.

    Where several rows hold on a day, the highest rank wins: rules 0, list 1, own rows from 2 on, a later one over an
    earlier one. Raises InputError for a file with other columns, a cell that is not of its type, another currency than
    USD, or another unit than the meter's.
    """
    if not own:
        return _list_book()
    contracted = pl.concat([_own_prices(path) for path in own])
    return pl.concat([_list_book(), contracted.with_columns(rank=pl.int_range(2, pl.len() + 2))])


@cache
def _list_book() -> pl.DataFrame:
    stated = pl.DataFrame(list(_list_rows()), schema=BOOK, orient="row")
    ranked = [rows.with_columns(rank=pl.lit(n, pl.Int64)) for n, rows in enumerate((_rule_rows(stated), stated))]
    return pl.concat(ranked)


def _list_rows() -> Iterator[tuple[object, ...]]:
    source = f"genai-prices {version('genai-prices')}"
    by_id = {provider.id: provider for provider in providers}
    for provider in providers:
        for model in provider.models:
            yield from _model_rows(provider.id, model.id, model, TIERS, source)
        # a reseller without a price of its own: the developer's list price, standard tier only
        for other in provider.fallback_model_providers or ():
            for model in by_id[other].models:
                yield from _model_rows(provider.id, f"{other}/{model.id}", model, ("standard",), source)


def _model_rows(
    provider: str, name: str, model: ModelInfo, tiers: Iterable[str], source: str
) -> Iterator[tuple[object, ...]]:
    """The rows of one model; a price that does not change on a day when another one does is one row."""
    if _by_hour(model):
        return
    starts = sorted({c.start_date for c in _constraints(model) if isinstance(c, StartDateConstraint)})
    for tier in tiers:
        open_rows: dict[tuple[Meter, int], tuple[Decimal, date | None]] = {}
        for start in (None, *starts, date.max):
            day = start or (starts[0] if starts else LIST_CHECKED) - timedelta(days=1)
            now = {} if start == date.max else dict(_stated(provider, model, tier, day))
            for key in [key for key, (amount, _) in open_rows.items() if now.get(key) != amount]:
                amount, since = open_rows.pop(key)
                until = None if start == date.max or start is None else start - timedelta(days=1)
                yield (provider, name, key[0].name, tier, key[1], since, until, amount, key[0].unit, "USD", source,
                       LIST_CHECKED)  # fmt: skip
            for key, amount in now.items():
                open_rows.setdefault(key, (amount, start))


def _stated(provider: str, model: ModelInfo, tier: str, day: date) -> Iterator[tuple[tuple[Meter, int], Decimal]]:
    """What a model states on a day for one tier: (meter, tokens from which) and the amount.

    Another tier than standard has the token prices stated for it, and the standard prices of what is not a token.
    """
    at = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - genai-prices reads a naive time as UTC
    prices: dict[str, Any] = _fields(model.get_prices(at))
    if tier != "standard":
        variant = _variant(model, tier, at)
        if not variant:
            return
        prices = {k: v for k, v in prices.items() if not k.endswith("_mtok")} | variant
    for meter in METERS:
        price = next((prices[key] for key in meter.keys if key in prices), None)
        if price is None or (meter.name == "audio_seconds" and (provider, model.id) in _MINIMUM_SECONDS):
            continue
        if isinstance(price, TieredPrices):
            yield (meter, 0), price.base
            for step in price.tiers:
                yield (meter, step.start), step.price
        else:
            yield (meter, 0), price


def _fields(price: ModelPrice) -> dict[str, Any]:
    return {key: value for key, value in vars(price).items() if value is not None}


def _variant(model: ModelInfo, tier: str, at: datetime) -> dict[str, Any]:
    for variant in model.price_variants or ():
        if variant.when in TIERS[tier] and (variant.constraint is None or variant.constraint.active(at)):
            return _fields(variant.prices)
    return {}


def _constraints(model: ModelInfo) -> Iterator[StartDateConstraint | TimeOfDateConstraint | None]:
    yield from () if isinstance(model.prices, ModelPrice) else (price.constraint for price in model.prices)
    yield from (variant.constraint for variant in model.price_variants or ())


def _by_hour(model: ModelInfo) -> bool:
    return any(isinstance(constraint, TimeOfDateConstraint) for constraint in _constraints(model))


def _rule_rows(stated: pl.DataFrame) -> pl.DataFrame:
    """Prices by a published ratio to the standard price, up to the day from which the list states its own."""
    content = (files("finops") / "data" / "token_price_rules.csv").read_bytes()
    rules = _typed(content, _RULES, "token_price_rules.csv")
    first = (
        stated.group_by("provider", "model", "service_tier")
        .agg(pl.when(pl.col("valid_from").is_not_null().all()).then(pl.col("valid_from").min()).alias("stated_from"))
        .with_columns(is_stated=True)
    )
    return (
        stated.filter(pl.col("service_tier") == "standard")
        .drop("service_tier", "source", "checked")
        .join(rules.rename({"valid_from": "rule_from"}), on=["provider", "meter"])
        .join(first, on=["provider", "model", "service_tier"], how="left")
        .filter(pl.col("is_stated").is_null() | pl.col("stated_from").is_not_null())
        .with_columns(
            amount=pl.col("amount") * pl.col("ratio_to_standard"),
            valid_from=pl.max_horizontal("valid_from", "rule_from"),
            valid_to=pl.min_horizontal("valid_to", pl.col("stated_from").dt.offset_by("-1d")),
        )
        .filter(pl.col("valid_to").is_null() | (pl.col("valid_from") <= pl.col("valid_to")))
        .select(*BOOK)
    )


# ----------------------------------------------------------------------------------------------------- own price files
def _own_prices(path: Path) -> pl.DataFrame:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror})", expected="a CSV file of prices", next_step="correct the path"
        ) from error
    rows = _typed(content, BOOK, str(path)).with_columns(
        service_tier(pl.col("service_tier")).alias("service_tier"), pl.col(CONTEXT).fill_null(0)
    )
    units = {meter.name: meter.unit for meter in METERS}
    _refuse(path, rows, "meter", ~pl.col("meter").is_in(list(units)), ", ".join(units))
    _refuse(path, rows, "unit", pl.col("unit") != pl.col("meter").replace_strict(units), "the unit of the meter")
    _refuse(path, rows, "currency", pl.col("currency") != "USD", "USD; convert with a dated rate")
    _refuse(path, rows, "valid_to", pl.col("valid_to") < pl.col("valid_from"), "a day not before valid_from")
    names = {pair: match(*pair) for pair in rows.select("provider", "model").unique().iter_rows()}
    found = [names[pair] for pair in rows.select("provider", "model").iter_rows()]
    return rows.with_columns(provider=pl.Series([n.provider for n in found]), model=pl.Series([n.model for n in found]))


def _refuse(path: Path, rows: pl.DataFrame, column: str, wrong: pl.Expr, expected: str) -> None:
    bad = rows.with_row_index("row").filter(wrong)
    if bad.height:
        raise InputError(
            f"{path}, row {bad['row'][0] + 2}, {column}: {bad[column][0]}",
            expected=expected,
            next_step="correct this cell",
        )


def _typed(content: bytes, columns: dict[str, pl.DataType], name: str) -> pl.DataFrame:
    try:
        text = pl.read_csv(io.BytesIO(content), infer_schema=False)
    except pl.exceptions.PolarsError as error:
        found = str(error).splitlines()[0]
        raise InputError(f"{name}: {found}", expected="a CSV file of prices", next_step="correct the file") from error
    if set(text.columns) != set(columns):
        raise InputError(
            f"{name} has the columns {', '.join(text.columns)}",
            expected=", ".join(columns),
            next_step="correct its header",
        )
    typed = text.select(_cell(column, kind) for column, kind in columns.items())
    optional = {"valid_from", "valid_to", CONTEXT, "service_tier"}
    for column, kind in columns.items():
        wrong = typed[column].is_null() & (text[column].is_not_null() if column in optional else True)
        if kind.is_numeric():
            wrong |= (typed[column] < 0).fill_null(False)
        if wrong.any():
            row = wrong.arg_true()[0]
            expected = {MONEY: "a plain number, not below zero", pl.Date(): "a date as YYYY-MM-DD"}
            raise InputError(
                f"{name}, row {row + 2}, {column}: {text[column][row]!r}",
                expected=expected.get(kind, "a whole number, not below zero" if kind.is_integer() else "a value"),
                next_step="correct this cell; every price needs its unit, currency, source and date",
            )
    return typed


def _cell(column: str, kind: pl.DataType) -> pl.Expr:
    text = pl.col(column).str.strip_chars()
    return text.str.to_date("%Y-%m-%d", strict=False) if kind == pl.Date() else text.cast(kind, strict=False)


# ------------------------------------------------------------------------------------------- names of models and tiers
@dataclass(frozen=True)
class Match:
    """The book's names for a model, and why it has no price where that is known from the name alone."""

    provider: str
    model: str
    reason: str | None = None


@cache
def match(provider: str, model: str) -> Match:
    """The book's provider and model for the names in usage, by the matchers of genai-prices.

    A name that they do not know stays as it is, in lower case, so that a company can price it itself.
    """
    try:
        owner, found = _SNAPSHOT.find_provider_model(model, None, provider, None)
    except LookupError:
        return Match(provider.lower(), model.lower(), "unknown model")
    name = found.id
    if all(found is not own for own in owner.models):
        others = (p for p in providers if p.id in (owner.fallback_model_providers or ()))
        name = f"{next(p.id for p in others if any(found is m for m in p.models))}/{found.id}"
    return Match(owner.id, name, "the price depends on the hour" if _by_hour(found) else None)


def service_tier(tier: pl.Expr) -> pl.Expr:
    """The book's name of a service tier; an empty one and the providers' words for the default are `standard`."""
    return tier.fill_null("").str.strip_chars().str.to_lowercase().replace(_TIER_NAMES)


def unit_price() -> pl.Expr:
    """The price of one counted unit, of a frame with BOOK's columns, with the digits of UNIT."""
    per = pl.col("unit").replace_strict(_PER, return_dtype=pl.Int64)
    return pl.col("amount").cast(UNIT) / per.cast(pl.Decimal(38, 0))
