"""CSV files with rows finer than a day: summed to days, clock changes understood, what is ambiguous refused."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from forecasting.files import DailyFile, read_csv

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def hours(first: datetime, count: int, *, minutes: int = 60) -> list[datetime]:
    """So many times at a step, in the zone of the first."""
    begin = first.astimezone(UTC)
    return [(begin + timedelta(minutes=minutes * k)).astimezone(first.tzinfo) for k in range(count)]


def written(path: Path, rows: Iterable[tuple[str, str]], header: str = "time,cost") -> Path:
    """A file of rows, or of rows that name a series."""
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def read(path: Path) -> DailyFile:
    return read_csv(path, date="time", value="cost")


def sums(file: DailyFile) -> dict[date, float | None]:
    """Value by day."""
    return dict(zip(file.rows["date"], file.rows["value"], strict=True))


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S%:z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M%z"])
@pytest.mark.parametrize("minutes", [60, 15])
def test_days_of_23_and_25_hours_are_whole(tmp_path: Path, form: str, minutes: int) -> None:
    """A year of one per hour in Berlin, with or without offset, sums to 24 a day, 23 in spring and 25 in autumn."""
    at = hours(datetime(2026, 1, 1, tzinfo=BERLIN), 365 * 24 * 60 // minutes, minutes=minutes)

    def text(moment: datetime) -> str:
        offset = f"{moment:%z}"
        return moment.strftime(form.replace("%:z", f"{offset[:3]}:{offset[3:]}"))

    file = read(written(tmp_path / "a.csv", [(text(moment), str(minutes / 60)) for moment in at]))
    found = sums(file)
    assert not file.refused
    assert len(found) == 365
    assert {day: cost for day, cost in found.items() if cost != 24} == {SPRING: 23, AUTUMN: 25}
    assert file.notes == (f"cost: summed to days, {24 * 60 // minutes} rows each",)


def test_a_day_is_that_of_the_offset(tmp_path: Path) -> None:
    """23:30 at +02:00 is that day, though it is another one in UTC; Z is UTC."""
    rows = [(f"2026-06-0{1 + k // 24}T{k % 24:02d}:30:00+09:00", "1") for k in range(48)]
    assert sums(read(written(tmp_path / "a.csv", rows))) == {date(2026, 6, 1): 24, date(2026, 6, 2): 24}
    rows = [(text.replace("+09:00", "Z"), cost) for text, cost in rows]
    assert sums(read(written(tmp_path / "b.csv", rows))) == {date(2026, 6, 1): 24, date(2026, 6, 2): 24}


def test_a_first_or_last_day_that_is_not_whole_is_left_out_and_one_between_is_missing(tmp_path: Path) -> None:
    """Half a day is no fall in cost; NaN, NA and nothing are missing rows."""
    at = hours(datetime(2026, 6, 1, 9, tzinfo=UTC), 24 * 6)
    rows = [(f"{moment:%Y-%m-%d %H:%M}", "1") for moment in at]
    for row, gone in enumerate(("NaN", "", "NA"), start=50):
        rows[row] = (rows[row][0], gone)
    rows[80] = (rows[80][0], "")
    file = read(written(tmp_path / "a.csv", rows))
    assert sums(file) == {
        date(2026, 6, 2): 24, date(2026, 6, 3): None, date(2026, 6, 4): 23, date(2026, 6, 5): 24, date(2026, 6, 6): 24
    }  # fmt: skip
    assert file.notes == (
        "cost: summed to days, 24 rows each; 2026-06-01 is left out, for it has 15 of them; "
        "2026-06-07 is left out, for it has 9 of them; "
        "1 days between lack more than an hour and are missing, first 2026-06-03",
    )


def test_one_row_a_day_with_a_time_is_a_daily_file(tmp_path: Path) -> None:
    """Values stay as they are, and nothing is said."""
    file = read(written(tmp_path / "a.csv", [(f"2026-06-0{k} 08:00", str(k)) for k in range(1, 9)]))
    assert list(sums(file).values()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert file.notes == ()


def test_what_is_ambiguous_is_refused_by_series_and_the_rest_go_on(tmp_path: Path) -> None:
    """Repeated times, half the offsets and no steady step each name what was found, expected and to be done."""
    good = [f"{moment:%Y-%m-%d %H:%M}" for moment in hours(datetime(2026, 6, 1, tzinfo=UTC), 72)]
    weeks = [f"{moment:%Y-%m-%d %H:%M}" for moment in hours(datetime(2026, 6, 1, tzinfo=UTC), 24 * 20)]
    quarters = [f"{moment:%Y-%m-%d %H:%M}" for moment in hours(datetime(2026, 6, 6, tzinfo=UTC), 4 * 72, minutes=15)]
    series = {
        "good": good,
        "two nights": [*weeks, "2026-06-07 02:00", "2026-06-14 02:00"],
        "a quarter": [*quarters, "2026-06-07 02:15"],
        "autumn": [*good, "2026-05-31 02:00", *(f"2026-05-31 {hour:02d}:00" for hour in range(24))],
        "repeated": [*good, good[30]],
        "repeated at night": [*good, good[26]],
        "repeated with offset": [f"{time}+00:00" for time in [*good, good[30]]],
        "half": [f"{time}+02:00" if k % 2 else time for k, time in enumerate(good)],
        "ragged": [f"2026-06-01 {k * k % 24:02d}:{k:02d}" for k in range(24)],
        "no day": good[:20],
        "one time": ["2026-06-01 03:00", "2026-06-01 03:00"],
    }
    path = written(tmp_path / "a.csv", [(n, t, "1") for n, times in series.items() for t in times], "id,time,cost")  # type: ignore[misc]
    file = read_csv(path, date="time", value="cost", series="id")
    assert file.rows["series"].unique(maintain_order=True).to_list() == ["autumn", "good"]
    reasons = {refusal.series: refusal.reason for refusal in file.refused}
    assert set(reasons) == set(series) - {"good", "autumn"}
    assert (
        "1 times occur more than once, first 2026-06-02 06:00:00; expected each once; next:"
        in reasons["repeated with offset"]
    )
    assert "36 of its 72 times have an offset; expected all or none; next:" in reasons["half"]
    assert "none of its 1 days has its 24 rows; expected a whole day; next:" in reasons["no day"]
    assert "no step that divides a day; expected rows every hour or so; next:" in reasons["ragged"]
