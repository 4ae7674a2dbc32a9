"""What a provider's API offers to a pull: its endpoints, how their pages follow each other, and which key it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from connectors.http import Document, Params


@dataclass(frozen=True)
class Window:
    """Days from start to end, which is exclusive, within one calendar month."""

    start: date
    end: date

    @property
    def name(self) -> str:
        """The month, as its folder is called."""
        return f"{self.start:%Y-%m}"

    @property
    def days(self) -> list[date]:
        """Each of its days."""
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days)]


@dataclass(frozen=True)
class Endpoint:
    """One list of an API that is read in pages.

    first: parameters of a window's first page. following: those of the page after a document, or None after the last;
    raises NoPage. rows: the name of the document's list. day: that of one of its entries, where every day of the window
    has one. least: what makes `first` ask for as little as possible. needs: the permission, in words. optional: not
    every account has it. headers: those that it needs beside the key's.
    """

    name: str
    path: str
    first: Callable[[Window], Params]
    following: Callable[[Document, Params, Window], Params | None]
    needs: str
    least: Params = field(default_factory=dict)
    rows: str = "data"
    day: Callable[[Document], date] | None = None
    optional: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Access:
    """How a provider's API is reached.

    url: None where every installation has its own. headers: those of a key. endpoints: what is pulled, by the source's
    options. key: which one is needed, in words, with the prefix that it has.
    """

    provider: str
    url: str | None
    headers: Callable[[str], Mapping[str, str]]
    endpoints: Callable[[Mapping[str, str]], tuple[Endpoint, ...]]
    key: str
    key_prefix: str = ""


class NoPage(Exception):
    """Why a document is no page that can be followed, in words."""


def cursor(document: Document, params: Params, _window: Window) -> Params | None:
    """The page after one with `has_more` and `next_page`."""
    more, following = document.get("has_more"), document.get("next_page")
    if not isinstance(more, bool):
        raise NoPage("it does not say whether more pages follow (has_more)")
    if not more:
        return None
    if not isinstance(following, str) or not following:
        raise NoPage("it says that more pages follow, but not where (next_page)")
    return {**params, "page": following}
