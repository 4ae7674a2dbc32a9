"""The program of a small scenario, word for word: a change of any constraint or coefficient shows here first."""

import os
from pathlib import Path

from optimizer import feasibility, policies
from optimizer.program import build
from tests.placement import STATED, api, chat, rented, reserved, scenario, server, training

GOLDEN = Path(__file__).with_name("placement.lp")


def test_the_program_is_the_golden_one(tmp_path: Path) -> None:
    """The LP file of the scenario below is the one that was reviewed; UPDATE_GOLDEN=1 writes it anew."""
    small = scenario(
        horizon_months=3,
        workloads=[chat(), training(spot_share_ratio="0.5", today=None)],
        options=[
            api(quota=100),
            rented(name="spot", kind="spot", interruption_ratio="0.1", price={"amount": "20", **STATED}),
            reserved(term_months=2, upfront=1000),
            server(lead_time_months=1, standing=1, standing_months_left=2),
        ],
        sites=[{"name": "room", "spare": 1, "power_limit_kw": 90}],
        rules={
            "budget_per_year": 900_000,
            "capex_budget_per_year": 600_000,
            "provider_share_ratio": {"maker": "0.7"},
        },
    )
    program = build(small, policy=policies.POLICIES["hybrid"], pairs=feasibility.feasible_pairs(small))
    written = tmp_path / "placement.lp"
    program.problem.writeLP(str(written))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(written.read_text(encoding="utf-8"), encoding="utf-8")
    assert written.read_text(encoding="utf-8") == GOLDEN.read_text(encoding="utf-8")
