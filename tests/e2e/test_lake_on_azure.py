"""A lake on Azure Blob: the same figures as in a folder, and writers that never spoil each other's work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from finops.store import Lake
from tests.azurite import Azurite, needs_azurite
from tests.object_lake import Start, new_lake, starting, tells_the_same, write_at_once

pytestmark = needs_azurite


def test_a_company_on_azure_tells_the_same_to_the_last_decimal(
    azurite: Azurite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ingest, spend, reconcile and quality print the same from Blob storage as from a folder."""
    tells_the_same(azurite, tmp_path, capsys, forecasts=False)


@pytest.fixture
def lake_there(azurite: Azurite) -> Lake:
    """An empty lake on Blob storage."""
    return new_lake(azurite)


@pytest.fixture
def start(lake_there: Lake) -> Iterator[Start]:
    """Start a writer in a process of its own, and wait until it begins; none outlives the test."""
    with starting(lake_there) as begin:
        yield begin


@pytest.mark.parametrize(("rounds", "lease_seconds"), [(3, 30), (1, 0)])
def test_two_writers_on_one_partition_lose_nothing(
    rounds: int, lease_seconds: float, lake_there: Lake, start: Start
) -> None:
    """In turns and without them: one wins, the other repeats, and each addition of both is there."""
    write_at_once(lake_there, start, rounds=rounds, lease_seconds=lease_seconds)
