"""A plan: what is bought when, what runs where, and what it costs by month, in exact Decimals."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Use:
    """Capacity of an option that a workload uses: capacity-hours per hour, or units per hour of a metered option."""

    workload: str
    option: str
    month: int
    block: int
    course: int
    capacity: Decimal


@dataclass(frozen=True)
class Purchase:
    """Whole blocks bought in a month."""

    option: str
    month: int
    count: int


@dataclass(frozen=True)
class Spare:
    """Servers held spare in a month."""

    option: str
    month: int
    count: int


@dataclass(frozen=True)
class Promise:
    """A spend commitment entered in a month: so much money per hour, for its term."""

    commitment: str
    month: int
    money_per_hour: Decimal


@dataclass(frozen=True)
class Cover:
    """Capacity of a rented option that a spend commitment pays for, capacity-hours per hour."""

    commitment: str
    option: str
    month: int
    block: int
    course: int
    capacity: Decimal


@dataclass(frozen=True)
class Presence:
    """A location at which a workload is set up in a month, in use or not."""

    workload: str
    location: str
    month: int


@dataclass(frozen=True)
class Move:
    """A workload set up at another location in a month, from one where it was the month before, and what that costs."""

    workload: str
    origin: str
    location: str
    month: int
    cost: Decimal


@dataclass(frozen=True)
class CostLine:
    """Expected cash in one month for an option or a spend commitment: use or running cost, and purchases."""

    option: str
    month: int
    running: Decimal
    purchases: Decimal

    @property
    def cash(self) -> Decimal:
        """running + purchases."""
        return self.running + self.purchases


@dataclass(frozen=True)
class Plan:
    """A placement of every workload over the horizon.

    cost: expected present value of all cash less closing_value. closing_value: what owned servers are still worth, less
    what is owed on commitments beyond the horizon, discounted. course_costs: the cost in each demand scenario.
    objective, bound and gap_ratio are the solver's; the objective is the cost, or with risk aversion the weighted sum
    of it and the mean of its costliest share.
    """

    scenario: str
    policy: str
    currency: str
    status: str
    cost: Decimal
    closing_value: Decimal
    objective: float
    bound: float
    gap_ratio: float
    uses: tuple[Use, ...]
    purchases: tuple[Purchase, ...]
    spares: tuple[Spare, ...]
    lines: tuple[CostLine, ...]
    promises: tuple[Promise, ...] = ()
    covers: tuple[Cover, ...] = ()
    presences: tuple[Presence, ...] = ()
    moves: tuple[Move, ...] = ()
    course_costs: tuple[Decimal, ...] = ()

    @property
    def cash(self) -> Decimal:
        """All cash over the horizon, undiscounted."""
        return sum((line.cash for line in self.lines), Decimal(0)) + sum((m.cost for m in self.moves), Decimal(0))

    @property
    def capex(self) -> Decimal:
        """Money for purchases and upfront fees over the horizon."""
        return sum((line.purchases for line in self.lines), Decimal(0))

    def monthly_cash(self, months: Iterable[int]) -> list[Decimal]:
        """Cash of each month, undiscounted."""
        totals = dict.fromkeys(months, Decimal(0))
        for line in self.lines:
            totals[line.month] += line.cash
        for move in self.moves:
            totals[move.month] += move.cost
        return list(totals.values())
