"""Wall time and peak memory of a function in a process of its own."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True)
class Measured:
    """One run: wall seconds and the process's peak resident memory."""

    wall_s: float
    peak_mib: float

    def __str__(self) -> str:
        return f"{self.wall_s:7.2f} s  {self.peak_mib:8.0f} MiB peak"


def measure(work: Callable[..., Any], *arguments: object) -> Measured:
    """Run work(*arguments) in a fresh process; imports of its module are not counted as time, but as memory."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_timed, args=(sender, work, arguments))
    process.start()
    sender.close()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} failed in its process: see above")
    measured: Measured = receiver.recv()
    return measured


def _timed(sender: Connection, work: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    start = time.perf_counter()
    work(*arguments)
    wall_s = time.perf_counter() - start
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    sender.send(Measured(wall_s, kib / 1024))
