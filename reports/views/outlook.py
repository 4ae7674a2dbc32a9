"""Forecasts as people read them: the newest frozen one of a series, what made it, and how well its like has done."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import polars as pl

from finops import schema as s
from finops.store import Lake
from reports.views.budgets import same_scope
from reports.views.scope import Scope, Value, column, word

TOTAL: Final = "total"
BANDS: Final = ("p025", "p05", "p10", "p50", "p90", "p95", "p975")
IS_PART: Final = "is_part"
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
    """The newest frozen forecast of one series, from the day after the cutoff: rows date, mean, quantiles, is_part.

    is_part: the day is billed in part, and completed by how late cost comes; model: of the days after these.
    """

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
        return Scope({**_where(self.series), s.BILLING_CURRENCY: (self.currency,)}, cost=self.measure)


def known_series(lake: Lake, currency: str) -> list[str]:
    """The series of the newest forecast run in one currency: the total first, then by grouping, the costliest first."""
    rows = (
        _newest(lake)
        .filter(pl.col("currency") == currency)
        .group_by("grouping", "series")
        .agg(pl.col("mean").sum())
        .sort(pl.col("grouping") != TOTAL, "grouping", "mean", "series", descending=[False, False, True, False])
        .collect()
    )
    return rows["series"].to_list()


def outlook(lake: Lake, series: str) -> Outlook | None:
    """The newest forecast of a series with its backtest; None where there is none."""
    rows = _newest(lake).filter(pl.col("series") == series).sort("date").collect()
    if rows.is_empty():
        return None
    last = rows.row(-1, named=True)
    return Outlook(
        series, last["measure"], last["currency"], last["made_at"], last["cutoff"], last["model"],
        rows.select("date", "mean", *BANDS, (pl.col("model") != last["model"]).alias(IS_PART)),
        _accuracy(lake, last["forecast_id"], series),
    )  # fmt: skip


def scope_of(series: str) -> str:
    """The series as a budget's scope: `is_ai=true;purpose=training`."""
    return same_scope(Scope(_where(series)))


def said(series: str) -> str:
    """A series as people say it: All AI spend, purpose: training."""
    terms = [
        f"{word(name).replace('_', ' ')}: {_NONE if label is None else label}"
        for name, (label,) in _terms(series).items()
        if name != s.BILLING_CURRENCY
    ]
    return ", ".join(terms) or "All AI spend"


def _newest(lake: Lake) -> pl.LazyFrame:
    frozen = lake.scan("forecasts")
    return frozen.filter(pl.col("forecast_id") == pl.col("forecast_id").max())


def _accuracy(lake: Lake, forecast_id: str, series: str) -> Accuracy | None:
    judged = (
        lake.scan("backtests")
        .filter((pl.col("forecast_id") == forecast_id) & (pl.col("series") == series) & pl.col("chosen"))
        .filter((pl.col("days_ahead") == "all") & pl.col("wape").is_not_null())
        .select("model", "wape", "coverage80", "coverage95", "origins", "horizon")
        .collect()
    )
    return None if judged.is_empty() else Accuracy(*judged.row(0))


def _where(series: str) -> dict[str, tuple[Value, ...]]:
    return {s.IS_AI: (True,), **_terms(series)}


def _terms(series: str) -> dict[str, tuple[str | None, ...]]:
    """Dimension -> value of a name like `purpose=training,team=Search`; a value may hold commas of its own."""
    terms: dict[str, tuple[str | None, ...]] = {}
    last = ""
    for part in series.split(","):
        name, equals, value = part.partition("=")
        if equals and name in s.SHORT_NAMES:
            last = column(name)
            terms[last] = (None if value == _NONE else value,)
        elif last:
            terms[last] = (f"{terms[last][0]},{part}",)
    return terms
