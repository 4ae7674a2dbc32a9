"""Net of random usage cost exports: cost plus the sum of all credits, per currency, and nothing lost."""

import json
import tempfile
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.gcp import find_parts, parse
from connectors.registry import REJECT, SOURCE_ROWS
from finops import schema as s
from tests.conftest import TODAY
from tests.unit.test_gcp import usage, write_csv

TYPES = (
    "COMMITTED_USAGE_DISCOUNT", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE", "FEE_UTILIZATION_OFFSET", "PROMOTION",
    "SUSTAINED_USAGE_DISCOUNT", "FREE_TIER", "DISCOUNT", "RESELLER_MARGIN", "SUBSCRIPTION_BENEFIT", "", "NEW_ONE",
)  # fmt: skip
AMOUNTS = st.decimals(min_value=-10_000, max_value=10_000, places=12)
CREDITS = st.lists(st.tuples(st.sampled_from(TYPES), AMOUNTS), max_size=4)
ROWS = st.lists(
    st.tuples(
        AMOUNTS,
        CREDITS,
        st.sampled_from(("USD", "EUR", "GBP", "AUD")),
        st.sampled_from(("regular", "tax", "adjustment", "rounding_error", "something_new")),
        st.sampled_from(("N1 Core", "Commitment v1: N1 Core for 1 Year", "Spot Preemptible N1 Core")),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_net_is_cost_plus_credits(
    rows: list[tuple[Decimal, list[tuple[str, Decimal]], str, str, str, bool]],
) -> None:
    """BilledCost and EffectiveCost sum to cost + credits in each currency, and every row is counted once."""
    net: dict[str, Decimal] = {}
    written = []
    for cost, credits, currency, kind, sku, literal in rows:
        listed = [{"type": kind_, "amount": str(amount), "name": None} for kind_, amount in credits]
        text = repr(listed) if literal else json.dumps(listed)
        written.append(usage(cost=str(cost), credits=text, currency=currency, cost_type=kind, sku__description=sku))
        net[currency] = net.get(currency, Decimal(0)) + cost + sum(amount for _, amount in credits)
    with tempfile.TemporaryDirectory() as folder:
        [part] = find_parts(write_csv(Path(folder) / "a.csv", *written), until=TODAY)
        charges = parse(part).collect()
    assert charges[REJECT].null_count() == len(charges)
    for cost_column in (s.BILLED_COST, s.EFFECTIVE_COST):
        assert dict(charges.group_by(s.BILLING_CURRENCY).agg(pl.col(cost_column).sum()).iter_rows()) == net
    assert charges.group_by(s.SOURCE_ROW).agg(pl.col(SOURCE_ROWS).sum())[SOURCE_ROWS].to_list() == [1] * len(rows)
