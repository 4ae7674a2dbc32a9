"""Oracle Cloud bills: the warts of cost reports, which files are a bill, and what is refused."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.oci import find_parts, parse
from connectors.registry import RAW, REJECT
from finops import schema as s
from finops.errors import InputError
from finops.ownership import source_value, tag_value
from finops.pipeline.totals import Batch
from tests.conftest import TODAY
from tests.unit.test_gcp import write_csv

Row = dict[str, str]
USUAL = {
    "lineItem/referenceNo": "7108a1f8", "lineItem/tenantId": "ocid1.tenancy.oc1..aaaa",
    "lineItem/intervalUsageStart": "2026-09-30T23:00Z", "lineItem/intervalUsageEnd": "2026-10-01T00:00:00Z",
    "product/service": "COMPUTE", "product/compartmentId": "ocid1.compartment.oc1..bbbb",
    "product/compartmentName": "search-prod", "product/region": "us-sanjose-1", "product/availabilityDomain": "sj-1",
    "product/resourceId": "ocid1.instance.oc1.us-sanjose-1.cccc", "usage/billedQuantity": "2",
    "usage/billedQuantityOverage": "", "cost/subscriptionId": "ocid1.subscription", "cost/productSku": "B98415",
    "product/Description": "OCI - Compute - GPU - H100", "cost/unitPrice": "10", "cost/unitPriceOverage": "",
    "cost/myCost": "20", "cost/myCostOverage": "", "cost/currencyCode": "USD",
    "cost/billingUnitReadable": "1 NONE HOURS GPU", "cost/skuUnitDescription": "GPU Per Hour",
    "cost/overageFlag": "false", "lineItem/isCorrection": "false", "lineItem/backreferenceNo": "",
}  # fmt: skip
FOCUS_ROW = {
    "BilledCost": "1.5", "EffectiveCost": "1.5", "BillingCurrency": "USD", "ChargeCategory": "Usage",
    "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "ChargePeriodStart": "2026-09-03T00:00Z", "ChargePeriodEnd": "2026-09-03T01:00Z", "ServiceName": "COMPUTE",
    "oci_CompartmentName": "search-prod",
}  # fmt: skip


def read(path: Path) -> pl.DataFrame:
    """All parts of a bill, parsed."""
    return pl.concat([parse(part).collect() for part in find_parts(path, until=TODAY)])


def only(path: Path) -> dict[str, object]:
    """The one charge of a bill."""
    return read(path).row(0, named=True)


def test_my_cost_is_the_amount_and_overage_a_part_of_it(tmp_path: Path) -> None:
    """cost/myCost alone is billed; what lies above the commitment is kept beside it and added to nothing."""
    row = USUAL | {"cost/myCostOverage": "5", "cost/overageFlag": "true"}
    frame = read(write_csv(tmp_path / "a.csv", row))
    assert [frame[column][0] for column in s.COSTS.values()] == [Decimal(20)] * 4
    assert frame.select(source_value("cost/myCostOverage"))[:, 0][0] == "5"


def test_attributed_cost_is_no_cost_of_its_own(tmp_path: Path) -> None:
    """What Oracle attributes to a resource is billed elsewhere: kept, and added to nothing."""
    frame = read(write_csv(tmp_path / "a.csv", USUAL | {"cost/attributedCost": "7", "usage/attributedUsage": "3"}))
    assert [frame[column][0] for column in s.COSTS.values()] == [Decimal(20)] * 4
    assert frame.select(source_value("cost/attributedCost"))[:, 0][0] == "7"


def test_four_currencies_are_never_added(tmp_path: Path, load: Callable[..., list[Batch]]) -> None:
    """Each currency of a report has its own total, and none is converted: the report states no rate."""
    rows = [USUAL | {"cost/currencyCode": c, "cost/myCost": "2"} for c in ("USD", "EUR", "GBP", "aud", "EUR")]
    [batch] = load(write_csv(tmp_path / "a.csv", *rows), "oci")
    assert {total.currency: total.read for total in batch.billed_cost} == {
        "USD": Decimal(2), "EUR": Decimal(4), "GBP": Decimal(2), "AUD": Decimal(2),
    }  # fmt: skip


def test_case_does_not_tell_columns_apart(tmp_path: Path) -> None:
    """The documentation writes lineItem/TenantId and lineItem/iscorrection, reports another case: both are read."""
    row = {name.lower(): value for name, value in USUAL.items()} | {"lineItem/iscorrection": "true"}
    row.pop("lineitem/iscorrection")
    charge = only(write_csv(tmp_path / "a.csv", row | {"lineItem/TenantId": row.pop("lineitem/tenantid")}))
    assert (charge[s.BILLED_COST], charge[s.CHARGE_CLASS]) == (Decimal(20), "Correction")
    assert charge[s.BILLING_ACCOUNT_ID] == USUAL["lineItem/tenantId"]


def test_a_focus_file_of_the_older_version_is_lifted(tmp_path: Path) -> None:
    """Region, InvoiceIssuer and UsageQuantity are what later versions call otherwise; compartments are accounts."""
    older = {
        "Region": "eu-frankfurt-1", "InvoiceIssuer": "Oracle Deutschland", "UsageQuantity": "2",
        "UsageUnit": "OCPU Hours", "PricingCategory": "On-Demand", "ChargeFrequency": "OneTime",
        "SubAccountId": "ocid1.tenancy.oc1..aaaa",
        "oci_CompartmentId": "ocid1.compartment.oc1..bbbb", "ChargeDescription": "Standard - E4",
        "Tags": '{"team":"a"}',
    }  # fmt: skip
    charge = only(write_csv(tmp_path / "a.csv", FOCUS_ROW | older))
    assert [charge[c] for c in (s.REGION_ID, s.INVOICE_ISSUER_NAME, s.CONSUMED_UNIT, s.PRICING_CATEGORY)] == [
        "eu-frankfurt-1", "Oracle Deutschland", "OCPU Hours", "Standard",
    ]  # fmt: skip
    assert (charge[s.CONSUMED_QUANTITY], charge[s.CHARGE_FREQUENCY]) == (Decimal(2), "One-Time")
    assert (charge[s.SUB_ACCOUNT_ID], charge[s.SUB_ACCOUNT_NAME]) == ("ocid1.compartment.oc1..bbbb", "search-prod")
    assert (charge[s.CONTRACTED_COST], charge[s.LIST_COST]) == (Decimal("1.5"), Decimal("1.5"))


def test_amounts_keep_every_decimal(tmp_path: Path) -> None:
    """Scientific notation and amounts of 1e-18 are not rounded away."""
    rows = (USUAL | {"cost/myCost": "6.266090E-12"}, USUAL | {"cost/myCost": "0.000000000000000001"})
    path = write_csv(tmp_path / "a.csv.gz", *rows)
    assert read(path)[s.BILLED_COST].to_list() == [Decimal("6.266090E-12"), Decimal("1e-18")]


def test_the_month_is_that_of_the_interval(tmp_path: Path) -> None:
    """Times without seconds are read; the last hour of September is billed in September."""
    charge = only(write_csv(tmp_path / "a.csv", USUAL))
    assert charge[s.CHARGE_PERIOD_START] == datetime(2026, 9, 30, 23, tzinfo=UTC)
    assert charge[s.BILLING_PERIOD_START] == datetime(2026, 9, 1, tzinfo=UTC)
    assert charge[s.BILLING_PERIOD_END] == charge[s.CHARGE_PERIOD_END] == datetime(2026, 10, 1, tzinfo=UTC)


def test_a_correction_stays_beside_what_it_corrects(tmp_path: Path) -> None:
    """Both rows are kept; the correction has its class, its sign and the number of the row that it corrects."""
    fixed = {"lineItem/isCorrection": "true", "lineItem/backreferenceNo": "7108a1f8", "cost/myCost": "-20"}
    frame = read(write_csv(tmp_path / "a.csv", USUAL, USUAL | fixed))
    assert frame[s.CHARGE_CLASS].to_list() == [None, "Correction"]
    assert frame[s.BILLED_COST].sum() == 0
    assert frame.select(source_value("lineItem/backreferenceNo"))[:, 0].to_list() == [None, "7108a1f8"]


def test_tags_keep_namespace_and_key(tmp_path: Path) -> None:
    """Each tags/ column is a tag, a backslash in its name is kept, and an empty one is none."""
    tags = {"tags/Acme.team": "search", "tags/DevRel\\lab.release": '1.0 "a\\b"', "tags/free": ""}
    charge = read(write_csv(tmp_path / "a.csv", USUAL | tags, USUAL))
    assert json.loads(charge[s.TAGS][0]) == {"Acme.team": "search", "DevRel\\lab.release": '1.0 "a\\b"'}
    assert charge[s.TAGS][1] is None
    assert charge.select(tag_value("Acme.team"))[:, 0][0] == "search"


@pytest.mark.parametrize(
    ("readable", "described", "unit"),
    [
        ("1 NONE HOURS INSTANCE", "Hours", "Hours"),
        ("1 NONE HOURS GPU", "GPU Per Hour", "GPU-Hours"),
        ("1 NONE HOURS OCPU", "OCPU Per Hour", "OCPU-Hours"),
        ("1 GiB HOURS MEMORY", "GB Hours", "GiB-Hours"),
        ("1 TiB MONTHS STORAGE_SIZE", "TB", "TiB-Months"),
        ("1000000 NONE NONE DATAPOINTS", "Million Datapoints", "1000000 Datapoints"),
        ("", "GPU Per Hour", "GPU-Hours"),
        ("", "Transactions", "Transactions"),
        ("", "", None),
    ],
)
def test_units_are_readable(readable: str, described: str, unit: str | None, tmp_path: Path) -> None:
    """The billing unit in words."""
    row = USUAL | {"cost/billingUnitReadable": readable, "cost/skuUnitDescription": described}
    charge = only(write_csv(tmp_path / "a.csv", row))
    assert charge[s.PRICING_UNIT] == charge[s.CONSUMED_UNIT] == unit


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cost/myCost": "$20"}, 'cost/myCost is "$20", which is no number'),
        ({"cost/myCost": ""}, "cost/myCost is empty"),
        ({"lineItem/intervalUsageStart": "now"}, 'lineItem/intervalUsageStart is "now", which is no date'),
        ({"cost/currencyCode": "$"}, "cost/currencyCode is no ISO 4217 code"),
        (
            {"lineItem/intervalUsageEnd": "2026-09-30T22:00Z"},
            "lineItem/intervalUsageEnd lies before lineItem/intervalUsageStart",
        ),
    ],
)
def test_a_row_that_is_no_charge_says_why(change: Row, reason: str, tmp_path: Path) -> None:
    """The row is refused with the reason and kept verbatim."""
    charge = only(write_csv(tmp_path / "a.csv", USUAL | change))
    assert charge[REJECT] == reason
    assert json.loads(str(charge[RAW])) == {name: value or None for name, value in {**USUAL, **change}.items()}


def test_usage_reports_are_left_out_and_named(tmp_path: Path) -> None:
    """A usage report beside the cost report holds no cost; alone it is refused."""
    usage = {"lineItem/tenantId": "x", "usage/consumedQuantity": "1", "usage/billedQuantity": "1"}
    write_csv(tmp_path / "usage" / "u.csv", usage)
    write_csv(tmp_path / "cost.csv", USUAL)
    said: list[str] = []
    assert [part.name for part in find_parts(tmp_path, until=TODAY, say=said.append)] == ["cost.csv"]
    assert "usage/u.csv" in said[0]
    with pytest.raises(InputError, match="usage reports alone"):
        find_parts(tmp_path / "usage", until=TODAY)


def test_cost_reports_beside_focus_files_are_refused(tmp_path: Path) -> None:
    """Both hold the whole bill: together every dollar would count twice."""
    write_csv(tmp_path / "cost.csv", USUAL)
    path = write_csv(tmp_path / "FOCUS" / "focus.csv", FOCUS_ROW)
    with pytest.raises(InputError, match="FOCUS files"):
        find_parts(tmp_path, until=TODAY)
    charge = only(path)
    assert (charge[s.SERVICE_PROVIDER_NAME], charge[s.BILLED_COST]) == ("Oracle", Decimal("1.5"))


@pytest.mark.shared
def test_a_real_cost_report_sums_to_its_total(shared: Path) -> None:
    """The public sample, to the last decimal."""
    frame = read(shared / "native" / "oci" / "reports_cost-csv_0000000030000269.csv")
    assert frame[s.BILLED_COST].sum() == Decimal("2.523589325400648027")
    assert frame[REJECT].null_count() == len(frame) == 506
    assert frame[s.TAGS].drop_nulls().str.contains("redbull", literal=True).sum() == 6
