"""The connectors by name, and what a connector is.

A connector module offers:

- `NAME`: the provider's name as the command line takes it;
- `parse(part) -> LazyFrame`: pure; provider columns to FOCUS columns, one row a charge, in bounded memory;
- `parse_usage(part) -> LazyFrame`, where its files hold tokens and requests: one row a metered line, columns METERED;
- `find_parts(path, until=, options=, say=)`, only where its files are no CSV or Parquet, or must be judged together:
  the parts of a source, as `files.find_parts` returns them;
- `ACCESS`, where the files can be pulled from the provider's API (connectors/sync.py);
- `LEDGER_ROLE = "derived"`, where its money is billed by another source;
- a mapping table at the top of the module, FOCUS column <- provider column or expression.

A new connector is one module or package, one line in `_MODULES`, and one subclass of the contract suite.
"""

from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, Protocol, cast

import polars as pl

from finops import schema as s
from finops.config import Source
from finops.errors import CallError

REJECT: Final = "x_Reject"
"""Why the row cannot be a charge, in words; null when it can."""
RAW: Final = "x_Raw"
"""The source row verbatim as a JSON object, where it is rejected."""
SOURCE_ROWS: Final = "x_SourceRows"
"""1 on the first charge of a source row, 0 on the others: sums to the rows of the source."""

PARSED: Final[dict[str, pl.DataType]] = {
    **s.FOCUS,
    s.SOURCE_FILE: pl.String(),
    s.SOURCE_ROW: pl.Int64(),
    s.SOURCE_COLUMNS: pl.String(),
    s.INSTANCE_TYPE: pl.String(),
    s.USAGE_TYPE: pl.String(),
    **s.CLASSIFICATION,
    REJECT: pl.String(),
    RAW: pl.String(),
    SOURCE_ROWS: pl.Int64(),
}
"""Columns and types of what `parse` returns; columns of CLASSIFICATION are null unless the source itself knows them."""

METERED: Final[dict[str, pl.DataType]] = {
    "day": pl.Date(),
    **dict.fromkeys(
        ("provider", "operation", "model", "service_tier", "account_id", "account_name", "consumer_id", "tags", "team",
         "use_case", "cost_center", "environment"),
        pl.String(),
    ),
    s.CONTEXT: pl.Int64(),
    **dict.fromkeys(s.METER_COLUMNS, s.MONEY),
    "other_quantity": s.MONEY,
    "other_unit": pl.String(),
    "stated_cost": s.MONEY,
    "currency": pl.String(),
    s.SOURCE_FILE: pl.String(),
    s.SOURCE_ROW: pl.Int64(),
    REJECT: pl.String(),
    RAW: pl.String(),
    SOURCE_ROWS: pl.Int64(),
}  # fmt: skip
"""Columns and types of what `parse_usage` returns: what was metered on one day, each token in one column only.

provider: who sells the model, by the price book's name. model: as the source writes it. operation: the endpoint or kind
of call. account_id: project, workspace or the like. consumer_id: API key, else user. tags: JSON text; team and the
other owners only where the source itself names them. context_from_tokens: where the source tells the context window, or
0 where a row is known to be short. other_quantity, other_unit: what has no token meter (images, sessions, GiB-hours).
stated_cost, currency: what the source says that the row cost, null where it says nothing. Counts are null where the
source does not count; x_Reject is null where the row can be used; x_SourceRows is 1 on each source row's first line.
"""


@dataclass(frozen=True)
class RawPart:
    """One file of a source as it was delivered.

    path: where it is now. name: what it is called in its source, stable from load to load. until: the day
    (exclusive) up to which ledgers that grow with time are charged. holds: what is in it, charges for `parse`, usage
    for `parse_usage`, or how busy accelerators were for `parse_gpu_usage` (connectors/gpu_usage.py).
    """

    path: Path
    name: str
    until: date
    options: dict[str, str] = field(default_factory=dict)
    holds: Literal["charges", "usage", "gpu_usage"] = "charges"


class Connector(Protocol):
    """What the ingest needs of a connector module."""

    NAME: str

    def parse(self, part: RawPart) -> pl.LazyFrame:
        """The part's rows as charges with the columns PARSED; raises InputError when the file is not of its format."""


class Meter(Protocol):
    """What the ingest needs of a connector module whose parts hold usage."""

    def parse_usage(self, part: RawPart) -> pl.LazyFrame:
        """The part's rows with the columns METERED; raises InputError when the file is not of its format."""


_MODULES: Final = {
    "anthropic": "connectors.anthropic",
    "aws": "connectors.aws",
    "azure": "connectors.azure",
    "focus": "connectors.focus",
    "gcp": "connectors.gcp",
    "gpu_usage": "connectors.gpu_usage",
    "litellm": "connectors.litellm",
    "oci": "connectors.oci",
    "on_prem": "connectors.on_prem",
    "openai": "connectors.openai",
    "usage_csv": "connectors.usage_csv",
}


def names() -> tuple[str, ...]:
    """The names of all connectors."""
    return tuple(_MODULES)


def connector(name: str) -> Connector:
    """The connector of that name; raises CallError that lists the names when there is none."""
    if name not in _MODULES:
        raise CallError(
            f"no connector is called {name!r}",
            expected=f"one of {', '.join(_MODULES)}",
            next_step="correct --connector, or `connector` in finops.toml",
        )
    return cast(Connector, import_module(_MODULES[name]))


def ledger_role(source: Source) -> str:
    """The role that finops.toml gives a source, else what its connector's data is."""
    return source.ledger_role or str(getattr(connector(source.connector), "LEDGER_ROLE", s.BILLED))
