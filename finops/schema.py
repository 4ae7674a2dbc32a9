"""The tables of the lake: names, columns, types and keys. Column names live here, once.

`charges` is the FOCUS 1.4 Cost and Usage dataset plus our columns, which are prefixed `x_` as FOCUS asks. Other
tables are ours and use snake_case. Source of the FOCUS facts: data/focus_columns.csv (FOCUS 1.4, ratified
2026-06-04; the keys of the 1.5 draft are marked as such).
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

import polars as pl

MONEY: Final = pl.Decimal(38, 18)
"""Money, quantities and unit prices."""
TIME: Final = pl.Datetime("us", "UTC")
FOCUS_VERSION: Final = "1.4"

# --- FOCUS 1.4, Cost and Usage
ALLOCATED_METHOD_DETAILS: Final = "AllocatedMethodDetails"
ALLOCATED_METHOD_ID: Final = "AllocatedMethodId"
ALLOCATED_RESOURCE_ID: Final = "AllocatedResourceId"
ALLOCATED_RESOURCE_NAME: Final = "AllocatedResourceName"
ALLOCATED_TAGS: Final = "AllocatedTags"
AVAILABILITY_ZONE: Final = "AvailabilityZone"
BILLED_COST: Final = "BilledCost"
BILLING_ACCOUNT_ID: Final = "BillingAccountId"
BILLING_ACCOUNT_NAME: Final = "BillingAccountName"
BILLING_ACCOUNT_TYPE: Final = "BillingAccountType"
BILLING_CURRENCY: Final = "BillingCurrency"
BILLING_PERIOD_END: Final = "BillingPeriodEnd"
BILLING_PERIOD_START: Final = "BillingPeriodStart"
CAPACITY_RESERVATION_ID: Final = "CapacityReservationId"
CAPACITY_RESERVATION_STATUS: Final = "CapacityReservationStatus"
CHARGE_CATEGORY: Final = "ChargeCategory"
CHARGE_CLASS: Final = "ChargeClass"
CHARGE_DESCRIPTION: Final = "ChargeDescription"
CHARGE_FREQUENCY: Final = "ChargeFrequency"
CHARGE_PERIOD_END: Final = "ChargePeriodEnd"
CHARGE_PERIOD_START: Final = "ChargePeriodStart"
COMMITMENT_DISCOUNT_CATEGORY: Final = "CommitmentDiscountCategory"
COMMITMENT_DISCOUNT_ID: Final = "CommitmentDiscountId"
COMMITMENT_DISCOUNT_NAME: Final = "CommitmentDiscountName"
COMMITMENT_DISCOUNT_QUANTITY: Final = "CommitmentDiscountQuantity"
COMMITMENT_DISCOUNT_STATUS: Final = "CommitmentDiscountStatus"
COMMITMENT_DISCOUNT_TYPE: Final = "CommitmentDiscountType"
COMMITMENT_DISCOUNT_UNIT: Final = "CommitmentDiscountUnit"
COMMITMENT_PROGRAM_ELIGIBILITY_DETAILS: Final = "CommitmentProgramEligibilityDetails"
CONSUMED_QUANTITY: Final = "ConsumedQuantity"
CONSUMED_UNIT: Final = "ConsumedUnit"
CONTRACT_APPLIED: Final = "ContractApplied"
CONTRACTED_COST: Final = "ContractedCost"
CONTRACTED_UNIT_PRICE: Final = "ContractedUnitPrice"
EFFECTIVE_COST: Final = "EffectiveCost"
HOST_PROVIDER_NAME: Final = "HostProviderName"
INVOICE_DETAIL_ID: Final = "InvoiceDetailId"
INVOICE_ID: Final = "InvoiceId"
INVOICE_ISSUER_NAME: Final = "InvoiceIssuerName"
LIST_COST: Final = "ListCost"
LIST_UNIT_PRICE: Final = "ListUnitPrice"
PRICING_CATEGORY: Final = "PricingCategory"
PRICING_CURRENCY: Final = "PricingCurrency"
PRICING_CURRENCY_CONTRACTED_UNIT_PRICE: Final = "PricingCurrencyContractedUnitPrice"
PRICING_CURRENCY_EFFECTIVE_COST: Final = "PricingCurrencyEffectiveCost"
PRICING_CURRENCY_LIST_UNIT_PRICE: Final = "PricingCurrencyListUnitPrice"
PRICING_QUANTITY: Final = "PricingQuantity"
PRICING_UNIT: Final = "PricingUnit"
REGION_ID: Final = "RegionId"
REGION_NAME: Final = "RegionName"
RESOURCE_ID: Final = "ResourceId"
RESOURCE_NAME: Final = "ResourceName"
RESOURCE_TYPE: Final = "ResourceType"
SERVICE_CATEGORY: Final = "ServiceCategory"
SERVICE_NAME: Final = "ServiceName"
SERVICE_PROVIDER_NAME: Final = "ServiceProviderName"
SERVICE_SUBCATEGORY: Final = "ServiceSubcategory"
SKU_ID: Final = "SkuId"
SKU_METER: Final = "SkuMeter"
SKU_PRICE_DETAILS: Final = "SkuPriceDetails"
SKU_PRICE_ID: Final = "SkuPriceId"
SUB_ACCOUNT_ID: Final = "SubAccountId"
SUB_ACCOUNT_NAME: Final = "SubAccountName"
SUB_ACCOUNT_TYPE: Final = "SubAccountType"
TAGS: Final = "Tags"
# --- FOCUS columns that 1.4 removed (read, lifted)
PROVIDER_NAME: Final = "ProviderName"
PUBLISHER_NAME: Final = "PublisherName"

# --- ours, on charges
CHARGE_ID: Final = "x_ChargeId"
SOURCE_ID: Final = "x_SourceId"
BATCH_ID: Final = "x_BatchId"
SOURCE_FILE: Final = "x_SourceFile"
SOURCE_ROW: Final = "x_SourceRow"
BILLING_PERIOD: Final = "x_BillingPeriod"
"""Month as YYYY-MM, from BillingPeriodStart; the month whose invoice holds the charge."""
LEDGER_ROLE: Final = "x_LedgerRole"
"""`billed` (summed) or `derived` (attributes and splits what is billed elsewhere, never summed)."""
SOURCE_COLUMNS: Final = "x_SourceColumns"
"""JSON object of the source's columns that FOCUS does not know, verbatim."""
INSTANCE_TYPE: Final = "x_InstanceType"
USAGE_TYPE: Final = "x_UsageType"

IS_AI: Final = "x_IsAi"
DRIVER: Final = "x_Driver"
PURPOSE: Final = "x_Purpose"
CLASSIFIED_BY: Final = "x_ClassifiedBy"
HOSTING: Final = "x_Hosting"
ACCELERATOR_MODEL: Final = "x_AcceleratorModel"
ACCELERATOR_COUNT: Final = "x_AcceleratorCount"
ACCELERATOR_HOURS: Final = "x_AcceleratorHours"
MODEL_DEVELOPER: Final = "x_ModelDeveloper"
MODEL_FAMILY: Final = "x_ModelFamily"
MODEL_ID: Final = "x_ModelId"
MODEL_VERSION: Final = "x_ModelVersion"
TOKEN_DIRECTION: Final = "x_TokenDirection"
TOKEN_CACHE_ACTION: Final = "x_TokenCacheAction"
TOKENS: Final = "x_Tokens"
REQUESTS: Final = "x_Requests"
SERVICE_TIER: Final = "x_ServiceTier"
TEAM: Final = "x_Team"
USE_CASE: Final = "x_UseCase"
COST_CENTER: Final = "x_CostCenter"
ENVIRONMENT: Final = "x_Environment"
CONSUMER_ID: Final = "x_ConsumerId"
OWNER_STATUS: Final = "x_OwnerStatus"
"""known (a tag or a mapping names the team), inferred (from the account), none (nobody: shadow AI)."""

# --- spend_daily
CHARGE_DATE: Final = "x_ChargeDate"
CHARGE_COUNT: Final = "x_ChargeCount"

BILLED, DERIVED = "billed", "derived"
Driver = Literal[
    "accelerator", "model_api", "ai_platform", "compute", "storage", "network", "software", "support", "energy",
    "people", "other",
]  # fmt: skip
Purpose = Literal["training", "fine_tuning", "inference", "development", "shared", "unknown"]
Hosting = Literal["cloud", "api", "on_prem", "colo", "edge"]
PURPOSES: Final[tuple[str, ...]] = get_args(Purpose)
COSTS: Final = {
    "billed": BILLED_COST, "effective": EFFECTIVE_COST, "contracted": CONTRACTED_COST, "list": LIST_COST,
}  # fmt: skip
"""The four costs of FOCUS by the short names that commands and pages use."""


@dataclass(frozen=True)
class FocusColumn:
    """One column of a FOCUS dataset: its type, level, whether it may be null, allowed values, first version.

    allows: the allowed values or their format as the catalogue writes them; allowed_values: those of a list.
    """

    dataset: str
    name: str
    data_type: str
    feature_level: str
    allows_nulls: bool
    allowed_values: tuple[str, ...]
    introduced: str
    allows: str


@cache
def focus_columns(dataset: str = "CostAndUsage") -> tuple[FocusColumn, ...]:
    """The columns of a FOCUS dataset: CostAndUsage, ContractCommitment, BillingPeriod, InvoiceDetail,
    CostAndUsageRemoved (in 1.4) or CostAndUsageDraft (1.5)."""
    text = (files("finops") / "data" / "focus_columns.csv").read_text(encoding="utf-8")
    return tuple(
        FocusColumn(
            dataset=row["dataset"],
            name=row["column"],
            data_type=row["data_type"],
            feature_level=row["feature_level"],
            allows_nulls=row["allows_nulls"] == "true",
            allowed_values=tuple(row["allowed_values"].split("|")) if "|" in row["allowed_values"] else (),
            introduced=row["introduced"],
            allows=row["allowed_values"],
        )
        for row in csv.DictReader(text.splitlines())
        if row["dataset"] == dataset
    )


def focus_type(column: FocusColumn) -> pl.DataType:
    """The Polars type of a column; JSON is text."""
    if column.data_type == "Decimal":
        return MONEY
    return TIME if column.data_type == "Date/Time" else pl.String()


FOCUS: Final[dict[str, pl.DataType]] = {c.name: focus_type(c) for c in focus_columns()}
"""The 65 columns of FOCUS 1.4 Cost and Usage with their Polars types; JSON columns are JSON text."""

LINEAGE: Final[dict[str, pl.DataType]] = {
    CHARGE_ID: pl.String(), SOURCE_ID: pl.String(), BATCH_ID: pl.String(), SOURCE_FILE: pl.String(),
    SOURCE_ROW: pl.Int64(), BILLING_PERIOD: pl.String(), LEDGER_ROLE: pl.String(), SOURCE_COLUMNS: pl.String(),
    INSTANCE_TYPE: pl.String(), USAGE_TYPE: pl.String(),
}  # fmt: skip
CLASSIFICATION: Final[dict[str, pl.DataType]] = {
    IS_AI: pl.Boolean(), DRIVER: pl.String(), PURPOSE: pl.String(), CLASSIFIED_BY: pl.String(), HOSTING: pl.String(),
    ACCELERATOR_MODEL: pl.String(), ACCELERATOR_COUNT: MONEY, ACCELERATOR_HOURS: MONEY, MODEL_DEVELOPER: pl.String(),
    MODEL_FAMILY: pl.String(), MODEL_ID: pl.String(), MODEL_VERSION: pl.String(), TOKEN_DIRECTION: pl.String(),
    TOKEN_CACHE_ACTION: pl.String(), TOKENS: MONEY, REQUESTS: MONEY, SERVICE_TIER: pl.String(), TEAM: pl.String(),
    USE_CASE: pl.String(), COST_CENTER: pl.String(), ENVIRONMENT: pl.String(), CONSUMER_ID: pl.String(),
    OWNER_STATUS: pl.String(),
}  # fmt: skip

DAILY_DIMENSIONS: Final[dict[str, pl.DataType]] = {
    CHARGE_DATE: pl.Date(), SOURCE_ID: pl.String(), BILLING_PERIOD: pl.String(), LEDGER_ROLE: pl.String(),
    SERVICE_PROVIDER_NAME: pl.String(), SUB_ACCOUNT_ID: pl.String(), SUB_ACCOUNT_NAME: pl.String(),
    REGION_ID: pl.String(), SERVICE_NAME: pl.String(), CHARGE_CATEGORY: pl.String(), PRICING_CATEGORY: pl.String(),
    COMMITMENT_DISCOUNT_STATUS: pl.String(), IS_AI: pl.Boolean(), DRIVER: pl.String(), PURPOSE: pl.String(),
    HOSTING: pl.String(), ACCELERATOR_MODEL: pl.String(), MODEL_ID: pl.String(), TOKEN_DIRECTION: pl.String(),
    TOKEN_CACHE_ACTION: pl.String(), SERVICE_TIER: pl.String(), CONSUMER_ID: pl.String(), TEAM: pl.String(),
    USE_CASE: pl.String(), COST_CENTER: pl.String(), ENVIRONMENT: pl.String(), OWNER_STATUS: pl.String(),
    BILLING_CURRENCY: pl.String(),
}  # fmt: skip
DAILY_MEASURES: Final[dict[str, pl.DataType]] = {
    BILLED_COST: MONEY, EFFECTIVE_COST: MONEY, CONTRACTED_COST: MONEY, LIST_COST: MONEY, ACCELERATOR_HOURS: MONEY,
    TOKENS: MONEY, REQUESTS: MONEY, CHARGE_COUNT: pl.Int64(),
}  # fmt: skip

SHORT_NAMES: Final = {
    "day": CHARGE_DATE, "source": SOURCE_ID, "period": BILLING_PERIOD, "provider": SERVICE_PROVIDER_NAME,
    "account": SUB_ACCOUNT_ID, "account_name": SUB_ACCOUNT_NAME, "region": REGION_ID, "service": SERVICE_NAME,
    "category": CHARGE_CATEGORY, "pricing": PRICING_CATEGORY, "commitment_status": COMMITMENT_DISCOUNT_STATUS,
    "is_ai": IS_AI, "driver": DRIVER, "purpose": PURPOSE, "hosting": HOSTING, "accelerator": ACCELERATOR_MODEL,
    "model": MODEL_ID, "direction": TOKEN_DIRECTION, "cache": TOKEN_CACHE_ACTION, "tier": SERVICE_TIER,
    "key": CONSUMER_ID, "team": TEAM, "use_case": USE_CASE, "cost_center": COST_CENTER,
    "environment": ENVIRONMENT, "owner": OWNER_STATUS, "currency": BILLING_CURRENCY,
}  # fmt: skip
"""The dimensions of spend_daily by the words that people type in --by and --where; the column names work too."""


METER_COLUMNS: Final = (
    "uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens",
    "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "input_audio_tokens", "cache_read_audio_tokens",
    "output_audio_tokens", "input_image_tokens", "cache_read_image_tokens", "output_image_tokens",
    "input_video_tokens", "output_video_tokens", "characters", "audio_seconds", "document_pages", "web_searches",
    "file_searches", "provisioned_unit_hours", "requests",
)  # fmt: skip
"""What usage counts, each token in one column only; finops/token_prices.py says what each costs."""
CONTEXT: Final = "context_from_tokens"
"""The tokens from which a long-context price holds; in usage, those from which the provider's context window starts."""
USAGE_DIMENSIONS: Final[dict[str, pl.DataType]] = {
    "source_id": pl.String(), "billing_period": pl.String(), "ledger_role": pl.String(), "day": pl.Date(),
    "provider": pl.String(), "operation": pl.String(), "account_id": pl.String(), "account_name": pl.String(),
    "consumer_id": pl.String(), "model": pl.String(), "service_tier": pl.String(), CONTEXT: pl.Int64(),
    "team": pl.String(), "use_case": pl.String(), "cost_center": pl.String(), "environment": pl.String(),
    "purpose": pl.String(), "owner_status": pl.String(), "other_unit": pl.String(), "currency": pl.String(),
}  # fmt: skip
USAGE_MEASURES: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys((*METER_COLUMNS, "other_quantity", "stated_cost"), MONEY), "usage_rows": pl.Int64(),
}  # fmt: skip


@dataclass(frozen=True)
class LakeTable:
    """A table of the lake: its columns, what identifies a row, and what its files are partitioned by."""

    name: str
    columns: dict[str, pl.DataType]
    key: tuple[str, ...]
    partitions: tuple[str, ...] = ()


def _table(name: str, columns: dict[str, pl.DataType], key: str, partitions: str = "") -> LakeTable:
    return LakeTable(name, columns, tuple(key.split()), tuple(partitions.split()))


_TEXT, _INT, _REAL, _DATE = pl.String(), pl.Int64(), pl.Float64(), pl.Date()

_TABLES = (
    _table("charges", {**FOCUS, **LINEAGE, **CLASSIFICATION}, CHARGE_ID, f"{SOURCE_ID} {BILLING_PERIOD}"),
    _table(
        "spend_daily", {**DAILY_DIMENSIONS, **DAILY_MEASURES}, " ".join(DAILY_DIMENSIONS),
        f"{SOURCE_ID} {BILLING_PERIOD}",
    ),
    _table(
        "token_usage", {**USAGE_DIMENSIONS, **USAGE_MEASURES, "batch_id": pl.String()}, " ".join(USAGE_DIMENSIONS),
        "source_id billing_period",
    ),
    _table(
        "gpu_usage",
        {"source_id": _TEXT, "billing_period": _TEXT, "hour": TIME, "provider": _TEXT, "account_id": _TEXT,
         "region": _TEXT, "resource_id": _TEXT, "resource_name": _TEXT, "device": _TEXT, "group_name": _TEXT,
         "instance_type": _TEXT, "accelerator": _TEXT, "accelerator_count": MONEY, "team": _TEXT,
         "utilisation_mean_ratio": _REAL, "utilisation_p95_ratio": _REAL, "utilisation_max_ratio": _REAL,
         "memory_mean_ratio": _REAL, "memory_max_ratio": _REAL, "power_w": _REAL, "samples": _INT,
         "source_rows": _INT, "batch_id": _TEXT},
        "source_id resource_id device hour", "source_id billing_period",
    ),
    _table(
        "quarantine",
        {"source_id": _TEXT, "billing_period": _TEXT, "batch_id": _TEXT, "source_file": _TEXT, "source_row": _INT,
         "reason": _TEXT, "currency": _TEXT, "billed_cost": MONEY, "effective_cost": MONEY, "record": _TEXT},
        "source_id batch_id source_file source_row", "source_id",
    ),
    _table(
        "loads",
        {"source_id": _TEXT, "billing_period": _TEXT, "source_file": _TEXT, "file_digest": _TEXT, "batch_id": _TEXT,
         "currency": _TEXT, "rows_read": _INT, "rows_stored": _INT, "rows_quarantined": _INT, "billed_read": MONEY,
         "billed_stored": MONEY, "billed_quarantined": MONEY, "effective_read": MONEY, "effective_stored": MONEY,
         "effective_quarantined": MONEY, "loaded_at": TIME},
        "source_id billing_period source_file currency",
    ),
    _table(
        "budgets",
        {"budget_id": _TEXT, "scope": _TEXT, "period": _TEXT, "amount": MONEY, "currency": _TEXT, "cost": _TEXT,
         "owner": _TEXT, "note": _TEXT, "source": _TEXT},
        "budget_id period",
    ),
    _table(
        "invoices",
        {"invoice_id": _TEXT, "source_id": _TEXT, "billing_period": _TEXT, "issuer": _TEXT, "account_id": _TEXT,
         "amount": MONEY, "currency": _TEXT, "issue_date": _DATE, "source": _TEXT},
        "invoice_id source_id billing_period account_id currency",
    ),
    _table(
        "invoice_lines",
        {"invoice_id": _TEXT, "source_id": _TEXT, "billing_period": _TEXT, "issuer": _TEXT, "account_id": _TEXT,
         "category": _TEXT, "description": _TEXT, "line": _TEXT, "amount": MONEY, "currency": _TEXT,
         "issue_date": _DATE, "source": _TEXT},
        "invoice_id source_id billing_period account_id currency category description line",
    ),
    _table(
        "fx_rates",
        {"day": _DATE, "base": _TEXT, "quote": _TEXT, "rate": MONEY, "source": _TEXT}, "day base quote",
    ),
    _table(
        "business_metrics",
        {"day": _DATE, "use_case": _TEXT, "metric": _TEXT, "value": MONEY, "unit": _TEXT, "source": _TEXT},
        "use_case metric day",
    ),
    _table(
        "mappings",
        {"kind": _TEXT, "match": _TEXT, "team": _TEXT, "use_case": _TEXT, "cost_center": _TEXT, "environment": _TEXT,
         "purpose": _TEXT, "owner": _TEXT, "source": _TEXT},
        "kind match",
    ),
    _table(
        "forecasts",
        {"forecast_id": _TEXT, "made_at": TIME, "cutoff": _DATE, "grouping": _TEXT, "series": _TEXT, "measure": _TEXT,
         "currency": _TEXT, "date": _DATE, "model": _TEXT, "mean": _REAL, "p025": _REAL, "p05": _REAL, "p10": _REAL,
         "p50": _REAL, "p90": _REAL, "p95": _REAL, "p975": _REAL, "cutoff_month": _TEXT},
        "forecast_id series measure date", "cutoff_month",
    ),
    _table(
        "forecast_totals",
        {"forecast_id": _TEXT, "made_at": TIME, "cutoff": _DATE, "grouping": _TEXT, "series": _TEXT, "measure": _TEXT,
         "currency": _TEXT, "period": _TEXT, "actual": MONEY, "mean": _REAL, "p025": _REAL, "p05": _REAL,
         "p10": _REAL, "p50": _REAL, "p90": _REAL, "p95": _REAL, "p975": _REAL},
        "forecast_id series measure period",
    ),
    _table(
        "forecast_paths",
        {"forecast_id": _TEXT, "cutoff": _DATE, "series": _TEXT, "measure": _TEXT, "currency": _TEXT, "date": _DATE,
         "paths": pl.List(pl.Float32())},
        "series measure date",
    ),
    _table(
        "backtests",
        {"forecast_id": _TEXT, "made_at": TIME, "grouping": _TEXT, "series": _TEXT, "measure": _TEXT, "model": _TEXT,
         "chosen": pl.Boolean(), "days_ahead": _TEXT, "horizon": _INT, "origins": _INT, "wape": _REAL, "smape": _REAL,
         "mase": _REAL, "bias": _REAL, "coverage80": _REAL, "coverage95": _REAL, "interval_score80": _REAL},
        "forecast_id series measure model days_ahead",
    ),
    _table(
        "trust",
        {"forecast_id": _TEXT, "made_at": TIME, "grouping": _TEXT, "series": _TEXT, "measure": _TEXT, "grade": _TEXT,
         "sentence": _TEXT},
        "forecast_id series measure",
    ),
    _table(
        "alerts",
        {"alert_id": _TEXT, "rule": _TEXT, "kind": _TEXT, "severity": _TEXT, "scope": _TEXT, "period": _TEXT,
         "currency": _TEXT, "expected": MONEY, "actual": MONEY, "variance_ratio": _REAL, "message": _TEXT,
         "next_step": _TEXT, "owner": _TEXT, "state": _TEXT, "first_seen_at": TIME, "updated_at": TIME,
         "run_id": _TEXT},
        "alert_id",
    ),
    _table(
        "anomalies",
        {"anomaly_id": _TEXT, "state": _TEXT, "scope": _TEXT, "kind": _TEXT, "cause": _TEXT, "known": _TEXT,
         "first_day": _DATE, "told_on": _DATE, "last_day": _DATE, "ongoing": pl.Boolean(), "currency": _TEXT,
         "expected": MONEY, "actual": MONEY, "excess": MONEY, "daily_excess": MONEY, "score": _REAL, "message": _TEXT,
         "next_step": _TEXT, "first_seen_at": TIME, "updated_at": TIME, "run_id": _TEXT},
        "anomaly_id",
    ),
    _table(
        "feedback",
        {"about": _TEXT, "id": _TEXT, "verdict": _TEXT, "scope": _TEXT, "currency": _TEXT, "size": MONEY,
         "note": _TEXT, "decided_by": _TEXT, "decided_at": TIME},
        "about id",
    ),
    _table(
        "scenarios",
        {"name": _TEXT, "version": _INT, "author": _TEXT, "saved_at": TIME, "body": _TEXT}, "name version",
    ),
    _table(
        "scenario_audit",
        {"event_id": _TEXT, "scenario": _TEXT, "action": _TEXT, "actor": _TEXT, "at": TIME, "version": _INT,
         "digest": _TEXT, "plan_id": _TEXT, "comment": _TEXT, "detail": _TEXT},
        "event_id",
    ),
    _table(
        "what_ifs",
        {"name": _TEXT, "version": _INT, "author": _TEXT, "saved_at": TIME, "note": _TEXT, "body": _TEXT,
         "forecast_id": _TEXT, "cutoff": _DATE, "outcome": _TEXT},
        "name version",
    ),
    _table(
        "plans",
        {"plan_id": _TEXT, "scenario": _TEXT, "scenario_digest": _TEXT, "made_at": TIME, "status": _TEXT,
         "currency": _TEXT, "cost": MONEY, "body": _TEXT},
        "plan_id",
    ),
    _table(
        "runs",
        {"run_id": _TEXT, "command": _TEXT, "started_at": TIME, "finished_at": TIME, "status": _TEXT, "detail": _TEXT},
        "run_id",
    ),
)  # fmt: skip

TABLES: Final[dict[str, LakeTable]] = {t.name: t for t in _TABLES}
