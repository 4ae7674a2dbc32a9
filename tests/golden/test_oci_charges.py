"""Rows of Oracle's cost reports (oci_rows.csv) and FOCUS files (oci_focus_rows.csv), and what each must become.

Amounts are made up; columns, descriptions and units are those of Oracle's reports, their documentation and its price
list. What is expected (oci_charges.csv) was worked out by hand from the documentation of the columns: a cost report
has one amount, overage and attributed cost are parts of it; a FOCUS file states its costs, categories and class.
"""

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.oci import find_parts, parse
from connectors.registry import REJECT
from finops import schema as s
from finops.classify import classify
from finops.config import TagKeys
from finops.rules import load_rules

COLUMNS = {
    "category": s.CHARGE_CATEGORY, "class": s.CHARGE_CLASS, "frequency": s.CHARGE_FREQUENCY,
    "pricing": s.PRICING_CATEGORY, "status": s.COMMITMENT_DISCOUNT_STATUS, "currency": s.BILLING_CURRENCY,
    "billed": s.BILLED_COST, "effective": s.EFFECTIVE_COST, "contracted": s.CONTRACTED_COST, "list": s.LIST_COST,
    "quantity": s.CONSUMED_QUANTITY, "unit": s.CONSUMED_UNIT, "driver": s.DRIVER, "accelerator": s.ACCELERATOR_MODEL,
    "hours": s.ACCELERATOR_HOURS, "model": s.MODEL_ID, "subcategory": s.SERVICE_SUBCATEGORY,
}  # fmt: skip
ALIKE = {
    "oci_rows": {"lineItem/intervalUsageStart": "2026-09-03T10:00Z", "lineItem/intervalUsageEnd": "2026-09-03T11:00Z"},
    "oci_focus_rows": {
        "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        "ChargePeriodStart": "2026-09-03T10:00:00Z", "ChargePeriodEnd": "2026-09-03T11:00:00Z", "Provider": "OCI",
        "Publisher": "Oracle", "InvoiceIssuer": "Oracle", "Region": "eu-frankfurt-1",
        "SubAccountId": "ocid1.tenancy.oc1..aaaa", "oci_CompartmentId": "ocid1.compartment.oc1..bbbb",
        "oci_CompartmentName": "search-prod",
    },
}  # fmt: skip


def _table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(__file__).with_name(f"{name}.csv").read_text(encoding="utf-8").splitlines()))


ROWS, EXPECTED = {name: _table(name) for name in ALIKE}, {row["id"]: row for row in _table("oci_charges")}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The classified charges by row."""
    return {row_id: charge for name in ROWS for row_id, charge in _charges(name, tmp_path_factory.mktemp(name))}


def _charges(name: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    rows, path = ROWS[name], folder / "bill.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], *ALIKE[name]])
        writer.writeheader()
        writer.writerows(row | ALIKE[name] for row in rows)
    [part] = find_parts(path, until=date(2026, 11, 21))
    mappings = pl.DataFrame(schema=s.TABLES["mappings"].columns)
    parsed = parse(part).filter(pl.col(REJECT).is_null())
    charges = classify(parsed, load_rules(), TagKeys(), mappings).collect()
    assert len(charges) == len(rows)
    for charge in charges.iter_rows(named=True):
        values = {ours: _plain(charge[column]) for ours, column in COLUMNS.items()}
        yield rows[charge[s.SOURCE_ROW] - 1]["id"], values


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return "" if value is None else str(value)


def test_the_table_is_long_enough() -> None:
    """At least 30 distinct kinds of rows are pinned, each with its own line."""
    ids = [row["id"] for rows in ROWS.values() for row in rows]
    assert len(ids) == len(set(ids)) >= 30
    assert set(ids) == EXPECTED.keys()


@pytest.mark.parametrize("row_id", list(EXPECTED))
def test_each_row_becomes_what_the_table_says(row_id: str, found: dict[str, dict[str, str]]) -> None:
    """The four costs, categories, quantity, driver and accelerator of a charge are those of its line."""
    assert found[row_id] == {name: EXPECTED[row_id][name] for name in COLUMNS}
