"""Rows of Azure cost details (azure_cost_details.csv) and what each must become (azure_charges.csv).

The rows are written in four bills: amortised and actual of an Enterprise Agreement, a Microsoft Customer Agreement in
euros priced in dollars, and the old pay-as-you-go export. Amounts of the smaller rows are Azure's, the others made up.
What is expected was checked by hand, line by line, against Microsoft's documentation and FOCUS, as the docstring of
connectors/azure/costs.py says.
"""

import csv
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.azure import find_parts, parse
from connectors.registry import REJECT
from finops import schema as s
from finops.classify import classify
from finops.config import TagKeys
from finops.rules import load_rules
from tests.conftest import TODAY

ROWS_FILE, CHARGES = (Path(__file__).with_name(f"azure_{name}.csv") for name in ("cost_details", "charges"))
COLUMNS = {
    "category": s.CHARGE_CATEGORY, "class": s.CHARGE_CLASS, "frequency": s.CHARGE_FREQUENCY,
    "pricing": s.PRICING_CATEGORY, "status": s.COMMITMENT_DISCOUNT_STATUS, "billed": s.BILLED_COST,
    "effective": s.EFFECTIVE_COST, "contracted": s.CONTRACTED_COST, "list": s.LIST_COST,
    "priced": s.PRICING_QUANTITY, "priced_unit": s.PRICING_UNIT, "consumed": s.CONSUMED_QUANTITY,
    "unit": s.CONSUMED_UNIT, "provider": s.SERVICE_PROVIDER_NAME, "service": s.SERVICE_NAME,
    "subcategory": s.SERVICE_SUBCATEGORY, "driver": s.DRIVER, "accelerator": s.ACCELERATOR_MODEL,
    "hours": s.ACCELERATOR_HOURS, "model": s.MODEL_ID, "direction": s.TOKEN_DIRECTION, "cache": s.TOKEN_CACHE_ACTION,
    "tokens": s.TOKENS, "tier": s.SERVICE_TIER,
}  # fmt: skip
ROWS = list(csv.DictReader(ROWS_FILE.read_text(encoding="utf-8").splitlines()))
EXPECTED = {row["id"]: row for row in csv.DictReader(CHARGES.read_text(encoding="utf-8").splitlines())}
SPELLED = {
    "mca": {"Cost": "costInBillingCurrency", "MeterSubCategory": "meterSubCategory",
            "exchangeRate": "exchangeRatePricingToBilling", "paygCost": "paygCostInBillingCurrency"},
    "payg": {"Cost": "PreTaxCost", "Quantity": "UsageQuantity", "Date": "UsageDateTime", "BillingCurrency": "Currency"},
}  # fmt: skip
CURRENCIES = {"mca": "EUR"}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The classified charges by row."""
    folder = tmp_path_factory.mktemp("azure")
    charges = {}
    for bill in dict.fromkeys(row["bill"] for row in ROWS):
        rows = [row for row in ROWS if row["bill"] == bill]
        path = folder / f"{bill}.csv"
        _write(path, bill, rows)
        [part] = find_parts(path, until=TODAY)
        parsed = parse(part).with_row_index("order").filter(pl.col(REJECT).is_null())
        mappings = pl.DataFrame(schema=s.TABLES["mappings"].columns)
        for charge in classify(parsed, load_rules(), TagKeys(), mappings).collect().iter_rows(named=True):
            name = rows[charge[s.SOURCE_ROW] - 1]["id"]
            charges[name] = {"id": name} | {ours: _plain(charge[column]) for ours, column in COLUMNS.items()}
    return charges


def _write(path: Path, bill: str, rows: list[dict[str, str]]) -> None:
    """A bill in its dialect, with the columns that it fills."""
    usual = {"Date": "10/05/2026", "BillingCurrency": CURRENCIES.get(bill, "USD"), "SubscriptionId": "s"}
    filled = [name for name in rows[0] if name not in ("bill", "id") and any(row[name] for row in rows)]
    names = {name: SPELLED.get(bill, {}).get(name, name) for name in (*usual, *filled)}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(names.values()))
        writer.writeheader()
        writer.writerows({names[name]: (usual | row)[name] for name in names} for row in rows)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return "" if value is None else str(value)


def test_the_table_is_long_enough() -> None:
    """At least 40 distinct kinds of rows are pinned, and each has its own line in both files."""
    ids = [row["id"] for row in ROWS]
    assert len(ids) == len(set(ids)) >= 40
    assert set(ids) == set(EXPECTED)


def test_nothing_more_and_nothing_less_is_charged(found: dict[str, dict[str, str]]) -> None:
    """Exactly the charges of the table come out."""
    assert set(found) == set(EXPECTED)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_each_row_becomes_what_the_table_says(name: str, found: dict[str, dict[str, str]]) -> None:
    """The four costs, FOCUS categories, quantities, model and tokens of a charge are those of its line."""
    assert found[name] == EXPECTED[name]
