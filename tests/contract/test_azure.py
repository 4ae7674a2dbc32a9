"""The contract suite on Azure's exports: FOCUS, EA actual and amortised, both together, and MCA."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import ConnectorContract
from tests.unit.test_azure import ACTUAL, AMORTIZED, FOCUS, details, manifest, write_csv

BAD = details(Cost="n/a")
MONTH = Path("20260901-20260930")


class TestFocus(ConnectorContract):
    name = "azure"
    rows = 3
    billed = {"USD": Decimal("5.28")}
    effective = {"USD": Decimal("7.92")}

    def sample(self, folder: Path) -> Path:
        run = folder / "bill" / "focus" / MONTH / "run"
        write_csv(run / "part_0_0001.csv.gz", FOCUS, FOCUS, {**FOCUS, "BilledCost": "$1"})
        manifest(run / "manifest.json", f"x/focus/{MONTH.as_posix()}/run/part_0_0001.csv.gz", kind="FocusCost")
        return folder / "bill"


class TestActual(ConnectorContract):
    name = "azure"
    rows = 4
    billed = {"USD": Decimal("102.64")}
    effective = {"USD": Decimal("2.64")}

    def sample(self, folder: Path) -> Path:
        return write_csv(folder / "actual.csv", *ACTUAL, BAD, mark=True)


class TestAmortized(ConnectorContract):
    name = "azure"
    rows = 4
    billed = {"USD": Decimal("2.64")}
    effective = {"USD": Decimal("12.64")}

    def sample(self, folder: Path) -> Path:
        return write_csv(folder / "amortized.csv.gz", *AMORTIZED, BAD)


class TestBothViews(ConnectorContract):
    name = "azure"
    rows = 5
    billed = {"USD": Decimal("102.64")}
    effective = {"USD": Decimal("12.64")}

    def sample(self, folder: Path) -> Path:
        write_csv(folder / "bill" / "actual" / MONTH / "part_0_0001.csv", *ACTUAL)
        write_csv(folder / "bill" / "amortized" / MONTH / "part_0_0001.csv", *AMORTIZED, BAD)
        return folder / "bill"


class TestCustomerAgreement(ConnectorContract):
    name = "azure"
    rows = 3
    billed = {"EUR": Decimal("4.5"), "NOK": Decimal("10")}
    effective = {"EUR": Decimal("4.5"), "NOK": Decimal("10")}

    def sample(self, folder: Path) -> Path:
        usual = {name[0].lower() + name[1:]: value for name, value in details().items() if name != "Cost"}
        prices = {"pricingCurrency": "USD", "exchangeRatePricingToBilling": "0.9", "invoiceId": "G1"}
        rows = [
            {**usual, **prices, "billingCurrency": currency, "costInBillingCurrency": cost}
            for currency, cost in (("EUR", "4.5"), ("NOK", "10"), ("EUR", "n/a"))
        ]
        return write_csv(folder / "mca.csv", *rows)
