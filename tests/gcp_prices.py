"""A pricing export in the stub of BigQuery: its columns, SKUs at list and contract prices, and its two queries."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

NAME = "cloud_pricing_export"
Row = dict[str, Any]
_RATES: Any = [{
    "pricing_unit_quantity": "FLOAT", "start_usage_amount": "FLOAT", "usd_amount": "NUMERIC",
    "account_currency_amount": "NUMERIC",
}]  # fmt: skip
_AGGREGATION = {"aggregation_level": "STRING", "aggregation_interval": "STRING"}
PRICES: Mapping[str, Any] = {
    "export_time": "TIMESTAMP",
    "pricing_as_of_time": "TIMESTAMP",
    "billing_account_id": "STRING",
    "billing_account_name": "STRING",
    "business_entity_name": "STRING",
    "service": {"id": "STRING", "description": "STRING"},
    "sku": {"id": "STRING", "description": "STRING", "destination_migration_mappings": ["STRING"]},
    "product_taxonomy": ["STRING"],
    "geo_taxonomy": {"type": "STRING", "regions": ["STRING"]},
    "pricing_unit": "STRING",
    "pricing_unit_description": "STRING",
    "account_currency_code": "STRING",
    "currency_conversion_rate": "FLOAT",
    "list_price": {"aggregation_info": _AGGREGATION, "tiered_rates": _RATES},
    "billing_account_price": {
        "price_info": {"price_reason": "STRING", "discount_percent": "NUMERIC"},
        "aggregation_info": _AGGREGATION,
        "tiered_rates": _RATES,
    },
}
_DAYS = {"account": "STRING", "as_of": "TIMESTAMP", "first_partition": "TIMESTAMP", "last_partition": "TIMESTAMP"}
_SKUS = {
    "sku_id": "STRING", "description": "STRING", "regions": ["STRING"], "unit": "STRING", "export_time": "TIMESTAMP",
    "list_rates": _RATES, "contract_rates": _RATES,
}  # fmt: skip
_READ = (
    "sku.id AS sku_id", "sku.description AS description", "geo_taxonomy.regions AS regions", "pricing_unit AS unit",
    "export_time", "list_price.tiered_rates AS list_rates", "billing_account_price.tiered_rates AS contract_rates",
)  # fmt: skip


def rates(*prices: str, quantity: float = 1.0, currency_rate: str = "0.9") -> list[Row]:
    """The tiers of a price."""
    return [
        {
            "pricing_unit_quantity": quantity, "start_usage_amount": 100.0 * number, "usd_amount": Decimal(price),
            "account_currency_amount": Decimal(price) * Decimal(currency_rate),
        }
        for number, price in enumerate(prices)
    ]  # fmt: skip


def priced(
    description: str,
    listed: str,
    contract: str | None = None,
    *,
    as_of: datetime,
    account: str,
    unit: str = "h",
    regions: tuple[str, ...] = ("us-central1",),
    service: str = "Compute Engine",
) -> Row:
    """A SKU of a day; exported two hours later."""
    own = {"price_info": {"price_reason": "FIXED_DISCOUNT"}, "tiered_rates": rates(contract)} if contract else None
    return {
        "export_time": as_of + timedelta(hours=2), "pricing_as_of_time": as_of, "billing_account_id": account,
        "business_entity_name": "GCP", "service": {"id": "6F81-5844-456A", "description": service},
        "sku": {"id": f"{description} {regions}", "description": description},
        "geo_taxonomy": {"type": "REGIONAL", "regions": list(regions)}, "pricing_unit": unit,
        "account_currency_code": "EUR", "currency_conversion_rate": 0.9,
        "list_price": {"tiered_rates": rates(listed)}, "billing_account_price": own,
    }  # fmt: skip


def answer(
    sql: str, parameters: Mapping[str, Any], rows: list[Row], column: str | None
) -> tuple[str, Mapping[str, Any], list[Row]]:
    """What a query answers: `days`, or `prices` of a day; raises ValueError for one that it does not expect.

    column: which partitions the table.
    """
    _must("service.description = @service" in sql, "a filter on the service")
    rows = [row for row in rows if row["service"]["description"] == parameters["service"]]
    if "GROUP BY account, as_of" in sql:
        _must(column is None or f"WHERE {column} >= @first AND" in sql, "a filter on the partition")
        _must("pricing_as_of_time >= @since" in sql, "a filter on the day")
        low = max(parameters["since"], parameters.get("first", parameters["since"]))
        found = {(row["pricing_as_of_time"], row["billing_account_id"]) for row in rows}
        return "days", _DAYS, [
            {"account": account, "as_of": as_of,
             "first_partition": column and _place(as_of, column), "last_partition": column and _place(as_of, column)}
            for as_of, account in sorted(found, reverse=True)
            if as_of >= low
        ]  # fmt: skip
    _must(column is None or f"WHERE {column} BETWEEN @first AND @last AND" in sql, "a filter on the partition")
    _must("billing_account_id = @account AND pricing_as_of_time = @as_of" in sql, "account and day")
    _must(re.split(r",\s*", sql.removeprefix("SELECT ").partition(" FROM ")[0]) == list(_READ), "the columns")
    return "prices", _SKUS, [
        {
            "sku_id": row["sku"]["id"], "description": row["sku"]["description"],
            "regions": row["geo_taxonomy"]["regions"], "unit": row["pricing_unit"], "export_time": row["export_time"],
            "list_rates": row["list_price"]["tiered_rates"],
            "contract_rates": (row["billing_account_price"] or {}).get("tiered_rates"),
        }
        for row in rows
        if row["billing_account_id"] == parameters["account"]
        and row["pricing_as_of_time"] == parameters["as_of"]
        and (column is None or parameters["first"] <= _place(row["pricing_as_of_time"], column) <= parameters["last"])
    ]  # fmt: skip


def _place(as_of: datetime, column: str) -> datetime:
    return datetime(as_of.year, as_of.month, as_of.day, tzinfo=UTC) if column == "_PARTITIONTIME" else as_of


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
