"""What is really in the demo company's exports: totals, owners, commitments, invoices, incidents. Tests read it.

Amounts are exact decimals as text: the sum of the figures that stand in the raw files. Owners are those that a reader
can know: the tag of the resource, else what the mapping file says of the account.
"""

import json
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.demo import anthropic, api_truth, aws, azure, gateways, gcp, gpu_usage, ledger, openai
from connectors.demo.activity import SKU, WORKLOAD
from connectors.demo.bill import CHANGED_SKU, COST_DECIMALS, EXACT, exact_sum, missing_month, term_of
from connectors.demo.company import ACCOUNTS, COMMITMENTS, NAME, WORKLOADS, Calendar, account
from connectors.demo.incidents import BURST, CACHE, IDLE, PRICE, TRIPLED, UNOWNED, Incident, incidents
from connectors.demo.model_apis import Apis
from connectors.demo.model_apis import with_owners as asked_with_owners

FILE: Final = Path("raw/truth.json")
UNKNOWN: Final = "unknown"
COSTS: Final = ("billed", "effective", "contracted", "list")
MISSING_FEE: Final = "AWS Enterprise Support fee is on the invoice and not in the export"


def truth(
    shown: pl.DataFrame,
    whole: pl.DataFrame,
    apis: Apis,
    busy: pl.DataFrame,
    calendar: Calendar,
    home: Path,
    *,
    months: int,
    seed: int,
) -> dict[str, Any]:
    """The document; shown: what the exports of the clouds show, whole: what they invoice, busy: hours of machines."""
    return {
        "company": NAME, "months": months, "seed": seed, "today": calendar.today, "first_day": calendar.start,
        "last_day": calendar.end, "open_period": _period(calendar.open_month),
        "files": {
            "aws": str(aws.FOLDER), "azure": str(azure.FOLDER), "gcp": str(gcp.FOLDER),
            "openai": str(openai.FOLDER),
            "anthropic": str(anthropic.FOLDER), "litellm": str(gateways.LITELLM), "gateway": str(gateways.LOG),
            "on_prem": str(ledger.FILE), "gpu_usage": str(gpu_usage.FOLDER),
        },
        "totals": _totals(shown, apis, calendar),
        "owners": _owners(shown, apis, calendar),
        "commitments": _commitments(shown, calendar),
        "invoices": invoices(shown, whole, apis, calendar),
        "incidents": [_measured(i, shown, apis) for i in incidents(calendar)],
        "rightsizing": gpu_usage.wastes(shown, busy, calendar),
        "model_apis": api_truth.model_apis(apis, calendar, home / gateways.PRICES),
    }  # fmt: skip


def write(home: Path, document: dict[str, Any]) -> Path:
    """Write the truth file; returns its path."""
    path = home / FILE
    path.write_text(json.dumps(document, indent=1, default=_text) + "\n", encoding="utf-8")
    return path


def with_owners(charges: pl.DataFrame) -> pl.DataFrame:
    """The charges with the team, use case and purpose that a reader can know, null where nobody can."""
    tagged = {w.name: w for w in WORKLOADS if w.tagged}
    tags = pl.DataFrame(
        [(w.name, w.team, w.use_case, w.purpose) for w in tagged.values()], orient="row",
        schema=[WORKLOAD, "tag_team", "use_case", "tag_purpose"],
    )  # fmt: skip
    mapped = pl.DataFrame(
        [(a.key, a.team, a.purpose) for a in ACCOUNTS], orient="row",
        schema={"account": pl.String, "account_team": pl.String, "account_purpose": pl.String},
    )  # fmt: skip
    joined = charges.join(tags, on=WORKLOAD, how="left", maintain_order="left").join(
        mapped, on="account", how="left", maintain_order="left"
    )
    return joined.with_columns(
        team=pl.coalesce("tag_team", "account_team"), purpose=pl.coalesce("tag_purpose", "account_purpose")
    ).drop("tag_team", "account_team", "tag_purpose", "account_purpose")


# ---------------------------------------------------------------------------------------------------------- sections
def _totals(shown: pl.DataFrame, apis: Apis, calendar: Calendar) -> list[dict[str, Any]]:
    """Per source, billing period and currency; rows is null for the ledger, whose rows are assets and not charges."""
    clouds = (
        shown.group_by("source", "month").agg(pl.len().alias("rows"), *(exact_sum(f"{c}_cost").alias(c) for c in COSTS))
        .sort("source", "month").with_columns(currency=pl.lit("USD"))
    )  # fmt: skip
    asked = (
        apis.costs.group_by("source", "month")
        .agg(pl.len().alias("rows"), *(pl.col("cost").sum().alias(c) for c in COSTS))
        .sort("source", "month").with_columns(currency=pl.lit("USD"))
    )  # fmt: skip
    return [
        *({"source": r["source"], "period": _period(r["month"]), "currency": r["currency"], "rows": r["rows"],
           **{c: r[c] for c in COSTS}} for frame in (clouds, asked) for r in frame.iter_rows(named=True)),
        *({**sums, "rows": None} for sums in _own_servers(calendar, "currency")),
    ]  # fmt: skip


def _owners(shown: pl.DataFrame, apis: Apis, calendar: Calendar) -> list[dict[str, Any]]:
    """Per source, billing period, currency, team and purpose; `unknown` where no tag and no mapping says one."""
    clouds = (
        with_owners(shown).with_columns(pl.col("team", "purpose").fill_null(UNKNOWN))
        .group_by("source", "month", "team", "purpose")
        .agg(exact_sum("billed_cost").alias("billed"), exact_sum("effective_cost").alias("effective"))
        .sort("source", "month", "team", "purpose")
    )  # fmt: skip
    asked = (
        asked_with_owners(apis.costs).group_by("source", "month", "team", "purpose")
        .agg(pl.col("cost").sum().alias("billed"), pl.col("cost").sum().alias("effective"))
        .sort("source", "month", "team", "purpose")
    )  # fmt: skip
    return [
        *({"source": r["source"], "period": _period(r["month"]), "currency": "USD", "team": r["team"],
           "purpose": r["purpose"], "billed": r["billed"], "effective": r["effective"]}
          for frame in (clouds, asked) for r in frame.iter_rows(named=True)),
        *_own_servers(calendar, "currency", "team", "purpose"),
    ]  # fmt: skip


def _own_servers(calendar: Calendar, *by: str) -> list[dict[str, Any]]:
    """The ledger's costs per month and some fields of an asset."""
    sums: dict[tuple[date, ...], dict[str, Decimal]] = {}
    for cost in ledger.monthly_costs(calendar):
        key = (cost.month, *(getattr(cost, field) for field in by))
        total = sums.setdefault(key, {"billed": Decimal(0), "effective": Decimal(0)})
        total["billed"] += cost.billed
        total["effective"] += cost.effective
    return [
        {"source": ledger.SOURCE, "period": _period(month), **dict(zip(by, fields, strict=True)), **total}
        for (month, *fields), total in sorted(sums.items())
    ]  # fmt: skip


def _commitments(shown: pl.DataFrame, calendar: Calendar) -> list[dict[str, Any]]:
    """Each commitment's term, what was paid for it and what its days cost within the exports."""
    found = []
    for commitment in COMMITMENTS:
        first, end = term_of(commitment, calendar)
        rows = shown.filter(pl.col("commitment") == commitment.key)
        source = account(commitment.account).source
        status = pl.col("commitment_status")
        found.append({
            "commitment": commitment.key, "name": commitment.name, "kind": commitment.kind, "source": source,
            "first_day": first, "end_day": end, "whole_term_shown": calendar.start <= first and end <= calendar.end,
            "fees": _sum(rows.filter(pl.col("category") == "Purchase"), "billed_cost"),
            "used": _sum(rows.filter(status == "Used"), "effective_cost"),
            "unused": _sum(rows.filter(status == "Unused"), "effective_cost"),
        })  # fmt: skip
    return found


def invoices(shown: pl.DataFrame, whole: pl.DataFrame, apis: Apis, calendar: Calendar) -> list[dict[str, Any]]:
    """What each source invoices for each closed month, what its export shows, and why the two differ.

    The invoice is the whole bill rounded to cents; a residual of less than a cent is rounding.
    """
    found = []
    for source in (aws.SOURCE, azure.SOURCE, gcp.SOURCE):
        for month in calendar.closed:
            mine = (pl.col("source") == source) & (pl.col("month") == month)
            export = _sum(shown.filter(mine), "billed_cost")
            invoice = _sum(whole.filter(mine), "billed_cost").quantize(Decimal("0.01"))
            missing = source == aws.SOURCE and month == missing_month(calendar)
            found.append({
                "source": source, "period": _period(month), "currency": "USD", "invoice": invoice, "export": export,
                "residual": invoice - export,
                "cause": MISSING_FEE if missing else "rounding",
            })  # fmt: skip
    for source in (openai.SOURCE, anthropic.SOURCE):
        for month in calendar.closed:
            export = Decimal(apis.costs.filter(source=source, month=month)["cost"].sum())
            invoice = export.quantize(Decimal("0.01"))
            found.append({
                "source": source, "period": _period(month), "currency": "USD", "invoice": invoice, "export": export,
                "residual": invoice - export, "cause": "rounding",
            })  # fmt: skip
    return found


def _measured(incident: Incident, shown: pl.DataFrame, apis: Apis) -> dict[str, Any]:
    """The incident with its extra cost, in all and by month: EffectiveCost less what it would have been without."""
    if incident.kind == CACHE:
        extra = apis.costs.select("month", extra=pl.col("cost") - pl.col("usual")).filter(pl.col("extra") != 0)
    else:
        rows = shown.filter(_rows_of(incident), pl.col("first_day").is_between(incident.first_day, incident.last_day))
        extra = rows.select("month", extra=_extra(incident).round(COST_DECIMALS))
    by_month = extra.group_by("month").agg(pl.col("extra").cast(EXACT).sum()).sort("month")
    return {
        **asdict(incident),
        "extra_cost": sum(by_month["extra"].to_list(), Decimal(0)),
        "extra_cost_by_period": {_period(month): cost for month, cost in by_month.iter_rows()},
        "currency": "USD",
    }


def _rows_of(incident: Incident) -> pl.Expr:
    return {
        TRIPLED: pl.col(WORKLOAD) == "support-assistant",
        IDLE: (pl.col("commitment") == "h100") & (pl.col("commitment_status") == "Unused"),
        UNOWNED: pl.col("account") == "sandbox",
        PRICE: pl.col(SKU) == CHANGED_SKU,
        BURST: pl.col(WORKLOAD) == "pretraining-burst",
    }[incident.kind].fill_null(value=False)


def _extra(incident: Incident) -> pl.Expr:
    cost = pl.col("effective_cost")
    return cost * (1 - pl.col("usual_ratio")) if incident.kind in (TRIPLED, PRICE) else cost


def _sum(rows: pl.DataFrame, column: str) -> Decimal:
    return Decimal(rows.select(exact_sum(column)).item() or 0)


def _period(month: date) -> str:
    return f"{month:%Y-%m}"


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    assert isinstance(value, date), f"a {type(value).__name__} in the truth file"
    return value.isoformat()
