"""Scenario files: what they say is what is planned, and every mistake is named where it stands."""

import csv
import re
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import polars as pl
import pytest
from pydantic import ValidationError

from finops.errors import ConfigError
from finops.pipeline.scenarios import SHIPPED
from finops.prices import load_offers, load_prices
from optimizer import feasibility, terms
from optimizer.document import load_scenario, parse_scenario
from optimizer.feasibility import exclusions, feasible_pairs, lifted, stated_rules
from optimizer.findings import accepted_findings, findings, refuse_unaccepted
from optimizer.offers import Selection, selected_options
from optimizer.options import Reservation, Server
from optimizer.scenario import FindingName, Scenario
from tests.placement import STATED, api, chat, promised, rented, reserved, scenario, server, training

TEXT = """
name = "small"
start = "2027-01"
[[workloads]]
name = "chat"
kind = "inference"
unit = "million_tokens"
demand_per_month = 1000
[[options]]
name = "api"
kind = "api"
provider = "maker"
unit = "million_tokens"
price = { amount = 3.10, source = "a price list", date = 2026-11-01 }
"""
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_a_file_is_read_exactly() -> None:
    """Numbers of a file are decimals, never floats, and what is not stated has its default."""
    found = parse_scenario(TEXT, name="small.toml")
    assert found.options[0].price.amount == Decimal("3.10")
    assert (found.currency, found.horizon_months, found.workloads[0].growth_ratio_per_year) == ("USD", 36, 0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (TEXT.replace("demand_per_month", "demand_per_moon"), "workloads.chat.demand_per_moon: this key is not known"),
        (TEXT.replace("demand_per_month", "demand_per_moon"), "workloads.chat.demand_per_month: this key is missing"),
        (TEXT.replace('unit = "million_tokens"\ndemand', 'unit = "tokens"\ndemand'), "workloads.chat.unit"),
        (TEXT.replace("1000", "-1"), "workloads.chat.demand_per_month"),
        (TEXT.replace("3.10", "-3.10"), "options.api.price.amount"),
        (TEXT.replace("amount = 3.10, ", ""), "options.api.price.amount: this key is missing"),
        (TEXT.replace('source = "a price list", ', ""), "options.api.price.source: this key is missing"),
        (TEXT.replace('"2027-01"', '"2027-13"'), "start"),
        (TEXT.replace('kind = "api"', 'kind = "magic"'), "magic"),
        (TEXT.replace('start = "2027-01"', 'start = "2027-01"\nhorizon_months = 61'), "horizon_months"),
        (TEXT.replace("1000", '1000\ntoday = "nowhere"'), "workload chat runs on nowhere today, which is no option"),
        (TEXT.replace("1000", "[1, 2]"), "workload chat states demand for 2 months of a horizon of 36"),
        (TEXT.replace("1000", '1000\nresidency = ["Europe"]'), "residency ['Europe']"),
        (TEXT.replace("3.10", '3.10, currency = "EUR"'), "option api is priced in EUR, the scenario in USD"),
        (TEXT + TEXT[TEXT.index("[[options]]") :], "two of option api: names must differ"),
        (TEXT + '[[load_blocks]]\nname = "peak"\nhours_ratio = 0.1\ndemand_ratio = 2', "do not sum to 1"),
        (TEXT + '[[demand_scenarios]]\nname = "high"\nprobability = 0.5\ndemand_ratio = 2', "probabilities"),
        (TEXT + '[[price_book]]\nprovider = "aws"', "price_book.0.provider: this key is not known"),
        (TEXT + '[[price_book]]\nproviders = ["nobody"]', "no offer of the price book fits"),
        (
            TEXT.replace('kind = "api"\nprovider', 'kind = "reservation"\nstanding = 2\nprovider').replace(
                'unit = "million_tokens"\nprice', "term_months = 12\nprice"
            ),
            "option api has 2 standing but no standing_months_left",
        ),
        (
            TEXT.replace('kind = "api"\nprovider', 'kind = "reservation"\nprovider').replace(
                'unit = "million_tokens"\nprice', "price"
            ),
            "option api is a reservation without term_months",
        ),
        ("name = ", "is not valid TOML"),
    ],
)
def test_a_mistake_is_named(wrong: str, named: str) -> None:
    """A wrong key, value, unit, currency or reference is named with the workload or option it is in."""
    with pytest.raises(ConfigError) as raised:
        parse_scenario(wrong, name="small.toml")
    assert named in raised.value.found
    assert raised.value.expected
    assert raised.value.next_step


def test_a_missing_file_is_named() -> None:
    """A path without a file is an error that says how to get one."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_scenario(Path("nowhere.toml"))


def test_a_stated_rate_converts_prices() -> None:
    """A price in another currency is used once a dated rate converts it, and keeps the rate in its source."""
    text = TEXT.replace("3.10", '3.10, currency = "EUR"')
    text += '[[fx_rates]]\nbase = "EUR"\nquote = "USD"\nrate = 1.25\nsource = "a bank"\ndate = 2026-11-01\n'
    price = parse_scenario(text, name="small.toml").options[0].price
    assert (price.amount, price.currency) == (Decimal("3.875"), "USD")
    assert "a bank" in price.source


def test_offers_come_from_the_price_book_with_source_and_date() -> None:
    """A selection keeps the cheapest offer of each provider, accelerator, kind and term, each with source and date."""
    picked = Selection(
        providers=("gcp",), accelerators=("H100-80GB",), accelerator_counts=(Decimal(8),), countries=("BE",)
    )
    found = {o.name: o for o in selected_options(picked)}
    kinds = sorted(o.kind for o in found.values())
    assert kinds == ["on_demand", "reservation", "reservation", "spot"]
    assert all(o.country == "BE" and o.price.source and o.price.date for o in found.values())
    on_demand = next(o for o in found.values() if o.kind == "on_demand")
    for o in found.values():
        assert o.price.amount <= on_demand.price.amount
        if isinstance(o, Reservation):
            assert o.term_months in (12, 36)


@pytest.mark.parametrize("name", SHIPPED)
def test_examples_are_valid_and_sourced(name: str) -> None:
    """Each example loads, is the one that is shipped, and each of its prices carries a source and a date."""
    assert sorted(f.name for f in EXAMPLES.iterdir()) == [f"{n}.toml" for n in sorted(SHIPPED)]
    shipped = files("finops") / "data" / "scenarios" / f"{name}.toml"
    assert shipped.read_text() == (EXAMPLES / f"{name}.toml").read_text()
    found = load_scenario(EXAMPLES / f"{name}.toml")
    assert all(o.price.source and o.price.date.year >= 2025 for o in found.options)
    assert feasible_pairs(found)


@pytest.mark.parametrize("name", SHIPPED)
def test_prices_that_examples_copy_stand_in_the_price_book(name: str) -> None:
    """A price that names the price book as its source is the book's price of that machine, of the same day."""
    book = load_prices()
    for o in load_scenario(EXAMPLES / f"{name}.toml").options:
        if (named := re.match(r"price book: (\S+) (\S+) ([\w.-]+)", o.price.source)) is None:
            continue
        provider, region, machine = named.groups()
        assert (o.provider, o.region) == (provider, region)
        table, column = book.offers, "spot_per_hour" if o.kind == "spot" else "on_demand_per_hour"
        if o.kind == "reservation":
            table, column = book.commitments.filter(pl.col("term_years") * 12 == o.term_months), "committed_per_hour"
        found = table.filter(pl.col("region") == region, pl.col("instance_type") == machine)
        prices = [(row[column], row["date"]) for row in found.iter_rows(named=True) if row["provider"] == provider]
        assert prices == [(o.price.amount, o.price.date)], o.name


PAIRS = {
    "use": (chat(), api(workloads=["training"])),
    "unit": (chat(), api(unit="thousand_requests")),
    "residency": (chat(residency=["EU"]), api()),
    "latency": (chat(max_latency_ms=50), api()),
    "hosting": (chat(allowed_hosting=["on_prem"]), api()),
    "accelerator": (chat(allowed_accelerators=["H200-141GB"]), rented()),
    "memory": (chat(accelerator_memory_gib=700), rented()),
    "interruptibility": (chat(), rented(kind="spot")),
    "throughput": (chat(units_per_accelerator_hour={}), rented()),
    "availability": (chat(), server(lead_time_months=12)),
}


def test_every_rule_between_workload_and_option_is_shown() -> None:
    """The pairs below have one for each rule of the code."""
    assert [*PAIRS] == [*(rule.__name__ for rule in feasibility.PAIR_RULES), "availability"]


@pytest.mark.parametrize("rule", PAIRS)
def test_a_pair_is_excluded_with_its_reason(rule: str) -> None:
    """A workload that may not run on an option is excluded by the rule that says so, with a reason in words."""
    workload, option = PAIRS[rule]
    found = exclusions(scenario(workloads=[workload | {"today": None}, training(today=None)], options=[option]))
    mine = [e for e in found if e.workload == "chat"]
    assert [e.rule for e in mine] == [rule]
    assert len(mine[0].reason.split()) > 4


def test_a_workload_without_any_option_names_every_rule() -> None:
    """When no option is left, the error names each option with the rule that excludes it."""
    lost = scenario(workloads=[chat(residency=["JP"], accelerator_memory_gib=2000)])
    with pytest.raises(ConfigError) as raised:
        feasible_pairs(lost)
    for word in ("chat", "api", "rented", "own", "residency", "memory"):
        assert word in raised.value.found


def test_unstated_latency_and_country_do_not_pass() -> None:
    """What an option does not state is not assumed in its favour."""
    vague = scenario(
        workloads=[chat(residency=["EU"], max_latency_ms=50, today=None)], options=[rented(country=None), server()]
    )
    reasons = {e.rule: e.reason for e in exclusions(vague) if e.option == "rented"}
    assert "not stated" in reasons["residency"]


def test_rules_are_lifted_one_at_a_time() -> None:
    """Each stated rule can be lifted alone, and a scenario without rules states none."""
    ruled = scenario(
        workloads=[chat(residency=["EU", "US"], max_latency_ms=200)],
        sites=[{"name": "room", "spare": 1, "power_limit_kw": 100}],
        options=[api(quota=1000), rented(), reserved(), server()],
        rules={"budget_per_year": 1_000_000},
    )
    assert stated_rules(ruled) == ["residency", "latency", "budget", "spare", "on_prem_power", "quota"]
    for rule in stated_rules(ruled):
        assert rule not in stated_rules(lifted(ruled, rule))
        assert len(stated_rules(lifted(ruled, rule))) == 5


def test_terms_follow_their_formulas() -> None:
    """Growth compounds monthly, prices change yearly, servers lose value in a straight line, fees still owed count."""
    s = scenario(
        horizon_months=24,
        discount_ratio_per_year="0.21",
        workloads=[chat(growth_ratio_per_year="0.44")],
        options=[api(price_change_ratio_per_year="-0.1"), reserved(term_months=36, staff_cost_per_month=100), server()],
    )
    option, reservation, own = s.options
    assert terms.demand_of_month(s.workloads[0], 6) == Decimal(36000)
    assert terms.unit_price(option, 11) == Decimal(3)  # type: ignore[arg-type]
    assert terms.unit_price(option, 12) == Decimal("2.7")  # type: ignore[arg-type]
    assert float(terms.discount_factor(s, 6)) == pytest.approx(1.21 ** -(6.5 / 12))
    assert isinstance(reservation, Reservation)
    assert isinstance(own, Server)
    assert terms.running_cost(reservation, 0, 5) == 40 * 730 + 100
    assert terms.closing_value(s, reservation, 3) == -40 * 730 * (36 - 21)
    assert terms.closing_value(s, own, 0) == pytest.approx(Decimal(300000) * (48 - 22) / 48)
    assert terms.running_cost(own, 0, 2) == Decimal(10) * Decimal("1.5") * 730 * Decimal("0.13") + 2500 + 900
    assert not terms.serves(own, 0, 1)
    assert terms.serves(own, 0, 2)
    assert terms.month_name(s, 13) == "2028-02"
    assert terms.month_number(s, "2028-02") == 13


def test_regions_of_the_large_clouds_have_a_country() -> None:
    """Every region of the price book that is no local zone has its country, or residency could not be decided."""
    rows = (files("finops") / "data" / "regions.csv").read_text(encoding="utf-8").splitlines()
    known = {(r["provider"], r["region"]): r for r in csv.DictReader(rows)}
    assert all(len(r["country"]) == 2 and r["country"].isupper() and r["source"] and r["date"] for r in known.values())
    offers = load_offers().filter(pl.col("provider").is_in(["aws", "azure", "gcp"]))
    local_zone = r"^[a-z]+-(gov-)?[a-z]+-\d-"
    regions = offers.filter(~pl.col("region").str.contains(local_zone)).select("provider", "region").unique()
    assert set(regions.rows()) <= set(known)


# ------------------------------------------------------------------------------------------------- possible, not meant
def doubtful(**changes: Any) -> Scenario:
    """A small scenario with something in it that is seldom meant."""
    return scenario(**{"workloads": [chat(), training()], "options": [api(), rented(), reserved(), server()]} | changes)


def priced(amount: str, **changes: Any) -> dict[str, Any]:
    """A price that differs from the usual one."""
    return {"price": {"amount": amount, **STATED} | changes}


DOUBTS: dict[str, tuple[Scenario, str]] = {
    "zero_demand": (doubtful(workloads=[chat(demand_per_month=0), training()]), "chat"),
    "price_of_zero": (doubtful(options=[api(**priced("0")), rented()]), "api"),
    "unit_mismatch": (doubtful(options=[api(), api(name="calls", unit="thousand_requests"), rented()]), "calls"),
    "unknown_accelerator": (doubtful(options=[api(), rented(), rented(name="odd", accelerator="H1000")]), "H1000"),
    "spot_above_on_demand": (
        doubtful(options=[api(), rented(), rented(name="spot", kind="spot", **priced("61"))]),
        "61",
    ),
    "reservation_above_on_demand": (doubtful(options=[api(), rented(), reserved(**priced("61"))]), "reserved"),
    "longer_term_dearer": (
        doubtful(options=[api(), rented(), reserved(), reserved(name="three", term_months=36, **priced("41"))]),
        "three at 41 an hour is dearer than reserved at 40",
    ),
    "stale_price": (
        doubtful(options=[api(**priced("3", date="2024-06-30")), rented()]),
        "31 months before the horizon",
    ),
    "horizon_beyond_prices": (
        doubtful(
            horizon_months=60, options=[api(**priced("3", date="2026-06-30")), rented(price_change_ratio_per_year=0)]
        ),
        "67 months old when the horizon ends",
    ),
}


def test_every_finding_is_shown() -> None:
    """The scenarios below have one for each name that accept_findings knows."""
    assert list(DOUBTS) == list(get_args(FindingName))


@pytest.mark.parametrize("name", DOUBTS)
def test_what_is_seldom_meant_is_refused_until_it_is_accepted(name: str) -> None:
    """A doubtful setting is named with what was found, expected and to do, and is used once it is accepted by name."""
    of, named = DOUBTS[name]
    with pytest.raises(ConfigError) as raised:
        refuse_unaccepted(of, "small.toml")
    assert name in raised.value.found
    assert named in raised.value.found
    assert raised.value.expected
    assert f'accept_findings = ["{name}"]' in str(raised.value.next_step)
    accepted = of.model_copy(update={"accept_findings": (name,)})
    refuse_unaccepted(accepted, "small.toml")
    assert [f.name for f in accepted_findings(accepted)] == [name]
    assert named in accepted_findings(accepted)[0].message


@pytest.mark.parametrize(
    "fine",
    [
        doubtful(),
        doubtful(options=[api(), rented(), rented(name="spot", kind="spot", country="FR", **priced("61"))]),
        doubtful(workloads=[chat()], options=[api(), server(standing=1, standing_months_left=12, **priced("0"))]),
        doubtful(options=[api(), rented(accelerator="X", units_per_capacity_hour={"chat": 3}), rented(name="r")]),
        doubtful(horizon_months=60, options=[o | {"price_change_ratio_per_year": 0} for o in (api(), rented())]),
        doubtful(options=[api(), rented(), reserved(upfront=20, **priced("59.99"))]),
    ],
)
def test_what_is_usual_has_no_findings(fine: Scenario) -> None:
    """Usual prices, other places, servers that are paid for, stated throughput and stated changes are no findings."""
    assert findings(fine) == []


def test_an_allowed_accelerator_that_nobody_knows_is_a_finding() -> None:
    """A workload that allows an accelerator without offer, datasheet or throughput is doubtful."""
    of = doubtful(workloads=[chat(allowed_accelerators=["H100-80GB", "H1OO-80GB"]), training()])
    assert ["H1OO-80GB" in f.found for f in findings(of)] == [True]


def test_a_file_with_a_finding_is_refused_and_says_how_to_accept_it() -> None:
    """A scenario file is read once it accepts by name what is doubtful in it; a name that is not known is refused."""
    doubtful = TEXT.replace("demand_per_month = 1000", "demand_per_month = 0")
    with pytest.raises(ConfigError, match="zero_demand"):
        parse_scenario(doubtful, name="small.toml")
    assert parse_scenario('accept_findings = ["zero_demand"]\n' + doubtful, name="small.toml").accept_findings
    with pytest.raises(ConfigError, match="accept_findings"):
        parse_scenario('accept_findings = ["whatever"]\n' + TEXT, name="small.toml")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"options": [server(residual_ratio="1.1")]}, "residual_ratio"),
        ({"options": [reserved(quota=1, standing=2, standing_months_left=3)]}, "more than its quota of 1"),
        (
            {"options": [rented()], "spend_commitments": [promised(quota=1, standing=2, standing_months_left=3)]},
            "more than its quota of 1",
        ),
        (
            {"options": [api(), rented()], "rules": {"provider_share_ratio": {"maker": "0.5", "cloud": "0.4"}}},
            "leave 0.1 of the cost to nobody",
        ),
    ],
)
def test_rules_that_contradict_each_other_are_refused(wrong: dict[str, Any], named: str) -> None:
    """What can never hold together is refused before anything is solved."""
    with pytest.raises(ValidationError, match=named):
        scenario(**{"workloads": [chat(today=None)]} | wrong)
