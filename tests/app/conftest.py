"""A small company whose figures the tests know: seven months of five bills, budgets, forecasts, plans, an alert."""

import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import schema as s
from finops.config import load_config
from finops.pipeline.daily import spend_daily
from finops.pipeline.placement import store_plans
from finops.store import Lake
from optimizer.document import parse_scenario
from optimizer.placement import place
from optimizer.solve import Settings

FIRST, LAST = date(2026, 4, 1), date(2026, 10, 31)
NOW = datetime(2026, 11, 2, 7, 30, tzinfo=UTC)

BUDGETS = (("is_ai=true", 780_000, "CFO"), ("team=Support", 390_000, "Ada"), ("team=Search", 300_000, "Grace"))
# provider, service, driver, purpose, hosting, team, use case, accelerator, model, cost a day, growth a day
STREAMS = (
    ("AWS", "Amazon EC2", "accelerator", "training", "cloud", "Search", "ranking", "H100-80GB", None, 9000, 0.0),
    ("AWS", "Amazon EC2", "accelerator", "inference", "cloud", "Support", "assistant", "A100-80GB", None, 4200, 0.009),
    ("AWS", "Amazon S3", "storage", "shared", "cloud", "Platform", None, None, None, 800, 0.001),
    ("AWS", "Bedrock", "model_api", "inference", "api", "Support", "assistant", None, "claude-sonnet", 2600, 0.014),
    ("Microsoft", "Azure OpenAI", "model_api", "inference", "api", "Sales", "lead-notes", None, "gpt-4.1", 1900, 0.003),
    ("Microsoft", "Azure OpenAI", "model_api", "development", "api", None, None, None, "gpt-4.1-mini", 400, 0.006),
    ("Own", "H100 servers", "accelerator", "training", "on_prem", "Research", "vision", "H100-80GB", None, 3100, 0.0),
    ("AWS", "Amazon EC2", "compute", "unknown", "cloud", "Web", "shop", None, None, 1500, 0.001),
)  # fmt: skip


@pytest.fixture(autouse=True)
def main_module() -> Iterator[None]:
    """Streamlit's AppTest takes the place of __main__, which processes that other tests spawn look for."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def charges() -> pl.DataFrame:
    """One charge a day of every stream, and one fee for a whole month that no day alone can hold."""
    rows = [_charge(n, day, stream) for n, stream in enumerate(STREAMS) for day in _days()]
    for number, month in enumerate(sorted({d.replace(day=1) for d in _days()})):
        fee = _charge(
            90 + number,
            month,
            ("AWS", "AWS Support", "support", "shared", "cloud", "Platform", None, None, None, 7777, 0.0),
        )
        end = (month + timedelta(days=32)).replace(day=1)
        rows.append({**fee, s.CHARGE_PERIOD_END: _at(end), s.CHARGE_FREQUENCY: "Recurring"})
    columns = s.TABLES["charges"].columns
    return pl.DataFrame(rows, schema_overrides={k: v for k, v in columns.items() if k in rows[0]}).select(
        pl.col(name) if name in rows[0] else pl.lit(None, dtype=kind).alias(name) for name, kind in columns.items()
    )


def _days() -> Iterator[date]:
    return (FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1))


def _at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _charge(number: int, day: date, stream: tuple[object, ...]) -> dict[str, object]:
    provider, service, driver, purpose, hosting, team, use_case, accelerator, model, base, growth = stream
    age = (day - FIRST).days
    weekend = Decimal("0.8") if day.weekday() > 4 and purpose == "inference" else Decimal(1)
    cost = (Decimal(str(base)) * (1 + Decimal(str(growth)) * age) * weekend + Decimal(age % 7) / 3).quantize(
        Decimal("0.000001")
    )
    month = day.replace(day=1)
    source = {"AWS": "aws", "Microsoft": "azure"}.get(str(provider), "servers")
    return {
        s.CHARGE_ID: f"{source}-{number}-{day}", s.SOURCE_ID: source, s.BATCH_ID: "b1",
        s.SOURCE_FILE: f"{source}-{month:%Y-%m}.csv",
        s.SOURCE_ROW: age + 2, s.BILLING_PERIOD: f"{month:%Y-%m}", s.LEDGER_ROLE: s.BILLED,
        s.BILLED_COST: cost, s.EFFECTIVE_COST: cost, s.CONTRACTED_COST: cost, s.LIST_COST: cost * 2,
        s.BILLING_CURRENCY: "USD", s.BILLING_ACCOUNT_ID: "0042", s.SERVICE_PROVIDER_NAME: provider,
        s.SERVICE_NAME: service, s.CHARGE_CATEGORY: "Usage", s.CHARGE_FREQUENCY: "Usage-Based",
        s.CHARGE_DESCRIPTION: f"{service} for {team or 'nobody'}",
        s.CHARGE_PERIOD_START: _at(day), s.CHARGE_PERIOD_END: _at(day + timedelta(days=1)),
        s.BILLING_PERIOD_START: _at(month), s.BILLING_PERIOD_END: _at((month + timedelta(days=32)).replace(day=1)),
        s.IS_AI: purpose != "unknown", s.DRIVER: driver, s.PURPOSE: purpose, s.CLASSIFIED_BY: f"rule-{driver}",
        s.HOSTING: hosting, s.ACCELERATOR_MODEL: accelerator, s.MODEL_ID: model, s.TEAM: team, s.USE_CASE: use_case,
        s.OWNER_STATUS: "known" if team else "none", s.REGION_ID: "eu-central-1",
        s.ACCELERATOR_HOURS: cost / 4 if accelerator else None, s.TOKENS: cost * 250_000 if model else None,
        s.TOKEN_DIRECTION: None if not model else "Output" if age % 2 else "Input",
        s.TOKEN_CACHE_ACTION: "Read" if model and age % 4 == 0 else None,
        s.CONSUMER_ID: f"key-{use_case}-{age % 3}" if model and use_case else None,
    }  # fmt: skip


def forecasts() -> pl.DataFrame:
    """A frozen forecast of all AI spend and of inference, 90 days from the end of the data."""
    rows = []
    for grouping, series, level in (("total", "total", 36500.0), ("purpose", "purpose=inference", 24000.0)):
        for ahead in range(1, 91):
            day, mean = LAST + timedelta(days=ahead), level * (1 + ahead / 300)
            spread = {"p025": 0.8, "p05": 0.84, "p10": 0.88, "p50": 1.0, "p90": 1.12, "p95": 1.16, "p975": 1.2}
            rows.append(
                {"forecast_id": "f1", "made_at": NOW, "cutoff": LAST, "grouping": grouping, "series": series,
                 "measure": "effective", "currency": "USD", "date": day, "model": "prophet", "mean": mean,
                 **{q: mean * f for q, f in spread.items()}, "cutoff_month": "2026-10"}
            )  # fmt: skip
    return pl.DataFrame(rows, schema=s.TABLES["forecasts"].columns)


SCENARIO = """
name = "growth"
description = "Chat grows by half a year; embeddings stay in the EU."
currency = "USD"
start = "2026-11"
horizon_months = 24

[[workloads]]
name = "chat"
kind = "inference"
unit = "accelerator_hours"
demand_per_month = 12000
growth_ratio_per_year = 0.5
reference_accelerator = "H100-80GB"
today = "h100-hour"

[[workloads]]
name = "embeddings"
kind = "inference"
unit = "accelerator_hours"
demand_per_month = 2000
reference_accelerator = "H100-80GB"
residency = ["EU"]
today = "h100-hour"

[[options]]
name = "h100-hour"
kind = "on_demand"
provider = "AWS"
country = "DE"
accelerator = "H100-80GB"
accelerator_count = 8
price = { amount = 60, source = "price list", date = 2026-10-01 }

[[options]]
name = "h100-us-hour"
kind = "on_demand"
provider = "Lambda"
country = "US"
accelerator = "H100-80GB"
accelerator_count = 8
price = { amount = 24, source = "price list", date = 2026-10-01 }

[[options]]
name = "own-h100"
kind = "on_prem"
provider = "Own servers"
country = "DE"
accelerator = "H100-80GB"
accelerator_count = 8
price = { amount = 280000, source = "quote", date = 2026-09-15 }
life_months = 48
power_kw = 10.2
pue = 1.3
energy_price_per_kwh = 0.18
running_source = "own meters"
running_date = 2026-09-15
lead_time_months = 3
utilisation_ceiling_ratio = 0.8
"""


def _frame(table: str, *rows: dict[str, object]) -> pl.DataFrame:
    columns = s.TABLES[table].columns
    return pl.DataFrame([{c: row.get(c) for c in columns} for row in rows], schema=columns)


def fill(home: Path) -> Path:
    """Write the company's lake into a home."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "finops.toml").write_text('[company]\nname = "Small Company"\n')
    rows = charges()
    months = sorted({f"{d:%Y-%m}" for d in _days()})
    total = rows.group_by(s.SOURCE_ID, s.BILLING_PERIOD).agg(pl.len(), pl.col(s.BILLED_COST).sum())
    loads = [
        {"source_id": source, "billing_period": period, "source_file": f"{source}-{period}.csv", "batch_id": "b1",
         "currency": "USD", "rows_read": n, "rows_stored": n, "rows_quarantined": 0, "billed_read": cost,
         "billed_stored": cost,
         "billed_quarantined": Decimal(0), "effective_read": cost, "effective_stored": cost,
         "effective_quarantined": Decimal(0), "loaded_at": NOW}
        for source, period, n, cost in total.iter_rows()
    ]  # fmt: skip
    invoices = [
        {"invoice_id": f"I-{source}-{period}", "source_id": source, "billing_period": period, "issuer": source,
         "amount": cost, "currency": "USD", "source": "invoices.csv"}
        for source, period, _n, cost in total.iter_rows()
    ]  # fmt: skip
    budgets = [
        {"budget_id": scope, "scope": scope, "period": period, "amount": Decimal(amount), "currency": "USD",
         "cost": "effective", "owner": owner, "source": "budgets.csv"}
        for period in months
        for scope, amount, owner in BUDGETS
    ]  # fmt: skip
    alert = {
        "alert_id": "a1", "rule": "budget", "kind": "budget", "severity": "breach", "scope": "team=Support",
        "period": "2026-10", "currency": "USD", "message": "Support is over its budget",
        "next_step": "ask Ada", "owner": "Ada", "state": "open",
        "first_seen_at": NOW, "updated_at": NOW,
    }  # fmt: skip
    judged = [
        {"forecast_id": "f1", "made_at": NOW, "grouping": "total", "series": series, "measure": "effective",
         "model": "prophet", "chosen": True, "days_ahead": "all", "horizon": 30, "origins": 6,
         "wape": 0.071, "smape": 0.07, "mase": 0.8, "bias": 0.01,
         "coverage80": 0.82, "coverage95": 0.96}
        for series in ("total",)
    ]  # fmt: skip
    unpriced = {
        "source_id": "gateway", "billing_period": "2026-10", "ledger_role": s.DERIVED, "day": date(2026, 10, 15),
        "provider": "openai", "operation": "completions", "model": "house-model-1", "team": "Sales",
        "uncached_input_tokens": Decimal(5_000_000), "requests": Decimal(40), "usage_rows": 1, "batch_id": "b1",
    }  # fmt: skip
    with Lake.of(load_config(home)).transaction("test company") as tx:
        tx.replace("token_usage", _frame("token_usage", unpriced))
        tx.replace("charges", rows)
        tx.replace("spend_daily", spend_daily(rows.lazy()))
        tx.replace("loads", _frame("loads", *loads))
        tx.replace("invoices", _frame("invoices", *invoices))
        tx.replace("budgets", _frame("budgets", *budgets))
        tx.append("forecasts", forecasts())
        tx.append("backtests", _frame("backtests", *judged))
        tx.append("alerts", _frame("alerts", alert))
    store_plans(Lake.of(load_config(home)), [place(parse_scenario(SCENARIO, name="growth.toml"), settings=Settings())])
    return home


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the small company; tests only read it."""
    return fill(tmp_path_factory.mktemp("company") / "home")


@pytest.fixture(scope="session")
def bills_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds bills and nothing that was made of them."""
    home = tmp_path_factory.mktemp("bills")
    rows = charges()
    with Lake.of(load_config(home)).transaction("bills") as tx:
        tx.replace("charges", rows)
        tx.replace("spend_daily", spend_daily(rows.lazy()))
    return home


@pytest.fixture(scope="session")
def two_currencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose Azure bill is in euro."""
    home = tmp_path_factory.mktemp("currencies")
    euro = pl.when(pl.col(s.SOURCE_ID) == "azure").then(pl.lit("EUR")).otherwise(pl.lit("USD"))
    rows = charges().with_columns(euro.alias(s.BILLING_CURRENCY))
    with Lake.of(load_config(home)).transaction("bills") as tx:
        tx.replace("charges", rows)
        tx.replace("spend_daily", spend_daily(rows.lazy()))
    return home


@pytest.fixture
def at_home(company: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small company as the home that the app serves."""
    monkeypatch.setenv("FINOPS_HOME", str(company))
    return company
