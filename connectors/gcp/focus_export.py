"""The FOCUS export of Google Cloud (preview): read as FOCUS, and its providers added where it leaves them out.

| FOCUS column | Google's column |
|---|---|
| every FOCUS column | the same (connectors/focus.py) |
| ServiceProviderName, HostProviderName, InvoiceIssuerName | the same; Google Cloud where it has none |
| x_SourceColumns | x_Credits, x_Project, x_ExportTime and what else FOCUS 1.4 does not know |

Source: notes of 2026-11-21 on the preview; no real export was at hand.
"""

from typing import Final

import polars as pl

from connectors import focus
from connectors.registry import RawPart
from finops import schema as s

_GOOGLE: Final = "Google Cloud"


def parse(part: RawPart) -> pl.LazyFrame:
    """The export's rows as charges; see connectors.registry."""
    named = (s.SERVICE_PROVIDER_NAME, s.HOST_PROVIDER_NAME, s.INVOICE_ISSUER_NAME)
    return focus.parse(part).with_columns(pl.col(name).fill_null(pl.lit(_GOOGLE)) for name in named)
