"""AWS bills as AWS writes them: FOCUS 1.0 and 1.2 exports, CUR 2.0 and legacy CUR; Parquet, CSV and gzipped CSV.

Which of them a file is, its columns tell. docs/aws.md says what each becomes.
"""

import polars as pl

from connectors.aws import discounts, focus_export, line_items
from connectors.aws.delivery import NAME, find_parts
from connectors.aws.formats import open_bill
from connectors.registry import RawPart

__all__ = ["NAME", "find_parts", "parse"]


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is none of AWS's formats, or is empty, damaged or cut off.
    """
    bill = open_bill(part.path)
    if bill.layout is None:
        return focus_export.parse(part)
    how = discounts.chosen(part.options, [(bill.raw, bill.layout)])
    return line_items.charges(bill.raw, bill.kinds, bill.layout, part, how)
