"""Hundreds of random sequences of faults while Google Cloud's bill, catalog and pricing export are fetched."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gcp_bill import Bill
from tests.gcp_stub import GcpStub
from tests.unit.test_gcp_bigquery import through_faults
from tests.unit.test_gcp_catalog import COMPUTE, h100, through_catalog_faults
from tests.unit.test_gcp_prices import through_price_faults


@pytest.fixture(scope="module")
def server() -> Iterator[GcpStub]:
    """One server for all sequences."""
    with GcpStub() as stub:
        yield stub


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_sequences_of_faults(seed: int, server: GcpStub, tmp_path: Path) -> None:
    """No row is lost and none is there twice, old months stay, and no state of a month is billed twice."""
    server.empty()
    through_faults(Bill(server, tmp_path), seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_sequences_of_faults_of_the_catalog(seed: int, server: GcpStub, tmp_path: Path) -> None:
    """Every offer is there, whatever the pages went through."""
    server.empty()
    server.catalog = {COMPUTE: h100()}
    through_catalog_faults(server, tmp_path, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_sequences_of_faults_of_the_pricing_export(seed: int, server: GcpStub, tmp_path: Path) -> None:
    """Every price of the contract and of the list is there, whatever jobs and pages went through."""
    server.empty()
    through_price_faults(server, tmp_path, seed)
