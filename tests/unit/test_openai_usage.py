"""OpenAI's usage pages become metered lines: each token in one column, priced once, and nothing counted is lost."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import files, openai
from connectors.registry import METERED, RAW, REJECT, SOURCE_ROWS, connector
from finops import schema as s
from finops.pipeline.totals import Batch
from finops.store import Lake
from finops.token_costs import price
from finops.token_prices import load_book
from tests.conftest import TODAY
from tests.unit.test_openai import DAY, SEPTEMBER, bucket, cost, save

METERS = (*s.METER_COLUMNS, "other_quantity")
TOKENS = [column for column in s.METER_COLUMNS if column.endswith("_tokens")]


def usage(operation: Any = "completions", **fields: Any) -> str:
    """A result of usage as JSON text, of gpt-5 by one key; a field that is ... is left out."""
    usual = {
        "object": f"organization.usage.{operation}.result", "num_model_requests": 4, "project_id": "proj_a",
        "user_id": None, "api_key_id": "key_1", "model": "gpt-5-2025-08-07", "batch": False, "service_tier": "default",
        "api_source": None,
    }  # fmt: skip
    return json.dumps({key: value for key, value in {**usual, **fields}.items() if value is not ...})


def metered(path: Path) -> pl.DataFrame:
    found = files.source_parts(connector("openai"), path, until=TODAY, say=lambda _: None)
    return pl.concat([openai.parse_usage(part).collect() for part in found if part.holds == "usage"])


def rows(folder: Path, *results: str, day: int = 5) -> list[dict[str, Any]]:
    return metered(save(folder / "page.json", bucket(day, *results))).to_dicts()


def counted(row: dict[str, Any]) -> dict[str, Decimal]:
    """What a line counts, without its zeros."""
    return {column: row[column] for column in METERS if row[column]}


@pytest.fixture
def pages(tmp_path: Path, shared: Path) -> Path:
    """The usage pages of the sample data."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for page in (shared / "api/openai").glob("usage_*.json"):
        (folder / page.name).write_bytes(page.read_bytes())
    return folder


@pytest.mark.shared
def test_the_sample_sums_to_its_tokens(pages: Path, load: Callable[..., list[Batch]], lake: Lake) -> None:
    """Every token of the sample is in the lake once: uncached, cached, written, output, as the JSON itself sums."""
    results = [
        result
        for page in pages.iterdir()
        for day in json.loads(page.read_text())["data"]
        for result in day["results"]
    ]  # fmt: skip
    total = {
        field: sum(r.get(field) or 0 for r in results)
        for field in {name for result in results for name in result if name.endswith(("_tokens", "_requests"))}
    }
    expected = {
        "uncached_input_tokens": total["input_tokens"] - total["input_cached_tokens"]
        - total["input_cache_write_tokens"] - total["input_audio_tokens"],
        "cache_read_tokens": total["input_cached_tokens"],
        "cache_write_tokens": total["input_cache_write_tokens"],
        "output_tokens": total["output_tokens"] - total["output_audio_tokens"],
        "input_audio_tokens": total["input_audio_tokens"],
        "output_audio_tokens": total["output_audio_tokens"],
        "requests": total["num_model_requests"],
    }  # fmt: skip
    assert sum(expected.values()) == sum(total[f] for f in ("input_tokens", "output_tokens", "num_model_requests"))
    load(pages, "openai")
    stored = lake.scan("token_usage").select(pl.col(*METERS).sum()).collect().row(0, named=True)
    assert counted(stored) == expected
    assert metered(pages)[REJECT].null_count() == len(results) == 6


def test_a_result_says_whose_usage_it_is(tmp_path: Path) -> None:
    """Day, operation, model as written, tier, project and key of a result; its other words are tags."""
    (row,) = rows(tmp_path, usage(input_tokens=3, output_tokens=1, user_id="user_1", api_source="responses"))
    assert {column: row[column] for column in list(METERED)[:9]} == {
        "day": date(2026, 9, 5), "provider": "openai", "operation": "completions", "model": "gpt-5-2025-08-07",
        "service_tier": "default", "account_id": "proj_a", "account_name": None, "consumer_id": "key_1",
        "tags": '{"user_id": "user_1", "api_source": "responses"}',
    }  # fmt: skip
    assert (row[s.CONTEXT], row["stated_cost"], row["currency"]) == (None, None, None)
    assert (row[s.SOURCE_FILE], row[s.SOURCE_ROW], row[SOURCE_ROWS]) == ("page.json", 1, 1)


def test_what_is_not_grouped_by_is_null(tmp_path: Path) -> None:
    """Without key the user is the consumer; without model, project, tier and requests there are none."""
    bare = dict.fromkeys(("project_id", "api_key_id", "model", "batch", "service_tier", "num_model_requests"))
    (row,) = rows(tmp_path, usage(input_tokens=3, output_tokens=1, user_id="user_1", **bare))
    assert row["consumer_id"] == "user_1"
    assert {row[name] for name in ("account_id", "model", "service_tier", "requests")} == {None}


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"batch": True, "service_tier": "default"}, "batch"),
        ({"batch": True, "service_tier": None}, "batch"),
        ({"batch": False, "service_tier": "flex"}, "flex"),
        ({"batch": None, "service_tier": "batch"}, "batch"),
    ],
)
def test_batch_is_a_tier(fields: dict[str, Any], tier: str, tmp_path: Path) -> None:
    """Batch usage is of the tier batch, whatever else is said of it."""
    (row,) = rows(tmp_path, usage(input_tokens=3, output_tokens=1, **fields))
    assert row["service_tier"] == tier


PARTS = {
    "uncached_input_tokens": "input_text_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
    "cache_read_tokens": "input_cached_text_tokens",
    "cache_read_audio_tokens": "input_cached_audio_tokens",
    "cache_read_image_tokens": "input_cached_image_tokens",
    "cache_write_tokens": "input_cache_write_tokens",
    "output_tokens": "output_text_tokens",
    "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys(PARTS, st.integers(0, 10**17))),
    st.sets(st.sampled_from(["input_uncached_tokens", "input_text_tokens", "input_cached_text_tokens",
                             "output_text_tokens"])),
)  # fmt: skip
def test_each_token_is_in_one_column(tokens: dict[str, int], unsaid: set[str]) -> None:
    """Whatever the parts, and whether the text parts are said, each column has its own, and all sum to the wholes."""
    uncached, cached, output = (
        sum(tokens[column] for column in columns)
        for columns in (list(PARTS)[:3], list(PARTS)[3:6], list(PARTS)[7:])
    )  # fmt: skip
    wholes = {
        "input_tokens": uncached + cached + tokens["cache_write_tokens"], "input_uncached_tokens": uncached,
        "input_cached_tokens": cached, "output_tokens": output,
    }  # fmt: skip
    said = {**wholes, **{field: tokens[column] for column, field in PARTS.items()}}
    with TemporaryDirectory() as folder:
        (row,) = rows(Path(folder), usage(**{**said, **dict.fromkeys(unsaid)}))
    assert row[REJECT] is None
    assert {column: row[column] for column in PARTS} == tokens
    assert sum(row[column] or 0 for column in TOKENS) == wholes["input_tokens"] + wholes["output_tokens"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"input_tokens": 10, "input_cached_tokens": 11},
         "input_tokens is 10, which its parts do not add up to: input_cached_tokens 11"),
        ({"input_tokens": 10, "input_uncached_tokens": 10, "input_cached_tokens": 8, "input_cache_write_tokens": 0},
         "input_tokens is 10, which its parts do not add up to: input_uncached_tokens 10, input_cached_tokens 8, "
         "input_cache_write_tokens 0"),
        ({"input_tokens": 10, "input_cached_tokens": 4, "input_cached_audio_tokens": 5},
         "input_cached_tokens is 4, which its parts do not add up to: input_cached_audio_tokens 5"),
        ({"input_tokens": 10, "input_audio_tokens": 8, "input_image_tokens": 3},
         "input_uncached_tokens is 10, which its parts do not add up to: input_audio_tokens 8, input_image_tokens 3"),
        ({"input_tokens": 10, "input_text_tokens": 9},
         "input_uncached_tokens is 10, which its parts do not add up to: input_text_tokens 9"),
        ({"output_tokens": 5, "output_audio_tokens": 6},
         "output_tokens is 5, which its parts do not add up to: output_audio_tokens 6"),
        ({"input_tokens": -1}, 'input_tokens is "-1", which is below zero'),
        ({"input_tokens": "many"}, 'input_tokens is "many", which is no number'),
        ({"input_tokens": None, "output_tokens": ...}, "input_tokens is missing; output_tokens is missing"),
        ({"output_tokens": True}, 'output_tokens is "True", which is no number'),
    ],
)  # fmt: skip
def test_counts_that_do_not_add_up_are_rejected(fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """A result whose parts are no parts of its whole is kept verbatim with its reason, not repaired."""
    result = usage(**{"input_tokens": 1, "output_tokens": 1, **fields})
    wrong, right = rows(tmp_path, result, usage(input_tokens=1, output_tokens=1))
    assert (wrong[REJECT], right[REJECT]) == (reason, None)
    raw = json.loads(wrong[RAW])
    assert (raw["results"], raw["start_time"]) == ([json.loads(result)], SEPTEMBER + 4 * DAY)
    assert (wrong["day"], wrong["provider"], counted(wrong)) == (date(2026, 9, 5), "openai", {})


@pytest.mark.parametrize(
    ("operation", "counts", "as_operation", "expected"),
    [
        ("embeddings", {"input_tokens": 9}, "embeddings", {"uncached_input_tokens": 9, "requests": 4}),
        ("moderations", {"input_tokens": 9}, "moderations", {"uncached_input_tokens": 9, "requests": 4}),
        ("audio_speeches", {"characters": 70}, "audio_speeches", {"characters": 70, "requests": 4}),
        ("audio_transcriptions", {"seconds": 61}, "audio_transcriptions", {"audio_seconds": 61, "requests": 4}),
        ("file_searches", {"num_requests": 8, "num_model_requests": ...}, "file_search_calls", {"file_searches": 8}),
        ("web_searches", {"num_requests": 8}, "web_search_calls", {"web_searches": 8}),
    ],
)
def test_each_operation_has_its_meter(
    operation: str, counts: dict[str, Any], as_operation: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    """What an endpoint counts is in its meter; the requests of web searches are those of completions."""
    (row,) = rows(tmp_path, usage(operation, **counts))
    assert (row["operation"], counted(row), row[REJECT]) == (as_operation, expected, None)


@pytest.mark.parametrize(
    ("operation", "counts", "quantity", "unit"),
    [
        ("images", {"images": 12, "size": "1024x1024"}, 12, "Images"),
        ("vector_stores", {"usage_bytes": 10**12, "num_model_requests": ...}, 10**12, "Bytes"),
        ("code_interpreter_sessions", {"num_sessions": 3, "num_model_requests": ...}, 3, "Sessions"),
        ("decisions", {"num_decisions": 7}, 7, "num_decisions"),
        ("dreams", {"output_text_tokens": 7}, 7, "output_text_tokens"),
        ("computers", {"num_requests": 7}, 7, "num_requests"),
    ],
)
def test_what_has_no_meter_has_its_unit(
    operation: str, counts: dict[str, Any], quantity: int, unit: str, tmp_path: Path
) -> None:
    """Images, bytes, sessions, and what an unknown operation counts, are a quantity in their unit beside requests."""
    (row,) = rows(tmp_path, usage(operation, **counts))
    assert (row["operation"], row["other_quantity"], row["other_unit"]) == (operation, quantity, unit)
    assert row["requests"] == (None if "num_model_requests" in counts else 4)
    assert counted(row).keys() <= {"other_quantity", "requests"}


def test_no_images_are_no_quantity(tmp_path: Path) -> None:
    """A result that counts zero of what has no meter is a line, so that its row is there, and no quantity."""
    (row,) = rows(tmp_path, usage("images", images=0, num_model_requests=0))
    assert (row[REJECT], counted(row), row["other_unit"]) == (None, {}, None)


def test_a_new_count_is_a_line_of_its_own(tmp_path: Path) -> None:
    """Numbers that no meter is known for keep their names on lines of the same usage, and count as no further row."""
    new: dict[str, Any] = {"output_video_tokens": 6, "details": {"calls": 2, "none": 0}}
    first, *others = rows(tmp_path, usage(input_tokens=3, output_tokens=1, images=5, **new))
    assert counted(first) == {"uncached_input_tokens": 3, "output_tokens": 1, "requests": 4}
    assert [(row["other_quantity"], row["other_unit"]) for row in others] == [
        (5, "Images"), (6, "output_video_tokens"), (2, "details.calls"),
    ]  # fmt: skip
    for row in others:
        assert counted(row) == {"other_quantity": row["other_quantity"]}
        assert [row[c] for c in (*list(METERED)[:9], s.SOURCE_ROW)] == [
            first[c] for c in (*list(METERED)[:9], s.SOURCE_ROW)
        ]
    assert [row[SOURCE_ROWS] for row in (first, *others)] == [1, 0, 0, 0]


@pytest.mark.parametrize("result", [cost(), "7", '{"object": "model"}'])
def test_what_is_no_usage_is_rejected(result: str, tmp_path: Path) -> None:
    """A result of another kind on a usage page is rejected; the page itself is one of its usage."""
    page = save(tmp_path / "page.json", bucket(5, usage(input_tokens=1, output_tokens=1)))
    (part,) = files.source_parts(connector("openai"), page, until=TODAY, say=lambda _: None)
    assert part.holds == "usage"
    save(page, bucket(5, usage(input_tokens=1, output_tokens=1), result.replace("organization.costs", "costs")))
    right, wrong = openai.parse_usage(part).collect().to_dicts()
    assert (right[REJECT], wrong[REJECT]) == (None, "the result is no usage")


def test_usage_that_counts_nothing_is_rejected(tmp_path: Path) -> None:
    """An unknown operation without any number is kept with its reason."""
    (row,) = rows(tmp_path, usage("dreams", num_model_requests=None))
    assert row[REJECT] == "nothing is counted"


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ('"start_time": "soon", "end_time": 1788307200', 'start_time is "soon", which is no time in seconds'),
        ('"start_time": 1788220800, "end_time": 1788393600',
         "the bucket of 2026-09-01 00:00:00+00:00 is longer than its day"),
        ('"start_time": 1788264000, "end_time": 1788350400',
         "the bucket of 2026-09-01 12:00:00+00:00 is longer than its day"),
    ],
)  # fmt: skip
def test_usage_is_of_one_day(times: str, reason: str, tmp_path: Path) -> None:
    """A bucket that cannot be dated, or that reaches into a second day, is rejected with its results."""
    page = save(tmp_path / "page.json", f'{{{times}, "results": [{usage(input_tokens=1, output_tokens=1)}]}}')
    assert metered(page)[REJECT].to_list() == [reason]


def test_hours_are_of_their_day(tmp_path: Path) -> None:
    """Buckets of an hour are usage of their day, the last hour too."""
    start = SEPTEMBER + 23 * 3600
    result = usage(input_tokens=1, output_tokens=1)
    page = save(tmp_path / "1.json", f'{{"start_time": {start}, "end_time": {start + 3600}, "results": [{result}]}}')
    assert metered(page).select("day", REJECT).rows() == [(date(2026, 9, 1), None)]


def test_counts_are_read_digit_by_digit(tmp_path: Path) -> None:
    """A count that a float cannot hold keeps its digits."""
    (row,) = rows(tmp_path, usage(input_tokens=2**63 + 1, output_tokens=1))
    assert row["uncached_input_tokens"] == Decimal(2**63 + 1)


GPT_5 = {"uncached": Decimal("1.25"), "cached": Decimal("0.125"), "output": Decimal(10)}
"""USD per million tokens of gpt-5, standard tier (genai-prices 0.2.3, checked 2026-11-15)."""


@pytest.mark.parametrize(
    ("fields", "dollars"),
    [
        # cached input at its own price: 0.2 x 1.25 + 0.8 x 0.125 + 10, not 1 x 1.25 (+ 0.8 x 0.125)
        ({"input_cached_tokens": 800_000}, Decimal("0.35") + 10),
        ({}, Decimal("1.25") + 10),
        # batch: half of standard
        ({"batch": True, "service_tier": None}, (Decimal("1.25") + 10) / 2),
        ({"batch": True, "service_tier": "default"}, (Decimal("1.25") + 10) / 2),
        ({"service_tier": "priority"}, (Decimal("1.25") + 10) * 2),
        # long context from 272000 tokens a request: one request of a million, and four of 250000
        ({"model": "gpt-5.4", "num_model_requests": 1}, Decimal(5) + Decimal("22.5")),
        ({"model": "gpt-5.4", "num_model_requests": 4}, Decimal("2.5") + 15),
        # a write to the cache has a price of its own
        ({"model": "gpt-6-astra", "input_cache_write_tokens": 1_000_000}, Decimal("12.5") + 50),
        # audio is no text: 0.5 x 2.5 + 0.5 x 32 + 0.5 x 10 + 0.5 x 64
        ({"model": "gpt-audio", "input_audio_tokens": 500_000, "output_audio_tokens": 500_000}, Decimal("54.25")),
    ],
)
def test_usage_is_priced_as_the_api_charges_it(fields: dict[str, Any], dollars: Decimal, tmp_path: Path) -> None:
    """A million tokens in and out cost what the book says, each at its own price and tier."""
    result = usage(**{"input_tokens": 1_000_000, "output_tokens": 1_000_000, "num_model_requests": 100, **fields})
    frame = metered(save(tmp_path / "page.json", bucket(60, result)))
    priced = price(frame.lazy().rename({"day": "date"}), load_book()).collect().row(0, named=True)
    assert (priced["price_reason"], priced["cost_usd"]) == (None, dollars)


def test_seconds_are_priced_by_the_hour(tmp_path: Path) -> None:
    """Ten minutes of whisper-1 cost six cents."""
    result = usage("audio_transcriptions", seconds=600, model="whisper-1")
    frame = metered(save(tmp_path / "page.json", bucket(60, result)))
    assert price(frame.lazy().rename({"day": "date"}), load_book()).collect()["cost_usd"].to_list() == [Decimal("0.06")]
