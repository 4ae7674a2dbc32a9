"""A lake on S3: the same figures as in a folder, and writers on several machines that never spoil each other's work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from finops.store import Lake
from tests.object_lake import Start, kill_beside_a_living_writer, new_lake, starting, tells_the_same, write_at_once
from tests.object_store import S3


def test_a_company_on_s3_tells_the_same_to_the_last_decimal(
    s3: S3, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ingest, spend, reconcile and quality print the same from S3 as from a folder, and forecasts agree."""
    tells_the_same(s3, tmp_path, capsys, forecasts=True)


@pytest.fixture
def s3_lake(s3: S3) -> Lake:
    """An empty lake on S3."""
    return new_lake(s3)


@pytest.fixture
def start(s3_lake: Lake) -> Iterator[Start]:
    """Start a writer in a process of its own, and wait until it begins; none outlives the test."""
    with starting(s3_lake) as begin:
        yield begin


def test_two_writers_lose_nothing(s3_lake: Lake, start: Start) -> None:
    """Six rounds of two processes: each addition to the shared partition and to their own ones is there."""
    write_at_once(s3_lake, start, rounds=6, lease_seconds=30)


def test_two_writers_lose_nothing_even_without_turns(s3_lake: Lake, start: Start) -> None:
    """With leases that are always taken for expired, writers collide all the time, and the lake is as right."""
    write_at_once(s3_lake, start, rounds=2, lease_seconds=0)


def test_a_killed_writer_harms_no_living_one(s3_lake: Lake, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills at random moments: every snapshot is whole, nothing that was told is lost, and the other goes on."""
    kill_beside_a_living_writer(s3_lake, start, monkeypatch, kills=4, seed=20261121)
