"""Anthropic: its cost report and its messages usage, from saved or pulled pages of the Admin API."""

from connectors.anthropic.costs import NAME, find_parts, parse

__all__ = ["NAME", "find_parts", "parse"]
