"""The contract suite on Anthropic's cost report: two pages of a pull, with null ids and a wrong amount."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import ConnectorContract
from tests.unit.test_anthropic import bucket, cost, save


class TestAnthropic(ConnectorContract):
    name = "anthropic"
    alien = "alien.json"
    rows = 5
    billed = {"USD": Decimal("1.2350000037")}
    effective = billed

    def sample(self, folder: Path) -> Path:
        pages = folder / "pages"
        save(pages / "1.json", bucket("2026-09-30", cost(amount="123.45"), cost(amount="n/a")), has_more=True)
        unknown = cost(amount="0.00000037", workspace_id=None, model=None)
        save(pages / "2.json", bucket("2026-10-01", cost(amount="-0.05"), cost(amount=".1"), unknown))
        return pages
