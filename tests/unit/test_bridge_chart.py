"""Where the axis of a waterfall begins: at nothing, unless its steps would be too small to be seen."""

from decimal import Decimal

import pytest

from reports import charts
from reports.theme import LIGHT

D = Decimal
SMALL = [("Budget", D(1_116_000)), ("Volume", D(70_000)), ("Mix", D(-20_000)), ("October", D(1_166_000))]


@pytest.mark.parametrize(
    ("steps", "start"),
    [
        (SMALL, D(1_040_000)),
        ([("September", D(100)), ("Volume", D(85)), ("October", D(185))], D(0)),
        ([("September", D(100)), ("Credits", D(-130)), ("October", D(-30))], D(0)),
        ([("September", D(0)), ("New", D(20)), ("October", D(20))], D(0)),
        ([("September", D(500)), ("October", D(500))], D(0)),
    ],
    ids=["small steps", "large steps", "below nothing", "from nothing", "no steps"],
)
def test_the_axis_begins_where_its_steps_can_be_seen(steps: list[tuple[str, Decimal]], start: Decimal) -> None:
    """Small steps get a round start below both ends; large ones, and amounts below nothing, start at nothing."""
    assert charts.bridge_start(steps) == start


def test_a_cut_axis_says_so() -> None:
    """A waterfall that does not begin at nothing has its start in the title of its axis, and its bars begin there."""
    drawn = str(charts.bridge(SMALL, LIGHT, currency="USD", start=D(1_000_000)).to_dict())
    assert "USD, from 1.00 M" in drawn
    assert "'low': 1000000.0" in drawn
