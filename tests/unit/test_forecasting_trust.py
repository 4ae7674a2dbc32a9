"""Which forecasts are called unreliable, and why."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from forecasting.fits import Fitted, fit_all
from forecasting.forecast import forecast_task
from forecasting.method import DEFAULT, Path
from forecasting.series import DailySeries, Floats
from forecasting.trust import AVOID, CARE, GOOD, Trust, doubtful, recent_step, trust, trusts

RUN_RATE, NAIVE = "run_rate_30", "seasonal_naive"
FIGURES = {"model": pl.String(), "days_ahead": pl.String(), "wape": pl.Float64(), "coverage80": pl.Float64()}


def weekly(days: int, *, seed: int = 1) -> Floats:
    """Cost with half as much at weekends and some noise."""
    at = np.arange(days)
    values: Floats = np.where(at % 7 >= 5, 50.0, 100.0) * np.exp(np.random.default_rng(seed).normal(0, 0.05, days))
    return values


def series(values: Floats, *, estimated: int = 0) -> DailySeries:
    return DailySeries("a", date(2026, 1, 1), values, estimated=estimated)


def judged(
    wape: float, *, run_rate: float = 1.0, naive: float = 1.0, coverage: float | None = 0.8, total: float | None = None
) -> pl.DataFrame:
    """Figures of the default beside the two simple rules; total: the WAPE to the month's end."""
    rows = [
        (DEFAULT, "all", wape, coverage), (RUN_RATE, "all", run_rate, None), (NAIVE, "all", naive, None),
        (DEFAULT, "month end", total, None),
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FIGURES, orient="row")


def graded(values: Floats, figures: pl.DataFrame | None = None, *, estimated: int = 0, behind: int = 0) -> Trust:
    figures = judged(0.1) if figures is None else figures
    return trust(series(values, estimated=estimated), model=DEFAULT, judged=figures.to_dicts(), behind_days=behind)


def test_a_long_series_that_was_forecast_well_is_good() -> None:
    """Nothing speaks against it, so there is no reason."""
    assert graded(weekly(200)) == Trust("a", GOOD, ())
    assert graded(weekly(200)).sentence == "good"


@pytest.mark.parametrize(
    ("figures", "grade", "reason"),
    [
        (judged(0.20, naive=0.19), CARE, "last week again missed less (19 % against 20 %)"),
        (judged(0.20, run_rate=0.15, naive=0.19), CARE, "the mean of the last 30 days missed less (15 % against 20 %)"),
        (judged(0.20, run_rate=0.13), AVOID, "the mean of the last 30 days missed less"),
        (judged(0.12, run_rate=0.05), CARE, "the mean of the last 30 days missed less"),
        (judged(0.61), AVOID, "past forecasts missed a day's cost by 61 %"),
        (judged(0.61, total=0.12), CARE, "but the total to month end by 12 %: use totals only"),
        (judged(0.10, coverage=0.6), CARE, "its 80 % band held only 60 % of days"),
        (judged(0.10, coverage=0.3), AVOID, "its 80 % band held only 30 % of days"),
        (judged(0.10).clear(), CARE, "no past forecast of it can be judged yet"),
    ],
)
def test_past_forecasts_speak_against_it(figures: pl.DataFrame, grade: str, reason: str) -> None:
    """Missing more than a simple rule, missing hugely, or a band that did not hold."""
    found = graded(weekly(200), figures)
    assert found.grade == grade
    assert any(reason in text for text in found.reasons)
    assert reason in found.sentence


def test_as_good_as_a_simple_rule_is_good_enough() -> None:
    """A flat cost is forecast by its mean: 4 % more than the rule's misses are chance, not a reason."""
    assert graded(weekly(200), judged(0.104, run_rate=0.10)).grade == GOOD
    assert graded(weekly(200), judged(0.04, run_rate=0.01)).grade == GOOD, "4 % is close, whatever else is closer"


@pytest.mark.parametrize(("days", "grade"), [(27, AVOID), (28, CARE), (55, CARE), (56, GOOD)])
def test_a_short_history_says_so(days: int, grade: str) -> None:
    """Under 28 days there is no method, under 56 no past forecast."""
    found = graded(weekly(days))
    assert found.grade == grade
    assert (f"only {days} days are known" in found.reasons) == (grade != GOOD)


def test_bursts_are_named() -> None:
    """Most days of the last 90 cost nothing; a series that is always zero, or ended, is none of that."""
    burst = np.where(np.arange(200) % 5 == 0, 900.0, 0.0)
    assert "72 of its last 90 days cost nothing" in graded(burst).sentence
    assert graded(np.zeros(200)).grade == GOOD


@pytest.mark.parametrize("days", [2, 5, 14])
@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_level_that_has_just_moved_is_named(days: int, factor: float) -> None:
    """Twice or half the cost for 2 to 14 days, weekends among them, with its change."""
    values = weekly(200)
    values[-days:] *= factor
    found = recent_step(values)
    assert found is not None
    assert found[0] == days
    assert found[1] == pytest.approx(factor - 1, abs=0.3)
    assert f"{days} days ago" in graded(values).sentence


def test_weeks_spikes_and_old_steps_are_no_new_level() -> None:
    """The week's rhythm, one expensive day, a step of a month ago and noise of any size are not recent moves."""
    for seed in range(20):
        assert recent_step(weekly(200, seed=seed)) is None
        assert recent_step(np.exp(np.random.default_rng(seed).normal(4, 0.5, 120))) is None
    spike, old = weekly(200), weekly(200)
    spike[-1] *= 4
    old[-30:] *= 2
    assert recent_step(spike) is None
    assert recent_step(old) is None
    assert recent_step(weekly(20)) is None
    assert recent_step(np.zeros(100)) is None


def test_late_data_is_named() -> None:
    """A week of estimated days, or a newest day a week before that of others."""
    assert "its last 8 days are estimated" in graded(weekly(200), estimated=8).sentence
    moved = weekly(200)
    moved[-10:] *= 2
    assert "4 days ago" in graded(moved, estimated=6).sentence, "of the days that are billed"
    assert graded(weekly(200), estimated=6).grade == GOOD
    assert "9 days older than that of others" in graded(weekly(200), behind=9).sentence


def test_the_gravest_reason_decides_and_all_are_said() -> None:
    """A short history that missed hugely: both reasons in one sentence, the worse grade."""
    found = graded(weekly(40), judged(0.9))
    assert found.sentence == "do not rely on it: only 40 days are known; past forecasts missed a day's cost by 90 %"
    assert doubtful([Trust("b", CARE, ("x",)), Trust("c", GOOD, ()), found]) == [found, Trust("b", CARE, ("x",))]


def flat(values: Floats, level: float) -> Fitted:
    """A series whose past fits of a forecast all said `level`."""
    at = DailySeries(f"{level:.0f}", date(2026, 1, 1), values)
    path = Path(DEFAULT, 100.0, np.full(30, np.arcsinh(level / 100)), np.full(30, level), np.full(30, 0.1), -9.0, 9.0)
    return Fitted(at, 30, {length: {DEFAULT: path} for length in forecast_task(at, horizon=30).cutoffs})


def test_without_a_backtest_the_fits_that_calibrate_the_bands_judge() -> None:
    """Past fits that said 80 of a cost of 50 to 100 are like a mean; ones that said 300 are not to be relied on."""
    mean, wrong = trusts([flat(weekly(200), 86.0), flat(weekly(200), 300.0)])
    assert mean.reasons[0].startswith("last week again missed less")
    assert wrong.grade == AVOID
    assert "missed a day's cost by 2" in wrong.sentence


def test_a_backtest_of_too_few_origins_gives_way_to_recent_fits() -> None:
    """One origin of a backtest that did well does not hide that recent forecasts missed."""
    lucky = judged(0.01).with_columns(series=pl.lit("300"), origins=pl.lit(1, pl.Int64))
    (found,) = trusts([flat(weekly(200), 300.0)], judged=lucky)
    assert found.grade == AVOID
    enough = lucky.with_columns(origins=pl.lit(3, pl.Int64))
    assert trusts([flat(weekly(200), 300.0)], judged=enough)[0].grade == GOOD


def test_a_series_that_ended_is_behind_the_others() -> None:
    """The newest day of all decides."""
    ended = DailySeries("old", date(2025, 1, 1), np.full(150, 5.0))
    running = DailySeries("new", date(2025, 1, 1) + timedelta(days=40), np.full(150, 5.0))
    fitted, _ = fit_all([forecast_task(one, horizon=5) for one in (ended, running)], workers=1)
    old, new = trusts(fitted)
    assert "40 days older" in old.sentence
    assert new.grade == GOOD
