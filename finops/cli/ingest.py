"""`finops ingest`: bills into the lake."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from connectors.registry import names
from finops.cli.session import Format, Session, session
from finops.config import Source
from finops.errors import CallError
from finops.pipeline import ingest as ingesting
from finops.pipeline import tables
from finops.pipeline.totals import Batch, needs_attention

Period = Annotated[str | None, typer.Option("--period", metavar="YYYY-MM", help="One billing period.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(ingest)


def ingest(
    context: typer.Context,
    sources: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Of finops.toml; all.")] = None,
    period: Period = None,
    connector: Annotated[str | None, typer.Option(help=f"Connector of --file: {', '.join(names())}.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="One local file or folder instead of the configured sources.")
    ] = None,
    source_id: Annotated[str | None, typer.Option(help="What to call --file's source; the connector's name.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Allow a load that drops files the lake holds.")] = False,
) -> None:
    """Load bills into the lake; each billing period is replaced whole, or nothing changes."""
    current = session(context)
    check_period(period)
    if file or connector:
        chosen = _file_source(connector, file, source_id)
    else:
        chosen = _configured(current, sources or [])
        tables.load(current.config, current.lake, say=current.say)  # mappings say whose charges are
    until = datetime.now(UTC).date() + timedelta(days=1)
    loaded = ingesting.ingest_all(
        current.config, current.lake, chosen, say=current.say, until=until, period=period, replace=replace
    )
    for error in loaded.failed.values():
        current.failed(error)
    if needs_attention(loaded.batches):
        current.needs_attention()
    if loaded.batches or not loaded.failed:
        _show_batches(current, loaded.batches)


def check_period(period: str | None) -> None:
    """Raise CallError for a --period that is no month."""
    if period is None:
        return
    try:
        datetime.strptime(period, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise CallError(
            f"--period {period}", expected="a month as YYYY-MM", next_step="write it as in 2026-10"
        ) from error


def _file_source(connector: str | None, file: Path | None, source_id: str | None) -> list[Source]:
    if not (connector and file):
        raise CallError(
            "only one of --connector and --file",
            expected="both: the connector says how the file is read",
            next_step="for example: finops ingest --connector focus --file bill.csv",
        )
    return [Source(id=source_id or connector, connector=connector, path=file.resolve())]


def _configured(current: Session, wanted: list[str]) -> list[Source]:
    known = {source.id: source for source in current.config.sources}
    unknown = [name for name in wanted if name not in known]
    if unknown or not known:
        raise CallError(
            f"no source {', '.join(unknown)}" if unknown else f"{current.home} configures no source",
            expected=f"one of {', '.join(known)}" if known else "at least one [[sources]] in finops.toml",
            next_step="`finops init` writes a commented finops.toml; or use --connector and --file",
        )
    return [known[name] for name in wanted] if wanted else list(known.values())


def _show_batches(current: Session, batches: Sequence[Batch]) -> None:
    if current.format is Format.json:
        documents = [{k: v for k, v in asdict(b).items() if k != "changed"} for b in batches]
        current.show_document({"batches": documents})
        return
    rows = [
        {
            "source": b.source,
            "billing_period": b.billing_period,
            "rows_read": b.rows_read,
            "rows_stored": b.rows_stored,
            "rows_quarantined": b.rows_quarantined,
            "currency": billed.currency,
            "billed_read": billed.read,
            "billed_stored": billed.stored,
            "billed_quarantined": billed.quarantined,
            "effective_stored": effective.stored,
        }
        for b in batches
        for billed, effective in zip(b.billed_cost, b.effective_cost, strict=True)
    ]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    if current.format is Format.table:
        frame = frame.drop("rows_stored", "billed_read")
        if not frame["rows_quarantined"].sum():
            frame = frame.drop("rows_quarantined", "billed_quarantined")
        frame = frame.rename(
            {"billing_period": "period", "billed_stored": "billed_cost", "effective_stored": "effective_cost"}
        )
    current.show(frame, title="Loaded")
