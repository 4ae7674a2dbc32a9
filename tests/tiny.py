"""Tiny scenarios as plain values: families that between them state every rule a scenario can have."""

import random
from typing import Any

CASES = 300
STATED = {"source": "test", "date": "2026-11-21"}
ALL_HOURS = [{"name": "all", "hours_ratio": "1", "demand_ratio": "1"}]
PEAK_AND_REST = [
    {"name": "peak", "hours_ratio": "0.2", "demand_ratio": "2"},
    {"name": "rest", "hours_ratio": "0.8", "demand_ratio": "0.75"},
]
PEAKS_APART = [
    {"name": "day", "hours_ratio": "0.5", "demand_ratio": "1.5", "workloads": {"w1": "0.5"}},
    {"name": "night", "hours_ratio": "0.5", "demand_ratio": "0.5", "workloads": {"w1": "1.5"}},
]
AS_STATED = [{"name": "expected", "probability": "1", "demand_ratio": "1"}]
LOW_OR_HIGH = [
    {"name": "low", "probability": "0.6", "demand_ratio": "0.5"},
    {"name": "high", "probability": "0.4", "demand_ratio": "1.25"},
]


def draw(seed: int) -> dict[str, Any]:
    """The scenario of a number, of one of the families in turn."""
    r = random.Random(seed)
    family = FAMILIES[seed % len(FAMILIES)]
    case: dict[str, Any] = {
        "name": f"{family.__name__}-{seed}",
        "start": "2027-01",
        "horizon_months": 3,
        "discount_ratio_per_year": "0.1",
        "load_blocks": ALL_HOURS,
        "demand_scenarios": AS_STATED,
    } | family(r)
    if case["load_blocks"] is PEAKS_APART and len(case["workloads"]) < 2:
        case["load_blocks"] = PEAK_AND_REST
    return case


def courses(r: random.Random, months: int = 3) -> list[dict[str, Any]]:
    """Demand as stated, or lower and higher, in some cases by workload and month."""
    by_month: list[dict[str, Any]] = [
        {"name": "low", "probability": "0.7", "demand_ratio": [str(r.randint(5, 10) / 10) for _ in range(months)]},
        {"name": "high", "probability": "0.3", "demand_ratio": "1.2", "workloads": {"w0": "1.6"}},
    ]
    return r.choice([AS_STATED, LOW_OR_HIGH, by_month])


def price(r: random.Random, low: int, high: int) -> dict[str, Any]:
    """A price between two figures in tenths."""
    return {"amount": str(r.randint(low, high) / 10), **STATED}


def work(r: random.Random, number: int, months: int = 3, **changes: Any) -> dict[str, Any]:
    """A workload with drawn demand."""
    return {
        "name": f"w{number}",
        "kind": "inference",
        "unit": "million_tokens",
        "demand_per_month": [r.randint(0, 40) * 100 for _ in range(months)],
        "interruptible": r.random() < 0.5,
    } | changes


def api(r: random.Random, **changes: Any) -> dict[str, Any]:
    """A model API, which can do everything."""
    return {
        "name": "api",
        "kind": "api",
        "provider": "a",
        "unit": "million_tokens",
        "latency_ms": 10,
        "price": price(r, 5, 30),
    } | changes


def rent(r: random.Random, speeds: dict[str, int], **changes: Any) -> dict[str, Any]:
    """An instance rented by the hour."""
    return {
        "name": "rent",
        "kind": "on_demand",
        "provider": "b",
        "latency_ms": 20,
        "utilisation_ceiling_ratio": r.choice(["1", "0.7"]),
        "units_per_capacity_hour": speeds,
        "price": price(r, 10, 60),
    } | changes


def reserve(r: random.Random, speeds: dict[str, int], **changes: Any) -> dict[str, Any]:
    """An instance reserved for a term."""
    return (
        rent(r, speeds)
        | {
            "name": "reserve",
            "kind": "reservation",
            "term_months": r.randint(1, 4),
            "upfront": r.choice([0, 500]),
            "lead_time_months": r.choice([0, 0, 1]),
            "staff_cost_per_month": r.choice([0, 40]),
            "quota": 2,
            "price": price(r, 10, 40),
        }
        | changes
    )


def own(r: random.Random, speeds: dict[str, int], **changes: Any) -> dict[str, Any]:
    """A server of one's own: cheap and soon worn out, or dear and good for years."""
    life = r.choice([2, 4, 24, 24])
    return {
        "name": "own",
        "kind": r.choice(["on_prem", "colo"]),
        "provider": "own",
        "site": "room",
        "latency_ms": 5,
        "utilisation_ceiling_ratio": "0.9",
        "units_per_capacity_hour": {n: s + 2 for n, s in speeds.items()},
        "life_months": life,
        "residual_ratio": r.choice(["0.2", "0.5"]) if life == 2 else r.choice(["0", "0.3"]),
        "power_kw": 10,
        "utilisation_of_power_ratio": r.choice(["1", "0.6"]),
        "pue": "1.2",
        "energy_price_per_kwh": "0.05",
        "colo_price_per_kw_month": r.choice([0, 5]),
        "maintenance_ratio_per_year": r.choice(["0", "0.12"]),
        "staff_cost_per_month": 50,
        "lead_time_months": 0 if life == 2 else r.choice([0, 1]),
        "standing": r.choice([0, 1]),
        "standing_months_left": 2,
        "running_source": "test",
        "running_date": "2026-11-21",
        "quota": 2,
        "price": {"amount": str((r.randint(1, 5) if life < 24 else r.randint(8, 25)) * 1000), **STATED},
    } | changes


def promise(r: random.Random, covered: list[str], **changes: Any) -> dict[str, Any]:
    """A spend commitment; its term may outlive the horizon, and some money may already be promised."""
    return {
        "name": "promise",
        "provider": "b",
        "discount_ratio": {name: str(r.randint(3, 6) / 10) for name in covered},
        "term_months": r.choice([1, 2, 4]),
        "quota": r.choice([None, None, "2"]),
        "standing": r.choice(["0", "0", "1.5"]),
        "standing_months_left": 2,
        "available_from": r.choice([None, None, "2027-02"]),
        **STATED,
    } | changes


def budget(r: random.Random, workloads: list[dict[str, Any]], options: list[dict[str, Any]]) -> list[int]:
    """About what the first option would take, from a little too little to a little more."""
    units = sum(sum(w["demand_per_month"]) for w in workloads)
    return [int(units * float(options[0]["price"]["amount"]) * r.uniform(0.85, 1.15))]


# ------------------------------------------------------------------------------------------------------------ families
def blocks(r: random.Random) -> dict[str, Any]:
    """What is bought whole: reservations and own servers, with power, spares, quotas and budgets."""
    workloads = [
        work(r, i, spot_share_ratio=r.choice([None, None, "0.5"]), max_latency_ms=r.choice([None, 50]))
        for i in range(r.randint(1, 3))
    ]
    speeds = {w["name"]: r.randint(1, 6) for w in workloads}
    options = [api(r, price=price(r, 15, 40))]
    if r.random() < 0.6:
        kind, latency = r.choice(["on_demand", "spot"]), r.choice([20, 80])
        options.append(rent(r, speeds, kind=kind, latency_ms=latency, quota=r.choice([None, "1.5"])))
    if r.random() < 0.7:
        options.append(reserve(r, speeds, latency_ms=r.choice([20, 80])))
    sites: list[dict[str, Any]] = []
    if r.random() < 0.95:
        sites = [{"name": "room", "spare": r.choice([0, 1]), "power_limit_kw": r.choice([None, 13, 13, 13])}]
        options.append(own(r, speeds))
    if sites and r.random() < 0.25:
        options.append(own(r, speeds, name="old", standing=1, lead_time_months=2, quota=1, power_kw=12))
    rules: dict[str, Any] = {}
    if r.random() < 0.5:
        rules["capex_budget_per_year"] = [r.choice([2, 8, 15, 20]) * 1000]
    elif r.random() < 0.8:
        rules["budget_per_year"] = budget(r, workloads, options)
    if r.random() < 0.15:
        rules["provider_share_ratio"] = {r.choice(["a", "own"]): "0.5"}
    return {
        "workloads": workloads,
        "options": options,
        "sites": sites,
        "rules": rules,
        "load_blocks": r.choice([ALL_HOURS, ALL_HOURS, PEAK_AND_REST, PEAKS_APART]),
        "demand_scenarios": r.choice([AS_STATED, AS_STATED, LOW_OR_HIGH]),
    }


def promises(r: random.Random) -> dict[str, Any]:
    """Spend commitments, beside a reservation, over load blocks and demand scenarios."""
    workloads = [work(r, i) for i in range(r.randint(1, 2))]
    speeds = {w["name"]: r.randint(2, 6) for w in workloads}
    options = [
        api(r, price=price(r, 15, 40)),
        rent(r, speeds, price=price(r, 20, 60)),
        rent(r, speeds, name="other", price=price(r, 20, 60), quota=r.choice([None, "1"])),
    ]
    if r.random() < 0.4:
        options.append(reserve(r, speeds, quota=1, term_months=3))
    commitments = [promise(r, r.choice([["rent"], ["rent", "other"]]))]
    if r.random() < 0.3:
        commitments.append(promise(r, ["rent"], name="longer", term_months=6, standing="0"))
    rules: dict[str, Any] = {}
    if r.random() < 0.4:
        rules["provider_share_ratio"] = {r.choice("ab"): "0.6"}
    elif r.random() < 0.8:
        rules["budget_per_year"] = budget(r, workloads, options)
        rules["budget_holds_in"] = r.choice(["every_scenario", "expectation"])
    return {
        "workloads": workloads,
        "options": options,
        "spend_commitments": commitments,
        "rules": rules,
        "purchase_every_months": r.choice([1, 1, 2]),
        "load_blocks": r.choice([ALL_HOURS, PEAK_AND_REST, PEAKS_APART]),
        "demand_scenarios": courses(r),
    }


def places(r: random.Random) -> dict[str, Any]:
    """Locations: moves from today's, the most there may be, and the least that is done at each."""
    today = r.choice([None, "api", "rent"])
    least = r.choice(["0", "0.3"])
    workloads = [work(r, 0, today=today, max_locations=r.choice([None, 1, 2]), least_share_ratio=least)]
    if today or r.random() < 0.5:
        workloads[0]["moving"] = {"cost": r.randint(0, 6) * 100, "data_gib": r.choice([0, 1000])}
    if r.random() < 0.5:
        workloads.append(work(r, 1))
    speeds = {w["name"]: r.randint(2, 6) for w in workloads}
    options = [
        api(r, location="far", egress_price_per_gib="0.5"),
        rent(r, speeds, location="near", egress_price_per_gib="0.2", quota=r.choice([None, "1.5"])),
    ]
    if r.random() < 0.25:
        options.append(rent(r, speeds, name="third", location="west", price=price(r, 10, 50), available_from="2027-02"))
    else:
        options.append(reserve(r, speeds, location=r.choice(["near", "far"]), quota=1))
    return {
        "workloads": workloads,
        "options": options,
        "purchase_every_months": 3,
        "load_blocks": r.choice([ALL_HOURS, PEAK_AND_REST]),
        "demand_scenarios": r.choice([AS_STATED, LOW_OR_HIGH]),
    }


def waiting(r: random.Random) -> dict[str, Any]:
    """Work that can wait within a window, on spot in part, under rate limits and caps of emissions."""
    months = r.choice([2, 4])
    waits = work(r, 0, months, window_months=r.choice([1, 2, 3]), interruptible=True)
    waits["spot_share_ratio"] = r.choice([None, "0.4"])
    if months == 2:
        waits |= {"max_locations": r.choice([None, 1]), "least_share_ratio": "0.5"}
    steady = work(r, 1, months)
    speeds = {"w0": r.randint(2, 6), "w1": r.randint(2, 6)}
    grid = {"grid_kg_per_kwh": r.choice(["0.4", "0.1"])}
    options = [
        api(
            r,
            price=price(r, 5, 12),
            rate_limit_per_minute=r.choice(["0.01", "0.02", "0.03", "0.04"]),
            kwh_per_unit="1",
            **grid,
        ),
        rent(r, speeds, power_kw=3, pue="1.2", grid_kg_per_kwh="0.1"),
        rent(r, speeds, name="spot", kind="spot", interruption_ratio="0.1", power_kw=3, grid_kg_per_kwh="0.3"),
    ]
    options[2]["price"] = price(r, 5, 30)
    if r.random() < 0.5:
        options.append(reserve(r, speeds, quota=1, power_kw=2, grid_kg_per_kwh="0.2"))
    rules = {"carbon_kg_per_month": [r.randint(2, 9) * 100, 600]} if r.random() < 0.7 else {}
    return {
        "horizon_months": months,
        "purchase_every_months": 2,
        "workloads": [waits, steady] if r.random() < 0.6 else [waits],
        "options": options,
        "rules": rules,
        "load_blocks": r.choice([ALL_HOURS, PEAK_AND_REST]),
        "demand_scenarios": courses(r, months),
    }


def company(r: random.Random) -> dict[str, Any]:
    """Rules of the company and risk: shares of providers, budgets, emissions, the costly demand scenarios."""
    workloads = [work(r, i) for i in range(r.randint(1, 2))]
    speeds = {w["name"]: r.randint(2, 6) for w in workloads}
    options = [
        api(r, price=price(r, 5, 15), kwh_per_unit="1", grid_kg_per_kwh="0.4"),
        rent(r, speeds, power_kw=3, grid_kg_per_kwh="0.2"),
        reserve(
            r,
            speeds,
            name="units",
            kind="provisioned",
            provider="a",
            upfront=r.choice([0, 2000]),
            power_kw=2,
            grid_kg_per_kwh="0.4",
            quota=1,
        ),
    ]
    if r.random() < 0.4:
        options.append(own(r, speeds, site=None, life_months=24, grid_kg_per_kwh="0.04", standing=0))
    elif r.random() < 0.5:
        options.append(
            reserve(r, speeds, name="kept", kind="monthly", term_months=1, power_kw=2, grid_kg_per_kwh="0.2", quota=1)
        )
    commitments = [promise(r, ["rent"])] if r.random() < 0.4 else []
    rules: dict[str, Any] = {}
    if r.random() < 0.8:
        rules["provider_share_ratio"] = {r.choice("ab"): r.choice(["0.4", "0.6"])}
    if r.random() < 0.5:
        rules["budget_per_year"] = budget(r, workloads, options)
        rules["budget_holds_in"] = r.choice(["every_scenario", "expectation"])
    if r.random() < 0.4:
        rules["carbon_kg_per_month"] = [r.randint(8, 16) * 100]
    return {
        "workloads": workloads,
        "options": options,
        "spend_commitments": commitments,
        "rules": rules,
        "purchase_every_months": 3,
        "risk_aversion_ratio": r.choice(["0.3", "0.5", "0.8"]),
        "risk_tail_ratio": r.choice(["0.2", "0.4", "1"]),
        "load_blocks": r.choice([ALL_HOURS, PEAK_AND_REST]),
        "demand_scenarios": r.choice([LOW_OR_HIGH, courses(r)]),
    }


def quarters(r: random.Random) -> dict[str, Any]:
    """More than a year, with what comes after it decided by the quarter; prices change with the year."""
    workloads = [work(r, 0, 15, interruptible=True, spot_share_ratio=r.choice([None, "0.4"]))]
    if r.random() < 0.5:
        workloads.append(work(r, 1, 15, window_months=r.choice([1, 3])))
    speeds = {w["name"]: r.randint(2, 6) for w in workloads}
    options = [
        api(r, price_change_ratio_per_year=r.choice(["0", "-0.2"]), kwh_per_unit="1", grid_kg_per_kwh="0.3"),
        rent(r, speeds, price_change_ratio_per_year="0.1", power_kw=3, grid_kg_per_kwh="0.1"),
    ]
    if workloads[0]["spot_share_ratio"]:
        spot = price(r, 5, 20)
        options.append(rent(r, speeds, name="spot", kind="spot", price=spot, power_kw=3, grid_kg_per_kwh="0.1"))
        options[1]["quota"] = "0.8"
    sites: list[dict[str, Any]] = []
    commitments: list[dict[str, Any]] = []
    if r.random() < 0.5:
        sites = [{"name": "room", "spare": r.choice([0, 1])}]
        options.append(own(r, speeds, life_months=18, energy_price_change_ratio_per_year="0.1"))
    else:
        options.append(
            reserve(
                r, speeds, term_months=r.choice([3, 6, 13]), price=price(r, 8, 25), price_change_ratio_per_year="-0.1"
            )
        )
        commitments = [promise(r, ["rent"], term_months=r.choice([4, 12]))]
    rules: dict[str, Any] = {"budget_per_year": budget(r, workloads, options)} if r.random() < 0.4 else {}
    if r.random() < 0.4:
        rules["provider_share_ratio"] = {"a": r.choice(["0.5", "0.8"])}
    elif not sites and r.random() < 0.5:
        rules["carbon_kg_per_month"] = [r.randint(3, 12) * 100]
        options[-1] |= {"power_kw": 2, "grid_kg_per_kwh": "0.1"}
    return {
        "horizon_months": 15,
        "demand_scenarios": r.choice([AS_STATED, courses(r, 15)]),
        "risk_aversion_ratio": "0.5",
        "rules": rules,
        "quarters_after_months": 12,
        "purchase_every_months": 12,
        "workloads": workloads,
        "options": options,
        "sites": sites,
        "spend_commitments": commitments,
        "load_blocks": r.choice([ALL_HOURS, PEAK_AND_REST]),
    }


FAMILIES = (blocks, promises, places, blocks, waiting, company, quarters)
