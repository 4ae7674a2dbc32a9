"""Forecasts that were shown, held against what came and against what a simple rule would have said."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from finops.config import Config
from finops.pipeline.histories import ACTUAL, CURRENCY, actuals
from finops.store import Lake
from forecasting.baselines import RUN_RATE, SEASONAL_NAIVE, WEEK, filled, run_rate, seasonal_naive
from forecasting.method import HISTORY_DAYS
from forecasting.metrics import (
    BANDS,
    CALIBRATED,
    DAYS_AHEAD,
    LABELS,
    LEAD,
    MEAN,
    PERIODS,
    SCALE,
    fold_sums,
    pool,
    seasonal_scale,
)
from forecasting.series import DATE, MODEL, SERIES

KEYS: Final = ("grouping", SERIES, CURRENCY, "measure", MODEL)
CUTOFF: Final = "cutoff"
SIMPLE: Final = (RUN_RATE, SEASONAL_NAIVE)
LANDINGS: Final = {"month end": "month landing", "quarter end": "quarter landing"}
"""A total of days ahead, and its period's whole cost with the days before them."""
COLUMNS: Final = (
    *KEYS, DAYS_AHEAD, "forecasts", "days", "wape", *(f"wape_{name}" for name in SIMPLE), "bias", "coverage80",
    "coverage95",
)  # fmt: skip
_SAID: Final = ("grouping", SERIES, CURRENCY, "measure", CUTOFF)
_NAMES: Final = {
    "month end": pl.col(DATE).dt.strftime("%Y-%m"),
    "quarter end": pl.format("{}-Q{}", pl.col(DATE).dt.year(), pl.col(DATE).dt.quarter()),
}
"""Each period's name, as the frozen totals call it."""
_SLOT: Final = "slot"


def track_record(config: Config, lake: Lake) -> pl.DataFrame:
    """Frozen forecasts against what came, on the days that are billed in full by now.

    Columns as COLUMNS: all days ahead, parts of them, totals to the next end of a month and of a quarter, and what
    these were said to land at in all; beside each the WAPE of the run-rate and of the seasonal naive on the same days,
    made of the days before the cutoff. Of forecasts with the same cutoff the newest counts.
    """
    # the first days may be estimates of what is billed in part: they belong to the forecast that follows on them
    model = pl.col(MODEL).last().over(_SAID, order_by=DATE)
    frozen = _newest(lake.scan("forecasts").collect(), DATE).with_columns(model)
    came = actuals(config, lake, frozen).with_columns(pl.col(ACTUAL).cast(pl.Float64))
    lead = (pl.col(DATE) - pl.col(CUTOFF)).dt.total_days()
    days = (
        frozen.join(came, on=[SERIES, "measure", DATE])
        .with_columns(lead.alias(LEAD), ((lead - 1) % WEEK).alias(_SLOT), pl.lit(True).alias(CALIBRATED))
        .join(_simple(came, frozen), on=[SERIES, "measure", CUTOFF, _SLOT], how="left")
    )
    landed = _landed(came, frozen, _newest(lake.scan("forecast_totals").collect(), "period"))
    said = _figures(days, landed)
    for name in SIMPLE:
        beside = _figures(days.drop(MEAN).rename({name: MEAN}).drop_nulls(MEAN), landed)
        said = said.join(
            beside.select(*KEYS, DAYS_AHEAD, pl.col("wape").alias(f"wape_{name}")), on=[*KEYS, DAYS_AHEAD], how="left"
        )
    return said.rename({"folds": "forecasts"}).select(COLUMNS)


def _newest(frozen: pl.DataFrame, of: str) -> pl.DataFrame:
    """The rows that were said last from each cutoff."""
    return frozen.sort("made_at", of).unique([*_SAID, of], keep="last", maintain_order=True)


def _figures(days: pl.DataFrame, landed: pl.DataFrame) -> pl.DataFrame:
    """The figures of forecast days by KEYS and days ahead, and of landings: a period's error over all that it cost."""
    sums = fold_sums(days, keys=KEYS, origin=CUTOFF)
    whole = (
        sums.drop("size", "held80", "held95", "banded")
        .join(landed, on=[*_SAID, DAYS_AHEAD])
        .with_columns(pl.col(DAYS_AHEAD).replace_strict(LANDINGS))
    )
    return pool(pl.concat([sums, whole], how="diagonal"), KEYS, labels=[*LABELS, *LANDINGS.values()])


def _landed(came: pl.DataFrame, frozen: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """What the periods that were open at each cutoff came to in all, and whether the frozen bands of totals held it."""
    cost = _period_costs(came)
    first = (pl.col(CUTOFF) + pl.duration(days=1)).alias(DATE)
    said = frozen.select(*_SAID, first).unique()
    whole = pl.concat(
        [said.with_columns(name.alias("period"), pl.lit(label).alias(DAYS_AHEAD)) for label, name in _NAMES.items()]
    )
    landed = whole.join(cost, on=[SERIES, "measure", "period"]).join(
        totals.select(*_SAID, "period", *BANDS), on=[*_SAID, "period"], how="left"
    )
    actual = pl.col(ACTUAL)
    held = {"held80": ("p10", "p90"), "held95": ("p025", "p975")}
    return landed.select(
        *_SAID,
        DAYS_AHEAD,
        actual.abs().alias("size"),
        *(
            actual.is_between(low, high).fill_null(value=False).cast(pl.Int64).alias(n)
            for n, (low, high) in held.items()
        ),
        pl.col("p10").is_not_null().cast(pl.Int64).alias("banded"),
    )


def _period_costs(came: pl.DataFrame) -> pl.DataFrame:
    """The cost of each month and quarter whose last day is there: `series, measure, period, actual`."""
    ended = pl.col(DATE).max().dt.offset_by("1d")
    return pl.concat(
        [
            came.group_by(SERIES, "measure", name.alias("period"))
            .agg(pl.col(ACTUAL).sum(), (ended == ended.dt.truncate(PERIODS[label])).alias("ended"))
            .filter("ended")
            .drop("ended")
            for label, name in _NAMES.items()
        ]
    )


def _simple(came: pl.DataFrame, frozen: pl.DataFrame) -> pl.DataFrame:
    """What the rules of SIMPLE say from each cutoff for each day of the week ahead, and what errors are measured in."""
    rows = [
        row
        for (series, measure), part in came.sort(DATE).group_by([SERIES, "measure"], maintain_order=True)
        for row in _simple_of(str(series), str(measure), part, frozen)
    ]
    kinds = {SERIES: pl.String(), "measure": pl.String(), CUTOFF: pl.Date(), _SLOT: pl.Int64()}
    return pl.DataFrame(rows, schema={**kinds, **dict.fromkeys((*SIMPLE, SCALE), pl.Float64())}, orient="row")


def _simple_of(series: str, measure: str, part: pl.DataFrame, frozen: pl.DataFrame) -> Iterator[tuple[object, ...]]:
    values, first = part[ACTUAL].to_numpy(), part[DATE][0]
    mine = frozen.filter((pl.col(SERIES) == series) & (pl.col("measure") == measure))
    for cutoff in mine[CUTOFF].unique(maintain_order=True):
        known = values[: max(0, (cutoff - first).days + 1)][-HISTORY_DAYS:]
        if np.isnan(known).all():
            continue
        history, scale = filled(known), seasonal_scale(known)
        beside = {RUN_RATE: run_rate(history, WEEK), SEASONAL_NAIVE: seasonal_naive(history, WEEK)}
        for slot in range(WEEK):
            said = (float(beside[name][slot]) for name in SIMPLE)
            yield series, measure, cutoff, slot, *said, None if np.isnan(scale) else scale
