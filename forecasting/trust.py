"""Whether a series' forecast should be relied on, in three grades and in plain words.

What counts against it is measured: how far past forecasts of the series missed and what a person would have said in
their place, how often its band held, how much history there is, and whether its level has just moved.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import polars as pl

from forecasting.backtest import recent_figures
from forecasting.baselines import RUN_RATE, SEASONAL_NAIVE
from forecasting.fits import Fitted
from forecasting.level import MAD_TO_SIGMA
from forecasting.method import FULL_DAYS, LEAST_DAYS
from forecasting.metrics import ALL_DAYS, DAYS_AHEAD, PERIODS
from forecasting.series import MODEL, SERIES, DailySeries, Floats

GOOD, CARE, AVOID = "good", "use with care", "do not rely on it"
GRADES: Final = (GOOD, CARE, AVOID)

LEAST_FOLDS: Final = 3
"""Fewer past forecasts than this say nothing of a series."""
WORSE_RATIO: Final = 1.05
"""A forecast that misses by so many times what a simple rule missed by is not better than it ..."""
MUCH_WORSE_RATIO: Final = 1.5
"""... and with so many times should not be used ..."""
CLOSE_WAPE: Final = 0.05
"""... unless it is close anyway."""
USABLE_WAPE: Final = 0.15
"""A forecast that misses by less serves all the same, with care."""
HUGE_WAPE: Final = 0.60
TOTAL_WAPE: Final = 0.25
"""Days that are missed by a lot may still add up: totals within this are worth having."""
LEAST_COVERAGE80, FAILED_COVERAGE80 = 0.65, 0.45
RECENT_DAYS: Final = 90
IDLE_RATIO: Final = 0.5
STEP_DAYS: Final = 14
"""How far back a new level counts as recent ..."""
LEAST_STEP_DAYS: Final = 2
"""... and for how many days at least it must have lasted."""
STEP_RATIO: Final = 0.3
STEP_DEVIATIONS: Final = 4.0
LATE_DAYS: Final = 7
"""So many days that are estimated, or so far behind the others, are too many to say where a series stands."""

_NAMES: Final = {RUN_RATE: "the mean of the last 30 days", SEASONAL_NAIVE: "last week again"}
Reason = tuple[str, str]
"""A grade, and what speaks for it."""


@dataclass(frozen=True)
class Trust:
    """How far the forecast of a series can be relied on; reasons are empty where nothing speaks against it."""

    series: str
    grade: str
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """One sentence for people: `do not rely on it: only 12 days are known`."""
        return f"{self.grade}: {'; '.join(self.reasons)}" if self.reasons else self.grade


def trusts(fitted: Sequence[Fitted], *, judged: pl.DataFrame | None = None) -> list[Trust]:
    """The grade of each series' forecast by the model in use, in their order.

    judged: figures of a backtest, as Backtest.series; a series that it says too little of is judged by the fits that
    calibrate its bands.
    """
    enough = pl.col("origins") >= LEAST_FOLDS
    told = set() if judged is None else set(judged.filter(enough)[SERIES])
    recent = recent_figures([one for one in fitted if one.series.name not in told])
    figures = recent if judged is None else pl.concat([judged.filter(enough), recent], how="diagonal")
    rows = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in figures.filter(enough).iter_rows(named=True):
        rows[row[SERIES]].append(row)
    ends = [one.series.end - timedelta(days=one.series.estimated) for one in fitted]
    newest = max(ends, default=None)
    return [
        trust(one.series, model=one.model, judged=rows[one.series.name], behind_days=(newest - end).days)
        for one, end in zip(fitted, ends, strict=True)
        if newest is not None
    ]


def trust(series: DailySeries, *, model: str, judged: Iterable[Mapping[str, Any]], behind_days: int = 0) -> Trust:
    """The grade of a series' forecast by `model`: the gravest of what speaks against it.

    judged: its figures as rows `model, days_ahead, wape, coverage80`; none where no past forecast can tell.
    behind_days: how long before the others its newest day is.
    """
    figures = {(row[MODEL], row[DAYS_AHEAD]): row for row in judged}
    reasons = [*_of_history(series, behind_days), *_of_past_forecasts(figures, model.partition(" (")[0])]
    if not figures and not reasons and np.ptp(series.observed) > 0:
        reasons.append((CARE, "no past forecast of it can be judged yet"))
    grade = max((grade for grade, _ in reasons), key=GRADES.index, default=GOOD)
    return Trust(series.name, grade, tuple(text for _, text in reasons))


def _of_history(series: DailySeries, behind_days: int) -> list[Reason]:
    found: list[Reason] = []
    billed = series.values[: len(series.values) - series.estimated]
    values = billed[~np.isnan(billed)]
    if len(values) < FULL_DAYS:
        grade = AVOID if len(values) < LEAST_DAYS else CARE
        found.append((grade, f"only {len(values)} days are known"))
    recent = values[-RECENT_DAYS:]
    idle = int((recent == 0).sum())
    if IDLE_RATIO * len(recent) < idle < len(recent):
        found.append((CARE, f"{idle} of its last {len(recent)} days cost nothing, so single days cannot be foreseen"))
    moved = recent_step(billed)
    if moved is not None:
        days, ratio = moved
        found.append((CARE, f"its level moved by {100 * ratio:+.0f} % {days} days ago, and may or may not stay"))
    if series.estimated >= LATE_DAYS:
        found.append((CARE, f"its last {series.estimated} days are estimated, because bills are late"))
    if behind_days >= LATE_DAYS:
        found.append((CARE, f"its newest full day is {behind_days} days older than that of others"))
    return found


def _of_past_forecasts(figures: Mapping[tuple[str, str], Mapping[str, Any]], model: str) -> list[Reason]:
    own = figures.get((model, ALL_DAYS))
    if own is None or own["wape"] is None:
        return []
    found: list[Reason] = []
    simple = {
        name: row["wape"]
        for name in _NAMES
        if name != model and (row := figures.get((name, ALL_DAYS))) is not None and row["wape"] is not None
    }
    best = min(simple, key=simple.__getitem__, default=None)
    if best is not None and own["wape"] > max(CLOSE_WAPE, WORSE_RATIO * simple[best]):
        grade = AVOID if own["wape"] > max(USABLE_WAPE, MUCH_WORSE_RATIO * simple[best]) else CARE
        found.append(
            (grade, f"{_NAMES[best]} missed less ({100 * simple[best]:.0f} % against {100 * own['wape']:.0f} %)")
        )
    if own["wape"] > HUGE_WAPE:
        found.append(_huge(figures, model, own["wape"]))
    held = own["coverage80"]
    if held is not None and held < LEAST_COVERAGE80:
        grade = AVOID if held < FAILED_COVERAGE80 else CARE
        found.append((grade, f"its 80 % band held only {100 * held:.0f} % of days"))
    return found


def _huge(figures: Mapping[tuple[str, str], Mapping[str, Any]], model: str, wape: float) -> Reason:
    text = f"past forecasts missed a day's cost by {100 * wape:.0f} %"
    for period in reversed(PERIODS):
        total = figures.get((model, period))
        if total is not None and total["wape"] is not None and total["wape"] <= TOTAL_WAPE:
            return CARE, f"{text}, but the total to {period} by {100 * total['wape']:.0f} %: use totals only"
    return AVOID, text


def recent_step(values: Floats) -> tuple[int, float] | None:
    """How many days ago a level began that still lasts, at most 14, and its change as a ratio; None where none did.

    Each day is held against the median of its weekday in the four weeks before the step. A level is new where its days
    all lie on one side of that by 15 %, their median by 30 % and by four times the robust scatter of the four weeks,
    and the day before them does not.
    """
    n = len(values)
    # the longest first: a shorter one would be held against weeks that the new level is part of
    for days in range(min(STEP_DAYS, n - 28), LEAST_STEP_DAYS - 1, -1):
        weeks, after = values[n - days - 28 : n - days].reshape(4, 7), values[n - days :]
        if np.isnan(weeks).any() or np.isnan(after).any():
            continue
        usual = np.sort(weeks, axis=0)[1:3].mean(axis=0)  # the median of four
        change = after - usual[np.arange(days) % 7]
        one_side = change if change[0] > 0 else -change
        if one_side.min() <= 0:
            continue
        scatter = MAD_TO_SIGMA * np.median(np.abs(weeks - usual))
        limit = max(STEP_RATIO * np.abs(usual).mean(), STEP_DEVIATIONS * scatter)
        if limit > 0 and np.median(one_side) > limit and one_side.min() > limit / 2 >= abs(weeks[-1, -1] - usual[-1]):
            return days, float(change.mean() / np.abs(usual).mean())
    return None


def doubtful(trusts: Sequence[Trust]) -> list[Trust]:
    """Those that are not good, the gravest first, then by name."""
    found = [one for one in trusts if one.grade != GOOD]
    return sorted(found, key=lambda one: (-GRADES.index(one.grade), one.series))
