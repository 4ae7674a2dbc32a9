"""Money: splits and daily spreading keep the sum, and currencies never mix."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import schema as s
from finops.errors import CallError
from finops.money import CONTEXT, QUANTUM, FxRate, Money, split
from finops.pipeline.daily import spend_daily

amounts = st.decimals(min_value=Decimal(-(10**15)), max_value=Decimal(10**15), places=18)
weights = st.lists(st.decimals(min_value=0, max_value=1000, places=6), min_size=1, max_size=20).filter(any)


def units(amount: Decimal) -> int:
    """The amount in units of 1e-18, exactly."""
    return int(amount.scaleb(18, CONTEXT))


@given(amounts, weights)
def test_parts_of_a_split_sum_to_the_amount(amount: Decimal, shares: list[Decimal]) -> None:
    """The parts sum to the amount exactly, to the last decimal."""
    assert sum(units(part) for part in split(amount, shares)) == units(amount)


@given(amounts, weights)
def test_a_part_is_its_exact_share_within_one_unit(amount: Decimal, shares: list[Decimal]) -> None:
    """No part is further than 1e-18 from amount x weight / sum of weights; a zero weight gets nothing."""
    total = sum(units(w) for w in shares)
    for part, weight in zip(split(amount, shares), shares, strict=True):
        assert abs(units(part) * total - units(amount) * units(weight)) < total
        assert weight or part == 0


@pytest.mark.parametrize("wrong", [[], [Decimal(0)], [Decimal(1), Decimal(-1)]])
def test_a_split_without_usable_weights_is_refused(wrong: list[Decimal]) -> None:
    """Empty, all-zero and negative weights raise instead of losing the amount."""
    with pytest.raises(CallError):
        split(Decimal(1), wrong)


def test_currencies_are_never_added() -> None:
    """Adding, subtracting or comparing two currencies raises."""
    for operation in ("__add__", "__sub__", "__lt__"):
        with pytest.raises(CallError, match="USD and EUR|EUR and USD"):
            getattr(Money(Decimal(1), "USD"), operation)(Money(Decimal(1), "EUR"))


def test_conversion_takes_a_rate_of_its_own_base() -> None:
    """amount x rate, rounded once to 18 places; a rate of another base raises."""
    rate = FxRate(date(2026, 11, 1), "EUR", "USD", Decimal("1.1"), "central bank")
    assert Money(Decimal("3"), "EUR").convert(rate) == Money(Decimal("3.300000000000000000"), "USD")
    assert Money(QUANTUM, "EUR").convert(rate).amount == QUANTUM
    with pytest.raises(CallError):
        Money(Decimal(1), "USD").convert(rate)


def charge(amount: Decimal, days: int, frequency: str = "Recurring") -> pl.LazyFrame:
    """One charge over some days, with every other column empty."""
    start = datetime(2026, 2, 27, tzinfo=UTC)
    row = dict.fromkeys(s.TABLES["charges"].columns)
    row |= {
        s.CHARGE_PERIOD_START: start,
        s.CHARGE_PERIOD_END: start + timedelta(days=days),
        s.CHARGE_FREQUENCY: frequency,
        s.BILLED_COST: amount,
        s.EFFECTIVE_COST: -amount,
    }
    return pl.LazyFrame([row], schema=s.TABLES["charges"].columns)


@given(amounts, st.integers(min_value=1, max_value=400))
def test_spreading_a_charge_over_its_days_keeps_its_sum(amount: Decimal, days: int) -> None:
    """The daily parts sum to the charge to the last decimal, and it is counted once."""
    daily = spend_daily(charge(amount, days)).collect()
    assert len(daily) == days
    assert daily[s.BILLED_COST].sum() == amount
    assert daily[s.EFFECTIVE_COST].sum() == -amount
    assert daily[s.CHARGE_COUNT].sum() == 1
    spread = daily[s.BILLED_COST].max() - daily[s.BILLED_COST].min()  # type: ignore[operator]
    assert spread <= QUANTUM * (days + 1)


def test_a_one_time_charge_stays_on_its_day() -> None:
    """A one-time purchase that covers a year is not spread."""
    daily = spend_daily(charge(Decimal(365), 365, "One-Time")).collect()
    assert daily[s.CHARGE_DATE].to_list() == [date(2026, 2, 27)]
