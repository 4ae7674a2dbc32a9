"""Right-sizing from the lake: what accelerators used, joined to what their resources cost, sized by the optimizer."""

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from finops import schema as s
from finops.config import Config
from finops.freshness import billed_to, running
from finops.prices import OwnPrices, load_offers
from finops.rules import Rules, load_rules, machine
from finops.store import Lake
from optimizer.accelerators import Throughput
from optimizer.rightsize import Finding, rightsize
from optimizer.running import QUANTILE, Group, Hour, Machine, Settings

DAYS: Final = 28
"""Of the newest measured ones that are looked at: whole weeks, so that each hour of the week weighs the same."""
MONTH_DAYS: Final = Decimal(365) / 12
UNUSED_RATIO: Final = Decimal("0.95")
"""Unused part from which a commitment counts as idle; one that is used in part is a question of how much to commit."""
BY: Final = ("group_name", "resource_id", "resource_name", "team")
_KEY: Final = ("label", "account_id", "instance_type", "accelerator")
_CENT: Final = Decimal("0.01")
_UNWATCHED: Final = {"use": pl.String(), "accelerator": pl.String(), "currency": pl.String(), "cost": s.MONEY}
_USE: Final = pl.coalesce("use_case", "team", pl.lit("unassigned"))
_FACTS: Final = {
    "purpose": s.PURPOSE, "use_case": s.USE_CASE, "team": s.TEAM, "provider": s.SERVICE_PROVIDER_NAME,
    "region": s.REGION_ID, "hosting": s.HOSTING, "currency": s.BILLING_CURRENCY, "model": s.ACCELERATOR_MODEL,
}  # fmt: skip


@dataclass(frozen=True)
class Window:
    """The days that are looked at, the end excluded."""

    start: date
    end: date


@dataclass(frozen=True)
class RightSizing:
    """The findings, the days they rest on, the settings, and the cloud accelerators that nobody watches.

    unwatched: use, accelerator, currency and cost a month, the dearest first.
    """

    findings: tuple[Finding, ...]
    window: Window | None
    settings: Settings
    unwatched: pl.DataFrame


def rightsizing(
    config: Config,
    lake: Lake,
    settings: Settings,
    *,
    days: int = DAYS,
    by: str = "group_name",
    throughput: Throughput | None = None,
) -> RightSizing:
    """What the accelerators of the lake could be cut to; empty without utilisation and without unused commitments.

    Costs are effective costs of the days, per month of 365/12 days, from the charges with the same resource ids.
    """
    usage = lake.scan("gpu_usage")
    window = _window(lake, usage, days)
    if window is None:
        return RightSizing((), None, settings, pl.DataFrame(schema=_UNWATCHED))
    offers = load_offers(OwnPrices.of(config).offers)
    rules = load_rules(tuple(config.path(path) for path in config.classification.rules))
    label = pl.coalesce(by, "resource_name", "resource_id")
    charged = _charged(lake, window)
    groups = [*_groups(usage.with_columns(label=label), charged, window, offers, rules, settings.idle_ratio)]
    groups += _unused(lake, charged, usage.with_columns(label=label), window, offers)
    places = {(g.provider, g.region) for g in groups}
    findings = rightsize(groups, offered_machines(offers, places), settings, throughput)
    return RightSizing(tuple(findings), window, settings, _unwatched(charged, usage, window))


def _window(lake: Lake, usage: pl.LazyFrame, days: int) -> Window | None:
    """The newest days that are measured, and billed in full by every source with accelerators that still runs."""
    daily = lake.scan("spend_daily")
    sources = daily.filter(pl.col(s.ACCELERATOR_HOURS) > 0).select(s.SOURCE_ID).unique()
    ends = running(billed_to(daily.join(sources, on=s.SOURCE_ID, how="semi")))
    measured = usage.select(pl.col("hour").max()).collect().item()
    if not ends:
        return None
    last = min([*ends.values(), *([measured.date()] if measured is not None else [])])
    end = last + timedelta(days=1)
    return Window(end - timedelta(days=days), end)


# --------------------------------------------------------------------------------------------------------------- bills
def _charged(lake: Lake, window: Window) -> pl.DataFrame:
    """Accelerator charges of the window, each with the day it begins, cut to the window where it reaches beyond."""
    start, end = (pl.lit(datetime(d.year, d.month, d.day, tzinfo=UTC), s.TIME) for d in (window.start, window.end))
    begins, ends = pl.col(s.CHARGE_PERIOD_START), pl.col(s.CHARGE_PERIOD_END)
    inside = (pl.min_horizontal(ends, end) - pl.max_horizontal(begins, start)).dt.total_seconds()
    ratio = inside.cast(s.MONEY) / (ends - begins).dt.total_seconds().cast(s.MONEY)
    whole = (begins >= start) & (ends <= end)
    amounts = (s.EFFECTIVE_COST, s.LIST_COST, s.CONTRACTED_COST, s.ACCELERATOR_HOURS)
    return (
        lake.scan("charges")
        .filter(
            pl.col(s.BILLING_PERIOD) >= f"{window.start:%Y-%m}",
            pl.col(s.LEDGER_ROLE) == s.BILLED,
            pl.col(s.CHARGE_CATEGORY) == "Usage",
            pl.col(s.ACCELERATOR_HOURS) > 0,
            begins < end,
            ends > start,
        )
        .with_columns(pl.when(whole).then(pl.col(a)).otherwise(pl.col(a) * ratio).alias(a) for a in amounts)
        .select(
            pl.col(s.RESOURCE_ID).str.to_lowercase().alias("resource"),
            begins.dt.date().alias("day"),
            *(pl.col(column).alias(name) for name, column in _FACTS.items()),
            cost=s.EFFECTIVE_COST, list_cost=s.LIST_COST, contracted=s.CONTRACTED_COST, hours=s.ACCELERATOR_HOURS,
            status=s.COMMITMENT_DISCOUNT_STATUS, commitment=s.COMMITMENT_DISCOUNT_ID,
            commitment_name=s.COMMITMENT_DISCOUNT_NAME, spot=pl.col(s.PRICING_CATEGORY) == "Dynamic",
            count=s.ACCELERATOR_COUNT,
        )
        .collect(engine="streaming")
    )  # fmt: skip


def _main(rows: pl.DataFrame, column: str) -> str | None:
    """The value that costs most."""
    costs = rows.filter(pl.col(column).is_not_null()).group_by(column).agg(pl.col("cost").sum())
    return None if costs.is_empty() else str(costs.sort("cost", column, descending=[True, False])[column][0])


def _sum(amounts: pl.Series) -> Decimal:
    return Decimal(amounts.sum() or 0)


# -------------------------------------------------------------------------------------------------------------- groups
def _groups(
    usage: pl.LazyFrame,
    charged: pl.DataFrame,
    window: Window,
    offers: pl.DataFrame,
    rules: Rules,
    idle_ratio: float,
) -> Iterator[Group]:
    """The measured groups of the window with what they cost."""
    value = pl.coalesce("utilisation_p95_ratio", "utilisation_mean_ratio", "utilisation_max_ratio")
    count = pl.col("accelerator_count").fill_null(1).cast(pl.Float64)
    rows = (
        usage.filter(pl.col("hour").dt.date().is_between(window.start, window.end, closed="left"))
        .select(
            *_KEY, "device", "region", "hour",
            resource=pl.col("resource_id").str.to_lowercase(),
            running=count,
            used=value * count,
            highest=pl.max_horizontal(
                "utilisation_max_ratio", "utilisation_p95_ratio", "utilisation_mean_ratio"
            ),
            memory=pl.coalesce("memory_max_ratio", "memory_mean_ratio"),
        )
        .collect(engine="streaming")
    )  # fmt: skip
    by_resource = dict(charged.partition_by("resource", as_dict=True, include_key=True))
    none = charged.clear()
    for _, part in sorted(rows.group_by(_KEY), key=lambda item: str(item[0])):
        resources = part["resource"].unique().sort()
        billed = pl.concat([none, *(by_resource.get((r,), none) for r in resources)])
        yield _group(part, billed, window, offers, rules, idle_ratio)


def _group(
    part: pl.DataFrame, billed: pl.DataFrame, window: Window, offers: pl.DataFrame, rules: Rules, idle_ratio: float
) -> Group:
    label, _, instance_type, accelerator = part.select(_KEY).row(0)
    known = rules.accelerators.get(machine(instance_type)) if instance_type else None
    if known and known.count < 1:  # a device of such a machine is the part of an accelerator that it has
        whole = pl.col("running") >= 1
        part = part.with_columns(pl.when(whole).then(pl.col(c) * known.count).otherwise(c) for c in ("running", "used"))
    by_machine = part.group_by("resource", "hour").agg(pl.col("running", "used").sum(), pl.col("highest").max())
    accelerators = float(known.count) if known else float(by_machine["running"].max() or 1)  # type: ignore[arg-type]
    busy = by_machine.filter(pl.col("highest") >= idle_ratio)
    peaks = busy.group_by("resource").agg(pl.col("used").quantile(QUANTILE, "higher"))
    first = min([part["hour"].min().date(), *([billed["day"].min()] if len(billed) else [])])  # type: ignore[union-attr]
    span = (window.end - max(first, window.start)).days
    per_month = MONTH_DAYS / span
    hours = _hours(part)
    own_memory = _memory_of(accelerator)
    memory = part.group_by("resource", "device").agg(pl.col("memory").max())["memory"]
    currencies = billed["currency"].unique().to_list()
    cost = _sum(billed["cost"])
    accelerator_hours = _sum(billed["hours"])
    listed = billed.filter(pl.col("list_cost") > 0, pl.col("contracted") > 0)
    region = _main(billed, "region") or part["region"].drop_nulls().mode().sort().first()
    return Group(
        name=label,
        provider=_provider(offers, instance_type, region),
        region=region,  # type: ignore[arg-type]
        instance_type=instance_type,
        accelerator=accelerator,
        accelerators=accelerators,
        accelerator_memory_gib=own_memory,
        purpose=_main(billed, "purpose"),
        use=_main(billed.with_columns(use=_USE), "use"),
        team=_main(billed, "team"),
        hosting=_main(billed, "hosting") or "cloud",
        hours=hours,
        days=part["hour"].dt.date().n_unique(),
        coverage_ratio=min(1.0, float(part["running"].sum()) / float(accelerator_hours)) if accelerator_hours else 0.0,
        used_accelerators=_used_accelerators(part, idle_ratio),
        machine_peak=float(peaks["used"].max() or 0.0),  # type: ignore[arg-type]
        memory_gib=None if own_memory is None or memory.null_count() else float(memory.max()) * own_memory,  # type: ignore[arg-type]
        machine_hours=float(accelerator_hours * per_month) / accelerators,
        hours_per_month=len(hours) * float(per_month),
        cost=(cost * per_month).quantize(_CENT) if len(currencies) == 1 else None,
        currency=currencies[0] if len(currencies) == 1 else None,
        discount_ratio=float(_sum(listed["contracted"]) / _sum(listed["list_cost"])) if len(listed) else 1.0,
        spot=bool(len(billed)) and _sum(billed.filter("spot")["cost"]) * 2 > cost,
        committed_ratio=float(_sum(billed.filter(pl.col("status") == "Used")["cost"]) / cost) if cost else 0.0,
    )


def _hours(part: pl.DataFrame) -> tuple[Hour, ...]:
    hours = part.group_by("hour").agg(pl.col("used", "running").sum(), pl.col("highest").max()).sort("hour")
    of_week = (pl.col("hour").dt.weekday().cast(pl.Int32) - 1) * 24 + pl.col("hour").dt.hour()
    return tuple(Hour(*row) for row in hours.select(of_week, "used", "highest", "running").iter_rows())


def _used_accelerators(part: pl.DataFrame, idle_ratio: float) -> float | None:
    """The most accelerators of one machine that were ever busy; None where rows stand for several."""
    if part.select((pl.col("device") == "all").any() | (pl.col("running") != 1).any()).item():
        return None
    busy = part.filter(pl.col("highest") >= idle_ratio)
    return float(busy.group_by("resource").agg(pl.col("device").n_unique())["device"].max() or 1)  # type: ignore[arg-type]


def _memory_of(accelerator: str | None) -> float | None:
    """GiB, as the canonical name says: A10G-24GB."""
    found = re.search(r"-(\d+)GB$", accelerator or "")
    return float(found[1]) if found else None


# ----------------------------------------------------------------------------------------------- commitments left idle
def _unused(
    lake: Lake, charged: pl.DataFrame, usage: pl.LazyFrame, window: Window, offers: pl.DataFrame
) -> Iterator[Group]:
    """Accelerator commitments that nothing uses any more, as groups; the bill itself says so."""
    committed = charged.filter(pl.col("commitment").is_not_null()).sort("commitment", "day")
    for (commitment,), rows in committed.group_by("commitment", maintain_order=True):
        unused = rows.filter(pl.col("status") == "Unused")
        if not len(unused) or _sum(unused["cost"]) < UNUSED_RATIO * _sum(rows["cost"]):
            continue
        first: date = unused["day"].min()  # type: ignore[assignment]
        per_month = MONTH_DAYS / (window.end - max(first, window.start)).days
        history = _history(lake, str(commitment))
        row = unused.row(-1, named=True)
        hours, count = _sum(unused["hours"]), float(row["count"] or 1)
        memory = _memory_of(row["model"])
        yield Group(
            name=_name(history, usage) or row["commitment_name"] or str(commitment),
            provider=_provider(offers, None, row["region"]),
            region=row["region"],
            instance_type=None,
            accelerator=row["model"],
            accelerators=count,
            accelerator_memory_gib=memory,
            purpose=_main(unused, "purpose"),
            use=row["use_case"] or row["team"] or "unassigned",
            team=row["team"],
            hosting="cloud",
            hours=(Hour(0, 0.0, 0.0, float(hours) / 24 / unused["day"].n_unique()),),
            days=unused["day"].n_unique(),
            coverage_ratio=1.0,
            used_accelerators=None,
            machine_peak=0.0,
            memory_gib=None,
            machine_hours=float(hours * per_month) / count,
            hours_per_month=float(MONTH_DAYS) * 24,
            cost=(_sum(unused["cost"]) * per_month).quantize(_CENT),
            currency=row["currency"],
            committed_ratio=1.0,
            commitment=row["commitment_name"] or str(commitment),
            **_idle(history),
        )


def _history(lake: Lake, commitment: str) -> pl.DataFrame:
    """All usage charges of a commitment, ever."""
    return (
        lake.scan("charges")
        .filter(
            pl.col(s.COMMITMENT_DISCOUNT_ID) == commitment,
            pl.col(s.LEDGER_ROLE) == s.BILLED,
            pl.col(s.CHARGE_CATEGORY) == "Usage",
        )
        .select(
            resource=pl.col(s.RESOURCE_ID).str.to_lowercase(),
            status=s.COMMITMENT_DISCOUNT_STATUS,
            day=pl.col(s.CHARGE_PERIOD_START).dt.date(),
            cost=s.EFFECTIVE_COST,
        )
        .collect(engine="streaming")
    )


def _name(history: pl.DataFrame, usage: pl.LazyFrame) -> str | None:
    """The measured group whose machines used the commitment last."""
    used = history.filter(pl.col("status") == "Used").select("resource").unique().lazy()
    rows = usage.with_columns(resource=pl.col("resource_id").str.to_lowercase()).join(used, on="resource", how="semi")
    labels = rows.sort("hour").select("label").tail(1).collect()
    return None if labels.is_empty() else str(labels["label"][0])


def _idle(history: pl.DataFrame) -> dict[str, Any]:
    """Since when nothing uses the commitment, and what it has cost since."""
    unused, used = (history.filter(pl.col("status") == status) for status in ("Unused", "Used"))
    last_used = used["day"].max()
    idle = unused if last_used is None else unused.filter(pl.col("day") > last_used)
    return {"idle_since": idle["day"].min(), "idle_cost": _sum(idle["cost"]).quantize(_CENT)} if len(idle) else {}


def _unwatched(charged: pl.DataFrame, usage: pl.LazyFrame, window: Window) -> pl.DataFrame:
    """What accelerators cost a month that no row of utilisation was ever of; unused commitments are no machines."""
    watched = usage.select(resource=pl.col("resource_id").str.to_lowercase()).unique().collect(engine="streaming")
    costs = (
        charged.filter(pl.col("hosting") == "cloud", pl.col("status").ne_missing("Unused"))
        .join(watched, on="resource", how="anti")
        .group_by(use=_USE, accelerator="model", currency="currency")
        .agg(pl.col("cost").sum())
    )
    days = (window.end - window.start).days
    monthly = [(cost * MONTH_DAYS / days).quantize(_CENT) for cost in costs["cost"]]
    costs = costs.with_columns(pl.Series("cost", monthly, dtype=s.MONEY)).filter(pl.col("cost") > 0)
    return costs.sort("cost", "use", descending=[True, False])


# --------------------------------------------------------------------------------------------------------------- offers
def _provider(offers: pl.DataFrame, instance_type: str | None, region: object) -> str | None:
    """The price book's name of the provider: the one that offers the machine, else one that has the region."""
    for condition in (pl.col("instance_type") == (instance_type or ""), pl.col("region") == str(region)):
        found = offers.filter(condition)["provider"]
        if len(found):
            return str(found[0])
    return None


def offered_machines(offers: pl.DataFrame, places: Set[tuple[str | None, str | None]]) -> list[Machine]:
    """The price book's machines of these providers and regions."""
    wanted = [
        row for row in offers.iter_rows(named=True)
        if (row["provider"], row["region"]) in places and row["accelerator_memory_gib"] is not None
    ]  # fmt: skip
    return [
        Machine(
            provider=row["provider"],
            region=row["region"],
            instance_type=row["instance_type"],
            accelerator=row["accelerator"],
            accelerators=float(row["accelerator_count"]),
            memory_gib=float(row["accelerator_memory_gib"]),
            vcpus=_float(row, "vcpus"),
            host_gib=_float(row, "memory_gib"),
            currency=row["currency"],
            on_demand_per_hour=_float(row, "on_demand_per_hour"),
            spot_per_hour=_float(row, "spot_per_hour"),
            source=row["source"],
            day=row["date"],
        )
        for row in wanted
    ]


def _float(row: Mapping[str, Any], name: str) -> float | None:
    return None if row[name] is None else float(row[name])
