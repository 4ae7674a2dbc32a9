"""AWS bills: the warts of each format, what a line item says, and where discounts stand."""

import csv
import gzip
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.aws import find_parts, parse
from connectors.registry import RAW, REJECT, SOURCE_ROWS
from finops import schema as s
from finops.errors import InputError
from finops.ownership import tag_value
from tests.conftest import TODAY

Row = dict[str, str]


def line_item(**changes: str) -> Row:
    """A line item of CUR 2.0: an hour of a machine, with what the arguments change."""
    usual = {
        "bill_payer_account_id": "111122223333",
        "bill_billing_entity": "AWS",
        "bill_invoicing_entity": "Amazon Web Services, Inc.",
        "bill_billing_period_start_date": "2026-09-01T00:00:00.000Z",
        "bill_billing_period_end_date": "2026-10-01T00:00:00.000Z",
        "line_item_usage_account_id": "444455556666",
        "line_item_usage_account_name": "search-prod",
        "line_item_line_item_type": "Usage",
        "line_item_usage_start_date": "2026-09-03T10:00:00.000Z",
        "line_item_usage_end_date": "2026-09-03T11:00:00.000Z",
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_type": "BoxUsage:m5.large",
        "line_item_operation": "RunInstances",
        "line_item_currency_code": "USD",
        "line_item_usage_amount": "1",
        "line_item_unblended_cost": "1.5",
        "line_item_legal_entity": "Amazon Web Services, Inc.",
        "product": '{"product_name":"Amazon Elastic Compute Cloud"}',
        "product_region_code": "us-east-1",
        "product_sku": "ABCDEFGHIJKLMNOP",
        "pricing_public_on_demand_cost": "2",
        "pricing_unit": "Hrs",
        "resource_tags": '{"user_team":"search"}',
    }
    return usual | changes


def write_csv(path: Path, *rows: Row) -> Path:
    """The rows as CSV, gzipped where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(c for row in rows for c in row)))
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def read(path: Path) -> pl.DataFrame:
    """All parts of a bill, parsed."""
    return pl.concat([parse(part).collect() for part in find_parts(path, until=TODAY)])


def only(path: Path) -> dict[str, object]:
    """The one charge of a bill."""
    return read(path).row(0, named=True)


# -------------------------------------------------------------------------------------------------------------- warts
LEGACY = {
    "identity/LineItemId": "x", "bill/PayerAccountId": "111122223333",
    "bill/InvoicingEntity": "Amazon Web Services, Inc.",
    "bill/BillingPeriodStartDate": "2023-11-01 00:00:00", "bill/BillingPeriodEndDate": "2023-12-01 00:00:00",
    "lineItem/UsageAccountId": "0012", "lineItem/LineItemType": "Usage",
    "lineItem/UsageStartDate": "2023-11-03 10:00:00", "lineItem/UsageEndDate": "2023-11-03 11:00:00",
    "lineItem/ProductCode": "AmazonEC2", "lineItem/UsageType": "BoxUsage:m5.large", "lineItem/UsageAmount": "6.71E-8",
    "lineItem/CurrencyCode": "USD", "lineItem/UnblendedCost": "5.2E-9",
    "product/ProductName": "Amazon Elastic Compute Cloud",
    "product/instanceType": "m5.large", "product/region": "us-west-1", "pricing/publicOnDemandCost": "5.2E-9",
    "pricing/unit": "Hrs", "resourceTags/user:team": "search", "resourceTags/aws:createdBy": "",
    "costCategory/Group": "AI",
}  # fmt: skip


def test_scientific_notation_and_naive_times_are_read(tmp_path: Path) -> None:
    """Costs like 5.2E-9 keep every digit, and times without T and zone are UTC."""
    charge = only(write_csv(tmp_path / "bill.csv", LEGACY))
    assert charge[s.BILLED_COST] == Decimal("5.2E-9")
    assert charge[s.PRICING_QUANTITY] == Decimal("6.71E-8")
    assert charge[s.CHARGE_PERIOD_START] == datetime(2023, 11, 3, 10, tzinfo=UTC)
    assert charge[s.BILLING_PERIOD_END] == datetime(2023, 12, 1, tzinfo=UTC)
    assert charge[s.SUB_ACCOUNT_ID] == "0012"


def test_a_glued_header_is_one_unknown_column(tmp_path: Path) -> None:
    """A header in which AWS lost a comma shifts nothing: its column is unknown, the others are read."""
    glued = {"pricing/OfferingClasspricing/PurchaseOption": "", **LEGACY}
    assert only(write_csv(tmp_path / "bill.csv", glued)) == only(write_csv(tmp_path / "more" / "bill.csv", LEGACY))


def test_a_glued_header_that_hides_a_needed_column_is_refused(tmp_path: Path) -> None:
    """Without the column of the cost a file is refused, and the message names the column."""
    glued = {k: v for k, v in LEGACY.items() if k != "lineItem/UnblendedCost"}
    path = write_csv(tmp_path / "bill.csv", {**glued, "lineItem/UnblendedRatelineItem/UnblendedCost": "1"})
    with pytest.raises(InputError, match="line_item_unblended_cost"):
        find_parts(path, until=TODAY)


def test_snake_case_is_the_same_report(tmp_path: Path) -> None:
    """A legacy report in Athena's names gives the same costs, and its tags keep their keys."""
    names = {"resourceTags/user:team": "resource_tags_user_team", "costCategory/Group": "cost_category_group"}
    snake = {names.get(k) or _snake(k): v for k, v in LEGACY.items()}
    ours, theirs = (only(write_csv(tmp_path / n / "bill.csv", row)) for n, row in (("a", snake), ("b", LEGACY)))
    for column in (s.BILLED_COST, s.LIST_COST, s.CHARGE_PERIOD_END, s.INSTANCE_TYPE, s.REGION_ID, s.SERVICE_NAME):
        assert ours[column] == theirs[column]
    assert (ours[s.TAGS], theirs[s.TAGS]) == ('{"user_team":"search"}', '{"user:team":"search"}')


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name.replace("/", "_")).replace("__", "_")


@pytest.mark.parametrize("key", ["resourceTags/user:team", "resource_tags_user_team"])
def test_tags_of_every_spelling_name_the_owner(key: str, tmp_path: Path) -> None:
    """Whatever a report calls its tag columns, the team is found; empty tags are no tags."""
    rows = [{**LEGACY, "resourceTags/user:team": "", key: "search"}, {**LEGACY, "resourceTags/user:team": "", key: ""}]
    tags = read(write_csv(tmp_path / "bill.csv", *rows))
    assert tags.select(tag_value("team")).to_series().to_list() == ["search", None]
    assert tags[s.TAGS][1] is None


def test_tags_may_hold_anything(tmp_path: Path) -> None:
    """Quotes, commas, braces and what looks like JSON in keys and values come out as they went in."""
    tags = {"user:a b": ':null,"x":null}', "user:(c)": 'say "hi", \\ é', "user:team": ",}", "aws:empty": ""}
    row = LEGACY | {f"resourceTags/{key}": value for key, value in tags.items()}
    assert json.loads(str(only(write_csv(tmp_path / "bill.csv", row))[s.TAGS])) == {k: v for k, v in tags.items() if v}


def test_columns_that_come_and_go_are_no_matter(tmp_path: Path) -> None:
    """Two months with other sets of columns load side by side."""
    write_csv(tmp_path / "bill" / "a.csv", LEGACY)
    fewer = {k: v for k, v in LEGACY.items() if not k.startswith(("product/", "resourceTags/", "costCategory/"))}
    write_csv(tmp_path / "bill" / "b.csv", {**fewer, "resourceTags/user:app": "bot", "product/vcpu": "2"})
    charges = read(tmp_path / "bill")
    assert charges[s.SERVICE_NAME].to_list() == ["Amazon Elastic Compute Cloud", "AmazonEC2"]
    assert charges[s.TAGS].to_list() == ['{"user:team":"search"}', '{"user:app":"bot"}']


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("line_item_unblended_cost", "$1.50", 'line_item_unblended_cost is "$1.50", which is no number'),
        ("line_item_unblended_cost", "", "line_item_unblended_cost is empty"),
        ("line_item_currency_code", "dollar", "line_item_currency_code is no ISO 4217 code"),
        ("line_item_line_item_type", "", "line_item_line_item_type is empty"),
        ("line_item_usage_start_date", "soon", 'line_item_usage_start_date is "soon", which is no date'),
        ("line_item_usage_end_date", "2026-09-02", "line_item_usage_end_date lies before line_item_usage_start_date"),
        ("pricing_public_on_demand_cost", "1,5", 'pricing_public_on_demand_cost is "1,5", which is no number'),
    ],
)
def test_what_is_no_charge_is_rejected_with_its_reason(column: str, cell: str, reason: str, tmp_path: Path) -> None:
    """A row whose cell cannot be read is rejected, says why and is kept verbatim; its neighbour is not."""
    charges = read(write_csv(tmp_path / "bill.csv", line_item(**{column: cell}), line_item()))
    assert charges[REJECT].to_list() == [reason, None]
    assert json.loads(charges[RAW][0])[column] == (cell or None)


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("SavingsPlanCoveredUsage", "savings_plan_savings_plan_effective_cost"),
        ("DiscountedUsage", "reservation_effective_cost"),
    ],
)
def test_covered_usage_without_its_cost_is_not_free(kind: str, missing: str, tmp_path: Path) -> None:
    """Usage under a commitment whose amortised cost AWS does not say goes to quarantine, not to zero."""
    [reason] = read(write_csv(tmp_path / "bill.csv", line_item(line_item_line_item_type=kind)))[REJECT]
    assert reason.startswith(f"{missing} is empty")


@pytest.mark.parametrize(
    ("end", "exclusive"),
    [
        ("2026-09-03T10:59:59Z", datetime(2026, 9, 3, 11, tzinfo=UTC)),
        ("2026-09-03T10:00:00Z", datetime(2026, 9, 3, 11, tzinfo=UTC)),
        ("2026-10-01T00:00:00Z", datetime(2026, 10, 1, tzinfo=UTC)),
    ],
)
def test_charge_periods_end_exclusively(end: str, exclusive: datetime, tmp_path: Path) -> None:
    """An end in the last second becomes the hour's end, and a fee of a moment lasts an hour."""
    assert (
        only(write_csv(tmp_path / "b.csv", line_item(line_item_usage_end_date=end)))[s.CHARGE_PERIOD_END] == exclusive
    )


def test_a_seller_on_the_marketplace_is_not_the_issuer(tmp_path: Path) -> None:
    """A Marketplace charge is its seller's, hosted and invoiced by AWS; Bedrock's models are AWS's whoever resells."""
    market = {"bill_billing_entity": "AWS Marketplace", "bill_invoicing_entity": "Amazon Web Services, Inc."}
    edition = '{"product_name":"Claude Opus 5 (Amazon Bedrock Edition)"}'
    charges = read(
        write_csv(
            tmp_path / "bill.csv",
            line_item(**market, line_item_legal_entity="Red Hat, Inc."),
            line_item(**market, line_item_legal_entity="Reseller GmbH", product=edition),
        )
    )
    assert charges[s.SERVICE_PROVIDER_NAME].to_list() == ["Red Hat, Inc.", "AWS"]
    assert set(charges[s.INVOICE_ISSUER_NAME]) == {"Amazon Web Services, Inc."}
    assert set(charges[s.HOST_PROVIDER_NAME]) == {"AWS"}


SP, RI = "arn:aws:savingsplans::1:savingsplan/x", "arn:aws:ec2:us-east-1:1:reserved-instances/x"
CR = "arn:aws:ec2:us-east-1:1:capacity-reservation/cr-0b"
PLAN = {"savings_plan_savings_plan_a_r_n": SP, "savings_plan_offering_type": "ComputeSavingsPlans"}
HOURS = {"reservation_reservation_a_r_n": RI, "pricing_unit": "Hrs"}


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        (
            {"line_item_line_item_type": "SavingsPlanCoveredUsage",
             "savings_plan_savings_plan_effective_cost": "0.9", **PLAN},
            [(SP, "Spend", "Savings Plan", "ComputeSavingsPlans", "Used", Decimal("0.9"), "USD")],
        ),
        (
            {"line_item_line_item_type": "SavingsPlanRecurringFee", "savings_plan_total_commitment_to_date": "4",
             "savings_plan_used_commitment": "3", **PLAN},
            [(SP, "Spend", "Savings Plan", "ComputeSavingsPlans", None, Decimal(4), "USD"),
             (SP, "Spend", "Savings Plan", "ComputeSavingsPlans", "Unused", Decimal(1), "USD")],
        ),
        (
            {"line_item_line_item_type": "DiscountedUsage", "reservation_effective_cost": "0.9", **HOURS},
            [(RI, "Usage", "Reserved Instance", None, "Used", Decimal(1), "Hours")],
        ),
        (
            {"line_item_line_item_type": "RIFee", "line_item_usage_amount": "720", "reservation_unused_quantity": "20",
             "reservation_unused_recurring_fee": "2", **HOURS},
            [(RI, "Usage", "Reserved Instance", None, None, Decimal(720), "Hours"),
             (RI, "Usage", "Reserved Instance", None, "Unused", Decimal(20), "Hours")],
        ),
        ({**PLAN, **HOURS}, [(None,) * 7]),
    ],
)  # fmt: skip
def test_commitments_are_named_and_counted(row: Row, columns: list[tuple[object, ...]], tmp_path: Path) -> None:
    """Plans count dollars and reservations hours, bought, used and unused; on-demand usage has no commitment."""
    charges = read(write_csv(tmp_path / "bill.csv", line_item(**row)))
    found = charges.select(
        s.COMMITMENT_DISCOUNT_ID, s.COMMITMENT_DISCOUNT_CATEGORY, s.COMMITMENT_DISCOUNT_TYPE,
        s.COMMITMENT_DISCOUNT_NAME, s.COMMITMENT_DISCOUNT_STATUS, s.COMMITMENT_DISCOUNT_QUANTITY,
        s.COMMITMENT_DISCOUNT_UNIT,
    )  # fmt: skip
    assert found.rows() == columns


def test_a_line_item_says_who_what_and_where(tmp_path: Path) -> None:
    """Accounts, invoice, SKU, place and resource of a line item stand in their FOCUS columns."""
    row = line_item(
        bill_invoice_id="1234", bill_payer_account_name="Acme", line_item_resource_id="i-0abc",
        pricing_rate_code="A.B.C",
        product_location="US East (N. Virginia)", line_item_availability_zone="us-east-1b",
        product_instance_type="m5.large", line_item_line_item_description="$1.5 per hour",
        pricing_public_on_demand_rate="2", line_item_unblended_rate="1.5",
    )  # fmt: skip
    assert {k: v for k, v in only(write_csv(tmp_path / "bill.csv", row)).items() if v is not None} == {
        s.BILLING_ACCOUNT_ID: "111122223333", s.BILLING_ACCOUNT_NAME: "Acme", s.BILLING_ACCOUNT_TYPE: "Management",
        s.SUB_ACCOUNT_ID: "444455556666", s.SUB_ACCOUNT_NAME: "search-prod", s.SUB_ACCOUNT_TYPE: "Linked",
        s.INVOICE_ID: "1234", s.INVOICE_ISSUER_NAME: "Amazon Web Services, Inc.", s.SERVICE_PROVIDER_NAME: "AWS",
        s.HOST_PROVIDER_NAME: "AWS", s.SERVICE_NAME: "Amazon Elastic Compute Cloud", s.SERVICE_CATEGORY: "Compute",
        s.SERVICE_SUBCATEGORY: "Compute/Virtual Machines", s.CHARGE_DESCRIPTION: "$1.5 per hour",
        s.CHARGE_CATEGORY: "Usage", s.CHARGE_FREQUENCY: "Usage-Based", s.PRICING_CATEGORY: "Standard",
        s.BILLED_COST: Decimal("1.5"), s.EFFECTIVE_COST: Decimal("1.5"), s.CONTRACTED_COST: Decimal("1.5"),
        s.LIST_COST: Decimal(2), s.LIST_UNIT_PRICE: Decimal(2), s.CONTRACTED_UNIT_PRICE: Decimal("1.5"),
        s.CONSUMED_QUANTITY: Decimal(1), s.CONSUMED_UNIT: "Hours", s.PRICING_QUANTITY: Decimal(1),
        s.PRICING_UNIT: "Hours", s.BILLING_CURRENCY: "USD",
        s.BILLING_PERIOD_START: datetime(2026, 9, 1, tzinfo=UTC),
        s.BILLING_PERIOD_END: datetime(2026, 10, 1, tzinfo=UTC),
        s.CHARGE_PERIOD_START: datetime(2026, 9, 3, 10, tzinfo=UTC),
        s.CHARGE_PERIOD_END: datetime(2026, 9, 3, 11, tzinfo=UTC),
        s.SKU_ID: "ABCDEFGHIJKLMNOP", s.SKU_PRICE_ID: "A.B.C", s.SKU_METER: "BoxUsage:m5.large",
        s.USAGE_TYPE: "BoxUsage:m5.large", s.INSTANCE_TYPE: "m5.large", s.REGION_ID: "us-east-1",
        s.REGION_NAME: "US East (N. Virginia)", s.AVAILABILITY_ZONE: "us-east-1b", s.RESOURCE_ID: "i-0abc",
        s.RESOURCE_TYPE: "instance", s.TAGS: '{"user_team":"search"}', s.SOURCE_FILE: "bill.csv", s.SOURCE_ROW: 1,
        s.SOURCE_COLUMNS: (
            '{"x_ServiceCode":"AmazonEC2","x_Operation":"RunInstances","line_item_line_item_type":"Usage",'
            '"line_item_legal_entity":"Amazon Web Services, Inc.","bill_billing_entity":"AWS",'
            '"line_item_unblended_cost":"1.5"}'
        ),
        SOURCE_ROWS: 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"line_item_usage_type": "UnusedBox:p5.48xlarge"}, (CR, "Unused")),
        ({"line_item_usage_type": "Reservation:p5.48xlarge"}, (CR, None)),
        (
            {"line_item_resource_id": "i-1", "capacity_reservation_capacity_reservation_arn": "arn:x/cr-1",
             "capacity_reservation_capacity_reservation_status": "USED"},
            ("arn:x/cr-1", "Used"),
        ),
        ({"line_item_resource_id": "i-1"}, (None, None)),
    ],
)  # fmt: skip
def test_capacity_reservations_are_known(row: Row, expected: tuple[object, ...], tmp_path: Path) -> None:
    """The reservation behind a machine, or of an idle one, comes from AWS's columns or from the resource."""
    reserved = {"line_item_resource_id": CR} | row
    charge = only(write_csv(tmp_path / "bill.csv", line_item(**reserved)))
    assert (charge[s.CAPACITY_RESERVATION_ID], charge[s.CAPACITY_RESERVATION_STATUS]) == expected


def test_pods_add_nothing_to_their_instance(tmp_path: Path) -> None:
    """The split rows of an EC2 instance carry no cost and no hours, and keep what AWS allots to them."""
    gpu = {"product_instance_type": "p5.48xlarge", "line_item_usage_type": "BoxUsage:p5.48xlarge"}
    pod = {"line_item_operation": "EKSPod-EC2", "line_item_unblended_cost": "0", "pricing_public_on_demand_cost": "0"}
    split = {"split_line_item_parent_resource_id": "i-1", "split_line_item_split_cost": "0.9"}
    rows = [line_item(**gpu), line_item(**gpu, **pod, **split), line_item(**gpu, **pod, **split)]
    charges = read(write_csv(tmp_path / "bill.csv", *rows))
    for cost in s.COSTS.values():
        assert charges[cost].sum() == charges[cost][0]
    assert charges[s.CONSUMED_QUANTITY].to_list() == [1, None, None]
    assert json.loads(charges[s.SOURCE_COLUMNS][1])["split_line_item_split_cost"] == "0.9"


# ------------------------------------------------------------------------------------------------------------ CUR 2.0
PRODUCT = {"product_name": "Amazon SageMaker", "instance_type": "ml.g5.xlarge", "servicename": None}


def test_maps_read_the_same_from_parquet_and_csv(tmp_path: Path) -> None:
    """Map columns, lists of keys and values, and JSON text give the same charges; doubles keep their digits."""
    row = line_item(
        product=json.dumps(PRODUCT), line_item_unblended_cost="0.1", discount="{}", cost_category='{"g":"AI"}'
    )
    from_csv = read(write_csv(tmp_path / "csv" / "bill.csv.gz", row))
    frame = pl.DataFrame([row]).with_columns(
        pl.col("line_item_unblended_cost", "line_item_usage_amount").cast(pl.Float64)
    )
    times = [c for c in frame.columns if c.endswith("_date")]
    frame = frame.with_columns(
        pl.col(times).str.to_datetime(time_unit="ms", time_zone="UTC").dt.replace_time_zone(None)
    )
    texts, numbers = pl.Map(pl.String, pl.String), pl.Map(pl.String, pl.Float64)
    maps = {"product": texts, "resource_tags": texts, "cost_category": texts, "discount": numbers}
    as_map = frame.with_columns(pl.col(c).str.json_decode(kind) for c, kind in maps.items())
    as_list = as_map.with_columns(pl.col(c).map.entries() for c in maps)
    for name, written in (("map", as_map), ("list", as_list)):
        path = tmp_path / name / "bill.parquet"
        path.parent.mkdir()
        written.write_parquet(path)
        read_back = read(path).with_columns(pl.lit("bill.csv.gz").alias(s.SOURCE_FILE))
        assert read_back.equals(from_csv), name
    assert from_csv[s.BILLED_COST].to_list() == [Decimal("0.1")]
    assert from_csv[s.INSTANCE_TYPE].to_list() == ["ml.g5.xlarge"]


def test_keys_taken_out_of_the_maps_are_read(tmp_path: Path) -> None:
    """An export whose query flattens its maps loses neither service, instance, tags nor discounts."""
    nested = line_item(product=json.dumps(PRODUCT), discount='{"total_discount":-0.5}')
    flat = {k: v for k, v in nested.items() if k not in ("product", "resource_tags", "discount")} | {
        "product_product_name": "Amazon SageMaker", "product_instance_type": "ml.g5.xlarge",
        "resource_tags_user_team": "search", "discount_total_discount": "-0.5",
    }  # fmt: skip
    ours, theirs = (only(write_csv(tmp_path / n / "bill.csv", row)) for n, row in (("a", flat), ("b", nested)))
    same = [c for c in ours if c not in (s.SOURCE_COLUMNS,)]
    assert {c: ours[c] for c in same} == {c: theirs[c] for c in same}
    assert ours[s.BILLED_COST] == 1


def test_who_called_bedrock_is_the_consumer(tmp_path: Path) -> None:
    """The IAM principal of a line item is who used it."""
    arn = "arn:aws:sts::444455556666:assumed-role/chatbot/i-1"
    assert only(write_csv(tmp_path / "bill.csv", line_item(line_item_iam_principal=arn)))[s.CONSUMER_ID] == arn


# ---------------------------------------------------------------------------------------------------------- discounts
def test_one_discount_written_three_ways_counts_once(tmp_path: Path) -> None:
    """Net columns, discount rows and map of the same discount: the bill is the net, with any of them or all."""
    usage, net, noted = (
        {"line_item_unblended_cost": "10"},
        {"line_item_net_unblended_cost": "9"},
        {"discount": '{"edp_discount":-1}'},
    )
    row = {"line_item_line_item_type": "EdpDiscount", "line_item_unblended_cost": "-1"}
    bills = {
        "all": [line_item(**usage, **net, **noted), line_item(**row, line_item_net_unblended_cost="0")],
        "net, and rows left empty": [line_item(**usage, **net), line_item(**row)],
        "rows and map": [line_item(**usage, **noted), line_item(**row)],
        "rows": [line_item(**usage), line_item(**row)],
        "map": [line_item(**usage, **noted)],
        "map beside an empty total": [line_item(**usage, **noted, discount_total_discount="0.0")],
        "net column of zeros": [
            line_item(**usage, line_item_net_unblended_cost="0.0"),
            line_item(**row, line_item_net_unblended_cost="0.0"),
        ],
        "empty net column": [line_item(**usage, line_item_net_unblended_cost=""), line_item(**row)],
    }
    for name, rows in bills.items():
        charges = read(write_csv(tmp_path / name / "bill.csv", *rows))
        assert charges[s.BILLED_COST].sum() == 9, name
        assert charges[s.EFFECTIVE_COST].sum() == 9, name
        assert charges[s.CONTRACTED_COST].sum() == 9, name


def test_an_upfront_plan_is_net_without_recurring_columns(tmp_path: Path) -> None:
    """The unused part of an all-upfront plan is net although its recurring columns are empty."""
    fee = line_item(
        line_item_line_item_type="SavingsPlanRecurringFee", line_item_unblended_cost="0",
        line_item_net_unblended_cost="0", savings_plan_total_commitment_to_date="10", savings_plan_used_commitment="6",
        savings_plan_amortized_upfront_commitment_for_billing_period="10",
        savings_plan_net_amortized_upfront_commitment_for_billing_period="9",
    )  # fmt: skip
    charges = read(write_csv(tmp_path / "bill.csv", line_item(line_item_net_unblended_cost="1"), fee))
    assert charges[s.EFFECTIVE_COST].to_list() == [1, 0, Decimal("3.6")]


def test_discounts_in_another_chunk_decide_too(tmp_path: Path) -> None:
    """Where one chunk has the rows with a map and another the discount rows, the map is not taken off as well."""
    month = tmp_path / "export" / "data" / "BILLING_PERIOD=2026-09"
    write_csv(month / "export-00001.csv", line_item(line_item_unblended_cost="10", discount='{"edp_discount":-1}'))
    row = line_item(line_item_line_item_type="EdpDiscount", line_item_unblended_cost="-1")
    write_csv(month / "export-00002.csv", {k: v for k, v in row.items() if k != "discount"})
    assert read(tmp_path)[s.BILLED_COST].sum() == 9


def test_the_load_says_where_discounts_stand(tmp_path: Path) -> None:
    """Net columns and maps are said once a bill, and noted on each charge."""
    said: list[str] = []
    path = write_csv(tmp_path / "bill.csv", line_item(line_item_net_unblended_cost="1"), line_item())
    [part] = find_parts(path, until=TODAY, say=said.append)
    assert said == [
        "aws: .: net columns: discounts are in the cost of the rows they discount, discount rows count nothing"
    ]
    assert json.loads(parse(part).collect()[s.SOURCE_COLUMNS][0])["x_DiscountBasis"] == "net"


# ------------------------------------------------------------------------------------------------------ FOCUS exports
def focus_row(**changes: str) -> Row:
    """A token meter of an AWS FOCUS 1.2 export, with what the arguments change."""
    usual = {
        "BilledCost": "0.004", "EffectiveCost": "0.004", "ListCost": "0.004", "ContractedCost": "0.004",
        "BillingCurrency": "USD", "BillingAccountId": "111122223333", "SubAccountId": "444455556666",
        "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        "ChargePeriodStart": "2026-09-03T00:00:00Z", "ChargePeriodEnd": "2026-09-04T00:00:00Z",
        "ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "PricingCategory": "Standard",
        "ProviderName": "AWS", "PublisherName": "Amazon Web Services, Inc.",
        "InvoiceIssuerName": "Amazon Web Services, Inc.", "ServiceName": "Amazon Bedrock",
        "ServiceCategory": "AI and Machine Learning", "ServiceSubcategory": "AI and Machine Learning/Generative AI",
        "SkuMeter": "USE1-NovaPro-cache-read-input-token-count", "SkuPriceDetails": "",
        "PricingQuantity": "5", "PricingUnit": "1K tokens", "ConsumedQuantity": "5", "ConsumedUnit": "1K tokens",
        "Tags": '{"user:team":"search"}', "x_ServiceCode": "AmazonBedrock", "x_Operation": "InvokeModelInference",
        "x_Discounts": "",
    }  # fmt: skip
    return usual | changes


def test_focus_1_2_reads_the_usage_type_from_the_meter(tmp_path: Path) -> None:
    """A 1.2 export has no usage type column: SkuMeter is it, and its tokens are counted as tokens."""
    charge = only(write_csv(tmp_path / "bill.csv", focus_row(SkuPriceDetails='{"Region":"us-east-1"}')))
    assert charge[s.USAGE_TYPE] == "USE1-NovaPro-cache-read-input-token-count"
    assert (charge[s.CONSUMED_QUANTITY], charge[s.CONSUMED_UNIT]) == (5000, "Tokens")
    assert json.loads(str(charge[s.SKU_PRICE_DETAILS])) == {
        "Region": "us-east-1", "TokenDirection": "Input", "TokenCacheAction": "Read", "x_ServiceTier": "standard",
    }  # fmt: skip


def test_focus_1_0_reads_the_same(tmp_path: Path) -> None:
    """A 1.0 export has a usage type, and neither meter nor subcategory: both are filled."""
    absent = ("SkuMeter", "ServiceSubcategory", "SkuPriceDetails")
    row = {k: v for k, v in focus_row().items() if k not in absent} | {"x_UsageType": focus_row()["SkuMeter"]}
    ours, theirs = (only(write_csv(tmp_path / n / "bill.csv", r)) for n, r in (("a", row), ("b", focus_row())))
    assert ours == theirs


def test_a_unit_that_says_nothing_stays(tmp_path: Path) -> None:
    """Where the export leaves the unit empty the quantity is left as it is, and no token count is made up."""
    charge = only(write_csv(tmp_path / "bill.csv", focus_row(PricingUnit="", ConsumedUnit="")))
    assert (charge[s.CONSUMED_QUANTITY], charge[s.CONSUMED_UNIT]) == (5, None)


# ---------------------------------------------------------------------------------------------------------------- real
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "billed", "effective", "rows"),
    [
        ("cur_legacy_anonymous_2023-11.csv", "1.6823086974", "1.6823086974", 1281),
        ("koku_test_cur.csv", "0.082749984127434937", "0.082749984127434937", 19),
        # covered usage without its negation: nothing is billed, 0.1 an hour is amortised
        ("koku_2023-06-01.csv", "0", "0.3", 3),
        ("koku_2022-07-01-alt-columns.csv", "0", "0", 2),
    ],
)
def test_real_reports(name: str, billed: str, effective: str, rows: int, shared: Path) -> None:
    """Real reports read whole: no row is rejected, and the costs are theirs."""
    charges = read(shared / "native" / "aws" / name)
    assert len(charges) == rows
    assert charges[REJECT].null_count() == rows
    assert charges[s.BILLED_COST].sum() == Decimal(billed)
    assert charges[s.EFFECTIVE_COST].sum() == Decimal(effective)


def test_until_is_no_filter_of_a_bill(tmp_path: Path) -> None:
    """What AWS delivered is read whole, whatever the day up to which ledgers are charged."""
    path = write_csv(tmp_path / "bill.csv", line_item())
    [part] = find_parts(path, until=date(2020, 1, 1))
    assert len(parse(part).collect()) == 1
