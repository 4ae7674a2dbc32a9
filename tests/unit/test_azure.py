"""Azure bills: the warts of each dialect, actual and amortised combined, and which files of a folder make up a bill."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.azure import find_parts, parse
from connectors.azure.units import Unit, unit
from connectors.registry import RAW, REJECT
from finops import schema as s
from finops.errors import InputError
from finops.ownership import tag_value
from finops.pipeline.totals import Batch
from tests.conftest import TODAY

Row = dict[str, str]
NATIVE = Path("/work/shared/data/native/azure")
RESERVATION = "/providers/Microsoft.Capacity/reservationOrders/a/reservations/r"
PLAN = "/providers/Microsoft.BillingBenefits/savingsPlanOrders/s/savingsPlans/p"


def details(**changes: str) -> Row:
    """A row of cost details of an Enterprise Agreement: a day of a machine, with what the arguments change."""
    usual = {
        "BillingAccountId": "8611537", "BillingAccountName": "Acme", "BillingPeriodStartDate": "09/01/2026",
        "BillingPeriodEndDate": "09/30/2026", "SubscriptionId": "5caaa5a3-2b66-438e-8ab4-bce37d518c5d",
        "SubscriptionName": "search-prod", "Date": "09/04/2026", "Product": "Virtual Machines D2 v3",
        "MeterCategory": "Virtual Machines", "MeterSubCategory": "Dv3 Series", "MeterName": "D2 v3/D2s v3",
        "MeterRegion": "US East", "UnitOfMeasure": "1 Hour", "Quantity": "24", "UnitPrice": "0.11",
        "PayGPrice": "0.12", "Cost": "2.64", "BillingCurrency": "USD", "ResourceLocation": "EastUS",
        "ResourceId": "/subscriptions/5caaa5a3/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm1",
        "Tags": '"team": "search"', "AdditionalInfo": "", "ChargeType": "Usage", "PricingModel": "OnDemand",
        "Frequency": "UsageBased", "PublisherType": "Azure", "PublisherName": "Microsoft", "benefitId": "",
    }  # fmt: skip
    return usual | changes


PURCHASE = details(
    ChargeType="Purchase", PricingModel="Reservation", Frequency="OneTime", Cost="100", Quantity="1",
    benefitId=RESERVATION,
)  # fmt: skip
USED = details(PricingModel="Reservation", Cost="6", benefitId=RESERVATION)
UNUSED = details(ChargeType="UnusedReservation", PricingModel="Reservation", Cost="4", benefitId=RESERVATION)
ACTUAL = (details(), details(PricingModel="Reservation", Cost="0", benefitId=RESERVATION), PURCHASE)
AMORTIZED = (details(), USED, UNUSED)

FOCUS = {
    "BilledCost": "2.64", "EffectiveCost": "2.64", "ContractedCost": "2.64", "ListCost": "2.88",
    "BillingAccountId": "/providers/Microsoft.Billing/billingAccounts/1/billingProfiles/p", "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "ChargePeriodStart": "2026-09-04T00:00:00Z", "ChargePeriodEnd": "2026-09-05T00:00:00Z",
    "ChargeCategory": "Usage", "ChargeClass": "", "CommitmentDiscountStatus": "", "PricingQuantity": "24",
    "ProviderName": "Microsoft", "PublisherName": "Microsoft", "ServiceCategory": "Compute",
    "ServiceName": "Virtual Machines", "SubAccountId": "/subscriptions/5caaa5a3-2b66-438e-8ab4-bce37d518c5d",
    "Tags": '{"team":"search"}', "x_SkuMeterCategory": "Virtual Machines", "x_SkuMeterName": "D2 v3/D2s v3",
    "x_InvoiceId": "G1", "x_PricingCurrency": "USD", "x_PublisherCategory": "Cloud Provider",
    "x_SkuOrderName": "", "SkuPriceDetails": '{"x_ServiceType":"Standard_D2s_v3"}',
}  # fmt: skip
"""A row of Azure's FOCUS 1.0 export."""


def write_csv(path: Path, *rows: Row, mark: bool = False) -> Path:
    """The rows as CSV, gzipped where the name says so; mark: with a byte-order mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(c for row in rows for c in row)))
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode("utf-8-sig" if mark else "utf-8")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def manifest(path: Path, *blobs: str, submitted: str = "2026-10-02T04:00:00Z", kind: str = "ActualCost") -> None:
    """A manifest of a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "manifestVersion": "2024-04-01", "blobCount": len(blobs), "exportConfig": {"type": kind},
        "runInfo": {"submittedTime": submitted}, "blobs": [{"blobName": blob} for blob in blobs],
    }  # fmt: skip
    path.write_text(json.dumps(content))


def read(path: Path, say: Callable[[str], None] = lambda _: None, **options: str) -> pl.DataFrame:
    """All parts of a bill, parsed."""
    return pl.concat([parse(part).collect() for part in find_parts(path, until=TODAY, options=options, say=say)])


def only(path: Path, **options: str) -> dict[str, object]:
    """The one charge of a bill."""
    frame = read(path, lambda _: None, **options)
    assert len(frame) == 1
    return frame.row(0, named=True)


def one(tmp_path: Path, **changes: str) -> dict[str, object]:
    """The one charge of a row."""
    return only(write_csv(tmp_path / "bill.csv", details(**changes)))


def sums(frame: pl.DataFrame) -> tuple[Decimal, Decimal]:
    billed, effective = frame.select(pl.col(s.BILLED_COST, s.EFFECTIVE_COST).sum()).row(0)
    return billed, effective


# ------------------------------------------------------------------------------------------------------------ dialects
@pytest.mark.parametrize("spell", [str, str.lower, lambda n: n[0].lower() + n[1:], lambda n: f"Spalte für {n} ({n})"])
@pytest.mark.parametrize("mark", [False, True])
def test_every_dialect_is_the_same_bill(spell: Callable[[str], str], mark: bool, tmp_path: Path) -> None:
    """PascalCase, lower case, camelCase and the portal's translations, with a byte-order mark or not, read the same."""
    row = {spell(name): value for name, value in details().items()}
    plain, other = read(write_csv(tmp_path / "a.csv", details())), read(write_csv(tmp_path / "b.csv", row, mark=mark))
    assert plain.drop(s.SOURCE_FILE).equals(other.drop(s.SOURCE_FILE))


@pytest.mark.parametrize("day", ["9/4/2026", "09/04/2026", "2026-09-04", "2026-09-04 00:00:00", "2026-09-04T00:00:00Z"])
def test_dates_are_read_in_every_way_that_azure_writes_them(day: str, tmp_path: Path) -> None:
    """M/D/YYYY, MM/DD/YYYY and ISO name the same day, which ends a day later."""
    charge = one(tmp_path, Date=day)
    assert charge[s.CHARGE_PERIOD_START] == datetime(2026, 9, 4, tzinfo=UTC)
    assert charge[s.CHARGE_PERIOD_END] == datetime(2026, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("09/01/2026", "09/30/2026", datetime(2026, 10, 1, tzinfo=UTC)),
        ("2026-09-01", "2026-10-01", datetime(2026, 10, 1, tzinfo=UTC)),
        ("09/01/2026", "", datetime(2026, 10, 1, tzinfo=UTC)),
        ("", "", datetime(2026, 10, 1, tzinfo=UTC)),
        ("08/15/2026", "09/14/2026", datetime(2026, 9, 15, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_billing_period_is_exclusive(start: str, end: str, expected: datetime, tmp_path: Path) -> None:
    """BillingPeriodEnd is the day after Azure's last day; a period that is not told is the month of the charge."""
    charge = one(tmp_path, BillingPeriodStartDate=start, BillingPeriodEndDate=end)
    assert charge[s.BILLING_PERIOD_END] == expected


@pytest.mark.parametrize("tags", ['"team": "search"', '{"team":"search"}', '{ "Team" : "search", "x": "{}" }'])
def test_tags_are_read_with_and_without_braces(tags: str, tmp_path: Path) -> None:
    """Tags become one JSON object, and their owner is known."""
    frame = read(write_csv(tmp_path / "bill.csv", details(Tags=tags)))
    assert isinstance(json.loads(frame[s.TAGS][0]), dict)
    assert frame.select(tag_value("team")).item() == "search"


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ("5.64902E-05", "0.0000564902"), ("-1e-7", "-0.0000001"),
        ("0.0000000072922557592391990000", "0.000000007292255759"), ("0.000000144000000000000000", "0.000000144"),
    ],
)  # fmt: skip
def test_costs_keep_their_decimals(cost: str, expected: str, tmp_path: Path) -> None:
    """Scientific notation is read, and beyond 18 decimals a cost is rounded half-even."""
    assert one(tmp_path, Cost=cost)[s.BILLED_COST] == Decimal(expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"BillingCurrency": "MC"}, 'BillingCurrency is "MC", which is no ISO 4217 code'),
        ({"Cost": "$10,000.00"}, 'cost is "$10,000.00", which is no number'),
        ({"Cost": ""}, "cost is empty"),
        ({"Date": "soon"}, 'date is "soon", which is no date'),
        ({"Quantity": "many"}, 'quantity is "many", which is no number'),
        ({"BillingPeriodEndDate": "08/01/2026"}, "BillingPeriodEndDate lies before BillingPeriodStartDate"),
    ],
)
def test_a_row_that_is_no_charge_says_why(changes: Row, reason: str, tmp_path: Path) -> None:
    """A row that cannot be summed or dated is rejected with its reason and kept as it was written."""
    charge = one(tmp_path, **changes)
    assert charge[REJECT] == reason
    assert json.loads(str(charge[RAW])).items() >= {name: value or None for name, value in changes.items()}.items()


def test_a_file_without_currency_needs_one(tmp_path: Path) -> None:
    """Where no column names the currency the file is refused, unless the source's options do."""
    row = {name: value for name, value in details().items() if name != "BillingCurrency"}
    path = write_csv(tmp_path / "bill.csv", row)
    with pytest.raises(InputError, match="no column for currency"):
        read(path)
    assert only(path, currency="EUR")[s.BILLING_CURRENCY] == "EUR"


def test_the_agreement_names_the_account(tmp_path: Path) -> None:
    """An Enterprise Agreement bills the account, a Customer Agreement the profile, pay-as-you-go the subscription."""
    profile = {"BillingProfileId": "profile"}
    assert one(tmp_path, **profile)[s.BILLING_ACCOUNT_ID] == "8611537"
    mca = one(tmp_path, **profile, pricingCurrency="USD")
    assert (mca[s.BILLING_ACCOUNT_ID], mca[s.BILLING_ACCOUNT_TYPE]) == ("profile", "Billing Profile")
    assert one(tmp_path, BillingAccountId="")[s.BILLING_ACCOUNT_TYPE] == "Subscription"


@pytest.mark.parametrize("place", ["EastUS2", "eastus2", "US East 2", "East US 2"])
def test_regions_have_one_name(place: str, tmp_path: Path) -> None:
    """Locations and meter regions, however spelled, are one region."""
    assert one(tmp_path, ResourceLocation=place)[s.REGION_ID] == "eastus2"


@pytest.mark.parametrize(
    ("text", "block", "name"),
    [
        ("1 Hour", 1, "Hours"), ("100 Hours", 100, "Hours"), ("10K", 10_000, "Units"), ("1M", 1_000_000, "Units"),
        ("1/Month", 1, "Units/Month"), ("1 /Month", 1, "Units/Month"), ("1 GB/Month", 1, "GB/Month"),
        ("100000000", 100_000_000, "Units"), ("0 Unassigned", 1, "Units"), ("1 KB", 1, "KB"), ("Hours", 1, "Hours"),
        ("10000s", 10_000, "s"), ("1K Tokens", 1_000, "Tokens"),
    ],
)  # fmt: skip
def test_units_of_measure_are_blocks(text: str, block: int, name: str) -> None:
    """A UnitOfMeasure is a number of something."""
    assert unit(text) == Unit(Decimal(block), name)


def test_additional_info_is_kept_as_price_details(tmp_path: Path) -> None:
    """AdditionalInfo becomes SkuPriceDetails with prefixed keys, and names the machine and its capacity reservation."""
    info = '"ServiceType": "Standard_D2s_v3", "VCPUs": 2, "VMCapacityReservationId": "/x/cr"'
    charge = one(tmp_path, AdditionalInfo=info)
    assert json.loads(str(charge[s.SKU_PRICE_DETAILS])) == {
        "x_ServiceType": "Standard_D2s_v3", "x_VCPUs": 2, "x_VMCapacityReservationId": "/x/cr",
    }  # fmt: skip
    assert charge[s.INSTANCE_TYPE] == "Standard_D2s_v3"
    assert (charge[s.CAPACITY_RESERVATION_ID], charge[s.CAPACITY_RESERVATION_STATUS]) == ("/x/cr", "Used")


# --------------------------------------------------------------------------------------------------------------- FOCUS
def test_focus_1_0_is_lifted(tmp_path: Path) -> None:
    """Meter, invoice and currency come from the x_ columns of FOCUS 1.0, and the x_ columns are kept."""
    charge = only(write_csv(tmp_path / "focus.csv", FOCUS))
    assert (charge[s.SKU_METER], charge[s.INVOICE_ID], charge[s.PRICING_CURRENCY]) == ("D2 v3/D2s v3", "G1", "USD")
    assert (charge[s.SERVICE_SUBCATEGORY], charge[s.HOST_PROVIDER_NAME]) == ("Compute/Virtual Machines", "Microsoft")
    assert charge[s.INSTANCE_TYPE] == "Standard_D2s_v3"
    assert json.loads(str(charge[s.SOURCE_COLUMNS]))["x_SkuMeterCategory"] == "Virtual Machines"


def test_focus_1_2_keeps_its_own(tmp_path: Path) -> None:
    """Meter and subcategory of FOCUS 1.2 stay, the subcategory under its category."""
    row = {**FOCUS, "SkuMeter": "Own", "ServiceSubcategory": "Containers"}
    charge = only(write_csv(tmp_path / "focus.csv", row))
    assert (charge[s.SKU_METER], charge[s.SERVICE_SUBCATEGORY]) == ("Own", "Compute/Containers")


def test_prices_that_azure_leaves_out_are_no_discount(tmp_path: Path) -> None:
    """List and contracted cost of 0 beside an effective cost are replaced; those of unused commitments stay."""
    zero = {**FOCUS, "ContractedCost": "0", "ListCost": "0"}
    charge = only(write_csv(tmp_path / "a.csv", zero))
    assert (charge[s.CONTRACTED_COST], charge[s.LIST_COST]) == (Decimal("2.64"), Decimal("2.64"))
    unused = only(write_csv(tmp_path / "b.csv", {**zero, "CommitmentDiscountStatus": "Unused"}))
    assert (unused[s.CONTRACTED_COST], unused[s.LIST_COST]) == (0, 0)


def test_marketplace_charges_have_their_seller(tmp_path: Path) -> None:
    """A vendor's charge is provided by its publisher on Microsoft's platform; a service without a name gets one."""
    row = {**FOCUS, "PublisherName": "Confluent", "x_PublisherCategory": "Vendor", "ServiceName": "",
           "x_SkuMeterCategory": "", "x_SkuOrderName": "Confluent Cloud"}  # fmt: skip
    charge = only(write_csv(tmp_path / "focus.csv", row))
    assert (charge[s.SERVICE_PROVIDER_NAME], charge[s.HOST_PROVIDER_NAME]) == ("Confluent", "Microsoft")
    assert charge[s.SERVICE_NAME] == "Confluent Cloud"
    assert only(write_csv(tmp_path / "b.csv", {**FOCUS, "PublisherName": ""}))[s.SERVICE_PROVIDER_NAME] == "Microsoft"


# ------------------------------------------------------------------------------------------------- actual and amortised
def test_actual_and_amortised_are_one_bill(tmp_path: Path) -> None:
    """Both views together are every amortised row and the actual purchases: nothing counts twice."""
    folder = tmp_path / "bill"
    write_csv(folder / "actual.csv", *ACTUAL)
    write_csv(folder / "amortized.csv", *AMORTIZED)
    said: list[str] = []
    frame = read(folder, said.append)
    assert sums(frame) == (Decimal("102.64"), Decimal("12.64"))
    assert len(frame) == 4
    assert len(said) == 1
    assert "only purchases and refunds of commitments are read for 2026-09" in said[0]


@pytest.mark.parametrize(
    ("rows", "expected", "words"),
    [
        (ACTUAL, (Decimal("102.64"), Decimal("2.64")), "EffectiveCost lacks what commitments amortise"),
        (AMORTIZED, (Decimal("2.64"), Decimal("12.64")), "BilledCost lacks what commitments cost"),
    ],
)
def test_one_view_alone_is_read_as_it_is(
    rows: tuple[Row, ...], expected: tuple[Decimal, Decimal], words: str, tmp_path: Path
) -> None:
    """A lone view keeps all its rows, and the load says what it lacks."""
    said: list[str] = []
    assert sums(read(write_csv(tmp_path / "export.csv", *rows), said.append)) == expected
    assert len(said) == 1
    assert words in said[0]


def test_views_are_combined_month_by_month(tmp_path: Path) -> None:
    """A month that is there in the actual view alone keeps all its actual rows."""
    october = {"Date": "10/04/2026", "BillingPeriodStartDate": "10/01/2026", "BillingPeriodEndDate": "10/31/2026"}
    write_csv(tmp_path / "bill" / "actual.csv", *ACTUAL, details(**october, Cost="7"))
    write_csv(tmp_path / "bill" / "amortized.csv", *AMORTIZED)
    assert sums(read(tmp_path / "bill")) == (Decimal("109.64"), Decimal("19.64"))


def test_another_subscription_is_another_bill(tmp_path: Path) -> None:
    """The actual rows of a subscription whose amortised rows are not there are kept."""
    write_csv(tmp_path / "bill" / "actual.csv", *ACTUAL, details(SubscriptionId="other", Cost="7"))
    write_csv(tmp_path / "bill" / "amortized.csv", *AMORTIZED)
    assert sums(read(tmp_path / "bill")) == (Decimal("109.64"), Decimal("19.64"))


def test_a_chunk_without_commitments_is_of_its_export(tmp_path: Path) -> None:
    """The view is the export's: a chunk of actual cost with nothing but usage is not added to the amortised view."""
    month = Path("20260901-20260930")
    write_csv(tmp_path / "b" / "one" / month / "part_0_0001.csv", PURCHASE)
    write_csv(tmp_path / "b" / "one" / month / "part_1_0001.csv", details())
    write_csv(tmp_path / "b" / "two" / month / "part_0_0001.csv", *AMORTIZED)
    assert sums(read(tmp_path / "b")) == (Decimal("102.64"), Decimal("12.64"))


def test_the_manifest_tells_the_view(tmp_path: Path) -> None:
    """Exports whose rows are the same in both views are told apart by their manifests, and counted once."""
    for export, kind in (("one", "ActualCost"), ("two", "AmortizedCost")):
        run = tmp_path / "b" / export / "20260901-20260930" / "run"
        write_csv(run / "part_0_0001.csv", details())
        manifest(run / "manifest.json", f"x/{export}/20260901-20260930/run/part_0_0001.csv", kind=kind)
    assert sums(read(tmp_path / "b")) == (Decimal("2.64"), Decimal("2.64"))


def test_a_month_without_commitments_is_of_its_export(tmp_path: Path) -> None:
    """An export's view is that of all its months: one whose rows are the same in both views is not counted twice."""
    october = {"Date": "10/04/2026", "BillingPeriodStartDate": "10/01/2026", "BillingPeriodEndDate": "10/31/2026"}
    for export, rows in (("one", ACTUAL), ("two", AMORTIZED)):
        write_csv(tmp_path / "b" / export / "20260901-20260930" / "part_0_0001.csv", *rows)
        write_csv(tmp_path / "b" / export / "20261001-20261031" / "part_0_0001.csv", details(**october))
    assert sums(read(tmp_path / "b")) == (Decimal("105.28"), Decimal("15.28"))


def test_two_exports_of_one_view_are_refused(tmp_path: Path) -> None:
    """A month that two exports hold in the same view is one bill twice."""
    for export in ("one", "two"):
        write_csv(tmp_path / "b" / export / "20260901-20260930" / "part_0_0001.csv", details())
    with pytest.raises(InputError, match="both hold 2026-09 of the same subscription"):
        read(tmp_path / "b")


def test_parquet_is_read_as_csv_is(tmp_path: Path) -> None:
    """Typed columns of a Parquet export become the same charges."""
    plain = read(write_csv(tmp_path / "a.csv", details()))
    frame = pl.DataFrame([details()]).with_columns(
        pl.col("Quantity", "UnitPrice", "PayGPrice").cast(pl.Float64),
        pl.col("Cost").cast(pl.Decimal(38, 24)),
        pl.col("Date").str.to_date("%m/%d/%Y"),
        pl.col("^BillingPeriod.*Date$").str.to_datetime("%m/%d/%Y"),
        pl.lit(None).alias("benefitId"),
    )
    frame.write_parquet(tmp_path / "b.parquet")
    assert plain.drop(s.SOURCE_FILE).equals(read(tmp_path / "b.parquet").drop(s.SOURCE_FILE))


def test_a_bill_as_focus_and_as_details_is_refused(tmp_path: Path) -> None:
    """A month that is there as FOCUS and as cost details is one bill twice."""
    write_csv(tmp_path / "bill" / "focus.csv", FOCUS)
    write_csv(tmp_path / "bill" / "actual.csv", details())
    with pytest.raises(InputError, match="as a FOCUS export and as cost details"):
        read(tmp_path / "bill")


def test_the_amortised_view_may_come_later(tmp_path: Path, load: Callable[..., list[Batch]]) -> None:
    """A month that was loaded from actual cost is corrected when its amortised view is there too."""
    folder = tmp_path / "bill"
    write_csv(folder / "actual.csv", *ACTUAL)
    load(folder, "azure")
    write_csv(folder / "amortized.csv", *AMORTIZED)
    batches = load(folder, "azure")
    assert sum(t.stored for b in batches for t in b.billed_cost) == Decimal("102.64")
    assert sum(t.stored for b in batches for t in b.effective_cost) == Decimal("12.64")


# ---------------------------------------------------------------------------------------------------------------- runs
def test_the_newest_run_counts(tmp_path: Path) -> None:
    """Of the runs of a month the one submitted last is the bill; its parts are named without the run."""
    month = tmp_path / "b" / "export" / "20260901-20260930"
    for run, cost, submitted in (("z", "1", "2026-09-20T04:00:00Z"), ("a", "2", "2026-10-02T04:00:00Z")):
        write_csv(month / run / "part_0_0001.csv.gz", details(Cost=cost))
        manifest(month / run / "manifest.json", f"dir/export/20260901-20260930/{run}/part_0_0001.csv.gz",
                 submitted=submitted)  # fmt: skip
    said: list[str] = []
    [part] = find_parts(tmp_path / "b", until=TODAY, say=said.append)
    assert part.name == "export/20260901-20260930/part_0_0001.csv.gz"
    assert parse(part).collect()[s.BILLED_COST].to_list() == [Decimal(2)]
    assert "left out of export/20260901-20260930" in said[0]


def test_only_listed_blobs_are_read(tmp_path: Path) -> None:
    """A file that the manifest does not list is no part of the run."""
    run = tmp_path / "b" / "export" / "20260901-20260930" / "run"
    write_csv(run / "part_0_0001.csv", details())
    write_csv(run / "part_1_0001.csv", details())
    manifest(run / "manifest.json", "part_0_0001.csv")
    assert len(read(tmp_path / "b")) == 1


@pytest.mark.parametrize("content", ["{", "[]", '{"blobs":[{}]}', '{"blobs":[{"blobName":"part_9.csv"}]}'])
def test_a_run_that_is_not_whole_is_refused(content: str, tmp_path: Path) -> None:
    """A manifest that is damaged, or lists a file that is not there, refuses the month."""
    run = tmp_path / "b" / "export" / "20260901-20260930" / "run"
    write_csv(run / "part_0_0001.csv", details())
    (run / "manifest.json").write_text(content)
    with pytest.raises(InputError):
        read(tmp_path / "b")


@pytest.mark.parametrize(
    "files",
    [
        ("run1/part_0.csv", "run2/part_0.csv"),
        ("e_a243c6f2-199f-4074-9a2c-40e671cf1584.csv", "e_b243c6f2-199f-4074-9a2c-40e671cf1584.csv"),
    ],
)
def test_runs_without_a_manifest_are_not_added(files: tuple[str, str], tmp_path: Path) -> None:
    """Two runs of a month beside each other, in folders or by name, are refused: they are the same month twice."""
    for file in files:
        write_csv(tmp_path / "b" / "export" / "20260901-20260930" / file, details())
    with pytest.raises(InputError, match="2 runs"):
        read(tmp_path / "b")


# ------------------------------------------------------------------------------------------------------------- samples
@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "rows", "billed", "effective", "rejected"),
    [
        ("ea_export_anonymous.csv", 27, "1.26136926505726", "1.26136926505726", 0),
        ("ftk_EA_ActualCost_Small.csv", 11, "8.545007786741936800", "5.295007786741936800", 0),
        ("ftk_EA_AmortizedCost_Small.csv", 28, "15.797780136168644627", "16.296932136636644627", 0),
        ("koku_camel_azure_version_2.csv", 4, "0.0000262412", "0.0000262412", 0),
        ("koku_azure_version_2.csv", 5, "19.998413754", "19.998413754", 5),
        ("koku_costreport_a243c6f2-199f-4074-9a2c-40e671cf1584.csv", 3, "0.00011016", "0.00011016", 0),
        ("opencost_headersets_Enterprise.csv", 1, "0", "0", 0),
        ("opencost_headersets_EnterpriseCamel.csv", 1, "0.012", "0.012", 0),
        ("opencost_headersets_PayAsYouGo.csv", 1, "0.075", "0.075", 0),
        ("opencost_headersets_YA.csv", 1, "0.075", "0.075", 0),
        ("opencost_headersets_German.csv", 1, "0.075", "0.075", 0),
        ("opencost_headersets_BOM.csv", 1, "0", "0", 1),
        ("opencost_values_MissingBrackets.csv", 1, "4", "4", 0),
        ("opencost_values_VirtualMachine.csv", 1, "4", "4", 0),
        ("opencost_values_Template.csv", 87, "16.393506212224391", "16.393506212224391", 0),
    ],
)
def test_real_exports_sum_to_their_control_totals(
    file: str, rows: int, billed: str, effective: str, rejected: int, tmp_path: Path
) -> None:
    """Every public sample is read whole, in its dialect, to the last decimal."""
    frame = read(NATIVE / file, currency="USD")
    assert (len(frame), sums(frame)) == (rows, (Decimal(billed), Decimal(effective)))
    assert len(frame.drop_nulls(REJECT)) == rejected


# ---------------------------------------------------------------------------------------------------------- currencies
def test_four_currencies_are_never_added(tmp_path: Path, load: Callable[..., list[Batch]]) -> None:
    """Each billing currency of a file has its own total, whatever the rate that the rows state."""
    rows = [details(BillingCurrency=c, Cost="2", exchangeRate="1.1") for c in ("USD", "EUR", "GBP", "AUD", "EUR")]
    [batch] = load(write_csv(tmp_path / "a.csv", *rows), "azure")
    assert {total.currency: total.read for total in batch.billed_cost} == {
        "USD": Decimal(2), "EUR": Decimal(4), "GBP": Decimal(2), "AUD": Decimal(2),
    }  # fmt: skip


def test_a_converted_charge_keeps_the_rate_and_its_date(tmp_path: Path) -> None:
    """What Microsoft prices in USD and bills in EUR keeps the rate and its day, in both formats."""
    row = details(
        BillingCurrency="EUR", Cost="2.2", PricingCurrency="USD", exchangeRatePricingToBilling="0.88",
        exchangeRateDate="09/01/2026",
    )  # fmt: skip
    rate = {"x_BillingExchangeRate": "0.88", "x_BillingExchangeRateDate": "2026-09-01T00:00:00Z"}
    focus = FOCUS | {"BillingCurrency": "EUR"} | rate
    for path, day in (
        (write_csv(tmp_path / "details" / "a.csv", row), "09/01/2026"),
        (write_csv(tmp_path / "focus" / "a.csv", focus), "2026-09-01T00:00:00Z"),
    ):
        [charge] = read(path).iter_rows(named=True)
        kept = json.loads(charge[s.SOURCE_COLUMNS])
        assert (charge[s.BILLING_CURRENCY], kept["x_BillingExchangeRate"], kept["x_BillingExchangeRateDate"]) == (
            "EUR", "0.88", day,
        )  # fmt: skip
