"""Which model a series uses: proved on portfolios whose future is known, with a plain level in the default's place."""

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
import pytest

from forecasting.backtest import Backtest, judge, origin_lengths
from forecasting.baselines import baseline_path
from forecasting.fits import Fitted
from forecasting.method import DEFAULT, Path
from forecasting.selection import BURSTS, LEAST_FOLDS, choose, shape_of
from forecasting.series import DailySeries, Floats

DAYS, HORIZON, ORIGINS = 400, 30, 3
CHEAP = ("seasonal_naive", "run_rate_30", "drift")
Kind = Callable[[np.random.Generator], Floats]


def weekly(random: np.random.Generator) -> Floats:
    """Half the cost at weekends around a level that wanders."""
    at = np.arange(DAYS + HORIZON)
    level = np.exp(random.normal(5, 1) + random.normal(0, 0.01, len(at)).cumsum())
    values: Floats = level * np.where(at % 7 >= 5, 0.5, 1) * np.exp(random.normal(0, 0.1, len(at)))
    return values


def wandering(random: np.random.Generator) -> Floats:
    """A random walk without a week."""
    values: Floats = np.exp(random.normal(5, 1) + random.normal(0, 0.03, DAYS + HORIZON).cumsum())
    return values


def rising(random: np.random.Generator) -> Floats:
    """A straight line upwards, to three times its start."""
    line = np.linspace(1, 3, DAYS + HORIZON) * np.exp(random.normal(5, 1))
    values: Floats = line * np.exp(random.normal(0, 0.02, DAYS + HORIZON))
    return values


def noisy(random: np.random.Generator) -> Floats:
    """Days that have nothing to do with each other."""
    values: Floats = np.exp(random.normal(4, 0.6, DAYS + HORIZON))
    return values


def stand_in(history: Floats) -> Path:
    """A smoothed level times the weekday's usual share: what the default comes to, without its seconds."""
    weekday = np.array([history[-28:][k::7].mean() for k in range(7)])
    level = history[-14:].mean()
    days = np.resize(weekday / weekday.mean(), HORIZON) * level
    unit = float(np.median(history))
    z = np.arcsinh(history / unit)
    return Path(DEFAULT, unit, np.arcsinh(days / unit), days, np.full(HORIZON, 0.1), 0.0, float(z.max()) + 0.7)


def fitted(name: str, values: Floats) -> Fitted:
    """The paths of a series at the origins of a backtest, and at its end."""
    series = DailySeries(name, date(2025, 1, 1), values[:DAYS])
    paths = {}
    for length in (*origin_lengths(series, horizon=HORIZON, origins=ORIGINS), DAYS):
        known, default = series.known_at(length), stand_in(values[:length])
        simple = {name: baseline_path(name, known, horizon=HORIZON, default=default) for name in CHEAP}
        paths[length] = {DEFAULT: default, **simple}
    return Fitted(series, HORIZON, paths)


def missed(portfolio: list[tuple[Fitted, Floats]]) -> tuple[Backtest, float, float]:
    """The backtest, and the mean WAPE of the days to come by the default and by the choices."""
    done = judge([one for one, _ in portfolio], horizon=HORIZON, origins=ORIGINS)
    errors = np.array(
        [
            [
                np.abs(came - one.paths[DAYS][model].mean).sum() / came.sum()
                for model in (DEFAULT, done.choices[one.series.name])
            ]
            for one, came in portfolio
        ]
    )
    default, chosen = errors.mean(axis=0)
    return done, float(default), float(chosen)


def portfolio(seed: int, *kinds: tuple[Kind, int]) -> list[tuple[Fitted, Floats]]:
    random = np.random.default_rng(seed)
    drawn = [(f"{kind.__name__} {k}", kind(random)) for kind, count in kinds for k in range(count)]
    return [(fitted(name, values), values[DAYS:]) for name, values in drawn]


@pytest.mark.parametrize("kind", [weekly, wandering, noisy])
def test_a_choice_does_no_harm_where_nothing_is_better(kind: Kind) -> None:
    """Over ten portfolios of 12 series the days to come are missed by at most 1 % more than by the default."""
    found = [missed(portfolio(seed, (kind, 12)))[1:] for seed in range(10)]
    default, chosen = np.mean(found, axis=0)
    assert chosen <= default * 1.01


def test_a_baseline_that_is_clearly_better_is_taken_for_its_kind_alone() -> None:
    """Lines go by drift and gain a quarter and more; weekly series in the same portfolio keep the default."""
    done, default, chosen = missed(portfolio(1, (rising, 10), (weekly, 10)))
    assert {model for name, model in done.choices.items() if name.startswith("weekly")} == {DEFAULT}
    assert sum(model == "drift" for name, model in done.choices.items() if name.startswith("rising")) >= 8
    assert chosen < default
    _, default, chosen = missed(portfolio(2, (rising, 10)))
    assert chosen < 0.75 * default


def folds(**errors: tuple[float, float]) -> pl.DataFrame:
    """24 folds of a crowd that drift halves the errors of, and those of named series by (default, drift)."""
    crowd = {f"crowd {k}": (1.0, 0.5) for k in range(LEAST_FOLDS // ORIGINS)}
    rows = [
        (name, origin, model, "all", 30, error, error, error, 10.0, error)
        for name, pair in {**crowd, **errors}.items()
        for origin in range(ORIGINS)
        for model, error in zip((DEFAULT, "drift"), pair, strict=True)
    ]
    columns = [
        "series",
        "origin",
        "model",
        "days_ahead",
        "days",
        "error",
        "absolute_error",
        "median_error",
        "size",
        "mase",
    ]
    zeros = {name: pl.lit(0) for name in ("held80", "held95", "banded")}
    floats = {name: pl.lit(None, pl.Float64) for name in ("smape", "interval_score80")}
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(**zeros, **floats)


def test_a_series_that_a_choice_is_not_true_of_keeps_the_default() -> None:
    """Its own folds disagree, so what helps the crowd is not for it; it has too few to choose anything else."""
    judged = folds(other=(0.5, 1.0), like=(0.9, 0.8))
    found = choose(judged, dict.fromkeys(judged["series"], "plain"))
    assert (found["crowd 0"], found["like"], found["other"]) == ("drift", "drift", DEFAULT)


def test_a_shape_with_too_few_folds_is_decided_by_all_series() -> None:
    """One series alone never overrules the default, however lucky; with the crowd it goes where its folds agree."""
    judged = folds(alone=(1.0, 0.1), odd=(1.0, 2.0))
    shapes = {name: BURSTS if name in ("alone", "odd") else "plain" for name in judged["series"]}
    found = choose(judged, shapes)
    assert (found["alone"], found["odd"]) == ("drift", DEFAULT)
    lonely = judged.filter(pl.col("series") == "alone")
    assert choose(lonely, shapes) == {"alone": DEFAULT}


def test_shapes_tell_kinds_of_series_apart() -> None:
    """Bursts, weeks, lines and the rest; gaps do not matter."""
    random = np.random.default_rng(3)
    assert shape_of(np.where(np.arange(200) % 9 == 0, 700.0, 0.0)) == BURSTS
    assert shape_of(weekly(random)) == "weekly"
    assert shape_of(noisy(random)) == "plain"
    line = rising(random)
    line[100:120] = np.nan
    assert shape_of(line) == "plain, trending"
    assert shape_of(np.full(100, 5.0)) == "plain"
