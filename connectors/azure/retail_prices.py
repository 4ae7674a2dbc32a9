"""Accelerator machines of Azure's retail prices as rows of the offer book: on demand, spot, reserved, savings plans.

| offers | from an item |
|---|---|
| region, instance_type | armRegionName, armSkuName |
| accelerator, accelerator_count | the table of machines; a size that it does not know is told and left out |
| accelerator_memory_gib | the size in the accelerator's name |
| vcpus, memory_gib | of the same size in the book, since Azure's prices do not tell them; null where it has none |
| on_demand_per_hour, spot_per_hour | retailPrice of type Consumption, without and with `Spot` in its names |

| commitments | from |
|---|---|
| reservation | retailPrice of type Reservation, over the hours of reservationTerm (8,760 a year) |
| savings_plan | the entries of savingsPlan beside the on-demand price, by their term |

Left out: Windows, Low Priority, DevTestConsumption (Visual Studio subscriptions), meters that are not primary, tiers
above the first, prices that have ended or not begun, and prices of zero. Of several prices the one that began last
counts; a machine with two of one day is told and left out, and so is one without an on-demand price. A reservation
costs the same upfront or monthly, so its payment is unspecified.

Source: Azure Retail Prices API, 2023-01-01-preview (no other version has savings plans; values of filters are
case-sensitive; USD is Microsoft's price, other currencies are for reference); read 2026-11-21.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from connectors.api_pages import BadRow, number
from connectors.azure.units import unit
from connectors.http import Client, NoAnswer, Params, Patience
from connectors.offers import PriceList
from finops.errors import SourceUnreachable
from finops.prices import COMMITMENTS, load_offers
from finops.rules import Accelerator, load_rules, machine

PROVIDER: Final = "azure"
URL: Final = "https://prices.azure.com"
API_VERSION: Final = "2023-01-01-preview"
_PATH: Final = "/api/retail/prices"
_ASKED: Final = "serviceName eq 'Virtual Machines' and contains(armSkuName, 'Standard_N')"
"""Sizes with accelerators begin with N."""
_YEARS: Final = {"1 Year": 1, "3 Years": 3}
_HOURS_A_YEAR: Final = 8_760
_PER_HOUR_PLACES: Final = Decimal("1e-10")
_PATIENT: Final = Patience()
_AGAIN: Final = "run the command again; the offers that were saved before stay"

Item = Mapping[str, Any]


def fetch(
    *, regions: Sequence[str], currency: str, today: date, say: Callable[[str], None], url: str = URL,
    patience: Patience = _PATIENT,
) -> PriceList:  # fmt: skip
    """The offers of all regions, or of those named; raises SourceUnreachable when Azure does not answer or has none.

    It takes no credentials and costs nothing.
    """
    items: list[Any] = []
    with Client(url, {}, secret="", patience=patience, say=lambda text: say(f"Azure retail prices: {text}")) as client:
        for region in regions or (None,):
            place = f" and armRegionName eq '{region.replace(chr(39), chr(39) * 2)}'" if region else ""
            items += _pages(client, url, {
                "api-version": API_VERSION, "currencyCode": f"'{currency}'", "$filter": _ASKED + place,
            })  # fmt: skip
            say(f"Azure retail prices: {len(items):,} items up to {region or 'all regions'}")
    found = parse(items, currency=currency, today=today)
    if found.offers.is_empty():
        raise SourceUnreachable(
            f"Azure's retail prices have no machine with accelerators in {', '.join(regions) or 'any region'}",
            expected="at least one",
            next_step="name regions as Azure does, in lower case, such as westeurope",
        )
    return found


def _pages(client: Client, url: str, params: Params) -> Iterator[Any]:
    """The items of all pages; a link has its own `$skip`."""
    seen: set[str] = set()
    while True:
        try:
            document = client.get(_PATH, params).document
        except NoAnswer as problem:
            raise SourceUnreachable(
                f"Azure's retail prices do not come: {problem.found}", expected="an answer", next_step=_AGAIN
            ) from problem
        items, link = document.get("Items"), document.get("NextPageLink")
        if not isinstance(items, list):
            raise _unreadable("a page has no list `Items`")
        yield from items
        if not link:
            return
        address = urlsplit(str(link))
        if link in seen or address.hostname != urlsplit(url).hostname:
            raise _unreadable(f"the next page is one that was read before, or lies elsewhere: {link}")
        seen.add(link)
        params = dict(parse_qsl(address.query))


@dataclass
class _Machine:
    """The prices per hour of one size in one region, each with the day that it began."""

    on_demand: dict[Decimal, str] = field(default_factory=dict)
    spot: dict[Decimal, str] = field(default_factory=dict)
    committed: dict[tuple[str, int], dict[Decimal, str]] = field(default_factory=lambda: defaultdict(dict))


def parse(items: Iterable[Any], *, currency: str, today: date) -> PriceList:
    """The items as rows; raises SourceUnreachable for one that is no item of retail prices."""
    machines: dict[tuple[str, str], _Machine] = defaultdict(_Machine)
    for item in items:
        try:
            if _counts(item, today):
                _add(item, machines[item["armRegionName"], item["armSkuName"]], currency)
        except (BadRow, KeyError, TypeError, AttributeError, ValueError) as error:
            raise _unreadable(f"an item is no price ({type(error).__name__}: {error})") from error
    known = load_rules().accelerators
    sizes = {
        row["instance_type"]: (row["vcpus"], row["memory_gib"])
        for row in load_offers().iter_rows(named=True)
        if row["provider"] == PROVIDER
    }
    offers: list[dict[str, Any]] = []
    commitments: list[dict[str, Any]] = []
    left_out: set[str] = set()
    for (region, size), prices in machines.items():
        accelerator = known.get(machine(size))
        if accelerator is None:
            left_out.add(f"{size}: its accelerators are not known here")
        elif not prices.on_demand:
            left_out.add(f"{size} in {region}: it has no price on demand")
        elif several := [name for name, found in _named(prices) if found and _last(found) is None]:
            left_out.add(f"{size} in {region}: it has several prices, {', '.join(several)}")
        else:
            where = {"region": region, "instance_type": size, "currency": currency, "date": today}
            offer = _offer(prices, accelerator, *sizes.get(size, (None, None))) | where
            offers.append(offer)
            commitments += _commitments(prices, offer)
    return PriceList.of(offers, commitments, left_out)


def _counts(item: Item, today: date) -> bool:
    """Whether an item is a price of a Linux machine that is to be had today."""
    names = f"{item['productName']} {item['skuName']} {item['meterName']}"
    ends = item.get("effectiveEndDate")
    return (
        item["type"] in ("Consumption", "Reservation")
        and not re.search(r"(?i)\bwindows\b|low priority|dedicated host", names)
        and item.get("isPrimaryMeterRegion") is not False
        and bool(item["armRegionName"])
        and not number(item.get("tierMinimumUnits") or 0, "tierMinimumUnits")
        and str(item["effectiveStartDate"])[:10] <= today.isoformat()
        and not (ends and str(ends)[:10] <= today.isoformat())
    )


def _add(item: Item, prices: _Machine, currency: str) -> None:
    if item["currencyCode"] != currency:
        raise BadRow(f"a price is in {item['currencyCode']}, {currency} was asked for")
    price, begun = number(item["retailPrice"], "retailPrice"), str(item["effectiveStartDate"])[:10]
    if not price:
        return
    if item["type"] == "Reservation":
        years = _YEARS.get(str(item.get("reservationTerm")))
        if years:
            prices.committed["reservation", years][price / (_HOURS_A_YEAR * years)] = begun
        return
    measure = unit(str(item["unitOfMeasure"]))
    if measure.name != "Hours":
        raise BadRow(f"a machine is priced by {item['unitOfMeasure']}")
    if re.search(r"\bSpot\b", f"{item['skuName']} {item['meterName']}"):
        prices.spot[price / measure.block] = begun
        return
    prices.on_demand[price / measure.block] = begun
    for plan in item.get("savingsPlan") or ():
        years, planned = _YEARS.get(str(plan["term"])), number(plan["retailPrice"], "savingsPlan.retailPrice")
        if years and planned:
            prices.committed["savings_plan", years][planned / measure.block] = begun


def _named(prices: _Machine) -> Iterator[tuple[str, dict[Decimal, str]]]:
    yield from (("on demand", prices.on_demand), ("spot", prices.spot))
    yield from ((f"{kind} of {years} year(s)", found) for (kind, years), found in prices.committed.items())


def _last(found: Mapping[Decimal, str]) -> Decimal | None:
    """The price that began last; None where there are two of one day."""
    latest = [price for price, begun in found.items() if begun == max(found.values())]
    return latest[0].quantize(_PER_HOUR_PLACES) if len(latest) == 1 else None


def _offer(
    prices: _Machine, accelerator: Accelerator, vcpus: Decimal | None, memory_gib: Decimal | None
) -> dict[str, Any]:
    size = re.search(r"-(\d+)GB$", accelerator.model)
    return {
        "provider": PROVIDER,
        "accelerator": accelerator.model,
        "accelerator_count": accelerator.count,
        "accelerator_memory_gib": Decimal(size[1]) if size else None,
        "vcpus": vcpus,
        "memory_gib": memory_gib,
        "on_demand_per_hour": _last(prices.on_demand),
        "spot_per_hour": _last(prices.spot) if prices.spot else None,
        "source": f"Azure Retail Prices {API_VERSION}, from {max(prices.on_demand.values())}",
    }


def _commitments(prices: _Machine, offer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for (kind, years), found in prices.committed.items():
        yield {
            **{name: offer[name] for name in COMMITMENTS if name in offer},
            "commitment": kind,
            "term_years": years,
            "payment": "unspecified",
            "committed_per_hour": _last(found),
        }


def _unreadable(found: str) -> SourceUnreachable:
    return SourceUnreachable(
        f"Azure's retail prices cannot be read: {found}",
        expected=f"items as the version {API_VERSION} has them, each page once",
        next_step=_AGAIN,
    )
