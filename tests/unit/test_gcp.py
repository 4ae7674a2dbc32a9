"""Google Cloud bills: the warts of each way in which BigQuery writes an export, credits, and what is refused."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.gcp import find_parts, parse
from connectors.registry import RAW, REJECT, SOURCE_ROWS
from finops import schema as s
from finops.errors import InputError
from finops.ownership import source_value, tag_value
from finops.pipeline.totals import Batch
from tests.conftest import TODAY

Row = dict[str, str]


def usage(**changes: str) -> Row:
    """A row of the standard export: an hour of a machine, with what the arguments change; `__` stands for a dot."""
    usual = {
        "billing_account_id": "01ABCD-234567-89EF01", "service.id": "6F81-5844-456A",
        "service.description": "Compute Engine", "sku.id": "2E27-4F75-95CD",
        "sku.description": "N1 Predefined Instance Core running in Americas",
        "usage_start_time": "2026-09-03 10:00:00+00:00", "usage_end_time": "2026-09-03 11:00:00+00:00",
        "project.id": "search-prod", "project.name": "Search", "project.labels": "[]", "labels": "[]",
        "system_labels": "[]", "location.location": "us-central1", "location.region": "us-central1",
        "location.zone": "us-central1-a", "cost": "1.5", "currency": "USD", "currency_conversion_rate": "1",
        "usage.amount": "3600", "usage.unit": "seconds", "usage.amount_in_pricing_units": "1",
        "usage.pricing_unit": "hour", "credits": "[]", "invoice.month": "202609", "cost_type": "regular",
    }  # fmt: skip
    return usual | {name.replace("__", "."): value for name, value in changes.items()}


def credit(amount: str, kind: str = "PROMOTION", name: str = "Free Trial") -> str:
    """A credits cell with one credit."""
    return f'[{{"name":"{name}","amount":{amount},"full_name":null,"id":"{name}-id","type":"{kind}"}}]'


def write_csv(path: Path, *rows: Row) -> Path:
    """The rows as CSV, gzipped where the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(c for row in rows for c in row)))
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def nested(row: Row) -> dict[str, object]:
    """The row as BigQuery nests it; records and repeated records are values, numbers are numbers."""
    record: dict[str, object] = {}
    for name, text in row.items():
        value: object = json.loads(text) if text.startswith("[") else text
        if name.startswith(("cost", "currency_", "usage.amount")) and name != "cost_type":
            value = float(text)
        outer, _, inner = name.partition(".")
        if inner:
            inside = record.setdefault(outer, {})
            assert isinstance(inside, dict)
            inside[inner] = value
        else:
            record[outer] = value
    return record


def read(path: Path) -> pl.DataFrame:
    """All parts of an export, parsed."""
    return pl.concat([parse(part).collect() for part in find_parts(path, until=TODAY)])


def costs(path: Path, column: str = s.BILLED_COST) -> list[str]:
    """A cost of each charge, without trailing zeros."""
    return [f"{value.normalize():f}" for value in read(path)[column]]


def only(path: Path) -> dict[str, object]:
    """The one charge of an export."""
    frame = read(path)
    assert len(frame) == 1
    return frame.row(0, named=True)


# ------------------------------------------------------------------------------------------------ ways of writing it
def test_each_way_of_writing_a_row_gives_the_same_charges(tmp_path: Path) -> None:
    """Dotted and flattened CSV, lines of JSON, a JSON array and nested Parquet are one export."""
    labels = '[{"key":"team","value":"search"},{"key":"env","value":"say \\"prod\\""}]'
    row = usage(cost="5e-06", credits=credit("-2.5e-06"), labels=labels, project__labels='[{"key":"a","value":"b"}]')
    objects = [nested(row), nested(usage(cost="0.1"))]
    rows = [row, usage(cost="0.1")]
    lines = "".join(json.dumps(record) + "\n" for record in objects)
    for name, content in {"a.jsonl": lines, "b.json": json.dumps(objects, indent=2), "c.ndjson": f"\n{lines}"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(lines.encode()))
    repeated = pl.List(pl.Struct({"key": pl.String, "value": pl.String}))
    frame = pl.DataFrame(objects, infer_schema_length=None)
    project = pl.col("project").struct
    frame.with_columns(
        pl.col("system_labels").cast(repeated),
        project.with_fields(project.field("labels").cast(repeated)).alias("project"),
    ).write_parquet(tmp_path / "e.parquet")
    write_csv(tmp_path / "f.csv.gz", *rows)
    write_csv(tmp_path / "g.csv", *({name.replace(".", "_"): value for name, value in row.items()} for row in rows))
    answers = {}
    for path in sorted(tmp_path.iterdir()):
        answers[path.name] = read(path).drop(s.SOURCE_FILE, s.SOURCE_COLUMNS, s.SOURCE_ROW)
    assert len(answers) == 7
    first = answers["f.csv.gz"]
    assert first[s.BILLED_COST].to_list() == [Decimal("5e-6"), Decimal("-2.5e-6"), Decimal("0.1")]
    assert json.loads(first[s.TAGS][0]) == {"a": "b", "team": "search", "env": 'say "prod"'}
    for name, answer in answers.items():
        assert answer.equals(first), name


def test_credits_as_a_python_literal(tmp_path: Path) -> None:
    """Single quotes, None and scientific notation are read to the last decimal."""
    text = "[{'name': 'FreeTrial', 'amount': -5e-06, 'full_name': None, 'id': 'x', 'type': 'PROMOTION'}]"
    assert costs(write_csv(tmp_path / "a.csv", usage(cost="5e-06", credits=text))) == ["0.000005", "-0.000005"]


def test_credits_amount_beside_credits_counts_once(tmp_path: Path) -> None:
    """Flattened columns that repeat the first credit change nothing."""
    row = usage(cost="10", credits=credit("-4"), credits_amount="-4", credits_type="PROMOTION", credits_name="x")
    assert costs(write_csv(tmp_path / "a.csv", row)) == ["10", "-4"]


def test_credits_are_summed_before_anything_else(tmp_path: Path) -> None:
    """Two credits of a row are one charge, and the row's cost stands once."""
    text = credit("-1")[:-1] + "," + credit("-2.5", "SUSTAINED_USAGE_DISCOUNT")[1:]
    frame = read(write_csv(tmp_path / "a.csv", usage(cost="10", credits=text)))
    assert frame[s.BILLED_COST].to_list() == [Decimal(10), Decimal("-3.5")]
    assert frame[s.EFFECTIVE_COST].to_list() == [Decimal("7.5"), Decimal(-1)]
    assert frame[SOURCE_ROWS].to_list() == [1, 0]
    assert frame.select(source_value("x_CreditTypes"))[:, 0][0] == "PROMOTION, SUSTAINED_USAGE_DISCOUNT"


def test_unnested_credits_are_refused(tmp_path: Path) -> None:
    """A query that unnested credits doubled rows; nothing of it is loaded, and the message says why."""
    row = {name: value for name, value in usage(**{"credits.amount": "-1"}).items() if name != "credits"}
    with pytest.raises(InputError, match="unnested"):
        read(write_csv(tmp_path / "a.csv", row))


def test_credits_that_cancel_each_other_lose_nothing(tmp_path: Path) -> None:
    """A discount and a charge-back that sum to 0 leave both costs as they were."""
    text = credit("-2", "DISCOUNT")[:-1] + "," + credit("2")[1:]
    frame = read(write_csv(tmp_path / "a.csv", usage(cost="10", credits=text)))
    assert frame[s.BILLED_COST].sum() == frame[s.EFFECTIVE_COST].sum() == 10


def test_a_negative_net_stays_negative(tmp_path: Path) -> None:
    """Credits above the cost, and corrections below 0, are not clamped."""
    rows = (usage(cost="1", credits=credit("-3")), usage(cost="-2"))
    assert costs(write_csv(tmp_path / "a.csv", *rows)) == ["1", "-3", "-2"]


def test_credits_without_a_type_go_by_their_name(tmp_path: Path) -> None:
    """Exports from before 2020 name a credit and give it no type."""
    text = '[{"name":"Committed Usage Discount: CPU","amount":"-1.5"}]'
    frame = read(write_csv(tmp_path / "a.csv", usage(credits=text)))
    assert frame[s.EFFECTIVE_COST].to_list() == [Decimal(0), Decimal(0)]
    assert frame[s.COMMITMENT_DISCOUNT_STATUS].to_list() == ["Used", None]


# --------------------------------------------------------------------------------------------------------- commitments
FEE = "Commitment v1: N2 Cpu in Iowa for 1 Year"
CORE = "N2 Instance Core running in Iowa"


def committed(cost: str, credited: str, hours: str, **changes: str) -> Row:
    """Usage under a resource-based commitment."""
    given = credit(credited, "COMMITTED_USAGE_DISCOUNT", "Committed Usage Discount: CPU")
    return usage(cost=cost, credits=given, usage__amount_in_pricing_units=hours, sku__description=CORE, **changes)


def fee(cost: str, hours: str, **changes: str) -> Row:
    """A commitment's fee."""
    return usage(cost=cost, usage__amount_in_pricing_units=hours, sku__description=FEE, **changes)


def by_status(path: Path) -> dict[str | None, Decimal]:
    """EffectiveCost by status of a commitment."""
    charges = read(path)
    assert charges[s.EFFECTIVE_COST].sum() == charges[s.BILLED_COST].sum()
    return dict(charges.group_by(s.COMMITMENT_DISCOUNT_STATUS).agg(pl.col(s.EFFECTIVE_COST).sum()).iter_rows())


def test_corrected_usage_gives_back_what_it_used(tmp_path: Path) -> None:
    """Usage that a later row negates has used nothing of the fee."""
    rows = (fee("8", "8"), committed("4", "-4", "4"), committed("-1", "1", "-1"))
    assert by_status(write_csv(tmp_path / "a.csv", *rows)) == {None: 0, "Used": 3, "Unused": 5}


@pytest.mark.parametrize(
    "rows",
    [
        (fee("8", "8"), committed("4", "-4", "4", location__region="europe-west4")),
        (fee("8", "8"), committed("4", "-4", "4", usage__pricing_unit="seconds")),
        (fee("8", ""), committed("4", "-4", "4")),
        (fee("8", "8", credits=credit("-1")), committed("4", "-4", "4")),
    ],
    ids=["another region", "another unit", "no quantity", "a fee with a credit"],
)
def test_a_fee_that_cannot_be_divided_keeps_its_cost(rows: tuple[Row, ...], tmp_path: Path) -> None:
    """Where nothing says how much of a fee was used, it stays what it is billed as, and no cost is made up."""
    assert "Unused" not in by_status(write_csv(tmp_path / "a.csv", *rows))


def test_a_commitment_that_nothing_used_is_unused(tmp_path: Path) -> None:
    """A day's fee without any credit is all unused, and the day before has its own ratio."""
    earlier = {"usage_start_time": "2026-09-02 10:00:00+00:00", "usage_end_time": "2026-09-02 11:00:00+00:00"}
    rows = (fee("8", "8"), fee("8", "8") | earlier, committed("8", "-8", "8") | earlier)
    assert by_status(write_csv(tmp_path / "a.csv", *rows)) == {None: 0, "Used": 8, "Unused": 8}


def test_spend_based_fees_count_in_the_billing_currency(tmp_path: Path) -> None:
    """The on-demand cost that a fee buys is stated in USD: the row's rate makes it comparable with credits in EUR."""
    euro = {"currency": "EUR", "currency_conversion_rate": "0.5", "service.description": "Cloud SQL"}
    bought = usage(
        cost="3", usage__amount_in_pricing_units="800", sku__description="Commitment - dollar based v1: Cloud SQL",
    )  # fmt: skip
    used = usage(cost="5", credits=credit("-1", "COMMITTED_USAGE_DISCOUNT_DOLLAR_BASE"))
    path = write_csv(tmp_path / "a.csv", bought | euro, used | euro)
    # 800 cents of on-demand cost are 4 EUR, of which 1 is used: a quarter of the fee
    assert by_status(path) == {None: 0, "Used": Decimal("4.75"), "Unused": Decimal("2.25")}


# --------------------------------------------------------------------------------------------------------------- warts
def test_the_invoice_month_decides_the_billing_period(tmp_path: Path) -> None:
    """A late row belongs to the month that invoices it, and is charged on the day of its usage."""
    charge = only(write_csv(tmp_path / "a.csv", usage(invoice__month="202611")))
    assert charge[s.BILLING_PERIOD_START] == datetime(2026, 11, 1, tzinfo=UTC)
    assert charge[s.BILLING_PERIOD_END] == datetime(2026, 12, 1, tzinfo=UTC)
    assert charge[s.CHARGE_PERIOD_START] == datetime(2026, 9, 3, 10, tzinfo=UTC)


@pytest.mark.parametrize("suffix", [" UTC", ".000000 UTC", "Z", "+00:00", ""])
def test_times_as_bigquery_writes_them(suffix: str, tmp_path: Path) -> None:
    """A time with its zone written out, as an offset or not at all is UTC."""
    row = usage(usage_start_time=f"2026-09-03 10:00:00{suffix}", usage_end_time=f"2026-09-03 11:00:00{suffix}")
    charge = only(write_csv(tmp_path / "a.csv", row))
    assert charge[REJECT] is None
    assert charge[s.CHARGE_PERIOD_START] == datetime(2026, 9, 3, 10, tzinfo=UTC)


def test_four_currencies_are_never_added(tmp_path: Path, load: Callable[..., list[Batch]]) -> None:
    """Each currency of a file has its own total, however often its conversion rate is stated."""
    rows = [usage(currency=c, cost="2", credits=credit("-0.5")) for c in ("USD", "EUR", "GBP", "aud")]
    [batch] = load(write_csv(tmp_path / "a.csv", *rows), "gcp")
    assert {total.currency: total.read for total in batch.billed_cost} == dict.fromkeys(
        ("USD", "EUR", "GBP", "AUD"), Decimal("1.5")
    )
    assert batch.rows_read == 4


def test_a_converted_charge_keeps_its_rate_and_its_day(tmp_path: Path) -> None:
    """What is priced in USD and billed in EUR keeps Google's rate; its date is the charge's day."""
    charge = only(write_csv(tmp_path / "a.csv", usage(currency="EUR", currency_conversion_rate="0.875")))
    assert Decimal(json.loads(str(charge[s.SOURCE_COLUMNS]))["currency_conversion_rate"]) == Decimal("0.875")
    assert charge[s.CHARGE_PERIOD_START] == datetime(2026, 9, 3, 10, tzinfo=UTC)


def test_labels_name_owners(tmp_path: Path) -> None:
    """Labels of resource, tags and project are Tags; the nearest to the resource wins."""
    row = usage(
        project__labels='[{"key":"team","value":"platform"},{"key":"cost_center","value":"cc-1"}]',
        tags='[{"key":"team","value":"tagged","inherited":true,"namespace":"acme"}]',
        labels="[{'key': 'team', 'value': 'search'}]",
    )
    frame = read(write_csv(tmp_path / "a.csv", row))
    assert frame.select(tag_value("team"), tag_value("cost_center").alias("c")).row(0) == ("search", "cc-1")


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    """In a flattened export `labels` are the project's and `labels_1` the resource's."""
    row = {name.replace(".", "_"): value for name, value in usage().items() if name not in ("project.labels", "labels")}
    row |= {"labels": '[{"key":"team","value":"a"}]', "labels_1": '[{"key":"team","value":"b"}]'}
    assert only(write_csv(tmp_path / "a.csv", row))[s.TAGS] == '{"team":"b"}'


def test_records_as_json_text(tmp_path: Path) -> None:
    """A CSV that keeps records as JSON text, without flattened columns, is read too."""
    records = nested(usage(labels="[]"))
    row = {name: json.dumps(value) if isinstance(value, dict) else str(value) for name, value in records.items()}
    charge = only(write_csv(tmp_path / "a.csv", row))
    assert (charge[s.SERVICE_NAME], charge[s.SUB_ACCOUNT_ID]) == ("Compute Engine", "search-prod")
    assert charge[s.BILLING_PERIOD_START] == datetime(2026, 9, 1, tzinfo=UTC)


def test_the_projects_place_and_number_are_kept(tmp_path: Path) -> None:
    """Ancestry, as a path, the project's number and system labels stand in x_SourceColumns; machine_spec is a type."""
    row = usage(
        project__number="883019284756", project__ancestry_numbers="/551029384/9311/",
        system_labels='[{"key":"compute.googleapis.com/machine_spec","value":"a3-highgpu-8g"}]',
    )  # fmt: skip
    charge = only(write_csv(tmp_path / "a.csv", row))
    kept = json.loads(str(charge[s.SOURCE_COLUMNS]))
    assert (kept["project.number"], kept["project.ancestry_numbers"]) == ("883019284756", "/551029384/9311/")
    assert charge[s.INSTANCE_TYPE] == "a3-highgpu-8g"


def test_a_marketplace_seller_is_the_provider(tmp_path: Path) -> None:
    """What a third party sells is its own; models of others on Vertex AI are Google's."""
    sold = {"transaction_type": "THIRD_PARTY_RESELLER", "seller_name": "Databricks Inc."}
    rows = (usage(service__description="Databricks", **sold), usage(service__description="Vertex AI", **sold))
    path = write_csv(tmp_path / "a.csv", *rows)
    assert read(path)[s.SERVICE_PROVIDER_NAME].to_list() == ["Databricks Inc.", "Google Cloud"]


def test_the_focus_export_is_read(tmp_path: Path) -> None:
    """A FOCUS file of Google Cloud is FOCUS; its credits rows and x_ columns stay."""
    row = {
        "BilledCost": "1", "EffectiveCost": "0.5", "ListCost": "2", "ContractedCost": "1", "BillingCurrency": "EUR",
        "BillingPeriodStart": "2026-09-01T00:00:00Z", "BillingPeriodEnd": "2026-10-01T00:00:00Z",
        "ChargePeriodStart": "2026-09-03T00:00:00Z", "ChargePeriodEnd": "2026-09-04T00:00:00Z",
        "ChargeCategory": "Usage", "ServiceName": "Vertex AI", "x_CostType": "regular",
    }  # fmt: skip
    charge = only(write_csv(tmp_path / "a.csv", row))
    assert charge[REJECT] is None
    assert (charge[s.EFFECTIVE_COST], charge[s.HOST_PROVIDER_NAME]) == (Decimal("0.5"), "Google Cloud")
    assert json.loads(str(charge[s.SOURCE_COLUMNS])) == {"x_CostType": "regular"}


# ------------------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cost": "$1.50"}, 'cost is "$1.50", which is no number'),
        ({"cost": ""}, "cost is empty"),
        ({"usage.amount": "many"}, 'usage.amount is "many", which is no number'),
        ({"usage_start_time": "soon"}, 'usage_start_time is "soon", which is no date'),
        ({"invoice.month": "202613"}, "invoice.month is no month (YYYYMM)"),
        ({"invoice.month": ""}, "invoice.month is empty"),
        ({"currency": "dollars"}, "currency is no ISO 4217 code"),
        ({"credits": "[{'name': 'x'"}, "credits are neither JSON nor a Python literal with an amount each"),
        ({"credits": '[{"name":"x"}]'}, "credits are neither JSON nor a Python literal with an amount each"),
        ({"credits": '[{"amount":"-$3"}]'}, "credits are neither JSON nor a Python literal with an amount each"),
        ({"usage_end_time": "2026-09-02 10:00:00+00:00"}, "usage_end_time lies before usage_start_time"),
    ],
)
def test_a_row_that_is_no_charge_says_why(change: Row, reason: str, tmp_path: Path) -> None:
    """The row is refused with the reason and kept verbatim; its credits, where they can be read, are in its cost."""
    row = usage(credits=credit("-0.5")) | change
    charge = only(write_csv(tmp_path / "a.csv", row))
    assert charge[REJECT] == reason
    assert json.loads(str(charge[RAW])) == {name: value or None for name, value in row.items()}
    if charge[s.BILLED_COST] is not None and "credits" not in change:
        assert charge[s.BILLED_COST] == charge[s.EFFECTIVE_COST] == 1


def test_a_line_that_is_no_json_is_refused_alone(tmp_path: Path) -> None:
    """A broken line of JSON is quarantined as it stands; the others are charges."""
    lines = [json.dumps(nested(usage())), '{"cost": ', "oops", json.dumps(nested(usage()))]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    frame = read(tmp_path / "a.jsonl")
    assert frame[REJECT].is_not_null().to_list() == [False, True, True, False]
    assert [json.loads(raw) for raw in frame[RAW].drop_nulls()] == [{"line": '{"cost": '}, {"line": "oops"}]


@pytest.mark.parametrize("content", ["", '{"a":1}\n', '[{"a":1}]', '[{"cost":1', '{"cost":1}\n{"cost'])
def test_json_that_is_no_export_is_refused(content: str, tmp_path: Path) -> None:
    """Empty, foreign or cut off JSON raises InputError."""
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError):
        read(tmp_path / "a.json")


def test_two_exports_of_one_bill_are_refused(tmp_path: Path) -> None:
    """Standard and detailed export in one folder would count every charge twice."""
    write_csv(tmp_path / "standard.csv", usage())
    write_csv(tmp_path / "detailed.csv", usage(resource__name="vm-1", resource__global_name="//compute/vm-1"))
    with pytest.raises(InputError, match="detailed export"):
        find_parts(tmp_path, until=TODAY)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "net"),
    [
        ("koku_202011_30c31bca571d9b7f3b2c8459dd8bc34a_2020-11-08_2020-11-11.csv", {"USD": "0"}),
        ("koku_2022-08-01_5.csv", {"USD": "0.000012"}),
        ("ps_cuds_test_9_3_expected_billingexport_output.json", {"USD": "339.999999999999983"}),
        (
            "ps_sample_billing_data_synthetic.csv",
            {"USD": "1255613.0601", "GBP": "573288.1351", "AUD": "347430.6703", "EUR": "451968.5541"},
        ),
    ],
)
def test_public_samples_sum_to_their_net(name: str, net: dict[str, str], shared: Path) -> None:
    """Cost plus credits of each public sample, per currency, to the last decimal."""
    frame = read(shared / "native" / "gcp" / name)
    assert frame[REJECT].null_count() == len(frame)
    for cost in (s.BILLED_COST, s.EFFECTIVE_COST):
        sums = dict(frame.group_by(s.BILLING_CURRENCY).agg(pl.col(cost).sum()).iter_rows())
        assert sums == {currency: Decimal(amount) for currency, amount in net.items()}
