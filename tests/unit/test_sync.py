"""Pulled months hold every result exactly once, whatever the network does, and change as a whole or not at all."""

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors import sync
from connectors.access import Access, Window
from connectors.anthropic.access import ACCESS as ANTHROPIC
from connectors.http import Client, Patience
from connectors.litellm.access import ACCESS as LITELLM
from connectors.openai.access import ACCESS as OPENAI
from finops.config import Key, Pull, Source
from finops.errors import CallError, ConfigError, FinopsError, SourceUnreachable
from tests import provider_stub as stubs
from tests.provider_stub import Provider, Stub

TODAY = date(2026, 11, 21)
SINCE = date(2026, 10, 1)
QUICK = Patience(attempts=8, total_s=20, first_wait_s=0.005, longest_wait_s=0.02, jitter_s=0.005, answer_s=1)
ACCESSES: dict[Provider, Access] = {"openai": OPENAI, "anthropic": ANTHROPIC, "litellm": LITELLM}


@dataclass
class Pulls:
    """A stub, a source that is pulled from it, and where its pages lie."""

    stub: Stub
    folder: Path
    said: list[str] = field(default_factory=list)
    since: date = SINCE
    restated_days: int = 7
    options: dict[str, str] = field(default_factory=dict)

    @property
    def access(self) -> Access:
        return ACCESSES[self.stub.provider]

    @property
    def source(self) -> Source:
        pull = Pull(since=self.since, key=Key(env="UNREAD"), url=self.stub.url, restated_days=self.restated_days)
        return Source(id="ours", connector=self.stub.provider, pull=pull, options=self.options)

    def run(self, *, today: date = TODAY, key: str | None = None, patience: Patience = QUICK) -> sync.Pulled:
        return sync.pull(
            self.source, self.access, self.folder, key=key or self.stub.key, today=today, say=self.said.append,
            patience=patience,
        )  # fmt: skip

    def probe(self, *, key: str | None = None) -> list[sync.Probe]:
        return sync.probe(self.source, self.access, key=key or self.stub.key, today=TODAY, patience=QUICK)

    def rows(self, endpoint: str) -> list[str]:
        """The ids of every result that lies in the pages of an endpoint, sorted, as often as they are there."""
        return sorted(identity for document in self.documents(endpoint) for identity in ids(document))

    def documents(self, endpoint: str) -> list[dict[str, Any]]:
        return [json.loads(file.read_bytes(), parse_float=Decimal) for file in self.files(endpoint)]

    def files(self, endpoint: str) -> list[Path]:
        """The pages as the connectors find them: hidden names are none."""
        inside = (file.relative_to(self.folder) for file in sorted((self.folder / endpoint).rglob("*.json")))
        return [self.folder / file for file in inside if not any(part.startswith(".") for part in file.parts)]

    def content(self) -> dict[str, bytes]:
        return {str(f.relative_to(self.folder)): f.read_bytes() for f in self.files("")}


def ids(document: Mapping[str, Any]) -> list[str]:
    if "results" in document:
        return [f"{day['date']} {model}" for day in document["results"] for model in day["breakdown"]["models"]]
    return [row["id"] for entry in document["data"] for row in entry.get("results", [entry])]


def days(start: date, end: date) -> list[date]:
    return Window(start, end).days


def filled(stub: Stub, *endpoints: str, count: int = 2) -> dict[str, list[str]]:
    """Put results on every day of two months; returns the ids of each endpoint."""
    put: dict[str, list[str]] = {}
    for endpoint in endpoints:
        put[endpoint] = []
        for day in days(SINCE, TODAY + timedelta(days=1)):
            rows = [{"id": f"{day} {n}", "amount": Decimal("0.1000000000000000055")} for n in range(count)]
            stub.put(endpoint, day, *rows)
            put[endpoint] += [str(row["id"]) for row in rows]
    return put


@pytest.fixture
def openai(tmp_path: Path) -> Iterator[Pulls]:
    with Stub("openai") as stub:
        yield Pulls(stub, tmp_path / "raw/openai")


@pytest.fixture
def anthropic(tmp_path: Path) -> Iterator[Pulls]:
    with Stub("anthropic") as stub:
        yield Pulls(stub, tmp_path / "raw/anthropic")


@pytest.fixture
def litellm(tmp_path: Path) -> Iterator[Pulls]:
    with Stub("litellm") as stub:
        yield Pulls(stub, tmp_path / "raw/litellm")


def refused(run: Callable[[], object], error: type[FinopsError] = SourceUnreachable) -> str:
    with pytest.raises(error) as caught:
        run()
    return str(caught.value)


# -------------------------------------------------------------------------------------------------------------- whole
def test_openai(openai: Pulls) -> None:
    """Every result of every endpoint is there once, in months, the pages byte for byte as they were answered."""
    put = filled(openai.stub, *(e.name for e in OPENAI.endpoints({})), count=1)
    pulled = openai.run()
    assert {endpoint: openai.rows(endpoint) for endpoint in put} == put
    assert sorted(p.name for p in (openai.folder / "costs").iterdir()) == ["2026-10", "2026-11"]
    assert b"0.1000000000000000055" in (openai.folder / "costs/2026-10/0001.json").read_bytes()
    assert {(a.status, a.query["bucket_width"][0]) for a in openai.stub.asked} == {(200, "1d")}
    assert pulled.pages == pulled.requests == len(openai.stub.asked) == 22
    assert pulled.retries == 0
    assert pulled.left_out == ()
    assert openai.said[0] == "ours: costs: 2 month(s) pulled in 2 page(s), 0 final"


def test_anthropic_in_pages_of_a_few_days(anthropic: Pulls) -> None:
    """Cursors are followed to the last page, however few days a page holds."""
    put = filled(anthropic.stub, "cost_report", "usage_report/messages")
    anthropic.stub.days_a_page = 4
    assert anthropic.run().pages == 2 * (8 + 6)
    assert {endpoint: anthropic.rows(endpoint) for endpoint in put} == put
    assert [f.name for f in anthropic.files("cost_report/2026-11")] == [f"000{n}.json" for n in range(1, 7)]


def activity(model: str) -> dict[str, Any]:
    return {"api_key": f"hash of {model}", "model": model, "spend": Decimal("0.25"), "api_requests": 1}


def test_litellm_days(litellm: Pulls) -> None:
    """Daily activity is read day by day, page by page."""
    litellm.since = date(2026, 11, 20)
    litellm.stub.put("daily_activity", date(2026, 11, 20), *(activity(f"m{n:04}") for n in range(2_001)))
    litellm.stub.put("daily_activity", date(2026, 11, 21), activity("m"))
    litellm.run()
    assert litellm.rows("daily_activity") == [*(f"2026-11-20 m{n:04}" for n in range(2_001)), "2026-11-21 m"]
    assert [(a.query["start_date"][0][-2:], a.query["page"][0]) for a in litellm.stub.asked] == [
        ("20", "1"), ("20", "2"), ("20", "3"), ("21", "1"),
    ]  # fmt: skip
    assert not (litellm.folder / "spend_logs").exists()


def test_litellm_requests(litellm: Pulls) -> None:
    """With detail = requests the spend logs are read past the 10,000 that the proxy counts, to the last full page."""
    litellm.since = date(2026, 11, 20)
    litellm.options = {"detail": "requests"}
    logs = [{"id": f"r{n:05}", "startTime": f"2026-11-20T{n // 3600:02}:00:00+00:00"} for n in range(10_100)]
    litellm.stub.put("spend_logs", date(2026, 11, 20), *logs)
    litellm.run()
    assert litellm.rows("spend_logs") == [log["id"] for log in logs]
    assert len(litellm.stub.asked) == 102 + 1
    assert 'expected: "days"' in refused(lambda: LITELLM.endpoints({"detail": "both"}), ConfigError)


def test_months() -> None:
    """Windows cover each day from the first to today once, month by month, and end before tomorrow."""
    found = sync.windows(date(2025, 12, 15), date(2026, 2, 28))
    assert [w.name for w in found] == ["2025-12", "2026-01", "2026-02"]
    assert [day for w in found for day in w.days] == days(date(2025, 12, 15), date(2026, 3, 1))
    assert sync.windows(TODAY, TODAY) == [Window(TODAY, TODAY + timedelta(days=1))]


# ------------------------------------------------------------------------------------------------------------- faults
FAULTS: dict[str, Callable[[], stubs.Fault]] = {
    "429": lambda: stubs.status(429),
    "429 with seconds": lambda: stubs.status(429, retry_after="0.02"),
    "408": lambda: stubs.status(408),
    "500": lambda: stubs.status(500),
    "503": lambda: stubs.status(503, retry_after="0"),
    "529": lambda: stubs.status(529),
    "reset": stubs.reset,
    "cut off": stubs.cut_off,
    "half a document": lambda: stubs.cut_off(honest=False),
    "no JSON": stubs.not_json,
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault(anthropic: Pulls, name: str) -> None:
    """After a fault on any page every result is there once, and the retry is counted and told."""
    put = filled(anthropic.stub, "cost_report", count=1)
    anthropic.stub.days_a_page = 11
    anthropic.stub.fail(FAULTS[name](), stubs.as_it_is(), FAULTS[name](), FAULTS[name]())
    pulled = anthropic.run()
    assert anthropic.rows("cost_report") == put["cost_report"]
    assert pulled.retries == 3
    assert pulled.requests == pulled.pages + 3
    assert sum("(try " in said for said in anthropic.said) == 3


def test_slow(openai: Pulls) -> None:
    """An answer that does not come in time is asked for again."""
    put = filled(openai.stub, "costs", count=1)
    openai.stub.fail(stubs.slow(0.8))
    assert openai.run(patience=Patience(first_wait_s=0.01, jitter_s=0, answer_s=0.4)).retries >= 1
    assert openai.rows("costs") == put["costs"]


@pytest.mark.parametrize("seed", range(40))
def test_any_sequence_of_faults(anthropic: Pulls, seed: int) -> None:
    """Whatever faults come, in whatever order, pulls that are repeated until one ends hold every result once."""
    chance = random.Random(seed)
    put = filled(anthropic.stub, "cost_report", "usage_report/messages", count=1)
    anthropic.stub.days_a_page = chance.randint(3, 31)
    kinds = [*FAULTS.values(), lambda: stubs.status(400), lambda: stubs.status(404)]
    anthropic.stub.fail(*(chance.choice(kinds)() if chance.random() < 0.6 else stubs.as_it_is() for _ in range(30)))
    for _ in range(31):
        try:
            anthropic.run(patience=Patience(3, 5, 0.001, 0.002, 0.001, 1))
        except SourceUnreachable:
            continue
        break
    assert {endpoint: anthropic.rows(endpoint) for endpoint in put} == put


@pytest.mark.parametrize(("fault", "least", "most"), [(stubs.status(429, retry_after="0.6"), 0.6, 1.5),
                                                      (stubs.wait_until(2), 1.0, 3.0)])  # fmt: skip
def test_retry_after_is_the_wait(openai: Pulls, fault: stubs.Fault, least: float, most: float) -> None:
    """Seconds and dates of Retry-After are waited for, no less and not our own longer wait."""
    openai.stub.fail(fault)
    patience = Patience(first_wait_s=30, longest_wait_s=30)
    with client(openai, patience) as http:
        http.get("/organization/costs", OPENAI.endpoints({})[0].first(Window(SINCE, TODAY)))
    first, second = (a.at for a in openai.stub.asked)
    assert least <= second - first < most


def client(pulls: Pulls, patience: Patience) -> Client:
    headers = pulls.access.headers(pulls.stub.key)
    return Client(pulls.stub.url, headers, secret=pulls.stub.key, patience=patience, say=pulls.said.append)


def test_waits_grow_and_differ(openai: Pulls) -> None:
    """Without Retry-After the waits double, with a part by chance, up to the longest."""
    openai.stub.fail(*(stubs.status(500) for _ in range(6)))
    with client(openai, Patience(7, 20, 0.02, 0.1, 0.02, 1)) as http:
        http.get("/organization/costs", OPENAI.endpoints({})[0].first(Window(SINCE, TODAY)))
    times = [a.at for a in openai.stub.asked]
    waits = [after - before for before, after in pairwise(times)]
    for wait, least in zip(waits, (0.02, 0.04, 0.08, 0.1, 0.1, 0.1), strict=True):
        assert least <= wait < least + 0.1


def test_a_wait_that_is_too_long(openai: Pulls) -> None:
    """A Retry-After beyond the total time ends the tries at once and is named."""
    openai.stub.fail(stubs.status(429, retry_after="3600"))
    started = time.monotonic()
    message = refused(openai.run)
    assert time.monotonic() - started < 1
    assert "in 3600 s or later, run `finops ingest ours` again" in message


def test_tries_end(openai: Pulls) -> None:
    """After the last try the message has what the provider said, and the exit code is that of a source out of reach."""
    openai.stub.fail(*(stubs.status(503, message="The engine is overloaded") for _ in range(8)))
    with pytest.raises(SourceUnreachable) as caught:
        openai.run()
    assert caught.value.exit_code == 3
    assert '503 Service Unavailable: "The engine is overloaded"' in str(caught.value)
    assert len(openai.stub.asked) == 8


@pytest.mark.parametrize("code", [400, 401, 403, 404, 302])
def test_final_answers_are_not_asked_again(openai: Pulls, code: int) -> None:
    """What will not change is asked once."""
    openai.stub.fail(stubs.status(code))
    refused(openai.run)
    assert len(openai.stub.asked) == 1


def test_nobody_there(openai: Pulls, tmp_path: Path) -> None:
    """A host that refuses connections is said to be out of reach."""
    with Stub("openai") as gone:
        pulls = Pulls(gone, tmp_path / "gone")
    assert "ConnectError" in refused(lambda: pulls.run(patience=Patience(2, 5, 0.01, 0.01, 0.01, 1)))
    assert [p.status for p in pulls.probe()] == ["unreachable"]


# -------------------------------------------------------------------------------------------------------------- loops
def has_more_of_old(document: dict[str, Any]) -> None:
    document |= {"has_more": True, "next_page": "page_MjAyNi0xMS0xMS8x"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.update(has_more=True, next_page=None), "not where (next_page)"),
        (lambda d: d.pop("has_more"), "whether more pages follow"),
        (lambda d: d.pop("data"), "has no list `data`"),
        (lambda d: d["data"][0].pop("starting_at"), "without a readable day"),
        (lambda d: d["data"].append(d["data"][0]), "holds a day twice"),
        (lambda d: d["data"][0].update(starting_at="2026-09-30T00:00:00Z"), "not asked for"),
    ],
)
def test_pages_that_cannot_be_followed(anthropic: Pulls, change: Callable[[Any], None], reason: str) -> None:
    """A page without a way to the next one is refused, and what was pulled before stays."""
    filled(anthropic.stub, "cost_report", "usage_report/messages")
    anthropic.run()
    before = anthropic.content()
    anthropic.stub.fail(stubs.changed(change))
    assert reason in refused(lambda: anthropic.run(today=TODAY + timedelta(days=1)))
    assert anthropic.content() == before
    assert [p.name for p in anthropic.folder.rglob(".*.part")] == []


def test_page_loops(anthropic: Pulls) -> None:
    """A cursor that comes again, or a page that comes again under a new cursor, is refused, and the old month stays."""
    filled(anthropic.stub, "cost_report", "usage_report/messages")
    anthropic.restated_days = 60
    anthropic.run()
    before = anthropic.content()
    anthropic.stub.days_a_page = 10
    first: list[dict[str, Any]] = []

    def same_cursor(document: dict[str, Any]) -> None:
        first.append(dict(document))
        document["next_page"] = first[0]["next_page"]

    anthropic.stub.fail(stubs.changed(same_cursor), stubs.changed(same_cursor))
    assert "page 3 is one that was asked for before" in refused(anthropic.run)
    assert anthropic.content() == before

    def day_again(document: dict[str, Any]) -> None:
        document["data"].insert(0, first[0]["data"][-1])

    anthropic.stub.fail(stubs.as_it_is(), stubs.changed(day_again))
    assert "page 2 holds a day twice, again" in refused(anthropic.run)
    assert anthropic.content() == before

    def same_page(document: dict[str, Any]) -> None:
        document["data"] = first[0]["data"]

    anthropic.stub.fail(stubs.as_it_is(), stubs.changed(same_page))
    assert "page 2 holds what an earlier page held" in refused(anthropic.run)
    assert anthropic.content() == before


def test_a_day_that_is_missing_is_told(anthropic: Pulls) -> None:
    """Where an answer leaves out a day of the window, even an empty one, the pull says so."""
    anthropic.stub.fail(stubs.changed(lambda document: document["data"].pop()))
    anthropic.run()
    assert "ours: cost_report of 2026-10 has no entry, not even an empty one, of 2026-10-31" in anthropic.said


# ------------------------------------------------------------------------------------------------------------- months
def test_a_restated_day_replaces_its_month(anthropic: Pulls) -> None:
    """What the provider corrects is pulled again, without what stood there before and with no page left over."""
    filled(anthropic.stub, "cost_report", count=3)
    anthropic.stub.days_a_page = 5
    anthropic.run()
    anthropic.stub.days_a_page = 31
    anthropic.stub.put("cost_report", date(2026, 11, 3), {"id": "corrected"})
    anthropic.run()
    rows = anthropic.rows("cost_report")
    assert [row for row in rows if row.startswith("2026-11-03")] == []
    assert rows.count("corrected") == 1
    assert len(rows) == len(set(rows)) == 51 * 3 + 1
    assert len(anthropic.files("cost_report/2026-11")) == 1


def test_a_final_month_is_not_asked_again(openai: Pulls) -> None:
    """A month is pulled again until restated_days after its end, and then only when it is asked for otherwise."""

    def months(today: date) -> list[str]:
        del openai.stub.asked[:]
        openai.run(today=today)
        costs = (a.query["start_time"][0] for a in openai.stub.asked if a.path == "/v1/organization/costs")
        return [f"{datetime.fromtimestamp(int(start), UTC).date()}" for start in costs]

    assert months(date(2026, 10, 31)) == ["2026-10-01"]
    assert months(date(2026, 11, 7)) == ["2026-10-01", "2026-11-01"]
    assert months(date(2026, 11, 8)) == ["2026-10-01", "2026-11-01"]
    assert months(date(2026, 11, 9)) == ["2026-11-01"]
    openai.since = date(2026, 9, 15)
    assert months(date(2026, 11, 9)) == ["2026-09-15", "2026-11-01"]
    openai.since = date(2026, 9, 1)
    assert months(date(2026, 11, 9)) == ["2026-09-01", "2026-11-01"]


def test_resume(anthropic: Pulls) -> None:
    """After a pull that ended in the middle of a month no whole page is asked for again within the hour."""
    put = filled(anthropic.stub, "cost_report", count=1)
    anthropic.stub.days_a_page = 5
    anthropic.stub.fail(*(stubs.as_it_is() for _ in range(4)), *(stubs.status(500) for _ in range(8)))
    refused(anthropic.run)
    whole = [a.query.get("page") for a in anthropic.stub.asked if a.status == 200]
    assert len(whole) == 4
    del anthropic.stub.asked[:]
    anthropic.run()
    again = [a.query.get("page") for a in anthropic.stub.asked if a.path.endswith("cost_report")]
    assert again[0] not in whole
    assert len(again) == 7 + 5 - 4
    assert anthropic.rows("cost_report") == put["cost_report"]


def test_a_pull_that_is_too_old_starts_anew(anthropic: Pulls) -> None:
    """Pages of more than an hour ago, or of another window, are not mixed with new ones."""
    filled(anthropic.stub, "cost_report", count=1)
    anthropic.stub.days_a_page = 5
    anthropic.stub.fail(*(stubs.as_it_is() for _ in range(4)), *(stubs.status(500) for _ in range(8)))
    refused(anthropic.run)
    (asked,) = anthropic.folder.rglob(".asked.json")
    stated = json.loads(asked.read_text())
    asked.write_text(json.dumps({**stated, "started": (datetime.now(UTC) - timedelta(minutes=61)).isoformat()}))
    del anthropic.stub.asked[:]
    anthropic.run()
    assert len([a for a in anthropic.stub.asked if a.path.endswith("cost_report")]) == 7 + 5


def test_a_cursor_that_is_no_longer_known(anthropic: Pulls) -> None:
    """Where a resumed pull is refused, the next one starts at the first page instead of asking for that page again."""
    put = filled(anthropic.stub, "cost_report", count=1)
    anthropic.stub.days_a_page = 5
    anthropic.stub.fail(stubs.as_it_is(), stubs.status(400, message="Invalid page cursor"))
    refused(anthropic.run)
    del anthropic.stub.asked[:]
    anthropic.run()
    assert "page" not in anthropic.stub.asked[0].query
    assert anthropic.rows("cost_report") == put["cost_report"]


@pytest.mark.parametrize("cut", ["before the new one", "after the new one"])
def test_a_swap_that_was_cut_off(openai: Pulls, cut: str) -> None:
    """A process that dies between the two renames loses neither the old nor the new month."""
    filled(openai.stub, "costs", count=1)
    openai.run()
    before = openai.content()
    month = openai.folder / "costs/2026-10"
    if cut == "before the new one":
        month.rename(month.with_name(".2026-10.old"))
    else:
        (month.with_name(".2026-10.old")).mkdir()
        (month.with_name(".2026-10.old") / "0001.json").write_text("{}")
    assert "costs/2026-10" in openai.run().final
    assert openai.content() == before
    assert list(openai.folder.rglob(".*.old")) == []


def test_two_pulls_at_once(openai: Pulls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process that pulls the same source waits, and then says so."""
    monkeypatch.setattr(sync, "LOCK_SECONDS", 0.05)
    openai.folder.mkdir(parents=True)
    with sync.FileLock(openai.folder / ".pull.lock"):
        assert "another process has been pulling ours" in refused(openai.run, CallError)
    openai.run()


# -------------------------------------------------------------------------------------------------------- permissions
@pytest.mark.parametrize(("provider", "other", "words"), [
    ("openai", "sk-proj-other", ["sk-admin-", "Admin keys", "does not start with sk-admin-"]),
    ("anthropic", "sk-ant-api03-other", ["sk-ant-admin", "admin role", "does not start with sk-ant-admin"]),
    ("litellm", "sk-other", ["proxy_admin", "view the spend of all users"]),
])  # fmt: skip
def test_a_key_of_another_kind(tmp_path: Path, provider: Provider, other: str, words: list[str]) -> None:
    """A refused key is answered with the kind that is needed, and never quoted, not even in the provider's words."""
    with Stub(provider) as stub:
        pulls = Pulls(stub, tmp_path)
        stub.fail(stubs.echo(), stubs.echo())
        message = refused(lambda: pulls.run(key=other))
        assert [word for word in ["401", *words] if word not in message] == []
        (first, *_) = pulls.probe(key=other)
        assert first.status == "refused"
        for text in (message, repr(first), *pulls.said):
            assert other not in text
    assert [f for f in tmp_path.rglob("*") if f.is_file() and other in f.read_text()] == []


def test_a_permission_that_is_missing(openai: Pulls) -> None:
    """403 names the permission, for the pull and for every endpoint of the probe; the key's kind is not blamed."""
    openai.stub.permitted = False
    message = refused(openai.run)
    assert "Missing scopes: api.usage.read" in message
    assert "allowed to read costs (api.usage.read)" in message
    assert "does not start" not in message
    probes = openai.probe()
    assert {p.status for p in probes} == {"refused"}
    assert [p.endpoint for p in probes] == [e.name for e in OPENAI.endpoints({})]
    assert "pull.key" in probes[0].next_step


def test_probe(tmp_path: Path) -> None:
    """A probe asks each endpoint once for as little as it can, and says what is not offered."""
    for provider in ACCESSES:
        with Stub(provider) as stub:
            stub.missing = {"usage/web_search_calls"}
            pulls = Pulls(stub, tmp_path / provider)
            found = {p.endpoint: p.status for p in pulls.probe()}
            assert set(found.values()) <= {"ok", "not offered"}
            assert len(found) == len(stub.asked) == len(pulls.access.endpoints({}))
            assert {value for a in stub.asked for n in ("limit", "page_size") for value in a.query.get(n, [])} == {"1"}
            assert found.get("usage/web_search_calls", "not offered") == "not offered"
            assert not pulls.folder.exists()


def test_an_endpoint_that_the_account_lacks(openai: Pulls) -> None:
    """An optional endpoint is left out and named; one that must be there ends the pull."""
    openai.stub.missing = {"usage/web_search_calls"}
    assert openai.run().left_out == ("usage/web_search_calls",)
    assert any("usage/web_search_calls is not offered (404 Not Found" in said for said in openai.said)
    openai.since = TODAY
    openai.stub.missing.clear()
    openai.stub.fail(*(stubs.as_it_is() for _ in range(10)), stubs.status(403))
    assert "refuses /organization/usage/web_search_calls" in refused(openai.run)
    openai.stub.missing = {"costs"}
    assert "check `pull.url`" in refused(lambda: openai.run(today=TODAY + timedelta(days=1)))


# ----------------------------------------------------------------------------------------------------------- settings
def test_settings(openai: Pulls, litellm: Pulls) -> None:
    """What cannot be pulled at all is an error of finops.toml."""
    openai.since = TODAY + timedelta(days=1)
    assert "still to come" in refused(openai.run, ConfigError)
    bare = Source(id="ours", connector="litellm", pull=Pull(since=SINCE, key=Key(env="K")))
    assert "set `pull.url`" in refused(lambda: sync.probe(bare, LITELLM, key="k", today=TODAY), ConfigError)
    openai.since = TODAY
    openai.run()
    assert not any("unencrypted" in said for said in openai.said)
    far = bare.model_copy(update={"pull": Pull(since=TODAY, key=Key(env="K"), url="http://litellm.invalid")})
    once = Patience(attempts=1)
    folder, say = openai.folder / "far", openai.said.append
    refused(lambda: sync.pull(far, LITELLM, folder, key="k", today=TODAY, say=say, patience=once))
    assert "ours: the key goes to litellm.invalid unencrypted; next: an https address as `pull.url`" in openai.said
    wrong = bare.model_copy(update={"pull": Pull(since=SINCE, key=Key(env="K"), url="litellm.example.com")})
    assert "litellm.example.com" in refused(lambda: sync.probe(wrong, LITELLM, key="k", today=TODAY), ConfigError)
