"""The odds of a budget: sampled courses of its scope's cost, and what they say of the amount."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from finops import schema as s
from finops.scope import Period
from forecasting.odds import continuations, extended, odds_of
from forecasting.series import DATE, Floats

COLUMNS: Final[dict[str, pl.DataType]] = {
    "over_probability": pl.Float64(), "landing_p10": s.MONEY, "landing_p50": s.MONEY, "landing_p90": s.MONEY,
    "run_out": pl.Date(), "run_out_early": pl.Date(), "run_out_late": pl.Date(), "save_per_day": s.MONEY,
    "save_per_day_80": s.MONEY, "odds_basis": pl.String(),
}  # fmt: skip
"""What sampled courses say of an open budget; null where a period is over, or nothing says where it lands.

over_probability: that the period costs more than the budget. landing_p10 .. landing_p90: of its cost. run_out: the
first day on which more than half of the courses have passed the budget, null where at most half ever do; run_out_early
and run_out_late: a tenth, and nine tenths of them. save_per_day: what each day from tomorrow on has to cost less so
that the budget holds in half of the courses, save_per_day_80 in four of five; 0 where it does already, null on the
last day. odds_basis: forecast_paths (sample paths of the frozen forecast), past_blocks (blocks of the scope's own past
days, drawn at random), or both.
"""
FORECAST_PATHS: Final = "forecast_paths"
PAST_BLOCKS: Final = "past_blocks"
GAP_DAYS: Final = 7
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, eq=False)
class Courses:
    """Courses of a scope's cost by day, as (paths, days) from `start`, and what they were drawn from."""

    start: date
    paths: Floats
    basis: str

    def __add__(self, other: "Courses") -> "Courses":
        """The sum of two parts of a scope, drawn apart."""
        assert self.start == other.start
        basis = self.basis if self.basis == other.basis else f"{self.basis}+{other.basis}"
        return Courses(self.start, self.paths + other.paths, basis)


def forecast_courses(frozen: pl.DataFrame, start: date, end: date) -> Courses | None:
    """The sample paths of a frozen forecast from start up to the day before end; None where there are none.

    frozen: rows of `forecast_paths` of one series. Days before its first one cost what its first week does on average.
    """
    ahead = frozen.filter(pl.col(DATE) >= start).sort(DATE)
    if ahead.is_empty():
        return None
    drawn = np.array(ahead["paths"].to_list(), dtype=np.float64).T
    missing = (ahead[DATE][0] - start).days
    before = np.repeat(drawn[:, :GAP_DAYS].mean(axis=1, keepdims=True), missing, axis=1)
    paths = extended(np.concatenate([before, drawn], axis=1), (end - start).days)
    return Courses(start, paths, FORECAST_PATHS)


def past_courses(history: Floats, start: date, end: date, *, rate: Decimal, seed: str) -> Courses:
    """Courses of mean `rate` a day drawn from blocks of the days before start."""
    days = (end - start).days
    if not history.any():
        return Courses(start, np.zeros((1, days)), PAST_BLOCKS)
    return Courses(start, continuations(history, days, rate=float(rate), seed=f"{seed}\n{start}"), PAST_BLOCKS)


def odds(budget: Decimal, period: Period, *, spent: Floats, courses: Courses, today: date) -> Mapping[str, object]:
    """The values of COLUMNS; spent: each day of the period before the courses start."""
    first = max(0, (period.start - courses.start).days)
    found = odds_of(float(budget), spent=spent, paths=courses.paths[:, first : (period.end - courses.start).days])
    left = (period.end - max(today + timedelta(days=1), period.start)).days

    def day(number: int | None) -> date | None:
        return None if number is None else period.start + timedelta(days=number)

    def saved(landing: float) -> Decimal | None:
        return None if left <= 0 else max(Decimal(0), (Decimal(landing) - budget) / left).quantize(_CENT)

    return {
        "over_probability": found.over, "landing_p10": _money(found.p10), "landing_p50": _money(found.p50),
        "landing_p90": _money(found.p90), "run_out": day(found.run_out), "run_out_early": day(found.run_out_early),
        "run_out_late": day(found.run_out_late), "save_per_day": saved(found.p50),
        "save_per_day_80": saved(found.p80), "odds_basis": courses.basis,
    }  # fmt: skip


def _money(amount: float) -> Decimal:
    return Decimal(amount).quantize(_CENT)
