"""A server of one's own costs the same in the ledger and in a plan, because both ask finops.capital."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import on_prem
from connectors.registry import RawPart
from finops import capital
from finops import schema as s
from optimizer import costing, terms
from optimizer.plan import Purchase
from optimizer.scenario import Scenario
from tests.placement import api, chat, plan, scenario, server

CENT = Decimal("0.01")
MONTHS = 36
START, END = date(2027, 1, 1), date(2030, 1, 1)
HOURS = (END - START).days * capital.HOURS_PER_DAY
FIGURES = {
    "power_kw": "10.2", "utilisation_of_power_ratio": "0.8", "pue": "1.5", "energy_price_per_kwh": "0.13",
    "colo_price_per_kw_month": "200", "maintenance_ratio_per_year": "0.1", "staff_cost_per_month": "882",
    "residual_ratio": "0.1", "life_months": 48,
}  # fmt: skip
PRICE = "337500"


def of_one(price: str = PRICE, **figures: object) -> Scenario:
    """One server bought in the first month, which serves at once and for three years."""
    owned = server(**FIGURES | figures, lead_time_months=0, price={"amount": price, "source": "a test", "date": START})
    return scenario(
        horizon_months=MONTHS, discount_ratio_per_year=0, workloads=[chat(today=None, demand_per_month=20000)],
        options=[api(price={"amount": "9", "source": "a test", "date": START}), owned],
        sites=[{"name": "room", "spare": 0}],
    )  # fmt: skip


def ledger(folder: Path, owned: Scenario) -> pl.DataFrame:
    """The charges of the same server, as the asset ledger has them by the end of the three years."""
    k = owned.option("own").model_dump()
    asset = {
        "asset_id": "own", "currency": "USD", "in_service_date": START.isoformat(),
        "purchase_price": k["price"]["amount"], "life_years": Decimal(k["life_months"]) / 12,
        "utilization_ratio": k["utilisation_of_power_ratio"],
    } | {name: k[name] for name in (
        "residual_ratio", "power_kw", "pue", "energy_price_per_kwh", "colo_price_per_kw_month",
        "maintenance_ratio_per_year", "staff_cost_per_month",
    )}  # fmt: skip
    path = folder / "assets.csv"
    pl.DataFrame([{name: str(value) for name, value in asset.items()}]).write_csv(path)
    return on_prem.parse(RawPart(path, "assets.csv", END)).collect()


def real_hours(owned: Scenario) -> Decimal:
    """What energy costs more in the hours of the calendar than in months of 730 hours."""
    k = owned.option("own").model_dump()
    drawn = k["power_kw"] * k["utilisation_of_power_ratio"] * k["pue"] * k["energy_price_per_kwh"]
    return Decimal(drawn * (HOURS - MONTHS * capital.HOURS_PER_MONTH))


def cash(owned: Scenario) -> Decimal:
    """Cash of the server over the horizon, by the program's own costing."""
    return sum((line.cash for line in costing.cost_lines(owned, (), [Purchase("own", 0, 1)])), Decimal(0))


def test_three_years_of_charges_are_the_cash_of_the_plan(tmp_path: Path) -> None:
    """A plan that buys the server pays over three years what the ledger bills, to the cent, hours of months apart."""
    owned = of_one()
    made = plan(owned)
    assert [(p.option, p.month, p.count) for p in made.purchases] == [("own", 0, 1)]
    paid = sum((line.cash for line in made.lines if line.option == "own"), Decimal(0))
    assert paid == cash(owned)
    billed = ledger(tmp_path, owned)[s.BILLED_COST].sum()
    assert abs(billed - real_hours(owned) - paid) < CENT
    assert real_hours(owned) > CENT  # else the calendar would not have been accounted for


@given(
    price=st.decimals(1, 10**6, places=2), power=st.decimals(0, 200, places=3), pue=st.decimals(1, 2, places=2),
    energy=st.decimals(0, 1, places=4), colo=st.decimals(0, 500, places=2), staff=st.decimals(0, 10**4, places=2),
    ratio=st.decimals(0, 1, places=3), life=st.sampled_from([36, 48, 60]),
)  # fmt: skip
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_server_costs_the_same_in_both(
    tmp_path: Path, price: Decimal, power: Decimal, pue: Decimal, energy: Decimal, colo: Decimal, staff: Decimal,
    ratio: Decimal, life: int,
) -> None:  # fmt: skip
    """Cash and what is left of the price agree to the cent, whatever the server; the calendar is accounted for."""
    owned = of_one(
        str(price), power_kw=power, pue=pue, energy_price_per_kwh=energy, colo_price_per_kw_month=colo,
        staff_cost_per_month=staff, maintenance_ratio_per_year=ratio, residual_ratio=ratio, life_months=life,
    )  # fmt: skip
    charges = ledger(tmp_path, owned)
    assert abs(charges[s.BILLED_COST].sum() - real_hours(owned) - cash(owned)) < CENT
    lost = charges.filter(pl.col(s.CHARGE_DESCRIPTION).str.starts_with("Depreciation"))[s.EFFECTIVE_COST].sum()
    life_days = (capital.life_end(in_service=START, life_years=Decimal(life) / 12) - START).days
    by_days = Decimal((END - START).days) / life_days - Decimal(MONTHS) / life
    left = price - lost + price * (1 - ratio) * by_days
    assert abs(left - terms.closing_value(owned, owned.blocks[0], 0)) < CENT


@pytest.mark.parametrize("name", ["energy_kwh", "colocation_cost", "maintenance_cost", "staff_cost"])
def test_a_formula_of_owning_is_one_for_both(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a formula of finops.capital gives twice as much, the ledger and the plan cost more by the same amount."""
    owned = of_one()
    before = ledger(tmp_path, owned)[s.BILLED_COST].sum() - real_hours(owned), cash(owned)
    original = getattr(capital, name)
    monkeypatch.setattr(capital, name, lambda **given: 2 * original(**given))
    calendar = real_hours(owned) * (2 if name == "energy_kwh" else 1)
    after = ledger(tmp_path, owned)[s.BILLED_COST].sum() - calendar, cash(owned)
    assert after[1] - before[1] > 1000
    assert abs((after[0] - before[0]) - (after[1] - before[1])) < CENT
