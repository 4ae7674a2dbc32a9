"""Which workload may run on which option, and for each pair that may not: the rule and the reason in words.

One function per rule; its name is the rule's name in the explanation. Rules that a company may lift have an entry in
WORKLOAD_RULES, SITE_RULES or PLAN_RULES, so that a plan can be priced without them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal

from finops.errors import ConfigError
from optimizer import terms
from optimizer.options import Block, Metered, Option, Rented
from optimizer.scenario import Scenario, Workload

Reason = str | None


@dataclass(frozen=True)
class Exclusion:
    """A workload that may not run on an option, the rule that says so, and why in words."""

    workload: str
    option: str
    rule: str
    reason: str


def use(workload: Workload, option: Option) -> Reason:
    """An option that names its workloads serves no other."""
    if option.workloads and workload.name not in option.workloads:
        return f"it is offered for {', '.join(option.workloads)} only"
    return None


def unit(workload: Workload, option: Option) -> Reason:
    """A metered option is paid in the unit in which the workload is counted."""
    if isinstance(option, Metered) and option.unit != workload.unit:
        return f"it is priced per {option.unit}, the demand is counted in {workload.unit}"
    return None


def residency(workload: Workload, option: Option) -> Reason:
    """Data stays in the countries that the workload allows."""
    if not workload.residency or option.country in workload.countries:
        return None
    where = f"this is in {option.country}" if option.country else "the country of this option is not stated"
    return f"data must stay in {', '.join(workload.residency)}; {where}"


def latency(workload: Workload, option: Option) -> Reason:
    """The round trip is no longer than the workload bears."""
    if workload.max_latency_ms is None:
        return None
    if option.latency_ms is None:
        return f"it must answer within {workload.max_latency_ms} ms; the latency of this option is not stated"
    if option.latency_ms > workload.max_latency_ms:
        return f"it must answer within {workload.max_latency_ms} ms; this takes {option.latency_ms} ms"
    return None


def hosting(workload: Workload, option: Option) -> Reason:
    """The kind of hosting is one that the workload's policy allows."""
    if workload.allowed_hosting and option.hosting not in workload.allowed_hosting:
        return f"hosting must be {' or '.join(workload.allowed_hosting)}; this is {option.hosting}"
    return None


def accelerator(workload: Workload, option: Option) -> Reason:
    """The accelerator is one that the workload allows."""
    if option.hosting == "api" or isinstance(option, Metered) or not workload.allowed_accelerators:
        return None
    if option.accelerator not in workload.allowed_accelerators:
        return f"it runs on {', '.join(workload.allowed_accelerators)} only; this has {option.accelerator or 'none'}"
    return None


def memory(workload: Workload, option: Option) -> Reason:
    """The accelerators of one instance together hold one copy of the model."""
    if option.hosting == "api" or isinstance(option, Metered) or not workload.accelerator_memory_gib:
        return None
    if option.accelerator_memory_gib is None:
        return (
            f"it needs {workload.accelerator_memory_gib} GiB of accelerator memory; this option does not state its own"
        )
    total = option.accelerator_memory_gib * option.accelerator_count
    if total < workload.accelerator_memory_gib:
        return (
            f"it needs {workload.accelerator_memory_gib} GiB of accelerator memory; this has {total.normalize():f} GiB"
        )
    return None


def interruptibility(workload: Workload, option: Option) -> Reason:
    """Only work that may be interrupted runs on spot capacity."""
    if isinstance(option, Rented) and option.kind == "spot" and not workload.interruptible:
        return "it must not be interrupted; spot capacity can be taken back"
    return None


def throughput(workload: Workload, option: Option) -> Reason:
    """Somebody has stated how much of this work the option does."""
    if not isinstance(option, Metered) and terms.throughput(workload, option) is None:
        shown = option.accelerator or option.name
        return f"nobody has stated how many {workload.unit} an hour of {shown} serves"
    return None


def availability(scenario: Scenario, option: Option) -> Reason:
    """The option can be had within the horizon."""
    months = range(scenario.horizon_months)
    if isinstance(option, Block):
        bought = any(terms.may_be_bought(scenario, option, t) for t in months)
        if bought or terms.standing(option, 0):
            return None
        return f"ordered at once it would arrive after the horizon (lead time {option.lead_time_months} months)"
    if not any(terms.is_available(scenario, option, t) for t in months):
        return f"it is offered from {option.available_from}, after the horizon"
    return None


def carbon(scenario: Scenario, option: Option) -> Reason:
    """Where emissions are capped, those of the option are known."""
    if not scenario.rules.carbon_kg_per_month or terms.kg_is_stated(option):
        return None
    return "emissions are capped; the electricity or the carbon intensity of this option is not stated"


PAIR_RULES: tuple[Callable[[Workload, Option], Reason], ...] = (
    use, unit, residency, latency, hosting, accelerator, memory, interruptibility, throughput,
)  # fmt: skip


def excluded(scenario: Scenario, workload: Workload, option: Option) -> list[Exclusion]:
    """Every rule that keeps this workload off this option."""
    if (other := use(workload, option)) is not None:  # what else speaks against it is beside the point
        return [Exclusion(workload.name, option.name, use.__name__, other)]
    found = [(rule.__name__, rule(workload, option)) for rule in PAIR_RULES]
    found += [(rule.__name__, rule(scenario, option)) for rule in (availability, carbon)]
    return [Exclusion(workload.name, option.name, rule, reason) for rule, reason in found if reason is not None]


def exclusions(scenario: Scenario) -> list[Exclusion]:
    """Every pair that is left out, once for each rule that leaves it out."""
    return [e for w in scenario.workloads for o in scenario.options for e in excluded(scenario, w, o)]


def feasible_pairs(scenario: Scenario) -> frozenset[tuple[str, str]]:
    """The pairs (workload, option) that break no rule.

    Raises ConfigError for a workload that no option fits; the message names the rule that excludes each one.
    """
    left_out = exclusions(scenario)
    banned = {(e.workload, e.option) for e in left_out}
    pairs = frozenset((w.name, o.name) for w in scenario.workloads for o in scenario.options) - banned
    served = {w for w, _ in pairs}
    homeless = [w for w in scenario.workloads if w.name not in served]
    if homeless:
        raise ConfigError(
            "; ".join(f"no option fits the workload {w.name}: {_reasons(left_out, w.name)}" for w in homeless),
            expected="at least one option that every rule allows, for each workload",
            next_step="add an option, or relax one of the rules named above",
        )
    return pairs


def _reasons(left_out: list[Exclusion], workload: str) -> str:
    return reasons([e for e in left_out if e.workload == workload]) or "the scenario has no options"


def reasons(left_out: Iterable[Exclusion]) -> str:
    """Exclusions in words, options with the same reason together: "not on a, b (latency): …"."""
    options: dict[tuple[str, str], list[str]] = {}
    others = set()
    for e in left_out:
        if e.rule == use.__name__:
            others.add(e.option)
        else:
            options.setdefault((e.rule, e.reason), []).append(e.option)
    sentences = [f"not on {', '.join(names)} ({rule}): {reason}" for (rule, reason), names in options.items()]
    if others and not sentences:
        return "no other option is offered for it"
    if others:
        named = ", ".join(sorted(others)) if len(others) <= 3 else f"{len(others)} options"
        sentences.append(f"{named} serve other work only (use)")
    return "; ".join(sentences)


def first_month(scenario: Scenario, option: Option) -> int | None:
    """The first month in which the option can serve; None when it cannot within the horizon."""
    months = range(scenario.horizon_months)
    if isinstance(option, Rented | Metered):
        return next((t for t in months if terms.is_available(scenario, option, t)), None)
    return _first_block_month(scenario, option)


def _first_block_month(scenario: Scenario, option: Block) -> int | None:
    if terms.standing(option, 0):
        return 0
    bought = next((t for t in range(scenario.horizon_months) if terms.may_be_bought(scenario, option, t)), None)
    return None if bought is None else terms.arrival(option, bought)


def lifted(scenario: Scenario, rule: str) -> Scenario:
    """The scenario without one of its rules."""
    if rule in WORKLOAD_RULES:
        workloads = tuple(w.model_copy(update=WORKLOAD_RULES[rule]) for w in scenario.workloads)
        return scenario.model_copy(update={"workloads": workloads})
    if rule in SITE_RULES:
        sites = tuple(s.model_copy(update=SITE_RULES[rule]) for s in scenario.sites)
        return scenario.model_copy(update={"sites": sites})
    if rule in OPTION_RULES:
        key = OPTION_RULES[rule]
        options = tuple(o.model_copy(update={key: None}) if hasattr(o, key) else o for o in scenario.options)
        promised = tuple(j.model_copy(update={key: None}) if hasattr(j, key) else j for j in scenario.spend_commitments)
        return scenario.model_copy(update={"options": options, "spend_commitments": promised})
    return scenario.model_copy(update={"rules": scenario.rules.model_copy(update=PLAN_RULES[rule])})


WORKLOAD_RULES: dict[str, dict[str, object]] = {
    "residency": {"residency": ()},
    "latency": {"max_latency_ms": None},
    "hosting": {"allowed_hosting": ()},
    "accelerator": {"allowed_accelerators": ()},
    "spot_share": {"spot_share_ratio": None},
    "presence": {"max_locations": None, "least_share_ratio": Decimal(0)},
    "move": {"moving": None},
}
OPTION_RULES: dict[str, str] = {"quota": "quota", "api_rate_limit": "rate_limit_per_minute"}
SITE_RULES: dict[str, dict[str, object]] = {"spare": {"spare": 0}, "on_prem_power": {"power_limit_kw": None}}
PLAN_RULES: dict[str, dict[str, object]] = {
    "budget": {"budget_per_year": ()},
    "capex_budget": {"capex_budget_per_year": ()},
    "provider_share": {"provider_share_ratio": {}},
    "carbon": {"carbon_kg_per_month": ()},
}


def stated_rules(scenario: Scenario) -> list[str]:
    """The rules that this scenario states and could be lifted, in the order in which they are explained."""
    rules = [*WORKLOAD_RULES, *PLAN_RULES, *SITE_RULES, *OPTION_RULES]
    return [r for r in rules if lifted(scenario, r) != scenario]
