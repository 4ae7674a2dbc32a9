"""Azure's retail prices become offers of the book: exact, of known machines, terms by the hour, broken rules told."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from connectors.azure import retail_prices
from connectors.offers import PriceList
from finops.cli.main import run
from finops.errors import SourceUnreachable
from finops.prices import OwnPrices, load_prices
from optimizer.offers import Selection, selected_options
from tests.azure_api_stub import QUICK

TODAY = date(2026, 11, 21)
H100 = "Standard_ND96isr_H100_v5"


def item(size: str = H100, region: str = "eastus", price: object = "98.32", **said: Any) -> dict[str, Any]:
    """An item as the API answers it: on demand, of a Linux machine."""
    meter = size.removeprefix("Standard_").replace("_", " ")
    return {
        "currencyCode": "USD", "tierMinimumUnits": Decimal("0.0"), "retailPrice": Decimal(str(price)), "unitPrice": 0,
        "armRegionName": region, "location": "US East", "effectiveStartDate": "2026-01-01T00:00:00Z",
        "meterId": "m", "meterName": meter, "productId": "p", "skuId": "p/s", "skuName": meter,
        "productName": "Virtual Machines NDsr H100 v5 Series", "serviceName": "Virtual Machines",
        "serviceFamily": "Compute", "unitOfMeasure": "1 Hour", "type": "Consumption", "isPrimaryMeterRegion": True,
        "armSkuName": size, **said,
    }  # fmt: skip


def reserved(years: str, price: object, size: str = H100, **said: Any) -> dict[str, Any]:
    """A reservation, priced for its whole term."""
    return item(size, price=price, type="Reservation", reservationTerm=years, **said)


def plans(one: str, three: str) -> list[dict[str, Any]]:
    """Savings plans beside a price."""
    return [
        {"term": "3 Years", "unitPrice": Decimal(three), "retailPrice": Decimal(three)},
        {"term": "1 Year", "unitPrice": Decimal(one), "retailPrice": Decimal(one)},
    ]


def parsed(*items: dict[str, Any]) -> PriceList:
    return retail_prices.parse(items, currency="USD", today=TODAY)


def test_an_item_is_an_offer() -> None:
    """Place, machine, accelerators, prices on demand and spot are taken as stated, with source and date."""
    found = parsed(item(), item(price="30.5", skuName="ND96isr H100 v5 Spot", meterName="ND96isr H100 v5 Spot"))
    assert found.offers.row(0, named=True) == {
        "provider": "azure", "region": "eastus", "instance_type": H100, "accelerator": "H100-80GB",
        "accelerator_count": 8, "accelerator_memory_gib": 80, "vcpus": 96, "memory_gib": 1900, "currency": "USD",
        "on_demand_per_hour": Decimal("98.32"), "spot_per_hour": Decimal("30.5"), "date": TODAY,
        "source": "Azure Retail Prices 2023-01-01-preview, from 2026-01-01",
    }  # fmt: skip
    assert found.left_out == ()


def test_terms_are_prices_per_hour() -> None:
    """A reservation's price is spread over the hours of its term; a savings plan's is per hour already."""
    found = parsed(item(savingsPlan=plans("70", "50.5")), reserved("1 Year", "525600"), reserved("3 Years", "1051200"))
    rows = found.commitments.select("commitment", "term_years", "payment", "committed_per_hour", "on_demand_per_hour")
    assert [row[:2] for row in rows.rows()] == [
        ("reservation", 1), ("reservation", 3), ("savings_plan", 1), ("savings_plan", 3)
    ]  # fmt: skip
    assert rows["committed_per_hour"].to_list() == [Decimal(60), Decimal(40), Decimal(70), Decimal("50.5")]
    assert set(rows.select("payment", "on_demand_per_hour").rows()) == {("unspecified", Decimal("98.32"))}


@pytest.mark.parametrize(
    "other",
    [
        {"productName": "Virtual Machines NDsr H100 v5 Series Windows"},
        {"skuName": "ND96isr H100 v5 Low Priority", "meterName": "ND96isr H100 v5 Low Priority"},
        {"type": "DevTestConsumption"},
        {"isPrimaryMeterRegion": False},
        {"tierMinimumUnits": Decimal(100)},
        {"effectiveEndDate": "2026-11-01T00:00:00Z"},
        {"effectiveStartDate": "2027-01-01T00:00:00Z"},
        {"effectiveStartDate": "2025-01-01T00:00:00Z"},
        {"armRegionName": ""},
        {"retailPrice": Decimal("0.0")},
        {"type": "Reservation", "reservationTerm": "5 Years"},
    ],
)
def test_what_is_no_price_of_today_does_not_count(other: dict[str, Any]) -> None:
    """Windows, Low Priority, DevTest, other tiers, past and future prices leave the price as it is."""
    found = parsed(item(price="5", **other) if "retailPrice" not in other else item(**other), item())
    assert found.offers["on_demand_per_hour"].to_list() == [Decimal("98.32")]
    assert found.commitments.is_empty()
    assert found.left_out == ()


def test_what_is_no_offer_is_left_out_with_its_reason() -> None:
    """Unknown sizes, machines with two prices of one day, and those without a price on demand are told."""
    spot = {"skuName": "x Spot", "meterName": "x Spot"}
    found = parsed(
        item("Standard_NP10s"), item("Standard_NC24ads_A100_v4"), item("Standard_NC24ads_A100_v4", price="4"),
        item("Standard_NC48ads_A100_v4", **spot), item(),
    )  # fmt: skip
    assert found.offers["instance_type"].to_list() == [H100]
    assert found.left_out == (
        "Standard_NC24ads_A100_v4 in eastus: it has several prices, on demand",
        "Standard_NC48ads_A100_v4 in eastus: it has no price on demand",
        "Standard_NP10s: its accelerators are not known here",
    )


@pytest.mark.parametrize(
    "wrong", [{"currencyCode": "EUR"}, {"retailPrice": "much"}, {"unitOfMeasure": "1 GB"}, {"type": None}]
)
def test_an_item_of_another_format_ends_the_refresh(wrong: dict[str, Any]) -> None:
    """An item that cannot be read is an error, not an offer less; only a type of its own is none of ours."""
    text = {**item(), **wrong}
    if wrong == {"type": None}:
        assert parsed(text).offers.is_empty()
        del text["type"]
    with pytest.raises(SourceUnreachable, match="cannot be read"):
        parsed(text)


# ------------------------------------------------------------------------------------------------------------- server
class Stub(BaseHTTPRequestHandler):
    """The endpoint, strict: version, quoted currency, a filter that it can read; links have their own $skip."""

    items: list[dict[str, Any]] = []
    asked: list[str] = []
    link: Callable[["Stub", int], str | None] | None = None
    fail: list[int] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.fail:
            self._answer(self.fail.pop(0), {"Error": {"Code": "no"}})
            return
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        wanted = re.fullmatch(
            r"serviceName eq 'Virtual Machines' and contains\(armSkuName, 'Standard_N'\)"
            r"( and armRegionName eq '(\w+)')?",
            query.get("$filter", ""),
        )
        known = {"api-version", "currencyCode", "$filter", "$skip"}
        if url.path != "/api/retail/prices" or query["api-version"] != "2023-01-01-preview" or not wanted:
            self._answer(400, {"Error": {"Code": "BadRequest", "Message": "invalid filter or version"}})
            return
        if not re.fullmatch("'[A-Z]{3}'", query["currencyCode"]) or not set(query) <= known:
            self._answer(400, {"Error": {"Code": "BadRequest", "Message": "invalid currency"}})
            return
        found = [i for i in self.items if wanted[2] in (None, i["armRegionName"])]
        found = [{**i, "currencyCode": query["currencyCode"].strip("'")} for i in found]
        skip = int(query.get("$skip", 0))
        host = self.headers["Host"]
        more = f"http://{host}{self.path.partition('&$skip')[0]}&$skip={skip + 2}" if skip + 2 < len(found) else None
        link = type(self).link
        self._answer(200, {"BillingCurrency": "USD", "Items": found[skip : skip + 2], "Count": 2,
                           "NextPageLink": link(self, skip) if link else more})  # fmt: skip

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document, default=float).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Stub]]:
    """The endpoint, and nobody else to ask."""
    Stub.items = [item(region=region, price=price) for region, price in (("eastus", "99.5"), ("westeurope", "110"))]
    Stub.items += [item("Standard_NC24ads_A100_v4", price="3.673"), reserved("1 Year", "525600")]
    Stub.items += [reserved("3 Years", "1051200")]
    Stub.asked, Stub.link, Stub.fail = [], None, []
    http = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    fetch = retail_prices.fetch
    url = f"http://127.0.0.1:{http.server_port}"
    monkeypatch.setattr(retail_prices, "fetch", lambda **asked: fetch(**asked, url=url, patience=QUICK))
    yield Stub
    http.shutdown()
    http.server_close()


def fetched(*regions: str, currency: str = "USD") -> PriceList:
    return retail_prices.fetch(regions=regions, currency=currency, today=TODAY, say=lambda _: None)


def test_all_pages_are_read(server: type[Stub]) -> None:
    """Links are followed to the last page, failures are tried again, and every item is there once."""
    server.fail = [429, 503]
    found = fetched()
    assert found.offers.select("region", "instance_type").rows() == [
        ("eastus", "Standard_NC24ads_A100_v4"), ("eastus", H100), ("westeurope", H100),
    ]  # fmt: skip
    assert len(found.commitments) == 2
    assert len(server.asked) == 2 + 3


def test_regions_and_currency_are_asked_for(server: type[Stub]) -> None:
    """Only the regions named are asked, in the currency named."""
    found = fetched("westeurope", currency="EUR")
    assert found.offers.select("region", "currency").rows() == [("westeurope", "EUR")]
    with pytest.raises(SourceUnreachable, match="no machine with accelerators in mars"):
        fetched("mars")


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (lambda handler, _: f"http://{handler.headers['Host']}{handler.path}", "read before"),
        (lambda *_: "https://elsewhere.example.com/api/retail/prices?x=1", "lies elsewhere"),
    ],
)
def test_links_in_a_loop_end_the_refresh(server: type[Stub], link: Any, words: str) -> None:
    """A link that comes twice, or leads elsewhere, is an error."""
    server.link = link
    with pytest.raises(SourceUnreachable, match=words):
        fetched()


def test_a_refresh_changes_the_price_book(server: type[Stub], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command needs no credentials; its files win over shipped prices and reach scenarios."""
    command = ["--home", str(home), "--format", "json", "offers", "refresh", "--provider", "azure"]
    assert run([*command, "--region", "eastus"]) == 0
    out = capsys.readouterr()
    assert json.loads(out.out)["changes"]
    assert 'add offers = ["prices/offers_azure.csv"] under [prices]' in out.err
    (home / "finops.toml").write_text(
        '[prices]\noffers = ["prices/offers_azure.csv"]\ncommitments = ["prices/commitments_azure.csv"]\n'
    )
    assert run([*command, "--region", "eastus"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []
    own = OwnPrices((home / "prices/offers_azure.csv",), (home / "prices/commitments_azure.csv",))
    book = load_prices(offers=own.offers, commitments=own.commitments)
    here = pl.col("instance_type") == H100, pl.col("region") == "eastus"
    assert book.offers.filter(here)["on_demand_per_hour"].to_list() == [Decimal("99.5")]
    ours = book.commitments.filter(*here, pl.col("source").str.starts_with("Azure Retail"))
    assert ours.select("term_years", "committed_per_hour").rows() == [(1, 60), (3, 40)]
    selection = Selection(instance_types=(H100,), regions=("eastus",), kinds=("on_demand",))
    assert [option.price.amount for option in selected_options(selection, own)] == [Decimal("99.5")]


def test_broken_rules_are_told(server: type[Stub], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Spot above on demand, and three years above one, are said when they are fetched, and not used."""
    spot = {"skuName": "x Spot", "meterName": "x Spot"}
    server.items = [
        item(), reserved("1 Year", "525600"), reserved("3 Years", "2102400"),
        item("Standard_NC24ads_A100_v4", price="3"), item("Standard_NC24ads_A100_v4", price="4", **spot),
    ]  # fmt: skip
    assert run(["--home", str(home), "offers", "refresh", "--provider", "azure"]) == 0
    said = capsys.readouterr().err
    assert f"not used: {H100} in eastus: longer term above the shorter one, 80 > 60 USD per hour" in said
    assert "not used: Standard_NC24ads_A100_v4 in eastus: spot above on-demand, 4 > 3 USD per hour" in said


@pytest.mark.parametrize("wrong", ["--provider mars", "--provider azure --source x", "--provider aws --currency EUR"])
def test_what_has_no_price_list_is_refused(home: Path, capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    """Another provider, a source for Azure, another currency for AWS are wrong calls."""
    assert run(["--home", str(home), "offers", "refresh", *wrong.split()]) == 2
    assert "expected" in capsys.readouterr().err
