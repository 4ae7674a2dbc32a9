"""Forced policies: the same demand placed as it is today, in one kind of hosting only, or freely."""

from collections.abc import Collection
from dataclasses import dataclass

from optimizer import feasibility, terms
from optimizer.options import Metered, Option, Rented
from optimizer.scenario import Scenario, Workload

HYBRID = "hybrid"
CLOUD = frozenset({"cloud"})
BY_USE = frozenset({"on_demand", "monthly", "metered"})
OWNED = frozenset({"on_prem", "colo", "edge"})


@dataclass(frozen=True)
class Policy:
    """A restriction of the options, by name, with what it means."""

    name: str
    title: str
    kinds: frozenset[str] | None = None
    """The kinds of option it allows; None allows what the rules allow."""
    hosting: frozenset[str] | None = None
    today_only: bool = False

    @property
    def may_commit(self) -> bool:
        """Whether it allows new spend commitments."""
        return not self.today_only and (self.kinds is None or "reservation" in self.kinds)


POLICIES: dict[str, Policy] = {
    p.name: p
    for p in (
        Policy(HYBRID, "Hybrid: free choice within the rules"),
        Policy("as_is", "As it is today", today_only=True),
        Policy("cloud_on_demand", "All cloud, on demand", BY_USE, CLOUD),
        Policy("cloud_committed", "All cloud, with commitments", BY_USE | {"reservation"}, CLOUD),
        Policy("on_prem", "All on own servers", OWNED),
        Policy("api_only", "Model APIs only", frozenset({"api", "provisioned"})),
    )
}


def permits(policy: Policy, workload: Workload, option: Option) -> bool:
    """Whether the policy lets the workload run on the option in the long run."""
    if policy.today_only:
        return workload.today == option.name
    kind_allowed = policy.kinds is None or option.kind in policy.kinds
    return kind_allowed and (policy.hosting is None or option.hosting in policy.hosting)


def exempt(scenario: Scenario, policy: Policy, pairs: frozenset[tuple[str, str]]) -> dict[str, str]:
    """Workloads that no option of the policy fits, with the reason; they stay where they run today, or run freely.

    A policy that exempts every workload cannot be followed.
    """
    if policy.today_only or policy.kinds is None:
        return {}
    found = {}
    for w in scenario.workloads:
        candidates = [o for o in scenario.options if permits(policy, w, o)]
        if not any((w.name, o.name) in pairs for o in candidates):
            why = [e for o in candidates for e in feasibility.excluded(scenario, w, o)]
            found[w.name] = feasibility.reasons(why) or "there is no such option"
    return found


def follows(policy: Policy, workload: Workload, option: Option, exempted: Collection[str]) -> bool:
    """Whether the workload may run on the option in the long run: by the policy, or by its exemption from it."""
    if workload.name in exempted:
        return workload.today is None or workload.today == option.name
    return permits(policy, workload, option)


def bridge_until(scenario: Scenario, policy: Policy, workload: Workload, pairs: frozenset[tuple[str, str]]) -> int:
    """The month in which the policy's first own server can stand; before it the workload stays where it is today.

    A quarter that is decided as one is bridged as a whole. 0 for policies that need no hardware to arrive.
    """
    if policy.kinds != OWNED:
        return 0
    mine = [o for o in scenario.options if (workload.name, o.name) in pairs and permits(policy, workload, o)]
    first = min((m for o in mine if (m := feasibility.first_month(scenario, o)) is not None), default=0)
    return terms.next_period(scenario, first)


def bridges(workload: Workload, option: Option) -> bool:
    """Whether the option may serve the workload while own servers are on their way: today's, or any pay-as-you-go."""
    if workload.today is not None:
        return workload.today == option.name
    return isinstance(option, Rented | Metered)


def objection(scenario: Scenario, policy: Policy, pairs: frozenset[tuple[str, str]]) -> str | None:
    """Why the policy cannot be followed at all, in words; None when it can, be it with exemptions."""
    if policy.today_only:
        homeless = [w.name for w in scenario.workloads if w.today is None]
        if homeless:
            return f"where {', '.join(homeless)} runs today is not stated"
        barred = [w for w in scenario.workloads if (w.name, str(w.today)) not in pairs]
        why = [e for w in barred for e in feasibility.excluded(scenario, w, scenario.option(str(w.today)))]
        return "; ".join(f"{e.workload} may not stay on {e.option}: {e.reason}" for e in why) or None
    if policy.kinds is None:
        served = {w for w, _ in pairs}
        stuck = [w for w in scenario.workloads if w.name not in served]
        why = [e for w in stuck for o in scenario.options for e in feasibility.excluded(scenario, w, o)]
        return f"{', '.join(w.name for w in stuck)}: {feasibility.reasons(why)}" if stuck else None
    exempted = exempt(scenario, policy, pairs)
    if len(exempted) < len(scenario.workloads):
        return None
    return "; ".join(f"{name}: {why}" for name, why in exempted.items())
