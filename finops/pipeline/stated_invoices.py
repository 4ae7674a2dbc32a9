"""What a cloud's API says that each month comes to, as invoices of the lake where finance has none.

Azure's invoices bring their lines; Cost Explorer's and Cost Management's totals have none, and a month's invoice of the
same source goes before its total.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from connectors.aws import cost_pages
from connectors.azure import invoices as azure_invoices
from connectors.azure import query_pages
from finops import schema as s
from finops.config import Config, Source
from finops.store import Lake, again_on_conflict

STATED: Final = (cost_pages.FOLDER, query_pages.FOLDER, azure_invoices.SOURCE)
"""`source` of the invoices that an API states."""
_WORDS: Final = {
    cost_pages.FOLDER: "Cost Explorer states", query_pages.FOLDER: "Cost Management states",
    azure_invoices.SOURCE: "Azure's invoices say",
}  # fmt: skip
_MONTH: Final = ["source_id", "billing_period"]
_STATED: Final = pl.col("source").is_in(STATED).fill_null(value=False)
_TABLES: Final = ("invoices", "invoice_lines")


@again_on_conflict
def keep(config: Config, lake: Lake, source: Source, *, say: Callable[[str], None]) -> None:
    """Replace the source's stated invoices by those that its folder now has; equal rows make no snapshot."""
    stated = _stated(source, config.files_of(source))
    if stated is None:
        return

    def after(name: str, held: pl.DataFrame) -> pl.DataFrame:
        return with_stated(held.filter(~(_STATED & (pl.col("source_id") == source.id))), stated[name])

    held = {name: lake.scan(name).collect() for name in _TABLES}
    changed = [n for n, rows in held.items() if not after(n, rows).sort(rows.columns).equals(rows.sort(rows.columns))]
    if not changed:
        return
    with lake.transaction(f"invoices {source.id}") as tx:
        for name in changed:
            tx.replace(name, after(name, tx.scan(name).collect()))  # another writer may have been here
    months = stated["invoices"].group_by("source").agg(pl.col("billing_period").n_unique()).sort("source")
    for who, count in months.iter_rows():
        say(f"{source.id}: {_WORDS[who]} what {count} month(s) come to")


def _stated(source: Source, folder: Path) -> dict[str, pl.DataFrame] | None:
    """Rows of _TABLES that the source's folder has; None where its APIs state nothing."""
    no_lines = pl.DataFrame(schema=s.TABLES["invoice_lines"].columns)
    if source.aws is not None and source.aws.cost_explorer is not None:
        return {"invoices": cost_pages.invoice_rows(folder, source.id), "invoice_lines": no_lines}
    if source.azure is None or not (source.azure.cost_management or source.azure.invoices):
        return None
    bills, lines = azure_invoices.read(folder, source.id) if source.azure.invoices else (None, no_lines)
    totals = query_pages.invoice_rows(folder, source.id)
    whole = totals if bills is None else pl.concat([bills, totals.join(bills, on=_MONTH, how="anti")])
    return {"invoices": whole, "invoice_lines": lines}


def with_stated(rows: pl.DataFrame, stated: pl.DataFrame) -> pl.DataFrame:
    """Invoices, or lines, and those that an API states of months that have none there: finance's own file wins."""
    return pl.concat([rows, stated.filter(_STATED).join(rows, on=_MONTH, how="anti")])


def documents(lake: Lake) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """The invoices, less what an API states of months that finance knows by its lines, and the lines of them all."""
    invoices, lines, month = lake.scan("invoices"), lake.scan("invoice_lines"), pl.struct(_MONTH)
    by_finance = lines.filter(~_STATED).select(month).unique().collect().to_series()
    counted = invoices.filter(~(_STATED & month.is_in(by_finance.implode())))
    # lines of an invoice that does not count would be one more invoice
    stated = lines.filter(_STATED).join(counted.filter(_STATED), on=[*_MONTH, "invoice_id"], how="semi")
    return counted, pl.concat([lines.filter(~_STATED), stated])
