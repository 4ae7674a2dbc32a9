"""OpenAI's usage: pages of GET /v1/organization/usage/{completions, embeddings, images, ...} as metered lines.

| METERED column | from |
|---|---|
| day | start_time of the bucket, UTC |
| operation | object: "organization.usage.<operation>.result" |
| model, account_id, consumer_id | model; project_id; api_key_id, else user_id |
| service_tier | "batch" where batch is true, else service_tier |
| uncached_input_tokens | input_text_tokens = input_uncached_tokens - input_audio_tokens - input_image_tokens |
| cache_read_tokens | input_cached_text_tokens = input_cached_tokens - its audio and image tokens |
| cache_write_tokens | input_cache_write_tokens |
| input_audio_tokens, input_image_tokens | the same names: uncached |
| cache_read_audio_tokens, cache_read_image_tokens | input_cached_audio_tokens, input_cached_image_tokens |
| output_tokens | output_text_tokens = output_tokens - output_audio_tokens - output_image_tokens |
| output_audio_tokens, output_image_tokens | the same names |
| requests | num_model_requests; not of web searches, whose requests are in completions |
| characters, audio_seconds | characters of audio_speeches, seconds of audio_transcriptions |
| web_searches, file_searches | num_requests of web_search_calls, of file_search_calls |
| other_quantity, other_unit | images, usage_bytes, num_sessions; any further number in the unit of its name |
| tags | the other fields |

input_tokens counts uncached, cached and cache-write tokens of all kinds, input_uncached_tokens those that are neither
cached nor written to the cache. Where a part is not stated, the rest of its whole is text; where all are stated and do
not add up, the result is rejected. Reasoning tokens are in output_tokens and not told apart. Source: the API reference
of the usage endpoints, checked 2026-11-21.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors import api_usage
from connectors.api_pages import BadRow, Json, text
from connectors.api_usage import OTHER, Usage, needed
from connectors.openai.pages import API, NAME
from connectors.registry import RawPart

COUNTED: Final = {
    "completions": ("input_tokens", "output_tokens"),
    "embeddings": ("input_tokens",),
    "moderations": ("input_tokens",),
    "images": ("images",),
    "audio_speeches": ("characters",),
    "audio_transcriptions": ("seconds",),
    "vector_stores": ("usage_bytes",),
    "code_interpreter_sessions": ("num_sessions",),
    "file_search_calls": ("num_requests",),
    "web_search_calls": ("num_requests",),
}
"""The counts that every result of an operation has."""
SIMPLE: Final = {"num_model_requests": "requests", "characters": "characters", "seconds": "audio_seconds"}
"""Meter <- count."""
SEARCHES: Final = {"file_search_calls": "file_searches", "web_search_calls": "web_searches"}
"""Meter <- operation whose num_requests are searches."""
UNITS: Final = {"images": "Images", "usage_bytes": "Bytes", "num_sessions": "Sessions"}
"""other_unit <- count."""
INPUT: Final = ("input_uncached_tokens", "input_cached_tokens", "input_cache_write_tokens")
UNCACHED: Final = ("input_text_tokens", "input_audio_tokens", "input_image_tokens")
CACHED: Final = ("input_cached_text_tokens", "input_cached_audio_tokens", "input_cached_image_tokens")
OUTPUT: Final = ("output_text_tokens", "output_audio_tokens", "output_image_tokens")
"""The parts of a whole; the first is what the others leave where it is not stated."""


def parse_usage(part: RawPart) -> pl.LazyFrame:
    """The page's usage as metered lines; see connectors.registry."""
    return api_usage.parse_usage(USAGE, part)


def _labels(result: Json) -> dict[str, Any]:
    return {
        "model": text(result.get("model")),
        "service_tier": "batch" if result.get("batch") is True else text(result.get("service_tier")),
        "account_id": text(result.get("project_id")),
        "consumer_id": text(result.get("api_key_id")) or text(result.get("user_id")),
    }


def _counts(operation: str, found: Mapping[str, Decimal]) -> dict[str, Any]:
    needed(found, *COUNTED.get(operation, ()))
    if not found:
        raise BadRow("nothing is counted")
    row: dict[str, Any] = {column: found[field] for field, column in SIMPLE.items() if field in found}
    if "input_tokens" in found:
        row |= _input(found)
    if "output_tokens" in found:
        columns = ("output_tokens", "output_audio_tokens", "output_image_tokens")
        row |= zip(columns, _parts(found, "output_tokens", OUTPUT), strict=True)
    if "num_requests" in found:
        row |= _searches(operation, found["num_requests"])
    for field, unit in UNITS.items():
        if field in found:
            row |= {OTHER: found[field], "other_unit": unit}
    if operation == "web_search_calls":
        # the same requests are in completions
        row.pop("requests", None)
    return row


def _input(found: Mapping[str, Decimal]) -> dict[str, Decimal]:
    uncached, cached, written = _parts(found, "input_tokens", INPUT)
    wholes = {**found, "input_uncached_tokens": uncached, "input_cached_tokens": cached}
    split = (*_parts(wholes, "input_uncached_tokens", UNCACHED), *_parts(wholes, "input_cached_tokens", CACHED))
    columns = (
        "uncached_input_tokens", "input_audio_tokens", "input_image_tokens",
        "cache_read_tokens", "cache_read_audio_tokens", "cache_read_image_tokens",
    )  # fmt: skip
    return {"cache_write_tokens": written, **dict(zip(columns, split, strict=True))}


def _parts(found: Mapping[str, Decimal], whole: str, names: tuple[str, ...]) -> list[Decimal]:
    """The parts of a whole; raises BadRow where those that are stated do not add up to it."""
    rest, *others = names
    sizes = [found.get(name, Decimal(0)) for name in others]
    left = found[whole] - sum(sizes)
    if left < 0 or found.get(rest, left) != left:
        stated = ", ".join(f"{name} {found[name].normalize():f}" for name in names if name in found)
        raise BadRow(f"{whole} is {found[whole].normalize():f}, which its parts do not add up to: {stated}")
    return [left, *sizes]


def _searches(operation: str, count: Decimal) -> dict[str, Any]:
    meter = SEARCHES.get(operation)
    return {meter: count} if meter else {OTHER: count, "other_unit": "num_requests"}


USAGE: Final = Usage(
    api=API,
    name=NAME,
    named=frozenset(("object", "model", "project_id", "api_key_id", "batch", "service_tier")),
    labels=_labels,
    counted=frozenset(
        ("input_tokens", "output_tokens", "num_requests", *SIMPLE, *UNITS, *INPUT, *UNCACHED, *CACHED, *OUTPUT)
    ),
    counts=_counts,
)
