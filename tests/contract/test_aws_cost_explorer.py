"""Pages of Cost Explorer keep the contract of connectors."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import ConnectorContract
from tests.cost_explorer_stub import group, page

EC2 = "Amazon Elastic Compute Cloud - Compute"


class TestAwsCostExplorer(ConnectorContract):
    """The three kinds of pages of a month; one group has a cost that is no number."""

    name = "aws"
    rows = 7
    billed = {"USD": Decimal("181.25")}
    effective = {"USD": Decimal("186.75")}
    alien = "alien.json"

    def sample(self, folder: Path) -> Path:
        """Usage, commitments, fees and what goes with them, over two days."""
        month = folder / "bill" / "cost_explorer" / "2026-09"
        month.mkdir(parents=True)
        usage = page(
            "usage",
            ("2026-09-03", group(EC2, "USE1-BoxUsage:p5.48xlarge", "98.25", "98.25", "1")),
            ("2026-09-04", group("Amazon Bedrock", "USE1-NovaPro-input-tokens", "3", "3", "40", "1K tokens")),
            ("2026-09-04", group(EC2, "USE1-BoxUsage:g5.xlarge", "$4", "4", "1")),
        )
        committed = page("committed", ("2026-09-03", group(EC2, "BoxUsage:g5.2xlarge", "100", "70", "60")))
        other = page(
            "other",
            ("2026-09-03", group("SavingsPlanNegation", EC2, "-100", "0")),
            ("2026-09-03", group("SavingsPlanRecurringFee", "Savings Plans for AWS Compute usage", "75", "5.5")),
            ("2026-09-04", group("Tax", "Tax", "5", "10", unit="N/A")),
        )
        for name, text in (("usage", usage), ("committed", committed), ("other", other)):
            (month / f"{name}-0001.json").write_text(text)
        return folder / "bill"
