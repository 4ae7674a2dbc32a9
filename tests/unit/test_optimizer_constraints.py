"""Each constraint is one function, named the same everywhere, and changes the plan of some scenario."""

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from optimizer import constraints, feasibility, policies
from optimizer.build import build
from optimizer.scenario import Scenario
from optimizer.solve import Solution, solve
from optimizer.words import WORDS, in_words
from tests.placement import (
    EXACT,
    STATED,
    api,
    chat,
    outcome,
    plan,
    promised,
    rented,
    reserved,
    scenario,
    server,
    training,
)

NAMES = [c.__name__ for c in constraints.CONSTRAINTS]


def test_code_table_and_words_name_the_same_constraints() -> None:
    """The equation table, the words for readers and the code have the same constraints in the same order."""
    page = (Path(__file__).parents[2] / "docs" / "model.md").read_text(encoding="utf-8")
    section = page.split("## Constraints")[1].split("## Cost")[0]
    assert re.findall(r"^\| (\w+) \|", section, re.MULTILINE)[1:] == NAMES
    assert list(WORDS) == NAMES


def test_every_row_is_named_after_its_constraint() -> None:
    """A row of the LP carries the name of the function that made it, and can be said in words."""
    everything = scenario(
        options=[
            api(quota=500, rate_limit_per_minute=900, grid_kg_per_kwh="0.4", kwh_per_unit="0.5"),
            rented(grid_kg_per_kwh="0.3", power_kw=8),
            rented(name="spot", kind="spot", grid_kg_per_kwh="0.3", power_kw=8),
            reserved(grid_kg_per_kwh="0.3", power_kw=8),
            server(grid_kg_per_kwh="0.3"),
        ],
        spend_commitments=[promised()],
        sites=[{"name": "room", "spare": 1, "power_limit_kw": 100}],
        workloads=[
            chat(moving={"cost": 10_000}, max_locations=1, least_share_ratio="0.2"),
            training(spot_share_ratio="0.5"),
        ],
        rules={
            "budget_per_year": 5_000_000,
            "capex_budget_per_year": 2_000_000,
            "provider_share_ratio": {"cloud": "0.9"},
            "carbon_kg_per_month": 100_000,
        },
        risk_aversion_ratio="0.5",
    )
    pairs = feasibility.feasible_pairs(everything)
    program = build(everything, policy=policies.POLICIES["hybrid"], pairs=pairs)
    assert {row.constraint for row in program.rows} == set(NAMES)
    lp_names = [c["name"].split("(")[0] for c in program.problem.toDict()["constraints"]]
    assert lp_names == [row.constraint for row in program.rows]
    sentences = in_words(everything, program.rows)
    assert all(any(f"({name}" in sentence for sentence in sentences) for name in NAMES)


@dataclass(frozen=True)
class Bite:
    """A scenario in which one constraint changes the outcome when it is left out."""

    constraint: str
    scenario: Scenario
    has_no_end: bool = False
    """Without it costs fall without end, which the solver tells."""


def _bites() -> list[Bite]:
    cheap_own = server(price={"amount": "50000", **STATED}, lead_time_months=0)
    return [
        Bite("serve", scenario(workloads=[chat()])),
        Bite("deliver", scenario(workloads=[training()])),
        Bite("block_capacity", scenario(workloads=[chat(demand_per_month=90000)])),
        Bite("spare", scenario(options=[api(), rented(), cheap_own])),
        Bite(
            "on_prem_power",
            scenario(
                options=[api(), rented(), cheap_own],
                sites=[{"name": "room", "spare": 0, "power_limit_kw": 16}],
                workloads=[chat(demand_per_month=90000)],
            ),
        ),
        Bite(
            "commitment_use",
            scenario(workloads=[chat(today=None)], options=[rented()], spend_commitments=[promised()]),
        ),
        Bite(
            "commitment_cover",
            scenario(workloads=[chat()], options=[rented(), api()], spend_commitments=[promised(quota=200)]),
        ),
        Bite("quota", scenario(workloads=[chat()], options=[api(), reserved(quota=0), rented(quota="0.1")])),
        Bite(
            "spot_share",
            scenario(
                workloads=[training(spot_share_ratio="0.25")],
                options=[rented(), rented(name="spot", kind="spot", price={"amount": "20", **STATED})],
            ),
        ),
        Bite(
            "provider_share",
            scenario(workloads=[chat()], options=[api(), rented()], rules={"provider_share_ratio": {"cloud": "0.5"}}),
        ),
        Bite(
            "api_rate_limit",
            scenario(
                workloads=[chat()],
                options=[api(rate_limit_per_minute="0.3", price={"amount": "0.2", **STATED}), rented()],
            ),
        ),
        Bite(
            "budget",
            scenario(
                horizon_months=12,
                workloads=[chat(demand_per_month=60000)],
                options=[
                    api(price={"amount": "0.6", **STATED}),
                    cheap_own | {"price": {"amount": "400000", **STATED}},
                ],
                rules={"budget_per_year": 460_000},
            ),
        ),
        Bite("capex_budget", scenario(options=[api(), rented(), cheap_own], rules={"capex_budget_per_year": 60_000})),
        Bite(
            "carbon",
            scenario(
                workloads=[chat()],
                options=[
                    api(grid_kg_per_kwh="0.4", kwh_per_unit="0.1", price={"amount": "0.2", **STATED}),
                    rented(grid_kg_per_kwh="0.3", power_kw=8, price={"amount": "20", **STATED}),
                ],
                rules={"carbon_kg_per_month": 900},
            ),
        ),
        Bite(
            "presence",
            scenario(
                workloads=[chat(max_locations=1, today=None)],
                options=[api(), rented(price={"amount": "20", **STATED}, quota="0.5")],
            ),
        ),
        Bite("move", scenario(workloads=[chat(moving={"cost": 100_000})], options=[api(), rented()])),
        Bite(
            "cvar",
            scenario(
                workloads=[chat()],
                options=[api()],
                risk_aversion_ratio="0.9",
                demand_scenarios=[
                    {"name": "low", "probability": "0.8", "demand_ratio": "0.75"},
                    {"name": "high", "probability": "0.2", "demand_ratio": "2"},
                ],
            ),
            has_no_end=True,
        ),
    ]


def test_every_constraint_has_a_scenario_in_which_it_bites() -> None:
    """No constraint is left out of the scenarios below."""
    assert [b.constraint for b in _bites()] == NAMES


@pytest.mark.parametrize("bite", _bites(), ids=lambda b: b.constraint)
def test_a_constraint_bites(bite: Bite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one constraint the program finds a cheaper plan, so each of them is at work."""
    pairs = feasibility.feasible_pairs(bite.scenario)

    def solved() -> Solution:
        return solve(build(bite.scenario, policy=policies.POLICIES["hybrid"], pairs=pairs), EXACT)

    with_it = solved()
    rest = tuple(c for c in constraints.CONSTRAINTS if c.__name__ != bite.constraint)
    monkeypatch.setattr(constraints, "CONSTRAINTS", rest)
    without = solved()
    assert with_it.status == "optimal"
    assert without.status == "unsolved" if bite.has_no_end else without.objective < with_it.objective - 1


def test_budgets_may_hold_in_expectation() -> None:
    """A budget that holds in expectation allows more than one that holds in every demand scenario."""
    courses = [
        {"name": "low", "probability": "0.5", "demand_ratio": "0.5"},
        {"name": "high", "probability": "0.5", "demand_ratio": "1.5"},
    ]
    shared: dict[str, Any] = {"workloads": [chat()], "options": [api()], "demand_scenarios": courses}
    mean = 30000 * 3 * 12
    assert outcome(scenario(**shared, rules={"budget_per_year": mean + 1})).status == "infeasible"
    rules = {"budget_per_year": mean + 1, "budget_holds_in": "expectation"}
    assert plan(scenario(**shared, rules=rules)).cash == pytest.approx(Decimal(mean), abs=Decimal(1))


def test_load_blocks_make_peaks_burst_to_the_cloud() -> None:
    """Base load is owned and peaks are rented, because the peak is its own block of hours, not because of a rule."""
    blocks = [
        {"name": "peak", "hours_ratio": "0.1", "demand_ratio": "3.7"},
        {"name": "base", "hours_ratio": "0.9", "demand_ratio": "0.7"},
    ]
    found = plan(
        scenario(
            workloads=[chat(demand_per_month=80000, today=None)],
            options=[rented(), reserved()],
            sites=[],
            load_blocks=blocks,
        )
    )
    rented_in = {u.block for u in found.uses if u.option == "rented"}
    reserved_in = {u.block for u in found.uses if u.option == "reserved"}
    assert rented_in == {0}
    assert reserved_in == {0, 1}
