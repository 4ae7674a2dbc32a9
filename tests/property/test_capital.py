"""Depreciation loses nothing, whatever the price and the life."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from finops import capital

PRICES = st.decimals(min_value=0, max_value=10**9, places=18, allow_nan=False)
RATIOS = st.decimals(min_value=0, max_value=1, places=4, allow_nan=False)


@given(price=PRICES, residual=RATIOS, days=st.integers(1, 3700))
def test_days_of_a_life_sum_to_what_is_lost(price: Decimal, residual: Decimal, days: int) -> None:
    """The daily shares sum to price x (1 - residual) to the 18th decimal and differ by at most 1e-18."""
    shares = capital.daily_depreciation(price=price, residual_ratio=residual, days=days)
    assert len(shares) == days
    assert sum(int(share.scaleb(18)) for share in shares) == int(
        capital.depreciable_amount(price=price, residual_ratio=residual).scaleb(18)
    )
    assert max(shares) - min(shares) <= Decimal("1e-18")
