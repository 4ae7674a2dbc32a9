"""A company's own prices of machines, by the pricing export of Cloud Billing to BigQuery; its list prices beside them.

The table has a row for each SKU and day. Of each account it tells which days there are (one cheap query over the last
two weeks), and the SKUs of the newest day are read, out of that day's partitions only.

| of a SKU | column |
|---|---|
| price that the company pays | billing_account_price.tiered_rates; list_price.tiered_rates where it has none |
| list price | list_price.tiered_rates |
| an amount | usd_amount / pricing_unit_quantity, for each pricing_unit |
| term | its name: `Commitment v1: ... for 1 Year`, `Spot`, `Preemptible`, else on demand |
| regions | geo_taxonomy.regions |

Amounts are Google's own in US dollars; those in the account's currency are the same ones converted at a daily rate.
Prices of consumption models are of spend-based commitments, which no machine has, and are not read.

Source: "Structure of pricing data export" of Cloud Billing, last updated 2026-04-08; read 2026-11-21.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl
from google.cloud.bigquery import Table

from connectors.gcp.machines import SERVICE, SkuPrice, Term, compose, per_hour, some, term
from connectors.gcp.queries import Queries, Query, moment, partition, text
from connectors.gcp.session import Session
from connectors.offers import PriceList
from finops.config import Gcp
from finops.errors import InputError, SourceUnreachable
from finops.prices import MACHINE
from finops.schema import MONEY

_RECENT: Final = timedelta(days=14)
"""A price that was exported longer ago is none of today."""
_YEARS: Final = r"^Commitment\b.*\bfor (1|3) Years?\b"
_COLUMNS: Final = (
    "billing_account_id", "billing_account_price", "export_time", "geo_taxonomy", "list_price", "pricing_as_of_time",
    "pricing_unit", "service", "sku",
)  # fmt: skip


@dataclass(frozen=True)
class Day:
    """The prices of an account as of a day; first and last: the partitions that they lie in."""

    account: str
    as_of: datetime
    first: date | datetime | None
    last: date | datetime | None


@dataclass(frozen=True)
class PricesTable:
    """A pricing export. partition: the column that prunes, and its type; none of a view."""

    address: str
    partition: tuple[str, str] | None

    @classmethod
    def of(cls, table: Table) -> "PricesTable":
        """The export that a table is; raises InputError for a table that is none."""
        address = f"{table.project}.{table.dataset_id}.{table.table_id}"
        fields = {field.name: field for field in table.schema}
        if missing := [name for name in _COLUMNS if name not in fields]:
            raise InputError(
                f"{address} has no {', '.join(missing)}",
                expected="the pricing export of Cloud Billing",
                next_step="correct `gcp.prices_table` of the source in finops.toml; Google makes cloud_pricing_export",
            )
        return cls(address, partition(table, fields))

    def days_query(self, since: date) -> Query:
        """The days of each account since one, with their partitions."""
        where = "pricing_as_of_time >= @since AND service.description = @service"
        parameters = [moment("since", "TIMESTAMP", since), text("service", SERVICE)]
        partitions = "NULL AS first_partition, NULL AS last_partition"
        if self.partition is not None:
            name, kind = self.partition
            where = f"{name} >= @first AND {where}"
            parameters = [moment("first", kind, since), *parameters]
            partitions = f"MIN({name}) AS first_partition, MAX({name}) AS last_partition"
        return Query(
            f"SELECT billing_account_id AS account, pricing_as_of_time AS as_of, {partitions} "
            f"FROM `{self.address}` WHERE {where} GROUP BY account, as_of",
            parameters,
        )

    def prices_query(self, day: Day) -> Query:
        """The SKUs of a day, each with its contract's and its list's prices."""
        where = "billing_account_id = @account AND pricing_as_of_time = @as_of AND service.description = @service"
        parameters = [
            text("account", day.account), moment("as_of", "TIMESTAMP", day.as_of), text("service", SERVICE),
        ]  # fmt: skip
        if self.partition is not None and day.first is not None and day.last is not None:
            name, kind = self.partition
            where = f"{name} BETWEEN @first AND @last AND {where}"
            parameters = [moment("first", kind, day.first), moment("last", kind, day.last), *parameters]
        return Query(
            "SELECT sku.id AS sku_id, sku.description AS description, geo_taxonomy.regions AS regions, "
            "pricing_unit AS unit, export_time, list_price.tiered_rates AS list_rates, "
            f"billing_account_price.tiered_rates AS contract_rates FROM `{self.address}` WHERE {where}",
            parameters,
        )


def fetch(session: Session, gcp: Gcp, *, regions: Sequence[str], today: date, say: Callable[[str], None]) -> PriceList:
    """The offers of all regions, or of those named, at the company's own prices; `list_prices` has the list's.

    Raises SourceUnreachable when Google does not answer, denies, or the table has no price of the last two weeks or no
    machine, InputError for a table that is no pricing export, or has prices of several accounts and not the bill's.
    """
    queries, table = _open(session, gcp, say)
    found = queries.rows(f"the days of {table.address}", table.days_query(today - _RECENT))
    day = _newest(found, gcp, table)
    source = f"pricing export of {day.account}, as of"
    what = f"prices of {day.account} as of {day.as_of:%Y-%m-%d}"
    rows = queries.rows(what, table.prices_query(day), name=what)
    newest = {row["sku_id"]: row for row in sorted(rows, key=lambda row: row["export_time"])}.values()
    say(f"{session.asked.who}: {len(newest):,} SKUs of {SERVICE}, {what}")

    def composed(*rates: str) -> PriceList:
        skus = prices(newest, rates, as_of=day.as_of.date())
        return compose(skus, regions=regions, source=source, checked=day.as_of.date())

    paid = some(composed("contract_rates", "list_rates"), of=f"the pricing export of {day.account}", regions=regions)
    listed = composed("list_rates").offers.select(*MACHINE, list_per_hour="on_demand_per_hour")
    return _without_dearer(paid, listed)


def _without_dearer(paid: PriceList, listed: pl.DataFrame) -> PriceList:
    """Without spot and committed prices that a contract's price on demand undercuts: nobody would pay them.

    Of a list such prices are a mistake, for which the book leaves the machine out; here they would take the contract's.
    """
    below = pl.col("on_demand_per_hour") < pl.col("list_per_hour")
    own = paid.offers.join(listed, on=MACHINE).filter(below).select(MACHINE)
    undercut = paid.commitments.join(own, on=MACHINE, how="semi").filter(
        pl.col("committed_per_hour") > pl.col("on_demand_per_hour")
    )
    dear = paid.offers.join(own, on=MACHINE, how="semi").filter(pl.col("spot_per_hour") > pl.col("on_demand_per_hour"))
    why = "is above your price on demand"
    left_out = [
        *(f"{r['instance_type']} in {r['region']}: spot {why}" for r in dear.to_dicts()),
        *(
            f"{r['instance_type']} in {r['region']}: {r['term_years']}-year commitment {why}"
            for r in undercut.to_dicts()
        ),
    ]
    rest = paid.offers.join(dear, on=MACHINE, how="anti")
    return PriceList(
        pl.concat([rest, dear.with_columns(spot_per_hour=pl.lit(None, MONEY))]).sort(MACHINE),
        paid.commitments.join(undercut, on=[*MACHINE, "term_years"], how="anti"),
        tuple(sorted([*paid.left_out, *left_out])),
        listed,
    )


def tried(session: Session, gcp: Gcp, *, today: date) -> tuple[str, int]:
    """The table's address, and how many bytes the query of its days would read; raises as `fetch` does, and is free."""
    queries, table = _open(session, gcp, lambda _: None)
    return table.address, queries.dry_run(table.days_query(today - _RECENT))


def _open(session: Session, gcp: Gcp, say: Callable[[str], None]) -> tuple[Queries, PricesTable]:
    assert gcp.prices_table is not None, "the caller asked"
    queries = Queries(session.about(gcp.prices_table), gcp.max_gib_billed, say)
    return queries, PricesTable.of(queries.open(gcp.prices_table))


def _newest(rows: Sequence[Mapping[str, Any]], gcp: Gcp, table: PricesTable) -> Day:
    """The newest day of the bill's account, or of the only one there is."""
    days = {
        row["account"]: Day(row["account"], row["as_of"], row["first_partition"], row["last_partition"])
        for row in sorted(rows, key=lambda row: row["as_of"])
    }
    if not days:
        raise SourceUnreachable(
            f"{table.address} has no price of {SERVICE} in the last {_RECENT.days} days",
            expected="prices of every day",
            next_step="enable the pricing export under Billing export of the console; a new one has rows within 2 days",
        )
    if gcp.account in days:
        return days[gcp.account]
    if len(days) > 1:
        raise InputError(
            f"{table.address} has prices of {', '.join(sorted(days))}, and `gcp.table` is named after none of them",
            expected="prices of one account, or of the account that the bill's table is named after",
            next_step="make a view of one account's rows, and name it as `gcp.prices_table` in finops.toml",
        )
    return next(iter(days.values()))


def prices(rows: Iterable[Mapping[str, Any]], rates: Sequence[str], *, as_of: date) -> Iterator[SkuPrice]:
    """What each SKU costs by the first of the columns that has rates."""
    for row in rows:
        yield SkuPrice(
            row["description"],
            _term(row["description"]),
            tuple(region.lower() for region in row["regions"] or ()),
            per_hour(row["unit"], _amounts(next((row[name] for name in rates if row[name]), ()))),
            as_of,
        )


def _term(description: str) -> Term | None:
    years = re.search(_YEARS, description)
    if years is None and description.startswith("Commitment"):
        return None
    return term(description, years=int(years[1]) if years else None)


def _amounts(rates: Iterable[Mapping[str, Any]]) -> Iterator[Decimal]:
    """The prices of all tiers for one unit."""
    for rate in rates:
        if rate["usd_amount"] is not None:
            yield rate["usd_amount"] / Decimal(rate["pricing_unit_quantity"] or 1)
