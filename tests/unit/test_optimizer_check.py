"""The check finds what is wrong with a plan, and cannot share a fault with the solver."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from optimizer.check import findings
from optimizer.plan import Plan, Purchase, Spare, Use
from tests.placement import STATED, api, chat, plan, rented, reserved, scenario, server, training

CORRUPTIBLE = scenario(
    workloads=[
        chat(residency=["EU", "US"], max_latency_ms=150, demand_per_month=150000),
        training(allowed_accelerators=["H100-80GB"], spot_share_ratio="0.5"),
    ],
    options=[
        api(),
        rented(quota="1"),
        rented(name="spot", kind="spot", price={"amount": "20", **STATED}, available_from="2027-03"),
        rented(name="far", country="JP", latency_ms=200),
        reserved(quota=1),
        server(price={"amount": "150000", **STATED}),
    ],
    sites=[{"name": "room", "spare": 1, "power_limit_kw": 60}],
    rules={
        "budget_per_year": 4_000_000,
        "capex_budget_per_year": 600_000,
        "provider_share_ratio": {"maker": "0.9"},
    },
    load_blocks=[
        {"name": "peak", "hours_ratio": "0.2", "demand_ratio": "1.8"},
        {"name": "base", "hours_ratio": "0.8", "demand_ratio": "0.8"},
    ],
)
PLAN = plan(CORRUPTIBLE)


def test_a_plan_of_the_program_has_no_findings() -> None:
    """What the program makes passes, and the plan below uses every kind of option that the corruptions need."""
    assert findings(CORRUPTIBLE, PLAN) == []
    assert {u.option for u in PLAN.uses} >= {"api", "reserved", "own", "spot"}
    assert PLAN.spares
    assert PLAN.purchases


def test_the_check_imports_neither_solver_nor_program() -> None:
    """A fault of the program cannot hide in the check, because the check does not load it."""
    code = (
        "import sys, optimizer.check; alien = {'pulp', 'highspy', 'optimizer.program', 'optimizer.constraints', "
        "'optimizer.solve', 'optimizer.case', 'optimizer.costing'} & set(sys.modules); "
        "sys.exit(str(alien) if alien else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _use(of: Plan, option: str) -> tuple[int, Use]:
    return next((i, u) for i, u in enumerate(of.uses) if u.option == option)


def _changed(of: Plan, used: str, /, **changes: object) -> Plan:
    at, use = _use(of, used)
    return replace(of, uses=(*of.uses[:at], replace(use, **changes), *of.uses[at + 1 :]))  # type: ignore[arg-type]


def _line(of: Plan, **changes: object) -> Plan:
    return replace(of, lines=(replace(of.lines[0], **changes), *of.lines[1:]))  # type: ignore[arg-type]


def _bought(of: Plan, option: str) -> Purchase:
    return next(p for p in of.purchases if p.option == option)


def _without(of: Plan, option: str) -> Plan:
    return replace(of, purchases=tuple(p for p in of.purchases if p is not _bought(of, option)))


def _with(of: Plan, **purchase: object) -> Plan:
    return replace(of, purchases=(*of.purchases, Purchase(**purchase)))  # type: ignore[arg-type]


CENT = Decimal("0.01")
CORRUPTIONS: dict[str, tuple[Callable[[Plan], Plan], str]] = {
    "cost a cent up": (lambda p: replace(p, cost=p.cost + CENT), "cost"),
    "cost a cent down": (lambda p: replace(p, cost=p.cost - CENT), "cost"),
    "closing value changed": (lambda p: replace(p, closing_value=p.closing_value + CENT), "cost"),
    "a line a cent up": (lambda p: _line(p, running=p.lines[0].running + CENT), "cost"),
    "a purchase off the books": (lambda p: _line(p, purchases=p.lines[0].purchases + 1), "cost"),
    "a line left out": (lambda p: replace(p, lines=p.lines[1:]), "cost"),
    "a line twice": (lambda p: replace(p, lines=(*p.lines, p.lines[0])), "cost"),
    "another objective": (lambda p: replace(p, objective=p.objective * 1.001), "cost"),
    "less served": (lambda p: _changed(p, "api", capacity=_use(p, "api")[1].capacity * Decimal("0.9")), "serve"),
    "more served": (lambda p: _changed(p, "api", capacity=_use(p, "api")[1].capacity * Decimal("1.1")), "serve"),
    "one load block not served": (
        lambda p: replace(p, uses=tuple(u for u in p.uses if (u.workload, u.month, u.block) != ("chat", 6, 1))),
        "serve",
    ),
    "work after its window": (lambda p: _changed(p, "spot", month=9), "deliver"),
    "work left undone": (
        lambda p: replace(p, uses=tuple(u for u in p.uses if u.workload != "training" or u.month > 2)),
        "deliver",
    ),
    "capacity of a block exceeded": (lambda p: _changed(p, "own", capacity=Decimal(50)), "block_capacity"),
    "a reservation used without being bought": (lambda p: _without(p, "reserved"), "block_capacity"),
    "a server used before it arrives": (lambda p: _changed(p, "own", month=0), "block_capacity"),
    "no spare": (lambda p: replace(p, spares=()), "spare"),
    "the spare used": (
        lambda p: replace(p, spares=tuple(Spare(s.option, s.month, s.count - 1) for s in p.spares)),
        "spare",
    ),
    "more power than there is": (lambda p: _with(p, option="own", month=3, count=9), "on_prem_power"),
    "quota of an instance exceeded": (
        lambda p: replace(p, uses=(*p.uses, Use("chat", "rented", 5, 0, 0, Decimal(2)))),
        "quota",
    ),
    "quota of a block exceeded": (lambda p: _with(p, option="reserved", month=0, count=3), "quota"),
    "spot beyond its share": (lambda p: _changed(p, "spot", capacity=Decimal(100)), "spot_share"),
    "a provider beyond its share": (
        lambda p: replace(p, uses=tuple(u for u in p.uses if u.option == "api"), purchases=()),
        "provider_share",
    ),
    "budget exceeded": (lambda p: _changed(p, "api", capacity=Decimal(10_000_000)), "budget"),
    "capex budget exceeded": (lambda p: _with(p, option="own", month=0, count=5), "capex_budget"),
    "a forbidden region": (lambda p: _changed(p, "api", option="far"), "forbidden"),
    "spot for what must not stop": (lambda p: _changed(p, "api", option="spot"), "forbidden"),
    "an offer before its time": (lambda p: _changed(p, "spot", month=0), "forbidden"),
    "an API for counted hours": (lambda p: _changed(p, "api", workload="training"), "forbidden"),
    "half a server": (lambda p: _with(p, option="own", month=0, count=0.5), "amounts"),
    "less than no server": (lambda p: _with(p, option="own", month=0, count=-1), "amounts"),
    "negative use": (lambda p: _changed(p, "api", capacity=Decimal(-1)), "amounts"),
    "use after the horizon": (lambda p: _changed(p, "api", month=12), "amounts"),
    "a purchase between the moments of purchase": (lambda p: _with(p, option="own", month=1, count=1), "bought"),
    "on-demand instances bought": (lambda p: _with(p, option="rented", month=0, count=1), "bought"),
    "an unknown option": (lambda p: _changed(p, "api", option="nowhere"), "known"),
    "another policy": (lambda p: replace(p, policy="api_only"), "forbidden"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_check_catches(name: str) -> None:
    """A plan that was changed in one place has a finding that names the rule it now breaks."""
    corrupt, rule = CORRUPTIONS[name]
    assert rule in {f.rule for f in findings(CORRUPTIBLE, corrupt(PLAN))}


def test_an_expired_commitment_serves_no_more() -> None:
    """A commitment used after its term is found."""
    short = scenario(workloads=[chat()], options=[api(), reserved(term_months=6)], sites=[])
    found = plan(short)
    once = replace(found, purchases=found.purchases[:1])
    assert "block_capacity" in {f.rule for f in findings(short, once)}


def test_a_price_that_changes_after_the_plan_is_found() -> None:
    """The cost is summed from the scenario's prices, not from what the plan says."""
    first = CORRUPTIBLE.options[0]
    dearer = first.model_copy(update={"price": first.price.model_copy(update={"amount": first.price.amount * 2})})
    changed = CORRUPTIBLE.model_copy(update={"options": (dearer, *CORRUPTIBLE.options[1:])})
    assert "cost" in {f.rule for f in findings(changed, PLAN)}
