"""Shifts of a level that are days old, and growth."""

import numpy as np
import pytest

from forecasting.series import Floats
from forecasting.trend import growth, shifted

NOISE = 0.1
DOUBLED = float(np.log(2))


def steady(seed: int, days: int = 300) -> Floats:
    """Noise around 0."""
    values: Floats = np.random.default_rng(seed).normal(0, NOISE, days)
    return values


@pytest.mark.parametrize("sign", [1, -1])
def test_half_of_a_doubling_five_days_old_is_followed(sign: int) -> None:
    """In a history without earlier shifts at least half of it is followed, in either direction."""
    for seed in range(50):
        values = steady(seed)
        values[-5:] += sign * DOUBLED
        assert sign * shifted(values, 0.0, NOISE) >= DOUBLED / 2


def test_no_shift_is_seen_in_noise() -> None:
    """Of 500 histories without a shift none moves its level."""
    assert all(shifted(steady(seed), 0.0, NOISE) == 0.0 for seed in range(500))


def test_campaigns_that_used_to_end_are_not_followed() -> None:
    """Five high days are followed by less than half where such runs have ended before."""
    values = steady(1)
    for start in (60, 110, 160, 210):
        values[start : start + 7] += DOUBLED
    values[-5:] += DOUBLED
    assert shifted(values, 0.0, NOISE) < DOUBLED / 2


def test_a_day_or_two_are_a_spike() -> None:
    """The level stays where only the last two days are high."""
    values = steady(2)
    values[-2:] += 3 * DOUBLED
    assert shifted(values, 0.0, NOISE) == 0.0


def test_a_level_that_has_followed_further_stays() -> None:
    """A shift never pulls a level back."""
    values = steady(3)
    values[-5:] += DOUBLED
    assert shifted(values, 0.95 * DOUBLED, NOISE) == 0.95 * DOUBLED


def test_missing_days_hide_a_shift_rather_than_make_one() -> None:
    """With most of the last days missing there is no shift; with one of them missing there is."""
    values = steady(4)
    values[-5:] += DOUBLED
    values[-2] = np.nan
    assert shifted(values, 0.0, NOISE) > DOUBLED / 2
    values[-13:] = np.nan
    assert shifted(values, 0.0, NOISE) == 0.0
    assert shifted(np.full(10, np.nan), 0.5, NOISE) == 0.5


def test_growth_fades_from_the_smallest_step_of_three() -> None:
    """Growth of 0.002 a day adds 0.002 x 60 x (1 - e^-1.5) within 90 days."""
    ahead = growth(0.002 * np.arange(200.0), alpha=0.1, horizon=90)
    assert ahead[0] == pytest.approx(0.002 * 60 * (1 - np.exp(-1 / 60)))
    assert ahead[-1] == pytest.approx(0.002 * 60 * (1 - np.exp(-1.5)))


def test_neither_a_shift_nor_a_walk_nor_a_short_history_grows() -> None:
    """One step of the blocks is no growth; a level that walks has none; under 120 days nobody knows."""
    step = np.where(np.arange(200) < 150, 0.0, 1.0) + steady(5, 200) / 100
    rise = 0.002 * np.arange(200.0)
    assert not growth(np.where(np.arange(200) < 150, 0.0, 1.0), alpha=0.1, horizon=30).any()
    assert abs(growth(step, alpha=0.1, horizon=30)).max() < 0.01
    assert not growth(rise, alpha=0.7, horizon=30).any()
    assert not growth(rise[:119], alpha=0.1, horizon=30).any()


def test_growth_is_bounded() -> None:
    """A history that doubles every month is not foreseen to go on like that."""
    assert growth(0.1 * np.arange(200.0), alpha=0.1, horizon=1000)[-1] == pytest.approx(0.24, rel=1e-3)
