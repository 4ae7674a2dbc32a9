"""The inputs of a scenario as a form; it changes single values of the file, whose comments and other keys stay."""

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, get_args

import polars as pl
import streamlit as st

from finops.errors import ConfigError, FinopsError
from finops.pipeline import scenario_log
from finops.pipeline.scenario_log import SavedScenario
from finops.pipeline.scenario_text import Key, edited
from optimizer.document import WrongSettings
from optimizer.options import Hosting
from optimizer.scenario import EU, FindingName
from reports.screens import parts, scenario_solve
from reports.screens.page import Page
from reports.views import scenario_inputs as inputs
from reports.views.scenario_changes import differences
from reports.views.scenario_inputs import Field

SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "workloads": ("workloads",), "options": ("options", "price_book"), "rules": ("rules",),
    "risk": ("uncertainty", "risk_aversion_ratio", "risk_tail_ratio"),
}  # fmt: skip
"""The parts of the form, and the keys whose mistakes are shown in each; all others belong to the first part."""
SPREAD: Final[Key] = ("uncertainty", "sd_ratio_per_year")
SOURCE: Final[Key] = ("uncertainty", "source")


def render(page: Page, saved: Mapping[str, SavedScenario], name: str, others: Sequence[str]) -> None:
    """Draw the form of one scenario, then what differs between it and the other chosen ones."""
    if name not in saved:
        st.info(f"The file of {name} is not in this home, so there is nothing to edit.")
        return
    scenario = saved[name]
    document = tomllib.loads(scenario.text, parse_float=Decimal)
    st.subheader(f"{name}: what the plan is made from", anchor=False)
    st.caption(
        f"Kept in {scenario.path.name}, with comments and everything that this form does not show. Amounts are in "
        f"{document.get('currency', 'USD')}; empty fields state nothing."
    )
    _form(page, scenario, document)
    for other in others:
        if other in saved:
            _differences(scenario, saved[other])


def _differences(one: SavedScenario, other: SavedScenario) -> None:
    st.markdown(f"##### From {one.name} to {other.name}")
    found = differences(*(tomllib.loads(s.text, parse_float=Decimal) for s in (one, other))).drop("words")
    if found.is_empty():
        st.caption("Nothing differs.")
    else:
        parts.table(
            found, key=f"differences_{other.name}", file=f"{one.name}_{other.name}.csv",
            names={"before": one.name, "after": other.name},
        )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- form
def _form(page: Page, scenario: SavedScenario, document: dict[str, Any]) -> None:
    key = f"{scenario.name}_{hashlib.sha256(scenario.text.encode()).hexdigest()[:8]}"  # new values, new fields
    slots: dict[str, Any] = {}
    with st.form(f"inputs_{key}"):
        slots["scenario"], scalars, accepted = _scenario(document, key)
        st.markdown("##### Workloads")
        workloads = _table(inputs.workload_rows(document), inputs.WORKLOADS, ("workload", "unit"), f"workloads_{key}")
        slots["workloads"] = st.container()
        st.markdown("##### Rules of the company")
        years, shares, carbon = _rules(document, key)
        slots["rules"] = st.container()
        st.markdown("##### Prices and planned use")
        options = _table(inputs.option_rows(document), inputs.OPTIONS, ("option", "kind"), f"options_{key}")
        slots["options"] = st.container()
        st.markdown("##### How uncertain demand is, and how much that weighs")
        scalars |= _risk(document, key)
        slots["risk"] = st.container()
        with st.container(horizontal=True, vertical_alignment="bottom"):
            by = st.text_input("Your name", key="save_by", persist_state="session")
            comment = st.text_input("Why", key=f"save_why_{key}")
            only_save = st.form_submit_button("Save", icon=":material/save:")
            and_solve = st.form_submit_button("Save and solve", icon=":material/play_arrow:", type="primary")
    if not (only_save or and_solve):
        return
    reading: dict[str, Callable[[], dict[Key, Any]]] = {
        "scenario": lambda: inputs.scalar_changes(document, scalars) | _accepted(document, accepted),
        "workloads": lambda: inputs.workload_changes(document, workloads),
        "rules": lambda: _rule_changes(document, years, shares, carbon),
        "options": lambda: inputs.option_changes(document, options),
    }
    found: dict[Key, Any] = {}
    wrong = False
    for section, read in reading.items():
        try:
            found |= read()
        except FinopsError as error:
            slots[section].error(f"{error.found}; expected {error.expected}. {error.next_step.capitalize()}.")
            wrong = True
    if not wrong:
        _save(page, scenario, found, by, comment, slots, and_solve=and_solve)


def _save(
    page: Page, scenario: SavedScenario, changes: dict[Key, Any], by: str, comment: str, slots: Mapping[str, Any],
    *, and_solve: bool,
) -> None:  # fmt: skip
    if SPREAD in changes:
        held = tomllib.loads(scenario.text).get("uncertainty", {})
        if changes[SPREAD] is None:
            changes = {k: v for k, v in changes.items() if k != SPREAD} | {SPREAD[:1]: None}
        elif "source" not in held:
            changes[SOURCE] = f"estimate of {by.strip()}"
    try:
        if changes:
            scenario_log.save(
                page.config, page.lake, scenario, edited(scenario.text, changes), by=by, comment=comment
            )  # fmt: skip
        elif not and_solve:
            slots["scenario"].info("Nothing was changed, so nothing was saved.")
            return
    except WrongSettings as error:
        _show_where(error, slots)
        return
    except ConfigError as error:
        slots["scenario"].error(f"{error.found}. {error.next_step.capitalize()} (expected: {error.expected}).")
        return
    except FinopsError as error:
        slots["risk"].error(f"{error.found}. {error.next_step.capitalize()} (expected: {error.expected}).")
        return
    if and_solve:
        scenario_solve.ask()
    st.rerun()


def _show_where(error: WrongSettings, slots: Mapping[str, Any]) -> None:
    """Each mistake under the part of the form that it is in; nothing was saved."""
    for problem in error.problems:
        top = problem.split(":")[0].split(".")[0]
        section = next((s for s, keys in SECTIONS.items() if top in keys), "scenario")
        slots[section].error(f"{problem}. Nothing was saved.", icon=":material/error:")


def _scenario(document: Mapping[str, Any], key: str) -> tuple[Any, dict[tuple[str, ...], Any], list[str]]:
    slot = st.container()
    months, rate, every = st.columns(3)
    with months:
        horizon = _number(document, ("horizon_months",), "number", "Horizon, months", key, default=36)
    with rate:
        discount = _number(document, ("discount_ratio_per_year",), "percent", "Discount rate, % a year", key, default=8)
    with every:
        buying = _number(document, ("purchase_every_months",), "number", "Purchases every … months", key, default=1)
    accepted = st.multiselect(
        "Doubtful settings that are meant", get_args(FindingName), default=document.get("accept_findings", []),
        key=f"accepted_{key}", format_func=lambda n: n.replace("_", " "),
        help="What is possible but seldom meant is refused unless it is named here.",
    )  # fmt: skip
    return slot, horizon | discount | buying, accepted


def _accepted(document: Mapping[str, Any], chosen: Sequence[str]) -> dict[Key, Any]:
    same = set(chosen) == set(document.get("accept_findings", []))
    return {} if same else {("accept_findings",): list(chosen)}


def _risk(document: Mapping[str, Any], key: str) -> dict[tuple[str, ...], Any]:
    spread, aversion, tail = st.columns(3)
    with spread:
        found = _number(
            document, ("uncertainty", "sd_ratio_per_year"), "percent", "Spread of demand after a year, %", key,
            help_text="The standard deviation of its logarithm; empty is certain demand, and no P50 and P90.",
        )  # fmt: skip
    with aversion:
        found |= _number(
            document, ("risk_aversion_ratio",), "percent", "Risk aversion, %", key, default=0,
            help_text="0 plans for the mean of all courses of demand, 100 for the mean of the costliest.",
        )  # fmt: skip
    with tail:
        found |= _number(
            document, ("risk_tail_ratio",), "percent", "Costliest share of courses, %", key, default=20
        )  # fmt: skip
    return found


def _number(
    document: Mapping[str, Any], path: tuple[str, ...], kind: inputs.Kind, title: str, key: str, *,
    default: float | None = None, help_text: str | None = None,
) -> dict[tuple[str, ...], Any]:  # fmt: skip
    """A field for one figure; empty where the file states none, with what then holds as its hint."""
    held: Any = document
    for part in path:
        held = held.get(part) if isinstance(held, Mapping) else None
    at = f"{'.'.join(path)}_{key}"
    st.session_state.setdefault(at, inputs.shown(held, kind))  # a field that starts with a figure cannot be emptied
    value = st.number_input(
        title, value=None, key=at, format="%g", help=help_text,
        placeholder="not stated" if default is None else f"{default:g} unless stated",
    )  # fmt: skip
    return {path: (value, kind)}


def _rules(document: Mapping[str, Any], key: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    left, middle, right = st.columns([3, 3, 2], gap="large")
    with left:
        years = st.data_editor(
            pl.DataFrame(inputs.year_rows(document), schema_overrides=dict.fromkeys(inputs.YEARLY, pl.Float64())),
            key=f"years_{key}", hide_index=True, disabled=["year"], width="stretch", placeholder="–",
            column_config={
                "year": st.column_config.NumberColumn("Year", width=60),
                "budget_per_year": st.column_config.NumberColumn("Budget (cash)", format="localized"),
                "capex_budget_per_year": st.column_config.NumberColumn("For purchases", format="localized"),
            },
        )  # fmt: skip
    with middle:
        rows = pl.DataFrame(inputs.share_rows(document), schema={"provider": pl.String(), "share": pl.Float64()})
        shares = st.data_editor(
            rows, key=f"shares_{key}", hide_index=True,
            num_rows="dynamic", width="stretch",
            column_config={
                "provider": st.column_config.TextColumn("Provider"),
                "share": st.column_config.NumberColumn("At most, % of cost", format="%g", required=True),
            },
        )  # fmt: skip
    with right:
        carbon = st.text_input(
            "Carbon cap, kg a month", inputs.listed_text(document.get("rules", {}).get("carbon_kg_per_month")),
            key=f"carbon_{key}", placeholder="not stated",
            help="One figure, or one for each month with a comma and a space between; the last holds for later months.",
        )  # fmt: skip
    return years.to_dicts(), shares.to_dicts(), carbon


def _rule_changes(
    document: Mapping[str, Any], years: Sequence[Mapping[str, Any]], shares: Sequence[Mapping[str, Any]], carbon: str
) -> dict[Key, Any]:
    found = inputs.year_changes(document, years) | inputs.share_changes(document, shares)
    if carbon.strip() != inputs.listed_text(document.get("rules", {}).get("carbon_kg_per_month")):
        found["rules", "carbon_kg_per_month"] = inputs.figures(carbon, "carbon cap")
    return found


def _table(
    rows: Sequence[dict[str, Any]], fields: Sequence[Field], fixed: tuple[str, ...], key: str
) -> list[dict[str, Any]]:  # fmt: skip
    """An editable table of entries; the columns that name them are fixed."""
    kinds = {f.key: pl.List(pl.String()) if f.kind == "list" else pl.Float64() for f in fields}
    frame = pl.DataFrame(rows, schema={**dict.fromkeys(fixed, pl.String()), **kinds})
    columns: dict[str, Any] = {
        f.key: st.column_config.NumberColumn(f.heading, format="localized", help=f.help or None)
        for f in fields
        if f.kind != "list"
    }
    lists = {"residency": ("EU", "EEA", *EU, "US", "GB", "CH"), "allowed_hosting": get_args(Hosting)}
    columns |= {
        f.key: st.column_config.MultiselectColumn(
            f.heading, help=f.help or None, options=lists[f.key], accept_new_options=f.key == "residency"
        )
        for f in fields
        if f.kind == "list"
    }
    columns |= {name: st.column_config.Column(name.capitalize()) for name in fixed}
    edited_rows = st.data_editor(
        frame,
        key=key,
        hide_index=True,
        disabled=list(fixed),
        width="stretch",
        column_config=columns,
        num_rows="fixed",
        placeholder="–",
    )
    found: list[dict[str, Any]] = edited_rows.to_dicts()
    return found
