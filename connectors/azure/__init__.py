"""Azure bills as Cost Management exports them: FOCUS 1.0 and 1.2, and cost details, actual and amortised.

Which of them a file is, its columns tell. docs/azure.md says what each becomes. Where there is no export yet, saved
answers of Cost Management's query are read instead (docs/azure-quick-start.md).
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl

from connectors.azure import cost_details, delivery, focus_export, query_pages
from connectors.azure.delivery import NAME
from connectors.azure.formats import open_bill
from connectors.registry import RawPart

__all__ = ["NAME", "find_parts", "parse"]


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None] = lambda _: None
) -> list[RawPart]:
    """The files of the exports at a path, or its answers of Cost Management; InputError where both are there."""
    if path.exists() and query_pages.is_at(path):
        return query_pages.find_parts(path, until=until, options=options)
    return delivery.find_parts(path, until=until, options=options, say=say)


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is none of Azure's formats, or is empty, damaged or cut off.
    """
    if part.path.suffix == query_pages.SUFFIX:
        return query_pages.parse(part)
    bill = open_bill(part.path, part.options)
    if bill.is_focus:
        return focus_export.parse(part)
    return cost_details.charges(bill.raw, bill.kinds, part)
