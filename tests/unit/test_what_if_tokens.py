"""Cache rate and model switch by worked examples: a book with round prices, and tokens that anybody can multiply."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from finops.errors import CallError
from finops.pipeline.what_if_tokens import Usage, reprice
from finops.token_ledger import FACTS
from finops.token_prices import BOOK, METERS
from forecasting.levers import WhatIf

DAY = date(2026, 11, 18)
PRICES: dict[str, dict[str, float]] = {
    "big": {"uncached_input": 10, "cache_read": 1, "output": 30},
    "small": {"uncached_input": 2, "cache_read": 0.5, "output": 6},
    "writer": {"uncached_input": 10, "cache_read": 1, "cache_write": 12.5, "output": 30},
    "embed": {"uncached_input": 1},
    "plain": {"uncached_input": 4, "output": 12},
}
"""USD a million tokens; `plain` has no price for cached input."""
MILLION = 1_000_000


def book() -> pl.DataFrame:
    """The prices as a book."""
    meters = {meter.name: meter for meter in METERS}
    rows = [
        {**dict.fromkeys(BOOK), "provider": "acme", "model": model, "meter": meter,
         "service_tier": "standard", "context_from_tokens": 0, "amount": Decimal(str(amount)),
         "unit": meters[meter].unit, "currency": "USD", "source": "a test",
         "checked": DAY}
        for model, prices in PRICES.items()
        for meter, amount in prices.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=BOOK).with_columns(rank=pl.lit(1, pl.Int64))


def usage(*rows: tuple[str, str, float, float], provider: str = "acme") -> Usage:
    """Facts: model, kind, millions of tokens, cost."""
    facts = [
        {**dict.fromkeys(FACTS), "day": DAY, "provider": provider, "model": model, "kind": kind,
         "service_tier": "standard", "team": "Search", "currency": "USD",
         "tokens": Decimal(str(tokens)) * MILLION, "cost": Decimal(str(cost))}
        for model, kind, tokens, cost in rows
    ]  # fmt: skip
    return Usage(pl.DataFrame(facts, schema=FACTS), book(), DAY)


def lever(**given: Any) -> Any:
    """One lever on tokens."""
    return WhatIf.model_validate({"name": "x", "levers": [{"from": DAY, **given}]}).levers[0]


BIG = (("big", "uncached_input", 8, 80), ("big", "cache_read", 2, 2), ("big", "output", 1, 30))
"""112 USD at the book's prices, of which a fifth of the input is from cache."""


def test_more_cache_moves_uncached_input_to_the_cached_price() -> None:
    """From 20 % to 60 % of 10 M input: 4 M at 1 instead of 10 take 36 off 112."""
    found = reprice(usage(*BIG), lever(kind="cache_rate", to_ratio=0.6))
    assert found.ratio == pytest.approx(76 / 112)
    assert "20 % of 10.0 M input tokens are from cache now" in found.notes[0]


def test_less_cache_moves_it_back() -> None:
    """From 20 % to none: 2 M at 10 instead of 1 add 18."""
    assert reprice(usage(*BIG), lever(kind="cache_rate", to_ratio=0)).ratio == pytest.approx(130 / 112)


def test_the_ratio_is_applied_to_what_is_paid() -> None:
    """Half price for all of it leaves the ratio as it is; what has no tokens keeps its cost."""
    half = tuple((model, kind, tokens, cost / 2) for model, kind, tokens, cost in BIG)
    assert reprice(usage(*half), lever(kind="cache_rate", to_ratio=0.6)).ratio == pytest.approx(76 / 112)
    fee = usage(*BIG, ("big", "other", 0, 112))
    assert reprice(fee, lever(kind="cache_rate", to_ratio=0.6)).ratio == pytest.approx((76 + 112) / 224)


def test_what_has_no_cached_price_cannot_be_cached_and_what_is_unpriced_keeps_its_cost() -> None:
    """Of 18 M input 8 M have none: 10 of 18 can be reached, and it is said; a model without a price is named."""
    mixed = usage(*BIG, ("plain", "uncached_input", 8, 32), ("own-model", "uncached_input", 5, 56))
    found = reprice(mixed, lever(kind="cache_rate", to_ratio=0.9))
    assert found.ratio == pytest.approx((112 - 72 + 32 + 56) / 200)
    assert "no more than 56 % can be reached" in " ".join(found.notes)
    assert "keep their cost of 56.00: own-model of acme (5.00 M tokens)" in " ".join(found.notes)


def test_a_switch_costs_what_the_tokens_cost_there() -> None:
    """8 x 2 + 2 x 0.5 + 1 x 6 = 23 instead of 112; half of it, at 1.5 tokens for one: 0.5 + 0.5 x 34.5 / 112."""
    whole = lever(kind="model_switch", model="big", to="small")
    assert reprice(usage(*BIG), whole).ratio == pytest.approx(23 / 112)
    half = lever(kind="model_switch", model="big", to="small", share_ratio=0.5, token_ratio=1.5)
    assert reprice(usage(*BIG), half).ratio == pytest.approx(0.5 + 0.5 * 34.5 / 112)


def test_a_switch_to_a_model_without_cached_input_pays_it_in_full() -> None:
    """10 x 4 + 1 x 12 = 52, and it is said."""
    found = reprice(usage(*BIG), lever(kind="model_switch", model="big", to="plain"))
    assert found.ratio == pytest.approx(52 / 112)
    assert "plain has no price for cached input" in found.notes[0]


def test_a_switch_to_a_model_without_a_price_for_cache_writes_takes_them_as_input() -> None:
    """Written 4 M at 2 as input, read 6 M at 0.5: 11 instead of 56."""
    rows = (("writer", "cache_write", 4, 50), ("writer", "cache_read", 6, 6))
    found = reprice(usage(*rows), lever(kind="model_switch", model="writer", to="small"))
    assert found.ratio == pytest.approx(11 / 56)
    assert "small has no price for cache writes" in found.notes[0]


def test_what_the_other_model_cannot_be_priced_for_stays() -> None:
    """Output has no price there: 30 stay, 100 of input become 10, and it is said."""
    here, resold = usage(("big", "uncached_input", 10, 100)), usage(("big", "output", 1, 30), provider="reseller")
    both = Usage(pl.concat([here.facts, resold.facts]), book(), DAY)
    found = reprice(both, lever(kind="model_switch", model="big", to="embed"))
    assert found.ratio == pytest.approx(40 / 130)
    assert "1.00 M tokens stay with big: embed cannot be priced for them (no price for output)" in found.notes[0]


def test_a_switch_leaves_other_models_and_other_teams() -> None:
    """The ratio is of the model that is left, in the scope; a scope without usage changes nothing, and says so."""
    mixed = usage(*BIG, ("small", "output", 100, 600))
    assert reprice(mixed, lever(kind="model_switch", model="big", to="small")).ratio == pytest.approx(23 / 112)
    found = reprice(mixed, lever(kind="model_switch", model="big", to="small", scope="team=Support"))
    assert found.ratio == 1
    assert "changes nothing" in found.notes[0]


def test_a_switch_to_a_model_without_a_price_is_refused() -> None:
    """It is never taken as free."""
    with pytest.raises(CallError) as error:
        reprice(usage(*BIG), lever(kind="model_switch", model="big", to="free-lunch"))
    assert "no token price for the model free-lunch" in error.value.found


def test_a_scope_that_usage_does_not_tell_is_refused() -> None:
    """Tokens know no region."""
    with pytest.raises(CallError) as error:
        reprice(usage(*BIG), lever(kind="cache_rate", to_ratio=0.5, scope="region=eu-west-1"))
    assert "team" in error.value.expected
