"""Forecasts as people read them: the newest frozen one of a series, what made it, and how well its like has done."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import polars as pl

from finops import schema as s
from finops.store import Lake
from reports.views.scope import Scope, column

TOTAL: Final = "total"
BANDS: Final = ("p025", "p05", "p10", "p50", "p90", "p95", "p975")
_NONE: Final = "(none)"


@dataclass(frozen=True)
class Accuracy:
    """The backtest of the model that made a forecast: error as a share of cost, and how often its bands held."""

    model: str
    wape: float
    coverage80: float
    coverage95: float
    origins: int
    horizon: int


@dataclass(frozen=True)
class Outlook:
    """The newest frozen forecast of one series: rows date, mean and quantiles, from the day after the cutoff."""

    series: str
    measure: str
    currency: str
    made_at: datetime
    cutoff: date
    model: str
    rows: pl.DataFrame
    accuracy: Accuracy | None

    def scope(self) -> Scope:
        """The charges that the forecast is about: all AI spend, or its part by the words of the series' name."""
        return Scope({s.IS_AI: (True,), **_terms(self.series), s.BILLING_CURRENCY: (self.currency,)}, cost=self.measure)


def known_series(lake: Lake) -> pl.DataFrame:
    """The series of the newest forecast run: grouping, series, currency, mean cost of the horizon; the total first."""
    return (
        _newest(lake)
        .group_by("grouping", "series", "currency")
        .agg(pl.col("mean").sum())
        .sort(pl.col("grouping") != TOTAL, "grouping", "mean", "series", descending=[False, False, True, False])
        .collect()
    )


def outlook(lake: Lake, series: str) -> Outlook | None:
    """The newest forecast of a series with its backtest; None where there is none."""
    rows = _newest(lake).filter(pl.col("series") == series).sort("date").collect()
    if rows.is_empty():
        return None
    first = rows.row(0, named=True)
    return Outlook(
        series, first["measure"], first["currency"], first["made_at"], first["cutoff"], first["model"],
        rows.select("date", "mean", *BANDS), _accuracy(lake, first["forecast_id"], series),
    )  # fmt: skip


def _newest(lake: Lake) -> pl.LazyFrame:
    frozen = lake.scan("forecasts")
    return frozen.filter(pl.col("forecast_id") == pl.col("forecast_id").max())


def _accuracy(lake: Lake, forecast_id: str, series: str) -> Accuracy | None:
    judged = (
        lake.scan("backtests")
        .filter((pl.col("forecast_id") == forecast_id) & (pl.col("series") == series) & pl.col("chosen"))
        .filter(pl.col("wape").is_not_null())
        .select("model", "wape", "coverage80", "coverage95", "origins", "horizon")
        .collect()
    )
    return None if judged.is_empty() else Accuracy(*judged.row(0))


def _terms(series: str) -> dict[str, tuple[str | None, ...]]:
    """Dimension -> value of a name like `purpose=training,team=Search`; a value may hold commas of its own."""
    terms: dict[str, tuple[str | None, ...]] = {}
    last = ""
    for part in series.split(",") if series != TOTAL else ():
        name, equals, value = part.partition("=")
        if equals and name in s.SHORT_NAMES:
            last = column(name)
            terms[last] = (None if value == _NONE else value,)
        elif last:
            terms[last] = (f"{terms[last][0]},{part}",)
    return terms
