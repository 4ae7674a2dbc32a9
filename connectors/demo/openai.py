"""OpenAI's organization as it answers: pages of costs by project, line item and key, and of usage by endpoint.

Source: the API reference of the costs and usage endpoints, 2026-11-21.
"""

import re
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

import polars as pl

from connectors.demo import pages
from connectors.demo.api_plan import KEYS, OPENAI, PROJECTS
from connectors.demo.company import Calendar
from connectors.demo.model_apis import CREDIT, Apis, as_metered
from connectors.demo.pages import Json

SOURCE: Final = OPENAI
FOLDER: Final = Path("raw/openai")
COST_DAYS_A_PAGE, USAGE_DAYS_A_PAGE = 31, 16
KINDS: Final = {
    "uncached_input_tokens": ("input_tokens", "tokens"), "cache_read_tokens": ("cached_input_tokens", "tokens"),
    "cache_write_tokens": ("cache_write_input_tokens", "tokens"), "output_tokens": ("output_tokens", "tokens"),
    "audio_seconds": ("duration", "duration_seconds"), "characters": ("characters", "characters"),
    "images": ("images", "images"), "web_searches": ("web_search_calls", None),
    "gibibyte_hours": ("file_search_storage", "gibibyte_hours"), CREDIT: ("output_tokens", None),
}  # fmt: skip
"""What a line item says of what is paid for, and the unit of its quantity."""
NO_MODEL: Final = ("web_searches", "gibibyte_hours")
BYTES: Final = 2**30

_IDS: Final = {key.key: key.key_id for key in KEYS}
_PROJECTS: Final = {p.key: p.project_id for p in PROJECTS}


def write(home: Path, apis: Apis, calendar: Calendar) -> None:
    """Write the pages of costs and of each endpoint's usage."""
    _write(home / FOLDER / "costs", apis.costs.filter(pl.col("source") == SOURCE), calendar, COST_DAYS_A_PAGE, _cost)
    metered = as_metered(apis.usage.filter(pl.col("source") == SOURCE)).sort("date", "project", "key", "model")
    for endpoint, result in RESULTS.items():
        rows = metered.filter(pl.col("endpoint") == endpoint)
        _write(home / FOLDER / "usage" / endpoint, rows, calendar, USAGE_DAYS_A_PAGE, result)


def _write(folder: Path, rows: pl.DataFrame, calendar: Calendar, days_a_page: int, result: pages.Result) -> None:
    pages.write(
        folder, rows, calendar, days_a_page=days_a_page, page={"object": "page"}, bucket=_bucket, result=result
    )  # fmt: skip


def _bucket(day: date, after: date) -> Json:
    return {"object": "bucket", "start_time": pages.seconds(day), "end_time": pages.seconds(after)}


def line_item(row: Json) -> str:
    """What the costs call it: the model without its date, and the kind of what is paid for with the tier before it."""
    kind = KINDS[row["item"]][0]
    if row["item"] in NO_MODEL:
        return kind
    tier = "" if row["service_tier"] == "standard" else f"{row['service_tier']}_"
    return f"{short_name(row['model'])}, {tier}{kind}"


def short_name(model: str) -> str:
    """A model's name without the date of its version."""
    return re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)


def _cost(row: Json) -> Json:
    quantity = row["quantity"]
    return {
        "object": "organization.costs.result",
        "amount": {"value": float(row["cost"]), "currency": "usd"},
        "line_item": line_item(row), "project_id": _PROJECTS[row["project"]], "api_key_id": _key(row),
        "user_id": None, "api_source": None, "quantity": None if quantity is None else float(quantity),
        "quantity_unit": KINDS[row["item"]][1],
    }  # fmt: skip


def _key(row: Json) -> str | None:
    return _IDS[row["key"]] if row["key"] else None


def _who(row: Json) -> Json:
    return {
        "num_model_requests": row["requests"], "project_id": _PROJECTS[row["project"]], "user_id": None,
        "api_key_id": _key(row), "model": row["model"],
    }  # fmt: skip


def _completions(row: Json) -> Json:
    uncached, cached, written = (row[f"{k}_tokens"] for k in ("uncached_input", "cache_read", "cache_write"))
    return {
        "object": "organization.usage.completions.result", "input_tokens": uncached + cached + written,
        "input_uncached_tokens": uncached, "input_cached_tokens": cached, "input_cache_write_tokens": written,
        "input_text_tokens": uncached, "input_audio_tokens": 0, "input_image_tokens": 0,
        "input_cached_text_tokens": cached, "input_cached_audio_tokens": 0, "input_cached_image_tokens": 0,
        "output_tokens": row["output_tokens"], "output_text_tokens": row["output_tokens"], "output_audio_tokens": 0,
        "output_image_tokens": 0, **_who(row), "batch": row["service_tier"] == "batch",
        "service_tier": "default" if row["service_tier"] == "standard" else row["service_tier"], "api_source": None,
    }  # fmt: skip


def _vector_stores(row: Json) -> Json:
    return {
        "object": "organization.usage.vector_stores.result",
        "usage_bytes": row["gibibyte_hours"] * BYTES // 24,
        "project_id": _PROJECTS[row["project"]],
    }


def _counted(row: Json, *, endpoint: str, field: str, column: str) -> Json:
    return {"object": f"organization.usage.{endpoint}.result", field: row[column], **_who(row)}


RESULTS: Final[dict[str, pages.Result]] = {
    "completions": _completions,
    "vector_stores": _vector_stores,
    **{
        endpoint: partial(_counted, endpoint=endpoint, field=field, column=column)
        for endpoint, field, column in (
            ("embeddings", "input_tokens", "uncached_input_tokens"),
            ("audio_transcriptions", "seconds", "audio_seconds"),
            ("audio_speeches", "characters", "characters"),
            ("images", "images", "images"),
            ("web_search_calls", "num_requests", "web_searches"),
        )
    },
}
"""How a row of usage reads, by endpoint."""
