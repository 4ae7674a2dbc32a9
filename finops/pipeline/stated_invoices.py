"""What Cost Explorer says that each month comes to, as invoices of the lake where finance has none."""

from collections.abc import Callable

import polars as pl

from connectors.aws import cost_pages
from finops.config import Config, Source
from finops.store import Lake, again_on_conflict

_MONTH = ["source_id", "billing_period"]
_STATED = pl.col("source").eq_missing(cost_pages.FOLDER)


@again_on_conflict
def keep(config: Config, lake: Lake, source: Source, *, say: Callable[[str], None]) -> None:
    """Replace the source's rows of Cost Explorer by those that its folder now has; equal rows make no snapshot."""
    if source.aws is None or source.aws.cost_explorer is None:
        return
    stated = cost_pages.invoice_rows(config.files_of(source), source.id)

    def after(held: pl.DataFrame) -> pl.DataFrame:
        return with_stated(held.filter(~(_STATED & (pl.col("source_id") == source.id))), stated)

    held = lake.scan("invoices").collect()
    if after(held).sort(held.columns).equals(held.sort(held.columns)):
        return
    with lake.transaction(f"invoices {source.id}") as tx:
        tx.replace("invoices", after(tx.scan("invoices").collect()))  # another writer may have been here
    say(f"{source.id}: Cost Explorer states what {stated['billing_period'].n_unique()} final month(s) come to")


def with_stated(invoices: pl.DataFrame, stated: pl.DataFrame) -> pl.DataFrame:
    """The invoices and, of months that have none there, those that Cost Explorer states: finance's own file wins."""
    return pl.concat([invoices, stated.filter(_STATED).join(invoices, on=_MONTH, how="anti")])


def without_lines(lake: Lake) -> pl.LazyFrame:
    """The invoices, less what Cost Explorer states of months whose invoice is known by its lines."""
    invoices, month = lake.scan("invoices"), pl.struct(_MONTH)
    by_lines = lake.scan("invoice_lines").select(month).unique().collect().to_series()
    return invoices.filter(~(_STATED & month.is_in(by_lines.implode())))
