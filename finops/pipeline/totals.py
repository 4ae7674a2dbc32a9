"""Control totals: what a load read beside what the lake holds and what is in quarantine, and the report of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import polars as pl

from connectors.registry import REJECT, SOURCE_ROWS
from finops import schema as s
from finops.config import Source
from finops.errors import LakeError

UNKNOWN_PERIOD: Final = "unknown"
"""Period of a quarantined row whose own period cannot be read."""
NO_CURRENCY: Final = "XXX"
"""ISO 4217 code for "no currency": of a quarantined row whose currency cannot be read."""

_KEYS: Final = ("billing_period", "source_file", "currency")
_MONEYS: Final = tuple(
    f"{cost}_{fate}" for cost in ("billed", "effective") for fate in ("read", "stored", "quarantined")
)
_COUNTS: Final = ("rows_read", "rows_stored", "rows_quarantined")


@dataclass(frozen=True)
class CurrencyTotal:
    """One cost of a batch in one currency; read = stored + quarantined, to the last decimal."""

    currency: str
    read: Decimal
    stored: Decimal
    quarantined: Decimal


@dataclass(frozen=True)
class Batch:
    """What a load did to one billing period of one source; rows are the source's rows."""

    source: str
    billing_period: str
    rows_read: int
    rows_stored: int
    rows_quarantined: int
    billed_cost: tuple[CurrencyTotal, ...]
    effective_cost: tuple[CurrencyTotal, ...]
    changed: bool


def read_totals(staged: pl.LazyFrame) -> pl.DataFrame:
    """Rows and costs by period, file, currency and fate, as the source states them."""
    return (
        staged.group_by(
            pl.col(s.BILLING_PERIOD).alias("billing_period"),
            pl.col(s.SOURCE_FILE).alias("source_file"),
            known_currency().alias("currency"),
            pl.col(REJECT).is_not_null().alias("rejected"),
        )
        .agg(
            pl.len().alias("charges"),
            pl.col(SOURCE_ROWS).sum().alias("rows"),
            pl.col(s.BILLED_COST).sum().alias("billed"),
            pl.col(s.EFFECTIVE_COST).sum().alias("effective"),
        )
        .collect(engine="streaming")
    )


def known_currency() -> pl.Expr:
    currency = pl.col(s.BILLING_CURRENCY)
    return pl.when(currency.str.contains("^[A-Z]{3}$")).then(currency).otherwise(pl.lit(NO_CURRENCY))


def tied_out(
    totals: pl.DataFrame,
    stored: pl.LazyFrame,
    metered: pl.DataFrame,
    quarantine: pl.DataFrame,
    source: Source,
    batch_id: str,
    digests: dict[str, str],
) -> pl.DataFrame:
    """What was read beside what the lake now holds, checked to tie in rows and costs.

    stored: the charges of the lake. metered: totals of usage, whose sums in the lake were proved before. A file without
    any row has one row here, of no rows, so that the load is known to have held it.
    """
    read = totals.group_by(_KEYS).agg(
        pl.col("rows").sum().alias("rows_read"),
        pl.col("rows").filter("rejected").sum().alias("rows_quarantined"),
        pl.col("rows").filter(~pl.col("rejected")).sum().alias("rows_stored"),
        pl.col("billed").sum().alias("billed_read"),
        pl.col("effective").sum().alias("effective_read"),
    )
    in_lake = (
        stored.group_by(
            pl.col(s.BILLING_PERIOD).alias("billing_period"),
            pl.col(s.SOURCE_FILE).alias("source_file"),
            pl.col(s.BILLING_CURRENCY).alias("currency"),
        )
        .agg(
            pl.col(s.BILLED_COST).sum().alias("billed_stored"), pl.col(s.EFFECTIVE_COST).sum().alias("effective_stored")
        )
        .collect(engine="streaming")
    )
    usage = metered.filter(~pl.col("rejected")).select(
        *_KEYS, billed_stored=pl.col("billed"), effective_stored=pl.col("effective")
    )
    in_lake = pl.concat([in_lake, usage]).group_by(_KEYS).agg(pl.col("billed_stored", "effective_stored").sum())
    held_back = quarantine.group_by(_KEYS).agg(
        pl.col("billed_cost").sum().alias("billed_quarantined"),
        pl.col("effective_cost").sum().alias("effective_quarantined"),
    )
    tied = (
        read.join(in_lake, on=_KEYS, how="full", coalesce=True)
        .join(held_back, on=_KEYS, how="full", coalesce=True)
        .with_columns(pl.col(*_MONEYS, *_COUNTS).fill_null(0))
    )
    off = tied.filter(
        (pl.col("billed_read") != pl.col("billed_stored") + pl.col("billed_quarantined"))
        | (pl.col("effective_read") != pl.col("effective_stored") + pl.col("effective_quarantined")),
    )
    if len(off):
        raise LakeError(
            f"the load of {source.id} does not tie out: {off.select(*_KEYS, *_MONEYS).to_dicts()}",
            expected="read = stored + quarantined, per billing period, file and currency",
            next_step="nothing was changed; please report this with the file's header",
        )
    empty = pl.DataFrame(
        {"source_file": sorted(set(digests) - set(tied["source_file"]))}, schema={"source_file": pl.String}
    ).with_columns(
        pl.lit(UNKNOWN_PERIOD).alias("billing_period"),
        pl.lit(NO_CURRENCY).alias("currency"),
        *(pl.lit(0).alias(name) for name in (*_MONEYS, *_COUNTS)),
    )
    return (
        pl.concat([tied, empty], how="diagonal_relaxed")
        .with_columns(
            pl.lit(source.id).alias("source_id"),
            pl.col("source_file").replace_strict(digests, return_dtype=pl.String).alias("file_digest"),
            pl.lit(batch_id).alias("batch_id"),
            pl.lit(datetime.now(UTC)).cast(s.TIME).alias("loaded_at"),
        )
        .select(pl.col(name).cast(kind) for name, kind in s.TABLES["loads"].columns.items())
    )


def batches_of(loads: pl.DataFrame, *, changed: bool) -> list[Batch]:
    """The rows of `loads` as one batch a source and period; files without rows are in none."""
    batches = []
    keys = ("source_id", "billing_period", "currency")
    empty = (pl.col("billing_period") == UNKNOWN_PERIOD) & (pl.col("rows_read") == 0)
    summed = loads.filter(~empty).group_by(keys).agg(pl.col(*_COUNTS, *_MONEYS).sum())
    for (source, period), rows in sorted(summed.group_by("source_id", "billing_period"), key=lambda item: item[0]):
        ordered = rows.sort("currency")
        cost = {
            kind: tuple(
                CurrencyTotal(*values)
                for values in ordered.select("currency", *(m for m in _MONEYS if m.startswith(kind))).iter_rows()
            )
            for kind in ("billed", "effective")
        }
        batches.append(
            Batch(
                source=str(source),
                billing_period=str(period),
                rows_read=int(rows["rows_read"].sum()),
                rows_stored=int(rows["rows_stored"].sum()),
                rows_quarantined=int(rows["rows_quarantined"].sum()),
                billed_cost=cost["billed"],
                effective_cost=cost["effective"],
                changed=changed,
            )
        )
    return batches


def needs_attention(batches: Iterable[Batch]) -> bool:
    """Whether a load needs attention: some of its rows are quarantined."""
    return any(b.rows_quarantined for b in batches)
