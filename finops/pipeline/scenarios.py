"""Scenario files: written from the company's own lake, or from an example, and found by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.money import FxRate, Money
from finops.prices import OwnPrices
from finops.store import Lake
from optimizer.draft import Measured, Spend, draft

MONTHS = 3
"""Whole months that a scenario's demand is the mean of."""
MOST_WORKLOADS = 12
"""Use cases with a workload of their own, by cost; the smaller ones share one."""
NOT_DEMAND = ("Tax", "Credit", "Adjustment")
SHIPPED = ("bank", "edge", "growth", "hybrid", "llm-bill")
"""Scenarios that come with the program, to start from."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class NewScenario:
    """A scenario file that was written, and the spend it was made from."""

    path: Path
    name: str
    spend: Spend | None
    workloads: tuple[Measured, ...]


def scenario_files(config: Config) -> dict[str, Path]:
    """Scenario files by name: those in the home's folder scenarios, and those that the config names."""
    found = {p.stem: p for p in sorted(config.scenarios.glob("*.toml"))}
    return found | {p.stem: config.path(p) for p in config.optimize.scenarios}


def new_scenario(config: Config, lake: Lake, name: str, *, overwrite: bool = False) -> NewScenario:
    """Write a scenario into the home: a shipped one by its name, or one made from the lake's newest whole months.

    Raises CallError when the file exists and is not to be replaced, or the lake holds no spend.
    """
    path = config.scenarios / f"{name}.toml"
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) is None:
        raise CallError(
            f"the name {name!r}", expected="letters, digits, '.', '_' and '-'", next_step="choose another name"
        )
    if path.exists() and not overwrite:
        raise CallError(
            f"{path} exists", expected="a name that is not taken", next_step="choose another name, or pass --replace"
        )
    return _write(config, lake, path)


def write_missing_scenarios(config: Config, lake: Lake, *, say: Say) -> list[NewScenario]:
    """Write the scenarios that the config names and nobody has written yet, from the lake."""
    written = []
    for path in config.optimize.scenarios:
        file = config.path(path)
        if not file.exists():
            written.append(_write(config, lake, file))
            say(f"scenario {file.stem}: written from the lake to {file}")
    return written


def _write(config: Config, lake: Lake, path: Path) -> NewScenario:
    spend, measured = (None, ()) if path.stem in SHIPPED else measure(config, lake)
    text = _shipped(path.stem) if spend is None else _drafted(config, lake, path.stem, spend, measured)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return NewScenario(path, path.stem, spend, measured)


def _shipped(name: str) -> str:
    return (files("finops") / "data" / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")


def _drafted(config: Config, lake: Lake, name: str, spend: Spend, measured: Sequence[Measured]) -> str:
    rates = lake.scan("fx_rates").filter(pl.col("base") == "USD", pl.col("quote") == spend.currency)
    newest = rates.sort("day").tail(1).collect().to_dicts()
    rate = (newest[0]["rate"], newest[0]["source"], newest[0]["day"]) if newest else None
    start = (spend.last_day.replace(day=1) + timedelta(days=32)).strftime("%Y-%m")
    return draft(
        name,
        company=config.company.name,
        start=start,
        spend=spend,
        measured=measured,
        book_rate=rate,
        own=OwnPrices.of(config),
    )


# ----------------------------------------------------------------------------------------------- demand from the lake
def measure(config: Config, lake: Lake) -> tuple[Spend, tuple[Measured, ...]]:
    """The AI spend of the newest whole months by use case and driver; all spend where a bill has no AI in it.

    spend.total = sum of measured costs + spend.unplaced, exactly. Raises CallError when the lake holds no spend.
    """
    cost = s.COSTS[config.forecast.cost]
    billed = lake.scan("spend_daily").filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
    # a monthly fee is spread to the end of its month; the days on which charges begin tell how far the bill goes
    day = pl.col(s.CHARGE_DATE)
    begun = billed.filter(pl.col(s.CHARGE_COUNT) > 0)
    days = begun.select(day.min().alias("first"), day.max().alias("last")).collect()
    if days["last"][0] is None:
        raise CallError(
            "the lake holds no spend",
            expected="at least one ingested bill",
            next_step="ingest one: `finops ingest --connector focus --file BILL`, or try `finops demo`",
        )
    months, notes = _whole_months(days["first"][0], days["last"][0])
    rows = billed.filter(pl.col(s.CHARGE_DATE).dt.strftime("%Y-%m").is_in(months)).collect()
    currency = _main_currency(rows, cost, config.company.currency)
    rows, converted = _in_currency(rows, cost, currency, lake)
    notes += converted
    ai = rows.filter(pl.col(s.IS_AI).fill_null(False))
    if _demand(ai)[cost].sum():
        rows = ai
    else:
        notes.append("There is no AI spend in these months: all spend is placed, as it is billed.")
    measured = _measured(rows, cost)
    if not measured:
        raise CallError(
            f"the spend of {', '.join(months)} is not above zero",
            expected="at least one use case that costs something",
            next_step="ingest the bills of other months",
        )
    total = _sum(rows[cost])
    spend = Spend(
        months=tuple(months),
        last_day=days["last"][0],
        currency=currency,
        cost=config.forecast.cost,
        total=total,
        unplaced=total - sum((m.cost for m in measured), Decimal(0)),
        notes=tuple(notes),
    )
    return spend, measured


def _whole_months(first: date, last: date) -> tuple[list[str], list[str]]:
    """The newest whole months, up to MONTHS; the newest one as it is where none is whole."""
    ends_month = (last + timedelta(days=1)).day == 1
    starts = first if first.day == 1 else (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    end = last if ends_month else last.replace(day=1) - timedelta(days=1)
    if starts > end:
        month = f"{last:%Y-%m}"
        return [month], [f"No month is whole: the days of {month} that are there stand for a month."]
    months = pl.date_range(starts, end, "1mo", eager=True).dt.strftime("%Y-%m").to_list()
    return months[-MONTHS:], []


def _main_currency(rows: pl.DataFrame, cost: str, preferred: str) -> str:
    """The company's currency where it spends any of it, else the one with the largest amount."""
    by_currency = rows.group_by(s.BILLING_CURRENCY).agg(pl.col(cost).sum())
    found = by_currency.sort(cost, s.BILLING_CURRENCY, descending=[True, False])[s.BILLING_CURRENCY].to_list()
    return preferred if preferred in found else str(found[0])


def _in_currency(rows: pl.DataFrame, cost: str, currency: str, lake: Lake) -> tuple[pl.DataFrame, list[str]]:
    """The rows with their cost in one currency by the newest rate of each other one, and what was done, in words."""
    parts, notes = [rows.filter(pl.col(s.BILLING_CURRENCY) == currency)], []
    rates = lake.scan("fx_rates").filter(pl.col("quote") == currency).sort("day").collect()
    for other in sorted(set(rows[s.BILLING_CURRENCY]) - {currency}):
        known = rates.filter(pl.col("base") == other).tail(1).to_dicts()
        if not known:
            notes.append(f"Spend in {other} is left out: no rate from {other} to {currency} is known.")
            continue
        rate = FxRate(known[0]["day"], other, currency, known[0]["rate"], known[0]["source"])
        foreign = rows.filter(pl.col(s.BILLING_CURRENCY) == other)
        amounts = [Money(amount, other).convert(rate).amount for amount in foreign[cost]]
        parts.append(foreign.with_columns(pl.Series(cost, amounts, dtype=s.MONEY)))
        notes.append(f"Spend in {other} is converted at {_short(rate.rate)} ({rate.source}, {rate.day}).")
    return pl.concat(parts), notes


def _short(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def _demand(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~pl.col(s.CHARGE_CATEGORY).is_in(NOT_DEMAND))


def _sum(amounts: pl.Series) -> Decimal:
    return Decimal(amounts.sum() or 0)


def _measured(rows: pl.DataFrame, cost: str) -> tuple[Measured, ...]:
    """One workload for each use case (or team) and driver, the largest first; small ones together, in money."""
    keys = ("__use", "__driver", "__accelerator")
    metered = pl.col(s.ACCELERATOR_HOURS).fill_null(0) > 0
    demand = _demand(rows).with_columns(
        pl.coalesce(s.USE_CASE, s.TEAM, pl.lit("unassigned")).alias("__use"),
        pl.col(s.DRIVER).fill_null("other").alias("__driver"),
        pl.when(metered).then(s.ACCELERATOR_MODEL).alias("__accelerator"),
    )
    groups = [group for _, group in demand.group_by(keys, maintain_order=True)]
    ranked = sorted(groups, key=lambda g: (-_sum(g[cost]), str(g.select(keys).row(0))))
    positive = [g for g in ranked if _sum(g[cost]) > 0]
    own, small = positive[:MOST_WORKLOADS], positive[MOST_WORKLOADS:]
    found = [_of_group(g, cost) for g in own]
    if small:
        rest = _in_money(pl.concat(small), cost, name="everything-else", about="smaller use cases together")
        found.append(replace(rest, parts=tuple(_of_group(g, cost) for g in small)))
    return tuple(_named(found))


def _of_group(rows: pl.DataFrame, cost: str) -> Measured:
    use, driver, accelerator = rows.select("__use", "__driver", "__accelerator").row(0)
    about = f"{use}, {driver}" + (f" on {accelerator}" if accelerator else "")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join([use, accelerator or driver])).strip("-._") or "workload"
    base = replace(_in_money(rows, cost, name=name, about=about), use=use)
    hours, tokens = _sum(rows[s.ACCELERATOR_HOURS]), _sum(rows[s.TOKENS])
    if accelerator and hours > 0:
        return replace(base, unit="accelerator_hours", units=hours, accelerator=accelerator)
    if driver == "model_api" and tokens > 0:
        return replace(base, unit="million_tokens", units=tokens / 1_000_000)
    return base


def _in_money(rows: pl.DataFrame, cost: str, *, name: str, about: str) -> Measured:
    amount = _sum(rows[cost])

    def main(column: str) -> str | None:
        costs = rows.filter(pl.col(column).is_not_null()).group_by(column, maintain_order=True).agg(pl.col(cost).sum())
        return None if costs.is_empty() else str(costs.sort(cost, column, descending=[True, False])[column][0])

    purpose = main(s.PURPOSE)
    kind = purpose if purpose in ("training", "fine_tuning", "inference") else "other"
    provider, region = main(s.SERVICE_PROVIDER_NAME) or "unknown", main(s.REGION_ID)
    return Measured(
        name=name,
        about=about,
        kind=kind,
        unit="money",
        units=amount,
        cost=amount,
        provider=provider,
        region=region,
        country=_country(region),
        hosting=main(s.HOSTING) or "cloud",
        accelerator=None,
    )


def _country(region: str | None) -> str | None:
    """The country of a region; region names of the three large clouds do not clash."""
    regions = pl.read_csv((files("finops") / "data" / "regions.csv").read_bytes(), infer_schema=False)
    return next(iter(regions.filter(pl.col("region").eq_missing(region))["country"]), None)


def _named(found: Sequence[Measured]) -> list[Measured]:
    """The workloads with names that differ."""
    seen: dict[str, int] = {}
    named = []
    for m in found:
        seen[m.name] = seen.get(m.name, 0) + 1
        count = seen[m.name]
        named.append(m if count == 1 else replace(m, name=f"{m.name}-{count}"))
    return named
