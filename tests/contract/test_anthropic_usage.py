"""The contract suite on Anthropic's usage report: two pages without costs, and one result whose window is unknown."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import UsageContract
from tests.unit.test_anthropic import bucket, save
from tests.unit.test_anthropic_usage import usage


class TestAnthropicUsage(UsageContract):
    name = "anthropic"
    alien = "alien.json"
    rows = 5
    counts = {
        "uncached_input_tokens": Decimal(1000), "cache_read_tokens": Decimal(600), "cache_write_5m_tokens": Decimal(50),
        "cache_write_1h_tokens": Decimal(20), "output_tokens": Decimal(107), "web_searches": Decimal(3),
        "other_quantity": Decimal(4),
    }  # fmt: skip

    def sample(self, folder: Path) -> Path:
        pages = folder / "pages"
        cached = usage(
            uncached_input_tokens=1000, cache_read_input_tokens=600, output_tokens=100,
            cache_creation={"ephemeral_1h_input_tokens": 20, "ephemeral_5m_input_tokens": 50},
        )  # fmt: skip
        wrong = usage(output_tokens=9, context_window="wide")
        save(pages / "1.json", bucket("2026-09-29", cached, wrong), bucket("2026-09-30"), has_more=True)
        tools = {"web_search_requests": 3, "web_fetch_requests": 4}
        nobody = usage(output_tokens=2, api_key_id=None, workspace_id=None, service_tier="batch")
        save(pages / "2.json", bucket("2026-10-01", usage(output_tokens=5, server_tool_use=tools), nobody, usage()))
        return pages
