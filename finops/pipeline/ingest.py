"""Ingest: the files of a source become charges and usage of the lake, period by period, or nothing changes.

A load stages its files as Parquet, checks that it drops nothing the lake holds, classifies, replaces the partitions in
one transaction, and then proves on what was written that read = stored + quarantined, per period, file and currency.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final, cast

import polars as pl

from connectors import files, gpu_usage
from connectors.registry import (
    METERED,
    PARSED,
    RAW,
    REJECT,
    SOURCE_ROWS,
    Connector,
    Meter,
    RawPart,
    connector,
    ledger_role,
)
from finops import schema as s
from finops.classify import classify
from finops.config import Config, Source
from finops.errors import CallError, FinopsError, InputError, LoadRefused, SourceUnreachable
from finops.pipeline import pulling, stated_invoices
from finops.pipeline.daily import spend_daily
from finops.pipeline.totals import UNKNOWN_PERIOD, Batch, batches_of, known_currency, read_totals, tied_out
from finops.pipeline.usage import refuse_lost_usage, usage_daily, usage_quarantine, usage_totals
from finops.pipeline.utilisation import gpu_hours, refuse_lost_hours
from finops.rules import Rules, load_rules
from finops.store import Lake, Transaction, again_on_conflict, schema_digest

SLICE_ROWS: Final = 250_000
"""Charges that are classified and written at a time."""


@dataclass(frozen=True)
class Ingested:
    """The batches of the sources that were loaded, and the errors of the others."""

    batches: tuple[Batch, ...]
    failed: dict[str, FinopsError]


def ingest_all(
    config: Config,
    lake: Lake,
    sources: Sequence[Source],
    *,
    say: Callable[[str], None],
    until: date,
    period: str | None = None,
    replace: bool = False,
) -> Ingested:
    """Load sources one after the other; one that cannot be read or reached leaves the others done."""
    batches: list[Batch] = []
    failed: dict[str, FinopsError] = {}
    for source in sources:
        try:
            batches += ingest(config, lake, source, say=say, until=until, period=period, replace=replace)
        except (CallError, SourceUnreachable) as error:
            failed[source.id] = error
    return Ingested(tuple(batches), failed)


@again_on_conflict
def ingest(
    config: Config,
    lake: Lake,
    source: Source,
    *,
    say: Callable[[str], None],
    until: date,
    period: str | None = None,
    replace: bool = False,
) -> list[Batch]:
    """Load a source's files; the same files again change nothing and report the same figures.

    A source with `pull` or a cloud is fetched first; its months are whole, so a file that is gone was restated. until:
    day (exclusive) up to which sources that grow with time are read. period: load only that month. replace: allow a
    load that leaves out a file which a partition already holds. Raises InputError for files that cannot be read,
    LoadRefused for a load that would drop rows of a file it does not have, SourceUnreachable as `pulling.pull` does.
    """
    reader = connector(source.connector)
    if source.is_fetched:
        pulling.pull(config, source, today=until - timedelta(days=1), say=say)
        stated_invoices.keep(config, lake, source, say=say)
        replace = True
    path = config.files_of(source)
    parts = files.source_parts(reader, path, until=until, options=source.options, say=say)
    rules = load_rules(tuple(config.path(p) for p in config.classification.rules))
    digests = {p.name: files.digest(p.path) for p in parts}
    batch_id = _batch_id(config, lake, source, rules, digests, until, period)
    same_files = _loads_of(source, lake.scan("loads")).filter(pl.col("source_file").is_in(list(digests)))
    if set(same_files["batch_id"]) == {batch_id} and set(same_files["source_file"]) == set(digests):
        say(f"{source.id}: the lake already holds these files as they are")
        return batches_of(same_files, changed=False)
    with tempfile.TemporaryDirectory(prefix="finops-ingest-") as folder:
        staged = _stage(reader, parts, source, digests, Path(folder), period)
        metered = pl.concat([usage_totals(staged.usage, config), usage_totals(staged.gpu_usage, config)])
        totals = pl.concat([read_totals(staged.charges), metered])
        _refuse_nothing_readable(totals, source, staged)
        with lake.transaction(f"ingest {source.id}") as tx:
            known = _loads_of(source, tx.scan("loads"))
            periods = _affected_periods(totals, known, digests, period)
            _refuse_left_out(known, digests, periods, replace=replace, source=source)
            load = _Load(tx, source, config, rules, batch_id, digests, periods)
            loads = load.write(staged, totals, metered)
    say(f"{source.id}: {loads['rows_read'].sum():,} rows of {len(parts)} file(s), {len(periods)} billing period(s)")
    return batches_of(loads, changed=True)


@dataclass(frozen=True)
class _Staged:
    """The parsed rows of all files, as Parquet: PARSED, METERED or GPU_HOURS, with x_BillingPeriod.

    Charges also have x_ChargeId.
    """

    charges: pl.LazyFrame
    usage: pl.LazyFrame
    gpu_usage: pl.LazyFrame

    def rejects(self, config: Config) -> pl.LazyFrame:
        """All refused rows, with what the quarantine needs of each."""
        metered = (usage_quarantine(frame, config) for frame in (self.usage, self.gpu_usage))
        refused = self.charges.filter(pl.col(REJECT).is_not_null())
        needed = [
            s.BILLING_PERIOD, s.SOURCE_FILE, s.SOURCE_ROW, REJECT, RAW, s.BILLING_CURRENCY, s.BILLED_COST,
            s.EFFECTIVE_COST,
        ]  # fmt: skip
        return pl.concat([frame.select(needed) for frame in (refused, *metered)])


def _batch_id(
    config: Config,
    lake: Lake,
    source: Source,
    rules: Rules,
    digests: dict[str, str],
    until: date,
    period: str | None,
) -> str:
    """A fingerprint of everything that the stored rows are made from."""
    mappings = lake.scan("mappings").collect().sort("kind", "match").write_json()
    made_from = [
        source.model_dump_json(exclude={"path", "pull", "aws", "azure", "gcp"}),
        sorted(digests.items()),
        schema_digest(),
        rules.digest,
        config.tags.model_dump_json(),
        mappings,
        until.isoformat() if source.connector == "on_prem" else "",
        period,
    ]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]


def _loads_of(source: Source, loads: pl.LazyFrame) -> pl.DataFrame:
    return loads.filter(pl.col("source_id") == source.id).collect()


def _stage(
    reader: Connector,
    parts: list[RawPart],
    source: Source,
    digests: dict[str, str],
    folder: Path,
    period: str | None,
) -> _Staged:
    """The parsed rows of all parts as Parquet, each part streamed on its own."""
    staged: dict[str, list[Path]] = {"charges": [], "usage": [], "gpu_usage": []}
    for number, part in enumerate(parts):
        with files.readable(part.path):
            if part.holds == "charges":
                identity = _charge_id(source, part.name, digests[part.name]).alias(s.CHARGE_ID)
                day, parsed = pl.col(s.BILLING_PERIOD_START), reader.parse(part).with_columns(identity)
            elif part.holds == "usage":
                day, parsed = pl.col("day"), cast(Meter, reader).parse_usage(part)
            else:
                day, parsed = pl.col("hour"), gpu_usage.parse_gpu_usage(part)
            month = pl.coalesce(day.dt.strftime("%Y-%m"), pl.lit(UNKNOWN_PERIOD)).alias(s.BILLING_PERIOD)
            parsed = parsed.with_columns(month)
            if period is not None:
                parsed = parsed.filter(pl.col(s.BILLING_PERIOD).is_in([period, UNKNOWN_PERIOD]))
            staged[part.holds].append(folder / f"{number:05}.parquet")
            parsed.sink_parquet(staged[part.holds][-1])
    text = pl.String()
    nothing = {
        "charges": pl.LazyFrame(schema={**PARSED, s.CHARGE_ID: text, s.BILLING_PERIOD: text}),
        "usage": pl.LazyFrame(schema={**METERED, s.BILLING_PERIOD: text}),
        "gpu_usage": pl.LazyFrame(schema={**gpu_usage.GPU_HOURS, s.BILLING_PERIOD: text}),
    }
    return _Staged(**{kind: pl.scan_parquet(paths) if paths else nothing[kind] for kind, paths in staged.items()})


def _refuse_nothing_readable(totals: pl.DataFrame, source: Source, staged: _Staged) -> None:
    if totals["rows"].sum() == 0 and not source.is_fetched:
        raise InputError(
            f"the files of {source.id} hold no row",
            expected="at least one charge or line of usage",
            next_step="check the export's filters and period",
        )
    if len(totals) and totals["rejected"].all():
        where = (s.SOURCE_FILE, s.SOURCE_ROW, REJECT)
        reasons = (
            pl.concat([f.select(where) for f in (staged.charges, staged.usage, staged.gpu_usage)]).head(3).collect()
        )
        listed = "; ".join(f"{file} row {row}: {why}" for file, row, why in reasons.iter_rows())
        raise InputError(
            f"no row of {source.id} can be read ({listed})",
            expected="plain decimal numbers, ISO dates and ISO currencies",
            next_step="correct the export; nothing was stored",
        )


def _affected_periods(
    totals: pl.DataFrame, known: pl.DataFrame, digests: dict[str, str], period: str | None
) -> list[str]:
    """Periods that the load has rows of, and those that an older version of its files had rows of."""
    before = known.filter(pl.col("source_file").is_in(list(digests)))["billing_period"]
    periods = {*totals["billing_period"], *before}
    return sorted(periods if period is None else periods & {period, UNKNOWN_PERIOD})


def _refuse_left_out(
    known: pl.DataFrame, digests: dict[str, str], periods: list[str], *, replace: bool, source: Source
) -> None:
    left_out = known.filter(
        pl.col("billing_period").is_in(periods)
        & (pl.col("billing_period") != UNKNOWN_PERIOD)
        & ~pl.col("source_file").is_in(list(digests))
    )
    if replace or left_out.is_empty():
        return
    names = ", ".join(sorted(set(left_out["source_file"])))
    held = ", ".join(sorted(set(left_out["billing_period"])))
    raise LoadRefused(
        f"the load of {source.id} leaves out {names}, which the lake holds in {held}",
        expected="every file of a billing period in one load, because a period is replaced whole",
        next_step="load the folder that holds all of them, or add --replace to drop what is left out",
    )


@dataclass(frozen=True)
class _Load:
    """The writes of one load: what it replaces, and with what."""

    tx: Transaction
    source: Source
    config: Config
    rules: Rules
    batch_id: str
    digests: dict[str, str]
    periods: list[str]

    def write(self, staged: _Staged, totals: pl.DataFrame, metered: pl.DataFrame) -> pl.DataFrame:
        """Write all tables of the load and return its rows of `loads`; raises LakeError when the sums do not tie.

        totals: of all that was read. metered: those of usage.
        """
        months = [p for p in self.periods if p != UNKNOWN_PERIOD]
        charges, usage, hours = (
            self.tx.scan(table).filter(pl.lit(False)) for table in ("charges", "token_usage", "gpu_usage")
        )
        if months:
            charges = self._write_charges(staged.charges, months)
            usage = self._write_usage(staged.usage, months)
            hours = self._write_hours(staged.gpu_usage, months)
        refuse_lost_usage(staged.usage, usage, self.source)
        refuse_lost_hours(staged.gpu_usage, hours, self.source)
        quarantine = self._quarantine(staged.rejects(self.config))
        self.tx.replace("quarantine", self._kept("quarantine", quarantine))
        loads = tied_out(totals, charges, metered, quarantine, self.source, self.batch_id, self.digests)
        self.tx.replace("loads", self._kept("loads", loads))
        return loads

    def _write_charges(self, staged: pl.LazyFrame, months: list[str]) -> pl.LazyFrame:
        where = {s.SOURCE_ID: [self.source.id], s.BILLING_PERIOD: months}
        count = staged.select(pl.len()).collect().item() if months else 0
        if not (count or self._holds("charges", where)):
            return self.tx.scan("charges").filter(pl.lit(False))
        # in slices, because a Delta write holds all its rows in memory
        for start in range(0, max(count, 1), SLICE_ROWS):
            rows = self._charges(staged.slice(start, SLICE_ROWS))
            if start == 0:
                self.tx.replace("charges", rows, where=where)
            else:
                self.tx.append("charges", rows)
        stored = self.tx.scan("charges").filter(_in(where))
        self.tx.replace("spend_daily", spend_daily(stored), where=where)
        return stored

    def _write_usage(self, staged: pl.LazyFrame, months: list[str]) -> pl.LazyFrame:
        where = {"source_id": [self.source.id], "billing_period": months}
        mappings = self.tx.scan("mappings").collect()
        rows = usage_daily(staged, self.config, self.source, self.rules, mappings, self.batch_id).collect(
            engine="streaming"
        )
        if len(rows) or self._holds("token_usage", where):
            self.tx.replace("token_usage", rows, where=where)
        return self.tx.scan("token_usage").filter(_in(where))

    def _write_hours(self, staged: pl.LazyFrame, months: list[str]) -> pl.LazyFrame:
        where = {"source_id": [self.source.id], "billing_period": months}
        rows = gpu_hours(staged, self.source, self.batch_id).collect()
        if len(rows) or self._holds("gpu_usage", where):
            self.tx.replace("gpu_usage", rows, where=where)
        return self.tx.scan("gpu_usage").filter(_in(where))

    def _holds(self, table: str, where: dict[str, list[str]]) -> bool:
        return bool(len(self.tx.scan(table).filter(_in(where)).head(1).collect()))

    def _charges(self, staged: pl.LazyFrame) -> pl.LazyFrame:
        """The accepted rows with lineage and classification, exactly the columns of `charges`."""
        accepted = staged.filter(pl.col(REJECT).is_null()).with_columns(
            pl.lit(self.source.id).alias(s.SOURCE_ID),
            pl.lit(self.batch_id).alias(s.BATCH_ID),
            pl.lit(ledger_role(self.source)).alias(s.LEDGER_ROLE),
        )
        mappings = self.tx.scan("mappings").collect()
        classified = classify(accepted, self.rules, self.config.tags, mappings)
        return classified.select(*s.TABLES["charges"].columns)

    def _quarantine(self, rejects: pl.LazyFrame) -> pl.DataFrame:
        return rejects.select(
            source_id=pl.lit(self.source.id),
            billing_period=pl.col(s.BILLING_PERIOD),
            batch_id=pl.lit(self.batch_id),
            source_file=pl.col(s.SOURCE_FILE),
            source_row=pl.col(s.SOURCE_ROW),
            reason=pl.col(REJECT),
            currency=known_currency(),
            billed_cost=pl.col(s.BILLED_COST),
            effective_cost=pl.col(s.EFFECTIVE_COST),
            record=pl.col(RAW),
        ).collect(engine="streaming")

    def _kept(self, table: str, new: pl.DataFrame) -> pl.DataFrame:
        """The table with this load's rows in the place of what they replace."""
        unknown = pl.col("billing_period") == UNKNOWN_PERIOD
        replaced = (pl.col("source_id") == self.source.id) & (
            (pl.col("billing_period").is_in(self.periods) & ~unknown)
            | (unknown & pl.col("source_file").is_in(list(self.digests)))
        )
        return pl.concat([self.tx.scan(table).filter(~replaced).collect(), new])


def _charge_id(source: Source, name: str, content: str) -> pl.Expr:
    """source / fingerprint of the file's name and content / row, and for further charges of a row what they are.

    The fingerprint stands for the content, so two equal rows are two charges and a changed file has new ones.
    """
    fingerprint = hashlib.sha256(f"{name}\0{content}".encode()).hexdigest()[:12]
    first = pl.format(f"{source.id}/{fingerprint}/{{}}", s.SOURCE_ROW)
    further = pl.concat_str(
        first, pl.lit("/"), pl.col(s.CHARGE_PERIOD_START).dt.strftime("%Y%m%d"), pl.lit("/"), pl.col(s.SKU_ID)
    )
    return pl.when(pl.col(SOURCE_ROWS) == 1).then(first).otherwise(further)


def _in(partition: dict[str, list[str]]) -> pl.Expr:
    return pl.all_horizontal(pl.col(column).is_in(values) for column, values in partition.items())
