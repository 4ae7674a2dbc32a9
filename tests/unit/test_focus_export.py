"""FOCUS out: the columns of each version, what is written back, whole files, and files that read back the same."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from finops import schema as s
from finops.config import Source, load_config
from finops.errors import CallError, LakeError
from finops.focus_rules import VERSIONS, columns
from finops.pipeline import focus_export
from finops.pipeline.exported import scan, totals
from finops.pipeline.focus_export import FORMS, OURS, FocusExport, dataset, export_focus
from finops.pipeline.ingest import ingest
from finops.store import Lake
from tests.conftest import TODAY, focus_rows

D = Decimal
COSTS = list(s.COSTS.values())
COVERED = {
    "CommitmentDiscountId": "sp-1", "CommitmentDiscountCategory": "Spend", "CommitmentDiscountType": "Savings Plan",
    "PricingCategory": "Committed", "BilledCost": "0", "ResourceId": "i-0ab", "ResourceType": "instance",
}  # fmt: skip
TOKENS = {
    "ServiceName": "Amazon Bedrock", "ServiceCategory": "AI and Machine Learning", "SkuPriceId": "SKU1.A",
    "SkuMeter": "EUC1-Claude4Sonnet-input-tokens", "ConsumedUnit": "1K tokens",
    "ConsumedQuantity": "0.000000000000000001",
}  # fmt: skip


def bill() -> pl.DataFrame:
    """A bill with every category of charge, commitments, corrections, two currencies, odd text and tiny amounts."""
    return focus_rows(
        {"InvoiceId": "INV-9", "Tags": '{"team": "Sales \\"EMEA\\"", "spot": true, "n": 7}'},
        {**COVERED, "CommitmentDiscountStatus": "Used", "EffectiveCost": "0.9"},
        {**COVERED, "CommitmentDiscountStatus": "Unused", "EffectiveCost": "0.1", "ResourceId": None},
        {"ChargeCategory": "Purchase", "CommitmentDiscountId": "sp-1", "ChargeFrequency": "Recurring",
         "BilledCost": "1", "EffectiveCost": "0"},
        {"ChargeCategory": "Tax", "BilledCost": "0.285", "EffectiveCost": "0.285", "ListCost": None, "SkuId": None},
        {"ChargeCategory": "Credit", "BilledCost": "-3.000000000000000001", "EffectiveCost": "-3", "SkuId": None},
        {"ChargeCategory": "Adjustment", "ChargeFrequency": "One-Time",
         "ChargeDescription": 'rounding, "half-even"\nup'},
        {"ChargeClass": "Correction", "BilledCost": "-1.5", "EffectiveCost": "-1.5",
         "ChargeDescription": "ünïcode; a|b"},
        {**TOKENS, "SkuPriceDetails": '{"x_Region": "eu"}'}, {**TOKENS, "SkuPriceDetails": '{"ModelId": "our-own"}'},
        {"BillingCurrency": "EUR", "Tags": None}, {"BillingCurrency": "EUR", "Tags": None},
        {"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z",
         "ChargePeriodStart": "2026-10-01T05:00:00Z", "ChargePeriodEnd": "2026-10-01T06:00:00Z"},
    )  # fmt: skip


@pytest.fixture
def billed(load: Callable[..., object], lake: Lake, tmp_path: Path) -> Lake:
    """A lake that holds the bill."""
    bill().write_csv(tmp_path / "bill.csv")
    load(tmp_path / "bill.csv")
    return lake


def again(path: Path, home: Path) -> Lake:
    """A new lake that holds what a file says."""
    config = load_config(home)
    source = Source(id="again", connector="focus", path=path)
    ingest(config, Lake.of(config), source, say=lambda _: None, until=TODAY)
    return Lake.of(config)


def plain(rows: pl.LazyFrame) -> pl.DataFrame:
    """Rows without the two columns that name the lake they come from, in an order of their own."""
    frame = rows.drop(s.SOURCE_ID, s.CHARGE_ID).collect()
    return frame.sort(frame.columns)


def charges_file(written: FocusExport) -> Path:
    return written.charges.path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_export_reads_back_the_same(billed: Lake, tmp_path: Path, version: str, form: str) -> None:
    """Each version and form reads back to the same four totals and to the same rows, and exports the same again."""
    written = export_focus(billed, tmp_path / "out", version=version, form=form)
    second = again(charges_file(written), tmp_path / "again")
    kept = (*COSTS, s.BILLING_CURRENCY)
    in_lake = [totals(lake.scan("charges"), COSTS, s.BILLING_CURRENCY) for lake in (billed, second)]
    assert in_lake[0] == in_lake[1]
    assert second.scan("quarantine").collect().is_empty()
    stored = [lake.scan("charges").select(kept).collect().sort(kept) for lake in (billed, second)]
    assert stored[0].equals(stored[1])
    assert plain(dataset(billed, version)).equals(plain(dataset(second, version)))


@pytest.mark.parametrize("version", VERSIONS)
def test_columns_are_those_of_the_version_then_ours(billed: Lake, tmp_path: Path, version: str) -> None:
    """The file has exactly the version's columns by name, then ours in their order."""
    names = [c.name for c in columns(version)]
    for form in FORMS:
        written = export_focus(billed, tmp_path, version=version, form=form)
        assert scan(charges_file(written)).collect_schema().names() == [*names, *OURS]
    assert names == sorted(names)


def test_csv_cells_are_plain(billed: Lake, tmp_path: Path) -> None:
    """Amounts are plain decimals with every digit, times ISO 8601 with Z, tags one JSON object."""
    rows = scan(charges_file(export_focus(billed, tmp_path, version="1.4"))).collect()
    assert "-3.000000000000000001" in rows[s.BILLED_COST].to_list()
    assert "0.000000000000000001" in rows[s.CONSUMED_QUANTITY].to_list()
    assert rows[s.BILLED_COST].str.contains(r"^-?\d+(\.\d*[1-9])?$").all()
    assert set(rows[s.CHARGE_PERIOD_START]) == {"2026-09-03T00:00:00Z", "2026-10-01T05:00:00Z"}
    tags = {json.dumps(json.loads(cell)) for cell in rows[s.TAGS].drop_nulls()}
    assert tags == {'{"team": "Search"}', '{"team": "Sales \\"EMEA\\"", "spot": true, "n": 7}'}


def test_parquet_columns_are_typed(billed: Lake, tmp_path: Path) -> None:
    """A Parquet file has decimals, UTC times and JSON text."""
    rows = scan(charges_file(export_focus(billed, tmp_path, version="1.4", form="parquet"))).collect_schema()
    assert {rows[c.name] for c in columns("1.4") if c.data_type == "Decimal"} == {s.MONEY}
    assert rows[s.CHARGE_PERIOD_END] == s.TIME
    assert rows[s.TAGS] == pl.String


def test_what_is_known_of_the_model_is_written_back(billed: Lake, tmp_path: Path) -> None:
    """SkuPriceDetails gets the model and token keys that it lacks; what the source said there stays."""
    rows = scan(charges_file(export_focus(billed, tmp_path, version="1.2"))).filter(pl.col(s.MODEL_ID).is_not_null())
    details = sorted((json.loads(cell) for cell in rows.collect()[s.SKU_PRICE_DETAILS]), key=lambda d: "x_Region" in d)
    assert details[0]["ModelId"] == "our-own"
    assert details[1]["x_Region"] == "eu"
    assert {d["TokenDirection"] for d in details} == {"Input"}
    assert details[1]["ModelDeveloper"] == "Anthropic"
    assert details[1]["ModelId"] != "our-own"


def test_nothing_is_invented(billed: Lake, tmp_path: Path) -> None:
    """What a source left empty stays empty, and the findings list it with its rows."""
    written = export_focus(billed, tmp_path, version="1.4")
    rows = scan(charges_file(written)).collect()
    assert rows[s.LIST_COST].null_count() == 1
    assert rows[s.INVOICE_ISSUER_NAME].null_count() == len(rows)
    found = {(r["column"], r["rule"]): r for r in written.findings.to_dicts() if r["dataset"] == "CostAndUsage"}
    assert found[s.LIST_COST, "is not empty"]["rows"] == 1
    assert found[s.INVOICE_ISSUER_NAME, "is not empty"]["rows"] == len(rows)
    empty = found[s.LIST_COST, "is not empty"]
    assert rows[s.LIST_COST][empty["first_row"] - 1] is None
    assert rows[s.CHARGE_ID][empty["first_row"] - 1] == empty["charge_id"]
    report = pl.read_csv(written.report, infer_schema=False)
    assert report["column"].to_list() == written.findings["column"].to_list()


def test_earlier_versions_name_provider_and_publisher(load: Callable[..., object], lake: Lake, tmp_path: Path) -> None:
    """1.0 and 1.2 say who sells and who publishes: the source's own words, empty where it left them empty."""
    old = focus_rows({"PublisherName": 'Data "dog"'}, {"PublisherName": None}).rename(
        {"ServiceProviderName": "ProviderName"}
    )
    old.write_parquet(tmp_path / "bill.parquet")
    load(tmp_path / "bill.parquet")
    rows = dataset(lake, "1.0").select(s.PROVIDER_NAME, s.PUBLISHER_NAME).collect()
    assert set(rows.iter_rows()) == {("AWS", 'Data "dog"'), ("AWS", None)}


def test_derived_sources_are_left_out(billed: Lake, config: object, tmp_path: Path) -> None:
    """Only billed charges are written: derived ones are billed by another source."""
    before = dataset(billed, "1.4").collect().height
    bill().write_csv(tmp_path / "gateway.csv")
    source = Source(id="gateway", connector="focus", path=tmp_path / "gateway.csv", ledger_role="derived")
    ingest(load_config(tmp_path / "home"), billed, source, say=lambda _: None, until=TODAY)
    assert dataset(billed, "1.4").collect().height == before


def test_a_subcategory_stands_without_its_category(load: Callable[..., object], lake: Lake, tmp_path: Path) -> None:
    """FOCUS names a subcategory alone: a category before it is taken off."""
    rows = ({"ServiceSubcategory": "Compute/Virtual Machines"}, {"ServiceSubcategory": "Containers"},
            {"ServiceSubcategory": "Bots", "ServiceCategory": None})  # fmt: skip
    focus_rows(*rows).write_csv(tmp_path / "bill.csv")
    load(tmp_path / "bill.csv")
    assert set(dataset(lake, "1.4").collect()[s.SERVICE_SUBCATEGORY]) == {"Virtual Machines", "Containers", "Bots"}


def test_a_file_that_does_not_tie_never_appears(billed: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset that lost a row is not put in place, and the file of the last export stays."""
    path = charges_file(export_focus(billed, tmp_path, version="1.4"))
    before = path.read_bytes()
    whole = focus_export.dataset
    monkeypatch.setattr(focus_export, "dataset", lambda lake, version: whole(lake, version).head(3))
    with pytest.raises(LakeError, match=r"BilledCost of .*focus_1_4.csv sums to"):
        export_focus(billed, tmp_path, version="1.4")
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("version", "form"), [("1.1", "csv"), ("1.4", "xlsx")])
def test_a_wrong_call_writes_nothing(billed: Lake, tmp_path: Path, version: str, form: str) -> None:
    """A version or form that is not written is a wrong call."""
    with pytest.raises(CallError):
        export_focus(billed, tmp_path / "out", version=version, form=form)
    assert not (tmp_path / "out").exists()


def test_an_empty_lake_exports_headers(lake: Lake, tmp_path: Path) -> None:
    """A lake without charges gives files with columns and no rows, and no finding."""
    written = export_focus(lake, tmp_path, version="1.4")
    assert written.charges.rows == 0
    assert written.findings.is_empty()


@pytest.mark.parametrize("form", FORMS)
def test_invoices_and_billing_periods(billed: Lake, tmp_path: Path, form: str) -> None:
    """With 1.4 the invoices go out as Invoice Detail and tie, and periods are closed where that is known."""
    invoice = {
        "invoice_id": "I-1", "source_id": "bill", "billing_period": "2026-09", "issuer": "AWS", "account_id": "100",
        "amount": D("6.25"), "currency": "USD", "issue_date": date(2026, 10, 3), "source": "invoices.csv",
    }  # fmt: skip
    with billed.transaction("test") as tx:
        tx.replace("invoices", pl.DataFrame([invoice], schema=s.TABLES["invoices"].columns))
    written = export_focus(billed, tmp_path, version="1.4", form=form)
    detail, periods_file = written.others
    assert detail.totals == {"USD": D("6.25")}
    row = scan(detail.path).collect().to_dicts()[0]
    assert list(row)[:-1] == [c.name for c in columns("1.4", "InvoiceDetail")]
    shown = {k: v for k, v in row.items() if v is not None and not isinstance(v, datetime) and k != s.BILLED_COST}
    assert shown == {
        "BillingAccountId": "100", "BillingCurrency": "USD", "InvoiceId": "I-1", "InvoiceIssueStatus": "Issued",
        "InvoiceIssuerName": "AWS", "x_SourceId": "bill",
        **({name: f"2026-{day}T00:00:00Z" for name, day in (("BillingPeriodStart", "09-01"),
            ("BillingPeriodEnd", "10-01"), ("InvoiceIssueDate", "10-03"))} if form == "csv" else {}),
    }  # fmt: skip
    periods = scan(periods_file.path).sort("BillingPeriodStart").collect()
    assert periods["BillingPeriodStatus"].to_list() == ["Closed", "Open"]
    listed = written.findings.filter(pl.col("dataset") == "InvoiceDetail")["column"].to_list()
    assert {"ChargeCategory", "PaymentTerms", "InvoiceDetailId"} <= set(listed)


def test_a_period_is_closed_by_what_came_after(billed: Lake, tmp_path: Path) -> None:
    """Charges beyond its end close a period, and so does a load long after it; nothing else is known to."""
    loads = billed.scan("loads").collect()
    late = loads.with_columns(pl.lit(datetime(2026, 12, 20, tzinfo=UTC)).cast(s.TIME).alias("loaded_at"))
    status = []
    for frame in (loads, late):
        with billed.transaction("test") as tx:
            tx.replace("loads", frame)
        written = export_focus(billed, tmp_path, version="1.4")
        status.append(
            scan(written.others[0].path).sort("BillingPeriodStart").collect()["BillingPeriodStatus"].to_list()
        )
    assert status == [["Closed", "Open"], ["Closed", "Closed"]]


@pytest.mark.parametrize(("marked", "team"), [({"x_ClassifiedBy": "rule-1"}, "Ops"), ({}, "Search")])
def test_only_an_export_brings_its_owners(
    load: Callable[..., object], lake: Lake, tmp_path: Path, marked: dict[str, str], team: str
) -> None:
    """The x_ columns of an export are ours; in another provider's file they are not."""
    focus_rows({"x_Team": "Ops", **marked}).write_csv(tmp_path / "bill.csv")
    load(tmp_path / "bill.csv")
    assert lake.scan("charges").collect()[s.TEAM].to_list() == [team]
