"""The look and the charts: colours people can tell apart, and charts that draw what the frames say."""

import itertools
import json
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from finops import schema as s
from reports import charts
from reports.theme import DARK, LIGHT, LOOKS, NONE, Look, colours, streamlit_options
from reports.views.movement import START, VALUE

D = Decimal
# Machado, Oliveira, Fernandes (2009), "A physiologically-based model for simulation of color vision deficiency"
VISIONS = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900),
    ),
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def linear(colour: str) -> np.ndarray:
    channel = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:
    ratio = TO_XYZ @ np.clip(light, 0, 1) / WHITE
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(one: str, other: str) -> float:
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


def distance(palette: tuple[str, ...], vision: str) -> float:
    seen = [lab(np.array(VISIONS[vision]) @ linear(c)) for c in palette]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.mode)
@pytest.mark.parametrize("vision", VISIONS)
def test_the_eight_colours_stay_apart(look: Look, vision: str) -> None:
    """Any two of the eight colours differ by a CIE76 distance of at least 20, for every kind of colour vision."""
    assert distance(look.palette, vision) >= 20


def test_the_colour_check_can_fail() -> None:
    """Red and green of equal lightness fail the same check for people who cannot tell them apart."""
    assert distance(("#B04030", "#5A7A20"), "deuteranopia") < 20


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.mode)
def test_words_can_be_read(look: Look) -> None:
    """Text, grey text, links and verdicts have the contrast that WCAG 2.2 AA asks of text."""
    for ink in (look.text, look.muted, look.accent, look.good, look.bad):
        for paper in (look.background, look.surface):
            assert contrast(ink, paper) >= 4.5, (ink, paper)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.mode)
def test_a_thing_keeps_its_colour(look: Look) -> None:
    """A purpose has the same colour whatever a company spends on it, and charges without a value are grey."""
    one = colours(s.PURPOSE, ["training", "inference", None], look)
    other = colours(s.PURPOSE, ["inference"], look)
    assert one["inference"] == other["inference"] == look.palette[0]
    assert one[NONE] == one["unknown"] == look.context


def test_the_ninth_value_is_grey() -> None:
    """Eight values get a colour of their own; no ninth shares one of them."""
    found = colours(s.TEAM, [f"team {n}" for n in range(12)], LIGHT)
    assert len({found[f"team {n}"] for n in range(8)}) == 8
    assert {found[f"team {n}"] for n in range(8, 12)} == {LIGHT.context}


def test_streamlit_gets_both_modes() -> None:
    """The pages get the tokens of light and dark as options."""
    options = set(streamlit_options())
    assert {f"--theme.{look.mode}.backgroundColor={look.background}" for look in LOOKS.values()} <= options


def monthly(values: int = 3, months: int = 4) -> pl.DataFrame:
    rows = [(date(2026, 1 + m, 1), f"v{v}", D(100 * (v + 1) + m)) for m in range(months) for v in range(values)]
    return pl.DataFrame(rows, schema={START: pl.Date, VALUE: pl.String, "cost": s.MONEY}, orient="row")


def spec(chart: charts.Chart) -> str:
    return json.dumps(chart.to_dict())


def test_small_values_join_in_other_and_nothing_is_lost() -> None:
    """Beyond seven values the rest is one (other), and the amounts still sum to the whole."""
    frame = monthly(values=12)
    grouped = charts.grouped(frame, VALUE)
    assert grouped[VALUE].n_unique() == charts.MAX_CATEGORIES + 1
    assert round(grouped[charts.AMOUNT].sum()) == sum(frame["cost"])


def test_spend_over_time_stands_out_and_says_what_is_open() -> None:
    """The chosen month is opaque, others are pale, and a month that is not over is palest and labelled."""
    drawn = charts.spend_over_time(
        monthly(), colours("team", ["v2", "v1", "v0"], LIGHT), LIGHT, currency="USD", step="month",
        focus=(date(2026, 3, 1), date(2026, 3, 31)), last_day=date(2026, 4, 20),
        notes=[(date(2026, 2, 10), "price change")],
    )  # fmt: skip
    data = drawn.to_dict()["datasets"]
    opacity = {row[START][:7]: row["opacity"] for rows in data.values() for row in rows if "opacity" in row}
    assert opacity == {"2026-01": 0.6, "2026-02": 0.6, "2026-03": 1.0, "2026-04": 0.4}
    assert "to 20 Apr" in spec(drawn)
    assert "price change" in spec(drawn)


@pytest.mark.parametrize("look", [LIGHT, DARK], ids=lambda look: look.mode)
def test_every_chart_is_drawn_in_the_tokens(look: Look) -> None:
    """Each chart draws in both modes, on the mode's background, and holds no decimal that JSON cannot say."""
    moved = pl.DataFrame({VALUE: ["a", None], "change": [D(5), D(-3)]}, schema={VALUE: pl.String, "change": s.MONEY})
    days = [date(2026, 10, 1) + timedelta(days=n) for n in range(4)]
    factors = {"p025": 0.8, "p05": 0.85, "p10": 0.9, "p50": 1.0, "p90": 1.1, "p95": 1.15, "p975": 1.2}
    bands = {q: [f * 10.0] * 4 for q, f in factors.items()}
    odd = pl.DataFrame({START: days, "cost": [D(9)] * 4, "expected": [None, 5.0, 5.0, None]})
    month = pl.DataFrame({"day": days, "spent": [1.0, 2.0, None, None], **{q: [None, 2.0, 3.0, 4.0] for q in factors}})
    held = pl.DataFrame({"ahead": ["every day"], "band": ["80 % band"], "held": [0.7], "nominal": [0.8]})
    budget = pl.DataFrame(
        {"scope": ["all"], "landing": [D(12)], "budget": [D(10)], "variance": [D(2)], "standing": ["20 % over"]},
        schema_overrides={"landing": s.MONEY, "budget": s.MONEY, "variance": s.MONEY},
    )
    curve = pl.DataFrame({"month": [1, 2, 1, 2], "choice": ["a", "a", "b", "b"], "cost": [D(1), D(4), D(2), D(3)]})
    parts = monthly().with_columns(pl.lit("x").alias("part"))
    drawn = [
        charts.amounts_by(monthly(), {}, look, currency="USD", dimension="team"),
        charts.amounts_by(parts, {"x": look.accent}, look, currency="USD", dimension="team", second="purpose"),
        charts.changes(moved, look, currency="USD"),
        charts.outlook(
            pl.DataFrame({START: days, "cost": [D(9)] * 4}),
            pl.DataFrame({"date": days, **bands, "is_part": [True, False, False, False]}), look,
            currency="USD", origin=days[0],
        ),
        charts.added_up(month, look, currency="USD", budget=(3.5, "budget 3.50"), run_out=days[3]),
        charts.anomaly(odd, look, currency="USD", window=(days[1], days[2]), notes=[(days[0], "1")]),
        charts.coverage(held, look),
        charts.cost_curves(curve, {"a": look.accent}, look, currency="USD", crossings=[(2, "b is cheaper than a")]),
        charts.budget_use(budget, look, currency="USD"),
        charts.placement(
            pl.DataFrame({"workload": ["w"], "hosting": ["cloud"], "ratio": [D("0.4")]}), {"cloud": look.accent}, look
        ),
    ]  # fmt: skip
    for one in drawn:
        assert json.loads(spec(one))["background"] == look.background


def test_changes_are_judged_by_words_and_sides() -> None:
    """A rise and a fall differ in their sign and side, not by colour alone."""
    moved = pl.DataFrame({VALUE: ["up", "down"], "change": [D(5), D(-3)]}, schema={VALUE: pl.String, "change": s.MONEY})
    text = spec(charts.changes(moved, LIGHT, currency="USD"))
    assert "+5.00" in text
    assert "\\u22123.00" in text
