"""Hundreds of random sequences of faults while Azure's APIs are asked, where the suite has forty."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.azure_api_stub import QUICK, Azure, served
from tests.unit.test_azure_cost_query import Pulls, through_faults
from tests.unit.test_azure_invoices import invoices_through_faults


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_sequences_of_faults(seed: int, tmp_path: Path) -> None:
    """Every charge of every month is there once, and an old month stays to the byte until the new one is whole."""
    with served(Azure()) as azure:
        through_faults(Pulls(azure, tmp_path / "bill", patience=replace(QUICK, attempts=3)), seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_sequences_of_faults_of_invoices(seed: int, tmp_path: Path) -> None:
    """Every invoice is there once, and the old ones stay until the new ones are whole."""
    with served(Azure()) as azure:
        invoices_through_faults(azure, tmp_path / "bill", seed)
