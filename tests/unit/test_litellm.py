"""Each call that LiteLLM passed on is counted once, each token in one column, whatever it was exported as."""

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import files, litellm
from connectors.registry import RAW, REJECT, SOURCE_ROWS, RawPart, connector
from finops import schema as s
from finops.errors import ConfigError, InputError
from tests.conftest import TODAY

HASH = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"


def spend_log(*, usage: dict[str, Any] | None = None, about: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A row of LiteLLM_SpendLogs: 1,000 tokens in and 100 out of gpt-5, with what the arguments change."""
    usual = {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": HASH, "spend": 0.00225,
        "total_tokens": 1100, "prompt_tokens": 1000, "completion_tokens": 100,
        "startTime": "2026-10-01T12:00:00.123000Z", "endTime": "2026-10-01T12:00:02Z", "model": "gpt-5",
        "model_group": "smart", "custom_llm_provider": "openai", "user": "u-1", "cache_hit": "False",
        "request_tags": [], "team_id": "t-1", "end_user": "", "status": "success", "messages": {}, "response": {},
    }  # fmt: skip
    return {**usual, "metadata": {"usage_object": usage, **(about or {})}, **fields}


def payload(**fields: Any) -> dict[str, Any]:
    """The same call as the logging payload that LiteLLM writes to a bucket."""
    about = {
        "user_api_key_hash": HASH, "user_api_key_alias": "search-prod", "user_api_key_team_id": "t-1",
        "user_api_key_team_alias": "Search", "user_api_key_user_id": "u-1", "spend_logs_metadata": None,
        "requester_metadata": {"use_case": "rag"}, "usage_object": {"prompt_tokens_details": {"cached_tokens": 400}},
    }  # fmt: skip
    usual = {
        "id": "chatcmpl-1", "trace_id": "x", "call_type": "acompletion", "response_cost": 0.00225, "status": "success",
        "total_tokens": 1100, "prompt_tokens": 1000, "completion_tokens": 100,
        "startTime": datetime(2026, 10, 1, 23, 59, 59, 500000, UTC).timestamp(), "endTime": 1790899201.0,
        "model": "gpt-5", "model_group": "smart", "custom_llm_provider": "openai", "metadata": about,
        "cache_hit": None, "request_tags": ["team:search", "prod"], "end_user": "",
        "model_parameters": {"service_tier": "flex"}, "messages": [{"role": "user", "content": "a secret"}],
    }  # fmt: skip
    return {**usual, **fields}


def metrics(prompt: int, completion: int, read: int = 0, write: int = 0, **fields: Any) -> dict[str, Any]:
    """Metrics of daily activity; one request and 0.5 USD unless told otherwise."""
    usual = {"spend": 0.5, "successful_requests": 1, "failed_requests": 0, "api_requests": 1}
    tokens = {
        "prompt_tokens": prompt, "completion_tokens": completion, "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write, "total_tokens": prompt + completion,
    }  # fmt: skip
    return {**usual, **tokens, **fields}


def by_key(alias: str | None, used: dict[str, Any], team: str | None = "t-1") -> dict[str, Any]:
    return {"metrics": used, "metadata": {"key_alias": alias, "team_id": team}}


def activity(
    models: dict[str, Any],
    whole: dict[str, Any],
    day: str = "2026-10-01",
    *,
    page: int = 1,
    pages: int = 1,
    **more: Any,
) -> dict[str, Any]:
    """A page with one day."""
    breakdown = {"models": models, "providers": {"openai": {"metrics": whole}}, **more}
    return {
        "results": [{"date": day, "metrics": whole, "breakdown": breakdown}],
        "metadata": {"page": page, "total_pages": pages, "has_more": page < pages},
    }


def save(path: Path, *documents: Any) -> Path:
    """One document as JSON, or several as JSON lines by the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(document) + "\n" for document in documents)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def parts(path: Path, **options: str) -> list[RawPart]:
    return files.source_parts(connector("litellm"), path, until=TODAY, options=options, say=lambda _: None)


def metered(path: Path, **options: str) -> pl.DataFrame:
    return pl.concat([litellm.parse_usage(part).collect() for part in parts(path, **options)])


def call(folder: Path, record: dict[str, Any], **options: str) -> dict[str, Any]:
    return metered(save(folder / "log.json", [record]), **options).row(0, named=True)


def counts(row: dict[str, Any]) -> dict[str, int]:
    """What is counted above zero."""
    return {name: int(row[name]) for name in s.METER_COLUMNS if row[name]}


# --------------------------------------------------------------------------------------------------------------- calls
def test_a_spend_log_is_one_row(tmp_path: Path) -> None:
    """Who, what and when come from their columns; tokens that nothing tells apart are plain input and output."""
    row = call(tmp_path, spend_log())
    assert counts(row) == {"uncached_input_tokens": 1000, "output_tokens": 100, "requests": 1}
    told = {name: row[name] for name in ("day", "provider", "model", "operation", "account_id", "consumer_id", "team")}
    assert told == {
        "day": date(2026, 10, 1), "provider": "openai", "model": "gpt-5", "operation": "completion",
        "account_id": "t-1", "consumer_id": HASH, "team": None,
    }  # fmt: skip
    assert (row["stated_cost"], row["currency"]) == (Decimal("0.00225"), "USD")
    assert (row[s.CONTEXT], row["tags"], row[REJECT], row[RAW]) == (None, None, None, None)


def test_prompt_tokens_include_what_was_cached(tmp_path: Path) -> None:
    """1,000 in are 1,000 in: reads and both writes are taken out of the input, none is counted twice."""
    details = {
        "cached_tokens": 300, "cache_creation_tokens": 250,
        "cache_creation_token_details": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 50},
    }  # fmt: skip
    usage = {
        "prompt_tokens_details": details, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 250,
    }  # fmt: skip
    row = call(tmp_path, spend_log(usage=usage, model="claude-sonnet-4-5", custom_llm_provider="anthropic"))
    assert counts(row) == {
        "uncached_input_tokens": 450, "cache_read_tokens": 300, "cache_write_tokens": 100,
        "cache_write_5m_tokens": 100, "cache_write_1h_tokens": 50, "output_tokens": 100, "requests": 1,
    }  # fmt: skip


def test_cached_tokens_beyond_the_prompt_are_not_guessed(tmp_path: Path) -> None:
    """A log whose prompt_tokens leave out the cached ones is rejected, and read where the option says so."""
    usage = {"prompt_tokens_details": {"cached_tokens": 0}, "cache_creation_input_tokens": 1253}
    record = spend_log(usage=usage, prompt_tokens=31, completion_tokens=467, total_tokens=498)
    assert call(tmp_path, record)[REJECT] == "prompt_tokens is 31, less than its parts, which are 1253"
    row = call(tmp_path, record, prompt_tokens="uncached")
    assert counts(row) == {
        "uncached_input_tokens": 31, "cache_write_tokens": 1253, "output_tokens": 467, "requests": 1,
    }  # fmt: skip
    page = save(
        tmp_path / "page.json", activity({"gpt-5": {"metrics": metrics(31, 467, 0, 1253)}}, metrics(31, 467, 0, 1253))
    )
    assert "less than its cached parts" in metered(page)[REJECT][0]
    assert metered(page, prompt_tokens="uncached")["uncached_input_tokens"].to_list() == [31]
    with pytest.raises(ConfigError, match="prompt_tokens"):
        call(tmp_path, record, prompt_tokens="none")


def test_reasoning_and_audio_are_told_apart(tmp_path: Path) -> None:
    """Output without reasoning and audio is output; cached audio is counted as cached audio only."""
    prompt = {"audio_tokens": 600, "cached_tokens": 500, "cached_tokens_details": {"audio_tokens": 200}}
    usage = {
        "prompt_tokens_details": prompt, "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 6},
    }  # fmt: skip
    assert counts(call(tmp_path, spend_log(usage=usage))) == {
        "uncached_input_tokens": 100, "cache_read_tokens": 300, "cache_read_audio_tokens": 200,
        "input_audio_tokens": 400, "output_tokens": 30, "reasoning_tokens": 64, "output_audio_tokens": 6, "requests": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("total", "reasoning", "expected"),
    [(1100, 70, (30, 70)), (1170, 70, (100, 70)), (1100, 250, (0, 100)), (1350, 250, (100, 250))],
)
def test_no_reasoning_is_dropped(total: int, reasoning: int, expected: tuple[int, int], tmp_path: Path) -> None:
    """Reasoning is within completion_tokens unless the total says beside; an estimate above them adds no token."""
    usage = {"completion_tokens_details": {"reasoning_tokens": reasoning}}
    row = call(tmp_path, spend_log(usage=usage, total_tokens=total))
    assert (row["output_tokens"], row["reasoning_tokens"]) == expected


@pytest.mark.parametrize("hit", ["True", "true", True])
def test_an_answer_from_its_own_cache_is_no_usage(hit: object, tmp_path: Path) -> None:
    """cache_hit reached no provider: nothing is counted and nothing costs, but the row is there."""
    row = call(tmp_path, spend_log(cache_hit=hit))
    assert counts(row) == {}
    assert (row["uncached_input_tokens"], row["requests"], row["stated_cost"]) == (0, 0, 0)
    assert (row["model"], row[REJECT], row[SOURCE_ROWS]) == ("gpt-5", None, 1)


def test_a_failed_call_is_no_request(tmp_path: Path) -> None:
    """A failure without tokens counts nothing, even without a model; one that was served in part counts that."""
    nothing: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "spend": 0.0}
    row = call(tmp_path, spend_log(status="failure", model="", custom_llm_provider="", **nothing))
    assert (row["requests"], row["provider"], row["model"], row[REJECT]) == (0, "unknown", "unknown", None)
    assert counts(call(tmp_path, spend_log(status="failure")))["requests"] == 1


def test_a_retrieved_batch_is_batch_and_many_requests(tmp_path: Path) -> None:
    """Tokens of a batch have the tier batch, and nobody counted its requests."""
    row = call(tmp_path, spend_log(call_type="aretrieve_batch"))
    assert (row["service_tier"], row["operation"], row["requests"]) == ("batch", "retrieve_batch", None)


def test_searches_and_pages_are_counted(tmp_path: Path) -> None:
    """Web searches and pages of documents have their own columns."""
    row = call(tmp_path, spend_log(usage={"server_tool_use": {"web_search_requests": 3}, "pages_processed": 7}))
    assert (row["web_searches"], row["document_pages"]) == (3, 7)


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        ("openai", "openai/gpt-5", ("openai", "gpt-5")),
        ("", "openai/gpt-5", ("openai", "gpt-5")),
        ("vertex_ai", "vertex_ai/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("vertex_ai-anthropic_models", "claude-sonnet-4-5@20250929", ("google", "claude-sonnet-4-5@20250929")),
        ("bedrock", "bedrock/converse/us-east-1/anthropic.claude-x", ("aws", "anthropic.claude-x")),
        ("openrouter", "openrouter/openai/gpt-5", ("openrouter", "openai/gpt-5")),
        ("groq", "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ("hosted_vllm", "meta-llama/llama-4", ("hosted_vllm", "meta-llama/llama-4")),
        ("xai", "xai/grok-4", ("x-ai", "grok-4")),
        ("AWS Bedrock", "amazon.nova-pro", ("aws", "amazon.nova-pro")),
        ("Own Racks", "House", ("own racks", "House")),
        ("", "house-model", ("unknown", "house-model")),
    ],
)
def test_names_are_those_of_the_price_book(
    provider: str, model: str, expected: tuple[str, str], tmp_path: Path
) -> None:
    """The provider is the book's, and the model loses the prefix that only repeats it."""
    row = call(tmp_path, spend_log(custom_llm_provider=provider, model=model))
    assert (row["provider"], row["model"]) == expected


def test_a_model_that_used_tokens_must_be_named(tmp_path: Path) -> None:
    """Tokens of no model cannot be attributed: the row is rejected."""
    assert call(tmp_path, spend_log(model=""))[REJECT] == "model is missing"


def test_tags_become_an_object(tmp_path: Path) -> None:
    """Request tags, the request's own metadata and the end user are one JSON object of texts."""
    about = {"spend_logs_metadata": {"cost_center": 7, "nested": {"no": 1}}}
    tags = ["team:search", "env=prod", "beta", "User-Agent: curl/8"]
    row = call(tmp_path, spend_log(about=about, request_tags=json.dumps(tags), end_user="acme"))
    assert json.loads(row["tags"]) == {
        "team": "search", "env": "prod", "beta": "true", "User-Agent": "curl/8", "cost_center": "7", "end_user": "acme",
    }  # fmt: skip


def test_the_project_is_the_account(tmp_path: Path) -> None:
    """A key's project is nearer than its team; the team's name stays the team."""
    about = {
        "user_api_key_project_id": "p-1", "user_api_key_project_alias": "Rag", "user_api_key_team_alias": "Search",
    }  # fmt: skip
    row = call(tmp_path, spend_log(about=about))
    assert (row["account_id"], row["account_name"], row["team"]) == ("p-1", "Rag", "Search")


@pytest.mark.parametrize(
    ("start", "day"),
    [
        ("2026-10-01T23:30:00-02:00", date(2026, 10, 2)),
        ("2026-10-01 23:59:59.999", date(2026, 10, 1)),
        ("2026-10-01T00:00:00+00:00", date(2026, 10, 1)),
        (1790812800.0, date(2026, 10, 1)),
    ],
)
def test_days_are_utc(start: object, day: date, tmp_path: Path) -> None:
    """startTime is UTC unless it says another offset."""
    assert call(tmp_path, spend_log(startTime=start))["day"] == day


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"startTime": "yesterday"}, 'startTime is "yesterday", which is no time'),
        ({"startTime": None}, "startTime is missing"),
        ({"prompt_tokens": "many"}, 'prompt_tokens is "many", which is no number'),
        ({"prompt_tokens": -1}, 'prompt_tokens is "-1", which is no count'),
        ({"completion_tokens": 1.5}, 'completion_tokens is "1.5", which is no count'),
        ({"completion_tokens": True}, 'completion_tokens is "True", which is no number'),
        ({"spend": -0.1}, "spend is below zero"),
        ({"spend": float("nan")}, 'spend is "NaN", which is no number'),
        ({"metadata": "{cut"}, "metadata is no JSON"),
        ({"metadata": "[1]"}, "metadata is no JSON object"),
        ({"request_tags": {"a": 1}}, "request_tags is no JSON array"),
    ],
)
def test_a_call_that_cannot_be_read_is_rejected(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """The row says why, is kept, and keeps out what was asked and answered; the next row is read."""
    bad = spend_log(response={"content": "a secret"}, **change)
    rows = metered(save(tmp_path / "log.json", [bad, spend_log()]))
    assert rows[REJECT].to_list() == [reason, None]
    assert "a secret" not in rows[RAW][0]
    assert json.loads(rows[RAW][0])["request_id"] == "chatcmpl-1"


def test_spend_is_read_digit_by_digit(tmp_path: Path) -> None:
    """0.1 + 0.2 of LiteLLM's floats is 0.3, and 1.5e-07 is itself."""
    rows = metered(save(tmp_path / "log.json", [spend_log(spend=c) for c in (0.1, 0.2, 1.5e-07)]))
    assert rows["stated_cost"].sum() == Decimal("0.30000015")


# --------------------------------------------------------------------------------------------------------------- files
EXPECTED = {"uncached_input_tokens": 1400, "cache_read_tokens": 600, "output_tokens": 200, "requests": 2}


@pytest.mark.parametrize(
    "name",
    ["log.json", "page.json", "log.jsonl", "lines.json", "log.ndjson.gz", "dump.csv", "dump.csv.gz", "dump.parquet"],
)
def test_every_export_of_the_table_reads_the_same(name: str, tmp_path: Path) -> None:
    """Array, page, lines, CSV and Parquet of two calls give the same rows."""
    rows = [spend_log(usage={"prompt_tokens_details": {"cached_tokens": n}}, spend=0.1) for n in (0, 600)]
    path = tmp_path / name
    if name == "log.json":
        save(path, rows)
    elif name == "page.json":
        save(path, {"data": rows, "total": 2, "page": 1, "page_size": 50, "total_pages": 1})
    elif path.name.startswith("dump"):
        texts = ("metadata", "request_tags", "messages", "response")
        flat = [{k: json.dumps(v) if k in texts else v for k, v in row.items()} for row in rows]
        frame = pl.DataFrame(flat)
        if name == "dump.parquet":
            frame.with_columns(pl.col("startTime").str.to_datetime(time_zone="UTC")).write_parquet(path)
        else:
            text = frame.rename({"startTime": "start_time"}).write_csv().encode()
            path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    else:
        save(path, *rows)
    read = metered(path)
    sums = {column: int(read[column].sum()) for column in s.METER_COLUMNS if read[column].sum()}
    assert sums == EXPECTED
    assert set(read["day"]) == {date(2026, 10, 1)}
    assert read["stated_cost"].sum() == Decimal("0.2")
    assert read[s.SOURCE_ROW].to_list() == [1, 2]
    assert read[REJECT].null_count() == 2


def test_log_files_are_read_one_object_a_file(tmp_path: Path) -> None:
    """The logging payload names alias, team and tier; its time is in seconds; what was said is not kept."""
    save(tmp_path / "logs/2026-10-01/a.json", payload())
    save(tmp_path / "logs/2026-10-01/b.json", payload(prompt_tokens=None, messages="a secret", startTime="x"))
    good, bad = metered(tmp_path / "logs").sort(s.SOURCE_FILE).iter_rows(named=True)
    assert counts(good) == {
        "uncached_input_tokens": 600, "cache_read_tokens": 400, "output_tokens": 100, "requests": 1,
    }  # fmt: skip
    assert (good["day"], good["consumer_id"], good["team"]) == (date(2026, 10, 1), "search-prod", "Search")
    assert (good["account_id"], good["account_name"], good["service_tier"]) == ("t-1", "Search", "flex")
    assert json.loads(good["tags"]) == {"team": "search", "prod": "true", "use_case": "rag"}
    assert good["stated_cost"] == Decimal("0.00225")
    assert "startTime" in bad[REJECT]
    assert "a secret" not in bad[RAW]


def test_a_line_that_is_no_object_is_rejected(tmp_path: Path) -> None:
    """A broken line in the middle is one rejected row, kept as it is; blank lines are none."""
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(spend_log()) + "\n\n{oops\n" + json.dumps(spend_log()) + "\n")
    rows = metered(path)
    assert rows[REJECT].to_list() == [None, "no JSON object", None]
    assert json.loads(rows[RAW][1]) == {"line": "{oops"}


def test_a_cut_archive_stops_the_load(tmp_path: Path) -> None:
    """JSON lines whose gzip ends early, after any number of good lines, are refused with the file's name."""
    path = save(tmp_path / "log.jsonl.gz", *(spend_log(request_id=str(n)) for n in range(5000)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"log\.jsonl\.gz cannot be read") as error:
        metered(path)
    assert "one JSON object a line" in error.value.expected


def test_every_part_holds_usage(tmp_path: Path) -> None:
    """No part is charged, and asking for charges says where they are."""
    (part,) = parts(save(tmp_path / "log.jsonl", spend_log()))
    assert part.holds == "usage"
    assert litellm.LEDGER_ROLE == s.DERIVED
    with pytest.raises(InputError, match="no charges"):
        litellm.parse(part)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.json", '{"error": {"message": "invalid key"}}', "invalid key"),
        ("a.json", '{"detail": "Not Found"}', "Not Found"),
        ("a.json", '[{"a": 1}]', "records of a"),
        ("a.json", "[1]", "no record"),
        ("a.json", "7", "neither records nor days"),
        ("a.json", '[{"startTime": "2026-10-01", "spend": 1, "models": {}, "users": {}}]', "without tokens"),
        ("a.json", '{"results": [{"date": "2026-10-01"}]}', "no days"),
        ("a.json", '[{"startTime": "2026-', "cut off"),
        ("a.jsonl", "x\ny\n", "no line"),
        ("a.jsonl", json.dumps(spend_log()) + "\n" + json.dumps(spend_log())[:90], "cut off"),
        ("a.csv", "startTime,model\n2026-10-01,gpt-5\n", "no column prompt_tokens, completion_tokens, spend"),
    ],
)
def test_what_is_not_of_litellm_is_refused(name: str, content: str, found: str, tmp_path: Path) -> None:
    """An error answer, a summary without tokens, a cut file or anything else stops the load and says what it is."""
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=found):
        parts(tmp_path / name)


def test_two_kinds_in_a_folder_are_refused(tmp_path: Path) -> None:
    """Spend logs beside daily activity are the same calls twice."""
    save(tmp_path / "x/log.jsonl", spend_log())
    save(tmp_path / "x/page.json", activity({"gpt-5": {"metrics": metrics(1, 1)}}, metrics(1, 1)))
    with pytest.raises(InputError, match="counted twice"):
        parts(tmp_path / "x")


# --------------------------------------------------------------------------------------------------------------- days
def test_a_day_is_its_models_by_key(tmp_path: Path) -> None:
    """Each model and key is one row, with cached tokens taken out of the prompt; other breakdowns add nothing."""
    models = {
        "openai/gpt-5": {
            "metrics": metrics(1500, 150, 300, spend=0.75, successful_requests=3),
            "api_key_breakdown": {
                HASH: by_key("search-prod", metrics(1000, 100, 300, successful_requests=2, failed_requests=4)),
                "other": by_key(None, metrics(500, 50, spend=0.25)),
            },
        },
        "claude-sonnet-4-5": {
            "metrics": metrics(900, 90, 100, 200),
            "api_key_breakdown": {HASH: by_key("search-prod", metrics(900, 90, 100, 200))},
        },
    }
    whole = metrics(2400, 240, 400, 200, spend=1.25, successful_requests=9)
    teams = {"t-1": {"metrics": whole, "metadata": {"team_alias": "Search"}}}
    providers = {
        "openai": {"metrics": metrics(1500, 150), "api_key_breakdown": {HASH: {}, "other": {}}},
        "anthropic": {"metrics": metrics(900, 90), "api_key_breakdown": {HASH: {}}},
    }
    page = activity(models, whole, entities=teams, api_keys={HASH: by_key("x", whole)}, providers=providers)
    rows = metered(save(tmp_path / "page.json", page))
    assert rows[REJECT].null_count() == 3
    wanted = ("provider", "model", "consumer_id", "account_id", "team", "requests", "stated_cost")
    assert rows.select(wanted).rows() == [
        ("openai", "gpt-5", "search-prod", "t-1", "Search", 2, Decimal("0.5")),
        ("openai", "gpt-5", "other", "t-1", "Search", 1, Decimal("0.25")),
        ("anthropic", "claude-sonnet-4-5", "search-prod", "t-1", "Search", 1, Decimal("0.5")),
    ]
    tokens = ("uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    assert rows.select(tokens).rows() == [(700, 300, 0, 100), (500, 0, 0, 50), (600, 100, 200, 90)]


def test_the_keys_beyond_the_limit_are_one_row_without_a_key(tmp_path: Path) -> None:
    """Where the answer lists its dearest keys only, the rest of a model has no key; without a limit it is rejected."""
    keys = {HASH: by_key("a", metrics(600, 60, 100))}
    models = {"gpt-5": {"metrics": metrics(1000, 100, 100, spend=0.7), "api_key_breakdown": keys}}
    page = activity(models, metrics(1000, 100, 100, spend=0.7))
    cut = {**page, "metadata": {**page["metadata"], "api_key_limit": 1}}
    listed, rest = metered(save(tmp_path / "cut.json", cut)).iter_rows(named=True)
    assert (listed["uncached_input_tokens"], listed["output_tokens"]) == (500, 60)
    assert (rest["consumer_id"], rest["uncached_input_tokens"], rest["output_tokens"]) == (None, 400, 40)
    assert (rest["stated_cost"], rest[REJECT]) == (Decimal("0.2"), None)
    _, wrong = metered(save(tmp_path / "page.json", page)).iter_rows(named=True)
    assert "the metrics of gpt-5 are not those of its keys" in wrong[REJECT]
    assert "400 more prompt_tokens" in wrong[REJECT]


def test_what_is_no_object_is_rejected(tmp_path: Path) -> None:
    """A model or a key that is no object is a rejected row, and the others are read."""
    keys = {"a": 7, "b": by_key("b", metrics(10, 1))}
    models = {"gpt-5": {"metrics": metrics(10, 1), "api_key_breakdown": keys}, "gpt-6": "gone"}
    rows = metered(save(tmp_path / "p.json", activity(models, metrics(10, 1))))
    assert rows[REJECT].to_list() == ["a is no JSON object", None, "gpt-6: gpt-6 is no JSON object"]


def test_requests_without_tokens_are_counted(tmp_path: Path) -> None:
    """A model that only counts requests is a row, with and without keys, and beyond the listed keys."""
    free = metrics(0, 0, spend=0, successful_requests=5)
    listed = by_key("a", metrics(0, 0, spend=0, successful_requests=3))
    models = {"x": {"metrics": free}, "y": {"metrics": free, "api_key_breakdown": {"a": listed}}}
    page = activity(models, metrics(0, 0, spend=0, successful_requests=10))
    cut = {**page, "metadata": {**page["metadata"], "api_key_limit": 1}}
    assert metered(save(tmp_path / "p.json", cut))["requests"].to_list() == [5, 3, 2]


def test_a_model_without_keys_is_one_row(tmp_path: Path) -> None:
    """Answers of older versions have no keys below a model: the model itself is the row."""
    rows = metered(save(tmp_path / "p.json", activity({"gpt-5": {"metrics": metrics(10, 1)}}, metrics(10, 1))))
    assert rows.select("model", "consumer_id", "uncached_input_tokens", REJECT).rows() == [("gpt-5", None, 10, None)]


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        (metrics(12, 1), "2 more prompt_tokens"),
        (metrics(10, 0), "1 less completion_tokens"),
        (metrics(10, 1, spend=0.6), "0.1 more spend"),
        (metrics(10, 1, 3), "3 more cache_read_input_tokens"),
    ],
)
def test_a_day_that_does_not_add_up_says_so(whole: dict[str, Any], found: str, tmp_path: Path) -> None:
    """Metrics of the day that its models don't sum to are a rejected row with the difference, beside the models."""
    good, bad = metered(save(tmp_path / "p.json", activity({"gpt-5": {"metrics": metrics(10, 1)}}, whole))).rows(
        named=True
    )
    assert good[REJECT] is None
    assert found in bad[REJECT]
    assert (bad["day"], json.loads(bad[RAW])["date"]) == (date(2026, 10, 1), "2026-10-01")


def test_sums_of_floats_may_differ_by_their_rounding(tmp_path: Path) -> None:
    """0.1 + 0.2 against 0.30000000000000004 is no difference; calls without a model are none either."""
    keys = {k: by_key(k, metrics(5, 1, spend=c)) for k, c in (("a", 0.1), ("b", 0.2))}
    whole = metrics(10, 2, spend=0.1 + 0.2)
    page = activity({"gpt-5": {"metrics": whole, "api_key_breakdown": keys}}, {**whole, "successful_requests": 40})
    rows = metered(save(tmp_path / "p.json", page))
    assert (len(rows), rows[REJECT].null_count(), rows["stated_cost"].sum()) == (2, 2, Decimal("0.3"))


@pytest.mark.parametrize(
    "wrong", [{"prompt_tokens": "x"}, {"prompt_tokens": 1.5}, {"spend": -1}, {"cache_read_input_tokens": 11}]
)
def test_metrics_that_cannot_be_read_are_rejected(wrong: dict[str, Any], tmp_path: Path) -> None:
    """A key's metrics that are no counts are a rejected row, and the model is told not to add up."""
    keys = {"a": by_key("a", {**metrics(10, 1), **wrong}), "b": by_key("b", metrics(10, 1))}
    whole = metrics(20, 2, spend=1)
    page = activity({"gpt-5": {"metrics": whole, "api_key_breakdown": keys}}, whole)
    rows = metered(save(tmp_path / "p.json", page))
    assert rows.filter(pl.col(REJECT).is_null())["consumer_id"].to_list() == ["b"]
    assert (
        next(iter(wrong)) in str(rows.filter(pl.col(REJECT).is_not_null())[REJECT][0]) or "less than" in rows[REJECT][0]
    )


def test_a_provider_that_nobody_tells_is_unknown(tmp_path: Path) -> None:
    """A model that two providers of the day sell to the same key has no provider, rather than a guess."""
    providers: dict[str, Any] = {"openai": {"api_key_breakdown": {"a": {}}}, "azure": {"api_key_breakdown": {"a": {}}}}
    used = {"metrics": metrics(10, 1), "api_key_breakdown": {"a": by_key("a", metrics(10, 1))}}
    page = activity({"gpt-5": used}, metrics(10, 1), providers=providers)
    assert metered(save(tmp_path / "p.json", page))["provider"].to_list() == ["unknown"]


def one(day: str, page: int, pages: int, prompt: int = 10) -> dict[str, Any]:
    return activity({"gpt-5": {"metrics": metrics(prompt, 1)}}, metrics(prompt, 1), day, page=page, pages=pages)


def test_a_day_goes_on_over_pages(tmp_path: Path) -> None:
    """LiteLLM pages by its own rows: a day on three pages is the sum of the three, next to days of one page."""
    for page in (1, 2, 3):
        save(tmp_path / f"m/{page}.json", one("2026-10-01", page, 3, prompt=page))
    save(tmp_path / "m/4.json", one("2026-10-02", 1, 1, prompt=100))
    assert metered(tmp_path / "m")["uncached_input_tokens"].sum() == 106


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        ({"m/1.json": one("2026-10-01", 1, 2)}, "lacks page 2"),
        ({"m/2.json": one("2026-10-01", 2, 2)}, "lacks page 1"),
        ({"m/1.json": one("2026-10-01", 1, 1), "m/2.json": one("2026-10-01", 1, 1)}, "same days"),
        ({"user/1.json": one("2026-10-01", 1, 1), "team/1.json": one("2026-10-01", 1, 1)}, "same days"),
        ({f"m/{n}.json": {"data": [spend_log()], "page": n, "total_pages": 2} for n in (1, 2)}, "same calls"),
    ],
)
def test_pages_come_whole_and_once(pages: dict[str, Any], found: str, tmp_path: Path) -> None:
    """A missing page, a day in two answers and a page of calls that comes again stop the load."""
    for name, page in pages.items():
        save(tmp_path / name, page)
    with pytest.raises(InputError, match=found):
        parts(tmp_path)


def test_pages_without_a_row_are_no_fault(tmp_path: Path) -> None:
    """Empty answers of quiet days lie beside each other, and an array without calls is no row."""
    for n in (1, 2):
        save(tmp_path / f"m/{n}.json", {"results": [], "metadata": {"page": 1, "total_pages": 1}})
    assert metered(tmp_path / "m").is_empty()
    assert metered(save(tmp_path / "log.json", [])).is_empty()
