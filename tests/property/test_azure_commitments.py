"""A year of Azure commitments as Azure would bill it, in both views: what is invoiced, what is amortised, once each.

The bill is written from its own plain model (a fee a year, paid at once or in twelve parts, a share of each month
used); nothing here is computed by the connector's rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.registry import REJECT
from finops import schema as s
from tests.unit.test_azure import Row, details, read, write_csv

MONTHS = range(1, 13)


@dataclass(frozen=True)
class Commitment:
    """A commitment of one year: fee_usd, paid at once or monthly; used_ratio of each month's share is used.

    rows: over how many rows of usage that is spread.
    """

    kind: str
    fee_usd: Decimal
    monthly: bool
    used_ratio: tuple[Decimal, ...]
    rows: int

    @property
    def benefit(self) -> str:
        """Reservation or savings plan."""
        path = "Microsoft.Capacity/reservationOrders" if self.kind == "Reservation" else "Microsoft.BillingBenefits/x"
        return f"/providers/{path}/{self.fee_usd}-{self.monthly}-{self.rows}"


@dataclass(frozen=True)
class Year:
    """Commitments and the on-demand usage of each month."""

    commitments: tuple[Commitment, ...]
    on_demand_usd: Decimal


def commitments() -> st.SearchStrategy[Commitment]:
    ratios = st.integers(0, 100).map(lambda n: Decimal(n) / 100)
    return st.builds(
        Commitment,
        kind=st.sampled_from(["Reservation", "SavingsPlan"]),
        fee_usd=st.integers(1, 10**9).map(lambda cents: Decimal(cents) / 100),
        monthly=st.booleans(),
        used_ratio=st.tuples(*[ratios] * len(MONTHS)),
        rows=st.integers(1, 3),
    )


def years() -> st.SearchStrategy[Year]:
    return st.builds(
        Year,
        commitments=st.lists(commitments(), min_size=1, max_size=3, unique_by=lambda c: c.benefit).map(tuple),
        on_demand_usd=st.integers(0, 10**7).map(lambda cents: Decimal(cents) / 100),
    )


def cut(amount: Decimal, ratio: Decimal) -> Decimal:
    """A share of an amount in 12 decimals."""
    return (amount * ratio).quantize(Decimal("1e-12"), rounding=ROUND_DOWN)


def shares(amount: Decimal, parts: int) -> list[Decimal]:
    """Equal parts in 12 decimals that sum to the amount; the last takes what rounding leaves."""
    equal = cut(amount, 1 / Decimal(parts))
    return [equal] * (parts - 1) + [amount - equal * (parts - 1)]


def _row(month: int, cost: Decimal, charge_type: str = "Usage", commitment: Commitment | None = None) -> Row:
    bought = charge_type == "Purchase"
    return details(
        ChargeType=charge_type, Cost=f"{cost:f}", Date=f"{month}/4/2025", BillingPeriodStartDate=f"{month}/1/2025",
        BillingPeriodEndDate="", PricingModel=commitment.kind if commitment else "OnDemand",
        Frequency="UsageBased" if not bought else "Recurring" if commitment and commitment.monthly else "OneTime",
        benefitId=commitment.benefit if commitment else "",
    )  # fmt: skip


def paid(commitment: Commitment) -> list[Decimal]:
    """What each month invoices of a commitment."""
    if commitment.monthly:
        return shares(commitment.fee_usd, len(MONTHS))
    return [commitment.fee_usd] + [Decimal(0)] * (len(MONTHS) - 1)


def actual(year: Year) -> Iterator[Row]:
    """The year's rows of actual cost: commitments when they are paid, what they cover at 0."""
    for month in MONTHS:
        yield _row(month, year.on_demand_usd)
        for commitment in year.commitments:
            if amount := paid(commitment)[month - 1]:
                yield _row(month, amount, "Purchase", commitment)
            yield from (_row(month, Decimal(0), "Usage", commitment) for _ in range(commitment.rows))


def amortized(year: Year) -> Iterator[Row]:
    """The year's rows of amortised cost: each month's share of a fee, on what used it and what did not."""
    for month in MONTHS:
        yield _row(month, year.on_demand_usd)
        for commitment in year.commitments:
            share = shares(commitment.fee_usd, len(MONTHS))[month - 1]
            used = cut(share, commitment.used_ratio[month - 1])
            yield from (_row(month, part, "Usage", commitment) for part in shares(used, commitment.rows))
            if share != used:
                yield _row(month, share - used, f"Unused{commitment.kind}", commitment)


def written(year: Year, folder: Path) -> Path:
    write_csv(folder / "actual" / "20250101-20251231" / "part_0.csv", *actual(year))
    write_csv(folder / "amortized" / "20250101-20251231" / "part_0.csv", *amortized(year))
    return folder


def sums(charges: pl.DataFrame, cost: str, by: str | pl.Expr) -> dict[object, Decimal]:
    return dict(charges.group_by(by).agg(pl.col(cost).sum()).iter_rows())


@pytest.mark.parametrize("unused", ["0", "0.37", "1"])
def test_a_plain_reservation(unused: str, tmp_path: Path) -> None:
    """A reservation of 120 a year paid at once is billed in January, and used + unused is 10 each month."""
    reservation = Commitment("Reservation", Decimal(120), False, (1 - Decimal(unused),) * 12, 2)
    charges = read(written(Year((reservation,), Decimal(0)), tmp_path))
    month = pl.col(s.BILLING_PERIOD_START).dt.month()
    assert sums(charges, s.BILLED_COST, month) == {m: Decimal(120 if m == 1 else 0) for m in MONTHS}
    assert sums(charges, s.EFFECTIVE_COST, month) == dict.fromkeys(MONTHS, Decimal(10))
    assert sums(charges, s.EFFECTIVE_COST, s.COMMITMENT_DISCOUNT_STATUS).get("Unused", 0) == 120 * Decimal(unused)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(year=years())
def test_a_year_of_commitments(year: Year, tmp_path: Path) -> None:
    """BilledCost is each month's invoice, used + unused the fee over the term, and each counts once."""
    charges = read(written(year, tmp_path))
    assert charges[REJECT].null_count() == len(charges)

    invoices = {m: year.on_demand_usd + sum(paid(c)[m - 1] for c in year.commitments) for m in MONTHS}
    assert sums(charges, s.BILLED_COST, pl.col(s.BILLING_PERIOD_START).dt.month()) == invoices

    usage = charges.filter(pl.col(s.COMMITMENT_DISCOUNT_STATUS).is_not_null())
    fees = {c.benefit: c.fee_usd for c in year.commitments}
    assert sums(usage, s.EFFECTIVE_COST, s.COMMITMENT_DISCOUNT_ID) == fees
    assert set(usage[s.BILLED_COST]) == {Decimal(0)}

    purchases = charges.filter(pl.col(s.CHARGE_CATEGORY) == "Purchase")
    assert sums(purchases, s.BILLED_COST, s.COMMITMENT_DISCOUNT_ID) == fees
    assert set(purchases[s.EFFECTIVE_COST]) == {Decimal(0)}
    # all that was paid is all that was amortised, because every term lies in the year
    assert charges[s.EFFECTIVE_COST].sum() == charges[s.BILLED_COST].sum()
