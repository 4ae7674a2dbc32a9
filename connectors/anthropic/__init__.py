"""Anthropic: its cost report and its messages usage, from saved or pulled pages of the Admin API."""

from connectors.anthropic.access import ACCESS
from connectors.anthropic.costs import parse
from connectors.anthropic.pages import NAME, find_parts
from connectors.anthropic.usage import parse_usage

__all__ = ["ACCESS", "NAME", "find_parts", "parse", "parse_usage"]
