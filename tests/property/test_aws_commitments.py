"""A year of AWS commitments as AWS would bill it: what is invoiced, what is amortised, and that nothing counts twice.

The bill is written from its own plain model (a fee a year, a share of it paid upfront, a share of each month used), in
three ways of writing a negotiated discount; nothing here is computed by the connector's rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.registry import REJECT, SOURCE_ROWS
from finops import schema as s
from tests.unit.test_aws import Row, line_item, read, write_csv

MONTHS = [f"2025-{month:02}" for month in range(1, 13)]
DISCOUNT = Decimal("0.1")


@dataclass(frozen=True)
class Commitment:
    """A commitment of one year: fee_usd in all, upfront_ratio of it on the first day, the rest in twelve fees.

    used_ratio: what usage takes of each month. rows: over how many rows of usage that is spread.
    """

    kind: str
    fee_usd: Decimal
    upfront_ratio: Decimal
    used_ratio: tuple[Decimal, ...]
    rows: int

    @property
    def arn(self) -> str:
        """Reserved instance or savings plan."""
        name = f"{self.fee_usd}-{self.upfront_ratio}-{self.rows}"
        return f"arn:aws:{'ec2:us-east-1:1:reserved-instances' if self.kind == 'RI' else 'savingsplans::1:plan'}/{name}"


@dataclass(frozen=True)
class Year:
    """Commitments, on-demand usage of each month, and how the bill writes its discount: none, rows or net columns."""

    commitments: tuple[Commitment, ...]
    on_demand_usd: Decimal
    discount: str

    @property
    def paid_ratio(self) -> Decimal:
        """What is left of a price after the discount."""
        return Decimal(1) if self.discount == "none" else 1 - DISCOUNT


def commitments() -> st.SearchStrategy[Commitment]:
    ratios = st.integers(0, 100).map(lambda n: Decimal(n) / 100)
    return st.builds(
        Commitment,
        kind=st.sampled_from(["RI", "SP"]),
        fee_usd=st.integers(1, 10**9).map(lambda cents: Decimal(cents) / 100),
        upfront_ratio=st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)]),
        used_ratio=st.tuples(*[ratios] * len(MONTHS)),
        rows=st.integers(1, 3),
    )


def years() -> st.SearchStrategy[Year]:
    return st.builds(
        Year,
        commitments=st.lists(commitments(), min_size=1, max_size=3, unique_by=lambda c: c.arn).map(tuple),
        on_demand_usd=st.integers(0, 10**7).map(lambda cents: Decimal(cents) / 100),
        discount=st.sampled_from(["none", "rows", "net"]),
    )


def cut(amount: Decimal, ratio: Decimal) -> Decimal:
    """A share of an amount in 12 decimals, so that a tenth of it is exact too."""
    return (amount * ratio).quantize(Decimal("1e-12"), rounding=ROUND_DOWN)


def shares(amount: Decimal, parts: int) -> list[Decimal]:
    """Equal parts in 12 decimals that sum to the amount; the last takes what rounding leaves."""
    equal = cut(amount, 1 / Decimal(parts))
    return [equal] * (parts - 1) + [amount - equal * (parts - 1)]


def bill_of(year: Year) -> Iterator[tuple[str, Row, Decimal]]:
    """Month, line item, and what the invoice says of it."""
    for number, month in enumerate(MONTHS):
        for item, invoiced in _items(year, number):
            paid = invoiced * year.paid_ratio
            item |= {
                "bill_billing_period_start_date": f"{month}-01T00:00:00Z",
                "line_item_usage_start_date": f"{month}-02T00:00:00Z",
                "line_item_usage_end_date": f"{month}-02T01:00:00Z",
            }
            gross = Decimal(item["line_item_unblended_cost"])
            if year.discount == "net":
                item["line_item_net_unblended_cost"] = str(gross * year.paid_ratio)
            yield month, item, paid if year.discount != "rows" else invoiced
            if year.discount != "none" and invoiced:
                off = line_item(
                    line_item_line_item_type="EdpDiscount",
                    line_item_unblended_cost=str(-invoiced * DISCOUNT),
                    line_item_net_unblended_cost="0" if year.discount == "net" else "",
                    **{k: v for k, v in item.items() if k.endswith("_date")},
                )
                yield month, off, -invoiced * DISCOUNT if year.discount == "rows" else Decimal(0)


def _items(year: Year, number: int) -> Iterator[tuple[Row, Decimal]]:
    """The line items of a month with what each adds to the invoice, before discounts."""
    if year.on_demand_usd:
        yield _item("Usage", year.on_demand_usd), year.on_demand_usd
    for commitment in year.commitments:
        upfront = cut(commitment.fee_usd, commitment.upfront_ratio)
        monthly = [shares(part, len(MONTHS))[number] for part in (upfront, commitment.fee_usd - upfront)]
        amortised, recurring = monthly
        used = [cut(part, commitment.used_ratio[number]) for part in monthly]
        if number == 0 and upfront:
            yield _item("Fee" if commitment.kind == "RI" else "SavingsPlanUpfrontFee", upfront, commitment), upfront
        yield from (_reservation if commitment.kind == "RI" else _plan)(commitment, amortised, recurring, used, year)


def _reservation(
    commitment: Commitment, amortised: Decimal, recurring: Decimal, used: list[Decimal], year: Year
) -> Iterator[tuple[Row, Decimal]]:
    unused = {
        "unused_amortized_upfront_fee_for_billing_period": amortised - used[0],
        "unused_recurring_fee": recurring - used[1],
    }
    yield _item("RIFee", recurring, commitment, **_gross_and_net("reservation_", unused, year)), recurring
    for share in shares(sum(used, Decimal(0)), commitment.rows):
        effective = _gross_and_net("reservation_", {"effective_cost": share}, year)
        yield _item("DiscountedUsage", Decimal(0), commitment, **effective), Decimal(0)


def _plan(
    commitment: Commitment, amortised: Decimal, recurring: Decimal, used: list[Decimal], year: Year
) -> Iterator[tuple[Row, Decimal]]:
    fees = {
        "amortized_upfront_commitment_for_billing_period": amortised,
        "recurring_commitment_for_billing_period": recurring,
    }
    taken = sum(used, Decimal(0))
    yield _item(
        "SavingsPlanRecurringFee", recurring, commitment,
        savings_plan_total_commitment_to_date=str(amortised + recurring), savings_plan_used_commitment=str(taken),
        **_gross_and_net("savings_plan_", fees, year),
    ), recurring  # fmt: skip
    for share in shares(taken, commitment.rows):
        effective = _gross_and_net("savings_plan_", {"savings_plan_effective_cost": share}, year)
        # usage at the on-demand price, and the line that takes the price back
        yield _item("SavingsPlanCoveredUsage", Decimal("7.77"), commitment, **effective), Decimal(0)
        yield _item("SavingsPlanNegation", Decimal("-7.77"), commitment), Decimal(0)


def _gross_and_net(prefix: str, amounts: dict[str, Decimal], year: Year) -> Row:
    gross = {f"{prefix}{name}": str(amount) for name, amount in amounts.items()}
    if year.discount != "net":
        return gross
    return gross | {f"{prefix}net_{name}": str(amount * year.paid_ratio) for name, amount in amounts.items()}


def _item(kind: str, cost: Decimal, commitment: Commitment | None = None, **columns: str) -> Row:
    if commitment is not None:
        column = "reservation_reservation_a_r_n" if commitment.kind == "RI" else "savings_plan_savings_plan_a_r_n"
        columns[column] = commitment.arn
    return line_item(line_item_line_item_type=kind, line_item_unblended_cost=str(cost), product_sku="", **columns)


def sums(charges: pl.DataFrame, cost: str, by: str) -> dict[str | None, Decimal]:
    return dict(charges.group_by(by).agg(pl.col(cost).sum()).iter_rows())


@pytest.mark.parametrize("unused", ["0", "0.37", "1"])
def test_a_plain_no_upfront_plan(unused: str, tmp_path: Path) -> None:
    """A plan of 120 a year without upfront: twelve fees of 10 are billed, and used + unused is 10 a month."""
    ratio = (1 - Decimal(unused),) * 12
    year = Year((Commitment("SP", Decimal(120), Decimal(0), ratio, 2),), Decimal(0), "none")
    charges = read(write_csv(tmp_path / "bill.csv", *(item for _, item, _ in bill_of(year))))
    months = charges.group_by(s.BILLING_PERIOD_START).agg(pl.col(s.BILLED_COST, s.EFFECTIVE_COST).sum())
    assert set(months[s.BILLED_COST]) == set(months[s.EFFECTIVE_COST]) == {Decimal(10)}
    status = sums(charges, s.EFFECTIVE_COST, s.COMMITMENT_DISCOUNT_STATUS)
    assert status.get("Unused", Decimal(0)) == 120 * Decimal(unused)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(year=years())
def test_a_year_of_commitments(year: Year, tmp_path: Path) -> None:
    """BilledCost is each month's invoice, EffectiveCost used + unused the fee over the term; each counts it once."""
    bill = list(bill_of(year))
    # rows of one bill have the same columns, filled or not
    columns = dict.fromkeys(c for _, item, _ in bill for c in item)
    charges = read(write_csv(tmp_path / "bill.csv", *(dict.fromkeys(columns, "") | item for _, item, _ in bill)))
    assert charges[REJECT].null_count() == len(charges)
    assert charges[SOURCE_ROWS].sum() == len(bill)

    billed = sums(
        charges.with_columns(pl.col(s.BILLING_PERIOD_START).dt.strftime("%Y-%m").alias("m")), s.BILLED_COST, "m"
    )
    invoices = {month: Decimal(0) for month, _, _ in bill}
    for month, _, invoiced in bill:
        invoices[month] += invoiced
    assert billed == invoices

    usage = charges.filter(pl.col(s.COMMITMENT_DISCOUNT_STATUS).is_not_null())
    amortised = sums(usage, s.EFFECTIVE_COST, s.COMMITMENT_DISCOUNT_ID)
    # a discount in rows of its own lies beside the commitment, one in net columns is in its cost
    in_cost = year.paid_ratio if year.discount == "net" else Decimal(1)
    fees = {c.arn: c.fee_usd * in_cost for c in year.commitments}
    assert {c: fee for c, fee in amortised.items() if fee} == fees

    purchases = charges.filter(pl.col(s.CHARGE_CATEGORY) == "Purchase")
    assert set(purchases[s.EFFECTIVE_COST]) <= {Decimal(0)}
    assert purchases[s.BILLED_COST].sum() == sum(fees.values())
    assert set(usage[s.BILLED_COST]) <= {Decimal(0)}
    # all that was paid is all that was amortised, because every term lies in the year
    assert charges[s.EFFECTIVE_COST].sum() == charges[s.BILLED_COST].sum()
