"""Anthropic's organization as it answers: pages of the cost report, in cents, and of the messages usage report.

The cost report knows no keys and leaves out the priority tier. Source: the API reference of both reports, 2026-11-21.
"""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import polars as pl

from connectors.demo import pages
from connectors.demo.api_plan import ANTHROPIC, KEYS, PROJECTS
from connectors.demo.company import Calendar
from connectors.demo.model_apis import Apis, as_metered
from connectors.demo.pages import Json
from finops.schema import CONTEXT

SOURCE: Final = ANTHROPIC
FOLDER: Final = Path("raw/anthropic")
COST_DAYS_A_PAGE, USAGE_DAYS_A_PAGE = 16, 31
TOKENS: Final = {
    "uncached_input_tokens": ("uncached_input_tokens", "Input Tokens"),
    "cache_read_tokens": ("cache_read_input_tokens", "Input Tokens, Cache Read"),
    "cache_write_5m_tokens": ("cache_creation.ephemeral_5m_input_tokens", "Input Tokens, Cache Write"),
    "cache_write_1h_tokens": ("cache_creation.ephemeral_1h_input_tokens", "Input Tokens, 1h Cache Write"),
    "output_tokens": ("output_tokens", "Output Tokens"),
}
"""token_type, and how the description ends."""
SERVICES: Final = {"web_searches": ("web_search", "Web Search Usage"),
                   "execution_hours": ("code_execution", "Code Execution Usage")}  # fmt: skip
"""cost_type and description of what is no token."""
WINDOWS: Final = {0: "0-200k", 200_000: "200k-1M"}
_WORKSPACES: Final = {p.key: p.project_id for p in PROJECTS}
_IDS: Final = {key.key: key.key_id for key in KEYS}


def write(home: Path, apis: Apis, calendar: Calendar) -> None:
    """Write the pages of both reports."""
    grouped = ("date", "project", "model", "service_tier", CONTEXT, "item")
    billed = (
        apis.costs.filter(pl.col("source") == SOURCE).group_by(grouped, maintain_order=True).agg(pl.col("cost").sum())
    )
    mine = apis.usage.filter(pl.col("source") == SOURCE, pl.col("endpoint") == "completions")
    metered = as_metered(mine).sort("date", "project", "key", "model")
    for name, rows, days, result in (
        ("cost_report", billed, COST_DAYS_A_PAGE, _cost),
        ("usage_report/messages", metered, USAGE_DAYS_A_PAGE, _usage),
    ):
        pages.write(
            home / FOLDER / name, rows, calendar, days_a_page=days, page={}, bucket=_bucket, result=result
        )  # fmt: skip


def _bucket(day: date, after: date) -> Json:
    return {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{after}T00:00:00Z"}


def _cost(row: Json) -> Json:
    amount = f"{(row['cost'] * Decimal(100)).normalize():f}"
    same = {"currency": "USD", "amount": amount, "workspace_id": _WORKSPACES[row["project"]]}
    if row["item"] in SERVICES:
        cost_type, description = SERVICES[row["item"]]
        nothing = dict.fromkeys(("context_window", "model", "service_tier", "token_type", "inference_geo"))
        return {**same, "description": description, "cost_type": cost_type, **nothing}
    token_type, ending = TOKENS[row["item"]]
    long = " (Long Context)" if row[CONTEXT] else ""
    return {
        **same, "description": f"{display_name(row['model'])} Usage - {ending}{long}", "cost_type": "tokens",
        "context_window": WINDOWS[row[CONTEXT]], "model": row["model"], "service_tier": row["service_tier"],
        "token_type": token_type, "inference_geo": "global",
    }  # fmt: skip


def display_name(model: str) -> str:
    """Claude Sonnet 4.5 of claude-sonnet-4-5-20250929."""
    words = model.split("-")[:-1]
    name = " ".join(word.title() for word in words if not word.isdigit())
    return f"{name} {'.'.join(word for word in words if word.isdigit())}"


def _usage(row: Json) -> Json:
    return {
        "uncached_input_tokens": row["uncached_input_tokens"],
        "cache_creation": {
            "ephemeral_1h_input_tokens": row["cache_write_1h_tokens"],
            "ephemeral_5m_input_tokens": row["cache_write_5m_tokens"],
        },
        "cache_read_input_tokens": row["cache_read_tokens"], "output_tokens": row["output_tokens"],
        "server_tool_use": {"web_search_requests": row["web_searches"]}, "api_key_id": _IDS[row["key"]],
        "workspace_id": _WORKSPACES[row["project"]], "model": row["model"], "service_tier": row["service_tier"],
        "context_window": WINDOWS[row[CONTEXT]], "inference_geo": "global", "account_id": None,
        "service_account_id": None,
    }  # fmt: skip
