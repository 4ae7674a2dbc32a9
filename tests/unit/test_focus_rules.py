"""Each rule of FOCUS fires on a row that breaks it, and none on a row that does not."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import schema as s
from finops.focus_rules import FINDINGS, VERSIONS, check, columns, rules

USAGE = {
    "BilledCost": "6", "EffectiveCost": "6", "ListCost": "8", "ContractedCost": "6", "BillingAccountId": "100",
    "BillingAccountName": "Payer", "BillingAccountType": "Payer", "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "ChargePeriodStart": "2026-09-03T00:00:00Z", "ChargePeriodEnd": "2026-09-03T01:00:00Z",
    "ChargeCategory": "Usage", "ChargeDescription": "an hour", "ChargeFrequency": "Usage-Based",
    "ServiceProviderName": "AWS", "HostProviderName": "AWS", "ProviderName": "AWS", "PublisherName": "AWS",
    "InvoiceIssuerName": "AWS", "ServiceName": "EC2", "ServiceCategory": "Compute",
    "ServiceSubcategory": "Virtual Machines", "SkuId": "S", "SkuPriceId": "S.1", "SkuMeter": "hours",
    "SkuPriceDetails": '{"ModelId":"m","GpuCount":8,"x_Kind":"a \\"b\\": c"}', "PricingCategory": "Standard",
    "PricingQuantity": "2", "PricingUnit": "Hours", "ConsumedQuantity": "2", "ConsumedUnit": "Hours",
    "ListUnitPrice": "4", "ContractedUnitPrice": "3", "RegionId": "eu-central-1", "RegionName": "Frankfurt",
    "ResourceId": "i-1", "ResourceName": "one", "ResourceType": "instance", "SubAccountId": "1",
    "SubAccountName": "dev", "SubAccountType": "Account", "Tags": '{"team": "Search", "spot": true}',
    "PricingCurrency": "USD", "PricingCurrencyEffectiveCost": "6",
    "x_SourceId": "aws", "x_ChargeId": "aws/1/1",
}  # fmt: skip
COVERED = {
    "PricingCategory": "Committed", "CommitmentDiscountId": "sp-1", "CommitmentDiscountCategory": "Spend",
    "CommitmentDiscountType": "Savings Plan", "CommitmentDiscountStatus": "Used", "CommitmentDiscountQuantity": "6",
    "CommitmentDiscountUnit": "USD",
}  # fmt: skip
TAX = {
    "ChargeCategory": "Tax", "ConsumedQuantity": None, "ConsumedUnit": None,
    **dict.fromkeys(("PricingCategory", "PricingQuantity", "PricingUnit", "ListUnitPrice", "ContractedUnitPrice")),
    **dict.fromkeys(("SkuId", "SkuPriceId", "SkuMeter", "SkuPriceDetails")),
}  # fmt: skip
BREAKS = [
    ({"BilledCost": None}, "BilledCost", "is not empty"),
    ({"BilledCost": "1,200.00"}, "BilledCost", "is a decimal number"),
    ({"ChargePeriodEnd": "2026-09-03 01:00:00"}, "ChargePeriodEnd", "is a time in ISO 8601, UTC"),
    ({"ChargePeriodEnd": "2026-09-03T00:00:00Z"}, "ChargePeriodEnd", "lies after ChargePeriodStart"),
    ({"BillingCurrency": "usd"}, "BillingCurrency", "is an ISO 4217 code"),
    ({"ChargeCategory": "Fee"}, "ChargeCategory", "is one of Usage, Purchase, Tax, Credit, Adjustment"),
    ({"ChargeClass": "Late"}, "ChargeClass", "is Correction or empty"),
    ({"ServiceCategory": "Computing"}, "ServiceCategory", "is an allowed value"),
    ({"ServiceSubcategory": "Bots"}, "ServiceSubcategory", "is one of its ServiceCategory"),
    ({"Tags": "team=Search"}, "Tags", "is a JSON object"),
    ({"Tags": '["Search"]'}, "Tags", "is a JSON object"),
    ({"Tags": '{"a": {"b": 1}}'}, "Tags", "holds no objects or lists as values"),
    ({"SkuPriceDetails": '{"Model": "m"}'}, "SkuPriceDetails", "has keys of FOCUS, or ones that begin with x_"),
    ({"SkuPriceId": None}, "SkuPriceDetails", "is empty where SkuPriceId is"),
    ({"SkuId": None}, "SkuMeter", "is empty where SkuId is"),
    ({"ListUnitPrice": "-4", "ListCost": "-8"}, "ListUnitPrice", "is not below 0"),
    ({"ListCost": "8.01"}, "ListCost", "is ListUnitPrice x PricingQuantity"),
    ({"ContractedCost": "5"}, "ContractedCost", "is ContractedUnitPrice x PricingQuantity"),
    ({"PricingQuantity": None}, "PricingQuantity", "is not empty for Usage and Purchase that is no correction"),
    ({"PricingUnit": None}, "PricingUnit", "is not empty where PricingQuantity is not"),
    ({"ConsumedUnit": None}, "ConsumedUnit", "is not empty where ConsumedQuantity is not"),
    ({"RegionName": None}, "RegionName", "is not empty where RegionId is not"),
    ({"RegionId": None}, "RegionName", "is empty where RegionId is"),
    ({"ResourceId": None}, "ResourceName", "is empty where ResourceId is"),
    ({"SubAccountName": None}, "SubAccountName", "is not empty where SubAccountId is not"),
    ({"CommitmentDiscountStatus": "Used"}, "CommitmentDiscountStatus", "is empty where CommitmentDiscountId is"),
    ({**COVERED, "CommitmentDiscountStatus": None}, "CommitmentDiscountStatus",
     "is not empty for Usage with CommitmentDiscountId"),
    ({**COVERED, "CommitmentDiscountCategory": None}, "CommitmentDiscountCategory",
     "is not empty where CommitmentDiscountId is not"),
    ({**COVERED, "CommitmentDiscountQuantity": None}, "CommitmentDiscountQuantity",
     "is not empty for Usage and Purchase with CommitmentDiscountId"),
    ({"CommitmentDiscountQuantity": "1"}, "CommitmentDiscountQuantity",
     "is empty but for Usage and Purchase with CommitmentDiscountId"),
    ({**COVERED, "CommitmentDiscountStatus": "Unused"}, "ConsumedQuantity",
     "is empty but for Usage that is not Unused"),
    ({"ConsumedQuantity": None}, "ConsumedQuantity", "is not empty for Usage that is not Unused and no correction"),
    ({**COVERED, "PricingCategory": "Standard"}, "PricingCategory", "is Committed for what a commitment covers"),
    ({"CapacityReservationId": "cr-1"}, "CapacityReservationStatus",
     "is not empty for Usage with CapacityReservationId"),
    ({**TAX, "SkuId": "S"}, "SkuId", "is empty for Tax"),
    ({"ChargeCategory": "Purchase", "ConsumedQuantity": None, "ConsumedUnit": None}, "ChargeFrequency",
     "is not Usage-Based for Purchase"),
    ({**COVERED, "ChargeCategory": "Purchase", "CommitmentDiscountStatus": None}, "EffectiveCost",
     "is 0 for the Purchase of a commitment"),
]  # fmt: skip


def csv_rows(*rows: dict[str, str | None], version: str = "1.4") -> pl.LazyFrame:
    """Rows as a CSV of that version is scanned: every column, all cells text."""
    names = [c.name for c in columns(version)] + [s.SOURCE_ID, s.CHARGE_ID]
    return pl.LazyFrame(
        [{n: {**USAGE, **row}.get(n) for n in names} for row in rows], schema=dict.fromkeys(names, pl.String)
    )


def broken(frame: pl.DataFrame) -> set[tuple[str, str]]:
    """Column and rule of each finding."""
    return set(frame.select("column", "rule").iter_rows())


@pytest.mark.parametrize("version", VERSIONS)
def test_rows_that_keep_the_rules_have_no_finding(version: str) -> None:
    """Usage, covered usage, tax and a correction that are as FOCUS wants them have no finding in any version."""
    rows = csv_rows(
        {}, COVERED, TAX, {"ChargeClass": "Correction", "PricingQuantity": None, "PricingUnit": None}, version=version
    )
    found = check(rows, version)
    assert found.schema == FINDINGS
    assert broken(found) == set()


@pytest.mark.parametrize(("change", "column", "rule"), BREAKS)
def test_a_rule_fires_on_the_row_that_breaks_it(change: dict[str, str | None], column: str, rule: str) -> None:
    """A breach is found with its rows, its first row, its cell and its charge."""
    rows = csv_rows({}, {**change, "x_ChargeId": "aws/1/2"}, {**change, "x_ChargeId": "aws/1/3"})
    found = check(rows, "1.4").filter((pl.col("column") == column) & (pl.col("rule") == rule)).to_dicts()
    level = next(c.feature_level for c in columns("1.4") if c.name == column)
    assert found == [
        {"dataset": "CostAndUsage", "source_id": "aws", "column": column, "level": level, "rule": rule, "rows": 2,
         "first_row": 2, "example": {**USAGE, **change}.get(column), "charge_id": "aws/1/2"}
    ]  # fmt: skip


def test_the_table_of_breaches_names_every_kind_of_rule() -> None:
    """Each wording of a rule is broken by some row of the table above, or is one that pairs and prices share."""
    words = {rule.text for rule in rules("1.4", dict.fromkeys((c.name for c in columns("1.4")), pl.String()))}
    named = {rule for *_, rule in BREAKS}
    shared = ("is one of ", "is empty where ", "is not empty where ", "lies after ")
    assert {text for text in words - named if not text.startswith(shared)} == set()


def test_a_source_without_a_thing_is_not_asked_for_it() -> None:
    """Columns below Mandatory are judged for the sources that fill them in some row, and not for the others."""
    empty = dict.fromkeys(("SkuPriceId", "SkuPriceDetails", "BillingAccountType"))
    rows = csv_rows({**empty, "x_SourceId": "openai"}, {**empty, "x_SourceId": "openai"})
    assert broken(check(rows, "1.4")) == set()
    some = csv_rows({**empty, "x_SourceId": "aws"}, {"x_SourceId": "aws"}, {**empty, "x_SourceId": "openai"})
    found = check(some, "1.4")
    assert set(found["source_id"]) == {"aws"}
    assert set(found["column"]) == {"SkuPriceId", "BillingAccountType"}


def test_typed_columns_are_judged_as_text_is() -> None:
    """A Parquet file's decimals and times are judged by value, and shown without zeros that say nothing."""
    kinds = {c.name: s.focus_type(c) for c in columns("1.4")}
    row = {name: USAGE.get(name) for name in kinds}
    typed = {
        name: (None if text is None else Decimal(text) if kind == s.MONEY else
               datetime.fromisoformat(text).astimezone(UTC) if kind == s.TIME else text)
        for (name, kind), text in zip(kinds.items(), row.values(), strict=True)
    }  # fmt: skip
    frame = pl.LazyFrame([typed, {**typed, "ListUnitPrice": Decimal(-4)}], schema=kinds)
    found = check(frame, "1.4").sort("rule")
    assert broken(found) == {("ListUnitPrice", "is not below 0"), ("ListCost", "is ListUnitPrice x PricingQuantity")}
    assert found["example"].to_list() == ["8", "-4"]


def test_a_missing_mandatory_column_is_a_finding() -> None:
    """A file without a mandatory column breaks that rule in every row; a conditional column may be absent."""
    found = check(csv_rows({}, {}).drop("BilledCost", "Tags", "ListCost"), "1.4")
    assert broken(found) == {("BilledCost", "the column is there"), ("ListCost", "the column is there")}
    assert found["rows"].to_list() == [2, 2]


def test_versions_differ_as_the_specification_does() -> None:
    """1.0 has 43 columns, 1.2 has 57, 1.4 has 65; what a version says otherwise holds for it."""
    assert [len(columns(v)) for v in VERSIONS] == [65, 57, 43]
    names = {v: {c.name for c in columns(v)} for v in VERSIONS}
    assert names["1.4"] - names["1.2"] >= {s.SERVICE_PROVIDER_NAME, s.HOST_PROVIDER_NAME, s.ALLOCATED_TAGS}
    assert names["1.2"] - names["1.4"] == {s.PROVIDER_NAME, s.PUBLISHER_NAME}
    assert names["1.2"] - names["1.0"] >= {s.SKU_PRICE_DETAILS, s.SERVICE_SUBCATEGORY, s.INVOICE_ID}
    virtual = {"PricingCurrency": "Tokens"}
    assert broken(check(csv_rows(virtual, {"PricingCurrency": None}, version="1.2"), "1.2")) == set()
    assert {"PricingCurrency"} == set(check(csv_rows(virtual, {"PricingCurrency": None}), "1.4")["column"])
    unused = {**COVERED, "CommitmentDiscountStatus": "Unused", "ConsumedQuantity": None, "ConsumedUnit": None}
    assert broken(check(csv_rows({}, unused), "1.4")) == set()
    assert set(check(csv_rows({}, unused, version="1.0"), "1.0")["column"]) == {"ConsumedQuantity"}


@pytest.mark.shared
def test_the_columns_of_1_0_are_those_of_a_real_bill(shared: Path) -> None:
    """An AWS bill of FOCUS 1.0 has the columns that the catalogue lists for it, and one `Id` of its own."""
    header = (shared / "focus/samples/focus_1_0_aws_inc.csv").read_text().splitlines()[0]
    assert set(header.replace('"', "").split(",")) == {c.name for c in columns("1.0")} | {"Id"}
