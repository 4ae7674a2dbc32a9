"""The lake: tables change together or not at all."""

import multiprocessing
import os
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from finops import schema as s
from finops import store
from finops.errors import CallError, LakeError
from finops.store import Lake


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


def test_a_second_writer_waits_and_then_says_so(lake: Lake, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lock, a transaction raises instead of mixing two runs."""
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.1)
    home.mkdir()
    with FileLock(home / "lake.lock"), pytest.raises(LakeError, match="another process"), lake.transaction("test"):
        pass
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("x"))
    assert names(lake) == ["x"]


def die_in_the_middle(home: str) -> None:
    """Write one of two tables and die without a trace."""
    lake = Lake(f"{home}/lake", lock_file=Path(home) / "lake.lock")
    with lake.transaction("dies") as tx:
        tx.append("budgets", budget("lost"))
        os._exit(9)


def test_a_killed_writer_is_never_seen(lake: Lake, home: Path) -> None:
    """What a killed process had written is not visible, is undone by the next writer, and the lock is free."""
    with lake.transaction("test") as tx:
        tx.replace("budgets", budget("old"))
    process = multiprocessing.get_context("spawn").Process(target=die_in_the_middle, args=(str(home),))
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
