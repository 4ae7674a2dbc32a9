"""Accelerator machines of the Cloud Catalog as rows of the offer book: on demand, spot, committed for 1 or 3 years.

Google prices parts, and a machine is the sum of its parts: accelerators, cores, memory, and local SSD where it always
has some. machines.csv says what each is made of, and by which words SKUs name its parts.

| part | SKU, in its region and term | a machine has |
|---|---|---|
| accelerator | `Nvidia H100 80GB GPU ...`, per hour | its count (finops/data/accelerators.csv) |
| core, memory | `A3 Instance Core ...`, `... Ram ...`; committed `A3 Cpu`, `A3 Ram`, per hour | vcpus, memory_gib |
| local SSD | `SSD backed Local Storage ...`; committed `Local SSD`, per month of 730 hours | local_ssd_gib |

| term | usageType, description |
|---|---|
| on demand | OnDemand, without `Spot` or `Preemptible` |
| spot | Preemptible, or any with these words: some spot SKUs are filed as OnDemand |
| commitment committed_use_discount_resource | Commit1Yr, Commit3Yr |

Left out: SKUs that sell a machine in another way (reserved, calendar mode, flex start, custom, sole tenancy), which
stand cheaper beside the on-demand ones; machines with a part that has no price, several prices, or a price of zero or
of 700.0, which stands for none.

Source: Cloud Billing API v1, services.list and skus.list; names of SKUs as machines.csv cites them; read 2026-11-21.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

from google.cloud.billing_v1.types import ListSkusRequest, Sku

from connectors.gcp.refusals import LIST_SKUS, RAISED
from connectors.gcp.session import Session
from connectors.offers import PriceList
from finops.errors import SourceUnreachable
from finops.rules import Accelerator, load_rules, machine

PROVIDER: Final = "gcp"
_SERVICE: Final = "Compute Engine"
_CURRENCY: Final = "USD"
_PAGE: Final = 5_000
_ELSE: Final = (
    r"(?i)\breserved\b|calendar mode|\bDWS\b|defined duration|sole tenancy|\bcustom\b|\bpremium\b|\bvws\b|workstation"
)
_SPOT: Final = r"(?i)\bspot\b|preemptible"
_ON_DEMAND, _SPOT_TERM = "on demand", "spot"
_COMMITTED: Final = {"Commit1Yr": 1, "Commit3Yr": 3}
_HOURS_A_MONTH: Final = 730
_NO_PRICE: Final = Decimal(700)
"""What some TPU prices say in place of none; from notes of 2026-11-21 on price lists."""
_PER_HOUR_PLACES: Final = Decimal("1e-10")
_UNITS: Final = {"h": 1, "GiBy.h": 1, "GiBy.mo": _HOURS_A_MONTH}
_AGAIN: Final = "run the command again; the offers that were saved before stay"

Term = str | int


@dataclass(frozen=True)
class Part:
    """What Google prices by itself: its name, and the pattern of its SKUs' names."""

    name: str
    pattern: str


Prices = Mapping[tuple[str, Term, Part], set[Decimal]]
"""Per hour, of a region, term and part."""


class _Unpriced(Exception):
    """Why a machine has no price in a term, in words."""


@dataclass(frozen=True)
class Machine:
    """What a machine is made of: how much of each part, its accelerators first."""

    instance_type: str
    vcpus: Decimal | None
    memory_gib: Decimal | None
    accelerator: Accelerator
    parts: tuple[tuple[Part, Decimal], ...]


_SSD: Final = Part("local SSD", r"\bSSD backed Local Storage\b|^Commitment v1: Local SSD\b")


@cache
def machines() -> tuple[Machine, ...]:
    """The machines that machines.csv knows."""
    text = (files("connectors.gcp") / "machines.csv").read_text(encoding="utf-8")
    known = load_rules().accelerators
    return tuple(_machine(row, known[machine(row["instance_type"])]) for row in csv.DictReader(text.splitlines()))


def _machine(row: Mapping[str, str], accelerator: Accelerator) -> Machine:
    vcpus, memory = (Decimal(row[name]) if row[name] else None for name in ("vcpus", "memory_gib"))
    words = "|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in row["gpu"].split("|"))
    family = row["family"]
    parts = [(Part(row["gpu"].partition("|")[0], words), accelerator.count)]
    if family and vcpus and memory:
        parts.append((Part(f"{family} core", rf"\b{family} (?:Instance Core|Cpu)\b"), vcpus))
        parts.append((Part(f"{family} memory", rf"\b{family} (?:Instance )?Ram\b"), memory))
    if ssd := Decimal(row["local_ssd_gib"]):
        parts.append((_SSD, ssd))
    return Machine(row["instance_type"], vcpus, memory, accelerator, tuple(parts))


def fetch(session: Session, *, regions: Sequence[str], today: date, say: Callable[[str], None]) -> PriceList:
    """The offers of all regions, or of those named; raises SourceUnreachable when Google does not answer or has none.

    It costs nothing, and needs credentials but no permission: the catalog is public.
    """
    client = session.catalog()
    services = _pages(session, client.list_services, {"page_size": _PAGE}, "services")
    service = next((found.name for found in services if found.display_name == _SERVICE), None)
    if service is None:
        raise SourceUnreachable(
            f"the Cloud Catalog has no service {_SERVICE}", expected="one of that name", next_step=_AGAIN
        )
    request = ListSkusRequest(parent=service, currency_code=_CURRENCY, page_size=_PAGE)
    skus = list(_pages(session, client.list_skus, request, "skus"))
    say(f"Cloud Catalog: {len(skus):,} SKUs of {_SERVICE}")
    found = parse(skus, regions=regions, today=today)
    if found.offers.is_empty():
        raise SourceUnreachable(
            f"the Cloud Catalog has no machine with accelerators in {', '.join(regions) or 'any region'}",
            expected="at least one",
            next_step="name regions as Google does, such as europe-west4",
        )
    return found


def _pages(session: Session, ask: Callable[..., Any], request: Any, name: str) -> Iterator[Any]:
    """What all pages list; raises SourceUnreachable for pages that lead back to an earlier one."""
    seen: set[str] = set()
    try:
        for page in ask(request=request, retry=session.retry(), timeout=session.tries.answer_s).pages:
            yield from getattr(page, name)
            if page.next_page_token in seen:
                raise SourceUnreachable(
                    f"the Cloud Catalog's {name} do not come to their end",
                    expected="pages that follow each other to the last one, each once",
                    next_step=_AGAIN,
                )
            seen.add(page.next_page_token)
    except RAISED as error:
        raise session.unreachable(error, LIST_SKUS) from error


def parse(skus: Iterable[Sku], *, regions: Sequence[str], today: date) -> PriceList:
    """The SKUs as rows of machines; regions: all where none is named."""
    prices: dict[tuple[str, Term, Part], set[Decimal]] = defaultdict(set)
    known = {part for made in machines() for part, _ in made.parts}
    left_out: set[str] = set()
    effective, sold_else = "", 0
    for sku in skus:
        parts = [part for part in known if re.search(part.pattern, sku.description)]
        if not parts or not sku.pricing_info:
            continue
        term = _term(sku)
        if term is None:
            sold_else += 1
            continue
        newest = max(sku.pricing_info, key=lambda info: info.effective_time)
        effective = max(effective, f"{newest.effective_time:%Y-%m-%d}")
        for part in parts:
            for region in sku.service_regions:
                prices[region, term, part] |= _per_hour(newest.pricing_expression)
    offers: list[dict[str, Any]] = []
    commitments: list[dict[str, Any]] = []
    for region in sorted({region for region, _, _ in prices if not regions or region in regions}):
        for made in machines():
            if (region, _ON_DEMAND, made.parts[0][0]) not in prices:
                continue
            try:
                on_demand = _sum(made, region, _ON_DEMAND, prices)
            except _Unpriced as why:
                left_out.add(f"{made.instance_type} in {region}: {why}")
                continue
            source = f"Cloud Billing Catalog, {_SERVICE}, effective {effective}"
            offer = _offer(made, region, on_demand, _or_none(made, region, _SPOT_TERM, prices), source, today)
            offers.append(offer)
            commitments += _commitments(made, offer, prices)
    if sold_else:
        left_out.add(f"{sold_else} SKUs of what is reserved, in calendar mode, flex start, custom or the like")
    return PriceList.of(offers, commitments, left_out)


def _term(sku: Sku) -> Term | None:
    """On demand, spot, or years of commitment; none for what is sold in another way."""
    kind = sku.category.usage_type
    if kind in _COMMITTED:
        return None if re.search(_ELSE, sku.description) else _COMMITTED[kind]
    if kind not in ("OnDemand", "Preemptible") or re.search(_ELSE, sku.description):
        return None
    return _SPOT_TERM if kind == "Preemptible" or re.search(_SPOT, sku.description) else _ON_DEMAND


def _per_hour(expression: Any) -> set[Decimal]:
    """The prices of all tiers per hour; nothing where its unit is none of a machine's."""
    hours = _UNITS.get(expression.usage_unit)
    if hours is None:
        return set()
    money = (rate.unit_price for rate in expression.tiered_rates)
    return {
        ((Decimal(price.units) + Decimal(price.nanos).scaleb(-9)) / hours).normalize()
        for price in money
        if price.currency_code == _CURRENCY
    }


def _sum(made: Machine, region: str, term: Term, prices: Prices) -> Decimal:
    """What a machine costs per hour; raises _Unpriced."""
    total = Decimal(0)
    for part, quantity in made.parts:
        found = prices.get((region, term, part), set())
        if not found:
            raise _Unpriced(f"no price {term} of {part.name}")
        if len(found) > 1:
            raise _Unpriced(f"several prices {term} of {part.name}: {', '.join(f'{p:f}' for p in sorted(found))}")
        (price,) = found
        if not price or price == _NO_PRICE:
            raise _Unpriced(f"{part.name} has the price {price:f}, which is none")
        total += price * quantity
    return total.quantize(_PER_HOUR_PLACES)


def _or_none(made: Machine, region: str, term: Term, prices: Prices) -> Decimal | None:
    try:
        return _sum(made, region, term, prices)
    except _Unpriced:
        return None


def _offer(
    made: Machine, region: str, on_demand: Decimal, spot: Decimal | None, source: str, today: date
) -> dict[str, Any]:
    size = re.search(r"-(\d+)GB$", made.accelerator.model)
    return {
        "provider": PROVIDER,
        "region": region,
        "instance_type": made.instance_type,
        "accelerator": made.accelerator.model,
        "accelerator_count": made.accelerator.count,
        "accelerator_memory_gib": Decimal(size[1]) if size else None,
        "vcpus": made.vcpus,
        "memory_gib": made.memory_gib,
        "currency": _CURRENCY,
        "on_demand_per_hour": on_demand,
        "spot_per_hour": spot,
        "source": source,
        "date": today,
    }


def _commitments(made: Machine, offer: Mapping[str, Any], prices: Prices) -> Iterator[dict[str, Any]]:
    """The committed prices of a machine all of whose parts can be committed."""
    names = ("provider", "region", "instance_type", "accelerator", "accelerator_count", "currency")
    for years in _COMMITTED.values():
        committed = _or_none(made, offer["region"], years, prices)
        if committed is not None:
            yield {
                **{name: offer[name] for name in (*names, "on_demand_per_hour", "source", "date")},
                "commitment": "committed_use_discount_resource",
                "term_years": years,
                "payment": "monthly",
                "committed_per_hour": committed,
            }
