"""What-ifs: parts sum to the difference, no lever is the forecast, and no order of levers matters."""

from datetime import date, timedelta
from random import Random

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.levers import Lever, WhatIf
from forecasting.what_if import what_if

FIRST = date(2026, 12, 1)
LENGTH = 40
DAYS = [FIRST + timedelta(days=n) for n in range(LENGTH)]
SCOPES = ("team=a", "team=b", "driver=x", "all")

ratios = st.floats(-0.9, 2, allow_nan=False)
a_lever = st.one_of(
    st.builds(lambda r: {"kind": "growth", "yearly_ratio": r}, ratios),
    st.builds(lambda r: {"kind": "price", "ratio": r}, ratios),
    st.builds(lambda r, m: {"kind": "adoption", "ratio": r, "months": m}, ratios, st.integers(1, 3)),
    st.builds(lambda a: {"kind": "amount", "amount": a}, st.integers(-500, 500)),
)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Lever, ...]:
    """Levers on overlapping scopes, from days inside the horizon."""
    given_levers = [
        {**draw(a_lever), "scope": draw(st.sampled_from(SCOPES)), "from": DAYS[draw(st.integers(0, LENGTH - 1))]}
        for _ in range(draw(st.integers(0, 5)))
    ]
    unique = [lever for n, lever in enumerate(given_levers) if lever not in given_levers[:n]]
    return WhatIf.model_validate({"name": "x", "levers": unique}).levers


@st.composite
def companies(draw: st.DrawFn) -> tuple[pl.DataFrame, dict[tuple[str, str], float]]:
    """A forecast of the total and two teams that sum to it, and the cost of the last days by team and driver."""
    level = st.floats(0, 1000, allow_nan=False)
    of_teams = {team: draw(level) for team in "ab"}
    rows = [
        pl.DataFrame({"series": [name] * LENGTH, "date": DAYS, "mean": [value] * LENGTH})
        for name, value in (*((f"team={t}", v) for t, v in of_teams.items()), ("total", sum(of_teams.values())))
    ]
    return pl.concat(rows), {(team, driver): draw(st.floats(0.01, 100)) for team in "ab" for driver in "xy"}


def evaluated(
    forecast: pl.DataFrame, costs: dict[tuple[str, str], float], levers: tuple[Lever, ...]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The what-if of a company."""
    rows = [
        {"all_series": ["total", f"team={team}"], "cost": cost,
         **{f"lever_{n}": lever.scope in ("all", f"team={team}", f"driver={driver}") for n, lever in enumerate(levers)}}
        for (team, driver), cost in costs.items()
    ]  # fmt: skip
    booked = {n: frozenset({"total", lever.scope}) for n, lever in enumerate(levers)}
    return what_if(forecast, pl.DataFrame(rows), levers, booked=booked)


@settings(max_examples=60, deadline=None)
@given(companies(), questions())
def test_parts_sum_to_the_difference(
    company: tuple[pl.DataFrame, dict[tuple[str, str], float]], levers: tuple[Lever, ...]
) -> None:
    """For each series and day; and what the teams move is what the total moves, amounts to no team aside."""
    found, parts = evaluated(*company, levers)
    sums = parts.group_by("series", "date").agg(pl.col("amount").sum())
    joined = found.join(sums, on=["series", "date"], how="left").with_columns(pl.col("amount").fill_null(0.0))
    moved = (joined["what_if"] - joined["base"]).to_numpy()
    size = 1 + np.abs(joined["base"].to_numpy()) + np.abs(joined["what_if"].to_numpy())
    assert np.all(np.abs(moved - joined["amount"].to_numpy()) < 1e-9 * size)
    multiplied = found.with_columns(by=pl.col("what_if") - pl.col("base") - pl.col("added"))
    total = multiplied.filter(series="total").sort("date")["by"].to_numpy()
    teams = multiplied.filter(pl.col("series") != "total").group_by("date").agg(pl.col("by").sum()).sort("date")
    assert np.allclose(total, teams["by"].to_numpy(), rtol=1e-6, atol=1e-6 * size.max())


@settings(max_examples=40, deadline=None)
@given(companies(), questions(), st.randoms(use_true_random=False))
def test_the_order_of_levers_does_not_matter(
    company: tuple[pl.DataFrame, dict[tuple[str, str], float]], levers: tuple[Lever, ...], random: Random
) -> None:
    """Neither the result nor any lever's part changes with it."""
    order = random.sample(range(len(levers)), len(levers))
    found, parts = evaluated(*company, levers)
    again, other = evaluated(*company, tuple(levers[n] for n in order))
    assert np.allclose(found["what_if"].to_numpy(), again["what_if"].to_numpy(), rtol=1e-9, atol=1e-9)
    for place, number in enumerate(order):
        one, two = (frame.filter(lever=n)["amount"].to_numpy() for frame, n in ((parts, number), (other, place)))
        assert np.allclose(one, two, rtol=1e-9, atol=1e-7)


@settings(max_examples=20, deadline=None)
@given(companies())
def test_no_lever_is_the_forecast(company: tuple[pl.DataFrame, dict[tuple[str, str], float]]) -> None:
    """Exactly, with no part."""
    found, parts = evaluated(*company, ())
    assert found["what_if"].to_list() == found["base"].to_list()
    assert parts.is_empty()
