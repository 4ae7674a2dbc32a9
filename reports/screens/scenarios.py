"""Where should it run?"""

from reports.screens import parts
from reports.screens.page import Page


def render(page: Page) -> None:
    """Draw the page."""
    parts.title("Where should it run?", page, filtered=False)
