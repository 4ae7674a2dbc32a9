"""The lake: Delta tables that change together.

A transaction writes its tables, each in one Delta commit, then appends one row to `snapshots` that pins the version
of every table. Readers read the newest snapshot, so tables never disagree; a transaction that is killed leaves the old
snapshot, and the next one first puts back any table whose newest version no snapshot pins.

One writer at a time has its turn: by a file lock on one machine, by a lease on an object store. Turns only keep
writers from doing work twice. What keeps the lake right is that every commit of a writer names the version that it
knows, and is refused when anybody else was there first.
"""

import hashlib
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

import polars as pl
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from filelock import FileLock, Timeout
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from finops import snapshot_log
from finops.config import Config
from finops.errors import CallError, LakeConflict, LakeError
from finops.lake_access import is_remote, reaching
from finops.lease import Lease
from finops.schema import TABLES, LakeTable
from finops.snapshot_log import SnapshotLog, commit_properties, conflict

_Mode = Literal["overwrite", "append"]
P = ParamSpec("P")
R = TypeVar("R")
LOCK_SECONDS = 30.0
ATTEMPTS = 5
STRAY_HOURS = 24
"""Files that no table knows and that are older than this were left by a killed writer, not by one at work."""
TABLE_CONFIGURATION = {
    "delta.checkpointInterval": snapshot_log.CHECKPOINT_VERSIONS,
    "delta.enableExpiredLogCleanup": "false",  # a version stays readable for as long as its snapshot is kept
}

Where = Mapping[str, Sequence[str]]
"""Partition columns with the values whose rows are meant."""


class Lake:
    """The tables of a home, read at the newest snapshot.

    uri: a local folder or an object-store address. storage_options: as object stores need them.
    """

    def __init__(self, uri: str, *, lock_file: Path, storage_options: dict[str, str] | None = None) -> None:
        self.uri = uri.rstrip("/")
        self.storage_options = storage_options or {}
        self._lock_file = lock_file
        self._log: SnapshotLog | None = None
        self._opened: dict[str, DeltaTable] = {}

    @classmethod
    def of(cls, config: Config) -> Self:
        """The lake that a config names."""
        return cls(
            config.lake.uri or str(config.home / "lake"),
            lock_file=config.home / "lake.lock",
            storage_options=config.lake.storage_options,
        )

    def newest(self) -> int:
        """The id of the newest snapshot, 0 before the first one."""
        row = self._read_log(lambda log: log.newest())
        return 0 if row is None else row["snapshot_id"]

    def versions(self) -> dict[str, int]:
        """The Delta version of each table in the newest snapshot; empty before the first one."""
        return self._read_log(lambda log: log.versions()) or {}

    def snapshots(self) -> pl.DataFrame:
        """All snapshots, newest first."""
        rows = self._read_log(lambda log: log.rows())
        return pl.DataFrame(schema=snapshot_log.COLUMNS) if rows is None else rows

    def scan(self, table: str, *, snapshot: int | None = None) -> pl.LazyFrame:
        """A table as of the newest snapshot, or an older one; an empty frame where it holds nothing yet."""
        if snapshot is None:
            versions = self.versions()
        else:
            row = self._read_log(lambda log: log.find(snapshot))
            if row is None:
                raise CallError(
                    f"no snapshot {snapshot}",
                    expected=f"a snapshot of {self.uri}",
                    next_step="choose an older or newer one",
                )
            versions = json.loads(row["versions"])
        return self._scan_pinned(_table(table), versions)

    @contextmanager
    def transaction(self, command: str, *, run_id: str | None = None) -> Iterator["Transaction"]:
        """Write tables together: all of it becomes visible when the block ends, nothing when it raises or dies.

        Raises LakeError when another writer does not end in time, LakeConflict when one was first after all.
        """
        with self._turn(command) as log, Transaction(self, log, command, run_id or new_run_id()) as transaction:
            yield transaction

    def vacuum(self, *, keep_snapshots: int) -> int:
        """Delete data files that none of the newest keep_snapshots snapshots needs; returns how many files went.

        History older than that can no longer be read. Files that no table knows go when they are STRAY_HOURS old.
        """
        removed = 0
        with self._turn("vacuum") as log:
            kept = [json.loads(v) for v in log.rows().head(keep_snapshots)["versions"]]
            tables = {name: self._delta(name) for name in TABLES}
            log.renew()  # nobody took over, so whoever wrote what was just read can no longer finish
            for name, table in tables.items():
                pinned = sorted({versions[name] for versions in kept if name in versions})
                if table is None or not pinned:
                    continue
                for full, hours in ((False, 0), (True, STRAY_HOURS)):
                    with reaching(self.uri):
                        removed += len(
                            table.vacuum(
                                retention_hours=hours,
                                enforce_retention_duration=False,
                                dry_run=False,
                                full=full,
                                keep_versions=pinned,
                            )
                        )
        return removed

    @contextmanager
    def _turn(self, command: str) -> Iterator[SnapshotLog]:
        """This writer's turn, and the log of snapshots as it is then."""
        if is_remote(self.uri):
            log = SnapshotLog.open_or_create(self.uri, self.storage_options)
            with Lease(log, _writer(command)):
                yield log
            return
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            turn = FileLock(self._lock_file, timeout=LOCK_SECONDS).acquire()
        except Timeout as error:
            raise LakeError(
                f"another process has been writing to {self.uri} for {LOCK_SECONDS:.0f} s",
                expected="one writer at a time",
                next_step="wait for the other `finops` command to end, then repeat this one",
            ) from error
        with turn:
            yield SnapshotLog.open_or_create(self.uri, self.storage_options)

    def _read_log(self, read: Callable[[SnapshotLog], R]) -> R | None:
        """What the log of snapshots says now, None where there is none; only its new commits are read."""
        if self._log is None:
            self._log = SnapshotLog.open(self.uri, self.storage_options)
        else:
            self._log.refresh()
        return None if self._log is None else read(self._log)

    def _scan_pinned(self, table: LakeTable, versions: Mapping[str, int]) -> pl.LazyFrame:
        if table.name not in versions:
            return pl.LazyFrame(schema=table.columns)
        frame = self._scan_version(table.name, versions[table.name])
        self._refuse_other_columns(table, frame)
        return frame.select(*table.columns)

    def _refuse_other_columns(self, table: LakeTable, held: pl.LazyFrame) -> None:
        if dict(held.collect_schema()) != table.columns:
            raise LakeError(
                f"the table {table.name} of {self.uri} has other columns than this version writes",
                expected="a lake of this version's schema",
                next_step="ingest into a new home, or use the version of finops that wrote this one",
            )

    def _scan_version(self, name: str, version: int) -> pl.LazyFrame:
        table = self._opened.get(name)
        if table is None or table.version() != version:
            with reaching(self.uri):
                table = DeltaTable(self._location(name), version=version, storage_options=self.storage_options or None)
            self._opened[name] = table  # never moved on: a lazy frame reads what its table says when it is collected
        return pl.scan_delta(table, storage_options=self.storage_options or None)

    def _location(self, name: str) -> str:
        return f"{self.uri}/{name}"

    def _delta(self, name: str) -> DeltaTable | None:
        try:
            with reaching(self.uri):
                return DeltaTable(self._location(name), storage_options=self.storage_options or None)
        except TableNotFoundError:
            return None


class Transaction:
    """The writes of one run; made by Lake.transaction."""

    def __init__(self, lake: Lake, log: SnapshotLog, command: str, run_id: str) -> None:
        self.run_id = run_id
        self.started_at = datetime.now(UTC)
        self._lake = lake
        self._log = log
        self._command = command
        newest = log.newest()
        self._snapshot_id: int = 0 if newest is None else newest["snapshot_id"]
        self._versions = log.versions()
        self._written: dict[str, DeltaTable] = {}

    def scan(self, table: str) -> pl.LazyFrame:
        """A table as this transaction sees it: the newest snapshot with its own writes."""
        return self._lake._scan_pinned(_table(table), self._versions)

    def replace(self, table: str, frame: pl.DataFrame | pl.LazyFrame, *, where: Where | None = None) -> None:
        """Replace a whole table, or the partitions that `where` names, in one Delta commit.

        Raises CallError for a frame whose columns or types are not the table's. A lazy frame is streamed to disk.
        """
        options: dict[str, Any] = {} if where is None else {"predicate": _predicate(where)}
        self._write(_table(table), frame, mode="overwrite", options=options)

    def append(self, table: str, frame: pl.DataFrame | pl.LazyFrame) -> None:
        """Add rows to a table in one Delta commit; raises CallError as `replace` does."""
        self._write(_table(table), frame, mode="append", options={})

    def _write(
        self, table: LakeTable, frame: pl.DataFrame | pl.LazyFrame, *, mode: _Mode, options: dict[str, Any]
    ) -> None:
        lazy = frame.lazy()
        found = dict(lazy.collect_schema())
        if found != table.columns:
            raise CallError(
                f"columns {_difference(found, table.columns)} for the table {table.name}",
                expected="the columns and types of finops.schema",
                next_step="cast or add them before the write",
            )
        held = self._written.get(table.name) or self._healed(table)
        if held is not None:
            self._lake._refuse_other_columns(table, pl.scan_delta(held))
        else:
            options = {"configuration": TABLE_CONFIGURATION}
            if table.partitions:
                options["partition_by"] = list(table.partitions)

        def sink(target: DeltaTable | str, properties: CommitProperties) -> None:
            lazy.select(*table.columns).sink_delta(
                target,
                mode=mode,
                storage_options=self._lake.storage_options or None,
                delta_write_options={**options, "commit_properties": properties},
            )

        self._commit(table, held, sink)

    def _healed(self, table: LakeTable) -> DeltaTable | None:
        """The table as the newest snapshot has it; what a killed run wrote after that is put back first."""
        held = self._lake._delta(table.name)
        if held is None:
            return None
        pinned = self._versions.get(table.name)
        if pinned is None:  # written by a run that never finished: nothing of it was ever visible
            return self._commit(table, held, lambda _, properties: held.delete(commit_properties=properties))
        if held.version() != pinned:
            return self._commit(table, held, lambda _, properties: held.restore(pinned, commit_properties=properties))
        return held

    def _commit(
        self,
        table: LakeTable,
        held: DeltaTable | None,
        commit: Callable[[DeltaTable | str, CommitProperties], object],
    ) -> DeltaTable:
        """One commit right after the version that is held, or the first one; LakeConflict where that is taken."""
        if self._log.overtaken:
            raise conflict(self._lake.uri)
        step = 0 if held is None else held.version() + 1
        try:
            with reaching(self._lake.uri):
                target = self._lake._location(table.name) if held is None else held
                commit(target, commit_properties(step, run_id=self.run_id))
        except CommitFailedError as error:
            raise conflict(self._lake.uri) from error
        written = held or self._lake._delta(table.name)
        assert written is not None, "it was committed"
        if written.version() > step:
            raise conflict(self._lake.uri)
        self._written[table.name] = written
        self._versions[table.name] = written.version()
        return written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._written:
            return
        self._record_run()
        row = {
            "snapshot_id": self._snapshot_id + 1,
            "run_id": self.run_id,
            "command": self._command,
            "made_at": datetime.now(UTC),
            "versions": json.dumps(self._versions, sort_keys=True),
            "schema_digest": schema_digest(),
        }
        try:
            self._log.append(row)
        except LakeConflict:
            if not self._log.holds(self.run_id):
                raise

    def _record_run(self) -> None:
        row = {
            "run_id": self.run_id,
            "command": self._command,
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC),
            "status": "done",
            "detail": json.dumps({"tables": sorted(self._written)}),
        }
        self.append("runs", pl.DataFrame([row], schema=TABLES["runs"].columns))


def again_on_conflict(work: Callable[P, R]) -> Callable[P, R]:
    """Repeat a function that reads the lake and writes to it, from its start, when another writer was first."""
    return retry(
        retry=retry_if_exception_type(LakeConflict),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random(0, 1),
        reraise=True,
    )(work)


def new_run_id() -> str:
    """An id that sorts by time: 20261121T120203Z-9f3a1c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def schema_digest() -> str:
    """A short fingerprint of all tables' columns and types; a lake of another one needs migrating."""
    text = json.dumps({t.name: {c: str(d) for c, d in t.columns.items()} for t in TABLES.values()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _writer(command: str) -> str:
    """Who writes, for people: `ingest aws` on build-7, process 4711."""
    return f"`{command}` on {socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(3)}"


def _table(name: str) -> LakeTable:
    if name not in TABLES:
        raise CallError(f"no table {name}", expected=f"one of {', '.join(TABLES)}", next_step="correct the name")
    return TABLES[name]


def _predicate(where: Where) -> str:
    """SQL for `where`; values are quoted, and names must be plain identifiers."""
    terms = []
    for column, values in where.items():
        assert re.fullmatch(r"\w+", column), column
        listed = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        terms.append(f"{column} IN ({listed})")
    return " AND ".join(terms)


def _difference(found: dict[str, pl.DataType], expected: dict[str, pl.DataType]) -> str:
    wrong = [f"{c}: {found.get(c, 'missing')}" for c in expected if found.get(c) != expected[c]]
    return ", ".join([*wrong, *(f"{c}: not a column of it" for c in found if c not in expected)][:6])
