"""Months that are fetched from Blob storage hold every row once, whatever Azure and the network do meanwhile."""

import json
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.storage.blob import ContentSettings
from filelock import FileLock

from connectors import sync
from connectors.azure.exports import probe
from connectors.azure.refusals import said
from connectors.azure.session import credential
from connectors.http import Patience
from finops.errors import CallError, ConfigError, FinopsError, SourceUnreachable
from tests import azure_stub as stubs
from tests import fault_proxy as faults
from tests.azure_deliveries import ENDINGS, KEY_NAME, LAYOUTS, Delivery, Layout, ids, set_keys
from tests.azure_stub import APP, OBJECT_ID, SECRET, AzureStub
from tests.azurite import KEY, Azurite, needs_azurite
from tests.fault_proxy import Fault

pytestmark = needs_azurite

SEPTEMBER, OCTOBER, NOVEMBER = "2026-09", "2026-10", "2026-11"
IN_SEPTEMBER, IN_OCTOBER = "20260901-20260930", "20261001-20261031"


@pytest.fixture(scope="module")
def server(azurite: Azurite) -> Iterator[AzureStub]:
    """One proxy for all tests of the module."""
    with AzureStub(azurite) as stub:
        yield stub


@pytest.fixture
def stub(server: AzureStub, monkeypatch: pytest.MonkeyPatch) -> AzureStub:
    """The proxy with an empty container and no fault, and an environment with the key for it."""
    server.reset()
    set_keys(monkeypatch)
    return server


@pytest.fixture
def delivery(stub: AzureStub, tmp_path: Path) -> Delivery:
    """An export that keeps its runs, with two months."""
    delivery = Delivery(stub, tmp_path / "raw")
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 5))
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4))
    return delivery


def refused(act: Callable[[], object], kind: type[FinopsError] = SourceUnreachable) -> FinopsError:
    """The error that ends it, which says what to do, and no secret."""
    with pytest.raises(kind) as error:
        act()
    assert error.value.expected
    assert error.value.next_step
    for secret in (KEY, SECRET):
        assert secret not in str(error.value)
    assert not re.search("sig=[A-Za-z0-9%]", str(error.value))
    return error.value


# ------------------------------------------------------------------------------------------------------------- layouts
@pytest.mark.parametrize(
    ("layout", "ending"), [*((layout, "csv.gz") for layout in LAYOUTS), ("kept", "csv"), ("kept", "snappy.parquet")]
)
def test_each_layout_is_fetched_whole(layout: Layout, ending: str, stub: AzureStub, tmp_path: Path) -> None:
    """Every row of the newest run of each month is on disk once, over several pages of the listing."""
    delivery = Delivery(stub, tmp_path / "raw", layout, ending)
    stub.page_size = 2
    for last in (3, 4, 5):
        delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, last), ids(SEPTEMBER, 6, 7))
    newest = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    fetched = delivery.pull()
    assert fetched.months == (delivery.period(SEPTEMBER), delivery.period(OCTOBER))
    assert fetched.files == 3
    assert delivery.on_disk() == delivery.expected
    assert stub.gets(ending)[-1:] == newest


def test_two_exports_below_one_folder_are_fetched_side_by_side(stub: AzureStub, tmp_path: Path) -> None:
    """Months of actual and amortized cost lie beside each other, each replaced by itself."""
    actual, amortized = (Delivery(stub, tmp_path / "raw", name=f"acme/{kind}") for kind in ("actual", "amortized"))
    for number, delivery in enumerate((actual, amortized)):
        delivery.settings["export"] = f"{stub.root}/exports/acme"
        delivery.deliver(OCTOBER, ids(OCTOBER, 10 * number + 1, 10 * number + 3))
    assert actual.pull().months == (f"actual/{IN_OCTOBER}", f"amortized/{IN_OCTOBER}")
    amortized.deliver(OCTOBER, ids(OCTOBER, 11, 15))
    assert actual.pull().months == (f"amortized/{IN_OCTOBER}",)
    assert len(list((tmp_path / "raw").glob("*/20*/*/part*"))) == 2


def test_a_month_that_did_not_change_is_not_fetched_again(delivery: Delivery) -> None:
    """A second run asks for the listing only, and leaves the files as they are."""
    delivery.pull()
    delivery.stub.asked.clear()
    fetched = delivery.pull()
    assert fetched.unchanged == (IN_SEPTEMBER, IN_OCTOBER)
    assert delivery.stub.asked == ["list"]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_file_that_somebody_took_away_is_fetched_again(damage: Callable[[Path], None], delivery: Delivery) -> None:
    """A month on disk that lost a file, or its content, is not taken for unchanged."""
    delivery.pull()
    damage(next(delivery.folder.glob(f"{IN_OCTOBER}/*/*.gz")))
    assert delivery.pull().months == (IN_OCTOBER,)
    assert delivery.on_disk() == delivery.expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_refreshed_month_replaces_itself(layout: Layout, stub: AzureStub, tmp_path: Path) -> None:
    """Fewer files, other rows: nothing of the old run stays, and the other month is not asked for."""
    delivery = Delivery(stub, tmp_path / "raw", layout)
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 5))
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    delivery.pull()
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 3, 9))
    assert delivery.pull().months == (delivery.period(SEPTEMBER),)
    assert delivery.on_disk() == delivery.expected


def test_blobs_are_found_as_their_manifest_names_them(delivery: Delivery) -> None:
    """By a path in the container, with a space or slash before it as Azure writes some, or by a bare name."""
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 6))
    manifest = f"{key.rpartition('/')[0]}/manifest.json"
    for name in (f" {key}", f"/{key}", key.rpartition("/")[2]):
        delivery.stub.put(manifest, json.dumps({"blobs": [{"blobName": name}]}).encode())
        delivery.stub.delete(*(k for k in delivery.stub.names() if IN_OCTOBER in k and k not in (key, manifest)))
        assert delivery.pull().months[-1:] == (IN_OCTOBER,)
        assert delivery.on_disk() == delivery.expected


def test_a_month_that_the_container_lost_is_kept(delivery: Delivery) -> None:
    """A month whose blobs were deleted stays on disk, and that is said."""
    delivery.pull()
    delivery.stub.delete(*(key for key in delivery.stub.names() if IN_SEPTEMBER in key))
    assert delivery.pull().kept == (IN_SEPTEMBER,)
    assert delivery.on_disk() == delivery.expected
    assert any(f"{IN_SEPTEMBER} kept" in line and "azure.since" in line for line in delivery.said)


def test_months_before_since_are_left(delivery: Delivery) -> None:
    """The first month is that of `since`, whole, whatever its day."""
    delivery.settings["since"] = "2026-10-15"
    assert delivery.pull().months == (IN_OCTOBER,)


def test_a_run_without_costs_is_whole(delivery: Delivery) -> None:
    """On the first day of a month its run lists no blob."""
    delivery.deliver(NOVEMBER)
    assert "20261101-20261130" in delivery.pull().months
    del delivery.expected[NOVEMBER]
    assert delivery.on_disk() == delivery.expected


# ------------------------------------------------------------------------------------------------ incomplete deliveries
def test_a_run_that_is_under_way_is_left_alone(delivery: Delivery) -> None:
    """Blobs of a run that has no manifest yet are not asked for: the run before is the newest whole one."""
    under_way = delivery.deliver(OCTOBER, ids(OCTOBER, 5, 9), write=False)
    delivery.deliver(NOVEMBER, ids(NOVEMBER, 1, 2), write=False)
    assert delivery.pull().months == (IN_SEPTEMBER, IN_OCTOBER)
    assert not set(under_way) & set(delivery.stub.gets())
    assert delivery.on_disk() == delivery.expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_manifest_that_names_a_missing_blob_keeps_the_old_month(
    layout: Layout, stub: AzureStub, tmp_path: Path
) -> None:
    """The old run stays, other months are brought, and the next delivery completes it."""
    delivery = Delivery(stub, tmp_path / "raw", layout)
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3))
    delivery.pull()
    keys = delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 4), ids(SEPTEMBER, 5, 6), missing=1)
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    error = refused(delivery.pull)
    assert error.exit_code == 3
    assert f"export incomplete: {stub.root}/exports/acme: {delivery.period(SEPTEMBER)}" in error.found
    assert keys[1] in error.found
    assert delivery.on_disk() == delivery.expected
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 4), ids(SEPTEMBER, 5, 6))
    delivery.pull()
    assert delivery.on_disk() == delivery.expected


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("part", ["nothing", "half", "damaged", "fewer rows", "more rows"])
def test_a_half_written_blob_keeps_the_old_month(ending: str, part: str, stub: AzureStub, tmp_path: Path) -> None:
    """A blob that is empty, ends early, is no file of its kind or has other rows than its manifest says is no month."""
    delivery = Delivery(stub, tmp_path / "raw", ending=ending)
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 40))
    delivery.pull()
    old = dict(delivery.expected)
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 50))
    (other,) = delivery.deliver(NOVEMBER, ids(OCTOBER, 1, 49 if part == "fewer rows" else 51), write=False)
    body, other_body = (stub.container.download_blob(name).readall() for name in (key, other))
    found = {"nothing": b"", "half": body[: len(body) // 2], "damaged": b"<html>" * 9}.get(part, other_body)
    manifest = f"{key.rpartition('/')[0]}/manifest.json"
    told = json.loads(stub.container.download_blob(manifest).readall())
    told["blobs"][0]["byteCount"] = len(found)
    stub.put(manifest, json.dumps(told).encode())
    stub.put(key, found)
    assert key in refused(delivery.pull).found
    assert delivery.on_disk() == old


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"blobs": [{"blobName', "no whole manifest"),
        (b"[]", "no whole manifest"),
        (b'{"blobCount": 1}', "no whole manifest"),
        (b'{"blobs": [{"blobName": 1}]}', "no whole manifest"),
        (b'{"blobCount": 2, "blobs": [{"blobName": "part_0_0001.csv.gz"}]}', "lists 1 of 2 blobs"),
        (b'{"blobs": [{"blobName": "x.zip"}]}', "gzipped CSV or Parquet"),
        (b'{"blobs": [{"blobName": "x.csv"}, {"blobName": "/exports/acme/20261001-20261031/r/x.csv"}]}', "twice"),
        (b'{"blobs": [{"blobName": "x.csv", "byteCount": 7}]}', "2 bytes where its manifest says 7"),
        (b'{"blobs": [{"blobName": "exports/acme/20260901-20260930/y.csv"}]}', "does not lie in the folder"),
        (b'{"blobs": [{"blobName": "exports/acme/20261001-20261031/../z.csv"}]}', "which is not there"),
    ],
)
def test_a_manifest_that_lists_nothing_usable_is_told(content: bytes, found: str, delivery: Delivery) -> None:
    """A half-written manifest, one of another shape and one of other files keep the old month and say why."""
    delivery.pull()
    below = "exports/acme"
    for name in (f"{IN_OCTOBER}/r/x.zip", f"{IN_OCTOBER}/r/x.csv", f"{IN_SEPTEMBER}/y.csv"):
        delivery.stub.put(f"{below}/{name}", b"PK")
    told = b'{"runInfo": {"submittedTime": "2026-11-22"}, ' + content[1:] if content[:1] == b"{" else content
    delivery.stub.put(f"{below}/{IN_OCTOBER}/r/manifest.json", told)
    assert found in refused(delivery.pull).found
    assert delivery.on_disk() == delivery.expected


def test_days_that_two_folders_have_are_not_counted_twice(delivery: Delivery) -> None:
    """A run of some days beside the month's own folder is refused."""
    delivery.pull()
    delivery.stub.put("exports/acme/20261010-20261020/r/manifest.json", b'{"blobs": []}')
    assert (
        f"20261010-20261020: it has days that {IN_OCTOBER} of the same export has too" in refused(delivery.pull).found
    )
    assert delivery.on_disk() == delivery.expected


# ------------------------------------------------------------------------------------------ while the container changes
def once(kind: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Do something before the first request of a kind is answered."""
    waiting = [act]

    def before(asked: str) -> None:
        if asked.startswith("get ") and asked.endswith(kind) and waiting:
            waiting.pop()()

    return before


@pytest.mark.parametrize("at", ["manifest.json", "part_0_0001.csv.gz", "part_1_0001.csv.gz"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_delivery_while_a_month_is_read(at: str, layout: Layout, stub: AzureStub, tmp_path: Path) -> None:
    """The month is all of one run, though another one was written between its listing, manifest and files."""
    delivery = Delivery(stub, tmp_path / "raw", layout)
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 3), ids(OCTOBER, 4, 5))
    stub.before = once(at, lambda: delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4), ids(OCTOBER, 5, 7)))
    delivery.pull()
    assert delivery.on_disk()[OCTOBER] in delivery.delivered[OCTOBER]
    delivery.pull()
    assert delivery.on_disk() == delivery.expected
    if layout == "overwritten":
        assert any("was delivered anew while it was read" in line for line in delivery.said)


def test_a_blob_that_is_replaced_midway_starts_the_month_again(stub: AzureStub, tmp_path: Path) -> None:
    """A blob of several pieces that is written anew after its first piece is never half of each."""
    delivery = Delivery(stub, tmp_path / "raw", ending="csv")
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    old, new = (b"ResourceId\n" + letter * 5_000_000 + b"\n" for letter in (b"a", b"b"))
    told = [{"blobName": key, "byteCount": len(new), "dataRowCount": 1}]
    stub.put(key, old)
    stub.put(f"{key.rpartition('/')[0]}/manifest.json", json.dumps({"blobs": told}).encode())
    seen: list[str] = []

    def before(asked: str) -> None:
        seen.append(asked)
        if seen.count(f"get {key}") == 2 and asked == f"get {key}":
            stub.put(key, new)

    stub.before = before
    delivery.pull()
    assert next(delivery.folder.glob("20*/*/part*")).read_bytes() == new
    assert any("was delivered anew while it was read" in line for line in delivery.said)


def test_a_month_that_never_stands_still_is_told(delivery: Delivery) -> None:
    """A month that changes each time it is read ends the pull; others are brought."""
    delivery.layout = "overwritten"
    number = iter(range(100))

    def before(asked: str) -> None:
        if IN_OCTOBER in asked and asked.endswith(".csv.gz"):
            delivery.deliver(OCTOBER, ids(OCTOBER, 1, next(number) + 1))

    delivery.stub.before = before
    assert "changed 3 times" in refused(delivery.pull).found
    delivery.stub.before = None
    assert delivery.on_disk() == {SEPTEMBER: delivery.expected[SEPTEMBER]}


# -------------------------------------------------------------------------------------------------------------- faults
FAULTS: dict[str, Fault] = {
    "429": stubs.status(429, "TooManyRequests", retry_after="0"),
    "500": stubs.status(500, "InternalError"),
    "500 timed out": stubs.status(500, "OperationTimedOut"),
    "503": stubs.busy(),
    "503 with a wait": stubs.busy(x_ms_retry_after_ms="3"),
    "reset": faults.reset(),
    "reset within": faults.reset_within(),
    "cut off": faults.cut_off(),
    "cut off, and its length too": faults.cut_off(honest=False),
    "half an error": faults.half_an_error(),
    "damaged": faults.damaged("content-md5"),
    "not Azure": faults.other_page(),
    "slow": faults.slow(0.02),
}
EXPIRED = stubs.status(
    403, "AuthenticationFailed", "Server failed to authenticate the request.",
    detail="Signature not valid in the specified time frame: Start [1] - Expiry [2] - Current [3]",
)  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "checksums"),
    [*((fault, True) for fault in FAULTS), *((fault, False) for fault in FAULTS if "cut off" in fault)],
)
def test_each_fault_is_survived_at_each_request(fault: str, checksums: bool, delivery: Delivery) -> None:
    """A fault at the listing, the manifest or a file is tried again, and leaves no trace in what is fetched."""
    delivery.settings["since"] = "2026-10-01"
    delivery.stub.checksums = checksums
    delivery.stub.fail(*[FAULTS[fault], None] * 4)
    delivery.pull()
    assert {asked.rpartition("/")[2] for asked in delivery.stub.asked} == {
        "list", "manifest.json", "part_0_0001.csv.gz"
    }  # fmt: skip
    assert len(delivery.stub.asked) > 4 or fault == "slow"
    assert not any("anew" in line for line in delivery.said)
    assert delivery.on_disk() == {OCTOBER: delivery.expected[OCTOBER]}


@pytest.mark.parametrize("headers", [{"retry_after": "1"}, {"x_ms_retry_after_ms": "1000"}])
def test_the_wait_that_azure_asks_for_is_kept(headers: dict[str, str], delivery: Delivery) -> None:
    """Seconds or milliseconds; a wait that is longer than a request is tried ends it and is told."""
    delivery.stub.fail(stubs.busy(**headers))
    delivery.pull()
    assert any("tried again in 1.0 s" in line for line in delivery.said)
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 9))
    delivery.stub.fail(stubs.busy(retry_after="3600"))
    assert "in 3600 s or later, run `finops ingest bill` again" in refused(delivery.pull).next_step


def test_an_answer_that_takes_too_long_is_asked_for_again(delivery: Delivery) -> None:
    """After the time that one answer is awaited."""
    delivery.patience = Patience(attempts=2, first_wait_s=0.001, jitter_s=0.001, answer_s=0.4)
    delivery.stub.fail(faults.slow(0.8))
    delivery.pull()
    assert delivery.on_disk() == delivery.expected


@pytest.mark.parametrize("checksums", [True, False])
def test_a_broken_piece_alone_is_asked_for_again(checksums: bool, stub: AzureStub, tmp_path: Path) -> None:
    """Of a blob of three pieces the one that broke off: the file is what the container has, to the byte."""
    stub.checksums = checksums
    delivery = Delivery(stub, tmp_path / "raw", ending="csv")
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    big = random.Random(1).randbytes(9_000_000)
    stub.put(key, big)
    stub.put(f"{key.rpartition('/')[0]}/manifest.json", json.dumps({"blobs": [{"blobName": key}]}).encode())
    stub.fail(None, None, None, faults.cut_off(honest=False), faults.cut_off(honest=False))
    sent = stub.sent_bytes
    delivery.pull()
    assert next(delivery.folder.glob("20*/*/part*")).read_bytes() == big
    assert stub.sent_bytes - sent < 1.5 * len(big)


def test_a_blob_that_says_how_it_is_compressed_is_saved_as_it_is(delivery: Delivery) -> None:
    """A gzipped file whose blob has Content-Encoding gzip stays gzipped on disk, as its listed size and MD5 are."""
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4))
    body = delivery.stub.container.download_blob(key).readall()
    settings = ContentSettings(content_encoding="gzip")
    delivery.stub.container.upload_blob(key, body, overwrite=True, content_settings=settings)
    delivery.pull()
    assert (delivery.folder / key.partition("acme/")[2]).read_bytes() == body
    assert delivery.on_disk() == delivery.expected


def test_a_container_that_stays_busy_is_told(delivery: Delivery) -> None:
    """When all tries are used up, the error says that the same command goes on."""
    delivery.stub.fail(*[FAULTS["503"]] * 5)
    error = refused(delivery.pull)
    assert "ServerBusy" in error.found
    assert "finops ingest bill" in error.next_step
    delivery.pull()
    assert delivery.on_disk() == delivery.expected


def test_files_that_are_whole_are_not_fetched_twice(delivery: Delivery) -> None:
    """A pull that ends in the middle of a month goes on with the files that it does not have."""
    delivery.deliver(NOVEMBER, *(ids(NOVEMBER, n, n) for n in range(1, 10)))
    delivery.settings["since"] = "2026-11-01"
    delivery.stub.fail(*[None] * 7, *[EXPIRED] * 4)
    refused(delivery.pull)
    delivery.stub.calm()
    first = len(delivery.stub.gets("csv.gz"))
    assert not list(delivery.folder.glob("20*"))
    delivery.pull()
    assert len(delivery.stub.gets("csv.gz")) - first <= 5
    assert delivery.on_disk() == {NOVEMBER: delivery.expected[NOVEMBER]}


def test_what_an_older_run_left_unfinished_is_not_taken(delivery: Delivery) -> None:
    """Files of a run that was not finished are removed when Azure has delivered another one."""
    delivery.settings["since"] = "2026-11-01"
    delivery.deliver(NOVEMBER, *(ids(NOVEMBER, n, n) for n in range(1, 6)))
    delivery.stub.fail(*[None] * 4, *[EXPIRED] * 4)
    refused(delivery.pull)
    delivery.stub.calm()
    delivery.deliver(NOVEMBER, *(ids(NOVEMBER, n, n) for n in (11, 12)))
    delivery.pull()
    assert delivery.on_disk() == {NOVEMBER: ids(NOVEMBER, 11, 12)}
    assert len(list(delivery.folder.glob("20*/*/*"))) == 2 + 1


def test_a_listing_without_an_end_is_told(delivery: Delivery) -> None:
    """Pages that lead back to an earlier one end the pull, in place of going on for ever."""
    body = b"<EnumerationResults><Blobs></Blobs><NextMarker>x</NextMarker></EnumerationResults>"
    page = faults.Answer(200, {"content-type": "application/xml"}, body)
    delivery.stub.fail(*[lambda handler, _answer: handler.send(page)] * 2)
    assert "does not come to its end" in refused(delivery.pull).found


# -------------------------------------------------------------------------------------------------------------- access
DENIED = stubs.status(403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this.")


@pytest.mark.parametrize(
    ("fault", "at", "found", "next_step"),
    [
        (DENIED, 0, "does not take the key of `azure.export_key`", "az storage container generate-sas"),
        (DENIED, 2, "does not take the key of `azure.export_key`", "az storage container generate-sas"),
        (EXPIRED, 0, "Signature not valid in the specified time frame", "az storage container generate-sas"),
        (
            stubs.status(403, "KeyBasedAuthenticationNotPermitted"),
            0,
            "takes no account key",
            "Storage Blob Data Reader",
        ),
        (stubs.status(403, "AuthorizationFailure"), 0, "the firewall of storage account", "network-rule add"),
        (stubs.status(404, "ContainerNotFound"), 0, "there is no container", "azure.export"),
        (stubs.status(409, "BlobArchived"), 2, "is archived", "az storage blob set-tier"),
        (stubs.status(403, "AccountIsDisabled"), 0, "is disabled", "activate the subscription"),
        (stubs.status(418, "Teapot"), 0, "Teapot: a fault of the stub", "finops ingest bill"),
    ],
)
def test_a_refusal_says_what_is_missing(fault: Fault, at: int, found: str, next_step: str, delivery: Delivery) -> None:
    """Which key or right on which container; it is not tried again, and nothing is left half."""
    delivery.settings["since"] = "2026-10-01"
    delivery.stub.fail(*[None] * at, fault)
    error = refused(delivery.pull)
    assert error.exit_code == 3
    assert found in error.found
    assert next_step in error.next_step
    assert not list(delivery.folder.glob("20*"))
    delivery.stub.calm()
    delivery.pull()
    assert delivery.on_disk() == {OCTOBER: delivery.expected[OCTOBER]}


def test_a_sas_token_reads_the_container(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed by the account, with or without its question mark; one that Azurite refuses is told, and not shown."""
    monkeypatch.setenv(KEY_NAME, f"?{delivery.stub.sas}")
    delivery.pull()
    assert delivery.on_disk() == delivery.expected
    monkeypatch.setenv(KEY_NAME, delivery.stub.sas.replace("sig=", "sig=AAAA"))
    assert "Server failed to authenticate the request" in refused(delivery.pull).found
    monkeypatch.setenv(KEY_NAME, delivery.stub.sas)
    delivery.stub.fail(*[faults.reset()] * 5)
    refused(delivery.pull)


def test_no_signature_stays_in_a_message() -> None:
    """Where the SDK quotes the address that it asked, which a SAS token is a part of."""
    asked = "Max retries exceeded with url: /c?comp=list&sp=rl&sig=a%2Fb%3D&se=2027 (Caused by SSLError)"
    assert "sp=rl&sig=...&se=2027" in said(ServiceRequestError(asked))


@pytest.mark.parametrize(
    ("settings", "key", "found"),
    [
        ({}, "not-a-key", "neither a SAS token nor an account key"),
        ({}, None, f"the environment variable {KEY_NAME} does not exist"),
        ({"export": "https://acme.blob.core.windows.net/c/e?sig=secret"}, KEY, "and more behind a `?`"),
        ({"export": "http://acme.blob.core.windows.net/container/export"}, KEY, "is fetched from http:"),
        ({"export": "http://127.0.0.1/account/container"}, KEY, "has the export http://127.0.0.1/account/container"),
        ({"export_key": None, "client_secret": {"env": KEY_NAME}, "tenant_id": "t"}, KEY, "no `azure.client_id`"),
        ({"since": "2027-01-01"}, KEY, "still to come"),
    ],
)
def test_a_wrong_setting_is_told(
    settings: dict[str, object], key: str | None, found: str, delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked."""
    delivery.settings |= settings
    if key is None:
        monkeypatch.delenv(KEY_NAME)
    else:
        monkeypatch.setenv(KEY_NAME, key)
    assert found in refused(delivery.pull, ConfigError).found
    assert not delivery.stub.asked


@pytest.mark.parametrize(
    ("export", "found"), [("other", "0 other blob(s)"), ("acme/20261001-20261031", "2 other blob(s)")]
)
def test_an_export_that_is_not_there_is_told(export: str, found: str, delivery: Delivery) -> None:
    """What was looked for, and how much is there instead."""
    delivery.settings["export"] = f"{delivery.stub.root}/exports/{export}"
    assert found in refused(delivery.pull).found


def test_a_container_that_is_not_there_is_told(delivery: Delivery) -> None:
    """By its name, as Azurite itself says it."""
    delivery.settings["export"] = f"{delivery.stub.account_url}/nothing/exports/acme"
    assert "there is no container nothing" in refused(delivery.pull).found


def test_since_after_the_last_month_is_told(delivery: Delivery) -> None:
    """The newest month that is there is named."""
    delivery.settings["since"] = "2026-11-01"
    assert "no month since 2026-11; its newest is 2026-10" in refused(delivery.pull).found


def test_two_fetches_of_one_source_do_not_mix(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process waits, and then says that another one is at it."""
    monkeypatch.setattr(sync, "LOCK_SECONDS", 0.05)
    delivery.folder.mkdir()
    with FileLock(delivery.folder / sync.LOCK):
        assert "another process has been fetching bill" in refused(delivery.pull, CallError).found


def test_probe_asks_who_reads_which_month(delivery: Delivery) -> None:
    """Key, container and newest manifest, with its files and their size; it ends at the first that fails."""
    delivery.deliver(NOVEMBER, ids(NOVEMBER, 1, 3))
    quick = Patience(attempts=1)
    found = probe(delivery.source, home=Path(), patience=quick)
    assert [one.status for one in found] == ["ok"] * 3
    assert "the key of storage account devstoreaccount1 is used" in found[0].found
    assert "its newest month is 2026-11" in found[1].found
    assert "2026-11 has 1 file(s)" in found[2].found
    for number, failing in enumerate(("container", "manifest")):
        delivery.stub.fail(*[None] * number, DENIED)
        found = probe(delivery.source, home=Path(), patience=quick)
        assert (found[-1].endpoint, found[-1].status) == (failing, "unreachable")
    delivery.deliver(NOVEMBER, ids(NOVEMBER, 1, 1), missing=1)
    assert "export incomplete" in probe(delivery.source, home=Path(), patience=quick)[-1].found


# ------------------------------------------------------------------------------------------------------------ identity
@pytest.fixture(scope="module")
def entra(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AzureStub, Path]]:
    """Microsoft Entra and a container behind TLS, and the certificate to trust."""
    file, context = stubs.certificate(tmp_path_factory.mktemp("tls"))
    with AzureStub(azurite, context) as stub:
        yield stub, file


@pytest.fixture
def app(entra: tuple[AzureStub, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    """An export that an app registration reads."""
    stub, trusted = entra
    stub.reset()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))
    monkeypatch.setenv("APP_SECRET", SECRET)
    monkeypatch.setattr("azure.core.pipeline.policies.RetryPolicy.get_backoff_time", lambda *_: 0)
    delivery = Delivery(stub, tmp_path / "raw")
    delivery.settings |= {
        **APP, "client_secret": {"env": "APP_SECRET"}, "login_url": stub.url, "export_key": None
    }  # fmt: skip
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4), ids(OCTOBER, 5, 6))
    return delivery


def test_an_app_registration_reads_the_container(app: Delivery) -> None:
    """With one token for all requests; doctor names it."""
    app.pull()
    assert app.on_disk() == app.expected
    assert len(app.stub.tokens) == 1
    found = probe(app.source, home=Path())
    assert f"Microsoft Entra gives app {APP['client_id']} of tenant {APP['tenant_id']} a token" in found[0].found


def test_a_sign_in_that_is_busy_is_asked_again(app: Delivery) -> None:
    """Throttled and broken answers of Microsoft Entra are no refusal."""
    app.stub.fail(
        stubs.status(429, "x", retry_after="0"), faults.reset(), stubs.status(503, "x"), *[faults.reset()] * 4
    )
    app.pull()
    assert app.on_disk() == app.expected


@pytest.mark.parametrize(
    ("settings", "secret", "faulty", "found", "next_step"),
    [
        ({}, "wrong", None, "its client secret is not the right one", "az ad app credential reset"),
        ({}, SECRET, stubs.no_token("AADSTS7000222"), "its client secret has expired", "az ad app credential reset"),
        ({}, SECRET, stubs.no_token("AADSTS999"), "Microsoft Entra refuses it", "correct `azure`"),
        ({"tenant_id": "other"}, SECRET, None, "there is no such tenant", "correct `azure`"),
        ({"client_id": "other"}, SECRET, None, "no app registration of that client id", "correct `azure`"),
    ],
)
def test_an_app_that_gets_no_token_is_told(
    settings: dict[str, str], secret: str, faulty: Fault | None, found: str, next_step: str, app: Delivery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Whether tenant, client or secret is wrong, and how to correct it; the secret is not shown."""
    monkeypatch.setenv("APP_SECRET", secret)
    app.settings |= settings
    app.stub.fail(None, faulty)
    error = refused(app.pull)
    assert found in error.found
    assert next_step in error.next_step
    assert probe(app.source, home=Path())[0].endpoint == "credentials"


@pytest.mark.parametrize(
    ("fault", "found", "next_step"),
    [
        (DENIED, f"{OBJECT_ID} may not list and read container", f'"Storage Blob Data Reader" --assignee {OBJECT_ID}'),
        (stubs.status(401, "InvalidAuthenticationInfo"), f"does not take the token of {OBJECT_ID}", "azure.tenant_id"),
    ],
)
def test_an_identity_without_the_role_is_told_the_command(
    fault: Fault, found: str, next_step: str, app: Delivery
) -> None:
    """The role, the identity as Azure knows it, and the container."""
    app.stub.fail(None, None, fault)
    error = refused(app.pull)
    assert found in error.found
    assert next_step in error.next_step
    if fault is DENIED:
        assert f"/blobServices/default/containers/{app.stub.container.container_name}" in error.next_step


def test_nobody_signed_in_is_told(app: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an app registration the SDK's usual places are named."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    for name in ("tenant_id", "client_id", "client_secret"):
        app.settings[name] = None
    error = refused(app.pull)
    assert "nobody is signed in to Azure" in error.found
    assert "az login" in error.next_step


def test_a_credential_is_of_the_settings(app: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app registration where there is a secret, else the SDK's own chain."""
    azure = app.source.azure
    assert azure
    assert type(credential(azure, Path())).__name__ == "ClientSecretCredential"
    bare = azure.model_copy(update={"client_secret": None})
    assert type(credential(bare, Path())).__name__ == "DefaultAzureCredential"


# ------------------------------------------------------------------------------------------------------------ sequences
def through_faults(delivery: Delivery, seed: int) -> None:
    """Deliveries, refreshes and incomplete ones, with faults by the seed; each run leaves only whole months."""
    rng = random.Random(seed)
    stub = delivery.stub
    stub.page_size, stub.checksums = rng.choice([1, 2, 5, None]), rng.random() < 0.5
    for round_ in range(2):
        for month in rng.sample([SEPTEMBER, OCTOBER], 2 - round_):
            chunks = [ids(month, 10 * n + 1, 10 * n + rng.randint(1, 9)) for n in range(rng.randint(1, 3))]
            if round_ and rng.random() < 0.3:
                delivery.deliver(month, *chunks, missing=1)
                assert not _is_brought(delivery)
            if rng.random() < 0.3:
                delivery.deliver(month, *chunks, write=False)
            delivery.deliver(month, *chunks)
            if rng.random() < 0.3:
                at = rng.choice(["manifest.json", f"part_0_0001.{delivery.ending}"])
                stub.before = once(at, partial(delivery.deliver, month, *chunks[::-1]))
        stub.fail(*(rng.choice([*FAULTS.values(), EXPIRED]) if rng.random() < 0.4 else None for _ in range(15)))
        runs = 0
        while not _is_brought(delivery):
            runs += 1
            assert runs < 15
        stub.calm()
        assert _is_brought(delivery)
        assert delivery.on_disk() == delivery.expected


def _is_brought(delivery: Delivery) -> bool:
    """One run: whether it came to its end; months on disk are whole ones in any case."""
    try:
        delivery.pull()
    except SourceUnreachable:
        done = False
    else:
        done = True
    for month, found in delivery.on_disk().items():
        assert found in delivery.delivered[month]
    return done


@pytest.mark.parametrize("seed", range(40))
def test_no_row_is_lost_or_doubled_by_random_faults(seed: int, stub: AzureStub, tmp_path: Path) -> None:
    """After faults, refreshes and incomplete deliveries by chance, all rows are there once."""
    ending = ENDINGS[seed // len(LAYOUTS) % len(ENDINGS)]
    through_faults(Delivery(stub, tmp_path / "raw", LAYOUTS[seed % len(LAYOUTS)], ending), seed)
