"""Options that can never be better than another one, so that the program need not weigh them.

What is used by the hour or unit gives way to what does the same work for no more in every month; a reservation to one
that does at least as much of every work and costs no more. Where a rule, a limit or a discount looks at the option
itself, nothing gives way.
"""

from collections.abc import Callable, Collection
from decimal import Decimal

from optimizer import terms
from optimizer.options import Metered, Option, PayAsYouGo, Reservation
from optimizer.scenario import Scenario, Workload

Pair = tuple[str, str]
Permitted = Callable[[Workload, Option, int], bool]


def never_better(scenario: Scenario, pairs: Collection[Pair], permitted: Permitted) -> dict[Pair, str]:
    """The pairs (workload, option) that can be left out, each with the option that is never worse.

    pairs: those that may be used. permitted: whether the policy allows a pair in a month.
    """
    found: dict[Pair, str] = {}
    covered = {name for j in scenario.spend_commitments for name in j.discount_ratio}
    for w in scenario.workloads:
        options = [o for o in scenario.pay_as_you_go if (w.name, o.name) in pairs]
        profiles = {o.name: _costs(scenario, w, o, permitted) for o in options}
        for o in options:
            if o.name in covered or o.quota is not None:
                continue
            for better in options:
                if (
                    better is not o
                    and (w.name, better.name) not in found
                    and _is_free(better)
                    and _counts_alike(scenario, w, o, better)
                    and _is_never_dearer(profiles[better.name], profiles[o.name])
                ):
                    found[w.name, o.name] = better.name
                    break
    return _last(found | _reservations(scenario, pairs, permitted))


def _last(found: dict[Pair, str]) -> dict[Pair, str]:
    """Each pair with an option that stays, where the one it gave way to gave way itself."""
    for (w, option), better in found.items():
        while (w, better) in found:
            better = found[w, better]
        found[w, option] = better
    return found


def _costs(scenario: Scenario, w: Workload, option: PayAsYouGo, permitted: Permitted) -> list[Decimal | None]:
    """Cost of a unit of work in each month, None where the option cannot be used."""
    rate = (terms.throughput(w, option) or Decimal(0)) * terms.planned_ratio(option)
    return [
        terms.unit_price(option, t) / rate
        if permitted(w, option, t) and terms.is_available(scenario, option, t)
        else None
        for t in range(scenario.horizon_months)
    ]


def _is_never_dearer(better: list[Decimal | None], other: list[Decimal | None]) -> bool:
    return all(b is not None and b <= o for b, o in zip(better, other, strict=True) if o is not None)


def _is_free(option: Option) -> bool:
    """Whether nothing limits how much of the option is used."""
    limited = isinstance(option, Metered) and option.rate_limit_per_minute is not None
    return option.quota is None and not limited


def _counts_alike(scenario: Scenario, w: Workload, one: Option, other: Option) -> bool:
    """Whether no rule tells the two options apart."""
    rules = scenario.rules
    spot = w.spot_share_ratio is not None and "spot" in (one.kind, other.kind)
    # what one provider is paid makes room for another: a dearer bill may be what a share needs
    shares = bool(rules.provider_share_ratio)
    places = terms.has_places(w) and terms.location(one) != terms.location(other)
    return not (spot or shares or places or rules.carbon_kg_per_month)


def _reservations(scenario: Scenario, pairs: Collection[Pair], permitted: Permitted) -> dict[Pair, str]:
    """Reservations that another one of the same term outdoes for every workload."""
    blocks = [k for k in scenario.blocks if isinstance(k, Reservation)]
    users = {k.name: [w for w in scenario.workloads if (w.name, k.name) in pairs] for k in blocks}
    gone: dict[str, str] = {}
    for k in blocks:
        if k.standing or not users[k.name]:
            continue
        for better in blocks:
            if (
                better is not k
                and better.name not in gone
                and _outdoes(scenario, better, k, users[k.name], pairs, permitted)
            ):
                gone[k.name] = better.name
                break
    return {(w.name, k): better for k, better in gone.items() for w in users[k]}


def _outdoes(
    scenario: Scenario,
    better: Reservation,
    other: Reservation,
    users: list[Workload],
    pairs: Collection[Pair],
    permitted: Permitted,
) -> bool:
    same = (better.kind, better.term_months, better.utilisation_ceiling_ratio) == (
        other.kind, other.term_months, other.utilisation_ceiling_ratio,
    )  # fmt: skip
    # one that arrives earlier ends earlier too
    if not same or better.quota is not None or better.lead_time_months != other.lead_time_months:
        return False
    months = range(scenario.horizon_months)
    if any(
        terms.may_be_bought(scenario, other, t)
        and not (
            terms.may_be_bought(scenario, better, t)
            and terms.purchase_price(better, t) <= terms.purchase_price(other, t)
            and terms.running_cost(better, t, t) <= terms.running_cost(other, t, t)
            and terms.closing_value(scenario, better, t) >= terms.closing_value(scenario, other, t)
        )
        for t in months
    ):
        return False
    return all(
        (w.name, better.name) in pairs
        and _counts_alike(scenario, w, other, better)
        and (terms.throughput(w, better) or Decimal(0)) >= (terms.throughput(w, other) or Decimal(0))
        and all(permitted(w, better, t) or not permitted(w, other, t) for t in months)
        for w in users
    )
