"""The program of small scenarios, word for word: a change of any constraint or coefficient shows here first."""

import os
from pathlib import Path

import pytest

from optimizer import constraints, feasibility, policies
from optimizer.build import build
from optimizer.program import Program
from optimizer.scenario import Scenario
from tests.placement import STATED, api, chat, promised, rented, reserved, scenario, server, training

HERE = Path(__file__).parent
GRID = {"grid_kg_per_kwh": "0.25"}
SCENARIOS = {
    "placement": scenario(
        horizon_months=3,
        workloads=[
            chat(moving={"cost": 9000, "data_gib": 500}, max_locations=1, least_share_ratio="0.25"),
            training(spot_share_ratio="0.5", today=None),
        ],
        options=[
            api(quota=100, rate_limit_per_minute=2, egress_price_per_gib="0.1", kwh_per_unit="0.5", **GRID),
            rented(power_kw=8, workloads=["chat"], **GRID),
            rented(
                name="spot",
                kind="spot",
                interruption_ratio="0.1",
                price={"amount": "20", **STATED},
                power_kw=8,
                workloads=["training"],
                **GRID,
            ),
            reserved(term_months=2, upfront=1000, power_kw=8, **GRID),
            server(lead_time_months=1, standing=1, standing_months_left=2, **GRID),
        ],
        spend_commitments=[promised(quota=90, standing=5, standing_months_left=2)],
        sites=[{"name": "room", "spare": 1, "power_limit_kw": 90}],
        rules={
            "budget_per_year": 900_000,
            "capex_budget_per_year": 600_000,
            "provider_share_ratio": {"maker": "0.7"},
            "carbon_kg_per_month": 30_000,
        },
        demand_scenarios=[
            {"name": "low", "probability": "0.6", "demand_ratio": "0.8"},
            {"name": "high", "probability": "0.4", "demand_ratio": "1.3"},
        ],
        risk_aversion_ratio="0.5",
    ),
    "quarters": scenario(
        horizon_months=15,
        quarters_after_months=12,
        purchase_every_months=12,
        workloads=[chat(growth_ratio_per_year="0.5", today=None)],
        options=[rented(price_change_ratio_per_year="-0.1"), reserved(term_months=13)],
        spend_commitments=[promised(term_months=13)],
        sites=[],
    ),
}


def built(of: Scenario) -> Program:
    """Its program under free choice."""
    return build(of, policy=policies.POLICIES["hybrid"], pairs=feasibility.feasible_pairs(of))


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_program_is_the_golden_one(name: str, tmp_path: Path) -> None:
    """The LP file of a scenario is the one that was reviewed; UPDATE_GOLDEN=1 writes it anew."""
    golden, written = HERE / f"{name}.lp", tmp_path / f"{name}.lp"
    built(SCENARIOS[name]).problem.writeLP(str(written))
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(written.read_text(encoding="utf-8"), encoding="utf-8")
    assert written.read_text(encoding="utf-8") == golden.read_text(encoding="utf-8")


def test_every_constraint_is_in_the_golden_program() -> None:
    """No constraint can change without the golden file showing it."""
    names = {c.__name__ for c in constraints.CONSTRAINTS}
    assert {row.constraint for row in built(SCENARIOS["placement"]).rows} == names
