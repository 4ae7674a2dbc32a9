"""How a month changed from one load to the next: new days that came, and what was already there and is another now."""

from datetime import date, datetime
from typing import Final

import polars as pl

from finops import schema as s

BY: Final = {
    "source_id": s.SOURCE_ID, "billing_period": s.BILLING_PERIOD, "service": s.SERVICE_NAME,
    "account_id": s.SUB_ACCOUNT_ID, "account_name": s.SUB_ACCOUNT_NAME, "category": s.CHARGE_CATEGORY,
    "currency": s.BILLING_CURRENCY,
}  # fmt: skip
AMOUNTS: Final = ("old", "new", "change", "new_days", "restated")
CHANGES: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(BY, pl.String()),
    **dict.fromkeys(AMOUNTS, s.MONEY), "old_loaded_at": s.TIME, "new_loaded_at": s.TIME,
}  # fmt: skip


def changes(
    new: pl.LazyFrame, old: pl.LazyFrame, *, measure: str, complete_to: date | None,
    loaded_at: tuple[datetime, datetime],
) -> pl.DataFrame:  # fmt: skip
    """CHANGES of a source's months between two versions of spend_daily, with the rows that did not change.

    change = new - old = new_days + restated: new_days is the change of days after complete_to, the last day that the
    old version had in full, and restated that of days which were complete.
    """
    keys = list(BY)
    cost, day = pl.col(measure), pl.col(s.CHARGE_DATE)
    later = day > complete_to if complete_to else pl.lit(True)
    versions = [
        rows.group_by(*(pl.col(column).alias(name) for name, column in BY.items()))
        .agg(cost.sum().alias(name), cost.filter(later).sum().alias(f"_{name}"))
        for name, rows in (("new", new), ("old", old))
    ]  # fmt: skip
    both = versions[0].join(versions[1], on=keys, how="full", coalesce=True, nulls_equal=True)
    return (
        both.with_columns(pl.col("new", "old", "_new", "_old").fill_null(pl.lit(0, s.MONEY)))
        .with_columns(change=pl.col("new") - pl.col("old"), new_days=pl.col("_new") - pl.col("_old"))
        .with_columns(
            restated=pl.col("change") - pl.col("new_days"),
            old_loaded_at=pl.lit(loaded_at[0], s.TIME), new_loaded_at=pl.lit(loaded_at[1], s.TIME),
        )
        .select(pl.col(name).cast(kind) for name, kind in CHANGES.items())
        .sort(pl.col("change").abs(), *keys, descending=[True, *(False for _ in keys)])
        .collect(engine="streaming")
    )  # fmt: skip


def by_month(rows: pl.DataFrame) -> pl.DataFrame:
    """CHANGES summed by source, month and currency, the newest month first; months without a change are left out."""
    keys = ("source_id", "billing_period", "currency", "old_loaded_at", "new_loaded_at")
    sums = rows.group_by(keys).agg(pl.col(*AMOUNTS).sum(), _is_moved().any().alias("_moved")).filter("_moved")
    return sums.sort("billing_period", *keys, descending=[True, *(False for _ in keys)]).select(
        "source_id", "billing_period", "currency", *AMOUNTS, "old_loaded_at", "new_loaded_at"
    )


def moved(rows: pl.DataFrame) -> pl.DataFrame:
    """The CHANGES that are some."""
    return rows.filter(_is_moved())


def _is_moved() -> pl.Expr:
    return (pl.col("change") != 0) | (pl.col("new_days") != 0)
