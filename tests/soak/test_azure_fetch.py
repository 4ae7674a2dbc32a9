"""Hundreds of random sequences of faults while Azure's exports are fetched, where the suite has forty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.azure_deliveries import ENDINGS, LAYOUTS, Delivery, set_keys
from tests.azure_stub import AzureStub
from tests.azurite import Azurite, needs_azurite
from tests.unit.test_azure_exports import through_faults

pytestmark = needs_azurite


@pytest.fixture(scope="module")
def server(azurite: Azurite) -> Iterator[AzureStub]:
    """One proxy for all sequences."""
    with AzureStub(azurite) as stub:
        yield stub


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_sequences_of_faults(
    seed: int, server: AzureStub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No row is lost and none is there twice, in every layout and format; every run can be taken up again."""
    server.reset()
    set_keys(monkeypatch)
    ending = ENDINGS[seed // len(LAYOUTS) % len(ENDINGS)]
    through_faults(Delivery(server, tmp_path / "raw", LAYOUTS[seed % len(LAYOUTS)], ending), seed)
