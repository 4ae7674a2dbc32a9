"""What finance keeps beside the bills: budgets, invoices, FX rates, business metrics, and who owns which account."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
import polars as pl

from connectors.demo import aws, azure, gcp, ledger, model_apis, truth
from connectors.demo.activity import WEEK, WORKLOAD
from connectors.demo.api_plan import ANTHROPIC, CALLS, KEYS, OPENAI, ORGANIZATIONS, PROJECTS
from connectors.demo.company import ACCOUNTS, COST_CENTERS, Account, Calendar, days_of_month, invoice_id, month_before
from connectors.demo.company import account as account_of
from connectors.demo.model_apis import Apis

FOLDER: Final = Path("raw/finance")
TABLES: Final = ("budgets", "invoices", "fx_rates", "business_metrics", "mappings")
PURPOSES: Final = ("inference", "training", "fine_tuning", "development")
OWNERS: Final = {
    "Support": "mara.lindqvist@aldermoor.example", "Search": "jonas.weber@aldermoor.example",
    "Research": "ines.carvalho@aldermoor.example", "Platform": "tom.okafor@aldermoor.example",
    "Risk": "hanna.deboer@aldermoor.example", "Insights": "priya.raman@aldermoor.example",
}  # fmt: skip
CONTROLLER: Final = "finance@aldermoor.example"

HEADROOM: Final = {
    "all": 1.08, "is_ai=true": 1.07, "team=Support": 1.04, "team=Search": 1.07, "team=Research": 1.12,
    "team=Platform": 1.06, "team=Risk": 1.08, "team=Insights": 1.15, "purpose=inference": 1.03,
    "purpose=training": 1.12, "purpose=fine_tuning": 1.3, "purpose=development": 1.3,
}  # fmt: skip
"""What a budget has on top of the usual cost; workloads that come in runs get more."""
BUDGET_NAMES: Final = {"is_ai=true": "ai"}
GROWTH_PER_MONTH: Final = 1.015
"""What budgets of the open month and later ones assume."""
SMOOTHED_MONTHS: Final = 3
EUR_USD: Final = 1.16
"""Where the demo's exchange rate wanders around; an assumption, not a quote."""
FX_DRIFT: Final = 0.003
INVOICE_DAY: Final = 3


@dataclass(frozen=True)
class Metric:
    """A count that the business keeps of a use case: on the last day, and how it grows in a year."""

    use_case: str
    metric: str
    on_last_day: float
    growth: float
    rhythm: str


METRICS: Final = (
    Metric("support-assistant", "conversations", 46_000, 1.12, "consumer"),
    Metric("ticket-summaries", "tickets", 9_300, 1.2, "office"),
    Metric("search-ranking", "searches", 5_900_000, 1.45, "consumer"),
    Metric("search-answers", "answers", 128_000, 1.9, "consumer"),
    Metric("fraud-scoring", "payments", 1_240_000, 1.35, "consumer"),
    Metric("document-checks", "documents", 31_000, 1.4, "office"),
    Metric("contract-review", "contracts", 2_150, 1.3, "office"),
    Metric("code-assistant", "active_developers", 640, 1.5, "office"),
    Metric("product-vision", "pictures", 2_300_000, 1.3, "consumer"),
    Metric("marketplace", "orders", 410_000, 1.25, "consumer"),
)


def write(home: Path, shown: pl.DataFrame, apis: Apis, document: dict[str, Any], calendar: Calendar, seed: int) -> None:
    """Write the five tables as CSV."""
    rates = fx_rates(calendar, seed)
    frames = {
        "budgets": budgets(shown, apis, rates, calendar),
        "invoices": invoices(document),
        "fx_rates": rates,
        "business_metrics": business_metrics(calendar, seed),
        "mappings": mappings(),
    }
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        frames[name].write_csv(folder / f"{name}.csv")


# ----------------------------------------------------------------------------------------------------------- budgets
def budgets(shown: pl.DataFrame, apis: Apis, rates: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """A budget in USD for the company, its AI, each team and each purpose, from the first month to the year's end.

    Budgets are the usual cost (no incident in it), smoothed over three months, with headroom, in whole thousands.
    """
    usual = _usual_cost(shown, apis, rates, calendar)
    last_month = date(calendar.end.year, 12, 1)
    ahead = max((last_month.year - calendar.end.year) * 12 + last_month.month - calendar.end.month, 3)
    months = [*calendar.months, *(month_before(calendar.open_month, -i) for i in range(1, ahead + 1))]
    rows = [
        {"budget_id": f"{BUDGET_NAMES.get(scope, scope.split('=')[-1].lower())}-{month:%Y-%m}", "scope": scope,
         "period": f"{month:%Y-%m}", "amount": amount, "currency": "USD", "cost": "effective",
         "owner": OWNERS.get(scope.split("=")[-1], CONTROLLER), "note": None}
        for scope in HEADROOM
        for month, amount in zip(months, _amounts(usual[scope], months, HEADROOM[scope]), strict=True)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema_overrides={"note": pl.String})


def _amounts(usual: list[float], months: list[date], headroom: float) -> list[int]:
    """usual: cost a day of each closed month."""
    smooth = pl.Series(usual).rolling_mean(SMOOTHED_MONTHS, min_samples=1, center=True).to_list()
    latest = float(np.mean(usual[-SMOOTHED_MONTHS:]))
    later = [latest * GROWTH_PER_MONTH ** (i + 2) for i in range(len(months) - len(usual))]
    per_day = [*smooth, *later]
    return [round(p * days_of_month(m) * headroom / 1000) * 1000 for p, m in zip(per_day, months, strict=True)]


def _usual_cost(shown: pl.DataFrame, apis: Apis, rates: pl.DataFrame, calendar: Calendar) -> dict[str, list[float]]:
    """Per scope the effective cost a day of each closed month without the incidents, own servers in USD."""
    unplanned = pl.col(WORKLOAD).is_in(["pretraining-burst", "sandbox-gpus", "sandbox-models"]).fill_null(value=False)
    clouds = truth.with_owners(shown.filter(~unplanned)).select(
        "month", "team", "purpose", cost=pl.col("effective_cost") * pl.col("usual_ratio").fill_null(1.0)
    )
    asked = model_apis.with_owners(apis.costs).select(
        "month", "team", "purpose", pl.col("usual").cast(float).alias("cost")
    )
    to_usd = {"USD": 1.0, "EUR": float(rates["rate"].mean() or EUR_USD)}  # type: ignore[arg-type]
    own = pl.DataFrame(
        [(c.month, c.team, c.purpose, float(c.effective) * to_usd[c.currency]) for c in ledger.monthly_costs(calendar)],
        orient="row", schema=clouds.schema,
    )  # fmt: skip
    every = pl.concat([clouds, asked, own]).filter(pl.col("month").is_in(calendar.closed))
    found = {}
    for scope in HEADROOM:
        column, _, value = scope.partition("=")
        if scope == "is_ai=true":
            rows = every.filter(pl.col("purpose").is_in(PURPOSES))
        else:
            rows = every.filter(pl.col(column) == value) if value else every
        sums = dict(rows.group_by("month").agg(pl.col("cost").sum()).iter_rows())
        found[scope] = [sums.get(month, 0.0) / days_of_month(month) for month in calendar.closed]
    return found


# ---------------------------------------------------------------------------------------------- invoices and mappings
def invoices(document: dict[str, Any]) -> pl.DataFrame:
    """One invoice a provider and closed month, dated some days into the next month."""
    issuers = {
        aws.SOURCE: (aws.ISSUER, account_of("billing").account_id), azure.SOURCE: ("Microsoft", azure.PROFILE),
        gcp.SOURCE: (gcp.ISSUER, gcp.BILLING_ACCOUNT),
        OPENAI: ("OpenAI OpCo, LLC", ORGANIZATIONS[OPENAI]), ANTHROPIC: ("Anthropic, PBC", ORGANIZATIONS[ANTHROPIC]),
    }  # fmt: skip
    rows = []
    for invoice in document["invoices"]:
        issuer, billing_account = issuers[invoice["source"]]
        month = date.fromisoformat(f"{invoice['period']}-01")
        rows.append({
            "invoice_id": invoice_id(invoice["source"], month), "source_id": invoice["source"],
            "billing_period": invoice["period"], "issuer": issuer, "account_id": billing_account,
            "amount": f"{invoice['invoice']:f}", "currency": invoice["currency"],
            "issue_date": month_before(month, -1).replace(day=INVOICE_DAY),
        })  # fmt: skip
    return pl.DataFrame(rows)


def mappings() -> pl.DataFrame:
    """Which team answers for which account, project and API key; the account that nobody knows of is not in it.

    The paying account goes by its name: its id is on every charge as BillingAccountId and would claim them all.
    """
    rows = [
        _mapped("account", _match(a), a.team, None, a.environment, a.purpose)
        for a in ACCOUNTS if a.team is not None
    ]  # fmt: skip
    rows += [_mapped("account", p.project_id, p.team, None, p.environment, p.purpose) for p in PROJECTS]
    rows += [_mapped("key", k.key_id, k.team, k.use_case, None, k.purpose) for k in KEYS]
    rows += [_mapped("key", c.via, c.team, c.name, "prod", "inference") for c in CALLS if c.via and c.team]
    return pl.DataFrame(rows, schema_overrides={"use_case": pl.String, "purpose": pl.String})


def _mapped(
    kind: str, match: str, team: str, use_case: str | None, environment: str | None, purpose: str | None
) -> dict[str, str | None]:
    return {"kind": kind, "match": match, "team": team, "use_case": use_case, "cost_center": COST_CENTERS[team],
            "environment": environment, "purpose": purpose, "owner": OWNERS[team]}  # fmt: skip


def _match(account: Account) -> str:
    if account.source == azure.SOURCE:
        return azure.subscription_id(account)
    return account.name if account.key == "billing" else account.account_id


# ------------------------------------------------------------------------------------------- rates and what was served
def fx_rates(calendar: Calendar, seed: int) -> pl.DataFrame:
    """USD for one EUR, each day up to today."""
    dates = _dates(calendar.start, calendar.today)
    rng = np.random.default_rng([seed, crc32(b"EUR/USD")])
    steps = rng.normal(0, FX_DRIFT, len(dates))
    deviation = np.zeros(len(dates))
    for i in range(1, len(dates)):
        deviation[i] = 0.98 * deviation[i - 1] + steps[i]
    rates = [f"{Decimal(repr(float(r))):.5f}" for r in EUR_USD * np.exp(deviation)]
    return pl.DataFrame({"day": dates}).with_columns(
        base=pl.lit("EUR"), quote=pl.lit("USD"), rate=pl.Series(rates).cast(pl.Decimal(18, 5)),
        source=pl.lit("Aldermoor treasury (demo)"),
    )  # fmt: skip


def business_metrics(calendar: Calendar, seed: int) -> pl.DataFrame:
    """What each use case served on each day of the exports."""
    dates = _dates(calendar.start, calendar.end)
    weekday = dates.dt.weekday().to_numpy() - 1
    offsets = np.arange(len(dates)) - (len(dates) - 1)
    frames = []
    for metric in METRICS:
        rng = np.random.default_rng([seed, crc32(f"metric/{metric.use_case}".encode())])
        level = metric.on_last_day * metric.growth ** (offsets / 365) * np.array(WEEK[metric.rhythm])[weekday]
        values = np.round(level * np.exp(rng.normal(0, 0.025, len(dates)))).astype(np.int64)
        frames.append(
            pl.DataFrame({"day": dates, "value": values}).select(
                "day", pl.lit(metric.use_case).alias("use_case"), pl.lit(metric.metric).alias("metric"), "value",
                pl.lit("count").alias("unit"),
            )
        )  # fmt: skip
    return pl.concat(frames)


def _dates(first: date, last: date) -> pl.Series:
    return pl.date_range(first, last, eager=True).alias("day")
