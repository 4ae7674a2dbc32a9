"""AWS's price list becomes offers of the book: exact prices, known machines, upfront fees spread over the term."""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import polars as pl
import pytest

from connectors.aws import price_list
from connectors.aws.api import connect
from finops.cli.main import run
from finops.config import AwsIdentity
from finops.errors import SourceUnreachable
from finops.prices import OwnPrices, load_prices
from optimizer.offers import Selection, selected_options
from tests.cost_explorer_stub import QUICK

TODAY = date(2026, 11, 21)


def product(
    instance_type: str = "p5.48xlarge", region: str = "eu-north-1", hourly: str = "55.04", **attributes: str
) -> str:
    """A product as GetProducts answers it: on demand, reserved for a year without upfront, for three all upfront."""

    def term(prices: dict[str, str], **said: str) -> dict[str, Any]:
        dimensions = {unit: {"unit": unit, "pricePerUnit": {"USD": price}} for unit, price in prices.items()}
        return {"priceDimensions": dimensions, "termAttributes": said}

    one = {"LeaseContractLength": "1yr", "OfferingClass": "standard", "PurchaseOption": "No Upfront"}
    three = {"LeaseContractLength": "3yr", "OfferingClass": "convertible", "PurchaseOption": "All Upfront"}
    return json.dumps(
        {
            "product": {
                "sku": "S",
                "attributes": {
                    "instanceType": instance_type, "regionCode": region, "vcpu": "192", "memory": "2,048 GiB",
                    "marketoption": "OnDemand", **attributes,
                },
            },
            "serviceCode": "AmazonEC2",
            "terms": {
                "OnDemand": {"a": term({"Hrs": hourly})},
                "Reserved": {
                    "b": term({"Hrs": "40.1234500000"}, **one),
                    "c": term({"Quantity": "525600", "Hrs": "0.0000000000"}, **three),
                },
            },
            "version": "20261118000000",
            "publicationDate": "2026-11-18T00:00:00Z",
        }
    )  # fmt: skip


class Stub(BaseHTTPRequestHandler):
    """The Price List's endpoint: two pages a question; the first request is throttled."""

    products: list[str] = []
    refusal: tuple[int, str] | None = None
    asked: list[dict[str, Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if self.refusal:
            self._answer(self.refusal[0], {"__type": self.refusal[1], "message": "no"})
        elif len(self.asked) == 1:
            self._answer(400, {"__type": "ThrottlingException", "message": "slow down"})
        else:
            wanted = {f["Field"]: f["Value"] for f in body["Filters"]}
            found = [p for p in self.products if _fits(json.loads(p)["product"]["attributes"], wanted)]
            half = len(found) // 2
            page = found[half:] if "NextToken" in body else found[:half]
            more = {} if "NextToken" in body else {"NextToken": "t"}
            self._answer(200, {"FormatVersion": "aws_v1", "PriceList": page, **more})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def _fits(attributes: dict[str, str], wanted: dict[str, str]) -> bool:
    family = "Machine Learning ASIC Instances" if attributes["instanceType"].startswith("trn") else "GPU instance"
    return wanted["instanceFamily"] == family and wanted.get("regionCode") in (None, attributes["regionCode"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Stub]]:
    """The endpoint that the SDK is told to use."""
    Stub.products, Stub.refusal, Stub.asked = (
        [product(), product("g5.xlarge", hourly="56"), product("trn1.2xlarge")],
        None,
        [],
    )
    http = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    yield Stub
    http.shutdown()
    http.server_close()


def fetched(*regions: str) -> price_list.PriceList:
    """What the real SDK brings from the endpoint."""
    api = connect(AwsIdentity(), who="AWS", say=lambda _: None, tries=QUICK)("pricing", "us-east-1")
    return price_list.fetch(api, regions=regions, today=TODAY, say=lambda _: None)


def test_a_product_is_an_offer() -> None:
    """Place, machine, accelerators and price are taken as stated, with source and date."""
    offer = price_list.parse([product()], today=TODAY).offers.row(0, named=True)
    assert offer == {
        "provider": "aws", "region": "eu-north-1", "instance_type": "p5.48xlarge", "accelerator": "H100-80GB",
        "accelerator_count": 8, "accelerator_memory_gib": 80, "vcpus": 192, "memory_gib": 2048, "currency": "USD",
        "on_demand_per_hour": Decimal("55.04"), "spot_per_hour": None, "date": TODAY,
        "source": "AWS Price List AmazonEC2 20261118000000, published 2026-11-18",
    }  # fmt: skip


def test_reserved_terms_are_prices_per_hour() -> None:
    """An hourly fee is taken as it is; an upfront one is spread over the hours of its years."""
    rows = price_list.parse([product()], today=TODAY).commitments
    found = rows.select("commitment", "term_years", "payment", "committed_per_hour").rows()
    assert found == [
        ("reserved_instance_convertible", 3, "all_upfront", Decimal(20)),
        ("reserved_instance_standard", 1, "no_upfront", Decimal("40.12345")),
    ]


def test_what_is_no_offer_is_left_out_with_its_reason() -> None:
    """Unknown machines and machines with two prices are told; prices of zero and other markets are no offers."""
    texts = [
        product("p99.48xlarge"), product(region="us-east-1"), product(region="us-east-1", hourly="60"),
        product("g5.xlarge", hourly="0.0000000000"), product("g5.2xlarge", marketoption="CapacityBlock"), product(),
        product(),
    ]  # fmt: skip
    found = price_list.parse(texts, today=TODAY)
    assert found.offers.select("region", "instance_type").rows() == [("eu-north-1", "p5.48xlarge")]
    assert set(found.commitments["region"]) == {"eu-north-1"}
    assert found.left_out == (
        "p5.48xlarge in us-east-1: it has several prices",
        "p99.48xlarge: its accelerators are not known here",
    )


def test_a_commitment_above_the_refreshed_price_is_a_finding(tmp_path: Path) -> None:
    """When a price falls below a commitment's, the book says so and leaves both out."""
    found = price_list.parse([product(), product("g5.xlarge", hourly="1")], today=TODAY)
    paths = tmp_path / "offers.csv", tmp_path / "commitments.csv"
    for path, rows in zip(paths, (found.offers, found.commitments), strict=True):
        rows.write_csv(path)
    book = load_prices(offers=paths[:1], commitments=paths[1:])
    mine = book.findings.filter(pl.col("region") == "eu-north-1", pl.col("instance_type") == "g5.xlarge")
    assert "40.12345 > 1 USD per hour" in mine["found"].to_list()


@pytest.mark.parametrize("text", ["{", "[]", '{"product": {}}', product().replace('"192"', '"many"')])
def test_no_product_ends_the_refresh(text: str) -> None:
    """A text that is no product of the format is an error, not an offer less."""
    with pytest.raises(SourceUnreachable, match="cannot be read"):
        price_list.parse([text], today=TODAY)


def test_the_sdk_brings_all_pages(server: type[Stub]) -> None:
    """The real SDK follows the pages of both families, and tries again when it is throttled."""
    assert fetched().offers["instance_type"].to_list() == ["g5.xlarge", "p5.48xlarge", "trn1.2xlarge"]
    assert len(server.asked) == 5
    assert {"Type": "TERM_MATCH", "Field": "tenancy", "Value": "Shared"} in server.asked[0]["Filters"]


def test_a_denied_price_list_names_the_permission(server: type[Stub]) -> None:
    """A refusal names pricing:GetProducts and the policy to attach; no offers at all are an error too."""
    with pytest.raises(SourceUnreachable, match="no machine with accelerators in mars-1"):
        fetched("mars-1")
    server.refusal = (400, "AccessDeniedException")
    with pytest.raises(SourceUnreachable, match="denies pricing:GetProducts") as raised:
        fetched()
    assert "pricing:GetProducts" in raised.value.next_step


def test_a_refresh_changes_the_price_book(server: type[Stub], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The written files load as the company's own prices, win over shipped ones, and reach scenarios."""
    assert run(["--home", str(home), "--format", "json", "offers", "refresh"]) == 0
    out = capsys.readouterr()
    changes = {row["instance_type"]: row for row in json.loads(out.out)["changes"]}
    assert changes["p5.48xlarge"]["after"] == "55.04"
    assert 'add offers = ["prices/offers_aws.csv"] under [prices]' in out.err
    (home / "finops.toml").write_text(
        '[prices]\noffers = ["prices/offers_aws.csv"]\ncommitments = ["prices/commitments_aws.csv"]\n'
    )
    assert run(["--home", str(home), "--format", "json", "offers", "refresh"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []
    own = OwnPrices((home / "prices/offers_aws.csv",), (home / "prices/commitments_aws.csv",))
    book = load_prices(offers=own.offers, commitments=own.commitments)
    here = pl.col("instance_type") == "p5.48xlarge", pl.col("region") == "eu-north-1"
    assert book.offers.filter(here)["on_demand_per_hour"].to_list() == [Decimal("55.04")]
    assert len(book.commitments.filter(here)) == 2
    selection = Selection(instance_types=("p5.48xlarge",), regions=("eu-north-1",), kinds=("on_demand",))
    assert [option.price.amount for option in selected_options(selection, own)] == [Decimal("55.04")]
    assert run(["--home", str(home), "--format", "csv", "offers", "list", "--region", "eu-north-1"]) == 0
    assert "p5.48xlarge,H100-80GB" in capsys.readouterr().out
