"""Which model each series uses: the default, unless series of its shape show a baseline to be clearly better.

One series has too few past forecasts to tell skill from luck, and a whole portfolio is of many kinds. So the folds of
series that move alike decide together, and a series of which they are not true keeps the default.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from forecasting.baselines import WEEK, filled
from forecasting.method import DEFAULT, HISTORY_DAYS
from forecasting.metrics import ALL_DAYS, DAYS_AHEAD, pool
from forecasting.series import MODEL, SERIES, Floats

CLEAR_MARGIN_RATIO: Final = 0.10
LEAST_WINS_RATIO: Final = 2 / 3
LEAST_FOLDS: Final = 24
"""Series x origins below which no backtest overrules the default: a few lucky folds must not decide."""

BURSTS, WEEKLY, PLAIN, TRENDING = "bursts", "weekly", "plain", "trending"
IDLE_RATIO: Final = 0.5
"""A series with a larger share of zero days comes in bursts."""
WEEKLY_RATIO: Final = 0.8
"""One that moves from week to week by less than this share of what it moves from day to day follows the week."""
TREND_DAYS: Final = 182
LEAST_WEEKS: Final = 8
TREND_STRENGTH: Final = 0.8
"""One whose weeks' means lie on a line with this R² has been rising or falling all the time."""


def choose(folds: pl.DataFrame, shapes: Mapping[str, str]) -> dict[str, str]:
    """The model of each series that folds judge: what its shape shows to be clearly better, if its own folds agree.

    folds: as metrics.fold_sums, with `series, origin, model`; shapes: by series. Shapes with fewer than 24 folds are
    decided by all series together.
    """
    judged = folds.filter(pl.col(DAYS_AHEAD) == ALL_DAYS)
    known = judged.filter(pl.col(MODEL) == DEFAULT)[SERIES].to_list()
    count = Counter(shapes[name] for name in known)
    pools = {name: shapes[name] if count[shapes[name]] >= LEAST_FOLDS else "" for name in sorted(set(known))}
    chosen = {}
    for shape in set(pools.values()):
        members = [name for name in pools if not shape or pools[name] == shape]
        chosen[shape] = choose_model(compared(judged.filter(pl.col(SERIES).is_in(members))))
    own = {(row[SERIES], row[MODEL]): row for row in pool(judged, [SERIES, MODEL]).to_dicts()}
    return {
        name: chosen[shape] if _agrees(own.get((name, chosen[shape])), own[name, DEFAULT]) else DEFAULT
        for name, shape in pools.items()
    }


def compared(folds: pl.DataFrame) -> pl.DataFrame:
    """Pooled figures by model and days_ahead; wins_ratio: the share of folds in which its median beat the default's."""
    errors = folds.filter(pl.col(DAYS_AHEAD) == ALL_DAYS).select(SERIES, "origin", MODEL, "median_error")
    default = errors.filter(pl.col(MODEL) == DEFAULT).drop(MODEL)
    nearer = (pl.col("median_error") < pl.col("median_error_default")).mean().alias("wins_ratio")
    wins = errors.join(default, on=[SERIES, "origin"], suffix="_default").group_by(MODEL).agg(nearer)
    return pool(folds, [MODEL]).join(wins, on=MODEL, how="left", maintain_order="left")


def choose_model(pooled: pl.DataFrame) -> str:
    """The default, or the best baseline that beats it by 10 % in pooled MASE and WAPE, and in two of three folds.

    The same spend seen by team and by provider makes folds that err together, so the margin is wide.
    pooled: one row a model with `model, folds, wins_ratio, mase, wape`.
    """
    default = pooled.filter(pl.col(MODEL) == DEFAULT)
    if default.is_empty() or default["folds"][0] < LEAST_FOLDS:
        return DEFAULT
    better = pooled.filter(
        (pl.col("mase") < (1 - CLEAR_MARGIN_RATIO) * default["mase"][0])
        & (pl.col("wins_ratio") >= LEAST_WINS_RATIO)
        & (pl.col("wape") < (1 - CLEAR_MARGIN_RATIO) * default["wape"][0])
    ).sort("mase", MODEL)
    return DEFAULT if better.is_empty() else str(better[MODEL][0])


def _agrees(own: Mapping[str, Any] | None, default: Mapping[str, Any]) -> bool:
    """Whether a model was no worse than the default on a series itself, in every figure that is defined."""
    if own is None:
        return False
    return all(own[name] <= default[name] for name in ("mase", "wape") if None not in (own[name], default[name]))


def shape_of(values: Floats) -> str:
    """How a series moves: in bursts, by the week or plain, and whether it has been trending."""
    recent = filled(values[-HISTORY_DAYS:])
    if np.mean(recent == 0) > IDLE_RATIO:
        return BURSTS
    by_week, by_day = np.abs(recent[WEEK:] - recent[:-WEEK]).mean(), np.abs(np.diff(recent)).mean()
    kind = WEEKLY if by_week < WEEKLY_RATIO * by_day else PLAIN
    return f"{kind}, {TRENDING}" if _trend_strength(recent[-TREND_DAYS:]) > TREND_STRENGTH else kind


def _trend_strength(recent: Floats) -> float:
    """R² of a straight line through the means of weeks; 0 for a history of a few weeks."""
    weeks = recent[len(recent) % WEEK :].reshape(-1, WEEK).mean(axis=1)
    if len(weeks) < LEAST_WEEKS or np.ptp(weeks) == 0:
        return 0.0
    return float(np.corrcoef(np.arange(len(weeks)), weeks)[0, 1] ** 2)
