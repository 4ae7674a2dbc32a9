"""Whose turn it is to write to a lake on an object store.

A turn is a commit in the log of snapshots that names its writer; it is renewed by further ones and ends with a commit
that names nobody. A writer that has died renews nothing: whoever sees the log stand still for LEASE_SECONDS by its own
clock takes the turn over. No clock of one machine is compared with another's. One that was taken for dead and is not
can harm nothing, because the log moved and its commit is refused.
"""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from deltalake.exceptions import DeltaError

from finops.errors import LakeConflict, LakeError
from finops.snapshot_log import SnapshotLog

LEASE_SECONDS = 30.0
WAIT_SECONDS = 300.0
POLL_SECONDS = 1.0


class Lease:
    """A writer's turn, taken on entry, renewed by a thread, and given back on exit."""

    def __init__(self, log: SnapshotLog, writer: str) -> None:
        self._log = log
        self._writer = writer
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="lake-lease", daemon=True)

    def __enter__(self) -> Self:
        take(self._log, self._writer)
        self._renewing.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._renewing.join()
        with contextlib.suppress(LakeError, OSError, DeltaError):  # a turn that cannot be given back runs out
            self._log.release()

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / 3):
            try:
                self._log.renew()
            except LakeConflict:
                return  # the log knows, and refuses every later write of this turn
            except (OSError, DeltaError, LakeError):
                continue  # the store did not answer; the next try, or the commit at the end, will tell


def take(
    log: SnapshotLog,
    writer: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until nobody writes, or until the one who does has given no sign for LEASE_SECONDS, and claim the turn.

    Raises LakeError after WAIT_SECONDS of another writer at work.
    """
    began = seen_at = clock()
    seen = log.version
    while True:
        holder = log.writer()
        if holder is None or clock() - seen_at >= LEASE_SECONDS:
            try:
                return log.claim(writer)
            except LakeConflict:
                pass  # somebody else was quicker: look who
        elif clock() - began >= WAIT_SECONDS:
            raise LakeError(
                f"{holder} has been writing to the lake for {WAIT_SECONDS:.0f} s",
                expected="one writer at a time",
                next_step="wait for the other `finops` command to end, then repeat this one",
            )
        else:
            sleep(POLL_SECONDS * random.uniform(0.5, 1))
        log.refresh()
        if log.version != seen:
            seen, seen_at = log.version, clock()
