"""A billing export in BigQuery: which export a table is, by its columns, and the two queries that read it.

| query | reads | answers |
|---|---|---|
| months | invoice month, cost, credits, export time | of each month: rows, sums, newest export, partitions |
| month | the columns that a charge is made of | the rows of one month, out of those partitions only |

Sums are control totals over all currencies: they tell whether rows changed or were lost, and are no money.

Source: "Standard", "Detailed" and "FOCUS usage cost export" of Cloud Billing; "Query partitioned tables" of BigQuery:
a table that is partitioned by ingestion time has `_PARTITIONTIME`. Read 2026-11-21.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, Literal

from google.cloud.bigquery import Table

from connectors.gcp.exports import NUMBERS, TEXTS, TIMES
from connectors.gcp.queries import INGESTED, Query, moment, partition, text
from finops import schema as s
from finops.errors import InputError

_READ: Final = frozenset(name.partition(".")[0] for name in (*TEXTS, *NUMBERS, *TIMES))
_EXPORTED: Final = ("export_time", "x_ExportTime")
_EARLY: Final = timedelta(days=7)
"""So long before its month's first day no row of it is exported."""
_ALWAYS: Final = date(2010, 1, 1)
_MONTHS: Final = {
    "TIMESTAMP": "FORMAT_TIMESTAMP('%Y%m', {})", "DATETIME": "FORMAT_DATETIME('%Y%m', {})",
    "DATE": "FORMAT_DATE('%Y%m', {})", "STRING": "REPLACE(SUBSTR({}, 1, 7), '-', '')",
}  # fmt: skip
_NUMERIC: Final = Decimal("1e-9")


@dataclass(frozen=True)
class Stamp:
    """What tells one state of a month from all others; first and last: its partitions."""

    rows: int
    sums: tuple[Decimal, Decimal]
    exported: str
    first: date | datetime | None
    last: date | datetime | None

    @property
    def text(self) -> str:
        """The state as text; partitions only prune."""
        return f"{self.rows} rows, {self.sums[0]:f} and {self.sums[1]:f}, exported {self.exported}"


@dataclass(frozen=True)
class ExportTable:
    """A table and its columns in SQL.

    month: YYYYMM. sums: what is added up. exported: the export time. partition: the column that prunes, and its type;
    none of a view or a table without partitions.
    """

    address: str
    kind: Literal["standard", "detailed", "FOCUS"]
    columns: tuple[str, ...]
    month: str
    sums: tuple[str, str]
    exported: str
    partition: tuple[str, str] | None
    expires: bool

    @classmethod
    def of(cls, table: Table) -> "ExportTable":
        """The export that a table is; raises InputError for a table that is none."""
        address = f"{table.project}.{table.dataset_id}.{table.table_id}"
        fields = {field.name: field for field in table.schema}
        split = table.time_partitioning
        expires = bool(split and split.expiration_ms)
        exported = next((name for name in _EXPORTED if name in fields), "NULL")
        if fields.keys() >= {s.BILLED_COST, s.EFFECTIVE_COST, s.BILLING_PERIOD_START, s.CHARGE_CATEGORY}:
            start = fields[s.BILLING_PERIOD_START].field_type
            month = _MONTHS.get(start, _MONTHS["STRING"]).format(s.BILLING_PERIOD_START)
            sums = (_sum(s.BILLED_COST), _sum(s.EFFECTIVE_COST))
            return cls(address, "FOCUS", tuple(fields), month, sums, exported, partition(table, fields), expires)
        if not fields.keys() >= {"invoice", "cost", "credits", "usage_start_time"}:
            raise InputError(
                f"{address} has the columns {', '.join(list(fields)[:12]) or '(none)'}",
                expected="the standard, detailed or FOCUS usage cost export of Cloud Billing",
                next_step="correct `gcp.table` of the source in finops.toml; the console names it under Billing export",
            )
        credits = "SUM((SELECT IFNULL(SUM(CAST(c.amount AS NUMERIC)), 0) FROM UNNEST(credits) AS c))"
        return cls(
            address,
            "detailed" if "resource" in fields else "standard",
            tuple(name for name in fields if name in _READ),
            "invoice.month",
            (_sum("cost"), credits),
            exported,
            partition(table, fields),
            expires,
        )

    def months_query(self, since: date) -> Query:
        """Of each month since that of a day: rows, sums, newest export, partitions."""
        first = since.replace(day=1)
        where, parameters = f"{self.month} >= @month", [text("month", f"{first:%Y%m}")]
        partitions = "NULL AS first_partition, NULL AS last_partition"
        if self.partition is not None:
            name, kind = self.partition
            start = first - _EARLY if name in (INGESTED, *_EXPORTED) else _ALWAYS
            where = f"{name} >= @first AND {where}"
            parameters = [moment("first", kind, start), *parameters]
            partitions = f"MIN({name}) AS first_partition, MAX({name}) AS last_partition"
        return Query(
            f"SELECT {self.month} AS month, COUNT(*) AS row_count, {self.sums[0]} AS first_sum, "
            f"{self.sums[1]} AS second_sum, CAST(MAX({self.exported}) AS STRING) AS exported, {partitions} "
            f"FROM `{self.address}` WHERE {where} GROUP BY month ORDER BY month",
            parameters,
        )

    def month_query(self, month: str, stamp: Stamp) -> Query:
        """The rows of a month."""
        where, parameters = f"{self.month} = @month", [text("month", month.replace("-", ""))]
        if self.partition is not None and stamp.first is not None and stamp.last is not None:
            name, kind = self.partition
            where = f"{name} BETWEEN @first AND @last AND {where}"
            parameters = [moment("first", kind, stamp.first), moment("last", kind, stamp.last), *parameters]
        columns = ", ".join(f"`{name}`" for name in self.columns)
        return Query(f"SELECT {columns} FROM `{self.address}` WHERE {where}", parameters)

    def stamps(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Stamp]:
        """The answer to `months_query`, by month as 2026-10."""
        return {
            f"{row['month'][:4]}-{row['month'][4:]}": Stamp(
                row["row_count"],
                (numeric(row["first_sum"]), numeric(row["second_sum"])),
                str(row["exported"] or ""),
                row["first_partition"],
                row["last_partition"],
            )
            for row in rows
        }

    def amounts(self, row: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
        """What a row adds to the two sums."""
        if self.kind == "FOCUS":
            return numeric(row[s.BILLED_COST]), numeric(row[s.EFFECTIVE_COST])
        credits = (numeric(credit["amount"]) for credit in row["credits"] or ())
        return numeric(row["cost"]), sum(credits, Decimal(0))


def numeric(value: Any) -> Decimal:
    """A number as BigQuery's NUMERIC: nine decimals, halves away from zero; 0 for none."""
    return Decimal(0) if value is None else Decimal(value).quantize(_NUMERIC, rounding=ROUND_HALF_UP)


def _sum(column: str) -> str:
    return f"SUM(CAST({column} AS NUMERIC))"
