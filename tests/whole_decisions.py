"""What the figures of a tiny scenario mean, and every whole decision it leaves; nothing is shared with the program.

A scenario comes as plain values, as in a file.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf
from typing import Any

HOURS = 730
BY_USE = ("on_demand", "spot", "api", "metered")
OWNED = ("on_prem", "colo", "edge")


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


class Decisions:
    """A scenario as plain values, with its figures and its whole decisions."""

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
