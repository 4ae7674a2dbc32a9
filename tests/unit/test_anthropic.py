"""Anthropic's cost report counts cents; its pages become charges in dollars to the last decimal."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import anthropic, files
from connectors.registry import RAW, REJECT, RawPart, connector
from finops import schema as s
from finops.errors import InputError
from finops.money import CONTEXT
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.conftest import TODAY

Json = dict[str, Any]


def cost(**fields: object) -> Json:
    """A result of the cost report: input tokens for 1.5 cents, with what the fields change."""
    return {
        "currency": "USD", "amount": "1.5", "workspace_id": "wrkspc_1",
        "description": "Claude Sonnet 4.5 Usage - Input Tokens", "cost_type": "tokens", "context_window": "0-200k",
        "model": "claude-sonnet-4-5-20250929", "service_tier": "standard", "token_type": "uncached_input_tokens",
        "inference_geo": "global", **fields,
    }  # fmt: skip


def bucket(day: str, *results: Json) -> Json:
    """The bucket of a day."""
    end = date.fromisoformat(day) + timedelta(days=1)
    return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{end}T00:00:00Z", "results": list(results)}


def save(path: Path, *buckets: Json, has_more: bool = False) -> Path:
    """A page, saved."""
    path.parent.mkdir(parents=True, exist_ok=True)
    next_page = "page_AAA" if has_more else None
    path.write_text(json.dumps({"data": buckets, "has_more": has_more, "next_page": next_page}))
    return path


def parts(path: Path) -> list[RawPart]:
    return files.source_parts(connector("anthropic"), path, until=TODAY, say=lambda _: None)


def parsed(path: Path) -> pl.DataFrame:
    return pl.concat([anthropic.parse(part).collect() for part in parts(path) if part.holds == "charges"])


def charge(folder: Path, **fields: object) -> dict[str, Any]:
    return parsed(save(folder / "page.json", bucket("2026-10-05", cost(**fields)))).row(0, named=True)


@pytest.fixture
def pages(tmp_path: Path, shared: Path) -> Path:
    """The cost and usage pages of the sample data, without its answer of an error."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for page in (shared / "api/anthropic").glob("*_page*.json"):
        (folder / page.name).write_bytes(page.read_bytes())
    return folder


@pytest.mark.shared
def test_the_sample_sums_to_its_control_total(pages: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
    """293992.19659 cents are 2939.9219659 USD, read, stored and classified as model calls; usage adds none."""
    (batch,) = load(pages, "anthropic")
    (total,) = batch.billed_cost
    assert (total.currency, total.read, total.stored) == ("USD", *[Decimal("293992.19659") / 100] * 2)
    assert (batch.rows_read, batch.rows_quarantined, batch.billing_period) == (10 + 5, 0, "2026-10")
    charges = lake.scan("charges").collect()
    assert charges[s.IS_AI].all()
    assert set(charges[s.DRIVER]) == {"model_api"}
    models = charges.filter(pl.col(s.MODEL_ID).is_not_null())
    assert set(models[s.MODEL_DEVELOPER]) == {"Anthropic"}
    assert set(models[s.MODEL_ID]) == {"claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101"}
    by_kind = models.group_by(s.TOKEN_DIRECTION, s.TOKEN_CACHE_ACTION).agg(pl.col(s.BILLED_COST).sum())
    assert {row[:2]: row[2] for row in by_kind.iter_rows()} == {
        ("Input", "Uncached"): Decimal("1322.5691449"),
        ("Input", "Read"): Decimal("43.215"),
        ("Input", "Write"): Decimal("32.7735"),
        ("Output", None): Decimal("1537.659321"),
    }
    assert charges.filter(pl.col(s.SERVICE_TIER) == "batch")[s.BILLED_COST].to_list() == [Decimal("550.005")]


@pytest.mark.shared
def test_each_page_says_what_it_holds(pages: Path) -> None:
    """Costs and usage in one folder are told apart by their results; usage alone is fine, it holds no charges."""
    held = {part.name: part.holds for part in parts(pages)}
    usage = {"usage_report_messages_page1.json": "usage", "usage_report_messages_page2.json": "usage"}
    assert held == {"cost_report_page1.json": "charges", "cost_report_page2.json": "charges", **usage}
    for page in pages.glob("cost_report*"):
        page.unlink()
    assert {part.name: part.holds for part in parts(pages)} == usage


@pytest.mark.shared
def test_a_saved_error_is_refused(pages: Path, shared: Path) -> None:
    """An error answer among the pages stops the load and is named with what it says."""
    (pages / "error_429.json").write_bytes((shared / "api/anthropic/error_429.json").read_bytes())
    with pytest.raises(InputError, match=r"error_429.json .*exceeded your rate limit"):
        parts(pages)


@pytest.mark.shared
def test_the_last_page_must_be_there(pages: Path) -> None:
    """Without its second page a report of costs or usage is refused, and the day that is missing is named."""
    for name in ("cost_report", "usage_report_messages"):
        second = (pages / f"{name}_page2.json").rename(pages / "elsewhere")
        with pytest.raises(InputError, match=rf"{name}_page1.json .* starts at 2026-10-03T00:00:00Z is missing"):
            parts(pages)
        second.rename(pages / f"{name}_page2.json")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.decimals(min_value=-(10**15), max_value=10**15, places=16), min_size=1, max_size=20))
def test_dollars_are_cents_by_a_hundred_exactly(cents: list[Decimal]) -> None:
    """The charges of any cents sum to a hundredth of them, to the last decimal."""
    with TemporaryDirectory() as folder:
        results = [cost(amount=f"{amount:f}") for amount in cents]
        rows = parsed(save(Path(folder) / "page.json", bucket("2026-10-05", *results)))
    assert rows[REJECT].null_count() == len(cents)
    assert [CONTEXT.multiply(amount, Decimal(100)) for amount in rows[s.BILLED_COST]] == cents


def test_what_a_result_says_is_kept(tmp_path: Path) -> None:
    """Model, tokens, tier and context go to SkuPriceDetails, the workspace to the sub-account, the rest is kept."""
    row = charge(tmp_path, service_tier="batch", context_window="200k-1M")
    assert json.loads(row[s.SKU_PRICE_DETAILS]) == {
        "ModelId": "claude-sonnet-4-5-20250929", "TokenDirection": "Input", "TokenCacheAction": "Uncached",
        "x_ServiceTier": "batch", "x_ContextWindow": "200k-1M",
    }  # fmt: skip
    assert (row[s.SUB_ACCOUNT_ID], row[s.SUB_ACCOUNT_TYPE]) == ("wrkspc_1", "Workspace")
    assert (row[s.SERVICE_TIER], row[s.USAGE_TYPE]) == ("batch", "uncached_input_tokens")
    assert row[s.SKU_METER] == row[s.CHARGE_DESCRIPTION] == "Claude Sonnet 4.5 Usage - Input Tokens"
    assert json.loads(row[s.SOURCE_COLUMNS]) == {"cost_type": "tokens", "inference_geo": "global"}
    assert {row[c] for c in s.COSTS.values()} == {Decimal("0.015")}
    assert row[s.CHARGE_PERIOD_START] == datetime(2026, 10, 5, tzinfo=UTC)
    assert row[s.BILLING_PERIOD_END] == datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("token_type", "direction", "action"),
    [
        ("output_tokens", "Output", None),
        ("cache_read_input_tokens", "Input", "Read"),
        ("cache_creation.ephemeral_5m_input_tokens", "Input", "Write"),
        ("cache_creation.ephemeral_1h_input_tokens", "Input", "Write"),
        ("dream_tokens", None, None),
    ],
)
def test_token_types_have_a_direction(
    token_type: str, direction: str | None, action: str | None, tmp_path: Path
) -> None:
    """Each token type is one direction and cache action; one that is not known claims none and keeps its name."""
    row = charge(tmp_path, token_type=token_type)
    details = json.loads(row[s.SKU_PRICE_DETAILS])
    assert (details.get("TokenDirection"), details.get("TokenCacheAction")) == (direction, action)
    assert row[s.USAGE_TYPE] == token_type


def test_nulls_stay_null(tmp_path: Path) -> None:
    """The default workspace and a cost without a model are null, not a made-up name."""
    nulls = dict.fromkeys(("workspace_id", "model", "service_tier", "token_type", "context_window", "description"))
    row = charge(tmp_path, **nulls, cost_type="web_search")
    assert row[s.SUB_ACCOUNT_ID] is None
    assert row[s.SKU_PRICE_DETAILS] is None
    assert row[s.SERVICE_TIER] is None
    assert (row[s.USAGE_TYPE], row[s.CHARGE_DESCRIPTION]) == ("web_search", "Claude API")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": "12,5"}, 'amount is "12,5", which is no number'),
        ({"amount": None}, "amount is missing"),
        ({"amount": ""}, 'amount is "", which is no number'),
        ({"currency": None}, "currency is missing"),
        ({"currency": "JPY"}, 'currency is "JPY"; the report is known to count cents of USD only'),
    ],
)
def test_a_wrong_result_is_rejected(fields: Json, reason: str, tmp_path: Path) -> None:
    """A result without a readable amount or currency is kept with its reason; the others are charges."""
    rows = parsed(save(tmp_path / "page.json", bucket("2026-10-05", cost(**fields), cost())))
    assert rows[REJECT].to_list() == [reason, None]
    assert json.loads(rows[RAW][0])["results"][0] == cost(**fields)


@pytest.mark.parametrize("start", [None, "yesterday", 1788220800])
def test_a_bucket_without_its_start_is_rejected(start: object, tmp_path: Path) -> None:
    """The results of a bucket that cannot be dated are rejected."""
    undated = {**bucket("2026-10-05", cost()), "starting_at": start}
    rows = parsed(save(tmp_path / "page.json", undated, bucket("2026-10-06", cost())))
    assert rows[REJECT].is_not_null().to_list() == [True, False]
    assert rows[REJECT][0].startswith("starting_at is ")


def test_pages_of_openai_are_refused(tmp_path: Path) -> None:
    """A page of another provider is named with its keys."""
    page = tmp_path / "page.json"
    page.write_text('{"object": "page", "data": [], "has_more": false}')
    with pytest.raises(InputError, match=r"page.json is no page of Anthropic; it holds object, data, has_more"):
        parts(page)
