"""The one executor that fans work out: local processes by default, a Dask cluster when the config names a scheduler.

Work functions must be importable at module level and take and return picklable values; nothing else differs
between the two.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from finops.errors import SourceUnreachable

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def executor(*, workers: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """An executor for the length of a `with` block.

    workers: local processes; by default the number of usable cores. scheduler: address of a Dask scheduler
    (needs the `dask` extra); workers is then ignored. Raises SourceUnreachable when the scheduler does not answer.
    """
    if scheduler is not None:
        with _dask(scheduler) as pool:
            yield pool
        return
    count = workers or usable_cores()
    # A forked child deadlocks in Polars once the parent has run a parallel query, so children are spawned;
    # each gets one Polars thread because the processes already fill the cores.
    before = os.environ.get("POLARS_MAX_THREADS")
    os.environ["POLARS_MAX_THREADS"] = "1"
    try:
        with ProcessPoolExecutor(max_workers=count, mp_context=get_context("spawn")) as pool:
            yield pool
    finally:
        if before is None:
            os.environ.pop("POLARS_MAX_THREADS", None)
        else:
            os.environ["POLARS_MAX_THREADS"] = before


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _dask(scheduler: str) -> Iterator[Executor]:
    from distributed import Client

    try:
        client = Client(scheduler, timeout="10s")  # type: ignore[no-untyped-call]
    except OSError as error:
        raise SourceUnreachable(
            f"no Dask scheduler answers at {scheduler} ({error})",
            expected="a running scheduler at the address given as execution.scheduler",
            next_step="start it, correct finops.toml, or remove execution.scheduler to use local processes",
        ) from error
    with client:
        # pure=True, Dask's default, would run two equal calls once
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]


def fan_out(work: Callable[[T], R], items: Iterable[T], *, pool: Executor | None) -> list[R]:
    """Results of work(item) in the order of items; in this process when pool is None.

    An exception of any item propagates with its own type.
    """
    return list(map(work, items)) if pool is None else list(pool.map(work, items))
