"""What every page gets: the lake at one snapshot, what the sidebar filters say, and figures that are computed once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import polars as pl
import streamlit as st

from finops.config import Config
from finops.pipeline.budgets import budget_status
from finops.store import Lake
from reports.theme import LIGHT, LOOKS, Look, colours
from reports.views.movement import Coverage, values
from reports.views.scope import Scope, column

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Page:
    """A page's view of the company: which lake at which snapshot, which charges, in which currency and colours."""

    config: Config
    lake: Lake
    snapshot: int
    coverage: Coverage
    scope: Scope
    currency: str
    look: Look

    def compute(self, view: Callable[Concatenate[Lake, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """A view of the lake, computed once per snapshot and arguments."""
        return computed(self.lake, self.snapshot, view, *arguments, **named)

    def budgets(self) -> pl.DataFrame:
        """Every budget, and how it fares."""
        return self.compute(_budget_status, self.config)

    def values(self, dimension: str) -> list[str | bool | None]:
        """All values of a dimension, the costliest first."""
        return self.compute(values, dimension)

    def colours(self, dimension: str) -> dict[str, str]:
        """The colour of each value of a dimension, the same on every page."""
        return colours(column(dimension), self.values(dimension), self.look)


def _budget_status(lake: Lake, config: Config) -> pl.DataFrame:
    return budget_status(config, lake)


def computed(
    lake: Lake, snapshot: int, view: Callable[Concatenate[Lake, P], T], *arguments: P.args, **named: P.kwargs
) -> T:
    """`view(lake, …)`, kept for as long as the snapshot is the newest and there is room.

    Arguments are told apart by their repr, so they must be records, words, numbers or dates.
    """
    key = (lake.uri, snapshot, view.__module__, view.__qualname__, repr(arguments), repr(sorted(named.items())))
    return cast(T, _compute(key, lambda: view(lake, *arguments, **named)))


@st.cache_resource(max_entries=512, show_spinner="Adding up the charges…")
def _compute(key: tuple[object, ...], _view: Callable[[], object]) -> object:  # noqa: ARG001 (the cache hashes it)
    return _view()


def current_look() -> Look:
    """The look that the visitor's browser shows: light or dark."""
    chosen: Any = st.context.theme.type
    return LOOKS.get(chosen, LIGHT)
