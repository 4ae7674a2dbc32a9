"""A mid-size company's raw exports in the providers' own formats, made from a seed; what is in them is known.

plan (company, api_plan, incidents) -> daily quantities (activity) -> charges (bill; model_apis) -> one module an
export, each writing its share (aws, azure, gcp, openai, anthropic, gateways, ledger, gpu_usage, finance) -> truth. A
new export is one module with a `write` and one line in `write` below.
"""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from connectors.demo import (
    anthropic,
    aws,
    azure,
    finance,
    gateways,
    gcp,
    gpu_usage,
    ledger,
    model_apis,
    openai,
    settings,
    truth,
)
from connectors.demo.activity import daily_usage
from connectors.demo.bill import bill
from connectors.demo.company import NAME, Calendar
from connectors.demo.incidents import Incident, incidents
from connectors.demo.settings import SCENARIO

__all__ = ["SCENARIO", "DemoCompany", "Incident", "write"]


@dataclass(frozen=True)
class DemoCompany:
    """What was written: where, for which days, how many charges of the clouds, and what is planted in them."""

    name: str
    home: Path
    config: Path
    truth: Path
    first_day: date
    last_day: date
    charges: int
    incidents: tuple[Incident, ...]


def write(
    home: Path, *, months: int = 18, seed: int = 7, today: date, scenarios: tuple[Path, ...] = (SCENARIO,)
) -> DemoCompany:
    """Write the company's exports, finance tables, finops.toml and truth file; the same arguments give the same bytes.

    months: billing periods, the open one included. today: the exports end two days before it. scenarios: placement
    scenarios that finops.toml names. Exports of an earlier demo in this home are replaced.
    Raises CallError for months outside 3 to 60, and for a home with a finops.toml that no demo wrote.
    """
    calendar = Calendar.of(months=months, today=today)
    settings.refuse_other_homes(home)
    for folder in (aws.FOLDER, azure.FOLDER, gcp.FOLDER, openai.FOLDER, anthropic.FOLDER, gateways.LITELLM,
                   gateways.LOG, gpu_usage.FOLDER):  # fmt: skip
        shutil.rmtree(home / folder, ignore_errors=True)
    usage = daily_usage(calendar, seed)
    whole = bill(usage, calendar)
    shown = pl.concat([aws.write(home, whole, calendar), azure.write(home, whole, calendar), gcp.write(home, whole)])
    apis = model_apis.apis(calendar, seed)
    for export in (openai, anthropic, gateways):
        export.write(home, apis, calendar)
    ledger.write(home, calendar)
    busy = gpu_usage.write(home, usage, calendar, seed)
    document = truth.truth(shown, whole, apis, busy, calendar, home, months=months, seed=seed)
    finance.write(home, shown, apis, document, calendar, seed)
    return DemoCompany(
        name=NAME,
        home=home,
        config=settings.write(home, calendar, scenarios),
        truth=truth.write(home, document),
        first_day=calendar.start,
        last_day=calendar.end,
        charges=shown.height,
        incidents=incidents(calendar),
    )
