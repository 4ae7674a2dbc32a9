"""The page on the example scenarios says what their plans say: its figures are solved again here.

A figure holds where it lies between what the solver found and what it proved, give or take its rounding.
"""

import re
from collections.abc import Collection
from decimal import Decimal
from functools import cache
from pathlib import Path

from optimizer import costing, policies, risk, terms
from optimizer.case import Case, Outcome, solve_case
from optimizer.comparison import crossings, policy_result, rule_price, warnings
from optimizer.demand import demand_paths
from optimizer.document import load_scenario, parse_scenario
from optimizer.explanation import work_by_option
from optimizer.feasibility import excluded, lifted, stated_rules
from optimizer.options import Server
from optimizer.plan import Plan
from optimizer.scenario import Scenario
from optimizer.solve import Settings
from tests.docs.test_pages import DOCS, run_page

PAGE = (DOCS / "hosting-examples.md").read_text()
SETTINGS = Settings(gap_ratio=0.005, time_limit_s=60)
ROUNDING = 0.005
RESERVED = """[[price_book]]
providers = ["gcp"]
regions = ["us-east4"]
instance_types = ["a3-highgpu-8g"]
kinds = ["reservation"]
latency_ms = 50
utilisation_ceiling_ratio = 0.75

[rules]"""


def text(name: str) -> str:
    return (DOCS.parent / "examples" / f"{name}.toml").read_text()


@cache
def example(name: str) -> Scenario:
    return load_scenario(DOCS.parent / "examples" / f"{name}.toml")


def solved(scenario: Scenario, policy: str = policies.HYBRID) -> Outcome:
    found = solve_case(Case(scenario, policy, settings=SETTINGS))
    assert found.status == "optimal", found.reason
    return found


@cache
def best(name: str) -> Outcome:
    """The plan of an example, solved once."""
    found = solved(example(name))
    assert found.seconds < 20
    return found


def plan(outcome: Outcome) -> Plan:
    assert outcome.plan is not None
    return outcome.plan


def only(scenario: Scenario, options: Collection[str]) -> Scenario:
    """The scenario with some of its options."""
    return scenario.model_copy(update={"options": tuple(o for o in scenario.options if o.name in options)})


def scaled(scenario: Scenario, ratio: str) -> Scenario:
    """The scenario with so much of its demand."""
    levels = tuple(
        c.model_copy(update={"demand_ratio": c.demand_ratio * Decimal(ratio)})
        for c in scenario.demand_scenarios
        if isinstance(c.demand_ratio, Decimal)
    )
    return scenario.model_copy(update={"demand_scenarios": levels})


def certain(scenario: Scenario, course: int) -> Scenario:
    """The scenario as it would be if one course of demand were known beforehand."""
    alone = scenario.demand_scenarios[course].model_copy(update={"probability": Decimal(1)})
    return scenario.model_copy(update={"demand_scenarios": (alone,)})


def rows(name: str, first: str) -> dict[str, list[str]]:
    """The rows of one table of an example's section, named by the heading of its first column.

    A row is known by the name that stands in backticks, where one does.
    """
    section = PAGE.split(f"\n## {name}: ", 1)[1].split("\n## ", 1)[0]
    lines = section.split(f"\n| {first} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    return {row[0].split("`")[1] if "`" in row[0] else row[0]: row[1:] for row in cells}


def said(name: str, pattern: str) -> float:
    """A number within the words of a section; M means million."""
    section = PAGE.split(f"\n## {name}: ", 1)[1].split("\n## ", 1)[0]
    found = re.search(pattern, " ".join(section.split()))
    assert found, pattern
    return number(found[1])


def number(cell: str) -> float:
    """The number of a cell: 12,300 or 1.23 M."""
    amount, million, _ = cell.partition(" M")
    return float(amount.replace(",", "")) * (1e6 if million else 1)


def holds(figure: float, low: float | Decimal, high: float | Decimal) -> bool:
    """Whether a figure lies in the range that is proved, give or take its rounding."""
    slack = max(ROUNDING * abs(figure), 500)
    return float(low) - slack <= figure <= float(high) + slack


def is_cost(cell: str, outcome: Outcome) -> bool:
    made = plan(outcome)
    return holds(number(cell), made.bound, made.cost)


def is_saving(cell: str, before: Outcome, after: Outcome) -> bool:
    more, less = plan(before), plan(after)
    return holds(number(cell), Decimal(more.bound) - less.cost, more.cost - Decimal(less.bound))


def months_apart(one: str, other: str) -> int:
    first, second = ([int(part) for part in month.split("-")] for month in (one, other))
    return abs((first[0] - second[0]) * 12 + first[1] - second[1])


def test_page_prints_what_it_shows(tmp_path: Path) -> None:
    """Every command of the page runs and prints what stands below it."""
    run_page("hosting-examples.md", tmp_path)


def test_bank_pays_for_its_rules_what_the_page_says() -> None:
    """Each stated rule is in the table with its price, and the plan has its cost."""
    scenario, made = example("bank"), plan(best("bank"))
    assert holds(said("bank", r"The plan costs ([\d.]+ M)"), made.bound, made.cost)
    table = rows("bank", "rule")
    assert sorted(table) == sorted(stated_rules(scenario))
    for rule, (cell,) in table.items():
        found = rule_price(rule, made, solved(lifted(scenario, rule)))
        assert found.low is not None
        assert found.high is not None
        assert holds(number(cell), found.low, found.high), (rule, cell, found)
    assert sum(p.count for p in made.purchases) == 10
    assert "ten servers in three years" in PAGE
    where = {site: sum(p.count for p in made.purchases if p.option.startswith(site)) for site in ("own", "colo")}
    assert where["colo"] > where["own"]


def test_bank_would_change_its_mind_when_the_page_says() -> None:
    """Demand 30 % higher has no plan within the budgets; servers a fifth cheaper save less than no spares."""
    scenario = example("bank")
    assert solve_case(Case(scaled(scenario, "1.3"), settings=SETTINGS)).status == "infeasible"
    cheaper = tuple(
        o.model_copy(update={"price": o.price.model_copy(update={"amount": o.price.amount * Decimal("0.8")})})
        if isinstance(o, Server)
        else o
        for o in scenario.options
    )
    saved = plan(best("bank")).cost - plan(solved(scenario.model_copy(update={"options": cheaper}))).cost
    assert 0 < saved < plan(best("bank")).cost - plan(solved(lifted(scenario, "spare"))).cost


def test_growth_would_change_its_mind_when_the_page_says() -> None:
    """With half of the volume the servers come a year later, with a quarter never."""
    found = {}
    for ratio in ("1", "0.5", "0.25"):
        made = plan(best("growth") if ratio == "1" else solved(scaled(example("growth"), ratio)))
        found[ratio] = [p.month for p in made.purchases if p.option == "colo-h100"]
    assert len(found["1"]) == len(found["0.5"]) == 1
    assert abs(found["0.5"][0] - found["1"][0] - 12) <= 3
    assert found["0.25"] == []


def test_growth_crosses_when_the_page_says() -> None:
    """Costs of the policies, the crossing, the warning and the risk are those of the plans."""
    scenario = example("growth")
    table = rows("growth", "policy")
    of = {p: best("growth") if p == policies.HYBRID else solved(scenario, p) for p in table}
    for p, (cell,) in table.items():
        assert is_cost(cell, of[p]), (p, cell, plan(of[p]).cost)
    results = [policy_result(scenario, p, outcome, SETTINGS) for p, outcome in of.items()]
    crossed = next(c for c in crossings(results) if (c.cheaper, c.dearer) == (policies.HYBRID, "api_only"))
    warned = next(w for w in warnings(results, scenario.rules.warn_ratio) if w.policy == "api_only")
    month = [cells[0] for cells in rows("growth", "in which month").values()]
    assert months_apart(month[0], terms.month_name(scenario, crossed.month)) <= 1
    assert months_apart(month[1], terms.month_name(scenario, warned.month)) <= 1
    assert holds(said("growth", r"APIs have cost ([\d.]+ M) USD more"), warned.excess_at_end, warned.excess_at_end)
    made = plan(best("growth"))
    alone = [solved(certain(scenario, i)) for i in range(len(scenario.demand_scenarios))]
    chances = [
        (float(c.probability), float(cost))
        for c, cost in zip(scenario.demand_scenarios, made.course_costs, strict=True)
    ]
    least, most = (
        sum(p * (cost - of_one) for (p, cost), of_one in zip(chances, costs, strict=True))
        for costs in ([float(plan(o).cost) for o in alone], [plan(o).bound for o in alone])
    )
    assert holds(said("growth", r"be ([\d,]+) USD cheaper on average"), least - 0.005 * float(made.cost), most)
    told = risk.evaluate(scenario, made, demand_paths(scenario), regret=None, say=lambda _: None)
    cells = [number(cells[0]) for cells in rows("growth", "path").values()]
    for cell, found in zip(cells, (told.p50, told.p90, told.tail_mean), strict=True):
        assert abs(cell - found) <= 0.02 * found, (cell, found)


def test_hybrid_bursts_and_waits_as_the_page_says() -> None:
    """Costs of the plan and of each way to do without a part of it, and what runs where."""
    scenario = example("hybrid")
    spot = only(scenario, {o.name for o in scenario.options} - {"gcp-8x-h100-spot"})
    by_hour = scenario.option("gcp-8x-h100-on-demand")
    no_burst = tuple(
        o.model_copy(update={"workloads": ("model-training",)}) if o == by_hour else o for o in scenario.options
    )
    at_once = tuple(w.model_copy(update={"window_months": None}) for w in scenario.workloads)
    ways = [
        best("hybrid"),
        solved(scenario.model_copy(update={"options": no_burst})),
        solved(spot),
        solved(scenario.model_copy(update={"workloads": at_once})),
        solved(parse_scenario(text("hybrid").replace("[rules]", RESERVED), name="hybrid")),
        solved(lifted(scenario, "hosting")),
        solved(scenario, "cloud_on_demand"),
    ]
    for (label, (cell,)), way in zip(rows("hybrid", "side by side").items(), ways, strict=True):
        assert is_cost(cell, way), (label, cell, plan(way).cost)
    assert is_saving(str(said("hybrid", r"in the cloud costs ([\d.]+ M)")), ways[0], ways[5])
    assert is_saving(str(said("hybrid", r"another ([\d.]+ M)")), ways[0], ways[4])
    as_is = solved(scenario, "as_is")
    assert holds(said("hybrid", r"against ([\d.]+ M)"), plan(as_is).bound, plan(as_is).cost)
    for workload, (kind, stated) in rows("hybrid", "workload").items():
        units = work_by_option(scenario, plan(best("hybrid")), workload)
        mine = sum((n for (o, _), n in units.items() if scenario.option(o).kind == kind), Decimal(0))
        assert abs(float(stated.split()[0]) / 100 - float(mine / sum(units.values()))) < 0.03, workload


def test_edge_is_set_beside_cloud_and_api_as_the_page_says() -> None:
    """Each cell of the table follows from the options, and the costs from plans that may use one way only."""
    scenario, free = example("edge"), lifted(example("edge"), "latency")
    line = scenario.workload("line-inspection")
    cloud = {o.name for o in scenario.options if o.hosting == "cloud"}
    ways = [{"jetson-at-line"}, cloud, {"vision-api"}]
    table = rows("edge", "way")
    for number_, names in enumerate(ways):
        cell = {label: cells[number_] for label, cells in table.items()}
        options = [o for o in scenario.options if o.name in names]
        assert {o.latency_ms for o in options} == {int(cell["latency, ms (limit 30)"])}
        assert (cell["works without a connection"] == "yes") == all(o.hosting == "edge" for o in options)
        assert (cell["images leave the site"] == "no") == all(o.hosting == "edge" for o in options)
        late = any(e.rule == "latency" for o in options for e in excluded(scenario, line, o))
        assert late == (int(cell["latency, ms (limit 30)"]) > 30)
        way = solved(only(free, names | {"jetson-in-yard"}))
        yards = _present_value(free, plan(way), "jetson-in-yard")
        lines = number(cell["USD over three years"])
        assert holds(lines, Decimal(plan(way).bound) - yards, plan(way).cost - yards)
        kept = [o for o in options if isinstance(o, Server)]
        monthly = sum(o.price.amount * o.maintenance_ratio_per_year / 12 + o.staff_cost_per_month for o in kept)
        assert number(cell["maintenance, USD a device and month"]) == round(monthly)
    made = plan(best("edge"))
    assert holds(said("edge", r"spare, for ([\d,]+) USD"), made.bound, made.cost)
    assert sum(p.count for p in made.purchases) == said("edge", r"Answer\.\*\* (\d+) devices")
    assert is_saving(str(said("edge", r"30 ms cost ([\d,]+) USD")), best("edge"), solved(free))
    slower = tuple(
        w.model_copy(update={"max_latency_ms": Decimal(50)}) if w.name == line.name else w for w in scenario.workloads
    )
    done = plan(solved(scenario.model_copy(update={"workloads": slower}))).uses
    assert {u.option for u in done if u.workload == line.name} <= cloud


def _present_value(scenario: Scenario, made: Plan, option: str) -> Decimal:
    """What one option costs in a plan, less what is left of it."""
    lines = tuple(line for line in made.lines if line.option == option)
    bought = [p for p in made.purchases if p.option == option]
    return costing.present_value(scenario, lines, ()) - costing.closing_value(scenario, bought, ())


def test_levers_of_the_bill_save_in_order_what_the_page_says() -> None:
    """Each lever saves what the table says, in order and alone, and the savings in order sum to the whole."""
    scenario = example("llm-bill")
    levers = [["gpt-5.4-mini"], ["gpt-5.4-cached", "gpt-5.4-mini-cached"], ["gpt-5.4-batch"], ["lambda-h100-monthly"]]
    table = rows("llm-bill", "lever")
    *each, together = table.values()
    today = before = solved(only(scenario, {"gpt-5.4"}))
    names = {"gpt-5.4"}
    for (in_order, alone), lever in zip(each, levers, strict=True):
        names |= set(lever)
        after = solved(only(scenario, names))
        assert is_saving(in_order, before, after), (lever, in_order)
        assert is_saving(alone, today, solved(only(scenario, {"gpt-5.4", *lever}))), (lever, alone)
        before = after
    assert names == {o.name for o in scenario.options}
    assert is_saving(together[0], today, before)
    assert sum(number(row[0]) for row in each) == number(together[0])
    assert holds(said("llm-bill", r"sums to ([\d.]+ M)"), *[sum(number(row[1]) for row in each)] * 2)
    twice = tuple(o.model_copy(update={"quota": 2 * o.quota}) if o.quota else o for o in scenario.options)
    wider = solved(scenario.model_copy(update={"options": twice}))
    assert is_saving(str(said("llm-bill", r"the plan costs ([\d,]+) USD less")), before, wider)
