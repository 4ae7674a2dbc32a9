"""Hundreds of kills, where the suite has twenty."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.e2e.test_kill import kill_again_and_again


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_kills_leave_whole_snapshots(
    home: Path, lake: Lake, load: Callable[..., list[Batch]], tmp_path: Path
) -> None:
    """The lake tells one cost in every table after each kill, the old or the new one; the next load completes."""
    kill_again_and_again(home, lake, load, tmp_path / "bill.csv", kills=200, seed=7)
