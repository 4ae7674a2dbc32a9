"""Invoice months that are fetched from BigQuery hold every row once, are billed once, and are never half there."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from connectors import sync
from connectors.gcp import bigquery, queries
from connectors.gcp.refusals import Asked
from connectors.gcp.session import Session, Tries
from finops.config import Gcp
from finops.errors import CallError, ConfigError, FinopsError, InputError, SourceUnreachable
from tests.gcp_bill import OCTOBER, SEPTEMBER, TODAY, Bill
from tests.gcp_stub import EMAIL, EXPIRED, FAULTS, FOCUS, LOST, PROJECT, SECRET, TABLE, Fault, GcpStub, status


@pytest.fixture(scope="module")
def server() -> Iterator[GcpStub]:
    """One server for all tests of the module."""
    with GcpStub() as stub:
        yield stub


@pytest.fixture
def stub(server: GcpStub) -> GcpStub:
    """The server with an empty table and no fault."""
    server.empty()
    return server


@pytest.fixture
def bill(stub: GcpStub, tmp_path: Path) -> Bill:
    """A detailed export with two months, read in pages of four rows."""
    stub.page_rows = 4
    bill = Bill(stub, tmp_path)
    bill.add(SEPTEMBER, 9)
    bill.add(OCTOBER, 5)
    return bill


def refused(act: Callable[[], object], kind: type[FinopsError] = SourceUnreachable) -> FinopsError:
    """The error that ends it, which says what to do, and no secret."""
    with pytest.raises(kind) as error:
        act()
    assert error.value.expected
    assert error.value.next_step
    assert SECRET not in str(error.value)
    return error.value


def test_months_are_whole(bill: Bill) -> None:
    """Every row of each invoice month is on disk once, over several pages, and the bytes of each query are told."""
    fetched = bill.pull()
    assert fetched.months == (SEPTEMBER, OCTOBER)
    assert fetched.rows == 14
    assert fetched.billed_bytes == 3 * (10 << 20)
    assert bill.on_disk() == bill.expected
    assert bill.stub.ran == ["months", "202609", "202610"]
    assert bill.stub.asked["GET data"] == 1 + 3 + 2
    assert sum("a query that reads" in line for line in bill.said) == 2


def test_what_no_charge_is_made_of_is_not_read(bill: Bill) -> None:
    """A query names its columns, because BigQuery bills those; times and exact numbers keep their value."""
    bill.pull()
    path = next(bill.folder.glob(f"{OCTOBER}/*.gz"))
    row = json.loads(gzip.decompress(path.read_bytes()).splitlines()[0])
    assert "cost_at_effective_price_default" not in row
    assert row["price"]["effective_price"] == "9.796551"
    assert row["usage_start_time"].endswith("+00:00")
    assert row["labels"] == [{"key": "team", "value": "Sucher & Söhne"}]


def test_a_month_that_did_not_change_is_not_read_again(bill: Bill) -> None:
    """A second run asks only what the months of the table have."""
    bill.pull()
    bill.stub.ran.clear()
    fetched = bill.pull()
    assert fetched.unchanged == (SEPTEMBER, OCTOBER)
    assert bill.stub.ran == ["months"]


def test_late_rows_bring_their_month_anew(bill: Bill) -> None:
    """Rows of September that are exported in November, and corrections, are found in later partitions."""
    bill.pull()
    bill.stub.ran.clear()
    bill.add(SEPTEMBER, 2, late_days=60, cost_type="adjustment")
    assert bill.pull().months == (SEPTEMBER,)
    assert bill.stub.ran == ["months", "202609"]
    assert bill.on_disk() == bill.expected


def test_a_restated_row_brings_its_month_anew(bill: Bill) -> None:
    """As many rows with another cost are another state."""
    bill.pull()
    bill.stub.rows[0][1]["cost"] = 1.5
    assert bill.pull().months == (SEPTEMBER,)
    assert bill.on_disk() == bill.expected


def test_a_file_that_somebody_took_away_is_read_again(bill: Bill) -> None:
    """A month on disk that lost its file is not taken for unchanged; its query is not billed again."""
    bill.pull()
    next(bill.folder.glob(f"{OCTOBER}/*.gz")).unlink()
    bill.stub.ran.clear()
    fetched = bill.pull()
    assert fetched.months == (OCTOBER,)
    assert fetched.billed_bytes == 10 << 20
    assert bill.stub.ran == ["months"]
    assert bill.on_disk() == bill.expected


def test_months_before_since_are_left(bill: Bill) -> None:
    """The first month is that of `since`, whole; a day to come is a wrong setting, a month too late is told."""
    bill.settings["since"] = "2026-10-20"
    assert bill.pull().months == (OCTOBER,)
    assert bill.on_disk()[OCTOBER] == bill.expected[OCTOBER]
    bill.settings["since"] = "2026-11-01"
    assert "no invoice month since 2026-11" in refused(bill.pull).found
    bill.settings["since"] = "2027-01-01"
    refused(bill.pull, ConfigError)


def test_a_month_that_the_table_lost_is_kept(bill: Bill) -> None:
    """Where partitions expire, a month with fewer rows than on disk stays, and that is said; else it is restated."""
    bill.pull()
    before = bill.on_disk()
    bill.stub.expires = True
    bill.stub.rows = [(at, row) for at, row in bill.stub.rows if row["invoice"]["month"] != "202609"][1:]
    assert bill.pull().kept == (SEPTEMBER, OCTOBER)
    assert bill.on_disk() == before
    bill.stub.expires = False
    assert bill.pull().months == (OCTOBER,)
    assert bill.on_disk() == {SEPTEMBER: before[SEPTEMBER], **bill.expected}


@pytest.mark.parametrize("partition", ["", "export_time", None])
def test_partitions_of_any_kind(partition: str | None, bill: Bill) -> None:
    """By ingestion time, by a column, or none at all, which is told: then a query reads the whole table."""
    bill.stub.partition = partition
    bill.pull()
    assert bill.on_disk() == bill.expected
    assert (partition is None) == any("has no partitions" in line for line in bill.said)


def test_a_focus_export(stub: GcpStub, tmp_path: Path) -> None:
    """The table tells by its columns that it is the FOCUS export; tags are an object, records are JSON."""
    stub.shape = FOCUS
    bill = Bill(stub, tmp_path)
    bill.add(SEPTEMBER, 7)
    bill.add(OCTOBER, 2)
    bill.pull()
    assert bill.on_disk() == bill.expected
    (path,) = bill.folder.glob(f"{OCTOBER}/[!.]*")
    assert path.name == "charges.csv.gz"


def test_another_table_is_told(bill: Bill) -> None:
    """A table that is no billing export is an input error that shows its columns."""
    bill.stub.shape = {"a": "STRING", "b": "STRING"}
    assert "has the columns a, b" in refused(bill.pull, InputError).found


# ---------------------------------------------------------------------------------------------- while the table changes
def test_rows_that_come_while_a_month_is_read(bill: Bill) -> None:
    """The month is one state of the table: where the result has the newer rows, it is taken with the newer state."""
    bill.stub.before_query = lambda: bill.add(SEPTEMBER, 3)
    bill.pull()
    assert bill.on_disk() == bill.expected
    assert bill.pull().unchanged == (SEPTEMBER, OCTOBER)


def test_a_table_that_never_rests_keeps_the_old_month(bill: Bill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month that changes each time ends the fetch after three tries; the old one stays."""
    bill.pull()
    before = bill.on_disk()
    honest = bigquery._Run._stamps

    def restless(run: Any, table: Any) -> Any:
        bill.add(OCTOBER)
        stamps = honest(run, table)
        bill.add(OCTOBER)
        return stamps

    bill.add(OCTOBER)
    monkeypatch.setattr(bigquery._Run, "_stamps", restless)
    assert "cannot be read" in refused(bill.pull).found
    assert bill.on_disk() == before
    assert any("started again" in line for line in bill.said)


# ---------------------------------------------------------------------------------------------------------- billed once
def test_a_fetch_that_was_cut_off_is_not_billed_again(bill: Bill, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job of the month is found by its name, and its result is read; after a day it is run once more."""
    monkeypatch.setattr(bigquery._Run, "_write", _crash)
    with pytest.raises(KeyboardInterrupt):
        bill.pull()
    monkeypatch.undo()
    assert not list(bill.folder.glob("[0-9]*"))
    assert bill.stub.ran == ["months", "202609"]
    bill.pull()
    assert bill.stub.ran == ["months", "202609", "months", "202610"]
    assert bill.on_disk() == bill.expected
    bill.stub.results.clear()
    next(bill.folder.glob(f"{OCTOBER}/*.gz")).unlink()
    bill.pull()
    assert bill.stub.ran[4:] == ["months", "202610"]
    assert bill.on_disk() == bill.expected


def _crash(*_: object) -> Any:
    raise KeyboardInterrupt


def test_two_folders_have_jobs_of_their_own(bill: Bill, tmp_path: Path) -> None:
    """Who reads the same table elsewhere, as somebody else, cannot see these results, so the names of jobs differ."""
    bill.pull()
    jobs = set(bill.stub.jobs)
    other = Bill(bill.stub, tmp_path / "elsewhere")
    other.pull()
    assert other.on_disk() == bill.on_disk()
    assert len(set(bill.stub.jobs) - jobs) == 3


def test_a_lost_answer_starts_no_second_job(bill: Bill) -> None:
    """Where the answer to jobs.insert is lost, the job is there already and is taken."""
    bill.stub.fail(None, None, LOST, *[None] * 6, LOST)
    bill.pull()
    assert bill.on_disk() == bill.expected
    assert bill.stub.ran == ["months", "202609", "202610"]


@pytest.mark.parametrize("reason", ["backendError", "rateLimitExceeded", "internalError"])
def test_a_job_that_fails_midway_is_run_again(reason: str, bill: Bill) -> None:
    """Two failures are passed over, a third ends the fetch; a later run is not stopped by the failed jobs."""
    bill.stub.fail_jobs = ["", reason, reason]
    bill.pull()
    assert bill.on_disk() == bill.expected
    bill.add(OCTOBER, 1)
    before = bill.on_disk()
    bill.stub.fail_jobs = ["", reason, reason, reason]
    assert reason in refused(bill.pull).found
    assert bill.on_disk() == before
    bill.pull()
    assert bill.on_disk() == bill.expected


def test_a_query_above_the_limit_costs_nothing(bill: Bill) -> None:
    """What would read more than `max_gib_billed` is refused before it runs, and by BigQuery itself."""
    bill.stub.rows[0][1]["resource"] = {"name": "x" * 100}
    bill.stub.fail_jobs = ["", "bytesBilledLimitExceeded"]
    error = refused(bill.pull)
    assert "gcp.max_gib_billed" in error.next_step
    assert bill.stub.ran == ["months"]
    bill.stub.empty()


def test_a_dry_run_above_the_limit_is_not_started(bill: Bill, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is held against the dry run, so that no job is started at all."""
    monkeypatch.setattr(queries, "GIB", 1)
    bill.settings["max_gib_billed"] = 100
    assert "gcp.max_gib_billed" in refused(bill.pull).next_step
    assert not bill.stub.jobs


# --------------------------------------------------------------------------------------------------------------- faults
EMPTY_PAGE = Fault(after=True, change=lambda _: b"{}")
SHORT_PAGE = Fault(after=True, change=lambda content: json.dumps(_without_a_row(json.loads(content))).encode())
ODD_PAGE = Fault(after=True, change=lambda _: b'{"rows": [{"x": 1}], "totalRows": "9"}')
TWICE = Fault(after=True, change=lambda content: json.dumps(_twice(json.loads(content))).encode())


def _without_a_row(page: dict[str, Any]) -> dict[str, Any]:
    return page | ({"rows": page["rows"][:-1]} if "rows" in page else {})


def _twice(page: dict[str, Any]) -> dict[str, Any]:
    return page | ({"rows": page["rows"][:1] * len(page["rows"])} if "rows" in page else {})


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("at", range(0, 16, 5))
def test_each_fault_at_each_request_is_passed_over(name: str, at: int, bill: Bill) -> None:
    """Busy, broken, cut-off and expired answers are tried again wherever they come; nothing is lost or twice."""
    bill.stub.fail(*[None] * at, FAULTS[name])
    bill.pull()
    assert bill.on_disk() == bill.expected
    assert len(bill.stub.ran) == 3


@pytest.mark.parametrize("name", ["502", "truncated", "proxy", "reset"])
def test_a_fault_of_the_token_endpoint_is_passed_over(name: str, bill: Bill) -> None:
    """What comes in place of a token is no refusal of the credentials, unless it says so in OAuth's words."""
    bill.stub.token_faults = [FAULTS[name]]
    if name == "502":
        bill.stub.token_faults = [Fault(after=True, change=lambda _: b'{"token": 1}')]
    bill.pull()
    assert bill.on_disk() == bill.expected


@pytest.mark.parametrize("fault", [EMPTY_PAGE, SHORT_PAGE, ODD_PAGE], ids=["empty", "short", "odd"])
def test_a_page_that_misses_rows_is_read_again(fault: Fault, bill: Bill) -> None:
    """A page of fewer rows than the result has makes the result be read again, without another query."""
    _fault_pages(bill, fault, 1)
    bill.pull()
    assert bill.on_disk() == bill.expected
    assert len(bill.stub.ran) == 3
    assert any("is read again" in line for line in bill.said)


def _fault_pages(bill: Bill, fault: Fault, times: int) -> None:
    """The fault on the next pages of a month's result."""
    answer = bill.stub._data
    left = [fault] * times

    def data(*arguments: Any, **named: Any) -> Any:
        page = answer(*arguments, **named)
        if left and len(page["rows"]) > 2:
            assert fault.change is not None
            left.pop()
            return json.loads(fault.change(json.dumps(page).encode()))
        return page

    bill.stub._data = data  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def _honest_pages(server: GcpStub) -> Iterator[None]:
    yield
    server.__dict__.pop("_data", None)


def test_rows_that_are_others_are_found_by_their_sum(bill: Bill) -> None:
    """As many rows as stated that do not add up to the table's control totals are no month."""
    bill.pull()
    before = bill.on_disk()
    bill.add(OCTOBER, 4)
    _fault_pages(bill, TWICE, 99)
    assert "while it was read" in " ".join([refused(bill.pull).found, *bill.said])
    assert bill.on_disk() == before


def test_pages_that_stay_broken_end_the_fetch(bill: Bill) -> None:
    """After three readings the error says what is missing; the old month stays and the next run completes it."""
    bill.pull()
    before = bill.on_disk()
    bill.add(OCTOBER, 4)
    _fault_pages(bill, EMPTY_PAGE, 99)
    assert "of 9 rows" in refused(bill.pull).found
    assert bill.on_disk() == before
    bill.stub.__dict__.pop("_data")
    bill.pull()
    assert bill.on_disk() == bill.expected


def test_faults_without_an_end_end_the_fetch(bill: Bill) -> None:
    """All tries of one request together have a limit in time."""
    bill.tries = Tries(first_wait_s=0.01, longest_wait_s=0.01, total_s=0.2, answer_s=1, job_s=1, poll_s=0.01)
    bill.stub.fail(*[FAULTS["503"]] * 200)
    error = refused(bill.pull)
    assert error.exit_code == 3
    assert "backendError" in error.found
    assert "finops ingest bill" in error.next_step


# --------------------------------------------------------------------------------------------------------------- access
@pytest.mark.parametrize(
    ("denied", "command"),
    [
        ("bigquery.tables.get", f"--role=roles/bigquery.dataViewer --table=true {TABLE.replace('.', ':', 1)}"),
        ("bigquery.tables.getData", f"--role=roles/bigquery.dataViewer --table=true {TABLE.replace('.', ':', 1)}"),
        ("bigquery.jobs.create", f"gcloud projects add-iam-policy-binding {PROJECT} --member=serviceAccount:{EMAIL}"),
    ],
)
def test_a_denial_names_the_permission(denied: str, command: str, bill: Bill) -> None:
    """Which permission on which resource, and the command that grants it; nothing is left half."""
    bill.stub.denied = {denied}
    error = refused(bill.pull)
    assert error.exit_code == 3
    assert f"Google denies {denied}" in error.found
    assert command in error.next_step
    assert not list(bill.folder.glob("[0-9]*"))
    bill.stub.denied = set()
    bill.pull()
    assert bill.on_disk() == bill.expected


@pytest.mark.parametrize(
    ("fault", "found", "next_step"),
    [
        (status(403, "SERVICE_DISABLED"), "bigquery.googleapis.com is not enabled", "gcloud services enable"),
        (status(403, "quotaExceeded"), "may not run it", "finops ingest bill"),
        (status(418, "teapot"), "does not answer", "finops ingest bill"),
    ],
)
def test_other_refusals_say_what_to_do(fault: Fault, found: str, next_step: str, bill: Bill) -> None:
    """An API that is off, a quota that is used up, an answer nobody knows."""
    bill.stub.fail(fault)
    error = refused(bill.pull)
    assert found in error.found
    assert next_step in error.next_step


def test_a_table_that_is_not_there_is_told(bill: Bill) -> None:
    """The table's address and what to correct."""
    bill.settings["table"] = f"{PROJECT}.billing.other"
    error = refused(bill.pull)
    assert f"there is no {PROJECT}.billing.other" in error.found
    assert "finops.toml" in error.next_step


def test_credentials_that_are_none_are_told(bill: Bill, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key file that is not there, one that is no key, one that Google does not accept, and none at all."""
    bill.settings["credentials"] = str(tmp_path / "nowhere.json")
    assert "nowhere.json" in refused(bill.pull).found
    (tmp_path / "odd.json").write_text("{}")
    bill.settings["credentials"] = str(tmp_path / "odd.json")
    assert "gcp.credentials" in refused(bill.pull).next_step
    del bill.settings["credentials"]
    bill.stub.token_faults = [status(400, "invalid_grant")]
    assert f"does not accept the credentials of serviceAccount:{EMAIL}" in refused(bill.pull).found
    bill.stub.fail(*[EXPIRED] * 4)
    assert "does not accept the credentials" in refused(bill.pull).found
    bill.stub.calm()
    bill.settings["credentials"] = None
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    assert "there are no Google credentials" in refused(bill.pull).found


def test_a_token_that_goes_unencrypted_is_told(tmp_path: Path, stub: GcpStub) -> None:
    """Plain http to another machine shows the token to who listens; https, and this machine, do not."""
    key = stub.key_file(tmp_path)
    said: list[str] = []
    for url in ("https://bigquery.invalid", stub.url, "http://bigquery.invalid"):
        gcp = Gcp(table=TABLE, since=date(2026, 9, 1), url=url, credentials=key)
        Session(gcp, tmp_path, Asked("bill", "nobody", PROJECT, "repeat"), say=said.append)
    assert said == ["bill: the token goes to bigquery.invalid unencrypted; next: an https address as `gcp.url`"]


def test_two_fetches_of_one_source_do_not_mix(bill: Bill, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process waits, and then says that another one is at it."""
    monkeypatch.setattr(sync, "LOCK_SECONDS", 0.05)
    bill.folder.mkdir(parents=True)
    with FileLock(bill.folder / sync.LOCK):
        assert "another process has been fetching bill" in refused(bill.pull, CallError).found


def test_a_swap_that_was_cut_off_is_ended(bill: Bill) -> None:
    """A crash between the two renames leaves the old month aside; the next run puts it back."""
    bill.pull()
    month = bill.folder / OCTOBER
    month.rename(month.with_name(f".{month.name}.old"))
    assert bill.pull().unchanged == (SEPTEMBER, OCTOBER)
    assert bill.on_disk() == bill.expected


def test_probe_runs_no_query(bill: Bill) -> None:
    """Who asks, which export, what the query of its months reads; it ends at the first that fails."""
    found = bigquery.probe(bill.source, home=bill.home, today=TODAY, tries=bill.tries)
    assert [one.status for one in found] == ["ok"] * 3
    assert f"serviceAccount:{EMAIL}" in found[0].found
    assert "detailed usage cost export, partitioned by _PARTITIONTIME" in found[1].found
    assert f"{PROJECT} pays" in found[2].found
    assert not bill.stub.jobs
    for denied, failing in (("bigquery.tables.get", "table"), ("bigquery.jobs.create", "query")):
        bill.stub.denied = {denied}
        last = bigquery.probe(bill.source, home=bill.home, today=TODAY, tries=bill.tries)[-1]
        assert (last.endpoint, last.status) == (failing, "unreachable")
        assert denied in last.next_step + last.found


# ------------------------------------------------------------------------------------------------------------ at random
def through_faults(bill: Bill, seed: int) -> None:
    """Rows, late rows and restatements, with faults by the seed; each run leaves only whole months."""
    rng = random.Random(seed)
    stub = bill.stub
    stub.page_rows = rng.choice([2, 5, 1000])
    stub.shape = FOCUS if seed % 4 == 3 else stub.shape
    for _ in range(2):
        for month in rng.sample([SEPTEMBER, OCTOBER], 2):
            bill.add(month, rng.randint(1, 12), late_days=rng.choice([0, 0, 5, 40]))
        if rng.random() < 0.3:
            stub.before_query = lambda: bill.add(rng.choice([SEPTEMBER, OCTOBER]), 2)
        stub.fail(*(rng.choice([*FAULTS.values()]) if rng.random() < 0.35 else None for _ in range(40)))
        stub.fail_jobs = [rng.choice(["", "backendError", "rateLimitExceeded"]) for _ in range(rng.randint(0, 4))]
        bill.tries = Tries(0.001, 0.002, rng.choice([0.004, 2]), 5, 5, 0.001)
        runs = 0
        while not _is_brought(bill):
            runs += 1
            assert runs < 30
        stub.calm()
        bill.tries = Tries(0.001, 0.002, 2, 5, 5, 0.001)
        assert _is_brought(bill)
        assert bill.on_disk() == bill.expected
    states = sum(len(states) for states in bill.every.values())
    assert len([kind for kind in stub.ran if kind != "months"]) <= states


def _is_brought(bill: Bill) -> bool:
    """One run: whether it came to its end; months on disk are whole ones in any case."""
    try:
        bill.pull()
    except SourceUnreachable:
        done = False
    else:
        done = True
    for month, found in bill.on_disk().items():
        assert found in bill.every[month]
    return done


@pytest.mark.parametrize("seed", range(40))
def test_no_row_is_lost_or_doubled_by_random_faults(seed: int, stub: GcpStub, tmp_path: Path) -> None:
    """After faults, late rows and failed jobs by chance, all rows are there once, and no state is billed twice."""
    through_faults(Bill(stub, tmp_path), seed)
