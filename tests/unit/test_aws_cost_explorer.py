"""Cost Explorer is asked for as little as it takes, each request is counted before it is paid for, and months tie."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import httpx
import polars as pl
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.server import ThreadedMotoServer
from urllib3.exceptions import ProtocolError

from connectors.aws import cost_explorer, cost_pages
from connectors.aws.cost_explorer import Asked, Explored
from finops import schema as s
from finops.errors import ConfigError, InputError, SourceUnreachable
from finops.pipeline.totals import Batch
from finops.store import Lake
from tests.cost_explorer_stub import CostExplorer, Item, api, failure

TODAY = date(2026, 11, 21)
EC2, PLANS = "Amazon Elastic Compute Cloud - Compute", "Savings Plans for AWS Compute usage"
OCTOBER = date(2026, 10, 5)


def items(*accounts: str, day: date = OCTOBER) -> list[Item]:
    """A day of usage, a savings plan that is used in part, a credit, a refund and tax, in each account."""
    return [
        item
        for account in accounts
        for item in (
            Item(day, account, "Usage", EC2, "USE1-BoxUsage:p5.48xlarge", "98.32", "98.32", "1"),
            Item(day, account, "Usage", "Amazon Bedrock", "USE1-NovaPro-input-tokens", "0.0000000008", "0.0000000008",
                 "1", "1K tokens"),
            Item(day, account, "SavingsPlanCoveredUsage", EC2, "EUC1-BoxUsage:g5.xlarge", "10", "6", "10"),
            Item(day, account, "SavingsPlanNegation", EC2, "EUC1-BoxUsage:g5.xlarge", "-10", "0", "10"),
            Item(day, account, "SavingsPlanRecurringFee", PLANS, "ComputeSP:1yrNoUpfront", "9", "3", "24"),
            Item(day, account, "DiscountedUsage", EC2, "EUC1-BoxUsage:g6.xlarge", "0", "2", "5"),
            Item(day, account, "Credit", EC2, "EUC1-BoxUsage:g5.xlarge", "-1.5", "-1.5"),
            Item(day, account, "Refund", EC2, "EUC1-BoxUsage:g5.xlarge", "-2", "-2"),
            Item(day, account, "Tax", "Tax", "", "4", "4"),
            Item(day, account, "SomethingNew", EC2, "x", "0.25", "0.25"),
        )
    ]  # fmt: skip


@dataclass
class Pulls:
    """A client, and where its pages are saved."""

    client: Any
    folder: Path
    since: date = date(2026, 10, 1)
    detail: cost_explorer.Detail = "charges"
    max_requests: int = 100
    said: list[str] = field(default_factory=list)

    def run(self, today: date = TODAY) -> Explored:
        asked = Asked(self.since, self.detail, self.max_requests)
        return cost_explorer.pull(
            api(self.client), self.folder, asked, source_id="ours", today=today, say=self.said.append
        )


@pytest.fixture
def pulls(tmp_path: Path) -> Callable[..., Pulls]:
    """Pulls of items into a folder of the test."""
    return lambda client, **settings: Pulls(client, tmp_path / "bill", **settings)


def test_the_charges_are_the_bill(pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """Billed and effective cost of the lake are all unblended and amortised cost, whatever the record type."""
    given = items("111111111111", "222222222222")
    run = pulls(CostExplorer(given))
    run.run()
    load(run.folder, "aws")
    charges = lake.scan("charges").collect()
    assert charges[s.BILLED_COST].sum() == sum(Decimal(item.unblended) for item in given)
    assert charges[s.EFFECTIVE_COST].sum() == sum(Decimal(item.amortized) for item in given)


def test_commitments_are_told_apart(pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """The fee is billed once, what it covers costs its amortised part, and the unused rest is a charge of its own."""
    run = pulls(CostExplorer(items("111111111111")))
    run.run()
    load(run.folder, "aws")
    rows = lake.scan("charges").select(
        s.CHARGE_CATEGORY, s.COMMITMENT_DISCOUNT_STATUS, s.USAGE_TYPE, s.BILLED_COST, s.EFFECTIVE_COST
    )
    found = [tuple(str(v) if isinstance(v, Decimal) else v for v in row) for row in rows.collect().iter_rows()]
    plain = {(c, st, u, Decimal(b).normalize(), Decimal(e).normalize()) for c, st, u, b, e in found}
    assert ("Usage", "Used", "EUC1-BoxUsage:g5.xlarge", Decimal(0), Decimal(6)) in plain
    assert ("Usage", "Used", "EUC1-BoxUsage:g6.xlarge", Decimal(0), Decimal(2)) in plain
    assert ("Purchase", None, None, Decimal(9), Decimal(0)) in plain
    assert ("Usage", "Unused", None, Decimal(0), Decimal(3)) in plain


def test_accelerators_and_models_are_classified(
    pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake
) -> None:
    """Service and usage type are enough to know machines with accelerators, their hours, and models with tokens."""
    run = pulls(CostExplorer(items("111111111111")))
    run.run()
    load(run.folder, "aws")
    rows = {row[s.USAGE_TYPE]: row for row in lake.scan("charges").collect().to_dicts() if row[s.USAGE_TYPE]}
    machine, model = rows["USE1-BoxUsage:p5.48xlarge"], rows["USE1-NovaPro-input-tokens"]
    assert (machine[s.ACCELERATOR_MODEL], machine[s.ACCELERATOR_HOURS]) == ("H100-80GB", 8)
    assert (machine[s.REGION_ID], machine[s.SUB_ACCOUNT_ID]) == ("us-east-1", "111111111111")
    assert (model[s.DRIVER], model[s.TOKENS], model[s.BILLED_COST]) == ("model_api", 1000, Decimal("0.0000000008"))


def test_requests_are_told_before_they_are_paid_for(pulls: Callable[..., Pulls]) -> None:
    """Two months take seven requests; the number is said first, and what was spent is said and kept."""
    run = pulls(CostExplorer(items("111111111111")))
    explored = run.run()
    assert explored.requests == len(run.client.asked) == 7
    assert "7 request(s), 0.07 USD now" in run.said[0]
    run.run()
    kept = json.loads((run.folder / "cost_explorer" / ".requests.json").read_text())
    assert kept == {"2026-11": 11}
    assert "11 request(s), 0.11 USD" in run.said[-1]


def test_too_many_requests_are_refused_unpaid(pulls: Callable[..., Pulls]) -> None:
    """A plan beyond max_requests is refused before the first request."""
    run = pulls(CostExplorer(items("111111111111")), max_requests=6)
    with pytest.raises(ConfigError, match=r"7 request\(s\), 0.07 USD"):
        run.run()
    assert run.client.asked == []


@pytest.mark.parametrize("limit", range(7, 12))
def test_pages_and_tries_never_exceed_the_limit(pulls: Callable[..., Pulls], limit: int) -> None:
    """Pages that nobody foresaw, and tries after throttling, stop at max_requests; what was pulled before stays."""
    run = pulls(CostExplorer(items("111111111111"), groups_a_page=1), max_requests=limit)
    run.client.failures = [failure("LimitExceededException")]
    with pytest.raises(ConfigError, match="max_requests"):
        run.run()
    assert len(run.client.asked) == limit - 1
    assert json.loads((run.folder / "cost_explorer" / ".requests.json").read_text()) == {"2026-11": limit}


def test_pages_are_followed_to_the_last(pulls: Callable[..., Pulls]) -> None:
    """Answers in pages of one group give the same charges as answers in one page."""
    sums = []
    for a_page in (1, 1000):
        run = pulls(CostExplorer(items("111111111111"), groups_a_page=a_page))
        run.run()
        parts = cost_pages.find_parts(run.folder, until=TODAY)
        rows = pl.concat(cost_pages.parse(part) for part in parts).collect()
        sums.append(rows.select(s.USAGE_TYPE, s.BILLED_COST, s.EFFECTIVE_COST).sort(pl.all()))
        (run.folder / "cost_explorer" / "2026-10" / ".pulled.json").unlink()
    assert sums[0].equals(sums[1])


def test_a_loop_of_pages_ends(pulls: Callable[..., Pulls]) -> None:
    """A token that comes twice ends the pull instead of paying for ever."""

    class Loop(CostExplorer):
        def get_cost_and_usage(self, **request: Any) -> dict[str, Any]:
            return {**super().get_cost_and_usage(**{**request, "NextPageToken": "0"}), "NextPageToken": "0"}

    with pytest.raises(SourceUnreachable, match="token came twice"):
        pulls(Loop(items("111111111111"))).run()


@pytest.mark.parametrize("seed", range(20))
def test_whatever_fails_months_are_whole(pulls: Callable[..., Pulls], seed: int) -> None:
    """Throttling, server errors and broken connections at random places: no charge is lost, none comes twice."""
    chance = random.Random(seed)
    given = items("111111111111", "222222222222") + items("111111111111", day=date(2026, 11, 2))

    class Shaky(CostExplorer):
        def get_cost_and_usage(self, **request: Any) -> dict[str, Any]:
            if chance.random() < 0.4:
                raise chance.choice(
                    [failure("LimitExceededException"), failure("InternalFailure", 500), failure("ThrottlingException"),
                     EndpointConnectionError(endpoint_url="x"), ProtocolError("reset"), failure("ValidationException")]
                )  # fmt: skip
            return super().get_cost_and_usage(**request)

    run = pulls(Shaky(given, groups_a_page=chance.choice([1, 3, 50])), max_requests=10_000)
    for _ in range(200):
        try:
            run.run()
            break
        except SourceUnreachable:
            continue
    parts = cost_pages.find_parts(run.folder, until=TODAY)
    rows = pl.concat(cost_pages.parse(part) for part in parts).collect()
    assert rows[s.BILLED_COST].sum() == sum(Decimal(item.unblended) for item in given)
    assert rows[s.EFFECTIVE_COST].sum() == sum(Decimal(item.amortized) for item in given)


def test_final_months_are_not_paid_for_again(pulls: Callable[..., Pulls]) -> None:
    """A month that was pulled ten days after its end is not asked again; the running one is."""
    run = pulls(CostExplorer(items("111111111111")))
    assert run.run(date(2026, 11, 9)).months == ("2026-10", "2026-11")
    assert run.run().months == ("2026-10", "2026-11")
    again = run.run(date(2026, 11, 22))
    assert (again.months, again.final, again.requests) == (("2026-11",), ("2026-10",), 4)


def test_a_restated_month_replaces_itself(
    pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake
) -> None:
    """When AWS restates an open month, its charges are the new ones, once."""
    run = pulls(CostExplorer(items("111111111111", day=date(2026, 11, 3))))
    run.run()
    load(run.folder, "aws", replace=True)
    run.client.items = items("111111111111", day=date(2026, 11, 3))[:1]
    run.run()
    load(run.folder, "aws", replace=True)
    assert lake.scan("charges").collect()[s.BILLED_COST].sum() == Decimal("98.32")


def test_a_month_that_does_not_tie_is_left_as_it_was(pulls: Callable[..., Pulls]) -> None:
    """Charges that sum to anything but the totals by account end the pull, and the month on disk stays."""
    run = pulls(CostExplorer(items("111111111111", day=date(2026, 11, 3))), since=date(2026, 11, 1))
    run.run()
    before = (run.folder / "cost_explorer" / "2026-11" / "usage-111111111111-0001.json").read_bytes()

    class Torn(CostExplorer):
        def get_cost_and_usage(self, **request: Any) -> dict[str, Any]:
            if "USAGE_TYPE" in str(request["GroupBy"]):
                self.items = [item for item in self.items if item.service != EC2]
            return super().get_cost_and_usage(**request)

    run.client = Torn(items("111111111111", day=date(2026, 11, 3)))
    with pytest.raises(SourceUnreachable, match=r"of 2026-11 is .* but .* by account"):
        run.run()
    assert (run.folder / "cost_explorer" / "2026-11" / "usage-111111111111-0001.json").read_bytes() == before


def test_accounts_are_told_apart_when_asked(
    pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake
) -> None:
    """detail = accounts asks for each account alone, says what that costs, and every charge has its account."""
    run = pulls(CostExplorer(items("111111111111", "222222222222")), detail="accounts", since=date(2026, 11, 1))
    run.client.items += items("111111111111", "222222222222", day=date(2026, 11, 2))
    assert run.run().requests == 1 + 3 * 2
    assert "for 2 account(s)" in run.said[1]
    load(run.folder, "aws")
    by_account = lake.scan("charges").group_by(s.SUB_ACCOUNT_ID).agg(pl.col(s.BILLED_COST).sum()).collect()
    assert set(by_account[s.SUB_ACCOUNT_ID]) == {"111111111111", "222222222222"}
    assert by_account[s.BILLED_COST].n_unique() == 1


def test_totals_are_invoices_of_final_months(pulls: Callable[..., Pulls]) -> None:
    """Monthly totals take one request; a month is an invoice when it is whole and no estimate any more."""
    given = items("111111111111", "222222222222") + items("111111111111", day=date(2026, 11, 2))
    run = pulls(CostExplorer(given), detail="totals")
    assert run.run().requests == 1
    rows = cost_pages.invoice_rows(run.folder, "bill")
    assert dict(rows.schema) == s.TABLES["invoices"].columns
    assert rows.select("billing_period", "account_id", "issuer", "amount", "currency", "source").rows() == [
        ("2026-10", None, "Amazon Web Services, Inc.", Decimal("216.1400000016"), "USD", "cost_explorer")
    ]
    assert not cost_pages.is_at(run.folder)
    run.client.final_before = date(2026, 10, 1)
    run.run()
    assert cost_pages.invoice_rows(run.folder, "bill").is_empty(), "AWS still estimates that month"


def test_estimates_are_marked(pulls: Callable[..., Pulls], load: Callable[..., list[Batch]], lake: Lake) -> None:
    """The days that AWS still estimates are said, and their charges carry the mark."""
    run = pulls(CostExplorer(items("111111111111") + items("111111111111", day=date(2026, 11, 2))))
    assert run.run().estimated_from == date(2026, 11, 1)
    load(run.folder, "aws")
    marks = lake.scan("charges").select(
        s.BILLING_PERIOD, pl.col(s.SOURCE_COLUMNS).str.json_path_match("$.x_Estimated").alias("mark")
    )
    assert set(marks.collect().rows()) == {("2026-10", None), ("2026-11", "true")}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("AccessDeniedException", "ce:GetCostAndUsage"),
        ("ExpiredTokenException", "no valid credentials"),
        ("DataUnavailableException", "Cost Explorer has no data yet"),
        ("ValidationException", "ValidationException"),
    ],
)
def test_refusals_say_what_is_missing(pulls: Callable[..., Pulls], code: str, words: str) -> None:
    """An error that waiting does not cure ends at once, and names the permission or what else is missing."""
    run = pulls(CostExplorer([], failures=[failure(code)]))
    with pytest.raises(SourceUnreachable, match=words) as raised:
        run.run()
    assert run.client.asked == []
    if code == "AccessDeniedException":
        assert '"Action": ["ce:GetCostAndUsage"]' in raised.value.next_step


def test_a_role_that_cannot_be_assumed_is_named(pulls: Callable[..., Pulls]) -> None:
    """The role is assumed with the first request; it is its permission that is missing then."""
    error = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
    with pytest.raises(SourceUnreachable, match="AWS denies sts:AssumeRole"):
        pulls(CostExplorer([], failures=[error])).run()


def test_bills_beside_pages_are_refused(pulls: Callable[..., Pulls], load: Callable[..., list[Batch]]) -> None:
    """A folder with both a bill and pages of Cost Explorer is refused: it would be counted twice."""
    run = pulls(CostExplorer(items("111111111111")))
    run.run()
    (run.folder / "bill.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match="pages of Cost Explorer and files of a bill"):
        load(run.folder, "aws")


def test_the_sdk_speaks_to_a_server(pulls: Callable[..., Pulls]) -> None:
    """The real SDK gets queued answers from a server over HTTP, with exact amounts."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        day = {"Start": "2026-11-01", "End": "2026-11-02"}

        def answer(keys: list[str]) -> dict[str, Any]:
            metrics = {m: {"Amount": "0.1234567891", "Unit": "USD"} for m in ("UnblendedCost", "AmortizedCost")}
            metrics["UsageQuantity"] = {"Amount": "1", "Unit": "Hrs"}
            groups = [{"Keys": keys, "Metrics": metrics}] if keys else []
            return {"ResultsByTime": [{"TimePeriod": day, "Total": {}, "Groups": groups, "Estimated": True}]}

        queue = [answer(["111111111111", "AWS"]), answer([EC2, "BoxUsage:p5.48xlarge"]), answer([]), answer([])]
        httpx.post(f"{address}/moto-api/static/ce/cost-and-usage-results", json={"results": queue}).raise_for_status()
        client = boto3.client(
            "ce", region_name="us-east-1", endpoint_url=address, aws_access_key_id="a", aws_secret_access_key="b"
        )
        run = pulls(client, since=date(2026, 11, 1))
        assert run.run().requests == 4
    finally:
        server.stop()
    parts = cost_pages.find_parts(run.folder, until=TODAY)
    rows = pl.concat(cost_pages.parse(part) for part in parts).collect()
    assert rows[s.BILLED_COST].to_list() == [Decimal("0.1234567891")]
