"""Accelerator machines of the Cloud Catalog as rows of the offer book: on demand, spot, committed for 1 or 3 years.

| term | usageType, description |
|---|---|
| on demand | OnDemand, without `Spot` or `Preemptible` |
| spot | Preemptible, or any with these words: some spot SKUs are filed as OnDemand |
| commitment committed_use_discount_resource | Commit1Yr, Commit3Yr |

Source: Cloud Billing API v1, services.list and skus.list; read 2026-11-21.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from google.cloud.billing_v1.types import ListSkusRequest, Sku

from connectors.gcp.machines import CURRENCY, SERVICE, SkuPrice, Term, compose, per_hour, some, term
from connectors.gcp.refusals import LIST_SKUS, RAISED
from connectors.gcp.session import Session
from connectors.offers import PriceList
from finops.errors import SourceUnreachable

_PAGE: Final = 5_000
_COMMITTED: Final = {"Commit1Yr": 1, "Commit3Yr": 3}
_AGAIN: Final = "run the command again; the offers that were saved before stay"


def fetch(session: Session, *, regions: Sequence[str], today: date, say: Callable[[str], None]) -> PriceList:
    """The offers of all regions, or of those named; raises SourceUnreachable when Google does not answer or has none.

    It costs nothing, and needs credentials but no permission: the catalog is public.
    """
    client = session.catalog()
    services = _pages(session, client.list_services, {"page_size": _PAGE}, "services")
    service = next((found.name for found in services if found.display_name == SERVICE), None)
    if service is None:
        raise SourceUnreachable(
            f"the Cloud Catalog has no service {SERVICE}", expected="one of that name", next_step=_AGAIN
        )
    request = ListSkusRequest(parent=service, currency_code=CURRENCY, page_size=_PAGE)
    skus = list(_pages(session, client.list_skus, request, "skus"))
    say(f"Cloud Catalog: {len(skus):,} SKUs of {SERVICE}")
    source = f"Cloud Billing Catalog, {SERVICE}, effective"
    found = compose(prices(skus), regions=regions, source=source, checked=today)
    return some(found, of="the Cloud Catalog", regions=regions)


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


def prices(skus: Iterable[Sku]) -> Iterator[SkuPrice]:
    """What each SKU costs by its newest price."""
    for sku in skus:
        if sku.pricing_info:
            newest = max(sku.pricing_info, key=lambda info: info.effective_time)
            yield SkuPrice(
                sku.description,
                _term(sku),
                tuple(sku.service_regions),
                per_hour(newest.pricing_expression.usage_unit, _amounts(newest.pricing_expression)),
                newest.effective_time.date(),
            )


def _term(sku: Sku) -> Term | None:
    kind = sku.category.usage_type
    if kind not in ("OnDemand", "Preemptible", *_COMMITTED):
        return None
    return term(sku.description, years=_COMMITTED.get(kind), is_spot=kind == "Preemptible")


def _amounts(expression: Any) -> Iterator[Decimal]:
    """The prices of all tiers."""
    for price in (rate.unit_price for rate in expression.tiered_rates):
        if price.currency_code == CURRENCY:
            yield Decimal(price.units) + Decimal(price.nanos).scaleb(-9)
