"""Accelerator machines of the AWS Price List as rows of the offer book: on demand, and reserved for one or three years.

| offers | from a product of GetProducts |
|---|---|
| region, instance_type, vcpus, memory_gib | attributes regionCode, instanceType, vcpu, memory |
| accelerator, accelerator_count | the table of machines; a type that it does not know is told and left out |
| accelerator_memory_gib | the size in the accelerator's name |
| on_demand_per_hour | the OnDemand term's price per `Hrs` |
| spot_per_hour | null: the Price List has no spot prices |

| commitments | from a Reserved term |
|---|---|
| commitment, term_years, payment | OfferingClass, LeaseContractLength, PurchaseOption |
| committed_per_hour | the hourly price plus the upfront fee over the hours of the term (8,760 a year) |

Only Linux on shared hardware without software is asked for, in local zones too; a machine's price per second is its
hourly price. What has a price of zero is no offer (capacity that is sold another way).

Source: AWS Price List Query API, GetProducts, service code AmazonEC2; read 2026-11-21.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from connectors.aws.api import Api
from connectors.offers import PriceList
from finops.errors import SourceUnreachable
from finops.prices import COMMITMENTS, MACHINE
from finops.rules import Accelerator, load_rules, machine

ACTION: Final = "pricing:GetProducts"
PROVIDER: Final = "aws"
FAMILIES: Final = ("GPU instance", "Machine Learning ASIC Instances")
"""What AWS calls machines with accelerators."""
_ASKED: Final = {
    "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
}  # fmt: skip
_CLASSES: Final = {"standard": "reserved_instance_standard", "convertible": "reserved_instance_convertible"}
_PAYMENTS: Final = {"No Upfront": "no_upfront", "Partial Upfront": "partial_upfront", "All Upfront": "all_upfront"}
_YEARS: Final = {"1yr": 1, "3yr": 3}
_HOURS_A_YEAR: Final = 8_760
_CURRENCY: Final = "USD"
_COMMITTED: Final = (*MACHINE, "commitment", "term_years", "payment")
_PER_HOUR_PLACES: Final = Decimal("1e-10")


def fetch(api: Api, *, regions: Sequence[str], today: date, say: Callable[[str], None]) -> PriceList:
    """The offers of all regions, or of those named; raises SourceUnreachable when AWS does not answer or has none.

    api: of the service `pricing`. It costs nothing.
    """
    texts: list[str] = []
    for family in FAMILIES:
        for region in regions or (None,):
            wanted = {**_ASKED, "instanceFamily": family} | ({"regionCode": region} if region else {})
            filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
            for page in api.pages(
                ACTION, "get_products", ServiceCode="AmazonEC2", Filters=filters, FormatVersion="aws_v1"
            ):
                texts += page["PriceList"]
        say(f"AWS Price List: {len(texts):,} products up to {family}")
    found = parse(texts, today=today)
    if found.offers.is_empty():
        raise SourceUnreachable(
            f"the AWS Price List has no machine with accelerators in {', '.join(regions) or 'any region'}",
            expected="at least one",
            next_step="name regions as AWS does, such as eu-central-1",
        )
    return found


def parse(products: Iterable[str], *, today: date) -> PriceList:
    """The products, each a JSON text, as rows; a machine that comes twice is taken once, or left out if it differs.

    Raises SourceUnreachable for a text that is no product.
    """
    known = load_rules().accelerators
    offers: dict[tuple[object, ...], dict[str, Any]] = {}
    commitments: dict[tuple[object, ...], dict[str, Any]] = {}
    several: set[tuple[object, ...]] = set()
    left_out: set[str] = set()
    for text in products:
        try:
            product = json.loads(text)
            attributes = product["product"]["attributes"]
            accelerator = known.get(machine(attributes["instanceType"]))
            if accelerator is None:
                left_out.add(f"{attributes['instanceType']}: its accelerators are not known here")
                continue
            offer = _offer(product, attributes, accelerator, today)
            if offer is None:
                continue
            if offers.setdefault(_key(offer, MACHINE), offer) != offer:
                left_out.add(f"{offer['instance_type']} in {offer['region']}: it has several prices")
                several.add(_key(offer, MACHINE))
            commitments |= {_key(row, _COMMITTED): row for row in _reserved(product, offer)}
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
            raise SourceUnreachable(
                f"the AWS Price List answered a product that cannot be read ({type(error).__name__}: {error})",
                expected="JSON of the format aws_v1",
                next_step="run the command again; the offers that were saved before stay",
            ) from error
    offers = {key: row for key, row in offers.items() if key not in several}
    commitments = {key: row for key, row in commitments.items() if key[: len(MACHINE)] not in several}
    return PriceList.of(offers.values(), commitments.values(), left_out)


def _offer(
    product: Mapping[str, Any], attributes: Mapping[str, str], accelerator: Accelerator, today: date
) -> dict[str, Any] | None:
    prices = [price for term in product["terms"].get("OnDemand", {}).values() for price in _prices(term, "Hrs")]
    if len(prices) != 1 or prices[0] == 0 or attributes.get("marketoption", "OnDemand") != "OnDemand":
        return None
    size = re.search(r"-(\d+)GB$", accelerator.model)
    return {
        "provider": PROVIDER,
        "region": attributes["regionCode"],
        "instance_type": attributes["instanceType"],
        "accelerator": accelerator.model,
        "accelerator_count": accelerator.count,
        "accelerator_memory_gib": Decimal(size[1]) if size else None,
        "vcpus": Decimal(attributes["vcpu"]),
        "memory_gib": _gib(attributes["memory"]),
        "currency": _CURRENCY,
        "on_demand_per_hour": prices[0],
        "spot_per_hour": None,
        "source": f"AWS Price List AmazonEC2 {product['version']}, published {product['publicationDate'][:10]}",
        "date": today,
    }


def _reserved(product: Mapping[str, Any], offer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for term in product["terms"].get("Reserved", {}).values():
        said = term["termAttributes"]
        years, payment = _YEARS.get(said["LeaseContractLength"]), _PAYMENTS.get(said["PurchaseOption"])
        commitment = _CLASSES.get(said["OfferingClass"])
        if years is None or payment is None or commitment is None:
            continue
        hourly, upfront = _prices(term, "Hrs"), _prices(term, "Quantity")
        per_hour = sum(hourly, Decimal(0)) + sum(upfront, Decimal(0)) / (_HOURS_A_YEAR * years)
        if not per_hour:
            continue
        yield {
            **{name: offer[name] for name in COMMITMENTS if name in offer},
            "commitment": commitment,
            "term_years": years,
            "payment": payment,
            "committed_per_hour": per_hour.quantize(_PER_HOUR_PLACES),
        }


def _prices(term: Mapping[str, Any], unit: str) -> list[Decimal]:
    """A term's prices in USD of one unit: `Hrs`, or `Quantity` for a fee upfront."""
    dimensions = term["priceDimensions"].values()
    return [Decimal(d["pricePerUnit"][_CURRENCY]) for d in dimensions if d["unit"] == unit and "pricePerUnit" in d]


def _gib(memory: str) -> Decimal:
    return Decimal(memory.removesuffix("GiB").strip().replace(",", ""))


def _key(row: Mapping[str, Any], columns: Sequence[str]) -> tuple[object, ...]:
    return tuple(row[name] for name in columns)
