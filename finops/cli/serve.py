"""`finops app`: the Streamlit app over the home, on this machine only."""

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

import reports
from finops.cli.session import session
from finops.errors import CallError
from reports.theme import streamlit_options

ADDRESS: Final = "127.0.0.1"
SCRIPT: Final = Path(reports.__file__).parent.parent / "app.py"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("app")(serve)


def serve(
    context: typer.Context, port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501
) -> None:
    """Serve the app over this home at an address of this machine, until Ctrl-C."""
    current = session(context)
    name = current.config.company.name  # a wrong finops.toml fails here, before anything is served
    _refuse_taken(port)
    typer.echo(f"{name}: http://localhost:{port}  (Ctrl-C ends it)")
    sys.stdout.flush()
    environment = {**os.environ, "FINOPS_HOME": str(current.home.resolve())}
    os.execve(sys.executable, [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *options(port)], environment)


def options(port: int) -> Iterable[str]:
    """Streamlit's options: nothing leaves this machine, and no other site's page can talk to the server.

    Streamlit checks the Origin of its websocket only with CORS on, and the Host only against a stated list.
    """
    yield f"--server.address={ADDRESS}"
    yield f"--server.port={port}"
    yield "--server.headless=true"
    yield "--server.enableCORS=true"
    yield "--server.enableXsrfProtection=true"
    yield "--server.allowedHosts=localhost"
    yield f"--server.allowedHosts={ADDRESS}"
    yield "--server.fileWatcherType=none"
    yield "--browser.gatherUsageStats=false"
    yield "--client.toolbarMode=viewer"
    yield "--client.showErrorDetails=none"
    yield from streamlit_options()


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise CallError(
                f"port {port} of {ADDRESS} cannot be used ({error.strerror})",
                expected="a port that no other program listens on",
                next_step=f"`finops app --port {port + 1}`, or end the other program",
            ) from error
