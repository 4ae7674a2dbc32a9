"""The contract suite on Oracle's cost reports, CSV and gzipped CSV, and on its FOCUS files."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import ConnectorContract
from tests.unit.test_gcp import write_csv
from tests.unit.test_oci import FOCUS_ROW, USUAL


class TestCostReport(ConnectorContract):
    name = "oci"
    rows = 5
    billed = {"USD": Decimal("20.000000000000000001"), "EUR": Decimal(3)}
    effective = billed

    def sample(self, folder: Path) -> Path:
        bill = folder / "bill"
        write_csv(bill / "1.csv", USUAL, USUAL | {"cost/myCost": "1E-18", "tags/Acme.team": "search"})
        euros = USUAL | {"cost/currencyCode": "EUR", "cost/myCost": "3"}
        corrected = USUAL | {"cost/myCost": "0", "lineItem/isCorrection": "true"}
        write_csv(bill / "2.csv.gz", euros, corrected, USUAL | {"cost/myCost": "n/a"})
        return bill


class TestFocus(ConnectorContract):
    name = "oci"
    rows = 2
    billed = {"USD": Decimal("1.5")}
    effective = {"USD": Decimal(3)}

    def sample(self, folder: Path) -> Path:
        return write_csv(folder / "focus.csv.gz", FOCUS_ROW, FOCUS_ROW | {"BilledCost": "?"})
