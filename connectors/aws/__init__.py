"""AWS bills as AWS writes them: FOCUS 1.0 and 1.2 exports, CUR 2.0 and legacy CUR; Parquet, CSV and gzipped CSV.

Which of them a file is, its columns tell. docs/aws.md says what each becomes. Where there is no bill yet, saved answers
of Cost Explorer are read instead (docs/aws-quick-start.md).
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl

from connectors.aws import cost_pages, delivery, discounts, focus_export, line_items
from connectors.aws.delivery import NAME
from connectors.aws.formats import open_bill
from connectors.registry import RawPart

__all__ = ["NAME", "find_parts", "parse"]


def find_parts(
    path: Path, *, until: date, options: dict[str, str] | None = None, say: Callable[[str], None] = lambda _: None
) -> list[RawPart]:
    """The files of the bills at a path, or its pages of Cost Explorer; raises InputError where both are there."""
    if path.exists() and cost_pages.is_at(path):
        return cost_pages.find_parts(path, until=until, options=options)
    return delivery.find_parts(path, until=until, options=options, say=say)


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is none of AWS's formats, or is empty, damaged or cut off.
    """
    if part.path.suffix == cost_pages.SUFFIX:
        return cost_pages.parse(part)
    bill = open_bill(part.path)
    if bill.layout is None:
        return focus_export.parse(part)
    how = discounts.chosen(part.options, [(bill.raw, bill.layout)])
    return line_items.charges(bill.raw, bill.kinds, bill.layout, part, how)
