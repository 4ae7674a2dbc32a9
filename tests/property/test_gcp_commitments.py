"""A year of Google Cloud commitments in the three ways that Google bills them: invoiced, used and unused, once each.

The bill is written from its own plain model (a fee a month, a share of it used, usage beyond it); nothing here is
computed by the connector's rules.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, localcontext
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.registry import REJECT, SOURCE_ROWS
from finops import schema as s
from tests.unit.test_gcp import Row, read, usage, write_csv

MONTHS = range(1, 13)
HOURS = Decimal(744)
ON_DEMAND = Decimal("0.25")
SKUS = {
    "resource": ("Compute Engine", "N2 Instance Core running in Iowa", "Commitment v1: N2 Cpu in Iowa for 1 Year"),
    "spend": ("Cloud SQL", "Cloud SQL for MySQL: Zonal - vCPU in Iowa",
              "Commitment - dollar based v1: Cloud SQL database us-central1 for 1 year"),
    "model": ("Cloud Run", "Services CPU in us-central1", "Commitment - dollar based v1: Cloud Run for 1 year"),
}  # fmt: skip


@dataclass(frozen=True)
class Commitment:
    """A commitment of one year: fee a month, the ratio of it that each month uses, over how many rows.

    kind: credited for resources, credited for spend, or the new model of prices and fee offsets. beyond: on-demand cost
    of the same rows that the commitment does not cover.
    """

    kind: str
    fee: Decimal
    used_ratio: tuple[Decimal, ...]
    rows: int
    fee_rows: int
    beyond: Decimal

    @property
    def id(self) -> str:
        """The subscription."""
        return f"subscription-{self.kind}"


def commitments() -> st.SearchStrategy[tuple[Commitment, ...]]:
    ratios = st.integers(0, 100).map(lambda n: Decimal(n) / 100)
    one = {
        kind: st.builds(
            Commitment, kind=st.just(kind), fee=st.integers(1, 10**7).map(lambda cents: Decimal(cents) / 100),
            used_ratio=st.tuples(*[ratios] * len(MONTHS)), rows=st.integers(1, 4), fee_rows=st.integers(1, 3),
            beyond=st.integers(0, 10**5).map(lambda cents: Decimal(cents) / 100),
        )
        for kind in SKUS
    }  # fmt: skip
    return st.tuples(*one.values())


def shares(amount: Decimal, parts: int) -> list[Decimal]:
    """Equal parts in 12 decimals that sum to the amount; the last takes what rounding leaves."""
    equal = (amount / parts).quantize(Decimal("1e-12"), rounding=ROUND_DOWN)
    return [equal] * (parts - 1) + [amount - equal * (parts - 1)]


def _row(month: int, commitment: Commitment, sku: str, cost: Decimal, quantity: Decimal, credits: list[Row]) -> Row:
    return usage(
        service__description=SKUS[commitment.kind][0], sku__description=sku, cost=f"{cost:f}",
        usage__amount_in_pricing_units=f"{quantity:f}", credits=json.dumps(credits), invoice__month=f"2025{month:02d}",
        usage_start_time=f"2025-{month:02d}-10 10:00:00+00:00", usage_end_time=f"2025-{month:02d}-10 11:00:00+00:00",
        consumption_model__description="", subscription__instance_id="",
    )  # fmt: skip


def _credit(kind: str, amount: Decimal) -> list[Row]:
    return [{"type": kind, "amount": f"{-amount:f}", "name": kind}] if amount else []


def fees(commitment: Commitment) -> Iterator[Row]:
    """The fee's rows; of the new model with what usage offsets."""
    for month, ratio in zip(MONTHS, commitment.used_ratio, strict=True):
        for cost, used in zip(
            shares(commitment.fee, commitment.fee_rows),
            shares(commitment.fee * ratio, commitment.fee_rows),
            strict=True,
        ):
            # a fee for spend counts cents of the on-demand cost that it buys
            cents = 100 if commitment.kind == "spend" else 1
            quantity = (_bought(commitment) if cents == 100 else HOURS) * cents / commitment.fee_rows
            credits = _credit("FEE_UTILIZATION_OFFSET", used) if commitment.kind == "model" else []
            row = _row(month, commitment, SKUS[commitment.kind][2], cost, quantity, credits)
            yield row | {"subscription.instance_id": commitment.id}


def _bought(commitment: Commitment) -> Decimal:
    """The on-demand cost that the fee of a month buys: the fee is a discount of 50 %."""
    return commitment.fee * 2


def covered(commitment: Commitment) -> Iterator[Row]:
    """What the commitment covers, and in the same rows what it does not."""
    for month, ratio in zip(MONTHS, commitment.used_ratio, strict=True):
        sku, beyond = SKUS[commitment.kind][1], commitment.beyond
        if commitment.kind == "model":
            for cost in shares(commitment.fee * ratio, commitment.rows):
                model = {"consumption_model.description": "Cloud Run CUDs 1 Year"}
                yield _row(month, commitment, sku, cost, HOURS, []) | model
            yield _row(month, commitment, sku, beyond, HOURS, [])
            continue
        kind = "COMMITTED_USAGE_DISCOUNT" + ("_DOLLAR_BASE" if commitment.kind == "spend" else "")
        whole = (_bought(commitment) if commitment.kind == "spend" else HOURS * ON_DEMAND) * ratio
        for amount, extra in zip(shares(whole, commitment.rows), shares(beyond, commitment.rows), strict=True):
            cost = amount + extra
            yield _row(month, commitment, sku, cost, cost / ON_DEMAND, _credit(kind, amount))


def written(year: tuple[Commitment, ...], folder: Path) -> Path:
    """Fees and usage in files of their own, as a large export divides them."""
    write_csv(folder / "fees.csv", *(row for commitment in year for row in fees(commitment)))
    write_csv(folder / "usage.csv", *(row for commitment in year for row in covered(commitment)))
    return folder


def sums(charges: pl.DataFrame, cost: str, by: str | pl.Expr) -> dict[object, Decimal]:
    return dict(charges.group_by(by).agg(pl.col(cost).sum()).iter_rows())


@pytest.mark.parametrize("kind", list(SKUS))
@pytest.mark.parametrize("used", ["0", "0.25", "1"])
def test_a_plain_commitment(kind: str, used: str, tmp_path: Path) -> None:
    """A fee of 10 a month is billed each month and counts 10 x the ratio as used and the rest as unused."""
    commitment = Commitment(kind, Decimal(10), (Decimal(used),) * 12, 1, 1, Decimal(0))
    charges = read(written((commitment,), tmp_path))
    status = sums(charges, s.EFFECTIVE_COST, s.COMMITMENT_DISCOUNT_STATUS)
    assert status.get("Used", 0) == 120 * Decimal(used)
    assert status.get("Unused", 0) == 120 * (1 - Decimal(used))
    month = pl.col(s.BILLING_PERIOD_START).dt.month()
    assert sums(charges, s.BILLED_COST, month) == dict.fromkeys(MONTHS, Decimal(10))
    assert set(charges.filter(pl.col(s.CHARGE_CATEGORY) == "Purchase")[s.EFFECTIVE_COST]) == {Decimal(0)}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(year=commitments())
def test_a_year_of_commitments(year: tuple[Commitment, ...], tmp_path: Path) -> None:
    """BilledCost is each month's invoice, used + unused are the fees to the last decimal, and nothing counts twice."""
    charges = read(written(year, tmp_path))
    assert charges[REJECT].null_count() == len(charges)
    assert charges[SOURCE_ROWS].sum() == sum(12 * (c.fee_rows + c.rows + (c.kind == "model")) for c in year)

    invoice = sum(c.fee + c.beyond for c in year)
    by_month = sums(charges, s.BILLED_COST, pl.col(s.BILLING_PERIOD_START).dt.month())
    assert by_month == dict.fromkeys(MONTHS, invoice)
    # what was paid for each month is what its days cost
    assert sums(charges, s.EFFECTIVE_COST, pl.col(s.BILLING_PERIOD_START).dt.month()) == by_month

    purchases = charges.filter(pl.col(s.CHARGE_CATEGORY) == "Purchase")
    assert sums(purchases, s.BILLED_COST, s.COMMITMENT_DISCOUNT_ID) == {c.id: 12 * c.fee for c in year}
    assert set(purchases[s.EFFECTIVE_COST]) == {Decimal(0)}
    for commitment in year:
        mine = charges.filter(pl.col(s.SERVICE_NAME) == SKUS[commitment.kind][0])
        status = mine.filter(pl.col(s.COMMITMENT_DISCOUNT_STATUS).is_not_null())
        beyond = sum(commitment.beyond for r in commitment.used_ratio if r and commitment.kind != "model")
        with localcontext() as context:
            context.prec = 60
            assert Decimal(status[s.EFFECTIVE_COST].sum()) - beyond == 12 * commitment.fee
            unused = Decimal(status.filter(pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Unused")[s.EFFECTIVE_COST].sum())
            assert abs(unused - sum(commitment.fee * (1 - r) for r in commitment.used_ratio)) < Decimal("1e-8")
        if commitment.kind == "spend":
            assert Decimal(status[s.COMMITMENT_DISCOUNT_QUANTITY].sum()) == 12 * commitment.fee
