"""The asset ledger becomes daily charges whose sums are the ledger's own figures."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors import on_prem
from connectors.registry import PARSED, RAW, REJECT, SOURCE_ROWS, RawPart
from finops import schema as s
from finops.errors import InputError

SERVER = {
    "asset_id": "gpu-01", "name": "DGX 1", "site": "fra-1", "region": "eu-central", "country": "DE",
    "hosting": "colo",
    "server_model": "HGX H100", "accelerator_model": "H100-80GB", "accelerator_count": "8",
    "purchase_price": "300000.01",
    "currency": "EUR", "in_service_date": "2025-01-15", "retired_date": "", "life_years": "1", "residual_ratio": "0.1",
    "power_kw": "10.2", "utilization_ratio": "0.7", "pue": "1.5", "energy_price_per_kwh": "0.13",
    "colo_price_per_kw_month": "200", "maintenance_ratio_per_year": "0.1", "staff_cost_per_month": "1000",
    "team": "Search",
    "use_case": "ranking", "purpose": "inference", "cost_center": "CC1", "environment": "prod",
}  # fmt: skip


def parsed(folder: Path, *rows: dict[str, str], until: date = date(2026, 6, 1)) -> pl.DataFrame:
    path = folder / "assets.csv"
    pl.DataFrame(rows).write_csv(path)
    return on_prem.parse(RawPart(path, "assets.csv", until)).collect()


def summed(charges: pl.DataFrame, kind: str, cost: str) -> Decimal:
    total = charges.filter(pl.col(s.CHARGE_DESCRIPTION).str.starts_with(kind))[cost].sum()
    assert isinstance(total, Decimal)
    return total


def test_purchase_is_cash_once_and_spread_over_the_life(tmp_path: Path) -> None:
    """BilledCost holds the price on the in-service day; EffectiveCost what it loses over its life, exactly."""
    charges = parsed(tmp_path, SERVER)
    assert dict(charges.schema) == PARSED
    assert not charges.select(s.SOURCE_ROW, s.CHARGE_PERIOD_START, s.SKU_ID).is_duplicated().any()
    assert charges[s.SKU_ID].null_count() == 0
    purchase = charges.filter(pl.col(s.CHARGE_CATEGORY) == "Purchase").row(0, named=True)
    assert (purchase[s.BILLED_COST], purchase[s.EFFECTIVE_COST]) == (Decimal("300000.01"), 0)
    assert purchase[s.CHARGE_PERIOD_START] == datetime(2025, 1, 15, tzinfo=UTC)
    assert purchase[s.BILLING_PERIOD_START] == datetime(2025, 1, 1, tzinfo=UTC)
    assert summed(charges, "Depreciation", s.BILLED_COST) == 0
    assert summed(charges, "Depreciation", s.EFFECTIVE_COST) == Decimal("300000.01") * Decimal("0.9")
    owned = charges.filter(pl.col(s.CHARGE_DESCRIPTION).str.starts_with("Depreciation"))
    assert owned.filter(pl.col(s.EFFECTIVE_COST) > 0)[s.CHARGE_PERIOD_START].max() == datetime(2026, 1, 14, tzinfo=UTC)


def test_running_costs_are_those_of_the_formulas(tmp_path: Path) -> None:
    """A whole month of energy, colocation, support and staff is the ledger's figure, billed and effective alike."""
    charges = parsed(tmp_path, SERVER).filter(pl.col(s.BILLING_PERIOD_START) == datetime(2025, 2, 1, tzinfo=UTC))
    for cost in (s.BILLED_COST, s.EFFECTIVE_COST):
        assert summed(charges, "Colocation", cost) == Decimal("2040")
        assert summed(charges, "Staff", cost) == 1000
        assert summed(charges, "Support", cost) == (Decimal("30000.001") / 12).quantize(Decimal("1e-18"))
        assert summed(charges, "Energy", cost) == Decimal("10.2") * Decimal("0.7") * Decimal("1.5") * 24 * 28 * Decimal(
            "0.13"
        )
    assert charges.group_by(s.SERVICE_NAME).agg(pl.col(s.DRIVER).unique().implode()).height == 5


def test_ledger_columns_reach_the_charge(tmp_path: Path) -> None:
    """Owner, place, hosting and accelerators of the ledger stand on each charge; hours on depreciation only."""
    charges = parsed(tmp_path, SERVER, until=date(2025, 1, 17))
    first = charges.row(0, named=True)
    wanted = {
        s.TEAM: "Search", s.USE_CASE: "ranking", s.PURPOSE: "inference", s.HOSTING: "colo", s.OWNER_STATUS: "known",
        s.ACCELERATOR_MODEL: "H100-80GB", s.ACCELERATOR_COUNT: 8, s.REGION_ID: "eu-central", s.RESOURCE_ID: "gpu-01",
        s.SERVICE_PROVIDER_NAME: "Colocation", s.BILLING_CURRENCY: "EUR", s.IS_AI: True, s.SOURCE_ROW: 1,
    }  # fmt: skip
    assert {name: first[name] for name in wanted} == wanted
    assert json.loads(first[s.TAGS])["country"] == "DE"
    assert dict(charges.select(s.CHARGE_DESCRIPTION, s.ACCELERATOR_HOURS).iter_rows()) == {
        "Purchase: DGX 1": None, "Depreciation: DGX 1": 8 * 24, "Energy: DGX 1": None, "Colocation: DGX 1": None,
        "Support: DGX 1": None, "Staff: DGX 1": None,
    }  # fmt: skip
    assert charges[SOURCE_ROWS].sum() == 1
    missing = [c.name for c in s.focus_columns() if not c.allows_nulls and charges[c.name].null_count()]
    assert set(missing) <= {s.BILLING_ACCOUNT_TYPE, s.PRICING_CURRENCY, s.PRICING_CURRENCY_EFFECTIVE_COST}
    for column in s.focus_columns():
        if column.allowed_values and column.data_type == "String":
            assert set(charges[column.name].drop_nulls()) <= set(column.allowed_values), column.name


def test_early_retirement_writes_off_the_rest(tmp_path: Path) -> None:
    """An asset that retires early is charged to the day before, and its effective cost still sums to its loss."""
    charges = parsed(tmp_path, {**SERVER, "retired_date": "2025-04-01"})
    assert charges[s.CHARGE_PERIOD_END].max() == datetime(2025, 4, 1, tzinfo=UTC)
    whole = summed(charges, "Depreciation", s.EFFECTIVE_COST) + summed(charges, "Write-Off", s.EFFECTIVE_COST)
    assert whole == Decimal("300000.01") * Decimal("0.9")
    assert summed(charges, "Write-Off", s.BILLED_COST) == 0


def test_accelerators_keep_their_hours_after_the_life(tmp_path: Path) -> None:
    """After its life a server with accelerators has hours at no depreciation; one without has running costs only."""
    plain = {**SERVER, "asset_id": "cpu-01", "accelerator_model": "", "accelerator_count": ""}
    late = parsed(tmp_path, SERVER, plain, until=date(2026, 6, 1)).filter(
        pl.col(s.CHARGE_PERIOD_START) >= datetime(2026, 1, 15, tzinfo=UTC), pl.col(s.SERVICE_NAME) == "Owned servers"
    )
    assert late[s.RESOURCE_ID].unique().to_list() == ["gpu-01"]
    assert late[s.EFFECTIVE_COST].sum() == 0
    assert late[s.ACCELERATOR_HOURS].sum() == late.height * 192


def test_server_without_accelerators_is_compute_and_ai_only_by_its_purpose(tmp_path: Path) -> None:
    """A server without accelerators pays for compute; AI spend when the ledger says so, else left to rules."""
    plain = {**SERVER, "accelerator_model": "", "accelerator_count": "0"}
    found = parsed(tmp_path, {**plain, "asset_id": "a"}, {**plain, "asset_id": "b", "purpose": ""})
    owned = found.filter(pl.col(s.CHARGE_CATEGORY) == "Purchase").sort(s.RESOURCE_ID)
    assert owned.select(s.IS_AI, s.DRIVER).rows() == [(True, "compute"), (None, "compute")]


def test_asset_that_is_not_yet_in_service_has_no_charge(tmp_path: Path) -> None:
    """A ledger charges nothing before the in-service date."""
    assert parsed(tmp_path, SERVER, until=date(2025, 1, 15)).is_empty()


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("purchase_price", "$300,000", 'purchase_price is "$300,000"'),
        ("purchase_price", "NaN", 'purchase_price is "NaN"'),
        ("purchase_price", "", "purchase_price is empty"),
        ("life_years", "0", "a life of 0 years"),
        ("life_years", "4.99", "a life of 4.99 years"),
        ("retired_date", "2025-01-15", "retired_date 2025-01-15 is not after in_service_date"),
        ("in_service_date", "15.01.2025", 'in_service_date is "15.01.2025"'),
        ("residual_ratio", "10", 'residual_ratio is "10"'),
        ("pue", "0.9", 'pue is "0.9"'),
        ("hosting", "garage", 'hosting is "garage"'),
        ("currency", "Euro", 'currency is "EURO"'),
        ("purpose", "fun", 'purpose is "fun"'),
    ],
)
def test_bad_row_is_rejected_with_its_reason(tmp_path: Path, column: str, value: str, reason: str) -> None:
    """A row that cannot be an asset makes no charge; it is kept verbatim with the reason, beside the good rows."""
    found = parsed(tmp_path, {**SERVER, "asset_id": "good"}, {**SERVER, column: value})
    bad = found.filter(pl.col(REJECT).is_not_null()).row(0, named=True)
    assert bad[REJECT].startswith(reason)
    assert (bad[s.SOURCE_ROW], bad[SOURCE_ROWS]) == (2, 1)
    assert (json.loads(bad[RAW])[column] or "") == value
    assert found.filter(pl.col(REJECT).is_null())[s.RESOURCE_ID].unique().to_list() == ["good"]


def test_asset_that_stands_twice_is_counted_once(tmp_path: Path) -> None:
    """The second row of an asset is rejected."""
    found = parsed(tmp_path, SERVER, SERVER)
    assert found[REJECT].drop_nulls().to_list() == [
        'asset_id "gpu-01" stands in an earlier row too; expected one row an asset'
    ]


def test_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """A file without the ledger's columns raises and names them."""
    with pytest.raises(InputError, match="no column asset_id, purchase_price"):
        parsed(tmp_path, {"a": "1", "b": "2"})
