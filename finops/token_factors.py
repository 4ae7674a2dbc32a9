"""Why token cost changed between two periods: volume, model mix, cache and price, exact to the last decimal.

The cost of one workload is V x sum_m mix_m x sum_k share_mk x price_mk: its tokens, the share of each model in them
(a model of one provider in one service tier), the share of each kind in a model's tokens (uncached input, cache read,
cache write, output), and the price of a token of that kind. Each factor's effect is its Shapley value: its effect
averaged over all 24 orders in which the four can change, so that no order is preferred and the four sum to the change.
Source: Shorrocks (2013), "Decomposition procedures for distributional analysis", J. Econ. Inequality 11, 99-126.
"""

from collections.abc import Sequence
from decimal import Decimal, localcontext
from typing import Final

import polars as pl

from finops.money import CONTEXT, QUANTUM
from finops.schema import MONEY

FACTORS: Final = ("volume", "mix", "cache", "price")
NOT_METERED: Final = "not_metered"
ITEM: Final = ("provider", "model", "service_tier")
"""What the mix is a mix of: a move to batch is a move to another item, not a lower price."""
_SIDES: Final = ("prior", "current")

_Pair = tuple[Decimal, Decimal]


def factors(
    prior: pl.DataFrame, current: pl.DataFrame, *, within: Sequence[str] = (), by: Sequence[str] = ()
) -> pl.DataFrame:
    """The change of token cost between two periods, split into FACTORS and what no meter counts.

    prior, current: token facts (columns day, provider, model, service_tier, kind, currency, tokens, cost, and those of
    `within`). within: what names a workload, like team and use case; each is explained by itself, so work that moves
    from one to another is volume of both. by: columns of the result, of `within`, ITEM or kind: effects are sums over
    the cells of the formula, so any of these groups sum to the same totals.

    Columns: by, currency, prior, cost, change = cost - prior, prior_tokens, tokens, volume, mix, cache, price,
    not_metered; change = the sum of the last five, to the 18th decimal. What one period does not have takes its value
    of the other: a kind or model that is new or ended has no price effect and is mix, a workload that is new or ended
    is all volume. Cost without tokens, or whose tokens sum to nothing, is not_metered. Largest change first.
    """
    cells = _cells(prior, current, within)
    cost = {side: pl.col(f"{side}_cost") + pl.col(f"{side}_unmetered") for side in _SIDES}
    return (
        cells.hstack(_effects(cells))
        .with_columns(
            cost["prior"].alias("prior"), cost["current"].alias("cost"),
            (cost["current"] - cost["prior"]).alias("change"),
            (pl.col("current_unmetered") - pl.col("prior_unmetered")).alias(NOT_METERED),
            pl.col("current_tokens").alias("tokens"),
        )
        .group_by(*by, "currency")
        .agg(pl.col("prior", "cost", "change", "prior_tokens", "tokens", *FACTORS, NOT_METERED).sum())
        .sort(pl.col("change").abs(), *by, "currency", descending=[True, *(False for _ in by), False])
    )  # fmt: skip


def _cells(prior: pl.DataFrame, current: pl.DataFrame, within: Sequence[str]) -> pl.DataFrame:
    """A row a workload, item, kind and currency: for each period its tokens and cost, and those of what it is in."""
    workload = [*dict.fromkeys((*within, "currency"))]
    item = [*dict.fromkeys((*workload, *ITEM))]
    measures = [f"{side}_{name}" for side in _SIDES for name in ("tokens", "cost", "unmetered")]
    both = pl.concat(
        [_measured(f, s, [*item, "kind"]) for f, s in ((prior, "prior"), (current, "current"))], how="diagonal"
    )
    summed = both.group_by(*item, "kind").agg(pl.col(measures).sum())
    for side in _SIDES:
        tokens, cost, unmetered = (pl.col(f"{side}_{name}") for name in ("tokens", "cost", "unmetered"))
        zero, counted = pl.lit(0, MONEY), tokens > 0
        summed = summed.with_columns(
            pl.when(counted).then(tokens).otherwise(zero),
            pl.when(counted).then(cost).otherwise(zero),
            unmetered + pl.when(counted).then(zero).otherwise(cost),
        )
    return summed.with_columns(
        pl.col(f"{side}_tokens").sum().over(of).alias(f"{side}_{name}")
        for side in _SIDES
        for name, of in (("item", item), ("volume", workload))
    )


def _measured(facts: pl.DataFrame, side: str, keys: Sequence[str]) -> pl.DataFrame:
    zero, counted = pl.lit(0, MONEY), (pl.col("tokens") != 0).fill_null(False)
    return facts.select(
        *keys,
        pl.col("tokens").fill_null(zero).alias(f"{side}_tokens"),
        pl.when(counted).then("cost").otherwise(zero).alias(f"{side}_cost"),
        pl.when(counted).then(zero).otherwise("cost").alias(f"{side}_unmetered"),
    )


def _effects(cells: pl.DataFrame) -> pl.DataFrame:
    """The four effects of each cell, in its order."""
    names = [f"{side}_{name}" for name in ("volume", "item", "tokens", "cost") for side in _SIDES]
    with localcontext(CONTEXT):
        rows = [_shapley(*row) for row in cells.select(names).iter_rows()]
    return pl.DataFrame(rows, schema=dict.fromkeys(FACTORS, MONEY), orient="row")


def _shapley(
    volume0: Decimal, volume1: Decimal, item0: Decimal, item1: Decimal,
    tokens0: Decimal, tokens1: Decimal, cost0: Decimal, cost1: Decimal,
) -> tuple[Decimal, ...]:  # fmt: skip
    """Effects of volume, mix, share and price on volume x mix x share x price = cost.

    Of factor x beside a, b, c: (x1 - x0) x ((a0 b0 c0 + a1 b1 c1) / 4 + the six other products / 12). A product and its
    mirror are added first, so that swapping the periods turns every sign and nothing else.
    """
    if not tokens0 and not tokens1:
        return (Decimal(0),) * len(FACTORS)
    x: list[_Pair] = [
        (volume0, volume1),
        _ratios(item0, volume0, item1, volume1),
        _ratios(tokens0, item0, tokens1, item1),
        _ratios(cost0, tokens0, cost1, tokens1),
    ]
    effects = []
    for n, (before, after) in enumerate(x):
        (a0, a1), (b0, b1), (c0, c1) = x[:n] + x[n + 1 :]
        ends = a0 * b0 * c0 + a1 * b1 * c1
        between = (a1 * b0 * c0 + a0 * b1 * c1) + (a0 * b1 * c0 + a1 * b0 * c1) + (a0 * b0 * c1 + a1 * b1 * c0)
        effects.append(((after - before) * (3 * ends + between) / 12).quantize(QUANTUM))
    # what rounding to 18 decimals left goes to the largest effect
    largest = max(range(len(effects)), key=lambda i: abs(effects[i]))
    effects[largest] += cost1 - cost0 - sum(effects)
    return tuple(effects)


def _ratios(part0: Decimal, whole0: Decimal, part1: Decimal, whole1: Decimal) -> _Pair:
    """part / whole of both periods; where one has no whole it takes the other's."""
    before, after = (part / whole if whole else None for part, whole in ((part0, whole0), (part1, whole1)))
    known = after if before is None else before
    assert known is not None, "a cell is metered in at least one of the periods"
    return (known, known if after is None else after)
