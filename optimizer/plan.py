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
class CostLine:
    """Expected cash for one option in one month: pay-as-you-go use or running cost, and purchases."""

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

    cost: present value of all cash less closing_value. closing_value: what owned servers are still worth, less what is
    owed on commitments beyond the horizon, discounted. objective, bound and gap_ratio are the solver's.
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

    @property
    def cash(self) -> Decimal:
        """All cash over the horizon, undiscounted."""
        return sum((line.cash for line in self.lines), Decimal(0))

    @property
    def capex(self) -> Decimal:
        """Money for purchases and upfront fees over the horizon."""
        return sum((line.purchases for line in self.lines), Decimal(0))

    def monthly_cash(self, months: Iterable[int]) -> list[Decimal]:
        """Cash of each month, undiscounted."""
        totals = dict.fromkeys(months, Decimal(0))
        for line in self.lines:
            totals[line.month] += line.cash
        return list(totals.values())
