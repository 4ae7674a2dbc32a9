"""Accelerator machines and what they cost: each is the sum of its parts, whichever list the parts' prices are from.

Google prices parts: accelerators, cores, memory, and local SSD where a machine always has some. machines.csv says what
each is made of, and by which words SKUs name its parts.

| part | SKU, in its region and term | a machine has |
|---|---|---|
| accelerator | `Nvidia H100 80GB GPU ...`, per hour | its count (finops/data/accelerators.csv) |
| core, memory | `A3 Instance Core ...`, `... Ram ...`; committed `A3 Cpu`, `A3 Ram`, per hour | vcpus, memory_gib |
| local SSD | `SSD backed Local Storage ...`; committed `Local SSD`, per month of 730 hours | local_ssd_gib |

Left out: SKUs that sell a machine in another way (reserved, calendar mode, flex start, custom, sole tenancy), which
stand cheaper beside the on-demand ones; machines with a part that has no price, several prices, or a price of zero or
of 700.0, which stands for none.

Source: names of SKUs as machines.csv cites them; read 2026-11-21.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

from connectors.offers import PriceList
from finops.errors import SourceUnreachable
from finops.rules import Accelerator, load_rules, machine

PROVIDER: Final = "gcp"
SERVICE: Final = "Compute Engine"
"""Whose SKUs all parts are."""
CURRENCY: Final = "USD"
_ELSE: Final = (
    r"(?i)\breserved\b|calendar mode|\bDWS\b|defined duration|sole tenancy|\bcustom\b|\bpremium\b|\bvws\b|workstation"
)
_SPOT: Final = r"(?i)\bspot\b|preemptible"
_ON_DEMAND, _SPOT_TERM = "on demand", "spot"
_YEARS: Final = (1, 3)
_HOURS_A_MONTH: Final = 730
_NO_PRICE: Final = Decimal(700)
"""What some TPU prices say in place of none; from notes of 2026-11-21 on price lists."""
_PER_HOUR_PLACES: Final = Decimal("1e-10")
_UNITS: Final = {"h": 1, "GiBy.h": 1, "GiBy.mo": _HOURS_A_MONTH}

Term = str | int
"""On demand, spot, or years of commitment."""


@dataclass(frozen=True)
class SkuPrice:
    """What a SKU costs in some regions, in USD an hour: the price of each tier; none where its unit is no machine's.

    term: none where it sells in a way that makes no machine's price. day: since when, or as of when.
    """

    description: str
    term: Term | None
    regions: tuple[str, ...]
    per_hour: frozenset[Decimal]
    day: date


def per_hour(unit: str, amounts: Iterable[Decimal]) -> frozenset[Decimal]:
    """Prices of a unit as prices of an hour; none where the unit is no machine's."""
    hours = _UNITS.get(unit)
    return frozenset((amount / hours).normalize() for amount in amounts) if hours else frozenset()


def term(description: str, *, years: int | None, is_spot: bool = False) -> Term | None:
    """How a SKU sells, by its name and what else is known; none for what is neither on demand, spot nor committed."""
    if re.search(_ELSE, description):
        return None
    return years or (_SPOT_TERM if is_spot or re.search(_SPOT, description) else _ON_DEMAND)


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


def compose(skus: Iterable[SkuPrice], *, regions: Sequence[str], source: str, checked: date) -> PriceList:
    """The SKUs as rows of machines; regions: all where none is named.

    source: its words, to which the newest day of a price is added. checked: the day that the offers are dated.
    """
    prices: dict[tuple[str, Term, Part], set[Decimal]] = defaultdict(set)
    known = {part for made in machines() for part, _ in made.parts}
    left_out: set[str] = set()
    newest, sold_else = date.min, 0
    for sku in skus:
        parts = [part for part in known if re.search(part.pattern, sku.description)]
        if not parts:
            continue
        if sku.term is None:
            sold_else += 1
            continue
        newest = max(newest, sku.day)
        for part in parts:
            for region in sku.regions:
                prices[region, sku.term, part] |= sku.per_hour
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
            spot = _or_none(made, region, _SPOT_TERM, prices)
            offer = _offer(made, region, on_demand, spot, f"{source} {newest}", checked)
            offers.append(offer)
            commitments += _commitments(made, offer, prices)
    if sold_else:
        left_out.add(f"{sold_else} SKUs of what is reserved, in calendar mode, flex start, custom or the like")
    return PriceList.of(offers, commitments, left_out)


def some(found: PriceList, *, of: str, regions: Sequence[str]) -> PriceList:
    """The list; raises SourceUnreachable where it has no machine."""
    if found.offers.is_empty():
        raise SourceUnreachable(
            f"{of} has no machine with accelerators in {', '.join(regions) or 'any region'}",
            expected="at least one",
            next_step="name regions as Google does, such as europe-west4",
        )
    return found


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
    made: Machine, region: str, on_demand: Decimal, spot: Decimal | None, source: str, checked: date
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
        "currency": CURRENCY,
        "on_demand_per_hour": on_demand,
        "spot_per_hour": spot,
        "source": source,
        "date": checked,
    }


def _commitments(made: Machine, offer: Mapping[str, Any], prices: Prices) -> Iterator[dict[str, Any]]:
    """The committed prices of a machine all of whose parts can be committed."""
    names = ("provider", "region", "instance_type", "accelerator", "accelerator_count", "currency")
    for years in _YEARS:
        committed = _or_none(made, offer["region"], years, prices)
        if committed is not None:
            yield {
                **{name: offer[name] for name in (*names, "on_demand_per_hour", "source", "date")},
                "commitment": "committed_use_discount_resource",
                "term_years": years,
                "payment": "monthly",
                "committed_per_hour": committed,
            }
