"""Known events, public holidays, and price x volume: what they do to one series."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from benchmarks.drivers import forecast_all, score
from forecasting.calendar import holiday_effect
from forecasting.drivers import PRICE_X_VOLUME, with_volume
from forecasting.events import Event, effects_of, estimated_ratio
from forecasting.forecast import forecast_series
from forecasting.method import DEFAULT, Path, forecast_path
from forecasting.series import DailySeries, Floats

FIRST = date(2026, 1, 5)


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def weekly(days: int, *, noise: float = 0.03, seed: int = 1) -> Floats:
    """100 a day, 60 at weekends, with noise."""
    t = np.arange(days)
    return np.where(t % 7 >= 5, 60.0, 100.0) * np.exp(np.random.default_rng(seed).normal(0, noise, days))


def series(values: Floats, *events: Event, volume: Floats | None = None) -> DailySeries:
    return DailySeries("a", FIRST, values, events=events, volume=volume)


def median(path: Path) -> Floats:
    return path.value(path.center)


def test_history_before_a_price_change_is_brought_to_the_new_price() -> None:
    """Four days after a price was halved, the forecast stands at half, by the stated ratio or by one that is read."""
    values = weekly(204)
    values[200:] *= 0.5
    usual = forecast_path(series(weekly(200)), horizon=14).mean
    for ratio in (0.5, None):
        path = forecast_path(series(values, Event("cut", "price_change", day(200), ratio=ratio)), horizon=10)
        np.testing.assert_allclose(path.mean, usual[4:] / 2, rtol=0.06)
    blind = forecast_path(series(values), horizon=10)
    assert blind.mean.sum() > 1.4 * usual[4:].sum() / 2, "without the event it is taken for a whim"


def test_a_coming_change_multiplies_median_mean_and_bands_from_its_day_on() -> None:
    """Double from the sixth day ahead to the ninth: the bands double with it, within what the scale rounds."""
    values = weekly(120)
    event = Event("rise", "commitment", day(125), end=day(128), ratio=2.0, known_from=day(119))
    plain, moved = (forecast_path(one, horizon=15) for one in (series(values), series(values, event)))
    factor = np.ones(15)
    factor[5:9] = 2
    np.testing.assert_allclose(moved.mean, factor * plain.mean)
    np.testing.assert_allclose(median(moved), factor * median(plain))
    for side in (-1.6, 1.6):
        banded = [path.value(path.center + side * path.spread) for path in (moved, plain)]
        np.testing.assert_allclose(banded[0], factor * banded[1], rtol=0.01)


def test_an_event_is_known_from_its_announcement_by_default_its_start() -> None:
    """A coming change that nobody has announced changes nothing, and is in no fit of a day before its announcement."""
    values = weekly(120)
    plain = forecast_path(series(values), horizon=10).mean
    secret = Event("rise", "price_change", day(125), ratio=2.0)
    np.testing.assert_array_equal(forecast_path(series(values, secret), horizon=10).mean, plain)
    announced = series(weekly(140), replace(secret, known_from=day(119)))
    assert forecast_path(announced.known_at(120), horizon=10).mean[6] > 1.5 * plain[6]
    np.testing.assert_array_equal(
        forecast_path(announced.known_at(119), horizon=10).mean,
        forecast_path(series(weekly(140)).known_at(119), horizon=10).mean,
    )


def test_days_of_an_incident_are_not_followed() -> None:
    """Five days at four times the cost just before the cutoff leave the forecast where it was."""
    values = weekly(150)
    usual = forecast_path(series(values), horizon=14).mean
    values[143:148] *= 4
    event = Event("loop", "incident", day(143), end=day(147))
    np.testing.assert_allclose(forecast_path(series(values, event), horizon=14).mean, usual, rtol=0.05)
    everything = Event("all", "incident", FIRST, end=day(200))
    np.testing.assert_array_equal(
        forecast_path(series(values, everything), horizon=14).mean, forecast_path(series(values), horizon=14).mean
    )


def test_planned_runs_add_their_amount_or_what_past_ones_cost() -> None:
    """Past runs of 300 a day leave the base alone; a coming one adds 300, or what it states."""
    values = weekly(160)
    usual = forecast_path(series(values), horizon=10).mean
    past = [Event(f"run {at}", "planned_run", day(at), end=day(at + 4)) for at in (40, 80, 130)]
    for event in past:
        values[(event.start - FIRST).days :][:5] += 300
    ahead = Event("next", "planned_run", day(162), end=day(165), known_from=day(159))
    for amount in (None, 500.0):
        path = forecast_path(series(values, *past, replace(ahead, amount=amount)), horizon=10)
        np.testing.assert_allclose(path.mean[2:6], usual[2:6] + (amount or 300), rtol=0.05)
        np.testing.assert_allclose(np.delete(path.mean, range(2, 6)), np.delete(usual, range(2, 6)), rtol=0.07)


def test_a_launch_adds_its_amount_from_its_day_on() -> None:
    """50 a day more since three days, and 70 more from the fourth day ahead."""
    values = weekly(150)
    usual = forecast_path(series(values), horizon=8).mean
    values[147:] += 50
    events = (
        Event("search", "launch", day(147), amount=50.0),
        Event("answers", "launch", day(153), amount=70.0, known_from=day(149)),
    )
    path = forecast_path(series(values, *events), horizon=8)
    np.testing.assert_allclose(path.mean, usual + 50 + 70 * (np.arange(8) >= 3), rtol=0.05)


def test_a_cost_that_was_never_negative_does_not_become_so() -> None:
    """An amount that falls by more than there is leaves nothing, not less."""
    event = Event("end", "other", day(100), amount=-500.0, known_from=day(99))
    path = forecast_path(series(weekly(100), event), horizon=5)
    assert (path.mean == 0).all()
    assert (path.value(path.center - 2.6 * path.spread) == 0).all()


@pytest.mark.parametrize("after", [3, 10, 28])
def test_a_ratio_is_read_where_it_is_clear_and_is_one_where_it_is_not(after: int) -> None:
    """30 % down is seen from three days on; without a change, on the first two days, or days later it is 1."""
    values = weekly(140 + after, noise=0.04)
    assert estimated_ratio(values, 140) == 1
    assert estimated_ratio(values[:142] * np.where(np.arange(142) >= 140, 0.1, 1), 140) == 1
    changed = values * np.where(np.arange(len(values)) >= 140, 0.7, 1)
    assert estimated_ratio(changed, 140) == pytest.approx(0.7, abs=0.07)
    assert estimated_ratio(changed, 134) == 1, "it did not begin then"
    assert estimated_ratio(np.zeros(100), 50) == 1


def test_two_unstated_changes_are_told_apart() -> None:
    """Half and then three times as much, ten days apart."""
    values = weekly(170)
    values[140:] *= 0.5
    values[150:] *= 3
    known = series(values, Event("a", "launch", day(140)), Event("b", "commitment", day(150)))
    ratio = effects_of(known, horizon=1).ratio
    assert ratio[[139, 149, 169]] == pytest.approx([1, 0.5, 1.5], rel=0.1)


def test_a_holiday_effect_needs_three_known_working_days() -> None:
    """Of Germany's ten, weekends do not count; of two countries it is the share that rests."""
    days = np.arange("2025-01-01", "2025-06-11", dtype="datetime64[D]")
    everything = np.ones(len(days), dtype=bool)
    effect = holiday_effect(days, everything, ("DE",))["holiday"]
    assert [str(d) for d in days[effect > 0]] == [
        "2025-01-01", "2025-04-18", "2025-04-21", "2025-05-01", "2025-05-29", "2025-06-09",
    ]  # fmt: skip
    assert holiday_effect(days, everything & (days > np.datetime64("2025-04-21")), ("DE",)).keys() == {"holiday"}
    assert holiday_effect(days, everything & (days > np.datetime64("2025-05-01")), ("DE",)) == {}
    assert holiday_effect(days, everything, ()) == {}
    both = holiday_effect(days, everything, ("DE", "US"))["holiday"]
    assert both[days == np.datetime64("2025-04-21")] == 0.5
    assert holiday_effect(days, everything, ("DE-BY",))["holiday"][days == np.datetime64("2025-01-06")] == 1


def test_price_times_volume_follows_a_price_at_once() -> None:
    """Three days after a price that nobody announced, volume tells it from demand; the rows say how."""
    used = weekly(200, noise=0.1)
    cost = used * 0.02
    cost[197:] *= 1.8
    known = series(cost, volume=used)
    path = forecast_path(known, horizon=14)
    assert path.name == PRICE_X_VOLUME
    expected = forecast_path(series(used), horizon=14).mean * 0.02 * 1.8
    np.testing.assert_allclose(path.mean, expected, rtol=0.02)
    blind = forecast_path(series(cost), horizon=14)
    assert abs(blind.mean.sum() / expected.sum() - 1) > 0.1
    rows = forecast_series([known], horizon=14, workers=1).rows
    assert rows["model"].unique().to_list() == [PRICE_X_VOLUME]
    assert (rows["p025"] < rows["p50"]).all()


def test_a_coming_price_multiplies_a_volume_forecast_and_runs_are_converted() -> None:
    """The price rises by half from day 5; a run of 400 a day in money comes on days 2 and 3."""
    used = weekly(150) * 50
    rise = Event("rise", "price_change", day(155), ratio=1.5, known_from=day(149))
    run = Event("run", "planned_run", day(152), end=day(153), amount=400.0, known_from=day(149))
    plain = forecast_path(series(used * 0.02, volume=used), horizon=8)
    path = forecast_path(series(used * 0.02, rise, run, volume=used), horizon=8)
    assert plain.name == path.name == PRICE_X_VOLUME
    expected = plain.mean * np.where(np.arange(8) >= 5, 1.5, 1)
    expected[2:4] += 400
    np.testing.assert_allclose(path.mean, expected, rtol=1e-6)


def test_days_apart_are_left_out_of_use_too() -> None:
    """A run that is only known as something else from one day to another is not followed by a volume either."""
    used = weekly(150) * 50
    usual = forecast_path(series(used * 0.02, volume=used), horizon=8)
    used[140:148] *= 3
    apart = Event("run", "other", day(140), end=day(147))
    path = forecast_path(series(used * 0.02, apart, volume=used), horizon=8)
    assert usual.name == path.name == PRICE_X_VOLUME
    np.testing.assert_allclose(path.mean, usual.mean, rtol=0.05)


def test_a_volume_that_does_not_explain_cost_is_left_aside() -> None:
    """Use that has nothing to do with cost, fees on the first of the month, and days without use change nothing."""
    cost = weekly(200)
    random = np.random.default_rng(5)
    unrelated = np.exp(random.normal(0, 0.5, 200))
    fees = cost.copy()
    fees[[d.day == 1 for d in map(day, range(200))]] += 800
    idle = np.where(np.arange(200) % 3 == 0, 0, cost)
    for values, volume in ((cost, unrelated), (fees, cost), (cost, idle), (cost, np.full(200, np.nan))):
        path = forecast_path(series(values, volume=volume), horizon=5)
        assert path.name == DEFAULT
        np.testing.assert_array_equal(path.mean, forecast_path(series(values), horizon=5).mean)


def test_a_volume_is_laid_beside_its_days() -> None:
    """Days that it lacks are missing, and days that the series lacks are dropped."""
    one = series(np.ones(5))
    used = DailySeries("tokens", day(-2), np.arange(5.0))
    np.testing.assert_array_equal(with_volume(one, used).volume, [2.0, 3.0, 4.0, np.nan, np.nan])


def test_a_vintage_has_no_volume_where_it_was_restated() -> None:
    """The volume is of the cost as it is now: on days that cost another amount then, nobody knew it."""
    then = series(np.array([10.0, 20.0, 20.0]))
    now = replace(series(np.array([10.0, 20.1, 30.0, 40.0]), volume=np.arange(1.0, 5.0)), vintages=(then,))
    np.testing.assert_array_equal(now.known_at(3).volume, [1, 2, np.nan])
    np.testing.assert_array_equal(now.known_at(4).volume, [1, 2, 3, 4])


def test_a_later_volume_and_a_later_event_change_no_past_fit() -> None:
    """What was used after a cutoff, and what was announced after it, is not in a fit of that day."""
    used = weekly(160, noise=0.1)
    changed = used.copy()
    changed[120:] *= 9
    later = Event("rise", "price_change", day(100), ratio=3.0, known_from=day(121))
    one, other = (
        forecast_path(series(used * 0.02, *events, volume=volume).known_at(120), horizon=20)
        for volume, events in ((used, ()), (changed, (later,)))
    )
    assert one.name == PRICE_X_VOLUME
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.spread, other.spread)


@pytest.mark.parametrize(
    ("setting", "before", "after", "ratio"),
    [
        ("price changed 3 to 20 days ago", "cost alone", "price x volume, event", 0.85),
        ("price changes 5 to 20 days ahead", "cost alone", "price x volume, event", 0.6),
        ("incident of late", "as it is", "masked", 0.6),
        ("planned runs", "as it is", "planned", 0.4),
        ("holidays that are kept", "without", "with", 0.9),
    ],
)
def test_knowing_helps(setting: str, before: str, after: str, ratio: float) -> None:
    """WAPE at 30 days of a few benchmark series falls by what the benchmark says, with room for chance."""
    wape = score(forecast_all(setting, range(5))).wape
    assert wape[after] < ratio * wape[before]


def test_holidays_that_are_not_kept_do_no_harm() -> None:
    """An effect that the history does not show is shrunk away."""
    wape = score(forecast_all("holidays that are not kept", range(6))).wape
    assert wape["with"] < 1.05 * wape["without"]
