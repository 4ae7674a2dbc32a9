"""The placement program: seconds to build and to solve, beside HiGHS alone on the same LP file, and how they grow."""

import random
import tempfile
import time
from pathlib import Path
from typing import Any

import highspy

from optimizer import feasibility, policies
from optimizer.build import build
from optimizer.scenario import Scenario
from optimizer.solve import Settings, solve

SIZES = (5, 10, 20, 40, 80)
OFFERS, MONTHS, PERIODS = 60, 36, 20
SETTINGS = Settings(time_limit_s=60, gap_ratio=0.005)
STATED = {"source": "generated", "date": "2026-11-21"}


def instance(workloads: int, offers: int = OFFERS, months: int = MONTHS, *, seed: int = 1) -> Scenario:
    """A scenario from a fixed generator: drawn workloads, offers of every kind, three load blocks, three courses.

    A year by months and two years by quarters: PERIODS periods.
    """
    r = random.Random(seed)
    kinds = ["on_demand", "spot", "reservation", "api", "on_prem"]
    options = [_offer(r, i, kinds[i % len(kinds)]) for i in range(offers)]
    return Scenario.model_validate(
        {
            "name": f"generated-{workloads}",
            "start": "2027-01",
            "horizon_months": months,
            "purchase_every_months": 3,
            "quarters_after_months": 12,
            "workloads": [_workload(r, i) for i in range(workloads)],
            "options": options,
            "sites": [{"name": "room", "spare": 1}],
            "load_blocks": [
                {"name": "peak", "hours_ratio": "0.1", "demand_ratio": "2.2"},
                {"name": "day", "hours_ratio": "0.4", "demand_ratio": "1.2"},
                {"name": "night", "hours_ratio": "0.5", "demand_ratio": "0.6"},
            ],
            "demand_scenarios": [
                {"name": "low", "probability": "0.3", "demand_ratio": "0.8"},
                {"name": "mean", "probability": "0.4", "demand_ratio": "1"},
                {"name": "high", "probability": "0.3", "demand_ratio": "1.2"},
            ],
        }
    )


def _workload(r: random.Random, i: int) -> dict[str, Any]:
    return {
        "name": f"w{i}",
        "kind": "inference",
        "unit": "million_tokens",
        "demand_per_month": r.randint(2, 60) * 1000,
        "growth_ratio_per_year": str(r.randint(0, 10) / 10),
        "max_latency_ms": r.choice([None, 60, 120]),
        "residency": r.choice([[], [], ["EU", "US"], ["EU"]]),
        "interruptible": r.random() < 0.3,
        "units_per_accelerator_hour": {"A": r.randint(4, 12), "B": r.randint(8, 20)},
    }


def _offer(r: random.Random, i: int, kind: str) -> dict[str, Any]:
    shared: dict[str, Any] = {
        "name": f"{kind}-{i}",
        "kind": kind,
        "provider": f"p{i % 4}",
        "country": r.choice(["DE", "FR", "US"]),
        "latency_ms": r.choice([10, 40, 55]),
    }
    if kind == "api":
        return shared | {"country": "DE", "unit": "million_tokens", "price": _price(r, 20, 45, 10)}
    shared |= {"accelerator": r.choice("AB"), "accelerator_count": 8, "utilisation_ceiling_ratio": "0.7"}
    if kind == "reservation":
        return shared | {"term_months": r.choice([12, 36]), "price": _price(r, 30, 50)}
    if kind == "on_prem":
        return shared | {
            "site": "room", "life_months": 48, "power_kw": 10, "pue": "1.4", "energy_price_per_kwh": "0.13",
            "staff_cost_per_month": 900, "lead_time_months": r.randint(1, 4), "running_source": "generated",
            "running_date": "2026-11-21", "price": _price(r, 250_000, 400_000),
        }  # fmt: skip
    return shared | {"price": _price(r, 20, 40) if kind == "spot" else _price(r, 55, 100)}


def _price(r: random.Random, low: int, high: int, divisor: int = 1) -> dict[str, Any]:
    return {"amount": str(r.randint(low, high) / divisor), **STATED}


def run() -> None:
    """Print a line for each size: variables, rows, build, solve, gap, and HiGHS alone on the same LP file."""
    print(f"{OFFERS} offers, {PERIODS} periods of {MONTHS} months, 3 load blocks, 3 demand scenarios")
    print(f"gap {SETTINGS.gap_ratio:.1%}, {SETTINGS.threads} thread, {SETTINGS.time_limit_s:.0f} s")
    print("workloads variables     rows  build s  solve s      gap  HiGHS alone s  ratio")
    for size in SIZES:
        scenario = instance(size)
        pairs = feasibility.feasible_pairs(scenario)
        started = time.perf_counter()
        program = build(scenario, policy=policies.POLICIES[policies.HYBRID], pairs=pairs)
        built = time.perf_counter() - started
        found = solve(program, SETTINGS)
        alone = highs_alone(program.problem)
        print(
            f"{size:9d} {program.problem.numVariables():9d} {len(program.rows):8d} {built:8.2f} {found.seconds:8.2f} "
            f"{found.gap_ratio:8.2%} {alone:14.2f} {found.seconds / alone:6.2f}"
        )


def highs_alone(problem: Any) -> float:
    """Seconds of HiGHS on the LP file of a problem, reading it included."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "placement.lp"
        problem.writeLP(str(file))
        started = time.perf_counter()
        model = highspy.Highs()
        for option, value in (
            ("output_flag", False), ("mip_rel_gap", SETTINGS.gap_ratio), ("time_limit", SETTINGS.time_limit_s),
            ("threads", SETTINGS.threads), ("random_seed", 1),
        ):  # fmt: skip
            model.setOptionValue(option, value)
        model.readModel(str(file))
        model.run()
        return time.perf_counter() - started
