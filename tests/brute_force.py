"""The least cost of a tiny scenario over all its whole decisions, by code that shares nothing with the program.

Purchases, spare servers and locations are enumerated; what is left of each combination (use, cover, promises) is a
linear program with its own matrices, which scipy solves. Combinations are tried by what they cost before any use, and
left when that and the least cost of use cannot be better any more.
"""

import itertools
from collections.abc import Iterable, Iterator
from functools import cached_property
from math import ceil, inf
from typing import Any

import numpy as np
from scipy.optimize import linprog

from tests.whole_decisions import BY_USE, HOURS, Choice, Decisions, number

COUPLED = ("budget", "provider_share", "carbon")
"""Rows that depend on what is bought, and are left out where only the least cost of use is asked for."""


class Tiny(Decisions):
    """A scenario as plain values, with the linear rest of its whole decisions."""

    @cached_property
    def columns(self) -> dict[tuple[Any, ...], int]:
        """The unknowns of the linear program by what they are."""
        keys: list[tuple[Any, ...]] = []
        slots = list(itertools.product(range(self.end), range(len(self.parts)), range(len(self.courses))))
        for w, o in itertools.product(self.case["workloads"], self.options):
            if self.allowed(w, o):
                since = self.month_of(o.get("available_from")) if o["kind"] in BY_USE else 0
                keys += [("x", w["name"], o["name"], *s) for s in slots if self.quarter(s[0]).start >= since]
        for j in self.promises:
            since = self.month_of(j.get("available_from"))
            entered = range(0, self.end, self.step)
            keys += [("q", j["name"], t) for t in entered if t >= since and self.quarter(t).start == t]
            keys += [("e", j["name"], o, *s) for o in j["discount_ratio"] for s in slots]
        return {key: i for i, key in enumerate([*keys, ("worst",)])}

    @cached_property
    def course_costs(self) -> list[np.ndarray]:
        """Present value of the linear part in each demand scenario, as coefficients."""
        found = []
        for s in range(len(self.courses)):
            cost = np.zeros(len(self.columns))
            for t in range(self.end):
                cost += self.present(t + 0.5) * self.use_cash(t, s)
            for j in self.promises:
                for key, i in self.columns.items():
                    if key[:2] == ("q", j["name"]):
                        owed = max(key[2] + j["term_months"] - self.end, 0) * HOURS
                        cost[i] += owed * self.present(self.end)
            found.append(cost)
        return found

    def use_cash(self, month: int, course: int, provider: str | None = None) -> np.ndarray:
        """Cash of use, cover and promises in a month under a demand scenario, as coefficients."""
        cost = np.zeros(len(self.columns))
        options = {o["name"]: o for o in self.options}
        for key, i in self.columns.items():
            if key[0] in ("x", "e") and key[3] == month and key[5] == course:
                o = options[key[2]]
                if o["kind"] in BY_USE and provider in (None, o["provider"]):
                    sign = 1 if key[0] == "x" else -1
                    cost[i] = sign * HOURS * float(self.parts[key[4]]["hours_ratio"]) * self.price(o, month)
        for j in self.promises:
            if provider in (None, j["provider"]):
                for i in self.entered(j, month):
                    cost[i] += HOURS
        return cost

    def entered(self, j: dict[str, Any], month: int) -> list[int]:
        """The columns of the money promised in a month."""
        return [
            i
            for key, i in self.columns.items()
            if key[:2] == ("q", j["name"]) and key[2] <= month < key[2] + j["term_months"]
        ]

    def before(self, j: dict[str, Any], month: int) -> float:
        """The money promised before the horizon."""
        return number(j.get("standing")) if month < j.get("standing_months_left", 0) else 0.0

    def row(self, parts: Iterable[tuple[tuple[Any, ...], float]]) -> np.ndarray:
        """Coefficients by column; a column that there is not counts nothing."""
        found = np.zeros(len(self.columns))
        for key, coefficient in parts:
            if key in self.columns:
                found[self.columns[key]] += coefficient
        return found

    @cached_property
    def equal(self) -> tuple[np.ndarray, list[float]]:
        """Rows that hold exactly: work is done, and the months of a quarter follow their demand."""
        rows, need = [], []
        numbered = list(itertools.product(enumerate(self.parts), enumerate(self.courses)))
        for w in self.case["workloads"]:
            fitting = [(o["name"], self.speed(w, o)) for o in self.options if self.allowed(w, o)]
            if w.get("window_months") is None:
                for t, ((b, part), (s, course)) in itertools.product(range(self.end), numbered):
                    rows.append(self.row((("x", w["name"], o, t, b, s), r) for o, r in fitting))
                    need.append(self.need(w, t, part, course))
            else:
                for window, (s, course) in itertools.product(self.windows(w), enumerate(self.courses)):
                    rows.append(self.done(w, window, s))
                    need.append(sum(self.units(w, t, course) for t in window))
            rows += self.tied(w, [name for name, _ in fitting])
            need += [0.0] * (len(rows) - len(need))
        for j, o in [(promise["name"], o) for promise in self.promises for o in promise["discount_ratio"]]:
            for t, ((b, _), (s, _)) in itertools.product(range(self.end), numbered):
                if self.quarter(t).start != t:
                    rows.append(
                        self.row([(("e", j, o, t, b, s), 1.0), (("e", j, o, self.quarter(t).start, b, s), -1.0)])
                    )
        return np.array(rows), need + [0.0] * (len(rows) - len(need))

    def tied(self, w: dict[str, Any], fitting: list[str]) -> Iterator[np.ndarray]:
        """Within a quarter use is as demand is, or for longer windows the same."""
        for t, (s, course) in itertools.product(range(self.end), enumerate(self.courses)):
            high = max(self.quarter(t), key=lambda m, of=course: self.units(w, m, of))  # type: ignore[misc]
            mine, highest = self.units(w, t, course), self.units(w, high, course)
            if w.get("window_months") not in (None, 1):
                high, mine, highest = self.quarter(t).start, 1.0, 1.0
            for o, b in itertools.product(fitting, range(len(self.parts)) if t != high else ()):
                yield self.row([(("x", w["name"], o, t, b, s), highest), (("x", w["name"], o, high, b, s), -mine)])

    def windows(self, w: dict[str, Any]) -> list[range]:
        """The months in which an amount of work is due."""
        length = w.get("window_months") or 1
        return [range(t, min(t + length, self.end)) for t in range(0, self.end, length)]

    def done(self, w: dict[str, Any], months: Iterable[int], course: int, which: Any = lambda _: True) -> np.ndarray:
        """Work done in some months by some options."""
        hours = [HOURS * float(part["hours_ratio"]) for part in self.parts]
        return self.row(
            (("x", w["name"], o["name"], t, b, course), h * self.speed(w, o))
            for o in self.options
            if self.allowed(w, o) and which(o)
            for t in months
            for b, h in enumerate(hours)
        )

    @cached_property
    def limits(self) -> list[tuple[str, np.ndarray, Any]]:
        """Rows that are at most what a choice leaves: rule, coefficients, and the right side of a choice."""
        rows: list[tuple[str, np.ndarray, Any]] = []
        names = [w["name"] for w in self.case["workloads"]]
        for t, b, s in itertools.product(range(self.end), range(len(self.parts)), range(len(self.courses))):
            for o in self.options:
                use = self.row((("x", w, o["name"], t, b, s), 1.0) for w in names)
                if o["kind"] not in BY_USE:
                    u = float(o.get("utilisation_ceiling_ratio", 1))
                    rows.append(("block_capacity", use, self.free(o["name"], t, u)))
                    continue
                if o.get("quota") is not None:
                    rows.append(("quota", use, float(o["quota"])))
                if o.get("rate_limit_per_minute") is not None:
                    rows.append(("api_rate_limit", use, 60 * float(o["rate_limit_per_minute"])))
                cover = self.row((("e", j["name"], o["name"], t, b, s), 1.0) for j in self.promises)
                if cover.any():
                    rows.append(("commitment_cover", cover - use, 0.0))
            for j in self.promises:
                prices = {o["name"]: float(o["price"]["amount"]) for o in self.options}
                rates = {o: prices[o] * (1 - float(ratio)) for o, ratio in j["discount_ratio"].items()}
                spent = self.row((("e", j["name"], o, t, b, s), rate) for o, rate in rates.items())
                spent[self.entered(j, t)] -= 1.0
                rows.append(("commitment_use", spent, self.before(j, t)))
        for j in self.promises:
            for t in range(self.end) if j.get("quota") is not None else ():
                promised = np.zeros(len(self.columns))
                promised[self.entered(j, t)] = 1.0
                rows.append(("quota", promised, float(j["quota"]) - self.before(j, t)))
        return rows + self.limits_of_workloads() + self.limits_of_money()

    def free(self, name: str, month: int, ceiling: float) -> Any:
        """What of the blocks of a choice can be used."""
        return lambda choice: ceiling * (choice.active[name][month] - choice.held[name][month])

    def limits_of_workloads(self) -> list[tuple[str, np.ndarray, Any]]:
        """Shares of spot, and the least that is done where a workload is set up."""
        rows: list[tuple[str, np.ndarray, Any]] = []
        for w, (s, course) in itertools.product(self.case["workloads"], enumerate(self.courses)):
            share, least = w.get("spot_share_ratio"), number(w.get("least_share_ratio"))
            if share is not None and w.get("window_months") is None:
                for t, (b, part) in itertools.product(range(self.end), enumerate(self.parts)):
                    spot = [
                        (o["name"], self.speed(w, o))
                        for o in self.options
                        if o["kind"] == "spot" and self.allowed(w, o)
                    ]
                    used = self.row((("x", w["name"], o, t, b, s), r) for o, r in spot)
                    rows.append(("spot_share", used, float(share) * self.need(w, t, part, course)))
            elif share is not None:
                for window in self.windows(w):
                    used = self.done(w, window, s, lambda o: o["kind"] == "spot")
                    rows.append(("spot_share", used, float(share) * sum(self.units(w, t, course) for t in window)))
            for g, t in itertools.product({self.place(o) for o in self.options}, range(self.end)) if least else ():
                due = next(v for v in self.windows(w) if t in v)
                mean = sum(self.units(w, m, course) for m in due) / len(due)
                here = self.done(w, [t], s, lambda o, g=g: self.place(o) == g)
                rows.append(("presence", -here, self.least(w["name"], g, t, least * mean)))
        return rows

    def least(self, workload: str, place: str, month: int, amount: float) -> Any:
        """Work that must be done where a choice sets the workload up."""
        return lambda choice: -amount if place in choice.places[workload][month] else 0.0

    def limits_of_money(self) -> list[tuple[str, np.ndarray, Any]]:
        """Shares of providers, budgets, emissions."""
        rows: list[tuple[str, np.ndarray, Any]] = []
        for (provider, ratio), t, s in itertools.product(
            self.rules.get("provider_share_ratio", {}).items(), range(self.end), range(len(self.courses))
        ):
            use = self.use_cash(t, s, provider) - float(ratio) * self.use_cash(t, s)
            rows.append(("provider_share", use, self.owned_of(provider, float(ratio), t)))
        yearly = self.rules.get("budget_per_year", [])
        for year in range(ceil(self.end / 12)) if yearly else ():
            months = range(year * 12, min(year * 12 + 12, self.end))
            cash = [np.sum([self.use_cash(t, s) for t in months], axis=0) for s in range(len(self.courses))]
            if self.rules.get("budget_holds_in") == "expectation":
                cash = [np.array([float(c["probability"]) for c in self.courses]) @ np.array(cash)]
            limit = yearly[min(year, len(yearly) - 1)]
            rows += [("budget", of, self.cash_left(months, float(limit))) for of in cash]
        caps = self.rules.get("carbon_kg_per_month", [])
        for t, s in itertools.product(range(self.end) if caps else (), range(len(self.courses))):
            kg = {o["name"]: self.kg(o) for o in self.options if o["kind"] in BY_USE}
            hours = [HOURS * float(part["hours_ratio"]) for part in self.parts]
            emitted = np.zeros(len(self.columns))
            for key, i in self.columns.items():
                if key[0] == "x" and key[3] == t and key[5] == s:
                    emitted[i] = hours[key[4]] * kg.get(key[2], 0.0)
            rows.append(("carbon", emitted, self.kg_left(t, float(caps[min(t, len(caps) - 1)]))))
        return rows

    def owned_of(self, provider: str, ratio: float, month: int) -> Any:
        """What blocks of a choice, and promises made before, leave to a provider."""
        before = dict.fromkeys({j["provider"] for j in self.promises}, 0.0)
        for j in self.promises:
            before[j["provider"]] += self.before(j, month) * HOURS

        def left(choice: Choice) -> float:
            paid = {p: of[month] for p, of in choice.amortised.items()}
            total = sum(paid.values()) + sum(before.values())
            return ratio * total - paid.get(provider, 0.0) - before.get(provider, 0.0)

        return left

    def cash_left(self, months: range, limit: float) -> Any:
        """What a choice leaves of a budget."""
        before = sum(self.before(j, t) * HOURS for j in self.promises for t in months)
        return lambda choice: limit - before - sum(choice.cash[t] for t in months)

    def kg_left(self, month: int, limit: float) -> Any:
        """What a choice leaves of the emissions."""
        return lambda choice: limit - choice.kg[month]

    @cached_property
    def promised_before(self) -> float:
        """Present value of promises made before the horizon."""
        return sum(self.before(j, t) * HOURS * self.present(t + 0.5) for j in self.promises for t in range(self.end))

    @cached_property
    def objective(self) -> np.ndarray:
        """Mean cost and the mean of the costliest share, weighted."""
        mean = np.array([float(c["probability"]) for c in self.courses]) @ np.array(self.course_costs)
        worst = self.row([(("worst",), 1.0)])
        return np.asarray((1 - self.averse) * mean + self.averse * worst)

    def tails(self) -> list[np.ndarray]:
        """Rows that make `worst` the mean of the costliest share: each order of costs fills the share its own way."""
        rows = []
        for order in itertools.permutations(range(len(self.courses))) if self.averse else ():
            left, row = self.tail, -self.row([(("worst",), 1.0)])
            for s in order:
                part = min(left, float(self.courses[s]["probability"]))
                row = row + part / self.tail * self.course_costs[s]
                left -= part
            rows.append(row)
        return rows

    def least_cost(self, choice: Choice | None) -> float | None:
        """The least cost of the linear rest, on top of the choice's own; None where it cannot be met.

        Without a choice everything stands everywhere, and rules that depend on what is bought are left out.
        """
        roof = {k["name"]: [int(k["quota"])] * self.end for k in self.blocks}
        rows, right = [], []
        for rule, row, limit in self.limits:
            if choice is None and (rule in COUPLED or rule == "presence"):
                continue
            made = choice or Choice(roof, {k: [0] * self.end for k in roof}, {}, [], {}, [], 0.0)
            rows.append(row)
            right.append(limit(made) if callable(limit) else limit)
        for row in self.tails():
            rows.append(row)
            right.append(0.0)
        bounds: list[tuple[float | None, float | None]] = [(0.0, None)] * len(self.columns)
        bounds[-1] = (None, None) if self.averse else (0.0, 0.0)
        if choice is not None and choice.places:
            options = {o["name"]: self.place(o) for o in self.options}
            for key, i in self.columns.items():
                if key[0] == "x" and key[1] in choice.places and options[key[2]] not in choice.places[key[1]][key[3]]:
                    bounds[i] = (0.0, 0.0)
        matrix, need = self.equal
        found = linprog(self.objective, np.array(rows) if rows else None, right or None, matrix, need, bounds)
        return float(found.fun) if found.status == 0 else None


def brute_force(case: dict[str, Any]) -> float | None:
    """The least cost over all choices, weighted by risk where the case says so; None when none keeps every rule."""
    tiny = Tiny(case)
    floor = tiny.least_cost(None)
    if floor is None:
        return None
    best = inf
    for choice in sorted(tiny.choices(), key=lambda c: c.value):
        if choice.value + floor >= best:
            break
        rest = tiny.least_cost(choice)
        if rest is not None:
            best = min(best, choice.value + rest)
    return None if best == inf else best + tiny.promised_before
