"""Anthropic's usage pages become metered lines: cache writes by lifetime, long context and tiers at their price."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import anthropic, files
from connectors.registry import METERED, RAW, REJECT, SOURCE_ROWS, connector
from finops import schema as s
from finops.pipeline.totals import Batch
from finops.store import Lake
from finops.token_costs import price
from finops.token_prices import load_book
from tests.conftest import TODAY
from tests.unit.test_anthropic import Json, bucket, cost, save
from tests.unit.test_openai_usage import counted


def usage(**fields: object) -> Json:
    """A result of the usage report, of Claude Sonnet 4.5 by one key, with what the fields change."""
    return {
        "uncached_input_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
        "cache_read_input_tokens": 0, "output_tokens": 0, "server_tool_use": {"web_search_requests": 0},
        "api_key_id": "apikey_1", "workspace_id": "wrkspc_1", "model": "claude-sonnet-4-5-20250929",
        "service_tier": "standard", "context_window": "0-200k", "inference_geo": "not_available", "account_id": None,
        "service_account_id": None, **fields,
    }  # fmt: skip


def metered(path: Path) -> pl.DataFrame:
    found = files.source_parts(connector("anthropic"), path, until=TODAY, say=lambda _: None)
    return pl.concat([anthropic.parse_usage(part).collect() for part in found if part.holds == "usage"])


def rows(folder: Path, *results: Json) -> list[dict[str, Any]]:
    return metered(save(folder / "page.json", bucket("2026-10-05", *results))).to_dicts()


@pytest.fixture
def pages(tmp_path: Path, shared: Path) -> Path:
    """The usage pages of the sample data."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for page in (shared / "api/anthropic").glob("usage_*.json"):
        (folder / page.name).write_bytes(page.read_bytes())
    return folder


@pytest.mark.shared
def test_the_sample_sums_to_its_tokens(pages: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
    """Every token and search of the sample is in the lake once, as the JSON itself sums; no requests are made up."""
    results = [
        result for page in pages.iterdir() for day in json.loads(page.read_text())["data"] for result in day["results"]
    ]
    expected = {
        "uncached_input_tokens": sum(r["uncached_input_tokens"] for r in results),
        "cache_read_tokens": sum(r["cache_read_input_tokens"] for r in results),
        "cache_write_5m_tokens": sum(r["cache_creation"]["ephemeral_5m_input_tokens"] for r in results),
        "cache_write_1h_tokens": sum(r["cache_creation"]["ephemeral_1h_input_tokens"] for r in results),
        "output_tokens": sum(r["output_tokens"] for r in results),
        "web_searches": sum(r["server_tool_use"]["web_search_requests"] for r in results),
    }
    load(pages, "anthropic")
    stored = lake.scan("token_usage").collect()
    sums = stored.select(pl.col(*s.METER_COLUMNS, "other_quantity").sum()).row(0, named=True)
    assert counted(sums) == {column: count for column, count in expected.items() if count}
    assert stored["requests"].null_count() == len(stored)
    assert len(results) == metered(pages)[REJECT].null_count() == 5


def test_a_result_says_whose_usage_it_is(tmp_path: Path) -> None:
    """Day, model, tier, workspace and key of a result, and its counts, each in the column of its price."""
    cache = {"ephemeral_1h_input_tokens": 3, "ephemeral_5m_input_tokens": 2}
    (row,) = rows(tmp_path, usage(uncached_input_tokens=1, cache_creation=cache, cache_read_input_tokens=4,
                                  output_tokens=5, server_tool_use={"web_search_requests": 6}))  # fmt: skip
    assert {column: row[column] for column in list(METERED)[:9]} == {
        "day": date(2026, 10, 5), "provider": "anthropic", "operation": "messages",
        "model": "claude-sonnet-4-5-20250929", "service_tier": "standard", "account_id": "wrkspc_1",
        "account_name": None, "consumer_id": "apikey_1", "tags": '{"inference_geo": "not_available"}',
    }  # fmt: skip
    assert counted(row) == {
        "uncached_input_tokens": 1, "cache_write_5m_tokens": 2, "cache_write_1h_tokens": 3, "cache_read_tokens": 4,
        "output_tokens": 5, "web_searches": 6,
    }  # fmt: skip
    assert (row["requests"], row["cache_write_tokens"]) == (None, None)
    assert (row[s.SOURCE_FILE], row[s.SOURCE_ROW], row[SOURCE_ROWS]) == ("page.json", 1, 1)


@pytest.mark.parametrize(
    ("who", "consumer"),
    [
        ({"api_key_id": "apikey_2", "account_id": "user_1"}, "apikey_2"),
        ({"api_key_id": None, "account_id": "user_1"}, "user_1"),
        ({"api_key_id": None, "service_account_id": "svac_1", "account_id": None}, "svac_1"),
        ({"api_key_id": None}, None),
    ],
)
def test_the_key_is_the_consumer(who: Json, consumer: str | None, tmp_path: Path) -> None:
    """The consumer is the key, else who called; the Workbench is nobody, and the default workspace stays null."""
    (row,) = rows(tmp_path, usage(**who, workspace_id=None))
    assert (row["consumer_id"], row["account_id"]) == (consumer, None)


@pytest.mark.parametrize(
    ("window", "context"), [("0-200k", 0), ("200k-1M", 200_000), ("1M-2M", 1_000_000), (None, None)]
)
def test_the_window_is_where_it_starts(window: str | None, context: int | None, tmp_path: Path) -> None:
    """The context window is the tokens that it starts from; one that is not told is null."""
    (row,) = rows(tmp_path, usage(context_window=window))
    assert row[s.CONTEXT] == context


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"service_tier": "batch"}, "batch"),
        ({"service_tier": "priority", "speed": "standard"}, "priority"),
        ({"service_tier": None, "inference_geo": None}, None),
        ({"inference_geo": "global"}, "standard"),
        ({"inference_geo": "not_available"}, "standard"),
        ({"inference_geo": "us"}, "us"),
        ({"service_tier": "batch", "inference_geo": "us"}, "batch us"),
        ({"speed": "fast"}, "fast"),
        ({"speed": "fast", "inference_geo": "us", "service_tier": None}, "fast us"),
    ],
)
def test_a_tier_is_all_that_the_price_depends_on(fields: Json, tier: str | None, tmp_path: Path) -> None:
    """Fast mode and a region have prices of their own, so what they bill and meter is not of the standard tier."""
    (row,) = rows(tmp_path, usage(**fields))
    assert row["service_tier"] == tier
    (part,) = files.source_parts(
        connector("anthropic"), save(tmp_path / "costs.json", bucket("2026-10-05", cost(**fields))), until=TODAY,
        say=lambda _: None,
    )  # fmt: skip
    assert anthropic.parse(part).collect()[s.SERVICE_TIER].to_list() == [tier]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"uncached_input_tokens": None}, "uncached_input_tokens is missing"),
        ({"output_tokens": -5}, 'output_tokens is "-5", which is below zero'),
        ({"cache_creation": {"ephemeral_1h_input_tokens": "n/a"}},
         'cache_creation.ephemeral_1h_input_tokens is "n/a", which is no number'),
        ({"context_window": "long"}, 'context_window is "long", which is no range like 0-200k'),
    ],
)  # fmt: skip
def test_a_wrong_result_is_rejected(fields: Json, reason: str, tmp_path: Path) -> None:
    """A result whose counts or context cannot be read is kept with its reason; the others are lines."""
    wrong, right = rows(tmp_path, usage(**fields), usage())
    assert (wrong[REJECT], right[REJECT]) == (reason, None)
    assert json.loads(wrong[RAW])["results"] == [usage(**fields)]


def test_costs_are_no_usage(tmp_path: Path) -> None:
    """A cost among usage makes the page one of costs, where the usage is rejected and nothing is lost."""
    page = save(tmp_path / "page.json", bucket("2026-10-05", usage(), cost()))
    (part,) = files.source_parts(connector("anthropic"), page, until=TODAY, say=lambda _: None)
    assert part.holds == "charges"
    assert anthropic.parse(part).collect()[REJECT].to_list() == ["the result is no cost", None]


def test_a_new_count_is_a_line_of_its_own(tmp_path: Path) -> None:
    """Numbers that no meter is known for are listed by their names, not dropped and not added to a meter."""
    searches = {"web_search_requests": 1, "web_fetch_requests": 8}
    first, other = rows(tmp_path, usage(server_tool_use=searches, output_tokens=2))
    assert counted(first) == {"web_searches": 1, "output_tokens": 2}
    assert counted(other) == {"other_quantity": 8}
    assert other["other_unit"] == "server_tool_use.web_fetch_requests"
    assert (first[SOURCE_ROWS], other[SOURCE_ROWS]) == (1, 0)


MILLION = 1_000_000


@pytest.mark.parametrize(
    ("fields", "dollars"),
    [
        # Sonnet 4.5 per million: input 3, cached 0.3, written 3.75 and 6, output 15; over 200k: 6, 0.6, 7.5, 12, 22.5
        ({"uncached_input_tokens": MILLION, "output_tokens": MILLION}, "18"),
        ({"cache_read_input_tokens": MILLION}, "0.3"),
        ({"cache_creation": {"ephemeral_5m_input_tokens": MILLION}}, "3.75"),
        ({"cache_creation": {"ephemeral_1h_input_tokens": MILLION}}, "6"),
        ({"server_tool_use": {"web_search_requests": 1000}}, "10"),
        ({"uncached_input_tokens": MILLION, "output_tokens": MILLION, "service_tier": "batch"}, "9"),
        ({"uncached_input_tokens": MILLION, "output_tokens": MILLION, "context_window": "200k-1M"}, "28.5"),
        ({"uncached_input_tokens": MILLION, "output_tokens": MILLION, "context_window": "200k-1M",
          "service_tier": "batch"}, "14.25"),
        # Opus 4.8, fast: input 10, output 50
        ({"uncached_input_tokens": MILLION, "output_tokens": MILLION, "model": "claude-opus-4-8", "speed": "fast"},
         "60"),
    ],
)  # fmt: skip
def test_usage_is_priced_as_the_api_charges_it(fields: Json, dollars: str, tmp_path: Path) -> None:
    """A million tokens cost what the book says, each at its own price, tier and context (genai-prices 0.2.3)."""
    frame = metered(save(tmp_path / "page.json", bucket("2026-10-20", usage(**fields))))
    priced = price(frame.lazy().rename({"day": "date"}), load_book()).collect().row(0, named=True)
    assert (priced["price_reason"], priced["cost_usd"]) == (None, Decimal(dollars))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"context_window": None}, "the price depends on the number of requests, which is missing"),
        ({"inference_geo": "eu"}, "unknown service tier eu"),
        ({"model": None}, "unknown model"),
    ],
)
def test_usage_of_no_known_price_is_unpriced(fields: Json, reason: str, tmp_path: Path) -> None:
    """Usage whose price cannot be told is not priced as something else."""
    frame = metered(save(tmp_path / "page.json", bucket("2026-10-20", usage(uncached_input_tokens=MILLION, **fields))))
    priced = price(frame.lazy().rename({"day": "date"}), load_book()).collect().row(0, named=True)
    assert (priced["price_reason"], priced["cost_usd"]) == (reason, None)
