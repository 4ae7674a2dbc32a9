"""OpenAI: its costs and its usage, from saved or pulled pages of the organization API."""

from connectors.openai.costs import NAME, find_parts, parse

__all__ = ["NAME", "find_parts", "parse"]
