"""Stored plans side by side: what each hosting choice costs, when one passes another, what runs where, and why."""

import json
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl

from finops import schema as s
from finops.store import Lake
from reports.views.movement import month_of
from reports.views.words import compact, period_name

PLAN: Final = "hybrid"
"""The policy that chooses freely within the rules: the plan itself, which the others are compared with."""
CHOICE: Final = "choice"
AMOUNTS: Final = ("cost", "cash", "capex", "closing_value")


@dataclass(frozen=True)
class PlanView:
    """A scenario's newest stored plan; body is what the placement program recorded of it, all amounts in `currency`."""

    scenario: str
    made_at: datetime
    status: str
    currency: str
    cost: Decimal | None
    body: dict[str, Any]

    @property
    def months(self) -> list[str]:
        """The months of the horizon, as YYYY-MM."""
        return list(self.body["months"])

    def title(self, policy: str) -> str:
        """A policy's name for people, without its explanation."""
        return str(next(p["title"] for p in self.body["policies"] if p["policy"] == policy)).split(":")[0]


def plan_names(lake: Lake) -> list[str]:
    """The scenarios that have a stored plan."""
    return lake.scan("plans").select(pl.col("scenario").unique().sort()).collect()["scenario"].to_list()


def plan(lake: Lake, scenario: str) -> PlanView:
    """The newest stored plan of a scenario that has one."""
    rows = lake.scan("plans").filter(pl.col("scenario") == scenario).sort("made_at").tail(1).collect()
    row = rows.row(0, named=True)
    return PlanView(scenario, row["made_at"], row["status"], row["currency"], row["cost"], json.loads(row["body"]))


def choices(view: PlanView) -> pl.DataFrame:
    """The hosting choices, the plan first: policy, choice, status, their amounts, over_plan, reason.

    cost: present value. over_plan = cost - the plan's cost. closing_value: what owned servers are still worth at the
    end. reason: why a choice cannot be followed.
    """
    rows = [
        {
            "policy": p["policy"],
            CHOICE: view.title(p["policy"]),
            "status": p["status"],
            **{name: _money(p[name]) for name in AMOUNTS},
            "reason": p["reason"],
        }
        for p in view.body["policies"]
    ]
    text: pl.DataType = pl.String()
    schema = {"policy": text, CHOICE: text, "status": text, **dict.fromkeys(AMOUNTS, s.MONEY), "reason": text}
    frame = pl.DataFrame(rows, schema=schema)
    base = pl.lit(_money(view.body["cost"]), dtype=s.MONEY)
    return frame.with_columns((pl.col("cost") - base).alias("over_plan")).sort(
        pl.col("policy") != PLAN, "cost", descending=[False, False], nulls_last=True
    )


def curves(view: PlanView) -> pl.DataFrame:
    """Cumulative cash by month: month (1, 2, …), choice, cost; only choices that can be followed."""
    rows = [
        {"month": number, CHOICE: view.title(p["policy"]), "cost": _money(amount)}
        for p in view.body["policies"]
        for number, amount in enumerate(p["cumulative_cash"], start=1)
    ]
    return pl.DataFrame(rows, schema={"month": pl.Int64(), CHOICE: pl.String(), "cost": s.MONEY})


def crossings(view: PlanView) -> list[tuple[int, str]]:
    """The months from which one choice has paid out less than another for good, in words; the plan's own first."""
    found = sorted(view.body["crossings"], key=lambda c: (PLAN not in (c["cheaper"], c["dearer"]), c["month"]))
    return [
        (
            view.months.index(c["month"]) + 1,
            f"{view.title(c['cheaper'])} is cheaper than {_lower(view.title(c['dearer']))}",
        )
        for c in found
    ]


def workloads(view: PlanView) -> pl.DataFrame:
    """Why each workload is where it is: its options with their shares, cash, and what the runner-up would cost more."""
    rows = [
        {
            "workload": w["workload"],
            "runs_on": ", ".join(f"{c['option']} ({Decimal(c['work_ratio']) * 100:.0f} %)" for c in w["chosen"]),
            "today": w["today"],
            "cash": _money(w["cash"]),
            "runner_up": w["runner_up"],
            "runner_up_extra": _money(w["runner_up_extra"]),
            "note": w["note"],
        }
        for w in view.body["workloads"]
    ]
    text, money = pl.String(), s.MONEY
    return pl.DataFrame(
        rows,
        schema={"workload": text, "runs_on": text, "today": text, "cash": money, "runner_up": text,
                "runner_up_extra": money, "note": text},
    )  # fmt: skip


def matrix(view: PlanView) -> pl.DataFrame:
    """Where each workload's work is done over the horizon: workload, hosting, ratio of its work."""
    hosting = {o["option"]: o["hosting"] for o in view.body["options"]}
    rows = [
        {"workload": w["workload"], "hosting": hosting[c["option"]], "ratio": Decimal(c["work_ratio"])}
        for w in view.body["workloads"]
        for c in w["chosen"]
    ]
    frame = pl.DataFrame(rows, schema={"workload": pl.String(), "hosting": pl.String(), "ratio": s.MONEY})
    return frame.group_by("workload", "hosting", maintain_order=True).agg(pl.col("ratio").sum())


def schedule(view: PlanView) -> pl.DataFrame:
    """What is paid when: month, workload (none for capacity that nobody used), option, hosting, provider, cash."""
    names = ("month", "workload", "option", "hosting", "provider")
    rows = [{**{n: r[n] for n in names}, "cash": _money(r["cash"])} for r in view.body["schedule"]]
    return pl.DataFrame(rows, schema={**{n: pl.String() for n in names}, "cash": s.MONEY})


def excluded(view: PlanView) -> pl.DataFrame:
    """Every pair of workload and option that a rule left out, with its reason."""
    names = ("workload", "option", "rule", "reason")
    return pl.DataFrame(
        [{n: e[n] for n in names} for e in view.body["exclusions"]], schema=dict.fromkeys(names, pl.String())
    )


def sentence(view: PlanView) -> str:
    """What the plan costs, beside what the same demand costs with the dearest and the nearest other choice."""
    if view.cost is None:
        return f"{view.scenario}: no plan keeps every rule. " + "; ".join(view.body["conflict"])
    text = f"{view.scenario}: {compact(view.cost)} {view.currency} over {len(view.months)} months"
    others = choices(view).filter((pl.col("policy") != PLAN) & pl.col("cost").is_not_null() & (pl.col("over_plan") > 0))
    if len(others):
        nearest, farthest = others.row(0, named=True), others.row(-1, named=True)
        text += f", {compact(nearest['over_plan'])} less than {_lower(nearest[CHOICE])}"
        if len(others) > 1:
            text += f" and {compact(farthest['over_plan'])} less than {_lower(farthest[CHOICE])}"
    crossing = next(iter(crossings(view)), None)
    if crossing and view.title(PLAN) in crossing[1]:
        month, what = crossing
        text += f"; {_lower(what)} from {period_name(*month_of(view.months[month - 1]))} on"
    return text + "."


def warnings(view: PlanView) -> str:
    """The choices that pass the plan by more than the scenario's ratio, from when, and by how much in the end."""
    found = [
        f"{view.title(w['policy'])} from {w['month']} on ({compact(Decimal(w['excess']))} more by the end)"
        for w in view.body["warnings"]
    ]
    return f"Cash far above the plan's, in {view.currency}: " + "; ".join(found) + "." if found else ""


def status_words(status: str) -> str:
    """What the program's status means."""
    return {
        "optimal": "optimal within the stated gap",
        "feasible": "keeps every rule, but a cheaper plan may exist: the time limit ended the search",
        "infeasible": "cannot be followed within the rules",
        "unsolved": "not found within the time limit",
    }.get(status, status)


def _lower(title: str) -> str:
    return title[0].lower() + title[1:]


def _money(amount: str | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)
