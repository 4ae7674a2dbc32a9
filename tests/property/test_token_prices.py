"""Properties of token pricing: agreement with genai-prices, parts that sum, equal requests in one row."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import token_costs, token_prices
from finops.token_prices import METERS

MODELS = [
    ("openai", "gpt-5.5"), ("openai", "gpt-5.6-sol"), ("openai", "gpt-4o-2024-08-06"), ("openai", "o4-mini"),
    ("openai", "gpt-realtime"), ("openai", "gpt-image-1"), ("anthropic", "claude-opus-5-5"),
    ("anthropic", "claude-haiku-5-5"), ("anthropic", "claude-sonnet-4-5"), ("google", "gemini-3.1-flash-lite"),
    ("google", "gemini-2.5-pro"), ("mistral", "mistral-medium-latest"), ("x-ai", "grok-4"), ("azure", "gpt-5.5"),
    ("perplexity", "sonar-deep-research"), ("aws", "anthropic.claude-sonnet-4-5-20250929-v1:0"), ("acme", "nothing"),
]  # fmt: skip
CONTEXTS: dict[str, dict[str, str] | None] = {
    "standard": None, "batch": {"processing": "batch"}, "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}  # fmt: skip
PEER_KEYS = {
    "cache_read": "cache_read_tokens", "cache_write": "cache_write_tokens", "cache_write_1h": "cache_write_1h_tokens",
    "reasoning": "output_reasoning_tokens", "input_audio": "input_audio_tokens", "output_audio": "output_audio_tokens",
    "input_image": "input_image_tokens",
}  # fmt: skip
BOOK = token_prices.load_book()

tokens = st.one_of(st.just(0), st.integers(0, 500_000))
counts = st.fixed_dictionaries(dict.fromkeys(("uncached_input", "output", *PEER_KEYS), tokens))


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """One request of a model, mostly of a few kinds of token."""
    provider, model = draw(st.sampled_from(MODELS))
    used = draw(st.sets(st.sampled_from(["uncached_input", "output", *PEER_KEYS]), max_size=5))
    drawn = draw(counts)
    return {
        "date": draw(st.dates(date(2025, 6, 1), date(2026, 11, 15))),
        "provider": provider,
        "model": model,
        "service_tier": draw(st.sampled_from(["standard", "standard", *CONTEXTS])),
        "requests": 1,
        **{m.column: drawn[m.name] if m.name in used else 0 for m in METERS if m.name in drawn},
    }


def priced(rows: list[dict[str, Any]], **options: bool) -> pl.DataFrame:
    """The rows with their prices."""
    return token_costs.price(pl.LazyFrame(rows), BOOK, **options).collect()


def peer(row: dict[str, Any]) -> Decimal:
    """What genai-prices says of one request; its counts of input and output hold all kinds of each."""
    count = {m.name: row.get(m.column, 0) for m in METERS}
    usage = Usage(
        input_tokens=sum(count[m.name] for m in METERS if m.is_input),
        output_tokens=count["output"] + count["reasoning"] + count["output_audio"],
        cache_audio_read_tokens=0,
        cache_image_read_tokens=0,
        **{
            key: count[name] + (count["cache_write_1h"] if name == "cache_write" else 0)
            for name, key in PEER_KEYS.items()
        },
    )
    day: date = row["date"]
    return calc_price(
        usage,
        row["model"],
        provider_id=row["provider"],
        genai_request_timestamp=datetime(day.year, day.month, day.day, tzinfo=UTC),
        price_context=CONTEXTS[row["service_tier"]],
    ).total_price


@settings(max_examples=200, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=20))
def test_what_the_list_prices_agrees_with_genai_prices(rows: list[dict[str, Any]]) -> None:
    """Every row priced from the list costs what genai-prices calculates for it, to the last decimal."""
    for row in priced(rows).filter(pl.col("price_source").str.starts_with("genai-prices")).iter_rows(named=True):
        assert row["cost_usd"] == peer(row), row


@settings(max_examples=60, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=20))
def test_parts_sum_and_rows_keep_their_order(rows: list[dict[str, Any]]) -> None:
    """A cost is the sum of its parts, an unpriced row has neither, and rows and columns come back as they went in."""
    found = priced(rows, parts=True)
    assert found.select(rows[0].keys()).to_dicts() == rows
    for row in found.iter_rows(named=True):
        parts = [row[f"{m.name}_cost_usd"] for m in METERS if m.column in row]
        if row["price_status"] == "priced":
            assert row["cost_usd"] == sum(parts)
            assert row["price_reason"] is None
        else:
            assert row["cost_usd"] is None
            assert set(parts) == {None}
            assert row["price_reason"]


@settings(max_examples=60, deadline=None)
@given(requests(), st.integers(1, 1_000))
def test_equal_requests_cost_the_same_in_one_row(row: dict[str, Any], many: int) -> None:
    """A row of n equal requests costs n times one of them, whatever context tier they are in."""
    summed = {**row, **{m.column: row[m.column] * many for m in METERS if m.column in row}}
    one, together = priced([row, summed])["cost_usd"]
    assert together == (None if one is None else one * many)
