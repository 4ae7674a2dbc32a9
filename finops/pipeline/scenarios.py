"""Scenario files: written from the company's own lake, or from an example, and found by name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import polars as pl

from connectors.on_prem import Asset
from finops import schema as s
from finops.config import Config
from finops.errors import CallError
from finops.money import FxRate, Money
from finops.pipeline import load, outlook, standing
from finops.pipeline.rightsizing import RightSizing, rightsizing
from finops.prices import OwnPrices
from finops.store import Lake
from optimizer.draft import Measured, Outlook, Spend, draft
from optimizer.resized import apply
from optimizer.running import Settings
from optimizer.standing import OwnServers

MONTHS = 3
"""Whole months that a scenario's demand is the mean of."""
MOST_WORKLOADS = 12
"""Use cases with a workload of their own, by cost, and as many that standing blocks do; the smaller ones share one."""
NOT_DEMAND = ("Tax", "Credit", "Adjustment")
_KEYS = ("__use", "__driver", "__accelerator")
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


@dataclass(frozen=True)
class Base:
    """What a scenario from the lake is made on: as it is billed, or right-sized first; load by the hour from a file."""

    as_billed: bool = False
    profile: Path | None = None


RIGHT_SIZED = Base()


def new_scenario(
    config: Config, lake: Lake, name: str, *, overwrite: bool = False, base: Base = RIGHT_SIZED
) -> NewScenario:
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
    return _write(config, lake, path, base)


def write_missing_scenarios(config: Config, lake: Lake, *, say: Say) -> list[NewScenario]:
    """Write the scenarios that the config names and nobody has written yet, from the lake."""
    written = []
    for path in config.optimize.scenarios:
        file = config.path(path)
        if not file.exists():
            written.append(_write(config, lake, file, RIGHT_SIZED))
            say(f"scenario {file.stem}: written from the lake to {file}")
    return written


def _write(config: Config, lake: Lake, path: Path, base: Base) -> NewScenario:
    spend: Spend | None = None
    workloads: tuple[Measured, ...] = ()
    if path.stem in SHIPPED:
        text = _shipped(path.stem)
    else:
        spend, text, workloads = _drafted(config, lake, path.stem, base)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return NewScenario(path, path.stem, spend, workloads)


def _shipped(name: str) -> str:
    return (files("finops") / "data" / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")


def _drafted(config: Config, lake: Lake, name: str, base: Base) -> tuple[Spend, str, tuple[Measured, ...]]:
    """The spend, the scenario's text, and its workloads."""
    spend, billed = measure(config, lake)
    sizing = rightsizing(config, lake, Settings())
    workloads = billed
    if not base.as_billed:
        spend, workloads = _resized(spend, billed, sizing)
    rates = lake.scan("fx_rates").filter(pl.col("base") == "USD", pl.col("quote") == spend.currency)
    newest = rates.sort("day").tail(1).collect().to_dicts()
    text = draft(
        name,
        company=config.company.name,
        start=(spend.last_day.replace(day=1) + timedelta(days=32)).strftime("%Y-%m"),
        spend=spend,
        measured=workloads,
        book_rate=(newest[0]["rate"], newest[0]["source"], newest[0]["day"]) if newest else None,
        own=OwnPrices.of(config),
        outlook=_outlook(config, lake, spend, workloads, sizing, base),
    )
    return spend, text, workloads


def _resized(spend: Spend, billed: tuple[Measured, ...], sizing: RightSizing) -> tuple[Spend, tuple[Measured, ...]]:
    """Spend and workloads after right-sizing; as they were where it would leave nothing."""
    findings = [f for f in sizing.findings if f.group.currency == spend.currency]
    after = apply(billed, findings, months=len(spend.months))
    if not after.workloads:
        return spend, billed
    left = [f"Right-sizing of {f.group.name} is not in here: what it runs on is paid or placed otherwise."
            for f in after.left_out]  # fmt: skip
    owed = [
        f"{f.group.commitment}, which nothing uses, is taken as given up; what its term still owes is in no plan."
        for f in findings
        if f.advice and f.group.commitment and f not in after.left_out
    ]
    noted = replace(spend, saving=after.saving, notes=(*spend.notes, *left, *owed))
    return noted, tuple(_named([replace(w, name=_name(w.name)) for w in after.workloads]))


def _outlook(
    config: Config, lake: Lake, spend: Spend, workloads: Sequence[Measured], sizing: RightSizing, base: Base
) -> Outlook:
    growth, spread = outlook.growth_and_spread(config, lake, spend, workloads)
    if base.profile is not None:
        blocks, source = load.blocks_of_file(base.profile, workloads), base.profile.name
    else:
        blocks = load.measured_blocks(lake, sizing, workloads, resized=not base.as_billed)
        source = f"accelerators that ran, {sizing.window.start} to {sizing.window.end}" if sizing.window else ""
    return Outlook(growth, spread, blocks, source)


# ----------------------------------------------------------------------------------------------- demand from the lake
def measure(config: Config, lake: Lake) -> tuple[Spend, tuple[Measured, ...]]:
    """The AI spend of the newest whole months by use case and driver; all spend where a bill has no AI in it.

    Own servers of the ledger, and what runs whole under a commitment, are workloads of their own with their block.
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
    last: date = days["last"][0]
    assets = standing.assets(config, last)
    ledger = standing.ledger_charges(config, lake, months).collect()
    owned = ledger.filter(pl.col(s.RESOURCE_ID).is_in([a.asset_id for a in assets]))
    if len(owned):
        others = ledger.filter(~pl.col(s.RESOURCE_ID).is_in(owned[s.RESOURCE_ID].implode()))
        kept = rows.filter(~pl.col(s.SOURCE_ID).is_in(ledger[s.SOURCE_ID].implode()))
        rows = pl.concat([kept, others.select(kept.columns)])
    currency = _main_currency(pl.concat([rows, owned.select(rows.columns)]), cost, config.company.currency)
    rows, converted = _in_currency(rows, cost, currency, lake)
    owned, also = _in_currency(owned, cost, currency, lake)
    notes += dict.fromkeys([*converted, *also])
    ai = rows.filter(pl.col(s.IS_AI).fill_null(False))
    if _demand(ai)[cost].sum() or len(owned):
        rows = ai
    else:
        notes.append("There is no AI spend in these months: all spend is placed, as it is billed.")
    rates = {base: rate.rate for base, rate in _rates(lake, currency).items()} | {currency: Decimal(1)}
    blocks = standing.own_servers(assets, owned, cost, day=last, rates=rates)
    servers = [(_of_servers(*found, cost), found[1].select(rows.columns)) for found in blocks]
    demand = _by_commitment(_keyed(rows), lambda m: standing.committed(lake, m, months, cost, last), cost)
    measured = _measured(demand, cost, servers)
    if not measured:
        raise CallError(
            f"the spend of {', '.join(months)} is not above zero",
            expected="at least one use case that costs something",
            next_step="ingest the bills of other months",
        )
    total = _sum(rows[cost]) + _sum(owned[cost])
    spend = Spend(
        months=tuple(months),
        last_day=last,
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


def _rates(lake: Lake, currency: str) -> dict[str, FxRate]:
    """The newest rate of each other currency into one."""
    newest = lake.scan("fx_rates").filter(pl.col("quote") == currency).sort("day").group_by("base").last().collect()
    return {
        row["base"]: FxRate(row["day"], row["base"], currency, row["rate"], row["source"])
        for row in newest.sort("base").iter_rows(named=True)
    }


def _in_currency(rows: pl.DataFrame, cost: str, currency: str, lake: Lake) -> tuple[pl.DataFrame, list[str]]:
    """The rows with their cost in one currency by the newest rate of each other one, and what was done, in words."""
    parts, notes = [rows.filter(pl.col(s.BILLING_CURRENCY) == currency)], []
    rates = _rates(lake, currency)
    for other in sorted(set(rows[s.BILLING_CURRENCY]) - {currency}):
        rate = rates.get(other)
        if rate is None:
            notes.append(f"Spend in {other} is left out: no rate from {other} to {currency} is known.")
            continue
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


def _keyed(rows: pl.DataFrame) -> pl.DataFrame:
    """Demand with what workloads are told apart by: use case (or team), driver, accelerator, and commitment."""
    metered = pl.col(s.ACCELERATOR_HOURS).fill_null(0) > 0
    return _demand(rows).with_columns(
        pl.coalesce(s.USE_CASE, s.TEAM, pl.lit("unassigned")).alias("__use"),
        pl.col(s.DRIVER).fill_null("other").alias("__driver"),
        pl.when(metered).then(s.ACCELERATOR_MODEL).alias("__accelerator"),
        (metered & (pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Used")).fill_null(False).alias("__committed"),
    )


def _by_commitment(
    demand: pl.DataFrame, committed: Callable[[Measured], Measured], cost: str
) -> list[tuple[Measured, pl.DataFrame]]:
    """Workloads with their rows; what runs under a commitment is one of its own where it uses the commitment whole."""
    found, rest = [], [demand.filter(~pl.col("__committed"))]
    for _, group in demand.filter("__committed").group_by(_KEYS, maintain_order=True):
        workload = committed(_of_group(group, cost))
        if workload.block is None:
            rest.append(group)
        else:
            found.append((replace(workload, name=f"{workload.name}-committed"), group))
    groups = pl.concat(rest).group_by(_KEYS, maintain_order=True)
    return [*found, *((_of_group(g, cost), g) for _, g in groups if _sum(g[cost]) > 0)]


def _measured(
    demand: Sequence[tuple[Measured, pl.DataFrame]], cost: str, servers: Sequence[tuple[Measured, pl.DataFrame]]
) -> tuple[Measured, ...]:
    """One workload for each, the largest first, and for each block; small ones together, in money."""
    positive = [pair for pair in (*demand, *servers) if pair[0].cost > 0]
    ranked = sorted(positive, key=lambda pair: (-pair[0].cost, pair[0].name))
    own: list[Measured] = []
    small: list[tuple[Measured, pl.DataFrame]] = []
    for pair in ranked:
        alike = [m for m in own if (m.block is None) == (pair[0].block is None)]
        if len(alike) < MOST_WORKLOADS:
            own.append(pair[0])
        else:
            small.append(pair)
    found = own
    if small:
        rows = pl.concat([g for _, g in small], how="diagonal")
        rest = _in_money(rows, cost, name="everything-else", about="smaller use cases together")
        found.append(replace(rest, parts=tuple(replace(m, block=None) for m, _ in small)))
    return tuple(_named(found))


def _of_servers(asset: Asset, rows: pl.DataFrame, block: OwnServers, cost: str) -> Measured:
    use = asset.text["use_case"] or asset.text["team"] or "unassigned"
    accelerator, country = str(asset.text["accelerator_model"]), asset.text["country"]
    about = f"{use}, {accelerator} on servers of one's own"
    base = _in_money(rows, cost, name=_name(f"{use}-{accelerator}-own"), about=about)
    return replace(
        base,
        use=use,
        driver="accelerator",
        unit="accelerator_hours",
        units=_sum(rows[s.ACCELERATOR_HOURS]),
        country=country if country and re.fullmatch("[A-Z]{2}", country) else None,
        hosting=block.hosting,
        accelerator=accelerator,
        block=block,
    )


def _name(text: str) -> str:
    """A name that a scenario can hold."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._") or "workload"


def _of_group(rows: pl.DataFrame, cost: str) -> Measured:
    use, driver, accelerator = rows.select(_KEYS).row(0)
    about = f"{use}, {driver}" + (f" on {accelerator}" if accelerator else "")
    name = _name("-".join([use, accelerator or driver]))
    base = replace(_in_money(rows, cost, name=name, about=about), use=use, driver=driver)
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
