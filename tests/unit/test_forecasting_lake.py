"""Forecasts of the lake: which daily series it holds, what a run freezes, where months land, how good it was."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest

from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.pipeline.forecasts import refresh
from finops.pipeline.histories import daily_series
from finops.pipeline.landing import month_landing
from finops.pipeline.track_record import track_record
from finops.store import Lake
from forecasting.baselines import ALWAYS_JUDGED
from forecasting.method import DEFAULT, Path, forecast_path
from forecasting.series import DailySeries
from reports.views.accuracy import accuracy, trusted

FIRST = date(2026, 8, 1)
COLUMNS = {**s.DAILY_DIMENSIONS, **s.DAILY_MEASURES}
Row = dict[str, object]


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def charge(
    number: int, cost: str, *, source: str = "aws", currency: str = "USD", count: int = 10, **more: object
) -> Row:
    """A row of spend_daily; other dimensions by their short words."""
    return {
        s.CHARGE_DATE: day(number), s.SOURCE_ID: source, s.BILLING_PERIOD: f"{day(number):%Y-%m}", s.IS_AI: True,
        s.LEDGER_ROLE: s.BILLED, s.BILLING_CURRENCY: currency, s.EFFECTIVE_COST: Decimal(cost),
        s.BILLED_COST: Decimal(cost) * 2, s.CHARGE_COUNT: count,
        **{s.SHORT_NAMES[word]: value for word, value in more.items()},
    }  # fmt: skip


def as_spend(rows: Iterable[Row]) -> pl.DataFrame:
    """Rows as the table spend_daily has them."""
    frame = pl.DataFrame(
        list(rows), schema={c: k for c, k in COLUMNS.items() if c != s.LEDGER_ROLE} | {s.LEDGER_ROLE: pl.String()}
    )
    return frame.select(pl.col(c).cast(k) for c, k in COLUMNS.items())


def fill(lake: Lake, rows: Iterable[Row], command: str = "test") -> None:
    """Make spend_daily hold these rows."""
    with lake.transaction(command) as tx:
        tx.replace("spend_daily", as_spend(rows))


def values(lake: Lake, **options: object) -> dict[str, list[Decimal | None]]:
    """Each series' values, oldest first."""
    rows = daily_series(lake, **options).rows  # type: ignore[arg-type]
    return {name: part["value"].to_list() for (name,), part in rows.group_by(["series"], maintain_order=True)}


def test_a_day_without_a_charge_is_zero_and_a_day_without_a_ledger_is_missing(lake: Lake) -> None:
    """Search did not spend on day 1, and no bill says what anybody spent on day 2."""
    derived = charge(2, "3", team="search") | {s.LEDGER_ROLE: s.DERIVED}
    fill(lake, [charge(0, "5", team="search"), charge(1, "7", team="ads"), charge(3, "1.5", team="search"), derived])
    assert values(lake, by=["team"]) == {
        "team=ads": [Decimal(7), None, Decimal(0)],
        "team=search": [Decimal(5), Decimal(0), None, Decimal("1.5")],
    }
    assert values(lake) == {"total": [Decimal(5), Decimal(7), None, Decimal("1.5")]}


def test_only_billed_rows_of_the_selection_are_summed_in_the_asked_cost(lake: Lake) -> None:
    """Derived rows, other teams and other costs stay out; no owner is a value of its own."""
    fill(
        lake,
        [
            charge(0, "5", team="search"),
            charge(0, "4"),
            charge(0, "90", team="ads"),
            charge(0, "300", team="search") | {s.LEDGER_ROLE: s.DERIVED},
        ],
    )
    assert values(lake, where={"team": ["search", ""]}) == {"total": [Decimal(9)]}
    assert values(lake, by=["team"], where={"team": ""}, cost="billed") == {"team=(none)": [Decimal(8)]}


def test_two_currencies_are_never_added(lake: Lake) -> None:
    """They are refused, or told apart by name where the main currency is known."""
    fill(lake, [charge(0, "5"), charge(0, "4", currency="EUR")])
    with pytest.raises(CallError) as error:
        daily_series(lake)
    assert "EUR and USD" in error.value.found
    assert values(lake, by=["currency"]) == {"currency=EUR": [Decimal(4)], "currency=USD": [Decimal(5)]}
    assert values(lake, main_currency="USD") == {"total": [Decimal(5)], "total,currency=EUR": [Decimal(4)]}


def test_an_unknown_dimension_lists_the_known_ones(lake: Lake) -> None:
    """The message helps to correct the word."""
    with pytest.raises(CallError) as error:
        daily_series(lake, by=["squad"])
    assert "team" in error.value.expected


def cutoff(lake: Lake, counts: list[int]) -> date:
    """Where the total ends when its only source has so many charges on each day."""
    fill(lake, [charge(k, "100", count=count) for k, count in enumerate(counts)])
    return daily_series(lake).cutoffs["total"]


def test_a_last_day_that_is_billed_in_part_is_left_out(lake: Lake) -> None:
    """3 charges on a day whose weekday has 10 are late data; 6 are a quieter day, and 3 on four days are less usage."""
    assert cutoff(lake, [10] * 29 + [3]) == day(28)
    assert cutoff(lake, [10] * 29 + [6]) == day(29)
    assert cutoff(lake, [10] * 27 + [3] * 3) == day(26)
    assert cutoff(lake, [10] * 26 + [3] * 4) == day(29)


def test_days_that_hold_only_spread_fees_are_not_billed_yet(lake: Lake) -> None:
    """A monthly fee reaches to the month's end, usage to the 19th: the series ends there, however long the wait."""
    assert cutoff(lake, [10] * 50 + [0] * 11) == day(49)
    assert cutoff(lake, [10] * 50 + [0] * 11 + [4]) == day(49), "the next month's fees begin before its usage"


def test_a_source_that_bills_by_the_month_is_complete_to_the_end_of_its_fees(lake: Lake) -> None:
    """Charges that begin on one day of the month only say nothing about the other days."""
    assert cutoff(lake, [5 if day(k).day == 1 else 0 for k in range(92)]) == day(91)


def test_a_series_ends_where_its_slowest_running_source_does(lake: Lake) -> None:
    """A source three days late holds back what it pays for, and a source that ended holds nothing back."""
    fill(
        lake,
        [charge(k, "9", source="aws", team="search") for k in range(60)]
        + [charge(k, "9", source="azure", team="ads") for k in range(57)]
        + [charge(k, "9", source="gone", team="search") for k in range(10)],
    )
    assert daily_series(lake, by=["team"]).cutoffs == {"team=search": day(59), "team=ads": day(56)}
    assert daily_series(lake).cutoffs == {"total": day(56)}


def company(days: int) -> list[Row]:
    """Inference at 100 a day and training at 40, 20 at weekends, and other spend that is not AI."""
    return [
        row
        for k in range(days)
        for row in (
            charge(k, "100", purpose="inference"),
            charge(k, "20" if day(k).weekday() > 4 else "40", purpose="training"),
            charge(k, "999") | {s.IS_AI: False},
        )
    ]


def short_run(config: Config) -> Config:
    """A config that forecasts the total and purposes 45 days ahead."""
    forecast = config.forecast.model_copy(update={"horizon_days": 45, "groupings": (("purpose",),), "origins": 1})
    return config.model_copy(update={"forecast": forecast})


def test_a_run_freezes_ai_spend_lands_its_months_and_is_judged_later(config: Config, lake: Lake) -> None:
    """Rows and figures go in together; 42 days of August and September land at what they cost; then October comes."""
    config, said = short_run(config), list[str]()
    fill(lake, company(42))
    run = refresh(config, lake, say=said.append)
    frozen = lake.scan("forecasts").collect()
    assert set(frozen["series"]) == {"total", "purpose=inference", "purpose=training"}
    assert set(frozen["grouping"]) == {"total", "purpose"}
    assert frozen.height == run.rows == 3 * 45
    assert frozen["date"].min() == day(42)
    assert (run.cutoff, run.series, run.models) == (day(41), 3, {"USD": "prophet_robust_level"})
    assert run.fallbacks == {
        "purpose=inference": "median_14 (constant)",
        "purpose=training": "prophet_robust_level (short history)",
        "total": "prophet_robust_level (short history)",
    }
    assert any("too short for a backtest" in line for line in said)

    assert track_record(config, lake).is_empty()
    landing = month_landing(config, lake).filter(pl.col("series") == "purpose=inference")
    assert landing["period"].to_list() == ["2026-09"]
    assert landing["actual"].to_list() == [Decimal(1100)]
    assert landing["expected_rest"].to_list() == [Decimal(1900)]
    assert landing["landing"].to_list() == [Decimal(3000)]

    fill(lake, company(62))
    record = track_record(config, lake)
    inference = record.filter(pl.col("series") == "purpose=inference").to_dicts()
    assert [(r["days_ahead"], r["forecasts"], r["days"]) for r in inference] == [
        ("all", 1, 20), ("1-7", 1, 7), ("8-30", 1, 13), ("month end", 1, 19), ("quarter end", 1, 19),
        ("month landing", 1, 19), ("quarter landing", 1, 19),
    ]  # fmt: skip
    assert all(r["wape"] == pytest.approx(0) and r["wape_run_rate_30"] == pytest.approx(0) for r in inference)
    assert all(r["coverage80"] == (None if r["days_ahead"].endswith(" end") else 1) for r in inference)
    training = record.filter(pl.col("series") == "purpose=training")
    assert training["wape"].max() < 0.1  # type: ignore[operator]
    by = {r["days_ahead"]: r for r in training.to_dicts()}
    assert by["all"]["wape_seasonal_naive"] == pytest.approx(0, abs=1e-9)
    assert by["all"]["wape_run_rate_30"] > 0.2, "a mean knows no weekend"
    assert by["month landing"]["wape"] < by["month end"]["wape"], "the same money over the whole month"
    landed = month_landing(config, lake).filter(pl.col("series") == "purpose=inference")
    assert landed["actual"].to_list() == [Decimal(1100)], "what came after the cutoff is not counted twice"


def test_a_baseline_that_the_backtest_prefers_makes_the_forecast(
    config: Config, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frozen rows carry its name and its values; figures are kept by series and pooled."""
    fill(lake, company(110))
    better = dict.fromkeys(("total", "purpose=training"), "run_rate_30")
    monkeypatch.setattr("forecasting.backtest.choose", lambda folds, shapes: better)
    monkeypatch.setattr(
        "forecasting.baselines._statistical", lambda model, history, horizon: history[-horizon:]
    )  # they are slow
    run = refresh(short_run(config), lake, say=lambda text: None)
    assert run.overruled == better
    frozen = lake.scan("forecasts").collect()
    training = frozen.filter(pl.col("series") == "purpose=training")
    assert training["model"].unique().to_list() == ["run_rate_30"]
    assert training["mean"].unique().to_list() == pytest.approx([(22 * 40 + 8 * 20) / 30])
    kept = lake.scan("backtests").filter(pl.col("forecast_id") == run.forecast_id).collect()
    assert set(kept["series"]) == {"total", "purpose=inference", "purpose=training", "(all) USD"}
    kept = kept.filter(pl.col("days_ahead") == "all")
    assert kept.filter(pl.col("model") != "prophet_robust_level")["coverage80"].null_count() == kept.height - 4
    (shown,) = accuracy(lake, grouping="purpose").filter(pl.col("days_ahead") == "all", pl.col("chosen")).filter(
        pl.col("series") == "purpose=training"
    ).to_dicts()  # fmt: skip
    assert shown["model"] == "run_rate_30"
    assert shown["wape"] == shown["wape_run_rate_30"] > shown["wape_seasonal_naive"]
    assert trusted(lake).filter(pl.col("series") == "purpose=training")["grade"].to_list() == ["do not rely on it"]
    assert dict(kept.filter(pl.col("chosen")).select("series", "model").iter_rows()) == {
        "total": "run_rate_30",
        "purpose=training": "run_rate_30",
        "purpose=inference": "prophet_robust_level",
        "(all) USD": "run_rate_30",
    }


def test_frozen_parts_of_every_grouping_sum_to_the_total(
    config: Config, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Purposes, drivers, providers and teams, on every day of the total; OpenAI is billed to three days before AWS."""

    def quick(series: DailySeries, *, horizon: int) -> Path:
        """The median of 20 days in the default's name: what is fitted does not matter here."""
        return replace(forecast_path(series.last(20), horizon=horizon), model=DEFAULT)

    monkeypatch.setattr("forecasting.fits.forecast_path", quick)
    monkeypatch.setattr("forecasting.fits.BASELINES", ALWAYS_JUDGED)
    cells = [
        ("ads", "training", "accelerator", "AWS"),
        ("ads", "inference", "accelerator", "AWS"),
        ("ads", "inference", "model_api", "OpenAI"),
        ("web", "inference", "model_api", "OpenAI"),
    ]
    rows = [
        charge(k, f"{50 * (at + 1) + (k * (37 + at)) % 29 - 20 * (day(k).weekday() > 4)}", source=provider,
               team=team, purpose=purpose, driver=driver, provider=provider)
        for at, (team, purpose, driver, provider) in enumerate(cells)
        for k in range(97 if provider == "OpenAI" else 100)
    ]  # fmt: skip
    fill(lake, [*rows, *(charge(k, "7", currency="EUR", team="web") for k in range(100))])
    forecast = config.forecast.model_copy(update={"horizon_days": 20, "origins": 1})
    said: list[str] = []
    here = config.execution.model_copy(update={"workers": 1})
    refresh(config.model_copy(update={"forecast": forecast, "execution": here}), lake, say=said.append)
    frozen = lake.scan("forecasts").filter(pl.col("currency") == "USD").collect()
    total = frozen.filter(pl.col("grouping") == "total").select("date", "mean")
    assert total["date"].to_list() == [day(k) for k in range(97, 117)]
    for grouping in ("purpose", "driver", "provider", "team"):
        came = daily_series(lake, by=[grouping], main_currency="USD").rows.filter(
            pl.col("currency") == "USD", pl.col("date") >= day(97)
        )
        parts = pl.concat(
            [
                frozen.filter(pl.col("grouping") == grouping).select("date", "mean"),
                came.select("date", pl.col("value").cast(pl.Float64).alias("mean")),
            ]
        )
        sums = total.join(parts.group_by("date").agg(pl.col("mean").sum().alias("sum")), on="date")
        assert sums["sum"].to_list() == pytest.approx(sums["mean"].to_list(), rel=1e-9), grouping
    bands = frozen.select("p025", "p05", "p10", "p50", "p90", "p95", "p975").to_numpy()
    assert (bands[:, 1:] >= bands[:, :-1]).all()
    assert (bands >= 0).all()
    assert sum("forecasts of parts sum to those of their totals" in line for line in said) == 2


def test_a_second_run_fits_nothing_and_says_the_same(
    config: Config, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows, figures and grades; a cache that cannot be written is said and stops nothing."""
    fill(lake, company(110))
    monkeypatch.setattr("forecasting.baselines._statistical", lambda _, history, horizon: history[-horizon:])  # slow
    config = short_run(config)
    first = refresh(config, lake, say=lambda text: None)

    def fails(*_: object, **__: object) -> None:
        raise AssertionError("fitted again")

    with monkeypatch.context() as nothing:
        nothing.setattr("forecasting.fits.forecast_path", fails)
        nothing.setattr("forecasting.fits.baseline_path", fails)
        second = refresh(config, lake, say=lambda text: None)
    assert second.forecast_id != first.forecast_id
    assert (second.accuracy.equals(first.accuracy), second.trust) == (True, first.trust)
    rows = [
        lake.scan("forecasts").filter(pl.col("forecast_id") == run.forecast_id).drop("forecast_id", "made_at").collect()
        for run in (first, second)
    ]
    assert rows[1].equals(rows[0])

    (config.cache / "fits.npz").unlink()
    (config.cache / "fits.npz").mkdir()
    said = list[str]()
    third = refresh(config, lake, say=said.append)
    assert third.rows == first.rows
    assert any("could not be kept" in line for line in said)


def test_a_lake_without_ai_spend_freezes_nothing_and_says_so(config: Config, lake: Lake) -> None:
    """No empty forecast is recorded as if something had been said."""
    said = list[str]()
    fill(lake, [charge(k, "1") | {s.IS_AI: False} for k in range(40)])
    run = refresh(config, lake, say=said.append)
    assert run.forecast_id is None
    assert said == ["No AI spend in the lake: nothing to forecast."]
    assert lake.scan("forecasts").collect().is_empty()
    assert month_landing(config, lake).is_empty()
