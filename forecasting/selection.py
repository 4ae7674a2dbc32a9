"""Which model is used: the default, unless a pooled backtest shows a baseline to be clearly better."""

from typing import Final

import polars as pl

from forecasting.method import DEFAULT
from forecasting.series import MODEL

CLEAR_MARGIN_RATIO: Final = 0.05
LEAST_FOLDS: Final = 24
"""Series x origins below which no backtest overrules the default: a few lucky folds must not decide."""


def choose_model(pooled: pl.DataFrame) -> str:
    """The default, or the best baseline that beats it by 5 % in both pooled MASE (median) and pooled WAPE (mean).

    pooled: one row a model with `model, folds, mase, wape`.
    """
    default = pooled.filter(pl.col(MODEL) == DEFAULT)
    if default.is_empty() or default["folds"][0] < LEAST_FOLDS:
        return DEFAULT
    better = pooled.filter(
        (pl.col("mase") < (1 - CLEAR_MARGIN_RATIO) * default["mase"][0])
        & (pl.col("wape") < (1 - CLEAR_MARGIN_RATIO) * default["wape"][0])
    ).sort("mase", MODEL)
    return DEFAULT if better.is_empty() else str(better[MODEL][0])
