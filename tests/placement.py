"""Small scenarios that the tests of placement share."""

from copy import deepcopy
from typing import Any

from optimizer.case import Case, Outcome, solve_case
from optimizer.plan import Plan
from optimizer.scenario import Scenario
from optimizer.solve import Settings

STATED = {"source": "a test", "date": "2026-11-21"}
EXACT = Settings(gap_ratio=0)


def api(**changes: Any) -> dict[str, Any]:
    """A model API."""
    return {
        "name": "api",
        "kind": "api",
        "provider": "maker",
        "country": "US",
        "latency_ms": 120,
        "unit": "million_tokens",
        "price": {"amount": "3", **STATED},
    } | changes


def rented(**changes: Any) -> dict[str, Any]:
    """An instance of eight accelerators, on demand."""
    return {
        "name": "rented",
        "kind": "on_demand",
        "provider": "cloud",
        "country": "DE",
        "latency_ms": 30,
        "accelerator": "H100-80GB",
        "accelerator_count": 8,
        "accelerator_memory_gib": 80,
        "price": {"amount": "60", **STATED},
    } | changes


def reserved(**changes: Any) -> dict[str, Any]:
    """The same instance, reserved for a year."""
    return rented(
        **{"name": "reserved", "kind": "reservation", "term_months": 12, "price": {"amount": "40", **STATED}} | changes
    )


def promised(**changes: Any) -> dict[str, Any]:
    """A commitment of money per hour that makes the instance cheaper."""
    return {
        "name": "plan",
        "provider": "cloud",
        "discount_ratio": {"rented": "0.4"},
        "term_months": 12,
        "source": "a test",
        "date": "2026-11-21",
    } | changes


def server(**changes: Any) -> dict[str, Any]:
    """A server of one's own with eight accelerators."""
    return {
        "name": "own",
        "kind": "on_prem",
        "provider": "own",
        "site": "room",
        "country": "DE",
        "latency_ms": 5,
        "accelerator": "H100-80GB",
        "accelerator_count": 8,
        "accelerator_memory_gib": 80,
        "life_months": 48,
        "power_kw": 10,
        "pue": "1.5",
        "energy_price_per_kwh": "0.13",
        "maintenance_ratio_per_year": "0.1",
        "staff_cost_per_month": 900,
        "lead_time_months": 2,
        "running_source": "a test",
        "running_date": "2026-11-21",
        "price": {"amount": "300000", **STATED},
    } | changes


def chat(**changes: Any) -> dict[str, Any]:
    """Inference that is served as it comes."""
    return {
        "name": "chat",
        "kind": "inference",
        "unit": "million_tokens",
        "demand_per_month": 30000,
        "today": "api",
        "units_per_accelerator_hour": {"H100-80GB": 10},
    } | changes


def training(**changes: Any) -> dict[str, Any]:
    """Training that can wait and be interrupted."""
    return {
        "name": "training",
        "kind": "training",
        "unit": "accelerator_hours",
        "reference_accelerator": "H100-80GB",
        "demand_per_month": 4000,
        "today": "rented",
        "window_months": 3,
        "interruptible": True,
    } | changes


def scenario(**changes: Any) -> Scenario:
    """Chat and training on an API, an instance on demand or reserved, or own servers, over a year."""
    base = {
        "name": "small",
        "start": "2027-01",
        "horizon_months": 12,
        "purchase_every_months": 3,
        "workloads": [chat(), training()],
        "options": [api(), rented(), reserved(), server()],
        "sites": [{"name": "room", "spare": 1}],
    }
    return Scenario.model_validate(deepcopy(base | changes))


def outcome(of: Scenario, policy: str = "hybrid", settings: Settings = EXACT) -> Outcome:
    """What came of a scenario."""
    return solve_case(Case(of, policy, settings=settings))


def plan(of: Scenario, policy: str = "hybrid") -> Plan:
    """The plan of a scenario that has one."""
    found = outcome(of, policy)
    assert found.plan is not None, found.reason
    return found.plan
