"""Stored plans side by side, against a base: what decides between them, cost by month, and where each workload runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import polars as pl

from finops import schema as s
from reports.views.movement import month_of
from reports.views.plans import CHOICE, PLAN, PlanView
from reports.views.words import compact, percent, period_name

MOST: Final = 4
"""Scenarios that are compared at a time."""
SCENARIO: Final = "scenario"
HOSTINGS: Final = {"on_prem": "own servers", "cloud": "cloud", "api": "API", "colo": "colo", "edge": "edge"}
Verdict = Literal["base", "same", "better", "worse", "other"]


@dataclass(frozen=True)
class Cell:
    """One figure of one scenario; verdict: how it stands beside the base. value: exact, where it is a number."""

    text: str
    verdict: Verdict
    value: Decimal | None = None


@dataclass(frozen=True)
class _Found:
    text: str
    value: Decimal | None = None
    is_money: bool = False


def deciding(views: Sequence[PlanView], base: str) -> list[tuple[str, list[Cell]]]:
    """What decides, row by row: heading, then a cell for each plan in its order. base: the scenario compared with."""
    start = next(v for v in views if v.scenario == base)
    currencies = {v.currency for v in views}
    one = next(iter(currencies)) if len(currencies) == 1 else None
    rows: list[tuple[str, list[Cell]]] = []
    for heading, find in _rows(views):
        found = [find(v) for v in views]
        if all(f is None for f in found):
            continue
        known = {v.scenario: f or _Found("–") for v, f in zip(views, found, strict=True)}
        money = any(f is not None and f.is_money for f in found)
        cells = [_cell(known[v.scenario], known[base], v, start, one) for v in views]
        rows.append((f"{heading}, {one}" if money and one else heading, cells))
    return rows


def _cell(found: _Found, base: _Found, view: PlanView, start: PlanView, one: str | None) -> Cell:
    named = found.is_money and one is None and found.value is not None
    text = f"{found.text} {view.currency}" if named else found.text
    if view is start:
        return Cell(text, "base", found.value)
    comparable = not found.is_money or view.currency == start.currency
    if found.value is None or base.value is None or not comparable:
        return Cell(text, "same" if text == base.text else "other", found.value)
    over = found.value - base.value
    if over == 0:
        return Cell(text, "same", found.value)
    if found.is_money:
        text += f" ({compact(over, signed=True)})"
    return Cell(text, "better" if over < 0 else "worse", found.value)


def _rows(views: Sequence[PlanView]) -> list[tuple[str, Any]]:
    """Headings, and what finds the figure of a plan; None where a plan states nothing of the kind."""
    rules = dict.fromkeys(r["rule"] for v in views for r in v.body["rule_prices"])
    return [
        ("Horizon", lambda v: _Found(f"{len(v.months)} months from {v.months[0]}")),
        ("Cost (present value)", lambda v: _money(v.body["cost"], "no plan")),
        ("Median cost, demand uncertain (P50)", lambda v: _risk(v, "p50")),
        ("Cost in a dear case (P90)", lambda v: _risk(v, "p90")),
        ("Mean of the costliest cases", lambda v: _risk(v, "tail_mean")),
        ("Cash over the horizon", lambda v: _money(v.body["cash"])),
        ("Of it capital", lambda v: _money(v.body["capex"])),
        ("Cheaper than going on as today", ahead_of_today),
        ("Worst latency", worst_latency),
        ("Residency", residency),
        ("Runs in", countries),
        ("Carbon, t CO2e", carbon),
        *((f"Rule {r.replace('_', ' ')}: cost a month", lambda v, r=r: _rule(v, r)) for r in rules),
        ("Distance from the best there can be", lambda v: _gap(v)),
    ]  # fmt: skip


def _money(amount: str | None, otherwise: str = "–") -> _Found:
    if amount is None:
        return _Found(otherwise, is_money=True)
    return _Found(compact(Decimal(amount)), Decimal(amount), is_money=True)


def _risk(view: PlanView, name: str) -> _Found | None:
    risk = view.body.get("risk")
    return None if risk is None else _money(f"{risk[name]:.2f}")


def _gap(view: PlanView) -> _Found:
    gap = view.body["gap_ratio"]
    return _Found("–") if gap is None else _Found(f"at most {percent(gap)}")


def ahead_of_today(view: PlanView) -> _Found:
    """From when the plan has cost less cash in all than going on as today, for good; earlier is better."""
    runs = {p["policy"]: p["cumulative_cash"] for p in view.body["policies"]}
    plan, today = runs.get(PLAN, []), runs.get("as_is", [])
    if not plan or not today:
        return _Found("today breaks a rule" if plan else "–")
    month = cheaper_from(today, plan)
    if month is None:
        return _Found("not within the horizon", Decimal(len(view.months) + 1))
    return _Found("from the start" if month == 1 else f"from {_month(view, month)}", Decimal(month))


def cheaper_from(old: Sequence[str], new: Sequence[str]) -> int | None:
    """The first month (1, 2, …) from which `new` has cost less in all than `old` in every later month too."""
    months = min(len(old), len(new))
    dearer = [t for t in range(months) if Decimal(new[t]) >= Decimal(old[t])]
    first = dearer[-1] + 2 if dearer else 1
    return first if first <= months else None


def _month(view: PlanView, number: int) -> str:
    return period_name(*month_of(view.months[number - 1]))


def worst_latency(view: PlanView) -> _Found | None:
    """The longest round trip of any option that a workload runs on; options whose latency nobody stated are counted."""
    used = _used(view)
    if not used:
        return None
    known = [Decimal(o["latency_ms"]) for o in used if o["latency_ms"] is not None]
    missing = len(used) - len(known)
    if not known:
        return _Found("not stated")
    return _Found(f"{max(known)} ms" + (f" ({missing} not stated)" if missing else ""), max(known))


def residency(view: PlanView) -> _Found | None:
    """How many workloads may not leave an area; no plan breaks that."""
    bound = [w for w in view.body["workloads"] if w.get("residency")]
    if bound:
        return _Found(f"kept for {len(bound)} of {len(view.body['workloads'])}")
    ruled = any(r["rule"] == "residency" for r in view.body["rule_prices"])
    return _Found("kept" if ruled else "no rule") if _used(view) else None


def countries(view: PlanView) -> _Found | None:
    """Where the work is done."""
    found = sorted({o["country"] or "not stated" for o in _used(view)})
    return _Found(", ".join(found)) if found else None


def carbon(view: PlanView) -> _Found | None:
    """Tonnes of CO2e over the horizon, where power and carbon intensity of everything in use are stated."""
    kg = view.body.get("emitted_kg")
    return None if kg is None else _Found(compact(Decimal(kg) / 1000), Decimal(kg))


def _used(view: PlanView) -> list[dict[str, Any]]:
    names = {c["option"] for w in view.body["workloads"] for c in w["chosen"] if Decimal(c["work_ratio"]) > 0}
    return [o for o in view.body["options"] if o["option"] in names]


def _rule(view: PlanView, rule: str) -> _Found:
    found = next((r for r in view.body["rule_prices"] if r["rule"] == rule), None)
    if found is None:
        return _Found("no such rule")
    if found["price"] is None:
        return _Found("not found", is_money=True)
    if "no measurable cost" in found["text"]:
        return _Found("not measurable", Decimal(0), is_money=True)
    monthly = Decimal(found["price"]) / len(view.months)
    return _Found(compact(monthly), monthly, is_money=True)


def deciding_frame(views: Sequence[PlanView], base: str, *, exact: bool = False) -> pl.DataFrame:
    """`deciding` as a frame: what_decides, then a column for each scenario; exact: numbers in full, for files."""
    rows = deciding(views, base)
    columns = {"what_decides": [heading for heading, _ in rows]}
    for n, view in enumerate(views):
        cells = [cells[n] for _, cells in rows]
        columns[view.scenario] = [str(c.value) if exact and c.value is not None else c.text for c in cells]
    return pl.DataFrame(columns)


def headline(views: Sequence[PlanView], base: str) -> str:
    """What the base costs, and what each other scenario costs more or less, in one sentence."""
    start = next(v for v in views if v.scenario == base)
    if start.cost is None:
        return f"{base}: no plan keeps every rule, so nothing can be compared with it."
    parts = [f"{base}: {compact(start.cost)} {start.currency} over {len(start.months)} months"]
    for view in views:
        if view is start:
            continue
        if view.cost is None:
            parts.append(f"{view.scenario} has no plan")
        elif view.currency != start.currency or len(view.months) != len(start.months):
            parts.append(f"{view.scenario} {compact(view.cost)} {view.currency} over {len(view.months)} months")
        else:
            over = view.cost - start.cost
            word = "less" if over < 0 else "more"
            parts.append(f"{view.scenario} {compact(abs(over))} {word}" if over else f"{view.scenario} the same")
    return "; ".join(parts) + "."


def curves(views: Sequence[PlanView], base: str) -> pl.DataFrame:
    """Cumulative cash of each plan in the base's currency by month (1, 2, …), and of the base as it is today."""
    start = next(v for v in views if v.scenario == base)
    lines = [(v.scenario, _policy(v, PLAN)) for v in views if v.currency == start.currency]
    lines.append((f"{base}, as it is today", _policy(start, "as_is")))
    rows = [
        {"month": number, CHOICE: name, "cost": Decimal(amount)}
        for name, amounts in lines
        for number, amount in enumerate(amounts, start=1)
    ]
    return pl.DataFrame(rows, schema={"month": pl.Int64(), CHOICE: pl.String(), "cost": s.MONEY})


def crossings(views: Sequence[PlanView], base: str) -> list[tuple[int, str]]:
    """The months from which a plan has cost less in all than the base or than the base as it is today, in words."""
    start = next(v for v in views if v.scenario == base)
    today, plan = _policy(start, "as_is"), _policy(start, PLAN)
    pairs = [(f"{base} becomes cheaper than going on as today", today, plan)] + [
        (f"{v.scenario} becomes cheaper than {base}", plan, _policy(v, PLAN))
        for v in views
        if v is not start and v.currency == start.currency
    ]
    found = [(cheaper_from(old, new), what) for what, old, new in pairs if old and new]
    return sorted((month, what) for month, what in found if month is not None and month > 1)


def _policy(view: PlanView, policy: str) -> list[str]:
    return next((list(p["cumulative_cash"]) for p in view.body["policies"] if p["policy"] == policy), [])


def places(views: Sequence[PlanView]) -> pl.DataFrame:
    """Where each workload runs: workload, scenario, hosting (of most of its work), shown (of all of it, in words)."""
    rows = []
    for view in views:
        hosting = {o["option"]: o["hosting"] for o in view.body["options"]}
        for w in view.body["workloads"]:
            shares: dict[str, Decimal] = {}
            for c in w["chosen"]:
                kind = hosting[c["option"]]
                shares[kind] = shares.get(kind, Decimal(0)) + Decimal(c["work_ratio"])
            ranked = sorted(((k, r) for k, r in shares.items() if r > 0), key=lambda pair: -pair[1])
            if ranked:
                shown = ", ".join(f"{HOSTINGS.get(kind, kind)} {percent(ratio)}" for kind, ratio in ranked)
                rows.append((w["workload"], view.scenario, ranked[0][0], shown))
    names = ("workload", SCENARIO, "hosting", "shown")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String()), orient="row")
