"""Cost details of Azure as charges: actual or amortised; EA, MCA and pay-as-you-go; whatever the header's dialect.

| FOCUS column | column of the file (columns.py has all spellings) |
|---|---|
| BilledCost, EffectiveCost, ContractedCost, ListCost | by ChargeType and PricingModel, see costs.py |
| BillingAccountId, BillingAccountName | EA: BillingAccountId; MCA: BillingProfileId; else SubscriptionId |
| BillingCurrency | BillingCurrency(Code), Currency; else the source's option `currency` |
| BillingPeriodStart, BillingPeriodEnd | BillingPeriodStartDate, a day after BillingPeriodEndDate; else Date's month |
| ChargePeriodStart, ChargePeriodEnd | Date, the day after |
| ChargeDescription | ProductName |
| InvoiceId, InvoiceIssuerName | InvoiceId (MCA), PartnerName else Microsoft |
| ServiceName | MeterCategory; Azure OpenAI of Cognitive Services; of a Marketplace charge ProductOrderName |
| ServiceProviderName | PublisherName of a Marketplace charge, else Microsoft |
| RegionId, RegionName | ResourceLocation, MeterRegion |
| ResourceId, ResourceName, ResourceType | ResourceId or InstanceId, their last part, their provider and type |
| SkuId, SkuMeter, SkuPriceDetails | ProductId (MCA) else MeterId, MeterName, AdditionalInfo with `x_` before each key |
| SubAccountId, SubAccountName | SubscriptionId, SubscriptionName |
| CommitmentDiscountId | BenefitId, else ReservationId |
| CapacityReservationId | AdditionalInfo.VMCapacityReservationId |
| Tags | Tags, put into braces where they lack them |
| x_InstanceType, x_UsageType | AdditionalInfo.ServiceType of a virtual machine, MeterName |
| x_SourceColumns | the rest, under the names of Microsoft's FOCUS exports: columns.py, KEPT |

Source: FinOps toolkit (microsoft/finops-toolkit, commit 04d370f of 2026-05-20), docs-mslearn/focus/convert.md;
Microsoft Cost Management, "Understand usage details fields"; read 2026-11-21.
"""

from typing import Final

import polars as pl

from connectors import cells
from connectors.azure import costs, services, views
from connectors.azure.columns import NEEDED, NUMBERS, TEXTS, TIMES, Kinds, kept, number, text, time
from connectors.files import ROW_INDEX
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s

MICROSOFT: Final = "Microsoft"
_RAW: Final = "raw "
_CELL: Final = "cell "
_BAD: Final = "is bad"
_TYPED: Final = {**NUMBERS, **TIMES}


def charges(raw: pl.LazyFrame, kinds: Kinds, part: RawPart) -> pl.LazyFrame:
    """The rows of cost details as charges with the columns PARSED; kinds: the file's columns and their types."""
    columns = [column for column in kinds if column != ROW_INDEX]
    frame = _values(raw, kinds, part, columns)
    # each stage is computed once and read by the next
    for stage in (_periods(), *costs.kinds()):
        frame = frame.with_columns(_named(stage))
    frame = views.without_repeats(frame, part.options)
    frame = _rejected(frame, columns)
    for stage in (*costs.quantities(), *costs.four_costs(), costs.categories(), costs.commitments(), _service()):
        frame = frame.with_columns(_named(stage))
    return frame.with_columns(
        *_named(_names(kinds)),
        pl.lit(part.name).alias(s.SOURCE_FILE),
        pl.col(ROW_INDEX).cast(pl.Int64).alias(s.SOURCE_ROW),
        pl.lit(1, dtype=pl.Int64).alias(SOURCE_ROWS),
    ).select(pl.col(name) if name in _FILLED else pl.lit(None, dtype=k).alias(name) for name, k in PARSED.items())


def _values(raw: pl.LazyFrame, kinds: Kinds, part: RawPart, columns: list[str]) -> pl.LazyFrame:
    """The file's columns as written, and Azure's as typed values; those it lacks are null."""
    opened = {"tags": s.TAGS, "additional_info": "additional_info"}
    return raw.select(
        ROW_INDEX,
        pl.col(columns).name.prefix(_RAW),
        *(text(kinds, *names).alias(name) for name, names in TEXTS.items() if name not in (*opened, "currency")),
        *(cells.json_object(text(kinds, *TEXTS[name]), pl.String()).alias(ours) for name, ours in opened.items()),
        views.currency(kinds, part.options).alias("currency"),
        *(text(kinds, *names).alias(_CELL + name) for name, names in _TYPED.items()),
        *(number(kinds, *names).alias(name) for name, names in NUMBERS.items()),
        *(time(kinds, *names).alias(name) for name, names in TIMES.items()),
        kept(kinds).alias(s.SOURCE_COLUMNS),
    )


def _periods() -> dict[str, pl.Expr]:
    """Billing and charge period, ends exclusive, and the currency."""
    day = pl.col("date").dt.truncate("1d")
    start = pl.coalesce("period_start", pl.col("date").dt.truncate("1mo"))
    end = pl.col("period_end")
    # Azure's end is the last day; one that is the first of a month after a first of a month is exclusive already
    exclusive = (start.dt.day() == 1) & (end.dt.day() == 1) & (end > start)
    return {
        s.BILLING_PERIOD_START: start,
        s.BILLING_PERIOD_END: (
            pl.when(end.is_null()).then(start.dt.offset_by("1mo")).when(exclusive).then(end)
            .otherwise(end.dt.offset_by("1d"))
        ),
        s.CHARGE_PERIOD_START: day,
        s.CHARGE_PERIOD_END: day.dt.offset_by("1d"),
        s.BILLING_CURRENCY: pl.col("currency").str.to_uppercase(),
    }  # fmt: skip


def _conditions() -> list[tuple[pl.Expr, pl.Expr]]:
    """Everything that keeps a row from being a charge, and how it is said."""
    unreadable = [
        (
            pl.col(_CELL + name).is_not_null() & pl.col(name).is_null(),
            cells.unreadable(name, _CELL + name, is_time=name in TIMES),
        )
        for name in _TYPED
    ]
    empty = [(pl.col(name).is_null(), pl.lit(f"{name} is empty")) for name in NEEDED]
    return [
        *unreadable,
        *empty,
        (
            ~pl.col(s.BILLING_CURRENCY).str.contains("^[A-Z]{3}$"),
            pl.format('BillingCurrency is "{}", which is no ISO 4217 code', s.BILLING_CURRENCY),
        ),
        (
            pl.col(s.BILLING_PERIOD_END) <= pl.col(s.BILLING_PERIOD_START),
            pl.lit("BillingPeriodEndDate lies before BillingPeriodStartDate"),
        ),
    ]


def _rejected(frame: pl.LazyFrame, columns: list[str]) -> pl.LazyFrame:
    """Adds why a row is no charge and the row verbatim; drops the file's own columns."""
    found = _conditions()
    reason = cells.first_reason(found)
    read = {
        *NEEDED, *_TYPED, *(_CELL + name for name in _TYPED), s.BILLING_CURRENCY, s.BILLING_PERIOD_START,
        s.BILLING_PERIOD_END,
    }  # fmt: skip
    verbatim = [_RAW + column for column in columns]
    as_text = pl.struct(pl.col(_RAW + column).cast(pl.String).alias(column) for column in columns).struct.json_encode()
    return (
        frame.with_columns(pl.any_horizontal(c.fill_null(value=False) for c, _ in found).alias(_BAD))
        .with_columns(
            cells.where(_BAD, reason, read).alias(REJECT),
            cells.where(_BAD, as_text, verbatim).alias(RAW),
        )
        .drop(verbatim)
    )


def _service() -> dict[str, pl.Expr]:
    category, subcategory = pl.col("meter_category"), pl.col("meter_subcategory")
    marketplace = (pl.col("publisher_type").str.to_lowercase() == "marketplace").fill_null(value=False)
    bought = pl.when(marketplace).then(pl.coalesce("order_name", "product", "publisher_name"))
    # a savings plan has no meter: what it commits to is compute
    plan = (pl.col(costs.MODEL) == "savingsplan") & (category.is_null() | (category == "Unassigned"))
    sub = pl.when(plan).then(pl.lit(services.COMPUTE)).otherwise(services.subcategory(category, subcategory))
    return {
        s.SERVICE_NAME: services.name(category, subcategory, bought, pl.col("order_name"), pl.col("product")),
        s.SERVICE_SUBCATEGORY: sub,
        s.SERVICE_CATEGORY: services.category(sub),
        s.SERVICE_PROVIDER_NAME: (
            pl.when(marketplace).then(pl.coalesce("publisher_name", pl.lit(MICROSOFT))).otherwise(pl.lit(MICROSOFT))
        ),
    }


def _names(kinds: Kinds) -> dict[str, pl.Expr]:
    """Providers, accounts, SKU, place and resource; and what is kept beside."""
    mca = pl.lit(views.is_mca(kinds))
    profile = pl.when(mca).then("billing_profile_id")
    account = pl.coalesce(profile, "billing_account_id", "subscription_id")
    resource, reservation = pl.col("resource_id"), costs.info("VMCapacityReservationId")
    path = resource.str.to_lowercase().str.extract(r".*/providers/([^/]+/[^/]+)", 1)
    machine = costs.info("ServiceType")
    is_machine = pl.col("meter_category") == "Virtual Machines"
    return {
        s.HOST_PROVIDER_NAME: pl.lit(MICROSOFT),
        s.INVOICE_ISSUER_NAME: pl.coalesce("partner_name", pl.lit(MICROSOFT)),
        s.INVOICE_ID: pl.col("invoice_id"),
        s.BILLING_ACCOUNT_ID: account,
        s.BILLING_ACCOUNT_NAME: pl.coalesce(
            pl.when(mca).then("billing_profile_name"), "billing_account_name"
        ),
        s.BILLING_ACCOUNT_TYPE: (
            pl.when(profile.is_not_null()).then(pl.lit("Billing Profile"))
            .when(pl.col("billing_account_id").is_not_null()).then(pl.lit("Billing Account"))
            .when(pl.col("subscription_id").is_not_null()).then(pl.lit("Subscription"))
        ),
        s.SUB_ACCOUNT_ID: pl.col("subscription_id"),
        s.SUB_ACCOUNT_NAME: pl.col("subscription_name"),
        s.SUB_ACCOUNT_TYPE: pl.when(pl.col("subscription_id").is_not_null()).then(pl.lit("Subscription")),
        s.CHARGE_DESCRIPTION: pl.coalesce("product", "order_name", "meter_name"),
        s.SKU_ID: pl.coalesce("product_id", "meter_id"),
        s.SKU_METER: pl.col("meter_name"),
        s.USAGE_TYPE: pl.col("meter_name"),
        s.INSTANCE_TYPE: pl.when(is_machine & machine.str.contains("^(?:Standard|Basic)_")).then(machine),
        s.SKU_PRICE_DETAILS: pl.col("additional_info").str.replace_all(r'([{,]\s*)"(\w+)"\s*:', '$1"x_$2":'),
        s.REGION_ID: pl.coalesce(services.region(pl.col("location")), services.region(pl.col("meter_region"))),
        s.REGION_NAME: pl.coalesce("meter_region", "location"),
        s.AVAILABILITY_ZONE: pl.col("zone"),
        s.RESOURCE_ID: resource,
        s.RESOURCE_NAME: pl.coalesce("resource_name", resource.str.extract(r"([^/]+)/?$", 1)),
        s.RESOURCE_TYPE: pl.coalesce(path, pl.col("resource_type").str.to_lowercase()),
        s.CAPACITY_RESERVATION_ID: reservation,
        s.CAPACITY_RESERVATION_STATUS: (
            pl.when(reservation.is_null()).then(None)
            .when(path.str.starts_with("microsoft.compute/capacityreservationgroups")).then(pl.lit("Unused"))
            .otherwise(pl.lit("Used"))
        ),
        s.PRICING_CURRENCY: pl.coalesce("pricing_currency", s.BILLING_CURRENCY),
        s.PRICING_CURRENCY_CONTRACTED_UNIT_PRICE: pl.when(pl.col(costs.TYPE) == "usage").then("unit_price"),
        s.PRICING_CURRENCY_LIST_UNIT_PRICE: pl.when(pl.col(costs.TYPE) == "usage").then("list_price"),
        s.SOURCE_COLUMNS: (
            pl.when(pl.col(costs.BLOCK) == 1).then(s.SOURCE_COLUMNS)
            .otherwise(
                pl.concat_str(
                    pl.coalesce(pl.col(s.SOURCE_COLUMNS).str.strip_suffix("}") + ",", pl.lit("{")),
                    pl.lit('"x_PricingBlockSize":"'), pl.col(costs.BLOCK).cast(pl.Int64), pl.lit('"}'),
                )
            )
        ),
    }  # fmt: skip


def _named(columns: dict[str, pl.Expr]) -> list[pl.Expr]:
    return [value.alias(name) for name, value in columns.items()]


_FILLED: Final = frozenset({
    *_periods(), *_service(), *_names({}), *(name for stage in (*costs.quantities(), *costs.four_costs()) for name in
    stage), *costs.categories(), *costs.commitments(), s.TAGS, s.SOURCE_FILE, s.SOURCE_ROW, REJECT, RAW, SOURCE_ROWS,
})  # fmt: skip
