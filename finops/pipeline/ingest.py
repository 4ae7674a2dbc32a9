"""Ingest: the files of a source become charges of the lake, period by period, or nothing changes.

A load stages its files as Parquet, checks that it drops nothing the lake holds, classifies, replaces the partitions in
one transaction, and then proves on what was written that read = stored + quarantined, per period, file and currency.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from connectors import files
from connectors.registry import RAW, REJECT, SOURCE_ROWS, RawPart, connector, ledger_role
from finops import schema as s
from finops.classify import classify
from finops.config import Config, Source
from finops.errors import InputError, LoadRefused
from finops.pipeline.daily import spend_daily
from finops.pipeline.totals import UNKNOWN_PERIOD, Batch, batches_of, known_currency, read_totals, tied_out
from finops.rules import Rules, load_rules
from finops.store import Lake, Transaction, schema_digest

SLICE_ROWS: Final = 250_000
"""Charges that are classified and written at a time."""


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

    until: day (exclusive) up to which ledgers that grow with time are charged. period: load only that month.
    replace: allow a load that leaves out a file which a partition already holds. Raises InputError for files that
    cannot be read, LoadRefused for a load that would drop rows of a file it does not have.
    """
    reader = connector(source.connector)
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
        staged = _stage(reader.parse, parts, source, digests, Path(folder), period)
        totals = read_totals(staged)
        _refuse_nothing_readable(totals, source, staged)
        with lake.transaction(f"ingest {source.id}") as tx:
            known = _loads_of(source, tx.scan("loads"))
            periods = _affected_periods(totals, known, digests, period)
            _refuse_left_out(known, digests, periods, replace=replace, source=source)
            loads = _write(tx, staged, totals, source, config, rules, batch_id, digests, periods)
    say(f"{source.id}: {loads['rows_read'].sum():,} rows of {len(parts)} file(s), {len(periods)} billing period(s)")
    return batches_of(loads, changed=True)


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
        source.model_dump_json(exclude={"path"}),
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
    parse: Callable[[RawPart], pl.LazyFrame],
    parts: list[RawPart],
    source: Source,
    digests: dict[str, str],
    folder: Path,
    period: str | None,
) -> pl.LazyFrame:
    """The parsed rows of all parts as Parquet, each part streamed on its own."""
    for number, part in enumerate(parts):
        with files.readable(part.path):
            parsed = parse(part).with_columns(
                _charge_id(source, part.name, digests[part.name]).alias(s.CHARGE_ID),
                pl.coalesce(pl.col(s.BILLING_PERIOD_START).dt.strftime("%Y-%m"), pl.lit(UNKNOWN_PERIOD)).alias(
                    s.BILLING_PERIOD
                ),
            )
            if period is not None:
                parsed = parsed.filter(pl.col(s.BILLING_PERIOD).is_in([period, UNKNOWN_PERIOD]))
            parsed.sink_parquet(folder / f"{number:05}.parquet")
    return pl.scan_parquet(folder / "*.parquet")


def _refuse_nothing_readable(totals: pl.DataFrame, source: Source, staged: pl.LazyFrame) -> None:
    if totals["rows"].sum() == 0:
        raise InputError(
            f"the files of {source.id} hold no row",
            expected="at least one charge",
            next_step="check the export's filters and period",
        )
    if totals["rejected"].all():
        reasons = staged.select(s.SOURCE_FILE, s.SOURCE_ROW, REJECT).head(3).collect()
        listed = "; ".join(f"{file} row {row}: {why}" for file, row, why in reasons.iter_rows())
        raise InputError(
            f"no row of {source.id} can be read as a charge ({listed})",
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


def _write(
    tx: Transaction,
    staged: pl.LazyFrame,
    totals: pl.DataFrame,
    source: Source,
    config: Config,
    rules: Rules,
    batch_id: str,
    digests: dict[str, str],
    periods: list[str],
) -> pl.DataFrame:
    """Write all tables of the load and return its rows of `loads`; raises LakeError when the sums do not tie."""
    partition = {s.SOURCE_ID: [source.id], s.BILLING_PERIOD: periods}
    stored_periods = {**partition, s.BILLING_PERIOD: [p for p in periods if p != UNKNOWN_PERIOD]}
    if stored_periods[s.BILLING_PERIOD]:
        # in slices, because a Delta write holds all its rows in memory
        for start in range(0, int(totals["charges"].sum()), SLICE_ROWS):
            rows = _charges(staged.slice(start, SLICE_ROWS), tx, source, config, rules, batch_id)
            if start == 0:
                tx.replace("charges", rows, where=stored_periods)
            else:
                tx.append("charges", rows)
        stored = tx.scan("charges").filter(_in(stored_periods))
        tx.replace("spend_daily", spend_daily(stored), where=stored_periods)
    else:
        stored = tx.scan("charges").filter(pl.lit(False))
    quarantine = _quarantine(staged, source, batch_id)
    tx.replace("quarantine", _kept(tx, "quarantine", source, periods, digests, quarantine))
    new = quarantine.filter(pl.col("source_id") == source.id)
    loads = tied_out(totals, stored, new, source, batch_id, digests)
    tx.replace("loads", _kept(tx, "loads", source, periods, digests, loads))
    return loads


def _charges(
    staged: pl.LazyFrame,
    tx: Transaction,
    source: Source,
    config: Config,
    rules: Rules,
    batch_id: str,
) -> pl.LazyFrame:
    """The accepted rows with lineage and classification, exactly the columns of `charges`."""
    accepted = staged.filter(pl.col(REJECT).is_null()).with_columns(
        pl.lit(source.id).alias(s.SOURCE_ID),
        pl.lit(batch_id).alias(s.BATCH_ID),
        pl.lit(ledger_role(source)).alias(s.LEDGER_ROLE),
    )
    classified = classify(accepted, rules, config.tags, tx.scan("mappings").collect())
    return classified.select(*s.TABLES["charges"].columns)


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


def _quarantine(staged: pl.LazyFrame, source: Source, batch_id: str) -> pl.DataFrame:
    return (
        staged.filter(pl.col(REJECT).is_not_null())
        .select(
            source_id=pl.lit(source.id),
            billing_period=pl.col(s.BILLING_PERIOD),
            batch_id=pl.lit(batch_id),
            source_file=pl.col(s.SOURCE_FILE),
            source_row=pl.col(s.SOURCE_ROW),
            reason=pl.col(REJECT),
            currency=known_currency(),
            billed_cost=pl.col(s.BILLED_COST),
            effective_cost=pl.col(s.EFFECTIVE_COST),
            record=pl.col(RAW),
        )
        .collect(engine="streaming")
    )


def _kept(
    tx: Transaction, table: str, source: Source, periods: list[str], digests: dict[str, str], new: pl.DataFrame
) -> pl.DataFrame:
    """The table with this load's rows in the place of what they replace."""
    unknown = pl.col("billing_period") == UNKNOWN_PERIOD
    replaced = (pl.col("source_id") == source.id) & (
        (pl.col("billing_period").is_in(periods) & ~unknown) | (unknown & pl.col("source_file").is_in(list(digests)))
    )
    return pl.concat([tx.scan(table).filter(~replaced).collect(), new])


def _in(partition: dict[str, list[str]]) -> pl.Expr:
    return pl.all_horizontal(pl.col(column).is_in(values) for column, values in partition.items())
