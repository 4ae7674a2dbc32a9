"""What every command shares: the home it works in, the format it prints, and the printing itself.

A command prints one result. With `json` that is one object on stdout and nothing else; logs, progress and
warnings go to stderr in every format.
"""

import json
import sys
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import typer
from rich.console import Console
from rich.table import Table

from finops.config import Config, load_config
from finops.errors import CallError, FinopsError
from finops.store import Lake
from reports.export import csv_text


class Format(StrEnum):
    """How a result is printed."""

    table = "table"
    json = "json"
    csv = "csv"


@dataclass
class Session:
    """One invocation of `finops`: home, output format, and what is opened lazily from them."""

    home: Path = Path("finops-home")
    format: Format = Format.table
    quiet: bool = False
    exit_code: int = field(default=0)

    @cached_property
    def config(self) -> Config:
        """The home's finops.toml, or the defaults where there is none."""
        return load_config(self.home)

    @cached_property
    def lake(self) -> Lake:
        """The home's lake."""
        return Lake.of(self.config)

    def say(self, text: str) -> None:
        """A line of progress or warning on stderr, unless --quiet."""
        if not self.quiet:
            typer.echo(text, err=True)

    def failed(self, error: FinopsError) -> None:
        """An error on stderr, as found / expected / next; the gravest one's exit code ends the command (2, then 3)."""
        typer.echo(f"error: {error}", err=True)
        self.exit_code = min({self.exit_code, error.exit_code} - {0, 1})

    def needs_attention(self) -> None:
        """End with exit code 1, unless something graver is already known (order of gravity: 2, 3, 1)."""
        if self.exit_code == 0:
            self.exit_code = 1

    def show(
        self,
        frame: pl.DataFrame,
        *,
        key: str = "rows",
        title: str | None = None,
        document: dict[str, Any] | None = None,
    ) -> None:
        """Print a result: the frame as a table or CSV; as JSON an object with its rows under `key` plus `document`."""
        if self.format is Format.json:
            self.show_document({key: frame.to_dicts(), **(document or {})})
        elif self.format is Format.csv:
            sys.stdout.write(csv_text(frame))
        else:
            print_table(frame, title=title)

    def show_document(self, document: dict[str, Any]) -> None:
        """Print one JSON object."""
        typer.echo(json.dumps(document, default=_plain, ensure_ascii=False, indent=2))


def session(context: typer.Context) -> Session:
    """The session of the running command."""
    found = context.find_object(Session)
    assert found is not None, "main() sets the session before any command runs"
    return found


def conditions(given: list[str]) -> dict[str, list[str]]:
    """COL=VALUE pairs of --where; a column that is named twice may have either value."""
    found: dict[str, list[str]] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise CallError(f"--where {pair}", expected="COL=VALUE, like team=search", next_step="add the value")
        found.setdefault(name.strip(), []).append(value.strip())
    return found


def print_table(frame: pl.DataFrame, *, title: str | None = None, console: Console | None = None) -> None:
    """Print a frame as a terminal table: numbers right-aligned, money with two decimals and thousands separators."""
    table = Table(title=title, title_justify="left", header_style="bold")
    numeric = {name for name, kind in frame.schema.items() if kind.is_numeric()}
    for name in frame.columns:
        table.add_column(name, justify="right" if name in numeric else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(_cell(value) for value in row))
    (console or Console(soft_wrap=False)).print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal | float):
        number = float(value)
        small = 0 < abs(number) < 0.01
        return f"{number:.3g}" if small else f"{number:,.2f}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _plain(value: object) -> str:
    """JSON form of what json.dumps does not know: decimals as exact strings, times in ISO 8601."""
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path | StrEnum):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
