"""LiteLLM: what its proxy metered, call by call or day by day, found out from the content of the files.

| files | hold | one row is | module |
|---|---|---|---|
| spend logs | the table LiteLLM_SpendLogs as JSON, JSON lines, CSV or Parquet; /spend/logs/v2 | a call | calls |
| log files | the logging payload that LiteLLM writes to a bucket or file, as JSON or JSON lines | a call | calls |
| daily activity | pages of /user/daily/activity or /team/daily/activity | a day, model and key | daily_activity |

Other sources bill what LiteLLM passed on, so it adds no money: its usage says who used what they bill.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from connectors.litellm.access import ACCESS
from connectors.litellm.calls import parse_calls
from connectors.litellm.daily_activity import parse_days
from connectors.litellm.records import DAILY_ACTIVITY, kind_of
from connectors.litellm.records import find_parts as find_files
from connectors.registry import RawPart
from finops import schema as s
from finops.errors import InputError

__all__ = ["ACCESS", "LEDGER_ROLE", "NAME", "find_parts", "parse", "parse_usage"]

NAME: Final = "litellm"
LEDGER_ROLE: Final = s.DERIVED


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None]
) -> list[RawPart]:
    """The files at a path, all of usage; see connectors.litellm.records.find_parts."""
    return find_files(path, until=until, options=options, say=say)


def parse_usage(part: RawPart) -> pl.LazyFrame:
    """The file's calls, or its days by model and key; see connectors.registry."""
    return parse_days(part) if kind_of(part.path) == DAILY_ACTIVITY else parse_calls(part)


def parse(part: RawPart) -> pl.LazyFrame:
    """Raises InputError: a gateway bills nothing."""
    raise InputError(
        f"{part.path} holds usage of LiteLLM, no charges",
        expected="the bill of the provider that LiteLLM calls",
        next_step="ingest that bill as a source of its own",
    )
