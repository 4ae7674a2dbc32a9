"""Google's pricing export gives machines at the company's own prices, with the list's beside them."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.gcp import bigquery, catalog, price_export, queries
from connectors.gcp.refusals import Asked
from connectors.gcp.session import Session, Tries
from connectors.offers import PriceList
from finops.cli.main import run
from finops.config import Gcp
from finops.errors import FinopsError, InputError, SourceUnreachable
from finops.prices import load_prices
from tests import gcp_prices
from tests.gcp_bill import QUICK, SEPTEMBER, Bill
from tests.gcp_prices import priced, rates
from tests.gcp_stub import ACCOUNT, FAULTS, PRICES_TABLE, PROJECT, SECRET, TABLE, GcpStub
from tests.unit.test_gcp_catalog import COMPUTE, REGION, TODAY, h100

DAY = datetime(2026, 11, 20, 7, tzinfo=UTC)
H100 = "Nvidia H100 80GB GPU running in Americas"
ON_DEMAND = 8 * Decimal("9.796551") + 208 * Decimal("0.02") + 1872 * Decimal("0.0025") + 6000 * Decimal("0.08") / 730


@pytest.fixture(scope="module")
def server() -> Iterator[GcpStub]:
    """One server for all tests of the module."""
    with GcpStub() as stub:
        yield stub


@pytest.fixture
def stub(server: GcpStub) -> GcpStub:
    """The server with the prices of two days, read in pages of five SKUs, without a contract."""
    server.empty()
    server.page_rows = 5
    server.prices = [*exported(as_of=DAY - timedelta(days=1), factor="3"), *exported()]
    return server


def exported(
    *,
    as_of: datetime = DAY,
    account: str = ACCOUNT,
    factor: str = "1",
    contract: Callable[[str, Decimal], Decimal | None] = lambda *_: None,
    regions: tuple[str, ...] = (REGION,),
) -> list[dict[str, Any]]:
    """The SKUs of the catalog's tests as the pricing export has them; contract: of a SKU's name and list price."""
    found = []
    for one in h100():
        expression = one["pricingInfo"][0]["pricingExpression"]
        price = expression["tieredRates"][0]["unitPrice"]
        listed = (Decimal(price["units"]) + Decimal(price["nanos"]).scaleb(-9)) * Decimal(factor)
        own = contract(one["description"], listed)
        found.append(
            priced(
                one["description"], f"{listed:f}", f"{own:f}" if own is not None else None, as_of=as_of,
                account=account, unit=expression["usageUnit"], regions=regions,
            )
        )  # fmt: skip
    return found


def discounted(description: str, listed: Decimal) -> Decimal | None:
    """A contract of a fifth off accelerators, and of nothing else."""
    return listed * Decimal("0.8") if "H100" in description else None


def session_of(stub: GcpStub, gcp: Gcp, said: list[str] | None = None, tries: Tries = QUICK) -> Session:
    """Google as the server's service account sees it."""
    asked = Asked("bill", "nobody", PROJECT, "repeat the command")
    return Session(gcp, Path(), asked, tries=tries, say=said.append if said is not None else lambda _: None)


def fetched(
    stub: GcpStub, folder: Path, *regions: str, said: list[str] | None = None, tries: Tries = QUICK, **settings: Any
) -> PriceList:
    """What the real SDK brings from the server."""
    given = {"table": TABLE, "since": TODAY, "url": stub.url, "credentials": stub.key_file(folder)}
    gcp = Gcp.model_validate({**given, "prices_table": PRICES_TABLE, **settings})
    say = said.append if said is not None else lambda _: None
    return price_export.fetch(session_of(stub, gcp, said, tries), gcp, regions=regions, today=TODAY, say=say)


def refused(act: Callable[[], object], kind: type[FinopsError] = SourceUnreachable) -> FinopsError:
    """The error that ends it, which says what to do, and no secret."""
    with pytest.raises(kind) as error:
        act()
    assert error.value.expected
    assert error.value.next_step
    assert SECRET not in str(error.value)
    return error.value


def machine(found: PriceList, name: str = "a3-highgpu-8g") -> dict[str, Any]:
    """The offer of a machine."""
    return found.offers.filter(pl.col("instance_type") == name).row(0, named=True)


def test_without_a_contract_the_export_is_the_catalog(stub: GcpStub, tmp_path: Path) -> None:
    """Offers and commitments are those of the same SKUs in the Cloud Catalog: one composition, two lists."""
    stub.catalog = {COMPUTE: h100()}
    gcp = Gcp(table=TABLE, since=TODAY, url=stub.url, credentials=stub.key_file(tmp_path))
    listed = catalog.fetch(session_of(stub, gcp), regions=(), today=TODAY, say=lambda _: None)
    found = fetched(stub, tmp_path)
    where = "source", "date"
    assert len(found.offers) == 4
    assert found.offers.drop(where).equals(listed.offers.drop(where))
    assert found.commitments.drop(where).equals(listed.commitments.drop(where))
    assert found.list_prices is not None
    assert found.list_prices["list_per_hour"].equals(found.offers["on_demand_per_hour"], check_names=False)


def test_contract_prices_win_over_list_prices(stub: GcpStub, tmp_path: Path) -> None:
    """Parts of the contract cost what it says, others the list's; the list's price of the machine stands beside."""
    stub.prices = exported(contract=discounted)
    found = fetched(stub, tmp_path)
    row = machine(found)
    paid = ON_DEMAND - Decimal("0.2") * 8 * Decimal("9.796551")
    assert row["on_demand_per_hour"] == paid.quantize(Decimal("1e-10"))
    assert row["currency"] == "USD"
    assert row["source"] == f"pricing export of {ACCOUNT}, as of 2026-11-20"
    assert row["date"] == date(2026, 11, 20)
    assert found.list_prices is not None
    beside = found.list_prices.filter(pl.col("instance_type") == "a3-highgpu-8g")["list_per_hour"].item()
    assert beside == ON_DEMAND.quantize(Decimal("1e-10"))
    (committed,) = found.commitments.filter(pl.col("instance_type") == "a3-highgpu-1g")["committed_per_hour"]
    ssd = 750 * Decimal("0.0511") / 730
    assert committed == Decimal("5.4") + 26 * Decimal("0.013") + 234 * Decimal("0.0016") + ssd


def test_a_contract_below_spot_and_commitments_stays_in_the_book(stub: GcpStub, tmp_path: Path) -> None:
    """What nobody would pay any more is left out and told, and not the machine; of a list it is a mistake as before."""

    def deep(description: str, listed: Decimal) -> Decimal | None:
        return listed / 5 if description == H100 else None

    path = tmp_path / "offers.csv"
    for contract, price in ((deep, True), (lambda *_: None, False)):
        stub.prices = exported(contract=contract)
        if not price:
            stub.prices[0]["list_price"] = {"tiered_rates": rates("1.9")}
        found = fetched(stub, tmp_path)
        found.offers.write_csv(path)
        here = pl.col("instance_type") == "a3-highgpu-8g", pl.col("region") == REGION, pl.col("date") == DAY.date()
        assert len(load_prices(offers=(path,)).offers.filter(here)) == price
        assert found.commitments.is_empty() == price
        assert (machine(found)["spot_per_hour"] is None) == price
        told = f"a3-highgpu-1g in {REGION}"
        reasons = {
            f"{told}: spot is above your price on demand",
            f"{told}: 1-year commitment is above your price on demand",
        }
        assert (reasons <= set(found.left_out)) == price
    assert len(found.offers) == 4


def test_only_the_newest_day_is_read(stub: GcpStub, tmp_path: Path) -> None:
    """Of two days the newer one's SKUs are read, each query is tried first; one of two exports of a day counts."""
    said: list[str] = []
    newer = [{**row, "export_time": row["export_time"] + timedelta(hours=1)} for row in exported(factor="0.5")]
    stub.prices = [*newer, *stub.prices]
    assert machine(fetched(stub, tmp_path, said=said))["on_demand_per_hour"] < ON_DEMAND * Decimal("0.6")
    assert stub.ran == ["days", "prices"]
    assert stub.asked["POST jobs"] == 4
    assert any("a query that reads" in line for line in said)
    assert f"bill: 13 SKUs of Compute Engine, prices of {ACCOUNT} as of 2026-11-20" in said


def test_old_prices_are_none_of_today(stub: GcpStub, tmp_path: Path) -> None:
    """An export that ended two weeks ago is told, and so is a table without rows."""
    stub.prices = exported(as_of=DAY - timedelta(days=14))
    assert "no price of Compute Engine in the last 14 days" in refused(lambda: fetched(stub, tmp_path)).found
    stub.prices = []
    assert "pricing export" in refused(lambda: fetched(stub, tmp_path)).next_step


def test_each_account_has_prices_of_its_own(stub: GcpStub, tmp_path: Path) -> None:
    """Of several accounts that which the bill's table is named after; of one account its prices; else it is told."""
    other = "0A0B0C-111111-222222"
    stub.prices += exported(account=other, factor="0.5", as_of=DAY + timedelta(hours=3))
    assert machine(fetched(stub, tmp_path))["on_demand_per_hour"] == ON_DEMAND.quantize(Decimal("1e-10"))
    view = f"{PROJECT}.billing.our_bill"
    several = refused(lambda: fetched(stub, tmp_path, table=view), InputError)
    assert f"{ACCOUNT}, {other}" in several.found
    stub.prices = [row for row in stub.prices if row["billing_account_id"] == other]
    assert other in machine(fetched(stub, tmp_path, table=view))["source"]


@pytest.mark.parametrize("partition", ["", "pricing_as_of_time", None])
def test_partitions_of_any_kind(partition: str | None, stub: GcpStub, tmp_path: Path) -> None:
    """By ingestion time, by a column, or none, as a view has."""
    stub.partition = partition
    assert machine(fetched(stub, tmp_path))["on_demand_per_hour"] == ON_DEMAND.quantize(Decimal("1e-10"))


def test_a_price_is_of_one_unit(stub: GcpStub, tmp_path: Path) -> None:
    """An amount for 100 hours is divided; tiers of one price are one, of several none; regions are as the book's."""
    for row in stub.prices:
        row["geo_taxonomy"] = {"type": "REGIONAL", "regions": [REGION.upper()]}
    (accelerator,) = [r for r in stub.prices if r["pricing_as_of_time"] == DAY and r["sku"]["description"] == H100]
    accelerator["list_price"] = {"tiered_rates": rates("979.6551", "979.6551", quantity=100.0)}
    row = machine(fetched(stub, tmp_path))
    assert (row["region"], row["on_demand_per_hour"]) == (REGION, ON_DEMAND.quantize(Decimal("1e-10")))
    stub.prices += exported(regions=("europe-west4",))
    accelerator["list_price"] = {"tiered_rates": rates("9", "8")}
    found = fetched(stub, tmp_path)
    assert set(found.offers["region"]) == {"europe-west4"}
    assert f"a3-highgpu-1g in {REGION}: several prices on demand of H100 80GB GPU: 8, 9" in found.left_out


def test_other_ways_of_buying_are_no_price_on_demand(stub: GcpStub, tmp_path: Path) -> None:
    """What is reserved, and commitments of other terms or of none, are left out and counted."""
    names = (
        "Reserved Nvidia H100 80GB GPU in Americas in Calendar Mode",
        "Commitment v1: Nvidia H100 80GB GPU running in Americas for 5 Years",
        "Commitment v1: Local SSD in Americas",
    )
    stub.prices += [priced(name, "1", as_of=DAY, account=ACCOUNT) for name in names]
    stub.prices.append(priced(H100, "1", as_of=DAY, account=ACCOUNT, service="Vertex AI"))
    found = fetched(stub, tmp_path)
    assert machine(found)["on_demand_per_hour"] == ON_DEMAND.quantize(Decimal("1e-10"))
    assert any(reason.startswith("3 SKUs of what is reserved") for reason in found.left_out)


def test_regions_are_chosen(stub: GcpStub, tmp_path: Path) -> None:
    """Only the named ones; one that has nothing is told; a SKU without regions is nowhere."""
    stub.prices += exported(regions=("europe-west4",))
    stub.prices[-1]["geo_taxonomy"] = {"type": "GLOBAL", "regions": None}
    found = fetched(stub, tmp_path, "europe-west4")
    assert set(found.offers["region"]) == {"europe-west4"}
    assert "no machine with accelerators in mars-1" in refused(lambda: fetched(stub, tmp_path, "mars-1")).found


def test_another_table_is_told(stub: GcpStub, tmp_path: Path) -> None:
    """The bill's table is no pricing export, and one that is not there is told with its address."""
    assert (
        "has no billing_account_price" in refused(lambda: fetched(stub, tmp_path, prices_table=TABLE), InputError).found
    )
    nowhere = f"{PROJECT}.billing.nowhere"
    assert f"there is no {nowhere}" in refused(lambda: fetched(stub, tmp_path, prices_table=nowhere)).found


def test_a_query_above_the_limit_is_not_run(stub: GcpStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of the bill's queries is that of these too."""
    monkeypatch.setattr(queries, "GIB", 1)
    assert "gcp.max_gib_billed" in refused(lambda: fetched(stub, tmp_path, max_gib_billed=100)).next_step
    assert not stub.ran


@pytest.mark.parametrize("denied", ["bigquery.tables.get", "bigquery.tables.getData", "bigquery.jobs.create"])
def test_a_denial_names_the_permission(denied: str, stub: GcpStub, tmp_path: Path) -> None:
    """Which permission on which table, and the command that grants it."""
    stub.denied = {denied}
    error = refused(lambda: fetched(stub, tmp_path))
    assert f"Google denies {denied}" in error.found
    place = PROJECT if denied == "bigquery.jobs.create" else PRICES_TABLE.replace(".", ":", 1)
    assert place in error.next_step


def test_probe_tries_the_query_of_prices(stub: GcpStub, tmp_path: Path) -> None:
    """Where the source names its prices, the doctor opens them too, and runs nothing."""
    bill = Bill(stub, tmp_path, {"prices_table": PRICES_TABLE})
    bill.add(SEPTEMBER)
    last = bigquery.probe(bill.source, home=bill.home, today=TODAY, tries=bill.tries)[-1]
    assert (last.endpoint, last.status) == ("prices", "ok")
    assert PRICES_TABLE in last.found
    assert not stub.jobs
    stub.prices_shape = {name: kind for name, kind in gcp_prices.PRICES.items() if name != "list_price"}
    last = bigquery.probe(bill.source, home=bill.home, today=TODAY, tries=bill.tries)[-1]
    assert (last.endpoint, last.status) == ("prices", "unreachable")
    stub.prices_shape = gcp_prices.PRICES


def through_price_faults(stub: GcpStub, folder: Path, seed: int) -> None:
    """Faults by the seed while both queries run: the offers are those without faults, or the fetch says why not."""
    rng = random.Random(seed)
    stub.page_rows = rng.choice([2, 5, 1000])
    stub.prices = exported(contract=discounted)
    expected = fetched(stub, folder)
    for _ in range(30):
        stub.fail(*(rng.choice([*FAULTS.values()]) if rng.random() < 0.35 else None for _ in range(40)))
        stub.fail_jobs = [rng.choice(["", "backendError", "rateLimitExceeded"]) for _ in range(rng.randint(0, 4))]
        try:
            found = fetched(stub, folder, tries=Tries(0.001, 0.002, rng.choice([0.004, 2]), 5, 5, 0.001))
        except SourceUnreachable:
            continue
        assert found.offers.equals(expected.offers)
        assert found.commitments.equals(expected.commitments)
        assert found.list_prices is not None
        assert found.list_prices.equals(expected.list_prices)  # type: ignore[arg-type]
        return
    raise AssertionError("30 runs did not come to their end")


@pytest.mark.parametrize("seed", range(12))
def test_no_price_is_lost_by_random_faults(seed: int, stub: GcpStub, tmp_path: Path) -> None:
    """After busy, broken, cut-off and expired answers and failed jobs by chance, every price is there."""
    through_price_faults(stub, tmp_path, seed)


def test_a_refresh_brings_the_contract_into_the_book(
    stub: GcpStub, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the source named, and without: its own prices are written; the list's stand beside in what is printed."""
    stub.prices = list(_recent(exported(contract=discounted)))
    stub.key_file(home)
    gcp = f'table = "{TABLE}", since = 2026-09-01, url = "{stub.url}", credentials = "key.json"'
    (home / "finops.toml").write_text(
        f'[[sources]]\nid = "other"\nconnector = "gcp"\ngcp = {{ {gcp} }}\n'
        f'[[sources]]\nid = "bill"\nconnector = "gcp"\ngcp = {{ {gcp}, prices_table = "{PRICES_TABLE}" }}\n'
        '[prices]\noffers = ["prices/offers_gcp.csv"]\ncommitments = ["prices/commitments_gcp.csv"]\n'
    )
    command = ["--home", str(home), "--format", "json", "offers", "refresh", "--provider", "gcp"]
    assert run([*command, "--source", "bill"]) == 0
    out = capsys.readouterr()
    row = next(row for row in json.loads(out.out)["changes"] if row["instance_type"] == "a3-highgpu-8g")
    listed, paid = Decimal(row["list_per_hour"]), Decimal(row["after"])
    assert paid < listed
    assert row["of_list_ratio"] == pytest.approx(float(paid / listed), abs=1e-4)
    assert "4 machines at the account's own prices, 4 below the list, at 0.8" in out.err
    paths = home / "prices/offers_gcp.csv", home / "prices/commitments_gcp.csv"
    book = load_prices(offers=paths[:1], commitments=paths[1:])
    here = pl.col("instance_type") == "a3-highgpu-8g", pl.col("region") == REGION
    assert str(book.offers.filter(here)["source"].item()).startswith(f"pricing export of {ACCOUNT}")
    assert run(command) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []


def _recent(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows as of yesterday, because the command looks at the clock."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for row in rows:
        yield {**row, "pricing_as_of_time": yesterday, "export_time": yesterday}
