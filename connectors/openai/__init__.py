"""OpenAI: its costs and its usage, from saved or pulled pages of the organization API."""

from connectors.openai.access import ACCESS
from connectors.openai.costs import parse
from connectors.openai.pages import NAME, find_parts
from connectors.openai.usage import parse_usage

__all__ = ["ACCESS", "NAME", "find_parts", "parse", "parse_usage"]
