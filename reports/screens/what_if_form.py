"""The inputs of a what-if on its page: levers added and taken off one by one, and saving under a name."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

import streamlit as st

from finops.config import validated
from finops.errors import FinopsError
from finops.pipeline import what_if_log as log
from finops.pipeline.histories import TOTAL
from finops.pipeline.what_ifs import Outcome
from finops.scope import ALL
from forecasting.levers import Lever, ModelSwitch, WhatIf
from reports.screens.page import Page

UNNAMED: Final = "unnamed"
OF, NEXT, LEVERS, NAME, NOTE, SAID = (
    "what_if_of", "what_if_next", "what_if_levers", "what_if_name", "what_if_note", "what_if_said",
)  # fmt: skip
KINDS: Final = {
    "growth": "Growth on top of the forecast", "price": "Another price", "adoption": "More or fewer users",
    "cache_rate": "Input read from cache", "model_switch": "Another model", "amount": "An amount a month",
}  # fmt: skip


def is_of(title: str) -> bool:
    """Whether the form holds the what-if of that title, with what has been changed of it since."""
    return bool(st.session_state.get(OF) == title)


def open_on(title: str, name: str, note: str, levers: list[dict[str, Any]]) -> None:
    """Begin the form anew with these inputs."""
    st.session_state.update({OF: title, NAME: name, NOTE: note, LEVERS: levers})


def inputs() -> tuple[WhatIf | None, FinopsError | None]:
    """What the form says, or why that is no what-if."""
    content = {
        "name": st.session_state.get(NAME, "").strip() or UNNAMED,
        "note": st.session_state.get(NOTE, "").strip(),
        "levers": st.session_state[LEVERS],
    }
    try:
        return validated(WhatIf, content, Path("the form")), None
    except FinopsError as error:
        return None, error


def short(lever: Lever, number: int) -> str:
    """A lever in a few words, for a chart."""
    what = f"to {lever.to}" if isinstance(lever, ModelSwitch) else lever.where
    return f"{number} {lever.kind.replace('_', ' ')}: {what}"


def draw(page: Page, outcome: Outcome | None, names: list[str], first: date) -> None:
    """The levers, the form that adds one, and the one that saves them."""
    st.markdown("##### Levers")
    said = st.session_state.pop(SAID, None)
    if said:
        st.success(said, icon=":material/check:")
    words = (
        [str(lever) for lever in outcome.inputs.levers] if outcome else [_plain(x) for x in st.session_state[LEVERS]]
    )
    for number, text in enumerate(words, 1):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Take off", key=f"what_if_off_{number}", icon=":material/close:", on_click=_take_off,
                args=(number - 1,), help=f"Take lever {number} off",
            )  # fmt: skip
            st.markdown(f"{number}. {text}")
    if not words:
        st.caption("No lever yet: the what-if is the forecast.")
    left, right = st.columns(2, gap="large")
    with left:
        _add(page, names, first)
    with right:
        _save(page, outcome)


def _plain(lever: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in lever.items())


def _take_off(number: int) -> None:
    st.session_state[LEVERS] = [x for n, x in enumerate(st.session_state[LEVERS]) if n != number]


# ----------------------------------------------------------------------------------------------------------------- add
def _add(page: Page, names: list[str], first: date) -> None:
    with st.container(border=True):
        kind: str = st.selectbox("Add a lever", list(KINDS), format_func=KINDS.__getitem__, key="what_if_kind")
        scopes = [name for name in names if name != TOTAL]
        chosen = st.multiselect(
            "On", scopes, key="what_if_scope", placeholder="All AI spend",
            format_func=lambda term: term.replace("=", ": ").replace("_", " "),
            help="Several of different kinds narrow it: what is in all of them. Nothing chosen is all AI spend.",
        )  # fmt: skip
        start = st.date_input("From", value=first, key="what_if_from", format="YYYY-MM-DD")
        fields = _FIELDS[kind](page)
        if st.button("Add", key="what_if_add", icon=":material/add:", disabled=None in fields.values()):
            lever = {"kind": kind, "scope": ";".join(chosen) or ALL, "from": f"{start}", **fields}
            _added(lever)


def _added(lever: dict[str, Any]) -> None:
    """Keep a lever that can be; say why one cannot."""
    levers = [*st.session_state[LEVERS], lever]
    try:
        validated(WhatIf, {"name": UNNAMED, "levers": levers}, Path("the form"))
    except FinopsError as error:
        st.error(f"{error.found}. {error.next_step.capitalize()} (expected: {error.expected}).")
        return
    st.session_state[LEVERS] = levers
    st.rerun()


def _percent(
    label: str, key: str, value: float, *, low: float = -100.0, high: float | None = None, help_text: str | None = None
) -> float:  # fmt: skip
    shown = st.number_input(
        f"{label}, %", min_value=low, max_value=high, value=value, step=5.0, key=key, help=help_text
    )  # fmt: skip
    return round(shown / 100, 6)


def _growth(_page: Page) -> dict[str, Any]:
    more = "On top of the growth that the forecast has, compounding day by day."
    return {"yearly_ratio": _percent("More a year", "what_if_yearly", 30.0, low=-99.0, help_text=more)}


def _price(_page: Page) -> dict[str, Any]:
    return {"ratio": _percent("Change of prices", "what_if_price", -10.0)}


def _adoption(_page: Page) -> dict[str, Any]:
    return {
        "ratio": _percent("Change of use", "what_if_use", 50.0),
        "months": int(st.number_input("Over so many months", 1, 60, 6, key="what_if_months")),
    }


def _cache_rate(_page: Page) -> dict[str, Any]:
    measured = "What it is now is measured from the last 28 days, and said with the result."
    rate = _percent(
        "Share of input tokens from cache", "what_if_cache", 60.0, low=0.0, high=100.0, help_text=measured
    )  # fmt: skip
    return {"to_ratio": rate}


def _model_switch(page: Page) -> dict[str, Any]:
    models = [model for model in page.values("model") if isinstance(model, str)]
    return {
        "model": st.selectbox("Tokens of", models, key="what_if_model"),
        "to": st.selectbox(
            "go to", models, index=None, key="what_if_to", accept_new_options=True,
            placeholder="Choose a model, or type the name of another",
        ),
        "share_ratio": _percent("Share of the tokens", "what_if_share", 50.0, low=1.0, high=100.0),
        "token_ratio": float(
            st.number_input(
                "Tokens there for each one here", min_value=0.01, value=1.0, step=0.05, key="what_if_ratio",
                help="Another tokeniser, or longer answers.",
            )
        ),
    }  # fmt: skip


def _amount(page: Page) -> dict[str, Any]:
    currency = page.config.company.currency
    amount = st.number_input(f"Amount a month, {currency}", value=5000.0, step=500.0, key="what_if_amount")
    times = int(st.number_input("In so many months; 0 is every month", 0, 120, 1, key="what_if_times"))
    return {"amount": f"{amount:.2f}"} | ({"months": times} if times else {})


_FIELDS: Final[dict[str, Callable[[Page], dict[str, Any]]]] = {
    "growth": _growth, "price": _price, "adoption": _adoption, "cache_rate": _cache_rate,
    "model_switch": _model_switch, "amount": _amount,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- save
def _save(page: Page, outcome: Outcome | None) -> None:
    with st.form("what_if_save"):
        st.markdown("Keep it, with its inputs and what it comes to")
        rule = "Letters, digits, '.', '_' and '-'. A name that is there gets another version."
        name = st.text_input("Name", key=NAME, help=rule)
        note = st.text_input("Why it is asked", key=NOTE)
        by = st.text_input("Your name", key="what_if_by", persist_state="session")
        if not st.form_submit_button("Save", type="primary", icon=":material/save:", disabled=outcome is None):
            return
        assert outcome is not None
        try:
            asked = {
                **outcome.inputs.model_dump(mode="json", by_alias=True),
                "name": name.strip(),
                "note": note.strip(),
            }
            kept, _ = log.save(page.config, page.lake, validated(WhatIf, asked, Path("the form")), by=by)
        except FinopsError as error:
            st.error(f"{error.found}. {error.next_step.capitalize()} (expected: {error.expected}).")
            return
        st.session_state[SAID] = (
            f"Saved as {kept.title}." if kept.is_new else f"{kept.title} has exactly these inputs; nothing was written."
        )
        st.session_state[NEXT] = kept.title
        st.rerun()
