"""Azure Cost Management export, dataset FocusCost 1.2, daily: a folder a month and run, each with its manifest.

Each run delivers its month whole: of the open month the run of the day before lies there too, and counts for nothing.

Source of the columns: microsoft/finops-toolkit, src/templates/finops-hub/modules/Microsoft.CostManagement/Exports/
schemas/focuscost_1.2.json, 2026-11-21. Habits copied from real rows: lower-case resource ids, "Units" of tokens with
the block size in x_PricingBlockSize, costs with 11 decimals.
"""

import gzip
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from connectors.demo import company
from connectors.demo.activity import QUANTITY, RESOURCE, SKU, WORKLOAD
from connectors.demo.bill import COST_DECIMALS, EXACT
from connectors.demo.company import COMMITMENTS, COST_CENTERS, WORKLOADS, Calendar, Workload
from connectors.demo.skus import skus
from finops import schema as s

SOURCE: Final = "azure"
EXPORT: Final = "aldermoor-focuscost"
FOLDER: Final = Path("raw/azure") / EXPORT
PART: Final = "part_0_0001.csv.gz"
PROFILE: Final = "/providers/Microsoft.Billing/billingAccounts/8611537/billingProfiles/ALDR-2K4M-BG7-PGB"
REGION_NAMES: Final = {"eastus": "US East", "westeurope": "EU West", "swedencentral": "SE Central"}
_NAMES: Final = """
    BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodEnd
    BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass ChargeDescription
    ChargeFrequency ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory CommitmentDiscountId
    CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountStatus CommitmentDiscountType
    CommitmentDiscountUnit ConsumedQuantity ConsumedUnit ContractedCost ContractedUnitPrice EffectiveCost InvoiceId
    InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingCurrency PricingQuantity PricingUnit ProviderName
    PublisherName RegionId RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName
    ServiceSubcategory SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags
    x_AccountId x_AccountName x_AccountOwnerId x_AmortizationClass x_BilledCostInUsd x_BilledUnitPrice
    x_BillingAccountId x_BillingAccountName x_BillingExchangeRate x_BillingExchangeRateDate x_BillingProfileId
    x_BillingProfileName x_ContractedCostInUsd x_CostAllocationRuleName x_CostCenter x_CustomerId x_CustomerName
    x_EffectiveCostInUsd x_EffectiveUnitPrice x_InvoiceIssuerId x_InvoiceSectionId x_InvoiceSectionName
    x_ListCostInUsd x_PartnerCreditApplied x_PartnerCreditRate x_PricingBlockSize x_PricingSubcategory
    x_PricingUnitDescription x_PublisherCategory x_PublisherId x_ResellerId x_ResellerName x_ResourceGroupName
    x_ResourceType x_ServiceModel x_ServicePeriodEnd x_ServicePeriodStart x_SkuDescription x_SkuIsCreditEligible
    x_SkuMeterCategory x_SkuMeterId x_SkuMeterSubcategory x_SkuOfferId x_SkuOrderId x_SkuOrderName x_SkuPartNumber
    x_SkuPlanName x_SkuRegion x_SkuServiceFamily x_SkuTerm x_SkuTier
"""
COLUMNS: Final = tuple(_NAMES.split())
_RESOURCE_PATHS: Final = {
    "Virtual machine": "microsoft.compute/virtualmachines", "Disk": "microsoft.compute/disks",
    "Storage account": "microsoft.storage/storageaccounts", "Virtual network": "microsoft.network/virtualnetworks",
    "SQL database": "microsoft.sql/servers", "Kubernetes service": "microsoft.containerservice/managedclusters",
    "Log Analytics workspace": "microsoft.operationalinsights/workspaces",
    "Cognitive Services account": "microsoft.cognitiveservices/accounts",
}  # fmt: skip
_DECIMAL: Final = pl.Decimal(38, 11)


def write(home: Path, charges: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Write the Azure part of the ledger; returns the charges that the export shows."""
    shown = charges.filter(pl.col("source") == SOURCE)
    for (month,), rows in shown.group_by("month", maintain_order=True):
        is_open = month == calendar.open_month
        if is_open:
            before = rows.filter(pl.col("first_day") < calendar.end, pl.col("category") != "Adjustment")
            _write_run(home, month, before, calendar.today - timedelta(days=1), is_open=True)
        submitted = calendar.today if is_open else company.next_month(month) + timedelta(days=4)
        _write_run(home, month, rows, submitted, is_open=is_open)
    return shown


def _write_run(home: Path, month: date, rows: pl.DataFrame, submitted: date, *, is_open: bool) -> None:
    """A run's file and the manifest that lists it."""
    if rows.is_empty():
        return
    last = company.next_month(month) - timedelta(days=1)
    run = company.number(f"{EXPORT}/{month}/{submitted}")
    folder = Path(f"{month:%Y%m%d}-{last:%Y%m%d}") / run
    (home / FOLDER / folder).mkdir(parents=True, exist_ok=True)
    # a fixed time in the gzip header keeps the bytes the same from run to run
    content = gzip.compress(_focus(rows, is_open=is_open).write_csv().encode(), compresslevel=3, mtime=0)
    (home / FOLDER / folder / PART).write_bytes(content)
    size = {"byteCount": len(content), "dataRowCount": rows.height}
    manifest = {
        "manifestVersion": "2024-04-01", **size, "blobCount": 1,
        "exportConfig": {"exportName": EXPORT, "resourceId": f"{PROFILE}/providers/Microsoft.CostManagement/exports/"
                         f"{EXPORT}", "dataVersion": "1.2", "type": "FocusCost", "granularity": "Daily"},
        "runInfo": {"executionType": "Scheduled", "submittedTime": f"{submitted}T04:11:07.0000000Z", "runId": run,
                    "startDate": f"{month}T00:00:00", "endDate": f"{last}T00:00:00"},
        "blobs": [{"blobName": f"{EXPORT}/{(folder / PART).as_posix()}", **size}],
    }  # fmt: skip
    (home / FOLDER / folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _focus(rows: pl.DataFrame, *, is_open: bool) -> pl.DataFrame:
    wide = rows.join(_meters(), on=SKU, how="left", maintain_order="left", suffix="_meter")
    for dimension, keys in (
        (_accounts(), ["account"]),
        (_workloads(), [WORKLOAD]),
        (_commitments(), ["commitment"]),
        (resources(rows), [WORKLOAD, RESOURCE, SKU]),
    ):
        wide = wide.join(dimension, on=keys, how="left", maintain_order="left")
    month = rows["month"][0]
    mapped = _mapping(None if is_open else company.invoice_id(SOURCE, month))
    return wide.select(mapped.get(name, pl.lit(None, dtype=pl.String)).alias(name) for name in COLUMNS)


def _mapping(invoice: str | None) -> dict[str, pl.Expr]:
    """Column of the export <- column of the ledger; columns that this company's export leaves empty are not listed."""
    text, usage = pl.lit, pl.col("category") == "Usage"
    metered = usage & (pl.col("commitment_status").fill_null("") != "Unused") & pl.col(QUANTITY).is_not_null()
    committed = pl.col("commitment").is_not_null()
    resource, reservation = pl.when(metered).then("resource_id"), pl.col("commitment_id")
    costs = {
        s.BILLED_COST: "billed_cost", s.EFFECTIVE_COST: "effective_cost", s.CONTRACTED_COST: "contracted_cost",
        s.LIST_COST: "list_cost",
    }  # fmt: skip
    numbers = {
        **costs, **{f"x_{name}InUsd": column for name, column in costs.items()},
        s.CONTRACTED_UNIT_PRICE: "contracted_price", s.LIST_UNIT_PRICE: "list_price",
        s.PRICING_QUANTITY: "pricing_quantity", s.COMMITMENT_DISCOUNT_QUANTITY: "commitment_quantity",
        "x_PricingBlockSize": "block",
    }  # fmt: skip
    return {
        **{name: pl.col(column).round(COST_DECIMALS).cast(EXACT).cast(_DECIMAL) for name, column in numbers.items()},
        s.BILLING_ACCOUNT_ID: text(PROFILE),
        s.BILLING_ACCOUNT_NAME: text(company.NAME),
        s.BILLING_ACCOUNT_TYPE: text("Billing Profile"),
        s.BILLING_CURRENCY: text("USD"),
        s.BILLING_PERIOD_START: _midnight("month"),
        s.BILLING_PERIOD_END: _midnight(pl.col("month").dt.offset_by("1mo")),
        s.CHARGE_CATEGORY: pl.col("category"),
        s.CHARGE_CLASS: pl.col("charge_class"),
        s.CHARGE_DESCRIPTION: pl.col("description_meter"),
        s.CHARGE_FREQUENCY: pl.col("frequency"),
        s.CHARGE_PERIOD_START: _midnight("first_day"),
        s.CHARGE_PERIOD_END: _midnight("end_day"),
        s.COMMITMENT_DISCOUNT_CATEGORY: pl.col("commitment_category"),
        s.COMMITMENT_DISCOUNT_ID: reservation,
        s.COMMITMENT_DISCOUNT_NAME: pl.col("commitment_name"),
        s.COMMITMENT_DISCOUNT_STATUS: pl.col("commitment_status"),
        s.COMMITMENT_DISCOUNT_TYPE: pl.when(committed).then(text("Reservation")),
        s.COMMITMENT_DISCOUNT_UNIT: pl.when(committed).then(text("Hours")),
        s.CONSUMED_QUANTITY: pl.when(metered).then(pl.col(QUANTITY).round(COST_DECIMALS).cast(EXACT).cast(_DECIMAL)),
        s.CONSUMED_UNIT: pl.when(metered).then("consumed_unit"),
        s.INVOICE_ID: text(invoice, dtype=pl.String),
        s.INVOICE_ISSUER_NAME: text("Microsoft"),
        s.PRICING_CATEGORY: pl.col("pricing"),
        s.PRICING_CURRENCY: text("USD"),
        s.PRICING_UNIT: pl.when(pl.col("pricing_quantity").is_not_null()).then("pricing_unit"),
        s.PROVIDER_NAME: text("Microsoft"),
        s.PUBLISHER_NAME: text("Microsoft"),
        s.REGION_ID: pl.col("region"),
        s.REGION_NAME: pl.col("region").replace_strict(REGION_NAMES, default=None),
        s.RESOURCE_ID: pl.when(committed & ~metered).then(reservation.str.to_lowercase()).otherwise(resource),
        s.RESOURCE_NAME: pl.when(metered).then("resource_name"),
        s.RESOURCE_TYPE: pl.when(metered).then("resource_type"),
        s.SERVICE_CATEGORY: pl.col("service_category"),
        s.SERVICE_NAME: pl.col("service_name"),
        s.SERVICE_SUBCATEGORY: pl.col("service_subcategory"),
        s.SKU_ID: pl.col("sku_id"),
        s.SKU_METER: pl.col("meter"),
        s.SKU_PRICE_DETAILS: pl.col("price_details"),
        s.SKU_PRICE_ID: pl.col("sku_id") + "_P1M",
        s.SUB_ACCOUNT_ID: pl.col("account_id"),
        s.SUB_ACCOUNT_NAME: pl.col("account_name"),
        s.SUB_ACCOUNT_TYPE: text("Subscription"),
        s.TAGS: pl.when(metered).then("tags"),
        "x_AmortizationClass": pl.when(committed).then(
            pl.when(pl.col("category") == "Purchase").then(text("Principal")).otherwise(text("Amortized Charge"))
        ),
        "x_BillingAccountId": text("8611537"),
        "x_BillingAccountName": text(company.NAME),
        "x_BillingExchangeRate": text("1"),
        "x_BillingProfileId": text("ALDR-2K4M-BG7-PGB"),
        "x_BillingProfileName": text(company.NAME),
        "x_PricingSubcategory": pl.when(committed & usage).then(text("Committed Usage")).when(
            pl.col("pricing") == "Dynamic").then(text("Spot")).when(pl.col("pricing").is_not_null()).then(
            text("On-Demand")),
        "x_PricingUnitDescription": pl.when(pl.col("block") == 1000).then(text("1K")).when(
            pl.col("block") == 10000).then(text("10K")).otherwise(pl.format("1 {}", pl.col("pricing_unit"))),
        "x_PublisherCategory": text("Cloud Provider"),
        "x_ResourceGroupName": pl.when(metered).then("group"),
        "x_ResourceType": pl.when(metered).then("resource_path"),
        "x_SkuIsCreditEligible": text("true"),
        "x_SkuMeterCategory": pl.col("meter_category"),
        "x_SkuMeterId": pl.col("sku_id"),
        "x_SkuMeterSubcategory": pl.col("meter_subcategory"),
        "x_SkuOrderId": pl.when(committed).then(reservation.str.extract(r"reservationOrders/([^/]+)")),
        "x_SkuOrderName": pl.col("commitment_name"),
        "x_SkuRegion": pl.col("region"),
        "x_SkuServiceFamily": pl.col("service_category"),
        "x_SkuTerm": pl.when(committed).then(text("12")),
    }  # fmt: skip


def _midnight(day: str | pl.Expr) -> pl.Expr:
    column = pl.col(day) if isinstance(day, str) else day
    return column.dt.strftime("%Y-%m-%dT00:00:00Z")


# --------------------------------------------------------------------------------- what accounts, meters, resources are
def subscription_id(account: company.Account) -> str:
    """A subscription as SubAccountId names it."""
    return f"/subscriptions/{account.account_id}"


def _accounts() -> pl.DataFrame:
    return pl.DataFrame([
        {"account": a.key, "account_id": subscription_id(a), "account_name": a.name} for a in company.ACCOUNTS
    ])  # fmt: skip


def _meters() -> pl.DataFrame:
    details = [
        json.dumps({"InstanceType": row["instance_type"],
                    **({"GpuCount": int(row["gpus"])} if row["gpus"] else {})}) if row["instance_type"] else None
        for row in skus().iter_rows(named=True)
    ]  # fmt: skip
    ids = [company.number(sku) for sku in skus()[SKU]]
    return skus().select(
        SKU, "service_name", "service_category", "service_subcategory", "meter", "description", "resource_type",
        "region", "consumed_unit", "pricing_unit", "block", "meter_category", "meter_subcategory",
        sku_id=pl.Series(ids), price_details=pl.Series(details, dtype=pl.String),
    )  # fmt: skip


def _workloads() -> pl.DataFrame:
    return pl.DataFrame({
        WORKLOAD: [w.name for w in WORKLOADS], "tags": [json.dumps(_tags(w)) if w.tagged else None for w in WORKLOADS]
    })  # fmt: skip


def _tags(work: Workload) -> dict[str, str]:
    """The same facts as on AWS under the keys that grew on this side."""
    tags = {
        "Team": work.team, "Application": work.use_case, "Env": work.environment,
        "CostCenter": COST_CENTERS[work.team],
    }  # fmt: skip
    return {**tags, "Purpose": work.purpose} if work.purpose else tags


def _commitments() -> pl.DataFrame:
    mine = [c for c in COMMITMENTS if company.account(c.account).source == SOURCE]
    return pl.DataFrame([
        {
            "commitment": c.key, "commitment_name": c.name, "commitment_category": c.category,
            "commitment_id": f"/providers/Microsoft.Capacity/reservationOrders/{company.number(c.key + '/order')}"
                             f"/reservations/{company.number(c.key)}",
        }
        for c in mine
    ])  # fmt: skip


def resources(rows: pl.DataFrame) -> pl.DataFrame:
    """Id, name and group of each resource that the rows name."""
    found = rows.select(WORKLOAD, RESOURCE, SKU).unique(maintain_order=True).drop_nulls()
    paths = {sku: _RESOURCE_PATHS.get(kind or "") for sku, kind in skus().select(SKU, "resource_type").iter_rows()}
    lines = []
    for work, resource, sku in found.iter_rows():
        group, name = f"rg-{work}", f"{work}-{resource:02d}"
        subscription = subscription_id(company.account(company.workload(work).account))
        path = f"{subscription}/resourcegroups/{group}/providers/{paths[sku]}/{name}".lower()
        lines.append({"resource_id": path, "resource_name": name, "group": group, "resource_path": paths[sku]})
    schema = dict.fromkeys(("resource_id", "resource_name", "group", "resource_path"), pl.String)
    return found.hstack(pl.DataFrame(lines, schema=schema))
