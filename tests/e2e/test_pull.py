"""`finops ingest` pulls its sources, and what the providers answered is in the lake to the last decimal."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import schema as s
from finops.cli.main import run
from finops.config import load_config
from finops.store import Lake
from tests import provider_stub as stubs
from tests.provider_stub import KEYS, Provider, Stub

TODAY = datetime.now(UTC).date()
SINCE = (TODAY.replace(day=1) - timedelta(days=1)).replace(day=1)
DAYS = [SINCE + timedelta(days=n) for n in range((TODAY - SINCE).days + 1)]
CENT = Decimal("0.01")
OPENAI_A_DAY = Decimal("1.000000000000000007")
CENTS_A_DAY = Decimal("123.456789")


@dataclass
class Company:
    """A home whose three sources are pulled from stubs."""

    home: Path
    stubs: dict[Provider, Stub]
    capsys: pytest.CaptureFixture[str]

    def finops(self, *arguments: str) -> tuple[int, Any, str]:
        """The exit code, the JSON of standard output, and standard error, in which no key may stand."""
        self.capsys.readouterr()
        code = run(["--home", str(self.home), "--format", "json", *arguments])
        printed = self.capsys.readouterr()
        for key in KEYS.values():
            assert key not in printed.out + printed.err
        return code, json.loads(printed.out) if printed.out else None, printed.err

    def scan(self, table: str) -> pl.DataFrame:
        return Lake.of(load_config(self.home)).scan(table).collect()

    def billed(self) -> dict[str, Decimal]:
        sums = self.scan("charges").group_by(s.SOURCE_ID).agg(pl.col(s.BILLED_COST).sum())
        return {source: cost.normalize() for source, cost in sums.rows()}

    def tokens(self) -> dict[str, int]:
        meters = pl.sum_horizontal("uncached_input_tokens", "cache_read_tokens", "output_tokens")
        sums = self.scan("token_usage").group_by("source_id").agg(meters.sum())
        return {source: int(tokens) for source, tokens in sums.rows()}


def openai_cost(amount: Decimal = OPENAI_A_DAY) -> dict[str, Any]:
    return {
        "object": "organization.costs.result", "amount": {"value": amount, "currency": "usd"},
        "line_item": "gpt-5, input_tokens", "project_id": "proj_a", "api_key_id": "key_a", "quantity": 1000,
        "quantity_unit": "tokens",
    }  # fmt: skip


def openai_usage(tokens: int = 1000) -> dict[str, Any]:
    return {
        "object": "organization.usage.completions.result", "input_tokens": tokens, "input_cached_tokens": 400,
        "output_tokens": 50, "num_model_requests": 2, "project_id": "proj_a", "api_key_id": "key_a", "model": "gpt-5",
        "batch": False, "service_tier": "default",
    }  # fmt: skip


def anthropic_cost(cents: Decimal = CENTS_A_DAY) -> dict[str, Any]:
    return {
        "currency": "USD", "amount": str(cents), "workspace_id": None, "cost_type": "tokens",
        "description": "Claude Sonnet 4.5 Usage - Input Tokens", "model": "claude-sonnet-4-5-20250929",
        "service_tier": "standard", "token_type": "uncached_input_tokens", "context_window": "0-200k",
        "inference_geo": "global",
    }  # fmt: skip


def anthropic_usage() -> dict[str, Any]:
    return {
        "uncached_input_tokens": 700, "cache_read_input_tokens": 0, "output_tokens": 30, "api_key_id": "apikey_1",
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0}, "workspace_id": None,
        "model": "claude-sonnet-4-5-20250929", "service_tier": "standard", "context_window": "0-200k",
        "inference_geo": "global", "server_tool_use": {"web_search_requests": 0},
    }  # fmt: skip


def gateway_usage() -> dict[str, Any]:
    return {
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b", "key_alias": "search",
        "team_id": "team-1", "model": "gpt-5", "custom_llm_provider": "openai", "spend": Decimal("0.001"),
        "prompt_tokens": 90, "completion_tokens": 10, "api_requests": 1, "successful_requests": 1,
    }  # fmt: skip


@pytest.fixture
def company(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Company]:
    """Three providers, each with results on every day, and a home that pulls them since the last month."""
    with Stub("openai") as openai, Stub("anthropic") as anthropic, Stub("litellm") as litellm:
        providers: dict[Provider, Stub] = {"openai": openai, "anthropic": anthropic, "litellm": litellm}
        for day in DAYS:
            openai.put("costs", day, openai_cost())
            openai.put("usage/completions", day, openai_usage())
            anthropic.put("cost_report", day, anthropic_cost())
            anthropic.put("usage_report/messages", day, anthropic_usage())
            litellm.put("daily_activity", day, gateway_usage())
        anthropic.days_a_page = 9
        home.mkdir()
        (home / "litellm.key").write_text(KEYS["litellm"] + "\n")
        monkeypatch.setenv("STUB_OPENAI_KEY", KEYS["openai"])
        monkeypatch.setenv("STUB_ANTHROPIC_KEY", KEYS["anthropic"])
        keys = {
            "openai": 'env = "STUB_OPENAI_KEY"',
            "anthropic": 'env = "STUB_ANTHROPIC_KEY"',
            "litellm": 'file = "litellm.key"',
        }
        (home / "finops.toml").write_text(
            "\n".join(
                f'[[sources]]\nid = "{name}"\nconnector = "{name}"\n'
                f'[sources.pull]\nsince = {SINCE}\nurl = "{stub.url}"\nkey = {{ {keys[name]} }}'
                for name, stub in providers.items()
            )
        )
        yield Company(home, providers, capsys)


def test_pulled_and_loaded(company: Company) -> None:
    """Through faults and many pages, each result is a charge or usage once, and a second run changes nothing."""
    again = stubs.status(429, retry_after="0")
    company.stubs["openai"].fail(again, stubs.status(503, retry_after="0"), stubs.as_it_is(), again)
    company.stubs["anthropic"].fail(stubs.as_it_is(), stubs.cut_off(), stubs.as_it_is(), stubs.reset())
    code, document, said = company.finops("ingest")
    assert code == 0, said
    assert company.billed() == {
        "openai": (OPENAI_A_DAY * len(DAYS)).normalize(),
        "anthropic": (CENTS_A_DAY * len(DAYS) * CENT).normalize(),
    }
    assert company.tokens() == {
        "openai": 1050 * len(DAYS), "anthropic": 730 * len(DAYS), "litellm": 100 * len(DAYS)
    }  # fmt: skip
    assert {batch["source"] for batch in document["batches"]} == {"openai", "anthropic", "litellm"}
    before = (company.billed(), company.tokens())
    assert company.finops("ingest")[0] == 0
    assert (company.billed(), company.tokens()) == before


def test_a_late_restatement_replaces_its_days(company: Company) -> None:
    """A day that the provider corrects after it was pulled is in the lake as it was corrected, and no other changed."""
    assert company.finops("ingest", "openai")[0] == 0
    costs = company.billed()["openai"]
    company.stubs["openai"].put("costs", TODAY, openai_cost(OPENAI_A_DAY + 7), openai_cost(Decimal("-0.5")))
    company.stubs["openai"].put("usage/completions", TODAY, openai_usage(3000))
    assert company.finops("ingest", "openai")[0] == 0
    assert company.billed()["openai"] - costs == Decimal("6.5")
    assert company.tokens()["openai"] == 1050 * len(DAYS) + 2000


def test_pages_that_become_fewer(company: Company) -> None:
    """A month that is answered in fewer pages than before is loaded without what its old pages held."""
    assert company.finops("ingest", "anthropic")[0] == 0
    company.stubs["anthropic"].days_a_page = None
    company.stubs["anthropic"].put("cost_report", TODAY)
    assert company.finops("ingest", "anthropic")[0] == 0
    assert company.billed()["anthropic"] == (CENTS_A_DAY * (len(DAYS) - 1) * CENT).normalize()


def test_gateway_request_by_request(company: Company) -> None:
    """With detail = requests each call of the spend logs is metered once, over days, pages and more than it counts."""
    file = company.home / "finops.toml"
    file.write_text(file.read_text() + '\n[sources.options]\ndetail = "requests"\n')
    file.write_text(file.read_text().replace(f"since = {SINCE}", f"since = {TODAY - timedelta(days=2)}"))
    for day, calls in zip(DAYS[-3:], (150, 10_150, 100), strict=True):
        company.stubs["litellm"].put("spend_logs", day, *(gateway_call(day, number) for number in range(calls)))
    code, _, said = company.finops("ingest", "litellm")
    assert code == 0, said
    assert company.tokens() == {"litellm": 100 * 10_400}


def gateway_call(day: date, number: int) -> dict[str, Any]:
    return {
        "request_id": f"{day}-{number}", "call_type": "acompletion", "api_key": "88dc28d0", "spend": Decimal("0.001"),
        "total_tokens": 100, "prompt_tokens": 90, "completion_tokens": 10, "model": "gpt-5", "metadata": {},
        "startTime": f"{day}T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.001000+00:00",
        "custom_llm_provider": "openai", "status": "success", "cache_hit": "False", "request_tags": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (stubs.status(403, message="Missing scopes: api.usage.read"), "allowed to read costs (api.usage.read)"),
        (stubs.status(401), "sk-admin-"),
        (stubs.changed(lambda document: document.update(has_more=True)), "not where (next_page)"),
    ],
)
def test_one_source_out_of_reach(company: Company, fault: stubs.Fault, said: str) -> None:
    """Exit code 3 says that a source could not be pulled; the others are loaded, and the lake keeps what it had."""
    company.stubs["openai"].fail(fault)
    code, _, error = company.finops("ingest")
    assert code == 3
    assert said in error
    assert set(company.billed()) == {"anthropic"}
    assert company.finops("ingest", "openai")[0] == 0
    assert set(company.billed()) == {"anthropic", "openai"}


def test_doctor(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor asks every endpoint and says which permission or key is missing, and what to do."""

    def diagnosed() -> tuple[int, list[dict[str, str]]]:
        code, document, _ = company.finops("doctor")
        (rows,) = document.values()
        return code, [row for row in rows if row["check"].startswith("source ")]

    code, rows = diagnosed()
    assert [row["status"] for row in rows] == ["ok"] * 3
    company.stubs["openai"].permitted = False
    company.stubs["anthropic"].fail(stubs.echo())
    monkeypatch.setenv("STUB_ANTHROPIC_KEY", "sk-ant-api03-other")
    (company.home / "litellm.key").unlink()
    code, rows = diagnosed()
    assert code == 1
    assert {row["status"] for row in rows} == {"failed"}
    said = json.dumps(rows)
    for words in ("Missing scopes: api.usage.read", "does not start with sk-ant-admin", "litellm.key", "pull.key"):
        assert words in said
    assert "sk-ant-api03-other" not in said
