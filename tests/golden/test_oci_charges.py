"""Rows of Oracle's cost reports (oci_rows.csv) and what each must become (oci_charges.csv).

Amounts are made up; descriptions and units are those of Oracle's reports and price list. What is expected was worked
out by hand, as connectors/oci/cost_report.py says.
"""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.oci import find_parts, parse
from finops import schema as s
from finops.classify import classify
from finops.config import TagKeys
from finops.rules import load_rules

COLUMNS = {
    "class": s.CHARGE_CLASS, "pricing": s.PRICING_CATEGORY, "billed": s.BILLED_COST, "unit": s.PRICING_UNIT,
    "driver": s.DRIVER, "accelerator": s.ACCELERATOR_MODEL, "hours": s.ACCELERATOR_HOURS, "model": s.MODEL_ID,
    "subcategory": s.SERVICE_SUBCATEGORY,
}  # fmt: skip
ALIKE = {
    "lineItem/intervalUsageStart": "2026-09-03T10:00Z", "lineItem/intervalUsageEnd": "2026-09-03T11:00Z",
    "cost/currencyCode": "USD",
}  # fmt: skip


def _table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()))


ROWS, EXPECTED = _table("oci_rows.csv"), {row["id"]: row for row in _table("oci_charges.csv")}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The classified charges by row."""
    path = tmp_path_factory.mktemp("oci") / "report.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*ROWS[0], *ALIKE])
        writer.writeheader()
        writer.writerows(row | ALIKE for row in ROWS)
    [part] = find_parts(path, until=date(2026, 11, 21))
    mappings = pl.DataFrame(schema=s.TABLES["mappings"].columns)
    charges = classify(parse(part), load_rules(), TagKeys(), mappings).collect()
    ids = [row["id"] for row in ROWS]
    assert len(ids) == len(set(ids)) == len(charges)
    return {
        ids[charge[s.SOURCE_ROW] - 1]: {name: _plain(charge[column]) for name, column in COLUMNS.items()}
        for charge in charges.iter_rows(named=True)
    }


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return "" if value is None else str(value)


@pytest.mark.parametrize("row_id", list(EXPECTED))
def test_each_row_becomes_what_the_table_says(row_id: str, found: dict[str, dict[str, str]]) -> None:
    """Class, pricing, cost, unit, driver and accelerator of a charge are those of its line."""
    assert found[row_id] == {name: EXPECTED[row_id][name] for name in COLUMNS}
