"""Names of providers and models as gateways write them, by the names of the price book."""

import re
from functools import cache
from typing import Final

from genai_prices.data import providers

UNKNOWN: Final = "unknown"
PROVIDERS: Final = {
    "amazon": "aws", "amazon_bedrock": "aws", "aws_bedrock": "aws", "bedrock": "aws", "bedrock_converse": "aws",
    "bedrock_mantle": "aws", "azure_ai": "azure", "azure_openai": "azure", "azure_text": "azure",
    "codestral": "mistral", "mistralai": "mistral", "cohere_chat": "cohere", "fireworks_ai": "fireworks",
    "gemini": "google", "google_vertex": "google", "vertex": "google", "vertex_ai": "google",
    "moonshot": "moonshotai", "text-completion-openai": "openai", "together_ai": "together", "voyage": "voyageai",
    "xai": "x-ai",
}  # fmt: skip
"""The book's id <- another name of the provider, in lower case with `_` for blanks.

Source: the provider names of LiteLLM (litellm/types/utils.py, LlmProviders), read 2026-11-21.
"""
_KNOWN: Final = frozenset({*(provider.id for provider in providers), *PROVIDERS})
_ROUTE: Final = re.compile(r"^(?:(?:converse|invoke|bedrock|mantle|responses|[a-z]{2}-[a-z]+-\d)/)+")
"""How or where a gateway calls a model, which is no part of its name."""


@cache
def named(provider: str | None, model: str | None) -> tuple[str, str]:
    """The book's provider and the model without the provider's prefix; `unknown` for what is empty.

    The provider is what is said, else a prefix of the model that names one: `openai/gpt-5`.
    """
    said, name = book_provider(provider), (model or "").strip()
    prefix, _, rest = name.partition("/")
    owner = book_provider(prefix)
    if rest and prefix.lower() in _KNOWN and said in (owner, UNKNOWN):
        said, name = owner, _ROUTE.sub("", rest)
    return said, name or UNKNOWN


def book_provider(name: str | None) -> str:
    """The book's id of a provider, else its name in lower case, and `unknown` where it is empty."""
    plain = (name or "").strip().lower()
    # vertex_ai-anthropic_models and the like: Google bills them
    return "google" if plain.startswith("vertex_ai") else PROVIDERS.get(plain.replace(" ", "_"), plain) or UNKNOWN
