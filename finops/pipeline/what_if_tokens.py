"""What another cache rate or another model would make of today's token cost, at the prices of the book.

A ratio of book prices is applied to what is paid, so that a discount on both stays. Usage that the book cannot price
keeps its cost, and is named.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from finops.config import Config
from finops.errors import CallError
from finops.pipeline import tokens
from finops.schema import CONTEXT, MONEY
from finops.scope import NONE, parse_scope
from finops.store import Lake
from finops.token_costs import price
from finops.token_ledger import CACHE_READ, CACHE_WRITE, OUTPUT, UNCACHED, canonical
from finops.token_prices import load_book, match, service_tier
from forecasting.levers import CacheRate, ModelSwitch, TokenLever
from reports.views.words import compact, percent

_COUNTS: Final = {kind: f"{kind}_tokens" for kind in (UNCACHED, CACHE_READ, CACHE_WRITE, OUTPUT)}
_U, _R, _W, _O = _COUNTS.values()
_INPUT: Final = (_U, _R, _W)
_ROW: Final = ("provider", "model", "service_tier")
_TRUE: Final = {"driver": "model_api", "is_ai": "true", "hosting": "api"}
"""What is so of all that is metered in tokens."""
_WORDS: Final = tuple(word for word in tokens.DIMENSIONS if word not in ("day", "month", "kind", "basis"))
_SELLERS: Final = {"AWS": "aws", "Microsoft": "azure", "Google Cloud": "google", "OpenAI": "openai"}
"""The book's names of those that bills call otherwise."""
_MAKERS: Final = ("anthropic", "openai", "google", "mistral", "aws", "azure")
"""Whose price stands for a seller's that the book does not have, the first one first."""


@dataclass(frozen=True)
class Repriced:
    """What a lever makes of the cost in its scope, as a ratio, and what is to be known of it."""

    ratio: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Usage:
    """The facts of some days on tokens, in one currency, and the book that prices them on the last of these days."""

    facts: pl.DataFrame
    book: pl.DataFrame
    day: date

    @classmethod
    def of(cls, config: Config, lake: Lake, start: date, end: date) -> "Usage":
        """What was used from a day to another; end is exclusive."""
        facts = tokens.facts(config, lake, start=start, end=end).filter(currency=config.company.currency)
        book = load_book([config.path(path) for path in config.prices.tokens])
        return cls(facts, book, end - timedelta(days=1))

    def priced(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with `book_cost` [USD], empty where the book cannot price them under any name, and `reason`."""
        named = self._named(rows).with_columns(
            date=pl.lit(self.day),
            # a mean request tells the context tier; where nobody counts requests, the shorter one is taken
            **{CONTEXT: pl.when(pl.col("requests").fill_null(0) == 0).then(pl.lit(0, pl.Int64))},
        )
        priced = price(named.lazy(), self.book).collect()
        return rows.with_columns(priced["cost_usd"].alias("book_cost"), priced["price_reason"].alias("reason"))

    def _named(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows under the seller's name of their model in the book, else a maker's, else as they are."""
        sold = self.book.select("provider", "model").unique().with_columns(_seller="provider", _sold="model")
        names = canonical(sold).select("_seller", "_sold", plain="model").sort("_seller", "_sold")
        found = []
        for provider, model in rows.select("provider", "model").iter_rows():
            seller = _SELLERS.get(provider, (provider or "").lower())
            if match(seller, model).reason is None:
                found.append((seller, model))
                continue
            offers = {row[0]: row[1] for row in names.filter(plain=model).select("_seller", "_sold").iter_rows()}
            chosen = next((name for name in (seller, *_MAKERS, *offers) if name in offers), None)
            found.append((chosen, offers[chosen]) if chosen else (provider, model))
        return rows.with_columns(
            provider=pl.Series([p for p, _ in found], dtype=pl.String),
            model=pl.Series([m for _, m in found], dtype=pl.String),
        )


def reprice(usage: Usage, lever: TokenLever) -> Repriced:
    """Cost of the lever's scope at book prices after it / before it; of a switch, of the model that is left.

    Raises CallError for a scope that usage does not tell, and for a model that nobody sells by the token.
    """
    facts = usage.facts.filter(*_conditions(lever))
    if isinstance(lever, ModelSwitch):
        facts = facts.filter(pl.col("model") == plain(lever.model))
    if facts.is_empty():
        return Repriced(1.0, ("nobody used it in the days that are looked at, so it changes nothing.",))
    rows = usage.priced(_rows(facts))
    known = rows.filter(pl.col("reason").is_null(), pl.col("book_cost") > 0)
    notes = _unpriced(rows, known)
    if isinstance(lever, CacheRate):
        after, said = _cached(usage, known, lever)
    else:
        after, said = _switched(usage, known, lever)
    paid = float(facts["cost"].sum())
    moved = float((after["cost"].cast(pl.Float64) * (after["ratio"] - 1)).sum())
    return Repriced(1 + moved / paid if paid > 0 else 1.0, (*said, *notes))


def plain(model: str) -> str:
    """The name under which facts know a model."""
    maker = next((name for name in _MAKERS if match(name, model).reason is None), "")
    found: str = canonical(pl.DataFrame({"provider": [maker], "model": [model]}))["model"][0]
    return found


def _conditions(lever: TokenLever) -> list[pl.Expr]:
    found = []
    for word, value in parse_scope(lever.scope).terms:
        if _TRUE.get(word) == value:
            continue
        if word not in _WORDS:
            raise CallError(
                f"the scope {lever.scope} of a {lever.kind} lever",
                expected=f"dimensions that token usage has: {', '.join(_WORDS)}",
                next_step=f"take {word} out of the scope",
            )
        wanted = plain(value) if word == "model" else value
        found.append(pl.col(tokens.DIMENSIONS[word]).fill_null(NONE) == wanted)
    return found


def _rows(facts: pl.DataFrame) -> pl.DataFrame:
    """A row a provider, model and tier with its tokens by kind, requests and cost; what has no model is left out."""
    tier = service_tier(pl.col("service_tier"))
    return (
        facts.drop_nulls("model")
        .with_columns(service_tier=tier)
        .group_by(_ROW)
        .agg(
            *(pl.col("tokens").filter(kind=kind).sum().fill_null(0).alias(name) for kind, name in _COUNTS.items()),
            pl.col("requests").sum(),
            pl.col("cost").filter(pl.col("kind").is_in(list(_COUNTS))).sum(),
        )
        .filter(pl.sum_horizontal(*_COUNTS.values()) > 0)
        .sort(_ROW)
    )


def _cached(usage: Usage, rows: pl.DataFrame, lever: CacheRate) -> tuple[pl.DataFrame, list[str]]:
    """Input that is read from cache instead of in full, or the other way, until the scope's rate is the lever's.

    Of each model's uncached input the same share k moves: k = (b - a) x input / uncached input; back, of what is read
    from cache the share 1 - b / a. Cache writes stay. A model whose cached input has no price keeps its own.
    """
    total, read = (_sum(rows, *columns) for columns in (_INPUT, (_R,)))
    if not total:
        return rows.with_columns(ratio=pl.lit(1.0)), ["no input tokens are counted, so it changes nothing."]
    rate, wanted = read / total, lever.to_ratio * total
    zero = pl.lit(0, MONEY)
    whole = usage.priced(rows.with_columns(zero.alias(_U), (pl.col(_U) + pl.col(_R)).alias(_R)))
    able = whole["book_cost"].is_not_null()
    said = [f"{percent(rate)} of {compact(total)} input tokens are from cache now."]
    if wanted >= read:
        movable = _sum(rows.filter(able), _U)
        share = min(1.0, (wanted - read) / movable) if movable else 0.0
        if wanted - read > movable * (1 + 1e-9):
            most = percent((read + movable) / total)
            said.append(f"no more than {most} can be reached: the rest has no cached price or is written to cache.")
        moves = (pl.col(_U).cast(pl.Float64) * share).round(0).cast(MONEY)
    else:
        share = 1 - wanted / read
        moves = -(pl.col(_R).cast(pl.Float64) * share).round(0).cast(MONEY)
    moved = rows.with_columns(_moves=pl.when(able).then(moves).otherwise(zero))
    after = moved.with_columns((pl.col(_U) - pl.col("_moves")).alias(_U), (pl.col(_R) + pl.col("_moves")).alias(_R))
    return _ratios(rows, usage.priced(after.drop("_moves"))), said


def _switched(usage: Usage, rows: pl.DataFrame, lever: ModelSwitch) -> tuple[pl.DataFrame, list[str]]:
    """The lever's share of each row at the other model's prices.

    Where the other model has no price for cache writes they are plain input, where it has none for cached input all
    its input is, and where it has none for the tier, the standard one's counts.
    """
    zero, ratio = pl.lit(0, MONEY), lever.token_ratio
    scaled = [(pl.col(name).cast(pl.Float64) * ratio).round(0).cast(MONEY).alias(name) for name in _COUNTS.values()]
    there = rows.with_columns(pl.lit(plain(lever.to)).alias("model"), *scaled)
    writes = [(pl.col(_U) + pl.col(_W)).alias(_U), zero.alias(_W)]
    in_full = [pl.sum_horizontal(_INPUT).alias(_U), zero.alias(_R), zero.alias(_W)]
    standard = pl.lit("standard").alias("service_tier")
    costs, said = usage.priced(there), []
    for change, words in (
        (writes, "has no price for cache writes: they are plain input"),
        (in_full, "has no price for cached input: all of it is priced in full"),
        ([standard], "has no price for the service tier: the standard one is taken"),
        ([*writes, standard], "has neither a price for the tier nor for cache writes: standard, as plain input"),
        ([*in_full, standard], "has neither a price for the tier nor for cached input: standard, in full"),
    ):
        missing = costs["book_cost"].is_null()
        if not missing.any():
            break
        again = usage.priced(there.with_columns(change))["book_cost"]
        if (missing & again.is_not_null()).any():
            said.append(f"{lever.to} {words}.")
        costs = costs.with_columns(book_cost=pl.coalesce("book_cost", again))
    if len(costs) and costs["book_cost"].is_null().all():
        raise CallError(
            f"no token price for the model {lever.to}: {costs['reason'][0]}",
            expected="a model of the price book, as `finops tokens --by model` and `finops price` name them",
            next_step="correct the name, or add its price to a file under [prices] tokens in finops.toml",
        )
    stay = costs.filter(pl.col("book_cost").is_null())
    if len(stay):
        size, why = compact(_sum(stay, *_COUNTS.values())), stay["reason"][0]
        said.append(f"{size} tokens stay with {lever.model}: {lever.to} cannot be priced for them ({why}).")
    both = rows.with_columns(there=costs["book_cost"]).drop_nulls("there")
    if len(both):
        size = percent(float(both["there"].sum()) / float(both["book_cost"].sum()))
        said.append(f"{lever.to} costs {size} of {lever.model} for the tokens of {lever.where}, at book prices.")
    return _ratios(rows, costs).with_columns(ratio=1 + lever.share_ratio * (pl.col("ratio") - 1)), said


def _ratios(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Rows with their cost and `ratio`, book cost after / before; 1 where it cannot be told."""
    ratio = after["book_cost"].cast(pl.Float64) / before["book_cost"].cast(pl.Float64)
    return before.with_columns(ratio=ratio.fill_null(1.0))


def _sum(rows: pl.DataFrame, *columns: str) -> float:
    return float(rows.select(pl.sum_horizontal(pl.lit(0, MONEY), *columns).sum()).item())


def _unpriced(rows: pl.DataFrame, known: pl.DataFrame) -> list[str]:
    """What has no price in the book, with its tokens and cost."""
    lost = rows.join(known, on=_ROW, how="anti", nulls_equal=True)
    if lost.is_empty():
        return []
    pairs = lost.select("provider", "model").unique(maintain_order=True).iter_rows()
    models = ", ".join(f"{model} of {provider}" for provider, model in pairs)
    return [
        f"without a price in the book, so they keep their cost of {compact(lost['cost'].sum())}: {models} "
        f"({compact(_sum(lost, *_COUNTS.values()))} tokens)."
    ]
