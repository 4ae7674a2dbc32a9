"""Which model is used: the default, unless a pooled backtest shows a baseline to be clearly better."""

from typing import Final

import polars as pl

from forecasting.method import DEFAULT
from forecasting.series import MODEL

CLEAR_MARGIN_RATIO: Final = 0.10
LEAST_WINS_RATIO: Final = 2 / 3
LEAST_FOLDS: Final = 24
"""Series x origins below which no backtest overrules the default: a few lucky folds must not decide."""


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
