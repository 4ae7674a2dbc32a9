"""A plan as the checks look at it: what is used, what stands, and a finding where something is wrong."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from optimizer import terms
from optimizer.options import Block, Option, Rented, Reservation, Server, SpendCommitment
from optimizer.plan import Plan
from optimizer.scenario import Scenario

TOLERANCE = Decimal("1e-6")
"""How far, as a ratio, a float solver may miss an equation."""
LINE = Decimal("1e-6")
"""What a line of cost is rounded to."""


@dataclass(frozen=True)
class Finding:
    """One rule that a plan breaks, where, and by what."""

    rule: str
    subject: str
    found: str
    expected: str

    @property
    def message(self) -> str:
        """The finding in one line."""
        return f"{self.rule} ({self.subject}): found {self.found}, expected {self.expected}"


@dataclass
class View:
    """A plan with its capacities summed by what the rules ask about."""

    scenario: Scenario
    plan: Plan
    options: dict[str, Option] = field(default_factory=dict)
    used: defaultdict[tuple[str, int, int, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Capacity by option, month, load block, demand scenario."""
    work: defaultdict[tuple[str, str, int, int, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Units per hour by workload, option, month, load block, demand scenario."""
    served: defaultdict[tuple[str, int, int, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Units per hour by workload, month, load block, demand scenario, from all options ..."""
    on_spot: defaultdict[tuple[str, int, int, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """... and from those on spot."""
    covered: defaultdict[tuple[str, int, int, int], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    """Capacity that commitments pay for, by option, month, load block, demand scenario."""
    standing: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))
    spares: defaultdict[tuple[str, int], int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self.options = {o.name: o for o in self.scenario.options}
        for u in self.plan.uses:
            option, workload = self.options[u.option], self.scenario.workload(u.workload)
            self.used[u.option, u.month, u.block, u.course] += u.capacity
            rate = terms.throughput(workload, option) or Decimal(0)
            if isinstance(option, Rented):
                rate *= option.utilisation_ceiling_ratio * (1 - option.interruption_ratio)
            self.work[u.workload, u.option, u.month, u.block, u.course] += rate * u.capacity
            self.served[u.workload, u.month, u.block, u.course] += rate * u.capacity
            if option.kind == "spot":
                self.on_spot[u.workload, u.month, u.block, u.course] += rate * u.capacity
        for c in self.plan.covers:
            self.covered[c.option, c.month, c.block, c.course] += c.capacity
        for k, _, count, months in cohorts(self):
            for t in months:
                self.standing[k.name, t] += count
        for spare in self.plan.spares:
            self.spares[spare.option, spare.month] += spare.count

    @property
    def slots(self) -> Iterator[tuple[int, int, int]]:
        """Every month, load block and demand scenario."""
        s = self.scenario
        for t in range(s.horizon_months):
            for b in range(len(s.load_blocks)):
                for course in range(len(s.demand_scenarios)):
                    yield t, b, course

    def active(self, name: str, month: int) -> int:
        """Blocks of an option that stand in a month."""
        return self.standing[name, month]

    def held(self, name: str, month: int) -> int:
        """Servers held spare."""
        return self.spares[name, month]

    def promised(self, commitment: SpendCommitment, month: int) -> Decimal:
        """Money per hour that is promised in a month."""
        before = commitment.standing if month < commitment.standing_months_left else Decimal(0)
        return before + sum(
            (
                p.money_per_hour
                for p in self.plan.promises
                if p.commitment == commitment.name and 0 <= month - p.month < commitment.term_months
            ),
            Decimal(0),
        )

    @property
    def courses(self) -> range:
        """The demand scenarios by number."""
        return range(len(self.scenario.demand_scenarios))

    @property
    def months(self) -> range:
        """The months of the horizon by number."""
        return range(self.scenario.horizon_months)

    def month(self, month: int) -> str:
        """Its name."""
        return terms.month_name(self.scenario, month)


def over(value: Decimal, limit: Decimal, scale: Decimal = Decimal(0)) -> bool:
    """Whether a value is above its limit by more than a float solver may miss it, measured against limit or scale."""
    return value > limit + TOLERANCE * max(abs(limit), scale)


def blocks(v: View) -> Iterator[Block]:
    """The options that are bought whole."""
    return (o for o in v.options.values() if isinstance(o, Reservation | Server))


def cohorts(v: View) -> Iterator[tuple[Block, int, int, range]]:
    """Blocks bought together: option, month bought (-1: before the horizon), count, months in which they stand."""
    for k in blocks(v):
        if k.standing:
            yield k, -1, k.standing, range(min(k.standing_months_left, v.scenario.horizon_months))
    for p in v.plan.purchases:
        option = v.options[p.option]
        if isinstance(option, Reservation | Server):
            arrives = p.month + option.lead_time_months
            life = option.term_months if isinstance(option, Reservation) else option.life_months
            yield option, p.month, p.count, range(arrives, min(arrives + life, v.scenario.horizon_months))
