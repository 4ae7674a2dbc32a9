"""The contract suite on a gateway's CSV: two models, two owners, a row without cost, and one that is no day."""

from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from tests.contract.connector import UsageContract


class TestUsageCsv(UsageContract):
    name = "usage_csv"
    rows = 5
    counts: ClassVar[dict[str, Decimal]] = {
        "uncached_input_tokens": Decimal(700 + 10 + 250),
        "cache_read_tokens": Decimal(300),
        "output_tokens": Decimal(60 + 5 + 50),
        "reasoning_tokens": Decimal(40),
        "requests": Decimal(4 + 1 + 2 + 1),
        "other_quantity": Decimal("2.5"),
    }
    stated: ClassVar[dict[str, Decimal]] = {"USD": Decimal("0.100000000000000001") + 9, "EUR": Decimal("0.25")}

    def sample(self, folder: Path) -> Path:
        path = folder / "gateway.csv"
        path.write_text(
            "date,provider,model,input_tokens,cached_tokens,output_tokens,reasoning_tokens,requests,team,tags,"
            "other_quantity,other_unit,cost,currency\n"
            '2026-09-30,openai,gpt-5,1000,300,100,40,4,search,"{""app"": ""rag""}",,,0.100000000000000001,USD\n'
            "2026-10-01,anthropic,claude-sonnet-4-5,10,,5,,1,,,,,0.25,EUR\n"
            "2026-10-01,,openai/gpt-5,250,,50,,2,search,,,,,\n"
            "2026-10-01,openai,gpt-image-1,,,,,1,ads,,2.5,images,,\n"
            "tomorrow,openai,gpt-5,1000,300,100,40,4,search,,,,9,USD\n"
        )
        return path
