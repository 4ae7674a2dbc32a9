"""The demo company: its exports are real in form, the same for a seed, and hold exactly what its truth file says."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors import azure as azure_connector
from connectors import focus, on_prem, registry, tables
from connectors import gcp as gcp_connector
from connectors.demo import SCENARIO, DemoCompany, aws, azure, finance, gcp, write
from connectors.demo.company import COMMITMENTS
from connectors.demo.skus import skus
from connectors.registry import REJECT, RawPart, ledger_role
from finops import schema as s
from finops.config import load_config
from finops.errors import CallError
from finops.prices import load_prices

TODAY = date(2026, 11, 21)
CENT = Decimal("0.01")
SMALL = Decimal("1e-9")
Row = dict[str, Any]


@dataclass(frozen=True)
class Written:
    """A demo home, its truth, and its cloud charges as they stand in the raw files."""

    company: DemoCompany
    truth: Row
    charges: pl.DataFrame

    def incident(self, kind: str) -> Row:
        """The truth's record of an incident."""
        return next(i for i in self.truth["incidents"] if i["kind"] == kind)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Eighteen months."""
    company = write(tmp_path_factory.mktemp("demo"), months=18, seed=7, today=TODAY)
    return Written(company, json.loads(company.truth.read_text()), _raw(company.home))


def _raw(home: Path) -> pl.DataFrame:
    """The FOCUS exports in common columns, money exact."""
    wanted = (
        s.BILLED_COST, s.EFFECTIVE_COST, s.CONTRACTED_COST, s.LIST_COST, s.CHARGE_CATEGORY, s.CHARGE_CLASS,
        s.COMMITMENT_DISCOUNT_ID, s.COMMITMENT_DISCOUNT_STATUS, s.CONSUMED_QUANTITY, s.PRICING_QUANTITY,
        s.LIST_UNIT_PRICE, s.SERVICE_NAME, s.SKU_METER, s.SUB_ACCOUNT_ID, s.TAGS, s.INVOICE_ID,
    )  # fmt: skip
    days = (s.CHARGE_PERIOD_START, s.CHARGE_PERIOD_END, s.BILLING_PERIOD_START, s.BILLING_PERIOD_END)
    parquet = pl.read_parquet(home / aws.FOLDER / "**/*.parquet", hive_partitioning=False)
    csv = pl.concat([pl.read_csv(p, infer_schema=False) for p in _delivered(home)])
    tags = pl.col(s.TAGS).map.entries().list.eval(pl.element().struct.json_encode()).list.join(",").alias(s.TAGS)
    money = pl.Decimal(38, 12)
    one = parquet.with_columns(tags).select(
        pl.lit("aws").alias("source"), *wanted, *(pl.col(d).dt.date() for d in days)
    )
    other = csv.select(pl.lit("azure").alias("source"), *wanted, *(pl.col(d).str.head(10).str.to_date() for d in days))
    return pl.concat([f.with_columns(pl.col(wanted[:4]).cast(money)) for f in (one, _numbers(other))]).with_columns(
        pl.col(s.BILLING_PERIOD_START).dt.strftime("%Y-%m").alias("period")
    )


def _delivered(home: Path) -> list[Path]:
    """Azure's file of each month: that of the run submitted last."""
    newest: dict[str, tuple[str, Path]] = {}
    for path in sorted((home / azure.FOLDER).rglob("manifest.json")):
        run = json.loads(path.read_text())
        [blob] = run["blobs"]
        month, file = path.parent.parent.name, path.parent / Path(blob["blobName"]).name
        newest[month] = max(newest.get(month, ("", file)), (run["runInfo"]["submittedTime"], file))
    return [file for _, file in newest.values()]


def _google(home: Path, until: date) -> pl.DataFrame:
    """Google's export as the connector reads it."""
    return pl.concat(
        [gcp_connector.parse(part).collect() for part in gcp_connector.find_parts(home / gcp.FOLDER, until=until)]
    )


def _numbers(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(s.CONSUMED_QUANTITY, s.PRICING_QUANTITY, s.LIST_UNIT_PRICE).cast(pl.Float64))


def _total(rows: pl.DataFrame, cost: str = s.EFFECTIVE_COST) -> Decimal:
    return Decimal(rows[cost].sum())


def _hashes(home: Path) -> dict[str, str]:
    found = sorted(p for p in home.rglob("*") if p.is_file())
    return {str(p.relative_to(home)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


# ------------------------------------------------------------------------------------------------------ deterministic
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    """Every file of two homes of one seed is equal, and another seed gives other charges."""
    homes = {name: tmp_path / name for name in ("one", "two", "other")}
    for name, home in homes.items():
        write(home, months=4, seed=3 if name == "other" else 2, today=TODAY)
    assert _hashes(homes["one"]) == _hashes(homes["two"])
    one, other = _raw(homes["one"]), _raw(homes["other"])
    assert _total(one) != _total(other)
    assert abs(_total(one) / _total(other) - 1) < Decimal("0.2"), "another seed is another year of the same company"


def test_an_earlier_demo_is_replaced(tmp_path: Path) -> None:
    """A home that held a longer history holds only the new one's months afterwards."""
    write(tmp_path, months=6, seed=1, today=TODAY)
    write(tmp_path, months=3, seed=1, today=TODAY)
    fresh = tmp_path / "fresh"
    write(fresh, months=3, seed=1, today=TODAY)
    again = {k: v for k, v in _hashes(tmp_path).items() if not k.startswith("fresh")}
    assert again == _hashes(fresh)


def test_a_home_that_is_no_demo_is_left_alone(tmp_path: Path) -> None:
    """A finops.toml that somebody wrote is neither replaced nor joined by demo data."""
    (tmp_path / "finops.toml").write_text('[company]\nname = "Real"\n')
    with pytest.raises(CallError, match="not of a demo company"):
        write(tmp_path, months=3, seed=1, today=TODAY)
    assert _hashes(tmp_path).keys() == {"finops.toml"}


@pytest.mark.parametrize("months", [2, 61])
def test_months_out_of_range_are_refused(tmp_path: Path, months: int) -> None:
    """Fewer than 3 or more than 60 months name the range."""
    with pytest.raises(CallError) as caught:
        write(tmp_path, months=months, seed=1, today=TODAY)
    assert "3 to 60" in caught.value.expected
    assert not any(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------------------- truth
def test_truth_equals_the_raw_files(demo: Written) -> None:
    """Rows and all four costs of each source and month are the sums of the raw files."""
    stated = [t for t in demo.truth["totals"] if t["source"] in ("aws", "azure")]
    assert len(stated) == 2 * 18
    for total in stated:
        rows = demo.charges.filter((pl.col("source") == total["source"]) & (pl.col("period") == total["period"]))
        assert rows.height == total["rows"]
        for name, column in s.COSTS.items():
            assert abs(_total(rows, column) - Decimal(total[name])) <= SMALL, (total, name)


def test_owners_sum_to_the_totals(demo: Written) -> None:
    """Costs by team and purpose are the totals of each source, month and currency, nothing lost or doubled."""
    for cost in ("billed", "effective"):
        sums: dict[tuple[str, str, str], Decimal] = {}
        for row in demo.truth["owners"]:
            key = (row["source"], row["period"], row["currency"])
            sums[key] = sums.get(key, Decimal(0)) + Decimal(row[cost])
        totals = {(t["source"], t["period"], t["currency"]): Decimal(t[cost]) for t in demo.truth["totals"]}
        assert sums.keys() == totals.keys()
        assert all(abs(sums[key] - totals[key]) <= SMALL for key in totals)


def test_connectors_read_what_was_written(demo: Written) -> None:
    """The connectors reject no row and find the totals of the truth file, to 1e-9; of two runs of a month the newer."""
    until = demo.company.last_day + timedelta(days=1)
    totals = {(t["source"], t["period"], t["currency"]): t for t in demo.truth["totals"]}
    home = demo.company.home
    october = home / aws.FOLDER / "BILLING_PERIOD=2026-10/aldermoor-focus-00001.snappy.parquet"
    delivered = azure_connector.find_parts(home / azure.FOLDER, until=until)
    [newest] = [part for part in delivered if part.name.startswith("20261101-")]
    charges_of = {
        "aws": focus.parse(RawPart(october, october.name, until)).collect(),
        "azure": azure_connector.parse(newest).collect(),
        "gcp": _google(home, until),
        "on_prem": on_prem.parse(RawPart(home / "raw/on_prem/assets.csv", "assets.csv", until)).collect(),
    }
    for source, charges in charges_of.items():
        assert charges[REJECT].null_count() == charges.height
        periods = charges.group_by(
            pl.col(s.BILLING_PERIOD_START).dt.strftime("%Y-%m").alias("period"), s.BILLING_CURRENCY
        ).agg(pl.col(s.BILLED_COST, s.EFFECTIVE_COST).sum())
        for row in periods.iter_rows(named=True):
            stated = totals[source, row["period"], row[s.BILLING_CURRENCY]]
            assert abs(row[s.BILLED_COST] - Decimal(stated["billed"])) <= SMALL
            assert abs(row[s.EFFECTIVE_COST] - Decimal(stated["effective"])) <= SMALL
    assert len(list((home / azure.FOLDER / "20261101-20261130").rglob("*.csv.gz"))) == 2


def test_google_bills_commitments_credits_and_accelerators(demo: Written) -> None:
    """Committed A100 are credited and their fees divided as planned; TPU, spot GPUs and Gemini are on the bill."""
    charges = _google(demo.company.home, demo.company.last_day)
    status = charges.filter(pl.col(s.COMMITMENT_DISCOUNT_STATUS).is_not_null())
    assert set(status[s.COMMITMENT_DISCOUNT_TYPE]) == {"Committed Use Discount"}
    terms = [c for c in demo.truth["commitments"] if c["source"] == "gcp"]
    assert len(terms) == status[s.COMMITMENT_DISCOUNT_ID].n_unique() == 3
    for name in ("used", "unused"):
        found = status.filter(pl.col(s.COMMITMENT_DISCOUNT_STATUS) == name.title())
        assert abs(_total(found) - sum(Decimal(term[name]) for term in terms)) <= SMALL
    credits = charges.filter(pl.col(s.CHARGE_CATEGORY) == "Credit")
    assert _total(credits, s.BILLED_COST) < 0
    assert _total(credits.filter(pl.col(s.CHARGE_DESCRIPTION).str.contains("promotion"))) < 0
    meters = set(charges[s.SKU_METER])
    assert all(
        any(word in meter for meter in meters) for word in ("TPU v5e", "A100", "Spot", "Gemini 2.5", "Vertex AI")
    )


def test_size_of_the_company(demo: Written) -> None:
    """A mid-size company: 150 to 350 thousand charges, a million or more a month, days up to two before today."""
    rows = {
        name: sum(t["rows"] for t in demo.truth["totals"] if t["source"] == name) for name in ("aws", "azure", "gcp")
    }
    assert 150_000 <= demo.company.charges == sum(rows.values()) <= 350_000
    assert demo.charges.height == rows["aws"] + rows["azure"]
    last = [t for t in demo.truth["totals"] if t["period"] == "2026-10" and t["currency"] == "USD"]
    assert Decimal(1_000_000) <= sum(Decimal(t["effective"]) for t in last) <= Decimal(1_400_000)
    used = demo.charges.filter(pl.col(s.CHARGE_PERIOD_END) - pl.col(s.CHARGE_PERIOD_START) == timedelta(days=1))
    assert used[s.CHARGE_PERIOD_START].min() == demo.company.first_day == date(2025, 6, 1)
    assert used[s.CHARGE_PERIOD_START].max() == demo.company.last_day == TODAY - timedelta(days=2)
    growth = [_total(demo.charges.filter(pl.col("period") == p)) for p in ("2025-10", "2026-10")]
    assert growth[1] > growth[0] * Decimal("1.15")


# ---------------------------------------------------------------------------------------------------------- incidents
def test_inference_tripled_in_45_days(demo: Written) -> None:
    """Support's Claude tokens are three times as many after the ramp, and the stated extra cost is what came on top."""
    incident = demo.incident("inference_cost_tripled")
    first = date.fromisoformat(incident["first_day"])
    rows = demo.charges.filter(
        (pl.col(s.SUB_ACCOUNT_ID) == incident["scope"][s.SUB_ACCOUNT_ID])
        & pl.col(s.TAGS).str.contains("support-assistant")
    ).with_columns(pl.col(s.EFFECTIVE_COST).cast(pl.Float64))
    daily = rows.group_by(s.CHARGE_PERIOD_START).agg(pl.col(s.CONSUMED_QUANTITY, s.EFFECTIVE_COST).sum())
    day = pl.col(s.CHARGE_PERIOD_START)
    ramped = first + timedelta(days=44)
    before = daily.filter(day.is_between(first - timedelta(days=14), first, closed="left"))
    after = daily.filter(day.is_between(ramped, ramped + timedelta(days=14), closed="left"))
    assert after[s.CONSUMED_QUANTITY].mean() / before[s.CONSUMED_QUANTITY].mean() == pytest.approx(3, rel=0.06)
    inside = daily.filter(day >= first)
    usual = before[s.EFFECTIVE_COST].mean() * inside.height
    assert inside[s.EFFECTIVE_COST].sum() - usual == pytest.approx(float(incident["extra_cost"]), rel=0.08)
    conversations = _metric(demo, "support-assistant").filter(pl.col("day") >= first)["value"]
    assert conversations.tail(14).mean() / conversations.head(14).mean() < 1.1


def _metric(demo: Written, use_case: str) -> pl.DataFrame:
    table = pl.read_csv(demo.company.home / "raw/finance/business_metrics.csv", try_parse_dates=True)
    return table.filter(pl.col("use_case") == use_case)


def test_reserved_h100_stand_idle(demo: Written) -> None:
    """From the first day on all of the reservation's money is Unused, and none of it was before."""
    incident = demo.incident("idle_reserved_accelerators")
    first = date.fromisoformat(incident["first_day"])
    group = demo.charges.filter(pl.col(s.SKU_METER) == "ND96isr H100 v5", pl.col(s.CHARGE_CATEGORY) == "Usage")
    idle = group.filter(pl.col(s.CHARGE_PERIOD_START) >= first)
    assert set(idle[s.COMMITMENT_DISCOUNT_STATUS]) == {"Unused"}
    assert _total(idle) == Decimal(incident["extra_cost"])
    earlier = group.filter(pl.col(s.CHARGE_PERIOD_START).is_between(date(2026, 1, 1), first, closed="left"))
    unused = earlier.filter(pl.col(s.COMMITMENT_DISCOUNT_STATUS) == "Unused")
    assert _total(unused) < _total(earlier) * Decimal("0.05")
    by_day = _total(idle) / idle.height
    assert Decimal(incident["extra_cost_by_period"]["2026-10"]) == pytest.approx(by_day * 31)


def test_an_account_that_nobody_owns(demo: Written) -> None:
    """The new account starts on the stated day, carries no tag, is in no mapping and costs what is stated."""
    incident = demo.incident("unowned_account")
    account = incident["scope"][s.SUB_ACCOUNT_ID]
    rows = demo.charges.filter(pl.col(s.SUB_ACCOUNT_ID) == account)
    assert rows[s.CHARGE_PERIOD_START].min() == date.fromisoformat(incident["first_day"])
    assert set(rows[s.TAGS].fill_null("")) == {""}
    assert _total(rows) == Decimal(incident["extra_cost"])
    mappings = (demo.company.home / "raw/finance/mappings.csv").read_text()
    assert account not in mappings
    payer = re.findall("018302119400", mappings)
    assert not payer, "the payer's id is the billing account of every charge and would claim them all"


def test_a_meter_that_got_dearer(demo: Written) -> None:
    """The unit price of one meter is 1.25 times the old one from the stated day, and of no other meter."""
    incident = demo.incident("provider_price_change")
    first = date.fromisoformat(incident["first_day"])
    usage = demo.charges.filter(pl.col(s.LIST_UNIT_PRICE).is_not_null(), pl.col(s.CHARGE_CATEGORY) == "Usage")
    prices = usage.group_by(s.SERVICE_NAME, s.SKU_METER).agg(
        old=pl.col(s.LIST_UNIT_PRICE).filter(pl.col(s.CHARGE_PERIOD_START) < first).unique(),
        new=pl.col(s.LIST_UNIT_PRICE).filter(pl.col(s.CHARGE_PERIOD_START) >= first).unique(),
    )
    changed = [r for r in prices.iter_rows(named=True) if r["old"] and r["new"] and r["old"] != r["new"]]
    assert [r[s.SKU_METER] for r in changed] == [incident["scope"][s.SKU_METER]]
    assert changed[0]["new"][0] / changed[0]["old"][0] == pytest.approx(incident["ratio"]) == 1.25
    dearer = usage.filter(pl.col(s.SKU_METER) == incident["scope"][s.SKU_METER], pl.col(s.CHARGE_PERIOD_START) >= first)
    assert float(_total(dearer)) * (1 - 1 / 1.25) == pytest.approx(float(incident["extra_cost"]))


def test_a_training_burst_of_three_weeks(demo: Written) -> None:
    """For 21 days about 144 more p5 hours a day run than around them, at the stated cost."""
    incident = demo.incident("training_burst")
    first, last = (date.fromisoformat(incident[k]) for k in ("first_day", "last_day"))
    assert (last - first).days == 20
    p5 = demo.charges.filter(pl.col(s.SKU_METER) == "BoxUsage:p5.48xlarge")
    daily = p5.group_by(s.CHARGE_PERIOD_START).agg(pl.col(s.CONSUMED_QUANTITY).sum())
    inside = daily.filter(pl.col(s.CHARGE_PERIOD_START).is_between(first, last))[s.CONSUMED_QUANTITY]
    outside = daily.filter(~pl.col(s.CHARGE_PERIOD_START).is_between(first, last))[s.CONSUMED_QUANTITY]
    assert inside.min() >= 6 * 24 * 0.97
    assert outside.max() < 6 * 24
    assert float(incident["extra_cost"]) == pytest.approx(6 * 24 * 21 * 55.04 * 0.95, rel=0.03)


# -------------------------------------------------------------------------------------------------------- FOCUS rules
def _exports(home: Path) -> dict[str, pl.DataFrame]:
    csv = _delivered(home)
    return {
        "aws": pl.read_parquet(home / aws.FOLDER / "**/*.parquet", hive_partitioning=False),
        "azure": pl.concat([pl.read_csv(p, infer_schema=False) for p in csv]),
    }


def test_focus_columns_and_values(demo: Written) -> None:
    """Every column of FOCUS 1.2 is there, mandatory ones are filled, and values are among the allowed ones."""
    for source, frame in _exports(demo.company.home).items():
        for column in s.focus_columns():
            if column.introduced in ("1.3", "1.4"):
                assert column.name not in frame.columns
                continue
            if column.feature_level == "Mandatory":
                assert column.name in frame.columns, (source, column.name)
                assert column.allows_nulls or not frame[column.name].null_count(), (source, column.name)
            if column.allowed_values and column.data_type == "String" and column.name in frame.columns:
                assert set(frame[column.name].drop_nulls()) <= set(column.allowed_values), (source, column.name)


def test_shape_of_the_providers_exports(demo: Written) -> None:
    """AWS gives maps and doubles and its three columns; Azure the 104 columns of its export, with JSON tags."""
    exports = _exports(demo.company.home)
    assert exports["aws"].columns[-3:] == ["x_Discounts", "x_Operation", "x_ServiceCode"]
    assert "x_UsageType" not in exports["aws"].columns
    assert exports["aws"].schema[s.TAGS] == pl.Map(pl.String, pl.String)
    assert exports["aws"].schema[s.BILLED_COST] == pl.Float64
    assert len(exports["azure"].columns) == 104
    tags = json.loads(exports["azure"][s.TAGS].drop_nulls()[0])
    assert {"Team", "Application", "Env", "CostCenter"} <= tags.keys()


@pytest.mark.shared
def test_azure_columns_are_those_of_the_toolkit(shared: Path) -> None:
    """The Azure header is the published schema of the FocusCost 1.2 export, in its order."""
    schema = json.loads((shared / "native/azure/ftk_schema_focuscost_1.2.json").read_text())
    mappings = schema["translator"]["mappings"]
    assert list(azure.COLUMNS) == [m["source"]["name"] for m in mappings]


def test_costs_follow_from_prices(demo: Written) -> None:
    """ListCost is ListUnitPrice x PricingQuantity wherever both stand, and no usage costs more than its list price."""
    priced = demo.charges.filter(
        pl.col(s.LIST_UNIT_PRICE).is_not_null(), pl.col(s.CHARGE_CATEGORY) == "Usage",
        pl.col(s.COMMITMENT_DISCOUNT_STATUS).fill_null("") != "Unused",
    )  # fmt: skip
    gap = pl.col(s.LIST_UNIT_PRICE) * pl.col(s.PRICING_QUANTITY) - pl.col(s.LIST_COST).cast(pl.Float64)
    assert priced.height > 200_000
    assert priced.select(gap.abs().max()).item() < 1e-6
    assert priced.filter(pl.col(s.EFFECTIVE_COST) > pl.col(s.LIST_COST)).is_empty()


def test_charges_lie_in_their_billing_period(demo: Written) -> None:
    """A charge period starts in its billing period, but for the refund, which corrects the month before."""
    outside = demo.charges.filter(
        (pl.col(s.CHARGE_PERIOD_START) < pl.col(s.BILLING_PERIOD_START))
        | (pl.col(s.CHARGE_PERIOD_START) >= pl.col(s.BILLING_PERIOD_END))
    )
    assert outside[s.CHARGE_CLASS].to_list() == ["Correction"]
    assert _total(outside, s.BILLED_COST) < 0


# -------------------------------------------------------------------------------------------- commitments and invoices
def test_used_and_unused_tie_to_the_fee_over_the_term(demo: Written) -> None:
    """Over a whole term used + unused EffectiveCost is what was paid, and neither side is counted twice."""
    whole = [c for c in demo.truth["commitments"] if c["whole_term_shown"]]
    assert {c["kind"] for c in whole} == {"Savings Plan", "Reserved Instance"}
    for term in whole:
        first, end = date.fromisoformat(term["first_day"]), date.fromisoformat(term["end_day"])
        number = {"sp-1": "savingsplans", "ri-1": "reserved-instances"}[term["commitment"]]
        rows = demo.charges.filter(
            pl.col(s.COMMITMENT_DISCOUNT_ID).str.contains(number),
            pl.col(s.CHARGE_PERIOD_START).is_between(first, end, closed="left"),
        )
        usage, paid = (rows.filter(pl.col(s.CHARGE_CATEGORY) == c) for c in ("Usage", "Purchase"))
        assert set(usage[s.COMMITMENT_DISCOUNT_STATUS]) == {"Used", "Unused"}
        assert _total(usage, s.BILLED_COST) == 0 == _total(paid, s.EFFECTIVE_COST)
        assert abs(_total(usage) - _total(paid, s.BILLED_COST)) < Decimal("1e-5")
        assert _total(paid, s.BILLED_COST) == Decimal(term["fees"])


def test_invoices_are_the_bill_but_for_one_missing_fee(demo: Written) -> None:
    """Each closed month's invoice is its bill to the cent; one lacks the support fee, and says how much it is."""
    table = tables.read("invoices", demo.company.home / "raw/finance/invoices.csv", currency="USD").frame
    assert table["source_id"].value_counts(name="n").sort("source_id").rows() == [
        (source, 17) for source in ("anthropic", "aws", "azure", "gcp", "openai")
    ]
    residuals = {}
    for row in table.filter(pl.col("source_id").is_in(["aws", "azure"])).iter_rows(named=True):
        mine = (pl.col("source") == row["source_id"]) & (pl.col("period") == row["billing_period"])
        bill = demo.charges.filter(mine)
        residuals[row["source_id"], row["billing_period"]] = row["amount"] - _total(bill, s.BILLED_COST)
        assert set(bill[s.INVOICE_ID]) == {row["invoice_id"]}
    missing = residuals.pop(("aws", "2026-09"))
    assert all(abs(r) < CENT for r in residuals.values())
    fees = demo.charges.filter(pl.col(s.SERVICE_NAME) == "AWS Support (Enterprise)", pl.col(s.SKU_METER) == "Dollar")
    assert "2026-09" not in fees["period"]
    assert set(fees["period"]) == set(demo.charges["period"]) - {"2026-09"}
    stated = next(i for i in demo.truth["invoices"] if abs(Decimal(i["residual"])) > CENT)
    assert (stated["source"], stated["period"]) == ("aws", "2026-09")
    assert "Support fee" in stated["cause"]
    assert abs(missing - Decimal(stated["residual"])) <= SMALL
    assert missing > 10_000


def test_the_open_month_is_not_invoiced(demo: Written) -> None:
    """The last month has no invoice number and no invoice."""
    assert demo.truth["open_period"] == "2026-11"
    assert demo.charges.filter(pl.col("period") == "2026-11")[s.INVOICE_ID].drop_nulls().is_empty()


# ---------------------------------------------------------------------------------------------- settings and finance
def test_settings_load_and_point_at_what_is_there(demo: Written) -> None:
    """finops.toml is valid, and every path in it exists but the scenario, which the lake yields."""
    config = load_config(demo.company.home)
    ids = ["aws", "azure", "gcp", "openai", "anthropic", "litellm", "gateway", "on_prem", "gpus"]
    assert [source.id for source in config.sources] == ids
    assert {source.id for source in config.sources if ledger_role(source) == s.DERIVED} == {"litellm", "gateway"}
    assert all(config.files_of(source).exists() for source in config.sources)
    assert {source.connector for source in config.sources} <= set(registry.names())
    named = {name: path for name, path in dict(config.tables).items() if path is not None}
    assert set(named) == set(finance.TABLES)
    assert all(config.path(path).exists() for path in named.values())
    assert config.optimize.scenarios == (SCENARIO,)
    assert {event.kind for event in config.events} == {"launch", "commitment", "price_change", "other"}
    assert all(demo.company.first_day <= event.date <= demo.company.last_day for event in config.events)


@pytest.mark.parametrize("table", ["budgets", "invoices", "fx_rates", "business_metrics", "mappings"])
def test_finance_tables_are_readable(demo: Written, table: str) -> None:
    """Each of finance's files is read without a wrong cell and without a column that nobody wants."""
    found = tables.read(table, demo.company.home / f"raw/finance/{table}.csv", currency="USD")
    assert found.frame.height > 0
    assert found.ignored == ()


def test_budgets_are_breached_where_the_incident_is(demo: Written) -> None:
    """In the last closed month Support and inference are far over budget, everything else is within 5 % or under."""
    rate = pl.read_csv(demo.company.home / "raw/finance/fx_rates.csv")["rate"].mean()
    budgets = tables.read("budgets", demo.company.home / "raw/finance/budgets.csv", currency="USD").frame
    owners = [o for o in demo.truth["owners"] if o["period"] == "2026-10"]
    ratio = {}
    for row in budgets.filter(pl.col("period") == "2026-10").iter_rows(named=True):
        dimension, _, value = row["scope"].partition("=")
        if dimension == "is_ai":
            mine = [o for o in owners if o["purpose"] in finance.PURPOSES]
        else:
            mine = [o for o in owners if not value or o[dimension] == value]
        actual = sum(float(o["effective"]) * (rate if o["currency"] == "EUR" else 1) for o in mine)
        ratio[row["scope"]] = actual / float(row["amount"])
    assert ratio.pop("team=Support") > 1.5
    assert ratio.pop("purpose=inference") > 1.1
    assert 1.05 < ratio.pop("is_ai=true") < 1.15
    assert ratio.pop("all") < 1.1
    assert all(0.6 < r < 1.05 for r in ratio.values()), ratio


def test_the_page_names_everything_that_is_planted(demo: Written) -> None:
    """docs/demo-company.md tells of every incident, team and file, and of each incident's own day."""
    page = (Path(__file__).parents[2] / "docs/demo-company.md").read_text()
    for incident in demo.truth["incidents"]:
        line = next(line for line in page.splitlines() if line.startswith(f"| `{incident['kind']}`"))
        if "from day" in line or "days 118" in line:
            ago = (demo.company.last_day - date.fromisoformat(incident["first_day"])).days
            assert re.search(rf"days? {ago}\b", line), line
    teams = {o["team"] for o in demo.truth["owners"]} - {"unknown"}
    assert all(f"**{team}**" in page for team in teams)
    assert all(Path(path).parts[0] + "/" + Path(path).parts[1] in page for path in demo.truth["files"].values())
    assert all(f"`{waste['group']}`" in page for waste in demo.truth["rightsizing"])
    idle = Decimal(demo.incident("idle_reserved_accelerators")["extra_cost_by_period"]["2026-10"])
    assert round(idle, -3) == 94_000


def test_the_reserved_price_is_the_offer_book_s() -> None:
    """The p4d reservation is bought at the shipped book's committed price, and the H100 one 36 % below on-demand."""
    book = load_prices()
    p4d = book.commitments.filter(
        pl.col("provider") == "aws", pl.col("region") == "us-east-1", pl.col("instance_type") == "p4d.24xlarge",
        pl.col("term_years") == 1, pl.col("payment") == "no_upfront",
    )["committed_per_hour"].item()  # fmt: skip
    prices = {row["sku"]: row for row in skus().iter_rows(named=True)}
    assert float(p4d) == prices["aws.p4d"]["committed_price"]
    assert prices["azure.nd_h100"]["committed_price"] == pytest.approx(0.64 * prices["azure.nd_h100"]["list_price"])
    in_hours = [c for c in COMMITMENTS if c.units]
    assert len(in_hours) == 6
    assert all(c.per_hour == pytest.approx(c.units * prices[c.sku]["committed_price"]) for c in in_hours if c.units)
