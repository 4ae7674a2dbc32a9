"""Cost Management is asked once for what it takes, charges are the bill in both views, and months tie or stay."""

import json
import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.access import Window
from connectors.azure import cost_query, query_pages
from connectors.azure.api import asked_wait
from connectors.azure.cost_query import Asked, Queried, Question
from connectors.http import Patience
from finops import schema as s
from finops.errors import ConfigError, InputError, SourceUnreachable
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.azure_api_stub import (
    FAULTS,
    QUICK,
    SCOPE,
    WAITS,
    Azure,
    Chance,
    Handler,
    Item,
    Refused,
    api,
    folder_bytes,
    instead,
    served,
)  # fmt: skip

TODAY = date(2026, 11, 21)
OCTOBER, NOVEMBER = date(2026, 10, 5), date(2026, 11, 3)
BILLED, EFFECTIVE = Decimal("203.3200000008"), Decimal("110.0700000008")


def items(day: date = OCTOBER) -> list[Item]:
    """A day of usage, commitments used, unused and paid for, and what else a bill has."""
    return [
        Item(day, "Usage", "OnDemand", "Virtual Machines", "ND96isr H100 v5", "98.32", "98.32", "1"),
        Item(day, "Usage", "Spot", "Virtual Machines", "NC24ads A100 v4 Spot", "1.25", "1.25", "2"),
        Item(day, "Usage", "OnDemand", "Cognitive Services", "gpt-4o-0806-Inp-glbl Tokens", "0.0000000008",
             "0.0000000008", "40"),
        Item(day, "Usage", "Reservation", "Virtual Machines", "NC24ads A100 v4", "0", "2.5", "3"),
        Item(day, "Usage", "SavingsPlan", "Virtual Machines", "NC48ads A100 v4", "0", "3", "1"),
        Item(day, "UnusedReservation", "Reservation", "Virtual Machines", "NC24ads A100 v4", None, "0.5", "1"),
        Item(day, "UnusedSavingsPlan", "SavingsPlan", "", "", None, "0.25"),
        Item(day, "Purchase", "Reservation", "Virtual Machines", "", "100", None),
        Item(day, "Refund", "SavingsPlan", "", "", "-0.5", None),
        Item(day, "Purchase", "OnDemand", "SaaS", "Claude", "1", "1"),
        Item(day, "Refund", "OnDemand", "Storage", "", "-1", "-1"),
        Item(day, "Tax", "", "", "", "4", "4"),
        Item(day, "SomethingNew", "", "Bandwidth", "", "0.25", "0.25"),
    ]  # fmt: skip


@dataclass
class Pulls:
    """An Azure, and where its pages are saved."""

    azure: Azure
    folder: Path
    since: date = date(2026, 10, 1)
    detail: cost_query.Detail = "charges"
    scope: str = SCOPE
    patience: Patience = QUICK
    said: list[str] = field(default_factory=list)

    def run(self, today: date = TODAY) -> Queried:
        asked = Asked(self.scope, self.since, self.detail)
        with_api = api(self.azure, patience=self.patience, said=self.said)
        return cost_query.pull(with_api, self.folder, asked, source_id="ours", today=today, say=self.said.append)

    def charges(self) -> pl.DataFrame:
        parts = query_pages.find_parts(self.folder, until=TODAY)
        return pl.concat(query_pages.parse(part) for part in parts).collect()


@pytest.fixture
def pulls(tmp_path: Path) -> Any:
    """Pulls from an Azure that is served, into a folder of the test."""
    with ExitStack() as stack:
        yield lambda azure, **how: Pulls(stack.enter_context(served(azure)), tmp_path / "bill", **how)


def test_the_charges_are_the_bill(pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """Billed cost of the lake is all actual cost, effective cost all amortised cost, whatever the charge type."""
    run = pulls(Azure(items()))
    run.run()
    load(run.folder, "azure")
    charges = lake.scan("charges").collect()
    assert charges[s.BILLED_COST].sum() == sum(Decimal(i.actual) for i in items() if i.actual) == BILLED
    assert charges[s.EFFECTIVE_COST].sum() == sum(Decimal(i.amortized) for i in items() if i.amortized) == EFFECTIVE


def test_commitments_are_told_apart(pulls: Callable[..., Pulls]) -> None:
    """The fee is billed once, what it covers costs its amortised part, and what nothing used is a charge of its own."""
    run = pulls(Azure(items()))
    run.run()
    found = run.charges().filter(pl.col(s.COMMITMENT_DISCOUNT_TYPE).is_not_null())
    rows = found.select(
        s.CHARGE_CATEGORY, s.COMMITMENT_DISCOUNT_TYPE, s.COMMITMENT_DISCOUNT_STATUS, s.SKU_METER, s.BILLED_COST,
        s.EFFECTIVE_COST,
    )  # fmt: skip
    assert set(rows.rows()) == {
        ("Usage", "Reservation", "Used", "NC24ads A100 v4", Decimal(0), Decimal("2.5")),
        ("Usage", "Savings Plan", "Used", "NC48ads A100 v4", Decimal(0), Decimal(3)),
        ("Usage", "Reservation", "Unused", "NC24ads A100 v4", Decimal(0), Decimal("0.5")),
        ("Usage", "Savings Plan", "Unused", None, Decimal(0), Decimal("0.25")),
        ("Purchase", "Reservation", None, None, Decimal(100), Decimal(0)),
        ("Purchase", "Savings Plan", None, None, Decimal("-0.5"), Decimal(0)),
    }


def test_other_charge_types_keep_their_category(pulls: Callable[..., Pulls]) -> None:
    """Tax, refunds and purchases are what they are; a charge type that Azure invents tomorrow is an adjustment."""
    run = pulls(Azure(items()))
    run.run()
    others = run.charges().filter(pl.col(s.COMMITMENT_DISCOUNT_TYPE).is_null(), pl.col(s.CHARGE_CATEGORY) != "Usage")
    assert set(others.select(s.CHARGE_CATEGORY, s.CHARGE_CLASS, s.SERVICE_NAME, s.BILLED_COST).rows()) == {
        ("Purchase", None, "Azure", Decimal(1)),
        ("Purchase", "Correction", "Storage", Decimal(-1)),
        ("Tax", None, "Azure", Decimal(4)),
        ("Adjustment", None, "Bandwidth", Decimal("0.25")),
    }


def test_accelerators_and_models_are_classified(
    pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake
) -> None:
    """Category and meter are enough to know machines with accelerators and their hours, spot machines, and models."""
    run = pulls(Azure(items()))
    run.run()
    load(run.folder, "azure")
    rows = {row[s.USAGE_TYPE]: row for row in lake.scan("charges").collect().to_dicts() if row[s.USAGE_TYPE]}
    machine, spot = rows["ND96isr H100 v5"], rows["NC24ads A100 v4 Spot"]
    model = rows["gpt-4o-0806-Inp-glbl Tokens"]
    assert (machine[s.ACCELERATOR_MODEL], machine[s.ACCELERATOR_HOURS]) == ("H100-80GB", 8)
    assert (spot[s.PRICING_CATEGORY], spot[s.ACCELERATOR_MODEL], spot[s.ACCELERATOR_HOURS]) == (
        "Dynamic",
        "A100-80GB",
        2,
    )
    assert (model[s.DRIVER], model[s.BILLED_COST]) == ("model_api", Decimal("0.0000000008"))
    assert model[s.CONSUMED_QUANTITY] is None, "a query states no unit"
    assert json.loads(model[s.SOURCE_COLUMNS])["x_UsageQuantity"] == "40"
    assert machine[s.SUB_ACCOUNT_ID] == SCOPE.rpartition("/")[2]


@pytest.mark.parametrize(
    ("scope", "account", "subscription"),
    [
        ("/subscriptions/AAAA-1", "aaaa-1", "aaaa-1"),
        ("/subscriptions/AAAA-1/resourceGroups/ml", "aaaa-1", "aaaa-1"),
        ("/providers/Microsoft.Billing/billingAccounts/123", "123", None),
        ("/providers/Microsoft.Billing/billingAccounts/12:3/billingProfiles/P-1", "p-1", None),
    ],
)
def test_the_scope_names_the_account(pulls: Callable[..., Pulls], scope: str, account: str, subscription: str) -> None:
    """Billing account and subscription are those of the scope that was asked."""
    run = pulls(Azure(items()), scope=scope)
    run.run()
    assert set(run.charges().select(s.BILLING_ACCOUNT_ID, s.SUB_ACCOUNT_ID).rows()) == {(account, subscription)}


def test_only_what_a_month_has_is_asked(pulls: Callable[..., Pulls]) -> None:
    """A month without commitments takes three queries, no filter by pricing model, and an empty one two."""
    run = pulls(Azure([items()[0]]))
    run.run()
    types = [(body["type"], body["dataset"].get("filter")) for _, _, body in run.azure.asked]
    only_usage = {"dimensions": {"name": "ChargeType", "operator": "In", "values": ["Usage"]}}
    assert types == [
        ("ActualCost", None), ("AmortizedCost", None), ("AmortizedCost", only_usage),
        ("ActualCost", None), ("AmortizedCost", None),
    ]  # fmt: skip


def test_a_query_takes_whole_days() -> None:
    """The period begins with the first second of its first day and ends with the last one of its last."""
    body = Question("usage").body(Window(date(2026, 10, 1), date(2026, 11, 1)))
    assert body["timePeriod"] == {"from": "2026-10-01T00:00:00+00:00", "to": "2026-10-31T23:59:59+00:00"}


@pytest.mark.parametrize("rows_a_page", [1, 2, 1000])
def test_pages_are_followed_to_the_last(pulls: Callable[..., Pulls], rows_a_page: int) -> None:
    """Answers in pages of one row give the same charges as answers in one page."""
    run = pulls(Azure(items() + items(NOVEMBER), rows_a_page=rows_a_page))
    run.run()
    assert (run.charges()[s.BILLED_COST].sum(), run.charges()[s.EFFECTIVE_COST].sum()) == (2 * BILLED, 2 * EFFECTIVE)


def test_pages_are_saved_byte_for_byte(pulls: Callable[..., Pulls]) -> None:
    """A page on disk is what Azure sent, amounts to their last digit."""
    run = pulls(Azure([replace(items()[0], actual="0.12345678901234567890", amortized="0.12345678901234567890")]))
    run.run()
    text = (run.folder / "cost_management/2026-10/usage-0001.json").read_text()
    assert "0.12345678901234567890" in text
    assert run.charges()[s.BILLED_COST].to_list() == [Decimal("0.123456789012345679")]


@pytest.mark.parametrize("header", WAITS)
def test_the_longest_wait_counts(pulls: Callable[..., Pulls], header: str) -> None:
    """Azure's four throttles and Retry-After are all kept; of several the longest."""
    run = pulls(Azure(items()), since=date(2026, 11, 1))
    waits = dict.fromkeys(WAITS, "0") | {header: "0.05"}
    run.azure.before = instead(Refused(429, "429", **waits), when=lambda _: len(run.azure.asked) == 1)
    run.run()
    assert [said for said in run.said if "429" in said and "tried again in 0.1 s" in said]


def test_waits_are_read_from_headers() -> None:
    """Seconds and milliseconds are told apart; what is no wait asks for none."""
    assert asked_wait({"x-ms-ratelimit-microsoft.consumption-retry-after": "7", "retry-after": "3"}) == 7
    assert asked_wait({"x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after": "2", "retry-after": "3"}) == 3
    assert asked_wait({"x-ms-retry-after-ms": "1500"}) == 1.5
    assert asked_wait({"x-ms-ratelimit-remaining-microsoft.costmanagement-qpu-remaining": "9"}) is None


def test_a_wait_that_is_too_long_ends_with_what_it_asks_for(pulls: Callable[..., Pulls]) -> None:
    """A throttle beyond the time that a command waits is said with its length; nothing is lost."""
    run = pulls(Azure(items()))
    run.azure.before = instead(Refused(429, "429", **{WAITS[0]: "3000"}))
    with pytest.raises(SourceUnreachable, match="asks to wait 3000 s"):
        run.run()
    assert len(run.azure.asked) == 1


def test_final_months_are_not_asked_again(pulls: Callable[..., Pulls]) -> None:
    """A month that was pulled ten days after its end is not asked again; the running one is."""
    run = pulls(Azure(items()))
    assert run.run(date(2026, 11, 9)).months == ("2026-10", "2026-11")
    assert run.run(date(2026, 11, 12)).months == ("2026-10", "2026-11")
    again = run.run()
    assert (again.months, again.final, again.requests) == (("2026-11",), ("2026-10",), 2)


def test_a_restated_month_replaces_itself(
    pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake
) -> None:
    """When Azure restates an open month, its charges are the new ones, once."""
    run = pulls(Azure(items(NOVEMBER)), since=date(2026, 11, 1))
    run.run()
    load(run.folder, "azure", replace=True)
    run.azure.items = run.azure.items[:1]
    run.run()
    load(run.folder, "azure", replace=True)
    assert lake.scan("charges").collect()[s.BILLED_COST].sum() == Decimal("98.32")


def test_a_day_that_is_restated_between_requests_is_asked_again(pulls: Callable[..., Pulls]) -> None:
    """Totals and charges of different states of a month do not tie; the month is asked once more, whole."""
    run = pulls(Azure(items(NOVEMBER)), since=date(2026, 11, 1))

    def restated(handler: Handler) -> bool:
        if len(run.azure.asked) == 3:
            run.azure.items = [replace(item, actual="7", amortized="7") for item in items(NOVEMBER)[:2]]
        return False

    run.azure.before = restated
    run.run()
    assert run.charges()[s.BILLED_COST].sum() == 14


def test_a_month_that_does_not_tie_is_left_as_it_was(pulls: Callable[..., Pulls]) -> None:
    """Charges that sum to anything but their totals, twice, end the pull, and the month on disk stays."""
    run = pulls(Azure(items(NOVEMBER)), since=date(2026, 11, 1))
    run.run()
    before = folder_bytes(run.folder)

    def torn(handler: Handler) -> bool:
        run.azure.items = items(NOVEMBER)[len(run.azure.asked) % 3 :]
        return False

    run.azure.before = torn
    with pytest.raises(SourceUnreachable, match="cannot be read from Cost Management: its charges sum to"):
        run.run()
    assert folder_bytes(run.folder) == before


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ('{"nextLink": null, "columns": [], "rows": []}', "no column"),
        ("null", "no columns and rows"),
        ('{"nextLink": "https://elsewhere.example.com/x", "columns": COLUMNS, "rows": []}', "another server"),
        ('{"nextLink": "LINK", "columns": COLUMNS, "rows": []}', "asked for before"),
        ('{"nextLink": "LINK&$skiptoken=NUMBER", "columns": COLUMNS, "rows": [ROW]}', "an earlier page held"),
        ('{"nextLink": null, "columns": COLUMNS, "rows": [ROW, ROW]}', "comes twice"),
        ('{"nextLink": null, "columns": COLUMNS, "rows": [[1]]}', "fewer values"),
    ],
)
def test_pages_that_cannot_be_followed_end_the_pull(pulls: Callable[..., Pulls], properties: str, words: str) -> None:
    """Loops, repeated rows, links to other servers and alien documents are named; the token stays with Azure."""
    run = pulls(Azure(items()))

    def alien(handler: Handler) -> bool:
        columns = json.dumps([{"name": name} for name in ("Cost", "ChargeType", "PricingModel", "Currency")])
        link = f"{run.azure.url}{handler.path.partition('&')[0]}"
        text = properties.replace("COLUMNS", columns).replace("LINK", link).replace("ROW", '[1, "Usage", "", "USD"]')
        handler.send(200, f'{{"properties": {text}}}'.replace("NUMBER", str(len(run.azure.asked))).encode())
        return True

    run.azure.before = alien
    with pytest.raises(SourceUnreachable, match=words):
        run.run()
    assert not (run.folder / "cost_management/2026-10").exists()


def test_a_resumed_pull_repeats_no_page(pulls: Callable[..., Pulls]) -> None:
    """A pull that broke off goes on behind its last whole page."""
    run = pulls(Azure(items(), rows_a_page=1), since=date(2026, 10, 1))
    run.azure.before = instead("503", when=lambda _: len(run.azure.asked) > 9)
    with pytest.raises(SourceUnreachable):
        run.run()
    run.azure.before = lambda _: False
    run.run()
    assert len(set(run.azure.answered)) == len(run.azure.answered)
    assert run.charges()[s.BILLED_COST].sum() == BILLED


def test_a_link_that_azure_has_forgotten_starts_the_month_anew(pulls: Callable[..., Pulls]) -> None:
    """When the next page of an interrupted pull is refused, what was saved of the month is dropped and asked again."""
    run = pulls(Azure(items(), rows_a_page=1))
    forgotten: list[str] = []

    def link(handler: Handler) -> bool:
        if "$skiptoken" not in handler.path:
            forgotten.clear()
        elif len(run.azure.asked) == 4:
            forgotten.append(handler.path)
        if handler.path in forgotten:
            handler.refuse(Refused(400, "BadRequest"))
        return handler.path in forgotten

    run.azure.before = link
    with pytest.raises(SourceUnreachable, match="BadRequest"):
        run.run()
    run.run()
    assert run.charges()[s.BILLED_COST].sum() == BILLED


def through_faults(run: Pulls, seed: int) -> None:
    """Pull two months through faults by chance until it succeeds: every charge is there once.

    Until a month's new pull is whole, the one before stays as it was, to the byte.
    """
    chance = random.Random(seed)
    run.azure.rows_a_page = chance.choice([2, 5, 1000])
    run.azure.items = items()
    run.run(date(2026, 11, 8))
    before = folder_bytes(run.folder)
    run.azure.items = [*items(), *items(NOVEMBER), replace(items(date(2026, 10, 7))[0], actual="5", amortized="5")]

    def restate() -> None:
        place = chance.randrange(len(run.azure.items))
        old = run.azure.items[place]
        if old.actual and old.actual == old.amortized:
            changed = str(Decimal(old.actual) + 1)
            run.azure.items[place] = replace(old, actual=changed, amortized=changed)

    run.azure.before = Chance(chance, chance.choice([0.05, 0.15, 0.3]), restate)
    for attempt in range(200):
        if attempt == 40:
            run.azure.before = lambda _: False
        try:
            run.run(date(2026, 11, 9))
            break
        except SourceUnreachable:
            now = folder_bytes(run.folder)
            for month in ("2026-10", "2026-11"):
                mine = {name: text for name, text in now.items() if month in name}
                if b"2026-11-09" not in mine[f"cost_management/{month}/.pulled.json"]:
                    assert mine == {name: text for name, text in before.items() if month in name}
    run.azure.before = lambda _: False
    run.run(date(2026, 11, 9))  # what was restated behind the pull is there with the next
    charges = run.charges()
    assert charges[s.BILLED_COST].sum() == sum(Decimal(i.actual) for i in run.azure.items if i.actual)
    assert charges[s.EFFECTIVE_COST].sum() == sum(Decimal(i.amortized) for i in run.azure.items if i.amortized)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_fails_months_are_whole(pulls: Callable[..., Pulls], seed: int) -> None:
    """Throttles, server errors, resets, cut-off bodies, loops, expired tokens, restated days: every charge once."""
    through_faults(pulls(Azure(), patience=replace(QUICK, attempts=3)), seed)


@pytest.mark.parametrize("seed", range(10))
def test_an_interrupted_month_resumes(pulls: Callable[..., Pulls], seed: int) -> None:
    """However often a pull breaks off, no page of a month is answered twice before the month is whole."""
    chance = random.Random(seed)
    run = pulls(Azure(items(), rows_a_page=2), patience=replace(QUICK, attempts=1), since=date(2026, 11, 1))
    run.azure.items = items(NOVEMBER)
    breaks = [name for name in FAULTS if name not in ("loop", "expired")]
    met = instead(*breaks, when=lambda _: chance.random() < 0.4)
    run.azure.before = met
    failures = 0
    for _ in range(300):
        try:
            run.run()
            break
        except SourceUnreachable:
            failures += 1
    assert failures
    assert len(set(run.azure.answered)) == len(run.azure.answered) == len(folder_bytes(run.folder)) - 1
    assert run.charges()[s.BILLED_COST].sum() == BILLED


def test_an_expired_token_is_asked_for_again_once(pulls: Callable[..., Pulls]) -> None:
    """One 401 is a token that expired; the next in a row is a credential that is not good."""
    run = pulls(Azure(items()))
    run.azure.before = instead("expired", when=lambda _: len(run.azure.asked) == 2)
    run.run()
    assert run.charges()[s.BILLED_COST].sum() == BILLED
    run.azure.before = instead("expired")
    before = len(run.azure.asked)
    with pytest.raises(SourceUnreachable, match="no valid credentials"):
        run.run()
    assert len(run.azure.asked) == before + 2


@pytest.mark.parametrize(
    ("scope", "words", "grant"),
    [
        (SCOPE, "Cost Management Reader", f'--assignee app-1 --role "Cost Management Reader" --scope {SCOPE}'),
        ("/providers/Microsoft.Billing/billingAccounts/1", "Billing account reader", "Access control (IAM)"),
    ],
)  # fmt: skip
def test_a_denied_query_names_the_role(pulls: Callable[..., Pulls], scope: str, words: str, grant: str) -> None:
    """A refusal names what is denied, the role that allows it, the scope, and how to give it."""
    run = pulls(Azure(items()))
    run.azure.before = lambda handler: (
        handler.refuse(Refused(403, "AuthorizationFailed", "does not have authorization")) or True
    )
    asked = Asked(scope, date(2026, 10, 1), "charges")
    with pytest.raises(SourceUnreachable, match="denies a Cost Management query .*AuthorizationFailed") as raised:
        cost_query.pull(
            api(run.azure, caller="app-1"), run.folder, asked, source_id="ours", today=TODAY, say=lambda _: None
        )
    assert words in raised.value.expected
    assert grant in raised.value.next_step


def test_a_token_is_sent_over_tls_only(pulls: Callable[..., Pulls]) -> None:
    """An address without TLS that is not this machine's is refused before anything is sent."""
    with pytest.raises(ConfigError, match="http://azure.example.com"):
        api(Azure(url="http://azure.example.com"))


def test_a_month_to_come_is_refused(pulls: Callable[..., Pulls]) -> None:
    """A `since` after today is a mistake in the config."""
    with pytest.raises(ConfigError, match="still to come"):
        pulls(Azure(), since=date(2026, 12, 1)).run()


def test_totals_are_invoices_of_final_months(pulls: Callable[..., Pulls]) -> None:
    """Totals take two queries a month; whole months that are final come to their actual cost, one row a currency."""
    euros = [replace(item, currency="EUR") for item in items()[:1]]
    run = pulls(Azure(items() + euros + items(NOVEMBER)), detail="totals")
    assert run.run().requests == 4
    assert not query_pages.is_at(run.folder)
    rows = query_pages.invoice_rows(run.folder, "bill")
    assert dict(rows.schema) == s.TABLES["invoices"].columns
    assert rows.select("invoice_id", "billing_period", "issuer", "amount", "currency", "source").rows() == [
        ("cost_management/2026-10", "2026-10", "Microsoft", Decimal("98.32"), "EUR", "cost_management"),
        ("cost_management/2026-10", "2026-10", "Microsoft", BILLED, "USD", "cost_management"),
    ]


def test_a_month_that_since_cuts_is_no_invoice(pulls: Callable[..., Pulls]) -> None:
    """A month that is not read from its first day cannot be compared with an invoice."""
    run = pulls(Azure(items()), detail="totals", since=date(2026, 10, 2))
    run.run()
    assert query_pages.invoice_rows(run.folder, "bill").is_empty()


def test_a_scope_without_costs_is_an_empty_month(pulls: Callable[..., Pulls]) -> None:
    """Azure answers nothing at all (204) where a scope has no costs; that is a month of no charges, not a failure."""
    run = pulls(Azure(items(NOVEMBER)))

    def nothing(handler: Handler) -> bool:
        if len(run.azure.asked) > 2:
            return False
        handler.send(204, b"")
        return True

    run.azure.before = nothing
    run.run()
    assert run.charges()[s.BILLED_COST].sum() == BILLED


def test_exports_beside_answers_are_refused(pulls: Callable[..., Pulls], load: Callable[..., list[Batch]]) -> None:
    """A folder with both an export and answers of Cost Management is refused: it would be counted twice."""
    run = pulls(Azure(items()))
    run.run()
    (run.folder / "bill.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match="answers of Cost Management and files of an export"):
        load(run.folder, "azure")
