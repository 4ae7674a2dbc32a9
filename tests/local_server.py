"""A server in a process of its own that says in its log where it listens."""

import re
import subprocess
import time
from pathlib import Path


def endpoint(server: "subprocess.Popen[bytes]", log: Path, says: str) -> str:
    """The address in the log, the first group of `says`; raises RuntimeError where the server ends or says nothing."""
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        if found := re.search(says, log.read_text()):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"the local server did not start: {log.read_text()}")
