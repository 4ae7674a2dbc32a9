"""A home made ready: a commented finops.toml, and a doctor that says what is missing and what to do about it."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from importlib.resources import files as resources
from pathlib import Path
from typing import Literal

from connectors import files, registry
from finops import prices, token_prices
from finops.config import FILE_NAME, Config, FinanceTables, Source
from finops.errors import ConfigError, FinopsError
from finops.pipeline import pulling
from finops.pipeline.reconciliation import freshness
from finops.schema import TABLES
from finops.store import Lake

Status = Literal["ok", "warning", "failed"]
STALE_PRICES_DAYS = 180


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at: how it stands, and the next step where it does not stand well."""

    check: str
    status: Status
    detail: str
    next_step: str = ""


def init(home: Path) -> Path:
    """Write a commented finops.toml into a home and return its path; raises ConfigError when there is one."""
    target = home / FILE_NAME
    if target.exists():
        raise ConfigError(
            f"{target} exists already",
            expected="a home without a finops.toml",
            next_step="edit it, or move it away and repeat",
        )
    home.mkdir(parents=True, exist_ok=True)
    target.write_text((resources("finops") / "data" / FILE_NAME).read_text(encoding="utf-8"), encoding="utf-8")
    return target


def doctor(config: Config, lake: Lake, *, today: date) -> list[Diagnosis]:
    """Everything a run needs, looked at one by one."""
    return [
        _config(config),
        *_sources(config, today),
        *_tables(config),
        *_lake(lake, today),
        *_engines(),
        *_prices(config, today),
        *_token_prices(config, today),
    ]


def _config(config: Config) -> Diagnosis:
    if (config.home / FILE_NAME).exists():
        return Diagnosis("config", "ok", f"{config.home / FILE_NAME} is valid")
    return Diagnosis("config", "warning", f"{config.home} has no {FILE_NAME}; defaults apply", "finops init")


def _sources(config: Config, today: date) -> Iterator[Diagnosis]:
    if not config.sources:
        yield Diagnosis("sources", "warning", "no source is configured", "add [[sources]] to finops.toml")
    for source in config.sources:
        name = f"source {source.id}"
        if source.is_fetched:
            yield from _fetched(config, source, name, today)
            continue
        try:
            reader = registry.connector(source.connector)
            parts = files.source_parts(reader, config.files_of(source), until=today, say=lambda _: None)
        except FinopsError as error:
            yield Diagnosis(name, "failed", error.found, error.next_step)
        else:
            yield Diagnosis(name, "ok", f"{len(parts)} file(s) at {source.path or config.files_of(source)}")


def _fetched(config: Config, source: Source, name: str, today: date) -> Iterator[Diagnosis]:
    """What a fetched source's key or credentials can read, one endpoint or object at a time."""
    try:
        probes = pulling.probe(config, source, today=today)
    except FinopsError as error:
        yield Diagnosis(name, "failed", error.found, error.next_step)
        return
    answered = [probe.endpoint for probe in probes if probe.status == "ok"]
    if source.pull is None:
        yield from (Diagnosis(name, "ok", probe.found) for probe in probes if probe.status == "ok")
    elif answered:
        yield Diagnosis(name, "ok", f"{len(answered)} endpoint(s) answer: {', '.join(answered)}")
    for probe in probes:
        if probe.status == "not offered":
            yield Diagnosis(name, "ok", f"{probe.endpoint} is not offered and left out: {probe.found}")
        elif probe.status != "ok":
            yield Diagnosis(name, "failed", f"{probe.endpoint}: {probe.found}", probe.next_step)


def _tables(config: Config) -> Iterator[Diagnosis]:
    for table in FinanceTables.model_fields:
        path = getattr(config.tables, table)
        if path is None:
            continue
        if config.path(path).is_file():
            yield Diagnosis(f"table {table}", "ok", str(path))
        else:
            yield Diagnosis(f"table {table}", "failed", f"there is no file {path}", "correct [tables] in finops.toml")


def _lake(lake: Lake, today: date) -> Iterator[Diagnosis]:
    """Whether the lake can be read, and, if so, how fresh its sources are."""
    try:
        held = [table for table in TABLES if table in lake.versions()]
        for table in held:
            lake.scan(table).head(1).collect()
    except FinopsError as error:
        yield Diagnosis("lake", "failed", error.found, error.next_step)
        return
    if not held:
        yield Diagnosis("lake", "warning", "the lake is empty", "finops ingest")
        return
    yield Diagnosis("lake", "ok", f"{len(lake.snapshots())} snapshot(s) of {len(held)} table(s)")
    yield from _freshness(lake, today)


def _freshness(lake: Lake, today: date) -> Iterator[Diagnosis]:
    """How old the newest complete day of each source is, beside how late its days usually come."""
    for source in freshness(lake, today=today):
        usual = f"; usually {source.median_days:.3g}" if source.median_days is not None else ""
        most = f", nine in ten within {source.p90_days}" if source.median_days is not None else ""
        said = "ended, complete" if source.ended else "complete"
        yield Diagnosis(
            f"freshness {source.source_id}",
            "warning" if source.is_stale else "ok",
            f"{said} to {source.newest_day}, {source.days_behind} days behind{usual}{most} ({source.loads} loads)",
            f"finops ingest {source.source_id}" if source.is_stale else "",
        )


def _engines() -> Iterator[Diagnosis]:
    for name, module in (("forecast engine", "prophet"), ("solver", "highspy")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            yield Diagnosis(name, "failed", f"{module} cannot be imported: {error}", "install the package again")
        else:
            yield Diagnosis(name, "ok", module)


def _prices(config: Config, today: date) -> Iterator[Diagnosis]:
    own = prices.OwnPrices.of(config)
    try:
        book = prices.load_prices(offers=own.offers, commitments=own.commitments)
    except FinopsError as error:
        yield Diagnosis("prices", "failed", error.found, error.next_step)
        return
    ages = prices.age_days(today, own.offers)
    detail = (
        "offers checked " + ", ".join(f"{provider} {days}" for provider, days in sorted(ages.items())) + " days ago"
    )
    if max(ages.values()) > STALE_PRICES_DAYS:
        yield Diagnosis("prices", "warning", detail, "check the old ones with the provider, or add offers of your own")
    else:
        yield Diagnosis("prices", "ok", detail)
    for fault in book.findings.to_dicts():
        machine = f"{fault['provider']} {fault['region']} {fault['instance_type']}"
        yield Diagnosis("prices", "ok", f"{machine} is not used: {fault['rule']}")


def _token_prices(config: Config, today: date) -> Iterator[Diagnosis]:
    """The list of token prices with its age, and the company's own."""
    days = (today - token_prices.LIST_CHECKED).days
    detail = f"list of {token_prices.LIST_CHECKED}, {days} days old (genai-prices {token_prices.LIST_VERSION})"
    if days > STALE_PRICES_DAYS:
        yield Diagnosis("token prices", "warning", detail, "install a newer finops, or add prices of your own")
    else:
        yield Diagnosis("token prices", "ok", detail)
    for path in config.prices.tokens:
        try:
            rows = len(token_prices.load_book([config.path(path)])) - len(token_prices.load_book())
        except FinopsError as error:
            yield Diagnosis("token prices", "failed", error.found, error.next_step)
        else:
            yield Diagnosis("token prices", "ok", f"{rows} contracted price(s) in {path}")
