"""How good forecasts have been in the backtest, beside simple rules, and how far each can be relied on."""

from typing import Final

import polars as pl

from finops.store import Lake
from forecasting.baselines import RUN_RATE, SEASONAL_NAIVE
from forecasting.metrics import DAYS_AHEAD, FIGURES, LABELS
from forecasting.series import MODEL, SERIES
from forecasting.trust import GRADES

BESIDE: Final = {f"wape_{RUN_RATE}": RUN_RATE, f"wape_{SEASONAL_NAIVE}": SEASONAL_NAIVE}
"""Columns of a row that hold the WAPE of a simple rule on the same days."""


def accuracy(lake: Lake, *, grouping: str | None = None, all_models: bool = False) -> pl.DataFrame:
    """The backtest of the newest forecast run: a row for each series, model and value of days_ahead.

    Columns `grouping, series, model, chosen, days_ahead, horizon, origins`, metrics.FIGURES, and the WAPE of the
    run-rate and of the seasonal naive on the same days (BESIDE). By default only the model in use. grouping: `purpose`,
    `driver`, `total`, ...; the series and grouping `(all)` pool one currency. Rows come by grouping and series, nearest
    days first.
    """
    judged = _newest(lake, "backtests")
    if grouping is not None:
        judged = judged.filter(pl.col("grouping") == grouping)
    keys = ["grouping", SERIES, "measure", DAYS_AHEAD]
    rows = judged if all_models else judged.filter("chosen")
    for name, model in BESIDE.items():
        simple = judged.filter(pl.col(MODEL) == model).select(*keys, pl.col("wape").alias(name))
        rows = rows.join(simple, on=keys, how="left")
    order = pl.col(DAYS_AHEAD).replace_strict({label: at for at, label in enumerate(LABELS)}, return_dtype=pl.Int64)
    return rows.sort("grouping", SERIES, order, ~pl.col("chosen"), MODEL).select(
        "grouping", SERIES, MODEL, "chosen", DAYS_AHEAD, "horizon", "origins", *FIGURES, *BESIDE
    )


def trusted(lake: Lake) -> pl.DataFrame:
    """How far each forecast of the newest run can be relied on: `grouping, series, grade, sentence`, worst first."""
    worst = pl.col("grade").replace_strict({grade: -at for at, grade in enumerate(GRADES)}, return_dtype=pl.Int64)
    return _newest(lake, "trust").sort(worst, "grouping", SERIES).select("grouping", SERIES, "grade", "sentence")


def _newest(lake: Lake, table: str) -> pl.DataFrame:
    rows = lake.scan(table)
    return rows.filter(pl.col("forecast_id") == pl.col("forecast_id").max()).collect()
