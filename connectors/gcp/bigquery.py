"""Fetches the invoice months of a billing export from BigQuery; a month on disk is always one whole query.

`<folder>/2026-10/charges.jsonl.gz` holds the rows of an invoice month as lines of JSON, `charges.csv.gz` those of a
FOCUS export. One cheap query tells what each month of the table has; a month whose rows, sums and newest export time
are those on disk is not read again, so that late rows bring their month anew. It is written into a hidden folder beside
it and takes its place when it has as many rows as the query's result and adds up to what the table says.

A month's query is billed once: its key is made of who asks what and of the month's state (queries.py).
"""

import base64
import csv
import gzip
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TextIO

from filelock import FileLock, Timeout
from google.cloud.bigquery import Table

from connectors import sync
from connectors.gcp import price_export
from connectors.gcp.export_table import ExportTable, Stamp
from connectors.gcp.queries import GIB, Queries
from connectors.gcp.refusals import Asked
from connectors.gcp.session import USUAL, Session, Tries
from finops.config import Gcp, Source
from finops.errors import CallError, ConfigError, FinopsError, SourceUnreachable

_PROBED: Final = Tries(total_s=20, answer_s=10, job_s=60)
_FETCHER: Final = ".fetcher.json"
_RESTARTS: Final = 3
_ROUNDING: Final = Decimal("1e-8")
"""How far a sum may differ for each row: the table's and ours round to nine decimals."""


@dataclass(frozen=True)
class Fetched:
    """What a fetch did: months brought, not changed, and kept though the table has them no more; what it was billed."""

    months: tuple[str, ...]
    unchanged: tuple[str, ...]
    kept: tuple[str, ...]
    rows: int
    billed_bytes: int


def pull(
    source: Source, folder: Path, *, home: Path, today: date, say: Callable[[str], None], tries: Tries = USUAL
) -> Fetched:
    """Bring the folder up to what the table has; each month is replaced whole or stays as it is.

    home: what `gcp.credentials` is relative to. Raises SourceUnreachable when the table cannot be read or a query
    fails, InputError for a table that is no export, ConfigError when `since` is still to come, CallError while another
    process fetches the source.
    """
    gcp = _settings(source)
    if gcp.since > today:
        raise ConfigError(
            f"{source.id} is to be fetched since {gcp.since}, which is still to come",
            expected=f"a day up to {today}",
            next_step="correct `gcp.since` of the source in finops.toml",
        )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / sync.LOCK, timeout=sync.LOCK_SECONDS):
            return _Run(source, gcp, folder, home, say, tries).run()
    except Timeout as error:
        raise CallError(
            f"another process has been fetching {source.id} for {sync.LOCK_SECONDS:.0f} s",
            expected="one fetch of a source at a time",
            next_step="wait for the other `finops` command to end, then repeat this one",
        ) from error


def probe(source: Source, *, home: Path, today: date, tries: Tries = _PROBED) -> list[sync.Probe]:
    """Who asks, which export the table is, and what looking at its months, and at days of prices, would read.

    It ends where one fails, and costs nothing: queries are only tried, not run.
    """
    gcp = _settings(source)
    found: list[sync.Probe] = []
    step = "credentials"
    try:
        run = _Run(source, gcp, Path(), home, lambda _: None, tries)
        found.append(sync.Probe(step, "ok", f"Google is asked as {run.session.asked.member}"))
        step = "table"
        table = run.open()
        pruned = f"partitioned by {table.partition[0]}" if table.partition else "without partitions"
        found.append(sync.Probe(step, "ok", f"{gcp.table} is the {table.kind} usage cost export, {pruned}"))
        step = "query"
        size = run.queries.dry_run(table.months_query(gcp.since))
        paid = f"{run.session.asked.project} pays"
        found.append(sync.Probe(step, "ok", f"the query of its months reads {size / GIB:,.3f} GiB, which {paid}"))
        if gcp.prices_table:
            step = "prices"
            address, size = price_export.tried(run.session, gcp, today=today)
            found.append(sync.Probe(step, "ok", f"the query of the days of {address} reads {size / GIB:,.3f} GiB"))
    except FinopsError as error:
        found.append(sync.Probe(step, "unreachable", error.found.removeprefix(f"{source.id}: "), error.next_step))
    return found


def _settings(source: Source) -> Gcp:
    assert source.gcp is not None, "the caller asked"
    return source.gcp


class _Run:
    """One fetch of a source."""

    def __init__(
        self, source: Source, gcp: Gcp, folder: Path, home: Path, say: Callable[[str], None], tries: Tries
    ) -> None:
        self.source, self.gcp, self.folder, self.say = source, gcp, folder, say
        project = gcp.job_project or gcp.table.rsplit(".", 2)[0]
        again = f"run `finops ingest {source.id}` again; what was fetched before stays as it is"
        asked = Asked(source.id, "the login of gcloud or of this machine", project, again, gcp.table)
        self.session = Session(gcp, home, asked, tries=tries, say=say)
        self.queries = Queries(self.session, gcp.max_gib_billed, say)
        self.rows = 0

    def run(self) -> Fetched:
        table = self.open()
        if table.partition is None:
            self.say(f"{self.source.id}: {table.address} has no partitions, so each query reads all of it")
        stamps = self._stamps(table)
        brought: list[str] = []
        kept = sorted({path.name for path in self.folder.glob("[0-9]*-[0-9]*") if path.is_dir()} - set(stamps))
        for month, stamp in stamps.items():
            target = self.folder / month
            sync.recover(target)
            if self._is_there(target, table, stamp):
                continue
            if table.expires and stamp.rows < self._rows_on_disk(target):
                kept.append(month)
                continue
            self._month(table, month, stamp)
            brought.append(month)
        unchanged = tuple(month for month in stamps if month not in (*brought, *kept))
        self.say(
            f"{self.source.id}: {len(brought)} month(s) fetched with {self.rows:,} rows, "
            f"{self.queries.billed_bytes / GIB:,.3f} GiB billed; {len(unchanged)} had not changed"
        )
        if kept:
            self.say(f"{self.source.id}: {', '.join(sorted(kept))} kept, of which the table has fewer rows or none")
        return Fetched(tuple(brought), unchanged, tuple(sorted(kept)), self.rows, self.queries.billed_bytes)

    def open(self) -> ExportTable:
        """The table of the config."""
        return ExportTable.of(self.queries.open(self.gcp.table))

    # ------------------------------------------------------------------------------------------------------- months
    def _stamps(self, table: ExportTable) -> dict[str, Stamp]:
        """What each month of the table has now."""
        query = table.months_query(self.gcp.since)
        stamps = table.stamps(self.queries.rows(f"the months of {table.address}", query))
        if not stamps:
            raise SourceUnreachable(
                f"{self.source.id}: {table.address} has no invoice month since {self.gcp.since:%Y-%m}",
                expected="a month with charges",
                next_step="correct `gcp.since` of the source, or wait: a new export has its first rows within a day",
            )
        return stamps

    def _month(self, table: ExportTable, month: str, stamp: Stamp) -> None:
        """Bring a month, anew when rows come meanwhile."""
        part = self.folder / f".{month}.part"
        why = ""
        for attempt in range(_RESTARTS):
            read = self._read(table, month, stamp, part, attempt)
            if not _agrees(read, stamp):
                newer = self._stamps(table).get(month)
                if newer is None:
                    raise self.queries.broken(
                        f"{month} of {table.address}", "its rows were taken away while it was read"
                    )
                stamp, before = newer, stamp
                if not _agrees(read, stamp):
                    why = f"the table has {stamp.text}, the query's result {read.text}"
                    self.say(f"{self.source.id}: {month} changed while it was read ({before.text}); started again")
                    continue
            file = next(part.glob("charges.*"))
            sync.write(
                part / sync.PULLED,
                {"state": _state(table, stamp), "rows": stamp.rows, "file": file.name, "size": file.stat().st_size},
            )
            sync.replace(self.folder / month, part)
            self.rows += stamp.rows
            return
        raise self.queries.broken(f"{month} of {table.address}", why)

    def _read(self, table: ExportTable, month: str, stamp: Stamp, part: Path, attempt: int) -> Stamp:
        """Write the rows of a month into a new part; what was read adds up to the stamp that it returns."""
        query = table.month_query(month, stamp)
        asked = (self._fetcher(), query.sql, query.parameters, stamp.text, self.gcp.max_gib_billed, attempt)
        key = hashlib.sha256(repr(asked).encode()).hexdigest()[:32]
        result = self.queries.result(query, name=month, key=key)
        return self.queries.whole(f"{month} of {table.address}", result, lambda: self._write(table, result, part))

    def _write(self, table: ExportTable, result: Table, part: Path) -> tuple[int, Stamp]:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        rows, sums = 0, (Decimal(0), Decimal(0))
        name = "charges.csv.gz" if table.kind == "FOCUS" else "charges.jsonl.gz"
        with gzip.open(part / name, "wt", encoding="utf-8", newline="") as file:
            write = _csv(file, table.columns) if table.kind == "FOCUS" else _lines(file)
            for record in self.queries.listed(result):
                first, second = table.amounts(record)
                sums = (sums[0] + first, sums[1] + second)
                rows += 1
                write(record)
        return rows, Stamp(rows, sums, "", None, None)

    # ------------------------------------------------------------------------------------------------------ on disk
    def _is_there(self, target: Path, table: ExportTable, stamp: Stamp) -> bool:
        """Whether the folder holds that state of the month, and nobody took its file away."""
        pulled = sync.stated(target / sync.PULLED)
        file = target / str(pulled.get("file"))
        return (
            pulled.get("state") == _state(table, stamp) and file.is_file() and file.stat().st_size == pulled.get("size")
        )

    def _fetcher(self) -> str:
        """What tells this folder's jobs from those of others who read the table: nobody sees another one's results."""
        file = self.folder / _FETCHER
        found = sync.stated(file).get("id")
        if not isinstance(found, str):
            found = uuid.uuid4().hex
            sync.write(file, {"id": found})
        return found

    def _rows_on_disk(self, target: Path) -> int:
        rows = sync.stated(target / sync.PULLED).get("rows")
        return rows if isinstance(rows, int) else 0


def _state(table: ExportTable, stamp: Stamp) -> str:
    return f"{table.address}: {stamp.text}"


def _agrees(read: Stamp, stamp: Stamp) -> bool:
    """Whether what was read has the rows and sums that the table states."""
    within = _ROUNDING * max(read.rows, 1)
    return read.rows == stamp.rows and all(
        abs(ours - theirs) <= within for ours, theirs in zip(read.sums, stamp.sums, strict=True)
    )


def _lines(file: TextIO) -> Callable[[Mapping[str, Any]], object]:
    def write(record: Mapping[str, Any]) -> None:
        filled = {name: value for name, value in record.items() if value is not None and value != []}
        file.write(json.dumps(filled, default=_plain, ensure_ascii=False, separators=(",", ":")) + "\n")

    return write


def _csv(file: TextIO, columns: tuple[str, ...]) -> Callable[[Mapping[str, Any]], object]:
    """Rows of CSV; records become JSON, pairs of key and value a JSON object."""
    writer = csv.writer(file)
    writer.writerow(columns)

    def cell(value: Any) -> Any:
        if (
            isinstance(value, list)
            and value
            and all(isinstance(v, dict) and {"key", "value"} <= v.keys() for v in value)
        ):
            value = {pair["key"]: pair["value"] for pair in value}
        if isinstance(value, list | dict):
            return json.dumps(value, default=_plain, ensure_ascii=False) if value else None
        return None if value is None else _plain(value) if not isinstance(value, str | int | float) else value

    return lambda record: writer.writerow([cell(record[name]) for name in columns])


def _plain(value: Any) -> str:
    """What JSON has no type for, as text: numbers with all digits, times as ISO 8601."""
    if isinstance(value, datetime | date | clock):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
