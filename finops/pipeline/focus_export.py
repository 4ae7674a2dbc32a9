"""FOCUS out: all billed charges of all sources as one dataset of a FOCUS version, and what the rules say of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from finops import schema as s
from finops.errors import CallError, LakeError
from finops.focus_rules import DRAFT_KEYS, VERSIONS, check, columns
from finops.freshness import ACTIVE_DAYS, billed_to
from finops.pipeline.exported import ExportedFile, Totals, scan, tied, totals
from finops.store import Lake
from reports.export import csv_text, decimal_text, write_whole
from reports.views.spend import COST, CURRENCY, spend

Form = Literal["csv", "parquet"]
FORMS: Final[tuple[Form, ...]] = ("csv", "parquet")
OURS: Final = (
    s.SOURCE_ID, s.CHARGE_ID, s.IS_AI, s.DRIVER, s.PURPOSE, s.CLASSIFIED_BY, s.HOSTING, s.TEAM, s.USE_CASE,
    s.COST_CENTER, s.ENVIRONMENT, s.CONSUMER_ID, s.OWNER_STATUS, s.ACCELERATOR_MODEL, s.ACCELERATOR_COUNT,
    s.ACCELERATOR_HOURS, s.MODEL_DEVELOPER, s.MODEL_FAMILY, s.MODEL_ID, s.MODEL_VERSION, s.TOKEN_DIRECTION,
    s.TOKEN_CACHE_ACTION, s.TOKENS, s.REQUESTS, s.SERVICE_TIER, s.INSTANCE_TYPE, s.USAGE_TYPE,
)  # fmt: skip
"""Our columns in the file, in this order, after those of FOCUS."""

_TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"
_ROW_GROUP: Final = 100_000


@dataclass(frozen=True)
class FocusExport:
    """The FOCUS files that were written.

    others: Invoice Detail and Billing Period; the latter has no amounts. findings: the rules that are broken, as in the
    file `report`; columns finops.focus_rules.FINDINGS.
    """

    version: str
    charges: ExportedFile
    others: tuple[ExportedFile, ...]
    report: Path
    findings: pl.DataFrame


def export_focus(lake: Lake, folder: Path, *, version: str, form: str = "csv") -> FocusExport:
    """Write the charges as FOCUS Cost and Usage, with 1.4 also Invoice Detail and Billing Period, and the findings.

    Each file appears whole or not at all, and those with amounts only where these are the lake's: raises LakeError
    otherwise. Raises CallError for a version or form that is not written.
    """
    check_call(version, form)
    stem = f"focus_{version.replace('.', '_')}"
    charges = _write_charges(lake, folder / f"{stem}.{form}", version, form)
    findings, others = [check(scan(charges.path), version)], list[ExportedFile]()
    for name, rows in _other_datasets(lake, version).items():
        path, write = folder / f"{stem}_{name}.{form}", _writer(rows, form)
        if s.BILLED_COST in rows.columns:
            expected = totals(lake.scan("invoices"), ["amount"], "currency")["amount"]
            others.append(_write_tied(path, write, {s.BILLED_COST: expected}))
        else:
            write_whole(path, write)
            others.append(ExportedFile(path, len(rows), "", {}))
        findings.append(check(scan(path), version, name.title().replace("_", "")))
    report = folder / f"{stem}_findings.csv"
    found = pl.concat(findings)
    write_whole(report, _writer(found, "csv"))
    return FocusExport(version, charges, tuple(others), report, found)


def check_call(version: str | None, form: str) -> None:
    """Raises CallError for a FOCUS version or a form of file that is not written, and for a form without a version."""
    if version not in (None, *VERSIONS):
        raise CallError(
            f"FOCUS {version}", expected=f"one of {', '.join(VERSIONS)}", next_step=f"use --focus {s.FOCUS_VERSION}"
        )
    if form not in FORMS:
        raise CallError(f"--as {form}", expected=" or ".join(FORMS), next_step="correct --as")
    if version is None and form != FORMS[0]:
        raise CallError(
            f"--as {form} without --focus",
            expected="a version, because only FOCUS files have another form than CSV",
            next_step=f"add --focus {s.FOCUS_VERSION}",
        )


# ------------------------------------------------------------------------------------------------------ Cost and Usage
def dataset(lake: Lake, version: str) -> pl.LazyFrame:
    """All billed charges with exactly the columns of a FOCUS version, by name, and then OURS."""
    billed = lake.scan("charges").filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
    category = pl.col(s.SERVICE_CATEGORY) + "/"
    written = {
        **{column.name: _compact(column.name) for column in columns(version) if column.data_type == "JSON"},
        s.PROVIDER_NAME: pl.col(s.SERVICE_PROVIDER_NAME),
        s.PUBLISHER_NAME: _publisher(),
        s.SERVICE_SUBCATEGORY: pl.col(s.SERVICE_SUBCATEGORY).str.strip_prefix(category.fill_null("")),
        s.SKU_PRICE_DETAILS: _price_details(),
    }
    names = (*(column.name for column in columns(version)), *OURS)
    return billed.select(written.get(name, pl.col(name)).alias(name) for name in names)


def _compact(name: str) -> pl.Expr:
    """JSON text without blanks between its parts, as every reader writes it again; what is no JSON stays as it is."""
    return pl.coalesce(pl.col(name).str.json_path_match("$"), name)


def _publisher() -> pl.Expr:
    """The source's own PublisherName, empty where it left it empty; of sources of later versions, who sells."""
    own = r'(?i)"publisher_?name"\s*:\s*'
    told = pl.col(s.SOURCE_COLUMNS).str.contains(own).fill_null(value=False)
    text = pl.col(s.SOURCE_COLUMNS).str.extract(own + r'("(?:[^"\\]|\\.)*")', 1)
    return (
        pl.when(told)
        .then(pl.format('{{"v":{}}}', text).str.json_path_match("$.v"))
        .otherwise(pl.col(s.SERVICE_PROVIDER_NAME))
    )


def _price_details() -> pl.Expr:
    """The source's SkuPriceDetails with the model and token keys that it does not have itself."""
    own = _compact(s.SKU_PRICE_DETAILS)
    added = pl.concat_str(
        (
            pl.when(
                pl.col(ours).is_not_null() & ~own.str.contains(rf'"{key}"\s*:').fill_null(value=False)
            ).then(pl.struct(pl.col(ours).alias(key)).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}"))
            for key, ours in DRAFT_KEYS.items()
        ),
        separator=",",
        ignore_nulls=True,
    )  # fmt: skip
    inside = own.str.strip_prefix("{").str.strip_suffix("}")
    both = pl.concat_str(pl.when(inside != "").then(inside), added, separator=",", ignore_nulls=True)
    is_object = own.is_null() | own.str.starts_with("{")
    return pl.when(is_object & (added != "")).then("{" + both + "}").otherwise(own)


def _write_charges(lake: Lake, path: Path, version: str, form: str) -> ExportedFile:
    """Stream the charges into a file that is put in place once its four costs are the lake's."""
    rows = dataset(lake, version)
    billed = lake.scan("charges").filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
    expected = totals(billed, list(s.COSTS.values()), s.BILLING_CURRENCY)
    daily = dict(spend(lake, cost="billed").totals.select(CURRENCY, COST).iter_rows())
    if expected[s.BILLED_COST] != daily:
        raise LakeError(
            f"BilledCost of the charges is {expected[s.BILLED_COST]}, of their days {daily}",
            expected="the same amounts per currency",
            next_step="ingest the sources again with --replace",
        )
    if form == "parquet":
        return _write_tied(path, lambda part: rows.sink_parquet(part, row_group_size=_ROW_GROUP), expected)
    amounts = [name for name, kind in rows.collect_schema().items() if kind == s.MONEY]
    text = rows.with_columns(map(decimal_text, amounts))
    return _write_tied(path, lambda part: text.sink_csv(part, datetime_format=_TIME_FORMAT), expected)


def _write_tied(path: Path, write: Callable[[Path], object], expected: Totals) -> ExportedFile:
    """Put a file in place once it is read back and its amounts are those expected."""
    written: list[ExportedFile] = []

    def write_and_read(part: Path) -> None:
        write(part)
        written.append(tied(part, s.BILLING_CURRENCY, expected, name=path))

    write_whole(path, write_and_read)
    return written[0]


def _writer(rows: pl.DataFrame, form: str) -> Callable[[Path], object]:
    """What writes a frame of few rows into a file."""
    if form == "parquet":
        return rows.write_parquet
    times = [pl.col(name).dt.strftime(_TIME_FORMAT) for name, kind in rows.schema.items() if kind == s.TIME]
    text = csv_text(rows.with_columns(times))
    return lambda part: part.write_text(text, encoding="utf-8")


# -------------------------------------------------------------------------------------------- the other datasets of 1.4
def _other_datasets(lake: Lake, version: str) -> dict[str, pl.DataFrame]:
    """What the lake knows beside charges, by the ending of its file's name."""
    if version != s.FOCUS_VERSION:
        return {}
    invoices = _invoice_detail(lake)
    return {**({"invoice_detail": invoices} if len(invoices) else {}), "billing_period": _billing_periods(lake)}


def _invoice_detail(lake: Lake) -> pl.DataFrame:
    """The invoices that finance keeps, one row each; what an invoice does not say stays empty."""
    start = pl.col("billing_period").str.to_datetime("%Y-%m", time_unit="us", time_zone="UTC")
    known = {
        s.BILLED_COST: pl.col("amount"), s.BILLING_ACCOUNT_ID: pl.col("account_id"),
        s.BILLING_CURRENCY: pl.col("currency"), s.BILLING_PERIOD_START: start,
        s.BILLING_PERIOD_END: start.dt.offset_by("1mo"), s.INVOICE_ID: pl.col("invoice_id"),
        s.INVOICE_ISSUER_NAME: pl.col("issuer"), "InvoiceIssueDate": pl.col("issue_date").cast(s.TIME),
        "InvoiceIssueStatus": pl.when(pl.col("issue_date").is_not_null()).then(pl.lit("Issued")),
        s.SOURCE_ID: pl.col("source_id"),
    }  # fmt: skip
    order = ("source_id", "billing_period", "invoice_id", "account_id", "currency")
    return lake.scan("invoices").sort(order).select(_of_dataset("InvoiceDetail", known)).collect()


def _billing_periods(lake: Lake) -> pl.DataFrame:
    """The billing periods of each source: closed once invoiced, once its charges reach beyond it, or once it was loaded
    ACTIVE_DAYS after its end. LastUpdated: when it was loaded last."""
    invoiced = lake.scan("invoices").select("source_id", "billing_period", invoiced=True).unique()
    loaded = lake.scan("loads").group_by("source_id", "billing_period").agg(pl.col("loaded_at").max())
    ends = billed_to(lake.scan("spend_daily"))
    reach = pl.LazyFrame(
        {"source_id": list(ends), "reach": list(ends.values())}, schema={"source_id": pl.String, "reach": pl.Date}
    )
    keys = [s.INVOICE_ISSUER_NAME, s.BILLING_PERIOD_START, s.BILLING_PERIOD_END]
    periods = (
        lake.scan("charges")
        .filter(pl.col(s.LEDGER_ROLE) == s.BILLED)
        .select(pl.col(s.SOURCE_ID).alias("source_id"), pl.col(s.BILLING_PERIOD).alias("billing_period"), *keys)
        .unique()
        .join(invoiced, on=["source_id", "billing_period"], how="left")
        .join(loaded, on=["source_id", "billing_period"], how="left")
        .join(reach, on="source_id", how="left")
    )
    end = pl.col(s.BILLING_PERIOD_END)
    closed = (
        pl.col("invoiced").is_not_null()
        | (pl.col("reach") >= end.dt.date())
        | (pl.col("loaded_at") >= end.dt.offset_by(f"{ACTIVE_DAYS}d"))
    )
    known = {
        **{name: pl.col(name) for name in keys},
        "BillingPeriodStatus": pl.when(closed).then(pl.lit("Closed")).otherwise(pl.lit("Open")),
        "BillingPeriodLastUpdated": pl.col("loaded_at"),
        s.SOURCE_ID: pl.col("source_id"),
    }
    order = ("source_id", s.BILLING_PERIOD_START, s.INVOICE_ISSUER_NAME)
    return periods.sort(order).select(_of_dataset("BillingPeriod", known)).collect(engine="streaming")


def _of_dataset(name: str, known: dict[str, pl.Expr]) -> list[pl.Expr]:
    """All columns of a FOCUS dataset and x_SourceId; those that nobody knows are empty."""
    return [
        known.get(column.name, pl.lit(None)).cast(s.focus_type(column)).alias(column.name)
        for column in columns(s.FOCUS_VERSION, name)
    ] + [known[s.SOURCE_ID].alias(s.SOURCE_ID)]
