"""What a forecast would be with other growth, prices, use, cache rates and models, and each lever's part in it.

The cost that lies in the same series and under the same levers is one cell. Its path starts from its cost of the last
days and is scaled until the cells of every series sum to that series' forecast (iterative proportional fitting), so
what is said of a team is what is said of it in the total. Levers on the same cell multiply, whatever their order; each
one's part is its Shapley value, the effect averaged over all orders in which the levers can come.
Sources: Deming and Stephan (1940), Ann. Math. Stat. 11, 427-444; Shorrocks (2013), J. Econ. Inequality 11, 99-126.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from math import factorial
from typing import Final

import numpy as np
import polars as pl

from forecasting.levers import Amount, Lever
from forecasting.series import DATE, SERIES, Floats

LEVER: Final = "lever"
CELL_SERIES: Final = "all_series"
COST: Final = "cost"
SWEEPS: Final = 200
CLOSE: Final = 1e-9
LEAST: Final = 1e-12
"""Less cost a day than this is none."""
LEVELS: Final = (0.1, 0.9)
BANDS: Final = ("base_p10", "base_p90", "p10", "p90")


def holds(number: int) -> str:
    """The column of cells that says whether the lever of that number holds."""
    return f"{LEVER}_{number}"


def what_if(
    forecast: pl.DataFrame, cells: pl.DataFrame, levers: Sequence[Lever], *,
    repriced: Mapping[int, float] | None = None, booked: Mapping[int, frozenset[str]] | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:  # fmt: skip
    """The forecast with the levers, and the part of each lever in the difference, both a row a series and day.

    forecast: columns series, date, mean; a series' days may begin later than another's.
    cells: columns all_series (list of the series that a cell is in), cost [currency a day] and, for each lever by its
    number, whether its scope holds the cell. A cell without positive cost has no path.
    repriced: of levers on token prices, cost at book prices then / now; 1 where it is not given.
    booked: the series that an amount is added to, by the number of its lever.

    First frame: series, date, base, what_if, ratio, added: what_if = base x ratio + added, the amounts of the day.
    Second: series, date, lever (number), amount; what_if - base is their sum.
    """
    first, last = forecast.select(pl.col(DATE).min().alias("first"), pl.col(DATE).max().alias("last")).row(0)
    days: list[date] = pl.date_range(first, last, eager=True).to_list()
    names = forecast[SERIES].unique().sort().to_list()
    every = pl.DataFrame({SERIES: names}).join(pl.DataFrame({DATE: days}), how="cross")
    whole = every.join(forecast.select(SERIES, DATE, base="mean"), on=[SERIES, DATE], how="left", maintain_order="left")
    base = whole["base"].fill_null(np.nan).to_numpy().reshape(len(names), len(days))
    inside = cells[CELL_SERIES].to_list()
    member = np.array([[name in into for into in inside] for name in names]).reshape(len(names), -1)
    paths = _fitted(cells[COST].cast(pl.Float64).to_numpy().clip(min=0), member, base.clip(min=0))
    multiplied = _multiplied(cells, levers, paths, member, days, repriced or {}) * base
    added = np.zeros_like(multiplied)
    for number, lever in enumerate(levers):
        if isinstance(lever, Amount):
            booking = [name in (booked or {}).get(number, frozenset()) for name in names]
            added[number, booking] = lever.amounts(days)
    moved, more = multiplied.sum(axis=0), added.sum(axis=0)
    ratio = np.divide(base + moved, base, out=np.ones_like(base), where=base > 0)
    values = {"what_if": base + moved + more, "ratio": ratio, "added": more}
    known = whole["base"].is_not_null()
    parts = [
        every.with_columns(pl.lit(number, pl.Int64).alias(LEVER), amount=part.ravel()).filter(known)
        for number, part in enumerate(multiplied + added)
    ]  # fmt: skip
    none = pl.DataFrame(schema={**every.schema, LEVER: pl.Int64(), "amount": pl.Float64()})
    return (
        whole.with_columns(pl.Series(name, value.ravel()) for name, value in values.items()).filter(known),
        pl.concat([none, *parts]),
    )


def bands(days: pl.DataFrame, paths: pl.DataFrame) -> pl.DataFrame:
    """P10 and P90 of each series' total by `period`, of the base and of the what-if, from sample paths.

    days: of `what_if`, with `period`. paths: series, date, paths (list). Every path is multiplied and added to as the
    mean of its day is. Columns: series, period, base_p10, base_p90, p10, p90.
    """
    rows = []
    for (series, period), part in days.join(paths, on=[SERIES, DATE]).group_by(SERIES, "period", maintain_order=True):
        drawn = np.array(part["paths"].to_list(), dtype=float)
        moved = drawn * part["ratio"].to_numpy()[:, None] + part["added"].to_numpy()[:, None]
        rows.append((series, period, *(q for d in (drawn, moved) for q in np.quantile(d.sum(axis=0), LEVELS))))
    schema = {SERIES: pl.String(), "period": pl.String(), **dict.fromkeys(BANDS, pl.Float64())}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _fitted(costs: Floats, member: np.ndarray, targets: Floats) -> Floats:
    """Paths of the cells [cells x days] from their costs, such that those of each series sum to its target.

    Targets that contradict each other are met in turn, the most inclusive series last.
    """
    paths = np.repeat(costs[:, None], targets.shape[1], axis=1)
    order = sorted(range(len(member)), key=lambda n: int(member[n].sum()))
    for _ in range(SWEEPS):
        furthest = 0.0
        for n in order:
            sums = paths[member[n]].sum(axis=0)
            scale = np.divide(targets[n], sums, out=np.ones_like(sums), where=(sums > LEAST) & ~np.isnan(targets[n]))
            paths[member[n]] *= scale
            furthest = max(furthest, float(np.abs(scale - 1).max(initial=0)))
        if furthest < CLOSE:
            break
    return paths


def _multiplied(
    cells: pl.DataFrame, levers: Sequence[Lever], paths: Floats, member: np.ndarray, days: list[date],
    repriced: Mapping[int, float],
) -> Floats:  # fmt: skip
    """What each lever's factor adds to each series on each day, as a ratio to it [levers x series x days]."""
    found = np.zeros((len(levers), len(member), len(days)))
    if not levers:
        return found
    whole = member @ paths
    held = cells.select(holds(n) for n in range(len(levers))).to_numpy()
    factors = np.array([lever.factor(days, repriced.get(n, 1.0)) for n, lever in enumerate(levers)])
    for pattern in np.unique(held, axis=0):
        acting = np.flatnonzero(pattern)
        if not acting.size:
            continue
        together = member @ (paths * (held == pattern).all(axis=1)[:, None])
        share = np.divide(together, whole, out=np.zeros_like(whole), where=whole > LEAST)
        found[acting] += shapley(factors[acting])[:, None, :] * share[None, :, :]
    return found


def shapley(factors: Floats) -> Floats:
    """Each factor's part of their product less 1, averaged over all orders; factors: [factors x days].

    phi_i = (x_i - 1) sum_s s! (n - s - 1)! / n! e_s(the other x), e_s the elementary symmetric polynomial: the sum of
    all products of s of them.
    """
    n = len(factors)
    parts = np.empty_like(factors)
    for i in range(n):
        symmetric = [np.ones(factors.shape[1]), *np.zeros((n - 1, factors.shape[1]))]
        for x in np.delete(factors, i, axis=0):
            for s in range(n - 1, 0, -1):
                symmetric[s] = symmetric[s] + x * symmetric[s - 1]
        weights = [factorial(s) * factorial(n - s - 1) / factorial(n) for s in range(n)]
        parts[i] = (factors[i] - 1) * sum(w * e for w, e in zip(weights, symmetric, strict=True))
    return parts
