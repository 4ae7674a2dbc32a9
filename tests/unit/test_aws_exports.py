"""Months that are fetched from S3 hold every line item exactly once, whatever AWS and the network do meanwhile."""

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from connectors import sync
from connectors.aws import exports
from connectors.aws.exports import probe
from connectors.aws.refusals import policy
from connectors.aws.session import Tries
from finops.errors import CallError, ConfigError, FinopsError, SourceUnreachable
from tests import aws_stub as stubs
from tests import fault_proxy as faults
from tests.aws_deliveries import LAYOUTS, PREFIX, Delivery, Layout, ids
from tests.aws_stub import BUCKET, KEYS, AwsStub, set_keys
from tests.fault_proxy import Fault

SEPTEMBER, OCTOBER, NOVEMBER = "2026-09", "2026-10", "2026-11"


@pytest.fixture(scope="module")
def server() -> Iterator[AwsStub]:
    """One moto server and proxy for all tests of the module."""
    with AwsStub() as stub:
        yield stub


@pytest.fixture
def stub(server: AwsStub, monkeypatch: pytest.MonkeyPatch) -> AwsStub:
    """The server with an empty bucket and no fault, and an environment with credentials for it."""
    server.empty()
    set_keys(monkeypatch)
    return server


@pytest.fixture
def delivery(stub: AwsStub, tmp_path: Path) -> Delivery:
    """An export that AWS overwrites, with two months."""
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
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert KEYS[name] not in str(error.value)
    return error.value


def wait_for_the_next_second() -> None:
    """S3 dates objects to the second: from now on they have a later date than all that are there."""
    time.sleep(1.001 - time.time() % 1)


# ------------------------------------------------------------------------------------------------------------- layouts
@pytest.mark.parametrize(
    ("layout", "ending"), [*((layout, "csv.gz") for layout in LAYOUTS), ("overwritten", "snappy.parquet")]
)
def test_each_layout_is_fetched_whole(layout: Layout, ending: str, stub: AwsStub, tmp_path: Path) -> None:
    """Every line item of the newest version of each month is on disk once, over several pages of the listing."""
    delivery = Delivery(stub, tmp_path / "raw", layout, ending)
    stub.page_size = 2
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3))
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 4), ids(SEPTEMBER, 5, 6))
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    fetched = delivery.pull()
    assert fetched.months == (SEPTEMBER, OCTOBER)
    assert fetched.files == 3
    assert delivery.on_disk() == delivery.expected


def test_a_folder_in_small_letters_is_a_month(stub: AwsStub, tmp_path: Path) -> None:
    """Some exports name their partitions `billing_period=2026-10`."""
    delivery = Delivery(stub, tmp_path / "raw")
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 3))
    for old in (key, f"{PREFIX}/metadata/BILLING_PERIOD={OCTOBER}/acme-Manifest.json"):
        body = stub.s3.get_object(Bucket=BUCKET, Key=old)["Body"].read()
        stub.put(old.replace("BILLING_PERIOD", "billing_period"), body.replace(b"BILLING_PERIOD", b"billing_period"))
        stub.delete(old)
    assert delivery.pull().months == (OCTOBER,)
    assert delivery.on_disk() == delivery.expected


def test_a_month_that_did_not_change_is_not_fetched_again(delivery: Delivery) -> None:
    """A second run asks for listings only, and leaves the files as they are."""
    delivery.pull()
    delivery.stub.asked.clear()
    fetched = delivery.pull()
    assert fetched.unchanged == (SEPTEMBER, OCTOBER)
    assert set(delivery.stub.asked) == {"list"}


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_file_that_somebody_took_away_is_fetched_again(damage: Callable[[Path], None], delivery: Delivery) -> None:
    """A month on disk that lost a file, or its content, is not taken for unchanged."""
    delivery.pull()
    damage(next(delivery.folder.glob(f"*{OCTOBER}/*.gz")))
    assert delivery.pull().months == (OCTOBER,)
    assert delivery.on_disk() == delivery.expected


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_refreshed_month_replaces_itself(layout: Layout, stub: AwsStub, tmp_path: Path) -> None:
    """Fewer files, other line items: nothing of the old version stays, and the other month is not asked for."""
    delivery = Delivery(stub, tmp_path / "raw", layout)
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3), ids(SEPTEMBER, 4, 5))
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    delivery.pull()
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 3, 9))
    assert delivery.pull().months == (SEPTEMBER,)
    assert delivery.on_disk() == delivery.expected


def test_a_manifest_that_is_rewritten_with_the_same_words_is_a_new_version(delivery: Delivery) -> None:
    """An overwritten export names the same files again: its manifest's time tells that they changed."""
    delivery.numbered = False
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4))
    delivery.pull()
    wait_for_the_next_second()
    delivery.deliver(OCTOBER, ids(OCTOBER, 2, 8))
    assert delivery.pull().months == (OCTOBER,)
    assert delivery.on_disk() == delivery.expected


def test_old_versions_beside_the_newest_are_not_fetched(stub: AwsStub, tmp_path: Path) -> None:
    """Of an export that keeps its versions only the files of the newest manifest are asked for."""
    delivery = Delivery(stub, tmp_path / "raw", "versions")
    for last in (2, 3, 4):
        newest = delivery.deliver(OCTOBER, ids(OCTOBER, 1, last))
    delivery.pull()
    assert stub.gets("csv.gz") == newest
    assert delivery.on_disk() == delivery.expected


def test_a_month_that_the_bucket_lost_is_kept(delivery: Delivery) -> None:
    """A month whose objects were deleted stays on disk, and that is said."""
    delivery.pull()
    listed = delivery.stub.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    delivery.stub.delete(*(entry["Key"] for entry in listed if SEPTEMBER in entry["Key"]))
    assert delivery.pull().kept == (SEPTEMBER,)
    assert delivery.on_disk() == delivery.expected
    assert any(f"{SEPTEMBER} kept" in line for line in delivery.said)


def test_months_before_since_are_left(delivery: Delivery) -> None:
    """The first month is that of `since`, whole, whatever its day."""
    delivery.settings["since"] = "2026-10-15"
    assert delivery.pull().months == (OCTOBER,)


def test_a_report_that_became_an_export_is_not_counted_twice(delivery: Delivery) -> None:
    """Where the same month is delivered in the other layout, later, the earlier layout's files leave the disk."""
    delivery.pull()
    other = Delivery(delivery.stub, delivery.folder, "legacy")
    other.deliver(OCTOBER, ids(OCTOBER, 7, 9))
    other.pull()
    assert (
        sorted(path.name for path in delivery.folder.glob("[!.]*"))
        == [f"BILLING_PERIOD={SEPTEMBER}", "20261001-20261101"][::-1]
    )


# ------------------------------------------------------------------------------------------------ incomplete deliveries
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_manifest_that_names_a_missing_file_keeps_the_old_month(
    layout: Layout, stub: AwsStub, tmp_path: Path
) -> None:
    """The old version stays, other months are brought, and the next delivery completes it."""
    delivery = Delivery(stub, tmp_path / "raw", layout)
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 3))
    delivery.pull()
    keys = delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 4), ids(SEPTEMBER, 5, 6), missing=1)
    if layout != "versions":
        stub.delete(*keys[1:])
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 2))
    error = refused(delivery.pull)
    assert error.exit_code == 3
    assert f"export incomplete: s3://{BUCKET}/{PREFIX}: {SEPTEMBER}" in error.found
    assert keys[1] in error.found
    assert delivery.on_disk() == delivery.expected
    delivery.deliver(SEPTEMBER, ids(SEPTEMBER, 1, 4), ids(SEPTEMBER, 5, 6))
    delivery.pull()
    assert delivery.on_disk() == delivery.expected


@pytest.mark.parametrize("ending", ["csv.gz", "snappy.parquet"])
@pytest.mark.parametrize("part", ["nothing", "half", "damaged"])
def test_a_half_written_file_keeps_the_old_month(ending: str, part: str, stub: AwsStub, tmp_path: Path) -> None:
    """An object that is empty, ends early or is no file of its kind is not taken for the month."""
    delivery = Delivery(stub, tmp_path / "raw", ending=ending)
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 40))
    delivery.pull()
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 50), write=False)
    body = stub.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    stub.put(key, {"nothing": b"", "half": body[: len(body) // 2], "damaged": b"<html>" * 9}[part])
    manifest = f"{PREFIX}/metadata/BILLING_PERIOD={OCTOBER}/acme-Manifest.json"
    stub.put(manifest, json.dumps({"executionId": "next", "dataFiles": [f"s3://{BUCKET}/{key}"]}).encode())
    assert key in refused(delivery.pull).found
    assert delivery.on_disk() == delivery.expected


def test_a_delivery_that_is_under_way_keeps_the_old_month(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are newer than their manifest are half of the next version, until that is hours old."""
    delivery.pull()
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4))
    wait_for_the_next_second()
    delivery.deliver(OCTOBER, ids(OCTOBER, 5, 9), write=False)
    assert "a delivery is under way" in refused(delivery.pull).found
    assert delivery.on_disk() == delivery.expected
    monkeypatch.setattr(exports, "_DELIVERY", timedelta(0))
    delivery.pull()
    assert delivery.on_disk()[OCTOBER] == ids(OCTOBER, 5, 9)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"dataFiles": ["s3://', "does not list its files"),
        (b"[]", "does not list its files"),
        (b'{"columns": []}', "does not list its files"),
        (b'{"dataFiles": [1]}', "does not list its files"),
        (b'{"reportKeys": []}', "lists no file"),
        (b'{"reportKeys": ["exports/acme/20261001-20261101/acme-1.csv.zip"]}', "GZIP or Parquet"),
        (b'{"dataFiles": ["s3://b/exports/acme/data/BILLING_PERIOD=2026-10/../../x.csv"]}', "which is not there"),
    ],
)
def test_a_manifest_that_lists_nothing_usable_is_told(content: bytes, said: str, delivery: Delivery) -> None:
    """A half-written manifest, one of another shape and one of ZIP files keep the old month and say why."""
    delivery.pull()
    delivery.stub.put("exports/acme/20261001-20261101/acme-1.csv.zip", b"PK")
    delivery.stub.put(f"{PREFIX}/metadata/BILLING_PERIOD={OCTOBER}/acme-Manifest.json", content)
    assert said in refused(delivery.pull).found
    assert delivery.on_disk() == delivery.expected


# --------------------------------------------------------------------------------------------- while the bucket changes
def once(kind: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Do something before the first request of a kind is answered."""
    waiting = [act]

    def before(asked: str) -> None:
        if asked.startswith("get ") and asked.endswith(kind) and waiting:
            waiting.pop()()

    return before


@pytest.mark.parametrize("at", ["Manifest.json", "00001.csv.gz", "00002.csv.gz"])
@pytest.mark.parametrize("layout", ["overwritten", "legacy", "versions"])
def test_a_delivery_while_a_month_is_read_starts_it_again(
    at: str, layout: Layout, stub: AwsStub, tmp_path: Path
) -> None:
    """The month is all of one version, though another one was written between its listing, manifest and files."""
    delivery = Delivery(stub, tmp_path / "raw", layout)
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 3), ids(OCTOBER, 4, 5))
    stub.before = once(at, lambda: delivery.deliver(OCTOBER, ids(OCTOBER, 1, 4), ids(OCTOBER, 5, 7)))
    delivery.pull()
    assert delivery.on_disk()[OCTOBER] in delivery.delivered[OCTOBER]
    delivery.pull()
    assert delivery.on_disk() == delivery.expected
    if layout != "versions":
        assert any("was delivered anew while it was read" in line for line in delivery.said)


def test_a_file_more_while_a_month_is_read_starts_it_again(delivery: Delivery) -> None:
    """The files that were there stay as they were, but the manifest lists one more when they have been read."""
    old, new = delivery.delivered[SEPTEMBER][0], ids(SEPTEMBER, 6, 9)
    chunks = (old[:3], old[3:], new)
    delivery.stub.before = once("00002.csv.gz", lambda: delivery.deliver(SEPTEMBER, *chunks))
    delivery.pull()
    assert delivery.on_disk()[SEPTEMBER] == old + new


def test_a_file_deleted_while_a_month_is_read(delivery: Delivery) -> None:
    """A listed file that is gone when it is asked for is a missing one: the old month stays."""
    delivery.pull()
    (key,) = delivery.deliver(OCTOBER, ids(OCTOBER, 1, 9))
    delivery.expected[OCTOBER] = delivery.delivered[OCTOBER][0]
    delivery.stub.before = once("00001.csv.gz", lambda: delivery.stub.delete(key))
    assert "which is not there" in refused(delivery.pull).found
    assert delivery.on_disk() == delivery.expected


def test_a_month_that_never_stands_still_is_told(delivery: Delivery) -> None:
    """A month that changes each time it is read ends the pull; others are brought."""
    number = iter(range(100))

    def before(asked: str) -> None:
        if asked.endswith("=2026-10/acme-00001.csv.gz"):
            delivery.deliver(OCTOBER, ids(OCTOBER, 1, next(number) + 1))

    delivery.stub.before = before
    assert "changed 3 times" in refused(delivery.pull).found
    delivery.stub.before = None
    assert delivery.on_disk() == {SEPTEMBER: delivery.expected[SEPTEMBER]}


# -------------------------------------------------------------------------------------------------------------- faults
FAULTS: dict[str, Fault] = {
    "429": stubs.status(429, "TooManyRequests"),
    "500": stubs.status(500, "InternalError"),
    "503": stubs.status(503, "SlowDown", "Please reduce your request rate."),
    "reset": faults.reset(),
    "reset within": faults.reset_within(),
    "cut off": faults.cut_off(),
    "cut off, and its length too": faults.cut_off(honest=False),
    "half an error": faults.half_an_error(),
    "damaged": faults.damaged("x-amz-checksum-crc32"),
    "not AWS": faults.other_page(),
    "slow": faults.slow(0.02),
}
EXPIRED = stubs.expired()


@pytest.mark.parametrize(
    ("fault", "checksums"),
    [*((fault, True) for fault in FAULTS), *((fault, False) for fault in FAULTS if "cut off" in fault)],
)
def test_each_fault_is_survived_at_each_request(fault: str, checksums: bool, delivery: Delivery) -> None:
    """A fault at the listing, the manifest or a file is tried again, and leaves no trace in what is fetched."""
    delivery.settings["since"] = "2026-10-01"
    delivery.stub.checksums = checksums
    delivery.deliver(OCTOBER, ids(OCTOBER, 1, 5))
    delivery.stub.fail(*[FAULTS[fault], None] * 4)
    delivery.pull()
    assert {asked.rpartition("/")[2] for asked in delivery.stub.asked} == {
        "list", "acme-Manifest.json", "acme-00001.csv.gz"
    }  # fmt: skip
    assert len(delivery.stub.asked) > 4 or fault in ("slow", "damaged")
    assert not any("anew" in line for line in delivery.said)
    assert delivery.on_disk() == {OCTOBER: delivery.expected[OCTOBER]}


@pytest.mark.parametrize("sdk", [1, 3])
def test_an_answer_that_takes_too_long_is_asked_for_again(sdk: int, delivery: Delivery) -> None:
    """By the SDK in its standard mode, or else here."""
    delivery.tries = Tries(
        sdk=sdk, attempts=2 if sdk == 1 else 1, first_wait_s=0.001, longest_wait_s=0.01, answer_s=0.4
    )
    delivery.stub.fail(faults.slow(0.8))
    delivery.pull()
    assert delivery.on_disk() == delivery.expected


def test_a_body_that_breaks_off_goes_on_where_it_stopped(delivery: Delivery) -> None:
    """The second request asks for the rest alone: the file is what the bucket has, to the byte."""
    big = random.Random(1).randbytes(3_000_000)
    key = f"{PREFIX}/data/BILLING_PERIOD={OCTOBER}/acme-00001.csv"
    delivery.stub.put(key, big)
    manifest = f'{{"dataFiles": ["s3://{BUCKET}/{key}"]}}'.encode()
    delivery.stub.put(f"{PREFIX}/metadata/BILLING_PERIOD={OCTOBER}/acme-Manifest.json", manifest)
    delivery.settings["since"] = "2026-10-01"
    delivery.stub.fail(None, None, faults.cut_off(), faults.cut_off())
    sent = delivery.stub.sent_bytes
    delivery.pull()
    assert (delivery.folder / f"BILLING_PERIOD={OCTOBER}" / "acme-00001.csv").read_bytes() == big
    assert delivery.stub.sent_bytes - sent < 1.1 * len(big)


def test_a_bucket_that_stays_busy_is_told(delivery: Delivery) -> None:
    """When all tries are used up, the error says that the same command goes on."""
    delivery.stub.fail(*[FAULTS["503"]] * 5)
    error = refused(delivery.pull)
    assert "SlowDown" in error.found
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
    assert not list(delivery.folder.glob("BILLING*"))
    delivery.pull()
    assert len(delivery.stub.gets("csv.gz")) - first <= 5
    assert delivery.on_disk() == {NOVEMBER: delivery.expected[NOVEMBER]}


@pytest.mark.parametrize("layout", ["overwritten", "versions"])
def test_what_an_older_version_left_unfinished_is_not_taken(layout: Layout, stub: AwsStub, tmp_path: Path) -> None:
    """Files of a version that was not finished are removed when AWS has delivered another one."""
    delivery = Delivery(stub, tmp_path / "raw", layout)
    delivery.deliver(NOVEMBER, *(ids(NOVEMBER, n, n) for n in range(1, 6)))
    stub.fail(*[None] * 4, *[EXPIRED] * 4)
    refused(delivery.pull)
    stub.calm()
    delivery.deliver(NOVEMBER, *(ids(NOVEMBER, n, n) for n in (11, 12)))
    delivery.pull()
    assert delivery.on_disk() == {NOVEMBER: ids(NOVEMBER, 11, 12)}
    assert len([path for path in delivery.folder.glob("BILLING*/**/acme*") if path.is_file()]) == 2 + 1


def test_a_swap_that_was_cut_off_is_ended(delivery: Delivery) -> None:
    """A crash between the two renames leaves the old month aside; the next run puts it back or replaces it."""
    delivery.pull()
    month = delivery.folder / f"BILLING_PERIOD={OCTOBER}"
    month.rename(month.with_name(f".{month.name}.old"))
    assert delivery.pull().unchanged == (SEPTEMBER, OCTOBER)
    assert delivery.on_disk() == delivery.expected


def test_a_listing_without_an_end_is_told(delivery: Delivery) -> None:
    """Pages that lead back to an earlier one end the pull, in place of going on for ever."""
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"
    body = f"<ListBucketResult>{more}</ListBucketResult>".encode()
    page = faults.Answer(200, {"content-type": "application/xml"}, body)
    delivery.stub.fail(*[lambda handler, _answer: handler.send(page)] * 2)
    assert "does not come to its end" in refused(delivery.pull).found


# -------------------------------------------------------------------------------------------------------------- access
DENIED = stubs.status(403, "AccessDenied", "User: arn:aws:iam::1:user/x is not authorized to perform that")
LISTED = f"arn:aws:s3:::{BUCKET}"
READ = f"arn:aws:s3:::{BUCKET}/{PREFIX}/*"


@pytest.mark.parametrize(
    ("faults", "found", "next_step"),
    [
        ([DENIED], f"denies s3:ListBucket on {LISTED} (AccessDenied", "attach this policy"),
        ([None, DENIED], f"denies s3:GetObject on {READ} (AccessDenied", "attach this policy"),
        ([None, None, DENIED], f"denies s3:GetObject on {READ} (AccessDenied", "attach this policy"),
        ([stubs.expired()], "have expired", "aws sso login"),
        ([None, None, stubs.expired()], "have expired", "aws sso login"),
        ([stubs.status(403, "InvalidAccessKeyId")], "does not know the credentials", "correct them"),
        ([stubs.status(403, "SignatureDoesNotMatch")], "does not know the credentials", "correct them"),
        ([stubs.status(404, "NoSuchBucket")], f"no bucket {BUCKET}", "aws.export"),
        ([stubs.status(403, "RequestTimeTooSkewed")], "clock is wrong", "set it"),
        ([None, None, stubs.status(403, "InvalidObjectState")], "is archived", "aws.since"),
        ([stubs.status(418, "Teapot")], "Teapot: a fault of the stub", "finops ingest bill"),
    ],
)
def test_a_refusal_says_what_is_missing(
    faults: list[Fault | None], found: str, next_step: str, delivery: Delivery
) -> None:
    """Which permission on which resource, or which credentials; it is not tried again, and nothing is left half."""
    delivery.settings["since"] = "2026-10-01"
    delivery.stub.fail(*faults)
    error = refused(delivery.pull)
    assert error.exit_code == 3
    assert found in error.found
    assert next_step in error.next_step
    assert not list(delivery.folder.glob("BILLING*"))
    delivery.stub.calm()
    delivery.pull()
    assert delivery.on_disk() == {OCTOBER: delivery.expected[OCTOBER]}


def test_the_policy_is_the_least_that_reads_the_export(delivery: Delivery) -> None:
    """It allows two actions, on the export's objects and on listing those; a denial quotes it as it is to be pasted."""
    aws = delivery.source.aws
    assert aws
    statements = json.loads(policy(aws))["Statement"]
    assert [(s["Action"], s["Resource"]) for s in statements] == [("s3:ListBucket", LISTED), ("s3:GetObject", READ)]
    assert statements[0]["Condition"] == {"StringLike": {"s3:prefix": f"{PREFIX}/*"}}
    delivery.stub.fail(DENIED)
    assert policy(aws) in refused(delivery.pull).next_step
    china = aws.model_copy(update={"region": "cn-north-1"})
    assert f"arn:aws-cn:s3:::{BUCKET}/{PREFIX}/*" in policy(china)


def test_an_encrypted_export_needs_its_key(delivery: Delivery) -> None:
    """Where AWS denies the key of the files, that permission is named too."""
    key = "not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-central-1:1:key/x"
    delivery.stub.fail(None, stubs.status(403, "AccessDenied", key))
    assert "kms:Decrypt" in refused(delivery.pull).expected


def test_a_bucket_in_another_region_is_found_by_the_sdk_or_named(delivery: Delivery) -> None:
    """The SDK follows AWS to the bucket's region; where it cannot, the error names the region that AWS named."""
    elsewhere = stubs.status(400, "AuthorizationHeaderMalformed", Region="eu-central-1")
    delivery.stub.fail(elsewhere)
    delivery.pull()
    assert delivery.on_disk() == delivery.expected
    delivery.stub.fail(*[elsewhere] * 4)
    assert 'aws.region = "eu-central-1"' in refused(delivery.pull).next_step


def test_missing_credentials_are_told(delivery: Delivery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials, half of them, a profile that is not there: where they were looked for, and what to set."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "there are no AWS credentials in the SDK's usual places" in refused(delivery.pull).found
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "there are no AWS credentials" in refused(delivery.pull).found
    delivery.settings["profile"] = "billing"
    assert "there are no AWS credentials in the profile billing" in refused(delivery.pull).found
    (tmp_path / "config").write_text("[profile billing]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    delivery.pull()
    assert delivery.on_disk() == delivery.expected


def test_a_role_is_assumed(delivery: Delivery) -> None:
    """With a role, STS is asked for it first, with the external id; the bucket is read as the role."""
    delivery.settings |= {"role_arn": "arn:aws:iam::123456789012:role/finops", "external_id": "acme-7"}
    delivery.pull()
    assert delivery.stub.asked[0] == "sts AssumeRole"
    assert delivery.on_disk() == delivery.expected
    found = probe(delivery.source, tries=delivery.tries)
    assert "assumed-role/finops/finops" in found[0].found


@pytest.mark.parametrize("external_id", [None, "acme-7"])
def test_a_role_that_cannot_be_assumed_is_told(external_id: str | None, delivery: Delivery) -> None:
    """The role, the permission, and the external id that its trust policy is asked with."""
    delivery.settings |= {"role_arn": "arn:aws:iam::123456789012:role/finops", "external_id": external_id}
    delivery.stub.fail(stubs.status(403, "AccessDenied", "is not authorized to perform: sts:AssumeRole"))
    error = refused(delivery.pull)
    assert "the role arn:aws:iam::123456789012:role/finops cannot be assumed" in error.found
    assert (external_id or "no external id") in error.expected


def test_an_sts_that_is_busy_is_asked_again(delivery: Delivery) -> None:
    """Throttled and broken answers of STS are no refusal of the role."""
    delivery.settings["role_arn"] = "arn:aws:iam::123456789012:role/finops"
    delivery.stub.fail(stubs.status(400, "Throttling"), faults.reset(), stubs.status(503, "ServiceUnavailable"))
    delivery.pull()
    assert delivery.on_disk() == delivery.expected


@pytest.mark.parametrize(
    ("export", "said"),
    [
        ("exports/other", "0 other object(s) there"),
        ("exports", "exports below it: s3://acme-billing/exports/acme"),
        ("exports/acme/data", "4 other object(s) there"),
    ],
)
def test_an_export_that_is_not_there_is_told(export: str, said: str, delivery: Delivery) -> None:
    """What was looked for, and the exports that are there instead."""
    delivery.deliver(NOVEMBER, ids(NOVEMBER, 1, 1))
    delivery.settings["export"] = f"s3://{BUCKET}/{export}"
    assert said in refused(delivery.pull).found


def test_since_after_the_last_month_is_told(delivery: Delivery) -> None:
    """The newest month that is there is named; a day to come is a wrong setting."""
    delivery.settings["since"] = "2026-11-01"
    assert "no month since 2026-11; its newest is 2026-10" in refused(delivery.pull).found
    delivery.settings["since"] = "2027-01-01"
    refused(delivery.pull, ConfigError)


def test_two_fetches_of_one_source_do_not_mix(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process waits, and then says that another one is at it."""
    monkeypatch.setattr(sync, "LOCK_SECONDS", 0.05)
    delivery.folder.mkdir()
    with FileLock(delivery.folder / sync.LOCK):
        assert "another process has been fetching bill" in refused(delivery.pull, CallError).found


def test_probe_asks_who_reads_which_month(delivery: Delivery) -> None:
    """Identity, bucket and newest manifest, with its files and their size; it ends at the first that fails."""
    delivery.tries = Tries(sdk=1, attempts=1)
    found = probe(delivery.source, tries=delivery.tries)
    assert [one.status for one in found] == ["ok"] * 3
    assert "arn:aws:sts::123456789012" in found[0].found
    assert "its newest month is 2026-10" in found[1].found
    assert "2026-10 has 1 file(s)" in found[2].found
    for number, failing in enumerate(("credentials", "bucket", "manifest")):
        delivery.stub.fail(*[None] * number, DENIED)
        found = probe(delivery.source, tries=delivery.tries)
        assert len(found) == number + 1
        assert (found[-1].endpoint, found[-1].status) == (failing, "unreachable")
    delivery.deliver(NOVEMBER, ids(NOVEMBER, 1, 1), missing=1)
    assert "export incomplete" in probe(delivery.source, tries=delivery.tries)[-1].found


def through_faults(delivery: Delivery, seed: int) -> None:
    """Deliveries, refreshes and incomplete ones, with faults by the seed; each run leaves only whole months."""
    rng = random.Random(seed)
    stub = delivery.stub
    stub.page_size, stub.order = rng.choice([2, 5, 1000]), rng.choice([None, seed])
    stub.checksums = rng.random() < 0.5
    for round_ in range(2):
        for month in rng.sample([SEPTEMBER, OCTOBER], 2 - round_):
            chunks = [ids(month, 10 * n + 1, 10 * n + rng.randint(1, 9)) for n in range(rng.randint(1, 3))]
            if round_ and rng.random() < 0.3:
                stub.delete(delivery.deliver(month, *chunks, missing=1)[-1])
                assert not _is_brought(delivery)
            delivery.deliver(month, *chunks)
            if rng.random() < 0.3:
                at = rng.choice(["Manifest.json", "00001.csv.gz", "00001.snappy.parquet"])
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
def test_no_row_is_lost_or_doubled_by_random_faults(seed: int, stub: AwsStub, tmp_path: Path) -> None:
    """After faults, refreshes and incomplete deliveries by chance, all line items are there once."""
    ending = ("csv.gz", "snappy.parquet")[seed // len(LAYOUTS) % 2]
    through_faults(Delivery(stub, tmp_path / "raw", LAYOUTS[seed % len(LAYOUTS)], ending), seed)
