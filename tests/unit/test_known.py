"""What the lake's series are told: events as far as they are about a series, countries, and what was used."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from finops import schema as s
from finops.config import Config, Event
from finops.pipeline.forecasts import refresh
from finops.pipeline.histories import Selection, daily_series
from finops.pipeline.known import with_known
from finops.store import Lake
from forecasting.events import Event as Known
from forecasting.series import DATE, SERIES, VALUE, DailySeries, read_series
from tests.unit.test_forecasting_lake import Row, charge, company, day, fill, short_run

DAYS = 60
LAST = day(DAYS - 1)


def told(config: Config, lake: Lake, *by: str, where: dict[str, object] | None = None) -> dict[str, DailySeries]:
    """The lake's series by name, with what is known of them."""
    rows = daily_series(lake, by=by, where=where).rows
    series, _ = read_series(rows.select(SERIES, DATE, VALUE))
    selection = Selection(by, where or {}, "effective", None)
    return {one.name: one for one in with_known(config, lake, series, selection=selection, groupings=[by])}


def knowing(config: Config, *events: Event) -> Config:
    return config.model_copy(update={"events": events})


def two_teams() -> list[Row]:
    """Search at 30 a day on AWS, ads at 60 on AWS and 10 on Azure."""
    return [
        row
        for k in range(DAYS)
        for row in (
            charge(k, "30", team="search", provider="AWS"),
            charge(k, "60", team="ads", provider="AWS"),
            charge(k, "10", team="ads", provider="Azure"),
        )
    ]


def test_a_ratio_applies_by_its_share_of_the_series(config: Config, lake: Lake) -> None:
    """AWS at half price: all of search, 60 of ads' 70, 90 of all 100; Azure is not touched."""
    fill(lake, two_teams())
    config = knowing(config, Event(date=day(50), kind="price_change", name="cut", where={"provider": "AWS"}, ratio=0.5))
    ratios = {name: [e.ratio for e in one.events] for name, one in told(config, lake, "team").items()}
    assert ratios == {"team=search": [0.5], "team=ads": [pytest.approx(1 - 60 / 70 / 2)]}
    (total,) = told(config, lake).values()
    assert total.events == (Known("cut", "price_change", day(50), ratio=0.55, known_from=day(50)),)
    assert told(config, lake, "provider")["provider=Azure"].events == ()


def test_an_amount_is_divided_as_the_cost_that_it_is_about(config: Config, lake: Lake) -> None:
    """90 a day more on AWS are 30 of search and 60 of ads; what has no cost yet goes where its words say."""
    fill(lake, two_teams())
    aws = Event(date=day(70), kind="planned_run", name="run", where={"provider": "AWS"}, amount=90)
    new = Event(date=day(70), kind="launch", name="new", where={"team": "vision"}, amount=7)
    by_team = told(knowing(config, aws, new), lake, "team")
    assert {name: [e.amount for e in one.events] for name, one in by_team.items()} == {
        "team=search": [pytest.approx(30)],
        "team=ads": [pytest.approx(60)],
    }
    (total,) = told(knowing(config, aws, new), lake).values()
    assert [e.amount for e in total.events] == [pytest.approx(90), 7]
    (search,) = told(knowing(config, aws, new), lake, where={"team": "search"}).values()
    assert [e.amount for e in search.events][:1] == [pytest.approx(30)]


def test_a_coming_event_is_known_today_and_one_with_a_day_since_then(config: Config, lake: Lake) -> None:
    """No backtest may use what nobody had said yet."""
    fill(lake, two_teams())
    silent = Event(date=day(70), kind="price_change", name="a", ratio=0.5)
    said = silent.model_copy(update={"announced": day(40), "name": "b"})
    past = silent.model_copy(update={"date": day(20), "name": "c"})
    (total,) = told(knowing(config, silent, said, past), lake).values()
    assert {e.name: e.known_from for e in total.events} == {"a": LAST, "b": day(40), "c": day(20)}


def test_an_event_without_a_size_reaches_series_that_it_is_about(config: Config, lake: Lake) -> None:
    """An incident on Azure is a seventh of ads, a tenth of all, nothing of search."""
    fill(lake, two_teams())
    incident = Event(date=day(30), end=day(31), kind="incident", name="i", where={"provider": "Azure"})
    config = knowing(config, incident)
    assert {name: len(one.events) for name, one in told(config, lake, "team").items()} == {
        "team=search": 0,
        "team=ads": 1,
    }
    small = Event(date=day(30), kind="incident", name="i", where={"team": "nobody"})
    (total,) = told(knowing(config, small), lake).values()
    assert total.events == ()


def test_a_volume_is_what_nearly_all_cost_is_for(config: Config, lake: Lake) -> None:
    """Accelerator-hours of search, tokens of ads by meter where the bill counts none; both together have none."""
    hours, tokens = {s.ACCELERATOR_HOURS: 8, s.DRIVER: "accelerator"}, {s.DRIVER: "model_api", s.MODEL_ID: "m"}
    rows = [charge(k, "30", team="search") | hours for k in range(DAYS)]
    rows += [charge(k, "0.5", team="search", driver="storage") for k in range(DAYS)]
    rows += [charge(k, "10", team="ads") | tokens for k in range(DAYS)]
    rows += [charge(k, "30", team="ads", key="other") | tokens for k in range(DAYS)]
    fill(lake, rows)
    usage = pl.DataFrame(
        [
            {"source_id": "aws", "day": day(k), "model": "m", "ledger_role": role, "billing_period": f"{day(k):%Y-%m}",
             "uncached_input_tokens": 70, "output_tokens": 10, "requests": 5}
            for k in range(DAYS - 4) for role in (s.BILLED, s.DERIVED)
        ]
    )  # fmt: skip
    kinds = s.TABLES["token_usage"].columns
    with lake.transaction("usage") as tx:
        tx.replace(
            "token_usage",
            pl.concat([pl.DataFrame(schema=kinds), usage.cast({c: kinds[c] for c in usage.columns})], how="diagonal"),
        )
    series = told(config, lake, "team")
    np.testing.assert_array_equal(series["team=search"].volume, np.full(DAYS, 8.0))
    assert series["team=ads"].volume is None, "four days of sixty are not metered: under 95 %"
    fill(lake, [row for row in rows if date.min < row[s.CHARGE_DATE] < day(DAYS - 2)])  # type: ignore[operator]
    found = told(config, lake, "team")["team=ads"].volume
    assert found is not None
    np.testing.assert_allclose(found[:-2], 80)
    assert np.isnan(found[-2:]).all(), "not metered is not known"
    np.testing.assert_allclose(told(config, lake, where={"key": "other"})["total"].volume[:56], 60)  # type: ignore[index]
    assert told(config, lake)["total"].volume is None


def test_a_run_forecasts_with_what_is_known(config: Config, lake: Lake) -> None:
    """An announced doubling of inference is in the frozen rows from its day on, in the total by its share."""
    double = Event(date=day(52), kind="price_change", name="x2", where={"purpose": "inference"}, ratio=2)
    fill(lake, company(42))
    config = short_run(knowing(config, double))
    config = config.model_copy(update={"company": config.company.model_copy(update={"countries": ("DE",)})})
    refresh(config, lake, say=lambda text: None)
    frozen = lake.scan("forecasts").filter(pl.col("series") == "purpose=inference").sort("date").collect()
    np.testing.assert_allclose(frozen["mean"].head(10), 100)
    np.testing.assert_allclose(frozen["mean"].tail(20), 200)
