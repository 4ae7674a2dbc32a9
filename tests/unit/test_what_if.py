"""Levers of a what-if, each by a worked example, and how their parts divide what they change."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from finops.errors import CallError
from forecasting.levers import Amount, WhatIf
from forecasting.what_if import bands, shapley, what_if

FIRST = date(2026, 12, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(400)]
TEAMS = {"total": 100.0, "team=a": 60.0, "team=b": 40.0}


def levers(*given: dict[str, Any]) -> WhatIf:
    """A what-if of levers that act from the first day, unless they say another."""
    return WhatIf.model_validate({"name": "x", "levers": [{"from": FIRST, **lever} for lever in given]})


def forecast(**series: float) -> pl.DataFrame:
    """Series of so much a day."""
    days = pl.DataFrame({"date": DAYS})
    rows = [days.select(pl.lit(name).alias("series"), "date", mean=pl.lit(v)) for name, v in (series or TEAMS).items()]
    return pl.concat(rows)


def cells(*rows: tuple[list[str], float, list[bool]]) -> pl.DataFrame:
    """Cells: their series, cost a day, and which levers hold them."""
    return pl.DataFrame(
        [{"all_series": s, "cost": c, **{f"lever_{n}": h for n, h in enumerate(held)}} for s, c, held in rows]
    )


def on(found: pl.DataFrame, series: str, day: date, column: str = "what_if") -> float:
    """One value of a result."""
    value: float = found.filter(series=series, date=day)[column].item()
    return value


def factor(on_day: date, **lever: Any) -> float:
    """A lever's factor on a day."""
    return float(levers(lever).levers[0].factor([on_day])[0])


def test_growth_compounds_by_day_on_top_of_the_forecast() -> None:
    """30 % a year: nothing on the first day, 1.3 ** 0.5 after half of 365 days is near, 1.3 after all, 1 before."""
    assert factor(FIRST, kind="growth", yearly_ratio=0.3) == 1
    assert factor(FIRST - timedelta(days=9), kind="growth", yearly_ratio=0.3) == 1
    assert factor(FIRST + timedelta(days=365), kind="growth", yearly_ratio=0.3) == pytest.approx(1.3)
    assert factor(FIRST + timedelta(days=73), kind="growth", yearly_ratio=0.3) == pytest.approx(1.3**0.2)


def test_a_price_changes_on_its_day_and_stays() -> None:
    """10 % off from the first of December on."""
    lever = {"kind": "price", "ratio": -0.1}
    assert [factor(FIRST + timedelta(days=n), **lever) for n in (-1, 0, 300)] == [1, 0.9, 0.9]


def test_adoption_rises_in_a_line_and_stays() -> None:
    """Half as many again over three months of 90 days: a sixth after a third of them, all of it after them."""
    lever = {"kind": "adoption", "ratio": 0.5, "months": 3}
    values = [factor(FIRST + timedelta(days=n), **lever) for n in (0, 30, 90, 200)]
    assert values == pytest.approx([1, 1 + 0.5 / 3, 1.5, 1.5])


def test_an_amount_comes_on_its_day_of_each_month() -> None:
    """5000 on the 31st: on the last day of months that have none, twice if it says so, and in every month if not."""
    lever = {"kind": "amount", "amount": "5000", "from": date(2026, 12, 31)}
    days = [day for day in DAYS if day < date(2027, 4, 1)]

    def due(**more: Any) -> list[date]:
        (amount,) = levers({**lever, **more}).levers
        assert isinstance(amount, Amount)
        values = amount.amounts(days)
        assert set(values) <= {0.0, 5000.0}
        return [day for day, value in zip(days, values, strict=True) if value]

    assert due(months=2) == [date(2026, 12, 31), date(2027, 1, 31)]
    assert due() == [date(2026, 12, 31), date(2027, 1, 31), date(2027, 2, 28), date(2027, 3, 31)]
    assert due(**{"from": date(2030, 1, 1)}) == []


def test_a_lever_on_a_series_moves_the_total_by_the_same_money() -> None:
    """Team a has its own forecast, 60 of 100 a day, though it was half of late: 10 % off are 6 of the total."""
    found, _ = what_if(
        forecast(), cells((["total", "team=a"], 50, [True]), (["total", "team=b"], 50, [False])),
        levers({"kind": "price", "ratio": -0.1, "scope": "team=a"}).levers,
    )  # fmt: skip
    assert [on(found, name, FIRST) for name in ("total", "team=a", "team=b")] == pytest.approx([94, 54, 40])


def test_what_is_said_of_a_purpose_is_said_of_its_teams() -> None:
    """10 % off purpose x, 70 of 100 a day, are 7 of the total and 7 of both teams, however cost was divided."""
    divided = {("a", "x"): 3.0, ("a", "y"): 1.0, ("b", "x"): 1.0, ("b", "y"): 1.0}
    rows = [(["total", f"team={t}", f"purpose={p}"], cost, [p == "x"]) for (t, p), cost in divided.items()]
    found, _ = what_if(
        forecast(**TEAMS, **{"purpose=x": 70.0, "purpose=y": 30.0}), cells(*rows),
        levers({"kind": "price", "ratio": -0.1, "scope": "purpose=x"}).levers,
    )  # fmt: skip
    moved = {name: on(found, name, FIRST) - on(found, name, FIRST, "base") for name in found["series"].unique()}
    assert (moved["purpose=x"], moved["total"]) == pytest.approx((-7, -7))
    assert moved["team=a"] + moved["team=b"] == pytest.approx(-7)
    assert moved["purpose=y"] == 0


def test_a_lever_on_a_scope_without_a_series_moves_its_share() -> None:
    """A quarter of team a in the last days is a quarter of its forecast: 10 % off are 1.5 of 60, and of the total."""
    found, _ = what_if(
        forecast(),
        cells(
            (["total", "team=a"], 10, [True]), (["total", "team=a"], 30, [False]), (["total", "team=b"], 40, [False])
        ),
        levers({"kind": "price", "ratio": -0.1, "scope": "team=a;driver=model_api"}).levers,
    )  # fmt: skip
    assert [on(found, name, FIRST) for name in ("total", "team=a", "team=b")] == pytest.approx([98.5, 58.5, 40])


def test_levers_on_the_same_cost_multiply_and_share_what_they_do() -> None:
    """100 a day at x 1.5 and x 0.8 is 120: of the 20, 0.5 x (1 + 0.8) / 2 are 45 and -0.2 x (1 + 1.5) / 2 are -25."""
    both = levers({"kind": "price", "ratio": 0.5}, {"kind": "price", "ratio": -0.2}).levers
    found, parts = what_if(forecast(total=100.0), cells((["total"], 1, [True, True])), both)
    assert on(found, "total", FIRST) == pytest.approx(120)
    assert parts.filter(date=FIRST)["amount"].to_list() == pytest.approx([45, -25])


def test_token_levers_take_the_ratio_of_book_prices() -> None:
    """Where tokens cost 0.7 of before, model-API cost does, from the day on."""
    found, _ = what_if(
        forecast(total=100.0), cells((["total"], 40, [True]), (["total"], 60, [False])),
        levers({"kind": "cache_rate", "to_ratio": 0.6, "from": FIRST + timedelta(days=1)}).levers, repriced={0: 0.7},
    )  # fmt: skip
    assert [on(found, "total", DAYS[n]) for n in (0, 1)] == pytest.approx([100, 88])


def test_an_amount_is_added_to_the_series_that_it_is_booked_in() -> None:
    """Not to others, and not multiplied by the levers on them."""
    found, _ = what_if(
        forecast(), cells((["total", "team=a"], 1, [True, True]), (["total", "team=b"], 1, [True, False])),
        levers({"kind": "price", "ratio": 1.0}, {"kind": "amount", "amount": 7, "scope": "team=a"}).levers,
        booked={1: frozenset({"total", "team=a"})},
    )  # fmt: skip
    assert [on(found, name, FIRST) for name in ("total", "team=a", "team=b")] == pytest.approx([207, 127, 80])
    assert on(found, "team=a", FIRST, "ratio") == pytest.approx(2)


def test_bands_of_a_month_move_with_their_days() -> None:
    """Paths of 8 and 12 a day: two days, of which the second is halved and gets 5 more."""
    days = pl.DataFrame(
        {"series": ["total"] * 2, "date": DAYS[:2], "period": ["2026-12"] * 2, "ratio": [1.0, 0.5], "added": [0.0, 5.0]}
    )
    paths = pl.DataFrame({"series": ["total"] * 2, "date": DAYS[:2], "paths": [[8.0, 12.0], [8.0, 12.0]]})
    row = bands(days, paths).row(0, named=True)
    assert (row["base_p10"], row["base_p90"]) == pytest.approx((16.8, 23.2))
    assert (row["p10"], row["p90"]) == pytest.approx((17.6, 22.4))


def test_three_factors_share_their_product_as_all_six_orders_would() -> None:
    """The polynomial is the mean over the orders, written out."""
    factors = np.array([[1.3], [0.6], [2.0]])
    orders = [(a, b, c) for a in range(3) for b in range(3) for c in range(3) if len({a, b, c}) == 3]
    expected = np.zeros(3)
    for order in orders:
        so_far = 1.0
        for i in order:
            expected[i] += so_far * (factors[i, 0] - 1) / len(orders)
            so_far *= factors[i, 0]
    assert shapley(factors)[:, 0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "lever",
    [
        {"kind": "growth", "yearly_ratio": -1},
        {"kind": "price"},
        {"kind": "cache_rate", "to_ratio": 1.2},
        {"kind": "model_switch", "model": "a", "to": "b", "share_ratio": 0},
        {"kind": "wish", "ratio": 1},
        {"kind": "price", "ratio": 0.1, "until": FIRST},
        {"kind": "adoption", "ratio": 0.1, "months": 0},
    ],
)
def test_a_lever_that_cannot_be_is_refused(lever: dict[str, Any]) -> None:
    """Values out of range, missing and unknown keys."""
    with pytest.raises(ValidationError):
        levers(lever)


def test_a_scope_with_an_unknown_dimension_is_refused() -> None:
    """The message lists the dimensions."""
    with pytest.raises(CallError) as error:
        levers({"kind": "price", "ratio": 0.1, "scope": "squad=a"})
    assert "use_case" in error.value.expected
