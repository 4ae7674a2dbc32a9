"""Own servers and commitments that stand, from the lake: what stands, until when, and what it costs whatever runs."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal, localcontext
from typing import Final

import polars as pl

from connectors import on_prem
from connectors.on_prem import Asset
from finops import schema as s
from finops.config import Config
from finops.money import CONTEXT
from finops.store import Lake
from optimizer.draft import Measured
from optimizer.standing import Commitment, OwnServers
from optimizer.terms import HOURS_PER_MONTH

WHOLE_RATIO: Final = Decimal("0.1")
"""How far the hours under a commitment may be from those of whole machines that run all the time."""
UNKNOWN_TERM: Final = 12
"""Months, where the bill does not tell a commitment's term."""
PAST_LIFE: Final = 12
"""Months that servers are taken to run on after their life in the books."""
_RUNNING: Final = ("energy", "colocation", "support", "staff")
_TERM: Final = re.compile(r"\b([135])[\s-]*(?:yr|year)", re.IGNORECASE)
_TERM_MONTHS: Final = re.compile(r'"x_SkuTerm":\s*"(\d+)"')


# ------------------------------------------------------------------------------------------------------------ servers
def assets(config: Config, last_day: date) -> list[Asset]:
    """Accelerator servers of the configured ledgers that are in service on a day and not retired by then."""
    found: dict[str, Asset] = {}
    for source in config.sources:
        if source.connector == on_prem.NAME and source.path is not None:
            path = config.path(source.path)
            files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            for file in filter(lambda f: f.exists(), files):
                found |= {a.asset_id: a for a in on_prem.read_assets(file)}
    return [
        a for a in found.values()
        if a.number["accelerator_count"] > 0 and a.text["accelerator_model"]
        and a.in_service <= last_day and (a.retired is None or a.retired > last_day)
    ]  # fmt: skip


def ledger_charges(config: Config, lake: Lake, months: Sequence[str]) -> pl.LazyFrame:
    """The charges of the configured ledgers in the months, with the columns of spend_daily and their resource and kind.

    The kind is what the ledger's connector calls it: purchase, depreciation, energy, ...
    """
    ids = [source.id for source in config.sources if source.connector == on_prem.NAME]
    begins = pl.col(s.CHARGE_PERIOD_START).dt.date()
    return (
        lake.scan("charges")
        .filter(pl.col(s.SOURCE_ID).is_in(ids), pl.col(s.LEDGER_ROLE) == s.BILLED)
        .with_columns(begins.alias(s.CHARGE_DATE), pl.lit(1, pl.Int64).alias(s.CHARGE_COUNT))
        .filter(pl.col(s.CHARGE_DATE).dt.strftime("%Y-%m").is_in(months))
        .select(*s.DAILY_DIMENSIONS, *s.DAILY_MEASURES, s.RESOURCE_ID, s.SKU_ID)
    )


def own_servers(
    found: Iterable[Asset], charges: pl.DataFrame, cost: str, *, day: date, rates: dict[str, Decimal]
) -> Iterator[tuple[Asset, pl.DataFrame, OwnServers]]:
    """Like servers of one use together: one of them, their charges, and the block that they are.

    charges: of these assets, in one currency. rates: of the ledger's currencies into it.
    """
    alike: dict[tuple[object, ...], list[Asset]] = {}
    for a in found:
        if a.currency in rates:
            what = (a.text["accelerator_model"], a.number["accelerator_count"], a.text["server_model"])
            where = (a.text["site"], a.text["region"], a.text["hosting"])
            alike.setdefault((_use(a), *what, *where, _months_left(a, day) // 12), []).append(a)
    for group in alike.values():
        rows = charges.filter(pl.col(s.RESOURCE_ID).is_in([a.asset_id for a in group]))
        if not rows.is_empty():
            yield group[0], rows, _servers(group, rows, cost, day, rates[group[0].currency])


def _use(asset: Asset) -> str:
    return asset.text["use_case"] or asset.text["team"] or "unassigned"


def _servers(group: Sequence[Asset], rows: pl.DataFrame, cost: str, day: date, rate: Decimal) -> OwnServers:
    first, count = group[0], len(group)

    def mean(name: str) -> Decimal:
        return sum((a.number[name] for a in group), Decimal(0)) / count

    parts = {kind: Decimal(rows.filter(pl.col(s.SKU_ID) == kind)[cost].sum() or 0) for kind in _RUNNING}
    total = Decimal(rows[cost].sum() or 0)
    bought, left = sorted(a.in_service for a in group), min(_months_left(a, day) for a in group)
    with localcontext(CONTEXT):
        return OwnServers(
            count=count,
            accelerators=first.number["accelerator_count"],
            hosting=str(first.text["hosting"]),
            bought=str(bought[0]) if bought[0] == bought[-1] else f"{bought[0]} to {bought[-1]}",
            ends=_ends(first, left),
            months_left=left or PAST_LIFE,
            life_months=max(int(first.number["life_years"] * 12), 1),
            residual_ratio=first.number["residual_ratio"],
            price=(mean("purchase_price") * rate).quantize(Decimal("0.01")),
            power_kw=mean("power_kw"),
            utilisation_ratio=first.number["utilization_ratio"],
            pue=first.number["pue"],
            sunk=total - sum(parts.values(), Decimal(0)),
            **parts,
        )


def _months_left(asset: Asset, day: date) -> int:
    """Whole months of life after a day's month, or until the ledger retires it; 0 for one past its life."""
    end = asset.retired or asset.life_end
    return max((end.year - day.year) * 12 + end.month - day.month - 1, 0)


def _ends(asset: Asset, left: int) -> str:
    if asset.retired is not None:
        return f"the ledger retires them on {asset.retired}"
    if left:
        return f"{left} whole months of their life are left"
    return f"their life in the books is over; assumed to run for {PAST_LIFE} months more"


# -------------------------------------------------------------------------------------------------------- commitments
def committed(lake: Lake, workload: Measured, months: Sequence[str], cost: str, day: date) -> Measured:
    """The workload with the commitment that it uses whole, or as it was: it then goes on as it is billed.

    workload: what ran under commitments, by use, driver and accelerator.
    """
    charges = lake.scan("charges").filter(
        pl.col(s.LEDGER_ROLE) == s.BILLED, pl.col(s.COMMITMENT_DISCOUNT_ID).is_not_null()
    )
    use = pl.coalesce(s.USE_CASE, s.TEAM, pl.lit("unassigned"))
    rows = (
        charges.filter(
            pl.col(s.BILLING_PERIOD).is_in(months),
            pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Used",
            pl.col(s.ACCELERATOR_MODEL) == workload.accelerator,
            pl.col(s.ACCELERATOR_HOURS) > 0,
            use == workload.use,
        )
        .select(
            s.COMMITMENT_DISCOUNT_ID, s.COMMITMENT_DISCOUNT_CATEGORY, s.COMMITMENT_DISCOUNT_NAME, s.ACCELERATOR_COUNT,
            s.CONTRACTED_COST, s.LIST_COST, cost, s.CHARGE_PERIOD_START,
        )
        .collect(engine="streaming")
    )  # fmt: skip
    sizes = rows[s.ACCELERATOR_COUNT].drop_nulls().mode().sort()
    if rows.is_empty() or rows[s.COMMITMENT_DISCOUNT_CATEGORY].n_unique() > 1 or not len(sizes) or not sizes[0]:
        return workload
    with localcontext(CONTEXT):
        machines = workload.units / len(months) / HOURS_PER_MONTH / sizes[0]
        count = int(machines.to_integral_value())
        if not count or abs(machines / count - 1) > WHOLE_RATIO:
            return workload
        paid = Decimal(rows[cost].sum() or 0)
        listed = max(Decimal(rows[c].sum() or 0) for c in (s.CONTRACTED_COST, s.LIST_COST))
    in_money = rows[s.COMMITMENT_DISCOUNT_CATEGORY][0] == "Spend"
    if in_money and (listed <= paid or paid != workload.cost):
        return workload
    newest = rows.sort(s.CHARGE_PERIOD_START)[s.COMMITMENT_DISCOUNT_ID][-1]
    term, left, ends = _term(charges, str(newest), day)
    names = rows.select(pl.coalesce(s.COMMITMENT_DISCOUNT_NAME, s.COMMITMENT_DISCOUNT_ID)).to_series().unique().sort()
    block = Commitment(tuple(names), in_money, count, sizes[0], term, left, ends, listed)
    return replace(workload, about=f"{workload.about}, committed", block=block)


def _term(charges: pl.LazyFrame, commitment: str, day: date) -> tuple[int, int, str]:
    """Months of its term, those left after a day's month, and how that is known, in words."""
    rows = (
        charges.filter(pl.col(s.COMMITMENT_DISCOUNT_ID) == commitment)
        .select(
            pl.col(s.CHARGE_PERIOD_START).dt.date().min().alias("first"),
            pl.concat_str(s.CHARGE_DESCRIPTION, s.SKU_PRICE_DETAILS, s.SOURCE_COLUMNS, ignore_nulls=True)
            .unique()
            .alias("text"),
        )
        .collect(engine="streaming")
    )
    first: date = rows["first"][0]
    told = {12 * int(m[1]) for t in rows["text"] if (m := _TERM.search(t))}
    told |= {int(m[1]) for t in rows["text"] if (m := _TERM_MONTHS.search(t))}
    term = min(told) if told else UNKNOWN_TERM
    gone = (day.year - first.year) * 12 + day.month - first.month + 1
    left = term - gone
    ends = f"{term} months as the bill says, first billed in {first:%Y-%m}, so {left} are left after {day:%Y-%m}"
    if not told:
        ends = f"its end is not in the bill; assumed {term} months from {first:%Y-%m}, when it was first billed"
    if left <= 0:
        left = term - gone % term
        ends += f"; renewed since, as it runs: {left} months are left"
    return term, left, ends
