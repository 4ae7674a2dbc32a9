"""The look of everything that is drawn: one set of tokens for light and for dark, for the pages and for the charts.

The eight colours of each palette stay apart (CIE76 distance of at least 20) for people with full colour vision,
protanopia, deuteranopia and tritanopia, as Machado, Oliveira and Fernandes (2009) simulate them; a test recomputes it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from finops import schema as s

FONT: Final = "Inter, 'Source Sans', 'Source Sans Pro', system-ui, sans-serif"
OTHER: Final = "(other)"
NONE: Final = "(none)"


@dataclass(frozen=True)
class Look:
    """The colours of one mode; `palette` tells categories apart, greys give context, good and bad judge a change."""

    mode: str
    background: str
    surface: str
    text: str
    muted: str
    grid: str
    context: str
    accent: str
    good: str
    bad: str
    palette: tuple[str, str, str, str, str, str, str, str]


LIGHT: Final = Look(
    mode="light", background="#FFFFFF", surface="#F4F6F9", text="#18212D", muted="#5A6675", grid="#E4E8EE",
    context="#B4BCC8", accent="#0B5CAD", good="#14704F", bad="#B3301A",
    palette=("#004C91", "#DD8B1A", "#1C8D69", "#BE381F", "#B674AC", "#12BAFC", "#BAB064", "#4F4656"),
)  # fmt: skip
DARK: Final = Look(
    mode="dark", background="#12161D", surface="#1B222C", text="#E9EDF2", muted="#9DA9B8", grid="#2B3441",
    context="#566273", accent="#6CB2F5", good="#4CC79B", bad="#FF8A6B",
    palette=("#2F77B9", "#FFA761", "#42BA8F", "#CF502E", "#D2ABFB", "#C1E0EF", "#EED431", "#7D8195"),
)  # fmt: skip
LOOKS: Final = {look.mode: look for look in (LIGHT, DARK)}

_FIXED: Final[Mapping[str, tuple[str, ...]]] = {
    s.PURPOSE: ("inference", "training", "development", "fine_tuning", "shared"),
    s.HOSTING: ("cloud", "on_prem", "api", "colo", "edge"),
}
"""Dimensions whose values hold a place in the palette whatever a company spends on them."""


def colours(dimension: str, ranked: Sequence[object], look: Look) -> dict[str, str]:
    """The colour of each value of a dimension, the same on every page.

    ranked: all values of the dimension in the ledger, the costliest first: the first eight get a colour of their own,
    the rest, and charges without a value, are grey.
    """
    places = [*_FIXED.get(dimension, ()), *(label(v) for v in ranked)]
    named = [v for v in dict.fromkeys(places) if v not in (NONE, "unknown", OTHER)]
    chosen = dict(zip(named, look.palette, strict=False))
    return {**dict.fromkeys((*named, NONE, "unknown", OTHER), look.context), **chosen}


def label(value: object) -> str:
    """A value of a dimension as people read it."""
    if value is None:
        return NONE
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def streamlit_options() -> Iterable[str]:
    """The tokens as Streamlit's options, for both of its modes."""
    yield f"--theme.font={FONT}"
    yield "--theme.baseRadius=6px"
    yield "--theme.showWidgetBorder=true"
    yield "--theme.paddingTop=0.5rem"
    for look in LOOKS.values():
        chosen = {
            "primaryColor": look.accent, "backgroundColor": look.background, "secondaryBackgroundColor": look.surface,
            "textColor": look.text, "borderColor": look.grid, "linkColor": look.accent, "greenColor": look.good,
            "redColor": look.bad,
        }  # fmt: skip
        for option, colour in chosen.items():
            yield f"--theme.{look.mode}.{option}={colour}"
