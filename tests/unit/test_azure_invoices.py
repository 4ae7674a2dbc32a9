"""Azure's invoices come whole, in their currency, and their lines are their amount."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.azure import invoices
from connectors.azure.api import Api
from finops import schema as s
from finops.config import Config, Source
from finops.errors import ConfigError, InputError, SourceUnreachable
from finops.pipeline import stated_invoices
from finops.store import Lake
from tests.azure_api_stub import FAULTS, QUICK, SCOPE, Azure, Refused, api, folder_bytes, instead, served

TODAY = date(2026, 11, 21)
ACCOUNT = "/providers/Microsoft.Billing/billingAccounts/1234"


def invoice(name: str = "G1", month: str = "2026-10", currency: str = "USD", **said: Any) -> dict[str, Any]:
    """An invoice as the API writes it; amounts by the names of its properties."""
    amounts = {
        key: {"currency": currency, "value": Decimal(value)} for key, value in said.items() if isinstance(value, str)
    }
    words = {key: value for key, value in said.items() if not isinstance(value, str)}
    return {
        "id": f"{ACCOUNT}/invoices/{name}", "name": name, "type": "Microsoft.Billing/billingAccounts/invoices",
        "properties": {
            "documentType": "Invoice", "invoiceType": "AzureService", "status": "Due",
            "billingProfileId": f"{ACCOUNT}/billingProfiles/P-1",
            "invoiceDate": "2026-11-08T00:00:00Z", "invoicePeriodStartDate": f"{month}-01T00:00:00Z",
            "invoicePeriodEndDate": f"{month}-28T00:00:00Z", **amounts, **{k: v[0] for k, v in words.items()},
        },
    }  # fmt: skip


@pytest.fixture
def serve(tmp_path: Path) -> Any:
    """An Azure with these invoices, and the folder that they are pulled into."""
    with ExitStack() as stack:
        yield lambda *given, **how: (stack.enter_context(served(Azure(invoices=list(given), **how))), tmp_path / "bill")


def pulled(azure: Azure, folder: Path, scope: str = ACCOUNT, asked: Api | None = None) -> int:
    folder.mkdir(exist_ok=True)
    return invoices.pull(asked or api(azure), folder, scope=scope, since=date(2026, 1, 1), today=TODAY)


def test_an_invoice_is_its_lines(serve: Callable[..., tuple[Azure, Path]]) -> None:
    """Tax, prepayment, credits and refunds are lines of their own, and the rest is charges; together the amount."""
    azure, folder = serve(
        invoice(totalAmount="1104.5", taxAmount="119", azurePrepaymentApplied="10", freeAzureCreditApplied="4.5",
                creditAmount="0.25", subTotal="985.5")
    )  # fmt: skip
    assert pulled(azure, folder) == 1
    bills, lines = invoices.read(folder, "ours")
    assert dict(bills.schema) == s.TABLES["invoices"].columns
    assert dict(lines.schema) == s.TABLES["invoice_lines"].columns
    assert bills.row(0, named=True) == {
        "invoice_id": "G1", "source_id": "ours", "billing_period": "2026-10", "issuer": "Microsoft",
        "account_id": "P-1", "amount": Decimal("1104.5"), "currency": "USD", "issue_date": date(2026, 11, 8),
        "source": "azure_invoices",
    }  # fmt: skip
    assert lines.select("category", "amount").rows() == [
        ("Usage", Decimal("1000.25")), ("Tax", Decimal(119)), ("Credit", Decimal(-10)), ("Credit", Decimal("-4.5")),
        ("Adjustment", Decimal("-0.25")),
    ]  # fmt: skip


def test_credit_notes_and_what_is_no_invoice(serve: Callable[..., tuple[Azure, Path]]) -> None:
    """A credit note takes its amount off, however its sign is written; void invoices and tax receipts are none."""
    azure, folder = serve(
        invoice(totalAmount="100"),
        invoice("C1", documentType=["CreditNote"], totalAmount="12", taxAmount="2"),
        invoice("C2", documentType=["CreditNote"], totalAmount="-3"),
        invoice("V1", status=["Void"], totalAmount="7"),
        invoice("T1", documentType=["TaxReceipt"], totalAmount="8"),
        invoice("N1"),
    )
    pulled(azure, folder)
    bills, lines = invoices.read(folder, "ours")
    assert dict(bills.select("invoice_id", "amount").rows()) == {"G1": 100, "C1": -12, "C2": -3}
    assert lines.group_by("invoice_id").agg(pl.col("amount").sum()).sort("invoice_id").rows() == [
        ("C1", Decimal(-12)), ("C2", Decimal(-3)), ("G1", Decimal(100)),
    ]  # fmt: skip
    assert lines.filter(pl.col("invoice_id") == "C1").select("category", "amount").rows() == [
        ("Adjustment", Decimal(-10)), ("Tax", Decimal(-2)),
    ]  # fmt: skip


def test_each_agreement_states_its_amount(serve: Callable[..., tuple[Azure, Path]]) -> None:
    """The total counts, else what was billed, else what is due; currencies stay as they are."""
    azure, folder = serve(
        invoice("A", totalAmount="1", billedAmount="2", amountDue="0"),
        invoice("B", billedAmount="2", amountDue="0", currency="EUR"),
        invoice("C", amountDue="3", currency="GBP", billingProfileId=[None], subscriptionId=["S-1"]),
    )
    pulled(azure, folder)
    bills, _ = invoices.read(folder, "ours")
    assert bills.select("invoice_id", "amount", "currency", "account_id").rows() == [
        ("A", 1, "USD", "P-1"), ("B", 2, "EUR", "P-1"), ("C", 3, "GBP", "S-1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        (
            SCOPE,
            f"/providers/Microsoft.Billing/billingAccounts/default/billingSubscriptions/{SCOPE.rpartition('/')[2]}",
        ),
        (ACCOUNT, ACCOUNT),
        (f"{ACCOUNT}/billingProfiles/P-1/", f"{ACCOUNT}/billingProfiles/P-1"),
    ],
)
def test_each_scope_has_its_list(serve: Callable[..., tuple[Azure, Path]], scope: str, path: str) -> None:
    """Invoices of a subscription, a billing account and a billing profile lie at addresses of their own."""
    azure, folder = serve(invoice(totalAmount="1"))
    assert pulled(azure, folder, scope) == 1
    wanted = f"{path}/invoices?api-version=2024-04-01&periodStartDate=2026-01-01&periodEndDate=2026-11-21"
    assert azure.asked[0][1] == wanted


def test_a_scope_without_invoices_is_refused() -> None:
    """A resource group gets no invoices; the message says what does."""
    with pytest.raises(ConfigError, match="no invoices are sent to"):
        invoices.link(f"{SCOPE}/resourceGroups/ml", date(2026, 1, 1), TODAY)


def test_pages_are_followed_and_resumed(serve: Callable[..., tuple[Azure, Path]]) -> None:
    """Every invoice of every page is there once; a pull that broke off asks no page again."""
    azure, folder = serve(*(invoice(f"G{n}", totalAmount="1") for n in range(7)), rows_a_page=2)
    azure.before = instead("503", when=lambda _: len(azure.asked) > 2)
    with pytest.raises(SourceUnreachable):
        pulled(azure, folder)
    azure.before = lambda _: False
    assert pulled(azure, folder) == 7
    assert len(set(azure.answered)) == len(azure.answered) == 4
    assert invoices.read(folder, "ours")[0]["invoice_id"].n_unique() == 7


def invoices_through_faults(azure: Azure, folder: Path, seed: int) -> None:
    """Pull nine invoices through faults by chance until it succeeds: each is there once, the old stay until then."""
    chance = random.Random(seed)
    azure.invoices = [invoice("old", totalAmount="1")]
    pulled(azure, folder)
    before = folder_bytes(folder)
    azure.invoices, azure.rows_a_page = [invoice(f"G{n}", totalAmount="1") for n in range(9)], chance.choice([1, 2, 50])
    faults = chance.sample(FAULTS, len(FAULTS))
    azure.before = instead(*faults, when=lambda _: chance.random() < 0.4)
    for _ in range(200):
        try:
            pulled(azure, folder, asked=api(azure, patience=replace(QUICK, attempts=2)))
            break
        except SourceUnreachable:
            assert folder_bytes(folder) == before
    names = invoices.read(folder, "ours")[0]["invoice_id"].to_list()
    assert sorted(names) == [f"G{n}" for n in range(9)]


@pytest.mark.parametrize("seed", range(10))
def test_whatever_fails_invoices_are_whole(serve: Callable[..., tuple[Azure, Path]], seed: int) -> None:
    """Through faults of every kind the old invoices stay until the new ones are there, each once."""
    invoices_through_faults(*serve(), seed)


def test_a_denied_list_names_the_role(serve: Callable[..., tuple[Azure, Path]]) -> None:
    """A refusal names Billing Reader on the subscription, and the command that gives it."""
    azure, folder = serve()
    azure.before = instead(Refused(403, "AuthorizationFailed"))
    with pytest.raises(SourceUnreachable, match="denies the list of invoices") as raised:
        pulled(azure, folder, SCOPE)
    assert f'--role "Billing Reader" --scope {SCOPE}' in raised.value.next_step


def test_an_invoice_that_cannot_be_read_is_named(serve: Callable[..., tuple[Azure, Path]]) -> None:
    """An amount that is no number is an error with the invoice's number, not an invoice less."""
    azure, folder = serve(invoice("G9", totalAmount="1"))
    azure.invoices[0]["properties"]["totalAmount"]["value"] = "much"
    pulled(azure, folder)
    with pytest.raises(InputError, match="holds invoice G9"):
        invoices.read(folder, "ours")


# ------------------------------------------------------------------------------------------------------ in the lake
def kept(config: Config, lake: Lake, folder: Path) -> None:
    """Keep what the folder states, as an ingest does."""
    azure = {"scope": ACCOUNT, "cost_management": "charges", "invoices": True, "since": "2026-01-01"}
    source = Source.model_validate({"id": "azure", "connector": "azure", "path": folder, "azure": azure})
    stated_invoices.keep(config, lake, source, say=lambda _: None)


def test_stated_invoices_reach_the_lake_once(
    serve: Callable[..., tuple[Azure, Path]], config: Config, lake: Lake
) -> None:
    """Invoices and lines are in the lake's tables; the same again makes no snapshot, others take their place."""
    azure, folder = serve(invoice(totalAmount="119", taxAmount="19"))
    pulled(azure, folder)
    kept(config, lake, folder)
    before = lake.versions()
    kept(config, lake, folder)
    assert lake.versions() == before
    azure.invoices = [invoice(totalAmount="238", taxAmount="38")]
    pulled(azure, folder)
    kept(config, lake, folder)
    counted, lines = stated_invoices.documents(lake)
    assert counted.collect()["amount"].to_list() == [238]
    assert sorted(lines.collect()["amount"]) == [38, 200]


def test_finance_s_own_invoice_wins(serve: Callable[..., tuple[Azure, Path]], config: Config, lake: Lake) -> None:
    """A month that finance has, as an invoice or by its lines, is not counted again by what Azure states."""
    azure, folder = serve(invoice(totalAmount="119"), invoice("G0", "2026-09", totalAmount="5"))
    pulled(azure, folder)
    own = {
        "invoice_id": "F1", "source_id": "azure", "billing_period": "2026-10", "issuer": "Microsoft",
        "account_id": None, "amount": Decimal(120), "currency": "USD", "issue_date": None, "source": "own",
    }  # fmt: skip
    line = {**own, "invoice_id": "F0", "billing_period": "2026-09", "category": "Usage", "description": "", "line": "1"}
    for name, row in (("invoices", own), ("invoice_lines", line)):
        with lake.transaction(name) as tx:
            tx.replace(name, pl.DataFrame([row], schema=s.TABLES[name].columns))
    kept(config, lake, folder)
    counted, lines = (frame.collect() for frame in stated_invoices.documents(lake))
    assert counted["invoice_id"].to_list() == ["F1"]
    assert lines["invoice_id"].to_list() == ["F0"]
