"""What is really in the exports of model APIs: tokens, why usage x book is not the bill, and what no book prices."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.demo.api_plan import ANTHROPIC, GATEWAY, OPENAI
from connectors.demo.company import Calendar
from connectors.demo.model_apis import CREDIT, TOKENS, UNREPORTED, Apis, is_late
from finops.schema import MONEY
from finops.token_costs import price
from finops.token_prices import load_book, match

CAUSES: Final = {
    "images": "images have no token price", "gibibyte_hours": "storage has no token price",
    "execution_hours": "code execution has no token price", CREDIT: "a credit",
}  # fmt: skip
LATE: Final = "the costs of the last day have not come yet"
ROUNDING: Final = "rounding"


def model_apis(apis: Apis, calendar: Calendar, own_prices: Path) -> dict[str, Any]:
    """The part of the truth file; own_prices: the company's own price file."""
    return {
        "tokens": tokens(apis),
        "residuals": residuals(apis, calendar),
        "unpriced": unpriced(apis, own_prices),
        "gateway_key": gateway_key(apis, calendar),
    }


def tokens(apis: Apis) -> list[dict[str, Any]]:
    """Tokens by source, month, model as the book calls it, tier and kind; LiteLLM's are in OpenAI's."""
    rows = apis.usage.unpivot(
        TOKENS, index=["date", "source", "provider", "model", "service_tier"], variable_name="kind", value_name="tokens"
    ).filter(pl.col("tokens") > 0)
    summed = rows.group_by(
        "source", pl.col("date").dt.strftime("%Y-%m").alias("period"), "provider", "model", "service_tier", "kind"
    ).agg(pl.col("tokens").sum())
    named = [{**row, "model": match(row.pop("provider"), row["model"]).model} for row in summed.iter_rows(named=True)]
    return sorted(named, key=lambda row: tuple(map(str, row.values())))


def residuals(apis: Apis, calendar: Calendar) -> list[dict[str, Any]]:
    """Why the bill of a source and month is not its usage x book: a row a cause, bill less book in USD."""
    priced = _priced(apis.usage.filter(pl.col("source") != GATEWAY, ~UNREPORTED, pl.col("model") != ""))
    book = _by_month(priced, "cost_usd")
    late = _by_month(priced.filter(is_late(calendar)), "cost_usd")
    billed = _by_month(apis.costs, "cost")
    found = []
    for source in (ANTHROPIC, OPENAI):
        for month in calendar.months:
            key = (source, month)
            causes = {
                why: _sum(apis.costs.filter(source=source, month=month, item=item), "cost")
                for item, why in CAUSES.items()
            }
            causes[LATE] = -late.get(key, Decimal(0))
            cost, worth = billed.get(key, Decimal(0)), book.get(key, Decimal(0))
            causes[ROUNDING] = cost - worth - sum(causes.values(), Decimal(0))
            found += [
                {"source": source, "period": f"{month:%Y-%m}", "cause": why, "amount": amount, "currency": "USD",
                 "billed": cost, "priced": worth}
                for why, amount in causes.items() if amount
            ]  # fmt: skip
    return found


def unpriced(apis: Apis, own_prices: Path) -> list[dict[str, Any]]:
    """Usage that neither the list nor the company's own prices price, by source, model, tier and reason."""
    rows = _priced(apis.usage.filter(pl.col("model") != ""), own_prices).filter(pl.col("price_status") == "unpriced")
    by = ("source", "model", "service_tier", "price_reason")
    found = rows.group_by(by).agg(
        pl.sum_horizontal(TOKENS).sum().alias("tokens"), pl.col("requests").sum(),
        first_day=pl.col("date").min(), last_day=pl.col("date").max(),
    )  # fmt: skip
    return found.rename({"price_reason": "reason"}).sort("source", "model", "service_tier", "reason").to_dicts()


def gateway_key(apis: Apis, calendar: Calendar) -> list[dict[str, Any]]:
    """What each virtual key of LiteLLM used of the bill of its one OpenAI key, by month, in USD."""
    rows = _priced(apis.usage.filter(pl.col("via").is_not_null(), ~is_late(calendar)))
    by = ("period", "via", "via_team")
    found = (
        rows.with_columns(pl.col("date").dt.strftime("%Y-%m").alias("period"))
        .group_by(by).agg(pl.col("cost_usd").sum().alias("cost")).sort(by)
    )  # fmt: skip
    return found.rename({"via": "key", "via_team": "team"}).to_dicts()


def _priced(usage: pl.DataFrame, *own_prices: Path) -> pl.DataFrame:
    return price(usage.lazy(), load_book(own_prices)).collect()


def _by_month(rows: pl.DataFrame, cost: str) -> dict[tuple[str, date], Decimal]:
    sums = rows.group_by("source", pl.col("date").dt.month_start().alias("month")).agg(pl.col(cost).sum())
    return {(source, month): Decimal(total) for source, month, total in sums.iter_rows()}


def _sum(rows: pl.DataFrame, column: str) -> Decimal:
    return Decimal(rows.select(pl.col(column).cast(MONEY).sum()).item() or 0)
