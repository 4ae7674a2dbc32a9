"""Forecasts of a source whose cost comes late: with its last days completed, and without.

Daily series with a week, noise and a wandering level are billed by a source that shows 35 %, 70 % and 97 % of a day
when it is 0, 1 and 2 days old (each with 5 % scatter), then all. What it showed on 60 days gives its lag curve. The
forecast then sees the newest days as they show, without those of less than half their charges (as without a lag
curve); completed; and as they come to in the end. The truth is the following days of the same series.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl

from finops import late_data as late
from finops.freshness import PARTIAL_RATIO
from forecasting.method import forecast_path
from forecasting.series import DailySeries, Floats

SHARES = np.array([0.35, 0.70, 0.97])
SCATTER = 0.05
DAYS = 200
SEEN_DAYS = 60
HORIZON = 30
SERIES_EACH = 40
FIRST = date(2026, 1, 1)
CASES = {"no step": (0, 1.0), "x 1.6 two days ago": (2, 1.6), "x 0.6 two days ago": (2, 0.6)}
"""When a step in usage, and so in cost and in charges, began."""


def cost(random: np.random.Generator, *, step_days: int, factor: float) -> Floats:
    """What each day comes to; from `step_days` days before the newest known one on at another level."""
    at = np.arange(DAYS + HORIZON)
    level = np.exp(np.cumsum(random.normal(0, 0.005, len(at))))
    values: Floats = 1000 * level * np.where(at % 7 < 5, 1.0, 0.6) * np.exp(random.normal(0, 0.06, len(at)))
    values[DAYS - step_days :] *= factor
    return values


def shown(random: np.random.Generator, count: int) -> Floats:
    """The shares of a day that are seen at each age, for so many days."""
    found: Floats = np.minimum(SHARES * np.exp(random.normal(0, SCATTER, (count, len(SHARES)))), 1.0)
    return found


def completed(values: Floats, seen: Floats, newest: Floats, charges: Floats) -> pl.DataFrame:
    """The newest days as late_data.completed expects them, oldest first.

    newest, charges: the shares of their cost and of the usual charges that are seen, by age.
    """
    past = pl.DataFrame(
        {"source": "s", "currency": "USD", "date": FIRST + timedelta(days=row), "age": age, "final": values[row],
         "visible": values[row] * share, "charges": share, "series": "a"}
        for row, shares in enumerate(seen, start=DAYS - 10 - SEEN_DAYS) for age, share in enumerate(shares)
    )  # fmt: skip
    curves = late.lag_curves(past)
    days = pl.DataFrame(
        {"source": "s", "currency": "USD", "date": FIRST + timedelta(days=DAYS - 1 - age), "age": age, "series": "a",
         "visible": values[DAYS - 1 - age] * share, "charges": charges[age], "usual": 1.0,
         "is_full": bool(charges[age] >= PARTIAL_RATIO)}
        for age, share in enumerate(newest)
    )  # fmt: skip
    return late.completed(days, curves, late.scatter(past, curves, "series"), late.scatter(past, curves))


def missed(known: Floats, came: Floats) -> float:
    """WAPE of the forecast after the known days, on the HORIZON days that all forecasts cover."""
    ahead = DAYS + HORIZON - len(known)
    path = forecast_path(DailySeries("a", FIRST, known), horizon=ahead)
    return float(np.abs(path.mean[-HORIZON:] - came).sum() / came.sum())


def run() -> None:
    """Print the error of each case, and how many completed days lay within their 80 % band."""
    inside: list[bool] = []
    for name, (step_days, factor) in CASES.items():
        errors = []
        for seed in range(SERIES_EACH):
            random = np.random.default_rng(seed)
            values = cost(random, step_days=step_days, factor=factor)
            seen, newest = shown(random, SEEN_DAYS), shown(random, 1)[0]
            charges = newest * np.where(np.arange(len(SHARES)) < step_days, factor, 1.0)
            days = completed(values, seen, newest, charges)
            mean, truth = days["mean"].to_numpy(), pl.Series("truth", values[DAYS - len(SHARES) :][: days.height])
            estimated = days.with_columns(truth).filter("is_estimated")
            inside += estimated.select(pl.col("truth").is_between("p10", "p90")).to_series().to_list()
            settled = values[: DAYS - len(SHARES)]
            visible = (values[DAYS - len(SHARES) : DAYS] * newest[::-1])[: int((charges >= PARTIAL_RATIO).sum())]
            came = values[DAYS:]
            known = (np.concatenate([settled, visible]), np.concatenate([settled, mean]), values[:DAYS])
            errors.append([missed(one, came) for one in known])
        plain, done, final = 100 * np.mean(errors, axis=0)
        print(f"{name}: WAPE {plain:.1f} % without, {done:.1f} % completed, {final:.1f} % had all been billed at once")
    print(f"within the 80 % band: {100 * np.mean(inside):.0f} % of {len(inside)} completed days")


if __name__ == "__main__":
    run()
