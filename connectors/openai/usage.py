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
| requests | num_model_requests; those of searches are in completions |
| characters, audio_seconds | characters of audio_speeches, seconds of audio_transcriptions |
| web_searches, file_searches | num_requests of web_search_calls, of file_search_calls |
| other_quantity, other_unit | images, usage_bytes, num_sessions; any further number in the unit of its own name |
| tags | the other fields |

input_tokens counts uncached, cached and cache-write tokens of all kinds, input_uncached_tokens those that are neither
cached nor written to the cache. Where a part is not stated, the rest of its whole is text; where all are stated and do
not add up, the result is rejected. Reasoning tokens are in output_tokens and not told apart. Source: the API reference
of the usage endpoints, checked 2026-11-21.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors import api_usage
from connectors.api_pages import BadRow, Json, text
from connectors.api_usage import Usage, needed
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
"""Meter <- operation that counts searches, as num_requests."""
UNITS: Final = {"images": "Images", "usage_bytes": "Bytes", "num_sessions": "Sessions"}
"""other_unit <- count."""
INPUT: Final = ("input_uncached_tokens", "input_cached_tokens", "input_cache_write_tokens")
UNCACHED: Final = {
    "input_text_tokens": "uncached_input_tokens", "input_audio_tokens": "input_audio_tokens",
    "input_image_tokens": "input_image_tokens",
}  # fmt: skip
CACHED: Final = {
    "input_cached_text_tokens": "cache_read_tokens", "input_cached_audio_tokens": "cache_read_audio_tokens",
    "input_cached_image_tokens": "cache_read_image_tokens",
}  # fmt: skip
OUTPUT: Final = {
    "output_text_tokens": "output_tokens", "output_audio_tokens": "output_audio_tokens",
    "output_image_tokens": "output_image_tokens",
}  # fmt: skip
"""The parts of a whole, and the meters of those that are priced; the first is what the others leave, if not stated."""


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


def _counts(operation: str, left: dict[str, Decimal]) -> dict[str, Any]:
    needed(left, *COUNTED.get(operation, ()))
    if not left:
        raise BadRow("nothing is counted")
    if operation in SEARCHES:
        # the same requests are in completions
        left.pop("num_model_requests", None)
        return {SEARCHES[operation]: left.pop("num_requests")}
    row: dict[str, Any] = {column: left.pop(field) for field, column in SIMPLE.items() if field in left}
    if "input_tokens" in left:
        uncached, cached, row["cache_write_tokens"] = _parts(left, "input_tokens", INPUT)
        left |= {"input_uncached_tokens": uncached, "input_cached_tokens": cached}
        row |= zip(UNCACHED.values(), _parts(left, "input_uncached_tokens", UNCACHED), strict=True)
        row |= zip(CACHED.values(), _parts(left, "input_cached_tokens", CACHED), strict=True)
    if "output_tokens" in left:
        row |= zip(OUTPUT.values(), _parts(left, "output_tokens", OUTPUT), strict=True)
    return row


def _parts(left: dict[str, Decimal], whole: str, names: Iterable[str]) -> list[Decimal]:
    """The parts of a whole, taken out with it; raises BadRow where those that are stated do not add up to it."""
    rest, *others = names
    total = left.pop(whole)
    stated = {name: left.pop(name) for name in (rest, *others) if name in left}
    sizes = [stated.get(name, Decimal(0)) for name in others]
    first = total - sum(sizes)
    if first < 0 or stated.get(rest, first) != first:
        listed = ", ".join(f"{name} {size.normalize():f}" for name, size in stated.items())
        raise BadRow(f"{whole} is {total.normalize():f}, which its parts do not add up to: {listed}")
    return [first, *sizes]


USAGE: Final = Usage(
    api=API,
    name=NAME,
    named=frozenset(("object", "model", "project_id", "api_key_id", "batch", "service_tier")),
    labels=_labels,
    counted=frozenset(
        ("input_tokens", "output_tokens", "num_requests", *SIMPLE, *UNITS, *INPUT, *UNCACHED, *CACHED, *OUTPUT)
    ),
    counts=_counts,
    units=UNITS,
)
