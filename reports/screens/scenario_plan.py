"""One plan: the hosting choices side by side, their cost curves, where each workload runs, and why the plan is so."""

from decimal import Decimal

import polars as pl
import streamlit as st

from finops import schema as s
from reports import charts
from reports.screens import outlook as forecast_page
from reports.screens import parts
from reports.screens.page import Page
from reports.theme import colours
from reports.views import plan_risk, plans
from reports.views.outlook import known_series, outlook
from reports.views.plans import CHOICE, PLAN, PlanView
from reports.views.spend import summed
from reports.views.words import compact, percent

NO_BREAK = "\N{NO-BREAK SPACE}"


def render(page: Page, view: PlanView) -> None:
    """Draw one plan beside the forced choices, with why it is so."""
    st.subheader(plans.sentence(view), anchor=False)
    if view.body["description"]:
        st.caption(view.body["description"])
    if view.cost is None:
        _no_plan(view)
        return
    _side_by_side(view)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _curves(page, view)
    with right:
        _forecast(page)
    _places(page, view)
    hangs_on(page, view)
    _excluded(view)
    _schedule(view)
    _method(view)


def hangs_on(page: Page, view: PlanView) -> None:
    """What the rules cost, what would turn the decision, and how certain the cost is."""
    left, right = st.columns([3, 2], gap="large")
    with left:
        _tornado(page, view)
    with right:
        _rules(view)
        turning = plan_risk.turning_points(view)
        if turning:
            st.markdown("##### What would turn the decision")
            st.markdown("\n".join(f"- {text}" for text in turning))
        _risk(view)


def _tornado(page: Page, view: PlanView) -> None:
    without = plan_risk.without_effect(view)
    found = plan_risk.tornado(view).filter(~pl.col("factor").is_in(without))
    if found["change"].is_null().all():
        return
    st.markdown("##### What the cost hangs on")
    drawn = charts.tornado(found, page.look, currency=view.currency)
    parts.chart(drawn, key=f"tornado_{view.scenario}", says="Change of the plan's cost under other assumptions")
    lost = plan_risk.out_of_reach(view)
    if lost:
        st.caption(f"No plan keeps every rule with: {'; '.join(lost)}.")
    if without:
        st.caption(f"Almost without effect: {', '.join(without)}.")


def _risk(view: PlanView) -> None:
    rows = plan_risk.risk_rows(view)
    st.markdown("##### How certain the cost is")
    if not rows:
        st.caption("The scenario states no uncertainty of demand; state it under *Inputs* to see P50 and P90.")
        return
    st.markdown(plan_risk.risk_sentence(view))
    lines = (f"| {what} | {figure.replace(' ', NO_BREAK)} |" for what, figure in rows)
    st.markdown("\n".join(["| | |", "|---|--:|", *lines]))


def _no_plan(view: PlanView) -> None:
    with st.container(border=True):
        st.markdown("**What happened:** these cannot hold together: " + "; ".join(view.body["conflict"]))
        st.markdown("**What it means:** there is no plan, and so no cost, for this scenario.")
        helps = [
            f"without {r['rule']}: {compact(Decimal(r['cost']))} {view.currency}" for r in view.body["relaxations"]
        ]
        st.markdown("**What to do:** relax one rule. " + ("; ".join(helps) or "None alone is enough: add options."))
    _excluded(view)


def _side_by_side(view: PlanView) -> None:
    """Columns are the choices, rows are what decides; the base is the plan."""
    found = plans.choices(view)
    rows = {
        f"Cost, {view.currency} (present value)": [compact(v) for v in found["cost"]],
        "Against the plan": [_over(v, view.cost) for v in found["over_plan"]],
        f"Cash, {view.currency}": [compact(v) for v in found["cash"]],
        f"Of it capital, {view.currency}": [compact(v) for v in found["capex"]],
        f"Worth at the end, {view.currency}": [compact(v) for v in found["closing_value"]],
        "Can it be done?": ["no" if cost is None else "yes" for cost in found["cost"]],
    }
    shown = pl.DataFrame(
        {"What decides": list(rows)} | {name: [row[i] for row in rows.values()] for i, name in enumerate(found[CHOICE])}
    )
    parts.table(
        shown, key="scenario_choices", file=f"{view.scenario}_choices.csv", names={c: c for c in shown.columns},
        download=lambda: found,
    )  # fmt: skip
    impossible = found.filter(pl.col("cost").is_null()).select(CHOICE, "status", "reason")
    if len(impossible):
        with st.expander(f"Choices that cannot be followed, and why ({len(impossible)})"):
            for choice, status, reason in impossible.iter_rows():
                st.caption(f"{choice}: {plans.status_words(status)}" + (f": {reason}" if reason else "") + ".")


def _over(over: Decimal | None, cost: Decimal | None) -> str:
    if over is None or not cost:
        return "–"
    return "the plan" if over == 0 else f"{compact(over, signed=True)} ({percent(over / cost, signed=True)})"


def _curves(page: Page, view: PlanView) -> None:
    st.markdown("##### What each choice has cost by each month")
    found = plans.curves(view)
    crossing = plans.crossings(view)
    names = [view.title(p["policy"]) for p in view.body["policies"]]
    drawn = charts.cost_curves(
        found,
        colours("policy", names, page.look),
        page.look,
        currency=view.currency,
        crossings=[c for c in crossing if view.title(PLAN) in c[1]][:1],
    )
    parts.chart(drawn, key="scenario_curves", says="Cumulative cash of each hosting choice by month")
    if crossing:
        st.caption("; ".join(f"{what} from {view.months[month - 1]} on" for month, what in crossing[:4]) + ".")
    warnings = plans.warnings(view)
    if warnings:
        st.markdown(f":material/warning: {warnings}")


def _forecast(page: Page) -> None:
    st.markdown("##### The demand behind it: all AI spend")
    names = page.compute(known_series, page.currency)
    found = page.compute(outlook, names[0]) if names else None
    if found is None:
        parts.empty("The forecast of AI spend would be here.", "finops forecast")
    else:
        forecast_page.draw(page, found, key="scenario_outlook")


def _places(page: Page, view: PlanView) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("##### Where each workload runs")
        drawn = charts.placement(plans.matrix(view), page.colours(s.HOSTING), page.look)
        parts.chart(drawn, key="scenario_matrix", says="Share of each workload's work by kind of hosting")
    with right:
        st.markdown("##### Why there")
        rows = plans.workloads(view)
        shown = rows.drop("note") if rows["note"].is_null().all() else rows
        parts.table(
            shown, key="scenario_workloads", file=f"{view.scenario}_workloads.csv",
            money={"cash": f"Cash, {view.currency}", "runner_up_extra": "Runner-up costs more"},
            names={"runner_up": "Runner-up"},
        )  # fmt: skip


def _rules(view: PlanView) -> None:
    prices = [price["text"].replace("_", " ") for price in view.body["rule_prices"]]
    if prices:
        st.markdown("##### What the rules cost")
        st.markdown("\n".join(f"- {text}" for text in prices))


def _excluded(view: PlanView) -> None:
    rows = plans.excluded(view)
    with st.expander(f"Options left out, and why ({len(rows)})"):
        if len(rows):
            parts.table(rows, key="scenario_excluded", file=f"{view.scenario}_left_out.csv")
        else:
            st.caption("Every option fits every workload.")


def _schedule(view: PlanView) -> None:
    rows = plans.schedule(view)
    with st.expander("Month by month"):
        parts.table(
            rows, key="scenario_schedule", file=f"{view.scenario}_schedule.csv",
            money={"cash": f"Cash, {view.currency}"}, total=("Cash of the plan", summed(rows, "cash"), view.currency),
        )  # fmt: skip


def _method(view: PlanView) -> None:
    gap = view.body["gap_ratio"]
    with st.expander("How this plan is made"):
        st.markdown(
            f"- The plan ({view.title(PLAN)}) is {plans.status_words(view.status)}"
            + (f"; no plan can be more than {percent(gap)} cheaper" if gap is not None else "")
            + ". Its cost was recomputed from its schedule by code that does not know the solver.\n"
            f"- Cost is present value at {percent(Decimal(view.body['discount_ratio_per_year']))} a year, less what "
            "owned servers are still worth at the end; curves and the schedule show cash, undiscounted.\n"
            "- Each other column serves the same demand under one forced choice.\n"
            f"- Made {view.made_at:%-d %B %Y}; every price carries its source and date in the scenario."
        )
