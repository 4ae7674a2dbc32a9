"""Azure bills as Cost Management exports them: FOCUS 1.0 and 1.2, and cost details, actual and amortised.

Which of them a file is, its columns tell. docs/azure.md says what each becomes.
"""

import polars as pl

from connectors.azure import cost_details, focus_export
from connectors.azure.delivery import NAME, find_parts
from connectors.azure.formats import open_bill
from connectors.registry import RawPart

__all__ = ["NAME", "find_parts", "parse"]


def parse(part: RawPart) -> pl.LazyFrame:
    """The file's rows as charges; see connectors.registry.

    Raises InputError for a file that is none of Azure's formats, or is empty, damaged or cut off.
    """
    bill = open_bill(part.path, part.options)
    if bill.is_focus:
        return focus_export.parse(part)
    return cost_details.charges(bill.raw, bill.kinds, part)
