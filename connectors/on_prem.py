"""The asset ledger: servers that a company owns, as daily FOCUS charges by the formulas of finops.capital.

One ledger row is one asset. BilledCost is cash in its period; EffectiveCost spreads the purchase over the asset's life.

| charge | when | BilledCost | EffectiveCost |
|---|---|---|---|
| purchase | the in-service day | purchase_price | 0 |
| depreciation | each day of the life | 0 | purchase_price x (1 - residual_ratio) / days |
| write-off | the last day of an asset that retires before its life ends | 0 | what was not depreciated yet |
| energy | each day | power_kw x utilization_ratio x pue x 24 x energy_price_per_kwh | the same |
| colocation | each day | power_kw x colo_price_per_kw_month / days of the month | the same |
| support | each day | purchase_price x maintenance_ratio_per_year / 12 / days of the month | the same |
| staff | each day | staff_cost_per_month / days of the month | the same |

The effective cost of a purchase sums to purchase_price x (1 - residual_ratio), to the last decimal. Days run from
in_service_date to the day before retired_date. An asset with accelerators that outlives its life goes on with
depreciation rows of 0, because these carry its accelerator-hours.
"""

import json
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation, localcontext
from itertools import groupby
from pathlib import Path
from typing import Final

import polars as pl

from connectors.files import ROW_INDEX, readable, scan
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import capital
from finops import schema as s
from finops.errors import CallError, InputError
from finops.money import CONTEXT, QUANTUM, split

NAME: Final = "on_prem"

NEEDED: Final = ("asset_id", "purchase_price", "currency", "in_service_date", "life_years")
"""Without these columns a file is refused; the others may be absent or empty."""
NUMBERS: Final[dict[str, tuple[str, str | None, str | None]]] = {
    "purchase_price": ("0", "0", None), "life_years": ("0", None, None), "residual_ratio": ("0", "0", "1"),
    "accelerator_count": ("0", "0", None), "power_kw": ("0", "0", None), "utilization_ratio": ("1", "0", "1"),
    "pue": ("1", "1", None), "energy_price_per_kwh": ("0", "0", None), "colo_price_per_kw_month": ("0", "0", None),
    "maintenance_ratio_per_year": ("0", "0", "1"), "staff_cost_per_month": ("0", "0", None),
}  # fmt: skip
"""The ledger's numbers: value of an empty cell, least, most."""
TEXTS: Final = (
    "name", "site", "region", "country", "hosting", "server_model", "accelerator_model", "team", "use_case", "purpose",
    "cost_center", "environment",
)  # fmt: skip

PROVIDERS: Final = {"on_prem": "On-premises", "colo": "Colocation", "edge": "Edge"}
_AI_PURPOSES: Final = ("training", "fine_tuning", "inference", "development")
ACCOUNT: Final = "asset-ledger"
"""Billing account of all charges."""


@dataclass(frozen=True)
class _Kind:
    """What all charges of one sort have in common."""

    category: str
    frequency: str
    service: str
    service_category: str
    service_subcategory: str
    driver: str | None
    unit: str | None = None


_COMPUTE = ("Compute", "Compute/Other (Compute)")
_OTHER = ("Other", "Other/Other (Other)")
_SUPPORT = ("Management and Governance", "Management and Governance/Support")
KINDS: Final = {
    "purchase": _Kind("Purchase", "One-Time", "Owned servers", *_COMPUTE, None, "Servers"),
    "depreciation": _Kind("Usage", "Recurring", "Owned servers", *_COMPUTE, None, "Hours"),
    "write-off": _Kind("Adjustment", "One-Time", "Owned servers", *_COMPUTE, None),
    "energy": _Kind("Usage", "Usage-Based", "Energy", *_OTHER, "energy", "kWh"),
    "colocation": _Kind("Usage", "Recurring", "Colocation", *_OTHER, "other"),
    "support": _Kind("Usage", "Recurring", "Hardware support", *_SUPPORT, "support"),
    "staff": _Kind("Usage", "Recurring", "Operations staff", *_OTHER, "people"),
}
"""The charges of the table above; owned servers get the driver accelerator, or compute where they have none."""


@dataclass(frozen=True)
class Asset:
    """One readable row of the ledger."""

    row: int
    asset_id: str
    currency: str
    in_service: date
    retired: date | None
    text: Mapping[str, str | None]
    number: Mapping[str, Decimal]

    @property
    def life_end(self) -> date:
        """The first day after its life."""
        return capital.life_end(in_service=self.in_service, life_years=self.number["life_years"])


@dataclass(frozen=True)
class _Charge:
    row: int
    kind: str
    day: date
    billed: Decimal
    effective: Decimal
    quantity: Decimal | None = None


def parse(part: RawPart) -> pl.LazyFrame:
    """The ledger's assets as charges up to the day before part.until; see connectors.registry.

    Raises InputError for a file without one of NEEDED, or one that is empty, damaged or cut off.
    """
    assets, rejected = _ledger(part.path)
    return pl.concat([_charges(assets, part), _rejected(rejected, part)]).lazy()


def read_assets(path: Path) -> list[Asset]:
    """The assets of a ledger; rows that cannot be one are left out, as they are quarantined when it is ingested."""
    return _ledger(path)[0]


def _ledger(path: Path) -> tuple[list[Asset], list[tuple[Mapping[str, str | None], str]]]:
    """The assets, and the rows that cannot be one with the reason."""
    with readable(path):
        ledger = scan(path).collect()
    ledger = ledger.rename({c: c.strip().lower() for c in ledger.columns})
    missing = [c for c in NEEDED if c not in ledger.columns]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}",
            expected="an asset ledger with at least " + ", ".join(NEEDED),
            next_step="name the right --connector for this file, or add the columns",
        )
    assets: list[Asset] = []
    rejected: list[tuple[Mapping[str, str | None], str]] = []
    seen: set[str] = set()
    for cells in ledger.iter_rows(named=True):
        try:
            asset = _asset(cells, seen)
        except CallError as error:
            rejected.append((cells, f"{error.found}; expected {error.expected}"))
        else:
            seen.add(asset.asset_id)
            assets.append(asset)
    return assets, rejected


# ------------------------------------------------------------------------------------------------------ ledger rows
def _asset(cells: Mapping[str, str | None], seen: set[str]) -> Asset:
    """The asset of a row; raises CallError for what is wrong with it."""
    asset_id = _filled(cells, "asset_id")
    if asset_id in seen:
        raise _wrong(f'asset_id "{asset_id}" stands in an earlier row too', "one row an asset")
    currency = _filled(cells, "currency").upper()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise _wrong(f'currency is "{currency}"', "an ISO 4217 code")
    text = {name: _cell(cells, name) for name in TEXTS}
    text["hosting"] = text["hosting"] or "on_prem"
    if text["hosting"] not in PROVIDERS:
        raise _wrong(f'hosting is "{text["hosting"]}"', " or ".join(PROVIDERS))
    if text["purpose"] not in (None, *s.PURPOSES):
        raise _wrong(f'purpose is "{text["purpose"]}"', " or ".join(s.PURPOSES))
    in_service, retired = _day(_filled(cells, "in_service_date"), "in_service_date"), _cell(cells, "retired_date")
    asset = Asset(
        row=int(cells[ROW_INDEX] or 0), asset_id=asset_id, currency=currency, in_service=in_service,
        retired=_day(retired, "retired_date") if retired else None, text=text,
        number={name: _number(cells, name) for name in NUMBERS},
    )  # fmt: skip
    if asset.retired is not None and asset.retired <= in_service:
        raise _wrong(f"retired_date {retired} is not after in_service_date {in_service}", "a later day, or none")
    assert asset.life_end > in_service, "a life of no whole number of months raises"
    return asset


def _cell(cells: Mapping[str, str | None], name: str) -> str | None:
    return (cells.get(name) or "").strip() or None


def _filled(cells: Mapping[str, str | None], name: str) -> str:
    value = _cell(cells, name)
    if value is None:
        raise _wrong(f"{name} is empty", "a value")
    return value


def _number(cells: Mapping[str, str | None], name: str) -> Decimal:
    default, least, most = NUMBERS[name]
    text = _filled(cells, name) if name in NEEDED else _cell(cells, name) or default
    bounds = " and ".join(b for b in (least and f"at least {least}", most and f"at most {most}") if b)
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise _wrong(f'{name} is "{text}"', f"a plain number {bounds}".strip()) from error
    inside = (
        value.is_finite() and (least is None or value >= Decimal(least)) and (most is None or value <= Decimal(most))
    )
    if not inside:
        raise _wrong(f'{name} is "{text}"', f"a plain number {bounds}".strip())
    return value


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _wrong(f'{name} is "{text}"', "a date as YYYY-MM-DD") from error


def _wrong(found: str, expected: str) -> CallError:
    return CallError(found, expected=expected, next_step="correct this row of the ledger")


# ---------------------------------------------------------------------------------------------------- charges of one
def _asset_charges(asset: Asset, until: date) -> Iterator[_Charge]:
    end = min(until, asset.retired or until)
    if end <= asset.in_service:
        return
    price, zero = asset.number["purchase_price"], Decimal(0)
    yield _Charge(asset.row, "purchase", asset.in_service, price, zero, Decimal(1))
    yield from _purchase_over_life(asset, end)
    days = [asset.in_service + timedelta(days=i) for i in range((end - asset.in_service).days)]
    kwh, energy = _energy_of_a_day(asset)
    if energy:
        yield from (_Charge(asset.row, "energy", day, energy, energy, kwh) for day in days)
    for kind, per_month in _monthly_costs(asset).items():
        if per_month:
            yield from (_Charge(asset.row, kind, day, share, share) for day, share in _by_day(per_month, days))


def _purchase_over_life(asset: Asset, end: date) -> Iterator[_Charge]:
    life_days = (asset.life_end - asset.in_service).days
    price, residual_ratio = asset.number["purchase_price"], asset.number["residual_ratio"]
    shares = capital.daily_depreciation(price=price, residual_ratio=residual_ratio, days=life_days)
    zero, hours = Decimal(0), Decimal(capital.HOURS_PER_DAY)
    served = (end - asset.in_service).days
    for i in range(served if asset.number["accelerator_count"] else min(served, life_days)):
        share = shares[i] if i < life_days else zero
        yield _Charge(asset.row, "depreciation", asset.in_service + timedelta(days=i), zero, share, hours)
    if end == asset.retired and served < life_days:
        with localcontext(CONTEXT):
            rest = sum(shares[served:], zero)
        yield _Charge(asset.row, "write-off", end - timedelta(days=1), zero, rest)


def _energy_of_a_day(asset: Asset) -> tuple[Decimal, Decimal]:
    number = asset.number
    kwh = capital.energy_kwh(
        power_kw=number["power_kw"],
        utilization_ratio=number["utilization_ratio"],
        pue=number["pue"],
        hours=Decimal(capital.HOURS_PER_DAY),
    )
    cost = CONTEXT.multiply(kwh, number["energy_price_per_kwh"])
    return kwh.quantize(QUANTUM, context=CONTEXT), cost.quantize(QUANTUM, context=CONTEXT)


def _monthly_costs(asset: Asset) -> dict[str, Decimal]:
    number, month = asset.number, Decimal(1)
    return {
        "colocation": capital.colocation_cost(
            power_kw=number["power_kw"], price_per_kw_month=number["colo_price_per_kw_month"], months=month
        ),
        "support": capital.maintenance_cost(
            price=number["purchase_price"], ratio_per_year=number["maintenance_ratio_per_year"], months=month
        ),
        "staff": capital.staff_cost(cost_per_month=number["staff_cost_per_month"], months=month),
    }


def _by_day(per_month: Decimal, days: list[date]) -> Iterator[tuple[date, Decimal]]:
    """Each day's share of its month; a month served whole sums to per_month exactly."""
    for (year, month), served in groupby(days, key=lambda d: (d.year, d.month)):
        shares = split(per_month, [Decimal(1)] * monthrange(year, month)[1])
        yield from ((day, shares[day.day - 1]) for day in served)


# ------------------------------------------------------------------------------------------------------ FOCUS columns
def _charges(assets: list[Asset], part: RawPart) -> pl.DataFrame:
    charges = [charge for asset in assets for charge in _asset_charges(asset, part.until)]
    narrow = pl.DataFrame(
        {
            "row": pl.Series([c.row for c in charges], dtype=pl.Int64),
            "kind": pl.Series([c.kind for c in charges], dtype=pl.String),
            "day": pl.Series([c.day for c in charges], dtype=pl.Date),
            s.BILLED_COST: pl.Series([c.billed for c in charges], dtype=s.MONEY),
            s.EFFECTIVE_COST: pl.Series([c.effective for c in charges], dtype=s.MONEY),
            "quantity": pl.Series([c.quantity for c in charges], dtype=s.MONEY),
        }
    )
    wide = narrow.join(_kind_columns(), on="kind").join(_asset_columns(assets), on="row")
    owned, usage = pl.col("kind") == "depreciation", pl.col(s.CHARGE_CATEGORY) == "Usage"
    start, month = _at_midnight(pl.col("day")), _at_midnight(pl.col("day").dt.month_start())
    return _parsed(
        wide.with_columns(
            pl.coalesce(
                s.DRIVER,
                pl.when(pl.col(s.ACCELERATOR_COUNT) > 0).then(pl.lit("accelerator")).otherwise(pl.lit("compute")),
            ),
            pl.when(owned).then(pl.col(s.ACCELERATOR_COUNT) * pl.col("quantity")).alias(s.ACCELERATOR_HOURS),
            pl.when(usage).then("quantity").alias(s.CONSUMED_QUANTITY),
            pl.when(usage).then("unit").alias(s.CONSUMED_UNIT),
            pl.col("quantity").alias(s.PRICING_QUANTITY),
            pl.col("unit").alias(s.PRICING_UNIT),
            pl.col(s.BILLED_COST).alias(s.CONTRACTED_COST),
            pl.col(s.BILLED_COST).alias(s.LIST_COST),
            pl.format("{}: {}", pl.col("kind").str.to_titlecase(), s.RESOURCE_NAME).alias(s.CHARGE_DESCRIPTION),
            start.alias(s.CHARGE_PERIOD_START),
            start.dt.offset_by("1d").alias(s.CHARGE_PERIOD_END),
            month.alias(s.BILLING_PERIOD_START),
            month.dt.offset_by("1mo").alias(s.BILLING_PERIOD_END),
            # one charge a row, day and SKU: together they identify it
            pl.col("kind").alias(s.SKU_ID),
            pl.col("row").alias(s.SOURCE_ROW),
            (pl.col("kind") == "purchase").cast(pl.Int64).alias(SOURCE_ROWS),
        ),
        part,
    )


def _kind_columns() -> pl.DataFrame:
    columns = {
        s.CHARGE_CATEGORY: "category", s.CHARGE_FREQUENCY: "frequency", s.SERVICE_NAME: "service",
        s.SERVICE_CATEGORY: "service_category", s.SERVICE_SUBCATEGORY: "service_subcategory", s.DRIVER: "driver",
        "unit": "unit",
    }  # fmt: skip
    return pl.DataFrame(
        [
            {"kind": name, **{column: getattr(kind, field) for column, field in columns.items()}}
            for name, kind in KINDS.items()
        ]
    )


def _asset_columns(assets: list[Asset]) -> pl.DataFrame:
    """FOCUS and x_ columns <- ledger columns."""
    rows = []
    for asset in assets:
        text, count = asset.text, asset.number["accelerator_count"]
        provider = PROVIDERS[text["hosting"] or ""]
        rows.append({
            "row": asset.row,
            s.BILLING_ACCOUNT_ID: ACCOUNT, s.BILLING_ACCOUNT_NAME: "Asset ledger", s.BILLING_CURRENCY: asset.currency,
            s.SERVICE_PROVIDER_NAME: provider, s.HOST_PROVIDER_NAME: provider, s.INVOICE_ISSUER_NAME: provider,
            s.SUB_ACCOUNT_ID: text["site"], s.SUB_ACCOUNT_NAME: text["site"], s.REGION_ID: text["region"],
            s.REGION_NAME: text["region"], s.RESOURCE_ID: asset.asset_id,
            s.RESOURCE_NAME: text["name"] or asset.asset_id, s.RESOURCE_TYPE: "Server",
            s.PRICING_CATEGORY: "Standard", s.TAGS: _tags(text), s.INSTANCE_TYPE: text["server_model"],
            s.IS_AI: True if count or text["purpose"] in _AI_PURPOSES else None, s.HOSTING: text["hosting"],
            s.PURPOSE: text["purpose"],
            s.ACCELERATOR_MODEL: text["accelerator_model"], s.ACCELERATOR_COUNT: count if count else None,
            s.TEAM: text["team"], s.USE_CASE: text["use_case"], s.COST_CENTER: text["cost_center"],
            s.ENVIRONMENT: text["environment"], s.OWNER_STATUS: "known" if text["team"] else None,
        })  # fmt: skip
    kinds = {"row": pl.Int64(), **{c: PARSED[c] for c in rows[0] if c != "row"}} if rows else {"row": pl.Int64()}
    return pl.DataFrame(rows, schema=kinds)


def _tags(text: Mapping[str, str | None]) -> str:
    kept = ("team", "use_case", "purpose", "cost_center", "environment", "site", "country")
    return json.dumps({name: text[name] for name in kept if text[name]}, ensure_ascii=False)


def _at_midnight(day: pl.Expr) -> pl.Expr:
    return day.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _rejected(rows: list[tuple[Mapping[str, str | None], str]], part: RawPart) -> pl.DataFrame:
    """One row for each ledger row that cannot be an asset, with its price and month where they can be read."""
    found = []
    for cells, reason in rows:
        raw = {name: value for name, value in cells.items() if name != ROW_INDEX}
        found.append({
            s.SOURCE_ROW: int(cells[ROW_INDEX] or 0), REJECT: reason, RAW: json.dumps(raw, ensure_ascii=False),
            SOURCE_ROWS: 1, s.BILLING_CURRENCY: (_cell(cells, "currency") or "").upper() or None,
            s.BILLED_COST: _cell(cells, "purchase_price"), "day": _cell(cells, "in_service_date"),
        })  # fmt: skip
    columns = (s.SOURCE_ROW, REJECT, RAW, SOURCE_ROWS, s.BILLING_CURRENCY)
    frame = pl.DataFrame(
        found, schema={**{c: PARSED[c] for c in columns}, s.BILLED_COST: pl.String(), "day": pl.String()}
    )
    month = _at_midnight(pl.col("day").str.to_date("%Y-%m-%d", strict=False).dt.month_start())
    return _parsed(
        frame.with_columns(
            pl.col(s.BILLED_COST).cast(s.MONEY, strict=False),
            month.alias(s.BILLING_PERIOD_START),
            month.dt.offset_by("1mo").alias(s.BILLING_PERIOD_END),
        ),
        part,
    )


def _parsed(frame: pl.DataFrame, part: RawPart) -> pl.DataFrame:
    named = frame.with_columns(pl.lit(part.name).alias(s.SOURCE_FILE))
    return named.select(
        (pl.col(name) if name in named.columns else pl.lit(None)).cast(kind).alias(name)
        for name, kind in PARSED.items()
    )
