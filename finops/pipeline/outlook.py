"""What frozen forecasts say of the months to come: how much workloads grow, and how far demand may come out."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from finops.config import Config
from finops.pipeline.histories import TOTAL, daily_series
from finops.store import Lake
from optimizer.draft import Measured, Spend

LAST_DAYS: Final = 30
"""Of the horizon, whose mean stands for it."""
LEAST_GROWTH, MOST_GROWTH = Decimal("-0.5"), Decimal("0.5")
"""A quarter's forecast says no more of a year than that half of it goes, or half as much comes on top."""
LEAST_SPREAD, MOST_SPREAD = 0.02, 1.0
OLD_DAYS: Final = 62
"""Days between its cutoff and the spend from which a forecast says nothing of it."""
_BAND: Final = 2 * 1.2815515655446004
"""Standard deviations between the tenth and the ninetieth percentile of a normal distribution."""
_KEYS: Final = ("use_case", "team", "driver", "purpose")
"""Groupings by which a workload may be forecast, the nearest to it first."""


def growth_and_spread(
    config: Config, lake: Lake, spend: Spend, workloads: Sequence[Measured]
) -> tuple[dict[str, tuple[Decimal, str]], tuple[Decimal, str] | None]:
    """Yearly growth by workload, and the standard deviation of log demand after a year; each with its source.

    growth = (mean of the horizon's last days / mean of the spend's months) ^ (365 / days between their middles) - 1,
    bounded. spread = ln(p90 / p10) / 2.56 of what all AI spend costs in the horizon's last days together, over the
    sample paths, x sqrt(365 / days ahead).
    """
    ends = _newest(lake, spend)
    growth: dict[str, tuple[Decimal, str]] = {}
    known: dict[str, tuple[Decimal, str] | None] = {}
    for w in workloads:
        series = next((name for name in _names(w) if name in ends), None)
        if w.block is not None or series is None:
            continue
        if series not in known:
            known[series] = _growth(config, lake, spend, series, ends[series])
        if (found := known[series]) is not None:
            growth[w.name] = found
    return growth, _spread(lake, ends[TOTAL]) if TOTAL in ends else None


def _names(w: Measured) -> list[str]:
    """The series that may tell of it; the total of all for what stands for many."""
    if w.parts:
        return [TOTAL]
    values: Mapping[str, str | None] = {"use_case": w.use, "team": w.use, "driver": w.driver, "purpose": w.kind}
    return [f"{key}={values[key]}" for key in _KEYS if values[key]]


def _newest(lake: Lake, spend: Spend) -> dict[str, pl.DataFrame]:
    """The last days of each series' newest forecast, where it is of the spend's cost and currency and not old."""
    rows = (
        lake.scan("forecasts")
        .filter(pl.col("measure") == spend.cost, pl.col("currency") == spend.currency)
        .filter(pl.col("made_at") == pl.col("made_at").max().over("series"))
        .filter(pl.col("date") > pl.col("date").max().over("series") - pl.duration(days=LAST_DAYS))
        .select("forecast_id", "series", "cutoff", "date", "mean")
        .collect()
    )
    fresh = rows.filter((pl.lit(spend.last_day) - pl.col("cutoff")).dt.total_days() <= OLD_DAYS)
    return {str(name): part for (name,), part in fresh.sort("series", "date").group_by("series")}


def _growth(config: Config, lake: Lake, spend: Spend, series: str, ahead: pl.DataFrame) -> tuple[Decimal, str] | None:
    by = () if series == TOTAL else (series.split("=")[0],)
    history = daily_series(
        lake, by=by, where={"is_ai": True}, cost=spend.cost, main_currency=config.company.currency
    ).rows.filter(pl.col("series") == series, pl.col("date").dt.strftime("%Y-%m").is_in(spend.months))
    before, after = _mean(history["value"].cast(pl.Float64)), _mean(ahead["mean"])
    if before <= 0 or after <= 0:
        return None
    days = (_middle(ahead["date"]) - _middle(history["date"])).days
    if days <= 0:
        return None
    power = 365 / days * math.log(after / before)
    yearly = Decimal(f"{math.exp(min(power, 3)) - 1:.3f}")
    bounded = min(max(yearly, LEAST_GROWTH), MOST_GROWTH)
    cut = f", which says {yearly:+.0%} and is bounded" if bounded != yearly else ""
    cutoff = ahead["cutoff"][0]
    return bounded, f"forecast of {cutoff} for {series}, to {ahead['date'][-1]}{cut}"


def _mean(values: pl.Series) -> float:
    return float(values.drop_nulls().mean() or 0.0)  # type: ignore[arg-type]


def _middle(days: pl.Series) -> date:
    return days.sort()[len(days) // 2]  # type: ignore[no-any-return]


def _spread(lake: Lake, ahead: pl.DataFrame) -> tuple[Decimal, str] | None:
    paths = (
        lake.scan("forecast_paths")
        .filter(pl.col("forecast_id") == ahead["forecast_id"][0], pl.col("series") == TOTAL)
        .filter(pl.col("date").is_in(ahead["date"].to_list()))
        .collect()
    )
    if paths.is_empty():
        return None
    low, high = np.quantile(np.array(paths["paths"].to_list()).sum(axis=0), [0.1, 0.9])
    if not 0 < low < high:
        return None
    days = (_middle(paths["date"]) - ahead["cutoff"][0]).days
    sd = math.log(high / low) / _BAND * math.sqrt(365 / days)
    bounded = Decimal(f"{min(max(sd, LEAST_SPREAD), MOST_SPREAD):.3f}")
    return (
        bounded,
        f"80 % band of the forecast of {ahead['cutoff'][0]} for {LAST_DAYS} days of all AI spend, {days} days ahead",
    )
