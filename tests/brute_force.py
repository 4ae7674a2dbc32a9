"""The least cost of a tiny scenario over all its whole decisions, by code that shares nothing with the program.

A scenario comes as plain values, as in a file. Purchases, spare servers and locations are enumerated; what is left of
each combination (use, cover, promises) is a linear program with its own matrices, which scipy solves. Combinations are
tried by what they cost before any use, and left when that and the least cost of use cannot be better any more.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, inf
from typing import Any

import numpy as np
from scipy.optimize import linprog  # type: ignore[import-untyped]

HOURS = 730
BY_USE = ("on_demand", "spot", "api", "metered")
OWNED = ("on_prem", "colo", "edge")
COUPLED = ("budget", "provider_share", "carbon")
"""Rows that depend on what is bought, and are left out where only the least cost of use is asked for."""


@dataclass(frozen=True)
class Choice:
    """All whole decisions: blocks that stand and are held by month, where workloads are set up, and what that costs."""

    active: dict[str, list[int]]
    held: dict[str, list[int]]
    places: dict[str, tuple[frozenset[str], ...]]
    cash: list[float]
    amortised: dict[str, list[float]]
    kg: list[float]
    value: float
    """Present value of all cash less what is left at the end."""


def number(value: Any) -> float:
    """A figure of a file."""
    return float(value or 0)


def of_month(value: Any, month: int) -> float:
    """A figure that may be stated by month."""
    return float(value[month] if isinstance(value, list) else value)


class Tiny:
    """A scenario as plain values, with what the whole decisions and the linear rest are made from."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.options: list[dict[str, Any]] = case["options"]
        self.blocks = [o for o in self.options if o["kind"] not in BY_USE]
        self.promises: list[dict[str, Any]] = case.get("spend_commitments", [])
        self.end: int = case["horizon_months"]
        self.step: int = case.get("purchase_every_months", 1)
        self.single = min(case.get("quarters_after_months") or self.end, self.end)
        self.parts: list[dict[str, Any]] = case["load_blocks"]
        self.courses: list[dict[str, Any]] = case["demand_scenarios"]
        self.rules: dict[str, Any] = case.get("rules", {})
        self.rate = 1 + float(case["discount_ratio_per_year"])
        self.averse = number(case.get("risk_aversion_ratio"))
        self.tail = float(case.get("risk_tail_ratio", 0.2))

    # ------------------------------------------------------------------------------------------------------ figures
    def quarter(self, month: int) -> range:
        """The months that are decided together with a month."""
        if month < self.single:
            return range(month, month + 1)
        start = month - (month - self.single) % 3
        return range(start, min(start + 3, self.end))

    def units(self, w: dict[str, Any], month: int, course: dict[str, Any]) -> float:
        """Units of a month."""
        ratio = course.get("workloads", {}).get(w["name"], course["demand_ratio"])
        return of_month(w["demand_per_month"], month) * of_month(ratio, month)

    def need(self, w: dict[str, Any], month: int, part: dict[str, Any], course: dict[str, Any]) -> float:
        """Units per hour in the hours of a load block."""
        high = part.get("workloads", {}).get(w["name"], part["demand_ratio"])
        return self.units(w, month, course) / HOURS * float(high)

    def price(self, o: dict[str, Any], month: int) -> float:
        """The price in a month; it changes once a year."""
        return float(o["price"]["amount"]) * (1 + number(o.get("price_change_ratio_per_year"))) ** (month // 12)

    def kg(self, o: dict[str, Any]) -> float:
        """kg CO2e of an hour of an instance or a server, or of a unit."""
        kwh = number(o.get("kwh_per_unit"))
        if o["kind"] not in ("api", "metered"):
            kwh = number(o.get("power_kw")) * float(o.get("pue", 1)) * float(o.get("utilisation_of_power_ratio", 1))
        return kwh * number(o.get("grid_kg_per_kwh"))

    def place(self, o: dict[str, Any]) -> str:
        """Where an option is."""
        return str(o.get("location") or o.get("site") or o["provider"])

    def month_of(self, name: str | None) -> int:
        """The number of a month; 0 where none is stated."""
        if name is None:
            return 0
        (year, month), (first_year, first) = (map(int, n.split("-")) for n in (name, self.case["start"]))
        return (year - first_year) * 12 + month - first

    def allowed(self, w: dict[str, Any], o: dict[str, Any]) -> bool:
        """The rules between one workload and one option that these cases use."""
        if w.get("max_latency_ms") is not None and o["latency_ms"] > w["max_latency_ms"]:
            return False
        if o["kind"] in ("api", "metered"):
            return bool(o["unit"] == w["unit"])
        return w["name"] in o["units_per_capacity_hour"] and (o["kind"] != "spot" or w["interruptible"])

    def speed(self, w: dict[str, Any], o: dict[str, Any]) -> float:
        """Units of work of one capacity-hour; what can be planned of it is taken off blocks as a whole."""
        if o["kind"] in ("api", "metered"):
            return 1.0
        full = float(o["units_per_capacity_hour"][w["name"]])
        if o["kind"] not in BY_USE:
            return full
        return full * float(o.get("utilisation_ceiling_ratio", 1)) * (1 - number(o.get("interruption_ratio")))

    def fee(self, k: dict[str, Any], bought: int, month: int) -> float:
        """What one block costs to keep for a month, agreed when it was bought."""
        price = self.price(k, max(bought, 0))
        staff = number(k.get("staff_cost_per_month"))
        if k["kind"] not in OWNED:
            return price * HOURS + staff
        dearer = (1 + number(k.get("energy_price_change_ratio_per_year"))) ** (month // 12)
        drawn = number(k["power_kw"]) * float(k.get("utilisation_of_power_ratio", 1)) * float(k["pue"]) * HOURS
        energy = drawn * float(k["energy_price_per_kwh"]) * dearer
        room = number(k["power_kw"]) * number(k.get("colo_price_per_kw_month"))
        return energy + room + price * number(k.get("maintenance_ratio_per_year")) / 12 + staff

    def outlay(self, k: dict[str, Any], bought: int) -> float:
        """What one block costs on the day it is bought."""
        if k["kind"] in OWNED:
            return self.price(k, bought)
        return number(k.get("upfront")) * (1 + number(k.get("price_change_ratio_per_year"))) ** (bought // 12)

    def left(self, k: dict[str, Any], bought: int) -> float:
        """Present value of what one block is worth at the end, less what is still owed for it."""
        arrived, life = bought + k.get("lead_time_months", 0), k.get("term_months") or k.get("life_months") or 1
        if k["kind"] in OWNED:
            lost = self.outlay(k, bought) * (1 - number(k.get("residual_ratio")))
            value = self.outlay(k, bought) - lost * min((self.end - arrived) / life, 1)
        else:
            value = -self.price(k, bought) * HOURS * max(arrived + life - self.end, 0)
        return float(value * self.present(min(arrived + life, self.end)))

    def present(self, months: float) -> float:
        """What one unit of money after some months is worth at the start."""
        return float(self.rate ** (-months / 12))

    # -------------------------------------------------------------------------------------------------- whole choices
    def choices(self) -> Iterator[Choice]:
        """Every combination of purchases, spare servers and locations that keeps the rules on whole things."""
        places = list(self.all_places())
        for bought in self.purchases():
            active = {k["name"]: self.standing(k, bought) for k in self.blocks}
            if not self.may_stand(active, bought):
                continue
            cash, amortised, kg, left = self.owned(active, bought)
            for held in self.spares(active):
                for where, moves in places:
                    paid = [c + m for c, m in zip(cash, moves, strict=True)]
                    value = sum(c * self.present(t + 0.5) for t, c in enumerate(paid)) - left
                    yield Choice(active, held, where, paid, amortised, kg, value)

    def purchases(self) -> Iterator[dict[tuple[str, int], int]]:
        """Every way to buy no more of each block than its quota in each month in which it may be bought."""
        slots = []
        for k in self.blocks:
            kept = k["kind"] == "monthly"
            for t in range(0, self.end - k.get("lead_time_months", 0), 1 if kept else self.step):
                together = self.quarter(t)
                if t >= self.month_of(k.get("available_from")) and together.start == t:
                    slots.append([(k["name"], m) for m in (together if kept else [t])])
        quotas = {k["name"]: int(k["quota"]) for k in self.blocks}
        for counts in itertools.product(*(range(quotas[slot[0][0]] + 1) for slot in slots)):
            yield {key: n for slot, n in zip(slots, counts, strict=True) for key in slot}

    def standing(self, k: dict[str, Any], bought: dict[tuple[str, int], int]) -> list[int]:
        """How many blocks stand in each month."""
        lead, life = k.get("lead_time_months", 0), k.get("term_months") or k.get("life_months") or 1
        stood, until = k.get("standing", 0), k.get("standing_months_left", 0)
        return [
            sum(n for (name, at), n in bought.items() if name == k["name"] and at + lead <= t < at + lead + life)
            + (stood if t < until else 0)
            for t in range(self.end)
        ]

    def may_stand(self, active: dict[str, list[int]], bought: dict[tuple[str, int], int]) -> bool:
        """Quotas of blocks, power of sites, budgets for servers."""
        if any(max(active[k["name"]]) > k["quota"] for k in self.blocks):
            return False
        for site in self.case.get("sites", []):
            mine = [k for k in self.blocks if k.get("site") == site["name"]]
            for t in range(self.end):
                drawn = sum(active[k["name"]][t] * number(k["power_kw"]) * float(k["pue"]) for k in mine)
                if site.get("power_limit_kw") and drawn > site["power_limit_kw"] + 1e-9:
                    return False
        limits = self.rules.get("capex_budget_per_year", [])
        for year in range(ceil(self.end / 12)) if limits else ():
            servers = {k["name"]: k for k in self.blocks if k["kind"] in OWNED}
            mine = [(servers[k], t, n) for (k, t), n in bought.items() if k in servers and t // 12 == year]
            spent = sum(n * self.outlay(k, t) for k, t, n in mine)
            if spent > limits[min(year, len(limits) - 1)] + 1e-6:
                return False
        return True

    def owned(
        self, active: dict[str, list[int]], bought: dict[tuple[str, int], int]
    ) -> tuple[list[float], dict[str, list[float]], list[float], float]:
        """Cash, amortised cost by provider and kg CO2e of blocks in each month; what is left of them at the end."""
        cash, kg, left = [0.0] * self.end, [0.0] * self.end, 0.0
        amortised: dict[str, list[float]] = defaultdict(lambda: [0.0] * self.end)
        for k in self.blocks:
            lead, life = k.get("lead_time_months", 0), k.get("term_months") or k.get("life_months") or 1
            cohorts = [(t, n, t + lead, t + lead + life) for (name, t), n in bought.items() if name == k["name"] and n]
            if k.get("standing"):
                cohorts.append((-1, k["standing"], 0, k["standing_months_left"]))
            for at, n, first, last in cohorts:
                outlay = self.outlay(k, at) if at >= 0 else 0.0
                if at >= 0:
                    cash[at] += n * outlay
                    left += n * self.left(k, at)
                share = outlay * (1 - (number(k.get("residual_ratio")) if k["kind"] in OWNED else 0)) / life
                for t in range(first, min(last, self.end)):
                    cash[t] += n * self.fee(k, at, t)
                    amortised[k["provider"]][t] += n * (share + self.fee(k, at, t))
            for t in range(self.end):
                kg[t] += active[k["name"]][t] * self.kg(k) * HOURS
        return cash, amortised, kg, left

    def spares(self, active: dict[str, list[int]]) -> Iterator[dict[str, list[int]]]:
        """Every way to hold as many servers of a site spare as it asks for while any stands there."""
        options = []
        for site in self.case.get("sites", []):
            mine = [k["name"] for k in self.blocks if k.get("site") == site["name"]]
            for t in range(self.end):
                spare = site["spare"] if any(active[k][t] for k in mine) else 0
                ways = itertools.product(*(range(min(spare, active[k][t]) + 1) for k in mine))
                options.append([(t, dict(zip(mine, way, strict=True))) for way in ways if sum(way) == spare])
        for combination in itertools.product(*options):
            held = {k["name"]: [0] * self.end for k in self.blocks}
            for t, counts in combination:
                for k, n in counts.items():
                    held[k][t] = n
            yield held

    def all_places(self) -> Iterator[tuple[dict[str, tuple[frozenset[str], ...]], list[float]]]:
        """Every way to set workloads up at locations, month by month, and what moving costs in each month."""
        moved = [w for w in self.case["workloads"] if {"moving", "max_locations", "least_share_ratio"} & w.keys()]
        for combination in itertools.product(*(list(self.places_of(w)) for w in moved)):
            cost = [sum(moves[t] for _, moves in combination) for t in range(self.end)]
            yield {w["name"]: where for w, (where, _) in zip(moved, combination, strict=True)}, cost

    def places_of(self, w: dict[str, Any]) -> Iterator[tuple[tuple[frozenset[str], ...], list[float]]]:
        """Every way to set one workload up, with the cost of its moves by month, each from the cheapest origin."""
        fitting = [o for o in self.options if self.allowed(w, o) or o["name"] == w.get("today")]
        places = sorted({self.place(o) for o in fitting})
        # where nothing need be done at a location, to be set up at one is never worse than to be set up nowhere
        least = 0 if number(w.get("least_share_ratio")) else 1
        sets = [frozenset(c) for n in range(least, len(places) + 1) for c in itertools.combinations(places, n)]
        sets = [s for s in sets if len(s) <= (w.get("max_locations") or inf)]
        starts = [self.quarter(t).start for t in range(self.end)]
        free = [t for t in range(self.end) if starts[t] == t]
        today = next((frozenset({self.place(o)}) for o in self.options if o["name"] == w.get("today")), None)
        leaving = {
            g: number(w["moving"].get("cost"))
            + number(w["moving"].get("data_gib"))
            * max(number(o.get("egress_price_per_gib")) for o in self.options if self.place(o) == g)
            for g in places
            if w.get("moving") is not None
        }
        for chosen in itertools.product(sets, repeat=len(free)):
            where = tuple(chosen[free.index(t)] for t in starts)
            moves = [0.0] * self.end
            for t, (old, new) in enumerate(zip((today, *where), where, strict=False)):
                arriving = new - old if old is not None and leaving else frozenset()
                if arriving and not old:
                    break
                moves[t] = len(arriving) * min((leaving[f] for f in old or ()), default=0.0) if arriving else 0.0
            else:
                yield where, moves

    # --------------------------------------------------------------------------------------------------- linear rest
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
            start = self.quarter(t).start
            if start == t:
                continue
            mine, first = self.units(w, t, course), self.units(w, start, course)
            if w.get("window_months") not in (None, 1):
                mine = first = 1.0
            for o, b in itertools.product(fitting, range(len(self.parts))):
                yield self.row([(("x", w["name"], o, t, b, s), first), (("x", w["name"], o, start, b, s), -mine)])

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
