"""What a stored plan hangs on: its cost under other assumptions, what would turn it, and its risk."""

from decimal import Decimal
from typing import Final

import polars as pl

from finops import schema as s
from reports.views.plans import PlanView
from reports.views.scenario_compare import HOSTINGS
from reports.views.words import compact, percent

_FLIP_WORDS: Final = {"demand": "demand", "utilisation": "the use of owned and reserved capacity"}


def tornado(view: PlanView) -> pl.DataFrame:
    """What each assumption does to the cost, the widest first: factor, assumption, cost, change (against the plan).

    Two rows a factor; cost and change are null where no plan keeps the rules under that assumption.
    """
    rows = []
    for swing in view.body.get("swings", []):
        for end in ("low", "high"):
            cost = swing[f"{end}_cost"]
            amount = None if cost is None else Decimal(cost)
            change = None if amount is None or view.cost is None else amount - view.cost
            rows.append((swing["factor"], swing[end], amount, change))
    schema = {"factor": pl.String(), "assumption": pl.String(), "cost": s.MONEY, "change": s.MONEY}
    return pl.DataFrame(rows, schema=schema, orient="row")


def without_effect(view: PlanView) -> list[str]:
    """The factors that change the cost by less than a thousandth, either way."""
    found = (
        tornado(view).group_by("factor", maintain_order=True).agg(pl.col("change").abs().max(), pl.col("cost").len())
    )
    all_known = tornado(view).filter(pl.col("change").is_null())["factor"].to_list()
    little = (view.cost or Decimal(0)) / 1000
    return [f for f, change, _ in found.rows() if change is not None and change < little and f not in all_known]


def out_of_reach(view: PlanView) -> list[str]:
    """The assumptions under which no plan keeps the rules, in words."""
    return [
        f"{factor} {assumption}"
        for factor, assumption in tornado(view).filter(pl.col("cost").is_null()).select("factor", "assumption").rows()
    ]


def turning_points(view: PlanView) -> list[str]:
    """What would turn the decision: how far demand or use must be off for most money to go to other hosting."""
    found = []
    for flip in view.body.get("flips", []):
        below, above = Decimal(flip["below"]), Decimal(flip["above"])
        what = _FLIP_WORDS.get(flip["factor"], flip["factor"])
        if above <= 1:
            how = f"falls to between {percent(below)} and {percent(above)} of what is stated"
        else:
            how = f"rises to between {percent(below)} and {percent(above)} of what is stated"
        kinds = (HOSTINGS.get(flip[kind], flip[kind]) for kind in ("other", "hosting"))
        found.append("If {} {}, most of the money goes to {} instead of {}.".format(what, how, *kinds))
    return found


def risk_rows(view: PlanView) -> list[tuple[str, str]]:
    """The plan on random courses of demand: what, and the figure in words; empty where uncertainty is not stated."""
    risk = view.body.get("risk")
    if risk is None:
        return []
    tail = [
        ("Middle of all courses (P50)", f"{compact(risk['p50'])} {view.currency}"),
        ("One in ten costs more than (P90)", f"{compact(risk['p90'])} {view.currency}"),
        ("One in ten costs less than (P10)", f"{compact(risk['p10'])} {view.currency}"),
        ("Mean of the costliest courses", f"{compact(risk['tail_mean'])} {view.currency}"),
        ("Courses on which some work cannot be done", percent(risk["short_ratio"])),
    ]
    over = [(f"Courses that pass the budget of year {n}", percent(r)) for n, r in enumerate(risk["over_budget"], 1)]
    regret = risk["expected_regret"]
    late = [] if regret is None else [("More than with demand known beforehand", f"{compact(regret)} {view.currency}")]
    return tail + over + late


def risk_sentence(view: PlanView) -> str:
    """How certain the cost is, in one sentence; empty where the scenario states no uncertainty."""
    risk = view.body.get("risk")
    if risk is None:
        return ""
    return (
        f"On {risk['paths']} random courses of demand it costs {compact(risk['p50'])} {view.currency} in the middle, "
        f"and between {compact(risk['p10'])} and {compact(risk['p90'])} on eight of ten."
    )
