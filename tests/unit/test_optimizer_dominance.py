"""Options that can never be better are left out, and the plan is none the worse for it."""

import random
from typing import Any

import pytest

from optimizer import feasibility, policies, program
from optimizer.build import build
from optimizer.program import Program
from optimizer.scenario import Scenario
from optimizer.solve import Settings, solve
from tests.placement import STATED, api, chat, promised, rented, reserved, scenario, training
from tests.tiny import draw

CASES = 200
CHUNKS = 4


def near_duplicates(seed: int) -> Scenario:
    """A tiny scenario, most of whose rented and reserved options come two or three times with small differences."""
    r = random.Random(f"dominance-{seed}")
    case = draw(seed)
    for option in list(case["options"]):
        for copy in range(r.randint(0, 2)):
            case["options"].append(near(r, option, f"{option['name']}-{copy}"))
    return Scenario.model_validate(case)


def near(r: random.Random, option: dict[str, Any], name: str) -> dict[str, Any]:
    """An option that differs from another in one or two things."""
    price = float(option["price"]["amount"]) * r.choice([0.9, 1, 1, 1.1])
    changes: dict[str, Any] = {"name": name, "price": {"amount": f"{price:.3f}", **STATED}}
    kinds = {"location": r.choice(["near", "far"]), "provider": r.choice("abc"), "latency_ms": r.choice([5, 60])}
    if option["kind"] == "api":
        kinds |= {"rate_limit_per_minute": "0.03", "available_from": "2027-02", "kwh_per_unit": "0.5"}
    elif option["kind"] in ("on_demand", "spot"):
        kinds |= {"kind": r.choice(["on_demand", "spot"]), "quota": "1", "utilisation_ceiling_ratio": "0.8"}
    elif option["kind"] in ("reservation", "provisioned", "monthly"):
        kinds |= {"upfront": 250, "staff_cost_per_month": r.choice([0, 90]), "lead_time_months": r.choice([0, 1])}
        kinds |= {"term_months": r.choice([1, 2, 3, 5]), "quota": r.choice([None, 1])}
    changes |= {key: kinds[key] for key in r.sample(sorted(kinds), r.randint(0, 2))}
    if option["kind"] == "monthly":
        changes["term_months"] = 1
    return option | changes


def built(of: Scenario) -> Program:
    """The program of a scenario under free choice."""
    return build(of, policy=policies.POLICIES["hybrid"], pairs=feasibility.feasible_pairs(of))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_is_dropped_was_never_needed(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimum with every option is the optimum without those that are dropped, and many are dropped."""
    dropped = 0
    for seed in range(chunk, CASES, CHUNKS):
        of = near_duplicates(seed)
        small = built(of)
        if not small.dropped:
            continue
        with monkeypatch.context() as patched:
            patched.setattr(program, "never_better", lambda *_: {})
            whole = built(of)
            assert whole.dropped == {}
        dropped += len(small.dropped)
        lean, full = solve(small, Settings(gap_ratio=0)), solve(whole, Settings(gap_ratio=0))
        assert lean.status == full.status, of.name
        assert lean.objective == pytest.approx(full.objective, rel=1e-6, abs=1e-3), of.name
    assert dropped > CASES / CHUNKS


@pytest.mark.parametrize("seed", range(0, CASES, 10))
def test_what_is_dropped_names_a_better_option_that_stays(seed: int) -> None:
    """Each pair that is dropped names an option that serves the same workload and is not dropped itself."""
    of = near_duplicates(seed)
    found = built(of)
    for (workload, option), better in found.dropped.items():
        assert (workload, better) in found.pairs
        assert (workload, better) not in found.dropped
        assert better != option


def dropped(*options: dict[str, Any], **changes: Any) -> dict[tuple[str, str], str]:
    """What is dropped of a scenario with one workload and some options."""
    return built(scenario(**{"workloads": [chat(today=None)], "options": [*options], "sites": []} | changes)).dropped


def dearer(**changes: Any) -> dict[str, Any]:
    """The rented instance at a higher price."""
    return rented(**{"name": "dearer", "price": {"amount": "70", **STATED}} | changes)


def test_the_dearer_of_two_equal_offers_is_dropped() -> None:
    """An offer that does the same work for more is dropped in favour of the other; of two equals one stays."""
    assert dropped(rented(), dearer()) == {("chat", "dearer"): "rented"}
    assert len(dropped(rented(), rented(name="again"))) == 1
    assert dropped(reserved(), reserved(name="dearer", upfront=10)) == {("chat", "dearer"): "reserved"}


KEPT: dict[str, tuple[tuple[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    "the cheaper has a quota": ((rented(quota=1), dearer()), {}),
    "the cheaper is offered later": ((rented(available_from="2027-03"), dearer()), {}),
    "the cheaper takes so much a minute": (
        (api(rate_limit_per_minute=1), api(name="other", price={"amount": "4", **STATED})),
        {},
    ),
    "the dearer is discounted": (
        (rented(), dearer()),
        {"spend_commitments": [promised(discount_ratio={"dearer": "0.4"})]},
    ),
    "emissions are capped": (
        (rented(power_kw=5, grid_kg_per_kwh="0.4"), dearer(power_kw=5, grid_kg_per_kwh="0.1")),
        {"rules": {"carbon_kg_per_month": 100_000}},
    ),
    "providers have shares": (
        (rented(), dearer(provider="other")),
        {"rules": {"provider_share_ratio": {"cloud": "0.5"}}},
    ),
    "a dearer bill makes room for a limited provider": (
        (rented(), dearer()),
        {"rules": {"provider_share_ratio": {"maker": "0.5"}}},
    ),
    "the work is elsewhere": ((rented(), dearer(location="Paris")), {"workloads": [chat(today=None, max_locations=1)]}),
    "the cheaper is spot, of which there is a share": (
        (rented(kind="spot"), dearer()),
        {"workloads": [training(today=None, spot_share_ratio="0.5")]},
    ),
    "the cheaper reservation ends earlier": ((reserved(term_months=6), reserved(name="longer", upfront=10)), {}),
    "the cheaper reservation arrives earlier and ends earlier": (
        (reserved(), reserved(name="later", upfront=10, lead_time_months=1)),
        {},
    ),
    "the cheaper reservation owes more beyond the horizon": (
        (reserved(), reserved(name="staffed", price={"amount": "39", **STATED}, staff_cost_per_month=740)),
        {"horizon_months": 6},
    ),
}


@pytest.mark.parametrize("why", KEPT)
def test_nothing_is_dropped_where_a_rule_or_limit_looks_at_the_option(why: str) -> None:
    """Where the two options differ for a rule, a limit, a discount or in time, both stay."""
    options, changes = KEPT[why]
    changed = {"workloads": [chat(today=None)], "options": [*options], "sites": []} | changes
    assert built(scenario(**changed)).dropped == {}
