"""Solving from the page: the same command as in a terminal, in a process of its own, each stage shown as it comes."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Final

import streamlit as st

from finops.pipeline.scenario_log import SavedScenario
from reports.screens.page import Page

ASKED, OUTCOME = "solve_asked", "solve_outcome"
EVERY_S: Final = 0.25
"""How often the time that the current stage takes is shown anew."""
KEPT: Final = "nothing has changed since its plan"
"""What the command says where it takes the kept plan."""


def ask() -> None:
    """Solve the chosen scenarios with the next run of the page."""
    st.session_state[ASKED] = True


def asked() -> bool:
    """Whether to solve now; asked once."""
    return bool(st.session_state.pop(ASKED, False))


def solve(page: Page, scenarios: Sequence[SavedScenario]) -> None:
    """Solve scenarios as `finops optimize` does, then show the page with the new plans; another click ends it.

    The program keeps a processor busy, so it has a process of its own: the pages of others stay as quick as they were.
    """
    where = ["--home", str(page.config.home), "--format", "json"]
    command = [sys.executable, "-P", "-m", "finops.cli.main", *where, "optimize"]
    command += [str(s.path.resolve()) for s in scenarios]
    said: list[str] = []
    with st.status(f"Solving {', '.join(s.name for s in scenarios)}", expanded=True):
        done, current = st.empty(), st.empty()
        current.markdown(":material/hourglass_top: starting the solver")
        with _running(command) as process:  # a click elsewhere leaves this run of the page from within
            assert process.stderr is not None
            since = time.monotonic()
            for line in _lines(process.stderr):
                if line:
                    done.markdown("\n".join(f"- {text}" for text in said))
                    said.append(line)
                    since = time.monotonic()
                stage = said[-1] if said else "starting the solver"
                current.markdown(f":material/hourglass_top: {stage} · {time.monotonic() - since:.0f} s")
            code = process.wait()
    st.session_state[OUTCOME] = (code, said)
    st.rerun()


@contextmanager
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose stderr is read; it ends with the block, and with it the workers that it has started."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)


def _lines(stream: IO[str]) -> Iterator[str]:
    """The lines of a stream as they come, and an empty one whenever there is none for a while."""
    arrived: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in stream:
            arrived.put(line.rstrip())
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=EVERY_S)
        except queue.Empty:
            yield ""
            continue
        if line is None:
            return
        yield line


def outcome() -> None:
    """What the last solve came to, once: solved, taken from the kept plans, or why there is no plan."""
    found: tuple[int, list[str]] | None = st.session_state.pop(OUTCOME, None)
    if found is None:
        return
    code, said = found
    started = list(dict.fromkeys(line.split(":")[0] for line in said if line.endswith(": solving the plan")))
    solved = started if code == 0 else started[:-1]  # they come one after the other; the last one met the error
    if solved:
        st.success(f"Solved: {', '.join(solved)}.", icon=":material/check:")
    for line in said:
        if KEPT in line:
            st.info(f"{line}: the kept plan is shown.", icon=":material/inventory_2:")
    if code == 0:
        return
    start = next((i for i, line in enumerate(said) if line.startswith("error: ")), 0)
    with st.container(border=True):
        heads = ("**What happened:** ", "**Expected:** ", "**What to do:** ")
        for head, line in zip(heads, said[start:], strict=False):
            st.markdown(head + line.strip().split(": ", 1)[-1])
