"""Tiny plans against every combination of whole purchases, costed by code that shares nothing with the program."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from optimizer.case import Case, solve_case
from optimizer.scenario import Scenario
from optimizer.solve import Settings

HOURS = 730
CASES = 300
STATED = {"source": "test", "date": "2026-11-21"}
ALL_HOURS = [{"name": "all", "hours_ratio": "1", "demand_ratio": "1"}]
PEAK_AND_REST = [
    {"name": "peak", "hours_ratio": "0.2", "demand_ratio": "2"},
    {"name": "rest", "hours_ratio": "0.8", "demand_ratio": "0.75"},
]
AS_STATED = [{"name": "expected", "probability": "1", "demand_ratio": "1"}]
LOW_OR_HIGH = [
    {"name": "low", "probability": "0.6", "demand_ratio": "0.5"},
    {"name": "high", "probability": "0.4", "demand_ratio": "1.25"},
]


def draw(seed: int) -> dict[str, Any]:
    """A scenario of at most three workloads and four options over at most three months, as plain values."""
    r = random.Random(seed)
    workloads = [
        {
            "name": f"w{i}",
            "kind": "inference",
            "unit": "million_tokens",
            "demand_per_month": [r.randint(0, 40) * 100 for _ in range(3)],
            "interruptible": r.random() < 0.5,
            "spot_share_ratio": r.choice([None, None, "0.5"]),
            "max_latency_ms": r.choice([None, 50]),
        }
        for i in range(r.randint(1, 3))
    ]
    names = [w["name"] for w in workloads]
    options: list[dict[str, Any]] = [
        {
            "name": "api",
            "kind": "api",
            "provider": "a",
            "unit": "million_tokens",
            "latency_ms": 10,
            "price": {"amount": str(r.randint(5, 30) / 10), **STATED},
        }
    ]
    speeds = {n: r.randint(1, 6) for n in names}
    if r.random() < 0.6:
        options.append(
            {
                "name": "rent",
                "kind": r.choice(["on_demand", "spot"]),
                "provider": "b",
                "latency_ms": r.choice([20, 80]),
                "utilisation_ceiling_ratio": r.choice(["1", "0.7"]),
                "units_per_capacity_hour": speeds,
                "quota": r.choice([None, "1.5"]),
                "price": {"amount": str(r.randint(10, 60) / 10), **STATED},
            }
        )
    if r.random() < 0.8:
        options.append(
            {
                "name": "reserve",
                "kind": "reservation",
                "provider": "b",
                "latency_ms": r.choice([20, 80]),
                "utilisation_ceiling_ratio": r.choice(["1", "0.8"]),
                "units_per_capacity_hour": speeds,
                "term_months": r.randint(1, 4),
                "upfront": r.choice([0, 500]),
                "lead_time_months": r.choice([0, 0, 1]),
                "quota": 2,
                "price": {"amount": str(r.randint(10, 40) / 10), **STATED},
            }
        )
    sites = []
    if r.random() < 0.7:
        sites = [{"name": "room", "spare": r.choice([0, 0, 1]), "power_limit_kw": r.choice([None, 25])}]
        options.append(
            {
                "name": "own",
                "kind": "on_prem",
                "provider": "own",
                "site": "room",
                "latency_ms": 5,
                "utilisation_ceiling_ratio": "0.9",
                "units_per_capacity_hour": {n: s + 2 for n, s in speeds.items()},
                "life_months": r.randint(2, 6),
                "residual_ratio": r.choice(["0", "0.3"]),
                "power_kw": 10,
                "pue": "1.2",
                "energy_price_per_kwh": "0.05",
                "staff_cost_per_month": 50,
                "lead_time_months": r.choice([0, 1]),
                "standing": r.choice([0, 1]),
                "standing_months_left": 2,
                "running_source": "test",
                "running_date": "2026-11-21",
                "quota": 2,
                "price": {"amount": str(r.randint(2, 8) * 1000), **STATED},
            }
        )
    rules: dict[str, Any] = {}
    if r.random() < 0.3:
        rules["capex_budget_per_year"] = [r.randint(3, 12) * 1000]
    if r.random() < 0.3:
        rules["budget_per_year"] = [r.randint(8, 30) * 1000]
    return {
        "name": f"case-{seed}",
        "start": "2027-01",
        "horizon_months": 3,
        "discount_ratio_per_year": "0.1",
        "workloads": workloads,
        "options": options,
        "sites": sites,
        "rules": rules,
        "load_blocks": r.choice([ALL_HOURS, ALL_HOURS, PEAK_AND_REST]),
        "demand_scenarios": r.choice([AS_STATED, AS_STATED, LOW_OR_HIGH]),
    }


def allowed(w: dict[str, Any], o: dict[str, Any]) -> bool:
    """The rules between one workload and one option that these cases use."""
    if w["max_latency_ms"] is not None and o["latency_ms"] > w["max_latency_ms"]:
        return False
    return o["kind"] != "spot" or w["interruptible"]


def stands(k: dict[str, Any], bought: int, month: int) -> bool:
    """Whether a block bought in a month serves in another."""
    arrived = bought + k["lead_time_months"]
    return arrived <= month < arrived + (k.get("term_months") or k["life_months"])


def monthly_fee(k: dict[str, Any]) -> float:
    """What one block costs to keep for a month."""
    if k["kind"] == "reservation":
        return float(k["price"]["amount"]) * HOURS
    return k["power_kw"] * float(k["pue"]) * HOURS * float(k["energy_price_per_kwh"]) + k["staff_cost_per_month"]


def serving_cost(case: dict[str, Any], month: int, active: dict[str, int], level: float) -> float | None:
    """The least cost of a month at one level of demand with so many blocks standing; None when it cannot be met."""
    pairs = [(w, o) for w in case["workloads"] for o in case["options"] if allowed(w, o)]
    cost, speed = [], []
    for w, o in pairs:
        if o["kind"] == "api":
            cost.append(float(o["price"]["amount"]) * HOURS)
            speed.append(1.0)
        else:
            u = float(o["utilisation_ceiling_ratio"])
            by_use = o["kind"] in ("on_demand", "spot")
            cost.append(float(o["price"]["amount"]) * HOURS if by_use else 0.0)
            speed.append(o["units_per_capacity_hour"][w["name"]] * (u if by_use else 1.0))
    equal, need, most, limit = [], [], [], []
    for w in case["workloads"]:
        equal.append([s if p[0] is w else 0.0 for p, s in zip(pairs, speed, strict=True)])
        need.append(w["demand_per_month"][month] / HOURS * level)
        if w["spot_share_ratio"]:
            spot = [s if p[0] is w and p[1]["kind"] == "spot" else 0.0 for p, s in zip(pairs, speed, strict=True)]
            most.append(spot)
            limit.append(float(w["spot_share_ratio"]) * need[-1])
    for o in case["options"]:
        row = [1.0 if p[1] is o else 0.0 for p in pairs]
        if o["name"] in active:
            most.append(row)
            limit.append(active[o["name"]] * float(o["utilisation_ceiling_ratio"]))
        elif o.get("quota") is not None:
            most.append(row)
            limit.append(float(o["quota"]))
    if not pairs:
        return 0.0 if not any(need) else None
    found = linprog(cost, A_ub=np.array(most) if most else None, b_ub=limit or None, A_eq=np.array(equal), b_eq=need)
    return float(found.fun) if found.status == 0 else None


def purchase_plans(case: dict[str, Any]) -> Iterator[dict[tuple[str, int], int]]:
    """Every way to buy at most two of each block in each month in which it still arrives."""
    blocks = [o for o in case["options"] if "lead_time_months" in o]
    slots = [(k["name"], t) for k in blocks for t in range(3) if t + k["lead_time_months"] < 3]
    for counts in itertools.product(range(3), repeat=len(slots)):
        yield dict(zip(slots, counts, strict=True))


def brute_force(case: dict[str, Any]) -> float | None:
    """The least cost over all whole purchases; None when none of them meets demand within the rules."""
    blocks = {o["name"]: o for o in case["options"] if "lead_time_months" in o}
    rules, site = case["rules"], (case["sites"] or [None])[0]
    known: dict[tuple[int, float, tuple[tuple[str, int], ...]], float | None] = {}
    courses = [(float(c["probability"]), float(c["demand_ratio"])) for c in case["demand_scenarios"]]
    parts = [(float(b["hours_ratio"]), float(b["demand_ratio"])) for b in case["load_blocks"]]
    best = None
    for bought in purchase_plans(case):
        total, capex, cash_of_year = 0.0, 0.0, [0.0] * len(courses)
        for month in range(3):
            active = {
                name: sum(n for (k, t), n in bought.items() if k == name and stands(option, t, month))
                + (option.get("standing", 0) if month < option.get("standing_months_left", 0) else 0)
                for name, option in blocks.items()
            }
            if any(n > 2 for n in active.values()):
                break
            usable = dict(active)
            if site and active.get("own"):
                if site["power_limit_kw"] and active["own"] * 10 * 1.2 > site["power_limit_kw"]:
                    break
                usable["own"] -= site["spare"]
                if usable["own"] < 0:
                    break
            fixed = sum(n * monthly_fee(blocks[name]) for name, n in active.items())
            for (name, t), n in bought.items():
                if t == month:
                    paid = n * (float(blocks[name]["price"]["amount"]) if name == "own" else blocks[name]["upfront"])
                    fixed += paid
                    capex += paid if name == "own" else 0
            used = []
            for _, course in courses:
                by_part = []
                for hours, level in parts:
                    key = (month, course * level, tuple(sorted(usable.items())))
                    if key not in known:
                        known[key] = serving_cost(case, month, usable, course * level)
                    by_part.append(None if known[key] is None else hours * known[key])
                used.append(None if None in by_part else sum(by_part))
            if None in used:
                break
            cash = [fixed + amount for amount in used]
            total += sum(p * c for (p, _), c in zip(courses, cash, strict=True)) * 1.1 ** (-(month + 0.5) / 12)
            cash_of_year = [a + b for a, b in zip(cash_of_year, cash, strict=True)]
        else:
            over = max(cash_of_year) > rules.get("budget_per_year", [1e18])[0] + 1e-6
            if over or capex > rules.get("capex_budget_per_year", [1e18])[0] + 1e-6:
                continue
            for (name, t), n in bought.items():
                k = blocks[name]
                arrived, life = t + k["lead_time_months"], k.get("term_months") or k["life_months"]
                ends = min(arrived + life, 3)
                if name == "own":
                    lost = float(k["price"]["amount"]) * (1 - float(k["residual_ratio"]))
                    left = float(k["price"]["amount"]) - lost * min((3 - arrived) / life, 1)
                else:
                    left = -monthly_fee(k) * max(arrived + life - 3, 0)
                total -= n * left * 1.1 ** (-ends / 12)
            best = total if best is None else min(best, total)
    return best


@pytest.mark.parametrize("chunk", range(4))
def test_plans_cost_what_the_best_of_all_whole_purchases_costs(chunk: int) -> None:
    """A plan of a tiny scenario costs exactly what the cheapest of all combinations of purchases costs."""
    infeasible = 0
    for seed in range(chunk, CASES, 4):
        case = draw(seed)
        expected = brute_force(case)
        found = solve_case(Case(Scenario.model_validate(case), settings=Settings(gap_ratio=0)))
        if expected is None:
            assert found.status == "infeasible", seed
            infeasible += 1
        else:
            assert found.plan is not None, (seed, found.reason)
            assert float(found.plan.cost) == pytest.approx(expected, rel=1e-6, abs=1e-4), seed
    assert infeasible < CASES / 8, "most cases must have a plan, or they show little"
