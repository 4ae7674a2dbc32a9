"""Past fits see the lake's series as they stood, and are judged by what is known today."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from finops import schema as s
from finops.pipeline import vintages
from finops.pipeline.histories import Selection, daily_series
from finops.pipeline.late_days import Lags
from finops.pipeline.loads import Past
from finops.store import Lake
from forecasting.backtest import backtest_task, judge
from forecasting.fits import Task, fit_all
from forecasting.method import DEFAULT
from forecasting.series import DATE, SERIES, VALUE, DailySeries, read_series
from tests.unit.test_forecasting_lake import FIRST, Row, as_spend, charge, fill
from tests.unit.test_late_days import SHARES, shown

Dated = Callable[[int], None]


@pytest.fixture
def dated(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Dated:
    """Say that the newest snapshot was made on a day."""
    made: dict[int, datetime] = {}
    found = Lake.snapshots

    def snapshots(self: Lake) -> pl.DataFrame:
        rows = found(self)
        days = [made.get(one, datetime(2020, 1, 1, tzinfo=UTC)) for one in rows["snapshot_id"]]
        return rows.with_columns(made_at=pl.Series(days, dtype=rows.schema["made_at"]))

    monkeypatch.setattr(Lake, "snapshots", snapshots)

    def on(number: int) -> None:
        at = FIRST + timedelta(days=number)
        made[lake.newest()] = datetime(at.year, at.month, at.day, 8, tzinfo=UTC)

    return on


def costs(days: int, cost: str = "100", *, first: int = 0, **more: object) -> list[Row]:
    """The same cost on each of some days."""
    return [charge(k, cost, **more) for k in range(first, days)]  # type: ignore[arg-type]


def as_it_stood(lake: Lake, *cutoffs: int, by: Sequence[str] = ()) -> dict[str, DailySeries]:
    """The lake's series with the vintages that so many known days need."""
    rows = daily_series(lake, by=by).rows
    series, _ = read_series(rows.select(SERIES, DATE, pl.col(VALUE).cast(pl.Float64)))
    past = Past(lake, Selection(tuple(by), {}, "effective", None), [by])
    tasks = [Task(one, 1, tuple(c - (one.start - FIRST).days for c in cutoffs)) for one in series]
    return {task.series.name: task.series for task in vintages.as_it_stood(past, tasks)}


def known(series: DailySeries, until: int) -> list[float]:
    """What was known of the days before one."""
    return list(series.known_at(until - (series.start - FIRST).days).values)


def test_a_restated_month_does_not_leak_into_past_fits(lake: Lake, dated: Dated) -> None:
    """August cost 100 a day when it was loaded and 70 after a restatement: a fit of then sees 100, the truth is 70."""
    fill(lake, costs(31))
    dated(31)
    fill(lake, [*costs(31, "70"), *costs(60, first=31)])
    dated(60)
    (series,) = as_it_stood(lake, 20, 31, 45).values()
    assert known(series, 20) == [100.0] * 20
    assert known(series, 31) == [100.0] * 31
    assert known(series, 45) == [70.0] * 31 + [100.0] * 14
    assert series.billed[:31].tolist() == [70.0] * 31, "what past forecasts are judged by"
    assert known(series, 60) == [70.0] * 31 + [100.0] * 29, "today's forecast sees today's data"


def test_a_backtest_trains_on_what_was_known_and_is_judged_by_what_came(lake: Lake, dated: Dated) -> None:
    """Days of 100 that were restated to 70 after the origin: the forecast says 100 and missed by three sevenths."""
    fill(lake, costs(80))
    dated(80)
    fill(lake, costs(90, "70"))
    dated(90)
    rows = daily_series(lake).rows
    (series,), _ = read_series(rows.select(SERIES, DATE, pl.col(VALUE).cast(pl.Float64)))
    task = backtest_task(series, horizon=10, origins=1)
    assert task is not None
    past = Past(lake, Selection((), {}, "effective", None), [()])
    (fitted,), _ = fit_all(vintages.as_it_stood(past, [task]), workers=1)
    judged = judge([fitted], horizon=10, origins=1).series.filter(pl.col("model") == DEFAULT)
    assert judged["wape"].to_list() == pytest.approx([3 / 7] * judged.height)
    assert judged["bias"].to_list() == pytest.approx([3 / 7] * judged.height)
    assert past.known_from == FIRST + timedelta(days=79)


def test_a_history_that_was_imported_in_one_go_has_no_vintages(lake: Lake, dated: Dated) -> None:
    """One load, or two that agree: nothing changes."""
    fill(lake, costs(60))
    dated(60)
    (series,) = as_it_stood(lake, 20, 40).values()
    assert series.vintages == ()
    assert Past(lake, Selection((), {}, "effective", None), [()]).known_from is None
    fill(lake, costs(61))
    dated(61)
    (series,) = as_it_stood(lake, 20, 40).values()
    assert series.vintages == ()


def test_a_day_is_known_once_its_slowest_source_has_it(lake: Lake, dated: Dated) -> None:
    """Azure comes three days late and then corrects itself: its first amounts count, not those that came with AWS's."""
    fill(lake, [*costs(40), *costs(30, "10", source="azure")])
    dated(40)
    fill(lake, [*costs(50), *costs(45, "20", source="azure")])
    dated(50)
    fill(lake, [*costs(60), *costs(60, "50", source="azure")])
    dated(60)
    (series,) = as_it_stood(lake, 30, 40).values()
    assert known(series, 30) == [110.0] * 30
    assert known(series, 40) == [120.0] * 40


def test_a_history_that_was_imported_later_counts_as_it_was_then(lake: Lake, dated: Dated) -> None:
    """September was loaded first, August a month later and then restated: the first August is what was known of it."""
    fill(lake, costs(61, first=31))
    dated(61)
    fill(lake, [*costs(31, "80"), *costs(70, first=31)])
    dated(70)
    fill(lake, [*costs(31, "999"), *costs(31 + 30, "101", first=31), *costs(90, first=61)])
    dated(90)
    (series,) = as_it_stood(lake, 50).values()
    assert known(series, 50) == [80.0] * 31 + [100.0] * 19


def test_a_renamed_team_keeps_its_past_and_a_new_team_begins_when_it_did(lake: Lake, dated: Dated) -> None:
    """Moving cost from one team to another restates neither: the fits of both see it as it is told apart now."""
    fill(lake, [*costs(40, team="ML"), *costs(40, "30", team="Ads")])
    dated(40)
    fill(lake, [*costs(60, team="Research"), *costs(60, "30", team="Ads"), *costs(60, "7", first=50, team="New")])
    dated(60)
    fill(lake, [*costs(70, "130", team="Research"), *costs(70, "7", first=50, team="New")])
    dated(70)
    series = as_it_stood(lake, 20, 55, by=["team"])
    assert known(series["team=Research"], 20) == [130.0] * 20, "Ads went to Research while the ledger stayed the same"
    assert known(series["team=New"], 55) == [7.0] * 5
    (total,) = as_it_stood(lake, 20, 55).values()
    assert known(total, 20) == [130.0] * 20


def test_loads_that_were_deleted_end_the_history(lake: Lake, dated: Dated) -> None:
    """What vacuum took is not known any more; the oldest load that is left stands for it."""
    for number, cost in enumerate(("10", "20", "30", "40")):
        fill(lake, costs(40 + number, cost))
        dated(40 + number)
    lake.vacuum(keep_snapshots=2)
    (series,) = as_it_stood(lake, 30).values()
    assert known(series, 30) == [30.0] * 30


def test_a_load_of_which_only_a_part_is_left_is_no_history(lake: Lake, dated: Dated) -> None:
    """Vacuum took the old August, which September's unchanged file does not bring back."""
    fill(lake, costs(160))
    dated(160)
    for number, cost in ((161, "70"), (162, "60")):
        august = [row for row in costs(31, cost) if row[s.BILLING_PERIOD] == "2026-08"]
        with lake.transaction("test") as tx:
            tx.replace("spend_daily", as_spend(august), where={s.BILLING_PERIOD: ["2026-08"]})
        dated(number)
    lake.vacuum(keep_snapshots=2)
    (series,) = as_it_stood(lake, 150).values()
    assert known(series, 150) == [70.0] * 31 + [100.0] * 119


def test_of_a_days_loads_the_last_counts(lake: Lake, dated: Dated) -> None:
    """A load that was repeated on the same day is not what was known on the days after."""
    for number, cost in ((40, "10"), (40, "20"), (41, "30")):
        fill(lake, costs(number, cost))
        dated(number)
    (series,) = as_it_stood(lake, 30).values()
    assert known(series, 30) == [20.0] * 30


def test_a_lag_is_measured_by_the_loads_of_its_own_source(lake: Lake, dated: Dated) -> None:
    """Azure is loaded every other day: what it shows a day later, unloaded, is not what it shows at that age."""
    for load in range(40, 76):
        azure = [{**row, s.SOURCE_ID: "azure"} for row in shown(load - load % 2, noise=0.0)]
        if load % 2 == 0:
            fill(lake, [*shown(load - 1, noise=0.0), *azure], command="ingest azure")
            dated(load)
        fill(lake, [*shown(load, noise=0.0), *azure], command="ingest aws")
        dated(load)
    curves = Lags(Past(lake, Selection((), {}, "effective", None), [()])).curves.filter(pl.col("age") < len(SHARES))
    assert curves["source"].to_list() == ["aws"] * 3 + ["azure"] * 3
    assert curves["share"].to_list() == pytest.approx([*SHARES, *SHARES], rel=0.01)
