"""Whose turn it is to write, told by the log of snapshots and one's own clock."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops import lease
from finops.errors import LakeConflict, LakeError
from finops.lease import LEASE_SECONDS, WAIT_SECONDS, Lease, take
from finops.snapshot_log import SnapshotLog


class Clock:
    """A clock that only sleeping moves; `meanwhile` happens at each sleep."""

    def __init__(self, start: float = 0, meanwhile: Callable[[float], None] = lambda _: None) -> None:
        self.now = start
        self._meanwhile = meanwhile

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._meanwhile(self.now)


@pytest.fixture
def log(tmp_path: Path) -> Callable[[], SnapshotLog]:
    """The log of one lake, opened anew by every writer."""
    return lambda: SnapshotLog.open_or_create(str(tmp_path), {})


def test_a_free_lake_is_taken_at_once(log: Callable[[], SnapshotLog]) -> None:
    """Nobody waits where nobody writes, and the log then names the writer."""
    clock = Clock()
    take(log(), "first", clock=clock, sleep=clock.sleep)
    assert (clock.now, log().writer()) == (0, "first")


def test_a_dead_writer_is_waited_for_once(log: Callable[[], SnapshotLog]) -> None:
    """A writer that gives no sign for the length of a lease is taken over then, and not before."""
    dead = log()
    take(dead, "dead")
    clock = Clock()
    take(log(), "next", clock=clock, sleep=clock.sleep)
    assert LEASE_SECONDS <= clock.now < LEASE_SECONDS + lease.POLL_SECONDS
    with pytest.raises(LakeConflict):
        dead.renew()
    assert log().writer() == "next"


@settings(max_examples=10, deadline=None)
@given(skew=st.floats(-1e9, 1e9))
def test_clocks_of_other_machines_do_not_matter(tmp_path_factory: pytest.TempPathFactory, skew: float) -> None:
    """A writer whose clock is years off waits just as long, because it compares its clock with itself only."""
    path = str(tmp_path_factory.mktemp("lake"))
    take(SnapshotLog.open_or_create(path, {}), "dead")
    clock = Clock(start=skew)
    take(SnapshotLog.open_or_create(path, {}), "next", clock=clock, sleep=clock.sleep)
    assert LEASE_SECONDS - 0.1 <= clock.now - skew < LEASE_SECONDS + lease.POLL_SECONDS + 0.1


def test_a_living_writer_is_never_taken_over(log: Callable[[], SnapshotLog]) -> None:
    """A writer that renews keeps its turn however long it takes; who waits is told its name in the end."""
    alive = log()
    take(alive, "`ingest aws` on build-7")
    renewed = [0.0]

    def renew(now: float) -> None:
        if now - renewed[0] >= LEASE_SECONDS / 3:
            renewed[0] = now
            alive.renew()

    clock = Clock(meanwhile=renew)
    with pytest.raises(LakeError, match="`ingest aws` on build-7 has been writing"):
        take(log(), "next", clock=clock, sleep=clock.sleep)
    assert clock.now >= WAIT_SECONDS
    alive.renew()


def test_a_turn_that_was_given_back_is_taken_at_the_next_look(log: Callable[[], SnapshotLog]) -> None:
    """Who waits goes on as soon as the other has ended, without waiting for a lease to run out."""
    first = log()
    take(first, "first")
    clock = Clock(meanwhile=lambda now: first.release() if now > 5 else None)
    take(log(), "next", clock=clock, sleep=clock.sleep)
    assert 5 < clock.now < 5 + 2 * lease.POLL_SECONDS


def test_of_two_who_take_over_one_wins(log: Callable[[], SnapshotLog]) -> None:
    """Two writers that find the same dead one cannot both have its turn: the second waits for the first."""
    take(log(), "dead")
    quick = log()

    def overtake(now: float) -> None:
        if now >= LEASE_SECONDS and not quick.held and quick.writer() == "dead":
            quick.claim("quick")

    clock = Clock(meanwhile=overtake)
    take(log(), "slow", clock=clock, sleep=clock.sleep)
    assert clock.now >= 2 * LEASE_SECONDS
    with pytest.raises(LakeConflict):
        quick.renew()


def test_a_lease_is_renewed_while_its_block_runs(
    log: Callable[[], SnapshotLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread moves the log on several times in a lease, stops at the end, and leaves the lake free."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.15)
    mine = log()
    with Lease(mine, "mine"):
        began = mine.version
        time.sleep(0.4)
        assert log().version >= began + 2
        assert log().writer() == "mine"
    ended = log().version
    assert log().writer() is None
    time.sleep(0.2)
    assert log().version == ended
    assert "lake-lease" not in {thread.name for thread in threading.enumerate()}


def test_a_log_that_was_looked_at_anew_holds_no_claim(log: Callable[[], SnapshotLog]) -> None:
    """A writer that lost and then reads what the others did neither renews nor gives back a turn of theirs."""
    mine, other = log(), log()
    mine.claim("mine")
    other.refresh()
    other.claim("other")
    mine.refresh()
    mine.renew()
    mine.release()
    assert log().version == other.version
    other.renew()


def test_a_lease_that_was_lost_is_not_renewed(log: Callable[[], SnapshotLog], monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that was overtaken learns it at its next renewal and leaves the other's turn alone."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.15)
    mine = log()
    with Lease(mine, "mine"):
        other = log()
        while not other.held:  # a renewal may come in between
            other.refresh()
            try:
                other.claim("other")
            except LakeConflict:
                continue
        time.sleep(0.3)
        assert mine.overtaken
    assert log().writer() == "other"


def test_a_store_that_does_not_answer_ends_no_turn(
    log: Callable[[], SnapshotLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that fails on the way is tried again."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.15)
    mine = log()
    renew, failed = mine.renew, []

    def flaky() -> None:
        if not failed:
            failed.append("connection reset")
            raise OSError("connection reset")
        renew()

    monkeypatch.setattr(mine, "renew", flaky)
    with Lease(mine, "mine"):
        began = mine.version
        time.sleep(0.4)
        assert failed
        assert log().version > began
    assert log().writer() is None


def test_two_who_make_a_lake_make_one(tmp_path: Path) -> None:
    """Writers that find no lake at the same moment end with one log, which takes one claim at a time."""
    logs: list[SnapshotLog] = []
    threads = [
        threading.Thread(target=lambda: logs.append(SnapshotLog.open_or_create(str(tmp_path), {}))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(logs) == 8
    assert logs[0].rows().is_empty()
    for log in logs:
        log.refresh()
    logs[0].claim("first")
    for log in logs[1:]:
        with pytest.raises(LakeConflict):
            log.claim("too late")
