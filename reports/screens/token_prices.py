"""What the price book says beside the bill: usage without a price, prices that changed, and whether the two tie."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

import polars as pl
import streamlit as st

from finops.config import Config
from finops.pipeline import tokens as pipeline
from finops.store import Lake
from reports.export import decimal_text
from reports.screens import parts
from reports.screens.page import Page
from reports.views import tokens
from reports.views.spend import CURRENCY, summed
from reports.views.tokens import REQUESTS, TOKENS

CENT: Final = Decimal("0.01")


def unpriced(lake: Lake, config: Config, first: date, last: date) -> pl.DataFrame:
    """Usage of these days without a price, with what to do."""
    return tokens.unpriced(pipeline.unpriced(config, lake, start=first, end=last + timedelta(days=1)))


def draw_unpriced(rows: pl.DataFrame) -> None:
    """The usage that the book does not price, why, and what to do about each reason."""
    st.markdown("##### Usage without a price")
    if rows.is_empty():
        st.caption("The price book prices all metered usage of this period.")
        return
    shown = rows.select("provider", "model", "operation", "reason", TOKENS, REQUESTS, "first_day", "last_day")
    parts.table(
        shown, key="tokens_unpriced", file="unpriced_usage.csv", counts=(TOKENS, REQUESTS), download=lambda: rows
    )
    steps = rows.select("reason", "what_to_do").unique(maintain_order=True)
    st.markdown("\n".join(f"- *{reason}*: {step}" for reason, step in steps.iter_rows()))
    st.caption("Whatever the filters. What it cost is on the bill and in the figures above; the book cannot check it.")


def draw_price_changes(page: Page) -> None:
    """Prices that are not last month's or not the book's, with what that is a year."""
    st.markdown("##### Prices that changed")
    rows = page.compute(_price_moves, page.config, page.coverage.last)
    rows = rows.filter(pl.col(CURRENCY) == page.currency)
    if rows.is_empty():
        st.caption("No price differs from last month's or from the price book.")
        return
    what = pl.coalesce("model", "sku").alias("model")
    kind = pl.concat_str(pl.col("kind").str.replace_all("_", " "), pl.lit(", "), "unit", ignore_nulls=True)
    shown = rows.select(
        "since", what, kind.alias("kind"), "against", decimal_text("before"), decimal_text("after"),
        (pl.col("ratio") - 1).alias("ratio"), "yearly_effect",
    )  # fmt: skip
    prices = {n: st.column_config.TextColumn(n.capitalize(), alignment="right") for n in ("before", "after")}
    parts.table(
        shown, key="tokens_prices", file="price_changes.csv", ratios=("ratio",),
        names={"kind": "What, per", "ratio": "Change, %"},
        money={"yearly_effect": f"A year, {page.currency}"}, configs=prices,
        total=("Effect a year", summed(rows, "yearly_effect"), page.currency), download=lambda: rows,
    )  # fmt: skip
    st.caption("Whatever the filters. A year: the difference times the quantity of a year at today's use.")


def draw_tie_out(page: Page) -> None:
    """Whether usage x price book comes to the bill, folded, with the causes of what is left."""
    ties, causes = page.compute(_ties, page.config)
    with st.expander(f"Does usage x price book come to the bill? {_tied(ties)}"):
        if ties.is_empty():
            st.caption("No source brings both usage and a bill.")
            return
        parts.table(
            ties, key="tokens_ties", file="token_tie_out.csv", ratios=("residual_ratio",),
            money={name: name.capitalize() for name in ("billed", "priced", "residual")},
        )  # fmt: skip
        if not causes.is_empty():
            parts.table(
                causes.filter(pl.col("amount").abs() >= CENT), key="tokens_causes", file="token_tie_out_causes.csv",
                money={"amount": "Amount"}, download=lambda: causes,
            )  # fmt: skip
        st.caption("residual = billed − usage x price book; the causes of a period sum to its residual.")


def _tied(ties: pl.DataFrame) -> str:
    if ties.is_empty():
        return ""
    closed = ties.filter(pl.col("status") != "open")
    tied = (closed["status"] == "tied out").sum()
    still = f"; {len(ties) - len(closed)} still open" if len(closed) < len(ties) else ""
    return f"{tied} of {len(closed)} billing periods tie out{still}."


def _price_moves(lake: Lake, config: Config, today: date) -> pl.DataFrame:
    return pipeline.price_changes(config, lake, today=today)


def _ties(lake: Lake, config: Config) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tie-out of usage and bill, the newest month first, and its causes, the largest of each month first."""
    ties, causes = pipeline.tie_out(config, lake), pipeline.tie_out_causes(config, lake)
    newest = ("billing_period", "source_id")
    return (
        ties.with_columns(pl.col("status").str.replace_all("_", " ")).sort(newest, descending=[True, False]),
        causes.with_columns(pl.col("cause").str.replace_all("_", " "))
        .sort(*newest, pl.col("amount").abs(), descending=[True, False, True]),
    )  # fmt: skip
