"""The filters of the sidebar: the same on every page, kept from page to page, shown as chips that can be taken off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Final

import streamlit as st

from finops import schema as s
from finops.store import Lake
from reports.screens.page import computed
from reports.theme import label
from reports.views.movement import Coverage, values
from reports.views.scope import Scope, Value, add_months, is_month_end, word
from reports.views.words import period_name

OFFERED: Final = (s.SERVICE_PROVIDER_NAME, s.TEAM, s.PURPOSE, s.DRIVER)
PERIOD, DAYS, COST, AI, CURRENCY, MORE = "f_period", "f_days", "f_cost", "f_ai", "f_currency", "f_more"
CUSTOM: Final = "days"
_COST_WORDS: Final = {
    "effective": "Effective (amortised)", "billed": "Billed (as invoiced)", "contracted": "Contracted",
    "list": "List price",
}  # fmt: skip
_COST_HELP: Final = (
    "Effective spreads purchases and commitments over their life; billed is what the invoice says; contracted and "
    "list are the same use at your negotiated and at public prices."
)


@dataclass(frozen=True)
class Chip:
    """A filter that is on, in words, and what takes it off."""

    text: str
    clear: Callable[[], None]


def sidebar(lake: Lake, snapshot: int, coverage: Coverage) -> tuple[Scope, str]:
    """Draw the filters; the scope and the currency that they say."""
    with st.sidebar:
        start, end = _period(coverage)
        where: dict[str, tuple[Value, ...]] = {}
        for name in OFFERED:
            offered = {label(v): v for v in computed(lake, snapshot, values, name)}
            _forget_unknown(_key(name), offered)
            chosen = st.multiselect(word(name).capitalize(), list(offered), key=_key(name), placeholder="All")
            if chosen:
                where[name] = tuple(offered[v] for v in chosen)
        has_ai = True in computed(lake, snapshot, values, s.IS_AI)
        st.session_state.setdefault(AI, has_ai)
        if st.toggle("AI spend only", key=AI, help="Leaves out charges that no rule knows as AI spend."):
            where[s.IS_AI] = (True,)
        cost = st.selectbox(
            "Cost", list(s.COSTS), index=1, format_func=_COST_WORDS.__getitem__, key=COST, help=_COST_HELP
        )
        currency = coverage.currencies[0]
        if len(coverage.currencies) > 1:
            currency = st.selectbox(
                "Currency",
                coverage.currencies,
                key=CURRENCY,
                help="Amounts of two currencies are never added.",
            )
    where.update(more())
    where[s.BILLING_CURRENCY] = (currency,)
    return Scope(where, start, end, cost), currency


def chips(scope: Scope) -> list[Chip]:
    """The filters that are on, in the order of the sidebar."""
    assert scope.start is not None
    assert scope.end is not None
    found = [Chip(period_name(scope.start, scope.end), partial(_reset, PERIOD))]
    for name in OFFERED:
        if name in scope.where and name not in more():
            shown = " or ".join(label(v) for v in scope.where[name])
            found.append(Chip(f"{word(name)}: {shown}", partial(_set, _key(name), [])))
    if scope.where.get(s.IS_AI) == (True,):
        found.append(Chip("AI spend only", partial(_set, AI, False)))
    if scope.cost != "effective":
        found.append(Chip(f"{scope.cost} cost", partial(_set, COST, "effective")))
    for name, chosen in more().items():
        found.append(Chip(f"{word(name)}: {' or '.join(label(v) for v in chosen)}", partial(_drop, name)))
    return found


def more() -> Mapping[str, tuple[Value, ...]]:
    """Filters that a click on a page added, by column."""
    found: Mapping[str, tuple[Value, ...]] = st.session_state.get(MORE, {})
    return found


def add(name: str, value: Value) -> None:
    """Narrow every page to one value of a dimension; for callbacks."""
    if name in OFFERED:
        st.session_state[_key(name)] = [label(value)]
    else:
        st.session_state[MORE] = {**more(), name: (value,)}


def widen() -> None:
    """Take every filter off, and take all days; for callbacks."""
    st.session_state.update({PERIOD: "all", AI: False, MORE: {}, **{_key(name): [] for name in OFFERED}})


def _drop(name: str) -> None:
    st.session_state[MORE] = {k: v for k, v in more().items() if k != name}


def _set(key: str, value: object) -> None:
    st.session_state[key] = value


def _reset(key: str) -> None:
    st.session_state.pop(key, None)


def _key(name: str) -> str:
    return f"f_{word(name)}"


def _forget_unknown(key: str, offered: Mapping[str, object]) -> None:
    """Drop chosen values that a newer snapshot no longer holds; a widget refuses them otherwise."""
    if key in st.session_state:
        st.session_state[key] = [v for v in st.session_state[key] if v in offered]


def _period(coverage: Coverage) -> tuple[date, date]:
    periods = choices(coverage)
    names = {key: f"{period_name(*days)} {title}".strip() for key, (title, days) in periods.items()}
    names[CUSTOM] = "Other days…"
    key = st.selectbox("Period", list(names), format_func=names.__getitem__, key=PERIOD)
    if key != CUSTOM:
        return periods[key][1]
    everything = (coverage.first, coverage.last)
    picked = st.date_input("First and last day", everything, *everything, key=DAYS)
    chosen = picked if isinstance(picked, tuple) else (picked,)
    return (chosen[0], chosen[-1]) if chosen else everything


def choices(coverage: Coverage) -> dict[str, tuple[str, tuple[date, date]]]:
    """The periods on offer, the newest month that is billed in full first.

    Where the data holds no full month, the newest month so far comes first.
    """
    first, last = coverage.first, coverage.through
    this_month = last.replace(day=1)
    full_end = last if is_month_end(last) else this_month - timedelta(days=1)
    found: dict[str, tuple[str, tuple[date, date]]] = {}
    if full_end.replace(day=1) >= first:
        found["month"] = ("", (full_end.replace(day=1), full_end))
    if not is_month_end(last) or not found:
        found["so_far"] = ("so far", (max(this_month, first), last))
    for key, title, months in (("quarter", "(3 months)", 3), ("year", "(12 months)", 12)):
        start = add_months(full_end, 1 - months)
        if start >= first:
            found[key] = (title, (start, full_end))
    found["all"] = ("(everything)", (first, coverage.last))
    return found
