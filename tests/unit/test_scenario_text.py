"""Single values of a scenario file are changed, and nothing else in it is."""

import tomllib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops.errors import CallError
from finops.pipeline.scenario_text import Key, edited, written
from tests.scenario_file import BANK, COMMITTEE

D = Decimal


def read(text: str) -> dict[str, object]:
    return tomllib.loads(text, parse_float=Decimal)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (("horizon_months",), 24, "horizon_months = 24"),
        (("workloads", 0, "growth_ratio_per_year"), D("0.55"), "growth_ratio_per_year = 0.55"),
        (("workloads", 0, "residency"), ["DE", "FR"], 'residency = ["DE", "FR"]'),
        (("purchase_every_months",), 6, f"purchase_every_months = 6{COMMITTEE}"),
    ],
)  # fmt: skip
def test_one_line_changes(key: Key, value: object, line: str) -> None:
    """A changed value takes the place of the old one: its line keeps its comment, all others are the same."""
    before, after = BANK.splitlines(), edited(BANK, {key: value}).splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [line]


@pytest.mark.parametrize(
    ("key", "value", "behind"),
    [
        (("workloads", 2, "max_latency_ms"), 5, "growth_ratio_per_year = 0.25"),
        (("risk_aversion_ratio",), D("0.3"), f"purchase_every_months = 3{COMMITTEE}"),
        (("rules", "provider_share_ratio", "my own"), D("0.4"), "warn_ratio = 0.25"),
    ],
)  # fmt: skip
def test_a_new_key_joins_its_table(key: Key, value: object, behind: str) -> None:
    """A key that was not there comes after the last one of its table, before any comment on the next."""
    before, after = BANK.splitlines(), edited(BANK, {key: value}).splitlines()
    at = next(i for i, (old, new) in enumerate(zip([*before, ""], after, strict=True)) if old != new)
    assert after[:at] + after[at + 1 :] == before
    assert after[at - 1] == behind


def test_a_missing_table_comes_at_the_end() -> None:
    """The table of a new key is made where there is none, and text in it is quoted."""
    text = edited(BANK, {("uncertainty", "sd_ratio_per_year"): D("0.3"), ("uncertainty", "source"): 'a "guess"\n'})
    assert text.startswith(BANK.rstrip("\n"))
    assert read(text)["uncertainty"] == {"sd_ratio_per_year": D("0.3"), "source": 'a "guess"\n'}


def test_a_key_is_taken_away() -> None:
    """None removes a key and its line, and is nothing where there is no such key."""
    assert edited(BANK, {("rules", "warn_ratio"): None}) == BANK.replace("warn_ratio = 0.25\n", "")
    assert edited(BANK, {("uncertainty", "seed"): None}) == BANK


def test_a_table_is_taken_away() -> None:
    """None removes a whole table, and what is said above the next one stays."""
    text = BANK + "\n[uncertainty]\nsd_ratio_per_year = 0.3\nsource = 'x'\n\n# what follows\n[later]\nx = 1\n"
    assert edited(text, {("uncertainty",): None}) == BANK + "\n\n# what follows\n[later]\nx = 1\n"


def test_a_layout_it_cannot_edit_is_refused() -> None:
    """Entries inside an array on one line cannot be told apart by their lines: nothing is written."""
    with pytest.raises(CallError, match="cannot be changed in this file"):
        edited("workloads = [{ name = 'a', x = 1 }]\n", {("workloads", 0, "x"): 2})


VALUES = st.recursive(
    st.text(max_size=8) | st.integers(-(10**9), 10**9) | st.booleans()
    | st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TABLES: list[Key] = [
    (),
    ("workloads", 0),
    ("workloads", 2),
    ("options", 1),
    ("options", 1, "price"),
    ("rules",),
    ("sites", 1),
]
NAMES = ["name", "growth_ratio_per_year", "today", "amount", "budget_per_year", "new", "spare", "in between"]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.tuples(st.sampled_from(TABLES), st.sampled_from(NAMES)), st.none() | VALUES, max_size=4))
def test_what_is_read_back_is_the_change(changes: dict[tuple[Key, str], object]) -> None:
    """Whatever is changed, the text reads as the old one with these changes, and keeps every line of comment."""
    keyed = {(*table, name): value for (table, name), value in changes.items()}
    text = edited(BANK, keyed)
    comments = [line for line in BANK.splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line in set(comments)] == comments


@given(VALUES)
def test_values_read_as_they_are_written(value: object) -> None:
    """A value that is written as TOML is that value when it is read."""
    assert read(f"v = {written(value)}")["v"] == value
