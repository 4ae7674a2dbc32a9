"""What the company asks of model APIs: projects, keys, and the calls that each use case makes. No format is known here.

Amounts are those of the last day, like the workloads of company.py. A model counts as the newest of `models` whose day
has come; the cost follows from the price book (model_apis.py), so that no token price stands here.
"""

from dataclasses import dataclass
from typing import Final

from connectors.demo.company import Rhythm

OPENAI, ANTHROPIC, GATEWAY = "openai", "anthropic", "gateway"
"""Who is asked: two providers directly, and models behind the company's own gateway."""

ORGANIZATIONS: Final = {
    OPENAI: "org-Ald7moorMarketplace0001", ANTHROPIC: "018f6a52-7c1e-4d1b-9a55-a1de2300c0de",
}  # fmt: skip
CACHE_FALLS, CACHE_DAYS_AGO, CACHE_RATIO_LEFT = "support-chat", 40, 0.43
"""Whose cached input falls to which part of what it was, and how many days before the last one."""
SELF_HOSTED_PRICE_DAYS_AGO: Final = 120
SELF_HOSTED_MODEL: Final = "aldermoor-rank-8b"
"""The company's own model and the day from which its platform team states a price for it."""


@dataclass(frozen=True)
class Project:
    """A project or workspace of a provider; team and purpose are what finance's mapping says of it."""

    key: str
    source: str
    project_id: str
    team: str
    environment: str
    purpose: str
    sold_by: str | None = None
    """Whose models they are by the price book's name, where it is not the source."""

    @property
    def provider(self) -> str:
        """The price book's name of who sells the models."""
        return self.sold_by or self.source


@dataclass(frozen=True)
class ApiKey:
    """An API key; team, use case and purpose are what finance's mapping says of it."""

    key: str
    key_id: str
    team: str
    use_case: str
    purpose: str


@dataclass(frozen=True)
class Calls:
    """The calls of one use case with one key: what they consume a day, by column of the usage.

    models: name of the model and the days before the last one from which it is asked, None: always. context: tokens
    from which the context window starts, where the provider reports it. via, team: the virtual key, and whose it is,
    where the company's LiteLLM asks with its own key.
    """

    name: str
    project: str
    key: str | None
    models: tuple[tuple[int | None, str], ...]
    amounts: dict[str, float]
    growth: float = 1.4
    rhythm: Rhythm = "office"
    noise: float = 0.04
    since: int | None = None
    until: int | None = None
    tier: str = "standard"
    endpoint: str = "completions"
    context: int | None = None
    via: str | None = None
    team: str | None = None


PROJECTS: Final = (
    Project("support", OPENAI, "proj_Ald7SupportProd01", "Support", "prod", "inference"),
    Project("platform", OPENAI, "proj_Ald7PlatformPrd2", "Platform", "prod", "inference"),
    Project("search", OPENAI, "proj_Ald7SearchProd03", "Search", "prod", "inference"),
    Project("research", OPENAI, "proj_Ald7ResearchDev4", "Research", "dev", "development"),
    Project("desk", ANTHROPIC, "wrkspc_01AldermoorRiskDesk00000", "Risk", "prod", "inference"),
    Project("agents", ANTHROPIC, "wrkspc_01AldermoorCodeAgents000", "Platform", "prod", "inference"),
    Project("own-models", GATEWAY, "own-models", "Platform", "prod", "inference", "self-hosted"),
    Project("mistral", GATEWAY, "mistral-eu", "Platform", "prod", "inference", "mistral"),
)
KEYS: Final = (
    ApiKey("chat", "key_Sup01ChatAssistant", "Support", "support-chat", "inference"),
    ApiKey("voice", "key_Sup02VoiceNotes", "Support", "voice-notes", "inference"),
    ApiKey("review", "key_Pla01CodeReview", "Platform", "code-review", "inference"),
    ApiKey("llm-gateway", "key_Pla02LlmGateway", "Platform", "llm-gateway", "inference"),
    ApiKey("listing", "key_Pla03ListingImages", "Platform", "listing-images", "inference"),
    ApiKey("indexer", "key_Sea01Indexer", "Search", "search-embeddings", "inference"),
    ApiKey("answers", "key_Sea02Answers", "Search", "search-answers", "inference"),
    ApiKey("batch", "key_Res01EvalBatch", "Research", "model-evaluation", "development"),
    ApiKey("reader", "key_Res02LongReader", "Research", "paper-reading", "development"),
    ApiKey("desk", "apikey_01AldermoorPolicyDesk0", "Risk", "policy-answers", "inference"),
    ApiKey("filings", "apikey_01AldermoorFilings0000", "Risk", "annual-reports", "inference"),
    ApiKey("fraud", "apikey_01AldermoorFraudNotes0", "Risk", "fraud-notes", "inference"),
    ApiKey("coding", "apikey_01AldermoorCodeAgents0", "Platform", "code-agents", "inference"),
    ApiKey("catalogue", "apikey_01AldermoorCatalogue00", "Platform", "catalogue-tags", "inference"),
    ApiKey("rerank", "gw-search-rerank", "Search", "search-ranking", "inference"),
    ApiKey("tickets", "gw-support-tickets", "Support", "ticket-summaries", "inference"),
    ApiKey("contracts", "gw-risk-contracts", "Risk", "contract-review", "inference"),
)

_MINI: Final = ((None, "gpt-4.1-mini-2025-04-14"), (440, "gpt-5-mini-2025-08-07"), (200, "gpt-5.4-mini-2026-03-17"))
_SONNET: Final = ((None, "claude-sonnet-4-20250514"), (400, "claude-sonnet-4-5-20250929"))
_IN, _READ, _OUT = "uncached_input_tokens", "cache_read_tokens", "output_tokens"
_WRITE, _WRITE_5M, _WRITE_1H = "cache_write_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"

CALLS: Final = (
    # ------------------------------------------------------------------------------------------------ OpenAI
    Calls("support-chat", "support", "chat", _MINI,
          {"requests": 150_000, _IN: 218e6, _READ: 562e6, _OUT: 46e6}, growth=1.3, rhythm="consumer", noise=0.02),
    Calls("voice-notes", "support", "voice", ((None, "whisper-1"),), {"requests": 7_200, "audio_seconds": 324_000},
          rhythm="consumer", endpoint="audio_transcriptions"),
    Calls("voice-replies", "support", "voice", ((None, "tts-1"),), {"requests": 4_100, "characters": 1_150_000},
          rhythm="consumer", endpoint="audio_speeches"),
    Calls("support-files", "support", None, ((None, ""),), {"gibibyte_hours": 110}, growth=1.2, rhythm="flat",
          noise=0.01, endpoint="vector_stores"),
    Calls("code-review", "platform", "review",
          ((None, "gpt-4.1-2025-04-14"), (360, "gpt-5.1-2025-11-13"), (85, "gpt-5.6-sol")),
          {"requests": 9_000, _IN: 46e6, _READ: 69e6, _WRITE: 10e6, _OUT: 11e6}, growth=1.6, noise=0.03),
    Calls("listing-images", "platform", "listing", ((None, "gpt-image-1"),), {"requests": 32, "images": 32},
          growth=1.4, rhythm="consumer", endpoint="images"),
    Calls("indexing", "search", "indexer", ((None, "text-embedding-3-large"),), {"requests": 2_600_000, _IN: 1.5e9},
          growth=1.3, rhythm="consumer", endpoint="embeddings"),
    Calls("answers-live", "search", "answers", ((None, "gpt-5.4-mini-2026-03-17"),),
          {"requests": 12_000, _IN: 19e6, _READ: 5e6, _OUT: 3.4e6}, rhythm="consumer", since=30, tier="priority"),
    Calls("answers-web", "search", "answers", ((None, "gpt-5.4-mini-2026-03-17"),),
          {"requests": 130, "web_searches": 130}, rhythm="consumer", since=170, endpoint="web_search_calls"),
    Calls("evaluation", "research", "batch", ((None, "gpt-4.1-2025-04-14"), (240, "gpt-5.4-2026-03-05")),
          {"requests": 22_000, _IN: 132e6, _OUT: 19e6}, rhythm="runs", tier="batch"),
    Calls("labelling", "research", "batch", ((None, "gpt-5.4-mini-2026-03-17"),),
          {"requests": 8_000, _IN: 44e6, _OUT: 9e6}, rhythm="flat", since=30, tier="flex"),
    Calls("paper-reading", "research", "reader", ((None, "gpt-5.4-2026-03-05"),),
          {"requests": 150, _IN: 51e6, _OUT: 0.6e6}, since=210),
    # the gateway's own key, by who asks through it
    Calls("ticket-drafts", "platform", "llm-gateway", _MINI,
          {"requests": 21_000, _IN: 63e6, _READ: 38e6, _OUT: 9e6}, rhythm="consumer", since=330,
          via="support-ticket-drafts", team="Support"),
    Calls("product-texts", "platform", "llm-gateway", _MINI,
          {"requests": 30_000, _IN: 54e6, _READ: 21e6, _OUT: 14e6}, since=330,
          via="platform-product-texts", team="Platform"),
    Calls("query-intents", "platform", "llm-gateway", _MINI,
          {"requests": 90_000, _IN: 48e6, _READ: 60e6, _OUT: 3e6}, rhythm="consumer", since=250,
          via="search-query-intents", team="Search"),
    Calls("case-notes", "platform", "llm-gateway", ((None, "gpt-5.4-2026-03-05"),),
          {"requests": 1_400, _IN: 9e6, _READ: 6e6, _OUT: 1.1e6}, since=190, via="risk-case-notes", team="Risk"),
    # ------------------------------------------------------------------------------------------------ Anthropic
    Calls("policy-answers", "desk", "desk", _SONNET,
          {"requests": 5_000, _IN: 10e6, _READ: 45e6, _WRITE_5M: 6e6, _OUT: 3e6, "web_searches": 400}, growth=1.5,
          context=0),
    Calls("annual-reports", "desk", "filings", ((None, "claude-sonnet-4-5-20250929"),),
          {"requests": 90, _IN: 23e6, _OUT: 0.27e6}, since=300, context=200_000),
    Calls("report-checks", "desk", "filings", ((None, ""),), {"execution_hours": 6}, since=300,
          endpoint="code_execution"),
    Calls("fraud-notes", "desk", "fraud", ((None, "claude-sonnet-4-5-20250929"),),
          {"requests": 900, _IN: 2.7e6, _OUT: 0.36e6}, rhythm="consumer", since=170, tier="priority", context=0),
    Calls("code-agents", "agents", "coding", ((None, "claude-sonnet-4-20250514"), (350, "claude-opus-4-5-20251101")),
          {"requests": 14_000, _IN: 11e6, _READ: 420e6, _WRITE_1H: 21e6, _OUT: 7e6}, growth=1.9, noise=0.03,
          context=0),
    Calls("catalogue-tags", "agents", "catalogue",
          ((None, "claude-3-5-haiku-20241022"), (395, "claude-haiku-4-5-20251001")),
          {"requests": 380_000, _IN: 340e6, _OUT: 22e6}, rhythm="flat", tier="batch", context=0),
    # ------------------------------------------------------------------------------------------------ own gateway
    Calls("reranking", "own-models", "rerank", ((None, SELF_HOSTED_MODEL),),
          {"requests": 310_000, _IN: 280e6, _OUT: 6e6}, rhythm="consumer", since=150),
    Calls("ticket-tuned", "own-models", "tickets", ((None, "aldermoor-support-ft-2"),),
          {"requests": 42_000, _IN: 120e6, _OUT: 16e6}, rhythm="consumer", since=240),
    Calls("clauses", "mistral", "contracts", ((None, "mistral-medium-2508"),),
          {"requests": 5_200, _IN: 31e6, _OUT: 2.6e6}, since=260),
)  # fmt: skip


def project(key: str) -> Project:
    """The project of that key."""
    return next(p for p in PROJECTS if p.key == key)
