"""Line items of AWS bills (aws_line_items.csv) and what each must become (aws_charges.csv).

The line items are written in CUR 2.0's columns, three bills by where discounts stand; amounts are made up. What is
expected was worked out by hand from AWS's documentation and FOCUS, as the docstring of connectors/aws/costs.py says.
"""

import csv
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.aws import find_parts, parse
from connectors.registry import REJECT, SOURCE_ROWS
from finops import schema as s
from finops.classify import classify
from finops.config import TagKeys
from finops.rules import load_rules

LINE_ITEMS, CHARGES = (Path(__file__).with_name(f"aws_{name}.csv") for name in ("line_items", "charges"))
COLUMNS = {
    "category": s.CHARGE_CATEGORY, "class": s.CHARGE_CLASS, "frequency": s.CHARGE_FREQUENCY,
    "pricing": s.PRICING_CATEGORY, "status": s.COMMITMENT_DISCOUNT_STATUS, "billed": s.BILLED_COST,
    "effective": s.EFFECTIVE_COST, "contracted": s.CONTRACTED_COST, "list": s.LIST_COST,
    "consumed": s.CONSUMED_QUANTITY, "unit": s.CONSUMED_UNIT, "provider": s.SERVICE_PROVIDER_NAME, "driver": s.DRIVER,
    "accelerator": s.ACCELERATOR_MODEL, "hours": s.ACCELERATOR_HOURS, "model": s.MODEL_ID,
    "direction": s.TOKEN_DIRECTION, "cache": s.TOKEN_CACHE_ACTION, "tokens": s.TOKENS, "tier": s.SERVICE_TIER,
}  # fmt: skip
EXPECTED = {
    (row["id"], row["charge"]): {name: row[name] for name in COLUMNS}
    for row in csv.DictReader(CHARGES.read_text(encoding="utf-8").splitlines())
}
ROWS = list(csv.DictReader(LINE_ITEMS.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, str]]:
    """The classified charges by line item and number of the charge."""
    folder = tmp_path_factory.mktemp("aws")
    charges = {}
    for bill in dict.fromkeys(row["bill"] for row in ROWS):
        rows = [row for row in ROWS if row["bill"] == bill]
        path = folder / f"{bill}.csv"
        _write(path, rows)
        [part] = find_parts(path, until=date(2026, 11, 21))
        parsed = parse(part).with_row_index("order").filter(pl.col(REJECT).is_null())
        mappings = pl.DataFrame(schema=s.TABLES["mappings"].columns)
        for charge in classify(parsed, load_rules(), TagKeys(), mappings).collect().iter_rows(named=True):
            line_item = rows[charge[s.SOURCE_ROW] - 1]["identity_line_item_id"]
            number = "1" if charge[SOURCE_ROWS] == 1 else "2"
            charges[line_item, number] = {name: _plain(charge[column]) for name, column in COLUMNS.items()}
    return charges


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    """A bill with the columns that it fills."""
    filled = [name for name in rows[0] if name != "bill" and any(row[name] for row in rows)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, filled, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value else "0"
    return "" if value is None else str(value)


def _ids() -> Iterator[str]:
    return (f"{line_item}-{charge}" for line_item, charge in EXPECTED)


def test_the_table_is_long_enough() -> None:
    """At least 40 distinct kinds of line items are pinned, and each has its own line in both files."""
    ids = [row["identity_line_item_id"] for row in ROWS]
    assert len(ids) == len(set(ids)) >= 40
    assert set(ids) == {line_item for line_item, _ in EXPECTED}
    assert len({row["line_item_line_item_type"] for row in ROWS}) >= 15


def test_nothing_more_and_nothing_less_is_charged(found: dict[tuple[str, str], dict[str, str]]) -> None:
    """Exactly the charges of the table come out."""
    assert set(found) == set(EXPECTED)


@pytest.mark.parametrize("key", list(EXPECTED), ids=list(_ids()))
def test_each_line_item_becomes_what_the_table_says(
    key: tuple[str, str], found: dict[tuple[str, str], dict[str, str]]
) -> None:
    """The four costs, FOCUS categories, quantities, model and tokens of a charge are those of its line."""
    assert found[key] == EXPECTED[key]


@pytest.mark.parametrize("bill", ["rows", "net", "map"])
def test_the_bill_is_the_invoice(bill: str, found: dict[tuple[str, str], dict[str, str]]) -> None:
    """BilledCost of a bill sums to what AWS invoices: unblended cost, net cost, or unblended cost less the map."""
    ids = {row["identity_line_item_id"] for row in ROWS if row["bill"] == bill}
    billed = sum(Decimal(charge["billed"]) for (line_item, _), charge in found.items() if line_item in ids)
    invoiced = {
        # the covered hour of SageMaker stands there without its negation
        "rows": sum(Decimal(row["line_item_unblended_cost"]) for row in ROWS if row["bill"] == "rows") - 32,
        # usage, credit, tax (its net is empty), fees; the covered hour stands there without its negation
        "net": Decimal("90") - 5 + 8 + 72 + Decimal("40.176"),
        "map": Decimal("90") + 45 - 18 + Decimal("2.304"),
    }[bill]
    assert billed == invoiced
