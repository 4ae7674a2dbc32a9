"""Scenarios side by side, what a plan hangs on, the form of inputs: figures are those of the records and files."""

import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from finops.errors import CallError
from finops.pipeline.scenario_text import edited
from optimizer.document import parse_scenario
from optimizer.placement import Placement, place
from optimizer.record import record_of
from optimizer.solve import Settings
from reports.views import plan_risk, scenario_compare, scenario_inputs
from reports.views.plans import PlanView
from reports.views.scenario_changes import differences
from tests.app.conftest import SCENARIO
from tests.scenario_file import BANK

D = Decimal
UNSURE = '[uncertainty]\nsd_ratio_per_year = 0.3\npaths = 50\nsource = "a guess"\n'


def _view(placed: Placement) -> PlanView:
    cost = None if placed.plan is None else placed.plan.cost.quantize(D("0.01"))
    made = datetime(2026, 11, 2, tzinfo=UTC)
    return PlanView(placed.scenario.name, made, placed.status, placed.scenario.currency, cost, record_of(placed))


@pytest.fixture(scope="module")
def views() -> list[PlanView]:
    """A company that grows, and the same whose prices are known to be higher and whose demand is not known."""
    short = SCENARIO.replace("horizon_months = 24", "horizon_months = 12")
    other = edited(short, {("name",): "dearer", ("options", 1, "price", "amount"): 40}) + UNSURE
    return [_view(place(parse_scenario(t, name="t"), settings=Settings())) for t in (short, other)]


def row(views: list[PlanView], heading: str, base: str = "growth") -> list[scenario_compare.Cell]:
    """The cells of one row of the comparison."""
    return next(cells for name, cells in scenario_compare.deciding(views, base) if name.startswith(heading))


@pytest.mark.parametrize(
    ("heading", "key"), [("Cost (present value)", "cost"), ("Cash over", "cash"), ("Of it capital", "capex")]
)
def test_amounts_side_by_side_are_those_of_the_plans(views: list[PlanView], heading: str, key: str) -> None:
    """Each cell holds its plan's own amount to the cent, and is judged by its difference from the base."""
    base, other = row(views, heading)
    assert [base.value, other.value] == [D(v.body[key]) for v in views]
    assert base.verdict == "base"
    over = D(views[1].body[key]) - D(views[0].body[key])
    assert other.verdict == ("worse" if over > 0 else "better" if over < 0 else "same")


def test_the_base_turns_the_verdict(views: list[PlanView]) -> None:
    """What is worse than a base is better the other way round."""
    assert row(views, "Cost (present")[1].verdict == "worse"
    assert row(views, "Cost (present", base="dearer")[0].verdict == "better"


def test_risk_is_shown_where_it_is_stated(views: list[PlanView]) -> None:
    """P50 and P90 are the record's; a scenario without uncertainty has none, and two without have no such row."""
    none, risky = row(views, "Cost in a dear case (P90)")
    assert none.text == "–"
    assert risky.value == D(f"{views[1].body['risk']['p90']:.2f}")
    assert not any("P90" in heading for heading, _ in scenario_compare.deciding(views[:1], "growth"))
    assert dict(plan_risk.risk_rows(views[1]))["Middle of all courses (P50)"].endswith(" USD")
    assert plan_risk.risk_rows(views[0]) == []


def test_rules_are_priced_by_the_month(views: list[PlanView]) -> None:
    """A rule's price a month is the record's price over the months; a rule that one has not is said to be none."""
    lax = replace(views[1], body=views[1].body | {"rule_prices": []})
    first, second = row([views[0], lax], "Rule residency")
    assert first.value == D(views[0].body["rule_prices"][0]["price"]) / 12
    assert second.text == "no such rule"


def test_carbon_is_what_runs_times_the_grid() -> None:
    """Emissions are hours x power x PUE x intensity of what is rented, and of own servers while they stand."""
    text = edited(
        SCENARIO,
        {("horizon_months",): 2, ("options", 0, "power_kw"): 10, ("options", 0, "pue"): D("1.2"),
         ("options", 0, "grid_kg_per_kwh"): D("0.3"), ("workloads", 0, "growth_ratio_per_year"): 0,
         ("options", 0, "workloads"): ["chat", "embeddings"], ("options", 1, "workloads"): ["nobody"],
         ("options", 2, "workloads"): ["chat"], ("options", 2, "standing"): 2,
         ("options", 2, "standing_months_left"): 2},
    )  # fmt: skip
    text = text.replace('workloads = ["nobody"]\n', 'available_from = "2030-01"\n')
    text = edited(text, {("options", 2, "grid_kg_per_kwh"): D("0.4")})
    body = _view(place(parse_scenario(text, name="t"), settings=Settings())).body
    bought = sum(p["count"] for p in body["purchases"])
    assert bought == 0  # three months of lead time are longer than the horizon
    server_hours = 2 * 2 * 730
    rented = sum(D(r["units"]) for r in body["schedule"] if r["option"] == "h100-hour") / 8
    expected = rented * 10 * D("1.2") * D("0.3") + server_hours * D("10.2") * D("1.3") * D("0.4")
    assert abs(D(body["emitted_kg"]) - expected) < D("0.1")


def test_carbon_that_nobody_stated_is_not_shown(views: list[PlanView]) -> None:
    """Where an option in use states no power or intensity there is no figure, and no row."""
    assert views[0].body["emitted_kg"] is None
    assert not any(heading.startswith("Carbon") for heading, _ in scenario_compare.deciding(views, "growth"))
    stated = replace(views[1], body=views[1].body | {"emitted_kg": "12500"})
    assert [c.text for c in row([views[0], stated], "Carbon")] == ["–", "12.50"]


def test_two_currencies_are_not_compared(views: list[PlanView]) -> None:
    """An amount in another currency is neither better nor worse, says its currency, and is not drawn."""
    euro = replace(views[1], currency="EUR")
    cell = row([views[0], euro], "Cost (present value)")[1]
    assert cell.verdict == "other"
    assert cell.text.endswith(" EUR")
    assert "dearer" not in scenario_compare.curves([views[0], euro], "growth")["choice"].to_list()


@pytest.mark.parametrize(
    ("old", "new", "month"),
    [
        (["1", "2", "3"], ["2", "2", "2"], 3),
        (["1", "5", "3", "9"], ["2", "4", "4", "5"], 4),  # ahead for good, not for a month
        (["2", "3"], ["1", "2"], 1),
        (["1", "2"], ["2", "3"], None),
        (["1", "2", "9"], ["2", "3"], None),
    ],
)
def test_a_crossing_is_for_good(old: list[str], new: list[str], month: int | None) -> None:
    """The month from which one has paid less in all than the other in every later month that both have."""
    assert scenario_compare.cheaper_from(old, new) == month


def test_curves_end_at_the_cash_of_the_plans(views: list[PlanView]) -> None:
    """Each curve's last month is its plan's cash; the base as it is today stands beside."""
    found = scenario_compare.curves(views, "growth")
    last = {r["choice"]: r["cost"] for r in found.to_dicts() if r["month"] == 12}
    assert last["growth"] == D(views[0].body["cash"])
    assert last["dearer"] == D(views[1].body["cash"])
    assert "growth, as it is today" in last


def test_places_sum_up_each_workload(views: list[PlanView]) -> None:
    """Every workload has one cell for each scenario, coloured by where most of its work is done."""
    found = scenario_compare.places(views)
    assert found.select("workload", "scenario").rows() == [
        (w, v.scenario) for v in views for w in ("chat", "embeddings")
    ]  # fmt: skip
    chosen = views[0].body["workloads"][0]["chosen"]
    kinds = {o["option"]: o["hosting"] for o in views[0].body["options"]}
    most = max(chosen, key=lambda c: D(c["work_ratio"]))
    assert found["hosting"][0] == kinds[most["option"]]


def test_a_scenario_without_a_plan_stands_beside(views: list[PlanView]) -> None:
    """A scenario whose rules cannot be kept says so in its column, and everything else is shown."""
    strict = SCENARIO.replace("[[workloads]]", "[rules]\nbudget_per_year = [1000]\n\n[[workloads]]", 1)
    none = _view(place(parse_scenario(strict.replace('"growth"', '"strict"', 1), name="t"), settings=Settings()))
    found = [*views, none]
    assert row(found, "Cost (present value)")[2].text == "no plan"
    assert "strict has no plan" in scenario_compare.headline(found, "growth")
    assert scenario_compare.places(found)["scenario"].unique().sort().to_list() == ["dearer", "growth"]
    assert scenario_compare.headline(found, "strict").startswith("strict: no plan keeps every rule")
    assert scenario_compare.deciding(found, "strict")


def test_the_tornado_is_the_records(views: list[PlanView]) -> None:
    """Changes are the recorded costs less the plan's; assumptions without a plan are named, not drawn as nothing."""
    body = views[0].body
    found = plan_risk.tornado(views[0])
    assert found["cost"].to_list() == [D(s[e]) for s in body["swings"] for e in ("low_cost", "high_cost")]
    assert found["change"][0] == D(body["swings"][0]["low_cost"]) - D(body["cost"])
    lost = [body["swings"][0] | {"high_cost": None}, *body["swings"][1:]]
    broken = replace(views[0], body=body | {"swings": lost})
    assert plan_risk.out_of_reach(broken) == [f"{lost[0]['factor']} {lost[0]['high']}"]


def test_turning_points_are_in_words(views: list[PlanView]) -> None:
    """A flip says what must fall or rise to where, and from which hosting to which."""
    flips = [
        {"factor": "demand", "below": "0.75", "above": "1", "hosting": "on_prem", "other": "cloud"},
        {"factor": "utilisation", "below": "1", "above": "1.25", "hosting": "cloud", "other": "on_prem"},
    ]
    assert plan_risk.turning_points(replace(views[0], body=views[0].body | {"flips": flips})) == [
        "If demand falls to between 75 % and 100 % of what is stated, most of the money goes to cloud instead of "
        "own servers.",
        "If the use of owned and reserved capacity rises to between 100 % and 125 % of what is stated, most of the "
        "money goes to own servers instead of cloud.",
    ]


# --- the form
def document(text: str = BANK) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=Decimal)


def test_a_form_that_nobody_touched_changes_nothing() -> None:
    """What the form shows and gives back unchanged is no change, for any of its parts."""
    held = document()
    assert scenario_inputs.workload_changes(held, scenario_inputs.workload_rows(held)) == {}
    assert scenario_inputs.option_changes(held, scenario_inputs.option_rows(held)) == {}
    assert scenario_inputs.year_changes(held, scenario_inputs.year_rows(held)) == {}
    assert scenario_inputs.share_changes(held, scenario_inputs.share_rows(held)) == {}


def test_a_changed_cell_is_one_key() -> None:
    """A cell becomes its key with the exact value, percent as a ratio; an emptied cell takes the key away."""
    held = document()
    rows = scenario_inputs.workload_rows(held)
    rows[0] |= {"demand_per_month": 31000.0, "growth_ratio_per_year": 55.5, "max_latency_ms": None}
    rows[1] |= {"residency": ["DE", "FR"], "spot_share_ratio": 30.0}
    assert scenario_inputs.workload_changes(held, rows) == {
        ("workloads", 0, "demand_per_month"): 31000,
        ("workloads", 0, "growth_ratio_per_year"): D("0.555"),
        ("workloads", 0, "max_latency_ms"): None,
        ("workloads", 1, "residency"): ["DE", "FR"],
        ("workloads", 1, "spot_share_ratio"): D("0.3"),
    }
    rows = scenario_inputs.option_rows(held)
    rows[0]["amount"] = 300000.5
    rows[-1]["utilisation_ceiling_ratio"] = 70.0
    changes = scenario_inputs.option_changes(held, rows)
    assert changes == {
        ("options", 0, "price", "amount"): D("300000.5"),
        ("price_book", 0, "utilisation_ceiling_ratio"): D("0.7"),
    }
    assert document(edited(BANK, changes))["options"][0]["price"]["amount"] == D("300000.5")


def test_a_price_of_the_book_is_not_a_scenarios() -> None:
    """A price typed beside a selection of the price book is refused with what to do instead."""
    rows = scenario_inputs.option_rows(document())
    rows[-1]["amount"] = 5.0
    with pytest.raises(CallError, match="price book"):
        scenario_inputs.option_changes(document(), rows)


def test_budgets_by_year() -> None:
    """Budgets are lists from the first year on; a hole is refused, and no figure at all takes the rule away."""
    held = document()
    rows = scenario_inputs.year_rows(held)
    assert [r["budget_per_year"] for r in rows] == [1_700_000, 2_900_000, 1_700_000]
    rows[1]["budget_per_year"], rows[2]["budget_per_year"] = 2.5e6, None
    for r in rows:
        r["capex_budget_per_year"] = None
    assert scenario_inputs.year_changes(held, rows) == {
        ("rules", "budget_per_year"): [1_700_000, 2_500_000],
        ("rules", "capex_budget_per_year"): None,
    }
    rows[0]["budget_per_year"] = None
    with pytest.raises(CallError, match="no budget per year for year 1"):
        scenario_inputs.year_changes(held, rows)


def test_provider_shares_come_and_go() -> None:
    """Shares by provider are changed, added and taken away one by one."""
    held = {"rules": {"provider_share_ratio": {"aws": D("0.4"), "gcp": D("0.5")}}}
    rows = [{"provider": "aws", "share": 60.0}, {"provider": "azure", "share": 20.0}, {"provider": None, "share": None}]
    assert scenario_inputs.share_changes(held, rows) == {
        ("rules", "provider_share_ratio", "aws"): D("0.6"),
        ("rules", "provider_share_ratio", "gcp"): None,
        ("rules", "provider_share_ratio", "azure"): D("0.2"),
    }


def test_figures_are_read_as_they_are_typed() -> None:
    """Several figures stand behind one another; thousands may be set apart; words are refused."""
    assert scenario_inputs.figures("2,000, 1900.5; 3", "carbon cap") == [2000, D("1900.5"), 3]
    assert scenario_inputs.figures(" ", "carbon cap") is None
    with pytest.raises(CallError, match="carbon cap"):
        scenario_inputs.figures("much", "carbon cap")


def test_differences_are_by_name_and_in_words() -> None:
    """Entries are matched by name whatever their order; what is new or gone is said once, not key by key."""
    before, after = document(), document()
    after["workloads"] = [after["workloads"][1], after["workloads"][0] | {"growth_ratio_per_year": D("0.3")}]
    after["discount_ratio_per_year"] = D("0.1")
    after["name"] = "another"
    assert differences(before, after)["words"].to_list() == [
        "discount rate a year: 8 % → 10 % (+25 %)",
        "workload document-assistant, growth a year: 60 % → 30 % (−50 %)",
        "workload risk-training is gone",
    ]
    assert differences(before, document()).is_empty()
