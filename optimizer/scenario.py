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
    SpendCommitment,
    Unit,
)

EU: tuple[str, ...] = (
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
)  # fmt: skip
AREAS = {"EU": EU, "EEA": (*EU, "IS", "LI", "NO")}
"""Areas that a residency may name beside single countries (ISO 3166 codes)."""


FindingName = Literal[
    "zero_demand", "price_of_zero", "unit_mismatch", "unknown_accelerator", "spot_above_on_demand",
    "reservation_above_on_demand", "longer_term_dearer", "stale_price", "horizon_beyond_prices",
]  # fmt: skip
"""What is possible but seldom meant; see optimizer/findings.py."""


class LoadBlock(Record):
    """Representative hours of a month: what share of its hours, and how high the load is in them against the mean."""

    name: Name
    hours_ratio: Annotated[Decimal, Field(gt=0, le=1)]
    demand_ratio: Amount
    workloads: dict[Name, Amount] = Field(default_factory=dict)
    """The ratio of single workloads, where it is another one: peaks need not coincide."""


class DemandScenario(Record):
    """One possible course of demand: its probability, and its level against the stated demand."""

    name: Name
    probability: Annotated[Decimal, Field(gt=0, le=1)]
    demand_ratio: Amount | tuple[Amount, ...]
    """For all months, or for each month of the horizon."""
    workloads: dict[Name, Amount | tuple[Amount, ...]] = Field(default_factory=dict)
    """The ratio of single workloads, where it is another one."""


class Uncertainty(Record):
    """How far demand may come out from what is stated: random paths on which a plan is costed, and its own scenarios.

    The logarithm of demand wanders with the square root of time: sd_ratio_per_year after a year, in part the same for
    all workloads. Paths have a mean of one. scenarios: how many of them stand for all paths while the plan is made;
    where the scenario states demand_scenarios itself, those are used.
    """

    sd_ratio_per_year: Annotated[Decimal, Field(gt=0, le=2)]
    common_ratio: Ratio = Decimal("0.5")
    """The share of the variance that is common to all workloads."""
    certain: tuple[Name, ...] = ()
    """Workloads whose demand comes as stated, such as those that standing capacity does."""
    paths: Annotated[int, Field(ge=50, le=5000)] = 500
    scenarios: Annotated[int, Field(ge=1, le=5)] = 3
    seed: int = 1
    source: Annotated[str, Field(min_length=1)]


class Moving(Record):
    """What it takes to move a workload to another location: one-off work, and data that must be carried along."""

    cost: Amount = Decimal(0)
    """Engineering, tests, double running."""
    data_gib: Amount = Decimal(0)
    """Paid at the egress price of where it leaves."""


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
    model: str | None = None
    """An open model that could do the work; its published throughputs count where none are stated here."""
    input_tokens: Annotated[Decimal, Field(gt=0)] = Decimal(1000)
    output_tokens: Annotated[Decimal, Field(gt=0)] = Decimal(1000)
    """Of a typical request, to find the published figure that is nearest."""
    full_load_ratio: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.5")
    """The share of a published full-load throughput that is left at the latency that is needed."""
    spot_share_ratio: Ratio | None = None
    moving: Moving | None = None
    """What each change of location costs; None counts nothing for it."""
    max_locations: Annotated[int, Field(ge=1)] | None = None
    """In how many locations it may run at a time."""
    least_share_ratio: Ratio = Decimal(0)
    """Where it runs at all, at least so much of its work is done."""

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
    carbon_kg_per_month: Annotated[tuple[Amount, ...], Field(max_length=60)] = ()
    """kg CO2e of each month; the last figure holds for later months."""
    warn_ratio: Annotated[Decimal, Field(gt=0)] = Decimal("0.25")
    """A policy that has cost so much more than the plan by a month is warned about."""

    @field_validator("budget_per_year", "capex_budget_per_year", "carbon_kg_per_month", mode="before")
    @classmethod
    def _one_for_all(cls, value: object) -> object:
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
    quarters_after_months: Annotated[int, Field(ge=12, multiple_of=12)] | None = None
    """After so many months what runs where is decided by the quarter, which makes a long horizon smaller."""
    risk_aversion_ratio: Annotated[Decimal, Field(ge=0, le=Decimal("0.99"))] = Decimal(0)
    """How much the costly demand scenarios weigh: 0 minimises the mean, towards 1 the mean of the costliest share.

    At 1 money that is spent in the other scenarios would count nothing, and would be wasted.
    """
    risk_tail_ratio: Annotated[Decimal, Field(gt=0, le=1)] = Decimal("0.2")
    """The costliest share of probability that risk looks at; 1 - alpha of the conditional value at risk."""
    workloads: Annotated[tuple[Workload, ...], Field(min_length=1)]
    options: tuple[Option, ...] = ()
    spend_commitments: tuple[SpendCommitment, ...] = ()
    sites: tuple[Site, ...] = ()
    rules: Rules = Rules()
    load_blocks: tuple[LoadBlock, ...] = (LoadBlock(name="all", hours_ratio=Decimal(1), demand_ratio=Decimal(1)),)
    demand_scenarios: Annotated[tuple[DemandScenario, ...], Field(max_length=5)] = (
        DemandScenario(name="expected", probability=Decimal(1), demand_ratio=Decimal(1)),
    )
    uncertainty: Uncertainty | None = None
    accept_findings: tuple[FindingName, ...] = ()
    """What is possible but seldom meant, and is meant here; anything else of the kind is refused."""

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

    def spend_commitment(self, name: str) -> SpendCommitment:
        """The spend commitment of that name."""
        return next(j for j in self.spend_commitments if j.name == name)

    def covered_by(self, commitment: SpendCommitment) -> tuple[Rented, ...]:
        """The options that a spend commitment covers."""
        return tuple(o for o in self.options if isinstance(o, Rented) and o.name in commitment.discount_ratio)

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
        ("option", [o.name for o in (*scenario.options, *scenario.spend_commitments)]),
        ("site", [s.name for s in scenario.sites]),
        ("load block", [b.name for b in scenario.load_blocks]),
        ("demand scenario", [s.name for s in scenario.demand_scenarios]),
    ):
        yield from (f"two of {what} {name}: names must differ" for name in sorted(set(names)) if names.count(name) > 1)
    for w in scenario.workloads:
        yield from _problems_of_workload(scenario, w)
    for o in scenario.options:
        yield from _problems_of_option(scenario, o)
    for j in scenario.spend_commitments:
        yield from _problems_of_commitment(scenario, j)
    yield from _problems_of_shares(scenario)
    yield from _problems_of_load(scenario)


def _problems_of_workload(scenario: Scenario, w: Workload) -> Iterable[str]:
    options = {o.name for o in scenario.options}
    if w.today is not None and w.today not in options:
        yield f"workload {w.name} runs on {w.today} today, which is no option; options: {', '.join(sorted(options))}"
    quarters = scenario.quarters_after_months
    if quarters is not None and w.window_months is not None and w.window_months != 1 and w.window_months % 3:
        yield f"workload {w.name} waits {w.window_months} months, which are neither 1 nor whole quarters"
    if isinstance(w.demand_per_month, tuple) and len(w.demand_per_month) != scenario.horizon_months:
        yield (
            f"workload {w.name} states demand for {len(w.demand_per_month)} months of a horizon of "
            f"{scenario.horizon_months}"
        )


def _problems_of_option(scenario: Scenario, o: Rented | Metered | Reservation | Server) -> Iterable[str]:
    workloads = {w.name for w in scenario.workloads}
    if o.price.currency not in (None, scenario.currency):
        yield (
            f"option {o.name} is priced in {o.price.currency}, the scenario in {scenario.currency}, "
            f"and no fx_rates row converts it"
        )
    if isinstance(o, Reservation | Server) and o.standing and not o.standing_months_left:
        yield f"option {o.name} has {o.standing} standing but no standing_months_left"
    if isinstance(o, Reservation | Server) and o.quota is not None and o.standing > o.quota:
        yield f"option {o.name} has {o.standing} standing, which is more than its quota of {o.quota}"
    if isinstance(o, Server) and o.site is not None and o.site not in {s.name for s in scenario.sites}:
        yield f"option {o.name} stands at the site {o.site}, which is no [[sites]] entry"
    if isinstance(o, Reservation) and o.kind != "monthly" and "term_months" not in o.model_fields_set:
        yield f"option {o.name} is a {o.kind} without term_months"
    yield from (
        f"option {o.name} names the workload {w}, which does not exist" for w in o.workloads if w not in workloads
    )


def _problems_of_commitment(scenario: Scenario, j: SpendCommitment) -> Iterable[str]:
    rented = {o.name: o.provider for o in scenario.options if isinstance(o, Rented) and o.kind == "on_demand"}
    for name in j.discount_ratio:
        if name not in rented:
            yield f"spend commitment {j.name} covers {name}, which is no option rented on demand"
        elif rented[name] != j.provider:
            yield f"spend commitment {j.name} of {j.provider} covers {name}, which is {rented[name]}'s"
    if j.standing and not j.standing_months_left:
        yield f"spend commitment {j.name} has {j.standing} standing but no standing_months_left"
    if j.quota is not None and j.standing > j.quota:
        yield f"spend commitment {j.name} has {j.standing} standing, which is more than its quota of {j.quota}"


def _problems_of_shares(scenario: Scenario) -> Iterable[str]:
    shares = scenario.rules.provider_share_ratio
    left = 1 - sum(shares.values(), Decimal(0))
    if left > 0 and {o.provider for o in scenario.options} <= shares.keys() and scenario.options:
        yield f"the shares of {', '.join(shares)}, which are all providers, leave {left} of the cost to nobody"


def _problems_of_load(scenario: Scenario) -> Iterable[str]:
    blocks, courses = scenario.load_blocks, scenario.demand_scenarios
    if sum(b.hours_ratio for b in blocks) != 1:
        yield "the hours_ratio of the load_blocks do not sum to 1"
    for name in (None, *(w.name for w in scenario.workloads)):
        ratios = [b.workloads.get(str(name), b.demand_ratio) for b in blocks]
        mean = sum((b.hours_ratio * ratio for b, ratio in zip(blocks, ratios, strict=True)), Decimal(0))
        if abs(mean - 1) > Decimal("1e-9"):
            whose = f" of {name}" if name and any(name in b.workloads for b in blocks) else ""
            yield f"hours_ratio x demand_ratio{whose} over the load_blocks do not sum to 1, so demand would change"
            break
    if sum(s.probability for s in courses) != 1:
        yield "the probabilities of the demand_scenarios do not sum to 1"
    known = {w.name for w in scenario.workloads}
    named = [(b.name, b.workloads.keys()) for b in blocks] + [(c.name, c.workloads.keys()) for c in courses]
    for part, workloads in named:
        yield from (f"{part} names the workload {w}, which does not exist" for w in sorted(workloads - known))
    certain = scenario.uncertainty.certain if scenario.uncertainty else ()
    yield from (f"uncertainty names the workload {w}, which does not exist" for w in sorted({*certain} - known))
    for course in courses:
        for ratio in (course.demand_ratio, *course.workloads.values()):
            if isinstance(ratio, tuple) and len(ratio) != scenario.horizon_months:
                yield (
                    f"demand scenario {course.name} states {len(ratio)} months of a horizon of "
                    f"{scenario.horizon_months}"
                )
