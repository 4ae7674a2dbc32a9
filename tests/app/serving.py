"""The app on a local port, as `finops app` serves it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finops.cli.serve import SCRIPT, options

HEALTHY_SECONDS = 60


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The address of the app for a home, once it answers; it ends with the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *options(port)]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env={**os.environ, "FINOPS_HOME": str(home)}, stdout=quiet, stderr=quiet)
    try:
        _wait_until_healthy(f"http://localhost:{port}")
        yield f"http://localhost:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_until_healthy(url: str) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)
