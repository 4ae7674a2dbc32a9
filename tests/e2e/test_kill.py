"""SIGKILL at any moment of an ingest leaves the old or the new snapshot, whole, and the next run completes."""

import multiprocessing
import random
import time
from collections.abc import Callable
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import polars as pl

from finops import schema as s
from finops.config import Source, load_config
from finops.pipeline.ingest import ingest
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.conftest import TODAY, focus_rows

ROWS = 6_000


def write_bill(path: Path, cost: int) -> None:
    """Two billing periods of charges that cost so much each."""
    row = focus_rows({"BilledCost": str(cost), "EffectiveCost": str(cost)})
    months = [
        row.with_columns(
            pl.lit(f"2026-{month:02}-01T00:00:00Z").alias("BillingPeriodStart"),
            pl.lit(f"2026-{month + 1:02}-01T00:00:00Z").alias("BillingPeriodEnd"),
        )
        for month in (8, 9)
    ]
    pl.concat(months * (ROWS // 2)).with_columns(SkuId=pl.Series(np.arange(ROWS)).cast(pl.String)).write_csv(path)


def ingest_when_told(home: Path, bill: Path, pipe: Connection) -> None:
    """Import everything, say so, and ingest."""
    config = load_config(home)
    pipe.send("ready")
    ingest(config, Lake.of(config), Source(id="bill", connector="focus", path=bill), say=lambda _: None, until=TODAY)
    pipe.send("done")


def state(lake: Lake) -> set[Decimal]:
    """The cost of a charge, as each table of the newest snapshot tells it, per billing period."""
    told = set()
    tables = {
        "charges": (s.BILLED_COST, s.BILLING_PERIOD),
        "spend_daily": (s.BILLED_COST, s.BILLING_PERIOD),
        "loads": ("billed_stored", "billing_period"),
    }
    for table, (cost, period) in tables.items():
        sums = lake.scan(table).group_by(period).agg(pl.col(cost).sum() / (ROWS // 2)).collect()
        assert len(sums) == 2, f"{table} has {len(sums)} of 2 periods"
        told |= set(sums[cost])
    return told


def kill_again_and_again(
    home: Path, lake: Lake, load: Callable[..., list[Batch]], bill: Path, *, kills: int, seed: int
) -> None:
    """Ingest, kill at a random moment, look at the lake, ingest to the end; so many times."""
    write_bill(bill, 1)
    start = time.perf_counter()
    load(bill)
    usual_s = time.perf_counter() - start
    moments = random.Random(seed)
    outcomes = []
    for cost in range(2, 2 + kills):
        write_bill(bill, cost)
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=ingest_when_told, args=(home, bill, theirs))
        process.start()
        theirs.close()  # so that a child that dies too early is an EOFError here, not a wait for ever
        assert ours.recv() == "ready"
        time.sleep(moments.uniform(0, 1.3 * usual_s))
        process.kill()
        process.join()
        told = state(lake)
        assert told in ({Decimal(cost - 1)}, {Decimal(cost)})
        outcomes.append(told == {Decimal(cost)})
        load(bill)
        assert state(lake) == {Decimal(cost)}
    assert False in outcomes, "no kill came before the end: the test measured nothing"


def test_a_kill_at_any_moment_leaves_a_whole_snapshot(
    home: Path, lake: Lake, load: Callable[..., list[Batch]], tmp_path: Path
) -> None:
    """Twenty kills: the lake tells one cost in every table, the old or the new one; the next load completes."""
    kill_again_and_again(home, lake, load, tmp_path / "bill.csv", kills=20, seed=20261121)
