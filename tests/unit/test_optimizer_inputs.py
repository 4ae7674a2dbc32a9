"""What a scenario is made from besides prices: hourly profiles and published throughputs."""

import math
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops.errors import CallError, ConfigError
from optimizer.document import load_scenario
from optimizer.profiles import load_blocks
from optimizer.throughput import load_throughputs
from tests.placement import scenario

DAY = range(24)
OFFICE = [2.0 if 8 <= h < 18 else 0.2 for h in DAY] * 14
NIGHT = [1.5 if h < 6 else 0.5 for h in DAY] * 14


def test_peaks_that_do_not_coincide_are_blocks_of_their_own() -> None:
    """Office hours and nights become different blocks, in each of which one workload is high and the other low."""
    blocks = load_blocks({"chat": OFFICE, "batch": NIGHT}, count=3)
    assert [b.name for b in blocks] == ["peak", "high", "middle"]
    by_chat = max(blocks, key=lambda b: b.workloads["chat"])
    by_batch = max(blocks, key=lambda b: b.workloads["batch"])
    assert by_chat is not by_batch
    assert scenario_with(blocks)


def scenario_with(blocks: tuple[object, ...]) -> bool:
    """Whether a scenario takes the blocks."""
    shown = [b.model_dump() | {"workloads": {"chat": b.workloads["chat"]}} for b in blocks]  # type: ignore[attr-defined]
    return len(scenario(load_blocks=shown).load_blocks) == len(blocks)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(24, 200).flatmap(
        lambda n: st.lists(st.lists(st.floats(0.01, 100), min_size=n, max_size=n), min_size=1, max_size=3)
    ),
    st.integers(1, 5),
)
def test_blocks_keep_hours_and_means(profiles: list[list[float]], count: int) -> None:
    """Hours sum to one and each workload keeps its mean, whatever its profile."""
    blocks = load_blocks({f"w{i}": p for i, p in enumerate(profiles)}, count=count)
    assert sum(b.hours_ratio for b in blocks) == 1
    for i in range(len(profiles)):
        mean = sum((b.hours_ratio * b.workloads[f"w{i}"] for b in blocks), Decimal(0))
        assert math.isclose(mean, 1, abs_tol=1e-9)
        assert all(b.workloads[f"w{i}"] >= 0 for b in blocks)


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ({"a": [1.0] * 5}, "5"),
        ({"a": [1.0] * 24, "b": [1.0] * 25}, "24, 25"),
        ({"a": [0.0] * 24}, "zero in every hour"),
        ({"a": [-1.0] + [1.0] * 23}, "negative"),
    ],
)
def test_profiles_that_cannot_be_used_are_refused(profiles: dict[str, list[float]], message: str) -> None:
    """A profile that is short, uneven, empty or negative is named."""
    with pytest.raises(CallError, match=message):
        load_blocks(profiles)


FILE = """
name = "t"
start = "2027-01"
horizon_months = 3
[[workloads]]
name = "chat"
kind = "inference"
unit = "{unit}"
demand_per_month = 1000
model = "{model}"
input_tokens = 900
output_tokens = 1100
full_load_ratio = 0.5
units_per_accelerator_hour = {{ "H200-141GB" = 3 }}
[[options]]
name = "api"
kind = "api"
provider = "p"
unit = "{unit}"
price = {{ amount = 3, source = "s", date = 2026-11-21 }}
"""


def test_a_model_brings_its_published_throughput(tmp_path: Path) -> None:
    """2,209 output tokens a second of Llama 3.3 70B on one H100, 1,000 in and out, are 15.9 million tokens an hour.

    Half of it is planned; a figure of the workload's own stays.
    """
    file = tmp_path / "t.toml"
    file.write_text(FILE.format(unit="million_tokens", model="llama-3.3-70b"))
    found = load_scenario(file).workloads[0].units_per_accelerator_hour
    assert found["H100-80GB"] == Decimal("7.952400")
    assert found["H200-141GB"] == 3


def test_own_throughputs_replace_published_ones(tmp_path: Path) -> None:
    """A row of one's own file counts instead of every shipped row of the same model and accelerator."""
    header = "model,accelerator,input_tokens,output_tokens,output_tokens_per_second,source,date"
    (tmp_path / "own.csv").write_text(f"{header}\nllama-3.3-70b,H100-80GB,1000,1000,1000,measured,2026-11-01\n")
    file = tmp_path / "t.toml"
    file.write_text('throughputs = ["own.csv"]\n' + FILE.format(unit="million_tokens", model="llama-3.3-70b"))
    assert load_scenario(file).workloads[0].units_per_accelerator_hour["H100-80GB"] == Decimal("3.6")


@pytest.mark.parametrize(("unit", "model"), [("million_tokens", "gpt-9"), ("thousand_requests", "gpt-oss-20b")])
def test_an_unknown_model_or_another_unit_is_refused(tmp_path: Path, unit: str, model: str) -> None:
    """A model that no row is of, and demand that is not in tokens, are named with what the table has."""
    file = tmp_path / "t.toml"
    file.write_text(FILE.format(unit=unit, model=model))
    with pytest.raises(ConfigError, match="gpt-oss-120b"):
        load_scenario(file)


def test_a_broken_table_is_refused(tmp_path: Path) -> None:
    """A missing column, and a figure that is none above zero, are named with the file."""
    file = tmp_path / "own.csv"
    file.write_text("model,accelerator\nx,y\n")
    with pytest.raises(ConfigError, match="input_tokens"):
        load_throughputs([file])
    file.write_text(
        "model,accelerator,input_tokens,output_tokens,output_tokens_per_second,source,date\nx,y,1,1,-2,s,d\n"
    )
    with pytest.raises(ConfigError, match="is no throughput"):
        load_throughputs([file])
