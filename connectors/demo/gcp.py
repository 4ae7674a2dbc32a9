"""Google Cloud's detailed usage cost export: lines of JSON as BigQuery extracts them, a folder for each invoice month.

Source of the columns: schema of the detailed export as Cloud Billing documents it, 2026-11-21. Habits copied: a machine
is billed as accelerator, cores and memory; a resource-based commitment has a fee a day for each of them, and credits on
the usage that it covers; tokens are counted one by one; labels are lower case; each month ends with a rounding error.
"""

import gzip
from pathlib import Path
from typing import Any, Final

import polars as pl

from connectors.demo import company
from connectors.demo.activity import QUANTITY, RESOURCE, SKU, WORKLOAD
from connectors.demo.bill import COLUMNS, COST_DECIMALS
from connectors.demo.company import COMMITMENTS, COST_CENTERS, WORKLOADS, Workload
from connectors.demo.skus import skus

SOURCE: Final = "gcp"
BILLING_ACCOUNT: Final = "01A4D7-E2B95C-90F31B"
FOLDER: Final = Path("raw/gcp") / f"gcp_billing_export_resource_v1_{BILLING_ACCOUNT.replace('-', '_')}"
ISSUER: Final = "Google Cloud EMEA Limited"
FEES: Final = {
    "gcp.a2.gpu": "Commitment v1: Nvidia Tesla A100 GPU running in Americas for 1 Year",
    "gcp.a2.core": "Commitment v1: A2 Cpu in Americas for 1 Year",
    "gcp.a2.ram": "Commitment v1: A2 Ram in Americas for 1 Year",
}
COMMITTED: Final = "Committed Usage Discount"
PROMOTED: Final = "Data analytics promotion"
_COST_TYPES: Final = {"Adjustment": "rounding_error"}
_KEY: Final = ("first_day", WORKLOAD, RESOURCE, SKU)
_CREDIT: Final = pl.Struct(
    {"name": pl.String, "amount": pl.Float64, "full_name": pl.String, "id": pl.String, "type": pl.String}
)
_LABEL: Final = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))


def write(home: Path, charges: pl.DataFrame) -> pl.DataFrame:
    """Write the Google Cloud part of the ledger; returns the charges that the export shows."""
    mine = charges.filter(pl.col("source") == SOURCE)
    for (month,), rows in mine.group_by("month", maintain_order=True):
        folder = home / FOLDER / f"invoice_month={month:%Y%m}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = _export(rows).write_ndjson().encode()
        # a fixed time in the gzip header keeps the bytes the same from run to run
        (folder / "000000000000.json.gz").write_bytes(gzip.compress(lines, compresslevel=3, mtime=0))
    return _shown(mine)


def _shown(mine: pl.DataFrame) -> pl.DataFrame:
    """The charges as they can be read: what is covered is billed and credited, the rest of a fee is nobody's row."""
    used = pl.col("commitment_status") == "Used"
    billed = mine.with_columns(billed_cost=pl.when(used).then("contracted_cost").otherwise("billed_cost"))
    nothing = {c: pl.lit(0.0) for c in ("effective_cost", "list_cost")}
    no_commitment = {c: pl.lit(None, dtype=COLUMNS[c]) for c in ("commitment", "commitment_status", QUANTITY)}
    credits = mine.filter(used).with_columns(
        category=pl.lit("Credit"), billed_cost=-pl.col("contracted_cost"), contracted_cost=-pl.col("contracted_cost"),
        usual_ratio=None, **nothing, **no_commitment,
    )  # fmt: skip
    return pl.concat([billed, credits.select(pl.col(c).cast(t) for c, t in COLUMNS.items())])


def _export(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that Google writes, in its nested columns."""
    written = (pl.col("category") != "Credit") & (pl.col("commitment_status").fill_null("") != "Unused")
    promoted = rows.filter(pl.col("category") == "Credit").select(*_KEY, promotion="billed_cost")
    wide = (
        rows.filter(written)
        .join(promoted, on=_KEY, how="left", maintain_order="left")
        .join(_meters(), on=SKU, how="left", maintain_order="left")
        .join(_projects(), on="account", how="left", maintain_order="left")
        .join(_workloads(), on=WORKLOAD, how="left", maintain_order="left")
    )
    return wide.select(value.alias(name) for name, value in _mapping().items())


def _mapping() -> dict[str, pl.Expr]:
    """Column of the export <- columns of the ledger."""
    used, fee = pl.col("commitment_status") == "Used", pl.col("category") == "Purchase"
    metered = (pl.col("category") == "Usage") & pl.col(QUANTITY).is_not_null()
    cost = pl.when(used).then("contracted_cost").otherwise("billed_cost")
    amount = pl.coalesce(QUANTITY, "pricing_quantity").round(COST_DECIMALS)
    name = pl.when(metered).then(pl.format("{}-{}", WORKLOAD, pl.col(RESOURCE).cast(pl.String).str.zfill(2)))
    fee_name = pl.col(SKU).replace_strict(FEES, default=None)
    fee_id = pl.col("commitment").replace_strict({c.key: company.number(c.key) for c in COMMITMENTS}, default=None)
    api = pl.col("service_name").str.to_lowercase().str.replace_all(" ", "")
    path = pl.format("//{}.googleapis.com/projects/{}/{}/{}", api, "project_id", "resource_type", name)
    machine = pl.struct(key=pl.lit("compute.googleapis.com/machine_spec"), value="instance_type")
    zone = pl.when(metered & (pl.col("resource_type") == "instances")).then(pl.col("region") + "-a")
    return {
        "billing_account_id": pl.lit(BILLING_ACCOUNT),
        "service": pl.struct(id="service_code", description="service_name"),
        "sku": pl.struct(
            id=pl.when(fee).then("fee_sku_id").otherwise("sku_id"),
            description=pl.when(fee).then(fee_name).otherwise("meter"),
        ),
        "usage_start_time": _time("first_day"),
        "usage_end_time": _time("end_day"),
        "project": pl.struct(id="project_id", number="project_number", name="project_name"),
        "labels": pl.when(metered).then("labels").otherwise(pl.lit([], dtype=_LABEL)),
        "system_labels": pl.when(metered & pl.col("instance_type").is_not_null())
        .then(pl.concat_list(machine)).otherwise(pl.lit([], dtype=_LABEL)),
        "location": pl.struct(location="region", country=pl.lit("US"), region="region", zone=zone),
        "resource": pl.struct(name=name, global_name=path),
        "subscription": pl.struct(instance_id=pl.when(fee).then(fee_id)),
        "cost": cost,
        "cost_at_list": pl.when(metered).then("list_cost").otherwise(cost),
        "currency": pl.lit("USD"),
        "currency_conversion_rate": pl.lit(1.0),
        "usage": pl.struct(
            amount=amount, unit="consumed_unit", amount_in_pricing_units=amount, pricing_unit="pricing_unit"
        ),
        "price": pl.struct(
            list_price="list_price", effective_price="contracted_price", unit="pricing_unit",
            pricing_unit_quantity=pl.lit(1.0),
        ),
        "credits": _credits(used),
        "invoice": pl.struct(month=pl.col("month").dt.strftime("%Y%m")),
        "cost_type": pl.col("category").replace_strict(_COST_TYPES, default="regular"),
        "transaction_type": pl.lit("GOOGLE"),
        "export_time": pl.col("end_day").dt.strftime("%Y-%m-%d 06:00:00 UTC"),
    }  # fmt: skip


def _credits(used: pl.Expr) -> pl.Expr:
    """The credits of a row: what its commitment covers, and what a promotion pays."""

    def credit(name: str, amount: pl.Expr, kind: str) -> pl.Expr:
        named = {"name": pl.lit(name), "full_name": pl.lit(None, dtype=pl.String), "id": pl.lit(name)}
        fields = named | {"amount": amount, "type": pl.lit(kind)}
        return pl.concat_list(pl.struct(fields[f.name].alias(f.name) for f in _CREDIT.fields))

    none = pl.lit([], dtype=pl.List(_CREDIT))
    return (
        pl.when(used).then(credit(COMMITTED, -pl.col("contracted_cost"), "COMMITTED_USAGE_DISCOUNT"))
        .when(pl.col("promotion").is_not_null()).then(credit(PROMOTED, pl.col("promotion"), "PROMOTION"))
        .otherwise(none)
    )  # fmt: skip


def _time(day: str) -> pl.Expr:
    return pl.col(day).dt.strftime("%Y-%m-%d 00:00:00 UTC")


# ----------------------------------------------------------------------------------- what meters, projects, labels are
def _meters() -> pl.DataFrame:
    ids = [company.number(sku)[:14].upper().replace("-", "") for sku in skus()[SKU]]
    codes = ["-".join((code[:4], code[4:8], code[8:12])) for code in ids]
    return skus().select(
        SKU, "service_code", "service_name", "meter", "resource_type", "instance_type", "region", "consumed_unit",
        "pricing_unit", sku_id=pl.Series(codes), fee_sku_id=pl.Series([code[::-1] for code in codes]),
    )  # fmt: skip


def _projects() -> pl.DataFrame:
    return pl.DataFrame([
        {
            "account": a.key, "project_id": a.account_id, "project_name": a.name,
            "project_number": str(int(company.number(a.key).replace("-", "")[:10], 16)),
        }
        for a in company.ACCOUNTS
    ])  # fmt: skip


def _workloads() -> pl.DataFrame:
    rows = [{WORKLOAD: w.name, "labels": [{"key": k, "value": v} for k, v in _labels(w).items()]} for w in WORKLOADS]
    return pl.DataFrame(rows, schema={WORKLOAD: pl.String, "labels": _LABEL})


def _labels(work: Workload) -> dict[str, Any]:
    """The same facts as on AWS but the team, which a label cannot spell: the project says it."""
    if not work.tagged:
        return {}
    labels = {"use_case": work.use_case, "environment": work.environment, "cost_center": COST_CENTERS[work.team]}
    return {**labels, "purpose": work.purpose} if work.purpose else labels
