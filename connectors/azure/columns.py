"""Columns of cost details by one name each, however a file spells them: agreement, version and language of the portal.

`CostInBillingCurrency`, `costInBillingCurrency` and `costinbillingcurrency` are one column; so are `MeterName` and
`Name der Verbrauchseinheit (MeterName)`, as the portal writes it in other languages. Where a file has several spellings
of one thing, the first that is filled counts.

Source: Microsoft Cost Management, "Understand usage details fields" (EA, MCA, pay-as-you-go, versions 2019-10-01 to
2023-12-01), read 2026-11-21; header sets of real exports.
"""

import re
from collections.abc import Mapping
from typing import Final

import polars as pl

from connectors import cells
from connectors.files import ROW_INDEX

TEXTS: Final = {
    "charge_type": ("chargetype",), "pricing_model": ("pricingmodel",), "frequency": ("frequency",),
    "currency": ("billingcurrency", "billingcurrencycode", "currency"), "pricing_currency": ("pricingcurrency",),
    "billing_account_id": ("billingaccountid",), "billing_account_name": ("billingaccountname",),
    "billing_profile_id": ("billingprofileid",), "billing_profile_name": ("billingprofilename",),
    "invoice_id": ("invoiceid",), "partner_name": ("partnername",),
    "subscription_id": ("subscriptionid", "subscriptionguid"), "subscription_name": ("subscriptionname",),
    "product": ("productname", "product"), "product_id": ("productid",), "part_number": ("partnumber",),
    "meter_id": ("meterid",), "meter_name": ("metername",), "meter_category": ("metercategory",),
    "meter_subcategory": ("metersubcategory",), "meter_region": ("meterregion",), "unit": ("unitofmeasure",),
    "location": ("resourcelocation", "location"), "zone": ("availabilityzone",),
    "resource_id": ("resourceid", "instanceid", "instancename"), "resource_name": ("resourcename",),
    "resource_type": ("resourcetype",), "additional_info": ("additionalinfo",), "tags": ("tags",),
    "publisher_type": ("publishertype",), "publisher_name": ("publishername",),
    "benefit_id": ("benefitid",), "benefit_name": ("benefitname",), "reservation_id": ("reservationid",),
    "reservation_name": ("reservationname",), "order_name": ("productordername",),
}  # fmt: skip
NUMBERS: Final = {
    "cost": ("costinbillingcurrency", "cost", "pretaxcost"), "quantity": ("quantity", "usagequantity"),
    "unit_price": ("unitprice",), "effective_price": ("effectiveprice", "resourcerate"),
    "list_price": ("paygprice",), "list_cost": ("paygcostinbillingcurrency",),
    "pricing_cost": ("costinpricingcurrency",), "exchange_rate": ("exchangeratepricingtobilling", "exchangerate"),
}  # fmt: skip
TIMES: Final = {
    "date": ("date", "usagedatetime", "usagedate"), "period_start": ("billingperiodstartdate",),
    "period_end": ("billingperiodenddate",),
}  # fmt: skip
KEPT: Final = {
    "x_SkuMeterId": "meterid", "x_SkuMeterCategory": "metercategory", "x_SkuMeterSubcategory": "metersubcategory",
    "x_SkuRegion": "meterregion", "x_SkuServiceFamily": "servicefamily", "x_SkuPartNumber": "partnumber",
    "x_SkuOfferId": "offerid", "x_SkuOrderId": "productorderid", "x_SkuOrderName": "productordername",
    "x_SkuTerm": "term", "x_SkuPlanName": "planname", "x_SkuIsCreditEligible": "isazurecrediteligible",
    "x_ConsumedService": "consumedservice", "x_ResourceGroupName": ("resourcegroup", "resourcegroupname"),
    "x_CostCenter": "costcenter", "x_AccountName": "accountname", "x_AccountOwnerId": "accountownerid",
    "x_InvoiceSectionId": "invoicesectionid", "x_InvoiceSectionName": ("invoicesection", "invoicesectionname"),
    "x_PreviousInvoiceId": "previousinvoiceid", "x_ServicePeriodStart": "serviceperiodstartdate",
    "x_ServicePeriodEnd": "serviceperiodenddate", "x_BillingExchangeRateDate": "exchangeratedate",
    "x_BillingExchangeRate": ("exchangeratepricingtobilling", "exchangerate"),
    "x_CostAllocationRuleName": "costallocationrulename", "x_PricingUnitDescription": "unitofmeasure",
    "x_ChargeType": "chargetype", "x_PricingModel": "pricingmodel", "x_PublisherType": "publishertype",
    "x_EffectiveUnitPrice": ("effectiveprice", "resourcerate"), "x_CostInUsd": "costinusd",
    "x_ServiceInfo1": "serviceinfo1", "x_ServiceInfo2": "serviceinfo2",
}  # fmt: skip
"""x_SourceColumns, by the names of Microsoft's FOCUS exports where they have one <- column of the file, verbatim."""
NEEDED: Final = ("date", "cost", "currency")
"""Without these columns a file is refused: a charge could be neither summed nor dated."""

Kinds = Mapping[str, pl.DataType]


def plain(name: str) -> str:
    """The column's name as all spellings have it: what stands in brackets where the portal added a translation."""
    inside = re.search(r"\(([A-Za-z0-9_]+)\)\s*$", name)
    return re.sub(r"[^a-z0-9]", "", (inside[1] if inside else name).lower())


def spelled(kinds: Kinds) -> dict[str, str]:
    """Plain name -> the file's column."""
    return {plain(column): column for column in reversed(list(kinds)) if column != ROW_INDEX}


def missing(kinds: Kinds) -> list[str]:
    """The names of NEEDED that the file has in no spelling."""
    by_name = spelled(kinds)
    wanted = {**TEXTS, **NUMBERS, **TIMES}
    return [name for name in NEEDED if not any(found in by_name for found in wanted[name])]


def text(kinds: Kinds, *names: str) -> pl.Expr:
    """The first of these columns that is filled, as cleaned text; null where the file has none."""
    by_name = spelled(kinds)
    found = [by_name[name] for name in names if name in by_name]
    read = [cells.cleaned(column, kinds[column]).cast(pl.String) for column in found]
    return pl.coalesce(read) if read else pl.lit(None, dtype=pl.String)


def number(kinds: Kinds, *names: str) -> pl.Expr:
    """The first of these columns that is filled, as a number; null where it is none."""
    return cells.decimal(text(kinds, *names), pl.String())


def time(kinds: Kinds, *names: str) -> pl.Expr:
    """The first of these columns that is filled, as an instant; null where it is none."""
    return cells.timestamp(text(kinds, *names), pl.String())


def kept(kinds: Kinds) -> pl.Expr:
    """x_SourceColumns: one JSON object of the columns of KEPT that the file has and the row fills."""
    by_name = spelled(kinds)
    spellings = {key: (names,) if isinstance(names, str) else names for key, names in KEPT.items()}
    there = {key: text(kinds, *names) for key, names in spellings.items() if any(name in by_name for name in names)}
    if not there:
        return pl.lit(None, dtype=pl.String)
    whole = pl.struct(value.alias(key) for key, value in there.items()).struct.json_encode()
    # a quote inside a value is escaped, so a whole quoted key is never part of one
    filled = whole.str.replace_all(r'"x_\w+":null,?', "").str.replace(r",\}$", "}")
    return filled.str.extract(r"(?s)^(\{.+\})$", 1)
