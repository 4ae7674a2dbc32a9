"""Calls that LiteLLM passed on: spend logs and logging payloads.

| METERED | spend log | logging payload |
|---|---|---|
| day | startTime, UTC | startTime, seconds since 1970 |
| provider, model | custom_llm_provider, model | the same |
| operation | call_type, without the `a` of asynchronous | the same |
| service_tier | metadata.usage_object.service_tier | the same, else model_parameters.service_tier |
| account_id, account_name | project, else team_id with its alias in metadata | project, else team of metadata |
| consumer_id | alias of the key in metadata, else api_key (a hash), else user | the same, all from metadata |
| team | metadata.user_api_key_team_alias | the same |
| tags | request_tags, metadata.spend_logs_metadata, end_user | the same, and metadata.requester_metadata |
| stated_cost | spend, USD | response_cost, USD |
| requests | 1; none for a failed call without tokens, and for an answer from LiteLLM's own cache | the same |

Counts, of prompt_tokens and completion_tokens and their details in metadata.usage_object:

    uncached_input = prompt - cache read - cache writes - audio - image - video
    output = completion - reasoning - audio - image - video

prompt_tokens includes what was cached. An answer from LiteLLM's own cache (cache_hit) reached no provider, so its
counts and its cost are zero. A retrieved batch is many requests, so their number is not known.

Source: LiteLLM's schema.prisma, spend_tracking_utils.py, types/utils.py and docs/proxy/logging_spec, read 2026-11-21.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final

import polars as pl

from connectors.api_pages import BadRow, number, stored, text
from connectors.litellm import records
from connectors.litellm.records import Json, Row
from connectors.model_names import named
from connectors.registry import RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s

_ASYNCHRONOUS: Final = frozenset(
    f"a{name}"
    for name in (
        "completion", "text_completion", "embedding", "responses", "image_generation", "image_edit", "moderation",
        "transcription", "speech", "rerank", "search", "ocr", "anthropic_messages", "retrieve_batch", "create_batch",
        "create_video",
    )
)  # fmt: skip
_TIERS: Final = ("flex", "priority")
_MOST: Final = 10**18
_MODALITIES: Final = ("audio", "image")


def parse_calls(part: RawPart) -> pl.LazyFrame:
    """The calls of a file, one row each; see connectors.registry. Raises ConfigError for an unknown option."""
    is_whole = records.is_prompt_whole(part)

    def rows() -> Iterator[Row]:
        for row, record in enumerate(records.read(part.path), start=1):
            yield {
                **_row(record, is_whole=is_whole),
                s.SOURCE_FILE: part.name, s.SOURCE_ROW: row, SOURCE_ROWS: 1,
            }  # fmt: skip

    return records.frame(rows)


def _row(record: Json | str, *, is_whole: bool) -> Row:
    """The call, or what could be read of it with everything that is wrong."""
    if isinstance(record, str):
        return {REJECT: "no JSON object", RAW: records.as_json({"line": record})}
    row: Row = {}
    wrong: list[str] = []
    for step in (_day, _cost, _who, partial(_counts, is_whole=is_whole)):
        try:
            row |= step(record)
        except BadRow as reason:
            wrong.append(str(reason))
    if wrong:
        row |= {REJECT: "; ".join(dict.fromkeys(wrong)), RAW: records.as_json(record)}
    return row


def _day(record: Json) -> Row:
    return {"day": _instant(record.get("startTime")).date()}


def _cost(record: Json) -> Row:
    name = "spend" if "spend" in record else "response_cost"
    if record.get(name) is None:
        return {}
    cost = stored(number(_exact(record[name]), name))
    if cost < 0:
        raise BadRow(f"{name} is below zero")
    return {"stated_cost": cost, "currency": "USD"}


# ---------------------------------------------------------------------------------------------------------------- who
def _who(record: Json) -> Row:
    about = _object(record, "metadata")
    provider, model = named(text(record.get("custom_llm_provider")), text(record.get("model")))
    operation = text(record.get("call_type"))
    project = text(about.get("user_api_key_project_id"))
    team_id = text(record.get("team_id")) or text(about.get("user_api_key_team_id"))
    team = text(about.get("user_api_key_team_alias"))
    keys = (about.get("user_api_key_alias"), record.get("api_key"), about.get("user_api_key_hash"))
    users = (record.get("user"), about.get("user_api_key_user_id"))
    return {
        "provider": provider,
        "model": model,
        "operation": operation[1:] if operation in _ASYNCHRONOUS else operation,
        "service_tier": _tier(record, about, operation),
        "account_id": project or team_id,
        "account_name": text(about.get("user_api_key_project_alias")) if project else team,
        "consumer_id": next(filter(None, map(text, (*keys, *users))), None),
        "team": team,
        "tags": _tags(record, about),
    }


def _tier(record: Json, about: Json, operation: str | None) -> str | None:
    """What the provider says that it served, else what was asked for and is never served as something dearer."""
    if _is_batch(operation):
        return "batch"
    served = text(_object(about, "usage_object").get("service_tier"))
    asked = text(_object(record, "model_parameters").get("service_tier"))
    return served or (asked if asked in _TIERS else None)


def _tags(record: Json, about: Json) -> str | None:
    """Request tags as an object: `team:search` and `team=search` name a value, another word stands for itself."""
    tags = dict(map(_tag, map(str, _list(record, "request_tags"))))
    for name in ("requester_metadata", "spend_logs_metadata"):
        tags |= {k: str(v) for k, v in _object(about, name).items() if isinstance(v, (str, int, Decimal)) and v != ""}
    if end_user := text(record.get("end_user")):
        tags.setdefault("end_user", end_user)
    return _tags_text(tuple(tags.items())) if tags else None


@lru_cache(maxsize=10_000)
def _tag(tag: str) -> tuple[str, str]:
    cut = min((i for i in map(tag.find, ":=") if i > 0), default=0)
    return (tag[:cut].strip(), tag[cut + 1 :].strip()) if cut else (tag.strip(), "true")


@lru_cache(maxsize=10_000)
def _tags_text(tags: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(tags), ensure_ascii=False)


# ------------------------------------------------------------------------------------------------------------- counts
def _counts(record: Json, *, is_whole: bool) -> Row:
    if str(record.get("cache_hit")).strip().lower() == "true":
        nothing = ("uncached_input_tokens", "output_tokens", "requests")
        return {**dict.fromkeys(nothing, 0), "stated_cost": Decimal(0), "currency": "USD"}
    about = _object(record, "metadata")
    usage = _object(about, "usage_object") or _object(about, "additional_usage_values")
    counts = _input(record, usage, is_whole=is_whole) | _output(record, usage)
    counts |= {"web_searches": _searches(usage), "document_pages": _count(usage, "pages_processed")}
    is_metered = any(counts.values())
    if is_metered and not text(record.get("model")):
        raise BadRow("model is missing")
    failed = text(record.get("status")) == "failure" and not is_metered
    requests = None if _is_batch(text(record.get("call_type"))) else 0 if failed else 1
    return {**counts, "requests": requests}


def _input(record: Json, usage: Json, *, is_whole: bool) -> Row:
    prompt = _count(record, "prompt_tokens")
    details = _object(usage, "prompt_tokens_details") or _object(usage, "input_tokens_details")
    cached = _object(details, "cached_tokens_details")
    lifetimes = _object(details, "cache_creation_token_details") or _object(usage, "cache_creation")
    short, long = (_count(lifetimes, f"ephemeral_{life}_input_tokens") for life in ("5m", "1h"))
    read = _first(_count(usage, "cache_read_input_tokens"), _count(details, "cached_tokens"))
    written = _first(
        _count(usage, "cache_creation_input_tokens"),
        _count(details, "cache_creation_tokens"),
        _count(details, "cache_write_tokens"),
        (short or 0) + (long or 0) if lifetimes else None,
    )
    parts: Row = {
        **{f"cache_read_{kind}_tokens": _count(cached, f"{kind}_tokens") for kind in _MODALITIES},
        "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long,
        "cache_write_tokens": _less(written, "cache writes", short, long),
        "input_video_tokens": _count(details, "video_tokens"),
    }
    by_kind = [parts[f"cache_read_{kind}_tokens"] for kind in _MODALITIES]
    parts["cache_read_tokens"] = _less(read, "cached tokens", *by_kind)
    for kind, hit in zip(_MODALITIES, by_kind, strict=True):
        parts[f"input_{kind}_tokens"] = _less(_count(details, f"{kind}_tokens"), f"{kind} tokens", hit)
    if is_whole:
        return {"uncached_input_tokens": _less(prompt, "prompt_tokens", *parts.values()), **parts}
    fresh = (value for name, value in parts.items() if not name.startswith("cache_"))
    return {"uncached_input_tokens": _less(prompt, "prompt_tokens", *fresh), **parts}


def _output(record: Json, usage: Json) -> Row:
    completion, total = _count(record, "completion_tokens"), _count(record, "total_tokens")
    details = _object(usage, "completion_tokens_details") or _object(usage, "output_tokens_details")
    parts = {f"output_{kind}_tokens": _count(details, f"{kind}_tokens") for kind in (*_MODALITIES, "video")}
    plain = _less(completion, "completion_tokens", *parts.values())
    reasoning = _count(details, "reasoning_tokens")
    beside = (_count(record, "prompt_tokens") or 0) + (completion or 0) + (reasoning or 0)
    if plain is None or not reasoning or beside == total:
        # the total says that completion_tokens leaves the reasoning out
        return {"output_tokens": plain, "reasoning_tokens": reasoning, **parts}
    # LiteLLM estimates the reasoning of some models, and may find more than was billed in all
    inside = min(reasoning, plain)
    return {"output_tokens": plain - inside, "reasoning_tokens": inside, **parts}


def _searches(usage: Json) -> int | None:
    return _first(
        _count(_object(usage, "server_tool_use"), "web_search_requests"),
        _count(_object(usage, "prompt_tokens_details"), "web_search_requests"),
    )


def _less(whole: int | None, name: str, *parts: int | None) -> int | None:
    """What is left of the whole; raises BadRow where its parts are more."""
    inside = sum(part or 0 for part in parts)
    if whole is None:
        return None if inside == 0 else _less(0, name, inside)
    if inside > whole:
        raise BadRow(f"{name} is {whole}, less than its parts, which are {inside}")
    return whole - inside


def _first(*counts: int | None) -> int | None:
    """The first count above zero, else the first that is there."""
    there = [count for count in counts if count is not None]
    return next((count for count in there if count), there[0] if there else None)


def _is_batch(operation: str | None) -> bool:
    return operation in ("aretrieve_batch", "retrieve_batch")


# -------------------------------------------------------------------------------------------------------------- cells
def _count(holder: Json, name: str) -> int | None:
    value = holder.get(name)
    if value is None:
        return None
    if type(value) is int and 0 <= value < _MOST:
        return value
    found = number(_exact(value), name)
    if found != found.to_integral_value() or not 0 <= found < _MOST:
        raise BadRow(f'{name} is "{value}", which is no count')
    return int(found)


def _exact(value: object) -> object:
    return repr(value) if isinstance(value, float) else value


def _instant(value: object) -> datetime:
    if value is None:
        raise BadRow("startTime is missing")
    try:
        if isinstance(value, datetime):
            time = value
        elif isinstance(value, (int, float, Decimal)):
            time = datetime.fromtimestamp(float(value), UTC)
        else:
            time = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError) as error:
        raise BadRow(f'startTime is "{value}", which is no time') from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _object(holder: Json, name: str) -> Json:
    """The object of that name, also where a dump holds it as text; raises BadRow for anything else."""
    value = holder.get(name)
    found = _decoded(value, name) if isinstance(value, str) else value
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRow(f"{name} is no JSON object")
    return found


def _list(holder: Json, name: str) -> list[Any]:
    value = holder.get(name)
    found = _decoded(value, name) if isinstance(value, str) else value
    if not found:
        return []
    if not isinstance(found, list):
        raise BadRow(f"{name} is no JSON array")
    return found


def _decoded(value: str, name: str) -> object:
    try:
        return records.loads(value) if value.strip() else None
    except ValueError as error:
        raise BadRow(f"{name} is no JSON") from error
