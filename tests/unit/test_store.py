"""The lake: tables change together or not at all, in a folder and on an object store."""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from finops import lease, snapshot_log, store
from finops import schema as s
from finops.errors import CallError, LakeConflict, LakeError
from finops.store import Lake
from tests.object_store import S3


@pytest.fixture(params=["folder", "s3"])
def lake(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """An empty lake, once in a folder and once on S3."""
    if request.param == "folder":
        return Lake(str(home / "lake"), lock_file=home / "lake.lock")
    s3: S3 = request.getfixturevalue("s3")
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.1)
    return Lake(s3.new_uri(), lock_file=home / "lake.lock", storage_options=s3.storage_options)


def budget(name: str, amount: str = "1") -> pl.DataFrame:
    """One row of the table budgets."""
    columns = s.TABLES["budgets"].columns
    row = dict.fromkeys(columns) | {"budget_id": name, "period": "2026-10", "amount": Decimal(amount)}
    return pl.DataFrame([row], schema=columns)


def charges(period: str, cost: str, source: str = "a") -> pl.DataFrame:
    """One row of the table charges."""
    columns = s.TABLES["charges"].columns
    row = dict.fromkeys(columns) | {s.SOURCE_ID: source, s.BILLING_PERIOD: period, s.BILLED_COST: Decimal(cost)}
    return pl.DataFrame([row], schema=columns)


def names(lake: Lake) -> list[str]:
    """The budgets that a reader sees."""
    return sorted(lake.scan("budgets").collect()["budget_id"])


def test_a_new_lake_is_empty_but_readable(lake: Lake) -> None:
    """Every table of a lake that nobody has written to is an empty frame of the right schema."""
    for table in s.TABLES.values():
        assert dict(lake.scan(table.name).collect().schema) == table.columns


def test_nothing_is_visible_before_the_block_ends(lake: Lake) -> None:
    """A reader sees the old snapshot while a transaction writes, and all of it afterwards."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("new"))
        tx.replace("charges", charges("2026-10", "1"))
        assert names(lake) == []
        assert tx.scan("budgets").collect().height == 1
    assert names(lake) == ["new"]
    assert lake.scan("charges").collect().height == 1


def test_a_lazy_frame_keeps_to_the_version_it_was_scanned_at(lake: Lake) -> None:
    """What a transaction or a reader scanned before a write tells the old rows, also when it is collected later."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("old"))
        before = tx.scan("budgets")
        tx.replace("budgets", budget("new"))
        assert before.collect()["budget_id"].to_list() == ["old"]
    seen = lake.scan("budgets")
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("newer"))
    assert names(lake) == ["newer"]
    assert seen.collect()["budget_id"].to_list() == ["new"]


def test_a_failed_block_leaves_the_old_snapshot(lake: Lake) -> None:
    """An exception inside the block undoes every write of it, and the next transaction starts from the old state."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("old"))
    with pytest.raises(ZeroDivisionError), lake.transaction("test") as tx:
        tx.append("budgets", budget("lost"))
        tx.replace("charges", charges("2026-10", "9"))
        raise ZeroDivisionError
    assert names(lake) == ["old"]
    with lake.transaction("test") as tx:
        tx.append("budgets", budget("more"))
        tx.append("charges", charges("2026-11", "1"))
    assert names(lake) == ["more", "old"]
    assert lake.scan("charges").collect()[s.BILLED_COST].to_list() == [Decimal(1)]


def test_replacing_a_partition_leaves_the_others(lake: Lake) -> None:
    """Only the partitions that `where` names change, also for a source id with a quote in it."""
    with lake.transaction("test") as tx:
        tx.replace(
            "charges", pl.concat([charges("2026-09", "1"), charges("2026-10", "2"), charges("2026-10", "4", "b'")])
        )
    with lake.transaction("test") as tx:
        tx.replace("charges", charges("2026-10", "8", "b'"), where={s.SOURCE_ID: ["b'"], s.BILLING_PERIOD: ["2026-10"]})
    assert sorted(lake.scan("charges").collect()[s.BILLED_COST]) == [Decimal(1), Decimal(2), Decimal(8)]


def test_an_older_snapshot_can_be_read(lake: Lake) -> None:
    """What a restated table held before stays readable by its snapshot."""
    for amount in ("1", "2"):
        with lake.transaction("test") as tx:
            tx.replace("budgets", budget("x", amount))
    oldest = int(lake.snapshots()["snapshot_id"].min())  # type: ignore[arg-type]
    assert lake.scan("budgets", snapshot=oldest).collect()["amount"].to_list() == [Decimal(1)]
    with pytest.raises(CallError, match="no snapshot 99"):
        lake.scan("budgets", snapshot=99)


def test_vacuum_keeps_what_the_kept_snapshots_need(lake: Lake) -> None:
    """After a vacuum the newest snapshots still read, and files are gone."""
    for amount in ("1", "2", "3"):
        with lake.transaction("test") as tx:
            tx.replace("budgets", budget("x", amount))
    assert lake.vacuum(keep_snapshots=2) > 0
    newest, older = lake.snapshots()["snapshot_id"][:2]
    assert lake.scan("budgets", snapshot=newest).collect()["amount"].to_list() == [Decimal(3)]
    assert lake.scan("budgets", snapshot=older).collect()["amount"].to_list() == [Decimal(2)]


@pytest.mark.parametrize(
    "wrong",
    [
        budget("x").drop("owner"),
        budget("x").with_columns(pl.lit(1).alias("stray")),
        budget("x").with_columns(pl.col("amount").cast(pl.Float64)),
    ],
)
def test_a_frame_of_other_columns_is_refused(lake: Lake, wrong: pl.DataFrame) -> None:
    """A missing column, a stray one or a float in a money column raises and writes nothing."""
    with pytest.raises(CallError, match="for the table budgets"), lake.transaction("test") as tx:
        tx.replace("budgets", wrong)
    assert lake.versions() == {}


def test_a_lake_of_another_version_is_neither_read_nor_written(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that has other columns than this version's is named, by who reads and by who writes, and stays."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("x"))
    table = s.TABLES["budgets"]
    wider = replace(table, columns=table.columns | {"approved_by": pl.String()})
    monkeypatch.setitem(s.TABLES, "budgets", wider)
    rows = budget("y").with_columns(pl.lit("me").alias("approved_by"))
    with pytest.raises(LakeError, match="budgets of .* has other columns"):
        lake.scan("budgets")
    for how in ("append", "replace"):
        with pytest.raises(LakeError, match="budgets of .* has other columns"), lake.transaction("test") as tx:
            getattr(tx, how)("budgets", rows)


def test_a_second_writer_waits_and_then_says_so(lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another writer has its turn, a transaction raises instead of mixing two runs."""
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(lease, "WAIT_SECONDS", 0.7)
    other = Lake(lake.uri, lock_file=home / "lake.lock", storage_options=lake.storage_options)
    with lake.transaction("first"), pytest.raises(LakeError, match="has been writing"), other.transaction("second"):
        pass
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("x"))
    assert names(lake) == ["x"]


def die_in_the_middle(uri: str, lock_file: Path, storage_options: dict[str, str]) -> None:
    """Write one of two tables and die without a trace."""
    lake = Lake(uri, lock_file=lock_file, storage_options=storage_options)
    with lake.transaction("dies") as tx:
        tx.append("budgets", budget("lost"))
        os._exit(9)


def test_a_killed_writer_is_never_seen(lake: Lake, home: Path) -> None:
    """What a killed process had written is not visible, is undone by the next writer, and the lock is free."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("old"))
    process = multiprocessing.get_context("spawn").Process(
        target=die_in_the_middle, args=(lake.uri, home / "lake.lock", lake.storage_options)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert names(lake) == ["old"]
    with lake.transaction("test") as tx:
        tx.append("budgets", budget("new"))
    assert names(lake) == ["new", "old"]


def test_every_run_is_recorded(lake: Lake) -> None:
    """A transaction leaves one row in runs with its command and the tables that it touched."""
    with lake.transaction("ingest aws") as tx:
        tx.replace("budgets", budget("x"))
    assert lake.scan("runs").select("command", "detail").collect().row(0) == ("ingest aws", '{"tables": ["budgets"]}')


def test_a_writer_that_was_overtaken_stores_nothing(lake: Lake, home: Path) -> None:
    """Of two transactions that began on one snapshot only the first to end lands; the other raises LakeConflict."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("old"))
    late, quick = (store.SnapshotLog.open_or_create(lake.uri, lake.storage_options) for _ in range(2))
    with pytest.raises(LakeConflict, match="another writer changed"), store.Transaction(lake, late, "late", "1") as tx:
        tx.append("charges", charges("2026-09", "1"))
        with store.Transaction(lake, quick, "quick", "2") as other:
            other.append("budgets", budget("quick"))
    assert names(lake) == ["old", "quick"]
    with lake.transaction("next") as tx:
        tx.append("charges", charges("2026-10", "2"))
    assert lake.scan("charges").collect()[s.BILLED_COST].to_list() == [Decimal(2)]


def test_two_writers_never_mix_in_one_table(lake: Lake) -> None:
    """A table that another writer changed since a transaction read it refuses the transaction's write."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("old"))
    logs = [store.SnapshotLog.open_or_create(lake.uri, lake.storage_options) for _ in range(2)]
    mine, other = (store.Transaction(lake, log, "test", str(number)) for number, log in enumerate(logs))
    mine.append("budgets", budget("mine"))
    other.append("budgets", budget("other"))  # takes the first one for dead and puts its rows back
    with pytest.raises(LakeConflict):
        mine.append("budgets", budget("mine too"))
    other.__exit__(None, None, None)
    assert names(lake) == ["old", "other"]


def test_a_repeated_function_sees_what_the_other_writer_stored(lake: Lake) -> None:
    """A function that lost is run again from its start, and both changes are in the lake."""
    tries = []

    @store.again_on_conflict
    def add(name: str) -> None:
        log = store.SnapshotLog.open_or_create(lake.uri, lake.storage_options)
        with store.Transaction(lake, log, "test", name) as tx:
            held = tx.scan("budgets").collect()
            if not tries:
                tries.append(name)
                with lake.transaction("other") as other:
                    other.append("budgets", budget("other"))
            tx.replace("budgets", pl.concat([held, budget(name)]))

    add("mine")
    assert names(lake) == ["mine", "other"]


def test_a_commit_whose_answer_was_lost_is_known_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that has stored a snapshot and then says that it is taken does not make the run fail or run twice."""
    append = store.SnapshotLog.append

    def stored_and_denied(self: store.SnapshotLog, row: dict[str, Any]) -> None:
        append(self, row)
        raise store.conflict(lake.uri)

    monkeypatch.setattr(store.SnapshotLog, "append", stored_and_denied)
    with lake.transaction("test") as tx:
        tx.append("budgets", budget("once"))
    assert names(lake) == ["once"]


def test_many_snapshots_are_read_right(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest snapshot and the list of all are right across checkpoints and the merging of small files."""
    monkeypatch.setattr(snapshot_log, "COMPACT_EVERY", 5)
    for number in range(1, 12):
        with lake.transaction("test") as tx:
            tx.replace("budgets", budget(str(number)))
        assert (lake.newest(), names(lake)) == (number, [str(number)])
    assert lake.snapshots()["snapshot_id"].to_list() == list(range(11, 0, -1))
    assert lake.scan("budgets", snapshot=3).collect()["budget_id"].to_list() == ["3"]


def test_requests_do_not_grow_with_snapshots(s3: S3, tmp_path: Path) -> None:
    """Reading what has not changed costs three requests, opening a lake and writing to it a bounded number."""
    lake = Lake(s3.new_uri(), lock_file=tmp_path, storage_options=s3.storage_options)

    def requests_of(work: Callable[[], object]) -> int:
        before = len(s3.requests())
        work()
        return len(s3.requests()) - before

    def write() -> None:
        with lake.transaction("test") as tx:
            tx.replace("budgets", budget("x"))

    def read_anew() -> None:
        names(Lake(lake.uri, lock_file=tmp_path, storage_options=s3.storage_options))

    assert max(requests_of(write) for _ in range(12)) <= 230
    assert requests_of(read_anew) <= 60
    names(lake)
    assert requests_of(lambda: names(lake)) <= 3


def test_a_vacuum_shuts_out_whoever_it_took_for_dead(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that was asleep while its files were cleaned away cannot commit them afterwards."""
    monkeypatch.setattr(lease, "LEASE_SECONDS", 0.5)
    lake = Lake(s3.new_uri(), lock_file=tmp_path, storage_options=s3.storage_options)
    for name in ("old", "kept"):
        with lake.transaction("test") as tx:
            tx.replace("budgets", budget(name))
    log = store.SnapshotLog.open_or_create(lake.uri, lake.storage_options)
    log.claim("asleep")
    with pytest.raises(LakeConflict), store.Transaction(lake, log, "asleep", "1") as tx:
        tx.replace("budgets", budget("lost"))
        assert lake.vacuum(keep_snapshots=1) > 0
    assert names(lake) == ["kept"]
