"""Hundreds of random sequences of faults while AWS's bills are fetched, where the suite has forty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws_deliveries import LAYOUTS, Delivery
from tests.aws_stub import AwsStub, set_keys
from tests.unit.test_aws_exports import through_faults


@pytest.fixture(scope="module")
def server() -> Iterator[AwsStub]:
    """One moto server and proxy for all sequences."""
    with AwsStub() as stub:
        yield stub


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_two_hundred_sequences_of_faults(
    seed: int, server: AwsStub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No line item is lost and none is there twice, in every layout and format; every run can be taken up again."""
    server.empty()
    set_keys(monkeypatch)
    ending = ("csv.gz", "snappy.parquet")[seed // len(LAYOUTS) % 2]
    through_faults(Delivery(server, tmp_path / "raw", LAYOUTS[seed % len(LAYOUTS)], ending), seed)
