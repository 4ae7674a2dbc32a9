"""`finops export`: files for budgeting, and a FOCUS dataset."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from finops.cli.session import Format, session
from finops.focus_rules import VERSIONS
from finops.pipeline.exported import ExportedFile
from finops.pipeline.exports import export
from finops.pipeline.focus_export import FORMS, FocusExport


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export_files)


def export_files(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Where to write; by default outputs/ of the home.")
    ] = None,
    focus: Annotated[
        str | None, typer.Option(help=f"Also all charges as a FOCUS dataset: {', '.join(VERSIONS)}.")
    ] = None,
    form: Annotated[str, typer.Option("--as", help=f"The form of the FOCUS files: {' or '.join(FORMS)}.")] = FORMS[0],
) -> None:
    """Write CSVs for budgeting, each tied to the lake's total; with --focus all charges too, checked by its rules."""
    current = session(context)
    # a line a file in the terminal: a table would break the paths
    as_lines = current.format is Format.table
    say = typer.echo if as_lines else (lambda _: None)
    run = export(current.config, current.lake, directory=directory, focus=focus, form=form, say=say)
    if as_lines:
        return
    document = {"focus": _focus(run.focus)} if run.focus else None
    current.show(pl.DataFrame(_amounts(run.files)), key="files", document=document)


def _amounts(files: Iterable[ExportedFile]) -> list[dict[str, object]]:
    """One record for each file and currency."""
    return [
        {"path": str(file.path), "rows": file.rows, "measure": file.measure, "currency": currency, "total": total}
        for file in files
        for currency, total in (file.totals.items() or [(None, None)])
    ]


def _focus(written: FocusExport) -> dict[str, object]:
    """The FOCUS part of the JSON: the other datasets, and each broken rule."""
    return {
        "version": written.version,
        "other_files": _amounts(written.others),
        "report": str(written.report),
        "findings": written.findings.to_dicts(),
    }
