"""The contract suite on OpenAI's usage: three endpoints beside costs, and one result that does not add up."""

from decimal import Decimal
from pathlib import Path

from tests.contract.connector import UsageContract
from tests.unit.test_openai import bucket, cost, save
from tests.unit.test_openai_usage import usage


class TestOpenAiUsage(UsageContract):
    name = "openai"
    alien = "alien.json"
    rows = 7
    counts = {
        "uncached_input_tokens": Decimal(2**63 + 300), "cache_read_tokens": Decimal(600),
        "cache_write_tokens": Decimal(50), "output_tokens": Decimal(70), "output_audio_tokens": Decimal(30),
        "web_searches": Decimal(9), "requests": Decimal(12), "other_quantity": Decimal(5 + 2),
    }  # fmt: skip

    def sample(self, folder: Path) -> Path:
        pages = folder / "pages"
        save(pages / "costs/2026-09/0001.json", bucket(30, cost()))
        whole = usage(input_tokens=1000, input_cached_tokens=600, input_cache_write_tokens=50, output_tokens=100,
                      output_audio_tokens=30, output_dream_tokens=2)  # fmt: skip
        wrong = usage(input_tokens=10, input_cached_tokens=11, output_tokens=1)
        large = usage(input_tokens=2**63 - 50, output_tokens=0, batch=True, model=None)
        completions = pages / "usage/completions"
        save(completions / "2026-09/0001.json", bucket(29, whole, wrong), bucket(30), has_more=True)
        save(completions / "2026-09/0002.json", bucket(31, large, usage(input_tokens=0, output_tokens=0)))
        save(completions / "2026-10/0001.json", bucket(32))
        save(pages / "usage/images/2026-09/0001.json", bucket(30, usage("images", images=5, num_model_requests=None)))
        searches = [usage("web_searches", num_requests=n, api_key_id=None) for n in (4, 5)]
        save(pages / "usage/web_search_calls/2026-09/0001.json", bucket(30, *searches))
        return pages
