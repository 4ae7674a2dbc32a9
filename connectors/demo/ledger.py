"""The asset ledger of the company's own servers, and what they cost a month by the formulas of finops.capital."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

import polars as pl

from connectors.demo.company import Calendar, days_of_month, next_month
from finops import capital
from finops.money import CONTEXT

SOURCE: Final = "on_prem"
FILE: Final = Path("raw/on_prem/assets.csv")
IN_SERVICE_DAY: Final = 12
"""Day of the month on which a server goes into service or leaves it."""
_NAMES: Final = """
    asset_id name site region country hosting server_model accelerator_model accelerator_count purchase_price
    currency in_service_date retired_date life_years residual_ratio power_kw utilization_ratio pue energy_price_per_kwh
    colo_price_per_kw_month maintenance_ratio_per_year staff_cost_per_month team use_case purpose cost_center
    environment
"""
COLUMNS: Final = tuple(_NAMES.split())


@dataclass(frozen=True)
class MonthlyCost:
    """What one asset costs in one month: cash, and cash with the purchase spread over its life."""

    month: date
    currency: str
    team: str
    purpose: str
    billed: Decimal
    effective: Decimal


def assets(calendar: Calendar) -> pl.DataFrame:
    """The ledger's rows as text; nothing is older than the first month, and what was retired before it is left out."""
    oldest = len(calendar.closed)
    in_service = pl.min_horizontal(pl.col("in_service_months_ago").cast(pl.Int64), oldest)
    retired = pl.col("retired_months_ago").cast(pl.Int64)
    return (
        _planned()
        .filter(retired.is_null() | (retired < in_service))
        .with_columns(in_service_date=_day(in_service, calendar), retired_date=_day(retired, calendar))
        .select(*COLUMNS)
    )


def write(home: Path, calendar: Calendar) -> None:
    """Write the ledger file."""
    path = home / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    assets(calendar).write_csv(path)


def monthly_costs(calendar: Calendar) -> list[MonthlyCost]:
    """Costs of every asset and month up to the last day of the exports."""
    rows = assets(calendar).iter_rows(named=True)
    return [cost for row in rows for cost in _costs_of(row, calendar.end + timedelta(days=1))]


@cache
def _planned() -> pl.DataFrame:
    return pl.read_csv((files("connectors.demo") / "assets.csv").read_bytes(), infer_schema=False)


def _day(months_ago: pl.Expr, calendar: Calendar) -> pl.Expr:
    first = pl.lit(calendar.open_month).dt.offset_by(pl.format("-{}mo", months_ago))
    return first.dt.replace(day=IN_SERVICE_DAY).dt.to_string("%Y-%m-%d")


def _costs_of(row: dict[str, str], until: date) -> Iterator[MonthlyCost]:
    number = {name: Decimal(row[name] or 0) for name in COLUMNS[8:10] + COLUMNS[13:22]}
    start = date.fromisoformat(row["in_service_date"])
    end = min(until, date.fromisoformat(row["retired_date"])) if row["retired_date"] else until
    price, life_end = number["purchase_price"], capital.life_end(in_service=start, life_years=number["life_years"])
    worth = capital.daily_depreciation(
        price=price, residual_ratio=number["residual_ratio"], days=(life_end - start).days
    )
    month = start.replace(day=1)
    while month < end:
        after = next_month(month)
        first, last = max(month, start), min(after, end)
        running = _running_cost(number, days=(last - first).days, month=month)
        spread = sum(worth[(first - start).days : (last - start).days], Decimal(0))
        if row["retired_date"] and last == end != until:
            spread += sum(worth[(last - start).days :], Decimal(0))
        bought = price if first == start else Decimal(0)
        yield MonthlyCost(month, row["currency"], row["team"], row["purpose"], bought + running, spread + running)
        month = after


def _running_cost(number: dict[str, Decimal], *, days: int, month: date) -> Decimal:
    with localcontext(CONTEXT):
        return capital.running_cost(
            price=number["purchase_price"], power_kw=number["power_kw"],
            utilization_ratio=number["utilization_ratio"], pue=number["pue"],
            energy_price_per_kwh=number["energy_price_per_kwh"],
            colo_price_per_kw_month=number["colo_price_per_kw_month"],
            maintenance_ratio_per_year=number["maintenance_ratio_per_year"],
            staff_cost_per_month=number["staff_cost_per_month"], months=Decimal(days) / days_of_month(month),
            hours_per_month=Decimal(capital.HOURS_PER_DAY * days_of_month(month)),
        ).total  # fmt: skip
