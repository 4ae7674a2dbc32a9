"""Costs of owned hardware: the published worked cases, and the rules of each formula."""

import csv
import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops import capital
from finops.errors import CallError

SHARED_TCO = Path(__file__).parents[3] / "shared" / "data" / "tco"

# github.com/chanthaphan/gpu-tco at d8c65343 (2026-07-10): five years, 4 staff at 45,000, PUE 1.5, 0.13 per kWh,
# 200 per kW-month, 10 % maintenance, spares 1,000,000, network 1,600,000, egress 7.5 %, reserved -35 % and -55 %.
GPU_TCO = [
    {"tpm": 10_000_000, "active_b": 40, "tok_s": 2200, "node_cost": 340_000, "node_kw": "10.2", "payg": "110.24",
     "speed_factor": "0.8", "nodes": 17, "capex": 7_380_000, "fleet_kw": "173.4", "electricity": "1481009.4",
     "colocation": 2_080_800, "maintenance": 3_690_000, "staff": 900_000, "opex": "9151809.4", "onprem": "16531809.4",
     "cloud": ("88241056.8", "57356686.92", "39708475.56"), "months": ("5.5987", "9.1858", "14.4911")},
    {"tpm": 5_000_000, "active_b": 32, "tok_s": 1200, "node_cost": 300_000, "node_kw": "10", "payg": "98.32",
     "speed_factor": "1", "nodes": 13, "capex": 5_500_000, "fleet_kw": "130", "electricity": "1110330",
     "colocation": 1_560_000, "maintenance": 2_750_000, "staff": 900_000, "opex": "7320330", "onprem": "12820330",
     "cloud": ("60182163.6", "39118406.34", "27081973.62"), "months": ("6.2427", "10.378", "16.699")},
]  # fmt: skip
# aiinframap.com, "H100 vs H200 vs B200 TCO" (mid-2026): 1,024 GPUs, 70 % use, PUE 1.2, five years, 0.08 per kWh. USD.
CLUSTERS = [
    ("30000", "700", "30720000", "2109800.45"),
    ("35000", "700", "35840000", "2109800.45"),
    ("40000", "1000", "40960000", "3014000.64"),
]


def close(found: Decimal, expected: Any) -> None:
    assert abs(found - Decimal(str(expected))) <= Decimal("1e-6") * abs(Decimal(str(expected)))


def owned(case: dict[str, Any], *, nodes: int) -> tuple[Decimal, capital.RunningCost]:
    price = Decimal(case["node_cost"]) * nodes + Decimal(1_600_000)
    running = capital.running_cost(
        price=price, power_kw=Decimal(case["node_kw"]) * nodes, utilization_ratio=Decimal(1), pue=Decimal("1.5"),
        energy_price_per_kwh=Decimal("0.13"), colo_price_per_kw_month=Decimal(200),
        maintenance_ratio_per_year=Decimal("0.1"),
        staff_cost_per_month=Decimal(4 * 45_000) / 12, spares=Decimal(1_000_000), months=Decimal(60),
    )  # fmt: skip
    return price, running


@pytest.mark.parametrize("case", GPU_TCO, ids=["h200", "h100"])
def test_five_year_case_comes_out_as_published(case: dict[str, Any]) -> None:
    """Sizing, owning, renting and the break-even month of a published case come out within 1e-6 (months 1e-4)."""
    speed = capital.decode_speed_ratio(active_params_b=Decimal(case["active_b"]), bytes_per_param=Decimal(1))
    close(speed, case["speed_factor"])
    nodes = capital.servers_needed(
        tokens_per_minute=Decimal(case["tpm"]), tokens_per_second_per_accelerator=case["tok_s"] * speed,
        accelerators_per_server=8, utilization_ratio=Decimal("0.7"),
    )  # fmt: skip
    assert nodes == case["nodes"]
    price, running = owned(case, nodes=nodes)
    close(price, case["capex"])
    close(running.energy, case["electricity"])
    close(running.colocation, case["colocation"])
    close(running.maintenance, case["maintenance"])
    close(running.staff, case["staff"])
    close(running.total, case["opex"])
    close(capital.total_cost_of_ownership(price=price, running=running), case["onprem"])
    for discount, cloud, months in zip(("0", "0.35", "0.55"), case["cloud"], case["months"], strict=True):
        rent = capital.rent_cost(
            price_per_hour=Decimal(case["payg"]), count=Decimal(nodes), hours=Decimal(43800),
            discount_ratio=Decimal(discount),
            egress_ratio=Decimal("0.075"),
        )  # fmt: skip
        close(rent, cloud)
        found = capital.break_even_months(
            price=price, running_cost_per_month=running.total / 60, rent_per_month=rent / 60
        )
        assert found is not None
        assert abs(found - Decimal(months)) <= Decimal("1e-4")


@pytest.mark.parametrize(("gpu_price", "tdp_w", "acquisition", "power"), CLUSTERS, ids=["h100", "h200", "b200"])
def test_cluster_case_comes_out_as_published(gpu_price: str, tdp_w: str, acquisition: str, power: str) -> None:
    """Acquisition and energy of 1,024 GPUs over five years come out within 1e-6."""
    close(Decimal(1024) * Decimal(gpu_price), acquisition)
    energy = capital.energy_cost(
        power_kw=1024 * Decimal(tdp_w) / 1000,
        utilization_ratio=Decimal("0.7"),
        pue=Decimal("1.2"),
        hours=Decimal(8760 * 5),
        price_per_kwh=Decimal("0.08"),
    )
    close(energy, power)


@pytest.mark.shared
def test_shared_cases_are_the_carried_ones() -> None:
    """The cases carried above are the ones of the stored sources, figure by figure."""
    cases = json.loads((SHARED_TCO / "gpu_tco_example.json").read_text(), parse_float=Decimal)["cases"]
    for carried, stored in zip(GPU_TCO, cases, strict=True):
        expected, inputs = stored["expected"], stored["inputs"]
        assert Decimal(inputs["tpm"]) * 1_000_000 == carried["tpm"]
        assert stored["platform"]["node_cost_usd"] == carried["node_cost"]
        assert Decimal(stored["platform"]["cloud_payg_usd_per_node_hour"]) == Decimal(carried["payg"])
        names = {"speed_factor": "speed_factor", "nodes": "nodes", "capex_usd": "capex", "fleet_kw": "fleet_kw",
                 "electricity_usd": "electricity", "colocation_usd": "colocation", "maintenance_usd": "maintenance",
                 "staff_usd": "staff", "opex_usd": "opex", "onprem_5y_usd": "onprem"}  # fmt: skip
        for theirs, ours in names.items():
            assert Decimal(str(expected[theirs])) == Decimal(str(carried[ours])), theirs
        for i, term in enumerate(("payg", "1y", "3y")):
            assert Decimal(str(expected[f"cloud_{term}_5y_usd"])) == Decimal(carried["cloud"][i])
            assert Decimal(str(expected[f"breakeven_months_{term}"])) == Decimal(carried["months"][i])
    with (SHARED_TCO / "cluster_5y_example.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [
        (r["price_usd_per_gpu"], r["tdp_w"], r["expected_acquisition_usd"], r["expected_power_usd"]) for r in rows
    ] == CLUSTERS


def test_owning_never_breaks_even_when_the_rent_is_not_above_its_running_cost() -> None:
    """A rent at or below the running cost has no break-even month."""
    for rent in (Decimal(99), Decimal(100)):
        assert (
            capital.break_even_months(price=Decimal(1000), running_cost_per_month=Decimal(100), rent_per_month=rent)
            is None
        )


def test_life_ends_on_the_same_day_of_a_later_month() -> None:
    """A life of whole months ends on the same day number, or on the last day of a shorter month."""
    assert capital.life_end(in_service=date(2024, 2, 29), life_years=Decimal(3)) == date(2027, 2, 28)
    assert capital.life_end(in_service=date(2025, 8, 31), life_years=Decimal("0.5")) == date(2026, 2, 28)
    assert capital.life_end(in_service=date(2025, 1, 15), life_years=Decimal(5)) == date(2030, 1, 15)


@pytest.mark.parametrize("life", ["0", "-1", "1.03"])
def test_life_that_is_no_whole_number_of_months_is_refused(life: str) -> None:
    """A life of zero, of less, or of a part of a month raises."""
    with pytest.raises(CallError, match="life of"):
        capital.life_end(in_service=date(2025, 1, 1), life_years=Decimal(life))


def test_book_value_falls_to_the_residual_and_stays() -> None:
    """Book value is the price at age 0, the residual at the end of life, and no less after it."""
    values = [
        capital.book_value(
            price=Decimal(1000), residual_ratio=Decimal("0.1"), life_months=Decimal(60), age_months=Decimal(age)
        )
        for age in (0, 30, 60, 90)
    ]
    assert values == [1000, 550, 100, 100]


def test_cost_per_used_hour_and_its_break_even_utilisation_agree() -> None:
    """At the break-even utilisation one owned accelerator-hour costs what a rented one does."""
    ratio = capital.break_even_utilization(
        owned_cost_per_month=Decimal(7300), accelerators=Decimal(8), rent_price_per_accelerator_hour=Decimal("2.5")
    )
    assert ratio == Decimal("0.5")
    assert capital.cost_per_accelerator_hour(
        total_cost=Decimal(7300), accelerators=Decimal(8), hours=Decimal(730), utilization_ratio=ratio
    ) == Decimal("2.5")
