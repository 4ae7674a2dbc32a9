"""The cheapest fleet is the proven optimum, in whole accelerators and whole slices."""

import itertools
import json
import math
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops.errors import InputError
from optimizer.fleet import FleetCase, cheapest_fleet, load_case

CASE: dict[str, Any] = {
    "gpu_info": {
        "small": {"cost": 1.5, "tputs": [[4, 2], [0, 1]]},
        "large": {"cost": 4.0, "tputs": [[12, 8], [9, 7]]},
    },
    "workload_distribution": [[0.4, 0.3], [0.2, 0.1]],
    "total_request_rate": 20.0,
    "slice_factor": 2,
}


def by_hand(case: dict[str, Any]) -> float:
    """The cheapest fleet over every way to give each slice to a type."""
    gpus = list(case["gpu_info"])
    cells = [
        (i, j, share * case["total_request_rate"] / case["slice_factor"])
        for i, row in enumerate(case["workload_distribution"])
        for j, share in enumerate(row)
        for _ in range(case["slice_factor"])
        if share
    ]
    best = math.inf
    for given in itertools.product(gpus, repeat=len(cells)):
        load = dict.fromkeys(gpus, 0.0)
        for gpu, (i, j, rate) in zip(given, cells, strict=True):
            speed = case["gpu_info"][gpu]["tputs"][i][j]
            load[gpu] += rate / speed if speed else math.inf
        if max(load.values()) < math.inf:
            cost = sum(math.ceil(load[g] - 1e-9) * case["gpu_info"][g]["cost"] for g in gpus)
            best = min(best, cost)
    return best


def test_fleets_equal_every_way_to_give_the_slices() -> None:
    """Random small cases cost what the cheapest of all ways to distribute the slices costs."""
    r = random.Random(3)
    for _ in range(40):
        case = CASE | {
            "gpu_info": {
                name: {"cost": r.randint(5, 60) / 10, "tputs": [[r.randint(1, 12) for _ in range(2)] for _ in range(2)]}
                for name in ("a", "b", "c")[: r.randint(2, 3)]
            },
            "total_request_rate": float(r.randint(5, 60)),
            "slice_factor": r.randint(1, 2),
        }
        found = cheapest_fleet(FleetCase.model_validate(case))
        assert float(found.cost_usd_per_hour) == pytest.approx(by_hand(case), abs=1e-6)
        assert found.status == "optimal"


def test_a_fleet_costs_what_its_accelerators_cost() -> None:
    """The cost is the exact sum over whole accelerators."""
    found = cheapest_fleet(FleetCase.model_validate(CASE))
    assert found.cost_usd_per_hour == sum(
        (Decimal(str(CASE["gpu_info"][g]["cost"])) * n for g, n in found.fleet.items()), Decimal(0)
    )
    assert float(found.cost_usd_per_hour) == pytest.approx(by_hand(CASE))


@pytest.mark.shared
def test_the_published_case_reaches_its_optimum(shared: Path) -> None:
    """The published example costs 6.70 USD per hour, with three of one type and one of the other."""
    found = cheapest_fleet(load_case(shared / "melange" / "example.json"))
    assert (found.cost_usd_per_hour, found.fleet) == (Decimal("6.70"), {"A10G": 3, "A100-80GB": 1})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "is not JSON"),
        (json.dumps(CASE | {"slice_factor": 0}), "slice_factor"),
        (json.dumps(CASE | {"workload_distribution": [[1.0]]}), "other rows or columns"),
        (json.dumps({k: v for k, v in CASE.items() if k != "gpu_info"}), "gpu_info"),
    ],
)
def test_a_wrong_case_is_named(tmp_path: Path, content: str, named: str) -> None:
    """A file that is no case says what is wrong with it."""
    file = tmp_path / "case.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        load_case(file)
    assert named in raised.value.found


def test_requests_that_nothing_serves_are_named() -> None:
    """A request size that occurs and that no type can serve is an error, not a free ride."""
    alone = CASE | {"gpu_info": {"small": CASE["gpu_info"]["small"]}}
    with pytest.raises(InputError, match="served by no accelerator"):
        cheapest_fleet(FleetCase.model_validate(alone))
