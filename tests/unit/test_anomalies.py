"""Anomalies of one series: what is told, what is not, and that nothing is told from what came later."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from benchmarks.load import probation, standard_score
from benchmarks.load_series import load_series
from finops.errors import InputError
from forecasting.anomalies import Detection, alarms, detect, step_of
from forecasting.files import read_timed

RNG = np.random.default_rng(8)
HALF_HOURS, PER_DAY = 48 * 40, 48


def times(rows: int, *, minutes: int = 30) -> np.ndarray:
    """Ascending times of one step."""
    return np.datetime64("2026-01-05T00:00:00", "s") + np.arange(rows) * np.timedelta64(minutes * 60, "s")


def load(rows: int = HALF_HOURS, *, seed: int = 1) -> np.ndarray:
    """Requests with a course of the day and noise."""
    hour = 2 * np.pi * np.arange(rows) / PER_DAY
    return 500 + 200 * np.sin(hour) + np.random.default_rng(seed).normal(0, 15, rows)


def daily(days: int = 400, *, seed: int = 2) -> np.ndarray:
    """A cost with weekends, growth and noise."""
    day = np.arange(days)
    week = np.where(day % 7 >= 5, 0.5, 1.0)
    return 1000 * week * 1.3 ** (day / 365) * np.exp(np.random.default_rng(seed).normal(0, 0.04, days))


def told(found: Detection, row: int, within: int) -> bool:
    """Whether an anomaly is told at that row or the next ones."""
    return bool(found.flags[row : row + within].any())


@pytest.mark.parametrize("kind", ["spike", "drop", "level", "flatline", "fluctuation", "shape"])
def test_each_kind_of_a_load_is_told_soon(kind: str) -> None:
    """A spike, a drop, another level, a flat line, wild fluctuation and a night's course by day are told in hours."""
    values, at = load(), 1500
    changes = {
        "spike": (at + 1, lambda x: x + 700), "drop": (at + 12, lambda x: x * 0.05),
        "level": (HALF_HOURS, lambda x: x + 450), "flatline": (at + 40, lambda x: np.full(len(x), x[0])),
        "fluctuation": (at + 24, lambda x: 500 + (x - 500) * 3.5), "shape": (at + 48, lambda x: 1000 - x),
    }  # fmt: skip
    end, change = changes[kind]
    values[at:end] = change(values[at:end])
    found = detect(times(HALF_HOURS), values)
    assert told(found, at, 40)
    assert found.flags[:at].sum() <= 2


@pytest.mark.parametrize(("kind", "days"), [("spike", 1), ("step", 3), ("drop", 3), ("ramp", 25), ("record", 3)])
def test_each_kind_of_a_daily_cost_is_told_soon(kind: str, days: int) -> None:
    """A spike on its day; a step and a fall to nothing within three days; a ramp while it runs."""
    values, at = daily(), 300
    if kind == "spike":
        values[at] *= 1.8
    elif kind == "step":
        values[at:] *= 1.4
    elif kind == "drop":
        values[at:] = 0
    elif kind == "ramp":
        values[at:] *= 2.0 ** (np.arange(100) / 25)
    else:
        values[(np.arange(400) % 5 == 0) & (np.arange(400) < at)] = 0  # comes and goes, then is more than ever
        values[at:] *= 4
    found = detect(times(400, minutes=1440), values)
    assert told(found, at, days)
    assert found.flags[:at].sum() == 0


def test_a_small_lasting_change_is_told_within_a_day() -> None:
    """Requests a tenth above what they always were at that time, each row well within the noise, add up."""
    values = load()
    values[1500:] += 25
    found = detect(times(HALF_HOURS), values)
    assert told(found, 1500, PER_DAY)


def test_a_day_without_its_rhythm_is_told_on_that_day() -> None:
    """A quiet day, as on a holiday, is told although each of its values is a usual one at night."""
    values = load()
    day = slice(30 * PER_DAY, 31 * PER_DAY)
    values[day] = 320 + 0.1 * (values[day] - 320)
    assert told(detect(times(HALF_HOURS), values), 30 * PER_DAY, PER_DAY)


@pytest.mark.parametrize("minutes", [5, 30, 60])
def test_the_first_days_of_noise_raise_little(minutes: int) -> None:
    """What becomes known on the second day and in the second week is no anomaly for being the first of its kind."""
    rows = 9 * 1440 // minutes
    found = [detect(times(rows, minutes=minutes), load(rows, seed=seed)).flags.sum() for seed in range(4)]
    assert np.mean(found) <= rows / 300


def test_made_series_score_as_promised() -> None:
    """On series of every kind that the benchmark draws, the standard score stays above that of plain detectors."""
    series = list(load_series(7, 1))
    assert standard_score([detect(one.times, one.values).flags for one in series], series) >= 55


def test_made_series_are_drawn_the_same_each_time_and_labelled() -> None:
    """The same seed gives the same rows; windows lie in the series, in order, after its clean start, and apart."""
    for one, again in zip(load_series(3, 3), load_series(3, 3), strict=True):
        assert np.array_equal(one.values, again.values)
        assert np.isfinite(one.values).all()
        assert (np.diff(one.times) > np.timedelta64(0)).all()
        edges = [edge for window in one.windows for edge in window]
        assert edges == sorted(edges)
        assert all(probation(len(one.values)) < edge < len(one.values) for edge in edges)
        assert len(one.kinds) == len(one.windows)


def test_what_comes_and_goes_is_no_anomaly_each_time() -> None:
    """Training runs of a few days with pauses between them raise nothing."""
    runs = np.repeat(np.tile([1.0, 0.0], 100), np.stack([RNG.integers(4, 11, 100), RNG.integers(1, 4, 100)], 1).ravel())
    assert not detect(times(500, minutes=1440), 3000 * runs[:500] * RNG.normal(1, 0.02, 500)).flags.any()


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    minutes=st.sampled_from([5, 60, 360, 720, 1440]),
    seed=st.integers(0, 10_000),
    cut=st.floats(0.05, 0.95),
    damage=st.sampled_from(["none", "gaps", "repeats", "missing", "backwards"]),
)
def test_no_row_uses_a_later_one(minutes: int, seed: int, cut: float, damage: str) -> None:
    """Whatever follows a row, its expectation, score and flag stay the same to the last bit."""
    rng = np.random.default_rng(seed)
    rows = 600
    at, values = times(rows, minutes=minutes), rng.lognormal(3, rng.uniform(0.05, 1), rows)
    if damage == "gaps":
        at = at + np.cumsum(rng.integers(0, 50, rows) * (rng.random(rows) < 0.02)) * np.timedelta64(minutes * 60, "s")
    elif damage == "repeats":
        at = np.sort(at[rng.integers(0, rows, rows)])
    elif damage == "missing":
        values[rng.random(rows) < 0.1] = np.nan
    elif damage == "backwards":
        at = at - np.timedelta64(3600, "s") * (np.arange(rows) > rows // 2)
    keep = int(cut * rows)
    whole, part = detect(at, values), detect(at[:keep], values[:keep])
    assert np.array_equal(whole.expected[:keep], part.expected, equal_nan=True)
    assert np.array_equal(whole.score[:keep], part.score)
    assert np.array_equal(whole.flags[:keep], part.flags)


@pytest.mark.parametrize("minutes", [5, 60, 1440])
@pytest.mark.parametrize("unit", [1e-6, 1e9])
def test_the_unit_of_the_values_does_not_matter(minutes: int, unit: float) -> None:
    """Dollars, cents or bytes: the same anomalies."""
    values = daily(600)
    at = times(600, minutes=minutes)
    assert np.array_equal(detect(at, values).flags, detect(at, values * unit).flags)


@pytest.mark.parametrize("values", [[], [5.0], [3.0] * 700, [0.0] * 700, [np.nan] * 700, [-2.0, -3.0] * 350])
@pytest.mark.parametrize("minutes", [5, 1440])
def test_series_without_anything_to_tell(values: list[float], minutes: int) -> None:
    """Nothing, one row, constant, zero, missing and negative series have a row for each row, and no anomaly."""
    found = detect(times(len(values), minutes=minutes), np.array(values))
    assert len(found.expected) == len(found.score) == len(found.flags) == len(values)
    assert not found.flags.any()
    assert np.isfinite(found.score).all()


def test_the_step_is_the_usual_one() -> None:
    """A few gaps and repeated times in the first rows do not change the step."""
    at = times(28, minutes=5)
    at[10:] += np.timedelta64(7200, "s")
    at[20] = at[19]
    assert step_of(at) == 300


def test_an_anomaly_is_told_once_until_it_is_calm() -> None:
    """Rows above the line are one anomaly until enough rows were calm; a much graver one is told again."""
    score = np.array([0, 1.2, 1.1, 0.9, 1.3, 0, 0, 0, 1.0, 3.0])
    assert np.flatnonzero(alarms(score, calm=0.8, quiet=2)).tolist() == [1, 8]
    assert np.flatnonzero(alarms(score, calm=0.8, quiet=2, again=2.0)).tolist() == [1, 8, 9]


def test_a_file_keeps_its_rows(tmp_path: Path) -> None:
    """Times in any of the usual forms, gaps, repeats and empty values come back as written."""
    file = tmp_path / "load.csv"
    file.write_text(
        "t,v\n2026-01-01 00:00:00,1\n2026-01-01T00:05,\n2026-01-01T00:05:00Z,3\n2026-01-01T02:10:00+02:00,4\n"
    )
    rows = read_timed(file, date="t", value="v")
    assert rows["timestamp"].to_list()[2] == "2026-01-01T00:05:00Z"
    assert rows["time"].dt.minute().to_list() == [0, 5, 5, 10]
    assert rows["value"].to_list() == [1.0, None, 3.0, 4.0]


@pytest.mark.parametrize(
    ("text", "found"),
    [("t,v\nyesterday,1\n", "row 2"), ("t,v\n2026-01-01,many\n", "row 2"), ("t,w\n2026-01-01,1\n", "no column v"),
     ("t,v\n2026-01-02,1\n2026-01-01,1\n", "before 2026-01-02")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str, found: str) -> None:
    """A time or value that is none, a column that is not there and newest rows first are refused by name."""
    (tmp_path / "load.csv").write_text(text)
    with pytest.raises(InputError, match=found):
        read_timed(tmp_path / "load.csv", date="t", value="v")
