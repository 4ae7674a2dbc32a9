"""Rows of the program and months as words that a reader without the model understands."""

from collections.abc import Callable, Iterable

from optimizer import terms
from optimizer.program import Index, Row
from optimizer.scenario import Scenario


def _unit(scenario: Scenario, workload: str) -> str:
    return scenario.workload(workload).unit.replace("_", " ")


def _serve(s: Scenario, index: Index) -> str:
    return f"{index[0]} must be served as it comes ({_unit(s, str(index[0]))})"


def _deliver(s: Scenario, index: Index) -> str:
    return f"{index[0]} must be delivered within windows of {s.workload(str(index[0])).window_months} month(s)"


def _block_capacity(s: Scenario, index: Index) -> str:
    ratio = getattr(s.option(str(index[0])), "utilisation_ceiling_ratio", 1)
    return f"{index[0]} is used to {ratio * 100:f} % of what stands at most".replace(".0 %", " %")


def _spare(s: Scenario, index: Index) -> str:
    spare = next(site.spare for site in s.sites if site.name == index[0])
    return f"the site {index[0]} keeps {spare} server(s) spare"


def _on_prem_power(s: Scenario, index: Index) -> str:
    limit = next(site.power_limit_kw for site in s.sites if site.name == index[0])
    return f"the site {index[0]} has {limit} kW"


def _commitment_use(_: Scenario, index: Index) -> str:
    return f"{index[0]} covers no more than the money promised under it"


def _commitment_cover(_: Scenario, index: Index) -> str:
    return f"commitments cover no more of {index[0]} than is used"


def _quota(s: Scenario, index: Index) -> str:
    of = next(o for o in (*s.options, *s.spend_commitments) if o.name == index[0])
    return f"no more than {of.quota} of {index[0]} can be had"


def _spot_share(s: Scenario, index: Index) -> str:
    return f"{index[0]} runs on spot to a share of {s.workload(str(index[0])).spot_share_ratio} at most"


def _provider_share(s: Scenario, index: Index) -> str:
    return f"{index[0]} has a share of {s.rules.provider_share_ratio[str(index[0])]} of each month's cost at most"


def _api_rate_limit(s: Scenario, index: Index) -> str:
    limit = getattr(s.option(str(index[0])), "rate_limit_per_minute", None)
    return f"{index[0]} takes {limit} units a minute at most"


def _carbon(s: Scenario, index: Index) -> str:
    return f"emissions stay within {terms.carbon_limit(s, int(index[0])):,} kg CO2e a month"


def _presence(s: Scenario, index: Index) -> str:
    w = s.workload(str(index[0]))
    if len(index) == 2:
        return f"{w.name} runs in {w.max_locations} location(s) at a time at most"
    if len(index) == 4:
        return f"where {w.name} runs at all, {w.least_share_ratio * 100:f} % of its work is done at least"
    return f"{w.name} runs only where it is set up"


def _move(_: Scenario, index: Index) -> str:
    return f"{index[0]} gets to another location by a move from where it is"


def _cvar(s: Scenario, index: Index) -> str:
    return f"the cost of the demand scenario {s.demand_scenarios[int(index[0])].name} counts in the risk"


def _of_year(limits: tuple[object, ...], year: int) -> object:
    return limits[min(year, len(limits) - 1)]


def _budget(s: Scenario, index: Index) -> str:
    year = int(index[0])
    return f"year {year + 1} may cost {_of_year(s.rules.budget_per_year, year):,} {s.currency} at most"


def _capex_budget(s: Scenario, index: Index) -> str:
    year = int(index[0])
    limit = _of_year(s.rules.capex_budget_per_year, year)
    return f"servers bought in year {year + 1} may cost {limit:,} {s.currency} at most"


WORDS: dict[str, Callable[[Scenario, Index], str]] = {
    "serve": _serve,
    "deliver": _deliver,
    "block_capacity": _block_capacity,
    "spare": _spare,
    "on_prem_power": _on_prem_power,
    "commitment_use": _commitment_use,
    "commitment_cover": _commitment_cover,
    "quota": _quota,
    "spot_share": _spot_share,
    "provider_share": _provider_share,
    "api_rate_limit": _api_rate_limit,
    "budget": _budget,
    "capex_budget": _capex_budget,
    "carbon": _carbon,
    "presence": _presence,
    "move": _move,
    "cvar": _cvar,
}
"""What a row of each constraint says."""
MONTH_AT = {
    "serve": 1, "block_capacity": 1, "spare": 1, "on_prem_power": 1, "commitment_use": 1, "commitment_cover": 1,
    "quota": 1, "spot_share": 1, "provider_share": 1, "api_rate_limit": 1, "carbon": 0,
}  # fmt: skip
"""Where the month stands in a row's index, for constraints that have one in a fixed place."""


def in_words(scenario: Scenario, rows: Iterable[Row]) -> list[str]:
    """What the rows say, each once, with its months: "chat must be served as it comes (serve, 2027-03 to 2027-05)"."""
    months: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        about = months.setdefault((row.constraint, WORDS[row.constraint](scenario, row.index)), [])
        if row.constraint in MONTH_AT and _names_month(scenario, row):
            about.append(int(row.index[MONTH_AT[row.constraint]]))
    return [
        f"{sentence} ({', '.join([constraint, *_ranges(scenario, sorted(set(numbers)))])})"
        for (constraint, sentence), numbers in months.items()
    ]


def _names_month(scenario: Scenario, row: Row) -> bool:
    """Whether the row is about one month and not about a delivery window."""
    return row.constraint != "spot_share" or scenario.workload(str(row.index[0])).window_months is None


def _ranges(scenario: Scenario, months: list[int]) -> list[str]:
    """Month numbers as ranges of names."""
    ranges: list[list[int]] = []
    for month in months:
        if ranges and ranges[-1][-1] == month - 1:
            ranges[-1].append(month)
        else:
            ranges.append([month])
    name = terms.month_name
    return [
        name(scenario, r[0]) if len(r) == 1 else f"{name(scenario, r[0])} to {name(scenario, r[-1])}" for r in ranges
    ]
