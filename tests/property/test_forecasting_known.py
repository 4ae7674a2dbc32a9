"""What must hold whatever is known of a series: nothing leaks, nothing is lost, and every forecast stays finite."""

from dataclasses import replace
from datetime import date, timedelta
from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecasting.events import Event, Kind, effects_of, moved
from forecasting.intervals import no_reach, quantiles
from forecasting.method import DEFAULT, Path, forecast_path
from forecasting.series import DailySeries, Floats

FIRST = date(2025, 1, 1)
DAYS = st.integers(-30, 200).map(lambda number: FIRST + timedelta(days=number))
COSTS = st.floats(0, 1e9, allow_subnormal=False) | st.just(np.nan)


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    start = draw(DAYS)
    sizes = {"ratio": draw(st.floats(0.01, 100)), "amount": draw(st.floats(-1e6, 1e6))}
    stated = draw(st.sampled_from([None, "ratio", "amount"]))
    return Event(
        draw(st.text(max_size=3)),
        draw(st.sampled_from(get_args(Kind))),
        start,
        end=draw(st.none() | st.integers(0, 60).map(lambda days: start + timedelta(days=days))),
        known_from=draw(st.none() | DAYS),
        **({stated: sizes[stated]} if stated else {}),
    )


EVENTS = st.lists(an_event(), max_size=6).map(tuple)


@settings(max_examples=150, deadline=None)
@given(values=arrays(np.float64, st.integers(1, 150), elements=COSTS), events=EVENTS, horizon=st.integers(1, 60))
def test_taking_events_out_loses_nothing(values: Floats, events: tuple[Event, ...], horizon: int) -> None:
    """Base x ratio + amount is the cost again on every day that is not masked, and some day stays known."""
    series = DailySeries("a", FIRST, values, events=events)
    effects = effects_of(series, horizon=horizon)
    assert (effects.ratio > 0).all()
    assert np.isfinite(effects.ratio).all()
    base = effects.base_of(series).values
    back = base * effects.ratio[: len(values)] + effects.amount[: len(values)]
    kept = ~effects.masked
    np.testing.assert_allclose(back[kept], values[kept], rtol=1e-6, atol=1e-3)
    assert np.isnan(values).all() or not np.isnan(base).all()


@settings(max_examples=100, deadline=None)
@given(
    values=arrays(np.float64, 120, elements=COSTS), future=arrays(np.float64, 40, elements=COSTS), events=EVENTS,
    later=st.lists(an_event(), max_size=4), cutoff=st.integers(1, 120),
)  # fmt: skip
def test_what_became_known_later_changes_nothing(
    values: Floats, future: Floats, events: tuple[Event, ...], later: list[Event], cutoff: int
) -> None:
    """Other values from a cutoff on, and events announced after it, leave the effects seen at it as they are."""
    end = FIRST + timedelta(days=cutoff - 1)
    announced = tuple(replace(e, known_from=end + timedelta(days=1 + k)) for k, e in enumerate(later))
    changed = np.concatenate([values[:cutoff], future])
    one = DailySeries("a", FIRST, values, events=events)
    other = DailySeries("a", FIRST, changed, events=(*announced, *events))
    found, again = (effects_of(series.known_at(cutoff), horizon=30) for series in (one, other))
    for name in ("ratio", "amount", "masked", "amount_spread"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))


@settings(max_examples=100, deadline=None)
@given(
    center=arrays(np.float64, 20, elements=st.floats(0, 5)), ratio=arrays(np.float64, 20, elements=st.floats(0.01, 50)),
    amount=arrays(np.float64, 20, elements=st.floats(-1e4, 1e4)),
)  # fmt: skip
def test_a_moved_path_keeps_its_order_and_its_median(center: Floats, ratio: Floats, amount: Floats) -> None:
    """The median is ratio x median + amount, never below zero; quantiles rise; all is finite."""
    path = Path(DEFAULT, 100.0, center, 100 * np.sinh(center), np.full(20, 0.2), 0.0, 6.0)
    found = moved(path, ratio, amount, np.zeros(20), never_negative=True)
    expected = np.maximum(ratio * path.value(center) + amount, 0)
    np.testing.assert_allclose(found.value(found.center), expected, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-9, atol=1e-6)
    bands = np.array(list(quantiles(found, no_reach()).values()))
    assert np.isfinite(bands).all()
    assert (np.diff(bands, axis=0) >= 0).all()
    assert (bands >= 0).all()


@settings(max_examples=8, deadline=None)
@given(
    values=arrays(np.float64, st.integers(20, 75), elements=COSTS), events=EVENTS, horizon=st.integers(1, 40),
    volume=st.none() | arrays(np.float64, 75, elements=COSTS),
)  # fmt: skip
def test_any_knowledge_gives_a_finite_forecast(
    values: Floats, events: tuple[Event, ...], horizon: int, volume: Floats | None
) -> None:
    """Whatever events, holidays and volume are said, mean and bands are finite, ordered, and not below zero."""
    values[0] = 1.0
    known = None if volume is None else volume[: len(values)]
    series = DailySeries("a", FIRST, values, events=events, countries=("DE",), volume=known)
    path = forecast_path(series, horizon=horizon)
    bands = np.array(list(quantiles(path, no_reach()).values()))
    assert np.isfinite(bands).all()
    assert np.isfinite(path.mean).all()
    assert (np.diff(bands, axis=0) >= 0).all()
    assert (bands >= 0).all()
