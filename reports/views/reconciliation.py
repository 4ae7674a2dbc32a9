"""Whether figures can be trusted, for people: what ties out, what each residual is made of, how fresh sources are."""

from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal
from typing import Final

import polars as pl

from finops.freshness import Visibility
from finops.reconciliation import EXPLAINED, NO_CHARGES, NO_INVOICE, QUARANTINED, RESIDUAL, TIED_OUT
from finops.residuals import ABSENT, UNEXPLAINED
from reports.views.movement import START
from reports.views.words import compact

SAID: Final = {
    TIED_OUT: "ties out", EXPLAINED: "explained, not whole", RESIDUAL: "not explained",
    QUARANTINED: "some in quarantine", NO_INVOICE: "no invoice", NO_CHARGES: "no charges",
}  # fmt: skip
"""Each status as the page says it."""
OPEN: Final = "open"
_GRAVEST: Final = (RESIDUAL, NO_CHARGES, EXPLAINED, QUARANTINED, TIED_OUT, NO_INVOICE)


def invoices(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of finops.reconciliation for a table, the newest period first: status in words, amounts, why it is open."""
    order = pl.col("status").replace_strict({name: n for n, name in enumerate(_GRAVEST)}, return_dtype=pl.Int64)
    return rows.sort("billing_period", order, "source_id", "currency", descending=[True, False, False, False]).select(
        "source_id", "billing_period", "issuer", "account_id", "currency", "invoice", "stored", "quarantined",
        "residual", "residual_ratio", "unexplained", pl.col("status").replace(SAID), OPEN, "next_step",
    )  # fmt: skip


def grid(rows: pl.DataFrame) -> pl.DataFrame:
    """The gravest status of each source and month: columns source_id, start (the month), status, open, shown.

    shown: a tick, or what the residuals of the month come to where it does not tie out.
    """
    graded = rows.with_columns(
        rank=pl.col("status").replace_strict({n: i for i, n in enumerate(_GRAVEST)}, return_dtype=pl.Int64),
        start=pl.col("billing_period").str.to_date("%Y-%m", strict=False),
    ).drop_nulls(START)
    worst = graded.sort("source_id", START, "rank", "currency").group_by("source_id", START, maintain_order=True)
    return worst.agg(
        pl.col("status").first(), pl.col(OPEN).drop_nulls().first(), pl.col("residual").first(),
        pl.col("currency").first(),
    ).select(
        "source_id", START, pl.col("status"), OPEN,
        pl.struct("status", OPEN, "residual").map_elements(_shown, return_dtype=pl.String).alias("shown"),
    )  # fmt: skip


def _shown(cell: dict[str, object]) -> str:
    if cell["status"] == TIED_OUT:
        return "✓"
    if cell["status"] == NO_INVOICE:
        return "open" if cell[OPEN] else "–"
    return compact(cell["residual"] if isinstance(cell["residual"], Decimal) else None)


def amounts(causes: pl.DataFrame, names: Iterable[str]) -> dict[str, Decimal]:
    """What some causes come to by currency, each without its sign."""
    mine = causes.filter(pl.col("cause").is_in(list(names))).group_by("currency").agg(pl.col("amount").abs().sum())
    return dict(mine.sort("currency").iter_rows())


def said(found: dict[str, Decimal]) -> str:
    """Amounts by currency in words: 21.5 k USD and 300 EUR."""
    return " and ".join(f"{compact(amount)} {currency}" for currency, amount in found.items() if amount)


def headline(rows: pl.DataFrame, causes: pl.DataFrame, fresh: Iterable[Visibility]) -> str:
    """How many invoices tie out, what is not in the lake, what nothing explains, and which sources are late."""
    invoiced = rows.filter(pl.col("invoice").is_not_null())
    tied = invoiced.filter(pl.col("status") == TIED_OUT)
    if invoiced.is_empty():
        text = "No invoice has been loaded yet, so nothing says whether the bills are whole"
    elif len(tied) == len(invoiced):
        text = f"All {len(invoiced)} invoices tie out"
    else:
        text = f"{len(tied)} of {len(invoiced)} invoices tie out"
    absent, unexplained = said(amounts(causes, ABSENT)), said(amounts(causes, [UNEXPLAINED]))
    parts = [
        f"{absent} is named and not in the lake" if absent else "",
        f"{unexplained} is unexplained" if unexplained else "",
        ", ".join(f"{v.source_id} is {v.days_behind} days behind, later than usual" for v in fresh if v.is_stale),
    ]
    return "; ".join([text, *(part for part in parts if part)]) + "."


def causes_of(causes: pl.DataFrame, row: dict[str, object]) -> pl.DataFrame:
    """The causes of one row's residual, the largest first."""
    keys = ("source_id", "billing_period", "issuer", "account_id", "currency")
    mine = causes.filter(*(pl.col(key).eq_missing(pl.lit(row[key], pl.String)) for key in keys))
    return mine.sort(pl.col("amount").abs(), descending=True).select("cause", "amount", "note", "next_step")


def sources(totals: pl.DataFrame, fresh: Iterable[Visibility]) -> pl.DataFrame:
    """Each source's freshness beside its control totals; totals: of standing.sources."""
    columns = {
        "source_id": pl.String(), "newest_day": pl.Date(), "days_behind": pl.Int64(), "median_days": pl.Float64(),
        "p90_days": pl.Int64(), "loads": pl.Int64(),
    }  # fmt: skip
    rows = [{**asdict(v), "freshness": _freshness(v)} for v in fresh]
    found = pl.DataFrame(rows, schema={**columns, "freshness": pl.String()})
    used = totals.filter((pl.col("rows_read") > 0) | (pl.col("billed_read") != 0))
    return used.drop("newest_day").join(found, on="source_id", how="left").select(
        "source_id", pl.col("freshness").fill_null("no bill of its own"), "newest_day", "days_behind", "median_days",
        "p90_days", "loads", "currency",
        "rows_read", "rows_quarantined", "billed_read", "billed_stored", "billed_quarantined", "loaded_at",
    )  # fmt: skip


def _freshness(source: Visibility) -> str:
    if source.ended:
        return "ended"
    if source.is_stale:
        return "late"
    return "as usual" if source.is_measured else "too few loads to tell"


def findings(rows: pl.DataFrame) -> pl.DataFrame:
    """Findings of quality, one a check, source and message; periods: the first and the last month in words."""
    keys = ("severity", "check", "message", "next_step", "source_id", "currency")
    first, last = pl.col("billing_period").min(), pl.col("billing_period").max()
    return rows.group_by(keys, maintain_order=True).agg(
        pl.col("rows").sum(), pl.col("cost").sum(),
        pl.when(first == last).then(first).otherwise(pl.format("{} to {}", first, last)).alias("periods"),
    )  # fmt: skip
