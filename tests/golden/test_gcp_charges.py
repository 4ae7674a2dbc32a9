"""Rows of Google Cloud's usage cost export (gcp_rows.csv) and what each must become (gcp_charges.csv).

The rows are written in the export's dotted columns; amounts are made up. What is expected was worked out by hand from
the export's schema and FOCUS, as the docstring of connectors/gcp/costs.py says.
"""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.gcp import find_parts, parse
from connectors.registry import REJECT, SOURCE_ROWS
from finops import schema as s
from finops.classify import classify
from finops.config import TagKeys
from finops.rules import load_rules

ROWS_FILE, CHARGES_FILE = (Path(__file__).with_name(f"gcp_{name}.csv") for name in ("rows", "charges"))
COLUMNS = {
    "category": s.CHARGE_CATEGORY, "class": s.CHARGE_CLASS, "frequency": s.CHARGE_FREQUENCY,
    "pricing": s.PRICING_CATEGORY, "status": s.COMMITMENT_DISCOUNT_STATUS,
    "commitment": s.COMMITMENT_DISCOUNT_CATEGORY, "billed": s.BILLED_COST, "effective": s.EFFECTIVE_COST,
    "contracted": s.CONTRACTED_COST, "list": s.LIST_COST, "consumed": s.CONSUMED_QUANTITY, "unit": s.CONSUMED_UNIT,
    "provider": s.SERVICE_PROVIDER_NAME, "driver": s.DRIVER, "accelerator": s.ACCELERATOR_MODEL,
    "hours": s.ACCELERATOR_HOURS, "model": s.MODEL_ID, "direction": s.TOKEN_DIRECTION, "cache": s.TOKEN_CACHE_ACTION,
    "tokens": s.TOKENS, "tier": s.SERVICE_TIER,
}  # fmt: skip
ROWS = list(csv.DictReader(ROWS_FILE.read_text(encoding="utf-8").splitlines()))
EXPECTED = {
    (row["id"], row["charge"]): {name: row[name] for name in COLUMNS}
    for row in csv.DictReader(CHARGES_FILE.read_text(encoding="utf-8").splitlines())
}
ALIKE = {
    "usage_start_time": "2026-09-03 10:00:00+00:00", "usage_end_time": "2026-09-03 11:00:00+00:00",
    "invoice.month": "202609", "currency": "USD", "project.id": "search-prod", "billing_account_id": "01ABCD-234567",
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, str]]:
    """The classified charges by row and number of the charge."""
    path = tmp_path_factory.mktemp("gcp") / "export.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*ROWS[0], *ALIKE])
        writer.writeheader()
        writer.writerows(row | ALIKE for row in ROWS)
    [part] = find_parts(path, until=date(2026, 11, 21))
    parsed = parse(part).filter(pl.col(REJECT).is_null())
    mappings = pl.DataFrame(schema=s.TABLES["mappings"].columns)
    charges = classify(parsed, load_rules(), TagKeys(), mappings).collect()
    return {
        (ROWS[charge[s.SOURCE_ROW] - 1]["id"], "1" if charge[SOURCE_ROWS] else "2"): {
            name: _plain(charge[column]) for name, column in COLUMNS.items()
        }
        for charge in charges.iter_rows(named=True)
    }


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return "" if value is None else str(value)


def test_the_table_is_long_enough() -> None:
    """At least 40 distinct kinds of rows are pinned, and each has its own line in both files."""
    ids = [row["id"] for row in ROWS]
    assert len(ids) == len(set(ids)) >= 40
    assert set(ids) == {row_id for row_id, _ in EXPECTED}


def test_nothing_more_and_nothing_less_is_charged(found: dict[tuple[str, str], dict[str, str]]) -> None:
    """Exactly the charges of the table come out."""
    assert set(found) == set(EXPECTED)


@pytest.mark.parametrize("key", list(EXPECTED), ids=lambda key: "-".join(key))
def test_each_row_becomes_what_the_table_says(
    key: tuple[str, str], found: dict[tuple[str, str], dict[str, str]]
) -> None:
    """The four costs, FOCUS categories, quantities, model and tokens of a charge are those of its line."""
    assert found[key] == EXPECTED[key]
