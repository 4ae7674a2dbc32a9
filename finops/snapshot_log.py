"""The table `snapshots`: one row a finished transaction, in a Delta log that moves one known step at a time.

Each commit names the same Delta application transaction, so of two commits made on one version only the first lands,
on a local disk and on every object store with put-if-absent. A commit without a row says who is writing: it claims or
renews a writer's turn, and by moving the log it shuts out whoever claimed before.
"""

import json
import threading
from collections.abc import Callable
from typing import Any, Final, Self, cast

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from finops.errors import LakeConflict
from finops.lake_access import reaching
from finops.schema import TIME

SNAPSHOTS = "snapshots"
COLUMNS: Final[dict[str, pl.DataType]] = {
    "snapshot_id": pl.Int64(),
    "run_id": pl.String(),
    "command": pl.String(),
    "made_at": TIME,
    "versions": pl.String(),
    "schema_digest": pl.String(),
}
CHECKPOINT_VERSIONS: Final = "10"
"""A table is opened by its last checkpoint and the commits after it, each of them two requests to an object store."""
COMPACT_EVERY: Final = 100
"""Snapshots after which their small files become one."""

_APPLICATION: Final = "finops"
_WRITER: Final = "finops_writer"


def commit_properties(step: int, **metadata: str) -> CommitProperties:
    """What makes a commit fail when another writer of this product was there first."""
    return CommitProperties(app_transactions=[Transaction(_APPLICATION, step)], custom_metadata=metadata)


def conflict(uri: str) -> LakeConflict:
    """Somebody else wrote to the lake between a writer's reading and its writing."""
    return LakeConflict(
        f"another writer changed {uri} in the meantime; nothing of this run was stored",
        expected="the lake as this run found it",
        next_step="repeat the command",
    )


class SnapshotLog:
    """The snapshots at one version of their table.

    Every method that commits moves the log by exactly one version, and raises LakeConflict when anybody else moved it
    since this object last knew it; then nothing was stored.
    """

    def __init__(self, table: DeltaTable, storage_options: dict[str, str]) -> None:
        self.held: str | None = None
        """Who is writing, if the last commit that this object knows is its own claim."""
        self.overtaken = False
        """Whether another writer moved the log since this object last knew it."""
        self._table = table
        self._storage_options = storage_options
        self._newest: tuple[int, dict[str, Any] | None] | None = None
        self._moving = threading.Lock()

    @classmethod
    def open(cls, lake_uri: str, storage_options: dict[str, str]) -> Self | None:
        """The log of a lake, or None before its first transaction."""
        try:
            with reaching(lake_uri):
                table = DeltaTable(f"{lake_uri}/{SNAPSHOTS}", storage_options=storage_options or None)
        except TableNotFoundError:
            return None
        return cls(table, storage_options)

    @classmethod
    def open_or_create(cls, lake_uri: str, storage_options: dict[str, str]) -> Self:
        """The log of a lake, made where there is none yet."""
        log = cls.open(lake_uri, storage_options)
        if log is None:
            try:
                with reaching(lake_uri):
                    write_deltalake(
                        f"{lake_uri}/{SNAPSHOTS}",
                        pl.DataFrame(schema=COLUMNS),
                        mode="error",
                        configuration={"delta.checkpointInterval": CHECKPOINT_VERSIONS},
                        storage_options=storage_options or None,
                        commit_properties=commit_properties(0),
                    )
            except DeltaError:  # made by another writer just now, or an error that opening shows again
                pass
            log = cls.open(lake_uri, storage_options)
            assert log is not None, "it was made above"
        return log

    @property
    def version(self) -> int:
        """How many commits the log has, from 0."""
        return self._table.version()

    def refresh(self) -> None:
        """Move on to what is stored now."""
        with self._moving, reaching(self._table.table_uri):
            self._table.update_incremental()
            self.held, self.overtaken = None, False

    def newest(self) -> dict[str, Any] | None:
        """The row of the newest snapshot; reads one file, and none while the log stays where it is."""
        if self._newest is None or self._newest[0] != self.version:
            files = pl.DataFrame(self._table.get_add_actions(flatten=True))
            last = cast(int, files["max.snapshot_id"].max()) if len(files) else 0
            self._newest = (self.version, self.find(last) if last else None)
        return self._newest[1]

    def find(self, snapshot: int) -> dict[str, Any] | None:
        """The row of a snapshot; reads one file."""
        found = self._scan().filter(pl.col("snapshot_id") == snapshot).collect()
        return found.row(0, named=True) if len(found) else None

    def rows(self) -> pl.DataFrame:
        """All snapshots, newest first."""
        return self._scan().collect().sort("snapshot_id", descending=True)

    def writer(self) -> str | None:
        """Who said last that it is writing, or None when that writer has ended."""
        return self._table.history(1)[0].get(_WRITER)

    def claim(self, writer: str) -> None:
        """Say who is writing from now on."""
        with self._moving:
            self._append([], writer)

    def renew(self) -> None:
        """Say so again, if this object holds the claim."""
        if self.overtaken:
            raise conflict(self._table.table_uri)
        with self._moving:
            if self.held is not None:
                self._append([], self.held)

    def release(self) -> None:
        """Say that nobody is writing, if this object holds the claim."""
        with self._moving:
            if self.held is not None:
                self._append([], None)

    def append(self, row: dict[str, Any]) -> None:
        """Store a snapshot; its writer has ended."""
        with self._moving:
            if row["snapshot_id"] % COMPACT_EVERY == 0:
                self._step(lambda said: self._table.optimize.compact(commit_properties=said), self.held)
            self._append([row], None)

    def holds(self, run_id: str) -> bool:
        """Whether a run's snapshot is stored: a store that answers late can refuse what it has already taken."""
        self.refresh()
        return not self._scan().filter(pl.col("run_id") == run_id).collect().is_empty()

    def versions(self) -> dict[str, int]:
        """The version of each table in the newest snapshot."""
        newest = self.newest()
        return {} if newest is None else json.loads(newest["versions"])

    def _append(self, rows: list[dict[str, Any]], writer: str | None) -> None:
        frame = pl.DataFrame(rows, schema=COLUMNS)
        self._step(lambda said: write_deltalake(self._table, frame, mode="append", commit_properties=said), writer)

    def _step(self, commit: Callable[[CommitProperties], object], writer: str | None) -> None:
        next_version = self.version + 1
        said = commit_properties(next_version, **({} if writer is None else {_WRITER: writer}))
        try:
            with reaching(self._table.table_uri):
                commit(said)
            if self.version > next_version:
                raise CommitFailedError("somebody else committed as well")
        except CommitFailedError as error:
            self.held, self.overtaken = None, True
            raise conflict(self._table.table_uri) from error
        self.held = writer

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_delta(self._table, storage_options=self._storage_options or None)
