"""Verifies a plan without the program that made it: every rule is evaluated again and the cost is summed again.

Nothing here may import the solver or the program; a test holds that. Findings are data: a plan without findings keeps
every rule of its scenario and costs what it says.
"""

from optimizer.check import capacity, money, places, work
from optimizer.check.view import Finding, View
from optimizer.plan import Plan
from optimizer.scenario import Scenario

__all__ = ["Finding", "findings"]


def findings(scenario: Scenario, plan: Plan) -> list[Finding]:
    """Everything that is wrong with a plan; empty when it holds."""
    if strangers := _strangers(scenario, plan):
        return [Finding("known", ", ".join(strangers), "unknown names", "names of the scenario")]
    view = View(scenario, plan)
    rules = (
        work.pairs, capacity.bought, work.serve, work.deliver, capacity.block_capacity, capacity.spare,
        capacity.on_prem_power, capacity.commitment_use, capacity.commitment_cover, capacity.quota, work.spot_share,
        money.provider_share, capacity.api_rate_limit, money.budget, money.capex_budget, places.carbon,
        places.presence, places.move, money.cost,
    )  # fmt: skip
    # with half a server, or a month before the first, the other rules cannot be evaluated
    impossible = list(capacity.amounts(view))
    return impossible or [finding for rule in rules for finding in rule(view)]


def _strangers(scenario: Scenario, plan: Plan) -> list[str]:
    """Names in the plan that the scenario does not have."""
    options = {u.option for u in plan.uses} | {p.option for p in plan.purchases} | {s.option for s in plan.spares}
    options |= {c.option for c in plan.covers}
    workloads = (
        {u.workload for u in plan.uses} | {p.workload for p in plan.presences} | {m.workload for m in plan.moves}
    )
    commitments = {p.commitment for p in plan.promises} | {c.commitment for c in plan.covers}
    return sorted(
        options - {o.name for o in scenario.options}
        | workloads - {w.name for w in scenario.workloads}
        | commitments - {j.name for j in scenario.spend_commitments}
    )
