"""The contract suite on LiteLLM's files: spend logs as lines, logging payloads, and pages of daily activity."""

from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from tests.contract.connector import UsageContract
from tests.unit.test_litellm import HASH, activity, by_key, metrics, payload, save, spend_log


class TestSpendLogs(UsageContract):
    name = "litellm"
    rows = 5
    counts: ClassVar[dict[str, Decimal]] = {
        "uncached_input_tokens": Decimal(1000 + 700),
        "cache_read_tokens": Decimal(300),
        "output_tokens": Decimal(100 + 60),
        "reasoning_tokens": Decimal(40),
        "requests": Decimal(2),
    }
    stated: ClassVar[dict[str, Decimal]] = {"USD": Decimal("0.00225") * 2 + Decimal("1.5e-07")}

    def sample(self, folder: Path) -> Path:
        usage = {
            "prompt_tokens_details": {"cached_tokens": 300}, "completion_tokens_details": {"reasoning_tokens": 40},
        }  # fmt: skip
        nothing: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "spend": 0}
        return save(
            folder / "logs/spend.jsonl",
            spend_log(startTime="2026-09-30T23:59:59Z"),
            spend_log(usage=usage, request_tags=["team:search"], spend=1.5e-07),
            spend_log(cache_hit="True", spend=0.0),
            spend_log(status="failure", model="", **nothing),
            spend_log(startTime="yesterday"),
        )


class TestLogFiles(UsageContract):
    name = "litellm"
    alien = "alien.json"
    rows = 3
    counts: ClassVar[dict[str, Decimal]] = {
        "uncached_input_tokens": Decimal(600 * 2),
        "cache_read_tokens": Decimal(400 * 2),
        "output_tokens": Decimal(100 * 2),
        "requests": Decimal(2),
    }
    stated: ClassVar[dict[str, Decimal]] = {"USD": Decimal("0.00225") * 3}

    def sample(self, folder: Path) -> Path:
        for number, record in enumerate((payload(), payload(model="gpt-5-mini"), payload(prompt_tokens=-5))):
            save(folder / f"bucket/2026-10-01/{number}.json", record)
        return folder / "bucket"


class TestDailyActivity(UsageContract):
    name = "litellm"
    alien = "alien.json"
    rows = 4
    counts: ClassVar[dict[str, Decimal]] = {
        "uncached_input_tokens": Decimal(500 + 400 + 700),
        "cache_read_tokens": Decimal(100),
        "cache_write_tokens": Decimal(200),
        "output_tokens": Decimal(60 + 40 + 90),
        "requests": Decimal(3),
    }
    stated: ClassVar[dict[str, Decimal]] = {"USD": Decimal("1.5")}

    def sample(self, folder: Path) -> Path:
        keys = {HASH: by_key("a", metrics(600, 60, 100)), "other": by_key("b", metrics(400, 40))}
        models = {"gpt-5": {"metrics": metrics(1000, 100, 100, spend=1.0), "api_key_breakdown": keys}}
        save(folder / "pull/1.json", activity(models, metrics(1000, 100, 100, spend=1.0), page=1, pages=2))
        models = {"openai/gpt-5-mini": {"metrics": metrics(900, 90, 0, 200)}}
        save(folder / "pull/2.json", activity(models, metrics(901, 90, 0, 200), page=2, pages=2))
        return folder / "pull"
