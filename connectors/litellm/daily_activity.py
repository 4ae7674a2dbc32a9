"""Daily activity of LiteLLM: saved pages of GET /user/daily/activity or /team/daily/activity.

A page shows the same tokens many times: by model, model group, provider, endpoint, key and entity. Each is counted once
here, by `breakdown.models` and in it by `api_key_breakdown`; what a model has beyond its keys is a row without a key
where the answer lists its dearest keys only (`api_key_limit`) or none at all. Whatever does not add up, model to keys
or day to models, is a rejected row that says by how much.

| METERED | from |
|---|---|
| day | results[].date, which LiteLLM counts in UTC |
| provider | the prefix of the model, else the one in `breakdown.providers` that has the key and knows the model |
| model | the key of `breakdown.models` |
| account_id, account_name, team | metadata.team_id of the key; its alias in `breakdown.entities` |
| consumer_id | metadata.key_alias, else the key's hash |
| uncached_input | prompt_tokens - cache_read_input_tokens - cache_creation_input_tokens |
| cache_read, cache_write, output | cache_read_input_tokens, cache_creation_input_tokens, completion_tokens |
| requests | successful_requests |
| stated_cost | spend, USD; flat_cost is capacity bought by the hour, which no key uses up |

Calls without a model (tools, refused keys) hold no tokens and are no rows. LiteLLM pages by rows of its own table, so a
day may go on over several pages, each with the metrics of its part.

Source: LiteLLM's types/proxy/management_endpoints/common_daily_activity.py and its endpoint, read 2026-11-21.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import polars as pl

from connectors.api_pages import BadRow, number, stored, text
from connectors.litellm import records
from connectors.litellm.records import Json, Row
from connectors.model_names import UNKNOWN, book_provider, named
from connectors.registry import METERED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.token_prices import match

COUNTS: Final = {
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
    "output_tokens": "completion_tokens",
    "requests": "successful_requests",
}
"""Our count <- LiteLLM's; `uncached_input_tokens` is what prompt_tokens has beyond the cached ones."""
_ADDED: Final = (
    "prompt_tokens",
    "completion_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "spend",
)
"""What the parts of a day must add up to. Calls without a model count as requests, so requests need not."""
_ROUNDING: Final = Decimal("0.000001")
"""USD by which sums of LiteLLM's floats may differ."""

Metrics = dict[str, Decimal]


@dataclass(frozen=True)
class _Reading:
    """is_cut: the answer lists its dearest keys only. is_whole: prompt_tokens include the cached ones."""

    is_cut: bool
    is_whole: bool


def parse_days(part: RawPart) -> pl.LazyFrame:
    """The days of a page by model and key, one row each; see connectors.registry."""
    days = records.document(part.path)
    is_cut = isinstance(days.get("metadata"), dict) and days["metadata"].get("api_key_limit") is not None
    reads = _Reading(is_cut=is_cut, is_whole=records.is_prompt_whole(part))
    rows = [row for day in days["results"] for row in _day(day, reads)]
    lineage = {s.SOURCE_FILE: part.name, SOURCE_ROWS: 1}
    numbered = [{**row, **lineage, s.SOURCE_ROW: n} for n, row in enumerate(rows, start=1)]
    return pl.DataFrame(numbered, schema=METERED).lazy()


def _day(day: Json, reads: _Reading) -> Iterator[Row]:
    try:
        on = date.fromisoformat(str(day["date"])[:10])
        whole = _metrics(day)
        models = _objects(_objects(day, "breakdown"), "models")
    except (BadRow, ValueError) as reason:
        yield {REJECT: f"the day cannot be read: {reason}", RAW: records.as_json(day)}
        return
    added: Metrics = {}
    for model in models:
        try:
            about = _objects(models, model)
            of_model = _metrics(about)
            _add(added, of_model)
            yield from _model(on, model, about, of_model, day, reads)
        except BadRow as reason:
            raw = {"date": str(on), "model": model, "used": models[model]}
            yield {"day": on, REJECT: f"{model}: {reason}", RAW: records.as_json(raw)}
    if rest := _rest(whole, added):
        raw = {"date": str(on), "metrics": day["metrics"], "beyond the models": rest}
        yield {
            "day": on,
            REJECT: f"the day's metrics are not those of its models: {_told(rest)}",
            RAW: records.as_json(raw),
        }


def _model(on: date, model: str, about: Json, of_model: Metrics, day: Json, reads: _Reading) -> Iterator[Row]:
    """A model's keys, and what it has beyond them."""
    added: Metrics = {}
    keys = _objects(about, "api_key_breakdown")
    for key in keys:
        try:
            used = _objects(keys, key)
            metrics = _metrics(used)
            _add(added, metrics)
            yield {"day": on, **_who(model, key, used, day), **_usage(metrics, reads)}
        except BadRow as reason:
            raw = {"date": str(on), "model": model, "api_key": key, "used": keys[key]}
            yield {"day": on, REJECT: str(reason), RAW: records.as_json(raw)}
    rest = _rest(of_model, added)
    beyond = {name: of_model[name] - added.get(name, Decimal(0)) for name in of_model}
    if keys and "spend" not in rest:
        beyond["spend"] = Decimal(0)
    if (reads.is_cut or not keys) and min(beyond.values()) >= 0:
        if any(beyond.values()) or not keys:
            yield {"day": on, **_who(model, None, {}, day), **_usage(beyond, reads)}
        return
    if not rest:
        return
    raw = {"date": str(on), "model": model, "metrics": about["metrics"], "beyond the keys": rest}
    yield {
        "day": on,
        REJECT: f"the metrics of {model} are not those of its keys: {_told(rest)}",
        RAW: records.as_json(raw),
    }


# ------------------------------------------------------------------------------------------------------------ metrics
def _metrics(holder: Json) -> Metrics:
    found = _objects(holder, "metrics")
    names = {*_ADDED, *COUNTS.values()}
    metrics = {name: number(found.get(name, 0) or 0, name) for name in names}
    wrong = [f"{name} is {value}" for name, value in metrics.items() if value < 0 or (name != "spend" and value % 1)]
    if wrong:
        raise BadRow("; ".join(sorted(wrong)))
    return metrics


def _usage(metrics: Metrics, reads: _Reading) -> Row:
    cached = (
        metrics["cache_read_input_tokens"] + metrics["cache_creation_input_tokens"] if reads.is_whole else Decimal(0)
    )
    if cached > metrics["prompt_tokens"]:
        raise BadRow(f"prompt_tokens is {metrics['prompt_tokens']}, less than its cached parts, which are {cached}")
    return {
        "uncached_input_tokens": metrics["prompt_tokens"] - cached,
        **{ours: metrics[theirs] for ours, theirs in COUNTS.items()},
        "stated_cost": stored(metrics["spend"]),
        "currency": "USD",
    }


def _add(total: Metrics, more: Metrics) -> None:
    for name, value in more.items():
        total[name] = total.get(name, Decimal(0)) + value


def _rest(whole: Metrics, added: Metrics) -> Metrics:
    """What the whole has beyond its parts, of what must add up."""
    rest = {name: whole[name] - added.get(name, Decimal(0)) for name in _ADDED}
    return {name: value for name, value in rest.items() if abs(value) > (_ROUNDING if name == "spend" else 0)}


def _told(rest: Metrics) -> str:
    return ", ".join(f"{abs(value)} {'more' if value > 0 else 'less'} {name}" for name, value in rest.items())


# ---------------------------------------------------------------------------------------------------------------- who
def _who(model: str, key: str | None, used: Json, day: Json) -> Row:
    about = _objects(used, "metadata")
    team_id = text(about.get("team_id"))
    entity = _objects(_objects(_objects(day, "breakdown"), "entities"), team_id or "")
    team = text(_objects(entity, "metadata").get("team_alias"))
    provider, name = _named(model, key, day)
    return {
        "provider": provider,
        "model": name,
        "account_id": team_id,
        "account_name": team,
        "team": team,
        "consumer_id": text(about.get("key_alias")) or text(key),
    }


def _named(model: str, key: str | None, day: Json) -> tuple[str, str]:
    provider, name = named(None, model)
    if provider != UNKNOWN:
        return provider, name
    providers = _objects(_objects(day, "breakdown"), "providers")
    used = [p for p, about in providers.items() if key is None or key in _objects(about, "api_key_breakdown")]
    candidates = sorted({book_provider(p) for p in used or providers} - {UNKNOWN})
    known = [p for p in candidates if match(p, name).reason != "unknown model"]
    one = candidates if len(candidates) == 1 else known
    return named(one[0] if len(one) == 1 else None, name)


def _objects(holder: Json, name: str) -> dict[str, Any]:
    """The object of that name, empty where there is none; raises BadRow for anything else."""
    found = holder.get(name)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise BadRow(f"{name} is no JSON object")
    return dict(found)
