"""Demand as it may come: random paths, and the few scenarios that stand for them while a plan is made."""

from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from optimizer import feasibility, terms
from optimizer.scenario import DemandScenario, Scenario

Ratios = NDArray[np.float64]
"""Demand against what is stated: paths x workloads x months."""
DIGITS: Final = 6


def demand_paths(scenario: Scenario) -> Ratios:
    """Random paths of demand for each workload, with a mean of one in each month; the same for the same scenario.

    log ratio = sd x (sqrt(common) B(t) + sqrt(1 - common) B_w(t)), with Brownian motions B in years, each path beside
    its mirror image.
    """
    stated = scenario.uncertainty
    assert stated is not None, "the caller asked"
    half, workloads, months = (stated.paths + 1) // 2, len(scenario.workloads), scenario.horizon_months
    random = np.random.default_rng(stated.seed)
    common = float(stated.common_ratio)
    steps = np.sqrt(common) * random.standard_normal((half, 1, months))
    steps = steps + np.sqrt(1 - common) * random.standard_normal((half, workloads, months))
    walks = float(stated.sd_ratio_per_year) * np.cumsum(steps, axis=2) / np.sqrt(12)
    ratios = np.exp(np.concatenate([walks, -walks])[: stated.paths])
    mean_one: Ratios = ratios / ratios.mean(axis=0, keepdims=True)
    mean_one[:, [w.name in stated.certain for w in scenario.workloads]] = 1.0
    return mean_one


def with_demand_scenarios(scenario: Scenario) -> Scenario:
    """The scenario with demand scenarios that stand for its random paths, where it states uncertainty but none itself.

    The paths, in the order of their demand over the horizon weighted by the workloads' cost today, are cut in parts of
    equal size; each part becomes one scenario with the mean of its paths, so that the mean of all stays one.
    """
    stated = scenario.uncertainty
    if stated is None or "demand_scenarios" in scenario.model_fields_set:
        return scenario
    ratios = demand_paths(scenario)
    order = np.argsort(np.einsum("pwt,wt->p", ratios, _weights(scenario)), kind="stable")
    parts = np.array_split(order, stated.scenarios)
    courses = [
        DemandScenario(
            name=f"demand-{number + 1}",
            probability=Decimal(len(part)) / Decimal(len(order)),
            demand_ratio=Decimal(1),
            workloads={
                w.name: tuple(Decimal(f"{r:.{DIGITS}f}") for r in ratios[part, i].mean(axis=0))
                for i, w in enumerate(scenario.workloads)
            },
        )
        for number, part in enumerate(parts)
    ]
    rest = Decimal(1) - sum((c.probability for c in courses[:-1]), Decimal(0))
    courses[-1] = courses[-1].model_copy(update={"probability": rest})
    return scenario.model_copy(update={"demand_scenarios": tuple(courses)})


def _weights(scenario: Scenario) -> NDArray[np.float64]:
    """What each workload's month costs at the cheapest price it can have by use, 1 a unit where there is none."""
    pairs = feasibility.feasible_pairs(scenario)
    rows = []
    for w in scenario.workloads:
        costs = [
            float(o.price.amount / (rate * terms.planned_ratio(o)))
            for o in scenario.pay_as_you_go
            if (w.name, o.name) in pairs and (rate := terms.throughput(w, o))
        ]
        months = range(scenario.horizon_months)
        rows.append([float(terms.demand_of_month(w, t)) * min(costs, default=1.0) for t in months])
    return np.array(rows)
