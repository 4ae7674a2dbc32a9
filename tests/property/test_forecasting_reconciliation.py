"""Whatever the forecasts, the groupings and the weights: sums hold, what sums already stays, and nothing is nearer."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.coherence import Flags, coherent, constraints, shrunk, uncorrelated
from forecasting.series import Floats

DIMENSIONS = ("driver", "purpose", "team")


@dataclass(frozen=True, eq=False)
class Company:
    """Cells by up to three dimensions, and the sums of every grouping (series x days), rows in the order of names."""

    keys: dict[str, dict[str, str]]
    truth: Floats
    random: np.random.Generator

    @property
    def matrix(self) -> Floats:
        return constraints(self.keys, list(self.keys))[0]

    def scattered(self, scale: float) -> Floats:
        """The truth with errors that do not sum."""
        return self.truth + scale * self.random.normal(size=self.truth.shape)


@st.composite
def companies(draw: st.DrawFn) -> Company:
    """Some groupings of a company of cells, some of which do not exist; cost of all sizes, never negative."""
    groupings = draw(
        st.lists(
            st.sets(st.sampled_from(DIMENSIONS), min_size=1).map(sorted).map(tuple), min_size=1, max_size=5, unique=True
        )
    )
    sizes = [draw(st.integers(1, 4)) for _ in DIMENSIONS]
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    sums: dict[str, Floats] = {}
    keys: dict[str, dict[str, str]] = {}
    for cell in product(*map(range, sizes)):
        if random.random() < 0.3:
            continue
        cost = np.exp(random.normal(0, 3)) * random.integers(0, 3, 4).astype(np.float64)
        for grouping in ((), *groupings):
            key = {word: str(cell[DIMENSIONS.index(word)]) for word in grouping}
            name = str(sorted(key.items()))
            sums[name] = sums.get(name, np.zeros(4)) + cost
            keys[name] = key
    return Company(keys, np.array(list(sums.values())).reshape(len(sums), 4), random)


def gap(matrix: Floats, values: Floats, before: Floats) -> float:
    """How far the worst sum is off, as a share of its parts' sizes, or of a millionth of the largest of the day."""
    sizes = np.maximum(np.abs(matrix) @ np.abs(values), 1e-6 * np.abs(before).max(axis=0, initial=0))
    return float((np.abs(matrix @ values) / np.where(sizes > 0, sizes, 1)).max(initial=0))


def none(values: Floats) -> Flags:
    return np.zeros(values.shape, dtype=np.bool_)


@settings(max_examples=100, deadline=None)
@given(company=companies(), scale=st.sampled_from([1e-9, 0.1, 10.0]), rows=st.integers(0, 20), floor=st.booleans())
def test_sums_hold_and_nothing_is_below_zero(company: Company, scale: float, rows: int, *, floor: bool) -> None:
    """With any correlations, also of series that never erred, whatever is known on some of the days."""
    values, count = company.scattered(scale), len(company.truth)
    if floor:
        values = values.clip(0)
    errors = company.random.normal(size=(rows, count)) @ company.random.normal(size=(count, count))
    deviation = np.exp(company.random.normal(0, 3, count)) * (company.random.random(count) < 0.9)
    known = none(values)
    known[:, 0] = company.random.random(count) < 0.3
    values = np.where(known, company.truth, values)
    floored = np.full(count, floor)
    found = coherent(values, company.matrix, shrunk(deviation, errors, independent=rows), known=known, floored=floored)
    assert gap(company.matrix, found, values) < 1e-9
    assert (found[known] == values[known]).all()
    if floor:
        assert (found >= 0).all()


@settings(max_examples=50, deadline=None)
@given(company=companies())
def test_what_sums_already_is_left_as_it_is(company: Company) -> None:
    """The formula projects: coherent values stay."""
    weights = uncorrelated(np.exp(company.random.normal(0, 3, len(company.truth))))
    found = coherent(
        company.truth, company.matrix, weights, known=none(company.truth), floored=np.ones(len(company.truth), bool)
    )
    dust = 1e-14 * company.truth.max(initial=1)
    np.testing.assert_allclose(found, company.truth, rtol=1e-9, atol=dust)


@settings(max_examples=50, deadline=None)
@given(company=companies(), floor=st.booleans())
def test_no_other_values_that_sum_are_nearer(company: Company, *, floor: bool) -> None:
    """A step from the result towards any other coherent values costs more error variance, clipped at zero or not."""
    values, count = company.scattered(1.0), len(company.truth)
    deviation = np.exp(company.random.normal(0, 1, count))
    found = coherent(values, company.matrix, uncorrelated(deviation), known=none(values), floored=np.full(count, floor))
    other = company.truth * company.random.uniform(0, 2)
    slope = ((found - values) / deviation[:, None] ** 2 * (other - found)).sum(axis=0)
    size = (np.abs(found - values) / deviation[:, None] ** 2 * np.abs(other - found)).sum(axis=0)
    assert (slope >= -1e-7 * (size + 1)).all()
