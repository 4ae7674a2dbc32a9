"""The lake: Delta tables that change together.

A transaction writes its tables, each in one Delta commit, then appends one row to `snapshots` that pins the version
of every table. Readers read the newest snapshot, so tables never disagree; a transaction that is killed leaves the old
snapshot, and the next one first puts back any table whose newest version no snapshot pins. One writer at a time holds
the lock of the lake.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import polars as pl
from deltalake import CommitProperties, DeltaTable
from deltalake.exceptions import TableNotFoundError
from filelock import FileLock, Timeout

from finops.config import Config
from finops.errors import CallError, LakeError
from finops.schema import TABLES, TIME, LakeTable

_Mode = Literal["overwrite", "append"]
SNAPSHOTS = "snapshots"
_SNAPSHOT_COLUMNS: dict[str, pl.DataType] = {
    "snapshot_id": pl.Int64(),
    "run_id": pl.String(),
    "command": pl.String(),
    "made_at": TIME,
    "versions": pl.String(),
    "schema_digest": pl.String(),
}
LOCK_SECONDS = 30.0

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

    @classmethod
    def of(cls, config: Config) -> Self:
        """The lake that a config names."""
        return cls(
            config.lake.uri or str(config.home / "lake"),
            lock_file=config.home / "lake.lock",
            storage_options=config.lake.storage_options,
        )

    def versions(self) -> dict[str, int]:
        """The Delta version of each table in the newest snapshot; empty before the first one."""
        newest = self.snapshots().head(1)
        return json.loads(newest["versions"][0]) if len(newest) else {}

    def snapshots(self) -> pl.DataFrame:
        """All snapshots, newest first."""
        if self._delta(SNAPSHOTS) is None:
            return pl.DataFrame(schema=_SNAPSHOT_COLUMNS)
        return self._scan_version(SNAPSHOTS, None).collect().sort("snapshot_id", descending=True)

    def scan(self, table: str, *, snapshot: int | None = None) -> pl.LazyFrame:
        """A table as of the newest snapshot, or an older one; an empty frame where it holds nothing yet."""
        if snapshot is None:
            versions = self.versions()
        else:
            row = self.snapshots().filter(pl.col("snapshot_id") == snapshot)
            if row.is_empty():
                raise CallError(
                    f"no snapshot {snapshot}",
                    expected=f"a snapshot of {self.uri}",
                    next_step="list them with `finops history`",
                )
            versions = json.loads(row["versions"][0])
        return self._scan_pinned(_table(table), versions)

    @contextmanager
    def transaction(self, command: str, *, run_id: str | None = None) -> Iterator["Transaction"]:
        """Write tables together: all of it becomes visible when the block ends, nothing when it raises or dies.

        Raises LakeError when another writer holds the lake for longer than LOCK_SECONDS.
        """
        self._lock_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(self._lock_file, timeout=LOCK_SECONDS)
            with lock, Transaction(self, command, run_id or new_run_id()) as transaction:
                yield transaction
        except Timeout as error:
            raise LakeError(
                f"another process has been writing to {self.uri} for {LOCK_SECONDS:.0f} s",
                expected="one writer at a time",
                next_step="wait for the other `finops` command to end, then repeat this one",
            ) from error

    def vacuum(self, *, keep_snapshots: int) -> int:
        """Delete data files that none of the newest keep_snapshots snapshots needs; returns how many files went.

        History older than that can no longer be read.
        """
        kept = [json.loads(v) for v in self.snapshots().head(keep_snapshots)["versions"]]
        removed = 0
        with FileLock(self._lock_file, timeout=LOCK_SECONDS):
            for name in TABLES:
                table = self._delta(name)
                pinned = sorted({versions[name] for versions in kept if name in versions})
                if table is not None and pinned:
                    removed += len(
                        table.vacuum(
                            retention_hours=0, enforce_retention_duration=False, dry_run=False, keep_versions=pinned
                        )
                    )
        return removed

    def _scan_pinned(self, table: LakeTable, versions: Mapping[str, int]) -> pl.LazyFrame:
        if table.name not in versions:
            return pl.LazyFrame(schema=table.columns)
        frame = self._scan_version(table.name, versions[table.name])
        if dict(frame.collect_schema()) != table.columns:
            raise LakeError(
                f"the table {table.name} of {self.uri} has other columns than this version writes",
                expected="a lake of this version's schema",
                next_step="ingest into a new home, or use the version of finops that wrote this one",
            )
        return frame.select(*table.columns)

    def _scan_version(self, name: str, version: int | None) -> pl.LazyFrame:
        return pl.scan_delta(self._location(name), version=version, storage_options=self.storage_options or None)

    def _location(self, name: str) -> str:
        return f"{self.uri}/{name}"

    def _delta(self, name: str) -> DeltaTable | None:
        try:
            return DeltaTable(self._location(name), storage_options=self.storage_options or None)
        except TableNotFoundError:
            return None


class Transaction:
    """The writes of one run; made by Lake.transaction."""

    def __init__(self, lake: Lake, command: str, run_id: str) -> None:
        self.run_id = run_id
        self.started_at = datetime.now(UTC)
        self._lake = lake
        self._command = command
        self._snapshots = lake.snapshots()
        self._versions = json.loads(self._snapshots["versions"][0]) if len(self._snapshots) else {}
        self._touched: set[str] = set()

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
        self._heal(table)
        lazy = frame.lazy()
        found = dict(lazy.collect_schema())
        if found != table.columns:
            raise CallError(
                f"columns {_difference(found, table.columns)} for the table {table.name}",
                expected="the columns and types of finops.schema",
                next_step="cast or add them before the write",
            )
        exists = table.name in self._versions
        if not exists:
            options = {k: v for k, v in options.items() if k != "predicate"}
            if table.partitions:
                options["partition_by"] = list(table.partitions)
        options["commit_properties"] = CommitProperties(custom_metadata={"run_id": self.run_id})
        lazy.select(*table.columns).sink_delta(
            self._lake._location(table.name),
            mode=mode,
            storage_options=self._lake.storage_options or None,
            delta_write_options=options,
        )
        written = self._lake._delta(table.name)
        assert written is not None, "sink_delta made it"
        self._versions[table.name] = written.version()
        self._touched.add(table.name)

    def _heal(self, table: LakeTable) -> None:
        """Put back a table that a killed run left ahead of the newest snapshot."""
        if table.name in self._touched:
            return
        delta = self._lake._delta(table.name)
        if delta is None:
            return
        pinned = self._versions.get(table.name)
        if pinned is None:  # written by a run that never finished: nothing of it was ever visible
            delta.delete()
            self._versions[table.name] = delta.version()
        elif delta.version() != pinned:
            delta.restore(pinned)
            self._versions[table.name] = delta.version()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._touched:
            return
        self._record_run()
        row = {
            "snapshot_id": (self._snapshots["snapshot_id"][0] if len(self._snapshots) else 0) + 1,
            "run_id": self.run_id,
            "command": self._command,
            "made_at": datetime.now(UTC),
            "versions": json.dumps(self._versions, sort_keys=True),
            "schema_digest": schema_digest(),
        }
        pl.DataFrame([row], schema=_SNAPSHOT_COLUMNS).write_delta(
            self._lake._location(SNAPSHOTS), mode="append", storage_options=self._lake.storage_options or None
        )

    def _record_run(self) -> None:
        row = {
            "run_id": self.run_id,
            "command": self._command,
            "started_at": self.started_at,
            "finished_at": datetime.now(UTC),
            "status": "done",
            "detail": json.dumps({"tables": sorted(self._touched)}),
        }
        self.append("runs", pl.DataFrame([row], schema=TABLES["runs"].columns))


def new_run_id() -> str:
    """An id that sorts by time: 20261121T120203Z-9f3a1c."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def schema_digest() -> str:
    """A short fingerprint of all tables' columns and types; a lake of another one needs migrating."""
    text = json.dumps({t.name: {c: str(d) for c, d in t.columns.items()} for t in TABLES.values()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


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
