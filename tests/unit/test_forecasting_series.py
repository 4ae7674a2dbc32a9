"""Reading daily series, the calendar and the level."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finops.errors import InputError
from forecasting.calendar import month_effects, month_end, month_start
from forecasting.files import read_csv
from forecasting.level import clip_spikes, follow, rolling_median, smooth, spread_by_lead
from forecasting.series import read_series

FIRST = date(2026, 1, 1)


def frame(values: list[float | None], *, name: str = "a", start: date = FIRST) -> pl.DataFrame:
    """Rows `series,date,value` on consecutive days."""
    days = [start + timedelta(days=k) for k in range(len(values))]
    schema = {"series": pl.String(), "date": pl.Date(), "value": pl.Float64()}
    return pl.DataFrame({"series": [name] * len(values), "date": days, "value": values}, schema=schema)


def test_gaps_stay_gaps_and_the_last_row_counts_even_when_empty() -> None:
    """A day without a row and a row without a value are missing; the series ends with its last row."""
    rows = frame([1.0, 2.0, None, 4.0, None]).filter(pl.col("date") != date(2026, 1, 2))
    (series,), refused = read_series(rows.reverse())
    assert not refused
    np.testing.assert_array_equal(series.values, [1.0, np.nan, np.nan, 4.0, np.nan])
    assert series.end == date(2026, 1, 5)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (pl.concat([frame([1.0, 2.0]), frame([5.0])]), "occur more than once, first 2026-01-01"),
        (frame([1.0, float("inf")]), "infinite"),
        (frame([None, float("nan")]), "no value"),
        (frame([1.0, 2.0]).with_columns(date=pl.lit(None, pl.Date())), "no date"),
        (pl.concat([frame([1.0]), frame([1.0], start=date(1026, 1, 1))]), "spans"),
    ],
)
def test_a_series_that_cannot_be_used_is_refused_and_the_others_go_on(rows: pl.DataFrame, reason: str) -> None:
    """Each kind of unusable series names its reason."""
    kept, (refusal,) = read_series(pl.concat([rows, frame([1.0, 2.0], name="good")]))
    assert [series.name for series in kept] == ["good"]
    assert refusal.series == "a"
    assert reason in refusal.reason


def test_month_days_follow_the_calendar() -> None:
    """The first day of each month and the last three, leap years included."""
    days = np.arange(np.datetime64("2024-02-01"), np.datetime64("2024-03-02"))
    assert [str(d) for d in days[month_start(days) == 1]] == ["2024-02-01", "2024-03-01"]
    assert [str(d) for d in days[month_end(days) == 1]] == ["2024-02-27", "2024-02-28", "2024-02-29"]


def test_month_effects_need_two_occurrences_that_were_observed() -> None:
    """60 days and two firsts of a month are enough; with one of them missing the effect is not fitted."""
    days = np.arange(np.datetime64("2026-01-10"), np.datetime64("2026-04-10"))
    observed = np.ones(70, dtype=bool)
    assert set(month_effects(days, observed)) == {"month_start", "month_end"}
    observed[np.flatnonzero(month_start(days))[0]] = False
    assert set(month_effects(days, observed)) == {"month_end"}
    assert month_effects(days[:59], np.ones(59, dtype=bool)) == {}


def test_rolling_median_ignores_a_spike_and_bridges_a_gap() -> None:
    """A constant series with one outlier and a gap of 30 days has a constant median."""
    values = np.full(90, 5.0)
    values[10] = 500.0
    values[40:70] = np.nan
    np.testing.assert_array_equal(rolling_median(values), np.full(90, 5.0))


def test_only_short_spikes_that_have_ended_are_clipped() -> None:
    """Three days off are cut to the limit; a run of four, and one that touches the last day, stay."""
    values = np.zeros(40)
    values[5:8], values[15:19], values[39] = 9.0, 9.0, 9.0
    clipped = clip_spikes(values, np.zeros(40), 2.0)
    np.testing.assert_array_equal(clipped[5:8], [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(clipped[15:19], np.full(4, 9.0))
    assert clipped[39] == 9.0


def test_smoothing_keeps_its_level_over_missing_days() -> None:
    """With alpha 1 the level is the last known value, with a gap in between."""
    values = np.array([1.0, 1.0, 3.0, np.nan, np.nan, 2.0])
    np.testing.assert_array_equal(smooth(values, np.array([1.0]))[0], [1.0, 1.0, 3.0, 3.0, 3.0, 2.0])


def test_the_level_follows_a_walk_and_holds_still_on_noise() -> None:
    """On a line the quickest alpha is best, on alternating noise the slowest."""
    walk = np.arange(100.0)
    assert follow(walk, 14)[-1] == 99.0
    noise = np.tile([-1.0, 1.0], 60)
    assert abs(follow(noise, 14)[-1]) < 0.1


def test_the_level_stands_a_history_that_is_empty_at_its_end() -> None:
    """Values only in the first month of 300 days still give a finite level."""
    values = np.full(300, np.nan)
    values[:30] = np.arange(30.0)
    assert np.isfinite(follow(values, 56)).all()


def test_spread_is_the_mean_error_by_lead() -> None:
    """A level that lags a line of slope 1 errs by k on day k; leads beyond the history hold the last one."""
    line = np.arange(40.0)
    spread = spread_by_lead(line, line, 30)
    np.testing.assert_allclose(spread[:12], np.arange(1, 13))
    np.testing.assert_allclose(spread[12:], 12.0)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_values_and_missing_days_are_read_as_written(tmp_path: Path) -> None:
    """Numbers keep their value, empty and NA are missing, and without an id the value column names the series."""
    path = write(tmp_path / "a.csv", "day,cost\n2026-01-01,1.5\n2026-01-02,\n2026-01-03,NA\n2026-01-04,0\n")
    rows = read_csv(path, date="day", value="cost").rows
    assert rows["value"].to_list() == [1.5, None, None, 0.0]
    assert rows["series"].unique().to_list() == ["cost"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "cannot be read as CSV"),
        ("day,cost\n", "has no rows"),
        ("day,price\n2026-01-01,1\n", "no column cost"),
        ("day,cost\n2026-01-01,1\n01/02/2026,1\n", "row 3: day is '01/02/2026'"),
        ("day,cost\n2026-01-01,1\n2026-01-02,$5\n2026-01-03,$6\n", "row 3: cost is '$5' (2 such rows)"),
        ("day,cost\n2026-01-01,inf\n", "row 2: cost is 'inf'"),
        ("day,cost\n,1\n", "row 2: day is ''"),
    ],
)
def test_a_csv_that_is_wrong_says_where(tmp_path: Path, text: str, found: str) -> None:
    """The message names the file's fault, with the row where there is one."""
    with pytest.raises(InputError, match=r".*") as error:
        read_csv(write(tmp_path / "a.csv", text), date="day", value="cost")
    assert found in error.value.found


def test_a_missing_csv_is_an_input_error(tmp_path: Path) -> None:
    """A path that is no file is refused before anything is read."""
    with pytest.raises(InputError) as error:
        read_csv(tmp_path / "absent.csv", date="day", value="cost")
    assert "no file" in error.value.found
