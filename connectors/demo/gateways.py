"""What two gateways metered: LiteLLM in front of one OpenAI key, and the company's own in front of its own models.

LiteLLM: pages of /team/daily/activity; its spend is a float of its own price map and not the bill. The own gateway: a
CSV a month. Beside them the price that the platform team states for one of the company's own models.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
import polars as pl

from connectors.demo import company
from connectors.demo.api_plan import (
    CALLS,
    GATEWAY,
    KEYS,
    PROJECTS,
    SELF_HOSTED_MODEL,
    SELF_HOSTED_PRICE_DAYS_AGO,
)
from connectors.demo.company import Calendar
from connectors.demo.model_apis import Apis, other_prices
from connectors.demo.openai import short_name
from finops.schema import CONTEXT
from finops.token_costs import price
from finops.token_prices import load_book

LITELLM: Final = Path("raw/litellm")
LOG: Final = Path("raw/gateway")
PRICES: Final = Path("raw/finance/token_prices.csv")
SPLIT_KEY: Final = next(key.key_id for key in KEYS if key.key == "llm-gateway")
DAYS_A_PAGE: Final = 12
SPEND_RATIO, SPEND_NOISE = 1.004, 0.002
"""What LiteLLM's own spend is of the list price, about."""
_TEAM_IDS: Final = {c.team: company.number(f"litellm/{c.team}") for c in CALLS if c.via}
_HASHES: Final = {c.via: company.number(f"litellm/{c.via}").replace("-", "") for c in CALLS if c.via}


def write(home: Path, apis: Apis, calendar: Calendar) -> None:
    """Write LiteLLM's pages, the own gateway's log and the company's own price."""
    _litellm(home / LITELLM / "daily_activity", apis, calendar)
    _log(home / LOG, apis)
    _prices(home / PRICES, calendar)


# -------------------------------------------------------------------------------------------------------------- LiteLLM
def _litellm(folder: Path, apis: Apis, calendar: Calendar) -> None:
    asked = apis.usage.filter(pl.col("via").is_not_null()).sort("date", "model", "via")
    rng = np.random.default_rng(crc32(b"litellm"))
    ratio = pl.Series(rng.normal(SPEND_RATIO, SPEND_NOISE, asked.height))
    cost = price(asked.lazy(), load_book()).collect()["cost_usd"].cast(pl.Float64)
    rows = asked.with_columns((cost * ratio).alias("spend"))
    days = {day: group.rows(named=True) for (day,), group in rows.group_by("date", maintain_order=True)}
    for month in calendar.months:
        listed = [_day(day, used) for day, used in days.items() if day.replace(day=1) == month]
        if not listed:
            continue
        pages = [listed[i : i + DAYS_A_PAGE] for i in range(0, len(listed), DAYS_A_PAGE)]
        home = folder / f"{month:%Y-%m}"
        home.mkdir(parents=True, exist_ok=True)
        for number, results in enumerate(pages, 1):
            about = {"page": number, "total_pages": len(pages), "has_more": number < len(pages)}
            totals = {f"total_{k}": v for k, v in _added([day["metrics"] for day in results]).items()}
            answer = {"results": results, "metadata": {**totals, **about}}
            (home / f"{number:04}.json").write_text(json.dumps(answer) + "\n", encoding="utf-8")


def _day(day: date, rows: list[dict[str, Any]]) -> dict[str, Any]:
    by_model: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_model.setdefault(short_name(row["model"]), []).append(row)
    models = {model: _sum_of(used) for model, used in by_model.items()}
    teams = {
        _TEAM_IDS[team]: {**_sum_of([r for r in rows if r["via_team"] == team]), "metadata": {"team_alias": team}}
        for team in sorted({r["via_team"] for r in rows})
    }
    whole = _sum_of(rows)
    breakdown = {"models": models, "providers": {"openai": whole}, "entities": teams, "mcp_servers": {}}
    return {"date": f"{day}", "metrics": whole["metrics"], "breakdown": breakdown}


def _sum_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows' metrics, in all and by key."""
    keys = {
        _HASHES[row["via"]]: {"key_alias": row["via"], "team_id": _TEAM_IDS[row["via_team"]]} for row in rows
    }  # fmt: skip
    by_key = {
        key: {
            "metrics": _added([_metrics(row) for row in rows if _HASHES[row["via"]] == key]),
            "metadata": about,
        }
        for key, about in keys.items()
    }
    return {
        "metrics": _added([_metrics(row) for row in rows]), "metadata": {}, "api_key_breakdown": by_key,
    }  # fmt: skip


def _metrics(row: dict[str, Any]) -> dict[str, float]:
    prompt = row["uncached_input_tokens"] + row["cache_read_tokens"] + row["cache_write_tokens"]
    return {
        "spend": row["spend"], "prompt_tokens": prompt, "completion_tokens": row["output_tokens"],
        "cache_read_input_tokens": row["cache_read_tokens"],
        "cache_creation_input_tokens": row["cache_write_tokens"],
        "total_tokens": prompt + row["output_tokens"], "successful_requests": row["requests"], "failed_requests": 0,
        "api_requests": row["requests"],
    }  # fmt: skip


def _added(parts: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(part[name] for part in parts) for name in parts[0]}


# ---------------------------------------------------------------------------------------------------------- own gateway
def _log(folder: Path, apis: Apis) -> None:
    projects = {p.key: p.project_id for p in PROJECTS}
    ids = {k.key: k.key_id for k in KEYS}
    rows = apis.usage.filter(pl.col("source") == GATEWAY).sort("date", "model", "key")
    folder.mkdir(parents=True, exist_ok=True)
    for (month,), used in rows.group_by(pl.col("date").dt.strftime("%Y-%m"), maintain_order=True):
        used.select(
            "date", "provider", "model", pl.lit("chat").alias("endpoint"),
            pl.col("project").replace_strict(projects), pl.col("key").replace_strict(ids), "requests",
            prompt_tokens="uncached_input_tokens", completion_tokens="output_tokens",
        ).write_csv(folder / f"usage-{month}.csv")  # fmt: skip


def _prices(path: Path, calendar: Calendar) -> None:
    """The own model's price from the day on which the platform team states one; before it the model has none."""
    since = calendar.days_before_end(SELF_HOSTED_PRICE_DAYS_AGO)
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame([
        {"provider": "self-hosted", "model": SELF_HOSTED_MODEL, "meter": meter, "service_tier": None, CONTEXT: None,
         "valid_from": since, "valid_to": None, "amount": f"{other_prices()[meter]:f}", "unit": "1M tokens",
         "currency": "USD", "source": "Aldermoor platform team (demo)", "checked": since}
        for meter in ("uncached_input", "output")
    ]).write_csv(path)  # fmt: skip
