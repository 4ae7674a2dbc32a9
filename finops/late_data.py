"""How much of a day's cost a source shows at which age, and what a day that is billed in part will come to.

Pure: rows of what was seen when go in. A day's age is counted from the day to the load that shows it [days].
"""

from statistics import NormalDist
from typing import Final

import polars as pl

OLDEST_DAYS: Final = 10
"""A day of this age is final: what it cost then is what younger ages are held against."""
LOOKED_BACK_DAYS: Final = 45
"""Lags change: only days this recent tell them."""
LEAST_DAYS: Final = 10
"""An age that was seen on fewer days tells nothing."""
LEAST_SHARE: Final = 0.3
"""Of a day that usually shows less than this too little is known to complete it ..."""
WIDEST: Final = 0.25
"""... nor of one whose final cost scatters more than this to one side, nine times of ten (as a logarithm)."""
FULL_SHARE: Final = 0.95
"""A day that usually shows this much is taken as billed in full."""
USUAL_RATIO: Final = 0.5
"""A day with a smaller share of the charges that are usual at its age is later than usual, or a fall: not completed."""
ONLY_GROWS: Final = 0.999
"""A final cost never below this share of what was seen first: what is seen is a floor."""
QUANTILES: Final = {"p025": 0.025, "p05": 0.05, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p975": 0.975}
SOURCE, AGE, CURRENCY, SERIES, DATE = "source", "age", "currency", "series", "date"
VISIBLE, FINAL, CHARGES = "visible", "final", "charges"
_LAG: Final = [SOURCE, CURRENCY, AGE]


def lag_curves(seen: pl.DataFrame) -> pl.DataFrame:
    """What each source usually shows of a day by its age: `source, currency, age, days, share, charges`.

    seen: one row a day and age with `source, currency, date, age, visible, final` (cost) and `charges` (the share of
    its final charges that were there). share = median of visible / final over the days, charges likewise. Ages of
    fewer than LEAST_DAYS days are left out.
    """
    return (
        seen.filter(pl.col(FINAL) > 0)
        .group_by(_LAG)
        .agg(
            pl.len().cast(pl.Int64).alias("days"),
            (pl.col(VISIBLE) / pl.col(FINAL)).median().alias("share"),
            pl.col(CHARGES).median(),
        )
        .filter(pl.col("days") >= LEAST_DAYS)
        .sort(_LAG)
    )


def scatter(seen: pl.DataFrame, curves: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """How far completed days came out from their final cost: `*keys, source, currency, age, low, high, grows`.

    low, high: the tenth and ninetieth percentile of ln(final / completed) with completed = visible / share, at
    positions p (n + 1) of the n days in order, so that few days give wide bands. grows: no day ever lost cost.
    """
    factor = (pl.col(FINAL) * pl.col("share") / pl.col(VISIBLE)).log()
    place = {name: (p * (pl.len() + 1) - 1).clip(0, pl.len() - 1) for name, p in (("low", 0.1), ("high", 0.9))}
    ordered = factor.sort()

    def at(name: str) -> pl.Expr:
        lower = place[name].floor().cast(pl.UInt32)
        upper = place[name].ceil().cast(pl.UInt32)
        part = place[name] - place[name].floor()
        return (ordered.get(lower) * (1 - part) + ordered.get(upper) * part).alias(name)

    by = [*keys, *_LAG]
    return (
        seen.filter(pl.col(FINAL) > 0, pl.col(VISIBLE) > 0)
        .join(curves, on=_LAG)
        .filter(pl.col("share") > 0)
        .group_by(by)
        .agg(
            at("low"), at("high"),
            ((pl.col(FINAL) / pl.col(VISIBLE)).min() >= ONLY_GROWS).alias("grows"),
            pl.len().alias("_n"),
        )
        .filter(pl.col("_n") >= LEAST_DAYS)
        .with_columns(pl.col("low").clip(upper_bound=0), pl.col("high").clip(lower_bound=0))
        .drop("_n")
    )  # fmt: skip


def completed(late: pl.DataFrame, curves: pl.DataFrame, own: pl.DataFrame, general: pl.DataFrame) -> pl.DataFrame:
    """Days as they are expected to become: `series, date, is_estimated, mean` and QUANTILES; unknown days are left out.

    late: a row for every series, source and day with `series, source, currency, date, age, visible`, `charges` (the
    day's share of its usual charges), `is_full` (billed in full) and `usual` (cost of such a day in this part).
    own, general: the scatter by series, and by source for series that have too few days.

    A part is visible / share where the share is at least LEAST_SHARE, its scatter at most WIDEST, and the day is billed
    in full or has at least half of the charges that are usual at its age; as it is where it is final. A day of several
    sources is their sum, its band the root of the sum of their squared half bands. What is seen is the least where cost
    only grows.
    """
    known = (
        late.join(curves.rename({CHARGES: "_charges"}), on=_LAG, how="left")
        .join(own, on=[SERIES, *_LAG], how="left")
        .join(general, on=_LAG, how="left", suffix="_of_all")
        .with_columns(pl.coalesce(name, f"{name}_of_all").alias(name) for name in ("low", "high", "grows"))
    )
    visible, share = pl.col(VISIBLE), pl.col("share")
    is_open = ~pl.col("is_full") | (share < FULL_SHARE).fill_null(value=False)
    tells = (
        (share >= LEAST_SHARE)
        & (pl.max_horizontal(-pl.col("low"), pl.col("high")) <= WIDEST)
        & (pl.col("is_full") | (pl.col(CHARGES) >= USUAL_RATIO * pl.col("_charges")))
        & (visible > 0)
    ).fill_null(value=False)
    nothing = (visible == 0) & (pl.col("usual") == 0)
    value = (
        pl.when(nothing | ~is_open).then(visible)
        .when(tells).then(visible / pl.min_horizontal(share, 1.0))
        .when(pl.col("is_full")).then(visible)
    )  # fmt: skip
    is_estimated = is_open & tells & ~nothing
    parts = known.select(
        SERIES, DATE, value.alias("mean"), is_estimated.alias("is_estimated"), (~pl.col("is_full")).alias("_late"),
        *(
            pl.when(is_estimated).then(value * (pl.col(side).exp() - 1)).otherwise(0.0).alias(side)
            for side in ("low", "high")
        ),
        pl.when(is_estimated & ~pl.col("grows")).then(None).otherwise(visible).alias("floor"),
    )  # fmt: skip
    days = (
        parts.group_by(SERIES, DATE)
        .agg(
            pl.col("mean").sum(),
            pl.col("mean").null_count().alias("_unknown"),
            (pl.col("is_estimated") | pl.col("_late")).any().alias("is_estimated"),
            *((pl.col(side) ** 2).sum().sqrt().alias(side) for side in ("low", "high")),
            pl.when(pl.col("floor").null_count() == 0).then(pl.col("floor").sum()).alias("floor"),
        )
        .sort(SERIES, DATE)
    )
    # a day after one that is not known would leave a hole
    reached = days.filter(
        ((pl.col("_unknown") == 0) & ((pl.col("mean") != 0) | ~pl.col("is_estimated")))
        .cum_prod()
        .over(SERIES, order_by=DATE)
        .cast(pl.Boolean)
    )
    return reached.select(
        SERIES, DATE, "is_estimated", "mean",
        *(_quantile(p).clip(lower_bound=pl.col("floor")).alias(name) for name, p in QUANTILES.items()),
    )  # fmt: skip


def _quantile(p: float) -> pl.Expr:
    """The band's tenth and ninetieth percentile, carried outwards as those of a normal distribution are."""
    reach = abs(NormalDist().inv_cdf(p) / NormalDist().inv_cdf(0.1))
    return pl.col("mean") + (pl.col("high") if p > 0.5 else -pl.col("low")) * reach
