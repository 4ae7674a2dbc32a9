"""Days that are billed in part: completed where the source's lag is known, left out where it is not."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from finops import late_data as late
from finops import schema as s
from finops.cli.main import run
from finops.config import Config, load_config
from finops.pipeline import loads, vintages
from finops.pipeline.forecasts import refresh
from finops.pipeline.histories import TOTAL, History, Selection, daily_series
from finops.pipeline.landing import month_landing
from finops.pipeline.late_days import BILLED_IN_PART, Completed, completed
from finops.pipeline.loads import Past
from finops.store import Lake
from forecasting.fits import Task
from forecasting.series import DATE, SERIES, VALUE, read_series
from tests.unit.test_forecasting_lake import FIRST, Row, charge, day, fill

SHARES = (0.35, 0.7, 0.97)
"""What the simulated source shows of a day that is 0, 1 or 2 days old; then all."""
FIRST_LOAD, LOADS = 40, 35


def cost_of(number: int) -> float:
    """What a day costs in the end: 1000, 600 at weekends."""
    return 600.0 if day(number).weekday() > 4 else 1000.0


def shown(load: int, *, noise: float = 0.03, level: float = 1.0, since: int = 10**6) -> list[Row]:
    """The days that a load of aws shows, cost and charges alike; from day `since` on usage is at `level`."""
    rows = []
    for number in range(load + 1):
        age = load - number
        random = np.random.default_rng((load, number)).normal(0, noise)
        share = float(np.clip(SHARES[age] * np.exp(random), 0, 1)) if age < len(SHARES) else 1.0
        size = level if number >= since else 1.0
        cost = cost_of(number) * size * share
        rows.append(charge(number, f"{cost:.2f}", count=round(100 * size * share), team="a" if number % 2 else "b"))
    return rows


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a lake into which aws was loaded every day for five weeks."""
    home = tmp_path_factory.mktemp("simulated") / "home"
    lake = Lake.of(load_config(home))
    for load in range(FIRST_LOAD, FIRST_LOAD + LOADS):
        fill(lake, shown(load), command="ingest aws")
    return home


@pytest.fixture
def loaded(simulated: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A copy of that lake, whose snapshots were made on the days of the loads, one a day."""
    shutil.copytree(simulated, home)
    found = Lake.snapshots

    def snapshots(self: Lake) -> pl.DataFrame:
        first = datetime(FIRST.year, FIRST.month, FIRST.day, 8, tzinfo=UTC) + timedelta(days=FIRST_LOAD - 1)
        rows = found(self)
        made = [first + timedelta(days=min(number, LOADS)) for number in rows["snapshot_id"]]
        return rows.with_columns(made_at=pl.Series(made, dtype=rows.schema["made_at"]))

    monkeypatch.setattr(Lake, "snapshots", snapshots)
    return Lake.of(load_config(home))


def complete(lake: Lake) -> tuple[Completed, list[History]]:
    """The total, completed, and its history as it was without a lag curve."""
    history = daily_series(lake)
    series, _ = read_series(history.rows.select(SERIES, DATE, pl.col(VALUE).cast(pl.Float64)))
    return completed(Past(lake, Selection((), {}, "effective", None), [()]), series, [history]), [history]


def test_days_that_are_billed_in_part_are_completed_by_the_measured_lag(loaded: Lake) -> None:
    """The newest day shows a third, the one before two thirds: the fit sees both near what they come to, marked."""
    done, (before,) = complete(loaded)
    newest = FIRST_LOAD + LOADS - 1
    assert before.cutoffs[TOTAL] == day(newest - 1), "a day with half of its charges counts as billed without a lag"
    (history,) = done.histories
    assert history.cutoffs[TOTAL] == history.rows[DATE].max() == day(newest - 2)
    (series,) = done.series
    assert series.end == day(newest)
    assert series.values[-2:] == pytest.approx([cost_of(newest - 1), cost_of(newest)], rel=0.1)
    assert series.estimated == 2
    assert np.isnan(series.billed[-2:]).all()
    assert [(row[DATE], row["model"]) for row in done.rows.to_dicts()] == [
        (day(newest - 1), BILLED_IN_PART), (day(newest), BILLED_IN_PART)
    ]  # fmt: skip
    for row, charged in zip(done.rows.to_dicts(), shown(newest)[-2:], strict=True):
        seen = float(charged[s.EFFECTIVE_COST])  # type: ignore[arg-type]
        assert seen <= row["p025"] < row["p10"] < row["mean"] == row["p50"] < row["p90"] < row["p975"]


def test_past_fits_see_late_days_as_a_fit_of_then_did(loaded: Lake) -> None:
    """The last day before a past cutoff is completed by the lag known then, and shows in part where none was yet."""
    history = daily_series(loaded)
    series, _ = read_series(history.rows.select(SERIES, DATE, pl.col(VALUE).cast(pl.Float64)))
    early, later = FIRST_LOAD + 6, FIRST_LOAD + 26
    past = Past(loaded, Selection((), {}, "effective", None), [()])
    (task,) = vintages.as_it_stood(past, [Task(series[0], 1, (early, later))])
    assert task.series.known_at(later).values[-2:] == pytest.approx([cost_of(later - 2), cost_of(later - 1)], rel=0.1)
    assert task.series.known_at(early).values[-1] == pytest.approx(0.7 * cost_of(early - 1), rel=0.1)


def test_an_early_lake_completes_nothing(loaded: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve loads tell of no age ten settled days: the days stay out, as without a lag curve."""
    monkeypatch.setattr(loads, "KEPT_LOADS", 12)
    done, (history,) = complete(loaded)
    assert done.rows.is_empty()
    assert [one.estimated for one in done.series] == [0]
    assert done.series[0].end == history.cutoffs[TOTAL]


@pytest.mark.parametrize(
    ("load", "reason"),
    [
        (shown(FIRST_LOAD + LOADS - 1, noise=0.0)[:-1], "the newest day is not there at all"),
        (shown(FIRST_LOAD + LOADS - 1, noise=0.0, level=0.4, since=FIRST_LOAD + LOADS - 1), "later than it ever was"),
    ],
)
def test_a_day_that_is_later_than_usual_is_left_out(loaded: Lake, load: list[Row], reason: str) -> None:
    """Far fewer charges than are usual at that age may be a late delivery: such a day is not taken for a drop."""
    fill(loaded, load, command="ingest aws")
    (series,), newest = complete(loaded)[0].series, FIRST_LOAD + LOADS - 1
    assert series.end == day(newest - 1), reason
    assert series.values[-1] > 0.85 * cost_of(newest - 1), "the day before is completed"


def test_a_fall_in_usage_is_followed(loaded: Lake) -> None:
    """Usage that has been at a third for six days is a fall, and its late days are completed at their own level."""
    fall = FIRST_LOAD + LOADS - 6
    fill(loaded, shown(FIRST_LOAD + LOADS - 1, level=0.3, since=fall), command="ingest aws")
    done, _ = complete(loaded)
    (series,) = done.series
    costs = np.array([cost_of(number) for number in range(fall, fall + 6)])[: len(series.values) - fall]
    assert len(costs) >= 4
    assert series.values[fall:] == pytest.approx(0.3 * costs, rel=0.15)


def test_parts_that_are_completed_sum_to_their_whole(loaded: Lake) -> None:
    """One lag curve a source: teams' completed days add up to the total's."""
    selection = Selection(("team",), {}, "effective", None)
    histories = [daily_series(loaded), daily_series(loaded, by=["team"])]
    found = Past(loaded, selection, [(), ("team",)])
    rows = completed(found, read_series(pl.concat([h.rows for h in histories]))[0], histories).rows
    newest = rows.filter(pl.col(DATE) == day(FIRST_LOAD + LOADS - 1))
    total, parts = newest.filter(pl.col(SERIES) == TOTAL), newest.filter(pl.col(SERIES) != TOTAL)
    assert parts.height == 1
    assert parts["mean"].sum() == pytest.approx(total["mean"].sum())


def test_a_run_freezes_completed_days_before_its_forecast(config: Config, loaded: Lake) -> None:
    """Rows begin on the day after the cutoff, completed ones first; the month lands at cutoff plus rest."""
    settings = config.forecast.model_copy(update={"horizon_days": 45, "groupings": (), "origins": 1})
    made = refresh(config.model_copy(update={"forecast": settings}), loaded, say=lambda _: None)
    frozen = loaded.scan("forecasts").filter(pl.col(SERIES) == TOTAL).sort(DATE).collect()
    newest = FIRST_LOAD + LOADS - 1
    assert made.cutoff == frozen["cutoff"][0] == day(newest - 2)
    assert frozen[DATE].to_list() == [day(newest - 1 + k) for k in range(45)]
    assert (frozen["model"] == BILLED_IN_PART).to_list() == [True] * 2 + [False] * 43
    assert frozen["mean"][:2].to_list() == pytest.approx([cost_of(newest - 1), cost_of(newest)], rel=0.1)
    landing = month_landing(config, loaded).filter(pl.col(SERIES) == TOTAL, pl.col("period") == "2026-10")
    rest = float(frozen.filter(pl.col(DATE) < day(92))["mean"].sum())
    (row,) = landing.to_dicts()
    assert float(row["landing"]) == pytest.approx(float(row["actual"]) + rest, abs=0.02)
    assert float(row["landing"]) == pytest.approx(sum(cost_of(k) for k in range(61, 92)), rel=0.02)


def test_the_command_line_shows_completed_days_and_says_so(
    loaded: Lake, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row is marked by its model, stderr names the series, and JSON says from when data as it stood is known."""
    newest = FIRST_LOAD + LOADS - 1
    assert run(["--home", str(home), "--format", "json", "forecast", "--horizon", "3"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert [row["model"] == BILLED_IN_PART for row in document["rows"]] == [True, True, False]
    assert [row["date"] for row in document["rows"]] == [str(day(newest - 1 + k)) for k in range(3)]
    assert document["cutoffs"] == {TOTAL: str(day(newest - 2))}
    assert f"total: 2 days to {day(newest)} are billed in part" in printed.err
    assert document["as_it_stood_from"] == str(day(FIRST_LOAD - 1))


# ------------------------------------------------------------------------------------------------------- pure functions
def lags(
    days: int, *, scatter: float, shares: tuple[float, ...] = SHARES, sources: int = 1
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What sources with a known lag curve showed of so many days, and of one more day at each age, with its cost."""
    random = np.random.default_rng(1)
    rows = [
        {"source": f"{source}", "currency": "USD", "date": day(number), "age": age, "charges": share, "final": cost,
         "visible": cost * float(min(1.0, share * np.exp(random.normal(0, scatter)))), "series": TOTAL}
        for source in range(sources)
        for number in range(days + 1)
        for cost in [float(random.lognormal(7, 0.3))]
        for age, share in enumerate(shares)
    ]  # fmt: skip
    frame = pl.DataFrame(rows)
    return frame.filter(pl.col("date") < day(days)), frame.filter(pl.col("date") == day(days))


def completed_at_each_age(seen: pl.DataFrame, last: pl.DataFrame) -> pl.DataFrame:
    """The last day, completed as if each source and age were a series of its own, beside what it came to."""
    name = pl.format("{} {}", "source", "age").alias("series")
    curves = late.lag_curves(seen)
    rows = last.with_columns(name, is_full=pl.lit(value=False), usual=pl.lit(1.0))
    own = late.scatter(seen.with_columns(name), curves, "series")
    found = late.completed(rows, curves, own, late.scatter(seen, curves))
    return found.join(rows.select("series", "final", "visible", "age"), on="series")


@pytest.mark.parametrize("days", [12, 60])
def test_four_of_five_completed_days_lie_within_their_band(days: int) -> None:
    """The 80 % band holds 72 to 90 % of days, from few days as from many, and the mean is right within 2 %."""
    found = completed_at_each_age(*lags(days, scatter=0.08, shares=SHARES[:2], sources=200))
    assert found.height > 390
    inside = found.select(pl.col("final").is_between("p10", "p90").mean()).item()
    assert 0.72 <= inside <= 0.90, inside
    wide = found.select(pl.col("final").is_between("p025", "p975").mean()).item()
    assert wide >= 0.90
    assert found["mean"].sum() == pytest.approx(found["final"].sum(), rel=0.02)
    assert (found["p025"] >= found["visible"]).all(), "what is seen is a floor: cost of this source only grew"


def test_a_source_that_shows_too_little_or_scatters_is_not_completed() -> None:
    """Under 30 % of a day, or a final cost that is off by more than a quarter one time in ten, tells nothing."""
    assert completed_at_each_age(*lags(60, scatter=0.02, shares=(0.25, 0.8))).height == 1
    assert completed_at_each_age(*lags(60, scatter=0.3, shares=(0.5, 0.5))).is_empty()
    assert completed_at_each_age(*lags(9, scatter=0.02)).is_empty()
    assert late.lag_curves(lags(9, scatter=0.02)[0]).is_empty()


def test_a_day_after_one_that_is_not_known_is_left_out() -> None:
    """No hole: where the older of two days is too late to be told, the newer one waits as well."""
    seen, last = lags(60, scatter=0.02)
    curves = late.lag_curves(seen)
    days = last.filter(pl.col("age") < 2).with_columns(
        date=pl.lit(day(70)) - pl.duration(days=pl.col("age")), is_full=pl.lit(value=False), usual=pl.lit(1.0)
    )

    def reached(late_days: pl.DataFrame) -> int:
        return late.completed(
            late_days, curves, late.scatter(seen, curves, "series"), late.scatter(seen, curves)
        ).height

    assert reached(days) == 2
    assert reached(days.with_columns(charges=pl.when(pl.col("age") == 1).then(0.1).otherwise("charges"))) == 0
