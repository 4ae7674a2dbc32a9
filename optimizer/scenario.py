"""A scenario: workloads, what they may run on, and the rules that every plan must keep."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from optimizer.options import (
    Amount,
    Change,
    Hosting,
    Metered,
    Month,
    Name,
    Option,
    Ratio,
    Record,
    Rented,
    Reservation,
    Server,
    Unit,
)

EU: tuple[str, ...] = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
)  # fmt: skip
AREAS = {"EU": EU, "EEA": (*EU, "IS", "LI", "NO")}
"""Areas that a residency may name beside single countries (ISO 3166 codes)."""


class LoadBlock(Record):
    """Hours of a month with one common level of load: what share of the hours, and how high against the mean."""

    name: Name
    hours_ratio: Annotated[Decimal, Field(gt=0, le=1)]
    demand_ratio: Amount


class DemandScenario(Record):
    """One possible course of demand: its probability, and its level against the stated demand."""

    name: Name
    probability: Annotated[Decimal, Field(gt=0, le=1)]
    demand_ratio: Amount


class Workload(Record):
    """Work that must be served somewhere: how much, and what limits where it may run."""

    name: Name
    kind: Literal["inference", "api", "training", "fine_tuning", "batch", "other"]
    unit: Unit
    demand_per_month: Amount | tuple[Amount, ...]
    """One figure for the first month, which then grows, or a figure for each month of the horizon."""
    growth_ratio_per_year: Change = Decimal(0)
    """Growth that compounds monthly: demand x (1 + ratio) ^ (months / 12)."""
    today: Name | None = None
    """The option it runs on now."""
    max_latency_ms: Annotated[Decimal, Field(gt=0)] | None = None
    residency: tuple[str, ...] = ()
    """Countries, or EU, EEA; empty means anywhere."""
    allowed_hosting: tuple[Hosting, ...] = ()
    allowed_accelerators: tuple[str, ...] = ()
    accelerator_memory_gib: Amount = Decimal(0)
    """Memory that one copy needs, over all accelerators of one instance."""
    interruptible: bool = False
    window_months: Annotated[int, Field(ge=1, le=12)] | None = None
    """Work that can wait is delivered within windows of so many months; None serves it as it arrives."""
    reference_accelerator: str | None = None
    """Whose hours `accelerator_hours` counts."""
    units_per_accelerator_hour: dict[str, Annotated[Decimal, Field(gt=0)]] = Field(default_factory=dict)
    """Throughput of one accelerator at the latency that is needed, by accelerator."""
    spot_share_ratio: Ratio | None = None

    @model_validator(mode="after")
    def _reference_counts_as_one(self) -> Self:
        if self.unit == "accelerator_hours" and self.reference_accelerator is None:
            raise ValueError("demand in accelerator_hours needs reference_accelerator: whose hours are counted")
        unknown = [r for r in self.residency if r not in AREAS and not (len(r) == 2 and r.isupper())]
        if unknown:
            raise ValueError(f"residency {unknown} is neither an ISO 3166 country code nor {' or '.join(AREAS)}")
        return self

    @property
    def countries(self) -> frozenset[str]:
        """The countries that residency allows; empty means anywhere."""
        return frozenset(c for r in self.residency for c in AREAS.get(r, (r,)))


class Site(Record):
    """A room for own servers: its power, and the servers it keeps spare while it is open."""

    name: Name
    power_limit_kw: Annotated[Decimal, Field(gt=0)] | None = None
    """Electrical power with PUE."""
    spare: Annotated[int, Field(ge=0)] = 1


class Rules(Record):
    """Rules of the company that hold for the plan as a whole; amounts in the scenario's currency."""

    budget_per_year: tuple[Amount, ...] = ()
    """Cash of each year of the horizon; the last figure holds for later years."""
    capex_budget_per_year: tuple[Amount, ...] = ()
    """Purchases of servers in each year."""
    budget_holds_in: Literal["every_scenario", "expectation"] = "every_scenario"
    provider_share_ratio: dict[str, Ratio] = Field(default_factory=dict)
    """The most that a provider may have of each month's amortised cost."""
    warn_ratio: Annotated[Decimal, Field(gt=0)] = Decimal("0.25")
    """A policy that has cost so much more than the plan by a month is warned about."""

    @field_validator("budget_per_year", "capex_budget_per_year", mode="before")
    @classmethod
    def _one_for_all_years(cls, value: object) -> object:
        return value if isinstance(value, list | tuple) else (value,)


class Scenario(Record):
    """Everything that a plan is made from."""

    name: Name
    description: str = ""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    start: Month
    horizon_months: Annotated[int, Field(ge=1, le=60)] = 36
    discount_ratio_per_year: Change = Decimal("0.08")
    purchase_every_months: Annotated[int, Field(ge=1, le=12)] = 1
    """Blocks are bought in the first month and then every so many months."""
    workloads: Annotated[tuple[Workload, ...], Field(min_length=1)]
    options: tuple[Option, ...] = ()
    sites: tuple[Site, ...] = ()
    rules: Rules = Rules()
    load_blocks: tuple[LoadBlock, ...] = (LoadBlock(name="all", hours_ratio=Decimal(1), demand_ratio=Decimal(1)),)
    demand_scenarios: Annotated[tuple[DemandScenario, ...], Field(max_length=5)] = (
        DemandScenario(name="expected", probability=Decimal(1), demand_ratio=Decimal(1)),
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    @property
    def pay_as_you_go(self) -> tuple[Rented | Metered, ...]:
        """Options paid by use."""
        return tuple(o for o in self.options if isinstance(o, Rented | Metered))

    @property
    def blocks(self) -> tuple[Reservation | Server, ...]:
        """Options bought whole."""
        return tuple(o for o in self.options if isinstance(o, Reservation | Server))

    def option(self, name: str) -> Rented | Metered | Reservation | Server:
        """The option of that name."""
        return next(o for o in self.options if o.name == name)

    def workload(self, name: str) -> Workload:
        """The workload of that name."""
        return next(w for w in self.workloads if w.name == name)

    @property
    def digest(self) -> str:
        """A fingerprint of everything in it, prices included: equal digests have equal plans."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def _problems(scenario: Scenario) -> Iterable[str]:
    for what, names in (
        ("workload", [w.name for w in scenario.workloads]),
        ("option", [o.name for o in scenario.options]),
        ("site", [s.name for s in scenario.sites]),
    ):
        yield from (f"two of {what} {name}: names must differ" for name in sorted(set(names)) if names.count(name) > 1)
    options = {o.name for o in scenario.options}
    sites = {s.name for s in scenario.sites}
    workloads = {w.name for w in scenario.workloads}
    for w in scenario.workloads:
        if w.today is not None and w.today not in options:
            known = ", ".join(sorted(options))
            yield f"workload {w.name} runs on {w.today} today, which is no option; options: {known}"
        if isinstance(w.demand_per_month, tuple) and len(w.demand_per_month) != scenario.horizon_months:
            yield (
                f"workload {w.name} states demand for {len(w.demand_per_month)} months of a horizon of "
                f"{scenario.horizon_months}"
            )
    for o in scenario.options:
        if o.price.currency not in (None, scenario.currency):
            yield (
                f"option {o.name} is priced in {o.price.currency}, the scenario in {scenario.currency}, "
                f"and no fx_rates row converts it"
            )
        if isinstance(o, Reservation | Server) and o.standing and not o.standing_months_left:
            yield f"option {o.name} has {o.standing} standing but no standing_months_left"
        if isinstance(o, Server) and o.site is not None and o.site not in sites:
            yield f"option {o.name} stands at the site {o.site}, which is no [[sites]] entry"
        yield from (
            f"option {o.name} names the workload {w}, which does not exist" for w in o.workloads if w not in workloads
        )
    yield from (
        f"option {o.name} is a reservation without term_months"
        for o in scenario.options
        if isinstance(o, Reservation) and o.kind == "reservation" and "term_months" not in o.model_fields_set
    )
    if sum(b.hours_ratio for b in scenario.load_blocks) != 1:
        yield "the hours_ratio of the load_blocks do not sum to 1"
    if abs(sum((b.hours_ratio * b.demand_ratio for b in scenario.load_blocks), Decimal(-1))) > Decimal("1e-9"):
        yield "hours_ratio x demand_ratio over the load_blocks do not sum to 1, so demand would change"
    if sum(s.probability for s in scenario.demand_scenarios) != 1:
        yield "the probabilities of the demand_scenarios do not sum to 1"
