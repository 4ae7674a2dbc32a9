"""What a lake on an object store must hold, on whichever: figures as in a folder, and writers that spoil nothing."""

import json
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import polars as pl
import pytest

from finops import lease
from finops import schema as s
from finops.cli.main import run
from finops.errors import LakeConflict
from finops.store import Lake, again_on_conflict
from tests.conftest import focus_rows
from tests.unit.test_store import budget, charges

PERIOD = "2026-10"
BOTH = "both"


class Store(Protocol):
    """An object store of the tests' own."""

    @property
    def storage_options(self) -> dict[str, str]:
        """What a lake needs to be kept there."""

    def new_uri(self) -> str:
        """The address of a lake that nobody has used yet."""


def new_lake(store: Store) -> Lake:
    """An empty lake there."""
    return Lake(store.new_uri(), lock_file=Path(), storage_options=store.storage_options)


def tells_the_same(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, forecasts: bool) -> None:
    """Ingest, spend, reconcile and quality print the same from the store as from a folder, and forecasts agree."""
    first = date(2026, 9, 1)
    bill = tmp_path / "bill.csv"
    rows = [
        {
            "BilledCost": f"{10 + k % 7}.{k:018}",
            "EffectiveCost": f"{10 + k % 7}.{k:018}",
            "Tags": json.dumps({"team": team}),
            "ChargePeriodStart": f"{first + timedelta(days=k)}T00:00:00Z",
            "ChargePeriodEnd": f"{first + timedelta(days=k + 1)}T00:00:00Z",
        }
        for k in range(30)
        for team in ("Search", "Ads")
    ]
    focus_rows(*rows, {"BilledCost": "no number"}).write_csv(bill)
    commands = [
        ("ingest", "--connector", "focus", "--file", str(bill)),
        ("ingest", "--connector", "focus", "--file", str(bill)),
        ("spend", "--by", "team,service"),
        ("reconcile",),
        ("quality",),
        *([("forecast", "--by", "team", "--horizon", "5")] if forecasts else []),
    ]
    told = []
    for place in ("folder", "store"):
        home = tmp_path / place
        home.mkdir()
        if place == "store":
            options = "\n".join(f'{name} = "{value}"' for name, value in store.storage_options.items())
            text = f'[lake]\nuri = "{store.new_uri()}"\n[lake.storage_options]\n{options}\n'
            (home / "finops.toml").write_text(text)
        capsys.readouterr()
        said = []
        for command in commands:
            code = run(["--home", str(home), "--format", "json", *command])
            said.append((code, capsys.readouterr().out.splitlines()))
        told.append(said)
    for command, in_folder, in_store in zip(commands, *told, strict=True):
        if command[0] != "forecast":
            assert in_folder == in_store, command
    assert any("Search" in line for line in told[0][2][1])
    assert not (tmp_path / "store" / "lake").exists()
    if forecasts:
        _agree(told)


def _agree(told: list[list[tuple[int, list[str]]]]) -> None:
    forecasts = [json.loads("\n".join(said[-1][1]))["rows"] for said in told]
    assert len(forecasts[0]) == 10
    for in_folder, in_store in zip(*forecasts, strict=True):
        assert in_folder.keys() == in_store.keys()
        for name, value in in_folder.items():  # a fit has noise of its own
            assert value == (in_store[name] if isinstance(value, str) else pytest.approx(in_store[name], rel=1e-6))


@again_on_conflict
def add_one(lake: Lake, who: str) -> None:
    """Count one up for a writer and for both, in two partitions of charges and in budgets."""
    with lake.transaction(f"add {who}") as tx:
        held = amounts(tx.scan("budgets"), "budget_id", "amount")
        for name in (who, BOTH):
            held[name] = held.get(name, Decimal(0)) + 1
            partition = {s.SOURCE_ID: [name], s.BILLING_PERIOD: [PERIOD]}
            tx.replace("charges", charges(PERIOD, str(held[name]), name), where=partition)
        tx.replace("budgets", pl.concat([budget(name, str(count)) for name, count in held.items()]))


def amounts(frame: pl.LazyFrame, name: str, amount: str) -> dict[str, Decimal]:
    """The counts that a table tells."""
    return dict(frame.select(name, amount).collect().iter_rows())


def told(lake: Lake) -> dict[str, Decimal]:
    """The counts of one snapshot, which both tables must tell alike and which must add up."""
    snapshot = lake.newest()
    if snapshot == 0:
        return {}
    counts = amounts(lake.scan("charges", snapshot=snapshot), s.SOURCE_ID, s.BILLED_COST)
    assert counts == amounts(lake.scan("budgets", snapshot=snapshot), "budget_id", "amount")
    assert sum(counts.values()) == 2 * counts[BOTH]
    return counts


def write_again_and_again(
    uri: str, storage_options: dict[str, str], who: str, lease_seconds: float, rounds: int, pipe: Connection
) -> None:
    """Add one so many times, and say so each time."""
    lease.LEASE_SECONDS, lease.POLL_SECONDS = lease_seconds, 0.05
    if lease_seconds == 0:  # every turn is taken over at once, and none is renewed
        lease.Lease._renew = lambda self: None  # type: ignore[method-assign]
    lake = Lake(uri, lock_file=Path(), storage_options=storage_options)
    pipe.send("ready")
    for _ in range(rounds):
        while True:
            try:
                add_one(lake, who)
                break
            except LakeConflict:
                continue  # leases this short are lost more often than a command would try
        pipe.send(who)


Start = Callable[..., tuple[multiprocessing.process.BaseProcess, Connection]]


@contextmanager
def starting(lake: Lake) -> Iterator[Start]:
    """Start a writer in a process of its own, and wait until it begins; none outlives the test."""
    started: list[multiprocessing.process.BaseProcess] = []

    def begin(who: str, *, rounds: int, lease_seconds: float) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=write_again_and_again,
            args=(lake.uri, lake.storage_options, who, lease_seconds, rounds, theirs),
        )
        process.start()
        started.append(process)
        theirs.close()
        return process, ours

    try:
        yield begin
    finally:
        for process in started:
            process.kill()
            process.join()


@contextmanager
def watched(lake: Lake) -> Iterator[None]:
    """Read the lake all the while; a snapshot in which the tables disagree fails the test."""
    ended = threading.Event()
    failures: list[Exception] = []

    def watch() -> None:
        reader = Lake(lake.uri, lock_file=Path(), storage_options=lake.storage_options)
        before = Decimal(0)
        while not ended.wait(0.5):
            try:
                now = told(reader).get(BOTH, Decimal(0))
                assert now >= before
                before = now
            except Exception as error:  # noqa: BLE001 (raised below, in the test's own thread)
                failures.append(error)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not failures, failures


def write_at_once(lake: Lake, start: Start, *, rounds: int, lease_seconds: float) -> None:
    """Two writers, so many rounds each, into a partition of both and one of their own."""
    with watched(lake):
        writers = [start(who, rounds=rounds, lease_seconds=lease_seconds) for who in ("a", "b")]
        for process, _ in writers:
            process.join()
            assert process.exitcode == 0
    assert told(lake) == {"a": rounds, "b": rounds, BOTH: 2 * rounds}


def kill_beside_a_living_writer(
    lake: Lake, start: Start, monkeypatch: pytest.MonkeyPatch, *, kills: int, seed: int
) -> None:
    """One writer works on while another is killed at random moments and begun again."""
    moments = random.Random(seed)
    said = {"a": 0, "b": 0}
    with watched(lake):
        survivor, living = start("b", rounds=10**6, lease_seconds=1)
        for _ in range(kills):
            process, pipe = start("a", rounds=10**6, lease_seconds=1)
            assert pipe.recv() == "ready"
            time.sleep(moments.uniform(0, 1.5))
            process.kill()
            process.join()
            said["a"] += heard(pipe)
        said["b"] += heard(living)
        for _ in range(2):  # it is alive, and gets past the dead one's turn
            assert living.poll(30)
            said["b"] += living.recv() == "b"
        survivor.kill()
        survivor.join()
        said["b"] += heard(living)
        monkeypatch.setattr(lease, "LEASE_SECONDS", 1)
        add_one(lake, "c")
    counts = told(lake)
    assert said["a"] <= counts.get("a", 0) <= said["a"] + kills  # a kill may come between storing and saying so
    assert said["b"] <= counts["b"] <= said["b"] + 1
    assert counts["c"] == 1


def heard(pipe: Connection) -> int:
    """How many additions a writer has told since the last look."""
    count = 0
    try:
        while pipe.poll():
            count += pipe.recv() != "ready"
    except EOFError:
        pass
    return count
