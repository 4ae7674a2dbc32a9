"""The `finops` command: global options, the commands of each group, and one place that turns errors into exit codes."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from finops import __version__
from finops.cli import (
    anomalies,
    budgets,
    company,
    export,
    forecast,
    ingest,
    offers,
    placement,
    price,
    quality,
    recommendations,
    rightsize,
    serve,
    spend,
    tokens,
    utilisation,
    variance,
    what_if,
)
from finops.cli.session import Format, Session, session
from finops.errors import FinopsError

app = typer.Typer(
    name="finops",
    help="Cloud, API, GPU and on-prem AI spend: tied to the invoice, forecast, placed, and explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


for group in (
    company,
    ingest,
    quality,
    spend,
    tokens,
    utilisation,
    rightsize,
    variance,
    forecast,
    what_if,
    anomalies,
    placement,
    price,
    offers,
    recommendations,
    budgets,
    export,
    serve,
):
    group.register(app)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"finops {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    home: Annotated[
        Path, typer.Option("--home", envvar="FINOPS_HOME", help="Holds finops.toml, lake/, raw/ and outputs/.")
    ] = Path("finops-home"),
    output_format: Annotated[Format, typer.Option("--format", help="How results are printed.")] = Format.table,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")] = False,
    _show_version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options that stand before every command."""
    current = session(context)
    current.home, current.format, current.quiet = home, output_format, quiet


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are printed to stderr as found / expected / next."""
    current = Session()
    try:
        typer.main.get_command(app)(_global_first(arguments), prog_name="finops", obj=current)
    except FinopsError as error:
        current.failed(error)
    except SystemExit as done:  # Typer ends every command so, with its own code for a wrong call
        return done.code if isinstance(done.code, int) and done.code else current.exit_code
    return current.exit_code


def _global_first(arguments: list[str] | None) -> list[str]:
    """The arguments with the global options before the command, wherever they were written."""
    rest = list(sys.argv[1:] if arguments is None else arguments)
    first: list[str] = []
    for position, argument in reversed(list(enumerate(rest))):
        name = argument.split("=")[0]
        if name in ("--home", "--format") and (argument != name or position + 1 < len(rest)):
            first = rest[position : position + (1 if argument != name else 2)] + first
            del rest[position : position + (1 if argument != name else 2)]
        elif argument == "--quiet":
            first.insert(0, rest.pop(position))
    return first + rest


def main() -> None:
    """Run and exit: 0 done, 1 needs attention, 2 wrong call, config or input, 3 a source was unreachable."""
    sys.exit(run())


if __name__ == "__main__":
    main()
