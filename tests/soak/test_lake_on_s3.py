"""Writers and kills on one object store, many more than in the suite."""

import pytest

from finops.store import Lake
from tests.e2e.test_lake_on_s3 import s3_lake, start  # noqa: F401 (fixtures)
from tests.object_lake import Start, kill_beside_a_living_writer, write_at_once

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def test_two_writers_lose_nothing_in_two_hundred_rounds(s3_lake: Lake, start: Start) -> None:  # noqa: F811
    """Each addition of both processes is there, and no snapshot was half a transaction."""
    write_at_once(s3_lake, start, rounds=200, lease_seconds=30)


def test_two_writers_without_turns_lose_nothing_in_thirty_rounds(s3_lake: Lake, start: Start) -> None:  # noqa: F811
    """Where every turn is taken over at once, what lands is as right."""
    write_at_once(s3_lake, start, rounds=30, lease_seconds=0)


def test_a_hundred_kills_harm_no_living_writer(
    s3_lake: Lake,  # noqa: F811
    start: Start,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a writer told is there, and the other one goes on."""
    kill_beside_a_living_writer(s3_lake, start, monkeypatch, kills=100, seed=7)
