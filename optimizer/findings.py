"""What is possible in a scenario but seldom meant: named, and used only where the scenario accepts it by name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from finops.errors import ConfigError
from finops.prices import OwnPrices
from optimizer import terms
from optimizer.accelerators import accelerators
from optimizer.offers import OLD_MONTHS, SHIPPED, offered_accelerators
from optimizer.options import Metered, Option, Rented, Reservation, Server
from optimizer.scenario import FindingName, Scenario

FAR_MONTHS = 60
"""A price that is older than this when the horizon ends needs a stated yearly change."""


@dataclass(frozen=True)
class Finding:
    """What was found, what is usual, and what to do; `name` is what accept_findings calls it."""

    name: FindingName
    found: str
    expected: str
    next_step: str

    @property
    def message(self) -> str:
        """The finding in one line."""
        return f"{self.found} ({self.name}); expected {self.expected}: {self.next_step}"


def findings(scenario: Scenario, own: OwnPrices = SHIPPED) -> list[Finding]:
    """Everything in a scenario that is possible but seldom meant. own: prices beside the shipped ones."""
    found = [*_demand(scenario), *_units(scenario), *_accelerators(scenario, own)]
    for o in scenario.options:
        found += _price(scenario, o)
    return [*found, *_order(scenario)]


def accepted_findings(scenario: Scenario) -> list[Finding]:
    """The findings that a scenario accepts by name."""
    return [f for f in findings(scenario) if f.name in scenario.accept_findings]


def refuse_unaccepted(scenario: Scenario, name: str, own: OwnPrices = SHIPPED) -> None:
    """Raises ConfigError for findings that the scenario does not accept. name: what the error calls the scenario."""
    refused = [f for f in findings(scenario, own) if f.name not in scenario.accept_findings]
    if refused:
        names = ", ".join(f'"{n}"' for n in dict.fromkeys(f.name for f in refused))
        raise ConfigError(
            f"{name} has {len(refused)} doubtful setting(s): " + "; ".join(f"{f.name}: {f.found}" for f in refused),
            expected="; ".join(dict.fromkeys(f.expected for f in refused)),
            next_step="; ".join(dict.fromkeys(f.next_step for f in refused))
            + f"; or, if this is meant, state accept_findings = [{names}]",
        )


def _demand(scenario: Scenario) -> Iterator[Finding]:
    for w in scenario.workloads:
        if not any(terms.demand_of_month(w, t) for t in range(scenario.horizon_months)):
            yield Finding(
                "zero_demand",
                f"workload {w.name} has no demand in any month",
                "a demand above 0 in at least one month",
                "state its demand_per_month, or remove the workload",
            )


def _units(scenario: Scenario) -> Iterator[Finding]:
    for o in scenario.options:
        if not isinstance(o, Metered):
            continue
        counted = sorted({w.unit for w in scenario.workloads if not o.workloads or w.name in o.workloads})
        if counted and o.unit not in counted:
            yield Finding(
                "unit_mismatch",
                f"option {o.name} is priced per {o.unit}, what it may serve is counted in {', '.join(counted)}",
                "a price in the unit of at least one workload",
                "convert the price or the demand, or remove the option",
            )


def _accelerators(scenario: Scenario, own: OwnPrices) -> Iterator[Finding]:
    stated = {name for w in scenario.workloads for name in w.units_per_accelerator_hour}
    known = accelerators().keys() | offered_accelerators(own)
    expected = "an accelerator of the price book, or one whose throughput is stated"
    for o in scenario.options:
        if isinstance(o, Metered) or o.accelerator is None or o.units_per_capacity_hour:
            continue
        if o.accelerator not in known | stated:
            found = f"option {o.name} has the accelerator {o.accelerator}, which nobody knows"
            yield Finding("unknown_accelerator", found, expected, "correct its name, or state its throughput")
    offered = {o.accelerator for o in scenario.options if not isinstance(o, Metered)}
    for w in scenario.workloads:
        for name in sorted({*w.allowed_accelerators} - known - stated - offered - {w.reference_accelerator}):
            found = f"workload {w.name} allows the accelerator {name}, which nobody knows and no option has"
            yield Finding("unknown_accelerator", found, expected, "correct its name, or add an option that has it")


def _price(scenario: Scenario, o: Option) -> Iterator[Finding]:
    sunk = isinstance(o, Server | Reservation) and o.standing > 0
    if not o.price.amount and not sunk:
        yield Finding(
            "price_of_zero",
            f"option {o.name} costs nothing",
            "a price above 0",
            "state its price with source and date, or remove the option",
        )
    age = -terms.month_number(scenario, f"{o.price.date:%Y-%m}")
    at_end = age + scenario.horizon_months
    if age > OLD_MONTHS:
        yield Finding(
            "stale_price",
            f"the price of {o.name} is of {o.price.date}, {age} months before the horizon starts",
            f"prices of at most {OLD_MONTHS} months before the start",
            "look the price up again",
        )
    elif at_end > FAR_MONTHS and "price_change_ratio_per_year" not in o.model_fields_set:
        yield Finding(
            "horizon_beyond_prices",
            f"the price of {o.name} is of {o.price.date} and will be {at_end} months old when the horizon ends",
            f"a stated price_change_ratio_per_year for prices that are used for more than {FAR_MONTHS} months",
            "state how the price changes (0 if it does not), or shorten the horizon",
        )


def _order(scenario: Scenario) -> Iterator[Finding]:
    """Offers of one place and accelerator: spot <= on demand, a term <= on demand, a longer term <= a shorter one."""
    groups: dict[tuple[object, ...], list[Rented | Reservation]] = {}
    for o in scenario.options:
        if isinstance(o, Rented | Reservation) and o.kind in ("on_demand", "spot", "reservation") and o.accelerator:
            place = (o.provider, o.region, o.country, o.accelerator, o.accelerator_count)
            groups.setdefault(place, []).append(o)
    for offers in groups.values():
        on_demand = [o for o in offers if o.kind == "on_demand"]
        reserved = [o for o in offers if isinstance(o, Reservation)]
        for o in offers:
            if o.kind == "spot":
                yield from _above("spot_above_on_demand", o, on_demand)
            if isinstance(o, Reservation):
                yield from _above("reservation_above_on_demand", o, on_demand)
                yield from _above("longer_term_dearer", o, [r for r in reserved if r.term_months < o.term_months])


def _above(name: FindingName, o: Rented | Reservation, others: Iterable[Rented | Reservation]) -> Iterator[Finding]:
    """A finding where an offer costs more than each of those that should be dearer."""
    dearest = max(others, key=_hourly, default=None)
    if dearest is not None and _hourly(o) > _hourly(dearest):
        found = f"{o.name} at {_hourly(o):.4g} an hour is dearer than {dearest.name} at {_hourly(dearest):.4g}"
        expected = {
            "spot_above_on_demand": "spot at no more than the price on demand",
            "reservation_above_on_demand": "a reservation at no more than the price on demand",
            "longer_term_dearer": "a longer term at no more than the price of a shorter one",
        }[name]
        yield Finding(name, found, expected, "look both prices up again, and correct or remove the wrong one")


def _hourly(o: Rented | Reservation) -> Decimal:
    """Price of an hour, with what is paid upfront spread over the term."""
    upfront = o.upfront / (o.term_months * terms.HOURS_PER_MONTH) if isinstance(o, Reservation) else Decimal(0)
    return o.price.amount + upfront
