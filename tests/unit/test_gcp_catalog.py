"""Google's catalog becomes offers of the book: a machine is the sum of its parts, and no other way of buying is one."""

import json
import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.gcp import catalog
from connectors.gcp.refusals import Asked
from connectors.gcp.session import Session, Tries
from connectors.offers import PriceList
from finops.cli.main import run
from finops.config import Gcp
from finops.errors import SourceUnreachable
from finops.prices import load_prices
from tests.gcp_bill import QUICK
from tests.gcp_stub import FAULTS, PROJECT, SECRET, TABLE, Fault, GcpStub

TODAY = date(2026, 11, 21)
COMPUTE = "6F81-5844-456A"
REGION = "us-central1"


def sku(
    description: str, price: str, kind: str = "OnDemand", unit: str = "h", regions: tuple[str, ...] = (REGION,)
) -> dict[str, Any]:
    """A SKU as skus.list answers it, with an older price before its present one."""
    amount = Decimal(price)
    units = int(amount)

    def info(unit_price: dict[str, Any], since: str) -> dict[str, Any]:
        rates = [{"startUsageAmount": 0, "unitPrice": {"currencyCode": "USD", **unit_price}}]
        expression = {"usageUnit": unit, "tieredRates": rates, "displayQuantity": 1}
        aggregation = {"aggregationLevel": "ACCOUNT", "aggregationInterval": "MONTHLY", "aggregationCount": 1}
        return {
            "effectiveTime": since, "pricingExpression": expression, "aggregationInfo": aggregation,
            "currencyConversionRate": 1,
        }  # fmt: skip

    present = {"units": str(units), "nanos": int((amount - units).scaleb(9))}
    return {
        "name": f"services/{COMPUTE}/skus/X", "skuId": "X", "description": description,
        "category": {"serviceDisplayName": "Compute Engine", "resourceFamily": "Compute", "resourceGroup": "GPU",
                     "usageType": kind},
        "serviceRegions": list(regions),
        "pricingInfo": [info(present, "2026-11-20T07:00:00Z"), info({"units": "999"}, "2025-01-01T00:00:00Z")],
    }  # fmt: skip


def h100(price: str = "9.796551", **named: Any) -> list[dict[str, Any]]:
    """All parts of an a3-highgpu machine on demand, spot and committed."""
    return [
        sku("Nvidia H100 80GB GPU running in Americas", price, **named),
        sku("A3 Instance Core running in Americas", "0.02", **named),
        sku("A3 Instance Ram running in Americas", "0.0025", unit="GiBy.h", **named),
        sku("SSD backed Local Storage", "0.08", unit="GiBy.mo", **named),
        sku("Nvidia H100 80GB GPU attached to Spot Preemptible VMs running in Americas", "3", "Preemptible", **named),
        sku("Spot Preemptible A3 Instance Core running in Americas", "0.005", **named),
        sku("Spot Preemptible A3 Instance Ram running in Americas", "0.001", "Preemptible", "GiBy.h", **named),
        sku("SSD backed Local Storage attached to Spot Preemptible VMs", "0.0365", "Preemptible", "GiBy.mo", **named),
        sku("Commitment v1: Nvidia H100 80GB GPU running in Americas for 1 Year", "6.75", "Commit1Yr", **named),
        sku("Commitment v1: A3 Cpu in Americas for 1 Year", "0.013", "Commit1Yr", **named),
        sku("Commitment v1: A3 Ram in Americas for 1 Year", "0.0016", "Commit1Yr", "GiBy.h", **named),
        sku("Commitment v1: Local SSD in Americas for 1 Year", "0.0511", "Commit1Yr", "GiBy.mo", **named),
        sku("Commitment v1: Nvidia H100 80GB GPU running in Americas for 3 Years", "4.3", "Commit3Yr", **named),
    ]


@pytest.fixture(scope="module")
def server() -> Iterator[GcpStub]:
    """One server for all tests of the module."""
    with GcpStub() as stub:
        yield stub


@pytest.fixture
def stub(server: GcpStub) -> GcpStub:
    """The server with a catalog of several pages."""
    server.empty()
    server.catalog = {COMPUTE: h100()}
    server.catalog_page = 3
    return server


def fetched(
    stub: GcpStub, folder: Path, *regions: str, said: list[str] | None = None, tries: Tries = QUICK
) -> PriceList:
    """What the real SDK brings from the server."""
    gcp = Gcp(table=TABLE, since=TODAY, url=stub.url, credentials=stub.key_file(folder))
    asked = Asked("Google Cloud", "nobody", PROJECT, "repeat the command")
    say = said.append if said is not None else lambda _: None
    session = Session(gcp, folder, asked, tries=tries, say=say)
    return catalog.fetch(session, regions=regions, today=TODAY, say=say)


def test_a_machine_is_the_sum_of_its_parts(stub: GcpStub, tmp_path: Path) -> None:
    """Accelerators, cores, memory and local SSD, each exact, by the newest price; over all pages."""
    rows = {row["instance_type"]: row for row in fetched(stub, tmp_path).offers.to_dicts()}
    assert set(rows) == {"a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g", "a3-highgpu-8g"}
    parts = 8 * Decimal("9.796551") + 208 * Decimal("0.02") + 1872 * Decimal("0.0025")
    ssd = (6000 * Decimal("0.08") / 730).quantize(Decimal("1e-10"))
    assert rows["a3-highgpu-8g"] == {
        "provider": "gcp", "region": REGION, "instance_type": "a3-highgpu-8g", "accelerator": "H100-80GB",
        "accelerator_count": 8, "accelerator_memory_gib": 80, "vcpus": 208, "memory_gib": 1872, "currency": "USD",
        "on_demand_per_hour": parts + ssd,
        "spot_per_hour": 24 + 208 * Decimal("0.005") + 1872 * Decimal("0.001") + 6000 * Decimal("0.0365") / 730,
        "source": "Cloud Billing Catalog, Compute Engine, effective 2026-11-20", "date": TODAY,
    }  # fmt: skip
    assert stub.asked["GET skus"] == 5


def test_commitments_are_of_all_parts(stub: GcpStub, tmp_path: Path) -> None:
    """A term of which one part has no price is no commitment."""
    rows = fetched(stub, tmp_path).commitments.filter(pl.col("instance_type") == "a3-highgpu-1g")
    found = rows.select("commitment", "term_years", "payment", "committed_per_hour").rows()
    price = Decimal("6.75") + 26 * Decimal("0.013") + 234 * Decimal("0.0016") + 750 * Decimal("0.0511") / 730
    assert found == [("committed_use_discount_resource", 1, "monthly", price)]


def test_other_ways_of_buying_are_no_price_on_demand(stub: GcpStub, tmp_path: Path) -> None:
    """Calendar mode, flex start, reserved and custom SKUs stand cheaper beside on demand, and are counted."""
    stub.catalog[COMPUTE] += [
        sku("Reserved Nvidia H100 80GB GPU in Americas in Calendar Mode", "4.2"),
        sku("Nvidia H100 80GB GPU attached to DWS Defined Duration VMs running in Americas", "4.4"),
        sku("Reserved A3 Instance Ram in Americas", "0"),
        sku("Nvidia Tesla A100 GPU with an own word", "3"),
    ]
    found = fetched(stub, tmp_path)
    row = found.offers.filter(pl.col("instance_type") == "a3-highgpu-1g").row(0, named=True)
    assert row["on_demand_per_hour"] > 10
    assert any(reason.startswith("3 SKUs of what is reserved, in calendar mode") for reason in found.left_out)


def test_each_machine_is_found_by_the_words_of_its_skus(stub: GcpStub, tmp_path: Path) -> None:
    """A100 of 40 GB and of 80 GB, H100 and H100 Mega under each of its names, slices and TPUs do not mix."""
    stub.catalog[COMPUTE] = [
        sku("Nvidia Tesla A100 GPU running in Americas", "2.5"),
        sku("Nvidia Tesla A100 80GB GPU running in Americas", "4"),
        sku("A2 Instance Core running in Americas", "0.03"),
        sku("A2 Instance Ram running in Americas", "0.004", unit="GiBy.h"),
        sku("SSD backed Local Storage", "0.073", unit="GiBy.mo"),
        sku("Nvidia H100 80GB Plus GPU running in Americas", "10.344276"),
        sku("A3Plus Instance Core running in Americas", "0.026924"),
        sku("A3Plus Instance Ram running in Americas", "0.002344", unit="GiBy.h"),
        sku("A4 Nvidia B200 (1 gpu slice) running in Americas", "16.11"),
        sku("Spot Preemptible A4 Nvidia B200 (1 gpu slice) running in Americas", "4.9542"),
        sku("TpuV6e running in Americas", "2.7"),
        sku("Nvidia L4 GPU running in Americas", "0.56"),
    ]
    found = fetched(stub, tmp_path)
    rows = {row["instance_type"]: row["on_demand_per_hour"] for row in found.offers.to_dicts()}
    assert rows["a2-highgpu-1g"] == Decimal("2.5") + 12 * Decimal("0.03") + 85 * Decimal("0.004")
    ssd = 375 * Decimal("0.073") / 730
    assert rows["a2-ultragpu-1g"] == 4 + 12 * Decimal("0.03") + 170 * Decimal("0.004") + ssd
    assert rows["a3-megagpu-8g"] == pytest.approx(Decimal("93.3423"), abs=Decimal("0.001"))
    assert rows["a4-highgpu-8g"] == 8 * Decimal("16.11")
    spot = found.offers.filter(pl.col("instance_type") == "a4-highgpu-8g")["spot_per_hour"].item()
    assert spot == 8 * Decimal("4.9542")
    assert rows["tpu-v6e-8"] == 8 * Decimal("2.7")
    assert "a3-highgpu-8g" not in rows
    assert f"g2-standard-4 in {REGION}: no price on demand of G2 core" in found.left_out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (sku("Nvidia H100 80GB GPU running in Iowa", "9"), "several prices on demand of H100 80GB GPU"),
        (sku("A3 Instance Core running in Iowa", "0"), "several prices on demand of A3 core: 0, 0.02"),
    ],
)
def test_several_prices_are_none(change: dict[str, Any], said: str, stub: GcpStub, tmp_path: Path) -> None:
    """A machine one of whose parts has two prices is left out, and told."""
    stub.catalog[COMPUTE] += [change, *h100(regions=("europe-west4",))]
    found = fetched(stub, tmp_path)
    assert set(found.offers["region"]) == {"europe-west4"}
    assert any(said in reason for reason in found.left_out)


@pytest.mark.parametrize("price", ["0", "700"])
def test_a_price_that_stands_for_none_is_none(price: str, stub: GcpStub, tmp_path: Path) -> None:
    """Zero, and the 700.0 that some TPU prices say, leave the machine out."""
    stub.catalog[COMPUTE] += [sku("TpuV6e running in Americas", price), sku("TpuV5e running in Americas", "1.2")]
    found = fetched(stub, tmp_path)
    assert {t for t in found.offers["instance_type"] if t.startswith("tpu")} == {
        "tpu-v5litepod-1", "tpu-v5litepod-4", "tpu-v5litepod-8",
    }  # fmt: skip
    assert any(f"TpuV6e has the price {price}, which is none" in reason for reason in found.left_out)


def test_a_spot_price_above_on_demand_is_a_finding(stub: GcpStub, tmp_path: Path) -> None:
    """The book says so, and uses neither."""
    stub.catalog[COMPUTE] = h100("2")
    path = tmp_path / "offers.csv"
    fetched(stub, tmp_path).offers.write_csv(path)
    book = load_prices(offers=(path,))
    here = pl.col("region") == REGION, pl.col("instance_type") == "a3-highgpu-8g"
    assert "spot above on-demand" in book.findings.filter(here)["rule"].to_list()
    assert book.offers.filter(here).is_empty()


def test_regions_are_chosen(stub: GcpStub, tmp_path: Path) -> None:
    """Only the named ones; one that has nothing is told."""
    stub.catalog[COMPUTE] += h100("8", regions=("europe-west4", "asia-east1"))
    assert set(fetched(stub, tmp_path, "asia-east1").offers["region"]) == {"asia-east1"}
    with pytest.raises(SourceUnreachable, match="no machine with accelerators in mars-1"):
        fetched(stub, tmp_path, "mars-1")


def test_a_refused_catalog_says_what_to_do(stub: GcpStub, tmp_path: Path) -> None:
    """An API that is not enabled, pages without an end, tries without an end."""
    stub.denied = {"cloudbilling.googleapis.com"}
    with pytest.raises(SourceUnreachable, match="is not enabled") as raised:
        fetched(stub, tmp_path)
    assert f"gcloud services enable cloudbilling.googleapis.com --project={PROJECT}" in raised.value.next_step
    stub.denied = set()
    loop = Fault(after=True, change=lambda _: b'{"skus": [], "nextPageToken": "1"}')
    stub.fail(None, None, loop, loop)
    with pytest.raises(SourceUnreachable, match="do not come to their end"):
        fetched(stub, tmp_path)
    stub.fail(*[FAULTS["503"]] * 300)
    with pytest.raises(SourceUnreachable, match="does not answer") as raised:
        fetched(stub, tmp_path, tries=Tries(0.001, 0.002, 0.1, 5))
    assert SECRET not in str(raised.value)


def through_catalog_faults(stub: GcpStub, folder: Path, seed: int) -> None:
    """Faults by the seed while all pages are read: the offers are those without faults, or the fetch says why not."""
    rng = random.Random(seed)
    stub.catalog_page = rng.choice([1, 3, 100])
    stub.calm()
    expected = fetched(stub, folder)
    names = [name for name in FAULTS if name != "lost"]
    for _ in range(30):
        stub.fail(*(FAULTS[rng.choice(names)] if rng.random() < 0.4 else None for _ in range(30)))
        try:
            found = fetched(stub, folder, tries=Tries(0.001, 0.002, rng.choice([0.004, 2]), 5))
        except SourceUnreachable:
            continue
        assert found.offers.equals(expected.offers)
        assert found.commitments.equals(expected.commitments)
        return
    raise AssertionError("30 runs did not come to their end")


@pytest.mark.parametrize("seed", range(40))
def test_no_price_is_lost_by_random_faults(seed: int, stub: GcpStub, tmp_path: Path) -> None:
    """After busy, broken, cut-off and expired answers by chance, every offer is there."""
    through_catalog_faults(stub, tmp_path, seed)


def test_a_refresh_changes_the_price_book(stub: GcpStub, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The written files load as the company's own prices; spot above on-demand is told."""
    stub.key_file(home)
    stub.catalog[COMPUTE] += [sku("Nvidia L4 GPU running in Americas", "0.56")]
    (home / "finops.toml").write_text(
        '[[sources]]\nid = "bill"\nconnector = "gcp"\n'
        f'gcp = {{ table = "{TABLE}", since = 2026-09-01, url = "{stub.url}", credentials = "key.json" }}\n'
        '[prices]\noffers = ["prices/offers_gcp.csv"]\ncommitments = ["prices/commitments_gcp.csv"]\n'
    )
    assert run(["--home", str(home), "--format", "json", "offers", "refresh", "--provider", "gcp"]) == 0
    out = capsys.readouterr()
    changes = {row["instance_type"]: row for row in json.loads(out.out)["changes"] if row["region"] == REGION}
    assert Decimal(changes["a3-highgpu-8g"]["after"]) > 80
    assert "no price on demand of G2 core" in out.err
    paths = home / "prices/offers_gcp.csv", home / "prices/commitments_gcp.csv"
    book = load_prices(offers=paths[:1], commitments=paths[1:])
    here = pl.col("instance_type") == "a3-highgpu-8g", pl.col("region") == REGION
    assert str(book.offers.filter(here)["source"].item()).startswith("Cloud Billing Catalog")
    assert run(["--home", str(home), "offers", "refresh", "--provider", "gcp", "--source", "other"]) == 2
    assert "no source other with `gcp`" in capsys.readouterr().err
