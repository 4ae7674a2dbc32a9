"""The contract suite on OpenAI's costs: two pages of a pull, with a credit, an empty bucket and a wrong amount."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import ConnectorContract
from tests.unit.test_openai import bucket, cost, save


class TestOpenAi(ConnectorContract):
    name = "openai"
    alien = "alien.json"
    rows = 6
    billed = {"USD": Decimal("8.0123456789"), "EUR": Decimal("1e-18")}
    effective = billed

    def sample(self, folder: Path) -> Path:
        pages = folder / "pages"
        wrong = cost(value='"$4.00"')
        twice = bucket(29, cost(value="10.0123456789"), cost(value="10.0123456789"))
        save(pages / "1.json", twice, bucket(30, cost(value="-12.0123456789"), wrong), has_more=True)
        credit = cost(value="0", quantity="null")
        save(pages / "2.json", bucket(31), bucket(32, cost(value="1e-18", currency="eur"), credit))
        return pages
